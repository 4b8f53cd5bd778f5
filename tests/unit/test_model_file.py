"""What a model file may ask for, and what it costs before it is refused."""

import json
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

import l2rclip_lite
from l2rclip_lite import files, model_file
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import MODEL, ModelFile, read_settings
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import hub
from l2rclip_lite.towers.load import load_towers

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
BIG = "ViT-bigG-14/laion2b_s39b_b160k"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Hosts that somebody wants to reach, on a machine that is online and has no file of the hub."""
    hosts: list[Any] = []

    def refuse(*host: Any, **_: Any) -> None:
        hosts.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hosts


@pytest.fixture
def pocket(tmp_path: Path) -> str:
    """A small open_clip model that is not `tiny`, whose random weights every machine may have."""
    source = Path(l2rclip_lite.__file__).with_name("tiny.json")
    (tmp_path / "pocket.json").write_text(source.read_text("utf-8"), encoding="utf-8")
    open_clip.add_model_config(tmp_path / "pocket.json")
    return "pocket"


def written(folder: Path, change: Callable[[ModelFile], ModelFile]) -> Path:
    """The folder of a good model file that was changed, and whose own words are not checked."""
    file = L2RCLIP.build(RANKS, CONFIG).save_pretrained(folder)
    change(ModelFile.read(file)).write(file)
    return folder


def naming(folder: Path, towers: str, weights: str | None = None) -> Path:
    """The folder of a file that names other towers."""
    return written(
        folder,
        lambda content: replace(
            content, config=replace(content.config, towers=towers, weights=weights)
        ),
    )


def changed(content: ModelFile, name: str, tensor: torch.Tensor) -> ModelFile:
    """A file with another tensor."""
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
    asked: list[Any],
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
    assert asked == []


@pytest.mark.parametrize("word", [{"allow_download": True}, {"towers": BIG}])
def test_the_callers_word_asks_for_one_safetensors_file(
    word: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the commit that the file names; a hub that does not answer is one sentence, too."""
    repository = "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"
    wanted: list[Any] = []

    def download(*what: str, revision: str) -> None:
        wanted.append((*what, revision))
        raise OSError("no network here")

    written(
        tmp_path,
        lambda content: replace(
            content, config=replace(content.config, towers=BIG), commits={repository: "a" * 40}
        ),
    )
    monkeypatch.setattr(hub, "hf_hub_download", download)
    with pytest.raises(InputError, match=r"could not be loaded \(no network here\)"):
        L2RCLIP.from_pretrained(tmp_path, **word)
    assert wanted == [(repository, "open_clip_model.safetensors", "a" * 40)]


def test_the_watch_is_not_deaf(asked: list[Any]) -> None:
    """Whoever asks for a host is seen."""
    with pytest.raises(OSError, match="no network here"):
        socket.create_connection(("localhost", 9))
    assert asked


def test_a_commit_in_a_file_is_a_commit(asked: list[Any], tmp_path: Path) -> None:
    """A branch, which can change later, or a path, is refused before anything is looked for."""
    written(
        tmp_path,
        lambda content: replace(
            content, config=replace(content.config, towers=BIG), commits={"a/b": "../../main"}
        ),
    )
    with pytest.raises(InputError, match="is no commit of 'a/b'"):
        L2RCLIP.from_pretrained(tmp_path, allow_download=True)
    assert asked == []


def test_towers_that_no_name_brings_back_are_in_the_file(pocket: str, tmp_path: Path) -> None:
    """Random ones, and those of a local file, which may be gone: loaded, they answer the same."""
    save_file(load_towers("tiny/random", seed=5).text.state_dict(), tmp_path / "no.safetensors")
    local = tmp_path / "w.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(9)
        config = json.loads((tmp_path / "pocket.json").read_text("utf-8"))
        save_file(open_clip.CustomTextCLIP(**config).state_dict(), local)

    for towers, weights in ((f"{pocket}/random", None), (pocket, str(local))):
        config = replace(CONFIG, towers=towers, weights=weights, image_side="kernel")
        model = L2RCLIP.build(RANKS, config)
        model.save_pretrained(tmp_path)
        local.unlink(missing_ok=weights is None) if weights else None
        loaded = L2RCLIP.from_pretrained(tmp_path)
        assert torch.equal(loaded(PIXELS), model(PIXELS))
        assert loaded.towers.encode_text(["a leaf"]).equal(model.towers.encode_text(["a leaf"]))
        loaded.save_pretrained(tmp_path)
        assert torch.equal(L2RCLIP.from_pretrained(tmp_path)(PIXELS), model(PIXELS))


