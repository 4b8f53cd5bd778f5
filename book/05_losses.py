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
# # Losses, built
#
# Five sentences lie at the corners of a pentagon, from *healthy*, rank 0, to *very badly damaged*, rank 4. The star
# is the image of a healthy leaf. It lies exactly on its own sentence, and ranks 1 and 4 are equally near
# (Figure 5.1). A loss moves an image as a force would. Here you build the losses of L2RCLIP ([Wang et al.,
# 2023](references.md)) line by line, and break each line, to see why it is there.
#
# **You need.** Softmax, cross-entropy and autograd in PyTorch; ranks, and CLIP's unit vectors, from
# [chapter 1](01_ordinal_classification.ipynb).
#
# **Time and hardware.** About a minute on one CPU core; no data, no download.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: few steps; page: as shown here; full: more starts
SEED = 0  # decides where free texts start

# %% mystnb={"image": {"alt": "A circle with five numbered sentences at the corners of a pentagon. Rank 0 is at the top, rank 1 on its left, rank 4 on its right, and a star, the image, lies on rank 0."}} tags=["hide-input"]
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from l2rclip_book.loss_figures import (
    circle,
    force_circles,
    free_texts,
    on_circle,
    star,
    text_forces,
    walk,
)
from l2rclip_book.plots import style
from l2rclip_book.statistics import ordinality
from l2rclip_lite.method import losses
from l2rclip_lite.method.ranks import cyclic_permutation

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_default_dtype(torch.float64)  # six digits that agree
PENTAGON = on_circle(*(90 + 72 * k for k in range(5)))
with style():
    figure, axis = plt.subplots(figsize=(2.6, 2.6), layout="constrained")
    circle(axis, PENTAGON)
    star(axis, PENTAGON[[0]], own=0, ranks=5)
plt.close(figure)
figure

# %% [markdown]
# **Figure 5.1.** Five sentences, numbered by rank. The star, an image, lies on sentence 0.
#
# Take a loss that knows the order: a mistake costs more, the further its rank is away. What will its force do to this
# image?
#
# - `"stays"`: it is where it belongs.
# - `"left"`: towards rank 1.
# - `"right"`: towards rank 4.

# %%
bet = ""  # yours: "stays", "left" or "right"

# %% mystnb={"image": {"alt": "Four circles, each with five numbered sentences at the corners of a pentagon and an image on sentence 0 at the top. Coloured arrows with a number show the force of each sentence; a grey arrow shows what turns the image: none under cross-entropy, to the left under RPS and under the pairwise loss with the true order, to the right with a shuffled order."}}
rank0 = torch.tensor([0])


def logits_of(z, t):
    return 1 - losses.distances(z, t) ** 2 / 2  # that is z·t, at s = 1


def cross_entropy(z, t):
    return F.cross_entropy(logits_of(z, t), rank0)


def ranked(z, t):
    return losses.ranked_probability_loss(logits_of(z, t), rank0)


def pairwise(order):
    r = torch.arange(5.0)
    return lambda z, t: losses.ordinal_pairwise_loss(
        z, t, rank0, r, order=order
    )


forces = {
    name: text_forces(loss, PENTAGON[[0]], PENTAGON)
    for name, loss in {
        "cross-entropy": cross_entropy,
        "RPS": ranked,
        "pairwise, true order": pairwise("true"),
        "pairwise, shuffled order": pairwise("shuffled"),
    }.items()
}
print(f"Your bet: {bet}." if bet else "No bet.")
print("Net force along the circle, plus is right:")
for name, force in forces.items():
    print(f"{name:25}{force.sum(0)[0].round(decimals=2) + 0:+.2f}")
force_circles(forces, PENTAGON, PENTAGON[[0]], own=0)

