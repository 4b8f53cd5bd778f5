"""What a command keeps of the memory that it frees."""

import os
import platform
import subprocess
import sys

import pytest

from l2rclip_lite.commands.freed_memory import keep_freed_memory

BLOCKS_AGAIN_AND_AGAIN = """
import resource
import numpy as np
from l2rclip_lite.commands.freed_memory import keep_freed_memory

if KEEP:
    assert keep_freed_memory()
np.ones(8_000_000)  # 64 MB, as a layer's output: taken, filled, freed
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*, keep: bool) -> int:
    """Return how many page faults ten blocks cost, after a first one of the same size."""
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    code = BLOCKS_AGAIN_AND_AGAIN.replace("KEEP", str(keep))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_blocks_that_were_freed_are_taken_again_without_a_page_fault() -> None:
    """Each of ten blocks has 15,625 pages of 4 KiB, or 31 of 2 MiB; hardly one of them is new."""
    assert page_faults(keep=True) < page_faults(keep=False) / 10


def test_settings_of_your_own_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read by glibc when the process starts."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not keep_freed_memory()
