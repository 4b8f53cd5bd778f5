"""One stage of training: optimiser, schedule, checkpoint and the epoch that is kept."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from jaxtyping import Float, Int
from torch import Tensor, nn

from l2rclip_lite.checkpoints import Record, load_checkpoint, save_checkpoint
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.memory import fewer_images, out_of_memory_in_words
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.progress import Progress
from l2rclip_lite.runs.results import validation_scores
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.processes import global_batch_size

OnEpoch = Callable[[dict[str, float]], object]
MAX_NAMES = 8  # of images in an error


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


class StepImages(NamedTuple):
    """The images of a step.

    Args:
        images: In all processes together.
        at_once: In the memory of this process at once; None where their features are stored.
    """

    images: int
    at_once: int | None

    @classmethod
    def of(cls, config: Config, batch_size: int | None, n_train: int) -> "StepImages":
        """Return the size of a step.

        Args:
            config: Gives batch size and micro batch size of pixels.
            batch_size: Images per step on stored features, the same in all processes; None where a
                step reads pixels.
            n_train: Training images; no step has more in memory.
        """
        if batch_size is not None:
            return cls(batch_size, None)

        at_once = min(config.micro_batch_size or config.batch_size, config.batch_size, n_train)
        return cls(global_batch_size(config.batch_size), at_once)


class Stage:
    """Adam, the schedule, the checkpoint and the epoch of one stage that is kept.

    Of an image tower the last epoch is kept: the learning rate has fallen to 0 by then, and a
    hundred validation images choose among the last few epochs by luck. Of a head or of prompts it
    is the epoch with the lowest RPS on the validation images; of equal ones the one with the lower
    MAE, then the earlier. RPS is proper and smooth; the MAE of a hundred answers is mostly noise.

    The gradient of an image tower is shortened to length 1 where it is longer; that of a head or of
    prompts is left as it is. `Controls` has other ways.

    Args:
        number: 1 or 2 (baselines have others); seeds the draws, and names checkpoint and history.
        parameters: What trains, by name.
        data: Its sizes count, the validation targets, and names of images.
        model: Ranks and config.
        lr: Peak learning rate.
        epochs: How many.
        batch_size: Images per step, the same in all processes; None takes the config's for each.
        factors: Maps a part of a name to a factor: parameters whose name contains it have a
            learning rate that many times as high.
        name: Of a baseline; None where the stage is one of L2RCLIP.
        run: Where each complete epoch is kept; None keeps none.
        quiet: Whether to hide the bar and the scores of each epoch.
        on_epoch: Called with each row of the history, when the epoch is on disk.

    Raises:
        InputError: A checkpoint that is damaged, or was written by another number of processes.
    """

    def __init__(  # noqa: PLR0913  (settings, by name)
        self,
        number: int,
        parameters: Mapping[str, nn.Parameter],
        data: TrainingData,
        model: L2RCLIP,
        *,
        lr: float,
        epochs: int,
        batch_size: int | None = None,
        factors: Mapping[str, float] | None = None,
        name: str | None = None,
        run: RunDirectory | None = None,
        quiet: bool = True,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self.number = number
        self.name = name or f"stage {number}"
        self.is_baseline = name is not None
        self.parameters = dict(parameters)
        self.tower = [p for name, p in parameters.items() if name.startswith("towers.")]
        self.n_epochs = epochs
        self.lr = lr
        self.ranks = model.ranks
        self.config = model.config
        self.data = data
        self.on_epoch = on_epoch

        n_train = len(data.targets["train"])
        self.step_images = StepImages.of(self.config, batch_size, n_train)
        self.steps_per_epoch = math.ceil(n_train / self.step_images.images)
        self.n_steps = self.steps_per_epoch * epochs

        self.optimizer = adam(self.parameters, lr, factors or {}, self.config.weight_decay)
        self.kept = copies(self.parameters)
        self.kept_score = (math.inf, math.inf)
        self.steps_taken = 0
        self.history: list[dict[str, float]] = []
        self.epoch_losses: list[float] = []

        self.checkpoint_file = None if run is None else self._resume(run)

        self.bar = Progress(
            desc=self.name, total=self.n_steps, initial=self.steps_taken, unit="step", disable=quiet
        )

    def _resume(self, run: RunDirectory) -> Path:
        """Go on where the checkpoint of a run ends, if there is one; return its file.

        Raises:
            InputError: It is damaged, or its steps had another number of images.
        """
        file = run.unfinished / f"stage{self.number}.safetensors"
        stored = load_checkpoint(file, self.parameters, self.kept, self.optimizer)
        if stored is None:
            return file

        self.history = stored.history
        self.kept_score = stored.kept_score
        self.steps_taken = stored.steps

        # the schedule counts steps, and the draws of an epoch are those of its batches
        images = self.step_images.images
        same_images = stored.step_images is None or stored.step_images == images
        same_steps = stored.steps == len(stored.history) * self.steps_per_epoch
        if same_images and same_steps:
            return file

        begun = "another number of images a step"
        if stored.step_images is not None:
            begun = f"{stored.step_images} images a step"
        here = f"{images}, in {PartialState().num_processes} process(es)"
        cure = "start as many processes as before, or choose a new --out"
        raise InputError(f"{file}: begun with {begun}, and now it would be {here}; {cure}.")

    def memory_in_words(self) -> AbstractContextManager[None]:
        """Return a context in which "out of memory" becomes one sentence."""
        at_once = self.step_images.at_once
        of_run = "a run with " if self.is_baseline else ""
        if at_once is None:  # stored features are small
            advice = f"use another device, or {of_run}a shorter --template or fewer ranks (--rebin)"
            cure = f"with {len(self.ranks)} sentences at once; {advice}"
        else:
            cure = fewer_images(at_once, f"{of_run}--micro-batch-size")
        return out_of_memory_in_words(self.name, cure)

    def epochs(self) -> Iterator[torch.Generator]:
        """Yield the generator of each epoch still to be run: its one source of randomness."""
        for epoch in range(len(self.history), self.n_epochs):
            self.epoch_losses = []
            seed = (self.config.seed * 31 + self.number) * 100_003 + epoch
            yield torch.Generator().manual_seed(seed)
        self.bar.close()

    def step(self, loss: Float[Tensor, ""], rows: Int[Tensor, " row"] | None = None) -> None:
        """Take one step down the gradient.

        Args:
            loss: Of the whole batch, in every process.
            rows: Which training images are in the batch; an error names them.

        Raises:
            TrainingError: A loss or a gradient that is not finite.
        """
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)

        # both in one question: while the answer comes, the device gets no work
        value, length = torch.stack([loss.detach(), norm]).tolist()
        if not math.isfinite(value):
            raise self._runaway(f"the loss is {value}", rows)
        if not math.isfinite(length):
            raise self._runaway("a gradient is not finite", rows)

        # The first gradients of a tower that is new to texts are much longer than later ones. Adam
        # divides by the root of their mean square: unclipped, it would take small steps for the
        # rest of a short run.
        if self.config.controls.clip:
            nn.utils.clip_grad_norm_(self.tower, 1.0)

        share = warmup_cosine(self.steps_taken, self.n_steps, self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.optimizer.step()

        self.epoch_losses.append(value)
        self.steps_taken += 1
        self.bar.update()

    def _runaway(self, what: str, rows: Int[Tensor, " row"] | None) -> TrainingError:
        """Return the error of a step that is not finite, with place, images and fix."""
        epoch = len(self.history) + 1
        step = len(self.epoch_losses) + 1

        images = ""
        if rows is not None and len(self.data.names):
            names = [self.data.names[row] for row in rows[:MAX_NAMES].tolist()]
            images = f" for the images {', '.join(names)}"
            if len(rows) > MAX_NAMES:
                images += f" and {len(rows) - MAX_NAMES} more"

        where = f"{self.name}, epoch {epoch}, step {step}"
        kept = "complete epochs are kept"
        return TrainingError(f"{where}: {what}{images}; {kept}; {self._learn_more_slowly()}.")

    def _learn_more_slowly(self) -> str:
        """Return what to do about numbers that are not finite."""
        if self.is_baseline:  # has the settings of its run
            rate = f"a smaller learning rate (--lr1, --lr2; here {self.lr:g})"
            return f"fit another run with {rate}, and train the baseline in it"
        option = f"--lr{self.number}"
        return f"use a smaller learning rate ({option}, now {self.lr:g}) with a new --out"

    def end_epoch(self, probabilities: Float[Tensor, "batch rank"]) -> None:
        """Score the validation images, keep the parameters or not, write the checkpoint.

        `Controls.select` says which epoch is kept.

        Args:
            probabilities: Of the validation images.

        Raises:
            TrainingError: They are not finite.
        """
        epoch = len(self.history) + 1
        if not probabilities.isfinite().all():
            problem = f"{self.name}, epoch {epoch}: no finite output"
            raise TrainingError(f"{problem}; {self._learn_more_slowly()}.")

        loss = sum(self.epoch_losses) / len(self.epoch_losses)
        row = {"stage": self.number, "epoch": epoch, "loss": loss}
        row |= validation_scores(probabilities, self.data.targets["val"], self.ranks)
        self.history.append(row)

        scores = f"validation RPS {row['val_rps']:.3f}, MAE {row['val_mae']:.3f}"
        self.bar.say(f"{self.name}, epoch {epoch} of {self.n_epochs}: loss {loss:.3f}, {scores}")
        self._keep_if_chosen(row)
        self.bar.set_postfix_str(f"validation RPS {self.kept_score[0]:.3f}", refresh=False)

        if self.checkpoint_file and PartialState().is_main_process:
            images = self.step_images.images
            record = Record(self.history, self.kept_score, self.steps_taken, images)
            save_checkpoint(
                self.checkpoint_file, self.parameters, self.kept, self.optimizer, record
            )
        PartialState().wait_for_everyone()  # one that has ended is missed after an epoch, not later
        if self.on_epoch:
            self.on_epoch(dict(row))

    def _keep_if_chosen(self, row: Mapping[str, float]) -> None:
        """Keep the parameters if this is the epoch to keep so far, by `Controls.select`."""
        select = self.config.controls.select
        if select == "auto":
            select = "last" if self.tower else "rps"

        rps = row["val_rps"]
        mae = row["val_mae"]
        kept_rps, kept_mae = self.kept_score

        if select == "last":
            is_chosen = True
        elif select == "mae":
            is_chosen = (mae, rps) < (kept_mae, kept_rps)
        else:
            is_chosen = (rps, mae) < (kept_rps, kept_mae)

        if is_chosen:
            self.kept_score = (rps, mae)
            self.kept = copies(self.parameters)

    @torch.no_grad()
    def restore_kept(self) -> list[dict[str, float]]:
        """Put the parameters of the kept epoch back; return the history, one row per epoch."""
        for name, value in self.kept.items():
            self.parameters[name].copy_(value)
        return self.history


def copies(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return copies of the values of parameters, by name."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def adam(
    parameters: Mapping[str, nn.Parameter],
    lr: float,
    factors: Mapping[str, float],
    weight_decay: float,
) -> torch.optim.Adam:
    """Return Adam; each of its groups has its `peak`, the highest learning rate.

    Args:
        parameters: By name.
        lr: Peak learning rate.
        factors: Maps a part of a name to a factor of the learning rate.
        weight_decay: L2 penalty.
    """
    groups: dict[float, list[nn.Parameter]] = {}

    for name, parameter in parameters.items():
        factor = 1.0
        for key, value in factors.items():
            if key in name:
                factor = value
                break
        groups.setdefault(factor, []).append(parameter)

    with_peaks: list[dict[str, Any]] = []
    for factor, group in groups.items():
        with_peaks.append({"params": group, "peak": lr * factor})
    return torch.optim.Adam(with_peaks, lr, weight_decay=weight_decay, fused=True)
