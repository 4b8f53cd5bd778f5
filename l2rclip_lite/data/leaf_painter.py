"""Draws leaf photographs from nothing but a seeded generator, with the exact masks of blade and damage.

The canvas is square; x and y run from -1 to 1. A leaf is a set of fields over it (how deep inside the blade,
how far along it, where the veins are), and lesions are one field more: the time at which a pixel falls ill.
Damage of a given share is then all pixels below a quantile of that time, which makes the share exact whatever
the lesions look like.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from PIL import Image

from l2rclip_lite.data.leaf_scene import Colour, Field, Picture, background, mix, noise, photograph, shade

Mask = Bool[np.ndarray, "height width"]


class Leaf(NamedTuple):
    """A drawn leaf with its ground truth: the image, the blade, and the damaged part of the blade."""

    image: Image.Image
    blade: Mask
    lesions: Mask


class _Shape(NamedTuple):
    """Fields over the canvas; lengths are in half canvases."""

    depth: Field  # distance from the margin, positive inside
    along: Field  # 0 at the base, 1 at the tip
    veins: Field  # 1 on a vein
    puff: Field  # height of the blade between veins
    stalk: Field  # opacity of the petiole


# Half width in leaf lengths; exponents a and b of the outline t^a (1-t)^b; waves, teeth, lobes; veins on each side.
SPECIES = (
    ((0.19, 0.27), 0.80, 0.85, 0.08, 0.00, 0.00, 8),  # coffee
    ((0.14, 0.21), 0.75, 0.80, 0.02, 0.00, 0.00, 6),  # laurel
    ((0.09, 0.13), 0.60, 0.90, 0.02, 0.05, 0.00, 9),  # willow
    ((0.23, 0.31), 0.55, 0.85, 0.03, 0.05, 0.00, 9),  # beech
    ((0.30, 0.37), 0.33, 0.95, 0.02, 0.06, 0.00, 6),  # linden
    ((0.22, 0.29), 0.80, 0.42, 0.03, 0.00, 0.42, 5),  # oak
)
MAPLE_ANGLES = np.array([0.0, 0.85, -0.85, 1.75, -1.75])
MAPLE_LENGTHS = np.array([0.70, 0.60, 0.60, 0.40, 0.40])
# Colour at the centre and at the edge, strength of the yellow halo and of rings, number of spots (0: it has none).
LESIONS: tuple[tuple[Colour, Colour, float, float, tuple[int, int]], ...] = (
    ((176, 84, 22), (214, 138, 40), 0.75, 0.0, (14, 50)),  # rust
    ((188, 168, 134), (74, 40, 24), 0.55, 0.8, (2, 9)),  # ring spot
    ((34, 28, 24), (58, 46, 30), 0.25, 0.0, (5, 24)),  # tar spot
    ((206, 190, 146), (150, 112, 66), 0.15, 0.0, (1, 4)),  # leaf miner
    ((70, 44, 28), (124, 78, 40), 0.60, 0.3, (0, 0)),  # blight
    ((176, 140, 92), (110, 66, 36), 0.35, 0.0, (0, 0)),  # scorch
    ((208, 210, 202), (172, 184, 158), 0.00, 0.0, (0, 0)),  # mildew
)
MINER, MILDEW = 3, 6


def paint_leaf(generator: np.random.Generator, low: float, high: float, *, pixels: int = 128) -> Leaf:
    """One leaf with a share of damage in [low, high).

    Lesions grow until they cover a share drawn uniformly from the bin; it is counted in pixels of the blade,
    after clipping to the blade, at the resolution of the drawing (4/3 of `pixels`).

    Args:
        generator: Decides everything.
        low: Lowest share; 0 draws an intact leaf.
        high: Share to stay below.
        pixels: Side of the image.

    Returns:
        The image (`pixels` square) and both masks (at the resolution of the drawing).

    Example:
        >>> leaf = paint_leaf(np.random.default_rng(0), 0.2, 0.3)
        >>> bool(0.2 <= leaf.lesions.sum() / leaf.blade.sum() < 0.3)
        True
    """
    side = pixels * 4 // 3
    shape = _shape(generator, side)
    blade = shape.depth > 0
    ground = background(generator, side)
    leaf = _healthy(generator, shape)
    lesions = np.zeros_like(blade)
    if low > 0:
        area = int(blade.sum())
        wanted = max(round(generator.uniform(low, high) * area), math.ceil(low * area))
        count = max(min(wanted, math.ceil(high * area) - 1), 1)  # 1: a bin narrower than one pixel
        leaf, lesions = _infect(generator, leaf, shape, count)
    scene = _compose(generator, ground, _light(generator, leaf, shape, lesions), shape)
    return Leaf(photograph(generator, scene, pixels), blade, lesions)


def _shape(generator: np.random.Generator, side: int) -> _Shape:
    """A leaf of a random species, turned, bent, scaled and placed at random."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    kind = int(generator.integers(len(SPECIES) + 1))
    length = generator.uniform(1.5, 2.0)
    turn = generator.uniform(0, 2 * np.pi)
    x, y = x - generator.uniform(-0.1, 0.1), y - generator.uniform(-0.1, 0.1)
    along = (x * math.cos(turn) + y * math.sin(turn)) / length + 0.5
    across = (y * math.cos(turn) - x * math.sin(turn)) / length
    across = across - generator.uniform(-0.45, 0.45) * (along * (1 - along) - 0.15)
    if kind < len(SPECIES):
        depth = _pinnate(generator, kind, along, across)
        veins, puff = _veins(along, across, SPECIES[kind][-1] + int(generator.integers(-1, 3)))
        start = along
    else:
        depth, straight, sideways = _palmate(generator, along - 0.26, across)
        veins, puff = _veins(straight, sideways, 7)
        start = along - 0.26
    reach = generator.uniform(0.1, 0.3)
    width = 0.011 * (1 + np.clip(-start, 0, 1) * 2)
    stalk = np.clip((width - np.abs(across)) * side / 2 * length + 0.5, 0, 1)
    stalk = stalk * ((start < 0.02) & (start > -reach))
    return _Shape(depth * length, along, veins, puff, stalk.astype(np.float32))


