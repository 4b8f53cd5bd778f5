# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Flaws of the released losses, and other losses
#
# The authors of L2RCLIP ([Wang et al., 2023](references.md)) released the code of their losses, and this package gives
# the same numbers to six digits. For some batches, however, the released code gives no number at all, and for others
# the number depends on things that should not matter: the order of the rows, and which other images are in the batch.
# This appendix goes through these flaws. Then it compares other losses for ordered labels on one small example: twenty
# images that look exactly alike.
#
# **You need.** [Chapter 5](05_losses.ipynb), which derives the losses of both stages.
#
# **Time and hardware.** Less than a minute on one CPU core; no training data, no download.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke, page and full compute the same here
SEED = 0  # decides the images on which losses are compared with the package

# %% mystnb={"image": {"alt": "Histogram of the released stage-1 loss of one batch over all 720 orders of its rows, with a solid line for the symmetric form and a dotted line for the rows as drawn."}} tags=["hide-input"]
import itertools
from collections.abc import Callable

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from scipy.optimize import minimize
from torch import Tensor

from l2rclip_book.plots import COLOURS, style
from l2rclip_lite.baselines import losses as other
from l2rclip_lite.method import losses

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_default_dtype(torch.float64)
draw = torch.Generator().manual_seed(0)
T = F.normalize(torch.randn(5, 8, generator=draw), dim=1)
Z = F.normalize(torch.randn(6, 8, generator=draw), dim=1)
y, r = torch.tensor([0, 1, 2, 3, 4, 2]), torch.arange(5.0)


def stage1(rows, **options):
    z, own = Z[list(rows)], T[y[list(rows)]]
    return losses.ordinal_pairwise_loss_stage1(
        z, own, own, y[list(rows)], **options
    )


released = [float(stage1(rows)) for rows in itertools.permutations(range(6))]
symmetric = float(stage1(range(6), symmetric=True))
with style():
    figure, axis = plt.subplots(figsize=(6.2, 2.6), layout="constrained")
    sns.histplot(
        released,
        bins=30,
        color=COLOURS["stage 1"],
        linewidth=0,
        label="released, one order each",
        ax=axis,
    )
    ink = COLOURS["ink"]
    axis.axvline(symmetric, color=ink, label="symmetric, every order")
    axis.axvline(released[0], color=ink, ls=":", label="released, as drawn")
    axis.set(xlabel="stage-1 loss of the same six images", ylabel="orders")
    figure.legend(loc="outside upper left", ncols=3)
plt.close(figure)
figure

# %% [markdown]
# **Figure 14.1.** The stage-1 loss of one batch of six images, in all 720 orders of its rows. Bars: the loss as
# released. Solid line: the symmetric form. Dotted line: the released loss of the rows as they were drawn.
#
# ## One batch, 720 losses
#
# The pairwise loss of stage 1 pushes image $i$ from the text of image $j$ for the pairs $i<j$. The matrix of distances
# between images and texts is not symmetric, so image $j$ never meets the text of image $i$: half of the pairs are left
# out, and which half depends on the order of the rows. The batch is that of [chapter 5](05_losses.ipynb), five texts
# and six images in eight dimensions with the ranks 0, 1, 2, 3, 4 and 2. `stage1`, in the folded cell above, gives the
# loss of the rows that you name, in your order.

# %%
for rows in ([0, 1, 2, 3, 4, 5], [2, 3, 5, 0, 4, 1]):
    both = stage1(rows), stage1(rows, symmetric=True)
    print(rows, "released {:+.6f}, symmetric {:+.6f}".format(*both))

# %% tags=["hide-input"]
mean = sum(released) / len(released)
display(
    Markdown(
        f"The released loss runs from {min(released):.3f} to "
        f"{max(released):.3f}. Its mean over all orders is {mean:.6f}, and "
        f"the symmetric loss is {symmetric:.6f}."
    )
)

