"""What a run takes over from a relative of its data, and what it leaves behind."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from run_files import refused, run
from torch import nn

import l2rclip_lite
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.baselines.training import carry_head
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.model_file import ModelFile
from l2rclip_lite.runs.start import same_text_tower
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData

PIXELS = torch.linspace(0, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
NAMES = Ranks(("no", "low", "high"), (0, 1, 2), "a leaf with {rank} damage")


@pytest.fixture(scope="module")
def others() -> OrdinalDataset:
    """Leaves of twenty ranks."""
    return load_dataset("leaves", size=60, pixels=64, ranks=20)


def beginning(relative: Path, small: Config, ranks: Ranks = NAMES) -> L2RCLIP:
    """Return a fresh model that begins with a run."""
    return L2RCLIP.build(ranks, replace(small, start=str(relative)))


def test_a_run_begins_with_tower_and_prompts_of_its_relative(relative: Path, small: Config) -> None:
    """Not with its ranks: the sentences are encoded anew, by the relative's RankFormer."""
    earlier = L2RCLIP.from_pretrained(relative)
    model = beginning(relative, small)

    assert torch.equal(model.image_features(PIXELS), earlier.image_features(PIXELS))
    assert model.prompts is not None
    assert earlier.prompts is not None
    assert torch.equal(model.prompts.context, earlier.prompts.context)
    assert torch.equal(model.rank_features, earlier.with_ranks(NAMES).rank_features)
    assert not torch.equal(model.rank_features, L2RCLIP.build(NAMES, small).rank_features)


def test_a_relative_without_sentences_gives_its_tower_alone(relative: Path, small: Config) -> None:
    """A baseline has no prompts; those of the new run begin at random."""
    labels = relative / "baselines" / "cross-entropy"
    model = beginning(labels, small)

    earlier = L2RCLIP.from_pretrained(labels)
    assert torch.equal(model.image_features(PIXELS), earlier.image_features(PIXELS))
    assert torch.equal(model.rank_features, L2RCLIP.build(NAMES, small).rank_features)


def test_plain_sentences_stay_plain(relative: Path, small: Config) -> None:
    """Without an epoch of stage 1 the relative's prompts are not taken over."""
    plain = replace(small, epochs1=0)
    model = L2RCLIP.build(NAMES, replace(plain, start=str(relative)))
    assert torch.equal(model.rank_features, L2RCLIP.build(NAMES, plain).rank_features)


@pytest.mark.parametrize("image_side", ["tower", "kernel"])
def test_a_run_needs_its_relative_no_more(
    relative: Path, others: OrdinalDataset, small: Config, tmp_path: Path, image_side: str
) -> None:
    """Its file holds the image tower, also where only a head was trained; its card says why."""
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
    assert "what the run relative (SHA-256 " in card
    assert "(write here its data and their licence, which may bind you)" in card

    shutil.copytree(relative / "baselines" / "cross-entropy", start)
    with pytest.raises(InputError, match=r"run: began with what .*relative was, which has changed"):
        fit(others, config, tmp_path / "run", quiet=True)


