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
# A method that trains an image tower cannot cost less than the image tower. At one learning rate and with many images L2RCLIP
# should cost little more (on the small sets of [chapter 9](09_does_it_help.ipynb) it took at most a little more than
# twice as long): its images are encoded once for stage 1, its texts once for stage 2. This appendix counts the
# operations of both stages, and works out what a run takes with the 55,134 images of MORPH II, with a million and with
# a hundred million. Where somebody has run `make bench`, it also compares measured times with their targets.
#
# **You need.** The two stages and what is frozen in each ([chapter 2](02_two_stages.ipynb)), forward and backward
# passes, logarithmic axes.
#
# **Time and hardware.** Operations are counted live; they are the same on every machine. Times are read from
# `book/results/speed.json`, which `make bench` makes; without it the page counts only. No GPU is needed.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: tiny towers; page and full: as shown
RESULTS = ""  # a results file of tools/bench; empty: the one of the book
EPOCHS1 = 30  # of stage 1, for the run on paper
EPOCHS2 = 10  # of stage 2
MEMORY_GIB = 24  # of the machine on paper
PATIENCE_HOURS = 24  # the longest run that one machine should do alone
FILES_PER_SECOND = 2000  # small files that the storage opens
ROW_BYTES = 300  # what Python keeps per row of a list: path, label, subject
GPU_TFLOPS = 312.0  # dense bf16 peak of the GPU on paper: NVIDIA's A100
GPU_SHARE = 0.4  # share of that peak that training reaches: an assumption

# %% tags=["hide-input"]
import json
import logging
import math
import textwrap
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from l2rclip_book.plots import COLOURS, GRID, WIDTH, style
from l2rclip_book.results import markdown_table
from l2rclip_lite import Ranks, load_towers
from l2rclip_lite.data.images import IN_MEMORY
from l2rclip_lite.method.losses import ordinal_pairwise_loss

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

logging.disable(logging.WARNING)  # open_clip warns of weights that are random
torch.set_num_threads(1)
NAMES = {"smoke": ["tiny/random"]}.get(PROFILE, ["mini", "ViT-B-16/random"])
ages = Ranks.integers(16, 77, template="a photo of a {rank} years old face")
paths = [Path("results/speed.json"), Path("book/results/speed.json")]
paths = [Path(RESULTS)] if RESULTS else paths
file = next((path for path in paths if path.is_file()), None)
rows = json.loads(file.read_text(encoding="utf-8"))["rows"] if file else {}
if rows:
    print(
        "Times on this page are from the results file of `make bench`, measured on:"
    )
    print(*sorted({row["machine"] for row in rows.values()}), sep="\n")
else:
    print(
        "There is no book/results/speed.json here: nothing on this page was timed.\n"
        "It shows what can be counted. `make bench` measures the rest."
    )


def listed(words: list[str]) -> str:
    """Words in a sentence."""
    return "; ".join(words) or "none"


# %% tags=["hide-input"]
def count(call: Callable[[], object]) -> int:
    """Floating-point operations; a multiplication and an addition are two."""
    plain = sdpa_kernel(SDPBackend.MATH)  # fused attention is not counted
    with plain, FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def operations(name: str) -> dict[str, float]:
    """Count the operations of an image, a sentence, and the losses of a batch."""
    towers = load_towers(name)
    for part, parameter in towers.named_parameters():
        parameter.requires_grad_(part.startswith("image."))
    pixels = torch.zeros(1, 3, towers.image_size, towers.image_size)
    tokens = towers.tokenize(ages.sentences, template=ages.template)
    words = towers.embed(tokens.ids).detach().requires_grad_()
    z = F.normalize(torch.ones(16, towers.dim), dim=1)
    t = F.normalize(torch.eye(62, towers.dim), dim=1)
    target = torch.arange(16)

    def see() -> torch.Tensor:
        return towers.encode_image(pixels).sum()

    def read() -> torch.Tensor:
        return towers.encode_embeddings(words, tokens).sum()

    def losses() -> torch.Tensor:
        order = ordinal_pairwise_loss(z, t, target, ages.values_tensor())
        return F.cross_entropy(z @ t.T, target) + order

    convolutions = [
        m for m in towers.image.modules() if isinstance(m, torch.nn.Conv2d)
    ]
    return {
        "image": count(see),
        "sentence": count(read) / 62,
        "losses": count(losses),
        "image, back": count(lambda: torch.autograd.backward(see())),
        "sentence, back": count(lambda: torch.autograd.backward(read())) / 62,
        "grouped": any(layer.groups > 1 for layer in convolutions),
    }


