"""The stack of kernel heads: its votes by hand, and that it is a mean of heads."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.heads.kernel import MIXTURES, choose_kernel_head, fit_kernel_heads
from l2rclip_lite.heads.kernel_stack import mean_head, shares_of_votes, stack_kernel_heads
from l2rclip_lite.image_side import train_kernel
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training_data import TrainingData

THREE = Ranks.integers(1, 3, template="{rank} apples")


def drawn(seed: int, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features, the first number of which goes with the rank, and targets."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(images) % 3
    features = torch.randn(images, 4, generator=generator)
    features[:, 0] += target
    return features, target


def test_votes_by_hand() -> None:
    """Two images, two draws: a quarter of the samples has the first twice, half have each once.

    The first head is the best where the first image was drawn twice; else it is the second, by 2.0
    to 2.4 where each was drawn. The third ties with the first and comes too late; the last is never
    the best.
    """
    votes = shares_of_votes(np.array([[0.0, 2.4], [2.0, 0.0], [0.0, 2.4], [1.0, 2.5]]))
    assert votes.sum() == pytest.approx(1)
    assert votes == pytest.approx([0.25, 0.75, 0, 0], abs=0.04)  # of 1,000 samples, 3 σ


def test_a_mean_of_heads_answers_with_the_mean_of_their_logits() -> None:
    """A quarter of a strong ridge, three quarters of a weak one."""
    z, y = drawn(0, 30)
    strong, weak = fit_kernel_heads(z, y, torch.eye(3), [1.0, 0.01])
    mean = mean_head([strong, weak], np.array([0.25, 0.75]))
    assert torch.allclose(mean(z), 0.25 * strong(z) + 0.75 * weak(z), atol=1e-5)


def test_where_every_sample_is_the_same_the_stack_is_the_best_head() -> None:
    """One validation image, ten times; then thirty others, which disagree."""
    z, y = drawn(0, 30)
    text = F.normalize(torch.eye(3, 4) + 0.5, dim=1)
    z_val, y_val = drawn(1, 30)

    one = ({"train": z, "val": z_val[:1].repeat(10, 1)}, {"train": y, "val": y_val[:1].repeat(10)})
    stack = stack_kernel_heads(*one, text, THREE)
    best = choose_kernel_head(*one, text, THREE)
    assert torch.equal(stack.head.weight, best.head.weight)
    assert stack.mixture == pytest.approx(best.mixture)
    assert (stack.ridge, stack.rps) == pytest.approx((best.ridge, best.rps))

    many = ({"train": z, "val": z_val}, {"train": y, "val": y_val})
    assert not torch.equal(
        stack_kernel_heads(*many, text, THREE).head.weight,
        choose_kernel_head(*many, text, THREE).head.weight,
    )


@pytest.mark.parametrize(
    ("kernel", "fit_head", "names"),
    [
        ("chosen", stack_kernel_heads, ("nothing", "text", "numbers", "both")),
        ("language", stack_kernel_heads, ("nothing", "text")),
        ("numbers", choose_kernel_head, ("numbers",)),
    ],
)
def test_a_frozen_tower_gets_the_stack_and_a_study_its_one_head(
    tiny: Towers, kernel: Any, fit_head: Any, names: tuple[str, ...]
) -> None:
    """The mixtures of the control, all with the texts of the model."""
    config = Config(
        towers="tiny/random", heads=2, image_side="kernel", controls=Controls(kernel=kernel)
    )
    model = L2RCLIP(tiny, THREE, config)
    z, y = drawn(0, 30)
    z_val, y_val = drawn(1, 30)
    material = ({"train": z, "val": z_val}, {"train": y, "val": y_val})
    mixtures = [MIXTURES[name] for name in names]

    train_kernel(model, TrainingData({}, material[1], material[0]))

    expected = fit_head(*material, model.rank_features, THREE, mixtures=mixtures)
    assert model.head is not None
    assert torch.equal(model.head.weight, expected.head.weight)
