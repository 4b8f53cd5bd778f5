"""A checkpoint a stage: one safetensors file, replaced atomically after every epoch, enough to go on bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import is_there, save_tensors
from l2rclip_lite.tensor_file import open_tensors
from l2rclip_lite.typed import fits

if TYPE_CHECKING:
    from l2rclip_lite.stages import Stage


@dataclass
class Snapshot:
    """How far a stage has come, and its best epoch so far.

    Args:
        epochs_done: Complete epochs.
        history: One row an epoch.
        best_score: (validation MAE, validation RPS) of the best epoch.
        best: Its parameters.
    """

    epochs_done: int
    history: list[dict[str, float]]
    best_score: tuple[float, float]
    best: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def start(cls, stage: Stage) -> Snapshot:
        """Nothing done; the best so far is where the stage begins."""
        return cls(0, [], (float("inf"), float("inf")), _copies(stage.parameters))

    def record(self, stage: Stage, row: dict[str, float]) -> None:
        """Add a complete epoch, and keep its parameters if it is the best."""
        self.epochs_done += 1
        self.history.append(row)
        score = (row["val_mae"], row["val_rps"])
        if score < self.best_score:
            self.best_score, self.best = score, _copies(stage.parameters)

    @torch.no_grad()
    def restore_best(self, stage: Stage) -> None:
        """Put the best epoch's parameters back into the model."""
        for name, value in self.best.items():
            stage.parameters[name].copy_(value)


class Checkpoint:
    """The folder of a run's unfinished work.

    Args:
        folder: Created when first written; its owner removes it when the run is complete.
        check: Called before each write; raises where the run's directory is no longer there.
    """

    def __init__(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        self.folder, self.check = folder, check

    def save(self, stage: Stage, optimizer: torch.optim.Optimizer, state: Snapshot) -> None:
        """Keep parameters, Adam's moments, best parameters and history, all in one atomic write."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in stage.parameters.items():
            tensors[f"now/{name}"], tensors[f"best/{name}"] = parameter, state.best[name]
            for key, value in optimizer.state[parameter].items():
                tensors[f"adam.{key}/{name}"] = value
        about = {"epochs_done": state.epochs_done, "history": state.history, "best_score": state.best_score}
        self.check()
        save_tensors(self.file(stage), tensors, {"snapshot": json.dumps(about)})

    @torch.no_grad()
    def load(self, stage: Stage, optimizer: torch.optim.Optimizer) -> Snapshot | None:
        """Put a stored epoch back into parameters and optimizer; None where there is none.

        Raises:
            InputError: The file is damaged or belongs to another model.
        """
        file = self.file(stage)
        if not is_there(file):
            return None
        try:
            tensors, metadata = read_tensors(file)
            about = json.loads(metadata["snapshot"])
            for name, parameter in stage.parameters.items():
                parameter.copy_(_of_shape(tensors, f"now/{name}", parameter.shape))
                state: dict[str, Any] = optimizer.state[parameter]
                for key in ("step", "exp_avg", "exp_avg_sq"):
                    shape = torch.Size() if key == "step" else parameter.shape
                    value = _of_shape(tensors, f"adam.{key}/{name}", shape)
                    # Adam keeps its moments in the layout of the parameter, and its step count on the CPU unless fused.
                    if key != "step":
                        state[key] = torch.empty_like(parameter).copy_(value)
                    else:
                        state[key] = value.to(parameter.device) if optimizer.defaults["fused"] else value
            best = {
                name: _of_shape(tensors, f"best/{name}", parameter.shape)
                for name, parameter in stage.parameters.items()
            }
            first, second = about["best_score"]
            history = _history(about["history"], about["epochs_done"], stage)
            return Snapshot(len(history), history, (float(first), float(second)), best)
        except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: damaged or of another model ({error}); delete it to start this stage anew."
            ) from error

    def file(self, stage: Stage) -> Path:
        """Where a stage is kept."""
        return self.folder / f"stage{stage.number}.safetensors"


def read_tensors(file: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """All tensors of a safetensors file, in memory of their own, and its metadata.

    A tensor of safetensors lies where the file has it, in general at no multiple of 16 bytes; from there a matrix product
    differs in the last bit from that of the tensor that was saved. A copy lies where torch puts every tensor.
    """
    with open_tensors(file) as stored:
        tensors = {name: stored.get_tensor(name).clone() for name in stored.keys()}  # noqa: SIM118
        return tensors, stored.metadata() or {}


def _of_shape(tensors: Mapping[str, Tensor], name: str, shape: torch.Size) -> Tensor:
    """A stored tensor; one of another shape or type would be stretched or rounded to fit without a word."""
    found = tensors[name]
    if found.shape != shape or found.dtype != torch.float32:
        raise ValueError(
            f"{name} has shape {tuple(found.shape)} and type {found.dtype}, not {tuple(shape)} of float32"
        )
    if not found.isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return found


def _history(rows: Any, done: Any, stage: Stage) -> list[dict[str, float]]:
    """One row of figures for each epoch that is done."""
    if (
        not fits(done, int)
        or not 0 <= done <= stage.epochs
        or not isinstance(rows, list)
        or len(rows) != done
    ):
        raise ValueError("its history does not go with its number of epochs")
    for epoch, row in enumerate(rows, start=1):
        figures = isinstance(row, dict) and all(isinstance(value, float | int) for value in row.values())
        if not figures or (row.get("stage"), row.get("epoch")) != (stage.number, epoch):
            raise ValueError(f"row {epoch} of its history is not that of an epoch")
    return rows


def _copies(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}
