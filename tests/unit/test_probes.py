"""Zero-shot, linear probe and ridge on features made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.probes import linear_probe, ridge, zero_shot
from l2rclip_lite.ranks import Ranks

UNEVEN = Ranks(("1930s", "1940s", "1970s"), (1930, 1940, 1970), "a photo from the {rank}", unit="years")


def test_zero_shot_reads_the_bare_sentences(leaves: OrdinalDataset, small: Config) -> None:
    """Raw: softmax of s·z·t. Centred, as the config says: the mean of the five texts moved to the origin first.

    Whatever the prompts have learned plays no part.
    """
    model = L2RCLIP.build(leaves.ranks, small)
    features = F.normalize(torch.randn(4, model.towers.dim), dim=1)
    text = model.towers.encode_text(leaves.ranks.sentences)
    scale = float(model.scale.detach())
    expected = {False: F.normalize(text - text.mean(0), dim=1), True: text}
    torch.nn.init.ones_(model.prompts.context)
    for raw, known in expected.items():
        found = zero_shot(model, features, raw=raw)
        assert torch.allclose(found, (scale * features @ known.T).softmax(1), atol=1e-5)
    plain = L2RCLIP.build(leaves.ranks, replace(small, centre=False))
    assert torch.allclose(zero_shot(plain, features), zero_shot(model, features, raw=True), atol=1e-5)


def test_ridge_on_a_line() -> None:
    """One feature is the year, (r − 1930)/40; two pictures a rank and no noise, so the weakest ridge wins.

    A test picture at 0.5 is 1950, a third of the way from 1940 to 1970; one at 2 lies beyond the last rank.
    """
    target = torch.tensor([0, 0, 1, 1, 2, 2])
    years = (torch.tensor(UNEVEN.values)[target] - 1930)[:, None] / 40
    features = {"train": years, "val": years, "test": torch.tensor([[0.5], [2.0]])}
    found = ridge(features, {"train": target, "val": target}, UNEVEN)
    assert found[0].tolist() == pytest.approx([0, 2 / 3, 1 / 3], abs=1e-3)
    assert found[1].tolist() == [0, 0, 1]


@settings(max_examples=5)  # six logistic regressions each
@given(seed=st.integers(0, 2**31), absent=st.integers(0, 2))
def test_both_answer_with_a_rank_absent(seed: int, absent: int) -> None:
    """Distributions over all ranks. Logistic regression cannot name the rank it never saw, ridge can."""
    generator = torch.Generator().manual_seed(seed)
    target = {split: torch.arange(n) % 3 for split, n in (("train", 12), ("val", 3), ("test", 3))}
    target["train"] = target["train"][target["train"] != absent]
    features = {
        split: F.normalize(torch.randn(len(y), 4, generator=generator), dim=1) for split, y in target.items()
    }
    for probe in (linear_probe, ridge):
        found = probe(features, target, UNEVEN)
        assert (found >= 0).all()
        assert torch.allclose(found.sum(1), torch.ones(3).double())
    assert (linear_probe(features, target, UNEVEN)[:, absent] == 0).all()


def test_more_ranks_than_half_of_the_pictures_are_ranks_all_the_same() -> None:
    """The library takes so many classes for numbers to regress on, and says so (warnings are errors here)."""
    many = Ranks.integers(0, 29, template="grade {rank}")
    rank = torch.arange(30)
    points = torch.eye(30)
    found = linear_probe(
        {split: points for split in ("train", "val", "test")}, {"train": rank, "val": rank}, many
    )
    assert found.argmax(1).tolist() == rank.tolist()
