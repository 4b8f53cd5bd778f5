"""Every baseline as a row of one table.

All have the towers, data, budget, choice of epoch and temperature that L2RCLIP has. `NAME` tunes
the image tower under another loss, with stage 2's epochs, clipping, augmentation and choice of the
learning rate. `NAME-frozen` leaves the tower as it is: a
linear head is fitted on image features that are computed once, like the kernel head (under
cross-entropy this is `linear-probe`, and `coral-frozen` is proportional-odds regression, see
`baselines.training.frozen_head`); `coop` and `ordinalclip` learn their prompts there, with stage
1's budget. Without `-frozen` these two learn their prompts first, then tune the image tower against
the resulting text features, as L2RCLIP does. `supcon` and `rank-n-contrast` train features;
logistic regression on them answers. Every baseline answers with K probabilities per image, at a
temperature fitted on validation images.
"""

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec

import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import nn

from l2rclip_lite.baselines import losses, probes
from l2rclip_lite.baselines.prompts import (
    FROZEN,
    CoopPrompts,
    InterpolatedPrompts,
    Objective,
    coral_outputs,
    linear_outputs,
)
from l2rclip_lite.baselines.training import frozen_head, train_objective
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError
from l2rclip_lite.image_side import sibling
from l2rclip_lite.method import Probabilities
from l2rclip_lite.method.losses import ranked_probability_loss
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.training import config_for
from l2rclip_lite.training_data import TrainingData

ZERO_SHOT = "zero-shot"  # the bare sentences answer as they are
LINEAR_PROBE = "linear-probe"  # the frozen form of cross-entropy
HEADS = {  # heads that no loss of the table fits, from features and rank indices of each split
    "ridge": probes.ridge,
}
CORAL = "coral_pytorch"
OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": Objective(3, F.cross_entropy),
    "coral": Objective(5, losses.coral_loss, head=coral_outputs, decoder="coral", needs=CORAL),
    "corn": Objective(
        7,
        losses.corn_loss,
        head=partial(linear_outputs, more=-1),
        decoder="corn",
        needs=CORAL,
    ),
    "sord": Objective(9, losses.sord_loss, needs="dlordinal"),
    "dldl-v2": Objective(11, losses.dldl_v2_loss, takes=("outputs", "target", "position")),
    "mean-variance": Objective(
        13,
        losses.mean_variance_loss,
        takes=("outputs", "target", "position"),
    ),
    "ordinal-entropy": Objective(
        15,
        losses.ordinal_entropy_loss,
        takes=("features", "target", "position"),
        adds=True,
    ),
    "supcon": Objective(
        17,
        losses.supcon_loss,
        takes=("features", "target", "scale"),
        head=nn.Identity,
    ),
    "rank-n-contrast": Objective(
        19,
        losses.rank_n_contrast_loss,
        takes=("features", "label"),
        head=nn.Identity,
    ),
    "coop": Objective(21, F.cross_entropy, prompts=CoopPrompts),
    "ordinalclip": Objective(23, losses.ordinalclip_loss, prompts=InterpolatedPrompts),
    "rps": Objective(27, ranked_probability_loss, adds=True),
}
# a loss that reads features alone has no gradient on a frozen tower
HAVE_FROZEN_FORM = [name for name, row in OBJECTIVES.items() if "outputs" in row.takes]
# that of cross-entropy is the linear probe
FROZEN_FORMS = [name + FROZEN for name in HAVE_FROZEN_FORM if name != "cross-entropy"]
BASELINES = (ZERO_SHOT, LINEAR_PROBE, *HEADS, *OBJECTIVES, *FROZEN_FORMS)


def check_baselines(names: Sequence[str]) -> None:
    """Refuse a baseline that cannot run before anything is trained.

    Args:
        names: The baselines asked for, of `BASELINES`.

    Raises:
        InputError: An unknown name, or a library that is not installed.
    """
    for name in names:
        if name not in BASELINES:
            raise InputError(f"baselines: {name!r} is unknown; choose from {', '.join(BASELINES)}.")

        objective = OBJECTIVES.get(name.removesuffix(FROZEN))
        if objective is not None and objective.needs and not find_spec(objective.needs):
            raise InputError(f"baselines: {name} needs: pip install 'l2rclip-lite[baselines]'.")


def run_baseline(
    name: str, data: OrdinalDataset, config: Config, *, quiet: bool = True
) -> Probabilities:
    """Train a baseline on a data set.

    Args:
        name: One of `BASELINES`.
        data: Validation chooses the epoch, test is answered.
        config: Towers, budget, batch size, seed.
        quiet: Whether to hide progress bars.

    Returns:
        K probabilities per test image.

    Raises:
        InputError: See `check_baselines`; an image that cannot be read.
        TrainingError: Numbers that are not finite.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> leaves = load_dataset("leaves", size=60, pixels=64)
        >>> run_baseline("ridge", leaves, Config(towers="tiny/random", heads=2)).shape
        torch.Size([10, 5])
    """
    check_baselines([name])
    config = config_for(data, config)
    model = L2RCLIP.build(data.ranks, config, data.image_size).to(choose_device(config))

    with threadpool_limits(config.threads):
        loaded = TrainingData.load(data, model, quiet=quiet)
        baseline = train_baseline(name, model, loaded, quiet=quiet)
        return baseline.probabilities(loaded.encode(baseline, "test"))


def train_baseline(
    name: str,
    model: L2RCLIP,
    data: TrainingData,
    *,
    run: RunDirectory | None = None,
    quiet: bool = True,
) -> L2RCLIP:
    """Train a baseline.

    Args:
        name: One of `BASELINES`, see `check_baselines`.
        model: Towers in their starting state, ranks and config; it is left as it was.
        data: What it is trained on; without images only frozen forms can be trained.
        run: Where complete epochs are kept; None keeps none.
        quiet: Whether to hide progress bars.

    Returns:
        A model that predicts, is saved and exported like any other, calibrated on the validation
        images.

    Raises:
        TrainingError: Numbers that are not finite, or memory that runs out.
    """
    if name == LINEAR_PROBE:
        name = "cross-entropy" + FROZEN
    rows = data.for_heads(model.config)
    if name == ZERO_SHOT:
        baseline = sibling(model, text=probes.bare_sentences(model))
    elif name in HEADS:
        head = HEADS[name](rows.backbone, rows.targets, model.ranks)
        baseline = sibling(model, head=head)
    else:
        objective = OBJECTIVES[name.removesuffix(FROZEN)]
        if name.endswith(FROZEN) and objective.prompts is None:
            baseline = sibling(model, head=frozen_head(objective, rows, model.ranks))
        else:
            baseline = train_objective(name, objective, model, data, run, quiet)

    calibrate(baseline, data.encode(baseline, "val"), data.targets["val"])
    return baseline