# %% tags=["remove-cell"]
assert abs(mean - symmetric) < 1e-9
assert abs(released[0] + 0.111977) < 1e-6
assert abs(float(stage1([2, 3, 5, 0, 4, 1])) + 0.110343) < 1e-6
assert abs(symmetric + 0.124853) < 1e-6

# %% [markdown]
# The symmetric form uses all pairs $i\neq j$. It *is* the mean over all orders, because image $i$ comes before image $j$
# in half of them. So `symmetric=True` gives the released loss without the noise of the shuffle. The default stays as
# released, to keep numbers comparable. To train with the symmetric form, set `Controls(symmetric=True)`.
#
# ## Weights that depend on the company
#
# The weight of stage 2 is the gap between the rank of an image and that of a text, divided by $M$, the largest such gap in the
# batch; the texts of all ranks count, also of those without an image. So the same image is pushed harder or softer depending on
# which other images were drawn with it. Take an image of rank 1 among five ranks:

# %%
for batch in ([1, 2], [1, 0]):
    for divisor in ("batch", "global"):
        target = torch.tensor(batch)
        weight = losses.rank_weights(target, r, divisor)[0]
        print(batch, f"{divisor:7}", [f"{w:.2f}" for w in weight])

# %% tags=["remove-cell"]
assert torch.equal(
    losses.rank_weights(torch.tensor([1]), r)[0] * 3, (r - 1).abs()
)
assert torch.equal(weight * 4, (r - 1).abs())

# %% [markdown]
# As soon as the batch holds an image of rank 0 or 4, $M$ is 4, and the two divisors agree. With five equally frequent ranks and
# 16 images that is nearly always so. With many ranks, or where those two are rare, it is not, and every batch without them
# pushes harder. `normalise="global"` divides by the largest gap of the label space, and the same image always gets the same
# weight.
#
# In stage 1 all gaps are between two images of the batch, and the least, $m$, is subtracted from each. That has a side effect
# which no setting removes: the pairs with the least gap have weight 0. In a batch of two images $m=M$, and the whole push is gone.
#
# ## Batches that fail
#
# If all images of a batch have one rank, all gaps are 0 and the weight is $0/0$. If there is only one image, there are no
# pairs and no largest gap. And in the contrastive loss, a rank without an image has no positives to take a mean over. The
# last batch of an epoch can be small enough for any of these, and after one NaN in the loss every parameter is NaN.

# %%
gap = torch.zeros(3)  # three images of one rank
print("one rank: weight", ((gap - gap.min()) / gap.max()).tolist())
count = (y[:4] == 4).sum()  # no image of rank 4
print("absent rank: mean over positives", float(0 / count))
try:
    torch.empty(0).max()
except RuntimeError as error:
    print("one image:", type(error).__name__)

# %% [markdown]
# In this package the push is 0 where it is not defined and the pull remains. A text without an image is left out of the
# direction from texts to images, but stays in the cross-entropy, which pushes images away from it.

# %%
batches = {"one rank": [2, 5], "one image": [0], "two": [0, 4]}
for words, rows in batches.items():
    pull = (Z[rows] - T[y[rows]]).square().sum(1).mean() / 2
    print(f"{words:10} loss {stage1(rows):.6f}, pull {pull:.6f}")
few = losses.asymmetrical_contrastive_loss(Z[:4], T, y[:4], 20.0)
print(f"no image of rank 4: contrastive loss {few:.6f}")

# %% tags=["remove-cell"]
for rows in batches.values():
    pull = (Z[rows] - T[y[rows]]).square().sum(1).mean() / 2
    assert torch.isclose(stage1(rows), pull)
assert few.isfinite()

