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
# [Chapter 1](01_ordinal_classification.ipynb) works out metrics by hand, and how a price list chooses an answer. This
# appendix is a reference for the rest: the metrics that the package reports, what each of them cannot see, how to
# choose a decoder, and how little a hundred test images let you say.
#
# **You need.** MAE, QWK, RPS and the price list of [chapter 1](01_ordinal_classification.ipynb); quantiles.
#
# **Time and hardware.** No GPU, no download, no training. The last line of this page says how long it took.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke, page and full compute the same here
SEED = 0  # decides the leaves of the last part

# %% tags=["hide-input"]
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
from IPython.display import Markdown
from sklearn.metrics import cohen_kappa_score

from l2rclip_book import plots
from l2rclip_book.results import markdown_table
from l2rclip_book.statistics import compare
from l2rclip_lite import Ranks, metrics
from l2rclip_lite.metrics import medians, rps_of_images

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

NAMES = ("no", "very low", "low", "high", "very high")
ranks = Ranks(NAMES, (0, 1, 2, 3, 4), "a photo of a leaf with {rank} damage")

# %% mystnb={"image": {"alt": "Two five by five tables of true rank against answer. On the left the errors are beside the diagonal, on the right in the two far corners. Under each are accuracy, MAE in ranks and QWK."}} tags=["hide-input"]
truth = np.repeat(np.arange(5), 40)
near, far = truth.copy(), truth.copy()
near[:20], near[-20:] = 1, 3
far[:20], far[-20:] = 4, 0
two = {"wrong by one rank": (truth, near), "wrong by four ranks": (truth, far)}
figure = plots.confusion(two, ranks)
for axis, (title, case) in zip(figure.axes, two.items(), strict=False):
    axis.set_title(title, loc="left")
    accuracy, error = (
        metrics.accuracy(*case, ranks),
        metrics.mae_rank(*case, ranks),
    )
    scores = f"accuracy {accuracy:.2f}\nMAE {error:.2f} ranks"
    axis.set_xlabel(f"answer\n{scores}\nQWK {metrics.qwk(*case, ranks):.2f}")
figure.axes[-1].remove()
figure.set_size_inches(5.4, 3.6)
figure

# %% [markdown]
# **Figure 11.1.** Share of each true rank that got each answer, for two made-up classifiers, and three metrics.
#
# Both classifiers fail on half of the healthiest and half of the sickest leaves, one by a single rank, the other by all
# four. MAE and QWK tell them apart, accuracy does not.
#
# ## Every metric by hand
#
# A metric of this package is a function of `l2rclip_lite.metrics` that takes the truth, the answers and the label
# space. Here are eight other leaves; their errors are $+1$, $+2$
# and $-1$ ranks. The helper prints the value of a function beside the fraction found by hand.
#
# **One-off accuracy** forgives one rank. The **cumulative score** CS@$k$ forgives $k$ units of the label, where $r_j$
# is the value of rank $j$:
#
# $$
# \text{one-off} = \tfrac1n \#\{i : \lvert\hat y_i - y_i\rvert \le 1\} , \qquad
# \text{CS@}k = \tfrac1n \#\{i : \lvert r_{\hat y_i} - r_{y_i}\rvert \le k\} . \tag{11.1}
# $$
#
# `mae` measures in this unit, `mae_rank` in ranks. Give each rank the middle of its range as its value, in percent of
# the leaf, and the steps become unequal.


# %%
def by_hand(name: str, value: float, worked: Fraction | int) -> None:
    """Print a metric beside the number worked out by hand."""
    assert abs(value - worked) < 1e-9, f"{name}: {value}, not {worked}"
    print(f"{name:<24} {value:7.4f} = {worked}")


middles = (0, 12.25, 30, 45, 60)
in_percent = Ranks(NAMES, middles, ranks.template, unit="percent")
y, a = [0, 0, 1, 2, 2, 2, 3, 4], [1, 0, 3, 2, 2, 2, 2, 4]
case = (y, a, in_percent)
total = Fraction(49, 4) + Fraction(131, 4) + 15  # 12.25 + 32.75 + 15
by_hand("one-off", metrics.one_off(*case), Fraction(7, 8))
by_hand("CS@15", metrics.cs_at(*case, 15), Fraction(7, 8))
by_hand("MAE in ranks", metrics.mae_rank(*case), Fraction(1, 2))
by_hand("MAE, % of the leaf", metrics.mae(*case), total / 8)

