"""Models of unknown origin: headers that lie, pickles, pointers to elsewhere, flipped bits.

Nothing of them is executed or trusted.
"""

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import PHOTO, attempt, start
from faults import HOSTILE, TRIED, damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite import load_towers
from l2rclip_lite.config import Config
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks

pytestmark = pytest.mark.untyped
RANKS = Ranks(("low", "middle", "high"), (0, 1, 2), "a leaf with {rank} damage")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16, device="cpu")
CONTEXT = "prompts.context"
PROJECTION = "towers.image.proj"
LIES = "models whose header, tensors or metadata lie"
POINTS = "pickles, and configs that name a hub, a URL or another folder"


class Parts:
    """A safetensors file of ours, taken apart: header, state (config and ranks), data."""

    def __init__(self, file: bytes) -> None:
        length = int.from_bytes(file[:8], "little")
        self.header: dict[str, Any] = json.loads(file[8 : 8 + length])
        self.state: dict[str, Any] = json.loads(self.header["__metadata__"]["l2rclip"])
        self.data = file[8 + length :]

    def with_header(self, header: bytes) -> bytes:
        """Return the file with another header."""
        return len(header).to_bytes(8, "little") + header + self.data

    def with_entry(self, name: str, entry: dict[str, Any]) -> bytes:
        """Return the file with one more or another entry in its header."""
        return self.with_header(json.dumps(self.header | {name: entry}).encode())

    def without_entry(self, name: str) -> bytes:
        """Return the file without an entry of its header."""
        entries = {key: entry for key, entry in self.header.items() if key != name}
        return self.with_header(json.dumps(entries).encode())

    def with_tensor(self, name: str) -> bytes:
        """Return the file with one more tensor, of one zero."""
        length = len(self.data)
        entry = {"dtype": "F32", "shape": [1], "data_offsets": [length, length + 4]}
        return self.with_entry(name, entry) + bytes(4)

    def with_shape(self, name: str, shape: list[int]) -> bytes:
        """Return the file with another shape of a tensor."""
        return self.with_entry(name, self.header[name] | {"shape": shape})

    def with_empty(self, shape: list[int]) -> bytes:
        """Return the file with one tensor more, which has no numbers."""
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        return self.with_entry("empty", entry)

    def with_dtype(self, name: str, dtype: str) -> bytes:
        """Return the file with another type of a tensor."""
        return self.with_entry(name, self.header[name] | {"dtype": dtype})

    def with_offsets(self, name: str, begin: int, end: int) -> bytes:
        """Return the file with the offsets of a tensor moved by so many bytes."""
        first, last = self.header[name]["data_offsets"]
        offsets = [first + begin, last + end]
        return self.with_entry(name, self.header[name] | {"data_offsets": offsets})

    def filled(self, name: str, value: float) -> bytes:
        """Return the file with a tensor full of one number."""
        begin, end = self.header[name]["data_offsets"]
        data = bytearray(self.data)
        data[begin:end] = np.full((end - begin) // 4, value, "<f4").tobytes()
        return self._with_data(bytes(data))

    def begun(self, name: str, value: float) -> bytes:
        """Return the file with another first number in a tensor."""
        begin, _ = self.header[name]["data_offsets"]
        number = np.float32(value).tobytes()
        return self._with_data(self.data[:begin] + number + self.data[begin + 4 :])

    def _with_data(self, data: bytes) -> bytes:
        """Return the file with other numbers behind its header."""
        header = json.dumps(self.header).encode()
        return len(header).to_bytes(8, "little") + header + data

    def with_metadata(self, text: str) -> bytes:
        """Return the file with another text in the place of its state."""
        return self.with_entry("__metadata__", {"l2rclip": text})

    def with_state(self, part: str, changes: dict[str, Any]) -> bytes:
        """Return the file with other values in its config or its ranks."""
        state = self.state | {part: self.state[part] | changes}
        return self.with_metadata(json.dumps(state))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a model file of ours."""
    folder = tmp_path_factory.mktemp("good")
    return L2RCLIP.build(RANKS, CONFIG).save_pretrained(folder).read_bytes()


def lying_tensors(good: bytes) -> dict[str, bytes]:
    """Return files whose tensors are not what the model has."""
    parts = Parts(good)
    return {
        "shape turned": parts.with_shape("rank_features", [64, 3]),
        "shape that overflows": parts.with_shape("rank_features", [2**33, 2**33]),
        "empty shape that overflows": parts.with_empty([0, 2**62, 2**62]),
        "integers": parts.with_dtype("rank_features", "I32"),
        "objects": parts.with_dtype("rank_features", "OBJECT"),
        "offsets beyond": parts.with_offsets("rank_features", 0, 2**40),
        "offsets that overlap": parts.with_offsets("rank_features", -4, -4),
        "not a number": parts.filled(CONTEXT, float("nan")),
        "infinite": parts.filled(PROJECTION, float("inf")),
        "answers that overflow": parts.filled(PROJECTION, 3e38),
        "a length that overflows": parts.begun("towers.image.ln_post.weight", 3e38),
        "missing tensor": parts.without_entry(CONTEXT),
        "extra tensor": parts.with_tensor("prompts.more"),
        "extra text tower": parts.with_tensor("towers.text.more"),
    }


def lying_headers(good: bytes) -> dict[str, bytes]:
    """Return files that are cut off, or whose header cannot be read."""
    parts = Parts(good)
    return {
        "no metadata": parts.without_entry("__metadata__"),
        "header of 2^63": (2**63).to_bytes(8, "little") + good[8:],
        "header of 200 MB": parts.with_header(b" " * 200_000_000),
        "header nested": parts.with_header(b'{"a":' * 100_000),
        "nothing": b"",
        "cut off": good[: len(good) // 2],
        "zeros": bytes(100_000),
        "metadata: a brace": parts.with_metadata("{"),
        "metadata: a list": parts.with_metadata("[1]"),
        "metadata: null": parts.with_metadata("null"),
        "metadata: nested": parts.with_metadata("[" * 100_000),
        "metadata: a long number": parts.with_metadata('{"ranks": ' + "9" * 10_000 + "}"),
        "metadata: empty config": parts.with_metadata('{"config": {}}'),
    }


LYING_RANKS: list[dict[str, Any]] = [
    {"names": ["low\udc80", "b", "c"]},
    {"names": "low"},
    {"names": [*"abcd"], "values": [*range(4)]},
    {"names": [f"r{rank}" for rank in range(100_000)], "values": [*range(100_000)]},
    {"values": [*"abc"]},
    {"values": [0, 1, 10**400]},
    {"template": 5},
    {"template": "{rank} " + "word " * 9_000},
    {"template": "{rank} " + "word " * 400_000},
]
LYING_CONFIGS: list[dict[str, Any]] = [
    {"callback": "os.system"},
    {"controls": {"run": "rm"}},
    {"axis": "eval('1')"},
    {"axis": "joint", "heads": 64, "depth": 2},
    {"hidden": 10**9},
    {"hidden": 65_536},
    {"depth": 10**9},
    {"depth": 64},
    {"context_length": 10**9},
    {"context_length": 60},
    {"heads": 10**9},
    {"image_size": 10**9},
    {"image_size": 1024},
    {"towers": 5},
    {"towers": ["mini"]},
    {"towers": "mini"},
    {"towers": "ViT-bigG-14/random"},
    {"towers": "EVA02-E-14-plus/random"},
]


def lies(good: bytes) -> dict[str, bytes]:
    """Return what somebody may send; each must be refused."""
    parts = Parts(good)
    files = lying_tensors(good) | lying_headers(good)
    for number, ranks in enumerate(LYING_RANKS):
        files[f"ranks {number}: {str(ranks)[:40]}"] = parts.with_state("ranks", ranks)
    for number, config in enumerate(LYING_CONFIGS):
        files[f"config {number}: {str(config)[:40]}"] = parts.with_state("config", config)
    return files


def write_terabyte(file: Path) -> None:
    """Write a file of one tensor of a terabyte that takes no room on the disk."""
    entry = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    header = json.dumps({"rank_features": entry}).encode()
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(2**40 + 8 + len(header))


def outcome(file: Path) -> str:
    """Return what the other process wrote down about a file."""
    record = file.with_name("said")
    return record.read_text(encoding="utf-8") if record.exists() else "it was never tried"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_model_that_lies_is_refused(good: bytes, tmp_path: Path) -> None:
    """In a sentence, by a process that may take 1 GiB more.

    A model whose answers are not finite is refused when it predicts.
    """
    files = {}
    for number, (name, content) in enumerate(lies(good).items()):
        files[name] = tmp_path / str(number) / "model.safetensors"
        files[name].parent.mkdir()
        files[name].write_bytes(content)
    for name in ("a terabyte", "a pipe"):
        files[name] = tmp_path / name / "model.safetensors"
        files[name].parent.mkdir()
    write_terabyte(files["a terabyte"])
    os.mkfifo(files["a pipe"])

    child = start(attempt, list(files.values()), 2**30)
    child.join(300)
    child.kill()
    TRIED[LIES] += len(files)

    for name, file in files.items():
        sentence = outcome(file)
        assert sentence.startswith("refused: "), f"{name}: {sentence}"
        assert "predict: " in sentence or file.name in sentence, f"{name}: {sentence}"


@many(short=40, long=3_000)
@given(choice=st.data())
def test_a_damaged_model_is_refused_or_used(
    good: bytes, tmp_path_factory: pytest.TempPathFactory, choice: st.DataObject
) -> None:
    """Bits of the header, cuts, values of config and ranks."""
    parts = Parts(good)
    part = choice.draw(st.sampled_from(("config", "ranks", "bytes")))
    if part == "bytes":
        header = good[: len(good) - len(parts.data)]
        content = choice.draw(damaged(header)) + parts.data
    else:
        name = choice.draw(st.sampled_from(sorted(parts.state[part])))
        content = parts.with_state(part, {name: choice.draw(st.sampled_from(HOSTILE))})

    file = tmp_path_factory.getbasetemp() / "damaged" / "model.safetensors"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with judged("models with flipped bits, cuts, or other values in their config", must=False):
        L2RCLIP.from_pretrained(file.parent).predict([PHOTO])


class Evil:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        """Return what pickle calls."""
        return Path.mkdir, (self.trace,)


def evil_archive(trace: Path) -> bytes:
    """Return the pickle as torch.save writes it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("archive/data.pkl", pickle.dumps(Evil(trace)))
    return archive.getvalue()


def foreign_towers(outside: Path) -> list[str]:
    """Return names of towers that lead to a hub, another folder, another machine."""
    return [
        "../../evil",
        "hf-hub:a/b",
        "https://example.org/m",
        f"local-dir:{outside}",
        f"{outside}/evil.pt",
        "ViT-B-16/hf-hub:a/b",
        "ViT-B-16//etc/passwd",
        f"ViT-B-16/{outside}/evil.pt",
        "\\\\server\\model",
    ]


def foreign_weights(outside: Path) -> list[str]:
    """Return names of weights that lead there."""
    return [
        "/etc/passwd",
        "https://example.org/w.safetensors",
        "file:///etc/w.safetensors",
        "~/w.safetensors",
        f"{outside}/evil.pt",
        "//server/share/w.safetensors",
        "hf-hub:a/b",
        "",
        "\0",
    ]


def pointers(outside: Path) -> list[tuple[str, str | None]]:
    """Return towers and weights of which one leads out."""
    towers = [(name, None) for name in foreign_towers(outside)]
    return towers + [("ViT-B-16/openai", name) for name in foreign_weights(outside)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return the folder that a pickle would make."""
    return tmp_path / "trace"


@pytest.fixture
def outside(tmp_path: Path, trace: Path) -> Path:
    """Return a folder with a pickle, to which models point."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "evil.pt").write_bytes(evil_archive(trace))
    return outside


@pytest.fixture
def opened(outside: Path) -> Iterator[list[str]]:
    """Return what is asked of the network, or opened of the folder outside.

    An audit hook stays for ever; it hears of nothing else once the test is over.
    """
    events: list[str] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("socket.") or (event == "open" and f"{outside}/" in str(args[0])):
            events.append(f"{event} {args}")

    sys.addaudithook(hook)
    yield events
    events.clear()
    (outside / "evil.pt").read_bytes()
    assert len(events) == 1, "the hook is deaf"


def refuse_file(content: bytes, folder: Path) -> None:
    """Assert that a model file is refused."""
    (folder / "model.safetensors").write_bytes(content)
    with judged(POINTS, about="model.safetensors"):
        L2RCLIP.from_pretrained(folder)


def test_a_pickle_under_a_models_name_is_not_executed(
    tmp_path: Path, trace: Path, opened: list[str]
) -> None:
    """In two protocols, and as torch.save writes it."""
    for content in (
        pickle.dumps(Evil(trace)),
        pickle.dumps(Evil(trace), protocol=0),
        evil_archive(trace),
    ):
        refuse_file(content, tmp_path)
    assert opened == []
    assert not trace.exists()


def test_a_config_that_points_elsewhere_is_not_followed(
    good: bytes, tmp_path: Path, outside: Path, trace: Path, opened: list[str]
) -> None:
    """To a hub, a URL, a share or another folder."""
    for towers, weights in pointers(outside):
        config = {"towers": towers, "weights": weights}
        refuse_file(Parts(good).with_state("config", config), tmp_path)
    assert opened == []
    assert not trace.exists()


def test_towers_elsewhere_are_not_loaded(outside: Path, trace: Path, opened: list[str]) -> None:
    """By their name, or by the name of their weights."""
    for towers, weights in pointers(outside):
        with judged(POINTS, about="towers"):
            load_towers(towers, weights=weights)
    assert opened == []
    assert not trace.exists()
