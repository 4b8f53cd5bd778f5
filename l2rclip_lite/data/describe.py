"""What `l2rclip data` prints: cards, counts, leakage, and what to do with a fixture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.fixtures import CSV_RANKS, make_fixture
from l2rclip_lite.data.leakage import leakage_report


def card(name: str) -> str:
    """All that is known about a data set before an image is seen.

    Example:
        >>> print(card("leaves").splitlines()[0])
        name      leaves
    """
    facts = DATA_SETS[name]
    fields = [*facts.card.to_dict().items(), ("images", facts.images), ("ranks", "your choice")]
    if ranks := facts.ranks:
        about = f"{len(ranks)}, unit {ranks.unit}, from {ranks.names[0]} to {ranks.names[-1]}"
        fields[-1] = ("ranks", about)
    for protocol, cut in facts.protocols.items():
        chosen = f"--protocol {protocol} " if protocol else ""
        chosen += f"--fold {cut.folds[0]} to {cut.folds[-1]}" if len(cut.folds) > 1 else ""
        fields.append(("split", f"{chosen.strip()}: {cut.said}" if chosen else cut.said))
    wrap = textwrap.TextWrapper(100, subsequent_indent=" " * 10, break_on_hyphens=False)
    return "\n".join(wrap.fill(f"{key:<10}{' '.join(text.split())}") for key, text in fields if text)


def counts(name: str, options: Mapping[str, Any]) -> str:
    """What `summary` says of a data set, and a table of images per rank and split.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.
    """
    data = load_dataset(name, **options)
    table = pd.DataFrame({split: data.counts(split) for split in SPLITS}, index=[*data.ranks.names])
    table.loc["all"] = table.sum()
    return f"{data.summary()}\n\n{table.to_string()}"


def leakage(name: str, options: dict[str, Any]) -> str:
    """What training and test share, for every fold of a protocol, or for the one that was given.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.
    """
    protocols = DATA_SETS[name].protocols
    cut = protocols.get(options.get("protocol", next(iter(protocols))))  # the loader refuses an unknown one
    folds = [options["fold"]] if "fold" in options else cut.folds if cut else []
    parts = [options | {"fold": fold} for fold in folds] or [options]
    return leakage_report({part.get("fold", 0): load_dataset(name, **part) for part in parts})


def fixture(name: str, folder: str, seed: int = 0) -> str:
    """Write drawn images in the layout of a data set, and say what comes next."""
    make_fixture(name, folder, seed)
    ranks = f' --ranks "{",".join(CSV_RANKS)}"' if name == "csv" else ""
    said = f"A synthetic fixture of {name} is in {folder}: its images are drawn, results on it mean nothing."
    return f"{said}\nNext: l2rclip fit --dataset {name} --root {folder}{ranks} --out runs/{name}-fixture"
