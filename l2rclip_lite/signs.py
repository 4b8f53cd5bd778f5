"""Signs of failure: numbers that show in which part of the method a trained model went wrong.

| what fails | its signs | what they need |
|---|---|---|
| RankFormer adds no order | `order_gained` | the model |
| | `order_of_answers_gained` | features of the untrained image tower |
| the pairwise loss breaks the alignment | `template_cosine` | the model |
| | `own_text_margin` | features of the untrained image tower |
| the context drowns the ranks | `context_cosine` | the model |
| images of one sentence are pushed apart | `spread_kept` | features before and after stage 2 |

What a healthy run has is a matter of measurement: `l2rclip report` prints the values beside those
of runs that were healthy and of runs that were made to fail.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.losses import Batch, Targets, Texts, checked_target
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.prompts import RankPrompts, centred
from l2rclip_lite.metrics import spearman

OTHER_CONTEXT = 1_000_003  # seeds a context that no run begins with


def rank_order(text: Texts) -> float:
    r"""Return Spearman's ρ of rank gap and cosine distance over all pairs of ranks, in [−1, 1].

    It is 1 where sentences are the farther apart, the more their ranks differ; 0.0 where all
    distances are equal. Chance is 0, but of few ranks any value may come about by luck.

    Args:
        text: Unit text features, lowest rank first.

    Example:
        >>> angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0]))
        >>> rank_order(torch.stack([angle.cos(), angle.sin()], dim=1))
        1.0
    """
    i, j = np.triu_indices(len(text), 1)
    text = text.detach().cpu().double()
    distance = (1 - text @ text.T).numpy()[i, j].round(6)  # what is left below is float noise
    if np.ptp(distance) == 0:
        return 0.0
    return round(float(spearmanr(j - i, distance).statistic), 9)


def order_gained(model: L2RCLIP) -> float:
    """Return `rank_order` after stage 1 minus that of the plain sentences, in [−2, 2].

    Raises:
        InputError: A model without trained prompts.
    """
    return rank_order(model.text_features()) - rank_order(template_features(model))


def order_of_answers_gained(model: L2RCLIP, image: Batch, target: Targets) -> float:
    """Return what RankFormer adds to the order of the answers, in [−2, 2].

    It is Spearman's ρ of expected and true rank, minus the same with the plain words in the place
    of those that RankFormer refines.

    Args:
        model: With trained prompts.
        image: Unit features of the image tower that stage 1 met: the untrained one.
        target: Rank index of each image.

    Raises:
        InputError: A model without trained prompts, or without RankFormer.
    """
    if trained_prompts(model).rankformer is None:
        raise InputError("signs: the run has no RankFormer.")
    plain = changed_texts(model, refine=False)
    return _order_of_answers(model, image, target, model.text_features()) - _order_of_answers(
        model, image, target, plain
    )


def _order_of_answers(model: L2RCLIP, image: Batch, target: Targets, text: Texts) -> float:
    """Return Spearman's ρ of expected and true rank, with these texts in place of the model's."""
    logits = model.scale.detach().cpu() * image.cpu() @ text.detach().cpu().T
    expected = logits.softmax(dim=1) @ model.ranks.values_tensor()
    return spearman(checked_target(target, len(image)).cpu(), expected, model.ranks)


def template_cosine(model: L2RCLIP) -> float:
    """Return the mean cosine of a sentence after stage 1 with its plain template, in [−1, 1].

    At 1 stage 1 has left the meaning of the words where it was. Features are centred over the ranks
    where those of the model are.

    Raises:
        InputError: A model without trained prompts.
    """
    return _mean_cosine(model.text_features(), template_features(model))


def own_text_margin(image: Batch, text: Texts, target: Targets) -> float:
    """Return how much nearer an image is to its own text than to the best other one, in [−2, 2].

    It is the mean difference of the two cosines.

    Args:
        image: Unit image features; of the untrained tower, to judge what stage 1 did.
        text: Unit text features of two or more ranks.
        target: Rank index of each image.

    Example:
        >>> image = torch.tensor([[0.6, 0.8]])  # nearer to the second text
        >>> round(own_text_margin(image, torch.eye(2), torch.tensor([0])), 4)
        -0.2
    """
    target = checked_target(target, len(image)).cpu()
    cosine = image.detach().cpu() @ text.detach().cpu().T
    is_own = F.one_hot(target, len(text)).bool()
    best_other = cosine.masked_fill(is_own, -2).amax(dim=1)
    return float((cosine[is_own] - best_other).mean())


def context_cosine(model: L2RCLIP, *, without: bool = False) -> float:
    """Return the mean cosine of a sentence with its own context and with another one, in [−1, 1].

    All ranks share the context, and the other one is drawn at random, as each is at the start. Near
    1 the words say which rank is meant; near 0 the sentences are what the learned context has made
    of them.

    Args:
        model: With trained prompts.
        without: Whether to take the context away in place of drawing another.

    Raises:
        InputError: A model without trained prompts, or without a context.
    """
    prompts = trained_prompts(model)
    if not len(prompts.context):
        raise InputError("signs: the run has no context.")
    other = prompts.context[:0]
    if not without:
        generator = torch.Generator().manual_seed(OTHER_CONTEXT)
        other = torch.randn(prompts.context.shape, generator=generator) * prompts.word_std
    return _mean_cosine(model.text_features(), changed_texts(model, context=other))


def spread_kept(before: Batch, after: Batch, target: Targets) -> float:
    """Return how much of the spread of images within a rank stage 2 has left, 0 or more.

    Spread is the mean squared distance of an image to the centre of its rank. Below 1 images of one
    sentence have come together.

    Args:
        before: Unit features of the untrained image tower.
        after: Those of the same images by the tuned one.
        target: Rank index of each image.

    Raises:
        InputError: No rank has two images.

    Example:
        >>> apart = torch.eye(2)
        >>> closer = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
        >>> round(spread_kept(apart, closer, torch.tensor([0, 0])), 4)  # 0.1 of 0.5
        0.2
    """
    start = _spread(before, target)
    if start < 1e-9:
        raise InputError("signs: no rank has two images that differ.")
    return _spread(after, target) / start


def _spread(image: Batch, target: Targets) -> float:
    """Return the mean squared distance of an image to the centre of its rank."""
    target = checked_target(target, len(image)).cpu()
    image = image.detach().cpu().double()

    squared = 0.0
    for rank in set(target.tolist()):
        own = image[target == rank]
        squared += float((own - own.mean(dim=0)).square().sum())
    return squared / len(image)


def trained_prompts(model: L2RCLIP) -> RankPrompts:
    """Return the prompts of a model that stage 1 has trained.

    Raises:
        InputError: It has none: its texts are plain sentences, or fixed vectors.
    """
    if model.prompts is None or model.config.stage1_epochs() == 0:
        raise InputError("signs: stage 1 has trained no prompts in this run.")
    return model.prompts


def template_features(model: L2RCLIP) -> Texts:
    """Return the text features of the plain sentences: no RankFormer, no context."""
    nothing = trained_prompts(model).context[:0]
    return changed_texts(model, context=nothing, refine=False)


@torch.no_grad()
def changed_texts(
    model: L2RCLIP,
    *,
    context: Float[Tensor, "slot width"] | None = None,
    refine: bool = True,
) -> Texts:
    """Return the text features that a model would have with another context, or no RankFormer.

    Args:
        model: With trained prompts.
        context: The context vectors, any number of them; None takes the model's own.
        refine: Whether RankFormer refines the words.

    Raises:
        InputError: A model without trained prompts.
    """
    prompts = trained_prompts(model)
    words = prompts.sentence_embeddings
    tokens = prompts.tokens.to(words.device)
    if refine and prompts.rankformer is not None:
        words = prompts.rankformer(words, tokens)
    if context is None:
        context = prompts.context

    slots = context.to(words).expand(len(words), -1, -1)
    sentences = tokens.insert(words, slots)
    features = model.towers.encode_embeddings(sentences, tokens.with_context(len(context)))
    return centred(features) if prompts.centre else features


def _mean_cosine(one: Texts, other: Texts) -> float:
    """Return the mean cosine of the same rank in two sets of unit text features."""
    return float((one.detach() * other.detach()).sum(dim=1).mean())
