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
# # RankFormer, built
#
# Five sentences describe five ranks, and a frozen text tower turns each into a feature. The sentences were written by
# hand, so stage 1 of L2RCLIP ([Wang et al., 2023](references.md)) may improve them. It does not edit words. It moves their
# *embeddings*, the vectors that stand for words when they enter the tower. RankFormer is the small network that does
# this. You will build it in four steps of plain PyTorch, check that your module gives the same numbers as the
# package's, put the result back into the text tower, and watch stage 1 move the words.
#
# **You need.** `nn.Module`, autograd, and the idea of self-attention ([Vaswani et al., 2017](references.md)); the
# sentences come from [chapter 3](03_rank_templates.ipynb).
#
# **Time and hardware.** Less than a minute on a laptop, no GPU, no download.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more of all
SEED = 0  # decides the leaves and the random weights of the checks

# %% tags=["hide-input"]
import json
import math
import re

import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch import nn

from l2rclip_book import rankformer_figures as draw
from l2rclip_book.plots import style
from l2rclip_book.results import find_result
from l2rclip_lite import (
    L2RCLIP,
    RankFormer,
    RankPrompts,
    load_dataset,
    load_towers,
)
from l2rclip_lite.method import losses

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
scale = {
    "smoke": {"size": 30, "short": 1, "epochs": 1},
    "page": {"size": 200, "short": 2, "epochs": 4},
    "full": {"size": 1000, "short": 6, "epochs": 20},
}[PROFILE]
pixels = 64 if PROFILE == "smoke" else 96
data = load_dataset(
    "leaves", ranks=5, size=scale["size"], seed=SEED, pixels=pixels
)
towers = load_towers("mini", image_size=pixels).requires_grad_(False)

# %% mystnb={"image": {"alt": "Five rank sentences as rows of boxes: start, four context slots, words, end. Words are blue, context slots orange, start and end grey; the words of each rank's name are framed in the rank's colour. The end comes one slot later where the name has two words."}} tags=["hide-input"]
tokenized = towers.tokenize(data.ranks.sentences, template=data.ranks.template)
spelt = draw.spellings(towers, tokenized)
draw.token_grid(spelt, tokenized.rank_words, context=4)

# %% [markdown]
# **Figure 4.1.** What the text tower reads, one row per rank. RankFormer changes the blue words. The orange vectors are
# learned directly. Nothing changes the grey slots.
#
# ## Words become vectors
#
# A tokenizer cuts each sentence into tokens, and an embedding table gives each token a vector of $D$ numbers. For $K$
# ranks and sentences of at most $n$ tokens the result is one tensor, $R \in \mathbb{R}^{K \times n \times D}$. Two
# masks describe its slots. RankFormer uses `tokens.words`, which is True at words only. The tower uses `tokens.mask`,
# which is True at start and end, too, and False at padding. Start and end do not count as words, because the tower
# needs them unchanged: CLIP takes the feature of the whole sentence from the slot of its end token. (`template` only marks
# which words are the name of the rank, for figures and a baseline; this method trains the same without it.)

# %%
ranks = data.ranks
tokens = towers.tokenize(ranks.sentences, template=ranks.template)
words = tokens.words  # K x n, False at start, end and padding
R = towers.embed(tokens.ids)  # K x n x D
K, n, D = R.shape
print(f"K = {K} ranks, n = {n} slots, D = {D}, {words.sum()} words")

# %% [markdown]
# ## Four steps
#
# RankFormer is one line of algebra,
#
# $$
# R' = (1-\alpha)\,R + \alpha\,\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R))), \tag{4.1}
# $$
#
# but it hides several decisions. Here they are, in the order of computation.
#
# **Step 1: normalise, then let the ranks see each other.** LN is a layer norm. MSA is multi-head self-attention: each
# word receives a weighted mean over a set of words. We say that it *sees* these words, and *looks at* those with a
# large weight.
#
# `nn.MultiheadAttention` expects a batch of sequences. If you give it $R$ as it is, the sequences are sentences, and a
# word sees only its own sentence. Transpose the first two axes, and the sequences are *slots*, counted from 0 at
# the start token and without the context: the five words in slot 7, where the names begin, see each other.

# %%
norm = nn.LayerNorm(D)
attend = nn.MultiheadAttention(D, num_heads=8, batch_first=True)
x = norm(R).transpose(0, 1)  # n x K x D: one sequence per slot
print("attention weights:", tuple(attend(x, x, x)[1].shape))

# %% [markdown]
# In each of the 11 slots five ranks look at five ranks, but not all slots hold words.
#
# **Step 2: the mask.** `key_padding_mask` is True where a token must not be read, so the first idea is to pass the
# opposite of `words`. Count the slots that this breaks.


# %%
for ignore in (~words.T, ~words.T & words.T.any(1, keepdim=True)):
    heard = attend(x, x, x, key_padding_mask=ignore)[0]
    print("slots with NaN:", heard.isnan().any((1, 2)).sum().item())

