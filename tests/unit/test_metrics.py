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
from l2rclip_lite.runs.results import judge

OF_ROWS = ("rps", "ece", "auc")
PAIRED = (
    "mae",
    "mae_rank",
    "rmse",
    "accuracy",
    "one_off",
    "qwk",
    "spearman",
    "kendall",
    "amae",
    "mmae",
)


UNEVEN = Ranks(("a", "b", "c"), (0, 1, 10), "{rank}", "years")


def grades(count: int) -> Ranks:
    """Return ranks 0 … count − 1."""
    return Ranks(tuple(f"g{k}" for k in range(count)), tuple(range(count)), "grade {rank}")


def test_units_and_rank_steps_differ_on_an_uneven_scale() -> None:
    """Ranks 0, 1, 10 years: errors are 1, 0, −9 years or 1, 0, 1 ranks; RMSE √(82/3)."""
    ranks = UNEVEN
    y = np.array([0, 1, 2])
    p = torch.tensor([1, 1, 1])
    assert metrics.mae(y, p, ranks) == pytest.approx(10 / 3)
    assert metrics.mae_rank(y, p, ranks) == pytest.approx(2 / 3)
    assert metrics.amae(y, p, ranks) == pytest.approx(2 / 3)
    assert metrics.rmse(y, p, ranks) == pytest.approx(math.sqrt(82 / 3))


def test_cs_is_the_share_of_errors_up_to_k() -> None:
    """Errors of 1, 0 and 9 years; 0.8 − 0.7 is 0.10000000000000009 in floats and counts as 0.1."""
    shares = [metrics.cs_at([0, 1, 2], [1, 1, 1], UNEVEN, k) for k in (0, 1, 8.9, 9)]
    assert shares == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])

    tenths = Ranks(("a", "b"), (0.7, 0.8), "{rank}")
    assert metrics.cs_at([0], [1], tenths, k=0.1) == 1.0
    assert metrics.cs_at([0], [1], tenths, k=10**400) == 1.0


def test_a_value_between_two_ranks_is_counted_in_shares_of_their_gap() -> None:
    """5.5 is halfway between 1 and 10: half a rank off either, and nearest to the lower one."""
    assert metrics.mae_rank([1], [5.5], UNEVEN) == 0.5
    assert metrics.accuracy([1, 2], [5.5, 5.6], UNEVEN) == 1.0


def test_a_value_beyond_the_scale_is_cut_off_in_ranks_only() -> None:
    """−3 years are 3 years off the lowest rank, and no rank."""
    assert metrics.mae_rank([0], [-3.0], UNEVEN) == 0.0
    assert metrics.mae([0], [-3.0], UNEVEN) == 3.0


def test_integers_are_ranks_and_floats_are_values() -> None:
    """Age 18 is rank 2 of 16 … 20: as an integer 2, as a float 18.0; 2.0 is a two-year-old."""
    ages = Ranks.integers(16, 20, template="{rank}")
    assert metrics.mae([2], [2], ages) == metrics.mae([2], [18.0], ages) == 0.0
    assert metrics.mae([2], [2.0], ages) == 16.0

    learned = torch.tensor([18.0], dtype=torch.bfloat16, requires_grad=True)
    assert metrics.mae([2], learned, ages) == 0.0


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    """Of two bins ½ is in the lower one: (.5 + .25) / 2, not |.25 − .5| / 2."""
    assert metrics.ece([1, 1], [[0.5, 0.5], [0.25, 0.75]], grades(2), bins=2) == 0.375
    assert metrics.ece([0, 1], [[1.0, 0.0], [0.0, 1.0]], grades(2)) == 0.0


