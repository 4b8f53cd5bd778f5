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
# L2RCLIP ([Wang et al., 2023](references.md)) rests on a promise: sentences about the ranks carry their order, and an
# image model can use it. Suppose that the image tower stays as it is, and only a last layer learns, the *head*. You may
# give it the sentences of the ranks, refined by stage 1. Or you tell it their numbers: how far apart two ranks are.
#
# **Your bet.** Six data sets of real images were tried, from coffee leaves to fetal heads. On how many of them does the
# head that knows the numbers have less error than the head that reads the sentences: on none, on three or on all six?
#
# **You need.** The two stages in outline ([chapter 2](02_your_own_images.ipynb)), the ranked probability score (RPS,
# [chapter 1](01_ordinal_classification.ipynb)), and what an interval and a p-value are.
#
# **Time and hardware.** Ten minutes to read. Nothing is trained here: the page reads the results of studies that took a
# day on two cores.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke and full do the same: nothing is trained
RESULTS = ""  # folder of matrix.csv; empty: book/results

# %% tags=["hide-input"]
from IPython.display import Markdown

from l2rclip_book import depth, targets
from l2rclip_book.gains import MANY, MEAN, compare_pairs, gain_table
from l2rclip_book.results import read_results

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

table, scores, missing = read_results(RESULTS)
many = scores[(scores["study"] == "main") & scores["data"].isin(MANY)]

# %%
bet = ""  # yours: "0", "3" or "6"

# %% tags=["hide-input"]
numbers = compare_pairs(many, {"": ("numbers", "after stage 1")})
single = numbers[numbers["data"] != MEAN]
ahead = (single["gain"] > 0).sum()
print(f"The numbers are ahead on {ahead} of {len(single)} data sets. ", end="")
print(f"Your bet: {bet}." if bet else "No bet.")

# %% [markdown]
# If the tower is frozen and your ranks are numbers, tell it the numbers. That is one line of the verdict below.
# Figure 9.1 has the other comparisons: above its line the tower is frozen, below it tuned.

# %% mystnb={"image": {"alt": "A row per comparison, six with a frozen tower and seven with a tuned one. Each has a diamond with an interval for the mean of the data sets, and a small dot for each data set, on an axis of percent by which the first reduces the RPS of the second."}}
gains = targets.verdict_gains(table, scores)
targets.verdict_figure(gains)

# %% [markdown]
# **Figure 9.1.** By how much the first reduces the RPS of the second, in percent: right of zero the first has less
# error. Diamonds are means over data sets, six for the frozen tower and eight for the tuned one, with intervals over
# trainings and groups of images; small dots are the data sets.
#
# ## What was run
#
# **Images.** Coffee leaves by percentage and in grades; apples, cherries and pears by number; fetal heads by week;
# faces by age; retinas in grades. The frozen tower was tried on the six that have numbers, 17 to 27 ranks, and for
# one line of the verdict on the two in grades; the tuned one on all eight ([chapter 16](16_data_sets.ipynb)).
#
# **A frozen tower.** The tower is `mini`. A linear head has a row of weights per rank. The methods differ in which
# rows they expect to be alike: none (*no text*, which is logistic regression), those of similar sentences, or those
# of near numbers. Fitting the head is a convex problem, so no method wins by a lucky learning rate. CORAL ([Cao et
# al., 2020](references.md)) is told only that the ranks have an order. The *kernel head* lets validation images weigh
# sentences and numbers; they give nearly all of the weight to the numbers.
#
# **A tuned tower.** The tower trains for ten epochs on images of 96 pixels, three times on each data set. The arms
# have the same loss, cross-entropy + RPS, and differ in what an image is trained towards: sentences after stage 1,
# which is *L2RCLIP* as `l2rclip fit` trains it, plain sentences, random unit vectors, unit vectors that learn with
# the tower, or a linear head. *Plain cross-entropy* is a linear head without RPS. In each training validation chooses
# an arm's learning rate, from two. In Figure 9.1 a linear head may also have the rates that a search chose for it
# ([chapter 19](19_controls.ipynb#how-rivals-of-a-tuned-tower-got-their-recipes)). Three claims were registered before
# the first run, with the same two rates for each arm:

# %% tags=["hide-input"]
trained = [part[part["study"] == targets.STUDY] for part in (table, scores)]
claims = targets.judge_targets(*trained, missing)
Markdown(
    gain_table(claims[claims["data"] == MEAN], "claim of the study targets, %")
)

