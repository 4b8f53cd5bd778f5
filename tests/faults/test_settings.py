"""Settings, ranks and checkpoints: of another type, of another run, hostile."""

import json
from pathlib import Path
from typing import Any

import pytest
from faults import HOSTILE, judged, many, painted
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.config import Config
from l2rclip_lite.files import read_tensors, save_tensors
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


@pytest.mark.parametrize("difference", ["other shape", "one less", "no record"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, difference: str) -> None:
    """Of a run that was stopped after stage 1: of another model, or an earlier release."""

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    *splits, ranks = painted()
    with pytest.raises(KeyboardInterrupt):
        fit(splits, TINY, tmp_path, ranks=ranks, quiet=True, on_epoch=stop)

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
        fit(splits, TINY, tmp_path, ranks=ranks, quiet=True)
