"""Many ranks through the text tower: in chunks, the activations of most of them forgotten and computed again."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from l2rclip_lite.towers import Tokens, Towers

CHUNK = 4096  # tokens that go through the tower together: 62 sentences of 66
KEPT = 4 * CHUNK  # tokens whose activations a training step may keep; mini takes 0.15 MB for each


def encode_in_chunks(
    towers: Towers,
    embeddings: Float[Tensor, "rank token width"],
    tokens: Tokens,
    *,
    chunk: int = CHUNK,
    kept: int = KEPT,
) -> Float[Tensor, "rank dim"]:
    """`Towers.encode_embeddings` for any number of ranks, in bounded memory.

    Sentences do not see each other in the tower, so they may pass one chunk after the other. Of a training step's
    activations those of the first `kept` tokens are kept; the chunks after them run once more on the way back, so their
    time grows by half and their memory does not grow. Features and gradients are the same.

    Args:
        towers: The dual encoder.
        embeddings: What goes in, K sentences of n tokens.
        tokens: Their ids and masks.
        chunk: Tokens that go through together; a single sentence always does.
        kept: Tokens whose activations are kept for the backward pass.

    Returns:
        Unit text features.

    Example:
        >>> from l2rclip_lite.towers import load_towers
        >>> towers = load_towers("tiny/random")
        >>> tokens = towers.tokenize(["one leaf", "two leaves", "three leaves"])
        >>> whole = towers.encode_embeddings(towers.embed(tokens.ids), tokens)
        >>> parts = encode_in_chunks(towers, towers.embed(tokens.ids), tokens, chunk=4, kept=4)
        >>> torch.allclose(whole, parts, atol=1e-6)
        True
    """
    ranks, length = embeddings.shape[:2]
    step = max(1, chunk // length)
    if ranks <= step and ranks * length <= kept:
        return towers.encode_embeddings(embeddings, tokens)
    features: list[Tensor] = []
    for start in range(0, ranks, step):
        part = slice(start, start + step)
        given = embeddings[part], tokens[part]
        if min(start + step, ranks) * length <= kept:
            features.append(towers.encode_embeddings(*given))
        else:
            again: Tensor = checkpoint(towers.encode_embeddings, *given, use_reentrant=False)
            features.append(again)
    return torch.cat(features)
