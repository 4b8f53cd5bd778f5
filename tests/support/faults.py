"""What the tests of tests/faults share: the long form, the record of what was tried, the judge, and damage to bytes."""

import math
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
TRIED: Counter[str] = Counter()  # cases of each class of fault, by what was done
KILLS: list[dict[str, object]] = []  # where each killed run was


def many(short: int, long: int) -> settings:
    """So many Hypothesis examples; the long form draws others each time."""
    quiet = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    return settings(max_examples=long if LONG else short, derandomize=not LONG, **quiet)


@contextmanager
def judged(fault: str, *, must: bool = True, about: str = "") -> Iterator[None]:
    """Count a case: it must end in an InputError that says something or, unless `must`, in no error."""
    TRIED[fault] += 1
    try:
        yield
    except (InputError, ValidationError) as error:  # pydantic's names the setting
        said = str(error)  # the command line makes one short printable line of it
    else:
        assert not must, "accepted"
        return
    assert about in said, said
    assert len(said.split()) > 3, said


@cache
def painted() -> tuple[list[Any], list[Any], list[Any], Ranks]:
    """Three small splits of (image, rank), painted once, and their ranks."""
    leaves = load_dataset("leaves", size=60, pixels=64)
    return list(leaves.train), list(leaves.val), list(leaves.test), leaves.ranks


TEXTS = '" , ; # -1 NaN 1e999 ../ /etc/passwd C:\\ ~ http://x/ é null {rank} \\\\server\\share\\'.split()  # noqa: SIM905
TEXTS += ["\0", "\r", "\n\n", "\t", "\ufeff", "\x1b[2J", "9" * 5000, "[" * 20_000, '{"a":' * 20_000]
SNIPPETS = [text.encode() for text in TEXTS] + [b"\xff\xfe"]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A copy after one to three accidents: bits, cuts, repeats, foreign bytes, another encoding."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(
            draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content))))
        )
        short = content[start : min(end, start + 40)]
        match draw(st.integers(0, 6)):
            case 0 if short:
                short, new = short[:1], bytes([short[0] ^ 1 << draw(st.integers(0, 7))])
            case 1:
                short, new = content[start:], b""
            case 2:
                new = short * draw(st.sampled_from((0, 2)))
            case 3:
                other = draw(st.sampled_from(("utf-16", "utf-7", "cp500")))
                short = content[start:]
                new = short.decode("utf-8", "replace").encode(other, "replace")
            case _:
                new = draw(st.sampled_from(SNIPPETS))
        content = content[:start] + new + content[start + len(short) :]
    return content


HOSTILE: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    2**31,
    2**63,
    10**400,
    -0.5,
    1e308,
    math.nan,
    math.inf,
]
HOSTILE += [
    "",
    "x",
    "../x",
    "\0",
    "\x1b[2J",
    "\ud800",
    "{rank}",
    "tiny/random",
    "cuda",
    "é" * 5_000,
    "a,b",
]
HOSTILE += [[], [[]], {}, {"a": 1}, ["a", "b"], [0, 1, 2], [1e400, 2, 3], ["a"] * 3, [None] * 3]
