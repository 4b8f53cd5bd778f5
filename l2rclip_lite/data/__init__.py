"""Data sets by name: published benchmarks, a CSV of your own, and what other packages register."""

from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Unpack

from pydantic import ValidationError

from l2rclip_lite.config import DataOptions
from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import DATA_SETS, load_retinamnist
from l2rclip_lite.data.official import load_benchmark
from l2rclip_lite.data.own_images import LabelTable, load_coffee, load_csv
from l2rclip_lite.data.protocols import CHANGES, apply_protocols
from l2rclip_lite.data.reading import read_image
from l2rclip_lite.data.table import UserRanks
from l2rclip_lite.errors import InputError

__all__ = ["Card", "OrdinalDataset", "Split", "load_dataset", "loader_of", "read_image"]

REGISTERED = "l2rclip_lite.datasets"  # entry points: the package does not import who draws leaves


@cache
def loader_of(name: str) -> Callable[..., OrdinalDataset]:
    """Return what loads a data set: a function of this package, or one that another registers."""
    if name not in DATA_SETS:
        choices = ", ".join(DATA_SETS)
        raise InputError(f"there is no data set {name!r:.80}; choose one of {choices}.")
    if DATA_SETS[name].example:  # a benchmark with lists
        return partial(load_benchmark, name)

    own = {"coffee": load_coffee, "csv": load_csv, "retinamnist": load_retinamnist}
    if name in own:
        return own[name]
    (entry,) = entry_points(group=REGISTERED, name=name)
    return entry.load()


class Options(DataOptions, total=False):
    """What some loader takes: the options of the command line, from Python in more types."""

    root: str | Path  # type: ignore[misc]
    lists: str | Path  # type: ignore[misc]
    labels: LabelTable  # type: ignore[misc]
    ranks: UserRanks | int  # type: ignore[misc]


def load_dataset(name: str, **options: Unpack[Options]) -> OrdinalDataset:
    """Return a data set by its name.

    Args:
        name: A key of `benchmarks.DATA_SETS`: "leaves" (generated) and "coffee" (photographs),
            with nothing to download, "csv" (your own), or a published one such as "bracol".
        options: What the loader of that name takes (`load_leaves`, `load_csv`, `load_benchmark`,
            …), and what `protocols.apply_protocols` takes, with `protocol_seed` for its seed:
            `few_shot=4` keeps four training images per rank.

    Returns:
        Three splits, the ranks, and the data card.

    Raises:
        InputError: An unknown name, a misspelt option, or data that cannot be used.

    Example:
        >>> load_dataset("leaves", size=60).counts("train")
        [8, 8, 8, 8, 8]
        >>> load_dataset("leaves", size=60, few_shot=2).counts("train")
        [2, 2, 2, 2, 2]
    """
    loader = loader_of(name)
    arguments: dict[str, Any] = dict(options)
    changes: Any = {key: arguments.pop(key) for key in CHANGES if key in arguments}
    protocol_seed = arguments.pop("protocol_seed", 0)
    if changes.get("subject_disjoint") and "fold" in options:
        raise InputError(
            f"{name}: subject_disjoint cuts anew, alike for every fold; leave out one of them."
        )

    try:
        data = loader(**arguments)
        return apply_protocols(data, protocol_seed, **changes)
    except ValidationError as error:
        problem = error.errors()[0]
        place = problem["loc"][0]
        option = place if isinstance(place, str) else error.title  # the value of a change
        wrong = f"{problem['msg']}, not {problem['input']!r:.200}"
        if problem["type"] == "unexpected_keyword_argument":
            wrong = "there is no such option"
        raise InputError(f"{name}: {option}: {wrong}.") from error
