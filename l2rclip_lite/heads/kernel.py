r"""The language-kernel head: a linear classifier with a prior on the ranks.

Each rank has a weight vector. Before any image is seen, the vectors of ranks k and j are expected
to be as alike as the kernel $G_{kj}$ says: because their sentences are ($TT^\top$), because their
numbers are (an RBF), or not at all ($I$, which is logistic regression). Validation images choose
the mixture, or weigh several in `kernel_stack`. No learning rate, no epochs, seconds on a CPU.

Source: a Gaussian prior with a covariance between tasks, as in Evgeniou, Micchelli and Pontil 2005.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.errors import InputError, check_number
from l2rclip_lite.heads.decoders import DECODERS
from l2rclip_lite.heads.ridge_path import OutputLoss, ridge_path
from l2rclip_lite.method.losses import Batch, Targets, Values, full_precision
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import check_paired, numbers, rps
from l2rclip_lite.progress import Progress

Texts = Float[Tensor, "rank width"]  # may be wider or narrower than the features
Kernel = Float[Tensor, "rank rank"]
Mixture = tuple[float, float, float]

# The constant β beside the features, as long as they are on average; its weights are the biases.
BIAS = 3.0
WEAKEST = 1e-12  # ridge
STRONGEST = 1e12
MAX_WEIGHT = 1e6  # in a mixture
MANY = 10_000  # over so many images the rounding errors of single precision average out
WIDE = 10_000  # features: the square of more is large, and of few images not needed
RIDGES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
MIXTURES: dict[str, Mixture] = {  # weights of text, numbers and identity
    "nothing": (0.0, 0.0, 1.0),
    "text": (0.99, 0.0, 0.01),
    "numbers": (0.0, 0.99, 0.01),
    "both": (0.495, 0.495, 0.01),
}


def rank_kernel(text: Texts, values: Values, mixture: Mixture) -> Kernel:
    r"""Return how alike any two ranks are: by their sentences, by their numbers, and not at all.

    $$G = a\,TT^\top + b\,\Big[\exp\frac{-(x_k-x_j)^2}{2w^2}\Big]_{kj} + c\,I$$

    where x are the values, stretched to [0, K − 1], and w = K/2.

    Args:
        text: Unit text features T, one per rank.
        values: Value of each rank.
        mixture: The weights a, b, c ≥ 0, up to `MAX_WEIGHT`.

    Returns:
        G, symmetric and positive semi-definite.

    Raises:
        InputError: Fewer than two ranks, not one value for each, values that are all equal, numbers
            that are not finite, or another mixture.

    Example:
        >>> kernel = rank_kernel(torch.eye(2), torch.tensor([7.0, 8.0]), (0.5, 0.4, 0.1))
        >>> kernel.round(decimals=3)  # 0.4 / √e
        tensor([[1.0000, 0.2430],
                [0.2430, 1.0000]])
    """
    _check_ranks(text, values)
    _check_mixture(mixture)
    count = len(values)
    a, b, c = mixture

    x = values.to(text) * (count - 1) / (values.max() - values.min())
    near = torch.exp(-2 * ((x[:, None] - x) / count) ** 2)  # 2 w² is count² / 2
    identity = torch.eye(count).to(text)
    return a * text @ text.T + b * near + c * identity


def _check_ranks(text: Texts, values: Values) -> None:
    """Refuse texts and values that do not belong to two ranks or more."""
    if text.ndim != 2 or values.shape != text.shape[:1] or len(values) < 2:
        shapes = f"text is {list(text.shape)}, values {list(values.shape)}"
        raise InputError(f"kernel: {shapes}; give a row and a value for each of two ranks or more.")
    if not (text.isfinite().all() and values.isfinite().all()):
        raise InputError("kernel: text or values are not finite; repair them.")
    if values.max() == values.min():
        raise InputError("kernel: the values of all ranks are equal; give each its own.")


def _check_mixture(mixture: Mixture) -> None:
    """Refuse what is not three weights."""
    if len(mixture) != 3:
        raise InputError(f"kernel: the mixture is {mixture!r:.80}; give three weights.")
    for weight in mixture:
        check_number(weight, "kernel: a weight of the mixture", 0, MAX_WEIGHT)


class LinearHead(nn.Module):
    r"""Compute logits $[\nu\,(z-\mu),\ \beta]\,W$ of image features z.

    It holds buffers only; those of a new head give logits of 0.

    Args:
        dim: Length of a feature.
        outputs: Number of outputs: one per rank, or per threshold between two.
        decoder: A key of `decoders.DECODERS`. With "softmax" the outputs are the logits, else the
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

    def forward(self, features: Batch) -> Float[Tensor, "batch rank"]:
        """Return the logits, before any temperature."""
        outputs = self.norm * (features - self.mean) @ self.weight[:-1] + BIAS * self.weight[-1]
        if self.decoder == "softmax":
            return outputs

        probabilities = DECODERS[self.decoder](outputs)
        return probabilities.clamp_min(1e-12).log()


