"""Draw the verdict on the front page and in the README, and write its table.

    python tools/front_figure.py             write results.png and verdict.md

They lie in `book/_static` and are made from `book/results`. The figure carries the SHA-256 of the
tables that it was drawn from, so that a stale one is noticed.
"""

from __future__ import annotations

import hashlib

import chapters

from l2rclip_book.results import read_results
from l2rclip_book.targets import verdict_figure, verdict_gains, verdict_table
from l2rclip_lite.files import write_atomically, write_text

PICTURE = chapters.BOOK / "_static" / "results.png"
VERDICT = chapters.BOOK / "_static" / "verdict.md"
TABLE = chapters.BOOK / "results" / "matrix.csv"


def table_hash() -> str:
    """Return the SHA-256 of the results that the figure shows: of rows, then of images."""
    digest = hashlib.sha256(TABLE.read_bytes())
    digest.update(TABLE.with_suffix(".images.csv.gz").read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Write the figure and the table."""
    table, images, _ = read_results(str(TABLE.parent))
    gains = verdict_gains(table, images)

    figure = verdict_figure(gains)
    metadata = {"Software": None, "Source": table_hash()}
    write_atomically(PICTURE, lambda file: figure.savefig(file, dpi=150, metadata=metadata))
    write_text(VERDICT, verdict_table(gains) + "\n")


if __name__ == "__main__":
    main()
