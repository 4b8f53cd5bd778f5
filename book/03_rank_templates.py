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
# # What sentences know
#
# Take a network that has read a great deal and never seen a face. Give it sixty-two sentences, from "a photo of a
# sixteen years old face" to "a photo of a seventy seven years old face", and let it turn each into a vector. Do the
# vectors keep the order of the ages, although nobody trained them to? L2RCLIP ([Wang et al., 2023](references.md))
# assumes that they do: it starts from the order that sentences have before any training on ranks. How much of that
# order is knowledge?
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
SEED = 0  # decides random weights and shuffles

# %% tags=["hide-input", "nbval-ignore-output"]
from collections.abc import Callable
from functools import cache
from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor

from l2rclip_book.plots import style
from l2rclip_book.templates import (
    Scores,
    heat_maps,
    orders,
    random_weights,
    score_rows,
    shuffled_gaps,
)
from l2rclip_lite import Ranks, load_dataset, load_towers
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.towers.base import Towers

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

scale = {"smoke": (1, 30), "page": (3, 2000), "full": (10, 10000)}
n_networks, n_shuffles = scale[PROFILE]
torch.set_num_threads(1)
torch.manual_seed(SEED)
torch.set_grad_enabled(False)  # nothing is trained on this page
mini = load_towers("mini", image_size=128)
untrained = [random_weights(mini, SEED + k) for k in range(n_networks)]


@cache
def text_features(ranks: Ranks, towers: Towers = mini) -> Tensor:
    """Return unit features of the sentences, centred over the ranks."""
    return centred(towers.encode_text(ranks.sentences))


def draw_cosines(
    panels: dict[str, Tensor], names: list[str], digits: int | None = None
) -> Figure:
    """Draw the cosine between every two rows, one panel per table of features."""
    maps = {title: rows @ rows.T for title, rows in panels.items()}
    figure = heat_maps(maps, names, columns=2, digits=digits)
    figure.set_size_inches(5.2, 2.5)
    return figure


# %% mystnb={"image": {"alt": "Two heat maps of the cosine between the sentences of 62 ages, sixteen to seventy seven, on both axes. In digits, a red band runs along the diagonal. In words, red squares of ten ages stand along it."}}
FACE = "a photo of a {rank} years old face"
words = Ranks.integers(16, 77, template=FACE)
digits = Ranks(tuple(map(str, range(16, 78))), words.values, FACE, "years")
print(words.sentences[5])
print(digits.sentences[5])

every_tenth = [str(age) if age % 10 == 0 else "" for age in range(16, 78)]
both = {"in digits": text_features(digits), "in words": text_features(words)}
draw_cosines(both, every_tenth)

# %% [markdown]
# **Figure 3.1.** Cosine between the sentences of every two ages, the youngest at the top left. What all sentences
# share is subtracted, as explained below.
#
# Red along the diagonal means that close ages have similar sentences. In digits there is a band. In words there are
# blocks: all the twenties are alike, and the thirties begin anew.
#
# Did the network learn these blocks by reading? Take away what it has read. Replace its weights by random ones, and
# give it the same sentences in words. What will its map show?
#
# - `"nothing"`: the diagonal, and noise around it.
# - `"band"`: a band along the diagonal, as for digits.
# - `"blocks"`: blocks of ten.

# %%
bet = ""  # yours: "nothing", "band" or "blocks"

# %% mystnb={"image": {"alt": "Two heat maps of the cosine between the sentences of 62 ages in words. With trained weights, red squares of ten ages stand along the diagonal. With random weights there are paler squares in the same places, and thin red stripes parallel to the diagonal."}}
rows = text_features(words, untrained[0])
one_year = (rows @ rows.T).diagonal(1)
tens = torch.tensor(words.values) // 10
crosses = tens[1:] != tens[:-1]  # from nineteen to twenty, say
print(f"Your bet: {bet}." if bet else "No bet.")
print("Mean cosine of two ages that are one year apart, random weights:")
print(f"in the same ten {one_year[~crosses].mean():.2f}")
print(f"across two tens {one_year[crosses].mean():.2f}")
draw_cosines({"trained": text_features(words), "random": rows}, every_tenth)