counted = {name: operations(name) for name in NAMES}

# %% mystnb={"image": {"alt": "Horizontal bars for a step of stage 1, a step of stage 2 and a step of a one-stage scheme, in two panels for 5 and for 62 ranks, and in two colours for two pairs of towers. Stage 2 is 1 everywhere. With 5 ranks stage 1 hardly shows. With 62 ranks and small towers it is most of a step of the image tower, and the one-stage scheme nearly two."}} tags=["hide-input"]
bars = []
for name, f in counted.items():
    for ranks in (5, 62):
        images = 16 * 3 * f["image"]
        texts = 2 * ranks * f["sentence"]
        losses = 2 * f["losses"] * ranks / 62
        for step, work in (
            ("stage 1", texts + losses),
            ("stage 2", images + losses),
            ("one-stage scheme", images + texts + losses),
        ):
            bars.append((name, f"{ranks} ranks", step, work / images))
bars = pd.DataFrame(bars, columns=["towers", "number", "step", "work"])
with style():
    grid = sns.catplot(
        bars, kind="bar", x="work", y="step", hue="towers", col="number",
        height=2.2, aspect=1.5, palette=[COLOURS["stage 2"], COLOURS["stage 1"]][: len(NAMES)],
    )  # fmt: skip
    grid.refline(x=1, color=COLOURS["ink"], linewidth=1)
    grid.set_titles("{col_name}").set_axis_labels("image tower alone = 1", "")
plt.show()

# %% [markdown]
# **Figure 18.1.** Operations per step with 16 images, divided by those of training the image tower alone (the line at
# 1). A step of stage 2 costs hardly more than the tower alone; a step of stage 1 costs its texts; a one-stage step
# costs both.
#
# ## The formula
#
# Let $f_I$ be the operations of the image tower for one image, forward, and $f_T$ those of the text tower for one sentence. Where
# weights learn, a backward pass costs two forward passes, because it computes the gradients of the weights and those of the
# inputs. Where gradients only pass through, it costs one. With $N$ images, $K$ ranks, batches of $B$, and $E_1$ and $E_2$
# epochs, the two stages take
#
# $$
# C = \underbrace{N f_I}_{\text{features, once}}
#   + \underbrace{E_1 \tfrac{N}{B}\, 2K f_T}_{\text{stage 1}}
#   + \underbrace{K f_T}_{\text{texts, once}}
#   + \underbrace{3 E_2 N f_I}_{\text{stage 2}} \tag{18.1}
# $$
#
# operations, where a multiplication and an addition count as two; $B$ is the batch of stage 1. RankFormer and the
# optimiser are left out; the losses, counted below, are negligible. A one-stage scheme that encodes every prompt in
# every step, as OrdinalCLIP ([Li et al., 2022](references.md)) does, takes
#
# $$
# C_{\text{one}} = E_2 \Bigl( 3 N f_I + \tfrac{N}{B}\, 2K f_T \Bigr) . \tag{18.2}
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
# The two costs $f_I$ and $f_T$ can be counted without a clock: torch notes the shape of every matrix product and convolution.

