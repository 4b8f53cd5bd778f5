"""A CLIP without a single image: a linear map from the rows of a classifier to the names of its classes."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from open_clip import IMAGENET_CLASSNAMES
from torch import Tensor

from l2rclip_lite.towers.mini import MiniTowers, find_image_weights, load_backbone

NAME_TEMPLATE = "a photo of a {}"


def prototypes(
    towers: MiniTowers, number: int = 1000
) -> tuple[list[str], Float[Tensor, "name feature"], Float[Tensor, "name dim"]]:
    """Class names, rows W of the image classifier, and text embeddings T of the same things.

    Args:
        towers: `load_towers("mini")`; only their text side is used.
        number: How many of ImageNet's 1,000 names, evenly spread over their order (animals first,
            then things).

    Returns:
        The names; the 1,280 weights of the classifier per name; MiniLM's 384 numbers for "a photo
        of a NAME", of unit length and before any centring.
    """
    at = torch.arange(number) * len(IMAGENET_CLASSNAMES) // number
    names = [IMAGENET_CLASSNAMES[index] for index in at]
    plain = copy.deepcopy(towers)
    plain.text.get_buffer("mean").zero_()
    by_length = sorted(
        range(number), key=lambda index: len(names[index])
    )  # little padding in a batch
    texts = torch.empty(number, towers.dim)
    with torch.inference_mode():
        for start in range(0, number, 50):
            chosen = by_length[start : start + 50]
            texts[chosen] = plain.encode_text(
                [NAME_TEMPLATE.format(names[index]) for index in chosen]
            )
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
    rows = classifier.double()
    centred = (texts - mean).double()
    gram = rows @ rows.T + ridge * torch.eye(len(rows), dtype=torch.float64)
    projection = centred.T @ torch.linalg.solve(gram, rows)
    return {"projection": projection.float().contiguous(), "text_mean": mean}
