"""The language-kernel head: by its gradient, against scikit-learn and against another optimiser."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime, minimize
from sklearn.linear_model import LogisticRegression

from l2rclip_lite.errors import InputError
from l2rclip_lite.kernel import KernelHead, choose_kernel_head, fit_kernel_heads, rank_kernel
from l2rclip_lite.ranks import Ranks

FOUR = Ranks.integers(1, 4, template="{rank} apples")
TEXT = torch.nn.functional.normalize(
    torch.randn(4, 6, generator=torch.Generator().manual_seed(1)), dim=1
)
VALUES = FOUR.values_tensor()
KERNEL = rank_kernel(TEXT, VALUES, (0.5, 0.3, 0.2))


def drawn(seed: int, images: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of three numbers, the first of which goes with the rank."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(4, (images,), generator=generator)
    features = torch.randn(images, 3, generator=generator)
    features[:, 0] += target
    return features, target


Z, Y = drawn(0)


def inputs(head: KernelHead) -> np.ndarray:
    """[ν (z − μ), β]: centred, of mean length 3, and 3."""
    x = (Z - Z.mean(0)).double()
    assert float(head.norm) == pytest.approx(3 / float(x.norm(dim=1).mean()))
    return np.hstack([x * 3 / x.norm(dim=1).mean(), np.full((len(x), 1), 3.0)])


def objective(flat: np.ndarray, x: np.ndarray, kernel: np.ndarray, ridge: float) -> float:
    """CE + λ/2 tr(Wᵀ W G⁻¹), in W itself and in NumPy: with W = M Rᵀ the last is ‖M‖²."""
    weight, y = flat.reshape(-1, len(kernel)), Y.numpy()
    logits = x @ weight
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    fit = -np.log(p[np.arange(len(y)), y])
    return float(fit.mean() + ridge / 2 * np.trace(weight @ np.linalg.inv(kernel) @ weight.T))


def test_another_optimiser_finds_the_same_and_there_the_slope_is_zero() -> None:
    """BFGS on differences, in other coordinates, from a start drawn at random; and the head's own slope."""
    head = list(fit_kernel_heads(Z, Y, KERNEL, [0.1, 0.01]))[1]
    problem = (inputs(head), KERNEL.double().numpy(), 0.01)
    start, own = np.random.default_rng(0).normal(size=16), head.weight.double().numpy().ravel()
    found = minimize(objective, start, problem)
    assert objective(own, *problem) == pytest.approx(found.fun, abs=1e-6)
    assert np.allclose(head.weight, found.x.reshape(4, 4), atol=5e-3)
    assert np.abs(approx_fprime(own, objective, 1e-6, *problem)).max() < 1e-4


def test_the_identity_is_logistic_regression() -> None:
    """scikit-learn adds C times the sum of the losses to ½ ‖W‖²: C = 1/(λ n)."""
    head = next(fit_kernel_heads(Z, Y, torch.eye(4), [0.01]))
    x = inputs(head)
    oracle = LogisticRegression(C=1 / (0.01 * len(x)), fit_intercept=False, tol=1e-8, max_iter=1000)
    assert np.allclose(head(Z).softmax(1), oracle.fit(x, Y).predict_proba(x), atol=1e-4)


def test_a_new_order_of_the_ranks_is_only_that() -> None:
    """Kernel and targets permuted alike: the columns follow. An empty head of that size loads it."""
    order = torch.tensor([2, 0, 3, 1])
    head = next(fit_kernel_heads(Z, Y, KERNEL, [0.01]))
    other = next(fit_kernel_heads(Z, order.argsort()[Y], KERNEL[order][:, order], [0.01]))
    assert torch.allclose(other(Z), head(Z)[:, order], atol=1e-3)
    empty = KernelHead(3, 4)
    empty.load_state_dict(head.state_dict())
    exported = torch.export.export(
        empty, (Z,), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    ).module()
    assert torch.equal(exported(Z[:7]), head(Z[:7]))


def test_validation_chooses() -> None:
    """The numbers help where each rank has three images; the choice is the least of what can be chosen."""
    parts = [{"train": a, "val": b} for a, b in zip(drawn(1, 12), drawn(2, 300), strict=True)]
    alone = [
        choose_kernel_head(*parts, TEXT, FOUR, mixtures=[m])
        for m in ((0.0, 0.0, 1.0), (0.0, 0.9, 0.1))
    ]
    assert alone[1].rps < alone[0].rps
    assert choose_kernel_head(*parts, TEXT, FOUR).rps <= alone[1].rps


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
        ((Z, Y + 1, KERNEL, [0.1]), "target is 4"),
        ((Z[:1].repeat(60, 1), Y, KERNEL, [0.1]), "all training features are equal"),
        ((Z / 0, Y, KERNEL, [0.1]), "features is"),
        *(((Z, Y, KERNEL, [bad]), f"a ridge is {bad}; give a number from") for bad in NO_WEIGHT),
        ((Z, Y, KERNEL, [0]), "a ridge is 0"),
    ],
)
def test_what_has_no_answer_is_refused(arguments: tuple[Any, ...], sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=sentence):
        next(fit_kernel_heads(*arguments))
