"""Model files that a stranger may send: a good one with something else in its header, its metadata or its tensors."""

from __future__ import annotations

import copy
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Edit = Callable[[dict[str, Any], dict[str, Any], bytearray], object]
FLOAT = struct.Struct("<f")


class Parts:
    """A safetensors file of this package, taken apart.

    Args:
        file: A model that `L2RCLIP.save` wrote.
    """

    def __init__(self, file: bytes) -> None:
        length = int.from_bytes(file[:8], "little")
        self.header: dict[str, Any] = json.loads(file[8 : 8 + length])
        self.state: dict[str, Any] = json.loads(self.header["__metadata__"]["l2rclip"])
        self.data = file[8 + length :]

    def edited(self, edit: Edit) -> bytes:
        """The file after `edit(header, state, data)` has changed copies in place; it may return another header."""
        header, state, data = copy.deepcopy(self.header), copy.deepcopy(self.state), bytearray(self.data)
        other = edit(header, state, data)
        if "__metadata__" in header and header["__metadata__"] == self.header["__metadata__"]:
            header["__metadata__"] = {"l2rclip": json.dumps(state)}
        written = other if isinstance(other, bytes) else json.dumps(header).encode()
        return len(written).to_bytes(8, "little") + written + bytes(data)

    def place(self, name: str) -> int:
        """Where a tensor begins in the data."""
        return int(self.header[name]["data_offsets"][0])


def _set(where: str, **values: Any) -> Edit:
    return lambda header, state, data: state[where].update(values)


def _number(parts: Parts, name: str, value: float) -> Edit:
    return lambda header, state, data: FLOAT.pack_into(data, parts.place(name), value)


