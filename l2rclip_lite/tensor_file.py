"""Opening a safetensors file that anybody may have written: its header is judged before it is parsed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from l2rclip_lite.resources import free_memory

MAX_HEADER = 8 * 2**20  # bytes; a model's has about 50,000, a checkpoint's its history besides


@contextmanager
def open_tensors(file: Path) -> Iterator[Any]:
    """A safetensors file; no tensor is read before it is asked for.

    Args:
        file: An existing file.

    Yields:
        What `safetensors.safe_open` gives: `keys()`, `metadata()`, `get_slice(name)`, `get_tensor(name)`.

    Raises:
        SafetensorError: Another kind of file, a header that is damaged or has more than `MAX_HEADER` bytes, or more
            tensors than this machine has free memory for.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        size = os.fstat(stream.fileno()).st_size
    if not 2 <= length <= size - 8:
        raise SafetensorError(f"no safetensors file: the header would have {length:,} bytes of {size:,}")
    if length > MAX_HEADER:
        raise SafetensorError(f"its header has {length:,} bytes, more than {MAX_HEADER:,}")
    free = free_memory()
    if free is not None and size > free * 2**30:
        raise SafetensorError(f"it has {size / 2**30:,.1f} GiB, and {free:.1f} GiB of memory are free")
    with safe_open(file, framework="pt") as stored:
        yield stored
