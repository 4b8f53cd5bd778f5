"""Files on disk: atomic writes, JSON, and tensors without pickle.

A file is either the old one or the new one, never half of it, so a run can be killed at any moment.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import safe_open
from safetensors.torch import save, save_file
from torch import Tensor

from l2rclip_lite.errors import in_one_sentence

NamedTensors = Mapping[str, Tensor]
CANNOT_READ = "cannot be read"
RESTORE = "restore it, or delete it and run again"
PREFIX = ".l2r-"  # of everything that is there only while something is written


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file in a temporary folder beside `file`, flush it to disk, and rename it.

    A folder, because writers such as safetensors make temporary files of their own beside the one
    they are given.

    Raises:
        InputError: A folder has that name, the folder around it cannot be written, or the disk is
            full.
    """
    fix = "free some space, check the permissions of its folder, or choose another place"
    with in_one_sentence(file, "cannot be written", fix):
        file.parent.mkdir(parents=True, exist_ok=True)
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


def sweep_leftovers(folder: Path) -> None:
    """Remove the temporary folders of `write_atomically` whose process was killed.

    Args:
        folder: Where nobody writes now; the folders below it stay as they are.
    """
    for leftover in folder.glob(f"{PREFIX}*/"):
        shutil.rmtree(leftover, ignore_errors=True)


def write_text(file: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with line ends as they are in `text`.

    Half surrogates, of a path that is not UTF-8, become escapes as in JSON.
    """
    content = text.encode("utf-8", errors="backslashreplace")
    write_atomically(file, lambda path: path.write_bytes(content))


def write_json(file: Path, value: Any) -> None:
    """Write indented JSON atomically, paths as text.

    Raises:
        TypeError: A value that JSON cannot hold.
    """
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False, default=os.fspath) + "\n")


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: It is missing, or holds no JSON.
    """
    with in_one_sentence(file, CANNOT_READ, "give the --out of an `l2rclip fit`"):
        return json.loads(file.read_text(encoding="utf-8-sig"))


def sha256_of(file: Path) -> str:
    """Return SHA-256 of a file."""
    with in_one_sentence(file, CANNOT_READ, RESTORE), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(tensors: NamedTensors) -> str:
    """Return SHA-256 of tensors with their names, types and shapes, in any order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):  # one by one: a copy of all may not fit the memory
        digest.update(save({name: tensors[name].detach().cpu().contiguous()}))
    return digest.hexdigest()


def save_tensors(file: Path, tensors: NamedTensors, metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically.

    The tensors may live on any device and in any memory layout.
    """
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(file, lambda path: save_file(flat, path, metadata))


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file, and its metadata.

    A tensor lies where the file has it, in general at no multiple of 16 bytes; a matrix product
    from there differs in the last bit from that of the tensor that was saved. So each is copied
    into memory of its own.

    Raises:
        InputError: No such file, or a damaged one.
    """
    with in_one_sentence(file, CANNOT_READ, RESTORE), safe_open(file, "pt") as stored:
        # safetensors has no mapping
        tensors = {name: stored.get_tensor(name).clone() for name in stored.keys()}  # noqa: SIM118
        return tensors, stored.metadata() or {}
