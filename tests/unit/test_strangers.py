"""Models, checkpoints, calibrations and weights that somebody else wrote: refused in a sentence, nothing executed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import model_files
import pytest
import strangers
import torch
from PIL import Image

from l2rclip_lite import cli, mini
from l2rclip_lite.calibration_file import CALIBRATION_FILE, fingerprint_of
from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import MiniTowers
from l2rclip_lite.model import L2RCLIP, MODEL_FILE
from l2rclip_lite.towers import load_towers
from l2rclip_lite.training import fit


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> model_files.Parts:
    """A good model, taken apart."""
    file = L2RCLIP.build(strangers.RANKS, strangers.CONFIG).save(tmp_path_factory.mktemp("good"))
    return model_files.Parts(file.read_bytes())


@pytest.fixture(scope="module")
def files(parts: model_files.Parts) -> dict[str, bytes]:
    """What may be wrong with it."""
    return model_files.headers(parts) | model_files.metadata(parts)


REFUSED = {
    "shape-turned": r"'rank_features' is \(64, 3\), not \(3, 3\)",
    "other-dtype": "'rank_features' holds torch.int32, not torch.float32",
    "not-a-number": "'prompts.context' holds numbers that are not finite",
    "infinite": "'towers.image.proj' holds numbers that are not finite",
    "scale-that-overflows": "'towers.logit_scale' is too large for a scale",
    "extra-tensor": "'prompts.more' is none of the model's",
    "extra-text-tower": "'towers.text.more' is none of the model's",
    "length-2^63": "the header would have 9,223,372,036,854,775,808 bytes",
    "header-of-9-MB": "its header has 9,000,000 bytes, more than 8,388,608",
    "nested": "maximum recursion depth",
    "seven-bytes": "no safetensors file",
    "ranks-control-characters": r"ranks: '\\x1b\[2Jlow' has a control character",
    "ranks-hundred-thousand": "ranks: 100,000 ranks are more than 10,000",
    "ranks-one-more": r"'rank_features' is \(3, 64\), not \(4, 64\)",
    "ranks-a-word": "'low' cannot be the names",
    "ranks-template-of-2-MB": "the sentences have 6,000,034 letters",
    "ranks-values-too-large": "cannot be the values",
    "config-hidden-1e9": "hidden=1000000000 must not be greater than 65,536",
    "config-hidden-65536": r"is \(16, 64\), not \(65536, 64\)",
    "config-depth-64": "46 tensors for 64 blocks",
    "config-context-1e12": r"'prompts.context' is \(4, 64\), not \(1000000000000, 64\)",
    "config-image-size-1024": r"positional_embedding' is \(17, 64\), not \(4097, 64\)",
    "config-huge-towers": r"class_embedding' is \(64,\), not \(1664,\)",
}


@pytest.mark.untyped
@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_lies_or_asks_for_much_is_refused(
    files: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    """One sentence that names the file and what is wrong in it."""
    (tmp_path / MODEL_FILE).write_bytes(files[name])
    with pytest.raises(InputError, match=rf"{MODEL_FILE}: .*{REFUSED[name]}.*\.$") as caught:
        L2RCLIP.load(tmp_path)
    assert str(caught.value).isprintable()


def test_no_memory_is_taken_for_a_model_that_does_not_fit(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.5 billion parameters, 65,536 hidden units: refused before anything is built; too little memory, before reading."""
    monkeypatch.setattr(L2RCLIP, "build", lambda *_: pytest.fail("built"))
    for name in (
        "config-huge-towers",
        "config-hidden-65536",
        "config-context-1e12",
        "config-image-size-1024",
    ):
        (tmp_path / MODEL_FILE).write_bytes(files[name])
        with pytest.raises(InputError, match="its tensors do not fit its config"):
            L2RCLIP.load(tmp_path)
    monkeypatch.setattr("l2rclip_lite.tensor_file.free_memory", lambda: 1e-5)
    with pytest.raises(InputError, match=r"it has 0\.0 GiB, and 0\.0 GiB of memory are free"):
        L2RCLIP.load(tmp_path)


def test_a_model_without_finite_answers_gives_none(files: dict[str, bytes], tmp_path: Path) -> None:
    """Each weight is a number, but their sums are none."""
    (tmp_path / MODEL_FILE).write_bytes(files["answers-that-overflow"])
    model = L2RCLIP.load(tmp_path)
    with pytest.raises(InputError, match="the model's answer is not a finite number"):
        model.predict([Image.new("RGB", (8, 8), "green")])


