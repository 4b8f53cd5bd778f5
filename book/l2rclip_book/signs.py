"""The signs of failure of a run: numbers that show in which part of the method it went wrong.

Those of texts need the model alone, those of images its test images, too. `SIGNS` has their ranges
over the stored runs of chapter 18 (`book/results/spread/18.csv`): healthy ones, and others that
were made to fail.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2rclip_book.provoked import APART, FAST, HARD, SLOW
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.method import Features, Targets, Texts
from l2rclip_lite.method.prompts import RankPrompts
from l2rclip_lite.metrics import spearman
from l2rclip_lite.model import L2RCLIP

MAX_IMAGES = 256  # test images that are encoded for the signs, at most
OTHER_CONTEXT = 1_000_003  # seeds a context that no run begins with
Range = tuple[float, float]
ALIGNMENT = "The pairwise loss breaks the alignment"


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
    def threshold(self) -> float:
        """Halfway between healthy and provoked runs, whose ranges lie apart.

        Example:
            >>> sign = Sign("x", "", "", "", "", healthy=(0.5, 0.9), provoked=(0.1, 0.3), advice="")
            >>> sign.threshold
            0.4
        """
        lower, upper = sorted((self.healthy, self.provoked))
        return (lower[1] + upper[0]) / 2

    def fires(self, value: float) -> bool:
        """Return whether a value lies on the side of the runs that failed."""
        return (value < self.threshold) == (self.provoked < self.healthy)

    def says(self, value: float) -> str:
        """Return what a value says, in one sentence."""
        if self.fires(value):
            return f"As in runs that failed. {self.advice}"
        return "As in healthy runs."


SIGNS = (
    Sign(
        column="answers",
        short="order of the answers",
        failure="RankFormer adds no order",
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
        failure="The context says nothing about the ranks",
        meaning="cosine of a sentence with its own context and with another one",
        provoked_by=FAST,
        healthy=(0.83, 0.88),
        provoked=(0.11, 0.8),
        advice="The context drowns the words: lower --lr1 or --context-length.",
    ),
    Sign(
        column="spread",
        short="spread within a rank",
        failure="Images of one sentence are pushed apart",
        meaning="spread within a rank after stage 2, divided by that under the untrained tower",
        provoked_by=APART,
        healthy=(0.0, 0.04),
        provoked=(0.54, 0.97),
        advice="Stage 2 does not gather the images of a rank: look for wrong labels, give it more "
        "epochs or a higher --lr2, and lower --lambda-push.",
    ),
)


@dataclass(frozen=True)
class SeenImages:
    """Test images as the stages of a run met and left them.

    Args:
        before: Unit features of the untrained image tower.
        after: Those of the tuned one; None where it was not trained.
        target: Rank index of each image.
    """

    before: Features
    after: Features | None
    target: Targets


def see_images(model: L2RCLIP, data: OrdinalDataset) -> SeenImages:
    """Encode test images of a run by its image tower, and by the one that it started with.

    Args:
        model: Of a finished run.
        data: What it was trained on.
    """
    config = model.config
    if config.start is not None or config.weights is not None:
        raise InputError("signs: the tower that stage 1 met came from a file, not read again here.")
    step = math.ceil(len(data.test) / MAX_IMAGES)
    part = data.test.subset(range(0, len(data.test), step))

    untrained = L2RCLIP.build(
        model.ranks, config, allow_download=False, commits=model.towers.commits
    )
    was_trained = config.image_side == "tower" and config.epochs2 > 0
    return SeenImages(
        before=untrained.encode(part, backbone=False),
        after=model.encode(part, backbone=False) if was_trained else None,
        target=torch.tensor(part.targets),
    )


@torch.no_grad()
def measure(model: L2RCLIP, seen: SeenImages | None) -> dict[str, float | str]:
    """Return the value of each sign, or a sentence that says why there is none.

    Args:
        model: Of a finished run.
        seen: Its test images; None where they cannot be reached.
    """
    compute: dict[str, Callable[[], float]] = {
        "template": partial(template_cosine, model),
        "context": partial(context_cosine, model),
    }
    columns = [sign.column for sign in SIGNS]
    values: dict[str, float | str] = dict.fromkeys(columns, "this one needs the test images.")
    if seen is not None:
        compute["answers"] = partial(order_of_answers_gained, model, seen)
        compute["margin"] = partial(own_text_margin, model, seen)
        compute["spread"] = partial(spread_kept, seen)

    for name, function in compute.items():
        try:
            values[name] = function()
        except InputError as error:
            values[name] = str(error).removeprefix("signs: ")
    return values


def order_of_answers_gained(model: L2RCLIP, seen: SeenImages) -> float:
    """Return what RankFormer adds to the order of the answers, in [−2, 2].

    It is Spearman's ρ of expected and true rank, minus the same with the plain words in the place
    of those that RankFormer refines; of images as stage 1 met them.
    """
    prompts = trained_prompts(model)
    if prompts.rankformer is None:
        raise InputError("signs: the run has no RankFormer.")

    orders = []
    for text in (model.text_features(), changed_texts(model, prompts.context, refine=False)):
        logits = model.scale.cpu() * seen.before @ text.cpu().T
        expected = logits.softmax(dim=1) @ model.ranks.values_tensor()
        orders.append(spearman(seen.target, expected, model.ranks))
    return orders[0] - orders[1]


def template_cosine(model: L2RCLIP) -> float:
    """Return the mean cosine of a sentence after stage 1 with its plain template, in [−1, 1].

    At 1 stage 1 has left the meaning of the words where it was. Features are centred over the ranks
    where those of the model are.
    """
    template = changed_texts(model, trained_prompts(model).context[:0], refine=False)
    return float(F.cosine_similarity(model.text_features(), template).mean())


def own_text_margin(model: L2RCLIP, seen: SeenImages) -> float:
    """Return how much nearer an image is to its own text than to the best other one, in [−2, 2].

    It is the mean difference of the two cosines, of images as stage 1 met them.
    """
    cosine = seen.before @ model.text_features().cpu().T
    is_own = F.one_hot(seen.target, cosine.shape[1]).bool()
    best_other = cosine.masked_fill(is_own, -2).amax(dim=1)
    return float((cosine[is_own] - best_other).mean())


def context_cosine(model: L2RCLIP) -> float:
    """Return the mean cosine of a sentence with its own context and with another one, in [−1, 1].

    All ranks share the context, and the other one is drawn at random, as each is at the start. Near
    1 the words say which rank is meant; near 0 the sentences are what the learned context has made
    of them.

    Args:
        model: With trained prompts.
    """
    prompts = trained_prompts(model)
    if not len(prompts.context):
        raise InputError("signs: the run has no context.")
    generator = torch.Generator().manual_seed(OTHER_CONTEXT)
    other = torch.randn(prompts.context.shape, generator=generator) * prompts.word_std
    changed = changed_texts(model, other)
    return float(F.cosine_similarity(model.text_features(), changed).mean())


def spread_kept(seen: SeenImages) -> float:
    """Return how much of the spread of images within a rank stage 2 has left, 0 or more.

    Below 1 images of one sentence have come together.

    Example:
        >>> closer = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
        >>> seen = SeenImages(torch.eye(2), closer, torch.tensor([0, 0]))
        >>> round(spread_kept(seen), 4)  # 0.1 of 0.5
        0.2
    """
    if seen.after is None:
        raise InputError("signs: the image tower was not trained in this run.")
    start = _spread(seen.before, seen.target)
    if start < 1e-9:
        raise InputError("signs: no rank has two images that differ.")
    return _spread(seen.after, seen.target) / start


def _spread(image: Tensor, target: Tensor) -> float:
    """Return the mean squared distance of an image to the centre of its rank."""
    places = pd.DataFrame(image.double().numpy())
    variances = places.groupby(target.numpy()).transform("var", ddof=0)
    return float(variances.sum(axis=1).mean())


def trained_prompts(model: L2RCLIP) -> RankPrompts:
    """Return the prompts of a model that stage 1 has trained."""
    if model.prompts is None or model.config.stage1_epochs() == 0:
        raise InputError("signs: stage 1 has trained no prompts in this run.")
    return model.prompts


def changed_texts(model: L2RCLIP, context: Tensor, *, refine: bool = True) -> Texts:
    """Return the text features that a model would have with another context, or no RankFormer.

    Args:
        model: With trained prompts.
        context: The context vectors, any number of them.
        refine: Whether RankFormer refines the words.
    """
    prompts = copy.deepcopy(trained_prompts(model))
    prompts.context = nn.Parameter(context.to(prompts.context))
    prompts.prompt_tokens = prompts.tokens.with_context(len(context))
    if not refine:
        prompts.rankformer = None
    return prompts(model.towers)
