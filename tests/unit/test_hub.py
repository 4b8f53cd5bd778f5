"""The Hugging Face hub, by HTTP: a stand-in on this machine that keeps commits in memory."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import open_clip
import pytest
import torch
from huggingface_hub import constants, hf_api
from safetensors.torch import save

import l2rclip_lite
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.load import load_towers


class Handler(BaseHTTPRequestHandler):
    """The requests that creating, committing and downloading need; `server.commits` holds the files of each commit."""

    server: Any

    def answer(self, code: int, body: bytes, **headers: str) -> None:
        """One response."""
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def do_POST(self) -> None:
        """A new repository, the question how to send files, or a commit."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        first, *lines = map(json.loads, body.splitlines())
        said = {"url": "http://127.0.0.1/ann/leaves", "success": True, "commitUrl": self.path}
        how = {"uploadMode": "regular", "shouldIgnore": False}
        said["files"] = [file | how for file in first.get("files", [])]
        if "/commit/" in self.path:
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines
            }
            said["commitOid"] = f"{len(self.server.commits):040x}"
            self.server.commits[said["commitOid"]] = files
        self.answer(200, json.dumps(said).encode())

    def do_GET(self) -> None:
        """A file of a commit; main is the last one."""
        self.server.asked.append(self.path)
        oid, _, file = self.path.rpartition("/resolve/")[2].partition("/")
        oid = max(self.server.commits) if oid == "main" else oid
        content = self.server.commits.get(oid, {}).get(file)
        if content is None:
            self.answer(404, b"", X_Error_Code="EntryNotFound")
        else:
            self.answer(200, content, ETag=f'"{oid}"', X_Repo_Commit=oid)

    do_HEAD = do_GET  # noqa: N815


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The stand-in in place of huggingface.co, as the variable HF_ENDPOINT puts it there for a new process."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
        settings = {
            "ENDPOINT": address,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HUB_OFFLINE": False,
        }
        for name, value in (settings | {"HF_HUB_CACHE": str(tmp_path)}).items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(hf_api.api, "endpoint", address)
        server.commits, server.asked = {"0" * 40: {"pytorch_model.bin": b"a pickle"}}, []
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_model_goes_to_the_hub_and_comes_back(hub: Any) -> None:
    """Two files in one commit; a pinned revision stays what it was when the repository goes on."""
    ranks = Ranks(("low", "high"), (0, 1), "a leaf with {rank} damage")
    model = L2RCLIP.build(ranks, Config(towers="tiny/random", heads=2, hidden=16, device="cpu"))
    model.temperature.fill_(2)
    first = model.push_to_hub("ann/leaves", "# A card\n")
    model.temperature.fill_(3)
    second = model.push_to_hub("ann/leaves", "# A card\n")
    assert hub.commits[first]["README.md"] == b"# A card\n"
    assert hub.commits[first].keys() == {"model.safetensors", "README.md"}
    pixels = torch.zeros(1, 3, 64, 64)
    for revision, temperature in ((first, 2), (second, 3), ("main", 3)):
        loaded = L2RCLIP.from_pretrained("hf-hub:ann/leaves", revision=revision)
        assert float(loaded.temperature) == temperature
        assert torch.equal(loaded(pixels), model(pixels))


def test_of_a_strangers_repository_one_file_is_asked_for(hub: Any) -> None:
    """The pickle there is never fetched; what is not there is said in one sentence."""
    for name in ("eve/pickles", "no name"):
        with pytest.raises(
            InputError, match=rf"^hf-hub:{name}: no model\.safetensors \(.*\); check name\.$"
        ):
            L2RCLIP.from_pretrained(f"hf-hub:{name}")
    assert {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path} == {
        "model.safetensors"
    }


PINNED, LATER = "1" * 40, "2" * 40


def published(seed: int) -> bytes:
    """The weights of an open_clip model as a safetensors file."""
    config = json.loads(Path(l2rclip_lite.__file__).with_name("tiny.json").read_text("utf-8"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return save(open_clip.CustomTextCLIP(**config).state_dict())


@pytest.fixture
def pocket(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An open_clip model whose weights are on the hub, once as safetensors and once as a pickle only."""
    source = Path(l2rclip_lite.__file__).with_name("tiny.json")
    (tmp_path / "pocket.json").write_text(source.read_text("utf-8"), encoding="utf-8")
    open_clip.add_model_config(tmp_path / "pocket.json")
    tags = {"web": {"hf_hub": "ann/pocket/"}, "pickled": {"hf_hub": "eve/pocket/"}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "pocket", tags)
    hub.commits[PINNED] = {"open_clip_model.safetensors": published(seed=1)}
    return "pocket/web"


def test_towers_of_the_hub_are_downloaded_once_and_pinned(
    hub: Any, pocket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run keeps the commit of its towers: whoever allows it gets these, also when the repository has gone on."""
    ranks = Ranks(("low", "high"), (0, 1), "a leaf with {rank} damage")
    config = Config(towers=pocket, image_side="kernel", heads=2, hidden=16)
    with pytest.raises(InputError, match=r"'pocket/web' is not on this machine.*ann/pocket"):
        L2RCLIP.build(ranks, config, allow_download=False)
    assert hub.asked == []

    model = L2RCLIP.build(ranks, config)
    assert {path.rpartition("/")[2] for path in hub.asked} == {"open_clip_model.safetensors"}
    model.save_pretrained(tmp_path / "run")
    pixels = torch.zeros(1, 3, 64, 64)
    hub.asked.clear()
    assert torch.equal(L2RCLIP.from_pretrained(tmp_path / "run")(pixels), model(pixels))
    assert hub.asked == []

    hub.commits[LATER] = {"open_clip_model.safetensors": published(seed=2)}
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(InputError, match="--allow-download on the command line"):
        L2RCLIP.from_pretrained(tmp_path / "run")
    loaded = L2RCLIP.from_pretrained(tmp_path / "run", allow_download=True)
    assert torch.equal(loaded(pixels), model(pixels))
    assert loaded.towers.commits == {"ann/pocket": PINNED}


def test_a_tag_that_is_a_pickle_is_refused(hub: Any, pocket: str) -> None:
    """Its safetensors file is asked for; where there is none, the pickle is not."""
    hub.commits[LATER] = {"open_clip_pytorch_model.bin": b"a pickle"}
    with pytest.raises(
        InputError, match=r"^towers: 'pocket/pickled' is published as a pickle only"
    ):
        load_towers("pocket/pickled")
    assert not any(path.endswith(".bin") for path in hub.asked)


@pytest.mark.parametrize("name", ["../x", "leaves/../..", "", "a/b/c", "a b/c", "ann/leaves"])
def test_what_cannot_be_published_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is none, or no network: here no port listens."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hf_api.api, "endpoint", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=rf"^{name}: cannot be published \(.*\); give USER/NAME"):
        L2RCLIP.from_pretrained("leaves").push_to_hub(name, "# A card\n")
