"""Options of the command line that several commands share.

Nothing here needs torch, so that help answers at once.
"""

from dataclasses import dataclass


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