# %% [markdown]
# The first slot holds the start token of every sentence, and the last slot holds only ends and padding. No word is left
# to look at there, and the softmax divides zero by zero. Step 4 would hide the NaN in the result. But in the backward pass its
# zero gradient is multiplied by NaN, which is NaN, and nearly all gradients of RankFormer are lost. The
# second mask leaves such slots unmasked: their five entries look at each other, and step 4 throws the result away.
#
# **Step 3: a network for each word.** FFN is two linear layers with a GELU between them, applied to each word. The last
# layer starts at zero, weights and bias. So before training the FFN returns zero, and stage 1 starts close to the
# sentences that a person wrote.
#
# **Step 4: blend, and put back what must not change.** $\alpha$, a learned number that starts at 0.1, mixes the new
# vector into the old one. `torch.where` then restores start, end and padding exactly.
#
# ## The module
#
# Put the four steps into a class. We call $\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$ the *shift* and give it a method
# of its own, so that the exercises can replace parts of the module.


# %%
class MyRankFormer(nn.Module):
    def __init__(self, D, heads=8, inner=2048, alpha=0.1):
        super().__init__()
        self.norm = nn.LayerNorm(D)
        self.attend = nn.MultiheadAttention(D, heads, batch_first=True)
        self.ffn = nn.Sequential(
            nn.Linear(D, inner), nn.GELU(), nn.Linear(inner, D)
        )
        nn.init.zeros_(self.ffn[2].weight)
        nn.init.zeros_(self.ffn[2].bias)
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def shift(self, R, words):
        x = self.norm(R).transpose(0, 1)
        ignore = ~words.T & words.T.any(1, keepdim=True)
        heard = self.attend(x, x, x, key_padding_mask=ignore)[0]
        return self.ffn(heard).transpose(0, 1)

    def forward(self, R, words):
        new = self.alpha * self.shift(R, words)
        blended = (1 - self.alpha) * R + new
        return torch.where(words[..., None], blended, R)


# %% [markdown]
# Does `MyRankFormer` equal the package's `RankFormer`? Copy your weights over, and compare. With the last layer at
# zero, almost any module would pass, so that layer first receives random numbers. Also, random numbers in start, end
# and padding must not reach any word, and sentences in another order must give the same results in that order.


# %% tags=["hide-input"]
def package_names(module: nn.Module) -> dict[str, torch.Tensor]:
    """Weights of `MyRankFormer` under the names of the package, whose blocks are numbered."""
    state = module.state_dict().items()
    return {re.sub(r"^(attend|ffn)", r"\1.0", name): w for name, w in state}


torch.manual_seed(SEED)
former = MyRankFormer(D)
nn.init.normal_(former.ffn[2].weight, std=0.02)
package = RankFormer(D)
package.load_state_dict(package_names(former))
with torch.no_grad():
    mine, theirs = former(R, words), package(R, tokens)
    noise = torch.randn(R.shape) * ~words[..., None]
    noisy = former(R + noise, words)[words]
    order = torch.tensor([3, 0, 4, 1, 2])
    mixed = former(R[order], words[order])
same = {
    "same numbers as the package": torch.allclose(mine, theirs, atol=1e-6),
    "start, end, padding unchanged": torch.equal(mine[~words], R[~words]),
    "start, end, padding not read": torch.allclose(
        noisy, mine[words], atol=1e-6
    ),
    "sentences reordered, results reordered": torch.allclose(
        mixed, mine[order], atol=1e-6
    ),
}
for what, holds in same.items():
    print(f"{what}: {holds}")

# %% tags=["remove-cell"]
assert all(same.values()), same

# %% [markdown]
# The last line has a consequence: nothing in RankFormer says that *low* comes below *high*. No position is added before
# the attention, and no rank value enters. Order can only come from the words in the tower
# ([chapter 3](03_rank_templates.ipynb)), from the images, and from the loss ([chapter 5](05_losses.ipynb)).
#
# ## Back into the text tower
#
# The refined words enter the tower in place of the vectors that it would have looked up. Between the start token and
# the words goes the *context* (Figure 4.1): $M$ learned vectors that all ranks share, as in CoOp
# ([Zhou et al., 2022](references.md)). They start as random vectors with the standard deviation of the word embeddings.
#
# The tower then adds its positions, with every word $M$ places further on, and runs its layers. The text tower of
# [mini](glossary.md) takes the mean over all real tokens. CLIP would use a causal mask, a final layer norm, the slot of the
# end token and a projection instead; nothing else on this page would change. Only `mini` has the parts
# `towers.text["bert"]` and `towers.text.mean` of this cell. For every tower
# `towers.encode_embeddings(slots, tokens.with_context(4))` replaces all that follows `slots`, but for the last line.

