"""What the stages minimise: each arm's loss from its parts, terms that are left out, and who learns how fast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite import schemes
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.losses import (
    asymmetrical_contrastive_loss,
    contrastive_loss,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.schemes import Pictures, joint, ordinal_stage1, stage1, stage2
from l2rclip_lite.stages import train_stage

CHOSEN = torch.tensor([0, 1, 9, 11, 23, 8])


@pytest.fixture(scope="module")
def built(leaves: OrdinalDataset, small: Config) -> Callable[..., tuple[L2RCLIP, Pictures]]:
    """A model of the small config with other settings, and the pictures of the leaves."""

    def build(**settings: object) -> tuple[L2RCLIP, Pictures]:
        model = L2RCLIP.build(leaves.ranks, replace(small, augment=False, **settings))
        return model, Pictures.load(leaves, model, quiet=True)

    return build


def parts(model: L2RCLIP, pictures: Pictures) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Images, texts, targets, values and scale of the chosen batch."""
    with torch.no_grad():
        image = model.encode_bytes(pictures.pixels["train"][CHOSEN])
        target = pictures.targets["train"][CHOSEN]
        return image, model.prompts(), target, torch.arange(5.0), model.scale


def loss_of_stage1(model: L2RCLIP, pictures: Pictures) -> float:
    """Of the chosen batch, on cached features."""
    features = {split: model.features(pixels).clone() for split, pixels in pictures.pixels.items()}
    return float(stage1(model, features, pictures.targets["train"]).loss(CHOSEN, torch.Generator()).detach())


def test_plain_counts_both_directions_as_asymmetrical_does(
    built: Callable[..., tuple[L2RCLIP, Pictures]],
) -> None:
    """Twice CLIP's mean on batch-aligned texts, beside the same λ1·L_1; the batch repeats ranks, so it is larger."""
    model, pictures = built(contrastive="plain", lambda1=0.5)
    image, text, target, values, scale = parts(model, pictures)
    assert len(set(target.tolist())) < len(target)
    plain = 2 * contrastive_loss(image, text[target], scale)
    ordinal = ordinal_pairwise_loss_stage1(image, text[target], text[target], values[target])
    assert loss_of_stage1(model, pictures) == pytest.approx(float(plain + 0.5 * ordinal), rel=1e-5)
    assert plain > asymmetrical_contrastive_loss(image, text, target, scale)


def test_the_order_of_stage_1_by_hand() -> None:
    """Three perfect images at 0°, 60°, 120° of ranks 0, 1, 2: texts are 1, √3, 1 apart, text–text pushes count half.

    True: weights 0, ½, 0, L = −(3/2)·(√3/2)/3 = −√3/4. Blind: all 1, L = −(3/2)(2 + √3)/3 = −(2 + √3)/2.
    Shuffled: π = 1, 2, 0, so the pairs 01, 02, 12 have gaps 1, 1, 2 and weights 0, 0, ½: L = −(3/2)(½/3) = −¼.
    """
    angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0]))
    point = torch.stack([angle.cos(), angle.sin()], dim=1)
    expected = {"true": -math.sqrt(3) / 4, "blind": -(2 + math.sqrt(3)) / 2, "shuffled": -0.25}
    for order, value in expected.items():
        config = Config(order=order)  # type: ignore[arg-type]
        found = ordinal_stage1(config, point, point, torch.arange(3), torch.arange(3.0))
        assert float(found) == pytest.approx(value, abs=1e-5), order


def test_joint_training_minimises_the_sum(built: Callable[..., tuple[L2RCLIP, Pictures]]) -> None:
    """L_i2t + L_t2i + λ1·L_1 + λ2·L_cop on live images and live texts; every term reaches both sides."""
    model, pictures = built(scheme="joint", lambda1=0.5, lambda2=0.25)
    image, text, target, values, scale = parts(model, pictures)
    expected = asymmetrical_contrastive_loss(image, text, target, scale)
    expected += 0.5 * ordinal_pairwise_loss_stage1(image, text[target], text[target], values[target])
    expected += 0.25 * ordinal_pairwise_loss(image, text, target, values)
    stage = joint(model, pictures)
    assert stage.lr_option == "--lr1, --lr2", "what to lower if it blows up"
    loss = stage.loss(CHOSEN, torch.Generator())
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-5)
    loss.backward()
    prompts, tower = model.prompts.context, next(model.towers.get_submodule("image").parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (prompts, tower))


