"""What is in training and test at once: files, and the people they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import pandas as pd

from l2rclip_lite.data.base import OrdinalDataset, Split

COLUMNS = ["fold", "split", "images", "subjects", "also in training", "their images", "files in both"]


def leakage(data: OrdinalDataset) -> dict[str, int | None]:
    """Compare (train + val) with test, and train with val, by file name and by subject.

    No image is opened. Two files with different names and the same content are not found.

    Args:
        data: Any data set.

    Returns:
        With the prefixes `test_` and `val_`: the images and subjects of that part, the subjects that are also in
        training, their images, and the files that are also in training. What is about subjects is None where the data
        set does not say who is shown.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> counts = leakage(load_dataset("leaves", size=60))
        >>> counts["test_images"], counts["test_shared_files"], counts["test_shared_subjects"]
        (10, 0, None)
    """
    parts = {"test": (data.train + data.val, data.test), "val": (data.train, data.val)}
    return {f"{part}_{name}": n for part, pair in parts.items() for name, n in _overlap(*pair).items()}


def _overlap(seen: Split, judged: Split) -> dict[str, int | None]:
    """What a part that is judged shares with what was seen before."""
    names, known = set(seen.paths), seen.subjects is not None and judged.subjects is not None
    subjects = judged.subjects or ()
    shared = set(subjects) & set(seen.subjects or ())
    return {
        "images": len(judged),
        "subjects": len(set(subjects)) if known else None,
        "shared_subjects": len(shared) if known else None,
        "images_of_shared": sum(subject in shared for subject in subjects) if known else None,
        "shared_files": sum(path in names for path in judged.paths),
    }


def leakage_report(load: Callable[[int], OrdinalDataset], folds: Sequence[int]) -> str:
    """The leakage of each fold as a table, and what the folds share.

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
    """
    rows, tests, images, name = [], [], set[str](), ""
    for fold in folds:
        data = load(fold)
        name, counts = data.name, leakage(data)
        tests.append(set(data.test.paths))
        images.update(data.train.paths, data.val.paths, data.test.paths)
        for part in ("test", "val"):
            whole, subjects, shared, owned, files = (counts[key] for key in counts if key.startswith(part))
            shares = _cell(shared, subjects), _cell(owned, whole)
            rows.append((fold, part, _cell(whole), _cell(subjects), *shares, _cell(files)))
    table = pd.DataFrame(rows, columns=COLUMNS).to_string(index=False)
    lines = [f"{name}: what train + val share with test, and train with val", table]
    if len(tests) > 1:
        common = [len(one & other) for one, other in combinations(tests, 2)]
        union, overlap = (
            set[str]().union(*tests),
            "Repeated hold-out, not cross-validation: the test sets overlap.",
        )
        said = f"Test images that two folds share: {min(common):,} to {max(common):,}; all test sets together"
        lines.append(f"{said} hold {len(union):,} of the {len(images):,} images of all folds.")
        lines.append(overlap if max(common) else "Cross-validation: the test sets are disjoint.")
    return "\n".join(lines)


def _cell(number: int | None, whole: int | None = None) -> str:
    """A number as a reader wants it: 674 (77.1 %)."""
    if number is None:
        return "unknown"
    return f"{number:,}" + (f" ({100 * number / whole:.1f} %)" if whole else "")
