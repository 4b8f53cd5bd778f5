"""Your own labels: which ranks there are, and which of them each label means."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BeforeValidator

from l2rclip_lite.data.table import first_row
from l2rclip_lite.errors import InputError, plural
from l2rclip_lite.method.ranks import Ranks, check_count, composed, number_words

MISSING = ("nan", "na", "n/a", "none", "null")  # in a table of numbers
MAX_NUMBERS = 200  # different numbers that pass for ranks if nobody names them
LabelsAre = Literal["names", "index", "position"]


def _plain_ranks(ranks: object) -> object:
    """Return the ranks of an array, a Series or a range as a list; others as they are.

    Raises:
        ValueError: They are neither text nor a sequence.
    """
    if isinstance(ranks, np.ndarray | pd.Series | pd.Index | range):
        return np.asarray(ranks).tolist()
    if ranks is not None and not isinstance(ranks, Sequence):
        raise ValueError("give a list, lowest first, or a text such as 'fresh,ripe' or '0:9'")
    return ranks


# how a user names the ranks
UserRanks = Annotated[
    str | Sequence[str | int | float] | np.ndarray | None, BeforeValidator(_plain_ranks)
]


def as_numbers(texts: "Sequence[str] | np.ndarray | pd.Series[str]") -> "pd.Series[float]":
    """Return what is written as a finite number; NaN for words.

    Example:
        >>> as_numbers(["03", "3.0", "ripe", "inf"]).tolist()
        [3.0, 3.0, nan, nan]
    """
    texts = pd.Series(texts, dtype=object).tolist()  # a column of pandas is slow to walk
    different = list(dict.fromkeys(texts))  # a million labels have few
    values = pd.to_numeric(pd.Series(different, dtype=object), errors="coerce").astype(float)
    number_of = dict(zip(different, values.where(np.isfinite(values)), strict=True))
    return pd.Series([number_of[text] for text in texts], dtype=float)


def in_words(values: Iterable[float]) -> list[str]:
    """Return numbers as a sentence says them.

    Example:
        >>> in_words([21, 0.5])
        ['twenty one', '0.5']
    """
    words = []
    for value in values:
        is_whole = value % 1 == 0
        words.append(number_words(int(value)) if is_whole else f"{value:g}")
    return words


def label_space(
    table: pd.DataFrame, ranks: UserRanks | Ranks, template: str | None, labels_are: LabelsAre
) -> tuple[Ranks, list[str]]:
    """Return the ranks and sentences about them, and give the table a column `target`.

    Args:
        table: Columns `label` and `where`.
        ranks: As `load_csv` takes them; or ranks, of which the names and numbers are taken, and not
            the template.
        template: As `load_csv` takes it.
        labels_are: What a label is: "names", "index" or "position".

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame(
        ...     {"label": ["03", "1", "3.0", "3"], "where": ["row 2", "row 3", "row 4", "row 5"]}
        ... )
        >>> space, messages = label_space(table, None, None, "names")
        >>> space.names, space.values, table["target"].tolist()
        (('one', 'three'), (1.0, 3.0), [1, 0, 1, 1])
        >>> messages
        ['ranks: the 2 numbers found as labels, 1 to 3']
        >>> label_space(table, space, None, "names")[0].values  # a new table, by the ranks of a run
        (1.0, 3.0)
    """
    row = first_row(table, table["label"] == "")
    if row:
        raise InputError(f"{row['where']}: the label is blank; fill it in, or remove the row.")

    if ranks is None:
        names = _numbers_of_labels(table, labels_are)
    elif isinstance(ranks, Ranks):
        names = _labels_of(ranks)
    else:
        names = _names(ranks)

    space = ranks_of_names(names, template)
    table["target"] = targets(table, names, labels_are)

    messages = []
    if ranks is None:
        ends = f"{space.values[0]:g} to {space.values[-1]:g}"
        messages = [f"ranks: the {len(names)} numbers found as labels, {ends}"]
    return space, messages


def ranks_of_names(names: UserRanks, template: str | None) -> Ranks:
    """Return the ranks that a user names, lowest first; numbers are their own values.

    Args:
        names: As `load_csv` takes the ranks.
        template: As `load_csv` takes it.

    Raises:
        InputError: See `Ranks`; also a text that names none.

    Example:
        >>> ranks_of_names("7:9", "{rank} spots").sentences
        ['seven spots', 'eight spots', 'nine spots']
        >>> ranks_of_names("fresh, ripe", None).sentences
        ['a photo of a fresh object', 'a photo of a ripe object']
    """
    names = _names(names or "")
    values = as_numbers(names)
    if values.notna().all():
        sentence = "a photo of grade {rank}" if template is None else template
        return Ranks(tuple(in_words(values)), tuple(values), sentence)

    sentence = "a photo of a {rank} object" if template is None else template
    return Ranks(tuple(names), tuple(range(len(names))), sentence)


def _labels_of(ranks: Ranks) -> list[str]:
    """Return how labels name the ranks: by numbers, if their names are numbers in words."""
    if list(ranks.names) == in_words(ranks.values):
        return [str(value) for value in ranks.values]
    return list(ranks.names)


def _names(ranks: str | Sequence[str | int | float] | np.ndarray) -> list[str]:
    """Return the ranks as a user wrote them: a sequence, "fresh,ripe", or "0:9".

    Raises:
        InputError: Nothing, or numbers that run downwards or are too many.
    """
    if not isinstance(ranks, str):
        return [str(name).strip() for name in ranks]
    if not ranks.strip():
        raise InputError("ranks: the text is empty; write all ranks, lowest first, such as 0:9.")

    ends = re.fullmatch(r"\s*(-?\d{1,99})\s*:\s*(-?\d{1,99})\s*", ranks)
    if ends is not None:
        first = int(ends[1])
        last = int(ends[2])
        if first > last:
            raise InputError(f"ranks: {first}:{last} runs downwards; write {last}:{first}.")
        check_count(last - first + 1)
        return [str(number) for number in range(first, last + 1)]
    if ":" in ranks and "," not in ranks:
        raise InputError(f"ranks: {ranks!r:.80} is no range; write two whole numbers, as in 0:9.")
    return [name.strip() for name in ranks.split(",")]


def _numbers_of_labels(table: pd.DataFrame, labels_are: LabelsAre) -> list[str]:
    """Return the different labels in their order, if all are numbers.

    Raises:
        InputError: A label that is a word, too many labels, or a `labels_are` that needs ranks.
    """
    if labels_are != "names":
        raise InputError(
            "csv: --labels-are index or position counts the ranks; give them by --ranks."
        )

    labels = as_numbers(table["label"])
    row = first_row(table, labels.isna() & table["label"].str.contains(","))
    if row:
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} has a comma; "
            "write a number with a decimal point, and a name without a comma."
        )

    row = first_row(table, np.isinf(pd.to_numeric(table["label"], errors="coerce")))
    if row:
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is no finite number; correct it."
        )

    row = first_row(table, table["label"].str.casefold().isin(MISSING))
    if row:
        raise InputError(
            f"{row['where']}: the label {row['label']!r} stands for a missing value; "
            "fill it in, or remove the row."
        )

    row = first_row(table, labels.isna())
    if row:
        words = ",".join(sorted(set(table["label"])))
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is a word; write all in their order, "
            f"lowest first: --ranks {words!r:.900}"
        )

    values = sorted(set(labels))
    if len(values) > min(MAX_NUMBERS, len(table) / 2):
        raise InputError(
            f"csv: {plural(len(values), 'different label')} for {plural(len(table), 'image')} "
            "are too many; round them, add images, or pass ranks."
        )
    return [str(value) for value in values]


def targets(table: pd.DataFrame, names: Sequence[str], labels_are: LabelsAre) -> "pd.Series[int]":
    """Return the rank index of each label.

    Args:
        table: Columns `label` and `where`.
        names: The ranks as the user wrote them.
        labels_are: What a label is.

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame({"label": ["0", "1"], "where": ["row 2", "row 3"]})
        >>> targets(table, ["1", "2"], "names")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: row 2: the label '0' is none of the numbers 1 to 2; correct
        it or --ranks, or say what labels are: --labels-are names, index (from 0) or position (from
        1).
    """
    if labels_are == "names":
        spellings = list(names)
    else:
        start = 1 if labels_are == "position" else 0
        spellings = [str(start + rank) for rank in range(len(names))]

    if as_numbers(spellings).notna().all():
        return _targets_of_numbers(table, spellings)
    return _targets_of_words(table, spellings)


def _targets_of_numbers(table: pd.DataFrame, spellings: Sequence[str]) -> "pd.Series[int]":
    """Return the rank index of each label where all ranks are numbers: "03" and "3.0" are 3."""
    rank_of = {value: rank for rank, value in enumerate(as_numbers(spellings))}
    target = as_numbers(table["label"]).map(rank_of)
    row = first_row(table, target.isna())
    if row:
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is none of the numbers "
            f"{spellings[0]} to {spellings[-1]}; correct it or --ranks, or say what labels "
            "are: --labels-are names, index (from 0) or position (from 1)."
        )
    return target.astype(int)


def _targets_of_words(table: pd.DataFrame, spellings: Sequence[str]) -> "pd.Series[int]":
    """Return the rank index of each label where a rank is a word: by its name, letter by letter.

    Letters are compared in composed form: macOS names a folder "e" and an accent, others "é".
    """
    rank_of = {composed(name): rank for rank, name in enumerate(spellings)}
    target = table["label"].map(composed).map(rank_of)

    row = first_row(table, target.isna() & as_numbers(table["label"]).notna())
    if row:
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is no name, but may count the ranks: "
            f"pass --labels-are index (0 is {spellings[0]}) or position (1 is {spellings[0]})."
        )

    row = first_row(table, target.isna())
    if row:
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is no rank; "
            f"write one of {', '.join(spellings)}."
        )
    return target.astype(int)