# %% tags=["hide-input"]
table = {}
for name, f in counted.items():
    back = f"{f['image, back'] / f['image']:.2f}"
    table[name] = {
        "an image, forward, 10⁹": f"{f['image'] / 1e9:.3f}",
        "… with backward ÷ forward": "–" if f["grouped"] else back,
        "a sentence, forward, 10⁹": f"{f['sentence'] / 1e9:.3f}",
        "… with gradients through it ÷ forward": (
            f"{f['sentence, back'] / f['sentence']:.2f}"
        ),
        "losses, 16 images, 62 ranks, 10⁹": f"{f['losses'] / 1e9:.5f}",
    }
pd.DataFrame(table)

# %% [markdown]
# The factors are those of the formula, or a little less, because the input of the first layer needs no gradient. For `mini` the
# table has none: torch's counter takes the weight gradients of its depthwise convolutions for dense ones. The losses are
# negligible. No count shows overhead: depthwise convolutions and many small operators do little arithmetic for the time they
# take.
#
# How much does stage 1 add to a run? The next table shows it as a share of stage 2, with the epochs of the parameters cell.

# %% tags=["hide-input"]
MORPH = 55_134
table = {}
for name, f in counted.items():
    for batch, title in {
        16: "16 images per step",
        256: "256 images per step",
        math.ceil(MORPH / 32): "default, 32 steps",
    }.items():
        terms = {k: cost(f, MORPH, k, batch) for k in (5, 62, 620)}
        table[name, title] = {
            f"{k} ranks": f"{t['stage 1'] / t['stage 2']:.1%}"
            for k, t in terms.items()
        }
pd.DataFrame(table)

# %% [markdown]
# Few ranks, a large image tower and large batches make stage 1 cheap: the features are cached, and texts are encoded once per
# step, not once per image. Up to 62 ranks, any one of these keeps it below a fifth of stage 2, any two near one hundredth. With
# many ranks and a small tower or small batches it is the more expensive of the two. The remedy is a larger batch, fewer epochs,
# or both. So by default an epoch of stage 1 has 32 steps, from 512 images on.
#
# Does it pay to have two stages? Compare whole runs, with the default batch of stage 1 and with 16 images, which the one-stage
# scheme has in any case:

# %% tags=["hide-input", "nbval-ignore-output"]
sentences = []
for name, f in counted.items():
    terms = cost(f, MORPH)
    few, many = (
        sum(list(each.values())[:4]) / each["stage 2"]
        for each in (cost(f, MORPH, batch=math.ceil(MORPH / 32)), terms)
    )
    sentences.append(
        f"With **{name}** and 62 ranks, in units of stage 2: two stages "
        f"{few:.2f} with the default batch and {many:.2f} with 16, the one-stage "
        f"scheme {terms['one-stage scheme'] / terms['stage 2']:.2f}. Encoding all "
        f"images once takes {terms['features, once'] / terms['stage 2']:.1%}."
    )
measured = rows.get("ordinalclip", {}).get("value")
if measured:
    sentences.append(
        "Measured in time, with mini, an epoch of the one-stage scheme takes "
        f"{measured:.3f} times as long as one of stage 2."
    )
Markdown(" ".join(sentences))

# %% [markdown]
# ## Measured against its targets
#
# Time is another matter. `make bench` measures a list of quantities, `make bench ONLY=stage2-mini` one of them, and the table
# below shows what it left, if it was run. Nothing else should run meanwhile. Two things that are compared are timed in turns in
# one process, and every other round begins with the second, so that a busy moment of the machine hits both. A ratio is the
# ratio of two medians; the spread is that of the paired ratios. Memory is the peak of a fresh process, less what its imports
# take unless a row says *imports included*.
#
# What is a fair opponent? The bare image tower gets the same batch, already normalised. Its BatchNorm layers are frozen as in
# `fit`; precision and threads are the same. It gets no loss, no optimiser and no augmentation. All of these count against the
# package, whose step is the one of the real training loop, from the end of one step to the end of the next.

