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
# # Ordinal classification
#
# A leaf has lost a tenth of its area to rust. One model calls it healthy, another calls it nearly dead. Both are wrong,
# and accuracy counts one error for each. Would you spray your field by the second? This chapter is about labels that
# have an order, and about a question that comes before every model: **how do you score an answer so that the score
# knows how wrong it is?**
#
# :::{admonition} What you will learn
# :class: tip
# - what makes labels ordinal: more than names, less than numbers,
# - twelve metrics, each worked by hand on a few leaves, and what each of them cannot see,
# - why a metric must be told how many ranks there are,
# - which answer to read out of a row of probabilities: the most probable rank, the median, or the expectation,
# - how far simple baselines come on leaves, and how little a small test set lets you say.
# :::
#
# | you should know | how much | if not |
# |---|---|---|
# | a classifier, its probabilities, a test split | the idea | any introduction to machine learning |
# | mean, median, correlation | the idea | any introduction to statistics |
# | NumPy arrays | to read them | any introduction to NumPy |
#
# **Time and hardware.** No GPU, no download, and next to no training. The last line of this page says how long it took,
# and on what.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more leaves
SEED = 0  # decides the leaves of the last part

# %% tags=["hide-input"]
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from matplotlib.figure import Figure
from sklearn.metrics import cohen_kappa_score

from l2rclip_book import metric_figures as draw
from l2rclip_book.statistics import compare, holm
from l2rclip_book.studies import image_features
from l2rclip_lite import (
    L2RCLIP,
    Config,
    Ranks,
    load_dataset,
    load_towers,
    metrics,
    plots,
)
from l2rclip_lite.baselines.probes import linear_probe, ridge, zero_shot
from l2rclip_lite.data.leaf_painter import paint_leaf
from l2rclip_lite.data.leaves import share_edges

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

scale = {
    "smoke": {"size": 60, "train": 30, "pixels": 64},
    "page": {"size": 500, "train": 250, "pixels": 128},
    "full": {"size": 4000, "train": 2000, "pixels": 128},
}[PROFILE]
NAMES = ("no", "very low", "low", "high", "very high")
ranks = Ranks(NAMES, (0, 1, 2, 3, 4), "a photo of a leaf with {rank} damage")

# %% [markdown]
# ## More than names, less than numbers
#
# Here is one leaf, drawn eight times while the rust eats it, and the scale on which a grader would put it.

# %% mystnb={"image": {"alt": "Eight pictures of one leaf with more and more orange rust, framed in the colour of their rank. Lines lead from each picture to its place on a scale of the damaged share, which is cut into five coloured ranks of unequal width."}, "figure": {"caption": "Above: one leaf with a growing share of rust, its frame in the colour of its rank. Below: the share itself, cut into five ranks. The label keeps the colour and forgets the place.", "name": "fig-01-scale"}}
drawn = []
for share in (0, 0.03, 0.12, 0.205, 0.24, 0.34, 0.48, 0.62):
    # the same seed: the same leaf; the damage lies in [share, share + 1 %)
    generator = np.random.default_rng(36)
    drawn.append(paint_leaf(generator, share, share + 0.01 if share else 0.0))
shares = [float(leaf.lesions.sum() / leaf.blade.sum()) for leaf in drawn]
edges = share_edges(len(ranks))
draw.threshold_scale([leaf.image for leaf in drawn], shares, edges, ranks)

# %% [markdown]
# Under the labels lies a quantity $u$ that nobody writes down, and between the ranks lie thresholds
# $\theta_1 < \dots < \theta_{K-1}$. The rank of picture $i$ is the number of thresholds that its quantity has passed:
#
# $$
# y_i = \#\{k : \theta_k \le u_i\} \in \{0, \dots, K-1\} .
# $$ (eq-01-rank)
#
# So the label knows who has more damage, and not how much more. Take the second, the fourth and the fifth leaf of
# {numref}`fig-01-scale`.

# %%
percent = 100 * np.array(shares)
cuts = 100 * np.array(edges)
for name, low, high in zip(NAMES, cuts[:-1], cuts[1:], strict=True):
    print(f"{name:<10} {low:5.1f} to {high:5.1f} %, {high - low:4.1f} % wide")
found = np.searchsorted(cuts[1:-1], percent, side="right")
print()
for one, other in ((1, 3), (3, 4)):
    print(
        f"{percent[one]:4.1f} % and {percent[other]:4.1f} %: "
        f"{percent[other] - percent[one]:4.1f} % apart, "
        f"{'the same rank' if found[one] == found[other] else 'two ranks'}"
    )
assert list(found) == [0, 1, 1, 1, 2, 2, 3, 4]
assert found[1] == found[3]
assert found[3] != found[4]
assert len(set(np.diff(cuts).round(6))) > 1, "the steps are not equal"

# %% [markdown]
# The two that differ little have two labels, the two that differ much share one, and a step is not a step. (The
# generator draws nothing between an intact leaf and the first threshold.) Scales of this kind are everywhere:
#
# | label | what lies beneath | one step |
# |---|---|---|
# | age on a portrait {cite:p}`ricanek2006morph` | time since birth | always a year |
# | decade of a photograph {cite:p}`palermo2012dating` | the date | always ten years |
# | damage of a leaf {cite:p}`esgario2020deep` | the damaged share | as wide as somebody chose |
# | beauty of a photograph {cite:p}`schifanella2015image` | perhaps no single quantity | nobody knows |
#
# What a label set allows you to say depends on what you may do to it without losing anything
# {cite:p}`stevens1946theory`:
#
# | labels | you may change them by | you may say |
# |---|---|---|
# | names (nominal) | any renaming | same, different |
# | ranks (ordinal) | any renaming that keeps the order | more, less |
# | numbers (interval) | shifting and stretching | twice as far apart |
#
# Ranks stand in the middle. A classifier that treats them as names throws the order away; a regressor that treats them
# as 0, 1, 2, 3, 4 claims to know that all steps are equal. Statistics has long had models in between, built on
# {eq}`eq-01-rank` {cite:p}`mccullagh1980regression`. Metrics, too, have to take a side, and most of this page is about
# which side each takes.
#
# ## The same accuracy
#
# Two classifiers grade the same leaves, forty of each rank. Both are right on all but half of the healthiest and half
# of the sickest leaves. There the first one misses by a single rank and the second one by all four.

# %% mystnb={"image": {"alt": "Two five by five tables of true rank against answer. On the left the errors lie beside the diagonal, on the right in the two far corners. Under each stand accuracy, one-off accuracy, MAE in ranks and QWK."}, "figure": {"caption": "Share of each true rank that got each answer, for two made-up classifiers, and four metrics. Read the first line under both tables, then the other three.", "name": "fig-01-two"}} tags=["hide-input"]
truth = np.repeat(np.arange(5), 40)
near, far = truth.copy(), truth.copy()
near[:20], near[-20:] = 1, 3
far[:20], far[-20:] = 4, 0
FOUR = {
    "accuracy": metrics.accuracy,
    "one-off accuracy": metrics.one_off,
    "MAE, ranks": metrics.mae_rank,
    "QWK": metrics.qwk,
}
two = {
    "wrong by one rank": (truth, near),
    "wrong by four ranks": (truth, far),
}
figure = plots.confusion(two, ranks)
for axis, (title, case) in zip(figure.axes, two.items(), strict=False):
    scores = [
        f"{name} {score(*case, ranks):.2f}" for name, score in FOUR.items()
    ]
    axis.set_title(title, loc="left")
    axis.set_xlabel("\n".join(["answer", *scores]))
