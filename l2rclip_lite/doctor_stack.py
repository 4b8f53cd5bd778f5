"""What `l2rclip doctor` looks at in the programs below this package: torch, open_clip, and what the book runs on."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

from l2rclip_lite.errors import InputError

ONLY_BOOK = "not installed, only needed to build the book"
KERNEL = "python3"  # what the notebooks name
SENTENCE = "a photo of a leaf"
GET_TORCH = "install torch and torchvision together, as pytorch.org (Get started) says for this machine"


def check_pair() -> str:
    """Whether torch and torchvision were made for each other.

    Raises:
        InputError: They were not, or cannot be imported.
    """
    from packaging.requirements import Requirement
    from packaging.version import Version

    torch, vision = (Version(importlib.metadata.version(name)) for name in ("torch", "torchvision"))
    both = f"torch {torch} and torchvision {vision}"
    for line in importlib.metadata.requires("torchvision") or []:
        wanted = Requirement(line)
        if wanted.name == "torch" and not wanted.specifier.contains(torch, prereleases=True):
            raise InputError(f"{both} do not belong together, it needs torch{wanted.specifier}; {GET_TORCH}.")
    if torch.local and vision.local and torch.local != vision.local:
        raise InputError(f"{both} are builds for different devices; {GET_TORCH}.")
    try:
        import torchvision.ops  # noqa: F401  # fails where its compiled part does not fit
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise InputError(f"{both} cannot be imported ({str(error)[:120]}); {GET_TORCH}.") from error
    return f"{torch} and {vision} belong together"


def check_build(root: Path = Path("/")) -> str:
    """Whether this torch can use the GPU that this machine has.

    Args:
        root: Where `proc` and `dev` lie.

    Raises:
        InputError: There is an NVIDIA GPU that it cannot use.
    """
    import torch

    cuda, usable, there = torch.version.cuda, torch.cuda.is_available(), _nvidia(root)
    if usable:
        return f"built for CUDA {cuda or torch.version.hip}, and uses it"
    if not there:
        return (
            f"built for CUDA {cuda}, no NVIDIA driver here: runs go on the CPU" if cuda else "built for CPUs"
        )
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "the NVIDIA GPU is hidden by CUDA_VISIBLE_DEVICES: runs go on the CPU"
    if cuda is None:
        raise InputError(
            f"here is an NVIDIA GPU, and torch {torch.__version__} is built for CPUs only; {GET_TORCH}."
        )
    raise InputError(
        f"here is an NVIDIA GPU that torch, built for CUDA {cuda}, cannot use; update the driver, or {GET_TORCH}."
    )


def _nvidia(root: Path) -> bool:
    """Whether the system knows an NVIDIA GPU."""
    listed = root / "proc/driver/nvidia/gpus"
    known = listed.is_dir() and any(listed.iterdir())
    return known or (root / "dev/nvidia0").exists() or (os.name == "nt" and bool(shutil.which("nvidia-smi")))


def check_half_precision() -> str:
    """Whether `--precision bf16` is worth anything here.

    Raises:
        InputError: The GPU does not know the format.
    """
    import torch

    if not torch.cuda.is_available():
        return "bf16 works on a CPU, though it saves little there"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_properties(0).name
        raise InputError(f"{name} cannot compute in bf16; stay with --precision fp32, the default.")
    return "bf16 is supported by the GPU"


def check_open_clip() -> str:
    """Whether open_clip still has the parts that `towers.OpenClipTowers` takes: a random model, encoded both ways.

    Raises:
        InputError: A part is missing, or the features are others than open_clip's own.
    """
    found = importlib.metadata.version("open_clip_torch")
    fix = 'run: pip install "open_clip_torch>=3.3,<4"'
    try:
        apart = _encoded_both_ways()
    except Exception as error:  # an interface may break in any way
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{found} has an interface that this package does not know ({what}); {fix}"
        ) from error
    for side, distance in apart.items():
        if not distance < 1e-4:
            raise InputError(
                f"{found} encodes the {side} of a random model otherwise than this package; {fix}"
            )
    return f"{found} encodes text and image as this package does"


def _encoded_both_ways() -> dict[str, float]:
    """How far the features of open_clip's own methods lie from those of the adapter."""
    import open_clip
    import torch
    from torch.nn.functional import normalize

    from l2rclip_lite.towers import TINY_CLIP, OpenClipTowers

    with torch.random.fork_rng(), torch.inference_mode():
        model = open_clip.CLIP(**TINY_CLIP).eval()
        model.visual.image_mean, model.visual.image_std = (0.5,) * 3, (0.5,) * 3
        towers = OpenClipTowers(model, open_clip.tokenizer.SimpleTokenizer())
        pixels, words = torch.rand(1, 3, 64, 64), open_clip.tokenizer.SimpleTokenizer()([SENTENCE])
        cut = towers.tokenize([SENTENCE])
        pairs = {
            "text": (towers.encode_embeddings(towers.embed(cut.ids), cut), model.encode_text(words)),
            "image": (towers.encode_image(pixels), model.encode_image(pixels)),
        }
        return {side: float((a - normalize(b, dim=1)).abs().max()) for side, (a, b) in pairs.items()}


def check_jupyter_book() -> str:
    """Whether Jupyter Book is the program that builds this book.

    Raises:
        InputError: It is version 2, which reads no `_config.yml`.
    """
    try:
        found = importlib.metadata.version("jupyter-book")
    except importlib.metadata.PackageNotFoundError:
        return ONLY_BOOK
    if found.split(".")[0] != "1":
        raise InputError(
            f'{found} is another program than version 1; run: pip install "jupyter-book>=1.0.4,<2"'
        )
    return found


def check_kernel() -> str:
    """Whether Jupyter finds the kernel that the notebooks name, and can start it.

    Raises:
        InputError: There is no such kernel, or the Python that it starts is gone.
    """
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return ONLY_BOOK
    fix = "run: pip install ipykernel && python -m ipykernel install --sys-prefix"
    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel as error:
        raise InputError(f"Jupyter finds no kernel {KERNEL!r}, which the notebooks name; {fix}") from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"the kernel {KERNEL!r} has a damaged kernel.json ({error}); {fix}") from error
    program = spec.argv[0] if spec.argv else ""
    if program in ("python", "python3") and not importlib.util.find_spec("ipykernel"):
        raise InputError(f"the kernel {KERNEL!r} needs ipykernel, which is not installed; {fix}")
    if program not in ("python", "python3") and not shutil.which(program):
        raise InputError(
            f"the kernel {KERNEL!r} in {spec.resource_dir} starts {program}, which is gone; {fix}"
        )
    return f"{KERNEL} starts {program}"
