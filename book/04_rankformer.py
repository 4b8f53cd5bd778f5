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
# # RankFormer: words that look at each other
#
# Suppose a thousand pictures show healthy leaves, and five show a leaf that is nearly gone. Five pictures teach little.
# But the sentence of the rare rank is built like the sentences of its neighbours, and shares words with them. If words
# could look at each other, could a rare rank borrow what the frequent ones have learned? RankFormer is the part of
# L2RCLIP {cite:p}`wang2023learning` that lets words look. This chapter opens it, pokes one word after another to see who
# notices, and at the end measures who helps whom.
#
# :::{admonition} What you will learn
# :class: tip
# - RankFormer whole: its formula, its code on one screen, its size,
# - three axes along which words can look, and how to test what a model can see,
# - why RankFormer cannot know the order of the ranks, and which words it must treat alike,
# - what its strength $\alpha$ does, and what it does not,
# - which words move in stage 1, and whether ranks borrow from each other.
# :::
#
# | you should know | how much | if not |
# |---|---|---|
# | self-attention: query, key, value | the idea | {cite:t}`vaswani2017attention` |
# | rank templates and text towers | the idea | {doc}`03_rank_templates` |
# | gradients in PyTorch | to read them | any introduction to PyTorch |
#
# **Time and hardware.** No GPU and no download are needed. The last line of this page says how long it took, and on what.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more of all
SEED = 0  # decides the leaves, the starts and the batches

# %% tags=["nbval-ignore-output"]
import inspect
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from matplotlib.colors import ListedColormap

from l2rclip_book import rankformer_figures as draw
from l2rclip_book import rankformer_views as view
from l2rclip_book.gradients import SlotVectors, gradient_alignment, mean_by_gap
from l2rclip_book.heat_maps import heat_maps
from l2rclip_book.statistics import ordinality
from l2rclip_book.style import PAPER, look
from l2rclip_lite import (
    L2RCLIP,
    Config,
    RankFormer,
    RankPrompts,
    Ranks,
    asymmetrical_contrastive_loss,
    load_dataset,
    load_towers,
    ordinal_pairwise_loss_stage1,
)
from l2rclip_lite.baselines.prompts import InterpolatedPrompts
from l2rclip_lite.plots import COLOURS, style
from l2rclip_lite.towers import Tokens

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

scale = {
    "smoke": {"size": 30, "ranks": 5, "each": 3, "short": 1, "steps": 1},
    "page": {"size": 200, "ranks": 12, "each": 8, "short": 8, "steps": 20},
    "full": {"size": 1000, "ranks": 20, "each": 30, "short": 50, "steps": 300},
}[PROFILE]
AXES = ("token", "rank", "joint")
pixels = 64 if PROFILE == "smoke" else 96
torch.set_num_threads(1)
towers = load_towers("mini", image_size=pixels)
towers.requires_grad_(False)
data = load_dataset(
    "leaves", ranks=5, size=scale["size"], seed=SEED, pixels=pixels
)
ranks = data.ranks
prompts = RankPrompts(towers, ranks, seed=SEED)
R, tokens = prompts.template_embeddings, prompts.tokens
words = tokens.words
spelt = view.spellings(towers, tokens)

# %% mystnb={"image": {"alt": "Five rank sentences as rows of boxes: start, four context slots, words, end. Words are blue, context slots orange, start and end grey; the words of each rank's name are framed in the rank's colour. The end stands further right where the name has two words."}, "figure": {"caption": "What the text tower reads, one row per rank. Blue words go through RankFormer; orange vectors are learned directly; grey slots are left alone. A name of two words pushes all that follows one slot to the right.", "name": "fig-04-grid"}}
draw.token_grid(spelt, tokens.rank_words, context=len(prompts.context))

# %% [markdown]
# ## Where it sits
#
# A text tower turns a sentence into tokens and each token into a vector, its word embedding. It then adds a vector for
# the position and runs a transformer. RankFormer stands in between: after the word embedding, before the positions. Then
# the context vectors are put in, and the frozen tower does the rest. This is how the package does it:


# %% tags=["hide-input"]
def shown(*parts: object) -> Markdown:
    """The package's own source, as it runs on this page."""
    source = "\n".join(inspect.getsource(part) for part in parts)
    return Markdown(f"```python\n{textwrap.dedent(source)}```")


shown(RankPrompts.embeddings)

# %% [markdown]
# Write $R$ for the embedded words of $K$ sentences with $n$ slots, $R \in \mathbb{R}^{K \times n \times D}$. Three kinds
# of slots in {numref}`fig-04-grid` are not RankFormer's business:
#
# - **start and end.** CLIP reads the whole sentence off its end token, so nothing may touch it, and its slot has to be
#   looked up in each sentence: names differ in length. (The small tower used here takes the mean of all tokens.)
# - **padding,** which makes short sentences as long as the longest. It is masked.
# - **context,** vectors learned directly and shared by all ranks, as in CoOp {cite:p}`zhou2022learning`.
#
# The next cell checks the first two.


