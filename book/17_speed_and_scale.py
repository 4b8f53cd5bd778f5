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
# # Speed and scale: what training costs, and how it grows
#
# You have 55,134 images of 62 ranks, as many as MORPH II has, and two CPU cores. The package reads the files, encodes
# every image once with its default tower, and trains thirty epochs of stage 1 and ten of stage 2. **Which of the four
# will you wait for? And what changes with a million images?** Decide, then look: the dotted line is where MORPH II
# stands.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: tiny towers; page and full: as shown
RESULTS = ""  # folder of another speed.json; empty: the one of the book
EPOCHS1 = 30  # of stage 1
EPOCHS2 = 10  # of stage 2
FILES_PER_SECOND = 2000  # small files that the storage opens
GPU_TFLOPS = 312.0  # dense bf16 peak of the GPU on paper: NVIDIA's A100
GPU_SHARE = 0.4  # share of that peak that training reaches: an assumption

# %% tags=["hide-input"]
import json
import logging
from math import nan

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from l2rclip_book.plots import COLOURS, style
from l2rclip_book.results import find_result, markdown_table
from l2rclip_lite import Ranks, load_towers
from l2rclip_lite.data.images import IN_MEMORY
from l2rclip_lite.training_data import MAX_PAIRED, MAX_STEPS

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

logging.disable(logging.WARNING)  # open_clip warns of weights that are random
MORPH = 55_134
file = find_result("speed.json", RESULTS)
rows = {}
if file is None:
    print("There is no speed.json here: this page counts, and has no times.")
else:
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    print("Times were measured on:", *{row["machine"] for row in rows.values()})


def seconds(name: str) -> float:
    """Seconds that the row of `make bench` has; not a number without it."""
    return rows[name]["detail"]["seconds"] if rows else nan


DECODED = rows["decode"]["value"] if rows else nan  # a second, by one process


def hours(n: float) -> dict[str, float]:
    """Hours of each part of a run with mini on the measured machine."""
    texts = seconds("stage1-ranks")["62"] if rows else nan
    per_image = seconds("stage1-batch") - texts / 6250
    batch = np.clip(n / MAX_STEPS, 16, MAX_PAIRED)  # of stage 1, by default
    parts = {
        "read the files": n / DECODED / 2,
        "image features": n * seconds("inference") / 96,
        "stage 1": EPOCHS1 * n * (texts / batch + per_image),
        "stage 2": EPOCHS2 * n * seconds("stage2-mini") / 16,
    }
    return {part: work / 3600 for part, work in parts.items()}


# %% mystnb={"image": {"alt": "Hours against the number of images, both axes logarithmic, from a thousand to ten million images. Four lines: stage 2 leaves all others behind, at six hours for MORPH II and a hundred for a million. Image features and reading the files run parallel to it, lower by a factor of fifty and three hundred. Stage 1 is flat at a tenth of an hour up to some ten thousand images and rises beyond them, below the image features."}} tags=["hide-input"]
n = np.logspace(3, 7, 41)
with style():
    figure, axis = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    lines = pd.DataFrame(hours(n), index=n)
    sns.lineplot(lines, dashes=False, palette="colorblind", ax=axis)
    axis.axvline(MORPH, linestyle=":", color=COLOURS["reference"])
    for at, word in {1: "an hour", 24: "a day", 720: "a month"}.items():
        axis.axhline(at, color=COLOURS["reference"], linewidth=0.6)
        axis.text(1e3, at * 1.15, word)
    axis.set(xscale="log", yscale="log", xlabel="images", ylabel="hours")
plt.show()

# %% [markdown]
# **Figure 17.1.** Hours of a run with `mini` and 62 ranks on two CPU cores, by its parts. Each line is drawn from a
# measured time of one step or one image. Images that do not fit in memory are decoded again in every epoch of stage 2;
# this is left out. Dotted: the 55,134 images of MORPH II.
#
# **You need.** The two stages and what is frozen in each ([chapter 2](02_your_own_images.ipynb)), forward and backward
# passes, logarithmic axes.
#
# **Time and hardware.** Operations are counted live; they are the same on every machine. Times are read from
# `book/results/speed.json`, which `make bench` makes; without it the page counts only. No GPU is needed.
#
# ## What you wait for
#
# You wait for stage 2. Stage 1 trains three times as many epochs and still hardly shows, because it never sees
# an image again: its images are encoded once, and what it computes in a step is 62 sentences. From some hundred images
# on it does not even grow with their number, since an epoch of stage 1 then has 32 steps. Only beyond 65,536 images,
# where a step would hold more than 2,048, does it take more steps. With a thousand images those 32 steps are many:
# there stage 1 takes as long as stage 2, and fewer epochs of it are worth a try.
#
# So there are two kinds of runs, and this is what they cost for MORPH II:

