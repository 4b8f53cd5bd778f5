"""`l2rclip data` and `l2rclip doctor`: look at a data set, or at this machine, before a fit."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from l2rclip_lite import commands
from l2rclip_lite.config import Config
from l2rclip_lite.data import benchmarks, load_dataset
from l2rclip_lite.data import check as data_check
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.mini import check_weights

# Bytes that the check of the folder writes; a run of `mini` keeps three times as much.
WRITTEN = 8 * 2**20


def data(arguments: commands.Data) -> int:
    """Print what is asked for of a data set; return 2 where `fit` would refuse its images.

    Raises:
        InputError: No data set of that name, or more than one question.
    """
    name = arguments.name
    options: dict[str, Any] = {**arguments.options}
    n_actions = sum(map(bool, (arguments.leakage, arguments.check, arguments.download)))
    if n_actions > 1 or (name is None and (n_actions or options)):
        raise InputError(
            "data: name a data set, and at most one of --leakage, --check, --download."
        )

    if name is None:
        print(benchmarks.cards_table().to_string())
    elif name not in benchmarks.DATA_SETS:
        load_dataset(name)  # refuses the name, and lists those there are
    elif arguments.download:
        folder = data_check.download(name, arguments.download)
        print(f"{name} is in {folder}; `l2rclip data {name}` says more.")
    elif arguments.check:
        report, is_fit = data_check.check(name, options)
        print(report)
        return 0 if is_fit else 2
    elif arguments.leakage:
        print(data_check.leakage_table(name, options))
    elif options or name == "leaves":
        print(data_check.counts(load_dataset(name, **options)))
    else:
        print(data_check.card(name))
    return 0


def doctor(arguments: commands.Doctor) -> int:
    """Print an OK or FAIL line for each thing that could stop a run; return 1 after a FAIL."""
    failures = 0
    for check in (device, folder, forward_pass):
        try:
            finding = check(Path(arguments.out).absolute())
            word = "OK"
        except Exception as error:  # whatever breaks here is the finding, never a traceback
            finding = f"{error} ({type(error).__name__})"
            word = "FAIL"
            failures += 1
        print(f"{word:<5} {check.__name__:<13} {one_line(finding)}", flush=True)
    return min(failures, 1)


def device(_: Path) -> str:
    """Check that torch can use an NVIDIA GPU that is here; return where it would compute."""
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        raise InputError(
            "torch cannot use the NVIDIA GPU here; install it as pytorch.org (Get started) says"
        )
    return f"{choose_device(Config())}, {torch.get_num_threads()} threads"


def folder(out: Path) -> str:
    """Check that a run can be written, and return how much disk is free.

    Where the folder does not exist, the nearest one above is checked.
    """
    place = next(parent for parent in (out, *out.parents) if parent.exists())
    with tempfile.TemporaryFile(dir=place) as stream:
        stream.write(b"\1" * WRITTEN)
        stream.flush()
        os.fsync(stream.fileno())  # a full disk may say so only here

    free = shutil.disk_usage(place).free / 2**30
    return f"{place} can be written; {free:.1f} GiB of disk are free"


def forward_pass(_: Path) -> str:
    """Check the weights by their SHA-256, and predict an image by the model that ships with us."""
    check_weights()
    prediction = L2RCLIP.from_pretrained("leaves").predict(Image.new("RGB", (64, 64)))
    total = float(prediction.probabilities.sum())
    return f"the probabilities of an image add up to {total:.4f}"
