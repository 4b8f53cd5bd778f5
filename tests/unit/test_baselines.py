"""Every baseline: it learns, answers with a rank absent, and goes on after it was killed."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from l2rclip_lite.baselines import (
    ALIASES,
    BASELINES,
    check_baselines,
    losses,
    probes,
    registry,
    run_baseline,
    train_baseline,
)
from l2rclip_lite.baselines.registry import OBJECTIVES
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.protocols import hold_out
from l2rclip_lite.errors import InputError
from l2rclip_lite.heads.decoders import (
    coral_probabilities,
    corn_probabilities,
    normal_probabilities,
    survival_probabilities,
)
from l2rclip_lite.heads.kernel import RIDGES
from l2rclip_lite.method.losses import ranked_probability_loss
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stage import Stage

UNEVEN = Ranks(
    ("1930s", "1940s", "1970s"), (1930, 1940, 1970), "a photo from the {rank}", unit="years"
)


class Material(NamedTuple):
    """What a baseline starts from: an untrained model, and the data."""

    model: L2RCLIP
    data: TrainingData


@pytest.fixture(scope="module")
def lacking(leaves: OrdinalDataset, small: Config) -> Material:
    """Fresh towers, and leaves of which no training or validation image has the middle rank."""
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, replace(small, upside_down=True))
    return Material(model, TrainingData.load(hold_out(leaves), model))


def train(name: str, material: Material, folder: Path | None = None) -> Tensor:
    """Return the test probabilities of a baseline."""
    run = None
    if folder is not None:
        run = RunDirectory(folder)

    trained = train_baseline(name, material.model, material.data, run=run)
    return trained.probabilities(material.data.encode(trained, "test"))


# --- the registry -------------------------------------------------------------------------------


def test_a_loss_has_the_name_of_its_baseline() -> None:
    """But for four; two are added to cross-entropy, the others stand in its place."""
    expected = {
        "cross-entropy": F.cross_entropy,
        "coop": F.cross_entropy,
        "ordinalclip-inverse": losses.ordinalclip_loss,
        "rps": ranked_probability_loss,
    }
    for name in OBJECTIVES.keys() - expected.keys():
        expected[name] = getattr(losses, f"{name.replace('-', '_')}_loss")

    assert {name: row.loss for name, row in OBJECTIVES.items()} == expected
    assert {name for name, row in OBJECTIVES.items() if row.adds} == {"ordinal-entropy", "rps"}


# --- all of them --------------------------------------------------------------------------------


class Trained(NamedTuple):
    """A baseline, what it answers to the test images, and the weights that it began with."""

    name: str
    model: L2RCLIP
    answer: Tensor
    before: dict[str, Tensor]


@pytest.fixture(scope="module", params=BASELINES)
def trained(request: pytest.FixtureRequest, lacking: Material) -> Trained:
    """Each baseline in its turn."""
    before = {key: value.clone() for key, value in lacking.model.state_dict().items()}
    model = train_baseline(request.param, lacking.model, lacking.data)
    answer = model.probabilities(lacking.data.encode(model, "test"))
    return Trained(request.param, model, answer, before)


@pytest.mark.slow
def test_a_baseline_answers_with_a_rank_absent(trained: Trained) -> None:
    """Each of ten images gets five probabilities."""
    assert trained.answer.shape == (10, 5)
    assert (trained.answer >= 0).all()
    assert torch.allclose(trained.answer.sum(1).double(), torch.ones(10).double(), atol=1e-5)


@pytest.mark.slow
def test_the_model_that_a_baseline_begins_with_stays_as_it_was(
    trained: Trained, lacking: Material
) -> None:
    """The next baseline begins with it, too."""
    for key, value in lacking.model.state_dict().items():
        assert torch.equal(value, trained.before[key]), key


@pytest.mark.slow
def test_a_baseline_tunes_the_image_tower_only_if_its_name_says_so(trained: Trained) -> None:
    """And never the text tower."""
    changed = []
    for key, value in trained.model.towers.state_dict().items():
        if not torch.equal(value, trained.before[f"towers.{key}"]):
            changed.append(key)

    assert all(key.startswith("image.") for key in changed)
    assert bool(changed) == (trained.name in OBJECTIVES)


@pytest.mark.slow
def test_a_saved_baseline_answers_as_before(
    trained: Trained, lacking: Material, tmp_path: Path
) -> None:
    """To the images themselves."""
    trained.model.save_pretrained(tmp_path)
    loaded = L2RCLIP.from_pretrained(tmp_path)
    prediction = loaded.predict(lacking.data.images["test"])
    assert torch.allclose(prediction.probabilities, trained.answer, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coop-frozen", "ordinalclip", "supcon"])
def test_a_baseline_that_is_killed_after_an_epoch_goes_on_after_it(
    name: str, lacking: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step of that epoch is taken again, and it ends in the bits of a run that was let be."""
    whole = train(name, lacking, tmp_path / "whole")
    end_epoch = Stage.end_epoch
    take_step = Stage.step
    steps: list[tuple[int, int]] = []

    def end_and_die(self: Stage, probabilities: Tensor) -> None:
        end_epoch(self, probabilities)
        raise KeyboardInterrupt

    def record(self: Stage, loss: Tensor, rows: Tensor) -> None:
        steps.append((self.number, len(self.history)))
        take_step(self, loss, rows)

    monkeypatch.setattr(Stage, "step", record)
    with monkeypatch.context() as patch:
        patch.setattr(Stage, "end_epoch", end_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(name, lacking, tmp_path / "killed")
    (first_epoch,) = {*steps}
    steps.clear()

    assert torch.equal(train(name, lacking, tmp_path / "killed"), whole)
    assert steps
    assert first_epoch not in steps


def test_run_baseline_is_train_baseline_from_a_data_set(
    leaves: OrdinalDataset, small: Config
) -> None:
    """Built, encoded and trained in one call; flips turn leaves upside down, as in `fit`."""
    config = replace(small, upside_down=True)
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, config)
    expected = train("cross-entropy", Material(model, TrainingData.load(leaves, model)))
    assert torch.equal(run_baseline("cross-entropy", leaves, small), expected)