# %% tags=["hide-input"]
parts = hours(MORPH)
tuned = sum(parts.values())
frozen = tuned - parts["stage 2"]
head = rows["kernel-morph"]["value"] / 3600 if rows else nan
print(f"the tower stays frozen:     {60 * (frozen + head):5.0f} minutes")
print(f"the tower is tuned, too:    {60 * tuned:5.0f} minutes")

# %% [markdown]
# Start with a frozen tower. It costs minutes, and it says what the next hours must beat. Its head is chosen in about a
# minute; the row of the kernel head in the last table has the time.
#
# ## The formula
#
# Other towers have other costs, so count. Let $f_I$ be the operations of the image tower for one image, forward, and
# $f_T$ those of the text tower for one sentence. Where weights learn, a backward pass costs two forward passes, because
# it computes the gradients of the weights and those of the inputs. Where gradients only pass through, it costs one.
# With $N$ images, $K$ ranks, batches of $B$ in stage 1, and $E_1$ and $E_2$ epochs, the two stages take
#
# $$
# C = \underbrace{N f_I}_{\text{features, once}}
#   + \underbrace{E_1 \tfrac{N}{B}\, 2K f_T}_{\text{stage 1}}
#   + \underbrace{K f_T}_{\text{texts, once}}
#   + \underbrace{3 E_2 N f_I}_{\text{stage 2}} \tag{17.1}
# $$
#
# operations, where a multiplication and an addition count as two. RankFormer, losses and optimiser are left out. A
# one-stage scheme that encodes every prompt in every step, as OrdinalCLIP ([Li et al., 2022](references.md)) does,
# takes
#
# $$
# C_{\text{one}} = E_2 \Bigl( 3 N f_I + \tfrac{N}{B}\, 2K f_T \Bigr) . \tag{17.2}
# $$
#
# Stage 1 pays for the image side once, stage 2 for the text side. In code:


# %%
def cost(f, n, ranks=62, batch=16):
    """Return the terms of both schemes, in operations."""
    texts = n / batch * 2 * ranks * f["sentence"]  # per epoch
    return {
        "features, once": n * f["image"],
        "stage 1": EPOCHS1 * texts,
        "texts, once": ranks * f["sentence"],
        "stage 2": 3 * EPOCHS2 * n * f["image"],
        "one-stage scheme": EPOCHS2 * (3 * n * f["image"] + texts),
    }


# %% [markdown]
# The two costs $f_I$ and $f_T$ can be counted without a clock: torch notes the shape of every matrix product and
# convolution. Here they are in billions, for `mini` and for a CLIP.


# %% tags=["hide-input"]
def count(call) -> float:
    """Billions of operations; a multiplication and an addition are two."""
    plain = sdpa_kernel(SDPBackend.MATH)  # fused attention is not counted
    with plain, FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e9


def operations(name: str) -> dict[str, float]:
    """Operations of an image and of a sentence."""
    towers = load_towers(name)
    for part, parameter in towers.named_parameters():
        parameter.requires_grad_(part.startswith("image."))
    pixels = torch.zeros(1, 3, towers.image_size, towers.image_size)
    ages = Ranks.integers(16, 77, template="a photo of a {rank} years old face")
    tokens = towers.tokenize(ages.sentences, template=ages.template)
    words = towers.embed(tokens.ids).requires_grad_()

    def read() -> torch.Tensor:
        return towers.encode_embeddings(words, tokens).sum()

    return {
        "image": count(lambda: towers.encode_image(pixels)),
        "sentence": count(read) / 62,
        "sentence, with gradients": count(lambda: read().backward()) / 62,
    }


NAMES = ["mini", "ViT-B-16/random"] if PROFILE != "smoke" else ["tiny/random"]
counted = {name: operations(name) for name in NAMES}
last = counted[NAMES[-1]]
pd.DataFrame(counted).round(3)

# %% [markdown]
# Gradients that only pass through a sentence double its cost, as the formula has it. An image of the CLIP costs as much
# as forty of its sentences; an image of `mini`, whose convolutions are cheap, only as much as three. So what do texts
# add? The table has it in percent of stage 2, with 55,134 images, for numbers of ranks and sizes of the batch.

