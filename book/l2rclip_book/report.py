"""A finished run as one page to read and to hand on.

The page is one file: it asks no host for anything and runs no script. Names come from strangers,
so all text is escaped.
"""

import io
import sys
import warnings
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from l2rclip_book import plots, signs
from l2rclip_book.metric_figures import reliability, reliability_diagram
from l2rclip_lite.commands.run import RunScores
from l2rclip_lite.data.base import OrdinalDataset, Split
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.files import write_text
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import medians, rps_of_images
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import ModelFile
from l2rclip_lite.runs import RunDirectory, probabilities_of
from l2rclip_lite.runs.results import NO_INTERVAL, ROWS, Comparison, score_table

TEMPLATE = Path(__file__).with_name("report.jinja")
N_WORST = 6  # images that are shown


def write_report(
    run: str, file: Path, compared: RunScores, read_data: Callable[[], OrdinalDataset]
) -> None:
    """Write scores, curves, signs of failure, worst images and model card as one HTML file.

    Args:
        run: A run directory.
        file: What to write.
        compared: Its answers and scores, beside those of its baselines.
        read_data: Reads its data again.

    Raises:
        InputError: A run that was changed.
    """
    directory = RunDirectory(run)
    ranks = compared.ranks
    answers = compared.answers
    metrics = directory.read_metrics()
    read_once = cache(read_data)

    without = {ROWS[key]: metrics[key] for key in ("test_after_stage1", "median_rank")}
    true = answers["true_rank"].to_numpy()
    p = probabilities_of(answers)
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        compared._asdict(),
        title=Path(run).resolve().name,  # no path of this machine
        unit=plots.unit_of(ranks),
        metrics=metrics,
        comparison=Comparison,
        scores=compared.scores | without,
        score_table=score_table,
        no_interval=NO_INTERVAL,
        curves=_curves(directory, ranks, metrics),
        confusion=_png(plots.confusion({compared.name: (true, medians(p))}, ranks)),
        reliability=_png(reliability_diagram(compared.name, reliability(true, p))),
        signs=_signs(directory.folder, read_once),
        worst=_worst(read_once, answers, ranks),
        card=directory.read_card(),
    )
    write_text(file, page)


def _curves(run: RunDirectory, ranks: Ranks, metrics: dict[str, Any]) -> str:
    """Return the training curves of a run; "" where no epoch was run."""
    history = run.read_history()
    if not any("loss" in row for row in history):
        return ""
    config = ModelFile.read(run.model).config
    reference = metrics["median_rank"]["mae"]
    select = config.controls.select
    return _png(plots.training_curves(history, ranks, reference=reference, select=select))


def _png(figure: Figure) -> str:
    """Return a figure as a PNG in base64; the heading above it says what it shows."""
    png = io.BytesIO()
    # of letters that the typeface lacks
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        figure.savefig(png, format="png", dpi=110)
    return b64encode(png.getvalue()).decode()


def _signs(run: Path, read_data: Callable[[], OrdinalDataset]) -> dict[str, Any]:
    """Return each sign of failure with its value and what that says, and why one may be missing."""
    try:
        model = L2RCLIP.from_pretrained(run)
    except InputError as error:
        return {"problem": f"They cannot be computed: {one_line(str(error))}", "rows": []}

    seen = None
    problem = ""
    try:
        seen = signs.see_images(model, read_data())
    except InputError as error:
        problem = f"Without images: {one_line(str(error)).removeprefix('signs: ')}"

    values = signs.measure(model, seen)
    return {"problem": problem, "rows": [(sign, values[sign.column]) for sign in signs.SIGNS]}


def _worst(
    read_data: Callable[[], OrdinalDataset], answers: pd.DataFrame, ranks: Ranks
) -> dict[str, Any]:
    """Return the images that were judged worst: a table, and their picture or why there is none."""
    names = pd.Index(ranks.names)
    true = answers["true_rank"].to_numpy()
    p = probabilities_of(answers)

    columns = {
        "image": answers["path"],
        "true": names[true],
        "most probable": names[p.argmax(1)],
        "median": names[medians(p)],
        "RPS": rps_of_images(true, p).round(3),
    }
    table = pd.DataFrame(columns).nlargest(N_WORST, "RPS")
    worst = {"table": table, "picture": ""}
    try:
        worst["picture"] = _png(_gallery(read_data().test, answers.loc[table.index], ranks))
    except InputError as error:
        worst["problem"] = one_line(str(error))
        print(f"warning: the page shows no image: {worst['problem']}", file=sys.stderr)
    return worst


def _gallery(test: Split, answers: pd.DataFrame, ranks: Ranks) -> Figure:
    """Return the figure of some test images, looked up by their names, with their probabilities.

    Raises:
        InputError: An image of this name is not among the test images of the data.
    """
    unknown = set(answers["path"]) - set(test.paths)
    if unknown:
        problem = f"{min(unknown)!r} of predictions.csv is no test image of the data"
        raise InputError(f"report: {problem}; restore predictions.csv.")

    chosen = test.subset([test.paths.index(path) for path in answers["path"]])
    return plots.gallery(chosen, probabilities_of(answers), ranks)
