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
# # Ordered labels, and CLIP in one picture
#
# A leaf has lost a tenth of its area to rust. One model calls it healthy, another calls it nearly dead. Both are wrong,
# and accuracy counts one error for each. Would you spray your field on the advice of the second? This chapter is about
# labels that have an order: what the order says, how to score an answer by *how* wrong it is, and how to turn a row of
# probabilities into one answer. The chapter ends with CLIP, the pair of networks that L2RCLIP starts from, and with the
# question that this book is about: can sentences teach a model which grade comes after which?
#
# **You need.** To know what a classifier's probabilities and a test split are, and to read NumPy.
#
# **Time and hardware.** No GPU, no download, no training. The last line of this page says how long it took, and on
# what.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more
SEED = 0  # decides the leaves that CLIP is tried on

# %% tags=["hide-input"]
from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from torch import Tensor
from torch.nn.functional import normalize

from l2rclip_book import metric_figures as draw
from l2rclip_book import plots
from l2rclip_lite import Ranks, load_dataset, load_towers, metrics
from l2rclip_lite.data.leaf_painter import paint_leaf
from l2rclip_lite.data.leaves import share_edges

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
SIZE = {"smoke": 60, "page": 1000, "full": 4000}[PROFILE]
NAMES = ("no", "very low", "low", "high", "very high")
ranks = Ranks(NAMES, (0, 1, 2, 3, 4), "a photo of a leaf with {rank} damage")

# %% mystnb={"image": {"alt": "Eight images of one leaf with more and more orange rust, framed in the colour of their rank. Lines lead from each image to its place on a scale of the damaged share, which is cut into five coloured ranks of unequal width."}} tags=["hide-input"]
drawn = []
for share in (0, 0.03, 0.12, 0.205, 0.24, 0.34, 0.48, 0.62):
    # the same seed: the same leaf; the damage is in [share, share + 1 %)
    generator = np.random.default_rng(36)
    drawn.append(paint_leaf(generator, share, share + 0.01 * (share > 0)))
shares = [float(leaf.lesions.sum() / leaf.blade.sum()) for leaf in drawn]
edges = share_edges(len(ranks))
draw.threshold_scale([leaf.image for leaf in drawn], shares, edges, ranks)

# %% [markdown]
# **Figure 1.1.** Above: one leaf with a growing share of rust, its frame in the colour of its rank. Below: the share
# itself, cut into five ranks. The label records the colour, not the place.
#
# ## More than names, less than numbers
#
# Figure 1.1 shows one leaf, drawn eight times with more and more rust, and the scale on which a grader
# would put it. Behind the labels is a quantity $u$ that nobody writes down, here the damaged share. Between the $K$
# ranks are thresholds $\theta_1 < \dots < \theta_{K-1}$. The rank $y_i$ of image $i$ is the number of thresholds that
# its quantity $u_i$ has passed:
#
# $$
# y_i = \#\{k : \theta_k \le u_i\} \in \{0, \dots, K-1\} . \tag{1.1}
# $$
#
# So two different labels say which leaf has more damage, but not how much more. Compare the fourth leaf of
# Figure 1.1 with the second, and then with the fifth:

# %% tags=["hide-input"]
percent, cuts = 100 * np.array(shares), 100 * np.array(edges)
rank_of_share = np.searchsorted(cuts[1:-1], percent, side="right")
for other in (1, 4):
    same = rank_of_share[3] == rank_of_share[other]
    verdict = "the same rank" if same else "two ranks"
    print(
        f"{percent[3]:.1f} % and {percent[other]:.1f} % of the leaf: "
        f"{abs(percent[3] - percent[other]):.1f} % apart, {verdict}"
    )

# %% tags=["remove-cell"]
assert list(rank_of_share) == [0, 1, 1, 1, 2, 2, 3, 4]
assert len(set(np.diff(cuts).round(6))) > 1, "the ranks are not equally wide"