# %%
context = nn.Parameter(torch.randn(4, D) * R[words].std())


def text_features(former, context):
    refined, shared = former(R, words), context.expand(K, -1, -1)
    slots = torch.cat([refined[:, :1], shared, refined[:, 1:]], dim=1)
    mask = F.pad(tokens.mask, (len(context), 0), value=True)
    states = towers.text["bert"](
        inputs_embeds=slots, attention_mask=mask.long()
    ).last_hidden_state
    summed = (states * mask[..., None]).sum(1)  # over real tokens
    t = F.normalize(summed / mask.sum(1, keepdim=True), dim=1)
    t = F.normalize(t - towers.text.mean, dim=1)  # mean of all texts
    return F.normalize(t - t.mean(0), dim=1)  # mean of these K texts


# %% [markdown]
# The last two lines each move the origin. The first subtracts what all sentences of this tower have in common (a stored
# mean over a thousand class names). The second subtracts what these $K$ sentences have in common. Sentences that differ
# in one word are close together; without the second line their differences would be too small to train on. In the
# package `RankPrompts` does all of this.

# %% tags=["hide-input"]
prompts = RankPrompts(towers, ranks)
prompts.rankformer.load_state_dict(package_names(former))
prompts.context.data = context.data
with torch.no_grad():
    equal = torch.allclose(
        text_features(former, context), prompts(towers), atol=1e-5
    )
print("same text features as the package:", equal)

# %% tags=["remove-cell"]
assert equal

# %% [markdown]
# ## Three axes: who sees whom
#
# The transpose in step 1 was a choice. The paper speaks of attention over tokens, but the $K \cdot n$ tokens form a
# rectangle, and what we could read of it does not say along which side they look. The authors' repository lacks this
# part. The package therefore has a switch:
#
# - `token`: a word sees the words of its own sentence;
# - `rank`: a word sees the words in the same slot of all sentences (the default, and what you built);
# - `joint`: a word sees all words of all sentences.
#
# To test it, give the last layer random numbers, for with zeros a word reads only itself. Differentiate the new embedding of
# one word by all old embeddings, and colour every slot that has a gradient. Then disturb all words of one rank and see which ranks change.

# %% mystnb={"image": {"alt": "Three panels of the five sentences, one for each axis. The words that one framed word reads are coloured: its own row for axis token, its column for axis rank, all words for axis joint. Beside each panel a five by five table of who changes when a rank is disturbed: the diagonal alone for token, all cells for rank and joint."}} tags=["hide-input"]
torch.manual_seed(SEED)
AXES = ("token", "rank", "joint")
formers = {axis: draw.woken(RankFormer(D, axis=axis), SEED) for axis in AXES}
asked = (3, 7)  # rank, slot
reads = {a: draw.read_by(f, R, tokens, *asked) for a, f in formers.items()}
changes = {a: draw.changed_ranks(f, R, tokens) for a, f in formers.items()}
draw.axes_figure(reads, changes, spelt, asked)

# %% [markdown]
# **Figure 4.2.** Left: the words that one word (framed) reads along each axis. Right: disturb the words of one rank
# (row) and see whose new embeddings change (columns).

# %% tags=["remove-cell"]
others = ~torch.eye(K, dtype=torch.bool)
assert (changes["token"][others] == 0).all()
assert (changes["rank"][others] > 1e-6).all()
assert (changes["joint"][others] > 1e-6).all()

# %% [markdown]
# Along `token` each sentence is refined by itself. A claim that RankFormer relates *ranks* must mean one of the other
# two axes.
#
# Now read the coloured column of `rank` from top to bottom: *no, very, low, high, very*. A name of two words pushes the
# rest of its sentence one slot to the right. From there on, one slot holds different parts of the sentences.
# [Chapter 13](13_gradient_alignment.ipynb) shows what that does to a first step.
#
# ## What moves in stage 1
#
# Stage 1 trains RankFormer and the context. Both towers are frozen, so the image features $z$ can be computed once. The
# loss is ([2.1](02_two_stages.ipynb)), the sum of the two functions that [chapter 2](02_two_stages.ipynb) lists, and
# [chapter 5](05_losses.ipynb) takes it apart. All you need here is that it compares images with sentences, and that it
# knows the values $r$ of the ranks.

# %%
z = L2RCLIP(towers, ranks).encode(data.train)  # unit length, frozen
y = torch.tensor(data.train.targets)
r = ranks.values_tensor()


def stage_1_loss(z, t, y):
    own, labels = t[y], r[y]  # of each image: its sentence, its value
    loss = losses.asymmetrical_contrastive_loss(z, t, y, scale=20)
    return loss + losses.ordinal_pairwise_loss_stage1(z, own, own, labels)


# %% [markdown]
# Batches, optimiser and peak rate are those of the package, too. One thing is left out: here the rate neither climbs nor
# falls.


