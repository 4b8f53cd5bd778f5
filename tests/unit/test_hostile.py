"""Inputs that the fuzzer, `torture/fuzz.py`, found to hurt: refused in one sentence, at once, or read as they are meant."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plan as planning
import pytest
import torch

from l2rclip_lite import cli
from l2rclip_lite.calibration_file import Calibration, read_calibration, write_calibration
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import stratified
from l2rclip_lite.data.listed import FIXTURE_MARK
from l2rclip_lite.data.lists import read_list
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_json, write_json
from l2rclip_lite.model_card import model_card
from l2rclip_lite.ranks import Ranks, number_words
from l2rclip_lite.rundir import read_config, read_data, read_history, read_metrics
from l2rclip_lite.training import fit

TINY = Config(towers="tiny/random", epochs1=1, epochs2=0, hidden=8, heads=2, image_size=32, threads=1)
SOURCE: dict[str, Any] = {"name": "leaves", "size": 60, "pixels": 64}
pytestmark = pytest.mark.untyped  # files and words hold any type
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": "x"}, "batch_size='x' must be a whole number"),
        ({"batch_size": True}, "batch_size=True must be a whole number"),
        ({"epochs1": 2.5}, "epochs1=2.5 must be a whole number"),
        ({"augment": 1}, "augment=1 must be true or false"),
        ({"lr1": float("inf")}, "lr1=inf must be a finite number"),
        ({"lr2": float("nan")}, "lr2=nan must be a finite number or nothing"),
        ({"lr2": 10**400}, "must be a finite number or nothing"),
        ({"seed": 2**63}, "seed=9223372036854775808 is too large a number"),
        ({"axis": ["rank"]}, "axis=['rank'] must be one of token, rank, joint"),
        ({"towers": None}, "towers=None must be text"),
        ({1: 2}, "config: '1' is not a setting"),
        ([[]], "config: [[]] is no mapping"),
        ("", "config: '' is no mapping"),
    ],
)
def test_settings_of_another_kind(settings: Any, message: str) -> None:
    """JSON and YAML hold anything; before, the comparison that met it raised a TypeError, or the run took True for 1."""
    with pytest.raises(InputError) as caught:
        Config.from_dict(settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": "ab"}, "'ab' cannot be the names"),
        ({"names": ["a", None]}, "cannot be the names"),
        ({"names": ["a", "\ud800"]}, r"'\ud800' has a control character"),
        ({"values": [0, "x"]}, "cannot be the values"),
        ({"values": [0, 10**400]}, "cannot be the values"),
        ({"template": None}, "None cannot be the template"),
        (["a", "b"], "['a', 'b'] cannot be the names"),
    ],
)
def test_ranks_of_another_kind(change: Any, message: str) -> None:
    """A text was once taken for a list of its letters, null for a name; half a character ended a run after its training."""
    state = Ranks(("a", "b"), (0, 1), "{rank}").to_dict()
    with pytest.raises(InputError) as caught:
        Ranks.from_dict(state | change if isinstance(change, dict) else change)
    assert message in str(caught.value)
    with pytest.raises(InputError, match="no whole number"):
        number_words(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ["csv"]}, "there is no data set ['csv']"),
        ({"name": "csv", "root": 5, "ranks": "a,b"}, "csv: root must be text or a path or nothing, not 5"),
        (
            {"name": "csv", "root": "a\0b", "ranks": "a,b"},
            r"csv: root must be text or a path or nothing, not 'a\x00b'",
        ),
        ({"name": "csv", "root": ".", "ranks": [1, 2]}, "csv: ranks must be"),
        (
            {"name": "csv", "root": ".", "ranks": "a,b", "template": True},
            "csv: template must be text, not True",
        ),
        (
            {"name": "csv", "root": ".", "ranks": "a,b", "seed": -1},
            "csv: the seed -1 is no whole number from 0",
        ),
        (
            {"name": "hci", "root": "\ud800"},  # half a character, as JSON can hold it
            r"hci: root must be text or a path or nothing, not '\ud800'",
        ),
        ({"name": "csv", "root": ".", "ranks": "a,b", "labels": "x" * 5_000}, "there is no such file"),
        ({"name": "clap2015", "lists": "x" * 5_000}, "there is no folder xxx"),
        ({"name": "hci", "root": "x" * 5_000}, "xxx"),
        ({"name": "bracol", "root": "x" * 5_000}, "xxx"),
        ({"name": "morph", "lists": 7}, "morph: lists must be text or a path or nothing, not 7"),
    ],
)
def test_options_of_a_data_set_of_another_kind(options: dict[str, Any], message: str) -> None:
    """As a notebook or a config.json may give them."""
    with pytest.raises(InputError) as caught:
        load_dataset(**options)
    assert message in str(caught.value)


def test_a_header_of_100_000_columns_is_read_at_once(tmp_path: Path) -> None:
    """To look for a column that stands twice, each was once compared with all: minutes."""
    columns = ["filename", "age", *(f"c{n}" for n in range(100_000))]
    (tmp_path / "list.txt").write_text(",".join(columns) + "\n" + ",".join(["a.jpg", "7"] + ["x"] * 100_000))
    began = time.process_time()
    (entry,) = read_list(tmp_path / "list.txt")
    assert (entry.name, entry.label) == ("a.jpg", 7.0)
    parts = stratified([*range(20_000)] * 3, seed=0)  # the same comparison in the split of many ranks
    assert parts.count("train") == 20_000
    assert time.process_time() - began < 5


def test_an_age_of_5_000_digits(tmp_path: Path) -> None:
    """Python converts no such text to a number; the row is named."""
    folder = tmp_path / "morph" / "settingA"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / f"Setting_A_fold0_{part}.txt").write_text(f"{part}_01M{'9' * 5_000}.JPG 16\n")
    with pytest.raises(InputError, match=r"Setting_A_fold0_train.txt row 1: the name .* is not made as"):
        load_dataset("morph", lists=tmp_path)


def test_a_link_to_itself_among_the_pictures(tmp_path: Path) -> None:
    """It was once looked at as a folder, which the system refuses with an error of its own."""
    (tmp_path / "loop").symlink_to("loop")
    for part, name in (("train", "a.jpg 1\nb.jpg 1\nc.jpg 1"), ("test", "d.jpg 1")):
        (tmp_path / "crowdbeauty").mkdir(exist_ok=True)
        (tmp_path / "crowdbeauty" / f"animals_{part}.txt").write_text(name)
    with pytest.raises(InputError, match="4 of the 4 listed pictures are not under"):
        load_dataset("aesthetics", root=tmp_path, lists=tmp_path)


@pytest.mark.parametrize("damage", ["bits", "bomb", "cipher"])
def test_an_archive_that_is_damaged_or_a_bomb(tmp_path: Path, damage: str) -> None:
    """Zip files have errors of their own; 300 MB of zeros take 300 kB in the file, and are not unpacked."""
    arrays = {
        f"{part}_{what}": np.zeros((5, 1), np.uint8)
        for part in ("train", "val", "test")
        for what in ("labels", "images")
    }
    if damage == "bomb":
        arrays["train_labels"] = np.zeros((300 * 2**20, 1), np.uint8)
    file = tmp_path / "retinamnist.npz"
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    content = bytearray(file.read_bytes())
    if damage == "bits":
        start = content.index(b"train_labels.npy") + 36
        content[start : start + 40] = b"\xff" * 40
    elif damage == "cipher":
        content[6] |= 1
        content[content.index(b"PK\1\2") + 8] |= 1
    file.write_bytes(content)
    (tmp_path / FIXTURE_MARK).touch()
    with pytest.raises(InputError, match=r"train_labels cannot be read .*; fetch the file again"):
        load_dataset("retinamnist", root=tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a calibration."""
    out = tmp_path_factory.mktemp("hostile") / "run"
    fit(load_dataset(**SOURCE), TINY, out, source=SOURCE, quiet=True)
    from l2rclip_lite.calibration_file import fingerprint_of

    model = fingerprint_of(out / "model.safetensors")
    write_calibration(out, Calibration(2.0, "val", 10, 1.0, 3.0, 1.5, 1.4, model))
    assert model_card(out)
    return out


