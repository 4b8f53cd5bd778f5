"""Prove chapters in four runners, a line each; the exit status is 1 if one fails.

    python tools/verify.py                       every chapter
    python tools/verify.py 05                    one
    python tools/verify.py --jobs 2 --record     two at a time; then keep the result for the status page

papermill  the source at profile `smoke`, the profile injected as a parameter
nbval      the committed page, run again at `page` and compared text by text
book       Jupyter Book, warnings as errors, one HTML page for each entry of _toc.yml
colab      an empty folder, the notebook alone, the package from a wheel, profile `smoke`
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import build
import chapters
import execute
import kernels

PROOFS = chapters.ROOT / "_build" / "proofs"
RECORD = chapters.BOOK / "results" / "proof.json"
SANITISE = chapters.ROOT / "tests" / "book" / "nbval.ini"
ALONE = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
for cell in notebook.cells:
    if "parameters" in cell.metadata.get("tags", []):
        cell.source += "\\nPROFILE = 'smoke'"  # as a reader would edit it
where = nbformat.v4.new_code_cell("import l2rclip_lite; print(l2rclip_lite.__file__)")
notebook.cells.insert(0, where)
nbclient.NotebookClient(notebook, kernel_name="python3", timeout=None).execute()
print(where.outputs[0].text.strip())
"""


def papermill(source: Path) -> str:
    """Execute the source at profile `smoke`, injected as a parameter."""
    with tempfile.TemporaryDirectory() as folder:
        page = execute.execute(source, Path(folder) / "smoke.ipynb", {"PROFILE": "smoke"})
    return f"{len(page.cells)} cells at smoke"


def nbval(source: Path) -> str:
    """Run the committed page again and compare each output text with the committed one."""
    if why := chapters.stale(source):
        raise SystemExit(why)
    options = [
        "--nbval",
        "--nbval-current-env",
        "--nbval-sanitize-with",
        str(SANITISE),
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    command = [sys.executable, "-m", "pytest", *options, "-o", "addopts=", str(source.with_suffix(".ipynb"))]
    said = kernels.started(lambda: _run(command, cwd=chapters.ROOT))
    return said.strip().splitlines()[-1].strip("= ")


def book(source: Path) -> str:
    """Build the whole book, warnings as errors, and look for the chapter's page in it."""
    name = f"{source.parent.name}/{source.stem}"
    with tempfile.TemporaryDirectory() as folder:
        html = build.build(source.parent.parent, Path(folder))
        if not (html / f"{name}.html").is_file():
            raise SystemExit(f"{name} is not in _toc.yml")
    return f"{len(chapters.toc_files(source.parent.parent))} pages, no warning"


def colab(source: Path) -> str:
    """Execute the notebook alone in an empty folder, the package from a wheel beside the current stack."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text).resolve()
        python, site = _environment(folder / "env")
        wheel = _wheel(folder / "wheel")
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
        _run([*pip, "--target", str(site), str(wheel)])
        content = folder / "content"
        content.mkdir()
        shutil.copy(source.with_suffix(".ipynb"), content)
        command = [str(python), "-c", ALONE, f"{source.stem}.ipynb"]
        shown = kernels.started(lambda: _run(command, cwd=content, env={"PYTHONPATH": ""}))
        package = Path(shown.splitlines()[-1])
        if not package.is_relative_to(site):
            raise SystemExit(f"the notebook imported {package}, not the wheel")
    return f"{wheel.name} alone in an empty folder"


def _environment(folder: Path) -> tuple[Path, Path]:
    """Make an environment that sees the installed stack but not our editable install.

    A folder listed in a .pth file is searched for modules, but the .pth files in it are not read, so also not
    the one of the editable install.
    """
    venv.create(folder)
    python = folder / "bin" / "python"
    site = Path(_run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    stack = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (site / "stack.pth").write_text("\n".join(stack) + "\n", encoding="utf-8")
    spec = folder / "share" / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    return python, site


def _wheel(folder: Path) -> Path:
    """Build the wheel from a copy that holds only what it needs (no stale build/, no book)."""
    copy = folder / "source"
    copy.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(chapters.ROOT / name, copy)
    shutil.copytree(
        chapters.ROOT / "l2rclip_lite", copy / "l2rclip_lite", ignore=shutil.ignore_patterns("__pycache__")
    )
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    _run([*pip, "-w", str(folder), str(copy)])
    return next(folder.glob("*.whl"))


def _run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command; on failure raise with the end of what it printed."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"{Path(command[0]).name} exited {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}"
        )
    return done.stdout


ALONE_RUNNERS = ("papermill", "nbval", "colab")  # the book is built once for all chapters
RUNNERS: dict[str, Callable[[Path], str]] = {
    "papermill": papermill,
    "nbval": nbval,
    "book": book,
    "colab": colab,
}


def prove(source: Path, runner: str) -> dict[str, Any]:
    """Run one runner, print OK or FAIL, and say which and why."""
    start = time.perf_counter()
    try:
        note, good = RUNNERS[runner](source), True
    except (SystemExit, RuntimeError, subprocess.CalledProcessError) as error:
        note, good = str(error), False
    took = round(time.perf_counter() - start)
    print(f"{'OK  ' if good else 'FAIL'} {source.stem} {runner} {took} s: {note}", flush=True)
    return {"ok": good, "seconds": took, "note": note.splitlines()[0]}


def prove_chapter(source: Path, runners: Sequence[str]) -> Path:
    """Prove one chapter and write what came out, with the hashes of what was proved."""
    found = {
        "source": chapters.source_hash(source),
        "package": chapters.package_hash(),
        "runners": {runner: prove(source, runner) for runner in runners},
    }
    PROOFS.mkdir(parents=True, exist_ok=True)
    path = PROOFS / f"{source.stem}.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return path


def record(sources: Sequence[Path], html: dict[str, Any]) -> None:
    """Keep the proof of these chapters in `RECORD`, beside that of others; the book is built once for all."""
    kept = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for source in sources:
        kept[source.stem] = json.loads((PROOFS / f"{source.stem}.json").read_text(encoding="utf-8"))
        kept[source.stem]["runners"]["book"] = html
    present = {source.stem for source in chapters.sources()}
    kept = {name: kept[name] for name in sorted(kept) if name in present}
    RECORD.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Parse the command line; build the book once, run the other runners on every chapter asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapter", nargs="*", help="number or name; none means all")
    parser.add_argument("--jobs", type=int, default=1, help="chapters at a time")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(chapters.ROOT)}")
    parser.add_argument("--no-book", action="store_true", help="leave the build of the book out")
    options = parser.parse_args()
    kernels.prepare_environment()
    sources = sorted(chapters.sources(options.chapter), key=chapters.seconds, reverse=True)
    if len(sources) > 1:
        one = {path.stem: [sys.executable, __file__, path.stem, "--no-book"] for path in sources}
        good = all(execute.side_by_side(one, options.jobs).values())
    else:
        proofs = json.loads(prove_chapter(sources[0], ALONE_RUNNERS).read_text(encoding="utf-8"))
        good = all(proof["ok"] for proof in proofs["runners"].values())
    if not options.no_book:
        html = prove(sources[0], "book")
        good = good and html["ok"]
        if options.record:
            record(sources, html)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
