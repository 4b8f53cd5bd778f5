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
# Suppose a thousand images show healthy leaves, and five show a leaf that is nearly gone. Five images teach little. But the
# sentence of the rare rank is built like the other sentences, shares words with them, and goes through the same weights. A
# training step for the images of one rank therefore moves the texts of *all* ranks. Does it move them towards their own
# images, or away? This appendix answers with one scalar product per pair of ranks: first for two ranks on paper, then for
# RankFormer, the context, and their rivals. The hope was that neighbouring ranks help each other. The result is less pretty.
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
from IPython.display import Markdown
from torch import nn

from l2rclip_book.plots import COLOURS, WIDTH, style
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
PLACES = np.array([[0.1, -0.5], [-0.4, 0.3]])
with style():
    figure, panels = plt.subplots(
        1, 2, figsize=(WIDTH, 2.9), sharey=True, layout="constrained"
    )
    for panel, moved, title in zip(
        panels, (1, 2), ("own vectors", "one shared vector"), strict=True
    ):
        for goal, name, colour in (
            ((1, 0), "A", COLOURS["stage 1"]),
            ((0.6, 0.8), "B", COLOURS["stage 2"]),
        ):
            panel.plot(*zip((0, 0), goal, strict=True), "--", color=colour)
            panel.text(*goal, f" images of {name}", color=colour, va="center")
        panel.scatter(*PLACES.T, c=[COLOURS["stage 1"], COLOURS["stage 2"]])
        panel.quiver(
            *PLACES[:moved].T, 0.5, 0, angles="xy", scale_units="xy", scale=1,
            width=0.008, color=COLOURS["ink"],
        )  # fmt: skip
        for place, name in zip(PLACES, ("text A", "text B"), strict=True):
            panel.annotate(name, place, (0, 6), textcoords="offset points")
        panel.set(title=title, xlim=(-0.6, 1.5), ylim=(-0.65, 1), aspect=1)
        panel.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Figure 13.1.** A step for rank A, five times as long as in the text. Dashed: where the images of A and of B are.
# With own vectors only text A moves. With a shared vector text B moves, too, and part of that move is towards the
# images of B.
#
# ## Two ranks, by hand
#
# Take two ranks A and B in a plane. The mean image of A is $\bar z_A = (1, 0)$, that of B is $\bar z_B = (0.6, 0.8)$. Each
# rank's text is a fixed vector for its sentence plus something learned. A step for A raises the score $\bar z_A \cdot t_A$.
# What does it do to the score of B, whose images took no part?
#
# - **Own vectors.** $t_A = v_A + u_A$ and $t_B = v_B + u_B$, with separate $u_A$ and $u_B$. The score of A does not contain
#   $u_B$, so its gradient there is zero. B stays where it is.
# - **A shared vector.** $t_A = v_A + c$ and $t_B = v_B + c$. The gradient of the score of A with respect to $c$ is $\bar z_A$.
#   A step of length 0.1 adds $(0.1, 0)$ to $c$, hence to both texts. A gains $0.1$, and B gains $(0.1, 0) \cdot \bar z_B = 0.06$.
#   B was helped without an image of its own, at 0.6 times the rate of A.
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
# For $K$ ranks let $\bar z_i$ be the mean image feature of rank $i$, $t_i$ its text feature, and $\theta$ everything that is
# trained. The images of rank $i$ pull along a gradient $g_i$, and two ranks agree as far as their gradients do:
#
# $$
# A_{ij} = \frac{g_i \cdot g_j}{\lVert g_i\rVert\,\lVert g_j\rVert},
# \qquad g_i = \nabla_\theta\,(\bar z_i \cdot t_i) \tag{13.1}
# $$
#
# At 1, both ranks want the same change of $\theta$. At 0 neither affects the other. Below 0, each undoes a part of the
# other's work. (The scalar products $g_i \cdot g_j$ are known as the neural tangent kernel
# ([Jacot et al., 2018](references.md)).)


