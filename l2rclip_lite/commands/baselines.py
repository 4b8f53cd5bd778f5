"""`l2rclip baselines`: train other methods on the data of a finished run."""

import ast
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from l2rclip_lite.commands.common import How, MethodNames, Reading, RunFolder
from l2rclip_lite.commands.compare import compare
from l2rclip_lite.commands.finished_run import (
    check_same_data,
    data_of,
    finished_baselines,
    load_model,
    start_of,
)
from l2rclip_lite.errors import InputError, one_line

if TYPE_CHECKING:
    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.method.model import L2RCLIP
    from l2rclip_lite.runs.run_directory import RunDirectory


def baselines(
    run: RunFolder, names: MethodNames, start: str | None = None, how: How = Reading()
) -> None:
    """Train other methods on towers, data and budget of a finished run, and compare them with it.

    Try:
      l2rclip baselines runs/mine cross-entropy linear-probe

    On fixed image features, in seconds: {probes}. On a tower that is trained: {objectives};
    with -frozen behind the name, as in sord-frozen, on fixed features. linear-probe may also be
    called cross-entropy-frozen; it is kept, and stands in every table, as linear-probe.

    Each is kept as a model in RUN/baselines/NAME, and not trained again: `predict`, `evaluate` and
    `export` take it by --method NAME.

    Args:
        run: The --out of a finished fit.
        names: Which methods; none trains ridge and linear-probe, in seconds.
        start: Where the run that this one began with is now, if it has moved.
        how: Where to find data and device.
    """
    from l2rclip_lite.baselines import check_baselines, one_name
    from l2rclip_lite.runs.run_directory import RunDirectory

    names = names or ["ridge", "linear-probe"]
    trained = load_model(
        run, device=how.device, weights=how.weights, allow_download=how.allow_download
    )
    if trained.config.weights != how.weights:  # what a run names is not followed
        weights = f"its towers began with the weights of {trained.config.weights!r}"
        raise InputError(f"{run}: {weights}; name that file by --weights.")
    check_baselines(names, trained.config)

    directory = RunDirectory(run)
    finished = finished_baselines(directory, quiet=True)  # `compare` says what is left out
    for baseline in finished.values():
        if baseline.has_folder(baseline.unfinished):  # killed after its last file
            with baseline.writing():
                baseline.clean()

    wanted = dict.fromkeys(map(one_name, names))  # each once, in their order
    missing = [name for name in wanted if name not in finished]
    for name in missing:  # a stopped one is checked before the data of the run are read
        check_same_data(directory, directory.baseline(name))

    if missing:
        start = start_of(run, trained.config.start, start)
        trained.config = replace(trained.config, start=start)
        _train(missing, directory, trained, data_of(run, how), how)
    compare(run)


def _train(
    names: Sequence[str],
    run: "RunDirectory",
    trained: "L2RCLIP",
    data: "OrdinalDataset",
    how: Reading,
) -> None:
    """Train methods on the data of a run, and write each into its folder.

    Args:
        names: Which methods.
        run: The run.
        trained: Its model: the methods begin with the same towers and settings, untrained.
        data: Its data.
        how: Where to keep features.
    """
    from threadpoolctl import threadpool_limits

    from l2rclip_lite.baselines import train_baseline
    from l2rclip_lite.runs.results import write_predictions
    from l2rclip_lite.training_data import TrainingData

    source = run.read_record().dataset.source
    model = type(trained).build(
        data.ranks,
        trained.config,
        allow_download=how.allow_download,
        commits=trained.towers.commits,
    )
    model.to(trained.device)
    with threadpool_limits(trained.config.threads):
        loaded = TrainingData.load(data, model, cache=how.cache, quiet=False)
        for name in names:
            baseline = run.baseline(name)
            print(one_line(f"{name}, to be kept in {baseline.folder}"), file=sys.stderr, flush=True)
            with baseline.writing():
                baseline.claim(data, trained.config, source)
                fitted = train_baseline(name, model, loaded, run=baseline, quiet=False)
                fitted.save_pretrained(baseline.folder)
                baseline.record_model()

                p = fitted.probabilities(loaded.encode(fitted, "test"))
                write_predictions(baseline, fitted, data.test, p)
                baseline.clean()


def _with_names(text: str) -> str:
    """Return a docstring with the names that the registry of baselines has.

    They are read from its source: to import it would take seconds.
    """
    source = Path(__file__).parents[1] / "baselines" / "registry.py"
    names: dict[str, str] = {}
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=table), value=ast.Dict(keys=keys)):
                names[table] = ", ".join(ast.literal_eval(key) for key in keys if key)

    text = text.replace("{probes}", f"{names['TEXTS']}, {names['HEADS']}")
    return text.replace("{objectives}", names["OBJECTIVES"])


baselines.__doc__ = _with_names(str(baselines.__doc__))
