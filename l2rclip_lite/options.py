"""Options that several commands share; tyro makes them of the fields, and their help of the lines below each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


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
    """bracol 1 to 5; morph, adience, hci, aesthetics as `l2rclip data NAME` says."""
    category: str | None = None
    """aesthetics: animals, nature, people or urban."""
    labels: str | None = None
    """csv: the labels file, absolute or relative to the root."""
    ranks: str | None = None
    """csv: the names, lowest first, with commas; leaves: their number."""
    template: str | None = None
    """csv: a sentence with {rank} where the name goes."""
    size: int | None = None
    """leaves: number of images."""
    pixels: int | None = None
    """leaves, retinamnist: side of the images."""
    data_seed: int | None = None
    """Seed of generated images and of splits that are drawn."""
    allow_missing: bool = False
    """Go on without the listed images that are not there; the run records them."""
    allow_empty_ranks: bool = False
    """csv: a rank may have no training image."""
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


@dataclass(frozen=True)
class Place:
    """Where a finished run is used: its data may have moved."""

    root: str | None = None
    """Folder of the images, if it has moved."""
    lists: str | None = None
    """Folder of the official split lists, if it has moved."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""


Data = Annotated[DataOptions, tyro.conf.arg(name="")]
Where = Annotated[Place, tyro.conf.arg(name="")]
DATA, HERE = DataOptions(), Place()
