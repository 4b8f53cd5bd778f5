"""Broken installations: each ailment is given to a process of its own, which then runs all of `l2rclip doctor`."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from random import Random
from types import SimpleNamespace

import torch
from campaign import Scale, Tried

from l2rclip_lite import doctor, doctor_checks, doctor_stack, mini


@dataclass(frozen=True)
class Ailment:
    """One thing that is wrong.

    Args:
        name: In words.
        line: The line of the doctor that must say FAIL.
        fix: What that line must hold.
        give: Makes it so, in this process and a folder.
    """

    name: str
    line: str
    fix: str
    give: Callable[[Path], None]


def package(folder: Path, name: str, version: str | None, *needs: str) -> None:
    """A package that pip would see before the installed one."""
    info = folder / f"{name.replace('-', '_')}-{version or 0}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", *([f"Version: {version}"] if version else [])]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs)]) + "\n")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def fake(name: str, version: str | None, *needs: str) -> Callable[[Path], None]:
    """An ailment of one package."""
    return lambda folder: package(folder, name, version, *needs)


def patched(place: object, **values: object) -> Callable[[Path], None]:
    """An ailment that is another value somewhere."""
    return lambda folder: [setattr(place, name, value) for name, value in values.items()] and None


def with_gpu(folder: Path) -> None:
    """The system knows an NVIDIA GPU; this torch does not."""
    (folder / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    real = doctor_stack.check_build
    doctor_stack.check_build = lambda: real(folder)
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)


def old_driver(folder: Path) -> None:
    """The same with a torch built for CUDA."""
    with_gpu(folder)
    torch.version.cuda = "12.6"


def old_gpu(folder: Path) -> None:
    """A GPU of before bf16."""
    torch.cuda.is_available = lambda: True
    torch.cuda.get_device_properties = lambda _: SimpleNamespace(name="Tesla T4", total_memory=2**34)
    torch.cuda.is_bf16_supported = lambda **_: False


def other_open_clip(folder: Path, *, silent: bool) -> None:
    """A text transformer under another name, or one that encodes otherwise without a word."""
    import open_clip

    class Other(open_clip.CLIP):
        def __init__(self, *given: object, **more: object) -> None:
            super().__init__(*given, **more)
            if not silent:
                self.final = self.ln_final
                del self.ln_final

        def encode_text(self, *given: object, **more: object) -> torch.Tensor:
            return super().encode_text(*given, **more).flip(1)

    open_clip.CLIP = Other


def damaged(name: str, find: str) -> Callable[[Path], None]:
    """One bit of a file of weights is another."""

    def give(folder: Path) -> None:
        found = getattr(mini, find)
        real = found() if callable(found) else found
        whole = real / name if real.is_dir() else real
        copy = folder / f"copy-{find}"
        copy.mkdir()
        for file in whole.parent.iterdir():
            if file.is_file() and file != whole:
                (copy / file.name).symlink_to(file)
        content = bytearray(whole.read_bytes())
        content[len(content) // 2] ^= 1
        (copy / whole.name).write_bytes(content)
        broken = copy if real.is_dir() else copy / whole.name
        setattr(mini, find, (lambda: broken) if callable(found) else broken)

    return give


def kernel(argv: Sequence[str] | None) -> Callable[[Path], None]:
    """A kernel.json that Jupyter finds first; None for one that is cut off."""

    def give(folder: Path) -> None:
        place = folder / "kernels" / doctor_stack.KERNEL
        place.mkdir(parents=True)
        text = (
            json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"})
            if argv
            else '{"argv": ['
        )
        (place / "kernel.json").write_text(text)
        os.environ["JUPYTER_PATH"] = str(folder)

    return give


def no_kernel(folder: Path) -> None:
    """No kernel anywhere, and no ipykernel to make one."""
    import jupyter_client.kernelspec

    jupyter_client.kernelspec.jupyter_path = lambda *_: []
    for name in [name for name in sys.modules if name.split(".")[0] == "ipykernel"]:
        del sys.modules[name]
    sys.modules["ipykernel"] = None
    sys.modules["ipykernel.kernelspec"] = None


def without(name: str) -> Callable[[Path], None]:
    """Weights that are not installed."""
    return (
        patched(mini, _package_folder=lambda _: None)
        if name == "weights"
        else patched(mini, ALIGNMENT=Path("/gone"))
    )


def two_devices(folder: Path) -> None:
    """A torch for CPUs, a torchvision for CUDA."""
    package(folder, "torch", "2.13.0+cpu")
    package(folder, "torchvision", "0.28.0+cu126", "torch==2.13.0")


def full_disk(*given: object) -> SimpleNamespace:
    """In the place of `shutil.disk_usage`."""
    return SimpleNamespace(free=2**20)


PAIR, BUILD, HALF = "torch with torchvision", "torch for this machine", "half precision"
CLIP, INTERFACE = "open_clip_torch", "open_clip's interface"
IMAGE, TEXT, ALIGNED = (f"weights of mini, {part}" for part in ("image tower", "text tower", "alignment"))
KERNEL, BOOK, OWN = "kernel of the notebooks", "jupyter-book", "reinstall l2rclip-lite"
OTHER_TORCH = fake("torchvision", "0.21.0", "torch==2.6.0")
AILMENTS = (
    Ailment("torchvision of another torch", PAIR, "do not belong together", OTHER_TORCH),
    Ailment("torchvision for another device", PAIR, "different devices", two_devices),
    Ailment("CPU-only torch beside a GPU", BUILD, "built for CPUs only; install", with_gpu),
    Ailment("a driver that torch cannot use", BUILD, "update the driver", old_driver),
    Ailment("a GPU without bf16", HALF, "stay with --precision fp32", old_gpu),
    Ailment("open_clip 4", CLIP, 'pip install "open_clip_torch<4', fake(CLIP, "4.0.0")),
    Ailment("open_clip, a part renamed", INTERFACE, "pip install", partial(other_open_clip, silent=False)),
    Ailment("open_clip encodes otherwise", INTERFACE, "otherwise", partial(other_open_clip, silent=True)),
    Ailment("a package that is too old", "numpy", 'pip install "numpy>=', fake("numpy", "1.0")),
    Ailment("damaged metadata", "scipy", "pip install", fake("scipy", None)),
    Ailment("one bit of the image tower", IMAGE, "reinstall", damaged("", "find_image_weights")),
    Ailment("one bit of the text tower", TEXT, "reinstall", damaged("model.safetensors", "find_text_folder")),
    Ailment("one bit of the tokenizer", TEXT, "reinstall", damaged("tokenizer.json", "find_text_folder")),
    # behind those of the text tower, which need its files
    Ailment("weights not installed", IMAGE, "pip install", without("weights")),
    Ailment("one bit of the alignment", ALIGNED, OWN, damaged("", "ALIGNMENT")),
    Ailment("no alignment", ALIGNED, OWN, without("alignment")),
    Ailment("little memory", "memory", "close other", patched(doctor_checks, free_memory=lambda: 0.5)),
    Ailment("a full disk", "write access", "free some", patched(doctor_checks.shutil, disk_usage=full_disk)),
    Ailment("Jupyter Book 2", BOOK, 'pip install "jupyter-book>=1', fake(BOOK, "2.0.1")),
    Ailment("no kernel", KERNEL, "pip install ipykernel", no_kernel),
    Ailment("a kernel whose Python is gone", KERNEL, "gone; run:", kernel(["/gone/python", "-m", "x"])),
    Ailment("a kernel.json cut off", KERNEL, "damaged kernel.json", kernel(None)),
)
ORGANS = ({PAIR, BUILD, HALF}, {CLIP, INTERFACE})  # one ailment there would hide another


def together(pair: tuple[Ailment, Ailment]) -> bool:
    """Whether two ailments can be told apart."""
    lines = {ailment.line for ailment in pair}
    return len(lines) == 2 and not any(lines <= organ for organ in ORGANS)


def examined(folder: Path, ailments: Sequence[Ailment]) -> tuple[int, str]:
    """What a process with these ailments says, and its exit code."""
    folder.mkdir()
    said = folder / "said"
    child = os.fork()
    if not child:
        code = 3
        with said.open("w") as stream, redirect_stdout(stream), redirect_stderr(stream):
            try:
                for ailment in ailments:
                    ailment.give(folder)
                code = 0 if doctor.doctor(folder / "runs") else 1
            except BaseException:
                traceback.print_exc()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.read_text()


def lost(ailments: Sequence[Ailment], code: int, said: str) -> list[str]:
    """What the doctor did not find."""
    who, missed = " and ".join(ailment.name for ailment in ailments), []
    if "Traceback" in said or code != bool(ailments):
        missed.append(f"{who or 'healthy'}: exit code {code}: {said[-300:]!r}")
    for ailment in ailments:
        lines = [line for line in said.splitlines() if line[6:].startswith(f"{ailment.line} ")]
        if not any(line.startswith("FAIL") and ailment.fix in line for line in lines):
            missed.append(f"{who}: {ailment.name} was not found: {lines}")
    return missed


def run(scale: Scale) -> Iterator[Tried]:
    """Healthy, each ailment alone, and in the long form two at once."""
    torch.set_num_threads(1)
    with (scale.folder / "first").open("w") as stream, redirect_stdout(stream):
        doctor.doctor(scale.folder)  # imports what every child would import again
    two = [pair for pair in combinations(AILMENTS, 2) if together(pair)]
    chosen = Random(scale.seed).sample(two, scale.pick(short=1, long=100))
    missed, given = [], [(), *((ailment,) for ailment in AILMENTS), *chosen]
    for number, ailments in enumerate(given):
        missed += lost(ailments, *examined(scale.folder / str(number), ailments))
    yield Tried(
        "doctor-ailments",
        f"{len(AILMENTS)} broken installations, alone and two at once, and a healthy one",
        "`l2rclip doctor` says FAIL with the fix in the line of each, OK throughout where nothing ails, never a traceback",
        len(given),
        tuple(missed),
    )
