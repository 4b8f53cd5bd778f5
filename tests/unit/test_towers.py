"""The open_clip adapter: what CLIP's tokenizer does to ranks, and equality with open_clip's own text path."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import l2rclip_lite
from l2rclip_lite.errors import InputError
from l2rclip_lite.images import Augment
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import open_clip as towers_of_open_clip
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.towers.mini import find_text_folder
from l2rclip_lite.towers.open_clip import OpenClipTowers

AGES = Ranks.integers(16, 77, template="a photo of a {rank} years old face")
TOKENIZER = open_clip.tokenizer.SimpleTokenizer()
TINY = json.loads(Path(l2rclip_lite.__file__).with_name("tiny.json").read_text("utf-8"))


class NoStart:
    """A stand-in for SigLIP's tokenizer: no start token, and an end token that is the padding, too."""

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
    """A random open_clip model of two layers with strong weights, so that every slot matters."""
    text, vision, _ = KINDS[kind]
    config = TINY | {"text_cfg": TINY["text_cfg"] | text, "vision_cfg": TINY["vision_cfg"] | vision}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = open_clip.CustomTextCLIP(**config).eval()
        for parameter in model.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.2)
    model.visual.image_mean = open_clip.OPENAI_DATASET_MEAN
    model.visual.image_std = open_clip.OPENAI_DATASET_STD
    return model


def test_ages_as_words_and_as_digits(tiny: Towers) -> None:
    """Of 16 … 77 as words 9 have one token and 53 have two; in digits each has one a digit; hyphens cost one more."""
    named = Ranks(AGES.names, AGES.values, template="{rank}")
    words = tiny.tokenize(named.sentences, template="{rank}")
    assert Counter(words.rank_words.sum(1).tolist()) == {2: 53, 1: 9}
    assert words.ids[AGES.names.index("twenty one")].tolist() == [49406, 13016, 637, 49407]
    digits = tiny.tokenize([str(age) for age in range(16, 78)], template="{rank}")
    assert set(digits.rank_words.sum(1).tolist()) == {2}
    assert int(tiny.tokenize(["twenty-one"], template="{rank}").rank_words.sum()) == 3
    assert torch.equal(tiny.tokenize(["Twenty One"]).ids, tiny.tokenize(["twenty one"]).ids)


@pytest.mark.parametrize(
    "template", [AGES.template, "age estimation: the age of the person is {rank}", "{rank} years"]
)
def test_rank_words_spell_the_rank_and_nothing_else(tiny: Towers, template: str) -> None:
    """Decode the marked tokens: the rank name, wherever it stands."""
    ranks = Ranks(AGES.names, AGES.values, template=template)
    tokens = tiny.tokenize(ranks.sentences, template=template)
    for row, name in enumerate(ranks.names):
        assert TOKENIZER.decode(tokens.ids[row][tokens.rank_words[row]].tolist()).strip() == name
    assert not (tokens.rank_words & ~tokens.words).any()


