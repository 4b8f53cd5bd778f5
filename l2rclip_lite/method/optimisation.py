"""What both stages share: optimiser, schedule, draws, history, and the epoch that is kept.

Every random draw of an epoch comes from a generator seeded by (seed, stage, epoch), so an epoch
that was cut short is run again, bit for bit, from the state at the end of the one before it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from . import Scalar

Row = dict[str, float]  # of a history
Select = Literal["auto", "rps", "mae", "last"]


class Scores(NamedTuple):
    """The scores of the validation images after an epoch, the lower the better.

    Args:
        rps: Ranked probability score.
        mae: Mean absolute error of the most probable rank, in the unit of the ranks.
    """

    rps: float
    mae: float


WORST = Scores(math.inf, math.inf)


@dataclass(frozen=True)
class Optimisation:
    """How parameters move, alike in all stages.

    Args:
        seed: Decides the draws, together with stage and epoch.
        weight_decay: Adam's L2 penalty.
        warmup: Share of the steps in which the learning rate rises.
        clip: Whether the gradient of a tower is shortened to length 1 where it is longer.
        select: Which epoch is kept: that of the lowest validation "rps" or "mae", or the "last";
            "auto" takes the last of an image tower, and else the lowest RPS.
    """

    seed: int = 0
    weight_decay: float = 1e-4
    warmup: float = 0.1
    clip: bool = True
    select: Select = "auto"


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Return the learning rate of a step as a share of its peak: a linear rise, then a cosine.

    Example:
        >>> [round(warmup_cosine(step, 10, 0.2), 2) for step in (0, 1, 2, 9)]
        [0.5, 1.0, 1.0, 0.04]
    """
    rise = int(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


@dataclass(eq=False)
class Stage:
    """Adam, the schedule, the history and the epoch of one stage that is kept.

    Of an image tower the last epoch is kept: the learning rate has fallen to 0 by then, and a
    hundred validation images choose among the last few epochs by luck. Of a head or of prompts it
    is the epoch with the lowest RPS on the validation images; of equal ones the one with the lower
    MAE, then the earlier. RPS is proper and smooth; the MAE of a hundred answers is mostly noise.

    The gradient of an image tower is shortened to length 1 where it is longer; that of a head or of
    prompts is left as it is. `Optimisation` has other ways.

    Everything that a stopped stage needs to go on is an attribute: `parameters`, `optimizer`,
    `history`, `steps_taken`, and of the kept epoch `kept` and `kept_score`.

    Args:
        number: 1 or 2 (baselines have others); seeds the draws.
        parameters: What trains, by name.
        lr: Peak learning rate.
        n_epochs: How many epochs.
        n_images: Images of an epoch.
        batch_size: Images per step.
        settings: See `Optimisation`.
        lr_factors: By name, how many times as high the learning rate of a parameter is.
        name: What errors and bars call it.
        file: What its checkpoint is called.
        on_step: Called after each step.
        history: A row after each epoch.
        epoch_losses: Of the steps of the epoch that runs.
        steps_taken: So far, of all epochs.
        kept: The parameters of the kept epoch, by name.
        kept_score: Its scores.
    """

    number: int
    parameters: Mapping[str, nn.Parameter]
    lr: float
    n_epochs: int
    n_images: int
    batch_size: int
    settings: Optimisation = Optimisation()
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    file: str = ""
    on_step: Callable[[], object] | None = None
    history: list[Row] = field(default_factory=list)
    epoch_losses: list[float] = field(default_factory=list)
    steps_taken: int = 0
    kept: dict[str, Tensor] = field(default_factory=dict)
    kept_score: Scores = WORST

    def __post_init__(self) -> None:
        """Make the optimiser, and count the steps."""
        self.name = self.name or f"stage {self.number}"
        self.file = self.file or f"stage{self.number}"
        self.n_steps = self.n_epochs * math.ceil(self.n_images / self.batch_size)

        groups: dict[float, list[nn.Parameter]] = {1.0: []}
        for name, parameter in self.parameters.items():
            groups.setdefault(self.lr_factors.get(name, 1.0), []).append(parameter)
        self.tower = [p for name, p in self.parameters.items() if name.startswith("towers.")]
        self.optimizer = torch.optim.Adam(
            [{"params": group, "peak": self.lr * factor} for factor, group in groups.items()],
            self.lr,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )

    def epochs(self) -> Iterator[torch.Generator]:
        """Yield the generator of each epoch still to be run: its one source of randomness."""
        for epoch in range(len(self.history), self.n_epochs):
            seed = (self.settings.seed * 31 + self.number) * 100_003 + epoch
            yield torch.Generator().manual_seed(seed)

    def step(self, loss: Scalar) -> None:
        """Take one step down the gradient.

        Args:
            loss: Of the whole batch.

        Raises:
            TrainingError: A loss or a gradient that is not finite.
        """
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)

        # both in one question: while the answer comes, the device gets no work
        value, length = torch.stack([loss.detach(), norm]).tolist()
        if not math.isfinite(value + length):
            raise self._runaway(f"the loss is {value}, the length of its gradient {length}")

        # The first gradients of a tower that is new to texts are much longer than later ones. Adam
        # divides by the root of their mean square: unclipped, it would take small steps for the
        # rest of a short run.
        if self.settings.clip:
            nn.utils.clip_grad_norm_(self.tower, 1.0)

        share = warmup_cosine(self.steps_taken, self.n_steps, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.optimizer.step()

        self.epoch_losses.append(value)
        self.steps_taken += 1
        if self.on_step is not None:
            self.on_step()

    def _runaway(self, problem: str) -> TrainingError:
        """Return the error of numbers that are not finite, with place and fix."""
        where = f"{self.name}, epoch {len(self.history) + 1}, step {len(self.epoch_losses) + 1}"
        cure = f"smaller learning rate (--lr1, --lr2; here {self.lr:g})"
        return TrainingError(f"{where}: {problem}; fit a new run with a {cure}.")

    def end_epoch(self, scores: Scores) -> Row:
        """Keep the parameters or not, as `Optimisation.select` says, and return the epoch's row.

        Args:
            scores: Of the validation images; not finite where the outputs are not.

        Raises:
            TrainingError: They are not finite.
        """
        if not math.isfinite(scores.rps + scores.mae):
            raise self._runaway("no finite output")

        loss = sum(self.epoch_losses) / len(self.epoch_losses)
        row: Row = {"stage": self.number, "epoch": len(self.history) + 1, "lr": self.lr}
        row |= {"loss": loss, "val_mae": scores.mae, "val_rps": scores.rps}
        self.history.append(row)
        self.epoch_losses = []

        if self._is_better(scores):
            self.kept_score = scores
            self.kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        return dict(row)

    def _is_better(self, scores: Scores) -> bool:
        """Return whether the epoch that has ended is to be kept in place of an earlier one."""
        select = self.settings.select
        if select == "last" or (select == "auto" and self.tower):
            return True
        if select == "mae":
            return scores[::-1] < self.kept_score[::-1]
        return scores < self.kept_score

    @torch.no_grad()
    def restore_kept(self) -> None:
        """Put the parameters of the kept epoch back."""
        for name, value in self.kept.items():
            self.parameters[name].copy_(value)
