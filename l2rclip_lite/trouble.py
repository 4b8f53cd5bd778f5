"""Numbers that ran away: one sentence that says where, on which pictures, what is kept, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from l2rclip_lite.config import Config
from l2rclip_lite.errors import TrainingError

NAMED = 3  # pictures that a sentence names before it counts the rest


@dataclass(frozen=True)
class Place:
    """Where training stands.

    Args:
        title: The stage.
        epoch: Its epoch, from 1; those before it are complete.
        steps: Steps an epoch.
        lr: Peak learning rate, with the option that sets it, such as "--lr1, now 0.001".
        half: Whether the image tower runs in half precision.
        kept: The checkpoint of the epochs before; None where nobody asked for one.
    """

    title: str
    epoch: int
    steps: int
    lr: str
    half: bool
    kept: Path | None

    def error(self, what: str, files: Sequence[str], step: int | None = None) -> TrainingError:
        """The sentence.

        Args:
            what: What is not finite, and of what.
            files: Pictures it was seen on.
            step: The step of the epoch, from 1; None after the last.

        Example:
            >>> place = Place("stage 1", 2, 5, "--lr1, now 0.001", False, None)
            >>> print(place.error("the loss is nan", ["a.png", "b.png"], 3))
            stage 1, epoch 2, step 3 of 5: the loss is nan on a.png, b.png; epoch 1 was complete, but no checkpoint was \
asked for; use a smaller learning rate (--lr1, now 0.001) with a new --out.
        """
        where = f"{self.title}, epoch {self.epoch}" + (f", step {step} of {self.steps}" if step else "")
        fresh = self.epoch == 1 and step == 1
        return TrainingError(f"{where}: {what} on {listed(files)}; {self._saved()}; {self._fix(fresh)}.")

    def _saved(self) -> str:
        """What is kept."""
        if self.epoch == 1:
            return "no epoch of this stage was complete"
        done = "epoch 1" if self.epoch == 2 else f"epochs 1 to {self.epoch - 1}"
        if self.kept is None:
            return f"{done} was complete, but no checkpoint was asked for"
        return f"{done} {'is' if self.epoch == 2 else 'are'} kept in {self.kept}"

    def _fix(self, fresh: bool) -> str:
        """What to do; before the first step it cannot have been the learning rate."""
        half = "use --precision fp32 with a new --out, or " if self.half else ""
        if fresh:
            return (
                f"{half}look at these pictures, the rank values and the --weights: no step was taken before"
            )
        return f"{half}use a smaller learning rate ({self.lr}) with a new --out"


def listed(files: Sequence[str]) -> str:
    """The first few, and how many more.

    Example:
        >>> listed(["a.png", "b.png", "c.png", "d.png", "e.png"])
        'a.png, b.png, c.png and 2 more'
    """
    rest = len(files) - NAMED
    return ", ".join(files[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def names(paths: Sequence[str], rows: Iterable[int]) -> list[str]:
    """The pictures in these rows; by their number where nobody gave names.

    Example:
        >>> names(["a.png", "b.png"], [1]), names([], [1])
        (['b.png'], ['picture 1'])
    """
    return [paths[row] if paths else f"picture {row}" for row in rows]


def bad_rows(values: Tensor) -> list[int]:
    """The rows that hold a number which is not finite.

    Example:
        >>> bad_rows(torch.tensor([[0.0, 1.0], [float("nan"), 1.0]]))
        [1]
    """
    return [int(row) for row in (~values.isfinite().all(dim=1)).nonzero()[:, 0]]


def check_features(
    features: Mapping[str, Tensor], paths: Mapping[str, Sequence[str]], config: Config
) -> None:
    """Refuse image features of the untrained tower that are not finite: nothing that is trained could mend them.

    Args:
        features: A row a picture of each split.
        paths: Names of the pictures.
        config: The settings, for the fix.

    Raises:
        TrainingError: There are such; the message names the pictures.
    """
    for split, rows in features.items():
        if bad := bad_rows(rows):
            half = "use --precision fp32 with a new --out, or " if config.precision == "bf16" else ""
            raise TrainingError(
                f"the untrained towers {config.towers!r} make no finite features of {listed(names(paths[split], bad))}; "
                f"{half}get other weights: these are damaged, or not for this model."
            )


def bad_gradient(parameters: dict[str, nn.Parameter]) -> str | None:
    """The first parameter whose gradient is not finite; None where all are.

    Example:
        >>> weight = nn.Parameter(torch.zeros(1))
        >>> weight.grad = torch.tensor([float("inf")])
        >>> bad_gradient({"weight": weight})
        'weight'
        >>> weight = nn.Parameter(torch.zeros(9))
        >>> weight.grad = torch.full((9,), 1e30)  # large ones, whose squares are not finite
        >>> print(bad_gradient({"weight": weight}))
        None
    """
    found = {name: p.grad for name, p in parameters.items() if p.grad is not None and p.grad.numel()}
    # One number for all, with one look at the device: squares can only make it infinite too often, and of all norms this is
    # the fastest (on a CPU four times the largest entry). Only then each one is looked at.
    if not found or torch.nn.utils.get_total_norm(list(found.values())).isfinite():
        return None
    return next((name for name, gradient in found.items() if not gradient.isfinite().all()), None)
