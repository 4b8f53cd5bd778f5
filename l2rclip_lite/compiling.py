"""`torch.compile` on the image tower, which may not cost a run."""

from __future__ import annotations

import torch
from torch import nn

from l2rclip_lite.model import L2RCLIP


def compile_image_tower(model: L2RCLIP, *, backend: str = "inductor") -> str:
    """Compile what encodes pictures, in place, and try it forwards and backwards.

    Compilation needs a C++ compiler or Triton, knows not every operation, and tells only when the first batch comes.
    Names of parameters stay as they are, so checkpoints of compiled and uncompiled runs are the same.

    Args:
        model: Its image tower is compiled, or left as it was.
        backend: Of `torch.compile`; "aot_eager" traces and differentiates, but generates no code.

    Returns:
        Nothing, or in one sentence why the tower stays uncompiled.
    """
    tower = model.towers.image_network()
    size = model.towers.image_size
    pixels = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    try:
        tower.compile(backend=backend)
        model.encode_bytes(pixels).sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever the compiler raises, training goes on without it
        uncompile(tower)
        reason = (str(error).strip() or repr(error)).splitlines()[0][:160]
        return f"the image tower trains uncompiled, because torch.compile failed: {reason}"
    finally:
        model.zero_grad(set_to_none=True)
    return ""


def uncompile(network: nn.Module) -> None:
    """Undo `nn.Module.compile`."""
    network._compiled_call_impl = None
    torch._dynamo.reset()
