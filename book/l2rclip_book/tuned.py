"""Tuned towers: the two claims about methods at their best, how firm they are, and their recipes.

`experiments/matrix/studies.yaml` fixed the claims before the runs, and `search.yaml` how the recipe
of each method, its rate and whether gradients are shortened, is chosen.
"""

from operator import itemgetter

import numpy as np
import pandas as pd
from scipy import stats

from l2rclip_book.gains import (
    MANY,
    MEAN,
    NONE,
    best_rows,
    compare_pairs,
    labelled,
    over_images,
    with_best,
)
from l2rclip_book.results import find_result

STUDY = "at-best"
SETS = (*MANY, "bracol", "retinamnist")
RIVALS = (NONE, "cross-entropy, 4e-4", "rps")
BEST_RIVAL = "best rival"
CLAIMS = {
    "against cross-entropy": ("L2RCLIP", NONE),
    "against the rival that validates best": ("L2RCLIP", BEST_RIVAL),
}
ALL = "all data sets"
LEFT_OUT: dict[str, tuple[str, ...]] = {  # sets, to see what comparisons rest on
    ALL: (),
    "coffee leaves counted once": ("bracol",),
    "without coffee leaves": ("bracol", "bracol-area"),
    "without coffee leaves and cherries": ("bracol", "bracol-area", "cherries81"),
    "without cherries": ("cherries81",),
    "without faces and pears": ("portraits", "pears"),
    "cherries and retinas alone": tuple(set(SETS) - {"cherries81", "retinamnist"}),
}
BY_ERROR = "judged by MAE (median)"
OVER_IMAGES = "over images, as registered"
OVER_SETS = "for the mean of data sets like these eight"
OVER_OTHERS = "for the mean of data sets like these, without coffee leaves"
NEW_SET = "for one new data set like these"
CHANGES = (*LEFT_OUT, BY_ERROR, OVER_IMAGES, OVER_SETS, OVER_OTHERS, NEW_SET)


