r"""Predictions: probabilities of ranks, three answers that follow from them, and an interval.

$$\hat k_0 = \arg\max_k p_k,\quad \hat k_1 = \min\Big\{k: \sum_{j\le k}p_j \ge \tfrac12\Big\},\quad
\hat y = \sum_k p_k r_k$$

Both ranks are the answers with the least expected cost $\sum_k p_k C_{ka}$: the first where every
mistake costs the same, the second where $C_{ka}=|k-a|$. A user may have another price list C.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Real
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.method import Probabilities, Targets
from l2rclip_lite.method.ranks import Ranks

Costs = Real[np.ndarray, "true answer"] | Real[Tensor, "true answer"] | list[list[float]]
SLACK = 1e-9  # 0.8 − 0.3 counts as ½, and 0.8 − 0.7 is within 0.1, which in floats they are not


@dataclass(frozen=True)
class Prediction:
    """The predictions for B images.

    Args:
        rank: Index of the most probable rank: right most often; or by a price list, of the rank
            with the least expected cost, see `cheapest_ranks`.
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

    rank: Targets
    name: tuple[str, ...]
    median: Targets
    expected: Float[Tensor, " batch"]
    low: Targets
    high: Targets
    probabilities: Probabilities
    path: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        probabilities: Probabilities,
        ranks: Ranks,
        path: Sequence[str | Path] = (),
        conformal: float = 1.0,
        costs: Costs | None = None,
    ) -> "Prediction":
        """Return the argmax, the median, the expectation and the interval of the probabilities.

        Args:
            probabilities: One row per image.
            ranks: The label space.
            path: Where each image came from, or nothing.
            conformal: From 0 to 1, see `calibration.conformal_level`.
            costs: Take the cheapest rank by this price list in place of the most probable one, see
                `cheapest_ranks`.

        Raises:
            InputError: Rows that are no probabilities of these ranks, or no price list of them.

        Example:
            >>> ranks = Ranks(("low", "high"), (0, 1), template="a {rank} grade")
            >>> Prediction.of(torch.tensor([[0.25, 0.75]]), ranks).name
            ('high',)
        """
        p = probabilities.double().numpy()
        check_rows(p, ranks)
        probabilities = probabilities.float()
        rank = probabilities.argmax(1)
        if costs is not None:
            rank = torch.from_numpy(cheapest_ranks(p, costs))
        # level and probabilities have single precision, and rows may sum to a little more than 1
        inside = (distances_from_median(p) <= conformal + 1e-6) | (conformal == 1)
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
        columns = ("rank", "name", "median", "low", "high", "expected")
        answers = pd.DataFrame({column: getattr(self, column) for column in columns})
        answers["expected"] = self.expected.double().numpy()
        if self.path:
            answers.insert(0, "path", self.path)

        probabilities = pd.DataFrame(self.probabilities.double().numpy()).add_prefix("p_")
        return answers.join(probabilities)


def check_rows(p: np.ndarray, ranks: Ranks) -> None:
    """Refuse rows that are no probabilities: each has K numbers ≥ 0 that sum to 1 within 0.01."""
    if p.ndim != 2 or len(p) == 0 or p.shape[1] != len(ranks):
        raise InputError(f"probabilities: {p.shape}; give each image a row of {len(ranks)}.")
    is_distribution = (p >= 0).all(1) & (np.abs(p.sum(1) - 1) <= 0.01)
    if not is_distribution.all():
        row = is_distribution.argmin()
        raise InputError(f"probabilities: row {row} is {p[row]}; give numbers ≥ 0 that sum to 1.")


def medians(p: np.ndarray) -> np.ndarray:
    """The median rank of each row of probabilities, the lowest k with Σ_{j≤k} p_j ≥ ½.

    It is the best answer under MAE.

    Example:
        >>> medians(np.array([[0.4, 0.3, 0.3], [0.5, 0.2, 0.3]]))
        array([1, 0])
    """
    return np.asarray((p.cumsum(axis=1) >= 0.5 - SLACK).argmax(axis=1))


def cheapest_ranks(p: np.ndarray, costs: Costs) -> np.ndarray:
    r"""Return the rank with the least expected cost for each row of probabilities.

    $$\hat a = \arg\min_a \sum_k p_k C_{ka}$$

    Args:
        p: A row of K for each image.
        costs: The price list C, K by K: row k, column a has the price of the answer a where k is
            true. Its unit plays no part.

    Returns:
        Indices; of equally cheap ranks the lowest.

    Raises:
        InputError: Not K rows of K finite numbers ≥ 0.

    Example:
        >>> p = np.array([[0.75, 0.25]])
        >>> cheapest_ranks(p, [[0, 1], [1, 0]]), cheapest_ranks(p, [[0, 1], [5, 0]])  # 1.25 or 0.75
        (array([0]), array([1]))
    """
    prices = np.asarray(costs, dtype=float)
    k = p.shape[1]
    if prices.shape != (k, k) or not ((prices >= 0) & (prices < np.inf)).all():
        raise InputError(
            f"costs: {prices.tolist()!s:.80}; give {k} rows of {k} finite numbers ≥ 0."
        )
    expected = p @ prices
    bound = expected.min(axis=1, keepdims=True) + SLACK * prices.max()
    return np.asarray((expected <= bound).argmax(axis=1))


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
