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
# Before a number comes a folder of pictures, and somebody who took them. This page shows the twelve data sets that the
# package reads: whose they are, what they may be used for, how many pictures each rank has, and who stands in training and in
# test at once. Only the leaves come with the package; for the others it has a loader and, where they are free, a download.
#
# :::{admonition} What you will learn
# :class: tip
# - which ranks of each benchmark have pictures, and which have none,
# - what a predictor that never looks at a picture reaches on each, the floor under every table,
# - how many persons of a test part were seen in training, protocol by protocol,
# - what pictures of faces may be used for, and what not.
# :::
#
# | you should know | how much | if not |
# |---|---|---|
# | ranks, accuracy, MAE | the idea | {doc}`02_two_stages` |
# | training, validation and test split | well | any introduction to machine learning |
#
# **Time and hardware.** Seconds, on anything. No picture of a benchmark is opened: the counts are read from
# `book/results/data_sets.csv`, which `tools/count_ranks.py` makes from the published lists.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # how many leaves, where the counts are not at hand
SEED = 0  # decides these leaves

# %% tags=["hide-input"]
import json
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from l2rclip_book import plots
from l2rclip_lite import load_dataset
from l2rclip_lite.data.benchmarks import DATA_SETS

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

size = {"smoke": 60, "page": 600, "full": 4000}[PROFILE]
results = next(
    (
        path
        for path in (Path("results"), Path("book/results"))
        if (path / "data_sets.csv").is_file()
    ),
    None,
)
if results is None:
    print(
        "This notebook is alone, as on Colab: the counts of the benchmarks lie in\n"
        "the repository, in book/results/."
    )
    print(
        "What follows shows generated leaves only; the page in the book shows all."
    )
    leaves = load_dataset("leaves", size=size, seed=SEED)
    counts = pd.DataFrame(
        {split: leaves.counts(split) for split in ("train", "val", "test")}
    )
    counts = counts.assign(
        data="leaves", protocol="", category="", fold=0, rank=counts.index
    )
    counts = counts.assign(name=leaves.ranks.names, value=leaves.ranks.values)
    shared = pd.DataFrame()
else:
    counts = pd.read_csv(results / "data_sets.csv").fillna(
        {"protocol": "", "category": "", "fold": 0}
    )
    shared = pd.DataFrame(
        json.loads((results / "data_sets.json").read_text(encoding="utf-8"))[
            "leakage"
        ]
    )
first = counts.groupby(["data", "protocol", "category"], sort=False)[
    "fold"
].transform("min")
shown = counts[counts["fold"] == first]
benchmarks = {
    " ".join(word for word in key if word): part
    for key, part in shown.groupby(["data", "protocol", "category"], sort=False)
    if "five-fold" not in key  # the pictures of `official`, cut otherwise
}
print(
    f"{len(benchmarks)} label distributions, "
    f"{sum(len(part) for part in benchmarks.values())} ranks"
)

# %% [markdown]
# ## How many pictures has a rank?


# %% mystnb={"image": {"alt": "Eighteen small bar charts, one for each data set and protocol, bars coloured from the lowest to the highest rank, each with a dark line for the test pictures. Generated leaves and HCI are flat; lesion areas thin out towards twenty per cent, MORPH and CLAP2015 towards old age, until ranks are empty; aesthetics has nearly all pictures in two middle grades."}, "figure": {"caption": "Pictures of each rank, lowest on the left: bars are training and validation, the line is test, crosses are ranks without a training picture. The first fold of each protocol; each panel has its own scale.", "name": "fig-16-ranks"}}
def small_multiples(parts: dict[str, pd.DataFrame]) -> Figure:
    """One panel a label distribution."""
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
# Look at the tails. A quarter of the ages in MORPH II's setting A have fewer than five pictures to learn from, and the grades of beauty crowd in the
# middle. A model can be right most of the time and never once say "exceptional". That is why every metric of the package is
# told the number of ranks, and why `amae`, the mean over ranks of the error within a rank, stands beside `mae`.
#
# ## The floor
#
# Two predictors never open a picture. One always answers the most frequent rank of the training part, one its median. No
# accuracy below the first and no MAE above the second is worth a sentence.


