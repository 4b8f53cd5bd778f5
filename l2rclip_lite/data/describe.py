"""What `l2rclip data` prints: cards, counts, leakage, and what to do after a download or a fixture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.benchmarks import DATA_SETS, DataSet
from l2rclip_lite.data.fixtures import CSV_RANKS, make_fixture
from l2rclip_lite.data.leakage import leakage_report


def facts(name: str) -> DataSet:
    """What is known about a data set.

    Raises:
        InputError: There is none of that name.
    """
    if name not in DATA_SETS:
        load_dataset(name)  # says which one may have been meant
    return DATA_SETS[name]


def card(name: str) -> str:
    """All that is known about a data set before an image is seen.

    Example:
        >>> print(card("leaves").splitlines()[0])
        name      leaves
    """
    known = facts(name)
    ranks = "your choice"
    if known.ranks:
        ranks = f"{len(known.ranks)}, unit {known.ranks.unit}, lowest first: {few(known.ranks.names)}"
    fields = [*known.card.to_dict().items(), ("ranks", ranks), ("images", known.images)]
    for protocol, cut in known.protocols.items():
        chosen = [f"--protocol {protocol}"] if protocol else []
        chosen += [f"--fold {cut.folds[0]} to {cut.folds[-1]}"] if len(cut.folds) > 1 else []
        fields.append(("split", f"{', '.join(chosen)}: {cut.said}" if chosen else cut.said))
    wrap = textwrap.TextWrapper(100, subsequent_indent=" " * 10, break_on_hyphens=False)
    return "\n".join(wrap.fill(f"{key:<10}{' '.join(text.split())}") for key, text in fields if text)


def summary(data: OrdinalDataset) -> str:
    """Source and licence, the ranks, how many images each has, and one line per step of the protocol."""
    about, ranks = data.card, data.ranks
    lines = [f"data      {about.title}; source: {about.source}; licence: {about.licence}"]
    lines.append(f"ranks     {len(ranks)}, lowest first: {few(ranks.names)}; as in {ranks.sentences[0]!r}")
    for split in SPLITS:
        lines.append(f"{split:<10}{len(data.split(split)):,} images; per rank: {few(data.counts(split))}")
    return "\n".join([*lines, *(f"protocol  {step}" for step in data.protocol)])


def counts(name: str, options: Mapping[str, Any]) -> str:
    """The summary of a data set, and a table of images per rank and split.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.
    """
    data = load_dataset(name, **options)
    table = pd.DataFrame({split: data.counts(split) for split in SPLITS}, index=[*data.ranks.names])
    table.loc["all"] = table.sum()
    return f"{summary(data)}\n\n{table.to_string()}"


def leakage(name: str, options: Mapping[str, Any]) -> str:
    """What training and test share, for every fold of a protocol, or for the one that was given.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.
    """
    protocols = facts(name).protocols
    cut = protocols.get(options.get("protocol", next(iter(protocols))))  # the loader refuses an unknown one
    folds = (options["fold"],) if "fold" in options else cut.folds if cut else ()
    if not folds:
        return leakage_report(lambda _: load_dataset(name, **options), (0,))
    return leakage_report(lambda fold: load_dataset(name, **{**options, "fold": fold}), folds)


def fixture(name: str, folder: str, seed: int = 0) -> str:
    """Write drawn images in the layout of a data set, and say what comes next."""
    make_fixture(name, folder, seed)
    ranks = f' --ranks "{",".join(CSV_RANKS)}"' if name == "csv" else ""
    return (
        f"A synthetic fixture of {name} is in {folder}: its images are drawn, results on it mean nothing.\n"
        f"Next: l2rclip fit --dataset {name} --root {folder}{ranks} --out runs/{name}-fixture"
    )


def few(items: Sequence[Any]) -> str:
    """All of a dozen, the ends of more.

    Example:
        >>> few(range(13))
        '0, 1, 2, ..., 10, 11, 12'
    """
    words = [str(item) for item in items]
    return ", ".join(words if len(words) <= 12 else [*words[:3], "...", *words[-3:]])
