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
# # Does it help?
#
# L2RCLIP {cite:p}`wang2023learning` rests on a promise: sentences about the ranks know their order, and an image
# model can use what they know. This chapter puts the promise to the test, on three real sets of images with twenty
# ranks or more, with three questions that were fixed before the runs. The first figure holds the main answer: how far
# words go towards a model that is simply told the numbers.
#
# :::{admonition} What you will learn
# :class: tip
# - how much of the worth of knowing the numbers is already in the words, and how much stage 1 adds,
# - whether the order in the words, the method as a whole, and the order in the loss help, each tested once,
# - which controls keep such a test honest, and what each of them rules out,
# - how small a difference these images could have shown at all.
# :::
#
# | you should know | how much | if not |
# |---|---|---|
# | the two stages and their losses | the idea | {doc}`02_two_stages` |
# | the ranked probability score, RPS | the idea | {doc}`01_ordinal_classification` |
# | mean, interval, p-value | the idea | any introduction to statistics |
#
# **Time and hardware.** Nothing is trained here. The page reads the results of the studies, which took hours on two
# cores, and draws test images at random. The last line says how long that took.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke and full do the same: nothing is trained
RESULTS = ""  # folder of matrix.csv; empty: book/results

# %% tags=["hide-input"]
from collections import Counter
from textwrap import fill

import pandas as pd
from IPython.display import Markdown

from l2rclip_book import evidence
from l2rclip_book.gains import (
    CLAIMS,
    MANY,
    MEAN,
    NONE,
    NUMBERS,
    compare_pairs,
    gain_table,
    judge_claims,
    order_steps,
    read_results,
)
from l2rclip_book.style import DATA

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

NAMES = {data: name for data, (name, *_) in DATA.items()}
table, scores, missing = read_results(RESULTS)
lacking = Counter(
    unit.rsplit("-", 1)[0]
    for unit in missing
    if unit.split("/")[0] in ("main", "tuned", "tuned-apples", "all")
)
waiting = ", ".join(f"{unit} ({runs})" for unit, runs in lacking.items())
print(fill(f"not run yet, and left out: {waiting or 'nothing'}", 80))


def of(frame: pd.DataFrame, study: str) -> pd.DataFrame:
    """The rows of a study."""
    return frame[frame["study"] == study]


