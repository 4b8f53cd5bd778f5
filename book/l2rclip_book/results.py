"""Stored results: where they lie, tables in Markdown, and what a page says of today's run.

What a training ends with differs from seed to seed, and between processors, whose kernels add in
another order. `make spread` trains what a chapter trains with five seeds under three kinds of
kernels, and keeps a row a run in `book/results/spread/NN.csv`. A page says what all rows show.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

PLACES = ("results", "book/results")  # as a chapter sees it, and from the root of the repository


def find_result(name: str, folder: str = "") -> Path | None:
    """Return a file of results; None where there is none.

    Args:
        name: Such as "matrix.csv".
        folder: Where it lies; empty looks in both places of the repository.
    """
    for place in (folder,) if folder else PLACES:
        file = Path(place, name)
        if file.is_file():
            return file
    return None


class StoredRows(NamedTuple):
    """The rows of studies.

    Args:
        table: A row per unit, arm and condition.
        images: The scores of each test image in each of them.
        record: How they were made, and which units are `missing`.
    """

    table: pd.DataFrame
    images: pd.DataFrame
    record: dict[str, Any]


def read_rows(name: str, folder: str = "") -> StoredRows | None:
    """Read the rows of studies; None where there are none.

    Args:
        name: Of the table and the two files beside it, such as "matrix".
        folder: Where they lie, see `find_result`.
    """
    file = find_result(f"{name}.images.csv.gz", folder)
    if file is None:
        return None
    record = json.loads(file.with_name(f"{name}.json").read_text(encoding="utf-8"))
    return StoredRows(read_table(file.with_name(f"{name}.csv")), read_table(file), record)


def read_results(folder: str = "") -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Read the results of the studies: a row per arm, a row per test image, and what is missing.

    Args:
        folder: Of `matrix.csv` and its two siblings, see `find_result`.

    Returns:
        A table with a row per unit, arm and condition, and one with a row per test image, both
        empty where there is no such folder; and the units still missing ("main/hc18-0"), or "all".
    """
    stored = read_rows("matrix", folder)
    if stored is not None:
        return stored.table, stored.images, stored.record["missing"]

    columns = ["study", "data", "run", "arm", "condition", "rps"]
    rows = pd.DataFrame(columns=[*columns, "val_rps", "amae"])
    images = pd.DataFrame(columns=[*columns, "path", "subject", "true", "expected"])
    return rows, images, ["all"]


def read_table(file: Path) -> pd.DataFrame:
    """Read a table of results, in which an empty condition is an empty text.

    A test image without a subject, in rows that are older than these, has that of its other rows,
    else itself.

    Args:
        file: A CSV file, which may be compressed.
    """
    table = pd.read_csv(file, dtype={"condition": str, "level": str, "subject": str})
    if "subject" in table:
        of_image = table.groupby(["data", "path"])["subject"].transform("first")
        table["subject"] = of_image.fillna(table["path"])
    return table.fillna({"condition": ""})


KEPT_IN = "L2RCLIP_SPREAD"  # names the file into which `make spread` lets a chapter write
MARGIN = 0.5  # of the range of the stored runs: a run outside of that is no run of the same kind


def stored_runs(chapter: str) -> pd.DataFrame:
    """Return the stored runs of a chapter, a row each; empty without the repository.

    It is empty for a run that is to be stored, too: what a page says of all rows holds of no part.

    Args:
        chapter: Its number, such as "07".
    """
    file = None if KEPT_IN in os.environ else find_result(f"spread/{chapter}.csv")
    return pd.DataFrame() if file is None else pd.read_csv(file)


