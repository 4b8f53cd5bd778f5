"""Failure signatures: each number by hand, what they refuse, their figures; and they fire on models broken on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_lite import signature_tensors, signatures
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.pixels import load_pixels
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.schemes import stage1
from l2rclip_lite.signature_plots import alignment_figure, drift_figure, order_figure, pairs_figure
from l2rclip_lite.signature_tensors import (
    context_ways,
    expected_ranks,
    gradient_shares,
    influence,
    margins,
    pair_gradients,
    starting_context,
    text_features,
)
from l2rclip_lite.signatures import ALIGNMENT, CONTEXT, ORDER, PAIRS, Signature, failure_signatures, table
from l2rclip_lite.stages import train_stage
from l2rclip_lite.towers import Towers

SIX = Ranks.integers(0, 5, template="grade {rank}")
TARGET = torch.tensor([0, 0, 1, 2, 3, 4, 5, 5, 5])


@pytest.fixture(scope="module")
def built(tiny: Towers) -> Callable[..., L2RCLIP]:
    """A tiny model of six ranks whose RankFormer no longer starts at zero."""

    def build(**settings: Any) -> L2RCLIP:
        model = L2RCLIP(
            tiny, SIX, Config(towers="tiny/random", heads=2, hidden=32, **({"batch_size": 16} | settings))
        )
        former = getattr(model.prompts, "rankformer", None)
        if former is not None:
            torch.nn.init.normal_(former.ffn_layers[-1][2].weight, generator=torch.Generator().manual_seed(1))
        model.refresh()
        return model

    return build


def images(model: L2RCLIP) -> Tensor:
    """Nine unit vectors."""
    drawn = torch.randn(len(TARGET), model.towers.dim, generator=torch.Generator().manual_seed(0))
    return F.normalize(drawn, dim=1)


def test_text_features_are_those_of_the_model(built: Callable[..., L2RCLIP]) -> None:
    """With nothing changed they are the model's own; without RankFormer and context, those of the bare sentences."""
    for centre in (True, False):
        model = built(centre=centre)
        assert torch.allclose(text_features(model), model.prompts().detach(), atol=1e-5)
        bare = built(centre=centre, context_length=0)
        assert torch.allclose(text_features(bare, refine=False), bare.prompts.template_features(), atol=1e-5)
        assert not torch.allclose(text_features(bare), text_features(bare, refine=False), atol=1e-3)


def test_who_moves_whom(built: Callable[..., L2RCLIP]) -> None:
    """Along the tokens of a sentence, or with α = 0, no other rank moves; along the ranks every other one does."""
    off = ~torch.eye(6, dtype=torch.bool)
    for settings in ({"axis": "token"}, {"alpha": 0.0}, {"rankformer": False}):
        apart = built(**settings)
        assert influence(apart)[off].max() < 1e-5
        assert signatures.mixing(apart).fires
    model = built(axis="rank")
    found = influence(model)
    assert torch.equal(found.diagonal(), torch.ones(6))
    assert found[off].min() > 1e-4
    assert torch.equal(influence(model, [4, 1]), found[[4, 1]])
    assert signatures.mixing(model).value == pytest.approx(float(found[off].mean()))
    assert not signatures.mixing(model).fires