# %% [markdown]
# The two leaves that differ a lot share a label, and the two that differ a little do not. Equal steps in rank are
# unequal steps in damage. Scales of this kind are everywhere:
#
# | label | the quantity behind it | one step |
# |---|---|---|
# | age on a portrait ([Ricanek and Tesafaye, 2006](references.md)) | time since birth | always a year |
# | decade of a photograph ([Palermo et al., 2012](references.md)) | the date | always ten years |
# | damage of a leaf ([Esgario et al., 2020](references.md)) | the damaged share | as wide as somebody chose |
# | beauty of a photograph ([Schifanella et al., 2015](references.md)) | perhaps no single quantity | nobody knows |
#
# What you may say about two labels depends on which changes of all labels lose nothing ([Stevens, 1946](references.md)):
#
# | labels | nothing is lost by | you may say |
# |---|---|---|
# | names (nominal) | any renaming | same, different |
# | **ranks (ordinal)** | any renaming that keeps the order | more, less |
# | numbers (interval) | shifting and stretching | twice as far apart |
#
# Ranks are in the middle. A classifier that treats them as names throws the order away. A regressor that treats them as
# 0, 1, 2, 3, 4 assumes that all steps are equal. Statistics has long had models in between, built on (1.1)
# ([McCullagh, 1980](references.md)). L2RCLIP has another idea: it describes each rank by a sentence.
#
# ## Eight leaves by hand
#
# A metric, too, treats labels as names, as ranks or as numbers. To see what it measures, compute it once by hand; eight
# leaves are enough.

# %% mystnb={"image": {"alt": "Eight rows, a dot on the true rank of each leaf. Three red arrows lead from the dot to another rank: one rank up, two ranks up, one rank down."}} tags=["hide-input"]
eight = ([0, 0, 1, 2, 2, 2, 3, 4], [1, 0, 3, 2, 2, 2, 2, 4])
draw.arrows(*eight, ranks)

# %% [markdown]
# **Figure 1.2.** Eight leaves: a dot on the true rank and, where the answer is another rank, an arrow to it with its
# error in ranks.
#
# Let $y_i$ be the true rank of image $i$ of $n$, and $\hat y_i$ the answer. **Accuracy** asks how often the answer is
# right. The **mean absolute error** asks how far off it is:
#
# $$
# \text{accuracy} = \frac1n \sum_{i=1}^n \mathbf 1[\hat y_i = y_i] , \qquad
# \text{MAE} = \frac1n \sum_{i=1}^n \lvert \hat y_i - y_i \rvert . \tag{1.2}
# $$
#
# An MAE of one rank is good for sixty ages and poor for three grades. The **quadratic weighted kappa** (QWK)
# ([Cohen, 1968](references.md)) therefore compares the squared errors with those of guessing. To guess is to keep the
# same answers and hand them to the images in random order, so below the fraction line stands a mean over all pairs of an
# answer $\hat y_j$ and a truth $y_i$:
#
# $$
# \text{QWK} = 1 - \frac{\sum_i (\hat y_i - y_i)^2}{\frac1n \sum_{i,j} (\hat y_j - y_i)^2} . \tag{1.3}
# $$
#
# QWK is 1 for a perfect model and 0 for one that guesses. Check each number against the arrows of
# Figure 1.2:

# %%
y = np.array([0, 0, 1, 2, 2, 2, 3, 4])  # true ranks
a = np.array([1, 0, 3, 2, 2, 2, 2, 4])  # answers
chance = (a[:, None] - y) ** 2  # every answer, every truth
qwk = 1 - ((a - y) ** 2).sum() / (chance.sum() / 8)
print("accuracy", (a == y).mean(), "= 5/8")
print("MAE", np.abs(a - y).mean(), "= (1 + 2 + 1)/8")
print("QWK", qwk, "= 1 - (1 + 4 + 1)/24")

# %% tags=["remove-cell"]
assert chance.sum() / 8 == 24
for score, value in (
    (metrics.accuracy, 5 / 8),
    (metrics.mae_rank, 4 / 8),
    (metrics.qwk, qwk),
):
    assert abs(score(y, a, ranks) - value) < 1e-9

# %% [markdown]
# Accuracy charges an error of two ranks as much as an error of one; MAE charges double, QWK four times as much. A
# metric is a price list, so ask what an error costs *you*.
#
# In the package the three metrics are `metrics.accuracy`, `metrics.mae_rank` and `metrics.qwk`; `metrics.mae` measures
# the error in the unit of the label instead, such as years. [Chapter 12](12_metrics_and_decoders.ipynb) has more
# metrics, and their traps.
#
# ### A row of probabilities
#
# Most models give more than an answer: a probability $p_{ik}$ of every rank $k$ for image $i$. Figure 1.3
# shows the rows of two leaves of rank *very low*. Both put one half on the truth. They differ in where the other half
# is.

# %% mystnb={"image": {"alt": "Two rows of probabilities with one half on the true rank. On the left the rest is on the two neighbours, on the right on the far end. Below each its running sum beside the step of the truth, with the gap shaded."}} tags=["hide-input"]
beside, apart = [0.25, 0.5, 0.25, 0, 0], [0, 0.5, 0, 0, 0.5]
draw.staircases(
    {"the rest is near": beside, "the rest is far": apart}, 1, ranks
)

