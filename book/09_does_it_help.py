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
# L2RCLIP {cite:p}`wang2023learning` rests on a promise: sentences about the ranks know their order, and an image model
# can use what they know. This chapter tests the promise on six sets of real images with 17 to 27 ranks, with
# three questions that were fixed before the runs. The first figure holds the main answer: words bring part of what a
# model gains when it is simply told the numbers, stage 1 brings more, and the numbers stay ahead. Where the image tower is
# trained as well, L2RCLIP beats its rivals at their best on the mean of eight sets, and loses on one. What pays there is mostly
# the loss with fixed prototypes: on the mean of four sets random vectors in place of the sentences do as well.
#
# **You need.** The two stages in outline ({doc}`02_two_stages`), the ranked probability score
# ({doc}`01_ordinal_classification`), and what an interval and a p-value are.
#
# **Time and hardware.** Nothing is trained here. The page reads the results of the studies, which took hours on two
# cores, and resamples test images. The last line says how long that took.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke and full do the same: nothing is trained
RESULTS = ""  # folder of matrix.csv; empty: book/results

# %% tags=["hide-input"]
from collections.abc import Callable

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
)
from l2rclip_book.real_clip import clip_figure, clip_paragraph, read_clip
from l2rclip_book.result_files import find_result, read_results
from l2rclip_book.style import DATA
from l2rclip_book.tuned import (
    BEST_RIVAL,
    SETS,
    judge_tuned,
    read_search,
    recipe_table,
    with_best_rival,
)

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

NAMES = {data: name for data, (name, *_) in DATA.items()}
table, scores, missing = read_results(RESULTS)
lacking = [
    x for x in missing if x.startswith(("main", "at-best", "tuned", "all"))
]
print("not run, and left out:", ", ".join(lacking) or "nothing")


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
    order = [data for data in NAMES if data in cells]
    cells = cells.reindex(list(names), columns=order).dropna(how="all")
    cells = cells.rename(index=names, columns=NAMES)
    return cells.rename_axis(index=None, columns="share, % [95 % interval]")


# %% mystnb={"image": {"alt": "A panel per data set. Rows from top to bottom: shuffled words, no text, words, words after stage 1, hand-made order, then L2RCLIP, ridge regression and median rank. A mark with an interval shows the RPS of each, and a percentage says how much of the gain of the hand-made order it reaches."}, "figure": {"caption": "RPS of the test images. A bar is the 95 % interval of the difference to *no text* on the same images: one that stays left of the dashed line saves error. The percentage is the share of what the hand-made order saves. L2RCLIP may mix words and numbers; ridge regression and the median rank, where they lie beyond the edge, are arrows with their RPS.", "name": "fig-09-steps"}}
main = of(scores, "main")
many = main[main["data"].isin(MANY)]
steps = order_steps(many, list(evidence.STEPS))
evidence.staircase(steps)

# %% [markdown]
# *Words after stage 1* are the rank sentences as RankFormer and the context vectors leave them. Here are the shares
# with their intervals:

# %% tags=["hide-input"]
shown = ["shuffled words", "words", "after stage 1", "L2RCLIP"]
shares(steps, {arm: evidence.STEPS[arm] for arm in shown})

# %% tags=["hide-input"]
heads = of(table, "main").reindex(columns=["data", "arm", "kernel_numbers"])
heads = heads[heads["arm"] == "L2RCLIP"]
trust = heads.groupby("data")["kernel_numbers"].mean() / 0.99  # its largest
trusted = [
    f"{name} {100 * trust[data]:.0f} %"
    for data, name in NAMES.items()
    if data in trust
]
Markdown(
    "How far the head of L2RCLIP trusts the numbers: "
    f"{'; '.join(trusted) or 'no rows'}."
)

