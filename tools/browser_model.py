"""Train and export the 8-bit model of book/browser.md, and write down what it can do.

python tools/browser_model.py DATA       DATA holds bracol_severity; minutes on one core
    -> book/_static/browser/model.onnx   what the page runs
    -> book/_static/browser/model.json   its ranks, for the page
    -> book/_static/browser/leaf.png     a drawn leaf to try it on
    -> book/_static/browser/scores.md    test results in fp32 and in 8 bits, for the page
    -> book/results/browser.json         the same with intervals, and the settings

The run stays in runs/browser: a second call only exports.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from l2rclip_book.plots import rank_colours
from l2rclip_book.results import markdown_table
from l2rclip_lite import Config, evaluate, fit, load_dataset
from l2rclip_lite.data import Options, OrdinalDataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.export import KEY, answer, export_onnx, open_session
from l2rclip_lite.files import sha256_of, write_atomically, write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book" / "_static" / "browser"
RESULTS = ROOT / "book" / "results"
CONFIG = Config(image_size=160, epochs1=8, epochs2=8, batch_size=32, device="cpu", threads=1)
SCORES = ("accuracy", "mae", "qwk")


def measured(method: str, file: Path, data: OrdinalDataset) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the probabilities of the test images, and their scores."""
    session = open_session(file)
    images = [data.test[index][0] for index in range(len(data.test))]
    probabilities = np.array([answer(session, image)[0] for image in images])
    scores = evaluate(
        torch.tensor(probabilities), torch.tensor(data.test.targets), data.ranks, intervals=True
    )
    row = {"method": method, "MB": round(file.stat().st_size / 1e6, 3), "n": len(data.test)}
    for name in SCORES:
        for end in ("", "_low", "_high"):
            row[name + end] = round(scores[name + end], 6)
    return probabilities, row


def scores_table(rows: list[dict[str, Any]]) -> str:
    """Return the scores as the page shows them."""
    cells = []
    for row in rows:
        numbers = [f"{row[name]:.3f}" for name in ("MB", *SCORES)]
        cells.append([row["method"], *numbers])
    return markdown_table(["method", "MB", "accuracy", "MAE (grades)", "QWK"], cells, numbers=True)


def quantise(file: str | Path) -> Path:
    """Write `model.int8.onnx` beside `model.onnx`, with weights of 8 bits.

    Activations are rounded to 8 bits while it runs. Depthwise convolutions hold few weights and are
    slow in whole numbers; they and the last two products, which make the probabilities, stay in
    single precision. Weights are unsigned: onnxruntime has fast kernels for those only.

    Args:
        file: What `export_onnx` wrote.

    Returns:
        The new file, about a third of the size.
    """
    model = onnx.load(file)
    depthwise = []
    products = []
    for node in model.graph.node:
        groups = [attribute.i for attribute in node.attribute if attribute.name == "group"]
        if max(groups, default=1) > 1:
            depthwise.append(node.name)
        if node.op_type in ("Gemm", "MatMul"):
            products.append(node.name)
    add_pre_process_metadata(model)  # torch has done what a warning would ask for

    def write(path: Path) -> None:
        quantize_dynamic(
            model,
            path,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=[*depthwise, *products[-2:]],
        )

    out = Path(file).with_suffix(".int8.onnx")
    write_atomically(out, write)
    return out


def write_beside_model(n_ranks: int) -> None:
    """Write what the page shows of its model, colours and size, and a leaf of the middle rank."""
    model = PAGE / "model.onnx"
    description = json.loads(open_session(model).get_modelmeta().custom_metadata_map[KEY])
    colours = [to_hex(colour) for colour in rank_colours(n_ranks)]
    facts = {"colours": colours, "bytes": model.stat().st_size}
    write_json(PAGE / "model.json", description | facts)

    drawn = load_dataset("leaves", ranks=5, size=60, seed=0, pixels=320).test
    leaf = drawn[list(drawn.targets).index(2)][0]
    write_atomically(PAGE / "leaf.png", lambda path: leaf.save(path, format="PNG", optimize=True))


def main(folder: str) -> None:
    """Train what is missing, export, measure, write."""
    torch.set_num_threads(1)
    options: Options = {"root": str(Path(folder, "bracol_severity").absolute()), "fold": 1}
    data = load_dataset("bracol", **options)
    source = {"name": "bracol", **options}
    model = fit(data, CONFIG, ROOT / "runs" / "browser", source=source).model

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "model.onnx")
        difference = export_onnx(model, file, data.test)
        full, full_row = measured("fp32", file, data)
        small_file = quantise(file)
        small, small_row = measured("int8", small_file, data)
        write_atomically(PAGE / "model.onnx", lambda path: shutil.copyfile(small_file, path))

    write_beside_model(len(data.ranks))
    rows = [full_row, small_row]
    write_text(PAGE / "scores.md", scores_table(rows) + "\n")

    changes = {
        "changed_ranks": round(float((full.argmax(1) != small.argmax(1)).mean()), 4),
        "largest_change": round(float(np.abs(full - small).max()), 4),
    }
    counts = {split: len(data.split(split)) for split in SPLITS}
    facts = {
        "data": {"name": "bracol", "fold": 1, "counts": counts},
        "config": CONFIG.to_dict(),
        "seed": CONFIG.seed,
        "temperature": float(model.temperature),
        "difference_from_pytorch": float(f"{difference:.2g}"),
        "checked_images": len(data.test),
        "int8": changes,
        "model_sha256": sha256_of(PAGE / "model.onnx"),
        "results": rows,
    }
    write_json(RESULTS / "browser.json", facts)
    print(scores_table(rows), json.dumps(changes), sep="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
