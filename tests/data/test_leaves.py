"""Generated leaves: the rank is what the mask says, and the same on every call and for ever."""

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from l2rclip_book.leaf_painter import paint_leaf
from l2rclip_book.leaves import share_edges
from l2rclip_lite.data import load_dataset


@settings(max_examples=15)
@given(
    ranks=st.integers(3, 100),
    position=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 10_000),
    pixels=st.sampled_from([64, 96]),
)
def test_the_share_of_damage_is_in_the_bin_of_the_rank(
    ranks: int, position: float, seed: int, pixels: int
) -> None:
    """Any ranks, any seed, any size: lesions stay on the blade and cover what the rank says."""
    rank = int(position * ranks)
    edges = share_edges(ranks)
    leaf = paint_leaf(np.random.default_rng(seed), edges[rank], edges[rank + 1], pixels=pixels)
    assert not (leaf.lesions & ~leaf.blade).any(), "lesions are clipped to the blade"
    assert 0.03 < leaf.blade.mean() < 0.75
    assert leaf.image.size == (pixels, pixels)

    n_damaged = leaf.lesions.sum()
    share = n_damaged / leaf.blade.sum()
    if rank == 0:
        assert share == 0
    elif n_damaged != 1:  # one pixel may be more than the bin allows
        assert edges[rank] <= share < edges[rank + 1]


def test_leaves_are_those_of_the_book_and_the_same_out_of_turn() -> None:
    """SHA-256 of the bytes of 60 leaves: every result of the book rests on them."""
    ninth = load_dataset("leaves", size=60, seed=3).test[9][0]
    data = load_dataset("leaves", size=60, seed=3)
    digest = hashlib.sha256()
    for split in (data.train, data.val, data.test):
        for image, _ in split:
            digest.update(image.tobytes())
            image.putpixel((0, 0), (255, 0, 255))  # a caller may draw on its copy
    golden = "42851357cf6af462fccb3313b2a8c4ae5acdb70258c30637ee194859279013ea"
    assert digest.hexdigest() == golden
    assert data.test[9][0].tobytes() == ninth.tobytes()
