"""Rows about use: inference, first import, help, lists, metrics, pictures from files."""

from __future__ import annotations

import cProfile
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from timing import in_turns, paired
from workload import GRADES, Found, NotMeasuredError, Setting, ages, autocast, build, drawn, settings

from l2rclip_lite import evaluate, load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset

ROWS = 55_134  # MORPH II
EVERY_NAME = "import l2rclip_lite as l; [getattr(l, name) for name in l.__all__]"


def inference(setting: Setting) -> Found:
    """Probabilities of pictures in memory, images a second, ÷ the bare tower on batches that are ready."""
    config = settings(setting, "mini", 32)
    model = build(config, GRADES)
    pixels = drawn(96, model.towers.image_size)
    ready = [model.towers.normalize(part.float() / 255).to(config.device) for part in torch.split(pixels, 32)]

    @torch.inference_mode()
    def bare() -> None:
        with autocast(config):
            for batch in ready:
                model.towers.encode_image(batch)

    pair = paired(
        bare,
        lambda: model.probabilities(model.features(pixels, batch_size=32)),
        setting.repeats,
        device=setting.device,
    )
    return Found.ratio(pair, images=len(pixels), batch=32, towers=config.towers)


def python(code: str) -> Callable[[], object]:
    """A fresh interpreter that runs a line."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def against_torch(setting: Setting, code: str) -> Found:
    """Seconds that a line takes longer than `import torch`, each in a fresh interpreter, in turns."""
    ours, torch_alone = in_turns([python(code), python("import torch")], setting.repeats)
    both = {"seconds": Found.of(ours).value, "other_seconds": Found.of(torch_alone).value}
    longer = [a - b for a, b in zip(ours, torch_alone, strict=True)]
    return Found.of(longer, **both, hot=slow_imports(f"import torch; {code}"))


def first_import(setting: Setting) -> Found:
    """The package comes without torch until a name is asked for, so this may be negative."""
    return against_torch(setting, "import l2rclip_lite")


def first_use(setting: Setting) -> Found:
    """What the row above puts off: every public name."""
    return against_torch(setting, EVERY_NAME)


def first_help(setting: Setting) -> Found:
    """The command with `--help`."""
    command = [sys.executable, "-c", "from l2rclip_lite.cli import main; main()", "--help"]
    (times,) = in_turns([lambda: subprocess.run(command, check=True, capture_output=True)], setting.repeats)
    return Found.of(times)


def csv_list(setting: Setting) -> Found:
    """A CSV of your own, whose files are there and empty: whoever opened one would fail."""
    number = 1_000 if setting.quick else ROWS
    names = ages(62).names
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        lines = ["path,label,split"]
        for index in range(number):
            folder = root / f"{index % 100:02d}"
            folder.mkdir(exist_ok=True)
            (folder / f"{index}.jpg").touch()
            part = ("train", "train", "train", "val", "test")[index // 62 % 5]
            lines.append(f"{folder.name}/{index}.jpg,{names[index % 62]},{part}")
        (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return _loaded(setting, number, lambda: load_dataset("csv", root=root, ranks=names))


def morph_list(setting: Setting) -> Found:
    """The published lists of MORPH II, random split, over a folder of empty files with the names of its pictures."""
    if setting.data is None or not (setting.data / "datalists").is_dir():
        raise NotMeasuredError(
            "the published lists are not here; give --data, the folder that holds datalists"
        )
    lists = setting.data / "datalists"
    listed = load_dataset("morph", lists=lists, protocol="random")
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        for part in SPLITS:
            for name in listed.split(part).paths:
                file = root / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        return _loaded(
            setting, ROWS, lambda: load_dataset("morph", root=root, lists=lists, protocol="random")
        )


def _loaded(setting: Setting, number: int, load: Callable[[], OrdinalDataset]) -> Found:
    """Seconds of loading, during which no picture may be opened."""
    with patch("PIL.Image.open", side_effect=AssertionError("a picture was opened")):
        data = load()
        if (found := sum(len(data.split(part)) for part in SPLITS)) != number:
            raise AssertionError(f"{found} rows of {number} were loaded")
        (times,) = in_turns([load], setting.repeats)
    return Found.of(times, rows=number, hot=hot(load))


def metrics(setting: Setting) -> Found:
    """Every metric of 55,134 predictions over 62 ranks, with 95 % intervals."""
    number = 500 if setting.quick else ROWS
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(62, (number,), generator=generator)
    near = -(((torch.arange(62) - target[:, None]) / 4) ** 2)
    probabilities = torch.softmax(near + torch.randn(number, 62, generator=generator), dim=1)

    def measure() -> object:
        return evaluate(probabilities, target, ages(62), intervals=True, resamples=1000)

    (times,) = in_turns([measure], setting.repeats)
    return Found.of(times, predictions=number, ranks=62, resamples=1000, hot=hot(measure))


def hot(call: Callable[[], object], most: int = 4) -> dict[str, float]:
    """The functions that a call spends most of its own time in, with their shares."""
    profile = cProfile.Profile()
    profile.runcall(call)
    lines = profile.getstats()
    total = sum(line.inlinetime for line in lines)
    own: dict[str, float] = defaultdict(float)
    for line in lines:
        code = line.code
        name = code if isinstance(code, str) else f"{Path(code.co_filename).stem}.{code.co_name}"
        name = re.sub(r" at 0x\w+", "", name)
        own[name] += line.inlinetime
    longest = sorted(own, key=own.__getitem__, reverse=True)[:most]
    return {name: round(own[name] / total, 3) for name in longest}


def slow_imports(code: str, most: int = 4) -> dict[str, float]:
    """Libraries that take longest to import after torch, their own modules together, with their shares."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
    rows = [line.removeprefix("import time:").split("|") for line in lines if line.startswith("import time:")]
    parsed = [(name.strip(), int(own)) for own, _, name in rows[1:]]
    after = max((at for at, (name, _) in enumerate(parsed) if name == "torch"), default=-1) + 1
    own: Counter[str] = Counter()
    for name, microseconds in parsed[after:]:
        own[name.partition(".")[0]] += microseconds
    total = max(1, own.total())
    return {name: round(value / total, 3) for name, value in own.most_common(most)}


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
