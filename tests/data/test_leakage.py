"""What splits share, counted by hand; the published figures are in test_benchmarks.py."""

from pathlib import Path

from drawn import make_fixture

from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.data.check import leakage, leakage_table
from l2rclip_lite.method.ranks import Ranks


def split_of(text: str) -> Split:
    """Return images written as "a1 a2 b1": the letter is who is shown."""
    paths = text.split()
    subjects = [path[0] for path in paths]
    return Split(paths, [0] * len(paths), paths, subjects=subjects)


def test_shared_subjects_files_and_images_are_counted() -> None:
    """Test shares a with train and b with val; d is new. Val shares a with train."""
    parts = (split_of("a1 a2 c1"), split_of("a3 b1"), split_of("a4 a5 b2 d1 c1"))
    ranks = Ranks(("low", "high"), (0, 1), "a {rank} grade")
    data = OrdinalDataset("made", *parts, ranks, Card("made"), allow_empty_ranks=True)
    assert leakage(data) == {
        "test_images": 5,
        "test_subjects": 4,
        "test_shared_subjects": 3,
        "test_images_of_shared": 4,
        "test_shared_files": 1,
        "val_images": 2,
        "val_subjects": 2,
        "val_shared_subjects": 1,
        "val_images_of_shared": 1,
        "val_shared_files": 0,
    }


def test_splits_by_subject_are_one_whatever_the_folds(tmp_path: Path) -> None:
    """Five folds of Adience would be cut anew, all alike."""
    folder = make_fixture("adience", tmp_path)
    table = leakage_table("adience", {"root": folder, "subject_disjoint": True})
    assert table.splitlines()[1].split() == ["split"]
    assert table.splitlines()[4].split() == ["test_shared_subjects", "0"]
