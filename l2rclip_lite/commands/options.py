"""What is wrong with the words of a command line: one sentence, with the nearest right option or value."""

import re
import warnings
from argparse import Action
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import tyro

BOX = re.compile(r"[─│╭╮╰╯]|For full helptext.*", flags=re.DOTALL)


def explain(command: Callable[..., Any], words: Sequence[str]) -> str:
    """Return what keeps the words after the name of a command from being understood; "" if nothing is seen.

    Args:
        command: The function; its parameters are the options.
        words: The words after its name.

    Example:
        >>> def paint(size: int, wet: bool = False) -> None: ...
        >>> explain(paint, ["--size", "3", "--wett"])
        '--wett is unknown; did you mean --wet?'
        >>> explain(paint, ["--size", "big"])
        "--size takes a whole number, not 'big'"
    """
    actions = _actions(command)
    options = {spelling: action for action in actions for spelling in action.option_strings}
    missing = [action for action in actions if action.required and action.option_strings]
    free_words, after_flag = list[str](), list[Action]()
    remaining, flag = deque(words), None

    while remaining:
        word = remaining.popleft()
        if not _is_option(word):
            free_words.append(word)
            after_flag += [flag] if flag else []
            flag = None
            continue

        spelling, equals, value = word.partition("=")
        spelling = spelling.replace("_", "-")
        if spelling not in options:
            return f"{spelling} is unknown; {_nearest_option(spelling, options, command.__name__)}"

        flag, action = None, options[spelling]
        missing = [each for each in missing if each is not action]
        if action.nargs == 0:
            if equals:
                return _no_value(action)
            flag = action
            continue

        if not equals:
            if not remaining or _is_option(remaining[0]):
                return f"{spelling} needs a value"
            value = remaining.popleft()
        if problem := _wrong_value(spelling, value, action):
            return problem

    positional = [action for action in actions if not action.option_strings]
    return _wrong_number(command.__name__, positional, free_words, after_flag, missing)


def explain_command(names: Sequence[str], words: Sequence[str]) -> str:
    """Return which command the words may have meant.

    Example:
        >>> explain_command(["fit", "data"], ["fitt"])
        "there is no command 'fitt'; did you mean fit?"
    """
    if not words:
        return f"name a command: {_in_words(names)}; `l2rclip --help` says what they do"

    cure = _did_you_mean(words[0], names) or f"choose one of {', '.join(names)}"
    return f"there is no command {words[0]!r}; {cure}"


def unboxed(text: str) -> str:
    """Return what tyro has drawn into a box as one line.

    Example:
        >>> unboxed("╭─ Value error ─╮\\n│ no number     │\\n╰───────────────╯")
        'Value error no number'
    """
    return " ".join(BOX.sub(" ", text).split())


def _actions(command: Callable[..., Any]) -> list[Action]:
    """Return the options and positional words of a command as `argparse` describes them."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # tyro means to replace this function, by what it does not say
        parser = tyro.extras.get_parser(command, config=(tyro.conf.DisallowNone,))
    return list(parser._actions)


def _is_option(word: str) -> bool:
    """Return whether a word is an option, which neither a lone - nor a negative number is."""
    return re.match(r"--?[A-Za-z]", word) is not None


def _wrong_number(
    name: str,
    positional: Sequence[Action],
    free_words: Sequence[str],
    after_flag: Sequence[Action],
    missing: Sequence[Action],
) -> str:
    """Return which words are missing, or too many; "" if neither."""
    takes_any = any(action.nargs == "*" for action in positional)
    if len(free_words) > len(positional) and not takes_any:
        if after_flag:
            return _no_value(after_flag[0])
        return f"{free_words[len(positional)]!r} is one word too many for `l2rclip {name}`"

    needed = [action for action in positional if action.required][len(free_words) :]
    spelt = [str(action.metavar or action.dest) for action in needed]
    spelt += [action.option_strings[0] for action in missing]
    if spelt:
        return f"{name} needs {' and '.join(spelt)}; `l2rclip {name} --help` shows examples"
    return ""


def _no_value(action: Action) -> str:
    """Say how a flag is written."""
    return f"{action.option_strings[0]} takes no value; use {_in_words(action.option_strings)}"


def _wrong_value(spelling: str, value: str, action: Action) -> str:
    """Return why an option cannot have this value; "" if it can."""
    kind = str(action.metavar)
    if kind.startswith("{"):
        choices = kind.strip("{}").split(",")
        if value in choices:
            return ""
        cure = _did_you_mean(value, choices)
        return f"{spelling} takes {_in_words(choices)}, not {value!r}{cure and f'; {cure}'}"

    try:
        if kind == "INT":
            int(value)
        elif kind == "FLOAT":
            float(value)
    except ValueError:
        number = "a whole number" if kind == "INT" else "a number"
        return f"{spelling} takes {number}, not {value!r}"
    return ""


def _nearest_option(spelling: str, options: dict[str, Action], name: str) -> str:
    """Return the nearest option by its name, else by the words of its help."""
    if cure := _did_you_mean(spelling, options):
        return cure

    parts = re.findall(r"\w{4,}", spelling.lower())
    described = list[tuple[int, str]]()
    for option, action in options.items():
        sentence = re.split(r"[.;]", str(action.help).lower())[0].split()
        if parts and all(get_close_matches(part, sentence, cutoff=0.8) for part in parts):
            described.append((len(sentence), option))
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
