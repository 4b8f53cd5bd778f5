"""Where the listed pictures lie: one walk through a folder, no picture opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from l2rclip_lite.errors import InputError


def find_files(root: Path, names: Iterable[str]) -> dict[str, str]:
    """The files of these names, anywhere under a folder; none of them is opened.

    A name of two components matches a file by its folder and its name. Upper and lower case may differ
    unless that makes the answer ambiguous. Folders that are links are not entered.

    Args:
        root: The folder to search.
        names: Names as `read_list` gives them.

    Returns:
        {name: path} without the names that are nowhere; text, because 55,134 `Path`s take half a second.

    Raises:
        InputError: No such folder, a name that is found twice, or a link that leads out of the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "anna").mkdir()
        ...     (Path(folder) / "anna" / "1.JPG").touch()
        ...     found = find_files(Path(folder), ["anna/1.jpg", "ben/1.jpg"])
        ...     {name: os.path.basename(file) for name, file in found.items()}
        {'anna/1.jpg': '1.JPG'}
    """
    wanted: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        wanted.setdefault(name.casefold(), []).append(name)
    depths = {name.count("/") + 1 for name in wanted}
    exact: dict[str, str] = {}
    folded: dict[str, list[str]] = {}
    links: set[str] = set()
    for path, is_link in _files(root):
        if is_link:
            links.add(path)
        parts = path.replace(os.sep, "/").split("/")
        for tail in ["/".join(parts[-depth:]) for depth in depths]:
            for name in wanted.get(tail.casefold(), ()):
                if name != tail:
                    folded.setdefault(name, []).append(path)
                elif name in exact:
                    raise _twice(name, exact[name], path)
                else:
                    exact[name] = path
    taken = set(exact.values())  # "A.jpg" is not "a.jpg" where the list has both
    for name, paths in folded.items():
        free = [path for path in paths if path not in taken]
        if name not in exact and free:
            if len(free) > 1:
                raise _twice(name, free[0], free[1])
            exact[name] = free[0]
    both = {path: name for name, path in exact.items()}
    for name, path in exact.items():
        if both[path] != name:
            raise InputError(
                f"{path} is the only file for both {name} and {both[path]}; the list tells upper and lower case "
                "apart, so keep the names as they were published."
            )
    top = root.resolve()
    for name, path in exact.items():
        if path in links and not Path(path).resolve().is_relative_to(top):
            raise InputError(
                f"{path}: the link leads out of {root}; copy the picture of {name} there instead."
            )
    return exact


def _files(root: Path) -> Iterator[tuple[str, bool]]:
    """Every file under the folder, and whether it is a link."""
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):  # known from the listing, nothing is looked up
                        yield entry.path, False
                    elif entry.is_symlink() and os.path.isfile(entry.path):  # not to nothing or to itself
                        yield entry.path, True
        except OSError as error:
            raise InputError(
                f"{folder}: the folder cannot be read ({error.strerror}); name the folder of the pictures."
            ) from error


def _twice(name: str, first: str, second: str) -> InputError:
    """The same name in two places: which of them the list means, nobody knows."""
    first, second = sorted((first, second))
    return InputError(
        f"{name} lies in two places, {first} and {second}; remove one, or name a narrower root."
    )
