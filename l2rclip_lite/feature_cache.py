"""A folder of image features, named by the content of images and tower, read only if whole."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor

from l2rclip_lite.data.base import Split
from l2rclip_lite.data.map_style import inside
from l2rclip_lite.errors import InputError, one_line, reason
from l2rclip_lite.files import WIDEST, check_encoding, read_header, read_tensors, save_tensors
from l2rclip_lite.images import DECODING, ResizedImages, file_digest
from l2rclip_lite.towers.base import Towers

FEATURES = "features"  # the one tensor of a file
PIECE = 16_384  # images of a file


@dataclass(frozen=True)
class FeatureCache:
    """A folder of the features that one tower has computed, a file for each piece of the images.

    Args:
        folder: Where the files are; made when the first is written.
        encoder: How features are computed, see `CachedFeatures`.
        dtype: What the tower computes in.
        piece: Images of a file: so many are encoded anew at most after a kill.
    """

    folder: Path
    encoder: str
    dtype: torch.dtype
    piece: int = PIECE

    @classmethod
    def of_towers(
        cls, folder: str | Path, towers: Towers, numerics: str, dtype: torch.dtype
    ) -> "FeatureCache":
        """Return the cache of features by `Towers.backbone`.

        Args:
            folder: Where the files are.
            towers: Whose image tower encodes.
            numerics: Precision and device, which change the last bits.
            dtype: What the tower computes in.

        Raises:
            InputError: The folder cannot be one.
        """
        check_cache(folder)
        libraries = [
            f"{name} {version(name)}" for name in ("l2rclip-lite", "pillow", "torchvision")
        ]
        inputs = f"{towers.image_size} {towers.mean} {towers.std} {DECODING} {libraries}"
        weights = digest_of_weights(towers.image.state_dict().values())
        return cls(Path(folder), f"{numerics} {towers.image} {inputs} {weights}", dtype)

    def of_rows(self, images: ResizedImages, rows: range) -> "CachedFeatures":
        """Return the features of some of the images, there or not."""
        return CachedFeatures(self.folder, images, self.encoder, rows)

    def check_space(self, needed: int) -> None:
        """Refuse a disk without room for so many bytes more, before they are computed.

        Raises:
            InputError: Less is free, and what the folder holds is less, too.
        """
        if not self.folder.is_dir():
            return
        held = sum(file.stat().st_size for file in self.folder.glob("*.safetensors"))
        free = shutil.disk_usage(self.folder).free
        if needed > free + held:
            raise InputError(
                f"{self.folder}: the features take {needed / 1e9:.1f} GB more, and only "
                f"{free / 1e9:.1f} are free; free some space or choose another place."
            )


class CachedFeatures:
    """The features of some images by one tower, in a file of a folder.

    The file is named by SHA-256 of what the images are, of the weights, and of how the tower
    encodes. In its metadata stand that name and SHA-256 of the features. Of an image file the bytes
    count, so that nothing is decoded to find features again; of other images what their dataset
    says by `digest`, or else the resized pixels.

    Args:
        folder: Where the files are; made when the first is written.
        images: What is encoded.
        encoder: How: weights, precision, architecture, input size, normalisation.
        rows: Which of the images.

    Example:
        >>> cached = CachedFeatures("nowhere", ResizedImages([], 8), "a linear map", range(0))
        >>> cached.read(torch.float32) is None
        True
    """

    def __init__(
        self, folder: str | Path, images: ResizedImages, encoder: str, rows: range
    ) -> None:
        digest = hashlib.sha256(encoder.encode())
        for index in rows:
            digest.update(_content(images, index))

        self.key = digest.hexdigest()
        self.file = Path(folder, f"{self.key}.safetensors")
        self.count = len(rows)

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
    check_encoding(Path(cache))
    try:
        os.listdir(cache)
    except FileNotFoundError:
        return  # it is made when there is something to keep
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        words = " ".join(reason(error).split())
        raise InputError(
            f"cache: {str(cache)!r:.80} cannot be a folder ({words}); name another."
        ) from error


def digest_of_weights(tensors: Iterable[Tensor]) -> str:
    """Return SHA-256 of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(_bytes(tensor.cpu()))
    return digest.hexdigest()


def _content(images: ResizedImages, index: int) -> bytes:
    """Return SHA-256 of an image: of its file, as its dataset knows it, or of the resized pixels.

    Raises:
        InputError: It cannot be read.
    """
    source, place = inside(images.images, index)
    if isinstance(source, Split) and source.transform is None:
        source, place = inside(source.images, place)
        if hasattr(source, "digest"):  # `ImageFiles`, or a data set that computes its images
            digest: bytes = source.digest(place)
            return digest

    if isinstance(source, list | tuple):
        item = source[place]
        image = item[0] if isinstance(item, tuple) and len(item) == 2 else item
        if isinstance(image, str | os.PathLike):
            return file_digest(image)
    return hashlib.sha256(_bytes(images[index][0])).digest()


def _bytes(tensor: Tensor) -> bytes:
    """Return the memory of a tensor on the CPU."""
    flat = tensor.detach().contiguous().flatten()
    if flat.numel() == 0:
        return b""
    return flat.view(torch.uint8).numpy().tobytes()
