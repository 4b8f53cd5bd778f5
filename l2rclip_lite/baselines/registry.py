"""Every baseline as a row of one table, on the towers, data, budget, choice of epoch and temperature that L2RCLIP has.

`NAME` tunes the image tower under another loss, with stage 2's epochs, rate, clipping and augmentation. `NAME-frozen` leaves
it as it is: a linear head is fitted on image features that are computed once, like the kernel head (under cross-entropy
this is `linear-probe`, its name in every table); `coop` and `ordinalclip`
learn their prompts there, with stage 1's budget. Without `-frozen` these two learn their prompts first, then tune the image
tower against the resulting text features, as L2RCLIP does. `supcon` and `rank-n-contrast` train features; a linear probe on
them answers. Every baseline answers with K probabilities per image, at a temperature fitted on validation images.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from l2rclip_lite.baselines import losses
from l2rclip_lite.baselines.losses import Outputs, Scalar
from l2rclip_lite.baselines.probes import bare_sentences, linear_probe, ridge
from l2rclip_lite.baselines.prompts import InterpolatedPrompts, PromptHead
from l2rclip_lite.calibration import calibrate
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.freezing import freeze
from l2rclip_lite.kernel import BIAS, KernelHead
from l2rclip_lite.losses import ranked_probability_loss
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.run_directory import RunDirectory
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.fit import choose_device
from l2rclip_lite.training.processes import GatheredImageSide
from l2rclip_lite.training.stage import Stage

FROZEN = "-frozen"
LINEAR = partial(PromptHead, prompts=InterpolatedPrompts)


def linear_outputs(model: L2RCLIP, more: int = 0) -> nn.Module:
    """K + `more` linear outputs, 0 at the start."""
    head = nn.Linear(model.towers.dim, len(model.ranks) + more)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def coral_outputs(model: L2RCLIP) -> nn.Module:
    """K−1 outputs that share one weight vector; their biases start in CORAL's own falling order."""
    from coral_pytorch.layers import CoralLayer

    head: nn.Module = CoralLayer(model.towers.dim, len(model.ranks))
    nn.init.zeros_(head.get_parameter("coral_weights.weight"))
    return head


@dataclass(frozen=True)
class Objective:
    """A row of the table.

    Args:
        number: Number of the stage that tunes the image tower; the next one learns prompts on cached features. It seeds
            the random draws and names the checkpoint, so it is never given twice and never changed.
        loss: Loss of a batch.
        takes: Its arguments, in order: `outputs` of the head, `features` (unit), `target` (rank indices), `label` (their
            positions), `position` of the ranks, `scale` of the towers.
        head: Makes the head; its input is S · features.
        decoder: See `KernelHead`; None reads the features with a linear probe.
        adds: Whether cross-entropy is added to the loss.
        needs: A module of the extra `baselines`.

    Example:
        >>> OBJECTIVES["coral"].number, OBJECTIVES["coral"].needs
        (5, 'coral_pytorch')
    """

    number: int
    loss: Callable[..., Scalar]
    takes: tuple[str, ...] = ("outputs", "target")
    head: Callable[..., nn.Module] = linear_outputs
    decoder: str | None = "softmax"
    adds: bool = False
    needs: str | None = None

    def batch_loss(self, outputs: Tensor, target: Tensor, **given: Any) -> Scalar:
        """The loss of the arguments that it takes, with the cross-entropy that some add."""
        given |= {"outputs": outputs, "target": target}
        loss = self.loss(*(given[key] for key in self.takes))
        return loss + F.cross_entropy(outputs, target) if self.adds else loss


CORAL, LOGITS, MOMENTS = "coral_pytorch", ("outputs", "target"), ("outputs", "target", "position")
OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": Objective(3, F.cross_entropy),
    "coral": Objective(5, losses.coral_loss, LOGITS, coral_outputs, "coral", needs=CORAL),
    "corn": Objective(
        7, losses.corn_loss, LOGITS, partial(linear_outputs, more=-1), "corn", needs=CORAL
    ),
    "sord": Objective(9, losses.sord_loss, needs="dlordinal"),
    "dldl-v2": Objective(11, losses.dldl_v2_loss, MOMENTS),
    "mean-variance": Objective(13, losses.mean_variance_loss, MOMENTS),
    "ordinal-entropy": Objective(
        15, losses.ordinal_entropy_loss, ("features", *MOMENTS[1:]), adds=True
    ),
    "supcon": Objective(17, losses.supcon_loss, ("features", "target", "scale"), nn.Identity, None),
    "rank-n-contrast": Objective(
        19, losses.rank_n_contrast_loss, ("features", "label"), nn.Identity, None
    ),
    "coop": Objective(
        21, F.cross_entropy, head=partial(PromptHead, prompts=RankPrompts, rankformer=False)
    ),
    "ordinalclip": Objective(23, losses.ordinalclip_loss, head=LINEAR),
    "ordinalclip-inverse": Objective(
        25, losses.ordinalclip_loss, head=partial(LINEAR, weighting="inverse")
    ),
    "rps": Objective(27, ranked_probability_loss, adds=True),
}
PROBES = ("zero-shot", "zero-shot-raw", "linear-probe", "ridge")
FEATURES_ONLY = (
    "ordinal-entropy",
    "supcon",
    "rank-n-contrast",
)  # whose losses say nothing to a frozen tower
ALIASES = {"cross-entropy-frozen": "linear-probe"}  # another name, and the one in use
BASELINES = (
    *PROBES,
    *OBJECTIVES,
    *(
        name + FROZEN
        for name in OBJECTIVES
        if name not in FEATURES_ONLY and name + FROZEN not in ALIASES
    ),
)


