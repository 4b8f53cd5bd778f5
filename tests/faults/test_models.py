"""Models of unknown origin: headers that lie, pickles, pointers to elsewhere, flipped bits.

Nothing of them is executed or trusted.
"""

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import PHOTO, attempt, start
from faults import HOSTILE, damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite import load_towers
from l2rclip_lite.config import Config
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP

pytestmark = pytest.mark.untyped
RANKS = Ranks(("low", "middle", "high"), (0, 1, 2), "a leaf with {rank} damage")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16, device="cpu")
CONTEXT = "prompts.context"
PROJECTION = "towers.image.proj"


class Parts:
    """A safetensors file of ours, taken apart: header, state (config and ranks), data."""

    def __init__(self, file: bytes) -> None:
        self.file = file
        length = int.from_bytes(file[:8], "little")
        self.header: dict[str, Any] = json.loads(file[8 : 8 + length])
        self.state: dict[str, Any] = json.loads(self.header["__metadata__"]["l2rclip"])
        self.data = file[8 + length :]

    def with_header(self, header: bytes) -> bytes:
        """Return the file with another header."""
        return len(header).to_bytes(8, "little") + header + self.data

    def with_entry(self, name: str, changes: dict[str, Any]) -> bytes:
        """Return the file with other values in an entry of its header, or with one more."""
        entry = self.header.get(name, {}) | changes
        return self.with_header(json.dumps(self.header | {name: entry}).encode())

    def without_entry(self, name: str) -> bytes:
        """Return the file without an entry of its header."""
        entries = {key: entry for key, entry in self.header.items() if key != name}
        return self.with_header(json.dumps(entries).encode())

    def with_numbers(self, name: str, value: float) -> bytes:
        """Return the file with other numbers in a tensor."""
        begin, end = self.header[name]["data_offsets"]
        start = len(self.file) - len(self.data)
        numbers = np.full((end - begin) // 4, value, "<f4").tobytes()
        return self.file[: start + begin] + numbers + self.file[start + end :]

    def with_state(self, part: str, changes: dict[str, Any]) -> bytes:
        """Return the file with other values in its config or its ranks."""
        state = self.state | {part: self.state[part] | changes}
        return self.with_entry("__metadata__", {"l2rclip": json.dumps(state)})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a model file of ours."""
    folder = tmp_path_factory.mktemp("good")
    return L2RCLIP.build(RANKS, CONFIG).save_pretrained(folder).read_bytes()


METADATA = ["{", "null", "[" * 100_000, '{"ranks": ' + "9" * 10_000 + "}", '{"config": {}}']
LYING_RANKS: list[dict[str, Any]] = [
    {"names": ["low\udc80", "b", "c"]},
    {"names": [f"r{rank}" for rank in range(100_000)], "values": [*range(100_000)]},
    {"values": [0, 1, 10**400]},
    {"template": "{rank} " + "word " * 400_000},
]
LYING_CONFIGS: list[dict[str, Any]] = [
    {"callback": "os.system"},
    {"axis": "joint", "heads": 64, "depth": 2},
    {"hidden": 10**9},
    {"image_size": 1024},
    {"towers": "mini"},
    {"towers": "EVA02-E-14-plus/random"},
]


def lies(good: bytes) -> list[bytes]:
    """Return what somebody may send; each must be refused."""
    parts = Parts(good)
    begin, _ = parts.header["rank_features"]["data_offsets"]
    empty = {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}
    files = [
        parts.with_entry("rank_features", {"shape": [2**33, 2**33]}),
        parts.with_entry("empty", empty),
        parts.with_entry("rank_features", {"dtype": "I32"}),
        parts.with_entry("rank_features", {"data_offsets": [begin, 2**40]}),
        parts.with_numbers(CONTEXT, float("nan")),
        parts.with_numbers(PROJECTION, 3e38),
        parts.without_entry(CONTEXT),
        parts.without_entry(PROJECTION),
        (2**63).to_bytes(8, "little") + good[8:],
        parts.with_header(b" " * 200_000_000),
        parts.with_header(b'{"a":' * 100_000),
        b"",
        good[: len(good) // 2],
    ]
    files += [parts.with_entry("__metadata__", {"l2rclip": text}) for text in METADATA]
    files.append(parts.with_state("commits", {"timm/a": "../../../../elsewhere"}))
    files += [parts.with_state("ranks", ranks) for ranks in LYING_RANKS]
    return files + [parts.with_state("config", config) for config in LYING_CONFIGS]


def write_terabyte(file: Path) -> None:
    """Write a file of one tensor of a terabyte that takes no room on the disk."""
    entry = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    header = json.dumps({"rank_features": entry}).encode()
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(2**40 + 8 + len(header))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_model_that_lies_is_refused(good: bytes, tmp_path: Path) -> None:
    """In a sentence, by a process that may take 1 GiB more.

    A model whose answers are not finite is refused when it predicts.
    """
    contents = lies(good)
    files = [tmp_path / str(number) / "model.safetensors" for number in range(len(contents) + 1)]
    for file in files:
        file.parent.mkdir()
    for file, content in zip(files[1:], contents, strict=True):
        file.write_bytes(content)
    write_terabyte(files[0])

    child = start(attempt, files, 2**30)
    child.join(300)
    child.kill()

    for file in files:
        record = file.with_name("said")
        outcome = record.read_text(encoding="utf-8") if record.exists() else "it was never tried"
        assert outcome.startswith("refused: "), f"{file}: {outcome}"
        assert "probabilities: " in outcome or file.name in outcome, f"{file}: {outcome}"


@many(40)
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
    with judged(must=False):
        L2RCLIP.from_pretrained(file.parent).predict([PHOTO])


class Evil:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        """Return what pickle calls."""
        return Path.mkdir, (self.trace,)


# OUT is a folder with a pickle
POINTERS: list[tuple[str, str | None]] = [
    ("ViT-bigG-14/laion2b_s39b_b160k", None),
    ("../../evil", None),
    ("hf-hub:a/b", None),
    ("local-dir:OUT", None),
    ("ViT-B-16/OUT/evil.pt", None),
    ("ViT-B-16/openai", "https://example.org/w.safetensors"),
    ("ViT-B-16/openai", "OUT/evil.pt"),
    ("ViT-B-16/openai", "\0"),
]


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Path]:
    """Return the folder that a pickle would make; it is never made."""
    yield tmp_path / "trace"
    assert not (tmp_path / "trace").exists()


@pytest.fixture
def outside(tmp_path: Path, trace: Path) -> Iterator[Path]:
    """Return a folder with a pickle; nobody opens it, or asks the network.

    An audit hook stays for ever; it hears of nothing else once the test is over.
    """
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "evil.pt").write_bytes(pickle.dumps(Evil(trace)))
    events: list[str] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("socket.") or (event == "open" and f"{outside}/" in str(args[0])):
            events.append(f"{event} {args}")

    sys.addaudithook(hook)
    yield outside
    assert events == []
    (outside / "evil.pt").read_bytes()
    assert len(events) == 1, "the hook is deaf"


def refuse_file(content: bytes, folder: Path) -> None:
    """Assert that a model file is refused."""
    (folder / "model.safetensors").write_bytes(content)
    with judged(about="model.safetensors"):
        L2RCLIP.from_pretrained(folder)


@pytest.mark.usefixtures("outside")
def test_a_pickle_under_a_models_name_is_not_executed(tmp_path: Path, trace: Path) -> None:
    """Python would make a folder."""
    refuse_file(pickle.dumps(Evil(trace)), tmp_path)


def test_what_points_elsewhere_is_not_followed(good: bytes, tmp_path: Path, outside: Path) -> None:
    """To a hub, a URL, a share or another folder: in a file, or named by the caller."""
    for towers, weights in POINTERS:
        towers = towers.replace("OUT", str(outside))
        if weights is not None:
            weights = weights.replace("OUT", str(outside))
        config = {"towers": towers, "weights": weights}
        refuse_file(Parts(good).with_state("config", config), tmp_path)
        with judged(about="towers"):
            load_towers(towers, weights=weights)
