"""`fit`: the one place where method, data and runs meet, from a data set to a run directory.

The stages themselves are in `method.stages`; here stand the run, checkpoints, bars, several
processes and the history. A run can be resumed at any moment.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from threadpoolctl import threadpool_limits
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.data.reading import MapStyle
from l2rclip_lite.devices import choose_device, failures_in_words
from l2rclip_lite.errors import InputError
from l2rclip_lite.image_side import keep_best, train_kernel
from l2rclip_lite.method.optimisation import Row, Stage
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.method.stages import freezing_table
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.runs.results import Comparison, Run, write_results
from l2rclip_lite.stages import (
    OnEpoch,
    run_stage,
    stage1,
    stage1_epochs,
    stage2,
    stage2_epochs,
    tunes_tower,
)
from l2rclip_lite.training_data import TrainingData


def fit(  # noqa: PLR0913  (an entry point)
    data: OrdinalDataset | Sequence[MapStyle],
    config: Config,
    out: str | Path,
    *,
    ranks: Ranks | None = None,
    source: Mapping[str, Any] | None = None,
    cache: str | Path | None = None,
    quiet: bool = False,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Train L2RCLIP on a data set and write a run directory; an unfinished run is resumed.

    Under `accelerate launch`, or on CPUs `torchrun`, all processes train the image tower of one run
    together, and get what one process gets with `batch_size` times their number; the first writes
    the files.

    Args:
        data: Three splits, or three map-style datasets (train, val, test) of (image, rank index).
            Validation chooses epochs, test is only reported.
        config: All settings.
        out: The run directory. An unfinished run of the same config and data is resumed, by as many
            processes as began it; a finished one is loaded.
        ranks: The label space, where `data` is three datasets of your own.
        source: Arguments of `load_dataset`, recorded so that `l2rclip evaluate` can read the data
            again.
        cache: A folder that keeps image features of the untrained tower for other runs; see
            `L2RCLIP.encode`. None keeps them in `out` until the run is through.
        quiet: Whether to hide the table of what trains, on stdout, and bars and scores of epochs,
            on stderr.
        on_epoch: Called after each new epoch with its row of the history: `stage`, `epoch`,
            `val_rps` and so on, and `loss`, except for a kernel head. What it raises stops the
            run; the same call goes on after that epoch.

    Returns:
        Model, metrics and history.

    Raises:
        InputError: An image that cannot be read; ranks that are missing or not those of the data; a
            directory that holds another run; a directory or cache that cannot be written.
        TrainingError: A loss that is not finite, memory that runs out, or another process of the
            run that has ended. What was computed is kept in `out`.
    """
    data = _with_ranks(data, ranks)
    config = config_for(data, config)
    device = choose_device(config)

    run = RunDirectory(out)
    main = PartialState().is_main_process
    alone = run.writing() if main else nullcontext()
    with (
        threadpool_limits(config.threads),
        failures_in_words("fit", "outside of the stages"),
        alone,
    ):
        # metrics.json is written last; a model that was deleted since is trained again
        is_finished = run.metrics.is_file() and run.model.is_file()
        if not is_finished:  # before the claim: settings that make no model leave nothing behind
            model = L2RCLIP.build(data.ranks, config, data.image_size).to(device)
        if main:
            run.claim(data, config, source)
        PartialState().wait_for_everyone()

        if not is_finished:
            quiet = quiet or not main
            _train(model, data, run, cache, quiet, on_epoch if main else None)
            PartialState().wait_for_everyone()
        elif main:
            run.clean()  # a kill after the last file may have left a checkpoint

    model = L2RCLIP.from_pretrained(run.folder)
    return Run(model, run.read_metrics(), run.read_history(), run.folder)


def config_for(data: OrdinalDataset, config: Config) -> Config:
    """Return the settings with what they leave to the data: whether images may be upside down."""
    if config.upside_down is not None:
        return config
    return replace(config, upside_down=not data.upright)


def _with_ranks(data: OrdinalDataset | Sequence[MapStyle], ranks: Ranks | None) -> OrdinalDataset:
    """Return what `fit` trains on, and refuse ranks that are missing or contradict it."""
    if isinstance(data, OrdinalDataset):
        if ranks is not None and ranks != data.ranks:
            raise InputError(
                f"fit: {data.name} has ranks of its own, not those of ranks=...; leave ranks out."
            )
        return data

    if ranks is None:
        raise InputError(
            "fit: data sets of your own need ranks=Ranks(...), the meaning of their indices."
        )
    return OrdinalDataset.from_datasets(data, ranks)


