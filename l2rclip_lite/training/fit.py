"""`fit`: the two stages of L2RCLIP, from a data set to a run directory, resumable at any moment.

Stage 1 trains RankFormer and context vectors against image features that are computed once. Stage 2
trains the image side against text features that are computed once. Every random draw of an epoch
comes from a generator seeded by (seed, stage, epoch), so an epoch that was cut short is simply run
again, bit for bit.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from threadpoolctl import threadpool_limits

from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.data.images import MapStyle
from l2rclip_lite.errors import InputError, TrainingError, reason
from l2rclip_lite.freezing import freezing_table
from l2rclip_lite.heads.calibration import calibrate
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.encoding import check_cache
from l2rclip_lite.runs.results import Run, write_results
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.image_side import train_image_side
from l2rclip_lite.training.processes import lost_process_in_words, rendezvous_store
from l2rclip_lite.training.stage import OnEpoch
from l2rclip_lite.training.stages import train_stage1

# What a launcher sets, and accelerate reads, for each of its processes.
LAUNCHED = frozenset({"WORLD_SIZE", "LOCAL_RANK", "ACCELERATE_TORCH_DEVICE"})


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
    if not isinstance(config, Config):
        raise InputError(f"fit: config is of type {type(config).__name__}; give a Config(...).")
    data = _with_ranks(data, ranks)
    config = config_for(data, config)
    device = choose_device(config)
    if cache:
        check_cache(cache)

    run = RunDirectory(out)
    main = PartialState().is_main_process
    alone = run.writing() if main else nullcontext()
    with threadpool_limits(config.threads), lost_process_in_words(), alone:
        # metrics.json is written last; a model that was deleted since is trained again
        is_finished = run.metrics.is_file() and run.model.is_file()
        if not is_finished:  # before the claim: settings that make no model leave nothing behind
            model = L2RCLIP.build(data.ranks, config, data.image_size).to(device)
        if main:
            run.claim(data, config, source)
        PartialState().wait_for_everyone()

        if not is_finished:
            quiet = quiet or not main
            _both_stages(model, data, run, cache, quiet, on_epoch if main else None)
            PartialState().wait_for_everyone()
        elif main:
            run.clean()  # a kill after the last file may have left a checkpoint

    if is_finished:  # somebody may have changed its files since
        run.check_model()
        run.read_predictions(data.ranks)
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
            "fit: datasets of your own need ranks=Ranks(...), the meaning of their indices."
        )
    return OrdinalDataset.from_datasets(data, ranks)


def _both_stages(
    model: L2RCLIP,
    data: OrdinalDataset,
    run: RunDirectory,
    cache: str | Path | None,
    quiet: bool,
    on_epoch: OnEpoch | None,
) -> None:
    """Train both stages, calibrate, and let the first process write what they leave behind."""
    if not quiet:
        state = "resuming after the last complete epoch" if run.unfinished.exists() else "a new run"
        if model.config.start is not None:
            state += f" that begins with {model.config.start}"
        advice = "if it is stopped, give the same command again"
        print(f"{freezing_table(model)}\n\n{run.folder}: {state}; {advice}\n", flush=True)

    seconds = {}
    began = time.monotonic()
    inputs = TrainingData.load(data, model, cache=cache or run.features, quiet=quiet)
    seconds["encoding"] = time.monotonic() - began

    began = time.monotonic()
    history = train_stage1(model, inputs, run=run, quiet=quiet, on_epoch=on_epoch)
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


def _check_processes(rank: str, world_size: str) -> None:
    """Refuse a process that the others would wait for in vain.

    Args:
        rank: Which process this is, as the environment says.
        world_size: Of how many.

    Raises:
        TrainingError: It is none of them.
    """
    is_one = rank.isdecimal() and world_size.isdecimal() and int(rank) < int(world_size)
    if not is_one:
        problem = f"RANK={rank} is none of WORLD_SIZE={world_size} processes"
        raise TrainingError(f"device: {problem}; start them by `accelerate launch`.")


def choose_device(config: Config) -> torch.device:
    """Return where to train; `usable_device` is for a model that only answers.

    Raises:
        TrainingError: A GPU was asked for that is not there: no slow surprise. Or several processes
            were started, and would not train together.
    """
    if config.device == "cpu" and LAUNCHED.isdisjoint(os.environ):
        return torch.device("cpu")  # accelerate decides once per process, and would keep to it
    n_processes = os.environ.get("WORLD_SIZE", "1")
    _check_processes(os.environ.get("RANK", "0"), n_processes)

    device = _device_of_accelerate(on_cpu=config.device == "cpu")
    if config.device not in ("auto", device.type):
        raise TrainingError(
            f"device: no {config.device!r} device is visible here; "
            "use device='cpu' or 'auto' (--device)."
        )
    if n_processes != str(PartialState().num_processes):
        raise TrainingError(
            f"device: WORLD_SIZE={n_processes} processes were started, but on {device.type} each "
            "would train alone; use device='cpu' (--device cpu) to train together."
        )
    return device


def _device_of_accelerate(*, on_cpu: bool) -> torch.device:
    """Let accelerate meet the other processes, if there are any, and return its device.

    Raises:
        TrainingError: They do not come, or the environment asks for what cannot be started.
    """
    try:
        with lost_process_in_words(), rendezvous_store():
            device: torch.device = Accelerator(cpu=on_cpu).device
    except TrainingError:
        raise
    except (ValueError, ImportError, RuntimeError) as error:
        problem = f"the environment asks for what cannot be started ({reason(error)})"
        cure = "start `accelerate launch` anew, or unset LOCAL_RANK, WORLD_SIZE and ACCELERATE_*"
        raise TrainingError(f"device: {problem}; {cure}.") from error
    return device
