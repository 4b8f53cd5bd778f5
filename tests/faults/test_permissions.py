"""What may not be read is named with its cause, and nothing is left out in silence."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from permissions import forbidden
from PIL import Image
from run_files import run

from l2rclip_lite import L2RCLIP, Config, Ranks, load_dataset
from l2rclip_lite.errors import InputError


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that anybody may enter: images in a folder per rank, a table, and a model.

    Those of pytest may be entered by nobody else.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        rows = ["path,label"]
        for number in range(9):
            file = place / "photos" / str(number % 3) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, 0, 0)).save(file)
            rows.append(f"{number % 3}/{number}.png,{number % 3}")
        (place / "labels.csv").write_text("\n".join(rows))

        ranks = Ranks(("new", "old"), (0, 1), template="a {rank} tyre")
        model = L2RCLIP.build(ranks, Config(towers="tiny/random", heads=2, hidden=32))
        model.save_pretrained(place / "model")
        # also imports what is imported late: the user nobody may not read Python's own files
        read_table(place)
        whole = run("predict", place / "model", place / "photos")
        assert (whole.code, whole.out.count("\n"), whole.err) == (0, 9, "")
        yield place


def read_table(place: Path) -> object:
    """Read images by a table, of which some may be missing."""
    labels = place / "labels.csv"
    return load_dataset("csv", root=place / "photos", labels=labels, allow_missing=True)


def read_folders(place: Path) -> object:
    """Read images in a folder per rank."""
    return load_dataset("csv", root=place / "photos")


@pytest.mark.parametrize(
    ("closed", "mode", "read"),
    [
        ("photos", 0o000, read_folders),
        ("photos/1", 0o000, read_folders),
        ("labels.csv", 0o000, read_table),
        ("photos/1", 0o000, read_table),
        ("model/model.safetensors", 0o000, lambda place: L2RCLIP.from_pretrained(place / "model")),
    ],
)
def test_what_may_not_be_read_is_named_and_not_called_damaged_or_missing(
    place: Path, closed: str, mode: int, read: Callable[[Path], object]
) -> None:
    """Whoever was told so would delete a good file, or train without some images."""
    advice = r"cannot be read \(Permission denied\); check the permissions of it and of the folders"
    with forbidden(place / closed, mode), pytest.raises(InputError, match=f"{closed}.* {advice}"):
        read(place)


def test_predict_names_a_folder_that_it_cannot_read(place: Path) -> None:
    """The command answers the other images; Python refuses, as it would leave images out."""
    photos = place / "photos"
    model = L2RCLIP.from_pretrained(place / "model")
    with forbidden(photos / "1", 0o000):
        partial = run("predict", place / "model", photos)
        with pytest.raises(InputError, match=f"{photos / '1'} cannot be read"):
            model.predict(str(photos))
    assert (partial.code, partial.out.count("\n"), partial.err.count("\n")) == (2, 6, 1)
    assert partial.err.startswith(f"error: {photos / '1'} cannot be read (Permission denied)")
