"""A folder that holds one run: one writer, one config, a record of its data, scores and answers.

Every file of a run is reached through `RunDirectory`. A run may come from somebody else, have been
cut off or edited: what is read must be as `fit` wrote it, and nothing is followed out of it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from l2rclip_lite.config import Config
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.errors import InputError, in_one_sentence
from l2rclip_lite.files import (
    CANNOT_READ,
    PREFIX,
    read_json,
    sha256_of,
    sweep_leftovers,
    write_json,
)
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model_file import MODEL, UNUSABLE, find_model_file

PACKAGES = ("torch", "timm", "open_clip_torch", "transformers")  # whose versions are recorded
# settings of the machine, which decide no result; and a start may have moved
MAY_CHANGE = {"device", "threads", "workers", "micro_batch_size", "start"}
OTHER_DATA = "other images, files, labels, splits or ranks"
ANOTHER_PLACE = "choose a new --out, or delete the folder"
INDICES = ("true_rank", "predicted_rank", "median_rank", "low_rank", "high_rank")


class DatasetRecord(BaseModel):
    """What a run was trained on."""

    fingerprint: str = Field(min_length=1)
    ranks: Ranks
    source: dict[str, Any] | None = None  # arguments of `load_dataset`


class RunRecord(BaseModel):
    """`config.json`: settings and data of a run."""

    used: dict[str, Any] = {}  # the settings with what preset and image side made of None
    dataset: DatasetRecord
    start_sha256: str | None = None  # of the model that training began with
    weights_sha256: str | None = None  # of the local file of weights


class RunDirectory:
    """A folder that holds one run.

    Args:
        folder: New, empty, or a run directory. It may itself be a link.
        inside: The run that it is a part of.

    Raises:
        InputError: Something in it that is read, written or deleted is a link out of the run.

    Example:
        >>> RunDirectory("runs/leaves").baseline("ridge").predictions.as_posix()
        'runs/leaves/baselines/ridge/predictions.csv'
    """

    def __init__(self, folder: str | Path, *, inside: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.root = self.folder if inside is None else Path(inside)

        self.config = self.own("config.json")
        self.metrics = self.own("metrics.json")
        self.history = self.own("history.csv")
        self.predictions = self.own("predictions.csv")
        self.model = self.own(MODEL)
        self.card = self.own("README.md")
        self.unfinished = self.own("checkpoint")  # a folder, there while a run is unfinished
        self.features = self.own(".features")  # of images, kept as long as the run is unfinished
        self.lock = self.own(f"{PREFIX}lock")
        self.baselines = self.own("baselines")  # a folder; in it a run directory for each method

    def own(self, name: str) -> Path:
        """Return the path of a file or folder of the run, there or not.

        Raises:
            InputError: It leads out of the run, through a link or by its name.
        """
        path = self.folder / name
        real = Path(os.path.realpath(path))  # `resolve` raises on a link that points at itself
        if not real.is_relative_to(os.path.realpath(self.root)):
            raise InputError(
                f"{path}: is a link to {real}, which is not in the run {self.root}; put the file "
                "or folder itself there."
            )
        return path

    def baseline(self, name: str) -> "RunDirectory":
        """Return the directory of a baseline of this run, there or not."""
        return RunDirectory(self.baselines / name, inside=self.root)

    def read_record(self) -> RunRecord:
        """Return settings and data of the run.

        Raises:
            InputError: The file is missing, damaged, or lacks what every run records.
        """
        with in_one_sentence(self.config, *UNUSABLE):
            return RunRecord.model_validate(read_json(self.config))

    def read_metrics(self) -> dict[str, Any]:
        """Return what `metrics.json` holds.

        Raises:
            InputError: The file is missing or damaged.
        """
        return dict(read_json(self.metrics))

    def read_history(self) -> list[dict[str, float]]:
        """Return one row per epoch, both stages; NaN where a stage has no such number.

        Raises:
            InputError: The file is missing or damaged.
        """
        with in_one_sentence(self.history, *UNUSABLE):
            rows: list[Any] = pd.read_csv(self.history).to_dict("records")
            return rows

    def read_predictions(self, ranks: Ranks) -> pd.DataFrame:
        """Return the answers on the test images: a row per image, in the order of the file.

        Its columns are `path`, `subject` where the data say whom an image shows, the five ranks of
        `INDICES` as whole numbers, `expected`, and the probabilities `p_0` … `p_{K-1}`.

        Raises:
            InputError: The file is missing or damaged, or its columns are not those of the ranks.
        """
        numbers = ["expected", *(f"p_{k}" for k in range(len(ranks)))]
        types = {"path": "str", "subject": "str"}
        types |= dict.fromkeys(INDICES, "int64") | dict.fromkeys(numbers, "float64")
        with in_one_sentence(self.predictions, *UNUSABLE):
            table = pd.read_csv(self.predictions, dtype=types, na_filter=False)  # NA may be a name
            if [name for name in table if name != "subject"] != ["path", *INDICES, *numbers]:
                raise ValueError(f"its columns are not those of {len(ranks)} ranks")
            if not table["path"].is_unique:
                raise ValueError("an image is in it twice")
            return table

    def read_card(self) -> str:
        """Return the model card; letters in another encoding than UTF-8 become �.

        Raises:
            InputError: It is not there.
        """
        with in_one_sentence(self.card, CANNOT_READ, "write one there, an empty one will do"):
            return self.card.read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that writes here, and leave nothing hidden behind.

        Raises:
            InputError: Another process writes here, or the folder cannot be written.
        """
        existed = self.folder.exists()
        lock = FileLock(self.lock)
        with in_one_sentence(
            self.folder, "cannot be written", "check its permissions, or choose another --out"
        ):
            os.fspath(self.folder).encode()  # a file of tensors needs a name in UTF-8
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise InputError(
                    f"{self.folder}: another process writes this run; wait for it, or choose "
                    "another --out."
                ) from None

        try:
            sweep_leftovers(self.folder)  # nobody else writes a file here now
            yield
        finally:
            # while it is held: filelock leaves a file that is gone to nobody who waits for it
            with suppress(OSError):  # Windows removes no open file
                self.lock.unlink()
            lock.release()
            if not existed and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def claim(self, data: OrdinalDataset, config: Config, source: Mapping[str, Any] | None) -> None:
        """Write in `config.json` which run this folder holds, or check that it holds this one.

        Args:
            data: What the run is trained on.
            config: Its settings.
            source: Arguments of `load_dataset`.

        Raises:
            InputError: The folder holds another run, or something else; the run that training
                begins with is not what it was; or a source that cannot be recorded.
        """
        data_fingerprint = fingerprint(data)
        visible = {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}
        if self.config.name in visible and len(visible) > 1:
            self._check_claim(data_fingerprint, config)
            return
        if self.config.name in visible:
            self.read_record()  # ours, of a run that was refused or stopped before its first epoch
        elif visible:
            raise InputError(f"{self.folder}: is not a run directory; {ANOTHER_PLACE}.")

        record = {
            "config": config.to_dict(),
            "used": config.used(),
            "dataset": {
                "name": data.name,
                "source": None if source is None else dict(source),
                "fingerprint": data_fingerprint,
                "ranks": data.ranks.to_dict(),
                "counts": {split: data.counts(split) for split in SPLITS},
                "card": data.card.to_dict(),
                "protocol": data.protocol,
                "missing": data.missing,
            },
            "versions": {name: version(name) for name in PACKAGES},
            "start_sha256": start_digest(config),
            "weights_sha256": weights_digest(config),
        }
        write_json(self.config, record)

    def _check_claim(self, data_fingerprint: str, config: Config) -> None:
        """Refuse to go on with other data, settings or start than the folder holds."""
        stored = self.read_record()
        if stored.dataset.fingerprint != data_fingerprint:
            raise InputError(
                f"{self.folder}: holds a run with {OTHER_DATA}, or of another release; bring back "
                f"what it had, or {ANOTHER_PLACE}."
            )

        settings = config.used()
        used = {"balance": False} | stored.used  # a run may be older than that setting
        others = {name for name in settings if settings[name] != used.get(name)} - MAY_CHANGE
        if others:
            raise InputError(
                f"{self.folder}: holds a run with another {', '.join(sorted(others))}; repeat its "
                f"settings, or {ANOTHER_PLACE}."
            )

        if self.unfinished.exists() and weights_digest(config) != stored.weights_sha256:
            raise InputError(
                f"{self.folder}: began with another file than --weights {config.weights} is; bring "
                f"that back, or {ANOTHER_PLACE}."
            )

        # a finished run needs its start no more: where no file can be compared, the name decides
        start = config.start
        if start and not self.unfinished.exists() and not Path(start, MODEL).is_file():
            same_start = start == stored.used.get("start")
        else:
            same_start = start_digest(config) == stored.start_sha256
        if not same_start:
            problem = "did not begin with the untrained towers"
            if start:
                problem = f"did not begin with what --start {start} is now"
            raise InputError(
                f"{self.folder}: {problem}; give the --start that it began with, as it was, or "
                f"{ANOTHER_PLACE}."
            )

    def clean(self) -> None:
        """Remove what only an unfinished run needs; files that are not its own stay."""
        for folder in (self.unfinished, self.features):
            if folder.is_symlink() or not folder.is_dir():  # a link may lead to files of the run
                continue
            sweep_leftovers(folder)
            for file in folder.glob("*.safetensors"):
                file.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def start_digest(config: Config) -> str | None:
    """Return the SHA-256 of the model that training begins with; None where there is none."""
    return None if config.start is None else sha256_of(find_model_file(config.start))


