"""What is made of a finished run: `l2rclip baselines`, `compare`, `report` and `export`."""

import sys
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from l2rclip_lite.commands.options import (
    How,
    MethodNames,
    OutFile,
    Place,
    Reading,
    RunFolder,
    Where,
)
from l2rclip_lite.errors import InputError, plural

REPORTS = "l2rclip_lite.report"  # entry points: the package does not import who writes its report


def baselines(
    run: RunFolder, names: MethodNames, start: str | None = None, how: How = Reading()
) -> None:
    """Train other methods on towers, data and budget of a finished run, and compare them with it.

    Try:
      l2rclip baselines runs/mine cross-entropy linear-probe

    On fixed image features, in seconds: zero-shot, linear-probe, rank-axis, ridge.
    On a tower that is trained: cross-entropy, coral, corn, sord, dldl-v2, mean-variance,
    ordinal-entropy, supcon, rank-n-contrast, coop, ordinalclip, ordinalclip-inverse, rps; with
    -frozen behind the name, as in sord-frozen, on fixed features; under cross-entropy this is
    linear-probe.

    Each is kept as a model in RUN/baselines/NAME, and not trained again: `predict`, `evaluate` and
    `export` take it by --method NAME.

    Args:
        run: The --out of a finished fit.
        names: Which methods; none trains ridge and linear-probe, in seconds.
        start: Where the run that this one began with is now, if it has moved.
        how: Where to find data and device.
    """
    from l2rclip_lite.commands.finished_baselines import train_missing

    train_missing(run, names or ["ridge", "linear-probe"], start, how)
    compare(run)


def compare(run: RunFolder) -> None:
    """Print the test scores of a run and its baselines, and how much each differs from L2RCLIP.

    Try:
      l2rclip compare runs/mine

    All scores come with 95 % bootstrap intervals. The differences are paired: the same resamples of
    images, or where the data say whom they show, of subjects. No image is read.

    Args:
        run: The --out of a finished fit.
    """
    from l2rclip_lite.commands.finished_baselines import compared, table

    comparison = compared(run)
    print(table(comparison.scores, f"test; unit of MAE: {comparison.ranks.unit}"))
    if comparison.differences:
        drawn = "subject" if "subject" in comparison.answers else "image"
        title = f"difference from {comparison.name}, paired by {drawn}"
        print(f"\n{table(comparison.differences, f'{title}; an interval without 0 shows one')}")


def report(run: RunFolder, out: Path | None = None, where: Where = Place()) -> None:
    """Write one HTML page about a finished run, with its figures and its worst images in it.

    Try:
      l2rclip report runs/mine
      l2rclip report runs/mine --out mine.html --root /where/the/images/are/now

    It has the scores beside those of the baselines, training curves, confusion, reliability, signs
    of failure, the worst test images and the model card, and asks no other host for anything. Look
    at the images before you hand it on.

    Args:
        run: The --out of a finished fit.
        out: What to write; RUN/report.html if not given.
        where: Where to find the images.
    """
    target = out or Path(run, "report.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"report: {target} must end in .html.")
    if find_spec("seaborn") is None:
        raise InputError('report: seaborn is not installed; run: pip install "l2rclip-lite[plots]"')
    from l2rclip_lite.commands.finished_baselines import compared
    from l2rclip_lite.commands.finished_run import data_of

    (writer,) = entry_points(group=REPORTS)
    write_report = writer.load()
    write_report(run, target, compared(run), partial(data_of, run, where))
    print(f"{target}: open it in a browser")


def export(
    run: RunFolder,
    file: OutFile,
    method: str | None = None,
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
    from l2rclip_lite.commands.finished_run import images_to_check, load_model
    from l2rclip_lite.export import check_installed, export_onnx, resizing_difference

    check_installed()  # before the model is loaded
    model = load_model(run, method, Reading(allow_download=allow_download))
    images = images_to_check(run, where)
    print("writing the graph, and comparing it with PyTorch", file=sys.stderr, flush=True)

    largest, n_images = export_onnx(model, file, images)
    resized_largest, resized_mean = resizing_difference(model, file, images)

    size = file.stat().st_size / 1e6
    print(
        f"{file}: {size:.1f} MB, input pixels, outputs probabilities and expected\n"
        f"largest difference from PyTorch: {largest:.1g} in a probability, "
        f"on {plural(n_images, 'image')}\n"
        f"where the file resizes them itself: {resized_largest:.1g}, on average {resized_mean:.1g}"
    )
