"""L2RCLIP as an ordinary module: in a stranger's loop, compiled, in DDP, saved, loaded, and asked."""

import math
from pathlib import Path
from typing import Any

import children
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors
from l2rclip_lite.freezing import freeze
from l2rclip_lite.kernel import KernelHead
from l2rclip_lite.losses import ordinal_pairwise_loss
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import Prediction
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.load import load_towers

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre", unit="years")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)


@pytest.fixture
def model() -> L2RCLIP:
    """A model nobody trained, with prompts moved away from their start."""
    model = L2RCLIP.build(RANKS, CONFIG)
    with torch.no_grad():
        model.prompts.context += 1  # type: ignore[union-attr, operator]
    model.refresh()
    return model


def images(count: int) -> list[Image.Image]:
    """Squares of one colour in grey frames."""
    found = []
    for index in range(count):
        image = Image.new("RGB", (90, 70), (128, 128, 128))
        image.paste((40 * index % 256, 255 - 30 * index % 256, 77), (20, 20, 60, 60))
        found.append(image)
    return found


def test_a_strangers_loop(leaves: OrdinalDataset) -> None:
    """What anybody writes who knows PyTorch: it learns the training leaves by heart."""
    torch.manual_seed(0)
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, CONFIG)
    leaves.train.transform = model.transform(train=False)
    loader = DataLoader(leaves.train, batch_size=16, shuffle=True)
    optimizer = torch.optim.Adam(freeze(model, "stage 2").values(), lr=3e-3)
    first = last = 0.0
    for _epoch in range(4):
        model.train()
        for pixels, target in loader:
            loss = F.cross_entropy(model(pixels), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            first, last = first or float(loss.detach()), float(loss.detach())
    leaves.train.transform = None
    assert last < 0.75 * first


def test_forward_is_scaled_cosines_with_gradients_on_both_sides(model: L2RCLIP) -> None:
    """s·z·t; in training mode prompts get a gradient, too, and evaluation mode uses what was last encoded."""
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logits = model(pixels)
    cosines = F.cosine_similarity(
        model.image_features(pixels)[:, None], model.rank_features[None], dim=2
    )
    assert torch.allclose(logits, model.scale * cosines, atol=1e-4)
    model.train()
    model(pixels).sum().backward()
    prompts, image = model.prompts, model.towers.image
    assert isinstance(prompts, nn.Module)
    assert all(
        float(p.grad.abs().sum()) > 0
        for p in (prompts.context, *image.parameters())
        if p.grad is not None
    )
    assert prompts.context.grad is not None
    with torch.no_grad():
        prompts.context.copy_(torch.linspace(-1, 1, 4 * 64).view(4, 64).sin())  # type: ignore[operator]
    assert not torch.allclose(model(pixels), logits, atol=1e-3)
    before = model.rank_features.clone()
    assert not torch.equal(model.eval().rank_features, before), (
        "eval() brings the text features up to date"
    )
    assert not model.towers.training, "BatchNorm statistics of a pretrained tower stay as they are"


@pytest.mark.slow
def test_it_compiles_wraps_hooks_and_round_trips() -> None:
    """torch.compile in one graph, DDP (one process), a forward hook and a state_dict: each gives the same logits."""
    assert children.ended(children.compile_and_wrap) == 0


def test_the_answers_by_hand() -> None:
    """(.5, .2, .3) at values 0, 2, 7: most probable and median "new", expected 0.4 + 2.1 = 2.5 years.

    The central 40 % lie between 0.3 and 0.7 of the cumulative row (.5, .7, 1): ranks 0 and 1. Without a level, all.
    """
    found = Prediction.of(torch.tensor([[0.5, 0.2, 0.3], [0.0, 0.0, 1.0]]), RANKS)
    assert found.rank.tolist() == [0, 2]
    assert found.name == ("new", "worn")
    assert found.median.tolist() == [0, 2]
    assert found.expected.tolist() == pytest.approx([2.5, 7.0])
    assert (found.low.tolist(), found.high.tolist()) == ([0, 0], [2, 2])
    found = Prediction.of(found.probabilities, RANKS, conformal=0.39)
    assert (found.low.tolist(), found.high.tolist()) == ([0, 2], [1, 2])


ROW = torch.tensor([[0.5, 0.2, 0.3]])


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("rows", "settings", "sentence"),
    [
        (ROW * math.nan, {}, "probabilities is nan in row 0"),
        (2 * ROW, {}, "row 0 of probabilities sums to 2; give numbers ≥ 0 that sum to 1"),
        (
            torch.tensor([[1.5, -0.5, 0.0]]),
            {},
            "row 0 of probabilities holds -0.5; give numbers ≥ 0",
        ),
        (ROW[0], {}, r"probabilities is float64\[3\]"),
        (ROW[:, :2], {}, "give 1 rows, 3 columns"),
        (ROW, {"conformal": math.nan}, "conformal is nan; give a number from 0 to 1"),
        (ROW, {"conformal": 2.0}, "conformal is 2.0"),
        (ROW, {"conformal": -1.0}, "conformal is -1.0"),
        (ROW, {"path": ["a", "b"]}, "2 paths, 1 images; give each image one, or none"),
    ],
)
def test_what_is_no_answer_is_refused(
    rows: torch.Tensor, settings: dict[str, Any], sentence: str
) -> None:
    """It became a prediction, with NaN as its expectation."""
    with pytest.raises(InputError, match=sentence):
        Prediction.of(rows, RANKS, **settings)


