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
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.method.model import L2RCLIP

# Bytes that the check of the folder writes; a run of `mini` keeps three times as much.
WRITTEN = 8 * 2**20
CGROUP = Path("/sys/fs/cgroup")  # of this container, version 2
# GiB that were in use at most when `mini` was fitted to 60 images, and a head on its features to
# 300.
FIT_TOWER = 2.0
FIT_HEAD = 1.2


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
            finding = check(Path(out).absolute())
            word = "OK"
        except Exception as error:  # whatever breaks here is the finding, never a traceback
            finding = f"{error} ({type(error).__name__})"
            word = "FAIL"
            healthy = False
        print(f"{word:<5} {check.__name__:<13} {one_line(finding)}", flush=True)
    return healthy


def packages(_: Path) -> str:
    """Check that every package which this one requires has a version that it allows."""
    wrong = []
    for line in metadata.requires("l2rclip-lite") or []:
        if ";" in line:  # of an extra
            continue
        requirement = Requirement(line)
        if metadata.version(requirement.name) not in requirement.specifier:
            wrong.append(f'"{requirement}"')

    if wrong:
        raise InputError(f"of another version; run: pip install {' '.join(wrong)}")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{versions}, and all others as required"


def device(_: Path) -> str:
    """Check that torch can use an NVIDIA GPU that is here; return where it would compute."""
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        raise InputError(
            "torch cannot use the NVIDIA GPU here; install it as pytorch.org (Get started) says"
        )
    return f"{choose_device(Config())}, {torch.get_num_threads()} threads"


def memory(_: Path) -> str:
    """Check that memory is enough for a fit of the default towers.

    It is what is free on this machine, or within the limit of this container.
    """
    available = available_memory() / 2**30
    needs = f"a fit of the default towers takes about {FIT_TOWER:g}, larger towers and batches more"
    finding = f"{available:.1f} GiB are free; {needs}"

    if available < FIT_TOWER:
        cure = "close other programs, or fit a head alone (--image-side kernel), about"
        raise InputError(f"{finding}; {cure} {FIT_HEAD:g}")
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
    """Check that a run can be written, and return how much disk is free.

    Where the folder does not exist, the nearest one above is checked.
    """
    place = next(parent for parent in (out, *out.parents) if os.path.lexists(parent))
    if place.is_symlink() and not place.exists():
        problem = f"{place}: is a link that leads nowhere"
        raise InputError(f"{problem}; remove it, or choose another --out")

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
    """Predict an image by the model that ships with the package; this checks the weights, too."""
    model = L2RCLIP.from_pretrained("leaves").to(choose_device(Config()))
    prediction = model.predict(Image.new("RGB", (64, 64)))
    total = float(prediction.probabilities.sum())
    return f"the probabilities of an image add up to {total:.4f}"


def read_control(name: str) -> str:
    """Return the text of a file in which Linux keeps the limits of a container."""
    return (CGROUP / name).read_text(encoding="utf-8")