def numbered(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return a curve as numbers to record.

    Example:
        >>> numbered("rps", [0.5, 0.3])
        {'rps 1': 0.5, 'rps 2': 0.3}
    """
    return {f"{name} {place}": float(value) for place, value in enumerate(values, start=1)}


def spread_table(
    numbers: Mapping[str, float],
    stored: pd.DataFrame,
    rows: Sequence[str],
    scores: Mapping[str, str],
) -> pd.DataFrame:
    """Return today's numbers, each with the lowest and the highest of the stored runs.

    Args:
        numbers: Of today's run; that of a row and a score is called `row score`.
        stored: A row a run; see `stored_runs`.
        rows: What is scored.
        scores: The title of each score.

    Example:
        >>> stored = pd.DataFrame({"probe mae": [0.6, 0.5]})
        >>> spread_table({"probe mae": 0.55}, stored, ["probe"], {"mae": "MAE"}).loc["probe", "MAE"]
        '0.55 (0.50 to 0.60)'
    """

    def cell(name: str) -> str:
        if name not in numbers:
            return "–"
        text = f"{numbers[name]:.2f}"
        if name in stored:
            text += " ({:.2f} to {:.2f})".format(*stored[name].agg(["min", "max"]))
        return text.replace("-", "−")

    table = {title: [cell(f"{row} {score}") for row in rows] for score, title in scores.items()}
    return pd.DataFrame(table, index=list(rows))


def beside_stored(numbers: Mapping[str, float], stored: pd.DataFrame) -> str:
    """Return one sentence that says where today's run lies; hand its numbers to `make spread`.

    Args:
        numbers: Of today's run, by the column of the stored runs.
        stored: A row a run; see `stored_runs`.

    Example:
        >>> stored = pd.DataFrame({"mae": [0.5, 0.6], "rps": [0.3, 0.3]})
        >>> beside_stored({"mae": 0.62, "rps": 0.3}, stored)
        'Today’s run lies in the range of the 2 stored runs, or outside by at most half of it.'
        >>> beside_stored({"mae": 0.7, "rps": 0.3}, stored).partition("by ")[2]
        'more than half of it in 1 of 2 numbers: mae 0.7 (0.5 to 0.6).'
        >>> beside_stored({"mae": float("nan"), "coral rps": 0.2}, stored).partition("by ")[2]
        'more than half of it in 1 of 1 numbers: mae nan (0.5 to 0.6).'
    """
    if KEPT_IN in os.environ:
        rounded = {name: float(f"{value:.5g}") for name, value in numbers.items()}
        Path(os.environ[KEPT_IN]).write_text(json.dumps(rounded), encoding="utf-8")
    if stored.empty:
        return "No stored runs of this page are here."

    compared = [name for name in numbers if name in stored]
    outside = []
    for name in compared:
        low, high = stored[name].agg(["min", "max"])
        margin = MARGIN * (high - low) + 1e-3 * max(abs(low), abs(high))
        if not low - margin <= numbers[name] <= high + margin:
            outside.append(f"{name} {numbers[name]:.3g} ({low:.3g} to {high:.3g})")

    runs = f"the {len(stored)} stored runs"
    if not outside:
        return f"Today’s run lies in the range of {runs}, or outside by at most half of it."
    listed = ", ".join(outside).replace("-", "−")
    return (
        f"Today’s run lies outside the range of {runs} by more than half of it "
        f"in {len(outside)} of {len(compared)} numbers: {listed}."
    )


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: bool = False
) -> str:
    r"""Return a table as Markdown, whatever its cells hold.

    A line of a Markdown table ends at the first line break, and a cell at the first `|`. So a line
    break in a cell becomes a space, and a `|` is escaped.

    Args:
        head: The title of each column.
        rows: The cells of each row, as many as there are titles.
        numbers: Whether all columns but the first hold numbers, which stand at the right.

    Example:
        >>> print(markdown_table(["setting", "meaning"], [["alpha", "strength\nof |R'|"]]))
        | setting | meaning |
        | --- | --- |
        | alpha | strength of \|R'\| |
    """
    other_columns = ["--:" if numbers else "---"] * (len(head) - 1)
    lines = []
    for row in [head, ["---", *other_columns], *rows]:
        cells = [" ".join(str(cell).split()).replace("|", r"\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