# %% mystnb={"image": {"alt": "One row per measured target. A mark shows how far the value is from its target on a logarithmic axis, where left of the line at 1 is good. Colour and marker say whether the target was met. A thin line shows the spread."}} tags=["hide-input"]
WORDS = {True: "met", False: "missed", None: "no target"}


def share_of(row: dict, value: float) -> float:
    """Figure ÷ target, turned over where more is better; at least 0.02."""
    share = value / row["target"]
    return max(1 / share if row["direction"] == "at least" else share, 0.02)


measured_rows = {
    name: row for name, row in rows.items() if row["value"] is not None
}
aimed = [row for row in measured_rows.values() if row["direction"] != "none"]
if aimed:
    marks = pd.DataFrame(
        {
            "share": [share_of(row, row["value"]) for row in aimed],
            "what": [textwrap.fill(row["what"], 44) for row in aimed],
            "target": [WORDS[row["met"]] for row in aimed],
        }
    )
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, 0.42 * len(aimed) + 1))
        sns.scatterplot(
            marks, x="share", y="what", hue="target", style="target", s=70,
            hue_order=["met", "missed"], style_order=["met", "missed"],
            palette=[COLOURS["stage 1"], COLOURS["stage 2"]], ax=axis, zorder=3,
        )  # fmt: skip
        for row, mark in zip(aimed, marks.itertuples(), strict=True):
            ends = [share_of(row, row[end]) for end in ("low", "high")]
            axis.plot(ends, [mark.what] * 2, color=COLOURS["reference"])
        axis.axvline(1, color=COLOURS["ink"], linewidth=1.2)
        axis.set(xscale="log", xlim=(0.016, 10), ylabel="")
        ticks = [0.02, 0.1, 0.5, 1, 2, 10]
        axis.set_xticks(ticks, ["≤0.02", *map(str, ticks[1:])])
        axis.set_xticks([], minor=True)
        axis.set(xlabel="value ÷ target (left of the line is good)")
        axis.grid(axis="x", color=GRID)
    plt.show()
else:
    print("Nothing to draw: no row was measured.")

# %% [markdown]
# **Figure 18.2.** Each measured value divided by its target: left of the line at 1 the target is met. Where more is
# better, the ratio is inverted. Ratios below 0.02 are drawn at 0.02. Lines are the quartiles of the repeats.

# %% tags=["hide-input", "nbval-ignore-output"]
SIGN = {"at most": "≤", "at least": "≥"}


def with_unit(value: float, unit: str) -> str:
    """A figure as a reader wants it."""
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.4g} {unit}"


def cells_of(row: dict) -> tuple[str, ...]:
    """A row of the table."""
    goal = "–"
    if row["direction"] != "none":
        goal = (
            SIGN[row["direction"]] + " " + with_unit(row["target"], row["unit"])
        )
    if row["value"] is None:
        return row["what"], goal, "–", "–", f"not measured: {row['reason']}"
    value = with_unit(row["value"], row["unit"])
    spread = f"{row['low']:.3g} to {row['high']:.3g}"
    return row["what"], goal, value, spread, WORDS[row["met"]]


head = ["what", "target", "measured", "quartiles", ""]
lines = [markdown_table(head, map(cells_of, rows.values()))]
missed = [row["what"] for row in rows.values() if row["met"] is False]
loads = [row["load_before"] for row in rows.values()]
lines += ["", f"Targets that were missed: {listed(missed)}."]
if loads:
    lines[-1] += (
        " Load average of the machine when a row began, which still counts "
        f"the row before: {min(loads):.1f} to {max(loads):.1f}."
    )
Markdown("\n".join(lines) if rows else "No row was measured.")

