"""What RankFormer lets words see, which words must move alike, how far they moved, and what all that costs."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from l2rclip_lite.choices import Axis
from l2rclip_lite.rankformer import RankFormer
from l2rclip_lite.towers import Tokens, Towers

Embeddings = Float[Tensor, "rank token width"]
START, END, PADDING = "start", "end", "·"


def spellings(towers: Towers, tokens: Tokens) -> list[list[str]]:
    """Every slot as text: words as the tokenizer spells them, "start", "end", and "·" on padding.

    Args:
        towers: Whose tokenizer made the tokens.
        tokens: Of sentences without context slots.

    Returns:
        One list a sentence.

    Example:
        >>> from l2rclip_lite import load_towers
        >>> tiny = load_towers("tiny/random")
        >>> spellings(tiny, tiny.tokenize(["a leaf", "a big leaf"]))[0]
        ['start', 'a', 'leaf', 'end', '·']
    """
    tokenizer: Any = towers.tokenizer
    spell = getattr(tokenizer, "id_to_token", None) or (lambda number: tokenizer.decode([number]).strip())
    rows = []
    for ids, mask, words in zip(tokens.ids.tolist(), tokens.mask, tokens.words, strict=True):
        row = [spell(number) if word else PADDING for number, word in zip(ids, words, strict=True)]
        row[0], row[int(mask.sum()) - 1] = START, END
        rows.append(row)
    return rows


def woken(former: RankFormer, seed: int = 0) -> RankFormer:
    """The same RankFormer with random numbers in its last layer, which otherwise starts at zero and shows nothing."""
    last: Any = former.ffn_layers[-1]
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(last[2].weight, std=last[2].in_features ** -0.5, generator=generator)
    return former


def read_by(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens, rank: int, slot: int
) -> Float[Tensor, "rank token"]:
    r"""How strongly one refined word depends on every slot: $\lVert\partial(v\cdot R'_{kn})/\partial R\rVert$, v random.

    Args:
        former: A woken or trained RankFormer.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.
        rank: k, the sentence of the word.
        slot: n, its place.

    Returns:
        Numbers ≥ 0, exactly 0 on slots that the word cannot see.
    """
    asked = torch.randn(embeddings.shape[-1], generator=torch.Generator().manual_seed(0))
    leaf = embeddings.detach().clone().requires_grad_()
    answer = former(leaf, tokens)[rank, slot] @ asked.to(leaf)
    found: Tensor = torch.autograd.grad(answer, leaf)[0].norm(dim=-1)
    return found


@torch.no_grad()
def changed_ranks(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "disturbed rank"]:
    """How far R′ of each sentence moves when the words of one are disturbed, its own way = 1.

    `signature_tensors.influence` asks the same of the text features.

    Args:
        former: A woken or trained RankFormer.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.

    Returns:
        Row i: all words of rank i got noise; 0 where nothing moved.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(embeddings.shape, generator=generator).to(embeddings) * tokens.words[..., None]
    before, rows = former(embeddings, tokens), []
    for rank in range(len(embeddings)):
        disturbed = embeddings.clone()
        disturbed[rank] += 0.1 * embeddings.std() * noise[rank]
        moved = (former(disturbed, tokens) - before).flatten(1).norm(dim=1)
        rows.append(moved / moved[rank])
    return torch.stack(rows)


@torch.no_grad()
def shift_groups(former: RankFormer, embeddings: Embeddings, tokens: Tokens) -> Int[Tensor, "rank token"]:
    r"""Which words RankFormer must treat alike: those whose $\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$ is one vector.

    RankFormer knows no positions, so two slots with the same word and the same words in sight get the same vector: a
    word twice in one sentence (`token`), in one slot of two sentences (`rank`), anywhere (`joint`).

    Args:
        former: A woken or trained RankFormer with α > 0.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.

    Returns:
        A number for each group from 0 on, in reading order; −1 on slots without a word.
    """
    words = tokens.words
    shift = former(embeddings, tokens) - (1 - former.alpha) * embeddings
    rows = shift[words]
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    first = (apart <= 1e-4 * rows.norm(dim=1).mean()).int().argmax(dim=1)
    groups = torch.full(words.shape, -1, dtype=torch.long)
    groups[words] = torch.unique(first, return_inverse=True)[1]
    return groups


def relative_attention(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "group query key"]:
    """Attention times the number of words in sight, so that equal attention is 1; groups as in `RankFormer.attention`.

    Example:
        >>> on = torch.ones(2, 3, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(2, 3, dtype=torch.long), on, on, on)
        >>> relative_attention(RankFormer(8, heads=2, axis="token"), torch.ones(2, 3, 8), tokens)[0, 0]
        tensor([1., 1., 1.])
    """
    weights: Tensor = former.attention(embeddings, tokens)
    real = {"token": tokens.words, "rank": tokens.words.T, "joint": tokens.words.reshape(1, -1)}[former.axis]
    return weights * real.sum(dim=1)[:, None, None]


@torch.no_grad()
def movement(former: RankFormer, embeddings: Embeddings, tokens: Tokens) -> Float[Tensor, "rank token"]:
    r"""How far RankFormer moves each slot, in its own length: $\lVert R'_{kn}-R_{kn}\rVert/\lVert R_{kn}\rVert$.

    Example:
        >>> on = torch.ones(2, 3, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(2, 3, dtype=torch.long), on, on, on)
        >>> movement(RankFormer(8, heads=2, alpha=0.25), torch.ones(2, 3, 8), tokens)[0]  # at the start: α
        tensor([0.2500, 0.2500, 0.2500])
    """
    moved: Tensor = (former(embeddings, tokens) - embeddings).norm(dim=-1) / embeddings.norm(dim=-1)
    return moved


def parameter_count(width: int, hidden: int = 2048, depth: int = 1) -> dict[str, int]:
    r"""Numbers that RankFormer learns, by part: $4D^2+4D$ (MSA), $2DH+H+D$ (FFN), $2D$ (LN), 1 (α).

    Args:
        width: D.
        hidden: H.
        depth: Blocks of MSA and FFN.

    Example:
        >>> parameter_count(512)
        {'MSA': 1050624, 'FFN': 2099712, 'LN': 1024, 'alpha': 1}
    """
    attention = 4 * width**2 + 4 * width  # query, key, value, output: weights and biases
    ffn = 2 * width * hidden + hidden + width
    return {"MSA": depth * attention, "FFN": depth * ffn, "LN": 2 * width, "alpha": 1}


def attention_pairs(axis: Axis, ranks: int, words: int) -> int:
    """Pairs of words that attention compares: K·n², n·K², or (K·n)².

    Args:
        axis: Along which axis it attends.
        ranks: K.
        words: n, slots a sentence.

    Example:
        >>> [attention_pairs(axis, ranks=62, words=10) for axis in ("token", "rank", "joint")]
        [6200, 38440, 384400]
    """
    return {"token": ranks * words**2, "rank": words * ranks**2, "joint": (ranks * words) ** 2}[axis]