# %% [markdown]
# **Figure 5.2.** What each sentence does to the image. An arrow has the colour and number of its sentence; its length
# is the force, and the longest of each panel is drawn equally long. The grey arrow (net) is what turns the image. The
# scale is 1, and rank 0 has a probability of 0.43; at a scale of 20 it is certain, and the image stays under RPS as
# well.
#
# It moves left, off its own sentence. A force is minus a gradient, and the figure splits it by sentence.
# *Cross-entropy* does not know the order: equally near sentences push equally hard, and the image stays. *RPS*, the
# default where images learn, lets rank 4 push and rank 1 do next to nothing. Under the *pairwise loss* of the paper
# rank 4 pushes four times as hard as rank 1. Give it a shuffled order, and it drives the image right. A loss enforces
# the order that it is given, true or not.
#
# ## A small batch
#
# Image $i$ has the feature $z_i$ and the rank $y_i$. There are $K$ ranks. Rank $k$ has the value $r_k$, and its
# sentence the text feature $t_k$, for short its text. All features have unit length. The $z_i$ are the rows of $Z$,
# the $t_k$ those of $T$.

# %% tags=["remove-cell"]
net = {name: force.sum(0)[0] for name, force in forces.items()}
by_hand = 0.75 * math.cos(math.radians(36)) + 0.25 * math.cos(math.radians(72))
assert abs(net["pairwise, true order"] + by_hand / 5) < 1e-9
assert abs(net["cross-entropy"]) < 1e-9
assert net["RPS"] < -0.3  # to the left
cosines = PENTAGON[[0]] @ PENTAGON.T
assert abs(cosines.softmax(1)[0, 0] - 0.43) < 0.005
assert (20 * cosines).softmax(1)[0, 0] > 0.9999
assert net["pairwise, shuffled order"] > 0.01  # to the right

# %%
draw = torch.Generator().manual_seed(0)
T = F.normalize(torch.randn(5, 8, generator=draw), dim=1)  # texts
Z = F.normalize(torch.randn(6, 8, generator=draw), dim=1)  # images
y = torch.tensor([0, 1, 2, 3, 4, 2])  # rank 2 has two images
r = torch.arange(5.0)  # values of the ranks
s = 20.0  # scale of the cosines; 20 in `mini`, 100 in CLIP


def compare(mine, package):
    torch.testing.assert_close(mine, package)
    print("yours and the package's: equal")


# %% [markdown]
# ## Many images, one sentence: the contrastive loss
#
# CLIP learned from images with captions ([Radford et al., 2021](references.md)). Each image must find its caption among
# those of its batch, by a softmax over cosines times $s$. Each caption must find its image, too, since a caption near to
# everything would please every image. Partners are pulled together, all other pairs pushed apart. If $T_Y$ has the texts
# $t_{y_i}$ as rows, column $i$ is right in row $i$:
#
# $$
# \begin{aligned}
# L_{\text{CLIP}}=\tfrac12\big(&\mathrm{CE}(s\,ZT_Y^\top,i)\\
# {}+{}&\mathrm{CE}(s\,T_YZ^\top,i)\big).
# \end{aligned} \tag{5.1}
# $$


# %%
def clip_loss(z, t, y, s):
    logits = s * z @ t[y].T
    pair = torch.arange(len(y))
    return (F.cross_entropy(logits, pair) + F.cross_entropy(logits.T, pair)) / 2


compare(clip_loss(Z, T, y, s), losses.contrastive_loss(Z, T[y], s))

# %% [markdown]
# **Break it.** Three images of rank 2 lie exactly on their sentence. No features could do better:

# %%
perfect, only_two = T[[2, 2, 2]], torch.tensor([2, 2, 2])
print(f"{clip_loss(perfect, T, only_two, s):.3f}; log 3 is {math.log(3):.3f}")
among_all = F.cross_entropy(s * perfect @ T.T, only_two)
print(f"among all five sentences {among_all:.3f}")

# %% [markdown]
# In the first half every image gets $\log 3$, perfect or not, since all captions are the same: nothing pulls it to
# its sentence. So L2RCLIP's loss is *asymmetrical*. An image must find its sentence among all $K$, a sentence all of
# its images, $P(k)$:
#
# $$
# \begin{aligned}
# L_{\text{asym}}&=\mathrm{CE}(s\,ZT^\top,y)+L_{\text{t2i}},\\
# L_{\text{t2i}}&=\operatorname*{mean}_k\;\operatorname*{mean}_{i\in P(k)}\ell_{ki},\\
# \ell_{ki}&=-\log\operatorname{softmax}_i(s\,t_k\cdot z_i).
# \end{aligned} \tag{5.2}
# $$
#
# The inner mean gives each rank one vote, however many images it has.


