"""Pictures to give to book/browser.md in a browser, and what Python says about each: for tools/check_browser.mjs.

python tools/browser_answers.py FOLDER [DATA]     -> FOLDER/*.jpg, *.png, FOLDER/answers.json

Real coffee leaves of the test split where DATA, $L2RCLIP_DATA or a shared/data above the project holds bracol_severity, else
drawn ones. The answers are PyTorch's where runs/browser holds the run that the page's model was exported from, else
those of onnxruntime on the page's own model.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from l2rclip_lite import L2RCLIP
from l2rclip_lite.calibration_file import fingerprint_of
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import Split
from l2rclip_lite.data.files import read_image
from l2rclip_lite.export import answer, open_session

ROOT = Path(__file__).resolve().parent.parent
RUN, MODEL = ROOT / "runs" / "browser", ROOT / "book" / "_static" / "browser" / "model.onnx"
RESULTS = ROOT / "book" / "results" / "browser.json"
EXIF_ORIENTATION, TURNED = 0x0112, 6  # stored lying on its side


def leaves(data: str) -> tuple[Split, str]:
    """Real leaves, or drawn ones, and which."""
    above = [folder / "shared" / "data" for folder in (ROOT, *ROOT.parents)]
    given = [Path(place) for place in (data, os.environ.get("L2RCLIP_DATA", "")) if place]
    for place in (*given, *above):
        if (place / "bracol_severity").is_dir():
            return load_dataset(
                "bracol", root=str(place / "bracol_severity"), fold=1
            ).test, "real coffee leaves"
    return load_dataset("leaves", size=60, pixels=320).test, "drawn leaves"


def draw(split: Split, folder: Path) -> None:
    """A leaf of every rank as it is, and the shapes and formats that a phone or an editor makes of one."""
    by_rank = [split.targets.index(rank) for rank in sorted(set(split.targets))]
    for rank, index in enumerate(by_rank):
        source = split.paths[index]
        split[index][0].save(
            folder / f"rank-{rank}.png" if source.endswith("png") else folder / f"rank-{rank}.jpg", quality=95
        )
    leaf, other = split[by_rank[-2]][0], split[by_rank[1]][0]
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


def judge() -> tuple[Callable[[Image.Image], tuple[list[float], float]], str]:
    """What Python says about a picture, and who says it."""
    facts = json.loads(RESULTS.read_text(encoding="utf-8"))
    weights = RUN / "model.safetensors"
    if weights.is_file() and facts["run_sha256"] == fingerprint_of(weights):
        model = L2RCLIP.load(RUN)

        def by_torch(picture: Image.Image) -> tuple[list[float], float]:
            found = model.predict([picture])
            return found.probabilities[0].tolist(), float(found.expected[0])

        return by_torch, "PyTorch"
    session = open_session(MODEL)

    def by_runtime(picture: Image.Image) -> tuple[list[float], float]:
        probabilities, expected = answer(session, picture)
        return probabilities.tolist(), expected

    return by_runtime, "onnxruntime in Python"


def main() -> None:
    """Write the pictures and the answers."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    split, kind = leaves(sys.argv[2] if len(sys.argv) > 2 else "")
    draw(split, folder)
    say, who = judge()
    found = {}
    for file in sorted(folder.iterdir()):
        if file.suffix in (".jpg", ".png"):
            probabilities, expected = say(read_image(file, "browser_answers"))
            found[file.name] = {"probabilities": probabilities, "expected": expected}
    text = json.dumps({"pictures": kind, "python": who, "answers": found}, indent=2)
    (folder / "answers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
