"""`l2rclip baselines`: other methods, trained on what a finished run was trained on."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from threadpoolctl import threadpool_limits

from l2rclip_lite import commands
from l2rclip_lite.baselines import check_baselines, train_baseline
from l2rclip_lite.commands.run import compare, data_of, is_complete, load_model
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import HUB
from l2rclip_lite.runs import RunDirectory, RunRecord, start_digest, weights_digest
from l2rclip_lite.runs.results import write_predictions
from l2rclip_lite.training_data import TrainingData


def baselines(arguments: commands.Baselines) -> None:
    """Train those of the named baselines that a run lacks, and compare all with it.

    Raises:
        InputError: A name that is no baseline, data that have changed, or a start or weights that
            have.
    """
    names = arguments.names or ["ridge", "linear-probe"]
    check_baselines(names)
    trained = load_model(arguments.run, None, arguments, arguments.device)
    run = RunDirectory(arguments.run)
    named = [run.baseline(name) for name in dict.fromkeys(names)]  # each once, in their order
    missing = [baseline for baseline in named if not is_complete(baseline)]
    if missing:
        _train(missing, trained, arguments)
    compare(commands.Compare(run=arguments.run))


def _check_files(trained: L2RCLIP, arguments: commands.Baselines) -> RunRecord:
    """Refuse to begin with other files than a run began with, and name its start where it is now.

    Returns:
        Its record.

    Raises:
        InputError: Other weights, or a start that is on the hub and not named, or another model
            than it was.
    """
    run = arguments.run
    record = RunDirectory(run).read_record()
    config = trained.config
    # what a run names is not followed
    if config.weights != arguments.weights or weights_digest(config) != record.weights_sha256:
        raise InputError(
            f"{run}: its towers began with other weights; name the file that it began with "
            "by --weights."
        )

    start = arguments.start or config.start
    if start is not None and arguments.start is None and start.startswith(HUB):
        raise InputError(f"{run}: began with {start}; add --start {start} to download it.")
    trained.config = replace(config, start=start)
    if start_digest(trained.config) != record.start_sha256:
        raise InputError(f"{start}: is not what {run} began with; bring that back (--start).")
    return record


def _train(
    missing: Sequence[RunDirectory], trained: L2RCLIP, arguments: commands.Baselines
) -> None:
    """Train methods on the data of a run, and write each into its folder.

    Args:
        missing: Where to; the name of a folder is that of its method.
        trained: The run's model: the methods begin with the same towers and settings, untrained.
        arguments: Where to find data, and to keep features.
    """
    record = _check_files(trained, arguments)
    config = trained.config
    data = data_of(arguments.run, arguments)
    model = L2RCLIP.build(
        data.ranks,
        config,
        allow_download=arguments.allow_download,
        commits=trained.towers.commits,
    ).to(trained.device)
    with threadpool_limits(config.threads):
        loaded = TrainingData.load(data, model, cache=arguments.cache, quiet=False)
        for baseline in missing:
            name = baseline.folder.name
            print(f"{name}, to be kept in {baseline.folder}", file=sys.stderr)
            with baseline.writing():
                baseline.claim(data, config, record.dataset.source)
                fitted = train_baseline(name, model, loaded, run=baseline, quiet=False)
                fitted.save_pretrained(baseline.folder)

                p = fitted.probabilities(loaded.encode(fitted, "test"))
                write_predictions(baseline, fitted, data.test, p)
                baseline.clean()
