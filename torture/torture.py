"""Do to the package what machines, data and strangers may do to it, and count what it does not withstand.

    python torture/torture.py                      every campaign in full -> book/results/reliability.json
    python torture/torture.py --only crash,images  two of them, the others in the file stay
    python torture/torture.py --short --jobs 2     a few cases each, 5 minutes -> runs/torture-short.json

Exit code 1 when a case was lost. Each case that was lost is printed so that it can be repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from campaign import Campaign, Scale, Tried

from l2rclip_lite.files import write_json
from l2rclip_lite.rundir import versions

ROOT = Path(__file__).resolve().parent.parent
# Modules here, each with a `run`; those that take longest first.
CAMPAIGNS = ("fuzz", "crash", "storage", "soak", "numerics", "images", "strangers", "ailments")


def said(tried: Tried, seconds: float) -> str:
    """A class of fault for the terminal."""
    verdict = f"{len(tried.lost)} LOST" if tried.lost else "none lost"
    lines = [f"{tried.name:<22} {tried.cases:>7,} cases, {verdict} ({seconds:.0f} s)"]
    return "\n    ".join([*lines, *tried.lost])


def run(names: list[str], scale: Scale, out: Path) -> bool:
    """Run campaigns one after the other; each class of fault is in the file as soon as it is known.

    Returns:
        Whether no case was lost.
    """
    stored: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    good = True
    for name in names:
        campaign: Campaign = import_module(name).run
        stored = {key: row for key, row in stored.items() if row["campaign"] != name}
        folder = scale.folder / name
        folder.mkdir()
        start = time.perf_counter()
        for tried in campaign(Scale(scale.long, scale.seed, folder, scale.data)):
            seconds, start = time.perf_counter() - start, time.perf_counter()
            print(said(tried, seconds), flush=True)
            good &= not tried.lost
            about = {"campaign": name, "scale": "long" if scale.long else "short", "seed": scale.seed}
            about |= {"took_seconds": round(seconds), "versions": versions()}
            stored[tried.name] = about | asdict(tried)
            write_json(out, stored)
    return good


def run_apart(names: list[str], scale: Scale, out: Path, jobs: int) -> bool:
    """Run campaigns in processes of their own, so many at a time; what each says is printed when it ends.

    Returns:
        Whether no case was lost.
    """
    words = ["--seed", str(scale.seed), *([] if scale.long else ["--short"])]
    words += ["--data", str(scale.data)] if scale.data else []

    def one(name: str) -> tuple[str, Path, subprocess.CompletedProcess[str]]:
        part = scale.folder / f"{name}.json"
        command = [sys.executable, __file__, *words, "--only", name, "--out", str(part)]
        return name, part, subprocess.run(command, stdout=subprocess.PIPE, text=True)

    stored: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    good = True
    with ThreadPoolExecutor(jobs) as pool:
        for name, part, done in pool.map(one, names):
            print("\n".join(done.stdout.splitlines()[:-1]), flush=True)  # the last line sums up
            good &= done.returncode == 0
            stored = {key: row for key, row in stored.items() if row["campaign"] != name}
            stored |= json.loads(part.read_text(encoding="utf-8")) if part.is_file() else {}
            write_json(out, stored)
    return good


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few cases of each class")
    parser.add_argument(
        "--only", default=",".join(CAMPAIGNS), metavar="NAMES", help=f"of {', '.join(CAMPAIGNS)}"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed tries other cases")
    parser.add_argument("--data", type=Path, help="folder of the real data sets")
    parser.add_argument("--out", type=Path, help="results file")
    parser.add_argument("--jobs", type=int, default=1, help="campaigns at a time, each in its own process")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",")]
    if unknown := [name for name in names if name not in CAMPAIGNS]:
        parser.error(f"there is no campaign {unknown[0]!r}; there are {', '.join(CAMPAIGNS)}")
    standard = (
        ROOT / "runs" / "torture-short.json"
        if options.short
        else ROOT / "book" / "results" / "reliability.json"
    )
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        scale = Scale(not options.short, options.seed, Path(folder), options.data)
        out = options.out or standard
        good = run(names, scale, out) if options.jobs == 1 else run_apart(names, scale, out, options.jobs)
    print("Nothing was lost." if good else "Cases were LOST, see above.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
