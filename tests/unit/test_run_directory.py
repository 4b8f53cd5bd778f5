"""A hostile or edited run directory: one sentence, and nothing outside it is touched."""

import os
import re
import shutil
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from run_files import refused, run

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.export import export_onnx
from l2rclip_lite.files import LOCK, save_tensors, sweep_leftovers, write_atomically, write_text
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.training import fit

needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links")


# --- nothing outside the run --------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize("linked", ["baselines", "baselines/ridge", "baselines/ridge/checkpoint"])
def test_baselines_touch_nothing_behind_a_link(folder: Path, tmp_path: Path, linked: str) -> None:
    """Checked before anything is deleted or written, wherever on the way the link is."""
    victim = tmp_path / "victim"
    names = ("checkpoint/stage3.safetensors", "model.safetensors", "ridge/model.safetensors")
    for name in names:
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_text("precious")

    (folder / "baselines" / "ridge" / "predictions.csv").unlink()  # it is to be trained
    shutil.rmtree(folder / linked, ignore_errors=True)
    (folder / linked).symlink_to(victim)

    refused(run("baselines", folder, "ridge"), f"{folder / linked}: is a link")
    assert all((victim / name).read_text() == "precious" for name in names)
    assert not (victim / "predictions.csv").exists()


@needs_posix
@pytest.mark.parametrize("name", ["config.json", ".l2r-lock", "model.safetensors", "README.md"])
def test_fit_does_not_write_through_a_link(
    folder: Path, tmp_path: Path, name: str, leaves: OrdinalDataset, small: Config
) -> None:
    """The lock, too: whoever takes it empties the file it names."""
    (tmp_path / "victim").write_text("precious")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match=f"{name}: is a link, which a run may not hold"):
        fit(leaves, replace(small, image_side="kernel"), folder, quiet=True)
    assert (tmp_path / "victim").read_text() == "precious"