# %%
def text_to_image(z, t, y, s):
    log_p = (s * t @ z.T).log_softmax(1)  # row k: which image fits text k?
    of_rank = [-log_p[k][y == k].mean() for k in range(len(t))]
    return torch.stack(of_rank).mean()


def asymmetrical(z, t, y, s):
    return F.cross_entropy(s * z @ t.T, y) + text_to_image(z, t, y, s)


compare(
    asymmetrical(Z, T, y, s), losses.asymmetrical_contrastive_loss(Z, T, y, s)
)

# %% [markdown]
# **Break it** with a batch that has no image of rank 4:

# %%
print(text_to_image(Z[:4], T, y[:4], s))

# %% [markdown]
# A mean over no images is not a number, and spoils the whole loss. Exercise 1 mends that.
#
# ## Cross-entropy is a pull and a push
#
# No line so far knows the order. Where are its forces? Let $d_{ik}=\lVert z_i-t_k\rVert$. Unit vectors have
# $z_i\cdot t_k=1-\tfrac12d_{ik}^2$. In the cross-entropy the constant 1 cancels:
#
# $$
# \begin{aligned}
# \mathrm{CE}={}&\underbrace{\tfrac s2\operatorname*{mean}_i d_{iy_i}^2}_{\text{pull to its own text}}\\
# {}+{}&\underbrace{\operatorname*{mean}_i\log\textstyle\sum_k e^{-s\,d_{ik}^2/2}}_{\text{push from all texts}}.
# \end{aligned} \tag{5.3}
# $$


# %%
def pull_and_push(z, t, y, s):
    squared = torch.cdist(z, t).square()
    pull = s / 2 * squared[torch.arange(len(y)), y].mean()
    push = (-s / 2 * squared).logsumexp(1).mean()
    return pull + push


compare(pull_and_push(Z, T, y, s), F.cross_entropy(s * Z @ T.T, y))

# %% [markdown]
# The split needs unit length: a longer vector would win by its length alone. The push depends on how *near* a text
# is, not on its rank ([Boudiaf et al., 2020](references.md)).
#
# ## Stage 1, where the texts move
#
# In stage 1 the images are fixed and the sentences learn. The *ordinal pairwise loss* joins the contrastive loss. It
# is a pull and a push as well, and its push knows the ranks:
#
# 1. **A weight** grows with the rank gap of two images $i<j$ of the batch. From each gap $g_{ij}$ the least of the
#    batch is subtracted, so the nearest pairs, as a rule two images of one rank, get no push; divided by the largest,
#    the weight is the same in years and in decades:
#
# $$
# \omega_{ij}=\frac{g_{ij}-g_{\min}}{g_{\max}}, \qquad g_{ij}=\lvert r_{y_i}-r_{y_j}\rvert. \tag{5.4}
# $$
#
# 2. **Distances push, squares pull.** A distance has the slope 1 everywhere, so a push has the size of its weight.
#    The slope of a square fades as a text arrives.
# 3. **Texts push each other, too,** since images that nobody trained on ranks say little about the order.
#
# With a weight $\lambda_1$, stage 1 minimises
#
# $$
# \begin{aligned}
# L_1=L_{\text{asym}}&+\tfrac{\lambda_1}2\operatorname*{mean}_i\lVert z_i-t_{y_i}\rVert^2\\
# &-\lambda_1\operatorname*{mean}_{i<j}\omega_{ij}\lVert z_i-t_{y_j}\rVert\\
# &-\tfrac{\lambda_1}2\operatorname*{mean}_{i<j}\omega_{ij}\lVert t_{y_i}-t_{y_j}\rVert.
# \end{aligned} \tag{5.5}
# $$


# %%
def distance(a, b):
    return (a - b).square().sum(1).clamp_min(1e-12).sqrt()


