"""A tiny synthetic folder in the true layout of a data set, so that its whole path runs without owning it.

The pictures are drawn from the label: a run on a fixture shows that the files are read and that a model learns
from them, and nothing about the data set. `FIXTURE.json` says so beside them, and the loaders repeat it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from l2rclip_lite.data.listed import lists_folder
from l2rclip_lite.data.lists import Entry, read_list
from l2rclip_lite.errors import InputError

SIDE = 64  # pixels of a picture
FOLDS = range(5)
CATEGORIES = ("animals", "nature", "people", "urban")
DECADES = ("1930s", "1940s", "1950s", "1960s", "1970s")
CSV_RANKS = ("fresh", "ripe", "overripe")


class _Layout(NamedTuple):
    """Where a data set's lists and pictures lie, and how many rows of each list a fixture takes."""

    folder: str  # of the lists, below datalists/
    pictures: str  # folder of the pictures
    span: tuple[int, int]  # lowest and highest label
    rows: Mapping[str, int]  # 0: those rows whose pictures the lists before it hold
    keep: int = 1  # components of a listed path that name the picture
    order: Literal["name", "person", "label"] = "name"  # see `_order`


LAYOUTS = {
    "morph": _Layout(
        "morph",
        "image",
        (16, 77),
        {f"settingA/Setting_A_fold{fold}_train.txt": 40 for fold in FOLDS}
        | {f"settingA/Setting_A_fold{fold}_test.txt": 12 for fold in FOLDS}
        | {f"settingB/Setting_B_fold{part}.txt": 40 for part in range(3)}
        | {f"setting{letter}/morph_{letter}_{fold:02d}.txt": 16 for letter in "CD" for fold in FOLDS},
        order="person",
    ),
    "clap2015": _Layout("clap2015", "images", (3, 85), {"total_2015.csv": 80}),
    "adience": _Layout(
        "adience", "", (0, 7), {f"simplified_adience_{fold}.txt": 16 for fold in FOLDS}, keep=2, order="label"
    ),
    "hci": _Layout("hci", "images", (1930, 1970), {f"{decade}.txt": 24 for decade in DECADES}),
    "aesthetics": _Layout(
        "crowdbeauty",
        "images",
        (1, 5),
        {
            f"{category}_{part}.txt": count
            for category in CATEGORIES
            for part, count in (("train", 40), ("test", 15), ("datasets", 0))
        },
        order="label",
    ),
}


