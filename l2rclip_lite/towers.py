"""One interface to a dual encoder, and the adapter that puts an open_clip model behind it.

The method needs more of a text tower than `encode_text`: it reads word embeddings, changes them (RankFormer), puts
learned vectors in front (context prompts), and encodes the result. `Towers` names exactly those steps.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import to_dtype

from l2rclip_lite.data.base import on_white, read_image
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import SLOT

Pixels = Float[Tensor, "batch 3 height width"]
Embeddings = Float[Tensor, "rank token width"]
Texts = Float[Tensor, "rank dim"]

PLACEHOLDER = 3  # id of a learned slot: in no vocabulary start, end or padding, which text towers look for
IN_MEMORY = 2**31  # bytes of resized images that are kept
LONGEST = 1024  # tokens of a sentence that are counted before one is called too long


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

    def with_context(self, length: int) -> "Tokens":
        """The same sentences with `length` learned slots in front of the words.

        Args:
            length: Number of context vectors M.

        Returns:
            Tokens of M more columns; the new slots are real but neither words nor rank words.
        """
        off = self.mask.new_zeros(len(self.ids), length)
        slots = (off.long() + PLACEHOLDER, ~off, off, off)  # ids, mask, rank words, words
        return Tokens(*map(self.insert, vars(self).values(), slots))

    def insert(self, part: Shaped[Tensor, "rank token *d"], slots: Shaped[Tensor, "rank slot *d"]) -> Tensor:
        """`slots` after the start token of `part`, or at its very front where sentences have none (SigLIP)."""
        at = int(not self.words[:, 0].any())
        return torch.cat([part[:, :at], slots, part[:, at:]], dim=1)

    def to(self, device: torch.device | str) -> "Tokens":
        """The same tokens on another device."""
        return Tokens(*(part.to(device) for part in (self.ids, self.mask, self.rank_words, self.words)))


class Towers(nn.Module, ABC):
    """A dual encoder: images and sentences become unit vectors of one space.

    Sub-classes keep the image side under `image.*` and the text side under `text.*`; the freezing table of
    `l2rclip_lite.model` relies on those two names.

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
    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> "Tokens":
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
        return (pixels - mean).div_(std)  # in place: at 224 pixels, new memory costs more than the division

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
        return ((light * brightness - middle) * contrast + middle).clamp_(0, 1).mul_(255).round_().byte()


