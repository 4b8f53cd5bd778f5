"""Splits are torch datasets; what cannot be a data set is refused in a sentence."""

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from l2rclip_lite.data import Options, loader_of
from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.protocols import CHANGES, Changes
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks, rank_index

RANKS = Ranks(("low", "middle", "high"), (0.0, 1.0, 2.0), template="{rank} damage")
PAIRS = [(Image.new("L", (1, 1)), 2), (Image.new("L", (2, 1)), 0)]


def red_images(*targets: int) -> Split:
    """Return a split of images, all of Anna, whose red is their place."""
    images = [Image.new("RGB", (2, 2), (place, 0, 0)) for place in range(len(targets))]
    paths = [f"{place}.png" for place in range(len(targets))]
    return Split(paths, targets, images, subjects=["anna"] * len(targets))


def test_a_part_of_a_sum_of_parts_keeps_its_columns_together() -> None:
    """Turned round, added, and three of the five picked; a column that one side lacks goes."""
    first = red_images(0, 1, 2)
    second = red_images(2, 2)
    picked = (first[::-1] + second).subset([0, 4, 3])
    assert picked.paths == ("2.png", "1.png", "0.png")
    assert picked.targets == (2, 2, 2)
    assert picked.subjects == ("anna",) * 3
    assert [image.getpixel((0, 0))[0] for image, _ in picked] == [2, 1, 0]
    assert second[-1][0].getpixel((0, 0)) == (1, 0, 0)

    third = replace(second, subjects=None, deviations=[0.5, 1.5])
    assert ((first + third).subjects, (first + third).deviations) == (None, None)


class Labelled:
    """Two images of another library's dataset, whose `targets` are of another numbering."""

    targets = (7, 8)

    def __len__(self) -> int:
        """Return the number of images."""
        return 2

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """Return an image of its own width, and its target."""
        return Image.new("L", (index + 1, 1)), 1 - index


def test_three_datasets_of_three_kinds_are_one_data_set() -> None:
    """Tensors, pairs, and another library's; an image without a name gets its number."""
    tensors = TensorDataset(torch.zeros(3, 3, 4, 4), torch.tensor([0, 1, 2]))
    data = OrdinalDataset.from_datasets((tensors, PAIRS, Labelled()), RANKS)
    assert [data.counts(name) for name in SPLITS] == [[1, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert data.val.paths == ("val/00000", "val/00001")
    assert [(image.size, target) for image, target in data.test] == [((1, 1), 1), ((2, 1), 0)]


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ([{"image": 1, "label": 2}], r"train/00000: an item is dict, not \(image, rank index\)"),
        ([(PAIRS[0][0], "low")], "train/00000: its label is 'low', no whole number"),
        ([("nowhere.png", 0)], r"the image nowhere.png cannot be used \(No such file"),
        ([(None, 0)], "train/00000: NoneType is no image; give a path"),
    ],
)
def test_what_gives_no_pairs_is_refused(dataset: Any, sentence: str) -> None:
    """A dict of two keys is no pair."""
    with pytest.raises(InputError, match=f"^{sentence}"):
        Split.from_dataset(dataset, "train").digest(0)


WHOLE = (1, 1.0, True, np.int64(1), np.array([1]), torch.tensor([[1]]))
OTHER = (0.5, float("nan"), "1", None, np.array([0, 1]), torch.rand(1))


@pytest.mark.untyped
def test_a_label_is_a_whole_number_of_any_type() -> None:
    """As `MedMNIST` and tensors have them."""
    for label in WHOLE:
        assert rank_index(label, "a") == 1
    for label in OTHER:
        with pytest.raises(InputError, match="no whole number; give the index of its rank"):
            rank_index(label, "a")


def test_each_image_has_a_path_of_its_own_where_there_are_paths() -> None:
    """Files of a run name images by them."""
    dataset = Labelled()
    dataset.paths = ["a", "b"]  # type: ignore[attr-defined]
    assert Split.from_dataset(dataset).paths == ("a", "b")
    dataset.paths = ["a", "a"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="train: 1 different paths for 2 images; give"):
        Split.from_dataset(dataset, "train")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"val": red_images(0)[:0]}, "tiny: the val split is empty; give it at least one image"),
        ({"test": red_images(0, 3)}, "tiny: 1.png has rank 3, not 0 to 2; correct it"),
        ({"test": red_images(-1)}, "tiny: 0.png has rank -1"),
        ({"train": red_images(0, 2)}, r"no training image has rank 1 \('middle'\).*allow_empty"),
    ],
)
def test_what_training_would_trip_over_is_refused(change: dict[str, Split], sentence: str) -> None:
    """One sentence, before anything is read; a rank without images may be allowed."""
    parts = (red_images(0, 1, 2), red_images(1), red_images(2))
    data = OrdinalDataset("tiny", *parts, RANKS, Card("tiny"))
    with pytest.raises(InputError, match=sentence):
        replace(data, **change)
    if "train" in change:
        assert replace(data, allow_empty_ranks=True, **change).counts("train") == [1, 0, 1]
    with pytest.raises(InputError, match="3 paths but 1 targets; give one per image"):
        replace(data.train, targets=[0])


def test_the_options_of_load_dataset_are_those_that_some_loader_or_change_takes() -> None:
    """An editor completes them; `protocol_seed` is the seed of the changes."""
    taken = {"protocol_seed", *CHANGES}
    for loader in map(loader_of, DATA_SETS):
        taken |= inspect.signature(loader).parameters.keys()
    assert set(Options.__optional_keys__) == taken - {"name"}
    assert list(Changes.__annotations__) == list(CHANGES)
