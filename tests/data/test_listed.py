"""From lists to data sets: files are found without being opened, what is missing is said, subjects stay whole."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset
from l2rclip_lite.data.find import find_files
from l2rclip_lite.data.listed import Item, hold_out, is_fixture, listed_dataset, lists_folder
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("low", "middle", "high"), (0.0, 1.0, 2.0), template="{rank} damage")
CARD = Card("tiny", "Tiny", "", "", "", "")
PARTS = {
    "train": [Item("anna/1.png", 0, "train.txt row 1"), Item("ben/1.png", 2, "train.txt row 2")],
    "val": [Item("anna/2.png", 0, "train.txt row 3")],
    "test": [Item("cleo/1.png", 2, "test.txt row 1"), Item("cleo/2.png", 0, "test.txt row 2")],
}


def pictures(root: Path, *names: str) -> Path:
    """Pictures whose red is their place in the call."""
    for place, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (place, 0, 0)).save(root / name)
    return root


def load(root: Path | None, allow_missing: bool = False) -> OrdinalDataset:
    """The data set of this file."""
    return listed_dataset(
        "tiny", PARTS, root, RANKS, CARD, allow_missing=allow_missing, protocol=("fold 0",), image_size=64
    )


def test_pictures_are_found_at_any_depth_and_opened_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder counts where the list has it; upper and lower case do not."""
    pictures(tmp_path, "a/anna/1.PNG", "a/ben/1.png", "b/c/anna/2.png", "cleo/1.png", "Cleo/2.png", "x/1.png")
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda *_: pytest.fail("a picture was opened"))
        data = load(tmp_path)
    assert data.train.paths == ("anna/1.png", "ben/1.png")
    reds = [data.split(part)[0][0].getpixel((0, 0)) for part in SPLITS]
    assert reds == [(0, 0, 0), (2, 0, 0), (3, 0, 0)]
    assert data.test[1][0].getpixel((0, 0)) == (4, 0, 0)
    assert (data.missing, data.protocol, data.image_size) == ((), ("fold 0",), 64)
    (tmp_path / "cleo" / "1.png").write_text("broken")
    with pytest.raises(InputError, match=r"test.txt row 1: the image .*1.png cannot be decoded"):
        data.test[0]


def test_without_a_root_labels_can_be_counted() -> None:
    """Empty ranks are allowed, a picture is not."""
    data = load(None)
    assert [data.counts(part) for part in SPLITS] == [[1, 0, 1], [1, 0, 0], [1, 0, 1]]
    with pytest.raises(InputError, match=r"tiny: pass root=\.\.\., the folder of the pictures"):
        data.val[0]


def test_missing_pictures_are_refused_or_recorded(tmp_path: Path) -> None:
    """How many, which first, and both fixes; a split without any picture is always refused."""
    root = pictures(tmp_path, "anna/1.png", "anna/2.png", "cleo/2.png")
    with pytest.raises(InputError) as caught:
        load(root)
    assert str(caught.value) == (
        f"tiny: 2 of the 5 listed pictures are not under {root}, the first is ben/1.png (train.txt row 2); "
        "correct the row, name the folder that holds them (--root), or go on without them (--allow-missing)."
    )
    data = load(root, allow_missing=True)
    assert data.missing == ("ben/1.png", "cleo/1.png")
    assert data.protocol == (
        "fold 0",
        "2 listed pictures are missing and left out: 1 of train, 0 of val, 1 of test",
    )
    assert data.test.paths == ("cleo/2.png",)
    assert data.test[0][0].getpixel((0, 0)) == (2, 0, 0)
    (root / "anna" / "2.png").unlink()
    with pytest.raises(InputError, match="and none of the val split is there; name another folder"):
        load(root, allow_missing=True)


def test_subjects_and_deviations_go_along_where_every_item_has_them() -> None:
    """One item without a subject, and the split has none."""
    full = [Item("1.png", 0, "", "anna", 1.5), Item("2.png", 1, "", "ben", 2.5)]
    parts = {"train": full, "val": full, "test": [*full, Item("3.png", 1, "", None, 0.5)]}
    data = listed_dataset("tiny", parts, None, RANKS, CARD)
    assert (data.train.subjects, data.train.deviations) == (("anna", "ben"), (1.5, 2.5))
    assert (data.test.subjects, data.test.deviations) == (None, (1.5, 2.5, 0.5))


