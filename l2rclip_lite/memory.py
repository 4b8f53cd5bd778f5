"""Memory that runs out: one sentence with the batch size to try."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

import torch

from l2rclip_lite.errors import TrainingError

# torch has a class for accelerators only; on a CPU its allocator says this in a RuntimeError
CPU_WORDS = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory")


@contextmanager
def out_of_memory_in_words(where: str, cure: str) -> Iterator[None]:
    """Turn "out of memory", of an accelerator or a CPU, into one sentence.

    Args:
        where: What is being done, such as "stage 2".
        cure: What is in memory, and what to try, see `fewer_images`.

    Raises:
        TrainingError: In the place of an error that is about memory, or a process that decodes
            images and was killed; others pass.

    Example:
        >>> with out_of_memory_in_words("stage 2", fewer_images(64, "--micro-batch-size")):
        ...     raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.TrainingError: stage 2: out of memory with 64 images at once;
        try --micro-batch-size 32.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError, EOFError) as error:
        if is_lost_worker(error):
            raise TrainingError(
                f"{where}: the system has ended a process that decodes images, mostly for want of "
                "memory; try fewer --workers."
            ) from error
        if not is_out_of_memory(error):
            raise
        raise TrainingError(f"{where}: out of memory {cure}.") from error


def fewer_images(images: int, setting: str, divisor: int = 2) -> str:
    """Return how many images are in memory, and how many to try.

    Args:
        images: How many are there at once.
        setting: What decides that, such as "--micro-batch-size".
        divisor: By how much fewer to try.

    Example:
        >>> fewer_images(64, "--micro-batch-size")
        'with 64 images at once; try --micro-batch-size 32'
    """
    if images > 1:
        return f"with {images} images at once; try {setting} {max(1, images // divisor)}"
    return "with a single image; use another device, or train with a smaller --image-size"


def is_lost_worker(error: BaseException) -> bool:
    """Return whether an error says that a process that decodes images was killed.

    torch says so in words, unless the process ends while its images are handed over: then the
    connection to it breaks. A dataset that loses a connection of its own means something else.

    Example:
        >>> is_lost_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."))
        True
        >>> is_lost_worker(ConnectionResetError("a server of images is gone"))
        False
    """
    if isinstance(error, OSError | EOFError):
        frames = list(walk_tb(error.__traceback__))
        return bool(frames) and frames[-1][0].f_globals["__name__"].startswith("multiprocessing.")
    return "DataLoader worker (pid" in str(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory has run out.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
        >>> is_out_of_memory(RuntimeError("shapes do not fit"))
        False
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_WORDS)
