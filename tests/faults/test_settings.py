"""Settings, label spaces, the files of a run and the words of a command: of another type, damaged, hostile."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable
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
from l2rclip_lite.config import Config
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.runs import load_checkpoint, read_tensors, save_checkpoint, save_tensors
from l2rclip_lite.training import fit

pytestmark = pytest.mark.untyped
RANKS = Ranks(("low", "high"), (0, 1), "a {rank} leaf")
TINY = Config(towers="tiny/random", epochs1=1, epochs2=0, hidden=8, heads=2, batch_size=16, device="cpu", threads=1)
SETTINGS = sorted(Config().to_dict())


@many(short=300, long=20_000)
@given(st.sampled_from(SETTINGS), st.sampled_from(HOSTILE))
def test_a_setting_of_another_kind(name: str, value: Any) -> None:
    """JSON, YAML and notebooks hold anything; what is accepted is kept and comes back from its JSON."""
    with judged("settings", must=False):
        config = Config.from_dict(Config().to_dict() | {name: value})
        assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@many(short=150, long=10_000)
@given(st.sampled_from(sorted(RANKS.to_dict())), st.sampled_from(HOSTILE))
def test_ranks_of_another_kind(name: str, value: Any) -> None:
    """A text is no list of its letters, half a character no name."""
    with judged("settings", must=False):
        ranks = Ranks.from_dict(RANKS.to_dict() | {name: value})
        assert len(set(ranks.sentences)) == len(ranks.values) >= 2


@pytest.mark.parametrize("state", [[[]], "", None, {1: 2}, {"batch": 3}, {"controls": {"x": 1}}])
def test_no_settings_at_all(state: Any) -> None:
    """No mapping, or a name that is none."""
    with judged("settings"):
        Config.from_dict(state)


def again(out: Path, config: Config = TINY) -> None:
    """Ask for the run in a directory."""
    fit(painted()[:3], config, out, ranks=painted()[3], quiet=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A run, and the content of its files."""
    out = tmp_path_factory.mktemp("finished") / "run"
    again(out)
    return out, {name: (out / name).read_bytes() for name in ("config.json", "metrics.json", "history.csv")}


def said(*words: str) -> tuple[int, str]:
    """Exit code and stderr of the command line."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = cli.main(list(words))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return code or 0, err.getvalue()


def replaced(state: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """The same JSON with one node, at any depth, replaced or removed."""
    if isinstance(state, dict) and state and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(state)))
        if draw(st.integers(0, 5)) == 0:
            return {name: value for name, value in state.items() if name != key}
        return state | {key: replaced(state[key], draw)}
    return draw(st.sampled_from(HOSTILE))


@many(short=60, long=12_000)
@given(st.data())
def test_a_damaged_file_of_a_run(finished: tuple[Path, dict[str, bytes]], data: st.DataObject) -> None:
    """The run is asked for again, as after a power cut: it is loaded, or refused in a sentence."""
    out, files = finished
    name = data.draw(st.sampled_from(sorted(files)))
    if name.endswith("json") and data.draw(st.booleans()):
        content = json.dumps(replaced(json.loads(files[name]), data.draw)).encode()
    else:
        content = data.draw(damaged(files[name]))
    (out / name).write_bytes(content)
    try:  # the model itself is tried in test_models.py
        with judged("run-files", must=False), patch.object(L2RCLIP, "from_pretrained"):
            again(out)
    finally:
        (out / name).write_bytes(files[name])


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing", "link to itself"])
@pytest.mark.parametrize("name", ["config.json", "metrics.json", "model.safetensors"])
def test_no_file_in_the_place_of_one(finished: tuple[Path, dict[str, bytes]], name: str, kind: str) -> None:
    """A pipe would wait for ever; the command line says which."""
    out, _ = finished
    kept = (out / name).read_bytes()
    (out / name).unlink()
    if kind == "folder":
        (out / name).mkdir()
    elif kind == "pipe":
        os.mkfifo(out / name)
    else:
        (out / name).symlink_to("nowhere" if kind == "link to nothing" else name)
    try:
        with judged("run-files", must=name == "config.json"):
            again(out)
    finally:
        (out / name).rmdir() if kind == "folder" else (out / name).unlink(missing_ok=True)
        (out / name).write_bytes(kept)


CHECKPOINTS = {
    "another shape": {"now/weight": torch.zeros(3, 2)},
    "another type": {"now/weight": torch.zeros(2, 3, dtype=torch.int32)},
    "not a number": {"best/weight": torch.full((2, 3), float("nan"))},
    "moments of another shape": {"adam.exp_avg/weight": torch.zeros(1)},
    "missing": {"now/weight": None},
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_checkpoint_from_elsewhere(tmp_path: Path, case: str) -> None:
    """It would be spread over the parameters."""
    layer = nn.Linear(3, 2, bias=False)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    parameters, file = dict(layer.named_parameters()), tmp_path / "stage1.safetensors"
    best = {name: value.detach().clone() for name, value in parameters.items()}
    save_checkpoint(file, parameters, best, optimizer, {"history": []})
    tensors, about = read_tensors(file)
    changed = {name: value for name, value in (tensors | CHECKPOINTS[case]).items() if value is not None}
    save_tensors(file, changed, about)
    with judged("checkpoints", about="stage1.safetensors"):
        load_checkpoint(file, parameters, best, optimizer)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after stage 1."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with patch("l2rclip_lite.training.train_stage2", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        again(out)
    return out


@pytest.mark.parametrize("about", [{}, {"about": "["}, {"about": "{}"}, {"about": '["h"]'}, {"about": "null"}])
def test_a_checkpoint_with_another_record(stopped: Path, about: dict[str, str]) -> None:
    """Of how many epochs are done, and with which scores."""
    file = stopped / "checkpoint" / "stage1.safetensors"
    save_tensors(file, read_tensors(file)[0], about)
    with judged("checkpoints", about="stage1.safetensors"):
        again(stopped)


WORDS = ("fit", "predict", "evaluate", "calibrate", "export", "data", "baselines")
TRAILS = (
    *("--out", "--dataset", "--root", "--ranks", "--seed", "--batch-size", "--lr1", "leaves", "csv", "a,b", "."),
    *("/nowhere", "nowhere", "", "--", "-1", "1e400", "é" * 5000, "x" * 100_000, "a\x1b[2J\udcff", "\n", "{rank}", "[" * 9999),
)


@many(short=25, long=1_500)
@given(st.sampled_from(WORDS), st.lists(st.sampled_from(TRAILS), max_size=6))
def test_hostile_words(word: str, words: list[str]) -> None:
    """Never a traceback; an error of ours is one printable line, and exit code 2."""
    with judged("command-line", must=False):
        code, err = said(word, *(other for other in words if other != "leaves"), "--epochs2")
        assert code == 2, err
        assert "Traceback" not in err
        assert err.isascii() or err.replace("\n", "").isprintable(), ascii(err)


def test_sentences_on_the_terminal(tmp_path: Path) -> None:
    """Of a file name that would steer the terminal: one line that does not."""
    code, err = said("predict", str(tmp_path / "two\nlines\x1b[2J"), "x.png")
    assert (code, err.count("\n"), err.startswith("error: ")) == (2, 1, True), err
    assert err.strip().isprintable()
