"""What several commands share: words of the command line, tables, reading a finished run."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from l2rclip_lite.errors import InputError, one_line

if TYPE_CHECKING:
    import pandas as pd

    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.metrics.checks import Scores
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.ranks import Ranks
    from l2rclip_lite.run_directory import RunDirectory

OURS = "L2RCLIP"  # a row of a table
PLACES = ("root", "labels", "lists")  # what `Place` may name
Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Names = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME ...]")]
Images = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Method = str | None
Part = Literal["train", "val", "test"]
Labels = Literal["names", "index", "position"] | None


@dataclass(frozen=True)
class Place:
    """Where the data of a finished run are now.

    A run's own record of them is followed only inside the current folder; whatever lies elsewhere
    is named again.
    """

    root: str | None = None
    """Folder of the images; needed if it has moved, or does not lie in the current folder."""
    labels: str | None = None
    """csv: the labels file, absolute or relative to the root; needed if it lies elsewhere."""
    lists: str | None = None
    """Folder of the official split lists; needed as the root is."""


@dataclass(frozen=True)
class Reading(Place):
    """How to read the data of a run, and where to compute."""

    cache: str | None = None
    """Keep image features of a frozen tower in this folder, and take them from there."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""
    weights: str | None = None
    """The local file of weights that the run began with; a path in a run is not followed."""
    allow_download: bool = False
    """Let weights and tokenizer that the run names be downloaded, where this machine lacks them."""


Where = Annotated[Place, tyro.conf.arg(name="")]
How = Annotated[Reading, tyro.conf.arg(name="")]


