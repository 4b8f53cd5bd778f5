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
# # Metrics and decoders
#
# [Chapter 1](01_ordinal_classification.ipynb) works out four metrics by hand and reads three answers off a row of
# probabilities. This appendix covers the rest: the metrics that the package reports, what each of them cannot see, how
# to choose a decoder, and how little a small test set lets you say. Use it as a reference: most sections can be read
# alone.
#
# **You need.** MAE, QWK, RPS and the three decoders of [chapter 1](01_ordinal_classification.ipynb); quantiles.
#
# **Time and hardware.** No GPU, no download, almost no training. The last line of this page says how long it took.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more leaves
SEED = 0  # decides the leaves of the last part

# %% tags=["hide-input"]
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from matplotlib.figure import Figure
from scipy.stats import bootstrap
from sklearn.metrics import cohen_kappa_score

from l2rclip_book import plots
from l2rclip_book.results import markdown_table
from l2rclip_book.statistics import compare, holm
from l2rclip_lite import L2RCLIP, Config, Ranks, load_dataset, metrics
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.metrics import medians, rps_of_images
from l2rclip_lite.training_data import TrainingData

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
SIZE, PIXELS = {"smoke": (60, 64), "page": (500, 96), "full": (4000, 128)}[
    PROFILE
]
NAMES = ("no", "very low", "low", "high", "very high")
ranks = Ranks(NAMES, (0, 1, 2, 3, 4), "a photo of a leaf with {rank} damage")

# %% mystnb={"image": {"alt": "Two five by five tables of true rank against answer. On the left the errors are beside the diagonal, on the right in the two far corners. Under each are accuracy, one-off accuracy, MAE in ranks and QWK."}} tags=["hide-input"]
truth = np.repeat(np.arange(5), 40)
near, far = truth.copy(), truth.copy()
near[:20], near[-20:] = 1, 3
far[:20], far[-20:] = 4, 0
FOUR = {
    "accuracy": metrics.accuracy,
    "one-off accuracy": metrics.one_off,
    "MAE, ranks": metrics.mae_rank,
    "QWK": metrics.qwk,
}
two = {"wrong by one rank": (truth, near), "wrong by four ranks": (truth, far)}
figure = plots.confusion(two, ranks)
for axis, (title, case) in zip(figure.axes, two.items(), strict=False):
    scores = [
        f"{name} {score(*case, ranks):.2f}" for name, score in FOUR.items()
    ]
    axis.set_title(title, loc="left")
    axis.set_xlabel("\n".join(["answer", *scores]))
figure.set_size_inches(7.2, 4.6)
figure

# %% [markdown]
# **Figure 12.1.** Share of each true rank that got each answer, for two made-up classifiers, and four metrics. Compare
# accuracy, the first metric under each table, then the other three.
#
# Both classifiers of Figure 12.1 are right on all but half of the healthiest and half of the sickest leaves. On the
# rest, one is off by a single rank, the other by all four. Accuracy cannot tell them apart.
#
# ## Every metric by hand
#
# A metric of this package is a function of `l2rclip_lite.metrics` that takes the truth, the answers and the label
# space. Here are the eight leaves of [chapter 1](01_ordinal_classification.ipynb) again; their errors are $+1$, $+2$
# and $-1$ ranks. The helper prints the value of a function beside the fraction found by hand, and stops the page if
# they differ.


# %%
def by_hand(name: str, value: float, worked: Fraction | int) -> None:
    """Print a metric beside the number worked out by hand."""
    assert abs(value - worked) < 1e-9, f"{name}: {value}, not {worked}"
    print(f"{name:<24} {value:7.4f} = {worked}")


y, a = [0, 0, 1, 2, 2, 2, 3, 4], [1, 0, 3, 2, 2, 2, 2, 4]
by_hand("accuracy", metrics.accuracy(y, a, ranks), Fraction(5, 8))
by_hand("one-off", metrics.one_off(y, a, ranks), Fraction(7, 8))
by_hand("MAE in ranks", metrics.mae_rank(y, a, ranks), Fraction(4, 8))
by_hand("QWK", metrics.qwk(y, a, ranks), 1 - Fraction(6, 24))

