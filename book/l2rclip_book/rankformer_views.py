"""Which words RankFormer lets a word read, and how far words moved."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_book.templates import token_text
from l2rclip_lite.method.rankformer import RankFormer
from l2rclip_lite.towers.base import Tokens, Towers

Embeddings = Float[Tensor, "rank token width"]
START = "start"
END = "end"
PADDING = "·"


def spellings(towers: Towers, tokens: Tokens) -> list[list[str]]:
    """Return every slot as text: words as spelt, "start", "end", and "·" for padding.

    Args:
        towers: Whose tokenizer made the tokens.
        tokens: Of sentences without context slots.

    Returns:
        One list per sentence.

    Example:
        >>> from l2rclip_lite import load_towers
        >>> tiny = load_towers("tiny/random")
        >>> spellings(tiny, tiny.tokenize(["a leaf", "a big leaf"]))[0]
        ['start', 'a', 'leaf', 'end', '·']
    """
    rows = []
    for ids, mask, words in zip(tokens.ids.tolist(), tokens.mask, tokens.words, strict=True):
        row = [PADDING] * len(ids)
        for slot in words.nonzero().flatten().tolist():
            row[slot] = token_text(towers, ids[slot])

        row[0] = START
        row[int(mask.sum()) - 1] = END
        rows.append(row)
    return rows


def woken(former: RankFormer, seed: int = 0) -> RankFormer:
    """Put random numbers in the last layer, which otherwise starts at zero and shows nothing."""
    last: Any = former.ffn[-1]
    linear = last[2]
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(linear.weight, std=linear.in_features**-0.5, generator=generator)
    return former


def read_by(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens, rank: int, slot: int
) -> Float[Tensor, "rank token"]:
    r"""Measure how strongly one refined word depends on every slot.

    It is $\lVert\partial(v\cdot R'_{kn})/\partial R\rVert$ for a random v.

    Args:
        former: A woken or trained RankFormer.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.
        rank: k, the sentence of the word.
        slot: n, its place.

    Returns:
        Numbers ≥ 0, exactly 0 in slots that the word cannot see.
    """
    probe = torch.randn(embeddings.shape[-1], generator=torch.Generator().manual_seed(0))
    leaf = embeddings.detach().clone().requires_grad_()
    answer = former(leaf, tokens)[rank, slot] @ probe
    gradient: Tensor = torch.autograd.grad(answer, leaf)[0]
    return gradient.norm(dim=-1)


@torch.no_grad()
def changed_ranks(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "disturbed rank"]:
    """Measure how far R′ of each sentence moves when the words of one are disturbed.

    It is relative to the move of the disturbed sentence.

    Args:
        former: A woken or trained RankFormer.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.

    Returns:
        Row i: noise was added to all words of rank i; 0 where nothing moved.
    """
    noise = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(0))
    noise = 0.1 * embeddings.std() * noise * tokens.words[..., None]

    before = former(embeddings, tokens)
    rows = []
    for rank in range(len(embeddings)):
        disturbed = embeddings.clone()
        disturbed[rank] += noise[rank]
        moved = (former(disturbed, tokens) - before).flatten(1).norm(dim=1)
        rows.append(moved / moved[rank])
    return torch.stack(rows)


@torch.no_grad()
def movement(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "rank token"]:
    r"""Measure how far RankFormer moves each slot, in its own length.

    It is $\lVert R'_{kn}-R_{kn}\rVert/\lVert R_{kn}\rVert$.

    Example:
        >>> on = torch.ones(2, 3, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(2, 3, dtype=torch.long), on, on, on)
        >>> former = RankFormer(8, heads=2, alpha=0.25)
        >>> movement(former, torch.ones(2, 3, 8), tokens)[0]  # at the start: α
        tensor([0.2500, 0.2500, 0.2500])
    """
    moved = former(embeddings, tokens) - embeddings
    return moved.norm(dim=-1) / embeddings.norm(dim=-1)


@torch.no_grad()
def attention_weights(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "group query key"]:
    """Return the weights with which the words of a group look at each other in RankFormer.

    They are those of its first block, the mean of its heads.

    Args:
        former: A group is a slot with the axis `rank`, a sentence with `token`.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.

    Returns:
        Rows that add up to 1; what start, end and padding look at means nothing.

    Example:
        >>> on = torch.ones(2, 3, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(2, 3, dtype=torch.long), on, on, on)
        >>> attention_weights(RankFormer(8, heads=2), torch.ones(2, 3, 8), tokens)[0]
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]])
    """
    caught = []

    def catch(module: nn.Module, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        caught.append(output[1])

    handle = former.attend[0].register_forward_hook(catch)
    try:
        former(embeddings, tokens)
    finally:
        handle.remove()
    weights: Tensor = caught[0]
    return weights
