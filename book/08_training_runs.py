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
# # Training runs: any data, any towers, CPU or GPU
#
# In the night somebody needs the socket and pulls the plug. Figure 8.1 is what is left of a training run. In the
# morning you give the same command again. Where will the curve go on, and where will it end?
#
# This page is a chapter and a program. Here it trains on the photographs of coffee leaves that ship with the package.
# With three parameters changed it trains on your images, or on a benchmark of the paper with its towers, on a GPU that
# you rent by the hour. So it also works out what that costs, before you pay.
#
# **You need.** A shell and a loop. [Chapter 2](02_your_own_images.ipynb) explains the two stages, the baselines and
# the run directory.
#
# **Time and hardware.** Some minutes of one core for this page, no GPU, no download. What a GPU does for larger runs
# is worked out [below](#what-a-run-costs).

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: tiny, in seconds; page: as shown; full: all epochs
EXPERIMENT = ""  # a file such as experiments/adience.yaml; empty: coffee leaves
OPTIONS = {}  # what is set otherwise: {"root": "/data", "out": "runs", "seed": 1}

# %% tags=["hide-input"]
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from IPython.display import Markdown
from pydantic import ValidationError

from l2rclip_book import training_runs
from l2rclip_book.results import find_result, markdown_table
from l2rclip_book.training_figures import resumed_run
from l2rclip_lite import Config, fit, load_dataset
from l2rclip_lite.baselines import check_baselines, run_baseline
from l2rclip_lite.data.check import leakage
from l2rclip_lite.errors import InputError, sentence
from l2rclip_lite.files import read_json, write_json
from l2rclip_lite.runs.results import judge

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "A curve of validation RPS over five epochs, lowest at the last. The right part of the panel is empty."}}
try:
    options = training_runs.read_experiment(PROFILE, EXPERIMENT, OPTIONS)
    config = Config(**training_runs.settings_of(options))
    source = training_runs.source_of(options)
    check_baselines(options["baselines"])
    data = load_dataset(**source)
except (InputError, ValidationError) as error:
    raise SystemExit(sentence(error)) from None

folder = Path(options.get("out") or tempfile.mkdtemp()).expanduser()
name = training_runs.run_name(options)
out = folder / f"{name}_seed{config.seed}"
before = []  # the epochs until the plug is pulled


def pull_the_plug(row: dict[str, float]) -> None:
    """Keep the row of an epoch; stop the page's own run on the way."""
    before.append(row)
    half = (config.epochs2 + 1) // 2
    if not EXPERIMENT and (row["stage"], row["epoch"]) == (2, half):
        raise KeyboardInterrupt


with suppress(KeyboardInterrupt):
    fit(data, config, out, source=source, quiet=True, on_epoch=pull_the_plug)
epochs = config.stage1_epochs() + config.epochs2
resumed_run({"so far": before}, epochs)

# %% [markdown]
# **Figure 8.1.** Validation RPS after each epoch; 1 to 3 are stage 1. Then the plug was pulled.
#
# The run is started once more. At its end its scores are
#
# - `"same"`: those of a run that nobody stopped, to the last digit;
# - `"near"`: near those, for the batches were drawn anew;
# - `"worse"`: worse, for the optimiser lost its state.

# %%
bet = ""  # yours: "same", "near" or "worse"

# %% [markdown]
# ## Start, stop, resume
#
# The same call resumes the run. Beside it we train one that nobody stops:

# %%
run = fit(data, config, out, source=source, quiet=True)
whole = run  # a run of yours is not made twice
if not EXPERIMENT:
    whole = fit(data, config, folder / "whole", source=source, quiet=True)

print(f"Your bet: {bet}." if bet else "No bet.")
print("the same scores:", run.metrics["test"] == whole.metrics["test"])
old, new = (one.model.state_dict() for one in (whole, run))
print("the same weights:", all(torch.equal(old[key], new[key]) for key in old))

# %% tags=["remove-cell"]
assert run.metrics["test"] == whole.metrics["test"]

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"image": {"alt": "The curve of a run that nobody stopped. Crosses, the epochs of the run that was stopped and resumed, lie on it from the first to the last."}}
both = {"never stopped": whole.history, "resumed": run.history}
resumed_run(both, epochs, pulled=None if EXPERIMENT else len(before))

