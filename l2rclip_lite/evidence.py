"""A row of metrics for every arm of a study: one data set, one fold or seed, many methods on the same image features.

An arm is a name, a method (L2RCLIP or a baseline) and the settings in which it differs. A condition changes the data
set, such as four pictures a rank. Everything else is shared: towers, features, budget, choice of epoch, inference rule.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from l2rclip_lite.baselines import Bench, check_baselines, run_baseline
from l2rclip_lite.checkpoint import read_tensors
from l2rclip_lite.choices import FROZEN, PROBES
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import save_tensors
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ordinality import ordinality
from l2rclip_lite.pixels import load_pixels
from l2rclip_lite.protocols import apply_protocols
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Towers
from l2rclip_lite.training import judge, median_rank, run_l2rclip

OURS = "L2RCLIP"
# Settings that stage 1 does not read, at the values under which its result is kept.
STAGE_2: dict[str, Any] = {"epochs2": 0, "lr2": None, "lambda2": 0.0, "ordinal_loss": "pairwise"}
STAGE_2 |= {"normalise": "batch", "push_power": 1, "projection_lr_factor": 1.0, "augment": True}


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Args:
        name: As it stands in the results.
        method: "L2RCLIP", a name of `choices.BASELINES`, or "median-rank".
        settings: Fields of `Config` in which it differs from the study.
    """

    name: str
    method: str = OURS
    settings: Mapping[str, Any] = field(default_factory=dict)


def image_features(
    data: OrdinalDataset, towers: Towers, file: Path | None = None, *, quiet: bool = True
) -> dict[str, Float[Tensor, " dim"]]:
    """Features of every picture of a data set, by path, from a file where they stand already.

    Args:
        data: All splits are encoded, each path once.
        towers: In their starting state.
        file: A safetensors file, written if it is not there; None keeps nothing.
        quiet: Whether to hide progress bars.

    Raises:
        InputError: A picture or the file cannot be read, or the file holds other pictures.
    """
    paths = sorted({path for split in SPLITS for path in data.split(split).paths})
    if file is not None and file.is_file():
        try:
            tensors, metadata = read_tensors(file)
        except SafetensorError as error:
            raise InputError(f"{file}: damaged ({error}); delete it to compute the features anew.") from error
        if json.loads(metadata.get("paths", "[]")) != paths:
            raise InputError(f"{file}: holds features of other pictures; delete it to compute them anew.")
        return dict(zip(paths, tensors["features"], strict=True))
    found: dict[str, Tensor] = {}
    with torch.inference_mode():
        for split in SPLITS:
            part = data.split(split)
            for pixels, names in zip(
                torch.split(load_pixels(part, towers, quiet=quiet), 32), _chunks(part.paths, 32), strict=True
            ):
                rows = towers.encode_image(towers.normalize(pixels.float() / 255)).float()
                found |= dict(zip(names, rows.clone(), strict=True))
    if file is not None:
        stacked = torch.stack([found[path] for path in paths])
        save_tensors(file, {"features": stacked}, {"paths": json.dumps(paths)})
    return found


def _chunks(paths: list[str] | tuple[str, ...], size: int) -> Iterator[list[str]]:
    """Paths in groups as `Tensor.split` makes them."""
    return (list(paths[start : start + size]) for start in range(0, len(paths), size))


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
        data = replace(data, ranks=Ranks(called, old.values, template or old.template, unit=old.unit))
    return apply_protocols(data, **options)


