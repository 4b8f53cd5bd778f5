"""One run on several processes, on one machine or many: what they say to each other. In one process nothing is said.

`batch_size` stays the whole batch: the number of processes is where a run happens, not what it computes. Every process
builds the same model, draws the same order and the same augmentation, encodes its share of each batch and `collect`s the
features of all, so that every process computes the loss of the whole batch, as one process would.

**Why the gradients are averaged.** Let z_i = f(x_i; θ) be the feature of picture i, S_r the pictures of process r of P,
and φ what every process applies to all of the features, such as prompts or a head. All compute the same L(z_1 … z_B; φ),
and the chain rule over their shares gives

    dL/dθ = Σ_i (∂L/∂z_i)(∂z_i/∂θ) = Σ_r Σ_{i ∈ S_r} (∂L/∂z_i)(∂z_i/∂θ).

Backwards `collect` hands process r the rows ∂L/∂z_i of its own S_r, times P. So the gradient of θ there is P times its
inner sum, and the mean over the processes is dL/dθ. That of φ is the whole dL/dφ everywhere, and so is its mean. One
rule, "average every gradient", serves both.

What is left is rounding: a tower rounds a share of n pictures as one process with a `micro_batch` of n does.

DistributedDataParallel would average, too, but it wraps the forward pass of a module, and expects a loss of each share
alone. Here the forward pass is a method of a part, and the losses compare every pair of the batch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.launch import LOST, MEETING_PLACE, end_with_parent, started

# For a machine that was switched off and says no farewell; longer than the first process ever works alone.
TIMEOUT = timedelta(minutes=30)
T = TypeVar("T")


class LostProcessError(TrainingError):
    """Another process of the run cannot be reached any more."""


def size() -> int:
    """The number of processes P of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def index() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if size() > 1 else 0


def first() -> bool:
    """Whether this process writes files and talks to the user."""
    return index() == 0


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Meet the other processes that `torchrun` or `l2rclip fit --processes` started; alone, or met already, do nothing.

    Args:
        device: The config's: unless "cpu", each process of a machine takes the GPU of its LOCAL_RANK.

    Raises:
        InputError: A machine has fewer GPUs than processes, or a group that the caller made cannot carry CPU tensors.
        LostProcessError: Another process ended.
    """
    world, gpus = started(), device != "cpu" and torch.cuda.is_available()
    if size() > 1 and "cpu:" not in dist.get_backend_config():
        raise InputError("processes: this group carries no CPU tensors; make it with 'cpu:gloo,cuda:nccl'.")
    if size() > 1 or world == 1:
        yield
        return
    if gpus:
        local, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= found:
            raise InputError(
                f"processes: process {local + 1} of this machine finds {found} GPUs; start one process a GPU, or use "
                "--device cpu."
            )
        torch.cuda.set_device(local)
    end_with_parent()
    place = os.environ.get(MEETING_PLACE)
    backend, method = "cpu:gloo,cuda:nccl" if gpus else "gloo", f"file://{place}" if place else "env://"
    try:
        with _talking():
            rank = int(os.environ["RANK"])
            dist.init_process_group(backend, init_method=method, timeout=TIMEOUT, world_size=world, rank=rank)
        yield
        dist.destroy_process_group()
    except LostProcessError:
        if place:
            raise SystemExit(LOST) from None  # whoever started this process knows more, and says it
        raise


def share(count: int, block: int = 1) -> slice:
    """The rows of `count` that this process computes: consecutive, whole blocks, never none.

    Where there are too few for all, a late process repeats the last row, and `collect` drops it.

    Example:
        >>> share(5)
        slice(0, 5, None)
    """
    rows = _rows(count, block)
    return slice(min(index() * rows, count - 1), min((index() + 1) * rows, count))


def mine(rows: Tensor) -> Tensor:
    """This process's `share` of the rows."""
    return rows[share(len(rows))]


def collect(part: Tensor, count: int, block: int = 1) -> Tensor:
    """The rows of all processes, in the order of one; gradients flow back as the module's docstring derives.

    Args:
        part: This process's `share(count, block)`, of any shape behind the rows.
        count: Rows of all.
        block: As for `share`.

    Returns:
        `count` rows, the same on every process; in one process `part` itself.

    Raises:
        LostProcessError: Another process ended.
    """
    if size() == 1:
        return part
    missing = _rows(count, block) - len(part)
    padded = torch.cat([part, part.new_zeros(missing, *part.shape[1:])])
    gathered: Tensor = _Gather.apply(padded)  # type: ignore[no-untyped-call]
    return gathered[:count]


class _Gather(torch.autograd.Function):
    """All rows of all processes; backwards the own rows' gradient, times P."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        gathered = part.new_empty(size() * len(part), *part.shape[1:])
        with _talking():
            dist.all_gather(list(gathered.chunk(size())), part)
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return size() * gradients[0].chunk(size())[index()]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes; in one process leave it alone."""

    def mean(flat: Tensor) -> None:
        dist.all_reduce(flat)
        flat /= size()

    _at_once([p.grad for p in parameters if p.grad is not None], mean)


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor by that of the first process."""
    _at_once(list(tensors), lambda flat: dist.broadcast(flat, 0))


@torch.no_grad()
def _at_once(tensors: list[Tensor], talk: Callable[[Tensor], object]) -> None:
    """Let the processes talk about all tensors in one message; in one process nothing is copied."""
    if size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    with _talking():
        talk(flat)
    for tensor, new in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
        tensor.copy_(new.view_as(tensor))


def from_first(value: T) -> T:
    """What the first process has, on all of them, when it is there."""
    if size() == 1:
        return value
    held = [value]
    with _talking():
        dist.broadcast_object_list(held)
    return held[0]


@contextmanager
def after_first() -> Iterator[None]:
    """The first process goes through the block alone, then the others do: they find what it has written."""
    if not first():
        from_first(None)
    yield
    if first():
        from_first(None)


def agree(value: object, what: str) -> None:
    """Go on when all processes are here, and only if they see the same.

    Args:
        value: What is compared with ==.
        what: It in words.

    Raises:
        InputError: They do not.
    """
    seen: list[object] = [value] * size()
    if size() > 1:
        with _talking():
            dist.all_gather_object(seen, value)
    if any(other != value for other in seen):
        raise InputError(
            f"processes: they do not see the same {what}; start all with the same command, on a --root and an --out that "
            "every machine reads."
        )


def _rows(count: int, block: int) -> int:
    """Rows of a full share."""
    return -(-count // (block * size())) * block


@contextmanager
def _talking() -> Iterator[None]:
    """Whatever fails between processes means that one of them is gone."""
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[\S+\] ", "", " ".join(str(error).split())).split(". ")[0][:200]
        raise LostProcessError(
            f"a process lost the others of its run ({reason}); complete epochs are kept, and the same command goes on "
            "from there."
        ) from error
