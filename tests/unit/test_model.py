"""L2RCLIP: logits, probabilities, prediction, and a file that gives them back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP, MODEL_FILE, Prediction
from l2rclip_lite.pixels import load_pixels
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre", unit="years")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)


@pytest.fixture(scope="module")
def model() -> L2RCLIP:
    """A model nobody trained, with prompts moved away from their start."""
    model = L2RCLIP.build(RANKS, CONFIG)
    with torch.no_grad():
        model.prompts.context += 1
    model.refresh()
    return model


def pictures(count: int) -> list[Image.Image]:
    """Squares of one colour in grey frames."""
    found = []
    for index in range(count):
        picture = Image.new("RGB", (90, 70), (128, 128, 128))
        picture.paste((40 * index % 256, 255 - 30 * index % 256, 77), (20, 20, 60, 60))
        found.append(picture)
    return found


def test_both_answers_by_hand() -> None:
    """(.5, .2, .3) at values 0, 2, 7: most probable "new", expected 0.4 + 2.1 = 2.5 years."""
    found = Prediction.of(torch.tensor([[0.5, 0.2, 0.3], [0.0, 0.0, 1.0]]), RANKS)
    assert found.rank.tolist() == [0, 2]
    assert found.name == ("new", "worn")
    assert found.expected.tolist() == pytest.approx([2.5, 7.0])


def test_logits_are_scaled_cosines(model: L2RCLIP) -> None:
    """s·z·t: a text feature itself has logit s at its own rank; probabilities are their softmax."""
    assert float(model.scale.detach()) == pytest.approx(float(model.towers.logit_scale.detach().exp()))
    with torch.no_grad():
        logits = model.logits(model.rank_features)
        assert torch.allclose(logits.diagonal(), model.scale.expand(3), rtol=1e-5)
        weight = torch.exp(logits - logits.max())
        assert torch.allclose(
            model.probabilities(model.rank_features), weight / weight.sum(1, keepdim=True), atol=1e-6
        )
        assert torch.allclose(model.rank_features, model.prompts(), atol=1e-6), (
            "what is cached is what prompts say"
        )


def test_paths_and_pictures_get_the_same_answer(model: L2RCLIP, tmp_path: Path) -> None:
    """Whatever the batch size; and features of bytes are those of the towers' own transform."""
    images = pictures(5)
    files = [tmp_path / f"{index}.png" for index in range(5)]
    for image, file in zip(images, files, strict=True):
        image.save(file)
    one = model.predict(images)
    two = model.predict([*files[:4], str(files[4])], batch_size=2)
    assert torch.allclose(one.probabilities, two.probabilities, atol=1e-6)
    assert one.name == two.name
    assert torch.allclose(one.probabilities.sum(1), torch.ones(5), atol=1e-6)
    with torch.no_grad():
        features = model.towers.encode_image(
            torch.stack([model.towers.transform()(image) for image in images])
        )
        assert torch.allclose(model.probabilities(features), one.probabilities, atol=1e-5)


def test_no_picture_and_a_missing_picture_are_refused(model: L2RCLIP) -> None:
    """The sentence names the file."""
    with pytest.raises(InputError, match=r"^predict: no picture given; pass at least one\.$"):
        model.predict([])
    with pytest.raises(InputError, match=r"nowhere\.jpg"):
        model.predict(["nowhere.jpg"])


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=4))
def test_expectations_stay_inside_the_ranks(weights: list[list[float]]) -> None:
    """Any probabilities."""
    weight = torch.tensor(weights)
    found = Prediction.of(weight / weight.sum(1, keepdim=True), RANKS)
    assert 0 <= float(found.expected.min()) <= float(found.expected.max()) <= 7 + 1e-5
    assert all(RANKS.names[k] == name for k, name in zip(found.rank.tolist(), found.name, strict=True))