# %% [markdown]
# ## What was run
#
# **Images.** Coffee leaves, ranked by the percentage of diseased area on hand-drawn masks {cite:p}`esgario2020deep`;
# trees, ranked by the number of apples in hand-drawn boxes {cite:p}`kodors2024autonomous`; ultrasound images of fetal
# heads, ranked by the week that follows from the head circumference {cite:p}`vandenheuvel2018automated`; crops of
# branches and trees, ranked by their cherries {cite:p}`apeinans2024cherry` and pears {cite:p}`kodors2023rapid`; official
# portraits, ranked by age in steps of three years. No tree, no block of photographs, no examination and no person is on
# both sides of a split, though a woman may have been examined twice. Two sets of five ranks and generated leaves, where
# the truth is known, were run the same way: {doc}`16_all_studies` has them.

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
# **One head for all.** The towers are `mini`, small and frozen. A linear head reads their features, with a row of
# weights per rank. The methods differ in one thing: *which ranks the head expects to have similar rows* before it has
# seen an image. That expectation is a matrix, the kernel, and it has three sources.
#
# - **No text.** No two ranks are expected to be alike. This is logistic regression, trained by cross-entropy.
# - **Words.** Two ranks are as alike as their sentences are to a text tower, which was never told which number is
#   larger.
# - **Hand-made order.** The closer two numbers are, the more alike are their ranks. This head knows exactly what words
#   can only hint at, so it marks the full gain. If your ranks are numbers, you can have this for free.
#
# Fitting the head is a convex problem without a learning rate, so no method wins by luck in tuning. `L2RCLIP` in the
# figure is the package's way for a frozen tower: stage 1, then a head for each of no text, words, numbers, and half
# words, half numbers. Validation images, drawn anew a thousand times, vote for the best of them, and the answer is the
# mean of the heads, weighted by votes. The line below the first table shows that nearly all votes went to the numbers,
# so that gain is not one of language. That is why there are three claims below and not one. Stage 1 runs for 15 epochs
# here, in batches of 128; the defaults are 6 epochs and batches of 16, or of a 32nd of the images where that is more.
#
# **The same for every method.** Validation RPS chooses the strength of the penalty or the epoch, and fits one
# temperature. RPS judges the probabilities; where a single rank is needed, their median answers. RPS comes first
# because it judges the whole distribution, respects distance, and cannot be improved by saying anything but what you
# believe {cite:p}`epstein1969scoring`.
#
# ## Three claims, fixed before the runs
#
# Ask a table forty questions, and one of them will find something. These three were written into
# `experiments/matrix/studies.yaml`, and committed, before the first run:
#
# 1. **Order in the words**: true sentences against the same sentences given to the wrong ranks.
# 2. **The method**: L2RCLIP as the package recommends it against cross-entropy.
# 3. **Order in the loss**: stage 1 with the paper's weight, which pushes distant ranks harder, against a weight of 1
#    for every pair of images.
#
# Each compares two heads (*arms*) on the same test images. With $\bar s$ the mean RPS over the images of a set, one arm
# saves, compared with the other,
#
# $$
# g = 100\,\frac{\bar s_{\text{other}} - \bar s_{\text{one}}}{\bar s_{\text{other}}}\ \% .
# $$ (eq-09-gain)

# %% mystnb={"image": {"alt": "Three lines, one per claim. On each a mark with a thick and a thin interval per data set, and a diamond for the mean of the sets; a vertical line at zero."}, "figure": {"caption": "What the first arm of each claim saves of the other's RPS, in percent. Thick: 95 % interval over test images. Thin: over runs, corrected for shared training images; it is missing where there is one run. The diamond is the mean of the sets, which alone is tested.", "name": "fig-09-claims"}}
claims = judge_claims(of(table, "main"), many, missing)
judged = claims[claims["data"] == MEAN].set_index("row")
answers = judged.groupby("verdict").groups
verdicts = "; ".join(
    f"{verdict}: {', '.join(rows)}" for verdict, rows in answers.items()
)
evidence.intervals(claims, label="RPS saved, %", title=verdicts, limit=35)

# %% tags=["hide-input"]
Markdown(gain_table(claims, "RPS saved, % [95 % interval]"))