# %% [markdown]
# **Figure 1.3.** Above: two rows of probabilities, the true rank outlined. Below: their running sums (red) and that of
# the truth (grey). RPS adds up the squared heights of the shaded gap.
#
# Cross-entropy looks at the probability of the true rank only, so both rows get the same loss. The **ranked probability
# score** (RPS) ([Epstein, 1969](references.md)) compares running sums. The further probability lies from the truth, the
# longer its running sum stays wrong:
#
# $$
# \text{RPS} = \frac1n \sum_{i=1}^n \sum_{k=0}^{K-1} \big(F_{ik} - \mathbf 1[y_i \le k]\big)^2 ,
# \qquad F_{ik} = \sum_{j\le k} p_{ij} . \tag{1.4}
# $$

# %%
truth = np.array([0, 1, 1, 1, 1])  # the running sum of rank 1
for row in ([0.25, 0.5, 0.25, 0, 0], [0, 0.5, 0, 0, 0.5]):
    print(row, "RPS", ((np.cumsum(row) - truth) ** 2).sum())

# %% tags=["remove-cell"]
assert abs(metrics.rps([1], [beside], ranks) - 2 / 16) < 1e-9
assert abs(metrics.rps([1], [apart], ranks) - 3 / 4) < 1e-9
assert abs(metrics.rps(y, np.eye(5)[a], ranks) - 1 / 2) < 1e-9

# %% [markdown]
# For a model that is always certain, RPS *is* the MAE in ranks. For any other model RPS also rewards honest doubt: on
# average no row scores better than the true probabilities. In this book RPS on validation images chooses between epochs
# and between settings, because it takes in the whole row and the order of the ranks.
#
# ### Three answers from one row
#
# A leaf has a grey shine: it is either healthy and in the sun, or covered with mildew. The model cannot tell, so most
# of its probability is at the two ends (Figure 1.4). Which rank do you write down?

# %% mystnb={"image": {"alt": "Left: five bars of probability, high at both ends, with three markers for the most probable rank, the median and the expectation, at three different places. Right: three curves of the expected price of each answer, each with its lowest point marked."}} tags=["hide-input"]
draw.decoders([0.4, 0.15, 0.05, 0.05, 0.35], ranks)

# %% [markdown]
# **Figure 1.4.** Left: one row of probabilities and three answers. Right: the expected price of each answer under three
# price lists, each divided by its highest; the mark is at the cheapest answer.
#
# No answer is best in itself. If saying $a$ when the truth is $r_k$ costs $\ell(a, r_k)$, the best answer is the one
# that is cheapest on average:
#
# $$
# \hat a = \operatorname*{arg\,min}_a \sum_{k} p_k\, \ell(a, r_k) =
# \begin{cases}
# \text{most probable rank} & \ell = \mathbf 1[a \ne r_k] ,\\
# \text{median} & \ell = \lvert a - r_k\rvert ,\\
# \text{expectation } \sum_k p_k r_k & \ell = (a - r_k)^2 .
# \end{cases} \tag{1.5}
# $$
#
# The median is the first rank at which the running sum reaches one half.

# %%
p = np.array([0.4, 0.15, 0.05, 0.05, 0.35])
print("most probable rank", p.argmax())
print("median", (p.cumsum() >= 0.5).argmax())
print("expectation", round(p @ np.arange(5), 6))

# %% tags=["remove-cell"]
best = [draw.expected_price(p, np.arange(5.0), power)[2] for power in (0, 1, 2)]
assert np.allclose(best, [0, 1, 1.8])

# %% [markdown]
# One row, three different answers. A result therefore also depends on the rule that turns probabilities into one
# answer. A table that reports the accuracy *and* the MAE of the same answers puts one of the two at a disadvantage.
# This book calls the three rules *decoders*. Unless it says otherwise, accuracy and MAE belong to the most probable
# rank.
#
# ## CLIP in one picture
#
# Where do probabilities come from? In this book they come from [CLIP](glossary.md)
# ([Radford et al., 2021](references.md)), and Figure 1.5 shows all of it. The numbers are real: they come from
# [mini](glossary.md), the pair of networks that is installed with the package. The image is the last of Figure 1.1.

# %% mystnb={"image": {"alt": "A leaf passes through the image tower and becomes a strip of coloured cells, z. Five sentences pass through the text tower and become five such strips, t. Beside them are five bars for the cosine of z with each t, nearly equal, and five bars for their softmax, highest for no damage although the leaf is badly damaged."}} tags=["hide-input"]
PIXELS = 64 if PROFILE == "smoke" else 128
towers = load_towers("mini", image_size=PIXELS)
with torch.no_grad():
    image = towers.encode_image(towers.transform()(drawn[7].image)[None])
    texts = towers.encode_text(ranks.sentences)
