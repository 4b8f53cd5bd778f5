"""The environment of Jupyter's kernels and their repeated starts; the arithmetic of processors.

    python tools/kernels.py avx2 COMMAND...    run a command as on a processor without AVX-512
    python tools/kernels.py other COMMAND...   as on a processor of another kind than this

The last bits of a sum, and so what a training gives, depend on the width of the processor's
registers.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
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
TRIES = 3  # to start a kernel
STILLBORN = "Kernel died before replying"  # the error of jupyter_client


def prepare_environment() -> None:
    """Set one thread, no hub and no telemetry; drop what would change a page from the shell."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # tqdm.auto, of the Hugging Face libraries, warns in every notebook that has no ipywidgets
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"
    os.environ.pop("MPLBACKEND", None)  # Agg would leave pages without figures


def started(run: Callable[[], Result]) -> Result:
    """Call `run`, which starts a kernel, again where that kernel died before it took a cell.

    Jupyter finds five free ports, lets go of them and tells the kernel to take them. Another
    process may be quicker, and the more kernels start at the same time, the more often one is. The
    next kernel is given other ports.

    Raises:
        RuntimeError: what `run` raised (also a SystemExit) for any other reason, or in its last
            try.
    """
    for _ in range(TRIES - 1):
        try:
            return run()
        except (RuntimeError, SystemExit) as error:
            if STILLBORN not in str(error):
                raise
    return run()


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


def other() -> str:
    """Return the widest kind besides this machine's own; `native` where it has no other."""
    return next(iter(kinds_here()[1:]), "native")


def main() -> None:
    """Become the command, in the environment of a kind.

    Raises:
        SystemExit: this machine has no such kind.
    """
    name, *command = sys.argv[1:]
    name = other() if name == "other" else name
    if name != "native" and name not in kinds_here():
        raise SystemExit(f"no kernels {name!r} here; there are {', '.join(kinds_here())}")
    os.execvpe(command[0], command, os.environ | KINDS[name])


if __name__ == "__main__":
    main()
