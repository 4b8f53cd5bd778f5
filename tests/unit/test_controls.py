"""The shuffle of the negative controls."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.controls import one_cycle


@given(st.integers(1, 200))
def test_it_is_one_cycle(size: int) -> None:
    """Going from rank to rank meets all K before it comes back to the first: so none stays, and none is lost."""
    order = one_cycle(size).tolist()
    seen, at = [0], order[0]
    while at != 0:
        seen.append(at)
        at = order[at]
    assert sorted(seen) == list(range(size))


def test_it_is_the_same_in_every_run() -> None:
    """Whatever was drawn before, torch's own generator is left alone; the first sizes are pinned."""
    before = torch.random.get_rng_state()
    assert [one_cycle(size).tolist() for size in (2, 3, 5)] == [[1, 0], [1, 2, 0], [2, 3, 1, 4, 0]]
    assert torch.equal(before, torch.random.get_rng_state())
