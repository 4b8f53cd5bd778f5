"""`l2rclip fit`, `compare`, `report` and `export`: make a run, and use what it left."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from l2rclip_lite import commands, training
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError, in_one_sentence, one_line, plural
from l2rclip_lite.export import check_installed, export_onnx
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import ece
from l2rclip_lite.metrics.bootstrap import (
    Scores,
    resample_counts,
    resampled,
    with_intervals,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.runs import OTHER_DATA, RunDirectory, fingerprint, probabilities_of
from l2rclip_lite.runs.results import (
    NO_INTERVAL,
    SCORES,
    Run,
    score_table,
    titled,
)

FEWEST_FOR_INTERVALS = 9  # with fewer images an interval of 90 % holds every rank
REPORTS = "l2rclip_lite.report"  # entry points: the package does not import who writes its report
PLACES = ("root", "labels", "lists")  # options that say where the data are now
N_IMAGES = 64  # that an exported file is checked on


# --- fit ----------------------------------------------------------------------------------------


def fit(arguments: commands.Fit) -> None:
    """Train a run, or load it where it is finished, and print its scores."""
    is_first = os.environ.get("RANK", "0") == "0"  # of several processes, one prints
    quiet = arguments.quiet or not is_first
    source: dict[str, Any] = {"name": arguments.dataset, **arguments.options}
    data = load_dataset(**source)
    if not quiet:
        print(data.summary(), end="\n\n", flush=True)

    run = training.fit(
        data, arguments.config, arguments.out, source=source, cache=arguments.cache, quiet=quiet
    )
    if not quiet:
        _print_scores(run, data)
    if is_first:
        test = run.metrics["test"]
        caveat = f" ({data.caveat})" if data.caveat else ""
        print(
            f"test RPS {test['rps']:.3f}, MAE (median) {test['mae_median']:.3f}, "
            f"accuracy {test['accuracy']:.3f}{caveat}; the run is in {arguments.out}"
        )


def _print_scores(run: Run, data: OrdinalDataset) -> None:
    """Print the test scores of a run, and what was chosen and calibrated on validation images."""
    scores = table(titled(run.metrics), f"test; unit of MAE: {data.ranks.unit}")
    print(scores, NO_INTERVAL, sep="\n", end="\n\n")
    if run.metrics["test"]["rps"] >= run.metrics["median_rank"]["rps"]:
        print("not better, by RPS, than the answer that looks at no image (median rank)")

    mixture = run.history[-1] if run.history else {}
    if "numbers" in mixture:  # of a kernel head
        print(
            f"kernel chosen by validation: weight of sentences {mixture['text']:.2f}, "
            f"of numbers {mixture['numbers']:.2f}"
        )

    too_few = len(data.val) < FEWEST_FOR_INTERVALS
    intervals = "intervals of all ranks, for want of images" if too_few else "90 % intervals"
    print(
        f"calibrated on {plural(len(data.val), 'validation image')}: "
        f"temperature {float(run.model.temperature):.2f}, {intervals}"
    )


# --- a finished run, read again -----------------------------------------------------------------


def load_model(
    run: str, method: str | None, weights: commands.Weights, device: str = "cpu"
) -> L2RCLIP:
    """Return L2RCLIP of a run, or one of its baselines.

    Raises:
        InputError: A method that was not trained, a model that is damaged, or a link in the place
            of a file of the run.
    """
    source = RunDirectory(run)
    if method is not None:
        source = source.baseline(method)
        if not source.model.is_file():
            raise InputError(
                f"{source.folder}: not there; train it by `l2rclip baselines {run} {method}`."
            )

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
        raise InputError(
            f"{run}: has no record of where its data are; fit it by `l2rclip fit`, or let "
            "`evaluate` score a table by --root and --labels."
        )

    moved = {name: getattr(where, name) for name in PLACES if getattr(where, name)}
    fix = "fit it by `l2rclip fit`, or pass --root if it has moved"
    with in_one_sentence(run, "its data cannot be read again", fix):
        data = load_dataset(**{**stored.source, **moved})

    if stored.fingerprint != fingerprint(data):
        raise InputError(
            f"{run}: has {OTHER_DATA} than those here, or is of another release; pass the old "
            "--root, or fit it again."
        )
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
        title = (
            f"\ndifference from {comparison.name}, paired by {drawn}; "
            "it counts where its interval has no 0"
        )
        print(table(comparison.differences, title))
    print(f"\n{NO_INTERVAL}")


def compared(run: str) -> RunScores:
    """Return what a run and its baselines answered to the test images, and how well.

    A baseline that is not complete is left out, with a warning.

    Raises:
        InputError: A file of the run was changed, or a baseline belongs to other images.
    """
    directory = RunDirectory(run)
    ranks = directory.read_record().dataset.ranks
    ours = directory.read_predictions(ranks)
    true = ours["true_rank"].to_numpy()
    subjects = ours["subject"].tolist() if "subject" in ours else None

    def score(answers: pd.DataFrame) -> Scores:
        p = probabilities_of(answers)
        of_sample = {"ece": np.array([ece(true, p, ranks)])}  # alone, see `metrics.evaluate`
        draws = resample_counts(subjects, len(true))
        return resampled(p, true, ranks, draws) | of_sample

    name = next(iter(titled(directory.read_metrics())))
    of_ours = score(ours)
    scores = {name: with_intervals(of_ours)}
    differences = {}
    for folder in sorted(directory.baselines.glob("*/")):
        method = folder.name
        baseline = directory.baseline(method)
        if not is_complete(baseline):
            warn(
                f"{baseline.folder} is not complete and is left out; "
                f"`l2rclip baselines {run} {method}` trains it."
            )
            continue

        theirs = baseline.read_predictions(ranks)
        aligned = ours[["path", "true_rank"]].merge(theirs, how="left")  # in the order of ours
        if len(ours) != len(theirs) or aligned.isna().any(axis=None):
            raise InputError(
                f"{baseline.predictions}: its images are not those of the run, or have other true "
                "ranks; delete the folder and train it again."
            )

        of_theirs = score(aligned)
        scores[method] = with_intervals(of_theirs)
        differences[method] = with_intervals({key: of_theirs[key] - of_ours[key] for key in SCORES})
    return RunScores(ranks, name, ours, scores, differences)


def table(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Return one line per method with its scores and their intervals.

    The last two scores stand below the others, as terminals are narrow.
    """
    cells = score_table(rows, 3)
    return f"{title}\n{cells.iloc[:, :3].to_string()}\n\n{cells.iloc[:, 3:].to_string()}"


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
    writer.load()(run, target, compared(run), partial(data_of, run, arguments))
    print(f"{target}: open it in a browser")


def export(arguments: commands.Export) -> None:
    """Write the file, checked on photographs that ship with the package.

    Raises:
        InputError: Another ending than .onnx, or what `export_onnx` raises.
    """
    file = arguments.file
    if file.suffix != ".onnx":
        raise InputError(f"export: {file} must end in .onnx.")
    check_installed()  # before the model is loaded
    model = load_model(arguments.run, arguments.method, arguments)
    print("writing the graph, and comparing it with PyTorch", file=sys.stderr, flush=True)

    images = load_dataset("coffee").test.subset(range(N_IMAGES))
    largest = export_onnx(model, file, images)

    size = file.stat().st_size / 1e6
    print(
        f"{file}: {size:.1f} MB, input pixels, outputs probabilities and expected\n"
        f"largest difference from PyTorch: {largest:.1g} in a probability, on {N_IMAGES} images"
    )
