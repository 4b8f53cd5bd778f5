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
# # The data sets: cards, counts, leakage
#
# Here are six of the data sets that the package reads. Height is the number of images to learn from, one bar per rank,
# the lowest rank on the left. Now imagine a program that never opens an image: it gives one and the same answer to
# each. **On which of the six is it right most often, and how often?** The table of the floor has the answer.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke and full do the same: nothing is trained

# %% tags=["hide-input"]
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.results import find_result
from l2rclip_lite.data.benchmarks import DATA_SETS, cards_table
from l2rclip_lite.data.check import card

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

SMALL = pd.DataFrame(
    {
        "train": [30, 50, 20],
        "val": [0, 0, 0],
        "test": [10, 10, 20],
        "rank": [0, 1, 2],
        "value": [0, 1, 2],
    }
)
keys = ["data", "protocol", "category"]
file = find_result("data_sets.csv")
if file is None:
    print("This notebook is alone: it shows invented counts, and no leakage.")
    counts = SMALL.assign(data="invented", protocol="", category="", fold=0)
    leaks = []
else:
    blank = {"protocol": "", "category": "", "fold": 0}
    counts = pd.read_csv(file).fillna(blank)
    leaks = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    leaks = leaks["leakage"]
first = counts.groupby(keys, sort=False)["fold"].transform("min")
benchmarks = {
    " ".join(word for word in key if word): part
    for key, part in counts[counts["fold"] == first].groupby(keys, sort=False)
    if "five-fold" not in key  # the images of `official`, cut otherwise
}

# %% mystnb={"image": {"alt": "Six bar charts of images per rank, bars coloured from the lowest to the highest rank. Coffee leaves, five grades: one grade holds half of the images. Cherries thin out towards twenty, and the last bar, which holds all larger counts, rises again. MORPH and CLAP2015 thin out towards old age, with crosses where no image is left. Adience has a peak in the middle. Aesthetics has nearly all of its images in two middle grades."}} tags=["hide-input"]
SHOWN = ["bracol", "cherries81", "morph rs-partial", "clap2015 test"]
SHOWN += ["adience", "aesthetics official nature"]
with style():
    figure, axes = plt.subplots(3, 2, figsize=(5.2, 4.8), layout="constrained")
    for axis, name in zip(axes.flat, SHOWN, strict=True):
        part = benchmarks.get(name, SMALL)
        learned = part["train"] + part["val"]
        axis.bar(part["rank"], learned, 1, color=rank_colours(len(part)))
        empty = part.loc[learned == 0, "rank"]
        axis.plot(empty, 0 * empty, "x", color=COLOURS["stage 2"])
        axis.set(title=name if file else "invented", xticks=[])
plt.show()

# %% [markdown]
# **Figure 16.1.** Images of each rank in training and validation, lowest rank on the left, first fold of each protocol.
# Crosses are ranks without an image. Each panel has its own scale.
#
# **You need.** Ranks, accuracy and MAE ([chapter 1](01_ordinal_classification.ipynb)), and the split into training,
# validation and test.
#
# **Time and hardware.** Seconds, on anything. No image is opened: the counts come from `book/results/data_sets.csv`. They
# are those of the published lists, or of the labels where there is none; `l2rclip data NAME` counts your folder.
#
# ## Long tails and empty ranks
#
# Look at the right ends in Figure 16.1. Nearly a quarter of the ages in MORPH II's setting A (`rs-partial`) have fewer
# than five images in training and validation together, and nearly all grades of beauty are one of two neighbours. A
# model can be right most of the time and never once say "exceptional". That is why every metric of the package is told
# the number of ranks, and why `amae`, the mean over the ranks of the error within a rank, is reported beside `mae`.

# %% tags=["remove-cell"]
if file is not None:  # what the text says of the figure
    ages = benchmarks["morph rs-partial"]
    assert 0.2 < (ages["train"] + ages["val"] < 5).mean() < 0.27
    beauty = counts[counts["data"] == "aesthetics"]
    grades = beauty.groupby("rank")["train"].sum()
    assert grades.nlargest(2).sum() > 0.9 * grades.sum()
    assert all(row["test_shared_files"] == 0 for row in leaks)

# %% [markdown]
# ## The floor
#
# Two programs never open an image. One always answers the most frequent rank of the training part, the other its
# median. In accuracy a model must beat the first, in MAE the second. A model that does not is no better, by that
# metric, than a constant.


# %%
def floor(part):
    """Return what two constant answers reach on the test part."""
    train = part["train"].to_numpy()
    test, value = part["test"].to_numpy(), part["value"].to_numpy()
    half = (train.sum() + 1) // 2  # the image in the middle
    median = value[np.searchsorted(train.cumsum(), half)]
    return {
        "train": train.sum(),
        "test": test.sum(),
        "ranks": len(part),
        "majority accuracy": test[train.argmax()] / test.sum(),
        "median MAE": (test * abs(value - median)).sum() / test.sum(),
    }


