"""Draw the figures of the front page and the README, and write the table of the verdict.

    python tools/front_figure.py             write answer.png, results.png and verdict.md

They lie in `book/_static`. The verdict is made from `book/results`; its figure carries the SHA-256
of the tables that it was drawn from, so that a stale one is noticed. The answers are those of a
head that is trained here, on the photographs of the package.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import chapters
from matplotlib.figure import Figure

from l2rclip_book.plots import gallery
from l2rclip_book.results import read_results
from l2rclip_book.targets import verdict_figure, verdict_gains, verdict_table
from l2rclip_lite import Config, fit, load_dataset
from l2rclip_lite.files import write_atomically, write_text

ANSWER = chapters.BOOK / "_static" / "answer.png"
PICTURE = chapters.BOOK / "_static" / "results.png"
VERDICT = chapters.BOOK / "_static" / "verdict.md"
TABLE = chapters.BOOK / "results" / "matrix.csv"


def table_hash() -> str:
    """Return the SHA-256 of the results that the figure shows: of rows, then of images."""
    digest = hashlib.sha256(TABLE.read_bytes())
    digest.update(TABLE.with_suffix(".images.csv.gz").read_bytes())
    return digest.hexdigest()


def answers_figure() -> Figure:
    """Draw the answers to the first test photograph of each grade of coffee leaves."""
    data = load_dataset("coffee")
    with TemporaryDirectory() as folder:
        run = fit(data, Config(image_side="kernel", threads=1), Path(folder) / "coffee")

    first = [data.test.targets.index(rank) for rank in range(len(data.ranks))]
    shown = data.test.subset(first)
    return gallery(shown, run.model.predict(shown).probabilities, data.ranks)


def write(file: Path, figure: Figure, **metadata: str) -> None:
    """Write a picture that depends on no version of the library that draws it."""
    facts = {"Software": None, **metadata}
    write_atomically(file, lambda path: figure.savefig(path, dpi=150, metadata=facts))


def main() -> None:
    """Write the figures and the table."""
    write(ANSWER, answers_figure())
    table, images, _ = read_results(str(TABLE.parent))
    gains = verdict_gains(table, images)

    write(PICTURE, verdict_figure(gains), Source=table_hash())
    write_text(VERDICT, verdict_table(gains) + "\n")


if __name__ == "__main__":
    main()
