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
# # Gradient alignment: what one rank teaches the others
#
# Suppose a thousand images show healthy leaves, and five show a leaf that is nearly gone. Five images teach little. But
# the sentence of the rare rank is built like the other sentences, shares words with them, and goes through the same
# weights. A training step for the images of one rank therefore moves the texts of *all* ranks. Does it move them
# towards their own images, or away? This appendix answers with one scalar product per pair of ranks. The hope was that
# neighbouring ranks help each other. The result is less pretty.
#
# **You need.** `torch.autograd.grad`, and RankFormer from [chapter 4](04_rankformer.ipynb).
#
# **Time and hardware.** A minute on a laptop, no GPU, no download; the last line of the page has the exact time.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more of all
SEED = 0  # decides the leaves

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from torch import nn

from l2rclip_book.plots import COLOURS, style
from l2rclip_book.templates import heat_maps
from l2rclip_lite import (
    L2RCLIP,
    RankPrompts,
    Ranks,
    load_dataset,
    load_towers,
)
from l2rclip_lite.baselines.prompts import InterpolatedPrompts

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
scale = {
    "smoke": {"size": 30, "ranks": 5, "each": 3},
    "page": {"size": 200, "ranks": 12, "each": 8},
    "full": {"size": 1000, "ranks": 20, "each": 30},
}[PROFILE]
pixels = 64 if PROFILE == "smoke" else 96

# %% mystnb={"image": {"alt": "Two panels with the same two texts A and B as dots and two directions of images as dashed lines. Left, own vectors: an arrow to the right at A alone. Right, one shared vector: the same arrow at A and at B."}} tags=["hide-input"]
blue, red = COLOURS["stage 1"], COLOURS["stage 2"]
with style():
    figure, panels = plt.subplots(1, 2, figsize=(5.4, 2.4), sharey=True)
    for panel, moved in zip(panels, (1, 2), strict=True):
        panel.plot((0, 1), (0, 0), "--", color=blue)
        panel.plot((0, 0.6), (0, 0.8), "--", color=red)
        panel.text(0.5, 0.07, "images of A", color=blue)
        panel.text(0.66, 0.7, "images of B", color=red)
        x, y = (0.1, -0.4), (-0.5, 0.3)
        panel.scatter(x, y, c=[blue, red])
        for dx, dy, name in zip(x, y, ("text A", "text B"), strict=True):
            panel.text(dx, dy + 0.09, name)
        panel.quiver(
            x[:moved], y[:moved], 0.5, 0, angles="xy", scale_units="xy",
            scale=1, width=0.01, color=COLOURS["ink"],
        )  # fmt: skip
        panel.set(xlim=(-0.6, 1.3), ylim=(-0.65, 1), xticks=[], yticks=[])
    panels[0].set_title("own vectors")
    panels[1].set_title("one shared vector")
plt.show()

# %% [markdown]
# **Figure 12.1.** A step for rank A, five times as long as in the text. Dashed: where the images of A and of B are.
# With own vectors only text A moves. With a shared vector text B moves, too, and part of that move is towards the
# images of B.
#
# ## Two ranks, by hand
#
# Take two ranks A and B in a plane. The mean image of A is $\bar z_A = (1, 0)$, that of B is $\bar z_B = (0.6, 0.8)$.
# Each rank's text is a fixed vector for its sentence plus something learned. A step for A raises the score
# $\bar z_A \cdot t_A$. What does it do to the score of B, whose images took no part?
#
# - **Own vectors.** $t_A = v_A + u_A$ and $t_B = v_B + u_B$, with separate $u_A$ and $u_B$. The score of A does not
#   contain $u_B$, so its gradient there is zero. B stays where it is.
# - **A shared vector.** $t_A = v_A + c$ and $t_B = v_B + c$. The gradient of the score of A with respect to $c$ is
#   $\bar z_A$. A step of length 0.1 adds $(0.1, 0)$ to $c$, hence to both texts. A gains $0.1$, and B gains
#   $(0.1, 0) \cdot \bar z_B = 0.06$. B was helped without an image of its own, at 0.6 times the rate of A.
# - **The same, but the images of B are on the other side**, at $(-0.6, 0.8)$. Now B *loses* 0.06.
#
# The 0.6 is the cosine of the two gradients, $\bar z_A$ and $\bar z_B$. That is the whole idea of this page. Autograd
# confirms the arithmetic:

# %%
images = torch.tensor([[1.0, 0.0], [0.6, 0.8]])  # mean image of A, of B
sentences = torch.tensor([[0.1, -0.5], [-0.4, 0.3]])


def gains(images, learned):
    """Return what a step of length 0.1 for rank A brings A and B."""
    learned.requires_grad_()
    scores = (images * (sentences + learned)).sum(1)
    (gradient,) = torch.autograd.grad(scores[0], learned)
    step = 0.1 * gradient / gradient.norm()
    after = (images * (sentences + learned + step)).sum(1)
    return [f"{gain:.2f}" for gain in (after - scores).tolist()]


print("own vectors:   ", gains(images, torch.zeros(2, 2)))
print("shared vector: ", gains(images, torch.zeros(2)))
other_side = images * torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
print("other side:    ", gains(other_side, torch.zeros(2)))

# %% tags=["remove-cell"]
assert gains(images, torch.zeros(2, 2)) == ["0.10", "0.00"]
assert gains(images, torch.zeros(2)) == ["0.10", "0.06"]
assert gains(other_side, torch.zeros(2)) == ["0.10", "-0.06"]

# %% [markdown]
# ## The measure
#
# For $K$ ranks let $\bar z_i$ be the mean image feature of rank $i$, $t_i$ its text feature, and $\theta$ everything
# that is trained. The images of rank $i$ pull along a gradient $g_i$, and two ranks agree as far as their gradients do:
#
# $$
# A_{ij} = \frac{g_i \cdot g_j}{\lVert g_i\rVert\,\lVert g_j\rVert},
# \qquad g_i = \nabla_\theta\,(\bar z_i \cdot t_i) \tag{12.1}
# $$
#
# At 1, both ranks want the same change of $\theta$. At 0 neither affects the other. Below 0, each undoes a part of the
# other's work. The scalar products $g_i \cdot g_j$ are known as the neural tangent kernel
# ([Jacot et al., 2018](references.md)).


# %%
def gradients(texts, images, parameters):
    """Return g, a row for each rank."""
    rows = []
    for score in (images * texts).sum(1):
        g = torch.autograd.grad(score, parameters, retain_graph=True)
        rows.append(torch.cat([part.flatten() for part in g]))
    return torch.stack(rows)


def alignment(texts, images, parameters):
    """Return A, the cosines between the gradients of all ranks."""
    unit = F.normalize(gradients(texts, images, parameters), dim=1)
    return unit @ unit.T


# %% [markdown]
# ## Six things to train
#
# Now real texts: five ranks of leaf damage, with image features from the frozen tower. Six ways to learn on the text
# side are compared, all at the very start of stage 1:
#
# - **own vectors:** one learned vector per rank in place of its name, nothing shared;
# - **OrdinalCLIP** ([Li et al., 2022](references.md)): three learned vectors; each rank blends them by its distance
#   from each;
# - **context:** four learned vectors in front of every sentence, as in CoOp ([Zhou et al., 2022](references.md));
# - **axis token, rank, joint:** RankFormer alone, along one of its three axes.


# %%
def learners(ranks):
    """Return, for each way to learn, the texts and what is trained of them."""
    own = InterpolatedPrompts(
        towers, ranks, base_ranks=len(ranks), weighting="inverse"
    )
    blend = InterpolatedPrompts(towers, ranks, base_ranks=3)
    plain = RankPrompts(towers, ranks, rankformer=False)
    ways = {
        "own vectors": (own, [own.base]),
        "OrdinalCLIP": (blend, [blend.base]),
        "context": (plain, [plain.context]),
    }
    for axis in ("token", "rank", "joint"):
        prompts = RankPrompts(towers, ranks, axis=axis)
        trained = list(prompts.rankformer.parameters())
        ways[f"axis {axis}"] = (prompts, trained)
    return ways


