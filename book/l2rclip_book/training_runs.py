"""An experiment of chapter 8: its options, what takes them, its name, its images and its time."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import yaml

from l2rclip_lite.config import Config, DataOptions
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.errors import InputError

Options: TypeAlias = Mapping[str, Any]  # of an experiment, by name

SMALL: dict[str, Any] = {"image_size": 64, "epochs1": 3, "epochs2": 4, "lr2": 7e-4, "threads": 1}
TINY = {"epochs1": 2, "epochs2": 1, "towers": "mini", "weights": None, "start": None}
PROFILES: dict[str, dict[str, Any]] = {  # what they change in every experiment
    "smoke": SMALL | TINY | {"baselines": ["linear-probe"], "out": None},
    "page": {},
    "full": {},
}

OF_RUN = tuple(field.name for field in fields(Config))
OF_DATA = tuple(name for name in DataOptions.__annotations__ if name not in OF_RUN)
NAMES = ("dataset", "data_seed", *OF_DATA, *OF_RUN, "baselines", "published", "out")
VARIED = {
    "protocol": "",
    "category": "",
    "few_shot": "shots",
    "label_shift": "shift",
    "fold": "fold",
}
# floating-point operations of one image forward through ViT-B/16: 12 layers, 197 tokens of 768
FORWARD = 2 * (12 * (12 * 768**2 * 197 + 2 * 197**2 * 768) + 196 * 768**2)


def read_experiment(profile: str, file: str, changes: Options) -> dict[str, Any]:
    """Return the options of an experiment.

    Args:
        profile: `smoke` makes any experiment tiny and keeps no run; `page` makes the one without a
            file small.
        file: YAML with an option a line; empty takes the photographs of coffee leaves.
        changes: Options that replace those of the file.

    Raises:
        InputError: A file that cannot be read, or a misspelt profile or option.

    Example:
        >>> read_experiment("full", "", {"epochs2": 3})["epochs2"]
        3
        >>> read_experiment("full", "", {"epoch1": 3})
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.InputError: option epoch1 is unknown; did you mean epochs1?
    """
    if profile not in PROFILES:
        raise InputError(f"PROFILE {profile!r} is unknown; choose {', '.join(PROFILES)}.")

    own: Any = {"dataset": "coffee"}
    if file:
        own = read_file(Path(file))
    elif profile == "page":
        own |= SMALL
    options = {"baselines": ["linear-probe"], "published": []} | own | dict(changes)
    options |= PROFILES[profile]

    for name in options.keys() - set(NAMES):
        near = get_close_matches(str(name).lower(), NAMES, 1)
        fix = f"did you mean {near[0]}?" if near else f"an experiment has {', '.join(NAMES)}."
        raise InputError(f"option {name} is unknown; {fix}")
    if "dataset" not in options:
        raise InputError("the experiment names no data set; write one, such as dataset: csv.")
    return options


def read_file(file: Path) -> dict[str, Any]:
    """Read the options of a file.

    Raises:
        InputError: There is no such file, or it is no YAML with an option a line.
    """
    try:
        options = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"EXPERIMENT {file}: {' '.join(str(error).split())}.") from None
    if not isinstance(options, dict):
        raise InputError(f"EXPERIMENT {file}: write an option a line, such as dataset: csv.")
    return options


def settings_of(options: Options) -> dict[str, Any]:
    """Return what `Config` takes.

    Example:
        >>> settings_of({"dataset": "adience", "fold": 0, "seed": 1, "data_seed": 2})
        {'seed': 1}
    """
    return {name: value for name, value in options.items() if name in OF_RUN}


def source_of(options: Options) -> dict[str, Any]:
    """Return what `load_dataset` takes.

    Example:
        >>> source_of({"dataset": "adience", "fold": 0, "seed": 1, "data_seed": 2})
        {'name': 'adience', 'fold': 0, 'seed': 2}
    """
    source = {"name": options["dataset"]}
    source |= {name: value for name, value in options.items() if name in OF_DATA}
    if "root" in options:
        source["root"] = str(Path(options["root"]).expanduser().absolute())
    if "data_seed" in options:
        source["seed"] = options["data_seed"]
    return source


def command_line(options: Options) -> str:
    """Return the options as `l2rclip fit` spells them, but for the run directory.

    Example:
        >>> command_line({"lr1": 0.001, "augment": False, "ranks": ["good", "bad"]})
        '--lr1 0.001 --no-augment --ranks good,bad'
        >>> command_line({"controls": {"clip": False}, "baselines": ["ridge"], "out": "runs"})
        '--controls.no-clip'
    """
    of_page = ("baselines", "published", "out")
    return " ".join(_words({k: v for k, v in options.items() if k not in of_page}))


def _words(options: Options) -> Iterator[str]:
    """Yield each option with its value."""
    for name, value in options.items():
        flag = name.replace("_", "-")
        if value is None:
            continue

        if isinstance(value, dict):
            yield from _words({f"{name}.{key}": inner for key, inner in value.items()})
        elif value is True:
            yield f"--{flag}"
        elif value is False:
            group, dot, last = flag.rpartition(".")
            yield f"--{group}{dot}no-{last}"
        elif isinstance(value, list | tuple):
            yield f"--{flag} {shlex.quote(','.join(map(str, value)))}"
        else:
            yield f"--{flag} {shlex.quote(str(value))}"


def run_name(options: Options) -> str:
    """Return the name of what is varied; runs with other seeds share it, and the seed is added.

    Example:
        >>> run_name({"dataset": "morph", "label_shift": "10:0.2", "fold": 0, "epochs1": 3})
        'morph_shift10-0.2_fold0'
    """
    words = [options["dataset"]]
    words += [f"{mark}{options[name]}" for name, mark in VARIED.items() if name in options]
    return "_".join(words).replace(":", "-")


def missing_folds(options: Options, runs: pd.Series) -> list[int]:
    """Return the folds of an experiment of which there is no run.

    Args:
        options: Of the experiment.
        runs: The names of the runs.

    Example:
        >>> runs = pd.Series(["morph_three-fold_fold2_seed0"])
        >>> missing_folds({"dataset": "morph", "protocol": "three-fold"}, runs)
        [1]
    """
    protocol = DATA_SETS[options["dataset"]].protocols.get(options.get("protocol", ""))
    folds = [*range(1, options.get("folds", 0) + 1)]  # of your own images
    if protocol:
        folds += protocol.folds
    return [fold for fold in folds if not runs.str.contains(f"_fold{fold}_").any()]


def images_of(options: Options, counts: pd.DataFrame) -> tuple[int, ...]:
    """Count the training, validation and test images of an experiment.

    Args:
        options: Of the experiment.
        counts: `book/results/data_sets.csv`: images per rank and split of each data set, protocol
            and fold.
    """
    counts = counts.rename(columns={"data": "dataset"})
    for name in ("dataset", "protocol", "category", "fold"):
        if name in options:
            counts = counts[counts[name] == options[name]]

    return tuple(counts[["train", "val", "test"]].sum().astype(int).tolist())


def span(seconds: float) -> str:
    """Return a time in minutes, hours or days.

    Example:
        >>> span(300), span(7200), span(200_000)
        ('5 min', '2.0 h', '2.3 days')
    """
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min"
