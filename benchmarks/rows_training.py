"""Rows about stage 2: what its step costs beside the bare image tower, in time and memory, and beside OrdinalCLIP."""

from __future__ import annotations

from dataclasses import replace

import torch
from timing import Call, paired_steps, peak_of, run_stage
from workload import GRADES, Found, Setting, ages, bare_step, bare_towers, build, drawn, settings, stage2_of

from l2rclip_lite import Config
from l2rclip_lite.allocator import keep_freed_memory
from l2rclip_lite.images import augmented
from l2rclip_lite.ordinal_losses import ordinalclip_loss
from l2rclip_lite.prompt_baselines import ordinalclip_head
from l2rclip_lite.stages import freeze

WARMUP = 2
MEMORY_REPEATS = 5  # memory hardly varies


def images_for(setting: Setting, batch: int) -> int:
    """Pictures for one epoch of all steps."""
    return (WARMUP + setting.repeats + 1) * batch


def stage2_against_tower(setting: Setting, towers: str, batch: int) -> Found:
    """A whole training step ÷ forward and backward of the bare tower."""
    config = settings(setting, towers, batch)
    images = images_for(setting, batch)
    stage = stage2_of(build(config, GRADES), images)
    pair = paired_steps(stage, GRADES, config, images, bare_step(config), setting.repeats, warmup=WARMUP)
    return Found.ratio(pair, batch=batch, towers=config.towers, image_size=setting.image_size)


def stage2_mini(setting: Setting) -> Found:
    """The offline towers; a step is short and the bound near, so twice as many are timed."""
    return stage2_against_tower(replace(setting, repeats=2 * setting.repeats), "mini", 16)


def stage2_vit(setting: Setting) -> Found:
    """CLIP's ViT-B-16 with random weights: they cost what trained ones cost."""
    fewer = replace(setting, repeats=5) if setting.device == "cpu" else setting
    return stage2_against_tower(fewer, "ViT-B-16/random", 64 if setting.device == "cuda" else 16)


def ordinalclip(setting: Setting) -> Found:
    """One stage with every prompt encoded in every step ÷ a step of stage 2."""
    config = settings(setting, "mini", 16)
    images, ranks = images_for(setting, 16), ages(62)
    stage = stage2_of(build(config, ranks), images)
    other = ordinalclip_step(config)
    pair = paired_steps(stage, ranks, config, images, other, setting.repeats, warmup=WARMUP)
    return Found.ratio(pair.swapped(), batch=16, ranks=62, towers=config.towers)


def ordinalclip_step(config: Config) -> Call:
    """A step of OrdinalCLIP's scheme: image tower and prompts learn together, all 62 prompts are encoded anew.

    Pictures, augmentation, towers, batch and optimiser are those of stage 2; the text side is the package's own baseline.
    """
    model = build(config, ages(62))
    head = ordinalclip_head(model).to(config.device)
    parameters = list(freeze(model, 2).values()) + [p for p in head.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(
        parameters, lr=model.towers.image_lr, weight_decay=config.weight_decay, fused=True
    )
    pixels, generator = drawn(config.batch_size, model.towers.image_size), torch.Generator().manual_seed(0)
    target = (torch.arange(config.batch_size) % 62).to(config.device)

    def step() -> None:
        image = model.encode_bytes(augmented(pixels, config, generator))
        loss = ordinalclip_loss(head(model.scale * image), target)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def memory(setting: Setting) -> Found:
    """Peak memory of training ÷ of training the image tower alone, each above what the imports take."""
    config = settings(setting, "mini", 16)
    rounds = [
        [peak_of(work, config, device=setting.device) for work in (train_stage2, train_bare)]
        for _ in range(MEMORY_REPEATS)
    ]
    found = Found.of([ours / bare for ours, bare in rounds])
    ours, bare = (sorted(column)[len(column) // 2] for column in zip(*rounds, strict=True))
    found.detail.update(mib=ours, other_mib=bare, batch=16, towers=config.towers)
    return found


def train_stage2(config: Config, steps: int = 3) -> None:
    """In a child: a few steps of stage 2."""
    torch.set_num_threads(config.threads or 1)
    keep_freed_memory()
    images = steps * config.batch_size
    run_stage(stage2_of(build(config, GRADES), images), torch.arange(images) % len(GRADES), GRADES, config)


def train_bare(config: Config, steps: int = 3) -> None:
    """In a child: as many steps of the image tower alone, with Adam; the text tower is thrown away first."""
    torch.set_num_threads(config.threads or 1)
    keep_freed_memory()
    towers = bare_towers(config)
    del towers.text
    step = bare_step(config, towers)
    optimiser = torch.optim.Adam(
        [parameter for parameter in towers.parameters() if parameter.requires_grad], lr=1e-4
    )
    for _ in range(steps):
        step()
        optimiser.step()