# %% [markdown]
# | flaw | released | here |
# |---|---|---|
# | order of the rows, stage 1 | changes the loss | `symmetric=True` does not |
# | largest gap of the batch, stage 2 | changes the weight | `normalise="global"` does not |
# | one rank in the batch, stage 1 | NaN | pull only |
# | one image, stage 1 | an error | pull only |
# | a rank without an image, contrastive | NaN | left out |
# | two images, stage 1 | no push | the same, as published |
#
# ## Other losses that know the order
#
# There are other ways to put order into a loss. Most of these losses need only the probabilities $p_{ik}$ that image $i$
# has rank $k$:
#
# - *CORAL* ([Cao et al., 2020](references.md)) asks $K-1$ questions, "is the rank above $k$?", and takes the
#   cross-entropy of each answer. The ranked probability score (RPS) asks the same questions and squares the errors.
# - *CORN* ([Shi et al., 2023](references.md)) asks each question only of the images for which the answer to the one
#   before was yes.
# - *SORD* ([Díaz and Marathe, 2019](references.md)) softens the label: rank $k$ gets a share that falls off as
#   $e^{-\lvert k-y\rvert}$.
# - *DLDL-v2* takes a narrow Gaussian for the label, and adds the error of the expected rank.
# - *Mean-variance* ([Pan et al., 2018](references.md)) adds to cross-entropy the squared error of the expected rank,
#   and the variance.
#
# Three of them are a few lines each. Networks compute the answers of CORAL and CORN directly; here they are read off $p$,
# so that all losses can be compared.


# %%
def answers(p, y):
    above = 1 - p.cumsum(1)[:, :-1]  # P(rank > k)
    k = torch.arange(above.shape[1])
    return above, y[:, None] > k, y[:, None] >= k


def coral(p, y):
    above, yes, _ = answers(p, y)
    return -torch.where(yes, above, 1 - above).log().sum(1).mean()


def corn(p, y):
    above, yes, asked = answers(p, y)
    before = torch.cat([torch.ones(len(p), 1), above[:, :-1]], dim=1)
    conditional = above / before  # P(rank > k given rank > k - 1)
    right = torch.where(yes, conditional, 1 - conditional)
    return -right.log()[asked].mean()


def sord(p, y):
    gap = (torch.arange(p.shape[1]) - y[:, None]).abs()
    soft = (-gap.double()).softmax(1)
    return -(soft * p.log()).sum(1).mean()


# %% tags=["remove-cell"]
seeded = torch.Generator().manual_seed(SEED)
some = torch.randn(20, 5, generator=seeded)
label = torch.randint(5, (20,), generator=seeded)
p, above = some.softmax(1), 1 - some.softmax(1).cumsum(1)[:, :-1]
asked = (label + 1).clamp_max(4).sum()
assert torch.isclose(corn(p, label) * asked / 20, F.cross_entropy(some, label))
if importlib.util.find_spec("coral_pytorch"):  # extra `baselines`
    logit = torch.logit(above)
    theirs = other.coral_loss(logit, label)
    assert torch.isclose(coral(p, label), theirs)
    before = torch.cat([torch.ones(20, 1), above[:, :-1]], dim=1)
    theirs = other.corn_loss(torch.logit(above / before), label)
    assert torch.isclose(corn(p, label), theirs)
if importlib.util.find_spec("dlordinal"):
    assert torch.isclose(sord(p, label), other.sord_loss(some, label))

# %% [markdown]
# ### Twenty images that look alike
#
# Twenty images look exactly alike, and experts graded one of them 0, five 1, eight 2, five 3 and one 4. A model must
# give the same answer for all twenty; let it choose the probabilities with the least loss. An *honest* loss, a proper
# scoring rule ([Gneiting and Raftery, 2007](references.md)), makes it choose the shares of the grades.

# %%
grades = torch.tensor([0] + 5 * [1] + 8 * [2] + 5 * [3] + [4])
narrow = other.mean_variance_loss
by_probability = {
    "cross-entropy": lambda p, y: F.nll_loss(p.log(), y),
    "CORN": corn,
    "CORAL": coral,
    "RPS": lambda p, y: losses.ranked_probability_loss(p.log(), y),
    "SORD": sord,
    "DLDL-v2": lambda p, y: other.dldl_v2_loss(p.log(), y, r),
    "mean-variance": lambda p, y: narrow(p.log(), y, r),
}


