"""Train, calibrate and export the model of book/browser.md, and write down what it can do.

python tools/browser_model.py DATA     DATA holds bracol_severity; minutes on one core
    -> book/_static/browser/model.onnx        the model that the page runs
    -> book/_static/browser/model.json        its ranks, for the page
    -> book/_static/browser/leaf.png          a drawn leaf to try it on
    -> book/results/browser.json, .csv   settings, seed and test results, in fp32 and in 8 bits

The run stays in runs/browser: a second call only exports.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import to_hex
from PIL import Image

from l2rclip_lite import L2RCLIP, Config
from l2rclip_lite.calibration import calibrate
from l2rclip_lite.calibration_file import fingerprint_of
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import Split
from l2rclip_lite.export import export_onnx, read_metadata
from l2rclip_lite.files import write_atomically, write_json, write_text
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.onnx_int8 import Measured, measure, quantise
from l2rclip_lite.plots import rank_colours
from l2rclip_lite.rundir import versions
from l2rclip_lite.training import fit

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "book" / "_static" / "browser", ROOT / "book" / "results"
CONFIG = Config(image_size=160, epochs1=8, epochs2=8, batch_size=32, seed=0, device="cpu", threads=1)
FOLD = 1
KEPT = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "mae",
    "mae_low",
    "mae_high",
    "qwk",
    "qwk_low",
    "qwk_high",
)


def pictures(split: Split) -> Iterator[Image.Image]:
    """Every picture, one at a time."""
    return (split[index][0] for index in range(len(split)))


def draw_leaf(file: Path) -> None:
    """A leaf of the middle rank, by the package's generator."""
    test = load_dataset("leaves", ranks=5, size=60, seed=0, pixels=320).test
    write_atomically(
        file, lambda path: test[test.targets.index(2)][0].save(path, format="PNG", optimize=True)
    )


def row(method: str, found: Measured, data: OrdinalDataset) -> dict[str, Any]:
    """One line of browser.csv."""
    scores = evaluate(
        torch.tensor(found.probabilities), torch.tensor(data.test.targets), data.ranks, intervals=True
    )
    figures = {"method": method, "MB": round(found.megabytes, 3), "n": len(data.test)}
    return figures | {name: round(scores[name], 6) for name in KEPT}


def main() -> None:
    """Train what is missing, export, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder that holds bracol_severity")
    torch.set_num_threads(1)
    source = {
        "name": "bracol",
        "root": str((parser.parse_args().data / "bracol_severity").absolute()),
        "fold": FOLD,
    }
    data, folder = load_dataset(**source), ROOT / "runs" / "browser"
    fit(data, CONFIG, folder, source=source)
    found = calibrate(L2RCLIP.load(folder, calibrated=False), data.val, folder)
    model = L2RCLIP.load(folder)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.onnx"
        done = export_onnx(model, file, pictures(data.test))
        full, small = measure(file, data.test, data.ranks), measure(quantise(file), data.test, data.ranks)
        write_atomically(PAGE / "model.onnx", lambda path: shutil.copyfile(file, path))
    meta = read_metadata(PAGE / "model.onnx")
    colours = [to_hex(colour) for colour in rank_colours(len(data.ranks))]
    write_json(
        PAGE / "model.json", meta | {"colours": colours, "bytes": (PAGE / "model.onnx").stat().st_size}
    )
    draw_leaf(PAGE / "leaf.png")
    table = pd.DataFrame([row("fp32", full, data), row("int8", small, data)])
    write_text(RESULTS / "browser.csv", table.to_csv(index=False, lineterminator="\n"))
    moved = np.abs(full.probabilities - small.probabilities).max()
    changed = (full.probabilities.argmax(1) != small.probabilities.argmax(1)).mean()
    facts = {
        "data": {
            "name": "bracol",
            "fold": FOLD,
            "counts": {s: len(data.split(s)) for s in ("train", "val", "test")},
        },
        "config": CONFIG.to_dict(),
        "seed": CONFIG.seed,
        "versions": versions(),
        "temperature": found.temperature,
        "difference_from_pytorch": float(f"{done.difference:.2g}"),
        "checked_pictures": done.pictures,
        "int8": {"changed_ranks": round(float(changed), 4), "largest_change": round(float(moved), 4)},
        "model_sha256": fingerprint_of(PAGE / "model.onnx"),
        "run_sha256": fingerprint_of(folder / "model.safetensors"),
        "results": json.loads(table.to_json(orient="records")),
    }
    write_json(RESULTS / "browser.json", facts)
    print(table.to_string(index=False), f"\ntemperature {found.temperature:.3f}", json.dumps(facts["int8"]))
    print(
        f"speed, pictures a second: fp32 {full.pictures_per_second:.0f}, int8 {small.pictures_per_second:.0f}"
    )


if __name__ == "__main__":
    main()
