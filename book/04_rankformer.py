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
# Five sentences describe five ranks. RankFormer, a small network inside L2RCLIP ([Wang et al., 2023](references.md)),
# takes all five at once and refines them. It does not edit words. It moves their *embeddings*, the vectors that enter
# the text tower. You have second thoughts about the last sentence and write *almost total* where it said *very high*.
# Which of the other four come out different?
#
# You will build RankFormer line by line from its formula, and show that it gives the same numbers as the package's.
#
# **You need.** `nn.Module` and autograd; self-attention is explained on the way. The sentences come from [chapter
# 3](03_rank_templates.ipynb).
#
# **Time and hardware.** Less than a minute on a laptop, no GPU, no download.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke, page and full do the same: nothing is trained
SEED = 0  # decides the random weights

# %% tags=["hide-input"]
import json
import re

import torch
import torch.nn.functional as F
from torch import nn

from l2rclip_book import rankformer_figures as draw
from l2rclip_book.results import find_result
from l2rclip_lite import RankFormer, RankPrompts, Ranks, load_towers

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
names = ("no", "very low", "low", "high", "very high")
ranks = Ranks(names, range(5), "a photo of a leaf with {rank} damage")
towers = load_towers("mini").requires_grad_(False)

# %% mystnb={"image": {"alt": "Five rank sentences as rows of boxes: start, the words, end. In the last row the words almost and total are red. A question mark stands behind each of the other four rows."}} tags=["hide-input"]
edit = "a photo of a leaf with almost total damage"
tokens = towers.tokenize(ranks.sentences)
edited = towers.tokenize([*ranks.sentences[:-1], edit])
draw.question_grid(draw.spellings(towers, edited), edited.ids != tokens.ids)

# %% [markdown]
# **Figure 4.1.** Five sentences, one per rank, cut into slots. Two words of the last one are new. Which of the other
# refined sentences change with them?
#
# ## From formula to code
#
# A tokenizer cuts each sentence into tokens, and an embedding table gives each token a vector of $D$ numbers. For $K$
# ranks and sentences of at most $n$ tokens the result is one tensor, $R \in \mathbb{R}^{K \times n \times D}$.

# %%
R = towers.embed(tokens.ids)
R_edited = towers.embed(edited.ids)
K, n, D = R.shape
print(f"K = {K} ranks, n = {n} slots, D = {D}")

# %% [markdown]
# RankFormer is one line of algebra,
#
# $$
# R' = (1-\alpha)\,R + \alpha\,\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R))), \tag{4.1}
# $$
#
# and each symbol is one line of PyTorch:
#
# | formula | code | meaning |
# |---|---|---|
# | $X = \mathrm{LN}(R)$ | `norm(R)` | each vector brought to mean 0 and variance 1 |
# | $H = \mathrm{MSA}(X)$ | `attend(x, x, x)[0]` | self-attention: weighted means, one for each of eight *heads*, of the vectors that a word sees |
# | $\mathrm{FFN}(H)$ | `ffn(heard)` | two linear layers with a GELU between them, for each word alone |
# | $(1-\alpha)\,R + \alpha \cdots$ | `forward` | blend the old and the new vector; $\alpha$ is learned and starts at 0.1 |
#
# We call $\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$ the *shift* and give it a method of its own.


# %%
class FirstTry(nn.Module):
    def __init__(self, D, heads=8, inner=2048, alpha=0.1):
        super().__init__()
        self.norm = nn.LayerNorm(D)
        self.attend = nn.MultiheadAttention(D, heads, batch_first=True)
        self.ffn = nn.Sequential(
            nn.Linear(D, inner), nn.GELU(), nn.Linear(inner, D)
        )
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def shift(self, R):
        x = self.norm(R)
        heard = self.attend(x, x, x)[0]
        return self.ffn(heard)

    def forward(self, R):
        return (1 - self.alpha) * R + self.alpha * self.shift(R)


torch.manual_seed(SEED)
first = FirstTry(D)
print("R' has the shape", tuple(first(R).shape))

