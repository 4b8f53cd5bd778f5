"""A finished run as one page to read and to hand on.

The page is one file: it asks no host for anything and runs no script. Names come from strangers, so all text is escaped.
"""

import io
import re
import sys
import warnings
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book import plots
from l2rclip_book.calibration_figures import reliability, reliability_diagram
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.finished import OURS, Place, data_of, judged
from l2rclip_lite.metrics import Probabilities, medians, rps_of_images, with_intervals
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.results import ROWS, SCORES, cell, read_table
from l2rclip_lite.runs import read_json, write_text

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>:root { color-scheme: light dark; font-family: sans-serif } body { max-width: 60rem; margin: 2rem auto }
img { max-width: 100% } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-family: inherit } body { padding: 0 1rem }
table { display: block; overflow-x: auto } td, th { padding: .2rem .8rem; text-align: left }</style>"""
LEGEND = """<p>RPS (error of the probabilities), MAE and ECE (how far stated and true certainty are apart): lower is better.
Accuracy and QWK (agreement, weighted by distance): higher is better. MAE and the confusion below are those of the median
answer, accuracy that of the most probable one. In brackets: 95 % intervals.</p>"""


def write_report(run: str, file: Path, where: Place) -> Path:
    """Scores, training curves, confusion, reliability, worst images and model card of a run, in one HTML file.

    Args:
        run: A run directory.
        file: What to write.
        where: Where its images are.

    Returns:
        The file.

    Raises:
        InputError: No finished run, or a changed one; a link that leads out of it.
    """
    for each in Path(run).rglob("*"):
        if not each.resolve().is_relative_to(Path(run).resolve()):
            raise InputError(f"report: {each} leads out of {run}; put the file itself there.")
    ranks, answers, scores = judged(run)
    metrics, found = read_json(Path(run, "metrics.json")), answers[OURS]
    history: Any = read_table(Path(run, "history.csv"))
    rows = {name: with_intervals(score) for name, score in scores.items()}
    rows |= {ROWS[key]: metrics[key] for key in ("test_after_stage1", "median_rank")}
    true, p = found["target"].to_numpy(), found.filter(regex=r"^p_\d+$").to_numpy()
    parts = {f"Scores on {len(found)} test images, in {plots.unit_of(ranks)}": _table(rows, SCORES) + LEGEND}
    ours = scores.pop(OURS)
    less = {name: with_intervals({key: of[key] - ours[key] for key in SCORES}) for name, of in scores.items()}
    if less:
        paired = _table(less, SCORES)
        parts[f"The same, less {OURS}"] = f"{paired}<p>An interval without 0 shows a difference.</p>"
    if "loss" in history:  # not where no epoch was run
        curves = plots.training_curves(history, ranks, reference=metrics["median_rank"]["mae"])
        parts["Training"] = _image(curves)
    parts["Confusion, answered by the median rank"] = _image(
        plots.confusion({OURS: (true, medians(p))}, ranks)
    )
    parts["Reliability"] = _image(reliability_diagram({OURS: reliability(true, p, ranks)}))
    names, score = pd.Index(ranks.names), rps_of_images(true, p)
    said = {"image": found["path"], "true": names[true], "most probable": names[p.argmax(1)]}
    said |= {"median": names[medians(p)], "RPS": score.round(3)}
    inside, width = found["target"].between(found["low"], found["high"]), found["high"] - found["low"] + 1
    parts["Intervals"] = (
        f"<p>The 90 % interval holds the true rank of {100 * inside.mean():.0f} % of the test images, and "
        f"{width.mean():.1f} of {len(ranks)} ranks on average.</p>"
    )
    parts["Worst images, by RPS"] = _worst(run, where, pd.DataFrame(said).nlargest(6, "RPS"), p, ranks)
    parts["Model card"] = _card(Path(run, "README.md").read_text(encoding="utf-8"))
    body = (f"<h2>{escape(title)}</h2>\n{text}\n" for title, text in parts.items())
    title = escape(Path(run).resolve().name)  # no path of this machine
    write_text(file, f"{HEAD}\n<title>{title}</title><h1>{title}</h1>\n{''.join(body)}")
    return file


def _table(rows: Mapping[str, Mapping[str, float]], columns: Mapping[str, str]) -> str:
    """A line for each method, a column for each score."""
    cells = {row: {columns[key]: cell(score, key, 3) for key in columns} for row, score in rows.items()}
    return str(pd.DataFrame(cells).T.to_html(border=0))


def _image(figure: Figure) -> str:
    """A figure within the page; the heading above it says what it shows."""
    png = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # letters that the typeface lacks
        figure.savefig(png, format="png", dpi=110)
    return f'<img alt="" src="data:image/png;base64,{b64encode(png.getvalue()).decode()}">'


def _card(text: str) -> str:
    """A model card without its head for a hub, its title and its table, which stand above."""
    left_out = ("#", "|", "**Test results")
    lines = [line for line in text.split("---", 2)[-1].splitlines() if not line.startswith(left_out)]
    plain = re.sub("\n{2,}", "\n\n", escape("\n".join(lines)).strip())
    bold = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", plain)
    return f"<pre>{bold}</pre>"


def _worst(run: str, where: Place, worst: pd.DataFrame, p: Probabilities, ranks: Ranks) -> str:
    """The images that were judged worst, as far as they can be seen, and their names."""
    try:
        shown = _image(plots.gallery(data_of(run, where).test, p, ranks, worst.index.tolist()))
    except (InputError, IndexError) as error:
        shown = f"The images cannot be shown: {escape(one_line(str(error)))}"
        print(f"warning: the page shows no image: {one_line(str(error))}", file=sys.stderr)
    return shown + worst.to_html(border=0, index=False)
