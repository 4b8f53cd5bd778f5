"""A CLIP without an image: a linear map from an image classifier's rows to its class names."""

import copy

import torch
from jaxtyping import Float
from open_clip import IMAGENET_CLASSNAMES
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
