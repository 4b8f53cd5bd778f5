"""Paired comparisons of two arms on the same test images, and the three primary claims of the book.

Everything is a percentage of saved RPS. On one data set, *one* saves against *other*

    g = 100 (RPS_other − RPS_one) / RPS_other %,

where RPS is the mean over the test images; an image tested in several runs counts once, by its mean
over the runs that tested it with both arms.

- Images are the unit: 10,000 bootstrap draws of as many images as there are, both arms on the same draw. The interval is
  the 2.5 and 97.5 % quantile of g, and p = 2 min(1 + #{g ≤ 0}, 1 + #{g ≥ 0}) / (1 + draws), at most
  1.
- **Three data sets make one claim** through the mean of their three g. In every draw images are drawn within each set,
  and the mean of the three is kept: one interval and one p per claim. Holm corrects the three p for
  three claims; the intervals of single sets stand beside them and carry no verdict.
- Runs share training images, so a second interval, over runs, is corrected for that (Nadeau and Bengio 2003,
  doi:10.1023/A:1024068626366).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

from l2rclip_book.markdown import markdown_table
from l2rclip_book.statistics import holm
from l2rclip_book.style import DATA
from l2rclip_lite.errors import InputError

MANY = ("bracol-area", "apples81", "hc18")  # the sets of the primary claims
MEAN = "mean of the sets"
DRAWS = 10_000  # of the bootstrap
EDGES = (0.025, 0.975)  # of its 95 % interval
NONE = "cross-entropy"  # no text
NUMBERS = "numbers"  # the hand-made order
CLAIMS = {  # as experiments/matrix/studies.yaml fixed them before the runs: one arm against another
    "order in the words": ("words", "shuffled words"),
    "the method": ("L2RCLIP", NONE),
    "order in the loss": ("after stage 1", "blind order"),
}
# a tree, an examination, or the image itself
SUBJECT = r"DSC_\d+_(.+)_\d+\.\w+$|(\d+)_\d?HC\.\w+$|([^/]+)$"


def read_results(folder: str = "") -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """What the studies left: a row per unit, arm and condition, a row per test image, and the units still missing.

    Args:
        folder: Of `matrix.csv` and its two siblings; empty looks in `results` and `book/results`.

    Returns:
        Both tables, empty where there is no such folder, and names like "main/hc18-0".
    """
    for place in [Path(folder)] if folder else [Path("results"), Path("book/results")]:
        if (place / "matrix.images.csv.gz").is_file():
            text = {"condition": str, "level": str}
            tables = [
                pd.read_csv(place / f"matrix{end}", dtype=text)
                for end in (".csv", ".images.csv.gz")
            ]
            record = json.loads((place / "matrix.json").read_text(encoding="utf-8"))
            rows, images = (table.fillna({"condition": ""}) for table in tables)
            return rows, images, record["missing"]
    names = ["study", "data", "run", "arm", "condition", "rps"]
    return (
        pd.DataFrame(columns=[*names, "n", "n_train"]),
        pd.DataFrame(columns=[*names, "path"]),
        ["all"],
    )


def paired_scores(images: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """The RPS of each test image under every arm, averaged over the runs in which all of them tested it.

    Args:
        images: A row per `data`, `run`, `arm` and `path`, with `rps`: one study under one
            condition.
        arms: Which arms; a data set that lacks one is left out.

    Returns:
        A row per image, indexed by `data` and `path`, and a column per arm.

    Raises:
        InputError: An arm has two rows for an image in one run.

    Example:
        >>> images = pd.DataFrame(
        ...     {"data": "hc18", "run": [0, 0, 1, 1, 2], "arm": ["a", "b", "a", "b", "a"]}
        ... )
        >>> paired_scores(
        ...     images.assign(path="1.png", rps=[1.0, 2.0, 3.0, 6.0, 99.0]), ["a", "b"]
        ... ).values.tolist()
        [[2.0, 4.0]]
    """
    keys = ["data", "path", "run"]
    mine = images[images["arm"].isin(arms)]
    if mine.duplicated([*keys, "arm"]).any():
        raise InputError(
            "gains: two rows for an image of one run; select one study and one condition."
        )
    wide = mine.pivot(index=keys, columns="arm", values="rps").reindex(columns=list(arms)).dropna()
    return wide.groupby(level=["data", "path"]).mean()


def resampled_means(
    scores: Float[np.ndarray, "image arm"], groups: ArrayLike, generator: np.random.Generator
) -> Float[np.ndarray, "draw arm"]:
    """Mean scores of bootstrap draws: whole groups are drawn, as many as there are, the same for every arm.

    Args:
        scores: A row per image.
        groups: Which images are drawn together, one name per image; names of their own draw images.
        generator: Of the draws; one for all data sets, so that their draws are independent.
    """
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    size = np.bincount(place)
    sums = np.stack([np.bincount(place, column) for column in scores.T], 1)
    drawn = [generator.integers(len(size), size=len(size)) for _ in range(DRAWS)]
    return np.stack([sums[index].sum(0) / size[index].sum() for index in drawn])


def compare_arms(
    images: pd.DataFrame, one: str, other: str, *, by_subject: bool = False
) -> pd.DataFrame:
    """What *one* saves against *other* on each data set and on their mean, in percent; see the top of this module.

    Args:
        images: As `paired_scores` takes them.
        one: The arm that should be better.
        other: The arm that should be worse.
        by_subject: Whether all images of a tree or of an examination are drawn together.

    Returns:
        A row per data set, then one for their mean: `data`, `images`, `gain`, `low`, `high`, `p`,
        and `seen`, the smallest true gain that would be found four times in five: (1.96 + 0.84)
        standard errors.

    Example:
        >>> images = pd.DataFrame(
        ...     {"data": "hc18", "run": 0, "arm": ["a"] * 3 + ["b"] * 3, "path": list("xyz") * 2}
        ... )
        >>> found = compare_arms(images.assign(rps=[1.0, 2.0, 3.0, 2.0, 4.0, 6.0]), "a", "b")
        >>> found[["data", "gain", "low", "high"]].values.tolist()[0]
        ['hc18', 50.0, 50.0, 50.0]
    """
    generator = np.random.default_rng(0)
    rows = []
    drawn = []
    for data, part in paired_scores(images, [one, other]).groupby(level="data", sort=False):
        paths = part.index.get_level_values("path")
        groups = paths.str.extract(SUBJECT).bfill(axis=1)[0] if by_subject else paths
        drawn.append(_saved(resampled_means(part.to_numpy(), groups, generator)))
        row = {"data": data, "images": len(part), "gain": _saved(part.mean().to_numpy())}
        rows.append(row | _spread(drawn[-1]))
    if rows:
        total = pd.DataFrame(rows)
        row = {"data": MEAN, "images": total["images"].sum(), "gain": total["gain"].mean()}
        rows.append(row | _spread(np.mean(drawn, axis=0)))
    return pd.DataFrame(rows, columns=["data", "images", "gain", "low", "high", "p", "seen"])


def _saved(means: Float[np.ndarray, "*draw arm"]) -> Float[np.ndarray, "*draw"]:
    return 100 * (1 - means[..., 0] / means[..., 1])


def _spread(drawn: Float[np.ndarray, " draw"]) -> dict[str, float]:
    low, high = np.quantile(drawn, EDGES)
    tail = 1 + min((drawn <= 0).sum(), (drawn >= 0).sum())
    return {
        "low": low,
        "high": high,
        "p": min(1.0, 2 * tail / (1 + len(drawn))),
        "seen": 2.8 * drawn.std(),
    }


def compare_pairs(
    images: pd.DataFrame, pairs: Mapping[str, tuple[str, str]], *, by_subject: bool = False
) -> pd.DataFrame:
    """`compare_arms` of every pair that shares images, with its name in the column `row`."""
    tables = {
        row: compare_arms(images, *pair, by_subject=by_subject) for row, pair in pairs.items()
    }
    parts = [part.assign(row=row) for row, part in tables.items() if len(part)]
    return (
        pd.concat(parts, ignore_index=True)
        if parts
        else compare_arms(images, "", "").assign(row="")
    )


def run_interval(table: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Mean gain over runs with the interval of Nadeau and Bengio, per data set.

    ḡ ± t_{J−1} √((1/J + n_test/n_train) s²) over J runs: with independent runs the second term
    would be absent.

    Args:
        table: A row per `data`, `run` and `arm`, with `rps`, `n` (test images) and `n_train`: one
            study, one condition.
        one: The arm that should be better.
        other: The arm that should be worse.

    Returns:
        `data`, `runs`, `run_gain`, `run_low`, `run_high` and `run_p`; the last three are NaN for a
        single run.

    Example:
        >>> table = pd.DataFrame(
        ...     {"data": "hc18", "run": [0, 0, 1, 1], "arm": ["a", "b"] * 2, "n": 1, "n_train": 2}
        ... )
        >>> run_interval(table.assign(rps=[3.0, 4.0, 2.0, 4.0]), "a", "b")["run_gain"].tolist()
        [37.5]
    """
    rows = []
    for data, part in table[table["arm"].isin([one, other])].groupby("data", sort=False):
        wide = (
            part.pivot(index="run", columns="arm", values="rps")
            .reindex(columns=[one, other])
            .dropna()
        )
        gains = pd.Series(_saved(wide.to_numpy()))
        runs = len(wide)
        if runs:
            error = np.sqrt((1 / runs + (part["n"] / part["n_train"]).mean()) * gains.var())
            mean = gains.mean()
            reach = error * stats.t.ppf(0.975, runs - 1)
            p = 2 * stats.t.sf(abs(mean) / error, runs - 1)
            rows.append((data, runs, mean, mean - reach, mean + reach, p))
    return pd.DataFrame(rows, columns=["data", "runs", "run_gain", "run_low", "run_high", "run_p"])


