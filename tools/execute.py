"""The one notebook runner: book/NN_name.py -> jupytext -> papermill -> stamp -> book/NN_name.ipynb.

    python tools/execute.py                      every chapter, at the profile `page`
    python tools/execute.py 05 06                two chapters
    python tools/execute.py 05 --profile smoke --out runs/smoke -p SEED 1
    python tools/execute.py --jobs 2             two chapters at a time, the longest first
    python tools/execute.py --check              say whether the pages belong to their sources

The profile is taken from --profile, else from L2RCLIP_PROFILE, else it is `page`. Only `page` without other
parameters is written into the book; anything else needs --out.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import chapters
import jupytext
import kernels
import nbformat
import page_rules
import papermill
import torch
import yaml
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

PROFILES = ("smoke", "page", "full")
FAILED = chapters.ROOT / "_build" / "failed"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def execute(source: Path, out: Path, parameters: Mapping[str, Any]) -> NotebookNode:
    """Run a chapter with `parameters` and write the stamped notebook to `out`.

    Raises:
        SystemExit: for a misspelt parameter, a chapter that fails, or a page that may not be published.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, done = Path(folder) / "plain.ipynb", Path(folder) / "done.ipynb"
        nbformat.write(_read(source), plain)
        _refuse_unknown(source, parameters, plain)
        start = time.perf_counter()
        try:
            kernels.started(
                lambda: papermill.execute_notebook(
                    plain,
                    done,
                    dict(parameters),
                    kernel_name="python3",
                    cwd=str(source.parent),
                    progress_bar=False,
                )
            )
        except PapermillExecutionError as error:
            kept = _keep(done.read_text(encoding="utf-8"), source)
            message = f"{error}\n{source.name} failed at the cell above; the whole run is in {kept}"
            raise SystemExit(message) from None
        seconds = time.perf_counter() - start
        page = _clean(nbformat.read(done, as_version=4))
    _stamp(page, source, parameters, seconds)
    wrong = [text for text in page_rules.problems(page) if not text.startswith("the profile is")]
    if wrong:
        kept = _keep(nbformat.writes(page), source)
        raise SystemExit(
            "\n- ".join([f"{source.name} ran, but its page ({kept}) may not be published:", *wrong])
        )
    return _write(page, out)


def _keep(notebook: str, source: Path) -> Path:
    """Keep a run that gave no page, for a look at what went wrong."""
    FAILED.mkdir(parents=True, exist_ok=True)
    kept = FAILED / f"{source.stem}.ipynb"
    kept.write_text(notebook, encoding="utf-8")
    return kept


def _read(source: Path) -> NotebookNode:
    """Read the percent source; a cell's id follows from its text, so that equal cells keep their id."""
    notebook = jupytext.read(source)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    _name_cells(notebook)
    return notebook


