"""Rows about the use of the package: its start, its answers, its metrics, its reading of files."""

from __future__ import annotations

import io
import subprocess
import sys

import torch
from PIL import Image
from timing import GRADES, MORPH, Call, Figure, Setting, ages, in_turns, ratio, summary
from training_rows import noise

from l2rclip_lite import L2RCLIP, evaluate, load_dataset, load_towers


def inference(setting: Setting) -> Figure:
    """Compare images in memory per second with the bare tower on batches that are ready."""
    config = setting.config("mini", 32)
    model = L2RCLIP.build(GRADES, config).to(config.device).eval()
    images = noise(96, model.towers.image_size)
    pixels = images.to(config.device)
    batches = [model.towers.normalize(batch.float() / 255) for batch in torch.split(pixels, 32)]

    @torch.inference_mode()
    def bare() -> None:
        for batch in batches:
            model.towers.encode_image(batch)

    def ours() -> None:
        model.probabilities(model.encode([(image, 0) for image in images]))

    bare_seconds, our_seconds = in_turns([bare, ours], setting.repeats)
    detail = {"images": len(images), "batch": 32, "towers": config.towers}
    return ratio(bare_seconds, our_seconds, detail)


def python(*arguments: str) -> Call:
    """Return a call of a fresh interpreter."""
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def beyond_torch(setting: Setting, code: str) -> Figure:
    """Measure the seconds that a line takes beyond `import torch`, in fresh interpreters."""
    calls = [python("-c", f"import torch; {code}"), python("-c", "import torch")]
    ours, torch_alone = in_turns(calls, setting.repeats)
    beyond = [a - b for a, b in zip(ours, torch_alone, strict=True)]
    return summary(beyond, {"seconds": summary(ours)["value"]})


def import_time(setting: Setting) -> Figure:
    """Measure the import of the package; a name's own imports wait for its first use."""
    return beyond_torch(setting, "import l2rclip_lite")


def first_use(setting: Setting) -> Figure:
    """Measure the imports that the row above puts off: those of every public name."""
    code = "import l2rclip_lite as l; [getattr(l, name) for name in l.__all__]"
    return beyond_torch(setting, code)


def help_time(setting: Setting) -> Figure:
    """Measure the command with `--help`."""
    (seconds,) = in_turns([python("-m", "l2rclip_lite", "--help")], setting.repeats)
    return summary(seconds)


def metrics(setting: Setting) -> Figure:
    """Measure every metric of 55,134 predictions over 62 ranks, with 1,000 resamples."""
    number = 500 if setting.quick else MORPH
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(62, (number,), generator=generator)
    near = -(((torch.arange(62) - target[:, None]) / 4) ** 2)
    probabilities = torch.softmax(near + torch.randn(number, 62, generator=generator), dim=1)

    def measure() -> None:
        evaluate(probabilities, target, ages(62), intervals=True, resamples=1000)

    (seconds,) = in_turns([measure], setting.repeats)
    return summary(seconds, {"predictions": number})


def decode(setting: Setting) -> Figure:
    """Measure images per second that one process reads from JPEG bytes and resizes."""
    resize = load_towers("tiny/random", image_size=224).resize()
    leaves = load_dataset("leaves", size=60, pixels=480).train
    files = []
    for index in range(32):
        image, _ = leaves[index]
        stream = io.BytesIO()
        image.resize((400, 480)).save(stream, "JPEG", quality=90)
        files.append(stream.getvalue())

    def read() -> None:
        for file in files:
            resize(Image.open(io.BytesIO(file)))

    (times,) = in_turns([read], setting.repeats)
    return summary([len(files) / seconds for seconds in times])
