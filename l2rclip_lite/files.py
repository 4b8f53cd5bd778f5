"""Atomic writes: a file is either the old one or the new one, never half of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from l2rclip_lite.errors import InputError


def write_atomically(file: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `file`, flush it to disk, and rename it.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(
            f"{file.parent}: cannot be written ({error.strerror}); choose another --out."
        ) from error
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(file)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{file}: cannot be written ({reason}); free some space or choose another --out."
        ) from error
    finally:
        with suppress(OSError):  # renamed already, or on a disk that takes nothing more
            temporary.unlink()


def write_text(file: Path, text: str) -> None:
    """Write a text file atomically."""

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    write_atomically(file, write)


def write_json(file: Path, value: Any) -> None:
    """Write JSON atomically, indented."""
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(file, lambda path: save_file(ready, path, metadata=metadata))
