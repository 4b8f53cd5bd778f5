"""Lives of a run: each in a process of its own, which tells over a pipe what it is doing and may be killed at any moment.

A server that has imported everything forks them, so that a life begins in milliseconds. What a life does is the package's
own code; the wrappers here only say where it is.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

PHASES = ("starting", "reading pictures", "feature caching", "stage 1", "stage 2", "joint", "checkpoint")
PHASES += ("judging", "results", "baselines", "metrics", "cleaning up", "exporting", "half written")
MESSAGE = struct.Struct("<BId")  # phase, index, seconds of the monotonic clock, which all processes share
FOREVER = 600.0
LEAVE = 60.0  # seconds for the way out


@dataclass(frozen=True)
class Job:
    """What one life shall do.

    Args:
        words: A command line, after `l2rclip`.
        half: The beginning of a file's name. When it is written, half of its bytes are on disk and nothing more happens.
        full: The same; the disk is full when it is written.
        limit: No file may grow beyond so many bytes.
        user: Whose rights it has, by number; None keeps those of this process.
        said: What it says on stderr goes into this file.
    """

    words: tuple[str, ...]
    half: str | None = None
    full: str | None = None
    limit: int | None = None
    user: int | None = None
    said: Path | None = None


LEAVES = ("--dataset", "leaves", "--size", "60", "--pixels", "64")


def fit_words(out: Path, config: dict[str, Any], *more: str) -> tuple[str, ...]:
    """`l2rclip fit` on the leaves that every life finds drawn."""
    settings = [word for name, value in config.items() for word in (f"--{name}", str(value))]
    return ("fit", *LEAVES, "--quiet", "--out", str(out), *settings, *more)


class Told(NamedTuple):
    """A life has entered a phase."""

    phase: str
    index: int  # which epoch of which stage
    at: float


class Life:
    """A process that works on a job.

    Its `code`, when it has ended, is its exit code or minus the number of the signal.
    """

    def __init__(self, process: BaseProcess, told: Connection) -> None:
        self.pid = process.pid or 0
        self.code: int | None = None
        self._process, self._told, self._bytes = process, told, b""

    def next(self, patience: float = FOREVER) -> Told | None:
        """The next phase that it enters; None when it has ended, or within `patience` seconds entered none."""
        until = time.monotonic() + patience
        while len(self._bytes) < MESSAGE.size:
            ready, _, _ = select.select([self._told], [], [], max(0.0, until - time.monotonic()))
            found = os.read(self._told.fileno(), 4096) if ready else b""
            if not found:
                return None
            self._bytes += found
        one, self._bytes = self._bytes[: MESSAGE.size], self._bytes[MESSAGE.size :]
        phase, index, at = MESSAGE.unpack(one)
        return Told(PHASES[phase], index, at)

    def kill(self) -> list[Told]:
        """SIGKILL; what it entered until then."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.end()

    def end(self) -> list[Told]:
        """Wait until it has ended; what it entered until then. One that enters nothing more and does not end is killed."""
        rest = list(iter(self.next, None))
        self._process.join(LEAVE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.code = self._process.exitcode
        self._process.close()
        self._told.close()
        return rest


class Nursery:
    """Where lives begin."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["warm"])

    def start(self, job: Job) -> Life:
        """Begin a life."""
        reads, writes = self._context.Pipe(duplex=False)
        process = self._context.Process(target=live, args=(job, writes))
        before, here = os.environ.get("PYTHONPATH"), str(Path(__file__).resolve().parent)
        os.environ["PYTHONPATH"] = os.pathsep.join([here, *([before] if before else [])])  # for the server
        try:
            process.start()
        finally:
            os.environ.pop("PYTHONPATH")
            if before is not None:
                os.environ["PYTHONPATH"] = before
        writes.close()
        return Life(process, reads)


def live(job: Job, told: Connection) -> None:
    """The life itself, in its own process."""
    teller = Teller(told.fileno())
    teller.tell("starting")
    teller.listen()
    if job.half is not None or job.full is not None:
        teller.at_a_write(job.half, job.full)
    if job.limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.limit, job.limit))
    for descriptor, file in ((1, None), (2, job.said)):
        where = os.open(file or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        if descriptor == 1 or file:
            os.dup2(where, descriptor)
    if job.user is not None:
        os.setgid(job.user)
        os.setuid(job.user)
    from warm import command

    code = command(job.words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # no time for the library's farewell


class Teller:
    """Says where a life is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._now = descriptor, ("starting", 0)

    def tell(self, phase: str, index: int = 0) -> None:
        """A phase begins, or goes on."""
        self._now = phase, index
        os.write(self._descriptor, MESSAGE.pack(PHASES.index(phase), index, time.monotonic()))

    def listen(self) -> None:
        """Put a wrapper around everything that is a phase."""
        from l2rclip_lite import baselines, checkpoint, export, model, rundir, stages, training

        def stage(number: int) -> str:
            return {0: "joint", 1: "stage 1", 2: "stage 2"}.get(number, "baselines")

        def epoch(seed: int, number: int, index: int, real: Any = stages.epoch_generator) -> Any:
            self.tell(stage(number), 1000 * number + index)
            return real(seed, number, index)

        stages.epoch_generator = epoch
        self._wrap(
            checkpoint.Checkpoint,
            "save",
            "checkpoint",
            lambda _, s, o, state: 1000 * s.number + state.epochs_done,
        )
        self._wrap(training.Pictures, "load", "reading pictures")
        self._wrap(training, "_cached_features", "feature caching")
        self._wrap(training, "judge", "judging")
        self._wrap(training, "run_baseline", "baselines")
        self._wrap(training, "_clean_up", "cleaning up")
        self._wrap(rundir, "write_metrics", "metrics")
        writers = ((rundir, "open_run"), (model.L2RCLIP, "save"), (rundir, "write_history"))
        for number, (owner, name) in enumerate((*writers, (rundir, "write_predictions"))):
            self._wrap(owner, name, "results", lambda *_, number=number: number)
        self._wrap(export, "export_onnx", "exporting")
        for module in (training, baselines):
            self._wrap(module, "train_stage", lambda one, *rest: stage(one.number))

    def _wrap(
        self, owner: Any, name: str, phase: str | Callable[..., str], index: Callable[..., int] = lambda *_: 0
    ) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **options: Any) -> Any:
            before = self._now
            self.tell(phase if isinstance(phase, str) else phase(*args), index(*args))
            try:
                return real(*args, **options)
            finally:
                self.tell(*before)

        setattr(owner, name, call)

    def at_a_write(self, half: str | None, full: str | None) -> None:
        """Before a file is flushed and renamed, take half of its bytes away and wait for the end, or be a full disk.

        Half of a tensor file has another name, as safetensors gives it until it is whole.
        """
        real = os.fsync

        def fsync(descriptor: int) -> None:
            file = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            target = file.parent.name  # the temporary folder is called after it
            if half is not None and target.startswith(f".{half}"):
                os.truncate(file, file.stat().st_size // 2)
                if file.suffix == ".safetensors":
                    file.rename(file.with_name(".tmpUF0QYv"))
                self.tell("half written")
                time.sleep(FOREVER)
            if full is not None and target.startswith(f".{full}"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        os.fsync = fsync
