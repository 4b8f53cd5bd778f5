"""A finished run as commands read it: its model, and its data or a new table of labels."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from l2rclip_lite.baselines import BASELINES
from l2rclip_lite.commands.options import LabelsAre, Part, Place, Reading, Words
from l2rclip_lite.data import OrdinalDataset, Split, load_dataset
from l2rclip_lite.data.fingerprint import difference, fingerprint
from l2rclip_lite.data.own_images import files_inside, own_table
from l2rclip_lite.data.table import as_split, label_space, ranks_of_names, refuse
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.heads.calibration import calibrate
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.runs.run_directory import RunDirectory

PLACES = ("root", "labels", "lists")  # options that say where the data are now
MAX_IMAGES = 64  # that an exported file is checked on
TRAIN_AGAIN = "delete the folder and train it again"


def load_model(run: str, method: str | None, how: Reading) -> L2RCLIP:
    """Return L2RCLIP of a run, or one of its baselines.

    Raises:
        InputError: A method that does not exist or was not trained, a model that is damaged, or a
            link in the place of a file of the run.
    """
    directory = RunDirectory(run)
    source = directory
    if method is not None:
        source = baseline_of(directory, method)
        if not source.has_file(source.model):
            fix = f"train it by `l2rclip baselines {run} {method}`"
            raise InputError(f"{source.folder}: not there; {fix}.")
        check_same_data(directory, source)

    source.check_model()
    return L2RCLIP.from_pretrained(
        source.folder,
        device=how.device,
        weights=how.weights,
        allow_download=how.allow_download,
    )


def baseline_of(run: RunDirectory, method: str) -> RunDirectory:
    """Return the directory of a baseline of the run, there or not.

    Raises:
        InputError: A name that is no baseline.
    """
    if method not in BASELINES:
        choices = ", ".join(BASELINES)
        raise InputError(f"--method {method!r} is no baseline; choose one of {choices}.")
    return run.baseline(method)


def in_other_words(model: L2RCLIP, words: Words) -> L2RCLIP:
    """Return a model that answers in the words that a user names; as it is where these are its own.

    Raises:
        InputError: Names that are no ranks, or a model that knows no sentences.
    """
    template = words.template or model.ranks.template
    ranks = replace(model.ranks, template=template)
    if words.ranks is not None:
        ranks = ranks_of_names(words.ranks, template)
    return model if ranks.sentences == model.ranks.sentences else model.with_ranks(ranks)


def warn_of_words(model: L2RCLIP, trained: L2RCLIP) -> None:
    """Say on stderr what answers in words that training never had are worth."""
    if model is not trained:
        advice = "trust the order of the answers, not how sure they are (`evaluate --calibrate`)"
        warn(f"training never had these words: {advice}.")


def warn(message: str) -> None:
    """Write a warning on stderr."""
    print(f"warning: {one_line(message)}", file=sys.stderr)


def check_same_data(run: RunDirectory, baseline: RunDirectory) -> None:
    """Refuse a baseline that was trained on other data than the run."""
    problem = ""
    if baseline.has_file(baseline.config):
        theirs = baseline.read_record().dataset.fingerprint
        if theirs != run.read_record().dataset.fingerprint:
            problem = "was trained on other data than the run"
    elif baseline.has_file(baseline.predictions):
        problem = "has no record of its data"
    if problem:
        raise InputError(f"{baseline.folder}: {problem}; {TRAIN_AGAIN}.")


def data_of(run: str, where: Place) -> OrdinalDataset:
    """Return the data of a run, read again and compared with what they were.

    Raises:
        InputError: They cannot be read, or have changed.
    """
    stored = RunDirectory(run).read_record().dataset
    if stored.source is None:
        fix = "fit it by `l2rclip fit`, or let `evaluate` score a table by --root and --labels"
        raise InputError(f"{run}: has no record of where its data are; {fix}.")

    moved = {name: getattr(where, name) for name in PLACES if getattr(where, name)}
    try:
        data = load_dataset(**{**stored.source, **moved})
    except (LookupError, TypeError, ValueError) as error:  # a record may hold anything
        fix = "fit it by `l2rclip fit`, or pass --root if it has moved"
        raise InputError(f"{run}: its data cannot be read again; {fix} ({error})") from error

    changed = difference(stored.fingerprint, fingerprint(data))
    if changed:
        raise InputError(f"{run}: data with {changed} now; pass the old --root.")
    return data


def images_to_score(
    run: str, split: Part, labels_are: LabelsAre | None, how: Reading, model: L2RCLIP
) -> tuple[str, Split, str]:
    """Return images with their labels, what to call them, and what is missing of them.

    They are a split of the run's data, or where these cannot be read, a new table of labels.

    Raises:
        InputError: Neither can be read, or the data of the run have another number of ranks.
    """
    try:
        data = data_of(run, how)
    except InputError:
        if not how.labels:
            raise
        part = _rows_of_new_table(run, how.labels, labels_are, how, model)
        return f"all rows of {how.labels}", part, ""

    if len(data.ranks) != len(model.ranks):
        problem = f"its data have {len(data.ranks)} ranks, and --ranks names {len(model.ranks)}"
        raise InputError(f"{run}: {problem}; give images with such labels by --root and --labels.")
    return split, data.split(split), data.caveat


def calibrate_on(
    labels: str,
    scored: Split,
    model: L2RCLIP,
    run: str,
    labels_are: LabelsAre | None,
    how: Reading,
) -> None:
    """Fit the temperature on the images of a second table of labels.

    Raises:
        InputError: One of them is to be scored, too, or see `_rows_of_new_table`.
    """
    part = _rows_of_new_table(run, labels, labels_are, how, model)
    both = sorted({*part.paths} & {*scored.paths})
    if both:
        problem = f"the image {both[0]} is to be scored, too"
        raise InputError(f"{labels}: {problem}; leave it out of one of the tables.")
    calibrate(model, model.encode(part, cache=how.cache), part.targets)


def _rows_of_new_table(
    run: str, labels: str, labels_are: LabelsAre | None, where: Place, model: L2RCLIP
) -> Split:
    """Return every row of a new table of labels, whose columns are called as in that of the run.

    Raises:
        InputError: It is the run's own table, which holds images of training; or a row without its
            image, or with a label that the model does not know.
    """
    source: dict[str, Any] = {}
    directory = RunDirectory(run)
    if directory.has_file(directory.config):  # else a model alone
        source = directory.read_record().dataset.source or source

    root = Path(where.root or ".")
    own = Path(source.get("root") or ".", source.get("labels") or "labels.csv")
    if source.get("name") == "csv" and own.resolve() == Path(root, labels).resolve():
        problem = "is the run's own table, which has changed or cannot be read"
        raise InputError(f"{labels}: {problem}; restore it, or name one of other images.")

    names = {"path": "path", "label": "label", "subject": "group"}
    columns = {role: str(source.get(f"{name}_column", name)) for role, name in names.items()}
    rows, _ = own_table(root, labels, columns)
    rows["file"] = files_inside(root, rows)
    refuse(rows, rows["file"] == "", "path", f"is not under {root}; correct it or --root.")
    label_space(rows, model.ranks, None, labels_are or source.get("labels_are", "names"))
    return as_split(rows)


def images_to_check(run: str, where: Place) -> list[Image.Image]:
    """Return test images of the run, or drawn leaves where its own are not at hand."""
    try:
        part = data_of(run, where).test
    except InputError:
        if where != Place():
            raise
        warn("its images are not at hand (--root names their folder): checked on drawn leaves")
        part = load_dataset("leaves", size=60, pixels=320).test

    step = math.ceil(len(part) / MAX_IMAGES)
    return [part[index][0] for index in range(0, len(part), step)]