def headers(parts: Parts) -> dict[str, bytes]:
    """Headers that lie, tensors that do not belong."""
    good = parts.edited(lambda *_: None)
    shape = parts.header["rank_features"]["shape"]

    def of(name: str, **values: Any) -> bytes:
        return parts.edited(lambda header, state, data: header[name].update(values))

    def scaled(header: dict[str, Any], state: dict[str, Any], data: bytearray) -> None:
        begin, end = header["towers.image.proj"]["data_offsets"]
        data[begin:end] = np.full((end - begin) // 4, 3e38, "<f4").tobytes()

    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    crowd = {f"extra.{number}": empty for number in range(20_000)}
    more = {"dtype": "F32", "shape": [1], "data_offsets": [len(parts.data), len(parts.data) + 4]}

    def extra(name: str) -> bytes:
        return parts.edited(lambda header, state, data: (header.update({name: more}), data.extend(bytes(4))))

    begin, end = parts.header["rank_features"]["data_offsets"]
    return {
        "shape-turned": of("rank_features", shape=shape[::-1]),
        "shape-flat": of("rank_features", shape=[shape[0] * shape[1]]),
        "other-dtype": of("rank_features", dtype="I32"),
        "unknown-dtype": of("rank_features", dtype="OBJECT"),
        "offsets-beyond": of("rank_features", data_offsets=[begin, end + 2**40]),
        "offsets-negative": of("rank_features", data_offsets=[-4, end]),
        "offsets-that-overlap": of("rank_features", data_offsets=[begin - 4, end - 4]),
        "shape-that-overflows": of("rank_features", shape=[2**33, 2**33]),
        "not-a-number": parts.edited(_number(parts, "prompts.context", float("nan"))),
        "infinite": parts.edited(_number(parts, "towers.image.proj", float("inf"))),
        "scale-that-overflows": parts.edited(_number(parts, "towers.logit_scale", 1e4)),
        "answers-that-overflow": parts.edited(scaled),
        "missing-tensor": parts.edited(lambda header, state, data: header.pop("prompts.context")),
        "extra-tensor": extra("prompts.more"),
        "extra-text-tower": extra("towers.text.more"),
        "extra-crowd": parts.edited(lambda header, state, data: header.update(crowd)),
        "length-0": bytes(8) + good[8:],
        "length-1": (1).to_bytes(8, "little") + good[8:],
        "length-2^63": (2**63).to_bytes(8, "little") + good[8:],
        "length-beyond": len(good).to_bytes(8, "little") + good[8:],
        "length-short": (100).to_bytes(8, "little") + good[8:],
        "header-of-9-MB": parts.edited(lambda *_: b" " * 9_000_000),
        "header-nested": parts.edited(lambda *_: b'{"a":' * 100_000),
        "no-metadata": parts.edited(lambda header, state, data: header.pop("__metadata__")),
        "nothing": b"",
        "seven-bytes": good[:7],
        "cut-off": good[: len(good) // 2],
        "zeros": bytes(100_000),
        "text": b"this is a model\n" * 100,
    }


def metadata(parts: Parts) -> dict[str, bytes]:
    """Metadata that is not what this package writes."""

    def raw(text: str) -> bytes:
        return parts.edited(lambda header, state, data: header.update(__metadata__={"l2rclip": text}))

    many = [f"rank {number}" for number in range(100_000)]
    found = {
        "not-json": raw("{"),
        "a-list": raw("[1]"),
        "null": raw("null"),
        "nested": raw("[" * 100_000),
        "long-number": raw('{"ranks": ' + "9" * 10_000 + "}"),
        "no-ranks": parts.edited(lambda header, state, data: state.pop("ranks")),
        "no-config": parts.edited(lambda header, state, data: state.pop("config")),
    }
    ranks: dict[str, dict[str, Any]] = {
        "control-characters": {"names": ["\x1b[2Jlow", "middle", "high"]},
        "two-lines": {"names": ["low\nerror: pay", "middle", "high"]},
        "half-characters": {"names": ["low\udc80", "middle", "high"]},
        "hundred-thousand": {"names": many, "values": list(range(len(many)))},
        "one-more": {"names": ["a", "b", "c", "d"], "values": [0, 1, 2, 3]},
        "a-word": {"names": "low"},
        "no-names": {"names": None},
        "values-of-text": {"values": ["a", "b", "c"]},
        "values-too-large": {"values": [0, 1, 10**400]},
        "values-infinite": {"values": [0, 1, float("inf")]},
        "template-of-2-MB": {"template": "{rank} " + "word " * 400_000},
        "template-of-9000-words": {"template": "{rank} " + "word " * 9_000},
        "template-a-number": {"template": 5},
    }
    config: dict[str, dict[str, Any]] = {
        "unknown-setting": {"callback": "os.system"},
        "hidden-1e9": {"hidden": 10**9},
        "hidden-65536": {"hidden": 65_536},
        "depth-1e9": {"depth": 10**9},
        "depth-64": {"depth": 64},
        "context-1e12": {"context_length": 10**12},
        "context-70": {"context_length": 70},
        "heads-1e9": {"heads": 10**9},
        "image-size-1e9": {"image_size": 10**9},
        "image-size-1024": {"image_size": 1024},
        "seed-1e40": {"seed": 10**40},
        "towers-a-number": {"towers": 5},
        "towers-a-list": {"towers": ["mini"]},
        "weights-a-number": {"weights": 5},
        "other-word": {"axis": "__import__('os')"},
        "other-towers": {"towers": "mini"},
        "huge-towers": {"towers": "ViT-bigG-14/random"},
        "not-finite": {"alpha": float("nan")},
    }
    found |= {f"ranks-{name}": parts.edited(_set("ranks", **values)) for name, values in ranks.items()}
    return found | {
        f"config-{name}": parts.edited(_set("config", **values)) for name, values in config.items()
    }


def pointers(outside: Path) -> list[tuple[str, str | None]]:
    """Towers and weights that lead out: to a hub, another folder, another machine.

    Args:
        outside: A folder with `evil.pt` and `evil.safetensors`; nothing in it may be opened.
    """
    towers = [
        *("../../evil", "hf-hub:someone/model", f"local-dir:{outside}", "https://example.org/model"),
        *(
            f"ViT-B-16/{outside}/evil.pt",
            f"ViT-B-16/../../{outside}/evil.pt",
            "ViT-B-16/hf-hub:someone/model",
        ),
        *("xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "ViT-B-16-SigLIP/webli", "coca_ViT-B-32/random"),
        *(f"{outside}/evil.pt", "ViT-B-16//etc/passwd", "mini/../../etc", "\\\\server\\share\\model"),
    ]
    weights = [
        *(
            "/etc/passwd",
            "https://example.org/w.safetensors",
            "file:///etc/w.safetensors",
            f"{outside}/evil.pt",
        ),
        *("\\\\server\\share\\w.safetensors", "//server/share/w.safetensors", "hf-hub:someone/model"),
        *("~/w.safetensors", f"{outside}/none.safetensors", "", "\0.safetensors"),
    ]
    return [(name, None) for name in towers] + [("ViT-B-16/openai", name) for name in weights]


def elsewhere(parts: Parts, outside: Path) -> dict[str, bytes]:
    """Models whose config names such towers and weights."""
    return {
        f"towers {name!r}, weights {weights!r}": parts.edited(_set("config", towers=name, weights=weights))
        for name, weights in pointers(outside)
    }


class Evil:
    """What a pickle may do to whoever loads it: here it makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        """Called by pickle."""
        return Path.mkdir, (self.trace,)


def pickles(trace: Path) -> dict[str, bytes]:
    """Files that would make the folder `trace` if anybody loaded them."""
    plain = pickle.dumps(Evil(trace))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("archive/data.pkl", plain)
        opened.writestr("archive/version", "3\n")
    return {"pickle": plain, "old-pickle": pickle.dumps(Evil(trace), protocol=0), "zip": archive.getvalue()}


def calibrations(model: str) -> dict[str, bytes]:
    """Files in the place of `calibration.json`; `model` is the SHA-256 of the model beside it."""
    good: dict[str, Any] = {"temperature": 2.0, "split": "val", "pictures": 9, "low": 1.0, "high": 3.0}
    good |= {"nll_before": 1.0, "nll_after": 0.9, "model": model}
    temperatures = (0, -1, 1e-300, 1e300, 10**400, "2", True, None, [2], float("nan"), float("inf"))
    found = {
        f"temperature {str(t)[:9]}": json.dumps(good | {"temperature": t}).encode() for t in temperatures
    }
    return found | {
        "of another model": json.dumps(good | {"model": "0" * 64}).encode(),
        "of no model": json.dumps(good | {"model": None}).encode(),
        "one more": json.dumps(good | {"exec": "true"}).encode(),
        "one less": json.dumps({"temperature": 2.0}).encode(),
        "a list": b"[2.0]",
        "nested": b"[" * 50_000,
        "long": json.dumps(good).encode() + b" " * 200_000,
        "long number": b'{"temperature": ' + b"9" * 10_000 + b"}",
        "not UTF-8": b'{"split": "\xff"}',
        "nothing": b"",
    }


HOSTILE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 3, 2**31, 2**63, 10**30, -0.5, 1e308, float("nan"), float("inf")),
    *("", "x", "../x", "\0", "\x1b", "{rank}", "tiny/random", "cuda", "1", "é" * 5_000),
    *([], [[]], {}, {"a": 1}, ["a", "b"], [0, 1, 2], [1e400, 2, 3], ["a"] * 3, [None] * 3),
)


def mutated(parts: Parts, generator: np.random.Generator) -> bytes:
    """A good model with a random change of metadata, of header bytes, or of any bytes."""
    way = generator.integers(3)
    if way == 0:
        where = ("config", "ranks")[int(generator.integers(2))]
        keys = sorted(parts.state[where])
        values = {
            keys[int(generator.integers(len(keys)))]: HOSTILE[int(generator.integers(len(HOSTILE)))]
            for _ in range(int(generator.integers(1, 4)))
        }
        return parts.edited(_set(where, **values))
    file = bytearray(parts.edited(lambda *_: None))
    reach = len(file) - len(parts.data) if way == 1 else len(file)
    if generator.random() < 0.3:
        return bytes(file[: int(generator.integers(reach))])
    for place in generator.integers(0, reach, int(generator.integers(1, 9))):
        file[place] ^= 1 << int(generator.integers(8))
    return bytes(file)
