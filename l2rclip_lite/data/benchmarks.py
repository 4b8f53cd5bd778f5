"""What the loaders of the published benchmarks share: checked options, checked labels, a carved validation part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from l2rclip_lite.data.listed import Item, hold_out
from l2rclip_lite.data.lists import Entry, read_list
from l2rclip_lite.errors import InputError

LISTS = "split lists: github.com/raywang335/L2RCLIP, commit 168fd4b, MIT; the pictures are not part of them"
FACES = (
    "Pictures of real people. Use them for research, under the licence of their owner; do not pass them on, and "
    "train no product on them. Never use them, or a model trained on them, to identify a person or to decide "
    "anything about one: who is served, hired, admitted, insured or watched."
)
SHARE = 0.1  # of the published training part, for validation: the official lists hold none


def one_of(data_set: str, option: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse an option that is not among its choices.

    Args:
        data_set: The name `load_dataset` knows.
        option: The name of the option.
        value: What was given.
        choices: All that may be given.

    Raises:
        InputError: Another value.

    Example:
        >>> one_of("hci", "fold", 10, range(3))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: hci: fold must be one of 0, 1, 2, not 10.
    """
    choices = list(choices)
    if isinstance(value, bool | float) or value not in choices:  # True and 1.0 equal 1, but name no file
        listed = ", ".join(str(choice) for choice in choices)
        raise InputError(f"{data_set}: {option} must be one of {listed}, not {value!r}.")


def whole_seed(data_set: str, seed: Any) -> None:
    """Refuse what no generator can start from.

    Args:
        data_set: The name `load_dataset` knows.
        seed: What was given.

    Raises:
        InputError: Anything but a whole number from 0.

    Example:
        >>> whole_seed("hci", -1)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: hci: the seed -1 is no whole number from 0; pass one, such as seed=0.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise InputError(
            f"{data_set}: the seed {seed!r} is no whole number from 0; pass one, such as seed=0."
        )


def read_lists(files: Sequence[Path], *, keep: int = 1) -> list[list[Entry]]:
    """Lists that belong together; no picture may stand in two of them.

    Args:
        files: The list files.
        keep: How many components of each path name the picture.

    Returns:
        The entries of each file.

    Raises:
        InputError: What `read_list` refuses, or a picture that two of the lists name.
    """
    lists = [read_list(file, keep=keep) for file in files]
    first: dict[str, Entry] = {}
    for entry in (entry for entries in lists for entry in entries):
        before = first.setdefault(entry.name, entry)
        if before is not entry:  # in training and test at once, it would be tested on what was learned
            raise InputError(
                f"{entry.where}: the picture {entry.name} stands in {before.where} already; "
                "remove one of the two rows."
            )
    return lists


def rank_index(entry: Entry, first: int, last: int, what: str) -> int:
    """The rank index of a label that must be a whole number from `first` to `last`.

    Args:
        entry: A row of a list.
        first: The label of rank index 0.
        last: The label of the highest rank.
        what: What the label is, such as "age".

    Returns:
        label - first.

    Raises:
        InputError: Another label.

    Example:
        >>> rank_index(Entry("a.jpg", 4.0, "test.txt row 1", {}), 1, 5, "grade")
        3
        >>> rank_index(Entry("a.jpg", 6.0, "test.txt row 1", {}), 1, 5, "grade")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: test.txt row 1: the grade 6 is no whole number from 1 to 5; correct it.
    """
    if not entry.label.is_integer() or not first <= entry.label <= last:
        raise InputError(
            f"{entry.where}: the {what} {entry.label:.15g} is no whole number from {first} to {last}; correct it."
        )
    return int(entry.label) - first


def carve(
    training: Sequence[Item], test: Sequence[Item], seed: int, *, by_subject: bool = False
) -> tuple[dict[str, Sequence[Item]], str]:
    """Three parts out of the two that were published: a tenth of the training part becomes validation.

    Args:
        training: The published training part.
        test: The published test part, which stays as it is.
        seed: Decides the tenth.
        by_subject: Whether whole persons move.

    Returns:
        The parts by name, and a sentence's end for the run's record.

    Example:
        >>> items = [Item(f"{number}.jpg", number % 2, f"row {number}") for number in range(40)]
        >>> parts, said = carve(items[:30], items[30:], seed=7)
        >>> {name: len(part) for name, part in parts.items()}, said
        ({'train': 27, 'val': 3, 'test': 10}, 'validation: 3 of the 30 training pictures, seed 7')
    """
    train, val = hold_out(training, SHARE, seed, by_subject=by_subject)
    whole = ", whole persons" if by_subject else ""
    said = f"validation: {len(val):,} of the {len(training):,} training pictures{whole}, seed {seed}"
    return {"train": train, "val": val, "test": test}, said