# %% [markdown]
# *Language*: plain sentences against random vectors. *Fixed vectors*: random vectors against a linear head.
# *L2RCLIP*: against the better of learned vectors and a linear head. Corrected for three claims ([Holm,
# 1979](references.md)), no p is below 0.05, even where an interval is clear of zero. Most of the lead of fixed
# vectors comes from leaves of 21 ranks. It is smaller in Figure 9.1, where the linear head has a third rate.
#
# ## When does order matter?
#
# Frozen, order helps. Tuned on all images, we measured no benefit. What takes it away? A last study trains more and
# more of the tower, towards vectors in the order of the numbers or towards random ones. We predicted beforehand that
# order helps less the more trains, and that the number of images matters less.
#
# **Your bet.** With all images the line falls to zero as more of the tower trains. What does it do with four images
# per rank?

# %%
bet = ""  # yours: "falls", too, or "stays"

# %% mystnb={"image": {"alt": "Two lines over what trains: nothing, the projection, the last block, the whole tower. With all images the worth of order falls from about five percent to below zero. With four images per rank it stays above zero, and is largest where the whole tower trains."}}
of_depth = [part[part["study"] == depth.STUDY] for part in (table, scores)]
print(f"Your bet: {bet}." if bet else "No bet.")
depth.depth_figure(depth.worth_of_order(*of_depth))

# %% [markdown]
# **Figure 9.2.** By how much vectors in the order of the numbers reduce the RPS of random ones, mean of three
# data sets (pears, faces, coffee leaves), with intervals over trainings and groups. Crosses, at the
# first two depths: the same numbers at random ranks.

# %% tags=["hide-input"]
judged = depth.judge_depth(*of_depth, missing)
Markdown(
    gain_table(judged[judged["data"] == MEAN], "claim of the study depth, %")
)

# %% [markdown]
# Neither prediction is shown. The first was about the mean of both lines, and only one falls; with four images per
# rank no fall is seen. It may be that order stands in for what training has not learned, and that a tower which
# trains on enough images finds it by itself. But no claim was registered for this. Coffee leaves lift the upper line:
# order brings far more there than on pears and faces, and trainings fail there, more of them with random vectors.
# Where the whole tower trains, its interval holds zero. [Chapter
# 19](19_controls.ipynb#sentences-in-the-place-of-numbers) has every number.
#
# ## The verdict

# %% tags=["hide-input"]
Markdown(targets.verdict_table(gains))

# %% tags=["remove-cell"]
if not missing:  # what the text says of the stored rows
    of_row = gains.set_index("row")["gain"]
    assert (of_row["L2RCLIP, against plain cross-entropy"] > 0).all()
    verdicts = {*claims["verdict"], *judged["verdict"]}
    assert verdicts == {"", "not shown"}
    worth = depth.worth_of_order(*of_depth)
    worth = worth.query("data == @MEAN and prototypes == 'numbers'")
    assert (worth.query("condition != ''")["gain"] > 0).all()
    assert worth.query("condition == ''")["gain"].is_monotonic_decreasing
    arms = table[(table["study"] == targets.STUDY)].set_index("arm")
    rates = [arms.loc[f"after stage 1, {lr}"] for lr in ("0.0002", "0.0007")]
    slow, fast = (each.set_index(["data", "run"])["val_rps"] for each in rates)
    chose_slow = (slow < fast).groupby("data").sum()
    assert chose_slow[chose_slow > 0].to_dict() == {
        "cherries81": 2,
        "pears": 1,
        "retinamnist": 3,
    }