# %%
def floor(part: pd.DataFrame) -> dict[str, object]:
    """Test accuracy of the most frequent rank, test MAE of the median rank."""
    train, test, value = (
        part[name].to_numpy() for name in ("train", "test", "value")
    )
    median = value[np.searchsorted(train.cumsum(), (train.sum() + 1) // 2)]
    return {
        "learn": int(train.sum()),
        "choose": int(part["val"].sum()),
        "test": int(test.sum()),
        "ranks": len(part),
        "without picture": int((train + part["val"].to_numpy() == 0).sum()),
        "majority accuracy": round(test[train.argmax()] / test.sum(), 3),
        "median MAE": round(
            float((test * abs(value - median)).sum() / test.sum()), 3
        ),
    }


pd.DataFrame(
    [floor(part) for part in benchmarks.values()], index=list(benchmarks)
)

# %% [markdown]
# The MAE is in years for MORPH and CLAP2015, in groups for Adience, in decades for HCI, in per cent of the leaf for `bracol-area`,
# in apples for `apples81`, in weeks for `hc18`, in grades for the rest.
#
# ## Who is in training and in test?
#
# A face that was learned is easier to date than a new one: hair, light and camera give it away. The lists of MORPH name the
# person, those of Adience the user, of the apples the tree and of HC18 the examination, so there it can be counted.

# %%
if len(shared):
    known = shared[shared["test_subjects"].notna()].copy()
    known["persons"] = (
        100 * known["test_shared_subjects"] / known["test_subjects"]
    )
    known["images"] = (
        100 * known["test_images_of_shared"] / known["test_images"]
    )
    grouped = known.fillna({"protocol": ""}).groupby(
        ["data", "protocol"], sort=False
    )
    columns = {"folds": ("persons", "size")}
    columns |= {
        f"{name}, {word}": (name, word)
        for name in ("persons", "images")
        for word in ("min", "max")
    }
    seen = grouped.agg(**columns).round(1)
    print(
        "share of the test part that is also in training, per cent, over the folds"
    )
    assert (shared["test_shared_files"] == 0).all(), (
        "no image is in training and test of any fold"
    )
else:
    seen = pd.DataFrame()
seen

# %% [markdown]
# Between the random split of MORPH and the one by person lies the difference between "knows these people" and "knows age".
# Papers call the random one D or RS and the other C or SE, while the files of the method's authors have the two letters
# swapped; this package goes by names alone. In no fold of any benchmark does a *picture* stand on both sides,
# but the five test parts of `rs-partial` overlap each other: they are repeated draws, not a cross-validation.
#
# For a split with nobody on both sides: `load_dataset("morph", root=..., subject_disjoint=True)`, or `--subject-disjoint` in
# the shell. In a table of your own, name the person or plant of each picture in a column `group`: a group stays in one
# split ({doc}`10_your_own_images`). The report on one fold: `l2rclip data morph --lists DIR --protocol random --leakage`.
#
# ## Faces
#
# Three of these data sets are pictures of people who were not asked by you. Plainly:
#
# - **You may** use them for research, under the licence of their owner, which for MORPH II you have to apply for.
# - **You may not** pass them on, put them into a notebook that you publish, or train a product on them.
# - **Never** use them, or a model trained on them, to find out who somebody is, or to decide anything about anybody: who is
#   served, hired, admitted, insured or watched. A number of this book says how well a method orders labels, and nothing about
#   a person.
# - **The label is not the age.** In CLAP2015 it is what strangers guessed, in Adience a group that an annotator chose, in
#   MORPH II a record. Who was photographed was not drawn at random: MORPH II's setting A holds one group of people
#   only, and an error averaged over a data set says nothing about the error for people it hardly shows.
#
# The pictures of eyes in RetinaMNIST and of fetal heads in HC18 are there to test methods. No result on them is a clinical statement.
#
# ## The twelve cards
#
# What the package prints for `l2rclip data NAME`, and what every run directory keeps.

# %%
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
        rows[f"protocol `{protocol}`" if protocol else "protocol"] = (
            cut.said + which
        )
    about = about.card
    rows |= {
        "source": about.source,
        "licence": about.licence,
        "terms": about.terms,
        "known leakage": about.leakage,
    }
    rows |= {"to know": about.notes, "to cite": about.citation}
    lines = [f"| {key} | {text} |" for key, text in rows.items() if text]
    return "\n".join(
        [f"**{about.title}** (`{name}`)", "", "| | |", "|---|---|", *lines, ""]
    )


Markdown(
    "\n".join(card(name) for name in ("leaves", "bracol", "csv", "retinamnist"))
)

# %%
Markdown("\n".join(card(name) for name in ("bracol-area", "apples81", "hc18")))

# %%
Markdown("\n".join(card(name) for name in ("morph", "clap2015", "adience")))

# %%
Markdown("\n".join(card(name) for name in ("hci", "aesthetics")))

# %% [markdown]
# ## Get them
#
# | data set | what is free to fetch | the rest |
# |---|---|---|
# | leaves | everything; it is generated | |
# | BRACOL | `l2rclip data bracol --download DIR` | |
# | RetinaMNIST | `l2rclip data retinamnist --download DIR` | |
# | lesion area, apples, fetal heads | nothing: their files were not at hand to take digests of | where each card says |
# | MORPH II, CLAP2015, Adience, HCI, aesthetics | the split lists: `l2rclip data morph --download DIR/datalists` | the pictures, from their owners |
#
# Every download is compared with a checksum before anything appears in the folder. The three sets of the third row come
# without a table of labels: `python tools/owners_labels.py hc18 DIR` writes it from the owners' files. If you own none of the
# pictures, {doc}`08_training_runs` trains on generated leaves.
#
# ## Exercises
#
# **1. The floor by hand.** A training part has 30, 50 and 20 pictures of the ranks 0, 1 and 2, the test part 10, 10 and 20. What
# accuracy has the majority predictor, and what MAE the median predictor?


# %%
def check_floor(accuracy: float, error: float) -> None:
    """Compare with `floor`."""
    part = pd.DataFrame(
        {
            "train": [30, 50, 20],
            "val": [0, 0, 0],
            "test": [10, 10, 20],
            "value": [0, 1, 2],
        }
    )
    right = floor(part)
    good = (
        abs(accuracy - right["majority accuracy"]) < 5e-3
        and abs(error - right["median MAE"]) < 5e-3
    )
    print(
        "right"
        if good
        else "not yet: both predictors answer rank 1; count what that does to the test"
    )


check_floor(0.5, 0.5)

# %% [markdown]
# :::{dropdown} Solution
# Rank 1 is the most frequent and holds the middle picture. On the test part it is right 10 times of 40, and 30 times off by 1.
# :::

# %% tags=["hide-cell"]
check_floor(0.25, 0.75)

# %% [markdown]
# **2. Which grades does a test part lack?** A metric that infers the ranks from the data would not notice. List, from `counts`, all
# benchmarks whose test part lacks a rank, with the number of ranks it lacks.
#
# :::{dropdown} Solution
# Count the zeros of the column `test` in each part of `benchmarks`.
# :::

# %% tags=["hide-cell"]
lacking = {
    title: int((part["test"] == 0).sum()) for title, part in benchmarks.items()
}
print({title: number for title, number in lacking.items() if number})

# %% [markdown]
# **3. How many leaves are too few?** `load_dataset` refuses what cannot be split. Find out what it says when you ask for 10
# leaves of 5 ranks.
#
# :::{dropdown} Solution
# Catch `InputError`; its text is one sentence with the way out.
# :::

# %% tags=["hide-cell"]
from l2rclip_lite.errors import InputError

try:
    load_dataset("leaves", ranks=5, size=10)
except InputError as error:
    print(error)

# %% [markdown]
# ## Summary
#
# - Real label distributions have long tails and empty ranks; a metric must be told how many ranks there are.
# - The floor is the majority rank for accuracy and the median rank for MAE, on the same split.
# - In MORPH's usual protocols most test persons were seen in training; only `subject-exclusive` is nearly free of that.
# - Faces are for research under their owner's licence, never for judging or identifying anybody.
#
# | what | function | test |
# |---|---|---|
# | cards, protocols, folds | `data.benchmarks.DATA_SETS` | `tests/data/test_benchmarks.py` |
# | counts of the published lists | `data.load_dataset` | `tests/data/test_benchmarks.py` |
# | leakage | `data.leakage.leakage` | `tests/data/test_leakage.py` |
#
# ## Sources
#
# The collections: {cite:t}`ricanek2006morph`, {cite:t}`escalera2015chalearn`, {cite:t}`eidinger2014age`,
# {cite:t}`palermo2012dating`, {cite:t}`schifanella2015image`, {cite:t}`esgario2020deep`, {cite:t}`yang2023medmnist`,
# {cite:t}`kodors2024autonomous`, {cite:t}`vandenheuvel2018automated`. The split lists are
# those of {cite:t}`wang2023learning`, published under the MIT licence. The protocols of MORPH II and CLAP2015 are described by
# {cite:t}`shin2022moving`, those of HCI and of five-fold aesthetics by {cite:t}`wang2023ord2seq`, and why faces should be split by
# person by {cite:t}`paplham2024call`.
