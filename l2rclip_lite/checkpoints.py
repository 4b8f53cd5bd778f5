"""One checkpoint an epoch: parameters, the best ones so far, and Adam's moments."""

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch.optim import Optimizer

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import Named, check_target, read_tensors, save_tensors

# history, score of the best epoch, steps taken, images per step
Progress = tuple[list[dict[str, int | float]], tuple[float, float], int, int | None]
PROGRESS: TypeAdapter[Progress] = TypeAdapter(Progress)


def save_checkpoint(
    file: Path, parameters: Named, best: Named, optimizer: Optimizer, about: Any
) -> None:
    """Write parameters, the best ones so far, Adam's moments and a record, atomically.

    Args:
        file: What to write.
        parameters: The current ones, by name.
        best: Those of the best epoch so far.
        optimizer: Adam, which has a state for each of the parameters.
        about: The record, see `Progress`.
    """
    tensors = {f"now/{name}": value for name, value in parameters.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            tensors[f"adam.{key}/{name}"] = value
    save_tensors(file, tensors, {"about": json.dumps(about)})


@torch.no_grad()
def load_checkpoint(file: Path, parameters: Named, best: Named, optimizer: Optimizer) -> Any:
    """Put a stored epoch back into parameters, `best` and optimizer.

    Returns:
        The record, see `Progress`; None where there is no file.

    Raises:
        InputError: The file is damaged or belongs to another model, or it is no regular file.
    """
    check_target(file)
    if not file.exists():
        return None

    tensors, metadata = read_tensors(file)
    try:
        for name, value in tensors.items():
            if value.dtype != torch.float32 or not value.isfinite().all():
                raise ValueError(f"{name} does not hold finite float32 numbers")

        for name, parameter in parameters.items():
            _copy(tensors[f"now/{name}"], parameter, name)
            _copy(tensors[f"best/{name}"], best[name], name)

            state = optimizer.state[parameter]
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.empty_like(parameter)
                _copy(tensors[f"adam.{key}/{name}"], state[key], name)
            # where a fused Adam wants it
            state["step"] = tensors[f"adam.step/{name}"].to(parameter.device)

        record = json.loads(metadata["about"])
        if len(record) == 3:  # of an earlier release
            record = [*record, None]
        return PROGRESS.validate_python(record)
    except (LookupError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        problem = f"damaged or of another model ({error})"
        raise InputError(f"{file}: {problem}; delete it to start this stage anew.") from error


def _copy(stored: torch.Tensor, target: torch.Tensor, name: str) -> None:
    """Copy a tensor, which must have the shape of the target."""
    if stored.shape != target.shape:
        raise ValueError(f"{name} has another shape")
    target.copy_(stored)
