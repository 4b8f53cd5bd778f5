"""Options that several commands share, and sentences for those that were misspelt.

Nothing here needs torch, so that help and errors answer at once.
"""

from __future__ import annotations

import difflib
import io
import re
import sys
import textwrap
from argparse import RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from l2rclip_lite.choices import FROZEN, PROBES, TRAINED
from l2rclip_lite.errors import InputError

NAMES = ("leaves", "bracol", "csv", "retinamnist", "morph", "clap2015", "adience", "hci", "aesthetics")
DATA_OPTIONS: dict[str, tuple[type, str]] = {  # what `load_dataset` takes besides the name
    "root": (str, "All but leaves: folder of the pictures."),
    "lists": (str, "Folder of the official split lists (default: ROOT/datalists)."),
    "protocol": (str, "morph, clap2015, aesthetics: which split; `l2rclip data NAME` lists them."),
    "fold": (int, "bracol 1 to 5; morph, adience, hci, aesthetics as `l2rclip data NAME` says."),
    "category": (str, "aesthetics: animals, nature, people or urban."),
    "labels": (str, "csv: the labels file, absolute or relative to the root."),
    "ranks": (str, "csv: the names, lowest first, with commas; leaves: their number."),
    "template": (str, "csv: a sentence with {rank} where the name goes."),
    "size": (int, "leaves: number of pictures."),
    "pixels": (int, "leaves, retinamnist: side of the pictures."),
    "data_seed": (int, "Seed of generated pictures and of splits that are drawn."),
    "allow_missing": (bool, "Go on without the listed pictures that are not there; the run records them."),
    "allow_empty_ranks": (bool, "csv: a rank may have no training picture."),
    "subject_disjoint": (bool, "Split anew so that nobody stands in two splits."),
    "rebin": (int, "Merge neighbouring ranks into so many."),
    "hold_out": (
        int,
        "Unseen ranks: 3 takes a third of those between the ends out of training and validation.",
    ),
    "label_shift": (
        str,
        "RANKS:KEEP, such as 10:0.1: the 10 most frequent ranks keep a tenth of their pictures.",
    ),
    "long_tail": (float, "Thin the training ranks out to this ratio of most to fewest pictures."),
    "few_shot": (int, "Keep so many training pictures a rank."),
    "protocol_seed": (int, "Seed of what the six options above draw or choose."),
}


class _Help(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Types and defaults from jsonargparse, examples as they are written."""


class Parser(ArgumentParser):
    """Options with hyphens, in groups too: jsonargparse copies `add_argument`. `main` words the errors."""

    def __init__(self, usage: str, description: str, examples: str = "", **options: Any) -> None:
        options |= {"formatter_class": _Help, "exit_on_error": False, "allow_abbrev": False}
        super().__init__(usage=usage, description=description, epilog=examples, **options)

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Spell `--batch_size` as `--batch-size`."""
        return super().add_argument(*(a.replace("_", "-") if a[:2] == "--" else a for a in args), **kwargs)


def add_data_options(parser: ArgumentParser) -> None:
    """Everything `load_dataset` takes, as options; none of them has a default of its own."""
    group = parser.add_argument_group("the data set")
    for name, (kind, about) in DATA_OPTIONS.items():
        if kind is bool:
            group.add_argument(f"--{name}", action="store_true", help=about)
        else:
            group.add_argument(f"--{name}", type=kind | None, help=about)


def data_options(options: Namespace, name: str) -> dict[str, Any]:
    """What was given for `load_dataset`, and nothing else: the loaders know their own defaults.

    Args:
        options: The parsed command line.
        name: The data set.

    Returns:
        Keyword arguments of `load_dataset`, ready for JSON.

    Raises:
        InputError: `--ranks` of `leaves` is no number.
    """
    given = {
        key: options[key] for key in DATA_OPTIONS if options[key] is not None and options[key] is not False
    }
    if "data_seed" in given:
        given["seed"] = given.pop("data_seed")
    for folder in ("root", "lists"):
        if folder in given:
            given[folder] = str(Path(given[folder]).absolute())  # so that `evaluate` finds it from any folder
    if name == "leaves" and "ranks" in given:
        if not given["ranks"].isdecimal():
            raise InputError(f"--ranks: leaves takes the number of ranks, such as 5, not {given['ranks']!r}.")
        given["ranks"] = int(given["ranks"])
    return given


def listed_baselines() -> str:
    """The baselines, for the end of the help."""
    shown = {}
    for title, names in (("probes", PROBES), ("trained", TRAINED)):
        shown[title] = textwrap.fill(
            ", ".join(names), 96, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False
        )
    return f"""baselines:
  without training a network:
{shown["probes"]}
  fine-tuning the image tower under another loss, with the epochs and learning rate of stage 2:
{shown["trained"]}
  each of these with {FROZEN} behind its name, such as coral{FROZEN}: only what stands on the tower, on image features
  that are computed once, with the epochs and learning rate of stage 1"""


def kebab(words: Sequence[str]) -> list[str]:
    """Accept `--batch_size` for `--batch-size`; paths of `fit` and `data` never begin so."""
    if list(words[:1]) not in (["fit"], ["data"]):
        return list(words)
    return [re.sub(r"^--\w+", lambda match: match[0].replace("_", "-"), word) for word in words]


def escape_unshowable() -> None:
    """Let stdout write what the terminal's encoding lacks as an escape: a name is no reason to end a run."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def usage_sentence(message: str, parsers: Mapping[str, ArgumentParser], word: str) -> str:
    """One sentence from what jsonargparse says on several lines, about the command that the first word names."""
    text = " ".join(message.split())
    command = word if word in parsers else "l2rclip"
    parser = parsers[command]
    see = "see `l2rclip --help`" if command == "l2rclip" else f"see `l2rclip {command} --help`"
    missing = re.search(r'required: (.*)$|ey "([\w.]+)" is required', text)
    if missing:
        dests = (missing[1] or missing[2]).split(", ")
        return f"missing: {', '.join(_shown(dest, parser) for dest in dests)}; {see}."
    key = re.search(r'[Kk]ey "([\w.]+)"', text)
    value = re.search(r"(?:Got|Given) value: (.*)$", text)
    if key and value:
        return f"{_shown(key[1], parser)} does not take {value[1]!r}; {see}."
    unknown = re.search(r"[Uu]nrecognized arguments: (--[^\s=]+)", text)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(unknown[1], known, n=1)
        return f"there is no option {unknown[1]}{f', did you mean {near[0]}' if near else ''}; {see}."
    return f"{text.rstrip('.')}; {see}."


def _shown(dest: str, parser: ArgumentParser) -> str:
    """How an argument is written on the command line: `fit.batch_size` is `--batch-size`, `run` is `RUN`."""
    words = {a.dest: a.option_strings[0] if a.option_strings else a.metavar for a in parser._actions}
    return str(words.get(dest.split(".")[-1], dest))
