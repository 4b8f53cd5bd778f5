"""The command `l2rclip`, or `python -m l2rclip_lite`, which `accelerate launch` starts, too.

What the user can mend is said in one sentence on stderr, with exit code 2. The module that does the
work of a command is imported here, when the command runs: help and a misspelt option need no torch.
"""

import ctypes
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import tyro
from pydantic import ValidationError

from l2rclip_lite.commands import COMMANDS
from l2rclip_lite.errors import InputError, TrainingError, sentence

ABOUT = """Ordinal classification by learning to rank with language (L2RCLIP).

`l2rclip COMMAND --help` shows examples; begin with `l2rclip doctor`. With --debug an error shows
where it came from; `l2rclip --version` says which version this is.
"""
# glibc, malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
INT_MAX = 2**31 - 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The words after `l2rclip`; None takes the process's own.

    Returns:
        Exit code: 0 done, 1 `doctor` found a failure, 2 an error that the user can mend, 130
        interrupted, 141 nobody reads the output any more.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal lacks is no reason to end a run.
        sys.stdout.reconfigure(errors="backslashreplace")

    try:
        code = run([word for word in words if word != "--debug"])
        sys.stdout.flush()
        return code
    except SystemExit as done:  # tyro has printed help, or what is wrong with an option
        return int(done.code or 0)
    except KeyboardInterrupt:
        code = 130
        message = "interrupted; a fit keeps its complete epochs: give the same command again."
    except BrokenPipeError:
        # The reader, such as `head`, has enough: nothing to say, now or at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (InputError, TrainingError, OSError, ValidationError) as error:
        if debug:
            traceback.print_exc()
        code = 2
        message = f"error: {sentence(error)}"

    # Only here, where the frames of the command are gone, have its progress bars left the line.
    print(message, file=sys.stderr)
    return code


def run(words: Sequence[str]) -> int:
    """Run the command that the words call for, and return its exit code.

    Raises:
        InputError: There is no such command, or several processes were started for a command that
            works in one.
        SystemExit: By tyro, which has printed help, or what is wrong with an option.
    """
    if words == ["--version"]:
        print(f"l2rclip-lite {version('l2rclip-lite')}")
        return 0
    if not words or words[0] in ("-h", "--help"):
        print(ABOUT)
        for name, (takes, _) in COMMANDS.items():
            print(f"  {name:<10} {str(takes.__doc__).splitlines()[0]}")
        return 0

    name = words[0]
    if name not in COMMANDS:
        raise InputError(f"there is no command {name!r}; choose {' or '.join(COMMANDS)}.")
    if name != "fit" and os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(f"{name}: works in one process; start it without `accelerate launch`.")

    takes, module = COMMANDS[name]
    arguments = tyro.cli(
        takes, prog=f"l2rclip {name}", args=words[1:], config=(tyro.conf.DisallowNone,)
    )
    keep_freed_memory()
    work = importlib.import_module(f"l2rclip_lite.commands.{module}")
    code: int | None = getattr(work, name)(arguments)
    return code or 0


def keep_freed_memory() -> None:
    """Make this process keep large blocks that are freed.

    glibc gives them back, and the system hands each page of the next one out anew, filled with
    zeros. An image tower frees and takes the same blocks in every batch: on a virtual machine that
    was up to half of its time. Results do not change. Settings of your own (`MALLOC_...`) win.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # other C libraries have no such setting
        library.mallopt(M_TRIM_THRESHOLD, INT_MAX)
        library.mallopt(M_MMAP_MAX, 0)


if __name__ == "__main__":
    sys.exit(main())
