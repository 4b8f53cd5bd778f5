"""Pictures: every kind that is read, damage, bombs, things that are no picture, and the doors a picture comes in by."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import picture_files
import torch
from campaign import Scale, Tried
from PIL import Image
from worker import Worker

from l2rclip_lite import cli
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.pictures import read_image
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.pixels import Streamed
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.training import fit

SECONDS, MIB = 1.0, 1024  # that a small picture may take
WHERE = "labels.csv row 7"


def run(scale: Scale) -> Iterator[Tried]:
    """Five classes of fault."""
    with Worker("images", scale.folder, patience=60) as worker:
        yield _kinds(scale, worker)
        yield _damage(scale, worker)
        yield _bombs(scale, worker)
        yield _no_pictures(scale, worker)
        yield _doors(scale, worker)


def attempt(request: dict[str, Any]) -> dict[str, Any]:
    """In the worker: read a picture, by one door or all."""
    Image.MAX_IMAGE_PIXELS = None  # what a user may have set; the limit must be ours
    if "run" in request:
        return _through_every_door(request)
    if request.get("user"):
        os.seteuid(request["user"])
    try:
        picture = read_image(request["file"], WHERE)
    except InputError as error:
        return {"refused": str(error)}
    finally:
        if request.get("user"):
            os.seteuid(0)
    places = [(int(x * picture.width), int(y * picture.height)) for y in (0.25, 0.75) for x in (0.25, 0.75)]
    return {"mode": picture.mode, "size": picture.size, "colours": [picture.getpixel(at) for at in places]}


def broken(answer: dict[str, Any], *, where: str = WHERE, slow: bool = False) -> str:
    """What is wrong with an answer, whatever the picture: nothing but pixels or one sentence is right."""
    if said := answer.get("died") or answer.get("raised"):
        return str(said)
    of_libtiff = "refused" in answer  # which writes a line of its own on stderr, out of Python's reach
    if answer["warned"] or answer["did"] or (answer["noise"] and not of_libtiff):
        return f"warned {answer['warned']}, wrote {answer['noise']} bytes to stderr, did {answer['did']}"
    if answer["mib"] > MIB or (answer["seconds"] > SECONDS and not slow):
        return f"took {answer['seconds']:.1f} s and {answer['mib']:.0f} MiB"
    if (sentence := answer.get("refused")) is not None:
        good = sentence.startswith(f"{where}: ") and sentence.endswith(".") and len(sentence) < 700
        return "" if good and sentence.isprintable() else f"said {sentence!r}"
    return "" if answer["mode"] == "RGB" else f"is {answer['mode']}"


def _kinds(scale: Scale, worker: Worker) -> Tried:
    """The pixels that must be seen, under a wrong name as well."""
    file, lost, kinds = scale.folder / "any.jpg", [], picture_files.kinds()
    for name, kind in kinds.items():
        file.write_bytes(kind.data)
        answer = worker.ask({"file": str(file)})
        wrong = broken(answer) or answer.get("refused", "")
        if not wrong and tuple(answer["size"]) != kind.size:
            wrong = f"has the size {answer['size']}"
        if not wrong and np.abs(np.subtract(answer["colours"], kind.colours)).max() > kind.exact:
            wrong = f"shows {answer['colours']}"
        lost += [f"{name}: {wrong}"] if wrong else []
    return Tried(
        "picture-kinds",
        "Pictures of every kind that a camera, a scanner or a web page gives, under a wrong name.",
        "Each shows the colours that it holds, upright, on white; of several frames the first.",
        len(kinds),
        tuple(lost),
    )


def _damage(scale: Scale, worker: Worker) -> Tried:
    """Seeded damage of real encodings of a drawn leaf, and of photographs where there are any."""
    sources = dict(_sources(scale))
    each, file, lost = scale.pick(short=20, long=600), scale.folder / "damaged.jpg", []
    refused = noisy = worst = 0
    most = 0.0
    for name, data in sources.items():
        generator = np.random.default_rng([scale.seed, len(data)])
        for case in range(each):
            file.write_bytes(picture_files.damaged(data, generator))
            answer = worker.ask({"file": str(file)})
            if wrong := broken(answer):
                lost.append(f"{name}, case {case} of seed {scale.seed}: {wrong}")
            refused += "refused" in answer
            noisy += bool(answer.get("noise"))
            worst, most = max(worst, round(answer.get("mib", 0))), max(most, answer.get("seconds", 0))
    return Tried(
        "picture-damage",
        "Pictures of every format that were cut off, or in which bits, bytes or blocks are others.",
        "Read or refused in one sentence, within 1 s of the processor and 1 GiB, without a warning or a crash.",
        each * len(sources),
        tuple(lost),
        {
            "encodings": len(sources),
            "refused": refused,
            "largest_mib": worst,
            "longest_seconds": round(most, 2),
        },
    )


def _sources(scale: Scale) -> Iterator[tuple[str, bytes]]:
    """Encodings to damage."""
    leaf = load_dataset("leaves", ranks=5, size=20, seed=scale.seed).train[0][0]
    encoded, clear = picture_files.encoded, leaf.convert("RGBA")
    clear.putalpha(leaf.convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [leaf.rotate(90), leaf.rotate(180)]}
    yield "jpeg", encoded(leaf, "JPEG", exif=exif)
    yield "progressive-jpeg", encoded(leaf, "JPEG", progressive=True)
    yield "cmyk-jpeg", encoded(leaf.convert("CMYK"), "JPEG")
    yield "png", encoded(leaf, "PNG", exif=exif)
    yield "palette-png", encoded(leaf.quantize(64), "PNG", transparency=bytes(range(64)))
    yield (
        "grey-png-of-16-bits",
        encoded(Image.fromarray(np.asarray(leaf.convert("L")).astype(np.uint16) * 257), "PNG"),
    )
    yield "animated-png", encoded(leaf, "PNG", **frames)
    yield "webp", encoded(leaf, "WEBP", exif=exif)
    yield "rgba-webp", encoded(clear, "WEBP", lossless=True)
    yield "animated-webp", encoded(leaf, "WEBP", **frames)
    for way in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"tiff-{way}", encoded(leaf, "TIFF", compression=way, exif=exif)
    yield "bmp", encoded(leaf, "BMP")
    yield (
        "gif",
        encoded(leaf.quantize(64), "GIF", save_all=True, append_images=[leaf.rotate(90).quantize(64)]),
    )
    photographs = sorted(scale.data.glob("bracol_severity/images/*.jpg")) if scale.data else []
    for photograph in photographs[: scale.pick(short=1, long=3)]:
        yield f"photograph {photograph.stem}", photograph.read_bytes()


def _bombs(scale: Scale, worker: Worker) -> Tried:
    """Whatever Pillow's own limit; a picture just below ours is read."""
    file, lost, bombs = scale.folder / "bomb.png", [], picture_files.bombs()
    for name, data in bombs.items():
        file.write_bytes(data)
        answer = worker.ask({"file": str(file)})
        if wrong := broken(answer) or ("" if "refused" in answer else "was read"):
            lost.append(f"{name}: {wrong}")
    with file.open("wb") as sparse:
        sparse.truncate(2**34)
    answer = worker.ask({"file": str(file)})
    if wrong := broken(answer) or ("" if "refused" in answer else "was read"):
        lost.append(f"16 GiB of nothing: {wrong}")
    file.write_bytes(picture_files.encoded(Image.new("1", (8_900, 10_000), 1), "PNG"))
    answer = worker.ask({"file": str(file)})
    if wrong := broken(answer, slow=True) or answer.get("refused", ""):
        lost.append(f"89 megapixels: {wrong}")
    file.unlink()
    return Tried(
        "picture-bombs",
        "Small files that would unpack to gigabytes, claim to, or would take minutes; one at the limit.",
        "Refused before a pixel is decoded, within 1 s and 1 GiB; the one at the limit is read.",
        len(bombs) + 2,
        tuple(lost),
        {"mib_at_the_limit": round(answer.get("mib", 0))},
    )


