"""What is in training and test at once: files, and the people they show."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from l2rclip_lite.data.base import SPLITS, OrdinalDataset

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
    found: dict[str, int | None] = {}
    for part, seen, judged in (("test", data.train + data.val, data.test), ("val", data.train, data.val)):
        known, names = seen.subjects is not None and judged.subjects is not None, set(seen.paths)
        people = judged.subjects or ()
        shared = set(people) & set(seen.subjects or ())
        counts = len(set(people)), len(shared), sum(who in shared for who in people)
        found[f"{part}_images"] = len(judged)
        for name, count in zip(("subjects", "shared_subjects", "images_of_shared"), counts, strict=True):
            found[f"{part}_{name}"] = count if known else None
        found[f"{part}_shared_files"] = sum(path in names for path in judged.paths)
    return found


def leakage_report(folds: Mapping[int, OrdinalDataset]) -> str:
    """The leakage of each fold as a table, and what the folds share.

    Args:
        folds: The data set in one fold or more, by the number of the fold.

    Returns:
        Several lines of text without a last line end.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> print(leakage_report({0: load_dataset("leaves", size=60)}))
        leaves: what train + val share with test, and train with val
         fold split images subjects also in training their images files in both
            0  test     10  unknown          unknown      unknown             0
            0   val     10  unknown          unknown      unknown             0
    """
    rows, data = [], next(iter(folds.values()))
    lines = [f"{data.name}: what train + val share with test, and train with val"]
    for fold, data in folds.items():
        counts = leakage(data)
        for part in ("test", "val"):
            whole, subjects, shared, owned, files = (counts[key] for key in counts if key.startswith(part))
            shares = _cell(shared, subjects), _cell(owned, whole)
            rows.append((fold, part, _cell(whole), _cell(subjects), *shares, _cell(files)))
    lines.append(pd.DataFrame(rows, columns=COLUMNS).to_string(index=False))
    if len(folds) > 1:
        tests = [set(data.test.paths) for data in folds.values()]
        images = {path for data in folds.values() for part in SPLITS for path in data.split(part).paths}
        common = [len(one & other) for one, other in combinations(tests, 2)]
        said = f"Test images that two folds share: {min(common):,} to {max(common):,}; all test sets together"
        lines.append(f"{said} hold {len(set().union(*tests)):,} of the {len(images):,} images of all folds.")
        overlap = "Repeated hold-out, not cross-validation: the test sets overlap."
        lines.append(overlap if max(common) else "Cross-validation: the test sets are disjoint.")
    return "\n".join(lines)


def _cell(number: int | None, whole: int | None = None) -> str:
    """A number as a reader wants it: 674 (77.1 %)."""
    if number is None:
        return "unknown"
    return f"{number:,}" + (f" ({100 * number / whole:.1f} %)" if whole else "")
