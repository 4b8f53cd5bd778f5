"""Files on disk: atomic writes, JSON, and tensors without pickle.

A file is either the old one or the new one, never half of it, so a run can be killed at any moment.
"""

import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from l2rclip_lite.errors import InputError, reason, unreadable

NamedTensors = Mapping[str, Tensor]
PREFIX = ".l2r-"  # of everything that is only there while something is written
LOCK = f"{PREFIX}lock"
LARGEST_JSON = 2**26  # bytes; a record of a million missing images has fewer
LARGEST_TABLE = 2**30  # bytes of predictions.csv, such as a million images with a hundred ranks
WIDEST = 2**16  # numbers of an image feature; those of the largest towers have 5,000
MAX_TENSORS = 2**14  # of a file; the largest towers have 3,000
# What a file of ours holds. Others have the type bool, which no reader of such a file accepts.
TYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I8": torch.int8,
}
YOUNG = 60.0  # seconds in which a temporary folder may not have its lock yet
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def kind_of(path: Path) -> str:
    """Return what a path names: "a file", "a folder", "a link", …; "" where nothing is there.

    Links are not followed.

    Raises:
        InputError: The path cannot be looked up, such as one with a NUL.

    Example:
        >>> kind_of(Path("/")), kind_of(Path("/there/is/no/such/file"))
        ('a folder', '')
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except PermissionError as error:
        raise unreadable(path, error) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be used ({reason(error)}); choose another name."
        ) from error
    return KINDS.get(stat.S_IFMT(mode), "a file")


def is_file(path: str | os.PathLike[str], name: str = "") -> bool:
    """Return whether a path names a regular file; links are followed.

    Args:
        path: The path.
        name: How an error calls it; empty takes the path.

    Raises:
        InputError: It may be there, in a folder that may not be entered.

    Example:
        >>> is_file("/"), is_file("/there/is/no/such/file")
        (False, False)
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError as error:
        raise unreadable(name or path, error) from error
    except (OSError, ValueError):
        return False


def check_encoding(path: Path) -> None:
    """Refuse a path that is not UTF-8, which libraries that are not in Python cannot open.

    Raises:
        InputError: It has half of a surrogate pair, as Python reads a byte that is none of UTF-8.

    Example:
        >>> check_encoding(Path("runs/Blätter"))
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: this path is not UTF-8; rename the folder or file.") from error


def check_target(file: Path) -> None:
    """Refuse to write where something other than a regular file is.

    Raises:
        InputError: A device, a pipe, a folder or a link has this name, no folder can hold it, or it
            is not UTF-8.
    """
    check_encoding(file)
    check_folders(file.parent)

    kind = kind_of(file)
    if kind not in ("", "a file"):
        problem = f"is {kind}, which no file may replace"
        raise InputError(f"{file}: {problem}; remove it, or choose another place.")


def check_folders(folder: Path) -> None:
    """Refuse a folder that cannot be made.

    Raises:
        InputError: Something other than a folder has its name, or that of one above it.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not os.path.isdir(place):
            raise InputError(f"{place}: is {kind_of(place)}, not a folder; choose another place.")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are not there yet.

    Raises:
        InputError: See `check_folders`.
        OSError: It cannot be made.
    """
    check_folders(folder)
    folder.mkdir(parents=True, exist_ok=True)


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file in a temporary folder beside `file`, flush it to disk, and rename it.

    A folder, because writers such as safetensors make temporary files of their own beside the one
    they are given. What an earlier, killed call left beside `file` is removed.

    Raises:
        InputError: Something other than a file has that name, the folder cannot be written, or the
            disk is full.
    """
    check_target(file)
    try:
        make_folder(file.parent)
        sweep_leftovers(file.parent)

        # a full disk may not let the folder go
        temporary = TemporaryDirectory(prefix=PREFIX, dir=file.parent, ignore_cleanup_errors=True)
        with temporary as folder, FileLock(Path(folder, LOCK)):
            fresh = Path(folder, file.name)
            fresh.touch()
            mode = fresh.stat().st_mode  # by the umask
            write(fresh)
            fresh.chmod(mode)  # safetensors lets nobody else read it

            # Windows flushes no file that is open for reading only
            with fresh.open("r+b") as stream:
                os.fsync(stream.fileno())

            fresh.replace(file)
    except (OSError, SafetensorError) as error:
        fix = "free some space or choose another place"
        if isinstance(error, PermissionError):
            fix = "check the permissions of its folder, or choose another place"
        raise InputError(f"{file}: cannot be written ({reason(error)}); {fix}.") from error