def with_best_rival(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Add the rival that validates best in each run as "best rival", see `with_best`."""
    return with_best(table, images, BEST_RIVAL, RIVALS)


def variations(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return what the two claims are without some sets, by another score, and over other units.

    Args:
        table: Rows of the study `at-best`.
        images: Its scores of test images, with `rps` and the `error` of the median.

    Returns:
        `change`, `row` (the claim), `gain` on the mean of the sets, `low` and `high`: its 95 %
        interval over trainings and groups, or over what the change names.
    """
    arms = with_best_rival(table, images)
    changed = {change: arms[~arms["data"].isin(sets)] for change, sets in LEFT_OUT.items()}
    changed[BY_ERROR] = arms.assign(rps=arms.get("error"))
    changed[OVER_IMAGES] = over_images(arms)
    gains = {change: compare_pairs(rows, CLAIMS) for change, rows in changed.items()}

    gains[OVER_SETS] = _over_sets(gains[ALL], 0)
    gains[OVER_OTHERS] = _over_sets(gains["without coffee leaves"], 0)
    gains[NEW_SET] = _over_sets(gains[ALL], 1)
    table = labelled(gains, ["change"])
    return table[table["data"] == MEAN]


def _over_sets(gains: pd.DataFrame, n_new: int) -> pd.DataFrame:
    """Return the mean gain of each claim with t intervals in which the unit is a data set.

    One for the mean of such sets is √(1/n) standard deviations of the gains wide. A prediction
    interval, for the gain on one more of them, is √(1 + 1/n) wide.

    Args:
        gains: A row per claim and data set.
        n_new: 1 for an interval of one more set, 0 for one of the mean.
    """
    single = gains[gains["data"] != MEAN].groupby("row", sort=False)["gain"]
    n_sets = single.count()
    reach = stats.t.ppf(0.975, n_sets - 1) * single.std() * np.sqrt(n_new + 1 / n_sets)
    mean = single.mean()
    table = pd.DataFrame({"data": MEAN, "gain": mean, "low": mean - reach, "high": mean + reach})
    return table.reset_index()


RECIPES = {  # arms of the search, as a page names them
    "lr2 0.0001": "rate 1e-4",
    "lr2 0.0002": "rate 2e-4",
    "lr2 0.0004": "rate 4e-4",
    "lr2 0.0007": "rate 7e-4",
    "lr2 0.0001, controls.clip False": "rate 1e-4, gradients as they are",
    "lr2 0.0002, controls.clip False": "rate 2e-4, gradients as they are",
}
METHODS = {
    "search-l2rclip": "L2RCLIP",
    "search-cross-entropy": "cross-entropy",
    "search-rps": "cross-entropy + RPS",
}


def read_search(folder: str = "") -> pd.DataFrame:
    """Read the rows of the search; there are none where the file is missing.

    Args:
        folder: Of `search.csv`, see `find_result`.
    """
    file = find_result("search.csv", folder)
    if file is None:
        return pd.DataFrame(columns=["study", "data", "run", "arm", "val_rps", "rps"])
    return pd.read_csv(file)


def recipe_table(search: pd.DataFrame) -> pd.DataFrame:
    """Return what each recipe costs a method, in percent of the mean of its recipes.

    Args:
        search: The rows of a search.

    Returns:
        A line per recipe, a column per method: the mean over data sets of `relative_scores`.
    """
    cells = 100 * relative_scores(search).mean().unstack("study")
    cells = cells.reindex(index=list(RECIPES), columns=list(METHODS))
    cells = cells.rename(index=RECIPES, columns=METHODS)
    return cells.rename_axis(index=None, columns="validation RPS, %")


def relative_scores(search: pd.DataFrame) -> pd.DataFrame:
    """Return how each recipe of a search does beside the others of its method.

    Args:
        search: The rows of a search.

    Returns:
        A row for each data set, a column for each method (`study`) and recipe (`arm`): validation
        RPS divided by the mean of all recipes of that method in that run, then the mean over runs.
    """
    scores = search.astype({"val_rps": float})
    of_run = scores.groupby(["study", "data", "run"])["val_rps"]
    scores["relative"] = scores["val_rps"] / of_run.transform("mean")
    return scores.pivot_table("relative", "data", ["study", "arm"])


def chosen_recipes(search: pd.DataFrame) -> pd.DataFrame:
    """Return the recipe of each method with the lowest mean over data sets, and without each.

    Args:
        search: The rows of a search.

    Returns:
        A row for each method, with a column `all` and one for each data set that was left out.
    """
    scores = relative_scores(search)
    means = {"all": scores.mean()}
    for data in search["data"].unique():
        means[f"without {data}"] = scores.drop(index=data).mean()

    chosen = pd.DataFrame(means).groupby("study").idxmin()  # a method and its recipe
    return chosen.map(itemgetter(1)).rename_axis(None)


def rps_of_own_recipes(search: pd.DataFrame) -> pd.DataFrame:
    """Return the test RPS of each method if each training takes the recipe that validates best.

    Args:
        search: The rows of a search.

    Returns:
        A line per data set, a column per method: the mean over its trainings.

    Example:
        >>> arms = {"arm": ["lr2 0.0001", "lr2 0.0002"], "val_rps": [2.0, 1.0], "rps": [5.0, 6.0]}
        >>> search = pd.DataFrame(arms).assign(study="search-rps", data="pears", run=0)
        >>> rps_of_own_recipes(search)["cross-entropy + RPS"].to_dict()
        {'pears': 6.0}
    """
    scores = search.astype({"val_rps": float, "rps": float})
    chosen = best_rows(scores, ["study", "data", "run"]).replace({"study": METHODS})
    cells = chosen.pivot_table("rps", "data", "study").reindex(columns=list(METHODS.values()))
    return cells.rename_axis(index=None, columns="RPS")