figure.set_size_inches(7.2, 4.6)
figure

# %%
share = metrics.accuracy(truth, near, ranks)
assert share == metrics.accuracy(truth, far, ranks) == 0.8
one, four = (metrics.mae(truth, said, ranks) for said in (near, far))
assert abs(one - 0.2) < 1e-9
assert abs(four - 0.8) < 1e-9
Markdown(
    f"Accuracy says {share:.0%} of both. The mean error of the second is "
    f"{four / one:.0f} times that of the first."
)

# %% [markdown]
# ## Eight leaves by hand
#
# Every metric of this package is a function of `l2rclip_lite.metrics` that takes the truth, the answers and the label
# space. To know what a number means, compute it once yourself. Eight leaves are enough.

# %% mystnb={"image": {"alt": "Eight rows, a dot on the true rank of each leaf. Three red arrows lead from the dot to another rank: one rank up, two ranks up, one rank down."}, "figure": {"caption": "Eight leaves: a dot on the true rank and, where the answer is another, an arrow to it with its error in ranks.", "name": "fig-01-eight"}}
leaves = [0, 0, 1, 2, 2, 2, 3, 4]
answers = [1, 0, 3, 2, 2, 2, 2, 4]
draw.arrows({"eight leaves and their answers": (leaves, answers, ranks)})


# %% [markdown]
# The helper below prints what a function says beside the fraction found by hand, and stops the page if they differ. All
# worked examples of this chapter go through it.


# %%
def by_hand(name: str, value: float, worked: Fraction | int) -> None:
    """Print a metric beside the number found by hand; they must agree."""
    assert abs(value - worked) < 1e-9, f"{name}: {value}, by hand {worked}"
    print(f"{name:<26} {value:7.4f} = {worked}")


# %% [markdown]
# ### How often, and how far?
#
# Let $\hat y_i$ be the answer for picture $i$ of $n$, and $r_k$ the value of rank $k$ in the unit of the label.
# **Accuracy** asks how often, the **mean absolute error** asks how far, in the unit or in rank steps:
#
# $$
# \text{accuracy} = \frac1n \sum_{i=1}^n \mathbf 1[\hat y_i = y_i] ,
# $$ (eq-01-accuracy)
#
# $$
# \text{MAE} = \frac1n \sum_{i=1}^n \lvert r_{\hat y_i} - r_{y_i} \rvert , \qquad
# \text{MAE in ranks} = \frac1n \sum_{i=1}^n \lvert \hat y_i - y_i \rvert .
# $$ (eq-01-mae)
#
# Between the two stand metrics with a tolerance. **One-off accuracy** forgives one rank, the **cumulative score**
# CS@$k$ forgives $k$ units:
#
# $$
# \text{one-off} = \frac1n \sum_{i=1}^n \mathbf 1[\lvert\hat y_i - y_i\rvert \le 1] , \qquad
# \text{CS@}k = \frac1n \sum_{i=1}^n \mathbf 1[\lvert r_{\hat y_i} - r_{y_i}\rvert \le k] .
# $$ (eq-01-cs)
#
# On the eight leaves the errors are $+1$, $+2$ and $-1$ ranks, five leaves are right, and seven are right or nearly so.

# %%
eight = (leaves, answers, ranks)
by_hand("accuracy", metrics.accuracy(*eight), Fraction(5, 8))
by_hand("one-off accuracy", metrics.one_off(*eight), Fraction(7, 8))
by_hand("MAE in ranks", metrics.mae_rank(*eight), Fraction(1 + 2 + 1, 8))

# %% [markdown]
# The unit matters. Give each rank the middle of its range as a value, in percent of the leaf, and the steps become
# unequal. The same three errors are now $\lvert r_1 - r_0\rvert$, $\lvert r_3 - r_1\rvert$ and
# $\lvert r_2 - r_3\rvert$.

# %%
middles = [0.0, *((cuts[1:-1] + cuts[2:]) / 2).round(6)]
in_percent = Ranks(NAMES, tuple(middles), ranks.template, unit="percent")
print("middle of each rank, %:", *in_percent.values)
same = (leaves, answers, in_percent)
total = Fraction(49, 4) + Fraction(131, 4) + 15  # 12.25 + 32.75 + 15
by_hand("MAE, % of the leaf", metrics.mae(*same), total / 8)
by_hand("MAE in ranks, the same", metrics.mae_rank(*same), Fraction(1, 2))
for k, within in ((10, 5), (15, 7), (33, 8)):
    by_hand(f"CS@{k}", metrics.cs_at(*same, k), Fraction(within, 8))

# %% [markdown]
# MAE in the unit is a claim about the unit: it says that two ranks of damage are worth so many percent. MAE in ranks is
# a claim, too: that all steps count the same. Neither is wrong; a table must say which it shows. In this package
# **whole numbers are rank indices and floats are values in the unit**, so an answer may also lie between two ranks.

# %%
assert metrics.mae([2], [3], in_percent) == 15  # index 3 is 45 %
assert metrics.mae([2], [31.5], in_percent) == 1.5  # 31.5 % is 1.5 % off
assert metrics.accuracy([2], [31.5], in_percent) == 1  # and nearest to rank 2

# %% [markdown]
# ### Better than guessing?
#
# A MAE of one rank is fine among sixty ages and poor among three grades. **Quadratic weighted kappa**
# {cite:p}`cohen1968weighted` compares the squared error with that of a guesser who gives the same answers to random
# leaves. Let $O_{ij}$ be the number of leaves of rank $i$ that were called $j$, and $E_{ij}$ the number that chance
# would give, row total times column total over $n$:
#
# $$
# \text{QWK} = 1 - \frac{\sum_{i,j} (i-j)^2\, O_{ij}}{\sum_{i,j} (i-j)^2\, E_{ij}} .
# $$ (eq-01-qwk)
#
# The three arrows cost $1 + 4 + 1 = 6$. For chance, hold every truth against every answer, and divide by $n$.

# %%
gaps = np.subtract.outer(leaves, answers) ** 2
by_chance = Fraction(int(gaps.sum()), 8)
print(f"by chance: {gaps.sum()} / 8 = {by_chance}")
by_hand("QWK", metrics.qwk(*eight), 1 - 6 / by_chance)
always = [2] * 8
by_hand("QWK, always 'low'", metrics.qwk(leaves, always, ranks), 0)

