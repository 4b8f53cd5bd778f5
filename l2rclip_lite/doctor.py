"""`l2rclip doctor`: check one by one what could stop a run; each finding is one OK or FAIL line."""

import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement
from PIL import Image

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.training.fit import choose_device

WRITTEN = (
    8 * 2**20
)  # bytes that the check of the folder writes; a run of `mini` keeps three times as much
CGROUP = Path("/sys/fs/cgroup")  # of this container, version 2
# GiB that were in use at most when `mini` was fitted to 60 images, and a head on its features to 300.
FIT_TOWER, FIT_HEAD = 2.0, 1.2


def doctor(out: str | Path = ".") -> bool:
    """Look at everything and print one line per finding.

    Args:
        out: The folder that runs shall be written into; nothing is left there.

    Returns:
        Whether every line says OK.
    """
    healthy = True
    for check in (packages, device, memory, folder, forward_pass):
        try:
            word, finding = "OK", check(Path(out).absolute())
        except Exception as error:  # whatever breaks here is the finding, never a traceback
            healthy = False
            word, finding = "FAIL", f"{error} ({type(error).__name__})"
        print(f"{word:<5} {check.__name__:<13} {one_line(finding)}", flush=True)
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


def memory(_: Path) -> str:
    """Memory that is free on this machine, or within the limit of this container, beside what a fit takes."""
    available = available_memory() / 2**30
    needs = f"a fit of the default towers takes about {FIT_TOWER:g}, larger towers and batches more"
    finding = f"{available:.1f} GiB are free; {needs}"
    if available < FIT_TOWER:
        cure = (
            f"close other programs, or fit a head alone (--image-side kernel), about {FIT_HEAD:g}"
        )
        raise InputError(f"{finding}; {cure}")
    return finding


def available_memory() -> int:
    """Return the bytes that this process may still take: of the system, or of its container."""
    available: int = psutil.virtual_memory().available
    try:
        limit = int(read_control("memory.max"))
        used = int(read_control("memory.current"))
        statistics = dict(line.split() for line in read_control("memory.stat").splitlines())
    except (OSError, ValueError):  # no such container, or one without a limit
        return available

    used -= int(statistics["inactive_file"])  # pages of files, dropped when memory is asked for
    return min(available, limit - used)


def folder(out: Path) -> str:
    """Write access and free disk where runs shall go, or in the nearest folder above that exists."""
    place = next(each for each in (out, *out.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as stream:
            stream.write(b"\1" * WRITTEN)
            stream.flush()
            os.fsync(stream.fileno())  # a full disk may say so only here
    except OSError as error:
        problem = f"{place}: {WRITTEN / 2**20:.0f} MiB cannot be written ({error.strerror})"
        raise InputError(f"{problem}; free some space, or choose another --out") from error
    return (
        f"{place} can be written; {shutil.disk_usage(place).free / 2**30:.1f} GiB of disk are free"
    )


def forward_pass(_: Path) -> str:
    """An image through the model that ships with the package, on the device that would be used; weights are checked."""
    model = L2RCLIP.from_pretrained("leaves").to(choose_device(Config()))
    answer = model.predict(Image.new("RGB", (64, 64)))
    return f"the probabilities of an image add up to {float(answer.probabilities.sum()):.4f}"


def read_control(name: str) -> str:
    """Return the text of a file in which Linux keeps the limits of a container."""
    return (CGROUP / name).read_text(encoding="utf-8")
