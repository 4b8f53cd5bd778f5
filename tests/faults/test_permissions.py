"""What may not be read is named with its cause, and nothing is left out in silence."""

import tempfile
from collections.abc import Iterator
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
        # imports what is imported late: the user nobody may not read Python's own files
        whole = run("predict", place / "model", place / "photos")
        assert (whole.code, whole.out.count("\n"), whole.err) == (0, 9, "")
        yield place


@pytest.mark.parametrize("labels", [None, "labels.csv"])
def test_a_folder_that_may_not_be_read_is_named_and_its_images_are_not_left_out(
    place: Path, labels: str | None
) -> None:
    """In a folder per rank, and in a table of which some images may be missing.

    `predict` answers the other images; Python refuses.
    """
    photos = place / "photos"
    table = None if labels is None else place / labels
    closed = photos / "1"
    sentence = rf"{closed}.* cannot be read \(Permission denied\); check the permissions of it"
    model = L2RCLIP.from_pretrained(place / "model")

    with forbidden(closed, 0o000):
        with pytest.raises(InputError, match=sentence):
            load_dataset("csv", root=photos, labels=table, allow_missing=table is not None)
        with pytest.raises(InputError, match=sentence):
            model.predict(str(photos))
        partial = run("predict", place / "model", photos)
    assert (partial.code, partial.out.count("\n"), partial.err.count("\n")) == (2, 6, 1)
    assert partial.err.startswith(f"error: {closed} cannot be read (Permission denied)")
