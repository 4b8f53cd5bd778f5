"""The baselines of a finished run: how they are trained, and how they compare with it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from threadpoolctl import threadpool_limits

from l2rclip_lite.baselines import BASELINES, check_baselines, train_baseline
from l2rclip_lite.commands.finished_run import (
    TRAIN_AGAIN,
    baseline_of,
    check_same_data,
    data_of,
    load_model,
    warn,
)
from l2rclip_lite.commands.options import Reading
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import sha256_of
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Scores, resampled, with_intervals
from l2rclip_lite.runs.model_file import HUB, find_model_file, read_settings
from l2rclip_lite.runs.results import SCORES, cell, row_titles, write_predictions
from l2rclip_lite.runs.run_directory import RunDirectory, probabilities_of
from l2rclip_lite.runs.start import find_start
from l2rclip_lite.training_data import TrainingData


def table(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Return one line per method with its scores and their intervals.

    The last two scores stand below the others, as terminals are narrow.
    """
    cells = {}
    for name, row in rows.items():
        cells[name] = {heading: cell(row, score, 3) for score, heading in SCORES.items()}
    frame = pd.DataFrame(cells).T
    return f"{title}\n{frame.iloc[:, :3].to_string()}\n\n{frame.iloc[:, 3:].to_string()}"


class Compared(NamedTuple):
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


def compared(run: str) -> Compared:
    """Return what a run and its baselines answered to the test images, and how well.

    Raises:
        InputError: A file of the run was changed, or a baseline belongs to other images.
    """
    directory = RunDirectory(run)
    directory.check_model()
    _, ranks = read_settings(find_model_file(run))
    ours = directory.read_predictions(ranks)
    subjects = ours["subject"].tolist() if "subject" in ours else None

    def score(answers: pd.DataFrame) -> Scores:
        true = answers["true_rank"].to_numpy()
        return resampled(probabilities_of(answers), true, ranks, groups=subjects)

    name = row_titles(directory.read_metrics())["test"]
    of_ours = score(ours)
    scores = {name: with_intervals(of_ours)}
    differences = {}
    for method, baseline in _finished_baselines(directory).items():
        theirs = score(_in_order_of(ours, baseline.read_predictions(ranks), baseline))
        scores[method] = with_intervals(theirs)
        differences[method] = with_intervals({key: theirs[key] - of_ours[key] for key in SCORES})
    return Compared(ranks, name, ours, scores, differences)


def _finished_baselines(run: RunDirectory) -> dict[str, RunDirectory]:
    """Return the directories of the baselines of a run that are complete, by name.

    A folder whose name is that of no method, or that is not complete, is left out, with a warning.

    Raises:
        InputError: A baseline was trained on other data than the run.
    """
    finished = {}
    for name in run.baseline_names():
        baseline = run.baseline(name)
        if name not in BASELINES:
            place = f"the folder {name!r} in {baseline.folder.parent}"
            warn(f"{place} is no baseline and is left out; rename or delete it.")
        elif not _is_complete(baseline):
            fix = f"`l2rclip baselines {run.folder} {name}` trains it"
            warn(f"{baseline.folder} is not complete and is left out; {fix}.")
        else:
            check_same_data(run, baseline)
            finished[name] = baseline
    return finished


def _is_complete(baseline: RunDirectory) -> bool:
    """Return whether training of a baseline has come to its end."""
    baseline.check()
    has_files = all(map(baseline.has_file, (baseline.model, baseline.predictions)))
    return has_files and not baseline.has_folder(baseline.unfinished)


def _in_order_of(ours: pd.DataFrame, theirs: pd.DataFrame, baseline: RunDirectory) -> pd.DataFrame:
    """Return the answers of a baseline in the order of the run's own, image by image.

    Raises:
        InputError: It answered other images, or knows another true rank of one.
    """
    aligned = theirs.set_index("path", drop=False).reindex(ours["path"]).reset_index(drop=True)
    if len(ours) != len(theirs) or (aligned["true_rank"] != ours["true_rank"]).any():
        problem = "its images are not those of the run, or have other true ranks"
        raise InputError(f"{baseline.predictions}: {problem}; {TRAIN_AGAIN}.")
    return aligned


def train_missing(run: str, names: Sequence[str], start: str | None, how: Reading) -> None:
    """Train those of the named baselines that a run lacks.

    Args:
        run: A run directory.
        names: Which methods.
        start: Where the run that this one began with is now, if it has moved.
        how: Where to find data and device.

    Raises:
        InputError: A name that is no baseline, data that have changed, or a start that has.
    """
    trained = load_model(run, None, how)
    if trained.config.weights != how.weights:  # what a run names is not followed
        problem = f"its towers began with the weights of {trained.config.weights!r}"
        raise InputError(f"{run}: {problem}; name that file by --weights.")
    check_baselines(names)

    directory = RunDirectory(run)
    missing = []
    for name in dict.fromkeys(names):  # each once, in their order
        baseline = baseline_of(directory, name)
        check_same_data(directory, baseline)
        if not _is_complete(baseline):
            missing.append(baseline)
    if missing:
        start = _start_of(directory, trained.config.start, start)
        trained.config = replace(trained.config, start=start)
        _train(missing, directory, trained, how)


def _start_of(run: RunDirectory, recorded: str | None, named: str | None) -> str | None:
    """Return the run that a run began with, where it is now; None where it began with none.

    Args:
        run: A run directory.
        recorded: The name in its record; nothing is downloaded by it.
        named: Where the user says that it is.

    Raises:
        InputError: It is on the hub and not named, is another model than it was, or is named where
            there was none.
    """
    if recorded is None:
        if named is not None:
            raise InputError(f"{run.folder}: began with no other run; leave out --start.")
        return None

    start = named or recorded
    if named is None and recorded.startswith(HUB):
        fix = f"add --start {recorded} to download it"
        raise InputError(f"{run.folder}: began with {recorded}; {fix}.")
    if sha256_of(find_start(start)) != run.read_record().start_sha256:
        fix = "bring that back (--start)"
        raise InputError(f"{start}: is not what {run.folder} began with; {fix}.")
    return start


def _train(
    baselines: Sequence[RunDirectory], run: RunDirectory, trained: L2RCLIP, how: Reading
) -> None:
    """Train methods on the data of a run, and write each into its folder.

    Args:
        baselines: Where to; the name of a folder is that of its method.
        run: The run.
        trained: Its model: the methods begin with the same towers and settings, untrained.
        how: Where to find data, and to keep features.
    """
    data = data_of(str(run.folder), how)
    model = L2RCLIP.build(
        data.ranks,
        trained.config,
        allow_download=how.allow_download,
        commits=trained.towers.commits,
    )
    model.to(trained.device)
    with threadpool_limits(trained.config.threads):
        loaded = TrainingData.load(data, model, cache=how.cache, quiet=False)
        for baseline in baselines:
            name = baseline.folder.name
            print(f"{name}, to be kept in {baseline.folder}", file=sys.stderr)
            with baseline.writing():
                baseline.claim(data, trained.config, run.read_record().dataset.source)
                fitted = train_baseline(name, model, loaded, run=baseline, quiet=False)
                fitted.save_pretrained(baseline.folder)
                baseline.record_model()

                p = fitted.probabilities(loaded.encode(fitted, "test"))
                write_predictions(baseline, fitted, data.test, p)
                baseline.clean()