# %% tags=["hide-input"]
table = {}
for name, f in counted.items():
    for epochs, batch, title in (
        (EPOCHS2, 16, "one stage, 16 images per step"),
        (EPOCHS1, 16, "two stages, 16 images per step"),
        (EPOCHS1, 256, "two stages, 256 images per step"),
        (EPOCHS1, MORPH / MAX_STEPS, "two stages, 32 steps (default)"),
    ):
        table[name, title] = {
            f"{k} ranks": 100
            * epochs
            / EPOCHS1
            * terms["stage 1"]
            / terms["stage 2"]
            for k in (5, 62, 620)
            for terms in [cost(f, MORPH, k, batch)]
        }
display(pd.DataFrame(table).T.round(1))
timed = 100 * (rows["ordinalclip"]["value"] - 1) if rows else nan
print(f"mini, one stage, 16 images per step, 62 ranks, timed: {timed:.1f}")

# %% [markdown]
# The last line is by the clock, from the last table of this page: there an operation on a sentence takes less time than
# one on an image, so texts add less than the count says.
#
# Two stages are not cheaper by themselves. With 16 images per step and thirty epochs of stage 1 they cost three times
# as much for texts as one stage with ten epochs. They are cheaper because stage 1 may take few, large steps: its
# features are cached, and texts are encoded once per step, not once per image. With the default only hundreds of ranks
# and a small tower let stage 1 show at all.
#
# ## What a GPU brings
#
# No GPU was measured for this page. What follows is (17.1) divided by an assumed share of the published peak of a card;
# [chapter 8](08_training_runs.ipynb) assumes less, for small batches. Both numbers are in the parameters cell. The
# table has hours.


# %% tags=["hide-input"]
GPU = GPU_TFLOPS * 1e3 * GPU_SHARE  # billions of operations a second


def two_digits(value: float) -> str:
    """Round a number, and write it out."""
    return f"{float(f'{value:.2g}'):,.10g}"


def gpu_hours(n: float) -> float:
    """Hours on paper."""
    terms = cost(last, n, batch=256)
    return (sum(terms.values()) - terms["one-stage scheme"]) / GPU / 3600


table = {
    f"{n:,} images": {
        "mini without stage 2, two CPU cores": sum(hours(n).values())
        - hours(n)["stage 2"],
        "mini, two CPU cores": sum(hours(n).values()),
        f"{NAMES[-1]}, one GPU on paper": gpu_hours(n),
    }
    for n in (MORPH, 10**6, 10**8)
}
display(pd.DataFrame(table).T.map(two_digits))
print(f"The GPU trains on {GPU / 3 / last['image']:,.0f} images a second.")
print(f"One process decodes and resizes {DECODED:,.0f} a second.")

# %% [markdown]
# On paper the GPU tunes a CLIP, whose images cost some forty-five times as much, in less time than two cores need for
# `mini` without stage 2. But look at the last two lines: in training it is faster than one process that reads images.
# Images that do not fit in memory are decoded again in every epoch, and those of MORPH II do not. So give such a run
# several processes, with `--workers`, or the GPU waits.
#
# ## What runs out first
#
# From how many images on does something reach its limit?

# %%
per_image = (sum(hours(2e6).values()) - sum(hours(1e6).values())) / 1e6
limits = {
    "resized images fill what the package keeps": IN_MEMORY / (3 * 224**2),
    "tuning mini takes a day on two cores": 24 / per_image,
    "tuning the CLIP takes a day on the GPU": 24 / gpu_hours(1),
    "opening the files takes a day": 24 * 3600 * FILES_PER_SECOND / EPOCHS2,
}
pd.Series(limits, name="images").map(two_digits)

# %% [markdown]
# | what ends | what takes over | in this package |
# |---|---|---|
# | memory | images are decoded again in every epoch, by processes that work ahead of the tower | `--workers` |
# | one GPU | several, each with its part of every batch | `accelerate launch -m l2rclip_lite fit` |
# | one process on CPUs | several | `torchrun --nproc-per-node 2 -m l2rclip_lite fit … --device cpu` |
# | a run that was killed | features on disk, in pieces | `--cache`, or the run itself |
# | plain files | tar files of thousands of images, as [WebDataset](https://github.com/webdataset/webdataset) has | no |
#
# A formula of operations knows nothing of the network between machines, so many GPUs will be slower than it says. The
# package was never run on a hundred million images. And nobody should train thirty epochs on so many: one or two passes
# are usual, so set `EPOCHS1` and `EPOCHS2` first.
#
# ## Measured against its targets
#
# `make bench` measures a list of quantities, `make bench ONLY=stage2-mini` one of them. Nothing else should run
# meanwhile. Two things that are compared are timed in turns in one process, so that a busy moment of the machine hits
# both, and a ratio is that of two medians. The bare image tower is a fair opponent: it gets the same batch, already
# normalised, with the same frozen BatchNorm layers, precision and threads. It gets no loss, no optimiser and no
# augmentation. All of these count against the package.

