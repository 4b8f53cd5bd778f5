"""What lies in a run directory: nothing half under its real name, and in the end the bytes of an undisturbed run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from l2rclip_lite.checkpoint import read_tensors
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.rundir import read_metrics

FILES = ("config.json", "history.csv", "metrics.json", "model.safetensors", "predictions.csv")


def damaged(folder: Path) -> list[str]:
    """Files under their real names that cannot be read in full."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "/." not in f"/{file.relative_to(folder)}":
            try:
                _parse(file)
            except Exception as error:  # whatever a parser raises
                found.append(f"{file.relative_to(folder)} is damaged ({error!r})")
    return found


def _parse(file: Path) -> None:
    if file.suffix == ".safetensors":
        read_tensors(file)
    elif file.suffix == ".json":
        json.loads(file.read_text(encoding="utf-8"))
    elif file.suffix == ".csv":
        text = file.read_text(encoding="utf-8")
        widths = {len(row) for row in csv.reader(text.splitlines())}
        assert len(widths) == 1, f"rows of {widths} cells"
        assert text.endswith("\n"), "the last line is cut off"
    elif file.suffix == ".onnx":
        import onnx

        onnx.checker.check_model(onnx.load(file))
    elif file.suffix == ".bin":
        assert file.stat().st_size % (3 * 64 * 64) == 0, "the last picture is cut off"
    else:
        raise AssertionError("a file of no known kind")


def misread(folder: Path, whole: Path) -> list[str]:
    """What a reader is told of an unfinished run that is neither nothing nor right."""
    found = []
    try:
        if (metrics := read_metrics(folder)) is not None and metrics != read_metrics(whole):
            found.append("read_metrics gives other numbers")
        L2RCLIP.load(folder)
        if problem := other_tensors(folder / "model.safetensors", whole / "model.safetensors"):
            found.append(problem)
    except InputError as error:
        if (folder / "model.safetensors").exists():
            found.append(f"the model is refused ({error})")
    return found


def other_tensors(one: Path, two: Path) -> str:
    """Whether two safetensors files hold other tensors or metadata, in words."""
    (first, about), (second, told) = read_tensors(one), read_tensors(two)
    if first.keys() != second.keys() or about != told:
        return f"{one.name}: other names or metadata"
    changed = [name for name, value in first.items() if not value.equal(second[name])]
    return f"{one.name}: {len(changed)} tensors differ, the first {changed[0]}" if changed else ""


def differing(folder: Path, whole: Path) -> list[str]:
    """In what a finished run differs from one that nobody disturbed, files that should have gone included."""
    found = [problem for problem in (other_tensors(folder / FILES[3], whole / FILES[3]),) if problem]
    for name in FILES:
        if not name.endswith(".safetensors") and (folder / name).read_bytes() != (whole / name).read_bytes():
            found.append(f"{name}: other bytes")
    left = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
    return found + ([f"left behind: {', '.join(left)}"] if left else [])