# %% [markdown]
# **One-off accuracy** forgives one rank. The **cumulative score** CS@$k$ forgives $k$ units of the label, where $r_j$ is the
# value of rank $j$:
#
# $$
# \text{one-off} = \tfrac1n \#\{i : \lvert\hat y_i - y_i\rvert \le 1\} , \qquad
# \text{CS@}k = \tfrac1n \#\{i : \lvert r_{\hat y_i} - r_{y_i}\rvert \le k\} . \tag{12.1}
# $$
#
# ### In which unit?
#
# Give each rank the middle of its range as its value, in percent of the leaf, and the steps become unequal. `mae` measures in
# this unit, `mae_rank` in steps.

# %%
middles = (0, 12.25, 30, 45, 60)
in_percent = Ranks(NAMES, middles, ranks.template, unit="percent")
case = (y, a, in_percent)
total = Fraction(49, 4) + Fraction(131, 4) + 15  # 12.25 + 32.75 + 15
by_hand("MAE, % of the leaf", metrics.mae(*case), total / 8)
by_hand("MAE in ranks", metrics.mae_rank(*case), Fraction(1, 2))
by_hand("CS@15", metrics.cs_at(*case, 15), Fraction(7, 8))

# %% [markdown]
# MAE in percent assumes that these values are right. MAE in ranks assumes that all steps count the same. A table must say
# which one it shows. In the package **whole numbers are rank indices and floats are values in the unit**, so an answer may
# also lie between two ranks.
#
# ### The trap of the absent rank
#
# QWK squares *distances between ranks*, so it must know the ranks that happen to be absent. Here are eight images on a scale
# of six ranks, of which only 0, 1 and 5 occur. A tool that numbers only the ranks it sees puts 5 right beside 1.

# %%
seen, answered = [0, 0, 0, 1, 1, 1, 5, 5], [0, 0, 1, 1, 1, 5, 5, 1]
six = Ranks.integers(0, 5, template="grade {rank}")
options = {"weights": "quadratic"}
plain = cohen_kappa_score(seen, answered, **options)
with_labels = cohen_kappa_score(seen, answered, labels=range(6), **options)
ours = metrics.qwk(seen, answered, six)
by_hand("QWK, this package", ours, Fraction(19, 41))
by_hand("scikit-learn", plain, Fraction(2, 3))
by_hand("with labels=range(6)", with_labels, Fraction(19, 41))

# %% [markdown]
# Two errors of four ranks shrank to one rank each, and the score rose without a warning. This can happen wherever a rank
# between two others occurs neither in the truth nor in the answers, as in a small test set or a bootstrap sample. That is why
# every function here takes `ranks`.
#
# ### In the right order?
#
# Sometimes only the order of the images counts. **Spearman's** $\rho$ ([Spearman, 1904](references.md)) correlates the
# places of the images when sorted by truth and by answer; ties share their mean place. **Kendall's** $\tau_b$
# ([Kendall, 1938](references.md)) counts, among the $N$ pairs of images, the $C$ in the same order and the $D$ in
# opposite orders. With $T_y$ and $T_{\hat y}$ pairs tied in truth and in answer,
#
# $$
# \rho = \operatorname{corr}(\text{place}(y), \text{place}(\hat y)) , \qquad
# \tau_b = \frac{C - D}{\sqrt{(N - T_y)(N - T_{\hat y})}} . \tag{12.2}
# $$

# %%
turned = ([0, 1, 2], [0, 2, 1], ranks)
by_hand("Spearman, turned", metrics.spearman(*turned), Fraction(1, 2))
by_hand("Kendall, turned", metrics.kendall(*turned), Fraction(2 - 1, 3))
too_high = ([0, 1, 2, 3], [1, 2, 3, 4], ranks)
by_hand("Spearman, too high", metrics.spearman(*too_high), 1)
by_hand("accuracy, too high", metrics.accuracy(*too_high), 0)

# %% [markdown]
# The last two lines belong together: **a perfect order, and every answer wrong.** Rank correlations are blind to a shift and to
# any stretching of the scale. That is a virtue if you only want to sort, and a fault if you quote them as proof of good grades.
#
# ### Are the probabilities honest?
#
# RPS rewards honesty. If leaves that look like this one have rank $y$ with probabilities $q$, whose running sums are $Q_k$,
# then reporting $p$ with running sums $F_k$ costs on average
#
# $$
# \mathbb E_{y\sim q}\,\text{RPS}(p, y) = \sum_k Q_k (1 - Q_k) + \sum_k (F_k - Q_k)^2 . \tag{12.3}
# $$
#
# The first sum is out of your hands. The second is 0 only for $p = q$: no lie pays. Such a score is called strictly *proper*
# ([Gneiting and Raftery, 2007](references.md)).

# %%
q = np.array([0.25, 0.5, 0.25, 0, 0])


