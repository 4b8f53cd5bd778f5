"""`l2rclip predict` and `l2rclip evaluate`: what a finished run answers, and how well."""

import os
import sys
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from l2rclip_lite import commands
from l2rclip_lite.commands.run import data_of, load_model, warn
from l2rclip_lite.config import LabelsAre
from l2rclip_lite.data.base import Split
from l2rclip_lite.data.own_images import files_inside, own_table
from l2rclip_lite.data.reading import ImageFile, scan_folder
from l2rclip_lite.data.table import (
    as_numbers,
    as_split,
    in_words,
    label_space,
    ranks_of_names,
    read_columns,
    refuse,
)
from l2rclip_lite.devices import failures_in_words
from l2rclip_lite.errors import InputError, plural
from l2rclip_lite.method.ranks import Ranks, composed
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.prediction import Costs
from l2rclip_lite.runs import RunDirectory, probabilities_of
from l2rclip_lite.runs.results import NO_INTERVAL, cell, judge

FORMULA = r"^(?=\s*[=+\-@\t\r])"  # what begins a formula where a spreadsheet reads CSV
UNSURE = """training never had these words: trust the order of the answers, not how sure they are \
(`evaluate --calibrate`)."""


def predict(arguments: commands.Predict) -> int:
    """Print an answer for each image; return 2 where one could not be read."""
    paths: list[Path] = []
    problems: list[InputError] = []
    for name in arguments.images:
        if not os.path.isdir(name):
            paths.append(Path(name))
            continue
        images, errors = scan_folder(name)
        paths += images
        problems += errors
    for problem in problems:
        warn(problem, "error")
    if not paths and not problems:
        raise InputError("predict: no image; name images, or a folder that holds some.")

    model, costs, knows_words = _read_question(arguments)
    if not knows_words:
        warn(UNSURE)
    header = True
    for path in tqdm(paths, "predicting", disable=sys.stdout.isatty() or None, leave=False):
        try:
            answer = model.predict(path, costs=costs).to_frame().round(6)
        except InputError as error:
            warn(error, "error")
            problems.append(error)
            continue

        for column in ("median", "low", "high"):
            answer[column] = np.take(model.ranks.values, answer[column])
        if arguments.csv:
            safe = {"path": {FORMULA: "./", "\r": " "}, "name": {FORMULA: "'"}}
            table = answer.replace(safe, regex=True)
            print(table.to_csv(index=False, header=header), end="")
            header = False
        else:
            row = answer.loc[:, :"expected"].to_dict("records")[0]
            row["probabilities"] = probabilities_of(answer)[0].tolist()
            print(dumps(row), flush=True)
    return 2 if problems else 0


def _read_question(
    arguments: commands.Predict | commands.Evaluate,
) -> tuple[L2RCLIP, Costs | None, bool]:
    """Return a model that answers in the words of a user, the prices, and whether it learned them.

    Raises:
        InputError: Names that are no ranks, a model that knows no sentences, or no price list.
    """
    model = load_model(arguments.run, arguments.method, arguments, arguments.device)
    template = arguments.template or model.ranks.template
    ranks = replace(model.ranks, template=template)
    if arguments.ranks is not None:
        ranks = replace(ranks_of_names(arguments.ranks, template), unit=ranks.unit)
    knows_words = ranks.sentences == model.ranks.sentences
    if not knows_words:
        with failures_in_words("--ranks", f"for {plural(len(ranks), 'sentence')}; name fewer"):
            model = model.with_ranks(ranks)

    if arguments.costs is None:
        return model, None, knows_words
    return model, _costs_of(arguments.costs, model.ranks), knows_words


def _costs_of(file: Path, ranks: Ranks) -> Costs:
    """Return the price list that a user names: a row for each true rank, a column for each answer.

    Ranks may also be written by their values. What the first cell holds plays no part.

    Raises:
        InputError: No such file, not a row and a column for each rank in their order, or a cell
            that is no price.
    """
    columns = [f"price {k}" for k in range(len(ranks))]
    table = read_columns(file, ["name", *columns], header=False)
    names = ", ".join(ranks.names)
    fix = f"write {names:.300} behind one cell in the first row, and one of them first in each row"
    if len(table) != len(ranks) + 1:
        raise InputError(f"{file}: {len(table)} rows, not {len(ranks) + 1}; {fix} below.")

    top = pd.DataFrame({"name": table.loc[0, columns], "where": table.loc[0, "where"]})
    rows = table.iloc[1:]
    both = pd.concat([top, rows[["name", "where"]]], ignore_index=True)
    is_other = both["name"].map(composed) != pd.Series(ranks.names * 2).map(composed)
    is_other &= as_numbers(both["name"]) != pd.Series(ranks.values * 2)
    refuse(both, is_other, "name", f"is not that of the rank there; {fix} below, in this order.")

    cells = rows.melt(["name", "where"], value_name="price")  # column by column
    costs = as_numbers(cells["price"])
    is_price = costs.between(0, np.inf, inclusive="left")
    refuse(cells, ~is_price, "price", "is no number ≥ 0; correct it.")
    return costs.to_numpy().reshape(len(ranks), -1).T