def fit_kernel_heads(
    features: Batch, target: Targets, kernel: Kernel, ridges: Sequence[float] = RIDGES
) -> Iterator[LinearHead]:
    r"""Yield the best head for each ridge λ: `fit_linear_heads` with $RR^\top=G$.

    The loss is cross-entropy. The problem is strictly convex: it has one answer, from any start.

    Args:
        features: Image features z of the frozen tower.
        target: Rank index of each image.
        kernel: G, from `rank_kernel` or your own.
        ridges: λ > 0, from `STRONGEST` to `WEAKEST`.

    Raises:
        InputError: See `fit_linear_heads`; or a kernel that is not symmetric and positive
            semi-definite.

    Example:
        >>> z, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
        >>> strong, weak = fit_kernel_heads(z, y, torch.eye(2), [1.0, 0.1])
        >>> [round(float(head(z).softmax(1)[0, 0]), 2) for head in (strong, weak)]
        [0.89, 0.98]
    """
    numbers(target, "target", last=len(kernel) - 1)
    yield from fit_linear_heads(features, target, _root(kernel), F.cross_entropy, ridges)


def _root(kernel: Kernel) -> Float[Tensor, "rank column"]:
    """Return R with R Rᵀ = G, and refuse what is no kernel."""
    g = numbers(kernel, "kernel", axes=2).astype(float)
    problem = "kernel: not symmetric and positive; take one from `rank_kernel`."
    if g.shape[0] != g.shape[1] or not np.allclose(g, g.T, atol=1e-5):
        raise InputError(problem)
    spectrum, axes = np.linalg.eigh(g)
    if spectrum[0] < -1e-5 * spectrum[-1]:
        raise InputError(problem)
    return torch.from_numpy(axes * np.sqrt(spectrum.clip(0)))


def fit_linear_heads(
    features: Batch,
    target: Targets,
    root: Float[Tensor, "output column"],
    loss: OutputLoss,
    ridges: Sequence[float] = RIDGES,
    mask: Float[Tensor, "row column"] | None = None,
) -> Iterator[LinearHead]:
    r"""Yield linear heads on frozen features under any loss L, one for each ridge λ.

    $$\min_M\ L(f,y)+\tfrac\lambda2\lVert M\rVert^2,\qquad f_i=[\nu\,(z_i-\mu),\ \beta]\,M R^\top$$

    `ridge_path` solves it on the device of the features, from `MANY` images on in their own
    precision and before in double precision; nothing is drawn at random.

    Args:
        features: Image features z of the frozen tower.
        target: Rank index of each image.
        root: R, from the columns of M to outputs; the identity gives each output weights of its
            own.
        loss: Of outputs f and targets y.
        ridges: λ > 0, from `STRONGEST` to `WEAKEST`.
        mask: 1 where M may differ from 0, else 0; its last row is the biases'.

    Raises:
        InputError: Features that are all equal or not finite, or a ridge outside its bounds.

    Example:
        >>> z, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
        >>> (head,) = fit_linear_heads(z, y, torch.eye(2), F.cross_entropy, [0.1])
        >>> round(float(head(z).softmax(1)[0, 0]), 2)
        0.98
    """
    for ridge in ridges:
        check_number(ridge, "kernel: a ridge", WEAKEST, STRONGEST)
    inputs = _inputs(features, target, turned=mask is None)
    yield from _heads(inputs, root, loss, ridges, mask)


class _Inputs(NamedTuple):
    r"""What a linear head multiplies.

    Args:
        mean: μ.
        norm: ν.
        axes: U, the principal axes of $[\nu\,(z-\mu),\ \beta]$, or the identity; of few images
            with many features only those that the images span.
        rows: $[\nu\,(z-\mu),\ \beta]\,U$ of each image.
        target: Rank index of each image.
    """

    mean: Float[Tensor, " dim"]
    norm: Float[Tensor, ""]
    axes: Float[Tensor, "column row"]
    rows: Float[Tensor, "batch row"]
    target: Targets