cosine = (texts @ image[0]).numpy()
scaled = towers.logit_scale.exp().item()
probability = np.exp(scaled * cosine) / np.exp(scaled * cosine).sum()
with plots.style():
    figure = Figure(figsize=(7.8, 3.4))
    red, blue = plots.COLOURS["stage 2"], plots.COLOURS["stage 1"]
    strip = {
        "cmap": "RdBu_r",
        "center": 0,
        "cbar": False,
        "xticklabels": False,
        "yticklabels": False,
    }
    seen = figure.add_axes((0.12, 0.6, 0.17, 0.39))
    seen.imshow(np.asarray(drawn[7].image))
    seen.axis("off")
    one = figure.add_axes((0.52, 0.75, 0.2, 0.085))
    sns.heatmap(image[:, :24], ax=one, **strip)
    one.set_title("z: the image")
    space = f"one space:\n{image.shape[1]} numbers each,\nlength 1"
    figure.text(0.745, 0.79, space, va="center", fontsize=8.5)
    many = figure.add_axes((0.52, 0.04, 0.2, 0.43))
    sns.heatmap(texts[:, :24], ax=many, **strip)
    many.set_title("t: the sentences")
    for row, sentence in enumerate(ranks.sentences):
        at = {"ha": "right", "va": "center", "fontsize": 8}
        figure.text(0.345, 0.427 - 0.086 * row, sentence, **at)
    for left, value, title in (
        (0.745, cosine, "cosine"),
        (0.87, probability, f"softmax, s = {scaled:.0f}"),
    ):
        axis = figure.add_axes((left, 0.04, 0.075, 0.43))
        axis.barh(range(5), value, color=plots.rank_colours(5), height=0.7)
        axis.set(ylim=(4.5, -0.5), xticks=[], yticks=[], title=title)
        for row, number in enumerate(value):
            where = {"textcoords": "offset points", "va": "center"}
            axis.annotate(f"{number:.2f}", (number, row), (3, 0), **where)
    for name, height, colour in (("image", 0.79, red), ("text", 0.255, blue)):
        box = {"boxstyle": "round,pad=0.6", "facecolor": colour, "lw": 0}
        middle = {"ha": "center", "va": "center", "color": "white"}
        figure.text(0.43, height, f"{name}\ntower", bbox=box, **middle)
        for start, end in ((0.35, 0.39), (0.47, 0.512)):
            ends = {"posA": (start, height), "posB": (end, height)}
            look = {"arrowstyle": "-|>", "mutation_scale": 10, "color": colour}
            figure.add_artist(FancyArrowPatch(**ends, **look))
figure

# %% [markdown]
# **Figure 1.5.** CLIP. The image tower turns an image into a vector z, the text tower turns each sentence into a vector
# t; colours are the first 24 of 384 numbers, red above 0 and blue below. The cosine of z with each t, times a scale s,
# goes through a softmax over the sentences.
#
# Read the figure from left to right.
#
# 1. **Two towers.** One network reads images, another reads sentences. They share no weights.
# 2. **One space.** Both give a vector of the same size, scaled to length 1: a *feature*. We write $z_i$ for
#    image $i$ and $t_k$ for the sentence of rank $k$.
# 3. **Cosine.** For unit vectors the cosine of their angle is their dot product, $z_i \cdot t_k$: multiply number by
#    number and add. The cosine is 1 for the same direction and 0 for a right angle.
# 4. **Scale.** Cosines differ little, so they are multiplied by a scale $s$. The scale decides how sure the model is:
#    with a small $s$ all sentences get nearly the same probability, with a large one the nearest takes all.
# 5. **Softmax over the sentences.** The sentences are the classes:
#
# $$
# p_{ik} = \frac{\exp(s\, z_i \cdot t_k)}{\sum_{j} \exp(s\, z_i \cdot t_j)} . \tag{1.6}
# $$
#
# So CLIP is a classifier whose last layer is written in English. Change the sentences, and you have another classifier,
# without a single training image. That is called *zero-shot*.
#
# How does an image get near its sentence? CLIP was trained on hundreds of millions of images with their captions.
# In a batch of $B$ pairs, each image must find its own caption, and each caption its own image. With the features of
# the batch as rows of $Z$ and $T$, and with CE for the cross-entropy whose right answers are $1, \dots, B$, the loss is
#
# $$
# L_{\text{CLIP}} = \tfrac12\, \mathrm{CE}(s Z T^\top) + \tfrac12\, \mathrm{CE}(s T Z^\top) . \tag{1.7}
# $$
#
# A loss of this kind is called contrastive: it pulls partners together and pushes all other pairs apart, all of them
# alike. The towers of `mini` were joined in a cheaper way ([chapter 15](15_wordings_and_mini.ipynb)), and are weaker.
# The same code runs with any CLIP that the package can load; whether the findings of this book hold there is open
# ([Published CLIPs](20_controls.ipynb#published-clips)).
#
# ### What it can do, and what it cannot
#
# In code, Figure 1.5 is a few lines. The leaves below are new to both towers.

