"""`fit`: the two stages of L2RCLIP from a data set to a run directory, resumable at any moment.

Stage 1 trains RankFormer and context prompts against image features that are computed once. Stage 2 trains the image
tower against text features that are computed once. What they minimise is written in `schemes`, which parameters move
in `stages.FREEZING`; the scheme "joint" trains everything in one stage instead.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite import distributed, rundir
from l2rclip_lite.allocator import keep_freed_memory
from l2rclip_lite.baselines import Bench, check_baselines, run_baseline
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.compiling import compile_image_tower
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.feature_cache import cached_features, shared_features
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.run_lock import held
from l2rclip_lite.schemes import Pictures, joint, stage1, stage2, stage2_adapter
from l2rclip_lite.stages import Stage, train_stage
from l2rclip_lite.trouble import check_features
from l2rclip_lite.unseen import seen_and_unseen

CHECKPOINT = "checkpoint"
PIXELS = ".pixels"  # hidden: it may stand in a directory that no run has claimed


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        model: The trained model, without a temperature that was fitted later.
        metrics: `test`, `val` (see `metrics.evaluate`), `test_after_stage1` (not of joint training), and
            `baselines` by name.
        history: One row an epoch, both stages; joint training is stage 0.
        out: Its directory.
    """

    model: L2RCLIP
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    out: Path


