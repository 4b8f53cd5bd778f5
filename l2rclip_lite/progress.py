"""Signs of life: a progress bar on a terminal, a line from time to time in a log file."""

import sys
from typing import Any

from tqdm import tqdm

EVERY = 20.0  # seconds between two lines of a log file; work of less time says nothing there


class Progress(tqdm):  # type: ignore[type-arg]
    """A tqdm bar on stderr with the time left; where that is no terminal, a whole line from time to time.

    Args:
        given: What tqdm takes.
        options: What tqdm takes by name.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        self.terminal = sys.stderr.isatty()
        options["file"] = sys.stderr
        if not self.terminal:
            options |= {"mininterval": EVERY, "delay": EVERY, "miniters": 1, "leave": False}
        super().__init__(*given, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """What tqdm calls to show its state."""
        if self.terminal:
            super().display(msg, pos)
        elif msg is None:
            print(self, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """A line that stays, above the bar where there is one."""
        if not self.disable:
            self.write(line, file=sys.stderr) if self.terminal else print(
                line, file=sys.stderr, flush=True
            )