# %% [markdown]
# MAE in percent assumes that these values are right, MAE in ranks that all steps count the same. In the package **whole
# numbers are rank indices and floats are values in the unit**, so an answer may also lie between two ranks.
#
# ### The trap of the absent rank
#
# QWK squares *distances between ranks*, so it must know the ranks that happen to be absent. Here are eight images on a
# scale of six ranks, of which only 0, 1 and 5 occur. A tool that numbers only the ranks it sees puts 5 right beside 1.

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
# Two errors of four ranks shrank to one rank each, and the score rose without a warning. That is why every function
# here takes `ranks`.
#
# ### In the right order?
#
# **Spearman's** $\rho$ ([Spearman, 1904](references.md)) correlates the
# places of the images when sorted by truth and by answer; ties share their mean place. **Kendall's** $\tau_b$
# ([Kendall, 1938](references.md)) counts, among the $N$ pairs of images, the $C$ in the same order and the $D$ in
# opposite orders. With $T_y$ and $T_{\hat y}$ pairs tied in truth and in answer,
#
# $$
# \rho = \operatorname{corr}(\text{place}(y), \text{place}(\hat y)) , \qquad
# \tau_b = \frac{C - D}{\sqrt{(N - T_y)(N - T_{\hat y})}} . \tag{11.2}
# $$

# %%
turned = ([0, 1, 2], [0, 2, 1], ranks)
by_hand("Spearman, turned", metrics.spearman(*turned), Fraction(1, 2))
by_hand("Kendall, turned", metrics.kendall(*turned), Fraction(2 - 1, 3))
too_high = ([0, 1, 2, 3], [1, 2, 3, 4], ranks)
by_hand("Spearman, too high", metrics.spearman(*too_high), 1)
by_hand("accuracy, too high", metrics.accuracy(*too_high), 0)

# %% [markdown]
# The last two lines belong together: **a perfect order, and every answer wrong.** Rank correlations are blind to a
# shift and to any stretching of the scale.
#
# ### Are the probabilities honest?
#
# RPS rewards honesty. If leaves that look like this one have rank $y$ with probabilities $q$, whose running sums are
# $Q_k$, then reporting $p$ with running sums $F_k$ costs on average
#
# $$
# \mathbb E_{y\sim q}\,\text{RPS}(p, y) = \sum_k Q_k (1 - Q_k) + \sum_k (F_k - Q_k)^2 . \tag{11.3}
# $$
#
# The first sum is out of your hands. The second is 0 only for $p = q$: no lie pays. Such a score is called strictly
# *proper* ([Gneiting and Raftery, 2007](references.md)).

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
# \operatorname{accuracy}(\mathcal B_b) - \operatorname{confidence}(\mathcal B_b) \Big\rvert . \tag{11.4}
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
# Badly damaged leaves are rare, and they are the ones that matter. Take ten leaves: eight are healthy, one has rank 3
# and one rank 4. A model calls all of them healthy, and the plain mean is kind to it. **AMAE**
# ([Baccianella et al., 2009](references.md)) first takes the mean error $m_k$ over the $n_k$ images of each rank
# $k$, and then the mean over the ranks $\mathcal K$ that occur; **MMAE**
# ([Cruz-Ramírez et al., 2014](references.md)) takes the worst rank:
#
# $$
# m_k = \frac{1}{n_k} \sum_{i:\, y_i = k} \lvert \hat y_i - k \rvert , \quad
# \text{AMAE} = \frac{1}{\lvert\mathcal K\rvert} \sum_{k \in \mathcal K} m_k , \quad
# \text{MMAE} = \max_{k \in \mathcal K} m_k . \tag{11.5}
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
# `metrics.evaluate` computes all at once, and adds the root mean squared error (RMSE) and the area under the ROC curve.
#
# ## What an error costs
#
# A metric is a price list. To read it, take a hundred right answers, spoil one of them by $d$ ranks, and see how far
# the metric moves, as a share of what an error of four ranks costs.

# %%
right = np.repeat(np.arange(5), 20)
prices = {}
for score in (metrics.accuracy, metrics.one_off, metrics.mae, metrics.qwk):
    spoilt = [np.append(d, right[1:]) for d in range(5)]
    falls = [
        abs(score(right, s, ranks) - score(right, right, ranks)) for s in spoilt
    ]
    prices[score.__name__] = np.divide(falls, falls[-1])
