"""`l2rclip doctor`: check one by one what could stop a run; each finding is one OK or FAIL line."""

import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, one_line

# Bytes that the check of the folder writes; a run of `mini` keeps three times as much.
WRITTEN = 8 * 2**20
FIT_TOWER = 2.0  # GiB that were in use at most when `mini` was fitted to 60 images
NEEDS = "a fit of the default towers takes about 2, larger towers and batches more"
FIT_HEAD = "--image-side kernel takes about 1.2"  # on the features of 300


def doctor(out: str = ".") -> int:
    """Check versions, weights, device, memory, write access and a forward pass.

    Try:
      l2rclip doctor --out runs

    Args:
        out: Where your runs shall be written.
    """
    failures = 0
    for check in (packages, device, memory, folder, forward_pass):
        try:
            finding = check(Path(out).absolute())
            word = "OK"
        except Exception as error:  # whatever breaks here is the finding, never a traceback
            finding = f"{error} ({type(error).__name__})"
            word = "FAIL"
            failures += 1
        print(f"{word:<5} {check.__name__:<13} {one_line(finding)}", flush=True)
    return min(failures, 1)


def packages(_: Path) -> str:
    """Check that every package which this one requires has a version that it allows."""
    wrong = []
    for line in metadata.requires("l2rclip-lite") or []:
        requirement = Requirement(line)
        if requirement.marker is not None:  # of an extra
            continue
        if metadata.version(requirement.name) not in requirement.specifier:
            wrong.append(f'"{requirement}"')

    if wrong:
        raise InputError(f"of another version; run: pip install {' '.join(wrong)}")
    return f"Python {platform.python_version()}, and all packages as required"


def device(_: Path) -> str:
    """Check that torch can use an NVIDIA GPU that is here; return where it would compute."""
    import torch

    from l2rclip_lite.devices import choose_device

    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        raise InputError(
            "torch cannot use the NVIDIA GPU here; install it as pytorch.org (Get started) says"
        )
    return f"{choose_device(Config())}, {torch.get_num_threads()} threads"


def memory(_: Path) -> str:
    """Check that the free memory of this machine is enough for a fit of the default towers."""
    available = psutil.virtual_memory().available / 2**30
    finding = f"{available:.1f} GiB are free; {NEEDS}"
    if available < FIT_TOWER:
        raise InputError(f"{finding}; close other programs, or fit a head alone: {FIT_HEAD}")
    return finding


def folder(out: Path) -> str:
    """Check that a run can be written, and return how much disk is free.

    Where the folder does not exist, the nearest one above is checked.
    """
    place = next(parent for parent in (out, *out.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as stream:
            stream.write(b"\1" * WRITTEN)
            stream.flush()
            os.fsync(stream.fileno())  # a full disk may say so only here
    except OSError as error:
        problem = f"{place}: {WRITTEN / 2**20:.0f} MiB cannot be written ({error.strerror})"
        raise InputError(f"{problem}; free some space, or choose another --out") from error

    free = shutil.disk_usage(place).free / 2**30
    return f"{place} can be written; {free:.1f} GiB of disk are free"


def forward_pass(_: Path) -> str:
    """Check the weights by their SHA-256, and predict an image by the model that ships with us."""
    from PIL import Image

    from l2rclip_lite.method.model import L2RCLIP
    from l2rclip_lite.towers.mini import check_weights

    check_weights()
    prediction = L2RCLIP.from_pretrained("leaves").predict(Image.new("RGB", (64, 64)))
    total = float(prediction.probabilities.sum())
    return f"the probabilities of an image add up to {total:.4f}"
