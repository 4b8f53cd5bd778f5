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
# You train a model on ordered labels, project its features to the plane, colour each point by its rank, and the colours
# run from dark to light. Would it have looked the same without training? With a loss that ignores the order? With no
# images at all? A projection is evidence only if it could have come out otherwise. This chapter looks at L2RCLIP
# ([Wang et al., 2023](references.md)) before training, after stage 1 and after stage 2. Beside it stands a rival: the
# same tower, trained with plain cross-entropy on the same images, for the epochs of stage 2.
#
# **You need.** The two stages of L2RCLIP ([chapter 2](02_two_stages.ipynb)), and the idea of principal components.
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
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from l2rclip_book import embedding_figures
from l2rclip_book.embedding_figures import (
    Cloud,
    clouds,
    distance_agreement,
    islands,
    turned_like,
    umap_layout,
)
from l2rclip_book.plots import COLOURS, GRID, WIDTH, style
from l2rclip_book.results import (
    beside_stored,
    find_result,
    spread_table,
    stored_runs,
)
from l2rclip_book.statistics import spearman_rho
from l2rclip_lite import L2RCLIP, Config, Ranks, load_dataset
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.leaves import leaf_ranks
from l2rclip_lite.heads import BIAS
from l2rclip_lite.method.stages import train_stage1, train_stage2
from l2rclip_lite.metrics import mae
from l2rclip_lite.training_data import TrainingData

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
chance = np.random.default_rng(SEED)
ranks = leaf_ranks(10)
SIZE, LOOK, CHANGES, UMAP_EPOCHS = {
    "smoke": (
        60,
        90,
        {"towers": "tiny/random", "epochs1": 1, "epochs2": 1, "heads": 2},
        20,
    ),
    "page": (700, 360, {}, None),
    "full": (4000, 1000, {"epochs1": 20, "epochs2": 20}, None),
}[PROFILE]
# the leaves are drawn, so there are as many fresh ones as we want
unseen = load_dataset("leaves", ranks=10, size=LOOK, seed=SEED + 1).train
labels = np.array(unseen.targets)


def umap(points: np.ndarray, **options: float) -> np.ndarray:
    """Return a UMAP layout, of the length that the profile says."""
    return umap_layout(points, epochs=UMAP_EPOCHS, **options)


def axis_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the unit direction in which labels rise."""
    axis = (y - y.mean()) @ (x - x.mean(0))
    return axis / np.linalg.norm(axis)


def rho(left: np.ndarray, right: np.ndarray) -> float:
    """Return Spearman's rank correlation."""
    return float(spearman_rho(left[None], right[None])[0])


noise = chance.standard_normal((len(labels), 384))
noise /= np.linalg.norm(noise, axis=1, keepdims=True)
shuffled = chance.permutation(labels)
along = axis_of(noise, shuffled)
rest = noise - np.outer(noise @ along, along)
across = PCA(1, random_state=0).fit_transform(rest)[:, 0]
looks = {
    "A": PCA(2, random_state=0).fit_transform(noise),
    "B": umap(noise),
    "C": np.stack([noise @ along, across], axis=1),
}
clouds({key: Cloud(places, shuffled) for key, places in looks.items()}, ranks)

# %% [markdown]
# **Figure 7.1.** The same points with the same ranks, seen in three ways. Which one would you show?
#
# All three show **nothing**. The points are random directions, and the ranks were dealt out at random. A is PCA, B is
# UMAP ([McInnes et al., 2018](references.md)); neither uses the labels. C does: its horizontal axis is the direction in
# which they rise,
#
# $$
# w \propto \sum_{i=1}^{n} (y_i - \bar y)\,(x_i - \bar x). \tag{7.1}
# $$
#
# Here $x_i$ is a point and $y_i$ its rank. In many dimensions there is always such a direction. For $n$ random points
# in $d$ dimensions, the labels and the places along $w$ correlate at about $1/\sqrt{1 + n/d}$.

# %% tags=["hide-input", "nbval-ignore-output"]
noise_rho = rho(noise @ along, shuffled)
print(
    f"{len(noise)} random points in {noise.shape[1]} dimensions. Correlation "
    f"of labels and axis:\nthe formula says "
    f"{(1 + len(noise) / noise.shape[1]) ** -0.5:.2f}, "
    f"panel C has {noise_rho:.2f}."
)

# %% tags=["remove-cell"]
assert noise_rho > 0.6

