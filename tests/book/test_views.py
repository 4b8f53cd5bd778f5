"""What figures are drawn of, worked out by hand: forces of texts, words that are read, orders."""

from functools import partial

import pytest
import torch

from l2rclip_book.loss_figures import on_circle, text_forces
from l2rclip_book.rankformer_figures import changed_ranks, read_by, woken
from l2rclip_lite.config import Axis
from l2rclip_lite.method.losses import ordinal_pairwise_loss
from l2rclip_lite.method.rankformer import RankFormer
from l2rclip_lite.towers.base import Tokens


@pytest.mark.parametrize("options", [{}, {"order": "shuffled", "push_power": 2}])
def test_the_forces_of_all_texts_are_the_force_on_the_image(options: dict[str, object]) -> None:
    """Action and reaction: minus the gradient at the image, and along the line to each text."""
    values = torch.arange(5.0, dtype=torch.float64)
    loss = partial(ordinal_pairwise_loss, target=torch.tensor([0]), values=values, **options)
    image = on_circle(40).requires_grad_()
    texts = on_circle(*range(90, 450, 72))
    forces = text_forces(loss, image, texts)
    (gradient,) = torch.autograd.grad(loss(image, texts), image)
    assert torch.allclose(forces.sum(0), -gradient[0])
    line = texts - image.detach()
    assert torch.allclose(forces[:, 0] * line[:, 1], forces[:, 1] * line[:, 0], atol=1e-12)


# Words by number: "a leaf with no", "a leaf with very low", "a leaf with low".
# 0 is start, end or padding.
IDS = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 5, 6, 0], [0, 1, 2, 3, 6, 0, 0]])
WORDS = IDS > 0
TOKENS = Tokens(IDS, torch.arange(7) < WORDS.sum(1, keepdim=True) + 2, WORDS, WORDS)
EMBEDDED = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))[IDS]


@pytest.mark.parametrize(("axis", "n_read"), [("token", 5), ("rank", 3), ("joint", 13)])
def test_a_word_reads_its_sentence_its_slot_or_all(axis: Axis, n_read: int) -> None:
    """Of "very", slot 4 of sentence 1: 5 words in its sentence, 3 in its slot, 4 + 5 + 4 in all.

    A rank changes itself the most, which counts as 1, and others unless sentences are read alone.
    """
    torch.manual_seed(0)
    attentive = woken(RankFormer(16, heads=2, hidden=32, axis=axis))
    gradient = read_by(attentive, EMBEDDED, TOKENS, rank=1, slot=4)
    assert int((gradient > 0).sum()) == n_read
    assert float(gradient[~WORDS].abs().sum()) == 0

    changed = changed_ranks(attentive, EMBEDDED, TOKENS)
    assert torch.equal(changed == 1, torch.eye(3, dtype=torch.bool))
    assert (changed > 0).all() == (axis != "token")
