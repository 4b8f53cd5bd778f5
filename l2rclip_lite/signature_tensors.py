"""What failure signatures and their figures are made of: texts of a changed prompt, influences, margins, pair gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.losses import (
    asymmetrical_contrastive_loss,
    contrastive_loss,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prompts import RankPrompts, centred

Image: TypeAlias = Float[Tensor, "batch dim"]
Target: TypeAlias = Int[Tensor, " batch"]


def text_features(
    model: L2RCLIP,
    *,
    words: Float[Tensor, "rank token width"] | None = None,
    context: Float[Tensor, "context width"] | None = None,
    refine: bool = True,
    centre: bool = True,
) -> Float[Tensor, "rank dim"]:
    """Text features as they would be with other words, with another context, or without RankFormer.

    Args:
        model: Any model whose text features come from sentences.
        words: Word embeddings of the rank sentences; None takes the template's.
        context: Context vectors, as many as the model has; None takes those it has learned.
        refine: Whether RankFormer refines the words.
        centre: Whether to centre as the model does. Centring alone lets every rank move all others.

    Returns:
        Without options `model.prompts()` up to rounding, without a gradient and on the CPU.

    Raises:
        InputError: Random prototypes.
    """
    prompts = sentence_prompts(model)
    words = prompts.template_embeddings if words is None else words
    context = prompts.context if context is None else context
    with torch.no_grad():
        if refine and prompts.rankformer is not None:
            words = prompts.rankformer(words, prompts.tokens.to(words.device))
        whole = torch.cat([words[:, :1], context.expand(len(words), -1, -1), words[:, 1:]], dim=1)
        features = model.towers.encode_embeddings(whole, prompts.full_tokens.to(words.device))
        return (centred(features) if centre and prompts.centre else features).cpu()


def sentence_prompts(model: L2RCLIP) -> RankPrompts:
    """The prompts of a model, if they are sentences; random prototypes are refused."""
    if not isinstance(model.prompts, RankPrompts):
        raise InputError("signatures: random prototypes have no words and no context to look at.")
    return model.prompts


def starting_context(model: L2RCLIP) -> Float[Tensor, "context width"]:
    """The context vectors as the model's seed drew them, before any training."""
    config = model.config
    drawn = RankPrompts(
        model.towers, model.ranks, context_length=config.context_length, rankformer=False, seed=config.seed
    )
    return drawn.context.detach().to(model.rank_features.device)


def context_ways(model: L2RCLIP) -> tuple[Float[Tensor, "context 2"], Float[Tensor, "context 2"]]:
    """Start and end of each context vector, beside its start and along it; in mean lengths of a word.

    Distances from the origin are lengths, and distances from the start are ways.
    """
    start, end, unit = starting_context(model), sentence_prompts(model).context.detach(), word_length(model)
    length = start.norm(dim=1)
    along = (end * start).sum(1) / length
    beside = (end - along[:, None] * start / length[:, None]).norm(dim=1)
    first = torch.stack([torch.zeros_like(length), length], dim=1) / unit
    return first.cpu(), (torch.stack([beside, along], dim=1) / unit).cpu()


def word_length(model: L2RCLIP) -> float:
    """Mean length of the word embeddings of the template."""
    prompts = sentence_prompts(model)
    template = prompts.template_embeddings
    return float(template[prompts.tokens.words.to(template.device)].norm(dim=1).mean())


def influence(model: L2RCLIP, disturbed: Sequence[int] | None = None) -> Float[Tensor, "disturbed rank"]:
    r"""How far text k moves when the words of rank j are disturbed, as a share of how far text j moves itself.

    $$I_{jk} = \frac{\lVert t_k(R+\varepsilon_j)-t_k(R)\rVert}{\lVert t_j(R+\varepsilon_j)-t_j(R)\rVert}$$

    Features before centring; ε_j is fixed noise on the words of sentence j, a tenth as strong as the embeddings vary.

    Args:
        model: Any model whose text features come from sentences.
        disturbed: The ranks j, a row each; None takes all.

    Returns:
        Shares ≥ 0, with 1 where k = j.
    """
    prompts = sentence_prompts(model)
    template = prompts.template_embeddings
    real = prompts.tokens.words.to(template.device)
    noise = torch.randn(template.shape, generator=torch.Generator().manual_seed(0)).to(template.device)
    noise = 0.1 * template[real].std() * noise * real[..., None]
    before, rows = text_features(model, centre=False), []
    for rank in range(len(template)) if disturbed is None else disturbed:
        words = template.clone()
        words[rank] += noise[rank]
        moved = (text_features(model, words=words, centre=False) - before).norm(dim=1)
        rows.append(moved / moved[rank])
    return torch.stack(rows)


def expected_ranks(model: L2RCLIP, image: Image, *, refine: bool = True) -> Float[Tensor, " batch"]:
    """Expectation of the rank values under the model's probabilities, with or without RankFormer."""
    logits = float(model.scale.detach()) * image.cpu() @ text_features(model, refine=refine).T
    return F.softmax(logits, dim=1) @ model.ranks.values_tensor()