# %%
def stage_1(prompts, epochs):
    adam = torch.optim.Adam(prompts.parameters(), 3.5e-4, weight_decay=1e-4)
    torch.manual_seed(SEED)  # the same batches for all
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(16):
            loss = stage_1_loss(z[batch], prompts(towers), y[batch])
            adam.zero_grad()
            loss.backward()
            adam.step()
    return prompts


# %% [markdown]
# Three models follow, one per axis, with the same images and the same batches.

# %% mystnb={"image": {"alt": "The five sentences three times, one for each axis, every word with a number and a colour for how far it moved, in its own length. Start and end have no colour."}} tags=["hide-input", "nbval-ignore-output"]
trained = {
    axis: stage_1(RankPrompts(towers, ranks, axis=axis), scale["epochs"])
    for axis in AXES
}
moves = {
    a: draw.movement(one.rankformer, R, tokens) for a, one in trained.items()
}
draw.movement_figure(moves, spelt)

# %% [markdown]
# **Figure 4.3.** How far stage 1 moved each word, in lengths of that word, for the three axes. Equal words that see the
# same words move equally.

# %% tags=["hide-input", "nbval-ignore-output"]
name = tokens.rank_words
start = RankPrompts(towers, ranks).context.detach()
rows = {}
for axis, one in trained.items():
    drift = (one.context.detach() - start).norm(dim=1) / start.norm(dim=1)
    rows[axis] = {
        "rank names": float(moves[axis][name].mean()),
        "other words": float(moves[axis][words & ~name].mean()),
        "context": float(drift.mean()),
        "α at the end": one.rankformer.alpha.item(),
    }
moved = pd.DataFrame(rows).T.rename_axis("axis")
moved.round(2)

# %% tags=["remove-cell"]
assert all(float(far[~words].max()) == 0 for far in moves.values())
if PROFILE != "smoke":
    assert (moved["rank names"] > 2 * moved["context"]).all()
    assert (moved["other words"] > moved["rank names"] / 3).all()
    steps = scale["epochs"] * math.ceil(len(y) / 16)
    assert ((moved["α at the end"] - 0.1).abs() < 4e-4 * steps).all()

# %% [markdown]
# All numbers but $\alpha$ are in lengths of the vector that moved.
#
# - **Words travel further than the context.** Adam moves each number by about its learning rate per step. The context
#   consists of such numbers. A word is moved by a whole network, all of whose weights may change.
# - **Not only the names move.** Words that all ranks share, such as *photo* and *damage*, move by distances of the same
#   order.
# - **Copies move together.** Copies of a word that see the same words get the same shift, because nothing else can tell
#   the copies apart. Along `joint`, RankFormer is a dictionary with one new entry for each different word.
#
# ## Who looks at whom
#
# Ranks look at ranks, so one might hope that *low* learns to look at *very low* and at *high*. The weights can be read:
# `attention_weights` records them in the package's own forward pass. Take slot 8, which holds *damage* in three
# sentences and the second word of the name in two. How much attention does the *damage* of "no damage" pay to the
# three copies of *damage* in the slot, itself included, in the mean of the eight heads?

# %% tags=["nbval-ignore-output"]
copies = tokens.ids[:, 8] == tokens.ids[0, 8]  # of "damage", in slot 8
print(f"an even share for the copies: {copies.float().mean():.0%}")
for when, one in (
    ("before", RankPrompts(towers, ranks)),
    ("after", trained["rank"]),
):
    weights = draw.attention_weights(one.rankformer, R, tokens)
    print(f"{when}: {weights[8, 0, copies].sum():.0%} go to its copies")

# %% [markdown]
# Longer runs follow: the whole stage 1 of the package with its defaults, for the five names and for twelve percentages.
# In the built book you can pick any word of any sentence.

# %% mystnb={"image": {"alt": "Six matrices of attention weights between the words of a slot: above, before stage 1, nearly all cells are pale. Below, after it, cells where damage looks at damage are red and those where it looks at other words are blue; of the number words, most small ones look at zero and five, those from forty on at twenty and thirty."}} tags=["attention", "hide-input"]
file = find_result("attention.json")
shown = None  # without the repository there are no results
if file is not None:
    stored = json.loads(file.read_text(encoding="utf-8"))
    columns = [("names", 8), ("percents", 9), ("percents", 7)]
    shown = draw.attention_figure(stored, columns)
shown

# %% [markdown]
# **Figure 4.4.** Who looks at whom in one slot, in the mean of eight heads: a row looks, a column is looked at; red is
# more than an even share of the attention, blue is less. Equal words have equal rows and equal columns.

# %% tags=["hide-input"]
runs = []
for each in stored["sets"] if shown else []:
    runs += [{"ranks": each["title"]} | row for row in each["copies"]]
table = pd.DataFrame(
    runs, columns=["ranks", "seed", "slot", "even", "before", "after"]
)
table.set_index(["ranks", "seed", "slot"]).map("{:.0%}".format)