# %% [markdown]
# All three hold on the mean of the sets, but they differ in size. The order in the words saves 3 to 17 % of the RPS
# on the single sets. Three of these, cherries, pears and portraits, came later, and neither sentences nor settings of
# this claim were tried on them before: there it saves 3 to 7 %. The method as a whole saves more, but because nearly all votes went to the numbers, this gain
# comes from knowing the order; *words after stage 1* is what language alone can bring. The order in the loss saves half
# a hundredth; about a third of that remains against a shuffled order, as the [controls](controls) show. Nobody would
# notice it in practice.
#
# **How six sets make one claim.** The test is about the mean of the six $g$. Ten thousand times, images are drawn
# with replacement within each set, both arms on the same draw, and the mean of the six gains is noted
# {cite:p}`efron1979bootstrap`. Twice the share of draws on the wrong side of zero is the p-value. Holm's correction
# then allows for three claims {cite:p}`holm1979simple`. A single set has an interval and no verdict.
#
# **Why two intervals.** The thick one answers: would other *images* of the same kind say the same about these trained
# models? The thin one answers: would other *training runs*? Runs share training images, so their plain interval would
# be too narrow; {cite:t}`nadeau2003inference` correct for that, and with few runs the result is wide. Believe a
# difference that survives both. The order in the words does so on three sets, those with five runs or more; the order in
# the loss on one.
#
# | what | function |
# |---|---|
# | {eq}`eq-09-gain`, both intervals, p | `gains.compare_arms`, `gains.run_interval` |
# | three claims, Holm | `gains.judge_claims` |
# | share of the hand-made order | `gains.order_steps` |
#
# (controls)=
# ## The controls, one by one
#
# A gain says little until you know what else could have caused it. A control should break one thing and keep the rest.
#
# - **Shuffled words.** Every rank gets the sentence of another rank. The vectors have the same lengths and the same
#   angles; only the match between sentence and rank is gone. They should do no better than *no text*, since they expect
#   the wrong ranks to be alike.
# - **Hand-made order.** The opposite end: all the order there is, and no language.
# - **Blind order.** Stage 1 with its ordinal loss, but with a weight of 1, however far apart two ranks are. This was
#   the control of the third claim, and it breaks more than one thing: the true weight is a fraction, so blind order also
#   pushes harder, and it pushes the text of a rank away from the rank's own images.
# - **Shuffled order.** The true weight, for a wrong order of the ranks. It is nearer to the true one in strength, though
#   it still pushes harder, since neighbours in truth are seldom neighbours here.
# - **No ordinal loss.** Stage 1 with the contrastive loss alone.
# - **Stage 1 from shuffled words.** Stage 1 starts from the wrong sentences. If stage 1 learned the order from the
#   images alone, the start would not matter; what it fails to reach is what the right sentences bring.

# %% tags=["hide-input"]
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
# The difference between the first and the last line is due to the order in the words, that between *after stage 1* and
# *words* to stage 1. Two lines deserve a second look. *No ordinal loss* reaches nearly what the whole stage 1 reaches:
# most of what stage 1 adds comes from its contrastive loss. And *stage 1 from shuffled words* catches up where there
# are many images per rank, and falls behind where there are few: the right sentences are worth most where images cannot
# teach the order. These lines were not tested; take an interval here as a hint. What stage 1 with the true weight saves
# against each other weight:

# %% tags=["hide-input"]
weights = ("blind order", "shuffled order", "no ordinal loss")
pairs = {f"against {arm}": ("after stage 1", arm) for arm in weights}
weighed = compare_pairs(many, pairs)
Markdown(gain_table(weighed, "RPS saved, % [95 % interval]"))

# %% tags=["remove-cell"]
saved = weighed.set_index(["data", "row"])["gain"]
if set(MANY) <= set(weighed["data"]):
    blind, shuffled, none = (saved[MEAN, row] for row in pairs)
    assert 0.25 < shuffled / blind < 0.45
    assert 0 < none < shuffled
    assert saved["bracol-area", "against no ordinal loss"] < 0

