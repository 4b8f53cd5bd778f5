"""Bootstrap intervals: a resample as counts of images must give what the plain functions give on the drawn images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.intervals import one_thread, percentiles
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.resamples import bag_counts, draw_counts, pairs_won


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Rows of few draws, so that most scores tie up to the last bit; any ranks may be absent, even all but one."""
    steps = draw(st.lists(st.integers(1, 4), min_size=2, max_size=6))
    target = draw(st.lists(st.integers(0, len(steps) - 1), min_size=1, max_size=15))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    p = generator.multinomial(draw(st.integers(1, 4)), np.ones(len(steps)) / len(steps), size=len(target))
    p = p * (1 + generator.integers(-4, 5, size=(len(p), 1)) * 2.0**-52)
    return p / p.sum(1, keepdims=True), np.array(target), steps


@given(samples(), st.integers(0, 9))
def test_every_metric_of_a_resample_is_that_of_the_images_it_drew(
    case: tuple[np.ndarray, np.ndarray, list[int]], seed: int
) -> None:
    """The interval of a single resample is one point: the metric of p[rows], y[rows]."""
    p, y, steps = case
    ranks = Ranks(tuple(f"g{k}" for k in range(len(steps))), tuple(np.cumsum(steps).tolist()), "grade {rank}")
    sigma = np.linspace(0, 2, len(y))
    found = evaluate(p, y, ranks, deviations=sigma, intervals=True, resamples=1, seed=seed)
    rows = np.random.default_rng(seed).integers(len(y), size=len(y))
    plain = evaluate(p[rows], y[rows], ranks, deviations=sigma[rows])
    assert len(found) == 3 * len(plain) - 2  # all but n have an interval
    for name in plain.keys() - {"n"}:
        assert found[f"{name}_low"] == found[f"{name}_high"] == pytest.approx(plain[name], abs=1e-12), name


def test_blocks_change_neither_the_draws_nor_the_interval() -> None:
    """Nine resamples of seven images, two at a time and all at once: the stream of one call of `integers`."""
    rows = np.random.default_rng(3).integers(7, size=(9, 7))
    counts = np.stack([np.bincount(row, minlength=7) for row in rows], axis=1)
    blocks = list(draw_counts(7, 9, seed=3, block=20))
    assert [block.shape[1] for block in blocks] == [2, 2, 2, 2, 1]
    assert np.array_equal(torch.cat(blocks, 1), counts)
    assert np.array_equal(next(draw_counts(7, 9, seed=3)), counts)

    def first(often: torch.Tensor) -> dict[str, np.ndarray]:
        return {"first": often[0].double().numpy()}

    many = percentiles(first, 1600, 1500, seed=3)  # 2.4 M counts: two blocks
    drawn = np.random.default_rng(3).integers(1600, size=(1500, 1600))
    assert tuple(many.values()) == tuple(np.quantile((drawn == 0).sum(1), (0.025, 0.975)))


def test_pairs_by_hand() -> None:
    """Upper scores 3 (twice drawn) and 1, lower 3, 2, 1 drawn 1, 4, 0 times: 2 · (4 + ½) + 1 · 0 = 9; then drawn once each.

    The second resample: 3 beats 2 and 1 and ties 3, 1 ties 1: 2½ + ½ = 3.
    """
    score, upper = np.array([3.0, 1.0, 3.0, 2.0, 1.0]), np.array([True, True, False, False, False])
    often = torch.tensor([[2.0, 1], [1, 1], [1, 1], [4, 1], [0, 1]])
    assert pairs_won(score, upper, ~upper)(often).tolist() == [9.0, 3.0]
    assert bag_counts(np.array([4, 0, 3]), np.array([0, 2, 3]))(often).tolist() == [[0, 0], [2, 2], [4, 1]]


def test_the_number_of_threads_is_given_back() -> None:
    """Also after an error."""

    def broken() -> Iterator[None]:
        with one_thread():
            assert torch.get_num_threads() == 1
            yield
            raise ArithmeticError

    torch.set_num_threads(2)
    try:
        with pytest.raises(ArithmeticError):
            list(broken())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