def _train(
    model: L2RCLIP,
    data: OrdinalDataset,
    run: RunDirectory,
    cache: str | Path | None,
    quiet: bool,
    on_epoch: OnEpoch | None,
) -> None:
    """Encode, train both stages, calibrate, and let the first process write what they leave."""
    if not quiet:
        state = "resuming after the last complete epoch" if run.unfinished.exists() else "a new run"
        if model.config.start is not None:
            state += f" that begins with {model.config.start}"
        advice = "if it is stopped, give the same command again"
        table = freezing_table(model, tunes_tower=tunes_tower(model.config))
        print(f"{table}\n\n{run.folder}: {state}; {advice}\n", flush=True)

    began = time.monotonic()
    inputs = TrainingData.load(data, model, cache=cache or run.features, quiet=quiet)
    seconds = {"encoding": time.monotonic() - began}

    began = time.monotonic()
    stage = stage1(model, inputs)
    epochs = stage1_epochs(model, inputs, stage)
    history = run_stage(model, stage, epochs, run=run, quiet=quiet, on_epoch=on_epoch)

    calibrate(model, inputs.features["val"], inputs.targets["val"])
    answers = {"test_after_stage1": model.probabilities(inputs.features["test"])}
    model.temperature.fill_(1)  # stage 2 chooses its epoch without one
    seconds["stage 1"] = time.monotonic() - began

    began = time.monotonic()
    rows, comparison = train_image_side(model, inputs, run=run, quiet=quiet, on_epoch=on_epoch)
    seconds["stage 2"] = time.monotonic() - began

    calibrate(model, inputs.encode(model, "val"), inputs.targets["val"])
    for split in ("val", "test"):
        answers[split] = model.probabilities(inputs.encode(model, split))
    if PartialState().is_main_process:
        write_results(run, model, data, history + rows, answers, seconds, comparison)


def train_image_side(
    model: L2RCLIP,
    data: TrainingData,
    *,
    run: RunDirectory | None = None,
    quiet: bool = True,
    on_epoch: OnEpoch | None = None,
) -> tuple[list[Row], Comparison | None]:
    """Train what the config names as the image side: a tower, a kernel head, or the better one.

    Args:
        model: After stage 1.
        data: Images, and features of the untrained tower.
        run: See `run_stage`, as for all below.
        quiet: Whether to hide bars, scores and the comparison.
        on_epoch: Called with each row of the history.

    Returns:
        One row per epoch; and the comparison, where the best is kept.
    """
    if model.config.image_side == "kernel":
        rows = train_kernel(model, data, quiet=quiet)
        if on_epoch is not None:
            on_epoch(dict(rows[0]))
        return rows, None

    untrained = None
    if model.config.keep == "best":
        untrained = deepcopy(model.towers.image.state_dict())

    def begin(lr: float) -> tuple[Stage, Iterator[Row]]:
        stage = stage2(model, data, lr)
        return stage, stage2_epochs(model, data, stage)

    rows = run_rates(model, data, begin, run=run, quiet=quiet, on_epoch=on_epoch)
    if untrained is None:
        return rows, None
    comparison = keep_best(model, data, untrained, quiet=quiet)
    if not quiet:
        print(f"kept: {comparison.in_words()}", flush=True)
    return rows, comparison


def run_rates(
    model: L2RCLIP,
    data: TrainingData,
    begin: Callable[[float], tuple[Stage, Iterator[Row]]],
    *,
    run: RunDirectory | None = None,
    quiet: bool = True,
    on_epoch: OnEpoch | None = None,
) -> list[Row]:
    """Train a stage at each learning rate from the same parameters, and keep the best of them.

    `Config.lr2` is the one rate, or `Towers.image_lrs` are several; the lowest validation RPS is
    best. Where all of several have failed, a quarter of the lowest is tried, too. A rate has failed
    whose RPS is hardly better, .95 or more, than that of an answer that looks at no image.

    Args:
        model: Its image tower trains.
        data: What it trains on.
        begin: Returns the stage of a rate before its first epoch, and what trains it.
        run: See `run_stage`, as for all below.
        quiet: Whether to hide bars, scores and the choice.
        on_epoch: Called with each row of the history, of all rates.

    Returns:
        The history of the best.
    """
    rates = model.towers.image_lrs
    if model.config.lr2 is not None or model.config.epochs2 == 0:
        rates = (model.config.lr2 or rates[0],)
    start: dict[str, Tensor] = {}

    def train(lr: float, reason: str = "") -> Stage:
        stage, epochs = begin(lr)
        if len(rates) > 1:
            stage.name += f" at {lr:g}{reason}"
            stage.file += f"-{lr:g}"
        for name, parameter in stage.parameters.items():
            start.setdefault(name, parameter.detach().clone())
            parameter.data.copy_(start[name])
        run_stage(model, stage, epochs, run=run, quiet=quiet, on_epoch=on_epoch)
        return stage

    trained = [train(lr) for lr in rates]
    if len(rates) > 1:
        failed = 0.95 * data.frequencies_rps(model)
        if all(stage.kept_score.rps >= failed for stage in trained):
            trained.append(train(min(rates) / 4, ", as the others failed"))

    best = min(trained, key=lambda stage: stage.kept_score)
    best.restore_kept()
    if len(trained) > 1 and not quiet:
        scores = ", ".join(f"{stage.lr:g} {stage.kept_score.rps:.3f}" for stage in trained)
        print(f"learning rate {best.lr:g}, by validation RPS: {scores}", flush=True)
    return best.history
