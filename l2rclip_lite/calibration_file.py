"""The temperature of a run, kept beside its model in `calibration.json`, and refused where it does not fit."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_type_hints

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import is_there, read_json, write_json
from l2rclip_lite.typed import fits, in_words, shown

CALIBRATION_FILE = "calibration.json"
SMALLEST, LARGEST = 1e-3, 1e3  # far beyond any that is fitted; logits over less may overflow
MAX_BYTES = 100_000  # of `calibration.json`, which has about 300
AGAIN = "run `l2rclip calibrate` on this run again, or delete the file to use the model as it was trained"


@dataclass(frozen=True)
class Calibration:
    """One temperature, and what is needed to judge it.

    Args:
        temperature: T; every logit is divided by it.
        split: The split it was fitted on.
        pictures: How many pictures that split has.
        low: Lower end of the 95 % bootstrap interval of T over these pictures.
        high: Upper end.
        nll_before: Mean negative log-likelihood of the split at T = 1.
        nll_after: The same at T.
        model: SHA-256 of the `model.safetensors` it belongs to.

    Raises:
        InputError: A temperature that is no finite number above 0, or a field of another type.

    Example:
        >>> Calibration(0.0, "val", 60, 0.0, 0.0, 1.3, 1.1, "ab12")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: calibration: the temperature is 0.0; it must be a finite number above 0.
    """

    temperature: float
    split: str
    pictures: int
    low: float
    high: float
    nll_before: float
    nll_after: float
    model: str

    def __post_init__(self) -> None:
        """Refuse a temperature that would turn every answer, or give no number; JSON may hold anything."""
        t: object = self.temperature
        if not fits(t, float) or not self.temperature > 0:
            raise InputError(
                f"calibration: the temperature is {shown(t)}; it must be a finite number above 0."
            )
        if not SMALLEST <= self.temperature <= LARGEST:
            raise InputError(
                f"calibration: the temperature is {self.temperature:.3g}; it must lie between {SMALLEST} and {LARGEST:g}."
            )
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not fits(value, hint):
                raise InputError(f"calibration: {name} is {shown(value)}; it must be {in_words(hint)}.")


def fingerprint_of(model: Path) -> str:
    """SHA-256 of a model file.

    Args:
        model: An existing file.
    """
    with model.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_calibration(folder: str | Path, calibration: Calibration) -> Path:
    """Write `calibration.json` into a run directory, atomically.

    Args:
        folder: A run directory.
        calibration: What to keep.

    Returns:
        The file.
    """
    file = Path(folder) / CALIBRATION_FILE
    write_json(file, asdict(calibration))
    return file


def read_calibration(model: Path) -> Calibration | None:
    """The calibration that lies beside a model.

    Args:
        model: The `model.safetensors`.

    Returns:
        None where there is no `calibration.json`.

    Raises:
        InputError: A damaged file, a temperature that is no finite number above 0, or a file of another model.
    """
    file = model.parent / CALIBRATION_FILE
    if not is_there(file):
        return None
    try:
        if os.path.getsize(file) > MAX_BYTES:
            raise InputError(f"it has more than {MAX_BYTES:,} bytes")
        found, belongs = Calibration(**read_json(file)), fingerprint_of(model)
    except (OSError, ValueError, TypeError) as error:  # InputError and JSONDecodeError are ValueErrors
        reason = " ".join(str(error).split()).removesuffix(".")[:200]
        raise InputError(f"{file}: cannot be used ({reason}); {AGAIN}.") from error
    if found.model != belongs:
        raise InputError(f"{file}: was fitted for another {model.name}; {AGAIN}.")
    return found
