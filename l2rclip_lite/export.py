"""A run as one ONNX file, checked against PyTorch: an image in, probabilities and expectation out.

The text features are fixed once training is over, so the text tower stays behind. Resizing is part
of the graph: to run the file, in a browser or on a server, takes an image decoder and nothing else.
"""

import copy
import importlib.util
import json
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.reading import MapStyle, as_rgb
from l2rclip_lite.errors import InputError, TrainingError, in_one_sentence
from l2rclip_lite.files import write_atomically
from l2rclip_lite.model import L2RCLIP

KEY = "l2rclip"  # of the metadata in the file, JSON
# Largest difference from PyTorch's probabilities on images that need no resizing; the towers agree
# to about 1e-6.
TOLERANCE = 1e-4
PIP = 'pip install "l2rclip-lite[onnx]"'

# As Pillow resizes, up to the rounding of a byte; Pillow takes the height of a tall image first.
RESIZE = """
<ir_version: 10, opset_import: ["" : 18]>
resize (uint8[batch, 3, height, width] pixels) => (uint8[batch, 3, {size}, {size}] resized)
<int64[2] square = {{{size}, {size}}}> {{
    resized = Resize <mode = "cubic", antialias = 1, cubic_coeff_a = -0.5, exclude_outside = 1,
                      axes = [2, 3]> (pixels, , , square)
}}
"""


class _Answers(nn.Module):
    """Compute both answers from resized bytes, in fp32: what torch writes into the file."""

    def __init__(self, model: L2RCLIP) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, resized: UInt8[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch rank"], Float[Tensor, " batch"]]:
        """Return probabilities, and the expectation of the rank values under them."""
        pixels = self.model.towers.normalize(resized.float() / 255)
        probabilities = (self.model(pixels) / self.model.temperature).softmax(dim=1)
        return probabilities, probabilities @ self.model.ranks.values_tensor()


def check_installed() -> None:
    """Refuse to begin where what writes the graph is missing."""
    for name in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"export: {name} is not installed; run: {PIP}")


def export_onnx(model: L2RCLIP, file: str | Path, images: MapStyle) -> float:
    """Write a model as ONNX, if it answers as PyTorch does.

    Input `pixels`: bytes [batch, 3, height, width], RGB, any size. Outputs `probabilities` [batch,
    rank], at the model's temperature, and `expected` [batch], in the unit of the ranks. Metadata,
    under `KEY`: ranks, towers, image size, temperature, and the conformal level of the 90 %
    interval.

    Both get the same bytes, resized by Pillow. Where the file resizes an image itself,
    onnxruntime's bicubic filter differs by one in about one byte of 10,000. Of 252 leaves through a
    tuned tower, one moved by 5e-3 for it, the mean by 6e-5.

    Args:
        model: A finished model on the CPU; one of precision bf16 is written, and compared, in fp32.
        file: Where to write, such as `model.onnx`.
        images: What to check it on, at least one, as a sequence or a map-style dataset.

    Returns:
        The largest difference of a probability from PyTorch's, at most `TOLERANCE`.

    Raises:
        InputError: No image, or a folder that cannot be written.
        TrainingError: The graph answers otherwise than PyTorch; no file is left.
    """
    model = in_single_precision(model)
    squares = ResizedImages(images, model.towers.image_size)
    expected = model.probabilities(model.encode(squares))

    fix = "take other towers; a file of ONNX holds at most 2 GiB"
    with in_one_sentence("export", "no graph can be made of this model", fix):
        data = _graph(model)
    session = open_session(data)
    answers = [answer(session, squares[row][0])[0] for row in range(len(squares))]

    largest = float(np.abs(np.stack(answers) - expected.numpy()).max())
    if not largest <= TOLERANCE:  # so that a NaN is refused, too
        raise TrainingError(
            f"export: the graph differs from PyTorch by up to {largest:.1g} in a probability, more "
            f"than {TOLERANCE:g}; nothing was written; update onnx, onnxscript and onnxruntime."
        )

    write_atomically(Path(file), lambda path: path.write_bytes(data))
    return largest


def in_single_precision(model: L2RCLIP) -> L2RCLIP:
    """Return the model in fp32 and in eval mode; it shares all tensors."""
    model = copy.copy(model)
    model.training = False  # of this copy alone; its parts are shared
    model.config = replace(model.config, precision="fp32")
    return model


def _graph(model: L2RCLIP) -> bytes:
    """Return the bytes of the whole file: resizing, towers, metadata."""
    from onnx import checker, compose, helper, parser

    size = model.towers.image_size
    towers = _graph_of_towers(model)
    resize = parser.parse_model(RESIZE.format(size=size))
    whole = compose.merge_models(resize, towers, io_map=[("resized", "resized")], name=KEY)
    del whole.opset_import[1:]  # the merge names the same operator set twice

    metadata = {
        "ranks": model.ranks.to_dict(),
        "temperature": float(model.temperature),
        "towers": model.config.towers,
        "image_size": size,
        "conformal": float(model.conformal),
    }
    helper.set_model_props(whole, {KEY: json.dumps(metadata, ensure_ascii=False)})
    checker.check_model(whole, full_check=True)
    return bytes(whole.SerializeToString())


def _graph_of_towers(model: L2RCLIP) -> Any:
    """Return the graph from resized bytes to both answers."""
    import onnxscript
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    size = model.towers.image_size
    # two images: a batch of 1 would become a constant
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own old calls
        program: Any = torch.onnx.export(
            _Answers(model),
            (example,),
            opset_version=18,
            input_names=["resized"],
            output_names=["probabilities", "expected"],
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )

    # torch stops folding at a kilobyte; a weight times the scale of a frozen BatchNorm is larger
    onnxscript.optimizer.optimize(program.model, input_size_limit=2**31, output_size_limit=2**31)
    ClearMetadataAndDocStringPass()(program.model)  # stack traces name files of this machine

    graph = program.model_proto
    graph.ir_version = 10
    return graph


def open_session(model: str | Path | bytes) -> Any:
    """Return the runtime, on one CPU thread.

    Official builds of onnxruntime keep a number of the machine and send events to Microsoft, unless
    the environment asks them not to before they are imported; whoever wants that sets
    `ORT_DISABLE_TELEMETRY=0`.

    Args:
        model: A file, or what is in it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answer(session: Any, image: Any) -> tuple[Float[np.ndarray, " rank"], float]:
    """Return probabilities and expectation of one image of any size.

    Args:
        session: Of a file that `export_onnx` wrote, or an 8-bit form of it.
        image: See `data.reading.as_rgb`.
    """
    pixels = np.asarray(as_rgb(image)).transpose(2, 0, 1)[None]
    probabilities, expected = session.run(None, {"pixels": pixels})
    return probabilities[0], float(expected[0])