# %% [markdown]
# Against a shuffled order about a third of the third claim's gain remains, and against no ordinal loss at all still less: on
# leaf damage the loss brings nothing. So the order in the loss counts for something on the mean of the sets, and for
# less than the claim says.
#
# ## What could have been seen
#
# *Not shown* is not *equal*. How large must a true gain be for four studies out of five to find it? About $2.8$
# standard errors of the bootstrap; the table says what that is here. A claim that is not shown is undecided if its
# smallest visible gain is large. If that gain is tiny, the answer is *hardly anything*.

# %% tags=["hide-input"]
seen = claims.pivot(index="row", columns="data", values="seen")
order = [data for data in [*NAMES, MEAN] if data in seen]
seen = seen.reindex(list(CLAIMS), columns=order).rename(columns=NAMES)
seen = seen.round(1)
seen.rename_axis(index=None, columns="smallest visible gain, %")

# %% [markdown]
# Images of one tree, or of one examination, resemble each other, so a hundred of them say less than a hundred unrelated
# ones. The plan fixed the image as the unit. Here is the stricter count, in which whole trees and whole examinations
# are drawn:

# %% tags=["hide-input"]
strict = compare_pairs(many, CLAIMS, by_subject=True)
Markdown(gain_table(strict, "RPS saved, % [95 % interval], by subject"))

# %% [markdown]
# ## Against other methods
#
# Beating cross-entropy means little if a simpler ordinal method does it better. All of these use the same features and
# validation, and each has a temperature fitted in the same way. SORD spreads each label over its neighbours
# {cite:p}`diaz2019soft`; CORAL and CORN ask, threshold by threshold, whether the rank is higher
# {cite:p}`cao2020rank,shi2023deep`; *cross-entropy + RPS* adds the score itself to the loss. Apart from the two rows of
# words, none uses language.

# %% mystnb={"image": {"alt": "A line per other method, on each a mark with its interval per data set, and a diamond for their mean: what L2RCLIP saves of the RPS of that method, in percent. Right of zero L2RCLIP is better."}, "figure": {"caption": "What L2RCLIP, with a frozen tower, saves of the RPS of other methods, in percent, with 95 % intervals over images; right of the line L2RCLIP is better. Marks at the right edge lie beyond it. Exploratory but for the first line.", "name": "fig-09-methods"}}
others = {
    "cross-entropy": NONE,
    "cross-entropy + RPS": "rps",
    "SORD": "sord",
    "CORAL": "coral",
    "CORN": "corn",
    "ridge regression": "ridge",
    "one direction (rank axis)": "rank-axis",
    "nearest neighbours": "nearest",
    "median rank": "median-rank",
    "hand-made order": NUMBERS,
    "words, no stage 1": "words",
    "words after stage 1": "after stage 1",
}
pairs = {f"against {name}": ("L2RCLIP", arm) for name, arm in others.items()}
against = compare_pairs(many, pairs)
evidence.intervals(against, label="RPS saved by L2RCLIP, %", limit=60)

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
# Keep CORAL in mind: it knows only that the ranks have an order, neither words nor numbers. It is behind L2RCLIP on fetal
# heads, ahead on pears, and hardly to be told from it elsewhere. And remember the row *hand-made order*. If your ranks are numbers, tell the model
# the numbers. Words are for ranks that have none, such as *mild*, *moderate* and *severe*. No set of this chapter is of
# that kind, because without numbers nobody could say how far words went.
#
# (ablation-tower)=
# ## When the image tower learns
#
# A frozen tower is a fair test of words, but the paper trains the tower. Then each rank is a fixed vector, its
# prototype, and the tower turns images towards it. The rivals have a linear head that learns together with the tower:
# under cross-entropy, or under cross-entropy + RPS, which is the loss of L2RCLIP's second stage.
#
# **Each method at its best.** A learning rate that suits one method ruins another, so a rival that is measured at your
# own rate is not measured. Six recipes were tried for each method, one training each, on one small set of each kind:
# portraits, pears, and coffee leaves in five grades. The package shortens gradients of a tower to length 1; the two lowest
# rates were also tried without that. The table says how the RPS of the validation images changes with the
# recipe, in percent of the method's own mean:

# %% tags=["hide-input"]
recipes = recipe_table(read_search(RESULTS))
recipes.map("{:.0f}".format)

# %% [markdown]
# L2RCLIP keeps its default rate. Cross-entropy gets 2e-4 with gradients as they are, and because two of the three sets
# would give it 4e-4, it gets that as a second chance. With an RPS the rate is 4e-4. Two more claims were then committed,
# before the runs, on the mean of eight real sets, in three trainings each (three folds and seeds; on RetinaMNIST seeds):
# L2RCLIP as it comes out of the box, on images of 96 pixels, saves RPS against cross-entropy with the recipe of the search; and
# it does so against the rival that *validates best*, chosen anew for each training from all three.

# %% mystnb={"image": {"alt": "Two lines, one per claim. On each a mark with an interval for each of eight data sets, and a diamond for their mean; a vertical line at zero."}, "figure": {"caption": "What L2RCLIP, out of the box, saves of the RPS of a rival at its best when the image tower is trained, in percent. Intervals of 95 % over test images; the diamond is the mean of the sets.", "name": "fig-09-tuned"}}
best = of(table, "at-best")
tuned = judge_tuned(best, of(scores, "at-best"), missing)
over_images = tuned.drop(columns=["run_low", "run_high"])
evidence.intervals(over_images, label="RPS saved by L2RCLIP, %", limit=60)

# %% tags=["hide-input"]
Markdown(gain_table(tuned, "RPS saved by L2RCLIP, % [95 % interval]"))

# %% [markdown]
# An interval over images knows nothing of the next training. These are the three trainings of each set, in percent:

# %% tags=["hide-input"]
rivals = with_best_rival(best, best)
wide = rivals.pivot(index=["data", "run"], columns="arm", values="rps")
wide = wide.reindex(columns=["L2RCLIP", NONE, BEST_RIVAL])
each = {}
for rival in (NONE, BEST_RIVAL):
    each[f"against {rival}"] = 100 * (1 - wide["L2RCLIP"] / wide[rival])
of_training = pd.DataFrame(each).unstack("run").reindex(best["data"].unique())
of_training.rename(NAMES).rename_axis(index=None).map("{:+.1f}".format)

# %% tags=["hide-input"]
minutes = best.pivot_table("seconds", "data", "arm", sort=False) / 60
minutes.rename(NAMES).rename_axis(index=None, columns="minutes").round(1)

# %% [markdown]
# (Minutes on one core; now and then two cores had three runs.) Both claims hold on the mean of the sets. Out of the box
# L2RCLIP is ahead of cross-entropy at its best on six sets, clear of zero over images, level on portraits, and *behind* on
# RetinaMNIST. The rival that validates best comes closer: L2RCLIP is clearly ahead of it on cherries and on both sets of coffee
# leaves, again behind on RetinaMNIST, and elsewhere the images cannot tell. So no default wins everywhere: `l2rclip baselines`
# trains the rivals on your own images. {doc}`16_all_studies` takes L2RCLIP apart and puts other losses in its place.
#
# These rows replace those of an earlier version, with one training, thirty epochs of stage 1, and of every tower the epoch
# with the lowest validation RPS. There the second claim was not shown, and fetal heads were clearly behind. Both defaults were
# then changed, the epoch for rivals as well, by trials in which test images of portraits and pears were looked at; the study
# was registered again, and run whole. Its third training was added when the first two had been judged, without any other
# change.
#
# **What the sentences add, and two defaults.** On the four smallest sets, the same trainings once more: without stage 1,
# on the plain sentences; with random unit vectors in place of sentences; with the epoch that has the lowest validation RPS in
# place of the last one; and with thirty epochs of stage 1 in place of ten (both on three sets, once).

# %% tags=["hide-input"]
variants = ["plain sentences", "random prototypes"]
variants += ["lowest validation RPS", "30 epochs of stage 1"]
pairs = {f"against {arm}": ("L2RCLIP", arm) for arm in variants}
beside = ["at-best", "at-best-texts", "at-best-choices"]
parts = compare_pairs(scores[scores["study"].isin(beside)], pairs)
Markdown(gain_table(parts, "RPS saved by L2RCLIP, % [95 % interval]"))

