"""The adapter that puts an open_clip model behind `Towers`; `mini` need not wait for its import."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor
from torch.func import functional_call

from ..errors import InputError, NotAllowedError, in_one_sentence
from ..method import Embeddings, Features, Ids, Pixels, Texts
from ..method.ranks import SLOT
from .base import Tokens, Towers

MINI = "or use towers='mini'"
WITH_TOKENIZER = f"connect to a network once, {MINI}"
WITH_WEIGHTS = f"connect to a network once, or pass weights=FILE with a safetensors file, {MINI}"
COMMIT = re.compile(r"[0-9a-f]{40}")
MAX_COUNTED_TOKENS = 1024  # tokens of a sentence that are counted before one is called too long


class OpenClipTowers(Towers):
    """Any open_clip model whose text tower is open_clip's own.

    They are CLIP, MobileCLIP, EVA, PE, CLIPA, SigLIP and CoCa.

    From the word embeddings on, the text path is open_clip's: positions, mask, transformer,
    read-out, projection. CLIP reads the slot of the end token (by the ids, never by the
    embeddings) under a causal mask; so its sentences are cut to the longest one: the padding to 77
    cannot change a feature, and without it the tower is 6.7 times faster. Other text towers see the
    padding (SigLIP, CLIPA, CoCa, some MobileCLIPs), so their sentences fill the context, as in
    training: learned slots push words back and padding out, and the slot that SigLIP and CLIPA read
    stays the last.

    Args:
        model: An open_clip `CustomTextCLIP` or `CoCa`; `create_model` gives one with
            `force_custom_text=True`.
        tokenizer: The open_clip tokenizer of that model.
    """

    text: Any
    image_lrs = (5e-6,)  # CLIP-ReID's stage-2 rate for ViT-B/16

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        text = model.text
        model.visual.output_tokens = text.output_tokens = False  # CoCa's decoder would read them
        self.image = model.visual
        self.text = text
        self.tokenizer = tokenizer
        # SigLIP's logit_bias stays behind: it is the same for all ranks, so a softmax over them
        # does not see it.
        self.logit_scale = model.logit_scale
        self.dim = text.output_dim
        self.width = text.width
        self.max_tokens = text.context_length
        # A slot that the ids name and that is read under a causal mask does not depend on the
        # padding behind it.
        self.cut = (
            text.attn_mask is not None
            and text.cls_emb is None
            and text.pool_type in ("argmax", "eos")
        )
        self.pad = int(tokenizer([""], context_length=self.max_tokens)[0, -1])
        size = model.visual.image_size
        self.image_size = size if isinstance(size, int) else size[0]
        self.mean = tuple(model.visual.image_mean)
        self.std = tuple(model.visual.image_std)

    def tokenize(self, sentences: Sequence[str], *, template: str | None = None) -> "Tokens":
        """See `Towers.tokenize`."""
        ids, mask = self._read(sentences)
        n = ids.shape[1]

        around = self._read([""])[0]  # start and end token; SigLIP has no start, CLIPA no end
        words = mask & ~torch.isin(ids, around)
        rank_words = torch.zeros_like(mask)

        if template:
            starts = int(not words[0, 0])  # 1 where sentences have a start token
            before, after = (self._read([part])[0].shape[1] for part in template.split(SLOT))
            first = before + starts - around.shape[1]
            ends = mask.sum(1, keepdim=True) + starts - after

            slot = torch.arange(n)
            rank_words = (slot >= first) & (slot < ends.clamp(min=first + 1))

        return Tokens(ids, mask, rank_words, words)

    def _read(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return ids cut to the longest sentence, and which are no padding."""
        ids = self.tokenizer(list(sentences), context_length=MAX_COUNTED_TOKENS)
        at = torch.arange(1, MAX_COUNTED_TOKENS + 1)
        lengths = torch.where(ids != self.pad, at, 0).amax(1, keepdim=True)
        n = int(lengths.max())
        return ids[:, :n], at[:n] <= lengths

    def embed(self, ids: Ids) -> Embeddings:
        """See `Towers.embed`."""
        return F.embedding(ids, self.text.token_embedding.weight)

    def encode_embeddings(self, embeddings: Embeddings, tokens: Tokens) -> Texts:
        """See `Towers.encode_embeddings`."""
        length = embeddings.shape[1]
        ids = tokens.ids
        causal = {}

        if self.cut:
            causal = {"attn_mask": self.text.attn_mask[:length, :length]}
        else:
            ids = F.pad(ids, (0, self.max_tokens - length), value=self.pad)
            embeddings = torch.cat([embeddings, self.embed(ids[:, length:])], dim=1)

        # The tower reads ids for its read-out and would look up their embeddings; it gets ours.
        with self.text.token_embedding.register_forward_hook(lambda *_: embeddings):
            return F.normalize(functional_call(self.text, causal, (ids,)), dim=-1)

    def encode_text(self, sentences: Sequence[str]) -> Texts:
        """See `Towers.encode_text`; pads to the full context as open_clip does."""
        ids = self.tokenizer(list(sentences), context_length=self.max_tokens)
        return F.normalize(self.text(ids.to(self.logit_scale.device)), dim=-1)

    def backbone(self, pixels: Pixels) -> Features:
        """See `Towers.backbone`; open_clip projects inside."""
        return self.image(pixels)