def of_json(where: str, value: Any) -> Callable[[bytes], bytes]:
    """Content with one node, "dataset.counts.train", set to a value."""

    def change(content: bytes) -> bytes:
        state = json.loads(content)
        holder = state
        *way, last = where.split(".")
        for key in way:
            holder = holder[key]
        if value is ...:
            del holder[last]
        else:
            holder[last] = value
        return json.dumps(state).encode()

    return change


DAMAGES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    *(
        (name, lambda content: DEEP.encode(), "nested too deeply")
        for name in ("config.json", "metrics.json", "calibration.json")
    ),
    *(
        (name, lambda content: content.decode().encode("utf-16"), "utf-8")
        for name in ("config.json", "metrics.json")
    ),
    ("config.json", lambda content: b'{"config": ' + b"9" * 5_000 + b"}", "integer string conversion"),
    ("config.json", of_json("config", [1]), "config is [1]"),
    ("config.json", of_json("config.batch_size", "x"), "batch_size='x' must be a whole number"),
    ("config.json", of_json("dataset.ranks.names", "abcde"), "'abcde' cannot be the names"),
    ("config.json", of_json("dataset.source", "leaves"), "source is 'leaves'"),
    ("config.json", of_json("dataset.source", {"name": ["leaves"]}), "there is no data set ['leaves']"),
    ("config.json", of_json("dataset.source.size", "60"), "size must be a whole number"),
    ("config.json", of_json("dataset.counts.train", [1]), "its counts do not go with its ranks"),
    ("config.json", of_json("dataset.card.title", ...), "title"),
    ("config.json", of_json("versions.python", 3), "versions is {"),
    ("metrics.json", of_json("test.accuracy", "high"), "accuracy of test is 'high'"),
    ("metrics.json", of_json("test.mae_high", ...), "mae_high"),
    ("metrics.json", of_json("baselines.median-rank", []), "damaged"),
    ("metrics.json", of_json("test_after_stage1.n", None), "n of test_after_stage1 is None"),
    ("calibration.json", of_json("temperature", 10**400), "the temperature is 1000000"),
    ("calibration.json", of_json("low", "x"), "low is 'x'; it must be a finite number"),
    ("calibration.json", lambda content: b"[1]", "cannot be used"),
    ("history.csv", lambda content: b"", "its header has no columns stage and epoch"),
    ("history.csv", lambda content: content + b"1,2\n", "history.csv row 3: not the row of an epoch"),
    (
        "history.csv",
        lambda content: content.replace(b"\n1,1", b"\ninf,1"),
        "history.csv row 2: not the row of an epoch",
    ),
    ("history.csv", lambda content: content + b"1,2,x,1,1,1,1\n", "history.csv row 3"),
    ("history.csv", lambda content: b"\xff" + content, "history.csv: cannot be read"),
]


