"""One checkpoint an epoch: parameters, the best ones so far, and Adam's moments."""

import json
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import Named, read_tensors, save_tensors


def save_checkpoint(
    file: Path, parameters: Named, best: Named, optimizer: Optimizer, about: Any
) -> None:
    """Keep parameters, the best ones so far, Adam's moments and a JSON-ready record, all in one atomic write."""
    tensors = {f"now/{name}": value for name, value in parameters.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, parameter in parameters.items():
        tensors |= {
            f"adam.{key}/{name}": value for key, value in optimizer.state[parameter].items()
        }
    save_tensors(file, tensors, {"about": json.dumps(about)})


@torch.no_grad()
def load_checkpoint(file: Path, parameters: Named, best: Named, optimizer: Optimizer) -> Any:
    """Put a stored epoch back into parameters, `best` and optimizer; returns the record, None where there is no file.

    Raises:
        InputError: The file is damaged or belongs to another model.
    """
    if not file.exists():
        return None
    tensors, metadata = read_tensors(file)
    try:
        if not all(
            value.isfinite().all() and value.dtype == torch.float32 for value in tensors.values()
        ):
            raise ValueError("it holds numbers that are not finite, or of another type")
        for name, parameter in parameters.items():
            for kind, target in (("now", parameter), ("best", best[name])):
                if tensors[f"{kind}/{name}"].shape != target.shape:
                    raise ValueError(f"{name} has another shape")
                target.copy_(tensors[f"{kind}/{name}"])
            state = optimizer.state[parameter]
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.empty_like(parameter).copy_(tensors[f"adam.{key}/{name}"])
            state["step"] = tensors[f"adam.step/{name}"].to(
                parameter.device
            )  # where a fused Adam wants it
        history, score, steps, *step_images = json.loads(metadata["about"])
        images = int(step_images[0]) if step_images else None  # older ones have none
        return list(history), (float(score[0]), float(score[1])), int(steps), images
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        problem = f"damaged or of another model ({error})"
        raise InputError(f"{file}: {problem}; delete it to start this stage anew.") from error
