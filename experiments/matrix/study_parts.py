"""Parts of a study: conditions, rivals that only studies have, and scores beside the usual ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Unpack

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from l2rclip_lite.baselines.prompts import Objective
from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.data.protocols import Changes, apply_protocols
from l2rclip_lite.heads import survival_probabilities
from l2rclip_lite.heads.calibration import fit_temperature, temper
from l2rclip_lite.heads.kernel import rank_kernel
from l2rclip_lite.method import Features, Logits, Probabilities, Texts
from l2rclip_lite.method.losses import ranked_probability_loss
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import evaluate, medians, rps, rps_of_images
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.base import Towers

# of a model that trains no prompts
NO_TRAINING = Config(context_length=0, epochs1=0, controls=Controls(rankformer=False))


def reworded(
    data: OrdinalDataset,
    *,
    template: str | None = None,
    names: Literal["digits"] | None = None,
    seed: int = 0,
    **changes: Unpack[Changes],
) -> OrdinalDataset:
    """Put a data set under another condition: other sentences, then changes of its images.

    Args:
        data: Any data set.
        template: Another sentence with `{rank}` in it.
        names: "digits" calls every rank by its value.
        seed: Of the changes.
        changes: See `protocols.apply_protocols`.

    Raises:
        InputError: A change that cannot be made.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> leaves = load_dataset("leaves", size=60)
        >>> reworded(leaves, template="grade {rank}", names="digits").ranks.sentences[1]
        'grade 1'
    """
    ranks = data.ranks
    if names == "digits":
        ranks = replace(ranks, names=tuple(f"{value:g}" for value in ranks.values))
    if template:
        ranks = replace(ranks, template=template)
    return apply_protocols(replace(data, ranks=ranks), seed=seed, **changes)


def random_prototypes(ranks: Ranks, towers: Towers, seed: int) -> Texts:
    """Return fixed unit vectors without any order of the ranks, in place of text features."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(len(ranks), towers.dim, generator=generator), dim=1)


def shuffled_sentences(ranks: Ranks, towers: Towers, seed: int) -> Texts:
    """Return the text features of the plain sentences, each at a rank that is drawn at random."""
    return _shuffled(L2RCLIP(towers, ranks, NO_TRAINING).rank_features, seed)


def number_prototypes(ranks: Ranks, towers: Towers, seed: int) -> Texts:
    """Return fixed unit vectors that are as alike as the numbers of the ranks are near.

    Their mean is subtracted, as that of the sentences of `mini` is, and a part of each is its own:
    neighbours have cosines of .1 to .7, as sentences have, and an image on its prototype can be
    sure of its rank. The directions are random.
    """
    texts = random_prototypes(ranks, towers, seed).double()
    kernel = rank_kernel(texts, ranks.values_tensor().double(), (0.0, 0.8, 0.2))
    directions = torch.linalg.qr(texts.T).Q.T  # orthonormal, one for each rank
    prototypes = torch.linalg.cholesky(kernel) @ directions
    return F.normalize(prototypes - prototypes.mean(dim=0), dim=1).float()


def shuffled_numbers(ranks: Ranks, towers: Towers, seed: int) -> Texts:
    """Return `number_prototypes`, each at a rank that is drawn at random."""
    return _shuffled(number_prototypes(ranks, towers, seed), seed)


def _shuffled(texts: Texts, seed: int) -> Texts:
    """Return the vectors in an order that is drawn with a seed."""
    generator = torch.Generator().manual_seed(seed)
    return texts[torch.randperm(len(texts), generator=generator)]


class LearnedPrototypes(nn.Module):
    """Unit vectors, one a rank, that train with the tower; they begin as `random_prototypes` do.

    Args:
        model: Ranks, towers and seed.
    """

    def __init__(self, model: L2RCLIP) -> None:
        super().__init__()
        start = random_prototypes(model.ranks, model.towers, model.config.seed)
        self.vectors = nn.Parameter(start)

    def forward(self, scaled: Features) -> Logits:
        """Return s·z · p_k, from s·z."""
        return scaled @ F.normalize(self.vectors, dim=1).T


# the loss of L2RCLIP's stage 2, towards targets that move
LEARNED = Objective(33, ranked_probability_loss, head=LearnedPrototypes, adds=True)
# by the name of the method that trains towards them
PROTOTYPES = {
    "random-prototypes": random_prototypes,
    "number-prototypes": number_prototypes,
    "shuffled-sentences": shuffled_sentences,
    "shuffled-numbers": shuffled_numbers,
}