def expected_rps(p: Sequence[float]) -> float:
    """Return the mean RPS of a report where the truth follows q."""
    return float(q @ rps_of_images(np.arange(5), np.tile(p, (5, 1))))


by_hand("honest", expected_rps(q), Fraction(3, 8))
by_hand("too sure", expected_rps([0, 1, 0, 0, 0]), Fraction(4, 8))
by_hand("too unsure", expected_rps([0.2] * 5), Fraction(7, 10))

# %% [markdown]
# Do probabilities mean what they say? Of all answers given with a probability of three quarters, three in four should
# be right. An answer's *confidence* is its largest probability. The **expected calibration error**
# ([Guo et al., 2017](references.md)) sorts the answers by it into 15 bins $\mathcal B_b$ of equal width, and compares
# its mean in each bin with the share of right answers:
#
# $$
# \text{ECE} = \sum_b \frac{\lvert \mathcal B_b\rvert}{n} \,\Big\lvert
# \operatorname{accuracy}(\mathcal B_b) - \operatorname{confidence}(\mathcal B_b) \Big\rvert . \tag{12.4}
# $$
#
# Four answers: two with confidence $3/4$, one of them right; two with confidence 1, both right. The first bin is off by
# $3/4 - 1/2$ and holds half of the answers.

# %%
unsure, sure = [0.75, 0.25, 0, 0, 0], np.eye(5)
rows = np.array([unsure, unsure, sure[2], sure[4]])
by_hand("ECE", metrics.ece([0, 1, 2, 4], rows, ranks), Fraction(1, 8))

# %% [markdown]
# ### And the rare rank?
#
# Badly damaged leaves are rare, and they are the ones that matter. Take ten leaves: eight are healthy, one has rank 3,
# one rank
# 4. A model calls all of them healthy, and the plain mean is kind to it. **AMAE**
#    ([Baccianella et al., 2009](references.md)) first takes the mean error $m_k$ over the $n_k$ images of each rank
#    $k$, and then the mean over the set $\mathcal K$ of the ranks that occur; **MMAE**
#    ([Cruz-Ramírez et al., 2014](references.md)) takes the worst rank:
#
# $$
# m_k = \frac{1}{n_k} \sum_{i:\, y_i = k} \lvert \hat y_i - k \rvert , \quad
# \text{AMAE} = \frac{1}{\lvert\mathcal K\rvert} \sum_{k \in \mathcal K} m_k , \quad
# \text{MMAE} = \max_{k \in \mathcal K} m_k . \tag{12.5}
# $$

# %%
ten = ([0] * 8 + [3, 4], [0] * 10, ranks)
by_hand("MAE in ranks", metrics.mae_rank(*ten), Fraction(3 + 4, 10))
by_hand("AMAE", metrics.amae(*ten), Fraction(0 + 3 + 4, 3))
by_hand("MMAE", metrics.mmae(*ten), 4)

# %% [markdown]
# ### All of them
#
# | metric | function | reads | range, better |
# |---|---|---|---|
# | accuracy | `accuracy` | nearest rank | 0 to 1, higher |
# | off by at most one | `one_off` | nearest rank | 0 to 1, higher |
# | CS@$k$ | `cs_at` | value | 0 to 1, higher |
# | MAE | `mae` | value | 0 or more units, lower |
# | MAE in ranks | `mae_rank` | position | 0 to $K-1$, lower |
# | AMAE, MMAE | `amae`, `mmae` | position | 0 to $K-1$, lower |
# | QWK | `qwk` | nearest rank | at most 1, chance 0, higher |
# | rank correlation | `spearman`, `kendall` | order of the values | $-1$ to 1, higher |
# | RPS | `rps` | probabilities | 0 to $K-1$, lower |
# | ECE | `ece` | probabilities | 0 to 1, lower |
#
# `metrics.evaluate` computes all at once, and adds the root mean squared error (RMSE) and the area under the ROC curve. Input
# that cannot be scored is refused, with the row and the fix. `tests/unit/test_metrics.py` works every metric by hand, and
# `tests/oracles/test_metrics_oracles.py` compares it with scikit-learn, torchmetrics and a library for ordinal
# classification.
#
# ## What an error costs
#
# A metric is a price list. To read it, take a hundred right answers, spoil one of them by $d$ ranks, and see how far the
# metric moves.

