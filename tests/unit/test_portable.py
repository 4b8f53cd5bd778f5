"""The source of both packages of the wheel, read: nothing that Windows lacks, and no two modules that import each other."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import l2rclip_book
import l2rclip_lite

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
MODULES |= {"subprocess"}  # a command starts no other program, `make` neither
NAMES = {
    "fork",
    "kill",
    "killpg",
    "mkfifo",
    "mknod",
    "chown",
    "getuid",
    "setsid",
    "uname",
    "statvfs",
}
NAMES |= {
    "system",
    "popen",
    "SIGKILL",
    "SIGHUP",
    "SIGALRM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGCHLD",
    "alarm",
}
FILES = {
    ".".join([path.name, *file.relative_to(path).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): file
    for path in map(Path, [*l2rclip_lite.__path__, *l2rclip_book.__path__])
    for file in path.rglob("*.py")
}
FOLDERS = {"folder", "root", "out", "run", "cache", "directory", "top", "parent"}
OTHER_OPENERS = {"Image", "tarfile", "os"}  # whose `open` gives no text


def in_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text."""
    on = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "open":
        given = {each.value for each in call.args if isinstance(each, ast.Constant)}
        return getattr(on, "id", "") not in OTHER_OPENERS and not given & {"rb", "wb", "ab", "r+b"}
    return on is not None and name in ("read_text", "write_text")


def problems(source: str) -> Iterator[str]:
    """What keeps a source from running everywhere, with its line."""
    for node in ast.walk(ast.parse(source)):
        where = f"line {getattr(node, 'lineno', 0)}: "
        if isinstance(node, ast.Import | ast.ImportFrom):
            taken = {alias.name for alias in node.names} | {getattr(node, "module", "")}
            yield from (f"{where}{name}" for name in taken & (MODULES | NAMES))
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("os", "signal"):
            yield from (f"{where}{name}" for name in {node.attr} & NAMES)
        elif isinstance(node, ast.Call) and in_text(node):
            if "encoding" not in {word.arg for word in node.keywords}:
                yield f"{where}no encoding"
        elif isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                name = getattr(getattr(value, "value", None), "id", "")
                if name in FOLDERS and str(getattr(text, "value", "")).startswith("/"):
                    yield f"{where}{name} + /"
        elif isinstance(node, ast.BinOp) and str(getattr(node.right, "value", "")).startswith("/"):
            yield f"{where}+ /"


def test_nothing_needs_posix() -> None:
    """No POSIX-only module, call or signal, no path glued with a slash, no text in whatever encoding the machine has."""
    assert {
        "l2rclip_lite.data.table",
        "l2rclip_book.report",
    } <= FILES.keys()  # both packages were read
    found = {name: list(problems(file.read_text(encoding="utf-8"))) for name, file in FILES.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_imports_go_one_way() -> None:
    """No cycle, also counting imports within functions and those for annotations alone."""
    graph = {}
    for name, file in FILES.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        taken = [
            (getattr(node, "module", each.name), each.name) for node in nodes for each in node.names
        ]
        graph[name] = {
            f"{home}.{part}" if f"{home}.{part}" in FILES else home for home, part in taken
        }
    graphlib.TopologicalSorter(graph).prepare()  # raises where modules import each other
    assert "l2rclip_lite.results" in graph["l2rclip_book.report"]
