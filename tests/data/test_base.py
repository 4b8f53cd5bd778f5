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
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("low", "middle", "high"), (0.0, 1.0, 2.0), template="{rank} damage")


def made(*targets: int) -> Split:
    """Images whose red is their place."""
    images = [Image.new("RGB", (2, 2), (place, 0, 0)) for place in range(len(targets))]
    paths = [f"{place}.png" for place in range(len(targets))]
    return Split(paths, targets, images, subjects=["anna"] * len(targets))


def test_a_split_goes_through_a_data_loader() -> None:
    """Images by PIL, a transform to tensors, batches by the default collation."""
    split = replace(made(0, 2, 1, 1), transform=pil_to_tensor)
    images, targets = zip(*DataLoader(split, batch_size=3), strict=True)
    assert torch.cat(targets).tolist() == [0, 2, 1, 1]
    assert torch.cat(images)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_parts_and_sums_keep_images_and_columns_together() -> None:
    """Also a part of a sum of parts; a column that one side lacks goes; deviations go with the old labels."""
    one, two = made(0, 1, 2), replace(made(2, 2), subjects=None, deviations=[0.5, 1.5])
    both = (one[::-1] + two).subset([0, 4, 3])
    assert (both.paths, both.targets) == (("2.png", "1.png", "0.png"), (2, 2, 2))
    assert both.subjects is both.deviations is None
    assert [image.getpixel((0, 0))[0] for image, _ in both] == [2, 1, 0]
    assert (one + one).subjects == ("anna",) * 6
    assert two[-1][0].getpixel((0, 0)) == (1, 0, 0)
    with pytest.raises(InputError, match="2 paths but 1 targets; give one per image"):
        replace(two, targets=[0])


class Labelled:
    """A stranger's dataset with `targets`, as torchvision has them."""

    targets = torch.tensor([1, 0])

    def __len__(self) -> int:
        """Two of them."""
        return 2

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """An image of its own width."""
        turn = getattr(self, "target_transform", int)
        return Image.new("L", (index + 1, 1)), int(turn(self.targets[index]))


def test_any_map_style_dataset_becomes_a_split() -> None:
    """A list of pairs, a dataset with `targets`, tensors; its images are read when asked for."""
    pairs = [(Image.new("L", (1, 1)), 2), (Image.new("L", (2, 1)), 0)]
    assert Split.from_dataset(pairs, "mine").paths == ("mine/00000", "mine/00001")
    theirs = Split.from_dataset(Labelled())
    assert (theirs.targets, theirs[1][0].size) == ((1, 0), (2, 1))
    turned = Labelled()
    turned.target_transform = lambda target: 1 - target  # type: ignore[attr-defined]
    assert Split.from_dataset(turned).targets == (0, 1)
    tensors = TensorDataset(torch.zeros(3, 3, 4, 4), torch.tensor([0, 1, 2]))
    assert Split.from_dataset(tensors)[2][0].shape == (3, 4, 4)
    data = OrdinalDataset.from_datasets((tensors, pairs, Labelled()), RANKS)
    assert [data.counts(name) for name in SPLITS] == [[1, 1, 1], [1, 0, 1], [1, 1, 0]]


class Broken(Labelled):
    """A dataset whose second item cannot be read."""

    def __init__(self, fault: BaseException) -> None:
        self.fault = fault

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """An image, then the fault."""
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


def test_who_interrupts_is_not_told_of_an_image() -> None:
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
    """A dataset that has no length today."""

    def __len__(self) -> int:
        """Nobody knows."""
        raise NotImplementedError


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ({"image": 1}, "train: dict has no length or no items; give a map-style dataset"),
        ("ab", "train: str has no length"),
        (Endless(), "train: Endless has no length"),
        ([{"image": 1, "label": 2}], "train/00000: an item is dict, not .image, rank index.; give pairs"),
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
        ({"val": made(0)[:0]}, "tiny: the val split is empty; give it at least one image"),
        ({"test": made(0, 3)}, "tiny: 1.png has rank 3, not 0 to 2; correct it"),
        ({"test": made(-1)}, "tiny: 0.png has rank -1"),
        ({"train": made(0, 2)}, r"no training image has rank 1 \('middle'\).*allow_empty_ranks"),
    ],
)
def test_what_training_would_trip_over_is_refused(change: dict[str, Split], sentence: str) -> None:
    """One sentence, before anything is read."""
    data = OrdinalDataset("tiny", made(0, 1, 2), made(1), made(2), RANKS, Card("tiny"))
    with pytest.raises(InputError, match=sentence):
        replace(data, **change)
    assert replace(data, train=made(0, 2), allow_empty_ranks=True).counts("train") == [1, 0, 1]
