"""Metrics that know the ordered label space, so a rank absent from the sample cannot change the scale.

Arguments shared by every function (NumPy arrays, torch tensors or plain sequences):

- `y_true`: B rank indices, whole numbers 0 … K−1.
- `y_pred`: B predictions. **Whole numbers are rank indices; floats are values in `ranks.unit`**, such as the
  expected value Σ_k p_k r_k. Where the scale does not start at 0 the two differ: keep indices in integers.
- `probabilities`: B rows of K numbers ≥ 0 that sum to 1 within 0.01 (bf16 noise) and are rescaled to 1.
- `ranks`: the `Ranks` with values r_1 < … < r_K.

A float prediction is read on three scales: its value; its position among the ranks (piecewise linear between
neighbours, cut off at both ends); its nearest rank (the lower one at a tie). Bad input raises `InputError`.

Undefined values: `spearman` and `kendall` are 0/0 when the truth or the predictions are constant, `qwk` when
both are the same constant. They return 0.0, without a warning: such a sample shows no association. `auc` is 0/0
where the truth is constant; it returns chance, 0.5.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.stats import kendalltau, rankdata, spearmanr
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

Indices: TypeAlias = Int[np.ndarray, " batch"] | Int[Tensor, " batch"] | Sequence[int]
Values: TypeAlias = Float[np.ndarray, " batch"] | Float[Tensor, " batch"] | Sequence[float]
Labels: TypeAlias = Indices | Values
Probabilities: TypeAlias = Float[np.ndarray, "batch rank"] | Float[Tensor, "batch rank"] | list[list[float]]
Often: TypeAlias = Float[np.ndarray, "image resample"]
Scores: TypeAlias = dict[str, Float[np.ndarray, " resample"]]

SLACK = 1e-9  # an error of k counts as within k: in floats 0.8 − 0.7 exceeds 0.1


# ---- what the metrics accept


def numbers(given: object, name: str, axes: int = 1, last: int | None = None) -> np.ndarray:
    """A NumPy copy (int64 or float64) of an array, a tensor or a plain sequence.

    Args:
        given: The numbers.
        name: What to call them in an error.
        axes: How many axes they must have.
        last: The highest rank index, where they must be rank indices.

    Raises:
        InputError: A wrong shape or type, no row, a value that is not finite, or an index outside [0, `last`].

    Example:
        >>> numbers([0.5, 1], "y_pred")
        array([0.5, 1. ])
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu()
        given = (given.double() if given.is_floating_point() else given).numpy()  # NumPy knows no bfloat16
    array, wanted = np.asarray(given), "numbers" if last is None else "a rank index"
    if array.ndim != axes or array.size == 0 or array.dtype.kind not in ("iuf" if last is None else "iu"):
        raise InputError(f"metrics: {name} is {array.dtype}{list(array.shape)}; give {wanted} per image.")
    array = array.astype(float if array.dtype.kind == "f" else np.int64)
    bad = np.argwhere(~np.isfinite(array) if last is None else (array < 0) | (array > last))
    if len(bad):
        cure = "repair that row" if last is None else f"give ranks from 0 to {last}"
        raise InputError(f"metrics: {name} is {array[tuple(bad[0])]} in row {bad[0][0]}; {cure}.")
    return array


def check_paired(left: np.ndarray, right: np.ndarray) -> None:
    """Refuse truth and predictions of different length."""
    if len(left) != len(right):
        raise InputError(f"metrics: {len(left)} true ranks, {len(right)} predictions; give one per image.")


class Scored(NamedTuple):
    """Predictions beside the truth, one entry per image."""

    true: np.ndarray  # rank index
    nearest: np.ndarray  # rank index of the prediction
    error: np.ndarray  # prediction − truth, in the unit
    step: np.ndarray  # |prediction − truth|, in ranks
    value: np.ndarray  # prediction, in the unit


