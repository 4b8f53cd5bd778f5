"""The two stages as a diagram: what trains, what is frozen, and what is computed once."""

from __future__ import annotations

from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from l2rclip_book.plots import COLOURS, style
from l2rclip_book.style import DARK, WIDTH
from l2rclip_lite.config import Config
from l2rclip_lite.method.stages import trains

STAGES = ("stage 1", "stage 2")
LANES = {  # feature: height, what goes in, and parts on the way, each with a place and a parameter
    "t": (
        1.9,
        "sentences",
        {
            "context +\nRankFormer": (1.45, "prompts.context"),
            "text tower": (3.05, "towers.text.x"),
        },
    ),
    "z": (0.0, "images", {"image tower": (2.25, "towers.image.x")}),
}
LOSS = (5.35, 0.95)
FROZEN = "#e4e7eb"
CACHED = "#f0cfa8"


def state_of(parameter: str, stage: str, config: Config) -> str:
    """Return whether a part trains or is frozen, as the freezing table says.

    Example:
        >>> state_of("towers.image.x", "stage 1", Config())
        'frozen'
    """
    return "trains" if trains(parameter, stage, config) else "frozen"


def computed_once(stage: str, config: Config) -> list[str]:
    """Return which features a stage computes once: those behind which nothing trains.

    Example:
        >>> computed_once("stage 1", Config()), computed_once("stage 2", Config())
        (['z'], ['t'])
    """
    once = []
    for feature, (_, _, parts) in LANES.items():
        states = [state_of(parameter, stage, config) for _, parameter in parts.values()]
        if "trains" not in states:
            once.append(feature)
    return once


def stage_diagram(config: Config) -> Figure:
    """Draw both stages side by side, coloured by the freezing table.

    Args:
        config: Of the run.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
        for axis, stage in zip(figure.subplots(1, 2), STAGES, strict=True):
            _draw_stage(axis, stage, config)

        keys = [
            Patch(color=COLOURS["stage 1"], label="trains in stage 1"),
            Patch(color=COLOURS["stage 2"], label="trains in stage 2"),
            Patch(color=FROZEN, label="frozen"),
            Patch(color=CACHED, label="computed once (dashed)"),
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=4)
    return figure


def _draw_stage(axis: Axes, stage: str, config: Config) -> None:
    """Draw the lanes of texts and images, and where they meet."""
    once = computed_once(stage, config)
    loss = _box(axis, "loss", LOSS, "none")
    for feature, (lane, first, parts) in LANES.items():
        stops = [_box(axis, first, (0.0, lane), "none")]
        for name, (across, parameter) in parts.items():
            learns = state_of(parameter, stage, config) == "trains"
            stops.append(_box(axis, name, (across, lane), COLOURS[stage] if learns else FROZEN))

        is_kept = feature in once
        stops.append(_box(axis, feature, (4.35, lane), CACHED if is_kept else "white"))
        for start, end in pairwise(stops):
            _arrow(axis, start, end, dashed=is_kept)
        _arrow(axis, stops[-1], loss, dashed=False)

    axis.set(xlim=(-0.5, 5.7), ylim=(-0.6, 2.4), title=stage.capitalize())
    axis.set_axis_off()


def _box(axis: Axes, name: str, place: tuple[float, float], colour: str) -> Text:
    """Write a name, in a rounded box where it has a colour."""
    ink = DARK
    if colour == "none":
        ink = COLOURS["ink"]
    elif colour in COLOURS.values():
        ink = "white"
    edge = "none" if colour == "none" else COLOURS["ink"]
    box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": edge}
    return axis.text(*place, name, ha="center", va="center", color=ink, bbox=box, zorder=2)


def _arrow(axis: Axes, start: Text, end: Text, *, dashed: bool) -> None:
    """Draw an arrow from one box to the next."""
    look = {
        "arrowstyle": "->",
        "color": COLOURS["ink"],
        "linestyle": "--" if dashed else "-",
        "patchA": start.get_bbox_patch(),
        "patchB": end.get_bbox_patch(),
    }
    axis.annotate("", end.get_position(), start.get_position(), arrowprops=look, zorder=3)
