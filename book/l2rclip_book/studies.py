"""A row of metrics for every arm of a study: one data set, one fold or seed, many methods on the same image features.

An arm is a name, a method (L2RCLIP or a baseline) and the settings in which it differs. A condition
changes the data set, such as four images per rank. Everything else is shared: towers, features,
budget, and that validation RPS chooses settings, epoch and temperature.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from l2rclip_book.statistics import ordinality
from l2rclip_lite.baselines import check_baselines, train_baseline
from l2rclip_lite.calibration import calibrate
from l2rclip_lite.config import PRESETS, Config
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.protocols import apply_protocols
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.images import ResizedImages
from l2rclip_lite.metrics import evaluate, medians, rps, rps_of_images
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.results import judge
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stages import train_kernel, train_stage1, train_stage2

OURS = "L2RCLIP"
RANDOM = "random-prototypes"
NO_TEXT = Config(
    context_length=0, epochs1=0, controls={"rankformer": False}
)  # only its image tower is used


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Args:
        name: Its name in the results.
        method: "L2RCLIP", the same with "random-prototypes", a name of `baselines.BASELINES`, or
            "median-rank".
        settings: Fields of `Config` in which it differs from the study; those of `controls` are
            merged.

    Example:
        >>> Arm("blind", settings={"controls": {"order": "blind"}}).config(
        ...     Config(epochs2=3)
        ... ).controls.order
        'blind'
        >>> Arm("paper", settings={"preset": "paper"}).config(Config()) == Config(preset="paper")
        True
    """

    name: str
    method: str = OURS
    settings: Mapping[str, Any] = field(default_factory=dict)

    def config(self, shared: Config) -> Config:
        """The settings of the study, changed by those of this arm."""
        # a preset speaks where nothing is given, but the shared settings have an answer for
        # everything
        silent = dict.fromkeys(PRESETS["paper"]) if "preset" in self.settings else {}
        settings = silent | dict(self.settings)
        controls = replace(shared.controls, **settings.pop("controls", {}))
        return replace(shared, controls=controls, **settings)


def image_features(
    data: OrdinalDataset, towers: Towers, file: Path | None = None, *, quiet: bool = True
) -> dict[str, Float[Tensor, " dim"]]:
    """Features of every image of a data set, before their projection, by path; from a file where there is one.

    Args:
        data: All splits are encoded.
        towers: In their starting state.
        file: A safetensors file, written if it is not there; None keeps nothing.
        quiet: Whether to hide progress bars.

    Raises:
        InputError: An image or the file cannot be read, or the file holds other images.
    """
    splits = [data.split(name) for name in SPLITS]
    listed = [path for split in splits for path in split.paths]
    paths = sorted(listed)  # in every fold the same batches, and so the same rounding
    if file is not None and file.is_file():
        tensors, metadata = read_tensors(file)
        if json.loads(metadata.get("paths", "[]")) != paths:
            raise InputError(
                f"{file}: holds features of other images; delete it to compute them anew."
            )
        return dict(zip(paths, tensors["features"], strict=True))
    images = Subset(ConcatDataset(splits), sorted(range(len(listed)), key=listed.__getitem__))
    features = L2RCLIP(towers, data.ranks, NO_TEXT).encode(images, backbone=True, quiet=quiet)
    if file is not None:
        save_tensors(file, {"features": features}, {"paths": json.dumps(paths)})
    return dict(zip(paths, features, strict=True))


def reworded(
    data: OrdinalDataset, *, template: str | None = None, names: str | None = None, **options: Any
) -> OrdinalDataset:
    """A data set under another condition: other sentences, then what `protocols.apply_protocols` can do.

    Args:
        data: Any data set.
        template: Another sentence with `{rank}` in it.
        names: "digits" calls every rank by its value.
        options: Passed on.

    Raises:
        InputError: A change that cannot be made.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> leaves = load_dataset("leaves", size=60)
        >>> reworded(leaves, template="grade {rank}", names="digits").ranks.sentences[1]
        'grade 1'
    """
    if names not in (None, "digits"):
        raise InputError(f"names: {names!r} is unknown; the only choice is 'digits'.")
    old = data.ranks
    called = tuple(f"{value:g}" for value in old.values) if names else old.names
    if template or names:
        data = replace(
            data, ranks=Ranks(called, old.values, template or old.template, unit=old.unit)
        )
    return apply_protocols(data, **options)


