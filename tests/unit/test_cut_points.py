"""One slope and cut points: probabilities that follow the number, and know where a rank is rare."""

import pytest
import torch

from l2rclip_book.study_parts import cut, stretched
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks

GRADES = Ranks(("no", "low", "high"), (0, 1, 2), "{rank}")


def test_a_stretched_value_is_the_expectation() -> None:
    """Zero to 60 percent on three grades: 15 percent is half a grade, 70 is the highest."""
    percents = Ranks.integers(0, 60, template="{rank}")
    p = stretched(torch.tensor([15.0, 45.0, 70.0]), percents, GRADES)

    assert (p @ GRADES.values_tensor().double()).tolist() == pytest.approx([0.5, 1.5, 2.0])
    assert p.sum(1).tolist() == pytest.approx([1, 1, 1])


def test_cut_points_recover_those_that_made_the_labels() -> None:
    """Grades begin at 0.3 and at 2; the median answers right but for a few images near a cut."""
    x = torch.linspace(-1, 4, 200)
    y = torch.bucketize(x, torch.tensor([0.3, 2.0]))
    half = torch.arange(200) % 2 == 0
    values = {"train": x[half], "val": x[~half], "test": x}

    p = cut(values, {"train": y[half], "val": y[~half]}, GRADES)
    median = (p.cumsum(1) < 0.5).sum(1)
    assert (median != y).sum() <= 4
    assert p.sum(1).tolist() == pytest.approx([1.0] * 200)
    assert ((p @ torch.arange(3.0).double()).diff() > -1e-9).all()


def test_labels_of_one_end_of_the_scale_are_refused() -> None:
    """Between them no cut point can be found."""
    parts = {split: torch.arange(4.0) for split in ("train", "val", "test")}
    targets = {"train": torch.zeros(4).long(), "val": torch.tensor([0, 1, 1, 2])}
    with pytest.raises(InputError, match="one end of the scale"):
        cut(parts, targets, Ranks.integers(0, 2, template="{rank}"))
