"""What trains when, the schedule, and the loop: best epoch, resume, and a loss that is no number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from l2rclip_lite.checkpoint import Checkpoint, read_tensors
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import save_tensors
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.stages import (
    JOINT,
    Stage,
    epoch_generator,
    freeze,
    freezing_table,
    rate,
    train_stage,
    trains,
)

RANKS = Ranks(("low", "middle", "high"), (0, 1, 2), template="a {rank} grade")
TARGETS = (torch.tensor([0, 1, 2, 0, 1, 2, 0]), torch.tensor([0, 2]))
PLAIN = Config(batch_size=3, warmup=0.0, weight_decay=0.0)


def scores(mae: float, sure: float = 0.9) -> Tensor:
    """Probabilities of two validation images (targets 0 and 2) with this MAE; `sure` moves the RPS alone."""
    wrong = int(2 * mae)
    low, rest = torch.full((3,), (1 - sure) / 2), torch.full((3,), (1 - sure) / 2)
    low[min(wrong, 2)] = sure
    rest[2 - max(0, wrong - 2)] = sure
    return torch.stack([low, rest])


class Toy:
    """A stage over one parameter vector whose value after each epoch is remembered and whose judgement is scripted."""

    def __init__(
        self, judgements: list[Tensor], loss: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> None:
        self.x = nn.Parameter(
            torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1).to(memory_format=torch.channels_last)
        )
        self.judgements, self.loss = list(judgements), loss or (lambda x, noise: (x - noise).square().sum())
        self.seen: list[list[int]] = []
        self.after: list[Tensor] = []

    def stage(self, epochs: int, lr: float = 0.1, number: int = 1) -> Stage:
        """As `train_stage` wants it; each loss draws from the epoch's generator."""

        def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
            self.seen.append(chosen.tolist())
            return self.loss(self.x, torch.rand(1, generator=generator)) + 0.01 * chosen.sum() * self.x.sum()

        def validate() -> Tensor:
            self.after.append(self.x.detach().clone())
            return self.judgements[len(self.after) - 1]

        return Stage(number, "toy", {"x": self.x}, epochs, lr, loss, validate)


def test_the_freezing_table() -> None:
    """Prompts in stage 1, the image tower in stage 2, both in joint training, text tower and scale never.

    A name without a row is an error.
    """
    expected = {
        "prompts.context": (True, False, True),
        "prompts.rankformer.alpha": (True, False, True),
        "towers.image.projection.weight": (False, True, True),
        "towers.text.bert.embeddings.word_embeddings.weight": (False, False, False),
        "towers.text.text_projection": (False, False, False),
        "towers.logit_scale": (False, False, False),
    }
    assert {name: tuple(trains(name, stage) for stage in (1, 2, JOINT)) for name in expected} == expected
    with pytest.raises(TrainingError, match=r"no row for the parameter 'prompts\.new'"):
        trains("prompts.new", 1)


def test_freeze_switches_gradients_and_the_table_counts_them() -> None:
    """By hand at width 64, FFN 32, M = 4: context 256; RankFormer 4·64² + 4·64 + 2·64·32 + 32 + 64 + 128 + 1 = 20 961."""
    config = Config(towers="tiny/random", heads=2, hidden=32)
    model = L2RCLIP.build(RANKS, config)
    for stage, part in ((1, "prompts."), (2, "towers.image.")):
        chosen = freeze(model, stage)
        assert chosen.keys() == {name for name, _ in model.named_parameters() if name.startswith(part)}
        assert chosen.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    rows = {line.split()[0]: line.split()[1:] for line in freezing_table(model).splitlines()[1:]}
    assert rows["prompts.context"] == ["256", "trains", "frozen"]
    assert rows["prompts.rankformer.*"] == ["20,961", "trains", "frozen"]
    assert rows["towers.image.*"][1:] == ["frozen", "trains"]
    assert rows["towers.logit_scale"] == ["1", "frozen", "frozen"]
    joint = [line.split()[2] for line in freezing_table(model, "joint").splitlines()]
    assert joint == ["joint", "trains", "trains", "trains", "frozen", "frozen"]
    assert len(freeze(model, JOINT)) == len(freeze(model, 1)) + len(freeze(model, 2))
    counted = sum(int(row[0].replace(",", "")) for row in rows.values())
    assert counted == sum(p.numel() for p in model.parameters())


