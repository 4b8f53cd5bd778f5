"""What several commands share: words of the command line, tables, and how a finished run is read."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from l2rclip_lite.errors import InputError

if TYPE_CHECKING:
    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.ranks import Ranks

OURS, BASELINES = "L2RCLIP", "baselines"  # a row of a table; a folder of a run
Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Names = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME ...]")]
Images = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
File = Annotated[Path, tyro.conf.Positional]
Method = str | None
Part = Literal["train", "val", "test"]
Labels = Literal["names", "index", "position"] | None


@dataclass(frozen=True)
class Place:
    """Where the data of a finished run are now.

    A run's own record of them is followed only inside the current folder; whatever lies elsewhere is named again.
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


Where = Annotated[Place, tyro.conf.arg(name="")]
How = Annotated[Reading, tyro.conf.arg(name="")]


def table(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """One line per method with its scores and their intervals; the last two stand below, as terminals are narrow."""
    import pandas as pd

    from l2rclip_lite.results import SCORES, cell

    cells = {name: {SCORES[key]: cell(row, key, 3) for key in SCORES} for name, row in rows.items()}
    found = pd.DataFrame(cells).T
    return f"{title}\n{found.iloc[:, :3].to_string()}\n\n{found.iloc[:, 3:].to_string()}"


def judged(run: str) -> "tuple[Ranks, dict[str, Any], dict[str, Any]]":
    """The ranks of a run; what L2RCLIP and each baseline answered about the test images; `metrics.resampled` of that."""
    from l2rclip_lite.metrics import resampled
    from l2rclip_lite.results import read_table

    if away := [
        p for p in Path(run).rglob("*") if not p.resolve().is_relative_to(Path(run).resolve())
    ]:
        raise InputError(f"{away[0]} leads out of {run}; put the file itself there.")
    files = {OURS: Path(run, "predictions.csv")}
    files |= {
        file.parent.name: file for file in sorted(Path(run, BASELINES).glob("*/predictions.csv"))
    }
    ranks, scores = load_model(run).ranks, {}
    answers = {name: read_table(file, ("path", "true_rank")) for name, file in files.items()}
    ours = answers[OURS]
    subjects = ours["subject"].astype(str).tolist() if "subject" in ours else None
    for name, each in answers.items():
        if not each["path"].equals(ours["path"]):
            raise InputError(f"{run}: {name} answered other images; delete it and train it again.")
        p = each.filter(regex=r"^p_\d+$").to_numpy()
        scores[name] = resampled(p, each["true_rank"].to_numpy(), ranks, groups=subjects)
    return ranks, answers, scores


def load_model(run: str, method: str | None = None, device: str = "cpu") -> "L2RCLIP":
    """L2RCLIP of a run, or one of its baselines."""
    from l2rclip_lite.model import L2RCLIP

    folder = Path(run, BASELINES, method) if method else run
    if method and not Path(folder).is_dir():
        raise InputError(f"{folder}: not there; train it by `l2rclip {BASELINES} {run} {method}`.")
    return L2RCLIP.from_pretrained(folder, device=device)


def data_of(run: str, where: Place) -> "OrdinalDataset":
    """The data of a run, read again and compared with what they were."""
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.data.fingerprint import (
        UNKNOWN_IMAGES,
        covers_images,
        difference,
        fingerprint,
    )
    from l2rclip_lite.files import read_json
    from l2rclip_lite.run_directory import RunDirectory

    stored = read_json(RunDirectory(run).config)
    named = {key: place for key in ("root", "labels", "lists") if (place := getattr(where, key))}
    away, trusted = list[str](), [Path.cwd(), Path(where.root or ".").resolve()]
    try:
        about = stored["dataset"]
        source = {**about["source"], **named}
        for key in ("root", "labels", "lists"):
            if key in source and key not in named:
                paths = [
                    Path(start, source[key]).resolve() for start in (".", source.get("root") or ".")
                ]
                if not all(any(path.is_relative_to(each) for each in trusted) for path in paths):
                    away.append(f"--{key} {source[key]}")
        data = None if away else load_dataset(**source)
    except (InputError, LookupError, TypeError) as error:
        hint = "fit it by `l2rclip fit`, or pass --root if it has moved"
        raise InputError(f"{run}: its data cannot be read again; {hint} ({error})") from error
    if data is None:
        said = f"its data lie outside the current folder; if you trust its record, add {' '.join(away)}"
        raise InputError(f"{run}: {said}")
    if changed := difference(about["fingerprint"], fingerprint(data)):
        raise InputError(f"{run}: data with {changed} now; pass the old --root.")
    if not covers_images(about["fingerprint"]):
        print(f"{run}: {UNKNOWN_IMAGES}", file=sys.stderr)
    return data


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
    """bracol, bracol-area 1 to 5; apples81, hc18 0 to 4; csv 1 to --folds; others as `l2rclip data NAME` says."""
    folds: int | None = None
    """csv: draw so many test parts that together hold every image."""
    category: str | None = None
    """aesthetics: animals, nature, people or urban."""
    labels: str | None = None
    """csv: a .csv, .tsv or .parquet file, its path from the root or from here; else ROOT/labels.csv or a folder per rank."""
    ranks: str | None = None
    """csv: the names, lowest first, with commas, or 0:9; else the numbers in the file. leaves: their number."""
    labels_are: Literal["names", "index", "position"] | None = None
    """csv: names of ranks, which are values where they are numbers (the default); index from 0; position from 1."""
    template: str | None = None
    """csv: a sentence with {rank} where the name goes; else "a photo of a {rank} object", of numbers "... grade {rank}"."""
    unit: str | None = None
    """csv: what the numbers of the ranks count, such as weeks; "grade" if not given."""
    path_column: str | None = None
    """csv: the column with the image's path; `path` if not given."""
    label_column: str | None = None
    """csv: the column with the label; `label` if not given."""
    group_column: str | None = None
    """csv: the column with who or what is shown, kept in one split; `group` if not given and there."""
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
    """csv: go on though a rank has no training image; its sentence, or its number, alone stands for it."""
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


def given_options(options: DataOptions) -> dict[str, Any]:
    """The keyword arguments of `load_dataset` that were given, ready for JSON."""
    return {
        key: value
        for key, value in asdict(options).items()
        if value is not None and value is not False
    }
