"""One interface to a dual encoder, and the adapter that puts any OpenAI-style open_clip model behind it.

The method needs more of a text tower than `encode_text`: it reads word embeddings, changes them (RankFormer), puts
learned vectors in front (context prompts), and encodes the result. `Towers` names exactly those steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchvision.transforms import v2

from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import SLOT

Pixels = Float[Tensor, "batch 3 height width"]
Embeddings = Float[Tensor, "rank token width"]
Texts = Float[Tensor, "rank dim"]

TINY_CLIP: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
PLACEHOLDER = 1  # id of a learned slot: any word id smaller than the end token, which the read-out looks for


@dataclass(frozen=True)
class Tokens:
    """K tokenised sentences, cut to the longest.

    Args:
        ids: Token ids.
        mask: True on real tokens, start and end included; False on padding.
        rank_words: True on the tokens that spell the rank.
        words: True on real tokens that are neither start nor end: all that RankFormer may touch.
    """

    ids: Int[Tensor, "rank token"]
    mask: Bool[Tensor, "rank token"]
    rank_words: Bool[Tensor, "rank token"]
    words: Bool[Tensor, "rank token"]

    def with_context(self, length: int) -> Tokens:
        """The same sentences with `length` learned slots after the start token.

        Args:
            length: Number of context vectors M.

        Returns:
            Tokens of M more columns; the new slots are real but neither words nor rank words.
        """
        off = self.mask.new_zeros(len(self.ids), length)
        slots = (off.long() + PLACEHOLDER, ~off, off, off)  # ids, mask, rank words, words
        parts = (self.ids, self.mask, self.rank_words, self.words)
        return Tokens(*(torch.cat([p[:, :1], new, p[:, 1:]], 1) for p, new in zip(parts, slots, strict=True)))

    def to(self, device: torch.device | str) -> Tokens:
        """The same tokens on another device."""
        return Tokens(*(part.to(device) for part in (self.ids, self.mask, self.rank_words, self.words)))


class Towers(nn.Module, ABC):
    """A dual encoder: images and sentences become unit vectors of one space.

    Sub-classes keep the image side under `image.*` and the text side under `text.*`; the freezing table of
    `l2rclip_lite.training` relies on those two names.

    Attributes:
        image_size: Side of the square input image, pixels.
        dim: Length of a feature in the shared space.
        width: Length of a word embedding.
        image_lr: A learning rate for fine-tuning the image tower that is known to work.
        max_tokens: The longest sentence the text tower takes, learned slots included.
    """

    image: nn.Module
    image_size: int
    dim: int
    width: int
    image_lr: float
    max_tokens: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    logit_scale: nn.Parameter  # log of the scale s

    @abstractmethod
    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> Tokens:
        """Sentences to ids, cut to the longest; `template` tells where the rank name stands."""

    @abstractmethod
    def embed(self, ids: Int[Tensor, "rank token"]) -> Float[Tensor, "rank token width"]:
        """Word embeddings, before positions are added."""

    @abstractmethod
    def encode_embeddings(self, embeddings: Embeddings, tokens: Tokens) -> Texts:
        """Unit text features of word embeddings; positions, mask and read-out slot come from `tokens`."""

    @abstractmethod
    def encode_text(self, sentences: Sequence[str]) -> Float[Tensor, "rank dim"]:
        """Unit text features by the tower's own path: the reference for `encode_embeddings`."""

    @abstractmethod
    def backbone(self, pixels: Pixels) -> Float[Tensor, "batch wide"]:
        """Image features of normalised pixels, before `project`: what a head on a frozen tower reads."""

    def project(self, features: Float[Tensor, "batch wide"]) -> Float[Tensor, "batch dim"]:
        """Unit features in the space of the texts."""
        return F.normalize(features, dim=-1)

    def encode_image(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """Unit image features of normalised pixels, in the space of the texts."""
        return self.project(self.backbone(pixels).float())

    def normalize(self, pixels: Pixels) -> Pixels:
        """Pixels in [0, 1] to the scale the image tower was trained on."""
        mean, std = torch.tensor([self.mean, self.std], device=pixels.device).view(2, 3, 1, 1).unbind()
        return (pixels - mean) / std

    def resize(self) -> v2.Compose:
        """An image (PIL or tensor) to the whole image in a square of bytes; a crop would cut away what is graded."""
        size = [self.image_size, self.image_size]
        square = v2.Resize(size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
        return v2.Compose([v2.RGB(), square, v2.ToImage(), v2.ToPureTensor()])

    def transform(self, train: bool = False) -> v2.Compose:
        """What turns an image (PIL or tensor) into an input of `encode_image`.

        Args:
            train: Whether to augment, with draws from torch's global generator.
        """
        steps = [self.resize(), *([Augment()] if train else []), v2.ToDtype(torch.float32, scale=True)]
        return v2.Compose([*steps, v2.Normalize(self.mean, self.std)])


class Augment(nn.Module):
    """Random flips and light changes that keep every grade what it was, independent for each image of a batch.

    Half of the images are flipped left to right, half of them (if asked for) top to bottom; brightness and contrast
    change by up to 15 %. torchvision's transforms draw once per call; these draw once per image.

    Args:
        upside_down: Whether to flip top to bottom, too: right for a leaf, wrong for a face.

    Example:
        >>> Augment()(torch.full((3, 2, 2), 128, dtype=torch.uint8)).shape
        torch.Size([3, 2, 2])
    """

    def __init__(self, upside_down: bool = False) -> None:
        super().__init__()
        self.upside_down = upside_down

    def forward(
        self, pixels: UInt8[Tensor, "*batch 3 height width"], generator: torch.Generator | None = None
    ) -> UInt8[Tensor, "*batch 3 height width"]:
        """The images, changed.

        Args:
            pixels: One image or a batch, as bytes.
            generator: Source of the draws; None takes torch's global one.
        """
        draw = torch.rand(4, *pixels.shape[:-3], 1, 1, 1, generator=generator).to(pixels.device)
        pixels = torch.where(draw[0] < 0.5, pixels.flip(-1), pixels)
        if self.upside_down:
            pixels = torch.where(draw[1] < 0.5, pixels.flip(-2), pixels)
        light = pixels.float() / 255
        brightness, contrast = 0.85 + 0.3 * draw[2], 0.85 + 0.3 * draw[3]
        middle = light.mean(dim=(-3, -2, -1), keepdim=True)
        return ((light * brightness - middle) * contrast + middle).clamp(0, 1).mul(255).round().byte()


class OpenClipTowers(Towers):
    """Any open_clip model with a causal text transformer (ViT-B-16, RN50, …).

    The text path repeats `encode_text` from the word embeddings on: positions, causal mask, transformer, final norm,
    the slot of the end token (found in the ids, never in the embeddings), projection. Sentences are cut to the longest
    one; with a causal mask the padding to 77 cannot change a feature, and without it the tower is 6.7 times faster.

    Args:
        model: An open_clip `CLIP` or `CustomTextCLIP`.
        tokenizer: The open_clip tokenizer of that model.
    """

    image_lr = 5e-6  # CLIP-ReID's stage-2 rate for ViT-B/16

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.image = model.visual
        text = model.text if hasattr(model, "text") else model
        pool = getattr(text, "text_pool_type", None) or getattr(text, "pool_type", None)
        clip_like = getattr(text, "cls_emb", None) is None and pool in ("argmax", "eos")
        if getattr(text, "attn_mask", None) is None or not clip_like:
            raise InputError("towers: a model without a causal text transformer; choose a ViT or RN model.")
        names = ("token_embedding", "transformer", "ln_final")
        self.text = nn.ModuleDict({name: getattr(text, name) for name in names})
        self.text.register_parameter("positional_embedding", text.positional_embedding)
        self.text.register_parameter("text_projection", text.text_projection)
        self.register_buffer("attn_mask", text.attn_mask, persistent=False)
        self.logit_scale = model.logit_scale
        self.tokenizer = tokenizer
        self.dim = text.text_projection.shape[1]
        self.width = text.token_embedding.embedding_dim
        self.max_tokens = text.positional_embedding.shape[0]
        size = model.visual.image_size
        self.image_size = size if isinstance(size, int) else size[0]
        self.mean, self.std = tuple(model.visual.image_mean), tuple(model.visual.image_std)

    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> Tokens:
        """See `Towers.tokenize`."""
        start, end = self.tokenizer.sot_token_id, self.tokenizer.eot_token_id
        coded = [[start, *self.tokenizer.encode(sentence), end] for sentence in sentences]
        ids = pad_sequence([torch.tensor(code) for code in coded], batch_first=True)
        if (n := ids.shape[1]) > self.max_tokens:
            raise InputError(f"template: a sentence has {n} tokens, the text tower takes {self.max_tokens}.")
        mask = torch.arange(n) < torch.tensor([[len(code)] for code in coded])
        rank_words = torch.zeros_like(mask)
        if template:
            before, after = (len(self.tokenizer.encode(part)) for part in template.split(SLOT))
            for row, code in enumerate(coded):
                rank_words[row, 1 + before : max(len(code) - 1 - after, 2 + before)] = True
        return Tokens(ids, mask, rank_words, mask & (ids != start) & (ids != end))

    def embed(self, ids: Int[Tensor, "rank token"]) -> Float[Tensor, "rank token width"]:
        """See `Towers.embed`."""
        return F.embedding(ids, self.text.get_parameter("token_embedding.weight"))

    def encode_embeddings(self, embeddings: Embeddings, tokens: Tokens) -> Texts:
        """See `Towers.encode_embeddings`."""
        length = embeddings.shape[1]
        x = embeddings + self.text.get_parameter("positional_embedding")[:length]
        x = self.text["transformer"](x, attn_mask=self.get_buffer("attn_mask")[:length, :length])
        x = self.text["ln_final"](x)
        end = tokens.ids.argmax(dim=1)  # the end token has the highest id
        x = x[torch.arange(len(x), device=x.device), end] @ self.text.get_parameter("text_projection")
        return F.normalize(x, dim=-1)

    def encode_text(self, sentences: Sequence[str]) -> Float[Tensor, "rank dim"]:
        """See `Towers.encode_text`; pads to the full context as open_clip does."""
        ids = self.tokenizer(list(sentences), context_length=self.max_tokens).to(self.attn_mask.device)
        on = torch.ones_like(ids, dtype=torch.bool)
        return self.encode_embeddings(self.embed(ids), Tokens(ids, on, ~on, on))

    def backbone(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """See `Towers.backbone`; open_clip projects inside."""
        features: Tensor = self.image(pixels)
        return features


def load_open_clip(
    name: str, weights: str | Path | None, image_size: int | None, seed: int
) -> OpenClipTowers:
    """An open_clip model behind the interface; see `mini.load_towers`.

    Raises:
        InputError: An unknown name, another kind of model, or weights that are neither here nor to be had.
    """
    import open_clip  # four seconds, which `mini` need not wait for

    if problem := _problem(name, weights):
        raise InputError(f"towers: {name!r} {problem}.")
    model_name, _, tag = name.partition("/")
    trained = open_clip.get_pretrained_cfg(model_name, tag) or {}
    options: dict[str, Any] = {"force_image_size": image_size}
    # OpenAI's weights were trained with QuickGELU: with another activation the features are silently wrong.
    options["force_quick_gelu"] = bool(trained.get("quick_gelu")) or model_name.endswith("-quickgelu")
    options["pretrained"] = str(weights) if weights else None if tag == "random" else tag
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            if model_name == "tiny":
                vision = TINY_CLIP["vision_cfg"] | {"image_size": image_size or 64}
                model = open_clip.CLIP(**TINY_CLIP | {"vision_cfg": vision})
                model.visual.image_mean = open_clip.OPENAI_DATASET_MEAN
                model.visual.image_std = open_clip.OPENAI_DATASET_STD
                return OpenClipTowers(model, open_clip.tokenizer.SimpleTokenizer())
            model = open_clip.create_model(model_name, **options)
        except (RuntimeError, OSError, ValueError, SafetensorError) as error:
            said = f"the weights of {name!r} could not be loaded ({str(error).splitlines()[0][:120]})"
            cure = "connect to a network once, or pass weights=FILE with a local safetensors file"
            raise InputError(f"towers: {said}; {cure}, or use towers='mini'.") from error
    return OpenClipTowers(model, open_clip.get_tokenizer(model_name))


def _problem(name: str, weights: str | Path | None) -> str:
    """What is wrong with a name, before open_clip is asked, which would take a tag for the path of a pickle."""
    import open_clip

    model, _, tag = name.partition("/")
    if name == "tiny/random":
        return ""
    if model not in open_clip.list_models():
        return "is unknown; use 'mini', 'tiny/random' or an open_clip model such as 'ViT-B-16/openai'"
    config = open_clip.get_model_config(model)
    if {"hf_tokenizer_name", "hf_model_name"} & config["text_cfg"].keys() or "multimodal_cfg" in config:
        return "has a tokenizer of another kind; choose a ViT or RN model of OpenAI's style"
    if weights:
        file = str(weights)
        if Path(file).suffix != ".safetensors":
            return f"cannot take {file}: pickles are not read, convert it"
        # a share would be asked for, with the user's name
        if "://" in file or file.startswith(("//", "\\\\")) or not Path(file).is_file():
            return f"cannot take {file}: it does not exist on this machine; give a safetensors file"
    elif not tag:
        return f"names no weights; write '{name}/openai', '{name}/random' or pass weights=FILE"
    elif tag not in (tags := ["random", *open_clip.list_pretrained_tags_by_model(model)]):
        return f"has no weights of that name; use 'random' or one of {', '.join(tags[1:])}"
    return ""
