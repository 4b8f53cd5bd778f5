"""What is known about each data set before an image is seen, and what of it may be downloaded.

The table itself is `benchmarks.toml`.
"""

import hashlib
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import TypeAdapter
from torch.hub import download_url_to_file

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split, validated
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import sha256_of
from l2rclip_lite.method.ranks import Ranks

DIGESTS = Path(__file__).parent  # its files *.sha256 are as `sha256sum` writes them


@dataclass(frozen=True)
class Protocol:
    """One published way to cut a data set into training and test part.

    Args:
        summary: What it is, in words.
        files: The list files; `{fold}` and `{category}` are filled in.
        cut: How the parts follow from the lists: "second" (the second file is for testing), "fold"
            (the file of this fold is), "others" (all files but that of the fold are, which is
            counted from 1), "column" (the column `database` names the part), "authors" (BRACOL's),
            "decades" (drawn within every rank), "five" (drawn) or "fifths" (three fifths to learn
            from, the next one for validation, whole subjects where they are known; as a column
            `fold` says, if the list has one).
        folds: Its folds, none where there is only one split.
        by_subject: Whether validation takes whole subjects.
    """

    summary: str
    files: Sequence[str] = ()
    cut: str = ""
    folds: Sequence[int] = ()
    by_subject: bool = False


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Args:
        card: Source, licence, citation, terms, known leakage.
        images: How many there are, in words.
        protocols: By name; "" where there is only one.
        ranks: The label space; None where the user chooses it.
        lists: The folder of its published lists, below `datalists`; "" if they lie at the root.
        hint: What to do where they are not there.
        example: The path of an image, as the owner's folder has it.
        first: The label of the lowest rank.
        step: From the label of one rank to that of the next; with a `span`, labels between two
            belong to the lower.
        pattern: How the name of an image is made; the group `subject` becomes a column.
        columns: Of a list with a header; the first two are name and label.
        group: The column that says who or what an image shows, where its name does not.
        neighbours: How many numbers `subject` in a row are one subject: neighbouring photographs
            may show one tree.
        keep: How many components of a path name an image.
        suffix: What the lists leave out at the end of a name.
        upright: Whether the images have an up and a down.
        span: The lowest and the highest label, if labels beyond the ranks join the ends; they are
            rounded then.
        original: Of a data set whose owners publish no such list: their `files`, and of a CSV file
            the `columns` of name and measure and the `polynomial` that makes labels of measures.
        categories: Parts of the data set that are data sets of their own.
        url: Where it, or its lists, may be fetched from; "" where no SHA-256 of the files is known.
        sha256: Of a published file.
    """

    card: Card
    images: str
    protocols: Mapping[str, Protocol]
    ranks: Any = None
    lists: str = ""
    hint: str = ""
    example: str = ""
    first: int = 0
    step: int = 1
    pattern: str = r".+\.\w+"
    columns: Sequence[str] = ("filename", "age")
    group: str = ""
    neighbours: int = 1
    keep: int = 1
    suffix: str = ""
    upright: bool = True
    span: Sequence[int] = ()
    original: Mapping[str, Any] = field(default_factory=dict)
    categories: Sequence[str] = ()
    url: str = ""
    sha256: str = ""


def _data_set(name: str, table: dict[str, Any]) -> DataSet:
    """Return one data set from its table in `benchmarks.toml`."""
    table["card"]["name"] = name
    ranks = table.get("ranks")
    if ranks:
        table["ranks"] = Ranks.from_dict(ranks) if "names" in ranks else Ranks.integers(**ranks)
    return TypeAdapter(DataSet).validate_python(table)


_TOML = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
DATA_SETS = {name: _data_set(name, table) for name, table in _TOML.items()}


def cards_table() -> pd.DataFrame:
    """Return title, number of ranks, unit, number of images and licence of every data set.

    Example:
        >>> cards_table().loc["morph", ["ranks", "unit", "images"]].tolist()
        [62, 'years', '55,134']
    """
    rows = []
    for name, facts in DATA_SETS.items():
        rows.append(
            {
                "name": name,
                "title": facts.card.title,
                "ranks": len(facts.ranks) if facts.ranks else "any",
                "unit": facts.ranks.unit if facts.ranks else "grade",
                "images": facts.images if facts.images[0].isdigit() else "any",
                "licence": facts.card.licence.split(";")[0],
            }
        )
    return pd.DataFrame(rows).set_index("name")


@validated
def load_retinamnist(root: str | Path = "retinamnist") -> OrdinalDataset:
    """Return fundus photographs with grades of diabetic retinopathy, 0 to 4.

    The split is the one that MedMNIST publishes. The npz is read here: the package medmnist would
    bring more packages than it saves lines.

    Images of 28 pixels suggest an input of 112: nothing is gained by enlarging them further. A
    logistic regression on frozen features of `mini`, in five folds of train + val, has accuracy
    0.534 and MAE 0.818 at 112 pixels, 0.507 and 0.887 at 224, for four times the work.

    Args:
        root: A folder with `retinamnist.npz`, or that file.

    Returns:
        1,080 training, 120 validation and 400 test images.

    Raises:
        InputError: No such file there, or a file that is not the published one.

    Example:
        >>> load_retinamnist("nowhere.npz")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: nowhere.npz is not the published file of 28 pixels; get it
        by `l2rclip data retinamnist --download DIR`.
    """
    facts = DATA_SETS["retinamnist"]
    file = Path(root)
    if file.is_dir():
        file = file / "retinamnist.npz"
    if not file.is_file() or sha256_of(file) != facts.sha256:
        raise InputError(
            f"{file} is not the published file of 28 pixels; "
            "get it by `l2rclip data retinamnist --download DIR`."
        )

    splits: dict[str, Any] = {}
    with np.load(file) as archive:
        for split in SPLITS:
            images = [Image.fromarray(image) for image in archive[f"{split}_images"]]
            labels = archive[f"{split}_labels"][:, 0].tolist()
            paths = [f"{split}/{row:04d}" for row in range(len(labels))]
            splits[split] = Split(paths, labels, images)

    return OrdinalDataset(
        "retinamnist",
        **splits,
        ranks=facts.ranks,
        card=facts.card,
        image_size=112,
        protocol=("the published split, images of 28 pixels",),
    )


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
