"""The setup cell: one for all chapters, and on Colab it installs what is missing and nothing else."""

from __future__ import annotations

import subprocess
import sys
import types
from importlib import metadata

import chapters
import pytest
import setup_cell
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import l2rclip_lite


def test_every_chapter_has_todays_cell() -> None:
    """Version, address and helpers are those of `tools/setup_cell.py`; a chapter without the cell is refused."""
    for source in chapters.sources():
        text = source.read_text(encoding="utf-8")
        assert setup_cell.renew(text) == text, f"{source.name}: run tools/setup_cell.py"
    with pytest.raises(SystemExit, match="0 were found"):
        setup_cell.renew("# %%\nprint(1)\n")


def _code() -> str:
    return setup_cell.cell().removeprefix(setup_cell.OPENING)


def test_elsewhere_it_installs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `google.colab` no process is started; the versions are printed."""
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it ran a command"))
    exec(compile(_code(), "cell", "exec"), {})
    assert f"l2rclip_lite {l2rclip_lite.__version__} beside" in capsys.readouterr().out


def _on_colab(monkeypatch: pytest.MonkeyPatch, lacking: set[str]) -> list[str]:
    """Run the cell as on Colab where these distributions are missing; return pip's arguments."""
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    every = list(metadata.distributions())
    there = [d for d in every if d.metadata["Name"].lower().replace("_", "-") not in lacking]
    monkeypatch.setattr(metadata, "distributions", lambda: there)
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    exec(compile(_code(), "cell", "exec"), {})
    (command,) = commands
    assert command[1:4] == ["-m", "pip", "install"]
    assert "--no-deps" in command
    return command[6:]


def test_on_colab_it_installs_the_wheel_of_its_release_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wheel's address names the version twice; neither numpy nor torch is ever asked for."""
    version = l2rclip_lite.__version__
    wheel, *helpers = _on_colab(monkeypatch, {"jaxtyping", "umap-learn", "importlib-resources"})
    assert wheel.endswith(f"/releases/download/v{version}/l2rclip_lite-{version}-py3-none-any.whl")
    assert set(helpers) >= {"jaxtyping>=0.2.36", "umap-learn>=0.5.7"}
    assert "timm>=1.0.15" not in helpers
    assert not [name for name in setup_cell.HELPERS if name.startswith(("numpy", "torch"))]


def test_a_changed_torch_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should pip replace torch after all, the cell stops."""
    found = iter(["2", "2.9", "2", "2.10"])
    monkeypatch.setattr(metadata, "version", lambda name: next(found))
    with pytest.raises(AssertionError, match="torch"):
        _on_colab(monkeypatch, set())


def test_helpers_are_all_that_the_package_needs_beyond_colab() -> None:
    """Everything that an import of the package loads is on Colab, in the standard library, or in the list.

    The list of what Colab has is short on purpose: what the test environment needs and Colab surely carries.
    """
    colab = {
        *("numpy", "torch", "torchvision", "pandas", "scipy", "scikit-learn", "joblib", "cloudpickle"),
        *(
            "matplotlib",
            "seaborn",
            "pillow",
            "numba",
            "llvmlite",
            "transformers",
            "tokenizers",
            "safetensors",
        ),
        *("huggingface-hub", "tqdm", "packaging", "pyyaml", "regex", "typing-extensions", "filelock"),
    }
    unused = {"sentence-transformers"}  # asked for by the package of the text weights; only its file is read
    helpers = {canonicalize_name(Requirement(text).name) for text in setup_cell.HELPERS}
    seen: set[str] = set()
    queue = ["l2rclip-lite", "umap-learn"]
    while queue:
        name = queue.pop()
        if name in seen | colab | unused:
            continue
        seen.add(name)
        wanted = [Requirement(text) for text in metadata.requires(name) or []]
        queue += [
            canonicalize_name(r.name)
            for r in wanted
            if r.marker is None or r.marker.evaluate({"extra": "signatures"})
        ]
    assert seen - {"l2rclip-lite"} <= helpers, sorted(seen - helpers)
