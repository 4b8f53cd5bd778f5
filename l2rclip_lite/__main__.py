"""The process `l2rclip`, or `python -m l2rclip_lite`: the command line of `cli`, which can be interrupted at any moment."""

from __future__ import annotations

import os
import sys

from l2rclip_lite.interrupts import Interruptible


def main() -> int:
    """Run the command line of this process.

    Returns:
        Exit code, see `cli.main`.
    """

    def work() -> int:
        from l2rclip_lite import cli  # here, so that an interrupt of the import is one, too

        code = cli.main()
        try:
            sys.stdout.flush()
        except OSError:  # has been told; Python would complain once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code

    return Interruptible(sys.argv[1] if len(sys.argv) > 1 else "").run(work)


if __name__ == "__main__":
    sys.exit(main())
