"""The files of a run directory: what is in each, and who may write into it."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import Tensor

from l2rclip_lite.calibration_file import CALIBRATION_FILE
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import is_there, read_json, write_json, write_text
from l2rclip_lite.model import MODEL_FILE, Prediction
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.typed import fits, shown

FILES = ("config.json", "history.csv", "metrics.json", "predictions.csv")
STATE: dict[str, Any] = {
    "config": dict[str, Any],
    "dataset": dict[str, Any],
    "versions": dict[str, str],
}  # of config.json
DATASET: dict[str, Any] = {
    "fingerprint": str,
    "source": dict[str, Any] | None,
    "counts": dict[str, list[int]],
    "ranks": dict[str, Any],
}
DATASET |= {"card": dict[str, str], "protocol": list[str], "missing": list[str]}
SCORES = ("n", "accuracy", "mae", "qwk", "rps", "ece")  # what every table shows
LOST_HISTORY = "put back a copy of it, or fit the run again with a new --out"
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
    elif os.path.lexists(folder) and (
        not os.path.isdir(folder) or any(p.name[:1] != "." for p in folder.iterdir())
    ):
        raise InputError(f"{folder}: exists and is not a run directory; choose a new or empty --out.")


def claimed(folder: Path) -> bool:
    """Whether a directory says which run it holds."""
    return os.path.isfile(folder / "config.json")


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
        state: dict[str, Any] = read_json(file)
        _check_kinds(state, STATE)
        _check_kinds(state["dataset"], DATASET)
        Config.from_dict(state["config"])
        Card(**state["dataset"]["card"])
        ranks = Ranks.from_dict(state["dataset"]["ranks"])
        if any(len(state["dataset"]["counts"][split]) != len(ranks) for split in SPLITS):
            raise ValueError("its counts do not go with its ranks")
        return state
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); give the --out of an `l2rclip fit`."
        ) from error
    except (ValueError, KeyError, TypeError) as error:  # InputError and JSONDecodeError are ValueErrors
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{file}: not written by `l2rclip fit` ({reason}); choose another --out.") from error


def _check_kinds(state: Any, kinds: Mapping[str, Any]) -> None:
    """Refuse a part of `config.json` that lacks something or holds it in another type."""
    for name, hint in kinds.items():
        if not fits(state[name], hint):
            raise TypeError(f"{name} is {shown(state[name])}")


def read_data(folder: Path, **moved: str | None) -> OrdinalDataset:
    """The data set of a run, read again and compared with what it was.

    Args:
        folder: A run directory that `l2rclip fit` made, or `fit` with its `source`.
        moved: Where "root" and "lists" are now, if they have moved.

    Raises:
        InputError: A run that does not know its data, or data that is not there or has changed.
    """
    stored = read_config(folder)["dataset"]
    if not stored["source"]:
        raise InputError(f"{folder}: does not say where its data came from; fit it with `l2rclip fit`.")
    try:
        source = {"name": ""} | stored["source"]
        data = load_dataset(**(source | {key: place for key, place in moved.items() if place}))
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
    """The rows of `history.csv`.

    Raises:
        InputError: None there, or one that is damaged.
    """
    file = folder / "history.csv"
    try:
        table = [(row, f"{file.name} row {number}") for number, row in enumerate(_rows(file), start=2)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: cannot be read ({reason}); {LOST_HISTORY}.") from error
    history = []
    for row, where in table:
        try:
            figures = {name: float(value) for name, value in row.items()}
            history.append(figures | {name: int(figures[name]) for name in ("stage", "epoch")})
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not the row of an epoch; {LOST_HISTORY} ({file}).") from error
    return history


def _rows(file: Path) -> list[dict[str, str]]:
    """A CSV file's rows below its header."""
    if not is_there(file):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        if not {"stage", "epoch"} <= set(reader.fieldnames or ()):
            raise ValueError("its header has no columns stage and epoch")
        return list(reader)


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
    """Remove the temporary folders of writes that were killed; `files.write_atomically` names them `.NAME.xxxx`."""
    for name in (*FILES, MODEL_FILE, CALIBRATION_FILE):
        for leftover in folder.glob(f".{name}.*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


def unclean(folder: Path) -> bool:
    """Whether hidden files stand in a run directory: of a write, a lock or a picture store whose process was killed."""
    return any(path.name.startswith(".") for path in folder.iterdir())


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """`metrics.json`, or None while the run is unfinished."""
    file = folder / "metrics.json"
    if not is_there(file):
        return None
    try:
        state: dict[str, Any] = read_json(file)
        for name, row in {"test": state["test"], "val": state["val"], **state["baselines"]}.items():
            _check_scores(name, row)
        if "test_after_stage1" in state:  # joint training has no stage 1
            _check_scores("test_after_stage1", state["test_after_stage1"])
        return state
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: damaged ({error}); delete it and give the same command again.") from error


def _check_scores(name: str, row: Any) -> None:
    """Refuse scores that are missing or are no numbers; a correlation of constant answers is NaN."""
    for score in SCORES:
        value = row[score]
        numbers = [value] + [row[f"{score}_{end}"] for end in ("low", "high") if f"{score}_low" in row]
        if not all(isinstance(each, float | int) and not isinstance(each, bool) for each in numbers):
            raise ValueError(f"{score} of {name} is {shown(value)}")


def _pairs(split: Split) -> list[tuple[str, int]]:
    return list(zip(split.paths, split.targets, strict=True))


def _csv(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
