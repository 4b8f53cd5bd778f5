"""What a model says about images: three answers, each best at something, and an interval of ranks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.metrics import SLACK, medians
from l2rclip_lite.ranks import Ranks


@dataclass(frozen=True)
class Prediction:
    """What the model says about B images.

    Args:
        rank: Index of the most probable rank: right most often.
        name: Its name.
        median: Index of the median rank of the probabilities: off by the fewest ranks on average.
        expected: Expectation of the rank values under the probabilities, in the unit of the ranks: smallest squared error.
        low: Index of the lowest rank of an interval that holds the true one nine times of ten, see
            `calibration.conformal_level`; of a model that was not calibrated it holds all ranks.
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
        """Read the answers, argmax, median, expectation and interval, off the probabilities.

        Args:
            probabilities: One row per image.
            ranks: The label space.
            path: Where each image came from.
            conformal: See `calibration.conformal_level`.

        Example:
            >>> ranks = Ranks(("low", "high"), (0, 1), template="a {rank} grade")
            >>> Prediction.of(torch.tensor([[0.25, 0.75]]), ranks).name
            ('high',)
        """
        rank, p = probabilities.argmax(1), probabilities.double().numpy()
        inside = torch.from_numpy(distances_from_median(p) <= conformal + SLACK).int()
        low, high = inside.argmax(1), len(ranks) - 1 - inside.flip(1).argmax(1)
        names, median = tuple(ranks.names[k] for k in rank), torch.from_numpy(medians(p))
        expected = probabilities @ ranks.values_tensor()
        return cls(rank, names, median, expected, low, high, probabilities, tuple(map(str, path)))

    def to_frame(self) -> pd.DataFrame:
        """One row per image, probabilities in columns p_0, p_1, …; `path` where it is known."""
        names = ("rank", "name", "median", "low", "high")
        columns = ({"path": self.path} if self.path else {}) | {name: getattr(self, name) for name in names}
        shares = pd.DataFrame(self.probabilities.double().numpy()).add_prefix("p_")
        return pd.DataFrame(columns | {"expected": self.expected.double()}).join(shares)


def distances_from_median(p: np.ndarray) -> np.ndarray:
    """How far from the middle of its row each rank lies, max(1 − 2 F_k, 2 F_{k−1} − 1), from −1 to 1.

    F is the cumulative row. The ranks with a distance ≤ c meet the central share c of the probability, so they are
    neighbours, for c ≥ 0 the median among them. Source: Chernozhukov, Wüthrich and Zhu 2021 (Distributional conformal
    prediction).

    Example:
        >>> distances_from_median(np.array([[0.25, 0.5, 0.25]]))
        array([[ 0.5, -0.5,  0.5]])
    """
    below = p.cumsum(1)
    return np.asarray(np.maximum(1 - 2 * below, 2 * (below - p) - 1))