# %% tags=["hide-input"]
lines = []
for row in rows.values():
    sign = {"at most": "≤", "at least": "≥"}.get(row["direction"])
    target = f"{sign} {row['target']:.4g} {row['unit']}" if sign else "–"
    verdict = {True: "met", False: "missed"}.get(row["met"], "")
    value = f"{row['value']:.4g} {row['unit']}"
    lines.append((row["what"], target, value, verdict))
Markdown(markdown_table(["what", "target", "measured", ""], lines))

# %% [markdown]
# Three targets were missed, each by a few percent or less. The first: from 62 to 620 ranks a step of stage 1 grows a
# little faster than the ranks. A likely cause is attention along the rank axis, which compares every rank with every
# other. The second: inference is slower than the bare tower. The third is a target of the method and not of the code: a
# step of the one-stage scheme should cost at least half as much again as one of stage 2.
#
# Reading a list of a million rows has a limit in seconds, too.
#
# ## Exercises
#
# **1. When do texts cost as much as images?** Take the counts of the larger tower, `last["sentence"]` and
# `last["image"]`, and batches of 16. For which number of ranks does a step of the one-stage scheme, (17.2), cost twice
# a step of stage 2?


# %%
def check_ranks(ranks: float) -> str:
    """Compare the text side and the image side of a step."""
    texts, images = 2 * ranks * last["sentence"], 16 * 3 * last["image"]
    if abs(texts / images - 1) < 0.02:
        return "right: the texts cost as much as the images"
    return f"not yet: the texts cost {texts / images:.2f} of the images"


print(check_ranks(62))  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Set $2K f_T = 3 B f_I$ and solve for $K$.
#
# </details>

# %% tags=["hide-cell"]
print(check_ranks(16 * 3 * last["image"] / (2 * last["sentence"])))

# %% [markdown]
# **2. Twice as much.** Predict, then run. By which factor does the cost of stage 1 change with twice as many images,
# where an epoch keeps its 32 steps? With twice as many ranks and the same batch? With twice as many ranks and twice the
# batch, where the number of images stays?


# %%
def check_factors(images: float, ranks: float, both: float) -> str:
    """Compare with `cost`."""
    once = cost(last, 1024, 62, 32)["stage 1"]
    for mine, changed, hint in (
        (images, (2048, 62, 64), "images: their features wait in the cache"),
        (ranks, (1024, 124, 32), "ranks: each step reads all sentences"),
        (both, (1024, 124, 64), "both: how many steps has an epoch now?"),
    ):
        if abs(mine - cost(last, *changed)["stage 1"] / once) > 0.01:
            return f"not yet: {hint}"
    return "right"


print(check_factors(images=2, ranks=2, both=4))  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Only $\tfrac{N}{B}\,2K$ counts, the steps times the sentences. Twice the images in as many steps cost the same. Twice
# the ranks cost twice as much. Twice the ranks in half as many steps cost the same again.
#
# </details>

# %% tags=["hide-cell"]
print(check_factors(images=1, ranks=2, both=1))

# %% tags=["remove-cell"]
for f in counted.values():  # what the text says of the counts
    assert abs(f["sentence, with gradients"] / f["sentence"] - 2) < 0.1

# %% [markdown]
# ## Summary
#
# - You wait for stage 2. A frozen tower takes minutes, a tuned one hours.
# - Stage 1 never sees an image again after its features, stage 2 never a text. So stage 1 pays only for texts, stage 2
#   only for images.
# - Two stages are cheaper than one because stage 1 takes few, large steps. With many small steps they cost more.
# - As images grow in number, first the package stops keeping them in memory, then a run takes too long, then opening
#   files does. Each has its own remedy.
#
# ## Sources
#
# The method: [Wang et al. (2023)](references.md); the one-stage scheme: [Li et al. (2022)](references.md); towers:
# [Tan and Le (2019)](references.md), [Wang et al. (2020)](references.md), [Radford et al. (2021)](references.md). The
# peak in the parameters cell is that of NVIDIA's data sheet of the A100.
