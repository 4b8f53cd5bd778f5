"""The errors that this package raises on purpose.

The command line turns them into one sentence and exit code 2.
"""

from collections.abc import Iterator
from contextlib import contextmanager

MAX_MESSAGE = 1_600  # characters of an error on the terminal


class InputError(ValueError):
    """An input cannot be used. The message names the file, the row and the fix."""


class NotAllowedError(InputError):
    """Something that a file asks for, and that its reader has to allow first."""


class TrainingError(RuntimeError):
    """A computation cannot go on: a loss that is no number, no memory left. It says what to do."""


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


@contextmanager
def in_one_sentence(subject: object, problem: str, fix: str) -> Iterator[None]:
    """Turn whatever goes wrong with a file, a folder or a service into one sentence.

    What begins with the subject says all, and stays as it is.

    Args:
        subject: What the sentence begins with.
        problem: What cannot be done.
        fix: What to do about it.

    Raises:
        NotAllowedError: As it was raised, behind the subject.
        InputError: In the place of any other error.

    Example:
        >>> with in_one_sentence("run/config.json", "cannot be read", "train again"):
        ...     raise FileNotFoundError(2, "No such file")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: run/config.json: cannot be read (No such file); train again.
    """
    try:
        yield
    except Exception as error:  # on what a stranger made, libraries raise nearly anything
        if isinstance(error, InputError) and str(error).startswith(f"{subject}: "):
            raise
        if isinstance(error, NotAllowedError):
            raise NotAllowedError(f"{subject}: {error}") from error

        cause = getattr(error, "strerror", None) or sentence(error) or type(error).__name__
        raise InputError(f"{subject}: {problem} ({cause[:300].rstrip('.')}); {fix}.") from error


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
    list_problems = getattr(error, "errors", None)
    if list_problems is None:
        return one_line(str(error))

    first = list_problems()[0]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not first["loc"]:
        return one_line(f"config: {message}")
    field = ".".join(map(str, first["loc"])).removeprefix("config.")
    return one_line(f"config: {field}={first['input']!r} {message}")


def one_line(text: str) -> str:
    r"""Return an error as one line for the terminal, which no character of it can steer.

    A text of more than MAX_MESSAGE characters loses its middle.

    Example:
        >>> one_line("labels.csv row 2:\n the label 'a\x1b[2J' is no rank")
        "labels.csv row 2: the label 'a\\x1b[2J' is no rank"
    """
    line = ""
    for character in " ".join(text.split()):
        line += character if character.isprintable() else ascii(character)[1:-1]
    if len(line) <= MAX_MESSAGE:
        return line
    half = MAX_MESSAGE // 2
    return f"{line[:half]} … {line[-half:]}"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> plural(1, "image"), plural(1234, "image")
        ('1 image', '1,234 images')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
