"""The files of a run directory: what is in each, and who may write into it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import Tensor

from l2rclip_lite.calibration_file import CALIBRATION_FILE
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import write_json, write_text
from l2rclip_lite.model import MODEL_FILE, Prediction
from l2rclip_lite.ranks import Ranks

FILES = ("config.json", "history.csv", "metrics.json", "predictions.csv")
PACKAGES = ("l2rclip-lite", "torch", "timm", "open_clip_torch", "transformers", "numpy")


def check_run(folder: Path, data: OrdinalDataset, config: Config) -> None:
    """Refuse a directory that holds another run, or something else.

    Args:
        folder: New, empty, or holding a run of the same config on the same data.
        data: The data set; its file names, labels and ranks are fingerprinted.
        config: The settings.

    Raises:
        InputError: The folder holds another run or something else.
    """
    if claimed(folder):
        stored = read_config(folder)
        changed = Config.from_dict(stored["config"]).differences(config)
        if stored["dataset"]["fingerprint"] != fingerprint(data):
            changed.append("data set")
        if changed:
            raise InputError(
                f"{folder}: holds a run with another {', '.join(changed)}; choose a new --out, or repeat its settings."
            )
    elif folder.exists() and (not folder.is_dir() or any(p.name[:1] != "." for p in folder.iterdir())):
        raise InputError(f"{folder}: exists and is not a run directory; choose a new or empty --out.")


def claimed(folder: Path) -> bool:
    """Whether a directory says which run it holds."""
    return (folder / "config.json").is_file()


def open_run(folder: Path, data: OrdinalDataset, config: Config, source: dict[str, Any] | None) -> None:
    """Claim a run directory by writing its `config.json`, unless that stands already.

    Args:
        folder: As `check_run` accepts it.
        data: The data set.
        config: The settings.
        source: Arguments of `load_dataset`.
    """
    if claimed(folder):
        return
    counts = {split: data.counts(split) for split in SPLITS}
    dataset: dict[str, Any] = {
        "name": data.name,
        "source": source,
        "fingerprint": fingerprint(data),
        "counts": counts,
    }
    dataset |= {"ranks": data.ranks.to_dict(), "card": data.card.to_dict()}
    dataset |= {"protocol": list(data.protocol), "missing": list(data.missing)}
    write_json(
        folder / "config.json",
        {"config": config.to_dict(), "dataset": dataset, "seed": config.seed, "versions": versions()},
    )


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a run.

    Raises:
        InputError: None there, or one that cannot be read.
    """
    file = folder / "config.json"
    try:
        state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        state["config"], state["dataset"]["fingerprint"]
        return state
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); give the --out of an `l2rclip fit`."
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not written by `l2rclip fit`; choose another --out.") from error


def read_data(folder: Path, **moved: str | None) -> OrdinalDataset:
    """The data set of a run, read again and compared with what it was.

    Args:
        folder: A run directory that `l2rclip fit` made, or `fit` with its `source`.
        moved: Where "root" and "lists" are now, if they have moved.

    Raises:
        InputError: A run that does not know its data, or data that is not there or has changed.
    """
    stored = read_config(folder)["dataset"]
    if not stored.get("source"):
        raise InputError(f"{folder}: does not say where its data came from; fit it with `l2rclip fit`.")
    try:
        data = load_dataset(**(stored["source"] | {key: place for key, place in moved.items() if place}))
    except InputError as error:
        hint = "its data cannot be read again; if it has moved, pass --root, and --lists where it has split lists"
        raise InputError(f"{folder}: {hint} ({error})") from error
    if fingerprint(data) != stored["fingerprint"]:
        raise InputError(
            f"{folder}: the data now has other files, labels, splits or ranks than the run was fitted on; "
            "pass the --root of that data, or fit a new run."
        )
    return data


def fingerprint(data: OrdinalDataset) -> str:
    """SHA-256 over every file name and label of the three splits, and the ranks."""
    rows = [f"{split}\t{p}\t{t}" for split in SPLITS for p, t in _pairs(data.split(split))]
    return hashlib.sha256("\n".join([json.dumps(data.ranks.to_dict()), *rows]).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Python's and the main packages' versions."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_history(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """`history.csv`: a row an epoch."""
    write_text(folder / "history.csv", _csv(list(history[0]) if history else ["stage", "epoch"], history))


def read_history(folder: Path) -> list[dict[str, float]]:
    """The rows of `history.csv`."""
    file = folder / "history.csv"
    with file.open(encoding="utf-8", newline="") as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    return [row | {"stage": int(row["stage"]), "epoch": int(row["epoch"])} for row in rows]


def write_predictions(folder: Path, split: Split, probabilities: Tensor, ranks: Ranks) -> None:
    """`predictions.csv`: path, target, predicted, expected, p_0 … p_K-1."""
    found = Prediction.of(probabilities, ranks)
    rows = []
    for index, (path, target) in enumerate(_pairs(split)):
        row: dict[str, Any] = {"path": path, "target": target, "predicted": int(found.rank[index])}
        row["expected"] = f"{float(found.expected[index]):.6f}"
        row |= {f"p_{k}": f"{p:.6f}" for k, p in enumerate(probabilities[index].tolist())}
        rows.append(row)
    write_text(folder / "predictions.csv", _csv(list(rows[0]), rows))


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """`metrics.json`, written last: where it stands, the run is complete."""
    write_json(folder / "metrics.json", metrics)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writes that were killed; `files.write_atomically` names them `.NAME.xxxx`."""
    for name in (*FILES, MODEL_FILE, CALIBRATION_FILE):
        for leftover in folder.glob(f".{name}.*"):
            leftover.unlink()


def unclean(folder: Path) -> bool:
    """Whether hidden files stand in a run directory: of a write, a lock or a picture store whose process was killed."""
    return any(path.name.startswith(".") for path in folder.iterdir())


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """`metrics.json`, or None while the run is unfinished."""
    file = folder / "metrics.json"
    if not file.is_file():
        return None
    try:
        state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        _ = state["test"], state["baselines"]  # a file of another kind fails here
        return state
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{file}: damaged ({error}); delete it and give the same command again.") from error


def _pairs(split: Split) -> list[tuple[str, int]]:
    return list(zip(split.paths, split.targets, strict=True))


def _csv(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