def table(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Return one line per method with its scores and their intervals.

    The last two scores stand below the others, as terminals are narrow.
    """
    import pandas as pd

    from l2rclip_lite.results import SCORES, cell

    cells = {}
    for name, row in rows.items():
        cells[name] = {heading: cell(row, score, 3) for score, heading in SCORES.items()}
    frame = pd.DataFrame(cells).T
    return f"{title}\n{frame.iloc[:, :3].to_string()}\n\n{frame.iloc[:, 3:].to_string()}"


def judged(run: str) -> "tuple[Ranks, dict[str, pd.DataFrame], dict[str, Scores]]":
    """Return how well a run and its baselines answered the test images.

    Returns:
        The ranks; the answers of L2RCLIP and of each baseline, all in the order of the run's own;
        their scores, see `metrics.resampled`.

    Raises:
        InputError: A file of the run was changed, or a baseline belongs to other images.
    """
    from l2rclip_lite.metrics import resampled
    from l2rclip_lite.model_file import find_model_file, read_settings
    from l2rclip_lite.run_directory import RunDirectory
    from l2rclip_lite.run_schema import RESTORE, probabilities_of

    directory = RunDirectory(run)
    directory.has_file(directory.model)  # refuses a link
    directory.check_model()
    _, ranks = read_settings(find_model_file(run))
    ours = directory.read_predictions(ranks)
    n_test = int(directory.read_metrics()["test"]["n"])
    if len(ours) != n_test:
        problem = f"{len(ours)} rows, but the run has {n_test} test images"
        raise InputError(f"{directory.predictions}: {problem}; {RESTORE}.")

    answers = {OURS: ours}
    for name, baseline in finished_baselines(directory).items():
        theirs = baseline.read_predictions(ranks)
        answers[name] = in_order_of(ours, theirs, baseline)

    subjects = None
    if "subject" in ours:
        subjects = ours["subject"].tolist()

    scores = {}
    for name, answer in answers.items():
        p = probabilities_of(answer)
        scores[name] = resampled(p, answer["true_rank"].to_numpy(), ranks, groups=subjects)
    return ranks, answers, scores


def finished_baselines(run: "RunDirectory", *, quiet: bool = False) -> "dict[str, RunDirectory]":
    """Return the directories of the baselines of a run that are complete, by name.

    A folder whose name is that of no method, or that is not complete, is left out, with a warning on
    stderr.

    Args:
        run: The run.
        quiet: Whether to leave the warnings out.

    Raises:
        InputError: A baseline was trained on other data than the run.
    """
    from l2rclip_lite.baselines import BASELINES, one_name

    finished = {}
    for folder in run.baseline_names():
        baseline = run.baseline(folder)
        name = one_name(folder)
        if name not in BASELINES:
            place = f"the folder {folder!r} in {baseline.folder.parent}"
            warn(f"{place} is no baseline and is left out; rename or delete it.", quiet)
            continue

        baseline.check()
        is_complete = baseline.has_file(baseline.model)
        is_complete = is_complete and baseline.has_file(baseline.predictions)  # it is written last
        if not is_complete:
            fix = f"`l2rclip baselines {run.folder} {name}` trains it"
            warn(f"{baseline.folder} is not complete and is left out; {fix}.", quiet)
            continue
        check_same_data(run, baseline)
        finished[name] = baseline
    return finished


def warn(message: str, quiet: bool) -> None:
    """Write a warning on stderr, unless it has been written already."""
    if not quiet:
        print(f"warning: {one_line(message)}", file=sys.stderr)


def check_same_data(run: "RunDirectory", baseline: "RunDirectory") -> None:
    """Refuse a baseline that was trained on other data than the run.

    Those of earlier releases have no record; of them the test images are compared alone.
    """
    from l2rclip_lite.data.fingerprint import covers_images

    fix = "delete the folder and train it again"
    ours = run.read_record().dataset.fingerprint
    if not baseline.has_file(baseline.config):
        if covers_images(ours) and baseline.has_file(baseline.predictions):
            raise InputError(f"{baseline.folder}: has no record of its data; {fix}.")
        return
    theirs = baseline.read_record().dataset.fingerprint
    if ours != theirs:
        problem = f"{baseline.folder}: was trained on other data than the run"
        raise InputError(f"{problem}; {fix}.")


def in_order_of(
    ours: "pd.DataFrame", theirs: "pd.DataFrame", baseline: "RunDirectory"
) -> "pd.DataFrame":
    """Return the answers of a baseline in the order of the run's own, image by image.

    Raises:
        InputError: It answered other images, or knows another true rank of one.
    """
    fix = "delete the folder of the baseline and train it again"
    by_path = theirs.set_index("path", drop=False)
    if len(ours) != len(theirs) or not ours["path"].isin(by_path.index).all():
        raise InputError(f"{baseline.predictions}: its images are not those of the run; {fix}.")

    aligned = by_path.loc[ours["path"]].reset_index(drop=True)
    differs = (aligned["true_rank"] != ours["true_rank"]).to_numpy()
    if differs.any():
        path = ours["path"][differs.argmax()]
        row = int((theirs["path"] == path).to_numpy().argmax()) + 2
        problem = f"the true rank of {path!r} is not that of the run"
        raise InputError(f"{baseline.predictions} row {row}: {problem}; {fix}.")
    return aligned


def load_model(
    run: str,
    method: str | None = None,
    device: str = "cpu",
    *,
    weights: str | None = None,
    allow_download: bool = False,
) -> "L2RCLIP":
    """Return L2RCLIP of a run, or one of its baselines.

    Raises:
        InputError: A method that does not exist or was not trained, a model that is damaged, or a
            link in the place of a file of the run.
    """
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.run_directory import RunDirectory

    directory = RunDirectory(run)
    source = directory
    if method is not None:
        source = directory.baseline(folder_of(directory, method))
        if not source.has_file(source.model):
            fix = f"train it by `l2rclip baselines {run} {method}`"
            raise InputError(f"{source.folder}: not there; {fix}.")
        check_same_data(directory, source)

    source.has_file(source.model)  # refuses a link
    source.check_model()
    return L2RCLIP.from_pretrained(
        source.folder, device=device, weights=weights, allow_download=allow_download
    )


def folder_of(run: "RunDirectory", method: str) -> str:
    """Return the name of the folder in which a baseline of the run is kept.

    A run of an earlier release may keep one under its other name.
    """
    from l2rclip_lite.baselines import ALIASES, BASELINES, one_name

    name = one_name(method)
    if name not in BASELINES:
        choices = ", ".join(BASELINES)
        raise InputError(f"--method {method!r} is no baseline; choose one of {choices}.")
    aliases = [alias for alias, canonical in ALIASES.items() if canonical == name]
    for folder in (name, *aliases):
        baseline = run.baseline(folder)
        if baseline.has_file(baseline.model):
            return folder
    return name


def data_of(run: str, where: Place) -> "OrdinalDataset":
    """Return the data of a run, read again and compared with what they were.

    Raises:
        InputError: They cannot be read, lie where the user has not named them, or have changed.
    """
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.data.fingerprint import (
        UNKNOWN_IMAGES,
        covers_images,
        difference,
        fingerprint,
    )
    from l2rclip_lite.run_directory import RunDirectory

    stored = RunDirectory(run).read_record().dataset
    fix = "fit it by `l2rclip fit`, or pass --root if it has moved"
    if stored.source is None:
        raise InputError(f"{run}: has no record of where its data are; {fix}.")

    places = {"root": where.root, "labels": where.labels, "lists": where.lists}
    named = {key: place for key, place in places.items() if place}
    source = {**stored.source, **named}
    unnamed = places_elsewhere(run, source, named)
    if unnamed:
        problem = "its data lie outside the current folder"
        advice = f"if you trust its record, add {' '.join(unnamed)}"
        raise InputError(f"{run}: {problem}; {advice}")

    try:
        data = load_dataset(**source)
    except (InputError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{run}: its data cannot be read again; {fix} ({error})") from error

    changed = difference(stored.fingerprint, fingerprint(data))
    if changed:
        raise InputError(f"{run}: data with {changed} now; pass the old --root.")
    if not covers_images(stored.fingerprint):
        print(f"{run}: {UNKNOWN_IMAGES}", file=sys.stderr)
    return data


def places_elsewhere(run: str, source: Mapping[str, Any], named: Mapping[str, str]) -> list[str]:
    """Return the options by which a user would allow what a record names outside this folder.

    Args:
        run: A run directory, for errors.
        source: Arguments of `load_dataset`: the record of the run, changed where the user says so.
        named: Places that the user has named; what lies below their root is trusted, too.

    Raises:
        InputError: A place that is no path.
    """
    trusted = [Path.cwd(), Path(named.get("root", ".")).resolve()]
    elsewhere = []
    for key in PLACES:
        if key not in source or key in named:
            continue

        try:
            starts = (".", source.get("root") or ".")
            paths = [Path(start, source[key]).resolve() for start in starts]
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            # a number, a NUL, a name that is too long, a loop of links
            problem = f"its record of --{key} is no path ({error})"
            raise InputError(f"{run}: {problem}; pass --{key}.") from error

        for path in paths:
            if not any(path.is_relative_to(folder) for folder in trusted):
                elsewhere.append(f"--{key} {source[key]}")
                break
    return elsewhere


@dataclass(frozen=True)
class DataOptions:
    """What `load_dataset` takes besides the name; a loader knows its own defaults."""

    root: str | None = None
    """All but leaves: folder of the images."""
    lists: str | None = None
    """Folder of the official split lists; ROOT/datalists if not given."""
    protocol: str | None = None
    """morph, clap2015, aesthetics: which split; `l2rclip data NAME` lists them."""
    fold: int | None = None
    """bracol, bracol-area 1 to 5; apples81, hc18 0 to 4; csv 1 to --folds; others as
    `l2rclip data NAME` says."""
    folds: int | None = None
    """csv: draw so many test parts that together hold every image."""
    category: str | None = None
    """aesthetics: animals, nature, people or urban."""
    labels: str | None = None
    """csv: a .csv, .tsv or .parquet file, its path from the root or from here; else ROOT/labels.csv
    or a folder per rank."""
    ranks: str | None = None
    """csv: the names, lowest first, with commas, or 0:9; else the numbers in the file. leaves:
    their number."""
    labels_are: Literal["names", "index", "position"] | None = None
    """csv: names of ranks, which are values where they are numbers (the default); index from 0;
    position from 1."""
    template: str | None = None
    """csv: a sentence with {rank} where the name goes; else "a photo of a {rank} object", of
    numbers "... grade {rank}"."""
    unit: str | None = None
    """csv: what the numbers of the ranks count, such as weeks; "grade" if not given."""
    path_column: str | None = None
    """csv: the column with the image's path; `path` if not given."""
    label_column: str | None = None
    """csv: the column with the label; `label` if not given."""
    group_column: str | None = None
    """csv: the column with who or what is shown, kept in one split; `group` if not given and
    there."""
    split_column: str | None = None
    """csv: the column with train, val, test; `split` if not given and there."""
    val_share: float | None = None
    """csv: how much becomes validation where it is drawn; 0.15 if not given."""
    size: int | None = None
    """leaves: number of images."""
    pixels: int | None = None
    """leaves: side of the images."""
    seed: Annotated[int | None, tyro.conf.arg(name="data-seed")] = None
    """Seed of generated images and of splits that are drawn."""
    allow_missing: bool = False
    """Go on without the listed images that are not there; the run records them."""
    allow_empty_ranks: bool = False
    """csv: go on though a rank has no training image; its sentence, or its number, alone stands for
    it."""
    subject_disjoint: bool = False
    """Split anew so that nobody is in two splits."""
    rebin: int | None = None
    """Merge neighbouring ranks into so many."""
    hold_out: int | None = None
    """Unseen ranks: 3 takes a third of those between the ends out of training and validation."""
    label_shift: str | None = None
    """RANKS:KEEP, such as 10:0.1: the 10 most frequent ranks keep a tenth of their images."""
    long_tail: float | None = None
    """Thin the training ranks out to this ratio of most to fewest images."""
    few_shot: int | None = None
    """Keep so many training images per rank."""
    protocol_seed: int | None = None
    """Seed of what the six options above draw or choose."""


Name = Annotated[str | None, tyro.conf.Positional]
Data = Annotated[DataOptions, tyro.conf.arg(name="")]
DATA = DataOptions()


def load_options(options: DataOptions) -> dict[str, Any]:
    """Return the keyword arguments of `load_dataset` that the user has set, ready for JSON."""
    return {
        key: value
        for key, value in asdict(options).items()
        if value is not None and value is not False
    }
