"""What `l2rclip data` prints of a data set: its card, its counts, its leakage."""

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import DATA_SETS


def card(name: str) -> str:
    """Return all that is known about a data set before an image is seen.

    Example:
        >>> print(card("leaves").splitlines()[0])
        name      leaves
    """
    facts = DATA_SETS[name]
    ranks = "your choice"
    if facts.ranks:
        ends = f"from {facts.ranks.names[0]} to {facts.ranks.names[-1]}"
        ranks = f"{len(facts.ranks)}, unit {facts.ranks.unit}, {ends}"

    fields = [*facts.card.to_dict().items(), ("images", facts.images), ("ranks", ranks)]
    for protocol, published in facts.protocols.items():
        options = []
        if protocol:
            options.append(f"--protocol {protocol}")
        if len(published.folds) > 1:
            options.append(f"--fold {published.folds[0]} to {published.folds[-1]}")

        text = published.summary
        if options:
            text = f"{' '.join(options)}: {text}"
        fields.append(("split", text))

    lines = [f"{key:<10}{' '.join(text.split())}" for key, text in fields if text]
    wrapper = textwrap.TextWrapper(width=100, subsequent_indent=" " * 10, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in lines)


def counts(data: OrdinalDataset) -> str:
    """Return the summary of a data set, and a table of images per rank and split, with bars."""
    table = pd.DataFrame({split: data.counts(split) for split in SPLITS}, index=[*data.ranks.names])
    per_rank = table.sum(axis=1)
    bars = ["█" * round(30 * count / per_rank.max()) for count in per_rank]

    table = pd.concat([table, table.sum().to_frame("all").T])  # a rank, too, may be called all
    table[""] = [*bars, ""]
    return f"{data.summary()}\n\n{table.to_string()}"


def leakage(data: OrdinalDataset) -> dict[str, int | None]:
    """Compare (train + val) with test, and train with val, by file name and by subject.

    No image is opened. Two files with different names and the same content are not found.

    Args:
        data: Any data set.

    Returns:
        With the prefixes `test_` and `val_`: the images and subjects of that part, the subjects
        that are also in training, their images, and the files that are also in training. What is
        about subjects is None where the data set does not say who is shown.

    Example:
        >>> counts = leakage(load_dataset("leaves", size=60))
        >>> counts["test_images"], counts["test_shared_files"], counts["test_shared_subjects"]
        (10, 0, None)
    """
    return _shared("test", data.train + data.val, data.test) | _shared("val", data.train, data.val)


def _shared(part: str, learned: Split, held_out: Split) -> dict[str, int | None]:
    """Count what a held-out split shares with the one that is learned from."""
    subjects: int | None = None
    shared_subjects: int | None = None
    images_of_shared: int | None = None
    if learned.subjects is not None and held_out.subjects is not None:
        shared = set(held_out.subjects) & set(learned.subjects)
        subjects = len(set(held_out.subjects))
        shared_subjects = len(shared)
        images_of_shared = sum(subject in shared for subject in held_out.subjects)

    learned_paths = set(learned.paths)
    return {
        f"{part}_images": len(held_out),
        f"{part}_subjects": subjects,
        f"{part}_shared_subjects": shared_subjects,
        f"{part}_images_of_shared": images_of_shared,
        f"{part}_shared_files": sum(path in learned_paths for path in held_out.paths),
    }


def leakage_table(name: str, options: dict[str, Any]) -> str:
    """Return what `leakage` counts, for every fold of a protocol, or for the chosen one.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.

    Example:
        >>> print(leakage_table("leaves", {"size": 60}).partition("test_shared")[0].rstrip())
        leaves: what train + val share with test, and train with val
                                 split
        test_images                 10
        test_subjects          unknown
    """
    columns = {}
    for fold in _folds(name, options):
        columns[f"fold {fold}"] = leakage(load_dataset(name, **(options | {"fold": fold})))
    if not columns:
        columns["split"] = leakage(load_dataset(name, **options))

    counts_of = {name: pd.Series(column, dtype=object) for name, column in columns.items()}
    table = pd.DataFrame(counts_of)  # whole numbers beside None stay whole
    title = f"{name}: what train + val share with test, and train with val"
    return f"{title}\n{table.fillna('unknown').to_string()}"


def _folds(name: str, options: Mapping[str, Any]) -> list[int]:
    """Return the chosen fold, or all folds of the protocol; none where there is one split."""
    if "fold" in options:
        return [options["fold"]]
    if "folds" in options:
        return list(range(1, options["folds"] + 1))

    protocols = DATA_SETS[name].protocols
    default = next(iter(protocols))
    protocol = protocols.get(options.get("protocol", default))
    if protocol is None:  # the loader refuses it
        return []
    return list(protocol.folds)
