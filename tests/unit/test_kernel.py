"""The language-kernel head: by its slope and against scikit-learn; its stack."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import approx_fprime
from torch import Tensor

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.errors import InputError
from l2rclip_lite.heads import HeadInputs, LinearHead, fit_linear_heads
from l2rclip_lite.heads.kernel import MIXTURES, kernel_root, rank_kernel, stack_kernel_heads
from l2rclip_lite.image_side import train_kernel
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training_data import TrainingData

FOUR = Ranks.integers(1, 4, template="{rank} apples")
TEXT = F.normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(1)), dim=1)
KERNEL = rank_kernel(TEXT, FOUR.values_tensor(), (0.5, 0.3, 0.2))


def drawn(seed: int, images: int = 60) -> tuple[Tensor, Tensor]:
    """Return features of three numbers, the first of which goes with the rank, and targets."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(4, (images,), generator=generator)
    features = torch.randn(images, 3, generator=generator)
    features[:, 0] += target
    return features, target


def both(train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor]) -> Any:
    """Return features and targets of two splits."""
    return {"train": train[0], "val": val[0]}, {"train": train[1], "val": val[1]}


Z, Y = drawn(0)


def inputs(head: LinearHead) -> np.ndarray:
    """Return [ν (z − μ), β]: centred, of mean length 3, and 3."""
    x = (Z - Z.mean(0)).double()
    assert float(head.norm) == pytest.approx(3 / float(x.norm(dim=1).mean()))
    return np.hstack([x * 3 / x.norm(dim=1).mean(), np.full((len(x), 1), 3.0)])


def objective(flat: np.ndarray, x: np.ndarray, kernel: np.ndarray, ridge: float) -> float:
    """Return CE + λ/2 tr(Wᵀ W G⁻¹), in W itself and in NumPy: with W = M Rᵀ the last is ‖M‖²."""
    weight = flat.reshape(-1, len(kernel))
    logits = x @ weight
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    cross_entropy = -np.log(p[np.arange(len(x)), Y.numpy()]).mean()
    penalty = np.trace(weight @ np.linalg.inv(kernel) @ weight.T)
    return float(cross_entropy + ridge / 2 * penalty)


def test_at_a_head_the_slope_is_zero() -> None:
    """The problem is strictly convex; a feature and a bias that a mask leaves out stay 0."""
    turned = HeadInputs.of(Z, Y)
    _, head = fit_linear_heads(turned, kernel_root(KERNEL), F.cross_entropy, [0.1, 0.01])
    weight = head.weight.double().numpy().ravel()
    kernel = KERNEL.double().numpy()
    assert np.abs(approx_fprime(weight, objective, 1e-6, inputs(head), kernel, 0.01)).max() < 1e-4

    mask = torch.ones(4, 4)
    mask[1] = 0
    mask[3, 2] = 0
    unturned = HeadInputs.of(Z, Y, turned=False)
    (head,) = fit_linear_heads(unturned, torch.eye(4), F.cross_entropy, [0.01], mask)
    weight = head.weight.double().numpy().ravel()
    slope = approx_fprime(weight, objective, 1e-6, inputs(head), np.eye(4), 0.01)
    assert (head.weight[mask == 0] == 0).all()
    assert np.abs(slope[mask.numpy().ravel() == 1]).max() < 1e-4


@pytest.mark.parametrize("turned", [True, False])
def test_few_images_with_many_features_solve_the_small_side(turned: bool) -> None:
    """Features that are 0 for all images change no answer; their square would take 1.6 GB."""
    heads = []
    for features in (Z[:12], F.pad(Z[:12], (0, 14_000))):
        small = HeadInputs.of(features, Y[:12], turned=turned)
        (head,) = fit_linear_heads(small, torch.eye(4), F.cross_entropy, [0.01])
        heads.append(head(features))
    assert torch.allclose(*heads, atol=1e-3)


def test_features_that_do_not_differ_are_refused() -> None:
    """No head learns from them."""
    with pytest.raises(InputError, match="all equal, or not finite"):
        HeadInputs.of(Z * 0 + 0.1, Y)


# --- validation chooses ---------------------------------------------------------------------------


def test_validation_chooses_among_mixtures() -> None:
    """The numbers help where each rank has three images.

    Where all samples are one image, the stack is one head; thirty disagree, and it is a mean.
    """
    train = drawn(1, 12)
    z_val, y_val = drawn(2, 300)
    splits = both(train, (z_val, y_val))
    without = stack_kernel_heads(*splits, TEXT, FOUR, mixtures=[MIXTURES["nothing"]])
    numbers = stack_kernel_heads(*splits, TEXT, FOUR, mixtures=[(0.0, 0.9, 0.1)])
    assert numbers.rps < without.rps
    assert numbers.mixture == (0.0, 0.9, 0.1)

    mean = stack_kernel_heads(*both(drawn(0), drawn(1, 30)), TEXT, FOUR)
    assert mean.mixture not in MIXTURES.values()
    assert sum(mean.mixture) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kernel", "names"),
    [
        ("chosen", ("nothing", "text", "numbers", "both")),
        ("language", ("nothing", "text")),
        ("numbers", ("numbers",)),
    ],
)
def test_a_frozen_tower_gets_the_stack_and_a_study_its_one_head(
    tiny: Towers, kernel: Any, names: tuple[str, ...]
) -> None:
    """The mixtures of the control, all with the texts of the model."""
    controls = Controls(kernel=kernel)
    config = Config(towers="tiny/random", heads=2, image_side="kernel", controls=controls)
    model = L2RCLIP(tiny, FOUR, config)
    features, targets = both(drawn(0), drawn(1, 30))
    train_kernel(model, TrainingData({}, targets, features))

    expected = stack_kernel_heads(
        features, targets, model.rank_features, FOUR, mixtures=[MIXTURES[name] for name in names]
    )
    assert model.head is not None
    assert torch.equal(model.head.weight, expected.head.weight)
