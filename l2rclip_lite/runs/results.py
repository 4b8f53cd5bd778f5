"""What a run leaves behind: scores, predictions, history and a model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from l2rclip_lite.data.base import OrdinalDataset, Split
from l2rclip_lite.errors import plural
from l2rclip_lite.files import write_json, write_text
from l2rclip_lite.method import Probabilities
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Probabilities as AnyProbabilities
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import HUB
from l2rclip_lite.prediction import Costs, Prediction
from l2rclip_lite.runs import PACKAGES, RunDirectory

SCORES = {
    "rps": "RPS",
    "mae_median": "MAE (median)",
    "accuracy": "accuracy",
    "qwk": "QWK",
    "ece": "ECE",
}
NO_INTERVAL = "ECE has no interval, as resampling images raises it"
CARD = """---
library_name: l2rclip-lite
pipeline_tag: image-classification
tags: [ordinal-classification]
---

# Model card: {n_ranks} ranks, {model.config.towers} towers

**Made for:** (write here for whom, for which images, and what it must not decide)

**Licence of the weights:** (write here; those of the images and of the towers may bind you)

**Ranks, lowest first:** {ranks} (unit: {unit})

**Data:** {data.card.title}. Licence: {data.card.licence}.

{summary}

**Began with:** {start}.

**Weighs alike in training:** {weighs_alike}.

**Kept:** {kept}.

**Test results** ({metrics[test][n]:.0f} images, 95 % bootstrap intervals; lower MAE, RPS and \
ECE are better; {no_interval}):

{scores}

**Probabilities:** at temperature {model.temperature:.2f}, fitted on {validation_images}.

**Limits:** tested on images from the same source as the training images, and on no others; \
{metrics[test][n]:.0f} test images, {n_missing} listed images missing.

**Use:** `l2rclip predict THIS_FOLDER IMAGE...`, or \
`L2RCLIP.from_pretrained(THIS_FOLDER).predict(images)`. In predictions.csv ranks are counted from 0.

**Made with:** {versions}.
"""
START = """what the run {name} had learned (write here its data and their licence, which may bind \
you)"""
ROWS = {"test": "L2RCLIP", "test_after_stage1": "after stage 1", "median_rank": "median rank"}


def titled(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the rows of a table of scores; with `keep="best"` the first names what was kept.

    Example:
        >>> metrics = dict.fromkeys(ROWS, {}) | {"comparison": {"kept": "linear probe", "rps": {}}}
        >>> list(titled(metrics))
        ['linear probe', 'after stage 1', 'median rank']
    """
    kept = metrics.get("comparison", {}).get("kept", ROWS["test"])
    titles = ROWS | {"test": kept}
    return {title: metrics[key] for key, title in titles.items()}


