"""A device that is not the CPU, on a machine that has no other: `pretend`.

It is torch's own place for a new device, the backend PrivateUse1, written in Python. Its tensors
are plain `torch.Tensor`s of the device `pretend`: dispatcher, autograd, autocast, factories and
`.to` are the real ones. Below them, one fallback computes every operator on the CPU, in the memory
of the tensor. It refuses to mix devices, and notes what would slow a GPU down: numbers that are
sent to it, and moments in which the CPU waits for its answer.

It is stricter than a GPU in one thing: an index has to be on the device, too. And it is no GPU: its
kernels are the CPU's, so it says nothing about their speed or rounding.

Why not otherwise: a tensor subclass is another type, sees factories only under a mode, and has no
autocast of its own; meta tensors have no numbers; torch's `openreg` has to be compiled.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.library import Library
from torch.utils import backend_registration

NAME = "pretend"
# Those that only describe a tensor do so on any device.
CPU_KERNELS = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
AUTOCAST = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

# What a GPU cannot enqueue: the shape of the answer, or the answer itself, is needed on the CPU.
WAITS = {
    "_local_scalar_dense",  # item, float, bool
    "_unique2",
    "bincount",
    "equal",
    "masked_select",
    "nonzero",
    "unique_dim",
}
# What CUDA's autocast computes in 16 bits, of that which towers need.
IN_16_BITS = (
    "addmm",
    "baddbmm",
    "bmm",
    "conv2d",
    "linear",
    "matmul",
    "mm",
    "scaled_dot_product_attention",
)


@dataclass
class Traffic:
    """What has passed between CPU and device, each with the line of the package that asked for it.

    Args:
        sent: Copies to the device.
        waits: Moments at which the CPU needed an answer; copies to the CPU among them.
    """

    sent: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)


_listeners: list[Traffic] = []


@contextmanager
def watched() -> Iterator[Traffic]:
    """Note the traffic within a block."""
    traffic = Traffic()
    _listeners.append(traffic)
    try:
        yield traffic
    finally:
        _listeners.remove(traffic)


@cache
def device() -> torch.device:
    """Return the device; the first call registers it, for the life of the process."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())

    everything = Library("_", "IMPL")
    everything.fallback(_compute, "PrivateUse1")
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    aten = Library("aten", "IMPL")
    for name, kernel in KERNELS.items():
        aten.impl(name, kernel, "PrivateUse1")
    for name in IN_16_BITS:
        aten.impl(name, _in_16_bits(getattr(torch.ops.aten, name).default), "AutocastPrivateUse1")

    _libraries.extend((everything, aten))  # what a library has registered goes with it
    return torch.device(NAME, 0)


_libraries: list[Library] = []


class _Module(backend_registration._DummyBackendModule):
    """`torch.pretend`."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Return what autocast may compute in."""
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device: object) -> Tensor:
        """Return nothing: its random numbers are the CPU's."""
        return torch.empty(0)

    def set_rng_state(self, state: Tensor, device: object) -> None:
        """Leave its random numbers as they are."""


# --- memory -------------------------------------------------------------------------------------


def is_here(value: object) -> bool:
    """Return whether a value is a tensor of the device."""
    return isinstance(value, Tensor) and value.device.type == NAME


def on_cpu(value: Any) -> Any:
    """Return a CPU tensor in the memory of one of the device; anything else as it is."""
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    if not is_here(value):
        return value
    layout = (value.storage_offset(), value.shape, value.stride())
    return torch.empty(0, dtype=value.dtype).set_(value.untyped_storage().memory, *layout)


def on_device(value: Any) -> Any:
    """Return a new tensor of the device in the memory of a CPU tensor; anything else as it is."""
    if not isinstance(value, Tensor):
        return value
    tensor = torch._C._acc.create_empty_tensor([0], value.dtype)
    _lay_out(tensor, value)
    return tensor


def _view(base: Tensor, value: Tensor) -> Tensor:
    """Return the view of a tensor of the device that a CPU tensor is of its memory."""
    layout = (value.shape, value.stride(), value.storage_offset())
    return torch.ops.aten.as_strided.default.redispatch(CPU_KERNELS, base, *layout)


def _lay_out(tensor: Tensor, value: Tensor) -> None:
    """Give a tensor of the device memory, shape and strides of a CPU tensor."""
    memory = value.untyped_storage()
    make = torch._C._construct_storage_from_data_pointer
    storage = make(memory.data_ptr(), torch.device(NAME, 0), memory.nbytes())
    storage.memory = memory

    layout = (value.storage_offset(), value.shape, value.stride())
    set_ = torch.ops.aten.set_.source_Storage_storage_offset
    set_.redispatch(CPU_KERNELS, tensor, storage, *layout)