def unseen_ranks(data: OrdinalDataset) -> list[int]:
    """The indices of the ranks without a training image, whoever took them away.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> unseen_ranks(load_dataset("leaves", size=60, hold_out=3))
        [2]
    """
    return [rank for rank, count in enumerate(data.counts("train")) if not count]


def seen_and_unseen(
    probabilities: Float[Tensor, "batch rank"], data: OrdinalDataset
) -> dict[str, float]:
    """Test metrics on the images of seen and of unseen ranks apart; the answer may be any rank in both.

    Args:
        probabilities: K per test image.
        data: Its training split says which ranks are unseen.

    Returns:
        `n`, `mae`, `mae_expected` (both in the unit of the ranks), `accuracy` and `one_off`, each with `_seen` and with
        `_unseen`. Nothing where the test split shows no unseen rank; only `_unseen` where it shows no other.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> data = load_dataset(
        ...     "leaves", size=60, hold_out=3
        ... )  # rank 2 is unseen; two test images per rank
        >>> lowest = torch.eye(5)[
        ...     torch.zeros(10, dtype=torch.long)
        ... ]  # answers rank 0 to every image
        >>> scores = seen_and_unseen(lowest, data)
        >>> scores["n_seen"], scores["mae_seen"], scores["n_unseen"], scores["mae_unseen"]
        (8.0, 2.0, 2.0, 2.0)
    """
    target = torch.tensor(data.test.targets)
    unseen = torch.isin(target, torch.tensor(unseen_ranks(data), dtype=target.dtype))
    scores: dict[str, float] = {}
    for name, part in (("seen", ~unseen), ("unseen", unseen)):
        if unseen.any() and part.any():
            metrics = evaluate(probabilities[part], target[part], data.ranks)
            kept = ("n", "mae", "mae_expected", "accuracy", "one_off")
            scores |= {f"{metric}_{name}": metrics[metric] for metric in kept}
    return scores