def test_auc_where_nothing_is_ordered_is_chance() -> None:
    """No pair of two ranks, and the same row for all."""
    assert metrics.auc([2, 2], [[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], grades(3)) == 0.5
    assert metrics.auc([0, 1, 2], [[0.2, 0.5, 0.3]] * 3, grades(3)) == 0.5


def test_auc_keeps_ties_that_rescaling_would_break() -> None:
    """A row whose sum is off in its last bit is divided by it: .1 and .1 differ by a bit then."""
    generator = np.random.default_rng(0)
    p = generator.multinomial(10, [0.2, 0.3, 0.5], size=60) / 10
    y = generator.integers(3, size=60)

    noisy = p * (1 + generator.integers(-4, 5, size=(60, 1)) * 2.0**-52)
    assert (noisy != p).any()
    assert metrics.auc(y, noisy, grades(3)) == metrics.auc(y, p, grades(3))


def test_auc_sees_the_order_of_very_small_numbers() -> None:
    """Rank 0 ties, ½; rank 1 has an order, 1; their mean is ¾."""
    p = np.array([[1.0, 1e-20], [1.0, 2e-20]])
    assert metrics.auc([0, 1], p, grades(2)) == 0.75


def test_epsilon_error_by_hand() -> None:
    """One σ off costs 1 − e^(−1/2), exact costs 0; with σ = 0 all else costs 1."""
    ages = Ranks.integers(16, 30, template="{rank}")
    assert metrics.epsilon_error([18.5], [2], ages, [0.5]) == pytest.approx(1 - math.exp(-0.5))
    assert metrics.epsilon_error([1, 1], [17.0, 17.5], ages, [0.0, 0.0]) == 0.5
    with pytest.raises(InputError, match="1 deviations, 2 images"):
        metrics.epsilon_error([0, 1], [0, 1], ages, [1.0])


def test_kendall_by_hand() -> None:
    """Of six pairs two agree and none disagrees; one ties in the truth, three in the answers.

    So τ_b is 2 / √(5 · 3); τ_c would be ½.
    """
    tau = metrics.kendall([0, 0, 1, 2], [0, 1, 1, 1], grades(3))
    assert tau == pytest.approx(2 / math.sqrt(15))


def test_undefined_agreement_is_zero_without_a_warning() -> None:
    """A constant side shows no association: 0.0, not NaN (warnings are errors in this test run)."""
    for y, p in (([0, 1, 2], [1, 1, 1]), ([1, 1, 1], [0, 1, 2]), ([2, 2], [2, 2]), ([0], [1])):
        for name in ("qwk", "spearman", "kendall"):
            assert getattr(metrics, name)(y, p, grades(3)) == 0.0


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: metrics.mae([0, 3], [0, 1], grades(3)),
            "y_true is 3 in row 1; give ranks from 0 to 2",
        ),
        # straight to the reader of numbers: the annotations refuse it first when they are checked
        (lambda: metrics.numbers([0.0, 1.0], "y_true", last=2), "y_true is float64"),
        (lambda: metrics.mae([0, 1], [0, 1, 2], grades(3)), "2 true ranks, 3 predictions"),
        (
            lambda: metrics.mae([0, 1, 2], [0.5, math.nan, math.inf], grades(3)),
            "y_pred is nan in row 1",
        ),
        (lambda: metrics.mae([], [], grades(3)), r"float64\[0\]; give a rank index per image"),
        (lambda: metrics.rps([0], [[0.5, 0.5]], grades(3)), "give 1 rows, 3 columns"),
        (lambda: metrics.rps([0, 1], [[1.0, 0.0], [2.0, 3.0]], grades(2)), "row 1 of .* sums to 5"),
        (lambda: metrics.ece([0], [[1.5, -0.5]], grades(2)), "row 0 of .* holds -0.5; give"),
    ],
)
def test_bad_input_names_the_row_and_the_fix(call: Callable[[], object], message: str) -> None:
    """One sentence of this package, never a NumPy traceback."""
    with pytest.raises(InputError, match=message):
        call()