# %% [markdown]
# Attention compares words, not ranks. Where all sentences have *photo*, each copy gets the same weight, before and
# after; nothing else can be learned there. Where words differ, three things were learned.
#
# - **A shared word looks at its copies.** In each run of the table *damage* gives more of its attention to its copies after
#   training, and so does *percent* (the middle of Figure 4.4). What such a word receives then comes mostly from its own
#   vector.
# - **Number words fall roughly into two groups** in Figure 4.4. From *forty* on they look at *twenty* and
#   *thirty*, most smaller ones at *zero* and *five*; *sixteen* goes with the large ones.
# - **Neighbours are not singled out.** In slot 7 of the names, which you can pick in the built book, *low*
#   looks most at *no* and then at *high*, and *high* about as much at *low* as at each *very*. One *very* belongs to *very
#   high*, the other to *very low*, and attention cannot tell them apart.
#
# The weights show what a word looked at, not whether that helped. On images of 64 pixels, as here, stage 1 alone had no
# lower validation MAE than the median rank in any run of the table.
#
# ## What α does, and what it does not
#
# Before training, $R' = (1-\alpha)R$: every word becomes shorter by the share $\alpha$. After training, $\alpha$ multiplies what the
# FFN has learned. Hold $\alpha$ fixed at four values, one run each, and see how far words and texts move.

# %% mystnb={"image": {"alt": "Two panels over four values of alpha from 0.01 to 1, before training in grey and after a short stage 1 in red, with logarithmic vertical scales. Left: how far words move, in their own length. Right: how far the text features move."}} tags=["hide-input", "nbval-ignore-output"]
bare = RankPrompts(towers, ranks, rankformer=False)(towers).detach()
rows = []
for alpha in (0.01, 0.1, 0.5, 1.0):
    held = RankPrompts(towers, ranks, alpha=alpha, learn_alpha=False)
    for when, epochs in (("before", 0), ("after", scale["short"])):
        stage_1(held, epochs)
        far = draw.movement(held.rankformer, R, tokens)[words].mean()
        text = (held(towers).detach() - bare).norm(dim=1).mean()
        rows.append((f"{alpha:g}", when, float(far), float(text)))
PANELS = ["words, in lengths of the word", "text features, of length 1"]
strength = pd.DataFrame(rows, columns=["α", "training", *PANELS])
with style():
    grid = sns.relplot(
        strength.melt(["α", "training"], var_name="panel"),
        x="α", y="value", hue="training", style="training", col="panel",
        kind="line", markers=True, dashes=False, height=3, aspect=1.15,
        palette=["#76818e", "#c8553d"], facet_kws={"sharey": False},
    )  # fmt: skip
    grid.set(yscale="log").set_titles("{col_name}", loc="left")
    grid.set_axis_labels("α", "moved")
    for axis in grid.axes.flat:
        axis.yaxis.set_major_formatter("{x:g}")

# %% [markdown]
# **Figure 4.5.** α held fixed, before training (grey) and after a short stage 1 (red). Left: mean distance that a word
# moves. Right: mean distance between a text feature and the one without RankFormer; in the red curve the context was
# trained, too.

# %% tags=["hide-input", "nbval-ignore-output"]
at = strength.set_index(["training", "α"])
apart = float(torch.pdist(bare).mean())
first, second = at.loc["before", "0.1"], at.loc["after", "0.1"]
Markdown(
    f"At α = 0.1 and before training, a word is {first[PANELS[0]]:.0%} shorter, "
    f"and its text moves by {first[PANELS[1]]:.2f}, where two texts are "
    f"{apart:.2f} apart. After {scale['short']} epochs the words have "
    f"moved by {at.loc['after', '0.01'][PANELS[0]]:.2f}, {second[PANELS[0]]:.2f} and "
    f"{at.loc['after', '0.5'][PANELS[0]]:.2f} of their length for α = 0.01, 0.1 "
    "and 0.5."
)

# %% tags=["remove-cell"]
if PROFILE != "smoke":
    assert first[PANELS[1]] < 0.1 * apart
    assert second[PANELS[0]] > 2 * first[PANELS[0]]
    assert at.loc["after", "0.5"][PANELS[0]] > 1

# %% [markdown]
# - **Shorter words at the start are harmless** for a small $\alpha$: texts hardly move.
# - **A smaller α slows words down, and sets no bound.** The FFN may return vectors of any size: at α = 0.5 a word moves
#   further than its own length.
#
# Which axis gives the best answers? [Chapter 16](16_all_studies.ipynb) compares `token` with `rank`: on a frozen tower
# the error is higher with `token` on the mean of three sets, on a tuned one no difference is shown. `joint` was not
# tried.
#
# ## Why only stage 1 changes it
#
# In stage 1 the image features are constants, so only the sentences can move. In stage 2 the text features are computed
# once and *detached*, and the image tower learns against them. The loss below is ([2.2](02_two_stages.ipynb)); what
# matters is which input has a gradient.

