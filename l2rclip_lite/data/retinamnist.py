"""RetinaMNIST: 1,600 small photographs of the back of the eye with five grades of diabetic retinopathy."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import one_of
from l2rclip_lite.data.listed import is_fixture, mark_fixture
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import write_atomically
from l2rclip_lite.ranks import Ranks

RECORD = "https://zenodo.org/records/10519652"
# Of the published files, by the side of their pictures. Source: medmnist/info.py of github.com/MedMNIST/MedMNIST.
MD5 = {
    28: "bd4c0672f1bba3e3a89f0e4e876791e4",
    64: "afda852cc34dcda56f86ad2b2457dbcc",
    128: "e48e916a24454daf90583d4e6efb1a18",
    224: "eae7e3b6f3fcbda4ae613ebdcbe35348",
}
# MD5 can be forged, so only a file whose SHA-256 this project knows is fetched.
SHA256 = {28: "254915f5f0a2074665c4676356824cf4ef4a3bcab233894b4bafcaf48962bd69"}
# The archive has no names for its grades 0 to 4: these words are ours, and so is the template.
NAMES = ("no", "mild", "moderate", "severe", "proliferative")
TEMPLATE = "a photo of a retina with {rank} diabetic retinopathy"
LARGEST = 2**28  # bytes; the largest published array has 163 million
IMAGE_SIZE = {28: 112}  # see `load_retinamnist`
CARD = Card(
    name="retinamnist",
    title="RetinaMNIST, grades of diabetic retinopathy",
    source="MedMNIST v2, Zenodo record 10519652, retinamnist.npz; derived from the DeepDRiD challenge",
    licence="CC BY 4.0",
    citation=(
        "RetinaMNIST from MedMNIST v2 (J. Yang et al., Scientific Data 10, 41, 2023), CC BY 4.0, derived from the "
        "DeepDRiD challenge."
    ),
    notes=(
        "Photographs of the back of the eye, centre-cropped and shrunk by the publisher; this package enlarges them "
        "to the towers' input. 28 pixels are far from what the towers were trained on. Train and val are 9:1 of the "
        "source's training set, test is its validation set of 400, give or take 5 points of accuracy. The rank words "
        "are ours; the archive numbers the grades 0 to 4."
    ),
    terms=(
        "CC BY 4.0: name the source and say what was changed. Medical images, here to test methods only: no result "
        "is a clinical claim, and nothing of this may be used to diagnose or to treat anybody."
    ),
    leakage=(
        "The archive names no patients and train and val were split by image. The source probably holds several "
        "images a patient, so validation may be optimistic; whether a patient is in both training and test is unknown."
    ),
)


def load_retinamnist(root: str | Path | None = None, pixels: int = 28) -> OrdinalDataset:
    """Fundus photographs, diabetic retinopathy grade 0 to 4, in the split that MedMNIST publishes.

    Pictures of 28 pixels suggest an input of 112: nothing is gained by enlarging them further. A logistic regression
    on frozen features of `mini`, in five folds of train + val, has accuracy 0.534 and MAE 0.818 at 112 pixels, 0.507
    and 0.887 at 224, for four times the work. Towers that were trained at one size (a CLIP ViT) want that size:
    set it in the config. Larger published pictures suggest nothing.

    Args:
        root: A folder with `retinamnist.npz` (28 pixels) or `retinamnist_64.npz`, `_128`, `_224`; or that file.
        pixels: The side of the published pictures: 28, 64, 128 or 224.

    Returns:
        1,080 training, 120 validation and 400 test pictures; they are unpacked when the first is asked for.

    Raises:
        InputError: No root, no such file there, or a file that is not the published one.

    Example:
        >>> load_retinamnist()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: retinamnist: pass root=..., the folder that holds retinamnist.npz; to get ...
    """
    name = _file_name(pixels)
    call = 'to get it, run l2rclip_lite.data.download_retinamnist("retinamnist")'
    get = call if pixels in SHA256 else f"get it from {RECORD}"
    if root is None:
        raise InputError(f"retinamnist: pass root=..., the folder that holds {name}; {get}.")
    file = Path(root) / name if os.path.isdir(root) else Path(root)
    if not os.path.isfile(file):
        raise InputError(f"retinamnist: there is no {name} at {root}; {get}.")
    if not is_fixture(file.parent):
        _check_md5(file, pixels)
    train, val, test = (_split(file, split, pixels) for split in SPLITS)
    ranks = Ranks(NAMES, (0.0, 1.0, 2.0, 3.0, 4.0), TEMPLATE)
    size = IMAGE_SIZE.get(pixels)
    said = (f"the published split, pictures of {pixels} pixels",)
    data = OrdinalDataset("retinamnist", train, val, test, ranks, CARD, image_size=size, protocol=said)
    return mark_fixture(data, [file])


def _file_name(pixels: object) -> str:
    """The published file with pictures of this side."""
    one_of("retinamnist", "pixels", pixels, MD5)
    return "retinamnist.npz" if pixels == 28 else f"retinamnist_{pixels}.npz"


def _check_md5(file: Path, pixels: int) -> None:
    """Refuse what is not the published file."""
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); see to its permissions.") from error
    for size, known in MD5.items():
        if found == known and size != pixels:
            raise InputError(f"{file}: these are the pictures of {size} pixels; pass pixels={size}.")
    if found != MD5[pixels]:
        raise InputError(
            f"{file}: its MD5 is {found}, not {MD5[pixels]} as published; fetch it again from {RECORD}."
        )


def _split(file: Path, name: str, pixels: int) -> Split:
    """One of the three splits; labels are read now, pictures with the first one asked for."""
    labels = _array(file, f"{name}_labels")
    if labels.ndim != 2 or labels.shape[1] != 1 or labels.dtype.kind not in "ui":
        raise InputError(
            f"{file}: {name}_labels has {labels.dtype} of shape {labels.shape}; write one integer a row."
        )
    bad = np.flatnonzero((labels < 0) | (labels >= len(NAMES)))
    if len(bad):
        raise InputError(
            f"{file}: {name}_labels row {bad[0]} is {labels[bad[0], 0]}; write a grade from 0 to 4."
        )
    shape = (len(labels), pixels, pixels, 3)

    @cache
    def pictures() -> NDArray[np.uint8]:
        array = _array(file, f"{name}_images")
        if array.shape != shape or array.dtype != np.uint8:
            raise InputError(
                f"{file}: {name}_images has {array.dtype} of shape {array.shape}; it must be uint8 of shape {shape}."
            )
        return array

    paths = [f"{name}/{row:04d}" for row in range(len(labels))]
    return Split(paths, labels[:, 0].tolist(), lambda row: Image.fromarray(pictures()[row]))


def _array(file: Path, name: str) -> NDArray[Any]:
    """One array of the archive; nothing in it is ever executed."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if archive.zip.getinfo(f"{name}.npy").file_size > LARGEST:
                raise ValueError("larger than any published array")
            array: NDArray[Any] = archive[name]
    except (
        Exception
    ) as error:  # on broken bytes, zip and NumPy raise nearly anything: zlib.error, RuntimeError, …
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{file}: {name} cannot be read ({reason}); fetch the file again from {RECORD}."
        ) from error
    return array


