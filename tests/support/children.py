"""Work that tests do in another process.

It comes from a server without threads, so that it inherits no lock that is held.

Nor does it have pytest's type checks, which would cut the graph of a model that is compiled.
"""

import errno
import itertools
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from faults import painted
from PIL import Image
from torch.nn.parallel import DistributedDataParallel

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, images
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.method.stages import freeze
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.stages import stage2_epochs
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData

SET: dict[str, Any] = {
    "towers": "tiny/random",
    "epochs1": 2,
    "epochs2": 2,
    "batch_size": 16,
    "heads": 2,
    "hidden": 32,
    "threads": 1,
}
CONFIG = Config(**SET, upside_down=True, device="cpu")
PHOTO = Image.new("RGB", (8, 8), "green")
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "l2rclip_lite.training",
        "l2rclip_lite.baselines",
        "l2rclip_lite.__main__",
        "hypothesis.strategies",
        "open_clip",
    ]
)


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a child that calls the function."""
    child = SERVER.Process(target=target, args=arguments)
    child.start()
    return child


def ended(target: Callable[..., None], *arguments: object) -> int | None:
    """Return the exit code of a child that was let be; minus the signal that killed it."""
    child = start(target, *arguments)
    child.join(120)
    return child.exitcode


def train(out: Path, at: int = 0, fault: str = "", batch_size: int = CONFIG.batch_size) -> None:
    """Train, with an accident at write number `at`."""
    if at:
        disturb_write(at, fault)

    *splits, ranks = painted()
    try:
        fit(splits, replace(CONFIG, batch_size=batch_size), out, ranks=ranks, quiet=True)
    except InputError as error:
        out.with_name("said").write_text(str(error), encoding="utf-8")
        os._exit(2)
    os._exit(0)


def disturb_write(at: int, fault: str) -> None:
    """Let write number `at` meet an accident.

    Args:
        at: Counted from 1.
        fault: `kill` ends this process when half of the file is written, a name of `errno` is the
            error of the system.
    """
    sync = os.fsync
    writes = itertools.count(1)

    def disturbed(descriptor: int) -> None:
        if next(writes) == at:
            if fault == "kill":
                file = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
                os.truncate(file, file.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))
        sync(descriptor)

    os.fsync = disturbed


def attempt(files: list[Path], memory: int) -> None:
    """Load one model after the other and predict, and write beside each what came of it.

    Args:
        files: Model files, each in a folder of its own.
        memory: Bytes that the process may take beyond those that it has now.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    for file in files:
        outcome = "it dies"
        try:
            file.with_name("said").write_text(outcome, encoding="utf-8")
            L2RCLIP.from_pretrained(file.parent).predict([PHOTO])
            outcome = "used"
        except InputError as error:
            outcome = f"refused: {error}"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        file.with_name("said").write_text(outcome, encoding="utf-8", errors="replace")


def keep_or_read() -> None:
    """Check that images kept in memory, or read by a process or a worker, are the same."""
    *splits, ranks = painted()
    data = OrdinalDataset.from_datasets(splits, ranks)
    histories = []

    for limit, workers in ((2**31, 0), (0, 0), (0, 1)):
        images.IN_MEMORY = limit
        model = L2RCLIP.build(ranks, replace(CONFIG, epochs2=1, workers=workers))
        loaded = TrainingData.load(data, model)

        n_kept = 40 if limit else 0
        assert len(loaded.images["train"].kept) == n_kept
        histories.append(list(stage2_epochs(model, loaded)))

    assert histories[0] == histories[1] == histories[2]


# --- torch's own ways ---------------------------------------------------------------------------


def compile_and_wrap() -> None:
    """Check that a compiled and a wrapped model give the logits of the plain one."""
    ranks = Ranks(("new", "old"), (0, 1), template="a {rank} tyre")
    model = L2RCLIP.build(ranks, Config(**SET))
    # before texts are encoded: torch rounds otherwise where a weight learns
    freeze(model, "stage 2")
    pixels = torch.rand(2, 3, 64, 64)
    logits = model(pixels).detach()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(pixels), logits, atol=1e-4)

    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    wrapped = DistributedDataParallel(model)
    answers = wrapped(pixels)
    assert torch.allclose(answers, logits, atol=1e-5)
    answers.sum().backward()
    assert all(p.grad is not None for p in model.towers.image.parameters())