# %%
prompts = trained["rank"]
t = prompts(towers).detach()  # K x D: all that stage 2 gets to know
images = z.clone().requires_grad_()  # stand for the image tower
prompts.zero_grad()
logits = 20 * images @ t.T
loss = F.cross_entropy(logits, y) + losses.ranked_probability_loss(logits, y)
loss.backward()
print("image side:", tuple(images.grad.shape))
print("text side:", {p.grad for p in prompts.parameters()})

# %% [markdown]
# So after stage 1, $R'$ and the texts are constants. A prediction multiplies an image feature by $t$ and needs neither
# RankFormer nor the text tower, so their size costs nothing there. And the image tower has a target that does not move.

# %% tags=["hide-input"]
size = sum(p.numel() for p in RankFormer(D).parameters())
tower = sum(p.numel() for p in towers.get_submodule("text").parameters())
Markdown(
    f"For width {D}, inner width 2048 and any number of heads, RankFormer has "
    f"{size:,} parameters. The frozen text tower has {tower:,}."
)

# %% tags=["remove-cell"]
assert {p.grad for p in prompts.parameters()} == {None}
inner = 2048
assert size == 4 * D**2 + 4 * D + 2 * D * inner + inner + D + 2 * D + 1

# %% [markdown]
# ## Exercises
#
# Each of the first three exercises replaces a part of `MyRankFormer` and inherits the rest. Their checks are in the
# next cell; unfold it to see how a wrong answer is recognised.


# %% tags=["hide-input"]
@torch.no_grad()
def check_token(kind: type[nn.Module]) -> None:
    """Compare a shift along the sentence with the package's axis `token`."""
    mine, theirs = kind(D), RankFormer(D, axis="token")
    nn.init.normal_(mine.ffn[2].weight, std=0.02)
    theirs.load_state_dict(package_names(mine))
    shift = mine.shift(R, words)
    along_ranks = MyRankFormer.shift(mine, R, words)
    noise = torch.randn(R.shape) * ~words[..., None]
    noisy = mine.shift(R + noise, words)
    if not shift.any():
        print("not yet: the shift is still zero")
    elif shift.shape != R.shape:
        print(f"not yet: a shift has the shape of R, not {tuple(shift.shape)}")
    elif torch.allclose(shift[words], along_ranks[words], atol=1e-5):
        print("not yet: words still look along the ranks; who is in a batch?")
    elif not torch.allclose(noisy[words], shift[words], atol=1e-4):
        print("not yet: words read start, end or padding; which mask fits?")
    elif torch.allclose(mine(R, words), theirs(R, tokens), atol=1e-5):
        print("right")
    else:
        print("not yet: it looks along the sentence, but something differs")


def check_gate(kind: type[nn.Module]) -> None:
    """Give every rank another gate, and ask each gate for its gradient."""
    mine = kind(D, K)
    gate = getattr(mine, "gate", None)
    if not isinstance(gate, nn.Parameter) or gate.numel() != K:
        print("not yet: self.gate must be a nn.Parameter, a number per rank")
        return
    try:
        start = mine(R, words).detach()
    except RuntimeError as error:
        print(
            f"not yet: a gate of shape {tuple(gate.shape)} does not fit: {error}"
        )
        return
    nn.init.normal_(mine.ffn[2].weight, std=0.02)
    gates = torch.tensor([-2.0, 1.0, 0.0, 2.0, -1.0])
    gate.data = gates.view_as(gate)
    yours = mine(R, words)
    yours.square().sum().backward()
    alpha = gates.sigmoid()[:, None, None]
    blend = (1 - alpha) * R + alpha * mine.shift(R, words).detach()
    far = (yours.detach() - blend).abs().amax(2)
    wrong = (far * words).amax(1).argmax()
    if not torch.equal(yours[~words], R[~words]):
        print("not yet: start, end or padding changed; keep torch.where")
    elif (far * words).max() > 1e-5:
        print(
            f"not yet: with the gates {gates.tolist()} rank {int(wrong)} gets"
        )
        print(f"another blend than with α = {float(alpha[wrong]):.2f}, the")
        print("sigmoid of its own gate")
    elif gate.grad is None or not gate.grad.all():
        print("not yet: no gradient reaches the gates, so they cannot learn")
    elif not torch.allclose(start[words], 0.9 * R[words], atol=1e-5):
        print("not yet: at the start α is 0.1; which gate has that sigmoid?")
    else:
        print("right")


