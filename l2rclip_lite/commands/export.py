"""`l2rclip export`: a finished run as one ONNX file."""

import sys
from typing import TYPE_CHECKING

from l2rclip_lite.errors import InputError

if TYPE_CHECKING:
    pass
from l2rclip_lite.commands.common import File, Method, Place, Run, Where, data_of, load_model


def export(
    run: Run,
    file: File,
    method: Method = None,
    allow_download: bool = False,
    where: Where = Place(),
) -> None:
    """Write a finished run as one ONNX file, checked against PyTorch before it is kept.

    Try:
      l2rclip export runs/mine model.onnx
          image tower, text features, probabilities and expectation in one file, which needs no Python

    Input of the file: pixels, bytes [batch, 3, height, width], RGB, of any size. Outputs: probabilities [batch, rank],
    at the temperature of the model, and expected [batch]. Its metadata, under the key l2rclip, names the ranks and
    holds the level of the 90 % interval, conformal (`Prediction.of`).

    Args:
        run: The --out of a finished fit.
        file: What to write, such as model.onnx.
        method: A baseline of the run, such as sord, in place of L2RCLIP.
        allow_download: Let weights and tokenizer that the run names be downloaded, where this machine lacks them.
        where: Where to find data.
    """
    if file.suffix != ".onnx":
        raise InputError(f"export: {file} must end in .onnx.")
    from l2rclip_lite.export import export_onnx

    model = load_model(run, method, allow_download=allow_download)
    found = data_of(run, where)
    print("writing the graph, and comparing it with PyTorch", file=sys.stderr, flush=True)
    some = found.test[:: max(1, len(found.test) // 64)]
    difference, images = export_onnx(model, file, (some[index][0] for index in range(len(some))))
    print(
        f"{file}: {file.stat().st_size / 1e6:.1f} MB, input pixels, outputs probabilities and expected"
    )
    print(f"largest difference from PyTorch: {difference:.1g} in a probability, on {images} images")