# %% [markdown]
# On the mean of the sets the sentences are level with random vectors, and what stage 1 made of them is level with the plain
# ones, which take no minutes. Fetal heads are the exception: there stage 1 saves 6.2 % against the plain sentences and
# 8.5 % against random vectors. So most of what pays is the loss, with prototypes that stay where they are while the tower moves.
# Keeping the last epoch saves some 2 % on each of three sets, which no single one can show; thirty epochs of stage 1 are
# level with ten on their mean.
#
# **An hour against it.** Somebody who had not written this package got an hour, one core, scikit-learn, timm and all baselines,
# to beat the default on the first fold of two sets. Submissions were chosen by validation images, though several test scores
# were looked at on the way; the last rows put the same means in the hands of L2RCLIP. Minutes are those of a busy machine.

# %% tags=["hide-input"]
scored = {"val_rps": "validation RPS", "rps": "RPS", "mae_median": "MAE"}
keys = ["data", "side", "method"]
hour = pd.DataFrame(columns=[*keys, *scored, "minutes"])
file = find_result("hour.csv", RESULTS)
if file is not None:
    hour = pd.read_csv(file)
hour = hour.replace({"data": NAMES}).rename(columns=scored)
hour.set_index(keys).rename_axis([None] * 3)

# %% [markdown]
# The default was beaten on both sets, and not by a better loss but by more pixels. At 96 pixels nobody was ahead beyond chance.
# At 224 the plain head gains most on portraits, and L2RCLIP gains as much: with the same pixels the two are level there, and on
# pears L2RCLIP is ahead. A kernel ridge on frozen features of larger images takes a minute and comes close to a tuned tower
# that sees 96. So before you look for another method, give `--image-size 224` the time: 96 pixels are what made these studies
# affordable, and no default of the package, which takes what the towers were made for.
#
# **The paper's terms, and random vectors.** The studies whose names begin with `tuned` trained towers at the rate of
# L2RCLIP, on leaves in five grades (five folds) and on apples (the first fold). What shares that rate can be compared:
# *paper* has the terms that the authors released, each with weight 1; *paper without tightness* leaves out the part of
# stage 2 that pulls every image onto its prototype; *random prototypes* is L2RCLIP with fixed random vectors in place of
# the texts.

# %% tags=["hide-input"]
at_one_rate = scores[scores["study"].str.startswith("tuned")]
others = ("random prototypes", "paper", "paper without tightness")
pairs = {f"against {arm}": ("L2RCLIP", arm) for arm in others}
trained = compare_pairs(at_one_rate, pairs)
trained = trained[trained["data"] != MEAN]
Markdown(gain_table(trained, "RPS saved by L2RCLIP, % [95 % interval]"))

# %% [markdown]
# The recommended preset is ahead of the paper's terms on the leaves; on the apples it is level with *paper* and behind *paper
# without tightness*. And the sentences deserve little credit once a tower is trained: random vectors are level on the
# leaves and ahead on the apples.
#
# **How much of this is chance?** What ran first was trained once more, by the same code with the same seeds, on a CPU of
# another kind, which rounds sums in another way: the towers of `tuned`, and on the first three sets all frozen heads but
# those of L2RCLIP, which are stacks only since. This is how far the RPS of a model moved:

# %% tags=["hide-input"]
file = find_result("matrix_again.csv")
again = table[:0] if file is None else pd.read_csv(file)
keys = ["study", "data", "run", "arm"]
both = table.merge(again[[*keys, "rps"]], on=keys, suffixes=("", "_again"))
change = both["rps_again"].astype(float) / both["rps"].astype(float) - 1
both["moved"] = 100 * change.abs()
both["tower"] = both["study"].eq("main").map({True: "frozen", False: "tuned"})
moved = both.groupby("tower")["moved"].quantile([0.5, 0.9, 1]).unstack()
columns = {0.5: "median, %", 0.9: "nine of ten below, %", 1: "largest, %"}
moved.rename(columns=columns).rename_axis(columns=None).map("{:.2g}".format)

