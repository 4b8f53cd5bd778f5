"""The two errors this package raises on purpose; the command line turns both into one sentence and exit code 2."""

from __future__ import annotations

import errno


class InputError(ValueError):
    """What the user gave cannot be used. The message names the file, the row and the fix."""


class TrainingError(RuntimeError):
    """Training cannot go on (a loss that is not a number, memory that ran out). The message says what to do."""


def sentence(error: Exception) -> str:
    """An error in one line for the user.

    Example:
        >>> sentence(OSError(28, "No space left on device"))
        'the output cannot be written (No space left on device); free some space, or write elsewhere.'
    """
    full = (errno.ENOSPC, errno.EFBIG, errno.EIO)
    if isinstance(error, OSError) and error.filename is None and error.errno in full:  # of no file: of stdout
        return f"the output cannot be written ({error.strerror}); free some space, or write elsewhere."
    return " ".join(str(error).split())