# %% [markdown]
# So ask four questions of every coloured cloud of points.
#
# 1. Has the projection **seen the labels**?
# 2. Do **distances** on the page mean distances between features?
# 3. **How much** of the cloud does the plane show?
# 4. What does the **control** look like: no training, another loss, other labels, another seed?
#
# ## Two towers from one start
#
# The task is to read the damage of drawn leaves in ten ranks. We keep the features at four moments: at the start, after
# stage 1, after stage 2, and, from the same start again, after training with cross-entropy. The preset `paper` has the
# released losses, each with weight 1: stage 2 adds the ordinal pairwise loss to cross-entropy over the sentences.

# %%
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
}
data = load_dataset("leaves", ranks=10, size=SIZE, seed=SEED)
model = L2RCLIP.build(data.ranks, Config(**settings | CHANGES))

# %% [markdown]
# `keep` notes the features of the fresh images, and one vector for each rank:

# %%
training = TrainingData.load(data, model)
fresh = ResizedImages(unseen, model.towers.image_size)  # in neither stage
images, per_rank = {}, {}


def keep(moment: str, who: L2RCLIP, rank_vectors: torch.Tensor) -> None:
    """Keep the image features as they are now, and a vector per rank."""
    images[moment] = who.encode(fresh).double().numpy()
    per_rank[moment] = rank_vectors.double().numpy()


keep("start", model, model.rank_features)
list(train_stage1(model, training))  # a row after each epoch
keep("after stage 1", model, model.rank_features)
slow, fast = [
    replace(model.config, batch_size=16, lr2=lr) for lr in (2e-4, 7e-4)
]

# %% [markdown]
# The rival is the baseline `cross-entropy` of the package: a linear layer, zero at the start, on the image features. It
# has the epochs, batches and augmentation of stage 2, and a learning rate of its own. Both models keep their last epoch. In
# the figures the ten weight vectors of the rival stand where our ten sentences stand.

# %%
model.config = slow
rival = train_baseline("cross-entropy", model, training)
model.config = fast
list(train_stage2(model, training))
keep("after stage 2", model, model.rank_features)
weight = rival.head.weight / rival.scale.detach()
keep("cross-entropy", rival, weight[:-1].T)
START, TEXT, L2R, CE = images

# %% tags=["hide-input", "nbval-ignore-output"]
bias = {CE: BIAS * weight[-1].numpy()}


def error(moment: str) -> float:
    """Return the mean error of the most similar sentence or weight vector."""
    score = images[moment] @ per_rank[moment].T + bias.get(moment, 0)
    return mae(torch.tensor(labels), torch.tensor(score.argmax(1)), ranks)


print(
    f"{len(data.train)} images to learn from, {len(fresh)} fresh ones to look "
    f"at; mean error on these, in percent of damage:"
)
for moment in images:
    print(f"  {moment:<14}{error(moment):5.1f}")

# %% tags=["remove-cell"]
# the frozen side of a stage does not change by one bit
assert np.array_equal(images[START], images[TEXT])
assert np.array_equal(per_rank[TEXT], per_rank[L2R])

# %% [markdown]
# ## Two scores
#
# "Near ranks lie near" is a statement about distances, so measure them before you draw them. Take all pairs of images,
# and correlate the distance between their features with their rank gap, by Spearman's coefficient,
#
# $$
# \rho_{\text{gap}} = \operatorname{Spearman}\big(|y_i - y_j|,\; 1 - \cos(x_i, x_j)\big), \qquad i < j . \tag{7.2}
# $$
#
# Most pairs are far apart, so this score is about the large distances. A second one asks about the small ones: how many
# ranks away are the fifteen nearest images, on average?


# %%
def gap_score(x: np.ndarray, y: np.ndarray) -> float:
    """Measure whether far ranks lie far apart: 1 is best, chance is 0."""
    gap = pdist(y[:, None], "cityblock")
    return rho(gap, pdist(x, "cosine"))


def neighbour_gap(x: np.ndarray, y: np.ndarray, k: int = 15) -> float:
    """Return how many ranks away the k nearest images are; 0 is best."""
    lists = NearestNeighbors(n_neighbors=k, metric="cosine").fit(x)
    nearest = lists.kneighbors(return_distance=False)  # none is its own
    return np.abs(y[nearest] - y[:, None]).mean()


# %% tags=["remove-cell"]
turn = np.radians([0, 60, 120])  # 1 − cos is ½, ½, 1½; the gaps are 1, 1, 2
arc = np.stack([np.cos(turn), np.sin(turn)], axis=1)
assert np.isclose(gap_score(arc, np.arange(3)), 1)

# %% [markdown]
# ## PCA and UMAP, one way up
#
# PCA is the first look: it is linear, it repeats exactly, and it ignores labels. Only the signs of its axes are
# arbitrary. So we fix them: the first axis rises with the rank, and on the second both ends of the scale lie above its
# middle. The labels choose two signs and nothing else.