# %% [markdown]
# It runs, the shapes fit, and nothing warns. Now exchange the two words. Besides *very high* itself, which sentences
# change? Look at `attend(x, x, x)` once more before you bet.
#
# - `"none"`: each sentence is refined by itself.
# - `"its neighbour"`: *high*, the rank next to it.
# - `"all four"`: every sentence hears of the new words.

# %%
bet = ""  # yours: "none", "its neighbour" or "all four"


# %%
def changed(refine):
    """Names of the ranks whose R' changes with the last sentence."""
    moved = (refine(R_edited) - refine(R)).abs().amax((1, 2))
    return [ranks.names[k] for k in range(K) if moved[k] > 1e-6]


print(f"Your bet: {bet}." if bet else "No bet.")
print("Changed:", changed(first))

# %% [markdown]
# **None of them.** The five sentences went through one call, and no rank saw another. A public copy of the method has
# the same lines, with a comment that here the ranks perceive each other. Don't take a comment's word for it; test it.
#
# ## One transpose
#
# `nn.MultiheadAttention` takes its first axis for a batch: sequences that have nothing to do with each other. The first
# axis of $R$ is the ranks. So with `attend(x, x, x)` a word of rank $k$ in slot $i$ receives a mean over the slots $j$ of
# its own sentence. For one head, without its linear maps, that is
#
# $$
# h_{ki} = \sum_{j} a_{ij}\, x_{kj}. \tag{4.2}
# $$
#
# Swap the first two axes with `x.transpose(0, 1)`, and the sequences are slots. The same word now receives a mean over
# the ranks $l$ in its slot:
#
# $$
# h_{ki} = \sum_{l} a_{kl}\, x_{li}. \tag{4.3}
# $$
#
# The weights are large where two vectors match: up to a scale,
# $a_{ij}=\operatorname{softmax}_j(W_qx_{ki}\cdot W_kx_{kj})$ with learned matrices $W$. So `attend` takes `x` three
# times: to ask, to be matched, and to be averaged.


# %%
class Transposed(FirstTry):
    def shift(self, R):
        x = self.norm(R).transpose(0, 1)  # n x K x D: one sequence per slot
        heard = self.attend(x, x, x)[0]
        return self.ffn(heard).transpose(0, 1)


second = Transposed(D)
second.load_state_dict(first.state_dict())  # the same parameters
print("Changed:", changed(second))

# %% [markdown]
# The same parameters, one transpose, and every rank sees every other.
#
# The paper speaks of attention over tokens. The $K \cdot n$ tokens form a rectangle, and we found no line that says along
# which side they look; the authors' repository lacks this part. So the package has a switch, `axis`:
#
# - `token`: a word sees the words of its own sentence, (4.2);
# - `rank`: a word sees the words in its slot of all sentences, (4.3), the default;
# - `joint`: a word sees all words of all sentences.
#
# Does it matter? In [chapter 15](15_all_studies.ipynb) RankFormer reduces the error of a frozen tower; between
# `token` and `rank` no difference was found.

# %% mystnb={"image": {"alt": "Three panels of the five sentences, one for each axis. The words that one framed word reads are coloured: its own row for axis token, its column for axis rank, all words for axis joint. Beside each panel a five by five table of who changes when a rank gets new words: the diagonal alone for token, all cells for rank and joint."}} tags=["hide-input"]
torch.manual_seed(SEED)
AXES = ("token", "rank", "joint")
formers = {axis: draw.woken(RankFormer(D, axis=axis), SEED) for axis in AXES}
asked = (3, 7)  # rank, slot
reads = {a: draw.read_by(f, R, tokens, *asked) for a, f in formers.items()}
changes = {a: draw.changed_ranks(f, R, tokens) for a, f in formers.items()}
draw.axes_figure(reads, changes, draw.spellings(towers, tokens), asked)

# %% [markdown]
# **Figure 4.2.** Left: red are the words that the framed word reads along each axis. Right: give the sentence of a row
# new words, and the ranks of the red columns change.

# %% tags=["remove-cell"]
others = ~torch.eye(K, dtype=torch.bool)
assert (changes["token"][others] == 0).all()
assert (changes["rank"][others] > 1e-6).all()
assert (changes["joint"][others] > 1e-6).all()

