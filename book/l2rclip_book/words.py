"""Words after a relative: what orders images without a label, what helps with a few.

`experiments/matrix/studies.yaml` fixed the claims before the runs.

- **Without a label** (study `words-new`), the order of the answers counts: Spearman's ρ of the
  expected value and the truth over the test images of a run, then the mean over runs. In each draw
  of the bootstrap runs are drawn, and groups of images within each, the same for every arm.
- **With 2 and 4 images a rank** (`words-few`), the reduction of the RPS counts, see `gains`. An
  image counts once, by its mean over runs and numbers of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from l2rclip_book.gains import (
    EDGES,
    compare_arms,
    compare_pairs,
    with_best,
    with_mean,
    with_verdicts,
)
from l2rclip_book.statistics import draw_counts, resampled_rho, spearman_rho

SETS = ("bracol-area", "bracol", "pears", "cherries81")
FEW = ("few_shot=2", "few_shot=4")  # the conditions of the two claims about few images
SHOTS = ("1", "2", "4", "8", "16")  # labelled images a rank
DRAWS = 2_000  # of the bootstrap of a rank correlation

WORDS = "words, relative"
WORDLESS = (  # all that begin with a relative, read no sentence, and are chosen by validation
    "numbers, relative",
    "random prototypes, relative",
    "new head, relative",
    "labels, relative by labels",
    "frozen head, relative",
)
BEST_WORDLESS = "best without words"
BEST_OF_ALL = "best of all"
NEW_WORDS = {"new words": ("after a relative", "plain tower")}
ONE_TO_ONE = {  # exploratory: words after a relative against each way without them
    "numbers": (WORDS, "numbers, relative"),
    "random vectors": (WORDS, "random prototypes, relative"),
    "a new head": (WORDS, "new head, relative"),
    "labels, pretrained without text": (WORDS, "labels, relative by labels"),
    "frozen head": (WORDS, "frozen head, relative"),
    "one direction": (WORDS, "rank-axis, relative"),
    "own sentences, fitted": (WORDS, "own numbers, cut"),
    "own outputs, fitted": (WORDS, "own outputs, cut"),
    "a sixth way to choose from": (BEST_OF_ALL, BEST_WORDLESS),
}
BY_A_RELATIVE = {  # exploratory: by what beginning with a relative reduces the RPS
    "words": (WORDS, "words"),
    "labels": ("labels, relative by labels", "labels"),
}
ALL_IMAGES = {  # the same with all images; the second arms are of `at-best`
    "words": (WORDS, "L2RCLIP"),
    "labels": ("labels, relative by labels", "rps"),
}
FEW_IMAGES = {
    "few images": (WORDS, "words"),
    "words or labels": (WORDS, BEST_WORDLESS),
}


def of_new(images: pd.DataFrame) -> pd.DataFrame:
    """Return the answers without a label: those of `words-new`, and relatives in their own ranks.

    A relative by labels is there once, with its own outputs, which every set can ask for.

    Args:
        images: Scores of test images, of all studies.
    """
    columns = images.columns.union(["true", "expected"])  # absent where no study was run
    images = images.reindex(columns=columns)
    new = images[images["study"] == "words-new"]
    new = new[new["arm"] != "labels of the relative"]

    own = images[(images["study"] == "words-own") & (images["condition"] == "")]
    own = own[own["arm"].isin(["own numbers", "own outputs"])]
    return pd.concat([new, own], ignore_index=True)


def orders(images: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's ρ of expected and true value for each data set and arm.

    Args:
        images: A row per `data`, `run`, `arm` and `path`, with `subject`, `true` and `expected`.

    Returns:
        `data`, `arm`, `rho`, the mean over runs, and `low` and `high` of its 95 % interval.

    Example:
        >>> images = pd.DataFrame({"data": "pears", "run": 0, "arm": "a", "path": list("xyz")})
        >>> images["subject"] = images["path"]
        >>> table = orders(images.assign(true=[1.0, 2.0, 3.0], expected=[0.1, 0.5, 0.9]))
        >>> table[["arm", "rho"]].values.tolist()
        [['a', 1.0]]
    """
    generator = np.random.default_rng(0)
    rows = []
    for data, part in images.groupby("data", sort=False):
        rho, draws = _orders_of(part, generator)
        for arm in rho.index:
            low, high = np.quantile(draws[arm], EDGES)
            rows.append((data, arm, rho[arm], low, high))
    return pd.DataFrame(rows, columns=["data", "arm", "rho", "low", "high"])


