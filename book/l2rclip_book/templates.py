"""What a text tower knows about the order of ranks before any training, and the controls of such a score."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from torch import Tensor

from l2rclip_book.statistics import ordinality, spearman_rho
from l2rclip_lite.mini import MiniTowers
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Towers

Orders = Int[np.ndarray, "order rank"]


def token_text(towers: Towers, number: int) -> str:
    """One token as its tokenizer spells it; `##` in front (WordPiece) continues the word before.

    Example:
        >>> from l2rclip_lite import load_towers
        >>> tiny = load_towers("tiny/random")
        >>> token_text(tiny, int(tiny.tokenize(["leaf"]).ids[0, 1]))
        'leaf'
    """
    tokenizer: Any = towers.tokenizer
    if hasattr(tokenizer, "id_to_token"):
        return str(tokenizer.id_to_token(number))
    return str(tokenizer.decode([number])).strip()


def token_rows(towers: Towers, ranks: Ranks) -> list[list[tuple[str, bool]]]:
    """Every rank sentence as the tower's tokenizer cuts it, without start, end and padding.

    Args:
        towers: Whose tokenizer to ask.
        ranks: The label space.

    Returns:
        Per rank its tokens in order: the text, and whether the token spells the rank name.

    Example:
        >>> from l2rclip_lite import load_towers
        >>> ages = Ranks.integers(19, 20, template="{rank} years")
        >>> token_rows(load_towers("tiny/random"), ages)[0]
        [('nine', True), ('teen', True), ('years', False)]
    """
    tokens = towers.tokenize(ranks.sentences, template=ranks.template)
    rows = zip(tokens.ids.tolist(), tokens.words.tolist(), tokens.rank_words.tolist(), strict=True)
    return [
        [(token_text(towers, number), named) for number, word, named in zip(*row, strict=True) if word]
        for row in rows
    ]


def random_weights(towers: MiniTowers, seed: int) -> MiniTowers:
    """The same text network before training: same tokens, same layers, weights drawn anew, origin at 0.

    Weights start as BERT's do: matrices and embeddings from N(0, 0.02²), biases 0, norms 1. Any order that is left
    comes from spelling: sentences that share words have similar features in any network.

    Args:
        towers: Left as they are.
        seed: Decides the weights.
    """
    blank = copy.deepcopy(towers)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in blank.text["bert"].named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.02, generator=generator)
            else:
                weight.fill_(float(name.endswith("LayerNorm.weight")))
        blank.text.get_buffer("mean").zero_()
    return blank


def orders(count: int, draws: int, seed: int = 0) -> Orders:
    """Orders of K names: the true one first, then all others if they are few, else seeded shuffles.

    Args:
        count: Number of ranks K.
        draws: Number of orders at most; all K! are listed where that is no more.
        seed: Decides the shuffles.

    Returns:
        min(K!, draws) permutations of 0 … K-1, one per row.

    Example:
        >>> orders(3, 100).tolist()
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        >>> orders(62, 100).shape
        (100, 62)
    """
    if math.factorial(count) <= draws:
        return np.array(list(permutations(range(count))))
    generator = np.random.default_rng(seed)
    return np.stack([np.arange(count), *(generator.permutation(count) for _ in range(draws - 1))])


def shuffled_scores(
    features: Float[Tensor, "rank dim"], names: Orders
) -> dict[str, Float[np.ndarray, " order"]]:
    """The three scores of `ordinality` if the ranks had their names in other orders.

    Args:
        features: Text features in the true order, centred if they are used so.
        names: From `orders`; the first row gives the true scores.

    Returns:
        `gap`, `triplets` and `component`, one number per order.
    """
    scores = [ordinality(features[torch.from_numpy(order)]) for order in names]
    return {name: np.array([one[name] for one in scores]) for name in scores[0]}


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
    """The share of all orders that score at least as high as the true one, which comes first and counts itself.

    Example:
        >>> p_value(np.array([0.9, 0.1, 0.9, -0.3]))
        0.5
    """
    return float((scores >= scores[0] - 1e-9).mean())


def further_is_less(
    features: Float[Tensor, "rank dim"], gaps: Sequence[int] | None = None, by: int = 1
) -> float:
    r"""Local order: the share of comparisons with $s_{k,k\pm g} > s_{k,k\pm(g+b)}$, further being less similar.

    Args:
        features: Unit text features.
        gaps: Which gaps g; None means all.
        by: How many steps b further.

    Returns:
        A share in [0, 1], 0.5 without order; ties count one half.

    Example:
        >>> angle = torch.tensor([0.0, 30.0, 60.0]).deg2rad()
        >>> further_is_less(torch.stack([angle.cos(), angle.sin()], 1))
        1.0
    """
    similar, count = (features @ features.T).double(), len(features)
    won = []
    for gap in gaps if gaps is not None else range(1, count - by):
        for table in (similar, similar.flip(0, 1)):  # row k looks to the right, then to the left
            near, far = (table.diagonal(gap)[: count - gap - by], table.diagonal(gap + by))
            won.append((torch.sign((near - far).round(decimals=9)) + 1) / 2)
    return float(torch.cat(won).mean())


def two_axes(features: Float[Tensor, "rank dim"]) -> tuple[Float[np.ndarray, "rank 2"], float]:
    """The ranks on their first two principal components, turned so that both grow with the rank.

    Args:
        features: Text features, lowest rank first.

    Returns:
        Coordinates, and the share of the variance on the two axes, in [0, 1].

    Example:
        >>> at, share = two_axes(torch.tensor([[4.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
        >>> at[:, 0].round(3).tolist(), round(share, 3)
        ([-2.0, 0.0, 2.0], 1.0)
    """
    pca = PCA(2)
    at = pca.fit_transform(features.double().numpy())
    falling = at.T @ (np.arange(len(at)) - (len(at) - 1) / 2) < 0
    return np.where(falling, -at, at), float(pca.explained_variance_ratio_.sum())
