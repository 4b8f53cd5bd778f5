"""A finished run as one page to read and to hand on.

The page is one file: it asks no host for anything and runs no script. Names come from strangers, so all text is escaped.
"""

import io
import re
import sys
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book import plots
from l2rclip_book.calibration_figures import reliability, reliability_diagram
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.files import read_json, write_text
from l2rclip_lite.metrics import Probabilities, medians, rps_of_images, with_intervals
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.results import ROWS, SCORES, cell, read_table

Judged = tuple[Ranks, dict[str, pd.DataFrame], dict[str, Any]]
OURS = ROWS["test"]
HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>:root { color-scheme: light dark; font-family: sans-serif } body { max-width: 60rem; margin: 2rem auto }
img { max-width: 100% } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-family: inherit } body { padding: 0 1rem }
table { display: block; overflow-x: auto } td, th { padding: .2rem .6rem; text-align: left; white-space: nowrap }</style>"""
LEGEND = """<p>RPS (error of the probabilities), MAE and ECE (how far stated and true certainty are apart): lower is better.
Accuracy and QWK (agreement, weighted by distance): higher is better. MAE and the confusion below are those of the median
answer, accuracy that of the most probable one. In brackets: 95 % intervals. <i>After stage 1</i> is the model before its
image side was trained; <i>median rank</i> sees no image; other rows are simpler methods on the same images.</p>"""
PAIRED = """<p>Below 0 in RPS, MAE and ECE, and above 0 in accuracy and QWK, is better than L2RCLIP. An interval that holds 0
decides nothing.</p>"""
CURVES = """<p>Left: how far the most probable rank is off on validation images. A dot marks the epoch that was kept: the one
with the lowest validation RPS. Dashed: the test error of a model that sees no image.</p>"""
RELIABLE = """<p>Images are sorted by how sure the model was of its answer. Where the dots lie in the grey range, it is as sure
as it is right.</p>"""
WORST = "<p>Bars: the probability of each rank. The triangle marks the true one.</p>"


def write_report(
    run: str, file: Path, judged: Judged, read_data: Callable[[], OrdinalDataset]
) -> Path:
    """Scores, training curves, confusion, reliability, worst images and model card of a run, in one HTML file.

    Args:
        run: A run directory.
        file: What to write.
        judged: Its ranks; answers and resampled scores by method, see `l2rclip_lite.finished.judged`.
        read_data: Reads its data again.

    Returns:
        The file.

    Raises:
        InputError: A run that was changed.
    """
    ranks, answers, scores = judged
    metrics, found = read_json(Path(run, "metrics.json")), answers[OURS]
    history: Any = read_table(Path(run, "history.csv"))
    rows = {name: with_intervals(score) for name, score in scores.items()}
    rows |= {ROWS[key]: metrics[key] for key in ("test_after_stage1", "median_rank")}
    true, p = found["true_rank"].to_numpy(), found.filter(regex=r"^p_\d+$").to_numpy()
    unit, error = plots.unit_of(ranks), "{mae_median:.2f}".format
    short = f"On {len(found)} test images the median answer is off by {error(**rows[OURS])} {escape(unit)} on average"
    parts = {
        "In short": f"<p>{short}; of a model that sees no image, by {error(**metrics['median_rank'])}.</p>"
    }
    parts[f"Scores; MAE in {unit}"] = _table(rows, SCORES) + LEGEND
    ours = scores.pop(OURS)
    less = {
        name: with_intervals({key: of[key] - ours[key] for key in SCORES})
        for name, of in scores.items()
    }
    if less:
        parts[f"Difference from {OURS}"] = _table(less, SCORES) + PAIRED
    if "loss" in history:  # not where no epoch was run
        curves = plots.training_curves(history, ranks, reference=metrics["median_rank"]["mae"])
        parts["Training"] = _image(curves) + CURVES
    parts["Confusion of the median answer"] = _image(
        plots.confusion({OURS: (true, medians(p))}, ranks)
    )
    parts["Reliability"] = (
        _image(reliability_diagram({OURS: reliability(true, p, ranks)})) + RELIABLE
    )
    names, score = pd.Index(ranks.names), rps_of_images(true, p)
    said = {"image": found["path"], "true": names[true], "most probable": names[p.argmax(1)]}
    said |= {"median": names[medians(p)], "RPS": score.round(3)}
    low, high = found["low_rank"], found["high_rank"]
    parts["Intervals"] = (
        f"<p>They are made to hold nine true ranks of ten. On the test images they hold "
        f"{found['true_rank'].between(low, high).sum()} of {len(found)}, and {(high - low + 1).mean():.1f} of the "
        f"{len(ranks)} ranks on average.</p>"
    )
    parts["Worst images, by RPS"] = _worst(
        read_data, pd.DataFrame(said).nlargest(6, "RPS"), p, ranks
    )
    parts["Model card, to complete in README.md of the run"] = _card(
        Path(run, "README.md").read_text(encoding="utf-8")
    )
    body = (f"<h2>{escape(title)}</h2>\n{text}\n" for title, text in parts.items())
    title = escape(Path(run).resolve().name)  # no path of this machine
    write_text(file, f"{HEAD}\n<title>{title}</title><h1>{title}</h1>\n{''.join(body)}")
    return file


def _table(rows: Mapping[str, Mapping[str, float]], columns: Mapping[str, str]) -> str:
    """A line for each method, a column for each score."""
    cells = {
        row: {columns[key]: cell(score, key, 3) for key in columns} for row, score in rows.items()
    }
    return str(pd.DataFrame(cells).T.to_html(border=0))


def _image(figure: Figure) -> str:
    """A figure within the page; the heading above it says what it shows."""
    png = io.BytesIO()
    with warnings.catch_warnings(
        action="ignore", category=UserWarning
    ):  # letters that the typeface lacks
        figure.savefig(png, format="png", dpi=110)
    return f'<img alt="" src="data:image/png;base64,{b64encode(png.getvalue()).decode()}">'


def _card(text: str) -> str:
    """A model card without its head for a hub, its title and its table, which stand above."""
    left_out = ("#", "|", "**Test results")
    lines = [
        line for line in text.split("---", 2)[-1].splitlines() if not line.startswith(left_out)
    ]
    plain = re.sub("\n{2,}", "\n\n", escape("\n".join(lines)).strip())
    bold = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", plain)
    return f"<pre>{bold}</pre>"


def _worst(
    read_data: Callable[[], OrdinalDataset], worst: pd.DataFrame, p: Probabilities, ranks: Ranks
) -> str:
    """The images that were judged worst, as far as they can be seen, and their names."""
    try:
        shown = _image(plots.gallery(read_data().test, p, ranks, worst.index.tolist()))
    except (InputError, IndexError) as error:
        shown = f"The images cannot be shown: {escape(one_line(str(error)))}"
        print(f"warning: the page shows no image: {one_line(str(error))}", file=sys.stderr)
    return shown + WORST + worst.to_html(border=0, index=False)