def mean_images(data):
    z = L2RCLIP(towers, data.ranks).encode(data.train)
    own = F.one_hot(torch.tensor(data.train.targets)).float()
    return own.T @ z / own.sum(0)[:, None]


towers = load_towers("mini", image_size=pixels).requires_grad_(False)
data = load_dataset(
    "leaves", ranks=5, size=scale["size"], seed=SEED, pixels=pixels
)
centres = mean_images(data)
ways = learners(data.ranks)
helped = {
    way: alignment(prompts(towers), centres, trained)
    for way, (prompts, trained) in ways.items()
}

# %% mystnb={"image": {"alt": "Six five by five matrices from minus one, red, to one, blue: which rank's images help which rank's text when own vectors, OrdinalCLIP's vectors, the context, or RankFormer along one of three axes is trained."}} tags=["hide-input"]
figure = heat_maps(
    helped, data.ranks.names, columns=2, cmap="RdBu", digits=1,
    label="alignment (> 0 helps, < 0 harms)",
)  # fmt: skip
figure.set_size_inches(5, 6)
figure

# %% [markdown]
# **Figure 12.2.** Gradient alignment of every two ranks for six things to train, columns in the order of rows. Blue:
# they help each other. Red: they harm each other.

# %% tags=["remove-cell"]
others = ~torch.eye(len(data.ranks), dtype=torch.bool)
two = (data.ranks.names.index("very low"), data.ranks.names.index("very high"))
assert helped["own vectors"][others].max() < 0.05
if PROFILE == "page":
    short, long = [0, 2, 3], [1, 4]
    assert min(helped[way][two] for way in list(helped)[2:]) > 0.2
    assert helped["axis rank"][short][:, short].min() > 0
    assert helped["axis rank"][short][:, long].max() < -0.3
    assert helped["OrdinalCLIP"][3, 4] > 0.3 > helped["OrdinalCLIP"][0, 4]

# %% [markdown]
# - **Own vectors help nobody,** as on paper. The small negative numbers come from centring: the text side subtracts the
#   mean of all texts, so if one text moves, all others move a little the other way.
# - **In OrdinalCLIP next neighbours help each other,** because it was built so: they blend the three vectors in similar
#   proportions.
# - **With context and RankFormer a far pair helps each other.** *Very low* and *very high* are three ranks apart. Their
#   names share a word, and their sentences have the same length. Nothing in the model says that *low* is nearer.
#
# So some ranks do help each other, even along `token`, where no rank sees another. For this first step attention
# between ranks is not needed: all sentences pass through the *same weights*. This is the shared vector of the first
# section, with very many numbers in place of two.
#
# ## Is it the word or the length?
#
# *Very low* and *very high* share a word and a length. Which of the two does the work? And do neighbours help each
# other where names are regular, such as *twenty two*, *twenty seven*, *thirty three*? Two experiments answer.
#
# The first is a control without attention: one learned vector per *slot*, the same for all ranks, is added to the
# words. Two ranks share such a vector only where both have a word in that slot.


# %%
class SlotVectors(RankPrompts):
    def __init__(self, towers, ranks):
        super().__init__(towers, ranks, rankformer=False)
        slots, width = self.sentence_embeddings.shape[1:]
        self.vectors = nn.Parameter(torch.zeros(slots, width))

    def embeddings(self):
        added = self.vectors * self.tokens.words[..., None]
        return super().embeddings() + F.pad(added, (0, 0, 4, 0))


# %% [markdown]
# The four zeros in front of `added` leave the context vectors alone. The second experiment has more ranks, and names
# them twice: in words, where a name has two words or three, and in digits, where every name is one token. Images and
# ranks are the same.


# %%
def measured(ranks, centres):
    ways = learners(ranks)
    del ways["own vectors"], ways["OrdinalCLIP"]
    slots = SlotVectors(towers, ranks)
    ways["vector per slot"] = (slots, [slots.vectors])
    return {
        way: alignment(prompts(towers), centres, trained)
        for way, (prompts, trained) in ways.items()
    }


