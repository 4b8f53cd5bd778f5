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
# # Wordings compared, and how mini was made
#
# Two choices come before any training, and both are easily taken for granted: what the ranks are called, and which
# towers read them. The first half of this appendix names the same five grades of leaf damage in 243 ways, and puts them
# into six kinds of sentence. The second half builds the towers of this book, [mini](glossary.md): a small CLIP whose
# two halves were joined without a single image. It asks what such a CLIP knows, and what it cannot know.
#
# **You need.** The gap score and its two controls ([chapter 3](03_rank_templates.ipynb)); for the second half, linear
# regression.
#
# **Time and hardware.** Less than a minute on a laptop's CPU; no GPU, no download.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more splits
SEED = 0  # decides random weights, shuffles and splits

# %% tags=["hide-input", "nbval-ignore-output"]
from collections.abc import Callable
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from torch import Tensor

from l2rclip_book.alignment import prototypes
from l2rclip_book.plots import COLOURS, DARK, style
from l2rclip_book.results import markdown_table
from l2rclip_book.statistics import ordinality
from l2rclip_book.templates import (
    INK,
    SHUFFLED,
    TRAINED,
    Scores,
    heat_maps,
    orders,
    random_weights,
    score_rows,
    shuffled_gaps,
)
from l2rclip_lite import load_towers
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import number_words
from l2rclip_lite.towers.base import Towers

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

scale = {
    "smoke": {"networks": 1, "shuffles": 50, "names": 60, "splits": 1},
    "page": {"networks": 2, "shuffles": 500, "names": 1000, "splits": 3},
    "full": {"networks": 5, "shuffles": 5000, "names": 1000, "splits": 10},
}[PROFILE]
torch.set_num_threads(1)
torch.set_grad_enabled(False)  # nothing is trained on this page
mini = load_towers("mini", image_size=128)
untrained = [random_weights(mini, SEED + k) for k in range(scale["networks"])]

# %% tags=["hide-input"]
GRADES = (
    ("no", "zero", "hardly any"),
    ("very low", "slight", "minimal"),
    ("low", "mild", "minor"),
    ("high", "serious", "major"),
    ("very high", "severe", "extreme"),
)
LEAF = "a photo of a leaf with {rank} damage"


def sentences(names: tuple, template: str) -> list[str]:
    """Return one sentence per rank."""
    return [template.replace("{rank}", name) for name in names]


def gap(names: tuple, template: str, towers: Towers = mini) -> float:
    """Return the gap score of these names in this sentence."""
    rows = towers.encode_text(sentences(names, template))
    return ordinality(centred(rows))["gap"]


own = gap([names[0] for names in GRADES], LEAF)

# %% mystnb={"image": {"alt": "Histogram of the gap score over 243 wordings of the same five severity grades, from below 0.2 to above 0.9, with a line at the words of the data set and a shaded band for shuffled names."}} tags=["hide-input"]
flat = [name for names in GRADES for name in names]
every = mini.encode_text(sentences(flat, LEAF)).unflatten(0, (5, 3))
picks = list(product(range(3), repeat=5))
wordings = torch.stack(
    [centred(every[torch.arange(5), list(pick)]) for pick in picks]
)
scores = np.array([ordinality(rows)["gap"] for rows in wordings])
low, high = np.quantile(
    shuffled_gaps(wordings[0], orders(5, 120)), (0.05, 0.95)
)
with style():
    figure, axis = plt.subplots(figsize=(7.8, 2.7), layout="constrained")
    chance = {"color": SHUFFLED, "alpha": 0.25, "lw": 0}
    axis.axvspan(low, high, label="shuffled names, 90 %", **chance)
    bins = {"binwidth": 0.05, "binrange": (-1, 1), "alpha": 1, "lw": 0.4}
    sns.histplot(scores, color=TRAINED, label="wordings", **bins)
    axis.axvline(own, color=INK, lw=2, label="the words of the data set")
    axis.set(xlim=(-0.8, 1), xlabel="gap score", ylabel="wordings")
    figure.legend(loc="outside upper left", ncols=3)