# %%
def alignment(texts, images, parameters):
    """Return A: cosines between the gradients of all ranks."""
    rows = []
    for score in (images * texts).sum(1):
        g = torch.autograd.grad(score, parameters, retain_graph=True)
        rows.append(torch.cat([part.flatten() for part in g]))
    unit = F.normalize(torch.stack(rows), dim=1)
    return unit @ unit.T


# %% [markdown]
# ## Six things to train
#
# Now real texts: five ranks of leaf damage, with image features from the frozen tower. Six ways to learn on the text side
# are compared, all at the very start of stage 1:
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
heat_maps(
    helped,
    data.ranks.names,
    height=2.7,
    cmap="RdBu",
    below=True,
    digits=1,
    label="alignment (> 0 helps, < 0 harms)",
)

# %% [markdown]
# **Figure 13.2.** Gradient alignment of every two ranks for six things to train. Blue: they help each other. Red: they
# harm each other.

# %% tags=["hide-input", "nbval-ignore-output"]
two = (data.ranks.names.index("very low"), data.ranks.names.index("very high"))
share = {}
for way, table in helped.items():
    share[way] = f"{float(table[two]):.1f}".replace("-", "−")
Markdown(
    "Images of *very low* and the text of *very high*: "
    f"{share['OrdinalCLIP']} with OrdinalCLIP, {share['context']} with the "
    f"context, {share['axis token']}, {share['axis rank']} and "
    f"{share['axis joint']} with RankFormer along token, rank and joint."
)

# %% tags=["remove-cell"]
others = ~torch.eye(len(data.ranks), dtype=torch.bool)
own, trained = ways["own vectors"]
own.centre = False
raw = alignment(own(towers), centres, trained)
own.centre = True
assert raw[others].abs().max() < 1e-3
assert helped["own vectors"][others].max() < 0.05
if PROFILE != "smoke":
    short, long = [0, 2, 3], [1, 4]
    assert helped["axis rank"][two] > 0.3
    assert helped["axis rank"][short][:, short].min() > 0
    assert helped["axis rank"][short][:, long].max() < -0.3
    assert helped["OrdinalCLIP"][3, 4] > 0.3 > helped["OrdinalCLIP"][0, 4]

# %% [markdown]
# - **Own vectors help nobody,** as on paper. The small negative numbers come from centring: the text side subtracts the mean
#   of all texts, so if one text moves, all others move a little the other way. Without centring the matrix is diagonal.
# - **In OrdinalCLIP next neighbours help each other,** because it was built so: they blend the three vectors in similar
#   proportions. All other pairs harm each other.
# - **With context and RankFormer a far pair can help each other.** *Very low* and *very high* are three ranks apart and do. Their
#   names share a word, and their sentences have the same length. Nothing in the model says that *low* is nearer.
#
# So some ranks do help each other, even along `token`, where no rank sees another. For this first step attention
# between ranks is not needed: all sentences pass through the *same weights*. This is the shared vector of the first
# section, with very many numbers in place of two. (What attention does to the error is measured in
# [chapter 16](16_all_studies.ipynb).)
#
# ## Is it the word or the length?
#
# *Very low* and *very high* share a word and a length. Which of the two does the work? And do neighbours help each other where
# names are regular, such as *twenty two*, *twenty seven*, *thirty three*? Two experiments answer.
#
# The first is a control without attention: one learned vector per *slot*, the same for all ranks, is added to the words.
# Two ranks share such a vector only where both have a word in that slot.


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
# (The four zeros in front of `added` leave the context vectors alone.) The second experiment has more ranks, and names them
# twice: in words, where a name has two words or three, and in digits, where every name is one token. Images and ranks are
# the same.


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