def test_words_are_all_but_start_end_and_padding(tiny: Towers) -> None:
    """Three words and four, cut to six: start, words, end, padding."""
    tokens = tiny.tokenize(["a red leaf", "a very red leaf"])
    assert tokens.ids[0].tolist()[-2:] == [49407, 0]
    assert tokens.mask.int().tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]]
    assert tokens.words.int().tolist() == [[0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]]
    longer = tokens.with_context(2)
    assert longer.ids[0, :4].tolist() == [49406, 3, 3, tokens.ids[0, 1]]
    assert longer.mask.sum(1).tolist() == [7, 8]
    assert longer.words.sum(1).tolist() == [3, 4]
    assert not longer.words[:, 1:3].any()
    assert torch.equal(longer.ids.argmax(1), tokens.ids.argmax(1) + 2), (
        "the end token is still found"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_text_tower_is_open_clips(kind: str) -> None:
    """From word embeddings on: open_clip's features. So "a very" as two slots before "red leaf" is "a very red leaf"."""
    model, tokenizer = tiny_model(kind), KINDS[kind][2]
    if (
        tokenizer == "WordPiece"
    ):  # of BERT, as CLIPA's; it puts a start token and, here, no end token
        options = {"context_length": 12, "strip_sep_token": True}
        tokenizer = open_clip.tokenizer.HFTokenizer(str(find_text_folder()), **options)
    towers = OpenClipTowers(model, tokenizer).eval()
    sentences, rest = (
        ["a very red leaf", "a very, very old green one"],
        ["red leaf", ", very old green one"],
    )
    with torch.no_grad():
        theirs = model.encode_text(
            tokenizer(sentences, context_length=towers.max_tokens), normalize=True
        )
        tokens = towers.tokenize(sentences)
        features = towers.encode_embeddings(towers.embed(tokens.ids), tokens)
        if not towers.cut:  # the same context as theirs, so the same path
            assert torch.equal(features, theirs)
        # CLIP's sentences are cut, theirs padded to the full context: other shapes, other rounding
        assert torch.allclose(features, theirs, atol=1e-6)
        assert torch.allclose(towers.encode_text(sentences), theirs, atol=1e-6)
        size = towers.image_size
        pixels = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        images = model.encode_image(pixels, normalize=True)
    assert torch.allclose(towers.encode_image(pixels), images, atol=1e-6)
    assert images.shape == (2, towers.dim)
    named = towers.tokenize(["a very red leaf", "a red leaf"], template="a {rank} leaf")
    assert named.rank_words.sum(1).tolist() == [2, 1]
    assert named.rank_words.int().argmax(1).equal(named.words.int().argmax(1) + 1), (
        "the rank comes after 'a'"
    )
    first, tokens = towers.tokenize(["a very"]), towers.tokenize(rest)
    slots = towers.embed(first.ids[first.words][None]).detach().expand(2, -1, -1).requires_grad_()
    ours = towers.encode_embeddings(
        tokens.insert(towers.embed(tokens.ids), slots), tokens.with_context(2)
    )
    assert torch.allclose(ours, theirs, atol=1e-6)
    (grad,) = torch.autograd.grad(ours[:, 0].sum(), slots)
    assert (grad.abs().amax(-1) > 1e-6).all(), "every slot moves the features"


@pytest.mark.slow
def test_local_weights_and_the_identity_for_a_real_architecture(tmp_path: Path) -> None:
    """ViT-S-32-alt with weights of seed 3 in a safetensors file: loaded, they give open_clip's features."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = open_clip.create_model("ViT-S-32-alt").eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    towers = load_towers("ViT-S-32-alt", weights=tmp_path / "w.safetensors", seed=8)
    sentences = AGES.sentences[1:4]
    tokens = towers.tokenize(sentences, template=AGES.template)
    assert (towers.width, towers.dim, towers.image_size, towers.max_tokens) == (256, 256, 224, 77)
    with torch.no_grad():
        theirs = model.encode_text(
            open_clip.get_tokenizer("ViT-S-32-alt")(sentences), normalize=True
        )
        assert torch.allclose(
            towers.encode_embeddings(towers.embed(tokens.ids), tokens), theirs, atol=1e-6
        )


@pytest.mark.parametrize(("name", "most"), [("tiny", 77), ("mini", 512)])
def test_too_long_a_sentence_is_refused(
    name: str, most: int, request: pytest.FixtureRequest
) -> None:
    """Of CLIP's 77 tokens and MiniLM's 512 start and end are two; one more word is too long."""
    towers: Towers = request.getfixturevalue(name)
    assert towers.tokenize(["leaf " * (most - 2)]).ids.shape == (1, most)
    said = rf"^template: a sentence of {most + 1} tokens; shorten it to {most} or fewer\.$"
    with pytest.raises(InputError, match=said):
        towers.tokenize(["leaf " * (most - 1)])


UNUSABLE = {
    "nope/openai": "'nope/openai' is unknown; use 'mini', 'tiny/random' or an open_clip model",
    "ViT-B-16": "names no weights; write 'ViT-B-16/openai'",
    "ViT-B-16/nope": "'ViT-B-16/nope' has no weights of that name; use 'random' or one of openai, ",
    "ViT-B-16/openai": "connect to a network once, or pass weights=FILE .* or use towers='mini'",
    "ViT-B-16-SigLIP/webli": "tokenizer.json of 'timm/ViT-B-16-SigLIP' .*; connect to a network once, or use",
    "roberta-ViT-B-32/random": "has a text tower from the transformers library; choose a model of CLIP (.*)",
    "tiny/openai": "'tiny/openai'",
    "tiny": "'tiny'",
    "mini/openai": "'mini/openai' is unknown",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_name_that_cannot_be_had_is_one_sentence_at_once(name: str) -> None:
    """Without a network (HF_HUB_OFFLINE=1), an unknown name, tag or kind: no wait, no traceback of a hub."""
    start = time.perf_counter()
    with pytest.raises(InputError, match=UNUSABLE[name]) as caught:
        load_towers(name)
    assert time.perf_counter() - start < 20
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_weights_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A missing file, a pickle, a damaged file, and weights for towers that take none."""
    pickle, damaged = tmp_path / "w.pt", tmp_path / "w.safetensors"
    pickle.write_bytes(b"x")
    damaged.write_bytes(b"x" * 50)
    for name, weights, message in (
        ("ViT-B-16", tmp_path / "no.safetensors", "does not exist"),
        ("ViT-B-16", pickle, "pickles are not read"),
        ("ViT-S-32-alt", damaged, "could not be loaded"),
        ("mini", damaged, "brings its own weights"),
        ("tiny/random", damaged, "brings its own weights"),
    ):
        with pytest.raises(InputError, match=message):
            load_towers(name, weights=weights)


@pytest.mark.parametrize(
    ("name", "quick", "mean"),
    [
        ("ViT-B-16/openai", True, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-B-16-quickgelu/metaclip_400m", True, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-B-16/laion400m_e32", False, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-L-14/laion2b_s32b_b82k", False, (0.5, 0.5, 0.5)),
        ("ViT-B-16-SigLIP", False, (0.5, 0.5, 0.5)),
        ("MobileCLIP-S1", False, (0, 0, 0)),
    ],
)
def test_activation_and_pixels_of_a_file_are_those_of_its_training(
    name: str, quick: bool, mean: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag says QuickGELU or GELU, and the mean of the pixels; without a tag the model's first one says the mean."""
    built: dict[str, Any] = {}
    read: list[str] = []
    model = tiny_model()

    def build(**config: Any) -> nn.Module:
        built.update(config)
        return model

    monkeypatch.setattr(open_clip, "CustomTextCLIP", build)
    monkeypatch.setattr(open_clip, "load_checkpoint", lambda _, path: read.append(path))
    monkeypatch.setattr(towers_of_open_clip, "_tokenizer", lambda *_: TOKENIZER)
    file = tmp_path / "w.safetensors"
    file.touch()

    towers = load_towers(name, weights=file, image_size=96)

    assert read == [str(file)]
    assert built["vision_cfg"]["image_size"] == 96
    assert built.get("quick_gelu", False) == quick
    assert towers.mean == mean


def test_random_towers_are_what_the_seed_says(tiny: Towers) -> None:
    """Same seed, same weights; torch's own generator is left alone; another size is honoured, not ignored."""
    before = torch.random.get_rng_state()
    same, other = load_towers("tiny/random"), load_towers("tiny/random", seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(
        torch.equal(a, b)
        for a, b in zip(tiny.state_dict().values(), same.state_dict().values(), strict=True)
    )
    sentence = ["a leaf"]
    assert not torch.allclose(tiny.encode_text(sentence), other.encode_text(sentence))
    larger = load_towers("tiny/random", image_size=96)
    assert larger.image_size == 96
    assert larger.encode_image(torch.zeros(1, 3, 96, 96)).shape == (1, 64)


def test_images_are_squeezed_never_cropped(tiny: Towers) -> None:
    """A grey image with a red left and a blue right edge keeps both; a centre crop would cut them away."""
    picture = Image.new("RGB", (400, 100), "grey")
    picture.paste("red", (0, 0, 40, 100))
    picture.paste("blue", (360, 0, 400, 100))
    square = tiny.resize()(picture)
    assert square.shape == (3, 64, 64)
    assert (square[:, 32, 1].tolist(), square[:, 32, 62].tolist()) == ([255, 0, 0], [0, 0, 255])


def test_normalised_pixels_by_hand(tiny: Towers, mini: Towers) -> None:
    """White is (1 − 0.48145466)/0.26862954 = 1.930336 in CLIP's red, and (255 − 127)/128 = 1 in mini; black −127/128."""
    white, black = torch.ones(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)
    assert float(tiny.normalize(white)[0, 0, 0, 0]) == pytest.approx(1.930336, abs=1e-6)
    assert mini.normalize(white).flatten().tolist() == pytest.approx([1, 1, 1])
    assert mini.normalize(black).flatten().tolist() == pytest.approx([-127 / 128] * 3)


def test_transform_is_squash_and_normalise_and_augments_by_torchs_seed(tiny: Towers) -> None:
    """Without training it is deterministic; with it, the same global seed gives the same picture."""
    picture = Image.radial_gradient("L").rotate(10, fillcolor=200)
    plain: Tensor = tiny.transform()(picture)
    assert torch.equal(plain, tiny.transform()(picture))
    torch.manual_seed(0)
    one, two = tiny.transform(train=True)(picture), tiny.transform(train=True)(picture)
    torch.manual_seed(0)
    assert torch.equal(one, tiny.transform(train=True)(picture))
    assert not torch.equal(one, two)


def test_augmentation_by_hand() -> None:
    """Each image of a batch gets draws of its own: flips for draws below 1/2, then ±15 % light, half of them upside down."""
    pixels = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    draw = torch.rand(4, 2, generator=torch.Generator().manual_seed(3))
    found = Augment(upside_down=True)(pixels, torch.Generator().manual_seed(3))
    for index in range(2):
        image = pixels[index].float() / 255
        image = image.flip(2) if draw[0, index] < 0.5 else image
        image = image.flip(1) if draw[1, index] < 0.5 else image
        bright, contrast = 0.85 + 0.3 * draw[2:, index]
        expected = ((image * bright - image.mean()) * contrast + image.mean()).clamp(0, 1)
        assert torch.equal(found[index], (expected * 255).round().byte())