# %% [markdown]
# **Figure 15.1.** The same five grades in 243 wordings: the spread comes from the choice of words alone. Line and band
# belong to the words of the data set, in the true order and in all 120 orders.
#
# ## The same grades in other words
#
# In digits, or in words, a number has one name. A grade has many: *low*, *mild*, *minor*. The names in a data set are someone's
# choice, so choose again: three words for each of five grades make 243 ways to write the same scale.

# %% tags=["hide-input"]
head = ["grade", "as in the data set", "also", "or"]
rows = [(grade, *words) for grade, words in enumerate(GRADES)]
display(Markdown(markdown_table(head, rows)))
print(f"gap score of the words of the data set: {own:.2f}")

# %% tags=["hide-input"]
best, worst = (
    ", ".join(GRADES[k][at] for k, at in enumerate(picks[int(place)]))
    for place in (scores.argmax(), scores.argmin())
)
near = centred(every.flatten(0, 1))
pairs = (("high", "very high"), ("low", "very low"), ("mild", "slight"))
similarities = "; ".join(
    f"*{one}* and *{other}* "
    f"{float(near[flat.index(one)] @ near[flat.index(other)]):.2f}"
    for one, other in pairs
)
display(
    Markdown(
        f"Best of {len(scores)}: *{best}* ({scores.max():.2f}). "
        f"Worst: *{worst}* ({scores.min():.2f}).\n\n"
        f"Cosines, after subtracting the mean of all fifteen sentences: {similarities}."
    )
)

# %% tags=["remove-cell"]
assert abs(scores[0] - own) < 1e-6
assert scores.max() > 0.85
assert scores.min() < 0.3

# %% [markdown]
# The choice of words alone takes the same five grades from next to no order to nearly perfect order. Part of it is
# spelling: *high* and *very high* share a word, *mild* and *slight* only their meaning, and the cosines of three pairs
# agree with that. If you write a scale of your own ([chapter 10](10_your_own_images.ipynb)), you can score a few
# wordings in a second, though nothing here shows that a better score means fewer errors. And do not take the best of
# 243 as proof of order: a search raises the score of wrong orders, too. Exercise 3 measures how much.
#
# ## The same grades in another sentence
#
# Six kinds of sentence for sixteen ages, and for the five grades of damage: the bare word, two words, the sentence of the data
# set, a description, a sentence about something else, and the words of the data set's sentence in disorder.

# %%
KINDS = {
    "bare word": ("{rank}", "{rank}"),
    "two words": ("{rank} years", "{rank} damage"),
    "own sentence": ("a photo of a {rank} years old face", LEAF),
    "description": (
        "a close photo of the face of a person who is {rank} years old",
        "a close photo of a leaf where an expert found {rank} damage",
    ),
    "about a cat": ("a photo of a {rank} cat",) * 2,
    "in disorder": (
        "face old {rank} a of photo years a",
        "leaf {rank} a of damage photo with a",
    ),
}
AGES = range(16, 78, 4)
NAMES = {
    "ages in digits": ([str(age) for age in AGES], 0),
    "ages in words": ([number_words(age) for age in AGES], 0),
    "damage": ([names[0] for names in GRADES], 1),
}

# %% mystnb={"image": {"alt": "Dot plots of the gap score for six kinds of sentence in three panels: ages in digits, ages in words, damage. Diamonds are the trained network, rings are networks with random weights, bands are shuffled names. For ages all diamonds lie close together and far right of bands and rings; for damage they lie within wide bands or on their upper edges."}} tags=["hide-input"]


def with_controls(names: list[str], template: str) -> Scores:
    """The gap score, that of random weights, and the band of shuffles."""
    rows = centred(mini.encode_text(sentences(names, template)))
    shuffled = shuffled_gaps(rows, orders(len(names), scale["shuffles"], SEED))
    return Scores(
        shuffled[0],
        [gap(names, template, tower) for tower in untrained],
        np.quantile(shuffled, (0.05, 0.95)),
    )


