"""The command `l2rclip`: fit, baselines, compare, report, predict, evaluate, export, data, doctor.

What the user can mend is said in one sentence on stderr, with exit code 2. Whatever needs torch is
imported when a command runs, so that help and a misspelt option answer at once.
"""

import ctypes
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import tyro
from pydantic import ValidationError

from l2rclip_lite.commands.answer import evaluate, predict
from l2rclip_lite.commands.data import data
from l2rclip_lite.commands.doctor import doctor
from l2rclip_lite.commands.finished import baselines, compare, export, report
from l2rclip_lite.commands.fit import fit
from l2rclip_lite.errors import InputError, TrainingError, sentence

COMMANDS = {
    command.__name__: command
    for command in (fit, baselines, compare, report, predict, evaluate, export, data, doctor)
}
ABOUT = """Ordinal classification by learning to rank with language (L2RCLIP).

`l2rclip COMMAND --help` shows examples; begin with `l2rclip doctor`. With --debug an error shows
where it came from; `l2rclip --version` says which version this is.
"""
# glibc, malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
LARGEST = 2**31 - 1


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
        for name, command in COMMANDS.items():
            print(f"  {name:<10} {str(command.__doc__).splitlines()[0]}")
        return 0

    name = words[0]
    if name not in COMMANDS:
        raise InputError(f"there is no command {name!r}; choose {' or '.join(COMMANDS)}.")
    if name != "fit" and os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(f"{name}: works in one process; start it without `accelerate launch`.")

    keep_freed_memory()
    code: int | None = tyro.cli(
        COMMANDS[name], prog=f"l2rclip {name}", args=words[1:], config=(tyro.conf.DisallowNone,)
    )
    return code or 0


def keep_freed_memory() -> bool:
    """Make this process keep large blocks that are freed.

    glibc gives them back, and the system hands each page of the next one out anew, filled with
    zeros. An image tower frees and takes the same blocks in every batch: on a virtual machine that
    was up to half of its time. Results do not change. Settings of your own (`MALLOC_...`) win.

    Returns:
        Whether it does so now; other C libraries have no such setting.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(M_TRIM_THRESHOLD, LARGEST) and library.mallopt(M_MMAP_MAX, 0))