# %%
def pca_axes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the two largest directions, always the same way up."""
    centred = x - x.mean(0)
    axes = PCA(2, random_state=0).fit(x).components_
    rise = y - y.mean()
    bend = rise**2 - (rise**2).mean()
    sign = np.sign((np.stack([rise, bend]) @ centred * axes).sum(1))
    return axes * sign[:, None]


# %% [markdown]
# UMAP is the second look. It lists the nearest neighbours of each point, and seeks a layout in which the same points
# are neighbours. We rotate or mirror each layout to fit the PCA above it best (Procrustes); nothing is stretched.
#
# In CLIP image features and sentence features lie in two separate cones. Here the sentences are centred and the images
# are not, so their means differ, too: the distance is the [modality gap](glossary.md)
# ([Liang et al., 2022](references.md)). The order of the ranks does not depend on it, so we remove it from the figure:
# the ten vectors of each panel are moved to the middle of the images and scaled to their spread. They are not turned.
# So where a diamond lies far from its images, their directions differ.


# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "Eight panels. Columns: start, after stage 1, after stage 2, cross-entropy. Upper row PCA, lower row UMAP. Image discs are mixed in the first two columns; in the last two they follow the colours of the ranks, in fourteen of fifteen stored runs."}}
def beside(x: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Move rank vectors to the middle of the images and give them their spread."""
    own = vectors - vectors.mean(0)
    spread = [np.square(z - z.mean(0)).sum(1).mean() for z in (x, own)]
    return x.mean(0) + own * (spread[0] / spread[1]) ** 0.5


above, below, layouts = {}, {}, {}
for moment, x in images.items():
    both = np.concatenate([x, beside(x, per_rank[moment])])
    places = (both - x.mean(0)) @ pca_axes(x, labels).T
    flat = turned_like(umap(both), places)
    layouts["PCA", moment], layouts["UMAP", moment] = (
        each[: len(x)] for each in (places, flat)
    )
    title = f"{moment}\nρ = {gap_score(x, labels):.2f}"
    above[title] = Cloud(places[: len(x)], labels, places[len(x) :])
    title = f"{moment}\nneighbours {neighbour_gap(x, labels):.1f} ranks off"
    below[title] = Cloud(flat[: len(x)], labels, flat[len(x) :])
clouds(above | below, ranks, columns=4)

# %% [markdown]
# **Figure 7.2.** Fresh images (discs) and what stands for each rank (diamonds: sentences in the first three columns,
# weight vectors of the linear layer in the last). Above PCA, below UMAP with fifteen neighbours. The scores in the
# titles are those of the full features, not of the plane.
#
# Stage 1 moves only the diamonds, stage 2 only the discs. The panels seem to show more, because PCA finds new axes after
# stage 2, and UMAP makes a new layout for each panel. So keep one map for all epochs: the two largest directions of the images of both models after training. In
# the book, move the slider. (It shows a stored training, made by `tools/motion_data.py`; its scores are its own.)

# %% tags=["motion", "hide-input"] mystnb={"image": {"alt": "Two rows of four scatter plots on one map, L2RCLIP above, cross-entropy below: start, after stage 1, and stage 2 after its first and its last epoch. In stage 1 only the diamonds of L2RCLIP move; in stage 2 the discs spread into the order of their colours."}}
file = find_result("motion.json")
shown = None  # without the repository there are no results
if file is not None:
    stored = json.loads(file.read_text(encoding="utf-8"))
    first, second = stored["epochs"]
    frames = {"start": 0, "after stage 1": first}
    frames |= {"stage 2, epoch 1": first + 1, "after stage 2": first + second}
    shown = embedding_figures.motion_figure(stored, frames, ranks)
shown

# %% [markdown]
# **Figure 7.3.** Every epoch on one fixed map: fresh images (discs) and what stands for each rank (diamonds: sentences;
# for cross-entropy weight vectors, which start at zero). Scores are those of the full features; *shown* is the share of
# their variance that the map keeps after training.
#
# Stage 1 lays the sentences out in a row; the images have not moved. The first epoch of stage 2 crowds the images into
# one spot. Then they spread again along the row, in the order of their colours. Cross-entropy has no sentences to
# follow: its images spread along a line of their own, and its weight vectors come along. Both find an order. The
# sentences draw L2RCLIP's towards their own, as the full features show, too:

# %% tags=["hide-input", "nbval-ignore-output"]
rows_of = {"sentences": per_rank[L2R]} | {
    m: images[m] for m in (START, L2R, CE)
}
first_axis = {}
for name, x in rows_of.items():
    first_axis[name] = PCA(1, random_state=0).fit(x).components_[0]
