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
# # Ordinal embeddings: before, after, and beside cross-entropy
#
# Train a model on ordered labels, project its features to the plane, and colour each point by its rank. Where the colours
# run from dark to light, the plot convinces at a glance. What does it prove?
#
# **You need.** The two stages of L2RCLIP ([chapter 2](02_your_own_images.ipynb)), and the idea of principal components.
#
# **Time and hardware.** A laptop is enough. The last line of this page says how long it took, and on what.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more data
SEED = 0  # decides the leaves, the start, every batch and every shuffle
PRESET = "paper"  # or "recommended", see the settings below

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "Three scatter plots of the same points in the colours of ten ranks. In A and B the colours are mixed; in C dark points lie on the left and light ones on the right."}}
import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from l2rclip_book import embedding_figures as figures
from l2rclip_book import results
from l2rclip_book.embedding_figures import Cloud, clouds, on_circle
from l2rclip_book.leaves import leaf_ranks
from l2rclip_book.statistics import spearman_rho
from l2rclip_lite import load_dataset
from l2rclip_lite.metrics import mae

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
SIZE, LOOK, ROUNDS = {
    "smoke": (60, 90, 20),
    "page": (700, 360, None),
    "full": (4000, 1000, None),
}[PROFILE]
ranks = leaf_ranks(10)
unseen = load_dataset("leaves", ranks=10, size=LOOK, seed=SEED + 1).train
labels = np.array(unseen.targets)


def rho(left: np.ndarray, right: np.ndarray) -> float:
    return float(spearman_rho(left[None], right[None])[0])


chance = np.random.default_rng(SEED)
noise = chance.standard_normal((len(labels), 384))
noise /= np.linalg.norm(noise, axis=1, keepdims=True)
shuffled = chance.permutation(labels)
chance.standard_normal(2400)  # what the stored runs drew here
w = (shuffled - shuffled.mean()) @ noise
w /= np.linalg.norm(w)
rest = noise - np.outer(noise @ w, w)
across = PCA(1, random_state=0).fit_transform(rest)
looks = {
    "A": PCA(2, random_state=0).fit_transform(noise),
    "B": figures.umap_layout(noise, neighbours=15, epochs=ROUNDS),
    "C": np.column_stack([noise @ w, across]),
}
clouds({key: Cloud(places, shuffled) for key, places in looks.items()}, ranks)

# %% [markdown]
# **Figure 7.1.** The same points with the same ranks, seen in three ways. Which one would you show?

# %%
bet = ""  # yours: "A", "B" or "C"

# %% [markdown]
# All three show **nothing**. The points are random directions, and the ranks were dealt out at random. A is PCA, B is
# UMAP ([McInnes et al., 2018](references.md)); neither uses the labels. C does: its horizontal axis is the *label axis*,
# the direction in which they rise,
#
# $$
# w \propto \sum_{i=1}^{n} (y_i - \bar y)\,x_i . \tag{7.1}
# $$
#
# Here $x_i$ is a point and $y_i$ its rank. In many dimensions there is always such a direction: for $n$ random points in
# $d$ dimensions, ranks and places along $w$ correlate at about $1/\sqrt{1 + n/d}$.


# %% tags=["nbval-ignore-output"]
def label_axis(x, y):
    w = (y - y.mean()) @ x
    return w / np.linalg.norm(w)


in_c = rho(noise @ label_axis(noise, shuffled), shuffled)
n, d = noise.shape
print(f"Your bet: {bet}." if bet else "No bet.")
print(f"{n} random points in {d} dimensions, correlation with the rank:")
print(f"across panel A  {rho(looks['A'][:, 0], shuffled):.2f}")
print(f"across panel C  {in_c:.2f}")
print(f"by the formula  {(1 + n / d) ** -0.5:.2f}")

# %% tags=["remove-cell"]
assert in_c > 0.6

# %% [markdown]
# A projection is evidence only if it could have come out otherwise. So ask four questions of every coloured cloud.
#
# 1. Has the projection **seen the labels**?
# 2. Do **distances** on the page mean distances between features?
# 3. **How much** of the features does the plane show?
# 4. What does the **control** look like: no training, another loss, other labels?
#
# ## Two towers from one start
#
# Now train. L2RCLIP ([Wang et al., 2023](references.md)) learns to read the damage of drawn leaves in ten ranks. The
# preset `paper` has the released losses: stage 2 adds the ordinal pairwise loss to cross-entropy over the sentences. In
# `recommended`, which you may try, too, the RPS stands in its place. At the start and after each stage, `keep` notes
# the features of fresh images, which no model trains on, and one vector per rank.