# %% [markdown]
# A constant answer is worth nothing, whatever the constant. But QWK has a trap. Its weights are squared *distances
# between ranks*, so it must know the ranks that happen to be absent. Here are eight pictures of a scale with six ranks,
# of which only 0, 1 and 5 occur. A tool that numbers what it sees puts 5 right beside 1.

# %% mystnb={"image": {"alt": "The same eight pictures twice. On the left on a scale of six ranks, with two long arrows between ranks one and five. On the right the ranks are numbered by what occurs, and the same two arrows are one step long."}, "figure": {"caption": "The same answers on the true scale (left) and on a scale that holds only the ranks that occur (right).", "name": "fig-01-absent"}}
seen = [0, 0, 0, 1, 1, 1, 5, 5]
said = [0, 0, 1, 1, 1, 5, 5, 1]
six = Ranks(tuple("012345"), tuple(range(6)), "grade {rank}")
three = Ranks(("0", "1", "5"), (0, 1, 2), "grade {rank}")
renumbered = [[(0, 1, 5).index(rank) for rank in side] for side in (seen, said)]
draw.arrows(
    {
        "all six ranks": (seen, said, six),
        "only the ranks that occur": (*renumbered, three),
    }
)

# %%
by_hand("QWK, six ranks", metrics.qwk(seen, said, six), Fraction(19, 41))
by_hand("QWK, renumbered", metrics.qwk(*renumbered, three), Fraction(2, 3))
options = {"weights": "quadratic"}
plain = cohen_kappa_score(seen, said, **options)
told = cohen_kappa_score(seen, said, labels=range(6), **options)
by_hand("scikit-learn", plain, Fraction(2, 3))
by_hand("the same, labels given", told, Fraction(19, 41))

# %% [markdown]
# Two errors of four ranks shrank to one rank each, and the score rose. It can happen wherever a rank is absent: in a
# small test set, in a bootstrap sample, with a rare rank, and always in silence. That is why every function here takes
# `ranks`.
#
# ### In the right order?
#
# Sometimes only the order of the pictures counts: which field first? **Spearman's** $\rho$ {cite:p}`spearman1904proof`
# correlates the places of truth and answer in their sorted lists, equal ones sharing a mean place. **Kendall's**
# $\tau_b$ {cite:p}`kendall1938new` counts, of the $N$ pairs of pictures, those in the same order, $C$, and those in
# opposite order, $D$. With $T_y$ and $T_{\hat y}$ pairs tied in truth and in answer,
#
# $$
# \rho = \operatorname{corr}\big(\text{place}(y), \text{place}(\hat y)\big) \;\overset{\text{no ties}}{=}\;
# 1 - \frac{6 \sum_i d_i^2}{n(n^2-1)} ,
# $$ (eq-01-spearman)
#
# $$
# \tau_b = \frac{C - D}{\sqrt{(N - T_y)(N - T_{\hat y})}} ,
# $$ (eq-01-kendall)
#
# where $d_i$ is the difference of the two places. Three leaves of rank 0, 1, 2 that are called 0, 2, 1 have
# $d = 0, 1, -1$, and one of their three pairs is turned round.

# %%
turned = ([0, 1, 2], [0, 2, 1], ranks)
by_hand("Spearman, one turned", metrics.spearman(*turned), 1 - Fraction(12, 24))
by_hand("Kendall, one turned", metrics.kendall(*turned), Fraction(2 - 1, 3))
print()
too_high = ([0, 1, 2, 3], [1, 2, 3, 4], ranks)
by_hand("Spearman, one too high", metrics.spearman(*too_high), 1)
by_hand("Kendall, one too high", metrics.kendall(*too_high), 1)
by_hand("accuracy", metrics.accuracy(*too_high), 0)
by_hand("MAE in ranks", metrics.mae_rank(*too_high), 1)

# %% [markdown]
# **A perfect order, and every answer wrong.** Rank correlations are blind to a shift and to any stretching of the
# scale. That is a virtue if you only want to sort, and a fault if you quote them as proof that a model grades well.
#
# ### Do the probabilities know?
#
# So far only the answer counted. Most models say more: a row of probabilities $p_{i0}, \dots, p_{i,K-1}$. Two leaves of
# rank *very low*: both rows put one half on the truth. They differ in where the other half lies.

# %% mystnb={"image": {"alt": "Two rows of probabilities with one half on the true rank. On the left the rest lies on the two neighbours, on the right on the far end. Below each its running sum beside the step of the truth, with the gap shaded."}, "figure": {"caption": "Above: two rows of probabilities, the true rank outlined. Below: their running sums (red) and that of the truth (black). RPS adds up the squared heights of the shaded gap.", "name": "fig-01-rps"}}
beside = [0.25, 0.5, 0.25, 0, 0]
apart = [0, 0.5, 0, 0, 0.5]
draw.staircases(
    {"the rest lies beside": beside, "the rest lies far away": apart}, 1, ranks
)

# %% [markdown]
# Cross-entropy sees only the probability of the truth and calls both rows equal. The **ranked probability score**
# {cite:p}`epstein1969scoring` compares running sums $F_{ik} = \sum_{j\le k} p_{ij}$, and so it sees distance:
#
# $$
# \text{RPS} = \frac1n \sum_{i=1}^n \sum_{k=0}^{K-1} \big(F_{ik} - \mathbf 1[y_i \le k]\big)^2 .
# $$ (eq-01-rps)

# %%
assert beside[1] == apart[1]  # so cross-entropy is the same
sure = np.eye(5)[answers]  # the eight answers, each with probability 1
by_hand("RPS, rest beside", metrics.rps([1], [beside], ranks), Fraction(2, 16))
by_hand("RPS, rest far away", metrics.rps([1], [apart], ranks), Fraction(3, 4))
by_hand("RPS, always certain", metrics.rps(leaves, sure, ranks), Fraction(1, 2))

# %% [markdown]
# The last line is worth a pause: for a model that is always certain, RPS *is* the MAE in ranks. For any other it also
# pays for honest doubt. If leaves that look like this one have rank $y$ with probabilities $q$, whose running sums are
# $Q_k$, then reporting $p$ costs on average
#
# $$
# \mathbb E_{y\sim q}\,\text{RPS}(p, y) = \sum_k Q_k (1 - Q_k) + \sum_k (F_k - Q_k)^2 .
# $$ (eq-01-proper)
#
# The first sum is out of your hands, the second is 0 only for $p = q$. A score with this property is called strictly
# *proper* {cite:p}`gneiting2007strictly`: no lie pays.

# %%
honest = np.array(beside)


def expected_rps(report: list[float]) -> float:
    """Mean RPS of a report where the truth follows `honest`."""
    each = [metrics.rps([y], [report], ranks) for y in range(5)]
    return float(honest @ each)


doubt = Fraction(3, 8)  # the first sum: 1/4 · 3/4 + 3/4 · 1/4
by_hand("honest", expected_rps(beside), doubt)
by_hand("too sure", expected_rps([0, 1, 0, 0, 0]), doubt + Fraction(1, 8))
by_hand("too unsure", expected_rps([0.2] * 5), doubt + Fraction(13, 40))