def _pinnate(generator: np.random.Generator, kind: int, along: Field, across: Field) -> Field:
    """Depth inside a leaf with one midrib; both margins have waves, teeth and lobes of their own."""
    half, a, b, wave, teeth, lobe, _ = SPECIES[kind]
    t = np.linspace(0, 1, 1024)
    outline = t**a * (1 - t) ** b
    outline *= generator.uniform(*half) / outline.max()
    count = generator.integers(4, 7)
    sides = []
    for _ in range(2):
        phase = generator.uniform(0, 2 * np.pi)
        edge = 1 + wave * np.sin(2 * np.pi * generator.uniform(4, 10) * t + phase)
        edge += teeth * (1 - (t * 34 + phase) % 1)
        edge *= 1 - lobe * (0.5 - 0.5 * np.cos(2 * np.pi * count * t + 0.4 * phase)) ** 1.5
        sides.append((outline * edge).astype(np.float32))
    place = np.clip(along * 1023, 0, 1023).astype(np.int32)
    depth = np.where(across > 0, sides[0][place], sides[1][place]) - np.abs(across)
    return np.asarray(np.minimum(depth, np.minimum(along, 1 - along) + 0.004))


def _palmate(generator: np.random.Generator, ahead: Field, across: Field) -> tuple[Field, Field, Field]:
    """Depth inside a leaf with five lobes, and the coordinates along and across the nearest lobe."""
    angle = np.linspace(-np.pi, np.pi, 1024)
    apart = np.abs((angle[:, None] - MAPLE_ANGLES + np.pi) % (2 * np.pi) - np.pi)
    sharp = generator.uniform(0.36, 0.62)
    lengths = MAPLE_LENGTHS * generator.uniform(0.92, 1.06, 5)
    lobes = lengths * (1 - sharp * np.minimum(apart / 0.43, 1.35) ** 0.8)
    edge = lobes.max(1) * (1 + 0.07 * ((angle * 9) % 1)) * np.clip((np.pi - np.abs(angle)) / 0.5, 0.15, 1)
    radius, theta = np.hypot(ahead, across), np.arctan2(across, ahead)
    place = ((theta + np.pi) / (2 * np.pi) * 1023).astype(np.int32)
    nearest = MAPLE_ANGLES[apart.argmin(1)].astype(np.float32)[place]
    depth = (edge.astype(np.float32)[place] - radius) * 0.6
    return depth, radius * np.cos(theta - nearest), radius * np.sin(theta - nearest)


def _veins(along: Field, across: Field, count: int) -> tuple[Field, Field]:
    """Midrib and side veins that bend towards the tip, and the height of the blade between them."""
    out = np.abs(across)
    beat = (along - 0.75 * out + 0.5 * out * out) * count + np.float32(0.5) * (across > 0)
    gap = np.abs(beat - np.round(beat)) / count * 0.8
    side = np.exp(-((gap / 0.0065) ** 2)) * np.clip(1 - out * 2.6, 0.15, 1) * 0.75
    middle = np.exp(-((out / (0.011 * np.clip(1.25 - along, 0.3, 1.25))) ** 2))
    return np.maximum(middle, side * (along > 0)), np.cos(2 * np.pi * beat)


