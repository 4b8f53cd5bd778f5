"""Splits are torch datasets; what cannot be a data set is refused in a sentence."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.v2.functional import pil_to_tensor

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks

RANKS = Ranks(("low", "middle", "high"), (0.0, 1.0, 2.0), template="{rank} damage")


def red_images(*targets: int) -> Split:
    """Return a split of images, all of Anna, whose red is their place."""
    images = [Image.new("RGB", (2, 2), (place, 0, 0)) for place in range(len(targets))]
    paths = [f"{place}.png" for place in range(len(targets))]
    return Split(paths, targets, images, subjects=["anna"] * len(targets))


def reds(split: Split) -> list[int]:
    """Return the red of each image."""
    return [image.getpixel((0, 0))[0] for image, _ in split]


def test_a_split_goes_through_a_data_loader() -> None:
    """Images by PIL, a transform to tensors, batches by the default collation."""
    split = replace(red_images(0, 2, 1, 1), transform=pil_to_tensor)
    images, targets = zip(*DataLoader(split, batch_size=3), strict=True)
    assert torch.cat(targets).tolist() == [0, 2, 1, 1]
    assert torch.cat(images)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_a_part_of_a_sum_of_parts_keeps_images_paths_and_targets_together() -> None:
    """Turned round, added, and three of the five picked."""
    first = red_images(0, 1, 2)
    second = red_images(2, 2)
    picked = (first[::-1] + second).subset([0, 4, 3])
    assert picked.paths == ("2.png", "1.png", "0.png")
    assert picked.targets == (2, 2, 2)
    assert reds(picked) == [2, 1, 0]
    assert second[-1][0].getpixel((0, 0)) == (1, 0, 0)


def test_a_sum_keeps_the_columns_that_both_sides_have() -> None:
    """A column that one side lacks goes."""
    first = red_images(0, 1, 2)
    second = replace(red_images(2, 2), subjects=None, deviations=[0.5, 1.5])
    assert (first + first).subjects == ("anna",) * 6
    assert (first + second).subjects is None
    assert (first + second).deviations is None


def test_a_split_has_one_target_for_each_path() -> None:
    """The sentence counts both."""
    with pytest.raises(InputError, match="2 paths but 1 targets; give one per image"):
        replace(red_images(2, 2), targets=[0])


class Labelled:
    """Two images of another library's dataset with `targets`, as torchvision has them."""

    targets = torch.tensor([1, 0])

    def __len__(self) -> int:
        """Return the number of images."""
        return 2

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """Return an image of its own width, and its target."""
        return Image.new("L", (index + 1, 1)), int(self.targets[index])


PAIRS = [(Image.new("L", (1, 1)), 2), (Image.new("L", (2, 1)), 0)]


def test_a_list_of_pairs_becomes_a_split() -> None:
    """Its images get numbered paths."""
    split = Split.from_dataset(PAIRS, "mine")
    assert split.paths == ("mine/00000", "mine/00001")
    assert split.targets == (2, 0)


def test_a_dataset_of_another_library_becomes_a_split() -> None:
    """Each image keeps its target."""
    split = Split.from_dataset(Labelled())
    assert [(image.width, target) for image, target in split] == [(1, 1), (2, 0)]


def test_tensors_become_a_split() -> None:
    """As `TensorDataset` has them, with their targets."""
    pixels = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    split = Split.from_dataset(TensorDataset(pixels, torch.tensor([2, 0])))
    assert split.targets == (2, 0)
    assert torch.equal(split[1][0], pixels[1])


def test_three_datasets_of_three_kinds_are_one_data_set() -> None:
    """Each split counts its own ranks."""
    tensors = TensorDataset(torch.zeros(3, 3, 4, 4), torch.tensor([0, 1, 2]))
    data = OrdinalDataset.from_datasets((tensors, PAIRS, Labelled()), RANKS)
    assert [data.counts(name) for name in SPLITS] == [[1, 1, 1], [1, 0, 1], [1, 1, 0]]


class Broken(Labelled):
    """A dataset whose second item cannot be read."""

    def __init__(self, fault: BaseException) -> None:
        self.fault = fault

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """Return an image, then raise the fault."""
        if index == 1:
            raise self.fault
        return super().__getitem__(index)


