"""The fuzzer must be able to lose: targets that break each promise on purpose, and one that keeps them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fuzz
from campaign import Scale
from fuzz_inputs import Case, as_json
from fuzz_worker import shown
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(fuzz.__file__).parent.parent
BREAKING = """
import json, os, subprocess, sys
from pathlib import Path
import fuzz_worker
from fuzz_inputs import Case
from fuzz_worker import Guard, Target, limit_memory, try_all

fuzz_worker.STUCK, fuzz_worker.SECONDS = 4.0, 0.3  # others may need the cores, too
folder = Path(sys.argv[1])

def waits(own, case):
    os.mkfifo(own / "pipe")
    open(own / "pipe").read()

def works(own, case):
    (own / "x").write_text("x")
    (own / "x").rename(own / "y")

def refuses(own, case):
    raise ValueError("no")

def swallows(own, case):
    try:
        while True:
            pass
    except Exception:
        pass

def away(own, case):
    (own / "x").write_text("x")
    (own / "x").rename(own.parent / "y")

def mistakes(own, case):
    raise AssertionError("it was read as something else")

breaking = {
    "works": works,
    "raises": lambda own, case: {}["key"],
    "waits": waits,
    "swallows": swallows,
    "slow": lambda own, case: sum(range(100_000_000)),
    "greedy": lambda own, case: bytearray(2**31),
    "writes": lambda own, case: (own.parent / "elsewhere").write_text("x"),
    "renames": away,
    "starts": lambda own, case: subprocess.run(["true"]),
    "refuses": refuses,
    "mistakes": mistakes,
}
guard = Guard(folder / "case", (ValueError,), folder / "current")
limit_memory()
lost = {}
for name, read in breaking.items():
    target = Target(name, lambda draw: Case(True, b"x"), read)
    lost[name] = sorted(kind for kind, _ in try_all(target, 2, 0, guard, folder / "case").lost)
print(json.dumps(lost))
"""


def test_a_broken_promise_is_a_lost_case(tmp_path: Path) -> None:
    """In a process of its own: the guard limits memory and listens to every file that is opened."""
    path = os.pathsep.join((str(ROOT / "torture"), str(ROOT)))
    command = [sys.executable, "-W", "error", "-c", BREAKING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout) == {
        "works": [],
        "raises": ["KeyError"],
        "waits": ["TimeoutError"],
        "swallows": ["TimeoutError"],
        "slow": ["TimeoutError"],
        "greedy": ["MemoryError"],
        "writes": ["PermissionError"],
        "renames": ["PermissionError"],
        "starts": ["PermissionError"],
        "refuses": ["RefusedError"],
        "mistakes": ["AssertionError"],
    }


def test_a_process_that_ends_is_a_lost_case(tmp_path: Path) -> None:
    """The family is named, and what was tried last; here its seed is no number."""
    (tried,) = fuzz._worker(["fuzz-data"], Scale(False, "x", tmp_path))  # type: ignore[arg-type]
    assert tried.name == "fuzz-data"
    assert "the process ended (1: ValueError: invalid literal for int()" in tried.lost[0]


@given(st.binary(max_size=60))
def test_a_lost_case_can_be_pasted_back(content: bytes) -> None:
    """Bytes are printed in hex; what is cut says so."""
    assert eval(shown(Case(False, content), longest=120)) == content
    assert (
        shown(Case(False, b"abcd", about="x.json"), longest=4)
        == "bytes.fromhex('6162') + 2 more bytes (x.json)"
    )


def test_wrong_json_is_still_json_or_nearly() -> None:
    """The marks become what no value of Python can be written as."""
    assert as_json({"a": "@deep@", "b": ["@huge@", "@beyond@"]}).startswith(b'{"a": [[[[')
    assert as_json(["@beyond@", "@minus@"]) == b"[1e400, -1e400]"
