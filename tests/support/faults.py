"""Shared by tests/faults: the judge, and damage to bytes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks


def many(count: int) -> settings:
    """Return settings for so many Hypothesis examples."""
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))


@contextmanager
def judged(*, must: bool = True, about: str = "") -> Iterator[None]:
    """Check how a case ends.

    Args:
        must: Whether it must end in an InputError; otherwise no error will do, too.
        about: What the sentence must hold.
    """
    try:
        yield
    except (InputError, ValidationError) as error:  # pydantic's names the setting
        sentence = str(error)  # the command line makes one short printable line of it
    else:
        assert not must, "accepted"
        return

    assert about in sentence, sentence
    assert len(sentence.split()) > 3, sentence


@cache
def painted() -> tuple[list[Any], list[Any], list[Any], Ranks]:
    """Return three small splits of (image, rank), painted once, and their ranks."""
    leaves = load_dataset("leaves", size=60, pixels=64)
    return list(leaves.train), list(leaves.val), list(leaves.test), leaves.ranks


TEXTS = ['"', ",", ";", "#", "-1", "NaN", "1e999", "é", "null", "{rank}"]
TEXTS += ["../", "/etc/passwd", "C:\\", "~", "http://x/", "\\\\server\\share\\"]
TEXTS += ["\0", "\r", "\n\n", "\t", "\ufeff", "\x1b[2J"]
TEXTS += ["9" * 5000, "[" * 20_000, '{"a":' * 20_000]
SNIPPETS = [text.encode() for text in TEXTS] + [b"\xff\xfe"]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a copy after one to three accidents.

    They are a flipped bit, a cut, a part that is lost or repeated, another encoding from somewhere
    on, and foreign bytes.
    """
    for _ in range(draw(st.integers(1, 3))):
        place = st.integers(0, len(content))
        start, end = sorted(draw(st.tuples(place, place)))
        part = content[start : min(end, start + 40)]

        match draw(st.integers(0, 6)):
            case 0 if part:
                part = part[:1]
                new = bytes([part[0] ^ 1 << draw(st.integers(0, 7))])
            case 1:
                part = content[start:]
                new = b""
            case 2:
                new = part * draw(st.sampled_from((0, 2)))
            case 3:
                encoding = draw(st.sampled_from(("utf-16", "utf-7", "cp500")))
                part = content[start:]
                new = part.decode("utf-8", "replace").encode(encoding, "replace")
            case _:
                new = draw(st.sampled_from(SNIPPETS))

        content = content[:start] + new + content[start + len(part) :]
    return content


HOSTILE: list[Any] = [None, True, False]
HOSTILE += [-1, 0, 1, 3, 2**31, 2**63, 10**400, -0.5, 1e308, math.nan, math.inf]
HOSTILE += ["", "x", "../x", "\0", "\x1b[2J", "\ud800", "{rank}", "tiny/random", "cuda", "a,b"]
HOSTILE += ["é" * 5_000]
HOSTILE += [[], [[]], {}, {"a": 1}, ["a", "b"], [0, 1, 2], [1e400, 2, 3], ["a"] * 3, [None] * 3]
