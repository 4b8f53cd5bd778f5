"""The environment of Jupyter's kernels and how they talk; the arithmetic of processors.

    python tools/kernels.py avx2 COMMAND...    run a command as on a processor without AVX-512
    python tools/kernels.py other COMMAND...   as on a processor of another kind than this

The last bits of a sum, and so what a training gives, depend on the width of the processor's
registers.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

KINDS: dict[str, dict[str, str]] = {  # what a process must find when it imports torch; widest first
    "native": {},
    "avx512": {},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}


def prepare_environment() -> None:
    """Set one thread, no hub and no telemetry; drop what would change a page from the shell."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # tqdm.auto, of the Hugging Face libraries, warns in every notebook that has no ipywidgets
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"
    os.environ.pop("MPLBACKEND", None)  # Agg would leave pages without figures


def by_files(folder: Path | str) -> dict[str, str]:
    """Return the settings of a kernel that talks by sockets in a folder of its own.

    Between two ports being chosen and taken, another kernel may take one. A network could also be
    listened to, of which each kernel warns.
    """
    return {"transport": "ipc", "ip": f"{folder}/kernel"}


def kind() -> str:
    """Name the arithmetic of this process: avx512, avx2, sse, or what machine it is instead."""
    import torch

    widest = torch.backends.cpu.get_cpu_capability().lower()
    if widest in ("avx512", "avx2"):
        return widest
    machine = platform.machine()
    return "sse" if machine in ("x86_64", "AMD64") else machine


def kinds_here() -> list[str]:
    """List the kinds that this machine has, its own first."""
    names = list(KINDS)[1:]
    own = kind()
    return names[names.index(own) :] if own in names else ["native"]


def main() -> None:
    """Become the command, in the environment of a kind.

    Raises:
        SystemExit: this machine has no such kind.
    """
    name, *command = sys.argv[1:]
    if name == "other":  # where there is none, what is here
        name = next(iter(kinds_here()[1:]), "native")
    if name != "native" and name not in kinds_here():
        raise SystemExit(f"no kernels {name!r} here; there are {', '.join(kinds_here())}")
    os.execvpe(command[0], command, os.environ | KINDS[name])


if __name__ == "__main__":
    main()
