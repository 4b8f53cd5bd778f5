"""Every baseline on sixty leaves or on features made by hand: it learns, lacks a rank, is killed, and says what it needs."""

import importlib.util
from dataclasses import replace
from pathlib import Path

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
    registry,
    run_baseline,
    train_baseline,
)
from l2rclip_lite.baselines.losses import coral_loss
from l2rclip_lite.baselines.probes import bare_sentences
from l2rclip_lite.baselines.prompts import InterpolatedPrompts, PromptHead, interpolation_weights
from l2rclip_lite.baselines.registry import OBJECTIVES
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.protocols import hold_out
from l2rclip_lite.errors import InputError
from l2rclip_lite.kernel import fit_linear_heads
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import coral_probabilities, corn_probabilities, normal_probabilities
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.run_directory import RunDirectory
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stage import Stage

UNEVEN = Ranks(
    ("1930s", "1940s", "1970s"), (1930, 1940, 1970), "a photo from the {rank}", unit="years"
)
FIVE = Ranks(
    ("no", "very low", "low", "high", "very high"), (0, 1, 2, 3, 4), "a leaf with {rank} damage"
)


@pytest.fixture(scope="module")
def lacking(leaves: OrdinalDataset, small: Config) -> tuple[L2RCLIP, TrainingData]:
    """Fresh towers, and leaves of which no training or validation image has the middle rank."""
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, replace(small, upside_down=True))
    return model, TrainingData.load(hold_out(leaves), model)


def train(name: str, lacking: tuple[L2RCLIP, TrainingData], folder: Path | None = None) -> Tensor:
    """Test probabilities of a baseline."""
    found = train_baseline(name, *lacking, run=RunDirectory(folder) if folder else None)
    return found.probabilities(lacking[1].encode(found, "test"))


# --- all of them ----------------------------------------------------------------------------------------


