"""One writer a run directory: a lock that dies with its process, even by SIGKILL or a loss of power."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from l2rclip_lite import distributed
from l2rclip_lite.errors import InputError

LOCK, HOLDER = ".lock", ".lock-holder"  # hidden: they may stand in a directory that no run has claimed
WAIT = 0.5  # seconds in which a process that is just ending may let go


@contextmanager
def held(folder: Path) -> Iterator[Callable[[], None]]:
    """Keep a run directory for this process; of several processes of one run the first keeps it for all.

    Args:
        folder: Created if needed, and removed again if nothing was written into it.

    Yields:
        A check, to be called before a write: it raises where the directory was removed or replaced.

    Raises:
        InputError: Another process writes there, or the directory cannot be written.
    """
    with ExitStack() as stack:
        check, refusal = _nothing, ""
        if distributed.first():
            try:
                check = stack.enter_context(_locked(folder))
            except InputError as error:
                refusal = str(error)
        if refusal := distributed.from_first(refusal):
            raise InputError(refusal)
        yield check


def _nothing() -> None:
    """The check of a process that does not write."""


@contextmanager
def _locked(folder: Path) -> Iterator[Callable[[], None]]:
    """The lock of this process; its files go when it does."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    lock, file = FileLock(folder / LOCK, timeout=WAIT), folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if (mine := _identity(file)) is None:  # it waited for one that was removed in that moment
            raise Timeout(str(file))
        with suppress(OSError):  # a disk that is full is told of at the first write that matters
            (folder / HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except Timeout as error:
        raise InputError(
            f"{folder}: {_holder(folder)} is writing this run; wait until it is done, or choose another --out."
        ) from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --out.") from error

    def check() -> None:
        if _identity(file) != mine:
            raise InputError(
                f"{folder}: was removed or replaced while this run was at work; leave it alone, and give the same command "
                "again."
            )

    try:
        yield check
    finally:
        if _identity(file) == mine:  # removed while it is held: who waits for it finds that it is gone
            for each in (folder / HOLDER, file):
                with suppress(OSError):
                    each.unlink()
        lock.release()
        for place in made:
            with suppress(OSError):  # not empty
                place.rmdir()


def _identity(file: Path) -> tuple[int, int] | None:
    """What tells a file from another of the same name; as long as one is open, no other gets its number."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as it could be written down."""
    try:
        return (folder / HOLDER).read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
