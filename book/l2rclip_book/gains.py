"""Paired comparisons of two arms on the same test images, and the three primary claims of the book.

Everything is a percentage of saved RPS. On one data set, *one* saves against *other*

    g = 100 (RPS_other − RPS_one) / RPS_other %,

where RPS is the mean over the test images; an image tested in several runs counts once, by its mean
over the runs that tested it with both arms.

- Images are the unit: 10,000 bootstrap draws of as many images as there are, both arms on the same
  draw. The interval is the 2.5 and 97.5 % quantile of g, and
  p = 2 min(1 + #{g ≤ 0}, 1 + #{g ≥ 0}) / (1 + draws), at most 1.
- **Several data sets make one claim** through the mean of their g. In every draw images are drawn
  within each set, and the mean over the sets is kept: one interval and one p per claim. Holm
  corrects the p of claims that belong together; the intervals of single sets stand beside them and
  carry no verdict.
- Runs share training images, so a second interval, over runs, is corrected for that (Nadeau and
  Bengio 2003, doi:10.1023/A:1024068626366).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

from l2rclip_book.plots import DATA
from l2rclip_book.results import markdown_table
from l2rclip_book.statistics import holm

LARGEST = ("bracol-area", "apples81", "hc18")  # the sets of the smaller studies
MANY = (*LARGEST, "cherries81", "pears", "portraits")  # those of the primary claims
MEAN = "mean of the sets"
DRAWS = 10_000  # of the bootstrap
AT_ONCE = 100  # of these draws
EDGES = (0.025, 0.975)  # of its 95 % interval
NONE = "cross-entropy"  # no text
NUMBERS = "numbers"  # the hand-made order
CLAIMS = {  # as experiments/matrix/studies.yaml fixed them before the runs: one arm against another
    "order in the words": ("words", "shuffled words"),
    "the method": ("L2RCLIP", NONE),
    "order in the loss": ("after stage 1", "blind order"),
}
WITHOUT_LEAVES: dict[str, tuple[str, ...]] = {  # sets, to see what comparisons rest on
    "as registered": (),
    "coffee leaves counted once": ("bracol",),
    "without coffee leaves": ("bracol", "bracol-area"),
}


def paired_scores(images: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Return the RPS of each test image under every arm, a mean over runs.

    Only the runs count in which all arms tested the image.

    Args:
        images: A row per `data`, `run`, `arm` and `path`, with `rps`: one study under one
            condition.
        arms: Which arms; a data set that lacks one is left out.

    Returns:
        A row per image, indexed by `data` and `path`, and a column per arm.

    Raises:
        ValueError: An arm has two rows for an image in one run.

    Example:
        >>> images = pd.DataFrame(
        ...     {"data": "hc18", "run": [0, 0, 1, 1, 2], "arm": ["a", "b", "a", "b", "a"]}
        ... )
        >>> paired_scores(
        ...     images.assign(path="1.png", rps=[1.0, 2.0, 3.0, 6.0, 99.0]), ["a", "b"]
        ... ).values.tolist()
        [[2.0, 4.0]]
    """
    mine = images[images["arm"].isin(arms)]
    wide = mine.pivot(index=["data", "path", "run"], columns="arm", values="rps")
    return wide.reindex(columns=list(arms)).dropna().groupby(level=["data", "path"]).mean()