# %% tags=["remove-cell"]
if {"bracol", "apples81"} <= set(trained["data"]):
    by_data = trained.set_index("data")
    leaves, apples = by_data.loc["bracol"], by_data.loc["apples81"]
    # in the order of `others`
    assert list(leaves["low"] > 0) == [False, True, True]
    assert list(apples["high"] < 0) == [True, False, True]
    assert moved.loc["frozen", 0.9] < 0.01 < 1 < moved.loc["tuned", 0.5]
if set(SETS) <= set(tuned["data"]):
    first, second = (part.set_index("data") for _, part in tuned.groupby("row"))
    for claim in (first, second):
        assert list(claim["verdict"])[-1] == "better"
        assert set(claim.index[claim["high"] < 0]) == {"retinamnist"}
    level = set(first.index[(first["low"] < 0) & (first["high"] > 0)])
    assert level == {"portraits"}
    ahead = set(second.index[second["low"] > 0])
    assert ahead == {"bracol", "bracol-area", "cherries81", MEAN}
for arm in ("plain sentences", "random prototypes"):
    part = parts[parts["row"] == f"against {arm}"].set_index("data")
    if len(part) > 4:
        assert part.loc[MEAN, "low"] < 0 < part.loc[MEAN, "high"]
        assert list(part.index[part["low"] > 0]) == ["hc18"]
choices = parts[parts["row"].isin(["against " + arm for arm in variants[2:]])]
if len(choices) == 8:
    kept, longer = (
        part.set_index("data") for _, part in choices.groupby("row", sort=False)
    )
    assert (kept["gain"] > 1).all()
    assert (kept["low"] < 0).all()
    assert abs(longer.loc[MEAN, "gain"]) < 1

# %% [markdown]
# An interval over images cannot know this, as the three trainings of each set have shown. A frozen head hardly moves, so the
# rest of this page does not depend on it. With a tuned tower, train several models before you choose between methods this
# close.
#
# An earlier version of this package was *behind* cross-entropy on leaves and apples, and the texts seemed to be at fault.
# They were not. A tower that meets texts knows nothing of them, and its first gradients are much longer than later
# ones. Adam divides by the root of their mean square, and took small steps for the rest of a short run; a head that starts
# at zero has no such start. Now gradients of the tower longer than 1 are shortened, which also allows a higher rate. Before you blame an idea, look at its optimiser.
#
# (published-clip)=
# ## The same with published CLIPs
#
# No pretrained CLIP could be had where these studies ran. One command closes the gap wherever there are a network and a
# GPU: `make clip` fetches OpenAI's ViT-B-16 and a SigLIP, trains the arms of the three claims and those of a tuned tower
# on the sets that may be downloaded, and writes rows, from which the next cells make a paragraph and a figure. What it
# tests was fixed before the first row, in `experiments/matrix/clip.yaml`.

# %% tags=["hide-input"]
published = read_clip(RESULTS)
Markdown(clip_paragraph(published))

# %% tags=["hide-input"] mystnb={"image": {"alt": "For each published CLIP a line per claim, and a line for L2RCLIP against each of three rivals with a tuned tower. On each line a mark with its interval per data set, and a diamond for their mean; a vertical line at zero."}, "figure": {"caption": "What the first arm of each claim saves of the other's RPS, in percent, with published CLIPs; then L2RCLIP against its rivals with a tuned tower. Intervals of 95 % over test images; the diamond is the mean of the sets.", "name": "fig-09-clip"}}
clip_figure(published)