print("cosine of largest direction, images and sentences")
for moment in (START, L2R, CE):
    print(
        f"  {moment:<14}{abs(first_axis[moment] @ first_axis['sentences']):.2f}"
    )

# %% [markdown]
# Before training, the largest direction of the images has nothing to do with the sentences. After stage 2 it is closer to
# them than cross-entropy's, in fourteen of fifteen stored runs (five seeds, three kinds of processor kernels). In the fifteenth the
# training failed: all images have nearly the same feature, and no order. Now cover the third column of
# Figure 7.2 with your hand and read the fourth. **Cross-entropy, which treats the ranks as ten unrelated
# names, orders the images along its largest direction, too.** Its loss never said that rank 3 lies between ranks 2 and 4. The images did: leaves with
# similar damage look alike, so a tower that must tell the degrees of damage apart places them along a line. A curve in
# the colours of the ranks is therefore no evidence for an ordinal loss.
#
# Such a curve is known as a horseshoe ([Diaconis et al., 2008](references.md)): PCA draws it where only near ranks
# resemble each other. The second axis is mostly its bend.
#
# ## Which tower is more ordered?
#
# The table has the two scores above and four more. *Silhouette* asks whether each rank forms a cluster of its
# own. *ρ, means* is the first score, taken over the ten mean features in place of single images. *Plane shows* is the share
# of the variance that the two axes of PCA hold. The last two columns are controls: what the scores of order reach by chance.
# Brackets hold the lowest and the highest of the stored runs.


# %% tags=["hide-input", "nbval-ignore-output"]
def means(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the mean feature of the images of each rank."""
    return np.stack([x[y == k].mean(0) for k in range(len(ranks))])


def scores(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Score the order of image features, and what PCA shows of them."""
    centred = x - x.mean(0)
    places = centred @ pca_axes(x, y).T
    return {
        "ρ, single images": gap_score(x, y),
        "neighbours, ranks off": neighbour_gap(x, y),
        "silhouette": silhouette_score(x, y, metric="cosine"),
        "ρ, means": gap_score(means(x, y), np.arange(len(ranks))),
        "plane shows, %": 100
        * np.square(places).sum()
        / np.square(centred).sum(),
    }


rows = {m: scores(images[m], labels) for m in (START, L2R, CE)}
for moment in rows:
    rows[moment]["mean error, %"] = error(moment)
rows["after stage 2, ranks shuffled"] = scores(images[L2R], shuffled)
rows["random points"] = scores(noise, shuffled)
numbers = {
    f"{moment} {score}": value
    for moment, row in rows.items()
    for score, value in row.items()
}
is_stored = (PROFILE, PRESET) == ("page", "paper")
stored = stored_runs("07") if is_stored else pd.DataFrame()
spread_table(numbers, stored, list(rows), {name: name for name in rows[CE]}).T

# %% tags=["remove-cell"]
numbers["after stage 1 mean error, %"] = error(TEXT)
for moment in (START, L2R, CE):
    cosine = abs(first_axis[moment] @ first_axis["sentences"])
    numbers[f"{moment} along sentences"] = cosine
if len(stored):  # what the text says of all stored runs
    failed = stored[f"{L2R} ρ, single images"] < 0.1
    assert failed.sum() == 1
    assert len(stored) == 15
    healthy = stored[~failed]
    order = [healthy[f"{m} ρ, single images"] for m in (START, L2R, CE)]
    assert order[0].max() < 0.1 < 0.3 < min(map(min, order[1:]))
    assert (order[1] > order[2]).nunique() == 2
    along = [healthy[f"{m} along sentences"] for m in (START, CE, L2R)]
    assert (along[0] < along[1]).all()
    assert (along[1] < along[2]).all()

# %% [markdown]
# **L2RCLIP orders the images, and so does cross-entropy.** By both scores of single images each is far from the untrained tower
# and from shuffled ranks, in every stored run but the one that failed. L2RCLIP is the more ordered in twelve of the fifteen by the first score. So the features of L2RCLIP are ordinal, as the paper says ([Wang et al., 2023](references.md)). But that is no evidence for its losses: the same tower finds an order
# without them, too.
#
# **The untrained tower has its means partly in order, its images not.** A mean over the images of one rank averages out
# shape, light and ground, and damage remains. But a model is given one image, never the mean of a rank.
#
# **The plane hides most of the untrained cloud.** A linear projection can only bring points closer together: what lies
# close in the upper left panel of Figure 7.2 may be far apart in the features.
#
# **The silhouette falls in every stored run, while the order grows in all but the failed one.** It rewards ten islands, and ordered features are one curve. Choose the score by the claim: for order, the first two.
#
# Change `SEED`, or take `PRESET = "recommended"`, whose stage 2 has the ranked probability score ([chapter 5](05_losses.ipynb)) in place of the pairwise loss. [Chapter 9](09_does_it_help.ipynb)
# asks whether the *words* of the ranks help, with many runs on real images.
#
# The next figure shows the distances behind the first score.

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "Three panels of cosine distance over rank gap, with a line for the median and a shaded band: start, after stage 2, cross-entropy. On one scale, the line is flat at the start and rises in the two others, after cross-entropy several times as far; the bands are wide."}}
with style():
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, moment in zip(axes, (START, L2R, CE), strict=True):
        distance = pdist(images[moment], "cosine")
        for y, line, colour in (
            (labels, "-", COLOURS["stage 2"]),
            (shuffled, "--", COLOURS["reference"]),
        ):
            sns.lineplot(
                x=pdist(y[:, None], "cityblock").astype(int),
                y=distance,
                estimator="median",
                errorbar=("pi", 80) if line == "-" else None,
                color=colour,
                linestyle=line,
                ax=axis,
            )
        axis.set(title=moment, xlabel="rank gap (steps)")
        axis.grid(axis="y", color=GRID)
    axes[0].set(ylabel="cosine distance", ylim=(0, None))