def test_a_fixture_is_called_one(tmp_path: Path) -> None:
    """Its mark is in the title and in the record of the run."""
    root = pictures(tmp_path, *(item.name for part in SPLITS for item in PARTS[part]))
    assert not is_fixture(root)
    assert "SYNTHETIC" not in load(root).card.title + str(load(root).protocol)
    (root / "FIXTURE.json").write_text("{}")
    assert load(root).card.title == "Tiny (SYNTHETIC FIXTURE, not the real pictures)"
    assert load(root).protocol[1].startswith("SYNTHETIC FIXTURE: the pictures are drawn")


def test_a_fixture_is_recognised_from_above_and_below(tmp_path: Path) -> None:
    """Naming its folder of pictures, or the folder it lies in, does not make the pictures real."""
    root = pictures(tmp_path / "fixture", "anna/1.png", "anna/2.png", "ben/1.png", "cleo/1.png", "cleo/2.png")
    (tmp_path / "fixture" / "FIXTURE.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "fixture", root):
        assert load(folder).caveat == "SYNTHETIC FIXTURE"


def test_two_names_that_differ_in_case_are_not_one_file(tmp_path: Path) -> None:
    """It would stand in training and test at once."""
    (tmp_path / "a.Jpg").touch()
    with pytest.raises(
        InputError, match=r"a\.Jpg is the only file for both .*; the list tells upper and lower"
    ):
        find_files(tmp_path, ["a.jpg", "A.JPG"])
    assert set(find_files(tmp_path, ["a.jpg", "b.jpg"])) == {"a.jpg"}


def test_a_linked_folder_is_named_as_the_reason(tmp_path: Path) -> None:
    """Pictures behind it are missing, and the sentence says why; without a link it does not."""
    elsewhere = pictures(
        tmp_path / "elsewhere", "anna/1.png", "anna/2.png", "ben/1.png", "cleo/1.png", "cleo/2.png"
    )
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(InputError) as plain:
        load(root)
    (root / "pictures").symlink_to(elsewhere)
    with pytest.raises(InputError, match="the folder pictures is a link, and linked folders are not entered"):
        load(root)
    assert "is a link" not in str(plain.value)


def test_a_name_in_two_places_is_refused_only_if_it_is_asked_for(tmp_path: Path) -> None:
    """An exact name wins over one in other case; two exact ones, or two others, are ambiguous."""
    root = pictures(tmp_path, "a/1.png", "b/1.png", "a/2.png", "b/2.PNG", "a/3.PNG", "b/3.Png", "a/4.png")
    assert find_files(root, ["2.png", "b/1.png", "5.png"]) == {
        "2.png": str(root / "a" / "2.png"),
        "b/1.png": str(root / "b" / "1.png"),
    }
    for name in ("1.png", "3.png"):
        with pytest.raises(InputError, match=rf"^{name} lies in two places, .*/a/.* and .*/b/.*; remove one"):
            find_files(root, [name])
    assert find_files(root, ["4.png", "4.PNG"]) == {"4.png": str(root / "a" / "4.png")}


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    """Linked folders are not entered (a cycle would never end); a linked file must stay inside."""
    out = pictures(tmp_path / "out", "secret.png", "far/far.png")
    root = pictures(tmp_path / "root", "1.png")
    (root / "folder").symlink_to(out / "far")
    (root / "cycle").symlink_to(root)
    (root / "near.png").symlink_to(root / "1.png")
    (root / "gone.png").symlink_to(root / "nowhere.png")
    (root / "secret.png").symlink_to(out / "secret.png")
    assert set(find_files(root, ["1.png", "near.png", "far.png", "gone.png"])) == {"1.png", "near.png"}
    with pytest.raises(InputError, match=r"secret.png: the link leads out of .*; copy the picture of secret"):
        find_files(root, ["secret.png"])
    linked = tmp_path / "linked"
    linked.symlink_to(root)  # the root itself may be a link
    assert set(find_files(linked, ["1.png", "near.png"])) == {"1.png", "near.png"}
    with pytest.raises(InputError, match=r"nowhere: the folder cannot be read \(No such file"):
        find_files(tmp_path / "nowhere", ["1.png"])


@pytest.mark.slow
@pytest.mark.untyped
def test_fifty_five_thousand_files_take_less_than_two_seconds(tmp_path: Path, seconds: float) -> None:
    """The names of all folders are the same, so that a name alone says little."""
    for folder in range(500):
        (tmp_path / str(folder)).mkdir()
        for number in range(110):
            (tmp_path / str(folder) / f"{number}.JPG").open("w").close()
    names = [f"{folder}/{number}.jpg" for folder in range(500) for number in range(110)]
    begin = time.process_time()
    assert len(find_files(tmp_path, names)) == 55_000
    assert time.process_time() - begin < 2 * seconds


def test_the_lists_are_looked_for_in_three_places(tmp_path: Path) -> None:
    """`lists` with the folder in it, `lists` as the folder, and datalists under the root; `lists` wins."""
    for folder in ("official/hci", "root/datalists/hci"):
        (tmp_path / folder).mkdir(parents=True)
    official, root = tmp_path / "official", tmp_path / "root"
    assert lists_folder("hci", root, official, "hci") == official / "hci"
    assert lists_folder("hci", root, official / "hci", "hci") == official / "hci"
    assert lists_folder("hci", root, None, "hci") == root / "datalists" / "hci"
    with pytest.raises(InputError, match=r"morph: pass lists=... .*`l2rclip data morph --download DIR` or"):
        lists_folder("morph", None, None, "morph")
    with pytest.raises(InputError, match=r"morph: there is no folder .*official.hci.morph with the official"):
        lists_folder("morph", root, official / "hci", "morph")


ITEMS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=2, max_size=40).map(
    lambda rows: [Item(f"{n}.png", rank, f"row {n}", f"s{who}") for n, (rank, who) in enumerate(rows)]
)


