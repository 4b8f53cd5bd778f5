"""Lists, labels files and archives of pictures, as the nine data sets read them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_inputs import WRONG, Case, Draw, damaged, whether_intact
from fuzz_worker import Target
from hypothesis import strategies as st

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.adience import NAMES as GROUPS
from l2rclip_lite.data.hci import DECADES
from l2rclip_lite.data.listed import FIXTURE_MARK
from l2rclip_lite.data.lists import read_list

RANKS = ("fresh", "ripe", "overripe")
WORDS = st.text("abcXYZ019-_é", min_size=1, max_size=6)
PARTS = ("train", "val", "test")


def targets() -> list[Target]:
    """Everything that lists pictures."""
    return [
        Target("read_list", list_case, read_one_list, share=3),
        Target("lists of five data sets", lists_case, read_lists_of, share=3),
        Target("csv", csv_case, read_csv, share=3),
        Target("bracol", bracol_case, read_bracol),
        Target("retinamnist", npz_case, read_npz),
        Target("folder of pictures", folder_case, read_folder),
    ]


def list_case(draw: Draw) -> Case:
    """A list in one of its dialects: separator, header, line ends, byte-order mark, blank lines, quotes, paths."""
    separator, end = draw(st.sampled_from("\t, ")), draw(st.sampled_from(("\n", "\r\n", "\r")))
    names = draw(st.lists(WORDS, min_size=1, max_size=6, unique=True))
    labels = [draw(st.sampled_from((0, 7, 61.5, -3, 1e3))) for _ in names]
    before = draw(st.sampled_from(("", "./images/", "../../x/", "C:\\data\\", "/abs/")))
    rows = [[before + name, str(label)] for name, label in zip(names, labels, strict=True)]
    if draw(st.booleans()):
        rows = [["filename", "more", "age"], *([path, '"a,b c"', label] for path, label in rows)]
    text = end.join(separator.join(row) + draw(st.sampled_from(("", end))) for row in rows)
    content = draw(st.sampled_from((b"", b"\xef\xbb\xbf"))) + text.encode()
    if whether_intact(draw):
        return Case(True, content, [*zip(names, labels, strict=True)])
    return Case(False, damaged(draw, content))


def read_one_list(folder: Path, case: Case) -> None:
    """`read_list`; an intact list gives its names and labels."""
    (folder / "list.txt").write_bytes(case.content)
    found = read_list(folder / "list.txt")
    assert not case.intact or [(entry.name, entry.label) for entry in found] == case.meant, found


def lists_case(draw: Draw) -> Case:
    """The lists of a data set, one of them damaged, and options that may be wrong."""
    name = draw(st.sampled_from(("morph", "clap2015", "adience", "hci", "aesthetics")))
    files, options, pictures = official(name, draw)
    if whether_intact(draw):
        return Case(True, files, pictures, (name, options))
    if draw(st.integers(0, 2)):
        file = draw(st.sampled_from(sorted(files)))
        files = files | {file: damaged(draw, files[file])}
    else:
        option = draw(
            st.sampled_from(("protocol", "fold", "seed", "category", "root", "lists", "allow_missing"))
        )
        options = options | {option: draw(st.sampled_from(WRONG))}
    return Case(False, files, pictures, (name, options))


def official(name: str, draw: Draw) -> tuple[dict[str, bytes], dict[str, Any], int]:
    """Small lists in the layout of the published ones, valid options, and how many pictures they name."""
    count = draw(st.integers(6, 9))
    options: dict[str, Any] = {"seed": draw(st.sampled_from((0, 1, 2**40)))}
    if name == "clap2015":
        rows = [f"{n}.jpg,{3 + n // 6},0.5,{PARTS[n % 3]}" for n in range(3 * count)]
        options["protocol"] = draw(st.sampled_from(("test", "val")))
        pictures = 3 * count if options["protocol"] == "test" else 2 * count
        return {"clap2015/total_2015.csv": _lines(["filename,age,stdv,database", *rows])}, options, pictures
    if name == "adience":
        return (
            {
                f"adience/simplified_adience_{fold}.txt": _lines(
                    [f"../data/{fold}u{n // 2}/{n}.jpg\t{n % len(GROUPS)}" for n in range(count)]
                )
                for fold in range(5)
            },
            options | {"fold": draw(st.integers(0, 4))},
            5 * count,
        )
    if name == "hci":
        lists = {
            f"hci/{decade}s.txt": _lines([f"./{decade}_{n}.jpg {decade}s" for n in range(count)])
            for decade in DECADES
        }
        return lists, options | {"fold": draw(st.integers(0, 9))}, 5 * count
    if name == "aesthetics":
        rows = [f"{part}{n}.jpg {1 + n % 2}" for part in PARTS[::2] for n in range(count)]
        files = {
            f"crowdbeauty/animals_{what}.txt": _lines(some)
            for what, some in (("train", rows[:count]), ("test", rows[count:]), ("datasets", rows))
        }
        return files, options | {"protocol": draw(st.sampled_from(("official", "five-fold")))}, 2 * count
    rows = [f"{n // 2}_{n:02d}M{16 + n % 3}.JPG {16 + n % 3}" for n in range(3 * count)]
    if draw(st.booleans()):
        files = {
            f"morph/settingA/Setting_A_fold0_{part}.txt": _lines(rows[n::2])
            for n, part in enumerate(PARTS[::2])
        }
        return files, options | {"protocol": "rs-partial"}, 3 * count
    files = {f"morph/settingB/Setting_B_fold{part}.txt": _lines(rows[part::3]) for part in range(3)}
    return files, options | {"protocol": "three-fold", "fold": draw(st.integers(1, 2))}, 3 * count


def _lines(rows: Sequence[str]) -> bytes:
    return "\n".join(rows).encode() + b"\n"


def read_lists_of(folder: Path, case: Case) -> None:
    """`load_dataset`; every listed picture stands in one split."""
    name, options = case.about
    _write(folder, case.content)
    data = load_dataset(name, **{"lists": folder} | options)
    paths = [path for part in PARTS for path in data.split(part).paths]
    assert len(set(paths)) == len(paths), "a picture stands in two splits"
    assert not case.intact or len(paths) == case.meant, (len(paths), case.meant)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)


def csv_case(draw: Draw) -> Case:
    """A labels file of twelve pictures that exist, with or without a split column, and options."""
    with_split = draw(st.booleans())
    order = draw(st.permutations(range(12)))
    rows = [["path", "label"] + ["split"] * with_split]
    for place, n in enumerate(order):
        label = draw(st.sampled_from((RANKS[n % 3], str(n % 3), f'" {RANKS[n % 3]} "')))
        rows.append([f"{n}.png", label] + [PARTS[place // 2 % 3]] * with_split)
    options: dict[str, Any] = {
        "ranks": ",".join(RANKS),
        "seed": draw(st.integers(0, 3)),
        "allow_empty_ranks": True,
    }
    content = draw(st.sampled_from(("\n", "\r\n"))).join(",".join(row) for row in rows).encode()
    if whether_intact(draw):
        return Case(True, content, {f"{n}.png": n % 3 for n in range(12)}, options)
    if draw(st.integers(0, 2)):
        return Case(False, damaged(draw, content), None, options)
    option = draw(
        st.sampled_from(("ranks", "template", "seed", "labels", "root", "allow_missing", "allow_empty_ranks"))
    )
    return Case(False, content, None, options | {option: draw(st.sampled_from(WRONG))})


def read_csv(folder: Path, case: Case) -> None:
    """`load_csv`; every picture comes back with its rank."""
    (folder / "labels.csv").write_bytes(case.content)
    for n in range(12):
        (folder / f"{n}.png").touch()
    data = load_dataset("csv", **{"root": folder} | case.about)
    found = {
        p: t for part in PARTS for p, t in zip(data.split(part).paths, data.split(part).targets, strict=True)
    }
    assert not case.intact or found == case.meant, found


def bracol_case(draw: Draw) -> Case:
    """Either of BRACOL's two labels files."""
    columns = ["split", *(f"split_fold{fold}" for fold in range(2, 6))]
    if draw(st.booleans()):
        name, rows = "labels.csv", [["path", "label", *columns]]
        rows += [[f"leaf/{n}.jpg", str(n % 5), *[PARTS[n // 5]] * 5] for n in range(15)]
    else:
        name, rows = "dataset.csv", [["id", "severity"], *([str(n), str(n % 5)] for n in range(15))]
    content = "\n".join(",".join(row) for row in rows).encode()
    if whether_intact(draw):
        fold = (
            draw(st.integers(1, 5)) if name == "labels.csv" else 1
        )  # of few rows, the authors' folds may miss a rank
        return Case(name == "labels.csv", content, 15, (name, {"fold": fold}))
    if draw(st.integers(0, 3)):
        return Case(False, damaged(draw, content), None, (name, {"fold": draw(st.integers(1, 5))}))
    return Case(False, content, None, (name, {"fold": draw(st.sampled_from(WRONG))}))


def read_bracol(folder: Path, case: Case) -> None:
    """`load_bracol`."""
    name, options = case.about
    (folder / name).write_bytes(case.content)
    (folder / "leaf").mkdir()
    for n in range(15):
        (folder / "leaf" / f"{n}.jpg").touch()
    data = load_dataset("bracol", root=folder, **options)
    assert not case.intact or sum(len(data.split(part)) for part in PARTS) == case.meant


def npz_case(draw: Draw) -> Case:
    """A small archive in the layout of RetinaMNIST; as arrays of another kind, or damaged as bytes."""
    arrays: dict[str, Any] = {}
    for part in PARTS:
        arrays[f"{part}_labels"] = np.arange(5, dtype=np.uint8)[:, None]
        arrays[f"{part}_images"] = np.full((5, 28, 28, 3), 7, np.uint8)
    intact = whether_intact(draw)
    other = draw(st.booleans())
    if not intact and other:
        strange = (
            np.array([{}], object),
            np.array(0),
            np.zeros((5, 0)),
            np.full((5, 1), -1),
            np.full((5, 1), np.nan),
        )
        strange += (
            np.array([["a"]] * 5),
            np.zeros((0, 1), int),
            np.full((5, 1), 2**63, np.uint64),
            np.zeros((5, 1), bool),
        )
        arrays[draw(st.sampled_from(sorted(arrays)))] = strange[draw(st.integers(0, len(strange) - 1))]
    file = io.BytesIO()
    (np.savez_compressed if draw(st.booleans()) else np.savez)(file, **arrays)
    content = file.getvalue() if intact or other else _damaged_member(draw, file.getvalue())
    return Case(intact, content)


def _damaged_member(draw: Draw, content: bytes) -> bytes:
    """Damage anywhere, or in the headers of the arrays, which the middle of a picture would hide."""
    if draw(st.booleans()):
        return damaged(draw, content)
    start = content.find(b"NUMPY") if b"NUMPY" in content else 0
    return content[:start] + damaged(draw, content[start : start + 130]) + content[start + 130 :]


def read_npz(folder: Path, case: Case) -> None:
    """`load_retinamnist` of a drawn archive, whose digest is not compared, and its first picture."""
    (folder / "retinamnist.npz").write_bytes(case.content)
    (folder / FIXTURE_MARK).touch()
    data = load_dataset("retinamnist", root=folder)
    picture, target = data.train[0]
    assert not case.intact or (np.asarray(picture).max(), target) == (7, 0)


def folder_case(draw: Draw) -> Case:
    """A folder with pictures, links that lead elsewhere, pipes, and names that differ in case."""
    entries = {f"{n}.jpg": "file" for n in range(6)}
    intact = whether_intact(draw)
    if not intact:
        for _ in range(draw(st.integers(1, 3))):
            name = draw(st.sampled_from((*entries, "0.JPG", "sub/0.jpg", "é.jpg", "x" * 200)))
            entries[name] = draw(
                st.sampled_from(("file", "pipe", "folder", "loop", "outside", "nothing", "within"))
            )
    options = {"allow_missing": draw(st.booleans())}
    return Case(intact, entries, None, (draw(st.sampled_from(("csv", "aesthetics"))), options))


def read_folder(folder: Path, case: Case) -> None:
    """By a labels file with paths, or by a list that is searched for; no pipe may block, no link may lead out."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for name, kind in case.content.items():
        path = pictures / name
        path.parent.mkdir(exist_ok=True)
        links = {"loop": name, "outside": "/etc/passwd", "nothing": "gone", "within": pictures / "5.jpg"}
        if kind in links:
            path.symlink_to(links[kind])
        else:
            {"file": path.touch, "pipe": lambda path=path: os.mkfifo(path), "folder": path.mkdir}[kind]()
    name, options = case.about
    if name == "csv":
        rows = ["path,label,split", *(f"{n}.jpg,{n % 2},{PARTS[n // 2]}" for n in range(6))]
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
        options = options | {"labels": folder / "labels.csv", "ranks": "a,b", "allow_empty_ranks": True}
    else:
        rows = [f"{n}.jpg {1 + n // 4}" for n in range(6)]
        _write(
            folder,
            {f"crowdbeauty/animals_{part}.txt": _lines(rows[n::2]) for n, part in enumerate(PARTS[::2])},
        )
        options = options | {"lists": folder}
    data = load_dataset(name, root=pictures, **options)
    for part in PARTS:
        for path in data.split(part).paths:
            real = os.path.realpath(pictures / path)
            assert real.startswith(str(pictures.resolve())), path
            assert os.path.isfile(real) or name != "csv", path
