"""Atomic writes: a file is either the old one or the new one, never half of it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from l2rclip_lite.errors import InputError


def is_there(file: Path) -> bool:
    """Whether a file stands there; False where nothing does.

    Raises:
        InputError: Something else stands there: a folder, a pipe, a link to nothing. It would block a writer, or be
            taken for a file that is missing.
    """
    if os.path.isfile(file):
        return True
    if os.path.lexists(file):
        raise InputError(f"{file}: is not a file, but a folder, a pipe or a broken link; move it away.")
    return False


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: It cannot be read, or is no file.
        ValueError: It is no JSON, or no UTF-8.
    """
    if not stat.S_ISREG(file.stat().st_mode):  # a pipe would wait for ever
        raise OSError(errno.EINVAL, "it is not a file")
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_atomically(file: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file in a temporary folder beside `file`, flush it to disk, and rename it.

    A folder, because writers (safetensors) make temporary files of their own beside the one that they are given.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
    except OSError as error:
        raise InputError(
            f"{file.parent}: cannot be written ({error.strerror}); choose another --out."
        ) from error
    temporary = folder / file.name
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
        shutil.rmtree(folder, ignore_errors=True)  # a disk that takes nothing more may not let it go


def write_text(file: Path, text: str) -> None:
    """Write a text file atomically."""

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    write_atomically(file, write)


def write_json(file: Path, value: Any) -> None:
    """Write JSON atomically, indented."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # A path that is no UTF-8 has half surrogates, which no file can hold; as an escape JSON can.
    text = re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
    write_text(file, text + "\n")


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(file, lambda path: save_file(ready, path, metadata=metadata))
