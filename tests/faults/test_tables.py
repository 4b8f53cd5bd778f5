"""Labels files, split lists and folders of all data sets: damaged, hostile, leading elsewhere."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest
from drawn import make_fixture
from faults import damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import load_dataset

pytestmark = pytest.mark.untyped
NAMES = (
    "csv",
    "bracol",
    "apples81",
    "portraits",
    "morph",
    "clap2015",
    "adience",
    "hci",
    "aesthetics",
)


class Drawn(NamedTuple):
    """A small folder in the layout of a data set, and the files that list its images."""

    root: Path
    lists: dict[Path, bytes]


def required(name: str) -> dict[str, str]:
    """Return the options without which a data set cannot be loaded."""
    return {"ranks": "fresh,ripe,overripe"} if name == "csv" else {}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drawn]:
    """Return a folder of each data set that can be loaded."""
    folders = {}
    for name in NAMES:
        root = make_fixture(name, tmp_path_factory.mktemp(name) / name)
        load_dataset(name, root=root, **required(name))
        files = sorted(file for file in root.rglob("*") if file.suffix in (".csv", ".txt"))
        folders[name] = Drawn(root, {file: file.read_bytes() for file in files})
    return folders


@many(120)
@given(choice=st.data())
def test_a_damaged_table_is_refused_or_read_in_order(
    folders: dict[str, Drawn], choice: st.DataObject
) -> None:
    """One file of one data set after a few accidents; each image is in one split, in the folder."""
    name = choice.draw(st.sampled_from(NAMES))
    root, lists = folders[name]
    file = choice.draw(st.sampled_from(list(lists)))
    file.write_bytes(choice.draw(damaged(lists[file])))

    try:
        with judged(must=False):
            data = load_dataset(name, root=root, **required(name))
            paths = [*data.train.paths, *data.val.paths, *data.test.paths]
            assert len(set(paths)) == len(paths), "an image is in two splits"
            for path in paths:
                assert Path(root, path).resolve().is_relative_to(root.resolve())
    finally:
        file.write_bytes(lists[file])


ELSEWHERE = [
    "../secret.png",
    "sub/../../secret.png",
    "OUTSIDE/secret.png",
    "C:\\secret.png",
    "link.png",
    "door/secret.png",
    "ring.png",
    "device.png",
    "pipe.png",
    "sub",
    "gone.png",
    "x" * 5000,
    "a\0.png",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of drawn images, with links out of it and with what is no file."""
    root = make_fixture("csv", tmp_path / "root")
    (tmp_path / "secret.png").touch()
    (root / "sub").mkdir()
    os.mkfifo(root / "pipe.png")
    (root / "link.png").symlink_to("../secret.png")
    (root / "door").symlink_to(tmp_path)
    (root / "ring.png").symlink_to("ring.png")
    (root / "device.png").symlink_to("/dev/zero")
    return root


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_path_that_leads_elsewhere_is_refused_and_nothing_is_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """By dots, a link, a drive or a share; or to what is no file."""
    path = path.replace("OUTSIDE", str(root.parent))
    labels = root / "labels.csv"
    header, first_row, *rest = labels.read_text(encoding="utf-8").splitlines()
    _, label = first_row.split(",")
    labels.write_text("\n".join([header, f"{path},{label}", *rest]) + "\n", encoding="utf-8")

    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("opened"))
    with judged():
        load_dataset("csv", root=root, **required("csv"))
