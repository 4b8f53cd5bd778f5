"""Labels files, split lists and folders of all data sets: damaged, hostile, or leading elsewhere."""

import os
from pathlib import Path
from typing import Any

import pytest
from drawn import make_fixture
from faults import HOSTILE, damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import load_dataset

pytestmark = pytest.mark.untyped
RANKS = {"csv": {"ranks": "fresh,ripe,overripe"}}
NAMES = ("csv", "bracol", "apples81", "morph", "clap2015", "adience", "hci", "aesthetics")
OPTIONS = ("root", "lists", "labels", "ranks", "template", "seed", "fold", "protocol", "category")
OPTIONS += ("labels_are", "folds", "group_column", "val_share")
Folders = dict[str, tuple[Path, dict[Path, bytes]]]


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A small folder in the layout of each data set, and the files that list its images."""
    found = {}
    for name in NAMES:
        folder = make_fixture(name, tmp_path_factory.mktemp(name) / name)
        load_dataset(name, root=folder, **RANKS.get(name, {}))
        texts = [file for file in folder.rglob("*") if file.suffix in (".csv", ".txt")]
        found[name] = folder, {file: file.read_bytes() for file in sorted(texts)}
    return found


@many(short=120, long=25_000)
@given(st.data())
def test_a_damaged_table(fixtures: Folders, data: st.DataObject) -> None:
    """What is read anyway has each image in one split, inside the folder."""
    name = data.draw(st.sampled_from(NAMES))
    folder, files = fixtures[name]
    file = data.draw(st.sampled_from(list(files)))
    content = data.draw(damaged(files[file]))
    file.write_bytes(content)
    try:
        with judged("labels files and split lists, damaged or with hostile cells", must=False):
            read = load_dataset(name, root=folder, **RANKS.get(name, {}))
            paths = [path for part in (read.train, read.val, read.test) for path in part.paths]
            assert len(set(paths)) == len(paths), "an image is in two splits"
            assert all(
                Path(folder, path).resolve().is_relative_to(folder.resolve()) for path in paths
            )
    finally:
        file.write_bytes(files[file])


@many(short=60, long=6_000)
@given(st.data())
def test_options_of_another_kind(fixtures: Folders, data: st.DataObject) -> None:
    """As a notebook or a config.json may give them."""
    name = data.draw(st.sampled_from(NAMES))
    options: dict[str, Any] = {"root": fixtures[name][0]} | RANKS.get(name, {})
    options[data.draw(st.sampled_from(OPTIONS))] = data.draw(st.sampled_from(HOSTILE))
    with judged("options of a data set of another type", must=False):
        load_dataset(name, **options)


ELSEWHERE = [
    "../secret.png",
    "sub/../../secret.png",
    "OUTSIDE/secret.png",
    "C:\\secret.png",
    "..\\secret.png",
]
ELSEWHERE += [
    "\\\\server\\share\\x.png",
    "link.png",
    "door/secret.png",
    "ring.png",
    "device.png",
    "pipe.png",
    "sub",
]
ELSEWHERE += ["gone.png", "x" * 5000, "a\0.png", "https://example.org/a.png"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_path_that_leads_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Out of the folder, by dots, a link, a drive or a share; or to what is no file. No byte of it is read."""
    root = make_fixture("csv", tmp_path / "root")
    (tmp_path / "secret.png").touch()
    (root / "sub").mkdir()
    os.mkfifo(root / "pipe.png")
    links = {
        "link.png": "../secret.png",
        "door": tmp_path,
        "ring.png": "ring.png",
        "device.png": "/dev/zero",
    }
    for link, target in links.items():
        (root / link).symlink_to(target)
    first, second, *rest = (root / "labels.csv").read_text(encoding="utf-8").splitlines()
    changed = ",".join([path.replace("OUTSIDE", str(tmp_path)), *second.split(",")[1:]])
    (root / "labels.csv").write_text("\n".join([first, changed, *rest]) + "\n", encoding="utf-8")
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("opened"))
    with judged("paths that leave their folder; links, pipes and folders in the place of images"):
        load_dataset("csv", root=root, **RANKS["csv"])