# %% [markdown]
# **Figure 8.2.** The resumed run lies on the one that was never stopped.
#
# The same, to the last bit. After each epoch `fit` writes a checkpoint with the weights and the state of the optimiser.
# And no epoch needs the random numbers of the one before: its batches and its flips come from a generator that is
# seeded by seed, stage and epoch. So
#
# - **start** a run by `fit`, or in a shell by `l2rclip fit … --out runs/mine`;
# - **stop** it by Ctrl-C. A crash or a power cut does no more harm;
# - **resume** it by the same call with the same directory. A finished run is only loaded.
#
# The directory holds one run. Other settings or other data are refused:

# %%
try:
    fit(data, replace(config, lr1=0.01), out, source=source, quiet=True)
except InputError as error:
    print(str(error).replace(f"{folder}/", ""))

# %% [markdown]
# Device, threads and worker processes do not count as settings. [Chapter 18](18_reliability.ipynb) kills runs at worse
# moments.
#
# ## Three parameters
#
# `PROFILE` says how much, `EXPERIMENT` names a file with data set, towers and settings, and `OPTIONS` overrides it.
# This file ran here:

# %% tags=["hide-input"]
shown = {key: value for key, value in options.items() if key != "published"}
print(*[f"{key}: {value}" for key, value in shown.items()], sep="\n")

# %% [markdown]
# Names are those of `l2rclip fit`, with `_` for `-`. A file may add `baselines`, trained after the run, `published`,
# results to print beside yours, and `data_seed`. See [all settings](hyperparameters.md) and [all data
# sets](16_data_sets.ipynb).
#
# `experiments/` has a file for each benchmark of the paper, and `csv.yaml` for your own images.
# [papermill](https://papermill.readthedocs.io) sets the parameters of a notebook, runs it, and keeps the executed copy:
# the log of the run.
#
# ```bash
# papermill book/08_training_runs.ipynb log.ipynb -p EXPERIMENT experiments/adience.yaml \
#   -y "OPTIONS: {root: /data/adience, out: runs, fold: 0, seed: 0}"
# ```
#
# `OPTIONS` go over those of the file: where the images are, where the run shall be kept, which fold, which seed. Try
# every command with `-p PROFILE smoke` first. Then towers, images and epochs are tiny, whatever the file says, and a
# misspelt option shows in seconds.
#
# ## Look before you train
#
# How many images has each rank, may you use them, and does training share anything with the test?

# %% tags=["nbval-ignore-output"]
print(pd.DataFrame({s: data.counts(s) for s in ("train", "val", "test")}).T)
print("Licence:", data.card.licence, "| May be used for:", data.card.terms)
shared = {key: n for key, n in leakage(data).items() if "shared" in key}
print(pd.Series(shared, dtype=object).to_string())

# %% [markdown]
# A number that is not 0 is *leakage*: a file, or somebody who is shown, on both sides. `None` is unknown.
#
# ## Is it any good?
#
# A score needs something simpler beside it, with the same towers, data and split. The baselines stand in a file
# beside the run, so an interrupted page keeps those that it has:


# %%
def baseline_scores() -> dict[str, dict]:
    """Return the scores of the baselines; train those that are missing."""
    file = out / "baselines.json"
    stored = read_json(file) if file.exists() else {}
    for method in options["baselines"]:
        if method not in stored:
            answers = run_baseline(method, data, config)
            scores = judge(answers, data.test, data.ranks, intervals=True)
            stored[method] = scores
            write_json(file, stored)
    return stored


scores = {"L2RCLIP": run.metrics["test"]} | baseline_scores()
scores["median rank"] = run.metrics["median_rank"]

# %% tags=["hide-input", "nbval-ignore-output"]
columns = {
    "rps": "RPS",
    "mae": f"MAE ({data.ranks.unit})",
    "accuracy": "accuracy",
}
if data.test.deviations:
    columns["epsilon_error"] = "ε-error"


