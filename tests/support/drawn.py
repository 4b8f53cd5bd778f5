"""A small drawn folder in the layout of a data set, for those who do not own the data set.

The images are drawn from the label, so a model can learn from them.
"""

import zlib
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from l2rclip_lite.data.benchmarks import DATA_SETS, DataSet, Protocol
from l2rclip_lite.files import write_text

CSV_RANKS = ("fresh", "ripe", "overripe")
PARTS = ("train", "train", "train", "val", "test")
# Header of a list, "" where it has none, and a row of it; of MORPH by protocol.
SETTING_A = ("race gender age filename database", "0 1 {label} {name} morph")
BY_PATH = "../../datasets/Morph/image/{name} {label}"
MORE = {"person": "{subject}", "fold": "{fold}", "stdv": "4.026539", "database": "{part}"}
LISTS = {
    "morph rs-partial": SETTING_A,
    "morph three-fold": SETTING_A,
    "morph random": ("", BY_PATH),
    "morph subject-exclusive": ("", BY_PATH),
    "adience": ("", "{name} {label}"),
    "hci": ("", "./images/{name} {label}s"),
    "aesthetics": ("", "{name}\t{label}.0"),
}
Row = dict[str, str | int | float]
IMAGES = 80  # of a benchmark, or of one of its categories; four show one subject


def make_fixture(name: str, folder: Path) -> Path:
    """Write a drawn folder that `load_dataset(name, root=folder)` reads.

    It has fewer than 400 images, and in `datalists` the lists of every fold and protocol.
    RetinaMNIST has no such layout.
    """
    if name == "csv":
        _write_table(folder)
    else:
        _write_lists(DATA_SETS[name], folder)
    return folder


def _write_lists(facts: DataSet, folder: Path) -> None:
    """Write the list files of every protocol, and an image for every name in them."""
    lists = folder
    if facts.lists:
        lists = folder / "datalists" / facts.lists

    for section, category in enumerate(facts.categories or ("",)):
        rows = _draw_images(facts, folder, IMAGES * section)

        for title, protocol in facts.protocols.items():
            name = facts.card.name
            header, form = LISTS.get(f"{name} {title}") or LISTS.get(name) or _table_of(facts)
            folds = protocol.folds or (0,)

            for (place, file), fold in product(enumerate(protocol.files), folds):
                lines = [header] if header else []
                for number, row in enumerate(rows):
                    if _place(number, protocol, fold) == place:
                        lines.append(form.format(**row))
                target = lists / file.format(fold=fold, category=category)
                write_text(target, "\n".join(lines))


def _table_of(facts: DataSet) -> tuple[str, str]:
    """Return header and rows of a CSV file of the columns that the data set declares."""
    more = [MORE.get(column, "") for column in facts.columns[2:]]
    return ",".join(facts.columns), ",".join(["{name}", "{label}", *more])


def _draw_images(facts: DataSet, folder: Path, first: int) -> list[Row]:
    """Write the images of a category; return the entries of each for a row of a list."""
    n_ranks = len(facts.ranks or ())
    # so many ranks take turns, for 7 has no factor in common with 5, 8 and 16
    levels = min(n_ranks, 16)

    rows = []
    for number in range(IMAGES):
        rank = 7 * number % levels * (n_ranks - 1) // (levels - 1)
        row: Row = {
            "number": first + number,
            "subject": f"{number // 4:06}",
            "shot": number % 4,
            "fold": number // 4 % 5,
            "label": facts.first + facts.step * rank,
            "part": PARTS[5 * number // IMAGES],
        }
        path = facts.example.format(**row)
        row["name"] = "/".join(path.split("/")[-facts.keep :]).removesuffix(facts.suffix)
        _draw(folder / path, rank / (n_ranks - 1))
        rows.append(row)
    return rows


def _place(number: int, protocol: Protocol, fold: int) -> int:
    """Return which of the list files of a protocol an image is in."""
    if protocol.cut == "second":
        return int(number // 5 % 5 == fold)
    if protocol.by_subject:
        return number * len(protocol.files) // IMAGES
    return 7 * number % len(protocol.files)  # as the ranks, so that each decade is in its own file


def _write_table(folder: Path) -> None:
    """Write a CSV file and its images, 12 of each of three ranks."""
    lines = ["path,label"]
    for number in range(12 * len(CSV_RANKS)):
        rank = number % len(CSV_RANKS)
        path = f"images/{number:02}.png"
        lines.append(f"{path},{CSV_RANKS[rank]}")
        _draw(folder / path, rank / (len(CSV_RANKS) - 1))
    write_text(folder / "labels.csv", "\n".join(lines))


def _draw(file: Path, position: float) -> None:
    """Write noise that gets brighter as its position goes from 0 to 1."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(file.name.encode())).integers(0, 60, (16, 16, 3))
    Image.fromarray((noise + 190 * position).astype(np.uint8)).save(file)
