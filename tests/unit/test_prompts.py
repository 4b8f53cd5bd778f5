"""RankPrompts: where the context stands, what the start is, and where gradients go."""

import pytest
import torch

from l2rclip_lite.errors import InputError
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks, cyclic_permutation
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.load import load_towers

AGES = Ranks.integers(
    18, 23, template="a photo of a {rank} years old face"
)  # one word and two: two lengths


def spread(features: torch.Tensor) -> torch.Tensor:
    """By hand: less the mean over ranks, unit length."""
    moved = features - features.sum(0) / len(features)
    return moved / moved.square().sum(1, keepdim=True).sqrt()


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_without_context_and_rankformer_it_is_the_text_tower(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The bare prompts are `encode_text` of the sentences, centred on request."""
    towers: Towers = request.getfixturevalue(name)
    with torch.no_grad():
        plain = towers.encode_text(AGES.sentences)
        bare = RankPrompts(towers, AGES, context_length=0, rankformer=False, centre=False)
        assert torch.allclose(bare(towers), plain, atol=1e-6)
        full = RankPrompts(towers, AGES, context_length=4, heads=2, hidden=16)
        assert not torch.allclose(full(towers), spread(plain), atol=1e-3), (
            "context and alpha move it"
        )
        apart = RankPrompts(towers, AGES, context_length=4, heads=2, hidden=16, centre=False)
        assert torch.allclose(full(towers), spread(apart(towers)), atol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_context_vectors_that_spell_words_are_these_words(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Put the embeddings of "a very old" into the context: the features are those of the longer sentence.

    It pins placement, positions, mask and the slot of the end token, which is another in each rank.
    """
    towers: Towers = request.getfixturevalue(name)
    prompts = RankPrompts(towers, AGES, context_length=3, rankformer=False, centre=False)
    with torch.no_grad():
        prompts.context.copy_(towers.embed(towers.tokenize(["a very old"]).ids)[0, 1:4])
        longer = towers.encode_text([f"a very old {sentence}" for sentence in AGES.sentences])
        assert torch.allclose(prompts(towers), longer, atol=1e-6)


def test_the_start_is_drawn_by_seed_on_the_scale_of_words(mini: Towers) -> None:
    """Same seed, same start, whatever was drawn before; and torch's own generator is left alone.

    MiniLM's word embeddings have 0.056 a dimension, CLIP's 0.02: the start follows the tower.
    """
    before = torch.random.get_rng_state()
    one = RankPrompts(mini, AGES, context_length=16, heads=2, hidden=16, seed=5)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(7)
    same, other = (
        RankPrompts(mini, AGES, context_length=16, heads=2, hidden=16, seed=seed) for seed in (5, 6)
    )
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.context, other.context)
    words = one.template_embeddings[one.tokens.words]
    assert float(one.context.detach().std()) == pytest.approx(float(words.std()), rel=0.1)


def test_the_towers_are_used_not_owned(tiny: Towers) -> None:
    """No tower parameter appears among the prompts' own, or stage 1 would train it and every file would hold it twice."""
    prompts = RankPrompts(tiny, AGES, heads=2, hidden=16)
    names = {name.split(".")[0] for name, _ in prompts.named_parameters()}
    assert names == {"context", "rankformer"}
    assert {name.split(".")[0] for name in prompts.state_dict()} == names


def test_gradients_are_finite_differences_and_reach_every_rank() -> None:
    """In float64: the gradient of one feature by context and RankFormer is what a small step measures.

    Each single rank pulls on the context and on α, and no parameter of the frozen towers gets a gradient.
    """
    towers = load_towers("tiny/random").double().requires_grad_(False)
    prompts = RankPrompts(towers, AGES, context_length=2, heads=2, hidden=8, centre=False).double()
    assert prompts.rankformer is not None
    last = prompts.rankformer.ffn[0][2].weight
    torch.nn.init.normal_(last, std=0.1)
    direction = torch.randn(
        towers.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    watched = {"context": prompts.context, "alpha": prompts.rankformer.alpha, "last layer": last}
    watched["query, key, value"] = prompts.rankformer.attend[0].in_proj_weight
    for rank in range(len(AGES)):
        prompts.zero_grad()
        (prompts(towers)[rank] @ direction).backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in watched.values()), rank
    for name, parameter in watched.items():
        assert parameter.grad is not None
        index = int(parameter.grad.abs().argmax())
        flat, step, found = parameter.data.view(-1), 1e-5, []
        for sign in (1, -1):
            flat[index] += sign * step
            found.append(float((prompts(towers)[-1] @ direction).detach()))
            flat[index] -= sign * step
        assert float(parameter.grad.view(-1)[index]) == pytest.approx(
            (found[0] - found[1]) / (2 * step), rel=1e-5
        ), name
    assert all(p.grad is None for p in towers.parameters())


def test_shuffled_sentences_are_those_of_other_ranks(tiny: Towers) -> None:
    """Rank k gets the sentence of π(k) = 4, 5, 1, 2, 0, 3 (K = 6), whatever attends to whom: nothing else changes."""
    order = cyclic_permutation(6)
    for axis in ("token", "rank", "joint"):
        true, other = (
            RankPrompts(tiny, AGES, heads=2, hidden=16, axis=axis, shuffled=shuffled)  # type: ignore[arg-type]
            for shuffled in (False, True)
        )
        for prompts in (true, other):
            assert prompts.rankformer is not None
            torch.nn.init.constant_(prompts.rankformer.ffn[0][2].weight, 0.02)
        assert torch.allclose(other(tiny), true(tiny)[order], atol=1e-5), axis
        assert not torch.allclose(other(tiny), true(tiny), atol=0.1)


def test_what_does_not_fit_is_refused(tiny: Towers) -> None:
    """Start, 70 words, rank and end are 73 tokens; four more fit into CLIP's 77, five do not. Heads share 64 dimensions."""
    ranks = Ranks(("low", "high"), (0, 1), template="leaf " * 70 + "{rank}")
    RankPrompts(tiny, ranks, context_length=4, rankformer=False)(tiny)
    with pytest.raises(InputError, match="77"):
        RankPrompts(tiny, ranks, context_length=5, rankformer=False)(tiny)
    with pytest.raises(InputError, match=r"heads: 3 heads do not divide the embedding width 64\."):
        RankPrompts(tiny, AGES, heads=3)


def test_attention_that_would_take_gigabytes_is_refused(tiny: Towers) -> None:
    """2,000 ranks of 9 tokens: 18,000² = 324 million pairs are too many at once, 9 · 2,000² along the ranks are few."""
    ranks = Ranks(
        tuple(f"grade {k}" for k in range(2000)), tuple(range(2000)), template="a very {rank}"
    )
    options = {"heads": 2, "hidden": 32}
    with pytest.raises(
        InputError, match="'joint' compares 324,000,000 pairs of tokens, more than 268,435,456"
    ):
        RankPrompts(tiny, ranks, axis="joint", **options)(tiny)
    assert RankPrompts(tiny, ranks, axis="token", **options)(tiny).shape == (2000, 64)
