"""Files on disk: atomic writes, JSON, and tensors without pickle.

A file is either the old one or the new one, never half of it, so a run can be killed at any moment.
"""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from l2rclip_lite.errors import InputError

Named = Mapping[str, Tensor]


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file in a temporary folder beside `file`, flush it to disk, and rename it.

    A folder, because writers such as safetensors make temporary files of their own beside the one they are given.

    Raises:
        InputError: The folder cannot be written, or the disk is full.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # a full disk may not let the folder go
        with TemporaryDirectory(prefix=".l2r-", dir=file.parent, ignore_cleanup_errors=True) as new:
            fresh = Path(new, file.name)
            write(fresh)
            fresh.chmod(0o644)
            with fresh.open(
                "r+b"
            ) as stream:  # Windows flushes no file that is open for reading only
                os.fsync(stream.fileno())
            fresh.replace(file)
    except (OSError, SafetensorError) as error:
        problem = f"cannot be written ({getattr(error, 'strerror', None) or error})"
        raise InputError(f"{file}: {problem}; free some space or choose another place.") from error


def write_text(file: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; of a path that is not UTF-8, half surrogates become escapes as in JSON."""
    write_atomically(
        file, lambda path: path.write_text(text, encoding="utf-8", errors="backslashreplace")
    )


def write_json(file: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: It is missing, is not a regular file, or holds no JSON.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would wait for ever
            raise ValueError("it is not a file")
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{file}: cannot be read ({reason}); give the --out of an `l2rclip fit`."
        ) from error


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; the tensors may live on any device and in any memory layout."""
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(file, lambda path: save_file(flat, path, metadata))


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, and its metadata.

    A tensor lies where the file has it, in general at no multiple of 16 bytes; a matrix product from there differs in
    the last bit from that of the tensor that was saved. So each is copied into memory of its own.

    Raises:
        InputError: No such file, or a damaged one.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is not a file")
        with safe_open(file, "pt") as stored:
            names = stored.keys()  # a list: safetensors has no mapping
            tensors = {name: stored.get_tensor(name).clone() for name in names}
            return tensors, stored.metadata() or {}
    except (OSError, ValueError, MemoryError, SafetensorError) as error:
        problem = f"damaged or not a safetensors file ({getattr(error, 'strerror', None) or error})"
        raise InputError(f"{file}: {problem}; delete it and run again.") from error
