"""The temperature of a run, kept beside its model in `calibration.json`, and refused where it does not fit."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import write_json

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
        InputError: A temperature that is no finite number above 0.

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
        """Refuse a temperature that would turn every answer, or give no number."""
        t: object = self.temperature  # JSON may hold anything
        if not isinstance(t, int | float) or isinstance(t, bool) or not 0 < t < math.inf:
            raise InputError(f"calibration: the temperature is {t!r}; it must be a finite number above 0.")
        if not SMALLEST <= t <= LARGEST:
            raise InputError(
                f"calibration: the temperature is {t:.3g}; it must lie between {SMALLEST} and {LARGEST:g}."
            )


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
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"it has more than {MAX_BYTES:,} bytes")
        found = Calibration(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:  # also InputError and JSONDecodeError
        reason = " ".join(str(error).split()).removesuffix(".")[:200]
        raise InputError(f"{file}: cannot be used ({reason}); {AGAIN}.") from error
    if found.model != fingerprint_of(model):
        raise InputError(f"{file}: was fitted for another {model.name}; {AGAIN}.")
    return found
