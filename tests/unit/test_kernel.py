"""The language-kernel head: by its gradient, against scikit-learn and against another optimiser."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import approx_fprime, minimize
from sklearn.linear_model import LogisticRegression

from l2rclip_lite.errors import InputError
from l2rclip_lite.heads.kernel import (
    MANY,
    LinearHead,
    choose_kernel_head,
    fit_kernel_heads,
    fit_linear_heads,
    rank_kernel,
)
from l2rclip_lite.method.ranks import Ranks

FOUR = Ranks.integers(1, 4, template="{rank} apples")
TEXT = torch.nn.functional.normalize(
    torch.randn(4, 6, generator=torch.Generator().manual_seed(1)), dim=1
)
VALUES = FOUR.values_tensor()
KERNEL = rank_kernel(TEXT, VALUES, (0.5, 0.3, 0.2))


def drawn(seed: int, images: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features of three numbers, the first of which goes with the rank, and targets."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(4, (images,), generator=generator)
    features = torch.randn(images, 3, generator=generator)
    features[:, 0] += target
    return features, target


Z, Y = drawn(0)


def inputs(head: LinearHead) -> np.ndarray:
    """Return [ν (z − μ), β]: centred, of mean length 3, and 3."""
    x = (Z - Z.mean(0)).double()
    assert float(head.norm) == pytest.approx(3 / float(x.norm(dim=1).mean()))
    return np.hstack([x * 3 / x.norm(dim=1).mean(), np.full((len(x), 1), 3.0)])


def objective(flat: np.ndarray, x: np.ndarray, kernel: np.ndarray, ridge: float) -> float:
    """Return CE + λ/2 tr(Wᵀ W G⁻¹), in W itself and in NumPy: with W = M Rᵀ the last is ‖M‖²."""
    weight = flat.reshape(-1, len(kernel))
    y = Y.numpy()

    logits = x @ weight
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    cross_entropy = -np.log(p[np.arange(len(y)), y]).mean()
    penalty = np.trace(weight @ np.linalg.inv(kernel) @ weight.T)
    return float(cross_entropy + ridge / 2 * penalty)


def test_another_optimiser_finds_the_same_and_there_the_slope_is_zero() -> None:
    """BFGS on differences, in other coordinates, from a random start; and the head's own slope."""
    head = list(fit_kernel_heads(Z, Y, KERNEL, [0.1, 0.01]))[1]
    weight = head.weight.double().numpy().ravel()
    problem = (inputs(head), KERNEL.double().numpy(), 0.01)
    start = np.random.default_rng(0).normal(size=16)

    oracle = minimize(objective, start, problem)
    slope = approx_fprime(weight, objective, 1e-6, *problem)

    assert objective(weight, *problem) == pytest.approx(oracle.fun, abs=1e-6)
    assert np.allclose(head.weight, oracle.x.reshape(4, 4), atol=5e-3)
    assert np.abs(slope).max() < 1e-4


def test_the_identity_is_logistic_regression() -> None:
    """scikit-learn adds C times the sum of the losses to ½ ‖W‖²: C = 1/(λ n)."""
    head = next(fit_kernel_heads(Z, Y, torch.eye(4), [0.01]))
    x = inputs(head)
    oracle = LogisticRegression(C=1 / (0.01 * len(x)), fit_intercept=False, tol=1e-8, max_iter=1000)
    assert np.allclose(head(Z).softmax(1), oracle.fit(x, Y).predict_proba(x), atol=1e-4)


def test_what_the_mask_leaves_out_stays_0_and_the_rest_has_no_slope() -> None:
    """One feature is left out, and one bias."""
    mask = torch.ones(4, 4)
    mask[1] = 0
    mask[3, 2] = 0
    head = next(fit_linear_heads(Z, Y, torch.eye(4), F.cross_entropy, [0.01], mask))

    weight = head.weight.double().numpy()
    slope = approx_fprime(weight.ravel(), objective, 1e-6, inputs(head), np.eye(4), 0.01)

    assert (head.weight[mask == 0] == 0).all()
    assert np.abs(slope[mask.numpy().ravel() == 1]).max() < 1e-4


def test_many_images_in_single_precision_answer_as_in_double() -> None:
    """From 10,000 images on: there double precision is left to those who ask for it."""
    z, y = drawn(3, MANY)
    single = list(fit_kernel_heads(z, y, KERNEL, [0.1, 0.001]))[1]
    double = list(fit_kernel_heads(z.double(), y, KERNEL, [0.1, 0.001]))[1]
    assert torch.allclose(single(z).softmax(1), double(z).softmax(1), atol=1e-5)


