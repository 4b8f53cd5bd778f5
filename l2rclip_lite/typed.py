"""Whether a value is of the annotated kind, for what comes from JSON, YAML or a notebook; how to show one that is not."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

_WORDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
_WORDS |= {Path: "a path", type(None): "nothing"}


def fits(value: object, hint: Any) -> bool:
    """Whether a value is what an annotation says. A whole number is a number too, but True is neither, nor is NaN.

    Args:
        value: Anything.
        hint: A class, a union, `Literal`, or a list, tuple or mapping of these.

    Example:
        >>> fits(3, float | None), fits(True, int), fits(float("nan"), float), fits(["a"], list[str])
        (True, False, False, True)
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (list, tuple):
        return isinstance(value, origin) and all(fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, Mapping) and all(
            fits(key, inner[0]) and fits(one, inner[1]) for key, one in value.items()
        )
    if isinstance(value, bool):
        return hint in (bool, Any)
    if hint is int:
        return isinstance(value, Integral)
    if hint is float:
        return isinstance(value, Real) and _finite(value)
    return hint is Any or isinstance(value, hint or types.NoneType)


def _finite(value: Any) -> bool:
    """Whether it is a number that `float` can hold; whole numbers may be beyond it."""
    return bool(abs(value) <= sys.float_info.max)


def in_words(hint: Any) -> str:
    """What an annotation asks for.

    Example:
        >>> in_words(int | None), in_words(list[str])
        ('a whole number or nothing', 'a list of text')
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(one) for one in inner))
    if origin in (list, tuple):
        return f"a list of {in_words(inner[0])}"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def shown(value: object, longest: int = 200) -> str:
    """A value as an error may quote it: never longer than a line or two, whatever it is.

    Example:
        >>> shown("x"), shown(10**9000)
        ("'x'", 'a huge int')
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to print very long integers and very deep lists
        return f"a huge {type(value).__name__}"
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"


def is_path(value: object) -> bool:
    r"""Whether a value can name a file or a folder.

    Example:
        >>> is_path("photos"), is_path(Path()), is_path("a\0b"), is_path("\ud800"), is_path(5)
        (True, True, False, False, False)
    """
    try:
        return isinstance(value, str | os.PathLike) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # half a character, which JSON can hold and no file name can
        return False
