"""What the fuzzer feeds in: valid content first, then the same content damaged in the ways of files and of strangers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

# Strings that JSON text holds in place of what no Python value can be.
MARKS = {'"@deep@"': "[" * 100_000, '"@huge@"': "9" * 5_000, '"@beyond@"': "1e400", '"@minus@"': "-1e400"}
WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 0.5, -0.5, 1e308, 1e-320, 2**31, 2**63, -(2**63), 10**30),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "x", "1", "nan", "true", "\0", "\ud800", "a\nb"),
    *("../..", "/etc/passwd", "\x1b[2J", "{rank}", "x" * 5_000, [], {}, [1], [[]], ["a", "b"], {"a": 1}),
    *("@deep@", "@huge@", "@beyond@", "@minus@"),
)
SNIPPETS = (
    *(b"\0", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b'"', b'""', b"'", b"\n", b"\r", b"\r\n\r\n", b"\t"),
    *(b",", b" ", b"/", b"\\", b"..", b"../", b"C:\\", b"-", b"+", b".", b"_", b"{rank}", b"nan", b"inf"),
    *(b"1e400", b"1_0", b"0x1f", b"-1", b"9" * 5_000, b"x" * 200_000, b"/a" * 30_000, b",c" * 60_000, b"[" * 100_000),
    *("é".encode(), "e\u0301".encode(), "\u2028".encode(), "\u202e".encode(), "٣".encode(), "²".encode()),
    *(b"\x1b[2J", b"\x85", b"\x0c", b"#", b";", b"{", b"}", b"[", b"]", b":", b"null", b"true", b"NaN", b"&a *a"),
)  # fmt: skip


class Case(NamedTuple):
    """One input.

    Args:
        intact: Whether it is as the documentation wants it: then it must be accepted, and read back as `meant`.
        content: What is handed in: bytes, or a value.
        meant: What an intact input must give.
        about: What else is needed to repeat it: which file, which option.
    """

    intact: bool
    content: Any
    meant: Any = None
    about: Any = None


def whether_intact(draw: Draw) -> bool:
    """Two of five inputs stay as they are."""
    return bool(draw(st.sampled_from((True, True, False, False, False))))


def damaged(draw: Draw, content: bytes) -> bytes:
    """Bytes after one to three accidents."""
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(ACCIDENTS))(draw, content)
    return content


def wrong(draw: Draw, value: Any) -> Any:
    """A JSON value in which one node, at any depth, is something else, missing, or has company."""
    value = json.loads(json.dumps(value))
    path = draw(st.sampled_from(_paths(value)))
    if not path:
        return draw(st.sampled_from(WRONG))
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    what = draw(st.sampled_from(("other", "other", "other", "gone", "more")))
    if what == "gone":
        del holder[path[-1]]
    elif what == "more" and isinstance(holder, dict):
        holder[draw(st.sampled_from(("", "x", "__class__", "self", "@deep@")))] = draw(st.sampled_from(WRONG))
    else:
        holder[path[-1]] = draw(st.sampled_from(WRONG))
    return value


def as_json(value: Any) -> bytes:
    """JSON text of a value from `wrong`, with the marks made real."""
    text = json.dumps(value)
    for mark, real in MARKS.items():
        text = text.replace(mark, real)
    return text.encode()


def json_case(draw: Draw, value: Any, about: Any = None) -> Case:
    """A JSON file: as it is, wrong somewhere, or damaged as text."""
    if whether_intact(draw):
        return Case(True, as_json(value), value, about)
    if draw(st.booleans()):
        return Case(False, as_json(wrong(draw, value)), None, about)
    return Case(False, damaged(draw, as_json(value)), None, about)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every node."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, child in inner for deeper in _paths(child, (*path, key)))]


def _span(draw: Draw, content: bytes) -> tuple[int, int]:
    """A stretch of bytes, mostly short."""
    start = draw(st.integers(0, len(content)))
    return start, min(len(content), start + draw(st.integers(0, 40)))


def _flip(draw: Draw, content: bytes) -> bytes:
    if not content:
        return content
    place = draw(st.integers(0, 8 * len(content) - 1))
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def _cut(draw: Draw, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def _drop(draw: Draw, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:start] + content[end:]


def _repeat(draw: Draw, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:end] + content[start:]


def _insert(draw: Draw, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return (
        content[:start] + draw(st.sampled_from(SNIPPETS)) + content[start if draw(st.booleans()) else end :]
    )


def _recode(draw: Draw, content: bytes) -> bytes:
    return content.decode("utf-8", "replace").encode(
        draw(st.sampled_from(("utf-16", "utf-16-le", "utf-7", "cp500"))), "replace"
    )


def _nothing(draw: Draw, content: bytes) -> bytes:
    return draw(st.sampled_from((b"", b"\n", b"\xef\xbb\xbf", b"\0" * 8, b"null", b"[]", b"{}", b"0", b'""')))


ACCIDENTS = (_flip, _flip, _cut, _drop, _repeat, _insert, _insert, _insert, _recode, _nothing)
