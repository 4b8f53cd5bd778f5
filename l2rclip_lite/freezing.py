"""Which parameters train in which stage, as a table."""

from fnmatch import fnmatchcase

from torch import nn

from l2rclip_lite.config import Config
from l2rclip_lite.method.model import L2RCLIP

FREEZING: tuple[tuple[str, tuple[str, ...]], ...] = (
    # parameters, and the stages in which they train; stage 2 leaves the towers alone where a kernel
    # head is fitted
    ("prompts.context", ("stage 1",)),
    ("prompts.rankformer.*", ("stage 1",)),
    ("towers.image.*", ("stage 2",)),
    ("towers.text.*", ()),
    ("towers.logit_scale", ()),
)


def trains(name: str, stage: str, config: Config) -> bool:
    """Return whether the freezing table lets a parameter train in a stage.

    The first pattern that fits its name decides.

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
    """Switch gradients by the table, and return the parameters that train, by name."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name, stage, model.config))
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def freezing_table(model: L2RCLIP) -> str:
    """Return the freezing table with the number of parameters in each row, ready to print.

    A row without parameters is left out: without an epoch of stage 1 there are no prompts to learn.
    """
    lines = [f"{'parameters':<22}{'number':>12}   stage 1   stage 2"]
    parameters = dict(model.named_parameters())

    for pattern, _ in FREEZING:
        names = [name for name in parameters if fnmatchcase(name, pattern)]
        size = sum(parameters[name].numel() for name in names)
        if size == 0:
            continue

        states = []
        for stage in ("stage 1", "stage 2"):
            states.append("trains" if trains(names[0], stage, model.config) else "frozen")
        lines.append(f"{pattern:<22}{size:>12,}   {'    '.join(states)}")

    return "\n".join(lines)