# %% [markdown]
# From 5 to 62 ranks a step of stage 1 grows more slowly than the ranks, from there to 620 a little faster. A likely cause is
# attention along the rank axis, which compares every rank with every other.
#
# Two costs per image must not grow with the number of images: that of reading the list, and that of encoding an image (the
# features go to disk in pieces). The next figure shows both as measured, with a new process for each number of images.

# %% mystnb={"image": {"alt": "Two panels with logarithmic axes over the number of images. Left, seconds: a line for reading a list up to a million rows and a line for encoding up to two hundred thousand images, both nearly straight, drawn on as dotted lines. Right, peak memory of the process: that of encoding rises to a peak at a hundred thousand images and is low again at two hundred thousand; that of reading rises from half a gigabyte to less than one at a million rows."}} tags=["hide-input", "nbval-ignore-output"]
growth = []
for row, part, work in (
    ("lists-million", "rows", "reading the list"),
    ("encode-growth", "images", "encoding"),
):
    detail = rows.get(row, {}).get("detail", {})
    for number, cost_of in detail.get(part, {}).items():
        seconds, mib = cost_of["seconds"], cost_of["mib"]
        growth.append((work, int(number), seconds, mib))
growth = pd.DataFrame(growth, columns=["work", "images", "seconds", "MiB"])
if len(growth):
    lines = {"hue": "work", "style": "work", "markers": True, "dashes": False}
    colours = [COLOURS["stage 1"], COLOURS["stage 2"]]
    with style():
        figure, axes = plt.subplots(
            1, 2, figsize=(WIDTH, 3.2), layout="constrained"
        )
        for axis, what in zip(axes, ("seconds", "MiB"), strict=True):
            sns.lineplot(
                growth, x="images", y=what, palette=colours, ax=axis, **lines
            )
            axis.set(xscale="log")
        axes[0].set(yscale="log")
        axes[0].legend(title=None)
        axes[1].set(ylim=(0, None))
        axes[1].get_legend().remove()
        for (_, part), colour in zip(
            growth.groupby("work", sort=False), colours, strict=False
        ):
            ends = np.array([1, 10])  # ten times as many images
            last_row = part.iloc[-1]
            axes[0].plot(
                last_row["images"] * ends, last_row["seconds"] * ends, ":",
                color=colour,
            )  # fmt: skip
    plt.show()
else:
    print("Nothing to draw: no row was measured.")

# %% [markdown]
# **Figure 18.3.** Processor seconds (left) and peak memory with imports (right) against the number of images. Marks
# were measured; dotted lines are drawn on with the cost per image of the last mark. Encoding is that of tiny towers on
# files of 64 pixels, so what shows is the package and not the tower. The peak on the right comes from resized images,
# which are kept in memory as long as all of them fit.
#
# ## On paper: how far it goes
#
# Now for more images. Everything below follows from the counts, from the measured rows if there are any, and from the
# assumptions in the parameters cell. Change these and run the page again. The hours of `mini` have the default batch of
# stage 1, a 32nd of the images where that is more than 16, and leave out that images beyond the package's memory are
# decoded again in every epoch. No GPU was measured for this page: the hours on a GPU are the operations of (18.1) with
# batches of 256 in stage 1, divided by an assumed share of the published peak of a card.

# %% tags=["hide-input", "nbval-ignore-output"]
PIXELS, GIB = 3 * 224 * 224, 2**30  # bytes of a resized image; of a GiB
SIZES = {"MORPH II": MORPH, "a million": 10**6, "a hundred million": 10**8}
NEEDED = {
    "decode", "inference", "stage1-batch", "stage1-ranks", "stage2-mini",
}  # fmt: skip
timed = set(measured_rows) >= NEEDED
last = counted[NAMES[-1]]
on_paper = NAMES[-1].partition("/")[0]