# %% mystnb={"image": {"alt": "Left: the price of one error over its size from zero to four ranks, a line per metric: a step at one, a step at two, a straight line and a parabola. Right: one bar per rank, the price of one step in AMAE as a multiple of its price in MAE, with a line at one."}} tags=["hide-input"]
hundred = np.repeat(np.arange(5), 20)
PRICED = {
    "accuracy": metrics.accuracy,
    "one-off": metrics.one_off,
    "MAE": metrics.mae,
    "QWK": metrics.qwk,
}


def fall(score: Callable[..., float], wrong: int) -> float:
    """Return how much a metric changes if the first leaf is called `wrong`."""
    spoilt = hundred.copy()
    spoilt[0] = wrong
    return abs(score(hundred, spoilt, ranks) - score(hundred, hundred, ranks))


prices = pd.DataFrame(
    {name: [fall(score, d) for d in range(5)] for name, score in PRICED.items()}
)
prices /= prices.iloc[-1]
counts = [40, 30, 20, 8, 2]
uneven = np.repeat(np.arange(5), counts)
surcharge = []
for rank in range(5):
    off = uneven.copy()
    off[np.flatnonzero(uneven == rank)[0]] += 1 if rank < 4 else -1
    one_step = metrics.mae_rank(uneven, off, ranks)
    surcharge.append(metrics.amae(uneven, off, ranks) / one_step)

