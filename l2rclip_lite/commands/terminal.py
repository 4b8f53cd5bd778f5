"""The terminal of a command: only printable text reaches it, and SIGTERM ends it as Ctrl-C does."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from json import dumps
from typing import Any

from l2rclip_lite.errors import InputError, printable


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised in the main thread, so that locks and bars are closed on the way out."""


class PrintableOutput:
    """A text stream that passes on what can be printed, and line ends; other characters as escapes.

    Names of files, labels and ranks come from anybody, and a terminal obeys what they may hold.

    Args:
        stream: Where the text goes.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text, line by line made printable, and return its length."""
        with unwritable_in_words():
            self.stream.write("\n".join(map(printable, text.split("\n"))))
        return len(text)

    def flush(self) -> None:
        """Write what the stream holds back."""
        with unwritable_in_words():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return what else the stream has, such as `encoding`."""
        return getattr(self.stream, name)


@contextmanager
def unwritable_in_words() -> Iterator[None]:
    """Turn the error of a standard output that takes no more into one sentence.

    A reader that has enough, such as `head`, is no error.

    Raises:
        InputError: With that sentence.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        problem = f"standard output cannot be written ({error.strerror})"
        raise InputError(f"{problem}; free some space, or send it elsewhere.") from error


@contextmanager
def printable_stdout() -> Iterator[None]:
    """Let only printable text reach stdout."""
    output: Any = PrintableOutput(sys.stdout)
    with redirect_stdout(output):
        yield


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` at SIGTERM; outside the main thread, which alone may, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def json_line(value: object) -> str:
    r"""Return JSON in printable ASCII; `json` itself leaves one control character, delete.

    Example:
        >>> print(json_line({"path": "a\x7f\x1b.png"}))
        {"path": "a\u007f\u001b.png"}
    """
    return dumps(value).replace("\x7f", "\\u007f")