count = scale["ranks"]
many = load_dataset(
    "leaves",
    ranks=count,
    size=count * scale["each"],
    seed=SEED,
    pixels=pixels,
)
in_words = many.ranks
percent = in_words.template.replace("{rank}", "{rank} percent")
digits = [f"{value:g}" for value in in_words.values]
in_digits = Ranks(digits, in_words.values, percent)
centres_many = mean_images(many)
by_words = measured(in_words, centres_many)
by_digits = measured(in_digits, centres_many)
print("names:", ", ".join(in_words.names[1:5]), "…")
print("names:", ", ".join(in_digits.names[1:5]), "…")

# %% tags=["nbval-ignore-output"]
i, j = np.triu_indices(count, 1)
means = {}
for named, tables in (("words", by_words), ("digits", by_digits)):
    for apart, chosen in (("next", j - i == 1), ("far", j - i > count / 2)):
        means[f"in {named}, {apart}"] = {
            way: float(table[i, j][chosen].mean())
            for way, table in tables.items()
        }
means = pd.DataFrame(means).T
means.round(2)

# %% [markdown]
# Each number is a mean over pairs of ranks: over next neighbours, or over those more than half the scale apart. Stop at
# the first row, and the hope has come true: neighbours help, and of the three axes `rank` helps most. Now look at every
# pair behind the number for `rank`.

# %% mystnb={"image": {"alt": "A dot for every pair of ranks, its alignment along the axis rank over the number of ranks between the two. All pairs whose names have as many words lie above zero, all others below, at every distance."}} tags=["hide-input"]
length = RankPrompts(towers, in_words).tokens.words.sum(1)
alike = (length[i] == length[j]).numpy()
along_rank = by_words["axis rank"][i, j].numpy()
with style():
    figure, axis = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
    sns.stripplot(
        x=j - i, y=along_rank, hue=np.where(alike, "of one length", "unequal"),
        dodge=True, jitter=False, native_scale=True, ax=axis,
        palette={"of one length": COLOURS["stage 2"], "unequal": COLOURS["ink"]},
    )  # fmt: skip
    axis.axhline(0, color=COLOURS["reference"], lw=0.9, zorder=0)
    axis.set(xlabel="ranks apart", ylabel="alignment along rank", ylim=(-1, 1))
    axis.legend(title="names", loc="upper right")
plt.show()

# %% [markdown]
# **Figure 12.3.** Alignment of every pair of ranks along `rank`, with names in words.
#
# The figure spoils it. Two ranks whose names have *as many words* help each other, near ones mostly more than far
# ones; if not, even next neighbours harm each other. A longer name pushes the rest of its sentence one slot to the
# right, so only sentences with names of one length line up word by word. Most neighbours have names of one length;
# this lifts their mean. In digits every name has one token, and the advantage of `rank` is gone. Attention is not
# needed either: a vector per slot shows the same effect, and more of it.
#
# So along `rank` it was mostly the length. Look back at Figure 12.2, axis `rank`: there too the three short names help
# each other, and so do the two long ones. These five names alone could not have told, since only the long ones hold
# *very*.
#
# Less is left with names in digits: next neighbours help each other, far ranks do a little harm. This does not
# come from RankFormer, because the context alone has it. It may come from the tower, which gives similar sentences
# similar features, and from the images, as in the two-rank example; neither was varied here.
#
# ## What follows, and what does not
#
# - Along `rank`, names of unequal length harm each other in the first step. Whether that costs accuracy was not
#   measured. `RankPrompts(towers, ranks).tokens.words.sum(1)` counts the tokens of your own names.
# - A rare rank can be helped by others whose names are *built* like its own, and is pushed away by the rest. The
#   exercise measures how much. No model was trained here; errors are measured in
#   [chapter 15](15_all_studies.ipynb).
# - The score $\bar z_i \cdot t_i$ is only the pull. The loss of stage 1 also pushes wrong texts away, and pulls less
#   where an image is already right.
# - This page describes the first step. At that moment the last layer of RankFormer's FFN is zero, so only this layer
#   and $\alpha$ have a gradient at all. Long training may end elsewhere.
#
# ## Exercises
#
# **1. The rare rank.** Stage 1 sees $n_i$ images of rank $i$, so its step follows $\sum_i n_i g_i$. Write a function of
# the gradients (one row per rank, not normalised) and the counts. For each rank, return what it gains from the images
# of all *other* ranks, divided by what it gains from its own. Then predict: with 1,000 images of *no*, fewer of each
# higher rank and 5 of *very high*, do the others help *very high*, or harm it?

