"""Images for book/browser.md and the answers of onnxruntime in Python, for check_browser.mjs.

python tools/browser_answers.py FOLDER     -> FOLDER/*.jpg, *.png, FOLDER/answers.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import ExifTags, Image

from l2rclip_lite.data import load_dataset, read_image
from l2rclip_lite.export import answer, open_session
from l2rclip_lite.files import write_json

MODEL = Path(__file__).resolve().parents[1] / "book" / "_static" / "browser" / "model.onnx"


def pictures() -> dict[str, Image.Image]:
    """Return a drawn leaf of every rank, and other shapes of one."""
    split = load_dataset("leaves", size=60, pixels=320).test
    targets = list(split.targets)
    made = {f"rank-{rank}.png": split[targets.index(rank)][0] for rank in range(5)}
    leaf = made["rank-1.png"]
    grey = leaf.convert("L")
    clear = leaf.convert("RGBA")
    clear.putalpha(grey.point(lambda level: 255 if level < 150 else 0))
    made |= {
        "phone.jpg": leaf.resize((3000, 2250), Image.Resampling.LANCZOS),
        "turned.jpg": leaf.rotate(90, expand=True),
        "tall.png": leaf.resize((401, 1203)),
        "small.png": leaf.resize((90, 60)),
        "grey.jpg": grey,
        "transparent.png": clear,
    }
    return made


def main(folder: Path) -> None:
    """Write the images and the answers."""
    session = open_session(MODEL)
    answers = {}
    for name, picture in pictures().items():
        exif = picture.getexif()
        if name == "turned.jpg":
            exif[ExifTags.Base.Orientation] = 6  # stored lying on its side
        picture.save(folder / name, quality=90, exif=exif)
        probabilities, expected = answer(session, read_image(folder / name))
        answers[name] = {"probabilities": probabilities.tolist(), "expected": expected}
    write_json(folder / "answers.json", answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
