"""Draw leaf photographs from nothing but a seeded generator, with the masks of blade and damage.

A leaf is a set of fields over a square canvas (how deep inside the blade, how far along it, where
the veins are), and lesions are one field more: the time at which a pixel falls ill. Damage of a
given share is then all pixels that fall ill first, which makes the share exact whatever the lesions
look like.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator
from PIL import Image, ImageColor, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

Field = Float[np.ndarray, "height width"]
Picture = Float[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]


class Leaf(NamedTuple):
    """A drawn leaf with its ground truth: the image, the blade, and its damaged part."""

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


# Colour at the centre and at the edge, strength of the yellow halo, largest number of spots (0:
# from the margin).
LESIONS = (
    ("#b05416", "#d68a28", 0.75, 50),  # rust
    ("#bca886", "#4a2818", 0.55, 9),  # ring spot
    ("#221c18", "#3a2e1e", 0.25, 24),  # tar spot
    ("#d0d2ca", "#acb89e", 0.0, 5),  # mildew
    ("#462c1c", "#7c4e28", 0.6, 0),  # blight
    ("#b08c5c", "#6e4224", 0.35, 0),  # scorch
)
# Soil, clay, moss, stone, paper, and what falls on them: neither green nor brown betrays the leaf
# or its damage.
GROUNDS = ("#543c2a", "#9e643c", "#506236", "#7c7c7a", "#c6c4be")
FALLEN = ("#7a502c", "#603c24", "#a47a46", "#ba8c3c", "#54462c", "#586834")


def paint_leaf(generator: Generator, low: float, high: float, *, pixels: int = 128) -> Leaf:
    """Draw one leaf with a share of damage in [low, high).

    Lesions grow until they cover a share drawn uniformly from the bin; it is counted in pixels of
    the blade, after clipping to the blade, at the resolution of the drawing (4/3 of `pixels`). The
    share decides nothing else: the same seed with more damage is the same leaf, later.

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
    shape = _shape(generator, pixels * 4 // 3)
    blade = shape.depth > 0
    leaf = _healthy(generator, shape)
    lesions = np.zeros_like(blade)
    share = generator.uniform(low, high)

    # the rest of the drawing does not depend on how much the lesions draw
    for_lesions, for_scene = generator.spawn(2)
    if low > 0:
        area = int(blade.sum())
        fewest = math.ceil(low * area)
        most = max(math.ceil(high * area) - 1, 1)  # a bin may be narrower than one pixel
        count = int(np.clip(round(share * area), fewest, most))
        leaf, lesions = _infect(for_lesions, leaf, shape, count)

    scene = _lay(for_scene, leaf, shape, lesions)
    return Leaf(_photograph(for_scene, scene, pixels), blade, lesions)


def _noise(generator: Generator, side: int, cells: int, octaves: int = 2) -> Field:
    """Return smooth noise of about unit variance: random grids, ever finer, enlarged and added."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        count = min(cells << octave, side)
        grid = Image.fromarray(generator.standard_normal((count, count), dtype=np.float32))
        total += np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC)) * 0.6**octave
    return total


def _turn(generator: Generator) -> complex:
    """Return a random direction, as a complex number of length 1."""
    return np.exp(1j * generator.uniform(0, 2 * np.pi))


def _mix(first: np.ndarray, second: np.ndarray, weight: Field) -> Picture:
    """Return `first` where the weight is 0, `second` where it is 1."""
    return first + (second - first) * weight[..., None].astype(np.float32)


def _rgb(colour: str) -> np.ndarray:
    """Return the three numbers of a colour, such as "#1a3e1c"."""
    return np.array(ImageColor.getrgb(colour))


def _shade(colour: str | np.ndarray, generator: Generator, spread: float = 12.0) -> np.ndarray:
    """Return a colour a little lighter or darker, redder or bluer."""
    tint = generator.normal(0, spread) + generator.normal(0, spread / 2, 3)
    if isinstance(colour, str):
        colour = _rgb(colour)
    return (colour + tint).clip(0, 255).astype(np.float32)


def _shape(generator: Generator, side: int) -> _Shape:
    """Return a leaf from willow to linden, turned, bent, scaled and placed at random."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    length = generator.uniform(1.5, 2.0)
    place = axis + 1j * axis[:, None] - complex(*generator.uniform(-0.1, 0.1, 2))
    place = place * np.complex64(_turn(generator) / length)
    along = place.real + 0.5
    across = place.imag + generator.uniform(-0.45, 0.45) * (along * (1 - along) - 0.15)
    out = np.abs(across)

    half = _half_width(generator, along, across)
    depth = np.minimum(half - out, np.minimum(along, 1 - along) + 0.004) * length
    veins, puff = _veins(generator, along, across)

    stalk = np.clip((0.012 * (1 - along) - out) * side + 0.5, 0, 1)
    stalk = stalk * ((along < 0.02) & (along > -generator.uniform(0.1, 0.3)))
    return _Shape(depth, along, veins, puff, stalk)


def _half_width(generator: Generator, along: Field, across: Field) -> Field:
    """Return how far the blade reaches from its midrib; the margin is plain, toothed or lobed."""
    t = along.clip(0, 1)
    # the outline t^a (1 - t)^b, widest at a / (a + b); each margin has teeth and lobes of its own
    a = generator.uniform(0.35, 0.9)
    b = generator.uniform(0.45, 0.95)
    half = generator.uniform(0.11, 0.35) * (t * (a + b) / a) ** a * ((1 - t) * (a + b) / b) ** b
    margin_phase = generator.uniform(0, 2 * np.pi)
    other_margin = np.float32(generator.uniform(0, 2 * np.pi))
    phase = margin_phase + (across > 0) * other_margin
    half = half * (1 + np.float32(generator.choice([0, 0.06])) * ((phase - 34 * t) % 1))
    lobes = 0.5 - 0.5 * np.cos(2 * np.pi * int(generator.integers(4, 7)) * t + 0.4 * phase)
    return half * (1 - np.float32(generator.choice([0, 0.42], p=[0.8, 0.2])) * lobes**1.5)


def _veins(generator: Generator, along: Field, across: Field) -> tuple[Field, Field]:
    """Return the midrib with side veins, and the height of the blade between them."""
    out = np.abs(across)

    # side veins bend towards the tip
    count = int(generator.integers(5, 11))
    beat = (along - 0.75 * out + 0.5 * out * out) * count + np.float32(0.5) * (across > 0)
    gap = np.abs(beat - np.round(beat)) / count
    veins = np.exp(-((gap / 0.008) ** 2)) * (1 - out * 2.6).clip(0.15, 1) * 0.75 * (along > 0)
    midrib = np.exp(-((out / (0.011 * (1.25 - along).clip(0.3, 1.25))) ** 2))
    return np.maximum(veins, midrib), np.cos(2 * np.pi * beat)


def _ground(generator: Generator, side: int) -> Picture:
    """Return a plain ground; on every other one fallen leaves in the colours of damage."""
    plain = _shade(generator.choice(GROUNDS), generator, 15.0)
    canvas = Image.new("RGB", (side, side), tuple(plain.astype(int)))
    draw = ImageDraw.Draw(canvas)

    t = np.linspace(0, 1, 9)
    for _ in range(generator.choice([0, 50])):
        colour = _shade(generator.choice(FALLEN), generator).astype(int)

        rib = t + 1j * generator.uniform(-0.5, 0.5) * t * t
        half = 1j * generator.uniform(0.1, 0.25) * np.sin(np.pi * t**0.8)

        turned = generator.uniform(0.15, 0.4) * _turn(generator)
        corner = complex(*generator.uniform(-0.1, 1.1, 2))
        outline = (corner + turned * np.concatenate([rib + half, (rib - half)[::-1]])) * side
        draw.polygon(outline.view(float).tolist(), fill=tuple(colour))
        middle = (corner + turned * rib) * side
        draw.line(middle.view(float).tolist(), tuple(colour * 3 // 4))

    light = 1 + generator.uniform(0.01, 0.15) * _noise(generator, side, side // 3, 1)
    light += generator.uniform(0.02, 0.1) * _noise(generator, side, side // 8)
    return np.asarray(canvas, np.float32) * light[..., None]


def _healthy(generator: Generator, shape: _Shape) -> Picture:
    """Return a blade without damage: green, seldom copper, mottled, in many cases yellowing."""
    side = len(shape.depth)
    dark = _rgb("#1a3e1c")
    hue = dark + (_rgb("#80a43e") - dark) * generator.beta(1.6, 1.8)
    if generator.random() < 0.12:
        hue = _rgb("#60262c")  # copper
    base = _shade(hue, generator, 8.0)

    leaf = base * (1 + 0.07 * _noise(generator, side, 5, 4))[..., None]
    rib = base * 0.45 + _shade("#c4ce8c", generator) * 0.55
    leaf = _mix(leaf, rib, shape.veins * generator.uniform(0.35, 0.85))

    # Age or hunger is no damage: smooth, without an edge, and greener along the veins.
    old = _noise(generator, side, 2) * 0.5 + generator.choice([-1.2, 1.2]) * (shape.along - 0.5)
    old = np.clip(old + generator.uniform(-0.2, 0.5), 0, 1) * (1 - 0.6 * shape.veins)
    return _mix(leaf, _shade("#ccba42", generator), old * max(generator.uniform(-0.6, 0.8), 0))


def _infect(generator: Generator, leaf: Picture, shape: _Shape, count: int) -> tuple[Picture, Mask]:
    """Return the leaf with `count` damaged pixels: spots, or decay from the margin inwards."""
    inner, outer, yellow, max_spots = LESIONS[generator.integers(len(LESIONS))]
    side = len(leaf)
    blade = shape.depth > 0
    patchy = _noise(generator, side, 4, 4)

    if max_spots:
        number = int(generator.integers(max_spots // 4, max_spots + 1))
        homes = generator.choice(np.argwhere(blade), number)
        sizes = generator.normal(0, 0.35, number)
        few = count // 8 + 1  # a spot is seen from eight pixels on
        rows, columns = np.ogrid[:side, :side]
        time = np.full(blade.shape, np.inf)
        for (row, column), size in zip(homes[:few], np.exp(sizes), strict=False):
            time = np.minimum(time, ((rows - row) ** 2 + (columns - column) ** 2) / size**2)
        time = np.sqrt(time + 0.1) * np.exp(0.25 * patchy) * (1 + 0.3 * shape.veins)
    else:
        inward = generator.uniform(0.8, 2.2) * shape.depth / shape.depth.max()
        time = inward + generator.uniform(-2, 2) * shape.along + 0.22 * patchy + 0.1 * shape.veins
        time -= time[blade].min() - 0.01

    # whatever falls ill before time 1 is damaged: exactly `count` pixels
    time /= np.partition(time[blade], count - 1)[count - 1]
    lesions = blade & (time <= 1)
    soft = gaussian_filter(lesions, 0.7, output=np.float32)

    halo = np.exp(-5 * (time - 1).clip(0)) * (1 - soft) * yellow * generator.uniform(0.4, 1)
    leaf = _mix(leaf, _shade("#ceb636", generator), halo)

    ring = time.clip(0, 1) ** generator.uniform(1, 3)
    ring += generator.uniform(0, 0.25) * np.cos(time * generator.uniform(12, 20))
    colour = _mix(_shade(inner, generator), _shade(outer, generator), ring.clip(0, 1))
    colour = colour * (1 + 0.09 * _noise(generator, side, side // 8))[..., None]
    return _mix(leaf, colour, soft * generator.uniform(0.86, 1.0)), lesions


def _lay(generator: Generator, leaf: Picture, shape: _Shape, lesions: Mask) -> Picture:
    """Return the leaf on a ground: relief lit from one side, gloss, shadows on and under it."""
    side = len(leaf)

    # the blade bulges towards its middle, and lesions are sunken
    height = 0.25 * np.sqrt(shape.depth.clip(0)) - 0.012 * gaussian_filter(
        lesions, 1.5, output=np.float32
    )
    # between the sunken veins it puffs up, and it is uneven everywhere
    height += 0.01 * shape.puff - 0.02 * shape.veins + 0.03 * _noise(generator, side, 3)
    # the slope along each axis; the picture is 2 units wide
    down, right = np.gradient(height, 2 / side)
    # the slope towards the light, which comes from a random side, without the steepest edges
    slope = ((right + 1j * down) * _turn(generator)).real.clip(-1.2, 1.2)

    gloss = np.exp(-(((slope - generator.uniform(0.25, 0.6)) / 0.16) ** 2))
    gloss = generator.uniform(0, 46) * gloss * ~lesions
    leaf = leaf * (1 + generator.uniform(0.15, 0.4) * slope)[..., None] + gloss[..., None]

    shade = np.clip(_noise(generator, side, 3) * 3 - 1, 0, 1) * max(generator.uniform(-1, 0.5), 0)
    leaf = leaf * (1 - shade)[..., None]

    alpha = np.maximum(np.clip(shape.depth * side / 2 + 0.5, 0, 1), shape.stalk)
    offset = generator.integers(-5, 6, 2) * side // 128
    blur = generator.uniform(1.5, 4.0) * side / 192
    cast_shadow = gaussian_filter(np.roll(alpha, offset, (0, 1)), blur)
    ground = _ground(generator, side) * (1 - generator.uniform(0.25, 0.6) * cast_shadow)[..., None]
    return _mix(ground, leaf, alpha)


def _photograph(generator: Generator, scene: Picture, pixels: int) -> Image.Image:
    """Return a photograph: uneven light, white balance, exposure, focus and sensor noise."""
    axis = np.linspace(-1, 1, len(scene)) * generator.uniform(0, 0.28)
    slant = (axis + 1j * axis[:, None]) * _turn(generator)
    cast = generator.uniform(0.78, 1.18) * generator.normal(1, 0.04, 3)
    scene = scene * (1 + slant.real[..., None]).astype(np.float32) * cast.astype(np.float32)

    image = Image.fromarray(scene.clip(0, 255).astype(np.uint8))
    image = image.resize((pixels, pixels), Image.Resampling.LANCZOS)
    image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.7) * pixels / 128))

    grain = generator.standard_normal((pixels, pixels, 3), dtype=np.float32)
    grain *= generator.uniform(1, 6)
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
