"""What RankFormer lets words see, whose gradients agree, and the figures of it, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle
from torch import Tensor

from l2rclip_book import rankformer_figures as draw
from l2rclip_book.gradients import SlotVectors, gradient_alignment, mean_by_gap
from l2rclip_book.rankformer_views import (
    changed_ranks,
    movement,
    read_by,
    shift_groups,
    spellings,
    woken,
)
from l2rclip_lite.baselines.prompts import InterpolatedPrompts
from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import load_towers
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.rankformer import Axis, RankFormer
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Tokens, Towers

# Words by number; 0 is start, end or padding. "a leaf with no", "a leaf with very low", "a leaf with low".
IDS = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 5, 6, 0], [0, 1, 2, 3, 6, 0, 0]])
WORDS = IDS > 0
TOKENS = Tokens(IDS, torch.arange(7) < WORDS.sum(1, keepdim=True) + 2, WORDS, WORDS)
EMBEDDED = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))[IDS]
RANKS = Ranks(("no", "very low", "low", "high"), (0, 1, 2, 3), template="a leaf with {rank} damage")
SPELT = [["start", "a", "no", "end", "·"], ["start", "a", "very", "low", "end"]]


def former(axis: Axis, seed: int = 0) -> RankFormer:
    """A small RankFormer that does something."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return woken(RankFormer(16, heads=2, hidden=32, axis=axis), seed)


@pytest.fixture(scope="module")
def tiny() -> Towers:
    """A random CLIP of two layers."""
    return load_towers("tiny/random")


@pytest.fixture(scope="module")
def images(tiny: Towers) -> Tensor:
    """Four directions, of lengths that must not matter."""
    drawn = torch.randn(4, tiny.dim, generator=torch.Generator().manual_seed(3))
    return torch.tensor([[1.0], [2.0], [3.0], [0.5]]) * drawn


@pytest.mark.parametrize(("axis", "seen", "shifts"), [("token", 5, 13), ("rank", 3, 7), ("joint", 13, 6)])
def test_who_sees_whom(axis: Axis, seen: int, shifts: int) -> None:
    """Asked for "very", slot 4 of sentence 1: its sentence has 5 words, its slot 3, and there are 4 + 5 + 4 in all.

    Shifts: no sentence repeats a word, so 13; along `rank` 3 columns, 3 words in slot 4, 1 in slot 5; 6 different words.
    """
    model = former(axis)
    gradient = read_by(model, EMBEDDED, TOKENS, rank=1, slot=4)
    assert int((gradient > 0).sum()) == seen
    assert float(gradient[~WORDS].abs().sum()) == 0
    groups = shift_groups(model, EMBEDDED, TOKENS)
    assert groups.max() + 1 == shifts
    assert torch.equal(groups < 0, ~WORDS)
    changed = changed_ranks(model, EMBEDDED, TOKENS)
    others = changed[~torch.eye(3, dtype=torch.bool)]
    assert torch.equal(changed.diagonal(), torch.ones(3))
    assert (others == 0).all() if axis == "token" else ((others > 0) & (others < 1)).all()


def test_movement_is_relative_and_alpha_at_the_start() -> None:
    """R' = (1 - α)R moves a word by α of its length, whatever that is; other slots by 0."""
    moved = movement(RankFormer(16, heads=2, hidden=32, alpha=0.25), 7 * EMBEDDED, TOKENS)
    assert torch.allclose(moved, 0.25 * WORDS.float())


@pytest.mark.parametrize("name", ["tiny/random", "mini"])
def test_spellings_of_both_tokenizers(name: str) -> None:
    """Words as they are read, with the end where the sentence ends."""
    towers = load_towers(name)
    ranks = Ranks(("no", "very low"), (0, 1), template="a leaf with {rank} damage")
    assert spellings(towers, towers.tokenize(ranks.sentences, template=ranks.template)) == [
        ["start", "a", "leaf", "with", "no", "damage", "end", "·"],
        ["start", "a", "leaf", "with", "very", "low", "damage", "end"],
    ]


def test_a_small_step_helps_as_the_gradients_say(tiny: Towers, images: Tensor) -> None:
    """A step ε along g_i / |g_i| changes z̄_j · t_j by c_ij = ε g_i · g_j / |g_i|, so A_ij = c_ij / c_jj."""
    prompts, z = RankPrompts(tiny, RANKS, heads=2, hidden=16), F.normalize(images, dim=1)
    expected = gradient_alignment(prompts(tiny), images, [prompts.context])
    changes = []
    for rank in range(4):
        (gradient,) = torch.autograd.grad((z[rank] * prompts(tiny)[rank]).sum(), [prompts.context])
        step, agreement = 0.002 * gradient / gradient.norm(), []
        for move in (step, -2 * step):
            prompts.context.data += move
            agreement.append((z * prompts(tiny).detach()).sum(dim=1))
        prompts.context.data += step
        changes.append((agreement[0] - agreement[1]) / 2)
    table = torch.stack(changes)  # row i: ε g_i · g_j / |g_i|
    assert torch.allclose(table / table.diagonal(), expected, atol=0.005)


