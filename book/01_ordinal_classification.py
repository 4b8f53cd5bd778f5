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
# Eight leaves, from healthy to nearly dead, and two models that grade them (Figure 1.1). Both are wrong now and then:
# A about one leaf, B about three. These are your plants. Which model would you ask before you spray?
#
# This chapter is about labels that have an order, and about the price of a wrong answer. It ends with CLIP, and
# with the question of this book: can sentences teach a model which grade comes after which?
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
SEED = 0  # decides the leaves that mini is tried on

# %% mystnb={"image": {"alt": "Eight images of one leaf with more and more orange rust, framed in the colour of their rank. Below, two panels with a dot on the true rank of each leaf. Model A has one red arrow, from very high down to no. Model B has three, each by one rank."}} tags=["hide-input"]
from collections.abc import Callable

import numpy as np
import torch

from l2rclip_book import metric_figures as draw
from l2rclip_book import plots
from l2rclip_book.leaf_painter import paint_leaf
from l2rclip_book.leaves import share_edges
from l2rclip_lite import Ranks, load_dataset, load_towers, metrics

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
SIZE = {"smoke": 60, "page": 1000, "full": 4000}[PROFILE]
NAMES = ("no", "very low", "low", "high", "very high")
ranks = Ranks(
    NAMES, (0, 1, 2, 3, 4), "a photo of a leaf with {rank} damage", "ranks"
)

leaves = []
for share in (0, 0.03, 0.12, 0.205, 0.24, 0.34, 0.48, 0.62):
    # the same seed: the same leaf; the damage is in [share, share + 1 %)
    generator = np.random.default_rng(36)
    leaves.append(paint_leaf(generator, share, share + 0.01 * (share > 0)))
images = [leaf.image for leaf in leaves]
y = np.array([0, 1, 1, 1, 2, 2, 3, 4])  # true ranks
A = np.array([0, 1, 1, 1, 2, 2, 3, 0])  # answers
B = np.array([0, 1, 2, 1, 2, 1, 3, 3])
draw.graders(images, y, {"Model A": A, "Model B": B}, ranks)

# %% [markdown]
# **Figure 1.1.** Eight leaves, framed in the colour of their true rank. A dot is the true rank; where a model answers
# otherwise, an arrow leads to its answer, with the error in ranks.
#
# Which model do you take?
#
# - `"A"`: wrong once, by four ranks.
# - `"B"`: wrong three times, by one rank each.

# %%
bet = ""  # yours: "A" or "B"

# %% [markdown]
# ## Eight leaves by hand
#
# Number the ranks from 0 for *no* damage to 4 for *very high*.

# %%
print(f"Your bet: {bet}." if bet else "No bet.")
for name, a in {"A": A, "B": B}.items():
    print(f"{name}: {(a == y).sum()} of 8 right, {abs(a - y).sum()} ranks off")

# %% [markdown]
# Count right answers, and you take A. Add up how far off they are, and you take B. Nobody has miscounted. To prefer a
# model is to say what an error costs; your bet said it before you saw a number.
#
# So write it down. A **price list** $C$ has a row for each true rank and a column for each answer: $C_{kj}$ is what you
# pay when rank $k$ is called $j$. If image $i$ of $n$ has the true rank $y_i$ and the answer $\hat y_i$, a model costs
# the mean price:
#
# $$
# \text{cost} = \frac1n \sum_{i=1}^n C_{y_i \hat y_i} . \tag{1.1}
# $$
#
# **A metric is a price list.** Here are three; a right answer is free.
#
# | wrong by | 1 | 2 | 3 | 4 |
# |---|---|---|---|---|
# | **accuracy** | 1 | 1 | 1 | 1 |
# | **mean absolute error** (MAE) | 1 | 2 | 3 | 4 |
# | **quadratic weighted kappa** (QWK) | 1 | 4 | 9 | 16 |
#
# MAE in ranks is the cost itself, accuracy is 1 minus the cost. QWK ([Cohen, 1968](references.md)) divides by the
# cost of guessing, that is, of the same answers dealt out to the images at random: every answer $\hat y_j$ meets
# every truth $y_i$.
#
# $$
# \text{QWK} = 1 - \frac{\sum_i C_{y_i \hat y_i}}{\frac1n \sum_{i,j} C_{y_i \hat y_j}} ,
# \qquad C_{kj} = (k - j)^2 . \tag{1.2}
# $$