def test_rates_by_hand() -> None:
    """Ten steps, two of warm-up: ½, 1, then cosine from 1; or steps of a tenth after ½ and after 5/6 of the eight left."""
    config = Config(warmup=0.2)
    assert [rate(step, 10, config) for step in range(3)] == [0.5, 1.0, 1.0]
    assert rate(6, 10, config) == pytest.approx(0.5)
    assert rate(9, 10, config) == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)
    stepped = [round(rate(step, 10, Config(warmup=0.2, schedule="step")), 6) for step in range(2, 10)]
    assert stepped == [1.0] * 4 + [0.1] * 3 + [0.01]


@given(steps=st.integers(1, 500), warmup=st.floats(0, 0.99), schedule=st.sampled_from(["cosine", "step"]))
def test_rates_rise_then_fall_and_are_never_zero(steps: int, warmup: float, schedule: str) -> None:
    """Any number of steps, one included: in (0, 1], rising in the warm-up, not rising after it."""
    config = Config(warmup=warmup, schedule=schedule)  # type: ignore[arg-type]
    found = [rate(step, steps, config) for step in range(steps)]
    warm = int(warmup * steps)
    assert all(0 < value <= 1 for value in found)
    assert found[:warm] == sorted(found[:warm])
    assert found[warm:] == sorted(found[warm:], reverse=True)


EPOCH = st.tuples(st.integers(0, 99), st.integers(0, 3), st.integers(0, 999))


@given(EPOCH, EPOCH)
def test_each_epoch_has_a_random_stream_of_its_own(a: tuple[int, int, int], b: tuple[int, int, int]) -> None:
    """The same (seed, stage, epoch) gives the same numbers, another gives others."""
    assert (epoch_generator(*a).initial_seed() == epoch_generator(*b).initial_seed()) == (a == b)


