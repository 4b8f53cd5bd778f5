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
# # What sentences know: rank templates
#
# Take a network that has read a great deal and never seen a face. Give it sixty-two sentences, from "a photo of a
# sixteen years old face" to "a photo of a seventy seven years old face", and let it turn each into a vector. Do the
# vectors keep the order of the ages, although nobody trained them to? L2RCLIP ([Wang et al., 2023](references.md))
# assumes that they do: it starts from the order that sentences have before any training on ranks. In this chapter you
# build these sentences and their features, measure how much order the features hold, and find out where that order
# comes from.
#
# **You need.** Cosine similarity ([chapter 1](01_ordinal_classification.ipynb)), and tensors in PyTorch.
#
# **Time and hardware.** Less than a minute on a laptop's CPU; no GPU, no download.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more controls
SEED = 0  # decides random weights, shuffles and leaves

# %% tags=["hide-input", "nbval-ignore-output"]
from collections.abc import Callable
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from scipy.stats import spearmanr
from torch import Tensor

from l2rclip_book.plots import style
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
    token_figure,
    token_rows,
)
from l2rclip_lite import L2RCLIP, Ranks, load_dataset, load_towers
from l2rclip_lite.baselines.probes import bare_sentences
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.towers.base import Towers

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

scale = {
    "smoke": {"networks": 1, "shuffles": 30, "leaves": 15},
    "page": {"networks": 3, "shuffles": 2000, "leaves": 200},
    "full": {"networks": 10, "shuffles": 10000, "leaves": 1000},
}[PROFILE]
size = scale["leaves"]
torch.set_num_threads(1)
torch.manual_seed(SEED)
torch.set_grad_enabled(False)  # nothing is trained on this page
mini = load_towers("mini", image_size=128)
untrained = [random_weights(mini, SEED + k) for k in range(scale["networks"])]


@cache
def text_features(ranks: Ranks, towers: Towers = mini) -> Tensor:
    """Return unit features of the sentences, centred over the ranks."""
    return centred(towers.encode_text(ranks.sentences))


# %% mystnb={"image": {"alt": "Three heat maps of the cosine between the sentences of 62 ages, sixteen to seventy seven, on both axes. Left in digits, middle in words, right in words with random weights."}} tags=["hide-input"]
FACE = "a photo of a {rank} years old face"
words = Ranks.integers(16, 77, template=FACE)
digits = Ranks(tuple(map(str, range(16, 78))), words.values, FACE, "years")
heat_maps(
    {
        name: rows @ rows.T
        for name, rows in (
            ("digits", text_features(digits)),
            ("words", text_features(words)),
            ("words, random weights", text_features(words, untrained[0])),
        )
    },
    [str(age) if age % 10 == 0 else "" for age in range(16, 78)],
)

# %% [markdown]
# **Figure 3.1.** Cosine between the sentences of every two ages, the youngest at the top left. Left: ages in digits.
# Middle: in words. Right: the same words, read by the same network with random weights in place of trained ones.
#
# Three names recur in the code of this page. `FACE` is the sentence *a photo of a {rank} years old face*. `words` and
# `digits` are the ages 16 to 77 in that sentence. `untrained` holds networks like the text tower of [mini](glossary.md), but
# with random weights; the right panel shows `untrained[0]`.
#
# Red along the diagonal means that close ages have similar sentences. Did the network learn that by reading? Look at the
# right panel. Its weights are random, so nothing was learned, and still there are blocks of ten and stripes beside
# them. That is *spelling*: "twenty two" shares one word with "twenty nine" and another
# with "thirty two", and sentences that share words come out alike in any network. So order has three possible sources,
# and this chapter tells them apart:
#
# | order that is | comes from | the [control](glossary.md) that reveals it |
# |---|---|---|
# | lucky | few ranks | the same sentences in shuffled order |
# | spelled | words that two ranks share | the same network with random weights |
# | learned | reading | both controls score lower |
#
# ## A rank becomes a sentence
#
# A *label space* is a list of names, a list of values, and a *template*: a sentence with one hole, `"{rank}"`. Nothing
# else about the labels reaches the text tower. The package keeps the three in `Ranks`, which refuses a template with no
# hole or with two. Whole numbers are written in words, with a space where English puts a hyphen.
#
# A text tower reads neither letters nor words but *tokens*, pieces from a fixed list. Filling the hole takes one line;
# finding the tokens that spell the rank takes a few more. We need them: [chapter 4](04_rankformer.ipynb) refines a
# sentence token by token, and another method, OrdinalCLIP ([Li et al., 2022](references.md)), replaces exactly the
# tokens of the rank. The tokenizer of MiniLM, the text tower of `mini`, reports where in the sentence each token begins
# and ends.


# %%
def spell(tokenizer: Any, template: str, name: str) -> tuple:
    """Return the tokens of a sentence, and which of them spell the rank."""
    before, after = template.split("{rank}")
    start, end = len(before), len(before + name)
    coded = tokenizer.encode(before + name + after)
    named = [a < end and b > start for a, b in coded.offsets]
    return coded.tokens, named