def shares(steps: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Percent of the hand-made order's gain, a line per arm."""
    ends = steps[["share", "share_low", "share_high"]].values
    text = [
        f"{share:.0f} [{low:.0f}, {high:.0f}]".replace("-", "−")
        for share, low, high in ends
    ]
    cells = steps.assign(text=text).pivot(
        index="arm", columns="data", values="text"
    )
    cells = cells.reindex(list(names)).dropna(how="all")
    cells = cells.rename(index=names, columns=NAMES)
    return cells.rename_axis(index=None, columns="share, % [95 % interval]")


# %% mystnb={"image": {"alt": "A panel per data set. Rows from top to bottom: shuffled words, no text, words, words after stage 1, hand-made order, then L2RCLIP, ridge regression and median rank. A mark with an interval shows the RPS of each, and a percentage says how much of the gain of the hand-made order it reaches."}, "figure": {"caption": "RPS of the test images. A bar is the 95 % interval of the difference to *no text* on the same images: one that stays left of the dashed line saves error. The percentage is the share of what the hand-made order saves. L2RCLIP may mix words and numbers; ridge regression and the median rank, where they lie beyond the edge, are arrows with their RPS.", "name": "fig-09-steps"}}
main = of(scores, "main")
many = main[main["data"].isin(MANY)]
steps = order_steps(many, list(evidence.STEPS))
evidence.staircase(steps)

# %% [markdown]
# *Words after stage 1* are the rank sentences as RankFormer and the context vectors leave them. The same shares with
# their intervals:

# %%
shown = ["shuffled words", "words", "after stage 1", "L2RCLIP"]
shares(steps, {arm: evidence.STEPS[arm] for arm in shown})

# %% tags=["hide-input"]
both = of(table, "main").pivot(
    index=["data", "run"], columns="arm", values="rps"
)
both = both.reindex(columns=["L2RCLIP", NUMBERS]).dropna()
same = (both["L2RCLIP"] - both[NUMBERS]).abs() < 1e-9
alone = [
    f"{NAMES[data]} {hits.sum()} of {len(hits)}"
    for data, hits in same.groupby(level="data")
]
Markdown(f"Runs in which L2RCLIP took the numbers alone: {'; '.join(alone)}.")

# %% [markdown]
# ## What was run
#
# **Images.** Coffee leaves by the percentage of ill area, measured on hand-drawn masks {cite:p}`esgario2020deep`;
# apples on a tree, counted in boxes drawn by hand {cite:p}`kodors2024autonomous`; ultrasound images of fetal heads by
# the week, which follows from the head circumference {cite:p}`vandenheuvel2018automated`. No tree and no examination
# is on both sides of a split, though a woman may have been examined twice. Two sets of five ranks and generated
# leaves, where the truth is known, were run the same way; their numbers are in the [full table](full-table).

# %% tags=["hide-input"]
counts = (
    of(table, "main")
    .groupby("data", sort=False)
    .agg(
        ranks=("ranks", "first"),
        runs=("run", "nunique"),
        train=("n_train", "first"),
        test=("n", "first"),
    )
    if "ranks" in table
    else pd.DataFrame()
)
images = main.groupby("data")["path"].nunique().rename("different test images")
counts.join(images).rename(NAMES).rename_axis(None).astype(int)

# %% [markdown]
# **One head for all.** The towers are `mini`, small and frozen; no tower learns anything here. On their features sits
# a linear head: a row of weights per rank. What differs is a single thing, *which ranks the head expects to have
# similar rows* before it has seen an image. That expectation is a matrix, the kernel, and it has three sources.
#
# - **No text.** No two ranks are expected to be alike. This is logistic regression, trained by cross-entropy.
# - **Words.** Two ranks are alike as far as their sentences are, in the eyes of a text tower that was never told
#   which number is larger.
# - **Hand-made order.** Two ranks are alike as far as their numbers are. This head knows exactly what words can only
#   hint at, so it marks the end of the road: whoever has numbers can have this for free.
#
# The head is convex and needs no learning rate, so no method wins by luck in tuning. `L2RCLIP` in the figure is the
# package's default: stage 1, then validation chooses among no text, words, numbers, and half words, half numbers. The
# line below the first table counts the runs in which validation took the numbers alone; there the gain is not one of
# language. That is why the claims below are three and not one.
#
# **The same for every method.** Validation RPS chooses strength or epoch, one temperature is fitted on validation
# RPS, RPS judges the probabilities, and the median of the probabilities answers where a single rank is asked for. RPS
# comes first because it judges the whole distribution, knows distance, and cannot be improved by saying anything but
# what one believes {cite:p}`epstein1969scoring`.
#
# ## Three claims, fixed before the runs
#
# Whoever asks forty questions of a table finds something. These three were written into
# `experiments/matrix/studies.yaml`, and committed, before the first run:
#
# 1. **Order in the words**: true sentences against the same sentences dealt to the wrong ranks.
# 2. **The method**: L2RCLIP as the package recommends it against cross-entropy.
# 3. **Order in the loss**: stage 1 with the paper's weight, which pushes distant ranks harder, against a weight that
#    treats all other ranks alike.
#
# Each compares two heads on the same test images. With $\bar s$ the mean RPS over the images of a set, one arm saves
# against the other
#
# $$
# g = 100\,\frac{\bar s_{\text{other}} - \bar s_{\text{one}}}{\bar s_{\text{other}}}\ \% .
# $$ (eq-09-gain)

# %% mystnb={"image": {"alt": "Three lines, one per claim. On each a mark with a thick and a thin interval per data set, and a diamond for the mean of the sets; a vertical line at zero."}, "figure": {"caption": "What the first arm of each claim saves of the other's RPS, in percent. Thick: 95 % interval over test images. Thin: over runs, corrected for shared training images; it is missing where there is one run. The diamond is the mean of the sets, which alone is tested.", "name": "fig-09-claims"}}
claims = judge_claims(of(table, "main"), many, missing)
judged = claims[claims["data"] == MEAN].set_index("row")
answers = judged.groupby("verdict").groups
found = "; ".join(
    f"{said}: {', '.join(rows)}" for said, rows in answers.items()
)
evidence.intervals(claims, label="RPS saved, %", title=found)

# %%
Markdown(gain_table(claims, "RPS saved, % [95 % interval]"))

# %% [markdown]
# **How three sets make one claim.** The test speaks of the mean of the three $g$. Ten thousand times, images are
# drawn with replacement within each set, both arms on the same draw, and the mean of the three gains is noted
# {cite:p}`efron1979bootstrap`. Twice the share of draws on the wrong side of zero is the p-value. Holm's correction
# then counts that three claims were asked {cite:p}`holm1979simple`. A set alone has an interval and no verdict; until
# all runs of all three sets are there, a claim is *incomplete*.
#
# **Why two intervals.** The thick one answers: would other *images* of the same kind say the same of these trained
# models? The thin one answers: would other *training runs*? Runs share training images, so their plain interval would
# be too narrow; {cite:t}`nadeau2003inference` correct for it, and with five folds the result is wide. Believe a
# difference that survives both.
#
# | what | function | test |
# |---|---|---|
# | {eq}`eq-09-gain`, both intervals, p | `gains.compare_arms`, `gains.run_interval` | `tests/unit/test_gains.py` |
# | three claims, Holm | `gains.judge_claims` | `tests/unit/test_gains.py` |
# | share of the hand-made order | `gains.order_steps` | `tests/unit/test_gains.py` |
#
# ## The controls, one by one
#
# A gain says little until one knows what else could have caused it. Each control keeps everything and breaks one
# thing.
#
# - **Shuffled words.** Every rank gets the sentence of another rank. The vectors have the same lengths and the same
#   angles; only the match between sentence and rank is gone. They should fall on *no text* or behind it, since they
#   expect the wrong ranks to be alike.
# - **Hand-made order.** The opposite end: all the order there is, and no language.
# - **Blind order.** Stage 1 with its ordinal loss, whose weight no longer knows how far apart two ranks are. What it
#   loses against the true weight is what the *order* in the loss brings; the rest comes from training on images at
#   all.
# - **Shuffled order.** The weight believes in a wrong order of the ranks. A weight that matters should now do harm.
# - **No ordinal loss.** Stage 1 with the contrastive loss alone.
# - **Stage 1 from shuffled words.** Stage 1 starts from the wrong sentences. If stage 1 learned the order from the
#   images, the start would not matter; what it fails to reach is what the right sentences had brought along.

# %%
controls = {
    "words": "words, no stage 1",
    "after stage 1": "after stage 1",
    "blind order": "blind order",
    "shuffled order": "shuffled order",
    "no ordinal loss": "no ordinal loss",
    "stage 1 from shuffled words": "stage 1 from shuffled words",
    "shuffled words": "shuffled words, no stage 1",
}
shares(order_steps(many, list(controls)), controls)

# %% [markdown]
# The distance between the first and the last line belongs to the order in the words, the distance between *after
# stage 1* and *words* to stage 1, and that between *after stage 1* and *blind order* to the order in the loss. Only
# the claims were tested; the other lines are exploratory, and an interval here is a hint.
#
# ## What could have been seen
#
# *Not shown* is not *equal*. How large must a true gain be so that four studies out of five would find it? About
# $2.8$ standard errors of the bootstrap, and the table says what that is here. A claim that is not shown, and whose
# smallest visible gain is large, is undecided; one whose smallest visible gain is tiny has been answered, with
# *hardly anything*.

# %%
seen = claims.pivot(index="row", columns="data", values="seen")
seen = seen.reindex(list(CLAIMS)).rename(columns=NAMES).round(1)
seen.rename_axis(index=None, columns="smallest visible gain, %")

# %% [markdown]
# Images of one tree, or of one examination, resemble each other, and so a hundred of them say less than a hundred
# strangers. The plan fixed the image as the unit. Here is the stricter count, in which whole trees and whole
# examinations are drawn:

# %%
strict = compare_pairs(many, CLAIMS, by_subject=True)
Markdown(gain_table(strict, "RPS saved, % [95 % interval], by subject"))

# %% [markdown]
# ## Against other methods
#
# Beating cross-entropy is little if a simpler ordinal method does it better. All of these use the same features, the
# same validation, the same temperature. SORD spreads each label over its neighbours {cite:p}`diaz2019soft`; CORAL and
# CORN ask, threshold by threshold, whether the rank is higher {cite:p}`cao2020rank,shi2023deep`; *cross-entropy +
# RPS* adds the score itself to the loss. Ridge regression, the median rank and the hand-made order have no language
# at all.

# %% mystnb={"image": {"alt": "A line per other method, on each a mark with its interval per data set, and a diamond for their mean: what L2RCLIP saves of the RPS of that method, in percent. Right of zero L2RCLIP is better."}, "figure": {"caption": "What L2RCLIP, at its defaults, saves of the RPS of other methods, in percent, with 95 % intervals over images; right of the line L2RCLIP is better. Marks at the right edge lie beyond it. Exploratory but for the first line.", "name": "fig-09-methods"}}
others = {
    "cross-entropy": NONE,
    "cross-entropy + RPS": "rps",
    "SORD": "sord",
    "CORAL": "coral",
    "CORN": "corn",
    "ridge regression": "ridge",
    "median rank": "median-rank",
    "hand-made order": NUMBERS,
    "words, no stage 1": "words",
    "words after stage 1": "after stage 1",
}
pairs = {f"against {name}": ("L2RCLIP", arm) for name, arm in others.items()}
against = compare_pairs(many, pairs)
evidence.intervals(against, label="RPS saved by L2RCLIP, %")

# %% tags=["hide-input"]
worse = against[(against["high"] < 0) & (against["data"] != MEAN)]
lines = [
    f"- {row['row']} on {NAMES[row['data']]}: {-row['gain']:.1f} % worse "
    f"[{-row['high']:.1f}, {-row['low']:.1f}]"
    for row in worse.to_dict("records")
]
Markdown(
    "Comparisons in which L2RCLIP is worse, with an interval clear of zero:\n\n"
    + ("\n".join(lines) or "- none")
)

# %% [markdown]
# The line *hand-made order* is the one to remember in practice. If your ranks are numbers, tell the model the
# numbers. Words are for ranks that have none, such as *mild*, *moderate* and *severe*; no set of this chapter is of
# that kind, because without numbers nobody could say how far words went.
#
# (ablation-tower)=
# ## When the image tower learns
#
# A frozen tower is a fair stage for words, but the paper trains the tower. There each rank is a fixed vector, its
# prototype, and the tower turns images towards it. The study `tuned` trains the whole image tower in five ways, on
# coffee leaves in five grades and on apples. *Paper* has the weights that the authors released, *without tightness*
# leaves out the part of stage 2 that pulls every image to the very spot of its prototype, and `L2RCLIP` is the
# recommended preset, with the RPS in place of both parts of the pairwise loss.

# %%
tuned = scores[scores["study"].str.startswith("tuned")]
ways = ["paper", "paper without tightness", "L2RCLIP", "rps", "sord"]
rivals = compare_pairs(tuned, {arm: (arm, NONE) for arm in ways})
Markdown(gain_table(rivals, "RPS saved against cross-entropy, %"))

# %% [markdown]
# The question for a default is modest: does language cost anything where images alone suffice? A line whose interval
# lies below zero says yes. Apples had a single run, so its intervals speak of these towers and not of the next ones.
#
# ## What this does not show
#
# - **One tower.** `mini` is small and joined without a single image. A CLIP knows more about words and about images,
#   and both ends of the staircase would move.
# - **Numbers in words.** All rank names here are numbers or percentages, because only then there is a hand-made order
#   to compare with.
# - **Settings were found on validation images of these sets.** The test images took no part; still, other kinds of images
#   may want other settings.
# - **The words of one language**, one template per set. {doc}`15_all_studies` changes the wording.
# - **Medical images serve to test methods.** The weeks are computed from a circumference. Nothing here is a statement
#   about care.
#
# (full-table)=
# ## All numbers
#
# Means over the runs: RPS, MAE of the median in the unit of the ranks, share of right answers, quadratic kappa, and
# calibration error. The table is `book/results/matrix.csv`, a row per run with seed and commit.

# %% tags=["hide-output"]
metrics = ["rps", "mae_median", "accuracy", "qwk", "ece"]
means = table[table["study"].isin(["main", "tuned", "tuned-apples"])]
means = means.reindex(columns=["study", "data", "arm", *metrics])
means.groupby(["study", "data", "arm"], sort=False).mean().round(3)

# %% [markdown]
# ## Exercises
#
# **1. The share.** Without text a head has an RPS of 2, with the hand-made order 1, with words 1.4, with shuffled
# words 2.1. Which shares of the hand-made order's gain are that, in percent?


# %%
def check_shares(words: float, shuffled: float) -> None:
    """Compare with the definition."""
    right = [100 * (2 - rps) / (2 - 1) for rps in (1.4, 2.1)]
    near = abs(words - right[0]) + abs(shuffled - right[1]) < 0.01
    print("right" if near else "not yet: (none − arm) / (none − numbers)")


check_shares(70, 5)

# %% [markdown]
# :::{dropdown} Solution
# $(2 - 1.4)/(2 - 1) = 60\,\%$, and $(2 - 2.1)/(2 - 1) = -10\,\%$: shuffled words go the wrong way.
# :::

# %% tags=["hide-cell"]
check_shares(60, -10)

# %% [markdown]
# **2. Three questions.** Suppose that none of three independent claims is true, and each is tested with $p \le 0.05$.
# How likely is at least one false alarm? And if every p is first multiplied by three, which is where Holm begins?


# %%
def check_alarms(plain: float, corrected: float) -> None:
    """Compare with the exact chances."""
    right = 1 - (1 - 0.05) ** 3, 1 - (1 - 0.05 / 3) ** 3
    near = max(abs(plain - right[0]), abs(corrected - right[1])) < 0.002
    print("right" if near else "not yet: 1 − the chance that all keep silent")


check_alarms(0.05, 0.05)

# %% [markdown]
# :::{dropdown} Solution
# All three keep silent with probability $0.95^3$, so an alarm has $1 - 0.95^3 \approx 0.143$. With $0.05/3$ each it
# is $1 - (1 - 0.05/3)^3 \approx 0.049$.
# :::

# %% tags=["hide-cell"]
check_alarms(0.143, 0.049)

# %% [markdown]
# **3. Another judge.** Repeat the three claims with the absolute error of the median in place of RPS. The functions
# of `gains` look at the column `rps`; give them another one under that name.
#
# :::{dropdown} Solution
# The column is called `error`. RPS sees all probabilities and the error only the answer, so expect the same signs and
# wider intervals.
# :::

# %% tags=["hide-cell"]
judged_by_error = compare_pairs(many.assign(rps=many.get("error")), CLAIMS)
Markdown(gain_table(judged_by_error, "error saved, % [95 % interval]"))

# %% [markdown]
# ## Summary

# %% tags=["hide-input"]
lines = [
    f"- {row}: **{claim['verdict']}**, {claim['gain']:+.1f} % "
    f"[{claim['low']:.1f}, {claim['high']:.1f}] on the mean of the sets, "
    f"p = {claim['holm']:.2g} after Holm."
    for row, claim in judged.iterrows()
]
Markdown("\n".join([f"- {evidence.finding(steps)}.", *lines]))

# %% [markdown]
# - A number knows the order better than words do. Words are worth their keep where there is no number.
# - A control breaks one thing and keeps the rest; without shuffled words and a blind order, no gain could be given a
#   cause.
# - Say beforehand what would convince you, and afterwards what you could have seen.
#
# ## Sources
#
# The method is that of {cite:t}`wang2023learning`. Images: {cite:t}`esgario2020deep`, {cite:t}`kodors2024autonomous`,
# {cite:t}`vandenheuvel2018automated`; licences and traps are in {doc}`16_data_sets`. Other methods:
# {cite:t}`diaz2019soft`, {cite:t}`cao2020rank`, {cite:t}`shi2023deep`. Statistics: {cite:t}`efron1979bootstrap`,
# {cite:t}`holm1979simple`, {cite:t}`nadeau2003inference`; the score is that of {cite:t}`epstein1969scoring`.
