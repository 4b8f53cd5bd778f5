"""Data sets by name: generated leaves, real pictures from your own folders, and a CSV of your own."""

from __future__ import annotations

import difflib
import gc
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

from l2rclip_lite.data.adience import load_adience
from l2rclip_lite.data.aesthetics import load_aesthetics
from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.data.bracol import download_bracol, load_bracol
from l2rclip_lite.data.clap2015 import load_clap2015
from l2rclip_lite.data.csv import load_csv
from l2rclip_lite.data.hci import load_hci
from l2rclip_lite.data.leaves import load_leaves
from l2rclip_lite.data.morph import load_morph
from l2rclip_lite.data.official import download_official_lists
from l2rclip_lite.data.retinamnist import download_retinamnist, load_retinamnist
from l2rclip_lite.errors import InputError
from l2rclip_lite.typed import fits, in_words, is_path, shown

__all__ = [
    "Card",
    "OrdinalDataset",
    "Split",
    "download_bracol",
    "download_official_lists",
    "download_retinamnist",
    "load_dataset",
]


TEXTS = (str, bool, str | None, str | Path, str | Path | None, str | tuple[str, ...] | list[str] | None)


def load_dataset(name: str, **options: Any) -> OrdinalDataset:
    """A data set by its name.

    Args:
        name: "leaves" (generated, nothing to download), "bracol" (real coffee leaves), "csv" (your own),
            "retinamnist", "morph", "clap2015", "adience", "hci" or "aesthetics".
        options: What the loader of that name takes (`load_leaves`, `load_bracol`, …), and what
            `protocols.apply_protocols` takes, with `protocol_seed` for its seed: `few_shot=4` keeps four
            training pictures a rank.

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
    from l2rclip_lite.protocols import apply_protocols  # imports `data.base`, and with it this module

    loaders: dict[str, Callable[..., OrdinalDataset]] = {
        "leaves": load_leaves,
        "bracol": load_bracol,
        "csv": load_csv,
        "retinamnist": load_retinamnist,
        "morph": load_morph,
        "clap2015": load_clap2015,
        "adience": load_adience,
        "hci": load_hci,
        "aesthetics": load_aesthetics,
    }
    if not fits(name, str) or name not in loaders:
        near = difflib.get_close_matches(str(name), loaders, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(loaders)}."
        raise InputError(f"there is no data set {shown(name)}; {hint}")
    changes = [key for key in inspect.signature(apply_protocols).parameters if key not in ("data", "seed")]
    own = list(inspect.signature(loaders[name]).parameters)
    valid = [*own, *changes, "protocol_seed"]
    for option in options:
        if option not in valid:
            # the only option that has another name on the command line
            flag = " (--data-seed)" if option == "seed" else ""
            raise InputError(
                f"the data set {name!r} has no option {option!r}{flag}; it takes {', '.join(valid)}."
            )
    hints = get_type_hints(apply_protocols) | get_type_hints(loaders[name])
    for option, value in options.items():
        kind = hints.get(option)
        # Numbers are checked where they are used, with the range that is allowed.
        wrong = kind in TEXTS and not fits(value, kind)
        if wrong or (option in ("root", "lists", "labels") and _no_path(value)):
            raise InputError(f"{name}: {option} must be {in_words(kind)}, not {shown(value)}.")
    if "protocol_seed" in options and not any(options.get(change) for change in changes):
        raise InputError(
            "protocol_seed: there is nothing for it to draw; leave it out, or name a change such as few_shot."
        )
    with _nothing_to_collect():
        data = loaders[name](**{key: value for key, value in options.items() if key in own})
        return apply_protocols(
            data,
            seed=options.get("protocol_seed", 0),
            **{key: value for key, value in options.items() if key in changes},
        )


def _no_path(value: object) -> bool:
    return value is not None and not is_path(value)


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """Python's cycle collector paused: rows make no cycles, and looking for them would take longest."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