# %%
truth, answer = np.indices((5, 5))  # rows: truths, columns: answers
off = abs(answer - truth)
C = {"accuracy": off > 0, "MAE": off, "QWK": off**2}

for name, a in {"A": A, "B": B}.items():
    right = 1 - C["accuracy"][y, a].mean()
    squares = C["QWK"][y, a].mean()
    guessed = C["QWK"][y][:, a].mean()
    print(f"{name}: accuracy {right}, MAE {C['MAE'][y, a].mean()}, ", end="")
    print(f"QWK {1 - squares / guessed:.2f}")

# %% tags=["remove-cell"]
for a in (A, B):
    assert metrics.accuracy(y, a, ranks) == 1 - C["accuracy"][y, a].mean()
    assert metrics.mae_rank(y, a, ranks) == C["MAE"][y, a].mean()
    by_hand = 1 - C["QWK"][y, a].mean() / C["QWK"][y][:, a].mean()
    assert abs(metrics.qwk(y, a, ranks) - by_hand) < 1e-9

# %% [markdown]
# QWK is 1 for a perfect model and 0 for one that guesses. In the package the three are `metrics.accuracy`,
# `metrics.mae_rank` and `metrics.qwk`.
#
# All three charge the same in both directions. Do you? A leaf graded too high costs a needless spray. From a leaf graded
# too low, rust spreads. Your own list may look like this:

# %%
mine = np.where(answer < truth, 5, 1) * off  # too low: five times as much
print(mine)
print("A costs", mine[y, A].mean(), "and B", mine[y, B].mean())

# %% [markdown]
# By this list B is cheaper. No paper reports your list, but you pay by it. Before you believe a score, ask which list is
# in it.
#
# ## More than names, less than numbers
#
# MAE charges the same for each step from rank to rank. Are the steps equal?

# %% mystnb={"image": {"alt": "The eight leaves again. Lines lead from each to its place on a scale of the damaged share, which is cut into five coloured ranks of unequal width."}} tags=["hide-input"]
shares = [float(leaf.lesions.sum() / leaf.blade.sum()) for leaf in leaves]
edges = share_edges(len(ranks))
draw.threshold_scale(images, shares, edges, ranks)

# %% [markdown]
# **Figure 1.2.** The damaged share of each leaf, on a scale cut into five ranks; the narrow one is *no*.
#
# The label records the segment, not the place in it. Compare the fourth leaf with the second, then with the fifth:

# %% tags=["hide-input"]
percent = 100 * np.array(shares)
for other, verdict in ((1, "the same rank"), (4, "neighbouring ranks")):
    gap = abs(percent[3] - percent[other])
    print(
        f"{percent[3]:.1f} % and {percent[other]:.1f} % of the leaf: ", end=""
    )
    print(f"{gap:.1f} points apart, {verdict}")

# %% tags=["remove-cell"]
assert (np.searchsorted(edges[1:-1], shares, side="right") == y).all()

# %% [markdown]
# Behind the labels is a quantity $u$ that nobody writes down. A rank is the number of thresholds
# $\theta_1 < \dots < \theta_{K-1}$ that it has passed:
#
# $$
# y_i = \#\{k : \theta_k \le u_i\} \in \{0, \dots, K-1\} . \tag{1.3}
# $$
#
# So ranks say *more*, but not how much more. They stand between two other kinds of labels
# ([Stevens, 1946](references.md)):
#
# | labels | for example | a step is | you may say |
# |---|---|---|---|
# | names | leaf, cup, truck | not defined | same, different |
# | **ranks** | [damage of a leaf](references.md), [beauty of a photograph](references.md) | what somebody chose | more, less |
# | numbers | [age on a portrait](references.md), [decade of a photograph](references.md) | one year, ten years | twice as far apart |
#
# A classifier treats ranks as names: to a class index every wrong answer is equally wrong. A regressor on 0, 1, 2, 3, 4
# assumes equal steps. Statistics has models in between, built on (1.3) ([McCullagh, 1980](references.md)). L2RCLIP, the
# method of this book, describes each rank by a sentence.
#
# ## A row of probabilities
#
# Most models give more than an answer: a probability $p_{ik}$ of every rank $k$ for image $i$. A price list turns this
# row into the answer that is cheapest on average:
#
# $$
# \hat y_i = \operatorname*{arg\,min}_j \sum_k p_{ik}\, C_{kj} . \tag{1.4}
# $$
#
# For accuracy's list this is the most probable rank, for MAE's the median; `model.predict(images, costs=C)` takes yours.
# Exercise 2 tries it; [chapter 11](11_metrics_and_decoders.ipynb) compares such *decoders*. Unless this book says
# otherwise, accuracy and MAE are those of the most probable rank.
#
# And how good is the row itself? Here are two, for a leaf of rank *very low*:

