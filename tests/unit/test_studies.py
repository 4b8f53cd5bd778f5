"""Rows of a study: the figures of `fit`, no trace of another arm, unseen ranks apart."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from studies import Arm, Study, image_features

from l2rclip_lite.baselines import run_baseline
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training import fit

pytestmark = pytest.mark.untyped  # of so many small trainings the type checks take half of the time
WORDS = {"epochs1": 0, "context_length": 0, "controls": {"rankformer": False, "kernel": "text"}}
ARMS = (
    Arm("full"),
    Arm("shuffled weight", settings={"controls": {"order": "shuffled"}}),
    Arm("words", settings=WORDS),
    Arm("coop", "coop-frozen"),
    Arm("ridge", "ridge"),
)
METRICS = ("mae", "mae_expected", "accuracy", "rps", "qwk")


@pytest.fixture
def config(small: Config) -> Config:
    """A frozen tower and a kernel head that trusts the text."""
    return replace(small, image_side="kernel", controls={"kernel": "text"})


@pytest.fixture
def towers() -> Towers:
    """Towers of this test alone: some arms train them."""
    return load_towers("tiny/random")


def timeless(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without its seconds, and without its images."""
    return {name: value for name, value in row.items() if name not in ("seconds", "images")}


def test_rows_are_what_fit_measures(
    leaves: OrdinalDataset, towers: Towers, config: Config, tmp_path: Path
) -> None:
    """Of L2RCLIP and a baseline: these train from images, a study from features by path."""
    run = fit(leaves, config, tmp_path / "run", quiet=True)
    answers = run_baseline("coop-frozen", leaves, config)
    expected = {
        "L2RCLIP": run.metrics["test"],
        "coop": evaluate(answers, torch.tensor(leaves.test.targets), leaves.ranks),
    }

    study = Study(leaves, towers, config, image_features(leaves, towers))
    for row in study.rows([Arm("L2RCLIP"), Arm("coop", "coop-frozen")]):
        arm = row["arm"]
        for metric in METRICS:
            assert row[metric] == pytest.approx(expected[arm][metric], abs=1e-5), (arm, metric)


def test_arms_leave_no_trace(leaves: OrdinalDataset, towers: Towers, config: Config) -> None:
    """Alone, or in one order or the other: the same rows."""
    features = image_features(leaves, towers)

    def rows_of(arms: Sequence[Arm]) -> list[dict[str, Any]]:
        study = Study(leaves, towers, config, features)
        return [timeless(row) for row in study.rows(arms)]

    forward = rows_of(ARMS)
    backward = rows_of(ARMS[::-1])
    alone = []
    for arm in ARMS:
        alone += rows_of([arm])

    assert forward == backward[::-1] == alone
    assert len({str({**row, "arm": ""}) for row in alone}) == len(ARMS), "two arms are one"


def test_an_arm_with_rates_is_a_row_at_each_and_one_more_where_both_fail(
    leaves: OrdinalDataset, towers: Towers, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So small a rate leaves the tower where it was, no better than a constant answer."""
    study = Study(leaves, towers, small, image_features(leaves, towers))
    arm = Arm("learned", "learned-prototypes", rates=[1e-8, 2e-8])

    failed = [timeless(row) for row in study.rows([arm])]
    names = [row["arm"] for row in failed]
    assert names == ["learned, 1e-08", "learned, 2e-08", "learned, 2.5e-09"]

    monkeypatch.setattr("studies.FAILED", 2)  # now none has
    assert [timeless(row) for row in study.rows([arm])] == failed[:2]


def test_another_fold_of_the_same_images_needs_no_other_file(
    leaves: OrdinalDataset, towers: Towers, tmp_path: Path
) -> None:
    """Features are kept in the order of their paths."""
    for fold in (leaves, replace(leaves, train=leaves.test, test=leaves.train)):
        image_features(fold, towers, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
