"""Labels files, split lists, archives and folders of all data sets: damaged, hostile, or leading elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import HOSTILE, SNIPPETS, damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.fixtures import make_fixture

pytestmark = pytest.mark.untyped
RANKS = {"csv": {"ranks": "fresh,ripe,overripe"}}
NAMES = ("csv", "bracol", "retinamnist", "morph", "clap2015", "adience", "hci", "aesthetics")
OPTIONS = ("root", "lists", "labels", "ranks", "template", "seed", "fold", "protocol", "category", "allow_missing")


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[Path, bytes]]]:
    """A small folder in the layout of each data set, and the files that list its images."""
    found = {}
    for name in NAMES:
        folder = make_fixture(name, tmp_path_factory.mktemp(name) / name)
        load_dataset(name, root=folder, **RANKS.get(name, {}))
        texts = [file for file in folder.rglob("*") if file.suffix in (".csv", ".txt", ".npz")]
        found[name] = folder, {file: file.read_bytes() for file in sorted(texts)}
    return found


@st.composite
def hostile_cell(draw: st.DrawFn, content: bytes) -> bytes:
    """The same table with one cell replaced."""
    lines = content.split(b"\n")
    row = draw(st.integers(0, min(len(lines) - 1, 5)))
    for separator in (b"\t", b",", b" "):
        if separator in lines[row]:
            cells = lines[row].split(separator)
            cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(SNIPPETS))
            lines[row] = separator.join(cells)
            break
    return b"\n".join(lines)


@many(short=120, long=25_000)
@given(st.data())
def test_a_damaged_table(fixtures: dict[str, tuple[Path, dict[Path, bytes]]], data: st.DataObject) -> None:
    """What is read anyway has each image in one split, and its rank among the ranks; every file is inside the folder."""
    name = data.draw(st.sampled_from(NAMES))
    folder, files = fixtures[name]
    file = data.draw(st.sampled_from(list(files)))
    content = data.draw(damaged(files[file]) if data.draw(st.booleans()) else hostile_cell(files[file]))
    file.write_bytes(content)
    try:
        with judged("tables", must=False):
            read = load_dataset(name, root=folder, **RANKS.get(name, {}))
            parts = [read.train, read.val, read.test]
            paths = [path for part in parts for path in part.paths]
            assert len(set(paths)) == len(paths), "an image is in two splits"
            assert {target for part in parts for target in part.targets} <= set(range(len(read.ranks)))
            if name != "retinamnist":
                real = (os.path.realpath(os.path.join(folder, path)) for path in paths)
                assert all(path.startswith(str(folder.resolve())) for path in real)
    finally:
        file.write_bytes(files[file])


@many(short=60, long=6_000)
@given(st.data())
def test_options_of_another_kind(fixtures: dict[str, tuple[Path, dict[Path, bytes]]], data: st.DataObject) -> None:
    """As a notebook or a config.json may give them."""
    name = data.draw(st.sampled_from(NAMES))
    options: dict[str, Any] = {"root": fixtures[name][0]} | RANKS.get(name, {})
    options[data.draw(st.sampled_from(OPTIONS))] = data.draw(st.sampled_from(HOSTILE))
    with judged("settings", must=False):
        load_dataset(name, **options)


ELSEWHERE = {
    "parent": "../secret.png",
    "hidden parent": "sub/../../secret.png",
    "absolute": "{outside}/secret.png",
    "drive": "C:\\secret.png",
    "share": "\\\\server\\share\\secret.png",
    "backslashes": "..\\secret.png",
    "link out": "link.png",
    "link to a folder out": "door/secret.png",
    "folder": "sub",
    "pipe": "pipe.png",
    "nothing": "gone.png",
    "ring": "ring.png",
    "device": "device.png",
    "long": "x" * 5000,
    "zero": "a\0.png",
    "address": "https://example.org/a.png",
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_a_path_that_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The row is named, and no byte outside the folder is read."""
    root = tmp_path / "root"
    folder = make_fixture("csv", root)
    (tmp_path / "secret.png").write_bytes(next(folder.rglob("*.png"), next(folder.rglob("*.jpg"), None)).read_bytes())
    (root / "sub").mkdir()
    os.mkfifo(root / "pipe.png")
    links = {"link.png": "../secret.png", "door": tmp_path, "ring.png": "ring.png", "device.png": "/dev/zero"}
    for link, target in links.items():
        (root / link).symlink_to(target)
    lines = (root / "labels.csv").read_text(encoding="utf-8").splitlines()
    path = ELSEWHERE[case].format(outside=tmp_path)
    lines[1] = ",".join([path, *lines[1].split(",")[1:]])
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("opened"))
    with judged("paths"):
        load_dataset("csv", root=root, ranks=RANKS["csv"]["ranks"])


@pytest.mark.parametrize("kind", ["folder", "pipe", "ring", "nothing"])
def test_no_file_in_the_place_of_the_labels(tmp_path: Path, kind: str) -> None:
    """A pipe would wait for ever."""
    labels = make_fixture("csv", tmp_path / "root") / "labels.csv"
    labels.unlink()
    if kind == "folder":
        labels.mkdir()
    elif kind == "pipe":
        os.mkfifo(labels)
    elif kind == "ring":
        labels.symlink_to(labels.name)
    with judged("paths", about="labels.csv"):
        load_dataset("csv", root=tmp_path / "root", ranks=RANKS["csv"]["ranks"])


@pytest.mark.parametrize("damage", ["bits", "cipher", "objects"])
def test_a_damaged_archive(tmp_path: Path, damage: str) -> None:
    """An array of objects is a pickle, and stays one."""
    folder = make_fixture("retinamnist", tmp_path / "retina")
    (file,) = folder.rglob("*.npz")
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez_compressed(file, **arrays | ({"train_labels": np.array([{}], object)} if damage == "objects" else {}))
    content = bytearray(file.read_bytes())
    local, central = content.index(b"train_labels.npy"), content.rindex(b"train_labels.npy")
    if damage == "bits":
        content[local + 36 : local + 76] = b"\xff" * 40
    elif damage == "cipher":  # the flag of an encrypted member, in both of its headers
        content[local - 24] |= 1
        content[central - 38] |= 1
    file.write_bytes(content)
    with judged("archives", about="retinamnist"):
        load_dataset("retinamnist", root=folder)
