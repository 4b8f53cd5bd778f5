"""The files of a run directory and of a model, damaged or replaced by something that is no file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fuzz_inputs import Case, Draw, as_json, damaged, json_case, whether_intact, wrong
from fuzz_worker import Target
from hypothesis import strategies as st
from torch import nn

from l2rclip_lite.calibration_file import read_calibration
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.feature_cache import cached_features
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_card import model_card
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.rundir import check_run, read_config, read_data, read_history, read_metrics
from l2rclip_lite.stages import Stage, train_stage
from l2rclip_lite.training import fit

TINY = Config(
    towers="tiny/random",
    epochs1=1,
    epochs2=0,
    hidden=8,
    heads=2,
    depth=1,
    image_size=32,
    threads=1,
    batch_size=64,
    upside_down=True,
)
LEAVES = {"name": "leaves", "size": 60, "pixels": 64}
JSON_FILES = ("config.json", "metrics.json", "calibration.json")


def make_run(folder: Path) -> Path:
    """A finished run of tiny towers with a calibration: what the fuzzer damages."""
    data = load_dataset(**LEAVES)
    run = folder / "run"
    fit(data, TINY, run, source=LEAVES, quiet=True)
    from l2rclip_lite.calibration import calibrate

    calibrate(L2RCLIP.load(run, calibrated=False), data.val, run)
    return run


def targets(run: Path) -> list[Target]:
    """Everything that reads what an earlier command wrote."""
    folder = run.parent
    return [
        Target("JSON of a run", partial(json_of_run, run), partial(read_run, run), share=4),
        Target("history.csv", partial(history_case, run), read_csv_of_run, share=2),
        Target("no file in its place", partial(odd_case, run), partial(read_odd, run), share=2),
        Target("checkpoint", partial(tensors_case, _checkpoint(folder)), read_checkpoint),
        Target("cached features", partial(tensors_case, _piece(run, folder)), partial(read_piece, run)),
    ]


def model_targets(run: Path) -> list[Target]:
    """The model file; its header and metadata, not what its numbers mean."""
    return [
        Target(
            "model.safetensors", partial(tensors_case, (run / "model.safetensors").read_bytes()), read_model
        )
    ]


def json_of_run(run: Path, draw: Draw) -> Case:
    """One of the three JSON files."""
    name = draw(st.sampled_from(JSON_FILES))
    return json_case(draw, json.loads((run / name).read_bytes()), name)


def read_run(run: Path, folder: Path, case: Case) -> None:
    """Whatever reads that file."""
    for name in (*JSON_FILES, "history.csv", "model.safetensors"):
        (folder / name).symlink_to(run / name)
    (folder / case.about).unlink()
    (folder / case.about).write_bytes(case.content)
    data = _leaves()
    steps: list[Callable[[], Any]] = [
        lambda: read_config(folder),
        lambda: check_run(folder, data, TINY),
        lambda: read_data(folder),
        lambda: read_metrics(folder),
        lambda: read_calibration(folder / "model.safetensors"),
        lambda: model_card(folder),
    ]
    refused = []
    for step in steps:
        try:
            step()
        except InputError as error:
            refused.append(error)
    if refused:
        raise refused[0]
    assert not case.intact or json.loads((folder / case.about).read_bytes()) == case.meant


_DATA: dict[str, Any] = {}


def _leaves() -> Any:
    return _DATA.setdefault("leaves", load_dataset(**LEAVES))


def history_case(run: Path, draw: Draw) -> Case:
    """Rows of epochs."""
    content = (run / "history.csv").read_bytes()
    return Case(True, content) if whether_intact(draw) else Case(False, damaged(draw, content))


def read_csv_of_run(folder: Path, case: Case) -> None:
    """`read_history`; every figure is a number."""
    (folder / "history.csv").write_bytes(case.content)
    rows = read_history(folder)
    assert not case.intact or [(row["stage"], row["epoch"]) for row in rows] == [(1, 1)]
    assert all(isinstance(value, float | int) for row in rows for value in row.values())


def odd_case(run: Path, draw: Draw) -> Case:
    """A file of a run that is a folder, a pipe, a device, a link to nothing, to itself, or missing."""
    name = draw(
        st.sampled_from((*JSON_FILES, "history.csv", "model.safetensors", "checkpoint/stage1.safetensors"))
    )
    kind = draw(st.sampled_from(("file", "folder", "pipe", "device", "loop", "nothing", "gone", "empty")))
    return Case(kind == "file", kind, None, name)


def read_odd(run: Path, folder: Path, case: Case) -> None:
    """The commands' own readers; none may wait for a pipe, and nothing may pass for an unfinished or uncalibrated run."""
    for file in run.iterdir():
        (folder / file.name).symlink_to(file)
    path = folder / case.about
    path.parent.mkdir(exist_ok=True)
    if case.content != "file":
        path.unlink(missing_ok=True)
        make: dict[str, Callable[[], Any]] = {
            "folder": path.mkdir,
            "pipe": lambda: os.mkfifo(path),
            "device": lambda: path.symlink_to("/dev/zero"),
            "loop": lambda: path.symlink_to(path.name),
            "nothing": lambda: path.symlink_to("gone"),
            "gone": lambda: None,
            "empty": path.touch,
        }
        make[case.content]()
    read_config(folder)
    metrics = read_metrics(folder)
    read_history(folder)
    found = L2RCLIP.load(folder)
    stage = _stage()
    loaded = Checkpoint(folder / "checkpoint").load(
        stage, torch.optim.Adam(stage.parameters.values(), fused=False)
    )
    if case.content not in ("file", "gone"):
        assert (
            case.about not in ("metrics.json", "checkpoint/stage1.safetensors") or metrics is None is loaded
        ), "silence"
        expected = {"metrics.json": metrics, "calibration.json": found.temperature != 1}.get(
            case.about, loaded
        )
        assert expected, f"a {case.content} in the place of {case.about} was passed over in silence"


