"""Models from strangers: headers that lie, pickles, pointers to elsewhere, flipped bits. Nothing is executed or trusted."""

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from children import PHOTO, attempt, start
from faults import HOSTILE, TRIED, damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite import load_towers
from l2rclip_lite.config import Config
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import mini

pytestmark = pytest.mark.untyped
RANKS = Ranks(("low", "middle", "high"), (0, 1, 2), "a leaf with {rank} damage")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16, device="cpu")
TEXT, IMAGE = "prompts.context", "towers.image.proj"
LIES = "models whose header, tensors or metadata lie"
POINTS = "pickles, and configs that name a hub, a URL or another folder"


class Parts:
    """A safetensors file of ours, taken apart: header, state (config and ranks), data."""

    def __init__(self, file: bytes) -> None:
        length = int.from_bytes(file[:8], "little")
        self.header: dict[str, Any] = json.loads(file[8 : 8 + length])
        self.state: dict[str, Any] = json.loads(self.header["__metadata__"]["l2rclip"])
        self.data = file[8 + length :]

    def file(self, header: Any = None, data: bytes = b"") -> bytes:
        """The file with other entries in its header (None takes one out), and more data."""
        if not isinstance(header, bytes):
            entries = self.header | (header or {})
            header = json.dumps({name: about for name, about in entries.items() if about}).encode()
        return len(header).to_bytes(8, "little") + header + self.data + data

    def tensor(self, name: str, **values: Any) -> bytes:
        """The file with another entry of a tensor."""
        return self.file({name: self.header[name] | values})

    def filled(self, name: str, value: float) -> bytes:
        """The file with a tensor full of one number."""
        (begin, end), file = self.header[name]["data_offsets"], bytearray(self.file())
        start = len(file) - len(self.data)
        file[start + begin : start + end] = np.full((end - begin) // 4, value, "<f4").tobytes()
        return bytes(file)

    def said(self, text: str | None = None, **values: Any) -> bytes:
        """The file with another state, or other values in its config and ranks."""
        state = {part: self.state[part] | values.get(part, {}) for part in self.state}
        return self.file({"__metadata__": {"l2rclip": text or json.dumps(state)}})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model file of ours."""
    return (
        L2RCLIP.build(RANKS, CONFIG).save_pretrained(tmp_path_factory.mktemp("good")).read_bytes()
    )


def crafted(good: bytes) -> dict[str, bytes]:
    """What a stranger may send; each must be refused."""
    parts, length = Parts(good), len(Parts(good).data)
    begin, end = parts.header["rank_features"]["data_offsets"]
    more = {"dtype": "F32", "shape": [1], "data_offsets": [length, length + 4]}
    found = {
        "shape turned": parts.tensor("rank_features", shape=[64, 3]),
        "shape that overflows": parts.tensor("rank_features", shape=[2**33, 2**33]),
        "integers": parts.tensor("rank_features", dtype="I32"),
        "objects": parts.tensor("rank_features", dtype="OBJECT"),
        "offsets beyond": parts.tensor("rank_features", data_offsets=[begin, end + 2**40]),
        "offsets that overlap": parts.tensor("rank_features", data_offsets=[begin - 4, end - 4]),
        "not a number": parts.filled(TEXT, float("nan")),
        "infinite": parts.filled(IMAGE, float("inf")),
        "answers that overflow": parts.filled(IMAGE, 3e38),
        "missing tensor": parts.file({TEXT: None}),
        "extra tensor": parts.file({"prompts.more": more}, bytes(4)),
        "extra text tower": parts.file({"towers.text.more": more}, bytes(4)),
        "no metadata": parts.file({"__metadata__": None}),
        "header of 2^63": (2**63).to_bytes(8, "little") + good[8:],
        "header of 200 MB": parts.file(b" " * 200_000_000),
        "header nested": parts.file(b'{"a":' * 100_000),
        "nothing": b"",
        "cut off": good[: len(good) // 2],
        "zeros": bytes(100_000),
    }
    for text in (
        "{",
        "[1]",
        "null",
        "[" * 100_000,
        '{"ranks": ' + "9" * 10_000 + "}",
        '{"config": {}}',
    ):
        found[f"metadata {text[:12]}"] = parts.said(text)
    ranks: list[dict[str, Any]] = [
        {"names": [name, "b", "c"]} for name in ("\x1b[2Jlow", "low\nerror", "low\udc80")
    ]
    ranks += [{"names": "low"}, {"names": [*"abcd"], "values": [*range(4)]}]
    ranks += [{"values": [*"abc"]}, {"values": [0, 1, 10**400]}, {"template": 5}]
    ranks += [{"template": "{rank} " + "word " * many_words} for many_words in (9_000, 400_000)]
    ranks += [{"names": [f"r{n}" for n in range(100_000)], "values": [*range(100_000)]}]
    config: list[dict[str, Any]] = [
        {"callback": "os.system"},
        {"axis": "eval('1')"},
        {"controls": {"run": "rm"}},
    ]
    config += [
        {name: 10**9} for name in ("hidden", "depth", "context_length", "heads", "image_size")
    ]
    config += [{"hidden": 65_536}, {"depth": 64}, {"context_length": 60}, {"image_size": 1024}]
    config += [{"towers": towers} for towers in (5, ["mini"], "mini", "ViT-bigG-14/random")]
    config += [{"towers": "EVA02-E-14-plus/random"}, {"axis": "joint", "heads": 64, "depth": 2}]
    found |= {f"ranks {str(change)[:40]}": parts.said(ranks=change) for change in ranks}
    return found | {f"config {str(change)[:40]}": parts.said(config=change) for change in config}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_model_that_lies_is_refused(good: bytes, tmp_path: Path) -> None:
    """In a sentence, by a process that may take 1 GiB more; a model that answers nothing finite gives no answer."""
    contents = crafted(good) | {"a terabyte": b"", "a pipe": b""}
    files = {
        what: tmp_path / str(number) / "model.safetensors" for number, what in enumerate(contents)
    }
    for what, file in files.items():
        file.parent.mkdir()
        file.write_bytes(contents[what])
    header = {"rank_features": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}
    giant = json.dumps(header).encode()
    with files["a terabyte"].open("wb") as stream:  # of nothing
        stream.write(len(giant).to_bytes(8, "little") + giant)
        stream.truncate(2**40 + 8 + len(giant))
    files["a pipe"].unlink()
    os.mkfifo(files["a pipe"])
    child = start(attempt, list(files.values()), 2**30)
    child.join(300)
    child.kill()
    TRIED[LIES] += len(files)
    lost = {}
    for what, file in files.items():
        there = file.with_name("said")
        said = there.read_text(encoding="utf-8") if there.exists() else "it was never tried"
        if not (said.startswith("refused: ") and ("predict: " in said or file.name in said)):
            lost[what] = said
    assert not lost


@many(short=40, long=3_000)
@given(st.data())
def test_a_damaged_model(
    good: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bits of header or numbers, cuts, values of config and ranks: used, or refused."""
    parts, file = Parts(good), tmp_path_factory.getbasetemp() / "damaged" / "model.safetensors"
    part = data.draw(st.sampled_from(("config", "ranks", "bytes")))
    if part == "bytes":
        content = data.draw(damaged(good[: len(good) - len(parts.data)])) + parts.data
    else:
        key = data.draw(st.sampled_from(sorted(parts.state[part])))
        content = parts.said(**{part: {key: data.draw(st.sampled_from(HOSTILE))}})
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with judged("models with flipped bits, cuts, or other values in their config", must=False):
        L2RCLIP.from_pretrained(file.parent).predict([PHOTO])


class Evil:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        """Called by pickle."""
        return Path.mkdir, (self.trace,)


def pointers(outside: Path) -> list[tuple[str, str | None]]:
    """Towers and weights that lead out: to a hub, another folder, another machine."""
    towers = [
        "../../evil",
        "hf-hub:a/b",
        "https://example.org/m",
        f"local-dir:{outside}",
        f"{outside}/evil.pt",
    ]
    towers += [
        "ViT-B-16/hf-hub:a/b",
        "ViT-B-16//etc/passwd",
        f"ViT-B-16/{outside}/evil.pt",
        "\\\\server\\model",
    ]
    weights = [
        "/etc/passwd",
        "https://example.org/w.safetensors",
        "file:///etc/w.safetensors",
        "~/w.safetensors",
    ]
    weights += [f"{outside}/evil.pt", "//server/share/w.safetensors", "hf-hub:a/b", "", "\0"]
    return [(name, None) for name in towers] + [("ViT-B-16/openai", name) for name in weights]


def test_nothing_elsewhere_is_opened_or_executed(good: bytes, tmp_path: Path) -> None:
    """Pickles under a model's name, and configs that name a hub, a URL, a share or another folder."""
    outside, trace, file = (tmp_path / name for name in ("outside", "trace", "model.safetensors"))
    outside.mkdir()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:  # as torch.save writes it
        opened.writestr("archive/data.pkl", pickle.dumps(Evil(trace)))
    (outside / "evil.pt").write_bytes(archive.getvalue())
    seen: list[str] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("socket.") or (event == "open" and f"{outside}/" in str(args[0])):
            seen.append(f"{event} {args}")

    sys.addaudithook(hook)  # it stays for ever, and hears of nothing else once this test is over
    strange = [pickle.dumps(Evil(trace)), pickle.dumps(Evil(trace), protocol=0), archive.getvalue()]
    strange += [Parts(good).said(config={"towers": t, "weights": w}) for t, w in pointers(outside)]
    for content in strange:
        file.write_bytes(content)
        with judged(POINTS, about="model.safetensors"):
            L2RCLIP.from_pretrained(tmp_path)
    for towers, weights in pointers(outside):
        with judged(POINTS, about="towers"):
            load_towers(towers, weights=weights)
    assert seen == []
    assert not trace.exists()
    (outside / "evil.pt").read_bytes()
    assert len(seen) == 1, "the hook is deaf"


@pytest.mark.parametrize("name", [*mini.TEXT_FILES, "image", "alignment"])
def test_one_bit_of_the_bundled_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Both networks, the tokenizer, its config, the alignment: each is checked before it is parsed."""
    folder = mini.find_text_folder()
    source = {"image": mini.find_image_weights(), "alignment": mini.ALIGNMENT}.get(
        name, folder / name
    )
    for text in {*mini.TEXT_FILES} - {name}:
        (tmp_path / text).symlink_to(folder / text)
    content, copied = bytearray(source.read_bytes()), tmp_path / source.name
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("parsed"))
    if name == "image":
        monkeypatch.setattr(mini, "find_image_weights", lambda: copied)
    elif name == "alignment":
        monkeypatch.setattr(mini, "ALIGNMENT", copied)
    else:
        monkeypatch.setattr(mini, "find_text_folder", lambda: tmp_path)
    with judged("one bit flipped in each bundled file of weights", about="SHA-256"):
        load_towers("mini")
