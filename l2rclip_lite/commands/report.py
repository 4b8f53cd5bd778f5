"""`l2rclip report`: a finished run as one HTML page."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from l2rclip_lite.commands.common import Place, RunFolder, Where
from l2rclip_lite.commands.finished_run import data_of, scored_answers
from l2rclip_lite.errors import InputError

GROUP = "l2rclip_lite.report"  # of entry points: the package does not import who writes its report


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
    from l2rclip_lite.files import check_target
    from l2rclip_lite.runs.run_directory import RunDirectory

    check_target(target)
    for folder in RunDirectory(run).folders:
        if target.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"report: {folder} holds no page; write {target.name} elsewhere.")
    write_report = _report_writer()
    file = write_report(run, target, scored_answers(run), partial(data_of, run, where))
    print(f"{file}: open it in a browser")


def _report_writer() -> Callable[..., Path]:
    """Return the function that an installed package offers for reports.

    Raises:
        InputError: There is none.
    """
    for entry_point in entry_points(group=GROUP):
        writer: Callable[..., Path] = entry_point.load()
        return writer
    raise InputError(
        f"report: nothing that is installed writes one (entry point {GROUP}); "
        "install l2rclip-lite again."
    )