class Study:
    """All arms of one study on one data set.

    Args:
        data: The data set, before any condition.
        towers: In their starting state.
        config: What the arms share.
        features: Of every picture, by path; see `image_features`.
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
        self.data, self.towers, self.config, self.features, self.quiet = data, towers, config, features, quiet
        self._start = {
            name: value.clone() for name, value in towers.get_submodule("image").state_dict().items()
        }
        self._stage1: dict[
            tuple[str, Config], dict[str, Tensor]
        ] = {}  # arms that differ in stage 2 share stage 1
        self._pixels: dict[str, Tensor] = {}

    def rows(
        self, arms: Sequence[Arm], condition: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Train every arm under a condition; a row each, as soon as it is known.

        Args:
            arms: What to train.
            condition: Arguments of `reworded`, whose seed is that of the config; none leaves the data as they are.

        Returns:
            `arm`, `method`, `image_side`, numbers of pictures and ranks, test metrics, of L2RCLIP the order of its text
            features, `seconds`.
        """
        condition = dict(condition or {})
        data = reworded(self.data, **condition, seed=self.config.seed)
        for arm in arms:
            config = replace(self.config, **arm.settings)
            start = time.perf_counter()
            found = self._measure(arm, data, config, json.dumps(condition, sort_keys=True))
            about: dict[str, Any] = {
                "arm": arm.name,
                "method": arm.method,
                "image_side": _side(arm.method, config),
            }
            about |= {"ranks": len(data.ranks), "n_train": len(data.train)}
            yield about | found | {"seconds": round(time.perf_counter() - start, 2)}

    def _measure(self, arm: Arm, data: OrdinalDataset, config: Config, condition: str) -> dict[str, float]:
        """Train one arm and judge it on the test split."""
        if arm.method == "median-rank":
            return median_rank(data)
        self.towers.get_submodule("image").load_state_dict(self._start)
        model = L2RCLIP(self.towers, data.ranks, config)
        features = {
            split: torch.stack([self.features[path] for path in data.split(split).paths]) for split in SPLITS
        }
        targets = {split: torch.tensor(data.split(split).targets) for split in SPLITS}
        pixels = self._pixels_of(data) if config.image_side == "tower" else {}
        paths = {split: data.split(split).paths for split in SPLITS}
        bench = Bench(model, pixels, features, targets, None, self.quiet, paths)
        if arm.method != OURS:
            check_baselines([arm.method], config)
            return judge(run_baseline(arm.method, bench), data, "test")
        return self._measure_ours(bench, data, condition)

    def _measure_ours(self, bench: Bench, data: OrdinalDataset, condition: str) -> dict[str, float]:
        """L2RCLIP; stage 1 is taken from an earlier arm where that had the same settings and data."""
        model, config = bench.model, bench.model.config
        if config.scheme == "two-stage" and config.epochs1:
            key = (condition, replace(config, **STAGE_2))
            if key not in self._stage1:
                model.config = key[1]
                run_l2rclip(bench)
                self._stage1[key] = {k: v.clone() for k, v in model.prompts.state_dict().items()}
            model.prompts.load_state_dict(self._stage1[key])
            model.config = replace(config, epochs1=0)
        run_l2rclip(bench)
        model.config = config
        if config.image_side == "tower":
            features = model.features(bench.pixels["test"])
        else:
            with torch.inference_mode():
                features = model.adapter(bench.features["test"])
        found = judge(model.probabilities(features), data, "test")
        order = {f"text_{name}": value for name, value in ordinality(model.rank_features).items()}
        return found | order

    def _pixels_of(self, data: OrdinalDataset) -> dict[str, Tensor]:
        """Squashed pictures, read once."""
        for split in SPLITS:
            part = data.split(split)
            new = part.subset(i for i, path in enumerate(part.paths) if path not in self._pixels)
            if len(new):
                self._pixels |= dict(
                    zip(new.paths, load_pixels(new, self.towers, quiet=self.quiet), strict=True)
                )
        return {
            split: torch.stack([self._pixels[path] for path in data.split(split).paths]) for split in SPLITS
        }


def _side(method: str, config: Config) -> str:
    """What moves on the image side."""
    moves = method not in PROBES and not method.endswith(FROZEN) and method != "median-rank"
    if method == OURS and not config.epochs2:
        moves = False
    return config.image_side if moves else "none"