# %% [markdown]
# **Frozen: order helps, and sentences are not the best way to say it.** Sentences reduce the error on every data set,
# and the same sentences at the wrong ranks do harm. Stage 1 adds to that. But a head that is told the numbers has
# less error still, and so has, on the mean, CORAL, which is told only the order.
#
# **Tuned: L2RCLIP is ahead of plain cross-entropy on all eight data sets, and language is not why.** Random vectors
# are as far ahead as sentences, and vectors that learn as far as both. Part of the lead may be the RPS in the loss:
# against a linear head that has it, too, the interval of random vectors holds zero.
#
# **The learning rate counts, too.** Validation images chose 2e-4 always on retinas, sometimes on cherries and pears,
# and 7e-4 elsewhere. So `l2rclip fit` and `l2rclip baselines` try both. A training can also fail: it ends no better
# than the median rank ([chapter 19](19_controls.ipynb#trainings-that-failed) counts them).
#
# **What only language can do** is answer in words that training never had: [chapter 10](10_new_words.ipynb).
#
# ## What this does not show
#
# - **Frozen against tuned.** The upper and the lower half of Figure 9.1 differ in more than what trains: the frozen
#   tower saw images of 224 pixels, six data sets, and no RPS in its loss. The first line of the verdict takes both as
#   they come, on the same six; by itself only leaves and fetal heads show it.
# - **One small tower.** `mini` was aligned without a single image, and no published CLIP was run here: `make clip`
#   does it where there are a network and a GPU ([chapter 19](19_controls.ipynb#published-clips)).
# - **The paper's tables.** None of its benchmarks was run, and the default of the package has other losses in stage 2
#   than the paper ([chapter 5](05_losses.ipynb)).
# - **Care.** Medical images serve to test methods; no row is a statement about patients.
#
# ## Exercises
#
# **1. Predict, then run.** CORAL is told that the ranks are ordered, and neither words nor numbers ([Cao et al.,
# 2020](references.md)). *After stage 1*, the trained sentences of Figure 9.1, has no numbers. Which has the lower RPS
# on each data set? For each, write `coral`, `after stage 1`, or `level` where you expect the interval to hold zero,
# *before* you run the cell.


# %% tags=["hide-input"]
def check_prediction(mine: dict[str, str]) -> str:
    """Judge a winner for each data set by the interval of the difference."""
    one, other = "coral", "after stage 1"
    if not isinstance(mine, dict) or set(mine) != set(MANY):
        return "not yet: a prediction for each of the six data sets"
    if any(winner not in (one, other, "level") for winner in mine.values()):
        return f"not yet: each is {one}, {other} or level"
    gains = compare_pairs(many, {"": (one, other)}).set_index("data")
    if not set(mine) <= set(gains.index):
        return "there are no runs here to judge by"
    wrong = []
    for data, winner in mine.items():
        low, high = gains.loc[data, ["low", "high"]]
        right = one if low > 0 else other if high < 0 else "level"
        if winner != right:
            wrong.append(data)
    if wrong:
        return f"not yet: {len(wrong)} of {len(mine)} come out otherwise"
    return "right"


# %%
predicted = dict.fromkeys(MANY, "after stage 1")  # your prediction
print(check_prediction(predicted))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# CORAL wins on three data sets and loses on none; on the other three the interval holds zero. A model that knows only
# that ranks are ordered needs no sentence to learn that order.
#
# ```python
# predicted = dict.fromkeys(MANY, "coral")
# predicted |= dict.fromkeys(("hc18", "cherries81", "portraits"), "level")
# check_prediction(predicted)
# ```
#
# </details>

# %% [markdown]
# **2. Three claims.** Suppose that none of three independent claims is true, and each is tested with $p \le 0.05$.
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
# <details>
# <summary>Solution</summary>
#
# All three keep silent with probability $0.95^3$, so the chance of an alarm is $1 - 0.95^3 \approx 0.143$. With
# $0.05/3$ each it is $1 - (1 - 0.05/3)^3 \approx 0.049$.
#
# </details>

# %% tags=["hide-cell"]
check_alarms(0.143, 0.049)

# %% [markdown]
# ## Summary
#
# - Frozen tower: tell the head the numbers, or the order. Sentences help less than either.
# - Tuned tower: `l2rclip fit`, cross-entropy + RPS at the better of two rates. Nothing here shows that the sentences
#   help.
# - Order matters where the tower is frozen. Whether it does in a tower that is tuned on few images is open.
#
# ## Sources
#
# The method is that of [Wang et al. (2023)](references.md), CORAL that of [Cao et al. (2020)](references.md), the
# score that of [Epstein (1969)](references.md). Images: [Esgario et al. (2020)](references.md), [Kodors et al.
# (2024)](references.md), [van den Heuvel et al. (2018)](references.md), [Apeināns et al. (2024)](references.md),
# [Kodors et al. (2023)](references.md), [Yang et al. (2023)](references.md); licences and traps are in [chapter
# 16](16_data_sets.ipynb). Statistics: [Efron (1979)](references.md), [Holm (1979)](references.md).