figure

# %% [markdown]
# **Figure 7.4.** Distance against rank gap: medians of all pairs of images, and the band of their middle four fifths.
# Dashed: the same distances with shuffled ranks. The height of a line is the spread of the features; how well they are
# ordered is in the table.
#
# At the start the distance between two images says next to nothing about their ranks: the line is flat. After
# cross-entropy it rises in every stored run, after stage 2 in all but the failed one. The band stays wide in both, so two *single* images of far ranks may still lie close together.
#
# ## Look at the images
#
# Before you interpret a curve, look at the images on it, above all at those in the wrong place.

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "A cloud of points between two rows of leaf images with coloured frames, each tied by a line to its point. The upper row are typical leaves of eight ranks, the lower row leaves far from their rank."}}
trained, curve = images[L2R], layouts["PCA", L2R]
centres = means(curve, labels)
distance = np.linalg.norm(trained - means(trained, labels)[labels], axis=1)
typical = [
    int(np.flatnonzero(labels == k)[distance[labels == k].argmin()])
    for k in np.unique(np.linspace(0, len(ranks) - 1, 8).round().astype(int))
]
off = np.abs(curve[:, 0] - centres[labels, 0])
strange = [int(index) for index in np.argsort(-off)[:8]]
embedding_figures.thumbnails(
    curve,
    labels,
    np.stack([np.asarray(image).transpose(2, 0, 1) for image, _ in unseen]),
    {"nearest to the mean of their rank": typical, "farthest from it": strange},
    ranks,
)

# %% [markdown]
# **Figure 7.5.** Fresh images after stage 2, in the PCA plane of the figure above. Above: for eight ranks the image
# nearest to the mean of its rank. Below: the eight images that lie farthest from the mean of their rank along the first
# axis. Numbers and frames give the true damage in percent.
#
# Ask of each image in the lower row what misled the model: the colour of the blade, the lesions or the ground?
#
# ## How UMAP lies
#
# UMAP makes its layout from lists of the $k$ nearest neighbours. Three cautions.
#
# **The shape depends on settings, and noise has shapes, too.** Below are the same trained images with three numbers of
# neighbours (rows) and two seeds, then those of cross-entropy, then the random points of Figure 7.1.

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "Twelve UMAP layouts in three rows for 3, 15 and 50 neighbours; two columns of images after stage 2 with two seeds, one of cross-entropy, one of random points."}}
panels, agreement = {}, {}
for k in (3, 15, 50):
    for name, x, y, seed in (
        ("stage 2", trained, labels, 0),
        ("stage 2, other seed", trained, labels, 1),
        ("cross-entropy", images[CE], labels, 0),
        ("random points", noise, shuffled, 0),
    ):
        reference = (x - x.mean(0)) @ pca_axes(x, y).T
        flat = turned_like(umap(x, neighbours=k, seed=seed), reference)
        agreement[k, name] = distance_agreement(x, flat)
        title = f"k = {k}, {name}\n{agreement[k, name]:.2f}"
        panels[title] = Cloud(flat, y)
clouds(panels, ranks, columns=4)

