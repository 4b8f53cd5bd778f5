"""Runs in which numbers run away: what is said, what is kept, and that a repaired run goes on as if nothing had been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from l2rclip_lite import schemes
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import Split
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.training import fit


def test_a_run_that_is_repaired_goes_on_as_if_nothing_had_been(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage 2's loss is infinite in the fifth of six steps: the pictures are named, and epoch 1 is not trained again."""
    out, calls, real = tmp_path / "run", [], schemes.loss_stage2

    def breaks(model: L2RCLIP, image: Tensor, target: Tensor) -> Tensor:
        calls.append(1)
        return real(model, image, target) * (float("inf") if len(calls) == 5 else 1)

    monkeypatch.setattr(schemes, "loss_stage2", breaks)
    with pytest.raises(TrainingError) as stopped:
        fit(leaves, small, out, quiet=True)
    said = str(stopped.value)
    assert said.startswith("stage 2, epoch 2, step 2 of 3: the loss is inf on leaves/train/")
    assert f" and 13 more; epoch 1 is kept in {out / 'checkpoint' / 'stage2.safetensors'}; " in said
    assert said.endswith("use a smaller learning rate (--lr2, now 0.001) with a new --out.")
    calls[:] = [0] * 9  # repaired
    whole = fit(leaves, small, tmp_path / "whole", quiet=True)
    del calls[9:]
    found = fit(leaves, small, out, quiet=True)
    assert len(calls) == 9 + 3, "only epoch 2 was trained"
    assert (found.history, found.metrics) == (whole.history, whole.metrics)


def test_weights_that_make_no_numbers_are_blamed_before_anything_is_trained(
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A NaN in the tower shows in every feature, and no learning rate would help."""
    real = L2RCLIP.build

    def damaged(*given: Any) -> L2RCLIP:
        model = real(*given)
        with torch.no_grad():
            next(iter(model.towers.image.parameters())).view(-1)[0] = float("nan")
        return model

    monkeypatch.setattr(L2RCLIP, "build", damaged)
    with pytest.raises(
        TrainingError, match=r"^the untrained towers 'tiny/random' make no finite features of leaves/train/"
    ):
        fit(leaves, small, tmp_path / "run", quiet=True)
    half = replace(small, precision="bf16")
    with pytest.raises(
        TrainingError, match=r" and 37 more; use --precision fp32 with a new --out, or get other"
    ):
        fit(leaves, half, tmp_path / "half", quiet=True)


def test_one_label_and_one_picture(leaves: OrdinalDataset, small: Config, tmp_path: Path) -> None:
    """One training picture, one to validate, one to test: every figure is a number, of the probe's constant answer too."""
    one = replace(
        leaves,
        train=leaves.train[:1],
        val=leaves.val[1:2],
        test=leaves.test[2:3],
        allow_empty_ranks=True,
    )
    shown = one.train.targets[0]
    found = fit(
        one, small, tmp_path / "run", baselines=["linear-probe", "supcon-frozen", "ridge"], quiet=True
    )
    rows = [found.metrics["test"], *found.metrics["baselines"].values()]
    assert all(torch.tensor(list(row.values())).isfinite().all() for row in rows)
    for name in ("linear-probe", "supcon-frozen"):
        assert found.metrics["baselines"][name]["mae"] == abs(shown - one.test.targets[0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_a_deviation_that_is_no_number_stops_before_the_training(leaves: OrdinalDataset, bad: float) -> None:
    """It is used when all is trained; it is refused when the data is read."""
    part = leaves.test
    test = Split(part.paths, part.targets, part._read, deviations=[1.0, bad] + [0.0] * (len(part) - 2))
    with pytest.raises(InputError, match=rf"{part.paths[1]} has the deviation {bad}; give a finite number"):
        replace(leaves, test=test)