def cell(row: dict[str, float], key: str) -> str:
    """Write a score with its 95 % interval, or with its published deviation."""
    if f"{key}_low" in row:
        low, high = row[f"{key}_low"], row[f"{key}_high"]
        return f"{row[key]:.2f} [{low:.2f}, {high:.2f}]"
    deviation = f" ± {row[f'{key}_sd']:g}" if f"{key}_sd" in row else ""
    return f"{row[key]:.3g}{deviation}" if key in row else "–"


quoted = {f"published: {row['method']}": row for row in options["published"]}
rows = [
    [title, *(cell(row, key) for key in columns)]
    for title, row in (scores | quoted).items()
]
Markdown(markdown_table(["test images", *columns.values()], rows))

# %% [markdown]
# Lower RPS and MAE are better. Brackets are intervals over test images; they say nothing about another seed. The row
# **linear-probe** is logistic regression on the features of the frozen tower; **median rank** looks at no image.
# Where L2RCLIP is clearly ahead of **linear-probe**, tuning paid. Where they are level, take logistic regression, or
# get more images. `l2rclip report` writes one HTML page about a run, with its worst images and with signs of failure.
#
# ## A series of runs
#
# One number is not a result. A loop makes a series, and each file in `experiments/` has its own at the top:
#
# ```bash
# for fold in 0 1 2 3 4; do for seed in 0 1 2; do
#   papermill book/08_training_runs.ipynb log-$fold-$seed.ipynb \
#     -p EXPERIMENT experiments/adience.yaml \
#     -y "OPTIONS: {root: /data/adience, out: runs, fold: $fold, seed: $seed}"
# done; done
# ```
#
# Runs of other data, folds and seeds have other names, so they share a folder. Each log sums up what is finished there:

# %% tags=["nbval-ignore-output"]
rows = []
stem, fold, _ = name.partition("_fold")
pattern = f"{stem}{fold}*" if fold else stem
for file in folder.glob(f"{pattern}_seed*/metrics.json"):
    of_run = {"L2RCLIP": read_json(file)["test"]}
    others = file.with_name("baselines.json")
    of_run |= read_json(others) if others.exists() else {}
    for method, row in of_run.items():
        rows.append({"run": file.parent.name, "method": method} | row)

runs = pd.DataFrame(rows)
means = runs.groupby("method")[["rps", "mae", "accuracy"]]
summary = means.agg(["count", "mean", "std"]).round(3).astype(object)
print(summary.fillna("–").T.unstack())
print("no run yet of folds:", training_runs.missing_folds(options, runs["run"]))

# %% [markdown]
# Say over what a deviation is. Over *seeds* it shows how much the start matters, over *folds* also the luck of the
# split. Logistic regression has no random start. Its deviation over seeds is 0, and it is no more certain for that.
#
# ## On a GPU, and on several
#
# - `device: auto`, the default, takes a GPU if there is one; `cuda` refuses to start without.
# - `precision: bf16` runs the image tower in 16 bits, and keeps losses and text features in 32.
# - **Several GPUs**: let Accelerate start the command below, `accelerate launch -m l2rclip_lite fit …`. Stage 2 then
#   splits each step among the processes. `batch_size` counts per process: four GPUs with 16 images each take steps of
#   64. A page with the same `out` afterwards reads the finished run.
# - **Not tried here**: no GPU was at hand. Several processes were tested on a CPU.
#
# The run of this page as a command:

# %% tags=["hide-input"]
print(
    f"l2rclip fit {training_runs.command_line(options)} --out runs/{out.name}"
)

# %% [markdown]
# ## What a run costs
#
# Adience has 11,289 training images of faces. Its file tunes ViT-B/16, the tower of the paper, for 60 epochs, once
# for L2RCLIP and once for a linear head under cross-entropy. You rent an A100 for 2 an hour, in your currency. What
# does the run cost?

# %%
bet = ""  # yours: "0.02", "2" or "200"

# %% [markdown]
# ViT-B/16 sees an image as 197 tokens of width $d=768$ in 12 layers. A layer has $12d^2$ weights, each used once per
# token, and two attention products of $197^2 d$. In front, 196 patches are embedded. A multiplication with its
# addition is two operations, so one image costs
#
# $$
# F = 2 \left( 12 \left( 12\, d^2 \cdot 197 + 2 \cdot 197^2\, d \right) + 196\, d^2 \right) \approx 35\ \text{GFLOP} \tag{8.1}
# $$
#
# forward, and three times that in training: backward has two products for each one of forward. With $n$, $v$, $m$
# images in training, validation and test, $E$ epochs and $c$ methods that tune the tower, a run costs
#
# $$
# C = F \left( c\,E\,(3n + v) + 2\,(n + v + m) \right). \tag{8.2}
# $$
#
# The last term bounds what is encoded without training. The text tower adds a few percent, left out here.


