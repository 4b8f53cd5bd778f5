"""What the tests of tests/faults share: the long form, the record of what was tried, the judge, and damage to bytes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

LONG = "L2RCLIP_FAULTS" in os.environ  # names the results file of the long form, `make faults`
TRIED: Counter[str] = Counter()  # cases of each class of fault
KILLS: list[dict[str, object]] = []  # where each killed run was

SENTENCE = "used as it is meant, or refused in one sentence that names the file; never a traceback"
RESUMED = "no half file is left, and the same command ends in the same bytes"
CLASSES = {  # name: what is done, and what must hold
    "killed": ("SIGKILL at a random moment of `fit`", RESUMED),
    "killed-writing": ("SIGKILL when half of a file's bytes are written, for each file of a run", RESUMED),
    "disk-full": ("no space, no right, or a read-only disk at each write", f"one sentence; {RESUMED}"),
    "disk-small": ("a disk that is too small for the run, then enlarged", f"one sentence; {RESUMED}"),
    "directory-gone": ("the run directory is removed during the run", "one sentence or a complete run; nothing half"),
    "two-runs": ("a second `fit` on the directory of a running one", "refused in one sentence; the first is not disturbed"),
    "interrupted": ("Ctrl-C or SIGTERM to the command", f"it ends within seconds, without a traceback; {RESUMED}"),
    "poisoned-step": ("a loss or gradient that is not finite in one step", f"one sentence names the step; {RESUMED}"),
    "tables": ("labels files and split lists, damaged or with hostile cells", SENTENCE),
    "paths": ("paths that leave their folder, links, pipes and folders in the place of files", "refused; nothing outside is read"),
    "archives": ("RetinaMNIST's archive: damaged, encrypted, with a pickle in it", SENTENCE),
    "settings": ("settings, rank names and options of another type or size", SENTENCE),
    "run-files": ("config.json, metrics.json, history.csv of a run, damaged or of another kind", SENTENCE),
    "checkpoints": ("a checkpoint of another run, or damaged", "refused before a parameter changes"),
    "command-line": ("hostile words after a command", "one line on stderr and exit code 2"),
    "model-files": ("models whose header, tensors or metadata lie", "refused in one sentence within 1 GiB"),
    "model-damage": ("models with flipped bits, cuts, or other values in their config", SENTENCE),
    "pointers": ("pickles, and configs that name a hub, a URL or another folder", "refused; nothing is opened or executed"),
    "tampered-weights": ("one bit flipped in each bundled file of weights", "refused by its SHA-256"),
    "image-kinds": ("images of every kind that cameras and web pages give", "the colours that they hold, upright, on white"),
    "image-damage": ("images with flipped bits, cuts and repeats", SENTENCE),
    "image-bombs": ("small files that claim or hold gigabytes", "refused before a pixel is decoded"),
    "no-images": ("other files, folders, pipes and devices under an image's name", "refused in one sentence at once"),
    "numbers": ("tiny or degenerate data, extreme rank values and settings", "finite figures, or one sentence"),
    "metrics": ("probabilities that are not finite, negative or do not sum to 1", "refused with the row, else finite"),
    "soak": ("many runs and predictions in one process", "memory, files and threads do not grow"),
}


def many(short: int, long: int) -> settings:
    """So many Hypothesis examples; the long form draws others each time."""
    return settings(
        max_examples=long if LONG else short,
        derandomize=not LONG,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def judged(fault: str, *, must: bool = True, about: str = "") -> Iterator[None]:
    """Count a case: it must end in an InputError that says something or, unless `must`, in no error."""
    assert fault in CLASSES
    TRIED[fault] += 1
    try:
        yield
    except (InputError, ValidationError) as error:  # pydantic's names the setting
        assert about in str(error), error
        assert len(str(error).split()) > 3, error  # a sentence; the command line makes one short printable line of it
    else:
        assert not must, "accepted"


@cache
def painted() -> tuple[list[Any], list[Any], list[Any], Ranks]:
    """Three small splits of (image, rank), painted once, and their ranks."""
    leaves = load_dataset("leaves", size=60, pixels=64)
    return list(leaves.train), list(leaves.val), list(leaves.test), leaves.ranks


SNIPPETS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b",", b"\r", b"\n\n", b"\t", b"NaN", b"1e999", b"-1", b"\x1b[2J"),
    *(b"../", b"/etc/passwd", b"C:\\", b"\\\\server\\share\\", b"~", b"http://x/", "é".encode(), b"9" * 5000),
    *(b"[" * 20_000, b'{"a":' * 20_000, b"null", b"true", b'""', b"'", b"{rank}", b"#", b";"),
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A copy after one to three accidents: bits, cuts, repeats, foreign bytes, another encoding."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content)))))
        short = content[start : min(end, start + 40)]
        match draw(st.integers(0, 6)):
            case 0 if short:
                content = content[:start] + bytes([short[0] ^ 1 << draw(st.integers(0, 7))]) + content[start + 1 :]
            case 1:
                content = content[:end]
            case 2:
                content = content[:start] + content[start + len(short) :]
            case 3:
                content = content[:start] + short * 2 + content[start + len(short) :]
            case 4 | 5:
                content = content[:start] + draw(st.sampled_from(SNIPPETS)) + content[start + len(short) :]
            case _:
                other = draw(st.sampled_from(("utf-16", "utf-7", "cp500")))
                content = content.decode("utf-8", "replace").encode(other, "replace")
    return content


HOSTILE = (  # values in the place of others, in JSON, YAML or Python
    *(None, True, False, -1, 0, 1, 3, 2**31, 2**63, 10**400, -0.5, 1e308, float("nan"), float("inf")),
    *("", "x", "../x", "\0", "\x1b[2J", "\ud800", "{rank}", "tiny/random", "cuda", "1", "é" * 5_000, "a,b"),
    *([], [[]], {}, {"a": 1}, ["a", "b"], [0, 1, 2], [1e400, 2, 3], ["a"] * 3, [None] * 3),
)
