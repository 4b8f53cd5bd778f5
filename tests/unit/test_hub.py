"""The Hugging Face hub: a stand-in for its client that keeps commits in memory and in its cache."""

from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
import torch
from huggingface_hub import constants, hf_api
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import save
from tiny_clip import weights

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers import load_towers

RANKS = Ranks(("low", "high"), (0, 1), "a leaf with {rank} damage")
PIXELS = torch.zeros(1, 3, 64, 64)


class Hub:
    """The files of each commit, the last of which is main, and the names that were asked for."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, bytes]] = {}
        self.requested: list[str] = []

    def upload(self, *, repo_id: str, folder_path: str, commit_message: str) -> SimpleNamespace:
        """Store a folder as a commit."""
        commit = f"{len(self.commits):040x}"
        self.commits[commit] = {
            path.name: path.read_bytes() for path in Path(folder_path).iterdir()
        }
        return SimpleNamespace(oid=commit)

    def download(self, repository: str, name: str, *, revision: str | None) -> str:
        """Put a file into the cache, as the client lays it out."""
        self.requested.append(name)
        commit = revision or "main"
        if commit == "main":
            commit = [*self.commits][-1]
        if name not in self.commits[commit]:
            raise EntryNotFoundError(name)

        cache = Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
        (cache / "refs").mkdir(parents=True, exist_ok=True)
        (cache / "refs" / "main").write_text(commit)
        file = cache / "snapshots" / commit / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.commits[commit][name])
        return str(file)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """The stand-in in the place of the client."""
    hub = Hub()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for module in ("model_file", "towers.open_clip"):
        monkeypatch.setattr(f"l2rclip_lite.{module}.hf_hub_download", hub.download)
    monkeypatch.setattr("l2rclip_lite.model_file.upload_folder", hub.upload)
    monkeypatch.setattr("l2rclip_lite.model_file.create_repo", lambda *_, **__: None)
    return hub


def test_a_model_goes_to_the_hub_and_comes_back(hub: Hub) -> None:
    """Two files in one commit; a pinned revision stays what it was when the repository goes on."""
    model = L2RCLIP.build(RANKS, Config(towers="tiny/random", heads=2, hidden=16, device="cpu"))
    model.temperature.fill_(2)
    first = model.push_to_hub("ann/leaves", "# A card\n")
    model.temperature.fill_(3)
    second = model.push_to_hub("ann/leaves", "# A card\n")
    assert hub.commits[first].keys() == {"model.safetensors", "README.md"}
    assert hub.commits[first]["README.md"] == b"# A card\n"

    for revision, temperature in ((first, 2), (second, 3), ("main", 3)):
        loaded = L2RCLIP.from_pretrained("hf-hub:ann/leaves", revision=revision)
        assert float(loaded.temperature) == temperature
        assert torch.equal(loaded(PIXELS), model(PIXELS))


# --- towers of the hub --------------------------------------------------------------------------

PINNED = "1" * 40
LATER = "2" * 40
TAGS = {"web": {"hf_hub": "ann/pocket/"}, "pickled": {"hf_hub": "eve/pocket/"}}


@pytest.fixture
def pocket(hub: Hub, pocket_model: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An open_clip model whose weights are on the hub, as safetensors and as a pickle only."""
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda model, tag: TAGS[tag])
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda model: list(TAGS))
    hub.commits[PINNED] = {"open_clip_model.safetensors": save(weights(1))}
    return "pocket/web"


def test_towers_of_the_hub_are_downloaded_once_at_one_commit(
    hub: Hub, pocket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is allowed; another machine gets the same, also when main has gone on."""
    config = Config(towers=pocket, image_side="kernel", heads=2, hidden=16)
    with pytest.raises(InputError, match=r"'pocket/web' is not on this machine.*ann/pocket"):
        L2RCLIP.build(RANKS, config, allow_download=False)
    assert hub.requested == []

    model = L2RCLIP.build(RANKS, config)
    model.save_pretrained(tmp_path / "run")
    assert {*hub.requested} == {"open_clip_model.safetensors"}
    hub.requested.clear()
    assert torch.equal(L2RCLIP.from_pretrained(tmp_path / "run")(PIXELS), model(PIXELS))
    assert hub.requested == []

    hub.commits[LATER] = {"open_clip_model.safetensors": save(weights(2))}
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(InputError, match="--allow-download on the command line"):
        L2RCLIP.from_pretrained(tmp_path / "run")
    loaded = L2RCLIP.from_pretrained(tmp_path / "run", allow_download=True)
    assert torch.equal(loaded(PIXELS), model(PIXELS))
    assert loaded.towers.commits == {"ann/pocket": PINNED}


def test_a_tag_that_is_a_pickle_is_refused(hub: Hub, pocket: str) -> None:
    """Its safetensors file is asked for; where there is none, the pickle is not."""
    hub.commits[LATER] = {"open_clip_pytorch_model.bin": b"a pickle"}
    with pytest.raises(
        InputError, match=r"^towers: 'pocket/pickled' is published as a pickle only"
    ):
        load_towers("pocket/pickled")
    assert not any(path.endswith(".bin") for path in hub.requested)


def test_what_cannot_be_published_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is none, or no network: here no port listens."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hf_api.api, "endpoint", "http://127.0.0.1:9")
    model = L2RCLIP.from_pretrained("leaves")
    for name in ("../x", "leaves/../..", "", "a/b/c", "a b/c", "ann/leaves"):
        sentence = rf"^{name}: cannot be published \(.*\); give USER/NAME"
        with pytest.raises(InputError, match=sentence):
            model.push_to_hub(name, "# A card\n")
