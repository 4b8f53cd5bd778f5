"""A hostile, edited or cut run directory: one sentence, and nothing outside it is touched."""

import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from PIL import Image
from run_files import Change, cell, edit, refused, run

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_json, save_tensors, write_json, write_text
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.runs.results import write_predictions
from l2rclip_lite.training import fit

needs_links = pytest.mark.skipif(os.name == "nt", reason="needs links")


# --- nothing outside the run --------------------------------------------------------------------


@needs_links
@pytest.mark.parametrize("linked", ["baselines", "baselines/ridge/checkpoint"])
def test_baselines_touch_nothing_behind_a_link(folder: Path, tmp_path: Path, linked: str) -> None:
    """Checked before anything is deleted or written, wherever on the way the link is."""
    names = ("checkpoint/stage3.safetensors", "model.safetensors", "ridge/model.safetensors")
    for name in names:
        file = tmp_path / "victim" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("precious")

    (folder / "baselines" / "ridge" / "predictions.csv").unlink()  # it is to be trained
    shutil.rmtree(folder / linked, ignore_errors=True)
    (folder / linked).symlink_to(tmp_path / "victim")

    refused(run("baselines", folder, "ridge"), f"{folder / linked}", "is a link to")
    assert all((tmp_path / "victim" / name).read_text() == "precious" for name in names)
    assert not (tmp_path / "victim" / "predictions.csv").exists()


@needs_links
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", ".l2r-lock", "checkpoint", "baselines"]
)
def test_a_link_out_of_a_run_is_refused_and_one_within_is_not(folder: Path, name: str) -> None:
    """Before anything is read or written: whoever takes the lock empties the file it names."""
    moved = folder.with_name("moved")
    if not (folder / name).exists():
        (folder / name).touch()
    (folder / name).replace(moved)
    (folder / name).symlink_to(moved)
    refused(run("evaluate", folder), f"{folder / name}: is a link to")

    (folder / name).unlink()
    (folder / name).symlink_to(name)
    assert "Traceback" not in run("evaluate", folder).err

    moved.replace(folder / "moved")
    (folder / name).unlink()
    (folder / name).symlink_to(folder / "moved")
    assert "is a link" not in run("compare", folder).err


def test_to_clean_a_run_is_to_follow_no_link(tmp_path: Path) -> None:
    """Within the run it may lead to the model."""
    (tmp_path / "model.safetensors").touch()
    (tmp_path / ".features").symlink_to(".")
    (tmp_path / "checkpoint").symlink_to(".")
    RunDirectory(tmp_path).clean()
    assert (tmp_path / "model.safetensors").exists()


def test_a_folder_whose_name_is_not_utf8_is_refused_before_training(tmp_path: Path) -> None:
    """Its model could be written, and not be read."""
    run = RunDirectory(tmp_path / "\udcff")
    with pytest.raises(InputError, match="cannot be written"), run.writing():
        pass


# --- one writer ---------------------------------------------------------------------------------


def test_what_a_kill_leaves_is_swept_by_the_next_writer(tmp_path: Path) -> None:
    """Half a file lies in a folder of its own; other names stay."""
    for name in (".l2r-dead", ".l2rather", "l2r-mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half a file")

    with RunDirectory(tmp_path).writing():
        assert {path.name for path in tmp_path.iterdir()} == {".l2rather", "l2r-mine", ".l2r-lock"}


def test_who_enters_as_another_leaves_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer takes the lock the moment the first lets it go; the third is refused."""
    run = RunDirectory(tmp_path / "run")
    second = FileLock(run.lock)
    release = FileLock.release

    def let_in(lock: FileLock) -> None:
        release(lock)
        second.acquire(timeout=0)

    with monkeypatch.context() as patch, run.writing():
        patch.setattr(FileLock, "release", let_in)
    with pytest.raises(InputError, match="another process writes this run"), run.writing():
        pass


@pytest.mark.skipif(os.name == "nt", reason="needs permissions")
@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_a_file_is_up_to_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    """Of text and of tensors, which safetensors writes for their owner alone."""
    before = os.umask(umask)
    try:
        write_text(tmp_path / "text", "whole")
        save_tensors(tmp_path / "tensors", {}, {})
    finally:
        os.umask(before)
    for name in ("text", "tensors"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode, name


# --- files that were cut off or edited ----------------------------------------------------------


DAMAGE: list[tuple[Change, str]] = [
    (lambda lines: [*lines[:4], lines[4][:30]], "cannot be used"),
    (cell(1, "median_rank", "median"), "its columns are not those of 5 ranks"),
    (cell(3, "true_rank", "1.5"), "cannot be used"),
    (lambda lines: [*lines, lines[1]], "an image is in it twice"),
]


@pytest.mark.parametrize(("change", "sentence"), DAMAGE)
def test_damaged_predictions_are_refused(
    folder: Path, leaves: OrdinalDataset, change: Change, sentence: str
) -> None:
    """Each sentence names the file, and the row where a number is wrong."""
    file = folder / "predictions.csv"
    edit(file, change)
    with pytest.raises(InputError, match=f"^{re.escape(str(file))}.*{sentence}.*; "):
        RunDirectory(folder).read_predictions(leaves.ranks)


def test_a_record_without_its_parts_is_refused(folder: Path) -> None:
    """By the name of the first that is missing."""
    file = folder / "config.json"
    file.write_text('{"config": {}, "dataset": {}}')
    with pytest.raises(InputError, match=f"^{re.escape(str(file))}.*dataset.fingerprint.*; "):
        RunDirectory(folder).read_record()


def test_what_was_written_is_read(
    pristine_run: Path, leaves: OrdinalDataset, tmp_path: Path
) -> None:
    """Commas, quotes and line ends in names of images and subjects; NA and 007 are names.

    A bare carriage return, which old Excel for Mac writes within cells, becomes a space.
    """
    names = ['a"b,c.png', "a\nb.png", "a\r\nb.png", "a\u2028b.png", " =1+1 ", "NA", "007", "a\rb"]
    image = Image.new("RGB", (8, 8))
    part = Split(names, [0] * 8, [image] * 8, subjects=[f"of {name}" for name in names])
    directory = RunDirectory(tmp_path)
    p = torch.rand(8, 5, generator=torch.Generator().manual_seed(0)).softmax(dim=1)

    write_predictions(directory, L2RCLIP.from_pretrained(pristine_run), part, p)

    table = directory.read_predictions(leaves.ranks)
    names[-1] = "a b"
    assert table["path"].tolist() == names
    assert table["subject"].tolist() == [f"of {name}" for name in names]
    assert table["predicted_rank"].tolist() == p.argmax(1).tolist()


def test_a_run_that_is_older_than_a_setting_is_loaded(
    folder: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """It had no `balance`; another run is refused."""
    record = read_json(folder / "config.json")
    del record["used"]["balance"], record["config"]["balance"]
    write_json(folder / "config.json", record)
    config = replace(small, image_side="kernel")
    assert fit(leaves, config, folder, quiet=True).out == folder
    with pytest.raises(InputError, match="holds a run with another balance"):
        fit(leaves, replace(config, balance=True), folder, quiet=True)


def test_a_model_that_was_deleted_is_trained_again(
    folder: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """As the sentence on a damaged one advises; the result is the same, bit for bit."""
    model = folder / "model.safetensors"
    before = model.read_bytes()
    model.unlink()
    fit(leaves, replace(small, image_side="kernel"), folder, quiet=True)
    assert model.read_bytes() == before
