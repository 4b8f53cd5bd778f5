"""A folder that holds one run: one writer, one config, and a record of its data."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_json, write_json

LOCK = ".l2r-lock"
WHERE = ("device", "threads", "workers")  # where a run computes: may differ when it is resumed


class RunDirectory:
    """A folder that holds one run.

    Args:
        folder: New, empty, or a run directory.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config, self.metrics = self.folder / "config.json", self.folder / "metrics.json"
        self.history, self.predictions = (
            self.folder / "history.csv",
            self.folder / "predictions.csv",
        )
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
                mine = {"data or template": about["fingerprint"]} | flat_settings(config.used())
                theirs = {"data or template": stored["dataset"]["fingerprint"]}
                # `used` holds what the presets of that time were
                used = stored["config"] | stored.get("used", {})
                theirs |= flat_settings(Config.from_dict(used).used())
            except (KeyError, TypeError, AttributeError, ValidationError) as error:
                problem = f"not written by this release ({error!r})"
                raise InputError(f"{self.config}: {problem}; choose another --out.") from error
            changed = sorted(
                key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)
            )
            if changed:
                what = f"{self.folder}: holds a run with another {', '.join(changed)}"
                raise InputError(f"{what}; choose a new --out, or repeat its settings.")
            return
        if any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise InputError(f"{self.folder}: is not a run directory; choose a new or empty --out.")
        about |= {"ranks": data.ranks.to_dict()}
        about |= {"counts": {split: data.counts(split) for split in ("train", "val", "test")}}
        about |= {
            "card": data.card.to_dict(),
            "protocol": list(data.protocol),
            "missing": list(data.missing),
        }
        versions = {
            name: version(name) for name in ("torch", "timm", "open_clip_torch", "transformers")
        }
        record = {"config": config.to_dict(), "used": config.used(), "dataset": about}
        write_json(self.config, record | {"versions": versions})

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
