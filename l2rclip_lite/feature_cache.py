"""Image features on disk, under a name made of what they depend on: pictures, weights and number format.

A piece of pictures is a file. So an encoding that was killed goes on with the piece it was at, any number of runs may
share a folder, and a picture or a weight that changed is another name, never an old answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from torch import Tensor

from l2rclip_lite import distributed
from l2rclip_lite.checkpoint import read_tensors
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import is_there, save_tensors
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.pixels import PixelSource, Streamed, in_batches

TOGETHER = 32  # pictures that `L2RCLIP.features` encodes at once
PIECE = 32 * TOGETHER  # pictures a file


def shared_features(model: L2RCLIP, pixels: PixelSource, *, quiet: bool = True) -> Float[Tensor, "_ dim"]:
    """`L2RCLIP.features`, each process its share, in the pieces that one would encode: to the last bit what it would get.

    Args:
        model: Whose features.
        pixels: Squashed pictures, the same on all processes.
        quiet: Whether to hide the progress bar.
    """
    if distributed.size() == 1:
        return model.features(pixels, quiet=quiet)
    mine = distributed.share(len(pixels), TOGETHER)
    part = pixels.part(mine) if isinstance(pixels, Streamed) else pixels[mine]
    return distributed.collect(model.features(part, quiet=quiet), len(pixels), TOGETHER)


def cached_features(
    model: L2RCLIP,
    pixels: PixelSource,
    folder: Path,
    *,
    quiet: bool = True,
    check: Callable[[], None] = lambda: None,
) -> Float[Tensor, "_ dim"]:
    """`L2RCLIP.features`, of pictures whose features lie in the folder already without the tower.

    Args:
        model: Whose features.
        pixels: Squashed pictures.
        folder: Where the pieces lie; created if needed.
        quiet: Whether to hide the progress bar.
        check: Called before each write; raises where nothing shall be written any more.

    Raises:
        InputError: A file that is damaged, or a folder that cannot be written.
    """
    weights = fingerprint(model)
    parts = in_batches(pixels, PIECE)
    return torch.cat([_piece(model, part, weights, folder, quiet, check) for part in parts])


def fingerprint(model: L2RCLIP) -> str:
    """What features depend on besides the pictures: SHA-256 over the weights of the image side and how they are run."""
    device, towers = model.rank_features.device.type, model.towers
    how = f"{torch.__version__} {device} {model.config.precision} {towers.mean} {towers.std}"
    found = hashlib.sha256(how.encode())
    for name, value in sorted(model.state_dict().items()):
        if name.startswith(("towers.image.", "adapter.")):
            found.update(name.encode())
            found.update(_bytes(value))
    return found.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    """What a tensor holds, in the order of its elements."""
    flat = tensor.detach().cpu().contiguous().view(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def _piece(
    model: L2RCLIP,
    pixels: UInt8[Tensor, "_ 3 height width"],
    weights: str,
    folder: Path,
    quiet: bool,
    check: Callable[[], None],
) -> Tensor:
    """The features of one piece, read or encoded and written."""
    name = hashlib.sha256(f"{weights} {tuple(pixels.shape)}".encode())
    name.update(_bytes(pixels))
    file = folder / f"{name.hexdigest()}.safetensors"
    if not distributed.from_first(is_there(file)):
        features = shared_features(model, pixels, quiet=quiet).clone()
        if distributed.first():
            check()
            save_tensors(file, {"features": features}, {})
        return features
    try:
        stored = distributed.first()
        shape = (len(pixels), model.towers.dim)
        features = read_tensors(file)[0]["features"] if stored else torch.empty(shape)
        if features.shape != shape or features.dtype != torch.float32:
            raise KeyError(f"features of shape {tuple(features.shape)} and type {features.dtype}")
        if stored and not features.isfinite().all():
            raise KeyError("features that are not finite")
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{file}: damaged ({error}); delete it to compute the features anew.") from error
    distributed.copy_from_first([features])
    return features
