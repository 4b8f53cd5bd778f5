"""Options of the command line that several commands share.

Nothing here needs torch, so that help answers at once.
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import tyro

LabelsAre = Literal["names", "index", "position"]  # as `data` has it, which needs torch


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the data of a finished run are now; each is needed only if it has moved."""

    root: str | None = None
    """Folder of the images, if it has moved."""
    labels: str | None = None
    """csv: the labels file, absolute or relative to the root, if it has moved."""
    lists: str | None = None
    """Folder of the official split lists, if it has moved."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What a run may need besides its own files, and only with the user's word."""

    weights: str | None = None
    """The local file of weights that the run began with; a path in a run is not followed."""
    allow_download: bool = False
    """Let weights and tokenizer that the run names be downloaded, where this machine lacks them."""


@dataclass(frozen=True, kw_only=True)
class Reading(Place, Weights):
    """How to read the data of a run, and where to compute."""

    cache: str | None = None
    """Keep image features of a frozen tower in this folder, and take them from there."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Ranks that training never had."""

    ranks: str | None = None
    """Answer by these ranks in place of the run's own: names, lowest first, with commas, or 0:9."""
    template: str | None = None
    """Their sentence, with {rank} where the name goes; that of the run if not given."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What `load_dataset` takes besides the name; a loader knows its own defaults."""

    root: str | None = None
    """All but leaves: folder of the images."""
    lists: str | None = None
    """Folder of the official split lists; ROOT/datalists if not given."""
    protocol: str | None = None
    """morph, clap2015, aesthetics: which split; `l2rclip data NAME` lists them."""
    fold: int | None = None
    """bracol, bracol-area 1 to 5; fruits, portraits, hc18 0 to 4; csv 1 to --folds; others as
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
    labels_are: LabelsAre | None = None
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


def load_options(options: DataOptions) -> dict[str, Any]:
    """Return the keyword arguments of `load_dataset` that the user has set, ready for JSON."""
    return {
        key: value
        for key, value in asdict(options).items()
        if value is not None and value is not False
    }
