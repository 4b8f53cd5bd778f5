"""What a run leaves on disk and says meanwhile: atomic writes, tensors without pickle, checkpoints, signs of life.

A file is either the old one or the new one, never half of it, so a run can be killed at any moment.
"""

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from l2rclip_lite.errors import InputError

Named = Mapping[str, Tensor]
LOCK = ".l2r-lock"
EVERY = 20.0  # seconds between two lines of a log file; work of less time says nothing there
WHERE = ("device", "threads", "workers")  # where a run computes: may differ when it is resumed


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file in a temporary folder beside `file`, flush it to disk, and rename it.

    A folder, because writers such as safetensors make temporary files of their own beside the one they are given.

    Raises:
        InputError: The folder cannot be written, or the disk is full.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # a full disk may not let the folder go
        with TemporaryDirectory(prefix=".l2r-", dir=file.parent, ignore_cleanup_errors=True) as new:
            fresh = Path(new, file.name)
            write(fresh)
            fresh.chmod(0o644)
            with fresh.open("r+b") as stream:  # Windows flushes no file that is open for reading only
                os.fsync(stream.fileno())
            fresh.replace(file)
    except (OSError, SafetensorError) as error:
        problem = f"cannot be written ({getattr(error, 'strerror', None) or error})"
        raise InputError(f"{file}: {problem}; free some space or choose another place.") from error


