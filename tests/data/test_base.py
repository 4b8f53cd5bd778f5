"""Splits are torch datasets; what cannot be a data set is refused in a sentence."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
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
    with pytest.raises(ValueError, match="2 paths but 1 targets"):
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
