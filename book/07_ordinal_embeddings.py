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
# # Seeing the order: embeddings before and after
#
# You train a model on ordered labels, project its features to the plane, colour each point by its rank, and the colours
# run from dark to light. It looks like success. Would it have looked the same without training? With other labels? With
# no pictures at all? A projection is evidence only if it could have come out otherwise. This page looks at L2RCLIP
# {cite:p}`wang2023learning` before training, after stage 1 and after stage 2, and puts a control beside each look.
#
# :::{admonition} What you will learn
# :class: tip
# - what moves in each stage, how far, and which picture shows it,
# - how PCA, UMAP and a look that knows the labels differ, and what each of them can prove,
# - how to measure order with a number, and what the same number is when there is none,
# - what to ask of every coloured cloud of points that somebody shows you.
# :::
#
# | you should know | how much | if not |
# |---|---|---|
# | the two stages of L2RCLIP | what trains when | {doc}`02_two_stages` |
# | principal components | the idea | any introduction to linear algebra |
# | Spearman's $\rho$, correlation of ranks | the idea | {doc}`01_ordinal_classification` |
#
# **Time and hardware.** No GPU and no download are needed. The last line of this page says how long it took, and on what.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more data
SEED = 0  # decides the leaves, the start, every batch and every shuffle

# %%
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import seaborn as sns
import torch
from IPython.display import Markdown
from matplotlib.figure import Figure

from l2rclip_book import embedding_figures
from l2rclip_book.projections import (
    balanced_pca,
    distance_agreement,
    gap_distances,
    label_axis,
    modality_gap,
    umap_layout,
)
from l2rclip_book.statistics import ordinality, spearman_rho
from l2rclip_book.style import GRID, WIDTH
from l2rclip_lite import L2RCLIP, Config, Ranks, load_dataset
from l2rclip_lite.metrics import mae
from l2rclip_lite.model import ResizedImages
from l2rclip_lite.plots import COLOURS, style
from l2rclip_lite.training import TrainingData, train_stage1, train_stage2

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

scale = {
    "smoke": {
        "towers": "tiny/random",
        "size": 60,
        "look": 90,
        "image_size": 64,
        "epochs1": 1,
        "epochs2": 1,
        "umap_epochs": 20,
        "shuffles": 20,
    },
    "page": {
        "towers": "mini",
        "size": 900,
        "look": 360,
        "image_size": 96,
        "epochs1": 10,
        "epochs2": 8,
        "umap_epochs": None,  # UMAP's own choice
        "shuffles": 500,
    },
    "full": {
        "towers": "mini",
        "size": 4000,
        "look": 700,
        "image_size": 128,
        "epochs1": 20,
        "epochs2": 20,
        "umap_epochs": None,
        "shuffles": 2000,
    },
}[PROFILE]
torch.set_num_threads(1)
chance = np.random.default_rng(SEED)
data = load_dataset(
    "leaves",
    ranks=10,
    size=scale["size"],
    seed=SEED,
    pixels=scale["image_size"],
)
ranks, K = data.ranks, len(data.ranks)
# the leaves are drawn, so there are as many fresh ones as we want
unseen = load_dataset(
    "leaves",
    ranks=K,
    size=scale["look"],
    seed=SEED + 1,
    pixels=scale["image_size"],
).train
labels = np.array(unseen.targets)


def umap(points: np.ndarray, **options: int) -> np.ndarray:
    """A UMAP layout at the length of the profile."""
    return umap_layout(points, epochs=scale["umap_epochs"], **options)


