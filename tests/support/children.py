"""Children of the tests of faults. They come from a server without threads, so that none inherits a held lock."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

from faults import painted
from PIL import Image

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.training import fit

SET: dict[str, Any] = {"towers": "tiny/random", "epochs1": 2, "epochs2": 2, "batch_size": 16, "heads": 2}
SET |= {"hidden": 32, "threads": 1}
CONFIG = Config(**SET, upside_down=True, device="cpu")
PHOTO = Image.new("RGB", (8, 8), "green")
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["l2rclip_lite.training"])


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
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
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
