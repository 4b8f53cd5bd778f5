"""Paired comparisons of two arms on the same test images, and the three primary claims of the book.

Everything is a percentage of the RPS of the second arm. On one data set, *one* reduces the RPS of
*other* by

    g = 100 (RPS_other − RPS_one) / RPS_other %,

where RPS is the mean over the test images of all runs that tested them with both arms.

- **Trainings and groups are the units**, drawn together in each of 10,000 draws of the bootstrap:
  as many groups of test images (a tree, a person, an examination; else an image) as there are, and
  one run less than there are, since of so few runs a full draw would have too little spread (Rao
  and Wu 1988, doi:10.1080/01621459.1988.10478591). What a group has in a run counts as often as
  both were drawn (Owen 2007, doi:10.1214/07-AOAS122). The interval is the 2.5 and 97.5 % quantile
  of g, and p = 2 min(1 + #{g ≤ 0}, 1 + #{g ≥ 0}) / (1 + draws), at most 1.
- **Several data sets make one claim** through the mean of their g. In every draw runs and groups
  are drawn within each data set, and the mean over the sets is kept: one interval and one p per
  claim. Holm corrects the p of claims that belong together; the intervals of single data sets stand
  beside them and carry no verdict.
- `over_images` turns rows into those of one run whose every image is a group: the unit of the
  claims that were registered first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from l2rclip_book.plots import DATA
from l2rclip_book.results import markdown_table
from l2rclip_book.statistics import draw_counts, holm

LARGEST = ("bracol-area", "apples81", "hc18")  # the sets of the smaller studies
MANY = (*LARGEST, "cherries81", "pears", "portraits")  # those of the primary claims
MEAN = "mean of the data sets"
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


def paired_scores(images: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Return the RPS of each test image in each run under every arm.

    Only the runs count in which all arms tested the image.

    Args:
        images: A row per `data`, `run`, `arm` and `path`, with `subject` and `rps`: one study under
            one condition.
        arms: Which arms; a data set that lacks one is left out.

    Returns:
        A row per run and image, indexed by `data`, `run`, `subject` and `path`, and a column per
        arm.

    Raises:
        ValueError: An arm has two rows for an image in one run.

    Example:
        >>> images = pd.DataFrame({"data": "hc18", "run": [0, 0, 1], "arm": ["a", "b", "a"]})
        >>> images = images.assign(subject="woman 1", path="1.png", rps=[1.0, 2.0, 99.0])
        >>> paired_scores(images, ["a", "b"]).values.tolist()
        [[1.0, 2.0]]
    """
    mine = images[images["arm"].isin(arms)]
    keys = ["data", "run", "subject", "path"]
    wide = mine.pivot(index=keys, columns="arm", values="rps")
    return wide.reindex(columns=list(arms)).dropna()


def over_images(images: pd.DataFrame) -> pd.DataFrame:
    """Return a row per image and arm, its mean over runs, as if there were one run and no group.

    Intervals of such rows answer: would other images say the same of these trained models?
    """
    of_image = images.groupby(["data", "arm", "path"], sort=False)["rps"].mean().reset_index()
    return of_image.assign(run=0, subject=of_image["path"])