def rho(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(spearman_rho(left[None], right[None])[0])


# %% [markdown]
# ## Three looks at one cloud
#
# Here is one set of points, looked at in three ways. The points are the same in all panels, and so are their ranks. Which
# of the three would you show?

# %% mystnb={"image": {"alt": "Three scatter plots of the same points in the colours of ten ranks. In A and B the colours are mixed; in C dark points lie on the left and light ones on the right."}, "figure": {"caption": "The same points with the same ranks, seen in three ways.", "name": "fig-07-looks"}} tags=["nbval-ignore-output"]
DIM = 384  # as many numbers as a feature of our towers has
noise = chance.standard_normal((len(labels), DIM))
noise /= np.linalg.norm(noise, axis=1, keepdims=True)
shuffled = chance.permutation(labels)

along = label_axis(noise, shuffled)
rest = noise - np.outer(noise @ along, along)
looks = {
    "A": balanced_pca([noise], noise).project(noise),
    "B": umap(noise, seed=SEED),
    "C": np.stack(
        [noise @ along, balanced_pca([rest], rest, axes=1).project(rest)[:, 0]],
        1,
    ),
}
embedding_figures.clouds({k: (v, shuffled) for k, v in looks.items()}, ranks)

# %% [markdown]
# All three show **nothing**. The points are random directions, and the ranks were dealt out at random. A is PCA, B is
# UMAP. C is a look that was allowed to see the labels: its horizontal axis is the direction in which the labels rise,
#
# $$
# w \propto \sum_{i=1}^{n} (y_i - \bar y)\,(x_i - \bar x).
# $$ (eq-07-axis)
#
# In many dimensions there is always such a direction. For $n$ random points in $d$ dimensions the labels and the places
# along $w$ correlate at about $1/\sqrt{1 + n/d}$.

# %% tags=["nbval-ignore-output"]
found = rho(noise @ along, shuffled)
expected = 1 / np.sqrt(1 + len(labels) / DIM)
assert found > 0.6
assert abs(rho(looks["A"][:, 0], shuffled)) < 0.3
Markdown(
    f"{len(labels)} random points in {DIM} dimensions: the formula says "
    f"**{expected:.2f}**, panel C has ρ = **{found:.2f}**. Along the first "
    f"axis of panel A it is {abs(rho(looks['A'][:, 0], shuffled)):.2f}."
)

# %% [markdown]
# So there are four questions for every coloured cloud, and the rest of this page asks them of L2RCLIP:
#
# 1. Has the projection **seen the labels**?
# 2. Do **distances** on the page mean distances between features?
# 3. **How much** of the cloud does the plane show?
# 4. What does the **control** look like: other labels, other seeds, no training?
#
# ## One model, three moments
#
# The model learns to read the damage of drawn leaves in ten ranks. All looks on this page are at *fresh* leaves, which
# neither stage has seen. It is trained with the losses as the authors released them (`preset="paper"`), under which images
# go to the sentences themselves. We keep image and text features at the start, after stage 1 and after stage 2. At the start the
# sentences already carry their context vectors, as they were drawn.

# %% tags=["nbval-ignore-output"]
config = Config(
    preset="paper",
    towers=scale["towers"],
    image_size=scale["image_size"],
    epochs1=scale["epochs1"],
    epochs2=scale["epochs2"],
    batch_size=64,
    lr1=1e-3,  # few pictures make few steps, so take larger ones
    upside_down=True,  # a leaf has no top
    threads=1,
    seed=SEED,
)
model = L2RCLIP.build(ranks, config)
train_data = TrainingData.load(data, model)
fresh = ResizedImages(unseen, model.towers)
images, texts, errors = {}, {}, {}


def keep(moment: str) -> None:
    """Features of the fresh images and of the sentences, as they are now."""
    features = model.encode(fresh)
    images[moment] = features.double().numpy()
    texts[moment] = model.rank_features.double().numpy()
    with torch.no_grad():
        answer = model.logits(features).argmax(1)
    errors[moment] = mae(torch.tensor(labels), answer, ranks)


keep("start")
train_stage1(model, train_data)
keep("after stage 1")
model.config = replace(config, batch_size=16)
train_stage2(model, train_data)
keep("after stage 2")

START, TEXT, IMAGE = images  # the three moments
median = mae(
    torch.tensor(labels),
    torch.full((len(labels),), int(train_data.targets["train"].median())),
    ranks,
)
Markdown(
    f"{len(data.train)} pictures to learn from, {len(unseen)} fresh ones to "
    f"look at. Mean error on the fresh ones, in {ranks.unit} of damage: "
    + ", ".join(f"{value:.1f} {moment}" for moment, value in errors.items())
    + f"; the median rank has {median:.1f}."
)

# %% [markdown]
# ## PCA first: one plane for all moments
#
# PCA is the first look, because it is linear, repeatable and blind to labels. Two traps are easy to avoid. If each panel
# gets a plane of its own, nobody can say what moved: so there is **one plane for all**. And if all points are thrown
# together, hundreds of pictures outvote ten sentences: so each of the $C$ clouds weighs the same,
#
# $$
# S = \frac1C \sum_{c=1}^{C} \frac1{n_c} \sum_{x \in c} (x - \mu)(x - \mu)^\top,
# \qquad \mu = \frac1C \sum_{c=1}^{C} \bar x_c ,
# $$ (eq-07-pca)
#
# and the axes are the first two eigenvectors of $S$. The four clouds are images at the start and after stage 2, sentences
# at the start and after stage 1. No label enters, except to turn an axis round so that it rises with the sentences.

# %% mystnb={"image": {"alt": "Three panels with the same axes. Small discs are images, diamonds on a line are the ten sentences, all in rank colours: at the start, after stage 1 and after stage 2."}, "figure": {"caption": "Fresh images and the ten sentences in one plane. From left to middle only diamonds move, from middle to right only discs. The axis labels say which share of the pooled variance an axis holds.", "name": "fig-07-moments"}} tags=["nbval-ignore-output"]
four = {
    "images, start": images[START],
    "images, after stage 2": images[IMAGE],
    "sentences, start": texts[START],
    "sentences, after stage 1": texts[TEXT],
}
plane = balanced_pca(list(four.values()), rising=texts[TEXT])
shown = {moment: (images[moment], texts[moment]) for moment in images}
embedding_figures.moments(plane, shown, labels, ranks)

# %% [markdown]
# The left panel seems to say that the untrained tower sees hardly any order. Question 3 tells you to be careful: how much
# of each cloud is in the plane? And since the plane was fitted on trained features too, the start deserves a plane of its
# own.

# %% tags=["nbval-ignore-output"]
lines = [
    "| cloud | its variance in the common plane | ρ with rank along axis 1 "
    "| ρ along the first axis of a plane of its own |",
    "|---|--:|--:|--:|",
]
seen, common, own = {}, {}, {}
for name, cloud in four.items():
    rank = labels if len(cloud) == len(labels) else np.arange(K)
    seen[name] = plane.seen(cloud)
    common[name] = abs(rho(plane.project(cloud)[:, 0], rank))
    own[name] = abs(
        rho(balanced_pca([cloud], cloud).project(cloud)[:, 0], rank)
    )
    lines.append(
        f"| {name} | {seen[name]:.0%} | {common[name]:.2f} | {own[name]:.2f} |"
    )
top = texts[TEXT][-3:]  # the sentences of the three highest ranks
apart = [
    float(np.linalg.norm(one - one[[1, 2, 0]], axis=1).mean())
    for one in (plane.project(top), top)
]
lines.append(
    f"\nThe sentences of the three highest ranks after stage 1 lie "
    f"{apart[0]:.2f} apart in the plane, and {apart[1]:.2f} in all dimensions."
)
if PROFILE != "smoke":
    assert apart[1] > 3 * apart[0]
    assert seen["images, start"] < 0.1 < 0.4 < seen["images, after stage 2"]
    assert common["images, after stage 2"] > 0.6
    assert own["images, after stage 2"] > own["images, start"] + 0.3
Markdown("\n".join(lines))

# %% [markdown]
# The small blob on the left is a shadow: nearly all of what the untrained tower sees in a leaf is outside this plane, and
# its own largest axis is about something else than damage. Along the common axis, which trained features and sentences
# have chosen, even this blob is a little in order. After stage 2 the largest axis of the images *is* the damage, and no
# label told PCA so. That much is proven. That untrained features hold *no* order is not: PCA shows what varies most, not
# what is there.
#
# Nor is everything near that looks near. The sentences of the highest ranks almost lie on each other in the figure. In all
# dimensions they are well apart. **A projection can only bring points closer together, never farther apart.**
#
# ## What moves in which stage
#
# The freezing table of {doc}`02_two_stages` says that stage 1 moves sentences and stage 2 images. Arrows make it visible,
# and the features make it exact.


# %% mystnb={"image": {"alt": "Two panels with arrows. In stage 1 arrows start at diamonds, the sentences; in stage 2 at discs, the mean images of the ranks."}, "figure": {"caption": "The way of each sentence in stage 1 and of the mean image of each rank in stage 2, in the plane of the last figure.", "name": "fig-07-arrows"}} tags=["nbval-ignore-output"]
def means(cloud: np.ndarray, rank: np.ndarray = labels) -> np.ndarray:
    """Mean feature of the pictures of each rank."""
    return np.stack([cloud[rank == k].mean(0) for k in range(K)])


steps = {
    title: {
        "mean image of a rank": (means(images[first]), means(images[last])),
        "sentence": (texts[first], texts[last]),
    }
    for title, first, last in (
        ("stage 1", START, TEXT),
        ("stage 2", TEXT, IMAGE),
    )
}
embedding_figures.arrows(plane, steps, ranks)

# %% tags=["nbval-ignore-output"]
assert np.array_equal(images[START], images[TEXT])
assert np.array_equal(texts[TEXT], texts[IMAGE])


def way(before: np.ndarray, after: np.ndarray) -> float:
    """Mean distance that features travel."""
    return float(np.linalg.norm(after - before, axis=1).mean())


Markdown(
    f"- Stage 1: a sentence moves by {way(texts[START], texts[TEXT]):.2f} on "
    f"average, an image by {way(images[START], images[TEXT]):.2f}.\n"
    f"- Stage 2: an image moves by {way(images[TEXT], images[IMAGE]):.2f}, "
    f"a sentence by {way(texts[TEXT], texts[IMAGE]):.2f}.\n\n"
    "For scale: features have length 1, and two unrelated ones lie "
    f"{2**0.5:.2f} apart."
)

# %% [markdown]
# The zeros are exact: not a bit of the frozen side has changed. Stage 1 spreads the sentences along the order. Stage 2
# pulls the images apart in the same direction, towards sentences that wait for them. They do not arrive: all of them end
# up below the sentences, and farther below than they began. The section on the modality gap asks why.
#
# ## Look at the pictures
#
# A point is a picture. Before you interpret a curve, look at what lies on it, and above all at what lies in the wrong
# place.

# %% mystnb={"image": {"alt": "A curved cloud of points between two rows of leaf pictures with coloured frames, each tied by a line to its point. The upper row are typical leaves of eight ranks, the lower row leaves far from their rank."}, "figure": {"caption": "Fresh images after stage 2, in a PCA plane of their own. Above: for eight ranks the picture nearest to the mean of its rank. Below: the eight pictures that lie farthest from their rank's mean along the first axis. Numbers and frames give the true damage in percent.", "name": "fig-07-pictures"}} tags=["nbval-ignore-output"]
trained = images[IMAGE]
curve = balanced_pca([trained], rising=means(trained))
places, centres = curve.project(trained), curve.project(means(trained))
off = np.abs(places[:, 0] - centres[labels, 0])
distance = np.linalg.norm(trained - means(trained)[labels], axis=1)
typical = [
    int(np.flatnonzero(labels == k)[distance[labels == k].argmin()])
    for k in np.unique(np.linspace(0, K - 1, 8).round().astype(int))
]
strange = [int(index) for index in np.argsort(-off)[:8]]
embedding_figures.thumbnails(
    places,
    labels,
    np.stack([pixels.numpy() for pixels, _ in fresh]),
    {"nearest to the mean of their rank": typical, "farthest from it": strange},
    ranks,
)

# %% [markdown]
# The arc is a well-known shape. If near ranks resemble each other and far ranks do not, the data lie on a curve that
# turns through many dimensions, and PCA draws it as a horseshoe. Its second axis is mostly the bend: the middle against
# both ends. It is not a second property of leaves.
#
# The lower row is worth more than a table of errors. Ask what misled the model in each: a blade whose own colour looks
# like damage, lesions as pale as the ground, a leaf that is hard to tell from the moss behind it.
#
# ## The modality gap
#
# In {numref}`fig-07-moments` images and sentences never meet. Features of two towers often fill two separate cones, and
# the distance between their means is called the modality gap {cite:p}`liang2022mind`:
#
# $$
# g = \Big\lVert \frac1n \sum_i z_i - \frac1K \sum_k t_k \Big\rVert .
# $$ (eq-07-modality)
#
# Does training close it, and does it hurt?


# %% tags=["nbval-ignore-output"]
def error(image: np.ndarray, text: np.ndarray) -> float:
    """Mean error of the most similar sentence."""
    answer = torch.tensor((image @ text.T).argmax(1))
    return mae(torch.tensor(labels), answer, ranks)


def middle(cloud: np.ndarray) -> np.ndarray:
    """A cloud about its own mean, in unit length."""
    cloud = cloud - cloud.mean(0)
    return cloud / np.linalg.norm(cloud, axis=1, keepdims=True)


lines = [
    "| moment | mean image, length | mean sentence, length | gap | gap, both "
    "centred | mean error | mean error, both centred |",
    "|---|--:|--:|--:|--:|--:|--:|",
]
gaps = {}
for moment in images:
    image, text = images[moment], texts[moment]
    gaps[moment] = modality_gap(image, text)
    centred = modality_gap(middle(image), middle(text))
    lines.append(
        f"| {moment} | {gaps[moment]['image']:.2f} "
        f"| {gaps[moment]['text']:.2f} | {gaps[moment]['gap']:.2f} "
        f"| {centred['gap']:.2f} | {error(image, text):.1f} "
        f"| {error(middle(image), middle(text)):.1f} |"
    )
toward = plane.axes @ (images[IMAGE].mean(0) - texts[IMAGE].mean(0))
share = float(toward[1] ** 2) / gaps[IMAGE]["gap"] ** 2
first, last = (1 - gaps[moment]["image"] ** 2 for moment in (START, IMAGE))
lines.append(
    f"\nOf the squared gap after stage 2, {share:.0%} lies along axis 2 of "
    f"the common plane. The variance of the images fell from {first:.2f} to "
    f"{last:.2f}."
)
if PROFILE != "smoke":
    assert gaps[IMAGE]["gap"] > gaps[START]["gap"]
    assert share > 0.7
    assert error(middle(images[IMAGE]), middle(texts[IMAGE])) > errors[IMAGE]
Markdown("\n".join(lines))

# %% [markdown]
# The gap does not close. It grows, and the error falls all the same. The sentences are centred by construction, so the
# gap is hardly more than the length of the mean image. For unit vectors that length is a matter of spread: their variance
# is $1 - \lVert\bar z\rVert^2$, so a longer mean says that the images have become *more alike*. Much of what told one
# leaf from another is gone, and of what is left most lies along the order, as the table under {numref}`fig-07-moments`
# says. The clouds did not drift apart. One of them shrank.
#
# Is the gap in the way? What all images share adds to the score of each sentence the same number for every image. That
# works like the bias of a classifier, and stage 2 has tuned it: centre both clouds, and the error *rises*. So centre for
# the eye, not for the answer.
#
# The lesson for the eye: **the largest distance in a joint plot, that between the two clouds, says least about the task.**
#
# ## A ruler in place of a picture
#
# "Near ranks lie near" is a statement about distances, so measure them. For every pair of points with ranks $i$ and $j$,
# hold the cosine distance against the gap $|i-j|$, and sum up with Spearman's correlation over all pairs,
#
# $$
# \rho_{\text{gap}} = \operatorname{Spearman}\big(|y_i - y_j|,\; 1 - \cos(x_i, x_j)\big), \qquad i < j .
# $$ (eq-07-gap)
#
# There is no projection in it, and no plane to choose.

# %% tags=["nbval-ignore-output"]
order = np.arange(K)
pairs = {
    "Images": {
        START: (images[START], labels),
        IMAGE: (images[IMAGE], labels),
    },
    "Sentences": {START: (texts[START], order), TEXT: (texts[TEXT], order)},
}
control = {
    "Images": (images[IMAGE], chance.permutation(labels)),
    "Sentences": (texts[TEXT], chance.permutation(order)),
}
for title, given in control.items():
    pairs[title]["shuffled ranks"] = given
distances = {
    (title, moment): gap_distances(*given)
    for title, moments in pairs.items()
    for moment, given in moments.items()
}
ruler = {key: rho(*given) for key, given in distances.items()}
noise_floor = ruler["Images", "shuffled ranks"]
if PROFILE != "smoke":
    assert abs(ruler["Images", START]) < 0.15
    assert abs(noise_floor) < 0.1
    assert ruler["Images", IMAGE] > 0.4
    assert ruler["Sentences", TEXT] > ruler["Sentences", START] + 0.1
Markdown(
    f"Pairs of images: ρ = **{ruler['Images', START]:.2f}** at the start, "
    f"**{ruler['Images', IMAGE]:.2f}** after stage 2, {noise_floor:.2f} with "
    f"shuffled ranks. Pairs of sentences: **{ruler['Sentences', START]:.2f}** "
    f"at the start, **{ruler['Sentences', TEXT]:.2f}** after stage 1."
)

# %% mystnb={"image": {"alt": "Two panels of cosine distance over rank gap with medians and shaded bands, left for pairs of images at the start and after stage 2, right for pairs of sentences at the start and after stage 1, each with a dashed control of shuffled ranks."}, "figure": {"caption": "Distance against rank gap: medians of all pairs and the band of their middle four fifths. Dashed: the trained features with shuffled ranks.", "name": "fig-07-ruler"}} tags=["hide-input", "nbval-ignore-output"]
MOMENT_COLOURS = {
    START: COLOURS["reference"],
    TEXT: COLOURS["stage 1"],
    IMAGE: COLOURS["stage 2"],
}
with style():
    figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    axes = figure.subplots(1, 2)
    for (title, moment), (gap, distance) in distances.items():
        axis = axes[list(pairs).index(title)]
        shuffled_ranks = moment == "shuffled ranks"
        sns.lineplot(
            x=gap,
            y=distance,
            estimator="median",
            errorbar=None if shuffled_ranks else ("pi", 80),
            color=MOMENT_COLOURS.get(moment, COLOURS["ink"]),
            linestyle="--" if shuffled_ranks else "-",
            linewidth=1.2 if shuffled_ranks else 2,
            marker=None if shuffled_ranks else "o",
            label=f"{moment}: ρ = {ruler[title, moment]:.2f}",
            ax=axis,
        )
        axis.set(title=title, xlabel="rank gap (steps)", ylim=(0, None))
        axis.grid(axis="y", color=GRID)
    for axis in axes:
        axis.set_ylim(0, 1.32 * axis.get_ylim()[1])
        axis.legend(loc="upper left")
    axes[0].set_ylabel("cosine distance")
figure

# %% [markdown]
# Before training the distance between two pictures says nothing about how far apart their ranks are: the line is flat at
# every gap. After stage 2 it rises. The band is as telling as the line: it stays wide, so two *single* pictures of far
# ranks may still lie close together. The sentences were in some order before any training, which is what the method
# builds on. With ten sentences there are few pairs, and their dashed line wanders: that is the size of an accident.
#
# | equation | function | test |
# |---|---|---|
# | label axis {eq}`eq-07-axis` | `projections.label_axis` | `tests/book/test_projections.py` |
# | balanced PCA {eq}`eq-07-pca` | `projections.balanced_pca` | `tests/book/test_projections.py` |
# | modality gap {eq}`eq-07-modality` | `projections.modality_gap` | `tests/book/test_projections.py` |
# | distance and gap {eq}`eq-07-gap` | `projections.gap_distances` | `tests/book/test_projections.py` |
#
# ## Scores, and what chance scores
#
# `ordinality` sums up $K$ features, one a rank, in three numbers. `gap` is {eq}`eq-07-gap`. `triplets` is the share of
# triples in which the outer two lie farther apart than the inner ones; chance is one half. `component` is $|\rho|$ of the
# first principal component with the rank. For images we take the mean of each rank. The control deals the ranks out
# again: among the sentences, or among the pictures before their means are taken.


# %% tags=["nbval-ignore-output"]
def score_often(
    draw: Callable[[], np.ndarray],
) -> dict[str, list[float]]:
    """Scores of many draws, by the name of the score."""
    rows = [ordinality(draw()) for _ in range(scale["shuffles"])]
    return {name: [row[name] for row in rows] for name in rows[0]}


found, often = {}, {}
for moment in (START, TEXT):
    title = f"sentences, {moment}"
    found[title] = ordinality(texts[moment])
    often[title] = score_often(
        lambda given=texts[moment]: given[chance.permutation(K)]
    )
for moment in (START, IMAGE):
    title = f"mean images, {moment}"
    found[title] = ordinality(means(images[moment]))
    often[title] = score_often(
        lambda given=images[moment]: means(given, chance.permutation(labels))
    )

# %% mystnb={"image": {"alt": "Three panels, one per score, with four rows: sentences at the start and after stage 1, mean images at the start and after stage 2. A dot is the score, a grey bar the range of scores with shuffled ranks."}, "figure": {"caption": "Order of ten sentences and of ten mean images of fresh pictures. Grey bars: the middle 95 % of the scores with shuffled ranks. A dot inside its bar may be chance.", "name": "fig-07-scores"}} tags=["hide-input", "nbval-ignore-output"]
with style():
    figure = Figure(figsize=(WIDTH, 3), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, name in zip(axes, ("gap", "triplets", "component"), strict=True):
        sns.pointplot(
            {title: drawn[name] for title, drawn in often.items()},
            orient="y",
            errorbar=("pi", 95),
            linestyle="none",
            marker="",
            color="#c3cad2",
            err_kws={"linewidth": 7, "solid_capstyle": "round"},
            ax=axis,
        )
        for row, (title, values) in enumerate(found.items()):
            colour = MOMENT_COLOURS[title.split(", ")[1]]
            axis.plot(values[name], row, "o", color=colour, mec="white", ms=8)
            axis.text(
                *(values[name], row - 0.2),
                f"{values[name]:.2f}",
                color=colour,
                fontsize=8.5,
                ha="center",
            )
        axis.set(title=name, xlim=(-0.45 if name == "gap" else 0, 1.08))
        axis.set_ylim(len(found) - 0.6, -0.75)
        axis.grid(axis="x", color=GRID)
figure

# %% tags=["nbval-ignore-output"]
lines = ["| | gap | p | triplets | p | component | p |", "|---|" + "--:|" * 6]
for title, row in found.items():
    told = []
    for name, value in row.items():
        above = sum(one >= value for one in often[title][name])
        told += [f"{value:.2f}", f"{(1 + above) / (1 + scale['shuffles']):.3f}"]
    lines.append(f"| {title} | " + " | ".join(told) + " |")
before, after = f"mean images, {START}", f"mean images, {IMAGE}"
if PROFILE != "smoke":
    assert found[after]["gap"] > found[before]["gap"] + 0.15
    assert found[before]["gap"] > np.quantile(often[before]["gap"], 0.975)
Markdown("\n".join(lines))

# %% [markdown]
# $p$ is the share of shuffles that score as high, the real order counted as one of them. Look at the row *mean images,
# start*: the **untrained** tower already has its means in order, far beyond chance, although {numref}`fig-07-ruler` found
# no order in its pairs of pictures. Both are right. A mean over the pictures of a rank averages out species, light and
# ground, and what remains is damage. But a model is given one picture, never the mean of a rank. So **a plot of class
# means always looks better than the model is.**
#
# And look at the grey bars of `component`: with ten ranks chance reaches high. A first component that follows the ranks
# "well" is weak evidence.
#
# ## UMAP, after all
#
# UMAP {cite:p}`mcinnes2018umap` is the picture that most people show. What does it know? Of each point it takes the list
# of the $k$ nearest neighbours and the distances to these. Then it looks for a layout in the plane in which the same
# points are neighbours. Everything farther away than the $k$-th neighbour never enters.

# %% mystnb={"image": {"alt": "Four scatter plots of fresh images in rank colours: PCA and UMAP at the start, PCA and UMAP after stage 2."}, "figure": {"caption": "The same images by PCA and by UMAP with fifteen neighbours, before and after training. UMAP's axes have no unit.", "name": "fig-07-umap"}} tags=["nbval-ignore-output"]
panels, layouts = {}, {}
for moment in (START, IMAGE):
    cloud = images[moment]
    layouts["PCA", moment] = balanced_pca([cloud], means(cloud)).project(cloud)
    layouts["UMAP", moment] = umap(cloud, seed=SEED)
    for kind in ("PCA", "UMAP"):
        panels[f"{kind}, {moment}"] = (layouts[kind, moment], labels)
embedding_figures.clouds(panels, ranks, columns=4)

# %% [markdown]
# Both see no order at the start and much of it after stage 2, and neither has seen a label. Here the two agree, which is
# reassuring. How far do the distances on paper follow the real ones? The next table correlates all pairs.

# %% tags=["nbval-ignore-output"]
layouts["PCA", "noise"], layouts["UMAP", "noise"] = looks["A"], looks["B"]
real = {START: images[START], IMAGE: images[IMAGE], "noise": noise}
kept = {key: distance_agreement(real[key[1]], v) for key, v in layouts.items()}
lines = ["| distances kept, ρ | PCA | UMAP |", "|---|--:|--:|"]
lines += [
    f"| {name} | {kept['PCA', name]:.2f} | {kept['UMAP', name]:.2f} |"
    for name in real
]
if PROFILE != "smoke":
    assert kept["UMAP", IMAGE] > 0.7 > kept["UMAP", START]
    assert kept["PCA", "noise"] < 0.3
    assert kept["UMAP", "noise"] < 0.3
    assert all(kept["PCA", x] > kept["UMAP", x] for x in real)
Markdown("\n".join(lines))

# %% [markdown]
# PCA keeps distances better each time, but that is not the main thing. Read the table downwards: a cloud that *is* nearly
# a curve is drawn well by anyone. A cloud that fills many dimensions is drawn badly by anyone. Trust the picture as far
# as this number goes, and print it beside the picture.
#
# ## What UMAP does not show
#
# **The shape depends on settings, and noise has shapes, too.** The same trained images with three seeds and three
# numbers of neighbours, and in the last column the random points of {numref}`fig-07-looks`.

# %% mystnb={"image": {"alt": "Twelve UMAP layouts in three rows for 3, 15 and 50 neighbours; three columns with seeds 0, 1, 2 of trained images and one column of random points."}, "figure": {"caption": "UMAP of the trained images with k neighbours and three seeds, and of random points with random ranks (right).", "name": "fig-07-grid"}} tags=["nbval-ignore-output"]
panels, spread = {}, []
for k in (3, 15, 50):
    for seed in (0, 1, 2):
        layout = umap(images[IMAGE], neighbours=k, seed=seed)
        panels[f"k = {k}, seed {seed}"] = (layout, labels)
        spread.append(distance_agreement(images[IMAGE], layout))
    panels[f"noise, k = {k}"] = (umap(noise, neighbours=k), shuffled)
embedding_figures.clouds(panels, ranks, columns=4)

# %% [markdown]
# With three neighbours the curve falls into islands, and one could tell a story about each. With fifteen they are gone:
# nothing in the features has changed. The seed turns, bends and widens the curve. Random points get branches and knots
# with few neighbours and an even disc with many. What all nine pictures of the trained images share is the order of the
# colours along the shape, and that is what may be claimed. Islands, gaps, bends and widths may not.
#
# **Sizes and gaps mean nothing.** Three groups of points, made so that we know the truth: B is ten times as wide as A and
# C, and C lies ten times as far from B as A does.

# %% mystnb={"image": {"alt": "Left, PCA of three groups of points, one wide and two narrow, one of them far away. Right, UMAP of the same points, three groups."}, "figure": {"caption": "Three groups of known width and distance, by PCA (left) and by UMAP (right), each on one scale.", "name": "fig-07-groups"}} tags=["nbval-ignore-output"]
group = np.repeat([0, 1, 2], 80)
width, where = np.array([1, 10, 1])[group], np.array([0, 60, 660])[group]
known = chance.standard_normal((len(group), 10)) * width[:, None]
known[:, 0] += where
groups = Ranks(("A", "B", "C"), (0, 1, 2), "group {rank}", unit="group")
drawn = {
    "PCA": balanced_pca([known], known).project(known),
    "UMAP": umap(known, seed=SEED),
}
embedding_figures.clouds(
    {title: (flat, group) for title, flat in drawn.items()},
    groups,
    columns=2,
    metric=True,
)


# %% tags=["nbval-ignore-output"]
def ratios(points: np.ndarray) -> tuple[float, float]:
    """Width of B over that of A, and the way B to C over A to B."""
    a, b, c = (points[group == k] for k in range(3))
    wide = [np.linalg.norm(x - x.mean(0), axis=1).mean() for x in (a, b)]
    ab, bc = (
        np.linalg.norm(x.mean(0) - y.mean(0)) for x, y in ((a, b), (b, c))
    )
    return float(wide[1] / wide[0]), float(bc / ab)


truth = {title: ratios(flat) for title, flat in drawn.items()}
made = ratios(known)
if PROFILE != "smoke":
    assert truth["UMAP"][0] < 3
    assert truth["UMAP"][1] < 5
    assert min(truth["PCA"]) > 6
Markdown(
    f"As made, B is {made[0]:.1f} times as wide as A and C is {made[1]:.1f} "
    f"times as far away. PCA draws {truth['PCA'][0]:.1f} and "
    f"{truth['PCA'][1]:.1f}, UMAP {truth['UMAP'][0]:.1f} and "
    f"{truth['UMAP'][1]:.1f}. Over the nine pictures of the trained images, "
    f"the share of distances that is kept runs from ρ = {min(spread):.2f} to "
    f"{max(spread):.2f}."
)

# %% [markdown]
# UMAP measures every neighbourhood with a ruler of its own, so a wide group and a narrow one come out alike. A rank that
# "forms a tight cluster" in UMAP need not be tight, and two ranks that "lie far apart" need not be far.
#
# ## A look that has seen the labels
#
# Back to panel C. Projections that know the labels (class means, discriminant analysis, partial least squares, UMAP with
# a target) are useful, because they find a direction that PCA passes over. There is one way to use them as evidence:
# **fit on one half, look at the other.**

# %% tags=["nbval-ignore-output"]
half = np.zeros(len(labels), dtype=bool)
half[chance.permutation(len(labels))[: len(labels) // 2]] = True
tried = {
    "noise": (noise, shuffled),
    START: (images[START], labels),
    IMAGE: (images[IMAGE], labels),
}
panels, halves = {}, {}
for title, (cloud, rank) in tried.items():
    place = cloud @ label_axis(cloud[half], rank[half])
    panels[title] = (place, rank, half)
    halves[title] = [rho(place[x], rank[x]) for x in (half, ~half)]
place = images[IMAGE] @ label_axis(images[IMAGE][half], shuffled[half])
trick = [rho(place[x], shuffled[x]) for x in (half, ~half)]
place = images[START] @ label_axis(images[START][half], shuffled[half])
trick0 = [rho(place[x], shuffled[x]) for x in (half, ~half)]
if PROFILE != "smoke":
    assert halves["noise"][0] > 0.7
    assert abs(halves["noise"][1]) < 0.3
    assert halves[IMAGE][1] > 0.6
    assert 0.15 < halves[START][1] < halves[IMAGE][1]
lines = [
    "| points | ranks | ρ where it was fitted | ρ on the other half |",
    "|---|---|--:|--:|",
]
for title, rank, pair in (
    ("noise", "random", halves["noise"]),
    (f"images, {START}", "shuffled", trick0),
    (f"images, {IMAGE}", "shuffled", trick),
    (f"images, {START}", "true", halves[START]),
    (f"images, {IMAGE}", "true", halves[IMAGE]),
):
    lines.append(f"| {title} | {rank} | {pair[0]:.2f} | {pair[1]:.2f} |")
Markdown("\n".join(lines))

# %% mystnb={"image": {"alt": "Six panels of rank over place along the label axis, for noise, for images at the start and after stage 2; upper row the half the axis was fitted on, lower row the other half."}, "figure": {"caption": "The label axis of one half of the points (above), and the other half along the same axis (below).", "name": "fig-07-halves"}} tags=["hide-input", "nbval-ignore-output"]
with style():
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axes = figure.subplots(2, 3, sharex="col", sharey=True)
    for column, (title, (place, rank, fitted)) in enumerate(panels.items()):
        for row, chosen in enumerate((fitted, ~fitted)):
            axis, where = axes[row, column], place[chosen]
            value = np.array(ranks.values)[rank[chosen]]
            points = np.stack([where, value], axis=1)
            embedding_figures.cloud(axis, points, rank[chosen], ranks)
            label = f"fitted on: ρ = {halves[title][row]:.2f}"
            label = f"never {label}" if row else f"{title}\n{label}"
            axis.set(title=label, xticks=[])
        axes[1, column].set_xlabel("place along the label axis")
    for axis in axes[:, 0]:
        axis.set_ylabel(f"rank ({ranks.unit})")
figure

# %% [markdown]
# The upper row cannot tell noise from a trained model. The lower row can. It also answers what PCA left open: the images
# *at the start* do hold some order, along a direction that is too small for PCA to notice. That is why a linear probe on
# frozen features gets somewhere. Stage 2 does not create the order from nothing. It turns a weak direction into the
# strongest one.
#
# With shuffled ranks the trained images do not even give a pretty upper panel: they have few directions left to fit with.
# The fewer directions a cloud really uses, the harder it is to fool yourself.
#
# ## Which picture proves what
#
# | you want to say | show | beside it |
# |---|---|---|
# | what moves in which stage | features before and after, equal to the last bit | {numref}`fig-07-arrows`, for the eye |
# | damage became the largest direction of images | PCA, one plane for all moments | variance shown, $\rho$ along the axis |
# | near ranks lie near | distance against rank gap of single pictures | the same with shuffled ranks |
# | the sentences are in order | `ordinality` | its range under shuffling |
# | the features hold an order somewhere | label axis on held-out points | noise, shuffled ranks |
# | neighbours have similar ranks | UMAP, several seeds and several $k$ | share of distances kept |
# | this rank forms a tight group far from the others | none of the pictures here | distances in the full space |
# | the model is good | no picture of features | error on fresh pictures: {doc}`02_two_stages`, {doc}`09_does_it_help` |
#
# All of this is one run with one seed on drawn leaves. A picture of one run shows what happened, not what will happen.
#
# ## Exercises
#
# **1. Three scores, three opinions.** Put four sentences on a circle, at angles between 0 and 180 degrees and in the
# order of their ranks, so that `triplets` and `component` are perfect while `gap` stays below $4/5$.


# %%
def check_angles(mine: list[float]) -> None:
    """Judge four angles in degrees."""
    if len(set(mine)) != 4 or sorted(mine) != list(mine) or mine[-1] > 180:
        print("not yet: four different angles, rising, none above 180")
        return
    turn = np.radians(mine)
    score = ordinality(np.stack([np.cos(turn), np.sin(turn)], axis=1))
    print({name: round(value, 2) for name, value in score.items()})
    rest = score["triplets"] == 1 and score["component"] == 1
    right = rest and score["gap"] < 0.8
    print(
        "right" if right else "not yet: how uneven may steps be, in one order?"
    )


check_angles([0.0, 30.0, 60.0, 90.0])

# %% [markdown]
# :::{dropdown} Solution
# Crowd three ranks together and leave one far away. The order is untouched, but now one gap of one step is wider than a
# gap of two. This is what language does with "no, very low, low, very high".
# :::

# %% tags=["hide-cell"]
check_angles([0.0, 5.0, 10.0, 90.0])

# %% [markdown]
# **2. How many pictures until the label axis stops lying?** Features have 384 dimensions and know nothing. From how many
# pictures on does the label axis correlate with random ranks at no more than one fifth, *on the pictures that it was
# fitted on*? Use the formula under {eq}`eq-07-axis`.


# %%
def check_count(mine: int) -> None:
    """Judge the smallest number of pictures."""
    value = 1 / np.sqrt(1 + mine / DIM)
    least = round(DIM * (1 / 0.2**2 - 1))
    hint = "not yet: solve 1 / sqrt(1 + n / d) = 1 / 5 for n"
    if abs(mine - least) <= 1:
        hint = "right"
    print(f"{mine} pictures: expected correlation {value:.2f}; {hint}")


check_count(1000)

# %% [markdown]
# :::{dropdown} Solution
# $1 + n/d = 25$, so $n = 24\,d$. Most sets of pictures with ordered labels are smaller than that, and most features are
# longer.
# :::

# %% tags=["hide-cell"]
check_count(24 * DIM)

# %% [markdown]
# **3. A second order in the words.** Take thirteen ranks in steps of five: zero, five, ten, fifteen, up to sixty percent.
# Before any training, the median distance between two sentences does not simply rise with their rank gap. List in `mine`
# the gaps at which it is *smaller* than at the gap before. What do these gaps have in common?

# %%
thirteen = load_dataset("leaves", ranks=13, size=60, seed=SEED).ranks
with torch.no_grad():
    words = L2RCLIP(
        model.towers, thirteen, replace(config, epochs1=0, epochs2=0)
    ).prompts.template_features(model.towers)
gap, distance = gap_distances(words.double().numpy(), np.arange(13))
medians = [float(np.median(distance[gap == g])) for g in range(1, 13)]
if PROFILE != "smoke":
    for g, value in enumerate(medians, start=1):
        print(f"gap {g:>2}: {value:.2f} " + "█" * round(20 * value))


def check_gaps(mine: list[int]) -> None:
    """Judge the gaps at which the median distance falls."""
    falls = [g for g in range(2, 13) if medians[g - 1] < medians[g - 2]]
    right = sorted(mine) == falls
    print("right" if right else "not yet: compare each bar with the one above")


check_gaps([2])

# %% [markdown]
# :::{dropdown} Solution
# They are all even. Two numbers an even number of steps apart are both round tens or both end in five, and "ten, twenty,
# thirty" resemble each other as words do, not as amounts. Language has more than one order. To go on: train this page
# with `ranks=13` and two different seeds. Does stage 1 straighten the sentences, or does it find the tens and fives
# first?
# :::

# %% tags=["hide-cell"]
check_gaps([4, 6, 8, 10, 12])

# %% [markdown]
# ## Summary
#
# - Stage 1 moved sentences and not one bit of an image; stage 2 moved images and not one bit of a sentence.
# - After stage 2 the largest direction of the images is the damage. PCA found it without labels. The weak order that was
#   there before took a look with labels, on held-out pictures, to be found.
# - The modality gap grew while the error fell, because the images became more alike. It is the largest distance in the
#   joint plot and says least about the task.
# - Distance against rank gap needs no projection. Means of ranks look more ordered than pictures are.
# - UMAP may be trusted with the order along a shape, not with islands, gaps, widths or distances. A look that has seen
#   the labels may be trusted on points that it has not seen.
#
# ## What next
#
# - Was this run luck? {doc}`09_does_it_help` repeats runs and takes the method apart.
# - When does the order of the sentences help? {doc}`15_all_studies`.
# - Sentences that start in a better or worse order: {doc}`03_rank_templates`.
# - The same looks at pictures of your own: {doc}`10_your_own_images`.
#
# ## Sources
#
# The method is that of {cite:t}`wang2023learning`. The modality gap was named and studied by {cite:t}`liang2022mind`;
# UMAP is by {cite:t}`mcinnes2018umap`. Balanced PCA, the ruler and the controls are plain statistics in the form that
# this page needs.
