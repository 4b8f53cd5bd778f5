"""RankFormer against a loop over slots, and what it may see and may not touch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from l2rclip_lite.rankformer import Axis, RankFormer
from l2rclip_lite.towers.base import Tokens

AXES: tuple[Axis, ...] = ("token", "rank", "joint")
LENGTHS = (
    3,
    5,
    4,
)  # words a sentence, between start and end: the end token stands in another slot in each


def sentences(lengths: tuple[int, ...] = LENGTHS) -> Tokens:
    """Start, words, end, padding."""
    slot = torch.arange(max(lengths) + 2)
    length = torch.tensor(lengths)[:, None]
    words = (slot > 0) & (slot <= length)
    return Tokens(torch.ones_like(words, dtype=torch.long), slot <= length + 1, words, words)


def woken(axis: Axis, depth: int = 1, alpha: float = 0.3) -> RankFormer:
    """A small RankFormer in float64 whose zero-initialised parts have been given weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        former = RankFormer(8, heads=2, hidden=16, depth=depth, alpha=alpha, axis=axis).double()
        for name, parameter in former.named_parameters():
            if name != "alpha":
                nn.init.normal_(parameter, std=0.5)
    return former


def drawn(tokens: Tokens) -> Tensor:
    """Random word embeddings for every slot."""
    return torch.randn(
        *tokens.ids.shape, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def visible(axis: Axis, rank: int, slot: int, words: np.ndarray) -> list[tuple[int, int]]:
    """The words that a word looks at: of its sentence, of its slot, or all."""
    everyone = [(int(k), int(n)) for k, n in zip(*np.nonzero(words), strict=True)]
    if axis == "token":
        return [(k, n) for k, n in everyone if k == rank]
    return [(k, n) for k, n in everyone if n == slot] if axis == "rank" else everyone


def looped(former: RankFormer, embeddings: np.ndarray, words: np.ndarray) -> np.ndarray:
    """(1 − α)R + α·FFN(MSA(LN(R))), one word and one head at a time, in NumPy."""
    state = {name: value.detach().numpy() for name, value in former.state_dict().items()}
    mean, var = embeddings.mean(-1, keepdims=True), embeddings.var(-1, keepdims=True)
    x = (embeddings - mean) / np.sqrt(var + 1e-5) * state["norm.weight"] + state["norm.bias"]
    for block in range(len(former.ffn)):
        part = {
            n.split(".", 2)[2]: v for n, v in state.items() if n.split(".")[1:2] == [str(block)]
        }
        projected = x @ part["in_proj_weight"].T + part["in_proj_bias"]
        new = np.zeros_like(x)
        for rank, slot in visible("joint", 0, 0, words):
            seen = visible(former.axis, rank, slot, words)
            heads = []
            for head in (slice(0, 4), slice(4, 8)):
                query = projected[rank, slot, :8][head]
                keys = np.stack([projected[k, n, 8:16][head] for k, n in seen])
                values = np.stack([projected[k, n, 16:][head] for k, n in seen])
                weight = np.exp(keys @ query / math.sqrt(4))
                heads.append(weight @ values / weight.sum())
            attended = part["out_proj.weight"] @ np.concatenate(heads) + part["out_proj.bias"]
            hidden = part["0.weight"] @ attended + part["0.bias"]
            hidden = np.array([h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
            new[rank, slot] = part["2.weight"] @ hidden + part["2.bias"]
        x = new
    alpha = float(state["alpha"])
    return np.where(words[..., None], (1 - alpha) * embeddings + alpha * x, embeddings)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("depth", [1, 2])
def test_the_equation_word_by_word(axis: Axis, depth: int) -> None:
    """Every axis, one block and two, sentences of three lengths: equal to the loop, which sees words alone.

    Start, end and padding are untouched.
    """
    tokens, former = sentences(), woken(axis, depth)
    embeddings = drawn(tokens)
    found = former(embeddings, tokens).detach()
    assert np.allclose(
        found.numpy(), looped(former, embeddings.numpy(), tokens.words.numpy()), atol=1e-12
    )
    assert torch.equal(found[~tokens.words], embeddings[~tokens.words]), "bit-identical"


@given(st.lists(st.integers(0, 4), min_size=2, max_size=5), st.sampled_from(AXES))
def test_sentences_of_any_length_are_finite(lengths: list[int], axis: Axis) -> None:
    """An empty sentence, or a slot that only one rank uses, makes no NaN, forward or backward."""
    tokens, former = sentences(tuple(lengths)), woken(axis)
    found = former(drawn(tokens), tokens)
    found.square().sum().backward()
    assert found.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in former.parameters())


def test_it_starts_at_the_template_a_little_shorter() -> None:
    """The last layer is zero, so R' = (1 − α)R on words; and yet every part is in reach of the gradient.

    At the start α and the last layer alone have one (the rest is behind a zero), after one step all have.
    """
    tokens = sentences()
    former = RankFormer(8, heads=2, hidden=16, alpha=0.25)
    embeddings = drawn(tokens).float()
    found = former(embeddings, tokens)
    assert torch.allclose(found[tokens.words], 0.75 * embeddings[tokens.words])
    optimiser = torch.optim.SGD(former.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        former(embeddings, tokens).square().sum().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in former.parameters())


def test_alpha_may_be_fixed() -> None:
    """Then it is no parameter, but it is stored; α = 0 is the template itself, to the last bit and for any weights."""
    fixed = RankFormer(8, heads=2, hidden=16, alpha=0.0, learn_alpha=False)
    assert "alpha" not in dict(fixed.named_parameters())
    assert float(fixed.state_dict()["alpha"]) == 0
    assert isinstance(RankFormer(8, heads=2).alpha, nn.Parameter)
    tokens = sentences()
    with torch.no_grad():
        for parameter in fixed.parameters():
            parameter.copy_(torch.linspace(-3, 5, parameter.numel()).view_as(parameter))
    assert torch.equal(fixed(drawn(tokens).float(), tokens), drawn(tokens).float())


def test_the_size_that_is_published() -> None:
    """At D = 512 with FFN 2048: 1 050 624 + 2 099 712 + 1 024 + 1 parameters."""
    assert sum(p.numel() for p in RankFormer(512).parameters()) == 3_151_361