# %%
from dataclasses import replace

from l2rclip_lite import L2RCLIP, Config
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.heads import BIAS
from l2rclip_lite.stages import stage1_epochs, stage2_epochs
from l2rclip_lite.training_data import TrainingData

settings = {
    "preset": PRESET,
    "image_size": 64,
    "batch_size": 64,  # of stage 1
    "epochs1": 10,
    "lr1": 1e-3,  # few images make few steps: take larger ones
    "epochs2": 6,
    "upside_down": True,  # a leaf has no top
    "seed": SEED,
    "threads": 1,
} | {
    "smoke": {"towers": "tiny/random", "epochs1": 1, "epochs2": 1, "heads": 2},
    "page": {},
    "full": {"epochs1": 20, "epochs2": 20},
}[PROFILE]
data = load_dataset("leaves", ranks=10, size=SIZE, seed=SEED)
model = L2RCLIP.build(data.ranks, Config(**settings))
training = TrainingData.load(data, model)
fresh = ResizedImages(unseen, model.towers.image_size)
images, per_rank = {}, {}


def keep(moment, model, rank_vectors):
    images[moment] = model.encode(fresh).double().numpy()
    per_rank[moment] = rank_vectors.double().numpy()


keep("start", model, model.rank_features)
list(stage1_epochs(model, training))  # a row after each epoch
keep("after stage 1", model, model.rank_features)
slow, fast = [
    replace(model.config, batch_size=16, lr2=lr) for lr in (2e-4, 7e-4)
]

# %% [markdown]
# The rival is a linear head under plain cross-entropy, on the same tower, from the same start, with the images and
# epochs of stage 2. Its learning rate is 2e-4, L2RCLIP's 7e-4: [each its best of a search](19_controls.ipynb). Its
# ten weight vectors stand where L2RCLIP has its ten sentences.

# %%
model.config = slow
rival = train_baseline("cross-entropy", model, training)
model.config = fast
list(stage2_epochs(model, training))
keep("after stage 2", model, model.rank_features)
weight = rival.head.weight / rival.scale.detach()
keep("cross-entropy", rival, weight[:-1].T)
START, TEXT, L2R, CE = images
print(f"{len(data.train)} images to learn from, {len(fresh)} to look at")

# %% tags=["remove-cell"]
# the frozen side of a stage does not change by one bit
assert np.array_equal(images[START], images[TEXT])
assert np.array_equal(per_rank[TEXT], per_rank[L2R])

# %% [markdown]
# ## Measure before you draw
#
# "Near ranks lie near" is a statement about distances. Measure it by the gap score of
# [chapter 3](03_rank_templates.ipynb): take all pairs of images, and correlate their rank gap with the cosine distance
# of their features,
#
# $$
# \rho_{\text{gap}} = \operatorname{Spearman}\big(|y_i - y_j|,\; 1 - \cos(x_i, x_j)\big), \qquad i < j . \tag{7.2}
# $$


# %%
def gap_score(x, y):
    gap = pdist(y[:, None], "cityblock")
    return rho(gap, pdist(x, "cosine"))


# %% [markdown]
# Cross-entropy treats the ten ranks as ten unrelated names. Nothing in its loss says that rank 3 lies between ranks 2
# and 4. How much of L2RCLIP's gap score will its features reach?
#
# - `"none"`: about as little as before training.
# - `"less"`: less than half.
# - `"more"`: more than half.

# %%
bet = ""  # yours: "none", "less" or "more"

# %% tags=["nbval-ignore-output"]
print(f"Your bet: {bet}." if bet else "No bet.")
for moment in (START, L2R, CE):
    print(f"{moment:14}{gap_score(images[moment], labels):5.2f}")

# %% [markdown]
# **More than half**, in every stored run. The table has today's numbers, and in brackets the lowest and the highest of
# fifteen stored runs: five seeds, three kinds of processor arithmetic. The last two rows are controls.

# %% tags=["hide-input", "nbval-ignore-output"]
bias = {CE: BIAS * weight[-1].numpy()}
text_axis = PCA(1, random_state=0).fit(per_rank[L2R]).components_[0]
cases = {moment: (images[moment], labels) for moment in (START, L2R, CE)}
cases["after stage 2, ranks shuffled"] = (images[L2R], shuffled)
cases["random points"] = (noise, shuffled)
numbers = {}
for moment, x in images.items():
    score = x @ per_rank[moment].T + bias.get(moment, 0)
    answer = torch.tensor(score.argmax(1))
    numbers[f"{moment} mean error, %"] = mae(
        torch.tensor(labels), answer, ranks
    )
