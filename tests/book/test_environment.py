"""pyproject.toml, the files in requirements and environment.yml describe one stack, each file of it with a hash."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chapters
import jaxtyping
import lock
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
    pins = {}
    for name, block in lock.blocks(text).items():
        pin, *hashes = block.split(" \\\n    ")
        if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*(?: ; [a-z_0-9'=<>!.* ()A-Z]+)?", pin):
            yield f"{pin!r} is no plain pin"
        if not hashes or not all(map(lock.HASH.fullmatch, hashes)):
            yield f"{pin!r} has a file without a SHA-256"
        pins[name] = pin.split(" ; ")[0].split("==")[-1]
    extras = [
        line for name, group in PROJECT["optional-dependencies"].items() if name != "all" for line in group
    ]
    for wanted in map(Requirement, PROJECT["dependencies"] + extras):
        version = pins.get(canonicalize_name(wanted.name), "0")
        if not wanted.specifier.contains(version.split("+")[0]):
            yield f"{wanted} is not met by {version}"


def test_lock_is_portable_and_meets_every_range() -> None:
    """Plain pins, no build tag, no index address, hashes, each declared dependency within its range."""
    assert list(_lock_problems(LOCK)) == []


@pytest.mark.parametrize(
    "name", sorted(path.name for path in lock.FOLDER.glob("*.txt") if path.name != "constraints.txt")
)
def test_every_file_that_pip_may_take_has_a_hash(name: str) -> None:
    """A pin without one would be taken as it comes."""
    pins = lock.blocks((lock.FOLDER / name).read_text(encoding="utf-8"))
    assert pins
    assert [pin for pin, block in pins.items() if not lock.HASH.search(block)] == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("torch==2.13.0 ", "torch==2.13.0+cpu ", "'torch==2.13.0+cpu' is no plain pin"),
        (
            "jupyter-book==1.0.4.post1 ",
            "jupyter-book==2.1.7 ",
            "jupyter-book<2,>=1.0.4 is not met by 2.1.7",
        ),
        ("papermill==", "paper==", "papermill>=2.6 is not met by 0"),
        ("# Made", f"--index-url https://x.org \\\n    --hash=sha256:{64 * '0'}\n# Made", "is no plain pin"),
        ("papermill==2.7.0 \\\n    --hash=sha256", "papermill==2.7.0 \\\n    --hash=md5", "has a file without a SHA-256"),
    ],
)  # fmt: skip
def test_a_bad_lock_is_noticed(old: str, new: str, complaint: str) -> None:
    """Each of these would install here and fail, or differ, elsewhere."""
    assert LOCK.count(old) >= 1
    (found,) = _lock_problems(LOCK.replace(old, new, 1))
    assert complaint in found


def test_the_builds_that_are_not_on_pypi_are_accepted() -> None:
    """Their hashes are written by hand, beside those of PyPI's files; hashes of another release stop the lock."""
    by_hand = lock.blocks((lock.FOLDER / "constraints.txt").read_text(encoding="utf-8"))
    pins = lock.blocks(LOCK)
    for name in ("torch", "torchvision"):
        (own,) = lock.HASH.findall(by_hand[name])
        assert own in pins[name]
        assert len(lock.HASH.findall(pins[name])) > 10
    with pytest.raises(SystemExit, match=r"hashes for torch==2\.13\.0, which the lock does not pin"):
        lock.add_hashes({"torch": "torch==2.14.0"}, {"torch": by_hand["torch"]})


def test_every_installation_from_the_lock_asks_for_hashes() -> None:
    """`make install` and `make snakemake`, as make would run them on a fresh machine."""
    command = ["make", "--no-print-directory", "-n", "-B", "install", "snakemake", "VENV=none"]
    recipe = subprocess.run(command, cwd=chapters.ROOT, check=True, capture_output=True, text=True).stdout
    installs = re.findall(r"-m pip install[^\n;]*-r requirements/\S+", recipe)
    assert len(installs) == 4
    assert all("--require-hashes --no-deps" in line for line in installs)


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
    assert section == {"pip": ["-r requirements/lock.txt", "-r requirements/cuda.txt"]}
    assert all(Path(chapters.ROOT, line.removeprefix("-r ")).is_file() for line in section["pip"])


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
    """The book takes the repository's address from pyproject.toml (see book/_ext/project.py)."""
    config = yaml.safe_load((chapters.ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert "url" not in config["repository"]
    assert PROJECT["urls"]["Repository"].startswith("https://")


def test_the_build_of_torch_at_hand_is_chosen_first_and_checked_like_every_other(tmp_path: Path) -> None:
    """What `make install` cuts out of the lock for it: both pins, whole, with every hash."""
    command = ["make", "-n", "-B", "install", f"VENV={tmp_path}"]
    told = subprocess.run(command, cwd=chapters.ROOT, capture_output=True, text=True, check=True).stdout
    steps = [line for line in told.splitlines() if "requirements/lock.txt" in line]
    first, cut = steps[0], next(step for step in steps if step.startswith("awk "))
    assert " download " in first
    assert told.index(cut) < told.index("--no-index --find-links") < told.index("-r requirements/lock.txt")
    (tmp_path / "torch").mkdir()
    subprocess.run(["bash", "-c", cut], cwd=chapters.ROOT, check=True)
    found = lock.blocks((tmp_path / "torch" / "pins.txt").read_text(encoding="utf-8"))
    whole = lock.blocks((chapters.ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8"))
    assert found == {name: whole[name] for name in ("torch", "torchvision")}