# %% [markdown]
# **Figure 3.2.** The same sentences in words, read by the trained network and by one with random weights.
#
# Look at the right panel. Its weights are random, so nothing was learned, and still there are blocks of ten and stripes
# beside them. That is *spelling*: "twenty two" shares one word with "twenty nine" and another with "thirty two", and
# sentences that share words come out alike in any network. So order has three possible sources, and this chapter tells
# them apart:
#
# | order that is | comes from | the [control](glossary.md) that reveals it |
# |---|---|---|
# | lucky | few ranks | the same sentences in shuffled order |
# | spelled | words that two ranks share | the same network with random weights |
# | learned | reading | both controls score lower |
#
# ## A sentence becomes a feature
#
# A *label space* is a list of names, a list of values, and a *template*: a sentence with one hole, for the name. The
# package keeps the three in `Ranks`; `grades` makes one from names with commas. A text tower reads neither letters nor
# words but *tokens*, pieces from a fixed list. The tower that has read for us so far, that of [mini](glossary.md), cuts
# names like this:


# %%
def grades(text: str, template: str) -> Ranks:
    """Make a label space from names with commas between them."""
    names = tuple(text.split(", "))
    return Ranks(names, tuple(range(len(names))), template)


for name in ("twenty one", "twenty nine", "21", "29"):
    pieces = mini.tokenizer.encode(name, add_special_tokens=False).tokens
    print(f"{name:12}", pieces)

# %% [markdown]
# In words, twenty one and twenty nine share a token. In digits, each age is one token of its own. Nothing in its
# spelling says that 21 is close to 29, so whatever order digits show, the network has learned.
#
# The tower gives each token a vector that depends on the whole sentence. The *text feature* $t_k$ of a rank is the
# mean over the tokens of its sentence, scaled to unit length.


# %%
def encode(towers: Towers, sentences: list[str]) -> Tensor:
    """Return the mean over the real tokens, at unit length."""
    tokens = towers.tokenize(sentences)
    real = tokens.mask.long()
    states = towers.text["bert"](tokens.ids, real).last_hidden_state
    total = (states * real[..., None]).sum(dim=1)
    return F.normalize(total / real.sum(dim=1)[:, None], dim=-1)


# %% [markdown]
# The sentences of a label space share nearly all their words, so nearly all of the feature is the same for every rank,
# and the difference between ranks drowns. *Centring* removes what is shared: subtract an origin $m$, then scale to
# unit length again,
#
# $$
# c_k = \frac{t_k - m}{\lVert t_k - m \rVert} . \tag{3.1}
# $$
#
# `mini` itself always subtracts the mean of 1,000 sentences about other things ([chapter
# 14](14_wordings_and_mini.ipynb)). To compare ranks we also subtract the mean over the $K$ ranks,
# $m = \frac1K \sum_k t_k$. Here are both steps for five grades of damage on a leaf.


# %%
def centre(features: Tensor, origin: Tensor) -> Tensor:
    """Return features as seen from `origin`, at unit length."""
    return F.normalize(features - origin, dim=-1)


severity = load_dataset("leaves", ranks=5, size=60).ranks
raw = encode(mini, severity.sentences)
once = centre(raw, mini.text.mean)
twice = centre(once, once.mean(dim=0))

# %% tags=["remove-cell"]
assert torch.allclose(once, mini.encode_text(severity.sentences), atol=1e-5)
assert torch.allclose(twice, text_features(severity), atol=1e-5)

# %% mystnb={"image": {"alt": "Two five by five heat maps of the cosine between the sentences of five severity grades. As encoded, every cell is dark red, 0.9 or 1.0. Centred, very low and low are alike, high and very high too, and the corners are blue."}}
draw_cosines({"as encoded": raw, "centred": twice}, severity.names, digits=1)

# %% [markdown]
# **Figure 3.3.** Cosine between five sentences about leaves, as encoded and centred. Centring shows what differs,
# spelling too: *very high* is nearer to *very low* than to *low*.
#
# Centred features sum to about zero, so the cosines between different ranks are about $-1/(K-1)$ on average. A negative
# cosine does not mean "opposite" here; only the pattern counts. `text_features(ranks)`, in use since the first cell, is
# `encode` with both centrings.
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