def one_name(name: str) -> str:
    """Return the name under which a method stands in every table; a name that has no other is returned as it is.

    Example:
        >>> one_name("cross-entropy-frozen"), one_name("sord-frozen")
        ('linear-probe', 'sord-frozen')
    """
    return ALIASES.get(name, name)


def check_baselines(names: Sequence[str], config: Config | None = None) -> None:
    """Refuse a baseline that cannot run before anything is trained.

    Args:
        names: The baselines asked for, of `BASELINES` or `ALIASES`.
        config: The settings under which they run.

    Raises:
        InputError: An unknown name, a library that is not installed, or settings that leave nothing to train.

    Example:
        >>> check_baselines(["ridge", "coop-frozen"], Config(context_length=0))
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.InputError: baselines: coop-frozen learns the context; set context_length, or leave it out.
    """
    for name in map(one_name, names):
        if name not in BASELINES:
            nearest = get_close_matches(name, (*BASELINES, *ALIASES), n=1)
            cure = (
                f"did you mean {nearest[0]}?" if nearest else f"choose from {', '.join(BASELINES)}."
            )
            raise InputError(f"baselines: {name!r} is unknown; {cure}")
        objective = OBJECTIVES.get(name.removesuffix(FROZEN))
        if objective and objective.needs and not find_spec(objective.needs):
            raise InputError(f"baselines: {name} needs: pip install 'l2rclip-lite[baselines]'.")
        if name.removesuffix(FROZEN) == "coop" and config and not config.context_length:
            raise InputError(
                f"baselines: {name} learns the context; set context_length, or leave it out."
            )


def run_baseline(name: str, data: OrdinalDataset, config: Config, *, quiet: bool = True) -> Outputs:
    """Train a baseline on a data set.

    Args:
        name: One of `BASELINES`, or of `ALIASES`.
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
    check_baselines([name], config)
    if config.upside_down is None:
        config = replace(config, upside_down=not data.upright)
    model = L2RCLIP.build(data.ranks, config, data.image_size).to(choose_device(config))
    with threadpool_limits(config.threads):
        loaded = TrainingData.load(data, model, quiet=quiet)
        found = train_baseline(name, model, loaded, quiet=quiet)
        return found.probabilities(loaded.encode(found, "test"))


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
        name: One of `BASELINES`, or of `ALIASES`.
        model: Towers in their starting state, ranks and config; it is left as it was.
        data: What it is trained on; without images only frozen forms can be trained.
        run: Where complete epochs are kept; None keeps none.
        quiet: Whether to hide progress bars.

    Returns:
        A model that predicts, is saved and exported like any other, calibrated on the validation images.
    """
    name = one_name(name)
    objective = OBJECTIVES.get(name.removesuffix(FROZEN))
    if name in ("zero-shot", "zero-shot-raw"):
        found = _model(model, bare_sentences(model, raw=name == "zero-shot-raw"))
    elif objective is None:
        head = linear_probe if name == "linear-probe" else ridge
        found = _model(model, head=head(data.backbone, data.targets, model.ranks))
    elif name.endswith(FROZEN) and not isinstance(objective.head(model), PromptHead):
        found = _model(model, head=_frozen(objective, data, model.ranks))
    else:
        found = _trained(name, model, data, run, quiet)
    calibrate(found, data.encode(found, "val"), data.targets["val"])
    return found


def _model(
    model: L2RCLIP,
    text: Tensor | None = None,
    head: KernelHead | None = None,
    towers: Towers | None = None,
) -> L2RCLIP:
    """A model on the same towers, which stay frozen, or on others, which do not."""
    side: Any = "tower" if towers else "kernel"
    epochs1 = model.config.stage1_epochs()  # the run's own, whatever else trains here
    config = replace(model.config, image_side=side, epochs1=epochs1)
    text = model.rank_features.clone() if text is None else text  # what it learns stays its own
    found = L2RCLIP(towers or model.towers, model.ranks, config, rank_features=text)
    found.head = head
    return found.to(model.device)