# %% [markdown]
# ## What this does not show
#
# - **One tower.** `mini` is small, and its towers were aligned without a single image. CLIP knows more about words and
#   about images; both ends of the first figure would move.
# - **Numbers in words.** All rank names here are numbers or percentages, because only then is there a hand-made order
#   to compare with.
# - **Settings were found on validation images of the first three sets.** No image was set aside from that search: what
#   is validation in one fold is test in another. That votes weigh the heads of L2RCLIP was chosen among a dozen rules on
#   test images of all sets, smaller than here; it moves the second claim by less than half a per cent.
# - **The words of one language**, one template per set. {doc}`16_all_studies` changes the wording.
# - **Medical images serve to test methods.** The weeks are computed from a circumference. Nothing here is a statement
#   about care.
#
# ## Exercises
#
# **1. The share.** Without text a head has an RPS of 2, with the hand-made order 1, with words 1.4, with shuffled words
# 2.1. What share of the hand-made order's gain do words and shuffled words reach, in percent?


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
    near = max(abs(plain - right[0]), abs(corrected - right[1])) < 0.0005
    hint = "1 − the chance that all keep silent, to three decimals"
    print("right" if near else f"not yet: {hint}")


check_alarms(0.05, 0.05)

# %% [markdown]
# :::{dropdown} Solution
# All three keep silent with probability $0.95^3$, so the chance of an alarm is $1 - 0.95^3 \approx 0.143$. With
# $0.05/3$ each it is $1 - (1 - 0.05/3)^3 \approx 0.049$.
# :::

# %% tags=["hide-cell"]
check_alarms(0.143, 0.049)

# %% [markdown]
# **3. Another judge.** Repeat the three claims with the absolute error of the median in place of RPS. The functions
# of `gains` look at the column `rps`; give them another one under that name.


# %%
def gains_by_error(images: pd.DataFrame) -> pd.DataFrame:
    return compare_pairs(images, CLAIMS)  # your turn


def check_judge(mine: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Try two images on which RPS and the error disagree about every claim."""
    arms = {
        arm: {"data": "hc18", "run": 0, "arm": arm, "rps": rps, "error": error}
        for better, other in CLAIMS.values()
        for arm, rps, error in ((better, 1.0, 3.0), (other, 4.0, 2.0))
    }
    rows = [row | {"path": path} for row in arms.values() for path in "ab"]
    images = pd.DataFrame(rows)
    gains = mine(images)
    if not isinstance(gains, pd.DataFrame):
        print("not yet: return the whole table of gains")
        return
    gains = gains.query("data == 'hc18'")
    if not images.equals(pd.DataFrame(rows)):
        print("not yet: leave the table of images as it is; use assign")
    elif list(gains["row"]) != list(CLAIMS):
        print("not yet: a row for each of the three claims")
    elif (gains["gain"] == 75).all():
        print("not yet: these are the gains in RPS")
    elif (gains["gain"] == -50).all():
        print("right")
    else:
        print("not yet: errors of 3 in place of 2 are a gain of −50 %")


check_judge(gains_by_error)

# %% [markdown]
# :::{dropdown} Solution
# The column is called `error`. RPS sees all probabilities and the error only the answer, so expect the same signs and
# wider intervals.
# :::


# %% tags=["hide-cell"]
def gains_by_error_solved(images: pd.DataFrame) -> pd.DataFrame:
    return compare_pairs(images.assign(rps=images.get("error")), CLAIMS)


check_judge(gains_by_error_solved)

# %% tags=["hide-cell"]
judged_by_error = gains_by_error_solved(many)
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
# - A number knows the order better than words do. Words earn their place where there is no number.
# - A control should break one thing and keep the rest. Shuffled words do; a blind order breaks more than one.
# - Say beforehand what would convince you, and afterwards what you could have seen.
#
# ## Sources
#
# The method is that of {cite:t}`wang2023learning`. Images: {cite:t}`esgario2020deep`, {cite:t}`kodors2024autonomous`,
# {cite:t}`vandenheuvel2018automated`, {cite:t}`apeinans2024cherry`, {cite:t}`kodors2023rapid`; licences and traps are in {doc}`17_data_sets`. Other methods:
# {cite:t}`diaz2019soft`, {cite:t}`cao2020rank`, {cite:t}`shi2023deep`. Statistics: {cite:t}`efron1979bootstrap`,
# {cite:t}`holm1979simple`, {cite:t}`nadeau2003inference`; the score is that of {cite:t}`epstein1969scoring`.
