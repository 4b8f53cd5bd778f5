"""The adapter that puts an open_clip model behind `Towers`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor
from torch.func import functional_call

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import NamedTensors
from l2rclip_lite.method.ranks import SLOT
from l2rclip_lite.towers.base import Embeddings, Pixels, Texts, Tokens, Towers
from l2rclip_lite.towers.hub import HubFiles

LARGE_ENOUGH = 64  # pixels of a side; towers divide it by 32 at most
ONLINE = "connect to a network once"
WITH_WEIGHTS = f"{ONLINE}, or pass weights=FILE with a safetensors file"
MAX_COUNTED_TOKENS = 1024  # tokens of a sentence that are counted before one is called too long
SAFETENSORS = ".safetensors"
FAILURES = (  # of open_clip and the hub, where a file is missing, damaged, or of another model
    ImportError,
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    StopIteration,
    SafetensorError,
)


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
    image_lr = 5e-6  # CLIP-ReID's stage-2 rate for ViT-B/16
    linear_lr = image_lr

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
        if n > self.max_tokens:
            raise InputError(
                f"template: a sentence of {n} tokens; shorten it to {self.max_tokens} or fewer."
            )

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

    def embed(self, ids: Int[Tensor, "rank token"]) -> Float[Tensor, "rank token width"]:
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

    def encode_text(self, sentences: Sequence[str]) -> Float[Tensor, "rank dim"]:
        """See `Towers.encode_text`; pads to the full context as open_clip does."""
        ids = self.tokenizer(list(sentences), context_length=self.max_tokens)
        return F.normalize(self.text(ids.to(self.logit_scale.device)), dim=-1)

    def backbone(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """See `Towers.backbone`; open_clip projects inside."""
        return self.image(pixels)


def load_open_clip(
    name: str,
    *,
    weights: str | Path | None,
    state: NamedTensors | None = None,
    image_size: int | None,
    seed: int,
    hub: HubFiles,
) -> OpenClipTowers:
    """Return an open_clip model behind the interface; see `load_towers`.

    Args:
        name: `"MODEL/TAG"`, `"MODEL/random"`, or `"MODEL"` with `weights` or `state`.
        weights: A local safetensors file as open_clip writes it.
        state: The whole state of such towers, in place of weights: its names and shapes are
            compared, its numbers are for the caller to load.
        image_size: Side of the input image, pixels.
        seed: Seeds random weights.
        hub: Where tokenizer and weights come from.

    Raises:
        NotAllowedError: Tokenizer or weights would have to be downloaded.
        InputError: An unknown name, another kind of model, a state that does not fit it, weights
            that are neither here nor to be had, or images that are too small for it.
    """
    import open_clip  # four seconds, which `mini` need not wait for

    open_clip.add_model_config(Path(__file__).parents[1] / "tiny.json")
    problem = _problem(name, weights, needs_tag=state is None)
    if problem:
        raise InputError(f"towers: {name!r} {problem}.")

    model, _, tag = name.partition("/")
    text = open_clip.get_model_config(model)["text_cfg"]
    with _loading(f"tokenizer.json of {text.get('hf_tokenizer_name')!r}", ONLINE):
        tokenizer = _tokenizer(model, text, hub)

    file = Path(weights) if weights else None
    if file is None and state is None and tag != "random":
        file = weights_file(name, hub)

    with _loading(f"the weights of {name!r}", WITH_WEIGHTS):
        if state is not None:
            _check_state(state, _shapes(model, tag, image_size, tokenizer))

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            built = _build(model, tag, image_size, file)

    towers = OpenClipTowers(built, tokenizer).eval()
    if image_size is not None and image_size < LARGE_ENOUGH:
        _check_image_size(towers)
    towers.commits = hub.commits
    named_weights = weights is None and state is None
    towers.rebuildable = named_weights and (tag != "random" or name == "tiny/random")
    return towers


def _check_image_size(towers: OpenClipTowers) -> None:
    """Refuse images of which the image tower would leave nothing, by one black image."""
    side = towers.image_size
    try:
        with torch.no_grad():
            towers.backbone(torch.zeros(1, 3, side, side))
    except RuntimeError as error:
        raise InputError(
            f"image_size: {side} x {side} pixels are too few for the image tower; give a larger "
            "--image-size, or none for the tower's own."
        ) from error


def _build(model: str, tag: str, image_size: int | None, file: Path | None = None) -> Any:
    """Return an open_clip model with the weights of a file, or random ones.

    open_clip's `create_model` would do the same, but also download what it does not find, and warn
    of random weights.
    """
    import open_clip

    config = open_clip.get_model_config(model)
    config.pop("custom_text", None)

    # OpenAI's weights were trained with QuickGELU: with another activation the features are
    # silently wrong.
    trained = open_clip.get_pretrained_cfg(model, tag)
    if trained.get("quick_gelu") or model.endswith("-quickgelu"):
        config["quick_gelu"] = True

    uses_timm = "timm_model_name" in config["vision_cfg"]
    if uses_timm:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if image_size is not None:
        config["vision_cfg"]["image_size"] = image_size

    kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    built = kind(**config)
    if file is not None:
        open_clip.load_checkpoint(built, str(file))
    if image_size is not None and uses_timm and hasattr(built.visual, "set_input_size"):
        built.visual.set_input_size(image_size)

    # Weights also need the mean and spread of the pixels of their training. A file of weights does
    # not name them; take those of its tag, or else of the model's first tag.
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not trained and tags:
        trained = open_clip.get_pretrained_cfg(model, tags[0])
    built.visual.image_mean = trained.get("mean", open_clip.OPENAI_DATASET_MEAN)
    built.visual.image_std = trained.get("std", open_clip.OPENAI_DATASET_STD)
    return built


def _tokenizer(model: str, text: dict[str, Any], hub: HubFiles) -> Any:
    """Return the tokenizer of a model; open_clip brings CLIP's, others come from the hub."""
    import open_clip

    repository = text.get("hf_tokenizer_name")
    if not repository:
        return open_clip.get_tokenizer(model)

    file = hub.fetch(repository, "tokenizer.json", f"the tokenizer of {model!r}")
    for name in ("tokenizer_config.json", "special_tokens_map.json", "config.json"):
        hub.fetch_if_there(repository, name)

    return open_clip.tokenizer.HFTokenizer(
        str(file.parent),  # of a folder, transformers asks no network
        context_length=text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )


def weights_file(name: str, hub: HubFiles) -> Path:
    """Return the safetensors file behind "MODEL/TAG", from this machine's cache or downloaded.

    Args:
        name: Such as "ViT-B-16/openai".
        hub: Where it comes from, and at which commit.

    Raises:
        InputError: An unknown name, or weights that are neither here nor to be had.
    """
    problem = _problem(name, None, needs_tag=True)
    if problem:
        raise InputError(f"towers: {name!r} {problem}.")

    model, _, tag = name.partition("/")
    with _loading(f"the weights of {name!r}", WITH_WEIGHTS):
        return _hub_weights(model, tag, hub)


def _hub_weights(model: str, tag: str, hub: HubFiles) -> Path:
    """Return the safetensors file of a tag, where open_clip might take a pickle."""
    import open_clip

    source = open_clip.get_pretrained_cfg(model, tag).get("hf_hub", "")
    repository, _, name = source.rpartition("/")
    if name in ("", open_clip.constants.HF_WEIGHTS_NAME):
        name = open_clip.constants.HF_SAFE_WEIGHTS_NAME
    file = str(Path(name).with_suffix(SAFETENSORS))

    no_safetensors = (
        f"towers: '{model}/{tag}' is published as a pickle only, and pickles are not read; "
        "convert it, and pass weights=FILE."
    )
    if not repository:
        raise InputError(no_safetensors)
    try:
        return hub.fetch(repository, file, f"'{model}/{tag}'")
    except LocalEntryNotFoundError:  # the hub cannot be reached
        raise
    except EntryNotFoundError as error:
        raise InputError(no_safetensors) from error


def _shapes(model: str, tag: str, image_size: int | None, tokenizer: Any) -> dict[str, torch.Size]:
    """Return names and shapes of the state of such towers; no memory is taken for them."""
    with torch.device("meta"):
        built = _build(model, tag, image_size)
    towers = OpenClipTowers(built, tokenizer)
    return {name: value.shape for name, value in towers.state_dict().items()}


def _check_state(state: NamedTensors, expected: Mapping[str, torch.Size]) -> None:
    """Refuse a state that is not the whole one of such towers."""
    for name in sorted(expected.keys() | state.keys()):
        if name not in state or name not in expected or state[name].shape != expected[name]:
            raise InputError(
                f"towers: {name} is missing, or of another shape than in that model; "
                "the file is damaged, or of another model."
            )


@contextmanager
def _loading(wanted: str, cure: str) -> Iterator[None]:
    """Turn what open_clip and the hub raise into one sentence.

    Args:
        wanted: What is loaded.
        cure: What to do where it cannot be had.
    """
    try:
        yield
    except InputError:
        raise
    except FAILURES as error:
        lines = str(error).splitlines() or [type(error).__name__]
        reason = lines[0][:120]
        raise InputError(
            f"towers: {wanted} could not be loaded ({reason}); {cure}, or use towers='mini'."
        ) from error


def _problem(name: str, weights: str | Path | None, *, needs_tag: bool) -> str:
    """Return what is wrong with a name, or nothing.

    open_clip would take an unknown tag for the path of a pickle.
    """
    import open_clip

    model, _, tag = name.partition("/")
    if model not in open_clip.list_models():
        choices = "'mini', 'tiny/random' or an open_clip model such as 'ViT-B-16/openai'"
        return f"is unknown; use {choices}"

    if "hf_model_name" in open_clip.get_model_config(model)["text_cfg"]:
        families = "CLIP (ViT, RN, EVA, MobileCLIP, PE), CLIPA, SigLIP or CoCa"
        return f"has a text tower from the transformers library; choose a model of {families}"

    tags = open_clip.list_pretrained_tags_by_model(model)
    is_known = tag in ("", "random", *tags)
    if not is_known and (weights or needs_tag):  # with a file, too, the tag decides the activation
        others = f" or one of {', '.join(tags)}" if tags else ""
        return f"has no weights of that name; use 'random'{others}"

    if weights:
        return _weights_problem(str(weights))
    if needs_tag and not tag:
        return f"names no weights; write '{name}/openai', '{name}/random' or pass weights=FILE"
    return ""


def _weights_problem(file: str) -> str:
    """Return what is wrong with a file of weights, or nothing."""
    # a share would be asked for, with the user's name
    elsewhere = "://" in file or file.startswith(("//", "\\\\"))
    if elsewhere or not Path(file).is_file():
        return f"cannot take {file}: no such file on this machine; give a safetensors file"
    if Path(file).suffix != SAFETENSORS:
        return f"cannot take {file}: pickles are not read, convert it"
    return ""