# %% [markdown]
# **Figure 7.6.** UMAP with k neighbours. The number in each title is the rank correlation of distances on the page and
# distances between features: 1 would mean that the layout may be read with a ruler.
#
# With three neighbours the cloud falls into pieces; with more there are fewer, though nothing in the features has changed.
# Another seed bends the pieces differently. Random points get branches with few neighbours and an even disc with many. What
# most panels of the trained images share is that near points have near colours. Claim that, and no more.
#
# **Sizes and gaps mean nothing.** Here are three groups of points that we made: B is about ten times as wide as A and
# C, and C lies ten times as far from B as A does.

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "Left, PCA of three groups of points, one wide and two narrow, one of them far away. Right, UMAP of the same points: three groups of similar size, and C lies at most twice as far from B as A does."}}
group = np.repeat([0, 1, 2], 80)
width, where = np.array([1, 10, 1])[group], np.array([0, 60, 660])[group]
made_points = chance.standard_normal((len(group), 10)) * width[:, None]
made_points[:, 0] += where
axes = pca_axes(made_points, group)
drawn = {
    "PCA": (made_points - made_points.mean(0)) @ axes.T,
    "UMAP": umap(made_points),
}
groups = Ranks(("A", "B", "C"), (0, 1, 2), "group {rank}", unit="group")
clouds(
    {title: Cloud(flat, group) for title, flat in drawn.items()},
    groups,
    columns=2,
    metric=True,
)


# %% [markdown]
# **Figure 7.7.** Three groups of known width and distance, by PCA (left) and by UMAP (right), each on one scale.


# %% tags=["hide-input", "nbval-ignore-output"]
def ratios(points: np.ndarray) -> tuple[float, float]:
    """Return the width of B over that of A, and the way B to C over A to B."""
    a, b, c = (points[group == k] for k in range(3))
    wide = [np.linalg.norm(x - x.mean(0), axis=1).mean() for x in (a, b)]
    ab, bc = (
        np.linalg.norm(x.mean(0) - y.mean(0)) for x, y in ((a, b), (b, c))
    )
    return wide[1] / wide[0], bc / ab


drawings = {"made": made_points} | drawn
group_ratios = {name: ratios(points) for name, points in drawings.items()}
for name, (wide, far) in group_ratios.items():
    print(f"{name:<5} B is {wide:4.1f} x as wide, C {far:4.1f} x as far away")

# %% tags=["remove-cell"]
for name, (wide, far) in group_ratios.items():
    numbers |= {f"{name} wide": wide, f"{name} far": far}
for (k, name), value in agreement.items():
    numbers[f"{name}, k = {k} kept"] = value

