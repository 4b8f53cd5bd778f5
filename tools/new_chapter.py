"""Begin a chapter: its source from the template, its entry in `_toc.yml`, its row in the README.

    python tools/new_chapter.py calibration "Honest probabilities"

writes book/NN_calibration.py, where NN is the next number. The chapter runs as it is; what it says
is to be replaced.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import chapters
import setup_cell

TEMPLATE = chapters.BOOK / "_template" / "chapter.py"
ENTRY = re.compile(r"^ +- file: book/[0-9]{2}_.*\n", re.MULTILINE)
ROW = re.compile(r"^[0-9]+\. \[.*\]\((.*)\) \(\[Colab\]\((.*)\)\)\n", re.MULTILINE)


def new_source(number: int, title: str) -> str:
    """Return the source of a chapter: the template's text, this title, today's set-up cell."""
    text = TEMPLATE.read_text(encoding="utf-8")
    text = text.replace("# # TITLE\n", f"# # {title}\n").replace("NUMBER", str(number))
    return setup_cell.renew(text)


def add_below_last(file: Path, pattern: re.Pattern[str], line: str) -> None:
    """Write a line into a file, below the last line of a pattern."""
    text = file.read_text(encoding="utf-8")
    *_, last = pattern.finditer(text)
    file.write_text(text[: last.end()] + line + text[last.end() :], encoding="utf-8")


def begin(name: str, title: str) -> Path:
    """Write the source of a new chapter and enter it in the table of contents and in the README."""
    last = chapters.sources()[-1].stem
    number = int(last.split("_")[0]) + 1
    stem = f"{number:02}_{name}"

    readme = chapters.ROOT / "README.md"
    *_, row = ROW.finditer(readme.read_text(encoding="utf-8"))
    page, colab = (address.replace(last, stem) for address in row.groups())

    source = chapters.BOOK / f"{stem}.py"
    source.write_text(new_source(number, title), encoding="utf-8")
    add_below_last(chapters.ROOT / "_toc.yml", ENTRY, f"      - file: book/{stem}\n")
    add_below_last(readme, ROW, f"{number}. [{title}]({page}) ([Colab]({colab}))\n")
    return source


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="of the file, such as calibration; small letters and _")
    parser.add_argument("title", help="as the page and the README show it")
    options = parser.parse_args()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", options.name):
        parser.error(f"the name {options.name!r} has other signs than small letters, digits and _")
    print(begin(options.name, options.title).relative_to(chapters.ROOT))


if __name__ == "__main__":
    main()