table = {name: floor(part) for name, part in benchmarks.items()}
pd.DataFrame.from_dict(table, orient="index").round(3)

# %% [markdown]
# Of the six in the figure, the constant is right most often on the photographs of nature: in 66 % of them, without a
# look at one. On Adience it is right in more than a third, on MORPH in fewer than one in twenty. So an accuracy says
# nothing until its floor stands beside it, and accuracies on two data sets cannot be compared.
#
# The table has the first fold of each protocol. Its MAE is in years for MORPH, CLAP2015 and the portraits, whose ranks
# are three years wide, in age groups for Adience, in decades for HCI, in percent of the leaf for `bracol-area`,
# in fruits for `apples81`, `cherries81` and `pears`, in weeks for `hc18`, and in grades for the rest.
#
# ## Who is in training and in test?
#
# The age of a person who was in training may be easier to guess: hair, light and camera can give the age away. The
# lists of MORPH and of the portraits name the person, those of Adience the user, those of apples and pears the tree,
# those of HC18 the examination. Cherries come in blocks of neighbouring photographs. So *leakage* can be counted there:
# how much of the test part is also in training, in percent. Below are first the persons (users, trees, examinations,
# blocks), then the images that show them, each with the smallest and the largest value over the folds.

# %% tags=["hide-input"]
seen = pd.DataFrame(leaks)
if leaks:
    seen = seen.dropna(subset="test_subjects").fillna({"protocol": ""})
    shared = 100 * seen["test_shared_subjects"]
    seen["persons"] = shared / seen["test_subjects"]
    images = 100 * seen["test_images_of_shared"]
    seen["images"] = images / seen["test_images"]
    seen = seen.groupby(["data", "protocol"], sort=False)
    seen = seen[["persons", "images"]].agg(["min", "max"]).round(1)
seen

# %% [markdown]
# A zero says that no counted unit is on both sides. The unit is not always a person: one woman may have had two
# examinations, and one person may be in the albums of two users.
#
# Compare two rows of MORPH. In the `random` split nearly all people of the test part were in training, in
# `subject-exclusive` very few. What a model gains from the first may be that it knows these people. Papers call the
# random split D or RS and the other C or SE, while the files of the method's authors have the two letters swapped. So
# this package uses names alone. The five test parts of `rs-partial` overlap: they are repeated draws, not a
# cross-validation. No fold of any data set has the same *file* in training and in test.
#
# To make a split of your own in which no person is on both sides, write
# `load_dataset("morph", root=..., subject_disjoint=True)`, or `--subject-disjoint` on the command line. Your own images
# need no such option: if your table has a column `group` that says who or what each image shows, a group stays in one
# split ([chapter 2](02_your_own_images.ipynb)).
#
# ## Faces
#
# Four of these data sets show the faces of people whom you have not asked.
#
# - **You may** use them for research, under the licence of their owner. For MORPH II you have to apply for it. The
#   portraits of the US Congress are in the public domain, as far as copyright goes. They are here for comparing methods
#   only: nobody is identified, and nobody's age is judged.
# - **Do not** pass them on, put them into a notebook that you publish, or train a product on them.
# - **Never** use them, or a model trained on them, to find out who somebody is, or to decide anything about anybody:
#   who is served, hired, admitted, insured or watched. A number in this book says how well a method orders labels. It
#   says nothing about a person.
# - **The label is not the age.** In CLAP2015 it is what strangers guessed, in Adience a group that an annotator chose,
#   in MORPH II a record, and in the portraits the time from a birthday to a camera's clock. Nor were the people drawn
#   at random: MORPH II's setting A contains only one group of people, the portraits one profession. An error averaged
#   over a data set says nothing about the error for people whom the data set hardly shows.
#
# The images of eyes in RetinaMNIST and of fetal heads in HC18 are here to test methods. No result on them is a clinical
# statement.
#
# ## The cards
#
# Who owns these images, and what may be done with them? `l2rclip data NAME` prints a *card* that says it, and every run
# directory keeps it. This is an overview, and one card in full; the cell below it unfolds to all of them.

# %%
cards_table().drop(columns="title")

# %%
print(card("hc18"))

# %% tags=["hide-cell"]
print(*map(card, DATA_SETS), sep="\n\n")