# %% [markdown]
# UMAP scales each neighbourhood by its own distances, so a wide group and a narrow one come out alike. A rank that
# "forms a tight cluster" in UMAP need not be tight, and two ranks that "lie far apart" need not be far.
#
# **No layout can draw a cloud that fills many dimensions.** The titles in Figure 7.6 say how well distances
# are kept: hardly at all for random points, better for every trained cloud. Print this number beside the
# figure, and believe the layout as far as it goes.
#
# ## A look that has seen the labels
#
# Back to panel C. Projections fitted to the labels (class means, discriminant analysis, UMAP with a target) are useful:
# they find directions that PCA passes over. To use them as evidence, **fit on one half and look at the other.**

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "Eight panels of rank over place along the label axis, for random points, and for images at the start, after stage 2 and after cross-entropy; upper row the half the axis was fitted on, lower row the other half."}}
half = np.zeros(len(labels), dtype=bool)
half[chance.permutation(len(labels))[: len(labels) // 2]] = True
tried = {"random points": (noise, shuffled)}
tried |= {moment: (images[moment], labels) for moment in (START, L2R, CE)}
halves = {}
with style():
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots(2, 4, sharex="col", sharey=True)
    for column, (title, (x, y)) in enumerate(tried.items()):
        place = x @ axis_of(x[half], y[half])
        halves[title] = [rho(place[part], y[part]) for part in (half, ~half)]
        for row, part in enumerate((half, ~half)):
            value = np.array(ranks.values)[y[part]]
            points = np.stack([place[part], value], axis=1)
            embedding_figures.cloud(axes[row, column], points, y[part], ranks)
            note = f"ρ = {halves[title][row]:.2f}"
            note = f"other half: {note}" if row else f"{title}\nfitted: {note}"
            axes[row, column].set(title=note, xticks=[])
        axes[1, column].set_xlabel("along the label axis")
    for axis in axes[:, 0]:
        axis.set_ylabel(f"rank ({ranks.unit})")
figure

# %% [markdown]
# **Figure 7.8.** The label axis of one half of the points (above), and the other half along the same axis (below).

# %% tags=["remove-cell"]
for title, (fitted, other) in halves.items():
    numbers |= {f"{title} fitted": fitted, f"{title} other half": other}
if len(stored):
    fitted = stored.filter(like="fitted").drop(columns="start fitted")
    assert (fitted.idxmax(axis=1) == "random points fitted").all()
    assert stored["random points other half"].max() < 0.3

# %% [markdown]
# In the upper row random points look better ordered than a trained model, in every stored run. The lower row puts that
# right. In twelve of the fifteen it also shows some order in the images *at the start*, along a direction too small for PCA to show.
#
# ## Which figure proves what
#
# | you want to say | show | beside it |
# |---|---|---|
# | near ranks lie near | distance against rank gap of single images | shuffled ranks, **and cross-entropy** |
# | damage became the largest direction | PCA | the untrained tower, cross-entropy |
# | the features hold an order somewhere | the label axis on held-out images | random points |
# | neighbours have similar ranks | UMAP, several seeds and several $k$ | the rank correlation of its distances with those of the features |
# | this rank forms a tight group far from the others | no projection | distances between the full features |
# | the model is good | no figure of features | its error on fresh images: [chapter 2](02_two_stages.ipynb), [chapter 9](09_does_it_help.ipynb) |
#
# ## Exercises
#
# **1. A third opinion.** Write an ordinality score from triples. For each image $i$ and two *other* images $j$ and $l$
# with $|y_i - y_j| < |y_i - y_l|$, image $j$ should be nearer to $i$ than image $l$. Return the share of these triples
# for which it is; nearer means a larger cosine. Chance is one half.


# %% tags=["hide-input"]
def check_triples(score: Callable[..., float]) -> None:
    """Judge a score of triples by three arcs whose triples we can count."""
    again = "Is an image compared with itself?"
    for degrees, own, right, count, hint in (
        ((0, 10, 90), (0, 1, 2), 1.0, 2, again),
        ((0, 80, 10), (0, 1, 2), 0.0, 2, again),
        ((0, 50, 20, 90), (0, 0, 1, 3), 0.6, 10, "Two share a rank."),
    ):
        turn = np.radians(degrees)
        arc = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        mine = score(arc, np.array(own))
        if not np.isclose(mine, right):
            print(
                f"not yet: ranks {own} at {degrees} degrees have {count} "
                f"triples with unequal gaps;\nthe share of right ones is "
                f"{right}, yours is {mine:.2f}. {hint}"
            )
            return
    print("right; the share of fresh images:")
    for moment in (START, L2R, CE):
        print(f"{moment:<14}{score(images[moment], labels):.2f}")


# %%
def triples(x: np.ndarray, y: np.ndarray) -> float:
    """Turn unit features and rank indices into a share."""
    return 0.5  # yours


check_triples(triples)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Build two cubes over all $(i, j, l)$: one says whether $j$ has the smaller rank gap, the other whether it has the
# smaller distance. Strike $j = i$ out of the first, and use it as a mask on the second.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
def triples(x: np.ndarray, y: np.ndarray) -> float:
    """Turn unit features and rank indices into a share."""
    gap, far = np.abs(y[:, None] - y), 1 - x @ x.T
    nearer = gap[:, :, None] < gap[:, None, :]
    nearer &= ~np.eye(len(y), dtype=bool)[:, :, None]
    return (far[:, :, None] < far[:, None, :])[nearer].mean()


check_triples(triples)

# %% [markdown]
# **2. A better axis.** The axis of (7.1) weighs each feature by itself, although features are correlated.
# Write a linear readout that finds more order in the *untrained* features. It gets one half of the images and their
# ranks and returns a direction, which is judged on the other half, and so for twenty halves.


# %% tags=["hide-input"]
def check_axis(readout: Callable[..., np.ndarray]) -> None:
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
        axes = (mine, axis_of(x[seen], labels[seen]))
        pairs.append([rho(x[~seen] @ axis, labels[~seen]) for axis in axes])
    score, usual = np.mean(pairs, axis=0)
    if score > usual + 0.02:
        print("right")
    elif score < -usual / 2:
        print("not yet: places should rise with the rank, yours fall")
    else:
        print(
            "not yet: think of regression. With more dimensions than images "
            "it needs a penalty"
        )
    print(f"ρ on the other half: {score:.2f}, the label axis's {usual:.2f}")


# %% tags=["nbval-ignore-output"]
def readout(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Turn features and ranks of one half into a direction."""
    return axis_of(x, y)  # yours


check_axis(readout)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Ridge regression: $w = (X^\top X + \lambda I)^{-1} X^\top y$ with centred $X$ and $y$. For a large $\lambda$ it is the
# label axis again. For $\lambda = 0$ it fits the first half without error and learns little. A good $\lambda$ lies
# between, and a third set of images should choose it.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
def readout(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Turn features and ranks of one half into a direction."""
    x, y = x - x.mean(0), y - y.mean()
    return np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)


check_axis(readout)

# %% [markdown]
# **3. Make UMAP lie.** The points of `quarter` lie evenly along a quarter of a circle, with a little noise. Choose two
# settings of UMAP under which a reader would swear that they form at least eight separate groups. `min_dist`, from 0 to
# 1, says how close points may come. The check counts islands: groups of five points or more with a gap around them.

# %%
angle = np.linspace(0, np.pi / 2, 360)
quarter = np.random.default_rng(0).normal(scale=0.05, size=(360, 16))
quarter[:, :2] += np.stack([np.cos(angle), np.sin(angle)], axis=1)


# %% tags=["hide-input"]
def check_lie(options: dict[str, float]) -> None:
    """Count the islands of a layout, and say how far it may be believed."""
    flat = umap_layout(quarter, **options)
    count = islands(flat, gap=0.03)
    if count < 8:
        print(
            "not yet: short lists of neighbours cut the curve, and pieces "
            "may shrink\nuntil there is water between them"
        )
    else:
        print("right")
    kept = distance_agreement(quarter, flat)
    print(f"{count} islands; distances kept, ρ = {kept:.2f}")


# %% tags=["nbval-ignore-output"]
check_lie({"neighbours": 15, "min_dist": 0.1})

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Three neighbours, the point itself included, cut the curve; `min_dist` of 0 lets the pieces shrink. Write a caption
# for the result, and ask somebody what the groups mean.
#
# </details>

# %% tags=["hide-cell", "nbval-ignore-output"]
check_lie({"neighbours": 3, "min_dist": 0.0})

# %% [markdown]
# **4. Ten days.** Predict, then run. Somebody photographs all leaves of one grade on one day, those of the next grade
# on the next, and so on. The features below hold the light of the day and noise, and nothing about damage. Before you
# run anything, write down three numbers; then measure.
#
# - *Gap score*: the first score, of all photographs of one year.
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
    axis = axis_of(x[half], labels[half])
    years = [rho(ten_days(year) @ axis, labels) for year in range(1, 101)]
    right = {
        "gap score": gap_score(x, labels),
        "other half": rho(x[~half] @ axis, labels[~half]),
        "other days": float(np.mean(years)),
    }
    low = {
        "gap score": "images of one day lie together, and their rank gap is 0",
        "other half": "the other half was taken on the same ten days",
        "other days": "why should the axis point the wrong way, year after year?",
    }
    high = {
        "gap score": "any two days are equally far apart, near ranks or not",
        "other half": "the noise of single photographs costs a little",
        "other days": "their light points elsewhere; what is left of the axis?",
    }
    if set(mine) != set(right):
        print("not yet: one number each for", ", ".join(right))
        return
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
# [chapter 10](10_your_own_images.ipynb) calls it the group.
#
# </details>

# %% tags=["hide-cell", "nbval-ignore-output"]
check_days({"gap score": 0.25, "other half": 0.9, "other days": 0.0})

# %% tags=["hide-input", "spread"]
print(beside_stored(numbers, stored))

# %% [markdown]
# ## Three questions
#
# **The images lie on a horseshoe, and a reader calls its second axis age. How do you check?**
#
# <details>
# <summary>Answer</summary>
#
# Look within one rank. If the axis is only the bend of the curve, it follows from the rank, and old and young leaves of
# one rank do not differ along it. If they do, there is a second property.
#
# </details>
#
# **Shuffled ranks score 0, your features well above. What have you shown, and what not?**
#
# <details>
# <summary>Answer</summary>
#
# That distances have to do with ranks. Not that your loss is the reason, which needs a rival, and not even that the
# ranks are in order: ten heaps in any order score above 0, too, as exercise 4 shows.
#
# </details>
#
# **Two ranks are islands far apart in UMAP, and the model often confuses them. Is that a contradiction?**
#
# <details>
# <summary>Answer</summary>
#
# No: the layout keeps lists of neighbours, and a gap between islands has no length that means anything. The distances
# between the full features of the two ranks can answer, and the errors already do.
#
# </details>
#
# ## Summary
#
# - Stage 1 moves the sentences and not one bit of an image; stage 2 moves the images and not one bit of a sentence.
# - After training, the largest direction of the image features follows the damage, with L2RCLIP in fourteen of fifteen
#   stored runs, **and with plain cross-entropy in all**. A curve in rank colours is no evidence for a method.
# - Score single images, not means of ranks, and put shuffled ranks and a rival beside every score.
# - Read the order along a shape from UMAP, but no islands, gaps, widths or distances.
# - Judge a projection that was fitted to labels on other images, which share no day or place with the first.
#
# ## Sources
#
# The method is that of [Wang et al. (2023)](references.md). The modality gap was named and studied by
# [Liang et al. (2022)](references.md); UMAP is by [McInnes et al. (2018)](references.md).