def machine_hours(n: float) -> dict[str, float]:
    """Hours of each part of a run with mini on the machine of the results."""
    if not timed:
        return {}
    detail = {name: measured_rows[name]["detail"] for name in NEEDED}
    one, two = detail["inference"], detail["stage2-mini"]
    step = detail["stage1-ranks"]["seconds"]["62"]  # nearly all for its texts
    large = detail["stage1-batch"]
    per_image = large["seconds"] - step / large["many"]
    threads = measured_rows["stage2-mini"]["threads"]
    seconds = {
        "decoding once": n / measured_rows["decode"]["value"] / threads,
        "features": n * one["seconds"] / one["images"],
        # the default batch is 16, or a 32nd of the images where that is more
        "stage 1": EPOCHS1 * (min(n / 16, 32) * step + n * per_image),
        "stage 2": EPOCHS2 * n * two["seconds"] / two["batch"],
    }
    return {part: value / 3600 for part, value in seconds.items()}


def gpu_hours(n: float) -> float:
    """Hours on paper: operations ÷ (peak · share)."""
    terms = cost(last, n, batch=256)
    work = sum(v for k, v in terms.items() if k != "one-stage scheme")
    return work / (GPU_TFLOPS * 1e12 * GPU_SHARE) / 3600


def amount(value: float) -> str:
    """Two digits."""
    if value < 100:
        return f"{value:.2g}"
    return f"{round(value, 1 - int(np.log10(value))):,.0f}"


table = {}
for title, n in SIZES.items():
    column = {
        "images": f"{n:,}",
        "resized images, GiB": amount(n * PIXELS / GIB),
        "features of mini, GiB": amount(n * 4 * 384 / GIB),
        "rows of the list, GiB": amount(n * ROW_BYTES / GIB),
    }
    for part, value in machine_hours(n).items():
        column[f"mini here, {part}, hours"] = amount(value)
    column[f"{on_paper}, one GPU on paper, hours"] = amount(gpu_hours(n))
    table[title] = column
pd.DataFrame(table)

# %% [markdown]
# What runs out first? Each row has a number of images, what reaches its limit there, and the remedy.

# %% tags=["hide-input", "nbval-ignore-output"]
ENDS = {
    "memory": (
        IN_MEMORY / PIXELS,
        f"resized images fill the {IN_MEMORY // GIB} GiB that the package keeps",
        "they are decoded in every epoch, by `--workers` processes",
    ),
    "one GPU": (
        PATIENCE_HOURS / gpu_hours(1),
        f"{on_paper} takes {PATIENCE_HOURS} hours on one GPU, on paper",
        "several GPUs with `accelerate launch`",
    ),
    "plain files": (
        PATIENCE_HOURS * 3600 * FILES_PER_SECOND / EPOCHS2,
        f"opening {FILES_PER_SECOND:,} files/s takes {PATIENCE_HOURS} hours "
        f"for {EPOCHS2} epochs",
        "tar files of thousands of images, read from start to end",
    ),
    "lists": (
        MEMORY_GIB * GIB / 2 / ROW_BYTES,
        f"rows of the list fill half of {MEMORY_GIB} GiB",
        "lists and features in shards",
    ),
}
if timed:
    few, many = (sum(machine_hours(number).values()) for number in (1e4, 1e6))
    each = (many - few) / (1e6 - 1e4)  # from 512 images on hours are a line
    ENDS["one machine"] = (
        1e4 + (PATIENCE_HOURS - few) / each,
        f"a run with mini takes {PATIENCE_HOURS} hours on the measured machine",
        "several processes, or a GPU",
    )
ends = [
    (f"{amount(n)} images", because, then)
    for n, because, then in sorted(ENDS.values())
]
Markdown(markdown_table(["from", "because", "then"], ends))