# %% mystnb={"image": {"alt": "Two rows of probabilities with one half on the true rank. On the left the rest is on the two neighbours, on the right on the far end. Below each its running sum beside the step of the truth, with the gap shaded."}} tags=["hide-input"]
near, far = [0.25, 0.5, 0.25, 0, 0], [0, 0.5, 0, 0, 0.5]
draw.staircases({"the rest is near": near, "the rest is far": far}, 1, ranks)

# %% [markdown]
# **Figure 1.3.** Above: two rows of probabilities, the true rank outlined. Below: their running sums (red) and that of
# the truth (grey). RPS adds up the squared heights of the shaded gap.
#
# Cross-entropy looks only at the probability of the true rank, so both rows get the same loss. The **ranked probability
# score** (RPS) ([Epstein, 1969](references.md)) compares running sums. The further probability lies from the truth, the
# longer they stay wrong:
#
# $$
# \text{RPS} = \frac1n \sum_{i=1}^n \sum_{k=0}^{K-1} \big(F_{ik} - \mathbf 1[y_i \le k]\big)^2 ,
# \qquad F_{ik} = \sum_{j\le k} p_{ij} . \tag{1.5}
# $$

# %%
for row in (near, far):
    gaps = np.cumsum(row) - [0, 1, 1, 1, 1]  # the truth is rank 1
    print(row, "RPS", (gaps**2).sum())

# %% tags=["remove-cell"]
assert (
    abs(metrics.rps([1, 1], [near, far], ranks) - (2 / 16 + 3 / 4) / 2) < 1e-9
)
assert abs(metrics.rps(y, np.eye(5)[B], ranks) - 3 / 8) < 1e-9

# %% [markdown]
# For a model that is always certain, RPS *is* the MAE in ranks. It also rewards honest doubt: on average nobody gains by
# sounding surer than they are. In this book RPS on validation images chooses between settings.
#
# ## CLIP in one picture
#
# In this book probabilities come from [CLIP](glossary.md) ([Radford et al., 2021](references.md)), a pair of networks.
# Figure 1.4 shows all of it, with numbers of [mini](glossary.md), the pair that comes with the package.

# %% mystnb={"image": {"alt": "A leaf passes through the image tower and becomes a strip of coloured cells, z. Five sentences pass through the text tower and become five such strips, t. Below are five bars for the cosine of z with each t, nearly equal, and five bars for the probabilities, highest for no damage although the leaf is badly damaged."}} tags=["hide-input"]
towers = load_towers("mini", image_size=64 if PROFILE == "smoke" else 128)
prepare = towers.transform()  # resize, scale the pixels
s = towers.logit_scale.exp().detach()
with torch.no_grad():
    z = towers.encode_image(prepare(images[7])[None])
    t = towers.encode_text(ranks.sentences)
    shown = (s * z @ t.T).softmax(dim=1)
draw.two_towers(images[7], z[0].numpy(), t.numpy(), shown[0].numpy(), ranks)