def freeze_early_blocks(parameters: Mapping[str, nn.Parameter], blocks: int) -> None:
    """Let only the projection and the last blocks of the image tower `mini` train.

    Args:
        parameters: Of stage 2, by name.
        blocks: How many of its seven blocks; from one on, the layers behind them train, too.

    Example:
        >>> names = ["blocks.5.0.conv_pw.weight", "blocks.6.0.conv_pw.weight", "conv_head.weight"]
        >>> layers = {
        ...     f"towers.image.backbone.{name}": nn.Parameter(torch.ones(1)) for name in names
        ... }
        >>> freeze_early_blocks(layers, 1)
        >>> [parameter.requires_grad for parameter in layers.values()]
        [False, True, True]
    """
    last = [f"blocks.{block}" for block in range(7 - blocks, 7)]
    if blocks:
        last += ["conv_head", "bn2"]
    trained = ["projection", *(f"backbone.{layer}" for layer in last)]

    starts = tuple(f"towers.image.{layer}." for layer in trained)
    for name, parameter in parameters.items():
        parameter.requires_grad_(name.startswith(starts))


COUNTS = (1, 3, 5, 9, 17, 33)  # of neighbours


def nearest_neighbours(
    features: Mapping[str, Float[Tensor, "_ dim"]],
    targets: Mapping[str, Int[Tensor, " _"]],
    ranks: Ranks,
) -> Probabilities:
    r"""Answer test images by the ranks of the training images whose features are most alike.

    Likeness is the cosine. To the n neighbours one more is added that is of all ranks evenly. So no
    rank has probability 0, which a logarithm would punish without end, and a neighbour that is
    alone is believed by half:

    $$p_k=\frac{n_k+1/K}{n+1}$$

    The number of neighbours is chosen by validation RPS, then a temperature is fitted, as every
    baseline has one.

    Args:
        features: Image features of train, val and test.
        targets: Rank indices of train and val.
        ranks: The label space.

    Returns:
        K probabilities per test image.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> features = dict.fromkeys(("train", "val", "test"), torch.eye(2))
        >>> targets = dict.fromkeys(("train", "val"), torch.arange(2))
        >>> nearest_neighbours(features, targets, two).argmax(1)
        tensor([0, 1])
    """
    train = features["train"].numpy()
    numbers = [number for number in COUNTS if number <= len(train)]
    search = NearestNeighbors(n_neighbors=numbers[-1], metric="cosine").fit(train)

    def answers(split: str, count: int) -> Probabilities:
        rows = search.kneighbors(features[split].numpy(), return_distance=False)
        near = targets["train"][torch.from_numpy(rows[:, :count])]
        counts = F.one_hot(near, len(ranks)).sum(1).double()
        return (counts + 1 / len(ranks)) / (count + 1)

    best = min(numbers, key=lambda number: rps(targets["val"], answers("val", number), ranks))
    temperature = fit_temperature(answers("val", best).log(), targets["val"])
    return torch.from_numpy(temper(answers("test", best).log(), temperature))


STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # inverse penalties, of which validation images choose one


def stretched(values: Float[Tensor, " batch"], own: Ranks, ranks: Ranks) -> Probabilities:
    """Return probabilities whose expectation is a value, moved from one scale of ranks to another.

    The lowest value of the old scale becomes the lowest of the new one, the highest the highest;
    a value between two new ranks is shared by them. The order of the images stays.

    Args:
        values: Expected values on the old scale.
        own: The old scale.
        ranks: The new one.

    Example:
        >>> tens = Ranks.integers(0, 10, template="{rank}")
        >>> stretched(torch.tensor([0.0, 5.0]), tens, Ranks.integers(1, 4, template="{rank}"))
        tensor([[1.0000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.5000, 0.5000, 0.0000]], dtype=torch.float64)
    """
    old = own.values_tensor().double()
    new = ranks.values_tensor().double()
    share = (values.double() - old[0]) / (old[-1] - old[0])
    place = new[0] + share.clamp(0, 1) * (new[-1] - new[0])

    # each rank's share rises from 0 at the rank below to 1, and falls to 0 at the rank above
    shares = [np.interp(place.numpy(), new.numpy(), peak) for peak in np.eye(len(new))]
    return torch.from_numpy(np.stack(shares, axis=1))


