"""The stages of the method in a run: what a config says of them, checkpoints and bars.

`method.stages` trains; here stand settings, data and files.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState
from tqdm import tqdm

from l2rclip_lite.config import Config
from l2rclip_lite.devices import failures_in_words, together
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.method import Scalar
from l2rclip_lite.method.optimisation import Optimisation, Row, Scores, Stage
from l2rclip_lite.method.stages import (
    Encode,
    ImageEncoder,
    Loss,
    LossSettings,
    freeze,
    stage1_loss,
    stage2_loss,
    train_stage1,
    train_stage2,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.training_data import TrainingData

OnEpoch = Callable[[Row], object]

# --- what a config says -------------------------------------------------------------------------


def optimisation(config: Config) -> Optimisation:
    """Return how parameters move."""
    return Optimisation(
        seed=config.seed,
        weight_decay=config.weight_decay,
        warmup=config.warmup,
        clip=config.controls.clip,
        select=config.controls.select,
    )


def loss_settings(config: Config) -> LossSettings:
    """Return weights and forms of the losses."""
    controls = config.controls
    return LossSettings(
        **config.loss_weights()._asdict(),
        contrastive=controls.contrastive,
        order=controls.order,
        symmetric=controls.symmetric,
        normalise=controls.normalise,
        push_power=controls.push_power,
    )


def tunes_tower(config: Config) -> bool:
    """Return whether stage 2 trains the image tower; else a head on it is fitted."""
    return config.image_side == "tower"


def stage1(model: L2RCLIP, data: TrainingData) -> Stage:
    """Return stage 1 before its first epoch; without prompts it has none."""
    config = model.config
    epochs = 0 if model.prompts is None else config.stage1_epochs()
    return Stage(
        number=1,
        parameters=freeze(model, "stage 1") if epochs else {},
        lr=config.lr1,
        n_epochs=epochs,
        n_images=len(data.targets["train"]),
        batch_size=data.feature_batch_size(config),
        settings=optimisation(config),
    )


def stage1_epochs(model: L2RCLIP, data: TrainingData, stage: Stage | None = None) -> Iterator[Row]:
    """Train stage 1 as the config of the model says, see `method.stages.train_stage1`.

    Nothing is trained until somebody iterates: write `history = list(stage1_epochs(model, data))`.

    Args:
        model: As built.
        data: Its features.
        stage: From `stage1`, such as one that goes on after its first epochs.
    """
    return train_stage1(
        model,
        stage or stage1(model, data),
        batches=partial(data.feature_batches, model),
        loss=loss_of(stage1_loss, model),
        score=lambda: data.scores(model, data.features["val"]),
    )


def loss_of(stage_loss: Callable[..., Scalar], model: L2RCLIP) -> Loss:
    """Return `stage1_loss` or `stage2_loss` under the config of the model."""
    return partial(
        stage_loss,
        values=model.ranks.values_tensor().to(model.device),
        scale=model.scale.detach(),
        settings=loss_settings(model.config),
    )


def stage2(model: L2RCLIP, data: TrainingData, lr: float | None = None) -> Stage:
    """Return stage 2 before its first epoch.

    Args:
        model: After stage 1.
        data: With its images.
        lr: Peak learning rate; None takes `Config.lr2`, else the first of `Towers.image_lrs`.
    """
    config = model.config
    parameters = {}
    if config.epochs2:
        parameters = freeze(model, "stage 2", tunes_tower=tunes_tower(config))
    return Stage(
        number=2,
        parameters=parameters,
        lr=lr or config.lr2 or model.towers.image_lrs[0],
        n_epochs=config.epochs2,
        n_images=len(data.targets["train"]),
        batch_size=data.pixel_batch_size(config),
        settings=optimisation(config),
    )


def stage2_epochs(
    model: L2RCLIP, data: TrainingData, stage: Stage | None = None, loss: Loss | None = None
) -> Iterator[Row]:
    """Train the image tower as the config of the model says, see `method.stages.train_stage2`.

    Nothing is trained until somebody iterates: write `history = list(stage2_epochs(model, data))`.
    All processes that train together have to call it.

    Args:
        model: After stage 1.
        data: With its images.
        stage: From `stage2`, such as one that goes on after its first epochs.
        loss: Another one than that of the config.
    """
    stage = stage or stage2(model, data)
    return train_stage2(
        model,
        stage,
        batches=partial(data.batches, model),
        loss=loss or loss_of(stage2_loss, model),
        score=lambda: data.scores(model, data.encode(model, "val")),
        encode=encoder_of(model) if stage.tower else None,
    )


def encoder_of(model: L2RCLIP) -> Encode:
    """Return what turns the pixels of a batch into features, by all processes together."""
    return together(ImageEncoder(model, model.config.micro_batch_size))


# --- bars and checkpoints -----------------------------------------------------------------------


def run_stage(
    model: L2RCLIP,
    stage: Stage,
    epochs: Iterator[Row],
    *,
    run: RunDirectory | None = None,
    quiet: bool = True,
    on_epoch: OnEpoch | None = None,
) -> list[Row]:
    """Train a stage to its end, after the epoch at which it was stopped, and return its history.

    Args:
        model: What trains.
        stage: Before its first epoch.
        epochs: Trains it; a row after each epoch.
        run: Where each complete epoch is kept; None keeps none.
        quiet: Whether to hide the bar and the scores of each epoch.
        on_epoch: Called with each row of the history, when the epoch is on disk.

    Raises:
        InputError: A checkpoint that is damaged, or was written by another number of processes.
        TrainingError: A loss that is not finite, memory that runs out, or a lost process.
    """
    file = None
    if run is not None:
        file = run.own(f"{run.unfinished.name}/{stage.file}.safetensors")
        load_checkpoint(file, stage)

    bar = tqdm(
        desc=stage.name,
        total=stage.n_steps,
        initial=stage.steps_taken,
        unit="step",
        disable=quiet or stage.n_steps == 0 or None,
    )
    stage.on_step = bar.update

    with bar, failures_in_words(stage.name, _advice(model, stage)):
        for row in epochs:
            if file is not None and PartialState().is_main_process:
                save_checkpoint(file, stage)
            PartialState().wait_for_everyone()  # one that has ended is missed now, not later

            if not quiet:
                scores = f"validation RPS {row['val_rps']:.3f}, MAE {row['val_mae']:.3f}"
                epoch = f"epoch {row['epoch']} of {stage.n_epochs}"
                bar.write(f"{stage.name}, {epoch}: loss {row['loss']:.3f}, {scores}", sys.stderr)
            if on_epoch is not None:
                on_epoch(row)
    return stage.history


def _advice(model: L2RCLIP, stage: Stage) -> str:
    """Return what fills the memory of a stage, and what to try."""
    if not stage.tower:  # stored features are small
        cure = "try fewer ranks (--rebin), a shorter --template or another --device"
        return f"with {len(model.ranks)} sentences at once; {cure}"

    images = model.config.micro_batch_size or model.config.batch_size
    cure = "try fewer (--micro-batch-size), a smaller --image-size or another --device"
    return f"with {images} images at once; {cure}"


# --- one checkpoint an epoch: parameters, those of the kept epoch, and Adam's moments ------------


def save_checkpoint(file: Path, stage: Stage) -> None:
    """Write all that a stage needs to go on after an epoch, atomically."""
    tensors = {}
    for name, parameter in stage.parameters.items():
        tensors[f"now/{name}"] = parameter.detach()
        tensors[f"kept/{name}"] = stage.kept[name]
        for key, value in stage.optimizer.state[parameter].items():
            tensors[f"adam.{key}/{name}"] = value

    record = {
        "history": stage.history,
        "kept_score": stage.kept_score,
        "steps_taken": stage.steps_taken,
        "batch_size": stage.batch_size,
    }
    save_tensors(file, tensors, {"record": json.dumps(record)})


def load_checkpoint(file: Path, stage: Stage) -> None:
    """Let a stage go on after the epoch that a checkpoint has kept, if there is one.

    Raises:
        InputError: The file is damaged, or of another model, release or number of processes.
    """
    if not file.exists():
        return
    tensors, metadata = read_tensors(file)

    shapes = {f"now/{name}": parameter.shape for name, parameter in stage.parameters.items()}
    stored = {name: value.shape for name, value in tensors.items() if name.startswith("now/")}
    if "record" not in metadata or stored != shapes:
        problem = "damaged, or of another model or release"
        raise InputError(f"{file}: {problem}; delete it to start this stage anew.")

    # the schedule counts steps, and the draws of an epoch are those of its batches
    record = json.loads(metadata["record"])
    if record["batch_size"] != stage.batch_size:
        begun = f"begun with {record['batch_size']} images a step, and now it would be"
        cure = "start as many processes as before, or choose a new --out"
        raise InputError(f"{file}: {begun} {stage.batch_size}; {cure}.")

    for name, parameter in stage.parameters.items():
        parameter.data.copy_(tensors[f"now/{name}"])
        stage.kept[name] = torch.empty_like(parameter).copy_(tensors[f"kept/{name}"])

        state = stage.optimizer.state[parameter]
        state["step"] = tensors[f"adam.step/{name}"].to(parameter.device)  # of a fused Adam
        for key in ("exp_avg", "exp_avg_sq"):
            state[key] = torch.empty_like(parameter).copy_(tensors[f"adam.{key}/{name}"])

    stage.history = record["history"]
    stage.kept_score = Scores(*record["kept_score"])
    stage.steps_taken = record["steps_taken"]
