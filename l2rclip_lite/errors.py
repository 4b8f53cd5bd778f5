"""The two errors this package raises on purpose; the command line turns both into one sentence and exit code 2."""

from pydantic import ValidationError

LONGEST = 1_600  # characters of an error on the terminal


class InputError(ValueError):
    """What the user gave cannot be used. The message names the file, the row and the fix."""


class TrainingError(RuntimeError):
    """Training cannot go on (a loss that is not a number). The message says what to do."""


def sentence(error: Exception) -> str:
    """An error in one line for the user; of what pydantic says, the first thing.

    Example:
        >>> sentence(InputError("labels.csv row 2: no label"))
        'labels.csv row 2: no label'
    """
    if not isinstance(error, ValidationError):
        return one_line(str(error))
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    setting = f"{'.'.join(map(str, first['loc']))}={first['input']!r} " if first["loc"] else ""
    return one_line(f"config: {setting}{message}")


def one_line(text: str) -> str:
    r"""An error for the terminal: one line, of no more than LONGEST characters, none of which steers the terminal.

    Example:
        >>> one_line("labels.csv row 2:\n the label 'a\x1b[2J' is no rank")
        "labels.csv row 2: the label 'a\\x1b[2J' is no rank"
    """
    text = printable(" ".join(text.split()))
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def printable(text: str) -> str:
    r"""Return a text in which every character that cannot be printed, such as one that steers a terminal, is an escape.

    Example:
        >>> print(printable("a\x1b[2J\u202e.png"))
        a\x1b[2J\u202e.png
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