def resampled_means(
    scores: pd.DataFrame, groups: ArrayLike, generator: np.random.Generator
) -> Float[np.ndarray, "draw arm"]:
    """Return the mean scores of bootstrap draws, the same draws for every arm.

    Whole groups are drawn, as many as there are.

    Args:
        scores: A row per image, a column per arm.
        groups: Which images are drawn together, one name per image; names of their own draw images.
        generator: Of the draws; one for all data sets, so that their draws are independent.
    """
    sums = scores.assign(images=1.0).groupby(np.asarray(groups)).sum().to_numpy()
    means = []
    for _ in range(DRAWS // AT_ONCE):
        draw = generator.integers(len(sums), size=(AT_ONCE, len(sums)))
        counts = np.stack([np.bincount(row, minlength=len(sums)) for row in draw])
        drawn = counts @ sums
        means.append(drawn[:, :-1] / drawn[:, -1:])
    return np.concatenate(means)


def compare_arms(
    images: pd.DataFrame, one: str, other: str, *, by_subject: bool = False
) -> pd.DataFrame:
    """Compute what *one* saves against *other* on each data set and on their mean, in percent.

    The top of this module has the formulas.

    Args:
        images: As `paired_scores` takes them.
        one: The arm that should be better.
        other: The arm that should be worse.
        by_subject: Whether all images of one `subject`, such as a tree, are drawn together.

    Returns:
        A row per data set, then one for their mean: `data`, `gain`, `low`, `high`, `p`, and `seen`,
        the smallest true gain that would be found four times in five: (1.96 + 0.84) standard
        errors.

    Example:
        >>> images = pd.DataFrame(
        ...     {"data": "hc18", "run": 0, "arm": ["a"] * 3 + ["b"] * 3, "path": list("xyz") * 2}
        ... )
        >>> table = compare_arms(images.assign(rps=[1.0, 2.0, 3.0, 2.0, 4.0, 6.0]), "a", "b")
        >>> table[["data", "gain", "low", "high"]].values.tolist()[0]
        ['hc18', 50.0, 50.0, 50.0]
    """
    generator = np.random.default_rng(0)
    gains: dict[str, float] = {}
    draws: dict[str, Float[np.ndarray, " draw"]] = {}
    for data, scores in paired_scores(images, [one, other]).groupby(level="data", sort=False):
        paths = scores.index.get_level_values("path")
        groups: ArrayLike = paths
        if by_subject:
            of_set = images[images["data"] == data].drop_duplicates("path")
            groups = of_set.set_index("path")["subject"].reindex(paths)

        gains[str(data)] = float(_gain(scores.mean().to_numpy()))
        draws[str(data)] = _gain(resampled_means(scores, groups, generator))
    return with_mean(gains, draws)


def with_mean(
    gains: Mapping[str, float], draws: Mapping[str, Float[np.ndarray, " draw"]]
) -> pd.DataFrame:
    """Return a row for each data set, and one for their mean, with what their draws say.

    Args:
        gains: Of the data sets.
        draws: Bootstrap draws of each gain.

    Returns:
        The columns of `compare_arms`.
    """
    gain = pd.Series(gains, dtype=float)
    drawn = pd.DataFrame(draws, dtype=float)
    if gains:
        gain[MEAN] = gain.mean()
        drawn[MEAN] = drawn.mean(axis=1)

    # a draw that is no number counts on both sides
    tails = np.minimum((~(drawn > 0)).sum(), (~(drawn < 0)).sum()) + 1
    columns = {
        "gain": gain,
        "low": drawn.quantile(EDGES[0]),
        "high": drawn.quantile(EDGES[1]),
        "p": np.minimum(1, 2 * tails / (1 + len(drawn))),
        "seen": 2.8 * drawn.std(ddof=0),
    }
    return pd.DataFrame(columns, index=gain.index).rename_axis("data").reset_index()


def _gain(means: Float[np.ndarray, "*draw arm"]) -> Float[np.ndarray, "*draw"]:
    """Return what the first of two arms saves against the second, in percent."""
    return 100 * (1 - means[..., 0] / means[..., 1])


def compare_pairs(
    images: pd.DataFrame, pairs: Mapping[str, tuple[str, str]], *, by_subject: bool = False
) -> pd.DataFrame:
    """Return `compare_arms` of every pair that shares images, with its name in the column `row`."""
    parts = []
    for row, (one, other) in pairs.items():
        parts.append(compare_arms(images, one, other, by_subject=by_subject).assign(row=row))
    filled = [part for part in parts if len(part)]
    return pd.concat(filled or parts, ignore_index=True)


def run_interval(table: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Return the mean gain over runs with the interval of Nadeau and Bengio, per data set.

    ḡ ± t_{J−1} √((1/J + n_test/n_train) s²) over J runs: with independent runs the second term
    would be absent.

    Args:
        table: A row per `data`, `run` and `arm`, with `rps`, `n` (test images) and `n_train`; of
            several rows the mean counts.
        one: The arm that should be better.
        other: The arm that should be worse.

    Returns:
        `data`, `runs`, `run_gain`, `run_error` (the standard error), `run_low` and `run_high`; the
        last three are NaN for a single run.

    Example:
        >>> table = pd.DataFrame(
        ...     {"data": "hc18", "run": [0, 0, 1, 1], "arm": ["a", "b"] * 2, "n": 1, "n_train": 2}
        ... )
        >>> run_interval(table.assign(rps=[3.0, 4.0, 2.0, 4.0]), "a", "b")["run_gain"].tolist()
        [37.5]
    """
    arms = table[table["arm"].isin([one, other])].astype({"rps": float})
    scores = arms.pivot_table("rps", ["data", "run"], "arm")
    scores = scores.reindex(columns=[one, other]).dropna()
    gains = (100 * (1 - scores[one] / scores[other])).groupby("data")

    runs = gains.size()
    shared = (arms["n"] / arms["n_train"]).astype(float).groupby(arms["data"]).mean()
    error = np.sqrt((1 / runs + shared) * gains.var())
    reach = error * stats.t.ppf(0.975, runs - 1)
    columns = {
        "runs": runs,
        "run_gain": gains.mean(),
        "run_error": error,
        "run_low": gains.mean() - reach,
        "run_high": gains.mean() + reach,
    }
    return pd.DataFrame(columns, index=runs.index).reset_index()


def with_best(
    table: pd.DataFrame,
    images: pd.DataFrame,
    name: str,
    arms: Sequence[str],
    run: Sequence[str] = ("data", "run"),
) -> pd.DataFrame:
    """Add the arm that validates best in each run, under a name of its own.

    Args:
        table: A row per run and `arm`, with `val_rps`.
        images: Rows for the same runs and arms: the table itself, or scores of images.
        name: What the chosen arms are called.
        arms: From which to choose.
        run: The columns that say which run it is.

    Returns:
        The rows of `images`, then once more those of the arms that were chosen.

    Example:
        >>> arms = {"arm": ["L2RCLIP", "cross-entropy", "rps"], "val_rps": [1.0, 3.0, 2.0]}
        >>> table = pd.DataFrame(arms).assign(data="pears", run=0, rps=[5.0, 6.0, 7.0])
        >>> with_best(table, table, "best", ["cross-entropy", "rps"])[["arm", "rps"]].values[-1]
        array(['best', 7.0], dtype=object)
    """
    rivals = table[table["arm"].isin(arms)]
    best = rivals.sort_values("val_rps", kind="stable").drop_duplicates(run)
    chosen = images.merge(best[[*run, "arm"]]).assign(arm=name)
    return pd.concat([images, chosen], ignore_index=True)


def over_trainings(table: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Return the mean gain of data sets with the interval in which the unit is a training.

    The squared standard errors add up over the sets, as if none shared images with another (the two
    sets of coffee leaves come from one collection). The degrees of freedom are those of Welch and
    Satterthwaite.

    Args:
        table: As `run_interval` takes it; a set with one run is left out.
        pairs: One arm against another, by name.

    Returns:
        `row`, `gain`, `low` and `high`, the ends of its 95 % interval.

    Example:
        >>> runs = {"data": ["pears"] * 4 + ["hc18"] * 4, "run": [0, 0, 1, 1] * 2, "n": 0}
        >>> table = pd.DataFrame(runs).assign(arm=["a", "b"] * 4, n_train=1)
        >>> rps = [0.58, 1.0, 0.62, 1.0, 0.4, 1.0, 0.4, 1.0]  # gains of 42, 38 and twice 60
        >>> over_trainings(table.assign(rps=rps), {"": ("a", "b")}).round(1).values.tolist()
        [['', 50.0, 37.3, 62.7]]
    """
    rows = []
    for row, (one, other) in pairs.items():
        runs = run_interval(table, one, other).dropna()
        squares = runs["run_error"] ** 2
        if squares.sum() == 0:
            continue

        freedom = squares.sum() ** 2 / (squares**2 / (runs["runs"] - 1)).sum()
        mean = runs["run_gain"].mean()
        error = np.sqrt(squares.sum()) / len(runs)
        rows.append((row, mean, *stats.t.interval(0.95, freedom, mean, error)))
    return pd.DataFrame(rows, columns=["row", "gain", "low", "high"])


def judge_claims(
    table: pd.DataFrame,
    images: pd.DataFrame,
    missing: Sequence[str] = (),
    *,
    study: str = "main",
    sets: Sequence[str] = MANY,
    pairs: Mapping[str, tuple[str, str]] = CLAIMS,
) -> pd.DataFrame:
    """Judge claims that were fixed before the runs: every set, their mean, Holm, and a verdict.

    Args:
        table: Rows of the study.
        images: Its scores of test images.
        missing: Units that were not run; while one of them belongs to the claims, there is no
            verdict.
        study: What the claims are about.
        sets: On whose mean they are tested.
        pairs: The claims, each an arm against another.

    Returns:
        The rows of `compare_pairs`, with the columns of `run_interval` where a row is a data set.
        Where it is the mean, `holm`, and `verdict`: "better" or "worse" where holm ≤ 0.05, "not
        shown", or "incomplete" while runs are missing.
    """
    claims = compare_pairs(images[images["data"].isin(sets)], pairs)
    runs = [run_interval(table, one, other).assign(row=row) for row, (one, other) in pairs.items()]
    claims = claims.merge(pd.concat(runs), how="left", on=["row", "data"])
    primary = {f"{study}/{data}" for data in sets}
    waiting = any(unit.rsplit("-", 1)[0] in primary for unit in missing)
    return with_verdicts(claims, len(pairs), len(sets), waiting=waiting)


def with_verdicts(
    claims: pd.DataFrame, n_claims: int, n_sets: int, *, waiting: bool | pd.Series[bool]
) -> pd.DataFrame:
    """Add `holm` and `verdict` to the rows of claims that belong together, see `judge_claims`.

    Args:
        claims: Rows as those of `compare_pairs`.
        n_claims: How many claims there are, also where one has no rows.
        n_sets: On how many data sets each is tested.
        waiting: Whether runs are missing, of all claims or of each row.
    """
    means = claims["data"] == MEAN
    n_means = means.sum()
    absent = [1.0] * (n_claims - n_means)  # a claim without a run still counts
    claims.loc[means, "holm"] = holm([*claims.loc[means, "p"], *absent])[:n_means]

    n_rows = claims.groupby("row")["data"].transform("size")
    incomplete = (n_rows <= n_sets) | waiting
    verdicts = np.select(
        [incomplete, claims["holm"] > 0.05, claims["gain"] > 0],
        ["incomplete", "not shown", "better"],
        "worse",
    )
    return claims.assign(verdict=pd.Series(verdicts, dtype=object).where(means, ""))


def gain_text(gain: float, low: float, high: float, digits: int = 1) -> str:
    """Return a gain with its interval, as `gain_table` shows it."""
    return f"{gain:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def gain_table(gains: pd.DataFrame, title: str, *, digits: int = 1) -> str:
    """Return gains as a Markdown table: a line per comparison, a column per data set.

    Where there are verdicts, two columns have them and their p. Without gains it is a line that
    says so.

    Example:
        >>> row = {"row": "words", "data": "hc18", "gain": 5.0, "low": -1.0, "high": 9.5}
        >>> print(gain_table(pd.DataFrame([row]), "claim"))
        | claim | fetal head, 27 ranks |
        | --- | --: |
        | words | +5.0 [−1.0, 9.5] |
    """
    if gains.empty:
        return "*No rows of these runs here.*"

    texts = [gain_text(row["gain"], row["low"], row["high"], digits) for _, row in gains.iterrows()]
    cells = gains.assign(text=texts).pivot(index="row", columns="data", values="text")

    titles = {data: name for data, (name, *_) in DATA.items()} | {MEAN: MEAN}
    shown = [data for data in titles if data in cells]
    cells = cells.loc[gains["row"].unique(), shown].rename(columns=titles)

    if "verdict" in gains:
        judged = gains[gains["data"] == MEAN].set_index("row")
        p = judged["holm"]
        cells["p (Holm)"] = p.map("{:.3f}".format).mask(p < 0.001, "< 0.001")
        cells["verdict"] = judged["verdict"]

    rows = cells.fillna("–").reset_index().values.tolist()
    return markdown_table([title, *cells.columns], rows, numbers=True)
