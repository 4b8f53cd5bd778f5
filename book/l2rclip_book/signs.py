"""The signs of failure of a run, beside those of healthy runs and of runs that fail on purpose.

`l2rclip_lite.signs` computes the numbers; here stand their ranges over the stored runs of chapter 8
(`book/results/spread/08.csv`), and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, tensor

from l2rclip_book.provoked import APART, FAST, HARD, SLOW
from l2rclip_lite import signs
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.towers.load import load_towers

MAX_IMAGES = 256  # test images that are encoded for the signs, evenly spaced
Range = tuple[float, float]
RANKFORMER = "RankFormer adds no order"
ALIGNMENT = "The pairwise loss breaks the alignment"
CONTEXT = "The context says nothing about the ranks"
SPREAD = "Images of one sentence are pushed apart"


@dataclass(frozen=True)
class Sign:
    """A number, and what it was in runs whose state is certain.

    Args:
        column: Its name in what `measure` returns.
        short: Its name in figures.
        failure: What it is a sign of.
        meaning: What the number is.
        provoked_by: The name of the runs that failed in this way, see `provoked.PROVOKED`.
        healthy: The least and the largest value of healthy runs.
        provoked: The same of runs that failed.
        advice: What to do where it fires.
    """

    column: str
    short: str
    failure: str
    meaning: str
    provoked_by: str
    healthy: Range
    provoked: Range
    advice: str

    @property
    def threshold(self) -> float | None:
        """Halfway between healthy and provoked runs; None where their ranges overlap.

        Example:
            >>> sign = Sign("x", "", "", "", "", healthy=(0.5, 0.9), provoked=(0.1, 0.3), advice="")
            >>> sign.threshold
            0.4
        """
        if self.healthy[0] > self.provoked[1]:
            return (self.healthy[0] + self.provoked[1]) / 2
        if self.healthy[1] < self.provoked[0]:
            return (self.healthy[1] + self.provoked[0]) / 2
        return None

    def fires(self, value: float) -> bool:
        """Return whether a value lies on the side of the runs that failed."""
        if self.threshold is None:
            return False
        if self.healthy[0] > self.threshold:
            return value < self.threshold
        return value > self.threshold

    def says(self, value: float) -> str:
        """Return what a value says, in one sentence."""
        if self.threshold is None:
            return "Runs that failed had the same numbers as healthy ones: it decides nothing."
        if self.fires(value):
            return f"As in runs that failed. {self.advice}"
        return "As in healthy runs."


SIGNS = (
    Sign(
        column="order",
        short="order of the sentences",
        failure=RANKFORMER,
        meaning="what stage 1 adds to the order of the sentences: rank correlation of rank gap and "
        "distance",
        provoked_by=SLOW,
        healthy=(-0.29, -0.1),
        provoked=(-0.27, -0.06),
        advice="",
    ),
    Sign(
        column="answers",
        short="order of the answers",
        failure=RANKFORMER,
        meaning="what RankFormer adds to the order of the answers after stage 1: rank correlation "
        "with the true rank",
        provoked_by=SLOW,
        healthy=(0.29, 0.82),
        provoked=(-0.02, 0.04),
        advice="Give stage 1 more epochs or a higher --lr1; where that changes nothing, compare "
        "with --epochs1 0, which leaves it out.",
    ),
    Sign(
        column="template",
        short="cosine to the template",
        failure=ALIGNMENT,
        meaning="cosine of a sentence after stage 1 with its plain template",
        provoked_by=HARD,
        healthy=(0.49, 0.7),
        provoked=(0.07, 0.21),
        advice="The sentences no longer mean what their words say: lower --lambda1 or --lr1.",
    ),
    Sign(
        column="margin",
        short="margin of the images",
        failure=ALIGNMENT,
        meaning="cosine of an image with its own sentence, minus that with the best other one, "
        "before stage 2",
        provoked_by=HARD,
        healthy=(-0.03, -0.02),
        provoked=(-0.26, -0.15),
        advice="Sentences have moved away from their own images: lower --lambda1.",
    ),
    Sign(
        column="context",
        short="another context",
        failure=CONTEXT,
        meaning="cosine of a sentence with its own context and with another one",
        provoked_by=FAST,
        healthy=(0.83, 0.88),
        provoked=(0.11, 0.8),
        advice="The context drowns the words: lower --lr1 or --context-length.",
    ),
    Sign(
        column="no_context",
        short="no context",
        failure=CONTEXT,
        meaning="cosine of a sentence with its context and without one",
        provoked_by=FAST,
        healthy=(0.78, 0.87),
        provoked=(0.06, 0.88),
        advice="The context drowns the words: lower --lr1 or --context-length.",
    ),
    Sign(
        column="spread",
        short="spread within a rank",
        failure=SPREAD,
        meaning="spread within a rank after stage 2, divided by that under the untrained tower",
        provoked_by=APART,
        healthy=(0.0, 0.04),
        provoked=(0.54, 0.97),
        advice="Stage 2 does not gather the images of a rank: look for wrong labels, give it more "
        "epochs or a higher --lr2, and lower --lambda-push.",
    ),
)
LEGEND = (
    "Ranges are those of 15 healthy runs and of 15 that failed on purpose, on drawn leaves of 5 "
    "ranks with mini towers. Other data and towers move them: take a sign "
    "as a reason to look, not as a verdict. The limit lies halfway between the two ranges."
)


@dataclass(frozen=True)
class SeenImages:
    """Test images as the stages of a run met and left them.

    Args:
        before: Unit features of the untrained image tower.
        after: Those of the tuned one; None where it was not trained.
        target: Rank index of each image.
    """

    before: Float[Tensor, "batch dim"]
    after: Float[Tensor, "batch dim"] | None
    target: Int[Tensor, " batch"]


def see_images(model: L2RCLIP, data: OrdinalDataset) -> SeenImages:
    """Encode test images of a run by its image tower, and by the one that it started with.

    Args:
        model: Of a finished run.
        data: What it was trained on.

    Raises:
        InputError: The run began with another one, or its towers are not on this machine.
    """
    config = model.config
    if config.start is not None:
        raise InputError("signs: the run began with another run, whose tower stage 1 met.")
    if config.weights is not None:
        raise InputError("signs: the run began with a file of weights, which is not read again.")
    places = np.linspace(0, len(data.test) - 1, min(MAX_IMAGES, len(data.test)))
    part = data.test.subset(places.round().astype(int).tolist())

    towers = load_towers(
        config.towers,
        image_size=config.image_size,
        seed=config.seed,
        allow_download=False,
        commits=model.towers.commits,
    )
    untrained = L2RCLIP(towers, model.ranks, config, model.rank_features.cpu())
    was_trained = config.image_side == "tower" and config.epochs2 > 0
    return SeenImages(
        before=untrained.encode(part, backbone=False),
        after=model.encode(part, backbone=False) if was_trained else None,
        target=tensor(part.targets),
    )


def measure(model: L2RCLIP, seen: SeenImages | None) -> dict[str, float | str]:
    """Return the value of each sign, or a sentence that says why there is none.

    Args:
        model: Of a finished run.
        seen: Its test images; None where they cannot be reached.
    """
    compute: Mapping[str, Callable[[], float]] = {
        "order": partial(signs.order_gained, model),
        "answers": partial(_answers, model, seen),
        "template": partial(signs.template_cosine, model),
        "margin": partial(_margin, model, seen),
        "context": partial(signs.context_cosine, model),
        "no_context": partial(signs.context_cosine, model, without=True),
        "spread": partial(_spread, seen),
    }
    values: dict[str, float | str] = {}
    for name, function in compute.items():
        try:
            values[name] = function()
        except InputError as error:
            values[name] = str(error).removeprefix("signs: ")
    return values


def _answers(model: L2RCLIP, seen: SeenImages | None) -> float:
    """Return `signs.order_of_answers_gained`."""
    images = _reached(seen)
    return signs.order_of_answers_gained(model, images.before, images.target)


def _margin(model: L2RCLIP, seen: SeenImages | None) -> float:
    """Return `signs.own_text_margin` on the features that stage 1 met."""
    images = _reached(seen)
    return signs.own_text_margin(images.before, model.text_features(), images.target)


def _spread(seen: SeenImages | None) -> float:
    """Return `signs.spread_kept`."""
    images = _reached(seen)
    if images.after is None:
        raise InputError("signs: the image tower was not trained in this run.")
    return signs.spread_kept(images.before, images.after, images.target)


def _reached(seen: SeenImages | None) -> SeenImages:
    """Return the images, where there are any.

    Raises:
        InputError: They cannot be reached.
    """
    if seen is None:
        raise InputError("signs: this one needs the test images.")
    return seen


def in_words(values: Range) -> str:
    """Return a range as a reader reads it.

    Example:
        >>> in_words((-0.25, 0.5))
        '−0.25 to 0.50'
    """
    low, high = values
    return f"{low:.2f} to {high:.2f}".replace("-", "−")
