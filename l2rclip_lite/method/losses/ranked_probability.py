"""The ranked probability score as a loss."""

import torch
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.method.losses.checks import Loss, Targets, checked_target, full_precision


def ranked_probability_loss(logits: Float[Tensor, "batch rank"], target: Targets) -> Loss:
    r"""Return the ranked probability score: squared distance of two cumulative distributions.

    $$L = \frac1B\sum_i\sum_{k<K}\Big(\sum_{j\le k}p_{ij}-[y_i\le k]\Big)^2,
    \quad p_i=\operatorname{softmax}(l_i)$$

    Each term is the Brier score of one question, "is the rank at most k?". That score is proper, so
    the expected loss is least at the true distribution: unlike the pairwise loss it depends on the
    order *and* is proper. A probability d ranks away from the label is counted in d of the
    questions.

    Source: Epstein 1969.

    Args:
        logits: One row per image, before softmax.
        target: Rank index of each image.

    Returns:
        A scalar in [0, K−1], equal to `metrics.rps` of the softmax.

    Raises:
        InputError: Not one whole number per image as target.

    Example:
        >>> logits = torch.tensor([[0.2, 0.4, 0.2, 0.2], [0.5, 0.05, 0.1, 0.35]]).log()
        >>> loss = ranked_probability_loss(logits, torch.tensor([0, 3]))
        >>> round(float(loss), 4)  # (0.84 + 0.975) / 2
        0.9075
    """
    target = checked_target(target, len(logits))
    cumulative = full_precision(logits).softmax(dim=1).cumsum(dim=1)
    one_hot = torch.nn.functional.one_hot(target, logits.shape[1])  # it refuses what is no rank
    reached = one_hot.cumsum(dim=1)
    return (cumulative - reached.to(logits)).square().sum(dim=1).mean()
