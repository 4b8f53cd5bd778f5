"""`l2rclip doctor`: what could stop a run, looked at one by one; each finding is one OK or FAIL line."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import tempfile
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement
from PIL import Image

from l2rclip_lite import mini
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks

MEMORY, DISK = 2.0, 0.5  # GiB: `mini` on 600 images needs less of either


def doctor(out: str | Path = ".") -> bool:
    """Look at everything and print one line per finding.

    Args:
        out: The folder that runs shall be written into; nothing is left there.

    Returns:
        Whether every line says OK.
    """
    failed = 0
    for check in (packages, weights, device, folder, forward_pass):
        try:
            word, finding = "OK", check(Path(out).absolute())
        except Exception as error:  # whatever breaks here is the finding, never a traceback
            failed, word = failed + 1, "FAIL"
            finding = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        print(f"{word:<5} {check.__name__:<13} {' '.join(finding.split())}", flush=True)
    print(f"{failed} of the checks failed." if failed else "Everything is in order.")
    return not failed


def packages(_: Path) -> str:
    """Python's version, and every package that this one requires in a version that it allows."""
    installed = {
        each.name.lower().replace("_", "-"): each.version for each in importlib.metadata.distributions()
    }
    wrong = []
    for needed in map(Requirement, importlib.metadata.requires("l2rclip-lite") or []):
        version = installed.get(needed.name.lower().replace("_", "-"), "")
        if needed.marker is None and not (version and needed.specifier.contains(version, prereleases=True)):
            wrong.append(f'"{needed.name}{needed.specifier}"')
    if wrong:
        raise InputError(f"missing, or of another version; run: pip install {' '.join(wrong)}")
    return f"Python {platform.python_version()}, torch {torch.__version__}, and all others as required"


def weights(_: Path) -> str:
    """The two towers of `mini` and their alignment, by SHA-256."""
    mini.check_sha256(mini.find_image_weights(), mini.IMAGE_SHA256)
    mini.check_text_folder(mini.find_text_folder())
    mini.check_sha256(mini.ALIGNMENT, mini.ALIGNMENT_SHA256, fix="reinstall l2rclip-lite")
    return "the towers of 'mini' and their alignment are the ones this package was made with"


def device(_: Path) -> str:
    """Where `--device auto` computes, and whether an NVIDIA GPU is left idle by a torch that is built for CPUs."""
    if torch.cuda.is_available():
        half = "with" if torch.cuda.is_bf16_supported(including_emulation=False) else "without"
        return f"cuda: {torch.cuda.get_device_name()}, {half} bf16"
    if shutil.which("nvidia-smi"):
        raise InputError(
            "an NVIDIA GPU is here that this torch cannot use; install torch as pytorch.org (Get started) says."
        )
    return f"{'mps' if torch.backends.mps.is_available() else 'cpu'}, {torch.get_num_threads()} CPU threads"


def folder(out: Path) -> str:
    """Memory, disk and write access where runs shall go, or in the nearest folder above that exists."""
    place = next(each for each in (out, *out.parents) if each.exists())
    with tempfile.TemporaryFile(dir=place) as stream:
        stream.write(b"l2rclip")
    memory, disk = psutil.virtual_memory().available / 2**30, shutil.disk_usage(place).free / 2**30
    said = f"{place} can be written, {memory:.1f} GiB of memory and {disk:.1f} GiB of disk are free"
    if memory < MEMORY or disk < DISK:
        raise InputError(f"{said}; {MEMORY:g} and {DISK:g} GiB are needed.")
    return said


def forward_pass(_: Path) -> str:
    """An image through tiny random towers on the device that would be used."""
    ranks = Ranks(("no", "some", "much"), (0, 1, 2), template="a photo of {rank} damage")
    model = L2RCLIP.build(ranks, Config(towers="tiny/random", hidden=64)).to(
        "cuda" if torch.cuda.is_available() else "cpu"
    )
    total = float(model.predict([Image.new("RGB", (64, 64), "green")]).probabilities.sum())
    if not abs(total - 1) < 1e-4:
        raise InputError(f"the probabilities of an image add up to {total}; reinstall torch.")
    return f"the probabilities of an image add up to {total:.4f}"
