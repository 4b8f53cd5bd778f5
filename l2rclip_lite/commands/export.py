"""`l2rclip export`: a finished run as one ONNX file."""

import math
import sys
from typing import TYPE_CHECKING

from l2rclip_lite.commands.common import Method, OutFile, Place, RunFolder, Where
from l2rclip_lite.commands.finished_run import data_of, load_model
from l2rclip_lite.errors import InputError, plural

if TYPE_CHECKING:
    from PIL import Image


MAX_IMAGES = 64  # that a file is checked on


def export(
    run: RunFolder,
    file: OutFile,
    method: Method = None,
    allow_download: bool = False,
    where: Where = Place(),
) -> None:
    """Write a finished run as one ONNX file, checked against PyTorch before it is kept.

    Try:
      l2rclip export runs/mine model.onnx
          image tower, text features, probabilities and expectation in one file, which needs no
          Python
      l2rclip export leaves leaves.onnx
          the model that ships with the package

    Input of the file: pixels, bytes [batch, 3, height, width], RGB, of any size. Outputs:
    probabilities [batch, rank], at the temperature of the model, and expected [batch]. Its
    metadata, under the key l2rclip, names the ranks and holds the level of the 90 % interval,
    conformal (`Prediction.of`).

    It is kept if no probability differs from PyTorch by more than 0.0001 on test images of the run,
    resized alike; what resizing by the file itself adds is printed beside. Where the images of the
    run are not at hand, drawn leaves stand in for them.

    Args:
        run: The --out of a finished fit, or leaves or leaves-percent.
        file: What to write, such as model.onnx.
        method: A baseline of the run, such as sord, in place of L2RCLIP.
        allow_download: Let weights and tokenizer that the run names be downloaded, where this
            machine lacks them.
        where: Where to find data.
    """
    if file.suffix != ".onnx":
        raise InputError(f"export: {file} must end in .onnx.")
    from l2rclip_lite.files import check_target

    check_target(file)
    from l2rclip_lite.export import check_installed, export_onnx, resizing_difference

    check_installed()  # before the model is loaded
    model = load_model(run, method, allow_download=allow_download)
    images = _images_of(run, where)
    print("writing the graph, and comparing it with PyTorch", file=sys.stderr, flush=True)

    largest, n_images = export_onnx(model, file, images)
    resized_largest, resized_mean = resizing_difference(model, file, images)

    size = file.stat().st_size / 1e6
    print(f"{file}: {size:.1f} MB, input pixels, outputs probabilities and expected")
    images_checked = plural(n_images, "image")
    print(f"largest difference from PyTorch: {largest:.1g} in a probability, on {images_checked}")
    print(
        f"where the file resizes them itself: {resized_largest:.1g}, on average {resized_mean:.1g}"
    )


def _images_of(run: str, where: Place) -> "list[Image.Image]":
    """Return test images of the run, or drawn leaves where its own are not at hand."""
    from l2rclip_lite.data import load_dataset

    try:
        part = data_of(run, where).test
    except InputError:
        if where != Place():
            raise
        print(
            "its own images are not at hand (--root names their folder): checked on drawn leaves",
            file=sys.stderr,
        )
        part = load_dataset("leaves", size=60, pixels=320).test

    step = math.ceil(len(part) / MAX_IMAGES)
    return [part[index][0] for index in range(0, len(part), step)]
