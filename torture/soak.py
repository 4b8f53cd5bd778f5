"""Hours of use in minutes: one process that fits, resumes, predicts and exports on and on, and must not grow.

Each round takes one of a few settings, drawn at the start, lets a life of that run be killed at a random moment, goes on
with it in this process, compares its answers with the file of answers, and exports the model. Afterwards nothing of the
round is left but what libraries keep for the next: a new combination of precision and batch size costs kernels that are
compiled once and stay. So memory is judged from when all settings have been there; a leak grows on.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from campaign import Scale, Tried
from lives import Job, Nursery, fit_words
from scipy.stats import theilslopes

from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.export import export_onnx
from l2rclip_lite.training import fit

MINUTES = 30
# What a setting may be; what contradicts another is drawn anew.
CHOICES: dict[str, tuple[Any, ...]] = {
    "prototypes": ("language", "language", "shuffled", "random"),
    "context_length": (0, 2, 4),
    "rankformer": (True, True, False),
    "axis": ("token", "rank", "joint"),
    "learn_alpha": (True, False),
    "depth": (1, 2),
    "centre": (True, False),
    "scheme": ("two-stage", "two-stage", "joint"),
    "image_side": ("tower", "tower", "adapter"),
    "epochs1": (0, 1, 3),
    "epochs2": (0, 1, 3),
    "batch_size": (7, 16, 40),
    "schedule": ("cosine", "step"),
    "contrastive": ("asymmetrical", "plain"),
    "lambda1": (0.0, 1.0),
    "lambda2": (0.0, 1.0),
    "ordinal_loss": ("pairwise", "ordinal-entropy", "supcon", "rank-n-contrast", "sord", "mean-variance"),
    "normalise": ("batch", "global"),
    "order": ("true", "blind", "shuffled"),
    "push_power": (1, 2),
    "symmetric": (True, False),
    "augment": (True, False),
    "precision": ("fp32", "fp32", "bf16"),
    "micro_batch": (None, 5),
    "deterministic": (True, False),
    "pictures": ("memory", "disk", "stream", "stream"),
    "workers": (1, 2, 4),
}
SETTINGS = 12
WARM_UP = 2  # rounds of each setting that are not judged
GROWTH = 0.05  # of the resident memory; a forgotten model a round would be more than this in a dozen rounds


def run(scale: Scale) -> Iterator[Tried]:
    """As many rounds as the time allows."""
    nursery, draw = Nursery(), random.Random(scale.seed)
    pool = [drawn(draw) for _ in range(scale.pick(short=1, long=SETTINGS))]
    lost, killed, rows = [], 0, []
    until = time.monotonic() + scale.pick(short=12, long=60 * MINUTES)
    while time.monotonic() < until or len(rows) < 5:
        folder = scale.folder / "round"
        config = replace(pool[len(rows) % len(pool)], seed=draw.randrange(99))
        folder.mkdir()
        try:
            killed += one_round(folder, config, nursery, draw)
        except Exception as error:  # it must not end the loop, and is told with what repeats it
            lost.append(f"round {len(rows)}, {_changed(config)}: {' '.join(repr(error).split())[:300]}")
        shutil.rmtree(folder)
        gc.collect()
        rows.append(measured())
    warm = min(WARM_UP * len(pool), len(rows) // 2)  # a slow machine comes round less often
    lost += grown(rows, warm, scale)
    yield Tried(
        "soak",
        f"one process that fits, is killed, resumes, predicts, exports for half an hour, under {SETTINGS} random settings",
        f"right answers; memory that grows by less than {GROWTH:.0%} over the loop, no handle and no thread more",
        len(rows),
        tuple(lost),
        {
            "kills": killed,
            "settings": len(pool),
            "warm_up_rounds": warm,
            "growth_mib": _growth(rows, warm),
            "series": _thinned(rows),
        },
    )


def drawn(draw: random.Random) -> Config:
    """Random settings that are valid together."""
    while True:
        chosen = {name: draw.choice(values) for name, values in CHOICES.items()}
        try:
            return Config(
                towers="tiny/random",
                heads=2,
                hidden=32,
                lr1=3e-3,
                lr2=1e-3,
                seed=draw.randrange(99),
                **chosen,
            )
        except InputError:
            continue


def one_round(folder: Path, config: Config, nursery: Nursery, draw: random.Random) -> bool:
    """Fit, kill, resume, predict, export.

    Returns:
        Whether the kill came before the end of the run.
    """
    settings = {name: value for name, value in asdict(config).items() if value is not None}
    life = nursery.start(Job(fit_words(folder / "run", settings)))
    life.next()
    time.sleep(draw.uniform(0.2, 1.5))
    life.kill()
    data = load_dataset("leaves", size=60, pixels=64)
    done = fit(data, config, folder / "run", quiet=True)
    pictures = [data.test[index][0] for index in range(len(data.test))]
    stored = pd.read_csv(folder / "run" / "predictions.csv")["expected"]
    apart = abs(done.model.predict(pictures).expected.numpy() - stored.to_numpy()).max()
    if apart > 1e-3:
        raise AssertionError(f"predict and predictions.csv differ by {apart:.2g}")
    export_onnx(done.model, folder / "model.onnx", pictures[:2], tolerance=1e-3)
    return life.code != 0


def _changed(config: Config) -> dict[str, Any]:
    """The settings that are not the default."""
    plain = asdict(Config())
    return {name: value for name, value in asdict(config).items() if value != plain[name]}


def measured() -> dict[str, float]:
    """What this process holds: resident memory in MiB, open file handles, threads.

    `fit` lets the heap keep what was freed (`allocator.keep_freed_memory`), so what is resident is the largest round so
    far and its gaps. A leak is what stays when the heap has given back all it can; both are measured.
    """
    resident = _resident()
    ctypes.CDLL(None).malloc_trim(0)
    handles, threads = (len(os.listdir(f"/proc/self/{what}")) for what in ("fd", "task"))
    return {"mib": _resident(), "resident": resident, "handles": handles, "threads": threads}


def _resident() -> float:
    """Resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _growth(rows: list[dict[str, float]], warm: int) -> float:
    """The median slope of the memory after the warm-up, over as many rounds as all, in MiB."""
    slope = theilslopes([row["mib"] for row in rows[warm:]])[0]
    return round(float(slope) * len(rows), 1)


def grown(rows: list[dict[str, float]], warm: int, scale: Scale) -> list[str]:
    """What became more from round to round."""
    judged = rows[warm:]
    lost = []
    # a few rounds see the heap finding its size; a leak shows over hundreds
    most = scale.pick(short=4, long=1) * GROWTH * judged[0]["mib"]
    if _growth(rows, warm) > most:
        lost.append(f"memory grows by {_growth(rows, warm)} MiB in {len(rows)} rounds, more than {most:.0f}")
    for name in ("handles", "threads"):
        first, last = judged[0][name], judged[-1][name]
        if last > first:
            lost.append(f"{name}: {first} after the warm-up, {last} in the end")
    return lost


def _thinned(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """At most 60 rounds, evenly spaced, by what was measured."""
    step = -(-len(rows) // 60)
    return {name: [row[name] for row in rows[::step]] for name in rows[0]} | {"step": [step]}