# %% [markdown]
# A second question about probabilities is whether they mean what they say. Of all answers that a model gives with
# confidence three quarters, three in four should be right. The **expected calibration error**
# {cite:p}`guo2017calibration` sorts the answers into bins $\mathcal B_b$ by the largest probability and compares, in
# each bin, the mean of it with the share of right answers:
#
# $$
# \text{ECE} = \sum_b \frac{\lvert \mathcal B_b\rvert}{n} \,\Big\lvert
# \operatorname{accuracy}(\mathcal B_b) - \operatorname{confidence}(\mathcal B_b) \Big\rvert .
# $$ (eq-01-ece)
#
# Four answers: two with confidence $3/4$, one of them right; two with confidence 1, both right. The first bin is off by
# $3/4 - 1/2$ and holds half of the answers.

# %%
rows = [
    [0.75, 0.25, 0, 0, 0],  # says 0, and it is 0
    [0.75, 0.25, 0, 0, 0],  # says 0, and it is 1
    [0, 0, 1, 0, 0],
    [0, 0, 0, 0, 1],
]
by_hand("ECE", metrics.ece([0, 1, 2, 4], rows, ranks), Fraction(1, 2 * 4))

# %% [markdown]
# ECE knows nothing of order, and it is easily pleased, as we shall see.
#
# ### And the rare rank?
#
# Badly damaged leaves are rare, and they are the ones that matter. Ten leaves: eight are healthy, one has rank 3, one
# rank 4. A model calls all of them healthy. The plain mean is kind to it. **AMAE** {cite:p}`baccianella2009evaluation`
# takes the mean error of each rank first, and then the mean over the set $\mathcal K$ of the ranks that occur; **MMAE**
# {cite:p}`cruzramirez2014metrics` takes the worst rank:
#
# $$
# m_k = \frac{1}{n_k} \sum_{i:\, y_i = k} \lvert \hat y_i - k \rvert , \qquad
# \text{AMAE} = \frac{1}{\lvert\mathcal K\rvert} \sum_{k \in \mathcal K} m_k , \qquad
# \text{MMAE} = \max_{k \in \mathcal K} m_k .
# $$ (eq-01-amae)

# %%
ten = ([0] * 8 + [3, 4], [0] * 10, ranks)
by_hand("accuracy", metrics.accuracy(*ten), Fraction(8, 10))
by_hand("MAE in ranks", metrics.mae_rank(*ten), Fraction(3 + 4, 10))
by_hand("AMAE", metrics.amae(*ten), Fraction(0 + 3 + 4, 3))
by_hand("MMAE", metrics.mmae(*ten), 4)
print()
each_rank = Fraction(1, 2) + 2 + 0 + 1 + 0
by_hand("AMAE, eight leaves", metrics.amae(*eight), each_rank / 5)
by_hand("MMAE, eight leaves", metrics.mmae(*eight), 2)

# %% [markdown]
# ### All of them
#
# | equation | function of `l2rclip_lite.metrics` | reads | range, better |
# |---|---|---|---|
# | {eq}`eq-01-accuracy` | `accuracy` | nearest rank | 0 to 1, higher |
# | {eq}`eq-01-mae` | `mae` | value | 0 or more units, lower |
# | {eq}`eq-01-mae` | `mae_rank` | place among the ranks | 0 to $K-1$, lower |
# | {eq}`eq-01-cs` | `one_off` | nearest rank | 0 to 1, higher |
# | {eq}`eq-01-cs` | `cs_at` | value | 0 to 1, higher |
# | {eq}`eq-01-qwk` | `qwk` | nearest rank | at most 1, chance 0, higher |
# | {eq}`eq-01-spearman` | `spearman` | order of the values | $-1$ to 1, higher |
# | {eq}`eq-01-kendall` | `kendall` | order of the values | $-1$ to 1, higher |
# | {eq}`eq-01-rps`, {eq}`eq-01-proper` | `rps` | probabilities | 0 to $K-1$, lower |
# | {eq}`eq-01-ece` | `ece` | probabilities | 0 to 1, lower |
# | {eq}`eq-01-amae` | `amae`, `mmae` | place among the ranks | 0 to $K-1$, lower |
#
# What cannot be scored is refused, with the row and the fix. `tests/unit/test_metrics.py` works every one of them by hand, and
# `tests/oracles/test_metrics_oracles.py` holds them against scikit-learn, SciPy, torchmetrics and two libraries for
# ordinal classification. `metrics.evaluate` computes all at once, with intervals if asked; it adds the root mean
# squared error (RMSE) and the area under the ROC curve.
#
# ## What an error costs
#
# A metric is a price list. To read it, take a hundred right answers, spoil one of them by $d$ ranks, and see how far
# the metric falls. To compare lists, divide each by its highest price.

# %% mystnb={"image": {"alt": "Left: the price of one error over its size from zero to four ranks, a line a metric: a step at one, a step at two, a straight line and a parabola. Right: bars, a rank each, of the price of one step in AMAE as a multiple of its price in MAE, with a line at one."}, "figure": {"caption": "Left: what one error costs by its size, as a share of what an error of four ranks costs. Right: what one step costs in AMAE, by how rare the true rank is; the line is its price in MAE.", "name": "fig-01-charges"}} tags=["hide-input"]
hundred = np.repeat(np.arange(5), 20)
everything = metrics.evaluate(np.eye(5)[hundred], hundred, ranks)


def fall(name: str, wrong: int) -> float:
    """How much a metric changes if the first leaf is called `wrong`."""
    spoilt = hundred.copy()
    spoilt[0] = wrong
    found = metrics.evaluate(np.eye(5)[spoilt], hundred, ranks)
    return abs(found[name] - everything[name])


PRICED = {
    "accuracy": "accuracy",
    "one-off": "one_off",
    "MAE": "mae",
    "QWK": "qwk",
}
prices = pd.DataFrame(
    {said: [fall(name, d) for d in range(5)] for said, name in PRICED.items()}
)
prices /= prices.iloc[-1]

counts = [40, 30, 20, 8, 2]
uneven = np.repeat(np.arange(5), counts)
surcharge = []
for rank in range(5):
    off = uneven.copy()
    off[np.flatnonzero(uneven == rank)[0]] += 1 if rank < 4 else -1
    one_step = metrics.mae_rank(uneven, off, ranks)
    surcharge.append(metrics.amae(uneven, off, ranks) / one_step)

