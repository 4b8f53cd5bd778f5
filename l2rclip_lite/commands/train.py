"""`l2rclip fit` and `l2rclip baselines`: train a run, and other methods on its data."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from threadpoolctl import threadpool_limits

from l2rclip_lite import commands, training
from l2rclip_lite.baselines import check_baselines, train_baseline
from l2rclip_lite.commands.finished import (
    compare,
    data_of,
    is_complete,
    load_model,
    table,
)
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError, plural
from l2rclip_lite.files import sha256_of
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import HUB, find_model_file, weights_digest
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.runs.results import Run, row_titles, write_predictions
from l2rclip_lite.training_data import TrainingData

FEWEST_FOR_INTERVALS = 9  # with fewer images an interval of 90 % holds every rank


def fit(arguments: commands.Fit) -> None:
    """Train a run, or load it where it is finished, and print its scores."""
    is_first = os.environ.get("RANK", "0") == "0"  # of several processes, one prints
    quiet = arguments.quiet or not is_first
    source: dict[str, Any] = {"name": arguments.dataset, **arguments.options}
    data = load_dataset(**source)
    if not quiet:
        print(data.summary(), end="\n\n", flush=True)

    run = training.fit(
        data,
        arguments.config,
        arguments.out,
        source=source,
        cache=arguments.cache,
        quiet=quiet,
    )
    if not quiet:
        _print_scores(run, data)
    if is_first:
        test = run.metrics["test"]
        caveat = f" ({data.caveat})" if data.caveat else ""
        print(
            f"test RPS {test['rps']:.3f}, MAE (median) {test['mae_median']:.3f}, "
            f"accuracy {test['accuracy']:.3f}{caveat}; the run is in {arguments.out}"
        )


def _print_scores(run: Run, data: OrdinalDataset) -> None:
    """Print the test scores of a run, and what was chosen and calibrated on validation images."""
    rows = {title: run.metrics[key] for key, title in row_titles(run.metrics).items()}
    print(table(rows, f"test; unit of MAE: {data.ranks.unit}"), end="\n\n")
    if run.metrics["test"]["rps"] >= run.metrics["median_rank"]["rps"]:
        print("not better, by RPS, than the answer that looks at no image (median rank)")

    if run.history and "numbers" in run.history[-1]:  # of a kernel head
        mixture = run.history[-1]
        print(
            f"kernel chosen by validation: weight of sentences {mixture['text']:.2f}, "
            f"of numbers {mixture['numbers']:.2f}"
        )

    too_few = len(data.val) < FEWEST_FOR_INTERVALS
    intervals = "intervals of all ranks, for want of images" if too_few else "90 % intervals"
    print(
        f"calibrated on {plural(len(data.val), 'validation image')}: "
        f"temperature {float(run.model.temperature):.2f}, {intervals}"
    )


def baselines(arguments: commands.Baselines) -> None:
    """Train those of the named baselines that a run lacks, and compare all with it.

    Raises:
        InputError: A name that is no baseline, data that have changed, or a start that has.
    """
    names = arguments.names or ["ridge", "linear-probe"]
    check_baselines(names)
    trained = load_model(arguments.run, None, arguments, arguments.device)
    if trained.config.weights != arguments.weights:  # what a run names is not followed
        problem = f"its towers began with the weights of {trained.config.weights!r}"
        raise InputError(f"{arguments.run}: {problem}; name that file by --weights.")

    run = RunDirectory(arguments.run)
    missing = []
    for name in dict.fromkeys(names):  # each once, in their order
        baseline = run.baseline(name)
        if not is_complete(baseline):
            missing.append(baseline)
    if missing:
        if weights_digest(trained.config) != run.read_record().weights_sha256:
            fix = "name the file that it began with by --weights"
            raise InputError(f"{arguments.run}: its towers began with other weights; {fix}.")
        start = _start_of(run, trained.config.start, arguments.start)
        trained.config = replace(trained.config, start=start)
        _train(missing, run, trained, arguments)
    compare(commands.Compare(run=arguments.run))


def _start_of(run: RunDirectory, recorded: str | None, named: str | None) -> str | None:
    """Return the run that a run began with, where it is now; None where it began with none.

    Args:
        run: A run directory.
        recorded: The name in its record; nothing is downloaded by it.
        named: Where the user says that it is.

    Raises:
        InputError: It is on the hub and not named, or is another model than it was.
    """
    start = named or recorded
    if start is None:
        return None
    if named is None and start.startswith(HUB):
        fix = f"add --start {start} to download it"
        raise InputError(f"{run.folder}: began with {start}; {fix}.")
    if sha256_of(find_model_file(start)) != run.read_record().start_sha256:
        fix = "bring that back (--start)"
        raise InputError(f"{start}: is not what {run.folder} began with; {fix}.")
    return start


def _train(
    missing: Sequence[RunDirectory],
    run: RunDirectory,
    trained: L2RCLIP,
    arguments: commands.Baselines,
) -> None:
    """Train methods on the data of a run, and write each into its folder.

    Args:
        missing: Where to; the name of a folder is that of its method.
        run: The run.
        trained: Its model: the methods begin with the same towers and settings, untrained.
        arguments: Where to find data, and to keep features.
    """
    data = data_of(arguments.run, arguments)
    model = L2RCLIP.build(
        data.ranks,
        trained.config,
        allow_download=arguments.allow_download,
        commits=trained.towers.commits,
    )
    model.to(trained.device)
    with threadpool_limits(trained.config.threads):
        loaded = TrainingData.load(data, model, cache=arguments.cache, quiet=False)
        for baseline in missing:
            name = baseline.folder.name
            print(f"{name}, to be kept in {baseline.folder}", file=sys.stderr)
            with baseline.writing():
                baseline.claim(data, trained.config, run.read_record().dataset.source)
                fitted = train_baseline(name, model, loaded, run=baseline, quiet=False)
                fitted.save_pretrained(baseline.folder)

                p = fitted.probabilities(loaded.encode(fitted, "test"))
                write_predictions(baseline, fitted, data.test, p)
                baseline.clean()
