"""Prove chapters in four runners, a line each; the exit status is 1 if one fails.

    python tools/verify.py                       every chapter
    python tools/verify.py 05                    one
    python tools/verify.py --jobs 2 --record     two at a time; keep the result for the status page
    python tools/verify.py --unproved --runner nbval
                                                 in one runner, the chapters that train, but for
                                                 those whose proof by the same code is kept

papermill  the source at profile `smoke`, the profile injected as a parameter
nbval      the committed page, run again at `page` and compared text by text
book       Jupyter Book, warnings as errors, one HTML page for each entry of _toc.yml -> _build/html
colab      an empty folder, the notebook alone, which installs the wheel by its own set-up cell;
           profile `smoke`, injected by papermill

A record is kept for each kind of processor kernels: `make verify KERNELS=avx2`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import build
import chapters
import execute
import kernels
import setup_cell
import tyro

from l2rclip_lite.files import read_json, write_json

PROOFS = chapters.ROOT / "_build" / "proofs"
RECORD = chapters.BOOK / "results" / "proof.json"
# of a wheel
PARTS = ("pyproject.toml", "README.md", "LICENSE", "l2rclip_lite", "book/l2rclip_book")
ALONE = """
import json, sys, nbformat, papermill
from traitlets.config import Config
name, address, wheel, talk = sys.argv[1:]
notebook = nbformat.read(name, as_version=4)
for cell in notebook.cells:
    cell.source = cell.source.replace(address, wheel)
where = nbformat.v4.new_code_cell("import l2rclip_lite, l2rclip_book; print(l2rclip_lite.__file__)")
notebook.cells.append(where)
nbformat.write(notebook, name)
config = Config(KernelManager=json.loads(talk))
done = papermill.execute_notebook(
    name, name, {"PROFILE": "smoke"}, kernel_name="python3", progress_bar=False, config=config
)
print(done.cells[-1].outputs[0].text.strip())
"""


def papermill(source: Path) -> str:
    """Execute the source at profile `smoke`, injected as a parameter."""
    with tempfile.TemporaryDirectory() as folder:
        execute.execute(source, Path(folder) / "smoke.ipynb", {"PROFILE": "smoke"})
    return "every cell at smoke"


def nbval(source: Path) -> str:
    """Run the committed page again and compare each output text with the committed one."""
    reason = chapters.stale(source)
    if reason:
        raise SystemExit(reason)

    # as a reader runs it; `book/conftest.py` has the rest
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command.append(str(source.with_suffix(".ipynb")))
    return run(command, cwd=chapters.ROOT).strip().splitlines()[-1].strip("= ")


def book(source: Path) -> str:
    """Build the whole book, warnings as errors, with a page for each entry of _toc.yml."""
    build.build(source.parent.parent)
    return "no warning"


def colab(source: Path) -> str:
    """Execute the notebook alone in an empty folder, where its set-up cell installs the wheel.

    The environment has the packages of this one, but for our editable install.
    """
    (wheel,) = PROOFS.glob("*.whl")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text).resolve()
        venv.create(folder / "env")
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
        # .pth files in a folder that a .pth names are not read
        stack = sysconfig.get_path("purelib")
        (site / "stack.pth").write_text(f"{stack}\n", encoding="utf-8")

        content = folder / "content"
        content.mkdir()
        shutil.copy(chapters.for_colab(source), content)
        command = [str(folder / "env" / "bin" / "python"), "-c", ALONE, f"{source.stem}.ipynb"]
        command += [setup_cell.address(), wheel.as_uri(), json.dumps(kernels.by_files(folder))]
        # what the wheel asks for must be there already
        environment = {"PYTHONPATH": "", "PIP_NO_INDEX": "1"}
        shown = run(command, cwd=content, env=environment)
        package = Path(shown.splitlines()[-1])
        if not package.is_relative_to(site):
            raise SystemExit(f"the notebook imported {package}, not the wheel")
    return f"{wheel.name} alone in an empty folder"


def make_wheel() -> Path:
    """Build the wheel of the source as it is, from a copy of what it needs (no stale build/)."""
    shutil.rmtree(PROOFS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as copy:
        chapters.copy(PARTS, Path(copy))
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
        run([*pip, "-w", str(PROOFS), copy])
    (wheel,) = PROOFS.glob("*.whl")
    return wheel


def run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        SystemExit: it failed; with the end of what it printed.
    """
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True
    )
    if done.returncode:
        output = (done.stdout + done.stderr)[-4000:]
        raise SystemExit(f"{Path(command[0]).name} exited {done.returncode}:\n{output}")
    return done.stdout


