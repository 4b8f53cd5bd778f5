"""What chapter 8 does around a run: check its parameters, name the run, count images and operations."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

import pandas as pd

from l2rclip_lite.errors import InputError

Given: TypeAlias = Mapping[str, Any]  # parameters of the chapter, by name

PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {"image_size": 64, "epochs1": 2, "epochs2": 1, "threads": 1},
    "page": {"image_size": 96, "epochs1": 10, "epochs2": 6, "threads": 1},
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
KNOWN = (
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
# floating-point operations of one image forward through ViT-B/16, 197 tokens of width 768 in 12
# layers
FORWARD = 2 * (12 * (12 * 768**2 * 197 + 2 * 197**2 * 768) + 196 * 768**2)


def written(notebook: Given) -> Given:
    """The parameters of a running notebook: what its own cell assigns, and the cell that papermill puts behind it.

    Args:
        notebook: Its names, `In` among them, the texts of the cells that have run.

    Example:
        >>> written(
        ...     {
        ...         "In": ["PROFILE = 'page'; SEED = 0", "x = 1"],
        ...         "PROFILE": "page",
        ...         "SEED": 0,
        ...         "x": 1,
        ...     }
        ... )
        {'PROFILE': 'page', 'SEED': 0}
        >>> written({"In": [""], "PROFILE": "page", "x": 1})  # under nbval, which keeps no texts
        {'PROFILE': 'page'}
    """
    cells = {tuple(cell.split()[:2]): cell for cell in notebook["In"]}  # the latest of each kind
    ours = [cells.get(start, "") for start in (("PROFILE", "="), ("#", "Parameters"))]
    nodes = ast.walk(ast.parse("\n".join(ours)))
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    defined = [name for name in KNOWN if name in notebook]
    return {name: notebook[name] for name in names or defined}


def check_parameters(given: Given) -> None:
    """Refuse what the chapter does not know.

    Raises:
        InputError: A misspelt parameter or profile.

    Example:
        >>> check_parameters({"PROFILE": "page", "epoch1": 3})
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.InputError: parameter epoch1 is unknown; did you mean EPOCHS1?
    """
    for name in given.keys() - set(KNOWN):
        near = get_close_matches(name.upper(), KNOWN, 1)
        fix = f"did you mean {near[0]}?" if near else f"the chapter has {', '.join(KNOWN)}."
        raise InputError(f"parameter {name} is unknown; {fix}")
    if given["PROFILE"] not in PROFILES:
        raise InputError(f"PROFILE {given['PROFILE']!r} is unknown; choose {', '.join(PROFILES)}.")


def said(given: Given, names: tuple[str, ...]) -> dict[str, Any]:
    """The parameters that are not empty, in lower case.

    Example:
        >>> said({"FOLD": 0, "LISTS": "", "CATEGORY": None}, ("FOLD", "LISTS", "CATEGORY"))
        {'fold': 0}
    """
    return {name.lower(): given[name] for name in names if given.get(name) not in ("", None)}


def run_settings(given: Given) -> dict[str, Any]:
    """What `Config` gets; a smoke run is small, whatever else is asked for.

    Example:
        >>> run_settings({"PROFILE": "full", "EPOCHS2": 60, "SETTINGS": {"lr1": 0.001}})
        {'epochs2': 60, 'lr1': 0.001}
    """
    profile = PROFILES[given["PROFILE"]]
    settings = profile | said(given, TRAINING) | given["SETTINGS"]
    return (
        settings | profile | {"towers": "mini", "weights": None}
        if given["PROFILE"] == "smoke"
        else settings
    )


def options(settings: Given) -> Iterator[str]:
    """Arguments as the command line spells them.

    Example:
        >>> list(
        ...     options(
        ...         {
        ...             "lr1": 0.001,
        ...             "augment": False,
        ...             "ranks": ["good", "bad"],
        ...             "controls": {"clip": False},
        ...         }
        ...     )
        ... )
        ['--lr1 0.001', '--no-augment', '--ranks good,bad', '--controls.no-clip']
    """
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, dict):
            yield from options({f"{name}.{key}": inner for key, inner in value.items()})
        elif isinstance(value, bool):
            group, dot, last = flag.rpartition(".")
            yield f"--{flag}" if value else f"--{group}{dot}no-{last}"
        elif value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield f"--{flag} {shlex.quote(text)}"


def run_name(given: Given) -> str:
    """What was varied, so that the runs of a batch share one folder; the seed is added behind it.

    Example:
        >>> run_name(
        ...     {"DATASET": "morph", "PROTOCOL": "label-shift", "LABEL_SHIFT": "10:0.2", "FOLD": 0}
        ... )
        'morph_label-shift_shift10-0.2_fold0'
    """
    words = [f"{VARIED[name.upper()]}{value}" for name, value in said(given, tuple(VARIED)).items()]
    return "_".join([given["DATASET"], *words]).replace(":", "-")


def images_of(given: Given, counts: pd.DataFrame) -> tuple[int, int, int]:
    """Training, validation and test images of a parameter file.

    Args:
        given: The file's parameters.
        counts: `book/results/data_sets.csv`: images per rank and split of each data set, protocol
            and fold.
    """
    for column, name in {
        "data": "DATASET",
        "protocol": "PROTOCOL",
        "category": "CATEGORY",
        "fold": "FOLD",
    }.items():
        counts = counts[counts[column] == given[name]] if name in given else counts
    train = counts["train"].sort_values(ascending=False).clip(upper=given.get("FEW_SHOT"))
    if "LABEL_SHIFT" in given:
        top, share = given["LABEL_SHIFT"].split(":")
        train.iloc[: int(top)] = (float(share) * train.iloc[: int(top)]).astype(int).clip(lower=1)
    return int(train.sum()), int(counts["val"].sum()), int(counts["test"].sum())


def span(seconds: float) -> str:
    """A time as a person says it.

    Example:
        >>> span(300), span(7200), span(200_000)
        ('5 min', '2.0 h', '2.3 days')
    """
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min"
