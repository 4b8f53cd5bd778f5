"""Which parameters train in which stage, as a table."""

from fnmatch import fnmatchcase

from torch import nn

from l2rclip_lite.config import Config
from l2rclip_lite.model import L2RCLIP

FREEZING: tuple[tuple[str, tuple[str, ...]], ...] = (
    # parameters, and the stages in which they train; stage 2 leaves the towers alone where a kernel head is fitted
    ("prompts.context", ("stage 1",)),
    ("prompts.rankformer.*", ("stage 1",)),
    ("towers.image.*", ("stage 2",)),
    ("towers.text.*", ()),
    ("towers.logit_scale", ()),
)


def trains(name: str, stage: str, config: Config) -> bool:
    """Whether the freezing table lets a parameter train in a stage; the first pattern decides.

    Example:
        >>> [
        ...     trains(name, "stage 1", Config())
        ...     for name in ("prompts.context", "towers.image.projection.weight")
        ... ]
        [True, False]
    """
    stages = next(stages for pattern, stages in FREEZING if fnmatchcase(name, pattern))
    fixed = name.startswith("towers.") and config.image_side != "tower"
    return stage in stages and not fixed


def freeze(model: L2RCLIP, stage: str) -> dict[str, nn.Parameter]:
    """Switch gradients by the table; returns the parameters that train, by name."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name, stage, model.config))
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def freezing_table(model: L2RCLIP) -> str:
    """The freezing table with the number of parameters in each row, ready to print."""
    lines = [f"{'parameters':<22}{'number':>12}   stage 1   stage 2"]
    named = dict(model.named_parameters())
    for pattern, _ in FREEZING:
        if names := [name for name in named if fnmatchcase(name, pattern)]:
            stages = ("stage 1", "stage 2")
            words = (
                "trains" if trains(names[0], stage, model.config) else "frozen" for stage in stages
            )
            size = sum(named[name].numel() for name in names)
            lines.append(f"{pattern:<22}{size:>12,}   {'    '.join(words)}")
    return "\n".join(lines)