tokens, named = spell(mini.tokenizer, FACE, "twenty one")
for token, of_rank in zip(tokens, named, strict=True):
    mark = "spells the rank" if of_rank else ""
    print(f"{token:8}{mark}")

# %% tags=["remove-cell"]
assert words.sentences[5] == "a photo of a twenty one years old face"
tokens = mini.tokenize(words.sentences, template=FACE)
for row, name in enumerate(words.names):
    named = spell(mini.tokenizer, FACE, name)[1]
    assert tokens.rank_words[row, : len(named)].tolist() == named

# %% [markdown]
# Every text tower has its own list of tokens: CLIP's is a byte-pair encoding, MiniLM's a WordPiece list.
# Figure 3.2 shows where each of them cuts.

# %% mystnb={"image": {"alt": "Five sentences cut into boxes by the tokenizer of CLIP, and the same five by that of MiniLM. The boxes that spell the rank are coloured: nineteen is two boxes for CLIP and one for MiniLM, twenty one is two, twenty-one with a hyphen three."}} tags=["hide-input"]
clip = load_towers("tiny/random")  # CLIP's tokenizer needs no weights
hyphens = Ranks(
    tuple(name.replace(" ", "-") for name in words.names), words.values, FACE
)
thirties = Ranks(("1930s", "1940s"), (0, 1), "a photo from the {rank}")
shown = [(words, 3), (words, 5), (hyphens, 5), (digits, 5), (thirties, 0)]
readers = {"CLIP": clip, "MiniLM": mini}
token_figure(
    {
        name: [
            (token_rows(tower, ranks)[k], k / (len(ranks) - 1))
            for ranks, k in shown
        ]
        for name, tower in readers.items()
    }
)

# %% [markdown]
# **Figure 3.2.** One box is one token. Coloured boxes spell the rank.

# %% tags=["hide-input"]
spellings = {"spaces": words, "hyphens": hyphens, "digits": digits}
tally = {}
for name, tower in readers.items():
    for spelling, ranks in spellings.items():
        counts = [
            sum(of_rank for _, of_rank in row)
            for row in token_rows(tower, ranks)
        ]
        tally[f"{name}, {spelling}"] = [counts.count(n) for n in (1, 2, 3)]
head = ["ages 16 to 77", "1 token", "2 tokens", "3 tokens"]
rows = [(name, *counts) for name, counts in tally.items()]
display(Markdown(markdown_table(head, rows)))

# %% tags=["remove-cell"]
assert tally == {
    "CLIP, spaces": [9, 53, 0],
    "CLIP, hyphens": [9, 1, 52],
    "CLIP, digits": [0, 62, 0],
    "MiniLM, spaces": [10, 52, 0],
    "MiniLM, hyphens": [10, 0, 52],
    "MiniLM, digits": [62, 0, 0],
}

# %% [markdown]
# Three things follow.
#
# - A hyphen is a token of its own. It is the same for all ages, so it takes a slot and tells no age from another.
# - Names differ in length, so a sentence ends at a different slot for different ranks. CLIP takes the feature of a
#   sentence from its last token. Code that assumes one fixed slot takes padding for some ranks, and raises no error.
# - MiniLM has *one* token for each of these ages in digits. Nothing in the spelling says that 21 follows 20. Whatever
#   order the digits show, the network has learned.
#
# ## A sentence becomes a feature
#
# MiniLM gives each token a vector that depends on the whole sentence. The feature of the sentence is the mean over its
# tokens, start and end included, scaled to unit length; padding must not count.
#
# The sentences of a label space share nearly all their words, so nearly all of the feature is the same for every rank,
# and the difference between ranks drowns. *Centring* removes what is shared: subtract an origin $m$, then scale to unit
# length again,
#
# $$
# c_k = \frac{t_k - m}{\lVert t_k - m \rVert} . \tag{3.1}
# $$
#
# Two origins are removed, one after the other. The first belongs to `mini`: the mean of 1,000 sentences "a photo of a
# …", one for each class of ImageNet ([chapter 15](15_wordings_and_mini.ipynb) shows what it is for). The second belongs
# to the label space: the mean over its $K$ ranks, $m = \frac1K \sum_k t_k$. The package takes the second step with any
# towers, before it compares an image with the ranks. With a published CLIP it is the only step.


# %%
def encode(towers: Towers, sentences: list[str]) -> Tensor:
    """Return the mean over the real tokens, at unit length."""
    tokens = towers.tokenize(sentences)
    real = tokens.mask.long()
    states = towers.text["bert"](tokens.ids, real).last_hidden_state
    total = (states * real[..., None]).sum(dim=1)
    return F.normalize(total / real.sum(dim=1)[:, None], dim=-1)


def centre(features: Tensor, origin: Tensor) -> Tensor:
    """Return features as seen from `origin`, at unit length."""
    return F.normalize(features - origin, dim=-1)


leaves = load_dataset("leaves", ranks=5, size=size, seed=SEED)
severity = leaves.ranks
raw = encode(mini, severity.sentences)
once = centre(raw, mini.text.mean)
twice = centre(once, once.mean(dim=0))

