"""The two errors this package raises on purpose.

The command line turns both into one sentence and exit code 2.
"""

from numbers import Integral  # those of NumPy are such, and `--help` need not wait for NumPy

from pydantic import ValidationError

MAX_MESSAGE = 1_600  # characters of an error on the terminal
MAX_WORKERS = 64  # processes that decode
MAX_BATCH = 2**31 - 1  # images at once
MAX_SIDE = 1_024  # of a tower's input, pixels
MAX_RESAMPLES = 100_000  # beyond that an interval moves no more
MAX_BINS = 10_000  # of confidence


class InputError(ValueError):
    """An input cannot be used. The message names the file, the row and the fix."""


class TrainingError(RuntimeError):
    """Training cannot go on (a loss that is not a number). The message says what to do."""


def unreadable(name: object, error: OSError) -> InputError:
    """Return the error of a file or folder that the system does not let be read.

    Example:
        >>> raise unreadable("photos", PermissionError(13, "Permission denied"))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: photos cannot be read (Permission denied); check the
        permissions of it and of the folders above it.
    """
    fix = "check the permissions of it and of the folders above it"
    return InputError(f"{name} cannot be read ({error.strerror}); {fix}.")


def reason(error: BaseException) -> str:
    """Return what the system says of an error, or else its own text.

    Example:
        >>> reason(PermissionError(13, "Permission denied")), reason(ValueError("no JSON"))
        ('Permission denied', 'no JSON')
    """
    return str(getattr(error, "strerror", None) or error)


def sentence(error: Exception) -> str:
    """Return an error as one line for the user; of pydantic's problems the first.

    Example:
        >>> sentence(InputError("labels.csv row 2: no label"))
        'labels.csv row 2: no label'
    """
    if not isinstance(error, ValidationError):
        return one_line(str(error))

    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not first["loc"]:
        return one_line(f"config: {message}")
    field = ".".join(map(str, first["loc"]))
    return one_line(f"config: {field}={first['input']!r} {message}")


def one_line(text: str) -> str:
    r"""Return an error as one line for the terminal, which no character of it can steer.

    A text of more than MAX_MESSAGE characters loses its middle.

    Example:
        >>> one_line("labels.csv row 2:\n the label 'a\x1b[2J' is no rank")
        "labels.csv row 2: the label 'a\\x1b[2J' is no rank"
        >>> one_line("Errors in loading:\n\tsize mismatch\u2028")
        'Errors in loading: size mismatch\\u2028'
    """
    lines = [line.strip(" \t") for line in text.split("\n")]
    text = printable(" ".join(line for line in lines if line))
    if len(text) <= MAX_MESSAGE:
        return text
    half = MAX_MESSAGE // 2
    return f"{text[:half]} … {text[-half:]}"


def printable(text: str) -> str:
    r"""Return a text in which every character that cannot be printed is an escape.

    Among these are all that steer a terminal.

    Example:
        >>> print(printable("a\x1b[2J\u202e.png"))
        a\x1b[2J\u202e.png
    """
    characters = []
    for character in text:
        if not character.isprintable():
            character = character.encode("unicode_escape").decode()
        characters.append(character)
    return "".join(characters)


def plural(count: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> plural(1, "image"), plural(1234, "image")
        ('1 image', '1,234 images')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def whole_number(value: object, name: str, lowest: int, highest: int | None = None) -> int:
    """Return a whole number, and refuse one outside its bounds.

    Args:
        value: The number.
        name: What to call it in an error.
        lowest: The least that is allowed.
        highest: The most that is allowed; None sets no bound.

    Raises:
        InputError: Another kind of number, or one outside the bounds.

    Example:
        >>> whole_number(0, "batch_size", 1, 64)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: batch_size is 0; give a whole number from 1 to 64.
    """
    if not isinstance(value, bool) and isinstance(value, Integral):
        number = int(value)
        if lowest <= number and (highest is None or number <= highest):
            return number

    end = "" if highest is None else f" to {highest:,}"
    raise InputError(f"{name} is {value!r:.80}; give a whole number from {lowest}{end}.")


def check_number(value: float, name: str, lowest: float, highest: float) -> None:
    """Refuse a number outside its bounds, and NaN.

    Example:
        >>> check_number(float("nan"), "conformal", 0, 1)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: conformal is nan; give a number from 0 to 1.
    """
    if not lowest <= value <= highest:
        raise InputError(f"{name} is {value!r:.80}; give a number from {lowest:g} to {highest:g}.")
