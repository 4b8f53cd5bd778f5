"""What is measured, and what each figure should be."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
import torch.nn.functional as F
from PIL import Image
from timing import Call, Figure, in_turns, of, peak_of, ratio, steps_and
from torch import Tensor

from l2rclip_lite import L2RCLIP, Config, Ranks, Towers, evaluate, load_dataset, load_towers
from l2rclip_lite.baselines.losses import ordinalclip_loss
from l2rclip_lite.baselines.prompts import InterpolatedPrompts, PromptHead
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.freezing import freeze
from l2rclip_lite.images import Augment, ResizedImages
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stages import train_stage1, train_stage2

GRADES = Ranks(
    ("no", "slight", "moderate", "strong", "very strong"),
    (0, 1, 2, 3, 4),
    "a leaf with {rank} damage",
)
MORPH = 55_134  # images
STEPS = {5: 16, 62: 4, 620: 1}  # ranks, and steps of one measurement: short ones are repeated


@dataclass(frozen=True)
class Setting:
    """How to measure."""

    repeats: int = 7
    """Of each row."""
    device: str = "cpu"
    """"cpu" or "cuda"."""
    data: Path | None = None
    """The folder that holds `datalists`."""
    quick: bool = False
    """Whether to use tiny towers and few rows, which shows that a row runs and nothing else."""

    def config(self, towers: str, batch: int, **changed: Any) -> Config:
        """The package's defaults on these towers, for one epoch a stage."""
        size = 64 if self.quick else 224
        towers = "tiny/random" if self.quick else towers
        return Config(
            towers=towers,
            batch_size=batch,
            image_size=size,
            device=self.device,
            epochs1=1,
            epochs2=1,
            **changed,
        )


class NotMeasuredError(Exception):
    """Why a row has no figure here."""


def ages(number: int, first: int = 121) -> Ranks:
    """Ages that follow each other; between 121 and 740 no name has more words than another."""
    return Ranks.integers(first, first + number - 1, template="a photo of a {rank} years old face")


def drawn(images: int, size: int) -> list[tuple[Tensor, int]]:
    """Noise in place of images: the cost of a network does not depend on what it sees."""
    pixels = torch.randint(
        0,
        256,
        (images, 3, size, size),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )
    return [(image, index % 5) for index, image in enumerate(pixels)]


def training_data(model: L2RCLIP, images: int) -> TrainingData:
    """Images of noise, one of them to validate."""
    noise = ResizedImages(drawn(images, model.towers.image_size), model.towers.image_size)
    targets = {
        "train": torch.arange(images) % len(model.ranks),
        "val": torch.zeros(1, dtype=torch.long),
    }
    features = F.normalize(
        torch.randn(images, model.towers.dim, generator=torch.Generator().manual_seed(0))
    )
    data = {
        "train": noise,
        "val": ResizedImages(drawn(1, model.towers.image_size), model.towers.image_size),
    }
    features = {"train": features, "val": features[:1]}
    return TrainingData(features, targets, features, data)


def bare_towers(config: Config) -> Towers:
    """The towers once more, only the image side with gradients."""
    towers = load_towers(config.towers, image_size=config.image_size, seed=config.seed).to(
        config.device
    )
    for name, parameter in towers.named_parameters():
        parameter.requires_grad_(name.startswith("image."))
    return towers


def bare_step(config: Config, towers: Towers) -> Call:
    """Forward and backward of the image tower on a batch that is ready: no text, no loss, no optimiser."""
    noise = torch.stack([image for image, _ in drawn(config.batch_size, towers.image_size)])
    ready = towers.normalize(noise.to(config.device).float() / 255)
    pull = torch.ones(config.batch_size, towers.dim, device=config.device)
    learns = [parameter for parameter in towers.parameters() if parameter.requires_grad]

    def step() -> None:
        for parameter in learns:
            parameter.grad = None
        with torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16"):
            features = towers.encode_image(ready)
        torch.autograd.backward(features.float(), pull)

    return step


