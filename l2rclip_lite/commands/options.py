"""What is wrong with a command line: one sentence, with the nearest right option or value."""

import re
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import tyro

BOX = re.compile(r"[─│╭╮╰╯|]|-{3,}|For full helptext.*", flags=re.DOTALL)


@dataclass(frozen=True)
class Parameter:
    """An option or a positional word of a command.

    Args:
        spellings: Such as ("--augment", "--no-augment"); none of a positional word.
        kind: INT, FLOAT, STR, {choice,choice}, or what a positional word is called.
        n_values: 0 of a flag, "*" of a positional word that may be given any number of times.
        required: Whether it must be given.
        help: What the help says of it.
    """

    spellings: tuple[str, ...]
    kind: str
    n_values: int | str | None
    required: bool
    help: str


def options_problem(command: Callable[..., Any], words: Sequence[str]) -> str:
    """Return what is wrong with the words after the name of a command; "" if nothing is seen.

    Args:
        command: The function; its parameters are the options.
        words: The words after its name.

    Example:
        >>> def paint(size: int, wet: bool = False) -> None: ...
        >>> options_problem(paint, ["--size", "3", "--wett"])
        '--wett is unknown; did you mean --wet?'
        >>> options_problem(paint, ["--size", "big"])
        "--size takes a whole number, not 'big'"
    """
    parameters = _parameters(command)
    options: dict[str, Parameter] = {}
    for each in parameters:
        options |= dict.fromkeys(each.spellings, each)
    missing = [each for each in parameters if each.required]
    free_words: list[str] = []
    after_flag: list[Parameter] = []  # the flag before each of the free words that follow one
    remaining = deque(words)
    flag: Parameter | None = None

    while remaining:
        word = remaining.popleft()
        if not _is_option(word):
            free_words.append(word)
            if flag is not None:
                after_flag.append(flag)
            flag = None
            continue

        spelling = word.partition("=")[0].replace("_", "-")
        if spelling not in options:
            return f"{spelling} is unknown; {_nearest_option(spelling, options, command.__name__)}"

        option = options[spelling]
        problem = _take_value(option, word, remaining)
        if problem:
            return problem
        missing = [each for each in missing if each is not option]
        flag = option if option.n_values == 0 else None

    positional = [each for each in parameters if not each.spellings]
    return _wrong_number(command.__name__, positional, free_words, after_flag, missing)


def command_problem(names: Sequence[str], words: Sequence[str]) -> str:
    """Return which command the words may have meant.

    Example:
        >>> command_problem(["fit", "data"], ["fitt"])
        "there is no command 'fitt'; did you mean fit?"
    """
    if not words:
        return f"name a command: {_in_words(names)}; `l2rclip --help` says what they do"

    cure = _did_you_mean(words[0], names) or f"choose one of {', '.join(names)}"
    return f"there is no command {words[0]!r}; {cure}"


def unboxed(text: str) -> str:
    r"""Return what tyro has drawn into a box as one line.

    Example:
        >>> unboxed("╭─ Value error ─╮\n│ no number     │\n╰───────────────╯")
        'Value error no number'
        >>> unboxed("╭─ No such word ─╮\n│ No such word: x │\n╰────────────────╯")
        'No such word: x'
    """
    line = " ".join(BOX.sub(" ", text).split())
    return re.sub(r"^(.+) \1", r"\1", line)  # a title that the text repeats


def _parameters(command: Callable[..., Any]) -> list[Parameter]:
    """Return the options and positional words of a command."""
    with warnings.catch_warnings():
        # tyro means to remove it, and has no other way to list them.
        warnings.simplefilter("ignore", DeprecationWarning)
        parser: Any = tyro.extras.get_parser(command, config=(tyro.conf.DisallowNone,))
    return [
        Parameter(
            spellings=tuple(action.option_strings),
            kind=str(action.metavar or action.dest),
            n_values=action.nargs,
            required=action.required,
            help=str(action.help),
        )
        for action in parser._actions
    ]


def _is_option(word: str) -> bool:
    """Return whether a word is an option, which neither a lone - nor a negative number is."""
    return re.match(r"--?[A-Za-z]", word) is not None


def _wrong_number(
    name: str,
    positional: Sequence[Parameter],
    free_words: Sequence[str],
    after_flag: Sequence[Parameter],
    missing: Sequence[Parameter],
) -> str:
    """Return which words are too many, or missing; "" if neither."""
    takes_any = any(each.n_values == "*" for each in positional)
    if len(free_words) > len(positional) and not takes_any:
        if after_flag:
            return _no_value(after_flag[0])
        return f"{free_words[len(positional)]!r} is one word too many for `l2rclip {name}`"

    for each, word in zip(positional, free_words, strict=False):
        if not word and each.required and each.n_values != "*":
            return f"{each.kind} is empty; give it a name"

    absent = [each.kind for each in missing if each in positional[len(free_words) :]]
    absent += [each.spellings[0] for each in missing if each.spellings]
    if absent:
        return f"{name} needs {' and '.join(absent)}; `l2rclip {name} --help` shows examples"
    return ""


def _take_value(option: Parameter, word: str, remaining: deque[str]) -> str:
    """Take the value of an option off the words after it; return what is wrong with it, or ""."""
    spelling, equals, value = word.partition("=")
    spelling = spelling.replace("_", "-")
    if option.n_values == 0:
        return _no_value(option) if equals else ""

    if not equals:
        if not remaining or _is_option(remaining[0]):
            return f"{spelling} needs a value"
        value = remaining.popleft()
    return _wrong_value(spelling, value, option.kind)


def _no_value(flag: Parameter) -> str:
    """Say how a flag is written."""
    return f"{flag.spellings[0]} takes no value; use {_in_words(flag.spellings)}"


def _wrong_value(spelling: str, value: str, kind: str) -> str:
    """Return why an option of this kind cannot have this value; "" if it can."""
    if not value:
        return f"{spelling} is empty; give it a value"

    if kind.startswith("{"):
        choices = kind.strip("{}").split(",")
        if value in choices:
            return ""

        problem = f"{spelling} takes {_in_words(choices)}, not {value!r}"
        cure = _did_you_mean(value, choices)
        return f"{problem}; {cure}" if cure else problem

    try:
        if kind == "INT":
            int(value)
        elif kind == "FLOAT":
            float(value)
    except ValueError:
        number = "a whole number" if kind == "INT" else "a number"
        return f"{spelling} takes {number}, not {value!r}"
    return ""


def _nearest_option(spelling: str, options: Mapping[str, Parameter], name: str) -> str:
    """Return the nearest option by its name, else by the words of its help."""
    cure = _did_you_mean(spelling, options)
    if cure:
        return cure

    parts = re.findall(r"\w{4,}", spelling.lower())
    described: list[tuple[int, str]] = []
    for spelt, option in options.items():
        sentence = re.split(r"[.;]", option.help.lower())[0].split()
        if parts and all(get_close_matches(part, sentence, cutoff=0.8) for part in parts):
            described.append((len(sentence), spelt))
    if described:
        return f"did you mean {min(described)[1]}?"
    return f"`l2rclip {name} --help` lists all options"


def _did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return a question after the nearest candidate; "" if none is near."""
    nearest = get_close_matches(word, list(candidates), n=1)
    return f"did you mean {nearest[0]}?" if nearest else ""


def _in_words(choices: Sequence[str]) -> str:
    """Return a list as a sentence has it.

    Example:
        >>> _in_words(["train", "val", "test"])
        'train, val or test'
    """
    if len(choices) == 1:
        return choices[0]
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