def _healthy(generator: np.random.Generator, shape: _Shape) -> Picture:
    """A blade without damage: green from dark to light, seldom copper, often mottled, sometimes yellowing."""
    side = len(shape.depth)
    dark, pale = np.array([26, 62, 28], np.float32), np.array([128, 164, 62], np.float32)
    base = shade(dark + (pale - dark) * generator.beta(1.6, 1.8), generator, 8.0)
    if generator.random() < 0.08:
        base = shade((96, 38, 44), generator)
    mottle = 1 + 0.07 * noise(generator, side, (5, 5), 4)
    leaf = base * mottle[..., None]
    rib = base * 0.45 + shade((196, 206, 140), generator) * 0.55
    leaf = mix(leaf, rib, shape.veins * generator.uniform(0.35, 0.85))
    # Age or hunger is no damage: smooth, without an edge, and greener along the veins.
    if generator.random() < 0.3:
        end = 1.2 if generator.random() < 0.5 else -1.2
        field = noise(generator, side, (2, 2), 2) * 0.5 + end * (shape.along - 0.5)
        amount = np.clip(field + generator.uniform(-0.2, 0.5), 0, 1) * (1 - 0.6 * shape.veins)
        leaf = mix(leaf, shade((204, 186, 66), generator), amount * generator.uniform(0.35, 0.75))
    return leaf