def _no_pictures(scale: Scale, worker: Worker) -> Tried:
    """Other files, no files, and names that nobody expects; nothing hangs, nothing is started."""
    folder = scale.folder / "no-pictures"
    folder.mkdir()
    cases: list[tuple[str, dict[str, Any], bool]] = []
    for name, data in picture_files.strangers().items():
        (folder / f"{name}.jpg").write_bytes(data)
        cases.append((name, {"file": str(folder / f"{name}.jpg")}, False))
    (folder / "a folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    for name, target in {"dangling": "nowhere", "ring": "ring.jpg", "device": "/dev/zero"}.items():
        (folder / f"{name}.jpg").symlink_to(target)
    for name in (
        "a folder.jpg",
        "pipe.jpg",
        "dangling.jpg",
        "ring.jpg",
        "device.jpg",
        "x" * 5_000,
        "a\0b",
        "no/way.jpg",
    ):
        cases.append((name[:20], {"file": f"{folder}/{name}"}, False))
    picture = picture_files.encoded(picture_files.quadrants(), "PNG")
    for name in (
        "with space.jpg",
        "two\nlines.jpg",
        "ünïcödé 葉.jpg",
        "half \udc80.jpg",
        "\x1b[31mred.jpg",
        "n" * 250,
    ):
        (folder / name).write_bytes(picture)
        cases.append((ascii(name)[:20], {"file": f"{folder}/{name}"}, True))
        cases.append((f"missing {ascii(name)[:20]}", {"file": f"{folder}/missing {name}"}, False))
    if os.geteuid() == 0:
        (folder / "secret.jpg").write_bytes(picture)
        (folder / "secret.jpg").chmod(stat.S_IWUSR)
        cases.append(("no right to read", {"file": str(folder / "secret.jpg"), "user": 65_534}, False))
        for parent in (scale.folder, *scale.folder.parents):
            if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & stat.S_IXOTH:
                parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    lost = []
    for name, request, good in cases:
        answer = worker.ask(request)
        if wrong := broken(answer) or ("" if ("refused" in answer) != good else f"answered {answer}"):
            lost.append(f"{name}: {wrong}")
    return Tried(
        "no-pictures",
        "Other files under a picture's name, folders, pipes, devices, links, missing rights, strange names.",
        "One printable sentence at once, no process started; a strange name by itself does no harm.",
        len(cases),
        tuple(lost),
    )


def _doors(scale: Scale, worker: Worker) -> Tried:
    """A bad picture among good ones: in a data set, in a stream, in training, on the command line."""
    run, pictures = scale.folder / "run", scale.folder / "pictures"
    ranks = Ranks(("low", "high"), (0, 1), template="a leaf with {rank} damage")
    L2RCLIP.build(ranks, Config(towers="tiny/random", heads=2, hidden=16)).save(run)
    pictures.mkdir()
    good = picture_files.encoded(picture_files.quadrants(), "PNG")
    for number in range(12):
        (pictures / f"{number}.png").write_bytes(good)
    cells = [
        f"{n}.png,{n % 2},{('train', 'train', 'val', 'val', 'test', 'test')[n % 6]}\n" for n in range(12)
    ]
    (pictures / "labels.csv").write_text("path,label,split\n" + "".join(cells))
    bad: dict[str, bytes] = {name: data for name, data in picture_files.strangers().items()}
    bad |= {"cut off": good[:60], "claims much": picture_files.bombs()["png-that-claims-much"]}
    names = list(bad)[:: scale.pick(short=9, long=1)]
    lost = []
    for name in names:
        answer = worker.ask(
            {"run": str(run), "pictures": str(pictures), "bad": list(bad[name]), "good": list(good)}
        )
        if wrong := answer.get("died") or answer.get("raised") or "; ".join(answer["wrong"]):
            lost.append(f"{name}: {wrong}")
    return Tried(
        "picture-doors",
        "A picture that is none among good ones: in a data set, in a stream, in training, on the command line.",
        "Its row is named; `predict` answers all others, one JSON object a line, and ends with code 2.",
        4 * len(names),
        tuple(lost),
    )


def _through_every_door(request: dict[str, Any]) -> dict[str, Any]:
    """In the worker: what went otherwise than promised, by each door."""
    folder, run = Path(request["pictures"]), request["run"]
    file = folder / "6.png"  # row 8 of the file, the third of the training split
    file.write_bytes(bytes(request["bad"]))
    try:
        data = load_dataset("csv", root=folder, ranks="low,high")
        model = L2RCLIP.load(run)
        config = Config(towers="tiny/random", heads=2, hidden=16, epochs1=1, epochs2=0, threads=1)
        doors: dict[str, Callable[[], object]] = {
            "data set": lambda: [picture for picture, _ in data.train],
            "stream": lambda: Streamed(data.train, model.towers, 2)[torch.arange(len(data.train))],
            "training": lambda: fit(data, config, folder / "new run", quiet=True),
        }
        wrong = [f"{door}: {said}" for door, call in doors.items() if (said := _row_is_named(call))]
        wrong += [f"predict: {said}" for said in _predicted(run, folder)]
    finally:
        file.write_bytes(bytes(request["good"]))
    return {"wrong": wrong}


def _row_is_named(call: Callable[[], object]) -> str:
    try:
        call()
    except InputError as error:
        said = str(error)
        return "" if said.startswith("labels.csv row 8: ") and said.isprintable() else said
    return "nothing was said"


def _predicted(run: str, folder: Path) -> Iterable[str]:
    """`l2rclip predict` on two good pictures, one of them with a name of two lines, around the bad one."""
    strange = folder / "two\nlines \udc80.png"
    strange.write_bytes((folder / "0.png").read_bytes())
    photos = [str(folder / "0.png"), str(folder / "6.png"), str(strange), str(folder / "missing\n.png")]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["predict", run, *photos])
    strange.unlink()
    if code != 2:
        yield f"exit code {code}"
    paths = [json.loads(line)["path"] for line in out.getvalue().splitlines()]
    if paths != [photos[0], photos[2]]:
        yield f"answers for {paths}"
    if [line[:25] for line in err.getvalue().splitlines()] != ["error: predict: the image"] * 2:
        yield f"stderr {err.getvalue()!r}"
