"""A row of metrics for every arm of a study: many methods on the same image features.

A study has one data set, and one fold or seed. An arm is a name, a method (L2RCLIP or a baseline)
and the settings in which it differs. A condition changes the data set, such as four images per
rank. Everything else is shared: towers, features, budget, and that validation RPS chooses settings,
epoch and temperature.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rank_axis import rank_axis
from study_parts import (
    LEARNED,
    NO_TRAINING,
    PROTOTYPES,
    cut,
    freeze_early_blocks,
    image_scores,
    nearest_neighbours,
    seen_and_unseen,
    stretched,
)
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from l2rclip_book.statistics import ordinality, spearman_rho
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.baselines.training import train_objective
from l2rclip_lite.config import Config, LossWeights
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.image_side import sibling, train_kernel
from l2rclip_lite.method import Probabilities, Texts
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.model_file import ModelFile, begin, find_model_file
from l2rclip_lite.runs.results import judge
from l2rclip_lite.stages import stage1_epochs, stage2, stage2_epochs
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training import config_for
from l2rclip_lite.training_data import TrainingData

OURS = "L2RCLIP"
GIVEN_OUT = 1_000  # times are the sentences of the ranks given out at random
FAILED = 0.95  # of the validation RPS of the training frequencies: no better than a constant


# probabilities of the test images, and what else a row holds
Answer = tuple[Probabilities, dict[str, Any]]


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Args:
        name: Its name in the results.
        method: "L2RCLIP"; the same with fixed vectors, a key of `PROTOTYPES`; a name of
            `baselines.BASELINES`; "other-words", "own-numbers", "cut-points", "nearest",
            "rank-axis", "learned-prototypes", or "median-rank".
        settings: Fields of `Config` in which it differs from the study; those of `controls` are
            merged.
        rates: Learning rates of stage 2, each of which makes a row; see `Study.rows`.
        blocks: How many of the last blocks of the image tower train, beside the projection; None
            trains the whole tower. It is for L2RCLIP and fixed vectors.
        start: Which relative of the data set it begins with; see `work.relative_of`.

    Example:
        >>> blind = Arm("blind", settings={"controls": {"order": "blind"}})
        >>> blind.config(Config(epochs2=3)).controls.order
        'blind'
        >>> paper = Arm("paper", settings={"preset": "paper"})
        >>> paper.config(Config()) == Config(preset="paper")
        True
    """

    name: str
    method: str = OURS
    settings: Mapping[str, Any] = field(default_factory=dict)
    rates: Sequence[float] = ()
    blocks: int | None = None
    start: str = ""

    def at(self, rate: float) -> "Arm":
        """Return the arm at one learning rate, which its name says.

        Example:
            >>> Arm("sentences", rates=[7e-4, 2e-4]).at(2e-4).name
            'sentences, 0.0002'
        """
        settings = dict(self.settings) | {"lr2": rate}
        return replace(self, name=f"{self.name}, {rate:g}", settings=settings, rates=())

    def config(self, shared: Config) -> Config:
        """Return the settings of the study, changed by those of this arm."""
        settings = dict(self.settings)
        if "preset" in settings:
            # a preset decides what is not set, but the shared settings have set everything
            settings = dict.fromkeys(LossWeights._fields) | settings

        controls = replace(shared.controls, **settings.pop("controls", {}))
        return replace(shared, controls=controls, **settings)


def image_features(
    data: OrdinalDataset, towers: Towers, cache: Path | None = None
) -> dict[str, Float[Tensor, " dim"]]:
    """Return features of every image, before projection, by path.

    Args:
        data: All splits are encoded.
        towers: In their starting state.
        cache: See `L2RCLIP.encode`.

    Raises:
        InputError: An image cannot be read.
    """
    splits = [data.split(name) for name in SPLITS]
    listed: list[str] = []
    for split in splits:
        listed += split.paths

    # in every fold the same batches, and so the same rounding
    in_order = sorted(range(len(listed)), key=listed.__getitem__)
    images: Subset[tuple[Any, int]] = Subset(ConcatDataset(splits), in_order)
    model = L2RCLIP(towers, data.ranks, NO_TRAINING).to(towers.logit_scale.device)
    features = model.encode(images, backbone=True, cache=cache)
    return dict(zip(sorted(listed), features, strict=True))


