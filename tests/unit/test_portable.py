"""The source of both packages: nothing that Windows lacks, and imports that go one way."""

import ast
import graphlib
from pathlib import Path

import pytest

import l2rclip_book
import l2rclip_lite

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
MODULES |= {"subprocess"}  # a command starts no other program, `make` neither
NAMES = {"fork", "kill", "killpg", "mkfifo", "mknod", "chown", "getuid", "setsid", "uname"}
NAMES |= {"statvfs", "system", "popen", "alarm"}
NAMES |= {"SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD"}
FOLDERS = {"folder", "root", "out", "run", "cache", "directory", "top", "parent"}
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


# --- portability --------------------------------------------------------------------------------


def opens_text(call: ast.Call) -> bool:
    """Return whether a call opens, reads or writes a file as text."""
    if isinstance(call.func, ast.Name):
        owner = ""
        name = call.func.id
    elif isinstance(call.func, ast.Attribute):
        owner = getattr(call.func.value, "id", "a path")
        name = call.func.attr
    else:
        return False

    if name == "open":
        constants = {word.value for word in call.args if isinstance(word, ast.Constant)}
        binary = constants & {"rb", "wb", "ab", "r+b"}
        return owner not in OTHER_OPENERS and not binary
    return owner != "" and name in ("read_text", "write_text")


def begins_with_slash(node: ast.AST) -> bool:
    """Return whether a node is a text that begins with a slash."""
    return str(getattr(node, "value", "")).startswith("/")


def glued_folders(text: ast.JoinedStr) -> set[str]:
    """Return the folders of an f-string that a slash follows."""
    names = set()
    for value, following in zip(text.values, text.values[1:], strict=False):
        name = getattr(getattr(value, "value", None), "id", "")
        if name in FOLDERS and begins_with_slash(following):
            names.add(f"{name} + /")
    return names


def problems_of(node: ast.AST) -> set[str]:
    """Return why a node does not run everywhere."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        imported = {alias.name for alias in node.names} | {getattr(node, "module", "")}
        return imported & (MODULES | NAMES)
    if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("os", "signal"):
        return {node.attr} & NAMES
    if isinstance(node, ast.Call) and opens_text(node):
        if "encoding" in {keyword.arg for keyword in node.keywords}:
            return set()
        return {"no encoding"}
    if isinstance(node, ast.JoinedStr):
        return glued_folders(node)
    if isinstance(node, ast.BinOp) and begins_with_slash(node.right):
        return {"+ /"}
    return set()


def problems(tree: ast.Module) -> list[str]:
    """Return why a module does not run everywhere, each with its line."""
    lines = []
    for node in ast.walk(tree):
        for problem in problems_of(node):
            lines.append(f"line {getattr(node, 'lineno', 0)}: {problem}")
    return lines


def test_both_packages_are_read() -> None:
    """By their modules' names."""
    assert {"l2rclip_lite.data.table", "l2rclip_book.report"} <= TREES.keys()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import fcntl", "fcntl"),
        ("os.kill(1, 9)", "kill"),
        ("signal.SIGKILL", "SIGKILL"),
        ("open(file)", "no encoding"),
        ("file.read_text()", "no encoding"),
        ("f'{folder}/x'", "folder + /"),
        ("folder + '/x'", "+ /"),
    ],
)
def test_what_runs_on_one_system_only_is_seen(source: str, problem: str) -> None:
    """Also where it is the only line."""
    assert problems(ast.parse(source)) == [f"line 1: {problem}"]


@pytest.mark.parametrize(
    "source", ["open(file, 'rb')", "Image.open(file)", "file.read_text(encoding='utf-8')"]
)
def test_bytes_and_texts_with_an_encoding_are_let_be(source: str) -> None:
    """As images are."""
    assert problems(ast.parse(source)) == []


def test_nothing_needs_posix() -> None:
    """No such module, call or signal, no path glued with a slash, no text in any encoding."""
    for name, tree in TREES.items():
        assert problems(tree) == [], name


# --- imports ------------------------------------------------------------------------------------


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
    """There is no cycle."""
    graph = {name: imported_by(tree) for name, tree in TREES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises where modules import each other
    assert "l2rclip_lite.runs.results" in graph["l2rclip_book.report"]


def test_the_package_imports_nothing_of_the_book() -> None:
    """The report, which the book has, is looked up by an entry point."""
    for name, tree in TREES.items():
        if name.startswith("l2rclip_lite"):
            assert not any(home.startswith("l2rclip_book") for home in imported_by(tree)), name
