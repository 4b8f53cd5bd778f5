"""Write what the long form of these tests tried.

`make faults`, or `L2RCLIP_FAULTS=book/results/faults.json pytest tests/faults`.
"""

import json
import os
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import faults
import pytest

STARTED = time.monotonic()


def pytest_sessionfinish(exitstatus: int) -> None:
    """Write a results file of a session in which every test passed."""
    if not faults.LONG or exitstatus != pytest.ExitCode.OK:
        return

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    record = {
        "commit": commit.stdout.strip(),
        "torch": version("torch"),
        "seconds": round(time.monotonic() - STARTED),
        "cases": faults.TRIED,
        "kills": faults.KILLS,
    }
    text = json.dumps(record, indent=1)
    Path(os.environ["L2RCLIP_FAULTS"]).write_text(text + "\n", encoding="utf-8")
