"""Images for book/browser.md and the answers of onnxruntime in Python, for check_browser.mjs.

python tools/browser_answers.py FOLDER [DATA]     -> FOLDER/*.jpg, *.png, FOLDER/answers.json

Real coffee leaves of the test split where DATA, $L2RCLIP_DATA or a shared/data above the project
holds bracol_severity, else drawn ones.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from PIL import Image

from l2rclip_lite.data import Split, load_dataset, read_image
from l2rclip_lite.export import answer, open_session

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "book" / "_static" / "browser" / "model.onnx"
EXIF_ORIENTATION = 0x0112
TURNED = 6  # stored lying on its side


def leaves(data: str) -> tuple[Split, str]:
    """Return real leaves, or drawn ones, and which they are."""
    named_folders = [Path(name) for name in (data, os.environ.get("L2RCLIP_DATA", "")) if name]
    above = [folder / "shared" / "data" for folder in ROOT.parents]
    for folder in (*named_folders, *above):
        root = folder / "bracol_severity"
        if root.is_dir():
            return load_dataset("bracol", root=str(root), fold=1).test, "real coffee leaves"
    return load_dataset("leaves", size=60, pixels=320).test, "drawn leaves"


def draw(split: Split, folder: Path) -> None:
    """Write a leaf of every rank as it is, and of two the shapes of phones and editors."""
    targets = list(split.targets)
    by_rank = [split[targets.index(rank)][0] for rank in sorted(set(targets))]
    for rank, image in enumerate(by_rank):
        image.save(folder / f"rank-{rank}.png")
    _write_as_a_phone(by_rank[-2], folder)
    _write_as_an_editor(by_rank[1], folder)


def _write_as_a_phone(leaf: Image.Image, folder: Path) -> None:
    """Write a large image, one that is stored lying on its side, and a tall one."""
    large = leaf.resize((3000, 2250), Image.Resampling.LANCZOS)
    large.save(folder / "phone.jpg", quality=90)

    turned = leaf.rotate(90, expand=True)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = TURNED
    turned.save(folder / "turned.jpg", quality=92, exif=exif)
    turned.resize((401, 1203)).save(folder / "tall.png")


def _write_as_an_editor(leaf: Image.Image, folder: Path) -> None:
    """Write a small image, a grey one, and one with a clear ground."""
    leaf.resize((90, 60)).save(folder / "small.png")
    grey = leaf.convert("L")
    grey.save(folder / "grey.jpg", quality=90)

    clear = leaf.convert("RGBA")
    clear.putalpha(grey.point(lambda level: 255 if level < 150 else 0))
    clear.save(folder / "transparent.png")


def main(place: str, data: str = "") -> None:
    """Write the images and the answers."""
    folder = Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    split, kind = leaves(data)
    draw(split, folder)

    session = open_session(MODEL)
    answers = {}
    for file in sorted(folder.iterdir()):
        if file.suffix in (".jpg", ".png"):
            probabilities, expected = answer(session, read_image(file))
            answers[file.name] = {"probabilities": probabilities.tolist(), "expected": expected}

    content = {"pictures": kind, "python": "onnxruntime in Python", "answers": answers}
    text = json.dumps(content, indent=2)
    (folder / "answers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
