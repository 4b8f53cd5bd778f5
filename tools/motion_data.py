"""Train L2RCLIP and cross-entropy as chapter 7 does, and keep every epoch on one fixed map.

    python tools/motion_data.py

`book/results/motion.json` holds, for each epoch, the places of 260 fresh leaves and of what stands
for each rank (sentences; for cross-entropy the weight vectors of its linear layer) on one plane
that stays as it is. It is spanned by the two largest directions of the images of both models after
training; no label enters but two signs. Takes about two minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import chapters
import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.colors import to_hex
from scipy.spatial.distance import pdist
from torch import Tensor

from l2rclip_book.plots import rank_colours
from l2rclip_book.statistics import spearman_rho
from l2rclip_lite import L2RCLIP, Config, load_dataset
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.files import write_text
from l2rclip_lite.heads import BIAS
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import mae
from l2rclip_lite.stages import stage1_epochs, stage2_epochs
from l2rclip_lite.training_data import TrainingData

FILE = chapters.BOOK / "results" / "motion.json"
SEED = 0
UNIT = 0.001  # of a place, in lengths of a feature
# as in chapter 7
SETTINGS = Config(
    preset="paper",
    image_size=64,
    batch_size=64,
    epochs1=10,
    lr1=1e-3,
    epochs2=6,
    upside_down=True,
    seed=SEED,
    threads=1,
)
BATCH2 = 16

Points = Float[np.ndarray, "point dim"]
Index = Int[np.ndarray, " image"]


class Moment(NamedTuple):
    """Images and what stands for each rank, at one moment: features, and a bias for each rank."""

    images: Points
    ranks: Points
    bias: Float[np.ndarray, " rank"] | float = 0.0


class WatchedData(TrainingData):
    """Training data that call `watch` whenever a baseline ends an epoch."""

    watch: Callable[[L2RCLIP], object]

    def encode(self, model: L2RCLIP, split: str) -> Float[Tensor, "batch dim"]:
        """Encode a split, as each epoch ends by doing with the validation images."""
        self.watch(model)
        return super().encode(model, split)


def moments() -> tuple[list[Moment], list[Moment], int, Index, Ranks]:
    """Train both models.

    Returns:
        Moments of L2RCLIP from the start to the kept epoch of stage 1 and through stage 2; those of
        cross-entropy, from the same start; the kept epoch; the rank index of each fresh image; the
        ranks.
    """
    unseen = load_dataset("leaves", ranks=10, size=360, seed=SEED + 1).train
    data = load_dataset("leaves", ranks=10, size=700, seed=SEED)
    model = L2RCLIP.build(data.ranks, SETTINGS)
    fresh = ResizedImages(unseen, model.towers.image_size)
    training = TrainingData.load(data, model)

    def moment(of: L2RCLIP) -> Moment:
        images = of.encode(fresh).double().numpy()
        if of.head is None:
            return Moment(images, of.rank_features.double().numpy().copy())
        weight = (of.head.weight / of.scale.detach().cpu()).double().numpy()
        return Moment(images, weight[:-1].T.copy(), BIAS * weight[-1])

    first = [moment(model)]
    history = []
    for row in stage1_epochs(model, training):
        history.append(row)
        first.append(moment(model))
    kept = min(history, key=lambda row: (row["val_rps"], row["val_mae"], row["epoch"]))
    first = first[: int(kept["epoch"]) + 1]
    model.config = replace(model.config, batch_size=BATCH2, lr2=2e-4)

    rival = [first[0]._replace(ranks=np.zeros_like(first[0].ranks))]
    watched = WatchedData(**vars(training))
    watched.watch = lambda of: rival.append(moment(of))
    train_baseline("cross-entropy", model, watched)
    # the baseline encodes once more at its end, for a temperature
    rival = rival[: SETTINGS.epochs2 + 1]

    model.config = replace(model.config, lr2=7e-4)
    second = [moment(model) for _ in stage2_epochs(model, training)]
    labels = np.array(unseen.targets)
    return first + second, rival, len(first) - 1, labels, data.ranks


def fixed_plane(ends: Sequence[Points], labels: Index) -> Points:
    """Return the two largest directions of several clouds of the same images, each about its mean.

    Their signs are those of chapter 7: the first rises with the rank, on the second both ends of
    the scale lie above its middle.

    Args:
        ends: Clouds, which count alike.
        labels: Rank index of each image.
    """
    spread = []
    for images in ends:
        centred = images - images.mean(0)
        spread.append(centred / np.linalg.norm(centred))
    axes = np.linalg.svd(np.concatenate(spread), full_matrices=False)[2][:2]

    rise = labels - labels.mean()
    bend = rise**2 - (rise**2).mean()
    sign = np.sign((np.stack([rise, bend]) @ sum(spread) * axes).sum(1))
    return axes * sign[:, None]


def panel(
    title: str, steps: Sequence[Moment], plane: Points, labels: Index, ranks: Ranks
) -> dict[str, Any]:
    """Return places of images and ranks at each moment, in lengths of a feature, and scores.

    What stands for the ranks is moved to the middle of the last images and stretched to their
    spread, by the same shift and factor at all moments. `shows` is the share of the variance of the
    last images that the plane keeps, `rho` Spearman's ρ between rank gaps and cosine distances of
    all pairs of images, `error` the mean error of the most similar sentence or weight vector.

    Args:
        title: Of the panel.
        steps: The moments of a model.
        plane: Two directions.
        labels: Rank index of each image.
        ranks: The label space.
    """
    images = np.stack([step.images for step in steps])
    vectors = np.stack([step.ranks for step in steps])
    images_middle = images[-1].mean(0)
    vectors_middle = vectors[-1].mean(0)
    variance = np.square(images[-1] - images_middle).sum()
    vectors_variance = np.square(vectors[-1] - vectors_middle).sum()
    factor = np.sqrt(variance / len(labels) / vectors_variance * len(ranks))
    places = (images - images_middle) @ plane.T

    gap = pdist(labels[:, None], "cityblock")
    rho = []
    error = []
    for step in steps:
        distance = pdist(step.images, "cosine")
        rho.append(round(100 * float(spearman_rho(gap[None], distance[None])[0])))
        answers = (step.images @ step.ranks.T + step.bias).argmax(1)
        error.append(round(10 * float(mae(torch.tensor(labels), torch.tensor(answers), ranks))))
    return {
        "title": title,
        "shows": round(float(np.square(places[-1]).sum() / variance), 3),
        "images": places,
        "ranks": factor * (vectors - vectors_middle) @ plane.T,
        "rho": rho,
        "error": error,
    }


def content(
    ours: Sequence[Moment], rival: Sequence[Moment], kept: int, labels: Index, ranks: Ranks
) -> dict[str, Any]:
    """Return what the page needs: places as whole numbers from the corner of the map.

    Args:
        ours: Moments of L2RCLIP, one a frame.
        rival: Moments of cross-entropy, the first for all of stage 1.
        kept: Epochs of stage 1.
        labels: Rank index of each image.
        ranks: The label space.
    """
    plane = fixed_plane([ours[-1].images, rival[-1].images], labels)
    frames = {"L2RCLIP": ours, "cross-entropy": [rival[0]] * kept + list(rival)}
    panels = [panel(title, steps, plane, labels, ranks) for title, steps in frames.items()]

    places = []
    for made in panels:
        places += [*made["images"], *made["ranks"]]
    every = np.concatenate(places)
    margin = 0.03 * (every.max(0) - every.min(0))
    corner = every.min(0) - margin
    for made in panels:
        store_places(made, corner)

    return {
        "seed": SEED,
        "unit": ranks.unit,
        "ends": [ranks.names[0], ranks.names[-1]],
        "epochs": [kept, SETTINGS.epochs2],
        "moves": ["sentences move", "images move"],
        "colours": [to_hex(colour) for colour in rank_colours(len(ranks))],
        "labels": labels.tolist(),
        "box": ((every.max(0) + margin - corner) / UNIT).round().astype(int).tolist(),
        "panels": panels,
    }


def store_places(made: dict[str, Any], corner: Float[np.ndarray, " 2"]) -> None:
    """Replace the places of a panel by whole numbers; those that stay are stored once."""
    indices = []
    for name in ("images", "ranks"):
        frames = ((made[name] - corner) / UNIT).round().astype(int).reshape(len(made[name]), -1)
        moved = np.array([True, *(frames[1:] != frames[:-1]).any(1)])
        made[name] = frames[moved].tolist()
        indices.append(moved.cumsum() - 1)
    made["frames"] = np.stack(indices, axis=1).tolist()


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    commit = {"commit": chapters.short_commit()}
    write_text(FILE, json.dumps(commit | content(*moments()), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
