"""The checks of this folder, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

CHECKS = Path(__file__).with_name("check_runs.py")


def test_everything_runs_on_a_device_that_is_not_the_cpu() -> None:
    """PyTorch counts its devices in its first backward pass, which other tests have made here."""
    without_type_checks = ["-o", "addopts=--import-mode=importlib"]  # other tests have them
    quiet = ["-q", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *quiet, *without_type_checks, str(CHECKS)]
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-1_000:]