def sweep_leftovers(folder: Path, young: float = YOUNG) -> None:
    """Remove the temporary folders of `write_atomically` whose process was killed.

    A process that still writes holds the lock in its folder, and is left alone.

    Args:
        folder: Where to look; not in the folders below it.
        young: Folders that were changed in so many seconds are left alone, as their process may
            not have come to lock them.
    """
    for leftover in folder.glob(f"{PREFIX}*"):
        if kind_of(leftover) != "a folder":
            continue

        try:
            age = time.time() - leftover.stat().st_mtime
            if age < young or kind_of(leftover / LOCK) not in ("", "a file"):
                continue
            FileLock(leftover / LOCK).acquire(timeout=0).lock.release()
        except (OSError, Timeout):  # it is in use, is gone by now, or belongs to somebody else
            continue
        shutil.rmtree(leftover, ignore_errors=True)


def write_text(file: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with line ends as they are in `text`.

    Half surrogates, of a path that is not UTF-8, become escapes as in JSON.
    """
    content = text.encode("utf-8", errors="backslashreplace")
    write_atomically(file, lambda path: path.write_bytes(content))


def write_json(file: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_bytes(file: Path, largest: int = LARGEST_TABLE) -> bytes:
    """Return the content of a regular file; nothing else is waited for.

    Args:
        file: The file.
        largest: Bytes; a larger file is not read. One with holes takes no room on a disk, and all
            of it in memory.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is too large, a pipe, a device or a folder, or its name is no name of a file.
    """
    no_wait = getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would wait for ever
    binary = getattr(os, "O_BINARY", 0)
    descriptor = os.open(file, os.O_RDONLY | no_wait | binary)
    with os.fdopen(descriptor, "rb", closefd=True) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file")
        if status.st_size > largest:
            size = f"{status.st_size / 1e6:,.0f} MB"
            raise ValueError(f"it has {size}, more than {largest / 1e6:,.0f}")
        return stream.read()


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: It is missing, is not a regular file, or holds no JSON.
    """
    try:
        return json.loads(read_bytes(file, largest=LARGEST_JSON).decode("utf-8-sig"))
    except PermissionError as error:
        raise unreadable(file, error) from error
    except (OSError, ValueError, RecursionError) as error:
        fix = "give the --out of an `l2rclip fit`"
        raise InputError(f"{file}: cannot be read ({reason(error)}); {fix}.") from error


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically.

    The tensors may live on any device and in any memory layout.
    """
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(file, lambda path: save_file(flat, path, metadata))


def sha256_of(file: Path) -> str:
    """Return SHA-256 of a file."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); restore it.") from error


def digest_of(tensors: NamedTensors, text: str = "") -> str:
    """Return SHA-256 of a text, and of tensors with their names, types and shapes.

    Args:
        tensors: By name, in any order; on any device.
        text: What else must not change.
    """
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().flatten()
        if flat.numel():
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_tensors(
    file: Path, names: Collection[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors of a safetensors file, and its metadata.

    A tensor lies where the file has it, in general at no multiple of 16 bytes; a matrix product
    from there differs in the last bit from that of the tensor that was saved. So each is copied
    into memory of its own.

    Args:
        file: The file.
        names: Of the tensors to read, as far as the file has them; None reads all.

    Raises:
        InputError: No such file, or a damaged one.
    """
    with _opened(file) as stored:
        tensors = {}
        for name in stored.keys():  # noqa: SIM118  (safetensors has no mapping)
            if names is None or name in names:
                tensors[name] = stored.get_tensor(name).clone()
        return tensors, stored.metadata() or {}


def read_header(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what `read_tensors` does, with tensors on the device "meta": types and shapes.

    Nobody pays for a number before its name and shape are known to be right: a file with holes
    takes no room on a disk, and all of it in memory.

    Raises:
        InputError: No such file, or a damaged one.
    """
    with _opened(file) as stored:
        shapes = {}
        for name in stored.keys():  # noqa: SIM118  (safetensors has no mapping)
            tensor = stored.get_slice(name)
            dtype = TYPES.get(tensor.get_dtype(), torch.bool)
            shape = tensor.get_shape()
            try:
                shapes[name] = torch.empty(shape, dtype=dtype, device="meta")
            except (RuntimeError, TypeError) as error:
                raise ValueError(f"{name} has the shape {shape}") from error
        return shapes, stored.metadata() or {}


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a safetensors file, whose header alone is read by that.

    Raises:
        InputError: No such file, a damaged one, or one with very many tensors.
    """
    check_encoding(file)
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is not a file")

        # safetensors takes 14 s for the header of 600,000 empty tensors
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = stream.read(min(length, LARGEST_JSON))
        if header.count(b"{") > MAX_TENSORS:
            raise ValueError(f"it has more than {MAX_TENSORS:,} tensors")

        with safe_open(file, "pt") as stored:
            yield stored
    except PermissionError as error:  # these three may be about a good file
        raise unreadable(file, error) from error
    except MemoryError as error:
        raise InputError(f"{file}: cannot be read ({error}); free some memory.") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({reason(error)}); restore it.") from error
    except (ValueError, SafetensorError) as error:
        problem = f"damaged or not a safetensors file ({reason(error)})"
        raise InputError(f"{file}: {problem}; delete it and run again.") from error
