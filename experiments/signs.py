"""Measure the four signs of failure on runs that are healthy and on runs that fail on purpose.

    python experiments/signs.py book/results/signs.csv

It trains on generated leaves with `mini` at 96 pixels, a few minutes a seed, and writes a row for
each run when it is through. The ranges of `l2rclip_book.signs` are those of this file.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import tyro

from l2rclip_book.provoked import APART, HEALTHY, PLAIN, PROVOKED, settings, train_stages
from l2rclip_lite import L2RCLIP, Config, load_dataset, signs
from l2rclip_lite.errors import InputError, sentence
from l2rclip_lite.files import write_text
from l2rclip_lite.training.features import TrainingData

CONFIG = Config(image_size=96, epochs1=10, epochs2=6, threads=1)


def main(out: tyro.conf.Positional[Path], seeds: int = 3, size: int = 150) -> None:
    """Train every kind of run with each seed, and write what its signs say.

    Args:
        out: The table to write.
        seeds: How many seeds, from 0.
        size: Leaves in all, of 5 ranks.
    """
    torch.set_num_threads(1)
    data = load_dataset("leaves", size=size, pixels=96)
    images = TrainingData.load(data, L2RCLIP.build(data.ranks, CONFIG))

    rows = []
    for seed in range(seeds):
        for name in (HEALTHY, *PROVOKED, PLAIN):
            config = settings(name, replace(CONFIG, seed=seed))
            model = L2RCLIP.build(data.ranks, config)
            train_stages(name, images, model)

            tuned = name in (HEALTHY, APART, PLAIN)  # the other failures are those of stage 1
            rows.append({"run": name, "seed": seed} | measured(model, images, tuned=tuned))
            table = pd.DataFrame(rows).round(4)
            write_text(out, table.to_csv(index=False, lineterminator="\n"))
            print(table.iloc[-1].to_dict(), flush=True)


def measured(model: L2RCLIP, images: TrainingData, *, tuned: bool) -> dict[str, float]:
    """Return the signs of a model on test images.

    Args:
        model: Trained.
        images: Their features by the untrained tower, and their pixels.
        tuned: Whether its image tower was trained.
    """
    before = images.features["test"]
    target = images.targets["test"]
    row = {
        "order": signs.order_gained(model),
        "answers": signs.order_of_answers_gained(model, before, target),
        "template": signs.template_cosine(model),
        "margin": signs.own_text_margin(before, model.text_features(), target),
        "context": signs.context_cosine(model),
        "no_context": signs.context_cosine(model, without=True),
    }
    if tuned:
        row["spread"] = signs.spread_kept(before, images.encode(model, "test"), target)
    return row


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except InputError as error:
        sys.exit(sentence(error))
