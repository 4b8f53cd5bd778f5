"""What surrounds a generated leaf: grounds to lie on, and the camera that looks at it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFilter

Field = Float[np.ndarray, "height width"]
Picture = Float[np.ndarray, "height width 3"]
Colour = tuple[int, int, int]


def noise(generator: np.random.Generator, side: int, cells: tuple[int, int], octaves: int = 3) -> Field:
    """Smooth noise of about unit variance: random grids, ever finer, enlarged and added."""
    total: Field = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        rows, columns = (min(count << octave, side) for count in cells)
        grid = Image.fromarray(generator.standard_normal((rows, columns), dtype=np.float32))
        total += np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC)) * 0.6**octave
    return total


def mix(first: Picture, second: Picture | np.ndarray, weight: Field) -> Picture:
    """`first` where the weight is 0, `second` where it is 1."""
    return np.asarray(first + (second - first) * weight[..., None])


def shade(colour: Colour | np.ndarray, generator: np.random.Generator, spread: float = 12.0) -> np.ndarray:
    """A colour a little lighter or darker, redder or bluer."""
    tint = generator.normal(0, spread) + generator.normal(0, spread / 2, 3)
    return (np.asarray(colour) + tint).astype(np.float32)


def background(generator: np.random.Generator, side: int) -> Picture:
    """Soil, gravel, a wooden table, grass, a layer of fallen leaves, paper, or cloth."""
    kind = generator.integers(6)
    if kind == 1:
        return _table(generator, side)
    if kind in (2, 3):
        return _strewn(generator, side, grass=bool(kind == 2))
    fine = noise(generator, side, (side // 8, side // 8), 2)
    coarse = noise(generator, side, (4, 4), 2)
    if kind == 0:
        base = shade(((92, 66, 46), (128, 104, 80), (132, 130, 126))[generator.integers(3)], generator)
        light = 1 + 0.14 * noise(generator, side, (side // 3, side // 3), 1) + 0.1 * fine + 0.05 * coarse
    elif kind == 4:
        base, light = shade((198, 196, 190), generator, 10.0), 1 + 0.012 * fine + 0.03 * coarse
    else:
        base = shade(generator.uniform(45, 200) + generator.normal(0, 18, 3), generator)
        light = 1 + 0.05 * fine + 0.08 * (np.indices((side, side)).sum(0) % 4 < 2).astype(np.float32)
    return np.asarray(base * light[..., None])


def _table(generator: np.random.Generator, side: int) -> Picture:
    """Planks with grain that runs along them."""
    base = shade(((150, 104, 64), (96, 66, 46), (188, 158, 120))[generator.integers(3)], generator)
    grain = 0.1 * noise(generator, side, (side // 6, 2), 3) + 0.03 * noise(generator, side, (side // 2, 4), 1)
    planks = int(generator.integers(2, 5))
    place = np.linspace(0, planks, side, endpoint=False) + generator.uniform(0, 1)
    tint = generator.normal(1, 0.08, planks + 1).astype(np.float32)[place.astype(int)]
    tint = tint * np.where(place % 1 < 0.025, np.float32(0.45), np.float32(1))
    light = (1 + grain) * tint[:, None]
    return np.asarray(base * (light if generator.random() < 0.5 else light.T)[..., None])


def _strewn(generator: np.random.Generator, side: int, *, grass: bool) -> Picture:
    """Blades of grass, or fallen leaves in the colours of damage."""
    canvas = Image.new("RGB", (side, side), (34, 44, 22) if grass else (58, 44, 32))
    draw = ImageDraw.Draw(canvas)
    greens = ((66, 104, 38), (104, 138, 56), (44, 80, 32), (150, 160, 90))
    browns = ((122, 80, 44), (96, 60, 36), (164, 122, 70), (186, 140, 60), (84, 70, 44), (88, 104, 52))
    for _ in range(130 if grass else 55):
        colour = shade((greens if grass else browns)[generator.integers(4 if grass else 6)], generator)
        fill = tuple(colour.clip(0, 255).astype(int).tolist())
        x, y = generator.uniform(-0.1, 1.1, 2) * side
        turn = generator.normal(-np.pi / 2, 0.45) if grass else generator.uniform(0, 2 * np.pi)
        reach = side * generator.uniform(0.15, 0.4)
        width = side * (0.008 if grass else generator.uniform(0.03, 0.08))
        t = np.linspace(0, 1, 9)
        half = width * np.sin(np.pi * t**0.8) + 0.3
        bend = generator.uniform(-0.5, 0.5) * reach * t * t
        u, v = np.concatenate([t, t[::-1]]) * reach, np.concatenate([bend + half, (bend - half)[::-1]])
        across, down = u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)
        points = np.stack([x + across, y + down], 1)
        draw.polygon([tuple(point) for point in points.tolist()], fill=fill)
        if not grass:
            rib = tuple((colour * 0.75).clip(0, 255).astype(int).tolist())
            draw.line([tuple(p) for p in ((points[:9] + points[:8:-1]) / 2).tolist()], fill=rib)
    texture = 1 + 0.08 * noise(generator, side, (side // 8, side // 8), 2)
    return np.asarray(canvas, np.float32) * texture[..., None]


def photograph(generator: np.random.Generator, scene: Picture, pixels: int) -> Image.Image:
    """Uneven light, white balance, exposure, focus and sensor noise."""
    axis = np.linspace(-1, 1, len(scene), dtype=np.float32)
    turn, strength = generator.uniform(0, 2 * np.pi), generator.uniform(0, 0.28)
    gradient = 1 + strength * (axis[None] * math.cos(turn) + axis[:, None] * math.sin(turn))
    cast = generator.uniform(0.78, 1.18) * generator.normal(1, 0.03, 3)
    scene = scene * gradient[..., None].astype(np.float32) * cast.astype(np.float32)
    image = Image.fromarray(scene.clip(0, 255).astype(np.uint8))
    image = image.resize((pixels, pixels), Image.Resampling.LANCZOS)
    image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.7) * pixels / 128))
    grain = generator.standard_normal((pixels, pixels, 3), dtype=np.float32) * generator.uniform(1, 6)
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
