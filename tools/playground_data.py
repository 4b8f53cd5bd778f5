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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_book.loss_figures import circle
from l2rclip_book.loss_geometry import along_circle, on_circle
from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.statistics import ordinality
from l2rclip_lite import Ranks, load_towers
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.files import write_atomically, write_text
from l2rclip_lite.losses import ordinal_pairwise_loss
from l2rclip_lite.prompts import centred
from l2rclip_lite.ranks import cyclic_permutation
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.mini import TEXT_FILES

FOLDER = Path(__file__).resolve().parent.parent / "book" / "_static" / "playground"
UNIT = 1e-6  # of a stored cosine
SETS = tomllib.loads(Path(__file__).with_name("playground_sets.toml").read_text(encoding="utf-8"))
# The figure: five texts, own rank 1, the ordinal pairwise loss with the true weights, the image to
# the right.
ANGLES = (-80.0, -40.0, 0.0, 40.0, 80.0)
OWN = 1
IMAGE = 20.0


def scores(features: Float[Tensor, "rank dim"]) -> dict[str, float]:
    """`ordinality`, rounded."""
    return {name: round(value, 6) for name, value in ordinality(features).items()}


def rank_set(towers: Towers, key: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the page knows of one rank set: names, a shuffled order, and cosines and scores of each template."""
    names = chosen.get("names")
    template_of_data = ""
    if "data" in chosen:
        ranks = DATA_SETS[chosen["data"]].ranks
        template_of_data = ranks.template
        names = (
            [f"{value:.0f}" for value in ranks.values]
            if chosen.get("digits")
            else list(ranks.names)
        )
    templates = []
    for template in (*chosen["templates"], "{rank}"):
        template = template_of_data if template == "{data}" else template
        with torch.inference_mode():
            sentences = Ranks(tuple(names), tuple(range(len(names))), template).sentences
            features = torch.nn.functional.normalize(towers.encode_text(sentences).double(), dim=1)
        row, column = np.triu_indices(len(names), 1)
        cosines = ((features @ features.T)[row, column] / UNIT).round().long().tolist()
        order = {"raw": scores(features), "centred": scores(centred(features))}
        templates.append({"template": template} | order | {"cosines": cosines})
    return {
        "key": key,
        "title": chosen["title"],
        "remark": chosen["remark"],
        "names": names,
        "shuffled": cyclic_permutation(len(names)).tolist(),
        "templates": templates,
    }


def words(towers: Towers) -> str:
    """The data as JSON with one line per rank set and one per template, so that a change can be read."""
    source = {"towers": "mini", "text_tower_sha256": TEXT_FILES["model.safetensors"], "unit": UNIT}
    value = source | {"sets": [rank_set(towers, key, chosen) for key, chosen in SETS.items()]}
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace('{"key"', '\n{"key"').replace('{"template"', '\n{"template"') + "\n"


def preview() -> Figure:
    """The first view of the page: texts, image and who pulls and pushes it; below, the loss over the image's angle."""
    # 0° is at the top
    texts = on_circle(*(90 - angle for angle in ANGLES))
    image = on_circle(90 - IMAGE)[0]
    values = torch.arange(len(ANGLES)).double()
    own = torch.tensor([OWN])
    degrees = torch.linspace(-180, 180, 361)
    loss, _ = along_circle(lambda z: ordinal_pairwise_loss(z, texts, own, values), 90 - degrees)
    pull, _ = along_circle(lambda z: (z - texts[OWN]).square().sum(), 90 - degrees)
    blue = COLOURS["stage 1"]
    red = COLOURS["stage 2"]
    ink = COLOURS["ink"]
    square = {"marker": "s", "color": ink, "zorder": 5}
    with style():
        figure = Figure(figsize=(4.6, 6.0), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(1.25, 1))
        circle(above, texts)
        for rank, text in enumerate(texts):
            weight = 1.0 if rank == OWN else abs(rank - OWN) / (len(ANGLES) - 1)
            side = blue if rank == OWN else red
            above.plot(
                *torch.stack([text, image], dim=1),
                color=side,
                linewidth=0.6 + 2 * weight,
                alpha=0.75,
            )
        above.scatter(*image, s=330, **square)
        above.text(
            *image, "z", ha="center", va="center", color="white", fontweight="bold", zorder=6
        )
        above.text(0, -0.15, f"own rank {OWN} pulls", ha="center", color=blue)
        above.text(0, -0.34, "the others push, far ranks most", ha="center", color=red)
        above.set(xlim=(-1.2, 1.2), ylim=(-0.5, 1.18))
        below.plot(degrees, pull, color=blue, linewidth=1.3, label="pull: tightness")
        below.plot(
            degrees, loss - pull, color=red, linewidth=1.3, label="push: diversity, below zero"
        )
        below.plot(degrees, loss, color=ink, linewidth=2.2, label="loss")
        below.scatter(IMAGE, loss[int(IMAGE) + 180], s=70, **square)
        colours = rank_colours(len(ANGLES))
        below.scatter(ANGLES, [-1.9] * len(ANGLES), color=colours, s=45, clip_on=False, zorder=4)
        below.set(xlabel="angle of the image (0° is at the top)", ylabel="loss", ylim=(-1.9, 5.6))
        below.set(xlim=(-180, 180), xticks=range(-180, 181, 90))
        below.xaxis.set_major_formatter("{x:.0f}°")
        below.legend(loc="upper left")
    return figure


def main() -> None:
    """Write both files."""
    write_text(FOLDER / "words.json", words(load_towers("mini")))
    with style():
        write_atomically(
            FOLDER / "preview.svg",
            lambda file: preview().savefig(
                file, format="svg", metadata={"Date": None, "Creator": None}
            ),
        )
    for name in ("words.json", "preview.svg"):
        print(f"{FOLDER / name}: {(FOLDER / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
