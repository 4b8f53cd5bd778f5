r"""Linear outputs under any loss, for one ridge after another, in few passes over the features.

$$\min_M\ L(XMR^\top,y)+\tfrac\lambda2\lVert M\rVert^2$$

Features vary a thousand times more along some axes than along others: there the loss is curved as
much more, and plain steps zigzag. So L-BFGS moves N, in which it is curved about alike everywhere:

$$M=(N/D)\,V^\top,\qquad D_{ac}=\sqrt{p_a\,h_c+\lambda}$$

p is the mean square of each column of X; h and V are spectrum and axes of $R^\top HR$. H is the
second derivative of the loss when one vector is added to the outputs of all images. It is computed
once for each ridge, where its search starts: for the first at outputs of 0, for each later one at
the solution of the ridge before.

Source: Nocedal and Wright 2006, chapters 2.2 and 7.2.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor
from torch.autograd.functional import hessian

from l2rclip_lite.shapes import Targets

Rows = Float[Tensor, "batch row"]
Root = Float[Tensor, "output column"]
Matrix = Float[Tensor, "row column"]
OutputLoss = Callable[[Tensor, Tensor], Tensor]  # of outputs and targets

ENOUGH = 3e-8  # the last step lowers what is minimised by a smaller share than this
SAMPLE = 1000  # so many images show how the loss is curved


def ridge_path(
    rows: Rows,
    target: Targets,
    root: Root,
    loss: OutputLoss,
    ridges: Sequence[float],
    mask: Matrix | None = None,
) -> Iterator[Matrix]:
    """Yield the best M for each ridge; each starts where the one before it ended, the first at 0.

    Products with X are of its precision, and on its device; the sum over images is of double
    precision.

    Args:
        rows: X, one row per image. Columns that do not correlate take the fewest steps.
        target: Rank index y of each image.
        root: R, from the columns of M to outputs.
        loss: L, of outputs and y.
        ridges: λ > 0.
        mask: 1 where M may differ from 0, else 0.

    Example:
        >>> rows, target = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
        >>> loss = torch.nn.functional.cross_entropy
        >>> path = ridge_path(rows, target, torch.eye(2), loss, [1.0, 0.1])
        >>> [round(float(m[0, 0]), 2) for m in path]  # λ m = 1 / (1 + exp 2 m)
        [0.34, 1.06]
    """
    root = root.to(rows)
    m = torch.zeros(rows.shape[1], root.shape[1]).to(rows)
    mask = torch.ones_like(m) if mask is None else mask.to(m)
    for ridge in ridges:
        m = _minimise(m, rows, target, root, loss, ridge, mask)
        yield m


def _minimise(
    start: Matrix,
    rows: Rows,
    target: Targets,
    root: Root,
    loss: OutputLoss,
    ridge: float,
    mask: Matrix,
) -> Matrix:
    """Return the best M for one ridge; for the arguments see `ridge_path`."""
    some = slice(None, None, 1 + len(rows) // SAMPLE)
    outputs = (rows[some] @ start @ root.T).double()

    def shifted(shift: Tensor) -> Tensor:
        return loss(outputs + shift, target[some])

    second = hessian(shifted, torch.zeros_like(outputs[0]))  # type: ignore[no-untyped-call]
    curvature, axes = torch.linalg.eigh(root.T @ second.to(root) @ root)
    power = rows.norm(dim=0).square() / len(rows)
    scale = (power[:, None] * curvature.clamp_min(0) + ridge).sqrt()

    def matrix(n: Tensor) -> Matrix:
        return mask * (n.view_as(scale) / scale @ axes.T)

    @torch.enable_grad()
    def penalised_loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        n = torch.from_numpy(flat).to(rows).requires_grad_()
        m = matrix(n)
        value = loss((rows @ (m @ root.T)).double(), target)
        value = value + ridge / 2 * m.double().square().sum()
        (gradient,) = torch.autograd.grad(value, n)
        return float(value.detach()), _flat(gradient)

    solution = minimize(
        penalised_loss,
        _flat(scale * (start @ axes)),
        method="L-BFGS-B",
        jac=True,
        options={"ftol": ENOUGH, "gtol": 0, "maxcor": 20},
    )
    return matrix(torch.from_numpy(solution.x).to(rows))


def _flat(matrix: Tensor) -> np.ndarray:
    """Return a matrix in one row of doubles, as SciPy takes it."""
    return matrix.double().cpu().numpy().ravel()
