"""Config: every value in its range, and no stage that could change nothing."""

import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from l2rclip_lite.config import PRESETS, Config, Controls, LossWeights

NAN = float("nan")
REFUSED = (
    ("epochs1", -1), ("epochs2", 2.5), ("batch_size", 0), ("lr1", NAN), ("lambda1", -1.0),
    ("alpha", 1.01), ("warmup", 1.0), ("heads", 0), ("image_size", 7), ("axis", "ranks"),
    ("controls", {"order": "shufled"}), ("epochs", 3), ("preset", "papr"),
)  # fmt: skip


@pytest.mark.untyped
@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    """A misspelt word must not train with the default and be called a negative control."""
    with pytest.raises(ValidationError, match=name):
        Config(**{name: value})


WHOLE = [each.name for each in fields(Config) if re.search(r"\bint\b", str(each.type))]


@pytest.mark.parametrize("name", WHOLE)
def test_every_whole_number_has_an_upper_bound(name: str) -> None:
    """Else 2**64 threads reach ctypes, and as many processes the machine."""
    with pytest.raises(ValidationError, match=rf"(?s){name}.*should be less than"):
        Config(**{name: 2**64})


@pytest.mark.parametrize(
    "settings",
    [
        {"controls": Controls(rankformer=False), "context_length": 0},
        {"alpha": 0.0, "controls": Controls(learn_alpha=False), "context_length": 0},
    ],
    ids=str,
)
def test_a_stage_1_without_anything_to_train_is_refused(settings: dict[str, Any]) -> None:
    """Neither RankFormer nor context: nothing would ever change."""
    with pytest.raises(ValidationError, match="stage 1 trains nothing; set epochs1=0"):
        Config(**settings)
    assert Config(**settings, epochs1=0).epochs1 == 0
    assert Config(alpha=0.0, context_length=0).alpha == 0  # learned: α itself is what trains


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from(sorted(PRESETS)),
        "image_side": st.sampled_from(["tower", "kernel"]),
        "epochs1": st.sampled_from([None, 0, 7]),
        # 0 and 1 are also what the presets say: whoever sets them means them
        **dict.fromkeys(LossWeights._fields, st.sampled_from([None, 0.0, 0.5, 1.0])),
    },
)


@given(st.lists(CHANGES, min_size=1, max_size=4))
def test_a_preset_decides_what_nobody_has_set(steps: list[dict[str, Any]]) -> None:
    """By `replace` or in a file: own settings win, else those of the preset."""
    config = Config()
    own: dict[str, Any] = {}
    for changes in steps:
        by_file = Config.from_dict(json.loads(json.dumps(config.to_dict())) | changes)
        config = replace(config, **changes)
        assert by_file == config
        own |= changes
    own = {name: value for name, value in own.items() if value is not None}

    expected = PRESETS[own.get("preset", "recommended")]._asdict()
    for name, weight in config.loss_weights()._asdict().items():
        assert weight == own.get(name, expected[name])

    default = 6 if own.get("image_side") == "kernel" else 10
    assert config.stage1_epochs() == own.get("epochs1", default)
    assert Config.from_dict(config.used()).used() == config.used()