ROWS = [[0.5, 0.5], [0.25, 0.75]]
SPARSE = torch.tensor([0, 1]).to_sparse()
META = torch.zeros(2, device="meta")
HIDDEN = np.ma.masked_array([0, 1], mask=[True, False])


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.cs_at([0], [0], grades(2), k=-1), "k is -1; give a distance ≥ 0"),
        (lambda: metrics.cs_at([0], [0], grades(2), k=math.nan), "k is nan"),
        (lambda: metrics.ece([0, 1], ROWS, grades(2), bins=0), "bins is 0; give a whole number"),
        (lambda: metrics.ece([0, 1], ROWS, grades(2), bins=2.5), "bins is 2.5"),
        (lambda: metrics.ece([0, 1], ROWS, grades(2), bins=10**12), "from 1 to 10,000"),
        (lambda: evaluate(ROWS, [0, 1], grades(2), intervals=True, resamples=0), "resamples is 0"),
        (lambda: metrics.resampled(ROWS, [0, 1], grades(2), resamples=2**64), "from 0 to 100,000"),
        (lambda: evaluate(ROWS, [0, 1], grades(2), seed=-1), "seed is -1; give a whole number"),
        (lambda: evaluate(ROWS, [0, 1], grades(2), groups=["a"]), "1 groups, 2 images"),
        (lambda: evaluate(ROWS, [0, 1], grades(2), groups=["a", None]), "groups is None in row 1"),
        (lambda: evaluate(ROWS, [0, 1], grades(2), groups=[math.nan, 1]), "groups is nan in row 0"),
        (lambda: evaluate([[1.0], [0.5, 0.5]], [0, 1], grades(2)), "probabilities has rows of"),
        (lambda: evaluate(ROWS, HIDDEN, grades(2)), "y_true has masked cells; leave out these"),
        (lambda: metrics.mae([0, 1], HIDDEN, grades(2)), "y_pred has masked cells"),
        (lambda: metrics.mae([0, 1], SPARSE, grades(2)), "y_pred is a torch.sparse_coo"),
        (lambda: metrics.mae([0, 1], META, grades(2)), "tensor on meta, .*; give a dense"),
        (lambda: evaluate(ROWS, [0, 1], grades(2), deviations=[1, -2]), "deviations is -2 in"),
    ],
)  # fmt: skip
def test_a_setting_that_means_nothing_is_refused(call: Callable[[], object], message: str) -> None:
    """A negative k and a mask gave a number once, the others an error of NumPy."""
    with pytest.raises(InputError, match=message):
        call()


# --- all of them at once ------------------------------------------------------------------------


