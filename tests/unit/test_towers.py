"""The open_clip adapter: CLIP's tokens of ranks, and equality with open_clip's own text path."""

from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import pytest
import torch
from tiny_clip import SIZES
from torch import Tensor, nn

from l2rclip_lite.errors import InputError
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.mini import find_text_folder
from l2rclip_lite.towers.open_clip import HubFiles, OpenClipTowers

TOKENIZER = open_clip.tokenizer.SimpleTokenizer()


class NoStart:
    """A stand-in for SigLIP's tokenizer: no start token, and one token for end and padding."""

    def __call__(self, texts: list[str], context_length: int) -> Tensor:
        """Ids of words, padded."""
        rows = [TOKENIZER.encode(text) for text in texts]
        return torch.tensor([row + [1] * (context_length - len(row)) for row in rows])


BOTH_WAYS = {"no_causal_mask": True, "pool_type": "last"}
WITH_TOKENS = {"output_tokens": True}
TIMM = {"timm_model_name": "test_vit3", "image_size": 160, "timm_pool": "map", "timm_proj": None}
# What open_clip's configurations say beyond sizes: text tower, image tower, tokenizer.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "CLIP": ({}, {}, TOKENIZER),
    "RN": ({}, {"layers": (1, 1, 1, 1), "width": 8, "image_size": 64}, TOKENIZER),
    "worldwide": ({"pool_type": "eos", "eos_id": 49407}, {}, TOKENIZER),
    "MobileCLIP": ({"no_causal_mask": True}, TIMM, TOKENIZER),
    "SigLIP": (BOTH_WAYS | {"context_length": 9, "proj_bias": True}, TIMM, NoStart()),
    "SigLIP i18n": (BOTH_WAYS | {"context_length": 9, "proj_type": "none"}, TIMM, NoStart()),
    "CLIPA": (BOTH_WAYS | {"context_length": 12}, {}, "WordPiece"),
    "CoCa": (WITH_TOKENS | {"embed_cls": True, "context_length": 76}, WITH_TOKENS, TOKENIZER),
}


def tiny_model(kind: str = "CLIP") -> nn.Module:
    """Return a random open_clip model of two layers with strong weights: every slot matters."""
    text, vision, _ = KINDS[kind]
    config = SIZES | {
        "text_cfg": SIZES["text_cfg"] | text,
        "vision_cfg": SIZES["vision_cfg"] | vision,
    }

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = open_clip.CustomTextCLIP(**config).eval()
        for parameter in model.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.2)

    model.visual.image_mean = open_clip.OPENAI_DATASET_MEAN
    model.visual.image_std = open_clip.OPENAI_DATASET_STD
    return model


# --- every kind of open_clip model --------------------------------------------------------------

SENTENCES = ["a very red leaf", "a very, very old green one"]
RESTS = ["red leaf", ", very old green one"]  # the sentences without "a very"


class Adapted(NamedTuple):
    """A model of open_clip, our towers around it, and its features of the sentences."""

    model: nn.Module
    towers: OpenClipTowers
    texts: Tensor


@pytest.fixture(scope="module", params=KINDS)
def adapted(request: pytest.FixtureRequest) -> Adapted:
    """One kind of model."""
    model = tiny_model(request.param)
    tokenizer = KINDS[request.param][2]
    if tokenizer == "WordPiece":  # of BERT, as CLIPA's: with a start token and, here, no end token
        tokenizer = open_clip.tokenizer.HFTokenizer(
            str(find_text_folder()), context_length=12, strip_sep_token=True
        )
    towers = OpenClipTowers(model, tokenizer).eval()

    with torch.no_grad():
        ids = tokenizer(SENTENCES, context_length=towers.max_tokens)
        texts = model.encode_text(ids, normalize=True)
    return Adapted(model, towers, texts)


@torch.no_grad()
def test_texts_and_images_have_the_features_of_open_clip(adapted: Adapted) -> None:
    """From word embeddings on, and from sentences."""
    model, towers, texts = adapted
    tokens = towers.tokenize(SENTENCES)
    features = towers.encode_embeddings(towers.embed(tokens.ids), tokens)

    # CLIP's sentences are cut, open_clip pads them to the full context: another rounding
    assert torch.allclose(features, texts, atol=1e-6)
    assert torch.allclose(towers.encode_text(SENTENCES), texts, atol=1e-6)

    size = towers.image_size
    pixels = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    expected = model.encode_image(pixels, normalize=True)
    assert torch.allclose(towers.encode_image(pixels), expected, atol=1e-6)
    assert expected.shape == (2, towers.dim)