# %% mystnb={"image": {"alt": "Three panels over the number of ranks between two ranks. Left: mean alignment with names in words, one line for each thing that is trained. Middle: a dot for every pair of ranks for axis rank, one colour where both names have as many words, another where not. Right: the lines with names in digits."}} tags=["hide-input"]
length = RankPrompts(towers, in_words).tokens.words.sum(1)
alike = length[:, None] == length
i, j = np.triu_indices(count, 1)
pairs = {
    named: pd.concat(
        pd.DataFrame(
            {
                "ranks apart": j - i,
                "alignment": table[i, j].numpy(),
                "trained": way,
                "names": np.where(alike[i, j], "of one length", "unequal"),
            }
        )
        for way, table in tables.items()
    )
    for named, tables in (("words", by_words), ("digits", by_digits))
}
colours = dict(
    zip(by_words, ("#b0833a", "#4f8f4f", "#c8553d", "#6d70c4", "#76818e"),
        strict=True)
)  # fmt: skip
with style():
    figure, axes = plt.subplots(
        1,
        3,
        figsize=(WIDTH, 3.7),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for axis, named in ((axes[0], "words"), (axes[2], "digits")):
        sns.lineplot(
            pairs[named], x="ranks apart", y="alignment", hue="trained",
            style="trained", palette=colours, errorbar=None, linewidth=2,
            ax=axis, legend=named == "words",
        )  # fmt: skip
        axis.set_title(f"Names in {named}")
    along = pairs["words"].query("trained == 'axis rank'")
    sns.stripplot(
        along, x="ranks apart", y="alignment", hue="names", dodge=True, size=4,
        jitter=False, native_scale=True, ax=axes[1],
        palette={"of one length": "#c8553d", "unequal": "#76818e"},
    )  # fmt: skip
    axes[1].set_title("All pairs, axis rank")
    for axis in axes:
        axis.axhline(0, color=COLOURS["reference"], lw=0.9, zorder=0)
        axis.set_xticks(range(1, count, 2))
    axes[0].set(ylabel="alignment (> 0 helps, < 0 harms)", ylim=(-1, 1.05))
    handles = axes[0].get_legend_handles_labels()
    axes[0].get_legend().remove()
    figure.legend(*handles, loc="outside upper left", ncols=5)
plt.show()

# %% [markdown]
# **Figure 13.3.** Alignment over the distance of two ranks. Left: with names in words, neighbours seem to help, most of
# all with a vector per slot and, of the three axes, along rank. Middle: every pair behind that line; it splits by the
# length of the names. Right: with names in digits the lines fall together.

# %% tags=["hide-input", "nbval-ignore-output"]
near = {
    f"names in {named}": table[table["ranks apart"] == 1]
    .groupby("trained", sort=False)["alignment"]
    .mean()
    for named, table in pairs.items()
}
near = pd.DataFrame(near).T.rename_axis("next neighbours")
near.round(2)

# %% tags=["hide-input", "nbval-ignore-output"]
gap = (torch.arange(count)[:, None] - torch.arange(count)).abs()
table = by_words["axis rank"]
far_alike = float(table[(gap > count / 2) & alike].mean())
near_unlike = float(table[(gap == 1) & ~alike].mean())
Markdown(
    "Along rank, with names in words: ranks *far* apart whose names have as many "
    f"words, {far_alike:.2f}; *next* neighbours whose names do not, "
    f"{near_unlike:.2f}.".replace("-", "−")
)

# %% tags=["remove-cell"]
assert RankPrompts(towers, in_digits).tokens.words.sum(1).unique().numel() == 1
if PROFILE != "smoke":
    spoken, plain = near.loc["names in words"], near.loc["names in digits"]
    assert spoken["axis rank"] > spoken["axis token"] + 0.1
    assert spoken["vector per slot"] > spoken["axis rank"]
    assert far_alike > 0.2 > -0.2 > near_unlike
    assert plain.max() - plain.min() < 0.15
    assert plain.min() > 0 > float(by_digits["context"][gap > 6].mean())

# %% [markdown]
# Stop at the left panel of Figure 13.3, and the hope has come true: neighbours help, and of the three axes `rank` helps
# most. The middle panel spoils it. Along `rank`, two ranks whose names have *as many words* help each other, near ones
# mostly more than far ones; if not, even next neighbours harm each other. (The number for far ranks is the mean of four
# pairs, all with *sixty percent*, that for next neighbours of two.) A longer name pushes the rest of its sentence one
# slot to the right, so only sentences with names of one length line up word by word. Neighbours often have names of one
# length, and that is most of it. In digits every name has one token, and the advantage is gone. Attention is not needed
# either: a vector per slot shows the same effect, and more of it.
#
# So along `rank` it was mostly the length. Look back at Figure 13.2, axis `rank`: there too the three short names help
# each other, and so do the two long ones. These five names alone could not have told, since only the long ones hold
# *very*.
#
# What is left in the right panel is small: next neighbours help each other, most other ranks do a little harm. This does not
# come from RankFormer, because the context alone has it. It may come from the tower, which gives similar sentences similar
# features, and from the images, as in the two-rank example; neither was varied here.
#
# ## What follows, and what does not
#
# - Along `rank`, names of unequal length push each other away in the first step. Whether that costs accuracy was not
#   measured. `RankPrompts(towers, ranks).tokens.words.sum(1)` counts the tokens of your own names.
# - A rare rank can be helped by others whose names are *built* like its own, and is pushed away by the rest. With 1,000
#   images of the lowest rank, fewer of each higher one and 5 of the highest, the others push the highest rank's text
#   away many times as hard as its own images pull it (exercise 3). No model was trained here; errors are measured in
#   [chapter 16](16_all_studies.ipynb).
# - The score $\bar z_i \cdot t_i$ is only the pull. The loss of stage 1 also pushes wrong texts away, and pulls less where an
#   image is already right.
# - This page describes the first step. At that moment the last layer of RankFormer's FFN is zero, so only this layer
#   and $\alpha$ have a gradient at all. The attention has none yet, but its random weights already decide what the last
#   layer reads, and they were drawn once. Long training may end elsewhere.
#
# ## Exercises
#
# The checks are in the next cell.


# %% tags=["remove-cell"]
prompts = RankPrompts(towers, data.ranks)
(centres * prompts(towers)).sum().backward()
gradients = {
    name: bool(p.grad.any())
    for name, p in prompts.rankformer.named_parameters()
}
awake = {name for name, has in gradients.items() if has}
assert awake == {"alpha", "ffn.0.2.weight", "ffn.0.2.bias"}, awake


# %% tags=["hide-input"]
def check_step(real_gains: object) -> None:
    """A short step must bring what the gradients promise, and leave no trace."""
    prompts = RankPrompts(towers, data.ranks)
    before = prompts.context.detach().clone()
    try:
        yours = real_gains(prompts, centres, taught=1, length=1e-2)
    except RuntimeError as error:
        print(f"not yet: {error}")
        return
    scores = (centres * prompts(towers)).sum(1)
    rows = [
        torch.autograd.grad(score, prompts.context, retain_graph=True)[
            0
        ].flatten()
        for score in scores
    ]
    promised = torch.stack(rows) @ F.normalize(rows[1], dim=0)
    if not torch.equal(before, prompts.context):
        print("not yet: the context was moved and not put back")
    elif not yours.any():
        print("not yet: nothing was gained; was a step taken?")
    elif torch.allclose(
        yours, promised, atol=0.05 * float(promised.abs().max())
    ):
        print("right")
    elif torch.allclose(
        yours / 1e-2, promised, atol=0.05 * float(promised.abs().max())
    ) or torch.allclose(
        yours * 1e2, promised, atol=0.05 * float(promised.abs().max())
    ):
        print("not yet: divide the gains by the length of the step, once")
    else:
        print("not yet: the step goes along the gradient of the taught rank, "
              "scaled to the given length")  # fmt: skip


@torch.no_grad()
def check_words(kind: type[RankPrompts]) -> None:
    """Give the vectors random numbers and see which slots move together."""
    prompts = kind(towers, data.ranks)
    ids, words = prompts.tokens.ids, prompts.tokens.words
    vectors = getattr(prompts, "vectors", None)
    number = len(ids[words].unique())
    if not isinstance(vectors, nn.Parameter) or len(vectors) != number:
        print(f"not yet: self.vectors needs a row for each of {number} words")
        return
    start = prompts.embeddings()
    plain = RankPrompts(towers, data.ranks, rankformer=False).embeddings()
    vectors.copy_(torch.arange(1.0, number + 1)[:, None].expand_as(vectors))
    moved = (prompts.embeddings() - start)[..., 0]
    context, moved = moved[:, 1:5], torch.cat([moved[:, :1], moved[:, 5:]], 1)
    pairs = {
        (word, round(far, 3))
        for word, far in zip(
            ids[words].tolist(), moved[words].tolist(), strict=True
        )
    }
    if not torch.equal(start, plain):
        print("not yet: vectors start at zero, so that texts start unchanged")
    elif context.any() or moved[~words].any():
        print("not yet: context, start, end or padding moved")
    elif not moved[words].all():
        print("not yet: some words do not move")
    elif len(pairs) > number:
        print("not yet: copies of a word must move by the same vector")
    elif len({far for _, far in pairs}) < number:
        print("not yet: different words must have different vectors")
    else:
        print("right")


def check_share(share_of_others: object) -> None:
    """Two ranks that can be computed by hand, then random ones."""
    g = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    yours = share_of_others(g, torch.tensor([5.0, 1.0]))
    if yours.shape != (2,):
        print("not yet: one number per rank, please")
    elif torch.allclose(yours, torch.tensor([0.12, 3.0])):
        g, n = torch.randn(4, 7), torch.tensor([1.0, 2.0, 3.0, 4.0])
        right = torch.tensor([
            sum(n[i] * g[i] @ g[j] for i in range(4) if i != j) / (n[j] * g[j] @ g[j])
            for j in range(4)
        ])  # fmt: skip
        close = torch.allclose(share_of_others(g, n), right, atol=1e-4)
        print("right" if close else "not yet: right for unit gradients only")
    elif torch.allclose(yours, torch.tensor([1.12, 4.0])):
        print("not yet: leave out what a rank's own images bring")
    elif torch.allclose(yours, torch.tensor([3.0, 0.12])):
        print("not yet: rows and columns are swapped; who gains?")
    else:
        print(
            "not yet: with images (5, 1), B gains 5 · 0.6 from A and 1 from B"
        )


# %% [markdown]
# **1. A real step.** A gradient promises; a step delivers. Write a function that changes `prompts.context` by a step of the
# given length along the gradient of $\bar z_i \cdot t_i$ by the context, where $i$ is the rank `taught`. It measures the change
# of every score $\bar z_j \cdot t_j$, puts the context back, and returns the changes divided by the length. `images` holds the
# mean image of each rank; the `towers` are those of this page.


# %%
def real_gains(prompts, images, taught, length):
    return torch.zeros(len(images))  # your lines


check_step(real_gains)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# One gradient, one step inside `torch.no_grad()`, and the step back. To first order the answer is
# $g_i \cdot g_j / \lVert g_i \rVert$, which is row $i$ of (13.1) times the length of $g_j$.
#
# </details>


# %% tags=["hide-cell"]
def real_gains_solution(prompts, images, taught, length):
    scores = (images * prompts(towers)).sum(1)
    (g,) = torch.autograd.grad(scores[taught], prompts.context)
    before = prompts.context.detach().clone()
    with torch.no_grad():
        prompts.context += length * g / g.norm()
        after = (images * prompts(towers)).sum(1)
        prompts.context.copy_(before)
    return (after - scores.detach()) / length


check_step(real_gains_solution)

# %% [markdown]
# **2. A vector per word.** Change the control: not one vector per slot, but one per distinct word, wherever it is. Predict
# first: will *very low* and *very high* still help each other?


# %%
class WordVectors(RankPrompts):
    def __init__(self, towers, ranks):
        super().__init__(towers, ranks, rankformer=False)
        # your lines: self.vectors

    def embeddings(self):
        return super().embeddings()  # your lines


check_words(WordVectors)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# `unique` with `return_inverse` numbers the words; start, end and padding are left out. The cell prints the alignment of
# *very low* and *very high*. Sharing *very* does not help them, so a shared word is not enough.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
class WordVectorsSolution(RankPrompts):
    def __init__(self, towers, ranks):
        super().__init__(towers, ranks, rankformer=False)
        ids, words = self.tokens.ids, self.tokens.words
        different, number = ids[words].unique(return_inverse=True)
        self.number = torch.zeros_like(ids)
        self.number[words] = number
        width = self.sentence_embeddings.shape[2]
        self.vectors = nn.Parameter(torch.zeros(len(different), width))

    def embeddings(self):
        added = self.vectors[self.number] * self.tokens.words[..., None]
        return super().embeddings() + F.pad(added, (0, 0, 4, 0))


check_words(WordVectorsSolution)
prompts = WordVectorsSolution(towers, data.ranks)
table = alignment(prompts(towers), centres, [prompts.vectors])
print(f"very low and very high: {float(table[two]):.1f}")

# %% [markdown]
# **3. The rare rank.** Stage 1 sees $n_i$ images of rank $i$, so its step follows $\sum_i n_i g_i$. Write a function of the
# gradients (one row per rank, not normalised) and the counts. For each rank, return what it gains from the images of all
# *other* ranks, divided by what it gains from its own.


# %%
def share_of_others(g, counts):
    return torch.zeros(len(g), 2)  # your line or two


check_share(share_of_others)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# $g_i \cdot g_j$ is `g @ g.T`, and $n_i$ weighs its rows. Below 0 the others pull a rank's text away from its images; below
# $-1$ they win. The cell computes it for 1,000 images of the lowest rank, and 5 of the highest.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
def share_solution(g, counts):
    gain = counts[:, None] * (g @ g.T)  # row i: what rank i brings
    return (gain.sum(0) - gain.diagonal()) / gain.diagonal()


check_share(share_solution)
prompts, trained = learners(data.ranks)["axis rank"]
rows = []
for score in (centres * prompts(towers)).sum(1):
    parts = torch.autograd.grad(score, trained, retain_graph=True)
    rows.append(torch.cat([part.flatten() for part in parts]))
counts = torch.tensor([1000.0, 300.0, 100.0, 30.0, 5.0])
for name, share in zip(
    data.ranks.names, share_solution(torch.stack(rows), counts), strict=True
):
    print(f"{name:>9}: {float(share):6.1f}")

# %% tags=["remove-cell"]
# Wrong answers, and the sentence that each must get.
import contextlib
import io


def forgets(prompts, images, taught, length):
    step_gains = real_gains_solution(prompts, images, taught, length)
    prompts.context.data += 1
    return step_gains


class Slots(WordVectorsSolution):
    def __init__(self, towers, ranks):
        super().__init__(towers, ranks)
        self.number = torch.arange(self.tokens.ids.shape[1]).expand_as(
            self.tokens.ids
        ) % len(self.vectors)


for check, answer, expected in (
    (check_step, real_gains, "was a step taken"),
    (check_step, forgets, "not put back"),
    (check_step, lambda *a, **k: real_gains_solution(*a, **k) * 0.01, "once"),
    (check_step, lambda *a, **k: real_gains_solution(*a, **k).flip(0), "along"),
    (check_step, real_gains_solution, "right"),
    (check_words, WordVectors, "self.vectors"),
    (check_words, Slots, "copies"),
    (check_words, WordVectorsSolution, "right"),
    (check_share, share_of_others, "one number per rank"),
    (check_share, lambda g, n: share_solution(g, n) + 1, "own images"),
    (check_share, lambda g, n: share_solution(F.normalize(g), n), "unit"),
    (check_share, share_solution, "right"),
):
    with contextlib.redirect_stdout(io.StringIO()) as heard:
        check(answer)
    assert expected in heard.getvalue(), (expected, heard.getvalue())

# %% [markdown]
# ## Summary
#
# - A step for one rank moves every text that shares a parameter with it. To first order the effect is the scalar product of two
#   gradients; its cosine is the gradient alignment.
# - With nothing shared, no rank is helped. With one shared vector, ranks help each other as far as their images agree.
# - Along the axis `rank`, and with a vector per slot, it is mostly names of equal length that help each other, not near ranks.
#   With names of one length, next neighbours help a little, in all five ways that were tried.
# - All this is about the first step, not about the error of a trained model.
#
# ## Sources
#
# Scalar products of gradients as a kernel: [Jacot et al. (2018)](references.md). Blended rank vectors:
# [Li et al. (2022)](references.md). Context vectors: [Zhou et al. (2022)](references.md). RankFormer:
# [Wang et al. (2023)](references.md). The experiment is this book's own.
