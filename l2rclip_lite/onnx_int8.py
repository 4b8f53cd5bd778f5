"""An exported run with 8-bit weights, and what that costs: answers that change, and time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from l2rclip_lite import metrics
from l2rclip_lite.data.base import Split
from l2rclip_lite.export import answer, open_session, require_onnx
from l2rclip_lite.files import write_atomically
from l2rclip_lite.progress import track
from l2rclip_lite.ranks import Ranks


@dataclass(frozen=True)
class Measured:
    """One file on one split.

    Args:
        megabytes: Its size, in 10⁶ bytes.
        accuracy: Share of pictures whose most probable rank is the true one.
        mae: Mean absolute error of the most probable rank, in the unit of the ranks.
        pictures_per_second: On one CPU thread, squashing included, decoding not.
        probabilities: A row a picture.
    """

    megabytes: float
    accuracy: float
    mae: float
    pictures_per_second: float
    probabilities: Float[np.ndarray, "batch rank"]


def quantise(file: Path) -> Path:
    """Write `model.int8.onnx` beside `model.onnx`: weights of 8 bits, activations rounded to 8 bits while it runs.

    Depthwise convolutions hold few weights and are slow in whole numbers; they and the last two products, of which the
    probabilities are made, stay as they are. Weights are unsigned: onnxruntime has fast kernels for those only.

    Args:
        file: What `export_onnx` wrote.

    Returns:
        The new file.
    """
    require_onnx()
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    model = onnx.load(file)
    kept = [node.name for node in model.graph.node if _depthwise(node)]
    ends = {name for node in model.graph.node if node.op_type == "Softmax" for name in node.input}
    ends |= {output.name for output in model.graph.output}
    kept += [node.name for node in model.graph.node if node.op_type == "MatMul" and node.output[0] in ends]
    add_pre_process_metadata(
        model
    )  # torch has folded and shaped it already; else a warning asks for just that
    out = file.with_suffix(f".int8{file.suffix}")

    def write(path: Path) -> None:
        quantize_dynamic(model, path, weight_type=QuantType.QUInt8, nodes_to_exclude=kept)

    write_atomically(out, write)
    return out


def _depthwise(node: Any) -> bool:
    """Whether a node is a convolution in groups."""
    return node.op_type == "Conv" and any(each.name == "group" and each.i > 1 for each in node.attribute)


def measure(file: Path, split: Split, ranks: Ranks, *, quiet: bool = True) -> Measured:
    """Run a file over a split, a picture at a time.

    Args:
        file: What `export_onnx` or `quantise` wrote.
        split: At least one picture.
        ranks: Those of the model.
        quiet: Whether to hide the progress bar.
    """
    session, rows, seconds = open_session(file), [], 0.0
    answer(session, split[0][0])  # the first call also allocates
    for index in track(range(len(split)), f"running {file.name}", quiet=quiet):
        picture = split[index][0]
        start = time.perf_counter()
        rows.append(answer(session, picture)[0])
        seconds += time.perf_counter() - start
    found = np.array(rows)
    predicted = found.argmax(1)
    return Measured(
        file.stat().st_size / 1e6,
        metrics.accuracy(split.targets, predicted, ranks),
        metrics.mae(split.targets, predicted, ranks),
        len(split) / seconds,
        found,
    )