# %% mystnb={"image": {"alt": "Two panels with logarithmic axes over the number of images. Left, gibibytes of resized images, of features and of list rows, with lines for what the package keeps in memory and for half of the machine's memory. Right, hours of a run, with lines at an hour, a day and a month."}} tags=["hide-input"]
n = np.logspace(3, 9, 31)
space = {"resized images": PIXELS, "features": 4 * 384, "list": ROW_BYTES}
space = pd.DataFrame({k: n * v / GIB for k, v in space.items()}, index=n)
hours = {f"{on_paper}, GPU on paper": n * gpu_hours(1)}
if timed:
    hours["mini, measured machine"] = [
        sum(machine_hours(number).values()) for number in n
    ]
hours = pd.DataFrame(hours, index=n)
with style():
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH, 3.9), layout="constrained"
    )
    for axis, lines, limits, label in (
        (
            axes[0], space,
            {IN_MEMORY / GIB: "package's limit", MEMORY_GIB / 2: "half the memory"},
            "GiB",
        ),
        (axes[1], hours, {1: "an hour", 24: "a day", 720: "a month"}, "hours"),
    ):  # fmt: skip
        sns.lineplot(lines, dashes=False, palette="colorblind", ax=axis)
        for at, word in limits.items():
            axis.axhline(at, color=COLOURS["reference"], linewidth=0.8)
            beside = axis.get_yaxis_transform()
            axis.text(
                1.02, at, word, transform=beside, va="center", fontsize=7.5
            )
        for size in SIZES.values():
            axis.axvline(
                size,
                color=COLOURS["reference"],
                linestyle=":",
                linewidth=0.8,
                zorder=0,
            )
        axis.set(xscale="log", yscale="log", xlabel="images", ylabel=label)
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
plt.show()

# %% [markdown]
# **Figure 18.4.** Space (left) and time (right) against the number of images. Dotted: MORPH II, a million, a hundred
# million. Hours on a GPU are on paper; hours on the measured machine appear where the results file is there.
#
# **Up to the memory limit** every image is decoded and resized once and stays in memory. **Beyond it** images are decoded again
# in every epoch by processes that work ahead of the tower; that costs no time as long as they keep up. **When a run takes too
# long**, the work is split over processes, each with its own part of every batch. **When there are too many files**, opening
# them is the work: images are packed into tar files of some thousands that are read from start to end, as
# [WebDataset](https://github.com/webdataset/webdataset) does, and features go into shards.
#
# | what takes over | in this package |
# |---|---|
# | decoding as needed | `--workers` |
# | several GPUs | `accelerate launch -m l2rclip_lite fit` |
# | several processes on CPUs | `torchrun --nproc-per-node 2 -m l2rclip_lite fit … --device cpu` |
# | features on disk, in pieces that a killed run goes on after | `--cache`, or the run itself |
# | tar files, shards | no |
#
# Three limits of this page. A formula of operations knows nothing of the network between machines, so many GPUs will be slower
# than it says. The package was never run on a hundred million images. And nobody should train thirty epochs on so many: one or two
# passes are usual, so set `EPOCHS1` and `EPOCHS2` first.
#
# ## Exercises
#
# **1. When do texts cost as much as images?** Take the counts of ViT-B-16, `last["sentence"]` and `last["image"]`, and
# batches of 16. For which number of ranks does a step of the one-stage scheme, (18.2), cost twice a step of stage 2?


# %% tags=["hide-input"]
def check_ranks(ranks: float) -> str:
    """Compare the text side and the image side of a step."""
    texts, images = 2 * ranks * last["sentence"], 16 * 3 * last["image"]
    if abs(texts / images - 1) < 0.02:
        return "right: the texts cost as much as the images"
    return f"not yet: the texts cost {texts / images:.2f} of the images"


def check_images(number: float) -> str:
    """Bytes in memory."""
    held = number * 3 * 112 * 112 / GIB
    right = abs(held / 32 - 1) < 0.01
    return "right" if right else f"not yet: they take {held:,.1f} GiB"


