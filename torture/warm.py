"""What every life needs, imported and drawn once, in the server that forks them."""

from __future__ import annotations

import gc
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from l2rclip_lite import cli, data, rundir
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.export import export_onnx
from l2rclip_lite.training import fit

torch.set_num_threads(1)
tqdm.monitor_interval = 0  # it starts a thread, and only one may be there when a process is forked


@cache
def leaves() -> OrdinalDataset:
    """Sixty leaves: 40 to train on, 10 to validate, 10 to test."""
    drawn = load_dataset("leaves", size=60, pixels=64)
    for part in (drawn.train, drawn.val, drawn.test):
        list(part)  # drawn when first asked for
    return drawn


def command(words: Sequence[str]) -> int:
    """What the command line does; sixty leaves are at hand."""

    def load(name: str, **options: Any) -> OrdinalDataset:
        return leaves() if options == {"size": 60, "pixels": 64} else load_dataset(name, **options)

    data.load_dataset = rundir.load_dataset = load
    # The lock that tqdm makes is shared by all that are forked: a life killed while it holds it would stop all others.
    tqdm.set_lock(threading.RLock())
    return cli.main(words)


def _rehearse() -> None:
    """A small run and its export: whatever is imported when it is first used is here then."""
    config = Config(towers="tiny/random", epochs1=1, epochs2=1, batch_size=40, heads=2, hidden=32)
    with tempfile.TemporaryDirectory() as folder:
        run = fit(leaves(), config, folder, baselines=("ridge",), quiet=True)
        if find_spec("onnxscript"):
            export_onnx(run.model, Path(folder) / "model.onnx", [leaves().test[0][0]])
    gc.collect()  # threads that decoded pictures end: only one may be there when a process is forked


_rehearse()