class Comparison(NamedTuple):
    """What validation images say of the models that may be kept.

    Args:
        kept: The name of the one that is.
        rps: The mean ranked probability score of each, by name.
    """

    kept: str
    rps: dict[str, float]

    def in_words(self) -> str:
        """Return the comparison as one line.

        Example:
            >>> Comparison("tuned tower", {"linear probe": 0.5, "tuned tower": 0.25}).in_words()
            'the tuned tower, the simplest within one standard error of the lowest validation RPS:
            linear probe 0.500, tuned tower 0.250'
        """
        scores = ", ".join(f"{name} {rps:.3f}" for name, rps in self.rps.items())
        rule = "the simplest within one standard error of the lowest validation RPS"
        return f"the {self.kept}, {rule}: {scores}"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        model: The trained model.
        metrics: `val` and `test` (see `metrics.evaluate`), `test_after_stage1`, `median_rank` (see
            the function `median_rank`), and `seconds` of encoding and of each stage, in the process
            that finished the run. With `keep="best"` also `comparison`: which model was `kept`, and
            the validation `rps` of each.
        history: One row per epoch, both stages.
        out: Its directory.
    """

    model: L2RCLIP
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    out: Path


def judge(
    probabilities: AnyProbabilities,
    part: Split,
    ranks: Ranks,
    *,
    intervals: bool = False,
    costs: Costs | None = None,
) -> dict[str, float]:
    """Return `metrics.evaluate` of a split, with the ε-error where its labels have deviations."""
    return evaluate(
        probabilities,
        part.targets,
        ranks,
        deviations=part.deviations,
        groups=part.subjects,
        costs=costs,
        intervals=intervals,
    )


def median_rank(data: OrdinalDataset) -> dict[str, float]:
    """Return test metrics of a predictor that looks at no image.

    Its answer is always the median training rank; its probabilities are the shares of the ranks
    among the training images.
    """
    shares = np.array(data.counts("train")) / len(data.train)
    scores = judge(np.tile(shares, (len(data.test), 1)), data.test, data.ranks)
    medians = {name: value for name, value in scores.items() if name.endswith("_median")}
    return scores | {name.removesuffix("_median"): value for name, value in medians.items()}


def write_predictions(
    run: RunDirectory, model: L2RCLIP, part: Split, probabilities: Probabilities
) -> None:
    """Write `predictions.csv`: a row per image, with its true rank and, if known, whom it shows.

    Columns that end in `_rank` are indices, `expected` is in the unit of the ranks.
    """
    prediction = Prediction.of(probabilities, model.ranks, part.paths, float(model.conformal))
    table = prediction.to_frame().drop(columns="name")
    table.insert(1, "true_rank", part.targets)
    ends = {name: f"{name}_rank" for name in ("median", "low", "high")}
    table = table.rename(columns={"rank": "predicted_rank", **ends})
    if part.subjects is not None:
        table.insert(1, "subject", part.subjects)

    table = table.replace(r"\r(?!\n)", " ", regex=True)  # pandas would end a row there
    text = table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(run.predictions, text)


def write_results(
    run: RunDirectory,
    model: L2RCLIP,
    data: OrdinalDataset,
    history: list[dict[str, float]],
    answers: Mapping[str, Probabilities],
    seconds: Mapping[str, float],
    comparison: Comparison | None = None,
) -> None:
    """Write everything of a finished run.

    `metrics.json` comes last, since with it the run is complete.

    Args:
        run: Where.
        model: Trained.
        data: What it was trained on.
        history: One row per epoch.
        answers: Probabilities of the splits `val` and `test`, and of the test split before stage 2
            as `test_after_stage1`.
        seconds: Of each phase.
        comparison: Of the models that might have been kept.
    """
    metrics: dict[str, Any] = {
        "val": judge(answers["val"], data.val, data.ranks, intervals=True),
        "test": judge(answers["test"], data.test, data.ranks, intervals=True),
        "test_after_stage1": judge(answers["test_after_stage1"], data.test, data.ranks),
        "median_rank": median_rank(data),
        "seconds": {name: round(each, 1) for name, each in seconds.items()},
    }
    if comparison is not None:
        metrics["comparison"] = comparison._asdict()
    model.save_pretrained(run.folder)
    epochs = pd.DataFrame(history or {"stage": [], "epoch": []})
    write_text(run.history, epochs.to_csv(index=False, lineterminator="\n"))
    write_predictions(run, model, data.test, answers["test"])
    write_text(run.card, model_card(model, data, metrics))
    write_json(run.metrics, metrics)
    run.clean()


def model_card(model: L2RCLIP, data: OrdinalDataset, metrics: Mapping[str, Any]) -> str:
    """Return a model card: ranks, data, results, calibration, limits (Mitchell et al. 2019).

    It holds no path and no file name of an image. What begins it is for the Hugging Face hub.

    Args:
        model: A trained model.
        data: What it was trained on.
        metrics: What `metrics.json` of its run holds.

    Returns:
        Markdown.
    """
    ranks = model.ranks
    summary = data.summary().splitlines()[1:]  # without the source, which may be a path
    start = "towers as they are published"
    begun = model.config.start
    if begun is not None:
        name = begun if begun.startswith(HUB) else Path(begun).name  # the card holds no path
        start = START.format(name=as_text(name))
    weighs_alike = "each rank, however rare" if model.config.balance else "each image"
    table = score_table(titled(metrics)).reset_index(names="")
    cells = [table.columns, ["---"] * len(table.columns), *table.to_numpy()]
    kept = "what was trained"
    if "comparison" in metrics:
        kept = Comparison(**metrics["comparison"]).in_words()
    return CARD.format(
        n_ranks=len(ranks),
        model=model,
        data=data,
        metrics=metrics,
        unit=as_text(ranks.unit),
        ranks=as_text(", ".join(ranks.names)),
        summary="\n".join(f"- {as_text(line)}" for line in summary),
        start=start,
        weighs_alike=weighs_alike,
        no_interval=NO_INTERVAL,
        scores="\n".join(f"| {' | '.join(row)} |" for row in cells),
        kept=kept,
        validation_images=plural(len(data.val), "validation image"),
        n_missing=len(data.missing),
        versions=", ".join(f"{name} {version(name)}" for name in PACKAGES),
    )


def as_text(words: str) -> str:
    r"""Return words of a data set as Markdown in which they are no tag, link, image or code.

    Example:
        >>> print(as_text("very low, <b>[`x`](y)"))
        very low, &lt;b>\[\`x\`](y)
    """
    return words.replace("<", "&lt;").replace("[", "\\[").replace("`", "\\`")


def score_table(rows: Mapping[str, Mapping[str, float]], digits: int = 2) -> pd.DataFrame:
    """Return a row for each method: its scores as text, see `cell`.

    Args:
        rows: What `metrics.evaluate` returned, by the name of the method.
        digits: Behind the point.
    """
    columns = {}
    for score, title in SCORES.items():
        columns[title] = {name: cell(row, score, digits) for name, row in rows.items()}
    return pd.DataFrame(columns)


def cell(row: Mapping[str, float], score: str, digits: int = 2) -> str:
    """Return a score with its 95 % interval, where there is one that can be trusted.

    Example:
        >>> cell({"mae": 0.52, "mae_low": 0.4, "mae_high": 0.64}, "mae")
        '0.52 [0.40, 0.64]'
        >>> cell({"mae": 0.52}, "mae", digits=3)
        '0.520'
    """
    value = f"{row[score]:.{digits}f}"
    if score == "ece" or f"{score}_low" not in row:  # older runs have one of ECE
        return value
    low = f"{row[f'{score}_low']:.{digits}f}"
    high = f"{row[f'{score}_high']:.{digits}f}"
    return f"{value} [{low}, {high}]"
