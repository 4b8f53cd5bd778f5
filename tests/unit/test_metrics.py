"""Worked examples for the metrics: the arithmetic stands in each docstring."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite import metrics
from l2rclip_lite.data import Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.metrics.bootstrap import resample_counts, resampled
from l2rclip_lite.runs.results import cell, judge

PAIRED = (
    metrics.mae,
    metrics.mae_rank,
    metrics.rmse,
    metrics.accuracy,
    metrics.one_off,
    metrics.qwk,
    metrics.spearman,
    metrics.kendall,
    metrics.amae,
    metrics.mmae,
)

UNEVEN = Ranks(("a", "b", "c"), (0, 1, 10), "{rank}", "years")
AGES = Ranks.integers(16, 30, template="{rank}")


def grades(count: int) -> Ranks:
    """Return ranks 0 … count − 1."""
    return Ranks.integers(0, count - 1, template="grade {rank}")


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        # errors of 1, 0 and −9 years
        (metrics.mae(np.array([0, 1, 2]), torch.tensor([1, 1, 1]), UNEVEN), 10 / 3),
        # 0.8 − 0.7 is 0.10000000000000009 in floats and counts as 0.1
        (metrics.cs_at([0], [1], Ranks(("a", "b"), (0.7, 0.8), "{rank}"), 0.1), 1),
        # 5.5 is halfway between 1 and 10: half a rank off either, and nearest to the lower one
        (metrics.mae_rank([1], [5.5], UNEVEN), 0.5),
        (metrics.accuracy([1, 2], [5.5, 5.6], UNEVEN), 1),
        # −3 years are no rank off the lowest
        (metrics.mae_rank([0], [-3.0], UNEVEN), 0),
        # age 18 is rank 2: as an integer 2, as a float 18.0
        (metrics.mae([2], torch.tensor([18.0], dtype=torch.bfloat16, requires_grad=True), AGES), 0),
        # of two bins ½ is in the lower one: (.5 + .25) / 2, not |.25 − .5| / 2
        (metrics.ece([1, 1, 1], [[0.5, 0.5], [0.25, 0.75], [0, 1]], grades(2), bins=2), 0.25),
        # very small numbers: (½ + 1) / 2
        (metrics.auc([0, 1], [[1.0, 1e-20], [1.0, 2e-20]], grades(2)), 0.75),
        # a constant side shows no association: not NaN, and no warning
        (metrics.qwk([2, 2], [2, 2], grades(3)), 0),
        (metrics.spearman([0, 1, 2], [1, 1, 1], grades(3)), 0),
        # of six pairs two agree, one ties in the truth, three in the answers; τ_c would be ½
        (metrics.kendall([0, 0, 1, 2], [0, 1, 1, 1], grades(3)), 2 / math.sqrt(15)),
    ],
)
def test_by_hand(score: float, expected: float) -> None:
    """Each comment is the arithmetic of the lines below it."""
    assert score == pytest.approx(expected)


ROWS = [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mae([0, 3], [0, 1], grades(3)), "y_true is 3 in row 1; give ranks from 0"),
        (lambda: metrics.mae([0, 1], [0, 1, 2], grades(3)), "2 true ranks, 3 predictions"),
        (lambda: metrics.mae([0, 1], [0.5, math.nan], grades(3)), "y_pred is nan in row 1"),
        (lambda: metrics.mae([0.0], [0], grades(3)), "y_true is .*; give a rank index per image"),
        (lambda: metrics.rps([0], [[0.5, 0.5]], grades(3)), "give each image a row of 3"),
        (lambda: metrics.rps([0, 1], [[1.0, 0.0], [2.0, 3.0]], grades(2)), "row 1 is"),
        (lambda: evaluate(ROWS, [0, 1], grades(2), groups=["a", None]), "name whom each image"),
    ],
)  # fmt: skip
def test_bad_input_names_the_row_and_the_fix(call: Callable[[], object], message: str) -> None:
    """One sentence of this package, never a NumPy traceback."""
    with pytest.raises(InputError, match=message):
        call()


# --- all of them at once ------------------------------------------------------------------------


def test_a_run_is_judged_by_subjects_and_deviations() -> None:
    """Anna's ten images are all right, Ben's are all off by one grade.

    Of two draws none, one or both are Anna: accuracy 0, ½ or 1, the ends a quarter each. ε is
    ½ (1 − e^(−1/2)) with σ = 1.
    """
    paths = [f"{place}.png" for place in range(20)]
    subjects = ["anna"] * 10 + ["ben"] * 10
    part = Split(paths, [0] * 20, paths, subjects=subjects, deviations=[1.0] * 20)
    right_of_anna = torch.eye(2)[[0] * 10 + [1] * 10]

    scores = judge(right_of_anna, part, grades(2), intervals=True)
    assert [scores[f"accuracy{end}"] for end in ("_low", "", "_high")] == [0, 0.5, 1]
    assert (scores["rps_low"], scores["rps_high"]) == (0, 1)
    assert scores["epsilon_error"] == pytest.approx((1 - math.exp(-0.5)) / 2)

    # with σ = 0 what is not exact costs 1
    assert metrics.epsilon_error([1, 1], [17.0, 17.5], AGES, [0.0, 0.0]) == 0.5

    of_anna = judge(right_of_anna[:10], part[:10], grades(2), intervals=True)
    assert "accuracy_low" not in of_anna  # of one group nothing can be drawn

    of_images = evaluate(right_of_anna, [0] * 20, grades(2), intervals=True)
    assert 0.2 < of_images["accuracy_low"] < of_images["accuracy_high"] < 0.8


def test_the_mean_cost_of_answers_by_hand() -> None:
    """To miss a 1 costs 4, a false alarm 1: from p = 0.2 on, 1 is the cheaper answer.

    So the answers are 1, 1, 0, and the truth 0, 1, 1: they cost 1, 0 and 4. The most probable ranks
    are 0, 1, 0, which cost 0, 0 and 4. Intervals are drawn as those of the other metrics.
    """
    rows = [[0.7, 0.3], [0.2, 0.8], [0.9, 0.1]]
    costs = [[0, 1], [4, 0]]
    scores = evaluate(rows, [0, 1, 1], grades(2), costs=costs)
    assert scores["cost"] == pytest.approx(5 / 3)
    assert scores["cost_argmax"] == pytest.approx(4 / 3)
    assert not {"cost", "cost_low"} & {*evaluate(rows, [0, 1, 1], grades(2), intervals=True)}

    equal = evaluate(rows, [0, 1, 1], grades(2), costs=[[0, 1], [1, 0]], intervals=True)
    for end in ("", "_low", "_high"):
        assert equal[f"cost{end}"] == pytest.approx(equal[f"mae_rank{end}"])


Case = tuple[np.ndarray, np.ndarray, list[int]]


@st.composite
def samples(draw: st.DrawFn) -> Case:
    """Draw probabilities, targets and gaps between ranks.

    Rows are of few draws, so that most scores tie up to the last bit; any ranks may be absent, even
    all but one.
    """
    steps = draw(st.lists(st.integers(1, 4), min_size=2, max_size=6))
    target = draw(st.lists(st.integers(0, len(steps) - 1), min_size=1, max_size=15))
    generator = np.random.default_rng(draw(st.integers(0, 99)))

    even = np.ones(len(steps)) / len(steps)
    counts = generator.multinomial(draw(st.integers(1, 4)), even, size=len(target))
    noisy = counts * (1 + generator.integers(-4, 5, size=(len(target), 1)) * 2.0**-52)
    return noisy / noisy.sum(1, keepdims=True), np.array(target), steps


def with_gaps(steps: list[int]) -> Ranks:
    """Return ranks with these gaps between them, and the first of these in front."""
    names = tuple(f"g{k}" for k in range(len(steps)))
    return Ranks(names, tuple(np.cumsum(steps).tolist()), "grade {rank}")


@given(samples())
def test_evaluate_agrees_with_each_function(case: Case) -> None:
    """Every key is the function of its name: on the most probable rank, median or expectation."""
    p, y, steps = case
    ranks = with_gaps(steps)
    sigma = np.linspace(0.5, 3, len(y))
    expected = {"n": float(len(y))}
    for score in (metrics.rps, metrics.ece, metrics.auc):
        expected[score.__name__] = score(y, p, ranks)

    means = (p @ np.array(ranks.values)).round(9)
    answers = {"": p.argmax(1), "_median": metrics.medians(p), "_expected": means}
    for suffix, answer in answers.items():
        for metric in PAIRED:
            expected[metric.__name__ + suffix] = metric(y, answer, ranks)
        for k in (1, 3, 5):
            if k < ranks.values[-1] - ranks.values[0]:
                expected[f"cs@{k}{suffix}"] = metrics.cs_at(y, answer, ranks, k)
        expected[f"epsilon_error{suffix}"] = metrics.epsilon_error(y, answer, ranks, sigma)

    scores = evaluate(torch.tensor(p), torch.tensor(y), ranks, deviations=sigma)
    assert scores == pytest.approx(expected, abs=1e-9)
    assert all(type(value) is float for value in scores.values())


@given(samples(), st.integers(0, 9))
def test_every_metric_of_a_resample_is_that_of_the_images_it_drew(case: Case, seed: int) -> None:
    """The interval of a single resample is one point: the metric of p[rows], y[rows].

    Of a single image there is none.
    """
    p, y, steps = case
    ranks = with_gaps(steps)
    sigma = np.linspace(0, 2, len(y))
    scores = evaluate(p, y, ranks, deviations=sigma, intervals=True, resamples=1, seed=seed)
    rows = np.random.default_rng(seed).integers(len(y), size=len(y))
    resampled = evaluate(p[rows], y[rows], ranks, deviations=sigma[rows])

    without_interval = ("n", "ece", "auc", "spearman", "kendall")
    with_interval = [name for name in resampled if not name.startswith(without_interval)]
    if len(y) == 1:
        with_interval = []
    assert len(scores) == len(resampled) + 2 * len(with_interval)
    for name in with_interval:
        assert scores[f"{name}_low"] == scores[f"{name}_high"], name
        assert scores[f"{name}_low"] == pytest.approx(resampled[name], abs=1e-12), name


def test_no_score_lies_at_the_end_of_its_interval() -> None:
    """Of answers that are exactly as sure as they are right, resamples had 1.5 times its ECE."""
    generator = np.random.default_rng(0)
    p = generator.dirichlet([1, 1, 1], size=200)
    y = (p.cumsum(1) < generator.random((200, 1))).sum(1)

    draws = resampled(p, y, grades(3), resample_counts(None, 200))
    assert {"rps", "mae_median", "qwk_expected"} < draws.keys()
    for name, (value, *others) in draws.items():
        assert 0.2 < np.mean(np.array(others) < value) < 0.8, name

    scores = evaluate(p, y, grades(3), intervals=True)
    assert {f"{name}_low" for name in draws} < scores.keys()
    assert not {"ece_low", "ece_high"} & scores.keys()
    of_older_run = scores | {"ece_low": 0.1, "ece_high": 0.2}
    assert cell(of_older_run, "ece", 3) == f"{metrics.ece(y, p, grades(3)):.3f}"


def test_blocks_change_neither_the_draws_nor_the_interval() -> None:
    """5,000 images × 900 resamples are two blocks; the draws are those of one call."""
    generator = np.random.default_rng(0)
    y = generator.integers(2, size=5000)
    p = generator.dirichlet([1, 1], size=5000)
    rows = np.random.default_rng(3).integers(5000, size=(900, 5000))
    errors = p.argmax(1) != y

    scores = evaluate(p, y, grades(2), intervals=True, resamples=900, seed=3)
    interval = [scores["mae_low"], scores["mae_high"]]
    assert interval == pytest.approx(np.quantile(errors[rows].mean(1), (0.025, 0.975)))
