"""Parameters of chapter 8: checks, settings and name of its run, images and operations."""

import ast
import shlex
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

import pandas as pd

from l2rclip_lite.errors import InputError

Parameters: TypeAlias = Mapping[str, Any]  # parameters of the chapter, by name

PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {"image_size": 64, "epochs1": 2, "epochs2": 1, "threads": 1},
    "page": {"image_size": 96, "epochs1": 10, "epochs2": 6, "lr2": 7e-4, "threads": 1},
    "full": {},
}
LOADING = ("LISTS", "PROTOCOL", "CATEGORY", "FOLD", "FEW_SHOT", "LABEL_SHIFT")
TRAINING = (
    "TOWERS",
    "WEIGHTS",
    "IMAGE_SIZE",
    "EPOCHS1",
    "EPOCHS2",
    "BATCH_SIZE",
    "DEVICE",
    "PRECISION",
)
NAMES = (
    *LOADING,
    *TRAINING,
    "PROFILE",
    "DATASET",
    "ROOT",
    "FOLDS",
    "PROTOCOL_SEED",
    "DATA_OPTIONS",
    "SETTINGS",
    "BASELINES",
    "SEED",
    "PUBLISHED",
    "OUT",
)
VARIED = {
    "PROTOCOL": "",
    "CATEGORY": "",
    "FEW_SHOT": "shots",
    "LABEL_SHIFT": "shift",
    "FOLD": "fold",
}
# floating-point operations of one image forward through ViT-B/16: 12 layers, 197 tokens of 768
FORWARD = 2 * (12 * (12 * 768**2 * 197 + 2 * 197**2 * 768) + 196 * 768**2)


def written(notebook: Parameters) -> Parameters:
    """Return the parameters of a running notebook: those its cell or papermill's cell assigns.

    Args:
        notebook: Its names, `In` among them, the texts of the cells that have run.

    Example:
        >>> cells = ["PROFILE = 'page'; SEED = 0", "x = 1"]
        >>> written({"In": cells, "PROFILE": "page", "SEED": 0, "x": 1})
        {'PROFILE': 'page', 'SEED': 0}
        >>> written({"In": [""], "PROFILE": "page", "x": 1})  # under nbval, which keeps no texts
        {'PROFILE': 'page'}
    """
    latest = {tuple(cell.split()[:2]): cell for cell in notebook["In"]}  # by its first two words
    own_cell = latest.get(("PROFILE", "="), "")
    papermill_cell = latest.get(("#", "Parameters"), "")
    tree = ast.parse(f"{own_cell}\n{papermill_cell}")

    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if not names:
        names = [name for name in NAMES if name in notebook]
    return {name: notebook[name] for name in names}


def check_parameters(parameters: Parameters) -> None:
    """Refuse a parameter or a profile that the chapter does not have.

    Raises:
        InputError: A misspelt parameter or profile.

    Example:
        >>> check_parameters({"PROFILE": "page", "epoch1": 3})
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.InputError: parameter epoch1 is unknown; did you mean EPOCHS1?
    """
    for name in parameters.keys() - set(NAMES):
        near = get_close_matches(name.upper(), NAMES, 1)
        fix = f"the chapter has {', '.join(NAMES)}."
        if near:
            fix = f"did you mean {near[0]}?"
        raise InputError(f"parameter {name} is unknown; {fix}")

    if parameters["PROFILE"] not in PROFILES:
        raise InputError(
            f"PROFILE {parameters['PROFILE']!r} is unknown; choose {', '.join(PROFILES)}."
        )


def filled(parameters: Parameters, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the parameters that are not empty, in lower case.

    Example:
        >>> filled({"FOLD": 0, "LISTS": "", "CATEGORY": None}, ("FOLD", "LISTS", "CATEGORY"))
        {'fold': 0}
    """
    return {
        name.lower(): parameters[name] for name in names if parameters.get(name) not in ("", None)
    }


def run_settings(parameters: Parameters) -> dict[str, Any]:
    """Return the settings of `Config`; a smoke run is small, whatever else is asked for.

    Example:
        >>> run_settings({"PROFILE": "full", "EPOCHS2": 60, "SETTINGS": {"lr1": 0.001}})
        {'epochs2': 60, 'lr1': 0.001}
    """
    profile = PROFILES[parameters["PROFILE"]]
    settings = profile | filled(parameters, TRAINING) | parameters["SETTINGS"]
    if parameters["PROFILE"] == "smoke":
        settings |= profile | {"towers": "mini", "weights": None}
    return settings


def options(settings: Parameters) -> Iterator[str]:
    """Yield arguments as the command line spells them.

    Example:
        >>> list(options({"lr1": 0.001, "augment": False, "ranks": ["good", "bad"]}))
        ['--lr1 0.001', '--no-augment', '--ranks good,bad']
        >>> list(options({"controls": {"clip": False}}))
        ['--controls.no-clip']
    """
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if value is None:
            continue

        if isinstance(value, dict):
            yield from options({f"{name}.{key}": inner for key, inner in value.items()})
        elif value is True:
            yield f"--{flag}"
        elif value is False:
            group, dot, last = flag.rpartition(".")
            yield f"--{group}{dot}no-{last}"
        elif isinstance(value, list | tuple):
            yield f"--{flag} {shlex.quote(','.join(map(str, value)))}"
        else:
            yield f"--{flag} {shlex.quote(str(value))}"


def run_name(parameters: Parameters) -> str:
    """Return the name of what is varied; runs with other seeds share it, and the seed is added.

    Example:
        >>> shift = {"PROTOCOL": "label-shift", "LABEL_SHIFT": "10:0.2"}
        >>> run_name({"DATASET": "morph", **shift, "FOLD": 0})
        'morph_label-shift_shift10-0.2_fold0'
    """
    words = [parameters["DATASET"]]
    for name, value in filled(parameters, tuple(VARIED)).items():
        words.append(f"{VARIED[name.upper()]}{value}")
    return "_".join(words).replace(":", "-")


def images_of(parameters: Parameters, counts: pd.DataFrame) -> tuple[int, int, int]:
    """Count the training, validation and test images of a parameter file.

    Args:
        parameters: The file's parameters.
        counts: `book/results/data_sets.csv`: images per rank and split of each data set, protocol
            and fold.
    """
    for name in ("DATASET", "PROTOCOL", "CATEGORY", "FOLD"):
        column = "data" if name == "DATASET" else name.lower()
        if name in parameters:
            counts = counts[counts[column] == parameters[name]]

    train = counts["train"].sort_values(ascending=False).clip(upper=parameters.get("FEW_SHOT"))
    if "LABEL_SHIFT" in parameters:
        number, share = parameters["LABEL_SHIFT"].split(":")
        largest = train.iloc[: int(number)]
        train.iloc[: int(number)] = (float(share) * largest).astype(int).clip(lower=1)
    return int(train.sum()), int(counts["val"].sum()), int(counts["test"].sum())


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
