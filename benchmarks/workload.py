"""What the rows train and encode: models, pictures, and the bare image tower they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from timing import Call, Paired, quartiles
from torch import Tensor

from l2rclip_lite import L2RCLIP, Config, Ranks, Towers, load_towers
from l2rclip_lite.schemes import Pictures, stage2
from l2rclip_lite.stages import Stage

FACE = "a photo of a {rank} years old face"
GRADES = Ranks(
    ("no", "slight", "moderate", "strong", "very strong"), (0, 1, 2, 3, 4), "a leaf with {rank} damage"
)


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Args:
        repeats: That many count.
        threads: Of torch.
        device: "cpu" or "cuda".
        data: The folder that holds `bracol_severity` and `datalists`; None where there is none.
        quick: Small pictures and tiny towers: shows that a row runs, its figure says nothing.
    """

    repeats: int = 7
    threads: int = 1
    device: str = "cpu"
    data: Path | None = None
    quick: bool = False

    def towers(self, name: str) -> str:
        """The towers to measure."""
        return "tiny/random" if self.quick else name

    @property
    def image_size(self) -> int:
        """Side of a picture."""
        return 64 if self.quick else 224


@dataclass(frozen=True)
class Found:
    """What a row measured.

    Args:
        value: The figure.
        low: Lower quartile.
        high: Upper quartile.
        repeats: How many were measured.
        detail: What stands behind it; times in seconds a call.
    """

    value: float
    low: float
    high: float
    repeats: int
    detail: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def ratio(cls, pair: Paired, **detail: Any) -> Found:
        """First ÷ second of a pair."""
        times = {"seconds": _middle(pair.ours), "other_seconds": _middle(pair.other)}
        return cls(pair.ratio, *pair.spread, len(pair.ours), times | detail)

    @classmethod
    def of(cls, numbers: list[float], **detail: Any) -> Found:
        """The median of several numbers."""
        return cls(_middle(numbers), *quartiles(numbers), len(numbers), detail)


class NotMeasuredError(Exception):
    """Why a row has no figure here."""


def _middle(numbers: Any) -> float:
    """The median."""
    return float(torch.tensor(list(numbers), dtype=torch.float64).quantile(0.5))


def ages(number: int, first: int = 1) -> Ranks:
    """K ages that follow each other.

    Example:
        >>> len(ages(62)), ages(62).names[0]
        (62, 'one')
    """
    return Ranks.integers(first, first + number - 1, template=FACE, unit="years")


def settings(setting: Setting, towers: str, batch: int, **changed: Any) -> Config:
    """The package's own defaults on these towers."""
    where: dict[str, Any] = {"threads": setting.threads, "device": setting.device}
    where["image_size"] = setting.image_size
    return Config(towers=setting.towers(towers), batch_size=batch, **where, **changed)


def build(config: Config, ranks: Ranks) -> L2RCLIP:
    """A model on its device."""
    return L2RCLIP.build(ranks, config).to(config.device)


def drawn(images: int, size: int) -> Tensor:
    """Noise in place of pictures: the cost of a network does not depend on what it sees."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8, generator=generator)


def stage2_of(model: L2RCLIP, images: int) -> Stage:
    """Stage 2 on pictures in memory."""
    pixels, targets = drawn(images, model.towers.image_size), torch.arange(images) % len(model.ranks)
    return stage2(
        model, Pictures({"train": pixels, "val": pixels[:1]}, {"train": targets, "val": targets[:1]})
    )


def bare_towers(config: Config) -> Towers:
    """The same towers once more, only the image side with gradients."""
    towers = load_towers(config.towers, image_size=config.image_size, seed=config.seed).to(config.device)
    for name, parameter in towers.named_parameters():
        parameter.requires_grad_(name.startswith("image."))
    return towers


def autocast(config: Config) -> torch.autocast:
    """The precision of the run."""
    return torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16")


def bare_step(config: Config, towers: Towers | None = None) -> Call:
    """Forward and backward of the bare image tower on a batch that is ready: no text, no loss, no optimiser.

    The tower stands in the same mode as in `fit` (its normalisation layers do not learn statistics), with the same
    memory format, precision and batch.
    """
    towers = towers or bare_towers(config)
    pixels = drawn(config.batch_size, towers.image_size).to(config.device)
    ready = towers.normalize(pixels.float() / 255)
    pull = torch.ones(config.batch_size, towers.dim, device=config.device)
    parameters = [parameter for parameter in towers.parameters() if parameter.requires_grad]

    def step() -> None:
        for parameter in parameters:
            parameter.grad = None
        with autocast(config):
            features = towers.encode_image(ready).float()
        torch.autograd.backward(features, pull)

    return step


@contextmanager
def threads(number: int) -> Iterator[None]:
    """That many threads of torch, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