def make_fixture(name: str, out: str | Path, *, lists: str | Path | None = None, seed: int = 0) -> Path:
    """Write a synthetic folder that `load_dataset(name, root=out)` reads, for every fold and protocol.

    With the official lists their own rows are sampled (bytes, header and line ends stay as they are), and the
    pictures get the names these rows list. Without, rows in the same formats are made up.

    Args:
        name: "morph", "clap2015", "adience", "hci", "aesthetics", "retinamnist", "bracol" or "csv".
        out: The folder to make; it must not exist, or be empty.
        lists: The folder of the official lists, for the first five.
        seed: Decides every byte.

    Returns:
        `out`: fewer than 400 pictures, and the lists in `out/datalists`.

    Raises:
        InputError: An unknown name, lists where there are none or in another format, or `out` is in use.

    Example:
        >>> folder = make_fixture("hci", Path(tempfile.mkdtemp()) / "hci")
        >>> len(list(folder.glob("images/*.jpg"))), sorted(path.name for path in folder.iterdir())
        (120, ['FIXTURE.json', 'datalists', 'images'])
    """
    others = {"retinamnist": _retinamnist, "bracol": _bracol, "csv": _csv}
    out = Path(out)
    if name == "leaves":
        raise InputError("leaves: nobody needs to own these pictures, they are generated; use --size 60.")
    if name not in LAYOUTS and name not in others:
        raise InputError(f"there is no fixture of {name!r}; choose one of {', '.join([*LAYOUTS, *others])}.")
    if lists is not None and name in others:
        raise InputError(f"{name}: this data set has no official lists; leave the lists out.")
    if seed < 0:
        raise InputError(f"{name}: the seed of a fixture must be 0 or more, not {seed}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{name}: {out} already holds something; name a folder that does not exist yet.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as working:
        fresh = Path(working) / "fixture"
        fresh.mkdir()
        if name in others:
            others[name](fresh, seed)
        else:
            _listed(name, fresh, lists, seed)
        origin = "names sampled from the official lists" if lists is not None else "names made up"
        note = f"SYNTHETIC: pictures drawn from their label, {origin}; no result here says anything about {name}."
        about = json.dumps({"data_set": name, "seed": seed, "note": note}, indent=2)
        (fresh / "FIXTURE.json").write_text(f"{about}\n", encoding="utf-8", newline="\n")
        os.replace(fresh, out)
    return out


def _listed(name: str, out: Path, lists: str | Path | None, seed: int) -> None:
    """The list files of a face, history or aesthetics data set, and a picture for every name in them."""
    layout = LAYOUTS[name]
    if lists is None:
        makers = {"morph": _morph, "clap2015": _clap2015, "adience": _adience, "hci": _hci}
        contents = makers.get(name, _aesthetics)(np.random.default_rng(seed))
    else:
        contents = _sampled(name, layout, lists_folder(name, None, lists, layout.folder), seed)
    low, high = layout.span
    for file, content in contents.items():
        target = out / "datalists" / layout.folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        for entry in read_list(target, keep=layout.keep):
            picture = out / layout.pictures / entry.name
            if not picture.exists():
                _draw(picture, (entry.label - low) / (high - low), seed)


def _sampled(name: str, layout: _Layout, folder: Path, seed: int) -> dict[str, bytes]:
    """The bytes of the official lists, cut down to their headers and the sampled rows."""
    contents, taken = {}, set[str]()
    for file, count in layout.rows.items():
        entries = read_list(folder / file, keep=layout.keep)
        content = (folder / file).read_bytes()
        lines = [line for line in content.splitlines(keepends=True) if line.strip()]
        header = len(lines) - len(entries)  # 0 or 1
        if count:
            chosen = set(_order(entries, seed, layout.order)[:count])
            taken |= {entries[index].name for index in chosen}
        else:
            chosen = {index for index, entry in enumerate(entries) if entry.name in taken}
        kept = b"".join(lines[:header] + [lines[header + index] for index in sorted(chosen)])
        ended = content.endswith((b"\n", b"\r"))
        contents[file] = kept if ended else kept.rstrip(b"\r\n")
    return contents


def _order(entries: Sequence[Entry], seed: int, by: Literal["name", "person", "label"]) -> list[int]:
    """The rows in the order in which a fixture takes them.

    A name has the same lot in every list, so that lists which share pictures still share them when sampled.
    By "person", one whole person comes after another, which keeps what training and test share of them; by
    "label", the labels take turns, so that rare ranks are seen.
    """
    order = sorted(range(len(entries)), key=lambda index: _lot(seed, entries[index].name))
    if by == "person":
        return sorted(order, key=lambda index: _lot(seed, entries[index].name.split("_")[0]))
    if by == "label":
        turns, seen = [0] * len(entries), Counter[float]()
        for index in order:
            turns[index] = seen[entries[index].label]
            seen[entries[index].label] += 1
        return sorted(order, key=lambda index: turns[index])
    return order


def _lot(seed: int, name: str) -> int:
    """A number drawn for a name, the same wherever the name stands."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big")


def _draw(file: Path, position: float, seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> None:
    """Write one picture; it depends on the seed, its name and its position alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = _pixels(position, np.random.default_rng(_lot(seed, file.name)), size)
    Image.fromarray(pixels).save(file, "PNG" if file.suffix.lower() == ".png" else "JPEG")


def _pixels(position: float, generator: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A disc that grows and turns from blue to red as its position among the ranks goes from 0 to 1."""
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    left, top = generator.uniform(-0.08, 0.08, 2)  # the middle always lies in it
    disc = np.hypot(x - left, y - top) < 0.15 + 0.7 * position
    cold, warm = np.array([70.0, 110.0, 190.0]), np.array([200.0, 80.0, 50.0])
    painted = np.where(disc[..., None], cold + position * (warm - cold), generator.uniform(90, 170, 3))
    return (painted + generator.normal(0, 6, painted.shape)).clip(0, 255).astype(np.uint8)


def _table(rows: Iterable[Sequence[object]], separator: str, end: str, header: str = "") -> bytes:
    """A list file."""
    lines = [header] if header else []
    lines += [separator.join(str(cell) for cell in row) for row in rows]
    return "".join(line + end for line in lines).encode()


def _morph(generator: np.random.Generator) -> dict[str, bytes]:
    """40 persons with 4 photographs each, a year apart, dealt out like the four settings."""
    photos: list[tuple[str, str, int]] = []  # file, sex, age
    for person in range(40):
        sex, first = "FMMM"[person % 4], int(generator.integers(16, 75))
        photos += [
            (f"{900001 + person}_{shot:02d}{sex}{first + shot}.JPG", sex, first + shot) for shot in range(4)
        ]
    columns = "race gender age filename database"
    contents = {}
    for fold in FOLDS:
        order = generator.permutation(52).tolist()  # setting A knows one race: the first thirteen persons
        for part, chosen in (("train", order[:40]), ("test", order[40:])):
            rows = [(0, "FM".index(photos[at][1]), photos[at][2], photos[at][0], "morph") for at in chosen]
            numbered = [(at, *row) for at, row in zip(chosen, rows, strict=True)]
            contents[f"settingA/Setting_A_fold{fold}_{part}.txt"] = (
                _table(numbered, ",", "\r\n", "," + columns.replace(" ", ","))
                if fold
                else _table(rows, " ", "\r\n", columns)
            )
    order = generator.permutation(120).tolist()
    for third in range(3):
        rows = [
            (at // 4 % 2, "MF".index(photos[at][1]), photos[at][2], photos[at][0], "morph")
            for at in order[third::3]
        ]
        contents[f"settingB/Setting_B_fold{third}.txt"] = _table(rows, " ", "\r\n", columns)
    order = generator.permutation(len(photos)).tolist()
    for fold in FOLDS:
        for letter, chosen in (("C", order[fold::5]), ("D", range(32 * fold, 32 * (fold + 1)))):
            lines = [(f"../../datasets/Morph/image/{photos[at][0]}", photos[at][2]) for at in chosen]
            contents[f"setting{letter}/morph_{letter}_{fold:02d}.txt"] = _table(lines, " ", "\n")
    return contents


def _clap2015(generator: np.random.Generator) -> dict[str, bytes]:
    """48 training, 16 validation and 16 test photographs with a mean age and the spread of its votes."""
    rows = [
        (
            f"image_{9001 + number}.jpg",
            int(np.clip(generator.normal(32, 12), 3, 80)),
            f"{generator.uniform(1, 7):.6f}",
            "train" if number < 48 else "val" if number < 64 else "test",
        )
        for number in range(80)
    ]
    return {"total_2015.csv": _table(rows, ",", "\r\n", "filename,age,stdv,database")}


def _adience(generator: np.random.Generator) -> dict[str, bytes]:
    """Eight users a fold, one an age group, with two photographs each."""
    contents = {}
    for fold in FOLDS:
        rows = []
        for number in range(16):
            user, photo = f"{90000001 + 8 * fold + number // 2}@N09", 90000000000 + 16 * fold + number
            digits = generator.bytes(5).hex()
            rows.append((f"{user}/landmark_aligned_face.{9001 + number}.{photo}_{digits}_o.jpg", number // 2))
        contents[f"simplified_adience_{fold}.txt"] = _table(rows, " ", "\n")
    return contents


def _hci(generator: np.random.Generator) -> dict[str, bytes]:
    """24 photographs a decade."""
    return {
        f"{decade}.txt": _table(
            [(f"./images/{decade}_decade_{generator.bytes(16).hex()}.jpg", decade) for _ in range(24)],
            " ",
            "\n",
        )
        for decade in DECADES
    }


def _aesthetics(generator: np.random.Generator) -> dict[str, bytes]:
    """40 training and 15 test photographs a category; as in the true lists, only `datasets` ends its last line."""
    contents = {}
    for number, category in enumerate(CATEGORIES):
        rows = [
            (f"{9000000000 + 100 * number + photo}.png", f"{1 + photo % 5}.0")
            for photo in generator.permutation(55).tolist()
        ]
        contents[f"{category}_train.txt"] = _table(rows[:40], "\t", "\n").rstrip(b"\n")
        contents[f"{category}_test.txt"] = _table(rows[40:], "\t", "\n").rstrip(b"\n")
        contents[f"{category}_datasets.txt"] = _table(rows, "\t", "\n")
    return contents


def _retinamnist(out: Path, seed: int) -> None:
    """retinamnist.npz: the six arrays of the true file, with 60, 20 and 20 pictures of 28 x 28."""
    generator = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split, count in (("train", 60), ("val", 20), ("test", 20)):
        grades = generator.permutation(np.arange(count) % 5)
        pictures = [_pixels(grade / 4, generator, (28, 28)) for grade in grades.tolist()]
        arrays |= {
            f"{split}_images": np.stack(pictures),
            f"{split}_labels": grades.astype(np.uint8)[:, None],
        }
    np.savez(out / "retinamnist.npz", **arrays)  # type: ignore[arg-type]  # the stub thinks of allow_pickle


def _bracol(out: Path, seed: int) -> None:
    """dataset.csv and leaf/<id>.jpg: 60 leaves of 512 x 256, twelve of each severity."""
    generator = np.random.default_rng(seed)
    rows = []
    for number, severity in enumerate(generator.permutation(np.arange(60) % 5).tolist(), start=1):
        stress = 1 + number % 4 if severity else 0
        rows.append((number, stress, *(int(stress == kind) for kind in range(1, 5)), severity))
        _draw(out / "leaf" / f"{number}.jpg", severity / 4, seed, (512, 256))
    header = "id,predominant_stress,miner,rust,phoma,cercospora,severity"
    (out / "dataset.csv").write_bytes(_table(rows, ",", "\n", header))


def _csv(out: Path, seed: int) -> None:
    """labels.csv and images/: 36 pictures, twelve of each of three ranks."""
    rows = []
    for number in range(36):
        rank = number % len(CSV_RANKS)
        rows.append((f"images/{number:02d}.png", CSV_RANKS[rank]))
        _draw(out / rows[-1][0], rank / (len(CSV_RANKS) - 1), seed)
    (out / "labels.csv").write_bytes(_table(rows, ",", "\n", "path,label"))
