"""RankFormer against a loop over slots, and what it may see and may not touch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from l2rclip_lite.method.rankformer import Axis, RankFormer
from l2rclip_lite.towers.base import Tokens

AXES: tuple[Axis, ...] = ("token", "rank", "joint")
LENGTHS = (3, 5, 4)  # words a sentence, so that the end token is in another slot in each


def sentences(lengths: tuple[int, ...] = LENGTHS) -> Tokens:
    """Return start, words, end and padding of sentences with so many words."""
    slot = torch.arange(max(lengths) + 2)
    length = torch.tensor(lengths)[:, None]
    words = (slot > 0) & (slot <= length)
    return Tokens(torch.ones_like(words, dtype=torch.long), slot <= length + 1, words, words)


def woken(axis: Axis, depth: int = 1) -> RankFormer:
    """Return a small RankFormer in float64 whose parts that start at zero have weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        former = RankFormer(8, heads=2, hidden=16, depth=depth, alpha=0.3, axis=axis).double()
        for name, parameter in former.named_parameters():
            if name != "alpha":
                nn.init.normal_(parameter, std=0.5)
    return former


def drawn(tokens: Tokens) -> Tensor:
    """Return random word embeddings for every slot."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*tokens.ids.shape, 8, generator=generator, dtype=torch.float64)


def visible(axis: Axis, rank: int, slot: int, words: np.ndarray) -> list[tuple[int, int]]:
    """Return the words that a word looks at: those of its sentence, of its slot, or all."""
    pairs = [(int(k), int(n)) for k, n in np.argwhere(words)]
    if axis == "token":
        return [(k, n) for k, n in pairs if k == rank]
    if axis == "rank":
        return [(k, n) for k, n in pairs if n == slot]
    return pairs


Weights = dict[str, np.ndarray]


def attend(block: Weights, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return MSA of one word: softmax(k·q / √4) over the words that it looks at, by head."""
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        weights = np.exp(keys[:, head] @ queries[head] / math.sqrt(4))
        heads.append(weights @ values[:, head] / weights.sum())
    return block["out_proj.weight"] @ np.concatenate(heads) + block["out_proj.bias"]


def feed_forward(block: Weights, x: np.ndarray) -> np.ndarray:
    """Return FFN of one word: two layers with a GELU between them."""
    hidden = block["0.weight"] @ x + block["0.bias"]
    hidden = np.array([h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
    return block["2.weight"] @ hidden + block["2.bias"]


def looped(former: RankFormer, embeddings: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return (1 − α)R + α·FFN(MSA(LN(R))), one word and one head at a time, in NumPy."""
    state = {name: value.detach().numpy() for name, value in former.state_dict().items()}
    alpha = float(state["alpha"])

    mean = embeddings.mean(-1, keepdims=True)
    variance = embeddings.var(-1, keepdims=True)
    x = (embeddings - mean) / np.sqrt(variance + 1e-5) * state["norm.weight"] + state["norm.bias"]

    for number in range(len(former.ffn)):
        block = {}
        for name, value in state.items():
            if name.split(".")[1:2] == [str(number)]:
                block[name.split(".", 2)[2]] = value
        projected = x @ block["in_proj_weight"].T + block["in_proj_bias"]
        queries, keys, values = np.split(projected, 3, axis=-1)

        x = np.zeros_like(x)
        for rank, slot in visible("joint", 0, 0, words):
            others = tuple(np.transpose(visible(former.axis, rank, slot, words)))
            attended = attend(block, queries[rank, slot], keys[others], values[others])
            x[rank, slot] = feed_forward(block, attended)

    return np.where(words[..., None], (1 - alpha) * embeddings + alpha * x, embeddings)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("depth", [1, 2])
def test_the_equation_word_by_word(axis: Axis, depth: int) -> None:
    """Sentences of three lengths: equal to the loop, which sees words alone.

    Start, end and padding are untouched.
    """
    tokens = sentences()
    former = woken(axis, depth)
    embeddings = drawn(tokens)

    refined = former(embeddings, tokens).detach()

    by_hand = looped(former, embeddings.numpy(), tokens.words.numpy())
    assert np.allclose(refined.numpy(), by_hand, atol=1e-12)
    assert torch.equal(refined[~tokens.words], embeddings[~tokens.words])  # to the last bit


@given(st.lists(st.integers(0, 4), min_size=2, max_size=5), st.sampled_from(AXES))
def test_sentences_of_any_length_are_finite(lengths: list[int], axis: Axis) -> None:
    """An empty sentence, or a slot that only one rank uses, makes no NaN, forward or backward."""
    tokens = sentences(tuple(lengths))
    former = woken(axis)

    refined = former(drawn(tokens), tokens)
    refined.square().sum().backward()

    assert refined.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in former.parameters())