# %% [markdown]
# Read the red column of `rank` from top to bottom: *no, very, low, high, very*. One slot later *damage* meets *low* and
# *high*, because a name of two words pushes the rest of its sentence to the right. Attention along `rank` compares
# slots, whatever stands in them.
#
# Along every axis ranks share the parameters, so in training the images of one rank move the sentences of all.
# [Chapter 12](12_gradient_alignment.ipynb) measures how much.
#
# ## Words only: a NaN that hides
#
# The text tower needs its start and end tokens unchanged: CLIP takes the feature of the whole sentence from the slot
# of the end token (`mini` takes the mean over tokens). `tokens.words` is True at words and False at start, end and
# padding. It is needed twice. In attention, `key_padding_mask` is True where nothing may be *read*. In the blend,
# `torch.where` decides what may be *written*: (4.1) where a slot holds a word, $R'_{ki} = R_{ki}$ elsewhere.


# %%
class Masked(Transposed):
    def shift(self, R, words):
        x = self.norm(R).transpose(0, 1)
        heard = self.attend(x, x, x, key_padding_mask=~words.T)[0]
        return self.ffn(heard).transpose(0, 1)

    def forward(self, R, words):
        blended = (1 - self.alpha) * R + self.alpha * self.shift(R, words)
        return torch.where(words[..., None], blended, R)


words = tokens.words  # K x n
third = Masked(D)
nan = third.shift(R, words).isnan().any(dim=2).any(dim=0)
print("Slots with NaN in the shift:", nan.nonzero().flatten().tolist())
print("NaN in R':", third(R, words).isnan().sum().item())

# %% [markdown]
# The first slot holds the start of every sentence, and the last one only ends and padding. No word is left there to
# look at, and the softmax divides zero by zero. But `torch.where` hides it: $R'$ is clean. Is it safe to train?
# RankFormer has 11 parameter tensors. Take any loss of the clean $R'$, and call `backward()`. How many of the 11 get
# a gradient with NaN in it?
#
# - `"none"`: what `torch.where` throws away has no part in the loss.
# - `"some"`: those of the attention, where the NaN arises.
# - `"nearly all"`: it spreads on the way back.

# %%
bet = ""  # yours: "none", "some" or "nearly all"


# %%
def nan_gradients(former):
    """Count the parameter tensors whose gradient has NaN in it."""
    former.zero_grad()
    former(R, words).square().mean().backward()
    spoilt = [p.grad.isnan().any().item() for p in former.parameters()]
    return f"{sum(spoilt)} of {len(spoilt)}"


print(f"Your bet: {bet}." if bet else "No bet.")
print("NaN gradients:", nan_gradients(third))

# %% [markdown]
# **Nearly all.** The hidden slots get a gradient of zero, but on its way back zero is multiplied by NaN, which is NaN.
# Only the bias of the last layer escapes. One step of Adam would destroy the module, and the output had looked clean.
#
# The repair is half a line, `& words.T.any(1, keepdim=True)`: where a slot holds no word at all, mask nothing. Its five
# entries look at each other, and `torch.where` throws the result away.
#
# ## The module
#
# One decision is left. Random numbers in the last layer would blend noise into every sentence before an image has been
# seen. So the last layer starts at zero, weights and bias. The shift is then zero, and training starts at
# $R' = (1-\alpha)\,R$: the sentences that a person wrote, every word's vector a tenth shorter.


# %%
class MyRankFormer(nn.Module):
    def __init__(self, D, heads=8, inner=2048, alpha=0.1):
        super().__init__()
        self.norm = nn.LayerNorm(D)  # LN
        self.attend = nn.MultiheadAttention(D, heads, batch_first=True)  # MSA
        self.ffn = nn.Sequential(  # FFN
            nn.Linear(D, inner), nn.GELU(), nn.Linear(inner, D)
        )
        nn.init.zeros_(self.ffn[2].weight)
        nn.init.zeros_(self.ffn[2].bias)
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def shift(self, R, words):
        x = self.norm(R).transpose(0, 1)  # ranks see ranks, (4.3)
        ignore = ~words.T & words.T.any(1, keepdim=True)  # no NaN
        heard = self.attend(x, x, x, key_padding_mask=ignore)[0]
        return self.ffn(heard).transpose(0, 1)

    def forward(self, R, words):
        blended = (1 - self.alpha) * R + self.alpha * self.shift(R, words)
        return torch.where(words[..., None], blended, R)  # (4.1) at words


