"""Train an epoch on a device that pretends, and print what was sent to it and the waits for it.

    PYTHONPATH=tests/support python tools/bench/count_traffic.py "stage 2" 4

The two arguments are a stage and its steps. It is a process of its own, since the device is there
for the life of one.
"""

from __future__ import annotations

import json
import sys

import pretend
import torch

from l2rclip_lite import L2RCLIP, Config, load_dataset, load_towers
from l2rclip_lite.method.stages import train_stage1, train_stage2
from l2rclip_lite.training_data import TrainingData

STAGES = {"stage 1": train_stage1, "stage 2": train_stage2}


def main(stage: str, steps: int) -> None:
    """Print the counts as JSON."""
    torch.set_num_threads(1)
    config = Config(
        towers="tiny/random",
        image_size=32,
        batch_size=10,
        epochs1=1,
        epochs2=1,
        upside_down=True,
    )
    leaves = load_dataset("leaves", size=15 * steps, pixels=64)  # two thirds are for training
    towers = load_towers(config.towers, image_size=config.image_size)
    model = L2RCLIP(towers, leaves.ranks, config).to(pretend.device())
    data = TrainingData.load(leaves, model)

    with pretend.watched() as traffic:
        list(STAGES[stage](model, data))
    print(json.dumps({"steps": steps, "sent": len(traffic.sent), "waits": len(traffic.waits)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
