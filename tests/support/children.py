"""What tests do in another process: it comes from a server without threads, so that it inherits no lock that is held.

Nor does it have pytest's type checks, which would cut the graph of a model that is compiled.
"""

import copy
import errno
import itertools
import math
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from faults import painted
from PIL import Image
from torch.nn.parallel import DistributedDataParallel

from l2rclip_lite import images
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import write_json
from l2rclip_lite.freezing import freeze
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.run_directory import RunDirectory
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.fit import choose_device, fit
from l2rclip_lite.training.stages import train_stage2

SET: dict[str, Any] = {
    "towers": "tiny/random",
    "epochs1": 2,
    "epochs2": 2,
    "batch_size": 16,
    "heads": 2,
}
SET |= {"hidden": 32, "threads": 1}
CONFIG = Config(**SET, upside_down=True, device="cpu")
PHOTO = Image.new("RGB", (8, 8), "green")
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["l2rclip_lite.training.fit", "open_clip"])


def start(what: Callable[..., None], *given: Any) -> BaseProcess:
    """A child that does it."""
    child = SERVER.Process(target=what, args=given)
    child.start()
    return child


def ended(what: Callable[..., None], *given: Any) -> int | None:
    """Exit code of a child that was let be; minus the signal that killed it."""
    child = start(what, *given)
    child.join(120)
    return child.exitcode


def train(out: Path, at: int = 0, fault: str = "", limit: int | None = None) -> None:
    """Train; at write number `at` something happens, or no file may have more than `limit` bytes."""
    real, writes = os.fsync, itertools.count(1)

    def fsync(descriptor: int) -> None:
        if next(writes) == at:
            if fault == "gone":
                shutil.rmtree(out, ignore_errors=True)
            elif fault == "kill":
                file = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
                os.truncate(file, file.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))
        real(descriptor)

    os.fsync = fsync
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        fit(painted()[:3], CONFIG, out, ranks=painted()[3], quiet=True)
    except InputError as error:
        out.with_name("said").write_text(str(error), encoding="utf-8")
        os._exit(2)
    os._exit(0)


def attempt(files: list[Path], memory: int) -> None:
    """With so much more memory than now: load one model after the other, and predict; beside each, what came of it."""
    now = (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        * resource.getpagesize()
    )
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    for file in files:
        said = "it dies"
        try:
            file.with_name("said").write_text(said, encoding="utf-8")
            L2RCLIP.from_pretrained(file.parent).predict([PHOTO])
            said = "used"
        except InputError as error:
            said = f"refused: {error}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        file.with_name("said").write_text(said, encoding="utf-8", errors="replace")


def join(rank: int, port: int) -> None:
    """Be one of two processes, as `accelerate launch` starts them."""
    world = {
        "WORLD_SIZE": "2",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "ACCELERATE_USE_CPU": "true",
    }
    os.environ.update(world, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


def train_together(out: Path, rank: int, port: int) -> None:
    """Train one run together with another process."""
    join(rank, port)
    train(out)


# every term of stage 2, and losses that compare the images of a batch with each other
METHODS = ("stage 2", "coral", "supcon")


def train_methods(out: Path, batch_size: int, rank: int | None = None, port: int = 0) -> None:
    """Train each of METHODS for three epochs, alone or with another process, and keep the weights."""
    if rank is not None:
        join(rank, port)
    torch.set_num_threads(1)
    ranks = painted()[3]
    parts = [split[:37] for split in painted()[:3]]  # no multiple of any batch size
    data = OrdinalDataset.from_datasets(parts, ranks)
    # Adam and clipping hide the length of a gradient; beside a decay it shows
    config = Config.from_dict(
        SET
        | {"preset": "paper", "lambda_rps": 1.0, "epochs2": 3, "batch_size": batch_size}
        | {"device": "cpu", "weight_decay": 0.1, "controls": {"clip": False}}
    )
    choose_device(config)

    start = L2RCLIP.build(ranks, config)
    loaded = TrainingData.load(data, start)

    for method in METHODS:
        model = copy.deepcopy(start)
        run = RunDirectory(out / method)
        if method == "stage 2":
            history = train_stage2(model, loaded, run=run)
        else:
            model = train_baseline(method, model, loaded, run=run)
            history = []
        if not rank:
            model.save_pretrained(run.folder)
            write_json(run.folder / "history.json", history)


def poison(out: Path, rank: int, port: int) -> None:
    """Train stage 2 with another process; an image that only the second one reads is not finite."""
    join(rank, port)
    ranks = painted()[3]
    data = OrdinalDataset.from_datasets(painted()[:3], ranks)
    choose_device(CONFIG)
    model = L2RCLIP.build(ranks, CONFIG)
    loaded = TrainingData.load(data, model)
    normalize = model.towers.normalize
    model.towers.normalize = lambda pixels: normalize(pixels) * (math.inf if rank else 1)
    try:
        train_stage2(model, loaded)
    except TrainingError as error:
        out.with_name(f"said {rank}").write_text(str(error), encoding="utf-8")
        os._exit(2)
    os._exit(0)


def leave(out: Path, rank: int, port: int) -> None:
    """Train with another process; the second one ends when stage 2 begins."""
    join(rank, port)
    if rank:
        patch("l2rclip_lite.training.fit.train_stage2", lambda *_, **__: os._exit(9)).start()
    try:
        fit(painted()[:3], CONFIG, out, ranks=painted()[3], quiet=True)
    except TrainingError as error:
        out.with_name("said").write_text(str(error), encoding="utf-8")
        os._exit(2)
    os._exit(0)


def keep_or_read() -> None:
    """Images kept in memory, or read in each epoch, by this process or by a worker: the same numbers."""
    data = OrdinalDataset.from_datasets(painted()[:3], painted()[3])
    histories = []
    for limit, workers in ((2**31, 0), (0, 0), (0, 1)):
        images.IN_MEMORY = limit
        one = L2RCLIP.build(data.ranks, Config(**SET | {"epochs2": 1}, workers=workers))
        loaded = TrainingData.load(data, one)
        assert len(loaded.images["train"].kept) == (40 if limit else 0)
        histories.append(train_stage2(one, loaded))
    assert histories[0] == histories[1] == histories[2]


def compile_and_wrap() -> None:
    """torch.compile in one graph, a state_dict in another model, a forward hook, DDP of one process: the same logits."""
    ranks, config = Ranks(("new", "old"), (0, 1), template="a {rank} tyre"), Config(**SET)
    model, other = (L2RCLIP.build(ranks, config) for _ in range(2))
    pixels = torch.rand(2, 3, 64, 64)
    freeze(
        model, "stage 2"
    )  # before texts are encoded: torch rounds otherwise where a weight learns
    with torch.no_grad():
        for value in model.state_dict().values():
            value += 0.1
    plain, seen = model(pixels).detach(), []
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(pixels), plain, atol=1e-4)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(pixels), plain)
    model.register_forward_hook(lambda module, given, out: seen.append(out.shape))
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    wrapped = DistributedDataParallel(model)
    wrapped(pixels).sum().backward()
    assert torch.allclose(wrapped(pixels), plain, atol=1e-5)
    assert all(p.grad is not None for p in model.towers.image.parameters())
    assert seen == [(2, 2), (2, 2)]
