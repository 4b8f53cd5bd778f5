"""What a model file may ask for, what it must hold, and what it keeps."""

import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from scipy.stats import spearmanr

import l2rclip_lite
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import NamedTensors
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.model_file import MODEL, ModelFile, as_float32

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
BIG = "ViT-bigG-14/laion2b_s39b_b160k"
PACKAGE = Path(l2rclip_lite.__file__).parent


@pytest.fixture
def hosts(hosts: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Those of a machine that is online and has no file of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hosts


def written(
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    tensors: NamedTensors | None = None,
) -> Path:
    """Write a good model file after changes that are not checked, and return it."""
    model = L2RCLIP.build(RANKS, CONFIG)
    file = model.save_pretrained(folder)
    content = ModelFile.read(file)
    content.config = replace(content.config, **settings or {})
    content.tensors |= tensors or {}
    content.write(file)
    return file


@pytest.mark.parametrize(
    ("towers", "weights", "sentence"),
    [
        (BIG, None, f"'{BIG}' is not on this machine, and would be downloaded from laion/CLIP"),
        ("EVA02-E-14-plus/random", None, "without holding their weights; pass towers="),
        ("ViT-B-16/openai", "w.safetensors", "a path in a file is not followed; pass weights=FILE"),
    ],
)
def test_a_file_asks_no_network_and_no_other_file(
    towers: str,
    weights: str | None,
    sentence: str,
    hosts: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sentence that names file, towers and the way to allow it; no model is built."""
    if weights is not None:
        weights = str(tmp_path / weights)
        save_file({"a": torch.zeros(1)}, weights)
    file = written(tmp_path, {"towers": towers, "weights": weights})
    monkeypatch.setattr(open_clip, "CustomTextCLIP", lambda **_: pytest.fail("was built"))

    with pytest.raises(InputError, match=f"^{file}: .*{sentence}"):
        L2RCLIP.from_pretrained(tmp_path)
    assert hosts == []
    with pytest.raises(OSError, match="no network here"):  # the watch is not deaf
        socket.create_connection(("localhost", 9))


@pytest.mark.parametrize(
    ("settings", "tensors", "problem"),
    [
        ({}, {"more": torch.zeros(1)}, "more is not a tensor of this model"),
        ({}, {"prompts.context": torch.zeros(5, 5)}, "prompts.context is missing, or not of"),
        ({"hidden": 65_536}, {}, r"rankformer\.ffn\.0\.0\.weight is missing, or not of"),
    ],
)
def test_names_and_shapes_are_those_of_the_settings(
    settings: dict[str, Any], tensors: NamedTensors, problem: str, tmp_path: Path
) -> None:
    """Else a model would answer with what nobody trained."""
    written(tmp_path, settings, tensors)
    with pytest.raises(InputError, match=rf"{MODEL}: cannot be used \(.*{problem}"):
        L2RCLIP.from_pretrained(tmp_path)


def test_a_model_of_sixteen_bits_loads_as_float32(tmp_path: Path) -> None:
    """Its numbers are those of sixteen bits; what is not finite is refused all the same."""
    model = L2RCLIP.build(RANKS, CONFIG).to(torch.float16)
    model.save_pretrained(tmp_path)
    loaded = L2RCLIP.from_pretrained(tmp_path)
    assert loaded.rank_features.dtype == torch.float32
    assert torch.equal(loaded.rank_features, model.rank_features.float())

    written(tmp_path, tensors={"rank_features": model.rank_features * torch.inf})
    with pytest.raises(InputError, match="rank_features must hold finite numbers of type float32"):
        L2RCLIP.from_pretrained(tmp_path)


def test_eight_bits_have_a_step_for_each_row() -> None:
    """A step that is missing, of another shape or no number is refused."""
    q = torch.tensor([[[127], [-64]], [[0], [1]]], dtype=torch.int8)
    read = as_float32({"w": q, "w.scale": torch.tensor([0.5, 2.0])})
    assert read["w"].tolist() == [[[63.5], [-32.0]], [[0.0], [2.0]]]
    assert read.keys() == {"w"}
    for scale in ({}, {"w.scale": torch.ones(3)}, {"w.scale": torch.full((2,), torch.nan)}):
        with pytest.raises(ValueError, match="w must hold finite numbers"):
            as_float32({"w": q, **scale})


def test_towers_that_no_name_brings_back_are_in_the_file(pocket_model: str, tmp_path: Path) -> None:
    """Random ones, and those of a local file, which may be gone; also when saved once more."""
    local = tmp_path / "w.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(9)
        sizes = json.loads((PACKAGE / "tiny.json").read_text("utf-8"))
        save_file(open_clip.CustomTextCLIP(**sizes).state_dict(), local)

    for towers, weights in ((f"{pocket_model}/random", None), (pocket_model, str(local))):
        config = replace(CONFIG, towers=towers, weights=weights, image_side="kernel")
        model = L2RCLIP.build(RANKS, config)
        model.save_pretrained(tmp_path)
        if weights is not None:
            local.unlink()
        for _ in range(2):
            loaded = L2RCLIP.from_pretrained(tmp_path)
            assert torch.equal(loaded(PIXELS), model(PIXELS))
            text = model.towers.encode_text(["a leaf"])
            assert torch.equal(loaded.towers.encode_text(["a leaf"]), text)
            loaded.save_pretrained(tmp_path)


def test_the_relative_that_ships_orders_leaves_by_words_it_never_had() -> None:
    """At most 5 MB; three names order drawn leaves, which the plain tower does not."""
    assert (PACKAGE / "leaves-percent.safetensors").stat().st_size <= 5_000_000
    names = Ranks(("no", "low", "high"), (0, 1, 2), "a photo of a leaf with {rank} damage")
    relative = L2RCLIP.from_pretrained("leaves-percent")
    config = Config(start="leaves-percent", image_size=96, heads=2, hidden=16)

    test = load_dataset("leaves", size=400, pixels=96, seed=5).test
    answer = relative.with_ranks(names).predict([image for image, _ in test])
    assert spearmanr(test.targets, answer.expected)[0] > 0.4

    pixels = torch.linspace(0, 1, 2 * 3 * 96 * 96).reshape(2, 3, 96, 96)
    begun = L2RCLIP.build(names, config)
    assert torch.equal(begun.image_features(pixels), relative.image_features(pixels))