@given(ITEMS, st.floats(0.05, 0.9), st.integers(0, 5))
def test_held_out_pictures_leave_every_rank_one(items: list[Item], share: float, seed: int) -> None:
    """Both parts keep the order of the list, together they are the list, no rank vanishes from training."""
    spare = len(items) - len({item.target for item in items})
    if not spare:
        with pytest.raises(InputError, match="needs a rank with two pictures at least"):
            hold_out(items, share, seed)
        return
    kept, held = hold_out(items, share, seed)
    assert len(held) == min(spare, max(1, round(share * len(items))))
    assert sorted(kept + held, key=items.index) == items
    assert kept == sorted(kept, key=items.index)
    assert held == sorted(held, key=items.index)
    assert {item.target for item in kept} == {item.target for item in items}
    assert hold_out(items, share, seed) == (kept, held)


@given(ITEMS, st.floats(0.05, 0.9), st.integers(0, 5))
def test_held_out_subjects_are_whole(items: list[Item], share: float, seed: int) -> None:
    """No subject in both parts; as few subjects as reach the share, one subject left for training."""
    owned = Counter(item.subject for item in items)
    if len(owned) == 1:
        with pytest.raises(InputError, match="needs two subjects at least"):
            hold_out(items, share, seed, by_subject=True)
        return
    kept, held = hold_out(items, share, seed, by_subject=True)
    subjects = {item.subject for item in held}
    assert kept
    assert held
    assert not subjects & {item.subject for item in kept}
    wanted = max(1, round(share * len(items)))
    if len(subjects) < len(owned) - 1:
        assert len(held) >= wanted
    assert any(len(held) - owned[subject] < wanted for subject in subjects)


def test_seeds_give_other_parts_and_wrong_values_a_sentence() -> None:
    """Ten of a hundred pictures; MORPH's 439 of 4,394."""
    items = [Item(f"{n}.png", n % 3, f"list.txt row {n + 1}") for n in range(100)]
    assert len(hold_out(items, 0.1, 0)[1]) == 10
    assert hold_out(items, 0.1, 0) != hold_out(items, 0.1, 1)
    assert len(hold_out([Item(str(n), n % 50, "") for n in range(4394)], 0.1, 0)[1]) == 439
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="must lie between 0 and 1, not"):
            hold_out(items, share, 0)
    with pytest.raises(InputError, match="the seed must be 0 or more, not -1"):
        hold_out(items, 0.1, -1)
    with pytest.raises(InputError, match=r"list.txt row 1: 0.png names no subject"):
        hold_out(items, 0.1, 0, by_subject=True)
