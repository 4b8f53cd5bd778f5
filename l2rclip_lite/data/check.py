"""What `l2rclip data --check` prints: every image decoded, and all faults at once."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.describe import counts
from l2rclip_lite.data.images import FORMATS, ImageFiles, read_image
from l2rclip_lite.data.near_copies import difference_hash, nearest_copies
from l2rclip_lite.data.pixels import pixel_digest
from l2rclip_lite.data.protocols import CHANGES
from l2rclip_lite.errors import InputError, one_line, plural

# Pixels. A larger image is decoded alone: one of 88 megapixels takes gigabytes, and what several
# threads have taken for theirs is not given back.
LARGE_IMAGE = 2**24


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
    picture (see `near_copies`) is listed, but is no fault.

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

    if name in DATA_SETS and options.get("root") is None:
        raise InputError(f"{name}: there is no folder of images to check; give --root.")

    lenient = dict(options)
    lenient["allow_missing"] = True
    data = load_dataset(name, **lenient)
    if not isinstance(data.train.images, ImageFiles):
        changes = [f"--{change.replace('_', '-')}" for change in CHANGES if change in options]
        raise InputError(f"{name}: all images are checked; leave out {' and '.join(changes)}.")

    table = _examined(data)
    readable = table["fault"] == ""
    copies = _name_copies(table, readable)
    table.loc[copies.index, "fault"] = copies

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
        files = part.images.files
        columns.append(pd.DataFrame({"split": split, "path": part.paths, "file": files}))
    table = pd.concat(columns, ignore_index=True)

    files = table["file"].tolist()
    headers = thread_map(header, files, disable=True)
    table["mode"] = [mode for _, mode in headers]
    large = np.array([pixels > LARGE_IMAGE for pixels, _ in headers])

    results = dict[int, Examined]()
    small = table[~large]
    examined = thread_map(
        examine, small["file"], small["mode"], disable=None, desc="decode", leave=False
    )
    results.update(zip(small.index, examined, strict=True))
    for row in tqdm(table.index[large], desc="large images", disable=None, leave=False):
        results[row] = examine(files[row], headers[row][1])

    rows = [results[row] for row in table.index]
    return table.drop(columns="mode").join(pd.DataFrame(rows, columns=list(Examined._fields)))


def _name_copies(table: pd.DataFrame, readable: "pd.Series[bool]") -> "pd.Series[str]":
    """Return the fault of each image with the same pixels as one of an earlier split."""
    original = table.groupby("content")[["split", "path"]].transform("first")
    copy = readable & (original["split"] != table["split"])
    faults = "the same pixels as " + original["path"] + " in " + original["split"]
    return faults[copy]


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