def random_prototypes(data: OrdinalDataset, towers: Towers, seed: int) -> Float[Tensor, "rank dim"]:
    """Fixed unit vectors that say nothing about the ranks, in place of text features."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(len(data.ranks), towers.dim, generator=generator), dim=1)


def image_scores(probabilities: Float[Tensor, "batch rank"], data: OrdinalDataset) -> pd.DataFrame:
    """What each test image adds to the three figures that are reported.

    Args:
        probabilities: K per test image.
        data: Whose test split it is.

    Returns:
        A row per image: `path`, `rps`, `error` of the median in the unit of the ranks, `hit` of the
        most probable rank.
    """
    p = probabilities.double().numpy()
    true = np.array(data.test.targets)
    values = np.array(data.ranks.values)
    scores = {"path": data.test.paths, "rps": rps_of_images(true, p)}
    return pd.DataFrame(
        scores | {"error": np.abs(values[medians(p)] - values[true]), "hit": p.argmax(1) == true}
    )


class Study:
    """All arms of one study on one data set.

    Args:
        data: The data set, before any condition.
        towers: In their starting state; every arm leaves them so.
        config: What the arms share.
        features: Of every image, by path; see `image_features`.
        quiet: Whether to hide progress bars.
    """

    def __init__(
        self,
        data: OrdinalDataset,
        towers: Towers,
        config: Config,
        features: Mapping[str, Tensor],
        *,
        quiet: bool = True,
    ) -> None:
        self.data = data
        self.towers = towers
        self.features = features
        self.quiet = quiet
        self.config = (
            replace(config, upside_down=not data.upright) if config.upside_down is None else config
        )
        self._inputs: dict[str, TrainingData] = {}  # by condition
        # arms that differ in stage 2 share stage 1
        self._stage1: dict[tuple[str, Config], dict[str, Tensor]] = {}

    def rows(
        self, arms: Sequence[Arm], condition: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Train every arm under a condition; a row each, as soon as it is known.

        Args:
            arms: What to train.
            condition: Arguments of `reworded`, whose seed is that of the config; none leaves the
                data as they are.

        Returns:
            `arm`, `method`, numbers of images and ranks, test metrics, the validation RPS where
            epochs compete, what the kernel head chose and the order of its text features,
            `seconds`; and `images`, the scores of each test image.
        """
        data = reworded(self.data, **(condition or {}), seed=self.config.seed)
        condition_key = json.dumps(condition or {}, sort_keys=True)
        for arm in arms:
            config = arm.config(self.config)
            start = time.perf_counter()
            facts = {"arm": arm.name, "method": arm.method}
            facts |= {"ranks": len(data.ranks), "n_train": len(data.train)}
            probabilities, more = self._answer(arm, data, config, condition_key)
            metrics = judge(probabilities, data.test, data.ranks) | seen_and_unseen(
                probabilities, data
            )
            more |= {"seconds": round(time.perf_counter() - start, 2)}
            yield facts | metrics | more | {"images": image_scores(probabilities, data)}

    def _answer(
        self, arm: Arm, data: OrdinalDataset, config: Config, condition: str
    ) -> tuple[Float[Tensor, "batch rank"], dict[str, Any]]:
        """Train one arm: probabilities of the test images, and what else is known."""
        inputs = self._training_data(data, condition)
        if arm.method == "median-rank":
            # the frequencies of the training ranks: their median, and honest about it
            share = torch.bincount(inputs.targets["train"], minlength=len(data.ranks)).double()
            return (share / share.sum()).expand(len(data.test), -1), {}
        fixed = random_prototypes(data, self.towers, config.seed) if arm.method == RANDOM else None
        model = L2RCLIP(self.towers, data.ranks, config, fixed)
        if arm.method not in (OURS, RANDOM):
            check_baselines([arm.method], config)
            done = train_baseline(arm.method, model, inputs, quiet=self.quiet)
            answers = {
                split: done.probabilities(inputs.encode(done, split)) for split in ("val", "test")
            }
            tuned = config.image_side == "tower"
            scores = (
                {"val_rps": rps(inputs.targets["val"], answers["val"], data.ranks)} if tuned else {}
            )
            return answers["test"], scores
        start = {name: value.clone() for name, value in self.towers.state_dict().items()}
        if config.stage1_epochs() and model.prompts is not None:
            controls = replace(config.controls, normalise="batch", push_power=1, kernel="chosen")
            later: dict[str, Any] = {
                "epochs2": 0,
                "lr2": None,
                "lambda_push": 0.0,
                "lambda_tight": 0.0,
                "lambda_rps": 0.0,
            }
            later |= {"augment": True, "preset": "paper"}
            key = (condition, replace(config, **later, controls=controls))
            if key not in self._stage1:
                train_stage1(model, inputs, quiet=self.quiet)
                self._stage1[key] = {
                    name: value.clone() for name, value in model.prompts.state_dict().items()
                }
            model.prompts.load_state_dict(self._stage1[key])
            model.refresh()
        more: dict[str, Any] = {}
        if config.image_side == "kernel":
            row = train_kernel(model, inputs)[0]
            more |= {f"kernel_{part}": row[part] for part in ("text", "numbers", "identity")}
        else:
            train_stage2(model, inputs, quiet=self.quiet)
        more["val_rps"] = calibrate(model, inputs.encode(model, "val"), inputs.targets["val"])
        probabilities = model.probabilities(inputs.encode(model, "test"))
        self.towers.load_state_dict(start)
        more["temperature"] = float(model.temperature)
        more |= {f"text_{key}": value for key, value in ordinality(model.rank_features).items()}
        return probabilities, more

    def _training_data(self, data: OrdinalDataset, condition: str) -> TrainingData:
        """Features, targets and images under a condition."""
        if condition not in self._inputs:
            parts = {split: data.split(split) for split in SPLITS}
            features = {
                split: torch.stack([self.features[path] for path in part.paths])
                for split, part in parts.items()
            }
            targets = {split: torch.tensor(part.targets) for split, part in parts.items()}
            images = {
                split: ResizedImages(part, self.towers.image_size) for split, part in parts.items()
            }
            model = L2RCLIP(self.towers, data.ranks, NO_TEXT)
            self._inputs[condition] = TrainingData.of(features, targets, model, images)
        return self._inputs[condition]
