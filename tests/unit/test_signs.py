"""Signs of failure: each number by hand, and what a model must have for it."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from l2rclip_book import signs
from l2rclip_lite.config import Config
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers

SIX = Ranks.integers(0, 5, template="grade {rank}")
SMALL = Config(towers="tiny/random", heads=2, hidden=32, alpha=0.5)


def test_stage_1_gains_the_order_of_its_sentences_minus_that_of_the_templates(
    tiny: Towers,
) -> None:
    """Spearman's ρ of rank gap and cosine distance, by SciPy, of both.

    The RankFormer has learned something, if nothing useful. Texts with nothing changed are those of
    the model, and with nothing learned the plain sentences.
    """
    model = L2RCLIP(tiny, SIX, SMALL)
    assert model.prompts is not None
    assert model.prompts.rankformer is not None
    last = model.prompts.rankformer.ffn[-1][2]
    torch.nn.init.normal_(last.weight, generator=torch.Generator().manual_seed(1))
    model.refresh()

    own = signs.changed_texts(model)
    plain = centred(model.towers.encode_text(SIX.sentences))
    assert torch.allclose(own, model.text_features(), atol=1e-5)
    assert torch.allclose(signs.template_features(model), plain, atol=1e-5)

    gaps = pdist(np.arange(6.0)[:, None])
    orders = []
    for text in (own, plain):
        distances = pdist(text.detach().double().numpy(), "cosine")
        orders.append(spearmanr(gaps, distances).statistic)
    assert signs.order_gained(model) == pytest.approx(orders[0] - orders[1])
    assert orders[0] != orders[1]
