"""`l2rclip doctor`: what could stop a run, looked at one by one; each finding is one OK or FAIL line."""

import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement
from PIL import Image

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.training.fit import choose_device


def doctor(out: str | Path = ".") -> bool:
    """Look at everything and print one line per finding.

    Args:
        out: The folder that runs shall be written into; nothing is left there.

    Returns:
        Whether every line says OK.
    """
    healthy = True
    for check in (packages, device, folder, forward_pass):
        try:
            word, finding = "OK", check(Path(out).absolute())
        except Exception as error:  # whatever breaks here is the finding, never a traceback
            healthy, word, finding = (
                False,
                "FAIL",
                f"{' '.join(str(error).split())} ({type(error).__name__})",
            )
        print(f"{word:<5} {check.__name__:<13} {finding}", flush=True)
    return healthy


def packages(_: Path) -> str:
    """Python's version, and every package that this one requires in a version that it allows."""
    needed = [
        Requirement(line) for line in metadata.requires("l2rclip-lite") or [] if ";" not in line
    ]
    if wrong := [
        f'"{each}"' for each in needed if metadata.version(each.name) not in each.specifier
    ]:
        raise InputError(f"of another version; run: pip install {' '.join(wrong)}")
    return (
        f"Python {platform.python_version()}, torch {torch.__version__}, and all others as required"
    )


def device(_: Path) -> str:
    """Where `--device auto` computes, and whether this torch can use the NVIDIA GPU that is here."""
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        raise InputError(
            "torch cannot use the NVIDIA GPU here; install it as pytorch.org (Get started) says"
        )
    return f"{choose_device(Config())}, {torch.get_num_threads()} threads"


def folder(out: Path) -> str:
    """Write access and free disk where runs shall go, or in the nearest folder above that exists."""
    place = next(each for each in (out, *out.parents) if each.exists())
    tempfile.TemporaryFile(dir=place).close()
    return (
        f"{place} can be written; {shutil.disk_usage(place).free / 2**30:.1f} GiB of disk are free"
    )


def forward_pass(_: Path) -> str:
    """An image through the model that ships with the package, on the device that would be used; weights are checked."""
    model = L2RCLIP.from_pretrained("leaves").to(choose_device(Config()))
    answer = model.predict(Image.new("RGB", (64, 64)))
    return f"the probabilities of an image add up to {float(answer.probabilities.sum()):.4f}"
