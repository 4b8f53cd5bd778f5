"""What this machine has left."""

from __future__ import annotations

from pathlib import Path


def free_memory(root: Path = Path("/")) -> float | None:
    """Free memory in GiB; a container's limit counts too. None where the system does not tell.

    Args:
        root: Where `proc` and `sys` lie.
    """
    found = []
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
        group = root / "sys/fs/cgroup"  # holds "max" where there is no limit, which int() refuses
        limit = int((group / "memory.max").read_text())
        found.append(limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError, StopIteration):
        pass
    return max(0, min(found)) / 2**30 if found else None