def _name_cells(notebook: NotebookNode) -> None:
    """Give each cell an id made from its kind and text."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        text = f"{cell.cell_type}\n{cell.source}"
        key = hashlib.sha256(text.encode()).hexdigest()[:10]
        seen[key] = seen.get(key, 0) + 1
        cell["id"] = key if seen[key] == 1 else f"{key}-{seen[key]}"


def _refuse_unknown(source: Path, parameters: Mapping[str, Any], plain: Path) -> None:
    """Refuse parameters that the chapter does not have (papermill itself only warns)."""
    known = papermill.inspect_notebook(plain)
    if unknown := sorted(set(parameters) - set(known)):
        have = ", ".join(known) or "none: it lacks a cell tagged `parameters`"
        raise SystemExit(f"{source.name} has no parameter {', '.join(unknown)}; it has {have}")


def _clean(page: NotebookNode) -> NotebookNode:
    """Remove what papermill adds: injected cell, its metadata, time stamps, empty tags."""
    page.cells = [cell for cell in page.cells if "injected-parameters" not in page_rules.tags(cell)]
    language = {key: value for key, value in page.metadata.language_info.items() if key != "version"}
    page.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": language})
    count = 0
    for cell in page.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not page_rules.tags(cell):
            cell.metadata.pop("tags", None)
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
    return page


def _stamp(page: NotebookNode, source: Path, parameters: Mapping[str, Any], seconds: float) -> None:
    """Write the provenance into the metadata and, for readers, into a last Markdown cell."""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    stamp = {
        "source": chapters.source_hash(source),
        "package": chapters.package_hash(),
        "version": importlib.metadata.version("l2rclip-lite"),
        "profile": parameters["PROFILE"],
        "seconds": round(seconds),
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, threads: {threads}",
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
    }
    page.metadata[page_rules.STAMP] = stamp
    text = (
        f"---\n*This page was made by `tools/execute.py` from `book/{source.name}` (source "
        f"`{stamp['source'][:12]}`, package {stamp['version']} `{stamp['package'][:12]}`) with profile "
        f"`{stamp['profile']}` in {stamp['seconds']} s on {stamp['device']}; "
        f"Python {stamp['python']}, torch {stamp['torch']}.*"
    )
    footer = nbformat.v4.new_markdown_cell(text, metadata={"tags": [page_rules.FOOTER_TAG]}, id="provenance")
    page.cells.append(footer)


def _write(page: NotebookNode, out: Path) -> NotebookNode:
    """Write atomically, unless the old file differs only in the seconds (a re-run then leaves git clean)."""
    nbformat.validate(page)
    if out.exists() and _timeless(nbformat.read(out, as_version=4)) == _timeless(page):
        return page
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_text(nbformat.writes(page) + "\n", encoding="utf-8")
    part.replace(out)
    return page


def _timeless(page: NotebookNode) -> dict[str, Any]:
    """A copy of the page without the seconds it took."""
    stamp = {key: value for key, value in page.metadata.get(page_rules.STAMP, {}).items() if key != "seconds"}
    cells = [cell for cell in page.cells if page_rules.FOOTER_TAG not in page_rules.tags(cell)]
    return {"stamp": stamp, "cells": cells, "kernel": page.metadata.get("kernelspec")}


def check(names: list[str]) -> int:
    """Print for each chapter whether its page is current; return the exit status."""
    bad = 0
    for source in chapters.sources(names):
        why = chapters.stale(source)
        bad += why is not None
        print(f"FAIL {why}; run `make execute CHAPTER={source.stem}`" if why else f"OK   {source.stem}")
    return int(bad > 0)


def _slowest_first(names: list[str]) -> list[Path]:
    """Chapters by the seconds that their pages took; one without a page comes first."""
    return sorted(chapters.sources(names), key=chapters.seconds, reverse=True)


def side_by_side(commands: Mapping[str, list[str]], jobs: int) -> dict[str, bool]:
    """Run named commands, `jobs` at a time, print what each said when it ends, and say which went well."""

    def one(name: str) -> tuple[str, bool]:
        done = subprocess.run(commands[name], capture_output=True, text=True)
        print((done.stdout + done.stderr).rstrip(), flush=True)
        return name, done.returncode == 0

    with ThreadPoolExecutor(jobs) as pool:
        return dict(pool.map(one, commands))


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapter", nargs="*", help="number or name; none means all")
    parser.add_argument("--profile", choices=PROFILES, default=os.environ.get("L2RCLIP_PROFILE", "page"))
    parser.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
    )
    parser.add_argument("--out", type=Path, help="folder for the notebook, in place of the book")
    parser.add_argument("--jobs", type=int, default=1, help="chapters at a time")
    parser.add_argument("--check", action="store_true", help="only say whether the pages are current")
    options = parser.parse_args()
    if options.check:
        return check(options.chapter)
    parameters = {"PROFILE": options.profile} | {k: yaml.safe_load(v) for k, v in options.parameters}
    if options.out is None and parameters != {"PROFILE": "page"}:
        parser.error(
            "only the profile `page` without other parameters is written into the book; give --out FOLDER"
        )
    found = _slowest_first(options.chapter)
    if options.jobs > 1 and len(found) > 1:
        alone = ["--profile", options.profile, *(["--out", str(options.out)] if options.out else [])]
        alone += [text for pair in options.parameters for text in ("-p", *pair)]
        done = side_by_side(
            {path.stem: [sys.executable, __file__, path.stem, *alone] for path in found}, options.jobs
        )
        return int(not all(done.values()))
    kernels.prepare_environment()
    for source in found:
        print(f"{source.stem}: executing at {parameters['PROFILE']} ...", flush=True)
        out = (options.out or source.parent) / f"{source.stem}.ipynb"
        page = execute(source, out, parameters)
        print(f"{source.stem}: {page.metadata[page_rules.STAMP]['seconds']} s -> {out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
