"""Make what the page `book/playground.md` shows of the `mini` text tower, and its picture for readers without JavaScript.

    python tools/playground_data.py

`book/_static/playground/words.json` holds, for every rank set and template, the cosines between the sentences (upper triangle,
row by row, in units of 1e-6) and what `l2rclip_lite.ordinality` says of them: raw, and centred as the package uses them.
From the cosines alone the page finds the centred ones, the principal components and the scores of any other order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_lite import Ranks, load_towers
from l2rclip_lite.controls import one_cycle
from l2rclip_lite.data import adience, aesthetics, bracol, morph, retinamnist
from l2rclip_lite.files import write_atomically, write_text
from l2rclip_lite.losses import ordinal_pairwise_loss
from l2rclip_lite.mini import TEXT_SHA256
from l2rclip_lite.ordinality import ordinality
from l2rclip_lite.plots import COLOURS, rank_colours, style
from l2rclip_lite.prompts import centred
from l2rclip_lite.towers import Towers

FOLDER = Path(__file__).resolve().parent.parent / "book" / "_static" / "playground"
UNIT = 1e-6  # of a stored cosine
AGES = tuple(range(morph.YOUNGEST, morph.OLDEST + 1))
FACE = "a photo of a {rank} years old face"
LONG = "a photo of a person who is {rank} years old, taken on a sunny afternoon in a garden with a dog and two chairs"
AGE_TEMPLATES = (FACE, "age estimation: the age of the person is {rank}", "the number {rank}", LONG)


@dataclass(frozen=True)
class RankSet:
    """Ranks with a title, a remark, and the templates that the page offers; a bare rank name is always one of them."""

    key: str
    title: str
    remark: str
    names: tuple[str, ...]
    templates: tuple[str, ...]

    def ranks(self, template: str) -> Ranks:
        """The label space with one of the templates."""
        return Ranks(self.names, tuple(range(len(self.names))), template=template)


SETS = (
    RankSet(
        "ages-words",
        "ages 16 to 77, in words",
        "The 62 ranks of MORPH as L2RCLIP writes them.",
        Ranks.integers(AGES[0], AGES[-1], template=FACE).names,
        AGE_TEMPLATES,
    ),
    RankSet(
        "ages-digits",
        "ages 16 to 77, in digits",
        "The same 62 ranks, written 16 … 77.",
        tuple(str(age) for age in AGES),
        AGE_TEMPLATES,
    ),
    RankSet(
        "age-groups",
        "age groups",
        "Adience's eight groups as number words.",
        adience.NAMES,
        AGE_TEMPLATES[:2],
    ),
    RankSet(
        "life-stages",
        "life stages",
        "Words for ages, without a number.",
        ("newborn", "toddler", "child", "teenager", "young adult", "adult", "middle-aged adult", "old person"),
        ("a photo of a {rank}", "the person in this picture is a {rank}, and it is raining"),
    ),
    RankSet(
        "decades",
        "decades",
        "1900s to 2020s; five of them, 1930s to 1970s, are the ranks of the HCI photographs.",
        tuple(f"{year}s" for year in range(1900, 2030, 10)),
        ("a photo from the {rank}", "a colour photograph of a street, probably taken in the {rank}, slightly faded"),
    ),
    RankSet(
        "severity",
        "severity",
        "The five ranks of the coffee leaves.",
        bracol.NAMES,
        (bracol.TEMPLATE, "{rank} damage", "on a leaf of this plant an expert sees {rank} damage by an insect"),
    ),
    RankSet(
        "retina",
        "retina grades",
        "Five grades of diabetic retinopathy.",
        retinamnist.NAMES,
        (retinamnist.TEMPLATE, "{rank} disease", "the doctor writes: {rank} changes of the retina"),
    ),
    RankSet(
        "aesthetics",
        "aesthetic grades",
        "Five grades of photographs.",
        aesthetics.NAMES,
        (aesthetics.TEMPLATE, "aesthetics assessment: the quality of the photo is {rank}"),
    ),
    RankSet(
        "temperature",
        "temperatures",
        "Seven words on one scale.",
        ("freezing", "cold", "cool", "mild", "warm", "hot", "scorching"),
        ("a {rank} day", "the water in the glass is {rank}"),
    ),
    RankSet(
        "months",
        "months",
        "An order that closes to a ring: the last is beside the first.",
        ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
         "December"),
        ("a photo taken in {rank}", "the meeting is in {rank}"),
    ),
    RankSet(
        "fruit",
        "fruit, from A to Z",
        "A control: these names have no order of size, price or colour, only an alphabet.",
        ("apple", "banana", "cherry", "grape", "lemon", "mango", "orange", "peach"),
        ("a photo of a {rank}", "the {rank} on the table"),
    ),
)  # fmt: skip


def scores(features: Float[Tensor, "rank dim"]) -> dict[str, float]:
    """`ordinality`, rounded."""
    return {name: round(value, 6) for name, value in ordinality(features).items()}


def of_template(towers: Towers, ranks: Ranks) -> dict[str, Any]:
    """Cosines and scores of one template."""
    with torch.inference_mode():
        features = towers.encode_text(ranks.sentences).double()
    features = torch.nn.functional.normalize(features, dim=1)
    row, column = np.triu_indices(len(ranks), 1)
    cosines = (features @ features.T)[row, column] / UNIT
    return {
        "template": ranks.template,
        "raw": scores(features),
        "centred": scores(centred(features)),
        "cosines": cosines.round().long().tolist(),
    }


def of_set(towers: Towers, chosen: RankSet) -> dict[str, Any]:
    """Everything the page knows of one rank set."""
    templates = (*chosen.templates, "{rank}")
    return {
        "key": chosen.key,
        "title": chosen.title,
        "remark": chosen.remark,
        "names": list(chosen.names),
        "shuffled": one_cycle(len(chosen.names)).tolist(),
        "templates": [of_template(towers, chosen.ranks(template)) for template in templates],
    }


def data(towers: Towers) -> dict[str, Any]:
    """The whole file."""
    source = {"towers": "mini", "text_tower_sha256": TEXT_SHA256, "unit": UNIT}
    return source | {"sets": [of_set(towers, chosen) for chosen in SETS]}


def compact(value: dict[str, Any]) -> str:
    """JSON with a line a rank set and a line a template, so that a change can be read."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace('{"key"', '\n{"key"').replace('{"template"', '\n{"template"') + "\n"


