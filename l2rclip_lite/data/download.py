"""What may be downloaded, and only on demand: whole and right, or not there at all."""

import hashlib
import os
import tarfile
import zlib
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.hub import download_url_to_file

from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.errors import InputError, reason

FAILURES = (
    OSError,
    EOFError,
    RuntimeError,
    HTTPException,
    tarfile.TarError,
    zlib.error,
    ValueError,
)  # of a connection, or of what comes through it
MAX_BYTES = 2**20  # of a file in an archive; no published one is as large
DIGESTS = Path(__file__).parent  # its files *.sha256 are as `sha256sum` writes them


def download(name: str, folder: str | Path, *, url: str | None = None) -> Path:
    """Fetch what is free of a data set, at one revision, and keep it only if every byte is right.

    BRACOL and RetinaMNIST (28 pixels) come with their images. Of MORPH, CLAP2015, Adience, HCI and
    aesthetics the official split lists are free (MIT), and one download has them all; the images
    come from their owners. A file of an archive is known by its SHA-256 alone, wherever the archive
    has it. Of bracol-area, hc18, the three fruits and the portraits no digests of the owners' files
    are known: fetch them by hand from where the card says.

    Args:
        name: The name `load_dataset` knows.
        folder: The folder to make; it must not exist, or be empty.
        url: Where it is; None takes the published place.

    Returns:
        `folder`: the `root` of bracol and retinamnist, the `lists` of the others.

    Raises:
        InputError: Nothing to download, a folder in use, no network, or a file that is not the
            known one.

    Example:
        >>> download("csv", "here")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: nothing to download; `l2rclip data csv` says where its
        images are.
    """
    if name not in DATA_SETS:
        raise InputError(f"{name}: no such data set; choose from {', '.join(DATA_SETS)}.")
    source = url or DATA_SETS[name].url
    if not source:
        raise InputError(
            f"{name}: nothing to download; `l2rclip data {name}` says where its images are."
        )

    folder = Path(folder)
    try:
        is_empty_folder = folder.is_dir() and not any(folder.iterdir())
        if os.path.lexists(folder) and not is_empty_folder:
            raise InputError(
                f"{name}: {folder} already holds something; name a folder that does not exist yet."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{folder} cannot be made ({reason(error)})"
        raise InputError(f"{name}: {problem}; name another folder.") from error

    try:
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as working:
            fresh = Path(working, "fresh")  # takes the folder's name if nothing is raised
            fresh.mkdir()
            _fetch(name, source, fresh)

            if folder.exists():
                folder.rmdir()  # Windows replaces no folder, not even an empty one
            fresh.replace(folder)
    except FAILURES as error:
        raise InputError(f"{name}: {source} cannot be fetched ({error}); try again.") from error
    return folder


def _fetch(name: str, source: str, folder: Path) -> None:
    """Write the files of a data set into a new folder, if they are the published ones."""
    if name == "retinamnist":
        file = str(folder / "retinamnist.npz")
        download_url_to_file(source, file, DATA_SETS[name].sha256, progress=False)
        return

    packed = folder / "packed"
    download_url_to_file(source, str(packed), progress=False)
    digests = "bracol.sha256" if name == "bracol" else "official_lists.sha256"
    _unpack(packed, folder, DIGESTS / digests)
    packed.unlink()


def _unpack(packed: Path, folder: Path, digests: Path) -> None:
    """Write each file whose SHA-256 is known to where it belongs; all of them must be there."""
    listed = digests.read_text(encoding="ascii").splitlines()
    path_of = dict(line.split("  ", 1) for line in listed)

    with tarfile.open(packed, "r:gz") as archive:
        for member in archive:
            data = b""
            if member.isreg() and member.size < MAX_BYTES:
                content = archive.extractfile(member)
                if content is not None:
                    data = content.read()

            path = path_of.pop(hashlib.sha256(data).hexdigest(), None)
            if path is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)

    if path_of:
        missing = f"{len(path_of)} files are missing or changed, such as {min(path_of.values())}"
        raise ValueError(missing)
