"""`l2rclip fit --processes N`: start N processes on this machine, watch them, and end all when one ends badly.

Each is what `torchrun` would start, the same command under RANK and WORLD_SIZE, but they meet at a file: there is no port
that another program may take first. Nothing here imports torch: who watches needs no memory and no time to begin.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from l2rclip_lite.errors import InputError, TrainingError

MEETING_PLACE = "L2RCLIP_MEETING_PLACE"  # the environment variable that names the file
LOST = 75  # exit code of a process that lost the others, and so knows nothing of the cause (EX_TEMPFAIL)
GRACE = 5.0  # seconds in which the others may find their own words before they are stopped


def started() -> int:
    """How many processes `torchrun`, or `launch`, started to do one thing together; 1 if neither did."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def launches(processes: int | None) -> bool:
    """Whether this process shall start others, rather than do the work.

    Args:
        processes: `--processes`.

    Raises:
        InputError: Fewer than one, or another number than `torchrun` started.
    """
    if processes is None or processes == started():
        return False
    if processes < 1:
        raise InputError(f"--processes: must be at least 1, not {processes}.")
    if started() > 1:
        raise InputError(f"--processes: torchrun started {started()} already; leave one of the two out.")
    return True


def launch(words: Sequence[str], processes: int) -> int:
    """Run a command line in N processes.

    Args:
        words: The words after `l2rclip`.
        processes: N.

    Returns:
        Exit code of the command; what the user must know has been printed.

    Raises:
        TrainingError: A process was killed.
    """
    with tempfile.TemporaryDirectory(prefix="l2rclip-") as folder:
        children = [_start(words, index, processes, Path(folder)) for index in range(processes)]
        try:
            _watch(children)
        finally:
            codes = [child.poll() for child in children]
            for child in children:
                child.kill()
                child.communicate()
        return _verdict(children, codes, Path(folder))


def _start(words: Sequence[str], index: int, processes: int, folder: Path) -> subprocess.Popen[bytes]:
    """One process. The first speaks to the user; of the others, what they say on stderr is kept."""
    place = {"RANK": str(index), "LOCAL_RANK": str(index), "WORLD_SIZE": str(processes)}
    threads = {"OMP_NUM_THREADS": str(max(1, _cores() // processes))}  # they share the machine
    with _said(folder, index).open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "l2rclip_lite.cli", *words],
            env=threads | os.environ | place | {MEETING_PLACE: str(folder / "meeting")},
            stdin=subprocess.PIPE,  # its end says that this process is gone: see `end_with_parent`
            stdout=subprocess.DEVNULL if index else None,
            stderr=said if index else None,
            start_new_session=True,  # Ctrl-C comes to this process alone
        )


def end_with_parent() -> None:
    """In a process that `launch` started: end when whoever started it is gone, even by SIGKILL."""
    if MEETING_PLACE in os.environ:
        threading.Thread(target=lambda: (os.read(0, 1), os._exit(LOST)), daemon=True).start()


def _watch(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until all are done, or one ended badly and the others had time to notice."""
    until = float("inf")
    while any(child.poll() is None for child in children) and time.monotonic() < until:
        if any(child.returncode for child in children):
            until = min(until, time.monotonic() + GRACE)
        time.sleep(0.05)


def _verdict(children: Sequence[subprocess.Popen[bytes]], codes: Sequence[int | None], folder: Path) -> int:
    """What is told of how they ended; None is the code of one that had to be stopped."""
    killed = [(index, -code) for index, code in enumerate(codes) if code is not None and code < 0]
    # A library may abort a process because it lost another: that one is the cause.
    for index, number in sorted(killed, key=lambda one: one[1] == signal.SIGABRT):
        name = _name(number)
        hint = " If nobody ended it, memory ran out: use fewer --processes." if name == "SIGKILL" else ""
        raise TrainingError(
            f"process {index + 1} of {len(codes)} (pid {children[index].pid}) was ended by {name}, and the others were "
            f"stopped; complete epochs are kept, and the same command goes on from there.{hint}"
        )
    for index, code in enumerate(codes):
        if code not in (None, 0, LOST):
            if index:  # the first has spoken for itself
                sys.stderr.write(_said(folder, index).read_text(encoding="utf-8", errors="replace"))
            return code
    if any(codes):
        raise TrainingError(
            f"the {len(codes)} processes lost each other; complete epochs are kept, and the same command goes on from there."
        )
    return 0


def _said(folder: Path, index: int) -> Path:
    return folder / f"stderr{index}"


def _name(number: int) -> str:
    """SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _cores() -> int:
    """What this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