def _frozen(objective: Objective, data: TrainingData, ranks: Ranks) -> KernelHead:
    """A linear head on cached features under the loss of the objective."""
    outputs, mask = len(ranks) - (objective.decoder in ("coral", "corn")), None
    root = torch.eye(outputs)
    if (
        objective.decoder == "coral"
    ):  # a column of weights that all outputs share, then one for each bias
        root = torch.cat([torch.ones(outputs, 1), root], dim=1)
        mask = torch.zeros(data.backbone["train"].shape[1] + 1, 1 + outputs)
        mask[:-1, 0] = mask[-1, 1:] = 1
    loss = partial(objective.batch_loss, position=losses.positions(ranks.values_tensor().double()))
    options: dict[str, Any] = {"decoder": objective.decoder, "root": root, "mask": mask}
    return linear_probe(data.backbone, data.targets, ranks, loss=loss, **options)


def _trained(
    name: str, model: L2RCLIP, data: TrainingData, run: RunDirectory | None, quiet: bool
) -> L2RCLIP:
    """What takes epochs: prompts on cached features, and whatever tunes the image tower."""
    plain = name.removesuffix(FROZEN)
    head = OBJECTIVES[plain].head(model).to(model.device)
    if isinstance(head, PromptHead):
        found = _train(plain + FROZEN, head, _model(model), data, run, quiet)
        if name.endswith(FROZEN):
            return found
        head = head.fixed()
    # a copy of the image tower is tuned, the text tower is shared
    towers = copy.deepcopy(model.towers, {id(model.towers.text): model.towers.text})
    return _train(name, head, _model(model, towers=towers), data, run, quiet)


def _train(
    name: str,
    head: nn.Module,
    model: L2RCLIP,
    data: TrainingData,
    run: RunDirectory | None,
    quiet: bool,
) -> L2RCLIP:
    """Train one stage of one baseline; the model becomes what it has learned."""
    objective = OBJECTIVES[name.removesuffix(FROZEN)]
    tuned = not name.endswith(FROZEN)
    config = model.config
    scale = model.scale.detach()
    position = losses.positions(model.ranks.values_tensor()).to(model.device)
    views = 2 if objective.decoder is None and config.augment else 1  # without augmentation a copy

    parameters = freeze(model, "stage 2")
    for key, value in head.named_parameters():
        if value.requires_grad:
            parameters[f"head.{key}"] = value

    if tuned:
        number, batch_size = objective.number, None
        lr, epochs = config.lr2 or model.towers.image_lr, config.epochs2
        image_features = GatheredImageSide(model)
    else:
        number, batch_size = objective.number + 1, data.feature_batch_size(config)
        lr, epochs = config.lr1, config.stage1_epochs()

    stage = Stage(
        number=number,
        parameters=parameters,
        data=data,
        model=model,
        lr=lr,
        epochs=epochs,
        batch_size=batch_size,
        factors={"coral_bias": float(scale)},  # CORAL's biases see no factor S
        name=name,
        run=run,
        quiet=quiet,
    )
    with stage.memory_in_words():
        for generator in stage.epochs():
            batches = data.feature_batches(model, generator)
            if tuned:
                batches = data.batches(model, generator, views=views)

            for images, target, rows in batches:
                features = image_features(images, len(rows), views) if tuned else images
                loss = objective.batch_loss(
                    head(scale * features),
                    target,
                    features=features,
                    scale=scale,
                    position=position,
                    label=position[target],
                )
                stage.step(loss, rows)

            _learn(model, objective, head, data)
            stage.end_epoch(model.probabilities(data.encode(model, "val")))

    stage.restore_best()
    _learn(model, objective, head, data)
    return model


@torch.no_grad()
def _learn(model: L2RCLIP, objective: Objective, head: nn.Module, data: TrainingData) -> None:
    """Make the model answer as the head does, whose input is S · features."""
    eye = torch.eye(model.towers.dim, device=model.device)
    if objective.decoder is None:  # a linear probe reads the features as they are now
        features = {split: data.encode(model, split) for split in ("train", "val")}
        found = linear_probe(features, data.targets, model.ranks)
    elif isinstance(head, PromptHead):
        model.rank_features.copy_(head(eye).T)
        return
    else:
        bias = head(0 * eye[:1])
        weight = torch.cat([head(model.scale * eye) - bias, bias / BIAS])
        found = KernelHead(len(eye), weight.shape[1], objective.decoder)
        found.weight.copy_(weight)
    model.head = found.to(model.device)