class HubFiles:
    """Weights and tokenizers of repositories on the Hugging Face hub, each at one commit.

    What this machine has already is used without asking any network. The rest is downloaded only
    where the caller allows it, and never as a pickle.

    Args:
        allow_download: Whether a file that is not on this machine may be downloaded.
        commits: By repository, the commit that is wanted; a repository that is not in it is taken
            as its main branch was when this machine fetched it, or is now where it has not.
            Whatever is fetched is added, so that the next reader can ask for the same commit.
    """

    def __init__(self, allow_download: bool, commits: Mapping[str, str] | None) -> None:
        self.allow_download = allow_download
        self.commits = dict(commits or {})

    def fetch(self, repository: str, name: str, purpose: str) -> Path:
        """Return a file from this machine's cache, or download it.

        Args:
            repository: Such as `timm/ViT-B-16-SigLIP`.
            name: The file in it.
            purpose: What it is, for the sentence to the user.

        Raises:
            NotAllowedError: It is not on this machine, and may not be downloaded.
            LocalEntryNotFoundError: The hub cannot be reached.
            Exception: Of its client, or of the library by which it asks: there is no such file.
        """
        commit = self.commits.get(repository)
        cached = try_to_load_from_cache(repository, name, revision=commit)

        if isinstance(cached, str):
            file = Path(cached)
        elif self.allow_download:
            file = Path(hf_hub_download(repository, name, revision=commit))
        else:
            raise NotAllowedError(
                f"{purpose} is not on this machine, and would be downloaded from {repository} on "
                "the Hugging Face hub; if you want that, allow it by allow_download=True, or "
                "--allow-download on the command line."
            )

        if COMMIT.fullmatch(file.parent.name):  # of the cache: snapshots/COMMIT/NAME
            self.commits[repository] = file.parent.name
        return file


def load_open_clip(
    name: str,
    *,
    weights: str | Path | None,
    state: Mapping[str, Tensor] | None,
    image_size: int | None,
    seed: int,
    hub: HubFiles,
) -> OpenClipTowers:
    """Return an open_clip model behind the interface; see `load_towers`.

    Args:
        name: `"MODEL/TAG"`, `"MODEL/random"`, or `"MODEL"` with `weights` or `state`.
        weights: A local safetensors file as open_clip writes it.
        state: See `load_towers`.
        image_size: Side of the input image, pixels.
        seed: Seeds random weights.
        hub: Where tokenizer and weights come from.
    """
    open_clip.add_model_config(Path(__file__).with_name("tiny.json"))
    _check_name(name, weights, needs_tag=state is None)
    model, _, tag = name.partition("/")
    tokenizer = _tokenizer(model, hub)

    file = Path(weights) if weights else None
    if file is None and state is None and tag != "random":
        file = weights_file(name, hub)

    if state is not None:
        with torch.device("meta"):  # names and shapes are compared, and take no memory
            empty = _build(model, tag, image_size)
        OpenClipTowers(empty, tokenizer).load_state_dict(state, assign=True)

    problem = f"the weights of {name!r} could not be loaded"
    with in_one_sentence("towers", problem, WITH_WEIGHTS), torch.random.fork_rng():
        torch.manual_seed(seed)
        towers = OpenClipTowers(_build(model, tag, image_size, file), tokenizer).eval()

    towers.commits = hub.commits
    named_weights = weights is None and state is None
    towers.rebuildable = named_weights and (tag != "random" or name == "tiny/random")
    return towers