def stage2(
    setting: Setting, config: Config, ranks: Ranks, other: Call, repeats: int
) -> list[list[float]]:
    """Seconds of stage-2 steps and of something else."""
    model = L2RCLIP.build(ranks, config).to(config.device)
    data = training_data(model, (repeats + 3) * config.batch_size)
    return steps_and(lambda: train_stage2(model, data), other, repeats)


def stage2_mini(setting: Setting) -> Figure:
    """A step is short and the bound near, so twice as many are timed."""
    config = setting.config("mini", 16)
    times = stage2(
        setting, config, GRADES, bare_step(config, bare_towers(config)), 2 * setting.repeats
    )
    return ratio(*times, batch=16, towers=config.towers)


def stage2_vit(setting: Setting) -> Figure:
    """CLIP's ViT-B-16 with random weights: they cost what trained ones cost."""
    config = setting.config("ViT-B-16/random", 64 if setting.device == "cuda" else 16)
    times = stage2(
        setting, config, GRADES, bare_step(config, bare_towers(config)), min(5, setting.repeats)
    )
    return ratio(*times, batch=config.batch_size, towers=config.towers)


def ordinalclip(setting: Setting) -> Figure:
    """One stage in which image tower and prompts learn together, all prompts encoded in every step, ÷ stage 2."""
    config = setting.config("mini", 16)
    model = L2RCLIP.build(ages(62), config).to(config.device)
    head = PromptHead(model, InterpolatedPrompts).to(config.device)
    parameters = [
        *freeze(model, "stage 2").values(),
        *(p for p in head.prompts.parameters() if p.requires_grad),
    ]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    noise = torch.stack([image for image, _ in drawn(16, model.towers.image_size)]).to(
        config.device
    )
    target, augment = torch.arange(16, device=config.device), Augment()

    def step() -> None:
        image = model.image_features(model.towers.normalize(augment(noise).float() / 255))
        loss = ordinalclip_loss(head(model.scale * image), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    ours, other = stage2(setting, config, ages(62), step, setting.repeats)
    return ratio(other, ours, batch=16, ranks=62, towers=config.towers)


def stage1_ranks(setting: Setting) -> Figure:
    """Steepest growth of a stage-1 step between 5, 62 and 620 ranks ÷ growth of the ranks.

    From the end of a step to the end of the next, as in stage 2: what comes once an epoch (the prompts encoded anew, the
    validation images) would weigh most where STEPS are fewest.
    """
    runs = []
    for ranks, steps in STEPS.items():
        model = L2RCLIP.build(ages(ranks), setting.config("mini", 16)).to(setting.device)
        runs.append((steps, partial(train_stage1, model, training_data(model, 16 * (steps + 1)))))
    each: list[list[float]] = [[] for _ in STEPS]
    for _ in range(setting.repeats):  # in turns; the first step of each does not count
        for column, (steps, train) in zip(each, runs, strict=True):
            column.append(sum(steps_and(train, lambda: None, steps, warmup=0)[0]) / steps)
    middle = [of(column)["value"] for column in each]
    figure = of([growth(row) for row in zip(*each, strict=True)])
    detail = {"seconds": dict(zip(map(str, STEPS), middle, strict=True)), "batch": 16}
    return figure | {"value": growth(middle), "detail": detail}


def growth(seconds: Any) -> float:
    """Steepest growth between neighbours of STEPS; 1 is linear.

    Example:
        >>> growth([1.0, 12.4, 62.0])
        1.0
    """
    (a, b, c), (k, m, n) = seconds, STEPS
    return max(b / a / (m / k), c / b / (n / m))


def memory(setting: Setting) -> Figure:
    """Peak memory of stage 2 ÷ of training the image tower alone, each above what the imports take."""
    config = setting.config("mini", 16)
    rounds = [
        [peak_of(work, config) for work in (train_ours, train_bare)]
        for _ in range(5 if not setting.quick else 2)
    ]
    return of(
        [ours / bare for ours, bare in rounds], mib=rounds[0][0], other_mib=rounds[0][1], batch=16
    )


def train_ours(config: Config) -> None:
    """In a child: three steps of stage 2."""
    torch.set_num_threads(1)
    model = L2RCLIP.build(GRADES, config)
    train_stage2(model, training_data(model, 3 * config.batch_size))


def train_bare(config: Config) -> None:
    """In a child: three steps of the image tower alone, with Adam; the text tower is thrown away first."""
    torch.set_num_threads(1)
    towers = bare_towers(config)
    del towers.text
    step = bare_step(config, towers)
    optimizer = torch.optim.Adam([p for p in towers.parameters() if p.requires_grad], lr=1e-4)
    for _ in range(3):
        step()
        optimizer.step()


def inference(setting: Setting) -> Figure:
    """Probabilities of images in memory, per second, ÷ the bare tower on batches that are ready."""
    config = setting.config("mini", 32)
    model = L2RCLIP.build(GRADES, config).to(config.device).eval()
    images = drawn(96, model.towers.image_size)
    pixels = torch.stack([image for image, _ in images]).to(config.device)
    ready = [model.towers.normalize(batch.float() / 255) for batch in pixels.split(32)]

    @torch.inference_mode()
    def bare() -> None:
        for batch in ready:
            model.towers.encode_image(batch)

    others, ours = in_turns(
        [bare, lambda: model.probabilities(model.encode(images))], setting.repeats
    )
    return ratio(others, ours, images=len(images), batch=32, towers=config.towers)


def python(*arguments: str) -> Call:
    """A fresh interpreter."""
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def beyond_torch(setting: Setting, code: str) -> Figure:
    """Seconds that a line takes longer than `import torch`, in fresh interpreters."""
    calls = [python("-c", f"import torch; {code}"), python("-c", "import torch")]
    ours, alone = in_turns(calls, setting.repeats)
    return of([a - b for a, b in zip(ours, alone, strict=True)], seconds=of(ours)["value"])


def import_time(setting: Setting) -> Figure:
    """The package itself; what a name needs is imported when the name is first used."""
    return beyond_torch(setting, "import l2rclip_lite")


def first_use(setting: Setting) -> Figure:
    """What the row above puts off: every public name."""
    return beyond_torch(
        setting, "import l2rclip_lite as l; [getattr(l, name) for name in l.__all__]"
    )


def help_time(setting: Setting) -> Figure:
    """The command with `--help`."""
    (times,) = in_turns([python("-m", "l2rclip_lite", "--help")], setting.repeats)
    return of(times)


def csv_rows(setting: Setting) -> Figure:
    """A CSV of one's own over files that are empty: whoever opened one would fail."""
    number = 1_000 if setting.quick else MORPH
    names, parts = ages(62).names, ("train", "train", "train", "val", "test")
    with tempfile.TemporaryDirectory() as folder:
        root, lines = Path(folder), ["path,label,split"]
        for index in range(number):
            file = root / f"{index % 100:02d}" / f"{index}.jpg"
            file.parent.mkdir(exist_ok=True)
            file.touch()
            lines.append(f"{file.relative_to(root)},{names[index % 62]},{parts[index // 62 % 5]}")
        (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return loading(
            setting, number, lambda: load_dataset("csv", root=root, ranks=",".join(names))
        )


def morph_rows(setting: Setting) -> Figure:
    """The published lists of MORPH II over empty files with the names of its images."""
    if setting.data is None or not (setting.data / "datalists").is_dir():
        raise NotMeasuredError(
            "the published lists are not here; give --data, the folder that holds datalists"
        )
    options = {"lists": setting.data / "datalists", "protocol": "random"}
    listed = load_dataset("morph", **options)
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for split in SPLITS for name in listed.split(split).paths):
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return loading(setting, MORPH, lambda: load_dataset("morph", root=folder, **options))


def loading(setting: Setting, number: int, load: Callable[[], OrdinalDataset]) -> Figure:
    """Seconds of loading, during which no image may be opened."""
    with patch("PIL.Image.open", side_effect=AssertionError("an image was opened")):
        if (rows := sum(len(load().split(split)) for split in SPLITS)) != number:
            raise AssertionError(f"{rows} rows of {number} were loaded")
        (times,) = in_turns([load], setting.repeats)
    return of(times, rows=number)


def metrics(setting: Setting) -> Figure:
    """Every metric of 55,134 predictions over 62 ranks, with 95 % intervals of 1,000 resamples."""
    number, generator = 500 if setting.quick else MORPH, torch.Generator().manual_seed(0)
    target = torch.randint(62, (number,), generator=generator)
    near = -(((torch.arange(62) - target[:, None]) / 4) ** 2)
    probabilities = torch.softmax(near + torch.randn(number, 62, generator=generator), dim=1)
    call = lambda: evaluate(probabilities, target, ages(62), intervals=True, resamples=1000)  # noqa: E731
    (times,) = in_turns([call], setting.repeats)
    return of(times, predictions=number)


def decode(setting: Setting) -> Figure:
    """Images per second that one process reads from JPEG bytes of 400 by 480 pixels and resizes."""
    towers = load_towers("tiny/random", image_size=224)
    leaves, files = load_dataset("leaves", size=60, pixels=480).train, []
    for index in range(32):
        stream = io.BytesIO()
        leaves[index][0].resize((400, 480)).save(stream, "JPEG", quality=90)
        files.append(stream.getvalue())
    resize = towers.resize()
    (times,) = in_turns(
        [lambda: [resize(Image.open(io.BytesIO(file))) for file in files]], setting.repeats
    )
    return of([len(files) / seconds for seconds in times])


def gpu(setting: Setting) -> Figure:
    """Stage 2 of ViT-B-16 in bf16 as `fit` runs it, images per second."""
    if setting.device != "cuda":
        raise NotMeasuredError("needs a GPU: --device cuda")
    config = setting.config("ViT-B-16/random", 256, precision="bf16")
    steps, _ = stage2(setting, config, GRADES, lambda: None, setting.repeats)
    return of(
        [config.batch_size / s for s in steps],
        batch=config.batch_size,
        card=torch.cuda.get_device_name(),
    )


@dataclass(frozen=True)
class Row:
    """A figure and its target."""

    measure: Callable[[Setting], Figure]
    what: str
    target: float = 0
    direction: Literal["at most", "at least", "none"] = "at most"
    unit: str = "×"

    def met(self, value: float) -> bool | None:
        """Whether a figure reaches the target; None where there is none.

        Example:
            >>> ROWS["inference"].met(0.9), ROWS["stage2-mini"].met(1.04)
            (False, True)
        """
        if self.direction == "none":
            return None
        return value <= self.target if self.direction == "at most" else value >= self.target


ROWS = {
    "stage2-mini": Row(
        stage2_mini, "stage-2 step ÷ forward and backward of the bare image tower, mini", 1.05
    ),
    "stage2-vit": Row(
        stage2_vit, "stage-2 step ÷ forward and backward of the bare image tower, ViT-B-16", 1.05
    ),
    "stage1-ranks": Row(
        stage1_ranks, "growth of the stage-1 step ÷ growth of the ranks, 5 to 62 to 620", 1.0
    ),
    "inference": Row(
        inference, "inference images/s ÷ images/s of the bare image tower, mini", 0.97, "at least"
    ),
    "import": Row(import_time, "import l2rclip_lite − import torch", 0.5, unit="s"),
    "first-use": Row(first_use, "every public name imported − import torch", 0, "none", "s"),
    "help": Row(help_time, "l2rclip --help", 1.5, unit="s"),
    "lists-csv": Row(
        csv_rows, "55,134 rows of a CSV to a ready data set, no image opened", 1.0, unit="s"
    ),
    "lists-morph": Row(
        morph_rows, "55,134 rows of the lists of MORPH II to a ready data set", 1.0, unit="s"
    ),
    "metrics": Row(
        metrics, "all metrics of 55,134 predictions with 1,000 bootstrap samples", 5.0, unit="s"
    ),
    "memory": Row(memory, "peak memory of stage 2 ÷ training of the bare image tower, mini", 1.10),
    "ordinalclip": Row(
        ordinalclip, "step of OrdinalCLIP's scheme ÷ stage-2 step, 62 ranks, mini", 1.5, "at least"
    ),
    "decode": Row(
        decode,
        "JPEG files of 400 by 480 pixels decoded and resized, one process",
        0,
        "none",
        "images/s",
    ),
    "gpu-images": Row(gpu, "stage-2 training of ViT-B-16 in bf16", 0, "none", "images/s"),
}


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
