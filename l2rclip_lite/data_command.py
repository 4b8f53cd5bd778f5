"""The command `l2rclip data`: what a data set is, what is in it, what leaks, and a fixture to try it on.

Whatever needs torch or matplotlib is imported when it is asked for, so that help answers at once.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from l2rclip_lite.errors import InputError
from l2rclip_lite.options import NAMES, Parser, add_data_options, data_options

if TYPE_CHECKING:
    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.ranks import Ranks

EXAMPLES = """examples:
  l2rclip data
      the nine data sets
  l2rclip data morph
      its card: source, licence, terms, known leakage, protocols and folds
  l2rclip data morph --download DIR/datalists
      the official split lists, which are free; the faces are not, ask their owner
  l2rclip data morph --root DIR --protocol rs-partial --fold 0 --histogram morph.png
      how many pictures each rank has, as a table and as a figure
  l2rclip data morph --lists DIR/datalists --protocol rs-partial --leakage
      who stands in training and in test, for every fold; needs no picture
  l2rclip data morph --make-fixture DIR
      a small drawn stand-in with the true layout, to try everything without owning the faces"""
WIDTH = 100  # of the text of a card
BAR = 40  # the longest bar
FIGURES = (".png", ".svg")


def data_parser() -> Parser:
    """The options of `l2rclip data`.

    Example:
        >>> data_parser().parse_args(["hci", "--leakage", "--fold", "3"]).fold
        3
    """
    about = "Describe a data set: its card, its counts, its leakage; download it or make a fixture."
    parser = Parser("l2rclip data [NAME] [options]", about, EXAMPLES)
    parser.add_argument(
        "name", type=str | None, nargs="?", metavar="NAME", help=f"One of {', '.join(NAMES)}."
    )
    parser.add_argument("--leakage", action="store_true", help="Print what training and test share.")
    parser.add_argument("--histogram", type=str | None, metavar="FILE", help="Draw the counts: .png or .svg.")
    parser.add_argument(
        "--make-fixture", type=str | None, metavar="DIR", help="Write drawn pictures in the true layout."
    )
    parser.add_argument(
        "--download", type=str | None, metavar="DIR", help="Fetch what is free: pictures, or split lists."
    )
    add_data_options(parser)
    return parser


def run_data(options: Namespace) -> int:
    """Run `l2rclip data`.

    Args:
        options: What `data_parser` makes of a command line.

    Returns:
        0.

    Raises:
        InputError: An unknown data set, options that do not go together, or data that cannot be used.

    Example:
        >>> run_data(data_parser().parse_args(["csv", "--download", "here"]))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: there is nothing to download; these are your own pictures.
    """
    name, wishes = options.name, _wishes(options)
    if len(wishes) > 1:
        raise InputError(f"data: {' and '.join(wishes)} do not go together; give one of them.")
    if name is None:
        if wishes or data_options(options, ""):
            raise InputError(f"data: name a data set before its options, one of {', '.join(NAMES)}.")
        print(_table())
        return 0
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(NAMES)}."
        raise InputError(f"there is no data set {name!r}; {hint}")
    given = data_options(options, name)
    if options.download is not None:
        print(_download(name, options.download, **_only("--download", given, "pixels")))
    elif options.make_fixture is not None:
        print(_fixture(name, options.make_fixture, **_only("--make-fixture", given, "lists", "seed")))
    elif options.leakage:
        print(_leakage(name, given))
    else:
        if not given and options.histogram is None:
            print(_card(name))
            if name != "leaves":  # the only one that needs no folder
                return 0
            print()
        _show(name, given, options.histogram)
    return 0


def _wishes(options: Namespace) -> list[str]:
    """Which of the four things besides a card are asked for."""
    wishes = ("leakage", "histogram", "make_fixture", "download")
    return [f"--{wish.replace('_', '-')}" for wish in wishes if options[wish] not in (None, False)]


def _only(wish: str, given: Mapping[str, Any], *taken: str) -> dict[str, Any]:
    """The options that go with a wish; another one would be ignored, so it is refused."""
    for key in given:
        if key not in taken:
            shown = "--data-seed" if key == "seed" else f"--{key.replace('_', '-')}"
            raise InputError(f"data: {shown} does nothing beside {wish}; leave it out.")
    return dict(given)


def _download(name: str, folder: str, **options: Any) -> str:
    """Fetch pictures or lists, and say what comes next."""
    from l2rclip_lite.data import download_bracol, download_official_lists, download_retinamnist

    if name == "leaves":
        raise InputError("leaves: there is nothing to download; these pictures are generated.")
    if name == "csv":
        raise InputError("csv: there is nothing to download; these are your own pictures.")
    if name == "retinamnist":
        download_retinamnist(folder, **options)
        return f"{name} is in {folder}.\nNext: l2rclip data {name} --root {folder}"
    _only("--download", options)
    if name == "bracol":
        download_bracol(folder)
        return f"{name} is in {folder}.\nNext: l2rclip data {name} --root {folder}"
    download_official_lists(folder)
    return (
        f"The official split lists are in {folder}; the pictures come from their owner, as "
        f"`l2rclip data {name}` says.\nNext: l2rclip data {name} --lists {folder}"
    )


def _fixture(name: str, folder: str, **options: Any) -> str:
    """Write a fixture, and say what comes next."""
    from l2rclip_lite.data.fixtures import CSV_RANKS, make_fixture

    make_fixture(name, folder, **options)
    words = f' --ranks "{",".join(CSV_RANKS)}"' if name == "csv" else ""
    return (
        f"A synthetic fixture of {name} is in {folder}: its pictures are drawn, results on it mean nothing.\n"
        f"Next: l2rclip fit --dataset {name} --root {folder}{words} --out runs/{name}-fixture"
    )


def _leakage(name: str, given: Mapping[str, Any]) -> str:
    """The report on every fold of a protocol, or on the one that was given."""
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.data.catalogue import catalogue
    from l2rclip_lite.data.leakage import leakage_report

    protocols = catalogue()[name].folds
    folds = protocols.get(given.get("protocol", next(iter(protocols))), ())
    if "fold" in given or not folds:  # a protocol that does not exist is refused by the loader
        return leakage_report(lambda _: load_dataset(name, **given), (given.get("fold", 0),))
    return leakage_report(lambda fold: load_dataset(name, **given, fold=fold), folds)


def _show(name: str, given: Mapping[str, Any], histogram: str | None) -> None:
    """The counts of the data that was asked for, as text and as a figure."""
    from l2rclip_lite.data import load_dataset

    if histogram is not None and Path(histogram).suffix.lower() not in FIGURES:
        raise InputError(f"--histogram: {histogram} must end in {' or '.join(FIGURES)}.")
    data = load_dataset(name, **given)
    print(_counts(data))
    if histogram is not None:
        from l2rclip_lite.files import write_atomically
        from l2rclip_lite.plots import rank_histogram, style

        file = Path(histogram)
        kind = file.suffix.lower()[1:]
        stamp = {"Date": None} if kind == "svg" else None  # the same data give the same bytes
        with style():
            write_atomically(
                file, lambda path: rank_histogram(data).savefig(path, format=kind, dpi=150, metadata=stamp)
            )
        print(f"\nThe histogram is in {file}.")


def _counts(data: OrdinalDataset) -> str:
    """Pictures a rank and split in aligned columns, the training pictures also as bars."""
    columns = [data.counts(split) for split in ("train", "val", "test")]
    names = ["rank", *data.ranks.names, "all"]
    width = max(map(len, names))
    cells = [["train", "val", "test"]]
    cells += [[f"{count:,}" for count in row] for row in zip(*columns, strict=True)]
    cells += [[f"{sum(column):,}" for column in columns]]
    wide = [max(len(row[at]) for row in cells) for at in range(3)]
    most = max(columns[0])
    bars = ["# train", *("#" * -(-BAR * count // most) for count in columns[0]), ""]
    lines = [
        f"{name:<{width}}  {'  '.join(f'{cell:>{w}}' for cell, w in zip(row, wide, strict=True))}  {bar}".rstrip()
        for name, row, bar in zip(names, cells, bars, strict=True)
    ]
    facts = [_field("data", f"{data.card.title}; licence: {data.card.licence}")]
    facts += [_field("split", step) for step in data.protocol]
    if data.missing:
        facts.append(
            _field("missing", f"{len(data.missing):,} listed pictures, the first is {data.missing[0]}")
        )
    return "\n".join([*facts, "", *lines])


def _field(label: str, text: str) -> str:
    """One entry of a card, with a hanging indent."""
    return textwrap.fill(
        text, WIDTH, initial_indent=f"{label:<10}", subsequent_indent=" " * 10, break_on_hyphens=False
    )


def _card(name: str) -> str:
    """All that is known about a data set before a picture is seen."""
    from l2rclip_lite.data.catalogue import catalogue

    facts = catalogue()[name]
    card = facts.card.to_dict()
    keys = ("name", "title", "source", "licence", "citation", "terms", "leakage", "notes")
    fields = [(key, card[key]) for key in keys]
    fields += [("ranks", _ranks(facts.ranks, whole=True)), ("pictures", facts.pictures)]
    for protocol, folds in facts.folds.items():
        words = [f"--protocol {protocol}"] if protocol else []
        words += [f"--fold {folds[0]} to {folds[-1]}"] if len(folds) > 1 else []
        fields.append(
            (
                "split",
                ": ".join([", ".join(words), facts.said[protocol]] if words else [facts.said[protocol]]),
            )
        )
    return "\n".join(_field(label, text) for label, text in fields if text)


def _ranks(ranks: Ranks | None, *, whole: bool) -> str:
    """How many ranks, in which unit, and for a card their words."""
    if ranks is None:
        return "your choice"
    if not whole:
        return f"{len(ranks)} ({ranks.unit})"
    names = ranks.names if len(ranks) <= 10 else (*ranks.names[:2], "...", ranks.names[-1])
    return f"{len(ranks)}, unit {ranks.unit}, lowest first: {', '.join(names)}; as in {ranks.sentences[0]!r}"


def _table() -> str:
    """One line a data set."""
    from l2rclip_lite.data.catalogue import catalogue

    rows = [("name", "title", "ranks (unit)", "pictures", "licence")]
    for facts in catalogue().values():
        licence = facts.card.licence.split(";")[0]
        pictures = facts.pictures if facts.pictures[0].isdigit() else "any"
        rows.append((facts.card.name, facts.card.title, _ranks(facts.ranks, whole=False), pictures, licence))
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(
        [*lines, "", "`l2rclip data NAME` shows the card of one, `l2rclip data --help` what else there is."]
    )
