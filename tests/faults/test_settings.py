"""Settings, label spaces, the files of a run and the words of a command: of another type, damaged, hostile."""

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from faults import HOSTILE, damaged, judged, many, painted
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from l2rclip_lite import cli
from l2rclip_lite.checkpoints import load_checkpoint, save_checkpoint
from l2rclip_lite.config import Config
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.training.fit import fit

pytestmark = pytest.mark.untyped
RANKS = Ranks(("low", "high"), (0, 1), "a {rank} leaf")
TINY = Config(
    towers="tiny/random",
    epochs1=1,
    epochs2=0,
    hidden=8,
    heads=2,
    batch_size=16,
    device="cpu",
    threads=1,
)
OTHER = "settings and rank names of another type or size"
FILES = "config.json, metrics.json and history.csv of a run, damaged, or a folder, pipe or link in their place"
CHECKPOINT = "a checkpoint of another run"


@many(short=300, long=25_000)
@given(
    st.sampled_from(sorted(Config().to_dict())),
    st.sampled_from(sorted(RANKS.to_dict())),
    st.sampled_from(HOSTILE),
)
def test_a_value_of_another_kind(setting: str, part: str, value: Any) -> None:
    """JSON, YAML and notebooks hold anything; what is accepted comes back from its JSON."""
    with judged(OTHER, must=False):
        config = Config.from_dict(Config().to_dict() | {setting: value})
        assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with judged(OTHER, must=False):
        ranks = Ranks.from_dict(RANKS.to_dict() | {part: value})
        assert len(set(ranks.sentences)) == len(ranks.values) >= 2


def again(out: Path) -> None:
    """Ask for the run in a directory."""
    fit(painted()[:3], TINY, out, ranks=painted()[3], quiet=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A run, and the content of its files."""
    out = tmp_path_factory.mktemp("finished") / "run"
    again(out)
    return out, {
        name: (out / name).read_bytes() for name in ("config.json", "metrics.json", "history.csv")
    }


def replaced(state: Any, data: st.DataObject) -> Any:
    """The same JSON with one node, at any depth, replaced or removed."""
    if isinstance(state, dict) and state and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(state)))
        rest = {name: value for name, value in state.items() if name != key}
        return rest | ({key: replaced(state[key], data)} if data.draw(st.integers(0, 5)) else {})
    return data.draw(st.sampled_from(HOSTILE))


@many(short=60, long=12_000)
@given(st.data())
def test_a_damaged_file_of_a_run(
    finished: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    """The run is asked for again, as after a power cut; the model itself is tried in test_models.py."""
    out, files = finished
    name = data.draw(st.sampled_from(sorted(files)))
    content = data.draw(damaged(files[name]))
    if name.endswith("json") and data.draw(st.booleans()):
        content = json.dumps(replaced(json.loads(files[name]), data)).encode()
    (out / name).write_bytes(content)
    try:
        with judged(FILES, must=False), patch.object(L2RCLIP, "from_pretrained"):
            again(out)
    finally:
        (out / name).write_bytes(files[name])


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
def test_no_file_in_the_place_of_one(
    finished: tuple[Path, dict[str, bytes]], name: str, kind: str
) -> None:
    """A pipe would wait for ever."""
    out, files = finished
    (out / name).unlink()
    {"folder": os.mkdir, "pipe": os.mkfifo, "link": lambda path: path.symlink_to(name)}[kind](
        out / name
    )
    try:
        with judged(FILES, must=name == "config.json"):
            again(out)
    finally:
        (out / name).rmdir() if (out / name).is_dir() else (out / name).unlink(missing_ok=True)
        (out / name).write_bytes(files[name])


ZEROS = torch.zeros(3, 2)


FOREIGN: dict[str, dict[str, Any]] = {
    "shape": {"now/weight": ZEROS},
    "type": {"now/weight": ZEROS.T.int()},
    "not a number": {"best/weight": ZEROS.T / 0},
    "moments": {"adam.exp_avg/weight": ZEROS[:1]},
    "missing": {"now/weight": None},
    "more": {"now/more": ZEROS},
    "one bit": {},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_checkpoint_from_elsewhere(tmp_path: Path, what: str) -> None:
    """It would be spread over the parameters."""
    layer = nn.Linear(3, 2, bias=False)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    parameters, file = dict(layer.named_parameters()), tmp_path / "stage1.safetensors"
    best = {name: value.detach().clone() for name, value in parameters.items()}
    save_checkpoint(file, parameters, best, optimizer, [])
    tensors, metadata = read_tensors(file)
    if what == "one bit":
        tensors["adam.exp_avg/weight"].view(torch.int32)[0, 0] ^= 1
    else:
        metadata.pop("sha256")  # those of earlier releases have none
    save_tensors(
        file, {name: v for name, v in (tensors | FOREIGN[what]).items() if v is not None}, metadata
    )
    with judged(CHECKPOINT, about="stage1.safetensors"):
        load_checkpoint(file, parameters, best, optimizer)


def test_a_checkpoint_with_another_record(tmp_path: Path) -> None:
    """Of a run that was stopped after stage 1: how many epochs are done, and with which scores."""
    stop = patch("l2rclip_lite.training.fit.train_stage2", side_effect=KeyboardInterrupt)
    with stop, pytest.raises(KeyboardInterrupt):
        again(tmp_path)
    file = tmp_path / "checkpoint" / "stage1.safetensors"
    for about in ({}, {"about": "["}, {"about": "{}"}, {"about": '["h"]'}, {"about": "null"}):
        save_tensors(file, read_tensors(file)[0], about)
        with judged(CHECKPOINT, about="stage1.safetensors"):
            again(tmp_path)


WORDS = ["fit", "predict", "evaluate", "export", "data", "baselines", "--out", "--ranks", "--seed"]
WORDS += [
    "csv",
    ".",
    "/nowhere",
    "",
    "--",
    "-1",
    "1e400",
    "x" * 100_000,
    "a\x1b[2J\udcff",
    "\n",
    "[" * 9999,
]


@many(short=25, long=1_500)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
def test_hostile_words(words: list[str]) -> None:
    """Exit code 2, and no other end."""
    with judged("hostile words on the command line", must=False):
        assert cli.main([*words, "--no-such-option"]) == 2
