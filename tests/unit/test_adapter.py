"""Stage 2 on a frozen tower: what the adapter is, what moves, and that nothing of it leaks into a baseline."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from l2rclip_lite import stages
from l2rclip_lite.adapter import FeatureMap
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.stages import ADAPTER, freezing_table, trains
from l2rclip_lite.training import fit


def test_a_quarter_turn_by_hand() -> None:
    """W = [[0, −1], [1, 0]] turns (0.6, 0.8) to (−0.8, 0.6); 7 W gives the same, for features are unit vectors."""
    turn = FeatureMap(2)
    for factor in (1.0, 7.0):
        turn.weight.data = factor * torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        found = turn(torch.tensor([[0.6, 0.8]]))
        assert torch.allclose(found, torch.tensor([[-0.8, 0.6]]), atol=1e-6)


@given(st.lists(st.floats(-1, 1).filter(lambda x: abs(x) > 1e-2), min_size=4, max_size=4))
def test_it_starts_as_the_identity_of_unit_vectors(numbers: list[float]) -> None:
    """A unit vector comes back as it is, whatever it is."""
    unit = torch.nn.functional.normalize(torch.tensor([numbers]), dim=1)
    assert torch.allclose(FeatureMap(4)(unit), unit, atol=1e-6)


def test_only_the_adapter_moves_in_stage_2(leaves: OrdinalDataset, small: Config, tmp_path: Path) -> None:
    """Against a fresh model: prompts and text features moved in stage 1, the adapter in stage 2, no tower at all."""
    config = replace(small, image_side="adapter")
    before = L2RCLIP.build(leaves.ranks, config).state_dict()
    run = fit(leaves, config, tmp_path / "run", quiet=True)
    after = run.model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    prompts = {name for name, _ in run.model.named_parameters() if trains(name, 1)}
    assert changed == prompts | {"rank_features", "adapter.weight"}
    assert {name for name, _ in run.model.named_parameters() if trains(name, ADAPTER)} == {"adapter.weight"}
    table = freezing_table(run.model)
    assert "adapter.*" in table
    assert "trains" not in next(line for line in table.splitlines() if line.startswith("towers.image"))
    assert "adapter" not in freezing_table(L2RCLIP.build(leaves.ranks, small))


def test_a_saved_adapter_predicts_what_the_run_wrote(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """The loaded model maps features before it compares them: without the map the probabilities would be others."""
    run = fit(leaves, replace(small, image_side="adapter", lr2=0.05), tmp_path / "run", quiet=True)
    pictures = [leaves.test[i][0] for i in range(len(leaves.test))]
    found = L2RCLIP.load(run.out).predict(pictures)
    with (run.out / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, probabilities in zip(rows, found.probabilities.tolist(), strict=True):
        for rank, p in enumerate(probabilities):
            assert float(row[f"p_{rank}"]) == pytest.approx(p, abs=1e-5)
    bare = L2RCLIP.load(run.out)
    bare.adapter = FeatureMap(bare.towers.dim)
    assert (bare.predict(pictures).probabilities - found.probabilities).abs().max() > 1e-3


def test_a_run_that_was_stopped_ends_as_if_nothing_had_been(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in stage 1, in stage 2, and in the baseline: the same files, bit for bit."""
    config, beside = replace(small, image_side="adapter"), ("cross-entropy",)
    whole = fit(leaves, config, tmp_path / "whole", baselines=beside, quiet=True)
    real = stages._step
    for allowed in (4, 4, 4):  # of three steps an epoch: each life completes one epoch and dies in the next
        steps = iter(range(allowed))

        def step(*args: Any, steps: Iterator[int] = steps) -> float:
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(stages, "_step", step)
            with pytest.raises(KeyboardInterrupt):
                fit(leaves, config, tmp_path / "run", baselines=beside, quiet=True)
    fit(leaves, config, tmp_path / "run", baselines=beside, quiet=True)
    one, two = (load_file(out / "model.safetensors") for out in (tmp_path / "run", whole.out))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    for name in ("history.csv", "metrics.json", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole.out / name).read_bytes(), name


def test_a_baseline_starts_from_the_identity(leaves: OrdinalDataset, small: Config, tmp_path: Path) -> None:
    """Beside a run whose adapter went far, or one without stage 2: cross-entropy gives the same numbers."""
    config = replace(small, image_side="adapter", lr2=0.05)
    found = [
        fit(leaves, one, tmp_path / name, baselines=("cross-entropy", "supcon"), quiet=True)
        for name, one in (("far", config), ("plain loss", replace(config, lambda2=0.0)))
    ]
    assert found[0].metrics["test"] != found[1].metrics["test"]
    assert found[0].metrics["baselines"] == found[1].metrics["baselines"]
    assert math.isfinite(found[0].metrics["baselines"]["cross-entropy"]["mae"])


def test_joint_training_needs_the_tower() -> None:
    """One sentence that says which of the two settings to change."""
    with pytest.raises(InputError, match="image_side='tower', or scheme='two-stage'"):
        Config(scheme="joint", image_side="adapter")
