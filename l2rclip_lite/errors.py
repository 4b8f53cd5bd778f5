"""The two errors this package raises on purpose; the command line turns both into one sentence and exit code 2."""


class InputError(ValueError):
    """What the user gave cannot be used. The message names the file, the row and the fix."""


class TrainingError(RuntimeError):
    """Training cannot go on (a loss that is not a number, memory that ran out). The message says what to do."""