# %% tags=["remove-cell"]
assert RankPrompts(towers, in_digits).tokens.words.sum(1).unique().numel() == 1
if PROFILE == "page":
    words, digits = means.loc["in words, next"], means.loc["in digits, next"]
    assert words["axis rank"] > words["axis token"] + 0.1
    assert words["vector per slot"] > words["axis rank"]
    assert along_rank[alike].min() > 0 > along_rank[~alike].max()
    assert digits.min() > 0 > means.loc["in digits, far"].max()


# %% tags=["hide-input"]
def check_share(share_of_others: object) -> str:
    """Two ranks that can be computed by hand."""
    g = torch.tensor([[1.0, 0.0], [1.2, 1.6]])
    yours = share_of_others(g, torch.tensor([5.0, 1.0]))
    if yours.shape != (2,):
        return "not yet: one number per rank, please"
    for wrong, hint in (
        ((1.24, 2.5), "leave out what a rank's own images bring"),
        ((1.5, 0.24), "rows and columns are swapped; who gains?"),
        ((0.24, 1.5), "right"),
    ):
        if torch.allclose(yours, torch.tensor(wrong)):
            return hint if hint == "right" else f"not yet: {hint}"
    return "not yet: B gains 5 · 1.2 from the images of A, 4 from its own"


# %%
def share_of_others(g, counts):
    return torch.zeros(len(g), 2)  # your line or two


print(check_share(share_of_others))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# $g_i \cdot g_j$ is `g @ g.T`, and $n_i$ weighs its rows. Below 0 the others pull a rank's text away from its images;
# below $-1$ they win. For *very high* they win by far.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
def share_solution(g, counts):
    gain = counts[:, None] * (g @ g.T)  # row i: what rank i brings
    return (gain.sum(0) - gain.diagonal()) / gain.diagonal()


print(check_share(share_solution))
prompts, trained = ways["axis rank"]
counts = torch.tensor([1000.0, 300.0, 100.0, 30.0, 5.0])
share = share_solution(gradients(prompts(towers), centres, trained), counts)
for name, each in zip(data.ranks.names, share.tolist(), strict=True):
    print(f"{name:>9}: {each:6.1f}")

# %% tags=["remove-cell"]
assert check_share(share_solution) == "right"
for wrong, hint in (
    (lambda g, n: share_solution(g, n) + 1, "own images"),
    (lambda g, n: share_solution(F.normalize(g), n), "5 · 1.2"),
    (lambda g, n: share_solution(g, 1 / n), "5 · 1.2"),
):
    assert hint in check_share(wrong)
if PROFILE == "page":
    assert share[4] < -1

# %% [markdown]
# ## Summary
#
# - A step for one rank moves every text that shares a parameter with it. To first order the effect is the scalar
#   product of two gradients; its cosine is the gradient alignment.
# - With nothing shared, no rank is helped. With one shared vector, ranks help each other as far as their images agree.
# - Along the axis `rank`, and with a vector per slot, it is mostly names of equal length that help each other, not near
#   ranks. With names of one length, next neighbours help a little, in all five ways that were tried.
# - In the exercise the other ranks move the rare rank's text away from its images.
# - All this is about the first step, not about the error of a trained model.
#
# ## Sources
#
# Scalar products of gradients as a kernel: [Jacot et al. (2018)](references.md). Blended rank vectors:
# [Li et al. (2022)](references.md). Context vectors: [Zhou et al. (2022)](references.md). RankFormer:
# [Wang et al. (2023)](references.md). The experiment is this book's own.
