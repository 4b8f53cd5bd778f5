"""From the rows of a published list to a data set: where the lists and the pictures are, and what is missing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from l2rclip_lite.data.base import FIXTURE, SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.data.files import Row, read_image
from l2rclip_lite.data.find import find_files
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

FIXTURE_MARK = "FIXTURE.json"


class Item(NamedTuple):
    """One listed picture.

    Args:
        name: The last components of its path, as the list has them, joined by "/".
        target: Its rank index.
        where: What an error should call its row, such as "animals_test.txt row 7".
        subject: Who is shown, where the data set says.
        deviation: The standard deviation of its label, where the data set says.
    """

    name: str
    target: int
    where: str
    subject: str | None = None
    deviation: float | None = None


def is_fixture(root: str | Path | None) -> bool:
    """Whether a folder holds drawn pictures in place of the real ones.

    Example:
        >>> is_fixture(None), is_fixture("no-such-folder")
        (False, False)
    """
    return root is not None and os.path.isfile(Path(root) / FIXTURE_MARK)


def mark_fixture(data: OrdinalDataset, files: Iterable[str | Path]) -> OrdinalDataset:
    """The data set as it is, or, where a picture lies in a fixture, with a card and a record that say so.

    Args:
        data: A data set.
        files: Its pictures. A fixture is recognised from any folder above or below the one that was named.

    Example:
        >>> from l2rclip_lite.data.leaves import load_leaves
        >>> mark_fixture(load_leaves(size=60), []).card.title
        'Generated leaves'
    """
    nearest = {os.path.abspath(folder) for folder in {os.path.dirname(file) for file in files}}
    above = {parent for folder in nearest for parent in Path(folder).parents}
    if not any(map(is_fixture, {*map(Path, nearest), *above})):
        return data
    card = replace(data.card, title=f"{data.card.title} ({FIXTURE}, not the real pictures)")
    said = f"{FIXTURE}: the pictures are drawn, the results say nothing about {data.name}"
    return replace(data, card=card, protocol=(*data.protocol, said))


def lists_folder(data_set: str, root: str | Path | None, lists: str | Path | None, folder: str) -> Path:
    """Where the official lists of one data set are.

    Args:
        data_set: The name `load_dataset` knows, for the error.
        root: The folder of the pictures; the lists are looked for in its folder "datalists".
        lists: The folder that `download_official_lists` made, or the data set's own folder in it.
        folder: The name of the data set's folder in it.

    Returns:
        An existing folder.

    Raises:
        InputError: There is none; the sentence says how to get the lists.

    Example:
        >>> lists_folder("morph", None, None, "morph")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: morph: pass lists=... (--lists DIR), the folder of the official ...
    """
    get = (
        f"to get them, run `l2rclip data {data_set} --download DIR` or "
        'l2rclip_lite.data.download_official_lists("DIR")'
    )
    if lists is not None:
        whole, own = Path(lists), Path(lists).resolve().name == folder
        candidates = [whole / folder, whole] if own else [whole / folder]
    elif root is not None:
        candidates = [Path(root) / "datalists" / folder]
    else:
        raise InputError(
            f"{data_set}: pass lists=... (--lists DIR), the folder of the official lists; {get}."
        )
    for candidate in candidates:
        if os.path.isdir(candidate):  # of a name that is too long, Path.is_dir raises
            return candidate
    raise InputError(
        f"{data_set}: there is no folder {candidates[0]} with the official lists; name the right one with "
        f"lists=... (--lists DIR), or {get}."
    )


def hold_out(
    items: Sequence[Item], share: float, seed: int, *, by_subject: bool = False
) -> tuple[list[Item], list[Item]]:
    """A validation part carved out of a published training list.

    Pictures are taken in a shuffled order, but never the last one of a rank, until round(share * n) are held.
    With `by_subject` whole subjects are taken, in a shuffled order, until at least as many are held; then a
    rank may lose its last picture.

    Args:
        items: The n pictures of the training list.
        share: The share to hold out, between 0 and 1; at least one picture is held.
        seed: Decides the shuffle.
        by_subject: Whether a subject may stand in one of the two parts only.

    Returns:
        What is kept and what is held, both in the order of the list.

    Raises:
        InputError: A share outside (0, 1), a negative seed, or too few pictures or subjects for two parts.

    Example:
        >>> kept, held = hold_out([Item(f"{n}.jpg", n % 2, "") for n in range(10)], 0.2, seed=0)
        >>> len(kept), [item.name for item in held]
        (8, ['4.jpg', '6.jpg'])
    """
    if not 0 < share < 1:
        raise InputError(f"the share held out for validation must lie between 0 and 1, not {share:g}.")
    if seed < 0:
        raise InputError(f"the seed must be 0 or more, not {seed}.")
    rng, wanted = np.random.default_rng(seed), max(1, round(share * len(items)))
    taken = set(_whole_subjects(items, wanted, rng) if by_subject else _spared_ranks(items, wanted, rng))
    if not taken:
        what = "two subjects" if by_subject else "a rank with two pictures"
        raise InputError(f"nothing can be held out for validation: the training list needs {what} at least.")
    kept = [item for index, item in enumerate(items) if index not in taken]
    return kept, [item for index, item in enumerate(items) if index in taken]


def _spared_ranks(items: Sequence[Item], wanted: int, rng: np.random.Generator) -> Iterator[int]:
    """Up to `wanted` positions that leave every rank one item."""
    left = Counter(item.target for item in items)
    for index in rng.permutation(len(items)).tolist():
        if wanted and left[items[index].target] > 1:
            left[items[index].target] -= 1
            wanted -= 1
            yield index


def _whole_subjects(items: Sequence[Item], wanted: int, rng: np.random.Generator) -> Iterator[int]:
    """The positions of the first subjects of a shuffled order that own `wanted` items; one subject stays."""
    owned: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        if item.subject is None:
            raise InputError(f"{item.where}: {item.name} names no subject; split without subjects.")
        owned.setdefault(item.subject, []).append(index)
    subjects = list(owned.values())
    for mine in [subjects[place] for place in rng.permutation(len(subjects)).tolist()][:-1]:
        if wanted <= 0:
            return
        wanted -= len(mine)
        yield from mine


def listed_dataset(
    name: str,
    parts: Mapping[str, Sequence[Item]],
    root: str | Path | None,
    ranks: Ranks,
    card: Card,
    *,
    allow_missing: bool = False,
    protocol: tuple[str, ...] = (),
    image_size: int | None = None,
) -> OrdinalDataset:
    """A data set from its lists and the folder of its pictures; no picture is opened.

    Args:
        name: The name `load_dataset` knows.
        parts: The listed pictures of "train", "val" and "test".
        root: A folder that holds the pictures at any depth. None gives a data set whose labels can be counted
            but whose pictures cannot be read.
        ranks: What the targets point into.
        card: Source, licence, citation.
        allow_missing: Whether to go on without the listed pictures that are not there.
        protocol: What was done to the published split so far.
        image_size: Suggested side of the towers' input.

    Returns:
        Three splits in the order of the lists; what is missing is recorded.

    Raises:
        InputError: Missing pictures that are not allowed, or a split of which every picture is missing.

    Example:
        >>> ranks = Ranks(("low", "high"), (0, 1), template="{rank} damage")
        >>> parts = {part: [Item("a.png", 0, "a.txt row 1", subject="anna")] for part in SPLITS}
        >>> data = listed_dataset("mine", parts, None, ranks, Card("mine", "", "", "", "", ""))
        >>> data.counts("train"), data.train.subjects
        ([1, 0], ('anna',))
    """
    fields: dict[str, Any] = {"image_size": image_size, "protocol": protocol}
    fields |= {"allow_empty_ranks": True, "upright": True}
    if root is None:
        train, val, test = (_split(name, parts[part], None) for part in SPLITS)
        return OrdinalDataset(name, train, val, test, ranks, card, **fields)
    files = find_files(Path(root), (item.name for part in SPLITS for item in parts[part]))
    fields["hint"] = _linked_folder(Path(root))
    return _of_files(name, parts, files, Path(root), ranks, card, allow_missing, **fields)


def dataset_of_rows(
    name: str,
    rows: Sequence[Row],
    root: Path,
    ranks: Ranks,
    card: Card,
    *,
    allow_missing: bool = False,
    allow_empty_ranks: bool = False,
    upright: bool = False,
    protocol: tuple[str, ...] = (),
) -> OrdinalDataset:
    """A data set from a labels file that names each picture by its path; no picture is opened.

    Args:
        name: The name `load_dataset` knows.
        rows: The labels file, line by line.
        root: The folder its paths start from.
        ranks: What the targets point into.
        card: Source, licence, citation.
        allow_missing: Whether to go on without the pictures that are not there.
        allow_empty_ranks: Whether a rank may have no training picture.
        upright: Whether the pictures have an up and a down.
        protocol: Which split this is, in words.

    Returns:
        Three splits in the order of the rows; what is missing is recorded.

    Raises:
        InputError: As `listed_dataset`.
    """
    parts = {
        part: [Item(row.path, row.target, row.where) for row in rows if row.split == part] for part in SPLITS
    }
    # `Path.is_file` raises where a name is too long; such a file is simply not there
    files = {row.path: row.file for row in rows if os.path.isfile(row.file)}
    fields: dict[str, Any] = {
        "allow_empty_ranks": allow_empty_ranks,
        "upright": upright,
        "protocol": protocol,
    }
    return _of_files(name, parts, files, root, ranks, card, allow_missing, **fields)


def _of_files(
    name: str,
    parts: Mapping[str, Sequence[Item]],
    files: Mapping[str, str],
    root: Path,
    ranks: Ranks,
    card: Card,
    allow_missing: bool,
    *,
    hint: str = "",
    protocol: tuple[str, ...] = (),
    **fields: Any,
) -> OrdinalDataset:
    """The data set of the pictures that are there, with a record of those that are not."""
    missing = _missing(name, parts, files, root, allow_missing, hint)
    if missing:
        left = {part: [item for item in parts[part] if item.name in files] for part in SPLITS}
        lost = ", ".join(f"{len(parts[part]) - len(left[part]):,} of {part}" for part in SPLITS)
        protocol += (f"{len(missing):,} listed pictures are missing and left out: {lost}",)
        parts = left
    train, val, test = (_split(name, parts[part], files) for part in SPLITS)
    data = OrdinalDataset(name, train, val, test, ranks, card, missing=missing, protocol=protocol, **fields)
    return mark_fixture(data, files.values())


def _missing(
    name: str,
    parts: Mapping[str, Sequence[Item]],
    files: Mapping[str, str],
    root: Path,
    allowed: bool,
    hint: str,
) -> tuple[str, ...]:
    """The listed names without a file; refused unless allowed, and always where a whole split is missing."""
    absent = {item.name: item for part in SPLITS for item in parts[part] if item.name not in files}
    if not absent:
        return ()
    total = len({item.name for part in SPLITS for item in parts[part]})
    first = next(iter(absent.values()))
    sentence = (
        f"{name}: {len(absent):,} of the {total:,} listed pictures are not under {root}, the first is "
        f"{first.name} ({first.where})"
    )
    sentence += hint
    gone = [part for part in SPLITS if all(item.name in absent for item in parts[part])]
    if gone:
        raise InputError(
            f"{sentence}, and none of the {gone[0]} split is there; name another folder (--root)."
        )
    if not allowed:
        raise InputError(
            f"{sentence}; correct the row, name the folder that holds them (--root), or go on without them "
            "(--allow-missing)."
        )
    return tuple(absent)


def _linked_folder(root: Path) -> str:
    """The first folder right below the root that is a link: the likely reason that pictures are not found."""
    with os.scandir(root) as entries:
        # `DirEntry.is_dir` raises where a link leads to itself; such a link is no folder
        linked = sorted(entry.name for entry in entries if entry.is_symlink() and os.path.isdir(entry.path))
    return f"; the folder {linked[0]} is a link, and linked folders are not entered" if linked else ""


def _split(name: str, items: Sequence[Item], files: Mapping[str, str] | None) -> Split:
    """The pictures of one part, decoded each time they are asked for."""

    def read(index: int) -> Image.Image:
        if files is None:
            raise InputError(
                f"{name}: pass root=..., the folder of the pictures; the lists hold labels only."
            )
        return read_image(files[items[index].name], items[index].where)

    subjects = [item.subject for item in items if item.subject is not None]
    deviations = [item.deviation for item in items if item.deviation is not None]
    return Split(
        [item.name for item in items],
        [item.target for item in items],
        read,
        subjects=subjects if len(subjects) == len(items) else None,
        deviations=deviations if len(deviations) == len(items) else None,
    )