def test_the_words_of_a_rank_are_marked_behind_the_template(adapted: Adapted) -> None:
    """They come after "a"."""
    tokens = adapted.towers.tokenize(["a very red leaf", "a red leaf"], template="a {rank} leaf")
    first_word = tokens.words.int().argmax(1)
    first_of_rank = tokens.rank_words.int().argmax(1)
    assert tokens.rank_words.sum(1).tolist() == [2, 1]
    assert torch.equal(first_of_rank, first_word + 1)


def test_vectors_in_the_slots_of_the_context_are_read_as_words(adapted: Adapted) -> None:
    """Those of "a very" before "red leaf" make "a very red leaf", and each gets a gradient."""
    _, towers, texts = adapted
    words = towers.tokenize(["a very"])
    tokens = towers.tokenize(RESTS)
    vectors = towers.embed(words.ids[words.words][None]).detach().expand(2, -1, -1)
    vectors.requires_grad_()

    embeddings = tokens.insert(towers.embed(tokens.ids), vectors)
    features = towers.encode_embeddings(embeddings, tokens.with_context(2))

    assert torch.allclose(features, texts, atol=1e-6)
    (gradient,) = torch.autograd.grad(features[:, 0].sum(), vectors)
    assert (gradient.abs().amax(-1) > 1e-6).all()


# --- what is refused ----------------------------------------------------------------------------


UNUSABLE = {
    "nope/openai": "'nope/openai' is unknown; use 'mini', 'tiny/random' or an open_clip model",
    "ViT-B-16": "names no weights; write 'ViT-B-16/openai'",
    "ViT-B-16/nope": "'ViT-B-16/nope' has no weights of that name; use 'random' or one of openai, ",
    "ViT-B-16/openai": "connect to a network once, or pass weights=FILE .* or use towers='mini'",
    "ViT-B-16-SigLIP/webli": (
        "tokenizer.json of 'timm/ViT-B-16-SigLIP' .*; connect to a network once, or use"
    ),
    "roberta-ViT-B-32/random": (
        "has a text tower from the transformers library; choose a model of CLIP (.*)"
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_name_that_cannot_be_had_is_one_sentence_at_once(name: str, hosts: list[object]) -> None:
    """An unknown name, tag or kind, on a machine that is offline: no host is asked for it."""
    with pytest.raises(InputError, match=UNUSABLE[name]) as caught:
        load_towers(name)
    assert hosts == []
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "file", "sentence"),
    [
        ("ViT-B-16", "missing.safetensors", "no such file on this machine"),
        ("ViT-B-16", "pickle.pt", "a pickle, which is not read"),
        ("ViT-S-32-alt", "damaged.safetensors", "could not be loaded"),
        ("mini", "damaged.safetensors", "brings its own weights"),
    ],
)
def test_a_file_of_weights_that_cannot_be_used_is_refused(
    name: str, file: str, sentence: str, tmp_path: Path
) -> None:
    """A missing file, a pickle, a damaged file, and weights for towers that take none."""
    (tmp_path / "pickle.pt").write_bytes(b"x")
    (tmp_path / "damaged.safetensors").write_bytes(b"x" * 50)
    with pytest.raises(InputError, match=sentence):
        load_towers(name, weights=tmp_path / file)


# --- weights and pixels -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "quick", "mean"),
    [
        ("ViT-B-16/openai", True, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-B-16/laion400m_e32", False, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-L-14/laion2b_s32b_b82k", False, (0.5, 0.5, 0.5)),
        ("MobileCLIP-S1", False, (0, 0, 0)),
    ],
)
def test_activation_and_pixels_of_a_file_are_those_of_its_training(
    name: str, quick: bool, mean: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag says QuickGELU or GELU, and the mean; without a tag the model's first one says it."""
    built: dict[str, Any] = {}
    read: list[str] = []
    model = tiny_model()

    def build(**config: object) -> nn.Module:
        built.update(config)
        return model

    monkeypatch.setattr(open_clip, "CustomTextCLIP", build)
    monkeypatch.setattr(open_clip, "load_checkpoint", lambda _, path: read.append(path))
    monkeypatch.setattr(open_clip.tokenizer, "HFTokenizer", lambda *_, **__: TOKENIZER)
    monkeypatch.setattr(HubFiles, "fetch", lambda *_: tmp_path / "tokenizer.json")
    file = tmp_path / "w.safetensors"
    file.touch()

    towers = load_towers(name, weights=file, image_size=96)

    assert read == [str(file)]
    assert built["vision_cfg"]["image_size"] == 96
    assert built.get("quick_gelu", False) == quick
    assert towers.mean == mean


def test_random_towers_leave_torchs_own_generator_alone() -> None:
    """They have a seed."""
    before = torch.random.get_rng_state()
    load_towers("tiny/random")
    assert torch.equal(before, torch.random.get_rng_state())
