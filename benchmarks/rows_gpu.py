"""Rows that need a GPU: images a second of stage 2 with ViT-B-16 in bf16, and the share of the card's own peak."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from timing import paired_steps
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from workload import (
    GRADES,
    Found,
    NotMeasuredError,
    Setting,
    bare_step,
    bare_towers,
    build,
    settings,
    stage2_of,
)

from l2rclip_lite import Config

BATCH = 256


@dataclass(frozen=True)
class Card:
    """A GPU's published peak.

    Args:
        name: A part of the name that torch gives the card.
        tflops: Dense bf16 matrix products with fp32 sums, 10¹² operations a second.
        source: Where to look it up; not compared with it yet. A number given for sparse matrices is halved here.
    """

    name: str
    tflops: float
    source: str


CARDS = (  # the longer name first
    Card("H100 PCIe", 756.0, "H100 data sheet, 1,513 with sparsity"),
    Card("H100", 989.4, "H100 (SXM) data sheet, 1,979 with sparsity"),
    Card("H200", 989.4, "H200 data sheet, 1,979 with sparsity"),
    Card("A100", 312.0, "A100 data sheet"),
    Card("L40S", 362.0, "L40S data sheet, 733 with sparsity"),
    Card("L4", 121.0, "L4 data sheet, 242 with sparsity"),
    Card("A10", 125.0, "A10 data sheet"),
    Card("RTX 4090", 165.2, "Ada architecture white paper, table of the RTX 4090"),
)


def card_of(name: str) -> Card:
    """The card of a device.

    Example:
        >>> card_of("NVIDIA A100-SXM4-80GB").tflops, card_of("NVIDIA H100 PCIe").tflops
        (312.0, 756.0)
    """
    found = next((card for card in CARDS if card.name in name), None)
    if found is None:
        raise NotMeasuredError(f"the table has no peak of {name}; add a line to benchmarks/rows_gpu.py")
    return found


def flops_of_image(config: Config) -> float:
    """Floating-point operations of forward and backward of the image tower for one picture.

    Counted by torch from the shapes of the matrix products and convolutions; a multiplication and an addition are two.
    The counter does not know every fused attention, so the plain one is run.
    """
    step = bare_step(config, bare_towers(config))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops()) / config.batch_size


def images_per_second(setting: Setting) -> Found:
    """Stage 2 as `fit` runs it, augmentation and optimiser included."""
    if setting.device != "cuda":
        raise NotMeasuredError("needs a GPU: --device cuda")
    config = settings(setting, "ViT-B-16/random", BATCH, precision="bf16")
    images = (3 + setting.repeats) * BATCH
    stage = stage2_of(build(config, GRADES), images)
    pair = paired_steps(stage, GRADES, config, images, lambda: None, setting.repeats)
    speeds = [BATCH / seconds for seconds in pair.ours]
    return Found.of(speeds, batch=BATCH, card=torch.cuda.get_device_name(), towers=config.towers)


def share_of_peak(setting: Setting) -> Found:
    """Operations that the training needs ÷ what the card could do in that time."""
    found = images_per_second(setting)
    card = card_of(found.detail["card"])
    flops = flops_of_image(settings(setting, "ViT-B-16/random", 8, precision="bf16"))
    scale = flops / (card.tflops * 1e12)
    about = {"flops_per_image": flops, "peak_tflops": card.tflops, "source": card.source}
    return Found(
        found.value * scale, found.low * scale, found.high * scale, found.repeats, found.detail | about
    )
