"""What trains when, as data; and one loop that trains any stage and can be killed at any moment.

Every random draw of an epoch comes from a generator seeded by (seed, stage, epoch). Nothing of the generators' state
needs to be stored: an epoch that was cut short is simply run again, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from l2rclip_lite import distributed
from l2rclip_lite.checkpoint import Checkpoint, Snapshot
from l2rclip_lite.choices import Scheme
from l2rclip_lite.config import Config
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.metrics import mae, rps
from l2rclip_lite.progress import track
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.trouble import Place, bad_gradient, bad_rows, names

JOINT, ADAPTER = 0, 3  # columns of the table beside the two stages: joint training, stage 2 on a frozen tower
AT_ONCE = 10_000_000  # parameters below which a CPU's Adam takes them together
COLUMNS: dict[Scheme, dict[str, int]] = {"two-stage": {"stage 1": 1, "stage 2": 2}, "joint": {"joint": JOINT}}
FREEZING: tuple[tuple[str, bool, bool, bool, bool], ...] = (
    # pattern                joint  stage 1  stage 2  stage 2 with an adapter
    ("prompts.context", True, True, False, False),
    ("prompts.rankformer.*", True, True, False, False),
    ("adapter.*", False, False, False, True),
    ("towers.image.*", True, False, True, False),
    ("towers.text.*", False, False, False, False),
    ("towers.logit_scale", False, False, False, False),
)


def trains(name: str, stage: int) -> bool:
    """Whether the freezing table lets a parameter train in stage 1, 2, JOINT or ADAPTER; the first pattern decides.

    Example:
        >>> trains("prompts.context", 1), trains("towers.image.projection.weight", 1)
        (True, False)
        >>> trains("towers.image.projection.weight", JOINT)
        True
    """
    for pattern, *stages in FREEZING:
        if fnmatchcase(name, pattern):
            return stages[stage]
    raise TrainingError(
        f"the freezing table has no row for the parameter {name!r}; add one to l2rclip_lite.stages."
    )


def freeze(model: nn.Module, stage: int) -> dict[str, nn.Parameter]:
    """Switch gradients by the table; returns the parameters that train, by name."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name, stage))
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def freezing_table(model: nn.Module, scheme: Scheme = "two-stage") -> str:
    """The freezing table with parameter counts and the columns of a training scheme, ready to print."""
    columns = COLUMNS[scheme]
    if any(fnmatchcase(name, "adapter.*") for name, _ in model.named_parameters()):
        columns = columns | {"stage 2": ADAPTER}
    counts = {pattern: 0 for pattern, *_ in FREEZING}
    for name, parameter in model.named_parameters():
        counts[next(pattern for pattern in counts if fnmatchcase(name, pattern))] += parameter.numel()
    lines = [f"{'parameters':<22}{'number':>12}" + "".join(f"   {title}" for title in columns)]
    for pattern, *stages in FREEZING:
        if pattern == "adapter.*" and not counts[pattern]:
            continue  # the tower itself is tuned
        words = ["trains" if stages[number] else "frozen" for number in columns.values()]
        lines.append(f"{pattern:<22}{counts[pattern]:>12,}" + "".join(f"   {word:<7}" for word in words))
    return "\n".join(lines)


@dataclass(frozen=True)
class Stage:
    """What one stage trains, and how it is judged.

    Args:
        number: Its number (`JOINT`, 1 or 2); seeds its random draws and names it in the history.
        title: For the progress bar.
        parameters: What trains, by name.
        epochs: How many.
        lr: Peak learning rate.
        loss: Loss of a batch, from image indices and the generator of the epoch.
        validate: Probabilities over the ranks of the validation images.
        lr_factors: Parameters whose name ends so learn that many times faster.
        lr_option: The option that sets `lr`, for the error message; empty means `--lr` and the number.
        shared: Whether each process encodes its share of a batch; else all do the same, and need not talk.
        coming: Is told this process's share of each batch of an epoch before it begins, so that the pictures can be
            decoded in time.
    """

    number: int
    title: str
    parameters: dict[str, nn.Parameter]
    epochs: int
    lr: float
    loss: Callable[[Int[Tensor, " batch"], torch.Generator], Float[Tensor, ""]]
    validate: Callable[[], Float[Tensor, "batch rank"]]
    lr_factors: dict[str, float] = field(default_factory=dict)
    lr_option: str = ""
    shared: bool = False
    coming: Callable[[Sequence[Tensor]], None] = lambda batches: None


def rate(step: int, steps: int, config: Config) -> float:
    """Learning rate of a step as a share of its peak: linear warm-up, then cosine or step.

    Example:
        >>> [round(rate(step, 10, Config(warmup=0.2)), 2) for step in (0, 1, 2, 9)]
        [0.5, 1.0, 1.0, 0.04]
    """
    warm = int(config.warmup * steps)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    if config.schedule == "step":
        return 0.1 ** sum(done >= at for at in (1 / 2, 5 / 6))
    return 0.5 * (1 + math.cos(math.pi * done))


def epoch_generator(seed: int, stage: int, epoch: int) -> torch.Generator:
    """The one source of randomness of an epoch."""
    return torch.Generator().manual_seed(((seed * 31 + stage) * 100_003 + epoch) % 2**63)


