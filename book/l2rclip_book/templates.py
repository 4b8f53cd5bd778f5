"""The order of ranks in a text tower before any training, and controls of its score."""

from __future__ import annotations

import copy
import math
from itertools import permutations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_book.statistics import spearman_rho
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.mini import MiniTowers

Orders = Int[np.ndarray, "order rank"]


def token_text(towers: Towers, number: int) -> str:
    """Return a token as its tokenizer spells it; `##` in front (WordPiece) continues a word.

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
    """Return every rank sentence as the tower's tokenizer cuts it, without start, end and padding.

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
    sentences = []
    for ids, words, rank_words in zip(tokens.ids, tokens.words, tokens.rank_words, strict=True):
        texts = [token_text(towers, number) for number in ids[words].tolist()]
        sentences.append(list(zip(texts, rank_words[words].tolist(), strict=True)))
    return sentences


def random_weights(towers: MiniTowers, seed: int) -> MiniTowers:
    """Return the same text network before training: weights drawn anew, origin at 0.

    Weights start as BERT's do: matrices and embeddings from N(0, 0.02²), biases 0, norms 1. Any
    order that is left comes from spelling: sentences that share words have similar features in any
    network.

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
    """Return orders of K names: the true one first, then all others if few, else seeded shuffles.

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
    shuffles = [generator.permutation(count) for _ in range(draws - 1)]
    return np.stack([np.arange(count), *shuffles])


def shuffled_gaps(
    features: Float[Tensor, "rank dim"], names: Orders
) -> Float[np.ndarray, " order"]:
    """Compute the score `gap` alone, for thousands of orders at once.

    It is the null distribution of Mantel's test.

    Example:
        >>> angle = torch.tensor([0.0, 60.0, 120.0]).double().deg2rad()
        >>> arc = torch.stack([angle.cos(), angle.sin()], 1)
        >>> shuffled_gaps(arc, orders(3, 6)).tolist()
        [1.0, -0.5, -0.5, -0.5, -0.5, 1.0]
    """
    rows = torch.nn.functional.normalize(features.double(), dim=-1).numpy()
    distance = np.round(1 - rows @ rows.T, 9)

    i, j = np.triu_indices(len(rows), 1)
    gap = np.broadcast_to(j - i, (len(names), len(i)))
    return spearman_rho(gap, distance[names[:, i], names[:, j]])
