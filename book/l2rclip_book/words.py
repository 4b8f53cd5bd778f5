"""Words after a relative: what orders images without a label, what helps with a few.

`experiments/matrix/studies.yaml` fixed the claims before the runs.

- **Without a label** (study `words-new`), the order of the answers counts: Spearman's ρ of the
  expected value and the truth over the test images of a run, then the mean over runs. In each draw
  of the bootstrap runs are drawn, and groups of images within each, the same for every arm.
- **With 2 and 4 images a rank** (`words-few`), the reduction of the RPS counts, see `gains`. An
  image counts once, by its mean over runs and numbers of images.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from l2rclip_book.gains import (
    EDGES,
    compare_arms,
    compare_pairs,
    labelled,
    summary,
    with_best,
    with_verdicts,
)
from l2rclip_book.statistics import draw_counts, resampled_rho

SETS = ("bracol-area", "bracol", "pears", "cherries81")
FEW = ("few_shot=2", "few_shot=4")  # the conditions of the two claims about few images
AMOUNTS = ("1", "2", "4", "8", "16", "all")  # of labelled images a rank
ALL_IMAGES = {"L2RCLIP": "words", "rps": "labels"}  # as `at-best` names these arms
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
NEW_WORDS = ("after a relative", "plain tower")
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
    rows = []
    for data, rho in _sampled_orders(images).items():
        for arm in rho:
            low, high = rho[arm][1:].quantile(EDGES)
            rows.append((data, arm, rho[arm][0], low, high))
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
    rows = table[(table["study"] == "words-new") & (table["arm"] == NEW_WORDS[0])]
    columns = ["data", "chance_low", "chance_high"]
    columns += ["lowest_fixed_low", "lowest_fixed_high", "lowest_fixed_above"]
    return rows.reindex(columns=columns).groupby("data").mean()


def compare_orders(images: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Compute by how much *one* orders better than *other*, for each data set and on their mean.

    Args:
        images: As `orders` takes them.
        one: The arm that should order better.
        other: The arm that should order worse.

    Returns:
        As `gains.compare_arms`, but `gain` is a difference of Spearman's ρ.
    """
    pair = images[images["arm"].isin([one, other])]
    changes = {}
    for data, rho in _sampled_orders(pair).items():
        if len(rho.columns) == 2:
            changes[data] = rho[one] - rho[other]
    return summary(changes)


def _sampled_orders(images: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return ρ of the arms, a column each, on every data set: the mean over runs, then its draws.

    Args:
        images: As `orders` takes them.
    """
    generator = np.random.default_rng(0)  # one for all data sets, so that draws are independent
    samples = {}
    for data, part in images.groupby("data", sort=False):
        of_runs = [_sampled_orders_of_run(run, generator) for _, run in part.groupby("run")]
        n_runs = len(of_runs)
        drawn = draw_counts(max(n_runs - 1, 1), n_runs, DRAWS, generator)
        counts = np.vstack([np.ones(n_runs), drawn])
        weighted = [rho.mul(counts[:, run], axis=0) for run, rho in enumerate(of_runs)]
        samples[str(data)] = sum(weighted) / counts.sum(axis=1)[:, None]
    return samples


def _sampled_orders_of_run(images: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Return ρ of the arms in one run, then in draws of its groups."""
    expected = images.pivot(index=["subject", "path", "true"], columns="arm", values="expected")
    group = expected.groupby("subject").ngroup()
    n_groups = group.max() + 1
    drawn = draw_counts(n_groups, n_groups, DRAWS, generator)
    counts = np.vstack([np.ones(n_groups), drawn])[:, group]

    true = expected.index.get_level_values("true").to_numpy()
    return expected.apply(lambda answers: pd.Series(resampled_rho(answers, true, counts)))


def few_gains(
    table: pd.DataFrame, images: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """Return what arms save against others with few images, as `compare_pairs` does.

    Each of the conditions of `FEW` is a run of its own. What validates best in each run is there
    once more, as `BEST_WORDLESS` and as `BEST_OF_ALL`, which may choose the sentences, too.

    Args:
        table: Rows of `words-few`, and of studies beside it.
        images: Their scores of test images.
        pairs: One arm against another, by name.
    """
    run = ["data", "run", "condition"]
    rows = with_best(table, images, BEST_WORDLESS, WORDLESS, run)
    rows = with_best(table, rows, BEST_OF_ALL, [*WORDLESS, WORDS], run)
    few = rows[rows["condition"].isin(FEW)]
    return compare_pairs(few.assign(run=few["run"].astype(str) + " " + few["condition"]), pairs)


def by_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what begins with a relative or without; `shots`: one of `AMOUNTS`.

    Args:
        rows: Of all studies: a row per run and arm, or scores of images.
    """
    studies = ["words-few", "words-curve", "words-all", "at-best"]
    chosen = rows[rows["study"].isin(studies) & rows["data"].isin(SETS)]
    shots = chosen["condition"].str.removeprefix("few_shot=").replace("", "all")
    return chosen.replace({"arm": ALL_IMAGES}).assign(shots=shots)


def gains_by_labels(images: pd.DataFrame) -> pd.DataFrame:
    """Return by what beginning with a relative reduces the RPS, for each number of labels.

    Args:
        images: Scores of test images, of all studies.

    Returns:
        The rows of `gains.compare_arms`; `mark` says how the tower is trained, by words or labels,
        and `row` with how many labels.
    """
    rows = by_labels(images)
    parts = {}
    for way, arms in BY_A_RELATIVE.items():
        for shots in AMOUNTS:
            row = "all images" if shots == "all" else f"{shots} per rank"
            parts[way, row] = compare_arms(rows[rows["shots"] == shots], *arms)
    return labelled(parts, ["mark", "row"])


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
    parts = [
        compare_orders(new, *NEW_WORDS).assign(row="new words"),
        few_gains(table[table["study"] == "words-few"], few, FEW_IMAGES),
    ]
    n_claims = 1 + len(FEW_IMAGES)
    claims = pd.concat(parts, ignore_index=True)
    return with_verdicts(claims, n_claims, len(SETS), missing, ["words-new", "words-few"])
