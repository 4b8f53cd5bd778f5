r"""Linear heads under any loss on features that are there, and what reads their outputs.

CORAL and CORN have one output for each threshold between two ranks, a regression the distance of
its number from each rank. A `LinearHead` names the decoder that turns them into K probabilities, so
that one rule serves all.

`kernel` has the heads that know sentences and numbers; `calibration` makes temperature and
intervals.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.autograd.functional import hessian

from l2rclip_lite.errors import InputError
from l2rclip_lite.method import Features, Logits, Probabilities, Scalar, Targets
from l2rclip_lite.method.losses import checked_target
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps

Thresholds = Float[Tensor, "batch threshold"]  # one number for each of the K − 1 gaps
Root = Float[Tensor, "output column"]
Matrix = Float[Tensor, "row column"]
OutputLoss = Callable[[Tensor, Tensor], Tensor]  # of outputs and targets

# The constant β beside the features, as long as they are on average; its weights are the biases.
BIAS = 3.0
SINGLE_FROM = 10_000  # over so many images the rounding errors of single precision average out
SVD_FROM = 10_000  # features: the square of more is large, and of few images not needed
RIDGES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
FTOL = 3e-8  # the last step lowers what is minimised by a smaller share than this
HESSIAN_IMAGES = 1000  # so many images show how the loss is curved

# --- decoders -----------------------------------------------------------------------------------


def coral_probabilities(logits: Thresholds) -> Probabilities:
    r"""Return K probabilities from $P(y>k)=\sigma(f_k)$. See `survival_probabilities`.

    Example:
        >>> coral_probabilities(torch.zeros(1, 2)).tolist()
        [[0.5, 0.0, 0.5]]
    """
    return survival_probabilities(torch.sigmoid(logits))


def corn_probabilities(logits: Thresholds) -> Probabilities:
    r"""Return K probabilities from $P(y>k)=\prod_{j\le k}\sigma(f_j)$.

    See `survival_probabilities`.

    Example:
        >>> corn_probabilities(torch.zeros(1, 2)).tolist()
        [[0.5, 0.25, 0.25]]
    """
    return survival_probabilities(F.logsigmoid(logits).cumsum(dim=1).exp())


def survival_probabilities(
    survival: Thresholds,
) -> Probabilities:
    r"""Return $P(y=k)=P(y>k-1)-P(y>k)$.

    CORAL's biases need not be in order during training; a survival that rises is cut to the one
    before, so no probability is negative. The expectation is CORAL's and CORN's own; their own
    rank, the number of survivals above ½, is the median of these probabilities, which need not be
    their mode.

    Args:
        survival: K−1 numbers in [0, 1] per image.

    Returns:
        K numbers ≥ 0 that sum to 1.

    Example:
        >>> survival_probabilities(torch.tensor([[0.75, 0.25], [0.5, 0.75]])).tolist()
        [[0.25, 0.5, 0.25], [0.5, 0.0, 0.5]]
    """
    falling = survival
    step = 1
    while step < survival.shape[1]:  # ONNX has no cumulative minimum
        falling = torch.minimum(falling, F.pad(falling, (step, -step), value=1.0))
        step *= 2
    bounded = F.pad(F.pad(falling, (1, 0), value=1.0), (0, 1))
    return bounded[:, :-1] - bounded[:, 1:]


def normal_probabilities(distance: Float[Tensor, "batch rank"]) -> Probabilities:
    r"""Return the probabilities of a number with a normal error.

    $$p_k\propto e^{-d_k^2/2},\quad d_k=(\hat y-r_k)/\sigma$$

    Args:
        distance: d, the number minus each rank value in standard deviations, falling along a row. A
            number outside the values is moved to the nearer end.

    Returns:
        Rows whose largest entry is that of the nearest rank.

    Example:
        >>> normal_probabilities(torch.tensor([[0.5, -0.5, -1.5]])).round(decimals=3)
        tensor([[0.4220, 0.4220, 0.1550]])
    """
    inside = distance + F.relu(-distance[:, :1]) - F.relu(distance[:, -1:])
    return (-0.5 * inside.square()).softmax(dim=1)


DECODERS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": torch.nn.Softmax(dim=1),
    "coral": coral_probabilities,
    "corn": corn_probabilities,
    "normal": normal_probabilities,
}


def n_outputs(decoder: str, n_ranks: int) -> int:
    """Return the outputs that a decoder reads: one per rank, or per threshold between two.

    Example:
        >>> n_outputs("softmax", 5), n_outputs("coral", 5)
        (5, 4)
    """
    return n_ranks - 1 if decoder in ("coral", "corn") else n_ranks


# --- linear heads ---------------------------------------------------------------------------------


class LinearHead(nn.Module):
    r"""Compute logits $[\nu\,(z-\mu),\ \beta]\,W$ of image features z.

    It holds buffers only; those of a new head give logits of 0.

    Args:
        dim: Length of a feature.
        outputs: Number of outputs: one per rank, or per threshold between two.
        decoder: A key of `DECODERS`. With "softmax" the outputs are the logits, else the
            logits are the logarithm of the probabilities that the decoder returns.

    Example:
        >>> LinearHead(4, 3)(torch.ones(2, 4))
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """

    mean: Tensor
    norm: Tensor
    weight: Tensor

    def __init__(self, dim: int, outputs: int, decoder: str = "softmax") -> None:
        super().__init__()
        self.decoder = decoder
        self.register_buffer("mean", torch.zeros(dim))  # μ, of the training features
        self.register_buffer("norm", torch.ones(()))  # ν: centred, they have the mean length β
        self.register_buffer("weight", torch.zeros(dim + 1, outputs))  # W

    def forward(self, features: Features) -> Logits:
        """Return the logits, before any temperature."""
        outputs = self.norm * (features - self.mean) @ self.weight[:-1] + BIAS * self.weight[-1]
        if self.decoder == "softmax":
            return outputs

        probabilities = DECODERS[self.decoder](outputs)
        return probabilities.clamp_min(1e-12).log()


class HeadInputs(NamedTuple):
    r"""What linear heads on one table of features multiply.

    Args:
        mean: μ.
        norm: ν.
        axes: U, the principal axes of $[\nu\,(z-\mu),\ \beta]$; of few images with many features
            only those that the images span; None leaves the rows as they are.
        rows: $[\nu\,(z-\mu),\ \beta]\,U$ of each image.
        target: Rank index of each image.
    """

    mean: Float[Tensor, " dim"]
    norm: Scalar
    axes: Matrix | None
    rows: Float[Tensor, "batch row"]
    target: Targets

    @classmethod
    @torch.no_grad()
    def of(cls, features: Features, target: Targets, *, turned: bool = True) -> "HeadInputs":
        """Centre and scale features, on their device; refuse those from which no head learns.

        From `SINGLE_FROM` images on they keep their own precision; fewer have double precision.

        Args:
            features: Image features z of the frozen tower.
            target: Rank index of each image.
            turned: Whether to turn them to their principal axes, which takes fewer steps later.

        Raises:
            InputError: Features that are all equal or not finite, or not one target per image.
        """
        if features.device.type == "mps":  # it has no double precision
            features = features.cpu()
        target = checked_target(target, len(features)).to(features.device)
        precision = torch.float64
        if len(features) >= SINGLE_FROM:
            precision = torch.promote_types(features.dtype, torch.float32)
        features = features.to(precision)

        mean = features.mean(0)
        rows = features - mean
        norm = BIAS / rows.norm(dim=1).mean()
        if (features == features[0]).all() or not norm.float().isfinite():
            raise InputError("kernel: the features are all equal, or not finite; give others.")
        rows *= norm  # in place: they may fill much of the memory
        rows = F.pad(rows, (0, 1), value=BIAS)
        if not turned:
            return cls(mean, norm, None, rows, target)

        if rows.shape[1] > max(SVD_FROM, len(rows)):  # all axes along which the images differ
            axes = torch.linalg.svd(rows, full_matrices=False).Vh.T
        else:
            axes = torch.linalg.eigh(rows.T @ rows / len(rows)).eigenvectors
        return cls(mean, norm, axes, rows @ axes, target)


def fit_linear_heads(
    inputs: HeadInputs,
    root: Root,
    loss: OutputLoss,
    ridges: Sequence[float] = RIDGES,
    mask: Matrix | None = None,
    decoder: str = "softmax",
) -> Iterator[LinearHead]:
    r"""Yield linear heads on frozen features under any loss L, one for each ridge λ.

    $$\min_M\ L(f,y)+\tfrac\lambda2\lVert M\rVert^2,\qquad f_i=[\nu\,(z_i-\mu),\ \beta]\,M R^\top$$

    Under cross-entropy with $RR^\top=G$ the columns of $MR^\top$, one per rank, have the kernel G;
    the problem is strictly convex then: it has one answer, from any start.

    The search for each ridge starts where the one before it ended, the first at 0. Products with
    the features are of their precision, and on their device; the sum over images is of double
    precision.

    Args:
        inputs: Features and targets; not turned where there is a mask.
        root: R, from the columns of M to outputs, such as `kernel.kernel_root`; the identity gives
            each output weights of its own.
        loss: Of outputs f and targets y.
        ridges: λ > 0.
        mask: 1 where M may differ from 0, else 0; its last row is the biases'.
        decoder: See `LinearHead`.

    Example:
        >>> z, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
        >>> inputs = HeadInputs.of(z, y)
        >>> heads = fit_linear_heads(inputs, torch.eye(2), F.cross_entropy, [1.0, 0.1])
        >>> [round(float(head(z).softmax(1)[0, 0]), 2) for head in heads]
        [0.89, 0.98]
    """
    root = root.to(inputs.rows)
    m = torch.zeros(inputs.rows.shape[1], root.shape[1]).to(root)
    mask = torch.ones_like(m) if mask is None else mask.to(m)

    for ridge in ridges:
        m = _minimise(m, inputs, root, loss, ridge, mask)
        on_features = m if inputs.axes is None else inputs.axes @ m
        weight = on_features @ root.T
        head = LinearHead(len(inputs.mean), len(root), decoder)
        head.load_state_dict({"mean": inputs.mean, "norm": inputs.norm, "weight": weight})
        yield head


def validation_rps(
    head: LinearHead, features: Mapping[str, Features], targets: Mapping[str, Targets], ranks: Ranks
) -> float:
    """Return the ranked probability score of the validation images under a head."""
    probabilities = head(features["val"].cpu().float()).softmax(dim=1)
    return rps(targets["val"], probabilities, ranks)


def _minimise(
    start: Matrix, inputs: HeadInputs, root: Root, loss: OutputLoss, ridge: float, mask: Matrix
) -> Matrix:
    r"""Return the best M for one ridge, see `fit_linear_heads`, from a first guess.

    Features vary a thousand times more along some axes than along others: there the loss is curved
    as much more, and plain steps zigzag. So L-BFGS moves N, in which it is curved about alike
    everywhere:

    $$M=(N/D)\,V^\top,\qquad D_{ac}=\sqrt{p_a\,h_c+\lambda}$$

    p is the mean square of each column of X, the rows of the inputs; h and V are spectrum and axes
    of $R^\top HR$. H is the second derivative of the loss when one vector is added to the outputs
    of all images. It is computed once, at the first guess.

    Source: Nocedal and Wright 2006, chapters 2.2 and 7.2.
    """
    rows = inputs.rows
    target = inputs.target
    some = slice(None, None, 1 + len(rows) // HESSIAN_IMAGES)
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
        options={"ftol": FTOL, "gtol": 0, "maxcor": 20},
    )
    return matrix(torch.from_numpy(solution.x).to(rows))


def _flat(matrix: Tensor) -> np.ndarray:
    """Return a matrix in one row of doubles, as SciPy takes it."""
    return matrix.double().cpu().numpy().ravel()