def settle(loss):
    def value(logits):
        p = torch.tensor(logits).softmax(0).expand(20, -1)
        return float(loss(p, grades))

    search = {"method": "Nelder-Mead", "options": {"maxiter": 4000}}
    best = minimize(value, 5 * [0.0], tol=1e-9, **search)
    return torch.tensor(best.x).softmax(0)


settled = {name: settle(loss) for name, loss in by_probability.items()}

# %% [markdown]
# A second question for the same losses: one image has rank 1, and the model is sure of some rank, right or wrong, with
# probability 0.9, the others getting 0.025 each. How much does each mistake cost, beyond being sure of rank 1?

# %% mystnb={"image": {"alt": "Two tables of numbers with coloured cells, one row per loss and one column per rank. Left, probabilities: cross-entropy, CORN, CORAL and RPS equal the shares of the grades, SORD is flatter. Right, costs: cross-entropy and CORN cost the same for each wrong rank, the others rise from rank 1 towards either end."}} tags=["hide-input"]
shares = torch.bincount(grades) / len(grades)
sure = 0.9 * torch.eye(5) + 0.025 * (1 - torch.eye(5))
costs = {}
for name, loss in by_probability.items():
    cost = torch.stack([loss(row[None], torch.tensor([1])) for row in sure])
    costs[name] = ((cost - cost[1]) / (cost - cost[1]).max()).tolist()
left = pd.DataFrame({"the twenty grades": shares.tolist()}).T
left = pd.concat(
    [left, pd.DataFrame({k: v.tolist() for k, v in settled.items()}).T]
)
right = pd.DataFrame({"the twenty grades": 5 * [float("nan")], **costs}).T
with style():
    figure, axes = plt.subplots(
        1, 2, figsize=(7.6, 3.1), sharey=True, layout="constrained"
    )
    for axis, table, colours, title in (
        (axes[0], left, "Blues", "Settles on these probabilities"),
        (axes[1], right, "Oranges", "Cost of being sure of a rank"),
    ):
        sns.heatmap(
            table,
            cmap=colours,
            vmin=0,
            vmax=1,
            annot=True,
            fmt=".2f",
            annot_kws={"fontsize": 8},
            cbar=False,
            linewidths=1,
            ax=axis,
        )
        axis.set(xlabel="rank", title=title)
        axis.tick_params(length=0, rotation=0)
plt.close(figure)
figure

# %% [markdown]
# **Figure 14.2.** Left: the probabilities at which each loss is least for twenty images that look alike; the first row
# is the honest answer. Right: what it costs to be sure of each rank where rank 1 is right, as a share of the dearest
# mistake.

# %% tags=["remove-cell"]
for name in ("cross-entropy", "CORN", "CORAL", "RPS"):
    assert torch.allclose(settled[name], shares, atol=2e-3), name
assert settled["SORD"][2] < 0.32 < 0.36 < settled["DLDL-v2"][2] < 0.4
assert settled["mean-variance"][2] > 0.41
for name in ("cross-entropy", "CORN"):
    assert min(costs[name][k] for k in (0, 2, 3, 4)) > 1 - 1e-9
for name in ("CORAL", "RPS", "SORD", "DLDL-v2", "mean-variance"):
    assert costs[name][2] < costs[name][3] < costs[name][4]

