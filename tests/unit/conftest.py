"""Towers, data and runs that several test files share; no test changes them."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import pytest
from drawn import make_fixture
from drawn_run import DrawnRun, fit_words
from run_files import run

import l2rclip_lite
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training import fit

LEAVES: dict[str, Any] = {"name": "leaves", "size": 60, "pixels": 64}


@pytest.fixture(scope="session", autouse=True)
def one_tokenizer() -> Iterator[None]:
    """Read open_clip's vocabulary once, and not for each of hundreds of tiny models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_clip, "get_tokenizer", cache(open_clip.get_tokenizer))
        yield


@pytest.fixture(scope="session")
def tiny() -> Towers:
    """A random CLIP of two layers."""
    return load_towers("tiny/random")


@pytest.fixture
def pocket_model(tmp_path: Path) -> str:
    """A small open_clip model that is not `tiny`."""
    source = Path(l2rclip_lite.__file__).parent / "towers" / "tiny.json"
    file = Path(shutil.copy(source, tmp_path / "pocket.json"))
    open_clip.add_model_config(file)
    return file.stem


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Hosts that were asked for; none answers."""
    requested: list[object] = []

    def refuse(*host: object, **_: object) -> None:
        requested.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return requested


@pytest.fixture(scope="session")
def mini() -> Towers:
    """The offline default, with its real weights."""
    return load_towers("mini")


@pytest.fixture(scope="session")
def leaves() -> OrdinalDataset:
    """Sixty leaves: 40 to train on, 10 to validate, 10 to test."""
    return load_dataset(**LEAVES)


@pytest.fixture(scope="session")
def small() -> Config:
    """A run of a second: two epochs of three steps a stage."""
    return Config(
        towers="tiny/random",
        epochs1=2,
        epochs2=2,
        batch_size=16,
        heads=2,
        hidden=32,
        lr1=3e-3,
        lr2=1e-3,
    )


@pytest.fixture(scope="session")
def pristine_run(
    leaves: OrdinalDataset, small: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of a kernel head with a baseline, written once."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = replace(small, epochs1=2, image_side="kernel")
    fit(leaves, config, folder, source=LEAVES, quiet=True)
    run("baselines", folder, "ridge")
    return folder


@pytest.fixture(scope="session")
def relative(
    leaves: OrdinalDataset, small: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run whose tower was tuned, with a baseline."""
    folder = tmp_path_factory.mktemp("relatives") / "relative"
    fit(leaves, small, folder, source=LEAVES, quiet=True)
    run("baselines", folder, "cross-entropy")
    return folder


@pytest.fixture(scope="session")
def drawn_run(tmp_path_factory: pytest.TempPathFactory) -> DrawnRun:
    """A run of the drawn discs, made by `l2rclip fit`."""
    folder = tmp_path_factory.mktemp("drawn")
    root = make_fixture("csv", folder / "photos")
    out = folder / "run"

    outcome = run(*fit_words(root, out))

    assert outcome.code == 0, outcome.err
    return DrawnRun(out, root, outcome)


@pytest.fixture
def folder(pristine_run: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be damaged."""
    return Path(shutil.copytree(pristine_run, tmp_path / "run"))
