"""Rows about devices: one that only pretends, several processes, and the path to real CLIP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.torch import load_file
from timing import Figure, Setting, summary

from l2rclip_lite.runs.model_file import MODEL

ROOT = Path(__file__).resolve().parents[2]
COUNT = Path(__file__).with_name("count_traffic.py")
PRETEND = ROOT / "tests" / "support"  # where its device is
# The bias of attention's keys has no gradient but rounding, and Adam makes a step of it; the
# temperature is no weight, and is searched for to 1e-6 of a flat minimum.
LEFT_OUT = ("in_proj_bias", "temperature")


def device_waits(setting: Setting) -> Figure:
    """Count the moments at which a training step waits for the device; the value is the larger.

    The device is the tests' own, which computes as a CPU does and notes what is sent and waited
    for. Two trainings that differ in their steps alone differ by what a step costs.
    """
    waits: dict[str, float] = {}
    sent: dict[str, float] = {}
    for stage in ("stage 1", "stage 2"):
        few = _counted(stage, 2)
        many = _counted(stage, 4)
        waits[stage] = (many["waits"] - few["waits"]) / (many["steps"] - few["steps"])
        sent[stage] = (many["sent"] - few["sent"]) / (many["steps"] - few["steps"])
    return summary([max(waits.values())], {"waits": waits, "sent": sent})


def _counted(stage: str, steps: int) -> dict[str, int]:
    """Return what an epoch of so many steps sends to the device, and how often it waits."""
    command = [sys.executable, str(COUNT), stage, str(steps)]
    with_device = os.environ | {"PYTHONPATH": str(PRETEND)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=with_device)
    counted: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counted


def two_processes(setting: Setting) -> Figure:
    """Train a run by one process and by two with half the batch each.

    The value is the largest difference of their weights.
    """
    size = "60" if setting.quick else "300"
    with tempfile.TemporaryDirectory() as folder:
        seconds = {}
        weights = {}
        for processes in (1, 2):
            out = Path(folder, str(processes))
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            command += ["--nproc_per_node", str(processes), "-m", "l2rclip_lite", "fit"]
            command += ["--dataset", "leaves", "--size", size, "--towers", "tiny/random"]
            command += ["--image-size", "32", "--epochs1", "3", "--epochs2", "3", "--heads", "2"]
            command += ["--batch-size", str(32 // processes), "--batch-size1", "32"]
            command += ["--threads", "1", "--device", "cpu", "--out", str(out)]

            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[str(processes)] = time.perf_counter() - start
            weights[processes] = load_file(out / MODEL)

    one = weights[1]
    two = weights[2]
    names = [name for name in one if not name.endswith(LEFT_OUT)]
    difference = max(float((one[name] - two[name]).abs().max()) for name in names)
    return summary([difference], {"seconds": seconds, "tensors": len(names)})


def clip_miniature(setting: Setting) -> Figure:
    """Measure `make clip SHORT=1`: chapter 9's claims and the tuned arms, on random towers."""
    with tempfile.TemporaryDirectory() as out:
        script = ROOT / "experiments" / "matrix" / "run_clip.py"
        command = [sys.executable, str(script), "--short", "--cpu", "--out", out]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        seconds = time.perf_counter() - start
        rows = len(Path(out, "clip.csv").read_text(encoding="utf-8").splitlines()) - 1
    return summary([seconds], {"rows": rows})
