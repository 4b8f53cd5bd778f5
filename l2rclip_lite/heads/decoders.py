r"""What turns outputs that are not K logits into K probabilities, so that one rule serves all.

CORAL and CORN have one output for each threshold between two ranks, a regression the distance of
its number from each rank. A `LinearHead` names its decoder.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.shapes import Probabilities

Thresholds = Float[Tensor, "batch threshold"]  # one number for each of the K − 1 gaps


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
