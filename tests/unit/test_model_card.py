"""The card says what the run says, and nothing about the machine it was trained on."""

from dataclasses import replace

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.results import model_card


def test_the_card_repeats_the_metrics(leaves: OrdinalDataset, small: Config) -> None:
    """Scores with intervals, the rows beside them, counts, one sentence per rank, temperature, limits, no path."""
    model = L2RCLIP.build(leaves.ranks, small, 64)
    scores = {"n": 10.0, "accuracy": 0.4, "mae_median": 0.52, "qwk": 0.6, "rps": 0.3, "ece": 0.1}
    tested = scores | {"mae_median_low": 0.4, "mae_median_high": 0.64}
    metrics = {
        "test": tested,
        "test_after_stage1": scores | {"mae_median": 0.8},
        "median_rank": scores,
    }
    card = model_card(model, leaves, metrics, purpose="grading leaves")
    assert "| L2RCLIP | 0.30 | 0.52 [0.40, 0.64] | 0.40 | 0.60 | 0.10 |" in card
    assert "| after stage 1 | 0.30 | 0.80 | 0.40 | 0.60 | 0.10 |" in card
    assert "**Made for:** grading leaves" in card
    assert "- very low: “a photo of a leaf with very low damage”" in card
    assert "- train 40 [8, 8, 8, 8, 8]" in card
    assert "10 test images, 0 listed images missing; ranks without a training image: none." in card
    assert "at temperature 1.00" in card
    assert "/" not in card.replace("tiny/random", "")
    model.temperature.fill_(1.75)
    few = leaves.train.subset(
        [row for row, target in enumerate(leaves.train.targets) if target != 2]
    )
    gap = replace(
        leaves, train=few, allow_empty_ranks=True, missing=("a.jpg",), protocol=("drawn by hand",)
    )
    card = model_card(model, gap, metrics)
    assert "at temperature 1.75" in card
    assert "1 listed images missing; ranks without a training image: low." in card
    assert "- drawn by hand" in card


def test_names_of_ranks_are_no_html(leaves: OrdinalDataset, small: Config) -> None:
    """Whoever shows the card runs no script, follows no link and loads no image of a data set."""
    strange = ("<script>x()</script>", "![x](//host/x.png)", "`c`", "mild & moderate", "over_ripe")
    ranks = replace(leaves.ranks, names=strange, template="a <b>{rank} leaf", unit="<i>grade")
    model = L2RCLIP.build(ranks, small, 64)
    scores = {"n": 10.0, "accuracy": 0.4, "mae_median": 0.5, "qwk": 0.6, "rps": 0.3, "ece": 0.1}
    metrics = {"test": scores, "test_after_stage1": scores, "median_rank": scores}
    card = model_card(model, replace(leaves, ranks=ranks, protocol=("of <img src=x>",)), metrics)
    assert "<" not in card
    assert "(unit: &lt;i>grade)" in card
    assert "- &lt;script>x()&lt;/script>: “a &lt;b>&lt;script>x()&lt;/script> leaf”" in card
    assert "- !\\[x](//host/x.png): " in card
    assert "- \\`c\\`: " in card
    assert "- mild & moderate: " in card
    assert "- over_ripe: " in card
