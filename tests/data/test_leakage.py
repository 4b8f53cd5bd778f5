"""What training and test share, counted by hand; the published figures are in test_benchmarks.py."""

from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.data.describe import leakage
from l2rclip_lite.ranks import Ranks


def made(train: str, val: str, test: str, *, named: bool = True) -> OrdinalDataset:
    """Images written as "a1 a2 b1": the letter is who is shown."""

    def split(text: str) -> Split:
        paths = text.split()
        return Split(
            paths, [0] * len(paths), paths, subjects=[path[0] for path in paths] if named else None
        )

    ranks = Ranks(("low", "high"), (0, 1), "a {rank} grade")
    parts = map(split, (train, val, test))
    return OrdinalDataset("made", *parts, ranks, Card("made"), allow_empty_ranks=True)


def test_counts_by_hand() -> None:
    """Test shares a with train and b with val; d is new. Val shares a with train. Unknown is None, not zero."""
    assert leakage(made("a1 a2 c1", "a3 b1", "a4 a5 b2 d1 c1")) == {
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
    counts = leakage(made("a1 a2", "b1 a1", "a2 c1", named=False))
    assert {
        counts[f"test_{name}"] for name in ("subjects", "shared_subjects", "images_of_shared")
    } == {None}
    assert (counts["test_shared_files"], counts["val_shared_files"]) == (1, 1)