def test_an_unfinished_run_goes_on_with_the_same_relative(
    relative: Path, others: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """It ends as if it had not been stopped; another relative of the same name is refused."""
    start = shutil.copytree(relative, tmp_path / "relative")
    config = replace(small, start=str(start))
    whole = fit(others, config, tmp_path / "whole", quiet=True)

    def stop(row: dict[str, float]) -> None:
        if row["stage"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(others, config, tmp_path / "run", quiet=True, on_epoch=stop)

    shutil.copy(relative / "baselines" / "cross-entropy" / "model.safetensors", start)
    with pytest.raises(InputError, match=r"run: began with what .*relative was, which has changed"):
        fit(others, config, tmp_path / "run", quiet=True)

    shutil.copy(relative / "model.safetensors", start)
    resumed = fit(others, config, tmp_path / "run", quiet=True)
    assert torch.equal(resumed.model(PIXELS), whole.model(PIXELS))


def test_a_baseline_begins_with_the_outputs_of_its_relative(
    relative: Path, leaves: OrdinalDataset, others: OrdinalDataset, small: Config
) -> None:
    """Of the same ranks, before any step, it answers like the baseline that it begins with."""
    labels = relative / "baselines" / "cross-entropy"
    config = replace(small, start=str(labels), epochs2=0)

    model = L2RCLIP.build(leaves.ranks, config)
    same = train_baseline("cross-entropy", model, TrainingData.load(leaves, model))
    assert torch.allclose(same(PIXELS), L2RCLIP.from_pretrained(labels)(PIXELS), atol=1e-4)

    model = L2RCLIP.build(others.ranks, config)
    data = TrainingData.load(others, model)
    other = train_baseline("cross-entropy", model, data)
    assert torch.equal(other(PIXELS), torch.zeros(2, 20))
    config = replace(config, epochs1=0)
    with pytest.raises(InputError, match=r"coop learns in stage 1; set epochs1"):
        train_baseline("coop", L2RCLIP.build(others.ranks, config), data)


@pytest.mark.parametrize(("values", "carried"), [((0, 1, 2, 3, 4), True), ((1, 2, 3, 4, 5), False)])
def test_outputs_belong_to_values(
    relative: Path, small: Config, values: tuple[int, ...], carried: bool
) -> None:
    """Whoever counts apples can count pears; what means other numbers stays behind."""
    fruit = Ranks(("green", "pale", "ripe", "soft", "brown"), values, "a {rank} banana")
    model = L2RCLIP.build(fruit, small)
    head = nn.Linear(model.towers.dim, 5)
    before = head.weight.detach().clone()

    carry_head(head, model, ModelFile.read(relative / "baselines/cross-entropy/model.safetensors"))
    assert torch.equal(head.weight, before) is not carried


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"towers": "mini"}, r"its towers are 'tiny/random', and not 'mini'; give --towers tiny"),
        ({"seed": 1}, r"its towers were drawn with the seed 0; give --seed 0\.$"),
        ({"heads": 1}, r"its heads is 2, and not 1; give --heads 2, or --epochs1 0\.$"),
        ({"axis": "token"}, r"its axis is rank, and not token; give --axis rank"),
        (
            {"start": "nothing"},
            r"^start: nothing: no model\.safetensors here; .*or leaves-percent\.$",
        ),
        (
            {"start": "leaves"},
            r"^start: leaves: no model\.safetensors here; .*or leaves-percent\.$",
        ),
    ],
)
def test_what_cannot_be_a_relative_is_one_sentence(
    relative: Path, small: Config, changes: dict[str, object], sentence: str
) -> None:
    """Other towers, other prompts, nothing there, or a model that ships and is no relative."""
    config = replace(small, **({"start": str(relative)} | changes))
    with pytest.raises(InputError, match=sentence):
        L2RCLIP.build(NAMES, config)


def test_a_damaged_relative_is_refused_as_predict_refuses_it(
    relative: Path, small: Config, tmp_path: Path
) -> None:
    """Half an image tower would train without a word."""
    content = ModelFile.read(relative / "model.safetensors")
    name = "towers.image.proj"
    less = {key: value for key, value in content.tensors.items() if key != name}
    more = {**content.tensors, "towers.image.more": torch.zeros(1)}
    text = {**content.tensors, "towers.text.more": torch.zeros(1)}

    for tensors, problem in (
        (less, f"{name} is missing"),
        (more, r"towers\.image\.more is not a tensor of this model"),
        (text, ""),
    ):
        replace(content, tensors=tensors).write(tmp_path / "model.safetensors")
        sentence = rf"^{tmp_path}/model\.safetensors: cannot be used \(.*{problem}"
        with pytest.raises(InputError, match=sentence):
            L2RCLIP.from_pretrained(tmp_path)
        with pytest.raises(InputError, match=sentence):
            beginning(tmp_path, small)