@torch.no_grad()
def check_depth(kind: type[nn.Module]) -> None:
    """Compare three blocks with the package's `depth=3`."""
    torch.manual_seed(SEED)
    mine, theirs = kind(D, 3), draw.woken(RankFormer(D, depth=3))
    names = theirs.state_dict()
    if mine.state_dict().keys() != names.keys():
        print(
            "not yet: attend and ffn must be a nn.ModuleList of 3 blocks each"
        )
        return
    *inner, last = (layer[2] for layer in mine.ffn)
    speaks = bool(last.weight.any() or last.bias.any())
    silent = not all(layer.weight.any() for layer in inner)
    mine.load_state_dict(names)
    if speaks:
        print("not yet: the last block must start silent: its last layer is")
        print(
            "zero, weights and bias, or stage 1 starts far from the sentences"
        )
    elif silent:
        print(
            "not yet: only the last block starts silent; a zero in the middle"
        )
        print("leaves the next attention nothing to read")
    elif not torch.allclose(mine(R, words), theirs(R, tokens), atol=1e-4):
        print("not yet: each block must read what the block before it returned")
    else:
        print("right")


# %% [markdown]
# **1. From `rank` to `token`.** Write the shift for the other axis: a word sees the real words of its own sentence.


# %%
class TokenFormer(MyRankFormer):
    def shift(self, R, words):
        return torch.zeros_like(R)  # your lines


check_token(TokenFormer)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# $R$ is already a batch of sentences, so both transposes go, and the mask is `~words` as it is. No sentence is without
# words, so there is no NaN to prevent. The next cell, unfolded, has the code.
#
# </details>


# %% tags=["hide-cell"]
class TokenSolution(MyRankFormer):
    def shift(self, R, words):
        x = self.norm(R)
        return self.ffn(self.attend(x, x, x, key_padding_mask=~words)[0])


check_token(TokenSolution)

# %% [markdown]
# **2. A gate for each rank.** One $\alpha$ serves all ranks. Give each rank its own, and keep it between 0 and 1
# whatever Adam does: $\alpha_k = \mathrm{sigmoid}(g_k)$ with a learned $g_k$ in `self.gate`. Every $\alpha_k$ starts at
# 0.1.


# %%
class GatedFormer(MyRankFormer):
    def __init__(self, D, K):
        super().__init__(D)  # and your line: self.gate

    def forward(self, R, words):
        return super().forward(R, words)  # your lines


check_gate(GatedFormer)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The sigmoid of $\log(0.1/0.9)$ is 0.1. The shape must be $K \times 1 \times 1$: a gate of shape $K$ would be matched
# with the last axis of $R$, which is the width. The old `self.alpha` has no use any more; `self.alpha = None` removes
# it.
#
# </details>


# %% tags=["hide-cell"]
class GateSolution(MyRankFormer):
    def __init__(self, D, K):
        super().__init__(D)
        self.alpha = None
        self.gate = nn.Parameter(torch.full((K, 1, 1), math.log(0.1 / 0.9)))

    def forward(self, R, words):
        alpha = self.gate.sigmoid()
        blended = (1 - alpha) * R + alpha * self.shift(R, words)
        return torch.where(words[..., None], blended, R)


check_gate(GateSolution)

# %% [markdown]
# **3. Deeper.** Stack `depth` blocks of attention and FFN inside one blend: one norm in front, one $\alpha$ behind.
# Make `self.attend` and `self.ffn` an `nn.ModuleList` of `depth` parts each; an attention reads what the FFN before it
# returned, and nothing is added in between. Which last layers must start at zero?


# %%
class DeepFormer(MyRankFormer):
    def __init__(self, D, depth):
        super().__init__(D)  # and your lines: self.attend, self.ffn

    def shift(self, R, words):
        return super().shift(R, words)  # your lines


check_depth(DeepFormer)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Make `depth` copies of each part, take care of the zeros, and run through both lists together. Only the last block
# starts at zero. If an earlier one did, every word would enter the next attention as the same vector, zero, and the last
# block could not tell words apart.
#
# </details>


# %% tags=["hide-cell"]
class DeepSolution(MyRankFormer):
    def __init__(self, D, depth):
        super().__init__(D)
        blocks = [MyRankFormer(D) for _ in range(depth)]
        self.attend = nn.ModuleList(block.attend for block in blocks)
        self.ffn = nn.ModuleList(block.ffn for block in blocks)
        for ffn in self.ffn[:-1]:
            ffn[2].reset_parameters()

    def shift(self, R, words):
        x = self.norm(R).transpose(0, 1)
        ignore = ~words.T & words.T.any(1, keepdim=True)
        for attend, ffn in zip(self.attend, self.ffn, strict=True):
            x = ffn(attend(x, x, x, key_padding_mask=ignore)[0])
        return x.transpose(0, 1)


check_depth(DeepSolution)

# %% [markdown]
# **4. Count the shifts.** Predict, then run. Choose five names of your own for the damage of a leaf, some of one word
# and some of more. Each of the five sentences has the word *damage*: five copies of one vector. Before you run it,
# write down for each axis how many different shifts the five copies get.