@needs_posix
def test_a_folder_that_is_not_utf8_is_refused_before_training(
    tmp_path: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """Its model could be written and not read."""
    folder = tmp_path / os.fsdecode(b"bl\xe4tter")
    with pytest.raises(InputError, match="this path is not UTF-8; rename"):
        fit(leaves, replace(small, image_side="kernel"), folder, quiet=True)
    assert not folder.exists()


@pytest.mark.parametrize("place", ["baselines/ridge", "checkpoint", "deep/er"])
def test_a_run_does_not_lie_inside_another(
    folder: Path, place: str, leaves: OrdinalDataset, small: Config
) -> None:
    """It would become a baseline of that run, or be deleted with what only training needs."""
    (folder / "baselines" / "ridge" / "metrics.json").unlink(missing_ok=True)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    with pytest.raises(InputError, match=rf"is inside the run {re.escape(str(folder))}; choose"):
        fit(leaves, replace(small, image_side="kernel"), folder / place, quiet=True)

    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_a_config_of_another_program_is_no_run(
    tmp_path: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """Many programs have a `config.json`; runs may lie below it."""
    (tmp_path / "config.json").write_text('{"name": "my-site"}')
    config = replace(small, image_side="kernel", epochs1=0)
    assert fit(leaves, config, tmp_path / "runs" / "one", quiet=True).metrics["test"]["n"] == 10


def test_files_of_others_among_the_checkpoints_stay(
    folder: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """Only what training wrote there goes when the run is through."""
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "stage1.safetensors").write_text("of a killed process")
    (folder / "checkpoint" / "notes.txt").write_text("precious")

    fit(leaves, replace(small, image_side="kernel"), folder, quiet=True)

    assert [file.name for file in (folder / "checkpoint").iterdir()] == ["notes.txt"]


@needs_posix
@pytest.mark.parametrize("kind", ["pipe", "link", "loop", "folder"])
@pytest.mark.parametrize("name", ["predictions.csv", "history.csv", "README.md", "config.json"])
def test_a_file_of_a_run_is_a_file(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    """A pipe would be waited for, for ever."""
    file = folder / name
    file.replace(tmp_path / "moved")
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to(tmp_path / "moved")
        case "loop":
            file.symlink_to(file)
        case "folder":
            file.mkdir()

    outcome = run("report", folder, "--out", tmp_path / "page.html")

    description = kind.replace("loop", "link")
    refused(outcome, f"{name}: is a {description}")
    assert not (tmp_path / "page.html").exists()


@needs_posix
def test_models_are_not_read_through_links(folder: Path, tmp_path: Path) -> None:
    """`predict` and `evaluate`, of the run and of a baseline; a method is a name, not a path."""
    (folder / "model.safetensors").replace(tmp_path / "model.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "model.safetensors")
    refused(run("predict", folder, "a.png"), "model.safetensors: is a link")

    (folder / "baselines" / "ridge").replace(tmp_path / "ridge")
    (folder / "baselines" / "ridge").symlink_to(tmp_path / "ridge")
    refused(run("evaluate", folder, "--method", "ridge"), "ridge: is a link")
    refused(run("predict", folder, "a.png", "--method", "../../ridge"), "is no baseline")


@needs_posix
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "link"])
def test_a_report_replaces_nothing_but_a_file(folder: Path, tmp_path: Path, kind: str) -> None:
    """As root, a rename would put a page in the place of /dev/full."""
    target = tmp_path / "page.html"
    match kind:
        case "device":
            try:  # /dev/full itself is not put at risk
                os.mknod(target, stat.S_IFCHR | 0o600, os.makedev(1, 7))
            except PermissionError:  # without the right to make one nobody can replace it either
                target = Path("/dev/full")
        case "pipe":
            os.mkfifo(target)
        case "folder":
            target.mkdir()
        case "link":
            target.symlink_to(tmp_path / "elsewhere")
    inode = target.lstat().st_ino

    refused(run("report", folder, "--out", target), f"{target}: is a {kind}")
    assert target.lstat().st_ino == inode
    with pytest.raises(InputError, match=f"is a {kind}, which no file may replace"):
        write_text(target, "text")


def test_nothing_is_written_below_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report says so before it reads the run; so does whatever else is written."""
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr("l2rclip_lite.commands.finished_baselines.compared", None)
    for target in (file / "page.html", file / "deeper" / "page.html"):
        sentence = f"{file}: is a file, not a folder; choose another place."
        refused(run("report", folder, "--out", target), sentence)
        with pytest.raises(InputError, match="is a file, not a folder"):
            write_text(target, "text")


@needs_posix
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_an_export_is_refused_before_the_model_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """In Python before the graph is made."""
    target = tmp_path / "model.onnx"
    if kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("elsewhere")

    model = L2RCLIP.from_pretrained(folder)
    monkeypatch.setattr("l2rclip_lite.commands.finished_run.load_model", None)
    refused(run("export", folder, target), f"{target}: is a {kind}, which no file may replace")
    monkeypatch.setattr("l2rclip_lite.export._graph", None)
    with pytest.raises(InputError, match=f"is a {kind}, which no file may replace"):
        export_onnx(model, target, [])


@pytest.mark.parametrize("name", ["metrics.json", "config.json", "history.csv", "predictions.csv"])
def test_a_file_of_gigabytes_is_not_read(folder: Path, name: str) -> None:
    """One with holes takes no room on a disk, and all of it in memory."""
    os.truncate(folder / name, 3 * 2**30)
    refused(run("report", folder), f"{name}: cannot be read (it has 3,221 MB")


def test_a_report_is_written_over_no_file_of_another_kind(folder: Path) -> None:
    """Least of all over the model of the run."""
    before = (folder / "model.safetensors").read_bytes()
    refused(run("report", folder, "--out", folder / "model.safetensors"), "must end in .html")
    assert (folder / "model.safetensors").read_bytes() == before


# --- what a kill leaves behind ------------------------------------------------------------------


def test_what_a_kill_leaves_is_swept_and_a_live_writer_is_not(tmp_path: Path) -> None:
    """Beside any file that is written; other names, links and files that are not ours stay."""
    hour_ago = time.time() - 3600
    dead = tmp_path / ".l2r-dead"
    live = tmp_path / ".l2r-live"
    young = tmp_path / ".l2r-young"
    for folder in (dead, live, young, tmp_path / ".l2rather", tmp_path / "l2r-mine"):
        folder.mkdir()
        (folder / LOCK).touch()
        (folder / "half").write_text("half a file")
        if folder is not young:
            os.utime(folder, (hour_ago, hour_ago))
    (tmp_path / ".l2r-linked").symlink_to(tmp_path / "l2r-mine")

    with FileLock(live / LOCK):
        os.utime(live, (hour_ago, hour_ago))
        write_text(tmp_path / "export.onnx", "whole")

    left = {path.name for path in tmp_path.iterdir()}
    others = {".l2rather", "l2r-mine", ".l2r-linked"}
    assert left == others | {"export.onnx", ".l2r-live", ".l2r-young"}
    assert (tmp_path / "l2r-mine" / "half").exists()

    sweep_leftovers(tmp_path, young=0)
    assert {path.name for path in tmp_path.iterdir()} == others | {"export.onnx"}


def test_who_enters_as_another_leaves_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer takes the lock the moment the first lets it go; the third is refused."""
    folder = RunDirectory(tmp_path / "run")
    second = FileLock(folder.folder / LOCK)
    release = FileLock.release

    def let_in(lock: FileLock) -> None:
        release(lock)
        second.acquire(timeout=0)

    with monkeypatch.context() as patch, folder.writing():
        patch.setattr(FileLock, "release", let_in)
    with pytest.raises(InputError, match="another process writes this run"), folder.writing():
        pass


@needs_posix
@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
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


def test_a_writer_holds_its_folder(tmp_path: Path) -> None:
    """While it writes, however long, somebody else's sweep leaves it alone."""

    def write(path: Path) -> None:
        path.write_text("whole")
        sweep_leftovers(tmp_path, young=0)

    write_atomically(tmp_path / "file", write)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
