"""The model card: the figures of the run, and nothing of the machine it was trained on."""

from dataclasses import replace

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.runs.results import model_card

SCORES = {"n": 10.0, "accuracy": 0.4, "mae_median": 0.52, "qwk": 0.6, "rps": 0.3, "ece": 0.1}
METRICS = {
    "test": SCORES | {"mae_median_low": 0.4, "mae_median_high": 0.64},
    "test_after_stage1": SCORES | {"mae_median": 0.8},
    "median_rank": SCORES,
}


def test_the_card_describes_run_and_data_without_a_path(
    leaves: OrdinalDataset, small: Config
) -> None:
    """Scores with intervals where there are any, counts, sentences, limits, what is missing."""
    model = L2RCLIP.build(leaves.ranks, small, 64)
    model.temperature.fill_(1.75)
    rows = [row for row, target in enumerate(leaves.train.targets) if target != 2]
    data = replace(
        leaves, train=leaves.train.subset(rows), allow_empty_ranks=True, missing=("a.jpg",)
    )
    comparison = {"kept": "linear probe", "rps": {"linear probe": 0.25}}
    assert "alike in training:** each image." in model_card(model, data, METRICS)
    model.config = replace(model.config, balance=True)
    card = model_card(model, data, METRICS | {"comparison": comparison})
    for part in (
        "| linear probe | 0.30 | 0.52 [0.40, 0.64] | 0.40 | 0.60 | 0.10 |",
        "| after stage 1 | 0.30 | 0.80 | 0.40 | 0.60 | 0.10 |",
        "**Ranks, lowest first:** no, very low, low, high, very high (unit: grade)",
        "- ranks     5, no to very high; as in 'a photo of a leaf with no damage'",
        "- train     32 images; per rank: 8, 8, 0, 8, 8",
        "10 test images, 1 listed images missing.",
        "at temperature 1.75, fitted on 10 validation images.",
        "**Kept:** the linear probe, ",
        "**Weighs alike in training:** each rank, however rare.",
    ):
        assert part in card
    assert "/" not in card.replace("tiny/random", "")


def test_names_of_ranks_are_no_html(leaves: OrdinalDataset, small: Config) -> None:
    """Whoever shows the card runs no script, follows no link and loads no image of a data set."""
    strange = ("<script>x()</script>", "![x](//host/x.png)", "`c`", "mild & moderate", "{braces}")
    ranks = replace(leaves.ranks, names=strange, template="a <b>{rank} leaf", unit="<i>grade")
    model = L2RCLIP.build(ranks, small, 64)
    card = model_card(model, replace(leaves, ranks=ranks, protocol=("of <img src=x>",)), METRICS)
    assert "<" not in card
    assert "(unit: &lt;i>grade)" in card
    assert "as in 'a &lt;b>&lt;script>x()&lt;/script> leaf'" in card
    names = "&lt;script>x()&lt;/script>, !\\[x](//host/x.png), \\`c\\`, mild & moderate, {braces}"
    assert f"**Ranks, lowest first:** {names} (unit: &lt;i>grade)" in card