panels = {
    title: {
        kind: with_controls(names, templates[which])
        for kind, templates in KINDS.items()
    }
    for title, (names, which) in NAMES.items()
}
score_rows(panels)

# %% [markdown]
# **Figure 15.2.** Gap score of the same ranks in six kinds of sentence. For ages every diamond is clear of the band and
# the rings; for damage none is clear of the band.

# %% tags=["hide-input"]
lines = []
for title, panel in panels.items():
    trained = {kind: score.trained for kind, score in panel.items()}
    least, most = (choose(trained, key=trained.get) for choose in (min, max))
    lines.append(
        f"- **{title}**, {len(NAMES[title][0])} ranks: {trained[least]:.2f} "
        f"(*{least}*) to {trained[most]:.2f} (*{most}*)"
    )
display(Markdown("\n".join(lines)))

# %% tags=["remove-cell"]
for title in ("ages in digits", "ages in words"):
    trained = [score.trained for score in panels[title].values()]
    rings = [max(score.untrained) for score in panels[title].values()]
    assert max(trained) - min(trained) < 0.2
    assert min(trained) > max(rings) + 0.1
trained = [score.trained for score in panels["damage"].values()]
assert 0.3 < np.ptp(trained) < np.ptp(scores)

# %% [markdown]
# For ages the sentence hardly matters: every kind scores well above both networks with random weights, even the
# sentence about a cat and the one in disorder. The order is in the *name* of the rank. For five grades the kinds differ
# a lot, but none is clear of the band of shuffled names: five ranks are too few to tell. Do not choose a template by
# this score alone: a sentence about a cat may keep the order of damage and still have nothing to do with a leaf. What
# the sentence does to the error of a trained model is measured in [chapter 16](16_all_studies.ipynb).
#
# ## A CLIP joined without an image
#
# CLIP learned from hundreds of millions of images with captions ([Radford et al., 2021](references.md)). `mini` has
# seen no such pair. It joins two networks that were trained apart:
#
# - an image classifier, EfficientNet-Lite0 ([Tan and Le, 2019](references.md)), trained on the 1,000 classes of
#   ImageNet ([Russakovsky et al., 2015](references.md)). For each class it holds a row of weights: the direction in
#   which its 1,280 features point when it sees that thing, because the score of a class is the inner product of its row
#   with the features. The rows $W$ are *visual prototypes*: they were learned from images, but we need none to use
#   them.
# - a sentence encoder, MiniLM ([Wang et al., 2020](references.md); [Reimers and Gurevych, 2019](references.md)). It
#   turns the 1,000 names of the classes, as "a photo of a …", into vectors $T$ of 384 numbers.
#
# Two lists, the same 1,000 things.

# %%
called, rows, texts = prototypes(mini, scale["names"])
rows, texts = rows.double(), texts.double()
print(", ".join(called[::250]))
print("W:", tuple(rows.shape), " T:", tuple(texts.shape))

# %% [markdown]
# With $W$ of $1000 \times 1280$ and $T$ of $1000 \times 384$ numbers, a linear map $A$ of $384 \times 1280$ from one list to the
# other is a regression with a closed solution. Subtract the mean $m$ of its rows from $T$, which leaves
# $T_c$, and minimise $\lVert W A^\top - T_c \rVert^2 + \lambda \lVert A \rVert^2$. There are more features than names, so
# without the ridge $\lambda$ the map could learn every row by heart. Every row of $A$ is then a mixture of the rows of $W$,
# since any other direction would cost length and explain nothing: $A^\top = W^\top G$. Put this in, set the derivative with
# respect to $G$ to zero, and find $(W W^\top + \lambda I)\, G = T_c$. So the minimum lies at
#
# $$
# A = T_c^\top \left( W W^\top + \lambda I \right)^{-1} W , \tag{15.1}
# $$
#
# and an image with features $f$ lands at $z = A f / \lVert A f \rVert$, among the sentences: one with the vector $\tau$ lands at
# $t = (\tau - m) / \lVert \tau - m \rVert$.