def score(y_true: object, y_pred: object, ranks: Ranks) -> Scored:
    """A prediction on the three scales that this module describes: its value, its position, its nearest rank.

    Raises:
        InputError: As `numbers`, or not one prediction per true rank.

    Example:
        >>> found = score([0, 2], [16.4, 17.0], Ranks.integers(16, 18, template="{rank} years old"))
        >>> found.nearest.tolist(), found.step.round(1).tolist()
        ([0, 1], [0.4, 1.0])
    """
    true, value = numbers(y_true, "y_true", last=len(ranks) - 1), _in_unit(y_pred, "y_pred", ranks)
    check_paired(true, value)
    values = np.array(ranks.values)
    step = np.abs(np.interp(value, values, np.arange(len(ranks))) - true)
    nearest = np.searchsorted((values[1:] + values[:-1]) / 2, value)
    return Scored(true, nearest, value - values[true], step, value)


def _in_unit(given: object, name: str, ranks: Ranks) -> np.ndarray:
    """Rank indices or values as values."""
    x = numbers(given, name)
    return x if x.dtype.kind == "f" else np.take(ranks.values, numbers(x, name, 1, len(ranks) - 1))


def forecast(y_true: object, probabilities: object, ranks: Ranks) -> tuple[np.ndarray, np.ndarray]:
    """Rank indices and the rows of probabilities beside them, rescaled to sum to 1.

    Args:
        y_true: Rank indices.
        probabilities: One row per image, one column per rank.
        ranks: The label space.

    Raises:
        InputError: Not one row per image, not one column per rank, or a row that does not sum to 1 within 0.01.

    Example:
        >>> forecast([1], [[0.25, 0.75]], Ranks.integers(1, 2, template="grade {rank}"))
        (array([1]), array([[0.25, 0.75]]))
    """
    true = numbers(y_true, "y_true", last=len(ranks) - 1)
    p = numbers(probabilities, "probabilities", axes=2).astype(float)
    if p.shape != (len(true), len(ranks)):
        raise InputError(f"metrics: probabilities {p.shape}; give {len(true)} rows, {len(ranks)} columns.")
    total = p.sum(1)
    bad = np.flatnonzero((p < 0).any(1) | (np.abs(total - 1) > 0.01))
    if len(bad):
        row = f"row {bad[0]} of probabilities sums to {total[bad[0]]:.4g}"
        raise InputError(f"metrics: {row}; give numbers ≥ 0 that sum to 1, such as a softmax.")
    return true, p / total[:, None]


# ---- the metrics of answers


