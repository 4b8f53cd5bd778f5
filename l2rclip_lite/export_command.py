"""The command `l2rclip export`: a finished run as one ONNX file, checked before it is kept.

Whatever needs torch is imported when the command runs, so that help answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from l2rclip_lite.errors import InputError
from l2rclip_lite.options import Parser

if TYPE_CHECKING:
    from l2rclip_lite.data.base import Split
    from l2rclip_lite.ranks import Ranks

EXAMPLES = """examples:
  l2rclip export runs/mine model.onnx
      image tower, text prototypes, probabilities and expectation in one file, which needs neither Python nor this package
  l2rclip export runs/mine model.onnx --int8
      also model.int8.onnx, about a third of the size; prints what that costs on the run's test pictures
  l2rclip export runs/mine model.onnx --root /where/the/pictures/are/now

Input of the file: pixels, bytes [batch, 3, height, width], RGB, any size, not squashed. Outputs: probabilities
[batch, rank], at the temperature of `l2rclip calibrate`, and expected [batch]. Its metadata, under the key l2rclip,
names the ranks. It is compared with PyTorch before it is kept; more than 1e-4 apart, and there is no file."""
CHECKED = 64  # test pictures, evenly spaced, that the file is checked on
DRAWN = 16  # leaves instead, where the run's data cannot be read


def export_parser() -> Parser:
    """The options of `l2rclip export`.

    Example:
        >>> export_parser().parse_args(["runs/mine", "model.onnx", "--int8"]).int8
        True
    """
    parser = Parser("l2rclip export RUN FILE [options]", "Write a finished run as one ONNX file.", EXAMPLES)
    parser.add_argument("run", type=str, metavar="RUN", help="The --out of a finished fit.")
    parser.add_argument("file", type=str, metavar="FILE", help="What to write, such as model.onnx.")
    parser.add_argument(
        "--int8", action="store_true", help="Also write 8-bit weights, and measure what they cost."
    )
    parser.add_argument("--root", type=str | None, help="Where the data lies now, if it has moved.")
    parser.add_argument("--lists", type=str | None, help="Where the split lists lie now, if they have moved.")
    return parser


def run_export(options: Namespace) -> int:
    """Run `l2rclip export`.

    Args:
        options: What `export_parser` makes of a command line.

    Returns:
        0.

    Raises:
        InputError: A name that does not end in .onnx, no finished run, packages that are missing.
        TrainingError: The file answers otherwise than PyTorch; it is not kept.

    Example:
        >>> run_export(export_parser().parse_args(["runs/mine", "model.pt"]))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: export: model.pt must end in .onnx.
    """
    file = Path(options.file)
    if file.suffix != ".onnx":
        raise InputError(f"export: {file} must end in .onnx.")
    from l2rclip_lite.export import export_onnx, require_onnx
    from l2rclip_lite.model import L2RCLIP

    require_onnx()
    model = L2RCLIP.load(options.run)
    split, where = _pictures(options, model.towers.image_size)
    step = max(1, len(split) // CHECKED)
    chosen = split[::step][:CHECKED]
    done = export_onnx(model, file, (chosen[index][0] for index in range(len(chosen))))
    print(f"{done.file}: {done.megabytes:.1f} MB, input pixels, outputs probabilities and expected")
    if model.temperature != 1:
        print(f"at temperature {model.temperature:.2f}, from {Path(options.run) / 'calibration.json'}")
    print(
        f"largest difference from PyTorch: {done.difference:.1g} in a probability, on {done.pictures} {where}"
    )
    if options.int8:
        _int8(file, split, model.ranks, where)
    return 0


def _pictures(options: Namespace, size: int) -> tuple[Split, str]:
    """The run's test pictures; where they cannot be read and no folder was named, drawn leaves; and what they are."""
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.rundir import read_data

    try:
        return read_data(Path(options.run), root=options.root, lists=options.lists).test, "test pictures"
    except InputError as error:
        if options.root or options.lists or options.int8:  # the cost of int8 needs labels
            raise
        print(f"note: checked on drawn leaves, since the run's pictures are not here: {error}")
        leaves = load_dataset("leaves", size=60, pixels=max(64, size + 7)).train
        return leaves[:DRAWN], "drawn leaves"


def _int8(file: Path, split: Split, ranks: Ranks, where: str) -> None:
    """Write the small file, and both files' size, speed and scores side by side."""
    from l2rclip_lite.onnx_int8 import measure, quantise

    small = quantise(file)
    before, after = (measure(each, split, ranks, quiet=False) for each in (file, small))
    changed = (before.probabilities.argmax(1) != after.probabilities.argmax(1)).mean()
    print(f"\n{small}: on all {len(split)} {where}")
    mae = f"MAE ({ranks.unit})"
    width = max(22, len(mae) + 2)
    print(f"{'':<{width}}{'fp32':>10}{'int8':>10}")
    for name, digits, field in (
        ("MB", 1, "megabytes"),
        ("accuracy", 3, "accuracy"),
        (mae, 3, "mae"),
        ("pictures a second", 1, "pictures_per_second"),
    ):
        print(f"{name:<{width}}" + "".join(f"{getattr(e, field):>10.{digits}f}" for e in (before, after)))
    moved = abs(before.probabilities - after.probabilities).max()
    print(f"{100 * changed:.1f} % of the pictures get another rank; a probability moves by up to {moved:.2g}")
    if after.pictures_per_second <= before.pictures_per_second:
        print("note: int8 is smaller, not faster, on this machine")
