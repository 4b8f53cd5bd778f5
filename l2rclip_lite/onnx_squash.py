"""Pillow's bicubic squash as an ONNX graph, the same bytes for every picture.

ONNX has an antialiased bicubic `Resize`, made after Pillow's. But onnxruntime places its filter in single precision: a few
bytes in a picture come out one higher or lower, and an unsure probability moves by more than 1e-4. So the graph does what
Pillow does: weights in double precision, rounded to 22 binary places, and whole numbers from there on.
"""

from __future__ import annotations

from typing import Any

import PIL
from packaging.version import Version

IR_VERSION, OPSET = 10, 18
# Pillow rounds to bytes after each of its two passes, so their order matters. From 13 on the height comes first where it
# shrinks by more than twice as many pixels as the width; before, never.
HEIGHT_FIRST = Version(PIL.__version__) >= Version("13")
PASS = """
<domain: "l2rclip", opset_import: ["" : {opset}]>
rows (x, side) => (y) {{
    zero = Constant <value = double[1] {{0.0}}> ()
    half = Constant <value = double[1] {{0.5}}> ()
    one = Constant <value = double[1] {{1.0}}> ()
    two = Constant <value = double[1] {{2.0}}> ()

    height = Shape <start = 2, end = 3> (x)
    before = Cast <to = 11> (height)
    after = Cast <to = 11> (side)
    step = Div (before, after)
    stretch = Max (step, one)
    squeeze = Div (one, stretch)
    reach = Mul (two, stretch)

    first = Constant <value = int64 {{0}}> ()
    next = Constant <value = int64 {{1}}> ()
    second_axis = Constant <value = int64[1] {{1}}> ()
    last = Squeeze (side)
    places = Range (first, last, next)
    placed = Cast <to = 11> (places)
    middles = Add (placed, half)
    flat_centre = Mul (middles, step)
    centre = Unsqueeze (flat_centre, second_axis)
    lower = Sub (centre, reach)
    lower_rounded = Add (lower, half)
    lowest = Floor (lower_rounded)
    low = Max (lowest, zero)
    upper = Add (centre, reach)
    upper_rounded = Add (upper, half)
    high = Floor (upper_rounded)

    whole_reach = Ceil (reach)
    both_sides = Mul (whole_reach, two)
    width = Add (both_sides, one)
    wide = Cast <to = 7> (width)
    taps = Squeeze (wide)
    tap_numbers = Range (first, taps, next)
    tap = Cast <to = 11> (tap_numbers)
    at = Add (low, tap)
    end = Sub (before, one)
    inside_at = Min (at, end)
    source = Cast <to = 7> (inside_at)

    from_centre = Sub (at, centre)
    shifted = Add (from_centre, half)
    scaled = Mul (shifted, squeeze)
    r = Abs (scaled)
    c15 = Constant <value = double[1] {{1.5}}> ()
    c25 = Constant <value = double[1] {{2.5}}> ()
    c4 = Constant <value = double[1] {{4.0}}> ()
    c5 = Constant <value = double[1] {{5.0}}> ()
    c8 = Constant <value = double[1] {{8.0}}> ()
    near1 = Mul (c15, r)
    near2 = Sub (near1, c25)
    near3 = Mul (near2, r)
    near4 = Mul (near3, r)
    near = Add (near4, one)
    far1 = Sub (r, c5)
    far2 = Mul (far1, r)
    far3 = Add (far2, c8)
    far4 = Mul (far3, r)
    far5 = Sub (c4, far4)
    far = Mul (far5, half)
    is_far = Less (r, two)
    outer = Where (is_far, far, zero)
    is_near = Less (r, one)
    cubic = Where (is_near, near, outer)
    below = Less (at, high)
    within = Less (at, before)
    used = And (below, within)
    raw = Where (used, cubic, zero)
    total = ReduceSum <keepdims = 1> (raw, second_axis)
    share = Div (raw, total)
    places22 = Constant <value = double[1] {{4194304.0}}> ()
    large = Mul (share, places22)
    negative = Less (large, zero)
    down = Sub (large, half)
    up = Add (large, half)
    rounded = Where (negative, down, up)
    weights = Cast <to = 6> (rounded)

    front = Shape <start = 0, end = 2> (x)
    back = Shape <start = 3, end = 4> (x)
    shape = Concat <axis = 0> (front, side, back)
    start = Constant <value = int32[1] {{2097152}}> ()
    nothing = Expand (start, shape)
    going = Constant <value = bool {{1}}> ()
    sum = Loop (taps, going, nothing) <body = add_a_tap
        (int64 t, bool on, int32[b, c, s, w] so_far) => (bool still, int32[b, c, s, w] more) {{
        still = Identity (on)
        row = Gather <axis = 1> (source, t)
        weight = Gather <axis = 1> (weights, t)
        column = Unsqueeze (weight, second_axis)
        bytes = Gather <axis = 2> (x, row)
        values = Cast <to = 6> (bytes)
        part = Mul (values, column)
        more = Add (so_far, part)
    }}>
    black = Constant <value = int32 {{0}}> ()
    white = Constant <value = int32 {{1069547520}}> ()
    unit = Constant <value = int32[1] {{4194304}}> ()
    clipped = Clip (sum, black, white)
    level = Div (clipped, unit)
    y = Cast <to = 2> (level)
}}
<domain: "l2rclip", opset_import: ["" : {opset}, "l2rclip" : 1]>
columns (x, side) => (y) {{
    turned = Transpose <perm = [0, 1, 3, 2]> (x)
    done = l2rclip.rows (turned, side)
    y = Transpose <perm = [0, 1, 3, 2]> (done)
}}
"""
SQUASH = """
<ir_version: {ir}, opset_import: ["" : {opset}, "l2rclip" : 1]>
squash (uint8[batch, 3, height, width] pixels) => (uint8[batch, 3, {size}, {size}] squashed)
<int64[1] side = {{{size}}}, int64[1] least = {{{least}}}> {{
    rows = Shape <start = 2, end = 3> (pixels)
    columns = Shape <start = 3, end = 4> (pixels)
    lost_rows = Sub (rows, side)
    lost_columns = Sub (columns, side)
    twice = Add (lost_columns, lost_columns)
    limit = Max (twice, least)
    compared = Greater (lost_rows, limit)
    tall = Squeeze (compared)
    squashed = If (tall) <
        then_branch = height_first () => (uint8[batch, 3, {size}, {size}] y) {{
            low = l2rclip.rows (pixels, side)
            y = l2rclip.columns (low, side)
        }},
        else_branch = width_first () => (uint8[batch, 3, {size}, {size}] z) {{
            thin = l2rclip.columns (pixels, side)
            z = l2rclip.rows (thin, side)
        }}>
}}
"""


def squash_graph(size: int) -> Any:
    """The ONNX model `pixels` (bytes [batch, 3, height, width]) to `squashed` (bytes [batch, 3, size, size]).

    It gives the bytes of `Towers.squash` for the Pillow that is installed.

    Args:
        size: The side of the square, pixels.
    """
    from onnx import parser

    least = 0 if HEIGHT_FIRST else 2**62
    text = SQUASH.format(ir=IR_VERSION, opset=OPSET, size=size, least=least) + PASS.format(opset=OPSET)
    return parser.parse_model(text)