with plots.style():
    figure = Figure(figsize=(7.8, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    grey, blue, red = (
        plots.COLOURS[name] for name in ("reference", "stage 1", "stage 2")
    )
    sns.lineplot(
        prices, ax=left, palette=[grey, grey, blue, red], markers=True, lw=1.8
    )
    left.set(
        title="An error of each size",
        xlabel="the answer is wrong by … ranks",
        ylabel="share of the highest price",
        xticks=range(5),
        ylim=(-0.04, 1.28),
    )
    left.legend(loc="upper left", ncols=2)
    right.bar(range(5), surcharge, color=plots.rank_colours(5))
    for rank, price in enumerate(surcharge):  # clear of the line at 1
        right.text(rank, max(price, 1) + 0.15, f"{price:.2g}×", ha="center")
    right.axhline(1, color=blue, linewidth=1.4)
    right.set_xticks(
        range(5), [f"{n}\n{c}" for n, c in zip(NAMES, counts, strict=True)]
    )
    right.set(
        title="One step, at each rank",
        xlabel="true rank, and how many images it has",
        ylabel="price in AMAE ÷ price in MAE",
    )
    right.margins(y=0.15)
figure

# %% [markdown]
# **Figure 12.2.** Left: what one error costs by its size, as a share of what an error of four ranks costs. Right: what
# one step costs in AMAE, by how rare the true rank is; the line is its price in MAE.

# %% tags=["remove-cell"]
assert list(prices["accuracy"]) == [0, 1, 1, 1, 1]
assert list(prices["one-off"]) == [0, 0, 1, 1, 1]
assert np.allclose(prices["MAE"], np.arange(5) / 4)
assert np.allclose(prices["QWK"], np.arange(5) ** 2 / 16, atol=0.01)
assert np.allclose(surcharge, 100 / (5 * np.array(counts)))

# %% [markdown]
# Accuracy charges for the first step and nothing more. One-off forgives the first step and then charges all at once. MAE
# charges each step the same, and so does RPS for answers given with certainty. QWK charges (almost) by the square. AMAE charges
# by rarity, $n / (\lvert\mathcal K\rvert\, n_k)$ times what MAE charges. Choosing a metric is choosing a price list, so ask
# what an error costs *you*.
#
# ## Which metric notices what?
#
# Now the other way round: a classifier fails in a known way; which metrics notice? A healthy classifier sees the true rank
# through a blur, knows how frequent each rank is, and reports the probabilities that follow by Bayes' rule. It is often wrong
# and always honest. From its rows we make five sick ones.


# %%
def forecasts(n: int, blur: float) -> tuple[np.ndarray, np.ndarray]:
    """Return true ranks, and what an honest, blurred look says."""
    generator = np.random.default_rng(0)
    rates = np.array([0.25, 0.35, 0.22, 0.14, 0.04])  # of the ranks
    rank = generator.choice(5, size=n, p=rates)
    look = rank + generator.normal(0, blur, n)
    distance = (look[:, None] - np.arange(5)) / blur
    weight = rates * np.exp(-(distance**2) / 2)
    return rank, weight / weight.sum(1, keepdims=True)


target, sound = forecasts(1000, blur=0.7)
shift, blind, sharp = np.roll(sound, 1, axis=1), sound.copy(), sound**4
shift[:, 4], shift[:, 0] = shift[:, 4] + shift[:, 0], 0
blind[:, 3], blind[:, 4] = blind[:, 3] + blind[:, 4], 0
models = {
    "healthy": sound,
    "constant answer": np.tile(sound.mean(0), (1000, 1)),
    "one too high": shift,
    "ends swapped": sound[:, [4, 1, 2, 3, 0]],
    "over-confident": sharp / sharp.sum(1, keepdims=True),
    "rare rank never said": blind,
}

# %% [markdown]
# A metric raises an alarm for a value outside the healthy model's bootstrap interval (explained below), on the wrong side.

# %% mystnb={"image": {"alt": "A table of coloured cells. Columns are a healthy classifier and five sick ones, rows are ten metrics. A cell shows the value and is red where the metric raises the alarm, else without colour."}} tags=["hide-input"]
UP = ("accuracy", "one_off", "qwk", "spearman", "kendall")
CALLED = {
    "accuracy": "accuracy ↑",
    "one_off": "one-off ↑",
    "mae": "MAE ↓",
    "qwk": "QWK ↑",
    "spearman": "Spearman ↑",
    "kendall": "Kendall ↑",
    "amae": "AMAE ↓",
    "mmae": "MMAE ↓",
    "rps": "RPS ↓",
    "ece": "ECE ↓",
}
reference = metrics.evaluate(
    sound, target, ranks, intervals=True, resamples=400
)
draws = np.random.default_rng(0).integers(len(target), size=(400, len(target)))
answer = sound.argmax(1)
for name in ("spearman", "kendall"):  # `evaluate` has no interval for these
    score = getattr(metrics, name)
    again = [score(target[draw], answer[draw], ranks) for draw in draws]
    ends = np.quantile(again, (0.025, 0.975))
    reference[f"{name}_low"], reference[f"{name}_high"] = ends
values = pd.DataFrame(
    {name: metrics.evaluate(p, target, ranks) for name, p in models.items()}
).loc[list(CALLED)]
alarms = values.copy().astype(bool)
for name, row in values.iterrows():
    low, high = reference[f"{name}_low"], reference[f"{name}_high"]
    alarms.loc[name] = row < low if name in UP else row > high

with plots.style():
    figure = Figure(figsize=(7.6, 4.5), layout="constrained")
    axis = figure.subplots()
    sns.heatmap(
        alarms.astype(float),
        annot=values.map(lambda value: f"{value:.2f}".replace("-", "−")),
        fmt="",
        cmap=["none", plots.COLOURS["stage 2"]],
        cbar=False,
        linewidths=0.5,
        linecolor=plots.COLOURS["ink"],
        xticklabels=[name.replace(" ", "\n") for name in values],
        yticklabels=list(CALLED.values()),
        ax=axis,
    )
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.tick_params("y", rotation=0)
    for text, alarm in zip(axis.texts, alarms.values.ravel(), strict=True):
        text.set_weight("bold" if alarm else "normal")
        text.set_color("white" if alarm else plots.COLOURS["ink"])
figure

# %% [markdown]
# **Figure 12.3.** Ten metrics look at a healthy classifier and at five sick ones. Red and bold: outside the interval of
# the healthy one, on the wrong side. The arrow says which way is better. All rows but the last two judge the most
# probable rank.

# %% tags=["remove-cell"]
answer_only = ["accuracy", "one_off", "mae", "qwk", "spearman", "kendall"]
assert not alarms["healthy"].any()
assert alarms.drop(index="ece")["constant answer"].all()
assert not alarms.loc["ece", "constant answer"]
assert not alarms.loc[["spearman", "kendall"], "one too high"].any()
assert alarms["ends swapped"].all()
same_answers = values["over-confident"] == values["healthy"]
assert same_answers[[*answer_only, "amae", "mmae"]].all()
assert alarms.loc[["rps", "ece"], "over-confident"].all()
assert not alarms.loc[answer_only, "rare rank never said"].any()
assert alarms.loc[["amae", "mmae"], "rare rank never said"].all()
tally = alarms.drop(columns="healthy").sum(axis=1)
assert list(tally[tally == 5].index) == ["rps"]

# %% [markdown]
# Read Figure 12.3 by column.
#
# - **Constant answer.** Every metric notices but ECE: a model that knows nothing and says so is well calibrated.
# - **One too high.** Rank correlations see nothing: the shift keeps the order, except for the two highest ranks, which it
#   merges.
# - **Ends swapped.** The probabilities of the lowest and the highest rank are exchanged, and every metric notices.
# - **Over-confident.** Each leaf gets the answer that the healthy model gives, so every metric of answers has the *same
#   number* as there. Only the two that read probabilities can notice.
# - **Rare rank never said.** Only AMAE and MMAE, which are made for it, and RPS notice; for the others the rank is too rare.
#
# In this simulation RPS alone notices all five, but it cannot tell them apart, and few readers have a feeling for its size. So
# report a pair: one metric for the size of the error in a unit that readers understand (MAE, with AMAE where ranks are rare),
# and one for the probabilities (RPS).
#
# ## Decoders in depth
#
# Each of the three decoders is best for one price: the most probable rank for accuracy, the median for MAE, the
# expectation for the squared error ([Gneiting, 2011](references.md)). That holds on average, for honest probabilities.
# Here is an honest forecaster with a strong blur:


# %%
def decoded(rank: np.ndarray, p: np.ndarray) -> pd.DataFrame:
    """Return accuracy, MAE and RMSE of the three decoders."""
    answers = {
        "most probable": p.argmax(1),
        "median": medians(p),
        "expectation": p @ np.array(ranks.values),
    }
    scores = (metrics.accuracy, metrics.mae, metrics.rmse)
    return pd.DataFrame(
        {
            each: [s(rank, a, ranks) for s in scores]
            for each, a in answers.items()
        },
        index=["accuracy", "MAE", "RMSE"],
    ).T


honest = decoded(*forecasts(20_000, blur=1.3))
honest.round(3)

# %% tags=["remove-cell"]
assert honest["accuracy"].idxmax() == "most probable"
assert honest["MAE"].idxmin() == "median"
assert honest["RMSE"].idxmin() == "expectation"

# %% [markdown]
# Four rules for practice:
#
# - **Report which decoder you used.** `metrics.evaluate` scores all three: `mae` is that of the most probable rank,
#   `mae_median` and `mae_expected` are those of the others.
# - **An expectation is a value, not a rank.** Rounded to the nearest rank it can name a rank that the model thinks
#   impossible: in the row $(\tfrac12, 0, \tfrac12)$ it is the one in the middle.
# - **Ties go to the lower rank**, here and in the package; a median is the first rank whose running sum reaches one half.
# - **Other heads, same rows.** Ordinal heads such as CORAL ([Cao et al., 2020](references.md)) estimate $P(y > k)$ for
#   each $k$, and their usual answer, the number of thresholds passed, is a median. `l2rclip_lite.heads` turns them
#   into rows of probabilities, so that all methods can be decoded alike.
#
# ## How sure is a number?
#
# A test set is a sample. Another one of the same size would give another number. The **bootstrap**
# ([Efron, 1979](references.md)) draws as many images from the test set as it has, with replacement, computes the
# metric, and repeats; the middle 95 % of the values form an interval. Here it is for the MAE of ridge regression, which
# predicts the number of the rank by a weighted sum of the features, on a small test set:

# %%
data = load_dataset("leaves", ranks=5, size=SIZE, seed=SEED, pixels=PIXELS)
model = L2RCLIP.build(data.ranks, Config(image_size=PIXELS, threads=1))
frozen = TrainingData.load(data, model)
predicted = {}
for name in ("zero-shot", "ridge", "linear-probe"):
    baseline = train_baseline(name, model, frozen)
    features = frozen.encode(baseline, "test")
    predicted[name] = baseline.probabilities(features).numpy()
y = np.array(data.test.targets)
error = np.abs(predicted["ridge"].argmax(1) - y)

# %% tags=["nbval-ignore-output"]
draws = np.random.default_rng(0).integers(len(y), size=(1000, len(y)))
low, high = np.quantile(error[draws].mean(axis=1), (0.025, 0.975))
print(f"{len(y)} test images")
print(f"MAE {error.mean():.3f}, 95 % interval {low:.3f} to {high:.3f}")

# %% tags=["remove-cell"]
judged = metrics.evaluate(predicted["ridge"], y, ranks, intervals=True)
assert np.allclose((low, high), (judged["mae_low"], judged["mae_high"]))

# %% [markdown]
# `evaluate(…, intervals=True)` does the same for every metric but rank correlations and the area under the ROC curve. The
# interval says what another test set might have given. It says nothing about another *training* set or seed, and it is too
# narrow where images belong together, as photographs of one person do.
#
# ### Compare on the same images
#
# Whether two intervals overlap settles little: a hard leaf is hard for both methods. Look at the *differences*, image by
# image. The table shows the RPS that one method saves against another, with its bootstrap interval. It says *better* only if
# the interval excludes 0 and Wilcoxon's signed-rank test agrees: it ranks the differences by size and compares the two signs, and
# Holm's correction raises its p for the number of comparisons.

# %% tags=["hide-input", "nbval-ignore-output"]
rates = np.bincount(data.train.targets, minlength=5) / len(data.train)
predicted["frequencies"] = np.tile(rates, (len(y), 1))
each = {name: rps_of_images(y, p) for name, p in predicted.items()}
asked = (
    ("zero-shot", "frequencies"),
    ("ridge", "frequencies"),
    ("linear-probe", "frequencies"),
    ("linear-probe", "ridge"),
)
compared = [compare(each[one], each[other]) for one, other in asked]
corrected = holm([comparison.p for comparison in compared])
head = ["method", "against", "RPS saved", "95 % interval", "verdict"]
rows, verdicts = [], {}
for pair, comparison, p in zip(asked, compared, corrected, strict=True):
    verdicts[pair] = "no difference shown"
    if p <= 0.05 and comparison.low > 0:
        verdicts[pair] = "better"
    elif p <= 0.05 and comparison.high < 0:
        verdicts[pair] = "worse"
    saved = f"{comparison.difference:+.2f}"
    interval = f"{comparison.low:+.2f} to {comparison.high:+.2f}"
    texts = (text.replace("-", "−") for text in (saved, interval))
    rows.append((*pair, *texts, verdicts[pair]))
Markdown(markdown_table(head, rows))

# %% tags=["remove-cell"]
if PROFILE == "page" and SEED == 0:
    results = list(verdicts.values())
    assert results == ["no difference shown", "better", "better", results[0]]

# %% [markdown]
# *Frequencies* never looks at an image. It reports how frequent each rank is in training; other chapters call it *median rank*,
# after its answer. *Zero-shot* first subtracts the mean of the five sentences, and fits one temperature to the
# validation images. What may be said:
#
# - **Frozen features carry damage.** Ridge and linear probe beat the constant.
# - **The sentences alone do not**, as far as these images show.
# - **Which of ridge and probe is better?** No difference is shown, and that is a result, too. To halve an interval takes four
#   times the images. Other training leaves move these rows, too: change `SEED` and see which verdicts stay.
#
# ## Exercises
#
# **1. A perfect order, and nothing right.** Four leaves have the ranks 0, 1, 2, 3. Find four answers with Spearman 1 and
# accuracy 0, other than 1, 2, 3, 4. Floats are values, so an answer may lie between two ranks.


# %% tags=["hide-input"]
def check_order(mine: Sequence[float]) -> str:
    """Judge four answers for the ranks 0, 1, 2, 3."""
    true = [0, 1, 2, 3]
    yours = [float(answer) for answer in mine]
    if len(yours) != 4:
        return "not yet: give four answers"
    rho = metrics.spearman(true, yours, ranks)
    if rho < 1 - 1e-9:
        return f"not yet: Spearman is {rho:.2f}; the answers must increase"
    hits = 4 * metrics.accuracy(true, yours, ranks)
    if hits:
        return f"not yet: {hits:.0f} of 4 are nearest to the true rank"
    if yours == [1, 2, 3, 4]:
        return "not yet: that is the example of the text"
    return f"right, and MAE is {metrics.mae(true, yours, ranks):.2f}"


# %%
print(check_order([0.0, 1.0, 2.0, 3.0]))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The answers only have to increase, by however little: squeeze them into a corner.
#
# ```python
# check_order([3.7, 3.8, 3.9, 4.0])
# ```
#
# </details>

# %% tags=["remove-cell"]
# the solution is right, and near misses are not
assert check_order([3.7, 3.8, 3.9, 4.0]).startswith("right")
assert "increase" in check_order([3.0, 2.0, 1.0, 0.0])

# %% [markdown]
# **2. Write AMAE.** From (12.5), in NumPy, for arrays of rank indices.


# %% tags=["hide-input"]
def check_amae(mine: Callable[..., float]) -> str:
    """Three cases; the second has an absent rank, the third is random."""
    generator = np.random.default_rng(0)
    cases = {
        "take the mean of each rank first": ten[:2],
        "ranks that do not occur take no part": ([0, 0, 4], [1, 0, 2]),
        "the size of an error counts, not its sign": generator.integers(
            5, size=(2, 50)
        ),
    }
    for hint, (true, answers) in cases.items():
        right = metrics.amae(true, answers, ranks)
        if not np.isclose(mine(np.array(true), np.array(answers)), right):
            return f"not yet: {hint}; here it is {right:.3f}"
    return "right"


# %%
def my_amae(true: np.ndarray, answers: np.ndarray) -> float:
    """Return the mean over the ranks of their mean absolute errors."""
    return np.abs(true - answers).mean()  # yours


print(check_amae(my_amae))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# ```python
# def my_amae(true, given):
#     error = np.abs(true - given)
#     return np.mean([error[true == k].mean() for k in np.unique(true)])
# ```
#
# </details>


# %% tags=["remove-cell"]
def solved_amae(true: np.ndarray, answers: np.ndarray) -> float:
    """The solution above."""
    error = np.abs(true - answers)
    return np.mean([error[true == k].mean() for k in np.unique(true)])


assert check_amae(solved_amae) == "right"
assert "do not occur" in check_amae(
    lambda t, g: sum(np.abs(t - g)[t == k].sum() / max((t == k).sum(), 1)
                     for k in range(5)) / 5 if len(t) < 5 else solved_amae(t, g)
)  # fmt: skip

# %% [markdown]
# **3. Write the bootstrap.** Return the two ends of the 95 % interval of the *median* of some numbers. Use at least 2,000
# draws.


# %% tags=["hide-input"]
def check_interval(mine: Callable[..., tuple[float, float]]) -> str:
    """Compare with SciPy's percentile bootstrap."""
    numbers = np.random.default_rng(1).gamma(2.0, size=80)
    sure = bootstrap((numbers,), np.median, method="percentile", rng=0)
    right = sure.confidence_interval
    low, high = mine(numbers)
    if low == high:
        return "not yet: draw with replacement, or nothing changes"
    if abs((high - low) / (right.high - right.low) - 1) > 0.25:
        wide = "wide" if high - low > right.high - right.low else "narrow"
        return f"not yet: too {wide}; {len(numbers)} numbers per draw, median, 95 %"
    if abs(low - right.low) + abs(high - right.high) > 0.15:
        return "not yet: the ends are the 2.5 % and 97.5 % quantiles"
    return f"right: {low:.2f} to {high:.2f}"


# %%
def interval(numbers: np.ndarray) -> tuple[float, float]:
    """Return both ends of the bootstrap interval of the median."""
    return np.median(numbers), np.median(numbers)  # yours


print(check_interval(interval))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# ```python
# def interval(numbers):
#     generator = np.random.default_rng(0)
#     draws = generator.choice(numbers, size=(2000, len(numbers)))
#     return tuple(np.quantile(np.median(draws, axis=1), (0.025, 0.975)))
# ```
#
# </details>


# %% tags=["remove-cell"]
def solved_interval(numbers: np.ndarray) -> tuple[float, float]:
    """The solution above."""
    generator = np.random.default_rng(0)
    draws = generator.choice(numbers, size=(2000, len(numbers)))
    return tuple(np.quantile(np.median(draws, axis=1), (0.025, 0.975)))


assert check_interval(solved_interval).startswith("right")
assert "too wide" in check_interval(lambda x: np.quantile(x, (0.025, 0.975)))

# %% [markdown]
# ## Summary
#
# - A metric is a price list. Accuracy counts errors, MAE adds up their sizes, QWK their squares, and AMAE asks each rank
#   separately.
# - Rank correlations do not see a shift, ECE does not see ignorance, and no metric of answers sees false certainty.
# - RPS reads the whole row, knows distance, and rewards honesty.
# - QWK must be told which ranks lie between, or absent ones change it unnoticed.
# - Most probable rank, median and expectation each suit a different price. Say which one you used.
# - Report no number without a constant predictor beside it, and no difference without an interval, computed image by image.
#
# ## Sources
#
# QWK [Cohen (1968)](references.md), $\rho$ [Spearman (1904)](references.md), $\tau_b$ [Kendall (1938)](references.md),
# RPS [Epstein (1969)](references.md), proper scores [Gneiting and Raftery (2007)](references.md), ECE
# [Guo et al. (2017)](references.md), AMAE [Baccianella et al. (2009)](references.md), MMAE
# [Cruz-Ramírez et al. (2014)](references.md), decoders [Gneiting (2011)](references.md), the bootstrap
# [Efron (1979)](references.md). How often published comparisons of age estimators change once data and metric are held
# fixed is the subject of [Paplhám and Franc (2024)](references.md).