def download_retinamnist(root: str | Path, *, pixels: int = 28, url: str | None = None) -> Path:
    """Fetch RetinaMNIST from Zenodo and keep it only if every byte is right.

    The only function of this module that uses the network. Offered for the 28-pixel file alone: it is the only
    one whose SHA-256 this project could make sure of.

    Args:
        root: The folder to put it in; made if need be.
        pixels: 28.
        url: Where the file is; None takes the official record.

    Returns:
        `root`, ready for `load_dataset("retinamnist", root=...)`.

    Raises:
        InputError: Another size, the file is there already, it cannot be fetched, or it is not the known one.

    Example:
        >>> download_retinamnist("data", pixels=224)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: retinamnist: retinamnist_224.npz has no SHA-256 on record here; fetch it ...
    """
    name = _file_name(pixels)
    if pixels not in SHA256:
        raise InputError(
            f"retinamnist: {name} has no SHA-256 on record here; fetch it yourself from {RECORD}, its MD5 is checked "
            "when it is loaded."
        )
    file = Path(root) / name
    if file.exists():
        raise InputError(f"retinamnist: {file} is there already; name another folder, or delete it first.")
    url = url or f"{RECORD}/files/{name}?download=1"
    try:
        with urllib.request.urlopen(url, timeout=60) as stream:
            content = stream.read()
    except (OSError, HTTPException) as error:
        raise InputError(
            f"retinamnist: {url} cannot be fetched ({error}); check the network and try again."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[pixels]:
        raise InputError(
            f"retinamnist: the downloaded {name} has SHA-256 {found}, not {SHA256[pixels]}; try again."
        )

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(file, write)
    return Path(root)