def train_stage(
    stage: Stage,
    targets: tuple[Int[Tensor, " train"], Int[Tensor, " val"]],
    ranks: Ranks,
    config: Config,
    checkpoint: Checkpoint | None,
    *,
    paths: tuple[Sequence[str], Sequence[str]] = ((), ()),
    quiet: bool = False,
) -> list[dict[str, float]]:
    """Train a stage from its last complete epoch on, and leave its parameters at the best epoch.

    The best epoch has the lowest MAE on the validation split; of equal ones the one with the lower RPS, then the
    earlier.

    Args:
        stage: What to train.
        targets: Rank indices of the training and of the validation images.
        ranks: The label space.
        config: Batch size, schedule, seed.
        checkpoint: Where each complete epoch is kept; None keeps none.
        paths: Names of the training and of the validation images, for the error message.
        quiet: Whether to hide the progress bar.

    Returns:
        One row an epoch.

    Raises:
        TrainingError: A loss, a gradient or a validation output that is not finite; see `trouble`.
    """
    if not stage.epochs:
        return []  # such as stage 1 of random prototypes, which have no parameters for an optimiser
    train_targets, val_targets = targets
    optimizer = _optimizer(stage, config)
    state = (checkpoint and checkpoint.load(stage, optimizer)) or Snapshot.start(stage)
    distributed.agree(
        state.epochs_done, f"checkpoint of {stage.title}"
    )  # from here on the first may write it
    per_epoch = math.ceil(len(train_targets) / config.batch_size)
    total = stage.epochs * per_epoch
    for epoch in range(state.epochs_done, stage.epochs):
        generator = epoch_generator(config.seed, stage.number, epoch)
        batches = torch.split(torch.randperm(len(train_targets), generator=generator), config.batch_size)
        stage.coming([distributed.mine(chosen) for chosen in batches])
        what = f"{stage.title}, epoch {epoch + 1}/{stage.epochs}"
        place, losses = _place(stage, epoch, per_epoch, config, checkpoint), []
        for batch, chosen in enumerate(track(batches, what, quiet=quiet)):
            factor = rate(epoch * per_epoch + batch, total, config)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            try:
                losses.append(_step(stage, optimizer, chosen, generator))
            except FloatingPointError as error:
                files = names(paths[0], chosen.tolist())
                raise place.error(str(error), files, batch + 1) from None
        row = {"stage": stage.number, "epoch": epoch + 1, "loss": sum(losses) / len(losses)}
        probabilities = stage.validate()
        if bad := bad_rows(probabilities):
            raise place.error("the validation output is not finite", names(paths[1], bad))
        row = distributed.from_first(row | _judge(probabilities, val_targets, ranks))
        state.record(stage, row)
        if checkpoint and distributed.first():
            checkpoint.save(stage, optimizer, state)
    distributed.copy_from_first(state.best.values())
    state.restore_best(stage)
    return state.history


def _step(
    stage: Stage, optimizer: torch.optim.Optimizer, chosen: Tensor, generator: torch.Generator
) -> float:
    """One gradient step; the loss as a number. FloatingPointError where it must not be taken."""
    loss = stage.loss(chosen, generator)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError(f"the loss is {value}")
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    if stage.shared:
        distributed.average_gradients(stage.parameters.values())
    if bad := bad_gradient(stage.parameters):
        raise FloatingPointError(f"the gradient of {bad} is not finite")
    optimizer.step()
    return value


def _place(stage: Stage, epoch: int, steps: int, config: Config, checkpoint: Checkpoint | None) -> Place:
    """What an error in this epoch has to name."""
    lr = f"{stage.lr_option or f'--lr{stage.number}'}, now {stage.lr:g}"
    kept = checkpoint.file(stage) if checkpoint else None
    return Place(stage.title, epoch + 1, steps, lr, config.precision == "bf16", kept)


def _optimizer(stage: Stage, config: Config) -> torch.optim.Adam:
    """Adam over the stage's parameters, one group for each learning-rate factor; the first part of a name decides.

    One fused kernel on a GPU; on a CPU it would round otherwise than the plain form, with which all results were made.
    Many small parameters at once round as one by one do and save a third of the time; large ones would cost copies.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in stage.parameters.items():
        factor = next((f for part, f in stage.lr_factors.items() if part in name), 1.0)
        groups.setdefault(factor, []).append(parameter)
    rows: list[dict[str, Any]] = [
        {"params": group, "peak": stage.lr * factor} for factor, group in groups.items()
    ]
    parameters = stage.parameters.values()
    if all(parameter.is_cuda for parameter in parameters):
        how: dict[str, Any] = {"fused": True}
    else:
        how = {"foreach": sum(parameter.numel() for parameter in parameters) < AT_ONCE}
    return torch.optim.Adam(rows, lr=stage.lr, weight_decay=config.weight_decay, **how)


def _judge(probabilities: Tensor, targets: Tensor, ranks: Ranks) -> dict[str, float]:
    """Validation figures of an epoch."""
    predicted, expected = probabilities.argmax(1), probabilities @ ranks.values_tensor()
    values = ranks.values_tensor()[targets]
    return {
        "val_mae": mae(targets, predicted, ranks),
        "val_mae_expected": float((expected - values).abs().mean()),
        "val_accuracy": float((predicted == targets).float().mean()),
        "val_rps": rps(targets, probabilities, ranks),
    }
