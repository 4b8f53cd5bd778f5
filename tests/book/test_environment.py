"""pyproject.toml, the files in requirements and environment.yml describe one stack, each file of it with a hash."""

import re
import tomllib
from typing import Any

import chapters
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import l2rclip_lite

FOLDER = chapters.ROOT / "requirements"
PROJECT: dict[str, Any] = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text("utf-8"))[
    "project"
]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCK = (FOLDER / "lock.txt").read_text(encoding="utf-8")


def pins(text: str) -> dict[str, list[str]]:
    """A file of pins as name -> its lines."""
    blocks = re.findall(r"^[^\s#].*(?:\n[ \t]+\S.*)*", text, re.MULTILINE)
    return {block.split("==")[0]: block.split(" \\\n") for block in blocks}


@pytest.mark.parametrize("name", ["lock.txt", "snakemake.txt", "torch.txt"])
def test_a_lock_installs_the_same_files_on_every_machine(name: str) -> None:
    """Plain pins, no build tag such as +cpu, no index address, and a SHA-256 of every file that pip may take."""
    found = pins((FOLDER / name).read_text(encoding="utf-8"))
    assert found
    for pin, *hashes in found.values():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*(?: ; [a-z_0-9'=<>!.* ()A-Z]+)?", pin)
        assert hashes
        assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}", line) for line in hashes), pin


def test_the_lock_meets_every_range() -> None:
    """Each dependency that pyproject.toml declares is pinned, within its range."""
    found = pins(LOCK)
    wanted = PROJECT["dependencies"] + [
        line for name in EXTRAS if name != "all" for line in EXTRAS[name]
    ]
    for requirement in map(Requirement, wanted):
        pin = found[canonicalize_name(requirement.name)][0]
        assert requirement.specifier.contains(pin.split("==")[1].split(" ")[0]), requirement


def test_what_is_written_twice_agrees() -> None:
    """The version, the extras, torch for the processor, and the two tools that read the lock."""
    citation = yaml.safe_load((chapters.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == l2rclip_lite.__version__
    by_hand = pins((FOLDER / "torch.txt").read_text(encoding="utf-8"))
    assert all(lines[0] == pins(LOCK)[name][0] for name, lines in by_hand.items())
    assert EXTRAS["all"] == [f"l2rclip-lite[{','.join(name for name in EXTRAS if name != 'all')}]"]
    conda = yaml.safe_load((chapters.ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["-r requirements/lock.txt"]}]


def test_every_file_of_others_is_named_and_nothing_is_large() -> None:
    """Code and typefaces; a licence or a note beside them is no part of a program. Only WebAssembly is over 5 MB."""
    named = re.findall(r"`(book/[^`]+)`", (FOLDER / "vendored.md").read_text(encoding="utf-8"))
    folders = [chapters.BOOK / "_extra", chapters.BOOK / "_static" / "fonts"]
    held = [p for folder in folders for p in folder.rglob("*.*") if p.suffix not in (".md", ".txt")]
    assert sorted(named) == sorted(path.relative_to(chapters.ROOT).as_posix() for path in held)
    files = [
        p for folder in ("book", "l2rclip_lite") for p in (chapters.ROOT / folder).rglob("*.*")
    ]
    assert [p.name for p in files if p.stat().st_size > 5e6 and p.suffix != ".wasm"] == []
