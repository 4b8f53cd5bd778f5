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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from l2rclip_lite.errors import InputError, one_line, reason, unreadable

NamedTensors = Mapping[str, Tensor]
PREFIX = ".l2r-"  # of everything that is there only while something is written
# What a file of ours holds. Others have the type bool, which no reader of such a file accepts.
TYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I8": torch.int8,
}
HOUR = 3600.0  # seconds; no file takes so long to write


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


def check_target(file: Path) -> None:
    """Refuse a place where no file can be written, before the work whose result it is to hold.

    Raises:
        InputError: A folder or a device has this name.
    """
    if os.path.exists(file) and not is_file(file):
        problem = "is a folder or a device, which no file may replace"
        raise InputError(f"{file}: {problem}; choose another place.")


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file in a temporary folder beside `file`, flush it to disk, and rename it.

    A folder, because writers such as safetensors make temporary files of their own beside the one
    they are given. What an earlier, killed call left beside `file` is removed.

    Raises:
        InputError: Something other than a file has that name, the folder cannot be written, or the
            disk is full.
    """
    try:
        check_target(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(file.parent)

        # a full disk may not let the folder go
        temporary = TemporaryDirectory(prefix=PREFIX, dir=file.parent, ignore_cleanup_errors=True)
        with temporary as folder:
            fresh = Path(folder, file.name)
            fresh.touch()
            mode = fresh.stat().st_mode  # by the umask
            write(fresh)
            fresh.chmod(mode)  # safetensors lets nobody else read it

            # Windows flushes no file that is open for reading only
            with fresh.open("r+b") as stream:
                os.fsync(stream.fileno())

            fresh.replace(file)
    except (OSError, UnicodeError, SafetensorError) as error:
        fix = "free some space, check the permissions of its folder, or choose another place"
        raise InputError(f"{file}: cannot be written ({reason(error)}); {fix}.") from error


def sweep_leftovers(folder: Path, age: float = HOUR) -> None:
    """Remove the temporary folders of `write_atomically` whose process was killed.

    Args:
        folder: Where to look; not in the folders below it.
        age: Seconds; younger folders are left alone, as somebody may be writing there.
    """
    for leftover in folder.glob(f"{PREFIX}*/"):
        try:
            is_old = time.time() - leftover.stat().st_mtime >= age
        except FileNotFoundError:  # its writer is through
            continue
        if is_old:
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


@contextmanager
def reading(file: Path, fix: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one sentence.

    Args:
        file: The file.
        fix: What to do about a file that is not there or damaged.

    Raises:
        InputError: In the place of any other error.
    """
    try:
        yield
    except PermissionError as error:
        raise unreadable(file, error) from error
    except (OSError, ValueError, TypeError, RuntimeError, MemoryError, SafetensorError) as error:
        problem = "cannot be read"
        if isinstance(error, SafetensorError):
            problem = "damaged or not a safetensors file"
            fix = "delete it and run again"
        raise InputError(f"{file}: {problem} ({one_line(reason(error))}); {fix}.") from error


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: It is missing, or holds no JSON.
    """
    with reading(file, "give the --out of an `l2rclip fit`"):
        return json.loads(file.read_text(encoding="utf-8-sig"))


def sha256_of(file: Path) -> str:
    """Return SHA-256 of a file."""
    with reading(file, "restore it"), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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


def save_tensors(file: Path, tensors: NamedTensors, metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically.

    The tensors may live on any device and in any memory layout.
    """
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(file, lambda path: save_file(flat, path, metadata))


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
            shapes[name] = torch.empty(tensor.get_shape(), dtype=dtype, device="meta")
        return shapes, stored.metadata() or {}


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a safetensors file, whose header alone is read by that.

    Raises:
        InputError: No such file, or a damaged one.
    """
    # `open` says why a file cannot be opened, and safetensors that it is not there
    with (
        reading(file, "restore it"),
        file.open("rb"),
        safe_open(file, "pt") as stored,
    ):
        yield stored
