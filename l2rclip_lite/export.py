"""A run as one ONNX file, checked against PyTorch: an image in, probabilities and expectation out.

The text features are fixed once training is over, so the text tower stays behind. Resizing is part
of the graph: to run the file, in a browser or on a server, takes an image decoder and nothing else.
"""

import copy
import importlib.util
import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.reading import as_rgb
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import write_atomically
from l2rclip_lite.method.model import L2RCLIP

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


def export_onnx(
    model: L2RCLIP, file: str | Path, images: Iterable[Image.Image]
) -> tuple[float, int]:
    """Write a model as ONNX, if it answers as PyTorch does.

    Input `pixels`: bytes [batch, 3, height, width], RGB, any size. Outputs `probabilities` [batch,
    rank], at the model's temperature, and `expected` [batch], in the unit of the ranks. Metadata,
    under `KEY`: ranks, towers, image size, temperature, and the conformal level of the 90 %
    interval.

    Both get the same bytes, resized by Pillow; `resizing_difference` says what the resizing in the
    file adds.

    Args:
        model: A finished model on the CPU; one of precision bf16 is written, and compared, in fp32.
        file: Where to write, such as `model.onnx`.
        images: What to check it on, at least one; each is compared alone.

    Returns:
        The largest difference from PyTorch, of a probability or of the expectation in shares of the
        span of the ranks, at most `TOLERANCE`; and how many images it was checked on.

    Raises:
        InputError: No image, or a folder that cannot be written.
        TrainingError: The graph answers otherwise than PyTorch; no file is left.
    """
    model = in_single_precision(model)
    data = _graph(model)
    session = open_session(data)
    resized = (at_size_of_towers(image, model) for image in images)
    differences = [_difference(session, model, image) for image in resized]

    if not differences:
        raise InputError("export: no image to check the file on; give at least one.")

    largest = float(np.max(differences))
    if not largest <= TOLERANCE:  # so that a NaN is refused, too
        apart = (
            f"differs from PyTorch by up to {largest:.1g} in a probability, more than {TOLERANCE:g}"
        )
        cure = "nothing was written; update onnx, onnxscript and onnxruntime"
        raise TrainingError(f"export: the graph {apart}; {cure}.")

    write_atomically(Path(file), lambda path: path.write_bytes(data))
    return largest, len(differences)


def resizing_difference(
    model: L2RCLIP, file: str | Path, images: Iterable[Image.Image]
) -> tuple[float, float]:
    """Return how far a file and PyTorch are apart where each resizes the images itself.

    onnxruntime computes where its bicubic filter stands in single precision, so about one byte in
    10,000 of a resized image differs by one from Pillow's. Of 252 leaves through a tuned tower, one
    moved by 5e-3 for it, the mean by 6e-5.

    Args:
        model: What was written.
        file: What `export_onnx` wrote.
        images: At least one, of any size.

    Returns:
        The largest difference, and the mean over images; of a probability, as in `export_onnx`.
    """
    model = in_single_precision(model)
    session = open_session(file)
    differences = [_difference(session, model, image) for image in images]
    return float(np.max(differences)), float(np.mean(differences))


def in_single_precision(model: L2RCLIP) -> L2RCLIP:
    """Return the model in fp32 and in eval mode; it shares all tensors."""
    model = copy.copy(model)
    model.training = False  # of this copy alone; its parts are shared
    model.config = replace(model.config, precision="fp32")
    return model


def at_size_of_towers(image: Image.Image, model: L2RCLIP) -> Image.Image:
    """Return an image at the size of the towers, so that it is resized no more."""
    pixels, _ = ResizedImages([image], model.towers.image_size)[0]
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def _difference(session: Any, model: L2RCLIP, image: Image.Image) -> float:
    """Return the largest difference of a probability or of the expectation.

    That of the expectation is in shares of the span of the ranks.
    """
    prediction = model.predict([image])
    probabilities, expected = answer(session, image)
    span = float(np.ptp(model.ranks.values))

    of_probabilities = np.abs(probabilities - prediction.probabilities[0].numpy()).max()
    of_expectation = abs(expected - float(prediction.expected[0])) / span
    return float(np.max([of_probabilities, of_expectation]))  # a NaN stays one


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