print("NaN gradients:", nan_gradients(MyRankFormer(D)))

# %% [markdown]
# ## Back into the text tower
#
# The refined words enter the tower in place of the vectors that it would have looked up. Behind the start token come
# $M = 4$ *context* vectors $v$, which are learned and shared by all ranks, as in CoOp
# ([Zhou et al., 2022](references.md)). The frozen tower then gives each rank its text feature:
#
# $$
# t_k = \mathrm{text}\big([\mathrm{start}]\; v_1 \dots v_M\; R'_k\; [\mathrm{end}]\big), \tag{4.4}
# $$
#
# centred over the ranks as in [chapter 3](03_rank_templates.ipynb), because sentences that differ in one word are close
# together. After stage 1 the $t_k$ are constants, and a prediction runs neither RankFormer nor the text tower.


# %%
def text_features(former, context):
    refined = former(R, words)  # start and end are in it, unchanged
    v = context.expand(K, -1, -1)
    slots = torch.cat([refined[:, :1], v, refined[:, 1:]], dim=1)
    t = towers.encode_embeddings(slots, tokens.with_context(len(context)))
    return F.normalize(t - t.mean(0), dim=1)


# %% [markdown]
# ## The same numbers as the package
#
# Copy your parameters into the package's `RankFormer` and into `RankPrompts`, its (4.4), and compare. A shift of zero
# would let almost any module pass, so the last layer first gets random numbers. Three more tests: start, end and
# padding must stay as they were, and go unread; sentences in another order must give the same results in that order.


# %% tags=["hide-input"]
def package_names(module):
    """Return the parameters under the names of the package, whose blocks are numbered."""
    state = module.state_dict().items()
    return {re.sub(r"^(attend|ffn)", r"\1.0", name): w for name, w in state}


torch.manual_seed(SEED)
former = MyRankFormer(D)
nn.init.normal_(former.ffn[2].weight, std=0.02)
context = torch.randn(4, D) * R[words].std()
package = RankFormer(D)
package.load_state_dict(package_names(former))
prompts = RankPrompts(towers, ranks)
prompts.rankformer.load_state_dict(package_names(former))
prompts.context.data = context

with torch.no_grad():
    mine = former(R, words)
    noise = torch.randn(R.shape) * ~words[..., None]
    noisy = former(R + noise, words)
    order = torch.tensor([3, 0, 4, 1, 2])
    pairs = {
        "R' of the package": (mine, package(R, tokens)),
        "t of the package": (text_features(former, context), prompts(towers)),
        "start, end, padding as they were": (mine[~words], R[~words]),
        "start, end, padding not read": (mine[words], noisy[words]),
        "another order": (mine[order], former(R[order], words[order])),
    }
same = {what: torch.allclose(*pair, atol=1e-5) for what, pair in pairs.items()}
for what, holds in same.items():
    print(f"{what}: {'equal' if holds else 'different'}")

# %% tags=["remove-cell"]
assert all(same.values()), same

# %% [markdown]
# The last line has a consequence: **RankFormer does not know that *low* comes below *high*.** No position enters the
# attention, and no value of a rank. Order can only come from the words, which is [chapter 3](03_rank_templates.ipynb),
# from the images, and from the loss, which is [chapter 5](05_losses.ipynb).
#
# ## Who looks at whom
#
# What does attention learn? Here are its weights in two slots of Figure 4.2, before stage 1 and after it: the mean of
# eight heads, from a stored run of the package with its defaults.

# %% mystnb={"image": {"alt": "Four matrices of attention weights between the words of one slot. Before stage 1 all cells are pale. After it, cells where very looks at very, and damage at damage, are red."}} tags=["attention", "hide-input"]
file = find_result("attention.json")
shown = None  # without the repository there are no results
if file is not None:
    stored = json.loads(file.read_text(encoding="utf-8"))
    shown = draw.attention_figure(stored, [7, 8])
shown

