"""Draw the results on the front page and in the README, and write the table of the three claims.

    python tools/front_figure.py             write results.png, words.png and claims.md

They lie in `book/_static` and are made from `book/results`. The figures carry the SHA-256 of the
tables that they were drawn from, so that a stale one is noticed.
"""

from __future__ import annotations

import hashlib

import chapters

from l2rclip_book.evidence import STEPS, order_steps, staircase
from l2rclip_book.gains import MANY, MEAN, gain_table, judge_claims
from l2rclip_book.results import read_results
from l2rclip_book.words_figures import few_figure, shares_of_chance
from l2rclip_lite.files import write_atomically, write_text

PICTURE = chapters.BOOK / "_static" / "results.png"
WORDS = chapters.BOOK / "_static" / "words.png"
CLAIMS = chapters.BOOK / "_static" / "claims.md"
TABLE = chapters.BOOK / "results" / "matrix.csv"


def table_hash() -> str:
    """Return the SHA-256 of the results that the figures show: of rows, then of images."""
    digest = hashlib.sha256(TABLE.read_bytes())
    digest.update(TABLE.with_suffix(".images.csv.gz").read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Write the figures and the table."""
    table, images, missing = read_results(str(TABLE.parent))
    metadata = {"Software": None, "Source": table_hash()}
    few = few_figure(shares_of_chance(table))
    write_atomically(WORDS, lambda file: few.savefig(file, dpi=150, metadata=metadata))

    images = images[images["study"] == "main"]

    steps = order_steps(images[images["data"].isin(MANY)], list(STEPS))
    stairs = staircase(steps)
    write_atomically(PICTURE, lambda file: stairs.savefig(file, dpi=150, metadata=metadata))

    judged = judge_claims(images, missing)
    on_mean = judged[judged["data"] == MEAN]  # the single sets are in chapter 9
    claims = gain_table(on_mean, "RPS saved, % [95 % interval]")
    write_text(CLAIMS, claims + "\n")


if __name__ == "__main__":
    main()