def test_contrastive_losses_see_two_views(
    lacking: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many rows as images in a batch, in the same order, each augmented on its own."""
    sizes: list[int] = []

    def check_views(features: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        first, second = features.chunk(2)
        assert torch.equal(*target.chunk(2))
        assert not torch.equal(first, second)
        sizes.append(len(target))
        return features.square().mean()

    objective = replace(OBJECTIVES["supcon"], loss=check_views)
    monkeypatch.setitem(registry.OBJECTIVES, "supcon", objective)
    train("supcon", lacking)
    assert max(sizes) == 32


# --- features on an arc -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arc(leaves: OrdinalDataset, small: Config) -> Material:
    """Features that walk half a turn from rank 0 to rank 4, with a little noise."""
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, replace(small, epochs1=12, lr1=0.03))
    generator = torch.Generator().manual_seed(0)

    targets = {}
    features = {}
    for split, count in (("train", 100), ("val", 20), ("test", 40)):
        targets[split] = torch.arange(count) % 5
        angle = targets[split] * torch.pi / 4
        point = F.pad(torch.stack([angle.cos(), angle.sin()], dim=1), (0, model.towers.dim - 2))
        noise = 0.02 * torch.randn(point.shape, generator=generator)
        features[split] = F.normalize(point + noise, dim=1)

    return Material(model, TrainingData(features, targets, features))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["linear-probe", "ridge", *(name for name in BASELINES if name.endswith("-frozen"))]
)
def test_a_frozen_baseline_learns_what_can_be_learned(
    name: str, arc: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every head learns the five ranks; the median rank is right one time in five, and 1.2 off."""
    # under a weaker ridge DLDL-v2, whose loss has edges, takes thousands of steps
    monkeypatch.setattr(probes, "RIDGES", RIDGES[:1])
    answer = train(name, arc).double()
    target = arc.data.targets["test"]

    hits = answer.argmax(1) == target
    errors = (answer @ torch.arange(5.0).double() - target).abs()
    assert float(hits.float().mean()) >= 0.9
    assert float(errors.mean()) < 0.7


def test_two_names_of_a_method_are_one_method(arc: Material) -> None:
    """Cross-entropy on frozen features is logistic regression; one name is listed nowhere."""
    assert ALIASES == {"cross-entropy-frozen": "linear-probe"}
    assert not ALIASES.keys() & {*BASELINES}
    check_baselines(["cross-entropy-frozen"])
    assert torch.equal(train("cross-entropy-frozen", arc), train("linear-probe", arc))


# --- what is refused before anything is trained -------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("svm", r"^baselines: 'svm' is unknown; choose from zero-shot, .*-frozen\.$"),
        ("linear_probe", "'linear_probe' is unknown; did you mean linear-probe"),
    ],
)
def test_an_unknown_baseline_is_refused(name: str, sentence: str) -> None:
    """With the nearest right name, or with all of them."""
    with pytest.raises(InputError, match=sentence):
        check_baselines([name])