# %% [markdown]
# **Figure 1.4.** CLIP. Coloured cells are the first 16 of 384 numbers, red above 0 and blue below.
#
# 1. **Two towers.** One network reads images, another reads sentences.
# 2. **One space.** Both give a vector of length 1: the *image feature* $z_i$ of image $i$, the *text feature* $t_k$ of
#    the sentence of rank $k$.
# 3. **Cosine.** For such vectors it is their dot product, $z_i \cdot t_k$: 1 for the same direction, 0 for a right angle.
# 4. **Scale and softmax.** Cosines differ little, so a scale $s$, 20 in `mini`, multiplies them: the larger it is,
#    the surer the model. The sentences are the classes:
#
# $$
# p_{ik} = \frac{\exp(s\, z_i \cdot t_k)}{\sum_{j} \exp(s\, z_i \cdot t_j)} . \tag{1.6}
# $$
#
# So CLIP is a classifier whose last layer is written in English. Change the sentences, and you have another classifier,
# without a training image. That is called *zero-shot*. CLIP learned from hundreds of millions of images with captions;
# [chapter 5](05_losses.ipynb) has its loss. The towers of `mini` were joined in a cheaper way, and are weaker
# ([chapter 14](14_wordings_and_mini.ipynb)).
#
# Try it on leaves that are new to both towers. First an easy question: which of four things is in the image?

# %%
data = load_dataset("leaves", ranks=5, size=SIZE, seed=SEED)
things = ["leaf", "cup", "truck", "lamp"]
with torch.no_grad():
    batch = torch.stack([prepare(image) for image, _ in data.test])
    z = towers.encode_image(batch)  # a row of length 1 for each image
    named = towers.encode_text([f"a photo of a {it}" for it in things])

nearest = (z @ named.T).argmax(dim=1)
for k, thing in enumerate(things):
    print(f"{thing:<6}{(nearest == k).float().mean():5.0%}")

# %% [markdown]
# Nearly every leaf is nearest to the right word. Now a harder question: which *grade* of damage? A rival looks at no
# image and always answers *low*, the median rank. Which of the two has the lower MAE?
#
# - `"mini"`: it has seen the leaf.
# - `"constant"`: it has not.

# %%
bet = ""  # yours: "mini" or "constant"

# %%
with torch.no_grad():
    t = towers.encode_text(data.ranks.sentences)
    probabilities = (s * z @ t.T).softmax(dim=1)  # (1.6)

targets = np.array(data.test.targets)
answers = probabilities.argmax(dim=1).numpy()
constant = np.full_like(answers, np.median(data.train.targets))
print(f"Your bet: {bet}." if bet else "No bet.")
print(f"MAE of mini          {abs(answers - targets).mean():.2f} ranks")
print(f"MAE of the constant  {abs(constant - targets).mean():.2f} ranks")

# %% tags=["remove-cell"]
if PROFILE == "page" and SEED == 0:
    assert (nearest == 0).float().mean() > 0.8, "mini knows a leaf"
    assert abs(answers - targets).mean() > abs(constant - targets).mean() + 0.3
    assert all((answers[targets == k] == 0).mean() > 0.5 for k in range(5))

# %% mystnb={"image": {"alt": "A five by five table of true rank against answer. Most images of every rank are called no damage."}} tags=["hide-input"]
plots.confusion({"mini, zero-shot": (targets, answers)}, ranks)

# %% [markdown]
# **Figure 1.5.** Zero-shot answers for the test leaves: the share of each true rank that got each answer.
#
# The constant wins. `mini` calls most leaves of every rank undamaged. The five cosines of Figure 1.4 hardly differ, since
# the sentences share most of their words, and yet the largest decides. `mini` learned the names of *things*, and
# "very low damage" is not a thing.
#
# Three observations give hope, and L2RCLIP ([Wang et al., 2023](references.md)) is built on them:
#
# - **Sentences hold some of the order**, before any leaf is seen; [chapter 3](03_rank_templates.ipynb) asks how much.
#   **Stage 1** moves the sentences.
# - **The image tower can learn.** **Stage 2** moves the images to their sentences.
# - **A loss can have a price list, too**, and push a healthy leaf harder from *very high* than from *low*
#   ([chapter 5](05_losses.ipynb)).
#
# The [next chapter](02_your_own_images.ipynb) does all of this in ten minutes, on real photographs.
#
# ## Exercises
#
# Each exercise has a check that tries your answer and says what is wrong with it.
#
# **1. Whose prices?** Predict, then run. A nursery throws away what is graded too high. A rank too high costs it five, a
# rank too low one. Which model of Figure 1.1 is cheaper? Write down your forecast, then the list `prices`.


