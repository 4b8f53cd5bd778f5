"""Rows about training: time and memory of its steps, beside those of the bare image tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from timing import (
    GRADES,
    MORPH,
    Call,
    Figure,
    Setting,
    ages,
    ratio,
    seconds_of,
    steps_and,
    steps_in_turns,
    summary,
)
from torch import Tensor, nn

from l2rclip_lite import L2RCLIP, Config, Ranks, Towers, load_towers
from l2rclip_lite.baselines.losses import ordinalclip_loss
from l2rclip_lite.baselines.prompts import InterpolatedPrompts, PromptHead, learned_prompts
from l2rclip_lite.data.images import Augment, ResizedImages
from l2rclip_lite.heads.kernel import stack_kernel_heads
from l2rclip_lite.method.stages import freeze
from l2rclip_lite.stages import stage1_epochs, stage2_epochs
from l2rclip_lite.training_data import TrainingData

STEPS = {5: 16, 62: 4, 620: 1}  # ranks, and steps of one measurement: short ones are repeated
BATCHES = (512, 6250)  # the second is a 32nd of 200,000 images


def noise(number: int, size: int) -> Tensor:
    """Return images of noise, as bytes: the cost of a network does not depend on the image."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, 3, size, size), dtype=torch.uint8, generator=generator)


def training_data(model: L2RCLIP, number: int) -> TrainingData:
    """Return so many images of noise to train on, and one to validate."""
    size = model.towers.image_size
    pictures = [(image, 0) for image in noise(number, size)]
    images = {"train": ResizedImages(pictures, size), "val": ResizedImages(pictures[:1], size)}
    z, targets = _random_features(model, number)
    return TrainingData(z, targets, z, images)


def _random_features(model: L2RCLIP, number: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return unit features and rank indices to train on, and one of each to validate."""
    generator = torch.Generator().manual_seed(0)
    z = F.normalize(torch.randn(number, model.towers.dim, generator=generator))
    target = torch.arange(number) % len(model.ranks)
    return {"train": z, "val": z[:1]}, {"train": target, "val": target[:1]}


def bare_towers(config: Config) -> Towers:
    """Load the towers once more, only the image side with gradients."""
    towers = load_towers(config.towers, image_size=config.image_size, seed=config.seed)
    for name, parameter in towers.named_parameters():
        parameter.requires_grad_(name.startswith("image."))
    return towers


def bare_step(config: Config, towers: Towers) -> Call:
    """Return forward and backward of the image tower on a batch that is ready.

    There is no text, no loss and no optimiser.
    """
    batch = noise(config.batch_size, towers.image_size)
    pixels = towers.normalize(batch.float() / 255)
    gradient = torch.ones(config.batch_size, towers.dim)
    parameters = _trainable(towers)

    def step() -> None:
        for parameter in parameters:
            parameter.grad = None
        torch.autograd.backward(towers.encode_image(pixels), gradient)

    return step


def _trainable(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters with gradients."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def time_stage2(config: Config, ranks: Ranks, other: Call, repeats: int) -> list[list[float]]:
    """Measure the seconds of stage-2 steps, and of another call in turns with them."""
    model = L2RCLIP.build(ranks, config)
    data = training_data(model, (repeats + 3) * config.batch_size)
    measured = steps_and(lambda: stage2_epochs(model, data), other)
    return [seconds[2:] for seconds in measured]


def stage2(setting: Setting, towers: str = "mini") -> Figure:
    """Compare a step of stage 2 with one of the image tower alone.

    Random weights of a ViT cost what trained ones cost.
    """
    config = setting.config(towers, 16)
    bare = bare_step(config, bare_towers(config))
    ours, other = time_stage2(config, GRADES, bare, setting.repeats)
    return ratio(ours, other)


def ordinalclip(setting: Setting) -> Figure:
    """Compare a step of OrdinalCLIP's scheme with one of stage 2.

    Its one stage trains image tower and prompts together, and encodes all prompts in every step.
    """
    config = setting.config("mini", 16)
    model = L2RCLIP.build(ages(62), config)
    head = PromptHead(model.towers, learned_prompts(model, InterpolatedPrompts))
    parameters = [*freeze(model, "stage 2").values(), *_trainable(head.prompts)]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)

    batch = noise(16, model.towers.image_size)
    target = torch.arange(16)
    augment = Augment()

    def step() -> None:
        image = model.image_features(model.towers.normalize(augment(batch).float() / 255))
        loss = ordinalclip_loss(head(model.scale * image), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    ours, other = time_stage2(config, ages(62), step, setting.repeats)
    return ratio(other, ours)


def stage1_ranks(setting: Setting) -> Figure:
    """Divide the growth of a stage-1 step by that of the ranks, 5 to 62 to 620; return the steeper.

    From the end of a step to the end of the next, as in stage 2: the work of an epoch (the prompts
    encoded anew, the validation images) would weigh most where STEPS are fewest.
    """
    runs = []
    for ranks, steps in STEPS.items():
        model = L2RCLIP.build(ages(ranks), setting.config("mini", 16))
        train = partial(stage1_epochs, model, training_data(model, 16 * (steps + 1)))
        runs.append(train)
    seconds = steps_in_turns(runs, setting.repeats)

    medians = [summary(column)["value"] for column in seconds]
    by_ranks = dict(zip(map(str, STEPS), medians, strict=True))
    rounds = zip(*seconds, strict=True)
    figure = summary([growth(times) for times in rounds], {"seconds": by_ranks})
    figure["value"] = growth(medians)
    return figure


def growth(seconds: Sequence[float]) -> float:
    """Return the steepest growth between neighbours of STEPS; 1 is linear.

    Example:
        >>> growth([1.0, 12.4, 62.0])
        1.0
    """
    few, some, many = STEPS
    first, second, third = seconds
    return max(second / first / (some / few), third / second / (many / some))


def stage1_batch(setting: Setting) -> Figure:
    """Measure the seconds of a stage-1 step per image, with many images a step ÷ with few.

    Each step encodes all sentences once, whatever its images.
    """
    runs = []
    for batch in BATCHES:
        config = replace(setting.config("mini", 16), batch_size1=batch)
        model = L2RCLIP.build(ages(62), config)
        data = TrainingData(*_random_features(model, 2 * batch), {})
        runs.append(partial(stage1_epochs, model, data))

    per_image = []
    for batch, column in zip(BATCHES, steps_in_turns(runs, setting.repeats), strict=True):
        per_image.append([seconds / batch for seconds in column])
    return ratio(per_image[1], per_image[0])


def kernel_morph(setting: Setting) -> Figure:
    """Measure the choice of the kernel head: four mixtures, up to seven ridges each.

    The features are drawn with a spectrum like that of the mini tower's; ages follow a direction of
    them, with noise. Images of training validate, so that no row of ridges ends early.
    """
    generator = torch.Generator().manual_seed(0)
    axis = torch.arange(1280)
    spectrum = (-axis / 250).exp() / (1 + axis)
    latent = torch.randn(MORPH, 1280, generator=generator)
    age = latent[:, :200].sum(1) + 10 * torch.randn(MORPH, generator=generator)
    target = age.argsort().argsort() * 62 // MORPH

    turn = torch.linalg.qr(torch.randn(1280, 1280, generator=generator)).Q
    rows = latent * spectrum.sqrt() @ turn
    features = {"train": rows, "val": rows[: MORPH // 10]}
    targets = {"train": target, "val": target[: MORPH // 10]}

    def choose() -> None:
        stack_kernel_heads(features, targets, torch.eye(62), ages(62))

    return summary([seconds_of(choose) for _ in range(2)])
