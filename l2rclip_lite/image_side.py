"""Stage 2 on a frozen tower: the kernel head, and the choice between it and a tuned tower.

Features of the untrained tower are there since stage 1, so two heads on them take seconds: a linear
probe, the plain classifier that one tries first, and the kernel head, which knows the ranks. With
`keep="best"` a tuned tower is kept only if its validation RPS is lower than that of both, by more
than one standard error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.heads import LinearHead
from l2rclip_lite.heads.kernel import MIXTURES, KernelChoice, stack_kernel_heads
from l2rclip_lite.method.optimisation import Row
from l2rclip_lite.metrics import rps_of_images
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.runs.results import Comparison
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training_data import TrainingData

LINEAR = "linear probe"
KERNEL = "kernel head"
TUNED = "tuned tower"  # from the simplest to the least simple


def train_kernel(model: L2RCLIP, data: TrainingData, *, quiet: bool = True) -> list[Row]:
    """Fit the kernel head on a frozen image tower, in seconds and without a learning rate.

    It is a stack over the kernels, see `stack_kernel_heads`; a study may name a single one.

    Args:
        model: After stage 1.
        data: Its features.
        quiet: Whether to hide the bar.

    Returns:
        One row; the model keeps the head.
    """
    kernel = model.config.controls.kernel
    stacks = {"chosen": tuple(MIXTURES), "language": ("nothing", "text")}
    choice = fit_head(model, data, stacks.get(kernel, (kernel,)), quiet=quiet)
    model.head = choice.head.to(model.device)

    text, numbers, identity = choice.mixture
    row: Row = {"stage": 2, "epoch": 1, "text": text, "numbers": numbers, "identity": identity}
    scores = data.scores(model, data.backbone["val"])
    row |= {"val_mae": scores.mae, "val_rps": scores.rps}
    return [row]


def fit_head(
    model: L2RCLIP, data: TrainingData, kernels: Sequence[str], *, quiet: bool = True
) -> KernelChoice:
    """Return a head of one kernel, or the stack of several, on the untrained tower's features."""
    data = data.for_heads(model.config)
    return stack_kernel_heads(
        data.backbone,
        data.targets,
        model.rank_features,
        model.ranks,
        mixtures=[MIXTURES[name] for name in kernels],
        quiet=quiet,
    )


def keep_best(
    model: L2RCLIP, data: TrainingData, untrained: Mapping[str, Tensor], *, quiet: bool = True
) -> Comparison:
    """Turn a tuned model into the simplest of three that is as good as the best.

    Where a head is kept, the model gets that head, the untrained image tower, and the image side
    "kernel".

    Args:
        model: After stage 2.
        data: Images, and features of the untrained tower.
        untrained: The state of the image tower before stage 2.
        quiet: Whether to hide the progress bar of the kernel head.
    """
    val_features = data.encode(model, "val")
    calibrate(model, val_features, data.targets["val"])
    answers = {TUNED: model.probabilities(val_features)}

    of_ranks = [name for name in MIXTURES if name != "nothing"]
    siblings = {}
    for name, kernels in ((LINEAR, ["nothing"]), (KERNEL, of_ranks)):
        frozen = sibling(model, head=fit_head(model, data, kernels, quiet=quiet).head)
        calibrate(frozen, data.backbone["val"], data.targets["val"])
        answers[name] = frozen.probabilities(data.backbone["val"])
        siblings[name] = frozen

    true = data.targets["val"].numpy()
    scores = {}
    for name in (LINEAR, KERNEL, TUNED):
        scores[name] = rps_of_images(true, answers[name].double().numpy())

    kept = simplest_of_the_best(scores)
    if kept != TUNED:
        model.towers.image.load_state_dict(dict(untrained))
        model.config = siblings[kept].config
        model.head = siblings[kept].head
    return Comparison(kept, {name: float(each.mean()) for name, each in scores.items()})


def sibling(
    model: L2RCLIP,
    *,
    text: Tensor | None = None,
    head: LinearHead | None = None,
    towers: Towers | None = None,
) -> L2RCLIP:
    """Return another model on the same towers, which stay frozen, or on others, which do not.

    Args:
        model: Towers, ranks and config.
        text: Fixed text features; None takes a copy of the model's, as what a sibling learns stays
            its own.
        head: Answers in the place of the texts.
        towers: Other towers.
    """
    config = replace(
        model.config,
        image_side="kernel" if towers is None else "tower",
        epochs1=model.config.stage1_epochs(),  # the run's own, whatever else trains here
    )
    if text is None:
        text = model.rank_features.clone()

    other = L2RCLIP(towers or model.towers, model.ranks, config, rank_features=text)
    other.head = head
    return other.to(model.device)


def simplest_of_the_best(scores: Mapping[str, Float[np.ndarray, " batch"]]) -> str:
    """Return the first model whose mean score is within one standard error of the lowest mean.

    The standard error is that of the mean difference, image by image.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen and Stone 1984, section 3.4.3.

    Args:
        scores: Of the same images, lower is better; by name, the simplest first.

    Example:
        >>> scores = {
        ...     "simple": np.array([1.0, 2.0, 3.0]),  # by 1/3 worse, give or take 1/3
        ...     "complex": np.array([1.0, 1.0, 3.0]),
        ... }
        >>> simplest_of_the_best(scores)
        'simple'
        >>> simplest_of_the_best(scores | {"simple": np.array([2.0, 2.0, 4.0])})
        'complex'
    """
    best = min(scores, key=lambda name: scores[name].mean())
    for name, each in scores.items():
        difference = each - scores[best]
        error = 0.0
        if len(difference) > 1:
            error = difference.std(ddof=1) / np.sqrt(len(difference))
        if difference.mean() <= error:
            return name
    return best