# %%
data = load_dataset("leaves", ranks=5, size=SIZE, seed=SEED)
prepare = towers.transform()  # resize, scale the pixels
with torch.no_grad():
    batch = torch.stack([prepare(image) for image, _ in data.test])
    z = towers.encode_image(batch)  # B rows of length 1
    t = towers.encode_text(data.ranks.sentences)  # K rows
    s = towers.logit_scale.exp()
    probabilities = (s * z @ t.T).softmax(dim=1)

# %% [markdown]
# First an easy question: which of four things is in the image?

# %%
things = ["leaf", "cup", "truck", "lamp"]
with torch.no_grad():
    named = towers.encode_text([f"a photo of a {it}" for it in things])
nearest = (z @ named.T).argmax(dim=1)
for k, thing in enumerate(things):
    print(f"{thing:<6}{(nearest == k).float().mean():5.0%}")

# %% [markdown]
# Without any training on these images, nearly every leaf is nearest to the right word. Now the question of this book:
# which *grade* of damage?

# %% mystnb={"image": {"alt": "A five by five table of true rank against answer. Most images of every rank are called no damage."}} tags=["hide-input"]
targets = torch.tensor(data.test.targets)
plots.confusion({"CLIP, zero-shot": (targets, probabilities.argmax(1))}, ranks)

# %% [markdown]
# **Figure 1.6.** Zero-shot answers for the test leaves: the share of each true rank that got each answer.

# %% tags=["hide-input", "nbval-ignore-output"]
middle = int(torch.tensor(data.train.targets).median())
rows = {
    "always the median rank": torch.eye(5)[[middle] * len(targets)],
    "CLIP, zero-shot": probabilities,
}
scores = {
    name: metrics.evaluate(row, targets, ranks) for name, row in rows.items()
}
shown = {"accuracy": "accuracy", "mae": "MAE", "qwk": "QWK", "rps": "RPS"}
pd.DataFrame(scores).T[list(shown)].rename(columns=shown).round(2)

# %% tags=["remove-cell"]
if PROFILE == "page" and SEED == 0:
    assert (nearest == 0).float().mean() > 0.8, "mini knows a leaf"
    zero, constant = scores["CLIP, zero-shot"], scores["always the median rank"]
    assert zero["mae"] > constant["mae"], "and grades worse than a constant"
    undamaged = probabilities.argmax(1) == 0
    assert all(undamaged[targets == k].float().mean() > 0.5 for k in range(5))
    assert zero["rps"] < constant["rps"]

# %% [markdown]
# On these test leaves `mini` calls most leaves of every rank undamaged. Its MAE is larger than that of a
# constant answer, the median rank, which ignores the image.
#
# Its RPS is lower, but only because the constant answer is given with certainty. From [chapter 2](02_two_stages.ipynb)
# on, the *median rank* has the frequencies of the training ranks as its probabilities, and a lower RPS.
#
# Why `mini` fails is visible in Figure 1.5: the five cosines hardly differ. The sentences share all words but
# one or two, so their vectors nearly coincide; and its towers learned the names of *things*. "Very low damage" is not a
# thing.
#
# Three observations give hope, and L2RCLIP ([Wang et al., 2023](references.md)) is built on them:
#
# - **Sentences hold some of the order.** *Very low* and *low* are closer to each other than to *very high*, before any
#   leaf is seen. [Chapter 3](03_rank_templates.ipynb) measures how much. **Stage 1** of L2RCLIP starts from the rank
#   sentences and refines them, while both towers stay as they are.
# - **The image tower can learn.** **Stage 2** keeps the sentences where they are and moves the images to them.
# - **A loss can count distance.** Equation (1.7) pushes all wrong sentences alike. A loss that pushes a
#   healthy leaf harder from *very high* than from *low* makes a far mistake cost more, as MAE, QWK and RPS do.
#
# [Chapter 2](02_two_stages.ipynb) does all of this once, from five sentences to a model that grades leaves.
#
# ## Exercises
#
# Each exercise has a check that tries your answer and says what is wrong with it. The checks are folded.
#
# **1. Uneven decades.** An archive has photographs of the 1930s, 1950s and 1960s. Of four photographs the first is from
# the 1930s, the second from the 1950s and the other two from the 1960s. A model answers "1950s" each time. What is its
# MAE in years, and what is it in ranks?