def test_a_transformer_begins_with_images_of_the_same_size(relative: Path, small: Config) -> None:
    """It has a vector for each place of an image; a sentence of ours says so, and none of torch."""
    sentence = (
        r"cannot be used with image_size='96' \(towers\.image\.positional_embedding "
        r"is missing, or not of the shape \(\d+, 64\)\); correct that, or leave it out\.$"
    )
    with pytest.raises(InputError, match=sentence):
        beginning(relative, replace(small, image_size=96))


def test_a_relative_of_huge_weights_is_named_as_the_cause(
    relative: Path, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """And not the learning rate."""
    content = ModelFile.read(relative / "model.safetensors")
    tensors = {**content.tensors}
    tensors["towers.image.proj"] = torch.full_like(tensors["towers.image.proj"], 1e38)
    replace(content, tensors=tensors).write(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"features are no finite numbers; .*\(--start, --weights"):
        fit(leaves, replace(small, start=str(tmp_path)), tmp_path / "run", quiet=True)


def test_text_towers_are_compared_by_their_weights(relative: Path, small: Config) -> None:
    """Not by the name of the file that had them, which may have moved or changed."""
    content = ModelFile.read(relative / "model.safetensors")
    model = L2RCLIP.build(NAMES, small)
    towers = {f"towers.{name}": value for name, value in model.towers.state_dict().items()}
    moved = replace(content.config, weights="moved.safetensors")
    assert same_text_tower(
        replace(content, config=moved, tensors=towers), model.config, model.towers
    )

    name = next(name for name in towers if name.startswith("towers.text."))
    towers[name] = towers[name] + 1
    assert not same_text_tower(replace(content, tensors=towers), model.config, model.towers)


def test_a_head_on_a_frozen_tower_is_no_relative(small: Config, tmp_path: Path) -> None:
    """As that of `leaves`, in a folder of its own."""
    leaves = Path(l2rclip_lite.__file__).with_name("leaves.safetensors")
    shutil.copy(leaves, tmp_path / "model.safetensors")
    sentence = r"its image tower was never trained.*--image-side tower\.$"
    with pytest.raises(InputError, match=sentence):
        L2RCLIP.build(NAMES, replace(small, start=str(tmp_path)))


def test_nor_is_it_one_where_the_file_holds_whole_towers(small: Config, tmp_path: Path) -> None:
    """As with weights of one's own."""
    model = L2RCLIP.build(NAMES, replace(small, image_side="kernel"))
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    replace(ModelFile.read(file), tensors=model.state_dict()).write(file)
    with pytest.raises(InputError, match="its image tower was never trained"):
        L2RCLIP.build(NAMES, replace(small, start=str(tmp_path)))


def test_baselines_of_a_run_begin_where_it_began(
    relative: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it lay, or where it is said to be now; only the same model will do."""
    monkeypatch.chdir(tmp_path)
    start = Path(shutil.copytree(relative, tmp_path / "relative"))
    options = ("--towers", "tiny/random", "--heads", 2, "--hidden", 32, "--epochs1", 1)
    data = ("--dataset", "leaves", "--size", 60, "--pixels", 64, "--ranks", 20, "--epochs2", 1)
    words = map(str, ("fit", *data, *options, "--start", start, "--out", "run"))
    assert run(*words).code == 0

    monkeypatch.chdir(tmp_path / "run")
    assert run("baselines", "../run", "linear-probe").code == 0
    monkeypatch.chdir(tmp_path)
    baseline = L2RCLIP.from_pretrained("run/baselines/linear-probe")
    earlier = L2RCLIP.from_pretrained(relative)
    assert torch.equal(baseline.image_features(PIXELS), earlier.image_features(PIXELS))

    moved = shutil.copytree(relative, tmp_path / "moved")
    (tmp_path / "run" / "baselines" / "linear-probe" / "predictions.csv").unlink()
    assert run("baselines", "run", "linear-probe", "--start", moved).code == 0
    refused(run("baselines", relative, "--start", moved), "began with no other run; leave out")

    shutil.copy(relative / "baselines" / "cross-entropy" / "model.safetensors", start)
    refused(run("baselines", "run", "sord"), "relative: is not what run began with; bring")
    shutil.rmtree(start)
    refused(run("baselines", "run", "sord"), f"start: {start}: no model.safetensors here")