def test_a_lambda_of_0_leaves_its_term_out(
    built: Callable[..., tuple[L2RCLIP, Pictures]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A term that is not even computed can neither cost time nor make 0 · NaN; the rest is the contrastive loss."""

    def never(*args: object, **options: object) -> Tensor:
        raise AssertionError("computed")

    for name in ("ordinal_pairwise_loss", "ordinal_pairwise_loss_stage1"):
        monkeypatch.setattr(schemes, name, never)
    for scheme in ("two-stage", "joint"):
        model, pictures = built(scheme=scheme, lambda1=0.0, lambda2=0.0)
        image, text, target, _, scale = parts(model, pictures)
        both = float(asymmetrical_contrastive_loss(image, text, target, scale))
        if scheme == "joint":
            loss = joint(model, pictures).loss(CHOSEN, torch.Generator())
            assert float(loss.detach()) == pytest.approx(both, rel=1e-5)
            continue
        assert loss_of_stage1(model, pictures) == pytest.approx(both, rel=1e-5)
        entropy = float(F.cross_entropy(scale * image @ text.T, target))
        loss = stage2(model, pictures).loss(CHOSEN, torch.Generator())
        assert float(loss.detach()) == pytest.approx(entropy, rel=1e-5)


def test_joint_training_moves_each_side_at_its_own_rate(
    built: Callable[..., tuple[L2RCLIP, Pictures]], leaves: OrdinalDataset, tmp_path: Path
) -> None:
    """One epoch of one batch: Adam's first step is the learning rate, 0.003 for prompts and 0.001 for the tower.

    RankFormer's last layer starts at zero and hides the layers below it from the first gradient: they stay.
    """
    model, pictures = built(scheme="joint", epochs2=1, batch_size=40, warmup=0.0, weight_decay=0.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    targets = (pictures.targets["train"], pictures.targets["val"])
    train_stage(joint(model, pictures), targets, leaves.ranks, model.config, Checkpoint(tmp_path), quiet=True)
    moved = {name: float((p.detach() - before[name]).abs().max()) for name, p in model.named_parameters()}
    moved = {name: distance for name, distance in moved.items() if distance}
    assert {"prompts.context", "prompts.rankformer.alpha", "prompts.rankformer.ffn_layers.0.2.weight"} <= set(
        moved
    )
    assert any(name.startswith("towers.image.") for name in moved)
    for name, distance in moved.items():
        assert distance == pytest.approx(3e-3 if name.startswith("prompts.") else 1e-3, rel=0.05), name


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=9), seed=st.integers(0, 2**31))
def test_shuffling_the_order_is_renaming_the_ranks(labels: list[int], seed: int) -> None:
    """Any batch: the shuffled control is the true loss of a label space whose values stand in the shuffled order.

    With all ranks of equal value there is no order to shuffle, and only the tightness is left.
    """
    generator = torch.Generator().manual_seed(seed)
    image = F.normalize(torch.randn(len(labels), 6, generator=generator), dim=1)
    text, target = F.normalize(torch.randn(5, 6, generator=generator), dim=1), torch.tensor(labels)
    values = torch.arange(5.0)
    shuffled = ordinal_stage1(Config(order="shuffled"), image, text, target, values)
    renamed = ordinal_stage1(Config(), image, text, target, torch.tensor([2.0, 3.0, 1.0, 4.0, 0.0]))
    assert float(shuffled) == float(renamed)
    flat = ordinal_stage1(Config(order="shuffled"), image, text, target, torch.zeros(5))
    assert float(flat) == pytest.approx(float((image - text[target]).square().sum(1).mean() / 2), rel=1e-5)
