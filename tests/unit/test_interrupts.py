"""SIGINT and SIGTERM to real processes: one sentence, the exit code of shells, and in time whatever they are doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
SCRIPT = """
import sys, time
from l2rclip_lite import interrupts
interrupts.GRACE = float(sys.argv[2])

def ready():
    print("ready", flush=True)

def orderly():
    try:
        ready()
        time.sleep(60)
    finally:
        print("closed", flush=True)

def swallowed():  # as a library does that tries one thing after another
    try:
        ready()
        time.sleep(60)
    except:
        print("closed", flush=True)
    time.sleep(60)

def renamed():  # as an import does that is interrupted in C code
    try:
        ready()
        time.sleep(60)
    except KeyboardInterrupt as error:
        print("closed", flush=True)
        raise ImportError("initialization failed") from error

class Last:
    def __del__(self):
        ready()
        time.sleep(60)

def ignored():  # an error in a destructor is ignored by Python
    last = Last()
    del last
    print("closed", flush=True)
    time.sleep(60)

code = interrupts.Interruptible("fit").run(globals()[sys.argv[1]])
print("done", flush=True)
sys.exit(code)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", ["orderly", "swallowed", "renamed", "ignored"])
def test_it_ends_in_time_with_one_sentence(work: str, number: signal.Signals) -> None:
    """What Python can close is closed; a swallowed interrupt costs the grace; no traceback, no second line."""
    command = [sys.executable, "-c", SCRIPT, work, "0.3"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        start = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 2
    assert (process.returncode, out) == (128 + number, "closed\n")
    assert err == "interrupted: complete epochs are kept, the same command goes on from there.\n"


@pytest.mark.parametrize("ending", ["return 3", "sys.exit(3)", "raise SystemExit(3)"])
def test_work_that_nobody_interrupts_ends_as_it_would(ending: str) -> None:
    """Its exit code, nothing on stderr."""
    script = f"{SCRIPT.split('code =')[0]}\ndef work():\n    {ending}\n"
    script += "sys.exit(interrupts.Interruptible('fit').run(work))"
    command = [sys.executable, "-c", script, "work", "1"]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
