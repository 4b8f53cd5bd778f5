"""Settings, ranks, files of a run, words of a command: of another type, damaged, hostile."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from faults import HOSTILE, damaged, judged, many, painted
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.config import Config
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.training import fit

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
FILES = "config.json, metrics.json and history.csv of a run, damaged"
CHECKPOINT = "a checkpoint of another run"


@many(short=300, long=25_000)
@given(
    setting=st.sampled_from(sorted(Config().to_dict())),
    part=st.sampled_from(sorted(RANKS.to_dict())),
    value=st.sampled_from(HOSTILE),
)
def test_a_value_of_another_kind_is_refused_or_comes_back_from_its_json(
    setting: str, part: str, value: Any
) -> None:
    """JSON, YAML and notebooks hold anything."""
    with judged(OTHER, must=False):
        config = Config.from_dict(Config().to_dict() | {setting: value})
        assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with judged(OTHER, must=False):
        ranks = Ranks.from_dict(RANKS.to_dict() | {part: value})
        assert len(set(ranks.sentences)) == len(ranks.values) >= 2


def ask_for_run(out: Path) -> None:
    """Train the run of a directory, or take it up where it stopped."""
    train, val, test, ranks = painted()
    fit((train, val, test), TINY, out, ranks=ranks, quiet=True)


class Finished(NamedTuple):
    """A run directory, and the content of its files."""

    out: Path
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a run that is through."""
    out = tmp_path_factory.mktemp("finished") / "run"
    ask_for_run(out)
    names = ("config.json", "metrics.json", "history.csv")
    return Finished(out, {name: (out / name).read_bytes() for name in names})


def replaced(state: Any, choice: st.DataObject) -> Any:
    """Return the same JSON with one node, at any depth, replaced or removed."""
    go_deeper = isinstance(state, dict) and state and choice.draw(st.integers(0, 4)) > 0
    if not go_deeper:
        return choice.draw(st.sampled_from(HOSTILE))

    name = choice.draw(st.sampled_from(sorted(state)))
    if choice.draw(st.integers(0, 5)) == 0:
        return {key: value for key, value in state.items() if key != name}
    return state | {name: replaced(state[name], choice)}


@many(short=60, long=12_000)
@given(choice=st.data())
def test_a_run_with_a_damaged_file_goes_on_or_is_refused(
    finished: Finished, choice: st.DataObject
) -> None:
    """As after a power cut; the model itself is tried in test_models.py."""
    name = choice.draw(st.sampled_from(sorted(finished.files)))
    content = choice.draw(damaged(finished.files[name]))
    if name.endswith("json") and choice.draw(st.booleans()):
        content = json.dumps(replaced(json.loads(finished.files[name]), choice)).encode()
    file = finished.out / name
    file.write_bytes(content)

    try:
        with pytest.MonkeyPatch.context() as patch, judged(FILES, must=False):
            patch.setattr(L2RCLIP, "from_pretrained", lambda *_, **__: None)  # takes a second
            ask_for_run(finished.out)
    finally:
        file.write_bytes(finished.files[name])


@pytest.mark.parametrize("difference", ["other shape", "one less", "no record"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, difference: str) -> None:
    """Of a run that was stopped after stage 1: of another model, or an earlier release."""

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    train, val, test, ranks = painted()
    with pytest.raises(KeyboardInterrupt):
        fit((train, val, test), TINY, tmp_path, ranks=ranks, quiet=True, on_epoch=stop)

    file = tmp_path / "checkpoint" / "stage1.safetensors"
    tensors, record = read_tensors(file)
    name = "now/prompts.context"
    if difference == "other shape":
        tensors[name] = tensors[name][:1]
    elif difference == "one less":
        del tensors[name]
    elif difference == "no record":
        record = {"about": "[]"}
    save_tensors(file, tensors, record)

    with judged(CHECKPOINT, about="stage1.safetensors"):
        ask_for_run(tmp_path)
