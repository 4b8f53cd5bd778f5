"""Files and folders as somebody sees them who may not read them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def forbidden(path: Path, mode: int = 0o000) -> Iterator[None]:
    """With these permissions on a path; root, to whom they do not apply, is nobody meanwhile."""
    is_root = os.geteuid() == 0
    before = path.stat().st_mode & 0o777
    path.chmod(mode)
    try:
        if is_root:
            try:
                os.seteuid(NOBODY)
            except OSError:
                pytest.skip("in this container root is the only user")
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(before)
