"""Several processes that train one image tower, and get what one process alone would get.

Each process encodes its part of a batch. The features, which are small, are put together, so that
every process computes the loss of the whole batch: a term that compares images with each other, a
weight that is divided by the largest gap of a batch, and a loss that is not finite are the same in
all of them.
"""

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from signal import SIGINT, SIGTERM
from threading import Timer, current_thread, main_thread

import torch
from accelerate import PartialState
from accelerate.utils import gather
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed import DistError
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from l2rclip_lite.errors import TrainingError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.towers.base import Pixels

MEETING = timedelta(minutes=5)  # in which all processes of a run are to be there
PATIENCE = 10  # seconds, until somebody is told that they are not


@contextmanager
def lost_process_in_words() -> Iterator[None]:
    """Turn the error of a process that waits in vain for another one into one sentence.

    Raises:
        TrainingError: In the place of an error of the connection; others pass.
    """
    try:
        yield
    except TrainingError:  # has its sentence, which may quote any file name
        raise
    except RuntimeError as error:
        # torch has a class for NCCL; gloo, of CPUs, names itself in a RuntimeError
        if not isinstance(error, DistError) and "gloo" not in str(error):
            raise
        cure = "start all of them again, and the run goes on after its last complete epoch"
        raise TrainingError(f"another process of this run has ended; {cure}.") from error


@contextmanager
def rendezvous_store() -> Iterator[None]:
    """Hold the rendezvous store open while accelerate connects the processes of this run.

    The wait for all of them ends after `MEETING`. Later waits have torch's own limit, half an hour,
    as another process may be writing files.

    Raises:
        torch.distributed.DistError: Not all came within `MEETING`.
    """
    store = None  # a reference: without one the store closes, and the others cannot connect
    n_processes = os.environ.get("WORLD_SIZE", "1")
    if int(n_processes) > 1 and "RANK" in os.environ:
        message = f"waiting for all {n_processes} processes of this run, {MEETING} at most"
        timer = Timer(PATIENCE, print, [message], {"file": sys.stderr, "flush": True})
        timer.daemon = True
        timer.start()
        try:
            with ended_by_signals():
                store, _, _ = next(rendezvous("env://", timeout=MEETING))
        finally:
            timer.cancel()
    yield
    del store


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process at once.

    While torch waits for another process, nothing that Python would do about them is done.
    """
    if current_thread() is not main_thread():  # which alone may
        yield
        return

    before = {number: signal.signal(number, signal.SIG_DFL) for number in (SIGINT, SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def global_batch_size(batch_size: int) -> int:
    """Return the images of a step of stage 2, of all processes together."""
    return batch_size * PartialState().num_processes


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


def gathered(own: Float[Tensor, "own dim"], count: int) -> Float[Tensor, "image dim"]:
    """Return the rows of all processes, each of which has those of `own_rows(count)`."""
    if PartialState().num_processes == 1:
        return own
    rows: Tensor = gather(own)
    return rows[:count]  # the last process may have filled up its part


class ImageSide(nn.Module):
    """`image_features` as a module of its own: what several processes train together.

    With `Config.micro_batch_size` it is a gradient cache (Gao et al. 2021, arXiv 2101.06983): parts
    of a batch are encoded without a graph, the loss sees the features of all, and each part is
    encoded again when the gradient of its features is there. The step is the same but for rounding,
    whatever the loss, and only one part's activations are in memory.
    """

    def __init__(self, model: L2RCLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """Return unit image features."""
        size = self.model.config.micro_batch_size
        if size is None or size >= len(pixels):
            return self.model.image_features(pixels)

        parts = []
        for part in torch.split(pixels, size):
            # nothing is drawn at random, and to note the state of a device would wait for it
            features = checkpoint(
                self.model.image_features, part, use_reentrant=False, preserve_rng_state=False
            )
            parts.append(features)
        return torch.cat(parts)


class GatheredImageSide:
    """Unit image features of a whole batch, of which each process encodes its part.

    The gradient of the whole batch is the sum of what the N processes contribute, but
    `DistributedDataParallel` takes their mean. So each process multiplies the gradient of its own
    features by N.

    Args:
        model: Whose image tower trains; call it after `freeze`.
    """

    def __init__(self, model: L2RCLIP) -> None:
        self.encode: nn.Module = ImageSide(model)
        self.state = PartialState()
        if self.state.num_processes > 1:
            # accelerate's own wrapper would follow its environment to half precision or a compiler
            self.encode = DistributedDataParallel(self.encode)

    def __call__(self, pixels: Pixels, count: int, views: int = 1) -> Float[Tensor, "image dim"]:
        """Return the features of `count` images, in the order of the batch.

        Args:
            pixels: Of the images in `own_rows(count)`: all of the first view, then of the second.
            count: Images of the whole batch.
            views: Number of views of each image.
        """
        features = self.encode(pixels)
        n = self.state.num_processes
        if n == 1:
            return features

        own = features.unflatten(0, (views, -1)).transpose(0, 1).contiguous()
        parts = list(gather(own.detach()).chunk(n))
        # The own part keeps its values; its gradient becomes n times as long, as DDP divides by n.
        parts[self.state.process_index] = own.detach() + n * (own - own.detach())

        batch = torch.cat(parts)[:count]  # the last process may have filled up its part
        return batch.transpose(0, 1).flatten(0, 1)