# %%
def awake(axis: str, seed: int = SEED) -> RankFormer:
    """RankFormer with random numbers where it starts at zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return view.woken(RankFormer(towers.width, axis=axis), seed)


formers = {axis: awake(axis) for axis in AXES}
for former in formers.values():
    refined = former(R, tokens).detach()
    assert torch.equal(refined[~words], R[~words])
    noise = torch.randn_like(R) * ~words[..., None]
    assert torch.equal(former(R + noise, tokens)[words], refined[words])
ends = sorted(set((tokens.mask.sum(1) - 1).tolist()))
print(f"{len(ranks)} sentences, {int(words.sum())} words, D = {R.shape[-1]}")
print("the end stands in slot", " or ".join(map(str, ends)))
print("start, end and padding: never changed, never read")

# %% [markdown]
# ## RankFormer on one screen
#
# $$
# R' = (1-\alpha)\,R + \alpha\,\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))
# $$ (eq-04-rankformer)
#
# LN is a layer norm. MSA is multi-head self-attention: each word asks the words it can see, and gets back a weighted mean
# of what they have to say. FFN is a small network of two layers that treats each word alone. $\alpha$ blends the result
# with the word as it was. Here is all of it; `axis` decides who can see whom.

# %%
shown(RankFormer.forward)

# %% [markdown]
# | equation | function | test |
# |---|---|---|
# | {eq}`eq-04-rankformer` | `RankFormer.forward` | `tests/unit/test_rankformer.py`, against a loop over words in NumPy |
# | who reads whom, below | `rankformer_views.read_by`, `changed_ranks` | `tests/book/test_rankformer_figures.py` |
# | {eq}`eq-04-alignment`, below | `gradients.gradient_alignment` | `tests/book/test_rankformer_figures.py` |
#
# Compare it with a block of a transformer {cite:p}`vaswani2017attention`. Three things are missing or odd, and each has a
# consequence that the rest of this page will meet:
#
# - no positions are added before the attention;
# - the last layer of the FFN starts at zero, so that training starts at $R' = (1-\alpha)R$;
# - nothing bounds the FFN, so $\alpha$ does not say how far a word can go.
#
# ## Three axes: who sees whom
#
# The paper speaks of attention over tokens. But there are $K \cdot n$ tokens, in a rectangle, and the text leaves open
# along which side of it they look. The authors' repository holds no code of this part. So here it is a switch:
#
# - `token`: a word sees its own sentence;
# - `rank`: a word sees the words in the same slot of all sentences (the default of this package);
# - `joint`: a word sees everything.
#
# Do not believe a comment about this, test it. Take one word, differentiate its new embedding by all old ones, and colour
# what has a gradient. Then disturb all words of one rank and see which ranks change.

# %% mystnb={"image": {"alt": "Three panels of the five sentences, one for each axis. The words that one framed word reads are coloured: its own row for axis token, its column for axis rank, all words for axis joint. Beside each panel a five by five table of who changes when a rank is disturbed: the diagonal alone for token, all cells for rank and joint."}, "figure": {"caption": "Left: the words that one word, framed, reads along each axis. Right: disturb the words of one rank (row) and see whose new embeddings change (columns).", "name": "fig-04-axes"}}
asked = (3, 7)  # rank, slot
reads = {a: view.read_by(f, R, tokens, *asked) for a, f in formers.items()}
changes = {a: view.changed_ranks(f, R, tokens) for a, f in formers.items()}
draw.axes_figure(reads, changes, spelt, asked)

# %%
others = ~torch.eye(len(ranks), dtype=torch.bool)
for axis, change in changes.items():
    print(f"axis {axis:<5}: {int((change[others] > 1e-6).sum())} of "
          f"{int(others.sum())} pairs of ranks hear of each other")  # fmt: skip
assert (changes["token"][others] == 0).all()
assert (changes["rank"][others] > 1e-6).all()
assert (changes["joint"][others] > 1e-6).all()

# %% [markdown]
# With `token` no rank ever hears of another: RankFormer then polishes each sentence on its own. Whoever says that
# RankFormer relates *ranks* must mean one of the other two.
#
# Look at the column of `rank` in {numref}`fig-04-axes` again. In that slot stand *no, very, low, high, very*: the second
# half of a name of two words has slipped to the right. The same slot is not always the same part of the sentence.
#
# ## What it cannot know
#
# Attention without positions is a conversation in the dark: you hear words, but not from where. Two words that say the
# same and hear the same cannot come out different. So the *shift* that RankFormer gives a word, the vector
# $\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$, is the same for every copy of a word with the same words in sight. How
# many different shifts are there at all?

# %% mystnb={"image": {"alt": "The five sentences three times, one for each axis. Words that share their shift have the same colour; words without colour have a shift of their own. With axis token only the two a of a sentence share, with axis rank whole columns share, with axis joint every copy of a word shares."}, "figure": {"caption": "Words of one colour get one and the same shift, whatever RankFormer has learned. Words without a colour have a shift of their own.", "name": "fig-04-groups"}} tags=["hide-input"]
groups = {a: view.shift_groups(f, R, tokens) for a, f in formers.items()}
with style():
    figure, panels = plt.subplots(
        3, 1, figsize=(7.8, 6.1), layout="constrained"
    )
    for panel, axis in zip(panels, AXES, strict=True):
        group = groups[axis]
        sizes = group[words].bincount()
        colours = torch.zeros_like(group)
        for colour, shared in enumerate((sizes > 1).nonzero()[:, 0], start=1):
            colours[group == shared] = colour
        palette = sns.color_palette("pastel", int(colours.max()))
        cmap = ListedColormap([PAPER, *palette])
        draw.sentence_grid(panel, spelt, colours.numpy(), cmap)
        panel.set_title(
            f"axis {axis}: {len(sizes)} different shifts "
            f"for {int(words.sum())} words"
        )

# %% [markdown]
# The picture is measured, with random weights. The rule predicts it: count the different pairs of a word and the words in
# its sight.

# %%
cells = [(k, n, spelt[k][n]) for k, n in words.nonzero().tolist()]
in_sight = {
    "token": lambda one, other: one[0] == other[0],
    "rank": lambda one, other: one[1] == other[1],
    "joint": lambda one, other: True,
}


def different(axis: str) -> int:
    """Pairs of a word and the words it sees, each counted once."""
    seen = in_sight[axis]
    return len(
        {
            (c[2], tuple(sorted(d[2] for d in cells if seen(c, d))))
            for c in cells
        }
    )


for axis in AXES:
    counted = int(groups[axis].max()) + 1
    print(f"axis {axis:<5}: {different(axis)} expected, {counted} found")
    assert counted == different(axis)

# %% [markdown]
# So the axis decides how much RankFormer can say:
#
# - `joint` is a dictionary: each different word gets one new embedding, wherever it stands.
# - `rank` treats the words before the name alike in all ranks. There it can say nothing that tells ranks apart, and acts
#   like more context. Only the slots from the name on can differ.
# - `token` can give nearly every word of every sentence a shift of its own.
#
# For the same reason RankFormer does not know that *low* comes below *high*. Hand it the sentences in another order, and
# it returns the same answers in that order:

# %%
mixed = torch.tensor([3, 0, 4, 1, 2])
parts = (tokens.ids, tokens.mask, tokens.rank_words, tokens.words)
mixed_tokens = Tokens(*(part[mixed] for part in parts))
for axis, former in formers.items():
    same = former(R[mixed], mixed_tokens) - former(R, tokens)[mixed]
    assert same.abs().max() < 1e-5, axis
print("sentences in another order: the same answers in that order")

# %% [markdown]
# Order can only come from elsewhere: from what the words mean to the tower ({doc}`03_rank_templates`), from the loss
# ({doc}`05_losses`), and from the pictures. RankFormer passes it on; whether it does so in a given model is what a
# failure signature in {doc}`09_does_it_help` tells.
#
# ## What the strength does
#
# First before any training. The last layer is zero, so $R' = (1-\alpha)R$: every word only gets shorter. Does the tower
# mind? Its first layer norm would undo a common factor exactly, were it not for the position vectors, which are added
# before and are not scaled.
#
# Then after a few steps of stage 1 with $\alpha$ held fixed. A step is short enough to be shown: the stage's own loss,
# its gradient, Adam.


# %%
def labelled(data: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and rank indices of the training images."""
    features = L2RCLIP(towers, data.ranks).encode(data.train)
    return features, torch.tensor(data.train.targets)