# %% [markdown]
# By hand: neighbours on the arc are 60° apart, with distance $1 - \cos 60° = \tfrac12$; the outer pair is 120° apart,
# with distance $\tfrac32$. The larger gap has the larger distance, so the score is perfect.
#
# ## Luck: shuffle the names
#
# Is one half a high gap score? First control: give the same sentences to the ranks in another order, again and again.
# What these orders score is luck. Second control: keep the order, and read with random weights. What that scores is
# spelling.

# %%
rows = text_features(words)
shuffled = [gap_score(rows[torch.randperm(62)]) for _ in range(100)]
spelled = gap_score(text_features(words, untrained[0]))
print(f"ages in words, trained  {gap_score(rows):.2f}")
print(f"best of 100 shuffles    {max(shuffled):.2f}")
print(f"one random network      {spelled:.2f}")

# %% tags=["remove-cell"]
if SEED == 0:
    assert max(shuffled) < spelled < gap_score(rows)
    for tower in untrained:
        rows = text_features(words, tower)
        one_year = (rows @ rows.T).diagonal(1)
        assert one_year[~crosses].mean() > 0.3
        assert one_year[crosses].mean() < 0.05

# %% [markdown]
# The order of the ages is not luck: no shuffle comes near. Nor is it spelling alone. Yet random weights beat every
# shuffle by far, and they know nothing. So shuffles alone cannot tell spelling from knowledge.
#
# ## Spelling: count the shared words
#
# Here are three scales. All three score higher than nearly all shuffles. In one of them, random weights score nearly as
# high as the trained network. Which one?
#
# - `"ages"`: *sixteen*, *seventeen*, … *seventy seven*.
# - `"percent"`: *zero percent*, *three percent*, … *twenty two percent*, *twenty five percent*, … *sixty percent*.
# - `"life"`: *newborn*, *toddler*, *child*, *teenager*, *young adult*, *adult*, *middle aged adult*, *elderly person*.

# %%
bet = ""  # yours: "ages", "percent" or "life"

# %%
LIFE = "newborn, toddler, child, teenager, young adult, adult, "
LIFE += "middle aged adult, elderly person"
RETINA = "no, mild, moderate, severe, proliferative"
LOOKS = "unacceptable, flawed, ordinary, professional, exceptional"
DECADES = ", ".join(f"{year}s" for year in range(1900, 2021, 10))
HOW = "a photo of {rank} quality"
spaces = {
    "ages in digits": digits,
    "ages in words": words,
    "percent in words": load_dataset("leaves", ranks=20, size=60).ranks,
    "decades": grades(DECADES, "a photo from the {rank}"),
    "life stages": grades(LIFE, "a photo of a {rank}"),
    "severity": severity,
    "retinopathy": grades(
        RETINA, "a photo of a retina with {rank} diabetic retinopathy"
    ),
    "quality": grades("bad, poor, fair, good, excellent", HOW),
    "aesthetics": grades(LOOKS, HOW),
}

# %%
lucky = {}
scores = {}
for name, ranks in spaces.items():
    order = orders(len(ranks), n_shuffles, SEED)  # the true one first
    lucky[name] = shuffled_gaps(text_features(ranks), order)
    scores[name] = Scores(
        trained=gap_score(text_features(ranks)),
        untrained=[gap_score(text_features(ranks, net)) for net in untrained],
        shuffled=np.quantile(lucky[name], (0.05, 0.95)),
    )

print(f"Your bet: {bet}." if bet else "No bet.")
for name in ("ages in words", "percent in words", "life stages"):
    trained, rings, _ = scores[name]
    print(f"{name:17} trained {trained:.2f}, random {np.mean(rings):.2f}")

# %% tags=["remove-cell"]
if PROFILE != "smoke" and SEED == 0:
    for name, (trained, rings, band) in scores.items():
        assert abs(lucky[name][0] - trained) < 1e-3
        assert len(spaces[name]) == 5 or trained > max(*rings, band[1])
    ring = {name: np.mean(score.untrained) for name, score in scores.items()}
    assert abs(ring["ages in digits"]) < 0.1
    assert ring["ages in words"] < 0.6 * scores["ages in words"].trained
    assert ring["percent in words"] > 0.7 * scores["percent in words"].trained
    for name in ("decades", "life stages"):
        assert ring[name] < scores[name].trained - 0.4