def tightness(z, t, y):
    return (z - t[y]).square().sum(1).mean()


def pairwise_stage1(z, t, y, r, distance=distance):
    i, j = torch.triu_indices(len(y), len(y), offset=1)
    gap = (r[y][i] - r[y][j]).abs()
    weight = (gap - gap.min()) / gap.max()
    own = t[y]
    push = distance(z[i], own[j]) + distance(own[i], own[j]) / 2
    return tightness(z, t, y) / 2 - (weight * push).mean()


def stage1_loss(z, t, y, lambda1=1.0):
    return asymmetrical(z, t, y, s) + lambda1 * pairwise_stage1(z, t, y, r)


compare(
    stage1_loss(Z, T, y),
    losses.asymmetrical_contrastive_loss(Z, T, y, s)
    + losses.ordinal_pairwise_loss_stage1(Z, T[y], T[y], r[y]),
)

# %% [markdown]
# A loss with a minus may become negative; that is no error. **Break it** with a plain root in `distance`.


# %%
def plain_root(a, b):
    return (a - b).square().sum(1).sqrt()


for root in (plain_root, distance):
    t = T.clone().requires_grad_()
    (grad,) = torch.autograd.grad(pairwise_stage1(Z, t, y, r, root), t)
    print(f"{root.__name__:10} gradient of text 2:", grad[2, :3])

# %% [markdown]
# Two images have rank 2, so text 2 meets itself, with the distance 0 and the weight 0. The slope of a root is
# infinite there, and $0\cdot\infty$ is not a number.  Hence `clamp_min`. [Chapter 13](13_other_losses.ipynb) has more
# flaws, and other losses.
#
# ### Does order emerge?
#
# If sentences push each other by their rank gaps, do they line up? Start five texts anywhere, let each carry its
# image with it, so that nothing pulls, and follow the force, with the true weights, with all weights 1
# (*order-blind*), and with those of a shuffled order.

# %% mystnb={"image": {"alt": "Three circles with the paths of five texts from an inner to an outer ring. With the true weight they end in the order 0 to 4 along the circle, with order-blind and shuffled weights in other orders."}} tags=["nbval-ignore-output"]
steps = {"smoke": 60, "page": 200, "full": 800}[PROFILE]
starts = {"smoke": 8, "page": 200, "full": 2000}[PROFILE]
orders, cycle = ("true", "blind", "shuffled"), cyclic_permutation(5)


def spread(order):
    values = r[cycle] if order == "shuffled" else r
    return lambda t: losses.ordinal_pairwise_loss_stage1(
        t, t, t, values, symmetric=True, blind=order == "blind"
    )


ways = {}
for order, dim in itertools.product(orders, (2, 3)):
    seeded = torch.Generator().manual_seed(SEED)
    start = torch.randn(starts, 5, dim, generator=seeded)
    ways[order, dim] = walk(
        spread(order), F.normalize(start, dim=-1), steps, 1.5
    )
free_texts({order: ways[order, 2][:, 0] for order in orders})

# %% [markdown]
# **Figure 5.3.** Free texts under three weights, from one start. Time runs from the inner ring to the outer one.
#
# Measure where many starts end by the gap score of [chapter 3](03_rank_templates.ipynb): 1 is a perfect order, 0 is
# chance. The median, and from the lowest to the highest:

# %% tags=["nbval-ignore-output"]
scores = {"on a circle": {}, "on a sphere": {}}
ends = {key: way[-1] for key, way in ways.items()}
for dim, row in zip((2, 3), scores.values(), strict=True):
    own = ends["shuffled", dim][:, cycle.argsort()]
    ends["shuffled, judged by its own order", dim] = own
    for order in (*orders, "shuffled, judged by its own order"):
        gaps = [ordinality(t)["gap"] for t in ends[order, dim]]
        middle, low, high = np.median(gaps), min(gaps), max(gaps)
        row[order] = f"{middle:.2f} ({low:.2f} to {high:.2f})"
pd.DataFrame(scores)