# %% [markdown]
# ## Get them
#
# The package contains the generated leaves and the photographs of `coffee`. For the others it has a loader, and for
# some a download.
#
# | data set | what is free to fetch | the rest |
# |---|---|---|
# | leaves, coffee | everything | |
# | BRACOL, RetinaMNIST | `l2rclip data NAME --download DIR` | |
# | `bracol-area`, apples, cherries, pears, fetal heads | no command: the studies used copies, and we did not have the owners' files to make checksums of | see each card |
# | portraits | nothing: the table that numbers and dates them is not published | see its card |
# | MORPH II, CLAP2015, Adience, HCI, aesthetics | the split lists | the images, from their owners |
#
# Every download is compared with a checksum before anything appears in the folder. `bracol-area`, fruits and fetal heads
# come without a table of labels: `python tools/owners_labels.py hc18 DIR` writes it from the owners' files. For a
# benchmark whose images you have, the commands are these:
#
# ```sh
# l2rclip data morph --download lists  # the published lists, checked by SHA-256
# l2rclip data morph --lists lists --protocol rs-partial --leakage
# l2rclip fit --dataset morph --root faces --lists lists \
#   --protocol subject-exclusive --fold 0 --out runs/morph0
# ```
#
# The second command needs no images: it reports which people are in training and in test. For the third, the images may
# be anywhere below `--root`. Images that a list names but you do not have are counted before anything trains, and the
# command stops; with `--allow-missing` it continues without them, and the run records it.
#
# The paper's own numbers were **not reproduced** here: no image of its five benchmarks was at hand. Loaders and
# protocols are tested on drawn images in the true layout, their counts against the published lists. The files
# `experiments/*.yaml` have the settings of the paper, as far as we know them ([chapter 8](08_training_runs.ipynb)).
#
# ## Exercises
#
# **1. The floor by hand.** Predict, then run. A training part has 30, 50 and 20 images of the ranks 0, 1 and 2, the
# test part 10, 10 and 20. Which accuracy does the most frequent rank reach, and which MAE the median?


# %%
def check_floor(accuracy: float, error: float) -> str:
    """Compare with `floor`."""
    right = floor(SMALL)
    if abs(accuracy - right["majority accuracy"]) > 5e-3:
        return "not yet: both answer rank 1; how many test images have it?"
    if abs(error - right["median MAE"]) > 5e-3:
        return "not yet: how far is rank 1 from each image of the test part?"
    return "right"


print(check_floor(0.5, 0.5))  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Rank 1 is the most frequent and holds the image in the middle. On the test part it is right 10 times out of 40, and 30
# times off by 1.
#
# </details>

# %% tags=["hide-cell"]
print(check_floor(0.25, 0.75))

# %% [markdown]
# **2. Nobody on both sides.** Write the split by person. You get the subject of each image, the share of images to test
# on, and a seed. Return an array with True for each test image. The split below draws images, and the check says what
# is wrong with it.


# %%
def split_by_subject(subjects, share, seed):
    draw = np.random.default_rng(seed)
    return draw.random(len(subjects)) < share  # yours


# %% tags=["hide-input"]
def check_split(mine) -> str:
    """Nobody on both sides, about the share asked for, and repeatable."""
    draw = np.random.default_rng(1)
    subjects = draw.integers(60, size=500) ** 2  # sixty people, and gaps
    test = np.asarray(mine(subjects, 0.2, 0))
    if test.shape != subjects.shape or test.dtype != bool:
        return "not yet: return one True or False per image"
    both = set(subjects[test]) & set(subjects[~test])
    if both:
        return f"not yet: {len(both)} people are on both sides"
    if abs(test.mean() - 0.2) > 0.05:
        return f"not yet: a share of {test.mean():.2f} is in test, not 0.2"
    if not np.array_equal(test, mine(subjects, 0.2, 0)):
        return "not yet: the same seed must give the same split"
    if np.array_equal(test, mine(subjects, 0.2, 1)):
        return "not yet: another seed must give another split"
    return "right"


# %%
print(check_split(split_by_subject))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Shuffle the people, not the images, and take people until their images make up the share.
#
# </details>


# %% tags=["hide-cell"]
def split_solution(subjects, share, seed):
    people, owned = np.unique(subjects, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(people))
    until = owned[order].cumsum() <= share * len(subjects)
    return np.isin(subjects, people[order[until]])


print(check_split(split_solution))

# %% [markdown]
# ## Summary
#
# - Many real label distributions have long tails and empty ranks; a metric must be told which ranks there are.
# - The floor is the majority rank for accuracy and the median rank for MAE, on the same split.
# - In MORPH's usual protocols many or most test persons were also in training; only `subject-exclusive` is nearly free
#   of that.
# - Faces are for research under their owner's licence, never for judging or identifying anybody.
#
# ## Sources
#
# The collections: [Ricanek and Tesafaye (2006)](references.md), [Escalera et al. (2015)](references.md),
# [Eidinger et al. (2014)](references.md), [Palermo et al. (2012)](references.md),
# [Schifanella et al. (2015)](references.md), [Esgario et al. (2020)](references.md),
# [Yang et al. (2023)](references.md), [Kodors et al. (2024)](references.md), [Apeināns et al. (2024)](references.md),
# [Kodors et al. (2023)](references.md), [van den Heuvel et al. (2018)](references.md). The split lists are those of
# [Wang et al. (2023)](references.md), published under the MIT licence. The protocols of MORPH II and CLAP2015 are
# described by [Shin et al. (2022)](references.md), those of HCI and of five-fold aesthetics by
# [Wang et al. (2023)](references.md), and why faces should be split by person by
# [Paplhám and Franc (2024)](references.md).