def weights_digest(config: Config) -> str | None:
    """Return the SHA-256 of the local file of weights; None where there is none."""
    return None if config.weights is None else sha256_of(Path(config.weights))


def probabilities_of(answers: pd.DataFrame) -> np.ndarray:
    """Return the probabilities of a table of answers: a row per image, a column per rank.

    Example:
        >>> probabilities_of(pd.DataFrame({"path": ["a"], "p_0": [0.25], "p_1": [0.75]}))
        array([[0.25, 0.75]])
    """
    return answers.filter(regex=r"^p_\d+$").to_numpy()


# --- what a run remembers of its data: names, labels, ranks, and what the images show ------------


def fingerprint(data: OrdinalDataset) -> str:
    """Return SHA-256 of the ranks, and of the name, the label and the content of every image.

    Subjects, deviations of labels and the suggested image size have no part in it. What an image
    is, its split says, see `Split.digest`. Files are not decoded: a million small ones take about
    ten seconds of the processor, large ones as long as a disk needs to read all.

    Raises:
        InputError: An image that cannot be read.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> one, two = (load_dataset("leaves", size=60, pixels=side) for side in (64, 96))
        >>> fingerprint(one) == fingerprint(one), fingerprint(one) == fingerprint(two)
        (True, False)
    """
    digest = hashlib.sha256(json.dumps(data.ranks.to_dict()).encode())
    for name in SPLITS:
        split = data.split(name)
        for index, (path, target) in enumerate(zip(split.paths, split.targets, strict=True)):
            digest.update(f"\n{name}\t{path}\t{target}\t".encode("utf-8", "surrogateescape"))
            digest.update(split.digest(index))
    return digest.hexdigest()
