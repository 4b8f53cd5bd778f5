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
# Before there is a number, there is a folder of images, and somebody who took them. This appendix shows the data sets that the
# package reads: who owns them, what they may be used for, how many images each rank has, and which people are in both training
# and test. The package contains only the generated leaves. For the others it has a loader and, where they are free, a
# download.
#
# **You need.** Ranks, accuracy and MAE ([chapter 1](01_ordinal_classification.ipynb)), and the split into training,
# validation and test.
#
# **Time and hardware.** Seconds, on anything. No image of a benchmark is opened: the counts come from
# `book/results/data_sets.csv`, which `tools/count_ranks.py` makes from the published lists, or from the labels where there is
# none.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # how many leaves, where the counts are not at hand
SEED = 0  # decides these leaves

# %% tags=["hide-input"]
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from l2rclip_book import plots
from l2rclip_book.results import markdown_table
from l2rclip_lite import load_dataset
from l2rclip_lite.data.benchmarks import DATA_SETS

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

files = [Path("results"), Path("book/results")]
results = next((x for x in files if (x / "data_sets.csv").is_file()), None)
if results is None:
    print(
        "This notebook is alone, as on Colab: the counts are in the repository, in\n"
        "book/results/. What follows shows generated leaves only."
    )
    size = {"smoke": 60, "page": 600, "full": 4000}[PROFILE]
    leaves = load_dataset("leaves", size=size, seed=SEED)
    counts = pd.DataFrame(
        {split: leaves.counts(split) for split in ("train", "val", "test")}
    )
    counts = counts.assign(data="leaves", protocol="", category="", fold=0)
    counts = counts.assign(rank=counts.index, name=leaves.ranks.names)
    counts["value"] = leaves.ranks.values
    shared = pd.DataFrame()
else:
    blank = {"protocol": "", "category": "", "fold": 0}
    counts = pd.read_csv(results / "data_sets.csv").fillna(blank)
    text = (results / "data_sets.json").read_text(encoding="utf-8")
    shared = pd.DataFrame(json.loads(text)["leakage"])
keys = ["data", "protocol", "category"]
first = counts.groupby(keys, sort=False)["fold"].transform("min")
benchmarks = {
    " ".join(word for word in key if word): part
    for key, part in counts[counts["fold"] == first].groupby(keys, sort=False)
    if "five-fold" not in key  # the images of `official`, cut otherwise
}


