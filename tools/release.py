"""Try the wheel in dist as a stranger would: the README's ten lines, in an empty environment with no other package.

    python tools/release.py           with the lowest torch that pyproject.toml allows, then with the newest

Where uv is to find torch is said by its own variables, such as UV_TORCH_BACKEND=cpu or UV_FIND_LINKS=folder.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import chapters
from verify import run

LARGEST = 5e6  # bytes of the wheel


def lowest() -> list[str]:
    """The oldest torch and torchvision that the package says it runs with."""
    project = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    return [
        f"{line.replace('>=', '==')}.*"
        for line in project["dependencies"]
        if line.startswith("torch")
    ]


def attempt(wheel: Path, pins: list[str]) -> None:
    """Install the wheel, run the README's lines in an empty folder, and compare what they print.

    Raises:
        SystemExit: It cannot be installed, or the lines print something else.
    """
    readme = (chapters.ROOT / "README.md").read_text(encoding="utf-8")
    code, shown = re.findall(r"```python\n(.*?)```\s*```\n(.*?)```", readme, re.DOTALL)[0]
    uv = [sys.executable, "-m", "uv", "-q"]
    clean = {"PYTHONPATH": ""}
    with tempfile.TemporaryDirectory() as folder:
        python = str(Path(folder, "env", "bin", "python"))
        run([*uv, "venv", "--python", sys.executable, str(Path(folder, "env"))])
        run([*uv, "pip", "install", "--python", python, str(wheel), *pins])
        packages = run([*uv, "pip", "freeze", "--python", python]).splitlines()
        start = time.monotonic()
        said = run([python, "-c", code], Path(folder), clean)
        took = time.monotonic() - start
    if said != shown:
        raise SystemExit(f"the README shows {shown!r}, the wheel prints {said!r}")
    torch = next(line for line in packages if line.startswith("torch=="))
    print(
        f"{torch}, {len(packages)} packages in all: the README's ten lines print what it shows, "
        f"in {took:.0f} s"
    )


if __name__ == "__main__":
    (wheel,) = (chapters.ROOT / "dist").glob("*.whl")
    if wheel.stat().st_size > LARGEST:
        raise SystemExit(
            f"{wheel.name} has {wheel.stat().st_size:,} bytes; {LARGEST:,.0f} are the most"
        )
    for pins in (lowest(), []):
        attempt(wheel, pins)