# %% [markdown]
# **Figure 4.3.** A row looks, a column is looked at; red is more than an even share of the attention, blue is less.
#
# A word that several sentences share looks at its copies: *very* hears *very*, *damage* hears *damage*. Neighbouring
# ranks are not singled out.
#
# ## Exercises
#
# **1. The third axis.** Write the shift along `joint`: every word sees every word of every sentence.

# %% tags=["hide-input"]
VERDICTS = {
    "joint": "right",
    "rank": "not yet: words still see only their slot; what is a sequence?",
    "token": "not yet: words see only their sentence; what is a sequence?",
}


@torch.no_grad()
def check_joint(kind):
    """Compare a shift with those of the package along all axes."""
    torch.manual_seed(SEED)
    yours = kind(D)
    nn.init.normal_(yours.ffn[2].weight, std=0.02)
    shift = yours.shift(R, words)
    if shift.shape != R.shape:
        print(f"not yet: a shift has the shape of R, not {tuple(shift.shape)}")
        return
    noisy = yours.shift(R + noise, words)
    hint = "not yet: it sees all words, but something differs"
    if not torch.allclose(noisy[words], shift[words], atol=1e-4):
        hint = "not yet: words read start, end or padding; which mask fits?"
    if not shift.any():
        hint = "not yet: the shift is still zero"
    for axis, verdict in VERDICTS.items():
        theirs = RankFormer(D, axis=axis)
        theirs.load_state_dict(package_names(yours))
        if torch.allclose(yours(R, words), theirs(R, tokens), atol=1e-5):
            hint = verdict
    print(hint)


# %%
class JointFormer(MyRankFormer):
    def shift(self, R, words):
        return torch.zeros_like(R)  # your lines


check_joint(JointFormer)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Make one sequence of all $K \cdot n$ slots, and go back to the shape of $R$ at the end. One mask of the same length
# belongs to it. This sequence always has words, so there is no NaN to prevent. The next cell, unfolded, has the code.
#
# </details>


# %% tags=["hide-cell"]
class JointSolution(MyRankFormer):
    def shift(self, R, words):
        x = self.norm(R).flatten(0, 1)[None]  # 1 x (K n) x D
        ignore = ~words.flatten()[None]
        heard = self.attend(x, x, x, key_padding_mask=ignore)[0]
        return self.ffn(heard).view_as(R)


check_joint(JointSolution)

# %% [markdown]
# **2. Count the shifts.** Predict, then run. Choose five names of your own for the damage of a leaf, some of one word
# and some of more. Each of the five sentences has the word *damage*: five copies of one vector. Before you run it,
# write down for each axis how many different shifts the five copies get.


# %% tags=["hide-input"]
@torch.no_grad()
def check_copies(names, forecast):
    """Count the different shifts of one word, and compare a forecast."""
    if len(set(names)) != 5 or set(names) == set(ranks.names):
        print("not yet: five different names, not those of the page")
        return
    own = towers.tokenize([edit.replace("almost total", x) for x in names])
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
# everything. The second five names in the next cell have only four shifts along `token`: RankFormer has no positions,
# so *very low* and *low very* are the same to it.
#
# </details>

# %% tags=["hide-cell"]
names = ("no", "a little", "some", "a lot of", "total")
check_copies(names, {"token": 5, "rank": 3, "joint": 1})
turned = ("no", "very low", "low very", "low", "high")
check_copies(turned, {"token": 4, "rank": 2, "joint": 1})

# %% [markdown]
# ## Summary
#
# - One transpose decides which rank sees which. Without it RankFormer refines each sentence alone, and nothing warns.
#   Change one input and see which outputs move: that test takes three lines.
# - A NaN that `torch.where` hides in the output comes back in the gradients.
# - RankFormer changes words and leaves start, end and padding as they are. Its last layer starts at zero, so training
#   starts at the sentences that a person wrote.
# - It has no positions and no order. Words, images and the loss must bring the order.
#
# Next, [chapter 5](05_losses.ipynb) adds order to the loss.
#
# ## Sources
#
# RankFormer is the idea of [Wang et al. (2023)](references.md); the code is this package's own reading of it. The zero
# start, the switch of the axis and the masks are ours. Attention is from [Vaswani et al. (2017)](references.md),
# context vectors from [Zhou et al. (2022)](references.md).
