"""A folder of image features, named by the content of images and tower, read only if whole."""

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor

from l2rclip_lite.errors import InputError, one_line, reason
from l2rclip_lite.files import WIDEST, read_header, read_tensors, save_tensors
from l2rclip_lite.images import ResizedImages
from l2rclip_lite.towers.base import Towers

FEATURES = "features"  # the one tensor of a file


class CachedFeatures:
    """The features of some images by one tower, in a file of a folder.

    The file is named by SHA-256 of the resized pixels, of the weights, and of how the tower
    encodes. In its metadata stand that name and SHA-256 of the features.

    Args:
        folder: Where the files are; made when the first is written.
        images: What is encoded.
        encoder: How: precision, architecture, input size, normalisation.
        weights: The tensors of the tower.

    Example:
        >>> cached = CachedFeatures("nowhere", ResizedImages([], 8), "a linear map", [torch.eye(3)])
        >>> cached.read(torch.float32) is None
        True
    """

    def __init__(
        self, folder: str | Path, images: ResizedImages, encoder: str, weights: Iterable[Tensor]
    ) -> None:
        check_cache(folder)
        digest = hashlib.sha256(encoder.encode())
        for tensor in weights:
            digest.update(_bytes(tensor.cpu()))
        for index in range(len(images)):
            digest.update(_bytes(images[index][0]))

        self.key = digest.hexdigest()
        self.file = Path(folder, f"{self.key}.safetensors")
        self.count = len(images)

    @classmethod
    def of_towers(
        cls, folder: str | Path, images: ResizedImages, towers: Towers, numerics: str
    ) -> "CachedFeatures":
        """Return the features of some images by `Towers.backbone`.

        Args:
            folder: Where the files are.
            images: What is encoded.
            towers: Whose image tower encodes.
            numerics: Precision and device, which change the last bits.
        """
        encoder = numerics + f"{towers.image} {towers.image_size} {towers.mean} {towers.std}"
        return cls(folder, images, encoder, towers.image.state_dict().values())

    def read(self, dtype: torch.dtype) -> Shaped[Tensor, "batch wide"] | None:
        """Return the stored features; None if there are none, or if they cannot be trusted.

        In the second case a line on stderr says so: they are computed anew.

        Args:
            dtype: What the tower computes in.
        """
        if not self.file.is_file():
            return None

        try:
            header, metadata = read_header(self.file)
            if header.keys() != {FEATURES} or metadata.get("key") != self.key:
                raise InputError(f"{self.file}: damaged, or features of something else")
            kind = header[FEATURES].dtype
            shape = tuple(header[FEATURES].shape)
            has_rows = len(shape) == 2 and shape[0] == self.count and shape[1] <= WIDEST
            if not has_rows or kind != dtype:
                raise InputError(f"{self.file}: {kind} of shape {shape}")

            features = read_tensors(self.file)[0][FEATURES]
            if metadata != self._metadata(features):
                raise InputError(f"{self.file}: damaged, or features of something else")
            if not features.isfinite().all():
                raise InputError(f"{self.file}: not finite")
        except InputError as error:
            problem = one_line(str(error)).partition(";")[0]
            print(f"{problem}; these features are computed and written anew", file=sys.stderr)
            return None
        return features

    def write(self, features: Shaped[Tensor, "batch wide"]) -> None:
        """Store features; not those of damaged weights, which are no numbers."""
        if features.isfinite().all():
            save_tensors(self.file, {FEATURES: features}, self._metadata(features))

    def _metadata(self, features: Tensor) -> dict[str, str]:
        """Return the metadata of a file of these features."""
        digest = hashlib.sha256(f"{self.key} {features.dtype} {tuple(features.shape)}".encode())
        digest.update(_bytes(features))
        return {"key": self.key, "sha256": digest.hexdigest()}


def check_cache(cache: str | Path) -> None:
    """Refuse a cache that cannot be a folder, before an hour of encoding.

    Raises:
        InputError: It is a file, or its name cannot be that of a folder.
    """
    try:
        os.listdir(cache)
    except FileNotFoundError:
        return  # it is made when there is something to keep
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        words = " ".join(reason(error).split())
        raise InputError(
            f"cache: {str(cache)!r:.80} cannot be a folder ({words}); name another."
        ) from error


def _bytes(tensor: Tensor) -> bytes:
    """Return the memory of a tensor on the CPU."""
    flat = tensor.detach().contiguous().flatten()
    if flat.numel() == 0:
        return b""
    return flat.view(torch.uint8).numpy().tobytes()