pd.DataFrame(prices).rename_axis("wrong by").T.round(2)

# %% tags=["remove-cell"]
assert list(prices["accuracy"]) == [0, 1, 1, 1, 1]
assert list(prices["one_off"]) == [0, 0, 1, 1, 1]
assert np.allclose(prices["mae"], np.arange(5) / 4)
assert np.allclose(prices["qwk"], np.arange(5) ** 2 / 16, atol=0.01)

# %% [markdown]
# Accuracy charges for the first step and nothing more. One-off forgives the first step and then charges all at once.
# MAE charges each step the same, and so does RPS for answers given with certainty. QWK charges almost by the square.
#
# ## Which metric notices what?
#
# A classifier fails in a known way; which metrics notice? A healthy classifier sees the true rank through a blur, knows
# how frequent each rank is, and reports the probabilities that follow by Bayes' rule. It is often wrong and always
# honest. From its rows we make three sick ones: one gives each leaf the same row, one is too sure, and one never says
# the rarest rank.


# %%
def forecasts(
    n: int, blur: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return true ranks, and what an honest, blurred look says."""
    generator = np.random.default_rng(seed)
    rates = np.array([0.25, 0.35, 0.22, 0.14, 0.04])  # of the ranks
    rank = generator.choice(5, size=n, p=rates)
    look = rank + generator.normal(0, blur, n)
    distance = (look[:, None] - np.arange(5)) / blur
    weight = rates * np.exp(-(distance**2) / 2)
    return rank, weight / weight.sum(1, keepdims=True)


target, sound = forecasts(1000, blur=0.7)
blind, sharp = sound.copy(), sound**4
blind[:, 3], blind[:, 4] = blind[:, 3] + blind[:, 4], 0
models = {
    "healthy": sound,
    "constant": np.tile(sound.mean(0), (1000, 1)),
    "over-confident": sharp / sharp.sum(1, keepdims=True),
    "rare rank unsaid": blind,
}

# %% [markdown]
# Bold is an alarm: on none of 200 other draws is the healthy model as bad. The arrow says which way is better. All rows but the last two judge the most probable rank.

# %%
CALLED = {
    "accuracy": "accuracy ↑",
    "one_off": "one-off ↑",
    "qwk": "QWK ↑",
    "mae": "MAE ↓",
    "amae": "AMAE ↓",
    "mmae": "MMAE ↓",
    "rps": "RPS ↓",
    "ece": "ECE ↓",
}
scores = {
    name: metrics.evaluate(p, target, ranks) for name, p in models.items()
}
values = pd.DataFrame(scores).loc[list(CALLED)]
draws = [forecasts(1000, blur=0.7, seed=seed) for seed in range(1, 201)]
usual = pd.DataFrame([metrics.evaluate(p, y, ranks) for y, p in draws])
alarms = values > 0
for name, row in values.iterrows():
    low, high = usual[name].min(), usual[name].max()
    alarms.loc[name] = row < low if "↑" in CALLED[name] else row > high
shown = values.map("{:.2f}".format)
shown = shown.mask(alarms, "**" + shown + "**").rename(CALLED)
Markdown(markdown_table(["metric", *shown], shown.reset_index().values))

# %% tags=["remove-cell"]
assert not alarms["healthy"].any()
assert list(alarms.index[~alarms["constant"]]) == ["ece"]
assert list(alarms.index[alarms["over-confident"]]) == ["rps", "ece"]
assert list(alarms.index[alarms["rare rank unsaid"]]) == [
    "amae",
    "mmae",
    "rps",
    "ece",
]

# %% [markdown]
# - **Constant.** Every metric notices but ECE: a model that knows nothing and says so is well calibrated.
# - **Over-confident.** Each leaf gets the answer that the healthy model gives, so every metric of answers has the *same
#   number* as there. Only the two that read probabilities can notice.
# - **Rare rank unsaid.** Of the metrics of answers only AMAE and MMAE notice, which are made for it; the others find
#   it too rare. RPS and ECE see where its probability went.
#
# RPS alone notices all three, but it cannot tell them apart, and few readers have a feeling for its size. So report a
# pair: MAE, in a unit that readers understand, with AMAE where ranks are rare; and RPS for the probabilities.
#
# ## Decoders in depth
#
# Each of the three decoders is best for one price: the most probable rank for accuracy, the median for MAE, the
# expectation for the squared error ([Gneiting, 2011](references.md)). That holds on average, for honest probabilities.
# Here is an honest forecaster with a strong blur:

# %%
rank, p = forecasts(20_000, blur=1.3)
answers = {
    "most probable": p.argmax(1),
    "median": medians(p),
    "expectation": p @ np.array(ranks.values),
}
honest = {}
for score in (metrics.accuracy, metrics.mae, metrics.rmse):
    by_decoder = {name: score(rank, a, ranks) for name, a in answers.items()}
    honest[score.__name__] = by_decoder
pd.DataFrame(honest).round(3)

# %% tags=["remove-cell"]
honest = pd.DataFrame(honest)
assert honest["accuracy"].idxmax() == "most probable"
assert honest["mae"].idxmin() == "median"
assert honest["rmse"].idxmin() == "expectation"

# %% [markdown]
# Two rules for practice:
#
# - **Report which decoder you used.** `metrics.evaluate` scores all three: `mae` is that of the most probable rank,
#   `mae_median` and `mae_expected` are those of the others.
# - **An expectation is a value, not a rank.** Rounded to the nearest rank it can name a rank that the model thinks
#   impossible: in the row $(\tfrac12, 0, \tfrac12)$ it is the one in the middle.
#
# ## How sure is a number?
#
# Test images are a sample; others would give another number. The **bootstrap** ([Efron, 1979](references.md)) draws
# from them as many as there are, with replacement, computes the metric, and repeats; the middle 95 % of the values form
# an interval. Here it is for the RPS of the healthy classifier on a hundred leaves, and for one that sees the same
# leaves a little less sharply:

# %%
y, sharper = forecasts(100, blur=0.7, seed=SEED)
_, blurred = forecasts(100, blur=0.85, seed=SEED)
one, other = rps_of_images(y, sharper), rps_of_images(y, blurred)
draws = np.random.default_rng(0).integers(100, size=(1000, 100))
for name, each in (("sharper", one), ("blurred", other)):
    low, high = np.quantile(each[draws].mean(axis=1), (0.025, 0.975))
    print(f"{name}: RPS {each.mean():.3f}, {low:.3f} to {high:.3f}")

# %% tags=["remove-cell"]
judged = metrics.evaluate(blurred, y, ranks, intervals=True)
assert np.allclose((low, high), (judged["rps_low"], judged["rps_high"]))

# %% [markdown]
# `evaluate(…, intervals=True)` does this for every metric but rank correlations and the area under the ROC curve. The
# interval says what other test images might have given. It says nothing about other *training* images or another seed,
# and it is too narrow where images belong together, as photographs of one person do.
#
# ### Compare on the same images
#
# The two intervals overlap. Is no difference shown, then? A hard leaf is hard for both classifiers, so look at the
# *differences*, image by image:

# %%
gain = compare(one, other)
print(f"sharper reduces the RPS by {gain.difference:.3f}", end=", ")
print(f"95 % interval {gain.low:.3f} to {gain.high:.3f}")

# %% [markdown]
# The interval of the difference is far narrower, and excludes 0: the sharper look is better.
#
# ## Exercises
#
# **1. A perfect order, and nothing right.** Four leaves have the ranks 0, 1, 2, 3. Find four answers with Spearman 1
# and accuracy 0, other than 1, 2, 3, 4. Floats are values, so an answer may lie between two ranks.


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
# The answers only have to increase, by however little.
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
# ## Summary
#
# - A metric is a price list. Accuracy counts errors, MAE adds up their sizes, QWK their squares, and AMAE asks each
#   rank separately.
# - Rank correlations do not see a shift, ECE does not see ignorance, and no metric of answers sees false certainty.
# - RPS reads the whole row, knows distance, and rewards honesty.
# - Report no number without a constant answer beside it, and no difference without an interval, computed image by
#   image.
#
# ## Sources
#
# QWK is from [Cohen (1968)](references.md), RPS from [Epstein (1969)](references.md). How often published comparisons of age estimators change once data and metric are held fixed is the
# subject of [Paplhám and Franc (2024)](references.md).
