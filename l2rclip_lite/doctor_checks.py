"""What `l2rclip doctor` looks at in machine and package: each check says what it found, or raises with the fix."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from l2rclip_lite.errors import InputError
from l2rclip_lite.resources import free_memory

DISTRIBUTION = "l2rclip-lite"
PYTHON = (3, 11)
MEMORY, DISK = 2.0, 0.5  # GiB: `mini` on 600 pictures stays below both


def check_python() -> str:
    """Python's version.

    Raises:
        InputError: It is too old.
    """
    if sys.version_info[:2] < PYTHON:
        raise InputError(
            f"{platform.python_version()} is too old; install Python {PYTHON[0]}.{PYTHON[1]} or newer."
        )
    return f"{platform.python_version()}, {platform.system()} {platform.machine()}"


def own_requirements() -> list[str]:
    """What this package needs at run time, from its installed metadata.

    Raises:
        InputError: The package is imported from a folder but not installed.
    """
    from packaging.requirements import Requirement

    try:
        listed = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError("not installed, so its version ranges are unknown; run: pip install -e .") from error
    parsed = [Requirement(line) for line in listed]
    return [str(one) for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]


def package_name(requirement: str) -> str:
    """The name in a requirement.

    Example:
        >>> package_name("open_clip_torch<4,>=3.3")
        'open_clip_torch'
    """
    from packaging.requirements import Requirement

    return Requirement(requirement).name


def check_package(requirement: str) -> str:
    """The installed version of a package.

    Args:
        requirement: Name and range as pip spells them.

    Returns:
        Version and range.

    Raises:
        InputError: It is not installed, or its version lies outside the range.

    Example:
        >>> check_package("numpy>=1000")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: ... is not >=1000; run: pip install "numpy>=1000"
    """
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    fix = f'run: pip install "{parsed.name}{parsed.specifier}"'
    try:
        found = importlib.metadata.version(parsed.name)
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"not installed; {fix}") from error
    if not found:
        raise InputError(f"its metadata is damaged; {fix} --force-reinstall")
    if not parsed.specifier.contains(found, prereleases=True):
        raise InputError(f"{found} is not {parsed.specifier}; {fix}")
    return f"{found} ({parsed.specifier})"


def check_image_weights() -> str:
    """The image tower of `mini`, by its SHA-256."""
    from l2rclip_lite import mini

    file = mini.find_image_weights()
    mini.check_sha256(file, mini.IMAGE_SHA256)
    return f"{file.name}, SHA-256 {mini.IMAGE_SHA256}"


def check_text_weights() -> str:
    """The text tower of `mini`, by its SHA-256."""
    from l2rclip_lite import mini

    file = mini.find_text_folder() / "model.safetensors"
    mini.check_text_folder(file.parent)
    return f"{file.name}, SHA-256 {mini.TEXT_SHA256}"


def check_alignment() -> str:
    """The file that joins the two towers of `mini`, by its SHA-256; it is part of this package."""
    from l2rclip_lite import mini

    fix = "reinstall l2rclip-lite"
    if not mini.ALIGNMENT.is_file():
        raise InputError(f"{mini.ALIGNMENT.name} is missing; {fix}.")
    mini.check_sha256(mini.ALIGNMENT, mini.ALIGNMENT_SHA256, fix=fix)
    return f"{mini.ALIGNMENT.name}, SHA-256 {mini.ALIGNMENT_SHA256}"


def check_device() -> str:
    """Where `--device auto` would train."""
    import torch

    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        return f"cuda: {about.name}, {about.total_memory / 2**30:.0f} GiB"
    return f"cpu: {torch.get_num_threads()} of {os.cpu_count()} cores in use, no CUDA GPU visible"


def check_memory() -> str:
    """Free memory, as far as this system tells.

    Raises:
        InputError: Less than a run of the default needs.
    """
    free = free_memory()
    if free is None:
        return "unknown on this system"
    if free < MEMORY:
        raise InputError(f"{free:.1f} GiB free, {MEMORY:g} are needed; close other programs.")
    return f"{free:.1f} GiB free, {MEMORY:g} needed"


def check_write_access(out: Path) -> str:
    """Write and remove a file where runs shall go.

    Args:
        out: A folder; where it does not exist yet, its nearest parent that does is tried.

    Raises:
        InputError: It cannot be written, or the disk is nearly full.
    """
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"l2rclip")
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error
    free = shutil.disk_usage(folder).free / 2**30
    if free < DISK:
        raise InputError(f"{folder} has {free:.1f} GiB of disk left, {DISK:g} are needed; free some.")
    return f"{folder}, {free:.1f} GiB of disk free"


def check_forward_pass() -> str:
    """A picture through tiny random towers on the device that would be used.

    Raises:
        InputError: The probabilities are wrong.
    """
    import torch
    from PIL import Image

    from l2rclip_lite.config import Config
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.ranks import Ranks

    ranks = Ranks(("no", "some", "much"), (0, 1, 2), template="a photo of {rank} damage")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = L2RCLIP.build(ranks, Config(towers="tiny/random", hidden=64)).to(device)
    total = float(model.predict([Image.new("RGB", (64, 64), "green")]).probabilities.sum())
    if not abs(total - 1) < 1e-4:
        raise InputError(f"the probabilities of a picture add up to {total} on {device}; reinstall torch.")
    return f"probabilities add up to {total:.4f} on {device}"