# %%
def cost(n: int, v: int, m: int, epochs: int, methods: int = 2) -> float:
    """Return the operations of a run that tunes ViT-B/16: C above."""
    trained = methods * epochs * (3 * n + v)
    encoded = 2 * (n + v + m)
    return training_runs.FORWARD * (trained + encoded)


RATES = {"A100, bf16": 50e12, "T4": 4e12, "2 CPU cores": 0.13e12}  # a second
PRICE = 2.0  # of an hour of an A100
hours = cost(n=11_289, v=1_804, m=4_377, epochs=60) / RATES["A100, bf16"] / 3600

print(f"Your bet: {bet}." if bet else "No bet.")
print(f"{hours:.1f} hours cost {hours * PRICE:.2f}")

# %% [markdown]
# About 2. Rates are operations per second. For the A100 a sixth of its peak is assumed, for small batches; for the
# T4, which Colab lends and which has no bf16 units, half of its peak in fp32. The cores were measured. What costs is
# the series: five folds, three seeds, and every setting that you try. Here is one run with the paper's tower, for a
# small, a middling and a large file of `experiments/`:

# %% tags=["hide-input"]
counts = find_result("data_sets.csv")
table = []
if counts:
    home = counts.absolute().parents[2] / "experiments"
    for stem in ("hci", "adience", "morph_random"):
        wanted = training_runs.read_file(home / f"{stem}.yaml")
        images = training_runs.images_of(wanted, pd.read_csv(counts))
        work = cost(*images, wanted["epochs2"])
        times = [training_runs.span(work / rate) for rate in RATES.values()]
        price = work / RATES["A100, bf16"] / 3600 * PRICE
        table.append([stem, f"{images[0]:,}", *times, f"{price:.2f}"])
head = ["experiment", "training images", *RATES, "price"]
Markdown(markdown_table(head, table, numbers=True))

# %% [markdown]
# The paper's tower needs a GPU; on two cores take `mini`.
#
# **Memory.** Main memory holds each image once, resized, as bytes, up to two gigabytes a split; beyond that,
# images are decoded anew in every epoch, by as many processes as `workers` says. The GPU holds weights, gradients and
# two moments of Adam, 16 bytes per parameter, and the activations of a batch. When it runs out:
#
# | what to do | what it changes |
# |---|---|
# | `precision: bf16` | the last digits |
# | `micro_batch_size: 8` | nothing: the step stays the same, and takes a third longer |
# | `batch_size: 8` | the run: more and noisier steps. Say so beside the result |
# | `image_size: 160` | the run: fewer tokens, less detail |
# | `image_side: kernel` | the method: the image tower stays frozen, stage 2 takes seconds |
#
# ## Exercises
#
# **1. Your own file.** Write an experiment on your own images: the data set `csv` with the ranks *fresh, ripe,
# overripe*, a sentence about bananas, batches of 8 images, a learning rate of one thousandth in stage 1, and the
# baselines `ridge` and `cross-entropy`. The check loads a folder of bananas with your options.

# %% tags=["hide-input"]
BANANAS = ("fresh", "ripe", "overripe")


def check_file(text: str) -> str:
    """Judge the text of an experiment, by a folder of bananas."""
    place = Path(tempfile.mkdtemp())
    Path(place, "mine.yaml").write_text(text)
    table = pd.DataFrame({"path": [f"{n}.jpg" for n in range(9)]})
    table["label"] = BANANAS * 3
    table.to_csv(place / "labels.csv", index=False)
    for path in table["path"]:
        Path(place, path).touch()
    try:
        mine = training_runs.read_experiment(
            "full", str(place / "mine.yaml"), {"root": place}
        )
        config = Config(**training_runs.settings_of(mine))
        check_baselines(mine["baselines"])
        ranks = load_dataset(**training_runs.source_of(mine)).ranks
    except (InputError, ValidationError, TypeError) as error:
        return f"not yet: {sentence(error)}"
    right = {
        "the ranks are others": ranks.names == BANANAS,
        "no sentence speaks of a banana": "banana" in ranks.sentences[0],
        "batch_size is not 8": config.batch_size == 8,
        "lr1 is not one thousandth": config.lr1 == 1e-3,
        "a baseline is missing": {"ridge", "cross-entropy"}
        <= set(mine["baselines"]),
    }
    wrong = [text for text, good in right.items() if not good]
    return f"not yet: {wrong[0]}" if wrong else "right"


