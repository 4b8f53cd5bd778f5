"""The one notebook runner: book/NN_name.py -> jupytext -> papermill -> stamp -> book/NN_name.ipynb.

A chapter with bets gets a copy without the answers, which Colab opens: book/colab/NN_name.ipynb.

    python tools/execute.py                      every chapter, at the profile `page`
    python tools/execute.py 05 06                two chapters
    python tools/execute.py 05 --profile smoke --out runs/smoke
    python tools/execute.py --jobs 2             two chapters at a time

Only the profile `page` is written into the book; another needs --out.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import platform
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal, TypeVar

import chapters
import jupytext
import kernels
import nbformat
import page_rules
import papermill
import torch
import tyro
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

import l2rclip_lite
from l2rclip_lite.files import write_text

Result = TypeVar("Result")
FAILED = chapters.ROOT / "_build" / "failed"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def execute(source: Path, out: Path, parameters: Mapping[str, Any]) -> str:
    """Run a chapter with `parameters`, write the stamped notebook to `out`, and say so in a line.

    Raises:
        SystemExit: for a chapter that fails, or a page that may not be published.
    """
    start = time.perf_counter()
    page = run(source, parameters)
    seconds = round(time.perf_counter() - start)
    stamp(page, source, parameters["PROFILE"], seconds)

    wrong = page_rules.problems(page)
    if wrong:
        kept = keep(nbformat.writes(page), source)
        message = f"{source.name} ran, but its page ({kept}) may not be published:"
        raise SystemExit("\n- ".join([message, *wrong]))

    nbformat.validate(page)
    write_text(out, nbformat.writes(page) + "\n")
    copy = page_rules.without_answers(page)
    if copy is not None and out == source.with_suffix(".ipynb"):
        folder = out.parent / "colab"
        folder.mkdir(exist_ok=True)
        write_text(folder / out.name, nbformat.writes(copy) + "\n")
    return f"{seconds} s at {parameters['PROFILE']} -> {out}"


def run(source: Path, parameters: Mapping[str, Any]) -> NotebookNode:
    """Run a chapter with `parameters` and return the notebook as it is published, without a stamp.

    Raises:
        SystemExit: the chapter fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.ipynb"
        done = Path(folder) / "done.ipynb"
        nbformat.write(read(source), plain)

        try:
            papermill.execute_notebook(
                plain,
                done,
                dict(parameters),
                kernel_name="python3",
                cwd=str(source.parent),
                progress_bar=False,
                # write one file, at the end, and then kill the kernel: both save time
                request_save_on_cell_execute=False,
                shutdown_kernel="immediate",
                # text that comes in pieces, as a busy machine sends it
                coalesce_streams=True,
                config=Config(KernelManager=kernels.by_files(folder)),
            )
        except PapermillExecutionError as error:
            kept = keep(done.read_text(encoding="utf-8"), source)
            message = f"{error}\n{source.name} failed at the cell above; the whole run is in {kept}"
            raise SystemExit(message) from None
        return clean(nbformat.read(done, as_version=4))


def keep(notebook: str, source: Path) -> Path:
    """Keep a run that gave no page, for a look at what went wrong."""
    kept = FAILED / f"{source.stem}.ipynb"
    write_text(kept, notebook)
    return kept


def read(source: Path) -> NotebookNode:
    """Read the percent source.

    The id of a cell follows from its text, so that a cell that stays keeps its id.
    """
    notebook = jupytext.read(source)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    notebook.nbformat = 4
    notebook.nbformat_minor = 5

    counts: Counter[str] = Counter()
    for cell in notebook.cells:
        page_rules.fold(cell)
        key = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        counts[key] += 1
        cell["id"] = key
        if counts[key] > 1:
            cell["id"] = f"{key}-{counts[key]}"
    return notebook


def clean(page: NotebookNode) -> NotebookNode:
    """Remove what papermill adds: injected cell, its metadata, time stamps, empty tags."""
    page.cells = [cell for cell in page.cells if "injected-parameters" not in page_rules.tags(cell)]
    language = dict(page.metadata.language_info)
    language.pop("version", None)
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


def stamp(page: NotebookNode, source: Path, profile: str, seconds: int) -> None:
    """Write the provenance into the metadata and, for readers, into a last Markdown cell."""
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name(0)
    else:
        device = f"CPU, threads: {os.environ.get('OMP_NUM_THREADS', 'all')}"
    made: dict[str, Any] = {
        "source": chapters.source_hash(source),
        "package": chapters.package_hash(),
        "version": l2rclip_lite.__version__,
        "profile": profile,
        "seconds": seconds,
        "device": device,
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
    }
    page.metadata[page_rules.STAMP] = made

    package = f"package {made['version']} `{made['package'][:12]}`"
    text = (
        f"---\n*This page was made by `tools/execute.py` from `book/{source.name}` (source "
        f"`{made['source'][:12]}`, {package}) with profile `{profile}` in {seconds} s on "
        f"{device}; Python {made['python']}, torch {made['torch']}.*"
    )
    footer = nbformat.v4.new_markdown_cell(
        text, metadata={"tags": [page_rules.FOOTER_TAG]}, id="provenance"
    )
    page.cells.append(footer)


def side_by_side(
    work: Callable[..., Result], calls: Mapping[str, tuple[Any, ...]], jobs: int
) -> Iterator[tuple[str, Result]]:
    """Call `work` in `jobs` processes; yield each result behind the name of its call.

    The processes are in this one's group: Ctrl-C, a closed terminal and `kill -- -GROUP` end all.

    Args:
        work: A function of a module.
        calls: The arguments of each call, in the order in which they begin.
        jobs: How many run at a time.

    Raises:
        SystemExit: one failed; the others went on, unless the system has killed a process.
    """
    failed = False
    context = multiprocessing.get_context("spawn")
    default = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(jobs, context, initializer=signal.signal, initargs=default) as pool:
        runs = {pool.submit(work, *arguments): name for name, arguments in calls.items()}
        for done in as_completed(runs):
            try:
                yield runs[done], done.result()
            except (Exception, SystemExit) as error:
                print(f"{runs[done]}: {str(error) or type(error).__name__}", flush=True)
                failed = True
    if failed:
        raise SystemExit(1)


def main(
    chapter: tuple[str, ...] = (),
    /,
    profile: Literal["smoke", "page", "full"] = "page",
    out: Path | None = None,
    jobs: int = 1,
) -> None:
    """Run chapters.

    Args:
        chapter: Number or name; none means all.
        profile: Only `page` is written into the book.
        out: Folder for the notebook, in place of the book.
        jobs: Chapters at a time.

    Raises:
        SystemExit: one failed.
    """
    if out is None and profile != "page":
        raise SystemExit("only the profile `page` is written into the book; give --out FOLDER")

    kernels.prepare_environment()
    calls = {}
    for source in chapters.longest_first(chapters.sources(chapter)):
        page = (out or source.parent) / f"{source.stem}.ipynb"
        calls[source.stem] = (source, page, {"PROFILE": profile})
    for name, line in side_by_side(execute, calls, jobs):
        print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