def mae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error, mean_i |ŷ_i − r_{y_i}|, in `ranks.unit`; 0 is perfect.

    Example:
        >>> decades = Ranks(("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}", "years")
        >>> mae([0, 1, 2, 2], [1, 1, 2, 2], decades), mae([0, 1], [1936.0, 1950.0], decades)
        (5.0, 3.0)
    """
    return _plain(score(y_true, y_pred, ranks), "mae")


def mae_rank(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error in rank steps, whatever the distance of neighbours; in [0, K−1], 0 is perfect.

    Example:
        >>> mae_rank([0, 1, 2], [1, 1, 0], Ranks.integers(16, 18, template="{rank} years old"))
        1.0
    """
    return _plain(score(y_true, y_pred, ranks), "mae_rank")


def rmse(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Root mean squared error, √mean_i (ŷ_i − r_{y_i})², in `ranks.unit`; at least `mae`, 0 is perfect.

    Example:
        >>> rmse([0, 1, 2, 3], [0, 1, 0, 3], Ranks.integers(16, 19, template="{rank} years old"))
        1.0
    """
    return _plain(score(y_true, y_pred, ranks), "rmse")


def accuracy(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one, in [0, 1].

    Example:
        >>> accuracy([0, 1, 2], [16.4, 17.6, 18.0], Ranks.integers(16, 18, template="{rank} years old"))
        0.6666666666666666
    """
    return _plain(score(y_true, y_pred, ranks), "accuracy")


def one_off(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one or its neighbour, in [0, 1]; used by Adience.

    Example:
        >>> one_off([0, 1, 2, 3], [1, 1, 3, 0], Ranks.integers(1, 4, template="grade {rank}"))
        0.75
    """
    return _plain(score(y_true, y_pred, ranks), "one_off")


def cs_at(y_true: Indices, y_pred: Labels, ranks: Ranks, k: float) -> float:
    """Cumulative score CS(k): share of images with |ŷ_i − r_{y_i}| ≤ k, k in `ranks.unit`; in [0, 1].

    Example:
        >>> cs_at([0, 9], [5, 1], Ranks.integers(16, 25, template="{rank} years old"), k=5)
        0.5
    """
    return float((np.abs(score(y_true, y_pred, ranks).error) <= k + SLACK).mean())


def qwk(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Quadratic weighted kappa over rank indices, 1 − Σ (i−j)² O_ij / Σ (i−j)² E_ij; in [−1, 1], chance 0.

    O counts (truth, prediction) pairs, E is the product of its margins over B. A tool that numbers only the
    ranks it sees moves rank 5 next to rank 1 and gives 2/3 here. Source: Cohen 1968.

    Example:
        >>> six = Ranks.integers(0, 5, template="grade {rank}")
        >>> round(qwk([0, 0, 0, 1, 1, 1, 5, 5], [0, 0, 1, 1, 1, 5, 5, 1], six), 6)
        0.463415
    """
    return _plain(score(y_true, y_pred, ranks), "qwk")


def spearman(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Spearman's ρ: the Pearson correlation of mid-ranks; in [−1, 1], 0.0 if either side is constant.

    Example:
        >>> spearman([0, 1, 2], [0.1, 0.2, 0.7], Ranks.integers(0, 2, template="grade {rank}"))
        1.0
    """
    return _correlation(score(y_true, y_pred, ranks), spearmanr)


def kendall(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Kendall's τ_b = (C − D) / √((N − T_y)(N − T_ŷ)); in [−1, 1], 0.0 if either side is constant.

    Of the N pairs of images, C stand in the same order, D in the opposite one; T_y and T_ŷ tie on one side.

    Example:
        >>> round(kendall([0, 1, 2], [0, 2, 1], Ranks.integers(0, 2, template="grade {rank}")), 4)
        0.3333
    """
    return _correlation(score(y_true, y_pred, ranks), kendalltau)


def amae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Average over the ranks present in `y_true` of their mean absolute error in rank steps; in [0, K−1].

    Every rank weighs the same however rare. Source: Baccianella, Esuli and Sebastiani 2009.

    Example:
        >>> amae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.125
    """
    return _plain(score(y_true, y_pred, ranks), "amae")


def mmae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """The largest of the per-rank errors that `amae` averages, in rank steps. Source: Cruz-Ramírez 2014.

    Example:
        >>> mmae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.5
    """
    return _plain(score(y_true, y_pred, ranks), "mmae")


def epsilon_error(y_true: Labels, y_pred: Labels, ranks: Ranks, deviations: Values) -> float:
    """ε-error of ChaLearn LAP 2015, 1 − mean_i exp(−(ŷ_i − μ_i)² / 2σ_i²); in [0, 1], 0 is perfect.

    Args:
        y_true: Rank indices, or the mean label μ of each image as floats in `ranks.unit`.
        y_pred: Rank indices, or floats in `ranks.unit`.
        ranks: The label space.
        deviations: Standard deviation σ ≥ 0 of the labels of each image, in `ranks.unit`. σ = 0 is the
            limit: 0 for an exact prediction, 1 for any other.

    Raises:
        InputError: A negative or missing deviation.

    Example:
        >>> ages = Ranks.integers(16, 77, template="{rank} years old")
        >>> round(epsilon_error([24.5, 30.0], [26.5, 30.0], ages, [2.0, 3.0]), 4)  # (1 − e^(−1/2)) / 2
        0.1967
    """
    mean, pred = _in_unit(y_true, "y_true", ranks), _in_unit(y_pred, "y_pred", ranks)
    check_paired(mean, pred)
    return float(_epsilon(pred - mean, deviations).mean())


# ---- the metrics of rows of probabilities


def rps(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Ranked probability score, mean_i Σ_k (F_ik − 1[y_i ≤ k])²; in [0, K−1], 0 is perfect.

    F is the cumulative row. Not divided by K−1; the squared earth mover's distance. Source: Epstein 1969.

    Example:
        >>> four = Ranks.integers(0, 3, template="grade {rank}")
        >>> round(rps([0, 3], [[0.2, 0.4, 0.2, 0.2], [0.5, 0.05, 0.1, 0.35]], four), 4)  # (0.84 + 0.975) / 2
        0.9075
    """
    return float(rps_of_images(*forecast(y_true, probabilities, ranks)).mean())


def rps_of_images(true: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The ranked probability score of each image, from what `forecast` returns."""
    return np.asarray(((p.cumsum(1) - (true[:, None] <= np.arange(p.shape[1]))) ** 2).sum(1))


def ece(y_true: Indices, probabilities: Probabilities, ranks: Ranks, *, bins: int = 15) -> float:
    """Expected calibration error of the top label, Σ_b |B_b|/B · |accuracy_b − confidence_b|; in [0, 1].

    The bins (lo, hi] of the largest probability have equal width 1/`bins`. Source: Guo et al. 2017.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> round(ece([0, 1], [[0.9, 0.1], [0.7, 0.3]], two), 4)  # (0.1 + 0.7) / 2
        0.4
    """
    true, p = forecast(y_true, probabilities, ranks)
    return float(_ece(true, p, np.ones((len(p), 1)), bins)[0])


def auc(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Area under the ROC curve, one rank against the rest, averaged over the ranks; in [0, 1], chance 0.5.

    Of all pairs of an image of rank k and one of another rank: the share in which the first has the larger p_k,
    ties one half. The mean is over the ranks that occur in `y_true`, each with the same weight. Where all K do, it
    is the AUC of MedMNIST; a single rank leaves no pair, and the result is 0.5. It does not know that the ranks are
    ordered. Sources: Hanley and McNeil 1982; Yang et al. 2023 (MedMNIST v2).

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> auc([0, 0, 1], [[0.8, 0.2, 0], [0.3, 0.7, 0], [0.5, 0.5, 0]], three)  # rank 2 does not occur
        0.5
    """
    true, p = forecast(y_true, probabilities, ranks)
    digits, power = np.frexp(p)  # rescaling a row must not untie its scores in the last bit
    place = rankdata(np.ldexp(digits.round(12), power), axis=0)
    # by hand, because scikit-learn's multi-class AUC refuses a sample in which a rank is absent
    present, size = np.unique(true, return_counts=True)
    won = (place[:, present] * (true[:, None] == present)).sum(0) - size * (size + 1) / 2
    return float(np.mean(won / (size * (len(true) - size)))) if len(present) > 1 else 0.5


def medians(p: np.ndarray) -> np.ndarray:
    """The median rank of each row of probabilities, the lowest k with Σ_{j≤k} p_j ≥ ½: the best answer under MAE.

    Example:
        >>> medians(np.array([[0.4, 0.3, 0.3], [0.5, 0.2, 0.3]]))
        array([1, 0])
    """
    return np.asarray((p.cumsum(1) >= 0.5 - SLACK).argmax(1))


def evaluate(
    probabilities: Probabilities,
    target: Indices,
    ranks: Ranks,
    *,
    deviations: Values | None = None,
    groups: Sequence[str] | None = None,
    intervals: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Every metric, for the most probable rank, for the median and for the expected value Σ_k p_k r_k.

    Each answer is best at what it minimises: the most probable rank at accuracy, the median at MAE, the expected value at
    RMSE (Gneiting 2011).

    Args:
        probabilities: A row of K for each image. The lowest of several equal maxima is the prediction.
        target: Rank indices.
        ranks: The label space.
        deviations: σ of each image's labels; adds `epsilon_error`.
        groups: Whom each image shows. The bootstrap then draws groups, not images: images of one group are alike.
        intervals: Add `<name>_low` and `<name>_high`, the 95 % percentile bootstrap over images, of all metrics but
            `auc` and rank correlations: these would sort all images for every resample.
        resamples: Bootstrap draws.
        seed: Seed of the draws, see `resampled`.

    Returns:
        `n`, `rps`, `ece`, `auc`; `mae`, `mae_rank`, `rmse`, `accuracy`, `one_off`, `cs@1`, `cs@3`, `cs@5`, `qwk`,
        `spearman`, `kendall`, `amae`, `mmae` of the most probable rank, and the same with `_median` and `_expected`. A
        `cs@k` with k ≥ r_K − r_1 is left out: it is 1 for every model.

    Raises:
        InputError: Not one row per target, not one column per rank, or rows that do not sum to 1.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> found = evaluate([[0.5, 0.25, 0.25], [0.0, 0.25, 0.75]], [0, 2], three)
        >>> found["n"], found["mae"], found["mae_expected"], found["accuracy"], found["accuracy_expected"]
        (2.0, 0.0, 0.5, 1.0, 0.5)
    """
    true, p = forecast(target, probabilities, ranks)
    often: dict[str, Any] = {"resamples": resamples if intervals else 0, "seed": seed}
    found = resampled(p, true, ranks, deviations=deviations, groups=groups, **often)
    result = {"n": float(len(true)), "auc": auc(true, p, ranks)} | with_intervals(found)
    for answer, given in _answers(p, ranks).items():
        result[f"spearman{answer}"] = spearman(true, given, ranks)
        result[f"kendall{answer}"] = kendall(true, given, ranks)
    return result


def resampled(
    probabilities: Probabilities,
    target: Indices,
    ranks: Ranks,
    *,
    deviations: Values | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """The metrics that `evaluate` gives intervals: of the sample itself, then of each bootstrap resample.

    The resamples are those of `numpy.random.default_rng(seed).integers(B, size=(resamples, B))`, so two methods that
    answered the same images, with one seed, are paired: the difference of their scores is that of one resample.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> resampled([[1.0, 0.0], [1.0, 0.0]], [0, 1], two, groups=["a", "a"], resamples=2)[
        ...     "accuracy"
        ... ]  # one draw
        array([0.5, 0.5, 0.5])
    """
    true, p = forecast(target, probabilities, ranks)
    scored = {answer: score(true, given, ranks) for answer, given in _answers(p, ranks).items()}
    scores = rps_of_images(true, p)
    levels = [k for k in (1, 3, 5) if k < ranks.values[-1] - ranks.values[0]]
    members = np.unique(np.arange(len(true)) if groups is None else groups, return_inverse=True)[1]
    blocks = []
    for often in _draws(members, resamples, seed):
        found: Scores = {}
        for answer, given in scored.items():
            table = _table(given, often, levels, deviations)
            found |= {f"{name}{answer}": value for name, value in table.items()}
        blocks.append(found | {"rps": scores @ often / often.sum(0), "ece": _ece(true, p, often)})
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def with_intervals(found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each score of the sample, and the 95 % percentile interval of its resamples where there are any.

    Example:
        >>> with_intervals({"mae": np.array([0.5, 0.25, 0.75])})
        {'mae': 0.5, 'mae_low': 0.2625, 'mae_high': 0.7375}
    """
    result = {}
    for name, (value, *draws) in found.items():
        result[name] = float(value)
        if draws:
            result[f"{name}_low"], result[f"{name}_high"] = np.quantile(draws, (0.025, 0.975)).tolist()
    return result


def _answers(p: np.ndarray, ranks: Ranks) -> dict[str, np.ndarray]:
    """The three answers; the expectation is rounded, because equal rows must stay tied to the last bit."""
    return {"": p.argmax(1), "_median": medians(p), "_expected": np.round(p @ np.array(ranks.values), 9)}


# ---- the formulas, for one sample or for many resamples: `often` counts how often each drew each image


def _draws(members: np.ndarray, resamples: int, seed: int) -> Iterator[Often]:
    """The sample itself, each image once; then the resamples, some at a time, of the groups that the images belong to."""
    yield np.ones((len(members), 1))
    generator, groups = np.random.default_rng(seed), members.max() + 1
    width = max(1, 2**22 // len(members))  # 32 MiB of counts at once
    for start in range(0, resamples, width):
        rows = generator.integers(groups, size=(min(width, resamples - start), groups))
        rows += groups * np.arange(len(rows))[:, None]
        often = np.bincount(rows.ravel(), minlength=rows.size).reshape(rows.shape).T
        yield often[members].astype(float, order="C")


def _sums(value: np.ndarray, group: np.ndarray, often: Often) -> np.ndarray:
    """Σ often_i · v_i over the images of each group up to the last one in use, for each resample."""
    return np.asarray(csr_array((value, (group, np.arange(len(group))))) @ often)


def _table(scored: Scored, often: Often, levels: Sequence[int] = (), sigma: Values | None = None) -> Scores:
    """The metrics of answers but rank correlations."""
    error, y, p, size = np.abs(scored.error), scored.true, scored.nearest, often.sum(0)
    rows = {"mae": error, "mae_rank": scored.step, "rmse": error**2, "accuracy": y == p}
    rows |= {"one_off": np.abs(y - p) <= 1} | {f"cs@{k}": error <= k + SLACK for k in levels}
    if sigma is not None:
        rows["epsilon_error"] = _epsilon(scored.error, sigma)
    rows |= {"y": y, "p": p, "squares": y**2 + p**2, "apart": (y - p) ** 2}
    sums = dict(zip(rows, np.stack([*rows.values()]).astype(float) @ often, strict=True))
    # Σ (i−j)² E_ij, multiplied out; it is 0 only if all y and p are one rank, and then Σ (i−j)² O_ij is 0
    chance = sums.pop("squares") - 2 * sums.pop("y") * sums.pop("p") / size
    kappa = (chance - sums.pop("apart")) / np.where(chance > 0, chance, 1)
    found = {name: value / size for name, value in sums.items()}
    found |= {"rmse": np.sqrt(found["rmse"]), "qwk": kappa}
    drawn = _sums(np.ones(len(y)), y, often)
    by_rank = _sums(scored.step, y, often) / np.where(drawn > 0, drawn, np.nan)
    return found | {"amae": np.nanmean(by_rank, 0), "mmae": np.nanmax(by_rank, 0)}


def _plain(scored: Scored, name: str) -> float:
    """One metric of one sample."""
    return float(_table(scored, np.ones((len(scored.true), 1)))[name][0])


def _correlation(scored: Scored, measure: Callable[[np.ndarray, np.ndarray], Any]) -> float:
    """A rank correlation by SciPy, which warns and gives NaN where one side is constant."""
    constant = np.ptp(scored.true) == 0 or np.ptp(scored.value) == 0
    return 0.0 if constant else float(measure(scored.true, scored.value).statistic)


def _ece(true: np.ndarray, p: np.ndarray, often: Often, bins: int = 15) -> np.ndarray:
    """Σ_b |Σ_{i in b} often_i (1[right] − confidence)| / B."""
    confidence = p.max(1)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    gap = _sums((p.argmax(1) == true) - confidence, place, often)
    return np.asarray(np.abs(gap).sum(0) / often.sum(0))


def _epsilon(error: np.ndarray, deviations: object) -> np.ndarray:
    """The ε-error of each image."""
    sigma = numbers(deviations, "deviations").astype(float)
    if len(sigma) != len(error) or (sigma < 0).any():
        raise InputError(f"metrics: {len(sigma)} deviations, {len(error)} images; give each image one, ≥ 0.")
    limit = np.where(error == 0, 0.0, np.inf)
    return np.asarray(1 - np.exp(-0.5 * np.divide(error, sigma, out=limit, where=sigma > 0) ** 2))