def judge_claims(
    table: pd.DataFrame, images: pd.DataFrame, missing: Sequence[str] = ()
) -> pd.DataFrame:
    """The three primary claims: every set, their mean, Holm over three, and a verdict.

    Args:
        table: Rows of the study `main`.
        images: Its scores of test images.
        missing: Units that were not run; while one of them belongs to the claims, there is no
            verdict.

    Returns:
        The rows of `compare_pairs`, with the columns of `run_interval` where a row is a data set.
        Where it is the mean, `holm`, and `verdict`: "better" or "worse" where holm ≤ 0.05, "not
        shown", or "incomplete" while runs are missing.
    """
    claims = compare_pairs(images[images["data"].isin(MANY)], CLAIMS)
    runs = pd.concat([run_interval(table, *pair).assign(row=row) for row, pair in CLAIMS.items()])
    claims = claims.merge(runs, how="left", on=["row", "data"])
    means = claims["data"] == MEAN
    absent = [1.0] * (len(CLAIMS) - means.sum())  # a claim without a run still counts
    claims.loc[means, "holm"] = holm([*claims.loc[means, "p"], *absent])[: means.sum()]
    waiting = {unit.rsplit("-", 1)[0] for unit in missing} & {f"main/{data}" for data in MANY}
    short = (claims.groupby("row")["data"].transform("size") <= len(MANY)) | bool(waiting)
    cases = [short, claims["holm"] > 0.05, claims["gain"] > 0]
    verdicts = np.select(cases, ["incomplete", "not shown", "better"], "worse")
    return claims.assign(verdict=pd.Series(verdicts, dtype=object).where(means, ""))


