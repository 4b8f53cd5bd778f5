"""A CLIP without a single image: how well a linear map that has seen some class names finds others."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip import IMAGENET_CLASSNAMES
from torch import Tensor

from l2rclip_lite.mini import MiniTowers, find_image_weights, load_backbone

NAME_TEMPLATE = "a photo of a {}"


def prototypes(
    towers: MiniTowers, number: int = 1000
) -> tuple[list[str], Float[Tensor, "name feature"], Float[Tensor, "name dim"]]:
    """Class names, rows W of the image classifier, and text embeddings T of the same things.

    Args:
        towers: `load_towers("mini")`; only their text side is used.
        number: How many of ImageNet's 1,000 names, evenly spread over their order (animals first, then things).

    Returns:
        The names; the 1,280 weights of the classifier per name; MiniLM's 384 numbers for "a photo of a NAME",
        of unit length and before any centring.
    """
    at = torch.arange(number) * len(IMAGENET_CLASSNAMES) // number
    names = [IMAGENET_CLASSNAMES[index] for index in at]
    plain = copy.deepcopy(towers)
    plain.text.get_buffer("mean").zero_()
    by_length = sorted(range(number), key=lambda index: len(names[index]))  # little padding in a batch
    texts = torch.empty(number, towers.dim)
    with torch.inference_mode():
        for start in range(0, number, 50):
            chosen = by_length[start : start + 50]
            texts[chosen] = plain.encode_text([NAME_TEMPLATE.format(names[index]) for index in chosen])
    classifier = load_backbone(find_image_weights(), classifier=True).get_submodule("classifier")
    return (names, classifier.get_parameter("weight").detach()[at], texts)


def fit_alignment(
    classifier: Float[Tensor, "name feature"], texts: Float[Tensor, "name dim"], ridge: float = 10.0
) -> dict[str, Tensor]:
    r"""The linear map from image features to the text space, from names alone: $A = T_c^\top (W W^\top + \lambda I)^{-1} W$.

    Args:
        classifier: W, one row of the image classifier a name.
        texts: T, the unit embedding of each name.
        ridge: λ, on raw rows.

    Returns:
        `projection` (dim × feature) and `text_mean` (dim).
    """
    mean = texts.mean(0)
    rows, centred = classifier.double(), (texts - mean).double()
    gram = rows @ rows.T + ridge * torch.eye(len(rows), dtype=torch.float64)
    projection = centred.T @ torch.linalg.solve(gram, rows)
    return {"projection": projection.float().contiguous(), "text_mean": mean}


def split_names(count: int, seed: int) -> tuple[Int[Tensor, " seen"], Int[Tensor, " unseen"]]:
    """Four names of five to fit on and the rest to find, both in ImageNet's order.

    Example:
        >>> [len(part) for part in split_names(1000, seed=0)]
        [800, 200]
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    seen, unseen = order.tensor_split([round(0.8 * count)])
    return seen.sort().values, unseen.sort().values


def unseen_similarity(
    classifier: Float[Tensor, "name feature"],
    texts: Float[Tensor, "name dim"],
    ridge: float,
    *,
    seed: int,
    shuffle: bool = False,
) -> Float[Tensor, "unseen unseen"]:
    """Cosine of each unseen name (row) with each unseen classifier row (column), by `fit_alignment`.

    Args:
        classifier: W, from `prototypes`.
        texts: T, from `prototypes`.
        ridge: λ, above 0.
        seed: Of the split.
        shuffle: Whether to fit on wrong pairs, the control.
    """
    seen, unseen = split_names(len(texts), seed)
    pairs = seen
    if shuffle:
        pairs = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed + 1))]
    fitted = fit_alignment(classifier[seen], texts[pairs], ridge)
    sentences = F.normalize(texts[unseen] - fitted["text_mean"], dim=1)
    return sentences @ F.normalize(classifier[unseen] @ fitted["projection"].T, dim=1).T


def recall(similarity: Float[Tensor, "unseen unseen"], k: int = 1) -> float:
    """The share of rows whose own column is among the k most similar; chance k / n.

    Example:
        >>> (recall(torch.tensor([[0.9, 0.1], [0.8, 0.2]])), recall(torch.eye(2), k=2))
        (0.5, 1.0)
    """
    above = (similarity > similarity.diagonal()[:, None]).sum(1)
    return float((above < k).float().mean())
