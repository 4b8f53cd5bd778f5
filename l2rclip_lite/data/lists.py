"""Split lists as the benchmarks publish them, and the images that they name: nothing is opened but the lists."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from l2rclip_lite.data.benchmarks import DataSet
from l2rclip_lite.data.tables import read_table, refuse
from l2rclip_lite.errors import InputError


def read_lists(files: Sequence[Path], facts: DataSet) -> pd.DataFrame:
    r"""The rows of lists that belong together.

    Cells are separated by tabs, commas or spaces; there may be a header. Only the last `facts.keep` components of a
    path are kept, so what the list's author had before them ("../../", "./images/") is of no matter.

    Args:
        files: The list files, in order.
        facts: How the lists are made and the labels are counted. With a `span` labels are rounded, and those between its
            ends and the ranks join the first and the last rank.

    Returns:
        Columns `path`, `target` (the rank index), `where`, `list` (which of the files), `subject` and `deviation` if
        known, and those of a header.

    Raises:
        InputError: A file that cannot be read, or a row that is not as it should be, or listed twice.

    Example:
        >>> import tempfile
        >>> from l2rclip_lite.data.benchmarks import DATA_SETS
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "hci.txt"
        ...     _ = file.write_text("./images/a.jpg 1930s\r\n\r\n./images/b.jpg 1940s")
        ...     read_lists([file], DATA_SETS["hci"])[["path", "target", "where"]]
            path  target          where
        0  a.jpg       0  hci.txt row 1
        1  b.jpg       1  hci.txt row 3
    """
    tables = [read_table(file, facts.columns, header=None).assign(list=n) for n, file in enumerate(files)]
    table = pd.concat(tables, ignore_index=True)
    paths = table[facts.columns[0]].str.replace("\\", "/") + facts.suffix
    table["path"] = ["/".join(path.split("/")[-facts.keep :]) for path in paths]
    malformed = ~table["path"].str.fullmatch(facts.pattern)
    refuse(table, malformed, "the name {path!r:.80} is not made as {like}; correct it.", like=facts.example)
    again = table.assign(before=table.groupby(table["path"].str.casefold())["where"].transform("first"))
    twice = "the image {path} is listed in {before} already; remove one of them."
    refuse(again, table["path"].str.casefold().duplicated(), twice)
    if "(?P<" in facts.pattern:
        table = table.assign(**table["path"].str.extract(facts.pattern))
    table["label"] = table[facts.columns[1]]
    number = pd.to_numeric(table["label"].str.removesuffix("s"), errors="coerce")  # "1930s"
    last = len(facts.ranks or ()) - 1
    low, high = facts.span or (facts.first, facts.first + facts.step * last)
    kind, steps = ("number", "") if facts.span else ("whole number", f" in steps of {facts.step}")
    wrong = f"the label {{label!r:.80}} is no {kind} from {low} to {high}{steps}; correct it."
    target = ((number.round() if facts.span else number) - facts.first) / facts.step
    refuse(table, ~(number.round().between(low, high) & (target % 1 == 0)), wrong)
    table["target"], table["number"] = target.clip(0, last).astype(int), number
    if "named" in table:
        wrong = "the label is {label}, but {named} in the name {path!r}; correct one of them."
        refuse(table, table["named"].astype(float) != number, wrong)
    if "stdv" in table:
        table["deviation"] = pd.to_numeric(table["stdv"], errors="coerce")
        valid = table["deviation"].between(0, np.inf, inclusive="left")
        refuse(table, ~valid, "the stdv {stdv!r:.80} is no number from 0; correct it.")
    return table


def find_images(root: str | Path, names: Sequence[str]) -> list[str]:
    """The files of these names, anywhere under a folder; none of them is opened.

    A name of two components matches a file by its folder and its name. Upper and lower case do not matter. Folders that
    are links are not entered.

    Args:
        root: The folder to search.
        names: Names as `read_lists` gives them, all of as many components.

    Returns:
        The path of each name, "" where there is none.

    Raises:
        InputError: A name that is found twice, or a link that leads out of the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "anna").mkdir()
        ...     (Path(folder) / "anna" / "1.JPG").touch()
        ...     [os.path.basename(file) for file in find_images(folder, ["anna/1.jpg", "ben/1.jpg"])]
        ['1.JPG', '']
    """
    above, top = names[0].count("/"), os.path.join(os.path.realpath(root), "")
    wanted, found = {name.casefold() for name in names}, dict[str, str]()
    for folder, _, files in os.walk(root):  # pathlib takes three times as long for 55,134 images
        prefix = [*Path(folder).parts[-above:]] if above else []
        for file in files:
            name, path = "/".join([*prefix, file]).casefold(), os.path.join(folder, file)
            if name not in wanted:
                continue
            if name in found:
                raise InputError(f"{name} is in two places, {found[name]} and {path}; name a narrower root.")
            if os.path.islink(path) and not os.path.realpath(path).startswith(top):
                raise InputError(f"{path}: the link leads out of {root}; copy the image there instead.")
            found[name] = path
    return [found.get(name.casefold(), "") for name in names]
