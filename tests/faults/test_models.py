"""Models from strangers: headers that lie, pickles, pointers to elsewhere, flipped bits. Nothing is executed or trusted."""

from __future__ import annotations

import copy
import io
import json
import multiprocessing
import os
import pickle
import resource
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults import HOSTILE, TRIED, judged, many
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite import load_towers, mini
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import load_towers
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks

pytestmark = pytest.mark.untyped
RANKS = Ranks(("low", "middle", "high"), (0, 1, 2), "a leaf with {rank} damage")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16, device="cpu")
TOP, DOWN = 2**30, "towers.image.proj"


class Parts:
    """A safetensors file of ours, taken apart: header, state (config and ranks), data."""

    def __init__(self, file: bytes) -> None:
        length = int.from_bytes(file[:8], "little")
        self.header: dict[str, Any] = json.loads(file[8 : 8 + length])
        self.state: dict[str, Any] = json.loads(self.header["__metadata__"]["l2rclip"])
        self.data = file[8 + length :]

    def file(self, header: Any = None, state: Any = None, data: bytes | None = None) -> bytes:
        """The file with some parts replaced."""
        header = copy.deepcopy(self.header) if header is None else header
        if state is not None:
            header["__metadata__"] = {"l2rclip": state if isinstance(state, str) else json.dumps(state)}
        written = header if isinstance(header, bytes) else json.dumps(header).encode()
        return len(written).to_bytes(8, "little") + written + (self.data if data is None else data)

    def tensor(self, name: str, **values: Any) -> bytes:
        """The file with another entry of a tensor."""
        return self.file(self.header | {name: self.header[name] | values})

    def number(self, name: str, value: float) -> bytes:
        """The file with another number at the start of a tensor."""
        start, data = self.header[name]["data_offsets"][0], bytearray(self.data)
        data[start : start + 4] = np.float32(value).tobytes()
        return self.file(data=bytes(data))

    def said(self, part: str, **values: Any) -> bytes:
        """The file with other values in its config or ranks."""
        return self.file(state=self.state | {part: self.state[part] | values})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model file of ours."""
    return L2RCLIP.build(RANKS, CONFIG).save_pretrained(tmp_path_factory.mktemp("good")).read_bytes()


def crafted(good: bytes) -> dict[str, bytes]:
    """What a stranger may send; each must be refused."""
    parts = Parts(good)
    begin, end = parts.header["rank_features"]["data_offsets"]
    more = {"dtype": "F32", "shape": [1], "data_offsets": [len(parts.data), len(parts.data) + 4]}
    crowd = {f"extra.{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(20_000)}
    no_context = {name: about for name, about in parts.header.items() if name != "prompts.context"}
    found = {
        "shape turned": parts.tensor("rank_features", shape=[64, 3]),
        "shape flat": parts.tensor("rank_features", shape=[192]),
        "shape that overflows": parts.tensor("rank_features", shape=[2**33, 2**33]),
        "integers": parts.tensor("rank_features", dtype="I32"),
        "objects": parts.tensor("rank_features", dtype="OBJECT"),
        "offsets beyond": parts.tensor("rank_features", data_offsets=[begin, end + 2**40]),
        "offsets negative": parts.tensor("rank_features", data_offsets=[-4, end]),
        "offsets that overlap": parts.tensor("rank_features", data_offsets=[begin - 4, end - 4]),
        "not a number": parts.number("prompts.context", float("nan")),
        "infinite": parts.number(DOWN, float("inf")),
        "missing tensor": parts.file(no_context),
        "extra tensor": parts.file(parts.header | {"prompts.more": more}, data=parts.data + bytes(4)),
        "extra text tower": parts.file(parts.header | {"towers.text.more": more}, data=parts.data + bytes(4)),
        "20,000 extra tensors": parts.file(parts.header | crowd),
        "no metadata": parts.file({k: v for k, v in parts.header.items() if k != "__metadata__"}),
        "header of nothing": bytes(8) + good[8:],
        "header of 2^63": (2**63).to_bytes(8, "little") + good[8:],
        "header of 200 MB": parts.file(b" " * 200_000_000),
        "header nested": parts.file(b'{"a":' * 100_000),
        "nothing": b"",
        "seven bytes": good[:7],
        "cut off": good[: len(good) // 2],
        "zeros": bytes(100_000),
        "text": b"this is a model\n" * 100,
    }
    for text in ("{", "[1]", "null", "[" * 100_000, '{"ranks": ' + "9" * 10_000 + "}", '{"config": {}}'):
        found[f"metadata {text[:12]}"] = parts.file(state=text)
    ranks: list[dict[str, Any]] = [
        {"names": ["\x1b[2Jlow", "middle", "high"]},
        {"names": ["low\nerror: pay", "middle", "high"]},
        {"names": ["low\udc80", "middle", "high"]},
        {"names": [f"r{n}" for n in range(100_000)], "values": [*range(100_000)]},
        {"names": ["a", "b", "c", "d"], "values": [0, 1, 2, 3]},
        {"names": "low"},
        {"names": None},
        {"values": ["a", "b", "c"]},
        {"values": [0, 1, 10**400]},
        {"template": "{rank} " + "word " * 400_000},
        {"template": "{rank} " + "word " * 9_000},
        {"template": 5},
    ]
    config: list[dict[str, Any]] = [
        {"callback": "os.system"},
        *({name: 10**9} for name in ("hidden", "depth", "context_length", "heads", "image_size")),
        *({"hidden": 65_536}, {"depth": 64}, {"context_length": 60}, {"image_size": 1024}),
        *({"towers": towers} for towers in (5, ["mini"], "mini", "ViT-bigG-14/random", "EVA02-E-14-plus/random")),
        *({"weights": 5}, {"axis": "__import__('os')"}, {"alpha": float("nan")}, {"controls": {"run": "rm"}}),
    ]
    for part, changes in (("ranks", ranks), ("config", config)):
        found |= {f"{part} {str(change)[:40]}": parts.said(part, **change) for change in changes}
    return found


def attempt(file: Path, top: int) -> None:
    """In a child with `top` bytes of memory more than now: load, and predict."""
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + top, now + top))
    said, code = "", 0
    try:
        L2RCLIP.from_pretrained(file.parent).predict([Image.new("RGB", (8, 8), "green")])
    except InputError as error:
        said, code = str(error), 2
    except BaseException as error:
        said, code = f"{type(error).__name__}: {error}", 3
    file.with_name("said").write_text(said, encoding="utf-8", errors="replace")
    os._exit(code)


def lost_in_a_child(file: Path, what: str) -> list[str]:
    """What went wrong, if it was not refused within 1 GiB and 20 seconds, in a sentence."""
    child = multiprocessing.get_context("fork").Process(target=attempt, args=(file, TOP))
    child.start()
    child.join(20)
    said = file.with_name("said").read_text(encoding="utf-8") if not child.is_alive() else "it hangs"
    child.kill()
    TRIED["model-files"] += 1
    return [] if child.exitcode == 2 and ("predict: " in said or file.name in said) else [f"{what}: {said or 'used'}"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_model_that_lies_is_refused(good: bytes, tmp_path: Path) -> None:
    """Before memory is taken for what the file does not hold; one that answers nothing finite gives no answer."""
    file, parts = tmp_path / "model.safetensors", Parts(good)
    begin, end = parts.header[DOWN]["data_offsets"]
    huge = np.full((end - begin) // 4, 3e38, "<f4").tobytes()
    cases = crafted(good) | {"answers that overflow": parts.file(data=parts.data[:begin] + huge + parts.data[end:])}
    lost = []
    for what, content in cases.items():
        file.write_bytes(content)
        lost += lost_in_a_child(file, what)
    giant = json.dumps({"rank_features": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}).encode()
    with file.open("wb") as stream:  # a terabyte of nothing
        stream.write(len(giant).to_bytes(8, "little") + giant)
        stream.truncate(2**40 + 8 + len(giant))
    lost += lost_in_a_child(file, "a terabyte")
    file.unlink()
    for make in (file.mkdir, lambda: os.mkfifo(file)):
        make()
        lost += lost_in_a_child(file, "no file")
        file.rmdir() if file.is_dir() else file.unlink()
    assert not lost, "\n".join(lost)


@many(short=40, long=3_000)
@given(st.data())
def test_a_damaged_model(good: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bits of header or numbers, an end cut off, values of config and ranks: used, or refused."""
    parts, file = Parts(good), tmp_path_factory.getbasetemp() / "damaged" / "model.safetensors"
    way = data.draw(st.sampled_from(("said", "bits", "cut")))
    content = good[: data.draw(st.integers(0, len(good) - 1))] if way == "cut" else good
    if way == "said":
        part = data.draw(st.sampled_from(("config", "ranks")))
        key = data.draw(st.sampled_from(sorted(parts.state[part])))
        content = parts.said(part, **{key: data.draw(st.sampled_from(HOSTILE))})
    elif way == "bits":
        changed = bytearray(content)
        for place in data.draw(st.lists(st.integers(0, 2 * (len(good) - len(parts.data))), min_size=1, max_size=8)):
            changed[place] ^= 1 << data.draw(st.integers(0, 7))
        content = bytes(changed)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with judged("model-damage", must=False):
        L2RCLIP.from_pretrained(file.parent).predict([Image.new("RGB", (8, 8), "green")])


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
        *("../../evil", "hf-hub:someone/model", f"local-dir:{outside}", "https://example.org/model", f"{outside}/evil.pt"),
        *(f"ViT-B-16/{outside}/evil.pt", "ViT-B-16/hf-hub:someone/model", "coca_ViT-B-32/random", "mini/../../etc"),
        *("xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "ViT-B-16//etc/passwd", "\\\\server\\share\\model"),
    ]
    weights = ["/etc/passwd", "https://example.org/w.safetensors", "file:///etc/w.safetensors", f"{outside}/evil.pt"]
    weights += ["//server/share/w.safetensors", "hf-hub:a/b", "~/w.safetensors", f"{outside}/none.safetensors", "", "\0"]
    return [(name, None) for name in towers] + [("ViT-B-16/openai", name) for name in weights]


