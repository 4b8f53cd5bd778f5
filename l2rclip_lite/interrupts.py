"""Ctrl-C and SIGTERM for a process of the command line: one sentence, and an end within a second or two, whatever it does.

The signal raises KeyboardInterrupt, so that files are closed and locks are let go. But a library may swallow that, and a
long call of C code lets no Python run; so a thread that the signal wakes ends the process when its time is up. That costs
no more than SIGKILL does: complete epochs are kept. Nothing here imports torch, so that it holds while torch is imported.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

GRACE = 1.0  # seconds for an orderly end
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def told(command: str) -> str:
    """What the user reads, by the command that was interrupted.

    Example:
        >>> told("predict")
        'interrupted.'
    """
    kept = ": complete epochs are kept, the same command goes on from there" if command == "fit" else ""
    return f"interrupted{kept}."


class Interruptible:
    """A process that can be interrupted at any moment.

    Args:
        command: The word after `l2rclip`.
        end: Ends the process with an exit code, at once.
    """

    def __init__(self, command: str, end: Callable[[int], object] = os._exit) -> None:
        self._command, self._end = command, end
        self._number = 0  # of the signal that came
        self._speaking = threading.Lock()

    def run(self, work: Callable[[], int]) -> int:
        """Do the work; an interrupt ends the process and does not return.

        Args:
            work: Returns an exit code; may say itself that it was interrupted, and return 130.

        Returns:
            The exit code of work that nobody interrupted.
        """
        try:
            self._listen()
            code = work()
        except BaseException:  # an import that is interrupted may fail by another name
            if not self._number:
                raise
            self._leave(say=True)
            raise
        if self._number:
            self._leave(say=code != 128 + self._number)
        for number in SIGNALS:  # all is done: from here on there is nothing to interrupt
            signal.signal(number, lambda *_: self._end(code))
        return code

    def _listen(self) -> None:
        """From here on a signal is heard by both threads."""
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        sys.unraisablehook = self._unraisable
        for number in SIGNALS:
            signal.signal(number, self._raise)
        threading.Thread(target=self._watch, args=(woken,), daemon=True).start()

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self._number = self._number or number
        raise KeyboardInterrupt(number)

    def _watch(self, woken: int) -> None:
        """Sleep until a signal comes; then let the main thread have its time, and no more."""
        while (number := os.read(woken, 1)[0]) not in SIGNALS:
            pass
        time.sleep(GRACE)
        self._number = number
        self._leave(say=True)

    def _leave(self, *, say: bool) -> None:
        """End the process; whichever thread comes first says why."""
        self._speaking.acquire()  # never released: the other thread has nothing to add
        if say:
            os.write(2, f"{told(self._command)}\n".encode())
        self._end(128 + self._number)

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        """Where Python must ignore the interrupt, such as in a destructor, it says nothing of it."""
        if not isinstance(what.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(what)
