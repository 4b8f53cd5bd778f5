"""What may be downloaded, and only when somebody asks for it: whole and right, or not there at all."""

import hashlib
import os
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.hub import download_url_to_file

from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.errors import InputError

DIGESTS = Path(__file__).parent  # its files *.sha256 are as `sha256sum` writes them


def download(name: str, folder: str | Path, *, url: str | None = None) -> Path:
    """Fetch what is free of a data set, at one revision, and keep it only if every byte is right.

    BRACOL and RetinaMNIST (28 pixels) come with their images. Of MORPH, CLAP2015, Adience, HCI and aesthetics the
    official split lists are free (MIT), and one download has them all; the images come from their owners. A file of an
    archive is known by its SHA-256 alone, wherever the archive has it. Of bracol-area, apples81 and hc18 no digests of
    the owners' files are known: fetch them by hand from where the card says.

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
        l2rclip_lite.errors.InputError: csv: nothing to download; `l2rclip data csv` says where its images are.
    """
    source = url or DATA_SETS[name].url
    if not source:
        raise InputError(
            f"{name}: nothing to download; `l2rclip data {name}` says where its images are."
        )
    folder = Path(folder)
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"{name}: {folder} already holds something; name a folder that does not exist yet."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as working:
            fresh = Path(working, "fresh")  # takes the folder's name if nothing is raised
            fresh.mkdir()
            if name == "retinamnist":
                file = str(fresh / "retinamnist.npz")
                download_url_to_file(source, file, DATA_SETS[name].sha256, progress=False)
            else:
                packed = fresh / "packed"
                download_url_to_file(source, str(packed), progress=False)
                _unpack(
                    packed,
                    fresh,
                    DIGESTS / f"{name if name == 'bracol' else 'official_lists'}.sha256",
                )
                packed.unlink()
            if folder.exists():
                folder.rmdir()  # Windows replaces no folder, not even an empty one
            fresh.replace(folder)
    except (OSError, EOFError, RuntimeError, tarfile.TarError, ValueError) as error:
        raise InputError(f"{name}: {source} cannot be fetched ({error}); try again.") from error
    return folder


def _unpack(packed: Path, folder: Path, digests: Path) -> None:
    """Write each file whose SHA-256 is known to where it belongs; all of them must be there."""
    wanted = dict(line.split("  ", 1) for line in digests.read_text(encoding="ascii").splitlines())
    with tarfile.open(packed, "r:gz") as archive:
        for member in archive:
            content = (
                archive.extractfile(member) if member.isreg() and member.size < 2**20 else None
            )
            data = content.read() if content else b""
            if (path := wanted.pop(hashlib.sha256(data).hexdigest(), None)) is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
    if wanted:
        raise ValueError(
            f"{len(wanted)} files are missing or changed, such as {min(wanted.values())}"
        )