def weights_file(name: str, hub: HubFiles) -> Path:
    """Return the safetensors file behind "MODEL/TAG", where open_clip might take a pickle.

    Args:
        name: Such as "ViT-B-16/openai", and checked.
        hub: Where it comes from, and at which commit.

    Raises:
        InputError: Weights that are neither here nor to be had.
    """
    model, _, tag = name.partition("/")
    repository, _, file = open_clip.get_pretrained_cfg(model, tag).get("hf_hub", "").rpartition("/")
    if file in ("", open_clip.constants.HF_WEIGHTS_NAME):
        file = open_clip.constants.HF_SAFE_WEIGHTS_NAME

    if repository:
        problem = f"the weights of {name!r} could not be loaded"
        safe_file = str(Path(file).with_suffix(".safetensors"))
        with in_one_sentence("towers", problem, WITH_WEIGHTS):
            try:
                return hub.fetch(repository, safe_file, repr(name))
            except LocalEntryNotFoundError:  # the hub cannot be reached
                raise
            except EntryNotFoundError:  # the repository has a pickle alone
                pass
    raise InputError(
        f"towers: {name!r} is published as a pickle only, and pickles are not read; "
        "convert it, and pass weights=FILE."
    )


def _tokenizer(model: str, hub: HubFiles) -> Any:
    """Return the tokenizer of a model; open_clip brings CLIP's, others come from the hub."""
    text = open_clip.get_model_config(model)["text_cfg"]
    repository = text.get("hf_tokenizer_name")
    if not repository:
        return open_clip.get_tokenizer(model)

    problem = f"tokenizer.json of {repository!r} could not be loaded"
    with in_one_sentence("towers", problem, WITH_TOKENIZER):
        purpose = f"the tokenizer of {model!r}"
        file = hub.fetch(repository, "tokenizer.json", purpose)
        for name in ("tokenizer_config.json", "special_tokens_map.json", "config.json"):
            with suppress(EntryNotFoundError, NotAllowedError):  # not every repository has them
                hub.fetch(repository, name, purpose)

        return open_clip.tokenizer.HFTokenizer(
            str(file.parent),  # of a folder, transformers asks no network
            context_length=text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
            tokenizer_mode=text.get("tokenizer_mode"),
            **text.get("tokenizer_kwargs", {}),
        )


def _build(model: str, tag: str, image_size: int | None, file: Path | None = None) -> Any:
    """Return an open_clip model with the weights of a file, or random ones.

    open_clip's `create_model` would do the same, but also download what it does not find, and warn
    of random weights.
    """
    config = open_clip.get_model_config(model)
    config.pop("custom_text", None)

    # OpenAI's weights were trained with QuickGELU: with another activation the features are
    # silently wrong.
    trained = open_clip.get_pretrained_cfg(model, tag)
    if trained.get("quick_gelu"):
        config["quick_gelu"] = True

    config["vision_cfg"]["timm_model_pretrained"] = False
    if image_size is not None:
        config["vision_cfg"]["image_size"] = image_size

    kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    built = kind(**config)
    if file is not None:
        open_clip.load_checkpoint(built, str(file))
    if image_size is not None and hasattr(built.visual, "set_input_size"):  # of timm
        built.visual.set_input_size(image_size)

    # Weights also need the mean and spread of the pixels of their training. A file of weights does
    # not name them; take those of its tag, or else of the model's first tag.
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not trained and tags:
        trained = open_clip.get_pretrained_cfg(model, tags[0])
    built.visual.image_mean = trained.get("mean", open_clip.OPENAI_DATASET_MEAN)
    built.visual.image_std = trained.get("std", open_clip.OPENAI_DATASET_STD)
    return built


def _check_name(name: str, weights: str | Path | None, *, needs_tag: bool) -> None:
    """Refuse a name that cannot be had, and a file that is no local safetensors file.

    open_clip would take an unknown tag for the path of a pickle.
    """
    model, _, tag = name.partition("/")
    if model not in open_clip.list_models():
        choices = "'mini', 'tiny/random' or an open_clip model such as 'ViT-B-16/openai'"
        raise InputError(f"towers: {name!r} is unknown; use {choices}.")

    if "hf_model_name" in open_clip.get_model_config(model)["text_cfg"]:
        problem = "has a text tower from the transformers library"
        families = "CLIP (ViT, RN, EVA, MobileCLIP, PE), CLIPA, SigLIP or CoCa"
        raise InputError(f"towers: {name!r} {problem}; choose a model of {families}.")

    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag not in ("", "random", *tags) and (weights or needs_tag):  # it decides the activation
        others = f" or one of {', '.join(tags)}" if tags else ""
        raise InputError(f"towers: {name!r} has no weights of that name; use 'random'{others}.")

    if needs_tag and not tag and not weights:
        ways = f"write '{name}/openai', '{name}/random' or pass weights=FILE"
        raise InputError(f"towers: {name!r} names no weights; {ways}.")
    if weights and not (str(weights).endswith(".safetensors") and os.path.isfile(weights)):
        problem = "no such file on this machine, or a pickle, which is not read"
        raise InputError(f"towers: {name!r} takes a safetensors file; {weights} is {problem}.")
