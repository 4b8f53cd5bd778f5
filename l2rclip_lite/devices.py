"""Where a run computes: its device, the processes that share it, and what they run out of.

Several processes get what one would get: each encodes its part of a batch, and the features, which
are small, are put together, so that every process computes the loss of the whole batch.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed import DistError
from torch.nn.parallel import DistributedDataParallel

from l2rclip_lite.config import Config
from l2rclip_lite.errors import TrainingError

# What a launcher sets, and accelerate reads, for each of its processes.
LAUNCHED = frozenset({"WORLD_SIZE", "LOCAL_RANK", "ACCELERATE_TORCH_DEVICE"})
# torch has a class for accelerators only; on a CPU its allocator says this in a RuntimeError
OUT_OF_MEMORY = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory")


def choose_device(config: Config) -> torch.device:
    """Return where to train.

    Raises:
        TrainingError: A GPU was asked for that is not there: no slow surprise.
    """
    if config.device == "cpu" and LAUNCHED.isdisjoint(os.environ):
        return torch.device("cpu")  # accelerate decides once per process, and would keep to it
    device: torch.device = Accelerator(cpu=config.device == "cpu").device
    if config.device not in ("auto", device.type):
        raise TrainingError(
            f"device: no {config.device!r} device is visible here; "
            "use device='cpu' or 'auto' (--device)."
        )
    return device


@contextmanager
def failures_in_words(where: str, advice: str) -> Iterator[None]:
    """Turn memory that runs out, or a process that is lost, into one sentence.

    Args:
        where: What is being done, such as "stage 2".
        advice: What fills the memory, and what to try.

    Raises:
        TrainingError: In the place of such an error; others pass.

    Example:
        >>> with failures_in_words("stage 2", "with 64 images at once; try fewer"):
        ...     raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.TrainingError: stage 2: out of memory with 64 images at once; try fewer.
    """
    try:
        yield
    except TrainingError:  # has its sentence, which may quote any file name
        raise
    except (RuntimeError, MemoryError, ConnectionError, EOFError) as error:
        words = str(error)
        # while it hands images over, its end is that of a connection
        if "DataLoader worker (pid" in words or isinstance(error, ConnectionError | EOFError):
            raise TrainingError(
                f"{where}: the system has ended a process that decodes images, mostly for want of "
                "memory; try fewer --workers."
            ) from error
        # torch has a class for NCCL; gloo, of CPUs, names itself in a RuntimeError
        if isinstance(error, DistError) or "gloo" in words:
            raise TrainingError(
                "another process of this run has ended; start all of them again, and the run goes "
                "on after its last complete epoch."
            ) from error
        is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if is_memory or any(phrase in words for phrase in OUT_OF_MEMORY):
            raise TrainingError(f"{where}: out of memory {advice}.") from error
        raise


def own_rows(count: int) -> Int[Tensor, " own"]:
    """Return which of the `count` images of a batch this process encodes.

    All processes get equally many, in the order of the batch: what is missing at the end is filled
    by its first images, whose features are not used.

    Example:
        >>> own_rows(3)  # of one process
        tensor([0, 1, 2])
    """
    state = PartialState()
    each = math.ceil(count / state.num_processes)
    first = state.process_index * each
    return torch.arange(first, first + each) % count


def together(side: nn.Module) -> Callable[[Tensor, int], Float[Tensor, "image dim"]]:
    """Return what encodes a batch, of whose images each process has those of `own_rows`.

    It takes pixels and the number of images of the whole batch. With several views the own pixels
    are those of the first view, then those of the second; so are the features of the whole batch.

    The gradient of the whole batch is the sum of what the N processes contribute, but
    `DistributedDataParallel` takes their mean. So each process multiplies the gradient of its own
    features by N.

    Args:
        side: Turns pixels into features; what trains in it has its gradients switched on.
    """
    state = PartialState()
    n = state.num_processes
    if n == 1:
        return lambda pixels, count: side(pixels)

    # accelerate's own wrapper would follow its environment to half precision or a compiler
    shared = DistributedDataParallel(side)

    def encode(pixels: Tensor, count: int) -> Float[Tensor, "image dim"]:
        own = shared(pixels).unflatten(0, (-1, math.ceil(count / n))).transpose(0, 1).contiguous()
        parts = list(gather(own.detach()).chunk(n))
        own.register_hook(lambda gradient: n * gradient)
        parts[state.process_index] = own

        batch = torch.cat(parts)[:count]  # the last process may have filled up its part
        return batch.transpose(0, 1).flatten(0, 1)

    return encode
