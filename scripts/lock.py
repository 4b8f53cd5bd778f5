"""Resolve the environments from scratch and write their pins.

python scripts/lock.py            requirements/lock.txt: pyproject.toml with every extra
python scripts/lock.py snakemake  requirements/snakemake.txt and snakemake-plugins.txt: what runs experiments/Snakefile
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
LOCK = """\
# The whole stack (core, plots, baselines, onnx, book, dev), resolved under Python {python}.
# Made by `make lock`: do not edit; ranges stand in pyproject.toml, hand-made pins in constraints.txt.
# No build tag (such as +cpu) and no index address, so that every machine takes its own build of torch.
"""
SNAKEMAKE = """\
# Snakemake's own environment, which shares no package with the book's; resolved under Python {python}.
# Made by `make lock`: do not edit; the range stands in scripts/lock.py.
"""
PLUGINS = """\
# For a cluster only: what the executor plugins need beyond snakemake.txt; resolved under Python {python}.
# Made by `make lock`: do not edit; the names stand in scripts/lock.py. To install them:
# .snakemake-env/bin/pip install -r requirements/snakemake-plugins.txt
"""
WORKFLOW = "snakemake>=9.27,<10"
EXECUTORS = (
    "snakemake-executor-plugin-slurm",
    "snakemake-executor-plugin-kubernetes",
    "snakemake-storage-plugin-fs",  # files on the volume that the pods of profiles/kubernetes share
)
NOT_LOCKED = {"pip", "l2rclip-lite"}
OF_VENV = "setuptools"  # Python 3.11 puts it into each new environment; Snakemake does not need it


def pins(listing: str) -> list[str]:
    r"""Turn `pip list --format=freeze` into sorted pins without local versions.

    >>> pins("torch==2.13.0+cpu\npip==26.0\nnumpy==2.4.6\n")
    ['numpy==2.4.6', 'torch==2.13.0']
    """
    lines = [re.sub(r"\+.*", "", line) for line in listing.split()]
    return sorted((line for line in lines if line.split("==")[0] not in NOT_LOCKED), key=str.lower)


def resolve(*wanted: str) -> list[str]:
    """Install into a throwaway environment, check it, and give its pins."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-q", *wanted], check=True)
        subprocess.run([*pip, "check"], check=True)
        listing = subprocess.run(
            [*pip, "list", "--format=freeze"], check=True, capture_output=True, text=True
        )
    return pins(listing.stdout)


def write(name: str, header: str, found: list[str]) -> Path:
    """Write a file of pins and say so."""
    file = FOLDER / name
    python = ".".join(map(str, sys.version_info[:2]))
    file.write_text(header.format(python=python) + "\n".join(found) + "\n", encoding="utf-8")
    print(f"{file.relative_to(ROOT)}: {len(found)} packages")
    return file


def main() -> None:
    """Write the lock file of the book's environment, or the two of Snakemake's."""
    if sys.argv[1:] == ["snakemake"]:
        base = [pin for pin in resolve(WORKFLOW) if not pin.startswith(f"{OF_VENV}==")]
        file = write("snakemake.txt", SNAKEMAKE, base)
        more = [pin for pin in resolve("-r", str(file), *EXECUTORS) if pin not in base]
        write("snakemake-plugins.txt", PLUGINS, [pin for pin in more if not pin.startswith(f"{OF_VENV}==")])
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        write("lock.txt", LOCK, resolve("-c", str(FOLDER / "constraints.txt"), f"{ROOT}[all]"))


if __name__ == "__main__":
    main()
