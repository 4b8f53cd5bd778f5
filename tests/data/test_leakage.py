"""What training and test share, counted by hand; the published figures are in test_benchmarks.py."""

from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.data.leakage import leakage, leakage_report
from l2rclip_lite.ranks import Ranks


def made(train: str, val: str, test: str, *, named: bool = True) -> OrdinalDataset:
    """Images written as "a1 a2 b1": the letter is who is shown."""

    def split(text: str) -> Split:
        paths = text.split()
        return Split(paths, [0] * len(paths), paths, subjects=[path[0] for path in paths] if named else None)

    ranks = Ranks(("low", "high"), (0, 1), "a {rank} grade")
    return OrdinalDataset(
        "made", split(train), split(val), split(test), ranks, Card("made"), allow_empty_ranks=True
    )


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
    assert (
        counts["test_subjects"] is counts["test_shared_subjects"] is counts["test_images_of_shared"] is None
    )
    assert (counts["test_shared_files"], counts["val_shared_files"]) == (1, 1)


def test_the_report_says_what_folds_share() -> None:
    """Two folds with a shared test image are no cross-validation, three with none are."""
    folds = [made("a1 a2", "b1", "a3 a4 c1"), made("a1 b1", "d1", "c1 d1")]
    assert leakage_report(dict(enumerate(folds))).splitlines() == [
        "made: what train + val share with test, and train with val",
        " fold split images subjects also in training their images files in both",
        "    0  test      3        2       1 (50.0 %)   2 (66.7 %)             0",
        "    0   val      1        1        0 (0.0 %)    0 (0.0 %)             0",
        "    1  test      2        2       1 (50.0 %)   1 (50.0 %)             1",
        "    1   val      1        1        0 (0.0 %)    0 (0.0 %)             0",
        "Test images that two folds share: 1 to 1; all test sets together hold 4 of the 7 images of all folds.",
        "Repeated hold-out, not cross-validation: the test sets overlap.",
    ]
    apart = [made("a1 b1", "c1", "d1"), made("d1 b1", "c1", "a1"), made("a1 d1", "c1", "b1")]
    assert leakage_report(dict(enumerate(apart))).endswith(
        "hold 3 of the 4 images of all folds.\nCross-validation: the test sets are disjoint."
    )
    assert "unknown" in leakage_report({0: made("a1", "b1", "c1", named=False)})
