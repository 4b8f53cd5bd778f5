"""Rows about devices: one that only pretends, several processes, and the path to real CLIP."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from setting import Setting
from timing import Figure, summary

from l2rclip_lite import L2RCLIP, Config, load_dataset, load_towers
from l2rclip_lite.model_file import MODEL
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stages import train_stage1, train_stage2

ROOT = Path(__file__).resolve().parents[2]
PRETEND = ROOT / "tests" / "support"  # the folder of its module
STAGES = {"stage 1": train_stage1, "stage 2": train_stage2}
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
    for stage in STAGES:
        few, many = _counted(stage, 2), _counted(stage, 4)
        waits[stage] = (many["waits"] - few["waits"]) / (many["steps"] - few["steps"])
        sent[stage] = (many["sent"] - few["sent"]) / (many["steps"] - few["steps"])
    return summary([max(waits.values())] * 2, {"waits": waits, "sent": sent})


def _counted(stage: str, steps: int) -> dict[str, int]:
    """Return what an epoch of so many steps sends to the device, and how often it waits."""
    command = [sys.executable, __file__, stage, str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    counted: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counted


def _count(stage: str, steps: int) -> None:
    """Train an epoch on the pretend device, and print what it sent and waited for."""
    sys.path.insert(0, str(PRETEND))
    import pretend

    torch.set_num_threads(1)
    config = Config(
        towers="tiny/random", image_size=32, batch_size=10, epochs1=1, epochs2=1, upside_down=True
    )
    leaves = load_dataset("leaves", size=15 * steps, pixels=64)  # two thirds are for training
    towers = load_towers(config.towers, image_size=config.image_size)
    model = L2RCLIP(towers, leaves.ranks, config).to(pretend.device())
    data = TrainingData.load(leaves, model)

    with pretend.watched() as traffic:
        STAGES[stage](model, data)
    print(json.dumps({"steps": steps, "sent": len(traffic.sent), "waits": len(traffic.waits)}))


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

    one, two = weights[1], weights[2]
    names = [name for name in one if not name.endswith(LEFT_OUT)]
    difference = max(float((one[name] - two[name]).abs().max()) for name in names)
    return summary([difference] * 2, {"seconds": seconds, "tensors": len(names)})


def clip_miniature(setting: Setting) -> Figure:
    """Measure `make clip SHORT=1`: chapter 9's claims and the tuned arms, on random towers."""
    with tempfile.TemporaryDirectory() as out:
        script = ROOT / "experiments" / "matrix" / "run_clip.py"
        command = [sys.executable, str(script), "--short", "--cpu", "--out", out]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        seconds = time.perf_counter() - start
        rows = len(Path(out, "clip.csv").read_text(encoding="utf-8").splitlines()) - 1
    return summary([seconds] * 2, {"rows": rows})


if __name__ == "__main__":
    _count(sys.argv[1], int(sys.argv[2]))