RUNNERS = {"papermill": papermill, "nbval": nbval, "colab": colab, "book": book}


def prove(source: Path, runner: str) -> dict[str, Any]:
    """Run one runner, print OK or FAIL with the reason, and return its entry in the record."""
    start = time.perf_counter()
    try:
        note = RUNNERS[runner](source)
        good = True
    except (SystemExit, Exception) as error:  # a runner may fail in any way, and the next one runs
        note = str(error) or type(error).__name__
        good = False

    seconds = round(time.perf_counter() - start)
    verdict = "OK  " if good else "FAIL"
    print(f"{verdict} {source.stem} {runner} {seconds} s: {note}", flush=True)
    return {"ok": good, "seconds": seconds, "note": note.splitlines()[0]}


def code_of(source: Path) -> dict[str, str]:
    """Return the hashes of what a proof of a chapter rests on."""
    return {"source": chapters.source_hash(source), "package": chapters.package_hash()}


def prove_chapter(source: Path, runners: Collection[str]) -> dict[str, Any]:
    """Prove one chapter but for the book; return the results with the hashes of its parts."""
    proofs = {runner: prove(source, runner) for runner in runners if runner != "book"}
    return {**code_of(source), "runners": proofs}


def keep(proofs: Mapping[str, dict[str, Any]]) -> None:
    """Keep proofs of chapters in `RECORD`, beside those of other chapters and other kernels."""
    kept = read_json(RECORD)
    for name, proof in proofs.items():
        kept.setdefault(name, {})[kernels.kind()] = proof

    names = [source.stem for source in chapters.sources()]
    write_json(RECORD, {name: kept[name] for name in names if name in kept})


def proved(source: Path, runners: Collection[str]) -> bool:
    """Return whether the record has these proofs of a chapter, by this code and these kernels."""
    proofs = read_json(RECORD).get(source.stem, {})
    proof = proofs.get(kernels.kind(), {"runners": {}})
    passed = {runner for runner, result in proof["runners"].items() if result["ok"]}
    return passed.issuperset(runners) and code_of(source).items() <= proof.items()


def main(
    chapter: tuple[str, ...] = (),
    /,
    runner: tuple[str, ...] = tuple(RUNNERS),
    unproved: bool = False,
    jobs: int = 1,
    record: bool = False,
) -> int:
    """Run the runners on every chapter asked for, the book once for all; return the status.

    Args:
        chapter: Number or name; none means all.
        runner: Which of papermill, nbval, colab and book.
        unproved: Only chapters that train, without a proof on record.
        jobs: Chapters at a time.
        record: Whether to write book/results/proof.json.
    """
    kernels.prepare_environment()
    if "colab" in runner:
        make_wheel()
    sources = chapters.sources(chapter)
    if unproved:
        sources = [path for path in chapters.trained() if not proved(path, runner)]
    calls = {path.stem: (path, runner) for path in chapters.longest_first(sources)}
    proofs = dict(execute.side_by_side(prove_chapter, calls, jobs))

    if "book" in runner:
        html = prove(sources[0], "book")
        for proof in proofs.values():
            proof["runners"]["book"] = html
    if record:
        keep(proofs)
    results = [result for proof in proofs.values() for result in proof["runners"].values()]
    return int(not all(result["ok"] for result in results))


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