# %% mystnb={"image": {"alt": "One row for each of nine label spaces. A filled diamond is the gap score of the trained network, rings are networks with random weights, a band is the range under shuffled names. The bands are narrow for label spaces with many ranks and wide for those with five. For percent in words the rings lie close to the diamond."}} tags=["hide-input"]
figure = score_rows({"": scores})
figure.set_size_inches(5.2, 4.6)
figure.legends[0].remove()
with style():
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left")
figure

# %% [markdown]
# **Figure 3.4.** Nine label spaces and both controls. Order counts as learned where the diamond lies clearly beyond
# the band and the rings.
#
# **Percent in words** is the warning. "Twenty two percent" shares a word with "twenty five percent", and no word but
# *percent* with ranks that are far away. Random weights need no more, and nearly reach the diamond. Three rings are
# too few to say whether any of this order is learned; by shuffles alone, all of it would have passed. Ages share
# their first word with near ranks too, but their last word with ranks at any distance, and that disturbs the order.
#
# - **Ages in digits** share no tokens, and random weights score about 0. All of their order is learned.
# - **Decades and life stages** share little spelling. The trained network is far above all rings.
# - **Five grades**: some of these scales pass the rule, but with bands this wide one pass proves little.
#
# Can five grades be judged at all? Together they can. Shuffle the names of all four such scales, from *severity* to
# *aesthetics*, each on its own, and compare the mean of their scores.

# %%
five = [name for name in spaces if len(spaces[name]) == 5]
draw = np.random.default_rng(SEED)
means = sum(draw.choice(lucky[name], n_shuffles) for name in five) / len(five)
together = sum(lucky[name][0] for name in five) / len(five)
reached = (means >= together - 1e-9).sum()
print(f"mean gap score {together:.2f}")
print(f"{reached} of {n_shuffles} shuffles reach it")
rings = np.mean([scores[name].untrained for name in five], axis=0)
print(f"random weights reach {max(rings):.2f}")

# %% tags=["remove-cell"]
if PROFILE != "smoke" and SEED == 0:
    assert reached < 0.01 * n_shuffles
    assert max(rings) < together

# %% [markdown]
# So, on the whole, sentences hold the order of grades. For a single scale, do not rely on it. There much depends on the
# choice of words: [chapter 14](14_wordings_and_mini.ipynb) compares 243 ways to name the same five grades.
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


readers = {
    "digits, trained": text_features(digits),
    "words, trained": text_features(words),
    "words, random": text_features(words, untrained[0]),
}
away = (2, 5, 9, 10, 11, 20)
print("years to the far age", *(f"{far:4d}" for far in away))
for reader, rows in readers.items():
    wins = [f"{neighbour_wins(rows, far):.2f}" for far in away]
    print(f"{reader:20}", *wins)

# %% tags=["remove-cell"]
for reader in ("digits, trained", "words, trained"):
    assert 0.6 < neighbour_wins(readers[reader], 2) < 0.8
    assert neighbour_wins(readers[reader], 20) > 0.9
if SEED == 0:
    assert neighbour_wins(readers["words, random"], 10) < 0.3
    assert neighbour_wins(readers["words, random"], 9) > 0.7

# %% [markdown]
# Language orders distant ranks well, adjacent ones barely. A neighbour nearly always beats an age twenty years away;
# against an age two years away, it loses about three times in ten. That leaves room for training:
# [chapter 4](04_rankformer.ipynb) refines the sentences of all ranks together, and the losses of
# [chapter 5](05_losses.ipynb) move them.
#
# The last row bears the mark of spelling. The random network wins at nine and at eleven years, and falls at ten and at
# twenty: there the two ages share their last word. The trained network hardly drops there.
#
# ## Exercises
#
# **1. How likely is luck?** Five names have 120 orders, few enough to try all. Write `share_as_good(features)`: the
# share of all orders of the rows, the true one included, whose gap score is at least that of the true order. Scores
# that differ by less than a millionth are equal. `permutations` lists the orders. The check prints the four shares:
# what is the smallest that five grades can have?

