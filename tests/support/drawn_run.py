"""A run of the drawn discs, made on the command line as a user makes it."""

from pathlib import Path
from typing import NamedTuple

from drawn import CSV_RANKS
from run_files import Outcome

RANKS = ",".join(CSV_RANKS)
TEMPLATE = "a photo of a {rank} banana"

# A fit of a second.
TINY = ("--towers", "tiny/random", "--epochs1", "1", "--epochs2", "1", "--hidden", "32")
BATCH = ("--batch_size", "4")


class DrawnRun(NamedTuple):
    """A finished run, the folder of its images, and what `fit` printed; tests change copies."""

    out: Path
    root: Path
    fit: Outcome


def fit_words(root: Path, out: Path) -> tuple[str | Path, ...]:
    """Return the command that fits the drawn discs, as the help spells it."""
    data = ("--dataset", "csv", "--root", root, "--labels", "labels.csv")
    ranks = ("--ranks", RANKS, "--template", TEMPLATE)
    return ("fit", *data, *ranks, *TINY, *BATCH, "--out", out)