def write_text(file: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; of a path that is not UTF-8, half surrogates become escapes as in JSON."""
    write_atomically(file, lambda path: path.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_json(file: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: It is missing, is not a regular file, or holds no JSON.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would wait for ever
            raise ValueError("it is not a file")
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: cannot be read ({reason}); give the --out of an `l2rclip fit`.") from error


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; the tensors may live on any device and in any memory layout."""
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(file, lambda path: save_file(flat, path, metadata))


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, and its metadata.

    A tensor lies where the file has it, in general at no multiple of 16 bytes; a matrix product from there differs in
    the last bit from that of the tensor that was saved. So each is copied into memory of its own.

    Raises:
        InputError: No such file, or a damaged one.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is not a file")
        with safe_open(file, "pt") as stored:
            return {name: stored.get_tensor(name).clone() for name in stored.keys()}, stored.metadata() or {}  # noqa: SIM118
    except (OSError, ValueError, MemoryError, SafetensorError) as error:
        problem = f"damaged or not a safetensors file ({getattr(error, 'strerror', None) or error})"
        raise InputError(f"{file}: {problem}; delete it and run again.") from error


class RunDirectory:
    """A folder that holds one run.

    Args:
        folder: New, empty, or a run directory.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config, self.metrics = self.folder / "config.json", self.folder / "metrics.json"
        self.history, self.predictions = self.folder / "history.csv", self.folder / "predictions.csv"
        self.unfinished = self.folder / "checkpoint"  # a folder, there while the run is unfinished

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that writes here, and leave nothing hidden behind.

        Raises:
            InputError: Another process writes here, or the folder cannot be written.
        """
        existed, lock = self.folder.exists(), FileLock(self.folder / LOCK)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            busy = "another process writes this run; wait for it, or choose another --out"
            raise InputError(f"{self.folder}: {busy}.") from None
        except OSError as error:
            problem = f"cannot be written ({error.strerror})"
            raise InputError(f"{self.folder}: {problem}; choose another --out.") from error
        try:
            for leftover in self.folder.glob(".l2r-*"):  # of a write that was killed
                shutil.rmtree(leftover, ignore_errors=True)
            yield
        finally:
            lock.release()
            (self.folder / LOCK).unlink(missing_ok=True)
            if not existed and self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def claim(self, data: Any, config: Any, source: Mapping[str, Any] | None) -> None:
        """Say in `config.json` which run this folder holds, or check that it holds this one.

        Args:
            data: An `OrdinalDataset`; its file names, labels and ranks are fingerprinted.
            config: A `Config`.
            source: Arguments of `load_dataset`.

        Raises:
            InputError: The folder holds another run, or something else.
        """
        about = {"name": data.name, "source": source, "fingerprint": fingerprint(data)}
        if self.config.exists():
            stored = read_json(self.config)
            try:
                mine = {"data or template": about["fingerprint"]} | flat_settings(config.to_dict())
                theirs = {"data or template": stored["dataset"]["fingerprint"]}
                theirs |= flat_settings(stored["config"])
            except (KeyError, TypeError, AttributeError) as error:
                problem = f"not written by this release ({error!r})"
                raise InputError(f"{self.config}: {problem}; choose another --out.") from error
            changed = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
            if changed:
                what = f"{self.folder}: holds a run with another {', '.join(changed)}"
                raise InputError(f"{what}; choose a new --out, or repeat its settings.")
            return
        if any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise InputError(f"{self.folder}: is not a run directory; choose a new or empty --out.")
        about |= {"ranks": data.ranks.to_dict()}
        about |= {"counts": {split: data.counts(split) for split in ("train", "val", "test")}}
        about |= {"card": data.card.to_dict(), "protocol": list(data.protocol), "missing": list(data.missing)}
        versions = {name: version(name) for name in ("torch", "timm", "open_clip_torch", "transformers")}
        write_json(self.config, {"config": config.to_dict(), "dataset": about, "versions": versions})

    def clean(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.unfinished, ignore_errors=True)


def fingerprint(data: Any) -> str:
    """SHA-256 over every file name and label of the three splits of an `OrdinalDataset`, and its ranks."""
    found = hashlib.sha256(json.dumps(data.ranks.to_dict()).encode())
    for split in ("train", "val", "test"):
        part = data.split(split)
        for path, target in zip(part.paths, part.targets, strict=True):
            found.update(f"\n{split}\t{path}\t{target}".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def flat_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide a result, nested ones with a dot.

    Example:
        >>> flat_settings({"seed": 0, "device": "cpu", "controls": {"order": "true"}})
        {'seed': 0, 'controls.order': 'true'}
    """
    nested = {f"controls.{name}": value for name, value in config["controls"].items()}
    return {name: v for name, v in config.items() if name not in (*WHERE, "controls")} | nested


def save_checkpoint(file: Path, parameters: Named, best: Named, optimizer: Optimizer, about: Any) -> None:
    """Keep parameters, the best ones so far, Adam's moments and a JSON-ready record, all in one atomic write."""
    tensors = {f"now/{name}": value for name, value in parameters.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, parameter in parameters.items():
        tensors |= {f"adam.{key}/{name}": value for key, value in optimizer.state[parameter].items()}
    save_tensors(file, tensors, {"about": json.dumps(about)})


@torch.no_grad()
def load_checkpoint(file: Path, parameters: Named, best: Named, optimizer: Optimizer) -> Any:
    """Put a stored epoch back into parameters, `best` and optimizer; returns the record, None where there is no file.

    Raises:
        InputError: The file is damaged or belongs to another model.
    """
    if not file.exists():
        return None
    tensors, metadata = read_tensors(file)
    try:
        if not all(value.isfinite().all() and value.dtype == torch.float32 for value in tensors.values()):
            raise ValueError("it holds numbers that are not finite, or of another type")
        for name, parameter in parameters.items():
            for kind, target in (("now", parameter), ("best", best[name])):
                if tensors[f"{kind}/{name}"].shape != target.shape:
                    raise ValueError(f"{name} has another shape")
                target.copy_(tensors[f"{kind}/{name}"])
            state = optimizer.state[parameter]
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.empty_like(parameter).copy_(tensors[f"adam.{key}/{name}"])
            state["step"] = tensors[f"adam.step/{name}"].to(parameter.device)  # where a fused Adam wants it
        history, score, steps = json.loads(metadata["about"])
        return list(history), (float(score[0]), float(score[1])), int(steps)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        problem = f"damaged or of another model ({error})"
        raise InputError(f"{file}: {problem}; delete it to start this stage anew.") from error


class Progress(tqdm):  # type: ignore[type-arg]
    """A tqdm bar on stderr with the time left; where that is no terminal, a whole line from time to time.

    Args:
        given: What tqdm takes.
        options: What tqdm takes by name.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        self.terminal = sys.stderr.isatty()
        options["file"] = sys.stderr
        if not self.terminal:
            options |= {"mininterval": EVERY, "delay": EVERY, "miniters": 1, "leave": False}
        super().__init__(*given, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """What tqdm calls to show its state."""
        if self.terminal:
            super().display(msg, pos)
        elif msg is None:
            print(self, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """A line that stays, above the bar where there is one."""
        if not self.disable:
            self.write(line, file=sys.stderr) if self.terminal else print(line, file=sys.stderr, flush=True)
