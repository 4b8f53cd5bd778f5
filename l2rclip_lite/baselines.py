"""What any claim must be held against: the same towers, data, budget, choice of epoch and inference rule as L2RCLIP.

`NAME` fine-tunes the image tower under another loss, with stage 2's epochs, learning rate and augmentation.
`NAME-frozen` trains what stands on the tower, on image features computed once, with stage 1's epochs and learning rate.
With `image_side="adapter"` the adapter is tuned in the tower's place, on the cached features, with stage 2's budget.
`coop` and `ordinalclip` are first trained as their `-frozen` forms, then fine-tune the tower against the text features
found, as L2RCLIP does. `supcon` and `rank-n-contrast` train features; a linear probe on them answers.

Every method answers with a row of K probabilities, and `metrics.evaluate` judges both its maximum and its expectation.
So "cross-entropy with the expected value", a strong baseline of the literature, needs no training of its own: it is
`mae_expected` in the row of `cross-entropy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from l2rclip_lite import distributed
from l2rclip_lite.adapter import FeatureMap
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.choices import BASELINES, FROZEN
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.feature_cache import shared_features
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.objectives import OBJECTIVES, Batch, Objective
from l2rclip_lite.ordinal_losses import extra, positions
from l2rclip_lite.pixels import PixelSource, announce
from l2rclip_lite.probes import linear_probe, ridge, zero_shot
from l2rclip_lite.prompt_baselines import PromptHead
from l2rclip_lite.readouts import prototype_probabilities
from l2rclip_lite.schemes import encode
from l2rclip_lite.stages import ADAPTER, Stage, freeze, train_stage


def check_baselines(names: Sequence[str], config: Config | None = None, *, option: str = "baselines") -> None:
    """Refuse a baseline that cannot run before anything is trained.

    Args:
        names: What was asked for.
        config: The settings it shall run under.
        option: How the user spelt the setting.

    Raises:
        InputError: An unknown name, a library that is not installed, or settings that leave nothing to train.

    Example:
        >>> check_baselines(["ridge", "coop-frozen"], Config(context_length=0))
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.InputError: baselines: coop-frozen learns the context; set context_length, or leave it out.
    """
    for name in names:
        if name not in BASELINES:
            raise InputError(f"{option}: {name!r} is unknown; choose from {', '.join(BASELINES)}.")
        objective = OBJECTIVES.get(name.removesuffix(FROZEN))
        if objective and objective.needs:
            extra(objective.needs)
        if name.removesuffix(FROZEN) == "coop" and config and not config.context_length:
            raise InputError(f"{option}: {name} learns the context; set context_length, or leave it out.")


@dataclass(frozen=True)
class Bench:
    """What all baselines of a run share.

    Args:
        model: Towers in their starting state, ranks and config.
        pixels: Pictures of each split.
        features: Image features of each split, of the towers in their starting state.
        targets: Rank indices of each split.
        checkpoint: Where complete epochs are kept; None keeps none.
        quiet: Whether to hide progress bars.
        paths: Names of the pictures of each split, for error messages.
    """

    model: L2RCLIP
    pixels: Mapping[str, PixelSource]
    features: dict[str, Float[Tensor, "_ dim"]]
    targets: dict[str, Int[Tensor, " _"]]
    checkpoint: Checkpoint | None
    quiet: bool = False
    paths: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[Sequence[str], Sequence[str]]:
        """Of the training and of the validation pictures, as far as they are known."""
        return self.paths.get("train", ()), self.paths.get("val", ())


def run_baseline(name: str, bench: Bench) -> Float[Tensor, "batch rank"]:
    """Train a baseline and let it answer on the test split.

    Args:
        name: One of `choices.BASELINES`.
        bench: What it is trained on. Names without `-frozen` change the image tower of its model.

    Returns:
        A row of K probabilities for each test picture.
    """
    features, targets, ranks = bench.features, bench.targets, bench.model.ranks
    if name in ("zero-shot", "zero-shot-raw"):
        return zero_shot(bench.model, features["test"], raw=name == "zero-shot-raw")
    if name == "linear-probe":
        return linear_probe(features, targets, ranks)
    if name == "ridge":
        return ridge(features, targets, ranks)
    objective = OBJECTIVES[name.removesuffix(FROZEN)]
    head = objective.head(bench.model).to(bench.model.rank_features.device)
    if name.endswith(FROZEN):
        return _Training(name, bench, objective, head, tower=False).run()
    if isinstance(head, PromptHead):
        _Training(name + FROZEN, bench, objective, head, tower=False).run()
        head = head.fixed()
    return _Training(name, bench, objective, head, tower=True).run()


class _Training:
    """One stage of one baseline.

    Args:
        name: For the progress bar.
        bench: What it is trained on.
        objective: Its row of the table.
        head: Takes S · features.
        tower: Whether the image tower trains; else the features are the cached ones.
    """

    def __init__(
        self, name: str, bench: Bench, objective: Objective, head: nn.Module, *, tower: bool
    ) -> None:
        self.name, self.bench, self.objective, self.head, self.tower = name, bench, objective, head, tower
        self.model, self.config, self.targets = bench.model, bench.model.config, bench.targets
        self.device = bench.model.rank_features.device
        mapped = objective.on_features and not tower
        self.adapted = tower and bench.model.config.image_side == "adapter"
        self.map = (FeatureMap(self.model.towers.dim) if mapped else nn.Identity()).to(self.device)
        self.cached = bench.features["train"].to(self.device)
        self.position = positions(self.model.ranks.values_tensor()).to(self.device)
        # without augmentation a second view would be a copy
        pictures = tower and not self.adapted
        self.views = 2 if objective.readout is None and pictures and self.config.augment else 1

    def run(self) -> Float[Tensor, "batch rank"]:
        """Train, then answer on the test split."""
        targets, ranks, bench = (self.targets["train"], self.targets["val"]), self.model.ranks, self.bench
        names, quiet = bench.names, bench.quiet
        train_stage(self.stage(), targets, ranks, self.config, bench.checkpoint, paths=names, quiet=quiet)
        if self.objective.readout is not None:
            return self.probabilities("test")
        with torch.inference_mode():
            features = {split: self.features(split).cpu() for split in self.targets}
        return linear_probe(features, self.targets, self.model.ranks)

    def stage(self) -> Stage:
        """What trains, and with whose budget."""
        config = self.config
        # 1: no gradient enters either tower
        trained = freeze(self.model, ADAPTER if self.adapted else 2 if self.tower else 1)
        parameters = trained if self.tower else {}
        for part, module in (("head", self.head), ("map", self.map)):
            parameters |= {f"{part}.{n}": p for n, p in module.named_parameters() if p.requires_grad}
        return Stage(
            self.objective.number + (0 if self.tower else 1),
            self.name,
            parameters,
            config.epochs2 if self.tower else config.epochs1,
            (config.lr2 or self.model.towers.image_lr) if self.tower else config.lr1,
            self.loss,
            lambda: self.probabilities("val"),
            # CORAL's one weight vector cannot stand in for its biases, which see no factor S
            {"projection": config.projection_lr_factor, "coral_bias": float(self.model.scale.detach())},
            "--lr2" if self.tower else "--lr1",
            coming=self.coming,
            shared=self.tower and not self.adapted,
        )

    def coming(self, batches: Sequence[Tensor]) -> None:
        """What an epoch will ask for."""
        if self.tower and not self.adapted:
            announce(self.bench.pixels["train"], batches)

    def loss(self, chosen: Int[Tensor, " batch"], generator: torch.Generator) -> Float[Tensor, ""]:
        """The objective on a batch, of two views where it compares features."""
        if self.adapted:
            features = self.model.adapter(self.cached[chosen])
        elif self.tower:
            pixels = self.bench.pixels["train"][distributed.mine(chosen)]
            views = [encode(self.model, pixels, len(chosen), generator) for _ in range(self.views)]
            features = torch.cat(views)
        else:
            features = self.map(self.cached[chosen])
        target = self.targets["train"][chosen].to(self.device).repeat(self.views)
        scale = self.model.scale
        return self.objective.loss(Batch(features, self.head(scale * features), target, self.position, scale))

    def features(self, split: str) -> Float[Tensor, "batch dim"]:
        """Unit features of a split, as they are now."""
        bench = self.bench
        if self.adapted:
            adapted: Tensor = self.model.adapter(bench.features[split].to(self.device))
            return adapted
        features = shared_features(self.model, bench.pixels[split]) if self.tower else bench.features[split]
        mapped: Tensor = self.map(features.to(self.device))
        return mapped

    @torch.inference_mode()
    def probabilities(self, split: str) -> Float[Tensor, "batch rank"]:
        """A row of K for each picture of a split."""
        features, scale = self.features(split), self.model.scale
        if self.objective.readout is not None:
            return self.objective.readout(self.head(scale * features)).cpu()
        train, target = self.features("train"), self.targets["train"].to(self.device)
        return prototype_probabilities(features, train, target, len(self.model.ranks), scale).cpu()
