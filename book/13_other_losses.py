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
# The authors of L2RCLIP ([Wang et al., 2023](references.md)) released the code of their losses, and this package
# gives the same numbers to six digits. For some batches, however, the released code gives no number at all, and for
# others the number depends on things that should not matter: the order of the rows, and which other images are in the
# batch. This appendix goes through these flaws. Then three small tests compare other losses for ordered labels, first
# on twenty images that look alike.
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
SEED = 0  # decides nothing here

# %% mystnb={"image": {"alt": "Histogram of the released stage-1 loss of one batch over all 720 orders of its rows, with a solid line for the symmetric form and a dotted line for the rows as drawn."}} tags=["hide-input"]
import itertools

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

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
    figure, axis = plt.subplots(figsize=(5.4, 2.6), layout="constrained")
    axis.hist(released, 30, color=COLOURS["stage 1"], label="released")
    ink = COLOURS["ink"]
    axis.axvline(symmetric, color=ink, label="symmetric")
    axis.axvline(released[0], color=ink, ls=":", label="released, as drawn")
    axis.set(xlabel="stage-1 loss of the same six images", ylabel="orders")
    figure.legend(loc="outside upper left", ncols=3)
plt.close(figure)
figure

# %% [markdown]
# **Figure 13.1.** The stage-1 loss of one batch of six images, in all 720 orders of its rows. Bars: the loss as
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
print(f"released: {min(released):.3f} to {max(released):.3f}, mean {mean:.6f}")

# %% tags=["remove-cell"]
assert abs(mean - symmetric) < 1e-9
assert abs(released[0] + 0.111977) < 1e-6

# %% [markdown]
# The symmetric form uses all pairs $i\neq j$. It *is* the mean over all orders, because image $i$ comes before image
# $j$ in half of them. So `symmetric=True` gives the released loss without the noise of the shuffle. The default stays
# as released, to keep numbers comparable. To train with the symmetric form, set `Controls(symmetric=True)`.
#
# ## Weights that depend on the company
#
# The weight of stage 2 is the gap between the rank of an image and that of a text, divided by $M$, the largest such gap
# in the batch; the texts of all ranks count, also of those without an image. So the same image is pushed harder or
# softer depending on which other images were drawn with it. Take an image of rank 1 among five ranks:

# %%
for batch in ([1, 2], [1, 0]):
    for divisor in ("batch", "global"):
        target = torch.tensor(batch)
        weight = losses.rank_weights(target, r, divisor)[0]
        print(batch, f"{divisor:7}", [f"{w:.2f}" for w in weight])

# %% [markdown]
# As soon as the batch holds an image of rank 0 or 4, $M$ is 4, and the two divisors agree. With five equally frequent
# ranks and 16 images that is nearly always so. With many ranks, or where those two are rare, it is not, and every
# batch without them pushes harder. `normalise="global"` divides by the largest gap of the label space, and the same
# image always gets the same weight.
#
# In stage 1 all gaps are between two images of the batch, and the least, $m$, is subtracted from each. That has a side
# effect which no setting removes: the pairs with the least gap have weight 0.
#
# ## Batches that fail
#
# If all images of a batch have one rank, all gaps are 0 and the weight is $0/0$. If there is only one image, there are
# no pairs and no largest gap. And in the contrastive loss, a rank without an image has no positives to take a mean
# over. The last batch of an epoch can be small enough for any of these, and after one NaN in the loss every parameter
# is NaN.
#
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
# | two images, stage 1 | no push | no push |
#
# ## Other losses that know the order
#
# There are other ways to put order into a loss. Most of these losses need only the probabilities $p_{ik}$ that image
# $i$ has rank $k$:
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
# Three of them are a few lines each. Networks compute the answers of CORAL and CORN directly; here they are read off
# $p$, so that all losses can be compared.


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
seeded = torch.Generator().manual_seed(0)
some = torch.randn(20, 5, generator=seeded)
label = torch.randint(5, (20,), generator=seeded)
asked = (label + 1).clamp_max(4).sum()
ce = F.cross_entropy(some, label)
assert torch.isclose(corn(some.softmax(1), label) * asked / 20, ce)

# %% [markdown]
# ### Twenty images that look alike
#
# Twenty images look exactly alike, and experts graded one of them 0, five 1, eight 2, five 3 and one 4. A model must
# give the same answer for all twenty; let it choose the probabilities with the least loss. An *honest* loss, a proper
# scoring rule ([Gneiting and Raftery, 2007](references.md)), makes it choose the shares of the grades.