# %% [markdown]
# - **CORN is cross-entropy.** The conditional probabilities multiply to $p_y$, so their logarithms sum to $\log p_y$, and
#   the loss is cross-entropy but for a factor, the images over the questions asked. The order is only in what an output means:
#   above $k$, given above $k-1$.
# - **CORAL and RPS are honest and know the order.** They ask the same questions. CORAL's logarithm punishes a sure mistake
#   without bound, RPS at most with $K-1$.
# - **SORD pays for its order with honesty.** It asks for soft labels, so it settles on something softer than the truth.
#   On five ranks the difference is large. A temperature fitted afterwards can undo part of it, so compare SORD with other losses
#   only after fitting one.
# - **DLDL-v2 is softer than the truth, too, and mean-variance is slightly sharper**: one spreads every label, the other punishes
#   variance even where the images are in doubt.
#
# ### Losses of features
#
# Other losses need features, not probabilities: *SupCon* ([Khosla et al., 2020](references.md)) pulls images of one
# rank together; *Rank-N-Contrast* ([Zha et al., 2023](references.md)) asks that of two images the one with the nearer
# label has the nearer feature; *Ordinal Entropy* ([Zhang et al., 2023](references.md)) spreads the centres of the ranks
# by their gaps; *OrdinalCLIP*'s loss ([Li et al., 2022](references.md)) adds to cross-entropy a comparison among the
# images of a batch. A sharp test shows which of them know the order. Exchange the names of ranks 2 and 4, for texts and
# labels alike: no point has moved, so a loss that is blind to the order cannot change.


# %%
def contrastive(z, t, y):
    return losses.asymmetrical_contrastive_loss(z, t, y, 20.0)


def pairwise(z, t, y, order="true"):
    return losses.ordinal_pairwise_loss(z, t, y, r, order=order)


apart, triples = other.ordinal_entropy_loss, other.rank_n_contrast_loss
among_images = other.ordinalclip_loss
by_feature = {
    "asymmetrical contrastive": contrastive,
    "ordinal pairwise": pairwise,
    "the same, order-blind": lambda z, t, y: pairwise(z, t, y, "blind"),
    "Ordinal Entropy": lambda z, t, y: apart(z, y, r),
    "Rank-N-Contrast": lambda z, t, y: triples(z, r[y]),
    "SupCon": lambda z, t, y: other.supcon_loss(z, y, 20.0),
    "OrdinalCLIP": lambda z, t, y: among_images(20 * z @ t.T, y),
}
renamed = torch.tensor([0, 1, 4, 3, 2])
for name, loss in by_feature.items():
    before, after = loss(Z, T, y), loss(Z, T[renamed], renamed[y])
    blind = torch.isclose(before, after)
    print(f"{name:25} {before:8.4f} {after:8.4f}", end="  ")
    print("blind" if blind else "knows the order")

# %% tags=["remove-cell"]
aware = {
    name
    for name, loss in by_feature.items()
    if not torch.isclose(loss(Z, T, y), loss(Z, T[renamed], renamed[y]))
}
assert aware == {"ordinal pairwise", "Ordinal Entropy", "Rank-N-Contrast"}

# %% [markdown]
# OrdinalCLIP's loss is blind: its order is in the prompts, which it interpolates between a few base ranks. L2RCLIP's
# contrastive loss is blind as well, and leaves the order to the sentences and to the pairwise loss.
#
# These tests show which losses *depend* on the order, not which gain from it. What these losses are worth in training
# is measured on real images in [chapter 9](09_does_it_help.ipynb) and [chapter 16](16_all_studies.ipynb).

# %% [markdown]
# ## A push by distance, not by its square
#
# Stage 2 of `preset="paper"` pushes an image from each text by $\omega_{ik}d_{ik}$ ([5.9](05_losses.ipynb)). The bound
# of cross-entropy, ([5.4](05_losses.ipynb)), has $d_{ik}^2$ there. Squared pushes add up to a single one, away from the
# weighted mean of the texts; a push by $d$ keeps a direction for each text. A push by $d^2$ grows with the distance; a push
# by $d$ is as large as its weight. Let five free texts push each other by their rank gaps, on a line and on a sphere:

