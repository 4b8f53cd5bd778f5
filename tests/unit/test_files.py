"""Atomic writes: the old file or the new one, never half of one, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.checkpoint import read_tensors
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import save_tensors, write_atomically, write_json, write_text


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    """The writer dies after half of its bytes."""
    file = tmp_path / "history.csv"
    write_text(file, "old")

    def half(path: Path) -> None:
        path.write_text("ne", encoding="utf-8")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_atomically(file, half)
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """While the writer works the name still means the old content; afterwards the new, readable by everyone."""
    file = tmp_path / "new folder" / "a.txt"
    write_text(file, "old")

    def write(path: Path) -> None:
        path.write_text("new", encoding="utf-8")
        assert path.parent.parent == file.parent, "a rename across file systems would not be atomic"
        assert file.read_text(encoding="utf-8") == "old"

    write_atomically(file, write)
    assert file.read_text(encoding="utf-8") == "new"
    assert file.stat().st_mode & 0o777 == 0o644


def test_what_a_writer_makes_besides_is_not_in_the_way(tmp_path: Path) -> None:
    """As safetensors does, which writes `.tmpXXXXXX` first: beside the real files it would stay after a kill."""
    file = tmp_path / "model.safetensors"

    def write(path: Path) -> None:
        path.write_text("new", encoding="utf-8")
        (path.parent / ".tmpUF0QYv").write_text("ne", encoding="utf-8")
        assert [each.is_dir() for each in tmp_path.iterdir()] == [True]

    write_atomically(file, write)
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"taken: cannot be written \(.+\); choose another --out\.$"):
        write_text(tmp_path / "taken" / "a.txt", "x")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """The disk fills while the file is written."""

    def write(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        write_atomically(tmp_path / "model.safetensors", write)
    assert not list(tmp_path.iterdir())


def test_tensors_of_any_layout_come_back(tmp_path: Path) -> None:
    """Channels-last weights, parameters, empty tensors and scalars: safetensors itself refuses the first."""
    weight = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    tensors = {"w": torch.nn.Parameter(weight), "none": torch.zeros(0, 4), "step": torch.tensor(3.0)}
    save_tensors(tmp_path / "t.safetensors", tensors, {"about": "ü"})
    found, metadata = read_tensors(tmp_path / "t.safetensors")
    assert metadata == {"about": "ü"}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(JSON)
def test_json_of_any_kind_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    """Umlauts and other scripts included, as readable text."""
    file = tmp_path_factory.getbasetemp() / "any.json"
    write_json(file, value)
    assert json.loads(file.read_text(encoding="utf-8")) == value


def test_tensors_read_back_lie_where_torch_puts_every_tensor(tmp_path: Path) -> None:
    """A matrix product from an address that is no multiple of 16 differs in the last bit: a resumed run would, too."""
    made = {name: torch.arange(64.0 * rows).view(rows, 64) for name, rows in (("a", 3), ("b", 5))}
    save_tensors(tmp_path / "t.safetensors", made, {"odd": "x" * 5})
    read, _ = read_tensors(tmp_path / "t.safetensors")
    assert all(torch.equal(read[name], made[name]) for name in made)
    assert {tensor.data_ptr() % 64 for tensor in (*read.values(), torch.empty(640))} == {0}
