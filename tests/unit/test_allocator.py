"""Freed memory stays with the process, so that the next tensor needs no fresh pages."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from l2rclip_lite import allocator
from l2rclip_lite.allocator import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_the_same_tensor_again_costs_no_pages() -> None:
    """64 MiB are 16,384 pages: filled ten times they cost 163,840 page faults by default, next to none when kept."""
    assert keep_freed_memory()
    torch.ones(2**24)  # the first one may grow the heap
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 16_384


def test_elsewhere_nothing_is_asked_of_the_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system, or with another C library, it says that it did nothing."""

    class Musl:
        """A C library without mallopt."""

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Musl())
    assert allocator.keep_freed_memory() is False
    asked: list[object] = []
    monkeypatch.setattr(allocator.ctypes, "CDLL", asked.append)
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.keep_freed_memory() is False
    assert asked == []
