"""Paths and splits: what leaves the folder or stands twice is refused with its row."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data.base import Card, OrdinalDataset, Split, stratified
from l2rclip_lite.data.files import Folder, Row, refuse_repeats
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks


@pytest.mark.parametrize(
    "path",
    ["", ".", "a/", "/etc/passwd", "../a.jpg", "a/../../b.jpg", "C:\\a.jpg", "..\\a.jpg", "link/a.jpg"],
)
def test_paths_stay_inside_the_root(tmp_path: Path, path: str) -> None:
    """Absolute paths, "..", Windows spellings and links that lead out are refused."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="row 2: the path"):
        Folder(root).file(path, "row 2")
    assert Folder(root).file("a b/ü.jpg", "row 2") == str(root / "a b" / "ü.jpg")


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a sub-folder, a link within, links that lead out, and one that leads to itself."""
    top = tmp_path_factory.mktemp("linked")
    root = top / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "b").touch()
    (top / "secret").touch()
    links = {"in": "a", "out": "..", "file": "../secret", "loop": "loop", "deep": "a/../../secret"}
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


@given(
    st.lists(
        st.sampled_from(
            ["a", "b", "..", ".", "", "in", "out", "file", "loop", "deep", "C:", "\\", "secret", "ü"]
        ),
        max_size=5,
    )
)
def test_no_path_ever_leaves_the_root(linked: Path, parts: list[str]) -> None:
    """Whatever is put together from dots, drives, slashes and links: refused, or a file below the root."""
    with contextlib.suppress(InputError):
        file = Folder(linked).file("/".join(parts), "row 2")
        assert os.path.realpath(file).startswith(f"{os.path.realpath(linked)}{os.sep}")


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8), st.sampled_from(["", "./", ".//"]))
def test_the_second_row_of_a_file_is_named(linked: Path, names: list[str], prefix: str) -> None:
    """Repeats are refused at the first row that repeats, and only then; another spelling is the same file."""
    folder = Folder(linked)
    rows = [
        Row(name, folder.file(f"{prefix if row % 2 else ''}{name}", f"row {row}"), 0, "train", f"row {row}")
        for row, name in enumerate(names)
    ]
    again = next((row for row, name in enumerate(names) if name in names[:row]), None)
    if again is None:
        refuse_repeats(rows)
        return
    with pytest.raises(
        InputError, match=f"row {again}: the image .* stands in row {names.index(names[again])} "
    ):
        refuse_repeats(rows)


@given(st.lists(st.integers(3, 40), min_size=1, max_size=6), st.integers(0, 99))
def test_a_stratified_split_gives_every_split_every_rank(sizes: list[int], seed: int) -> None:
    """Val and test get max(1, round(0.15 n)) of n images each, the same ones for the same seed."""
    targets = [rank for rank, size in enumerate(sizes) for _ in range(size)]
    parts = stratified(targets, seed)
    assert parts == stratified(targets, seed)
    for rank, size in enumerate(sizes):
        mine = [part for part, target in zip(parts, targets, strict=True) if target == rank]
        assert mine.count("val") == mine.count("test") == max(1, round(0.15 * size))
        assert mine.count("train") >= 1


def test_a_rank_without_training_image_is_named() -> None:
    """Refused unless allowed; an empty split is always refused."""
    ranks = Ranks(("low", "middle", "high"), (0.0, 1.0, 2.0), template="{rank} damage")
    card = Card("tiny", "", "", "", "", "")
    part = Split(["a", "b"], [0, 2], lambda index: Image.new("RGB", (4, 4)))
    with pytest.raises(InputError, match=r"no training image has rank 1 \('middle'\)"):
        OrdinalDataset("tiny", part, part, part, ranks, card)
    assert OrdinalDataset("tiny", part, part, part, ranks, card, allow_empty_ranks=True).counts("val") == [
        1,
        0,
        1,
    ]
    with pytest.raises(InputError, match="the test split is empty"):
        OrdinalDataset("tiny", part, part, part[:0], ranks, card, allow_empty_ranks=True)
