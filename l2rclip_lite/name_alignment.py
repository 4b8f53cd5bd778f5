r"""A CLIP without a single image: how well a map that has seen some names finds others.

The map is `mini.fit_alignment`, $A = T_c^\top (W W^\top + \lambda I)^{-1} W$. Here it is fitted on some of ImageNet's
class names and asked for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import NAME_TEMPLATE, MiniTowers, find_image_weights, read_image_weights
from l2rclip_lite.template_study import with_text_mean


def class_names(number: int = 1000) -> list[str]:
    """`number` of ImageNet's 1,000 class names, evenly spread over their order (animals first, then things).

    Example:
        >>> class_names(4)
        ['tench', 'Siberian Husky', 'cliff dwelling', 'quilt']
    """
    from open_clip import IMAGENET_CLASSNAMES

    if not 2 <= number <= len(IMAGENET_CLASSNAMES):
        raise InputError(f"class_names: number must be from 2 to {len(IMAGENET_CLASSNAMES)}, not {number}.")
    every = len(IMAGENET_CLASSNAMES) / number
    return [str(IMAGENET_CLASSNAMES[int(at * every)]) for at in range(number)]


def prototypes(
    towers: MiniTowers, number: int = 1000
) -> tuple[Float[Tensor, "name feature"], Float[Tensor, "name dim"]]:
    """W and T: the rows of the image classifier, and the unit text embeddings of the same names.

    Args:
        towers: `load_towers("mini")`; only its text side is used.
        number: Number of names, see `class_names`.

    Returns:
        The 1,280 weights that the classifier gives to each name, and the 384 numbers of MiniLM for
        "a photo of a NAME", before any centring.
    """
    rows = read_image_weights(find_image_weights())["_fc.weight"]
    at = torch.arange(number) * len(rows) // number
    plain = with_text_mean(towers, towers.text["bert"], torch.zeros(towers.dim))
    sentences = [NAME_TEMPLATE.format(name) for name in class_names(number)]
    by_length = sorted(range(number), key=lambda index: len(sentences[index]))  # little padding in a batch
    texts = torch.empty(number, towers.dim)
    with torch.inference_mode():
        for start in range(0, number, 50):
            chosen = by_length[start : start + 50]
            texts[chosen] = plain.encode_text([sentences[index] for index in chosen])
    return rows[at], texts


def split_names(
    count: int, seed: int, share: float = 0.8
) -> tuple[Int[Tensor, " seen"], Int[Tensor, " unseen"]]:
    """Names to fit on and names to find, both in ImageNet's order.

    Example:
        >>> [len(part) for part in split_names(1000, seed=0)]
        [800, 200]
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    cut = round(share * count)
    return order[:cut].sort().values, order[cut:].sort().values


def unseen_similarity(
    classifier: Float[Tensor, "name feature"],
    texts: Float[Tensor, "name dim"],
    ridges: Sequence[float],
    *,
    seed: int,
    shuffle: bool = False,
) -> Float[Tensor, "ridge unseen unseen"]:
    """Cosine of each unseen name (row) with each unseen classifier row (column), for several strengths at once.

    One eigendecomposition serves all strengths; with one strength it is `mini.fit_alignment`.

    Args:
        classifier: W, from `prototypes`.
        texts: T, from `prototypes`.
        ridges: λ, positive.
        seed: Of the split.
        shuffle: Whether to fit on wrong pairs, the control.

    Raises:
        InputError: A strength that is not positive.
    """
    if min(ridges) <= 0:
        raise InputError(f"unseen_similarity: every ridge strength must be positive, got {min(ridges):g}.")
    seen, unseen = split_names(len(texts), seed)
    pairs = seen
    if shuffle:
        pairs = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed + 1))]
    mean = texts[pairs].mean(0)
    sentences = F.normalize(texts[unseen] - mean, dim=-1).double()
    rows, aim = classifier[seen].double(), (texts[pairs] - mean).double()
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    left = aim.T @ vectors
    right = vectors.T @ (rows @ classifier[unseen].double().T)
    found = []
    for ridge in ridges:
        images = F.normalize(
            (left / (values + ridge)) @ right, dim=0
        )  # A f of every unseen row, a column each
        found.append((sentences @ images).float())
    return torch.stack(found)


def recall(similarity: Float[Tensor, "unseen unseen"], k: int = 1) -> float:
    """The share of rows whose own column is among the k most similar; chance k / n.

    Example:
        >>> recall(torch.tensor([[0.9, 0.1], [0.8, 0.2]])), recall(torch.eye(2), k=2)
        (0.5, 1.0)
    """
    above = (similarity > similarity.diagonal()[:, None]).sum(1)
    return float((above < k).float().mean())
