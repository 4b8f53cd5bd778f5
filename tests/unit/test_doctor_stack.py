"""Programs below this package, each broken in turn: the line fails with its fix, and is OK where nothing ails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

from l2rclip_lite import doctor_checks, doctor_stack, mini
from l2rclip_lite.errors import InputError

Install = Callable[..., None]
needs_book = pytest.mark.skipif(
    find_spec("jupyter_book") is None, reason="Jupyter Book is in the extra `book`"
)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package's metadata before the installed one's, as a second environment on the path would."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(name: str, version: str | None, *needs: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-{version or 0}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", *([f"Version: {version}"] if version else [])]
        lines += [f"Requires-Dist: {need}" for need in needs]
        (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")

    return put


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    """A system that knows an NVIDIA GPU."""
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    return tmp_path


def test_torch_and_torchvision_belong_together(install: Install) -> None:
    """As installed they do; torchvision 0.14 was made for torch 1.13."""
    assert doctor_stack.check_pair().endswith("belong together")
    install("torchvision", "0.14.0", "torch==1.13.0")
    with pytest.raises(
        InputError, match=r"do not belong together, it needs torch==1\.13\.0; install torch and"
    ):
        doctor_stack.check_pair()


def test_torch_and_torchvision_for_two_devices(install: Install) -> None:
    """The versions fit, the builds do not."""
    install("torch", "2.13.0+cpu")
    install("torchvision", "0.28.0+cu126", "torch==2.13.0")
    with pytest.raises(
        InputError, match=r"\+cpu and torchvision .*\+cu126 are builds for different devices; inst"
    ):
        doctor_stack.check_pair()


def test_a_torchvision_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a torchvision of another build does: its compiled part is not found."""
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    with pytest.raises(InputError, match=r"cannot be imported .*; install torch and torchvision together"):
        doctor_stack.check_pair()


def test_a_torch_for_the_machine(gpu: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A GPU that is there must be usable, or hidden on purpose; a CUDA build without one is said, not blamed."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    bare = tmp_path / "bare"
    for cuda, said in (
        (None, "is built for CPUs only; install torch and torchvision"),
        ("12.6", "built for CUDA 12.6, cannot use; update the driver, or install"),
    ):
        monkeypatch.setattr("torch.version.cuda", cuda)
        with pytest.raises(InputError, match=said):
            doctor_stack.check_build(gpu)
    assert doctor_stack.check_build(bare) == "built for CUDA 12.6, no NVIDIA driver here: runs go on the CPU"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "hidden by CUDA_VISIBLE_DEVICES" in doctor_stack.check_build(gpu)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert doctor_stack.check_build(gpu) == "built for CUDA 12.6, and uses it"


def test_a_gpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated it would be slower than fp32."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(name="Tesla T4"))
    for can in (True, False):
        monkeypatch.setattr(
            "torch.cuda.is_bf16_supported", lambda including_emulation, can=can: including_emulation or can
        )
        if can:
            assert doctor_stack.check_half_precision() == "bf16 is supported by the GPU"
        else:
            with pytest.raises(
                InputError, match="Tesla T4 cannot compute in bf16; stay with --precision fp32"
            ):
                doctor_stack.check_half_precision()


class Renamed(open_clip.CLIP):  # type: ignore[misc]
    """A part under another name."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.final = self.ln_final
        del self.ln_final


class Silent(open_clip.CLIP):  # type: ignore[misc]
    """All parts there, other features."""

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        """Backwards."""
        return super().encode_text(text, normalize).flip(1)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            Renamed,
            r"an interface that this package does not know \(AttributeError: .*'ln_final'\); run: pip install",
        ),
        (
            Silent,
            'encodes the text of a random model otherwise than this package; run: pip install "open_clip',
        ),
    ],
)
def test_an_open_clip_of_another_interface(other: type, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its version says. As installed it fits, and nobody's random numbers are drawn for it."""
    state = torch.random.get_rng_state()
    assert doctor_stack.check_open_clip().endswith("encodes text and image as this package does")
    assert torch.equal(torch.random.get_rng_state(), state)
    monkeypatch.setattr(open_clip, "CLIP", other)
    with pytest.raises(InputError, match=said):
        doctor_stack.check_open_clip()


@needs_book
def test_jupyter_book(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 is right, none is right, 2 is another program."""
    assert doctor_stack.check_jupyter_book().startswith("1.")
    install("jupyter-book", "2.0.1")
    with pytest.raises(
        InputError, match=r'2\.0\.1 is another program than version 1; run: pip install "jupyter-b'
    ):
        doctor_stack.check_jupyter_book()
    monkeypatch.setattr("sys.path", [])
    assert doctor_stack.check_jupyter_book() == doctor_stack.ONLY_BOOK


@needs_book
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"argv": ["/gone/python", "-m", "ipykernel_launcher"]},
            r"starts /gone/python, which is gone; run: pip",
        ),
        (["no", "kernel"], r"has a damaged kernel\.json .*; run: pip install ipykernel"),
    ],
)
def test_a_kernel_that_cannot_start(
    content: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel.json left by an environment that was removed hides the right one."""
    assert doctor_stack.check_kernel().startswith("python3 starts ")
    place = tmp_path / "kernels" / "python3"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(InputError, match=said):
        doctor_stack.check_kernel()


@needs_book
def test_no_kernel_and_no_jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel.json anywhere and no ipykernel; and without Jupyter there is nothing to find."""
    monkeypatch.setattr("jupyter_client.kernelspec.jupyter_path", lambda *_: [])
    monkeypatch.setitem(sys.modules, "ipykernel.kernelspec", None)
    with pytest.raises(
        InputError, match="finds no kernel 'python3', which the notebooks name; run: pip install"
    ):
        doctor_stack.check_kernel()
    monkeypatch.setitem(sys.modules, "jupyter_client.kernelspec", None)
    assert doctor_stack.check_kernel() == doctor_stack.ONLY_BOOK


def test_the_alignment_and_a_package_without_a_version(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit flipped, and no file at all; metadata that an interrupted installation left."""
    assert mini.ALIGNMENT_SHA256 in doctor_checks.check_alignment()
    content = bytearray(mini.ALIGNMENT.read_bytes())
    content[-1] ^= 1
    broken = tmp_path / mini.ALIGNMENT.name
    broken.write_bytes(content)
    for file in (broken, tmp_path / "gone"):
        monkeypatch.setattr(mini, "ALIGNMENT", file)
        with pytest.raises(InputError, match="; reinstall l2rclip-lite"):
            doctor_checks.check_alignment()
    install("scipy", None)
    with pytest.raises(InputError, match=r'its metadata is damaged; run: pip install "scipy>=1\.12" --force'):
        doctor_checks.check_package("scipy>=1.12")


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of a large tower would not fit."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**28))
    with pytest.raises(InputError, match=r"has 0\.2 GiB of disk left, 0\.5 are needed; free some"):
        doctor_checks.check_write_access(tmp_path)
