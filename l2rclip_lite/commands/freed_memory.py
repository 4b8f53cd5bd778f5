"""Memory that a command keeps for the next batch, where glibc would give it back to the system."""

import ctypes
import os
import sys

# glibc, malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make this process keep large blocks that are freed.

    glibc gives them back, and the system hands each page of the next one out anew, filled with
    zeros. An image tower frees and takes the same blocks in every batch: on a virtual machine that
    was up to half of its time. Results do not change. Settings of your own (`MALLOC_...`) win.

    Returns:
        Whether it does so now; other C libraries have no such setting.
    """
    own_settings = any(name.startswith("MALLOC_") for name in os.environ)
    if sys.platform != "linux" or own_settings:
        return False

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, LARGEST) and mallopt(M_MMAP_MAX, 0))