# --- operators ----------------------------------------------------------------------------------


def _compute(op: Any, *args: Any, **kwargs: Any) -> Any:
    """Compute an operator on the CPU, in the memory of the device."""
    arguments = [*args, *kwargs.values()]
    _refuse_a_mixture(op, arguments)
    name = op._schema.name.removeprefix("aten::")
    if name in WAITS or (name.startswith("_index_put") and _has_mask(args)):
        _note("waits", name)

    with torch._C._AutoDispatchBelowAutograd():
        inner = _mapped(on_cpu, arguments)
        named = dict(zip(kwargs, inner[len(args) :], strict=True))
        answer = op(*inner[: len(args)], **named)

        if answer is None:  # it has changed its arguments
            return None
        if not isinstance(answer, tuple):
            return _returned(op, 0, answer, args, kwargs)
        return tuple(_returned(op, n, part, args, kwargs) for n, part in enumerate(answer))


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """Return a value, or a list of values in lists, each changed."""
    if isinstance(value, list | tuple):
        return [_mapped(change, part) for part in value]
    return change(value)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors among values in lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _refuse_a_mixture(op: Any, arguments: Any) -> None:
    """Refuse tensors of two devices; a CPU tensor without axes is a number, as for a GPU."""
    tensors = list(_tensors(arguments))
    # an optimiser's kernel takes no number of the CPU
    least = 0 if op._schema.name.startswith("aten::_fused") else 1
    strangers = [value for value in tensors if not is_here(value) and value.ndim >= least]
    if strangers and len(strangers) < len(tensors):
        shape = list(strangers[0].shape)
        raise RuntimeError(f"{op}: one tensor is on {NAME}, one of shape {shape} is on the CPU")


def _has_mask(args: tuple[Any, ...]) -> bool:
    """Return whether an index is a mask: how many it chooses is known when it has been read."""
    return any(value.dtype in (torch.bool, torch.uint8) for value in _tensors(args[1]))


def _returned(op: Any, n: int, value: Any, args: Any, kwargs: Any) -> Any:
    """Return what the schema says: an argument that was changed, a view, or a new tensor."""
    alias = op._schema.returns[n].alias_info
    if alias is None:
        return _mapped(on_device, value)

    schema = op._schema.arguments
    sources = [
        kwargs.get(argument.name) if place >= len(args) else args[place]
        for place, argument in enumerate(schema)
        if argument.alias_info and argument.alias_info.before_set & alias.before_set
    ]
    (source,) = sources
    if not alias.is_write:
        return _mapped(partial(_view, source), value)
    if value.shape != source.shape or value.stride() != source.stride():
        _lay_out(source, value)
    return source


def _copy(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy within the device, to it or from it."""
    if not is_here(source):
        _note("sent", "copy")
    if not is_here(target):
        _note("waits", "copy")
    with torch._C._AutoDispatchBelowAutograd():
        on_cpu(target).copy_(on_cpu(source))
    return target


def _convolution_backward(*args: Any) -> Any:
    """Compute the gradients of a convolution, whose bias has a number for each channel."""
    sizes = [args[0].shape[1]]
    return _compute(torch.ops.aten.convolution_backward.default, *args[:3], sizes, *args[3:])


# What torch asks of each backend, or would compose of operators that round otherwise.
KERNELS: dict[str, Callable[..., Any]] = {
    "_copy_from": _copy,
    "convolution_backward_overrideable": _convolution_backward,
    "convolution_overrideable": partial(_compute, torch.ops.aten.convolution.default),
    "native_layer_norm": partial(_compute, torch.ops.aten.native_layer_norm.default),
}


def _in_16_bits(op: Any) -> Any:
    """Return what autocast makes of an operator."""

    def cast(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dtype == torch.float32:
            return value.to(torch.get_autocast_dtype(NAME))
        return value

    def compute(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(AUTOCAST):
            return op(*_mapped(cast, args), **kwargs)

    return compute


def _note(kind: str, name: str) -> None:
    """Note some traffic, and which line of the package asks for it."""
    if not _listeners:
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and "/l2rclip_lite/" not in frame.f_code.co_filename:
        frame = frame.f_back
    file = frame.f_code.co_filename.rpartition("/l2rclip_lite/")[2]
    for traffic in _listeners:
        getattr(traffic, kind).append(f"{name} at {file}:{frame.f_lineno}")