# %% tags=["hide-input"]


def check_luck(yours: Callable) -> None:
    """Compare with all 120 orders of the four scales with five grades."""
    shares = []
    for name in five:
        every = shuffled_gaps(text_features(spaces[name]), orders(5, 120))
        right = (every >= every[0] - 1e-6).mean()
        mine = yours(text_features(spaces[name]))
        if mine is None or abs(float(mine) - right) > 1e-4:
            hint = "score all 120 orders; a share is a count over 120"
            if mine is not None and float(mine) < right:
                hint = "the true order counts, and so do its equals"
            print(f"not yet: {mine} for {name}; {hint}")
            return
        shares.append(f"{name} {right:.4f}")
    print(f"right: {', '.join(shares)}")


# %%
def share_as_good(features: Tensor) -> float:
    """Your code here."""


check_luck(share_as_good)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# An order read backwards has the same gaps and the same score. So at least 2 of 120 orders are as good as the true one,
# whatever the sentences say. By shuffles alone, five grades can never look better than one in sixty.
#
# </details>


# %% tags=["hide-cell"]
def share_as_good_solved(features: Tensor) -> float:
    """Score the rows in every order."""
    every = permutations(range(len(features)))
    gaps = np.array([gap_score(features[list(order)]) for order in every])
    return (gaps >= gap_score(features) - 1e-6).mean()


check_luck(share_as_good_solved)

# %% [markdown]
# **2. An order of your own.** Predict, then run. Choose six or more things that have an order, none of them from this
# page, and a sentence for them. Before you run it, write down what Figure 3.4 would say: *luck* (the gap score lies
# within the band of shuffles), *spelled* (beyond the band, but not beyond the rings) or *learned* (beyond both). Then
# make a scale of words that mean nothing, and let it come out as *spelled*.

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
# There are many. The next cell tries the months, the ranks of an army, and nonsense. The order of the months is
# learned, although the year is a circle and December is next to January. That of the army is not, perhaps because
# *private*, *major* and *general* mostly mean something else. The nonsense passes the shuffles easily: each name
# repeats two words of the one before.
#
# </details>

# %% tags=["hide-cell"]
MONTHS = "January, February, March, April, May, June, July, August, September, "
MONTHS += "October, November, December"
ARMY = "private, corporal, sergeant, lieutenant, captain, major, general"
NONSENSE = "fork cloud brick, cloud brick lemon, brick lemon shoe, "
NONSENSE += "lemon shoe piano, shoe piano river, piano river button"
check_order(grades(MONTHS, "a photo taken in {rank}"), "learned")
check_order(grades(ARMY, "a portrait of a {rank}"), "luck")
check_order(grades(NONSENSE, "a photo of {rank}"), "spelled")

# %% [markdown]
# ## Summary
#
# - Before you believe an order of sentences, shuffle the names and draw the weights anew. Shuffled names reveal luck,
#   which is large with five ranks. Random weights reveal spelling, which is large for numbers in words.
# - By both controls, `mini` has learned the order of ages, decades and life stages. With five grades one scale proves
#   little: only the mean of four is clearly beyond luck and spelling.
# - Text features are centred twice, by sentences about other things and by the ranks. Otherwise what all sentences
#   share drowns what tells the ranks apart.
# - Sentences order distant ranks well, adjacent ones barely. [Chapter 4](04_rankformer.ipynb) refines them, and
#   [chapter 9](09_does_it_help.ipynb) measures what they are worth.
#
# ## Sources
#
# Language as a start for ordinal labels comes from [Li et al. (2022)](references.md) and
# [Wang et al. (2023)](references.md), whose ages in words have no hyphens. The text features are from
# [Reimers and Gurevych (2019)](references.md), in the small network of [Wang et al. (2020)](references.md). The
# controls are ours; code: [`templates.py`](l2rclip_book/templates.py),
# [`ranks.py`](../l2rclip_lite/method/ranks.py), [`prompts.py`](../l2rclip_lite/method/prompts.py).