# %%
grades = torch.tensor([0] + 5 * [1] + 8 * [2] + 5 * [3] + [4])
by_probability = {
    "cross-entropy": lambda p, y: F.nll_loss(p.log(), y),
    "CORN": corn,
    "CORAL": coral,
    "RPS": lambda p, y: losses.ranked_probability_loss(p.log(), y),
    "SORD": sord,
    "DLDL-v2": lambda p, y: other.dldl_v2_loss(p.log(), y, r),
    "mean-variance": lambda p, y: other.mean_variance_loss(p.log(), y, r),
}


def settle(loss):
    def value(logits):
        p = torch.tensor(logits).softmax(0).expand(20, -1)
        return float(loss(p, grades))

    search = {"method": "Nelder-Mead", "options": {"maxiter": 4000}}
    best = 5 * [0.0]
    for _ in range(5):  # it may stop early on a kink
        best = minimize(value, best, tol=1e-9, **search).x
    return torch.tensor(best).softmax(0).numpy()


settled = {"the grades": torch.bincount(grades).numpy() / 20}
settled |= {name: settle(loss) for name, loss in by_probability.items()}
settled = pd.DataFrame(settled).rename_axis("rank").T
settled.round(2)

# %% [markdown]
# The first row is the honest answer. A second question for the same losses: one image has rank 1, and the model is sure
# of some rank, right or wrong, with probability 0.9, the others getting 0.025 each. How much does each mistake cost, as
# a share of the dearest?

# %%
sure = 0.9 * torch.eye(5) + 0.025 * (1 - torch.eye(5))
costs = {}
for name, loss in by_probability.items():
    each = [float(loss(row[None], torch.tensor([1]))) for row in sure]
    costs[name] = [(cost - each[1]) / (max(each) - each[1]) for cost in each]
costs = pd.DataFrame(costs).rename_axis("sure of rank").T
costs.round(2)

# %% tags=["remove-cell"]
honest = settled.loc[["cross-entropy", "CORN", "CORAL", "RPS"]]
assert (honest - settled.loc["the grades"]).abs().max().max() < 2e-3
assert settled[2]["SORD"] < 0.32 < 0.36 < settled[2]["DLDL-v2"] < 0.4
assert settled[2]["mean-variance"] > 0.41
assert costs[:2].drop(columns=1).min().min() > 1 - 1e-9
assert ((costs[2:][2] < costs[2:][3]) & (costs[2:][3] < costs[2:][4])).all()

# %% [markdown]
# - **CORN is cross-entropy.** The conditional probabilities multiply to $p_y$, so their logarithms sum to $\log p_y$, and
#   the loss is cross-entropy times a factor, the images over the questions asked. The order is only in what an output
#   means: above $k$, given above $k-1$.
# - **CORAL and RPS are honest and know the order.** They ask the same questions. CORAL's logarithm punishes a sure
#   mistake without bound, RPS at most with $K-1$.
# - **SORD pays for its order with honesty.** It asks for soft labels, so it settles on something softer than the
#   truth. Here rank 2 gets 0.30, not 0.40. A temperature fitted afterwards can undo part of it, so compare SORD
#   with other losses only after fitting one.
# - **DLDL-v2 is softer than the truth, too, and mean-variance is slightly sharper**: one spreads every label, the
#   other punishes variance even where the images are in doubt.
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
by_feature = {
    "asymmetrical contrastive": lambda z, t, y: (
        losses.asymmetrical_contrastive_loss(z, t, y, 20.0)
    ),
    "ordinal pairwise": lambda z, t, y: losses.ordinal_pairwise_loss(
        z, t, y, r
    ),
    "Ordinal Entropy": lambda z, t, y: other.ordinal_entropy_loss(z, y, r),
    "Rank-N-Contrast": lambda z, t, y: other.rank_n_contrast_loss(z, r[y]),
    "SupCon": lambda z, t, y: other.supcon_loss(z, y, 20.0),
    "OrdinalCLIP": lambda z, t, y: other.ordinalclip_loss(20 * z @ t.T, y),
}
renamed = torch.tensor([0, 1, 4, 3, 2])
aware = set()
for name, loss in by_feature.items():
    before, after = loss(Z, T, y), loss(Z, T[renamed], renamed[y])
    print(f"{name:25} {before:8.4f} {after:8.4f}")
    if not torch.isclose(before, after):
        aware.add(name)
