"""pyproject.toml and requirements describe one stack; files of others are listed."""

import re
from operator import attrgetter
from pathlib import Path

import chapters
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import l2rclip_lite
from l2rclip_lite.files import sha256_of

FOLDER = chapters.ROOT / "requirements"
PROJECT = chapters.project()
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
EXTRA_NAMES = [name for name in EXTRAS if name != "all"]
NOTES = sorted((chapters.BOOK / "_extra").glob("*/README.md"))
PROGRAMS = (".js", ".mjs", ".wasm", ".woff2")


def pins(name: str) -> dict[str, str]:
    """Return the version of each package in a lock, of which pip must know every file."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert re.findall(r"^\S+==.*\n(?! +--hash=sha256:[0-9a-f]{64})", text, re.MULTILINE) == []
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_the_lock_meets_every_range() -> None:
    """Each dependency that pyproject.toml declares is pinned, within its range."""
    locked = pins("lock.txt")
    lines = list(PROJECT["dependencies"])
    for name in EXTRA_NAMES:
        lines += EXTRAS[name]
    for requirement in map(Requirement, lines):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])

    assert pins("torch.txt").items() <= locked.items()  # written by hand, for the processor
    assert pins("snakemake.txt")
    assert EXTRAS["all"] == [f"l2rclip-lite[{','.join(EXTRA_NAMES)}]"]


def test_three_files_have_the_same_version() -> None:
    """pyproject.toml, the package, CITATION.cff."""
    citation = yaml.safe_load((chapters.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == l2rclip_lite.__version__


def test_every_file_of_others_is_listed() -> None:
    """Code and typefaces; a typeface that the style sheet names is here, with its licence."""
    fonts = chapters.BOOK / "_static" / "fonts"
    files = [*(chapters.BOOK / "_extra").rglob("*.*"), *fonts.iterdir()]
    paths = [
        file.relative_to(chapters.ROOT).as_posix() for file in files if file.suffix in PROGRAMS
    ]
    note = (FOLDER / "vendored.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"`(book/[^`]+)`", note)) == sorted(paths)

    css = (fonts.parent / "book.css").read_text(encoding="utf-8")
    named = set(re.findall(r'url\("fonts/([^"]+)"\)', css))
    assert named == {file.name for file in fonts.glob("*.woff2")}
    assert "SIL OPEN FONT LICENSE" in (fonts / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("note", NOTES, ids=attrgetter("parent.name"))
def test_a_program_of_others_is_the_one_that_its_note_names(note: Path) -> None:
    """By SHA-256."""
    digests = re.findall(r"\b[0-9a-f]{64}\b", note.read_text(encoding="utf-8"))
    programs = [file for file in note.parent.iterdir() if file.suffix in PROGRAMS]
    assert sorted(map(sha256_of, programs)) == sorted(digests)
