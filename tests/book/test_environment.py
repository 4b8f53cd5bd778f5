"""pyproject.toml, requirements/lock.txt and environment.yml describe one stack."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chapters
import jaxtyping
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

PROJECT: dict[str, Any] = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
LOCK = (chapters.ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
CONDA: dict[str, Any] = yaml.safe_load((chapters.ROOT / "environment.yml").read_text(encoding="utf-8"))


def _lock_problems(text: str) -> Iterator[str]:
    """What keeps a lock file from working on every machine, or from holding what pyproject.toml asks for."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in lines:
        if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line):
            yield f"{line!r} is no plain pin"
    pins = {canonicalize_name(line.split("==")[0]): line.split("==")[-1] for line in lines}
    extras = [
        line for name, group in PROJECT["optional-dependencies"].items() if name != "all" for line in group
    ]
    for wanted in map(Requirement, PROJECT["dependencies"] + extras):
        version = pins.get(canonicalize_name(wanted.name), "0")
        if not wanted.specifier.contains(version.split("+")[0]):
            yield f"{wanted} is not met by {version}"


def test_lock_is_portable_and_meets_every_range() -> None:
    """Plain pins, no build tag, no index address, each declared dependency within its range."""
    assert list(_lock_problems(LOCK)) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("torch==2.13.0\n", "torch==2.13.0+cpu\n", "'torch==2.13.0+cpu' is no plain pin"),
        (
            "jupyter-book==1.0.4.post1\n",
            "jupyter-book==2.1.7\n",
            "jupyter-book<2,>=1.0.4 is not met by 2.1.7",
        ),
        ("papermill==", "paper==", "papermill>=2.6 is not met by 0"),
        ("# Made", "--extra-index-url https://example.org\n# Made", "is no plain pin"),
    ],
)
def test_a_bad_lock_is_noticed(old: str, new: str, complaint: str) -> None:
    """Each of these would install here and fail, or differ, elsewhere."""
    assert old in LOCK
    (found,) = _lock_problems(LOCK.replace(old, new, 1))
    assert complaint in found


def test_all_is_every_extra() -> None:
    """`pip install l2rclip-lite[all]` leaves nothing out, and `make lock` resolves it."""
    extras = set(PROJECT["optional-dependencies"]) - {"all"}
    assert PROJECT["optional-dependencies"]["all"] == [
        f"l2rclip-lite[{','.join(e for e in PROJECT['optional-dependencies'] if e in extras)}]"
    ]


def test_conda_environment_is_the_lock() -> None:
    """environment.yml brings the Python the lock was made with and leaves the rest to the lock."""
    assert CONDA["channels"] == ["conda-forge"]
    python, pip, section = CONDA["dependencies"]
    assert pip == "pip"
    version = python.removeprefix("python=")
    assert f"resolved under Python {version}." in LOCK
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert section == {"pip": ["-r requirements/lock.txt", "-e ."]}
    assert Path(chapters.ROOT, section["pip"][0].removeprefix("-r ")).is_file()


def test_types_are_checked_under_pytest() -> None:
    """The flag in pyproject.toml is on: a text where numbers belong does not even reach our code."""
    with pytest.raises(jaxtyping.TypeCheckError):
        Ranks(names=("a", "b"), values="12", template="{rank}")  # type: ignore[arg-type]


@pytest.mark.untyped
def test_type_checks_can_be_switched_off() -> None:
    """A test marked `untyped` gets the package's own refusal."""
    with pytest.raises((InputError, TypeError)):
        Ranks(names=("a", "b"), values=None, template="{rank}")  # type: ignore[arg-type]


def test_one_version_number() -> None:
    """The citation file names the version of the package."""
    citation = yaml.safe_load((chapters.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]


def test_address_is_written_in_one_place() -> None:
    """The book takes the repository's address from pyproject.toml (see _ext/project.py)."""
    config = yaml.safe_load((chapters.ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert "url" not in config["repository"]
    assert PROJECT["urls"]["Repository"].startswith("https://")