def test_order_gained_by_hand(built: Callable[..., L2RCLIP], monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers 2, 1, 0 without and 0, 1, 2 with RankFormer: ρ goes from −1 to 1, so 2; no RankFormer, no gain."""
    without = built(rankformer=False)
    assert signatures.order_gained(without, images(without), TARGET).value == 0.0
    model, target = built(), torch.tensor([0, 1, 2])
    answer = torch.arange(3.0)
    monkeypatch.setattr(signatures, "expected_ranks", lambda *_, refine: answer if refine else answer.flip(0))
    assert signatures.order_gained(model, images(model)[:3], target).value == pytest.approx(2.0)


def test_expected_ranks_are_the_models(built: Callable[..., L2RCLIP]) -> None:
    """Probabilities times values, as the model itself answers; without RankFormer, from the texts without it."""
    model = built()
    expected = model.probabilities(images(model)) @ SIX.values_tensor()
    assert torch.allclose(expected_ranks(model, images(model)), expected, atol=1e-5)
    logits = model.scale.detach() * images(model) @ text_features(model, refine=False).T
    bare = logits.softmax(1) @ SIX.values_tensor()
    assert torch.allclose(expected_ranks(model, images(model), refine=False), bare, atol=1e-5)
    assert not torch.allclose(bare, expected, atol=1e-2)


def test_margins_by_hand() -> None:
    """Texts at 0°, 60°, 120°, an image at 0° of rank 0, 1 and 2, s = 2: own cosines 1, ½, −½, best others ½, 1, 1.

    The leads are ½, −½, −3⁄2, times 2 / log 3.
    """
    angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0]))
    text = torch.stack([angle.cos(), angle.sin()], dim=1)
    found = margins(text[[0, 0, 0]], text, torch.arange(3), scale=2.0)
    assert found.tolist() == pytest.approx([x / math.log(3) for x in (1.0, -1.0, -3.0)], abs=1e-6)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    scale=st.floats(0.1, 50),
    seed=st.integers(0, 2**31),
)
def test_a_margin_bounds_the_cross_entropy(labels: list[int], scale: float, seed: int) -> None:
    """CE ≥ −m · log K for every image: what makes −1 the threshold."""
    generator = torch.Generator().manual_seed(seed)
    image = F.normalize(torch.randn(len(labels), 6, generator=generator), dim=1)
    text, target = F.normalize(torch.randn(5, 6, generator=generator), dim=1), torch.tensor(labels)
    entropy = F.cross_entropy(scale * image @ text.T, target, reduction="none")
    lead = margins(image, text, target, scale)
    assert torch.all(entropy >= -lead * math.log(5) - 1e-4)
    assert torch.equal(lead > 0, (image @ text.T).argmax(1) == target)


def test_pair_gradients_by_hand() -> None:
    """Four images, two a rank, all cosines 0, s = 1, so every softmax over the batch is ¼.

    Plain, both directions: off the diagonal (¼ + ¼) / 4 = ⅛, on it (½ − 2) / 4 = −⅜. Asymmetrical: (½ − 1) / 4 from
    image to text, (¼ − ½) / 2 from text to image, −¼ a text, of which each of the two images of the rank has half;
    the other rank gets ½ / 4 + ¼ / 2 = ¼, so ⅛.
    """
    image, text, target = torch.eye(4)[[2, 2, 2, 2]], torch.eye(4)[:2], torch.tensor([0, 0, 1, 1])
    plain = pair_gradients(image, text, target, 1.0, plain=True)
    assert torch.allclose(plain, torch.full((4, 4), 1 / 8) - torch.eye(4) / 2)
    same = (target[:, None] == target).float()
    assert torch.allclose(pair_gradients(image, text, target, 1.0), (1 - 2 * same) / 8)


@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=9),
    scale=st.floats(0.1, 20),
    seed=st.integers(0, 2**31),
)
def test_the_plain_loss_pushes_every_pair_of_one_rank(labels: list[int], scale: float, seed: int) -> None:
    """Any batch: above 0 everywhere but on the diagonal, 0 in sum; the other loss pulls each rank's pairs in sum.

    Added up over the copies of a text, the plain gradient is that of the loss in the features themselves.
    """
    generator = torch.Generator().manual_seed(seed)
    image = F.normalize(torch.randn(len(labels), 6, generator=generator), dim=1)
    text, target = F.normalize(torch.randn(5, 6, generator=generator), dim=1), torch.tensor(labels)
    plain = pair_gradients(image, text, target, scale, plain=True)
    same = target[:, None] == target
    diagonal = torch.eye(len(labels), dtype=torch.bool)
    assert plain[~diagonal].min() >= 0
    assert plain[diagonal].max() <= 1e-6
    assert abs(float(plain.sum())) < 1e-3
    for rank in set(labels):
        assert pair_gradients(image, text, target, scale)[same & (target == rank)].sum() <= 1e-5
    leaf = text.clone().requires_grad_()
    (direct,) = torch.autograd.grad(2 * signature_tensors.contrastive_loss(image, leaf[target], scale), leaf)
    added = torch.zeros_like(text).index_add_(0, target, plain.T @ image)
    assert torch.allclose(added, direct, atol=1e-4)


def test_push_and_pull_of_a_model(built: Callable[..., L2RCLIP], monkeypatch: pytest.MonkeyPatch) -> None:
    """All cosines 0 in a batch of nine: plain pushes all of its 2 + 6 pairs (1 is the share of pairs i ≠ j).

    Each is pushed by 2/81, each of the nine pairs of an image with its own text pulled by 16/81: 8 · 2 / (9 · 16) = 1/9.
    """
    for contrastive, share, waste in (("plain", 1.0, 1 / 9), ("asymmetrical", 0.0, 0.0)):
        model = built(contrastive=contrastive)
        monkeypatch.setattr(signature_tensors, "text_features", lambda model: torch.zeros(6, 64))
        found = [
            sign(model, images(model), TARGET) for sign in (signatures.pushed_pairs, signatures.wasted_push)
        ]
        assert [sign.value for sign in found] == pytest.approx([share, waste], abs=1e-6)
        assert [sign.fires for sign in found] == [contrastive == "plain"] * 2
    alone = torch.tensor([0, 1, 2, 3])
    assert signatures.pushed_pairs(model, images(model)[:4], alone).value == 0.0, "no pair to push"


def test_share_of_a_gradient_by_hand() -> None:
    """At (1, 0) only the second coordinate lies along the sphere: 3 against 1, whatever the first one says."""
    leaf = torch.tensor([[1.0, 0.0]], requires_grad=True)
    x, y = leaf[0]
    assert signature_tensors._share(leaf, 3 * y + 100 * x, y - 7 * x) == pytest.approx(0.25)


def test_lambda_sets_the_odds(built: Callable[..., L2RCLIP]) -> None:
    """Share / (1 − share) grows as λ: tenfold λ1 on the texts, tenfold λ2 on the images; the larger share is the sign."""

    def odds(**settings: float) -> dict[str, float]:
        model = built(batch_size=4, **settings)
        shares = gradient_shares(model, images(model), TARGET)
        assert signatures.pairwise_share(model, images(model), TARGET).value == max(shares.values())
        return {name: share / (1 - share) for name, share in shares.items()}

    once, texts, pictures = odds(), odds(lambda1=10.0), odds(lambda2=10.0)
    assert texts == pytest.approx({"texts": 10 * once["texts"], "images": once["images"]}, rel=1e-3)
    assert pictures == pytest.approx({"texts": once["texts"], "images": 10 * once["images"]}, rel=1e-3)
    assert set(odds(lambda1=0.0, lambda2=0.0).values()) == {0.0}


def test_context_by_hand(built: Callable[..., L2RCLIP]) -> None:
    """Before training the drift is 0; three times its start is two lengths away; without context there is none."""
    model = built(seed=3)
    size = signatures.context_size(model).value
    words = model.prompts.template_embeddings[model.prompts.tokens.words].norm(dim=1).mean()
    assert size == pytest.approx(float((model.prompts.context.norm(dim=1).mean() / words).detach()))
    assert torch.equal(starting_context(model), model.prompts.context.detach())
    assert signatures.context_drift(model).value == 0.0
    with torch.no_grad():
        model.prompts.context.mul_(3)
    assert signatures.context_drift(model).value == pytest.approx(2.0, rel=1e-5)
    assert signatures.context_size(model).value == pytest.approx(3 * size, rel=1e-5)
    start, end = context_ways(model)
    assert torch.allclose(end, 3 * start, atol=1e-4), "straight on"
    none = built(context_length=0)
    assert (signatures.context_drift(none).value, signatures.context_size(none).value) == (0.0, 1.0)


def test_a_verdict_is_silent_on_the_threshold_and_fires_on_nan() -> None:
    """Above and below."""
    for above, values in ((True, (0.4, 0.5, 0.6)), (False, (0.6, 0.5, 0.4))):
        found = [Signature(PAIRS, "one", value, 0.5, above, "").fires for value in (*values, math.nan)]
        assert found == [False, False, True, True]


def test_all_signatures_and_their_table(built: Callable[..., L2RCLIP]) -> None:
    """Two a failure, each under the name of its function; the table says each verdict once."""
    model = built(contrastive="plain", axis="token")
    found = failure_signatures(model, images(model), TARGET)
    assert [sign.failure for sign in found] == [
        f for f in (ORDER, ALIGNMENT, CONTEXT, PAIRS) for _ in range(2)
    ]
    assert [sign.name for sign in found[:6:2]] == ["mixing", "own_text_margin", "context_drift"]
    for sign in found:
        make = getattr(signatures, sign.name)
        few = sign.name in ("mixing", "context_drift", "context_size")
        assert make(model) == sign if few else make(model, images(model), TARGET) == sign
    lines = table(found).splitlines()
    assert len(lines) == 1 + 4 + 8
    assert [line.split()[0] for line in lines if "FIRES" in line] == [
        sign.name for sign in found if sign.fires
    ]
    assert {"mixing", "pushed_pairs"} <= {sign.name for sign in found if sign.fires}


@pytest.mark.untyped
def test_what_is_refused(built: Callable[..., L2RCLIP]) -> None:
    """Models without sentences, images without order, targets of other images."""
    model = built()
    with pytest.raises(InputError, match="two ranks"):
        failure_signatures(model, images(model), torch.zeros_like(TARGET))
    with pytest.raises(InputError, match="same images"):
        signatures.own_text_margin(model, images(model)[:4], TARGET)
    random = built(prototypes="random", epochs1=0)
    with pytest.raises(InputError, match="random prototypes"):
        failure_signatures(random, images(random), TARGET)


@pytest.mark.parametrize("ranks", [6, 14])
def test_figures_say_the_numbers(ranks: int, built: Callable[..., L2RCLIP], tiny: Towers) -> None:
    """Each figure has a panel a model with the signature's value in its title, for few and for many ranks."""
    many = Ranks.integers(0, ranks - 1, template="grade {rank}")
    config = Config(towers="tiny/random", heads=2, hidden=32)
    models = {
        "one": L2RCLIP(tiny, many, config),
        "two": L2RCLIP(tiny, many, replace(config, contrastive="plain")),
    }
    features = images(models["one"])

    def titles(figure: Figure) -> str:
        figure.draw_without_rendering()
        return " ".join(axis.get_title("left") for axis in figure.axes)

    found = {sign.name: sign.value for sign in failure_signatures(models["two"], features, TARGET)}
    order = titles(order_figure(models, features, TARGET))
    assert f"mixing {found['mixing']:.1%}" in order
    assert f"order gained {found['order_gained']:+.2f}" in order
    assert f"two: mean margin {found['own_text_margin']:.2f}" in titles(
        alignment_figure(models, features, TARGET)
    )
    assert f"two: drift {found['context_drift']:.2f}" in titles(drift_figure(models))
    assert "two: 100% of same-rank" in titles(pairs_figure(models, features, TARGET))


def test_a_way_by_hand(built: Callable[..., L2RCLIP]) -> None:
    """From (4, 0, …) to (3, −5, …) in lengths of a word: 5 beside the start and 3 along it."""
    model = built(context_length=1)
    unit = signature_tensors.word_length(model)
    start = torch.zeros(1, 64)
    start[0, 0] = 4 * unit
    with torch.no_grad():
        model.prompts.context.zero_()[0, :2] = torch.tensor([3.0, -5.0]) * unit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signature_tensors, "starting_context", lambda model: start)
        first, last = context_ways(model)
    assert torch.allclose(torch.cat([first, last]), torch.tensor([[0.0, 4.0], [5.0, 3.0]]))


