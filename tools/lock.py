"""Resolve the environments and write their pins, with the SHA-256 of every file of each release.

python tools/lock.py [--keep]            lock.txt, build.txt and cuda.txt: pyproject.toml with every extra
python tools/lock.py [--keep] snakemake  snakemake.txt and snakemake-plugins.txt: what runs experiments/Snakefile
python tools/lock.py [--keep] mutation   mutation.txt: what makes the mutants of `make mutation`
python tools/lock.py [--keep] tools      tools.txt: what writes the bill of materials and asks for known weaknesses
python tools/lock.py oldest              oldest.txt: the lowest versions that pyproject.toml allows, for `make oldest`

With --keep every pin that stands in the files stays: only hashes, and pins of new dependencies, are written.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
LOCK = """\
# The whole stack (every extra) for Linux, macOS, Windows; resolved under Python {python}.
# Made by `make lock`: do not edit; ranges stand in pyproject.toml, hand-made pins in constraints.txt.
# No build tag (such as +cpu) and no index address, so that every machine takes its own build of torch: the hashes of the
# builds that are not on PyPI stand in constraints.txt. Install with --no-deps, as `make install` does.
"""
CUDA = """\
# What torch's build with CUDA needs besides lock.txt; resolved under Python {python}.
# Made by `make lock`: do not edit. `make install` takes these only where the torch that it got asks for them.
"""
BUILD = """\
# What builds a package from its source: the pins of lock.txt, so that nothing unpinned is fetched for a build.
# Made by `make lock`: do not edit.
"""
SNAKEMAKE = """\
# Snakemake's own environment, which shares no package with the book's; resolved under Python {python}.
# Made by `make lock`: do not edit; the range stands in tools/lock.py.
"""
PLUGINS = """\
# For a cluster only: what the executor plugins need beyond snakemake.txt; resolved under Python {python}.
# Made by `make lock`: do not edit; the names stand in tools/lock.py. To install them:
# .snakemake-env/bin/pip install --no-deps -r requirements/snakemake-plugins.txt
"""
MUTATION = """\
# Cosmic Ray, which makes the mutants of `make mutation`, in an environment of its own; resolved under Python {python}.
# Made by `make lock`: do not edit; the range stands in tools/lock.py.
"""
OPERATORS = "cosmic-ray>=8.7,<9"
TOOLS = """\
# pip-audit and CycloneDX, for `make audit` and `make sbom`, in an environment of their own; resolved under Python {python}.
# Made by `make lock`: do not edit; the ranges stand in tools/lock.py.
"""
OLDEST = """\
# The lowest versions that pyproject.toml allows, without the extra `onnx`, which needs a newer torch; for `make oldest`.
# Made by `make lock`: do not edit. Resolved under Python {python}, Linux; no build tag, so torch comes with CUDA: 3 GB.
"""
CHECKERS = "pip-audit>=2.9\ncyclonedx-python-lib[json-validation]>=9\npyyaml>=6\n"
WORKFLOW = "snakemake>=9.27,<10"
EXECUTORS = (
    "snakemake-executor-plugin-slurm",
    "snakemake-executor-plugin-kubernetes",
    "snakemake-storage-plugin-fs",  # files on the volume that the pods of profiles/kubernetes share
)
BUILDERS = ("setuptools", "wheel")
GPU = re.compile(r"(?:nvidia|cuda)-|triton\b")
# Python in a browser and PyPy are not ours.
FOREIGN = re.compile(r"\bsys_platform == 'emscripten'|implementation_name == 'pypy'")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
PYTHON = "3.11.7"  # the lowest patch release that every pin supports


def blocks(text: str) -> dict[str, str]:
    r"""A file of pins as name -> its lines, without comments.

    >>> blocks("# why\na==1 \\\n    --hash=sha256:00\nb==2 ; sys_platform == 'linux'\n")
    {'a': 'a==1 \\\n    --hash=sha256:00', 'b': "b==2 ; sys_platform == 'linux'"}
    """
    text = re.sub(r"#.*", "", text)
    found = re.findall(r"^\S.*(?:\n[ \t]+\S.*)*", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", block.split("==")[0].strip()).lower(): block.strip() for block in found}


def add_hashes(pins: dict[str, str], known: dict[str, str]) -> None:
    """Give pins the hashes of builds that the registry does not have.

    Raises:
        SystemExit: the pin is of another release than the hashes.
    """
    for name, block in known.items():
        if not (hashes := HASH.findall(block)):
            continue
        release = block.split()[0]
        if name not in pins or pins[name].split()[0] != release:
            sys.exit(
                f"constraints.txt has hashes for {release}, which the lock does not pin: renew them there"
            )
        pins[name] = " \\\n    ".join([pins[name], *(h for h in hashes if h not in pins[name])])


def resolve(wanted: str, *constraints: Path, how: str = "--universal") -> dict[str, str]:
    """Let uv, in a throwaway environment, find the pins for requirements, one a line; `how` is an option of it."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        bin_ = Path(folder) / "bin"
        subprocess.run([bin_ / "python", "-m", "pip", "install", "-q", "uv>=0.9"], check=True)
        command = [bin_ / "uv", "pip", "compile", "-", how, "--python-version", PYTHON, "--quiet"]
        command += ["--generate-hashes", "--no-header", "--no-annotate"]
        for file in constraints:
            command += ["-c", file]
        done = subprocess.run(command, input=wanted, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return {n: block for n, block in blocks(done.stdout).items() if not FOREIGN.search(block.split("\n")[0])}


def write(name: str, header: str, found: dict[str, str]) -> None:
    """Write a file of pins and say so."""
    file = FOLDER / name
    python = ".".join(map(str, sys.version_info[:2]))
    lines = [header.format(python=python).rstrip(), *(found[name] for name in sorted(found))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{file.relative_to(ROOT)}: {len(found)} packages")


def releases(found: dict[str, str]) -> dict[str, str]:
    """The pins without this package itself, which is no release."""
    return {name: block for name, block in found.items() if "==" in block.split(";")[0]}


def lock_book(kept: list[Path]) -> None:
    """Write the three files of the book's environment."""
    constraints = FOLDER / "constraints.txt"
    found = releases(resolve(".[all]\n", constraints, *kept))
    add_hashes(found, blocks(constraints.read_text(encoding="utf-8")))
    cuda = {name: block for name, block in found.items() if GPU.match(name)}
    write("lock.txt", LOCK, {name: block for name, block in found.items() if name not in cuda})
    write("cuda.txt", CUDA, cuda)
    write("build.txt", BUILD, {name: found[name] for name in BUILDERS})


def lock_snakemake(kept: list[Path]) -> None:
    """Write the two files of Snakemake's environment."""
    base = {name: block for name, block in resolve(WORKFLOW, *kept).items() if name not in BUILDERS}
    write("snakemake.txt", SNAKEMAKE, base)
    more = resolve("\n".join([WORKFLOW, *EXECUTORS]), FOLDER / "snakemake.txt", *kept)
    more = {name: block for name, block in more.items() if name not in (*base, *BUILDERS)}
    write("snakemake-plugins.txt", PLUGINS, more)


def lock_mutation(kept: list[Path]) -> None:
    """Write the file of the environment that makes mutants."""
    write("mutation.txt", MUTATION, resolve(OPERATORS, *kept))


def lock_tools(kept: list[Path]) -> None:
    """Write the file of the environment that audits and lists."""
    write("tools.txt", TOOLS, resolve(CHECKERS, *kept))


def lock_oldest(kept: list[Path]) -> None:
    """Write the file of the lowest versions."""
    found = resolve(".[plots,baselines,dev]\n", *kept, how="--resolution=lowest-direct")
    write("oldest.txt", OLDEST, releases(found))


def main() -> None:
    """Parse the command line and lock."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    files = {
        "book": (lock_book, "lock.txt", "cuda.txt"),
        "snakemake": (lock_snakemake, "snakemake.txt", "snakemake-plugins.txt"),
        "mutation": (lock_mutation, "mutation.txt"),
        "tools": (lock_tools, "tools.txt"),
        "oldest": (lock_oldest, "oldest.txt"),
    }
    parser.add_argument("which", nargs="?", choices=files, default="book")
    parser.add_argument("--keep", action="store_true", help="change no pin that stands in the files")
    asked = parser.parse_args()
    lock, *names = files[asked.which]
    lock([FOLDER / name for name in names if asked.keep and (FOLDER / name).exists()])


if __name__ == "__main__":
    main()
