"""Config: every value in its range, JSON and back, and what counts as another run."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError

NAN = float("nan")
REFUSED: tuple[tuple[str, Any], ...] = (
    ("epochs1", -1),
    ("epochs2", -1),
    ("context_length", -1),
    ("batch_size", 0),
    ("lr1", 0.0),
    ("lr1", NAN),
    ("lr2", -1e-3),
    ("lambda1", -1.0),
    ("lambda2", NAN),
    ("weight_decay", -1e-4),
    ("alpha", 1.01),
    ("alpha", -0.1),
    ("warmup", 1.0),
    ("push_power", 3),
    ("heads", 0),
    ("hidden", 0),
    ("depth", 0),
    ("image_size", 0),
    ("threads", 0),
    ("projection_lr_factor", 0.0),
)


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    """The sentence names setting and value."""
    with pytest.raises(InputError, match=f"^config: {name}={value!r} must .*\\.$"):
        Config(**{name: value})  # type: ignore[arg-type]


WORDS = (
    "axis",
    "schedule",
    "normalise",
    "order",
    "precision",
    "device",
    "scheme",
    "contrastive",
    "prototypes",
)


@pytest.mark.parametrize("name", WORDS)
def test_a_misspelt_word_is_refused(name: str) -> None:
    """`order="shufled"` must not train with the true order and be called a negative control.

    Called past the constructor, where the test suite's type checker would refuse the word first; users have none.
    """
    config = object.__new__(Config)
    for field in dataclasses.fields(Config):
        object.__setattr__(config, field.name, "nonsense" if field.name == name else field.default)
    with pytest.raises(InputError, match=f"^config: {name}='nonsense' must .*\\.$"):
        config.__post_init__()


def test_edges_that_are_allowed() -> None:
    """No epochs, no context, alpha of 0 and 1, and no push at all."""
    Config(epochs1=0, epochs2=0, context_length=0, rankformer=False, lambda1=0.0, lambda2=0.0, warmup=0.0)
    assert Config(alpha=0.0).alpha + Config(alpha=1.0).alpha == 1


NOTHING_TO_TRAIN: tuple[dict[str, Any], ...] = (
    {"rankformer": False, "context_length": 0},
    {"alpha": 0.0, "learn_alpha": False, "context_length": 0},
    {"prototypes": "random"},
)


@pytest.mark.parametrize("settings", NOTHING_TO_TRAIN)
def test_a_stage_1_without_anything_to_train_is_refused(settings: dict[str, Any]) -> None:
    """Neither RankFormer nor context, or random vectors: nothing would ever change. Joint training has the image tower."""
    with pytest.raises(InputError, match=r"stage 1 has nothing to train; set epochs1=0\.$"):
        Config(**settings)
    Config(**settings, epochs1=0)
    Config(**settings, scheme="joint")
    Config(alpha=0.0, context_length=0)  # learned: alpha itself is what trains


@given(
    epochs1=st.integers(0, 9),
    lr2=st.none() | st.floats(1e-9, 1e9),
    alpha=st.floats(0, 1),
    seed=st.integers(0, 2**62),
    order=st.sampled_from(["true", "blind", "shuffled"]),
)
def test_json_and_back(epochs1: int, lr2: float | None, alpha: float, seed: int, order: Any) -> None:
    """A config read from a run directory is the one that was written, to the last bit."""
    config = Config(epochs1=epochs1, lr2=lr2, alpha=alpha, seed=seed, order=order)
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_setting_is_refused() -> None:
    """A misspelt name is not ignored, and the sentence lists the right ones."""
    with pytest.raises(InputError, match=r"'epochs' is not a setting; the settings are .*epochs1, epochs2"):
        Config.from_dict({"epochs": 3})


def test_only_where_it_runs_may_differ() -> None:
    """Another device or thread count is the same run; anything else is not."""
    one = Config()
    assert one.differences(Config(device="cpu", threads=3)) == []
    assert one.differences(Config(seed=1, lambda2=0.0)) == ["lambda2", "seed"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.seed = 1  # type: ignore[misc]


def test_the_defaults_are_those_that_the_results_of_the_book_were_made_with() -> None:
    """Whoever changes one changes every run that does not name it: then the results are to be made anew."""
    assert Config().to_dict() == {
        "towers": "mini",
        "weights": None,
        "image_size": None,
        "prototypes": "language",
        "context_length": 4,
        "rankformer": True,
        "axis": "rank",
        "alpha": 0.1,
        "learn_alpha": True,
        "heads": 8,
        "hidden": 2048,
        "depth": 1,
        "centre": True,
        "scheme": "two-stage",
        "image_side": "tower",
        "epochs1": 30,
        "epochs2": 10,
        "batch_size": 16,
        "lr1": 0.00035,
        "lr2": None,
        "projection_lr_factor": 1.0,
        "weight_decay": 0.0001,
        "warmup": 0.1,
        "schedule": "cosine",
        "contrastive": "asymmetrical",
        "lambda1": 1.0,
        "lambda2": 1.0,
        "ordinal_loss": "pairwise",
        "normalise": "batch",
        "order": "true",
        "push_power": 1,
        "symmetric": False,
        "augment": True,
        "upside_down": None,
        "seed": 0,
        "device": "auto",
        "precision": "fp32",
        "threads": None,
        "micro_batch": None,
        "compile": False,
        "deterministic": False,
        "pictures": "auto",
        "workers": None,
        "cache": None,
    }