def test_nothing_elsewhere_is_opened_or_executed(good: bytes, tmp_path: Path) -> None:
    """Pickles under a model's name, and configs that name a hub, a URL, a share or another folder."""
    outside, trace, file = tmp_path / "outside", tmp_path / "trace", tmp_path / "model.safetensors"
    outside.mkdir()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("archive/data.pkl", pickle.dumps(Evil(trace)))
        opened.writestr("archive/version", "3\n")
    (outside / "evil.pt").write_bytes(archive.getvalue())
    seen: list[str] = []
    listening = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if listening and (event.startswith("socket.") or (event == "open" and "/outside/" in str(args[0]))):
            seen.append(f"{event} {args}")

    sys.addaudithook(hook)  # it stays, deaf after this test
    strange = [pickle.dumps(Evil(trace)), pickle.dumps(Evil(trace), protocol=0), archive.getvalue()]
    strange += [Parts(good).said("config", towers=t, weights=w) for t, w in pointers(outside)]
    for content in strange:
        file.write_bytes(content)
        with judged("pointers", about="model.safetensors"):
            L2RCLIP.from_pretrained(tmp_path)
    for towers, weights in pointers(outside):
        with judged("pointers", about="towers"):
            load_towers(towers, weights=weights)
    (outside / "seen").touch()
    (outside / "seen").read_bytes()
    listening = False
    assert [event for event in seen if "/outside/seen" not in event] == []
    assert seen, "the hook is deaf"
    assert not trace.exists()


@pytest.mark.parametrize("name", [*mini.TEXT_FILES, "image", "alignment"])
def test_one_bit_of_the_bundled_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Both networks, the tokenizer, its config, the alignment: each is checked before it is parsed."""
    source = {"image": mini.find_image_weights(), "alignment": mini.ALIGNMENT}.get(name, mini.find_text_folder() / name)
    for text in mini.TEXT_FILES:
        (tmp_path / text).symlink_to(mini.find_text_folder() / text)
    copied = tmp_path / source.name
    copied.unlink(missing_ok=True)
    shutil.copy(source, copied)
    with copied.open("r+b") as stream:
        stream.seek(copied.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))
    if name == "image":
        monkeypatch.setattr(mini, "find_image_weights", lambda: copied)
        monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("parsed"))
    elif name == "alignment":
        monkeypatch.setattr(mini, "ALIGNMENT", copied)
    else:
        monkeypatch.setattr(mini, "find_text_folder", lambda: tmp_path)
    with judged("tampered-weights", about="SHA-256"):
        load_towers("mini")
