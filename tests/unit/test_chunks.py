"""Many ranks in bounded memory: the features and gradients of the whole, without its activations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from l2rclip_lite.chunks import CHUNK, KEPT, encode_in_chunks
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Towers, load_towers


def prompts(count: int) -> RankPrompts:
    """Rank prompts of the tiny towers."""
    ranks = Ranks(
        tuple(f"grade {k}" for k in range(count)), tuple(map(float, range(count))), template="a {rank}"
    )
    return RankPrompts(load_towers("tiny/random"), ranks, heads=2, hidden=8)


@settings(max_examples=10)
@given(count=st.integers(2, 7), chunk=st.integers(1, 40), kept=st.integers(0, 60))
def test_features_and_gradients_are_those_of_the_whole(count: int, chunk: int, kept: int) -> None:
    """However the ranks are cut, and whether activations are kept or not."""
    model = prompts(count)
    towers, tokens = model._towers, model.full_tokens
    found: list[tuple[Tensor, Tensor]] = []
    for encode in (
        lambda x: towers.encode_embeddings(x, tokens),
        lambda x: encode_in_chunks(towers, x, tokens, chunk=chunk, kept=kept),
    ):
        embeddings = model.embeddings().detach().requires_grad_()
        features = encode(embeddings)
        (features * torch.arange(features.shape[1])).sum().backward()
        assert embeddings.grad is not None
        found.append((features.detach(), embeddings.grad))
    (whole, gradient), (parts, again) = found
    assert torch.allclose(parts, whole, atol=1e-6)
    assert torch.allclose(again, gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))


def kept_bytes(count: int) -> int:
    """Bytes that autograd keeps between the forward and the backward pass."""
    model, kept = prompts(count), {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() if tensor.grad_fn is not None else 0
        return tensor

    embeddings = model.embeddings().detach().requires_grad_()
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        encode_in_chunks(model._towers, embeddings, model.full_tokens, chunk=64, kept=256)
    return sum(kept.values())


def test_memory_stops_growing() -> None:
    """Up to 256 tokens it grows with the ranks; beyond, only by what goes in."""
    few, at, beyond = (kept_bytes(count) for count in (8, 28, 280))
    assert at > 2 * few
    assert beyond < 2 * at


def test_up_to_62_ranks_nothing_is_cut(tiny: Towers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results of the book were made in one piece, and the last bit of a product depends on its shape."""
    assert 62 * 66 <= CHUNK <= KEPT
    model = prompts(62)
    calls: list[int] = []
    real = type(model._towers).encode_embeddings
    monkeypatch.setattr(
        type(model._towers),
        "encode_embeddings",
        lambda self, x, t: (calls.append(len(x)), real(self, x, t))[1],
    )
    model()
    assert calls == [62]