class Study:
    """Train all arms of one study on one data set under one condition.

    Args:
        data: The data set.
        towers: In their starting state, on the device to compute on; every arm leaves them so.
        config: What the arms share.
        features: Of every image, by path; see `image_features`.
    """

    def __init__(
        self,
        data: OrdinalDataset,
        towers: Towers,
        config: Config,
        features: Mapping[str, Tensor],
    ) -> None:
        self.data = data
        self.towers = towers
        self.config = config_for(data, config)

        backbone = {}
        targets = {}
        images = {}
        for name in SPLITS:
            split = data.split(name)
            backbone[name] = torch.stack([features[path] for path in split.paths])
            targets[name] = torch.tensor(split.targets)
            images[name] = ResizedImages(split, towers.image_size)
        self.inputs = TrainingData.of(
            backbone, targets, self._model(data.ranks, NO_TRAINING), images
        )

    def rows(self, arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
        """Train every arm, and yield a row as soon as each is trained.

        An arm with several learning rates makes a row at each. Where all these trainings have
        failed, it is trained once more at a quarter of the lowest.

        Args:
            arms: What to train.

        Returns:
            `arm`, `method`, numbers of images and ranks, test metrics, the validation RPS where
            epochs compete, the choice of the kernel head and the order of its text features,
            `seconds`; and `images`, the scores of each test image.
        """
        for arm in arms:
            if not arm.rates:
                yield self._row(arm)
                continue

            lowest = math.inf
            for rate in arm.rates:
                row = self._row(arm.at(rate))
                lowest = min(lowest, row["val_rps"])
                yield row
            target = self.inputs.targets["val"]
            constant = rps(target, self._frequencies().expand(len(target), -1), self.data.ranks)
            if lowest > FAILED * constant:
                yield self._row(arm.at(min(arm.rates) / 4))

    def _row(self, arm: Arm) -> dict[str, Any]:
        """Train an arm and return its row."""
        data = self.data
        start = time.perf_counter()
        row: dict[str, Any] = {
            "arm": arm.name,
            "method": arm.method,
            "ranks": len(data.ranks),
            "n_train": len(data.train),
        }
        probabilities, facts = self._answer(arm.method, arm.config(self.config), arm.blocks)

        row |= judge(probabilities, data.test, data.ranks)
        row |= seen_and_unseen(probabilities, data)
        row |= facts
        row["seconds"] = round(time.perf_counter() - start, 2)
        row["images"] = image_scores(probabilities, data)
        return row

    def _frequencies(self) -> Float[Tensor, " rank"]:
        """Return the shares of the ranks among the training images."""
        n_ranks = len(self.data.ranks)
        counts = torch.bincount(self.inputs.targets["train"], minlength=n_ranks).double()
        return counts / counts.sum()

    def _answer(self, method: str, config: Config, blocks: int | None) -> Answer:
        """Train by one method and answer the test images.

        Args:
            method: See `Arm`.
            config: Of the arm.
            blocks: See `Arm`.
        """
        data = self.data
        inputs = self.inputs
        if method == "median-rank":
            # the frequencies of the training ranks, whose median it is
            return self._frequencies().expand(len(data.test), -1), {}
        if method == "nearest":
            return nearest_neighbours(inputs.backbone, inputs.targets, data.ranks), {}

        if method == OURS:
            return self._answer_ours(self._model(data.ranks, config), blocks)
        if method in ("own-numbers", "cut-points"):
            return self._answer_by_own_ranks(method, config), {}
        if method == "other-words":  # the sentences on towers and prompts as they are
            model = self._model(data.ranks, as_it_is(config))
            probabilities = model.probabilities(inputs.features["test"])
            return probabilities, _chance(probabilities, data)
        if method in PROTOTYPES:
            fixed = PROTOTYPES[method](data.ranks, self.towers, config.seed)
            return self._answer_ours(self._model(data.ranks, config, fixed), blocks)
        return self._answer_by_baseline(method, self._model(data.ranks, config))

    def _model(
        self,
        ranks: Ranks,
        config: Config,
        rank_features: Texts | None = None,
    ) -> L2RCLIP:
        """Return a model on the shared towers, on their device; see `L2RCLIP`.

        Where training begins with a relative, the shared towers are the relative's.
        """
        model = L2RCLIP(self.towers, ranks, config, rank_features)
        if config.start is not None:
            begin(model, config)
            model.refresh()
        return model.to(self.towers.logit_scale.device)

    def _answer_by_own_ranks(self, method: str, config: Config) -> Probabilities:
        """Ask the relative about its own ranks, and carry its answers over to those of the data.

        Over the new ranks the number that it expects is stretched, or cut by labels.
        """
        assert config.start is not None, "there is no relative to ask"

        # with its own ranks: their sentences, or its own outputs
        start = ModelFile.read(find_model_file(config.start))
        if start.head() is None:
            relative = self._model(start.ranks, as_it_is(config))
        else:
            relative = L2RCLIP.from_pretrained(config.start).to(self.towers.logit_scale.device)

        own = relative.ranks
        values = {}
        for split, features in self.inputs.features.items():
            values[split] = relative.probabilities(features) @ own.values_tensor()

        if method == "cut-points":
            return cut(values, self.inputs.targets, self.data.ranks)
        return stretched(values["test"], own, self.data.ranks)

    def _answer_by_baseline(self, method: str, model: L2RCLIP) -> Answer:
        """Train a baseline; of a tuned one the validation RPS is that of its kept epoch."""
        inputs = self.inputs
        if method == "rank-axis":
            head = rank_axis(inputs.backbone, inputs.targets, model.ranks)
            baseline = sibling(model, head=head)
        elif method == "learned-prototypes":
            baseline = train_objective(method, LEARNED, model, inputs, None, quiet=True)
        else:
            baseline = train_baseline(method, model, inputs)  # which calibrates it, too

        val_features = inputs.encode(baseline, "val")
        calibrate(baseline, val_features, inputs.targets["val"])
        test_probabilities = baseline.probabilities(inputs.encode(baseline, "test"))

        facts = {}
        if model.config.image_side == "tower":
            val_probabilities = baseline.probabilities(val_features)
            facts["val_rps"] = rps(inputs.targets["val"], val_probabilities, model.ranks)
        return test_probabilities, facts

    def _answer_ours(self, model: L2RCLIP, blocks: int | None) -> Answer:
        """Train both stages of L2RCLIP, and leave the shared towers as they were."""
        start = {name: value.clone() for name, value in self.towers.state_dict().items()}
        inputs = self.inputs
        list(stage1_epochs(model, inputs))

        facts: dict[str, Any] = {}
        if model.config.image_side == "kernel":
            choice = train_kernel(model, inputs)[0]
            for part in ("text", "numbers", "identity"):
                facts[f"kernel_{part}"] = choice[part]
        else:
            stage = stage2(model, inputs)
            if blocks is not None:
                freeze_early_blocks(stage.parameters, blocks)
            list(stage2_epochs(model, inputs, stage))

        val_features = inputs.encode(model, "val")
        facts["val_rps"] = calibrate(model, val_features, inputs.targets["val"])
        probabilities = model.probabilities(inputs.encode(model, "test"))
        self.towers.load_state_dict(start)

        facts["temperature"] = float(model.temperature)
        for name, value in ordinality(model.rank_features.cpu()).items():
            facts[f"text_{name}"] = value
        return probabilities, facts


def _chance(probabilities: Probabilities, data: OrdinalDataset) -> dict[str, float]:
    """Return what sentences given to random ranks order: 2.5 and 97.5 % of Spearman's ρ.

    The same with the lowest sentence at its rank, and how often such an order beats the right one.
    """
    answers = probabilities.double().numpy()
    values = np.array(data.ranks.values, dtype=float)
    true = values[np.array(data.test.targets)]
    right = spearman_rho((answers @ values)[None], true[None])[0]

    facts = {}
    for fixed, name in enumerate(("chance", "lowest_fixed")):
        generator = np.random.default_rng(0)
        shuffled = np.tile(values, (GIVEN_OUT, 1))
        shuffled[:, fixed:] = generator.permuted(shuffled[:, fixed:], axis=1)
        rho = spearman_rho(shuffled @ answers.T, true[None])
        facts[f"{name}_low"] = float(np.quantile(rho, 0.025))
        facts[f"{name}_high"] = float(np.quantile(rho, 0.975))
    facts["lowest_fixed_above"] = float((rho > right + 1e-9).mean())
    return facts


def as_it_is(config: Config) -> Config:
    """Return settings of a model that is not trained: only prompts that somebody trained stay.

    Example:
        >>> as_it_is(Config()).stage1_epochs(), as_it_is(Config(start="leaves-percent")).epochs1
        (0, 0)
    """
    start = config.start
    if start is not None and ModelFile.read(find_model_file(start)).has_prompts:
        return config
    return replace(config, epochs1=0)