# %% tags=["remove-cell"]
if PROFILE != "smoke":
    gaps = {
        key: [ordinality(t)["gap"] for t in places]
        for key, places in ends.items()
    }
    assert min(gaps["true", 3]) > 0.8
    assert min(gaps["true", 2]) < 0.5
    assert max(gaps["shuffled", 3]) < 0.3
    assert min(gaps["shuffled, judged by its own order", 3]) > 0.8

# %% [markdown]
# Order emerges if there is room. On the sphere every start ends in the order of the weight, right or wrong, so
# sentences that line up are no discovery. Here the nearest pairs are neighbours, which get no push, so the score is
# not 1. On the circle a text that starts on the wrong side cannot pass those that push it; real features have
# hundreds of dimensions.
#
# ## Stage 2, where the images move
#
# Now the texts are fixed and the images learn. By default the order enters through the probabilities $p_{ik}$, the
# softmax of the logits. Ask $K-1$ questions, "is the rank at most $k$?", answer with the cumulative probability
# $F_{ik}$, and square the errors. This is the *ranked probability score*, RPS ([Epstein, 1969](references.md)):
#
# $$
# \begin{aligned}
# F_{ik}&=p_{i0}+\dots+p_{ik},\\
# L_{\text{rps}}&=\operatorname*{mean}_i\sum_{k<K-1}\big(F_{ik}-\mathbf 1[y_i\le k]\big)^2,
# \end{aligned} \tag{5.6}
# $$
#
# $$
# L_2=\mathrm{CE}(s\,ZT^\top,y)+\lambda_{\text{rps}}L_{\text{rps}}. \tag{5.7}
# $$


# %%
def rps(logits, y):
    total = 0.0
    for k in range(logits.shape[1] - 1):
        at_most_k = logits.softmax(1)[:, : k + 1].sum(1)
        total = total + (at_most_k - (y <= k).double()).square()
    return total.mean()


def stage2_loss(z, t, y, lambda_rps=1.0):
    logits = s * z @ t.T
    return F.cross_entropy(logits, y) + lambda_rps * rps(logits, y)


logits = s * Z @ T.T
compare(
    stage2_loss(Z, T, y),
    F.cross_entropy(logits, y) + losses.ranked_probability_loss(logits, y),
)

# %% [markdown]
# **Break it**: ask for each rank by itself, "is it rank $k$?". Take an image of rank 0 for rank 1, then for rank 4:

# %%
for wrong in (1, 4):
    sure = 50 * torch.eye(5)[[wrong]]
    alone = (sure.softmax(1) - torch.eye(5)[rank0]).square().sum()
    print(f"rank {wrong}: RPS {rps(sure, rank0):.0f}, rank by rank {alone:.0f}")

# %% [markdown]
# Rank by rank, both mistakes cost the same. In RPS an answer that is four ranks off is wrong in four questions.
#
# ## The paper's stage 2, and a pull that is too sure
#
# `preset="paper"` pulls (*tightness*) and pushes (*diversity*) in stage 2 as well, from all $K$ texts:
#
# $$
# \begin{aligned}
# L_2^{\text{paper}}=\mathrm{CE}(s\,ZT^\top,y)&+\lambda_{\text{tight}}\operatorname*{mean}_i d_{iy_i}^2\\
# &-\lambda_{\text{push}}\operatorname*{mean}_{i,k}\omega_{ik}d_{ik},\\
# \omega_{ik}&=\lvert r_{y_i}-r_k\rvert/g_{\max}.
# \end{aligned} \tag{5.8}
# $$


# %%
def diversity(z, t, y, r):
    gap = (r[y][:, None] - r).abs()
    return (gap / gap.max() * torch.cdist(z, t)).mean()


def paper_loss(z, t, y, lambda_tight=1.0, lambda_push=1.0):
    loss = F.cross_entropy(s * z @ t.T, y)
    loss = loss + lambda_tight * tightness(z, t, y)
    return loss - lambda_push * diversity(z, t, y, r)


compare(
    paper_loss(Z, T, y),
    F.cross_entropy(s * Z @ T.T, y) + losses.ordinal_pairwise_loss(Z, T, y, r),
)

