"""What may be downloaded, and only when somebody asks for it: whole and right, or not there at all."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pooch  # type: ignore[import-untyped]

from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.folder import read_table
from l2rclip_lite.errors import InputError

LISTS = "https://github.com/raywang335/L2RCLIP/archive/168fd4b8bf1ff2c2d66b17430d66c407fd48c35e.tar.gz"
BRACOL = "https://github.com/esgario/lara2018/archive/a6c38b693094.tar.gz"
RETINA = "https://zenodo.org/records/10519652/files/retinamnist.npz?download=1"
RETINA_SHA256 = "254915f5f0a2074665c4676356824cf4ef4a3bcab233894b4bafcaf48962bd69"
DIGESTS = Path(__file__).with_name("official_lists.sha256")  # as `sha256sum` writes it, path below datalists/


def download(name: str, folder: str | Path, *, url: str | None = None) -> Path:
    """Fetch what is free of a data set, at one revision, and keep it only if every byte is right.

    BRACOL and RetinaMNIST (28 pixels) come with their images. Of MORPH, CLAP2015, Adience, HCI and aesthetics the
    official split lists are free (MIT), and one download has them all; the images come from their owners.

    Args:
        name: The name `load_dataset` knows.
        folder: The folder to make; it must not exist, or be empty.
        url: Where it is; None takes the published place.

    Returns:
        `folder`: the `root` of bracol and retinamnist, the `lists` of the others.

    Raises:
        InputError: Nothing to download, a folder in use, no network, or a file that is not the known one.

    Example:
        >>> download("csv", "here")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: there is nothing to download; these images are generated or your own.
    """
    if name not in DATA_SETS or name in ("leaves", "csv"):
        raise InputError(f"{name}: there is nothing to download; these images are generated or your own.")
    pooch.get_logger().setLevel("WARNING")  # it would tell everybody to write down the hash of an archive
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{name}: {folder} already holds something; name a folder that does not exist yet.")
    known = {"bracol": (BRACOL, None), "retinamnist": (RETINA, RETINA_SHA256)}
    source, digest = known.get(name, (LISTS, None))  # of an archive each file is checked instead
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as working:
            fresh = Path(working) / "data"
            fresh.mkdir()
            where = fresh if digest else Path(working)
            file = Path(
                pooch.retrieve(url or source, digest, "retinamnist.npz" if digest else "packed", where)
            )
            if not digest:
                _keep_bracol(file, fresh) if name == "bracol" else _keep_lists(file, fresh)
            os.replace(fresh, folder)
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name}: {url or source} cannot be fetched to {folder} ({error}); try again."
        ) from error
    return folder


def _keep_lists(packed: Path, folder: Path) -> None:
    """Write each file whose SHA-256 is known to where it belongs, wherever the archive has it."""
    lines = DIGESTS.read_text(encoding="ascii").splitlines()
    wanted = dict(line.split("  ", 1) for line in lines)
    with tarfile.open(packed, "r:gz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() and member.size < 2**20 else None
            data = content.read() if content else b""
            if (path := wanted.pop(hashlib.sha256(data).hexdigest(), None)) is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
    if wanted:
        raise InputError(
            f"official lists: {len(wanted)} of {len(lines)} files are missing or changed, such as {min(wanted.values())}; "
            "try again, or use the archive of commit 168fd4b."
        )


def _keep_bracol(packed: Path, folder: Path) -> None:
    """Write the licence, the labels and the listed leaves, and compare them with what is known."""
    (folder / "leaf").mkdir()
    with tarfile.open(packed, "r:gz") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts[1:]  # the first part is the repository with its commit
            whole = parts == ("LICENSE",) or parts == ("classification", "dataset", "dataset.csv")
            leaf = parts[:-1] == ("classification", "dataset", "leaf") and parts[-1].endswith(".jpg")
            content = archive.extractfile(member) if member.isreg() and (whole or leaf) else None
            if content:
                (folder / ("leaf" if leaf else "") / parts[-1]).write_bytes(content.read())
    listed = [folder / "leaf" / f"{name}.jpg" for name in read_table(folder / "dataset.csv", ("id",))["id"]]
    for extra in set((folder / "leaf").iterdir()) - set(listed):
        extra.unlink()
    digests = {file: hashlib.sha256((folder / file).read_bytes()) for file in ("LICENSE", "dataset.csv")}
    digests["leaf"] = hashlib.sha256(b"".join(hashlib.sha256(leaf.read_bytes()).digest() for leaf in listed))
    for file, known in DATA_SETS["bracol"].digests.items():
        if digests[file].hexdigest() != known:
            raise InputError(f"bracol: the downloaded {file} has another SHA-256 than {known}; try again.")
