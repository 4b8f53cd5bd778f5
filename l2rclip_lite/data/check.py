"""What `l2rclip data` does: print card, counts and leakage, check every image, download."""

import hashlib
import tarfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from torch.hub import download_url_to_file
from tqdm.contrib.concurrent import thread_map

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.reading import ImageFile, pixel_digest
from l2rclip_lite.errors import InputError, one_line, plural, reason

DIGESTS = Path(__file__).parent  # its files *.sha256 are as `sha256sum` writes them
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
    trained = set(learned.subjects or ())
    shown = held_out.subjects or ()
    counts: dict[str, int | None] = {
        "images": len(held_out),
        "subjects": len(set(shown)),
        "shared_subjects": len(trained & set(shown)),
        "images_of_shared": sum(who in trained for who in shown),
        "shared_files": len({*learned.paths} & {*held_out.paths}),
    }
    if not trained or not shown:
        counts |= dict.fromkeys(("subjects", "shared_subjects", "images_of_shared"))
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
    folds: Sequence[int]
    if "fold" in options:
        folds = [options["fold"]]
    elif "folds" in options:
        folds = range(1, options["folds"] + 1)
    else:
        folds = published.folds if published else ()
    if options.get("subject_disjoint"):
        folds = ()  # all images are cut anew, whatever the fold

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


def examine(image: ImageFile) -> Examined:
    """Decode an image, and return what `check` needs of it.

    Example:
        >>> examine(ImageFile("nowhere.png")).fault
        'No such file or directory'
    """
    try:
        picture = image.read()
    except InputError as error:
        fault = reason(error.__cause__ or error).replace(f" {image.path!r}", "")
        return Examined(fault=one_line(fault))
    return Examined(pixel_digest(picture).hex(), difference_hash(picture))


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
    if name == "coffee":
        data = load_dataset(name, **options)
    elif "root" in options and name != "retinamnist":
        data = load_dataset(name, **{**options, "allow_missing": True})
    else:
        problem = f"{name}: there is no folder of images to check"
        raise InputError(f"{problem}; name one by --root, if its images are files.")

    pool = data.train + data.val + data.test
    lengths = [len(data.split(split)) for split in SPLITS]
    table = pd.DataFrame({"split": np.repeat(SPLITS, lengths), "path": pool.paths})
    examined = thread_map(
        examine, pool.images, max_workers=THREADS, disable=None, desc="decode", leave=False
    )
    table = table.join(pd.DataFrame(examined))

    readable = table["fault"] == ""
    original = table.groupby("content")[["split", "path"]].transform("first")
    copied = readable & (original["split"] != table["split"])
    table.loc[copied, "fault"] = (
        "the same pixels as " + original["path"] + " in " + original["split"]
    )

    lost = pd.DataFrame({"split": "", "path": data.missing, "fault": "does not exist"})
    faults = pd.concat([table[table["fault"] != ""], lost])[["split", "path", "fault"]]
    near = near_copies(table[table["fault"] == ""])

    lines = [counts(data), f"\n{plural(len(table), 'image')}, {readable.sum():,} can be read"]
    if len(faults):
        lines.append(faults.to_string(index=False))
    else:
        lines.append("no fault was found")

    if len(near):
        lines.append(f"\n{plural(len(near), 'image')} to look at: nearly a copy, which is no fault")
        lines.append(near.to_string(index=False))

    complete = not data.missing or bool(options.get("allow_missing"))
    return "\n".join(lines), bool(readable.all()) and complete


def near_copies(table: pd.DataFrame) -> pd.DataFrame:
    """Return the images that are nearly the same picture as one of an earlier split.

    All pairs are compared: 55,134 images take a few minutes.

    Args:
        table: Columns `split`, of which each stands together, `path`, and `hash` by
            `difference_hash`, of which no more than `MAX_DISTANCE` bits may differ.

    Returns:
        Columns `split`, `path` and `warning`, which names the most alike.

    Example:
        >>> one = np.ones(256, np.float32)
        >>> rows = [("train", "a.png", one), ("test", "b.png", one), ("test", "c.png", -one)]
        >>> near_copies(pd.DataFrame(rows, columns=["split", "path", "hash"]))["warning"].tolist()
        ['nearly the same image as a.png in train']
    """
    hashes = np.array(table["hash"].tolist())
    splits = table["split"].tolist()
    paths = table["path"].tolist()

    rows = []
    for place, split in enumerate(splits):
        n_earlier = splits.index(split)
        if n_earlier == 0:
            continue

        agreement = hashes[:n_earlier] @ hashes[place]  # 256 - 2 · other bits; 0 of one colour
        nearest = agreement.argmax()
        if agreement[nearest] >= SIDE * SIDE - 2 * MAX_DISTANCE:
            sentence = f"nearly the same image as {paths[nearest]} in {splits[nearest]}"
            rows.append((split, paths[place], sentence))
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


def download(name: str, folder: str | Path) -> Path:
    """Fetch what is free of a data set, at one revision, and keep it only if every byte is right.

    BRACOL and RetinaMNIST (28 pixels) come with their images. Of MORPH, CLAP2015, Adience, HCI and
    aesthetics the official split lists are free (MIT), and one download has them all; the images
    come from their owners. A file of an archive is known by its SHA-256 alone, wherever the archive
    has it. Of bracol-area, hc18, the three fruits and the portraits no digests of the owners' files
    are known: fetch them by hand from where the card says.

    Args:
        name: The name `load_dataset` knows.
        folder: The folder to make; it must not exist, or be empty.

    Returns:
        `folder`: the `root` of bracol and retinamnist, the `lists` of the others.

    Raises:
        InputError: Nothing to download, a folder in use, no network, or a file that is not the
            known one.
        OSError: The folder cannot be written.

    Example:
        >>> download("csv", "here")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: nothing to download; `l2rclip data csv` says where its
        images are.
    """
    source = DATA_SETS[name].url
    if not source:
        raise InputError(
            f"{name}: nothing to download; `l2rclip data {name}` says where its images are."
        )

    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{name}: {folder} already holds something; name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)

    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as working:
        fresh = Path(working, "fresh")  # takes the folder's name if nothing is raised
        fresh.mkdir()
        try:
            _fetch(name, source, fresh)
        except Exception as error:  # connections, and archives that come by them, raise anything
            raise InputError(f"{name}: {source} cannot be fetched ({error}); try again.") from error

        if folder.exists():
            folder.rmdir()  # Windows replaces no folder, not even an empty one
        fresh.replace(folder)
    return folder


def _fetch(name: str, source: str, folder: Path) -> None:
    """Write the published files of a data set into a new folder, if every one of them is there."""
    packed = folder / "packed"
    download_url_to_file(source, str(packed), DATA_SETS[name].sha256, progress=False)
    if name == "retinamnist":
        packed.rename(folder / "retinamnist.npz")
        return

    digests = "bracol.sha256" if name == "bracol" else "official_lists.sha256"
    listed = (DIGESTS / digests).read_text(encoding="ascii").splitlines()
    path_of = dict(line.split("  ", 1) for line in listed)
    with tarfile.open(packed, "r:gz") as archive:
        for member in filter(tarfile.TarInfo.isreg, archive):  # no link
            content = archive.extractfile(member).read()  # type: ignore[union-attr]
            path = path_of.pop(hashlib.sha256(content).hexdigest(), None)
            if path is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
    packed.unlink()

    if path_of:
        example = min(path_of.values())
        raise InputError(f"{len(path_of)} files are missing or changed, such as {example}")
