"""A folder that holds one run: one writer, one config, and a record of its data.

Every file of a run is reached through `RunDirectory`. A run may come from somebody else, so nothing
in it is followed elsewhere: below its folder there are only folders and regular files.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import ValidationError

from l2rclip_lite.config import Config, flat_settings
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.data.fingerprint import (
    UNKNOWN_IMAGES,
    covers_images,
    dataset_record,
    difference,
    fingerprint,
)
from l2rclip_lite.errors import InputError, reason, sentence, unreadable
from l2rclip_lite.files import (
    LOCK,
    kind_of,
    make_folder,
    read_bytes,
    read_json,
    sha256_of,
    sweep_leftovers,
    write_json,
)
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.model_file import MODEL, read_settings
from l2rclip_lite.runs.run_schema import (
    RESTORE,
    RunRecord,
    read_history,
    read_metrics,
    read_predictions,
    read_record,
)
from l2rclip_lite.runs.start import start_digest

BASELINES_FOLDER = "baselines"  # of a run; a run directory for each method
PACKAGES = ("torch", "timm", "open_clip_torch", "transformers")  # whose versions are recorded
TRAIN_AGAIN = "delete the folder and train the baseline again"


class RunDirectory:
    """A folder that holds one run.

    Args:
        folder: New, empty, or a run directory. It may itself be a link.
        inside: The run that it is a part of; from there on no link is followed.

    Example:
        >>> RunDirectory("runs/leaves").baseline("ridge").predictions.as_posix()
        'runs/leaves/baselines/ridge/predictions.csv'
    """

    def __init__(self, folder: str | Path, *, inside: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.root = self.folder if inside is None else Path(inside)

        self.config = self.folder / "config.json"
        self.metrics = self.folder / "metrics.json"
        self.history = self.folder / "history.csv"
        self.predictions = self.folder / "predictions.csv"
        self.model = self.folder / MODEL
        self.card = self.folder / "README.md"
        self.unfinished = self.folder / "checkpoint"  # a folder, there while a run is unfinished
        self.features = self.folder / ".features"  # of images, as long as that

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that a run may hold."""
        return self.unfinished, self.features, self.folder / BASELINES_FOLDER

    def baseline(self, name: str) -> "RunDirectory":
        """Return the directory of a baseline of this run, there or not.

        Raises:
            InputError: A name that is no name of a folder.
        """
        if not name or name.startswith(".") or not {"/", "\\", "\0"}.isdisjoint(name):
            raise InputError(f"{self.folder}: {name!r} is no name of a baseline; correct it.")
        return RunDirectory(self.folder / BASELINES_FOLDER / name, inside=self.root)

    def baseline_names(self) -> list[str]:
        """Return the names in the folder of baselines, sorted; hidden ones are left out.

        Raises:
            InputError: The folder is a link, or no folder.
        """
        folder = self.folder / BASELINES_FOLDER
        if not self.has_folder(folder):
            return []
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))

    def has_folder(self, folder: Path) -> bool:
        """Return whether a folder of the run is there.

        Raises:
            InputError: It, or a folder above it within the run, is a link or no folder.
        """
        return self._lookup(folder, "a folder")

    def has_file(self, file: Path) -> bool:
        """Return whether a file of the run is there.

        Raises:
            InputError: It, or a folder above it within the run, is a link, a pipe or a device.
        """
        return self._lookup(file, "a file")

    def _lookup(self, path: Path, wanted: str) -> bool:
        """Return whether `path` is there and `wanted`, with folders of the run above it."""
        place = self.root
        parts = path.relative_to(self.root).parts
        for index, part in enumerate(parts):
            place = place / part
            is_last = index == len(parts) - 1
            needed = wanted if is_last else "a folder"

            kind = kind_of(place)
            if not kind:
                return False
            if kind != needed:
                fix = f"put {needed} there, or take another run"
                raise InputError(f"{place}: is {kind}, which a run may not hold; {fix}.")
        return True

    def _own(self, file: Path) -> Path:
        """Return a file of the run, after refusing a link or a device in its place."""
        self.has_file(file)
        return file

    def check(self) -> None:
        """Refuse a run in which something that is read, written or deleted is no file or folder.

        Raises:
            InputError: A link, a pipe or a device in the place of a file or folder of the run.
        """
        self.has_folder(self.folder)
        files = (self.config, self.metrics, self.history, self.predictions, self.model, self.card)
        for file in (*files, self.folder / LOCK):
            self.has_file(file)

        for folder in (self.unfinished, self.features):
            if not self.has_folder(folder):
                continue
            for path in folder.iterdir():
                is_leftover = path.name.startswith(".") and kind_of(path) == "a folder"
                if not is_leftover:
                    self.has_file(path)

    def read_record(self) -> RunRecord:
        """Return settings and data of the run, see `run_schema.read_record`."""
        return read_record(self._own(self.config))

    def read_metrics(self) -> dict[str, Any]:
        """Return the scores of the run, see `run_schema.read_metrics`."""
        return read_metrics(self._own(self.metrics))

    def read_history(self) -> list[dict[str, float]]:
        """Return the epochs of the run, see `run_schema.read_history`."""
        history = read_history(self._own(self.history))

        used = self.read_record().used  # empty in a run of an earlier release
        planned = {1: used.get("epochs1"), 2: used.get("epochs2")}
        if used.get("image_side") == "kernel":
            planned[2] = 1
        for stage, epochs in planned.items():
            rows = sum(row["stage"] == stage for row in history)
            if epochs is not None and rows != epochs:
                problem = f"{rows} epochs of stage {stage}, but the run had {epochs}"
                raise InputError(f"{self.history}: {problem}; {RESTORE}.")
        return history

    def read_predictions(self, ranks: Ranks) -> pd.DataFrame:
        """Return the answers on the test images, see `run_schema.read_predictions`."""
        return read_predictions(self._own(self.predictions), ranks)

    def read_card(self) -> str:
        """Return the model card; letters in another encoding than UTF-8 become �.

        Raises:
            InputError: It is not there, or no file.
        """
        card = self._own(self.card)
        try:
            return read_bytes(card).decode("utf-8-sig", errors="replace")
        except PermissionError as error:
            raise unreadable(card, error) from error
        except (OSError, ValueError) as error:
            fix = "write a model card there, an empty one will do"
            raise InputError(f"{self.card}: cannot be read ({reason(error)}); {fix}.") from error

    def check_model(self) -> None:
        """Refuse a model that was put in the place of the one that was trained here.

        Raises:
            InputError: Its ranks, towers or seed, or what it trained, are not those of the record.
        """
        if not self.has_file(self.model) or not self.has_file(self.config):
            return
        record = self.read_record()
        config, ranks = read_settings(self.model)
        recorded = record.config.model_dump()

        names = ["towers", "seed"]
        chooses = recorded.get("keep") == "best"  # and may have kept a head
        if self.folder == self.root and not chooses:  # a baseline may train another side
            names.append("image_side")
        differing = [name for name in names if recorded.get(name) != getattr(config, name)]
        if record.dataset.ranks not in (None, json_ready(ranks)):
            differing.append("ranks")
        sha256 = record.model_sha256
        if not differing and sha256 not in (None, sha256_of(self.model)):
            differing.append("method or training")
        if differing:
            problem = f"is not the model of this run: another {', '.join(differing)}"
            fix = "restore it, or config.json if that was changed, or train in a new folder"
            raise InputError(f"{self.model}: {problem}; {fix}.")

    def record_model(self) -> None:
        """Note in `config.json` which model was trained here, once it is written."""
        record = read_json(self.config)
        write_json(self.config, record | {"model_sha256": sha256_of(self.model)})

    def _check_place(self) -> None:
        """Refuse a run inside another run, which would take it for a part of itself."""
        if self.folder != self.root:  # a baseline is such a part
            return
        for place in self.folder.resolve().parents:
            config = place / self.config.name
            if kind_of(config) != "a file":
                continue
            try:
                read_record(config)
            except InputError:  # of another program
                continue
            raise InputError(f"{self.folder}: is inside the run {place}; choose another --out.")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that writes here, and leave nothing hidden behind.

        Raises:
            InputError: Another process writes here, the folder cannot be written, or it holds a
                link, a pipe or a device in the place of a file of the run.
        """
        self.check()
        self._check_place()
        existed = self.folder.exists()
        lock = FileLock(self.folder / LOCK)
        try:
            make_folder(self.folder)
            lock.acquire(timeout=0)
        except Timeout:
            busy = "another process writes this run; wait for it, or choose another --out"
            raise InputError(f"{self.folder}: {busy}.") from None
        except InputError:
            raise
        except (OSError, ValueError) as error:
            problem = f"cannot be written ({reason(error)})"
            fix = self._fix("choose another --out", "check the permissions of the run")
            raise InputError(f"{self.folder}: {problem}; {fix}.") from error

        try:
            sweep_leftovers(self.folder, young=0)  # nobody else begins to write a file here now
            yield
        finally:
            # while it is held: filelock leaves a file that is gone to nobody who waits for it
            with suppress(OSError):  # Windows removes no open file
                (self.folder / LOCK).unlink()
            lock.release()
            if not existed and self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def claim(self, data: OrdinalDataset, config: Config, source: Mapping[str, Any] | None) -> None:
        """Write in `config.json` which run this folder holds, or check that it holds this one.

        Args:
            data: What the run is trained on, see `fingerprint`.
            config: Its settings.
            source: Arguments of `load_dataset`.

        Raises:
            InputError: The folder holds another run, or something else; the run that training
                begins with is not what it was; or a source that cannot be recorded.
        """
        data_fingerprint = fingerprint(data)
        visible = {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}
        if self.has_file(self.config):
            if visible != {self.config.name}:
                self._check_claim(data_fingerprint, config)
                return
            self.read_record()  # ours, of a run that was refused or stopped before its first epoch
        elif visible:
            fix = self._fix("choose a new or empty --out", TRAIN_AGAIN)
            raise InputError(f"{self.folder}: is not a run directory; {fix}.")

        record = {
            "config": config.to_dict(),
            "used": config.used(),
            "dataset": dataset_record(data, source, data_fingerprint),
            "versions": {name: version(name) for name in PACKAGES},
            "start_sha256": start_digest(config),
        }
        write_json(self.config, record)

    def _check_claim(self, data_fingerprint: str, config: Config) -> None:
        """Refuse to go on with other data or other settings than the folder holds."""
        stored = self.read_record()
        wanted = flat_settings(config.used())
        try:  # `used` has what the presets of its release were
            settings = stored.config.model_dump() | stored.used
            begun = flat_settings(Config.from_dict(settings).used())
        except ValidationError as error:
            problem = f"not written by this release ({sentence(error).removeprefix('config: ')})"
            raise InputError(f"{self.config}: {problem}; choose another --out.") from error
        names = wanted.keys() | begun.keys()
        changed = sorted(name for name in names if wanted.get(name) != begun.get(name))
        if "start" in changed and config.start and start_digest(config) == stored.start_sha256:
            changed.remove("start")  # it has moved

        fix = self._fix("choose a new --out, or repeat its settings", TRAIN_AGAIN)
        changed_data = difference(stored.dataset.fingerprint, data_fingerprint)
        if changed_data == "other images":
            problem = f"{self.folder}: holds a run on other images under the same names"
            cause = "bring them back (and leave out what changes them at random)"
            raise InputError(f"{problem}; {cause}, or {fix}.")
        if changed_data:
            changed = ["data or template", *changed]
        if changed:
            problem = f"{self.folder}: holds a run with another {', '.join(changed)}"
            raise InputError(f"{problem}; {fix}.")
        needs_start = self.unfinished.exists() or Path(config.start or "", MODEL).is_file()
        if config.start and needs_start and stored.start_sha256 != start_digest(config):
            problem = f"{self.folder}: began with what {config.start} was, which has changed since"
            raise InputError(f"{problem}; bring it back, or {fix}.")
        if not covers_images(stored.dataset.fingerprint):
            print(f"{self.folder}: {UNKNOWN_IMAGES}", file=sys.stderr)

    def _fix(self, of_run: str, of_baseline: str) -> str:
        """Return how to mend the folder of a run, or of a baseline, which has no --out."""
        return of_run if self.folder == self.root else of_baseline

    def clean(self) -> None:
        """Remove what only an unfinished run needs; files that are not its own stay."""
        for folder, own in (
            (self.unfinished, "stage*.safetensors"),
            (self.features, "*.safetensors"),
        ):
            if not self.has_folder(folder):
                continue
            sweep_leftovers(folder, young=0)
            for file in folder.glob(own):
                file.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def json_ready(ranks: Ranks) -> dict[str, Any]:
    """Return ranks as JSON gives them back, with lists in the place of tuples."""
    content: dict[str, Any] = json.loads(json.dumps(ranks.to_dict()))
    return content
