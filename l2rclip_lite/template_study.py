"""What a text tower knows about order before any training, and the controls that keep such a number honest."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import MiniTowers
from l2rclip_lite.ordinality import ordinality, spearman_rho
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import OpenClipTowers, Towers

Orders = Int[np.ndarray, "order rank"]
SCORES = ("gap", "triplets", "component")


def token_rows(towers: Towers, ranks: Ranks) -> list[list[tuple[str, bool]]]:
    """Every sentence as the tower's tokenizer cuts it, without start, end and padding.

    Args:
        towers: A tower of `load_towers`.
        ranks: The label space.

    Returns:
        For each rank its tokens in order: the text, and whether the token spells the rank name. `##` in front means
        that WordPiece goes on with the word before.

    Example:
        >>> from l2rclip_lite.towers import load_towers
        >>> ages = Ranks.integers(19, 20, template="{rank} years")
        >>> token_rows(load_towers("tiny/random"), ages)[0]
        [('nine', True), ('teen', True), ('years', False)]
    """
    tokens = towers.tokenize(ranks.sentences, template=ranks.template)

    def text(number: int) -> str:
        if isinstance(towers, OpenClipTowers):
            return str(towers.tokenizer.decode([number])).strip()
        assert isinstance(towers, MiniTowers)
        return str(towers.tokenizer.id_to_token(number))

    rows = zip(tokens.ids.tolist(), tokens.words.tolist(), tokens.rank_words.tolist(), strict=True)
    return [[(text(at), of_rank) for at, word, of_rank in zip(*row, strict=True) if word] for row in rows]


def with_text_mean(towers: MiniTowers, bert: nn.Module, mean: Float[Tensor, " dim"]) -> MiniTowers:
    """The text side of `mini` with another network or another origin; it has no image tower."""
    blank = {"projection": torch.zeros(towers.dim, 1280), "text_mean": mean}
    return MiniTowers(nn.Identity(), bert, towers.tokenizer, blank).eval()


def random_weights(towers: MiniTowers, seed: int) -> MiniTowers:
    """The same text network before anyone taught it anything: same tokens, same layers, weights drawn anew.

    As BERT starts: matrices and embeddings from N(0, 0.02²), biases 0, norms 1. What order is left comes from the
    spelling alone: sentences that share words have similar features in any network.

    Args:
        towers: Left as they are.
        seed: Decides the weights.

    Returns:
        Towers that can encode text only, with the origin at 0.
    """
    bert = copy.deepcopy(towers.text["bert"])
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in bert.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.02, generator=generator)
            else:
                weight.fill_(float(name.endswith("LayerNorm.weight")))
    return with_text_mean(towers, bert, torch.zeros(towers.dim))


def orders(count: int, draws: int, seed: int = 0) -> Orders:
    """Orders of K names: the true one first, then all others if they are few, else seeded shuffles.

    Args:
        count: Number of ranks K.
        draws: Number of orders at most; K! orders are enumerated where that is no more.
        seed: Decides the shuffles.

    Returns:
        min(K!, draws) permutations of 0 … K−1, one a row.

    Example:
        >>> orders(3, 100).tolist()
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        >>> orders(62, 100).shape
        (100, 62)
    """
    if count < 21 and math.factorial(count) <= draws:
        return np.array(list(permutations(range(count))))
    generator = np.random.default_rng(seed)
    return np.stack([np.arange(count), *(generator.permutation(count) for _ in range(draws - 1))])


def shuffled_scores(
    features: Float[Tensor, "rank dim"], names: Orders
) -> dict[str, Float[np.ndarray, " order"]]:
    """The three scores of `ordinality` as if the ranks were called in other orders.

    Args:
        features: Text features in the true order, centred if they are used so.
        names: From `orders`; the first row gives the true scores.

    Returns:
        `gap`, `triplets` and `component`, a number an order.
    """
    found = [ordinality(features[torch.from_numpy(order)]) for order in names]
    return {score: np.array([one[score] for one in found]) for score in SCORES}


def shuffled_gaps(features: Float[Tensor, "rank dim"], names: Orders) -> Float[np.ndarray, " order"]:
    """The score `gap` alone, for thousands of orders at once: the null distribution of Mantel's test.

    Example:
        >>> angle = torch.tensor([0.0, 60.0, 120.0]).double().deg2rad()
        >>> shuffled_gaps(torch.stack([angle.cos(), angle.sin()], 1), orders(3, 6)).tolist()
        [1.0, -0.5, -0.5, -0.5, -0.5, 1.0]
    """
    rows = torch.nn.functional.normalize(features.double(), dim=-1).numpy()
    distance = np.round(1 - rows @ rows.T, 9)
    i, j = np.triu_indices(len(rows), 1)
    gap = np.broadcast_to(j - i, (len(names), len(i)))
    return spearman_rho(gap, distance[names[:, i], names[:, j]])


def p_value(scores: Float[np.ndarray, " order"]) -> float:
    """The share of all orders that score at least as high as the true one, which is the first and counts itself.

    Example:
        >>> p_value(np.array([0.9, 0.1, 0.9, -0.3]))
        0.5
    """
    return float((scores >= scores[0] - 1e-9).mean())


def random_scores(count: int, dim: int, draws: int, seed: int = 0) -> dict[str, Float[np.ndarray, " draw"]]:
    """The three scores of K random vectors: what a label space of this size gets for nothing.

    Args:
        count: Number of ranks K, 3 or more.
        dim: Length of a vector.
        draws: Number of draws.
        seed: Decides them.
    """
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((draws, count, dim))
    found = [ordinality(one - one.mean(0)) for one in vectors]
    return {score: np.array([one[score] for one in found]) for score in SCORES}


def further_is_less(
    features: Float[Tensor, "rank dim"], steps: Sequence[int] | None = None, by: int = 1
) -> float:
    r"""Local order: the share of comparisons in which further is less similar, $s_{k,k\pm g} > s_{k,k\pm(g+b)}$.

    Args:
        features: Unit text features.
        steps: Which gaps g; None means all.
        by: How many steps b further.

    Returns:
        A share in [0, 1]; without order 0.5, ties count one half.

    Raises:
        InputError: No comparison is possible.

    Example:
        >>> angle = torch.tensor([0.0, 30.0, 60.0]).deg2rad()
        >>> further_is_less(torch.stack([angle.cos(), angle.sin()], 1))
        1.0
    """
    near = (features @ features.T).double()
    count = len(near)
    won: list[Tensor] = []
    for gap in steps if steps is not None else range(1, count - by):
        for table in (near, near.flip(0, 1)):  # to the right, then to the left
            # row k of `table` counts from one end; it looks `gap` and `gap + by` steps towards the other
            one, two = table.diagonal(gap)[: max(count - gap - by, 0)], table.diagonal(gap + by)
            won.append((torch.sign((one - two).round(decimals=9)) + 1) / 2)
    flat = torch.cat(won) if won else torch.empty(0)
    if not len(flat):
        raise InputError(
            f"further_is_less: {count} ranks leave no pair of neighbours to compare; give more ranks."
        )
    return float(flat.mean())


def two_axes(features: Float[Tensor, "rank dim"]) -> tuple[Float[np.ndarray, "rank 2"], float]:
    """The ranks on their first two principal components, turned so that the first one grows with the rank.

    Args:
        features: Text features, lowest rank first.

    Returns:
        Coordinates, and the share of the variance that the two axes hold, in [0, 1].

    Example:
        >>> at, share = two_axes(torch.tensor([[4.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
        >>> at[:, 0].round(3).tolist(), round(share, 3)
        ([-2.0, 0.0, 2.0], 1.0)
    """
    rows = features.double().numpy()
    left, scale, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    at = left[:, :2] * scale[:2]
    towards = np.sign(at.T @ (np.arange(len(at)) - (len(at) - 1) / 2))
    at = at * np.where(towards == 0, 1, towards)
    return at, float((scale[:2] ** 2).sum() / (scale**2).sum())
