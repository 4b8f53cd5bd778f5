"""What `model.safetensors` must hold to be loaded: checked before anything is built, and again before it is copied.

The file may come from a stranger. Nothing in it is ever executed; what is checked here is that its config asks for no
more memory than its tensors take, and that its tensors are exactly those of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.rankformer import RankFormer
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import image_shapes

Shapes = Mapping[str, tuple[int, ...]]
MISFIT = "its tensors do not fit its config ({}); train the run again."


def shapes_in(stored: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of an open safetensors file; none is read."""
    return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118


def refuse_larger(config: Config, ranks: Ranks, found: Shapes) -> None:
    """Refuse a config that would build other sizes than the file holds, before it takes memory for them.

    Args:
        config: As the file says.
        ranks: As the file says.
        found: The shapes of its tensors.

    Raises:
        InputError: A size that differs.

    Example:
        >>> ranks = Ranks(("low", "high"), (0, 1), template="{rank} damage")
        >>> refuse_larger(Config(), ranks, {"rank_features": (3, 384)})
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: its tensors do not fit its config ('rank_features' is (3, 384), not (2, 384));
        train the run again.
    """
    dim = found["rank_features"][-1]
    expected: dict[str, tuple[int, ...]] = {"rank_features": (len(ranks), dim)}
    _compare(found, expected)
    if config.prototypes != "random":
        width = found["prompts.context"][-1]
        expected["prompts.context"] = (config.context_length, width)
        if config.rankformer:
            expected |= _rankformer(config, width, len(found))
    shapes = image_shapes(config.towers, config.weights, config.image_size)
    _compare(found, expected | {f"towers.image.{name}": shape for name, shape in shapes.items()})


def refuse_misfit(found: Shapes, model: Mapping[str, Tensor]) -> None:
    """Refuse a file whose tensors are not exactly those of the model, before one is read.

    Args:
        found: The shapes of its tensors.
        model: `L2RCLIP.changed_tensors` of what its config builds.

    Raises:
        InputError: A name or a shape that differs.
    """
    if unknown := sorted(found.keys() - model.keys()):
        raise InputError(MISFIT.format(f"{unknown[0]!r} is none of the model's"))
    _compare(found, {name: tuple(tensor.shape) for name, tensor in model.items()})


def refuse_other_numbers(tensors: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> None:
    """Refuse tensors of another number format, and numbers that are not finite.

    Args:
        tensors: What was read.
        model: `L2RCLIP.changed_tensors`.

    Raises:
        InputError: The first such tensor.
    """
    for name, tensor in tensors.items():
        if tensor.dtype != model[name].dtype:
            raise InputError(MISFIT.format(f"{name!r} holds {tensor.dtype}, not {model[name].dtype}"))
        if not tensor.isfinite().all():
            raise InputError(f"{name!r} holds numbers that are not finite; train the run again.")
    if not tensors["towers.logit_scale"].exp().isfinite():
        raise InputError("'towers.logit_scale' is too large for a scale; train the run again.")


def _rankformer(config: Config, width: int, tensors: int) -> dict[str, tuple[int, ...]]:
    """The shapes of RankFormer, built on torch's "meta" device, which takes no memory; but time for each block."""
    if config.depth > tensors:
        raise InputError(MISFIT.format(f"{tensors} tensors for {config.depth:,} blocks"))
    with torch.device("meta"):
        former = RankFormer(
            width,
            heads=config.heads,
            hidden=config.hidden,
            depth=config.depth,
            learn_alpha=config.learn_alpha,
            axis=config.axis,
        )
    return {f"prompts.rankformer.{name}": tuple(t.shape) for name, t in former.state_dict().items()}


def _compare(found: Shapes, expected: Shapes) -> None:
    for name, shape in expected.items():
        if found.get(name) != shape:
            here = f"is {found[name]}, not {shape}" if name in found else "is missing"
            raise InputError(MISFIT.format(f"{name!r} {here}"))
