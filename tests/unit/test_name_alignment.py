"""A CLIP of names alone: the fast sweep is the package's own fit, and only true pairs find what they have not seen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import MiniTowers, fit_alignment
from l2rclip_lite.name_alignment import class_names, prototypes, recall, split_names, unseen_similarity
from l2rclip_lite.towers import Towers


def test_the_sweep_is_the_fit_of_the_package() -> None:
    """Forty random pairs, fitted on 32: cosines of the other 8 equal those of `mini.fit_alignment`, for each strength."""
    generator = torch.Generator().manual_seed(0)
    classifier, texts = torch.randn(40, 12, generator=generator), torch.randn(40, 6, generator=generator)
    seen, unseen = split_names(40, seed=3)
    assert sorted([*seen.tolist(), *unseen.tolist()]) == list(range(40))
    for ridge, found in zip(
        (0.5, 20.0), unseen_similarity(classifier, texts, (0.5, 20.0), seed=3), strict=True
    ):
        fitted = fit_alignment(classifier[seen], texts[seen], ridge)
        images = F.normalize(classifier[unseen] @ fitted["projection"].T, dim=1)
        sentences = F.normalize(texts[unseen] - fitted["text_mean"], dim=1)
        assert torch.allclose(found, sentences @ images.T, atol=1e-5)
    wrong = unseen_similarity(classifier, texts, (20.0,), seed=3, shuffle=True)[0]
    assert not torch.allclose(wrong, found, atol=0.1)
    with pytest.raises(InputError, match=r"must be positive, got 0\.$"):
        unseen_similarity(classifier, texts, (1.0, 0.0), seed=0)


def test_a_linear_world_is_found_and_a_shuffled_one_is_not() -> None:
    """Texts that are a linear map of the rows: the rest is found without a miss; wrong pairs find next to nothing."""
    generator = torch.Generator().manual_seed(1)
    classifier = torch.randn(200, 20, generator=generator)
    texts = classifier @ torch.randn(20, 15, generator=generator)
    true = unseen_similarity(classifier, texts, (1e-3,), seed=0)[0]
    assert recall(true) == 1
    assert recall(unseen_similarity(classifier, texts, (1e-3,), seed=0, shuffle=True)[0]) < 0.2


def test_recall_counts_ties_for_the_name() -> None:
    """Row 0 is first, row 1 second, row 2 third: recall@1, 2, 3 = ⅓, ⅔, 1."""
    table = torch.tensor([[0.9, 0.1, 0.9], [0.8, 0.2, 0.1], [0.5, 0.4, 0.3]])
    assert [recall(table, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_prototypes_are_rows_and_names_of_the_same_things(mini: Towers) -> None:
    """Four of the thousand names, evenly spread: unit texts, and the rows 0, 250, 500, 750 of the classifier."""
    assert isinstance(mini, MiniTowers)
    rows, texts = prototypes(mini, 4)
    assert (rows.shape, texts.shape) == ((4, 1280), (4, 384))
    assert texts.norm(dim=1) == pytest.approx(torch.ones(4))
    moved = F.normalize(texts - mini.text.get_buffer("mean"), dim=1)
    with torch.no_grad():
        sentences = [f"a photo of a {name}" for name in class_names(4)]
        assert torch.allclose(moved, mini.encode_text(sentences), atol=1e-5)
    with pytest.raises(InputError, match="from 2 to 1000, not 1001"):
        class_names(1001)