features, targets = labelled(data)


def train(steps: int, **settings: object) -> L2RCLIP:
    """A model after some steps of stage 1."""
    model = L2RCLIP(towers, ranks, Config(seed=SEED, **settings))
    optimiser = torch.optim.Adam(model.prompts.parameters(), lr=1e-3)
    draws = torch.Generator().manual_seed(SEED)
    values = ranks.values_tensor()
    for _ in range(steps):
        chosen = torch.randint(len(targets), (32,), generator=draws)
        z, y, t = features[chosen], targets[chosen], model.prompts(towers)
        loss = asymmetrical_contrastive_loss(z, t, y, model.scale)
        loss = loss + ordinal_pairwise_loss_stage1(z, t[y], t[y], values[y])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.refresh()
    return model


# %% tags=["nbval-ignore-output"]
strengths = [0.0, 0.01, 0.1, 0.2, 0.5, 1.0]
plain = RankPrompts(towers, ranks, seed=SEED, rankformer=False)
template = plain(towers).detach()
learned = []
for when, steps in (("before", 0), ("after", scale["short"])):
    for alpha in strengths:
        model = train(steps, alpha=alpha, controls={"learn_alpha": False})
        far = view.movement(model.prompts.rankformer, R, tokens)[words]
        texts = (model.rank_features - template).norm(dim=1)
        learned.append(
            {
                "α": f"{alpha:g}",
                "when": f"{when} training"
                if steps == 0
                else "after a few steps",
                "words": float(far.mean()),
                "texts": float(texts.mean()),
                "order": ordinality(model.rank_features)["gap"],
            }
        )
learned = pd.DataFrame(learned)
print(f"{scale['short']} steps on {len(targets)} pictures of 5 ranks")

