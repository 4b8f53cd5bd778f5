"""The leakage report: counts by hand, and the published lists figure by figure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data.adience import load_adience
from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.data.leakage import Leakage, leakage, leakage_report
from l2rclip_lite.data.morph import load_morph
from l2rclip_lite.protocols import subject_disjoint
from l2rclip_lite.ranks import Ranks


@pytest.fixture(scope="module")
def official() -> Path:
    """The official lists: under $L2RCLIP_DATA, or shared/data in a folder above this one."""
    above = [Path(os.environ["L2RCLIP_DATA"])] if "L2RCLIP_DATA" in os.environ else []
    above += [folder / "shared" / "data" for folder in Path(__file__).resolve().parents]
    for folder in above:
        if (folder / "datalists" / "morph").is_dir():
            return folder / "datalists"
    pytest.skip(
        "no datalists under $L2RCLIP_DATA or shared/data in a folder above; see download_official_lists"
    )


def closed(index: int) -> Image.Image:
    """A picture that must not be looked at."""
    raise AssertionError(f"picture {index} was opened")


def made(train: str, val: str, test: str, *, named: bool = True) -> OrdinalDataset:
    """Pictures written as "a1 a2 b1": the letter is who is shown."""

    def split(text: str) -> Split:
        paths = text.split()
        return Split(paths, [0] * len(paths), closed, subjects=[p[0] for p in paths] if named else None)

    ranks = Ranks(("low", "high"), (0, 1), "a {rank} grade")
    card = Card("made", "", "", "", "", "")
    return OrdinalDataset("made", split(train), split(val), split(test), ranks, card, allow_empty_ranks=True)


def test_counts_by_hand() -> None:
    """Test shares a with train and b with val; d is new. Val shares a with train."""
    found = leakage(made("a1 a2 c1", "a3 b1", "a4 a5 b2 d1 c1"))
    assert found == Leakage(
        test_images=5,
        test_subjects=4,
        shared_subjects=3,
        test_images_of_shared=4,
        shared_files=1,
        val_images=2,
        val_subjects=2,
        val_shared_subjects=1,
        val_images_of_shared=1,
        val_shared_files=0,
    )


def unwrapped(report: str) -> str:
    """The report on one line: where its prose breaks does not matter."""
    return " ".join(report.split())


def test_without_subjects_only_files_are_compared() -> None:
    """Unknown is None, not zero."""
    found = leakage(made("a1 a2", "b1 a1", "a2 c1", named=False))
    assert (found.test_subjects, found.shared_subjects, found.val_images_of_shared) == (None, None, None)
    assert (found.shared_files, found.val_shared_files) == (1, 1)
    report = unwrapped(leakage_report(lambda _: made("a1", "b1", "c1", named=False), [0]))
    assert "the data set does not say who is shown" in report


def test_the_report_of_folds_that_overlap() -> None:
    """The whole text of two folds with a shared test picture, a shared subject, and a file on both sides."""
    folds = [made("a1 a2", "b1", "a3 a4 c1"), made("a1 b1", "d1", "c1 d1")]
    report = leakage_report(folds.__getitem__, [0, 1])
    assert report.splitlines()[:6] == [
        "made: what train + val share with test, and train with val",
        "fold  split  pictures  subjects  also in training  their pictures  files in both",
        "0     test   3         2         1 (50.0 %)        2 (66.7 %)      0",
        "0     val    1         1         0 (0.0 %)         0 (0.0 %)       0",
        "1     test   2         2         1 (50.0 %)        1 (50.0 %)      1",
        "1     val    1         1         0 (0.0 %)         0 (0.0 %)       0",
    ]
    assert unwrapped(report).endswith(
        "Test pictures that two folds share: 1 (1 pair(s) compared); all test sets together hold 4 of the "
        "7 pictures of all folds. "
        "Reading: repeated hold-out, not cross-validation, because the test sets overlap and so the results of the "
        "folds depend on each other; 50.0 % of the test subjects, with 50.0 to 66.7 % of the test pictures, are also in "
        "training, so the result on new subjects may be worse; up to 1 test files are also in training."
    )
    assert max(map(len, report.splitlines())) <= 80


def test_the_reading_of_folds_that_do_not_overlap() -> None:
    """Cross-validation is only called so when no test picture is used twice, and complete when none is left."""
    folds = [made("a1 b1", "c1", "d1"), made("d1 b1", "c1", "a1"), made("a1 d1", "c1", "b1")]
    report = unwrapped(leakage_report(folds.__getitem__, [0, 1, 2]))
    assert "share: 0 (3 pair(s) compared); all test sets together hold 3 of the 4 pictures" in report
    assert report.endswith(
        "Reading: cross-validation, because the test sets are disjoint; they leave some pictures out; "
        "no subject of a test set is in training; no file is in training and test."
    )
    complete = [made("a1", "b1", "c1"), made("c1", "b1", "a1"), made("c1", "a1", "b1")]
    once = [*folds, made("a1", "c1", "b1 d1")]
    assert "share: 0 to 1 (6 pair(s) compared)" in unwrapped(leakage_report(once.__getitem__, range(4)))
    assert "repeated hold-out" in unwrapped(leakage_report(once.__getitem__, range(4)))
    assert "they cover every picture" in unwrapped(leakage_report(complete.__getitem__, [0, 1, 2]))
    assert "cross-validation" not in leakage_report(complete.__getitem__, [1])
    assert "\n1     test   1 " in leakage_report(complete.__getitem__, [1])


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(SPLITS)), max_size=30), st.integers(0, 9)
)
def test_a_new_split_by_subject_leaks_nothing(drawn: list[tuple[str, str]], seed: int) -> None:
    """Whatever the old splits share; the counts before are those of plain sets."""
    pictures = [("a", "train"), ("b", "val"), ("c", "test"), *drawn]
    texts = [" ".join(f"{who}{i}" for i, (who, at) in enumerate(pictures) if at == name) for name in SPLITS]
    data = made(*texts)
    found = leakage(data)
    seen = {who for who, at in pictures if at != "test"}
    assert found.shared_subjects == len({who for who, at in pictures if at == "test" and who in seen})
    assert found.test_images_of_shared == sum(at == "test" and who in seen for who, at in pictures)
    apart = leakage(subject_disjoint(data, seed))
    assert (apart.shared_subjects, apart.val_shared_subjects, apart.shared_files, apart.val_shared_files) == (
        0,
    ) * 4


# What the lists share, counted from the files: (subjects of the test part, those also in training, their pictures).
# "random" reads the official files settingC and "subject-exclusive" settingD: the figures show which is which.
MORPH = {
    "rs-partial": [(874, 674, 863), (888, 686, 863), (862, 671, 859), (874, 660, 849), (871, 685, 871)],
    "three-fold": [(7409, 3209, 7145), (7418, 3263, 7301)],
    "random": [(7376, 7137, 10587), (7355, 7102, 10558), (7482, 7215, 10579), (7396, 7154, 10586), (7402, 7151, 10568)],
    "subject-exclusive": [(2863, 82, 171), (2826, 88, 193), (2751, 72, 188), (2724, 62, 152), (2638, 61, 148)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "between", "kind", "people"),
    [
        (
            "rs-partial",
            "share: 184 to 216 (10 pair(s) compared); all test sets together hold 3,827 of the 5,942 pictures",
            "repeated hold-out, not cross-validation",
            "75.5 to 78.6 % of the test subjects",
        ),
        (
            "three-fold",
            "share: 7,000 (1 pair(s) compared); all test sets together hold 21,000 of the 21,000 pictures",
            "repeated hold-out, not cross-validation",
            "43.3 to 44.0 % of the test subjects",
        ),
        pytest.param(
            "random",
            "share: 0 (10 pair(s) compared); all test sets together hold 55,134 of the 55,134 pictures",
            "Reading: cross-validation, because the test sets are disjoint; they cover every picture",
            "96.4 to 96.8 % of the test subjects",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "subject-exclusive",
            "share: 0 (10 pair(s) compared); all test sets together hold 55,134 of the 55,134 pictures",
            "Reading: cross-validation, because the test sets are disjoint; they cover every picture",
            "2.3 to 3.1 % of the test subjects",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_morph_leaks_as_the_data_notes_say(
    official: Path, protocol: str, between: str, kind: str, people: str
) -> None:
    """All folds of the four protocols: subjects, pairs of folds, the union, and what that means."""
    figures = MORPH[protocol]
    folds = [1, 2] if protocol == "three-fold" else [0, 1, 2, 3, 4]
    report = leakage_report(lambda fold: load_morph(lists=official, protocol=protocol, fold=fold), folds)
    rows = [line.split() for line in report.splitlines() if " test " in line and line[0].isdigit()]
    found = [[int(row[i].replace(",", "")) for i in (3, 4, 7)] for row in rows]
    assert found == [list(figure) for figure in figures]
    assert all(row[-1] == "0" for row in rows)
    assert between in unwrapped(report)
    assert kind in unwrapped(report)
    assert people in unwrapped(report)


def test_adience_shares_no_user(official: Path) -> None:
    """Five folds without a common user, in test as in validation."""
    folds = [load_adience(lists=official, fold=fold) for fold in range(5)]
    for found in map(leakage, folds):
        assert (found.shared_subjects, found.val_shared_subjects, found.shared_files) == (0, 0, 0)
    report = unwrapped(leakage_report(folds.__getitem__, range(5)))
    assert "17,470 of the 17,470 pictures" in report
    assert "no subject of a test set is in training" in report


@pytest.mark.slow
def test_a_person_exclusive_split_of_the_random_protocol(official: Path) -> None:
    """96.8 % of the test persons of MORPH random, fold 0, are in training; split again, nobody is."""
    data = load_morph(lists=official, protocol="random", fold=0)
    apart = subject_disjoint(data)
    found = leakage(apart)
    assert (found.shared_subjects, found.val_shared_subjects, found.shared_files) == (0, 0, 0)
    sizes = [len(apart.split(name)) for name in SPLITS]
    assert sum(sizes) == 55_134
    assert sizes == pytest.approx([38_594, 8_270, 8_270], abs=50)
