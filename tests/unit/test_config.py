"""Config: every value in its range, and no stage that could change nothing."""

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from l2rclip_lite.config import PRESETS, Config, Controls

NAN = float("nan")
REFUSED = (
    ("epochs1", -1), ("epochs2", 2.5), ("context_length", -1), ("batch_size", 0), ("lr1", 0.0), ("lr1", NAN),
    ("lr2", -1e-3), ("lambda1", -1.0), ("lambda_push", NAN), ("alpha", 1.01), ("warmup", 1.0), ("heads", 0),
    ("image_size", 7), ("threads", 0), ("axis", "ranks"), ("controls", {"order": "shufled"}),
    ("controls", {"push_power": 3}), ("epochs", 3),
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


def test_the_defaults_are_those_that_the_results_of_the_book_were_made_with() -> None:
    """Whoever changes one changes every run that does not name it: then the results are to be made anew."""
    expected = {
        "context_length": 4,
        "axis": "rank",
        "alpha": 0.1,
        "heads": 8,
        "hidden": 2048,
        "depth": 1,
    }
    expected |= {
        "image_side": "tower",
        "epochs1": 30,
        "epochs2": 10,
        "batch_size": 16,
        "lr1": 3.5e-4,
    }
    expected |= {"lr2": None, "weight_decay": 1e-4, "warmup": 0.1} | PRESETS["recommended"]
    expected |= {"batch_size1": None}
    used = Config().used()
    assert {name: used[name] for name in expected} == expected
    kernel = [Config(image_side="kernel", epochs1=n).stage1_epochs() for n in (None, 0, 30)]
    assert kernel == [6, 0, 30]
    assert Controls() == Controls(
        False, "chosen", True, True, True, "asymmetrical", "true", "batch", 1, False
    )
    assert (Controls().light, Controls().clip, Controls().select) == (True, True, "rps")


SET_WAYS: dict[str, Callable[[Config, dict[str, Any]], Config]] = {
    "replace": lambda config, changed: replace(config, **changed),
    "from_dict": lambda config, changed: Config.from_dict(config.to_dict() | changed),
    "JSON": lambda config, changed: Config.from_dict(
        json.loads(json.dumps(config.to_dict())) | changed
    ),
}
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from(sorted(PRESETS)),
        "image_side": st.sampled_from(["tower", "kernel"]),
        "epochs1": st.sampled_from([None, 0, 7]),
        # 0 and 1 are also what the presets say: whoever sets them means them
        **dict.fromkeys(PRESETS["paper"], st.sampled_from([None, 0.0, 0.5, 1.0])),
    },
)


@given(st.lists(st.tuples(st.sampled_from(sorted(SET_WAYS)), CHANGES), min_size=1, max_size=4))
def test_a_preset_decides_what_nobody_has_set(steps: list[tuple[str, dict[str, Any]]]) -> None:
    """However often and in whatever way a config is changed: own words win, else the preset's."""
    config = Config()
    own: dict[str, Any] = {}
    for way, changed in steps:
        config = SET_WAYS[way](config, changed)
        own |= changed

    expected = PRESETS[own.get("preset", "recommended")]
    for name, weight in config.loss_weights()._asdict().items():
        assert weight == (expected[name] if own.get(name) is None else own[name])

    default = 6 if own.get("image_side") == "kernel" else 30
    assert config.stage1_epochs() == (default if own.get("epochs1") is None else own["epochs1"])
    assert Config.from_dict(config.used()).used() == config.used()


def test_an_unknown_preset_is_refused() -> None:
    """Not taken as the default."""
    with pytest.raises(ValidationError, match="preset"):
        Config.from_dict({"preset": "papr"})
