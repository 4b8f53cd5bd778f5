"""`tools/owners_labels.py`: labels of what owners publish are those of the data sets' tables."""

from itertools import chain
from pathlib import Path

import numpy as np
import owners_labels
import pandas as pd
import pytest
from PIL import Image
from real_data import real_folder

from l2rclip_lite.data import OrdinalDataset, load_dataset

HEADS = "training_set_pixel_size_and_HC.csv"


def stems_and_ranks(data: OrdinalDataset) -> list[list[tuple[str, int]]]:
    """Return names without suffix and ranks of the three splits, sorted."""
    splits = []
    for part in (data.train, data.val, data.test):
        stems = [path.split(".")[0] for path in part.paths]
        splits.append(sorted(zip(stems, part.targets, strict=True)))
    return splits


@pytest.mark.parametrize("name", ["apples81", "cherries81", "pears", "hc18"])
def test_boxes_and_circumferences_give_the_published_ranks_and_folds(
    tmp_path: Path, name: str
) -> None:
    """Groups are dealt out as in the published column; an image without a box is left out."""
    table = pd.read_csv(real_folder(name) / "labels.csv")
    table["stem"] = table["file"].str.removesuffix(".jpg")
    lines = ["filename,pixel size(mm),head circumference (mm)"]
    boxes = tmp_path / "labels"
    boxes.mkdir()
    (boxes / "empty.txt").touch()
    for row in table.to_dict("records"):
        suffix = "png" if name == "hc18" else "jpg"
        (tmp_path / f"{row['stem']}.{suffix}").touch()
        if name == "hc18":
            lines.append(f"{row['stem']}.png,{row['pixel_mm']},{row['hc_mm']}")
        else:
            (boxes / f"{row['stem']}.txt").write_text("0 0.5 0.5 0.1 0.1\n" * row["count"])
    (tmp_path / HEADS).write_text("\n".join(lines))

    owners_labels.main(name, tmp_path)
    theirs = load_dataset(name, root=tmp_path, fold=2)
    ours = load_dataset(name, root=real_folder(name), fold=2)
    assert stems_and_ranks(theirs) == stems_and_ranks(ours)


def test_a_mask_is_measured_in_percent_of_the_leaf(tmp_path: Path) -> None:
    """3 red and 12 green pixels are 20 %; more joins the last rank."""
    masks = tmp_path / "annotations" / "val"
    masks.mkdir(parents=True)
    for number in range(10):
        pixels = np.zeros((20, 3), np.uint8)
        pixels[:number] = (255, 0, 0)
        pixels[number:15] = (0, 176, 0)
        Image.fromarray(pixels.reshape(5, 4, 3)).save(masks / f"{number}_mask.png")
        (tmp_path / f"{number}.jpg").touch()

    assert owners_labels.measure(masks / "3_mask.png") == 20
    owners_labels.main("bracol-area", tmp_path)
    data = load_dataset("bracol-area", root=tmp_path)
    ranks = dict(chain.from_iterable(stems_and_ranks(data)))
    assert [ranks[str(number)] for number in range(10)] == [0, 7, 13, *[20] * 7]
