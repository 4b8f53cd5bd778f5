"""Make the data of the page `book/playground.md` and its figure for readers without JavaScript.

    python tools/playground_data.py

`book/_static/playground/words.json` holds, for every rank set and template of
`playground_sets.toml`, the cosines between the sentences in the `mini` text tower (upper triangle,
row by row, in units of 1e-6) and their scores by `l2rclip_book.statistics.ordinality`: raw, and
centred as the package uses them. From the cosines alone the page finds the centred ones, the
principal components and the scores of any other order.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_book.loss_figures import along_circle, circle, on_circle
from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.statistics import ordinality
from l2rclip_lite import Ranks, load_towers
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.files import write_atomically, write_text
from l2rclip_lite.method.losses import ordinal_pairwise_loss
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import cyclic_permutation
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.mini import TEXT_FILES

FOLDER = Path(__file__).resolve().parent.parent / "book" / "_static" / "playground"
UNIT = 1e-6  # of a stored cosine
SETS = tomllib.loads(Path(__file__).with_name("playground_sets.toml").read_text(encoding="utf-8"))
# The figure: five texts, own rank 1, the ordinal pairwise loss with the true weights, the image to
# the right; angles are in degrees from the top.
ANGLES = (-80.0, -40.0, 0.0, 40.0, 80.0)
OWN = 1
IMAGE = 20.0
PULL = COLOURS["stage 1"]
PUSH = COLOURS["stage 2"]
INK = COLOURS["ink"]


def scores(features: Float[Tensor, "rank dim"]) -> dict[str, float]:
    """Return the scores of `ordinality`, rounded."""
    return {name: round(value, 6) for name, value in ordinality(features).items()}


def rank_set(towers: Towers, key: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return one rank set of the page: names, a shuffled order, and a part for each template.

    Args:
        towers: `load_towers("mini")`.
        key: Its name in the page's address.
        chosen: Its table in `playground_sets.toml`.
    """
    names, template_of_data = _names_and_template(chosen)
    templates = []
    for template in (*chosen["templates"], "{rank}"):
        if template == "{data}":
            template = template_of_data
        templates.append(template_part(towers, names, template))
    return {
        "key": key,
        "title": chosen["title"],
        "remark": chosen["remark"],
        "names": names,
        "shuffled": cyclic_permutation(len(names)).tolist(),
        "templates": templates,
    }


def _names_and_template(chosen: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the names of a rank set, and the template of its data set where it is of one."""
    if "data" not in chosen:
        return chosen["names"], ""

    ranks = DATA_SETS[chosen["data"]].ranks
    if chosen.get("digits"):
        return [f"{value:.0f}" for value in ranks.values], ranks.template
    return list(ranks.names), ranks.template


def template_part(towers: Towers, names: Sequence[str], template: str) -> dict[str, Any]:
    """Return cosines and scores of the sentences of one template."""
    sentences = Ranks(tuple(names), tuple(range(len(names))), template).sentences
    with torch.inference_mode():
        features = torch.nn.functional.normalize(towers.encode_text(sentences).double(), dim=1)

    row, column = np.triu_indices(len(names), 1)
    cosines = (features @ features.T)[row, column]
    return {
        "template": template,
        "raw": scores(features),
        "centred": scores(centred(features)),
        "cosines": (cosines / UNIT).round().long().tolist(),
    }


def words(towers: Towers) -> str:
    """Return the data as JSON, one line per rank set and per template, so that a change reads."""
    content = {
        "towers": "mini",
        "text_tower_sha256": TEXT_FILES["model.safetensors"],
        "unit": UNIT,
        "sets": [rank_set(towers, key, chosen) for key, chosen in SETS.items()],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.replace('{"key"', '\n{"key"').replace('{"template"', '\n{"template"') + "\n"


def preview() -> Figure:
    """Draw the first view of the page: an image among texts, and its loss over its angle."""
    with style():
        figure = Figure(figsize=(4.6, 6.0), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(1.25, 1))
        _draw_texts(above)
        _draw_losses(below)
    return figure


def _draw_texts(axis: Axes) -> None:
    """Draw the texts, the image, and who pulls and pushes it."""
    # 0° is at the top
    texts = on_circle(*(90 - angle for angle in ANGLES))
    image = on_circle(90 - IMAGE)[0]
    x, y = image.tolist()
    circle(axis, texts)
    for rank, text in enumerate(texts):
        weight = 1.0 if rank == OWN else abs(rank - OWN) / (len(ANGLES) - 1)
        line = torch.stack([text, image], dim=1)
        colour = PULL if rank == OWN else PUSH
        axis.plot(*line, color=colour, linewidth=0.6 + 2 * weight, alpha=0.75)

    axis.scatter(x, y, s=330, marker="s", color=INK, zorder=5)
    axis.text(x, y, "z", ha="center", va="center", color="white", fontweight="bold", zorder=6)
    axis.text(0, -0.15, f"own rank {OWN} pulls", ha="center", color=PULL)
    axis.text(0, -0.34, "the others push, far ranks most", ha="center", color=PUSH)
    axis.set(xlim=(-1.2, 1.2), ylim=(-0.5, 1.18))


def _draw_losses(axis: Axes) -> None:
    """Draw the loss, its pull and its push over the image's angle."""
    texts = on_circle(*(90 - angle for angle in ANGLES))
    values = torch.arange(len(ANGLES)).double()
    own = torch.tensor([OWN])
    degrees = torch.linspace(-180, 180, 361)
    loss, _ = along_circle(lambda z: ordinal_pairwise_loss(z, texts, own, values), 90 - degrees)
    pull, _ = along_circle(lambda z: (z - texts[OWN]).square().sum(), 90 - degrees)

    axis.plot(degrees, pull, color=PULL, linewidth=1.3, label="pull: tightness")
    axis.plot(degrees, loss - pull, color=PUSH, linewidth=1.3, label="push: diversity, below zero")
    axis.plot(degrees, loss, color=INK, linewidth=2.2, label="loss")
    axis.scatter(IMAGE, loss[int(IMAGE) + 180], s=70, marker="s", color=INK, zorder=5)
    colours = rank_colours(len(ANGLES))
    axis.scatter(ANGLES, [-1.9] * len(ANGLES), color=colours, s=45, clip_on=False, zorder=4)

    axis.set(xlabel="angle of the image (0° is at the top)", ylabel="loss", ylim=(-1.9, 5.6))
    axis.set(xlim=(-180, 180), xticks=range(-180, 181, 90))
    axis.xaxis.set_major_formatter("{x:.0f}°")
    axis.legend(loc="upper left")


def write_preview(file: Path) -> None:
    """Write the figure as SVG, the same bytes each time."""
    metadata = {"Date": None, "Creator": None}
    with style():
        preview().savefig(file, format="svg", metadata=metadata)


def main() -> None:
    """Write both files."""
    write_text(FOLDER / "words.json", words(load_towers("mini")))
    write_atomically(FOLDER / "preview.svg", write_preview)
    for name in ("words.json", "preview.svg"):
        print(f"{FOLDER / name}: {(FOLDER / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