# %%
def ridge_map(
    rows: Tensor, texts: Tensor, ridge: float = 10.0
) -> tuple[Tensor, Tensor]:
    """Return the map A, and the mean of the texts."""
    mean = texts.mean(dim=0)
    gram = rows @ rows.T + ridge * torch.eye(len(rows))
    return (texts - mean).T @ torch.linalg.solve(gram, rows), mean


A, mean = ridge_map(rows, texts)
shipped = mini.image["projection"].weight
same = (A - shipped).norm() < 1e-4 * shipped.norm()
print("this is the map inside mini:", bool(same))

# %% tags=["remove-cell"]
if PROFILE != "smoke":
    assert same
    assert torch.allclose(mean, mini.text.mean.double(), atol=1e-5)

# %% [markdown]
# That is all of `mini`: EfficientNet's features, the map $A$, MiniLM's features, and the mean of $T$, which is the
# first of the two origins in [chapter 3](03_rank_templates.ipynb). `tools/fit_mini_alignment.py` writes $A$ and the
# mean into the package.
#
# ### Names it was not fitted to
#
# Does the map hold for names it was not fitted to? (The classifier knew all 1,000 classes, so this tests the map alone, not new
# things.) Fit it to four fifths of the names and ask for the rest: given a name,
# which of the unseen rows belongs to it? *Recall at one* is the share of names whose most similar row is the right one. As a
# control, fit the map to wrong pairs.


# %%
def cosines(
    rows: Tensor, texts: Tensor, fitted: tuple[Tensor, Tensor]
) -> Tensor:
    """Compare names, down, with classifier rows, across."""
    linear, mean = fitted
    names = F.normalize(texts - mean, dim=1)
    return names @ F.normalize(rows @ linear.T, dim=1).T


def recall(similar: Tensor, k: int = 1) -> float:
    """Return how often the right row is among the k most similar."""
    above = (similar > similar.diagonal()[:, None]).sum(dim=1)
    return float((above < k).double().mean())


torch.manual_seed(SEED)
order = torch.randperm(len(rows))
seen, unseen = order.tensor_split([round(0.8 * len(rows))])
unseen = unseen.sort().values  # in the order of ImageNet
wrong = seen[torch.randperm(len(seen))]
tables = {}
for label, partner in (("true pairs", seen), ("wrong pairs", wrong)):
    fitted = ridge_map(rows[seen], texts[partner])
    tables[label] = cosines(rows[unseen], texts[unseen], fitted)
    print(f"{label}: recall at one {recall(tables[label]):.3f}")

