"""RankPrompts: where the context stands, what the start is, and where gradients go."""

import pytest
import torch
import torch.nn.functional as F

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.prompts import RankPrompts
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import build_prompts
from l2rclip_lite.towers.base import Towers

# one word and two: two lengths
AGES = Ranks.integers(18, 23, template="a photo of a {rank} years old face")


@pytest.fixture(params=["tiny", "mini"])
def towers(request: pytest.FixtureRequest) -> Towers:
    """Random towers of CLIP, and the offline default."""
    return request.getfixturevalue(request.param)


# --- the texts ----------------------------------------------------------------------------------


@torch.no_grad()
def test_context_and_rankformer_move_the_texts_and_centring_is_last(towers: Towers) -> None:
    """Context and α change the sentences from the start."""
    plain = towers.encode_text(AGES.sentences)
    full = RankPrompts(towers, AGES, context_length=4, heads=2, hidden=16)
    raw = RankPrompts(towers, AGES, context_length=4, heads=2, hidden=16, centre=False)
    for texts, are_equal in ((plain, False), (raw(towers), True)):
        centred = F.normalize(texts - texts.mean(0), dim=1)
        assert torch.allclose(full(towers), centred, atol=1e-5) == are_equal


@torch.no_grad()
def test_context_vectors_that_spell_words_are_these_words(towers: Towers) -> None:
    """With the embeddings of "a very old" the features are those of the longer sentence.

    This checks placement, positions, mask and the slot of the end token, which differs by rank.
    """
    prompts = RankPrompts(towers, AGES, context_length=3, rankformer=False, centre=False)
    words = towers.embed(towers.tokenize(["a very old"]).ids)[0, 1:4]
    prompts.context.copy_(words)

    longer = towers.encode_text([f"a very old {sentence}" for sentence in AGES.sentences])
    assert torch.allclose(prompts(towers), longer, atol=1e-6)


def test_the_start_is_drawn_by_seed_on_the_scale_of_words(mini: Towers) -> None:
    """Same seed, same start, whatever was drawn before; torch's own generator is left alone.

    MiniLM's word embeddings have 0.056 a dimension, CLIP's 0.02: the start follows the tower.
    """
    before = torch.random.get_rng_state()
    prompts = RankPrompts(mini, AGES, context_length=16, heads=2, hidden=16, seed=5)
    assert torch.equal(before, torch.random.get_rng_state())

    torch.rand(7)
    same = RankPrompts(mini, AGES, context_length=16, heads=2, hidden=16, seed=5)
    other = RankPrompts(mini, AGES, context_length=16, heads=2, hidden=16, seed=6)
    for first, second in zip(prompts.parameters(), same.parameters(), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(prompts.context, other.context)

    words = prompts.sentence_embeddings[prompts.tokens.words]
    assert float(prompts.context.detach().std()) == pytest.approx(float(words.std()), rel=0.1)


def test_the_settings_of_a_config_reach_its_prompts(tiny: Towers) -> None:
    """Context and RankFormer are those of the same numbers, drawn by the same seed."""
    numbers = {"context_length": 3, "alpha": 1, "heads": 2, "hidden": 24, "depth": 2, "seed": 7}
    prompts = build_prompts(
        tiny, AGES, Config(**numbers, axis="joint", controls=Controls(learn_alpha=False))
    )
    learned = RankPrompts(tiny, AGES, **numbers, axis="joint")
    expected = learned.state_dict()
    assert "rankformer.alpha" in dict(learned.named_parameters())
    assert prompts.rankformer.axis == "joint"
    assert "rankformer.alpha" not in dict(prompts.named_parameters())
    assert prompts.rankformer.attend[0].num_heads == 2
    assert prompts.state_dict().keys() == expected.keys()
    for name, value in prompts.state_dict().items():
        assert torch.equal(value, expected[name]), name


# --- controls and limits ------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "most"), [("tiny", 77), ("mini", 512)])
def test_too_long_a_sentence_is_refused(
    name: str, most: int, request: pytest.FixtureRequest
) -> None:
    """Of CLIP's 77 tokens and MiniLM's 512 start and end are two, and two the context."""
    towers: Towers = request.getfixturevalue(name)
    longest = Ranks(("one", "two"), (0, 1), "{rank}" + " leaf" * (most - 5))
    prompts = RankPrompts(towers, longest, context_length=2, rankformer=False)
    assert prompts.prompt_tokens.ids.shape == (2, most)

    longer = Ranks(("one", "two"), (0, 1), "{rank}" + " leaf" * (most - 4))
    sentence = (
        rf"^template: a sentence has {most + 1} tokens with its 2 context vectors, .* {most};"
    )
    with pytest.raises(InputError, match=sentence):
        RankPrompts(towers, longer, context_length=2, rankformer=False)


def test_ranks_that_the_text_tower_cannot_tell_apart_are_refused(mini: Towers) -> None:
    """MiniLM drops capitals and accents, and has one token for all that it does not know."""
    ranks = Ranks(("Low", "lów"), (0, 1), template="{rank}")
    sentence = r"the text tower reads 'Low' and 'lów' alike; choose other words\.$"
    with pytest.raises(InputError, match=sentence):
        RankPrompts(mini, ranks)