@torch.no_grad()
def _inputs(features: Batch, target: Targets, *, turned: bool = True) -> _Inputs:
    """Return what a head on these features multiplies, and refuse those from which none learns.

    Args:
        features: Image features z.
        target: Rank index of each image.
        turned: Whether to turn them to their principal axes, which takes fewer steps later.
    """
    sums = numbers(features.sum(-1), "features")  # a row that is not finite has no finite sum
    y = numbers(target, "target")
    check_paired(y, sums)
    if (features == features[0]).all():
        raise InputError("kernel: all training features are equal; give images that differ.")

    if features.device.type == "mps":  # it has no double precision
        features = features.cpu()
    features = features.double() if len(features) < MANY else full_precision(features)

    mean = features.mean(0)
    rows = features - mean
    norm = BIAS / rows.norm(dim=1).mean()
    if not norm.float().isfinite():
        raise InputError("kernel: the features hardly differ from each other; multiply them.")
    rows *= norm  # in place: they may fill much of the memory
    rows = F.pad(rows, (0, 1), value=BIAS)

    if not turned:
        axes = torch.eye(rows.shape[1]).to(rows)
    elif rows.shape[1] > max(WIDE, len(rows)):  # all axes along which the images differ
        axes = torch.linalg.svd(rows, full_matrices=False).Vh.T
        rows = rows @ axes
    else:
        axes = torch.linalg.eigh(rows.T @ rows / len(rows)).eigenvectors
        rows = rows @ axes
    return _Inputs(mean, norm, axes, rows, torch.from_numpy(y).to(rows.device))


def _heads(
    inputs: _Inputs,
    root: Float[Tensor, "output column"],
    loss: OutputLoss,
    ridges: Sequence[float],
    mask: Float[Tensor, "row column"] | None = None,
) -> Iterator[LinearHead]:
    """Yield the heads of `fit_linear_heads`."""
    for m in ridge_path(inputs.rows, inputs.target, root, loss, ridges, mask):
        weight = inputs.axes @ m @ root.to(m).T
        head = LinearHead(len(inputs.mean), len(root))
        head.load_state_dict({"mean": inputs.mean, "norm": inputs.norm, "weight": weight})
        yield head


class KernelChoice(NamedTuple):
    """The head that validation images have chosen.

    Args:
        head: The head.
        mixture: The weights of text, numbers and identity in its kernel.
        ridge: λ.
        rps: Ranked probability score of the validation images.
    """

    head: LinearHead
    mixture: Mixture
    ridge: float
    rps: float


def choose_kernel_head(
    features: Mapping[str, Batch],
    targets: Mapping[str, Targets],
    text: Texts,
    ranks: Ranks,
    *,
    mixtures: Sequence[Mixture] = tuple(MIXTURES.values()),
    quiet: bool = True,
) -> KernelChoice:
    """Return the head of the mixture and the ridge with the lowest validation RPS.

    Args:
        features: Image features of "train" and "val".
        targets: Rank indices of both.
        text: Unit text features, one per rank.
        ranks: The label space.
        mixtures: At least one to choose from. A row of ridges ends where RPS has risen twice.
        quiet: Whether to hide the progress bar.

    Example:
        >>> ranks = Ranks.integers(1, 2, template="{rank} apples")
        >>> z, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
        >>> chosen = choose_kernel_head(
        ...     {"train": z, "val": z}, {"train": y, "val": y}, torch.eye(2), ranks
        ... )
        >>> chosen.mixture, chosen.ridge
        ((0.0, 0.0, 1.0), 0.0001)
    """
    candidates = kernel_candidates(features, targets, text, ranks, mixtures, quiet=quiet)
    return min(candidates, key=lambda candidate: candidate.rps)


def kernel_candidates(
    features: Mapping[str, Batch],
    targets: Mapping[str, Targets],
    text: Texts,
    ranks: Ranks,
    mixtures: Sequence[Mixture],
    *,
    quiet: bool = True,
) -> Iterator[KernelChoice]:
    """Yield the heads among which `choose_kernel_head` chooses; for the arguments see there."""
    values = ranks.values_tensor()
    numbers(targets["train"], "target", last=len(ranks) - 1)
    inputs = _inputs(features["train"], targets["train"])
    val_features = features["val"].cpu().float()

    for mixture in Progress(mixtures, "kernel head", disable=quiet, leave=False):
        root = _root(rank_kernel(text, values, mixture))
        heads = _heads(inputs, root, F.cross_entropy, RIDGES)
        rises = 0
        previous_rps = math.inf

        for ridge, head in zip(RIDGES, heads, strict=True):
            probabilities = head(val_features).softmax(dim=1)
            val_rps = rps(targets["val"], probabilities, ranks)
            yield KernelChoice(head, mixture, ridge, val_rps)

            if val_rps > previous_rps:
                rises += 1
            if rises == 2:
                break
            previous_rps = val_rps
