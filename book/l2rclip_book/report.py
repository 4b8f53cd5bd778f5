"""A finished run as one page to read and to hand on.

The page is one file: it asks no host for anything and runs no script. Names come from strangers,
so all text is escaped.
"""

import io
import re
import sys
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book import plots, signs
from l2rclip_book.calibration_figures import reliability, reliability_diagram
from l2rclip_lite.data.base import OrdinalDataset, Split
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.files import write_text
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Scores, medians, rps_of_images, with_intervals
from l2rclip_lite.runs.model_file import read_settings
from l2rclip_lite.runs.results import ROWS, SCORES, Comparison, cell
from l2rclip_lite.runs.run_directory import RunDirectory, probabilities_of
from l2rclip_lite.towers.hub import NotAllowedError

Judged = tuple[Ranks, dict[str, pd.DataFrame], dict[str, Scores]]
STYLE = """
:root {
  color-scheme: light dark;
  --ink: light-dark(#1f2328, #e6e8eb);
  --soft: light-dark(#59636e, #9aa4af);
  --line: light-dark(#d5dae0, #3a414a);
  --page: light-dark(#ffffff, #15181c);
  --band: light-dark(#f4f6f8, #1f242a);
}
* { box-sizing: border-box }
body {
  max-width: 64rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  color: var(--ink); background: var(--page);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { font-size: 1.8rem; line-height: 1.2; margin: .5rem 0 1rem; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-top: 1rem;
     border-top: 1px solid var(--line) }
p { max-width: 46rem }
.legend { color: var(--soft); font-size: .9rem }
img { display: block; max-width: 100%; height: auto; margin: .5rem 0; padding: .5rem;
      background: #fff; border: 1px solid var(--line); border-radius: .5rem }
pre { max-width: 46rem; white-space: pre-wrap; overflow-wrap: anywhere; font: inherit }
.scroll { max-width: 100%; overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .9rem;
        font-variant-numeric: tabular-nums }
th, td { padding: .4rem .75rem; text-align: right; white-space: nowrap; vertical-align: top }
thead th { white-space: normal; vertical-align: bottom; border-bottom: 1px solid var(--line) }
thead th, thead th:first-child { background: var(--band) }
th:first-child, td:first-child {
  text-align: left; white-space: normal; min-width: 6.5rem;
  position: sticky; left: 0; background: var(--page);
}
td:first-child { overflow-wrap: anywhere; min-width: 9rem }
tbody tr + tr > * { border-top: 1px solid var(--line) }
tbody th { font-weight: 600 }
small { display: block; color: var(--soft); font-size: .8rem }
@media (max-width: 50rem) {
  table { font-size: .8rem }
  th, td { padding: .35rem .4rem }
  small { font-size: .7rem }
}
"""
HEAD = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>{STYLE}</style>"""
LEGEND = """<p class="legend">RPS (error of the probabilities), MAE and ECE (how far stated and true
certainty are apart): lower is better. Accuracy and QWK (agreement, weighted by distance):
higher is better. MAE and the confusion below are those of the median answer, accuracy that of
the most probable one. In brackets: 95 % intervals. <i>After stage 1</i> is the model before its
image side was trained; <i>median rank</i> sees no image; other rows are simpler methods on the
same images.</p>"""
PAIRED = """<p class="legend">Below 0 in RPS, MAE and ECE, and above 0 in accuracy and QWK, is
better than the first row above. An interval that holds 0 decides nothing.</p>"""
CURVES = """<p class="legend">Left: how far the most probable rank is off on validation images. A
dot marks the epoch that was kept. Dashed: the test error of a model that sees no image.</p>"""
RELIABLE = """<p class="legend">Images are sorted by how sure the model was of its answer. Where the
dots lie in the grey range, it is as sure as it is right.</p>"""
WORST = '<p class="legend">Bars: the probability of each rank. The triangle marks the true one.</p>'


def write_report(
    run: str, file: Path, judged: Judged, read_data: Callable[[], OrdinalDataset]
) -> Path:
    """Write scores, curves, signs of failure, worst images and model card as one HTML file.

    Args:
        run: A run directory.
        file: What to write.
        judged: Its ranks; answers and resampled scores by method, see
            `commands.finished_run.scored_answers`.
        read_data: Reads its data again.

    Returns:
        The file.

    Raises:
        InputError: A run that was changed.
    """
    directory = RunDirectory(run)
    ranks, answers, scores = judged
    metrics = directory.read_metrics()
    history = directory.read_history()
    card = directory.read_card()
    name, ours = next(iter(answers.items()))  # L2RCLIP, or what was kept in its place
    read_once = cache(read_data)

    parts = _score_parts(ranks, name, scores, metrics)
    if any("loss" in row for row in history):  # not where no epoch was run
        config, _ = read_settings(directory.model)
        curves = plots.training_curves(
            history,
            ranks,
            reference=metrics["median_rank"]["mae"],
            select=config.controls.select,
        )
        parts["Training"] = _image(curves) + CURVES
    parts |= _answer_parts(ranks, name, ours)
    parts["Signs of failure"] = _signs(directory.folder, read_once)
    parts["Worst images, by RPS"] = _worst(read_once, ours, ranks)
    parts["Model card, to complete in README.md of the run"] = _card(card)

    body = "".join(f"<h2>{escape(title)}</h2>\n{text}\n" for title, text in parts.items())
    title = escape(Path(run).resolve().name)  # no path of this machine
    write_text(file, f"{HEAD}\n<title>{title}</title><h1>{title}</h1>\n{body}")
    return file


def _score_parts(
    ranks: Ranks,
    ours: str,
    scores: Mapping[str, Scores],
    metrics: Mapping[str, Any],
) -> dict[str, str]:
    """Return the parts of the page about scores and their differences, by title."""
    rows = {name: with_intervals(score) for name, score in scores.items()}
    rows |= {ROWS[key]: dict(metrics[key]) for key in ("test_after_stage1", "median_rank")}

    unit = plots.unit_of(ranks)
    error = f"{rows[ours]['mae_median']:.2f} {escape(unit)}"
    blind = f"{metrics['median_rank']['mae_median']:.2f}"
    answer = (
        f"On {metrics['test']['n']:.0f} test images the median answer is off by {error} on average"
    )
    kept = ""
    compared = metrics.get("comparison")
    if compared is not None:
        comparison = Comparison(compared["kept"], compared["rps"])
        kept = f"<p>Kept: {escape(comparison.in_words())}.</p>"
    parts = {
        "In short": f"<p>{answer}; of a model that sees no image, by {blind}.</p>{kept}",
        f"Scores; MAE in {unit}": _table(rows, SCORES) + LEGEND,
    }

    differences = {}
    for name, score in scores.items():
        if name != ours:
            difference = {key: score[key] - scores[ours][key] for key in SCORES}
            differences[name] = with_intervals(difference)
    if differences:
        parts[f"Difference from {ours}"] = _table(differences, SCORES) + PAIRED
    return parts


def _answer_parts(ranks: Ranks, name: str, ours: pd.DataFrame) -> dict[str, str]:
    """Return the parts of the page about single answers: confusion, reliability, intervals."""
    true = ours["true_rank"].to_numpy()
    p = probabilities_of(ours)
    confusion = plots.confusion({name: (true, medians(p))}, ranks)
    diagram = reliability_diagram({name: reliability(true, p, ranks)})

    low = ours["low_rank"]
    high = ours["high_rank"]
    n_held = ours["true_rank"].between(low, high).sum()
    width = (high - low + 1).mean()  # in ranks
    intervals = (
        f"<p>They are made to hold nine true ranks of ten. On the test images they hold {n_held} "
        f"of {len(ours)}, and {width:.1f} of the {len(ranks)} ranks on average.</p>"
    )
    return {
        "Confusion of the median answer": _image(confusion),
        "Reliability": _image(diagram) + RELIABLE,
        "Intervals": intervals,
    }


def _signs(run: Path, read_data: Callable[[], OrdinalDataset]) -> str:
    """Return the part of the page about the signs of failure, beside those of other runs."""
    seen = None
    reason = ""
    try:
        model = L2RCLIP.from_pretrained(run)
    except NotAllowedError:
        fetch = "<code>l2rclip evaluate RUN --allow-download</code> fetches them"
        return f"<p>They cannot be computed: the towers are not on this machine; {fetch}.</p>"
    except InputError as error:
        return f"<p>They cannot be computed: {escape(one_line(str(error)))}</p>"
    try:
        seen = signs.see_images(model, read_data())
    except InputError as error:
        problem = one_line(str(error)).removeprefix("signs: ")
        reason = f"<p>Without images: {escape(problem)}</p>"

    values = signs.measure(model, seen)
    return reason + _table_of_signs(values) + f'<p class="legend">{signs.LEGEND}</p>'


def _table_of_signs(values: Mapping[str, float | str]) -> str:
    """Return a line for each sign with its ranges, and below them a sentence for each."""
    rows = []
    sentences = []
    for number, sign in enumerate(signs.SIGNS, start=1):
        value = values[sign.column]
        if isinstance(value, str):
            shown = "–"
            says = f"Not computed: {value}"
        else:
            shown = f"{value:.2f}".replace("-", "−")
            says = sign.says(value)
        rows.append(
            {
                "sign": f"{number}. {sign.meaning}",
                "this run": shown,
                "healthy runs": signs.in_words(sign.healthy),
                "runs that failed": signs.in_words(sign.provoked),
            }
        )
        sentences.append(f"<li><b>{escape(sign.failure)}?</b> {escape(says)}</li>")
    table = _scrolling(pd.DataFrame(rows), index=False)
    return f"{table}<ol>{''.join(sentences)}</ol>"


def _table(rows: Mapping[str, Mapping[str, float]], columns: Mapping[str, str]) -> str:
    """Return a line for each method, a column for each score with its interval below it."""
    cells: dict[str, dict[str, str]] = {}
    for name, row in rows.items():
        line = cells.setdefault(escape(name), {})
        for key, title in columns.items():
            text = cell(row, key, 3)
            line[escape(title)] = text.replace(" [", " <small>[").replace("]", "]</small>")
    return _scrolling(pd.DataFrame(cells).T, escape=False)


def _scrolling(table: pd.DataFrame, *, index: bool = True, escape: bool = True) -> str:
    """Return a table in a box that scrolls where the page is too narrow for it."""
    with pd.option_context("display.max_colwidth", None):  # a long name is not cut
        html = table.to_html(border=0, index=index, escape=escape)
    return f'<div class="scroll" tabindex="0">{html}</div>'


def _image(figure: Figure) -> str:
    """Return a figure as an image within the page; the heading above it says what it shows."""
    png = io.BytesIO()
    # of letters that the typeface lacks
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        figure.savefig(png, format="png", dpi=110)

    data = b64encode(png.getvalue()).decode()
    return f'<img alt="" src="data:image/png;base64,{data}">'


def _card(text: str) -> str:
    """Return a model card without its head for a hub, its title and its table of results."""
    body = text.split("---", 2)[-1] if text.startswith("---\n") else text
    left_out = ("#", "|", "**Test results")
    lines = [line for line in body.splitlines() if not line.startswith(left_out)]

    plain = re.sub("\n{2,}", "\n\n", escape("\n".join(lines)).strip())
    bold = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", plain)
    return f"<pre>{bold}</pre>"


def _worst(read_data: Callable[[], OrdinalDataset], answers: pd.DataFrame, ranks: Ranks) -> str:
    """Return the images that were judged worst, as far as they can be seen, and their names."""
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
    worst = pd.DataFrame(columns).nlargest(6, "RPS")

    try:
        shown = _image(_gallery(read_data().test, answers.loc[worst.index], ranks))
    except InputError as error:
        reason = one_line(str(error))
        shown = f"<p>The images cannot be shown: {escape(reason)}</p>"
        print(f"warning: the page shows no image: {reason}", file=sys.stderr)
    return shown + WORST + _scrolling(worst, index=False)


def _gallery(test: Split, answers: pd.DataFrame, ranks: Ranks) -> Figure:
    """Return the figure of some test images, found by their names, with their probabilities.

    Raises:
        InputError: An image of this name is not among the test images of the data.
    """
    # as `write_text` spells a name that is no text
    stored = [path.encode("utf-8", "backslashreplace").decode() for path in test.paths]
    place = {path: index for index, path in enumerate(stored)}

    for path in answers["path"]:
        if path not in place:
            problem = f"{path!r} of predictions.csv is no test image of the data"
            raise InputError(f"report: {problem}; restore predictions.csv.")

    chosen = test.subset(place[path] for path in answers["path"])
    return plots.gallery(chosen, probabilities_of(answers), ranks, range(len(chosen)))