# %%
line = torch.tensor([[0.0], [0.1], [0.3], [0.6], [1.0]])
sphere = F.normalize(torch.randn(5, 3, generator=draw), dim=1)
gap = (r[:, None] - r).abs() / 4
for power in (1, 2):
    for name, t in {"line": line, "sphere": sphere}.items():
        for _ in range(300):
            t = t.detach().requires_grad_()
            loss = -(gap * losses.distances(t, t) ** power).mean()
            (grad,) = torch.autograd.grad(loss, t)
            t = t - grad
            if name == "sphere":
                t = F.normalize(t, dim=1)
        print(f"d^{power}, {name:6}: ranks 0 and 1", end=" ")
        print(f"{(t[0] - t[1]).norm():.1e} apart")

# %% [markdown]
# On the line a push by $d^2$ explodes, so it needs unit length. On the sphere it leaves neighbours close together; a
# push by $d$ parts them further.

# %% [markdown]
# ## Exercises
#
# As printed here, each check judges an empty or a wrong answer.

# %% tags=["hide-input"]
THREE = (torch.tensor([1, 2]), torch.tensor([1, 2, 4]), torch.tensor([3, 3]))


def check_batch(labels: list[int]) -> None:
    """Compare the stage-1 loss of a batch with its pull alone."""
    if len(set(labels)) < 2 or not set(labels) <= set(range(5)):
        print("not yet: at least two different ranks out of 0 to 4")
        return
    target = torch.tensor(labels)
    seeded = torch.Generator().manual_seed(5)
    z = F.normalize(torch.randn(len(labels), 8, generator=seeded), dim=1)
    own = T[target]
    loss = losses.ordinal_pairwise_loss_stage1(z, own, own, target)
    push = float((z - own).square().sum(1).mean() / 2 - loss)
    if abs(push) < 1e-9:
        print("right: no push")
    else:
        gaps = [abs(a - b) for a, b in itertools.combinations(labels, 2)]
        print(f"not yet: the gaps are {gaps}, and the push is {push:.4f}")


def check_weight(mine: Callable[..., Tensor]) -> None:
    """Judge a stage-1 weight: same pair, same weight; finite; up to 1."""
    weights = [torch.as_tensor(mine(labels, r)) for labels in THREE]
    if any(
        w.shape != 2 * target.shape
        for w, target in zip(weights, THREE, strict=True)
    ):
        print("not yet: one row and one column for each image")
    elif not all(w.isfinite().all() for w in weights):
        print("not yet: not finite for a batch of one rank")
    elif not torch.isclose(weights[0][0, 1], weights[1][0, 1]):
        alone, beside = weights[0][0, 1], weights[1][0, 1]
        print("not yet: ranks 1 and 2 have the weight", end=" ")
        print(f"{alone:.2f} alone, {beside:.2f} beside rank 4")
    elif not 0 < weights[1][0, 1] < weights[1][1, 2] < weights[1][0, 2]:
        print("not yet: a larger gap must have a larger weight, gap 1 some")
    elif abs(mine(torch.tensor([0, 4]), r)[0, 1] - 1) > 1e-9:
        print("not yet: the ends of the scale should have the weight 1")
    else:
        print("right: it does not depend on the batch")


def check_mean_variance(mine: Callable[..., Tensor]) -> None:
    """Compare with the package, and name the term that is wrong."""
    seeded = torch.Generator().manual_seed(6)
    logits = torch.randn(20, 5, generator=seeded)
    for words, first, second in (
        ("without the variance", 0.2, 0.0),
        ("without the mean", 0.0, 0.05),
        ("with both", 0.2, 0.05),
    ):
        right = other.mean_variance_loss(logits, grades, r, first, second)
        yours = float(torch.as_tensor(mine(logits, grades, r, first, second)))
        if abs(yours - float(right)) > 1e-6:
            print(f"not yet, {words}: {yours:.4f} in place of {right:.4f}")
            return
    print("right")


# %% [markdown]
# **1. A silent batch.** Find a batch with at least two *different* ranks for which the stage-1 loss has no push at all. Give
# the ranks of its images.

