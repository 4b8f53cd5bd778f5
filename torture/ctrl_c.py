"""SIGINT and SIGTERM to the real command at random moments: how long until it ends, what it says, and how it goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from campaign import Scale, Tried
from lives import Job, Nursery, fit_words
from PIL import Image
from remains import damaged, differing

TINY = {"towers": "tiny/random", "epochs1": 2, "epochs2": 2, "batch_size": 16, "heads": 2, "hidden": 32}
TINY |= {"lr1": 3e-3, "lr2": 1e-3, "pictures": "disk"}
SAID = "interrupted: complete epochs are kept, the same command goes on from there.\n"
LONGEST = 2.0  # seconds
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}  # bits depend on the number of threads
RANKS = ("low", "middle", "high")


@dataclass
class Asked:
    """How commands took it that they were asked to end."""

    seconds: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def interrupted(nursery: Nursery, reference: Path, scale: Scale) -> Iterator[Tried]:
    """The tiny towers; in the long form `mini` at its defaults, and large photographs that threads decode."""
    draw, asked = random.Random(scale.seed), Asked()
    words = fit_words(scale.folder / "asked", TINY)
    _ask(nursery, words, reference, scale.pick(short=3, long=15), draw, asked)
    photographs = _photographs(scale) if scale.long else ()
    for name in scale.pick(short=(), long=("mini", "photographs")):
        whole, out = (scale.folder / f"{name}-{end}" for end in ("whole", "asked"))
        commands = [(*photographs, "--out", str(place)) for place in (whole, out)]
        if name == "mini":
            commands = [fit_words(place, {"pictures": "stream"}) for place in (whole, out)]
        subprocess.run(_command(commands[0]), env=ENVIRONMENT, check=True, capture_output=True)
        _ask(nursery, commands[1], whole, 25, draw, asked)
    fault = "SIGINT or SIGTERM to the command at a random moment"
    promise = f"it ends within {LONGEST:g} s with one sentence and exit code 130 or 143, "
    promise += "and the same command ends in the same bytes"
    slowest = max(asked.seconds, default=0.0)
    detail = {
        "slowest_seconds": slowest,
        "seconds": asked.seconds,
        "asked_after_seconds": asked.moments,
    }
    yield Tried("interrupted", fault, promise, len(asked.seconds), tuple(asked.lost), detail)


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "l2rclip_lite", *words]


def _ask(
    nursery: Nursery, words: tuple[str, ...], whole: Path, times: int, draw: random.Random, asked: Asked
) -> None:
    """Interrupt one command so often, each time a little later in its life; then let it end."""
    out = Path(words[words.index("--out") + 1])
    for one in range(times):
        number = draw.choice((signal.SIGINT, signal.SIGINT, signal.SIGTERM))
        pipe = subprocess.PIPE
        with subprocess.Popen(
            _command(words), env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True
        ) as process:
            _wait_until_it_listens(process.pid)
            moment = draw.uniform(0, 1.5 + 12 * one / max(times, 12))
            try:
                process.communicate(timeout=moment)
                break  # it was faster
            except subprocess.TimeoutExpired:
                pass
            start = time.monotonic()
            process.send_signal(number)
            _, said = process.communicate()
        took = round(time.monotonic() - start, 3)
        if process.returncode == 0:
            break
        asked.seconds.append(took)
        asked.moments.append(round(moment, 2))
        case = f"{number.name} to {out.name} after {moment:.2f} s"
        if took > LONGEST:
            asked.lost.append(f"{case}: it ended only after {took} s")
        if process.returncode != 128 + number or said != SAID:
            asked.lost.append(f"{case}: it ended with {process.returncode} and said {said!r}")
        asked.lost += [f"{case}: {problem}" for problem in (damaged(out) if out.exists() else [])]
    last = nursery.start(Job(words))
    last.end()
    if last.code:
        asked.lost.append(f"{out.name}: the same command ended with {last.code} afterwards")
    else:
        asked.lost += [f"{out.name}: {problem}" for problem in differing(out, whole)]


def _wait_until_it_listens(pid: int) -> None:
    """Until the interpreter has started and runs the first line of the package, no program can be asked anything."""
    folder = Path(f"/proc/{pid}/task")
    while folder.is_dir() and len(os.listdir(folder)) < 2:  # the thread that waits for signals
        time.sleep(0.005)


def _photographs(scale: Scale) -> tuple[str, ...]:
    """A folder of large photographs, and the command that trains on it while threads decode them."""
    draw, root = np.random.default_rng(scale.seed), scale.folder / "photographs"
    root.mkdir()
    rows = ["path,label"]
    for index in range(30):
        pixels = draw.integers(0, 255, size=(30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((4000, 3000)).save(root / f"{index}.jpg", quality=90)
        rows.append(f"{index}.jpg,{RANKS[index % 3]}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = (
        "fit",
        "--dataset",
        "csv",
        "--root",
        str(root),
        "--labels",
        "labels.csv",
        "--ranks",
        ",".join(RANKS),
    )
    words += ("--template", "a photo of {rank} quality", "--pictures", "stream", "--workers", "4", "--quiet")
    return (*words, "--epochs1", "2", "--epochs2", "2", "--hidden", "64")