def evaluate(arguments: commands.Evaluate) -> None:
    """Print every metric of a split of the run's data, or of a new table."""
    model, costs, knows_words = _read_question(arguments)
    title, part, caveat = _images_to_score(arguments, model)
    if arguments.calibrate is not None:
        _calibrate_on(arguments.calibrate, part, model, arguments)
    p = model.probabilities(model.encode(part, cache=arguments.cache, quiet=arguments.json))
    scores = judge(p, part, model.ranks, intervals=True, costs=costs)
    if not knows_words and arguments.calibrate is None:
        warn(UNSURE)

    if arguments.json:
        answer = {
            "run": arguments.run,
            "split": title,
            "caveat": caveat,
            "temperature": float(model.temperature),
            "metrics": scores,
        }
        print(dumps(answer))
        return

    note = f" ({caveat})" if caveat else ""
    intervals = "95 % intervals" if "rps_low" in scores else "no intervals, as all show one subject"
    print(
        f"{arguments.run}, {title}: {plural(len(part), 'image')}, "
        f"temperature {model.temperature:.2f}, {intervals}{note}\n"
        f"mae and rmse in {model.ranks.unit}; "
        f"mae_rank, amae, mmae and rps in steps from rank to rank; {NO_INTERVAL}\n"
    )
    for name in scores:
        if not name.endswith(("_low", "_high")):
            print(f"{name:<24}{cell(scores, name, 3)}")


def _images_to_score(arguments: commands.Evaluate, model: L2RCLIP) -> tuple[str, Split, str]:
    """Return images with their labels, what to call them, and what is missing of them.

    They are a split of the run's data, or where these cannot be read, a new table of labels.

    Raises:
        InputError: Neither can be read, or the data of the run have other ranks, whatever words
            say them.
    """
    try:
        data = data_of(arguments.run, arguments)
    except InputError:
        if not arguments.labels:
            raise
        part = _rows_of_new_table(arguments.labels, arguments, model)
        return f"all rows of {arguments.labels}", part, ""

    if not _are_other_words(model.ranks, data.ranks):
        raise InputError(
            f"{arguments.run}: its data have {len(data.ranks)} ranks; --ranks names others, or in "
            "another order; give images with such labels by --root and --labels."
        )
    return arguments.split, data.split(arguments.split), data.caveat


def _are_other_words(ranks: Ranks, of_data: Ranks) -> bool:
    """Return whether ranks may be those of the data in other words; numbers are no words.

    Example:
        >>> data = Ranks(("none", "some", "many"), (0, 1, 2), "{rank} spots")
        >>> _are_other_words(replace(data, names=("few", "some", "most")), data)
        True
        >>> _are_other_words(replace(data, names=("many", "some", "none")), data)
        False
    """
    if all(list(each.names) == in_words(each.values) for each in (ranks, of_data)):
        return ranks.values == of_data.values
    pairs = zip(ranks.names, of_data.names, strict=True)
    return len(ranks) == len(of_data) and all(
        name == own or name not in of_data.names for name, own in pairs
    )


def _calibrate_on(labels: str, scored: Split, model: L2RCLIP, arguments: commands.Evaluate) -> None:
    """Fit the temperature on the images of a second table of labels.

    Raises:
        InputError: One of them is to be scored, too, or see `_rows_of_new_table`.
    """
    part = _rows_of_new_table(labels, arguments, model)
    files = []
    for split in (part, scored):  # those that are drawn or in memory have none
        paths = [image.path for image in split.images if isinstance(image, ImageFile)]
        files.append(set(map(os.path.realpath, paths)))
    both = sorted(set.intersection(*files))
    if both:
        raise InputError(
            f"{labels}: the image {both[0]} is to be scored, too; leave it out of one of the "
            "tables."
        )
    calibrate(model, model.encode(part, cache=arguments.cache), part.targets)


def _rows_of_new_table(labels: str, arguments: commands.Evaluate, model: L2RCLIP) -> Split:
    """Return every row of a new table of labels, whose columns are called as in that of the run.

    Raises:
        InputError: A row without its image, or with a label that the model does not know.
    """
    source: dict[str, Any] = {}
    tested: list[str] = []
    directory = RunDirectory(arguments.run)
    if directory.config.is_file():  # else a model alone
        dataset = directory.read_record().dataset
        source = dataset.source or source
        if directory.predictions.is_file() and "root" in source:
            paths = directory.read_predictions(dataset.ranks)["path"]
            tested = [os.path.realpath(os.path.join(source["root"], path)) for path in paths]

    root = Path(arguments.root or ".")
    columns = {}
    for role, name in (("path", "path"), ("label", "label"), ("subject", "group")):
        columns[role] = str(source.get(f"{name}_column", name))
    rows, _ = own_table(root, labels, columns)
    rows["file"] = files_inside(root, rows)
    refuse(rows, rows["file"] == "", "path", f"is not under {root}; correct it or --root.")
    is_old = rows["file"].isin(tested)
    if is_old.sum() > len(tested) / 2 and not is_old.all():
        warn(
            f"{labels}: names most test images of the run and others; if these are its own, it was "
            "trained on most of them."
        )
    of_run: LabelsAre = source.get("labels_are", "names")
    if arguments.ranks or "rebin" in source:  # these are other ranks than its labels name
        of_run = "names"
    label_space(rows, model.ranks, None, arguments.labels_are or of_run)
    return as_split(rows)