def chance_orders(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the sentences of each data set order when they are given to random ranks.

    Args:
        table: Rows of all studies.

    Returns:
        Indexed by `data`, each a mean over runs: `chance_low` and `chance_high`, 95 % of the
        correlations; `lowest_fixed_low` and `lowest_fixed_high`, the same where the lowest rank
        keeps its sentence, and `lowest_fixed_above`, the share of those above the right order.
    """
    rows = table[(table["study"] == "words-new") & (table["arm"] == NEW_WORDS["new words"][0])]
    columns = ["chance_low", "chance_high"]
    columns += ["lowest_fixed_low", "lowest_fixed_high", "lowest_fixed_above"]
    return rows.reindex(columns=["data", *columns]).groupby("data")[columns].mean()


def compare_orders(images: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Compute by how much *one* orders better than *other*, for each data set and on their mean.

    Args:
        images: As `orders` takes them.
        one: The arm that should order better.
        other: The arm that should order worse.

    Returns:
        As `gains.compare_arms`, but `gain` is a difference of Spearman's ρ.
    """
    generator = np.random.default_rng(0)  # one for all data sets, so that draws are independent
    gains: dict[str, float] = {}
    changes: dict[str, Float[np.ndarray, " draw"]] = {}
    for data, part in images[images["arm"].isin([one, other])].groupby("data", sort=False):
        rho, draws = _orders_of(part, generator)
        if len(rho) == 2:
            gains[str(data)] = rho[one] - rho[other]
            changes[str(data)] = (draws[one] - draws[other]).to_numpy()
    return with_mean(gains, changes)


def _orders_of(
    images: pd.DataFrame, generator: np.random.Generator
) -> tuple[pd.Series[float], pd.DataFrame]:
    """Return ρ of each arm of one data set, a mean over runs, and its bootstrap draws by arm."""
    rho_of_run = []
    draws_of_run = []
    for _, of_run in images.groupby("run"):
        first = of_run.drop_duplicates("path").set_index("path")
        expected = of_run.pivot(index="arm", columns="path", values="expected")[first.index]
        _, group = np.unique(first["subject"], return_inverse=True)
        counts = draw_counts(group.max() + 1, group.max() + 1, DRAWS, generator)[:, group]

        rho = {}
        draws = {}
        true = first["true"].to_numpy()
        for arm, answers in zip(expected.index, expected.to_numpy(), strict=True):
            rho[arm] = spearman_rho(answers[None], true[None])[0]
            draws[arm] = resampled_rho(answers, true, counts)
        rho_of_run.append(pd.Series(rho))
        draws_of_run.append(pd.DataFrame(draws))

    n_runs = len(draws_of_run)
    drawn = draw_counts(max(n_runs - 1, 1), n_runs, DRAWS, generator)
    weighted = [draws.mul(drawn[:, run], axis=0) for run, draws in enumerate(draws_of_run)]
    mean_draws = sum(weighted) / drawn.sum(axis=1)[:, None]
    return pd.concat(rho_of_run, axis=1).mean(axis=1), mean_draws


def with_few(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with few images, and once more those of the arms that validate best in each run.

    Args:
        table: A row per `data`, `run`, `condition` and `arm`, with `val_rps`.
        rows: For the same: the table itself, or scores of images.

    Returns:
        Rows under the conditions of `FEW`, each of which is a run of its own; those that were
        chosen are called `BEST_WORDLESS` and `BEST_OF_ALL`, which may choose the sentences, too.
    """
    run = ["data", "run", "condition"]
    rows = with_best(table, rows, BEST_WORDLESS, WORDLESS, run)
    rows = with_best(table, rows, BEST_OF_ALL, [*WORDLESS, WORDS], run)
    return rows[rows["condition"].isin(FEW)]


def few_gains(
    table: pd.DataFrame, images: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """Return what arms save against others with few images, as `compare_pairs` does.

    Args:
        table: Rows of `words-few`, and of studies beside it.
        images: Their scores of test images.
        pairs: One arm against another, by name.
    """
    few = with_few(table, images)
    few["run"] = few["run"].astype(str) + " " + few["condition"]
    return compare_pairs(few, pairs)


def gains_by_labels(images: pd.DataFrame) -> pd.DataFrame:
    """Return by what beginning with a relative reduces the RPS, for each number of labels.

    Args:
        images: Scores of test images, of all studies.

    Returns:
        The rows of `gains.compare_arms`; `mark` says how the tower is trained, by words or labels,
        and `row` with how many labels.
    """
    few = images[images["study"].isin(["words-few", "words-curve"])]
    whole = images[images["study"].isin(["words-all", "at-best"]) & images["data"].isin(SETS)]
    parts = []
    for way, arms in BY_A_RELATIVE.items():
        for shots in SHOTS:
            gains = compare_arms(few[few["condition"] == f"few_shot={shots}"], *arms)
            parts.append(gains.assign(mark=way, row=f"{shots} per rank"))
        gains = compare_arms(whole, *ALL_IMAGES[way])
        parts.append(gains.assign(mark=way, row="all images"))
    return pd.concat(parts, ignore_index=True)


def judge_words(table: pd.DataFrame, images: pd.DataFrame, missing: Sequence[str]) -> pd.DataFrame:
    """Judge the three claims about words after a relative.

    Args:
        table: Rows of all studies.
        images: Their scores of test images.
        missing: Units that were not run.

    Returns:
        As `gains.judge_claims`; the gain of "new words" is a difference of Spearman's ρ.
    """
    new = images[images["study"] == "words-new"]
    few = images[images["study"] == "words-few"]
    parts = [compare_orders(new, *pair).assign(row=row) for row, pair in NEW_WORDS.items()]
    parts.append(few_gains(table[table["study"] == "words-few"], few, FEW_IMAGES))

    n_claims = len(NEW_WORDS) + len(FEW_IMAGES)
    waiting = any(unit.startswith(("words-new/", "words-few/")) for unit in missing)
    claims = pd.concat(parts, ignore_index=True)
    return with_verdicts(claims, n_claims, len(SETS), waiting=waiting)
