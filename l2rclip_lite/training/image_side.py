"""Stage 2 on the side of the images: a tuned tower, a kernel head, or the better of them.

Features of the untrained tower are there since stage 1, so two heads on them take seconds: a linear
probe, the plain classifier that one tries first, and the kernel head, which knows the ranks. With
`keep="best"` a tuned tower is kept only if its validation RPS is lower than that of both, by more
than one standard error.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.heads.calibration import calibrate
from l2rclip_lite.heads.kernel import MIXTURES, Mixture, stack_kernel_heads
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.metrics import rps_of_images
from l2rclip_lite.runs.results import Comparison
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stage import OnEpoch
from l2rclip_lite.training.stages import train_kernel, train_stage2

PerImage = Float[np.ndarray, " batch"]
LINEAR = "linear probe"
KERNEL = "kernel head"
TUNED = "tuned tower"  # from the simplest to the least simple


def train_image_side(
    model: L2RCLIP,
    data: TrainingData,
    *,
    run: RunDirectory | None = None,
    quiet: bool = True,
    on_epoch: OnEpoch | None = None,
) -> tuple[list[dict[str, float]], Comparison | None]:
    """Train what the config names as the image side.

    Args:
        model: After stage 1.
        data: Images, and features of the untrained tower.
        run: See `Stage`.
        quiet: See `Stage`; also whether to hide the comparison.
        on_epoch: See `Stage`.

    Returns:
        One row per epoch; and the comparison, where the best is kept.

    Raises:
        TrainingError: See `train_stage2`.
    """
    if model.config.image_side == "kernel":
        return train_kernel(model, data, quiet=quiet, on_epoch=on_epoch), None
    if model.config.keep == "trained":
        return train_stage2(model, data, run=run, quiet=quiet, on_epoch=on_epoch), None

    untrained = {name: value.clone() for name, value in model.towers.image.state_dict().items()}
    history = train_stage2(model, data, run=run, quiet=quiet, on_epoch=on_epoch)
    comparison = keep_best(model, data, untrained, quiet=quiet)
    if not quiet:
        print(f"kept: {comparison.in_words()}", flush=True)
    return history, comparison


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
    of_ranks = [mixture for name, mixture in MIXTURES.items() if name != "nothing"]
    linear = fitted_head(model, data, [MIXTURES["nothing"]], quiet=quiet)
    kernel = fitted_head(model, data, of_ranks, quiet=quiet)
    answers = {
        LINEAR: linear.probabilities(data.backbone["val"]),
        KERNEL: kernel.probabilities(data.backbone["val"]),
        TUNED: model.probabilities(val_features),
    }

    true = data.targets["val"].numpy()
    scores = {name: rps_of_images(true, p.double().numpy()) for name, p in answers.items()}
    kept = simplest_of_the_best(scores)
    if kept != TUNED:
        winner = linear if kept == LINEAR else kernel
        model.towers.image.load_state_dict(dict(untrained))
        model.config = winner.config
        model.head = winner.head
    return Comparison(kept, {name: float(each.mean()) for name, each in scores.items()})


def fitted_head(
    model: L2RCLIP, data: TrainingData, mixtures: list[Mixture], *, quiet: bool = True
) -> L2RCLIP:
    """Return a calibrated model with a head on the untrained tower's features.

    Args:
        model: Its towers, ranks and text features are shared.
        data: Features of the untrained tower.
        mixtures: Of the head's kernel; several are stacked.
        quiet: Whether to hide the progress bar.
    """
    epochs1 = model.config.stage1_epochs()  # as trained, whichever side answers now
    config = replace(model.config, image_side="kernel", epochs1=epochs1)
    frozen = L2RCLIP(model.towers, model.ranks, config, model.rank_features.detach())

    choice = stack_kernel_heads(
        data.backbone,
        data.targets,
        model.rank_features,
        model.ranks,
        mixtures=mixtures,
        quiet=quiet,
    )
    frozen.head = choice.head
    frozen.to(model.device)
    calibrate(frozen, data.backbone["val"], data.targets["val"])
    return frozen


def simplest_of_the_best(scores: Mapping[str, PerImage]) -> str:
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
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
        if difference.mean() <= error:
            return name
    return best