def sample(n: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets, and probabilities that lean towards them."""
    generator = np.random.default_rng(seed)
    target = generator.integers(count, size=n)
    logits = generator.normal(size=(n, count)) - 0.7 * np.abs(np.arange(count) - target[:, None])
    weight = np.exp(logits)
    return target, weight / weight.sum(1, keepdims=True)


def test_evaluate_agrees_with_each_function() -> None:
    """Every key is the function of its name: on the most probable rank, median or expectation."""
    ranks = Ranks.integers(16, 22, template="{rank}")
    target, p = sample(60, 7)
    sigma = np.linspace(0.5, 3, 60)
    answers = {
        "": p.argmax(1),
        "_median": (p.cumsum(1) < 0.5).sum(1),
        "_expected": p @ np.array(ranks.values),
    }

    expected = {"n": 60.0}
    for name in OF_ROWS:
        expected[name] = getattr(metrics, name)(target, p, ranks)
    for suffix, prediction in answers.items():
        for name in PAIRED:
            expected[name + suffix] = getattr(metrics, name)(target, prediction, ranks)
        for k in (1, 3, 5):
            expected[f"cs@{k}{suffix}"] = metrics.cs_at(target, prediction, ranks, k)
        error = metrics.epsilon_error(target, prediction, ranks, sigma)
        expected["epsilon_error" + suffix] = error

    scores = evaluate(torch.tensor(p), torch.tensor(target), ranks, deviations=sigma)
    assert scores == pytest.approx(expected, abs=1e-9)
    assert all(type(value) is float for value in scores.values())


def test_the_three_answers_of_a_row_by_hand() -> None:
    """Row .4 .3 .3 on ages 16, 17, 19: argmax 16, median 17, expected 17.2, nearest 17 (true).

    The span is 3, so there is no CS(3); a row sum of 1.004 is rescaled.
    """
    ranks = Ranks(("a", "b", "c"), (16, 17, 19), "{rank}", "years")
    scores = evaluate([[0.4, 0.3, 0.3]], [1], ranks)
    of_cs = [name for name in scores if name.startswith("cs")]

    assert (scores["mae"], scores["accuracy"]) == (1.0, 0.0)
    assert (scores["mae_median"], scores["accuracy_median"]) == (0.0, 1.0)
    assert (scores["mae_expected"], scores["accuracy_expected"]) == (pytest.approx(0.2), 1.0)
    assert of_cs == ["cs@1", "cs@1_median", "cs@1_expected"]
    assert evaluate([[0.502, 0.502, 0.0]], [1], ranks)["mae_expected"] == 0.5


# Anna's ten images are all right, Ben's are all off by one grade.
SUBJECTS = ["anna"] * 10 + ["ben"] * 10
RIGHT_OF_ANNA = torch.eye(2)[[0] * 10 + [1] * 10]


def test_the_bootstrap_draws_groups() -> None:
    """Of two draws none, one or both are Anna: accuracy 0, ½ or 1, the ends a quarter each."""
    scores = evaluate(RIGHT_OF_ANNA, [0] * 20, grades(2), groups=SUBJECTS, intervals=True)
    assert scores["accuracy"] == 0.5
    assert (scores["accuracy_low"], scores["accuracy_high"]) == (0, 1)
    assert (scores["rps_low"], scores["rps_high"]) == (0, 1)

    of_images = evaluate(RIGHT_OF_ANNA, [0] * 20, grades(2), intervals=True)
    assert 0.2 < of_images["accuracy_low"] < of_images["accuracy_high"] < 0.8


def test_a_run_is_judged_by_subjects_and_deviations() -> None:
    """Those of the split: ε is ½ (1 − e^(−1/2)) with σ = 1, an interval that of Anna and Ben."""
    paths = [f"{place}.png" for place in range(20)]
    part = Split(paths, [0] * 20, paths, subjects=SUBJECTS, deviations=[1.0] * 20)
    scores = judge(RIGHT_OF_ANNA, part, grades(2), intervals=True)
    assert scores["epsilon_error"] == pytest.approx((1 - math.exp(-0.5)) / 2)
    assert (scores["accuracy_low"], scores["accuracy_high"]) == (0, 1)


def test_equal_rows_stay_tied() -> None:
    """One answer for all images orders nothing, whatever the last bit of Σ_k p_k r_k."""
    p = np.tile(np.random.default_rng(0).dirichlet(np.ones(61)), (97, 1))
    scores = evaluate(p, np.arange(97) % 61, grades(61))
    assert (scores["spearman_expected"], scores["kendall_expected"]) == (0.0, 0.0)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int]]:
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


@given(samples(), st.integers(0, 9))
def test_every_metric_of_a_resample_is_that_of_the_images_it_drew(
    case: tuple[np.ndarray, np.ndarray, list[int]], seed: int
) -> None:
    """The interval of a single resample is one point: the metric of p[rows], y[rows]."""
    p, y, steps = case
    names = tuple(f"g{k}" for k in range(len(steps)))
    ranks = Ranks(names, tuple(np.cumsum(steps).tolist()), "grade {rank}")
    sigma = np.linspace(0, 2, len(y))

    scores = evaluate(p, y, ranks, deviations=sigma, intervals=True, resamples=1, seed=seed)
    rows = np.random.default_rng(seed).integers(len(y), size=len(y))
    resampled = evaluate(p[rows], y[rows], ranks, deviations=sigma[rows])

    without_interval = ("n", "auc", "spearman", "kendall")
    with_interval = [name for name in resampled if not name.startswith(without_interval)]
    assert len(scores) == len(resampled) + 2 * len(with_interval)
    for name in with_interval:
        low = scores[f"{name}_low"]
        assert low == scores[f"{name}_high"], name
        assert low == pytest.approx(resampled[name], abs=1e-12), name


def test_blocks_change_neither_the_draws_nor_the_interval() -> None:
    """5,000 images × 900 resamples are two blocks; the draws are those of one call."""
    target, p = sample(5000, 2)
    rows = np.random.default_rng(3).integers(5000, size=(900, 5000))
    errors = p.argmax(1) != target
    low, high = np.quantile(errors[rows].mean(1), (0.025, 0.975))

    scores = evaluate(p, target, grades(2), intervals=True, resamples=900, seed=3)
    assert scores["mae_low"] == pytest.approx(low)
    assert scores["mae_high"] == pytest.approx(high)