def read_everything(run: Path) -> None:
    """What the commands read of a finished run."""
    read_config(run)
    read_data(run)
    read_metrics(run)
    read_history(run)
    read_calibration(run / "model.safetensors")
    model_card(run)


@pytest.mark.parametrize(("name", "damage", "message"), DAMAGES, ids=[f"{n}-{m}" for n, _, m in DAMAGES])
def test_a_damaged_file_of_a_run(
    finished: Path, tmp_path: Path, name: str, damage: Callable[[bytes], bytes], message: str
) -> None:
    """The sentence names the file; the table of a run never meets a text where a number belongs."""
    run = shutil.copytree(finished, tmp_path / "run")
    read_everything(run)
    (run / name).write_bytes(damage((run / name).read_bytes()))
    with pytest.raises(InputError) as caught:
        read_everything(run)
    assert message in str(caught.value)
    assert name in str(caught.value) or str(run) in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "calibration.json", "history.csv"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "broken link"])
def test_no_file_in_the_place_of_one(finished: Path, tmp_path: Path, name: str, kind: str) -> None:
    """A pipe would wait for ever; a folder would pass for an unfinished run, or for one that was never calibrated."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / name).unlink()
    if kind == "folder":
        (run / name).mkdir()
    elif kind == "pipe":
        os.mkfifo(run / name)
    else:
        (run / name).symlink_to("nowhere")
    with pytest.raises(InputError, match=str(run / name)):
        read_everything(run)


def test_a_path_that_is_no_utf8_is_kept(tmp_path: Path) -> None:
    """Linux allows any bytes in a name: Python has half surrogates for them, which a file can hold as an escape only."""
    name = os.fsdecode(b"photos-\xff")
    write_json(tmp_path / "config.json", {"root": name, "é": 1})
    assert read_json(tmp_path / "config.json") == {"root": name, "é": 1}
    assert "é" in (tmp_path / "config.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("grid: [", "cannot be read as YAML"),
        ("[" * 100_000, "100,000 characters"),
        ("{data: {}, settings: {}, grid: {lr1: 3}}", "lr1 must be a list"),
        ("{data: {}, settings: {}}", "grid"),
        (
            "{data: {a: {load: {name: leaves}, run: seed, runs: 1000000000000}}, settings: {}, grid: {}}",
            "runs must be",
        ),
    ],
)
def test_a_sweep_that_cannot_be_run(tmp_path: Path, sweep: str, message: str) -> None:
    """The sentence begins with the file."""
    (tmp_path / "sweep.yaml").write_text(sweep)
    with pytest.raises(ValueError, match=rf"^sweep.yaml: .*{message}"):
        planning.read_sweep(tmp_path / "sweep.yaml")


@pytest.mark.parametrize(
    "words",
    [
        ["[" * 100_000],
        ["fit", "--dataset", "csv", "--root", "x", "--ranks", "a,\x1b[2J\udcff", "--out", "o"],
        ["fit", "--dataset", "csv", "--root", "x", "--ranks", "a,b", "--out", "o", "--lr1", "inf"],
        [
            "fit",
            "--dataset",
            "csv",
            "--root",
            "x",
            "--ranks",
            "a,b",
            "--out",
            "o",
            "--batch-size",
            "9" * 5_000,
        ],
        ["data", "csv", "--root", "x" * 100_000, "--ranks", "a,b"],
        ["data", "leaves\n\x1b]0;title\a"],
    ],
)
def test_hostile_words(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, of a length that can be read, that does not steer the terminal."""
    assert cli.main(words) == 2
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert len(said) < 2_000
    assert said.rstrip("\n").isprintable()


def test_features_of_another_shape_are_not_taken(tmp_path: Path) -> None:
    """They once went into training as they were."""
    from l2rclip_lite.feature_cache import cached_features
    from l2rclip_lite.files import save_tensors
    from l2rclip_lite.model import L2RCLIP

    model = L2RCLIP.build(Ranks(("a", "b"), (0, 1), "{rank}"), TINY)
    pixels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    cached_features(model, pixels, tmp_path)
    (file,) = tmp_path.iterdir()
    save_tensors(file, {"features": torch.zeros(4, 1)}, {})
    with pytest.raises(InputError, match=r"damaged .*shape \(4, 1\).*delete it"):
        cached_features(model, pixels, tmp_path)
