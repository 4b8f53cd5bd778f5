"""Bootstrap intervals: every metric of `metrics.evaluate` from how often a resample drew each image.

The mean of a resample is Σ_i often_i · v_i / B, so all means of all resamples are one matrix product. The plain functions
of `metrics` say what is computed; the tests compare each value here with theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch

from l2rclip_lite.metric_inputs import Array, Scored
from l2rclip_lite.ordinality import PerResample
from l2rclip_lite.probability_metrics import rounded, surplus_and_bin
from l2rclip_lite.resamples import Often, draw_counts, pairs_won, rank_order, sorted_bags

Measure: TypeAlias = Callable[[Often], dict[str, PerResample]]

SLACK = 1e-9  # an error of k counts as within k: in floats 0.8 − 0.7 exceeds 0.1


def percentiles(measure: Measure, images: int, resamples: int, seed: int) -> dict[str, float]:
    """`<name>_low` and `<name>_high` of every metric: the 2.5 and 97.5 % quantiles over the resamples."""
    with one_thread():
        blocks = [measure(often) for often in draw_counts(images, resamples, seed)]
    result: dict[str, float] = {}
    for name in blocks[0]:
        low, high = np.quantile(np.concatenate([block[name] for block in blocks]), (0.025, 0.975))
        result |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return result


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: the steps are too short to share, and a sum that is not shared has one value everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def resampled_metrics(
    best: Scored, mean: Scored, p: Array, each: Mapping[str, Array], levels: Sequence[int]
) -> Measure:
    """All metrics of resamples.

    Args:
        best: The most probable rank. Images of equal truth and prediction are counted together.
        mean: The expected value.
        p: A row of K an image.
        each: Values of each image whose mean is a metric.
        levels: The k of CS(k).
    """
    pair = best.true * best.count + best.nearest
    pairs, first = np.unique(pair, return_index=True)
    together = sorted_bags(pair, np.arange(len(pair)), pairs)
    of_best, of_mean = _table(best.take(first), levels), _table(mean, levels)
    of_rows = [_means(each), _ece(best.true, p), _auc(best.true, p)]

    def measure(often: Often) -> dict[str, PerResample]:
        found = of_best(together(often))
        found |= {f"{name}_expected": value for name, value in of_mean(often).items()}
        for metric in of_rows:
            found |= metric(often)
        return found

    return measure


def _sums(rows: Sequence[Array]) -> Callable[[Often], Array]:
    """Σ_i often_i · v_i of each row v."""
    values = torch.from_numpy(np.stack(rows).astype(float))
    return lambda often: np.asarray((values @ often.double()).numpy())


def _size(often: Often) -> Array:
    """How many images each resample drew."""
    return np.asarray(often.sum(0, dtype=torch.float64).numpy())


def _means(values: Mapping[str, Array]) -> Measure:
    sums = _sums(list(values.values()))
    return lambda often: dict(zip(values, sums(often) / _size(often), strict=True))


def _table(scored: Scored, levels: Sequence[int]) -> Measure:
    """What `metrics` calculates from the truth and one prediction."""
    error, off = np.abs(scored.error), np.abs(scored.nearest - scored.true)
    means = {"mae": error, "mae_rank": scored.step, "rmse": scored.error**2}
    means |= {"accuracy": off <= 0, "one_off": off <= 1}
    means_of = _means(means | {f"cs@{k}": error <= k + SLACK for k in levels})
    order_of = rank_order(scored.true, scored.value)
    parts = [_qwk(scored), order_of, _errors_by_rank(scored)]

    def measure(often: Often) -> dict[str, PerResample]:
        found = means_of(often)
        found["rmse"] = np.sqrt(found["rmse"])
        for part in parts:
            found |= part(often)
        return found

    return measure


def _qwk(scored: Scored) -> Measure:
    """1 − Σ (i−j)² O_ij / Σ (i−j)² E_ij, where B Σ (i−j)² E_ij = B Σ (y² + p²) − 2 Σ y Σ p."""
    y, p = scored.true, scored.nearest
    sums = _sums([y, p, y**2 + p**2, (y - p) ** 2])

    def measure(often: Often) -> dict[str, PerResample]:
        of_y, of_p, squares, apart = sums(often)
        chance = squares - 2 * of_y * of_p / _size(often)
        return {"qwk": (chance - apart) / np.where(chance > 0, chance, 1)}

    return measure


def _errors_by_rank(scored: Scored) -> Measure:
    """Mean and largest error in rank steps over the ranks that a resample drew."""
    ranks = np.unique(scored.true)
    sizes = sorted_bags(scored.true, np.arange(len(scored.true)), ranks)
    sums = _sums([scored.step * (scored.true == k) for k in ranks])

    def measure(often: Often) -> dict[str, PerResample]:
        drawn = sizes(often).numpy()
        by_rank = np.where(drawn > 0, sums(often) / np.maximum(drawn, 1), np.nan)
        return {"amae": np.nanmean(by_rank, 0), "mmae": np.nanmax(by_rank, 0)}

    return measure


def _ece(true: Array, p: Array) -> Measure:
    """Σ_b |Σ_i in b often_i (1[right] − confidence)| / B."""
    surplus, place = surplus_and_bin(true, p)
    sums = _sums([surplus * (place == b) for b in np.unique(place)])
    return lambda often: {"ece": np.abs(sums(often)).sum(0) / _size(often)}


def _auc(true: Array, p: Array) -> Measure:
    """The mean over the ranks drawn of pairs won / pairs, one rank against the rest; 0.5 without a pair."""
    p, ranks = rounded(p), np.unique(true)
    sizes = sorted_bags(true, np.arange(len(true)), ranks)
    duels = [pairs_won(p[:, k], true == k, true != k) for k in ranks]

    def measure(often: Often) -> dict[str, PerResample]:
        drawn = sizes(often).double().numpy()
        pairs = drawn * (_size(often) - drawn)
        won = np.stack([duel(often) for duel in duels])
        present = (pairs > 0).sum(0)
        mean = (won / np.maximum(pairs, 1)).sum(0) / np.maximum(present, 1)
        return {"auc": np.where(present > 0, mean, 0.5)}

    return measure
