"""What `l2rclip data` prints: cards, counts, leakage, and what is wrong with the images."""

import os
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, Computed, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.near_copies import difference_hash, nearest_copies
from l2rclip_lite.data.protocols import CHANGES
from l2rclip_lite.errors import InputError, one_line, plural
from l2rclip_lite.images import FORMATS, pixel_digest, read_image
from l2rclip_lite.progress import Progress

# Pixels. A larger image is decoded alone: one of 88 megapixels takes gigabytes, and what several
# threads have taken for theirs is not given back.
LARGE_IMAGE = 2**24


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


def _shared(part: str, learned: Split, judged: Split) -> dict[str, int | None]:
    """Count what the split `judged` shares with the one that is learned from."""
    subjects: int | None = None
    shared_subjects: int | None = None
    images_of_shared: int | None = None
    if learned.subjects is not None and judged.subjects is not None:
        shared = set(judged.subjects) & set(learned.subjects)
        subjects = len(set(judged.subjects))
        shared_subjects = len(shared)
        images_of_shared = sum(subject in shared for subject in judged.subjects)

    learned_paths = set(learned.paths)
    return {
        f"{part}_images": len(judged),
        f"{part}_subjects": subjects,
        f"{part}_shared_subjects": shared_subjects,
        f"{part}_images_of_shared": images_of_shared,
        f"{part}_shared_files": sum(path in learned_paths for path in judged.paths),
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


class Examined(NamedTuple):
    """Size, mode, digest and difference hash of an image file, and what is wrong with it."""

    size: str
    mode: str
    content: str
    hash: np.ndarray | None
    fault: str


def examine(file: str, mode: str) -> Examined:
    """Decode an image file, and return what `check` needs of it.

    Args:
        file: The file.
        mode: Its mode, see `header`.

    Example:
        >>> examine("nowhere.png", "").fault
        'the image nowhere.png does not exist; correct or remove it.'
    """
    try:
        image = read_image(file)
    except InputError as error:
        reason = str(error.__cause__ or error).replace(f" {file!r}", "")
        return Examined("", "", "", None, " ".join(reason.split()))

    size = f"{image.width} x {image.height}"
    return Examined(size, mode, pixel_digest(image).hex(), difference_hash(image), "")


def header(file: str) -> tuple[int, str]:
    """Return the number of pixels and the mode of an image file, 0 and "" where it is none."""
    if not os.path.isfile(file):  # to open a pipe would be to wait for who writes into it
        return 0, ""
    try:
        with Image.open(file, formats=FORMATS) as opened:
            return opened.width * opened.height, opened.mode
    except Exception:  # on broken bytes decoders raise nearly anything; `read_image` says it
        return 0, ""


def check(name: str, options: Mapping[str, Any]) -> tuple[str, bool]:
    """Decode every image of a data set, and list all faults at once.

    An image with the same pixels as one of an earlier split is a fault. One that is nearly the same
    picture (see `near_copies`) is only named: what it means, you decide.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.

    Returns:
        Counts, sizes, modes and faults as text, and whether `fit` would take the images.

    Raises:
        InputError: What `load_dataset` refuses, or a data set without files.
    """
    if name in ("leaves", "retinamnist"):
        raise InputError(f"{name}: its images are no files, so there is nothing to check.")

    lenient = dict(options)
    lenient["allow_missing"] = True
    data = load_dataset(name, **lenient)
    if not isinstance(data.train.images, Computed):
        changes = [f"--{change.replace('_', '-')}" for change in CHANGES if change in options]
        raise InputError(f"{name}: all images are checked; leave out {' and '.join(changes)}.")

    table = _examined(data)
    readable = table["fault"] == ""
    _name_copies(table, readable)
    lost = pd.DataFrame({"split": "", "path": data.missing, "fault": "does not exist"})
    faults = pd.concat([table[table["fault"] != ""], lost])[["split", "path", "fault"]]

    lines = [counts(data), f"\n{plural(len(table), 'image')}, {readable.sum():,} can be read"]
    for column in ("size", "mode"):
        frequent = table[column][readable].value_counts().head(8)
        listed = ", ".join(f"{value}: {count:,}" for value, count in frequent.items())
        lines.append(f"{column:<10}{listed}")
    if len(faults):
        lines.append(_listed(faults))
    else:
        lines.append("no fault was found")

    near = _near_copies(table[table["fault"] == ""])
    if len(near):
        lines.append(f"\n{plural(len(near), 'image')} to look at: nearly a copy, which is no fault")
        lines.append(_listed(near))

    complete = not data.missing or bool(options.get("allow_missing"))
    return "\n".join(lines), bool(readable.all()) and complete


def _examined(data: OrdinalDataset) -> pd.DataFrame:
    """Return one row for each image of the three splits, decoded once, in several threads."""
    columns = []
    for split in SPLITS:
        part = data.split(split)
        files = part.images.columns[0]
        columns.append(pd.DataFrame({"split": split, "path": part.paths, "file": files}))
    table = pd.concat(columns, ignore_index=True)

    files = table["file"].tolist()
    headers = thread_map(header, files, disable=True)
    table["mode"] = [mode for _, mode in headers]
    large = np.array([pixels > LARGE_IMAGE for pixels, _ in headers])

    results = dict[int, Examined]()
    small = table[~large]
    examined = thread_map(
        examine, small["file"], small["mode"], tqdm_class=Progress, desc="decode", leave=False
    )
    results.update(zip(small.index, examined, strict=True))
    for row in Progress(table.index[large], desc="large images", leave=False):
        results[row] = examine(files[row], headers[row][1])

    rows = [results[row] for row in table.index]
    return table.drop(columns="mode").join(pd.DataFrame(rows, columns=list(Examined._fields)))


def _name_copies(table: pd.DataFrame, readable: "pd.Series[bool]") -> None:
    """Fill the column `fault` of images with the same pixels as one of an earlier split."""
    original = table.groupby("content")[["split", "path"]].transform("first")
    copy = readable & (original["split"] != table["split"])
    table.loc[copy, "fault"] = "the same pixels as " + original["path"] + " in " + original["split"]


def _near_copies(table: pd.DataFrame) -> pd.DataFrame:
    """Return the images that are nearly the same picture as one of an earlier split."""
    rows = []
    for split in SPLITS[1:]:
        later = table[table["split"] == split]
        earlier = table[table["split"].isin(SPLITS[: SPLITS.index(split)])]
        nearest = nearest_copies(later["hash"].tolist(), earlier["hash"].tolist())
        for path, place in zip(later["path"], nearest, strict=True):
            if place is not None:
                original = earlier.iloc[place]
                sentence = f"nearly the same picture as {original['path']} in {original['split']}"
                rows.append((split, path, sentence))
    return pd.DataFrame(rows, columns=["split", "path", "warning"])


def _listed(table: pd.DataFrame) -> str:
    """Return a table of texts for the terminal."""
    return table.map(one_line).to_string(index=False)
