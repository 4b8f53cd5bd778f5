r"""The losses that L2RCLIP is compared with, all functions of tensors.

Notation: the outputs of image i are $f_i$, $p_i=\operatorname{softmax}(f_i)$, its label is rank
$y_i$ of K, its feature is $z_i$. Where a loss measures along the scale, rank k is at position
$x_k$, see `positions`. CORAL and CORN are those of coral-pytorch, SORD that of dlordinal (extra
`baselines`); the others are in no library that has them right.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.heads import Thresholds
from l2rclip_lite.method import Features, Logits, Scalar, Scale, Targets, Values
from l2rclip_lite.method.losses import distances, mean_over_partners

# Of OrdinalCLIP's target over the images of a rank; xk-huang/OrdinalCLIP, `runner.py`
SHARPNESS = 10
TEMPERATURE = 2.0  # of Rank-N-Contrast, in the unit of the distances


def positions(values: Values) -> Values:
    r"""Return the ranks on a scale of mean steps: $x_k=(K-1)(r_k-r_1)/(r_K-r_1)$.

    Evenly spaced ranks are at 0, 1, … K−1 whatever their unit, so a weight or a width that was
    published for ages means the same for decades; uneven ones keep their proportions.

    Args:
        values: Rank values, increasing.

    Returns:
        Positions from 0 to K−1.

    Example:
        >>> positions(torch.tensor([1930.0, 1940.0, 1970.0])).tolist()
        [0.0, 0.5, 2.0]
    """
    return (values - values[0]) * (len(values) - 1) / (values[-1] - values[0])


def coral_loss(outputs: Thresholds, target: Targets) -> Scalar:
    r"""Return CORAL's loss of K−1 questions: is the rank above k?

    The questions share one weight vector, in the head, and differ in bias.

    $$L=-\frac1B\sum_i\sum_{k=0}^{K-2}\log\sigma(\pm f_{ik}),\quad +\text{ where } y_i>k$$

    Source: Cao, Mirjalili and Raschka 2020, doi:10.1016/j.patrec.2020.11.008; coral-pytorch.

    Args:
        outputs: K−1 logits per image.
        target: Rank indices.

    Returns:
        A scalar ≥ 0.

    Example:
        >>> outputs = torch.tensor(
        ...     [[2.1, 1.8, -2.1, -1.8], [1.9, -1, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]]
        ... )
        >>> round(float(coral_loss(outputs, torch.tensor([2, 1, 4]))), 4)
        0.692
    """
    import coral_pytorch.losses

    # coral-pytorch's own levels_from_labelbatch loops over the images and answers on the CPU
    thresholds = torch.arange(outputs.shape[1], device=target.device)
    levels = target[:, None] > thresholds
    return coral_pytorch.losses.coral_loss(outputs, levels.to(outputs.dtype))


def corn_loss(outputs: Thresholds, target: Targets) -> Scalar:
    r"""Return CORN's loss: is the rank above k, given that it is above k−1?

    $$L=-\frac1{\sum_k|S_k|}\sum_{k=0}^{K-2}\sum_{i\in S_k}\log\sigma(\pm f_{ik}),\quad
    S_k=\{i: y_i>k-1\},\;+\text{ where } y_i>k$$

    Question k is asked only of images above k−1.

    Source: Shi, Cao and Raschka 2023, doi:10.1007/s10044-023-01181-9; coral-pytorch. Arguments as
    in `coral_loss`.

    Example:
        >>> logits = torch.tensor(
        ...     [[2.1, 1.8, -2.1, -1.8], [1.9, -1, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]]
        ... )
        >>> round(float(corn_loss(logits, torch.tensor([2, 1, 4]))), 4)
        0.1645
    """
    import coral_pytorch.losses

    return coral_pytorch.losses.corn_loss(outputs, target, outputs.shape[1] + 1)


def sord_loss(outputs: Logits, target: Targets) -> Scalar:
    r"""Return SORD, the cross-entropy against a soft label that falls off with the rank gap.

    $$L=-\frac1B\sum_i\sum_k q_{ik}\log p_{ik},\quad q_i=\operatorname{softmax}_k(-|k-y_i|)$$

    Source: Díaz and Marathe, CVPR 2019, doi:10.1109/CVPR.2019.00487, with φ = |·|; dlordinal.

    Args:
        outputs: K logits per image.
        target: Rank indices.

    Returns:
        A scalar, at least the entropy of the soft labels.

    Example:
        >>> loss = sord_loss(torch.zeros(1, 3), torch.tensor([0]))
        >>> round(float(loss), 6)  # log 3, whatever the labels
        1.098612
    """
    from dlordinal.losses import SORDLoss

    sord = SORDLoss(alpha=1.0, num_classes=outputs.shape[1], train_targets=target)
    loss = sord(outputs, target)
    return loss.to(outputs.dtype)  # its soft labels, and so its loss, are float64


def dldl_v2_loss(outputs: Logits, target: Targets, position: Values) -> Scalar:
    r"""Return DLDL-v2: divergence from a Gaussian around the label, and error of the expectation.

    $$L=\frac1B\sum_i\Big[\sum_k q_{ik}\log\frac{q_{ik}}{p_{ik}}
    +\Big|\sum_k p_{ik}x_k-x_{y_i}\Big|\Big],\quad
    q_{ik}\propto e^{-(x_k-x_{y_i})^2/2\sigma^2}$$

    Source: Gao, Zhou, Wu and Geng, "Age estimation using expectation of label distribution
    learning", IJCAI 2018, λ = 1. The width σ of the Gaussian is 2 steps, as the authors have it for
    ages, but at most an eighth of the scale: over five ranks, 2 steps are no peak at all.

    Args:
        outputs: K logits per image.
        target: Rank indices.
        position: See `positions`.

    Returns:
        A scalar ≥ 0.

    Example:
        >>> outputs = torch.zeros(1, 17)  # σ is 2
        >>> loss = dldl_v2_loss(outputs, torch.tensor([0]), torch.arange(17.0))
        >>> round(float(loss), 4)
        9.3155
    """
    sigma = min(2.0, (len(position) - 1) / 8)
    label = position[target]
    log_p = outputs.log_softmax(dim=1)
    q = (-(position - label[:, None]).square() / (2 * sigma**2)).softmax(dim=1)

    divergence = F.kl_div(log_p, q, reduction="batchmean")
    error = (log_p.exp() @ position - label).abs().mean()
    return divergence + error


def mean_variance_loss(outputs: Logits, target: Targets, position: Values) -> Scalar:
    r"""Return Mean-Variance: cross-entropy, squared error of the mean, and variance.

    $$L=\frac1B\sum_i\Big[-\log p_{iy_i}+\frac{\lambda_1}2(m_i-x_{y_i})^2
    +\lambda_2\sum_k p_{ik}(x_k-m_i)^2\Big],\quad
    m_i=\sum_k p_{ik}x_k$$

    with λ1 = 0.2 and λ2 = 0.05.

    Source: Pan, Han, Shan and Chen, CVPR 2018, doi:10.1109/CVPR.2018.00554.

    Args:
        outputs: K logits per image.
        target: Rank indices.
        position: See `positions`.

    Returns:
        A scalar ≥ 0.

    Example:
        >>> loss = mean_variance_loss(torch.zeros(1, 3), torch.tensor([0]), torch.arange(3.0))
        >>> round(float(loss), 6)
        1.231946
    """
    p = outputs.softmax(dim=1)
    mean = p @ position
    variance = (p * (position - mean[:, None]).square()).sum(dim=1).mean()
    error = (mean - position[target]).square().mean() / 2
    return F.cross_entropy(outputs, target) + 0.2 * error + 0.05 * variance


def ordinal_entropy_loss(features: Features, target: Targets, position: Values) -> Scalar:
    r"""Return Ordinal Entropy: images near the centre of their rank, centres apart by rank gap.

    It is an addition to a task loss.

    $$L=\operatorname*{mean}_{i:\,n_{y_i}>1}\lVert z_i-c_{y_i}\rVert^2
    -\operatorname*{mean}_{a<b}\omega_{ab}\lVert c_a-c_b\rVert,\quad
    \omega_{ab}=\frac{|x_a-x_b|-m}{M}$$

    over the ranks a, b present in the batch, with centres $c_a$ the normalised means of their $n_a$
    images, and m and M the least and largest gap. As released, images that are their own centre do
    not count in the first term. A mean over nothing is 0 (released: NaN).

    Source: Zhang, Yang, Mi, Zheng and Yao, ICLR 2023 (arXiv 2301.08915); needylove/OrdinalEntropy,
    `AgeEstimation`.

    Args:
        features: Unit image features.
        target: Rank indices.
        position: See `positions`.

    Returns:
        A scalar in [-2, 4].

    Example:
        >>> angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0]))
        >>> point = torch.stack([angle.cos(), angle.sin()], dim=1)
        >>> loss = ordinal_entropy_loss(point, torch.arange(3), torch.arange(3.0))
        >>> round(float(loss), 6)  # -sqrt 3 / 6
        -0.288675
    """
    own = F.one_hot(target, len(position)).to(features.dtype)
    counts = own.sum(dim=0)
    centres = F.normalize(own.T @ features, dim=1)

    shared = counts[target] > 1  # images that are not their own centre
    squared: Tensor = (features - centres[target]).square().sum(dim=1)
    tightness = (squared * shared).sum() / shared.sum().clamp_min(1)

    present = counts.nonzero()[:, 0]
    a, b = present[torch.triu_indices(len(present), len(present), offset=1, device=target.device)]
    if not len(a):
        return tightness

    gap = position[b] - position[a]
    largest = gap.max().clamp_min(torch.finfo(gap.dtype).tiny)  # two ranks may round to one place
    weight = (gap - gap.min()) / largest
    return tightness - (weight * distances(centres, centres)[a, b]).mean()


def supcon_loss(features: Features, target: Targets, scale: Scale) -> Scalar:
    r"""Return the supervised contrastive loss among images, which has no order.

    $$L=-\operatorname*{mean}_i\frac1{|P(i)|}\sum_{j\in P(i)}
    \log\frac{e^{s\,z_i\cdot z_j}}{\sum_{k\ne i}e^{s\,z_i\cdot z_k}},\quad P(i)=\{j\ne i:y_j=y_i\}$$

    Source: Khosla et al., NeurIPS 2020 (arXiv 2004.11362), eq. 2.

    Args:
        features: Unit image features.
        target: Rank indices.
        scale: s, the inverse of the paper's temperature.

    Returns:
        A scalar ≥ 0. Images without a partner are left out; with none at all the loss is 0.

    Example:
        >>> point = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(supcon_loss(point, torch.tensor([0, 0, 1]), 1.0)), 6)  # log(1 + 1/e)
        0.313262
    """
    # pytorch-metric-learning averages over the images whose loss is not 0: at CLIP's scale of 100
    # solved images round to 0, and its loss is up to twice the paper's; a batch of a single rank
    # gives 0 there, and log(n − 1) or more here
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
    logits = (scale * features @ features.T).masked_fill(itself, -1e9)  # -inf times 0 would be NaN
    return mean_over_partners(logits, (target[:, None] == target) & ~itself)


def rank_n_contrast_loss(features: Features, label: Float[Tensor, " batch"]) -> Scalar:
    r"""Return Rank-N-Contrast: the more alike two labels, the nearer the images.

    Each image is to be nearer to a second one than to all whose label differs as much or more.

    $$L=-\frac1{n(n-1)}\sum_i\sum_{j\ne i}
    \log\frac{e^{-\lVert z_i-z_j\rVert/\tau}}{\sum_{k\ne i:\,|y_i-y_k|\ge|y_i-y_j|}
    e^{-\lVert z_i-z_k\rVert/\tau}},\quad\tau=2$$

    Source: Zha, Cao, Son, Yang and Katabi, NeurIPS 2023 (arXiv 2210.01189), eq. 1 and 2;
    kaiwenzha/Rank-N-Contrast.

    Args:
        features: Image features of any length; two views of an image are two rows.
        label: Rank value (or position) of each.

    Returns:
        A scalar ≥ 0; a batch of one has no pair and gives 0.

    Example:
        >>> point = torch.tensor([[0.0], [1.0], [2.0]])  # (2 log(1 + e^-½) + 2 log 2)/6
        >>> round(float(rank_n_contrast_loss(point, torch.arange(3.0))), 6)
        0.389075
    """
    n = len(label)
    itself = torch.eye(n, dtype=torch.bool, device=label.device)
    similarity = -distances(features, features) / TEMPERATURE
    gap = (label[:, None] - label).abs()

    # The farthest first: the rivals of a partner are then all rows up to the last one that is as
    # far as it, and one cumulative sum serves every partner of an anchor.
    order = gap.argsort(dim=1, descending=True, stable=True)
    cumulated = similarity.masked_fill(itself, -1e9).gather(1, order).logcumsumexp(dim=1)
    as_far = torch.searchsorted(-gap.gather(1, order), -gap, right=True)
    rivals = cumulated.gather(1, as_far - 1)

    loss_of_pairs = (rivals - similarity) * ~itself
    return loss_of_pairs.sum() / max(1, n * (n - 1))


def ordinalclip_loss(outputs: Logits, target: Targets) -> Scalar:
    r"""Return the OrdinalCLIP loss.

    It is the cross-entropy over the ranks plus the divergence over the images of each rank:

    $$L=-\frac1B\sum_i\log p_{iy_i}
    +\frac1{|R|}\sum_{k\in R}\mathrm{KL}\big(\operatorname{softmax}_i(10\cdot 1[y_i=k])\,
    \big\Vert\,\operatorname{softmax}_i(f_{ik})\big)$$

    with R the ranks present in the batch.

    Source: Li et al., NeurIPS 2022 (arXiv 2206.02338); xk-huang/OrdinalCLIP, `runner.py`, for the
    factor 10.

    Args:
        outputs: K logits per image.
        target: Rank indices.

    Returns:
        A scalar ≥ 0.

    Example:
        >>> loss = ordinalclip_loss(torch.zeros(2, 2), torch.tensor([0, 1]))
        >>> round(float(loss), 4)  # close to 2 log 2: the target is not quite one-hot
        1.3858
    """
    has_rank = F.one_hot(target, outputs.shape[1]).T.to(outputs.dtype)
    present = has_rank.sum(dim=1) > 0
    expected = (SHARPNESS * has_rank[present]).softmax(dim=1)
    log_p_images = outputs.T[present].log_softmax(dim=1)

    divergence = F.kl_div(log_p_images, expected, reduction="batchmean")
    return F.cross_entropy(outputs, target) + divergence
