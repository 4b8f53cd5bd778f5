"""What `l2rclip data` prints: cards, counts, leakage, and what is wrong with the images."""

import os
import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, Computed, OrdinalDataset
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.images import FORMATS, pixel_digest, read_image
from l2rclip_lite.progress import Progress


def card(name: str) -> str:
    """All that is known about a data set before an image is seen.

    Example:
        >>> print(card("leaves").splitlines()[0])
        name      leaves
    """
    facts, about = DATA_SETS[name], "your choice"
    if ranks := facts.ranks:
        about = f"{len(ranks)}, unit {ranks.unit}, from {ranks.names[0]} to {ranks.names[-1]}"
    fields = [*facts.card.to_dict().items(), ("images", facts.images), ("ranks", about)]
    for protocol, cut in facts.protocols.items():
        chosen = f"--protocol {protocol} " if protocol else ""
        chosen += f"--fold {cut.folds[0]} to {cut.folds[-1]}" if len(cut.folds) > 1 else ""
        fields.append(("split", f"{chosen.strip()}: {cut.said}" if chosen else cut.said))
    wrap: Any = {"width": 100, "subsequent_indent": " " * 10, "break_on_hyphens": False}
    lines = (f"{key:<10}{' '.join(text.split())}" for key, text in fields if text)
    return "\n".join(textwrap.fill(line, **wrap) for line in lines)


def counts(data: OrdinalDataset) -> str:
    """What `summary` says of a data set, and a table of images per rank and split, with bars."""
    table = pd.DataFrame({split: data.counts(split) for split in SPLITS}, index=[*data.ranks.names])
    table = pd.concat([table, table.sum().to_frame("all").T])  # a rank, too, may be called all
    most = table.iloc[:-1].sum(axis=1).max()
    table[""] = [*("█" * round(30 * count / most) for count in table.iloc[:-1].sum(axis=1)), ""]
    return f"{data.summary()}\n\n{table.to_string()}"


def leakage(data: OrdinalDataset) -> dict[str, int | None]:
    """Compare (train + val) with test, and train with val, by file name and by subject.

    No image is opened. Two files with different names and the same content are not found.

    Args:
        data: Any data set.

    Returns:
        With the prefixes `test_` and `val_`: the images and subjects of that part, the subjects that are also in
        training, their images, and the files that are also in training. What is about subjects is None where the data
        set does not say who is shown.

    Example:
        >>> counts = leakage(load_dataset("leaves", size=60))
        >>> counts["test_images"], counts["test_shared_files"], counts["test_shared_subjects"]
        (10, 0, None)
    """
    found: dict[str, int | None] = {}
    for part, seen, judged in (
        ("test", data.train + data.val, data.test),
        ("val", data.train, data.val),
    ):
        known, names = seen.subjects is not None and judged.subjects is not None, set(seen.paths)
        people = judged.subjects or ()
        shared = set(people) & set(seen.subjects or ())
        counts = len(set(people)), len(shared), sum(who in shared for who in people)
        found[f"{part}_images"] = len(judged)
        for name, count in zip(
            ("subjects", "shared_subjects", "images_of_shared"), counts, strict=True
        ):
            found[f"{part}_{name}"] = count if known else None
        found[f"{part}_shared_files"] = sum(path in names for path in judged.paths)
    return found


def leakage_table(name: str, options: dict[str, Any]) -> str:
    """What `leakage` counts, for every fold of a protocol, or for the one that was given.

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
    protocols = DATA_SETS[name].protocols
    cut = protocols.get(
        options.get("protocol", next(iter(protocols)))
    )  # the loader refuses an unknown one
    drawn = range(1, options.get("folds", 0) + 1)
    folds = [options["fold"]] if "fold" in options else drawn or (cut.folds if cut else [])
    parts = {f"fold {fold}": options | {"fold": fold} for fold in folds} or {"split": options}
    found = (
        pd.Series(leakage(load_dataset(name, **part)), dtype=object) for part in parts.values()
    )
    table = pd.DataFrame(dict(zip(parts, found, strict=True)))
    title = f"{name}: what train + val share with test, and train with val"
    return f"{title}\n{table.fillna('unknown').to_string()}"


def examine(file: str) -> tuple[str, str, str, str]:
    """Size, mode and digest of the pixels of an image file, and what is wrong with it.

    Example:
        >>> examine("nowhere.png")
        ('', '', '', 'the image nowhere.png does not exist; correct or remove it.')
    """
    try:
        image = read_image(file)
        with Image.open(file, formats=FORMATS) as opened:
            mode = opened.mode
    except InputError as error:
        return "", "", "", " ".join(str(error.__cause__ or error).replace(f" {file!r}", "").split())
    return f"{image.width} x {image.height}", mode, pixel_digest(image).hex(), ""


def check(name: str, options: Mapping[str, Any]) -> tuple[str, bool]:
    """Decode every image of a data set, and list all faults at once.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.

    Returns:
        Counts, sizes, modes and faults as text, and whether `fit` would take the images.

    Raises:
        InputError: What `load_dataset` refuses, or a data set without files.
    """
    lenient = {} if name in ("leaves", "retinamnist") else {"allow_missing": True}
    data = load_dataset(name, **{**options, **lenient})
    if not isinstance(data.train.images, Computed):
        raise InputError(
            f"{name}: no files of its own, or a protocol chose among them; check without it."
        )
    parts = ((split, data.split(split)) for split in SPLITS)
    columns = [
        {"split": split, "path": part.paths, "file": part.images.columns[0]}
        for split, part in parts
    ]
    table = pd.concat(map(pd.DataFrame, columns), ignore_index=True)
    seen = thread_map(
        examine,
        table["file"],
        max_workers=os.cpu_count(),  # each may hold 700 MB: an image of 89 megapixels, twice
        tqdm_class=Progress,
        desc="decode",
        leave=False,
    )
    table = table.join(pd.DataFrame(seen, columns=["size", "mode", "content", "fault"]))
    readable = table["fault"] == ""
    first = table.groupby("content")[["split", "path"]].transform("first")
    copy = readable & (first["split"] != table["split"])
    table.loc[copy, "fault"] = "the same pixels as " + first["path"] + " in " + first["split"]
    lost = pd.DataFrame({"split": "", "path": data.missing, "fault": "does not exist"})
    faults = pd.concat([table[table["fault"] != ""], lost])[["split", "path", "fault"]].map(
        one_line
    )
    lines = [counts(data), f"\n{len(table):,} images, {readable.sum():,} can be read"]
    for column in ("size", "mode"):
        some = table[column][readable].value_counts().head(8)
        lines.append(
            f"{column:<10}{', '.join(f'{value}: {count:,}' for value, count in some.items())}"
        )
    lines.append(faults.to_string(index=False) if len(faults) else "no fault was found")
    return "\n".join(lines), bool(readable.all()) and (
        not data.missing or bool(options.get("allow_missing"))
    )
