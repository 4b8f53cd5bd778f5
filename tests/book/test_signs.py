"""The signs of failure of a run: their ranges are the measured ones, and what cannot be said."""

from dataclasses import replace
from pathlib import Path

import chapters
import pandas as pd
import pytest
import torch

from l2rclip_book.provoked import HEALTHY, PROVOKED
from l2rclip_book.signs import (
    SIGNS,
    Sign,
    changed_texts,
    measure,
    see_images,
)
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers import load_towers
from l2rclip_lite.training import fit

STORED = chapters.BOOK / "results" / "spread" / "18.csv"
SMALL = Config(
    towers="tiny/random", epochs1=1, epochs2=1, batch_size=16, heads=2, hidden=32, lr2=1e-3
)


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.column)
def test_the_ranges_are_those_of_the_stored_runs(sign: Sign) -> None:
    """Least and largest value of healthy runs, and of runs that were made to fail; they are apart.

    A number whose ranges overlap decides nothing, so it is no sign.
    """
    runs = pd.read_csv(STORED)
    for name, values in ((HEALTHY, sign.healthy), (sign.provoked_by, sign.provoked)):
        column = runs[f"{name}: {sign.column}"]
        assert values == (round(column.min(), 2), round(column.max(), 2))
    lower, upper = sorted((sign.healthy, sign.provoked))
    assert lower[1] < upper[0]
    assert sign.provoked_by in PROVOKED


def test_a_sign_fires_beyond_the_middle_between_the_ranges() -> None:
    """On either side."""
    above = replace(SIGNS[0], healthy=(0.5, 0.9), provoked=(-0.1, 0.3))
    assert [above.fires(value) for value in (0.39, 0.41)] == [True, False]
    below = replace(above, healthy=above.provoked, provoked=above.healthy)
    assert [below.fires(value) for value in (0.39, 0.41)] == [False, True]


def test_images_are_seen_by_the_untrained_tower_and_by_that_of_the_run(tmp_path: Path) -> None:
    """Where the tower was not trained or prompts are plain, a sentence stands for the number."""
    leaves = load_dataset("leaves", size=60, pixels=64)
    model = fit(leaves, SMALL, tmp_path / "run", quiet=True).model
    seen = see_images(model, leaves)
    untrained = L2RCLIP.build(leaves.ranks, SMALL, 64)
    assert torch.allclose(seen.before, untrained.encode(leaves.test), atol=1e-5)
    assert seen.after is not None
    assert torch.allclose(seen.after, model.encode(leaves.test), atol=1e-5)
    assert all(isinstance(value, float) for value in measure(model, seen).values())

    plain = L2RCLIP.build(leaves.ranks, replace(SMALL, image_side="kernel", epochs1=0), 64)
    values = measure(plain, see_images(plain, leaves))
    assert values["spread"] == "the image tower was not trained in this run."
    assert values["template"] == "stage 1 has trained no prompts in this run."
    assert isinstance(values["margin"], float)
    assert measure(plain, None)["margin"] == "this one needs the test images."


def test_texts_with_nothing_changed_or_nothing_learned() -> None:
    """They are those of the model, and the plain sentences.

    The RankFormer has learned something, if nothing useful.
    """
    ranks = Ranks.integers(0, 5, template="grade {rank}")
    towers = load_towers("tiny/random")
    model = L2RCLIP(towers, ranks, Config(towers="tiny/random", heads=2, hidden=32, alpha=0.5))
    assert model.prompts is not None
    assert model.prompts.rankformer is not None
    last = model.prompts.rankformer.ffn[-1][2]
    torch.nn.init.normal_(last.weight, generator=torch.Generator().manual_seed(1))
    model.refresh()

    context = model.prompts.context
    own = changed_texts(model, context)
    plain = centred(model.towers.encode_text(ranks.sentences))
    assert torch.allclose(own, model.text_features(), atol=1e-5)
    unlearned = changed_texts(model, context[:0], refine=False)
    assert torch.allclose(unlearned, plain, atol=1e-5)
    assert not torch.allclose(own, plain, atol=1e-2)
