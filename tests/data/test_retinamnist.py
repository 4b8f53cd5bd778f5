"""RetinaMNIST: the published file as it is, a fixture in its place, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import retinamnist
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.retinamnist import download_retinamnist, load_retinamnist
from l2rclip_lite.errors import InputError

Arrays = dict[str, np.ndarray]


def arrays(labels: list[int], pixels: int = 28) -> Arrays:
    """The six arrays of the published format; each picture is filled with its row number."""
    rows = np.arange(len(labels), dtype=np.uint8)
    pictures = np.broadcast_to(rows[:, None, None, None], (len(labels), pixels, pixels, 3))
    found: Arrays = {}
    for split in SPLITS:
        found |= {f"{split}_images": pictures, f"{split}_labels": np.array(labels, dtype=np.uint8)[:, None]}
    return found


def fixture(folder: Path, content: Arrays, name: str = "retinamnist.npz") -> Path:
    """A folder that is marked as synthetic, so that its MD5 is not asked for."""
    folder.mkdir(exist_ok=True)
    (folder / "FIXTURE.json").write_text(json.dumps({"data_set": "retinamnist"}))
    np.savez(folder / name, **content)  # type: ignore[arg-type]  # numpy's stub has no ** of arrays
    return folder


def test_the_published_file(real_retinamnist: Path) -> None:
    """Counts of the data notes, section 9; pixels and labels of the file, in its order, by folder or by file."""
    data = load_retinamnist(real_retinamnist)
    assert [data.counts(split) for split in SPLITS] == [
        [486, 128, 206, 194, 66],
        [54, 12, 28, 20, 6],
        [174, 46, 92, 68, 20],
    ]
    with np.load(real_retinamnist / "retinamnist.npz") as archive:
        assert data.test.targets == tuple(archive["test_labels"][:, 0])
        assert np.array_equal(np.array(data.val[119][0]), archive["val_images"][119])
    assert (data.val.paths[119], data.val[119][0].mode, data.ranks.unit) == ("val/0119", "RGB", "grade")
    assert load_retinamnist(real_retinamnist / "retinamnist.npz").val.targets == data.val.targets
    assert "SYNTHETIC" not in data.card.title + "".join(data.protocol)


def test_a_file_that_is_not_the_published_one(real_retinamnist: Path, tmp_path: Path) -> None:
    """One changed byte, the wrong size, no file, no folder: one sentence with the fix."""
    content = bytearray((real_retinamnist / "retinamnist.npz").read_bytes())
    (tmp_path / "retinamnist_64.npz").write_bytes(content)
    with pytest.raises(
        InputError, match=r"retinamnist_64\.npz: these are the pictures of 28 pixels; pass pixels=28"
    ):
        load_retinamnist(tmp_path, pixels=64)
    content[1000] ^= 1
    (tmp_path / "retinamnist.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"its MD5 is .* not bd4c0672f1bba3e3a89f0e4e876791e4 as published"):
        load_retinamnist(tmp_path)
    with pytest.raises(InputError, match=r"no retinamnist_224\.npz at .*; get it from https://zenodo"):
        load_retinamnist(tmp_path, pixels=224)
    with pytest.raises(
        InputError, match=r"no retinamnist\.npz at nowhere; to get it, run .*download_retinamnist"
    ):
        load_retinamnist("nowhere")


@pytest.mark.untyped
@pytest.mark.parametrize("pixels", [27, True, 28.0, "28", None])
def test_only_published_sizes(pixels: Any) -> None:
    """What equals 28 in Python and is no size is refused too."""
    with pytest.raises(InputError, match="pixels must be one of 28, 64, 128, 224, not"):
        load_retinamnist("nowhere", pixels=pixels)


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(0, 1))
def test_pictures_stay_with_their_labels(
    tmp_path_factory: pytest.TempPathFactory, more: list[int], other: int
) -> None:
    """Row i of the labels is the grade of row i of the pictures, in both sizes; a fixture says that it is one."""
    labels = [0, 1, 2, 3, 4, *more]
    pixels, name = ((28, "retinamnist.npz"), (64, "retinamnist_64.npz"))[other]
    root = fixture(tmp_path_factory.mktemp("fixture"), arrays(labels, pixels), name)
    data = load_retinamnist(root, pixels=pixels)
    assert (data.test.targets, data.image_size) == (tuple(labels), (112, None)[other])
    last = data.test[-1][0]
    assert (last.size, last.getpixel((0, 0))) == ((pixels, pixels), (len(labels) - 1,) * 3)
    assert "SYNTHETIC FIXTURE" in data.card.title
    assert "SYNTHETIC FIXTURE" in data.protocol[-1]


def test_pictures_are_unpacked_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading reads three small arrays; the first test picture reads one more, the second none."""
    root, seen, read = fixture(tmp_path, arrays([0, 1, 2, 3, 4])), [], retinamnist._array

    def spy(file: Path, name: str) -> np.ndarray:
        seen.append(name)
        return read(file, name)

    monkeypatch.setattr(retinamnist, "_array", spy)
    data = load_retinamnist(root)
    assert seen == ["train_labels", "val_labels", "test_labels"]
    assert data.test[3][1] == 3
    assert data.test[4][0].getpixel((0, 0)) == (4, 4, 4)
    assert seen[3:] == ["test_images"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"val_labels": np.array([[0], [5], [1], [2], [3]])},
            "val_labels row 1 is 5; write a grade from 0 to 4",
        ),
        ({"val_labels": np.array([[0], [-1], [1], [2], [3]])}, "val_labels row 1 is -1"),
        ({"val_labels": np.zeros((5, 1))}, r"val_labels has float64 of shape \(5, 1\)"),
        ({"val_labels": np.zeros(5, dtype=int)}, r"val_labels has int64 of shape \(5,\)"),
        (
            {"val_labels": np.zeros((4, 1), dtype=int)},
            r"val_images .* must be uint8 of shape \(4, 28, 28, 3\)",
        ),
        ({"val_images": np.zeros((5, 28, 28, 3))}, "val_images has float64"),
        ({"val_images": np.array([{}] * 5)}, "val_images cannot be read .*allow_pickle"),
    ],
)
def test_a_malformed_archive_is_one_sentence(tmp_path: Path, change: Arrays, message: str) -> None:
    """Which array, what is wrong with it, and the file."""
    root = fixture(tmp_path, arrays([0, 1, 2, 3, 4]) | change)
    with pytest.raises(InputError, match=rf"^{root / 'retinamnist.npz'}: {message}"):
        load_retinamnist(root).val[0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-100],
        lambda content: b"no archive",
        lambda content: b"\x93NUMPY",
    ],
    ids=["empty", "cut off", "text", "a bare array"],
)
def test_a_broken_archive_is_one_sentence(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whatever zipfile or NumPy raises; and a missing array."""
    file = fixture(tmp_path, arrays([0, 1, 2, 3, 4])) / "retinamnist.npz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=r"retinamnist\.npz: train_labels cannot be read"):
        load_retinamnist(tmp_path)
    fixture(tmp_path, {"train_images": np.zeros(1)})
    with pytest.raises(InputError, match=r"retinamnist\.npz: train_labels cannot be read .*train_labels"):
        load_retinamnist(tmp_path)


def test_a_download_is_right_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right file lands in the folder; a wrong one, none, and a size without a SHA-256 leave nothing behind."""
    from hashlib import sha256

    origin, root = tmp_path / "origin.npz", tmp_path / "new" / "retinamnist"
    origin.write_bytes(b"six arrays")
    with pytest.raises(InputError, match=r"downloaded retinamnist\.npz has SHA-256 .*, not 254915f5"):
        download_retinamnist(root, url=origin.as_uri())
    with pytest.raises(InputError, match="cannot be fetched"):
        download_retinamnist(root, url=(tmp_path / "nowhere").as_uri())
    with pytest.raises(InputError, match=r"retinamnist_64\.npz has no SHA-256"):
        download_retinamnist(root, pixels=64, url=origin.as_uri())
    assert not root.exists()
    monkeypatch.setattr(retinamnist, "SHA256", {28: sha256(b"six arrays").hexdigest()})
    assert download_retinamnist(root, url=origin.as_uri()) == root
    assert [(path.name, path.read_bytes()) for path in root.iterdir()] == [("retinamnist.npz", b"six arrays")]
    with pytest.raises(InputError, match="is there already"):
        download_retinamnist(root, url=origin.as_uri())


def test_the_digest_in_the_code_is_that_of_the_real_file(real_retinamnist: Path, tmp_path: Path) -> None:
    """The real file passes the check of the download, and what is kept loads."""
    root = download_retinamnist(tmp_path / "data", url=(real_retinamnist / "retinamnist.npz").as_uri())
    assert load_retinamnist(root).counts("val") == [54, 12, 28, 20, 6]
