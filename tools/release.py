"""Try the wheel in dist by the README's ten lines, in an empty environment.

    python tools/release.py           with the lowest torch that pyproject.toml allows, then with
                                      the newest

uv finds torch by its own variables, such as UV_TORCH_BACKEND=cpu or UV_FIND_LINKS=folder.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import chapters
from verify import run


def attempt(wheel: Path, pins: list[str]) -> None:
    """Install the wheel, run the README's lines in an empty folder, and compare what they print.

    Raises:
        SystemExit: It cannot be installed, or the lines print something else.
    """
    readme = (chapters.ROOT / "README.md").read_text(encoding="utf-8")
    code, shown = re.findall(r"```python\n(.*?)```\s*```\n(.*?)```", readme, re.DOTALL)[0]
    uv = [sys.executable, "-m", "uv", "-q"]

    with tempfile.TemporaryDirectory() as folder:
        python = str(Path(folder, "env", "bin", "python"))
        run([*uv, "venv", "--python", sys.executable, str(Path(folder, "env"))])
        run([*uv, "pip", "install", "--python", python, str(wheel), *pins])
        packages = run([*uv, "pip", "freeze", "--python", python])

        start = time.monotonic()
        printed = run([python, "-c", code], Path(folder), {"PYTHONPATH": ""})
        seconds = time.monotonic() - start

    if printed != shown:
        raise SystemExit(f"the README shows {shown!r}, the wheel prints {printed!r}")
    print(f"the README's ten lines print what it shows, in {seconds:.0f} s, with:", packages)


if __name__ == "__main__":
    (wheel,) = (chapters.ROOT / "dist").glob("*.whl")
    needed = chapters.project()["dependencies"]
    lowest = [f"{line.replace('>=', '==')}.*" for line in needed if line.startswith("torch")]
    attempt(wheel, lowest)
    attempt(wheel, [])