# %% tags=["hide-input"]
archive = Ranks(("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}")


def check_decades(years: float, steps: float) -> str:
    """Compare both errors with the package's."""
    case = ([0, 1, 2, 2], [1, 1, 1, 1], archive)
    if abs(years - metrics.mae(*case)) > 1e-3:
        return "not yet: subtract years, 1950 - 1930 = 20; then take the mean"
    if abs(steps - metrics.mae_rank(*case)) > 1e-3:
        return "not yet: years right; in ranks, 1930s and 1950s are neighbours"
    return "right"


# %%
print(check_decades(years=0, steps=0))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The errors are 20, 0, 10 and 10 years; their mean is 10 years. In ranks they are 1, 0, 1 and 1: three quarters.
#
# ```python
# check_decades(years=10, steps=3 / 4)
# ```
#
# </details>

# %% tags=["remove-cell"]
# the solution is right, and near misses are not
assert check_decades(years=10, steps=3 / 4) == "right"
assert "neighbours" in check_decades(years=10, steps=1)

# %% [markdown]
# **2. Three decoders.** Write the three answers of (1.5) for a row of probabilities `p` and the values
# `r` of the ranks, which need not be evenly spaced. Each answer is a *value*, not an index.


# %% tags=["hide-input"]
def check_answers(answers: Callable[..., tuple[float, ...]]) -> str:
    """Try three decoders on rows where they differ, on uneven ranks."""
    r = np.array([0.0, 12.25, 30.0, 45.0, 60.0])
    names = ("most probable rank", "median", "expectation")
    rows = ([4, 2, 1, 1, 2], [2, 4, 3, 3, 8], [4, 6, 1, 2, 7])
    for row in rows:
        row = [count / sum(row) for count in row]
        p, values = np.array(row), r.copy()
        yours = answers(p, values)
        if not np.iterable(yours) or [*map(np.ndim, yours)] != [0, 0, 0]:
            return "not yet: return three values"
        if (p != row).any() or (values != r).any():
            return "not yet: leave p and r as they are; r *= p changes r"
        for power, mine in enumerate(yours):
            best = draw.expected_price(np.array(row), r, power)[2]
            if abs(mine - best) > 0.03:
                index = mine in range(1, 5) and abs(r[int(mine)] - best) < 1
                shown_as = "an index, not its value" if index else f"{mine:g}"
                where = f"{row}: the {names[power]} is {shown_as}"
                return f"not yet, at {where}; the cheapest is {best:g}"
    return "right"


# %%
def three_answers(p: np.ndarray, r: np.ndarray) -> tuple[float, ...]:
    """Return the most probable rank, median and expectation, as values."""
    return r[0], r[0], r[0]  # yours


print(check_answers(three_answers))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# ```python
# def three_answers(p, r):
#     return r[p.argmax()], r[(p.cumsum() >= 0.5).argmax()], p @ r
# ```
#
# </details>


# %% tags=["remove-cell"]
def solved_answers(p: np.ndarray, r: np.ndarray) -> tuple[float, ...]:
    """The solution above."""
    return r[p.argmax()], r[(p.cumsum() >= 0.5).argmax()], p @ r


assert check_answers(solved_answers) == "right"
assert "an index" in check_answers(
    lambda p, r: (r[p.argmax()], float((p.cumsum() >= 0.5).argmax()), p @ r)
)

# %% [markdown]
# **3. Write CLIP's last step.** The towers of another CLIP give you raw vectors that are not of length 1. Turn `image`
# ($B$ rows) and `text` ($K$ rows) into $B \times K$ probabilities by (1.6).


# %% tags=["hide-input"]
def check_clip(answer: Callable[..., Tensor]) -> str:
    """Compare with the definition, and name the usual slips."""
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(n, 8, generator=generator) for n in (4, 3))
    logits = normalize(image) @ normalize(text).T
    for s in (5.0, 8.0):
        given = image.clone(), text.clone()
        mine = answer(*given, s)
        if not isinstance(mine, Tensor):
            return "not yet: return a tensor"
        if mine.shape != (4, 3):
            return f"not yet: the shape is {tuple(mine.shape)}, not (4, 3)"
        if not all(map(torch.equal, given, (image, text))):
            return "not yet: leave both inputs as they are; z /= n changes z"
        slips = {
            "right": (s * logits).softmax(1),
            "not yet: make the vectors unit": (s * image @ text.T).softmax(1),
            "not yet: the scale is missing": logits.softmax(1),
            "not yet: softmax over the sentences": (s * logits).softmax(0),
        }
        verdict = "not yet: cosines, times s, then a softmax over the sentences"
        for name, slip in slips.items():
            if torch.allclose(mine.float(), slip, 0, 1e-5):
                verdict = name
        if verdict != "right":
            return verdict
    return "right"


