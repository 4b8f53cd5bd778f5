"""The environment that kernels inherit from the scripts and from pytest."""

from __future__ import annotations

import os

NOT_FOR_KERNELS = (
    "L2RCLIP_PROFILE",  # the profile comes as a parameter
    "MPLBACKEND",  # Agg would leave pages without figures
)


def prepare_environment() -> None:
    """One thread, no hub, and nothing from the caller's shell that would change a page."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"
    # tqdm.auto, which the Hugging Face libraries import, warns in every notebook that has no ipywidgets.
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"
    for name in NOT_FOR_KERNELS:
        os.environ.pop(name, None)