# %%
FILE = """
dataset: csv
ranks: overripe,ripe,fresh
"""
print(check_file(FILE))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# ```python
# FILE = """
# dataset: csv
# ranks: fresh,ripe,overripe
# template: a photo of a {rank} banana
# batch_size: 8
# lr1: 0.001
# baselines: [ridge, cross-entropy]
# """
# ```
#
# </details>

# %% [markdown]
# **2. Seeds or images?** Predict, then run. A score varies for two reasons: other test images and another seed.
# `spread` imagines 4,000 worlds, each with test images and seeds of its own, and returns the standard deviation of
# the score over the worlds. Its two numbers are made up: 0.14 is the deviation over seeds, 0.9 that of the error of a
# single image. Predict the spread for 20 or 2,000 test images and for 1 or 100 seeds, to two decimals.


# %%
def spread(images: int, seeds: int) -> float:
    """Return how far the mean error of a batch varies over worlds."""
    draw = torch.Generator().manual_seed(0)
    of_images = 0.9 * torch.randn(4000, images, generator=draw)
    of_seeds = 0.14 * torch.randn(4000, seeds, generator=draw)
    return float((of_images.mean(1) + of_seeds.mean(1)).std())


# %% tags=["hide-input"]
WHY = {  # test images and seeds
    (20, 1): "two causes that are independent add up by their squares",
    (20, 100): "a hundred seeds are judged by the same twenty images",
    (2000, 1): "two thousand images judge one and the same training run",
    (2000, 100): "here both causes are small, and neither is zero",
}


def check_spread(mine: dict[tuple[int, int], float]) -> str:
    """Judge four predictions by imagining the worlds."""
    if not isinstance(mine, dict) or set(mine) != set(WHY):
        return f"not yet: one number each for {', '.join(map(str, WHY))}"
    for (images, seeds), why in WHY.items():
        yours, right = mine[images, seeds], spread(images, seeds)
        if not isinstance(yours, int | float):
            return f"not yet: write a number for {images, seeds}"
        if abs(yours - right) > 0.01 + right / 10:
            size = "small" if yours < right else "large"
            return f"not yet: {yours} for {images, seeds} is too {size}: {why}"
    return "right"


# %%
predicted = {(20, 1): 0.2, (20, 100): 0.02, (2000, 1): 0.02, (2000, 100): 0}
print(check_spread(predicted))  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Each cause has a variance of its own, which only its own number divides: 0.9² by the images, 0.14² by the seeds. A
# hundred seeds on twenty images leave four fifths of the spread, one seed on two thousand images more than half.
#
# ```python
# predicted = {(20, 1): 0.24, (20, 100): 0.2, (2000, 1): 0.14, (2000, 100): 0.02}
# ```
#
# </details>

# %% [markdown]
# ## Summary
#
# - The same call starts, resumes and loads a run. A run that was stopped and resumed ends with the same bits.
# - Three parameters are enough: a profile, a file for the experiment, and overrides.
# - Look at counts, licence and leakage before you train, and put a simpler method beside the result.
# - Say whether a deviation is over seeds or over folds.
# - Cost is arithmetic: images × epochs × 105 GFLOP for each method, with ViT-B/16.
# - No number of the paper was reproduced here.
#
# ## Sources
#
# The method is that of [Wang et al. (2023)](references.md). The head of each experiment says where its published
# numbers were seen and whose protocol it follows. Epochs, batch and learning rates of the ViT-B/16 files are those of
# [Li et al. (2023)](references.md). The photographs are from BRACOL ([Esgario et al., 2020](references.md)).
