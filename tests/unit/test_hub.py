"""The Hugging Face hub, by HTTP: a stand-in on this machine that keeps commits in memory."""

import base64
import json
from collections.abc import Iterator, Mapping
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
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.load import load_towers

RANKS = Ranks(("low", "high"), (0, 1), "a leaf with {rank} damage")
PIXELS = torch.zeros(1, 3, 64, 64)


def small_model() -> L2RCLIP:
    """Return a model that is built without a network."""
    return L2RCLIP.build(RANKS, Config(towers="tiny/random", heads=2, hidden=16, device="cpu"))


class Handler(BaseHTTPRequestHandler):
    """Creating, committing and downloading.

    `server.commits` holds the files of each commit, `server.requested` the paths asked for.
    """

    server: Any

    def respond(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a response; to HEAD without its body."""
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        """Make a repository, say how files are sent, or store a commit."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        first, *lines = map(json.loads, body.splitlines())

        answer = {"url": "http://127.0.0.1/ann/leaves", "success": True, "commitUrl": self.path}
        upload = {"uploadMode": "regular", "shouldIgnore": False}
        answer["files"] = [file | upload for file in first.get("files", [])]

        if "/commit/" in self.path:
            files = {}
            for line in lines:
                file = line["value"]
                files[file["path"]] = base64.b64decode(file["content"])
            commit = f"{len(self.server.commits):040x}"
            self.server.commits[commit] = files
            answer["commitOid"] = commit

        self.respond(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        """Send a file of a commit; main is the last one."""
        self.server.requested.append(self.path)
        if self.server.is_down:
            self.respond(501, b"")
            return

        commit, _, file = self.path.rpartition("/resolve/")[2].partition("/")
        if commit == "main":
            commit = max(self.server.commits)

        content = self.server.commits.get(commit, {}).get(file)
        if content is None:
            self.respond(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self.respond(200, content, {"ETag": f'"{commit}"', "X-Repo-Commit": commit})

    do_HEAD = do_GET  # noqa: N815


def names_of(requested: list[str]) -> set[str]:
    """Return the names of the files that were asked for."""
    return {path.rpartition("/")[2] for path in requested if "/resolve/" in path}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The stand-in in the place of the hub, where HF_ENDPOINT puts it for a new process."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(hf_api.api, "endpoint", address)

        server.commits = {"0" * 40: {"pytorch_model.bin": b"a pickle"}}
        server.requested = []
        server.is_down = False
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_model_goes_to_the_hub_and_comes_back(hub: Any) -> None:
    """Two files in one commit; a pinned revision stays what it was when the repository goes on."""
    model = small_model()
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


def test_a_model_of_the_hub_is_there_without_a_network(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once downloaded; the same weights, also of its main branch."""
    commit = small_model().push_to_hub("ann/leaves", "# A card\n")
    model = L2RCLIP.from_pretrained("hf-hub:ann/leaves")

    hub.is_down = True
    for is_offline in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", is_offline)
        for revision in ("main", commit):
            loaded = L2RCLIP.from_pretrained("hf-hub:ann/leaves", revision=revision)
            assert torch.equal(loaded(PIXELS), model(PIXELS))


# --- towers of the hub --------------------------------------------------------------------------

PINNED = "1" * 40
LATER = "2" * 40
TAGS = {"web": {"hf_hub": "ann/pocket/"}, "pickled": {"hf_hub": "eve/pocket/"}}


def published(seed: int) -> bytes:
    """Return the weights of an open_clip model as a safetensors file."""
    config = json.loads(Path(l2rclip_lite.__file__).with_name("tiny.json").read_text("utf-8"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return save(open_clip.CustomTextCLIP(**config).state_dict())


@pytest.fixture
def pocket(hub: Any, pocket_model: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An open_clip model whose weights are on the hub, as safetensors and as a pickle only."""
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda model, tag: TAGS[tag])
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda model: list(TAGS))
    hub.commits[PINNED] = {"open_clip_model.safetensors": published(seed=1)}
    return "pocket/web"


@pytest.fixture
def config(pocket: str) -> Config:
    """A frozen image tower of the hub."""
    return Config(towers=pocket, image_side="kernel", heads=2, hidden=16)


def test_towers_of_the_hub_are_downloaded_once(hub: Any, config: Config, tmp_path: Path) -> None:
    """One file, where that is allowed; the model that is saved finds it on this machine."""
    with pytest.raises(InputError, match=r"'pocket/web' is not on this machine.*ann/pocket"):
        L2RCLIP.build(RANKS, config, allow_download=False)
    assert hub.requested == []

    model = L2RCLIP.build(RANKS, config)
    model.save_pretrained(tmp_path / "run")
    assert names_of(hub.requested) == {"open_clip_model.safetensors"}

    hub.requested.clear()
    loaded = L2RCLIP.from_pretrained(tmp_path / "run")
    assert torch.equal(loaded(PIXELS), model(PIXELS))
    assert hub.requested == []


def test_a_model_keeps_the_commit_of_its_towers(
    hub: Any, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine gets these, if its user allows it, also when the repository has gone on."""
    model = L2RCLIP.build(RANKS, config)
    model.save_pretrained(tmp_path / "run")

    hub.commits[LATER] = {"open_clip_model.safetensors": published(seed=2)}
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(InputError, match="--allow-download on the command line"):
        L2RCLIP.from_pretrained(tmp_path / "run")

    loaded = L2RCLIP.from_pretrained(tmp_path / "run", allow_download=True)
    assert torch.equal(loaded(PIXELS), model(PIXELS))
    assert loaded.towers.commits == {"ann/pocket": PINNED}


def test_a_tag_that_is_a_pickle_is_refused(hub: Any, pocket: str) -> None:
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