print("know the order:", ", ".join(sorted(aware)))

# %% tags=["remove-cell"]
assert aware == {"ordinal pairwise", "Ordinal Entropy", "Rank-N-Contrast"}

# %% [markdown]
# OrdinalCLIP's loss is blind: its order is in the prompts, which it interpolates between a few base ranks. L2RCLIP's
# contrastive loss is blind as well, and leaves the order to the sentences and to the pairwise loss.
#
# These tests show which losses *depend* on the order, not which gain from it. What these losses are worth in training
# is measured on real images in [chapter 9](09_does_it_help.ipynb) and [chapter 15](15_all_studies.ipynb).
#
# ## Exercises


# %% tags=["hide-input"]
def check_batch(labels: list[int]) -> str:
    """Compare the stage-1 loss of a batch with its pull alone."""
    if len(set(labels)) < 2 or not set(labels) <= set(range(5)):
        return "not yet: at least two different ranks out of 0 to 4"
    target = torch.tensor(labels)
    seeded = torch.Generator().manual_seed(5)
    z = F.normalize(torch.randn(len(labels), 8, generator=seeded), dim=1)
    own = T[target]
    loss = losses.ordinal_pairwise_loss_stage1(z, own, own, target)
    push = float((z - own).square().sum(1).mean() / 2 - loss)
    if abs(push) < 1e-9:
        return "right: no push"
    gaps = [abs(a - b) for a, b in itertools.combinations(labels, 2)]
    return f"not yet: the gaps are {gaps}, and the push is {push:.4f}"


def check_weight(mine: object) -> str:
    """Judge a stage-1 weight: finite; the same pair, the same weight; up to 1."""
    pair, three, one_rank, ends = (
        mine(torch.tensor(labels), r)
        for labels in ([1, 2], [1, 2, 4], [3, 3], [0, 4])
    )
    if pair.shape != (2, 2):
        return "not yet: one row and one column for each image"
    if not one_rank.isfinite().all():
        return "not yet: not finite for a batch of one rank"
    if not torch.isclose(pair[0, 1], three[0, 1]):
        alone, beside = f"{pair[0, 1]:.2f}", f"{three[0, 1]:.2f}"
        return f"not yet: ranks 1 and 2 weigh {alone}, beside rank 4 {beside}"
    if not 0 < three[0, 1] < three[1, 2] < three[0, 2]:
        return "not yet: a larger gap must have a larger weight, gap 1 some"
    if not torch.isclose(ends[0, 1], r[1]):
        return "not yet: the ends of the scale should have the weight 1"
    return "right: it does not depend on the batch"


# %% [markdown]
# **1. A silent batch.** Find a batch with at least two *different* ranks for which the stage-1 loss has no push at all.
# Give the ranks of its images.

# %%
print(check_batch([0, 1, 2]))

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
print(check_batch([0, 4]))

# %% [markdown]
# **2. A weight of its own.** Write a stage-1 weight $\omega_{ij}$ for all pairs of a batch, as a matrix, that depends
# on nothing but the two ranks, grows with their gap from the first step on, is finite for every batch, and is 1 between
# the ends of the scale.


# %%
def weight(y, r):
    gap = (r[y][:, None] - r[y]).abs()
    return (gap - gap.min()) / gap.max()


print(check_weight(weight))

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


print(check_weight(weight))

# %% [markdown]
# ## Summary
#
# - The released stage-1 loss depends on the order of the batch; `symmetric=True` is its mean over all orders. The
#   weight of stage 2 depends on the batch; `normalise="global"` does not.
# - Batches of one rank, of one image, or with a rank that has no image give NaN or an error in the released code, and a
#   finite loss here.
# - CORN is cross-entropy in another form. CORAL and RPS know the order and are honest. SORD and DLDL-v2 settle on
#   something softer than the truth, mean-variance on something sharper.
# - Of the losses of features, the pairwise loss, Ordinal Entropy and Rank-N-Contrast notice the order of the labels.
#
# ## Sources
#
# The flaws are those of `loss/ordinal_ce.py`, `loss/ordinal_ce_stage1.py` and `loss/supcontrast.py` in the repository
# that [Wang et al. (2023)](references.md) released. The other losses are cited where they are described; DLDL-v2 is
# from Gao, Zhou, Wu and Geng, IJCAI 2018. The package's CORAL and CORN agree with coral-pytorch, its SORD with
# dlordinal: see `tests/oracles/test_baselines_oracles.py`.