def test_the_table_is_whole() -> None:
    """Numbers leave room for the frozen form, and cross-entropy keeps 3, the first one after the two stages."""
    numbers = [row.number for row in OBJECTIVES.values()]
    assert len({number + form for number in numbers for form in (0, 1)}) == 2 * len(numbers)
    assert min(numbers) == OBJECTIVES["cross-entropy"].number == 3
    assert len(set(BASELINES)) == len(BASELINES) == 4 + 2 * 13 - 3 - len(ALIASES)
    named = {name: row.loss.__name__ for name, row in OBJECTIVES.items()}
    others = {
        "cross-entropy": "cross_entropy",
        "coop": "cross_entropy",
        "ordinalclip-inverse": "ordinalclip_loss",
    }
    others["rps"] = "ranked_probability_loss"
    assert named == {name: f"{name.replace('-', '_')}_loss" for name in OBJECTIVES} | others
    assert {name for name, row in OBJECTIVES.items() if row.adds} == {"ordinal-entropy", "rps"}


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_answers_with_a_rank_absent_and_leaves_no_trace(
    name: str,
    lacking: tuple[L2RCLIP, TrainingData],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """K probabilities per image; the image tower trains if and only if the name says so, and is another one.

    It is a model like any other: saved, loaded and asked for the images themselves it gives the same answers.
    """
    learned: list[str] = []
    monkeypatch.setattr(
        Stage,
        "step",
        lambda self, loss, rows: learned.extend(self.parameters) or STEP(self, loss, rows),
    )
    before = {key: value.clone() for key, value in lacking[0].state_dict().items()}
    found = train_baseline(name, *lacking)
    answer = found.probabilities(lacking[1].encode(found, "test"))
    found.save_pretrained(tmp_path)
    again = L2RCLIP.from_pretrained(tmp_path).predict(lacking[1].images["test"])
    assert torch.allclose(again.probabilities, answer, atol=1e-5)
    assert answer.shape == (10, 5)
    assert (answer >= 0).all()
    assert torch.allclose(answer.sum(1).double(), torch.ones(10).double(), atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in lacking[0].state_dict().items())
    tuned = {key for key in learned if key.startswith("towers.")}
    assert all(key.startswith("towers.image.") for key in tuned)
    assert bool(tuned) == (name in OBJECTIVES)


STEP = Stage.step


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coop-frozen", "ordinalclip", "supcon"])
def test_killed_after_an_epoch_it_ends_the_same(
    name: str,
    lacking: tuple[L2RCLIP, TrainingData],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
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
    """Built, encoded and trained in one call, in the same way; flips turn leaves upside down, as in `fit`."""
    config = replace(small, upside_down=True)
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, config)
    expected = train("cross-entropy", (model, TrainingData.load(leaves, model)))
    assert torch.equal(run_baseline("cross-entropy", leaves, small), expected)


def test_contrastive_losses_see_two_views(
    lacking: tuple[L2RCLIP, TrainingData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many rows as images in a batch, in the same order, each augmented on its own."""
    rows: list[int] = []

    def spy(features: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        rows.append(len(target))
        assert torch.equal(*target.chunk(2))
        assert not torch.equal(*features.chunk(2))
        return features.square().mean()

    changed = replace(OBJECTIVES["supcon"], loss=spy)
    monkeypatch.setitem(registry.OBJECTIVES, "supcon", changed)
    train("supcon", lacking)
    assert max(rows) == 32


def arc(small: Config, leaves: OrdinalDataset) -> tuple[L2RCLIP, TrainingData]:
    """Features that walk half a turn from rank 0 to rank 4 with a little noise; nothing a probe could not learn."""
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, replace(small, epochs1=12, lr1=0.03))
    generator = torch.Generator().manual_seed(0)
    targets = {
        split: torch.arange(n) % 5 for split, n in (("train", 100), ("val", 20), ("test", 40))
    }

    def walk(target: Tensor) -> Tensor:
        angle = target * torch.pi / 4
        point = F.pad(torch.stack([angle.cos(), angle.sin()], dim=1), (0, model.towers.dim - 2))
        return F.normalize(point + 0.02 * torch.randn(point.shape, generator=generator), dim=1)

    features = {split: walk(target) for split, target in targets.items()}
    return model, TrainingData(features, targets, features)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["linear-probe", "ridge", *(name for name in BASELINES if name.endswith("-frozen"))]
)
def test_learns_what_can_be_learned(name: str, leaves: OrdinalDataset, small: Config) -> None:
    """Every head learns the five ranks on the arc; the median rank is right one time in five and 1.2 off."""
    model, data = arc(small, leaves)
    answer, target = train(name, (model, data)), data.targets["test"]
    assert float((answer.argmax(1) == target).float().mean()) >= 0.9
    assert float((answer.double() @ torch.arange(5.0).double() - target).abs().mean()) < 0.7


def test_two_names_of_a_method_are_one_method(leaves: OrdinalDataset, small: Config) -> None:
    """Cross-entropy on frozen features is logistic regression; the alias is accepted, and listed nowhere."""
    trained = arc(small, leaves)
    assert ALIASES == {"cross-entropy-frozen": "linear-probe"}
    assert not ALIASES.keys() & {*BASELINES}
    check_baselines(["cross-entropy-frozen"])
    assert torch.equal(train("cross-entropy-frozen", trained), train("linear-probe", trained))


def test_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name, a library that is missing, CoOp with no context: each one sentence that says the fix."""
    check_baselines(BASELINES, Config())
    with pytest.raises(
        InputError, match=r"^baselines: 'svm' is unknown; choose from zero-shot, .*-frozen\.$"
    ):
        check_baselines(["svm"])
    with pytest.raises(InputError, match="'linear_probe' is unknown; did you mean linear-probe"):
        check_baselines(["linear_probe"])
    with pytest.raises(InputError, match="coop-frozen learns the context; set context_length"):
        check_baselines(["ordinalclip", "coop-frozen"], Config(context_length=0))
    monkeypatch.setattr(
        registry, "find_spec", lambda name: importlib.util.find_spec("no_such_library")
    )
    with pytest.raises(
        InputError, match=r"corn-frozen needs: pip install 'l2rclip-lite\[baselines\]'"
    ):
        check_baselines(["corn-frozen"])
    check_baselines(["cross-entropy"])


# --- decoders -------------------------------------------------------------------------------------------


@given(
    numbers=st.lists(st.floats(1900, 2030), min_size=1, max_size=5),
    logits=st.lists(st.floats(-30, 30), min_size=6, max_size=6),
)
def test_every_row_is_a_distribution(numbers: list[float], logits: list[float]) -> None:
    """Rows sum to 1 and are nowhere negative; the mode of a number's row is the nearest rank."""
    values, predicted = UNEVEN.values_tensor().double(), torch.tensor(numbers, dtype=torch.float64)
    rows, clipped = (
        normal_probabilities((predicted[:, None] - values) / 7),
        predicted.clamp(1930, 1970),
    )
    by_hand = (-0.5 * ((values - clipped[:, None]) / 7).square()).softmax(1)
    assert torch.allclose(rows, by_hand)
    gap = (clipped[:, None] - values).abs()
    assert torch.allclose(
        gap.gather(1, rows.argmax(1, keepdim=True)), gap.min(1, keepdim=True).values
    )
    thresholds = torch.tensor(logits).view(2, 3)
    for answer in (rows, coral_probabilities(thresholds), corn_probabilities(thresholds)):
        assert (answer >= 0).all()
        assert torch.allclose(answer.sum(1), torch.ones(len(answer), dtype=answer.dtype))


# --- probes ---------------------------------------------------------------------------------------------


def test_zero_shot_reads_the_bare_sentences(leaves: OrdinalDataset, small: Config) -> None:
    """Raw, or centred, as the config says: the mean of the five texts moved to the origin.

    Whatever the prompts have learned plays no part.
    """
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, small)
    text = model.towers.encode_text(leaves.ranks.sentences)
    expected = {False: F.normalize(text - text.mean(0), dim=1), True: text}
    torch.nn.init.ones_(model.prompts.context)
    for raw, known in expected.items():
        assert torch.allclose(bare_sentences(model, raw=raw), known, atol=1e-5)


def test_coral_of_two_ranks_is_logistic_regression() -> None:
    """Against scikit-learn, with one threshold: weights and bias are apart, as the mask says.

    With two ranks CORAL is -mean log σ(±f): C = 1 / (λ B), with the bias penalised as a weight of the constant 3.
    """
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(40) % 2
    z = torch.randn(40, 3, generator=generator) + target[:, None]
    mask = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    (head,) = fit_linear_heads(z, target, torch.ones(1, 2), coral_loss, [0.1], mask)
    x = (z - z.mean(0)).double()
    x = torch.cat([3 * x / x.norm(dim=1).mean(), torch.full((40, 1), 3.0).double()], 1).numpy()
    other = LogisticRegression(C=1 / (0.1 * 40), fit_intercept=False, tol=1e-8).fit(
        x, target.numpy()
    )
    assert head(z).sigmoid().numpy()[:, 0] == pytest.approx(other.predict_proba(x)[:, 1], abs=1e-4)


# --- CoOp and OrdinalCLIP -------------------------------------------------------------------------------


def test_interpolation_by_hand() -> None:
    """Five ranks, base ranks at 0, 2 and 4, inverse distances.

    Rank 0: 1/ε, ½, ¼, nearly 1, 0, 0; rank 1: 1, 1, ⅓ over 2⅓. A single base rank is every rank.
    """
    inverse = interpolation_weights(5, 3, "inverse")
    assert inverse[:2].flatten().tolist() == pytest.approx([1, 0, 0, 3 / 7, 3 / 7, 1 / 7], abs=1e-4)
    assert interpolation_weights(4, 1).tolist() == [[1], [1], [1], [1]]


@pytest.mark.parametrize("base_ranks", [1, 3, 9])
def test_the_sentence_holds_the_blend(tiny: Towers, base_ranks: int) -> None:
    """Fewer, as many and more base ranks than ranks: all sentences are equal but for one vector, the blended one.

    "very low" has two tokens and "low" one; here each rank has one, so no sentence is longer than another.
    """
    prompts = InterpolatedPrompts(tiny, FIVE, base_ranks=base_ranks, context_length=2, seed=3)
    assert prompts.base.shape == (min(base_ranks, 5), tiny.width)
    words, slots = prompts.embeddings(), prompts.prompt_tokens.rank_words
    assert slots.sum(1).tolist() == [1] * 5
    assert torch.equal(words[slots], prompts.weights @ prompts.base)
    assert torch.equal(words[~slots].view(5, -1)[1:], words[~slots].view(5, -1)[:-1])
    rows = torch.cat(
        [prompts.context, prompts.base]
    )  # one seed for both: equal rows would be one vector
    assert (torch.corrcoef(rows) - torch.eye(len(rows))).abs().max() < 0.7


@pytest.mark.parametrize(
    ("kind", "learned"), [(RankPrompts, {"context"}), (InterpolatedPrompts, {"context", "base"})]
)
def test_what_learns_and_what_is_fixed(
    tiny: Towers, kind: type[RankPrompts], learned: set[str]
) -> None:
    """Gradients reach context and base ranks; the fixed head gives the same logits and has nothing to train."""
    for parameter in tiny.parameters():
        parameter.requires_grad_(False)
    model = L2RCLIP(tiny, FIVE, Config(heads=2))
    head = PromptHead(model, kind, **({"rankformer": False} if kind is RankPrompts else {}))
    images = torch.eye(3, tiny.dim)
    logits = head(images)
    torch.autograd.backward(logits.square().sum())
    moved = {
        name for name, p in head.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }
    assert moved == {f"prompts.{name}" for name in learned}
    assert torch.allclose(head.fixed()(images), logits)
    assert not any(parameter.requires_grad for parameter in head.fixed().parameters())
