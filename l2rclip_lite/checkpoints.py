"""One checkpoint an epoch: parameters, those to be kept so far, and Adam's moments."""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import TypeAdapter
from torch.optim import Optimizer

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import (
    NamedTensors,
    check_target,
    digest_of,
    read_header,
    read_tensors,
    save_tensors,
)

MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam


class Record(NamedTuple):
    """How far a stage has come.

    Args:
        history: One row per epoch.
        kept_score: RPS and MAE of the kept epoch on the validation images.
        steps: Steps that were taken.
        step_images: Images per step; None in the records of an earlier release.
    """

    history: list[dict[str, int | float]]
    kept_score: tuple[float, float]
    steps: int
    step_images: int | None = None


RECORD: TypeAdapter[Record] = TypeAdapter(Record)


def save_checkpoint(
    file: Path, parameters: NamedTensors, kept: NamedTensors, optimizer: Optimizer, record: Record
) -> None:
    """Write parameters, those to be kept so far, Adam's moments and a record, atomically.

    Args:
        file: What to write.
        parameters: The current ones, by name.
        kept: Those of the epoch that is kept so far.
        optimizer: Adam, which has a state for each of the parameters.
        record: How far the stage has come.
    """
    tensors = {f"now/{name}": value for name, value in parameters.items()}
    tensors |= {f"best/{name}": value for name, value in kept.items()}
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            tensors[f"adam.{key}/{name}"] = value
    text = json.dumps(record)
    save_tensors(file, tensors, {"about": text, "sha256": digest_of(tensors, text)})


@torch.no_grad()
def load_checkpoint(
    file: Path, parameters: NamedTensors, kept: NamedTensors, optimizer: Optimizer
) -> Record | None:
    """Put a stored epoch back into parameters, `kept` and optimizer.

    Returns:
        How far the stage had come; None where there is no file.

    Raises:
        InputError: The file is damaged or belongs to another model, or it is no regular file.
    """
    check_target(file)
    if not file.exists():
        return None

    header, _ = read_header(file)
    _check_shapes(file, header, parameters)

    tensors, metadata = read_tensors(file)
    sha256 = metadata.get("sha256")  # not in those of earlier releases
    if sha256 is not None and sha256 != digest_of(tensors, metadata.get("about", "")):
        raise unusable_checkpoint(file, "its numbers are not those that were written")
    try:
        for name, value in tensors.items():
            if value.dtype != torch.float32 or not value.isfinite().all():
                raise ValueError(f"{name} does not hold finite float32 numbers")

        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"now/{name}"])
            kept[name].copy_(tensors[f"best/{name}"])

            state = optimizer.state[parameter]
            for key in MOMENTS:
                state[key] = torch.empty_like(parameter).copy_(tensors[f"adam.{key}/{name}"])
            # where a fused Adam wants it
            state["step"] = tensors[f"adam.step/{name}"].to(parameter.device)

        return RECORD.validate_python(json.loads(metadata["about"]))
    except (LookupError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise unusable_checkpoint(file, str(error)) from error


def _check_shapes(file: Path, header: NamedTensors, parameters: NamedTensors) -> None:
    """Refuse a checkpoint of other parameters, before its numbers are read."""
    expected = {}
    for name, parameter in parameters.items():
        for part in ("now", "best", *(f"adam.{key}" for key in MOMENTS)):
            expected[f"{part}/{name}"] = parameter.shape
        expected[f"adam.step/{name}"] = torch.Size()

    for name in sorted(expected.keys() | header.keys()):
        if name not in header or name not in expected or header[name].shape != expected[name]:
            raise unusable_checkpoint(file, f"{name} is missing, unknown, or has another shape")


def unusable_checkpoint(file: Path, reason: str) -> InputError:
    """Return the sentence about a checkpoint that cannot be used."""
    problem = f"damaged or of another model ({reason})"
    return InputError(f"{file}: {problem}; delete it to start this stage anew.")
