"""The process in which hostile input is tried: how it may fail, how long it may take, and where it may write."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
from fuzz_inputs import Case
from hypothesis import strategies as st

SECONDS = 1.0  # of processor time a case may take
STUCK = 8.0  # seconds on the clock after which it hangs; other processes may need the cores
SPARE = 2**30  # bytes of address space beyond what the process has when it begins
PRINTED, STORED = 160, 20_000  # characters of a lost case on the terminal and in the results file
WRITES = frozenset(
    ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
)
FORBIDDEN = frozenset(
    ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class")
)


@dataclass(frozen=True)
class Target:
    """Something that reads what a user gives.

    Args:
        name: For the report.
        cases: Draws a case.
        read: Reads it, in a folder of its own; raises `AssertionError` where an intact case is read as something else.
        share: Its part of the family's cases, relative to the others.
    """

    name: str
    cases: Callable[[Any], Case]
    read: Callable[[Path, Case], None]
    share: int = 1


@dataclass
class Count:
    """What came of the cases of a target."""

    cases: int = 0
    intact: int = 0
    accepted: int = 0
    slowest: float = 0.0
    lost: dict[tuple[str, str], str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    def about(self) -> dict[str, Any]:
        """The figures for the report."""
        share = round(self.accepted / max(1, self.cases), 3)
        inputs = {"lost_inputs": [self.inputs[said] for said in self.lost.values()]} if self.lost else {}
        figures = {"cases": self.cases, "intact": self.intact, "share_accepted": share}
        return figures | {"slowest_seconds": round(self.slowest, 2)} | inputs


class Hang(BaseException):
    """Raised by the alarm; no `except Exception` of the package may swallow it."""


class RefusedError(Exception):
    """An input that should have been accepted, or words that are not one sentence."""


class Guard:
    """Watches what this process writes, and stops what takes too long.

    Args:
        folder: The only place where files may be written.
        expected: Errors that say what is wrong with an input.
        current: Where a case is noted before it is tried, so that one that ends the process is known.
    """

    def __init__(self, folder: Path, expected: tuple[type[Exception], ...], current: Path) -> None:
        self.folder, self.expected = str(folder.resolve()), expected
        self.outside: list[str] = []
        self._current = os.open(current, os.O_WRONLY | os.O_CREAT, 0o644)
        signal.signal(signal.SIGALRM, self._ring)
        sys.addaudithook(self._heard)

    def attempt(self, target: Target, case: Case, count: Count, folder: Path) -> None:
        """Try a case.

        Raises:
            BaseException: What must not happen, as the package raised it.
        """
        note = f"{target.name}: {shown(case, 4_000)}".encode("utf-8", "backslashreplace")
        os.pwrite(self._current, note.ljust(5_000), 0)
        count.cases += 1
        count.intact += case.intact
        self.outside.clear()
        before = time.process_time()
        signal.setitimer(signal.ITIMER_REAL, STUCK)
        try:
            target.read(folder, case)
            count.accepted += 1
        except self.expected as error:
            said = str(error)
            if case.intact:
                raise RefusedError(f"a valid input was refused: {said[:300]}") from error
            if not said.strip():
                raise RefusedError(f"{type(error).__name__} without a word") from error
        except Hang:
            raise TimeoutError(f"more than {STUCK:.0f} s") from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        took = time.process_time() - before
        count.slowest = max(count.slowest, took)
        if took > SECONDS:
            raise TimeoutError(f"{took:.1f} s of processor time")
        if self.outside:
            raise PermissionError(f"touched {self.outside[0]}")

    def _ring(self, *_: Any) -> None:
        raise Hang

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            *paths, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in WRITES:
            paths = list(arguments[1:2] if event in ("os.symlink", "os.link") else arguments[:2])
        elif event in FORBIDDEN:
            self.outside.append(event)
            return
        else:
            return
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                where = os.path.abspath(os.fsdecode(path))
                if where not in (os.devnull, self.folder) and not where.startswith(self.folder + os.sep):
                    self.outside.append(f"{event} {where}")


def limit_memory() -> None:
    """No case may take more than a gibibyte: beyond it, an allocation fails and the case is lost."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def try_all(target: Target, cases: int, seed: int, guard: Guard, folder: Path) -> Count:
    """Give a target so many cases; what must not happen is shrunk, and named with the shortest case that shows it."""
    count = Count()

    @st.composite
    def drawn(draw: Any) -> Case:
        return target.cases(draw)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(drawn())
    def one(case: Case) -> None:
        with _own_folder(folder) as own:
            try:
                guard.attempt(target, case, count, own)
            except Exception as error:
                _keep(count, error, case)
                if not isinstance(error, TimeoutError):  # shrinking what hangs would take an hour
                    raise
                if sum(kind == "TimeoutError" for kind, _ in count.lost) > 2:
                    raise

    try:
        one()
    except BaseException:  # an ExceptionGroup where there are several; all are in `count.lost`
        if not count.lost:
            raise
    return count


@contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """A working folder for one case."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _keep(count: Count, error: Exception, case: Case) -> None:
    """Remember the shortest case of each kind of failure, and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "l2rclip_lite" in frame.filename] or frames
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]} ({where}) on {shown(case, PRINTED)}"
    before = count.lost.get((type(error).__name__, where))
    if before is None or len(said) < len(before):
        count.lost[type(error).__name__, where] = said
        count.inputs[said] = shown(case, STORED)


def shown(case: Case, longest: int) -> str:
    """A case as one line that can be pasted back, cut where it is too long: bytes in hex."""
    about = f" ({case.about})" if case.about else ""
    if isinstance(case.content, bytes):
        cut = case.content[: longest // 2]
        rest = f" + {len(case.content) - len(cut):,} more bytes" * (len(cut) < len(case.content))
        return f"bytes.fromhex('{cut.hex()}'){rest}{about}"
    text = repr(case.content)
    return f"{text[:longest]}{f' + {len(text) - longest:,} characters' if len(text) > longest else ''}{about}"
