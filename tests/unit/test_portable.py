"""The source of both packages: nothing that Windows lacks, and imports that go one way."""

import ast
import graphlib
from pathlib import Path

import l2rclip_book
import l2rclip_lite

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
MODULES |= {"subprocess"}  # a command starts no other program, `make` neither
NAMES = {"fork", "kill", "killpg", "mkfifo", "mknod", "chown", "getuid", "setsid", "uname"}
NAMES |= {"statvfs", "system", "popen", "alarm", "SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1"}
BINARY = {"rb", "wb", "ab", "r+b"}
OTHER_OPENERS = {"Image", "tarfile", "os"}  # whose `open` gives no text


def read_sources() -> dict[str, ast.Module]:
    """Return the modules of both packages, by name."""
    trees = {}
    for package in [*l2rclip_lite.__path__, *l2rclip_book.__path__]:
        folder = Path(package)
        for file in folder.rglob("*.py"):
            name = ".".join([folder.name, *file.relative_to(folder).with_suffix("").parts])
            tree = ast.parse(file.read_text(encoding="utf-8"))
            trees[name.removesuffix(".__init__")] = tree
    return trees


TREES = read_sources()


def lacks_encoding(call: ast.Call) -> bool:
    """Return whether a call opens, reads or writes text in whatever encoding the system has."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    owner = getattr(getattr(call.func, "value", None), "id", "")
    words = {word.value for word in call.args if isinstance(word, ast.Constant)}
    opens = name == "open" and owner not in OTHER_OPENERS and not words & BINARY
    is_method = isinstance(call.func, ast.Attribute)
    is_text = opens or (is_method and name in ("read_text", "write_text"))
    return is_text and "encoding" not in {keyword.arg for keyword in call.keywords}


def problems(tree: ast.Module) -> set[str]:
    """Return why a module does not run everywhere."""
    seen: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported = {alias.name for alias in node.names} | {getattr(node, "module", "")}
            seen |= imported & (MODULES | NAMES)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("os", "signal"):
            seen |= {node.attr} & NAMES
        if isinstance(node, ast.Call) and lacks_encoding(node):
            seen.add(f"line {node.lineno}: no encoding")
    return seen


def test_nothing_needs_posix() -> None:
    """No such module, call or signal, no text in any encoding."""
    assert {"l2rclip_lite.data.table", "l2rclip_book.report"} <= TREES.keys()
    for name, tree in TREES.items():
        assert problems(tree) == set(), name


def imported_by(tree: ast.Module) -> set[str]:
    """Return the modules that a module imports, also within functions and for annotations alone."""
    modules = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            home = getattr(node, "module", alias.name)
            whole = f"{home}.{alias.name}"
            modules.add(whole if whole in TREES else home)
    return modules


def test_imports_go_one_way() -> None:
    """There is no cycle; the package imports nothing of the book, which it looks up."""
    graph = {name: imported_by(tree) for name, tree in TREES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises where modules import each other
    assert "l2rclip_lite.runs.results" in graph["l2rclip_book.report"]
    for name, homes in graph.items():
        if name.startswith("l2rclip_lite"):
            assert not any(home.startswith("l2rclip_book") for home in homes), name
