"""Hostile input: everything that parses what a user gives, with valid input, damaged input, and input of another kind.

A process of its own tries the cases, so that one which ends it, hangs it or takes all memory is a lost case and not the end
of the campaign. Where `coverage` and `atheris` are installed, they count what was reached and steer a second round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from campaign import Scale, Tried

STUCK = 90.0  # seconds without a new case after which the process is ended
PROMISE = (
    "It is read as it is meant, or refused with an InputError (on the command line: exit code 2 and one line on stderr); "
    "no other exception, no case over 1 s of processor time or over 1 GiB, nothing written outside its folder."
)


class Family(NamedTuple):
    """Targets of one kind.

    Args:
        name: For the results file.
        fault: What is done to them.
        cases: How many cases, short and long.
        modules: What they parse with; its coverage is reported.
    """

    name: str
    fault: str
    cases: tuple[int, int]
    modules: tuple[str, ...]


FAMILIES = (
    Family(
        "fuzz-data",
        "split lists, labels files, archives and picture folders: bits, bytes, cells and rows changed, cut, repeated, "
        "in another encoding; links, pipes and folders in the place of files",
        (800, 32_000),
        (
            *("lists", "listed", "csv", "files", "find", "bracol", "retinamnist"),
            *("adience", "clap2015", "hci", "morph"),
        ),
    ),
    Family(
        "fuzz-settings",
        "settings, label spaces, protocols, sweeps and numbers of another type or size, missing, misspelt, not finite",
        (1_200, 40_000),
        ("config", "ranks", "protocol_numbers", "protocols", "typed"),
    ),
    Family(
        "fuzz-run-directory",
        "config.json, metrics.json, calibration.json, history.csv, checkpoints and cached features: wrong types at any "
        "depth, nested 100,000 deep, other encodings, flipped bits; a folder, a pipe, a device, a link in their place",
        (350, 18_000),
        ("rundir", "calibration_file", "checkpoint", "feature_cache", "model_card", "files"),
    ),
    Family(
        "fuzz-model-file",
        "model.safetensors: damaged header and metadata",
        (40, 2_000),
        ("model",),
    ),
    Family(
        "fuzz-command-line",
        "hostile words after every command that needs no training",
        (80, 1_000),
        ("cli", "options", "data_command", "export_command"),
    ),
)


def run(scale: Scale) -> Iterator[Tried]:
    """One class of fault for each family, then one for the round that coverage steers."""
    left = [family.name for family in FAMILIES]
    while left:
        for tried in _worker(left, scale):
            left.remove(tried.name)
            yield tried
    from fuzz_guided import guided

    yield from guided(scale, PROMISE)


def _worker(names: list[str], scale: Scale) -> Iterator[Tried]:
    """The results of families as a process of its own reports them; of one that ends it, that it did."""
    results, current = scale.folder / "results.jsonl", scale.folder / "current"
    results.write_text("")
    current.write_bytes(b"")
    words = [
        sys.executable,
        __file__,
        ",".join(names),
        str(int(scale.long)),
        str(scale.seed),
        str(scale.folder),
    ]
    read, last, since = 0, b"", time.monotonic()
    here = (
        scale.folder / "here" / "here"
    )  # so that "../.." is not somebody's disk, which takes long to search
    here.mkdir(parents=True, exist_ok=True)
    with (
        (scale.folder / "stderr").open("wb") as said,
        subprocess.Popen(words, stderr=said, cwd=here) as process,
    ):
        try:
            while True:
                ended = process.poll() is not None
                for line in results.read_text(encoding="utf-8").splitlines()[read:]:
                    read += 1
                    yield Tried(**json.loads(line) | {"lost": tuple(json.loads(line)["lost"])})
                if ended:
                    break
                if (now := current.read_bytes()) != last:
                    last, since = now, time.monotonic()
                if time.monotonic() - since > STUCK:
                    break
                time.sleep(0.2)
        finally:
            process.kill()
    if read < len(names):
        words_ = (scale.folder / "stderr").read_text(encoding="utf-8", errors="replace").splitlines()
        how = (
            f"the process ended ({process.returncode}: {' '.join(words_[-1:])})"
            if ended
            else f"it hung for {STUCK:.0f} s"
        )
        note = last.rstrip(b"\0 ").decode(errors="replace")
        family = next(family for family in FAMILIES if family.name == names[read])
        yield Tried(family.name, family.fault, PROMISE, 1, (f"{how} at {note}",))


def _work(names: list[str], long: bool, seed: int, folder: Path) -> None:
    """Inside the process: try every family, and write each as a line."""
    coverage = _coverage()
    from fuzz_worker import Guard, limit_memory, try_all

    from l2rclip_lite.errors import InputError, TrainingError

    own, built = folder / "case", {}
    guard = Guard(own, (InputError, TrainingError), folder / "current")
    limited = False
    for family in (family for family in FAMILIES if family.name in names):
        targets = _targets(family.name, folder, built)
        if not limited:
            limit_memory()
            limited = True
        shares = sum(target.share for target in targets)
        counts = {}
        for target in targets:
            cases = -(-family.cases[long] * target.share // shares)
            counts[target.name] = try_all(target, cases, seed, guard, own)
        detail: dict[str, Any] = {"targets": {name: count.about() for name, count in counts.items()}}
        detail["coverage"] = _covered(coverage, family.modules, folder)
        lost = tuple(f"{name}: {said}" for name, count in counts.items() for said in count.lost.values())
        tried = {"name": family.name, "fault": family.fault, "promise": PROMISE}
        tried |= {"cases": sum(count.cases for count in counts.values()), "lost": lost, "detail": detail}
        with (folder / "results.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(tried) + "\n")


def _targets(name: str, folder: Path, built: dict[str, Any]) -> list[Any]:
    """What a family tries; a run directory that is to be damaged is made once."""
    import fuzz_data
    import fuzz_runs
    import fuzz_settings
    import fuzz_words

    if name in ("fuzz-run-directory", "fuzz-model-file") and "run" not in built:
        built["run"] = fuzz_runs.make_run(folder / "made")
    match name:
        case "fuzz-data":
            return fuzz_data.targets()
        case "fuzz-settings":
            return fuzz_settings.targets()
        case "fuzz-run-directory":
            return fuzz_runs.targets(built["run"])
        case "fuzz-model-file":
            return fuzz_runs.model_targets(built["run"])
    return fuzz_words.targets()


def _coverage() -> Any:
    """A running measurement of the package's lines and branches; None where `coverage` is not installed."""
    try:
        import coverage
    except ImportError:
        return None
    found = coverage.Coverage(data_file=None, config_file=False, branch=True, include=["*/l2rclip_lite/*"])
    found.start()
    return found


def _covered(coverage: Any, modules: tuple[str, ...], folder: Path) -> Any:
    """Lines and branches of each module reached so far, as "reached/all"."""
    if coverage is None:
        return "not measured: `coverage` is not installed"
    coverage.stop()
    coverage.json_report(outfile=str(folder / "coverage.json"), include=[f"**/{name}.py" for name in modules])
    found = json.loads((folder / "coverage.json").read_text(encoding="utf-8"))["files"]
    coverage.start()
    shown = {}
    for file, about in found.items():
        one = about["summary"]
        lines = f"{one['covered_lines']}/{one['num_statements']} lines"
        name = "/".join(Path(file).parts[Path(file).parts.index("l2rclip_lite") + 1 :])
        shown[name] = f"{lines}, {one['covered_branches']}/{one['num_branches']} branches"
    return shown


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for word in ("names", "long", "seed", "folder"):
        parser.add_argument(word)
    given = parser.parse_args()
    sys.dont_write_bytecode = True
    sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "experiments" / "matrix"))
    _work(given.names.split(","), given.long == "1", int(given.seed), Path(given.folder))