@pytest.mark.parametrize(
    "fault",
    [
        UnidentifiedImageError("no image"),
        IndexError(),
        StopIteration(),
        KeyError("b.png"),
        OSError(5),
    ],
)
def test_an_item_that_cannot_be_read_is_named(fault: Exception) -> None:
    """Whatever the user's code raises; what it raised stays in the traceback."""
    with pytest.raises(InputError) as caught:
        Split.from_dataset(Broken(fault), "train")
    start = f"own: train image 1 (train/00001): {type(fault).__name__}"
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith("; repair or remove it.")
    assert caught.value.__cause__ is fault


def test_an_interrupt_is_not_blamed_on_an_image() -> None:
    """Ctrl-C stays what it is."""
    with pytest.raises(KeyboardInterrupt):
        Split.from_dataset(Broken(KeyboardInterrupt()))


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        (["a", "a"], "train: the path 'a' of image 1 is that of image 0, too"),
        (["a", 7], "train: the path of image 1 is 7; give a text"),
        (["a", "b\n"], r"train: the path of image 1 is 'b\\n'; give a text.*without control"),
        (["a", " "], "train: the path of image 1 is ' '; give a text, not blank"),
        (["a"], r"train: 1 paths \(list\) for 2 images; give each image one"),
        ("ab", r"train: 2 paths \(str\) for 2 images"),
        (None, r"train: no paths \(NoneType\) for 2 images"),
    ],
)
def test_each_image_has_a_path_of_its_own(paths: object, sentence: str) -> None:
    """Files of a run name images by them."""
    dataset = Labelled()
    dataset.paths = paths  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=sentence):
        Split.from_dataset(dataset, "train")


class Endless(Labelled):
    """A dataset whose length is not known."""

    def __len__(self) -> int:
        """Raise, as a stream does."""
        raise NotImplementedError


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ({"image": 1}, "train: dict has no length or no items; give a map-style dataset"),
        ("ab", "train: str has no length"),
        (Endless(), "train: Endless has no length"),
        ([{"image": 1, "label": 2}],
         "train/00000: an item is dict, not .image, rank index.; give pairs"),
        (["ab"], "train/00000: an item is str, not .image, rank index."),
    ],
)  # fmt: skip
def test_what_gives_no_pairs_is_refused(dataset: object, sentence: str) -> None:
    """A dict of two keys and a text of two letters are no pairs."""
    with pytest.raises(InputError, match=sentence):
        Split.from_dataset(dataset, "train")


@pytest.mark.untyped
def test_a_path_of_a_split_is_a_text() -> None:
    """The files of a run write it down."""
    with pytest.raises(InputError, match="split: the path of image 1 is 7; give a text"):
        Split(["a", 7], [0, 1], [None, None])


@pytest.mark.untyped
@pytest.mark.parametrize("ranks", [["low", "high"], "low,high", ("low", "high")])
def test_names_alone_are_no_ranks(ranks: Any) -> None:
    """They have no values and make no sentences."""
    with pytest.raises(InputError, match=r"own: ranks is .*; give ranks=Ranks\(\.\.\.\)"):
        OrdinalDataset.from_datasets(([], [], []), ranks)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"val": red_images(0)[:0]}, "tiny: the val split is empty; give it at least one image"),
        ({"test": red_images(0, 3)}, "tiny: 1.png has rank 3, not 0 to 2; correct it"),
        ({"test": red_images(-1)}, "tiny: 0.png has rank -1"),
        (
            {"train": red_images(0, 2)},
            r"no training image has rank 1 \('middle'\).*allow_empty_ranks",
        ),
    ],
)
def test_what_training_would_trip_over_is_refused(change: dict[str, Split], sentence: str) -> None:
    """One sentence, before anything is read."""
    data = OrdinalDataset(
        "tiny", red_images(0, 1, 2), red_images(1), red_images(2), RANKS, Card("tiny")
    )
    with pytest.raises(InputError, match=sentence):
        replace(data, **change)


def test_a_rank_without_training_images_may_be_allowed() -> None:
    """By `allow_empty_ranks`, as a study of unseen ranks does."""
    data = OrdinalDataset(
        "tiny",
        red_images(0, 2),
        red_images(1),
        red_images(2),
        RANKS,
        Card("tiny"),
        allow_empty_ranks=True,
    )
    assert data.counts("train") == [1, 0, 1]
