"""Rows of a study: they are what `fit` measures, and no arm leaves a trace in the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F

from l2rclip_lite import ordinal_losses
from l2rclip_lite.choices import OrdinalLoss
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.evidence import Arm, Study, image_features, reworded
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.schemes import loss_stage2
from l2rclip_lite.towers import Towers, load_towers
from l2rclip_lite.training import fit

ARMS = (
    Arm("full"),
    Arm("no pairwise loss, stage 2", settings={"lambda2": 0.0}),
    Arm("no pairwise loss, stage 1", settings={"lambda1": 0.0}),
    Arm("random", settings={"prototypes": "random", "epochs1": 0}),
    Arm("cross-entropy", "cross-entropy"),
    Arm("coop", "coop"),
    Arm("ridge", "ridge"),
)


@pytest.fixture
def config(small: Config) -> Config:
    """A frozen tower and an adapter that moves visibly."""
    return replace(small, image_side="adapter", lr2=0.02, threads=1)


@pytest.fixture
def towers() -> Towers:
    """Towers of this test alone: some arms train them."""
    return load_towers("tiny/random")


def figures(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what a clock says."""
    return {name: value for name, value in row.items() if name != "seconds"}


def test_rows_are_what_fit_measures(
    leaves: OrdinalDataset, towers: Towers, config: Config, tmp_path: Path
) -> None:
    """L2RCLIP and two baselines, trained by `fit` from pictures and by `Study` from features by path."""
    run = fit(leaves, config, tmp_path / "run", baselines=("cross-entropy", "coop"), quiet=True)
    study = Study(leaves, towers, config, image_features(leaves, towers))
    arms = (Arm("L2RCLIP"), Arm("cross-entropy", "cross-entropy"), Arm("coop", "coop"))
    for row, expected in zip(
        study.rows(arms), (run.metrics["test"], *list(run.metrics["baselines"].values())[1:]), strict=True
    ):
        for name in ("mae", "mae_expected", "accuracy", "rps", "qwk"):
            assert row[name] == pytest.approx(expected[name], abs=1e-5), (row["arm"], name)
    assert list(run.metrics["baselines"])[1:] == ["cross-entropy", "coop"]


def test_arms_leave_no_trace(leaves: OrdinalDataset, towers: Towers, config: Config) -> None:
    """Each arm alone, all in one order, all in the other: the same rows, though arms share stage 1 where they can."""
    features = image_features(leaves, towers)
    forward = [figures(row) for row in Study(leaves, towers, config, features).rows(ARMS)]
    backward = [figures(row) for row in Study(leaves, towers, config, features).rows(ARMS[::-1])]
    alone = [figures(row) for arm in ARMS for row in Study(leaves, towers, config, features).rows([arm])]
    assert forward == backward[::-1] == alone
    assert len({str({**row, "arm": ""}) for row in alone}) == len(ARMS), "two arms are one"


def test_tuned_towers_go_back_to_their_start(leaves: OrdinalDataset, towers: Towers, config: Config) -> None:
    """With `image_side="tower"` each arm moves the tower that they share: the second time gives the same row."""
    tuned = replace(config, image_side="tower", lr2=1e-3, epochs2=1)
    study = Study(leaves, towers, tuned, image_features(leaves, towers))
    first, _, again = (figures(row) for row in study.rows([Arm("full"), Arm("sord", "sord"), Arm("full")]))
    assert first == again
    assert first["image_side"] == "tower"


def test_what_moves_on_the_image_side(leaves: OrdinalDataset, towers: Towers, config: Config) -> None:
    """The column tells a head, an adapter and a run without stage 2 apart; the order of the texts is there for ours only."""
    study = Study(leaves, towers, config, image_features(leaves, towers))
    arms = [Arm("full"), Arm("one", settings={"epochs2": 0}), Arm("sord", "sord"), Arm("head", "sord-frozen")]
    rows = list(study.rows([*arms, Arm("median-rank", "median-rank")], {"few_shot": 4}))
    assert [row["image_side"] for row in rows] == ["adapter", "none", "adapter", "none", "none"]
    assert {row["n_train"] for row in rows} == {20}
    assert ["text_gap" in row for row in rows] == [True, True, False, False, False]


def test_features_are_kept_and_checked(leaves: OrdinalDataset, towers: Towers, tmp_path: Path) -> None:
    """From a file the same vectors; a file of other pictures, or half a file, is refused with its name."""
    file = tmp_path / "features.safetensors"
    fresh, kept = image_features(leaves, towers, file), image_features(leaves, towers, file)
    assert fresh.keys() == kept.keys() == {p for s in ("train", "val", "test") for p in leaves.split(s).paths}
    assert all(torch.equal(fresh[path], kept[path]) for path in fresh)
    model = L2RCLIP(towers, leaves.ranks, Config(towers="tiny/random", heads=2))
    whole = torch.stack([fresh[path] for path in leaves.test.paths])
    from l2rclip_lite.pixels import load_pixels

    assert torch.allclose(whole, model.features(load_pixels(leaves.test, towers)), atol=1e-6)
    with pytest.raises(InputError, match=r"features\.safetensors: holds features of other pictures"):
        image_features(load_dataset("leaves", size=90, pixels=64), towers, file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"features\.safetensors: damaged"):
        image_features(leaves, towers, file)


@pytest.mark.parametrize("kind", [kind for kind in get_args(OrdinalLoss) if kind != "pairwise"])
def test_another_loss_in_the_place_of_the_pairwise_one(
    kind: Any, leaves: OrdinalDataset, towers: Towers, config: Config
) -> None:
    """Stage 2's loss is CE + λ2 · other, put together here from the published functions; λ2 = 0 leaves only CE."""
    model = L2RCLIP(towers, leaves.ranks, replace(config, ordinal_loss=kind, lambda2=0.5))
    image = F.normalize(torch.randn(6, towers.dim, generator=torch.Generator().manual_seed(0)), dim=1)
    target = torch.tensor([0, 1, 2, 3, 4, 2])
    position = ordinal_losses.positions(leaves.ranks.values_tensor())
    logits = model.logits(image)
    ce = F.cross_entropy(logits, target)
    other = {
        "ordinal-entropy": lambda: ordinal_losses.ordinal_entropy_loss(image, target, position),
        "supcon": lambda: ordinal_losses.supcon_loss(image, target, model.scale),
        "rank-n-contrast": lambda: ordinal_losses.rank_n_contrast_loss(image, position[target]),
        "sord": lambda: ordinal_losses.sord_loss(logits, target),
        "mean-variance": lambda: ordinal_losses.mean_variance_loss(logits, target, position) - ce,
    }[kind]()
    assert loss_stage2(model, image, target).item() == pytest.approx((ce + 0.5 * other).item(), rel=1e-5)
    model.config = replace(model.config, lambda2=0.0)
    assert loss_stage2(model, image, target).item() == pytest.approx(ce.item(), rel=1e-6)


def test_conditions() -> None:
    """Other words keep the values; an unknown way to name ranks is refused."""
    leaves = load_dataset("leaves", ranks=20, size=60)
    digits = reworded(leaves, names="digits", rebin=5)
    assert digits.ranks.sentences[0] == "a photo of a leaf with 0 to 9 damage"
    assert reworded(leaves, template="{rank}").ranks.sentences[1] == "three percent"
    assert reworded(leaves) is leaves
    with pytest.raises(InputError, match="names: 'roman' is unknown"):
        reworded(leaves, names="roman")
