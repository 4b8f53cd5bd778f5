"""Downloads that are whole and right, or not there at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from l2rclip_lite.errors import InputError

Members = Iterator[tuple[PurePosixPath, IO[bytes]]]


def fetch_archive(data_set: str, root: str | Path, url: str, fill: Callable[[Members, Path], None]) -> Path:
    """Fetch a .tar.gz archive and let `fill` take from it what it needs into a new folder.

    The folder appears at `root` only if `fill` returns. Of the archive's members only plain files are shown
    to `fill`, never links or devices; where a file goes is for `fill` to say, not for the archive.

    Args:
        data_set: The name `load_dataset` knows, for the errors.
        root: The folder to make; it must not exist, or be empty.
        url: The archive.
        fill: Takes (path in the archive, content) pairs and the folder to write to; raises InputError if
            something is not as it should be.

    Returns:
        `root`.

    Raises:
        InputError: `root` is in use or cannot be written, the archive cannot be fetched, or `fill` refused it.

    Example:
        >>> import io, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     packed, entry = Path(folder) / "a.tar.gz", tarfile.TarInfo("a-1.0/LICENSE")
        ...     with tarfile.open(packed, "w:gz") as archive:
        ...         archive.addfile(entry, io.BytesIO(b""))
        ...
        ...     def fill(members, into):
        ...         for path, content in members:
        ...             _ = (into / path.name).write_bytes(content.read())
        ...
        ...     [file.name for file in fetch_archive("a", f"{folder}/a", packed.as_uri(), fill).iterdir()]
        ['LICENSE']
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(
            f"{data_set}: {root} already holds something; name a folder that does not exist yet."
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as working:
            fresh = Path(working) / "data"
            fresh.mkdir()
            _receive(data_set, url, fill, fresh)
            os.replace(fresh, root)
    except OSError as error:
        raise InputError(
            f"{data_set}: {root} cannot be written ({error.strerror or error}); name another folder."
        ) from error
    return root


def _receive(data_set: str, url: str, fill: Callable[[Members, Path], None], into: Path) -> None:
    """Read the archive as it arrives."""
    try:
        with (
            urllib.request.urlopen(url, timeout=60) as stream,
            tarfile.open(fileobj=stream, mode="r|gz") as packed,
        ):
            fill(_plain_files(packed), into)
    except (OSError, EOFError, http.client.HTTPException, tarfile.TarError) as error:
        raise InputError(
            f"{data_set}: {url} cannot be fetched ({error}); check the network and try again."
        ) from error


def _plain_files(packed: tarfile.TarFile) -> Members:
    """Every regular file of the archive, in its order."""
    for member in packed:
        content = packed.extractfile(member) if member.isreg() else None
        if content is not None:
            yield PurePosixPath(member.name), content


def sha256(data_set: str, file: Path) -> str:
    """The SHA-256 of one file of a download.

    Args:
        data_set: The name `load_dataset` knows, for the error.
        file: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        InputError: The download has no such file.

    Example:
        >>> sha256("bracol", Path("LICENSE.missing"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: bracol: the download holds no LICENSE.missing; the archive is not ...
    """
    if not file.is_file():
        raise InputError(
            f"{data_set}: the download holds no {file.name}; the archive is not the expected one."
        )
    return hashlib.sha256(file.read_bytes()).hexdigest()