# %% mystnb={"image": {"alt": "Three panels over alpha from 0 to 1, before training in grey and after a few steps in red: how far words move, how far the text features move, and the rank correlation of rank gap and text distance."}, "figure": {"caption": "What α does, before training (grey) and after a few steps with that α held fixed (red). Left: mean distance that a word moves, in its own length. Middle: mean distance of a text feature from the template with the untrained context in front. Right: order of the text features.", "name": "fig-04-alpha"}} tags=["nbval-ignore-output", "hide-input"]
PANELS = {
    "words": ("How far words move", "lengths of the word"),
    "texts": ("How far texts move", "distance of unit vectors"),
    "order": ("Order of the texts", "Spearman"),
}
lines = {"palette": [COLOURS["reference"], look("full")[0]], "markers": True}
with style():
    figure, axes = plt.subplots(1, 3, figsize=(7.8, 3.2), layout="constrained")
    for axis, (name, (title, label)) in zip(axes, PANELS.items(), strict=True):
        sns.lineplot(
            learned, x="α", y=name, hue="when", style="when", dashes=False,
            ax=axis, legend=name == "words", **lines,
        )  # fmt: skip
        axis.set(title=title, ylabel=label)
    axes[0].set_yscale("symlog", linthresh=0.01)
    axes[0].set_yticks([0, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
    axes[0].set_ylim(-0.002, 60)
    axes[2].set_ylim(-0.6, 1.05)
    axes[2].axhline(0, color=COLOURS["reference"], lw=0.9)
    sns.move_legend(axes[0], "upper left", title=None)

# %% tags=["nbval-ignore-output", "hide-input"]
at = strengths.index(0.1)
apart = torch.pdist(template).mean()
halves = len(strengths)
before = learned[:halves].reset_index()
after = learned[halves:].reset_index()
if PROFILE != "smoke":
    assert before["texts"][at] < 0.1 * apart
    assert abs(before["order"][at] - before["order"][0]) < 0.15
    assert after["words"][at] > 2 * before["words"][at]
    assert after["words"][1] < after["words"][at] < after["words"][4]
    assert after["words"][4] > 1
Markdown(
    f"At α = 0.1 and before training, a word is {before['words'][at]:.0%} "
    f"shorter, and its text moves by {before['texts'][at]:.2f}, where two texts are "
    f"{float(apart):.2f} apart. At α = 1 it moves by {before['texts'][5]:.2f}. "
    f"After {scale['short']} steps the words have moved by {after['words'][1]:.2f}, "
    f"{after['words'][at]:.2f} and {after['words'][4]:.2f} of their length for "
    "α = 0.01, 0.1 and 0.5."
)

# %% [markdown]
# Three readings:
#
# - **The short start is harmless** for a small $\alpha$: texts hardly move, and their order stays. At $\alpha = 1$ the
#   words are gone, and only the number of words in a sentence is left.
# - **$\alpha$ is a throttle, not a bound.** It multiplies whatever the FFN says, and the FFN may say anything. With a
#   small $\alpha$ words go less far in the same number of steps; but nothing stops them from going further than their own
#   length.
# - **The order of the texts is not safe.** Stage 1 moves sentences to where the pictures are. Five ranks and one seed
#   make the right panel coarse; {doc}`09_does_it_help` follows the order of the texts over many runs.
#
# Which $\alpha$ and which axis give the best answers? {doc}`15_all_studies` compared them and could not tell them
# apart.
#
# ## What moves in stage 1
#
# Now $\alpha$ is learned, as in the method. Three models, one for each axis, the same pictures, the same steps.

# %% tags=["nbval-ignore-output"]
models = {axis: train(scale["steps"], axis=axis) for axis in AXES}
trained = {axis: model.prompts.rankformer for axis, model in models.items()}
moves = {a: view.movement(f, R, tokens) for a, f in trained.items()}

# %% mystnb={"image": {"alt": "The five sentences three times, one for each axis, every word with a number and a colour for how far it moved, in its own length. Start and end have no colour."}, "figure": {"caption": "How far stage 1 moved each word, in lengths of that word, for the three axes. Copies of a word that share a shift move alike.", "name": "fig-04-moves"}} tags=["nbval-ignore-output"]
draw.movement_figure(moves, spelt)

# %% tags=["nbval-ignore-output"]
name = tokens.rank_words
drawn = prompts.context.detach()
print(f"{'axis':<8}{'α':>6}{'names':>8}{'other words':>13}"
      f"{'start, end':>12}{'context':>9}")  # fmt: skip
for axis, model in models.items():
    far, context = moves[axis], model.prompts.context.detach()
    drift = (context - drawn).norm(dim=1) / drawn.norm(dim=1)
    print(f"{axis:<8}{trained[axis].alpha.item():>6.3f}"
          f"{float(far[name].mean()):>8.2f}"
          f"{float(far[words & ~name].mean()):>13.2f}"
          f"{float(far[~words].max()):>12.2f}"
          f"{float(drift.mean()):>9.2f}")  # fmt: skip
    assert far[~words].max() == 0
    if PROFILE != "smoke":
        assert far[words].mean() > 2 * drift.mean()
        assert far[words & ~name].mean() > far[name].mean() / 3
        assert abs(trained[axis].alpha.item() - 0.1) < 0.001 * scale["steps"]

# %% [markdown]
# All numbers but $\alpha$ are lengths of the vector that moved. Words travel much further than the context vectors, which
# Adam moves by no more than about its learning rate a step. A word is moved by a whole network, and all of that network's
# weights may move at once. In the long run of {doc}`02_two_stages` a word moves by more than its length. A "residual" with
# a weight of 0.1 sounds like a small correction. It is not one.
#
# Nor does $\alpha$ itself say much. It starts at 0.1, and Adam carries it by about the learning rate a step, so after so
# few steps it must end near its start.
#
# The words that move are not the names alone. RankFormer rewrites *photo* and *with* as readily as *low* and *high*.
#
# ## What they look at
#
# `rankformer_views.attention` returns the weights. Below they are divided by equal attention: 1 means that a word looks at
# all words in its sight alike. For `token` one sentence is shown, for `rank` the slot of the names, for `joint` one copy of
# each word.


# %%
def looks(prompts: RankPrompts, axis: str) -> torch.Tensor:
    """The part of the attention that is shown, equal attention = 1."""
    found = view.attention(prompts)
    found = found * (found > 0).sum(dim=2, keepdim=True)  # words in sight
    if axis == "token":
        return found[1][words[1]][:, words[1]]
    if axis == "rank":
        return found[asked[1]]
    flat = [text for row in spelt for text in row]
    first = [flat.index(text) for text in dict.fromkeys(c[2] for c in cells)]
    return found[0][first][:, first]


labels = {
    "token": [text for text, on in zip(spelt[1], words[1], strict=True) if on],
    "rank": [f"{k}: {row[asked[1]]}" for k, row in enumerate(spelt)],
    "joint": list(dict.fromkeys(c[2] for c in cells)),
}
fresh = {a: RankPrompts(towers, ranks, axis=a, seed=SEED) for a in AXES}
taught = {axis: model.prompts for axis, model in models.items()}
maps = {
    (axis, when): looks(own[axis], axis)
    for when, own in (("before", fresh), ("after", taught))
    for axis in AXES
}

# %% mystnb={"image": {"alt": "Heat maps of attention for the three axes, before training above and after training below, on a scale from an eighth of equal attention, blue, to eight times, red, with words along both sides."}, "figure": {"caption": "Attention over equal attention, mean over the heads. Rows are words that look, columns words they look at. Above: before training. Below: after it. Equal words have equal rows, as they must.", "name": "fig-04-attention"}} tags=["nbval-ignore-output", "hide-input"]
titles = {key: f"axis {key[0]}, {key[1]}" for key in maps}
figure = heat_maps(
    {titles[key]: seen.log2().clip(-3, 3) for key, seen in maps.items()},
    {titles[key]: labels[key[0]] for key in maps},
    height=3.0,
    limit=3,
    below=True,
    label="attention, equal attention = 1",
)
eighths = ["⅛", "¼", "½", "1", "2", "4", "8"]
figure.axes[-1].set_yticks(range(-3, 4), eighths)
figure

# %% tags=["nbval-ignore-output", "hide-input"]
said = []
for axis in AXES:
    start, end = maps[axis, "before"], maps[axis, "after"]
    said.append(
        f"- axis {axis}: strongest look {start.max():.1f} times equal attention "
        f"before training, {end.max():.1f} times after."
    )
    if PROFILE != "smoke":
        assert end.max() > start.max()
Markdown("\n".join(said))

# %% [markdown]
# Before training attention is nearly a plain mean: RankFormer is then an FFN on the average of the words in sight.
# Training sharpens it. But do not read meaning into single cells. Another seed gives another map, and attention says
# where a word looks, not what it does with what it sees.
#
# ## Who helps whom
#
# Now the question from the beginning. Let $\bar z_i$ be the mean image feature of rank $i$ and $t_i$ its text feature.
# Images of rank $i$ want $t_i$ to come nearer to $\bar z_i$; they pull along the gradient $g_i$. The same step moves
# the other texts, too, because they share parameters. Does it bring text $j$ to *its* pictures, which were not shown? To
# first order, that is a scalar product. In units that do not depend on the lengths:
#
# $$
# A_{ij} = \frac{g_i \cdot g_j}{\lVert g_i\rVert\,\lVert g_j\rVert},
# \qquad g_i = \nabla_\theta\,(\bar z_i \cdot t_i)
# $$ (eq-04-alignment)
#
# At 1 both ranks pull the parameters in one direction. At 0 they do not meet, and below 0 each undoes a part of the
# other's work. The parameters $\theta$ are what is trained. (The scalar products are known as the neural tangent kernel
# {cite:p}`jacot2018neural`.) Six things to train stand side by side, all at the start of stage 1:
#
# - **own vectors:** a learned vector for each rank in the place of its name, nothing shared;
# - **OrdinalCLIP** {cite:p}`li2022ordinalclip`: three such vectors, and those of the ranks are blends of them, by
#   distance;
# - **context:** the context vectors alone, as in CoOp;
# - **axis token, rank, joint:** RankFormer alone.


# %%
def learners(ranks: Ranks, seed: int) -> dict[str, tuple]:
    """Prompts and what is trained of them."""
    options = {"seed": seed, "context_length": 4}
    own = InterpolatedPrompts(
        towers, ranks, base_ranks=len(ranks), weighting="inverse", **options
    )
    blend = InterpolatedPrompts(towers, ranks, **options)
    plain = RankPrompts(towers, ranks, rankformer=False, **options)
    found = {
        "own vectors": (own, [own.base]),
        "OrdinalCLIP": (blend, [blend.base]),
        "context": (plain, [plain.context]),
    }
    for axis in AXES:
        one = RankPrompts(towers, ranks, axis=axis, **options)
        found[f"axis {axis}"] = (one, list(one.rankformer.parameters()))
    return found


def means(features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean image feature of each rank."""
    own = F.one_hot(targets).float()
    return own.T @ features / own.sum(0)[:, None]


five = learners(ranks, SEED)
centres = means(features, targets)
helped = {
    title: gradient_alignment(one(towers), centres, trains)
    for title, (one, trains) in five.items()
}

# %% mystnb={"image": {"alt": "Six five by five matrices from minus one, red, to one, blue: which rank's pictures help which rank's text when own vectors, OrdinalCLIP's vectors, the context, or RankFormer along one of three axes is trained."}, "figure": {"caption": "Who is helped (blue) and who is harmed (red) by whose pictures, for six things to train.", "name": "fig-04-alignment"}}
heat_maps(
    helped,
    ranks.names,
    height=2.7,
    cmap="RdBu",
    below=True,
    digits=1,
    label="helped (1) or harmed (−1)",
)

# %% tags=["hide-input", "nbval-ignore-output"]
one, trains = five["own vectors"]
one.centre = False
raw = gradient_alignment(one(towers), centres, trains)
assert raw[others].abs().max() < 1e-3
assert helped["own vectors"][others].max() < 0.05
two = (ranks.names.index("very low"), ranks.names.index("very high"))
if PROFILE != "smoke":
    short, long = [0, 2, 3], [1, 4]
    assert helped["axis rank"][two] > 0.3
    assert helped["axis rank"][short][:, short].min() > 0
    assert helped["axis rank"][short][:, long].max() < -0.3
    assert helped["OrdinalCLIP"][3, 4] > 0.3 > helped["OrdinalCLIP"][0, 4]
Markdown(
    "Pictures of *very low* and texts of *very high*: "
    f"{float(helped['OrdinalCLIP'][two]):.1f} with OrdinalCLIP, "
    f"{float(helped['context'][two]):.1f} with the context, "
    f"{float(helped['axis token'][two]):.1f}, {float(helped['axis rank'][two]):.1f} and "
    f"{float(helped['axis joint'][two]):.1f} with RankFormer along token, rank and joint."
)

# %% [markdown]
# - **Own vectors help nobody.** What is left is slightly negative, and comes from centring the texts: if one moves, the
#   mean moves, and all others move away from it. Without centring the matrix is diagonal; the hidden cell checks it.
# - **OrdinalCLIP helps by distance,** because that is how it is built: near ranks help, far ranks harm.
# - **Context and RankFormer help by wording.** *Very low* and *very high* lie three ranks apart and help each other, for
#   they share a word and the length of their sentence. Nothing in the model says that *low* is nearer.
#
# So ranks do borrow, and even along `token`, where no rank ever sees another. Seeing each other is not needed for it: all
# sentences go through the *same weights*. Teach these weights something about one sentence, and all sentences feel it.
#
# ## A suspicion
#
# *Very low* and *very high* share a word, but also a length. Which of the two does the work? And five ranks are few: do
# neighbours help each other where the names are regular, *twenty two*, *twenty seven*, *thirty three*? So once more with
# more ranks, and then again with digits in place of words. Same pictures, same ranks; only the names differ. One control
# without any attention joins: a learned vector for each slot, the same for all ranks (`gradients.SlotVectors`).


# %%
def measured(ranks: Ranks, centres: torch.Tensor) -> dict[str, torch.Tensor]:
    """Who helps whom, by what is trained."""
    found = learners(ranks, SEED)
    del found["own vectors"], found["OrdinalCLIP"]
    slots = SlotVectors(towers, ranks, seed=SEED)
    found["vector per slot"] = (slots, [slots.vectors])
    return {
        title: gradient_alignment(one(towers), centres, trains)
        for title, (one, trains) in found.items()
    }


count = scale["ranks"]
many = load_dataset(
    "leaves",
    ranks=count,
    size=count * scale["each"],
    seed=SEED,
    pixels=pixels,
)
many_centres = means(*labelled(many))
percent = many.ranks.template.replace("{rank}", "{rank} percent")
spoken = many.ranks
digits = Ranks(
    [f"{value:g}" for value in spoken.values], spoken.values, percent
)
by_words, by_digits = (
    measured(spoken, many_centres),
    measured(digits, many_centres),
)
length = RankPrompts(towers, spoken).tokens.words.sum(1)
alike = length[:, None] == length
assert RankPrompts(towers, digits).tokens.words.sum(1).unique().numel() == 1
for one in (spoken, digits):
    print(f"{count} names:", ", ".join(one.names[1:6]), "…")

# %% mystnb={"image": {"alt": "Three panels over the number of ranks between two ranks. Left: help with names in words, one line for each thing that is trained. Middle: a dot for every pair of ranks for axis rank, filled where both names have as many words, hollow where not. Right: the lines with names in digits."}, "figure": {"caption": "Help over the distance of two ranks. Left: names in words. Middle: the pairs behind one line of the left panel, axis rank. Right: names in digits. Solid lines are RankFormer, dotted is a learned vector for each slot, without attention.", "name": "fig-04-gap"}} tags=["hide-input"]
RED, VIOLET = look("full")[0], "#4b4e9e"
LEARNERS = {
    "context": ("#b0833a", "-."),
    "axis token": ("#4f8f4f", "-"),
    "axis rank": (RED, "-"),
    "axis joint": (VIOLET, "-"),
    "vector per slot": (RED, ":"),
}
i, j = np.triu_indices(count, 1)
with style():
    figure, axes = plt.subplots(
        1, 3, figsize=(7.8, 3.7), sharex=True, sharey=True, layout="constrained"
    )
    for axis, named in ((axes[0], by_words), (axes[2], by_digits)):
        for title, (colour, line) in LEARNERS.items():
            mean = mean_by_gap(named[title])
            style_of = {"color": colour, "linestyle": line, "label": title}
            axis.plot(range(1, count), mean, linewidth=2, **style_of)
    for same, face, label in (
        (True, RED, "same number of words"),
        (False, PAPER, "another number"),
    ):
        on = alike[i, j].numpy() == same
        at = (j - i)[on] + (-0.12 if same else 0.12)
        help_of = by_words["axis rank"][i, j][on]
        axes[1].scatter(at, help_of, s=22, c=face, edgecolor=RED, label=label)
    heads = ("Names in words", "All pairs, axis rank", "Names in digits")
    for axis, title in zip(axes, heads, strict=True):
        axis.axhline(0, color=COLOURS["reference"], lw=0.9, zorder=0)
        axis.set(title=title, xlabel="ranks apart", ylim=(-1, 1.05))
        axis.set_xticks(range(2, count, 2))
    axes[0].set_ylabel("helped (1) or harmed (−1)")
    axes[1].legend(loc="upper right", frameon=True, edgecolor="none")
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper left", ncols=5)

# %% tags=["hide-input", "nbval-ignore-output"]
gap = (torch.arange(count)[:, None] - torch.arange(count)).abs()
pairs = by_words["axis rank"]
near = {
    title: float(mean_by_gap(found)[0]) for title, found in by_words.items()
}
plain = {
    title: float(mean_by_gap(found)[0]) for title, found in by_digits.items()
}
far_alike = float(pairs[(gap > count / 2) & alike].mean())
near_unlike = float(pairs[(gap == 1) & ~alike].mean())
if PROFILE != "smoke":
    assert near["axis rank"] > near["axis token"] + 0.1
    assert near["vector per slot"] > near["axis rank"]
    assert far_alike > 0.2 > -0.2 > near_unlike
    assert max(plain.values()) - min(plain.values()) < 0.15
    assert min(plain.values()) > 0 > float(by_digits["context"][gap > 6].mean())
lines = [f"| next neighbours | {' | '.join(near)} |"]
lines.append("|---|" + "--:|" * len(near))
for kind, found in (("words", near), ("digits", plain)):
    cells_of = " | ".join(f"{value:.2f}" for value in found.values())
    lines.append(f"| names in {kind} | {cells_of} |")
lines.append(
    "\nAlong rank, with names in words: ranks *far* apart whose names have as many "
    f"words {far_alike:.2f}; *next* neighbours whose names do not {near_unlike:.2f}."
)
Markdown("\n".join(lines))

# %% [markdown]
# Stop at the left panel, and the idea of RankFormer has come true: neighbours help, and the axis `rank` helps most. The
# middle panel spoils it. Along `rank`, two ranks help each other if their names have *as many words*, however far apart
# they are, and harm each other if not, even next neighbours. The reason was in {numref}`fig-04-axes`: in a longer name
# everything slips one slot to the right, so that along `rank` only names of one length meet word by word. Neighbours
# often have names of one length; that is all. In digits every name has one token, and the advantage is gone.
#
# So it was the length, not the word. Look back at {numref}`fig-04-alignment`, at the panel of axis `rank`: there too the
# three short names stand against the two long ones.
#
# What is left in the right panel is real but small: near ranks help, far ranks harm. It does not come from RankFormer,
# for the context alone has it. It comes from the tower, which reads similar sentences alike, and from the pictures. Nor
# is attention needed for the effect of the slots: vectors without attention show it more strongly.
#
# Two limits: this is the start of training, where attention is nearly a mean, and what becomes of the pattern in a long
# training is not measured here; and help to first order is a tendency, not a better answer.
#
# ## What it costs
#
# By hand, for width $D$ and an inner width $H$ of the FFN: queries, keys, values and output of MSA take $4D^2 + 4D$
# numbers, the two layers of the FFN take $2DH + H + D$, the layer norm $2D$, and $\alpha$ is one.


# %%
def parameters(width: int, hidden: int = 2048) -> dict[str, int]:
    """Numbers that RankFormer learns, by part."""
    return {
        "MSA": 4 * width**2 + 4 * width,
        "FFN": 2 * width * hidden + hidden + width,
        "LN": 2 * width,
        "alpha": 1,
    }


by_hand = parameters(towers.width)
in_module = sum(p.numel() for p in RankFormer(towers.width).parameters())
tower = sum(p.numel() for p in towers.get_submodule("text").parameters())
assert sum(by_hand.values()) == in_module
for part, number in by_hand.items():
    print(f"{part:<6}{number:>12,}")
print(f"{'all':<6}{in_module:>12,}")
print(f"{'tower':<6}{tower:>12,}   the frozen text tower")

# %% [markdown]
# Attention compares pairs of slots: $K n^2$ along `token`, $n K^2$ along `rank`, $(Kn)^2$ along `joint`.

# %% tags=["hide-input"]
lines = [
    "| | " + " | ".join(f"`{a}`" for a in AXES) + " |",
    "|---|--:|--:|--:|",
]
n = words.shape[1]
for number, what in (
    (5, "leaves"),
    (62, "ages 16 to 77"),
    (101, "ages 0 to 100"),
):
    counts = (number * n**2, n * number**2, (number * n) ** 2)
    pairs = [f"{pairs_of:,}" for pairs_of in counts]
    lines.append(
        f"| {number} ranks, {what}, {n} slots | " + " | ".join(pairs) + " |"
    )
encoder = towers.get_submodule("text.bert.encoder").parameters()
in_tower = number * n * sum(p.numel() for p in encoder) / 1e9
width = towers.width
in_pairs = 2 * width * counts[-1] / 1e9
in_weights = number * n * in_module / 1e9
assert in_pairs + in_weights < in_tower
lines.append(
    f"\nFor {number} ranks, `joint` takes {in_pairs:.1f} billion multiplications for "
    f"its pairs and {in_weights:.1f} for its weights. The text tower takes "
    f"{in_tower:.1f} for its own."
)
Markdown("\n".join(lines))

# %% [markdown]
# After stage 1 all of it is gone: $R'$ no longer changes, the text features are computed once, and a prediction never
# meets RankFormer.
#
# ## So why use it?
#
# For it: it is cheap, it leaves no trace at inference, pictures of one rank teach the texts of some others, and stage 1 gets
# the freedom to bring sentences to their pictures.
#
# Against it: it does not know the order, it borrows by wording, and at the start a few shared vectors share as much. In
# {doc}`09_does_it_help`, with these towers, leaving it out was not shown to cost accuracy, and in {doc}`15_all_studies` no
# axis and no strength stood out.
#
# So the rare rank of the first paragraph can borrow, to first order and at the start, from the ranks whose names sound like its
# own; with most others it disagrees, and no rare rank was trained here. Two things
# follow for your ranks. Try it with and without: `Controls(rankformer=False)` is one setting. And with the axis `rank`, prefer
# names with the same number of tokens, so that like meets like.
#
# ## Exercises
#
# **1. Count the shifts.** Shorten the template to `{rank} damage`, with the five names *no, very low, low, high, very
# high*. How many different shifts can RankFormer give along each axis?


# %%
def check_shifts(token: int, rank: int, joint: int) -> None:
    """Compare three counts with what RankFormer does."""
    short = Ranks(ranks.names, ranks.values, template="{rank} damage")
    one = RankPrompts(towers, short)
    for axis, mine in zip(AXES, (token, rank, joint), strict=True):
        found = view.shift_groups(
            formers[axis], one.template_embeddings, one.tokens
        )
        right = int(found.max()) + 1
        hint = "too few" if mine < right else "too many"
        print(f"axis {axis:<5}:", "right" if mine == right else hint)


check_shifts(token=0, rank=0, joint=0)

# %% [markdown]
# :::{dropdown} Solution
# There are 12 words, and no sentence holds a word twice, so `token` can shift each in its own way. Along `rank` the first
# slot has four different words, the second three (*damage, low, high*), the third one. `joint` has one shift for each of
# the five different words.
# :::

# %% tags=["hide-cell"]
check_shifts(token=12, rank=8, joint=5)

# %% [markdown]
# **2. The size for CLIP.** The text tower of CLIP ViT-B/16 has embeddings of width 512. How many numbers does RankFormer
# learn there, with 8 heads and an inner width of 2048? Do the heads matter?


# %%
def check_size(mine: int) -> None:
    """Compare a number of parameters with the module's."""
    right = sum(p.numel() for p in RankFormer(512, heads=8).parameters())
    half = parameters(512)
    if mine == right:
        print("right")
    elif mine == half["MSA"] + half["FFN"]:
        print("nearly: the layer norm and α are missing")
    else:
        print("not yet: add MSA, FFN, LN and α")


check_size(0)

# %% [markdown]
# :::{dropdown} Solution
# Add $4 \cdot 512^2 + 4 \cdot 512$, $2 \cdot 512 \cdot 2048 + 2048 + 512$, $2 \cdot 512$ and $1$. The heads share the width
# among them, so their number does not matter.
# :::

# %% tags=["hide-cell"]
check_size(4 * 512**2 + 4 * 512 + 2 * 512 * 2048 + 2048 + 512 + 2 * 512 + 1)

# %% [markdown]
# **3. Twins.** With $\alpha = 1$ and before training, every word is zero. Which ranks can the text tower still tell
# apart? Give groups of ranks whose text features are equal.


# %%
def check_twins(*mine: set[int]) -> None:
    """Compare groups of ranks with equal text features."""
    one = RankPrompts(towers, ranks, alpha=1.0, centre=False)
    text = one(towers).detach()
    equal = torch.cdist(text, text) < 1e-3
    right = {frozenset(row.nonzero()[:, 0].tolist()) for row in equal}
    if {frozenset(group) for group in mine} == right:
        print("right")
    else:
        print(f"not yet: there are {len(right)} groups; look at the lengths")


check_twins({0}, {1}, {2}, {3}, {4})

# %% [markdown]
# :::{dropdown} Solution
# Only positions are left, so all that counts is how many words a sentence has: the names of one word are equal, and so
# are those of two.
# :::

# %% tags=["hide-cell"]
check_twins({0, 2, 3}, {1, 4})

# %% [markdown]
# **4. One number for all.** What values can $A_{ij}$ take if $\alpha$ alone is trained? Think first, then compute it.


# %%
def check_values(*mine: float) -> None:
    """Compare values with those of the matrix for α alone."""
    found = gradient_alignment(
        prompts(towers), means(features, targets), [prompts.rankformer.alpha]
    )
    right = {round(value) for value in found.flatten().tolist()}
    print(
        "right" if set(mine) == right else "not yet: g is a single number here"
    )


check_values(0.0)

# %% [markdown]
# :::{dropdown} Solution
# Divided by its length, a single number is 1 or −1, and so is a product of two of them: a change of $\alpha$ either suits
# a rank or it does not.
# :::

# %% tags=["hide-cell"]
check_values(-1, 1)

# %% [markdown]
# ## Summary
#
# - RankFormer refines word embeddings between the embedding table and the text tower; start, end and padding stay out of
#   it.
# - Along `token` no rank sees another; along `rank` and `joint` all do. The paper leaves the axis open, and a test tells
#   what a model does.
# - It knows no positions and no order. Copies of a word with the same words in sight move alike: `joint` is a dictionary.
# - $\alpha$ is a throttle on learning, not a bound: words move by more than the context does, and can move by more than
#   their length.
# - Ranks borrow from each other because they share weights, and by wording rather than by order: along `rank` by the
#   length of their names.
#
# ## What next
#
# - {doc}`05_losses`: where order enters.
# - {doc}`02_two_stages`: RankFormer in the whole method, trained to the end.
# - {doc}`09_does_it_help` and {doc}`15_all_studies`: what it is worth.
#
# ## Sources
#
# RankFormer is the idea of {cite:t}`wang2023learning`; the code is this package's own reading of it, with the zero start,
# the switch of the axis and the masks as ours. Attention is that of {cite:t}`vaswani2017attention`, context vectors those
# of {cite:t}`zhou2022learning`, blended rank vectors those of {cite:t}`li2022ordinalclip`, and the tangent kernel that of
# {cite:t}`jacot2018neural`.
