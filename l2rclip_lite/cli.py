"""The command `l2rclip`: fit, baselines, compare, report, predict, evaluate, export, data, doctor.

What the user can mend is said in one sentence on stderr, with exit code 2. Whatever needs torch is
imported when a command runs, so that help and a misspelt option answer at once.
"""

import functools
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from importlib.metadata import version
from shutil import get_terminal_size
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
from l2rclip_lite.commands.freed_memory import keep_freed_memory
from l2rclip_lite.commands.options import command_problem, options_problem, unboxed
from l2rclip_lite.commands.predict import predict
from l2rclip_lite.commands.report import report
from l2rclip_lite.commands.terminal import (
    Terminated,
    printable_stdout,
    sigterm_raises,
    unwritable_in_words,
)
from l2rclip_lite.errors import InputError, TrainingError, sentence

ABOUT = """Ordinal classification by learning to rank with language (L2RCLIP).

`l2rclip COMMAND --help` shows examples; begin with `l2rclip doctor`. With --debug an error shows
where it came from; `l2rclip --version` says which version this is."""
COMMANDS = (fit, baselines, compare, report, predict, evaluate, export, data, doctor)
NARROWEST = 20  # columns of help; on 5 tyro breaks lines for ever
GO_ON = "a fit keeps its complete epochs: give the same command again."

Command = Callable[[], int | None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The words after `l2rclip`; None takes the process's own.

    Returns:
        Exit code: 0 done, 1 `doctor` found a failure, 2 an error that the user can mend, 130
        interrupted, 141 nobody reads the output any more, 143 terminated.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if sys.stdout is None:  # closed: whoever started this wants no output
        sys.stdout = io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal lacks is no reason to end a run.
        sys.stdout.reconfigure(errors="backslashreplace")

    try:
        with sigterm_raises():
            return run(words)
    except SystemExit as done:  # help, or a script for the shell
        return int(done.code or 0)
    except Terminated:
        code = 143
        message = f"terminated; {GO_ON}"
    except KeyboardInterrupt:
        code = 130
        message = f"interrupted; {GO_ON}"
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
    """Run the command that the words call for, and return its exit code."""
    if list(words) == ["--version"]:
        with unwritable_in_words():
            print(f"l2rclip-lite {version('l2rclip-lite')}", flush=True)
        return 0

    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise InputError("the current folder is gone; go to another one.") from error
    if get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)

    command = parse(words)
    keep_freed_memory()
    if words[0] != "fit" and _leaves_it_to_the_first_process(words[0]):
        return 0

    with printable_stdout():
        code = command()
        sys.stdout.flush()
    return code or 0


def _leaves_it_to_the_first_process(command: str) -> bool:
    """Return whether this is a further process of a launcher: the first one reports the error.

    Raises:
        InputError: This is the first of several, and the command works in one.
    """
    n_processes = os.environ.get("WORLD_SIZE", "1")
    if "LOCAL_RANK" not in os.environ or n_processes == "1":
        return False
    if os.environ.get("RANK", "0") != "0":
        return True
    problem = f"works in one process, not in {n_processes}"
    raise InputError(f"{command}: {problem}; start it without `accelerate launch`.")


def parse(words: Sequence[str]) -> Command:
    """Return the command that the words call for, ready to run.

    Raises:
        InputError: Words that no command takes.
        SystemExit: Help was asked for, and has been printed.
    """
    for word in words:
        if "\0" in word:
            raise InputError(f"{word!r}: no path and no value holds a NUL character; leave it out.")

    if any(word == "" or word.endswith("=") for word in words):  # tyro takes it for a value
        problem = _problem_of(words)
        if problem:
            raise InputError(problem)

    commands = []
    for command in COMMANDS:
        description = None
        if words[:1] != [command.__name__]:  # only the one that was named shows its examples
            description = str(command.__doc__).partition("\n")[0]
        subcommand = tyro.conf.subcommand(constructor=_deferred(command), description=description)
        commands.append(Annotated[Any, subcommand])
    union: Any = Union[tuple(commands)]  # noqa: UP007  # made at run time

    box = io.StringIO()
    try:
        with redirect_stderr(box), unwritable_in_words():  # it prints help
            strict = (tyro.conf.DisallowNone,)
            parsed: Command = tyro.cli(
                union, prog="l2rclip", description=ABOUT, args=words, config=strict
            )
            return parsed
    except SystemExit as end:
        if not end.code:
            raise
    raise InputError(_problem_of(words) or unboxed(box.getvalue()))


def _deferred(command: Callable[..., int | None]) -> Callable[..., Command]:
    """Return a function of the same parameters that gives the call, not yet made."""

    @functools.wraps(command)
    def bind(*arguments: Any, **options: Any) -> Command:
        return functools.partial(command, *arguments, **options)

    return bind


def _problem_of(words: Sequence[str]) -> str:
    """Return what is wrong with words that cannot be parsed; "" if it is not seen."""
    commands = {command.__name__: command for command in COMMANDS}
    if words and words[0] in commands:
        return options_problem(commands[words[0]], words[1:])
    return command_problem(list(commands), words)