# %% tags=["remove-cell"]
assert torch.allclose(once, mini.encode_text(severity.sentences), atol=1e-5)
assert torch.allclose(twice, text_features(severity), atol=1e-5)
of_package = bare_sentences(L2RCLIP(mini, severity))
assert torch.allclose(twice, of_package, atol=1e-5)

# %% mystnb={"image": {"alt": "Three five by five heat maps of the cosine between the sentences of five severity grades. As encoded, every cell is dark red. Without the mean of the class names they are still red. Without the mean over the ranks, red cells beside the diagonal and blue cells in the corners appear."}} tags=["hide-input"]
steps = {"as encoded": raw, "less class names": once, "less ranks": twice}
heat_maps(
    {name: rows @ rows.T for name, rows in steps.items()},
    severity.names,
    digits=2,
)

# %% [markdown]
# **Figure 3.3.** Cosine between the same five sentences: as encoded, after subtracting the mean of the class names, and
# after also subtracting the mean over the ranks. Only then can the order be seen.
#
# After the second centring the features sum to about zero, so the cosines between different ranks are about $-1/(K-1)$
# on average. A negative cosine does not mean "opposite" here; only the pattern counts. From here on,
# `text_features(ranks)` stands for `encode` and both centrings.
#
# ## A score for order
#
# Do pairs that are further apart in rank have features that are further apart? With the cosine distance
# $d_{jk} = 1 - c_j \cdot c_k$, take Spearman's rank correlation $\rho$ over all pairs:
#
# $$
# \text{gap} = \rho\big( \{k - j\}_{j<k},\ \{d_{jk}\}_{j<k} \big) . \tag{3.2}
# $$
#
# The gap score lies between −1 and 1; chance is 0.


# %%
def gap_score(features: Tensor) -> float:
    """Return Spearman's rho of rank gap and distance over all pairs."""
    j, k = np.triu_indices(len(features), 1)
    distance = 1 - (features @ features.T)[j, k]
    return spearmanr(k - j, distance.round(decimals=6)).statistic


angle = torch.tensor([0, 60, 120]).deg2rad()
arc = torch.stack([angle.cos(), angle.sin()], dim=1)
print(f"three vectors on an arc: {gap_score(arc):.2f}")

# %% tags=["remove-cell"]
assert abs(gap_score(arc) - 1) < 1e-9
for rows in (twice, text_features(words)):
    assert abs(gap_score(rows) - ordinality(rows)["gap"]) < 1e-3

# %% [markdown]
# By hand: neighbours on the arc are 60° apart, with distance $1 - \cos 60° = \tfrac12$; the outer pair is 120° apart,
# with distance $\tfrac32$. The larger gap has the larger distance, so the score is perfect.
#
# Two more scores ask other questions of the same features. `ordinality` in `l2rclip_book.statistics` computes all three
# for other chapters.
#
# **Triplets.** Of three ranks, are the outer two further apart than either pair of neighbours? $[\,\cdot\,]$ is 1 if
# true, 0 if not and one half for a tie, so chance is one half:
#
# $$
# \text{triplets} = \operatorname*{mean}_{i<j<k} \frac{[d_{ij} < d_{ik}] + [d_{jk} < d_{ik}]}{2} . \tag{3.3}
# $$
#
# **Component.** Is there one direction along which the ranks line up? With $v_1$ for the first principal component,
#
# $$
# \text{component} = \big| \rho\big( \{k\},\ \{c_k \cdot v_1\} \big) \big| . \tag{3.4}
# $$
#
# ## Luck: shuffle the names
#
# Is one half a high gap score? First control: give the same sentences to the ranks in another order, again and again.
# What these orders score is luck. Second control: keep the order and replace the trained weights by random ones, drawn
# from $N(0, 0.02^2)$, as before training. Tokens and layers are the same, and nothing is learned. The order that
# survives is spelling.

# %%
rows = text_features(words)
lucky = [gap_score(rows[torch.randperm(62)]) for _ in range(100)]
spelled = gap_score(text_features(words, untrained[0]))
print(f"ages in words, trained  {gap_score(rows):.2f}")
print(f"best of 100 shuffles    {max(lucky):.2f}")
print(f"random weights          {spelled:.2f}")

# %% [markdown]
# Figure 3.4 repeats both controls for nine label spaces, most of them from data sets of this book
# ([chapter 17](17_data_sets.ipynb)).

# %% mystnb={"image": {"alt": "One row for each of nine label spaces. A filled diamond is the gap score of the trained network, rings are networks with random weights, a band is the range under shuffled names. The bands are narrow for label spaces with many ranks and wide for those with five."}} tags=["hide-input"]


def grades(text: str, template: str) -> Ranks:
    """Make a label space from names with commas between them."""
    names = tuple(text.split(", "))
    return Ranks(names, tuple(range(len(names))), template)


