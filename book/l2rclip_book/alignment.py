"""A CLIP without an image: a linear map from an image classifier's rows to its class names."""

import copy

import torch
from jaxtyping import Float
from open_clip import IMAGENET_CLASSNAMES
from sklearn.linear_model import Ridge
from torch import Tensor

from l2rclip_lite.towers.mini import MiniTowers, find_image_weights, load_backbone

NAME_TEMPLATE = "a photo of a {}"


@torch.inference_mode()
def prototypes(
    towers: MiniTowers, number: int = 1000
) -> tuple[list[str], Float[Tensor, "name feature"], Float[Tensor, "name dim"]]:
    """Return class names, their rows W of the image classifier, and their text embeddings T.

    Args:
        towers: `load_towers("mini")`; only their text side is used.
        number: How many of ImageNet's 1,000 names, evenly spread over their order (animals first,
            then things).

    Returns:
        The names; the 1,280 weights of the classifier per name; MiniLM's 384 numbers for "a photo
        of a NAME", of unit length and before any centring.
    """
    classes = torch.arange(number) * len(IMAGENET_CLASSNAMES) // number
    names = [IMAGENET_CLASSNAMES[index] for index in classes]
    uncentred = copy.deepcopy(towers)
    uncentred.text.get_buffer("mean").zero_()
    texts = uncentred.encode_text([NAME_TEMPLATE.format(name) for name in names])

    classifier = load_backbone(find_image_weights(), classifier=True).get_submodule("classifier")
    rows = classifier.get_parameter("weight").detach()[classes]
    return names, rows, texts


def fit_alignment(
    classifier: Float[Tensor, "name feature"], texts: Float[Tensor, "name dim"], ridge: float = 10.0
) -> dict[str, Tensor]:
    r"""Fit the linear map from image features to the text space, from names alone.

    It is $A = T_c^\top (W W^\top + \lambda I)^{-1} W$.

    Args:
        classifier: W, one row of the image classifier a name.
        texts: T, the unit embedding of each name.
        ridge: λ, on raw rows.

    Returns:
        `projection` (dim × feature) and `text_mean` (dim).
    """
    text_mean = texts.mean(0)
    regression = Ridge(ridge, fit_intercept=False, solver="cholesky")
    regression.fit(classifier.double().numpy(), (texts - text_mean).double().numpy())
    projection = torch.from_numpy(regression.coef_).float()
    return {"projection": projection, "text_mean": text_mean}
