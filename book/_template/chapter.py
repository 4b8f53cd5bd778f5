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
# # TITLE
#
# One paragraph: the question, and why a reader asks it. Then a figure, before the second heading.
#
# **You need.** [Chapter 1](01_ordinal_classification.ipynb).
#
# **Time and hardware.** Seconds on one CPU core; no download.

# %% tags=["setup"]

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more labels
SEED = 0  # decides the labels

# %% mystnb={"image": {"alt": "Bars of the mean absolute error for each of five answers; the lowest one is in the middle."}} tags=["hide-input"]
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

SIZE = {"smoke": 20, "page": 200, "full": 2000}[PROFILE]
y = np.random.default_rng(SEED).binomial(4, 0.5, size=SIZE)
errors = [np.abs(y - answer).mean() for answer in range(5)]

figure, axis = plt.subplots(figsize=(5, 2.5))
axis.bar(range(5), errors)
axis.set(xlabel="answer", ylabel="mean absolute error, ranks")
plt.show()

# %% [markdown]
# **Figure NUMBER.1.** Mean absolute error of always answering one rank.
#
# Prose between cells says what to see in Figure NUMBER.1. Decimals and per cents in it come from a cell above or below, or
# cite their source.
#
# ## A heading for each step

# %%
best = int(np.argmin(errors))
print(f"least for rank {best}: {errors[best]:.3f}")

# %% [markdown]
# ## Exercises
#
# As printed here, each check judges an empty or a wrong answer.


# %% tags=["hide-input"]
def check_answer(mine: Callable[[np.ndarray], float]) -> None:
    """Compare an answer with the median, and say what is wrong."""
    if mine(np.array([0, 0, 4])) == 0:
        print("right: the median")
    else:
        print("not yet: of 0, 0 and 4 the answer is 0")


# %% [markdown]
# **1. The best answer.** Which statistic of the labels has the least mean absolute error?


# %%
def answer(labels):
    return labels.mean()


check_answer(answer)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The median: moving away from it brings more labels farther than nearer.
#
# </details>


# %% tags=["hide-cell"]
def answer(labels):
    return float(np.median(labels))


check_answer(answer)

# %% [markdown]
# ## Summary
#
# - What the reader can do now, in a few sentences.
#
# ## Sources
#
# Where the ideas and the numbers come from, such as [Wang et al. (2023)](references.md).