# %%
check_batch([0, 1, 2])

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The weight is 0 only for the smallest gap, so all gaps must be equal. Three different numbers never have three equal
# gaps, and two equal ones have the gap 0. So the answer is a batch of exactly two images, near or far: even ranks 0 and
# 4 do not push each other.
#
# </details>

# %% tags=["hide-cell"]
check_batch([0, 4])

# %% [markdown]
# **2. A weight of its own.** Write a stage-1 weight $\omega_{ij}$ for all pairs of a batch, as a matrix, that depends on
# nothing but the two ranks, grows with their gap from the first step on, is finite for every batch, and is 1 between the ends
# of the scale.


# %%
def weight(y, r):
    gap = (r[y][:, None] - r[y]).abs()
    return (gap - gap.min()) / gap.max()


check_weight(weight)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Divide by the largest gap of the label space, and subtract nothing. Neighbours then push each other, a little.
#
# </details>


# %% tags=["hide-cell"]
def weight(y, r):
    return (r[y][:, None] - r[y]).abs() / (r[-1] - r[0])


check_weight(weight)

# %% [markdown]
# **3. Mean-variance.** Write the loss with $\mu_i=\sum_k p_{ik}\,r_k$, the expected rank. Here $\lambda_1$ and $\lambda_2$
# weigh the terms of this loss alone:
#
# $$
# \begin{aligned}
# L ={} &\mathrm{CE} + \tfrac{\lambda_1}2 \operatorname*{mean}_i\,(\mu_i-r_{y_i})^2 \\
# {}+{} &\lambda_2 \operatorname*{mean}_i\, \textstyle\sum_k p_{ik}\,(r_k-\mu_i)^2 .
# \end{aligned} \tag{14.1}
# $$


# %%
def mean_variance(logits, y, r, lambda1, lambda2):
    return F.cross_entropy(logits, y)


check_mean_variance(mean_variance)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# A matrix product gives all expected ranks. Note that the second term pulls the *mean* to the label, which leaves the answer
# honest. The third makes the distribution narrow, whether or not the images are in doubt: it is sharper than the truth.
#
# </details>


# %% tags=["hide-cell"]
def mean_variance(logits, y, r, lambda1, lambda2):
    p = logits.softmax(1)
    m = p @ r
    variance = (p * (r - m[:, None]).square()).sum(1).mean()
    error = (m - r[y]).square().mean() / 2
    return F.cross_entropy(logits, y) + lambda1 * error + lambda2 * variance


check_mean_variance(mean_variance)

# %% [markdown]
# ## Summary
#
# - The released stage-1 loss depends on the order of the batch; `symmetric=True` is its mean over all orders. The weight of
#   stage 2 depends on the batch; `normalise="global"` does not.
# - Batches of one rank, of one image, or with a rank that has no image give NaN or an error in the released code, and a finite loss here.
# - CORN is cross-entropy in another form. CORAL and RPS know the order and are honest. SORD and DLDL-v2 settle on something
#   softer than the truth, mean-variance on something sharper.
# - Of the losses of features, the pairwise loss, Ordinal Entropy and Rank-N-Contrast notice the order of the labels.
#
# ## Sources
#
# The flaws are those of `loss/ordinal_ce.py`, `loss/ordinal_ce_stage1.py` and `loss/supcontrast.py` in the repository
# that [Wang et al. (2023)](references.md) released. The other losses are those of [Cao et al. (2020)](references.md),
# [Shi et al. (2023)](references.md), [Díaz and Marathe (2019)](references.md), [Pan et al. (2018)](references.md),
# [Zhang et al. (2023)](references.md), [Zha et al. (2023)](references.md), [Khosla et al. (2020)](references.md) and
# [Li et al. (2022)](references.md); DLDL-v2 is from Gao, Zhou, Wu and Geng, IJCAI 2018. CORAL and CORN agree with
# coral-pytorch, SORD with dlordinal: see `tests/oracles/test_baselines_oracles.py`.
