"""pyproject.toml, requirements and environment.yml describe one stack, each file with a hash."""

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
PYPROJECT = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
EXTRA_NAMES = [name for name in EXTRAS if name != "all"]
LOCK = (FOLDER / "lock.txt").read_text(encoding="utf-8")


def pins(text: str) -> dict[str, list[str]]:
    """Return the lines of each pin in a file: the pin itself, then its hashes."""
    blocks = re.findall(r"^[^\s#].*(?:\n[ \t]+\S.*)*", text, re.MULTILINE)
    return {block.split("==")[0]: block.split(" \\\n") for block in blocks}


@pytest.mark.parametrize("name", ["lock.txt", "snakemake.txt", "torch.txt"])
def test_a_lock_installs_the_same_files_on_every_machine(name: str) -> None:
    """Plain pins, no build tag such as +cpu, no index, a SHA-256 of every file pip may take."""
    locked = pins((FOLDER / name).read_text(encoding="utf-8"))
    assert locked
    for pin, *hashes in locked.values():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*(?: ; [a-z_0-9'=<>!.* ()A-Z]+)?", pin)
        assert hashes
        for line in hashes:
            assert re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}", line), pin


def test_the_lock_meets_every_range() -> None:
    """Each dependency that pyproject.toml declares is pinned, within its range."""
    locked = pins(LOCK)
    lines = list(PROJECT["dependencies"])
    for name in EXTRA_NAMES:
        lines += EXTRAS[name]

    for requirement in map(Requirement, lines):
        pin = locked[canonicalize_name(requirement.name)][0]
        version = pin.split("==")[1].split(" ")[0]
        assert requirement.specifier.contains(version), requirement

    # the hashes of torch for the processor are written by hand
    for name, wheels in pins((FOLDER / "torch.txt").read_text(encoding="utf-8")).items():
        assert wheels[0] == locked[name][0]
    assert EXTRAS["all"] == [f"l2rclip-lite[{','.join(EXTRA_NAMES)}]"]


def test_three_files_have_the_same_version() -> None:
    """pyproject.toml, the package, CITATION.cff."""
    citation = yaml.safe_load((chapters.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert l2rclip_lite.__version__ == PROJECT["version"]


def test_conda_installs_what_pip_locks() -> None:
    """Python, pip, and the lock."""
    conda = yaml.safe_load((chapters.ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["-r requirements/lock.txt"]}]


def test_every_file_of_others_is_listed() -> None:
    """Code and typefaces; a licence or a note beside them is no part of a program."""
    note = (FOLDER / "vendored.md").read_text(encoding="utf-8")
    files = [*(chapters.BOOK / "_extra").rglob("*.*")]
    files += (chapters.BOOK / "_static" / "fonts").rglob("*.*")
    programs = [file for file in files if file.suffix not in (".md", ".txt")]
    paths = [file.relative_to(chapters.ROOT).as_posix() for file in programs]
    assert sorted(re.findall(r"`(book/[^`]+)`", note)) == sorted(paths)


@pytest.mark.parametrize("folder", ["book", "l2rclip_lite"])
def test_only_webassembly_is_larger_than_5_mb(folder: str) -> None:
    """A clone stays small."""
    files = (chapters.ROOT / folder).rglob("*.*")
    large = [file for file in files if file.stat().st_size > 5e6]
    assert [file.name for file in large if file.suffix != ".wasm"] == []