# The preview: own rank 1 of five, the ordinal pairwise loss with the true weights, the image to the right.
ANGLES, OWN, IMAGE = (-80.0, -40.0, 0.0, 40.0, 80.0), 1, 20.0


def on_circle(degrees: Tensor) -> Tensor:
    """Unit vectors; 0° is at the top and angles grow clockwise, as on the page."""
    angle = torch.deg2rad(degrees.double())
    return torch.stack([angle.sin(), angle.cos()], dim=1)


def loss_parts(degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Pull and push part of the loss of one image at each angle."""
    texts, ranks = on_circle(torch.tensor(ANGLES)), torch.arange(len(ANGLES)).double()
    images = on_circle(degrees)
    own = torch.tensor([OWN])
    pull = (images - texts[OWN]).square().sum(1)
    loss = torch.stack([ordinal_pairwise_loss(image[None], texts, own, ranks) for image in images])
    return pull, loss - pull


def draw_circle(axis: Axes) -> None:
    """The circle with the texts, the image and who pulls and pushes it."""
    around = on_circle(torch.linspace(0, 360, 181))
    axis.plot(around[:, 0], around[:, 1], color="#cbd2d9", linewidth=1.2)
    image = on_circle(torch.tensor([IMAGE]))[0]
    for rank, (at, colour) in enumerate(
        zip(on_circle(torch.tensor(ANGLES)), rank_colours(len(ANGLES)), strict=True)
    ):
        side = COLOURS["stage 1" if rank == OWN else "stage 2"]
        weight = 1.0 if rank == OWN else abs(rank - OWN) / (len(ANGLES) - 1)
        axis.plot(
            *zip(at.tolist(), image.tolist(), strict=True), color=side, linewidth=0.6 + 2 * weight, alpha=0.75
        )
        axis.scatter(*at, s=330, color=[colour], edgecolor="#fdfdfb", linewidth=1.5, zorder=3)
        dark = rank < len(ANGLES) - 1
        axis.text(*at, str(rank), ha="center", va="center", color="white" if dark else COLOURS["ink"], zorder=4,
                  fontsize=10, fontweight="bold")  # fmt: skip
    axis.scatter(*image, s=330, marker="s", color="#fdfdfb", edgecolor=COLOURS["ink"], linewidth=2, zorder=5)
    axis.text(
        *image, "z", ha="center", va="center", zorder=6, fontsize=10, fontweight="bold", color=COLOURS["ink"]
    )
    axis.text(0, -0.15, f"own rank {OWN} pulls", ha="center", color=COLOURS["stage 1"], fontsize=9.5)
    axis.text(
        0, -0.34, "the others push, far ranks most", ha="center", color=COLOURS["stage 2"], fontsize=9.5
    )
    axis.set(aspect="equal", xlim=(-1.2, 1.2), ylim=(-0.5, 1.18))
    axis.axis("off")


def draw_curve(axis: Axes) -> None:
    """The loss over the angle of the image, from its two parts."""
    degrees = torch.linspace(-180, 180, 361)
    pull, push = loss_parts(degrees)
    axis.plot(degrees, pull, color=COLOURS["stage 1"], linewidth=1.3, label="pull: tightness")
    axis.plot(degrees, push, color=COLOURS["stage 2"], linewidth=1.3, label="push: diversity, below zero")
    axis.plot(degrees, pull + push, color=COLOURS["ink"], linewidth=2.2, label="loss")
    here = sum(loss_parts(torch.tensor([IMAGE])))
    axis.scatter(
        IMAGE, here, marker="s", s=70, color="#fdfdfb", edgecolor=COLOURS["ink"], linewidth=2, zorder=4
    )
    bottom = -1.9
    axis.scatter(
        ANGLES, [bottom] * len(ANGLES), color=rank_colours(len(ANGLES)), s=45, clip_on=False, zorder=4
    )
    axis.set(
        xlabel="angle of the image (0° is at the top)", ylabel="loss", ylim=(bottom, 5.6), xlim=(-180, 180)
    )
    axis.set_xticks(range(-180, 181, 90), [f"{at}°" for at in range(-180, 181, 90)])
    axis.legend(loc="upper left")


def preview() -> Figure:
    """What the page shows first, standing still."""
    with style():
        figure = Figure(figsize=(4.6, 6.0), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(1.25, 1))
        draw_circle(above)
        draw_curve(below)
    return figure


def main() -> None:
    """Write both files."""
    write_text(FOLDER / "words.json", compact(data(load_towers("mini"))))

    def save(path: Path) -> None:
        with style():
            preview().savefig(path, format="svg", metadata={"Date": None, "Creator": None})

    write_atomically(FOLDER / "preview.svg", save)
    for name in ("words.json", "preview.svg"):
        print(f"{FOLDER / name}: {(FOLDER / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