def check_checkpointed(mine: Callable[..., float]) -> str:
    """Three trained passes become four, the rest stays."""
    f = {"image": 7.0, "sentence": 3.0}
    terms = cost(f, 100)
    both = sum(v for k, v in terms.items() if k != "one-stage scheme")
    more = EPOCHS2 * 100 * f["image"]
    yours = mine(f, 100)
    hints = {
        both + more: "right",
        both: "not yet: that is the cost without recomputing",
        terms["stage 2"] + more: "not yet: stage 1 and the features count, too",
        both + 3 * more: "not yet: only the forward pass is run again",
        both
        + more
        + terms["one-stage scheme"]: "not yet: leave out the one-stage scheme",
    }
    near = [hint for value, hint in hints.items() if np.isclose(yours, value)]
    return near[0] if near else "not yet: stage 2 runs how many forwards more?"


# %%
print(check_ranks(62))

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
# **2. Smaller images.** How many images with a side of 112 pixels, each pixel three bytes, fill half of 64 GiB?

# %%
print(check_images(1e5))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Divide the bytes by those of an image. A quarter of the pixels, four times the images.
#
# </details>

# %% tags=["hide-cell"]
print(check_images(32 * 2**30 / (3 * 112 * 112)))

# %% [markdown]
# **3. Memory for time.** Gradient checkpointing does not keep the activations of a forward pass. It runs the forward pass of the
# image tower a second time during the backward pass. Write the cost of a whole run of both stages that does this in stage 2.


# %%
def checkpointed(f, n, ranks=62, batch=16):
    terms = cost(f, n, ranks, batch)
    return terms["stage 1"] + terms["stage 2"]  # yours


print(check_checkpointed(checkpointed))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Stage 2 takes four forward passes per image in place of three; everything else stays.
#
# </details>


# %% tags=["hide-cell"]
def checkpointed_solution(f, n, ranks=62, batch=16):
    terms = cost(f, n, ranks, batch)
    del terms["one-stage scheme"]
    terms["stage 2"] *= 4 / 3
    return sum(terms.values())


print(check_checkpointed(checkpointed_solution))

# %% tags=["remove-cell"]
# Wrong answers, and the sentence that each must get.
for answer, expected in (
    (check_ranks(1), "not yet"),
    (check_images(1), "not yet"),
    (check_checkpointed(checkpointed), "how many forwards"),
    (check_checkpointed(lambda f, n: cost(f, n)["stage 2"] * 4 / 3), "stage 1"),
    (
        check_checkpointed(
            lambda f, n: (
                sum(cost(f, n).values()) - cost(f, n)["one-stage scheme"]
            )
        ),
        "without",
    ),
    (check_checkpointed(checkpointed_solution), "right"),
):
    assert expected in answer, (expected, answer)
for f in counted.values():  # what the text says of the counts
    assert f["losses"] < 0.01 * f["image"] or PROFILE == "smoke"
    assert abs(f["sentence, back"] / f["sentence"] - 2) < 0.1
    assert f["grouped"] or 2.5 < f["image, back"] / f["image"] <= 3

# %% [markdown]
# ## Summary
#
# - Stage 1 never sees an image again after its features, stage 2 never a text. So stage 1 pays only for texts, stage 2 for images.
# - A step of stage 1 costs as much for texts as one of the one-stage scheme. Two stages are cheaper because stage 1 takes few,
#   large steps; with 62 ranks, batches of 16 and thirty epochs of stage 1 they cost more.
# - Compare two things in turns, in one run, by medians. Ratios usually differ less between machines than times do; one was
#   measured.
# - As images grow in number, first the package stops keeping them in memory, then a run takes too long, then opening files does.
#   Each has its own remedy.
#
# ## Sources
#
# The method: [Wang et al. (2023)](references.md); the one-stage scheme: [Li et al. (2022)](references.md); towers:
# [Tan and Le (2019)](references.md), [Wang et al. (2020)](references.md), [Radford et al. (2021)](references.md). The
# peak in the parameters cell is that of NVIDIA's data sheet of the A100.
