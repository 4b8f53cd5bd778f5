"""Every baseline on sixty leaves or on features made by hand: it learns, lacks a rank, is killed, and says what it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite import ordinal_losses
from l2rclip_lite.baselines import Bench, check_baselines, run_baseline
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.choices import BASELINES, FROZEN, TRAINED
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.objectives import OBJECTIVES
from l2rclip_lite.training import Pictures


@pytest.fixture(scope="module")
def make(leaves: OrdinalDataset, small: Config) -> Callable[..., Bench]:
    """A bench of fresh towers, trained on leaves of all ranks but the middle one."""
    model = L2RCLIP.build(leaves.ranks, small)
    pictures = Pictures.load(leaves, model, quiet=True)
    known = pictures.targets["train"] != 2
    pixels = pictures.pixels | {"train": pictures.pixels["train"][known]}
    targets = pictures.targets | {"train": pictures.targets["train"][known]}
    features = {split: model.features(part).clone() for split, part in pixels.items()}
    start = {name: value.clone() for name, value in model.state_dict().items()}

    def fresh(folder: Path) -> Bench:
        model.load_state_dict(start)
        model.zero_grad(set_to_none=True)
        return Bench(model, pixels, features, targets, Checkpoint(folder), quiet=True)

    return fresh


def test_the_table_is_whole() -> None:
    """Every trained name has a row; numbers leave room for the frozen form, and cross-entropy keeps 3, its first one."""
    assert tuple(OBJECTIVES) == TRAINED
    numbers = [row.number for row in OBJECTIVES.values()]
    assert len({number + form for number in numbers for form in (0, 1)}) == 2 * len(numbers)
    assert min(numbers) == OBJECTIVES["cross-entropy"].number == 3
    assert len(set(BASELINES)) == len(BASELINES) == 4 + 2 * 12


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_answers_with_a_rank_absent_and_moves_only_what_it_may(
    name: str, make: Callable[..., Bench], tmp_path: Path
) -> None:
    """K probabilities a picture; the image tower moves if and only if the name says so, the text tower never does.

    Nor does the text tower collect a gradient that nobody asked for, through which prompts learn.
    """
    bench = make(tmp_path)
    before = {key: value.clone() for key, value in bench.model.state_dict().items()}
    found = run_baseline(name, bench)
    assert found.shape == (10, 5)
    assert (found >= 0).all()
    assert torch.allclose(found.sum(1).double(), torch.ones(10).double(), atol=1e-5)
    moved = {key for key, value in bench.model.state_dict().items() if not torch.equal(value, before[key])}
    assert all(key.startswith("towers.image.") for key in moved)
    assert bool(moved) == (name in TRAINED)
    assert all(p.grad is None for key, p in bench.model.towers.named_parameters() if key.startswith("text."))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["coral-frozen", "ordinal-entropy-frozen", "supcon-frozen", "ordinalclip-frozen", "supcon", "coop"],
)
def test_killed_after_its_first_epoch_it_ends_the_same(
    name: str, make: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a second run from nothing gives the same bits."""
    whole = run_baseline(name, make(tmp_path / "whole"))
    save = Checkpoint.save

    def save_and_die(*args: object) -> None:
        save(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            run_baseline(name, make(tmp_path / "killed"))
    assert torch.equal(run_baseline(name, make(tmp_path / "killed")), whole)


def test_coop_goes_on_from_its_frozen_form(make: Callable[..., Bench], tmp_path: Path) -> None:
    """The same stage of the same number: trained once for both, and it changes nothing whether it was there before."""
    alone = run_baseline("coop", make(tmp_path / "alone"))
    assert (tmp_path / "alone" / "stage22.safetensors").is_file()
    frozen = run_baseline("coop-frozen", make(tmp_path / "both"))
    text = tmp_path / "both" / "stage22.safetensors"
    written = text.stat().st_mtime_ns
    assert torch.equal(run_baseline("coop", make(tmp_path / "both")), alone)
    assert text.stat().st_mtime_ns == written
    assert not torch.equal(frozen, alone)


def test_contrastive_losses_see_two_views(
    make: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of 16, 16 and the rest: twice as many rows where the tower trains on augmented pictures, else as many."""
    rows: list[int] = []

    def spy(features: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        rows.append(len(target))
        assert torch.equal(target, target[: len(target) // 2].repeat(2)) == (len(features) == 32)
        return features.square().mean()

    monkeypatch.setattr(ordinal_losses, "supcon_loss", spy)
    run_baseline("supcon", make(tmp_path / "tower"))
    run_baseline("supcon-frozen", make(tmp_path / "head"))
    assert max(rows[: len(rows) // 2]) == 32
    assert max(rows[len(rows) // 2 :]) == 16


@pytest.mark.parametrize(("name", "option"), [("cross-entropy", "--lr2"), ("cross-entropy-frozen", "--lr1")])
def test_numbers_that_run_away_name_the_right_option(
    name: str, option: str, make: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no --lr3: a baseline has the learning rate of the stage whose budget it has."""
    values = iter((1.0, torch.nan))
    monkeypatch.setattr(F, "cross_entropy", lambda outputs, target: outputs.sum() * next(values))
    said = rf"^{name}, epoch 1, step 2 of 2: the loss is nan on picture .* learning rate \({option}, now "
    with pytest.raises(TrainingError, match=said):
        run_baseline(name, make(tmp_path))


def arc(small: Config, leaves: OrdinalDataset, folder: Path) -> Bench:
    """Features that walk half a turn from rank 0 to rank 4 with a little noise; nothing a probe could not learn."""
    model = L2RCLIP.build(leaves.ranks, replace(small, epochs1=12, lr1=0.03))
    generator = torch.Generator().manual_seed(0)
    targets = {split: torch.arange(n) % 5 for split, n in (("train", 100), ("val", 20), ("test", 40))}

    def walk(target: Tensor) -> Tensor:
        angle = target * torch.pi / 4
        plane = torch.stack([angle.cos(), angle.sin()], dim=1)
        point = F.pad(plane, (0, model.towers.dim - 2))
        return F.normalize(point + 0.02 * torch.randn(point.shape, generator=generator), dim=1)

    features = {split: walk(target) for split, target in targets.items()}
    return Bench(model, {}, features, targets, Checkpoint(folder), quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear-probe", "ridge", *(name + FROZEN for name in TRAINED)])
def test_learns_what_can_be_learned(name: str, leaves: OrdinalDataset, small: Config, tmp_path: Path) -> None:
    """Every head finds the five ranks on the arc; the median rank is right one time in five and 1.2 off."""
    bench = arc(small, leaves, tmp_path)
    found, target = run_baseline(name, bench), bench.targets["test"]
    right = float((found.argmax(1) == target).float().mean())
    off = float((found.double() @ torch.arange(5.0).double() - target).abs().mean())
    assert right >= 0.9
    assert off < 0.7


def test_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name, a library that is missing, CoOp with no context: each one sentence that says the fix."""
    check_baselines(BASELINES, Config())
    with pytest.raises(
        InputError, match=r"^baselines: 'svm' is unknown; choose from zero-shot, .*-frozen\.$"
    ):
        check_baselines(["svm"])
    with pytest.raises(InputError, match="coop-frozen learns the context; set context_length"):
        check_baselines(["ordinalclip", "coop-frozen"], Config(context_length=0))
    monkeypatch.setitem(sys.modules, "coral_pytorch", None)
    with pytest.raises(InputError, match="coral-pytorch is not installed; run: pip install"):
        check_baselines(["corn-frozen"])
    check_baselines(["cross-entropy"])
