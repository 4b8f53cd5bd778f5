"""`l2rclip compare`, `report` and `export`: what is made of a finished run, read again here."""

import math
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from l2rclip_lite import commands
from l2rclip_lite.baselines import BASELINES
from l2rclip_lite.data import OrdinalDataset, Split, load_dataset
from l2rclip_lite.errors import InputError, in_one_sentence, one_line, plural
from l2rclip_lite.export import check_installed, export_onnx
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Scores, resampled, with_intervals
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.runs import OTHER_DATA, RunDirectory, fingerprint, probabilities_of
from l2rclip_lite.runs.results import SCORES, cell, row_titles

REPORTS = "l2rclip_lite.report"  # entry points: the package does not import who writes its report
PLACES = ("root", "labels", "lists")  # options that say where the data are now
MAX_IMAGES = 64  # that an exported file is checked on


# --- a finished run, read again -----------------------------------------------------------------


def load_model(
    run: str, method: str | None, weights: commands.Weights, device: str = "cpu"
) -> L2RCLIP:
    """Return L2RCLIP of a run, or one of its baselines.

    Raises:
        InputError: A method that was not trained, a model that is damaged, or a link in the place
            of a file of the run.
    """
    directory = RunDirectory(run)
    source = directory
    if method is not None:
        source = directory.baseline(method)
        if not source.model.is_file():
            fix = f"train it by `l2rclip baselines {run} {method}`"
            raise InputError(f"{source.folder}: not there; {fix}.")

    return L2RCLIP.from_pretrained(
        source.folder,
        device=device,
        weights=weights.weights,
        allow_download=weights.allow_download,
    )


def is_complete(baseline: RunDirectory) -> bool:
    """Return whether training of a baseline has come to its end."""
    has_files = baseline.model.is_file() and baseline.predictions.is_file()
    return has_files and not any(baseline.unfinished.glob("*.safetensors"))


def data_of(run: str, where: commands.MovedData) -> OrdinalDataset:
    """Return the data of a run, read again and compared with what they were.

    Raises:
        InputError: They cannot be read, or have changed.
    """
    stored = RunDirectory(run).read_record().dataset
    if stored.source is None:
        fix = "fit it by `l2rclip fit`, or let `evaluate` score a table by --root and --labels"
        raise InputError(f"{run}: has no record of where its data are; {fix}.")

    moved = {name: getattr(where, name) for name in PLACES if getattr(where, name)}
    fix = "fit it by `l2rclip fit`, or pass --root if it has moved"
    with in_one_sentence(run, "its data cannot be read again", fix):
        data = load_dataset(**{**stored.source, **moved})

    if stored.fingerprint != fingerprint(data):
        problem = f"has {OTHER_DATA} than those here, or is of another release"
        raise InputError(f"{run}: {problem}; pass the old --root, or fit it again.")
    return data


def warn(message: object, kind: str = "warning") -> None:
    """Write one line on stderr, which ends no command."""
    print(f"{kind}: {one_line(str(message))}", file=sys.stderr)


# --- compare ------------------------------------------------------------------------------------


class RunScores(NamedTuple):
    """What a run answered to its test images, beside its baselines.

    Args:
        ranks: The ranks of the run.
        name: What answered: L2RCLIP, or what was kept in its place.
        answers: Its `predictions.csv`.
        scores: Of it and of each baseline, with intervals.
        differences: Of the scores of each baseline from its own, with intervals, paired.
    """

    ranks: Ranks
    name: str
    answers: pd.DataFrame
    scores: dict[str, dict[str, float]]
    differences: dict[str, dict[str, float]]


def compare(arguments: commands.Compare) -> None:
    """Print the scores of a run and its baselines, and their paired differences."""
    comparison = compared(arguments.run)
    print(table(comparison.scores, f"test; unit of MAE: {comparison.ranks.unit}"))
    if comparison.differences:
        drawn = "subject" if "subject" in comparison.answers else "image"
        title = f"difference from {comparison.name}, paired by {drawn}"
        title += "; it counts where its interval has no 0"
        print(f"\n{table(comparison.differences, title)}")