def test_save_and_load_give_equal_predictions(model: L2RCLIP, tmp_path: Path, leaves: OrdinalDataset) -> None:
    """To the last bit, at the size it was trained on; the frozen text tower is not in the file."""
    with torch.no_grad():
        for parameter in model.towers.image.parameters():
            parameter += 0.01
    file = model.save(tmp_path)
    loaded = L2RCLIP.load(tmp_path)
    assert loaded.ranks == RANKS
    assert loaded.config == Config(**(CONFIG.to_dict() | {"image_size": 64}))
    assert not loaded.training
    pixels = load_pixels(leaves.test, model.towers)
    assert torch.equal(
        loaded.probabilities(loaded.features(pixels)), model.probabilities(model.features(pixels))
    )
    assert loaded.predict(pictures(2)).name == model.predict(pictures(2)).name
    with safe_open(file, framework="pt") as stored:
        names = set(stored.keys())
    assert not any(name.startswith("towers.text.") for name in names)
    assert names == {name for name in model.state_dict() if not name.startswith("towers.text.")}


def test_prototypes_are_what_the_config_says(tmp_path: Path) -> None:
    """Shuffled: π = 1, 2, 0 for three ranks, so "new" speaks of "used". Random: by the run's seed, and loaded as saved."""
    bare = {"context_length": 0, "rankformer": False, "epochs1": 0}

    def built(**settings: object) -> L2RCLIP:
        return L2RCLIP.build(RANKS, Config(**(CONFIG.to_dict() | bare | settings)))  # type: ignore[arg-type]

    true, shuffled, random = (built(prototypes=word) for word in ("language", "shuffled", "random"))
    assert torch.allclose(shuffled.rank_features, true.rank_features[[1, 2, 0]], atol=1e-6)
    other = built(prototypes="random", seed=1)
    assert not torch.allclose(random.rank_features, other.rank_features, atol=0.1)
    assert not any(name.startswith("prompts.") for name in other.changed_tensors())
    other.save(tmp_path)
    assert torch.equal(L2RCLIP.load(tmp_path).rank_features, other.rank_features)


def test_bf16_predicts_nearly_the_same() -> None:
    """Autocast on the image tower alone; features leave it in fp32."""
    exact, half = (
        L2RCLIP.build(RANKS, Config(**(CONFIG.to_dict() | {"precision": p}))) for p in ("fp32", "bf16")
    )
    one, two = exact.predict(pictures(3)), half.predict(pictures(3))
    assert two.probabilities.dtype == torch.float32
    assert not torch.equal(one.probabilities, two.probabilities)
    assert torch.allclose(one.probabilities, two.probabilities, atol=0.2)


def cut(file: Path) -> None:
    """The copy broke off."""
    file.write_bytes(file.read_bytes()[:-100])


def foreign(file: Path) -> None:
    """A safetensors file of another program."""
    save_file({"weight": torch.zeros(2)}, file)


def no_json(file: Path) -> None:
    """Its metadata is not ours."""
    save_file({"weight": torch.zeros(2)}, file, metadata={"l2rclip": "{"})


def other_ranks(file: Path) -> None:
    """Tensors of three ranks under a config of two."""
    with safe_open(file, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        metadata = stored.metadata()["l2rclip"].replace('"new", ', "").replace("[0.0, ", "[")
    save_file(tensors, file, metadata={"l2rclip": metadata})


def fewer(file: Path) -> None:
    """A tensor is missing."""
    with safe_open(file, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys() if name != "prompts.context"}  # noqa: SIM118
        save_file(tensors, file.with_suffix(".new"), metadata=stored.metadata())
    file.with_suffix(".new").replace(file)


def a_list(file: Path) -> None:
    """JSON, but no object."""
    save_file({"weight": torch.zeros(2)}, file, metadata={"l2rclip": "[1]"})


@pytest.mark.parametrize("damage", [cut, foreign, no_json, a_list, other_ranks, fewer])
def test_a_file_that_is_not_a_model_is_refused(
    damage: Callable[[Path], None], model: L2RCLIP, tmp_path: Path
) -> None:
    """One sentence with the file's name, whatever happened to it."""
    damage(model.save(tmp_path))
    with pytest.raises(InputError, match=rf"{MODEL_FILE}: .*train the run again\.$") as caught:
        L2RCLIP.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """An unfinished run, or a wrong path."""
    with pytest.raises(InputError, match=r"no model\.safetensors here; give the --out of a finished"):
        L2RCLIP.load(tmp_path)