# %% mystnb={"image": {"alt": "Two heat maps of the cosine between unseen class names, down, and unseen classifier rows, across, both in the order of ImageNet with animals before things. Dots mark the most similar row of each name. Left, fitted to true pairs, most dots lie on or near the diagonal; right, fitted to wrong pairs, they lie anywhere."}} tags=["hide-input"]
where = [index * 1000 // len(rows) for index in unseen.tolist()]
things, dogs, others = (
    sum(k < edge for k in where) for edge in (398, 151, 269)
)
figure = heat_maps(tables, [""] * len(unseen), columns=2, height=3.4)
for axis, table in zip(figure.axes, tables.values(), strict=False):
    axis.plot(
        table.argmax(dim=1) + 0.5,
        np.arange(len(unseen)) + 0.5,
        "o", ms=2.2, color=DARK, mew=0,
    )  # fmt: skip
    size = others - dogs
    axis.add_patch(
        plt.Rectangle((dogs, dogs), size, size, fill=False, ec=DARK, lw=1)
    )
figure

# %% [markdown]
# **Figure 15.3.** Names against rows, none of them used to fit the map. A dot is the row that a name finds; on the
# diagonal it is the right one. The frame holds the dogs. Right: the same after a fit to wrong pairs.

# %% tags=["hide-input"]
table = tables["true pairs"]
first = table.argmax(dim=1)
kept = [
    float((first[:things] < things).double().mean()),
    float((first[things:] >= things).double().mean()),
]
nearest = []
three = table.argsort(dim=1, descending=True)[:, :3]
for place in range(0, len(unseen), -(-len(unseen) // 7)):
    similar_names = ", ".join(called[unseen[k]] for k in three[place])
    nearest.append((called[unseen[place]], similar_names))
head = ["unseen name", "the three most similar unseen rows"]
display(Markdown(markdown_table(head, nearest)))
summary = f"Of the unseen animals {kept[0]:.0%} find the row of an animal, "
summary += f"of the unseen things {kept[1]:.0%} the row of a thing."
display(Markdown(summary.replace("%", " %")))

# %% [markdown]
# Many misses are near misses: the Maltese finds another dog. Others are just wrong: the tench, a fish, finds a gong. Still, what
# the pairs of names and rows have taught the map carries over to other names.
#
# ### How strong a ridge?

# %% mystnb={"image": {"alt": "Line chart of recall among unseen names over the ridge strength from 0.01 to 10,000 on a logarithmic axis. The two lines for true pairs, recall at one and at five, rise up to a strength of about 10 and then stay level; those for wrong pairs lie at the level of chance."}} tags=["hide-input"]
ridges = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0]
recalls = {}
for split in range(scale["splits"]):
    torch.manual_seed(SEED + split)
    order = torch.randperm(len(rows))
    some, rest = order.tensor_split([round(0.8 * len(rows))])
    for label, partner in (
        ("true pairs", some),
        ("wrong pairs", some[torch.randperm(len(some))]),
    ):
        for ridge in ridges:
            fitted = ridge_map(rows[some], texts[partner], ridge)
            table = cosines(rows[rest], texts[rest], fitted)
            for k in (1, 5):
                shares = recalls.setdefault((label, k), {})
                shares.setdefault(ridge, []).append(recall(table, k))
with style():
    figure, axis = plt.subplots(figsize=(7.8, 3.1), layout="constrained")
    for (label, k), shares in recalls.items():
        values = np.array(list(shares.values()))
        sns.lineplot(
            x=np.repeat(ridges, values.shape[1]), y=values.ravel(), marker="o",
            errorbar=("pi", 100), label=f"recall at {k}, {label}", ax=axis,
            color=SHUFFLED if label == "wrong pairs" else TRAINED, mec="none",
            linestyle="--" if k == 5 else "-", legend=False,
        )  # fmt: skip
        axis.axhline(k / len(rest), color=COLOURS["reference"], lw=0.8)
    axis.axvline(10, color=COLOURS["reference"], lw=1, ls=":")
    axis.set(xscale="log", xlabel="strength λ of the ridge")
    axis.set(ylim=(0, 1), ylabel="recall among unseen names")
    figure.legend(ncols=2, loc="outside upper left", handlelength=3.4)

# %% [markdown]
# **Figure 15.4.** How often the right row is the first, or among the first five, of the unseen ones. Lines are means
# over splits, bands run from the lowest to the highest. Dotted: the strength that `mini` uses. The two thin grey lines
# at the bottom: chance, at one and at five.

# %% tags=["hide-input"]
at = {key: np.mean(shares[10.0]) for key, shares in recalls.items()}
display(
    Markdown(
        f"{len(some)} names to fit, {len(rest)} to find, λ = 10, splits: "
        f"{scale['splits']}. Mean recall at one "
        f"**{at['true pairs', 1]:.2f}** (wrong pairs "
        f"{at['wrong pairs', 1]:.3f}, chance {1 / len(rest):.3f}), at five "
        f"**{at['true pairs', 5]:.2f}** (wrong pairs "
        f"{at['wrong pairs', 5]:.3f}, chance {5 / len(rest):.3f})."
    )
)

# %% tags=["remove-cell"]
if PROFILE != "smoke":
    assert at["true pairs", 1] > 0.35
    assert at["true pairs", 5] > 0.6
    assert at["wrong pairs", 1] < 0.03
    assert min(kept) > 0.8
    means = np.array([np.mean(v) for v in recalls["true pairs", 1].values()])
    assert means[3:].min() > 0.9 * means.max()
    assert means[0] < 0.7 * means.max()

# %% [markdown]
# From 10 upwards the strength hardly matters. So although 10 was chosen on splits like these, the choice flatters the recall
# very little. Far below 10 the map learns the rows by heart, and recall falls.
#
# ### What it cannot do
#
# ImageNet's names are things: a dog, a teapot. None of them is a *degree*. So `mini` cannot grade a leaf without
# training: its image features hold the damage, but the sentences do not point to it, for no pair of the fit ever tied
# the two together. Call `mini` a small CLIP for teaching and for work offline, never a replacement for CLIP. With a connection,
# `load_towers("ViT-B-16/openai")` gives the real one behind the same interface.
#
# ## Exercises
#
# **1. The other form of the ridge.** Most textbooks write the solution with a matrix of features against features,
# $A^\top = (W^\top W + \lambda I)^{-1} W^\top T_c$. Write it, and see that it is the same map.

# %% tags=["hide-input"]


def check_primal(yours: Callable) -> None:
    """Compare with the form of the page on six names."""
    generator = torch.Generator().manual_seed(SEED)
    made = {"generator": generator, "dtype": torch.float64}
    rows, texts = torch.randn(6, 4, **made), torch.randn(6, 3, **made)
    mine, right = yours(rows, texts, 2.0), ridge_map(rows, texts, 2.0)[0]
    if not isinstance(mine, Tensor) or mine.shape != right.shape:
        print("not yet: return A, text features × image features")
    elif torch.allclose(mine, right):
        print("right")
    elif torch.allclose(
        mine.T, torch.linalg.lstsq(rows, texts - texts.mean(dim=0)).solution
    ):
        print("not yet: the ridge is missing")
    else:
        print("not yet: W'W is features × features; is T less its mean?")


# %%
def primal(rows: Tensor, texts: Tensor, ridge: float) -> Tensor:
    """Your code here."""


check_primal(primal)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Solve with a matrix of the size of the features, then transpose. The two forms are equal because
# $W (W^\top W + \lambda I) = (W W^\top + \lambda I) W$. With 1,000 names and 1,280 features, the form of the page is the smaller
# system.
#
# </details>


# %% tags=["hide-cell"]
def primal_solved(rows: Tensor, texts: Tensor, ridge: float) -> Tensor:
    """Features against features."""
    gram = rows.T @ rows + ridge * torch.eye(rows.shape[1])
    shifted = texts - texts.mean(dim=0)
    return torch.linalg.solve(gram, rows.T @ shifted).T


check_primal(primal_solved)

# %% [markdown]
# **2. A map that only rotates.** Orthogonal Procrustes allows no stretching: among all $Q$ of $1280 \times 384$ numbers with
# $Q^\top Q = I$, take the one for which $W Q$ has the largest inner product with $T_c$, the trace of $Q^\top W^\top T_c$. Write
# it with a singular value decomposition. The check counts the unseen names that it finds.

# %% tags=["hide-input"]


def check_rotation(yours: Callable) -> None:
    """Orthonormal columns and the largest trace; then recall on the split of the page."""
    shifted = texts[seen] - texts[seen].mean(dim=0)
    product = rows[seen].T @ shifted
    mine = yours(rows[seen], texts[seen])
    if not isinstance(mine, Tensor) or mine.shape != product.shape:
        print("not yet: return Q, image features × text features")
        return
    turned = mine.T @ mine
    most = float(torch.linalg.matrix_norm(product, "nuc"))
    share = float((mine * product).sum()) / most
    if not torch.allclose(turned, torch.eye(len(turned)).double(), atol=1e-6):
        print("not yet: the columns of Q are not orthonormal")
    elif share < 1 - 1e-6:
        print(
            f"not yet: the trace is {share:.2f} of the largest; is T centred?"
        )
    else:
        fitted = mine.T, texts[seen].mean(dim=0)
        share = recall(cosines(rows[unseen], texts[unseen], fitted))
        print(f"right: recall at one {share:.2f}")


# %%
def rotation(rows: Tensor, texts: Tensor) -> Tensor:
    """Your code here."""


check_rotation(rotation)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# With $W^\top T_c = U S V^\top$ the trace is largest at $Q = U V^\top$, where it is the sum of the singular values. It finds about
# as many names of this split as the ridge map does.
#
# </details>


# %% tags=["hide-cell"]
def rotation_solved(rows: Tensor, texts: Tensor) -> Tensor:
    """Keep the directions, forget the lengths."""
    shifted = texts - texts.mean(dim=0)
    u, _, v = torch.linalg.svd(rows.T @ shifted, full_matrices=False)
    return u @ v


check_rotation(rotation_solved)

# %% [markdown]
# **3. The best of 243 by luck.** If you search 243 wordings, the fair control searches them as well. `wordings` holds the
# features of all, wordings × grades × dim. Write `best_by_luck(wordings, names)`: for each order in `names` (one permutation of
# the five grades per row), put the grades of every wording into that order, and take the best gap score over all wordings. Return
# an array with a score per order. `shuffled_gaps(rows, names)` gives those of one wording.

# %% tags=["hide-input"]


def check_luck(yours: Callable) -> None:
    """Compare on seven wordings and six orders, then search all of them."""
    few, names = wordings[::40], orders(5, 120)
    right = [
        max(ordinality(rows[order])["gap"] for rows in few)
        for order in names[:6]
    ]
    mine = yours(few, names[:6])
    if mine is None or np.shape(mine) != (6,):
        print("not yet: return one score per order")
    elif not np.allclose(mine, right, atol=1e-3):
        print("not yet: reorder the grades of each wording, then take the max")
    else:
        best = np.asarray(yours(wordings, names))
        print(
            f"right: the best wording scores {best[0]:.2f} in the true order; "
            f"the best by luck {np.median(best):.2f} in the median order; "
            f"{int((best >= best[0] - 1e-9).sum())} of {len(best)} orders "
            "reach the true one's best"
        )


# %%
def best_by_luck(wordings: Tensor, names: np.ndarray) -> np.ndarray:
    """Your code here."""


check_luck(best_by_luck)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Stack the scores of all wordings and take the largest per order. The median of these over all orders is about the score that the
# words of the data set have in the true order. Only the true
# order read backwards, which has the same gaps, keeps up with the best wording of all.
#
# </details>


# %% tags=["hide-cell"]
def best_by_luck_solved(wordings: Tensor, names: np.ndarray) -> np.ndarray:
    """A table, wordings × orders, and the best of each column."""
    return np.max([shuffled_gaps(rows, names) for rows in wordings], axis=0)


check_luck(best_by_luck_solved)

# %% [markdown]
# ## Summary
#
# - For five grades, other words for the same grades change the order of the sentences from next to none to nearly perfect. For
#   ages the sentence around the name hardly matters.
# - Score a few wordings before training. If you search many, compare the best with the best that a search finds in wrong orders.
# - `mini` is a ridge regression between the rows of a classifier and the names of its classes. It finds many names that
#   the map was not fitted to, and it knows no degrees.
#
# ## Sources
#
# Sentence features are those of [Reimers and Gurevych (2019)](references.md) in the small network of
# [Wang et al. (2020)](references.md); the image classifier is that of [Tan and Le (2019)](references.md), trained on
# the classes of [Russakovsky et al. (2015)](references.md). The map between rows and names and all controls of this
# page are ours; code: [`alignment.py`](l2rclip_book/alignment.py), [`templates.py`](l2rclip_book/templates.py),
# [`mini.py`](../l2rclip_lite/towers/mini.py).