# %% tags=["hide-input"]
@torch.no_grad()
def check_copies(names: tuple[str, ...], forecast: dict[str, int]) -> None:
    """Count the different shifts of one word, and compare a forecast."""
    if len(set(names)) != 5 or set(names) == set(ranks.names):
        print("not yet: five different names, not those of the page")
        return
    sentences = [ranks.template.replace("{rank}", name) for name in names]
    own = towers.tokenize(sentences, template=ranks.template)
    copies = own.ids == tokens.ids[0, 8]  # the word damage
    slots = copies.nonzero()[:, 1].tolist()
    if len(slots) != 5 or len(set(slots)) == 1:
        print(f"not yet: damage is in the slots {slots}; let it be in five")
        print("sentences, and not always in the same slot")
        return
    hints = {
        "token": "a copy sees the words of its sentence, in any order",
        "rank": f"a copy sees the words of its slot, here {slots}",
        "joint": "every copy sees all words of all sentences",
    }
    for axis, hint in hints.items():
        woken = draw.woken(RankFormer(D, axis=axis))
        moved = woken(towers.embed(own.ids), own)[copies].double()
        count = len((torch.cdist(moved, moved) < 1e-3).unique(dim=0))
        if forecast.get(axis) != count:
            print(f"not yet: along {axis} there are {count}; {hint}")
            return
    print(f"right; damage is in the slots {slots}")


# %%
names = ("no", "very low", "low", "high", "very high")  # yours
forecast = {"token": 0, "rank": 0, "joint": 0}  # yours
check_copies(names, forecast)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Copies that see the same words get the same shift. Along `token` they see different sentences. Along `rank` they see
# their slot, so there are as many shifts as there are lengths of names, counted in tokens. Along `joint` all see
# everything. The second set of names in the next cell has only four shifts along `token`: RankFormer has no positions,
# so *very low* and *low very* are the same to it.
#
# </details>

# %% tags=["hide-cell"]
names = ("no", "a little", "some", "a lot of", "total")
check_copies(names, {"token": 5, "rank": 3, "joint": 1})
turned = ("no", "very low", "low very", "low", "high")
check_copies(turned, {"token": 4, "rank": 2, "joint": 1})

# %% [markdown]
# ## Three questions
#
# **The names are *zero* to *four*, one token each, and the axis is `rank`. In which slots can the shifts of two
# sentences differ?**
#
# <details>
# <summary>Answer</summary>
#
# Only in the slot of the name. In every other slot five copies of one word see each other and get the same shift, so
# all sentences change there in the same way. What tells the ranks apart enters in one slot, and the text tower spreads
# it.
#
# </details>
#
# **To start at the sentences as they were written, you could also set $\alpha = 0$ and give the FFN random weights.
# Which parameters of RankFormer would get a gradient other than zero from the loss in the first step?**
#
# <details>
# <summary>Answer</summary>
#
# Only $\alpha$: the gradient of every other weight is multiplied by $\alpha$, which is 0. (The
# weight decay of Adam would shrink the others, whatever the images say.) And the first thing that a larger $\alpha$ blends
# in would be random vectors. With a last layer of zeros and $\alpha$ at 0.1 that
# layer learns at once.
#
# </details>
#
# **After stage 1 you want a sixth rank. Can you send its sentence alone through the trained RankFormer?**
#
# <details>
# <summary>Answer</summary>
#
# Along `rank` and `joint` no: a shift depends on the other sentences, so all six must enter together, and the first
# five may change, too. Along `token` a sentence can go alone. Even then the mean over the texts, which is subtracted
# last, changes for all.
#
# </details>
#
# ## Summary
#
# - RankFormer normalises the word embeddings, lets the words in one slot of all sentences see each other, passes each
#   through an FFN that starts at zero, and blends the result into the old words with $\alpha$. Start, end and padding
#   stay as they are.
# - Context vectors go in after the start token, and the frozen tower encodes the whole sequence. Two centrings follow.
# - Along `token` no rank sees another; along `rank` and `joint` all do. We found no source that says which the paper
#   took.
# - RankFormer has no positions and no order. A word that several sentences share learned to look at its own copies, in
#   slots where it meets other words. $\alpha$ slows words down and sets no bound.
# - Only stage 1 trains RankFormer. Afterwards its output is a constant, and it costs nothing at prediction.
#
# Next: [chapter 5](05_losses.ipynb) adds order to the loss. [Chapter 13](13_gradient_alignment.ipynb) measures what the
# images of one rank teach the texts of the others.
#
# ## Sources
#
# RankFormer is the idea of [Wang et al. (2023)](references.md); the code is this package's own reading of it. The zero
# start, the switch of the axis and the masks are ours. Attention is from [Vaswani et al. (2017)](references.md),
# context vectors from [Zhou et al. (2022)](references.md).