# %% mystnb={"image": {"alt": "Small bar charts, one for each data set and protocol, bars coloured from the lowest to the highest rank, each with a dark line for the test images. Generated leaves and HCI are flat; lesion areas thin out towards twenty percent, cherries towards twenty, MORPH and CLAP2015 towards old age, until ranks are empty; the last bar of apples, cherries and pears is high, for it holds all larger counts; aesthetics has nearly all images in two middle grades."}} tags=["hide-input"]
def small_multiples(parts: dict[str, pd.DataFrame]) -> Figure:
    """One panel per label distribution."""
    columns = min(3, len(parts))
    rows = -(-len(parts) // columns)
    with plots.style():
        figure = Figure(
            figsize=(2.75 * columns, 1.55 * rows + 0.3), layout="constrained"
        )
        axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for axis, (title, part) in zip(axes, parts.items(), strict=False):
            x, learned = (
                part["rank"].to_numpy(),
                (part["train"] + part["val"]).to_numpy(),
            )
            axis.bar(x, learned, width=1.0, color=plots.rank_colours(len(x)))
            axis.stairs(
                part["test"],
                np.arange(len(x) + 1) - 0.5,
                color=plots.COLOURS["ink"],
                linewidth=1.1,
            )
            empty = x[learned == 0]
            axis.scatter(
                empty,
                np.zeros(len(empty)),
                marker="x",
                s=12,
                color=plots.COLOURS["stage 2"],
                zorder=3,
                clip_on=False,
            )
            axis.set_title(title, fontsize=9)
            axis.set_xticks(
                [x[0], x[-1]],
                [part["name"].iloc[0], part["name"].iloc[-1]],
                fontsize=7.5,
            )
            for label, side in zip(
                axis.get_xticklabels(), ("left", "right"), strict=True
            ):
                label.set_ha(side)
            axis.tick_params(axis="y", labelsize=7)
            axis.yaxis.get_major_locator().set_params(nbins=3, integer=True)
            axis.yaxis.set_major_formatter("{x:,.0f}")
        for axis in axes[len(parts) :]:
            axis.axis("off")
    return figure


small_multiples(benchmarks)

# %% [markdown]
# **Figure 17.1.** Images per rank, lowest rank on the left: bars are training and validation, the line is test, crosses
# are ranks without an image in training and validation. Each panel shows the first fold of its protocol and has its own
# scale.

# %% tags=["remove-cell"]
if results is not None:  # what the text says of the figure
    ages = benchmarks["morph rs-partial"]
    rare = (ages["train"] + ages["val"] < 5).mean()
    assert 0.2 < rare < 0.27, rare
    grades = (
        counts[counts["data"] == "aesthetics"].groupby("rank")["train"].sum()
    )
    assert grades.nlargest(2).sum() > 0.9 * grades.sum(), grades
    assert (shared["test_shared_files"] == 0).all()

# %% [markdown]
# ## Long tails and empty ranks
#
# Look at the tails in Figure 17.1. Nearly a quarter of the ages in MORPH II's setting A (`rs-partial`) have fewer
# than five images in training and validation together, and nearly all grades of beauty are one of two neighbours. A model can
# be right most of the time and never once say "exceptional". That is why every metric of the package is told the number of
# ranks, and why `amae`, the mean over the ranks of the error within a rank, is reported beside `mae`.
#
# ## The floor
#
# Two predictors never open an image. One always answers the most frequent rank of the training part, the other its median.
# In accuracy a model must beat the first, in MAE the second: one that does not is no better, by that metric, than a constant.


# %%
def floor(part):
    """Return what two constant answers reach on the test part."""
    train = part["train"].to_numpy()
    test, value = part["test"].to_numpy(), part["value"].to_numpy()
    half = (train.sum() + 1) // 2  # the image in the middle
    median = value[np.searchsorted(train.cumsum(), half)]
    return {
        "majority accuracy": test[train.argmax()] / test.sum(),
        "median MAE": (test * abs(value - median)).sum() / test.sum(),
    }


# %% tags=["hide-input"]
def sizes(part: pd.DataFrame) -> dict[str, int]:
    """Images to learn from, to choose with and to test on; ranks."""
    learned = part["train"] + part["val"]
    return {
        "train": part["train"].sum(),
        "val": part["val"].sum(),
        "test": part["test"].sum(),
        "ranks": len(part),
        "empty": (learned == 0).sum(),
    }


table = {name: sizes(part) | floor(part) for name, part in benchmarks.items()}
pd.DataFrame.from_dict(table, orient="index").round(3)

# %% [markdown]
# The table has the first fold of each protocol; the MAE on the cards of fruits and portraits is over all folds. `empty` counts the
# ranks without an image in training and validation. The MAE is in years for MORPH, CLAP2015 and the portraits (whose ranks alone
# are three years wide), in age groups for Adience, in decades for HCI, in percent of the leaf for
# `bracol-area`, in fruits for `apples81`, `cherries81` and `pears`, in weeks for `hc18`, and in grades for the rest.
#
# ## Who is in training and in test?
#
# A person who was in training may be easier to date than a new one: hair, light and camera can give the age away. The lists of
# MORPH and of the portraits name the person, those of Adience the user, those of apples and pears the tree, those of HC18 the
# examination, and cherries come in blocks of neighbouring photographs, so leakage can be counted there. The table shows how
# much of the test part is also in training, in percent: first persons (users, trees, blocks, examinations), then the images
# that show them, with the smallest and largest value over the folds.

# %% tags=["hide-input"]
seen = pd.DataFrame()
if len(shared):
    counted = shared[shared["test_subjects"].notna()].fillna({"protocol": ""})
    for share, part, whole in (
        ("persons", "test_shared_subjects", "test_subjects"),
        ("images", "test_images_of_shared", "test_images"),
    ):
        counted[share] = 100 * counted[part] / counted[whole]
    groups = counted.groupby(["data", "protocol"], sort=False)
    columns = {"folds": ("persons", "size")}
    for share in ("persons", "images"):
        for end in ("min", "max"):
            columns[f"{share}, {end}"] = (share, end)
    seen = groups.agg(**columns).round(1)
seen

# %% [markdown]
# A zero says that no counted unit is on both sides, and the unit is not always a person: one woman may have had two
# examinations, and one person may be in the albums of two users. Compare `random` with `subject-exclusive` of MORPH: in the
# random one nearly all people of the test part were in training, in the one by person very few. What a model gains from the
# first may be that it knows these people. Papers call the random split D or RS and the other C or SE, while the files of the
# method's authors have the two letters swapped. So this package uses names alone. No fold of any benchmark has the same *file*
# in training and in test. But the five test parts of `rs-partial` overlap: they are repeated draws, not a cross-validation.
#
# To make a split of your own in which no person is on both sides, write
# `load_dataset("morph", root=..., subject_disjoint=True)`, or `--subject-disjoint` on the command line. Your own images
# need no such option: if your table has a column `group` that says who or what each image shows, a group stays in one
# split ([chapter 10](10_your_own_images.ipynb)).
#
# ## Faces
#
# Four of these data sets show the faces of people whom you have not asked.
#
# - **You may** use them for research, under the licence of their owner. For MORPH II you have to apply for it. The portraits of
#   the US Congress are in the public domain, as far as copyright goes. They are here for comparing methods only: nobody is
#   identified, and nobody's age is judged.
# - **You may not** pass them on, put them into a notebook that you publish, or train a product on them.
# - **Never** use them, or a model trained on them, to find out who somebody is, or to decide anything about anybody: who is
#   served, hired, admitted, insured or watched. A number in this book says how well a method orders labels. It says nothing
#   about a person.
# - **The label is not the age.** In CLAP2015 it is what strangers guessed, in Adience a group that an annotator chose, in
#   MORPH II a record, and in the portraits the time from a birthday to a camera's clock. Nor were the people drawn at random:
#   MORPH II's setting A contains only one group of people, the portraits one profession. An error averaged over a data set
#   says nothing about the error for people whom the data set hardly shows.
#
# The images of eyes in RetinaMNIST and of fetal heads in HC18 are here to test methods. No result on them is a clinical
# statement.
#
# ## The cards
#
# This is what `l2rclip data NAME` prints and every run directory keeps.

# %% tags=["hide-input"]
facts = DATA_SETS


def card(name: str) -> str:
    """One data card as a heading and a table."""
    about = facts[name]
    rows = {"images": about.images}
    if about.ranks is not None:
        rows["ranks"] = (
            f"{len(about.ranks)}, {about.ranks.names[0]} to "
            f"{about.ranks.names[-1]}; unit: {about.ranks.unit}"
        )
        rows["sentence"] = f"*{about.ranks.sentences[0]}*"
    for protocol, cut in about.protocols.items():
        folds = cut.folds
        which = f"; folds {folds[0]} to {folds[-1]}" if len(folds) > 1 else ""
        rows[f"protocol `{protocol!s}`" if protocol else "protocol"] = (
            cut.summary + which
        )
    about = about.card
    rows |= {
        "source": about.source,
        "licence": about.licence,
        "terms": about.terms,
        "known leakage": about.leakage,
    }
    rows |= {"to know": about.notes, "to cite": about.citation}
    table = markdown_table(["", ""], [row for row in rows.items() if row[1]])
    return f"**{about.title}** (`{name!s}`)\n\n{table}\n"


Markdown(
    "\n".join(card(name) for name in ("leaves", "bracol", "csv", "retinamnist"))
)

# %% tags=["hide-input"]
Markdown("\n".join(card(name) for name in ("bracol-area", "apples81", "hc18")))

# %% tags=["hide-input"]
Markdown("\n".join(card(name) for name in ("cherries81", "pears", "portraits")))

# %% tags=["hide-input"]
Markdown("\n".join(card(name) for name in ("morph", "clap2015", "adience")))

# %% tags=["hide-input"]
Markdown("\n".join(card(name) for name in ("hci", "aesthetics")))

# %% [markdown]
# ## Get them
#
# | data set | what is free to fetch | the rest |
# |---|---|---|
# | leaves | everything; they are generated | |
# | BRACOL | `l2rclip data bracol --download DIR` | |
# | RetinaMNIST | `l2rclip data retinamnist --download DIR` | |
# | lesion area, apples, cherries, pears, fetal heads | no command: the studies used copies, and we did not have the owners' files to make checksums of | see each card |
# | portraits | nothing: the table that numbers and dates them is not published | see its card |
# | MORPH II, CLAP2015, Adience, HCI, aesthetics | the split lists | the images, from their owners |
#
# Every download is compared with a checksum before anything appears in the folder. Lesion area, fruits and fetal heads come
# without a table of labels: `python tools/owners_labels.py hc18 DIR` writes it from the owners' files. For a benchmark whose
# images you have, the commands are these:
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
# command stops; with `--allow-missing` it continues without them, and the run records it. The files
# `experiments/*.yaml` have the settings of the paper, as far as we know them, for
# `papermill book/08_training_runs.ipynb` ([chapter 8](08_training_runs.ipynb)).
#
# The paper's own numbers were **not reproduced** here: no image of its five benchmarks was at hand. Loaders and protocols are
# tested on drawn images in the true layout, their counts against the published lists.
#
# ## Exercises
#
# **1. The floor by hand.** A training part has 30, 50 and 20 images of the ranks 0, 1 and 2, the test part 10, 10 and 20. Give
# the accuracy of the majority predictor and the MAE of the median predictor.


# %% tags=["hide-input"]
SMALL = pd.DataFrame(
    {"train": [30, 50, 20], "test": [10, 10, 20], "value": [0, 1, 2]}
)


def check_floor(accuracy: float, error: float) -> str:
    """Compare with `floor`."""
    right = floor(SMALL)
    if abs(accuracy - right["majority accuracy"]) > 5e-3:
        return "not yet: both answer rank 1; how many test images have it?"
    if abs(error - right["median MAE"]) > 5e-3:
        return "not yet: how far is rank 1 from each image of the test part?"
    return "right"


def check_lacking(mine: Callable[[pd.DataFrame], list[str]]) -> str:
    """Ranks without a test image, not those without a training image."""
    part = SMALL.assign(name=["low", "middle", "high"])
    part = part.assign(train=[0, 50, 20], val=0, test=[10, 0, 20])
    yours = list(mine(part))
    if yours == ["middle"]:
        return "right"
    if yours == ["low"]:
        return "not yet: rank low lacks training images, not test images"
    return f"not yet: {yours}; the names of the ranks without a test image"


def check_split(mine: Callable[..., np.ndarray]) -> str:
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
print(check_floor(0.5, 0.5))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Rank 1 is the most frequent and holds the image in the middle. On the test part it is right 10 times out of 40, and 30 times
# off by 1.
#
# </details>

# %% tags=["hide-cell"]
print(check_floor(0.25, 0.75))

# %% [markdown]
# **2. Which ranks does a test part lack?** A metric that infers the ranks from the data would not notice such a rank. Write a
# function that takes one table of `benchmarks` (columns `name`, `train`, `val`, `test`) and returns their names.


# %%
def lacking(part):
    return list(part["name"])  # yours


print(check_lacking(lacking))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Select the rows in which `test` is 0. The cell counts them in every benchmark.
#
# </details>


# %% tags=["hide-cell"]
def lacking_solution(part):
    return list(part.loc[part["test"] == 0, "name"])


print(check_lacking(lacking_solution))
lacks = {name: len(lacking_solution(part)) for name, part in benchmarks.items()}
print({name: number for name, number in lacks.items() if number})

# %% [markdown]
# **3. Nobody on both sides.** Write the split by person. You get the subject of each image, the share of images to test on, and
# a seed. Return an array with True for each test image. The split below draws images, and the check says what is wrong with it.


# %%
def split_by_subject(subjects, share, seed):
    draw = np.random.default_rng(seed)
    return draw.random(len(subjects)) < share  # yours


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

# %% tags=["remove-cell"]
# Wrong answers, and the sentence that each must get.
for answer, expected in (
    (check_floor(0.25, 1.0), "how far"),
    (check_floor(0.5, 0.75), "how many"),
    (check_floor(0.25, 0.75), "right"),
    (check_lacking(lacking), "names of the ranks"),
    (check_lacking(lambda p: list(p["name"][p["train"] == 0])), "training"),
    (check_lacking(lacking_solution), "right"),
    (check_split(split_by_subject), "both sides"),
    (check_split(lambda s, *_: np.zeros(len(s), bool)), "share"),
    (check_split(lambda s, *_: s), "True or False"),
    (check_split(lambda s, share, _: split_solution(s, share, 0)), "another"),
    (check_split(split_solution), "right"),
):
    assert expected in answer, (expected, answer)

# %% [markdown]
# ## Summary
#
# - Many real label distributions have long tails and empty ranks; a metric must be told which ranks there are.
# - The floor is the majority rank for accuracy and the median rank for MAE, on the same split.
# - In MORPH's usual protocols many or most test persons were also in training; only `subject-exclusive` is nearly free of that.
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