LIFE = "newborn, toddler, child, teenager, young adult, adult, "
LIFE += "middle aged adult, elderly person"
RETINA = "no, mild, moderate, severe, proliferative"
LOOKS = "unacceptable, flawed, ordinary, professional, exceptional"
HOW = "a photo of {rank} quality"
spaces = {
    "ages in digits": digits,
    "ages in words": words,
    "percent in words": load_dataset("leaves", ranks=20, size=60).ranks,
    "decades": grades(
        ", ".join(f"{year}s" for year in range(1900, 2021, 10)),
        "a photo from the {rank}",
    ),
    "life stages": grades(LIFE, "a photo of a {rank}"),
    "severity": severity,
    "retinopathy": grades(
        RETINA, "a photo of a retina with {rank} diabetic retinopathy"
    ),
    "quality": grades("bad, poor, fair, good, excellent", HOW),
    "aesthetics": grades(LOOKS, HOW),
}
gaps, scores = {}, {}
for name, ranks in spaces.items():
    order = orders(len(ranks), scale["shuffles"], SEED)
    gaps[name] = shuffled_gaps(text_features(ranks), order)
    scores[name] = Scores(
        gaps[name][0],
        [gap_score(text_features(ranks, tower)) for tower in untrained],
        np.quantile(gaps[name], (0.05, 0.95)),
    )
score_rows({"": scores})

# %% [markdown]
# **Figure 3.4.** Nine label spaces and both controls. Order counts as learned where the diamond lies beyond the band
# and beyond the rings.

# %% tags=["hide-input"]
head = ["label space", "ranks", "trained", "random weights", "orders as good"]
rows = []
for name, (trained, rings, _) in scores.items():
    names = spaces[name].names
    as_good = (gaps[name] >= trained - 1e-9).mean()
    rows.append(
        (
            f"{name}: *{names[0]}* to *{names[-1]}*",
            len(names),
            f"{trained:.2f}".replace("-", "−"),
            f"{min(rings):.2f} to {max(rings):.2f}".replace("-", "−"),
            f"{as_good:.4f}",
        )
    )
table = markdown_table(head, rows)
display(
    Markdown(
        table
        + "\n\n*Gap scores, and the share of orders of the names, the true one "
        "included, that score as high as the true one.*"
    )
)

# %% tags=["remove-cell"]
if PROFILE != "smoke":
    mean = {name: np.mean(score.untrained) for name, score in scores.items()}
    own = {name: score.trained for name, score in scores.items()}
    assert own["ages in digits"] - mean["ages in digits"] > 0.5
    assert abs(mean["ages in digits"]) < 0.1
    assert 0.05 < mean["ages in words"] < own["ages in words"] - 0.2
    assert min(scores["ages in words"].untrained) > 0.05
    assert mean["percent in words"] > 0.35
    assert own["percent in words"] - mean["percent in words"] < 0.25
    for name in ("decades", "life stages"):
        assert max(scores[name].untrained) < own[name] - 0.4

# %% [markdown]
# Read the rows from the top.
#
# - **Ages in digits** share no tokens, so spelling cannot help, and random weights score about 0. All of their order is
#   learned.
# - **Ages in words** are partly spelled. Random weights lie beyond the band of shuffles, though well below the trained
#   network.
# - **Percent in words** is the warning. Random weights get most of the score, because "twenty two percent" and "twenty
#   five percent" share a word. The diamond lies beyond the three rings, but barely; with shuffled names as the only
#   control, all of it would have passed for learned.
# - **Decades and life stages** share little spelling. Random weights stay low, though for decades they reach just beyond the band,
#   and the trained network is far above them.
# - **Five grades** are hard to judge one by one: bands are wide, and rings fall anywhere. Five names can be put into
#   120 orders, and an order read backwards has the same gaps. So the last column can never fall below 2 in 120,
#   whatever the sentences say.
#
# Do not subtract the score of the rings from that of the diamond: a trained network may use spelling less than a random
# one does. Ask only whether the diamond is higher.
#
# Can five grades be judged at all? Together they can. Shuffle the names of all four such label spaces, each on its own,
# and compare the mean of their scores.

# %% tags=["hide-input"]
five = [name for name in spaces if len(spaces[name]) == 5]
generator = np.random.default_rng(SEED)
pooled = np.mean(
    [generator.choice(gaps[name], scale["shuffles"]) for name in five], axis=0
)
together = np.mean([gaps[name][0] for name in five])
reached = int((pooled >= together - 1e-9).sum())
display(
    Markdown(
        f"Mean gap score of the {len(five)} label spaces with five grades: "
        f"**{together:.2f}**. Of {len(pooled):,} sets of shuffled names, "
        f"{reached} reach it."
    )
)

# %% tags=["remove-cell"]
if PROFILE != "smoke":
    assert reached < 0.01 * len(pooled)

# %% [markdown]
# So, on the whole, sentences hold the order of grades, and not by spelling alone: even the highest rings of the four
# lie far lower on the mean. For a single scale, do not rely on it. There much depends on the choice of words:
# [chapter 15](15_wordings_and_mini.ipynb) compares 243 ways to name the same five grades.
#
# ## Far and near
#
# A score over all pairs hides where the order holds. Ask a narrower question: is an age more similar to its neighbour,
# one year older, than to an age that is `far` years older?


