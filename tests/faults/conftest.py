"""Write what the long form tried: `L2RCLIP_FAULTS=book/results/faults.json pytest tests/faults`, or `make faults`."""

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
    """A results file exists only of a session in which nothing was lost."""
    if not faults.LONG or exitstatus != pytest.ExitCode.OK:
        return
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    about = {
        "commit": commit.stdout.strip(),
        "torch": version("torch"),
        "seconds": round(time.monotonic() - STARTED),
    }
    text = json.dumps(about | {"cases": faults.TRIED, "kills": faults.KILLS}, indent=1)
    Path(os.environ["L2RCLIP_FAULTS"]).write_text(text + "\n", encoding="utf-8")
