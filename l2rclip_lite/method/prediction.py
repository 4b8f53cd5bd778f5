"""Predictions: probabilities of ranks, three answers that follow from them, and an interval.

The decoders turn outputs that are not K logits into K probabilities per image, so that one rule of
inference serves all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.errors import InputError, check_number
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import SLACK, medians, probability_rows


@dataclass(frozen=True)
class Prediction:
    """The predictions for B images.

    Args:
        rank: Index of the most probable rank: right most often.
        name: Its name.
        median: Index of the median rank of the probabilities: off by the fewest ranks on average.
        expected: Expectation of the rank values under the probabilities, in the unit of the ranks:
            smallest squared error.
        low: Index of the lowest rank of an interval that holds the true one nine times out of ten,
            see `calibration.conformal_level`; of a model that was not calibrated it holds all
            ranks.
        high: Index of its highest rank.
        probabilities: One row per image, adding to 1.
        path: Where each image came from; empty for images that came from memory.
    """

    rank: Int[Tensor, " batch"]
    name: tuple[str, ...]
    median: Int[Tensor, " batch"]
    expected: Float[Tensor, " batch"]
    low: Int[Tensor, " batch"]
    high: Int[Tensor, " batch"]
    probabilities: Float[Tensor, "batch rank"]
    path: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        probabilities: Float[Tensor, "batch rank"],
        ranks: Ranks,
        path: Sequence[str | Path] = (),
        conformal: float = 1.0,
    ) -> "Prediction":
        """Return the argmax, the median, the expectation and the interval of the probabilities.

        Args:
            probabilities: One row per image.
            ranks: The label space.
            path: Where each image came from, or nothing.
            conformal: From 0 to 1, see `calibration.conformal_level`.

        Raises:
            InputError: Rows that are no probabilities of these ranks, not one path per image, or
                another level.

        Example:
            >>> ranks = Ranks(("low", "high"), (0, 1), template="a {rank} grade")
            >>> Prediction.of(torch.tensor([[0.25, 0.75]]), ranks).name
            ('high',)
        """
        p = probability_rows(probabilities, ranks)
        check_number(conformal, "prediction: conformal", 0, 1)
        if path and len(path) != len(p):
            counts = f"{len(path)} paths, {len(p)} images"
            raise InputError(f"prediction: {counts}; give each image one, or none at all.")

        probabilities = probabilities.float()
        rank = probabilities.argmax(1)
        # rounding can put the last rank farther than 1 from the median
        inside = (distances_from_median(p) <= conformal + SLACK) | (conformal == 1)
        holds = torch.from_numpy(inside).int()

        return cls(
            rank=rank,
            name=tuple(ranks.names[k] for k in rank),
            median=torch.from_numpy(medians(p)),
            expected=probabilities @ ranks.values_tensor(),
            low=holds.argmax(1),
            high=len(ranks) - 1 - holds.flip(1).argmax(1),
            probabilities=probabilities,
            path=tuple(map(str, path)),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per image, with probabilities in columns p_0, p_1 and so on.

        The first column is `path`, unless the images came from memory. `median`, `low` and `high`
        are indices; `l2rclip predict` writes the values of these ranks.
        """
        answers = pd.DataFrame(
            {
                "rank": self.rank,
                "name": self.name,
                "median": self.median,
                "low": self.low,
                "high": self.high,
                "expected": self.expected.double(),
            }
        )
        if self.path:
            answers.insert(0, "path", self.path)

        probabilities = pd.DataFrame(self.probabilities.double().numpy()).add_prefix("p_")
        return answers.join(probabilities)


def distances_from_median(p: np.ndarray) -> np.ndarray:
    """Return how far from the middle of its row each rank lies, from −1 to 1.

    The distance is max(1 − 2 F_k, 2 F_{k−1} − 1).

    F is the cumulative row. The ranks with a distance ≤ c meet the central share c of the
    probability, so they are neighbours, for c ≥ 0 the median among them. Source: Chernozhukov,
    Wüthrich and Zhu 2021 (Distributional conformal prediction).

    Example:
        >>> distances_from_median(np.array([[0.25, 0.5, 0.25]]))
        array([[ 0.5, -0.5,  0.5]])
    """
    below = p.cumsum(1)
    return np.asarray(np.maximum(1 - 2 * below, 2 * (below - p) - 1))


def coral_probabilities(logits: Float[Tensor, "batch threshold"]) -> Float[Tensor, "batch rank"]:
    r"""Return K probabilities from $P(y>k)=\sigma(f_k)$. See `survival_probabilities`.

    Example:
        >>> coral_probabilities(torch.zeros(1, 2)).tolist()
        [[0.5, 0.0, 0.5]]
    """
    return survival_probabilities(torch.sigmoid(logits))


def corn_probabilities(logits: Float[Tensor, "batch threshold"]) -> Float[Tensor, "batch rank"]:
    r"""Return K probabilities from $P(y>k)=\prod_{j\le k}\sigma(f_j)$.

    See `survival_probabilities`.

    Example:
        >>> corn_probabilities(torch.zeros(1, 2)).tolist()
        [[0.5, 0.25, 0.25]]
    """
    return survival_probabilities(F.logsigmoid(logits).cumsum(dim=1).exp())


def survival_probabilities(
    survival: Float[Tensor, "batch threshold"],
) -> Float[Tensor, "batch rank"]:
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


def normal_probabilities(distance: Float[Tensor, "batch rank"]) -> Float[Tensor, "batch rank"]:
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