def test_few_steps_where_features_vary_much_along_some_axes() -> None:
    """Along the widest 10,000 times the mean square of the narrowest: plain steps were 257."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, -2, 40)
    turn = torch.linalg.qr(torch.randn(40, 40, generator=generator)).Q
    latent = torch.randn(500, 40, generator=generator)
    target = (latent @ torch.randn(40, generator=generator)).argsort().argsort() * 4 // 500
    calls = []

    def counted(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        calls.append(len(y))
        return F.cross_entropy(outputs, y)

    list(fit_linear_heads(latent * spread @ turn, target, torch.eye(4), counted, [0.1, 0.0001]))
    assert len(calls) < 60


def test_a_new_order_of_the_ranks_is_only_that() -> None:
    """Kernel and targets permuted alike: the columns follow."""
    order = torch.tensor([2, 0, 3, 1])
    head = next(fit_kernel_heads(Z, Y, KERNEL, [0.01]))
    other = next(fit_kernel_heads(Z, order.argsort()[Y], KERNEL[order][:, order], [0.01]))
    assert torch.allclose(other(Z), head(Z)[:, order], atol=1e-3)


def test_an_empty_head_loads_a_state_and_is_exported_for_any_batch() -> None:
    """With the same answers."""
    head = next(fit_kernel_heads(Z, Y, KERNEL, [0.01]))
    empty = LinearHead(3, 4)
    empty.load_state_dict(head.state_dict())

    any_batch = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(empty, (Z,), dynamic_shapes=any_batch).module()
    assert torch.equal(exported(Z[:7]), head(Z[:7]))


def test_validation_chooses_the_mixture_with_the_lowest_rps() -> None:
    """The numbers help where each rank has three images."""
    z_train, y_train = drawn(1, 12)
    z_val, y_val = drawn(2, 300)
    features = {"train": z_train, "val": z_val}
    targets = {"train": y_train, "val": y_val}

    without = choose_kernel_head(features, targets, TEXT, FOUR, mixtures=[(0.0, 0.0, 1.0)])
    numbers = choose_kernel_head(features, targets, TEXT, FOUR, mixtures=[(0.0, 0.9, 0.1)])
    chosen = choose_kernel_head(features, targets, TEXT, FOUR)

    assert numbers.rps < without.rps
    assert chosen.rps <= numbers.rps

    double = {split: rows.double() for split, rows in features.items()}  # as NumPy has them
    assert choose_kernel_head(double, targets, TEXT, FOUR).mixture == chosen.mixture


NO_WEIGHT = (-1.0, math.nan, math.inf)


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("text", "values", "mixture", "sentence"),
    [
        (TEXT, torch.zeros(4), (0.5, 0.4, 0.1), "the values of all ranks are equal"),
        (TEXT, VALUES / 0, (0.5, 0.4, 0.1), "text or values are not finite"),
        (TEXT[:1], VALUES[:1], (0.5, 0.4, 0.1), "for each of two ranks or more"),
        (
            TEXT[:2],
            VALUES,
            (0.5, 0.4, 0.1),
            r"text is \[2, 6\], values \[4\]; give a row and a value",
        ),
        (TEXT, VALUES, (0.5, 0.5), "give three weights"),
        *(
            (TEXT, VALUES, (bad, 0.0, 1.0), f"a weight of the mixture is {bad}")
            for bad in NO_WEIGHT
        ),
    ],
)
def test_a_kernel_of_nothing_is_refused(
    text: torch.Tensor, values: torch.Tensor, mixture: Any, sentence: str
) -> None:
    """Equal values gave NaN, and a negative weight a kernel that is none."""
    with pytest.raises(InputError, match=sentence):
        rank_kernel(text, values, mixture)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((Z, Y, KERNEL - torch.eye(4), [0.1]), "not symmetric and positive"),
        ((Z, Y, KERNEL.triu(), [0.1]), "not symmetric and positive"),
        pytest.param(
            (Z, Y, torch.ones(4, 5), [0.1]), "not symmetric and positive", marks=pytest.mark.untyped
        ),
        ((Z, Y + 1, KERNEL, [0.1]), "target is 4"),
        ((Z[:1].repeat(60, 1), Y, KERNEL, [0.1]), "all training features are equal"),
        ((Z * 1e-40, Y, KERNEL, [0.1]), "the features hardly differ from each other"),
        ((Z / 0, Y, KERNEL, [0.1]), "features is"),
        *(((Z, Y, KERNEL, [bad]), f"a ridge is {bad}; give a number from") for bad in NO_WEIGHT),
        ((Z, Y, KERNEL, [0]), "a ridge is 0"),
    ],
)
def test_what_has_no_answer_is_refused(arguments: tuple[Any, ...], sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=sentence):
        next(fit_kernel_heads(*arguments))


def test_few_images_with_many_features_solve_the_small_side() -> None:
    """Features that are 0 for all images change no answer; their square would take 1.6 GB."""
    features = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    target = torch.arange(12) % 3
    wide = F.pad(features, (0, 14_000))

    pairs = zip(
        fit_kernel_heads(features, target, torch.eye(3)),
        fit_kernel_heads(wide, target, torch.eye(3)),
        strict=True,
    )
    for narrow_head, wide_head in pairs:
        assert torch.allclose(narrow_head(features), wide_head(wide), atol=1e-3)