# %% [markdown]
# **Break it** with doubt. Twenty images look exactly alike. Of twenty experts one said 0, five 1, eight 2, five 3 and
# one 4, so the honest probability of rank 2 is 0.40. The five sentences lie equally far apart, and the image follows
# the force of tightness alone until it rests. What probability does rank 2 get there?

# %%
bet = ""  # yours: "0.4", "0.7" or "1.0"


# %%
def at_rest(loss, grades):
    z = torch.ones(1, 5, requires_grad=True)  # equally far from all texts
    adam = torch.optim.Adam([z], lr=0.02)
    for _ in range(300):
        adam.zero_grad()
        same = F.normalize(z).expand(len(grades), -1)
        loss(same, C, grades).backward()
        adam.step()
    return (s * F.normalize(z) @ C.T).softmax(1)[0].tolist()


C = F.normalize(torch.eye(5) - 1 / 5, dim=1)  # texts, equally far apart
LOSSES = {
    "cross-entropy": lambda z, t, y: F.cross_entropy(s * z @ t.T, y),
    "RPS": lambda z, t, y: rps(s * z @ t.T, y),
    "tightness": tightness,
}
grades = torch.tensor([0] + 5 * [1] + 8 * [2] + 5 * [3] + [4])
print(f"Your bet: {bet}." if bet else "No bet.")
for name, loss in LOSSES.items():
    print(f"{name:14}", *(f"{p:.2f}" for p in at_rest(loss, grades)))

# %% tags=["remove-cell"]
mean_text = F.normalize(C[grades].mean(0), dim=0)
assert (s * mean_text @ C.T).softmax(0)[2] > 0.999
assert at_rest(tightness, grades)[2] > 0.99
for name in ("cross-entropy", "RPS"):
    assert abs(at_rest(LOSSES[name], grades)[2] - 0.4) < 0.01

# %% [markdown]
# Tightness is all but certain of rank 2, which only eight experts chose. It pulls the image to the mean text, which
# is nearer to rank 2 than to the others. The scale $s$ turns that into near certainty, and tightness does not know $s$.
# Cross-entropy and RPS rest at the shares of the grades: a loss whose best answer is the honest one is *proper*
# ([Gneiting and Raftery, 2007](references.md)). In (5.8) cross-entropy works against tightness, whose weight is
# `lambda_tight`.
#
# In the book, a [playground](playground.md) follows: drag the image, here a square, or a text, change the loss or the
# weights ω, and press *Slide to rest*.
#
# <div class="pg" id="playground-loss" role="region" aria-label="Playground of losses"></div>
#
# ## Exercises
#
# Each has a check.


# %% tags=["hide-input"]
class Calls(TorchFunctionMode):
    """Counts the calls of torch."""

    n = 0

    def __torch_function__(self, called, types, args=(), kwargs=None):
        """Count one."""
        self.n += 1
        return called(*args, **(kwargs or {}))


def near(answer, right):
    return math.isclose(float(answer), float(right), abs_tol=1e-6)


def check_text_to_image(mine):
    """Judge L_t2i with all ranks, without rank 4, and with twice as many."""
    all_ranks = torch.arange(5)
    right = losses.supervised_contrastive_loss(T, Z, all_ranks, y, s)
    few = losses.supervised_contrastive_loss(T, Z[:4], all_ranks, y[:4], s)
    yours = torch.as_tensor(mine(Z, T, y, s))
    if yours.numel() != 1:
        return "not yet: return one number for the whole batch"
    if near(yours, losses.supervised_contrastive_loss(T[y], Z, y, y, s)):
        return "not yet: rank 2 has one vote for each of its two images"
    if not near(yours, right):
        return f"not yet: {yours:.4f} in place of {right:.4f}"
    absent = float(mine(Z[:4], T, y[:4], s))
    if not near(absent, few):
        return (
            f"not yet: no image of rank 4 gives {absent}: leave that text out"
        )
    z = Z.clone().requires_grad_()
    if not torch.as_tensor(mine(z, T, y, s)).requires_grad:
        return "not yet: right, but no gradient comes back; stay with tensors"
    twice = torch.cat([Z, -Z]), torch.cat([T, -T]), torch.cat([y, y + 5])
    try:
        with Calls() as five:
            mine(Z, T, y, s)
        with Calls() as ten:
            mine(*twice, s)
    except (RuntimeError, IndexError) as error:
        return f"not yet: right for five ranks, but for ten: {error}"
    if ten.n > five.n:
        return "not yet: right, but there is a loop; use one matrix for all"
    return "right, also where a rank has no image"