def margins(
    image: Image, text: Float[Tensor, "rank dim"], target: Target, scale: float
) -> Float[Tensor, " batch"]:
    r"""How clearly each image prefers its own text: $m_i = s\,(z_i\cdot t_{y_i}-\max_{k\ne y_i}z_i\cdot t_k)/\log K$.

    Args:
        image: Unit image features.
        text: Unit text features, one a rank, two or more.
        target: Rank index of each image.
        scale: s, unitless.

    Returns:
        Numbers without bounds; above 0 where the nearest text is the own one.

    Example:
        >>> half = torch.tensor([[0.6, 0.8]])  # nearer to the second text, by 0.2
        >>> margins(half, torch.eye(2), torch.tensor([0]), scale=1.0).round(decimals=4)  # -0.2 / log 2
        tensor([-0.2885])
    """
    logits = scale * image @ text.T
    own = F.one_hot(target, len(text)).bool()
    best_other = logits.masked_fill(own, -math.inf).amax(1)
    return (logits[own] - best_other) / math.log(len(text))


def pair_gradients(
    image: Image, text: Float[Tensor, "rank dim"], target: Target, scale: float, *, plain: bool = False
) -> Float[Tensor, "batch batch"]:
    r"""What the contrastive loss wants of each pair: $\partial L/\partial(z_i\cdot t_{y_j})$.

    A positive entry pushes image i from the text of image j, a negative one pulls. The asymmetrical loss knows one text
    a rank; its derivative is shared evenly among the images of the rank, as if their texts were averaged.

    Args:
        image: Unit image features of a batch.
        text: Unit text features, one a rank.
        target: Rank index of each image.
        scale: s, unitless.
        plain: Whether the loss is CLIP's, summed over its directions, or else the asymmetrical one.

    Returns:
        One derivative a pair.

    Example:
        >>> one = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # two images of one rank
        >>> pair_gradients(one, torch.eye(2), torch.tensor([0, 0]), 1.0, plain=True)
        tensor([[-0.5000,  0.5000],
                [ 0.5000, -0.5000]])
    """
    similarity = image @ text.T
    # Similarities as images, axes as texts: their product is the matrix of similarities itself.
    if plain:
        pairs = similarity[:, target].requires_grad_()
        loss = 2 * contrastive_loss(pairs, torch.eye(len(target)), scale)
        return torch.autograd.grad(loss, pairs)[0]
    similarity.requires_grad_()
    loss = asymmetrical_contrastive_loss(similarity, torch.eye(len(text)), target, scale)
    return torch.autograd.grad(loss, similarity)[0][:, target] / target.bincount()[target]


def same_rank_gradients(model: L2RCLIP, features: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """`pair_gradients` of all pairs of one rank, and of those with i ≠ j, over all batches."""
    check_images(features, target)
    text, scale, plain = (
        text_features(model),
        float(model.scale.detach()),
        model.config.contrastive == "plain",
    )
    every, others = [], []
    for chosen in training_batches(model, target):
        y = target.cpu()[chosen]
        gradient, same = pair_gradients(features.cpu()[chosen], text, y, scale, plain=plain), y[:, None] == y
        every.append(gradient[same])
        others.append(gradient[same & ~torch.eye(len(y), dtype=torch.bool)])
    return torch.cat(every), torch.cat(others)


def gradient_shares(model: L2RCLIP, features: Image, target: Target) -> dict[str, float]:
    """The share of `signatures.pairwise_share` on the `texts` in stage 1 and on the `images` in stage 2."""
    check_images(features, target)
    config, scale, values = model.config, model.scale.detach().cpu(), model.ranks.values_tensor()
    image = features.detach().cpu().clone().requires_grad_()
    text = text_features(model).requires_grad_()
    sums: list[Tensor] = [torch.zeros(())] * 4
    for chosen in training_batches(model, target):
        z, y = image[chosen], target.cpu()[chosen]
        terms = (
            asymmetrical_contrastive_loss(z, text, y, scale),
            config.lambda1 * ordinal_pairwise_loss_stage1(z, text[y], text[y], values[y], symmetric=True),
            F.cross_entropy(scale * z @ text.T, y),
            config.lambda2 * ordinal_pairwise_loss(z, text, y, values),
        )
        sums = [total + term * len(y) for total, term in zip(sums, terms, strict=True)]
    return {"texts": _share(text, sums[0], sums[1]), "images": _share(image, sums[2], sums[3])}


def check_images(features: Tensor, target: Tensor) -> None:
    """Refuse images that say nothing about order or alignment."""
    if len(features) != len(target) or len(set(target.tolist())) < 2:
        raise InputError("signatures: give features and targets of the same images, of two ranks or more.")


def training_batches(model: L2RCLIP, target: Tensor) -> tuple[Tensor, ...]:
    """Indices of batches as in training, the same in every call."""
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    return torch.split(order, model.config.batch_size)


def _share(leaf: Tensor, contrastive: Tensor, ordinal: Tensor) -> float:
    """Length of the ordinal gradient among both, without what only changes the length of a feature."""
    lengths = []
    for loss in (contrastive, ordinal):
        gradient = torch.autograd.grad(loss, leaf, retain_graph=True)[0]
        lengths.append(float((gradient - (gradient * leaf).sum(1, keepdim=True) * leaf).detach().norm()))
    return lengths[1] / max(sum(lengths), 1e-12)
