"""The search of a recipe: which rate, and whether gradients are shortened, suits each method.

`experiments/matrix/search.yaml` fixed how a recipe is chosen, before the runs.
"""

from __future__ import annotations

import pandas as pd

from l2rclip_book.result_files import find_result

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
    scores = relative_scores(search).replace({"arm": RECIPES, "study": METHODS})
    cells = scores.pivot_table("relative", "arm", "study") * 100
    cells = cells.reindex(index=list(RECIPES.values()), columns=list(METHODS.values()))
    return cells.rename_axis(index=None, columns="validation RPS, %")


def relative_scores(search: pd.DataFrame) -> pd.DataFrame:
    """Return how each recipe of a search does beside the others of its method.

    Args:
        search: The rows of a search.

    Returns:
        A row for each method (`study`), recipe (`arm`) and data set: validation RPS divided by the
        mean of all recipes of that method in that run, then the mean over runs.
    """
    scores = search.assign(val_rps=search["val_rps"].astype(float))
    of_run = scores.groupby(["study", "data", "run"])["val_rps"]
    scores["relative"] = scores["val_rps"] / of_run.transform("mean")
    return scores.groupby(["study", "arm", "data"])["relative"].mean().reset_index()


def chosen_recipes(search: pd.DataFrame) -> pd.DataFrame:
    """Return the recipe of each method with the lowest mean over data sets, and without each.

    Args:
        search: The rows of a search.

    Returns:
        A row for each method, with a column `all` and one for each data set that was left out.
    """
    scores = relative_scores(search)
    chosen = {"all": _lowest(scores)}
    for data in scores["data"].unique():
        chosen[f"without {data}"] = _lowest(scores[scores["data"] != data])
    return pd.DataFrame(chosen)


def _lowest(scores: pd.DataFrame) -> dict[str, str]:
    """Return the recipe of each method with the lowest mean over data sets."""
    lowest = {}
    for study, rows in scores.groupby("study"):
        lowest[str(study)] = str(rows.groupby("arm")["relative"].mean().idxmin())
    return lowest


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
    ordered = scores.sort_values("val_rps", kind="stable")
    chosen = ordered.drop_duplicates(["study", "data", "run"]).replace({"study": METHODS})
    cells = chosen.pivot_table("rps", "data", "study").reindex(columns=list(METHODS.values()))
    return cells.rename_axis(index=None, columns="RPS")