for row, (x, y) in cases.items():
    _, spread, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    share = (spread[:2] ** 2).sum() / ((spread**2).sum() or 1)
    numbers[f"{row} plane shows, %"] = 100 * share
    numbers[f"{row} ρ, single images"] = gap_score(x, y)
    if y is labels:
        numbers[f"{row} along sentences"] = abs(axes[0] @ text_axis)

is_stored = (PROFILE, PRESET) == ("page", "paper")
stored = results.stored_runs("07") if is_stored else pd.DataFrame()
columns = {
    "ρ, single images": "gap score",
    "along sentences": "along sentences",
    "plane shows, %": "plane shows, %",
    "mean error, %": "MAE, %",
}
results.spread_table(numbers, stored, list(cases), columns)

# %% tags=["remove-cell"]
if len(stored):  # what the text says of all stored runs
    failed = stored[f"{L2R} ρ, single images"] < 0.1
    assert (len(failed), failed.sum()) == (15, 1)
    gap = {m: stored[f"{m} ρ, single images"] for m in (START, L2R, CE)}
    assert gap[CE].min() > max(0.5 * gap[L2R].max(), 10 * gap[START].max())
    assert gap[L2R][~failed].min() > 10 * gap[START].max()
    assert (gap[L2R] > gap[CE]).sum() == 12
    along = {m: stored[f"{m} along sentences"] for m in (START, L2R, CE)}
    assert (along[START] < along[CE])[~failed].all()
    assert ((along[CE] < along[L2R]) == ~failed).all()

# %% [markdown]
# *Along sentences* is the cosine between the largest direction of the images and that of the sentences. *Plane shows*
# is the share of the variance in the two largest directions of PCA. *MAE* is that of the most probable rank, in
# percent of damage.
#
# **L2RCLIP orders the images, and so does cross-entropy.** The order was in the images. Leaves with similar damage look
# alike, so a tower that must tell the degrees of damage apart puts them along a line. L2RCLIP has the higher gap score
# in twelve of the fifteen stored runs. In another one its training failed: all images got nearly the same feature, in
# no order. So the features of L2RCLIP are ordinal, as the paper says, and that is no evidence for its losses.
#
# ## Back to the circle
#
# And the pretty curve? Features have length 1, so they lie on a sphere. Project it onto a plane through its middle,
# and you see the circle of [chapter 2](02_your_own_images.ipynb): *up* is the mean of the images, *across* the
# direction in which they differ most. The farther inside the circle a point lies, the more of it is depth. The labels
# choose only a sign: ranks rise to the right.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Six panels in three columns: start, after stage 2, cross-entropy. In the upper row discs lie in a unit circle: at the start mixed and inside it; after training on arcs along it, in the order of their colours, after stage 2 in fourteen of fifteen stored runs. Below, UMAP layouts of the same images."}}
above, below = {}, {}
for moment in (START, L2R, CE):
    x = images[moment]
    circle = on_circle(x, labels, per_rank[moment])
    above[f"{moment}\ngap score {gap_score(x, labels):.2f}"] = circle

    layout = figures.umap_layout(x, neighbours=15, epochs=ROUNDS)
    layout = figures.turned_like(layout, circle.places)
    below[f"UMAP, {moment}"] = Cloud(layout, labels)
clouds(above | below, ranks)

# %% [markdown]
# **Figure 7.2.** Fresh images (discs), above on the circle, below in UMAP. Diamonds are the directions of what stands
# for each rank: sentences, or weight vectors under cross-entropy.
#
# Cover the middle column with your hand. Would the right one not have convinced you? **A curve in the colours of the
# ranks is no evidence for an ordinal loss.**
#
# Even the bend is no finding. Vectors of length 1 that differ along one direction *must* lie on an arc. PCA, which
# subtracts the mean, shows the arc as a horseshoe ([Diaconis et al., 2008](references.md)). Its second axis is mostly
# the bend, not a second property.
#
# UMAP lists the nearest neighbours of each point, and looks for a layout in which the same points are neighbours. Read
# from it that near points have near colours, and no more: gaps, sizes and distances mean nothing. Set `neighbours` to 3
# and run the cell again. The groups that appear are made by UMAP.
#
# ## What the sentences did
#
# Order comes with sentences and without them. So what do they change? *Along sentences* compares the main direction
# of each row's images with that of the same sentences, those after stage 1. Before training, the two have next to
# nothing to do with each other. L2RCLIP brings them closer than cross-entropy does, in all stored runs but the one
# that failed.
#
# To watch it happen, keep one map for all epochs: the two largest directions of the images of both models after
# training. In the book, move the slider; it replays one stored training.