def gain_table(gains: pd.DataFrame, title: str) -> str:
    """Gains as a Markdown table: a line per comparison, a column per data set; with `holm` and `verdict` where known.

    No gains are a line that says so.

    Example:
        >>> row = {"row": "words", "data": "hc18", "gain": 5.0, "low": -1.0, "high": 9.5}
        >>> print(gain_table(pd.DataFrame([row]), "claim"))
        | claim | fetal head, 27 ranks |
        | --- | --: |
        | words | +5.0 [−1.0, 9.5] |
    """
    if gains.empty:
        return "*No rows of these runs here.*"
    sets = {data: name for data, (name, *_) in DATA.items()} | {MEAN: MEAN}
    numbers = gains[["gain", "low", "high"]].values
    text = [f"{gain:+.1f} [{low:.1f}, {high:.1f}]".replace("-", "−") for gain, low, high in numbers]
    cells = gains.assign(text=text).pivot(index="row", columns="data", values="text")
    cells = cells.loc[gains["row"].unique(), [data for data in sets if data in cells]].rename(
        columns=sets
    )
    if "verdict" in gains:
        judged = gains[gains["data"] == MEAN].set_index("row")
        p = judged["holm"].map(lambda p: "< 0.001" if p < 0.001 else f"{p:.3f}")
        cells = cells.assign(**{"p (Holm)": p, "verdict": judged["verdict"]})
    rows = cells.fillna("–").reset_index().values.tolist()
    return markdown_table([title, *cells.columns], rows, numbers=True)


def order_steps(images: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """How far each arm goes from no text to the hand-made order, per data set.

    The share of the hand-made order's gain is 100 (RPS_none − RPS_arm) / (RPS_none − RPS_numbers)
    %: 0 for `NONE`, 100 for `NUMBERS`.

    Args:
        images: As `paired_scores` takes them.
        arms: Further arms; those without rows are left out.

    Returns:
        `data`, `arm`, `rps`; `low` and `high`, the 95 % interval of its paired difference to
        `NONE`, put around `rps`; `share`, `share_low` and `share_high`.
    """
    rows = []
    generator = np.random.default_rng(0)
    for data, part in images.groupby("data", sort=False):
        present = [arm for arm in dict.fromkeys([NONE, NUMBERS, *arms]) if arm in set(part["arm"])]
        if {NONE, NUMBERS} - set(present):
            continue
        scores = paired_scores(part, present)
        mean = scores.mean().to_numpy()
        drawn = resampled_means(scores.to_numpy(), scores.index.get_level_values("path"), generator)
        change = drawn - drawn[:, :1]
        share = 100 * change / change[:, 1:2]
        ends = [*np.quantile(change, EDGES, axis=0) + mean[0], *np.quantile(share, EDGES, axis=0)]
        shares = 100 * (mean - mean[0]) / (mean[1] - mean[0])
        rows += [
            (data, *row) for row in zip(present, mean, *ends[:2], shares, *ends[2:], strict=True)
        ]
    columns = ["data", "arm", "rps", "low", "high", "share", "share_low", "share_high"]
    return pd.DataFrame(rows, columns=columns)
