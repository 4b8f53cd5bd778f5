"""Images to give to book/browser.md in a browser, and what onnxruntime in Python says about each, for check_browser.mjs.

python tools/browser_answers.py FOLDER [DATA]     -> FOLDER/*.jpg, *.png, FOLDER/answers.json

Real coffee leaves of the test split where DATA, $L2RCLIP_DATA or a shared/data above the project holds bracol_severity,
else drawn ones.
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
# stored lying on its side
EXIF_ORIENTATION = 0x0112
TURNED = 6


def leaves(data: str) -> tuple[Split, str]:
    """Real leaves, or drawn ones, and which."""
    above = [folder / "shared" / "data" for folder in ROOT.parents]
    named = [Path(place) for place in (data, os.environ.get("L2RCLIP_DATA", "")) if place]
    for place in (*named, *above):
        if (place / "bracol_severity").is_dir():
            return load_dataset(
                "bracol", root=str(place / "bracol_severity"), fold=1
            ).test, "real coffee leaves"
    return load_dataset("leaves", size=60, pixels=320).test, "drawn leaves"


def draw(split: Split, folder: Path) -> None:
    """A leaf of every rank as it is, and the shapes and formats that a phone or an editor makes of one."""
    targets = list(split.targets)
    by_rank = [split[targets.index(rank)][0] for rank in sorted(set(targets))]
    for rank, image in enumerate(by_rank):
        image.save(folder / f"rank-{rank}.png")
    leaf = by_rank[-2]
    other = by_rank[1]
    leaf.resize((3000, 2250), Image.Resampling.LANCZOS).save(folder / "phone.jpg", quality=90)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = TURNED
    leaf.rotate(90, expand=True).save(folder / "turned.jpg", quality=92, exif=exif)
    leaf.rotate(90, expand=True).resize((401, 1203)).save(folder / "tall.png")
    other.resize((90, 60)).save(folder / "small.png")
    other.convert("L").save(folder / "grey.jpg", quality=90)
    clear = other.convert("RGBA")
    clear.putalpha(other.convert("L").point(lambda level: 255 if level < 150 else 0))
    clear.save(folder / "transparent.png")


def main(place: str, data: str = "") -> None:
    """Write the images and the answers."""
    folder = Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    split, kind = leaves(data)
    draw(split, folder)
    session = open_session(MODEL)
    answers = {}
    for file in sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png")):
        probabilities, expected = answer(session, read_image(file))
        answers[file.name] = {"probabilities": probabilities.tolist(), "expected": expected}
    text = json.dumps(
        {"pictures": kind, "python": "onnxruntime in Python", "answers": answers}, indent=2
    )
    (folder / "answers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) in (2, 3) else sys.exit(__doc__)
