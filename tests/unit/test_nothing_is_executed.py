"""No line of this project executes what it reads: no pickle, no eval, no shell, no module named by a user."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="jupytext is in the extra `book`")
import chapters

FOLDERS = ("l2rclip_lite", "tools", "torture", "experiments", "benchmarks", "book/_ext", "book")
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "builtins.eval", "builtins.exec"),
    *(
        "yaml.load",
        "yaml.load_all",
        "yaml.unsafe_load",
        "yaml.full_load",
        "runpy.run_path",
        "runpy.run_module",
    ),
    *(
        "torch.load",
        "torch.jit.load",
        "torch.hub.load",
        "torch.package.PackageImporter",
        "pandas.read_pickle",
    ),
    *("pd.read_pickle", "numpy.load", "np.load", "ctypes.CDLL", "ctypes.cdll.LoadLibrary"),
    *(
        "importlib.import_module",
        "import_module",
        "importlib.__import__",
        "importlib.util.spec_from_file_location",
    ),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "os.startfile"),
}
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
SAFE = {  # how a call is made harmless
    "torch.load": "weights_only=True",
    "np.load": "allow_pickle=False",
    "numpy.load": "allow_pickle=False",
}
EXCEPTIONS = {  # file, what it does: why
    ("l2rclip_lite/allocator.py", "ctypes.CDLL"): "None: the C library that the process has loaded already",
    ("torture/soak.py", "ctypes.CDLL"): "None: the C library that the process has loaded already",
    ("l2rclip_lite/__init__.py", "importlib.import_module"): "names of the package's own table of exports",
    (
        "l2rclip_lite/ordinal_losses.py",
        "importlib.import_module",
    ): "names of two optional packages, in the code",
    ("torture/torture.py", "import_module"): "names of its own list of campaigns, anything else is refused",
    ("torture/worker.py", "importlib.import_module"): "the campaign that starts it gives its own name",
    ("torture/model_files.py", "pickle"): "writes the pickles that must not be loaded",
    ("book/13_reliability.py", "pickle"): "writes one, to show the reader that it is refused",
}


def found(source: str) -> list[str]:
    """What a source does that could execute data, in its order."""
    tree = ast.parse(source)
    renamed = {  # `from torch import load as get` and `import numpy as n`
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        if isinstance(node, ast.ImportFrom)
        else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    hits: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            hits += [name for name in names if name.split(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            first, dot, rest = name.partition(".")
            full = renamed.get(first, first) + dot + rest
            words = {f"{word.arg}={ast.unparse(word.value)}" for word in node.keywords}
            if "shell=True" in words or any(
                word.startswith("allow_pickle=") for word in words - {"allow_pickle=False"}
            ):
                hits.append(f"{full} with {' '.join(sorted(words))}")
            elif (name in CALLS or full in CALLS) and SAFE.get(full) not in words:
                hits.append(name if name in CALLS else full)
    return hits


def sources() -> list[Path]:
    """Every Python file of the project outside its tests."""
    return sorted(path for folder in FOLDERS for path in (chapters.ROOT / folder).rglob("*.py"))


def test_no_line_executes_what_it_reads() -> None:
    """Every exception stands in the table with its reason, and every line of the table is used."""
    hits = {
        (path.relative_to(chapters.ROOT).as_posix(), hit)
        for path in sources()
        for hit in found(path.read_text(encoding="utf-8"))
    }
    assert hits == EXCEPTIONS.keys()


def test_the_one_checkpoint_that_is_a_pickle_is_opened_in_one_place() -> None:
    """`torch.load` with weights_only=True, in the line after its SHA-256 was checked."""
    calls = {path: path.read_text(encoding="utf-8").count("torch.load(") for path in sources()}
    (place,) = [path for path, count in calls.items() if count]
    assert (place.name, calls[place]) == ("mini.py", 1)
    lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
    (at,) = [number for number, line in enumerate(lines) if "torch.load(" in line]
    assert "weights_only=True" in lines[at]
    assert lines[at - 1] == "check_sha256(file, IMAGE_SHA256)"


@pytest.mark.parametrize(
    "snippet",
    [
        "eval('1')",
        "exec(open('x').read())",
        "compile('1', '', 'eval')",
        "__import__(name)",
        "import importlib\nimportlib.import_module(word)",
        "from importlib import import_module\nimport_module(word)",
        "import os\nos.system('ls')",
        "from os import system\nsystem('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess as s\ns.getoutput('ls')",
        "import pickle",
        "from joblib import load",
        "import shelve\nshelve.open('x')",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "from torch import load as get\nget('x')",
        "import torch as t\nt.jit.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as n\nn.load('x')",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "import pandas as pd\npd.read_pickle('x')",
    ],
)
def test_each_of_them_would_be_found(snippet: str) -> None:
    """Under its own name or another."""
    assert found(snippet)


@pytest.mark.parametrize(
    "snippet",
    [
        "model.eval()",
        "torch.compile(network)",
        "re.compile('a')",
        "import torch\ntorch.load('x', weights_only=True)",
        "import numpy as np\nnp.load(stream, allow_pickle=False)",
        "import subprocess\nsubprocess.run(['ls'], check=True)",
        "import yaml\nyaml.safe_load(text)",
        "json.load(file)",
    ],
)
def test_what_looks_like_them_is_not(snippet: str) -> None:
    """Other things of the same name."""
    assert not found(snippet)