def compared(run: str) -> RunScores:
    """Return what a run and its baselines answered to the test images, and how well.

    A baseline that is not complete is left out, with a warning.

    Raises:
        InputError: A file of the run was changed, or a baseline belongs to other images.
    """
    directory = RunDirectory(run)
    ranks = directory.read_record().dataset.ranks
    ours = directory.read_predictions(ranks)
    subjects = ours["subject"].tolist() if "subject" in ours else None

    def score(answers: pd.DataFrame) -> Scores:
        true = answers["true_rank"].to_numpy()
        return resampled(probabilities_of(answers), true, ranks, groups=subjects)

    name = row_titles(directory.read_metrics())["test"]
    of_ours = score(ours)
    scores = {name: with_intervals(of_ours)}
    differences = {}
    for method in sorted(BASELINES):
        baseline = directory.baseline(method)
        if not baseline.folder.is_dir():
            continue
        if not is_complete(baseline):
            fix = f"`l2rclip baselines {run} {method}` trains it"
            warn(f"{baseline.folder} is not complete and is left out; {fix}.")
            continue

        theirs = score(_in_order_of(ours, baseline.read_predictions(ranks), baseline))
        scores[method] = with_intervals(theirs)
        differences[method] = with_intervals({key: theirs[key] - of_ours[key] for key in SCORES})
    return RunScores(ranks, name, ours, scores, differences)


def _in_order_of(ours: pd.DataFrame, theirs: pd.DataFrame, baseline: RunDirectory) -> pd.DataFrame:
    """Return the answers of a baseline in the order of the run's own, image by image.

    Raises:
        InputError: It answered other images, or knows another true rank of one.
    """
    aligned = theirs.set_index("path", drop=False).reindex(ours["path"]).reset_index(drop=True)
    if len(ours) != len(theirs) or (aligned["true_rank"] != ours["true_rank"]).any():
        problem = "its images are not those of the run, or have other true ranks"
        fix = "delete the folder and train it again"
        raise InputError(f"{baseline.predictions}: {problem}; {fix}.")
    return aligned


def table(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Return one line per method with its scores and their intervals.

    The last two scores stand below the others, as terminals are narrow.
    """
    cells = {}
    for name, row in rows.items():
        cells[name] = {heading: cell(row, score, 3) for score, heading in SCORES.items()}
    frame = pd.DataFrame(cells).T
    return f"{title}\n{frame.iloc[:, :3].to_string()}\n\n{frame.iloc[:, 3:].to_string()}"


# --- report and export --------------------------------------------------------------------------


def report(arguments: commands.Report) -> None:
    """Write the page by whoever is installed to write it.

    Raises:
        InputError: A file that is no HTML, or a library that is missing.
    """
    run = arguments.run
    target = arguments.out or Path(run, "report.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"report: {target} must end in .html.")
    if find_spec("seaborn") is None:
        raise InputError('report: seaborn is not installed; run: pip install "l2rclip-lite[plots]"')

    (writer,) = entry_points(group=REPORTS)
    write_report = writer.load()
    write_report(run, target, compared(run), partial(data_of, run, arguments))
    print(f"{target}: open it in a browser")


def export(arguments: commands.Export) -> None:
    """Write the file, checked on test images of the run or on drawn leaves.

    Raises:
        InputError: Another ending than .onnx, or what `export_onnx` raises.
    """
    file = arguments.file
    if file.suffix != ".onnx":
        raise InputError(f"export: {file} must end in .onnx.")
    check_installed()  # before the model is loaded
    model = load_model(arguments.run, arguments.method, arguments)
    images = _images_to_check(arguments)
    print("writing the graph, and comparing it with PyTorch", file=sys.stderr, flush=True)

    largest, n_images = export_onnx(model, file, images)

    size = file.stat().st_size / 1e6
    print(
        f"{file}: {size:.1f} MB, input pixels, outputs probabilities and expected\n"
        f"largest difference from PyTorch: {largest:.1g} in a probability, "
        f"on {plural(n_images, 'image')}"
    )


def _images_to_check(arguments: commands.Export) -> Split:
    """Return test images of the run, or drawn leaves where its own are not at hand."""
    try:
        part = data_of(arguments.run, arguments).test
    except InputError as error:
        warn(f"checked on drawn leaves, as its own images are not at hand: {error}")
        part = load_dataset("leaves", size=60, pixels=320).test

    return part.subset(range(0, len(part), math.ceil(len(part) / MAX_IMAGES)))