def test_every_image_once_an_epoch_in_an_order_of_its_own(tmp_path: Path) -> None:
    """Seven images in batches of three, three and one; the second epoch in another order."""
    toy = Toy([scores(0)] * 2)
    train_stage(toy.stage(2), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    assert [len(batch) for batch in toy.seen] == [3, 3, 1] * 2
    first, second = list(chain(*toy.seen[:3])), list(chain(*toy.seen[3:]))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


@pytest.mark.parametrize(
    ("judgements", "best"),
    [
        ([scores(1), scores(0.5), scores(1.5)], 1),  # the lowest MAE
        (
            [scores(0.5, 0.9), scores(0.5, 0.7), scores(0.5, 0.6)],
            1,
        ),  # RPS .459, .429, .440: of equal ones the lower
        ([scores(0.5), scores(0.5), scores(0.5)], 0),  # of equal ones the earlier
        ([scores(1), scores(1), scores(0.5)], 2),  # the last
    ],
)
def test_the_best_epoch_is_put_back(judgements: list[Tensor], best: int, tmp_path: Path) -> None:
    """Training goes on from the last epoch, but leaves the parameters of the best; history has every epoch."""
    toy = Toy(judgements)
    history = train_stage(toy.stage(3), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    assert not torch.equal(toy.after[0], toy.after[1])
    assert torch.equal(toy.x, toy.after[best])
    assert [row["epoch"] for row in history] == [1, 2, 3]
    maes = [row["val_mae"] for row in history]
    assert maes[best] == min(maes)


def test_judgement_by_hand(tmp_path: Path) -> None:
    """Targets 0 and 2. Image 0: (.2, .7, .1), says 1, expects .9; image 1: (0, .3, .7), says 2, expects 1.7.

    MAE ½·1 = .5; of expectations ½(.9 + .3) = .6; accuracy ½; RPS ½((.2−1)² + (.9−1)² + 0² + .3²) = ½(.65 + .09) = .37.
    """
    toy = Toy([torch.tensor([[0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])])
    (row,) = train_stage(toy.stage(1), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    found = {name: row[name] for name in ("val_mae", "val_mae_expected", "val_accuracy", "val_rps")}
    assert found == pytest.approx(
        {"val_mae": 0.5, "val_mae_expected": 0.6, "val_accuracy": 0.5, "val_rps": 0.37}
    )


def test_the_first_step_of_adam_by_hand(tmp_path: Path) -> None:
    """Adam's first step is lr·sign(gradient): −0.1; a parameter with a factor of 3 moves by −0.3."""
    body, head = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([1.0]))
    stage = Stage(
        number=2,
        title="toy",
        parameters={"towers.image.backbone": body, "towers.image.projection.weight": head},
        epochs=1,
        lr=0.1,
        loss=lambda chosen, generator: (5 * body + 7 * head).sum(),
        validate=lambda: scores(0),
        lr_factors={"projection": 3.0},
    )
    config = Config(
        batch_size=4, warmup=0.99, weight_decay=0.0
    )  # two steps: int(0.99 · 2) = 1 of warm-up, rate 1
    train_stage(
        stage, (torch.zeros(4, dtype=torch.long), TARGETS[1]), RANKS, config, Checkpoint(tmp_path), quiet=True
    )
    assert float(body.detach()) == pytest.approx(1 - 0.1, abs=1e-6)
    assert float(head.detach()) == pytest.approx(1 - 0.3, abs=1e-6)


def test_weight_decay_reaches_what_has_no_gradient(tmp_path: Path) -> None:
    """With a loss that does not depend on x, L2 alone moves it towards 0, by Adam's step of lr."""
    toy = Toy([scores(0)])
    stage = Stage(
        1, "toy", {"x": toy.x}, 1, 0.1, lambda chosen, generator: (0 * toy.x).sum(), lambda: scores(0)
    )
    config = Config(batch_size=7, warmup=0.0, weight_decay=0.5)
    train_stage(stage, TARGETS, RANKS, config, Checkpoint(tmp_path), quiet=True)
    assert toy.x.flatten().tolist() == pytest.approx([0.9, 1.9, 2.9], abs=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_stops_and_keeps_what_was_done(value: float, tmp_path: Path) -> None:
    """It breaks in the second step of epoch 2: the sentence says where, and epoch 1 is still there to go on from."""
    calls = iter(range(100))

    def breaks(x: Tensor, noise: Tensor) -> Tensor:
        return x.sum() * (value if next(calls) == 4 else 1.0)

    toy = Toy([scores(0)] * 9, breaks)
    paths = tuple("abcdefg"), ("y", "z")
    with pytest.raises(TrainingError) as stopped:
        train_stage(toy.stage(3), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), paths=paths, quiet=True)
    chosen = ", ".join("abcdefg"[row] for row in toy.seen[-1])
    assert str(stopped.value) == (
        f"toy, epoch 2, step 2 of 3: the loss is {value} on {chosen}; epoch 1 is kept in "
        f"{tmp_path / 'stage1.safetensors'}; use a smaller learning rate (--lr1, now 0.1) with a new --out."
    )
    assert toy.x.isfinite().all(), "the step was not taken"
    again = Toy([scores(0)] * 9, lambda x, noise: x.sum())
    history = train_stage(again.stage(3), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    assert len(again.after) == 2, "epoch 1 was not trained again"
    assert [row["epoch"] for row in history] == [1, 2, 3]


def test_a_gradient_that_is_no_number_is_never_applied(tmp_path: Path) -> None:
    """A finite loss with a gradient of inf · 0: the parameter is named, and neither it nor a checkpoint was touched."""

    def explodes(x: Tensor, noise: Tensor) -> Tensor:
        return (x - x.detach()).square().sum().sqrt() + x.sum()

    toy = Toy([scores(0)], explodes)
    said = r"^toy, epoch 1, step 1 of 3: the gradient of x is not finite on picture \d, .*no step was taken before\.$"
    with pytest.raises(TrainingError, match=said):
        train_stage(toy.stage(1), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    assert toy.x.flatten().tolist() == [1.0, 2.0, 3.0]
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_whose_answers_are_no_numbers_is_never_kept(tmp_path: Path) -> None:
    """The last step of an epoch may blow up without its own loss showing it: the validation picture is named."""
    answers = scores(0)
    answers[1, 0] = float("inf")
    toy, half = Toy([scores(0), answers]), Config(batch_size=3, precision="bf16")
    said = r"^toy, epoch 2: the validation output is not finite on z; epoch 1 is kept .*; use --precision fp32 with"
    with pytest.raises(TrainingError, match=said):
        train_stage(
            toy.stage(2), TARGETS, RANKS, half, Checkpoint(tmp_path), paths=((), ("y", "z")), quiet=True
        )
    again = Toy([scores(0)] * 2)
    train_stage(again.stage(2), TARGETS, RANKS, half, Checkpoint(tmp_path), quiet=True)
    assert len(again.after) == 1, "epoch 1 was kept, epoch 2 was not"


@pytest.mark.parametrize("stopped", [1, 2, 3, 4])
def test_taken_up_again_it_is_the_same_to_the_last_bit(stopped: int, tmp_path: Path) -> None:
    """Stopped while any epoch was judged: parameters, best, history and Adam's moments go on as if nothing had been."""
    judged = [scores(1), scores(0.5), scores(0.5, 0.8), scores(1.5)]
    whole = Toy(judged)
    expected = train_stage(
        whole.stage(4), TARGETS, RANKS, Config(batch_size=3), Checkpoint(tmp_path / "a"), quiet=True
    )
    toy = Toy(judged[: stopped - 1])
    with pytest.raises(IndexError):
        train_stage(
            toy.stage(4), TARGETS, RANKS, Config(batch_size=3), Checkpoint(tmp_path / "b"), quiet=True
        )
    again = Toy(judged[stopped - 1 :])
    found = train_stage(
        again.stage(4), TARGETS, RANKS, Config(batch_size=3), Checkpoint(tmp_path / "b"), quiet=True
    )
    assert found == expected
    assert torch.equal(again.x, whole.x)
    assert torch.equal(again.after[-1], whole.after[-1])
    assert again.x.is_contiguous(memory_format=torch.channels_last)


def test_moments_come_back_in_the_layout_of_their_parameter(tmp_path: Path) -> None:
    """Channels-last weights with contiguous moments would make every later step slow; the step count is Adam's own."""
    weight = nn.Parameter(torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last))
    stage = Stage(1, "toy", {"w": weight}, 1, 0.1, lambda chosen, _: weight.square().sum(), lambda: scores(0))
    train_stage(stage, TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    optimizer = torch.optim.Adam([weight])
    assert Checkpoint(tmp_path).load(stage, optimizer) is not None
    state = optimizer.state[weight]
    assert float(state["step"]) == 3
    for name in ("exp_avg", "exp_avg_sq"):
        assert state[name].stride() == weight.stride()


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    """Its best parameters are put back and its history returned."""
    toy = Toy([scores(0.5), scores(1)])
    expected = train_stage(toy.stage(2), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    again = Toy([])
    assert train_stage(again.stage(2), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True) == expected
    assert torch.equal(again.x, toy.after[0])


def test_no_epochs_change_nothing(tmp_path: Path) -> None:
    """Neither parameters nor disk, and there need be no parameters: random prototypes have none in stage 1."""
    toy = Toy([])
    assert train_stage(toy.stage(0), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path / "c"), quiet=True) == []
    assert toy.x.flatten().tolist() == [1, 2, 3]
    empty = toy.stage(0)
    empty.parameters.clear()
    assert train_stage(empty, TARGETS, RANKS, PLAIN, Checkpoint(tmp_path / "c"), quiet=True) == []
    assert not (tmp_path / "c").exists()


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    """Cut off, or of a stage with other parameters: the sentence names the file and what to do."""
    toy = Toy([scores(0)])
    train_stage(toy.stage(1), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    file = tmp_path / "stage1.safetensors"
    assert list(tmp_path.iterdir()) == [file]
    other = toy.stage(2)
    other.parameters["y"] = nn.Parameter(torch.zeros(1))
    with pytest.raises(InputError, match=r"stage1\.safetensors: damaged or of another model .*delete it"):
        train_stage(other, TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"stage1\.safetensors: damaged"):
        train_stage(Toy([]).stage(2), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 1)], ids=str)
@pytest.mark.parametrize("which", ["now/x", "best/x", "adam.exp_avg/x"])
def test_a_checkpoint_is_not_stretched_to_fit(which: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """One number for three, or three in another shape, would be copied into a parameter of (1, 1, 3, 1) without a word."""
    toy = Toy([scores(0)])
    train_stage(toy.stage(1), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)
    file = tmp_path / "stage1.safetensors"
    tensors, metadata = read_tensors(file)
    save_tensors(file, tensors | {which: torch.ones(shape)}, dict(metadata))
    with pytest.raises(InputError, match=rf"{which} has shape {re.escape(str(shape))}"):
        train_stage(Toy([]).stage(2), TARGETS, RANKS, PLAIN, Checkpoint(tmp_path), quiet=True)


def test_parameters_taken_at_once_end_where_they_do_one_by_one() -> None:
    """Adam's two forms on a CPU round alike, so a small tower's step may take the faster one: bit for bit."""
    ends = []
    for at_once in (False, True):
        seeded = torch.Generator().manual_seed(0)
        sizes = ((7,), (33, 5), (64, 64))
        parameters = [nn.Parameter(torch.randn(size, generator=seeded)) for size in sizes]
        optimizer = torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4, foreach=at_once)
        for _ in range(20):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=seeded)
            optimizer.step()
        ends.append(parameters)
    assert all(torch.equal(one, two) for one, two in zip(*ends, strict=True))
