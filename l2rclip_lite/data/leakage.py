"""What stands in training and test at once: files, and the people they show."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from l2rclip_lite.data.base import OrdinalDataset, Split

WIDTH = 80  # of prose in a report; as wide as its table


@dataclass(frozen=True)
class Leakage:
    """What the test split shares with train + val, and the val split with train.

    Everything about subjects is None where the data set does not say who is shown.

    Args:
        test_images: Pictures of the test split.
        test_subjects: Different subjects of the test split.
        shared_subjects: Those of them that train or val shows too.
        test_images_of_shared: The test pictures that these subjects own.
        shared_files: Test pictures whose name train or val has too.
        val_images: Pictures of the val split.
        val_subjects: Different subjects of the val split.
        val_shared_subjects: Those of them that train shows too.
        val_images_of_shared: The val pictures that these subjects own.
        val_shared_files: Val pictures whose name train has too.
    """

    test_images: int
    test_subjects: int | None
    shared_subjects: int | None
    test_images_of_shared: int | None
    shared_files: int
    val_images: int
    val_subjects: int | None
    val_shared_subjects: int | None
    val_images_of_shared: int | None
    val_shared_files: int


def leakage(data: OrdinalDataset) -> Leakage:
    """Compare (train + val) with test, and train with val, by file name and by subject.

    No picture is opened. Two files with different names and the same content are not found.

    Args:
        data: Any data set.

    Returns:
        The counts.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> found = leakage(load_dataset("leaves", size=60))
        >>> found.test_images, found.shared_files, found.shared_subjects
        (10, 0, None)
    """
    return Leakage(*_overlap(data.train + data.val, data.test), *_overlap(data.train, data.val))


def _overlap(seen: Split, judged: Split) -> tuple[int, int | None, int | None, int | None, int]:
    """Pictures, subjects, shared subjects, their pictures, and shared files of the split that is judged."""
    names = set(seen.paths)
    files = sum(path in names for path in judged.paths)
    if seen.subjects is None or judged.subjects is None:
        return len(judged), None, None, None, files
    shared = set(judged.subjects) & set(seen.subjects)
    owned = sum(subject in shared for subject in judged.subjects)
    return len(judged), len(set(judged.subjects)), len(shared), owned, files


def leakage_report(load: Callable[[int], OrdinalDataset], folds: Sequence[int]) -> str:
    """The leakage of each fold as a table, what the folds share, and how to read it.

    Args:
        load: Gives the data set of one fold.
        folds: The folds to load, one after another; one fold is enough.

    Returns:
        Several lines of text without a last line end.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> print(leakage_report(lambda fold: load_dataset("leaves", size=60, seed=fold), [0]))
        leaves: what train + val share with test, and train with val
        fold  split  pictures  subjects  also in training  their pictures  files in both
        0     test   10        unknown   unknown           unknown         0
        0     val    10        unknown   unknown           unknown         0
        Reading: the data set does not say who is shown, so only file names were compared; no file is in training
        and test.
    """
    name = ""
    found: list[Leakage] = []
    tests: list[set[str]] = []
    pictures: set[str] = set()
    for fold in folds:
        data = load(fold)
        name = data.name
        found.append(leakage(data))
        tests.append(set(data.test.paths))
        pictures.update(data.train.paths, data.val.paths, data.test.paths)
    lines = [f"{name}: what train + val share with test, and train with val", *_table(folds, found)]
    reading = [_people(found), _files(found)]
    if len(tests) > 1:
        shared = [len(one & other) for one, other in combinations(tests, 2)]
        union = set[str]().union(*tests)
        said = (
            f"Test pictures that two folds share: {_span(shared)} ({len(shared)} pair(s) compared); "
            f"all test sets together hold {len(union):,} of the {len(pictures):,} pictures of all folds."
        )
        lines.append(textwrap.fill(said, WIDTH))
        reading.insert(0, _kind(max(shared), union == pictures))
    return "\n".join([*lines, textwrap.fill(f"Reading: {'; '.join(reading)}.", WIDTH)])


def _table(folds: Sequence[int], found: Sequence[Leakage]) -> list[str]:
    """One line a fold and split, in aligned columns."""
    rows = [("fold", "split", "pictures", "subjects", "also in training", "their pictures", "files in both")]
    for fold, one in zip(folds, found, strict=True):
        test = (one.test_images, one.test_subjects, one.shared_subjects, one.test_images_of_shared)
        val = (one.val_images, one.val_subjects, one.val_shared_subjects, one.val_images_of_shared)
        rows.append((str(fold), "test", *_cells(*test), f"{one.shared_files:,}"))
        rows.append((str(fold), "val", *_cells(*val), f"{one.val_shared_files:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _cells(
    images: int, subjects: int | None, shared: int | None, owned: int | None
) -> tuple[str, str, str, str]:
    """Numbers as a reader wants them: 674 (77.1 %)."""
    if subjects is None or shared is None or owned is None:
        return f"{images:,}", "unknown", "unknown", "unknown"
    return (
        f"{images:,}",
        f"{subjects:,}",
        f"{shared:,} ({shared / subjects:.1%})".replace("%", " %"),
        f"{owned:,} ({owned / images:.1%})".replace("%", " %"),
    )


def _span(numbers: Sequence[int]) -> str:
    """184 to 216, or one number where all are equal."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _kind(most_shared: int, cover: bool) -> str:
    """What the folds are to each other."""
    if most_shared:
        return (
            "repeated hold-out, not cross-validation, because the test sets overlap and so the results of the "
            "folds depend on each other"
        )
    rest = "cover every picture" if cover else "leave some pictures out"
    return f"cross-validation, because the test sets are disjoint; they {rest}"


def _people(found: Sequence[Leakage]) -> str:
    """How many of those who are tested were seen in training."""
    people = [
        (one.shared_subjects / one.test_subjects, one.test_images_of_shared / one.test_images)
        for one in found
        if one.test_subjects and one.shared_subjects is not None and one.test_images_of_shared is not None
    ]
    if len(people) < len(found):
        return "the data set does not say who is shown, so only file names were compared"
    if not any(share for share, _ in people):
        return "no subject of a test set is in training"
    subjects, images = zip(*people, strict=True)
    return (
        f"{_percent(subjects)} of the test subjects, with {_percent(images)} of the test pictures, are also in "
        "training, so the result on new subjects may be worse"
    )


def _percent(shares: Sequence[float]) -> str:
    """75.5 to 78.6 %, or one number where all look the same."""
    low, high = f"{100 * min(shares):.1f}", f"{100 * max(shares):.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _files(found: Sequence[Leakage]) -> str:
    """Whether a file is learned from and tested on."""
    worst = max(one.shared_files for one in found)
    return f"up to {worst:,} test files are also in training" if worst else "no file is in training and test"