def test_double_precision_gets_the_answers_of_single() -> None:
    """Its expectation was an error of torch."""
    found = Prediction.of(ROW.double(), RANKS)
    assert torch.equal(found.expected, Prediction.of(ROW, RANKS).expected)


def test_features_of_another_width_are_refused(model: L2RCLIP) -> None:
    """By the width that texts have, or else the kernel head."""
    with pytest.raises(InputError, match=r"features are \[2, 63\]; give rows of 64 numbers"):
        model.probabilities(torch.ones(2, 63))
    model.head = KernelHead(5, len(RANKS))
    with pytest.raises(InputError, match=r"features are \[2, 64\]; give rows of 5 numbers"):
        model.logits(torch.ones(2, 64))


def test_images_paths_and_a_folder_get_the_same_answer(model: L2RCLIP, tmp_path: Path) -> None:
    """Whatever the batch size; and features are those of the model's own transform."""
    files = [tmp_path / f"{index}.png" for index in range(5)]
    for image, file in zip(images(5), files, strict=True):
        image.save(file)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._0.png").write_text("nor is what macOS leaves")
    mixed = pd.Series(
        [*files[:4], str(files[4])], index=[4, 3, 2, 1, 0]
    )  # of pandas, with labels of its own
    one, two = model.predict(images(5)), model.predict(mixed, batch_size=2)
    folder = model.predict(tmp_path)
    assert torch.allclose(one.probabilities, two.probabilities, atol=1e-6)
    assert torch.equal(
        model.predict(files[0]).probabilities, model.predict(images(1)[0]).probabilities
    )
    assert folder.path == two.path == tuple(map(str, files))
    assert folder.name == one.name
    with torch.no_grad():
        logits = model(torch.stack([model.transform()(image) for image in images(5)]))
    assert torch.allclose(logits.softmax(1), one.probabilities, atol=1e-5)
    array, table = np.array(images(1)[0]), folder.to_frame()
    for same in (array, [array], array[None], torch.from_numpy(array).movedim(2, 0).float() / 255):
        assert torch.allclose(model.predict(same).probabilities, one.probabilities[:1], atol=0.02)
    for wrong in (array / 255, torch.from_numpy(array).movedim(2, 0).int(), torch.randn(3, 8, 8)):
        with pytest.raises(InputError, match=r"image 0: .*; give "):
            model.predict(wrong)
    Image.fromarray(array[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")  # 16 bits
    deep = [tmp_path / "deep.png", Image.fromarray(array[..., 0])]
    assert torch.equal(*model.predict(deep).probabilities)
    assert table["path"].tolist() == [str(file) for file in files]
    assert table["p_2"].tolist() == pytest.approx(one.probabilities[:, 2].tolist(), abs=1e-6)
    model.temperature.fill_(2.0)
    assert torch.allclose(
        model.predict(images(5)).probabilities, (logits / 2).softmax(1), atol=1e-5
    )


@pytest.mark.parametrize(
    "settings", [{}, {"image_side": "kernel"}, {"controls": Controls(shuffled=True)}]
)
def test_save_and_load_give_equal_predictions(settings: dict[str, object], tmp_path: Path) -> None:
    """To the last bit, temperature included; towers that stayed frozen are not in the file."""
    config = Config(**(CONFIG.to_dict() | settings))  # type: ignore[arg-type]
    model = L2RCLIP.build(RANKS, config)
    with torch.no_grad():
        if config.image_side == "kernel":
            model.head = KernelHead(model.towers.dim, len(RANKS))
            model.head.weight += torch.randn(model.head.weight.shape)
        for parameter in model.towers.image.parameters() if config.image_side == "tower" else ():
            parameter += 0.01
        model.temperature.fill_(1.5)
    file = model.save_pretrained(tmp_path)
    loaded = L2RCLIP.from_pretrained(tmp_path)
    assert torch.equal(
        loaded.predict(images(2)).probabilities, model.predict(images(2)).probabilities
    )
    assert (loaded.ranks, loaded.config.image_size, loaded.training) == (RANKS, 64, False)
    names = set(read_tensors(file)[0])
    assert not any(name.startswith("towers.text.") for name in names)
    assert any(name.startswith("towers.image.") for name in names) == (config.image_side == "tower")


def test_the_model_that_ships_grades_leaves() -> None:
    """Sixty leaves it has not seen, without any training here: better than always the middle rank."""
    test = load_dataset("leaves", size=400, pixels=96, seed=5).test
    found = L2RCLIP.from_pretrained("leaves").predict(
        [test[index][0] for index in range(len(test))]
    )
    target = torch.tensor(test.targets)
    assert (found.rank - target).abs().float().mean() < 0.85 * (2 - target).abs().float().mean()


def test_what_is_not_there_is_refused(tmp_path: Path, model: L2RCLIP) -> None:
    """No image, a missing image, an unfinished run, a GPU that this machine lacks."""
    for nothing in ([], tmp_path):
        with pytest.raises(InputError, match=r"^predict: no image given"):
            model.predict(nothing)
    with pytest.raises(InputError, match=r"nowhere\.jpg"):
        model.predict(["nowhere.jpg"])
    with pytest.raises(
        InputError, match=r"no model\.safetensors here; give the --out of a finished"
    ):
        L2RCLIP.from_pretrained(tmp_path)
    if not torch.cuda.is_available():
        model.save_pretrained(tmp_path)
        with pytest.raises(InputError, match="use another device"):
            L2RCLIP.from_pretrained(tmp_path, device="cuda")


def test_a_number_below_its_least_is_refused(model: L2RCLIP) -> None:
    """Before torch is asked, whose sentence names no setting."""
    images = [Image.new("RGB", (8, 8))]
    with pytest.raises(InputError, match=r"^encode: no image given"):
        model.encode([])
    with pytest.raises(InputError, match=r"^batch_size is 0; give a whole number from 1"):
        model.encode(images, batch_size=0)
    with pytest.raises(InputError, match=r"^workers is -1; give a whole number from 0"):
        model.encode(images, workers=-1)
    with pytest.raises(InputError, match=r"^workers is 1000; give a whole number from 0 to 64\."):
        model.predict(images, workers=1000)
    with pytest.raises(InputError, match=r"^batch_size is .*; give a whole number from 1 to"):
        model.predict(images, batch_size=2**63)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_predicts(model: L2RCLIP, dtype: torch.dtype) -> None:
    """`model.half()` as PyTorch has it; also the model that ships, which has a head and the towers `mini`."""
    for each in (model, L2RCLIP.from_pretrained("leaves")):
        exact, half = (
            each.predict(images(3)).probabilities,
            each.to(dtype).predict(images(3)).probabilities,
        )
        assert half.dtype == torch.float32
        assert torch.allclose(half, exact, atol=0.2)


def test_bf16_predicts_nearly_the_same() -> None:
    """Autocast on the image tower alone; features leave it in fp32, and losses take them."""
    exact, half = (
        L2RCLIP.build(RANKS, Config(**(CONFIG.to_dict() | {"precision": p})))
        for p in ("fp32", "bf16")
    )
    one, two = exact.predict(images(3)), half.predict(images(3))
    assert two.probabilities.dtype == torch.float32
    assert not torch.equal(one.probabilities, two.probabilities)
    assert torch.allclose(one.probabilities, two.probabilities, atol=0.2)
    z = half.encode(images(3))
    loss = ordinal_pairwise_loss(
        z, half.rank_features, torch.tensor([0, 1, 2]), RANKS.values_tensor()
    )
    assert loss.isfinite()


@pytest.mark.parametrize("mode", ["freeze", "in place", "fused", "load_state_dict"])
def test_text_features_are_never_stale(model: L2RCLIP, mode: str) -> None:
    """Whatever changes the prompts, in whatever order: the next answer is of the prompts as they are now."""
    model.train()
    if mode in ("freeze", "fused"):
        learned = freeze(model, "stage 1").values()
        optimizer = torch.optim.Adam(learned, lr=0.1, fused=mode == "fused")
        model(torch.zeros(1, 3, 64, 64)).var().backward()
        optimizer.step()
        freeze(model, "stage 2")  # and neither eval() nor refresh()
        model.train()
    else:
        model.eval()
        moved = {name: value + 0.5 for name, value in model.state_dict().items()}
        if mode == "load_state_dict":
            moved = {name: value for name, value in moved.items() if name.startswith("prompts.")}
            model.load_state_dict(moved, strict=False)
        else:
            with torch.no_grad():
                model.prompts.context.mul_(-3)  # type: ignore[union-attr, operator]
    with torch.no_grad():
        expected = model.prompts(model.towers)  # type: ignore[misc]
    assert torch.allclose(model.text_features(), expected, atol=1e-5)
    assert torch.allclose(model.rank_features, expected, atol=1e-5)


def test_unchanged_prompts_are_not_encoded_again(
    model: L2RCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor those of a state that brought its text features along."""
    model.load_state_dict(model.state_dict())
    freeze(model, "stage 2")
    monkeypatch.setattr(type(model.prompts), "forward", lambda *_: pytest.fail("encoded"))
    for _ in range(2):
        model.train()(torch.zeros(1, 3, 64, 64))
        model.eval()(torch.zeros(1, 3, 64, 64))


def test_a_text_tower_that_learns_gets_a_gradient(model: L2RCLIP) -> None:
    """Also where the prompts are frozen: `requires_grad` alone decides."""
    model.train().requires_grad_(False)
    model.towers.text.requires_grad_(True)
    model(torch.zeros(1, 3, 64, 64)).var().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.towers.text.parameters())


def test_the_callers_autocast_reaches_the_image_tower(model: L2RCLIP) -> None:
    """Layers answer in bfloat16 as the caller wants; features leave the tower in float32, and stored texts stay exact."""
    seen: list[torch.dtype] = []
    convolution = next(m for m in model.towers.image.modules() if isinstance(m, nn.Conv2d))
    convolution.register_forward_hook(lambda *each: seen.append(each[2].dtype))
    texts = model.rank_features.clone()
    with torch.autocast("cpu", torch.bfloat16):
        assert model.image_features(torch.zeros(1, 3, 64, 64)).dtype == torch.float32
        model.refresh()
    model.image_features(torch.zeros(1, 3, 64, 64))
    assert seen == [torch.bfloat16, torch.float32]
    assert torch.equal(model.rank_features, texts)
