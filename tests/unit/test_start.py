"""What a run takes over from a relative of its data, and what it leaves behind."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.baselines.training import carry_head
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import ModelFile
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData

PIXELS = torch.linspace(0, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
NAMES = Ranks(("no", "low", "high"), (0, 1, 2), "a leaf with {rank} damage")


def test_a_run_begins_with_tower_and_prompts_of_its_relative(relative: Path, small: Config) -> None:
    """Not with its ranks: the sentences are encoded anew, by the relative's RankFormer."""
    earlier = L2RCLIP.from_pretrained(relative)
    model = L2RCLIP.build(NAMES, replace(small, start=str(relative)))

    assert torch.equal(model.image_features(PIXELS), earlier.image_features(PIXELS))
    assert model.prompts is not None
    assert earlier.prompts is not None
    assert torch.equal(model.prompts.context, earlier.prompts.context)
    assert torch.equal(model.rank_features, earlier.with_ranks(NAMES).rank_features)
    assert not torch.equal(model.rank_features, L2RCLIP.build(NAMES, small).rank_features)


@pytest.mark.parametrize("image_side", ["tower", "kernel"])
def test_a_run_needs_its_relative_no_more(
    relative: Path, small: Config, tmp_path: Path, image_side: str
) -> None:
    """Its file holds the image tower, also where only a head was trained; its card says why."""
    others = load_dataset("leaves", size=60, pixels=64, ranks=20)
    start = shutil.copytree(relative, tmp_path / "relative")
    config = replace(small, start=str(start), image_side=image_side)
    model = fit(others, config, tmp_path / "run", quiet=True).model

    shutil.rmtree(start)
    loaded = L2RCLIP.from_pretrained(tmp_path / "run")
    assert torch.equal(loaded(PIXELS), model(PIXELS))
    reloaded = fit(others, config, tmp_path / "run", quiet=True).model
    assert torch.equal(reloaded(PIXELS), model(PIXELS))
    if image_side == "kernel":
        earlier = L2RCLIP.from_pretrained(relative)
        assert torch.equal(loaded.image_features(PIXELS), earlier.image_features(PIXELS))
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "what the run relative had learned" in card
    assert "(write here its data and their licence, which may bind you)" in card

    shutil.copytree(relative / "baselines" / "cross-entropy", start)
    with pytest.raises(InputError, match=r"run: did not begin with what --start .*relative is now"):
        fit(others, config, tmp_path / "run", quiet=True)


def test_scores_without_a_start_are_not_those_of_a_run_with_one(
    relative: Path, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """A start that is no folder of this machine is known by its name."""
    run = shutil.copytree(relative, tmp_path / "run")
    with pytest.raises(InputError, match="did not begin with what --start leaves-percent is now"):
        fit(leaves, replace(small, start="leaves-percent"), run, quiet=True)

    config = replace(small, start=str(relative))
    fit(leaves, config, tmp_path / "begun", quiet=True)
    with pytest.raises(InputError, match="did not begin with the untrained towers; give the"):
        fit(leaves, small, tmp_path / "begun", quiet=True)


def test_a_baseline_begins_with_the_outputs_of_its_relative(
    relative: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """Of the same ranks, before any step, it answers like the baseline that it begins with."""
    labels = relative / "baselines" / "cross-entropy"
    model = L2RCLIP.build(leaves.ranks, replace(small, start=str(labels), epochs2=0))
    same = train_baseline("cross-entropy", model, TrainingData.load(leaves, model))
    assert torch.allclose(same(PIXELS), L2RCLIP.from_pretrained(labels)(PIXELS), atol=1e-4)

    # what means other numbers stays behind
    other = L2RCLIP.build(replace(leaves.ranks, values=(1, 2, 3, 4, 5)), model.config)
    head = nn.Linear(other.towers.dim, 5)
    before = head.weight.detach().clone()
    carry_head(head, other, ModelFile.read(labels / "model.safetensors"))
    assert torch.equal(head.weight, before)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"towers": "mini"}, r"its towers is tiny/random, and not mini; give --towers tiny"),
        ({"heads": 1}, r"its heads is 2, and not 1; give --heads 2, or --epochs1 0\.$"),
        ({"start": "nothing"}, r"^nothing: no model\.safetensors here; "),
        ({"start": "leaves"}, r"its image tower was never trained.*--image-side tower\.$"),
        (  # a transformer has a vector for each place of an image
            {"image_size": 96},
            r"cannot be used \(towers\.image\.positional_embedding is missing",
        ),
    ],
)
def test_what_cannot_be_a_relative_is_one_sentence(
    relative: Path, small: Config, changes: dict[str, object], sentence: str
) -> None:
    """Other towers, other prompts, nothing there, or a tower that was never trained."""
    config = replace(small, **({"start": str(relative)} | changes))
    with pytest.raises(InputError, match=sentence):
        L2RCLIP.build(NAMES, config)


HUGE = r"features are no finite numbers; .*\(--start, --weights"


@pytest.mark.parametrize(
    ("number", "sentence"), [(None, "cannot be used"), (1e30, HUGE), (1e38, HUGE)]
)
def test_a_damaged_relative_is_named_as_the_cause(
    relative: Path,
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    number: float | None,
    sentence: str,
) -> None:
    """And not the learning rate, where weights are huge: too long features become zeros, or NaN.

    Half an image tower would train without a word.
    """
    tensors, metadata = read_tensors(relative / "model.safetensors")
    projection = tensors.pop("towers.image.proj")
    if number is not None:
        tensors["towers.image.proj"] = torch.full_like(projection, number)
    save_tensors(tmp_path / "model.safetensors", tensors, metadata)
    with pytest.raises(InputError, match=sentence):
        fit(leaves, replace(small, start=str(tmp_path)), tmp_path / "run", quiet=True)