def test_a_file_that_pretends_to_hold_its_towers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five billion numbers are compared by their shapes; no memory is taken for them."""
    naming(tmp_path, "EVA02-E-14-plus/random")
    content = ModelFile.read(tmp_path / MODEL)
    changed(content, "towers.text.text_projection", torch.zeros(1)).write(tmp_path / MODEL)
    real = open_clip.CustomTextCLIP
    devices = []

    def build(**config: Any) -> torch.nn.Module:
        devices.append(torch.get_default_device().type)
        return real(**config)

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
def test_sizes_are_known_before_memory_is_taken(
    settings: dict[str, Any],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of RankFormer and context: compared with the file before prompts are built."""
    written(
        tmp_path,
        lambda content: replace(content, config=replace(content.config, **settings)),
    )
    monkeypatch.setattr(
        l2rclip_lite.pretrained, "build_prompts", lambda *_: pytest.fail("was built")
    )
    with pytest.raises(InputError, match=sentence):
        L2RCLIP.from_pretrained(tmp_path)


def refitted(file: Path, entries: dict[str, Any], data: bytes = b"") -> None:
    """Put more tensors into the header of a file, and more data behind its own."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length]) | entries
    words = json.dumps(header).encode()
    file.write_bytes(len(words).to_bytes(8, "little") + words + content[8 + length :] + data)


@pytest.mark.parametrize(
    ("name", "epochs1"),
    [
        ("more", 30),
        ("towers.image.more", 30),
        ("towers.text.more", 30),
        ("prompts.more", 30),
        ("prompts.context", 30),
        ("head.mean", 30),
        ("temperature", 30),
        ("more", 0),
    ],
)
def test_names_and_shapes_are_known_before_a_number_is_read(
    name: str, epochs1: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole of gigabytes takes no room on a disk, and all of it in memory."""
    file = L2RCLIP.build(RANKS, replace(CONFIG, epochs1=epochs1)).save_pretrained(tmp_path)
    length = int.from_bytes(file.read_bytes()[:8], "little")
    end = file.stat().st_size - 8 - length
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]}
    if name in ModelFile.read(file).tensors:
        content = ModelFile.read(file)
        replace(content, tensors={**content.tensors, name: torch.zeros(5, 5)}).write(file)
    else:
        refitted(file, {name: entry}, bytes(4))

    monkeypatch.setattr(model_file, "read_tensors", lambda *_: pytest.fail("was read"))
    with pytest.raises(InputError, match=MODEL):
        L2RCLIP.from_pretrained(tmp_path)


def test_prompts_that_nobody_trained_are_not_read(tmp_path: Path) -> None:
    """Files of earlier releases hold them; whatever they are, they are not needed."""
    file = L2RCLIP.build(RANKS, replace(CONFIG, epochs1=0)).save_pretrained(tmp_path)
    content = ModelFile.read(file)
    changed(content, "prompts.more", torch.tensor(torch.nan)).write(file)
    assert ModelFile.read(file).tensors.keys() == content.tensors.keys()
    L2RCLIP.from_pretrained(tmp_path)


def test_a_header_of_many_tensors_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Safetensors takes 14 s for 600,000 of them, all empty."""
    file = L2RCLIP.build(RANKS, CONFIG).save_pretrained(tmp_path)
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    refitted(file, {str(number): empty for number in range(20_000)})
    monkeypatch.setattr(files, "safe_open", lambda *_: pytest.fail("was parsed"))
    for read in (L2RCLIP.from_pretrained, lambda folder: read_settings(folder / MODEL)):
        with pytest.raises(InputError, match="it has more than 16,384 tensors"):
            read(tmp_path)


def test_many_ranks_of_which_one_is_long(tmp_path: Path) -> None:
    """10,000 sentences padded to 60 tokens: sixty times the memory that the file takes."""
    count = 10_000
    names = [str(number) for number in range(count - 1)] + ["very " * 60]
    many = Ranks(tuple(names), tuple(range(count)), template="{rank}")
    written(
        tmp_path,
        lambda content: replace(
            changed(content, "rank_features", torch.zeros(count, 64)),
            ranks=many,
            config=replace(content.config, axis="token"),
        ),
    )
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
    real = open_clip.CustomTextCLIP

    def build(**config: Any) -> torch.nn.Module:
        logging.warning("from another thread")
        return real(**config)

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
