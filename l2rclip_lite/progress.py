"""Progress of long work: a bar on a terminal, a line from time to time in a log file."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG_INTERVAL = 20.0  # seconds between two lines of a log file; shorter work writes none there


class Progress(tqdm):  # type: ignore[type-arg]
    """A tqdm bar on stderr with the time left; where stderr is no terminal, a whole line at times.

    Args:
        iterable: What to go through; None where `update` is called instead.
        desc: The words in front.
        total: How many steps there are; None takes the length of the iterable.
        initial: How many of them are done.
        unit: What a step is called.
        leave: Whether a finished bar stays on the terminal.
        disable: Whether to show nothing.
        miniters: Steps between two updates on a terminal; None lets tqdm choose. Like `smoothing`,
            tqdm's own `thread_map` sets it.
        smoothing: Weight of the latest speed in the time left, see tqdm.
    """

    def __init__(  # noqa: PLR0913  (as tqdm has them)
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        *,
        total: float | None = None,
        initial: int = 0,
        unit: str = "it",
        leave: bool = True,
        disable: bool = False,
        miniters: float | None = None,
        smoothing: float = 0.3,
    ) -> None:
        self.terminal = sys.stderr.isatty()

        interval = 0.1  # seconds
        delay = 0.0
        if not self.terminal:
            interval = LOG_INTERVAL
            delay = LOG_INTERVAL
            miniters = 1
            leave = False

        super().__init__(
            iterable,
            desc,
            total=total,
            initial=initial,
            unit=unit,
            leave=leave,
            disable=disable,
            mininterval=interval,
            miniters=miniters,
            smoothing=smoothing,
            delay=delay,
            file=sys.stderr,
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the state; tqdm calls it."""
        if self.terminal:
            super().display(msg, pos)
        elif msg is None:
            print(self, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar; in a log that has shown a part of the way, the last line shows its end."""
        if not self.disable and not self.terminal and self.initial < self.last_print_n < self.n:
            self.display()
        super().close()

    def say(self, line: str) -> None:
        """Print a line that stays, above the bar where there is one."""
        if self.disable:
            return
        if self.terminal:
            self.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