def sampled_means(images: pd.DataFrame, arms: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the mean scores of arms, a column each, on every data set: of all, then of each draw.

    A draw of the bootstrap has runs and groups, the same for every arm.

    Args:
        images: As `paired_scores` takes them.
        arms: Which arms.
    """
    generator = np.random.default_rng(0)  # one for all data sets, so that draws are independent
    samples = {}
    for data, scores in paired_scores(images, arms).groupby(level="data", sort=False):
        sums = scores.assign(images=1.0).groupby(level=["run", "subject"]).sum()
        cells = sums.unstack("run", fill_value=0.0).to_numpy()  # an arm after the other, by run
        n_groups = len(cells)
        n_runs = scores.index.get_level_values("run").nunique()

        means = [scores.mean()]
        for _ in range(DRAWS // AT_ONCE):
            groups = draw_counts(n_groups, n_groups, AT_ONCE, generator)
            runs = draw_counts(max(n_runs - 1, 1), n_runs, AT_ONCE, generator)
            of_runs = (groups @ cells).reshape(AT_ONCE, -1, n_runs)
            drawn = (of_runs * runs[:, None]).sum(axis=2)
            with np.errstate(invalid="ignore"):  # no image drawn: few groups, all of another run
                means.append(drawn[:, :-1] / drawn[:, -1:])
        samples[str(data)] = pd.DataFrame(np.vstack(means), columns=list(arms))
    return samples


def compare_arms(images: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Compute by what *one* reduces the RPS of *other* on each data set and on their mean.

    The top of this module has the formulas.

    Args:
        images: As `paired_scores` takes them.
        one: The arm that should be better.
        other: The arm that should be worse.

    Returns:
        See `summary`, in percent.

    Example:
        >>> images = pd.DataFrame(
        ...     {"data": "hc18", "run": 0, "arm": ["a"] * 3 + ["b"] * 3, "path": list("xyz") * 2}
        ... ).assign(rps=[1.0, 2.0, 3.0, 2.0, 4.0, 6.0])
        >>> table = compare_arms(over_images(images), "a", "b")
        >>> table[["data", "gain", "low", "high"]].values.tolist()[0]
        ['hc18', 50.0, 50.0, 50.0]
    """
    samples = sampled_means(images, [one, other])
    return summary({data: reduction(means[one], means[other]) for data, means in samples.items()})


def summary(samples: Mapping[str, pd.Series[float]]) -> pd.DataFrame:
    """Return a row for each data set, and one for their mean, with what their draws say.

    Args:
        samples: The gain on each data set, then its bootstrap draws.

    Returns:
        `data`, `gain`, `low`, `high`, `p`, and `seen`, the smallest true gain that would be found
        four times in five: (1.96 + 0.84) standard errors.
    """
    table = pd.DataFrame(samples, dtype=float)
    if samples:
        table[MEAN] = table.mean(axis=1, skipna=False)
    drawn = table[1:]

    # a draw that is no number counts on both sides
    tails = np.minimum((~(drawn > 0)).sum(), (~(drawn < 0)).sum()) + 1
    columns = {
        "gain": table[:1].sum(),
        "low": drawn.quantile(EDGES[0]),
        "high": drawn.quantile(EDGES[1]),
        "p": np.minimum(1, 2 * tails / (1 + len(drawn))),
        "seen": 2.8 * drawn.std(ddof=0),
    }
    return pd.DataFrame(columns, index=table.columns).rename_axis("data").reset_index()


def reduction(one: pd.Series[float], other: pd.Series[float]) -> pd.Series[float]:
    """Return by what one mean score is below another, in percent."""
    return 100 * (1 - one / other)


def compare_pairs(images: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Return `compare_arms` of every pair that shares images, with its name in the column `row`."""
    return labelled({row: compare_arms(images, *pair) for row, pair in pairs.items()}, ["row"])


def labelled(parts: Mapping[Any, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Put tables one below the other, with the key of each in columns of its own.

    Example:
        >>> gains = pd.DataFrame({"gain": [5.0]})
        >>> labelled({("words", "pears"): gains}, ["row", "data"]).values.tolist()
        [['words', 'pears', 5.0]]
    """
    return pd.concat(parts, names=columns).reset_index(columns).reset_index(drop=True)


def best_rows(table: pd.DataFrame, run: Sequence[str]) -> pd.DataFrame:
    """Return the row of each run with the lowest `val_rps`; columns say which run it is."""
    return table.sort_values("val_rps", kind="stable").drop_duplicates(run)


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
    best = best_rows(table[table["arm"].isin(arms)], run)
    chosen = images.merge(best[[*run, "arm"]]).assign(arm=name)
    return pd.concat([images, chosen], ignore_index=True)


def judge_claims(
    images: pd.DataFrame,
    missing: Sequence[str],
    *,
    study: str = "main",
    sets: Sequence[str] = MANY,
    pairs: Mapping[str, tuple[str, str]] = CLAIMS,
) -> pd.DataFrame:
    """Judge claims that were fixed before the runs: every set, their mean, Holm, and a verdict.

    Args:
        images: Scores of test images, of the study.
        missing: Units that were not run; while one of them is of the study, there is no verdict.
        study: What the claims are about.
        sets: On whose mean they are tested.
        pairs: The claims, each an arm against another.

    Returns:
        The rows of `compare_pairs`. Where a row is the mean of the data sets, `holm`, and
        `verdict`: "better" or "worse" where holm ≤ 0.05, "not shown", or "incomplete" while runs
        are missing.
    """
    claims = compare_pairs(images[images["data"].isin(sets)], pairs)
    return with_verdicts(claims, len(pairs), len(sets), missing, [study])


def with_verdicts(
    claims: pd.DataFrame,
    n_claims: int,
    n_sets: int,
    missing: Sequence[str],
    studies: Sequence[str],
) -> pd.DataFrame:
    """Add `holm` and `verdict` to the rows of claims that belong together, see `judge_claims`.

    Args:
        claims: Rows as those of `compare_pairs`.
        n_claims: How many claims there are, also where one has no rows.
        n_sets: On how many data sets each is tested.
        missing: Units that were not run.
        studies: What the claims are about; while a unit of these is missing, there is no verdict.
    """
    means = claims["data"] == MEAN
    claims.loc[means, "holm"] = holm(claims.loc[means, "p"], n_claims)

    n_rows = claims.groupby("row")["data"].transform("size")
    waiting = any(unit.split("/")[-2] in studies for unit in missing if "/" in unit)
    incomplete = (n_rows <= n_sets) | waiting
    claims["verdict"] = np.select(
        [~means, incomplete, claims["holm"] > 0.05, claims["gain"] > 0],
        ["", "incomplete", "not shown", "better"],
        "worse",
    )
    return claims


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

    ends = gains[["gain", "low", "high"]].to_numpy()
    texts = [gain_text(gain, low, high, digits) for gain, low, high in ends]
    cells = gains.assign(text=texts).pivot(index="row", columns="data", values="text")

    titles = {data: name for data, (name, *_) in DATA.items()}
    shown = [data for data in (*titles, MEAN) if data in cells]
    cells = cells.loc[gains["row"].unique(), shown].rename(columns=titles)

    if "verdict" in gains:
        judged = gains[gains["data"] == MEAN].set_index("row")
        p = judged["holm"]
        cells["p (Holm)"] = p.map("{:.3f}".format).mask(p < 0.001, "< 0.001")
        cells["verdict"] = judged["verdict"]

    rows = cells.fillna("–").reset_index().values.tolist()
    return markdown_table([title, *cells.columns], rows, numbers=True)
