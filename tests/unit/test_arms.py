"""Whole runs of the ablation's arms: what joint training moves and keeps, and every arm with a rank held out."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from l2rclip_lite import stages
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.protocols import hold_out
from l2rclip_lite.schemes import Pictures, joint
from l2rclip_lite.stages import JOINT, train_stage, trains
from l2rclip_lite.training import fit

FILES = {"config.json", "history.csv", "metrics.json", "model.safetensors", "predictions.csv"}


def test_joint_training_moves_prompts_and_tower(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Compare every tensor before and after: what the freezing table's column says, and `rank_features`, the cached text."""
    model = L2RCLIP.build(leaves.ranks, small)
    pictures = Pictures.load(leaves, model, quiet=True)
    targets = (pictures.targets["train"], pictures.targets["val"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_stage(joint(model, pictures), targets, leaves.ranks, small, Checkpoint(tmp_path), quiet=True)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, _ in model.named_parameters() if trains(name, JOINT)} | {
        "rank_features"
    }


def test_joint_training_that_was_stopped_ends_as_if_nothing_had_been(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second step of each epoch (the 2nd, then the 5th of six): prompts, tower and all Adam groups go on."""
    config = replace(small, scheme="joint", projection_lr_factor=3.0)
    whole = fit(leaves, config, tmp_path / "whole", quiet=True)
    real = stages._step
    for allowed in (1, 4, 1):  # a new life begins with the first step of an epoch
        steps = iter(range(allowed))

        def step(*args: Any, steps: Iterator[int] = steps) -> float:
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(stages, "_step", step)
            with pytest.raises(KeyboardInterrupt):
                fit(leaves, config, tmp_path / "run", quiet=True)
    assert [path.name for path in (tmp_path / "run" / "checkpoint").iterdir()] == ["stage0.safetensors"]
    fit(leaves, config, tmp_path / "run", quiet=True)
    one, two = (load_file(out / "model.safetensors") for out in (tmp_path / "run", whole.out))
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    for name in ("history.csv", "metrics.json", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole.out / name).read_bytes(), name


def test_joint_training_keeps_the_texts_of_its_best_epoch(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch is judged better than the second: the cached texts are those of its prompts, not the last ones."""
    errors = iter((0.0, 1.0))

    def judged(*args: object) -> dict[str, float]:
        return dict.fromkeys(("val_mae", "val_mae_expected", "val_accuracy", "val_rps"), next(errors))

    monkeypatch.setattr(stages, "_judge", judged)
    model = fit(leaves, replace(small, scheme="joint"), tmp_path / "run", quiet=True).model
    assert torch.allclose(model.prompts(), model.rank_features, atol=1e-6)


# Arms of the ablation by their settings, as they stand on the command line; `SETTINGS` has the two other axes.
ARMS: dict[str, dict[str, Any]] = {
    "full": {},
    "without RankFormer": {"rankformer": False},
    "without context": {"context_length": 0},
    "without pairwise loss": {"lambda1": 0.0, "lambda2": 0.0},
    "plain contrastive loss": {"contrastive": "plain"},
    "order-blind": {"order": "blind"},
    "shuffled order": {"order": "shuffled"},
    "alpha fixed at 0": {"alpha": 0.0, "learn_alpha": False},
    "stage 1 only": {"epochs2": 0},
    "stage 2 only": {"epochs1": 0},
    "joint": {"scheme": "joint"},
    "shuffled prototypes": {"prototypes": "shuffled"},
    "random prototypes": {"prototypes": "random", "epochs1": 0},
    "joint, image tower alone": {
        "scheme": "joint",
        "rankformer": False,
        "context_length": 0,
        "order": "blind",
    },
    "joint, random prototypes": {"scheme": "joint", "prototypes": "random", "contrastive": "plain"},
}


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_trains_without_pictures_of_a_rank(
    arm: str, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Rank 2 is held out: each arm ends with finite figures, its two kinds of ranks apart, and is loaded as it was saved."""
    config = replace(small, **({"epochs1": 1, "epochs2": 1} | ARMS[arm]))
    found = fit(hold_out(leaves), config, tmp_path / "run", quiet=True)
    assert {path.name for path in found.out.iterdir()} == FILES
    two_stage = config.scheme == "two-stage"
    expected = [(1, 1)] * config.epochs1 + [(2, 1)] * config.epochs2 if two_stage else [(JOINT, 1)]
    assert [(row["stage"], row["epoch"]) for row in found.history] == expected
    assert all(value == value for row in found.history for value in row.values()), "no NaN"
    assert (found.metrics["test"]["n_seen"], found.metrics["test"]["n_unseen"]) == (8, 2)
    assert "mae_unseen" in found.metrics["baselines"]["median-rank"]
    assert not any("unseen" in name for name in found.metrics["val"])
    assert ("test_after_stage1" in found.metrics) == two_stage
    if config.epochs2 == 0:
        before = found.metrics["test_after_stage1"]
        assert {name: found.metrics["test"][name] for name in before} == before
    probabilities = found.model.predict(
        [leaves.test[index][0] for index in range(len(leaves.test))]
    ).probabilities
    with (found.out / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        stored = torch.tensor([[float(row[f"p_{k}"]) for k in range(5)] for row in csv.DictReader(stream)])
    assert torch.allclose(probabilities, stored, atol=2e-6)
    assert torch.allclose(found.model.prompts(), found.model.rank_features, atol=1e-6), (
        "the prompts that were kept"
    )
