"""The round that coverage steers: libFuzzer, by way of atheris, looks for bytes that take a branch nobody took before.

A target is a process of its own: libFuzzer leaves by `os._exit`. Where atheris is not installed, the round says so and is
not run; the fuzzer of `fuzz` needs it not.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from campaign import Scale, Tried

FAULT = "bytes that libFuzzer bred for new branches, from valid files: lists, labels, the JSON and CSV files of a run"
SEEDS: dict[str, tuple[bytes, ...]] = {
    "list": (
        b"a.jpg 1930s\nb.jpg 1940s\n",
        b'filename,age,"x"\n./d/a.jpg,7,"1,2"\r\n',
        b"\xef\xbb\xbfC:\\a\\b.png\t61.5\n",
    ),
    "table": (
        b'path,label,split\na.png,"x, y",train\n\nb.png,1,test\n',
        b"\xef\xbb\xbfpath,label\r\na.png,0\r\n",
    ),
    "clap2015": (
        b"filename,age,stdv,database\na.jpg,3,0.5,train\nb.jpg,3,0,val\nc.jpg,85,1e-3,test\nd.jpg,3,1,train\n",
    ),
    "metrics": (
        b'{"test": {"n": 1, "accuracy": 1, "mae": 0, "qwk": NaN, "rps": 0, "ece": 0}, "baselines": {}, "val": '
        b'{"n": 1, "accuracy": 1, "mae": 0, "qwk": 1, "rps": 0, "ece": 0}}',
    ),
    "history": (b"stage,epoch,loss\n1,1,0.5\n2,1,nan\n",),
    "calibration": (
        b'{"temperature": 2.0, "split": "val", "pictures": 3, "low": 1, "high": 3, "nll_before": 1, "nll_after": 1, '
        b'"model": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}',
    ),
}


def guided(scale: Scale, promise: str) -> Iterator[Tried]:
    """Every target for so many inputs."""
    if importlib.util.find_spec("atheris") is None:
        detail = {"not_run": "atheris is not installed; hypothesis alone drew the cases"}
        yield Tried("fuzz-guided", FAULT, promise, 0, (), detail)
        return
    cases, lost, detail = 0, [], {}
    for name in scale.pick(short=("list",), long=tuple(SEEDS)):
        folder = scale.folder / f"guided-{name}"
        (folder / "corpus").mkdir(parents=True)
        for number, seed in enumerate(SEEDS[name]):
            (folder / "corpus" / str(number)).write_bytes(seed)
        runs = scale.pick(short=1_000, long=5_000)
        words = [
            f"-runs={runs}",
            f"-seed={scale.seed + 1}",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-max_len=2000",
        ]
        words += [f"-artifact_prefix={folder}/", str(folder / "corpus")]
        command = [sys.executable, __file__, name, str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=3_600)
        tried, accepted = (int(number) for number in (folder / "count").read_text().split())
        found = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
        cases += tried
        detail[name] = {"cases": tried, "share_accepted": round(accepted / max(1, tried), 3)}
        detail[name] |= {"branches": int(found[-1][0]), "kept_inputs": int(found[-1][2])} if found else {}
        if done.returncode:
            crash = next(
                (file for file in folder.iterdir() if re.match("crash|timeout|oom", file.name)), None
            )
            hexed = crash.read_bytes().hex()[:2_000] if crash else "unknown"
            reason = [
                line for line in done.stderr.splitlines() if re.match(r"\w*(Error|Exception|Hang)\b", line)
            ]
            lost.append(f"{name}: {' '.join(reason[-1:])[:300]} on bytes.fromhex('{hexed}')")
    yield Tried("fuzz-guided", FAULT, promise, cases, tuple(lost), detail)


def _readers(folder: Path) -> dict[str, Callable[[bytes], Any]]:
    """What reads each target's bytes."""
    from l2rclip_lite.calibration_file import read_calibration
    from l2rclip_lite.data.clap2015 import load_clap2015
    from l2rclip_lite.data.files import Folder, read_table
    from l2rclip_lite.data.lists import read_list
    from l2rclip_lite.rundir import read_history, read_metrics

    places = {"metrics": "metrics.json", "history": "history.csv", "calibration": "calibration.json"}
    places["clap2015"] = "clap2015/total_2015.csv"

    def table(file: Path) -> None:
        inside = Folder(folder)
        for row, where in read_table(file, ("path", "label")):
            inside.file(row["path"], where)

    (folder / "clap2015").mkdir()
    (folder / "model.safetensors").touch()
    readers: dict[str, Callable[[Path], Any]] = {
        "list": read_list,
        "table": table,
        "clap2015": lambda file: load_clap2015(lists=folder),
        "metrics": lambda file: read_metrics(folder),
        "history": lambda file: read_history(folder),
        "calibration": lambda file: read_calibration(folder / "model.safetensors"),
    }

    def of(name: str) -> Callable[[bytes], Any]:
        file = folder / places.get(name, "input")

        def read(content: bytes) -> None:
            file.write_bytes(content)
            readers[name](file)

        return read

    return {name: of(name) for name in readers}


def _fuzz(name: str, folder: Path, words: list[str]) -> None:
    """Inside the process: count, and let everything but our own errors through to libFuzzer."""
    import atheris

    with atheris.instrument_imports(include=["l2rclip_lite"]):
        from l2rclip_lite.errors import InputError

        read = _readers(Path(tempfile.mkdtemp(dir=folder)))[name]
    count = os.open(folder / "count", os.O_WRONLY | os.O_CREAT)
    tried = accepted = 0

    def one(content: bytes) -> None:
        nonlocal tried, accepted
        tried += 1
        try:
            read(content)
            accepted += 1
        except InputError:
            pass
        os.pwrite(count, f"{tried:<10} {accepted:<10}".encode(), 0)

    atheris.Setup([sys.argv[0], *words], one)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
