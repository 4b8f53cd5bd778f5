"""Config: every value in its range, and no stage that could change nothing."""

from typing import Any

import pytest
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
    assert expected.items() <= Config().to_dict().items()
    assert [Config(image_side="kernel", epochs1=n).epochs1 for n in (None, 0, 30)] == [6, 0, 30]
    assert Controls() == Controls(
        False, "chosen", True, True, True, "asymmetrical", "true", "batch", 1, False
    )


@pytest.mark.untyped
def test_a_preset_gives_what_is_not_given() -> None:
    """The authors' three weights are 1; a word of the user's own wins; a run's record reads back as it was."""
    paper = Config(preset="paper", lambda_push=0.5)
    assert (paper.lambda1, paper.lambda_tight, paper.lambda_push, paper.lambda_rps) == (
        1,
        1,
        0.5,
        0,
    )
    assert Config.from_dict(paper.to_dict()) == paper
    with pytest.raises(ValidationError, match="preset"):
        Config(preset="papr")  # type: ignore[arg-type]
