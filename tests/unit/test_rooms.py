"""The source: imports go one way, the method stands alone, every public name is there."""

import ast
import graphlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import l2rclip_book
import l2rclip_lite


def read_sources() -> dict[str, ast.Module]:
    """Return the modules of both packages, by name."""
    trees = {}
    for package in [*l2rclip_lite.__path__, *l2rclip_book.__path__]:
        folder = Path(package)
        for file in folder.rglob("*.py"):
            name = ".".join([folder.name, *file.relative_to(folder).with_suffix("").parts])
            trees[name] = ast.parse(file.read_text(encoding="utf-8"))
    return trees


TREES = read_sources()
MODULES = {name.removesuffix(".__init__") for name in TREES}
ROOT = Path(l2rclip_lite.__file__).parent
METHOD = ("l2rclip_lite.method", "l2rclip_lite.towers")
# What the two rooms may import of others: torch, what the towers are made of, and types.
LIBRARIES = {"torch", "torchvision", "jaxtyping", "safetensors", "open_clip", "timm"}
OF_TOWERS = {"huggingface_hub", "tokenizers", "transformers"}
# The rooms from the ground up: each imports of those before it, and of itself.
ROOMS = [
    "errors",
    "files",
    "config",
    "devices",
    "method+towers",
    "prediction",
    "metrics",
    "heads",
    "data",
    "model_file",
    "model",
    "runs",
    "training_data",
    "stages",
    "image_side",
    "training",
    "baselines",
    "estimator",
    "export",
    "commands",
]


def imported_by(name: str) -> set[str]:
    """Return the modules that a module imports, also within functions and for annotations alone."""
    package = name.rpartition(".")[0]
    modules = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            home = importlib.util.resolve_name(relative, package)
            for alias in node.names:
                whole = f"{home}.{alias.name}"
                modules.add(whole if whole in MODULES else home)
    return modules


def test_imports_go_one_way() -> None:
    """There is no cycle; the package imports nothing of the book, which it looks up."""
    graph = {name.removesuffix(".__init__"): imported_by(name) for name in TREES}
    graphlib.TopologicalSorter(graph).prepare()  # raises where modules import each other
    assert "l2rclip_lite.runs.results" in graph["l2rclip_book.report"]
    for name, homes in graph.items():
        if name.startswith("l2rclip_lite"):
            assert not any(home.startswith("l2rclip_book") for home in homes), name


def room_of(module: str) -> int:
    """Return the place of a module's room; method and towers know each other."""
    room = module.split(".")[1]
    return [room in names.split("+") for names in ROOMS].index(True)


@pytest.mark.parametrize("name", [name for name in TREES if name.startswith("l2rclip_lite.")])
def test_no_arrow_runs_up(name: str) -> None:
    """But for the commands, whose names `__main__` reads, and the names of the package itself."""
    if name in ("l2rclip_lite.__init__", "l2rclip_lite.__main__"):
        return
    for module in imported_by(name):
        if module.startswith("l2rclip_lite."):
            assert room_of(module) <= room_of(name), module


def test_every_public_name_is_there() -> None:
    """`__all__`, the lazy imports and tab completion agree."""
    for name in l2rclip_lite.__all__:
        assert getattr(l2rclip_lite, name).__name__ == name
        assert name in dir(l2rclip_lite)


@pytest.mark.parametrize("name", [name for name in TREES if name.startswith(METHOD)])
def test_the_method_imports_no_other_room(name: str) -> None:
    """Nor a library that a project of one's own would not have with torch and the towers."""
    libraries = LIBRARIES | (OF_TOWERS if "towers" in name else set())
    for module in imported_by(name):
        top = module.partition(".")[0]
        if top == "l2rclip_lite":
            assert module.startswith((*METHOD, "l2rclip_lite.errors"))
        else:
            assert top in libraries | sys.stdlib_module_names


TRAIN = """
import sys

import torch
import torch.nn.functional as F

from theirs.method import losses
from theirs.method.model import RankModel
from theirs.method.optimisation import Scores, Stage
from theirs.method.prompts import RankPrompts
from theirs.method.ranks import Ranks
from theirs.method.stages import (
    LossSettings, freeze, stage1_loss, stage2_loss, train_stage1, train_stage2,
)
from theirs.towers import load_towers

torch.set_num_threads(1)
ranks = Ranks.integers(0, 4, template="a leaf with {rank} spots", unit="spots")
towers = load_towers("tiny/random")
model = RankModel(towers, ranks, RankPrompts(towers, ranks, heads=2, hidden=32))
values, scale = ranks.values_tensor(), model.scale.detach()
settings = LossSettings(lambda_push=1.0, lambda_tight=1.0)
draw = torch.Generator().manual_seed(0)
pixels = torch.randn(12, 3, 64, 64, generator=draw)
y = torch.arange(12) % 5
z = model.image_features(pixels).detach()


def batches(images):
    def of_epoch(generator):
        for rows in torch.randperm(12, generator=generator).split(6):
            yield images[rows], y[rows]
    return of_epoch


def score():
    with torch.no_grad():
        logits = model(pixels)
    mae = (logits.argmax(1) - y).abs().float().mean()
    return Scores(rps=float(losses.ranked_probability_loss(logits, y)), mae=float(mae))


def stage(number, lr):
    parameters = freeze(model, f"stage {number}")
    return Stage(number, parameters, lr=lr, n_epochs=2, n_images=12, batch_size=6)


loss1 = lambda z, t, y: stage1_loss(z, t, y, values, scale, settings)
loss2 = lambda z, t, y: stage2_loss(z, t, y, values, scale, settings)
history = list(train_stage1(model, stage(1, 1e-3), batches(z), loss1, score))
history += train_stage2(model, stage(2, 1e-4), batches(pixels), loss2, score)
print([row["loss"] for row in history])
assert not any(name.startswith(("l2rclip", "pydantic", "pandas", "tyro")) for name in sys.modules)
"""


def test_the_method_trains_alone_under_another_name(tmp_path: Path) -> None:
    """Its two folders and `errors.py`, without the rest of the package, give the same losses."""
    copy = tmp_path / "theirs"
    for room in ("method", "towers"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "errors.py", copy)

    def losses_of(script: str, folder: Path) -> list[float]:
        call = [sys.executable, "-c", script]
        done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [float(number) for number in done.stdout.strip(" []\n").split(", ")]

    alone = losses_of(TRAIN, tmp_path)
    ours = TRAIN.replace("theirs", "l2rclip_lite").rpartition("assert")[0]
    assert len(alone) == 4
    assert alone == pytest.approx(losses_of(ours, tmp_path), abs=1e-6)
