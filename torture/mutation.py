"""Run the tests against each mutant of the package: do they notice?

    make mutation                 draws 240 mutants and runs them (an hour on a core) -> book/results/mutation.json
    python torture/mutation.py mutants.json --out mutation.json

A mutant is killed when one of its tests fails or does not end. torch is imported once; each mutant gets a forked process
that imports the package from a copy of the tree, in which one module is changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from mutated import GROUPS

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("l2rclip_lite", "tests", "tools", "experiments", "benchmarks", "torture", "book")
FILES = ("pyproject.toml", "README.md", "_toc.yml", "_config.yml")
PATIENCE = 10  # times as long as the tests take without a mutant, then it hangs
MARKS = ("not slow", "slow")  # most mutants need only the quick tests
NO_TESTS = 5  # pytest's exit code where a mark selects none
TESTS = {module: tests for modules in GROUPS.values() for module, tests in modules.items()}


def copy_tree(folder: Path) -> Path:
    """The parts of the repository that tests look at, beside the same `shared` if there is one."""
    tree = folder / "tree"
    tree.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(ROOT / name, tree / name)
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (folder / "shared").symlink_to(shared)
    return tree


def import_libraries() -> None:
    """Everything slow that no mutant changes; forked processes have it already."""
    import hypothesis  # noqa: F401
    import matplotlib.pyplot as plt  # noqa: F401
    import pandas as pd  # noqa: F401
    import pytest  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import timm  # noqa: F401
    import torch
    import torchmetrics  # noqa: F401
    import transformers  # noqa: F401

    torch.set_num_threads(1)  # a second thread would not survive the fork


def passes(tree: Path, tests: tuple[str, ...], which: str, limit: float | None = None) -> tuple[bool, str]:
    """Whether the tests of a mark pass in a process of their own, and the last thing it said."""
    said = tree.parent / "said"
    child = os.fork()
    if not child:
        _become_pytest(tree, tests, which, said)
    end = time.monotonic() + (limit or 1e9)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
            return os.waitstatus_to_exitcode(status) in (0, NO_TESTS), (
                failed or lines or [f"ended with {status}"]
            )[-1][:200]
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False, f"did not end within {limit:.0f} s"


def _become_pytest(tree: Path, tests: tuple[str, ...], which: str, said: Path) -> None:
    """Run the tests and end."""
    import pytest

    os.setpgrp()  # so that what it starts ends with it
    os.chdir(tree)
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ["PYTHONPATH"] = str(tree)  # for what tests start
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    code = 70
    try:
        early = "ignore::pytest.PytestAssertRewriteWarning"  # the libraries are here already
        options = ["-xq", "-m", which, "-W", early, "-p", "no:cacheprovider", f"--rootdir={tree}"]
        code = int(pytest.main([*options, *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tests_of(module: str) -> tuple[str, ...]:
    """The tests that should notice, and the examples in the module; first of all these would import it twice."""
    return (*TESTS[module], f"l2rclip_lite/{module}")


def run(mutants: list[dict[str, Any]], out: Path) -> list[dict[str, Any]]:
    """Judge the mutants one after the other; each verdict is in the file as soon as it is known."""
    import_libraries()
    found: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        judge = Judge(tree)
        for number, mutant in enumerate(mutants[len(found) :], start=len(found) + 1):
            module = mutant["module"]
            judge.healthy(TESTS[module])
            file = tree / "l2rclip_lite" / module
            original = file.read_text(encoding="utf-8")
            file.write_text(mutant["source"], encoding="utf-8")
            by = judge.killer(module)
            file.write_text(original, encoding="utf-8")
            about = {key: value for key, value in mutant.items() if key != "source"}
            found.append(about | {"killed": bool(by), "by": by})
            verdict = "killed" if by else "SURVIVED"
            print(
                f"[{number}/{len(mutants)}] {module}:{mutant['line']} {mutant['after']}: {verdict}",
                flush=True,
            )
            out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


class Judge:
    """Runs tests in a copy of the tree, and knows how long they take in health.

    Args:
        tree: The copy.
    """

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.seconds: dict[tuple[tuple[str, ...], str], float] = {}

    def healthy(self, tests: tuple[str, ...]) -> None:
        """Take the time of the tests without any mutant; they have to pass."""
        for which in MARKS:
            if (tests, which) not in self.seconds:
                start = time.monotonic()
                good, why = passes(self.tree, tests, which)
                if not good:
                    raise SystemExit(f"{' '.join(tests)}: fails without any mutant: {why}")
                self.seconds[tests, which] = time.monotonic() - start

    def killer(self, module: str) -> str:
        """What notices the mutant of a module that lies in the tree; empty when nothing does."""
        for which in MARKS:
            limit = PATIENCE * self.seconds[TESTS[module], which] + 10
            good, why = passes(self.tree, tests_of(module), which, limit)
            if not good:
                return why
        return ""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mutants", type=Path, help="what torture/mutants.py printed")
    parser.add_argument("--out", type=Path, required=True, help="verdicts; those that are there are kept")
    options = parser.parse_args()
    found = run(json.loads(options.mutants.read_text(encoding="utf-8")), options.out)
    killed = sum(one["killed"] for one in found)
    print(f"{killed} of {len(found)} mutants killed, {killed / len(found):.1%}")


if __name__ == "__main__":
    main()