# %%
def neighbour_wins(features: Tensor, far: int) -> float:
    """Return the share of ranks k nearer to k + 1 than to k + far."""
    similar = features @ features.T
    neighbour = similar.diagonal(1)[: len(features) - far]
    return (neighbour > similar.diagonal(far)).float().mean().item()


# %% mystnb={"image": {"alt": "Two line charts, ages in digits and ages in words: the share of ages whose neighbour is more similar than an age 2 to 40 years away. The trained network starts near 0.7 and rises to nearly 1. With random weights, digits stay a little below one half; words rise as well but drop sharply at 10, 20, 30 and 40 years."}} tags=["hide-input"]
away = range(2, 41)
wins = {}
with style():
    figure, axes = plt.subplots(
        1, 2, figsize=(7.8, 3.0), sharey=True, layout="constrained"
    )
    for axis, ranks, title in zip(
        axes, (digits, words), ("digits", "words"), strict=True
    ):
        for label, tower, colour in (
            ("trained network", mini, TRAINED),
            ("random weights", untrained[0], INK),
        ):
            rows = text_features(ranks, tower)
            share = [  # the same ages, read upwards and downwards
                (neighbour_wins(rows, far) + neighbour_wins(rows.flip(0), far))
                / 2
                for far in away
            ]
            wins[title, label] = dict(zip(away, share, strict=True))
            named = {"label": label, "legend": False}
            sns.lineplot(x=away, y=share, color=colour, ax=axis, **named)
        axis.axhline(0.5, color=SHUFFLED, lw=1, ls="--", label="a coin")
        axis.set(title=f"ages in {title}", xlabel="years to the far age")
        axis.set(ylim=(0, 1.03), ylabel="neighbour is more similar")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3
    )

# %% [markdown]
# **Figure 3.5.** Near and far ages: how often the neighbour wins. One half is a coin.

# %% tags=["hide-input"]
spelt = {"digits": text_features(digits), "words": text_features(words)}
rows = []
for one, other in ((19, 20), (20, 21), (20, 29)):
    cosines = [
        f"{float(t[one - 16] @ t[other - 16]):.2f}" for t in spelt.values()
    ]
    rows.append((f"{one} and {other}", *cosines))
head = ["cosine of ages", "in digits", "in words"]
display(Markdown(markdown_table(head, rows)))

# %% tags=["remove-cell"]
rows = spelt["words"]
assert rows[4] @ rows[13] > rows[4] @ rows[3] + 0.2  # 20, 29 and 19
for title in ("digits", "words"):
    share = wins[title, "trained network"]
    assert 0.6 < share[2] < 0.75
    assert share[20] > 0.9
assert wins["words", "random weights"][10] < 0.3
assert 0.3 < np.mean(list(wins["digits", "random weights"].values())) < 0.6

# %% [markdown]
# Language orders distant ranks well, adjacent ones barely. In digits, where nothing can be spelled, a neighbour nearly
# always beats an age twenty years away; against an age two years away, the result is closer to a coin toss. (The random
# network lies a little below one half at every distance. It is one network, and all distances are compared with the
# same pairs of neighbours, so their luck moves the whole line.) That leaves room for stage 1: in
# [chapter 4](04_rankformer.ipynb) the sentences of all ranks are refined together, and the ordinal loss of
# [chapter 5](05_losses.ipynb) pushes far ranks apart harder than near ones.
#
# In words, the random network does almost as well beyond ten years, but for multiples of ten. A neighbour mostly shares
# the word of the decade and a far age does not; at multiples of ten the two ages share their last word.
#
# The trained network shows no such drops, but has a weakness of its own. Nineteen and twenty are one year apart and
# share no word; twenty and twenty nine are nine years apart and share one. In words the wrong pair is the more similar, as the table
# says.
#
# ## A classifier without training
#
# Images and sentences have their features in one space, so a sentence can already be an answer: *zero-shot*
# classification picks the sentence with the largest cosine. Give five sentences and generated leaves to `mini` as it
# is, with its scale $s = 20$ before the softmax.

# %%
data = leaves.train + leaves.val + leaves.test
pixels = torch.stack([mini.transform()(image) for image, _ in data])
z = mini.encode_image(pixels)
probabilities = (20 * z @ twice.T).softmax(dim=1)
target = torch.tensor(data.targets)
right = (probabilities.argmax(dim=1) == target).float().mean()
print(f"{right:.2f} of {len(data)} leaves graded right, chance 0.20")

# %% mystnb={"image": {"alt": "Left, a table of the share of leaves of each true rank that goes to each of five sentences. Right, a histogram of the accuracy of all other orders of the five sentences, with the true order and its interval above it."}} tags=["hide-input"]
counts = torch.zeros(5, 5)
for truth, answer in zip(target, probabilities.argmax(dim=1), strict=True):
    counts[truth, answer] += 1