# %% tags=["hide-input"]
def check_nursery(forecast: str, prices: np.ndarray) -> str:
    """Compare a list with the nursery's, and a forecast with its costs."""
    prices = np.asarray(prices)
    if prices.shape != (5, 5):
        return "not yet: five rows for truths, five columns for answers"
    wrong = np.argwhere(prices != mine.T)
    if len(wrong):
        k, j = wrong[0]
        error = f"{abs(j - k)} too {'high' if j > k else 'low'}"
        charged = f"you charge {prices[k, j]:g}"
        return f"not yet: rank {k} called {j} is {error}, and {charged}"
    cost_a, cost_b = prices[y, A].mean(), prices[y, B].mean()
    costs = f"A costs {cost_a:g}, B {cost_b:g}"
    if forecast != "A":
        return f"not yet: the list is right, your forecast is not: {costs}"
    return f"right: {costs}"


# %%
forecast = ""  # yours: "A" or "B"
prices = np.zeros((5, 5))  # yours
print(check_nursery(forecast, prices))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# A errs only downwards, which is cheap here; B errs upwards once. The nursery's list reverses the order of `mine`.
#
# ```python
# forecast = "A"
# prices = np.where(answer > truth, 5, 1) * off
# ```
#
# </details>
#
# **2. One row, four answers.** A leaf has a grey shine: it is healthy and in the sun, or covered with mildew. The model
# gives it the row `shine`. Which rank do you write down if you pay by accuracy, by MAE, by QWK's squares, or by `mine`?
# Guess four ranks. Then write (1.4) for a row `p` and a list `C`.


# %% tags=["hide-input"]
def check_cheapest(cheapest: Callable[[np.ndarray, np.ndarray], int]) -> str:
    """Try rows and price lists, and say what a dearer answer costs."""
    answers = []
    for row in (shine, [0.1, 0.1, 0.3, 0.2, 0.3], [0.5, 0.2, 0, 0, 0.3]):
        for name, prices in (C | {"mine": mine}).items():
            j = cheapest(np.array(row), prices.copy())
            if np.ndim(j) or j not in range(5):
                return "not yet: return one rank, from 0 to 4"
            price = np.array(row) @ prices
            if price[j] > price.min() + 1e-9:
                best = f"{price.argmin()} only {price.min():.2f}"
                paid = f"under {name} {j} costs {price[j]:.2f}, {best}"
                return f"not yet: at {row} {paid}"
            answers.append(f"{j} under {name}")
    return f"right: at {shine} {', '.join(answers[:4])}"


# %%
shine = [0.4, 0.15, 0.05, 0.05, 0.35]


def cheapest(p: np.ndarray, C: np.ndarray) -> int:
    """Return the answer with the lowest expected price."""
    return 0  # yours


print(check_cheapest(cheapest))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# `p @ C` has the expected price of each answer. One model, one row: only the prices differ.
#
# ```python
# def cheapest(p, C):
#     return (p @ C).argmin()
# ```
#
# </details>
#
# ## Summary
#
# - A metric is a price list. Accuracy counts errors, MAE their sizes, QWK their squares. By your own list another model
#   may win.
# - A list also chooses the answer: from a row of probabilities, the one with the lowest expected price.
# - Ranks have an order, and steps of unknown size.
# - RPS takes in the whole row, counts distance, and rewards honest doubt.
# - CLIP: two towers, one space, cosine times $s$, softmax over sentences. `mini` names leaves well, and grades them
#   badly.
#
# ## Sources
#
# Kinds of labels: [Stevens (1946)](references.md); thresholds on a hidden quantity: [McCullagh
# (1980)](references.md). The table: [Esgario et al. (2020)](references.md), [Schifanella et al.
# (2015)](references.md), [Ricanek and Tesafaye (2006)](references.md), [Palermo et al. (2012)](references.md). QWK:
# [Cohen (1968)](references.md). RPS: [Epstein (1969)](references.md); why it rewards honesty: [Gneiting and Raftery
# (2007)](references.md). CLIP: [Radford et al. (2021)](references.md).