def _spots(generator: np.random.Generator, shape: _Shape, number: int, radius: float, trail: int) -> Field:
    """Time of infection by round spots: distance from the nearest centre in units of that spot's size."""
    side = len(shape.depth)
    time: Field = (4 + np.clip(noise(generator, side, (4, 4)), -3, 3) * 0.3).astype(np.float32)
    homes = np.argwhere(shape.depth > 0)
    for start in generator.choice(homes, number):
        centre, heading = start.astype(float), generator.uniform(0, 2 * np.pi)
        for _ in range(trail):
            size = radius * math.exp(generator.normal(0, 0.35 if trail == 1 else 0.1))
            reach = int(4 * size) + 1
            top, left = (np.clip(centre - reach, 0, side - 1)).astype(int)
            patch = time[top : int(centre[0]) + reach + 1, left : int(centre[1]) + reach + 1]
            rows = np.arange(top, top + patch.shape[0], dtype=np.float32)[:, None] - np.float32(centre[0])
            columns = np.arange(left, left + patch.shape[1], dtype=np.float32)[None] - np.float32(centre[1])
            np.minimum(patch, np.sqrt(rows * rows + columns * columns) / np.float32(size), out=patch)
            heading += generator.normal(0, 0.45)
            step = np.array([math.sin(heading), math.cos(heading)])
            centre = np.clip(centre + 1.3 * size * step, 0, side - 1)
    return time * np.exp(0.22 * noise(generator, side, (side // 12, side // 12), 2)) + 0.35 * shape.veins


def _spread(generator: np.random.Generator, shape: _Shape, kind: int) -> Field:
    """Time of infection by what has no spots: mildew blotches anywhere, or decay from the margin inwards."""
    side = len(shape.depth)
    patchy = noise(generator, side, (4, 4), 4)
    if kind == MILDEW:
        return np.asarray(patchy - (patchy.min() - 0.01))
    inward = np.clip(shape.depth, 0, None) / max(float(shape.depth.max()), 1e-3)
    slope = generator.uniform(0.6, 2.0) * (1 if generator.random() < 0.5 else -1)
    time = generator.uniform(0.8, 2.2) * inward + slope * shape.along + 0.22 * patchy + 0.2 * shape.veins
    return np.asarray(time - (time.min() - 0.01))


def _infect(generator: np.random.Generator, leaf: Picture, shape: _Shape, count: int) -> tuple[Picture, Mask]:
    """The leaf with exactly `count` damaged pixels, of one or two kinds of lesion."""
    blade = shape.depth > 0
    parts = [1.0] if generator.random() < 0.65 else [0.7, 0.3]
    times, chosen = [], generator.choice(len(LESIONS), len(parts), replace=False).tolist()
    for kind, part in zip(chosen, parts, strict=True):
        spots, area = LESIONS[kind][-1], max(part * count, 1.0)
        if spots == (0, 0):
            time = _spread(generator, shape, kind)
        else:
            number, trail = int(generator.integers(*spots)), 24 if kind == MINER else 1
            number = max(1, min(number, int(area / (8 * trail)) + 1))
            time = _spots(generator, shape, number, math.sqrt(area / (math.pi * number * trail)) + 0.3, trail)
        ill = min(int(area), int(blade.sum()) - 1)
        times.append(time / np.partition(time[blade], ill)[ill])
    time = np.asarray(np.minimum.reduce(times))
    inside = np.flatnonzero(blade)
    order = np.argpartition(time.ravel()[inside], count - 1)[:count]
    lesions: Mask = np.zeros(blade.shape, bool)
    lesions.ravel()[inside[order]] = True
    time = time / time[lesions].max()
    owner = np.argmin(times, axis=0)
    soft = _blurred(lesions.astype(np.float32), 0.7)
    for place, kind in enumerate(chosen):
        leaf = _stain(generator, leaf, kind, time, soft, owner == place)
    return leaf, lesions


def _stain(
    generator: np.random.Generator, leaf: Picture, kind: int, time: Field, soft: Field, mine: Mask
) -> Picture:
    """Colour one kind of lesion: halo outside, then from its centre (time 0) to its edge (time 1)."""
    side, (inner, outer, yellow, rings, _) = len(time), LESIONS[kind]
    halo = np.exp(-np.clip(time - 1, 0, None) * 5) * (1 - soft) * mine * yellow * generator.uniform(0.4, 1)
    leaf = mix(leaf, shade((206, 182, 54), generator), halo)
    ring = np.clip(time, 0, 1) ** generator.uniform(1.0, 3.0)
    if rings:
        ring = np.clip(ring + rings * 0.3 * np.cos(time * generator.uniform(12, 20)), 0, 1)
    centre, edge = shade(inner, generator), shade(outer, generator)
    colour = mix(np.broadcast_to(centre, leaf.shape), edge, ring)
    colour = colour * (1 + 0.09 * noise(generator, side, (side // 8, side // 8), 2))[..., None]
    return mix(leaf, colour, soft * mine * generator.uniform(0.86, 1.0))


def _light(generator: np.random.Generator, leaf: Picture, shape: _Shape, lesions: Mask) -> Picture:
    """Relief lit from one side, gloss, the shadows of other leaves, and drops of dew."""
    side = len(shape.depth)
    height = 0.010 * shape.puff - 0.02 * shape.veins + 0.03 * noise(generator, side, (3, 3), 2)
    height = height + 0.25 * np.sqrt(np.clip(shape.depth, 0, None))
    height = height - 0.012 * _blurred(lesions.astype(np.float32), 1.5)
    down, right = np.gradient(height.astype(np.float32), 2 / side)
    turn = generator.uniform(0, 2 * np.pi)
    slope = np.clip(right * math.cos(turn) + down * math.sin(turn), -1.2, 1.2)
    leaf = leaf * (1 + generator.uniform(0.15, 0.4) * slope)[..., None]
    gloss = np.exp(-(((slope - generator.uniform(0.25, 0.6)) / 0.16) ** 2)) * ~lesions
    leaf = leaf + (generator.uniform(0, 46) * gloss)[..., None]
    if generator.random() < 0.3:
        shadow = np.clip(noise(generator, side, (3, 3), 2) * 3 - 1, 0, 1)
        leaf = leaf * (1 - generator.uniform(0.25, 0.5) * shadow)[..., None]
    if generator.random() < 0.3:
        number = int(generator.integers(4, 16))
        time = _spots(generator, shape, number, generator.uniform(0.9, 1.8) * side / 192, 1)
        dark = leaf * np.where(time < 2, np.float32(0.75), 1)[..., None]
        leaf = mix(dark, np.full(3, 236.0, np.float32), np.clip(1.6 - time, 0, 1) * 0.8)
    return leaf


def _compose(generator: np.random.Generator, ground: Picture, leaf: Picture, shape: _Shape) -> Picture:
    """Leaf and petiole over their own shadow."""
    side = len(shape.depth)
    cover = np.maximum(np.clip(shape.depth * side / 2 + 0.5, 0, 1), shape.stalk)
    away = generator.integers(-5, 6, 2) * side // 128
    shadow = np.roll(cover, tuple(away.tolist()), (0, 1))
    shadow = _blurred(shadow, generator.uniform(1.5, 4.0) * side / 192)
    ground = ground * (1 - generator.uniform(0.25, 0.6) * shadow)[..., None]
    petiole = mix(leaf, leaf * 0.6 + np.array([70, 72, 34], np.float32), shape.stalk * (shape.depth < 0))
    return mix(ground, petiole, cover)


def _blurred(field: Field, sigma: float) -> Field:
    """A Gaussian blur, sigma in pixels."""
    # its import takes a quarter of a second: only who draws leaves should wait for it
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(field, sigma))