accuracies = counts.numpy()[np.arange(5), orders(5, 120)].sum(1) / len(data)
judged = evaluate(probabilities, target, severity, intervals=True, seed=SEED)
low, high = judged["accuracy_low"], judged["accuracy_high"]
with style():
    figure, (left, side) = plt.subplots(
        1, 2, figsize=(7.8, 3.0), width_ratios=(1, 1.25), layout="constrained"
    )
    names = list(severity.names)
    sns.heatmap(
        counts / counts.sum(1, keepdim=True), ax=left, annot=True, fmt=".0%",
        cmap="cividis", vmin=0, vmax=1, cbar=False, xticklabels=names,
        yticklabels=names,
    )  # fmt: skip
    left.tick_params(length=0)
    left.tick_params("y", rotation=0)
    left.set(title="Nearest sentence", ylabel="true rank")
    sns.histplot(
        accuracies[1:], binwidth=0.02, binrange=(0, 0.6), color=SHUFFLED,
        alpha=1, lw=0, ax=side, label="every other order of the names",
    )  # fmt: skip
    top = side.get_ylim()[1]
    side.errorbar(
        accuracies[0], 1.07 * top, fmt="D", color=TRAINED, capsize=4,
        xerr=[[accuracies[0] - low], [high - accuracies[0]]],
        label="true order, 95 % interval",
    )  # fmt: skip
    side.axvline(0.2, color=INK, ls="--", lw=1.1, label="chance")
    side.set(title="Accuracy", xlabel="accuracy", ylabel="orders")
    side.set(xlim=(0, 0.6), ylim=(0, 1.8 * top))
    side.legend(loc="upper right")

# %% [markdown]
# **Figure 3.6.** Grading leaves without training. Left: which sentence a leaf is nearest to. Right: the accuracy of the
# true order beside every other way to give the five sentences to the five ranks.
#
# Is the damage missing from the features, or do the sentences not point to it? Try a ridge regression on the same
# features: fitted to four fifths of the leaves, it predicts the rest, for each fifth in turn.

# %% tags=["hide-input"]
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict

guessed = cross_val_predict(
    RidgeCV(np.logspace(-3, 3, 13)),
    z.double().numpy(),
    target.numpy(),
    cv=KFold(5, shuffle=True, random_state=SEED),
)
fitted = spearmanr(guessed, target).statistic
display(
    Markdown(
        f"Accuracy {judged['accuracy']:.2f}, 95 % interval {low:.2f} to "
        f"{high:.2f}; {int((accuracies >= accuracies[0] - 1e-9).sum())} of 120 "
        f"orders of the sentences do as well. Spearman's correlation of the "
        f"expected rank with the true one: {judged['spearman_expected']:.2f}. "
        f"The same correlation for the regression: **{fitted:.2f}**.".replace(
            " -", " −"
        )
    )
)

# %% tags=["remove-cell"]
if PROFILE != "smoke":
    assert low < 0.2 < high
    assert fitted > judged["spearman_expected"] + 0.3

# %% [markdown]
# The answers show no order, while a regression finds the damage in the same image features. So the
# features hold the damage, and the sentences do not point to it: `mini` was joined by names of *things*
# ([chapter 15](15_wordings_and_mini.ipynb)), and *very low damage* is not a thing. Training ties the two
# ([chapter 2](02_two_stages.ipynb)).
#
# ## Exercises
#
# **1. Slots without offsets.** CLIP's tokenizer returns ids and no offsets. Write `rank_slots` for it. It gets a
# template, the $K$ names and `encode`, which turns a text into a list of ids without start and end token. It returns a
# Boolean tensor, ranks × slots: `True` where a token spells the rank. Slot 0 is the start token, an end token follows
# the sentence, and the longest sentence decides the number of slots.

# %% tags=["hide-input"]


def check_slots(yours: Callable) -> None:
    """Compare with the package on four templates."""
    for template, names in (
        (FACE, words.names),
        ("{rank} years", digits.names),
        ("aged {rank}", words.names),
        ("twenty faces, {rank} years, one photo", words.names[4::3]),
    ):
        sentences = [template.replace("{rank}", name) for name in names]
        right = clip.tokenize(sentences, template=template).rank_words
        mine = yours(clip.tokenizer.encode, template, names)
        if not isinstance(mine, Tensor) or mine.dtype != torch.bool:
            print("not yet: return a Boolean tensor, one row per rank")
        elif mine.shape != right.shape:
            print(
                f"not yet: for {template!r} the shape is {tuple(mine.shape)}, "
                f"not {tuple(right.shape)}; count the start and end token, and "
                "let the longest name decide"
            )
        elif not torch.equal(mine.sum(1), right.sum(1)):
            print(
                "not yet: names differ in length; count the tokens of each one "
                "(the same words may be in the template)"
            )
        elif not torch.equal(mine, right):
            print(
                f"not yet: for {template!r} the first slot of the rank is "
                f"{int(right[0].int().argmax())}; slot 0 is the start token"
            )
        else:
            continue
        return
    print("right")


# %%
def rank_slots(encode: Callable, template: str, names: tuple) -> Tensor:
    """Your code here."""