# %%
def clip_probabilities(image: Tensor, text: Tensor, s: float) -> Tensor:
    """Turn B x D and K x D numbers into B x K probabilities."""
    return torch.full((len(image), len(text)), 1 / len(text))  # yours


print(check_clip(clip_probabilities))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# ```python
# def clip_probabilities(image, text, s):
#     z = image / image.norm(dim=1, keepdim=True)
#     t = text / text.norm(dim=1, keepdim=True)
#     return (s * z @ t.T).softmax(dim=1)
# ```
#
# </details>


# %% tags=["remove-cell"]
def solved_clip(image: Tensor, text: Tensor, s: float) -> Tensor:
    """The solution above."""
    z = image / image.norm(dim=1, keepdim=True)
    t = text / text.norm(dim=1, keepdim=True)
    return (s * z @ t.T).softmax(dim=1)


assert check_clip(solved_clip) == "right"
assert "unit" in check_clip(lambda z, t, s: (s * z @ t.T).softmax(1))
assert "not yet: cosines" in check_clip(clip_probabilities)

# %% [markdown]
# **4. From doubt to certainty.** Predict, then run. Make the model surer: give it a scale 100 times as large, on the same
# test leaves, and put the new probabilities, a row for each leaf, into `surer`. Before you run it, write down what happens to accuracy, MAE and RPS: does each fall, stay or rise? And if
# the scale grew without end, which number of the table of zero-shot scores would RPS reach?


# %% tags=["hide-input"]
def check_surer(forecast: dict[str, str | float], surer: Tensor) -> str:
    """Compare the new rows with the definition, and a forecast with them."""
    right = (100 * s * z @ t.T).softmax(dim=1)
    if not isinstance(surer, Tensor) or surer.shape != right.shape:
        return "not yet: surer holds a row of five for each test leaf"
    if not torch.allclose(surer.sum(dim=1), torch.ones(len(right))):
        return "not yet: a row must add up to 1; the scale acts before softmax"
    if not torch.allclose(surer, right, atol=1e-3):
        return "not yet: multiply s by 100, and keep the rest as it was"
    true = data.test.targets
    before = metrics.evaluate(probabilities, true, ranks)
    after = metrics.evaluate(right, true, ranks)
    for name in ("accuracy", "MAE", "RPS"):
        key, mine = name.lower(), forecast.get(name)
        gain = after[key] - before[key]
        truth = "rises" if gain > 1e-9 else "falls" if gain < 0 else "stays"
        hint = "a scale keeps the order of the ranks in a row"
        if key == "rps":
            hint = "most answers are wrong, and now they are certain"
        if mine != truth:
            return f"not yet: you wrote that {name} {mine}; {hint}"
    if abs(float(forecast.get("RPS in the end", -1)) - before["mae"]) > 0.02:
        return "not yet: in the end each row is certain; what is RPS then?"
    return f"right: RPS goes from {before['rps']:.2f} to {after['rps']:.2f}"


# %%
forecast = {
    "accuracy": "falls, stays or rises",  # yours
    "MAE": "falls, stays or rises",  # yours
    "RPS": "falls, stays or rises",  # yours
    "RPS in the end": 0.0,  # yours
}
surer = probabilities  # yours
print(check_surer(forecast, surer))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# A larger scale stretches the gaps between the logits of a row and keeps their order. The most probable rank stays, and
# with it accuracy and MAE. RPS rises: most answers are wrong, and each is now given with more certainty. In the end
# every row is certain, and then RPS is the MAE in ranks. So a scale cannot make CLIP right, but it decides what being
# wrong costs.
#
# ```python
# surer = (100 * s * z @ t.T).softmax(dim=1)
# answers = probabilities.argmax(dim=1)
# forecast = {"accuracy": "stays", "MAE": "stays", "RPS": "rises"}
# forecast["RPS in the end"] = metrics.mae_rank(
#     data.test.targets, answers, ranks
# )
# ```
#
# </details>

