"""L2RCLIP as an ordinary module: in a plain loop, compiled, in DDP, saved and loaded."""

from dataclasses import replace
from pathlib import Path

import children
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.files import read_tensors
from l2rclip_lite.heads import LinearHead
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre", unit="years")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)


@pytest.fixture
def model() -> L2RCLIP:
    """A model nobody trained, with prompts moved away from their start."""
    model = L2RCLIP.build(RANKS, CONFIG)
    with torch.no_grad():
        model.prompts.context += 1
    model.refresh()
    return model


@pytest.fixture
def pixels() -> Tensor:
    """Two images of noise."""
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def images(count: int) -> list[Image.Image]:
    """Return squares of one colour in grey frames."""
    squares = []
    for index in range(count):
        image = Image.new("RGB", (90, 70), (128, 128, 128))
        image.paste((40 * index % 256, 255 - 30 * index % 256, 77), (20, 20, 60, 60))
        squares.append(image)
    return squares


# --- a module -----------------------------------------------------------------------------------


def test_in_training_mode_both_sides_get_a_gradient(model: L2RCLIP, pixels: Tensor) -> None:
    """Context and image tower, whose BatchNorm statistics stay as they are."""
    model.train()
    model(pixels).sum().backward()

    assert model.prompts.context.grad.any()
    gradients = [p.grad for p in model.towers.image.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.any() for gradient in gradients)
    assert not model.towers.training

    with torch.no_grad():
        model.prompts.context += 1
        assert torch.equal(model.eval().text_features(), model.prompts(model.towers))


@pytest.mark.slow
def test_it_compiles_wraps_hooks_and_round_trips() -> None:
    """torch.compile in one graph, DDP, a forward hook and a state_dict: the same logits."""
    assert children.ended(children.compile_and_wrap) == 0


# --- predict ------------------------------------------------------------------------------------


def test_images_paths_and_a_folder_get_the_same_answer(model: L2RCLIP, tmp_path: Path) -> None:
    """Whatever the batch size, in a table of a row each; a series has labels of its own.

    Beside the five images lie two files that are none.
    """
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._0.png").write_text("nor are the files that macOS leaves")

    files = []
    for index, image in enumerate(images(5)):
        files.append(tmp_path / f"{index}.png")
        image.save(files[-1])
    series = pd.Series([*files[:4], str(files[4])], index=[4, 3, 2, 1, 0])

    of_images = model.predict(images(5))
    of_paths = model.predict(series, batch_size=2)
    of_folder = model.predict(tmp_path)

    assert torch.allclose(of_images.probabilities, of_paths.probabilities, atol=1e-6)
    assert torch.allclose(of_images.probabilities, of_folder.probabilities, atol=1e-6)
    assert of_folder.name == of_images.name
    assert of_folder.path == of_paths.path == tuple(str(file) for file in files)

    table = of_paths.to_frame()
    assert table["path"].tolist() == [str(file) for file in files]
    assert table["p_2"].tolist() == pytest.approx(of_paths.probabilities[:, 2].tolist(), abs=1e-6)


# --- save and load ------------------------------------------------------------------------------


@pytest.mark.parametrize("image_side", ["tower", "kernel"])
def test_save_and_load_give_equal_predictions(image_side: str, tmp_path: Path) -> None:
    """To the last bit, temperature included; towers that stayed frozen are not in the file."""
    trained = L2RCLIP.build(RANKS, replace(CONFIG, image_side=image_side))
    with torch.no_grad():
        trained.temperature.fill_(1.5)
        if image_side == "kernel":
            trained.head = LinearHead(trained.towers.dim, len(RANKS))
            trained.head.weight += torch.randn(trained.head.weight.shape)
        else:
            for parameter in trained.towers.image.parameters():
                parameter += 0.01

    tensors, _ = read_tensors(trained.save_pretrained(tmp_path))
    loaded = L2RCLIP.from_pretrained(tmp_path)

    expected = trained.predict(images(2)).probabilities
    assert torch.equal(loaded.predict(images(2)).probabilities, expected)
    assert loaded.ranks == RANKS
    assert loaded.config.image_size == 64
    assert not loaded.training

    sides = {name.split(".")[1] for name in tensors if name.startswith("towers.")}
    expected_sides = {"image", "logit_scale"} if image_side == "tower" else set()
    assert sides == expected_sides