def test_a_baseline_that_would_learn_nothing_is_refused() -> None:
    """It would answer at random. All suit the defaults; one with a start has learned before."""
    check_baselines(BASELINES, Config())
    check_baselines(["cross-entropy"], Config(epochs2=0, start="leaves-percent"))
    for name, config, cure in (
        ("ordinalclip-frozen", Config(epochs1=0), "in stage 1; set epochs1"),
        ("cross-entropy", Config(epochs2=0), "in stage 2; set epochs2"),
    ):
        with pytest.raises(InputError, match=f"{name} learns {cure}, or leave it out"):
            check_baselines([name, "ridge"], config)


def test_a_baseline_whose_library_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the pip command; others need none."""
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    check_baselines(["cross-entropy"])
    sentence = r"corn-frozen needs: pip install 'l2rclip-lite\[baselines\]'"
    with pytest.raises(InputError, match=sentence):
        check_baselines(["corn-frozen"])


# --- decoders -----------------------------------------------------------------------------------


def test_many_thresholds_take_no_memory_for_each_pair() -> None:
    """A survival that rises is cut to the least before it, in memory for a few of these tables."""
    survival = torch.rand(3, 300, generator=torch.Generator().manual_seed(0))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        rows = survival_probabilities(survival)

    falling = np.minimum.accumulate(survival.numpy(), axis=1)
    np.testing.assert_allclose(rows, -np.diff(falling, prepend=1, append=0), atol=1e-6)
    largest = max(event.self_cpu_memory_usage for event in record.events())
    assert largest < 20 * survival.nbytes


@given(
    numbers=st.lists(st.floats(1900, 2030), min_size=1, max_size=5),
    logits=st.lists(st.floats(-30, 30), min_size=6, max_size=6),
)
def test_every_row_is_a_distribution(numbers: list[float], logits: list[float]) -> None:
    """Rows sum to 1 and are nowhere negative."""
    distances = torch.tensor(numbers, dtype=torch.float64)[:, None] - UNEVEN.values_tensor()
    thresholds = torch.tensor(logits).view(2, 3)

    for rows in (
        normal_probabilities(distances / 7),
        coral_probabilities(thresholds),
        corn_probabilities(thresholds),
    ):
        assert (rows >= 0).all()
        assert torch.allclose(rows.sum(1), torch.ones(len(rows), dtype=rows.dtype))


@given(numbers=st.lists(st.floats(1900, 2030), min_size=1, max_size=5))
def test_a_number_becomes_a_normal_curve_around_the_nearest_rank(numbers: list[float]) -> None:
    """Of σ = 7 years, on the scale of the ranks; beyond its ends the number is moved to the end."""
    values = UNEVEN.values_tensor().double()
    predicted = torch.tensor(numbers, dtype=torch.float64)
    rows = normal_probabilities((predicted[:, None] - values) / 7)

    gap = (predicted.clamp(1930, 1970)[:, None] - values).abs()
    by_hand = (-0.5 * (gap / 7).square()).softmax(1)
    gap_of_mode = gap.gather(1, rows.argmax(1, keepdim=True))
    assert torch.allclose(rows, by_hand)
    assert torch.allclose(gap_of_mode, gap.min(1, keepdim=True).values)
