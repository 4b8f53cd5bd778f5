"""Which model is kept: the tuned tower, or a head on the untrained one that is as good."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from l2rclip_lite import fit
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.image_side import KERNEL, LINEAR, TUNED
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.open_clip import OpenClipTowers
from l2rclip_lite.training import train_image_side
from l2rclip_lite.training_data import TrainingData

RANKS = Ranks(("dark", "grey", "bright"), (0, 1, 2), template="a {rank} square")


class StoppedError(Exception):
    """What stops a run."""


@pytest.fixture
def squares() -> OrdinalDataset:
    """Squares whose brightness is the rank: a head sees it on any tower."""
    splits = []
    for size in (30, 24, 12):
        squares = []
        for index in range(size):
            rank = index % 3
            square = Image.new("RGB", (16, 16), (80 * rank + index,) * 3)
            squares.append((square, rank))
        splits.append(squares)
    return OrdinalDataset.from_datasets(splits, RANKS)


@pytest.fixture
def careful(small: Config) -> Config:
    """Settings that keep the best."""
    return replace(small, keep="best")


@pytest.mark.parametrize("failed", [False, True])
def test_the_rate_is_the_one_that_validates_best(
    failed: bool, squares: OrdinalDataset, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as if that rate had been set, with stage 1 as it was; where all fail, one is lower."""
    monkeypatch.setattr(OpenClipTowers, "image_lrs", (1e-6, 1e-3))
    frequencies_rps = 0.0 if failed else math.inf
    monkeypatch.setattr(TrainingData, "frequencies_rps", lambda data, model: frequencies_rps)

    rows: list[dict[str, float]] = []

    def trained(lr2: float | None) -> tuple[L2RCLIP, list[dict[str, float]]]:
        model = L2RCLIP.build(squares.ranks, replace(small, lr2=lr2, epochs1=None))
        data = TrainingData.load(squares, model)
        return model, train_image_side(model, data, on_epoch=rows.append)[0]

    chosen, history = trained(None)
    all_rows = rows.copy()
    alone = {lr: trained(lr) for lr in (1e-6, 1e-3, 2.5e-7)}
    rates = (1e-6, 1e-3, 2.5e-7)[: 3 if failed else 2]
    assert all_rows == [row for lr in rates for row in alone[lr][1]]

    best = min(rates, key=lambda lr: alone[lr][1][-1]["val_rps"])
    assert history == alone[best][1]
    for name, value in alone[best][0].state_dict().items():
        assert torch.equal(value, chosen.state_dict()[name]), name


def test_a_tower_that_lost_is_not_kept(squares: OrdinalDataset, careful: Config) -> None:
    """At so low a rate a tower learns nothing, and a head on the untrained one something."""
    model = L2RCLIP.build(squares.ranks, replace(careful, lr2=1e-6, epochs1=None))
    untrained = {name: value.clone() for name, value in model.towers.image.state_dict().items()}
    epochs1 = model.config.stage1_epochs()

    _, comparison = train_image_side(model, TrainingData.load(squares, model))

    assert comparison is not None
    assert comparison.kept in (LINEAR, KERNEL)
    assert comparison.rps[comparison.kept] < comparison.rps[TUNED]
    assert model.head is not None
    assert model.config.stage1_epochs() == epochs1  # that of a baseline's prompts, too
    for name, value in model.towers.image.state_dict().items():
        assert torch.equal(untrained[name], value), name


def test_a_run_that_was_stopped_keeps_the_same(
    squares: OrdinalDataset, careful: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The untrained tower is that of the first start, whenever the run goes on; a card says it."""
    epochs = 2 + 2 + 1  # of stage 1, of the first rate, of the second

    def stop(row: dict[str, float]) -> None:
        nonlocal epochs
        epochs -= 1
        if epochs == 0:
            raise StoppedError

    monkeypatch.setattr(OpenClipTowers, "image_lrs", (1e-6, 2e-6))
    config = replace(careful, lr2=None)
    run = fit(squares, config, tmp_path / "calm", quiet=True)
    with pytest.raises(StoppedError):
        fit(squares, config, tmp_path / "stopped", quiet=True, on_epoch=stop)
    fit(squares, config, tmp_path / "stopped", quiet=True)

    for name in ("model.safetensors", "predictions.csv", "README.md"):
        assert (tmp_path / "calm" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()

    comparison = run.metrics["comparison"]
    assert run.metrics["val"]["rps"] == pytest.approx(comparison["rps"][comparison["kept"]])
    assert f"**Kept:** the {comparison['kept']}" in (run.out / "README.md").read_text()
