"""One stage of training: optimiser, schedule, checkpoint and best epoch."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from accelerate import PartialState
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.checkpoints import load_checkpoint, save_checkpoint
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.progress import Progress
from l2rclip_lite.results import validation_scores
from l2rclip_lite.run_directory import RunDirectory
from l2rclip_lite.training.features import TrainingData


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Learning rate of a step as a share of its peak: a linear rise, then a cosine to 0.

    Example:
        >>> [round(warmup_cosine(step, 10, 0.2), 2) for step in (0, 1, 2, 9)]
        [0.5, 1.0, 1.0, 0.04]
    """
    rise = int(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class Stage:
    """Adam, the schedule, the checkpoint and the best epoch of one stage.

    The best epoch has the lowest RPS on the validation images; of equal ones the one with the lower MAE, then the
    earlier. RPS is proper and smooth; the MAE of a hundred answers is mostly noise. The gradient of an image tower is
    shortened to length 1 where it is longer; that of a head or of prompts is left as it is.

    Args:
        number: 1 or 2 (baselines have others); seeds the draws and names the stage in the history.
        parameters: What trains, by name.
        data: Its sizes count, and the validation targets.
        model: Ranks and config.
        lr: Peak learning rate.
        epochs: How many.
        batch_size: Images per step; None takes the config's.
        factors: Parameters whose name holds a key learn that many times faster.
        run: Where each complete epoch is kept; None keeps none.
        quiet: Whether to hide the bar and the scores of each epoch.
        on_epoch: Called with each row of the history, when the epoch is on disk.
    """

    def __init__(
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
        run: RunDirectory | None = None,
        quiet: bool = True,
        on_epoch: Callable[[dict[str, float]], object] | None = None,
    ) -> None:
        self.number, self.parameters, self.total, self.lr = number, dict(parameters), epochs, lr
        self.ranks, self.config, self.on_epoch = model.ranks, model.config, on_epoch
        self.target = data.targets["val"]
        size = batch_size or self.config.batch_size
        shares = (
            1 if batch_size else PartialState().num_processes
        )  # cached features are not shared out
        self.steps = math.ceil(len(data.targets["train"]) / size) // shares * epochs
        if epochs and not self.steps:
            raise TrainingError(
                "fewer batches than processes; use fewer, or a smaller --batch-size."
            )
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.parameters.items():
            share = next((value for key, value in (factors or {}).items() if key in name), 1.0)
            groups.setdefault(share, []).append(parameter)
        rows = [{"params": group, "peak": lr * share} for share, group in groups.items()]
        self.optimizer = torch.optim.Adam(
            rows, lr, weight_decay=self.config.weight_decay, fused=True
        )
        self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.best_score, self.taken = (math.inf, math.inf), 0
        self.history: list[dict[str, float]] = []
        self.losses: list[float] = []
        self.file = run.unfinished / f"stage{number}.safetensors" if run else None
        stored = self.file and load_checkpoint(
            self.file, self.parameters, self.best, self.optimizer
        )
        if stored:
            self.history, self.best_score, self.taken = stored
        shown: dict[str, Any] = {
            "total": self.steps,
            "initial": self.taken,
            "unit": "step",
            "disable": quiet,
        }
        self.bar = Progress(desc=f"stage {number}", **shown)

    def epochs(self) -> Iterator[torch.Generator]:
        """The generator of each epoch that is still to be run: its one source of randomness."""
        for epoch in range(len(self.history), self.total):
            self.losses = []
            yield torch.Generator().manual_seed(
                (self.config.seed * 31 + self.number) * 100_003 + epoch
            )
        self.bar.close()

    def step(self, loss: Float[Tensor, ""]) -> None:
        """One step down the gradient.

        Raises:
            TrainingError: A loss or a gradient that is not finite.
        """
        value = float(loss.detach())
        where = f"stage {self.number}, epoch {len(self.history) + 1}, step {len(self.losses) + 1}"
        fix = f"complete epochs are kept; use a smaller learning rate (now {self.lr:g}) with a new --out"
        if not math.isfinite(value):
            raise TrainingError(f"{where}: the loss is {value}; {fix}.")
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        if not nn.utils.get_total_norm(gradients).isfinite():
            raise TrainingError(f"{where}: a gradient is not finite; {fix}.")
        # A tower that meets texts knows nothing of them, and its first gradients are much longer than later ones. Adam
        # divides by the root of their mean square: unclipped, it would take small steps for the rest of a short run.
        nn.utils.clip_grad_norm_(
            [p for n, p in self.parameters.items() if n.startswith("towers.")], 1.0
        )
        share = warmup_cosine(self.taken, self.steps, self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.optimizer.step()
        self.losses.append(value)
        self.taken += 1
        self.bar.update()

    def end_epoch(self, probabilities: Float[Tensor, "batch rank"]) -> None:
        """Score the validation images, remember the best epoch, and keep everything on disk.

        Args:
            probabilities: Of the validation images.

        Raises:
            TrainingError: They are not finite.
        """
        epoch = len(self.history) + 1
        if not probabilities.isfinite().all():
            raise TrainingError(
                f"stage {self.number}, epoch {epoch}: no finite output; learn more slowly."
            )
        row = {"stage": self.number, "epoch": epoch, "loss": sum(self.losses) / len(self.losses)}
        self.history.append(row | validation_scores(probabilities, self.target, self.ranks))
        score = (self.history[-1]["val_rps"], self.history[-1]["val_mae"])
        said = f"loss {row['loss']:.3f}, validation RPS {score[0]:.3f}, MAE {score[1]:.3f}"
        self.bar.say(f"stage {self.number}, epoch {epoch} of {self.total}: {said}")
        if score < self.best_score:
            self.best_score = score
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.bar.set_postfix_str(f"validation RPS {self.best_score[0]:.3f}", refresh=False)
        if self.file and PartialState().is_main_process:
            about = (self.history, self.best_score, self.taken)
            save_checkpoint(self.file, self.parameters, self.best, self.optimizer, about)
        if self.on_epoch:
            self.on_epoch(dict(self.history[-1]))

    @torch.no_grad()
    def restore_best(self) -> list[dict[str, float]]:
        """Put the best epoch's parameters back; returns the history, one row per epoch."""
        for name, value in self.best.items():
            self.parameters[name].copy_(value)
        return self.history