check_slots(rank_slots)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The hole cuts the template into two parts. Encode both parts and the name separately and count: the rank begins after
# the start token and the first part, and is as long as its name. The next cell has the code.
#
# </details>


# %% tags=["hide-cell"]
def rank_slots_solved(encode: Callable, template: str, names: tuple) -> Tensor:
    """Count the tokens of the three parts."""
    before, after = template.split("{rank}")
    first = 1 + len(encode(before))
    sizes = [len(encode(name)) for name in names]
    slot = torch.arange(first + max(sizes) + len(encode(after)) + 1)
    return torch.stack(
        [(slot >= first) & (slot < first + size) for size in sizes]
    )


check_slots(rank_slots_solved)

# %% [markdown]
# **2. Triplets.** Write `triplet_score(features)`, (3.3), for unit features in the order of the ranks.
# Distances that differ by less than a millionth are ties.

# %% tags=["hide-input"]


def on_arc(*degrees: float) -> Tensor:
    """Return unit vectors at these angles."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def check_triplets(yours: Callable) -> None:
    """Judge by three vectors in four arrangements, then by sixty-two ages."""
    for rows, hint in (
        (on_arc(0, 60, 120), "on an ordered arc every comparison is won"),
        (
            on_arc(0, 60, 30),
            "at 0°, 60°, 30° one comparison is lost and one tied",
        ),
        (on_arc(0, 0, 0), "equal vectors are ties, and a tie counts one half"),
        (on_arc(0, 60, 60 + 1e-9), "so small a difference is a tie, too"),
        (text_features(words), "take all i < j < k, and both neighbour pairs"),
    ):
        right, mine = ordinality(rows)["triplets"], yours(rows)
        if isinstance(mine, Tensor) and mine.numel() != 1:
            print("not yet: return one number, the mean of all comparisons")
            return
        if mine is None or not abs(float(mine) - right) <= 1e-3:
            print(f"not yet: {mine} in place of {right:.3f}; {hint}")
            return
    print("right")


# %%
def triplet_score(features: Tensor) -> Tensor:
    """Your code here."""


check_triplets(triplet_score)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# `torch.combinations` lists all triples of places. Compare both inner distances with the outer one; the sign of the
# difference is 1, 0 or −1, so half of it plus one half is the score of a comparison.
#
# </details>


# %% tags=["hide-cell"]
def triplet_score_solved(features: Tensor) -> Tensor:
    """Make two comparisons per triple."""
    distance = 1 - features @ features.T
    i, j, k = torch.combinations(torch.arange(len(features)), 3).T
    inner = torch.stack([distance[i, j], distance[j, k]])
    won = (distance[i, k] - inner).round(decimals=6).sign() / 2 + 0.5
    return won.mean()


check_triplets(triplet_score_solved)

# %% [markdown]
# **3. Several templates at once.** CLIP's authors average the features of many templates. Write
# `ensemble(templates, names)`: `encode` the sentences of every template with `mini`, average the unit features over the
# templates, scale the averages to unit length, and apply both centrings. The check also says how much order the average
# holds.

# %% tags=["hide-input"]


def check_ensemble(yours: Callable) -> None:
    """Compare with an average by hand; say what it does to the order."""
    templates = (
        severity.template,
        "a leaf, {rank} damage",
        "{rank} damage on a leaf",
    )
    mine = yours(templates, severity.names)
    if not isinstance(mine, Tensor) or mine.shape != twice.shape:
        print("not yet: return one feature per rank, ranks × 384")
        return
    total = 0
    for template in templates:
        ranks = Ranks(severity.names, severity.values, template)
        total = total + encode(mini, ranks.sentences)
    seen = centre(F.normalize(total, dim=-1), mini.text.mean)
    right = centre(seen, seen.mean(dim=0))
    if not torch.allclose(mine.norm(dim=1), torch.ones(5), atol=1e-4):
        print("not yet: the features are not of unit length")
    elif not torch.allclose(mine, right, atol=1e-4):
        near = float((mine * right).sum(dim=1).mean())
        print(
            f"not yet: the mean cosine to the right features is {near:.3f}; "
            "average first, then unit length, class names, ranks"
        )
    elif not torch.allclose(
        yours(templates, severity.names[::-1]), mine.flip(0), atol=1e-4
    ):
        print("not yet: use the names given; in reverse they give other rows")
    else:
        print(
            f"right: gap {gap_score(mine):.2f}, with the first template alone "
            f"{gap_score(twice):.2f}"
        )


# %%
def ensemble(templates: tuple, names: tuple) -> Tensor:
    """Your code here."""


check_ensemble(ensemble)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Fill every template with every name, encode, and average before any centring: an origin has to be removed from the
# vectors that are used, not from their parts.
#
# </details>


# %% tags=["hide-cell"]
def ensemble_solved(templates: tuple, names: tuple) -> Tensor:
    """Average, scale to unit length, then try two origins."""
    each = [
        encode(mini, [template.replace("{rank}", name) for name in names])
        for template in templates
    ]
    mean = F.normalize(torch.stack(each).mean(dim=0), dim=-1)
    seen = centre(mean, mini.text.mean)
    return centre(seen, seen.mean(dim=0))


check_ensemble(ensemble_solved)

# %% [markdown]
# **4. An order of your own.** Predict, then run. Choose six or more things that have an order, none of them from this
# page, and a sentence for them. Before you run it, write down what Figure 3.4 would say: *luck* (the gap
# score lies within the band of shuffles), *spelled* (beyond the band, but not beyond the rings) or *learned* (beyond
# both).

# %% tags=["hide-input"]


def check_order(own: Ranks, forecast: str) -> None:
    """Judge a label space by both controls, and the forecast by them."""
    if len(own) < 6:
        print("not yet: take six names or more; with few the band is wide")
        return
    if own.names in [ranks.names for ranks in spaces.values()]:
        print("not yet: names of your own, the page has judged these")
        return
    shuffled = shuffled_gaps(text_features(own), orders(len(own), 1000, SEED))
    gap, band = shuffled[0], np.quantile(shuffled, 0.95)
    ring = max(gap_score(text_features(own, tower)) for tower in untrained)
    verdict = "spelled" if ring >= gap else "learned"
    if gap <= band:
        verdict = "luck"
    numbers = f"gap {gap:.2f}, band to {band:.2f}, rings to {ring:.2f}"
    if forecast not in ("luck", "spelled", "learned"):
        print("not yet: forecast one word, luck, spelled or learned")
    elif forecast != verdict:
        hint = "which words do the names share, what else do they mean?"
        print(f"not yet: {verdict}, with {numbers}; {hint}")
    else:
        print(f"right: {verdict}, with {numbers}")


# %%
own = grades("small, medium, large", "a photo of a {rank} dog")  # yours
check_order(own, forecast="luck")

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# There are many. The next cell tries the months and the ranks of an army. The order of the months is learned, although
# the year is a circle and December is next to January. That of the army is not, perhaps because *private*,
# *major* and *general* mostly mean something else.
#
# </details>

# %% tags=["hide-cell"]
months = grades(
    "January, February, March, April, May, June, July, August, September, "
    "October, November, December",
    "a photo taken in {rank}",
)
army = grades(
    "private, corporal, sergeant, lieutenant, captain, major, colonel, general",
    "a portrait of a {rank}",
)
check_order(months, "learned")
check_order(army, "luck")

# %% [markdown]
# ## Three questions
#
# **The names are *level one* to *level twenty*, and their gap score lies far beyond all shuffles. What else must you
# see before you call the order learned?**
#
# <details>
# <summary>Answer</summary>
#
# The same names with random weights. Shuffles rule out luck only, and names such as *level nine* and *level nineteen*
# may share pieces of words. If random weights score as high, spelling explains the order.
#
# </details>
#
# **Take 4,000 shuffles in place of 2,000. In which rows of the table can the last column become smaller, and in which
# not?**
#
# <details>
# <summary>Answer</summary>
#
# It can fall where no shuffle reached the true order, as for the ages: there the smallest possible share is one in the number of
# orders that were tried. Five grades have 120 orders, all of which were tried, so nothing changes.
#
# </details>
#
# **Centring subtracts the same vector from all sentences. Without scaling to unit length afterwards, would it change
# the probabilities of an image?**
#
# <details>
# <summary>Answer</summary>
#
# No. Each logit $s\,z\cdot(t_k-m)$ would fall by the same number, $s\,z\cdot m$, which drops out of the softmax. What
# counts is the scaling: what is left of each sentence becomes long again, so that small differences between ranks
# become large.
#
# </details>
#
# ## Summary
#
# - A rank becomes a sentence by a template with one hole. Numbers are written in words, without hyphens: a hyphen costs
#   a token and tells no rank from another.
# - Text features are centred twice, by the class names and by the ranks. Otherwise what all sentences share drowns what
#   tells the ranks apart.
# - A score of order means little without controls. Shuffled names reveal luck, which is large with five ranks; random
#   weights reveal spelling, which is large for numbers in words.
# - By both controls, `mini` has learned the order of ages, decades and life stages; by shuffles, that of grades taken
#   together. It orders distant ages well, adjacent ones barely.
# - Ordered sentences are not yet a classifier. [Chapter 4](04_rankformer.ipynb) refines the sentences,
#   [chapter 2](02_two_stages.ipynb) ties them to images, and [chapter 9](09_does_it_help.ipynb) measures what they are
#   worth.
#
# ## Sources
#
# Language as a start for ordinal labels comes from [Li et al. (2022)](references.md) and
# [Wang et al. (2023)](references.md), whose table of ages in words has no hyphens. The sentence features are from
# [Reimers and Gurevych (2019)](references.md), in the small network of [Wang et al. (2020)](references.md); averaging
# over templates is from [Radford et al. (2021)](references.md). The controls are ours; code:
# [`templates.py`](l2rclip_book/templates.py), [`ranks.py`](../l2rclip_lite/method/ranks.py),
# [`prompts.py`](../l2rclip_lite/method/prompts.py).
