"""What a model file may ask for, and what it costs before it is refused."""

import json
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

import l2rclip_lite
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors
from l2rclip_lite.method import model as model_module
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.prompts import RankPrompts
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.model_file import MODEL, ModelFile, read_settings
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.towers import hub
from l2rclip_lite.towers.load import load_towers

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
BIG = "ViT-bigG-14/laion2b_s39b_b160k"


@pytest.fixture
def hosts(hosts: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Those of a machine that is online and has no file of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hosts


@pytest.fixture
def pocket(pocket_model: str) -> str:
    """A model whose random weights every machine may have."""
    return pocket_model


def written(folder: Path, change: Callable[[ModelFile], ModelFile]) -> Path:
    """Return the folder of a good model file, after a change that is not checked."""
    file = L2RCLIP.build(RANKS, CONFIG).save_pretrained(folder)
    change(ModelFile.read(file)).write(file)
    return folder


def naming(
    folder: Path,
    towers: str,
    weights: str | None = None,
    commits: Mapping[str, str] | None = None,
) -> Path:
    """Return the folder of a file that names other towers."""

    def name_towers(content: ModelFile) -> ModelFile:
        config = replace(content.config, towers=towers, weights=weights)
        return replace(content, config=config, commits=dict(commits or {}))

    return written(folder, name_towers)


def changed(content: ModelFile, name: str, tensor: torch.Tensor) -> ModelFile:
    """Return a file with another tensor."""
    return replace(content, tensors={**content.tensors, name: tensor})


@pytest.mark.parametrize(
    ("towers", "weights", "sentence"),
    [
        (BIG, None, f"'{BIG}' is not on this machine, and would be downloaded from laion/CLIP"),
        (
            "ViT-B-16-SigLIP/webli",
            None,
            "the tokenizer of 'ViT-B-16-SigLIP' is not on this machine",
        ),
        ("ViT-L-14-CLIPA/datacomp1b", None, "the tokenizer of 'ViT-L-14-CLIPA' is not on this"),
        ("ViT-B-16-SigLIP/random", None, "without holding their weights; pass towers="),
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
    naming(tmp_path, towers, weights)
    monkeypatch.setattr(open_clip, "CustomTextCLIP", lambda **_: pytest.fail("was built"))
    monkeypatch.setattr(open_clip, "load_checkpoint", lambda *_: pytest.fail("was opened"))

    with pytest.raises(InputError) as caught:
        L2RCLIP.from_pretrained(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path / MODEL}: ")
    assert sentence in str(caught.value)
    assert hosts == []


@pytest.mark.parametrize(
    ("allow_download", "towers"), [(True, None), (False, BIG)], ids=["allowed", "named"]
)
def test_what_the_caller_allows_is_one_safetensors_file(
    allow_download: bool,
    towers: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the commit that the file names; a hub that does not answer is one sentence, too."""
    repository = "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"
    requested: list[tuple[str, ...]] = []

    def download(repository: str, name: str, *, revision: str) -> None:
        requested.append((repository, name, revision))
        raise OSError("no network here")

    naming(tmp_path, BIG, commits={repository: "a" * 40})
    monkeypatch.setattr(hub, "hf_hub_download", download)

    with pytest.raises(InputError, match=r"could not be loaded \(no network here\)"):
        L2RCLIP.from_pretrained(tmp_path, towers=towers, allow_download=allow_download)
    assert requested == [(repository, "open_clip_model.safetensors", "a" * 40)]


def test_the_watch_is_not_deaf(hosts: list[object]) -> None:
    """Whoever asks for a host is seen."""
    with pytest.raises(OSError, match="no network here"):
        socket.create_connection(("localhost", 9))
    assert hosts


def test_a_commit_in_a_file_is_a_commit(hosts: list[object], tmp_path: Path) -> None:
    """A branch, which can change later, or a path, is refused before anything is looked for."""
    naming(tmp_path, BIG, commits={"a/b": "../../main"})
    with pytest.raises(InputError, match="is no commit of 'a/b'"):
        L2RCLIP.from_pretrained(tmp_path, allow_download=True)
    assert hosts == []


def assert_round_trip(model: L2RCLIP, folder: Path) -> None:
    """Check that a saved model answers the same, also after it was loaded and saved once more."""
    loaded = L2RCLIP.from_pretrained(folder)
    assert torch.equal(loaded(PIXELS), model(PIXELS))
    text = model.towers.encode_text(["a leaf"])
    assert torch.equal(loaded.towers.encode_text(["a leaf"]), text)

    loaded.save_pretrained(folder)
    assert torch.equal(L2RCLIP.from_pretrained(folder)(PIXELS), model(PIXELS))


def test_random_towers_are_in_the_file(pocket: str, tmp_path: Path) -> None:
    """No name brings them back."""
    config = replace(CONFIG, towers=f"{pocket}/random", image_side="kernel")
    model = L2RCLIP.build(RANKS, config)
    model.save_pretrained(tmp_path)
    assert_round_trip(model, tmp_path)


def test_towers_of_a_local_file_are_in_the_file(pocket: str, tmp_path: Path) -> None:
    """The local one may be gone."""
    local = tmp_path / "w.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(9)
        sizes = json.loads(Path(l2rclip_lite.__file__).with_name("tiny.json").read_text("utf-8"))
        save_file(open_clip.CustomTextCLIP(**sizes).state_dict(), local)

    config = replace(CONFIG, towers=pocket, weights=str(local), image_side="kernel")
    model = L2RCLIP.build(RANKS, config)
    model.save_pretrained(tmp_path)
    local.unlink()
    assert_round_trip(model, tmp_path)


def test_a_file_that_pretends_to_hold_its_towers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five billion numbers are compared by their shapes; no memory is taken for them."""
    naming(tmp_path, "EVA02-E-14-plus/random")
    content = ModelFile.read(tmp_path / MODEL)
    changed(content, "towers.text.text_projection", torch.zeros(1)).write(tmp_path / MODEL)
    make = open_clip.CustomTextCLIP
    devices = []

    def build(**sizes: object) -> torch.nn.Module:
        devices.append(torch.get_default_device().type)
        return make(**sizes)

    monkeypatch.setattr(open_clip, "CustomTextCLIP", build)
    with pytest.raises(InputError, match=r"image\..* is missing, or of another shape"):
        L2RCLIP.from_pretrained(tmp_path)
    assert devices == ["meta"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hidden": 65_536}, r"rankformer\.ffn\.0\.0\.weight is missing, or not of the shape"),
        ({"depth": 64}, r"rankformer\.attend\.1\..* is missing, or not of the shape"),
        ({"context_length": 64}, r"prompts\.context is missing, or not of the shape \(64, 64\)"),
    ],
)
def test_sizes_are_compared_before_memory_is_taken(
    settings: dict[str, Any],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of RankFormer and context, before prompts are built."""
    written(
        tmp_path,
        lambda content: replace(content, config=replace(content.config, **settings)),
    )
    monkeypatch.setattr(model_module, "build_prompts", lambda *_: pytest.fail("was built"))
    with pytest.raises(InputError, match=sentence):
        L2RCLIP.from_pretrained(tmp_path)


def test_many_ranks_of_which_one_is_long_are_refused(tmp_path: Path) -> None:
    """10,000 sentences padded to 60 tokens: sixty times the memory that the file takes."""
    count = 10_000
    names = [str(number) for number in range(count - 1)] + ["very " * 60]
    many = Ranks(tuple(names), tuple(range(count)), template="{rank}")

    def with_many_ranks(content: ModelFile) -> ModelFile:
        content = changed(content, "rank_features", torch.zeros(count, 64))
        return replace(content, ranks=many, config=replace(content.config, axis="token"))

    written(tmp_path, with_many_ranks)
    with pytest.raises(InputError, match=r"10000 sentences of \d+ tokens are too long for it"):
        L2RCLIP.from_pretrained(tmp_path)


def test_loading_encodes_no_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The features are in the file; attention over all its sentences could take gigabytes."""
    model = L2RCLIP.build(RANKS, CONFIG)
    model.save_pretrained(tmp_path)
    logits = model(PIXELS)
    monkeypatch.setattr(RankPrompts, "forward", lambda *_: pytest.fail("encoded"))
    assert torch.equal(L2RCLIP.from_pretrained(tmp_path)(PIXELS), logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_of_sixteen_bits_loads_as_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    """Its numbers are those of sixteen bits; what is not finite is refused all the same."""
    model = L2RCLIP.build(RANKS, CONFIG).to(dtype)
    file = model.save_pretrained(tmp_path)
    loaded = L2RCLIP.from_pretrained(tmp_path)
    assert loaded.rank_features.dtype == torch.float32
    assert torch.equal(loaded.rank_features, model.rank_features.float())
    assert loaded(PIXELS).isfinite().all()

    content = replace(ModelFile.read(file), tensors=read_tensors(file)[0])
    overflowed = changed(content, "rank_features", model.rank_features * torch.inf)
    overflowed.write(file)
    with pytest.raises(InputError, match="rank_features must hold finite numbers of type float32"):
        L2RCLIP.from_pretrained(tmp_path)


def test_other_warnings_are_heard_while_towers_are_built(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Random weights, which were asked for, are no reason to warn, nor to silence anybody."""
    make = open_clip.CustomTextCLIP

    def build(**sizes: object) -> torch.nn.Module:
        logging.warning("from another thread")
        return make(**sizes)

    monkeypatch.setattr(open_clip, "CustomTextCLIP", build)
    load_towers("tiny/random")
    assert [record.message for record in caplog.records] == ["from another thread"]


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", -1.0), ("temperature", 0.0), ("conformal", -1.0)]
)
def test_numbers_that_would_turn_the_answer_round_are_refused(
    tmp_path: Path, name: str, value: float
) -> None:
    """Divided by a temperature below 0, the least probable rank becomes the most probable."""
    written(tmp_path, lambda content: changed(content, name, torch.tensor(value)))
    with pytest.raises(InputError, match=f"{name} must be"):
        L2RCLIP.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("x" * 400, {}, "x: no model.safetensors here; give the --out"),
        (__file__, {}, r"\.py: a file, and no run; give the --out"),
        ("leaves", {"towers": "nope"},
         r"cannot be used with towers='nope' \(.*'nope' is unknown.*\); correct that"),
        ("leaves", {"weights": "nope"},
         r"cannot be used with weights='nope' \(.*leave weights out\); correct that"),
        ("leaves", {"towers": "tiny/random"}, "cannot be used with towers='tiny/random' "),
    ],
)  # fmt: skip
def test_a_bad_argument_is_not_the_fault_of_the_file(
    name: str, arguments: dict[str, str], sentence: str
) -> None:
    """No file is to be restored, nothing to be trained again."""
    with pytest.raises(InputError, match=sentence) as caught:
        L2RCLIP.from_pretrained(name, **arguments)  # type: ignore[arg-type]
    assert "train again" not in str(caught.value)


def test_of_a_damaged_file_the_path_is_said_once(tmp_path: Path) -> None:
    """And one cure, not one inside the other."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged or not a safetensors file") as caught:
        read_settings(file)
    assert str(caught.value).count(str(file)) == 1
    assert "train again" not in str(caught.value)


def test_places_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """A name that is too long, a file, and a place below a file."""
    model = L2RCLIP.from_pretrained("leaves")
    image = Image.new("RGB", (8, 8))
    file = tmp_path / "file"
    file.touch()

    for cache in ("x" * 400, file, file / "below"):
        with pytest.raises(InputError, match=r"^cache: .* cannot be a folder \(.*\); name another"):
            model.predict([image], cache=cache)
    for folder in (file, file / "below" / "deeper"):
        with pytest.raises(
            InputError, match=r"file: is a file, not a folder; choose another place"
        ):
            model.save_pretrained(folder)
        with (
            pytest.raises(InputError, match=r"file: is a file, not a folder; choose another place"),
            RunDirectory(folder).writing(),
        ):
            pass
