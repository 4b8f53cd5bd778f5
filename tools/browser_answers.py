"""Images for book/browser.md and the answers of onnxruntime in Python, for check_browser.mjs.

python tools/browser_answers.py FOLDER [DATA]     -> FOLDER/*.jpg, *.png, FOLDER/answers.json

Real coffee leaves of the test split where DATA holds bracol_severity, else drawn ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from l2rclip_lite.data import load_dataset, read_image
from l2rclip_lite.export import answer, open_session
from l2rclip_lite.files import write_json

MODEL = Path(__file__).resolve().parents[1] / "book" / "_static" / "browser" / "model.onnx"
EXIF_ORIENTATION = 0x0112
TURNED = 6  # stored lying on its side


def pictures(data: str) -> tuple[str, dict[str, Image.Image]]:
    """Return of what the pictures are, and them: a leaf of every rank, and other shapes of one."""
    kind = "drawn leaves"
    split = load_dataset("leaves", size=60, pixels=320).test
    if data:
        kind = "real coffee leaves"
        split = load_dataset("bracol", root=Path(data, "bracol_severity"), fold=1).test

    targets = list(split.targets)
    ranks = sorted(set(targets))
    made = {f"rank-{rank}.png": split[targets.index(rank)][0] for rank in ranks}
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
    return kind, made


def main(folder: Path, data: str = "") -> None:
    """Write the images and the answers."""
    kind, made = pictures(data)
    session = open_session(MODEL)
    answers = {}
    for name, picture in made.items():
        exif = picture.getexif()
        if name == "turned.jpg":
            exif[EXIF_ORIENTATION] = TURNED
        picture.save(folder / name, quality=90, exif=exif)
        probabilities, expected = answer(session, read_image(folder / name))
        answers[name] = {"probabilities": probabilities.tolist(), "expected": expected}

    content = {"pictures": kind, "python": "onnxruntime in Python", "answers": answers}
    write_json(folder / "answers.json", content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
