"""Another process that does one thing after the other, so that a crash, a hang or a flood of memory is counted, not fatal.

`Worker("images")` starts `python worker.py images`, which imports the module `images` of this folder and answers each
request with what its function `attempt` returns. With the answer come the seconds of the processor it took, the memory
it needed, which processes and connections it began, what was warned of, and how much was written to stderr behind
Python's back, as decoders do.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

FORBIDDEN = (
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.system",
    "socket.connect",
    "socket.getaddrinfo",
)
OUTSIDE = ("/outside/", "/etc/passwd")  # files that no request gives leave to open
MOST = 8 * 2**30  # bytes of address space beyond what the imports took; memory itself is measured


class Worker:
    """A process that lives until it dies of something; the next request then starts another.

    Args:
        module: A module of this folder with a function `attempt(request) -> answer`, both ready for JSON.
        folder: Where it keeps what it wrote to stderr.
        patience: Seconds after which a request counts as hung.
    """

    def __init__(self, module: str, folder: Path, *, patience: float = 30) -> None:
        self.module, self.stderr, self.patience = module, folder / f"{module}.stderr", patience
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        """It starts with the first request."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._end()

    def ask(self, request: Any) -> dict[str, Any]:
        """The answer; `{"died": why}` where there is none."""
        process = self.process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], self.patience)[0]:
            self._end()
            return {"died": f"no answer in {self.patience:g} s"}
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self._end()
            return {"died": f"the process ended with {code}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self) -> subprocess.Popen[str]:
        with self.stderr.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, __file__, self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            )
        assert self.process.stdout
        self.process.stdout.readline()  # ready: imports are no part of a request's time
        return self.process

    def _end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
        self.process = None


def serve(module: str, requests: TextIO, answers: TextIO) -> None:
    """Answer until there is no more request; runs in the process that `Worker` starts."""
    attempt = importlib.import_module(module).attempt
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST, taken + MOST))
    did: list[str] = []

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            did.append(event)
        elif event == "open" and any(place in str(args[0]) for place in OUTSIDE):
            did.append(f"open {args[0]}")

    sys.addaudithook(heard)
    print("ready", file=answers, flush=True)
    for line in requests:
        Path("/proc/self/clear_refs").write_text("5")  # the highest memory so far is forgotten
        before, written, start = memory("VmRSS"), os.fstat(2).st_size, time.process_time()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                answer = attempt(json.loads(line))
            except BaseException as error:  # a broken promise; the campaign wants to know which
                where = traceback.extract_tb(error.__traceback__)[-1]
                answer = {"raised": f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"}
        answer["seconds"] = time.process_time() - start
        answer["mib"] = (memory("VmHWM") - before) / 1024
        answer["did"], did[:] = list(did), []
        answer["warned"] = [str(found.message) for found in warned]
        answer["noise"] = os.fstat(2).st_size - written
        print(json.dumps(answer), file=answers, flush=True)


def memory(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    mine = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a request prints must not be taken for an answer
    serve(sys.argv[1], sys.stdin, mine)
