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
# # What else was asked
#
# Somebody who knows that one rank follows another should need fewer images. Is that so? Below, training images or
# ranks become scarce, and two heads that know an order are compared with logistic regression (*no text*), which knows
# none: *words* has the sentences of the ranks, *numbers* their values. Both are kernels over ranks on frozen
# features. **Where is order worth most, and is it worth the same everywhere?**
#
# [Chapter 9](09_does_it_help.ipynb) tests claims that were fixed before the runs. This page has the studies that were run
# beside them, a few lines each. Take the answers as ideas for experiments: none was a claim before the runs.
#
# **You need.** [Chapter 9](09_does_it_help.ipynb), and RankFormer and context vectors in outline,
# [chapter 4](04_rankformer.ipynb).
#
# **Time and hardware.** Nothing is trained here: the page reads stored results and draws from them again. The last line
# says how long that took.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke and full do the same: nothing is trained
RESULTS = ""  # folder of matrix.csv; empty: book/results

# %% tags=["hide-input"]
from collections.abc import Mapping

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from l2rclip_book import words
from l2rclip_book.evidence import intervals, range_figure
from l2rclip_book.gains import (
    LARGEST,
    MEAN,
    NONE,
    NUMBERS,
    compare_arms,
    compare_pairs,
    gain_table,
    gain_text,
    over_images,
    reduction,
    sampled_means,
    summary,
)
from l2rclip_book.plots import DATA, METHODS, style
from l2rclip_book.results import read_results

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

table, scores, missing = read_results(RESULTS)
elsewhere = ("depth", "targets")  # studies on other pages
missing = [unit for unit in missing if not unit.startswith(elsewhere)]
print("not run yet, and left out:", ", ".join(missing) or "nothing")


def frozen(study: str, condition: str = "") -> pd.DataFrame:
    """Return image scores of a study under one condition: three data sets, two trainings."""
    rows = (scores["study"] == study) & (scores["condition"] == condition)
    return scores[rows & scores["data"].isin(LARGEST) & (scores["run"] < 2)]


def mark_figure(
    gains: pd.DataFrame, looks: Mapping[str, tuple[str, str, str]], label: str
) -> Figure:
    """Draw gains on the mean of the data sets: a row per condition, in it a mark per arm."""
    means = gains[gains["data"] == MEAN].rename(columns={"gain": "value"})
    rows = {row: row for row in means["row"].unique()}
    with style():
        figure, axis = range_figure(means, rows, looks)
        axis.set_xlabel(label)
        figure.legend(loc="outside lower left", ncols=2)
    figure.set_figwidth(5.4)
    return figure


# %% mystnb={"image": {"alt": "Eight rows: all images and ranks, sixteen and four images per rank, a third of the ranks unseen, ten ranks, five ranks, a long tail and a label shift. In each, by how much words and numbers reduce the RPS of a head without text, with intervals. All lie right of zero, and numbers further than words."}}
CONDITIONS = {
    "all images and ranks": ("main", ""),
    "16 images per rank": ("few", "few_shot=16"),
    "4 images per rank": ("few", "few_shot=4"),
    "a third of the ranks unseen": ("few", "hold_out=3"),
    "ten ranks": ("shapes", "rebin=10"),
    "five ranks": ("shapes", "rebin=5"),
    "long tail": ("shapes", "long_tail=20"),
    "label shift": ("shapes", "label_shift=5:0.1"),
}
LOOKS = {arm: (arm, *METHODS[arm]) for arm in ("words", NUMBERS)}
gains = pd.concat(
    compare_arms(frozen(*where), arm, NONE).assign(row=title, mark=arm)
    for title, where in CONDITIONS.items()
    for arm in LOOKS
)
mark_figure(gains, LOOKS, "RPS of a head without text reduced by, %")

# %% [markdown]
# **Figure 15.1.** Frozen tower. A mark is the mean of three data sets, a bar its 95 % interval over trainings and
# groups of images. Ranks are merged to ten or five. A *long tail* thins the training images until the rarest rank has
# a twentieth of the most frequent one. A *label shift* removes nine in ten training images of the five most frequent
# ranks. Test images stay.
#
# All figures of this page show means over data sets. Most studies have two trainings of each, so their bars are wide.
#
# ## Few images, and none
#
# Order helps in every row, and numbers help about twice as much as words or more. Does a row differ from the first? That
# needs the interval of the change:


# %% tags=["hide-input"]
def change_of_gain(images: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return how far a gain differs from that of all images and ranks, in points."""
    whole = frozen("main")
    both = [images, whole.assign(arm="main, " + whole["arm"])]
    arms = [arm, NONE, f"main, {arm}", f"main, {NONE}"]
    gains = {}
    for data, means in sampled_means(pd.concat(both), arms).items():
        one, other, main_one, main_other = (means[name] for name in arms)
        gains[data] = reduction(one, other) - reduction(main_one, main_other)
    return summary(gains).assign(mark=arm)


changes = pd.concat(
    change_of_gain(frozen(*where), arm).assign(row=title)
    for title, where in list(CONDITIONS.items())[1:]
    for arm in LOOKS
)
changes = changes[changes["data"] == MEAN]
changes["text"] = [
    gain_text(*row) for row in changes[["gain", "low", "high"]].values
]
cells = changes.pivot(index="row", columns="mark", values="text")
cells = cells.reindex(list(CONDITIONS)[1:], columns=list(LOOKS))
cells.rename_axis(index=None, columns="change of the gain, points")

# %% [markdown]
# Numbers gain more with four images per rank, and after the label shift, which takes images from the frequent ranks.
# Words gain less where ranks are merged. The other ten intervals hold zero. A percentage is a share of what the head
# without text gets wrong *there*: with five ranks the RPS is a sum over four thresholds, with twenty over nineteen.
#
# Now the row *a third of the ranks unseen*. There every third rank between the two ends has no training image at all,
# only its sentence and its number. The study fitted the kernel head and ridge regression, too. Of the test images
# whose true rank had no training image: which methods ever get one right, as their most probable rank?

# %%
bet = ""  # yours: "none", "words and numbers", "ridge" or "all"

# %%
unseen = table[(table["study"] == "few") & (table["condition"] == "hold_out=3")]
columns = ["arm", "accuracy_unseen", "accuracy_seen"]
unseen = unseen.reindex(columns=columns).groupby("arm").mean()
print(f"Your bet: {bet}." if bet else "No bet.")
shown = unseen.rename(index={"L2RCLIP": "kernel head", NONE: "no text"})
shown.round(2).set_axis(["accuracy, unseen", "accuracy, seen"], axis=1)

# %% [markdown]
# Only ridge. All other heads were trained with cross-entropy, which takes probability from the unseen rank on every
# image, whatever the kernel says. Ridge has a slope and no classes, so it can stop between two. It is right on about one
# unseen image in six, but less often than the heads on seen ranks. If you expect gaps in the ranks, train ridge as well.
#
# ## One part, one word
#
# Stage 1 trains RankFormer, through which the words of one rank look at those of others, and context vectors, which all
# ranks share. The next figure takes one away, changes the length of the context, keeps attention within a sentence, or
# puts CLIP's contrastive loss in place of the asymmetrical one. Below them the sentence changes: the bare rank, digits in
# place of number words, or a sentence that says nothing about the image.

# %% mystnb={"image": {"alt": "Twelve rows, by how much one change reduces the RPS, with intervals: six changed parts of stage 1, then three other sentences before and after stage 1. Only the bar of the row without RankFormer, context only, is clear of zero, on the left."}}
changed = ["RankFormer only", "context only", "1 context vector"]
changed += ["16 context vectors", "attention within a sentence"]
changed += ["CLIP's contrastive loss"]
wordings = {
    "rank only": "template={rank}",
    "digits": "names=digits",
    "a photo of … things": "template=a photo of {rank} things",
}


def against(
    base: str, images: pd.DataFrame, arms: Mapping[str, str]
) -> pd.DataFrame:
    """Return by what arms reduce the RPS of one, on the mean of the data sets."""
    gains = compare_pairs(
        images, {row: (arm, base) for row, arm in arms.items()}
    )
    return gains[gains["data"] == MEAN]


whole = "RankFormer and context"
parts = [against(whole, frozen("parts"), {arm: arm for arm in changed})]
sentences = scores[scores["study"] == "templates"]
sentences = sentences.assign(arm=sentences["arm"] + sentences["condition"])
for arm in ("words", "after stage 1"):
    arms = {
        f"{arm}, {name}": arm + wording for name, wording in wordings.items()
    }
    parts.append(against(arm, sentences, arms))
parts = pd.concat(parts)
figure = intervals(parts, label="RPS reduced by, %")
figure.set_figwidth(5.4)
figure

# %% [markdown]
# **Figure 15.2.** By how much one change reduces the RPS, frozen tower, kernel of the words. Left of zero the change does
# harm.
#
# RankFormer helps: without it, in the row *context only*, the RPS rises. All other bars hold zero. An effect of less than
# 2 to 4 % would often be missed. If the wording matters, it matters little.
#
# ## Five ranks, and generated leaves
#
# Does order matter only where ranks are many? Two more data sets have five ranks. In generated leaves the order is known
# to be in the images, because a program painted it there. Gains over a head without text:

# %%
others = scores[scores["study"] == "others"]
pairs = {arm: (arm, NONE) for arm in ("words", "after stage 1", NUMBERS)}
pairs["kernel head"] = ("L2RCLIP", NONE)
few_ranks = compare_pairs(others, pairs)
few_ranks = few_ranks[few_ranks["data"] != MEAN]
Markdown(gain_table(few_ranks, "RPS reduced by, %"))

# %% [markdown]
# Numbers help on leaf damage with five ranks; on retinas their interval holds zero. On generated leaves they bring
# about as much with twenty ranks as with sixty-two. So the number of ranks alone does not say what their order is
# worth. Training four heads on your own images does, in seconds. Retinas and generated leaves had one training, so
# their intervals are over images alone.
#
# ## A tuned tower, part by part
#
# All of this was on frozen features. Now the image tower is tuned, on faces and pears, by L2RCLIP as in [chapter
# 9](09_does_it_help.ipynb) with one part changed: in stage 1 those of Figure 15.2, or the ordinal pairwise loss left
# out; in stage 2 the ranked probability score left out, or the terms that the authors released (*preset paper*). Then
# other losses ([chapter 13](13_other_losses.ipynb)) in place of both stages. SupCon and Rank-N-Contrast have no head:
# logistic regression answers. Of these losses only cross-entropy, alone and with the RPS, had a search for its rate.

# %% mystnb={"image": {"alt": "Twenty-one rows, by how much another way reduces the RPS of L2RCLIP with a tuned tower, with intervals: nine changed parts, eight other losses, two with a long tail and two with larger images. No bar lies right of zero; CORAL, SupCon and both rows of larger images lie left."}}
changed = ["without RankFormer", "without context", *changed[2:]]
changed += ["without pairwise loss", "without RPS in stage 2", "preset paper"]
losses = {
    "cross-entropy": NONE,
    "cross-entropy + RPS": "rps",
    "SORD": "sord",
    "CORAL": "coral",
    "DLDL-v2": "dldl-v2",
    "Ordinal Entropy": "ordinal-entropy",
    "SupCon": "supcon",
    "Rank-N-Contrast": "rank-n-contrast",
}
rows = scores["study"].isin(("at-best", "at-best-parts", "at-best-losses"))
rows &= scores["data"].isin(("portraits", "pears")) & (scores["run"] < 2)
thinned = {
    "long tail: without RankFormer": "without RankFormer",
    "long tail: cross-entropy + RPS": "rps",
}
larger = {
    "224 pixels: cross-entropy": NONE,
    "224 pixels: cross-entropy + RPS": "rps",
}
tuned = [
    against("L2RCLIP", scores[rows], {arm: arm for arm in changed} | losses),
    against("L2RCLIP", scores[scores["study"] == "at-best-tail"], thinned),
    against("L2RCLIP", scores[scores["study"] == "at-best-large"], larger),
]
tuned = pd.concat(tuned)
figure = intervals(tuned, label="RPS of L2RCLIP reduced by, %", limit=35)
figure.set_figwidth(5.4)
figure

# %% [markdown]
# **Figure 15.3.** By how much another way reduces the RPS of L2RCLIP, tuned tower. Left of zero L2RCLIP is ahead.
# Images have 96 pixels, except in the last two rows, which are of pears alone, once. The bar of preset *paper* goes
# on beyond the left edge.
#
# No bar lies right of zero: nothing that was tried is clearly better. CORAL and SupCon are clearly worse, and so are
# both rivals with larger images. The first eight rows lie a little right of zero, but all of them share the same four
# trainings of L2RCLIP. Exercise 2 shows what that does. So leave the parts as they are. With the released terms of
# stage 2 one of two trainings on pears failed: it ended worse than the median rank.
#
# **Few images of some ranks.** RankFormer was made for this: where a rank has few images, its sentence may learn from its
# neighbours. So in the two rows *long tail* the training images are thinned, as in Figure 15.1. AMAE is the error of the
# most probable rank, in which every rank counts alike:

# %% tags=["hide-input"]
amae = table[table["study"] == "at-best-tail"].astype({"amae": float})
amae = amae.pivot_table("amae", ["data", "arm"], "run", sort=False)
names = {data: name for data, (name, *_) in DATA.items()}
named = amae.rename(names | {"rps": "cross-entropy + RPS"}).rename(columns=str)
named.rename_axis(index=[None, None], columns="AMAE, training").round(2)

# %% [markdown]
# In all four trainings AMAE is lower with RankFormer than without; by chance alone four trainings agree one time in
# eight. The RPS of all images does not tell the two apart.
#
# ## A few labels, with and without a related data set
#
# A *relative* is a tower that was trained first on a related data set: drawn leaves for coffee leaves, apples for
# pears and cherries. [Chapter 10](10_new_words.ipynb#a-few-labels) judges two registered claims about training with 2
# and 4 labels per rank. *Few images*, that a relative reduces the RPS of words, is not shown. *Words or labels*, that
# words after a relative beat the best of five ways without sentences, is refuted: words do worse.
#
# The claims were registered with intervals over test images. There *few images* clears zero:

# %% tags=["hide-input"]
registered = over_images(scores[scores["study"] == "words-few"])
for gain in compare_arms(
    registered, *words.FEW_IMAGES["few images"]
).itertuples():
    if gain.data == MEAN:
        print(f"{gain_text(gain.gain, gain.low, gain.high)} %")

# %% [markdown]
# Chapter 10 also counts trainings and draws of labels, and there it holds zero.
#
# How many labels make a relative needless? The rows of 2, 4 and all labels have three trainings. 1, 8 and 16 were added
# later and have one, so their intervals know nothing of another training.

# %% mystnb={"image": {"alt": "Six rows, from one labelled image per rank to all images. In each, by how much a relative reduces the RPS of words and of labels, with intervals. No bar lies left of zero; with all images only labels are clear of it."}}
LOOKS = {
    "words": ("words", *METHODS["words"]),
    "labels": ("labels", *METHODS[NONE]),
}
by_number = words.gains_by_labels(scores)
mark_figure(by_number, LOOKS, "RPS reduced by a relative, %")

# %% [markdown]
# **Figure 15.4.** By how much a relative reduces the RPS, by labelled images per rank: of words, which is L2RCLIP, and of
# labels, which is a linear head without text. Tuned tower, means of four data sets.
#
# For labels not even all do: their bars lie right of zero from 8 per rank on, those of words only at 1, 4 and 8.
#
# With 2 and 4 labels per rank and a relative, are words then better than ways without them? A plus is in favour of words.
# *One direction* is that of two extreme images; *fitted* is one slope and a cut point between neighbouring ranks. Neither
# trains the tower. *A sixth way* lets validation choose words beside the five ways of *words or labels*.

# %% tags=["hide-input"]
studies = ("words-few", "words-own")
of_few = [part[part["study"].isin(studies)] for part in (table, scores)]
duels = words.few_gains(*of_few, words.ONE_TO_ONE)
duels = duels[duels["data"] == MEAN]
Markdown(gain_table(duels, "RPS reduced against, %"))

# %% [markdown]
# Against all four ways that train the tower the intervals hold zero, and words beat the four that do not. So train the
# tower. What words lost to in *words or labels* is no single way, it is the choice: in each run validation took the best
# of five. As a sixth way words change nothing that the interval can show.


# %% tags=["remove-cell"]
def clear(gains: pd.DataFrame) -> list[str]:
    """Return the rows whose interval is clear of zero."""
    return gains.loc[gains["low"] * gains["high"] > 0, "row"].tolist()


if len(scores) and not missing:
    assert (gains.loc[gains["data"] == MEAN, "low"] > 0).all()
    other = ["4 images per rank", "ten ranks", "five ranks", "label shift"]
    assert clear(changes) == other
    heads = unseen.drop(index="ridge")
    assert heads["accuracy_unseen"].max() == 0 < unseen["accuracy_unseen"].max()
    assert clear(parts) == ["context only"]
    assert (tuned["low"] < 0).all()
    assert clear(tuned) == ["CORAL", "SupCon", *larger]
    of_arm = amae.unstack("data")
    assert (of_arm.loc["L2RCLIP"] < of_arm.loc["without RankFormer"]).all()
    means = by_number[by_number["data"] == MEAN].set_index("mark")
    assert (means["high"] > 0).all()
    assert clear(means.loc["words"]) == [
        "1 per rank",
        "4 per rank",
        "8 per rank",
    ]
    later = ["8 per rank", "16 per rank", "all images"]
    assert clear(means.loc["labels"]) == later
    level = set(duels["row"]) - set(clear(duels))
    assert level == {*list(words.ONE_TO_ONE)[:4], "a sixth way to choose from"}

# %% [markdown]
# ## Exercises
#
# **1. How many would stand out?** Suppose that nothing differs anywhere, and a page shows 120 independent intervals of
# 95 %; this one shows about as many. How many of them will miss zero, on average?


# %%
def check_misses(expected: float) -> str:
    """Compare with the expected number."""
    if abs(expected - 120 * 0.05) < 0.01:
        return "right: more often than not they look interesting"
    if abs(expected - 120 * 0.95) < 0.01:
        return "not yet: so many hold zero"
    return "not yet: each misses zero in 5 % of all cases"


print(check_misses(0))  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# $120 \times 0.05 = 6$. So before you quote a row, ask how many rows there were.
#
# </details>

# %% tags=["hide-cell"]
print(check_misses(6))

# %% [markdown]
# **2. One training, eight rows.** Predict, then run. Suppose again that nothing differs: L2RCLIP and eight changed
# versions are trained once each, which is nine draws from one distribution. Each version is compared with that one
# training of L2RCLIP. In which share of all such tables do all eight lie on the same side of it?


# %%
def check_side(share: float) -> str:
    """Compare with ten thousand tables in which nothing differs."""
    rps = np.random.default_rng(0).normal(size=(10_000, 9))
    better = (rps[:, 1:] < rps[:, :1]).sum(axis=1)  # versions with less RPS
    right = np.isin(better, (0, 8)).mean()
    if abs(share - right) < 0.01:
        return f"right: {right:.2f} of the tables"
    if share < 0.01:
        return (
            "not yet: the eight rows are not independent; what do they share?"
        )
    if abs(share - right / 2) < 0.01:
        return "not yet: it may be the best of nine, or the worst"
    return "not yet: how often is one of nine equals the best?"


print(check_side(2 / 2**8))  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# All eight lie on one side if L2RCLIP is the best of nine or the worst, and each happens one time in nine: $2/9$. Eight
# independent rows would agree only once in 128 tables. So one unlucky training of what all rows share looks like eight
# improvements.
#
# </details>

# %% tags=["hide-cell"]
print(check_side(2 / 9))

# %% [markdown]
# ## Summary
#
# - Order helps in every row of Figure 15.1. Numbers gain more with four images per rank than with all; words gain
#   less where ranks are merged.
# - Heads with a class per rank never get a rank without training images right; ridge, a slope, sometimes does.
# - With a frozen tower RankFormer helps. For the context, the axis of attention, the contrastive loss and the wording the
#   intervals hold zero.
# - With a tuned tower they hold zero for every part of L2RCLIP, and against six of eight other losses.
# - A relative helps labels from 8 per rank on. Medical images serve to test methods; no row is a statement about care.
#
# ## Sources
#
# The method is that of [Wang et al. (2023)](references.md), the score that of [Epstein (1969)](references.md), the
# bootstrap that of [Efron (1979)](references.md). Images: [Esgario et al. (2020)](references.md),
# [Kodors et al. (2024)](references.md), [van den Heuvel et al. (2018)](references.md),
# [Yang et al. (2023)](references.md).