with plots.style():
    figure = Figure(figsize=(7.8, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    blue, red = plots.COLOURS["stage 1"], plots.COLOURS["stage 2"]
    grey = plots.COLOURS["reference"]
    sns.lineplot(
        prices, ax=left, palette=[grey, grey, blue, red], markers=True, lw=1.8
    )
    left.set(
        title="An error of each size",
        xlabel="the answer is wrong by … ranks",
        ylabel="share of the highest price",
        xticks=range(5),
        ylim=(-0.04, 1.28),
    )
    left.legend(loc="upper left", ncols=2)
    right.bar(range(5), surcharge, color=plots.rank_colours(5))
    for rank, price in enumerate(surcharge):  # clear of the line at 1
        right.text(rank, max(price, 1) + 0.15, f"{price:.2g}×", ha="center")
    right.axhline(1, color=blue, linewidth=1.4)
    right.set_xticks(
        range(5), [f"{n}\n{c}" for n, c in zip(NAMES, counts, strict=True)]
    )
    right.set(
        title="One step, at each rank",
        xlabel="true rank, and how many images it has",
        ylabel="price in AMAE ÷ price in MAE",
    )
    right.margins(y=0.15)
figure

# %%
assert list(prices["accuracy"]) == [0, 1, 1, 1, 1]
assert list(prices["one-off"]) == [0, 0, 1, 1, 1]
assert np.allclose(prices["MAE"], np.arange(5) / 4)
assert np.allclose(prices["QWK"], np.arange(5) ** 2 / 16, atol=0.01)
assert all(abs(fall("rps", d) - fall("mae", d)) < 1e-9 for d in range(5))
assert np.allclose(surcharge, 100 / (5 * np.array(counts)))
prices.round(2)

# %% [markdown]
# Accuracy charges for the first step and nothing more. One-off forgives the first step and then charges all at once.
# MAE charges each step the same, and for certain answers RPS charges exactly that. QWK charges (almost) by the square:
# four small errors cost as much as one error of two ranks. And AMAE charges by rarity, $n / (K n_k)$ times what MAE
# charges. Choosing a metric is choosing a price list, so ask what errors cost *you*.
#
# ## Which metric notices what?
#
# Now turn it round. A classifier falls ill in a known way; which metric raises the alarm? The healthy one sees the true
# rank through a blur, $x_i = y_i + \varepsilon_i$, knows how frequent each rank is, and reports by Bayes' rule what
# this tells it. It is often wrong and always honest. From its rows we make five patients.


# %%
def forecasts(
    number: int, blur: float, rates: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """True ranks, and the honest probabilities of a blurred look at them."""
    generator = np.random.default_rng(0)
    rank = generator.choice(len(rates), size=number, p=rates)
    look = rank + generator.normal(0, blur, number)
    distance = (look[:, None] - np.arange(len(rates))) / blur
    weight = np.array(rates) * np.exp(-(distance**2) / 2)
    return rank, weight / weight.sum(1, keepdims=True)


def squeezed(p: np.ndarray, power: float) -> np.ndarray:
    """The same order of probabilities, more extreme."""
    return p**power / (p**power).sum(1, keepdims=True)


rates = (0.25, 0.35, 0.22, 0.14, 0.04)  # how frequent the ranks are
target, sound = forecasts(1000, 0.7, rates)
shifted = np.roll(sound, 1, axis=1)
shifted[:, 4] += shifted[:, 0]  # what was called 4 is still called 4
shifted[:, 0] = 0
blind = sound.copy()
blind[:, 3] += blind[:, 4]
blind[:, 4] = 0
patients = {
    "healthy": sound,
    "constant answer": np.tile(rates, (len(target), 1)),
    "one too high": shifted,
    "ends swapped": sound[:, [4, 1, 2, 3, 0]],
    "over-confident": squeezed(sound, 4),
    "rare rank never said": blind,
}

# %% [markdown]
# The patient with the constant answer reports the frequencies of the ranks each time. When does a metric raise the
# alarm? Not for what chance explains. Draw as many leaves again from the ones there are, with replacement, score the
# healthy classifier on them, do it 400 times and keep the middle 95 % of the scores: its bootstrap interval
# {cite:p}`efron1979bootstrap`. A value outside, on the wrong side, is an alarm. All rows but the last two judge the
# most probable rank, as most papers do.

# %% mystnb={"image": {"alt": "A table of coloured cells. Columns are a healthy classifier and five sick ones, rows are ten metrics. A cell shows the value and is red where the metric raises the alarm, else grey."}, "figure": {"caption": "Ten metrics look at a healthy classifier and at five sick ones. Red and bold: outside the interval of the healthy one, on the wrong side. The arrow says which way is better.", "name": "fig-01-notices"}} tags=["hide-input"]
UP = ("accuracy", "one_off", "qwk", "spearman", "kendall")
CALLED = {
    "accuracy": "accuracy ↑",
    "one_off": "one-off ↑",
    "mae": "MAE ↓",
    "qwk": "QWK ↑",
    "spearman": "Spearman ↑",
    "kendall": "Kendall ↑",
    "amae": "AMAE ↓",
    "mmae": "MMAE ↓",
    "rps": "RPS ↓",
    "ece": "ECE ↓",
}
reference = metrics.evaluate(
    sound, target, ranks, intervals=True, resamples=400
)
draws = np.random.default_rng(0).integers(len(target), size=(400, len(target)))
answer = sound.argmax(1)
for name in ("spearman", "kendall"):  # `evaluate` has no interval for these
    score = getattr(metrics, name)
    again = [score(target[draw], answer[draw], ranks) for draw in draws]
    ends = np.quantile(again, (0.025, 0.975))
    reference[f"{name}_low"], reference[f"{name}_high"] = ends
seen_by = {
    name: metrics.evaluate(p, target, ranks) for name, p in patients.items()
}
values = pd.DataFrame(seen_by).loc[list(CALLED)]
alarms = values.copy().astype(bool)
for name, row in values.iterrows():
    low, high = reference[f"{name}_low"], reference[f"{name}_high"]
    alarms.loc[name] = row < low if name in UP else row > high

with plots.style():
    figure = Figure(figsize=(7.6, 4.5), layout="constrained")
    axis = figure.subplots()
    sns.heatmap(
        alarms.astype(float),
        annot=values.map(lambda value: f"{value:.2f}".replace("-", "−")),
        fmt="",
        cmap=["#eef1f4", "#f3cfc6"],
        cbar=False,
        linewidths=1.5,
        xticklabels=[name.replace(" ", "\n") for name in values],
        yticklabels=list(CALLED.values()),
        annot_kws={"color": plots.COLOURS["ink"]},
        ax=axis,
    )
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.tick_params("y", rotation=0)
    for text, alarm in zip(axis.texts, alarms.values.ravel(), strict=True):
        text.set_weight("bold" if alarm else "normal")
figure

# %% tags=["hide-input"]
answer_only = ["accuracy", "one_off", "mae", "qwk", "spearman", "kendall"]
assert not alarms["healthy"].any()
assert alarms.drop(index="ece")["constant answer"].all()
assert not alarms.loc["ece", "constant answer"]
assert not alarms.loc[["spearman", "kendall"], "one too high"].any()
assert alarms["ends swapped"].all()
same_answers = values["over-confident"] == values["healthy"]
assert same_answers[[*answer_only, "amae", "mmae"]].all()
assert alarms.loc[["rps", "ece"], "over-confident"].all()
assert not alarms.loc[answer_only, "rare rank never said"].any()
assert alarms.loc[["amae", "mmae"], "rare rank never said"].all()
tally = alarms.drop(columns="healthy").sum(axis=1)
assert list(tally[tally == 5].index) == ["rps"]
print("alarms for five patients")
for name, number in tally.items():
    print(f"  {CALLED[name]:<12} {number}")

# %% [markdown]
# Read it by column.
#
# - **Constant answer.** Everyone notices but ECE: a model that knows nothing and says so is perfectly calibrated.
# - **One too high.** Rank correlations see nothing, for the reason above: the shift keeps the order, but for the two
#   highest ranks, which it merges.
# - **Ends swapped.** The healthiest and the sickest leaves are exchanged, and everyone notices.
# - **Over-confident.** The answers are the same to the last leaf, so every metric of answers gives the *same number*.
#   Only the two that read probabilities can know.
# - **Rare rank never said.** The rare rank is too rare for accuracy, MAE, QWK and correlations. AMAE and MMAE are made
#   for it.
#
# RPS alone raises the alarm in every column. It cannot say for what, and few readers know how much a tenth of it is. So
# a pair does well: one metric for the size of the error in a unit that readers understand (MAE, with AMAE where ranks
# are rare), and one for the probabilities (RPS).
#
# ## From a row to an answer
#
# A leaf with a grey shine is either a healthy leaf in the sun, or covered by mildew. The model cannot tell and says so.
# Which rank do you write down?

# %% mystnb={"image": {"alt": "Left: five bars of probability, high at both ends, with three markers for the most probable rank, the median and the expectation, at three different places. Right: three curves of the expected price of each answer, each with its lowest point marked."}, "figure": {"caption": "Left: one row of probabilities and three answers. Right: the expected price of each answer under three price lists, each divided by its highest; the mark is at the cheapest answer.", "name": "fig-01-readouts"}}
shine = np.array([0.4, 0.15, 0.05, 0.05, 0.35])
draw.decoders(shine.tolist(), ranks)

# %% [markdown]
# The row is not an answer, and no answer is best as such. If the price of saying $a$ when the truth is $r_k$ is
# $\ell(a, r_k)$, the best answer is the one that is cheapest on average,
#
# $$
# \hat a = \operatorname*{arg\,min}_a \sum_{k} p_k\, \ell(a, r_k) =
# \begin{cases}
# \text{the most probable rank} & \text{if } \ell = \mathbf 1[a \ne r_k] ,\\
# \text{the median} & \text{if } \ell = \lvert a - r_k\rvert ,\\
# \text{the expectation } \sum_k p_k r_k & \text{if } \ell = (a - r_k)^2 .
# \end{cases}
# $$ (eq-01-readout)
#
# The median is the first rank at which the running sum reaches one half.

# %%
grade = np.arange(5.0)
distance = np.abs(grade[:, None] - grade)  # answer in rows, truth in columns
cost = {
    "0/1 loss": (distance > 0) @ shine,
    "absolute": distance @ shine,
    "squared": distance**2 @ shine,
}
median = int((shine.cumsum() < 0.5).sum())
expected = float(shine @ grade)
by_hand("most probable", float(cost["0/1 loss"].argmin()), 0)
by_hand("median", float(cost["absolute"].argmin()), median)
by_hand("expectation", expected, Fraction(15 + 10 + 15 + 140, 100))
assert (int(shine.argmax()), median) == (0, 1)
assert cost["squared"].argmin() == 2  # the rank nearest to the expectation
assert ((grade - expected) ** 2) @ shine < cost["squared"].min()
pd.DataFrame(cost, index=NAMES).round(2)

# %% [markdown]
# One row, three answers, three different ranks. It is the same for a whole test set. Below, an honest forecaster with a
# strong blur is read in all three ways: each wins under its own metric.


# %%
def read_in_three_ways(
    rank: np.ndarray, p: np.ndarray, space: Ranks
) -> pd.DataFrame:
    """Accuracy, MAE and RMSE of the three read-outs."""
    readings = {
        "most probable": p.argmax(1),
        "median": (p.cumsum(1) < 0.5).sum(1),
        "expectation": p @ np.array(space.values),
    }
    judges = {
        "accuracy": metrics.accuracy,
        "MAE": metrics.mae,
        "RMSE": metrics.rmse,
    }
    return pd.DataFrame(
        {
            said: {name: judge(rank, a, space) for name, a in readings.items()}
            for said, judge in judges.items()
        }
    )


blurred = forecasts(20_000, 1.3, rates)
table = read_in_three_ways(*blurred, ranks)
assert table["accuracy"].idxmax() == "most probable"
assert table["MAE"].idxmin() == "median"
assert table["RMSE"].idxmin() == "expectation"
table.round(3)

# %% [markdown]
# So a table that reports accuracy *and* MAE of the same answers has handicapped one of the two. `metrics.evaluate`
# scores all three: `mae` is that of the most probable rank, `mae_median` and `mae_expected` those of the others. Ordinal
# heads such as CORAL {cite:p}`cao2020rank` answer with a median, and `l2rclip_lite.decoders` turns what they say into a
# row like this one, so that all methods can be read alike.
#
# ## Simple baselines on leaves
#
# Now real predictions. They start from {term}`CLIP`: two networks, called {term}`towers <tower>`, one for pictures and one for
# sentences, whose features lie in one space. The towers of this book are called {term}`mini`; {doc}`03_rank_templates` shows how
# they were made. Here they stay *frozen*: nothing in them is trained. Six baselines use them, or do without:
#
# | baseline | looks at | knows of the labels |
# |---|---|---|
# | median rank | nothing | the median of the training labels; it is always sure |
# | frequencies | nothing | how frequent each rank is in training |
# | zero-shot | features of the frozen `mini` image tower | one sentence a rank, and no example |
# | pixels, ridge | 16 × 16 pixels | values of the ranks |
# | ridge | features | values of the ranks |
# | linear probe (cross-entropy) | features | names of the ranks |
#
# The first two are the floor. A constant has no single best form: MAE likes the median, and RPS likes the honest
# frequencies. Ridge is linear regression with a penalty; a normal distribution around its number gives the row. The probe
# treats ranks as names. Penalties, and the width of that distribution, are chosen by validation RPS. Because this chapter
# is about measuring, a part of the training split moves to the test split.

# %%
torch.set_num_threads(1)
side, cut = scale["pixels"], scale["train"]
data = load_dataset(
    "leaves", ranks=5, size=scale["size"], seed=SEED, pixels=side
)
data = replace(data, train=data.train[:cut], test=data.test + data.train[cut:])
towers = load_towers("mini", image_size=side, seed=0)
model = L2RCLIP(towers, data.ranks, Config(image_size=side, threads=1))
encoded = image_features(data, towers)
features, pixels, targets = {}, {}, {}
for split in ("train", "val", "test"):
    part = data.split(split)
    features[split] = torch.stack([encoded[path] for path in part.paths])
    small = [np.asarray(picture.resize((16, 16))) for picture, _ in part]
    pixels[split] = torch.tensor(np.stack(small)).flatten(1) / 255
    targets[split] = torch.tensor(part.targets)
frequent = torch.bincount(targets["train"], minlength=5) / cut
middle = int(targets["train"].median())
predicted = {
    "median rank": torch.eye(5)[[middle] * len(data.test)],
    "frequencies": frequent.repeat(len(data.test), 1),
    "zero-shot": zero_shot(model, towers.project(features["test"])),
}
for name, fitted, given in (
    ("pixels, ridge", ridge, pixels),
    ("ridge", ridge, features),
    ("linear-probe", linear_probe, features),
):
    head = fitted(given, targets, data.ranks)
    predicted[name] = head(given["test"]).softmax(1)
print(
    f"{len(data.train)} leaves to learn from, {len(data.val)} to choose on, "
    f"{len(data.test)} to report"
)

# %% mystnb={"image": {"alt": "Three panels, accuracy, MAE and RPS. Six rows: median rank, frequencies, zero-shot, pixels with ridge, ridge, linear probe. A mark with a horizontal interval each, and a dashed line at the better constant."}, "figure": {"caption": "Six baselines on the same test leaves: value and 95 % bootstrap interval over the leaves. The dashed line is the constant that suits the metric: the median rank, for RPS the frequencies.", "name": "fig-01-baselines"}} tags=["hide-input", "nbval-ignore-output"]
judged = {
    name: metrics.evaluate(p, targets["test"], ranks, intervals=True)
    for name, p in predicted.items()
}
ENDS = {"value": "", "low": "_low", "high": "_high"}


def panel(metric: str) -> pd.DataFrame:
    """A metric of every baseline with its interval."""
    rows = {
        name: {column: found[metric + end] for column, end in ENDS.items()}
        for name, found in judged.items()
    }
    return pd.DataFrame(rows).T


FLOOR = {
    "accuracy ↑": "median rank",
    "MAE ↓": "median rank",
    "RPS ↓": "frequencies",
}
panels = dict(zip(FLOOR, map(panel, ("accuracy", "mae", "rps")), strict=True))
draw.intervals(panels, reference=FLOOR)

# %% [markdown]
# The intervals are bootstrap intervals as above, over the test leaves. They say what another test set of this size
# might have given, and nothing of another *training* set.
#
# The row *frequencies* has no favourite: all ranks are about equally frequent, and its most probable one is an
# accident.
#
# Whether two intervals overlap settles nothing. Both methods saw the same leaves, and a hard leaf is hard for both; so
# look at the *differences*, leaf by leaf. Below are five comparisons for two metrics. *Better* is said only if the
# interval of the mean difference lies above 0, and a signed-rank test agrees after a correction for ten questions.

# %% tags=["hide-input", "nbval-ignore-output"]
known = targets["test"].numpy()
by_leaf = {
    "MAE": {
        name: np.abs(p.argmax(1).numpy() - known)
        for name, p in predicted.items()
    },
    "RPS": {
        name: [
            metrics.rps([int(y)], row[None], ranks)
            for y, row in zip(known, p, strict=True)
        ]
        for name, p in predicted.items()
    },
}
asked = []
for metric, errors in by_leaf.items():
    floor = FLOOR[f"{metric} ↓"]
    for one, other in (
        ("zero-shot", floor),
        ("pixels, ridge", floor),
        ("ridge", floor),
        ("linear-probe", floor),
        ("linear-probe", "ridge"),
    ):
        found = compare(errors[one], errors[other])
        asked.append((metric, one, other, found))
corrected = holm([found.p for *_, found in asked])
verdicts = {}
lines = ["| metric | comparison | saved | 95 % interval | verdict |"]
lines.append("|---|---|---|---|---|")
for (metric, one, other, found), p in zip(asked, corrected, strict=True):
    side = "better" if found.low > 0 else "worse" if found.high < 0 else ""
    sure = side and p <= 0.05
    verdicts[metric, one, other] = side if sure else "no difference shown"
    lines.append(
        f"| {metric} | {one} against {other} | {found.difference:+.2f} | "
        f"{found.low:+.2f} to {found.high:+.2f} | "
        f"{verdicts[metric, one, other]} |"
    )
lines.append(
    "\n*Better* and *worse* are mirror images. An interval without 0 may still "
    f"carry no verdict, because the verdict counts that {len(asked)} questions "
    "were asked of the same leaves."
)
Markdown("\n".join(lines))

# %%
if PROFILE == "page" and SEED == 0:  # what is said below, of these leaves
    for metric, floor in (("MAE", "median rank"), ("RPS", "frequencies")):
        assert verdicts[metric, "zero-shot", floor] == "worse"
        for name in ("ridge", "linear-probe"):
            assert verdicts[metric, name, floor] == "better"
        saved = {
            one: found.difference
            for what, one, other, found in asked
            if (what, other) == (metric, floor)
        }
        assert saved["pixels, ridge"] < min(
            saved["ridge"], saved["linear-probe"]
        )
    assert verdicts["RPS", "pixels, ridge", "frequencies"] == "better"
    unclear = (
        ("MAE", "pixels, ridge", "median rank"),
        ("RPS", "linear-probe", "ridge"),
    )
    for question in (*unclear, ("MAE", "linear-probe", "ridge")):
        assert verdicts[question] == "no difference shown"
print("checks passed")

# %% [markdown]
# What may be said, and what may not:
#
# - **Frozen features know damage.** Ridge and probe beat the constant that suits each metric.
# - **The sentences alone do not.** Zero-shot does worse than never looking at the picture. The towers `mini` were
#   joined by names of objects, and *very low damage* is no object. {doc}`03_rank_templates` asks what its sentences do
#   know.
# - **Do pixels know something, too?** It depends on whom you ask. RPS, which reads whole rows, says yes, a little; MAE shows no
#   difference after the correction. Had only one metric been printed, nobody would have asked.
# - **Which of ridge and probe is better?** Neither metric shows a difference, and that is a result, too. To halve an interval
#   takes four times the leaves; and other leaves to learn from move these rows, too: change `SEED` and see which verdicts
#   stay.
#
# The probe's rows are its own, fitted on few leaves; they need not be honest. Read in three ways, they give:

# %% tags=["nbval-ignore-output"]
probed = predicted["linear-probe"].numpy()
table = read_in_three_ways(known, probed, ranks)
best = {
    "accuracy": table["accuracy"].idxmax(),
    "MAE": table["MAE"].idxmin(),
    "RMSE": table["RMSE"].idxmin(),
}
print("best by", "; by ".join(f"{k}: {name}" for k, name in best.items()))
table.round(2)

# %% [markdown]
# The promise of {eq}`eq-01-readout` was for honest rows. On real ones, try the read-outs on the validation split and
# state which you took.
#
# ## Exercises
#
# **1. Uneven decades.** An archive has photographs of the 1930s, 1950s and 1960s. Four of them, one from each of the
# first two and two from the last, are all answered "1950s". What are MAE in years and MAE in ranks?

# %%
archive = Ranks(
    ("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}", unit="years"
)


def check_decades(years: float, steps: float) -> None:
    """Compare both errors with the package's."""
    case = ([0, 1, 2, 2], [1, 1, 1, 1], archive)
    good_years = abs(years - metrics.mae(*case)) < 1e-3
    good_steps = abs(steps - metrics.mae_rank(*case)) < 1e-3
    hint = "years: use the values of the ranks; ranks: use their places"
    print(
        f"years {'right' if good_years else 'not yet'}, "
        f"ranks {'right' if good_steps else 'not yet'}"
        + ("" if good_years and good_steps else f" ({hint})")
    )


check_decades(0, 0)

# %% [markdown]
# :::{dropdown} Solution
# The errors are 20, 0, 10 and 10 years: their mean is 10 years. In ranks they are 1, 0, 1 and 1: three quarters.
# :::

# %% tags=["hide-cell"]
check_decades(10, 3 / 4)

# %% [markdown]
# **2. A perfect order, and nothing right.** Four leaves have the ranks 0, 1, 2, 3. Find answers with Spearman 1 and
# accuracy 0 that are *not* each one too high. Floats are values, so an answer may lie between two ranks.

# %%


def check_order(mine: list[float]) -> None:
    """Judge four answers for the ranks 0, 1, 2, 3."""
    true, given = [0, 1, 2, 3], [float(answer) for answer in mine]
    if len(given) != 4:
        print("not yet: give four answers")
        return
    rho = metrics.spearman(true, given, ranks)
    right = metrics.accuracy(true, given, ranks)
    if rho < 1 - 1e-9:
        print(f"not yet: Spearman is {rho:.2f}; the answers must increase")
    elif right:
        print(f"not yet: {4 * right:.0f} of 4 are nearest to the true rank")
    elif given == [1, 2, 3, 4]:
        print("not yet: that is the example of the text")
    else:
        print(f"right, and MAE is {metrics.mae(true, given, ranks):.2f}")


check_order([0, 1, 2, 3])

# %% [markdown]
# :::{dropdown} Solution
# The answers only have to increase, by however little: squeeze them into a corner.
# :::

# %% tags=["hide-cell"]
check_order([3.7, 3.8, 3.9, 4.0])

# %% [markdown]
# **3. Three answers.** A model gives the five ranks the probabilities 4/10, 2/10, 1/10, 1/10 and 2/10. Which *value in
# percent of the leaf* is best if a wrong answer costs 1 whatever the distance, if it costs its distance, and if it
# costs the square? The values of the ranks were printed above, as the middles of their ranges.

# %%
doubtful = np.array([0.4, 0.2, 0.1, 0.1, 0.2])


def check_answers(wrong: float, absolute: float, squared: float) -> None:
    """Judge the answers under the three losses."""
    value = np.array(in_percent.values)
    best = {
        "0/1": value[doubtful.argmax()],
        "absolute": value[(doubtful.cumsum() < 0.5).sum()],
        "squared": doubtful @ value,
    }
    mine = (wrong, absolute, squared)
    for (name, right), given in zip(best.items(), mine, strict=True):
        good = abs(given - right) < 0.01
        print(f"{name}: {'right' if good else 'not yet'}")


check_answers(50, 50, 50)

# %% [markdown]
# :::{dropdown} Solution
# The most probable rank is *no*, 0 %. The running sum passes one half at *very low*, 12.25 %. The expectation is
# $0.2 \cdot 12.25 + 0.1 \cdot 30 + 0.1 \cdot 45 + 0.2 \cdot 60 = 21.95$ percent, which is the value of no rank.
# :::

# %% tags=["hide-cell"]
check_answers(0, 12.25, 21.95)

# %% [markdown]
# **4. Fool the mean.** A model answers 0 for each of twenty leaves. Choose their true ranks so that MAE is at most
# $1/5$ of a rank and yet MMAE is as large as it can be.

# %%


def check_fooled(true: list[int]) -> None:
    """Judge twenty true ranks against twenty answers of 0."""
    if len(true) != 20 or not set(true) <= set(range(5)):
        print("not yet: give twenty ranks from 0 to 4")
        return
    mean = metrics.mae_rank(true, [0] * 20, ranks)
    worst = metrics.mmae(true, [0] * 20, ranks)
    if mean > 0.2 + 1e-9:
        print(f"not yet: MAE is {mean:.2f}")
    elif worst < 4:
        print(f"not yet: MMAE is {worst:.2f}")
    else:
        average = metrics.amae(true, [0] * 20, ranks)
        print(f"right: MAE {mean:.2f}, AMAE {average:.2f}, MMAE {worst:.2f}")


check_fooled([0] * 20)

# %% [markdown]
# :::{dropdown} Solution
# Nineteen healthy leaves and one of the highest rank: the mean error is 4/20.
# :::

# %% tags=["hide-cell"]
check_fooled([0] * 19 + [4])

# %% [markdown]
# ## Summary
#
# - Ordinal labels are cuts through a quantity: the order is known, the steps are not.
# - A metric is a price list. Accuracy counts errors, MAE adds up their sizes, QWK their squares, and AMAE asks each
#   rank separately.
# - Rank correlations do not see a shift, ECE does not see ignorance, and no metric of answers sees false certainty.
# - RPS reads the whole row, knows distance, and rewards honesty.
# - QWK must be told how many ranks there are, or absent ranks change it in silence.
# - Most probable rank, median and expectation each suit another loss. Say which one you read.
# - No number without a constant predictor beside it, and no difference without its interval.
#
# ## What next
#
# {doc}`03_rank_templates` asks whether language knows the order of ranks before it has seen a picture. {doc}`05_losses`
# does for training what this page did for testing: it makes a far mistake cost more. {doc}`02_two_stages` trains the
# whole method, {doc}`09_does_it_help` compares many methods by these metrics, and {doc}`notation` maps symbols to names in the code.
#
# ## Sources
#
# The division of scales into names, ranks and numbers is that of {cite:t}`stevens1946theory`, thresholds on a hidden
# quantity are those of {cite:t}`mccullagh1980regression`. Metrics: QWK {cite:t}`cohen1968weighted`, $\rho$
# {cite:t}`spearman1904proof`, $\tau_b$ {cite:t}`kendall1938new`, RPS {cite:t}`epstein1969scoring`, proper scores
# {cite:t}`gneiting2007strictly`, ECE {cite:t}`guo2017calibration`, AMAE {cite:t}`baccianella2009evaluation`, MMAE
# {cite:t}`cruzramirez2014metrics`. The bootstrap is that of {cite:t}`efron1979bootstrap`. How often published
# comparisons of age estimators change once data and metric are held fixed is the subject of {cite:t}`paplham2024call`.
