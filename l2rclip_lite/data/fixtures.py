"""A small drawn folder in the layout of a data set, so that its whole path runs without owning the data set.

The images are drawn from the label: a run on a fixture shows that the files are read and that a model learns from
them, and nothing about the data set. `FIXTURE.json` beside them says so, and the loaders repeat it.
"""

from __future__ import annotations

import zlib
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from l2rclip_lite.data.base import validated
from l2rclip_lite.data.benchmarks import DATA_SETS, DataSet, Protocol
from l2rclip_lite.data.folder import FIXTURE_FILE, Seed, new_folder
from l2rclip_lite.errors import InputError
from l2rclip_lite.runs import write_json, write_text

Pixels = UInt8[np.ndarray, "height width 3"]
CSV_RANKS = ("fresh", "ripe", "overripe")
PARTS = ("train", "train", "train", "val", "test")
IMAGES = 80  # of a benchmark, or of one of its categories; four show one subject


@validated
def make_fixture(name: str, folder: str | Path, seed: Seed = 0) -> Path:
    """Write a drawn folder that `load_dataset(name, root=folder)` reads, for every fold and protocol.

    Args:
        name: "morph", "clap2015", "adience", "hci", "aesthetics", "retinamnist", "bracol",
            "bracol-area", "apples81", "hc18" or "csv".
        folder: The folder to make; it must not exist, or be empty.
        seed: Decides the images, from 0.

    Returns:
        `folder`: fewer than 400 images, and the lists in `datalists`.

    Raises:
        InputError: An unknown name, or `folder` is in use.

    Example:
        >>> import tempfile
        >>> folder = make_fixture("hci", Path(tempfile.mkdtemp()) / "hci")
        >>> len(list(folder.glob("images/*.jpg"))), sorted(path.name for path in folder.iterdir())
        (80, ['FIXTURE.json', 'datalists', 'images'])
    """
    if name == "leaves" or name not in DATA_SETS:
        raise InputError(f"there is no fixture of {name!r}; choose one of {', '.join([*DATA_SETS][1:])}.")
    with new_folder(name, Path(folder)) as fresh:
        if name == "retinamnist":
            _write_arrays(fresh / "retinamnist.npz", seed)
        elif name == "csv":
            _write_table(fresh, seed)
        else:
            _write_lists(DATA_SETS[name], fresh, seed)
        note = f"SYNTHETIC: drawn from the label, names made up; no result here says anything about {name}."
        write_json(fresh / FIXTURE_FILE, {"data_set": name, "seed": seed, "note": note})
    return Path(folder)


def _write_lists(facts: DataSet, folder: Path, seed: int) -> None:
    """The list files of every protocol, and an image for every name in them."""
    ranks = len(facts.ranks or ())
    levels = min(ranks, 16)  # so many ranks take turns, for 7 has no factor in common with 5, 8 and 16
    for section, category in enumerate(facts.categories or ("",)):
        rows = []
        for number in range(IMAGES):
            rank = 7 * number % levels * (ranks - 1) // (levels - 1)
            row = {"number": IMAGES * section + number, "subject": f"{number // 4:06}", "shot": number % 4}
            row |= {"label": facts.first + facts.step * rank, "part": PARTS[5 * number // IMAGES]}
            path = facts.example.format(**row)
            _draw(folder / path, rank / (ranks - 1), seed)
            rows.append(row | {"name": "/".join(path.split("/")[-facts.keep :])})
        for protocol in facts.protocols.values():
            for (place, file), fold in product(enumerate(protocol.files), protocol.folds or (0,)):
                chosen = [row for number, row in enumerate(rows) if _place(number, protocol, fold) == place]
                lines = [line for line in (protocol.header,) if line]
                lines += [protocol.row.format(**row) for row in chosen]
                lists = folder / "datalists" / facts.lists if facts.lists else folder
                target = lists / file.format(fold=fold, category=category)
                write_text(target, "\n".join(lines))


def _place(number: int, protocol: Protocol, fold: int) -> int:
    """Which of the list files of a protocol an image is in."""
    if protocol.cut == "second":
        return int(number // 5 % 5 == fold)
    if protocol.by_subject:
        return number * len(protocol.files) // IMAGES
    return 7 * number % len(protocol.files)  # as the ranks, so that each decade is in its own file


def _write_table(folder: Path, seed: int) -> None:
    """A CSV file and its images, 12 of each of three ranks."""
    lines = ["path,label"]
    for number in range(12 * len(CSV_RANKS)):
        rank, path = number % len(CSV_RANKS), f"images/{number:02}.png"
        lines.append(f"{path},{CSV_RANKS[rank]}")
        _draw(folder / path, rank / (len(CSV_RANKS) - 1), seed)
    write_text(folder / "labels.csv", "\n".join(lines))


def _write_arrays(file: Path, seed: int) -> None:
    """The six arrays of retinamnist.npz, with 60, 20 and 20 images of 28 x 28."""
    generator, arrays = np.random.default_rng(seed), dict[str, np.ndarray]()
    for split, count in (("train", 60), ("val", 20), ("test", 20)):
        grades = generator.permutation(np.arange(count) % 5)
        images = [_pixels(grade / 4, generator, (28, 28)) for grade in grades.tolist()]
        arrays |= {f"{split}_images": np.stack(images), f"{split}_labels": grades[:, None].astype(np.uint8)}
    np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub thinks of allow_pickle


def _draw(file: Path, position: float, seed: int, size: tuple[int, int] = (64, 64)) -> None:
    """Write one image, which depends on the seed, its name and its position alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng([seed, zlib.crc32(file.name.encode())])
    Image.fromarray(_pixels(position, generator, size)).save(file)


def _pixels(position: float, generator: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """A disc that grows and turns from blue to red as its position among the ranks goes from 0 to 1."""
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    left, top = generator.uniform(-0.08, 0.08, 2)  # the middle always lies in it
    disc = np.hypot(x - left, y - top) < 0.15 + 0.7 * position
    cold, warm = np.array([70.0, 110.0, 190.0]), np.array([200.0, 80.0, 50.0])
    painted = np.where(disc[..., None], cold + position * (warm - cold), generator.uniform(90, 170, 3))
    return (painted + generator.normal(0, 6, painted.shape)).clip(0, 255).astype(np.uint8)
