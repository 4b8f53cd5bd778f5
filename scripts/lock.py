"""Resolve pyproject.toml with every extra in a new environment and write requirements/lock.txt."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "lock.txt"
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"
HEADER = """\
# The whole stack (core, plots, baselines, book, dev), resolved under Python {python}.
# Made by `make lock`: do not edit; ranges stand in pyproject.toml, hand-made pins in constraints.txt.
# No build tag (such as +cpu) and no index address, so that every machine takes its own build of torch.
"""
NOT_LOCKED = {"pip", "l2rclip-lite"}


def pins(listing: str) -> list[str]:
    r"""Turn `pip list --format=freeze` into sorted pins without local versions.

    >>> pins("torch==2.13.0+cpu\npip==26.0\nnumpy==2.4.6\n")
    ['numpy==2.4.6', 'torch==2.13.0']
    """
    lines = [re.sub(r"\+.*", "", line) for line in listing.split()]
    return sorted((line for line in lines if line.split("==")[0] not in NOT_LOCKED), key=str.lower)


def main() -> None:
    """Install into a throwaway environment, check it, write the pins."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-q", "-c", str(CONSTRAINTS), f"{ROOT}[all]"], check=True)
        subprocess.run([*pip, "check"], check=True)
        listing = subprocess.run(
            [*pip, "list", "--format=freeze"], check=True, capture_output=True, text=True
        )
    python = ".".join(map(str, sys.version_info[:2]))
    LOCK.write_text(HEADER.format(python=python) + "\n".join(pins(listing.stdout)) + "\n", encoding="utf-8")
    print(f"{LOCK.relative_to(ROOT)}: {len(pins(listing.stdout))} packages")


if __name__ == "__main__":
    main()