def _stage() -> Stage:
    """A stage that trains four numbers; small, so that its checkpoint is mostly header."""
    weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 4.0]))

    def loss(chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return (weight * weight).sum() * len(chosen)

    def validate() -> torch.Tensor:
        return torch.softmax(weight.detach()[None, :2].repeat(4, 1), 1)

    return Stage(1, "stage 1", {"w": weight}, 3, 0.01, loss, validate)


TWO = Ranks(("a", "b"), (0, 1), "{rank}")


def _checkpoint(folder: Path) -> bytes:
    """A real checkpoint after three epochs."""
    targets_ = torch.tensor([0, 1, 0, 1])
    train_stage(_stage(), (targets_, targets_), TWO, TINY, Checkpoint(folder / "real"), quiet=True)
    return (folder / "real" / "stage1.safetensors").read_bytes()


def tensors_case(content: bytes, draw: Draw) -> Case:
    """A safetensors file: intact, with metadata of another kind, another header, or damaged bytes."""
    if whether_intact(draw):
        return Case(True, content)
    size = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    how = draw(st.sampled_from(("metadata", "metadata", "header", "text", "bytes")))
    if how == "bytes":
        cut = 8 + size + 64
        return Case(False, damaged(draw, content[:cut]) + content[cut:])
    if how == "text":
        text = damaged(draw, content[8 : 8 + size])
    elif how == "header":
        text = as_json(wrong(draw, header))
    else:
        about = header.get("__metadata__") or {"x": "{}"}
        key = draw(st.sampled_from(sorted(about)))
        value = as_json(wrong(draw, json.loads(about[key]))).decode()
        text = json.dumps(header | {"__metadata__": {key: value}}).encode()
    return Case(False, len(text).to_bytes(8, "little") + text + body)


def read_checkpoint(folder: Path, case: Case) -> None:
    """`Checkpoint.load`, then the epochs that are left: what it accepts must be enough to go on."""
    (folder / "stage1.safetensors").write_bytes(case.content)
    targets_ = torch.tensor([0, 1, 0, 1])
    history = train_stage(_stage(), (targets_, targets_), TWO, TINY, Checkpoint(folder), quiet=True)
    assert [row["epoch"] for row in history] == [1, 2, 3], history


def _piece(run: Path, folder: Path) -> bytes:
    """The cached features of four pictures."""
    cached_features(L2RCLIP.load(run), _pixels(), folder / "cache")
    (file,) = (folder / "cache").iterdir()
    return file.read_bytes()


def _pixels() -> torch.Tensor:
    return torch.arange(4 * 3 * 32 * 32, dtype=torch.int64).remainder(251).to(torch.uint8).view(4, 3, 32, 32)


def read_piece(run: Path, folder: Path, case: Case) -> None:
    """`cached_features`; what it accepts is a row of numbers for each picture."""
    model = _DATA.setdefault("model", L2RCLIP.load(run))
    name = _DATA.setdefault("piece", next(iter((run.parent / "cache").iterdir())).name)
    (folder / name).write_bytes(case.content)
    found = cached_features(model, _pixels(), folder)
    assert (*found.shape, found.dtype) == (4, model.towers.dim, torch.float32), found


def read_model(folder: Path, case: Case) -> None:
    """`L2RCLIP.load`; what it accepts can answer."""
    (folder / "model.safetensors").write_bytes(case.content)
    model = L2RCLIP.load(folder)
    assert not case.intact or model.config.hidden == TINY.hidden
