"""What may not be read is named with its cause, and nothing is left out in silence."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from permissions import forbidden
from PIL import Image
from run_files import run

from l2rclip_lite import L2RCLIP, Config, Ranks, files, load_dataset
from l2rclip_lite.data.images import file_digest
from l2rclip_lite.data.official import find_images
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import write_text
from l2rclip_lite.runs.run_directory import RunDirectory

LISTED = 0o444  # of a folder: its names can be listed, and none of them looked up


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that anybody may enter, unlike those of pytest: a folder per rank, and a table."""
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
        yield place


@pytest.fixture
def model(place: Path) -> L2RCLIP:
    """A model of random weights, also there as a file."""
    ranks = Ranks(("new", "old"), (0, 1), template="a {rank} tyre")
    model = L2RCLIP.build(ranks, Config(towers="tiny/random", heads=2, hidden=32))
    model.save_pretrained(place / "model")
    # also imports what is imported late: the user nobody may not read Python's own files
    whole = run("predict", place / "model", place / "photos")
    assert (whole.code, whole.out.count("\n"), whole.err) == (0, 9, "")
    return model


def refusal(error: pytest.ExceptionInfo[InputError]) -> str:
    """Return what cannot be read, of a sentence that says so."""
    name, middle, cause = str(error.value).partition(" cannot be read ")
    assert middle
    assert cause.startswith("(Permission denied); check the permissions of it and of the folders")
    return name


@pytest.mark.parametrize("mode", [0o000, LISTED])
def test_predict_names_a_folder_that_it_cannot_read(place: Path, model: L2RCLIP, mode: int) -> None:
    """The command answers the other images; Python refuses, as it would leave images out."""
    photos = place / "photos"
    with forbidden(photos / "1", mode):
        partial = run("predict", place / "model", photos)
        with pytest.raises(InputError) as error:
            model.predict(str(photos))
    assert (partial.code, partial.out.count("\n"), partial.err.count("\n")) == (2, 6, 1)
    assert partial.err.startswith(f"error: {photos / '1'} cannot be read (Permission denied)")
    assert refusal(error) == str(photos / "1")


@pytest.mark.parametrize("mode", [0o000, LISTED])
def test_a_folder_of_which_nothing_can_be_read_is_not_empty(
    place: Path, model: L2RCLIP, mode: int
) -> None:
    """Nor is an image in it one that does not exist."""
    photos = place / "photos"
    image = photos / "0" / "0.png"
    with forbidden(photos, mode):
        for name in (photos, image):
            outcome = run("predict", place / "model", name)
            assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
            assert f"{name} cannot be read (Permission denied)" in outcome.err
            with pytest.raises(InputError) as error:
                model.predict(str(name))
            assert str(name) in refusal(error)


def test_an_image_that_cannot_be_opened_is_not_to_be_replaced(place: Path, model: L2RCLIP) -> None:
    """It may be a good one."""
    image = place / "photos" / "0" / "0.png"
    with forbidden(image):
        with pytest.raises(InputError) as error:
            model.predict(image)
        assert refusal(error) == f"the image {image}"
        with pytest.raises(InputError) as error:
            file_digest(image)
        assert refusal(error) == f"the image {image}"


@pytest.mark.parametrize("mode", [0o000, 0o111, LISTED])
@pytest.mark.parametrize("name", ["photos", "photos/1"])
def test_a_folder_per_rank_is_read_whole_or_refused(place: Path, name: str, mode: int) -> None:
    """Neither is it said to be no such folder, nor is a rank without an image."""
    photos = place / "photos"
    assert sum(load_dataset("csv", root=photos).counts("train")) == 3
    with forbidden(place / name, mode), pytest.raises(InputError) as error:
        load_dataset("csv", root=photos)
    assert refusal(error).removesuffix("/labels.csv").endswith(name)


def test_a_table_that_cannot_be_opened_is_no_question_of_commas(place: Path) -> None:
    """Nor of the images."""
    labels = place / "labels.csv"
    with forbidden(labels), pytest.raises(InputError) as error:
        load_dataset("csv", root=place, labels=labels)
    assert refusal(error) == str(labels)


def test_images_in_a_folder_that_may_not_be_entered_are_not_missing(place: Path) -> None:
    """So that they are not left out where missing ones may be; of a table and of official lists."""
    photos = place / "photos"
    options = {"root": photos, "labels": place / "labels.csv", "allow_missing": True}
    assert load_dataset("csv", **options).missing == ()
    with forbidden(photos / "1"):
        with pytest.raises(InputError) as error:
            load_dataset("csv", **options)
        assert refusal(error) == str(photos / "1")
        with pytest.raises(InputError) as error:
            find_images(photos, ["0.png", "1.png"])
        assert refusal(error) == str(photos / "1")


def test_a_baseline_has_no_out_to_choose(place: Path) -> None:
    """It is kept in its run, whose permissions are to be changed."""
    folder = place / "model"
    folder.mkdir()
    with (
        forbidden(folder, 0o555),
        pytest.raises(InputError, match=r"Permission denied\); check the permissions of the run"),
        RunDirectory(folder).baseline("ridge").writing(),
    ):
        pass


def test_a_model_that_cannot_be_opened_is_not_called_damaged(place: Path, model: L2RCLIP) -> None:
    """Whoever was told so would delete a good one."""
    file = place / "model" / "model.safetensors"
    with forbidden(file), pytest.raises(InputError) as error:
        L2RCLIP.from_pretrained(file.parent)
    assert refusal(error) == str(file)


@pytest.mark.parametrize("error", [MemoryError("os error 12"), OSError(24, "Too many open files")])
def test_a_model_that_the_machine_has_no_room_for_is_not_called_damaged(
    place: Path, model: L2RCLIP, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As little may it be deleted."""

    def fail(*_: object) -> NoReturn:
        raise error

    model.save_pretrained(place / "kept")
    monkeypatch.setattr(files, "safe_open", fail)
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read \("):
        L2RCLIP.from_pretrained(place / "kept")


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "history.csv", "README.md"])
def test_a_file_of_a_run_that_cannot_be_opened_is_not_to_be_replaced(
    place: Path, name: str
) -> None:
    """Neither by training again nor by an empty card."""
    folder = place / "run"
    folder.mkdir()
    (folder / name).touch()
    directory = RunDirectory(folder)
    read = {
        "config.json": directory.read_record,
        "metrics.json": directory.read_metrics,
        "history.csv": directory.read_history,
        "README.md": directory.read_card,
    }[name]
    for closed in (folder / name, folder):
        with forbidden(closed), pytest.raises(InputError) as error:
            read()
        assert refusal(error) == str(folder / name)


def test_a_folder_that_cannot_be_written_is_not_called_full(place: Path) -> None:
    """More space would not help."""
    photos = place / "photos"
    with (
        forbidden(photos, 0o555),
        pytest.raises(
            InputError, match=r"Permission denied.*; check the permissions of its folder"
        ),
    ):
        write_text(photos / "page.html", "a page")
