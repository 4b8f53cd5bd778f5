"""One checkpoint an epoch: parameters, those of the kept epoch, and Adam's moments."""

import json
from pathlib import Path

import torch

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.method.stage import Stage


def tensors_of(stage: Stage) -> dict[str, torch.Tensor]:
    """Return all tensors that a stage needs to go on, by name; they share its memory."""
    tensors = {}
    for name, parameter in stage.parameters.items():
        tensors[f"now/{name}"] = parameter.detach()
        tensors[f"kept/{name}"] = stage.kept[name]
        for key, value in stage.optimizer.state[parameter].items():
            tensors[f"adam.{key}/{name}"] = value
    return tensors


def save_checkpoint(file: Path, stage: Stage) -> None:
    """Write a stage after an epoch, atomically."""
    record = {
        "history": stage.history,
        "kept_score": stage.kept_score,
        "steps_taken": stage.steps_taken,
        "batch_size": stage.batch_size,
    }
    save_tensors(file, tensors_of(stage), {"record": json.dumps(record)})


def load_checkpoint(file: Path, stage: Stage) -> None:
    """Let a stage go on after the epoch that a checkpoint has kept, if there is one.

    Raises:
        InputError: The file is damaged, or belongs to another model, another release or another
            number of processes.
    """
    if not file.exists():
        return
    tensors, metadata = read_tensors(file)

    for name, parameter in stage.parameters.items():  # as they are after a step
        stage.kept[name] = torch.empty_like(parameter)
        state = stage.optimizer.state[parameter]
        state["step"] = torch.zeros((), device=parameter.device)  # where a fused Adam wants it
        state["exp_avg"] = torch.empty_like(parameter)
        state["exp_avg_sq"] = torch.empty_like(parameter)
    places = tensors_of(stage)

    shapes = {name: value.shape for name, value in tensors.items()}
    if "record" not in metadata or shapes != {name: value.shape for name, value in places.items()}:
        problem = "damaged, or of another model or release"
        raise InputError(f"{file}: {problem}; delete it to start this stage anew.")

    # the schedule counts steps, and the draws of an epoch are those of its batches
    record = json.loads(metadata["record"])
    if record["batch_size"] != stage.batch_size:
        begun = f"begun with {record['batch_size']} images a step, and now it would be"
        cure = "start as many processes as before, or choose a new --out"
        raise InputError(f"{file}: {begun} {stage.batch_size}; {cure}.")

    for name, place in places.items():
        place.copy_(tensors[name])
    stage.history = record["history"]
    stage.kept_score = tuple(record["kept_score"])
    stage.steps_taken = record["steps_taken"]
