"""The adapter that puts an open_clip model behind `Towers`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor
from torch.func import functional_call

from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import SLOT
from l2rclip_lite.towers.base import Embeddings, Pixels, Texts, Tokens, Towers

LONGEST = 1024  # tokens of a sentence that are counted before one is called too long


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
        self.cut = (
            text.attn_mask is not None
            and text.cls_emb is None
            and text.pool_type in ("argmax", "eos")
        )
        self.pad = int(tokenizer([""], context_length=self.max_tokens)[0, -1])
        size = model.visual.image_size
        self.image_size = size if isinstance(size, int) else size[0]
        self.mean, self.std = tuple(model.visual.image_mean), tuple(model.visual.image_std)

    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> "Tokens":
        """See `Towers.tokenize`."""
        ids, mask = self._read(sentences)
        if (n := ids.shape[1]) > self.max_tokens:
            raise InputError(
                f"template: a sentence of {n} tokens; shorten it to {self.max_tokens} or fewer."
            )
        around = self._read([""])[0]  # start and end token; SigLIP has no start, CLIPA no end
        words, rank_words = mask & ~torch.isin(ids, around), torch.zeros_like(mask)
        if template:
            start = int(not words[0, 0])
            before, after = (self._read([part])[0].shape[1] for part in template.split(SLOT))
            first, ends = (
                before + start - around.shape[1],
                mask.sum(1, keepdim=True) + start - after,
            )
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


def load_open_clip(
    name: str, weights: str | Path | None, size: int | None, seed: int
) -> OpenClipTowers:
    """An open_clip model behind the interface; see `mini.load_towers`.

    Raises:
        InputError: An unknown name, another kind of model, or weights that are neither here nor to be had.
    """
    import open_clip  # four seconds, which `mini` need not wait for

    open_clip.add_model_config(Path(__file__).parents[1] / "tiny.json")
    if problem := _problem(name, weights):
        raise InputError(f"towers: {name!r} {problem}.")
    model_name, _, tag = name.partition("/")
    trained = open_clip.get_pretrained_cfg(model_name, tag) or {}
    options: dict[str, Any] = {"force_image_size": size, "force_custom_text": True}
    # OpenAI's weights were trained with QuickGELU: with another activation the features are silently wrong.
    options["force_quick_gelu"] = bool(trained.get("quick_gelu")) or model_name.endswith(
        "-quickgelu"
    )
    # So they are with another mean of the pixels. A file does not say its own: its tag does, or the model's first tag.
    for known in open_clip.list_pretrained_tags_by_model(model_name)[:1]:
        trained = trained or open_clip.get_pretrained_cfg(model_name, known)
    options["force_preprocess_cfg"] = {
        key: trained[key] for key in ("mean", "std") if key in trained
    }
    options["pretrained"] = str(weights) if weights else None if tag == "random" else tag
    source = open_clip.get_model_config(model_name)["text_cfg"].get("hf_tokenizer_name")
    wanted, cure = f"tokenizer.json of {source!r}", "connect to a network once"
    with (
        torch.random.fork_rng(),
        patch("logging.warning"),
    ):  # of random weights, which were asked for
        torch.manual_seed(seed)
        try:
            tokenizer = open_clip.get_tokenizer(model_name)
            wanted, cure = (
                f"the weights of {name!r}",
                f"{cure}, or pass weights=FILE with a safetensors file",
            )
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
        return (
            "is unknown; use 'mini', 'tiny/random' or an open_clip model such as 'ViT-B-16/openai'"
        )
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
