"""Every baseline: it learns, answers with a rank absent, and goes on after it was killed."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from l2rclip_lite.baselines import (
    ALIASES,
    BASELINES,
    check_baselines,
    probes,
    registry,
    run_baseline,
    train_baseline,
)
from l2rclip_lite.baselines.losses import coral_loss
from l2rclip_lite.baselines.probes import bare_sentences
from l2rclip_lite.baselines.registry import OBJECTIVES
from l2rclip_lite.baselines.training import frozen_head
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.protocols import hold_out
from l2rclip_lite.errors import InputError
from l2rclip_lite.kernel import RIDGES, fit_linear_heads
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import coral_probabilities, corn_probabilities, normal_probabilities
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.run_directory import RunDirectory
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


def test_every_objective_has_two_numbers_of_its_own() -> None:
    """One tuned, one frozen; cross-entropy keeps 3, the first one after the two stages."""
    numbers = [row.number for row in OBJECTIVES.values()]
    taken = {*numbers, *(number + 1 for number in numbers)}
    assert len(taken) == 2 * len(numbers)
    assert min(numbers) == OBJECTIVES["cross-entropy"].number == 3


def test_a_loss_has_the_name_of_its_baseline() -> None:
    """But for four; two are added to cross-entropy, the others stand in its place."""
    expected = {name: f"{name.replace('-', '_')}_loss" for name in OBJECTIVES}
    expected["cross-entropy"] = "cross_entropy"
    expected["coop"] = "cross_entropy"
    expected["ordinalclip-inverse"] = "ordinalclip_loss"
    expected["rps"] = "ranked_probability_loss"

    assert {name: row.loss.__name__ for name, row in OBJECTIVES.items()} == expected
    assert {name for name, row in OBJECTIVES.items() if row.adds} >= {"ordinal-entropy", "rps"}


# --- all of them --------------------------------------------------------------------------------


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the parameters that a step has changed."""
    names: set[str] = set()
    take_step = Stage.step

    def record(self: Stage, loss: Tensor, rows: Tensor) -> None:
        names.update(self.parameters)
        take_step(self, loss, rows)

    monkeypatch.setattr(Stage, "step", record)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_answers_with_a_rank_absent_and_leaves_no_trace(
    name: str, lacking: Material, learned: set[str], tmp_path: Path
) -> None:
    """K probabilities per image; the tower trains only if the name says so, and is another one.

    Saved and loaded, the baseline gives the same answers to the images themselves.
    """
    before = {key: value.clone() for key, value in lacking.model.state_dict().items()}

    trained = train_baseline(name, lacking.model, lacking.data)
    answer = trained.probabilities(lacking.data.encode(trained, "test"))

    assert answer.shape == (10, 5)
    assert (answer >= 0).all()
    assert torch.allclose(answer.sum(1).double(), torch.ones(10).double(), atol=1e-5)

    for key, value in lacking.model.state_dict().items():
        assert torch.equal(value, before[key]), key
    tuned = {key for key in learned if key.startswith("towers.")}
    assert all(key.startswith("towers.image.") for key in tuned)
    assert bool(tuned) == (name in OBJECTIVES)

    trained.save_pretrained(tmp_path)
    loaded = L2RCLIP.from_pretrained(tmp_path)
    prediction = loaded.predict(lacking.data.images["test"])
    assert torch.allclose(prediction.probabilities, answer, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coop-frozen", "ordinalclip", "supcon"])
def test_a_baseline_that_is_killed_after_an_epoch_ends_the_same(
    name: str, lacking: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a second run from nothing gives the same bits."""
    whole = train(name, lacking, tmp_path / "whole")
    end_epoch = Stage.end_epoch

    def end_and_die(self: Stage, probabilities: Tensor) -> None:
        end_epoch(self, probabilities)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "end_epoch", end_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(name, lacking, tmp_path / "killed")

    assert torch.equal(train(name, lacking, tmp_path / "killed"), whole)


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


# --- probes -------------------------------------------------------------------------------------


def test_zero_shot_reads_the_bare_sentences(leaves: OrdinalDataset, small: Config) -> None:
    """Raw, or centred: the mean of the five texts moved to the origin.

    Whatever the prompts have learned plays no part.
    """
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, small)
    torch.nn.init.ones_(model.prompts.context)

    raw = model.towers.encode_text(leaves.ranks.sentences)
    centred = F.normalize(raw - raw.mean(0), dim=1)
    assert torch.allclose(bare_sentences(model, raw=True), raw, atol=1e-5)
    assert torch.allclose(bare_sentences(model, raw=False), centred, atol=1e-5)


FOUR = Ranks.integers(0, 3, template="grade {rank}")
STEPS = torch.arange(4)
LINE = F.pad(STEPS[:, None].float(), (0, 1))  # rank k is at (k, 0)


def both(train: object, val: object) -> dict[str, Tensor]:
    """Return tensors of both splits."""
    return {"train": torch.as_tensor(train), "val": torch.as_tensor(val)}


@pytest.mark.parametrize(
    ("train", "targets", "val", "expected"),
    [
        # the ends lead along the ranks, but those between them stray sideways: covariance
        # −1.5 (0, 0) − 0.5 (1, 6) + 0.5 (2, −6) + 1.5 (3, 0) = (5, −6)
        ([[0, 0], [1, 6], [2, -6], [3, 0]], STEPS, LINE, (3, 0)),
        # the only image of the highest rank strays by 2, and the covariance follows it less:
        # −0.2 · 3 (1, 0) + 0.8 · 3 (2, 0) + 1.8 (3, 2) = (9.6, 3.6), around the mean value of 1.2
        (
            [[0, 0], [1, 0], [2, 0], [0, 0], [1, 0], [2, 0], [0, 0], [1, 0], [2, 0], [3, 2]],
            [0, 1, 2, 0, 1, 2, 0, 1, 2, 3],
            torch.cat([LINE + torch.tensor([0, 3]), LINE - torch.tensor([0, 3])]),
            (9.6, 3.6),
        ),
    ],
    ids=["ends", "covariance"],
)
def test_the_rank_axis_is_one_of_two_directions(
    train: list[list[float]], targets: list[int], val: Tensor, expected: tuple[float, float]
) -> None:
    """From end to end, or the covariance with the values: what validation images like better."""
    features = both(torch.tensor(train).float(), val.float())
    head = probes.rank_axis(features, both(targets, STEPS.repeat(len(val) // 4)), FOUR)

    direction = F.normalize(torch.tensor(expected).float(), dim=0)
    length = head.weight[:-1].norm(dim=0)
    assert torch.allclose(head.weight[:-1], direction[:, None] * length, atol=1e-4)
    assert torch.allclose(length, length[0])  # one slope for all thresholds


def test_on_a_single_feature_the_rank_axis_is_coral() -> None:
    """Which is fitted elsewhere, with the loss of coral-pytorch; the highest rank is the lowest."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(60) % 3
    features = torch.randn(60, 1, generator=generator) - target[:, None] + 100
    split = both(features, features)
    targets = both(target, target)

    data = TrainingData(split, targets, split)
    expected = frozen_head(OBJECTIVES["coral"], data, UNEVEN)
    answer = probes.rank_axis(split, targets, UNEVEN)
    assert torch.allclose(answer(features), expected(features), atol=1e-3)


def test_coral_of_two_ranks_is_logistic_regression() -> None:
    """Against scikit-learn, with one threshold: weights and bias are apart, as the mask says.

    With two ranks CORAL is −mean log σ(±f): C = 1 / (λ B), with the bias penalised as a weight of
    the constant 3.
    """
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(40) % 2
    z = torch.randn(40, 3, generator=generator) + target[:, None]
    mask = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    (head,) = fit_linear_heads(z, target, torch.ones(1, 2), coral_loss, [0.1], mask)

    centred = (z - z.mean(0)).double()
    scaled = 3 * centred / centred.norm(dim=1).mean()
    x = torch.cat([scaled, torch.full((40, 1), 3.0).double()], dim=1).numpy()
    oracle = LogisticRegression(C=1 / (0.1 * 40), fit_intercept=False, tol=1e-8)
    expected = oracle.fit(x, target.numpy()).predict_proba(x)[:, 1]

    assert head(z).sigmoid().numpy()[:, 0] == pytest.approx(expected, abs=1e-4)