def test_learners_whose_alignment_is_known(tiny: Towers, images: Tensor) -> None:
    """Own vectors without centring share nothing: the identity. With α alone, gradients are numbers: 1 or -1."""
    own = InterpolatedPrompts(tiny, RANKS, base_ranks=4, weighting="inverse", context_length=0, centre=False)
    assert torch.allclose(gradient_alignment(own(tiny), images, [own.base]), torch.eye(4), atol=1e-3)
    own.centre = True
    assert not torch.allclose(gradient_alignment(own(tiny), images, [own.base]), torch.eye(4), atol=1e-3)
    prompts = RankPrompts(tiny, RANKS, heads=2, hidden=16)
    assert prompts.rankformer is not None
    signs = gradient_alignment(prompts(tiny), images, [prompts.rankformer.alpha])
    assert torch.allclose(signs.abs(), torch.ones(4, 4), atol=1e-5)
    with pytest.raises(InputError, match="no parameter given here can move the text of rank 0"):
        gradient_alignment(own(tiny), images, [prompts.rankformer.alpha])
    table = torch.tensor([[1.0, 4.0, 8.0], [4.0, 1.0, 6.0], [8.0, 6.0, 1.0]])
    assert mean_by_gap(table).tolist() == [5.0, 8.0]


def test_slot_vectors_move_words_alone(tiny: Towers) -> None:
    """They start at the template; then word n of every rank moves by vector n, after the context, and nothing else."""
    control = SlotVectors(tiny, RANKS, context_length=3)
    start = control.embeddings().detach().clone()
    assert torch.equal(start, RankPrompts(tiny, RANKS, context_length=3, rankformer=False).embeddings())
    control.vectors.data += torch.arange(float(len(control.vectors)))[:, None]
    moved = (control.embeddings() - start).detach()
    slot = torch.arange(moved.shape[1]) - 3
    assert torch.allclose(moved, (control.prompt_tokens.words * slot)[..., None] * 1.0, atol=1e-5)


def shown(axis: Axes) -> list[float]:
    """What a heat map shows, in reading order."""
    return np.asarray(axis.collections[0].get_array()).ravel().tolist()


def framed(axis: Axes) -> list[tuple[float, float]]:
    """Slots and ranks of the frames."""
    frames = [patch for patch in axis.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    return [(int(frame.get_x()), int(frame.get_y())) for frame in frames]


def test_token_grid_has_context_after_the_start_and_frames_names() -> None:
    """5 slots + 2 vectors; the frames are around "no", "very" and "low"."""
    names = torch.tensor([[False, False, True, False, False], [False, False, True, True, False]])
    figure = draw.token_grid(SPELT, names, context=2)
    figure.canvas.draw()
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts][:7] == ["start", "c1", "c2", "a", "no", "end", "·"]
    assert shown(axis)[:7] == [1, 2, 2, 3, 3, 1, 0]
    assert framed(axis) == [(4, 0), (4, 1), (5, 1)]


def test_axes_figure_colours_what_is_read_and_frames_the_word() -> None:
    """A zero is not read; the framed slot is the one that was asked; with `token` only a rank itself moves."""
    reads = {"token": torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 2, 3, 0]])}
    figure = draw.axes_figure(reads, {"token": torch.eye(2)}, SPELT, (1, 3))
    figure.canvas.draw()
    left, right = figure.axes
    assert shown(left) == [0, 1, 1, 0, 0, 0, 2, 2, 2, 0]
    assert framed(left) == [(3, 1)]
    assert shown(right) == [1, 0, 0, 1]


def test_movement_figure_and_a_plain_grid_write_their_words() -> None:
    """Start and padding keep their names, words get their distance; colours of a plain grid count from 0."""
    figure = draw.movement_figure({"rank": torch.full((2, 5), 0.5)}, SPELT)
    figure.canvas.draw()
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts][:5] == ["start", "a\n0.50", "no\n0.50", "end", "·"]
    axis.clear()
    draw.sentence_grid(
        axis, SPELT, np.array([[0, 1, 2, 0, 0], [0, 1, 2, 2, 0]]), ListedColormap(["w", "r", "b"])
    )
    assert axis.collections[0].get_clim() == (0, 2)