@pytest.mark.slow
def test_each_failure_is_told_from_health(tmp_path: Path) -> None:
    """On generated leaves with `mini`: silent on the default method; each broken model fires both signs of its failure.

    Measured (seed 0), healthy against broken: mixing 0.034, 0; order gained 0.52, 0; own-text margin −0.05, −1.75;
    pairwise share 0.10, 0.97; drift 0.04, 8.1; size 1.04, 8.5; pushed pairs 0.005, 1; wasted push 0.005, 0.35.
    A learning rate that is too high breaks RankFormer along with the context, so it may fire there, too.
    """
    data = load_dataset("leaves", size=300)
    config = Config(epochs1=10, batch_size=32, threads=1)
    model = L2RCLIP.build(data.ranks, config)
    features = {
        split: model.features(load_pixels(data.split(split), model.towers)) for split in ("train", "val")
    }
    features = {split: feature.clone() for split, feature in features.items()}
    train, val = (torch.tensor(data.split(split).targets) for split in ("train", "val"))

    def fired(name: str, **settings: Any) -> list[str]:
        run = replace(config, **settings)
        model = L2RCLIP.build(data.ranks, run)
        stage = stage1(model, features, train)
        train_stage(stage, (train, val), data.ranks, run, Checkpoint(tmp_path / name), quiet=True)
        return [sign.failure for sign in failure_signatures(model, features["train"], train) if sign.fires]

    assert fired("healthy") == []
    assert fired("order", alpha=0.0, learn_alpha=False, epochs1=2) == [ORDER, ORDER]
    assert fired("token", axis="token", epochs1=3) == [ORDER]
    assert fired("alignment", lambda1=1000.0, epochs1=3) == [ALIGNMENT, ALIGNMENT]
    drifted = fired("context", lr1=0.1, epochs1=2)
    assert [failure for failure in drifted if failure != ORDER] == [CONTEXT, CONTEXT]
    assert fired("pairs", contrastive="plain", epochs1=3) == [PAIRS, PAIRS]