def test_nothing_outside_the_file_is_opened(parts: model_files.Parts, tmp_path: Path) -> None:
    """Hubs, URLs, shares, other folders, pickles with a pickle's name or another: refused, unopened, unexecuted."""
    outside, trace = tmp_path / "outside", tmp_path / "trace"
    outside.mkdir()
    pickles = model_files.pickles(trace)
    (outside / "evil.pt").write_bytes(pickles["zip"])
    opened: list[str] = []
    heard = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if heard and (event.startswith("socket.") or (event == "open" and "/outside/" in str(args[0]))):
            opened.append(f"{event} {args}")

    sys.addaudithook(hook)  # it stays, deaf after this test
    for name, data in (model_files.elsewhere(parts, outside) | pickles).items():
        (tmp_path / MODEL_FILE).write_bytes(data)
        with pytest.raises(InputError, match=rf"{MODEL_FILE}: ") as caught:
            L2RCLIP.load(tmp_path)
        assert str(caught.value).isprintable(), name
    for towers, weights in model_files.pointers(outside):
        with pytest.raises(InputError, match=r"^towers: "):
            load_towers(towers, weights=weights)
    with (outside / "seen.txt").open("w"):
        assert len(opened) == 1, "the hook is deaf"
    heard = False
    assert not trace.exists()


def test_predict_says_one_sentence(
    files: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on stdout, one line on stderr: of a model that is none, and of one that answers nothing."""
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    for name in ("ranks-two-lines", "answers-that-overflow"):
        (tmp_path / MODEL_FILE).write_bytes(files[name])
        assert cli.main(["predict", str(tmp_path), str(tmp_path / "photo.png")]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1


@pytest.mark.untyped
def test_a_calibration_from_elsewhere_is_refused(parts: model_files.Parts, tmp_path: Path) -> None:
    """Temperatures that are none, of another model, damaged: never passed over in silence."""
    (tmp_path / MODEL_FILE).write_bytes(parts.edited(lambda *_: None))
    cases = model_files.calibrations(fingerprint_of(tmp_path / MODEL_FILE))
    for data in cases.values():
        (tmp_path / CALIBRATION_FILE).write_bytes(data)
        with pytest.raises(
            InputError, match=rf"{CALIBRATION_FILE}: .*calibrate` on this run again"
        ) as caught:
            L2RCLIP.load(tmp_path)
        assert str(caught.value).isprintable()
    assert L2RCLIP.load(tmp_path, calibrated=False).temperature == 1


@pytest.mark.slow
@pytest.mark.untyped
def test_a_checkpoint_from_elsewhere_is_refused(tmp_path: Path) -> None:
    """Other shapes, which would be spread over the parameters; epochs and histories that are none."""
    good, file = strangers._stopped(tmp_path / "run")
    parts = model_files.Parts(strangers._as_model(good))
    edits = strangers._checkpoint_edits(parts)
    for name in ("shape turned", "missing", "not a number", "many epochs", "a word of history"):
        file.write_bytes(strangers._as_checkpoint(parts.edited(edits[name])))
        with pytest.raises(
            InputError, match=r"stage1\.safetensors: damaged or of another model \(.*\); delete it"
        ):
            fit(strangers._data(), strangers.CONFIG, tmp_path / "run", quiet=True)
    file.write_bytes(good)
    assert len(fit(strangers._data(), strangers.CONFIG, tmp_path / "run", quiet=True).history) == 2


@pytest.mark.parametrize("name", [*mini.TEXT_FILES, "image", "alignment"])
def test_each_bundled_file_is_checked_before_it_is_parsed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file in its place, the others untouched."""
    other = tmp_path / (name if name in mini.TEXT_FILES else "other")
    for text in mini.TEXT_FILES:
        (tmp_path / text).symlink_to(mini.find_text_folder() / text)
    other.unlink(missing_ok=True)
    other.write_bytes(b"other")
    if name == "image":
        monkeypatch.setattr(mini, "find_image_weights", lambda: other)
        monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    elif name == "alignment":
        monkeypatch.setattr(mini, "ALIGNMENT", other)
    else:
        monkeypatch.setattr(mini, "find_text_folder", lambda: tmp_path)
    with pytest.raises(InputError, match=rf"^towers: {other.name} has SHA-256 .*; reinstall"):
        MiniTowers.from_installed()