def cut(
    values: Mapping[str, Float[Tensor, " batch"]],
    targets: Mapping[str, Int[Tensor, " batch"]],
    ranks: Ranks,
) -> Probabilities:
    """Return probabilities of the test images by one slope and K − 1 cut points.

    P(rank > k) = σ(w x − b_k), the proportional-odds model (McCullagh 1980), fitted as one logistic
    regression on the questions "is the rank above k?"; validation RPS chooses its penalty.

    Args:
        values: One number per image of `train`, `val` and `test`.
        targets: Rank indices of `train` and `val`.
        ranks: K ranks.

    Example:
        >>> x = torch.tensor([0.0, 1.0, 2.0, 3.0])
        >>> y = torch.tensor([0, 0, 1, 1])
        >>> parts = {"train": x, "val": x, "test": x}
        >>> cut(parts, {"train": y, "val": y}, Ranks.integers(0, 1, template="{rank}")).argmax(1)
        tensor([0, 0, 1, 1])
    """
    centre = values["train"].mean()
    spread = values["train"].std().clamp_min(1e-6)
    x = {split: ((part - centre) / spread).double().numpy() for split, part in values.items()}

    questions = _questions(x["train"], len(ranks))
    above = (targets["train"].numpy()[:, None] > np.arange(len(ranks) - 1)).ravel()

    candidates = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)
        candidates.append(model.fit(questions, above))

    def val_rps(model: LogisticRegression) -> float:
        return rps(targets["val"], _answers(model, x["val"], len(ranks)), ranks)

    return _answers(min(candidates, key=val_rps), x["test"], len(ranks))


def _questions(x: Float[np.ndarray, " batch"], n_ranks: int) -> Float[np.ndarray, "row feature"]:
    """Return a row for each image and threshold: the value, and which threshold is asked about."""
    which = np.tile(np.eye(n_ranks - 1), (len(x), 1))
    return np.column_stack([np.repeat(x, n_ranks - 1), which])


def _answers(
    model: LogisticRegression, x: Float[np.ndarray, " batch"], n_ranks: int
) -> Probabilities:
    """Return the probability of each rank from those of "above k"."""
    above = model.predict_proba(_questions(x, n_ranks))[:, 1].reshape(len(x), n_ranks - 1)
    return survival_probabilities(torch.from_numpy(above))


def seen_and_unseen(probabilities: Probabilities, data: OrdinalDataset) -> dict[str, float]:
    """Compute test metrics on images of seen and of unseen ranks apart, over answers of any rank.

    Args:
        probabilities: K per test image.
        data: Its training split says which ranks are unseen.

    Returns:
        `n`, `mae`, `mae_expected` (both in the unit of the ranks), `accuracy` and `one_off`, each
        with `_seen` and with `_unseen`. Nothing where the test split shows no unseen rank; only
        `_unseen` where it shows no other.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> data = load_dataset("leaves", size=60, hold_out=3)  # rank 2 is unseen, 2 test images
        >>> always_lowest = torch.eye(5)[torch.zeros(10, dtype=torch.long)]
        >>> scores = seen_and_unseen(always_lowest, data)
        >>> scores["n_seen"], scores["mae_seen"], scores["n_unseen"], scores["mae_unseen"]
        (8.0, 2.0, 2.0, 2.0)
    """
    target = torch.tensor(data.test.targets)
    unseen = torch.tensor(data.counts("train"))[target] == 0
    if not unseen.any():
        return {}

    scores: dict[str, float] = {}
    for name, part in (("seen", ~unseen), ("unseen", unseen)):
        if part.any():
            metrics = evaluate(probabilities[part], target[part], data.ranks)
            for metric in ("n", "mae", "mae_expected", "accuracy", "one_off"):
                scores[f"{metric}_{name}"] = metrics[metric]
    return scores


def image_scores(probabilities: Probabilities, data: OrdinalDataset) -> pd.DataFrame:
    """Compute the part of each test image in the three figures that are reported.

    Args:
        probabilities: K per test image.
        data: Whose test split it is.

    Returns:
        A row per image: `path`; `subject`, such as a tree, or the path where there is none; `rps`;
        `error` of the median and its `true` and `expected` value in the unit of the ranks; `hit` of
        the most probable rank.
    """
    p = probabilities.double().numpy()
    true = np.array(data.test.targets)
    values = np.array(data.ranks.values)
    scores = {
        "path": data.test.paths,
        "subject": data.test.subjects or data.test.paths,
        "rps": rps_of_images(true, p),
        "error": np.abs(values[medians(p)] - values[true]),
        "hit": p.argmax(1) == true,
        "true": values[true],
        "expected": p @ values,
    }
    return pd.DataFrame(scores)