class ResizedImages(Dataset[tuple[Tensor, int]]):
    """Any images as squares of bytes, each with its rank index; read once and kept in memory where they fit.

    Args:
        images: A map-style dataset of (image, rank index), or a sequence of images or paths. An image comes from Pillow, is
            an array of bytes (height, width, 3), or a tensor (3, height, width) of bytes or of floats in [0, 1].
        towers: Whose input size counts.
    """

    def __init__(self, images: Any, towers: Towers) -> None:
        # pandas would count by label
        self.images, self.resize = images.tolist() if hasattr(images, "iloc") else images, towers.resize()
        self.keep = 3 * towers.image_size**2 * len(images) < IN_MEMORY
        self.kept: dict[int, tuple[Tensor, int]] = {}

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Bytes and rank index; -1 where an image comes without one."""
        if index in self.kept:
            return self.kept[index]
        item = self.images[index]
        image, target = item if isinstance(item, tuple) else (item, -1)
        if isinstance(image, str | Path):
            image = read_image(image)
        try:
            image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
            if isinstance(image, Tensor) and image.dtype != torch.uint8:
                if not (image.is_floating_point() and -0.1 < image.min() <= image.max() < 1.1):
                    raise ValueError("its numbers are neither bytes nor in [0, 1]")  # as after Normalize
                image = to_dtype(image.clamp(0, 1), torch.uint8, True)
            image = on_white(image) if isinstance(image, Image.Image) else image
        except (TypeError, ValueError) as error:  # floats in an array
            raise InputError(f"image {index}: {error}; give bytes (height, width, 3).") from error
        pixels = self.resize(image)
        if self.keep:
            self.kept[index] = pixels, int(target)
        return pixels, int(target)

    def fingerprint(self, towers: Towers, about: str) -> str:
        """A file name for the features of these images by this tower: SHA-256 of both, as the tower sees them.

        Args:
            towers: Whose image tower encodes.
            about: How it encodes.
        """
        about += f"{towers.image} {towers.image_size} {towers.mean} {towers.std}"
        found = hashlib.sha256(about.encode())
        for tensor in towers.image.state_dict().values():
            found.update(tensor.cpu().flatten().view(torch.uint8).numpy())
        for index in range(len(self)):
            found.update(self[index][0].numpy().tobytes())
        return f"{found.hexdigest()}.safetensors"


class OpenClipTowers(Towers):
    """Any open_clip model whose text tower is open_clip's own: CLIP, MobileCLIP, EVA, PE, CLIPA, SigLIP, CoCa.

    From the word embeddings on, the text path is open_clip's: positions, mask, transformer, read-out, projection. CLIP
    reads the slot of the end token (found in the ids, never in the embeddings) under a causal mask; so its sentences are
    cut to the longest one: the padding to 77 cannot change a feature, and without it the tower is 6.7 times faster.
    Other text towers see the padding (SigLIP, CLIPA, CoCa, some MobileCLIPs), so their sentences fill the context, as in
    training: learned slots push words back and padding out, and the slot that SigLIP and CLIPA read stays the last.

    Args:
        model: An open_clip `CustomTextCLIP` or `CoCa`; `create_model` gives one with `force_custom_text=True`.
        tokenizer: The open_clip tokenizer of that model.
    """

    text: Any
    image_lr = 5e-6  # CLIP-ReID's stage-2 rate for ViT-B/16

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        text = model.text
        model.visual.output_tokens = text.output_tokens = False  # CoCa's decoder would read them
        self.image, self.text, self.tokenizer = model.visual, text, tokenizer
        # SigLIP's logit_bias stays behind: it is the same for all ranks, so a softmax over them does not see it.
        self.logit_scale = model.logit_scale
        self.dim, self.width, self.max_tokens = text.output_dim, text.width, text.context_length
        # A slot found in the ids and read under a causal mask does not depend on the padding behind it.
        self.cut = text.attn_mask is not None and text.cls_emb is None and text.pool_type in ("argmax", "eos")
        self.pad = int(tokenizer([""], context_length=self.max_tokens)[0, -1])
        size = model.visual.image_size
        self.image_size = size if isinstance(size, int) else size[0]
        self.mean, self.std = tuple(model.visual.image_mean), tuple(model.visual.image_std)

    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> "Tokens":
        """See `Towers.tokenize`."""
        ids, mask = self._read(sentences)
        if (n := ids.shape[1]) > self.max_tokens:
            raise InputError(f"template: a sentence of {n} tokens; shorten it to {self.max_tokens} or fewer.")
        around = self._read([""])[0]  # start and end token; SigLIP has no start, CLIPA no end
        words, rank_words = mask & ~torch.isin(ids, around), torch.zeros_like(mask)
        if template:
            start = int(not words[0, 0])
            before, after = (self._read([part])[0].shape[1] for part in template.split(SLOT))
            first, ends = before + start - around.shape[1], mask.sum(1, keepdim=True) + start - after
            rank_words = (torch.arange(n) >= first) & (torch.arange(n) < ends.clamp(min=first + 1))
        return Tokens(ids, mask, rank_words, words)

    def _read(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids cut to the longest sentence, and which are no padding."""
        ids = self.tokenizer(list(sentences), context_length=LONGEST)
        at = torch.arange(1, LONGEST + 1)
        lengths = torch.where(ids != self.pad, at, 0).amax(1, keepdim=True)
        n = int(lengths.max())
        return ids[:, :n], at[:n] <= lengths

    def embed(self, ids: Int[Tensor, "rank token"]) -> Float[Tensor, "rank token width"]:
        """See `Towers.embed`."""
        return F.embedding(ids, self.text.token_embedding.weight)

    def encode_embeddings(self, embeddings: Embeddings, tokens: Tokens) -> Texts:
        """See `Towers.encode_embeddings`."""
        length, ids, causal = embeddings.shape[1], tokens.ids, {}
        if self.cut:
            causal = {"attn_mask": self.text.attn_mask[:length, :length]}
        else:
            ids = F.pad(ids, (0, self.max_tokens - length), value=self.pad)
            embeddings = torch.cat([embeddings, self.embed(ids[:, length:])], dim=1)
        # The tower reads ids for its read-out and would look up their embeddings; it gets ours.
        with self.text.token_embedding.register_forward_hook(lambda *_: embeddings):
            return F.normalize(functional_call(self.text, causal, (ids,)), dim=-1)

    def encode_text(self, sentences: Sequence[str]) -> Float[Tensor, "rank dim"]:
        """See `Towers.encode_text`; pads to the full context as open_clip does."""
        ids = self.tokenizer(list(sentences), context_length=self.max_tokens)
        return F.normalize(self.text(ids.to(self.logit_scale.device)), dim=-1)

    def backbone(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """See `Towers.backbone`; open_clip projects inside."""
        return self.image(pixels)


def load_open_clip(name: str, weights: str | Path | None, size: int | None, seed: int) -> OpenClipTowers:
    """An open_clip model behind the interface; see `mini.load_towers`.

    Raises:
        InputError: An unknown name, another kind of model, or weights that are neither here nor to be had.
    """
    import open_clip  # four seconds, which `mini` need not wait for

    open_clip.add_model_config(Path(__file__).with_name("tiny.json"))
    if problem := _problem(name, weights):
        raise InputError(f"towers: {name!r} {problem}.")
    model_name, _, tag = name.partition("/")
    trained = open_clip.get_pretrained_cfg(model_name, tag) or {}
    options: dict[str, Any] = {"force_image_size": size, "force_custom_text": True}
    # OpenAI's weights were trained with QuickGELU: with another activation the features are silently wrong.
    options["force_quick_gelu"] = bool(trained.get("quick_gelu")) or model_name.endswith("-quickgelu")
    # So they are with another mean of the pixels. A file does not say its own: its tag does, or the model's first tag.
    for known in open_clip.list_pretrained_tags_by_model(model_name)[:1]:
        trained = trained or open_clip.get_pretrained_cfg(model_name, known)
    options["force_preprocess_cfg"] = {key: trained[key] for key in ("mean", "std") if key in trained}
    options["pretrained"] = str(weights) if weights else None if tag == "random" else tag
    source = open_clip.get_model_config(model_name)["text_cfg"].get("hf_tokenizer_name")
    wanted, cure = f"tokenizer.json of {source!r}", "connect to a network once"
    with torch.random.fork_rng(), patch("logging.warning"):  # of random weights, which were asked for
        torch.manual_seed(seed)
        try:
            tokenizer = open_clip.get_tokenizer(model_name)
            wanted, cure = f"the weights of {name!r}", f"{cure}, or pass weights=FILE with a safetensors file"
            model = open_clip.create_model(model_name, **options)
        except (ImportError, RuntimeError, OSError, ValueError, SafetensorError) as error:
            said = f"{wanted} could not be loaded ({str(error).splitlines()[0][:120]})"
            raise InputError(f"towers: {said}; {cure}, or use towers='mini'.") from error
    return OpenClipTowers(model, tokenizer)


def _problem(name: str, weights: str | Path | None) -> str:
    """What is wrong with a name, before open_clip is asked, which would take a tag for the path of a pickle."""
    import open_clip

    model, _, tag = name.partition("/")
    if model not in open_clip.list_models():
        return "is unknown; use 'mini', 'tiny/random' or an open_clip model such as 'ViT-B-16/openai'"
    config = open_clip.get_model_config(model)
    if "hf_model_name" in config["text_cfg"]:
        families = "CLIP (ViT, RN, EVA, MobileCLIP, PE), CLIPA, SigLIP or CoCa"
        return f"has a text tower from the transformers library; choose a model of {families}"
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
