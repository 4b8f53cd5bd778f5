"""One interface to a dual encoder.

The method needs more of a text tower than `encode_text`: it reads word embeddings, changes them
(RankFormer), puts learned vectors in front (context prompts), and encodes the result. `Towers`
names exactly those steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn
from torchvision.transforms import v2

from ..errors import InputError
from ..method import Backbone, Embeddings, Features, Ids, Pixels, Slots, Texts

# Id of a learned slot. Text towers look for start, end and padding among the ids; no vocabulary has
# one of them at 3.
PLACEHOLDER = 3


@dataclass(frozen=True)
class Tokens:
    """K tokenised sentences, cut to the longest.

    Args:
        ids: Token ids.
        mask: True on real tokens, start and end included; False on padding.
        rank_words: True on the tokens that spell the rank.
        words: True on real tokens that are neither start nor end: all that RankFormer may touch.
    """

    ids: Ids
    mask: Slots
    rank_words: Slots
    words: Slots

    @cached_property
    def starts(self) -> int:
        """The number of start tokens: 1 or 0; a device is asked once."""
        return int(not self.words[:, 0].any())

    def with_context(self, length: int) -> "Tokens":
        """Return the same sentences with `length` learned slots in front of the words.

        Args:
            length: Number of context vectors M.

        Returns:
            Tokens of M more columns; the new slots are real but neither words nor rank words.
        """
        placeholders = self.ids.new_full((len(self.ids), length), PLACEHOLDER)
        no = self.mask.new_zeros(len(self.ids), length)

        return Tokens(
            ids=self.insert(self.ids, placeholders),
            mask=self.insert(self.mask, ~no),
            rank_words=self.insert(self.rank_words, no),
            words=self.insert(self.words, no),
        )

    def insert(
        self, part: Shaped[Tensor, "rank token *d"], slots: Shaped[Tensor, "rank slot *d"]
    ) -> Tensor:
        """Return `part` with `slots` after the start token.

        They are at its very front where sentences have none (SigLIP).
        """
        return torch.cat([part[:, : self.starts], slots, part[:, self.starts :]], dim=1)

    def to(self, device: torch.device | str) -> "Tokens":
        """Return the same tokens on another device."""
        return Tokens(
            ids=self.ids.to(device),
            mask=self.mask.to(device),
            rank_words=self.rank_words.to(device),
            words=self.words.to(device),
        )


class Towers(nn.Module, ABC):
    """A dual encoder: images and sentences become unit vectors of one space.

    Sub-classes keep the image side under `image.*` and the text side under `text.*`; the freezing
    table `method.stages.FREEZING` relies on those two names.

    Attributes:
        image_size: Side of the square input image, pixels.
        dim: Length of a feature in the shared space.
        width: Length of a word embedding.
        image_lrs: Learning rates for tuning the image tower, of which validation chooses.
        max_tokens: The longest sentence the text tower takes, learned slots included.
        rebuildable: Whether their name brings the same weights to every machine: from pip, from the
            hub, or from the seed of `tiny/random`. A model file leaves frozen weights out of those,
            and holds the others whole.
        commits: By repository on the Hugging Face hub, the commit that weights and tokenizer came
            from.
    """

    image: nn.Module
    rebuildable: bool = True
    image_size: int
    dim: int
    width: int
    image_lrs: tuple[float, ...]
    max_tokens: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    logit_scale: nn.Parameter  # log of the scale s, which is 100 for CLIP

    def __init__(self) -> None:
        super().__init__()
        self.commits: dict[str, str] = {}

    @abstractmethod
    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> "Tokens":
        """Return the ids of sentences; `template` says where the name of the rank stands."""

    @abstractmethod
    def embed(self, ids: Ids) -> Embeddings:
        """Return word embeddings, before positions are added."""

    @abstractmethod
    def encode_embeddings(self, embeddings: Embeddings, tokens: Tokens) -> Texts:
        """Return unit text features of word embeddings.

        Positions, mask and read-out slot come from `tokens`: CLIP's tower is causal, and is read
        at the end token, whose place the ids say, never the embeddings.
        """

    @abstractmethod
    def encode_text(self, sentences: Sequence[str]) -> Texts:
        """Return unit text features by the tower's own path; `encode_embeddings` must match it."""

    @abstractmethod
    def backbone(self, pixels: Pixels) -> Backbone:
        """Return image features of normalised pixels, before `project`.

        A head on a frozen tower reads them.
        """

    def project(self, features: Backbone) -> Features:
        """Return unit features in the space of the texts."""
        return F.normalize(features, dim=-1)

    def encode_image(self, pixels: Pixels) -> Features:
        """Return unit image features of normalised pixels, in the space of the texts."""
        return self.project(self.backbone(pixels).float())

    def normalize(self, pixels: Pixels) -> Pixels:
        """Return pixels on the scale that the image tower was trained on.

        Args:
            pixels: Floats in [0, 1]; bytes over 255.

        Raises:
            InputError: Whole numbers, such as bytes.
        """
        if not pixels.is_floating_point():
            raise InputError(
                f"normalize: the pixels are {pixels.dtype}; give pixels.float() / 255."
            )

        # filled in where the pixels are: a tensor of Python's numbers would be sent there each time
        scale = [torch.full((1, 1), x, device=pixels.device) for x in (*self.mean, *self.std)]
        mean, std = torch.stack(scale).chunk(2)
        return (pixels - mean).div_(std)  # in place: new memory costs more than the division

    def resize(self) -> v2.Compose:
        """Return what turns an RGB image of Pillow into a square of bytes.

        A crop would cut away what is graded.
        """
        side = (self.image_size, self.image_size)
        return v2.Compose([v2.Resize(side, v2.InterpolationMode.BICUBIC), v2.PILToTensor()])

    def transform(self) -> v2.Compose:
        """Return what turns an RGB image of Pillow into an input of `encode_image`."""
        return v2.Compose([self.resize(), scaled, v2.Normalize(self.mean, self.std)])


def scaled(
    pixels: UInt8[Tensor, "*batch 3 height width"],
) -> Float[Tensor, "*batch 3 height width"]:
    """Return bytes as floats in [0, 1]."""
    return pixels.float().div_(255)