def check_camps(mine):
    """Judge predictions of the ranks 0, 2 and 4."""
    if not isinstance(mine, dict) or set(mine) != set(LOSSES):
        return f"not yet: one entry each for {', '.join(LOSSES)}"
    for name, yours in mine.items():
        if len(yours) != 3 or not 0.9 < sum(yours) < 1.1:
            return f"not yet: {name}: three probabilities, which sum to 1"
    for name, loss in LOSSES.items():
        rests = at_rest(loss, TWO_CAMPS)[::2]
        off = [a - b for a, b in zip(mine[name], rests, strict=True)]
        if max(map(abs, off)) < 0.1:
            continue
        if off[1] >= 0.1:
            return f"not yet: {name}: no expert said rank 2"
        if name == "tightness":
            return "not yet: tightness: the mean text is nearer to rank 0"
        return f"not yet: {name}: a proper loss rests at the shares"
    return "right: you predicted all three"


# %% [markdown]
# **1. Mend it.** `text_to_image` is not a number where a rank has no image. Write $L_{\text{t2i}}$ of (5.2) so that it
# leaves out such ranks, without a loop.


# %%
def mended(z, t, y, s):
    return text_to_image(z, t, y, s)  # yours


print(check_text_to_image(mended))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# A matrix says which image belongs to which text. Each row, divided by its sum, takes the mean over one rank. Rows with
# the sum 0 are left out first.
#
# </details>


# %% tags=["hide-cell"]
def mended(z, t, y, s):
    log_p = (s * t @ z.T).log_softmax(1)
    own = F.one_hot(y, len(t)).T
    seen = own.sum(1) > 0
    return -((own * log_p).sum(1)[seen] / own.sum(1)[seen]).mean()


print(check_text_to_image(mended))

# %% [markdown]
# **2. Two camps.** Predict, then run. Twelve of twenty experts say *healthy*, rank 0. Eight say *very badly damaged*,
# rank 4. Where does the image rest under each loss? Write down the probabilities of the ranks 0, 2 and 4, to one tenth.

# %%
TWO_CAMPS = torch.tensor(12 * [0] + 8 * [4])
predicted = {  # probabilities of the ranks 0, 2 and 4
    "cross-entropy": (1.0, 0.0, 0.0),  # yours
    "RPS": (0.0, 1.0, 0.0),
    "tightness": (0.6, 0.0, 0.4),
}
print(check_camps(predicted))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Cross-entropy and RPS are proper, so they rest at the shares. RPS knows the order, but does not meet in the middle,
# two ranks off for everybody. Tightness goes to the mean text, a little nearer to rank 0. Try ten against ten: by
# symmetry even tightness gives the shares.
#
# </details>

# %% tags=["hide-cell"]
shares = (0.6, 0, 0.4)
solved = {"cross-entropy": shares, "RPS": shares, "tightness": (1, 0, 0)}
print(check_camps(solved))

# %% [markdown]
# ## Summary
#
# - A loss is a set of forces. Cross-entropy is a pull and a push that knows no ranks.
# - In stage 1 texts push each other by rank gap, and take the order that they are given.
# - Stage 2 adds RPS, which knows the order and is proper. The paper's tightness is not proper.
#
# ## Sources
#
# The losses are those of [Wang et al. (2023)](references.md) and of the authors' released code (MIT), except RPS. The
# reasons for (5.4) and (5.5) are ours. The text-to-image half is the loss of [Khosla et al. (2020)](references.md);
# the weight of stage 1 has an ancestor in [Zhang et al. (2023)](references.md).