def fit(
    data: OrdinalDataset,
    config: Config,
    out: str | Path,
    *,
    baselines: Sequence[str] = (),
    source: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Run:
    """Train L2RCLIP on a data set and write a run directory; go on where an earlier call was stopped.

    Under `torchrun`, or in an initialised process group, all processes call it with the same arguments and train one run
    together, see `distributed`; the first writes the files.

    Args:
        data: Three splits; validation chooses epochs, test is only reported.
        config: Everything that can be set.
        out: The run directory. An unfinished run of the same config is taken up again, a finished one is loaded.
        baselines: What to train beside it, on the same towers, data and budget: names of `choices.BASELINES`.
        source: Arguments of `load_dataset`, recorded so that `l2rclip evaluate` can read the data again.
        quiet: Whether to hide progress bars.

    Returns:
        Model, metrics and history.

    Raises:
        InputError: A picture that cannot be read; a directory that holds another run, that another process writes, or that
            cannot be written.
        TrainingError: A loss that is not finite, memory that ran out, or a process that was lost. What was computed is
            kept in `out`.
    """
    folder = Path(out)
    if config.upside_down is None:
        config = replace(config, upside_down=not data.upright)
    check_baselines(baselines, config)
    keep_freed_memory()
    with distributed.joined(config.device), _torch_settings(config), _memory_advice(config):
        quiet = quiet or not distributed.first()
        finished, missing = _standing(folder, data, config, baselines)
        distributed.agree([rundir.fingerprint(data), config.that_decides(), missing], "data, settings or run")
        if finished is None or missing:
            with held(folder) as check:
                finished = _work(folder, data, config, baselines, source, quiet, check)
        elif distributed.from_first(rundir.unclean(folder) or (folder / CHECKPOINT).exists()):
            # a kill came after the last file; not where another process is at work, or nothing may be written
            with suppress(InputError), held(folder):
                _clean_up(folder)
        metrics = distributed.from_first(finished)  # the others read only what is complete
        # the model as it was trained, like its metrics, whatever temperature was fitted since
        return Run(L2RCLIP.load(folder, calibrated=False), metrics, rundir.read_history(folder), folder)


def _standing(
    folder: Path, data: OrdinalDataset, config: Config, baselines: Sequence[str]
) -> tuple[dict[str, Any] | None, list[str]]:
    """The metrics of a finished run, else None; and the baselines that it lacks."""
    rundir.check_run(folder, data, config)
    finished = rundir.read_metrics(folder)
    return finished, [name for name in baselines if finished is None or name not in finished["baselines"]]


def _work(
    folder: Path,
    data: OrdinalDataset,
    config: Config,
    baselines: Sequence[str],
    source: dict[str, Any] | None,
    quiet: bool,
    check: Callable[[], None],
) -> dict[str, Any]:
    """What is still to be done in a directory that nobody else writes; the metrics, which stand there now."""
    # again: until it was held, another process may have finished it
    finished, missing = distributed.from_first(_standing(folder, data, config, baselines))
    if finished is not None and not missing:
        return finished
    model = L2RCLIP.build(data.ranks, config, data.image_size).to(_device(config))
    checkpoint = Checkpoint(folder / CHECKPOINT, check)
    if distributed.first() and not rundir.claimed(folder):  # a run was killed before it said which it was
        shutil.rmtree(folder / PIXELS, ignore_errors=True)
    pictures = Pictures.load(data, model, quiet, folder / PIXELS)
    if distributed.first():
        check()
        rundir.open_run(folder, data, config, source)  # only now: what cannot start claims no directory
    if config.compile and (why := compile_image_tower(model)) and distributed.first():
        print(f"note: {why}", file=sys.stderr)
    changing = ("towers.image.", "adapter.")
    start = {n: v.clone() for n, v in model.state_dict().items() if n.startswith(changing)}
    cached = config.scheme == "two-stage" or missing
    features = _cached_features(model, pictures, checkpoint, quiet) if cached else {}
    bench = Bench(model, pictures.pixels, features, pictures.targets, checkpoint, quiet, pictures.paths)
    if finished is None:
        finished = _train(bench, data, folder, check)
    for name in missing:
        model.load_state_dict(start, strict=False)
        probabilities = run_baseline(name, bench)
        finished["baselines"][name] = judge(probabilities, data, "test", intervals=True)
    if distributed.first():
        check()
        rundir.write_metrics(folder, finished)
    _clean_up(folder)
    return finished


def _clean_up(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    if not distributed.first():
        return
    for work in (CHECKPOINT, PIXELS):
        shutil.rmtree(folder / work, ignore_errors=True)
    rundir.remove_leftovers(folder)


def run_l2rclip(bench: Bench) -> tuple[list[dict[str, float]], Float[Tensor, "batch rank"] | None]:
    """All epochs of L2RCLIP under the config of the bench's model, which is left at its best epoch.

    Args:
        bench: Model, data and features; without pixels only an adapter can be trained in stage 2.

    Returns:
        One row an epoch, and the test probabilities after stage 1 (None for joint training, which has no stage 1).
    """
    model, targets = bench.model, bench.targets
    pictures = Pictures(bench.pixels, targets)

    def train(stage: Stage) -> list[dict[str, float]]:
        judged = (targets["train"], targets["val"])
        checkpoint, names = bench.checkpoint, bench.names
        return train_stage(
            stage, judged, model.ranks, model.config, checkpoint, paths=names, quiet=bench.quiet
        )

    if model.config.scheme == "joint":
        history = train(joint(model, pictures))
        model.refresh()  # the prompts of the best epoch
        return history, None
    history = train(stage1(model, bench.features, targets["train"]))
    model.refresh()
    after_stage1 = model.probabilities(bench.features["test"])
    if model.config.image_side == "adapter":
        return history + train(stage2_adapter(model, bench.features, targets["train"])), after_stage1
    return history + train(stage2(model, pictures)), after_stage1


def _train(bench: Bench, data: OrdinalDataset, folder: Path, check: Callable[[], None]) -> dict[str, Any]:
    """All epochs, then everything in the run directory but `metrics.json`."""
    model = bench.model
    history, after_stage1 = run_l2rclip(bench)
    metrics: dict[str, Any] = {}
    if after_stage1 is not None:
        metrics["test_after_stage1"] = judge(after_stage1, data, "test")
    metrics["baselines"] = {}
    for split in ("val", "test"):
        encoded = shared_features(model, bench.pixels[split], quiet=bench.quiet)
        probabilities = model.probabilities(encoded)
        metrics[split] = judge(probabilities, data, split, intervals=True)
    metrics["baselines"]["median-rank"] = median_rank(data)
    if distributed.first():
        check()
        model.save(folder)
        rundir.write_history(folder, history)
        rundir.write_predictions(folder, data.test, probabilities, data.ranks)
    return metrics


def judge(
    probabilities: Tensor, data: OrdinalDataset, split: str, *, intervals: bool = False
) -> dict[str, float]:
    """`metrics.evaluate` on a split of a data set, with the ε-error where its labels have deviations.

    Where the split shows ranks without a training picture, `unseen.seen_and_unseen` is added.

    Args:
        probabilities: A row of K for each picture of the split.
        data: Targets, ranks, and the deviations of the labels if it knows them.
        split: "train", "val" or "test".
        intervals: Whether to add 95 % intervals.

    Returns:
        What they return.
    """
    part = data.split(split)
    target = torch.tensor(part.targets)
    found = evaluate(probabilities, target, data.ranks, deviations=part.deviations, intervals=intervals)
    return found | seen_and_unseen(probabilities, data, split, intervals=intervals)


def median_rank(data: OrdinalDataset) -> dict[str, float]:
    """Test metrics of the predictor that always answers the median training rank."""
    median = int(torch.tensor(data.train.targets).median())
    certain = F.one_hot(torch.full((len(data.test),), median), len(data.ranks)).double()
    return judge(certain, data, "test")


def _cached_features(
    model: L2RCLIP, pictures: Pictures, checkpoint: Checkpoint, quiet: bool
) -> dict[str, Tensor]:
    """Image features of all splits, computed once; kept in the config's cache, else with the checkpoint."""
    cache = model.config.cache
    folder = Path(cache) if cache else checkpoint.folder / "features"
    features = {
        split: cached_features(model, pixels, folder, quiet=quiet, check=checkpoint.check)
        for split, pixels in pictures.pixels.items()
    }
    check_features(features, pictures.paths, model.config)
    return features


def _device(config: Config) -> torch.device:
    """Where to train; asking for a GPU that is not there is an error, not a slow surprise."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device: no CUDA GPU is visible here; use --device cpu or auto.")
    use_cuda = config.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


@contextmanager
def _torch_settings(config: Config) -> Iterator[None]:
    """Threads and determinism as the config says, then torch's settings as they were."""
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(config.threads or threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when CUDA is first used
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(exact)


@contextmanager
def _memory_advice(config: Config) -> Iterator[None]:
    """Turn 'out of memory' into a sentence that says what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        words = str(error).lower()
        if (
            not isinstance(error, MemoryError)
            and "out of memory" not in words
            and "allocate memory" not in words
        ):
            raise
        raise TrainingError(
            f"out of memory at --batch-size {config.batch_size}, --image-size {config.image_size or 'default'}; complete "
            "epochs are kept. Free memory and run the same command again, or use smaller values, or a --micro-batch, with "
            "a new --out."
        ) from error
