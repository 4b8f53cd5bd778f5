"""What `l2rclip data` prints of a data set: card, counts, leakage, and a check of every image."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.reading import pixel_digest, read_image
from l2rclip_lite.errors import InputError, plural, reason

THREADS = 4  # that decode at once: one image of 88 megapixels takes nearly a gigabyte
SIDE = 16  # of the grid that is compared
# Of 256 bits. Of 400 images each of seven real data sets, the two most alike differ in 26 or more.
# An image and its copy as a JPEG of quality 60, or at half size, differ in 19 at most for 19 of 20
# images of six of these sets, and in 35 for those of apples81.
MAX_DISTANCE = 20
MIN_EDGES = SIDE * SIDE // 4  # an image of nearly one colour has too little to compare


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
        text = published.summary
        if len(published.folds) > 1:
            text = f"--fold {published.folds[0]} to {published.folds[-1]}: {text}"
        if protocol:
            text = f"--protocol {protocol} {text}"
        fields.append(("split", text))

    wrapper = textwrap.TextWrapper(width=100, subsequent_indent=" " * 10, break_on_hyphens=False)
    lines = [wrapper.fill(f"{key:<10}{' '.join(text.split())}") for key, text in fields if text]
    return "\n".join(lines)


def counts(data: OrdinalDataset) -> str:
    """Return the summary of a data set, and a table of images per rank and split."""
    table = pd.DataFrame({split: data.counts(split) for split in SPLITS}, index=[*data.ranks.names])
    table = pd.concat([table, table.sum().to_frame("all").T])  # a rank, too, may be called all
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
    learned_paths = set(learned.paths)
    counts: dict[str, int | None] = {
        "images": len(held_out),
        "subjects": None,
        "shared_subjects": None,
        "images_of_shared": None,
        "shared_files": sum(path in learned_paths for path in held_out.paths),
    }

    trained = set(learned.subjects or ())
    shown = held_out.subjects or ()
    if trained and shown:
        counts["subjects"] = len(set(shown))
        counts["shared_subjects"] = len(trained & set(shown))
        counts["images_of_shared"] = sum(who in trained for who in shown)
    return {f"{part}_{name}": count for name, count in counts.items()}


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
    protocols = DATA_SETS[name].protocols
    published = protocols.get(options.get("protocol", next(iter(protocols))))
    folds = range(1, options.get("folds", 0) + 1) or (published.folds if published else ())
    if "fold" in options:
        folds = [options["fold"]]

    chosen = {f"fold {fold}": options | {"fold": fold} for fold in folds} or {"split": options}
    table = pd.DataFrame()
    for column, choices in chosen.items():
        shared = leakage(load_dataset(name, **choices))
        table[column] = pd.Series(shared, dtype=object)  # whole numbers beside None stay whole
    title = f"{name}: what train + val share with test, and train with val"
    return f"{title}\n{table.fillna('unknown').to_string()}"


class Examined(NamedTuple):
    """Digest and difference hash of an image file, or what is wrong with it."""

    content: str = ""
    hash: np.ndarray | None = None
    fault: str = ""


def examine(file: str) -> Examined:
    """Decode an image file, and return what `check` needs of it.

    Example:
        >>> examine("nowhere.png").fault
        'No such file or directory'
    """
    try:
        image = read_image(file)
    except InputError as error:
        fault = reason(error.__cause__ or error).replace(f" {file!r}", "")
        return Examined(fault=" ".join(fault.split()))
    return Examined(pixel_digest(image).hex(), difference_hash(image))


def check(name: str, options: Mapping[str, Any]) -> tuple[str, bool]:
    """Decode every image of a data set, and list all faults at once.

    An image with the same pixels as one of an earlier split is a fault. One that is nearly the same
    picture (see `near_copies`) is listed, but is no fault.

    Args:
        name: The name `load_dataset` knows.
        options: Its options.

    Returns:
        Counts and faults as text, and whether `fit` would take the images.

    Raises:
        InputError: What `load_dataset` refuses, or a data set without files.
    """
    if "root" not in options or name == "retinamnist":
        raise InputError(f"{name}: there is no folder of images to check; name one by --root.")

    data = load_dataset(name, **{**options, "allow_missing": True})
    table = _examined(data)
    readable = table["fault"] == ""
    original = table.groupby("content")[["split", "path"]].transform("first")
    copied = readable & (original["split"] != table["split"])
    same = "the same pixels as " + original["path"] + " in " + original["split"]
    table.loc[copied, "fault"] = same[copied]

    lost = pd.DataFrame({"split": "", "path": data.missing, "fault": "does not exist"})
    faults = pd.concat([table[table["fault"] != ""], lost])[["split", "path", "fault"]]

    lines = [counts(data), f"\n{plural(len(table), 'image')}, {readable.sum():,} can be read"]
    lines.append(faults.to_string(index=False) if len(faults) else "no fault was found")

    near = _near_copies(table[table["fault"] == ""])
    if len(near):
        lines.append(f"\n{plural(len(near), 'image')} to look at: nearly a copy, which is no fault")
        lines.append(near.to_string(index=False))

    complete = not data.missing or bool(options.get("allow_missing"))
    return "\n".join(lines), bool(readable.all()) and complete


def _examined(data: OrdinalDataset) -> pd.DataFrame:
    """Return one row for each image of the three splits, decoded once, in several threads."""
    rows = []
    for split in SPLITS:
        part = data.split(split)
        for path, image in zip(part.paths, part.images, strict=True):
            rows.append((split, path, image.path))
    table = pd.DataFrame(rows, columns=["split", "path", "file"])

    files = table["file"]
    examined = thread_map(
        examine, files, max_workers=THREADS, disable=None, desc="decode", leave=False
    )
    return table.join(pd.DataFrame(examined))


def _near_copies(table: pd.DataFrame) -> pd.DataFrame:
    """Return the images that are nearly the same picture as one of an earlier split."""
    rows = []
    for number, split in enumerate(SPLITS):
        later = table[table["split"] == split]
        earlier = table[table["split"].isin(SPLITS[:number])]
        nearest = nearest_copies(later["hash"].tolist(), earlier["hash"].tolist())
        for path, place in zip(later["path"], nearest, strict=True):
            if place is not None:
                original = earlier.iloc[place]
                sentence = f"nearly the same picture as {original['path']} in {original['split']}"
                rows.append((split, path, sentence))
    return pd.DataFrame(rows, columns=["split", "path", "warning"])


def difference_hash(image: Image.Image) -> np.ndarray:
    """Return where an image gets brighter from left to right, on a grid of 16 × 16.

    Source: the difference hash dHash, with 256 bits in place of 64, which cannot tell apart images
    of one kind (two coffee leaves differ in 2 of 64 bits).

    Args:
        image: An RGB image.

    Returns:
        (256,) of +1 and -1, float32; of 0 for an image that has nearly one colour.

    Example:
        >>> difference_hash(Image.linear_gradient("L").rotate(90).convert("RGB")).sum()
        np.float32(256.0)
        >>> difference_hash(Image.new("RGB", (32, 32), "red")).any()
        np.False_
    """
    small = image.resize((SIDE + 1, SIDE), Image.Resampling.BOX).convert("L")
    steps = np.diff(np.asarray(small, np.int16), axis=1).ravel()
    if np.count_nonzero(steps) < MIN_EDGES:
        return np.zeros(SIDE * SIDE, np.float32)
    return np.where(steps > 0, np.float32(1), np.float32(-1))


def nearest_copies(hashes: Sequence[np.ndarray], earlier: Sequence[np.ndarray]) -> list[int | None]:
    """Return for each image which earlier one is nearly the same picture.

    All pairs are compared: 55,134 images take a few minutes.

    Args:
        hashes: What `difference_hash` returns of each image.
        earlier: The same of the images to compare with.

    Returns:
        The place of the nearest in `earlier`, if no more than `MAX_DISTANCE` bits differ.

    Example:
        >>> one = np.ones(256, np.float32)
        >>> nearest_copies([one, -one, 0 * one], [0 * one, one])
        [1, None, None]
    """
    if not earlier:
        return [None] * len(hashes)

    candidates = np.stack(earlier)
    nearest: list[int | None] = []
    for bits in hashes:
        agreement = candidates @ bits  # 256 - 2 · other bits; 0 with an image of one colour
        best = int(agreement.argmax())
        is_copy = agreement[best] >= SIDE * SIDE - 2 * MAX_DISTANCE
        nearest.append(best if is_copy else None)
    return nearest