# %% tags=["motion", "hide-input"] mystnb={"image": {"alt": "Two rows of three scatter plots on one map, L2RCLIP above, cross-entropy below: after stage 1, one epoch later, and after stage 2. In stage 2 the discs spread into the order of their colours, L2RCLIP's along the row of its diamonds."}}
figures.motion_figure(results.find_result("motion.json"), ranks)

# %% [markdown]
# **Figure 7.3.** Cross-entropy has no stage 1: its first panel is its start, weights at zero. ρ is the gap score of
# the full features; *shown* is the share of their variance that the map keeps after training.
#
# Stage 1 lays the sentences out in a row; the images do not move. The first epoch of stage 2 crowds the images into one
# spot. Then they spread again along the row, in the order of their colours. Cross-entropy has no sentences to follow.
# Its images spread along a line of their own, and its weight vectors follow them. So the sentences decide *where* the
# line of the images lies, not whether there is one.
#
# ## A look that has seen the labels
#
# Back to panel C. A projection fitted to labels is useful: it finds directions that PCA passes over. To use it as
# evidence, **fit it on one half and look at the other.**

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Six panels of rank over place along the label axis, for random points and for images at the start and after stage 2; upper row the half the axis was fitted on, lower row the other half. The random points rise in the upper row and are mixed in the lower one."}}
half = np.zeros(len(labels), dtype=bool)
half[chance.permutation(len(labels))[: len(labels) // 2]] = True
above, below = {}, {}
for title in ("random points", START, L2R, CE):
    x, y = cases[title]
    points = np.column_stack([x @ label_axis(x[half], y[half]), y])
    for row, name, part in (
        (above, "fitted", half),
        (below, "other half", ~half),
    ):
        score = numbers[f"{title} {name}"] = rho(*points[part].T)
        if title != CE:
            row[f"{title}\n{name}: {score:.2f}"] = Cloud(points[part], y[part])
clouds(above | below, ranks)

# %% [markdown]
# **Figure 7.4.** Across: place along a label axis. Up: rank. Above the half on which the axis was fitted, below the
# other half, each with the correlation of place and rank.

# %% tags=["remove-cell"]
if len(stored):
    fitted = stored.filter(like="fitted").drop(columns="start fitted")
    assert (fitted.idxmax(axis=1) == "random points fitted").all()
    assert stored["random points other half"].max() < 0.3
    assert (stored["start other half"] > 0.15).sum() == 12

# %% [markdown]
# In the upper row random points look better ordered than a trained model, in every stored run. The lower row puts
# that right. It also shows some order in the images *at the start*, with four of the five stored seeds, along a
# direction with too little variance for PCA.

# %% tags=["hide-input", "spread"]
print(results.beside_stored(numbers, stored))

# %% [markdown]
# ## Which figure proves what
#
# | you want to say | show | beside it |
# |---|---|---|
# | near ranks lie near | the gap score of single images | shuffled ranks, **and cross-entropy** |
# | the largest direction follows the rank | PCA, or the circle | the untrained tower, **and cross-entropy** |
# | the features hold an order somewhere | the label axis on other images | random points |
# | neighbours have similar ranks | UMAP, with several numbers of neighbours | the gap score |
# | the model is good | no figure of features | its error on fresh images: [chapter 2](02_your_own_images.ipynb), [chapter 9](09_does_it_help.ipynb) |
#
# ## Exercises
#
# **1. A better axis.** The label axis (7.1) weighs each feature by itself, although features are correlated. Write a
# linear readout that finds more order in the *untrained* features. It gets one half of the images and their ranks and
# returns a direction. The check judges it on the other half, for twenty halves.


# %% tags=["hide-input"]
def check_axis(readout) -> None:
    """Judge a readout on images that it has not seen, with twenty halves."""
    x = images[START]
    draw = np.random.default_rng(0)
    pairs = []
    for _ in range(20):
        seen = draw.permutation(len(labels)) < len(labels) // 2
        mine = readout(x[seen], labels[seen])
        if np.allclose(mine, readout(x[seen], np.flip(labels[seen]).copy())):
            print("not yet: use the ranks that it is given, and no others")
            return
        axes = (mine, label_axis(x[seen], labels[seen]))
        pairs.append([rho(x[~seen] @ axis, labels[~seen]) for axis in axes])
    score, usual = np.mean(pairs, axis=0)
    verdict = "not yet: think of regression, with a penalty"
    if score > usual + 0.02:
        verdict = "right"
    elif score < -usual / 2:
        verdict = "not yet: places should rise with the rank, yours fall"
    print(verdict)
    print(f"ρ on the other half: {score:.2f}, the label axis's {usual:.2f}")


# %% tags=["nbval-ignore-output"]
def readout(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Turn features and ranks of one half into a direction."""
    return label_axis(x, y)  # yours


check_axis(readout)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Ridge regression: $w = (X^\top X + \lambda I)^{-1} X^\top y$ with centred $X$ and $y$. For a large $\lambda$ it is
# the label axis again. For a tiny $\lambda$ it fits the first half almost without error and learns little, since
# there are more dimensions than images. Choose a $\lambda$ between, on other images.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
def readout(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Turn features and ranks of one half into a direction."""
    x, y = x - x.mean(0), y - y.mean()
    return np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)


check_axis(readout)

# %% [markdown]
# **2. Ten days.** Predict, then run. Somebody photographs all leaves of one grade on one day, those of the next grade
# on the next, and so on. The features below hold the light of the day and noise, and nothing about damage. Before you
# run anything, write down three numbers; then measure.
#
# - *Gap score*: of all photographs of one year.
# - *Other half*: fit a label axis on one `half` of these photographs. How well does it correlate with the ranks of the
#   other?
# - *Other days*: the same axis on the photographs of other years, as the mean of a hundred.


# %%
def ten_days(year: int) -> np.ndarray:
    """Draw features of photographs, all those of one rank on one day."""
    draw = np.random.default_rng(year)
    light = draw.standard_normal((10, 384)) / 2
    return light[labels] + draw.standard_normal((len(labels), 384))


# %% tags=["hide-input"]
def check_days(mine: dict[str, float]) -> None:
    """Judge three predictions by measuring."""
    x = ten_days(0)
    axis = label_axis(x[half], labels[half])
    years = [rho(ten_days(year) @ axis, labels) for year in range(1, 101)]
    right = {
        "gap score": gap_score(x, labels),
        "other half": rho(x[~half] @ axis, labels[~half]),
        "other days": float(np.mean(years)),
    }
    low = {
        "gap score": "images of one day lie together, and their rank gap is 0",
        "other half": "the other half was taken on the same ten days",
        "other days": "why should the axis point the wrong way, each year?",
    }
    high = {
        "gap score": "any two days are equally far apart, near ranks or not",
        "other half": "the noise of single photographs costs a little",
        "other days": "their light points elsewhere; what is left of the axis?",
    }
    for name, value in right.items():
        if abs(mine[name] - value) > 0.15:
            hint = (low if mine[name] < value else high)[name]
            print(f"not yet: {name}: {hint}")
            return
    print("right:", ", ".join(f"{name} {x:.2f}" for name, x in right.items()))


# %%
predicted = {"gap score": 0.0, "other half": 0.0, "other days": 0.0}  # yours
check_days(predicted)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Ten heaps in no order raise the gap score, since images of one rank lie together. An axis through ten heaps in 384
# dimensions can put them in any order, and the other half lies in the same heaps, so it agrees. Only other days show
# that there was nothing. A test is as good as what its images do *not* share with those of training:
# [chapter 2](02_your_own_images.ipynb) calls it the group.
#
# </details>

# %% tags=["hide-cell", "nbval-ignore-output"]
check_days({"gap score": 0.25, "other half": 0.9, "other days": 0.0})

# %% [markdown]
# ## Summary
#
# - With enough dimensions, a projection that has seen the labels puts random points in order. Judge it on other images,
#   which share no day or place with the first.
# - After training, distances follow the ranks, with L2RCLIP and the paper's losses in fourteen of fifteen stored
#   runs, **and with cross-entropy in all**. A curve in rank colours is no evidence for a method.
# - The curve itself is a piece of the unit circle. The sentences decide where it lies.
# - Score single images before you draw them, and put shuffled ranks and a rival beside every score.
#
# ## Sources
#
# The method is that of [Wang et al. (2023)](references.md). UMAP is by [McInnes et al. (2018)](references.md); on
# horseshoes, see [Diaconis et al. (2008)](references.md).
