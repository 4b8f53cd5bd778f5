"""What an arm of a study begins with: tower and prompts of a relative, kept by what made it."""

from pathlib import Path
from typing import Any

import plan as planning
import pytest
from work import Work, folder_of

from l2rclip_lite import L2RCLIP

SMOKE = planning.read("smoke")
PEARS = planning.unit(SMOKE, "words-new", "pears", 0, "smoke", None)
APPLES = PEARS["relatives"]["words"]


@pytest.mark.slow
def test_an_arm_without_training_answers_as_its_relative_in_other_words(tmp_path: Path) -> None:
    """Not as the plain tower; the relative is trained once and found again."""
    work = Work(PEARS, "pears", tmp_path)
    (row,) = work.rows("after a relative")
    (plain,) = work.rows("plain tower")

    relative = L2RCLIP.from_pretrained(folder_of(APPLES, tmp_path))
    model = relative.with_ranks(work.data.ranks)
    p = model.probabilities(model.encode(work.data.test))
    expected = p @ work.data.ranks.values_tensor()
    assert row["images"]["expected"].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert row["rps"] != pytest.approx(plain["rps"], abs=1e-4)

    trained = folder_of(APPLES, tmp_path).stat().st_mtime_ns
    list(work.rows("after a relative"))
    assert folder_of(APPLES, tmp_path).stat().st_mtime_ns == trained


@pytest.mark.parametrize(
    "changed", [{"settings": APPLES["settings"] | {"lr2": 0.1}}, {"method": "rps"}]
)
def test_what_is_trained_otherwise_is_another_relative(changed: dict[str, Any]) -> None:
    """Only where the images lie does not count."""
    cache = Path("cache")
    assert folder_of(APPLES | changed, cache) != folder_of(APPLES, cache)
    moved = APPLES | {"load": APPLES["load"] | {"root": "elsewhere"}}
    assert folder_of(moved, cache) == folder_of(APPLES, cache)
