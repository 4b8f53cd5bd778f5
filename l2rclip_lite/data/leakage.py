"""What is in training and test at once: files, and the people they show."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import combinations

import pandas as pd

from l2rclip_lite.data.base import OrdinalDataset, Split


def leakage(data: OrdinalDataset) -> dict[str, int | None]:
    """Compare (train + val) with test, and train with val, by file name and by subject.

    No image is opened. Two files with different names and the same content are not found.

    Args:
        data: Any data set.

    Returns:
        Counts of the test part, and with the prefix `val_` of the val part: its images and subjects, the subjects
        that are also in training, their images, and its files that are also in training. What is about subjects is
        None where the data set does not say who is shown.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> counts = leakage(load_dataset("leaves", size=60))
        >>> counts["test_images"], counts["shared_files"], counts["shared_subjects"]
        (10, 0, None)
    """
    test, val = _overlap(data.train + data.val, data.test), _overlap(data.train, data.val)
    names = ("images", "subjects", "shared_subjects", "images_of_shared", "shared_files")
    tested = ("test_images", "test_subjects", "shared_subjects", "test_images_of_shared", "shared_files")
    return dict(zip(tested, test, strict=True)) | {
        f"val_{name}": n for name, n in zip(names, val, strict=True)
    }


def _overlap(seen: Split, judged: Split) -> tuple[int | None, ...]:
    """Images, subjects, shared subjects, their images, and shared files of the split that is judged."""
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
        fold split images subjects also in training their images files in both
           0  test     10  unknown          unknown      unknown             0
           0   val     10  unknown          unknown      unknown             0
        Reading: the data set does not say who is shown, so only file names were
        compared; no file is in training and test.
    """
    rows, tests, images, name = [], [], set[str](), ""
    shares: list[tuple[float, float]] = []
    for fold in folds:
        data = load(fold)
        name = data.name
        test, val = _overlap(data.train + data.val, data.test), _overlap(data.train, data.val)
        rows += [(fold, "test", *test), (fold, "val", *val)]
        tests.append(set(data.test.paths))
        images.update(data.train.paths, data.val.paths, data.test.paths)
        if test[1] and test[2] is not None and test[3] is not None:
            shares.append((100 * test[2] / test[1], 100 * test[3] / len(data.test)))
    columns = ["fold", "split", "images", "subjects", "also in training", "their images", "files in both"]
    table = pd.DataFrame(rows, columns=columns).astype(object)
    cells = table.map(
        lambda cell: "unknown" if pd.isna(cell) else f"{cell:,}" if isinstance(cell, int) else cell
    )
    lines = [f"{name}: what train + val share with test, and train with val", cells.to_string(index=False)]
    worst = table["files in both"][table["split"] == "test"].max()
    reading = [
        _who_is_seen(shares),
        f"up to {worst:,} test files are also in training" if worst else "no file is in training and test",
    ]
    if len(tests) > 1:
        shared = [len(one & other) for one, other in combinations(tests, 2)]
        union = set[str]().union(*tests)
        lines.append(
            textwrap.fill(
                f"Test images that two folds share: {min(shared):,} to {max(shared):,}; all test sets together hold "
                f"{len(union):,} of the {len(images):,} images of all folds.",
                80,
            )
        )
        kind = "repeated hold-out, not cross-validation, because the test sets overlap"
        rest = "cover every image" if union == images else "leave some images out"
        apart = f"cross-validation, because the test sets are disjoint; they {rest}"
        reading.insert(0, kind if max(shared) else apart)
    return "\n".join([*lines, textwrap.fill(f"Reading: {'; '.join(reading)}.", 80)])


def _who_is_seen(shares: Sequence[tuple[float, float]]) -> str:
    """How many of those who are tested were seen in training, from the percentages of each fold."""
    if not shares:
        return "the data set does not say who is shown, so only file names were compared"
    if not any(subjects for subjects, _ in shares):
        return "no subject of a test set is in training"
    subjects, images = (f"{min(column):.1f} to {max(column):.1f} %" for column in zip(*shares, strict=True))
    return f"{subjects} of the test subjects, with {images} of the test images, are also in training"