# %% tags=["remove-cell"]
expected = {"accuracy": "stays", "MAE": "stays", "RPS": "rises"}
expected["RPS in the end"] = scores["CLIP, zero-shot"]["mae"]
certain = (100 * s * z @ t.T).softmax(dim=1)
assert check_surer(expected, certain).startswith("right")
assert "before softmax" in check_surer(expected, 100 * probabilities)

# %% [markdown]
# **5. Two winners.** Two models answer the eight leaves of Figure 1.2, whose true ranks are `y`. Write
# their answers so that accuracy prefers the first model, while MAE and QWK prefer the second.


# %% tags=["hide-input"]
def check_winners(first: list[int], second: list[int]) -> str:
    """Score two lists of answers by three metrics."""
    for model in (first, second):
        if len(model) != 8 or not set(model) <= set(range(5)):
            return "not yet: a model gives eight answers, each from 0 to 4"
    for name, score, more, hint in (
        ("accuracy", metrics.accuracy, first, "who is right more often?"),
        ("MAE", metrics.mae_rank, first, "let the first be wrong by far"),
        ("QWK", metrics.qwk, second, "let the second be wrong by little"),
    ):
        one, two = (score(y, np.array(m), ranks) for m in (first, second))
        if not (one > two if more is first else two > one):
            return f"not yet: {name} is {one:.2f} and {two:.2f}; {hint}"
    return "right"


# %%
first = [0, 0, 1, 2, 2, 2, 3, 4]  # yours
second = [0, 0, 1, 2, 2, 2, 3, 4]  # yours
print(check_winners(first, second))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The first model is wrong once, by four ranks; the second twice, by one rank each. Neither is better in itself: ask
# what an error costs.
#
# ```python
# first = [0, 0, 1, 2, 2, 2, 3, 0]
# second = [0, 0, 1, 2, 1, 3, 3, 4]
# ```
#
# </details>

# %% tags=["remove-cell"]
winners = [0, 0, 1, 2, 2, 2, 3, 0], [0, 0, 1, 2, 1, 3, 3, 4]
assert check_winners(*winners) == "right"
assert check_winners(*winners[::-1]).startswith("not yet: accuracy")

# %% [markdown]
# ## Three questions
#
# **Two models have the same accuracy and the same MAE, but one has a much lower RPS. What is different?**
#
# <details>
# <summary>Answer</summary>
#
# Accuracy and MAE depend on the most probable rank of each row only, RPS on all of the row. The better model puts the
# rest of its probability nearer to the truth, or is less certain where it is wrong.
#
# </details>
#
# **A colleague replaces the grades 0, 1, 2, 3, 4 by 0, 1, 2, 4, 8 and scores the same rows of probabilities again.
# Which of accuracy, MAE in ranks, MAE in values, median and expectation can change?**
#
# <details>
# <summary>Answer</summary>
#
# The new values keep the order, so whatever needs only the order stays: accuracy, MAE in ranks, and the rank at which
# the median lies. The expectation and the MAE in values use the values themselves, so both can change.
#
# </details>
#
# **A batch for (1.7) holds forty leaves and only five different sentences. What does the loss ask
# that makes no sense?**
#
# <details>
# <summary>Answer</summary>
#
# Several images of the batch have the same sentence, and the loss pushes each of them away from the copies of its own
# sentence that belong to the other images. A sentence should be allowed many images; stage 1 of L2RCLIP has a loss that
# does so ([chapter 5](05_losses.ipynb)).
#
# </details>
#
# ## Summary
#
# - Ordinal labels are cuts through a quantity: the order is known, the size of a step is not.
# - A metric is a price list. Accuracy counts errors, MAE averages their sizes, QWK compares their squares with those of
#   guessing.
# - RPS takes in the whole row of probabilities, counts distance, and rewards honest doubt.
# - The most probable rank, the median and the expectation are each best under a different price. Say which one you use.
# - CLIP: two towers, one space, cosine times $s$, softmax over sentences. On this page `mini` names things well, and
#   grades badly.
#
# ## Sources
#
# The division of scales into names, ranks and numbers is from [Stevens (1946)](references.md), thresholds on a hidden
# quantity from [McCullagh (1980)](references.md). QWK: [Cohen (1968)](references.md). RPS: [Epstein (1969)](references.md);
# why it rewards honesty: [Gneiting and Raftery (2007)](references.md). CLIP: [Radford et al. (2021)](references.md).
