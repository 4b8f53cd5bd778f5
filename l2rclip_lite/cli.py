"""The command `l2rclip`: fit, baselines, compare, report, predict, evaluate, export, data, doctor.

What the user can mend is said in one sentence on stderr, with exit code 2. Whatever needs torch is imported when a
command runs, so that help and a misspelt option answer at once.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro
from pydantic import ValidationError

from l2rclip_lite.commands.baselines import baselines
from l2rclip_lite.commands.compare import compare
from l2rclip_lite.commands.data import data
from l2rclip_lite.commands.doctor import doctor
from l2rclip_lite.commands.evaluate import evaluate
from l2rclip_lite.commands.export import export
from l2rclip_lite.commands.fit import fit
from l2rclip_lite.commands.predict import predict
from l2rclip_lite.commands.report import report
from l2rclip_lite.errors import InputError, TrainingError, sentence

ABOUT = """Ordinal classification by learning to rank with language (L2RCLIP).

`l2rclip COMMAND --help` shows examples; begin with `l2rclip doctor`. With --debug an error shows where it came from."""
COMMANDS = (fit, baselines, compare, report, predict, evaluate, export, data, doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The words after `l2rclip`; None takes the process's own.

    Returns:
        Exit code: 0 done, 1 `doctor` found a failure, 2 an error that the user can mend, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug, words = "--debug" in words, [word for word in words if word != "--debug"]
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # a name that the terminal lacks is no reason to end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    commands = []
    for command in COMMANDS:  # only the one that was named shows its examples
        about = None if words[:1] == [command.__name__] else str(command.__doc__).partition("\n")[0]
        commands.append(
            Annotated[Any, tyro.conf.subcommand(constructor=command, description=about)]
        )
    union: Any = Union[tuple(commands)]  # noqa: UP007  # made at run time
    strict = (tyro.conf.DisallowNone,)
    try:
        code = tyro.cli(union, prog="l2rclip", description=ABOUT, args=words, config=strict)
        sys.stdout.flush()
        return int(code or 0)
    except SystemExit as done:  # help, or tyro's word on a misspelt option
        return int(done.code or 0)
    except KeyboardInterrupt:
        print(
            "interrupted; a fit keeps its complete epochs: give the same command again.",
            file=sys.stderr,
        )
        return 130
    except (
        BrokenPipeError
    ):  # the reader, such as `head`, has enough: nothing to say, now or at shutdown
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (InputError, TrainingError, OSError, ValidationError) as error:
        if debug:
            traceback.print_exc()
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 2
