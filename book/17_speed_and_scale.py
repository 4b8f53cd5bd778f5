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
# # Speed and scale: what training costs, and what it would cost with more pictures
#
# A method that trains an image tower cannot cost less than the image tower. L2RCLIP should cost that much and nothing more: its
# texts are fixed in one stage, its pictures in the other. This page holds the package against that limit, shows where the time
# goes, and then works out on paper what a run takes with the 55,134 pictures of MORPH II, with a million and with a hundred
# million.
#
# :::{admonition} What you will learn
# :class: tip
# - how to measure speed on a machine that is never quite still,
# - why stage 1 costs only texts and stage 2 only the image tower, as a formula you can fill in,
# - which part of a step to look at first,
# - at which number of pictures memory, disk, one machine and plain files come to their end, and what takes over.
# :::
#
# | you should know | how much | if not |
# |---|---|---|
# | the two stages and what is frozen in each | well | {doc}`02_two_stages` |
# | forward and backward pass | the idea | any introduction to deep learning |
# | logarithmic axes | to read them | any introduction to statistics |
#
# **Time and hardware.** The measurements took minutes on two cores and are read from `book/results/speed.json`; live are only counts of
# operations, which are the same on every machine. No GPU is needed. The last line of this page says how long it took.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: counts with tiny towers; page and full: as shown
RESULTS = ""  # a results file of tools/bench; empty: the one of the book
EPOCHS1 = 30  # of stage 1, for the run on paper
EPOCHS2 = 10  # of stage 2
MEMORY_GIB = 24  # of the machine on paper
DISK_GIB = 500  # room for a cache of decoded pictures
PATIENCE_HOURS = 24  # the longest run that one machine should do alone
FILES_PER_SECOND = 2000  # small files that the storage opens
ROW_BYTES = 300  # what Python keeps of a row of a list: path, label, subject
CORE_HOUR = 0.05  # price of a core for an hour, in your currency: an assumption
GPU_HOUR = 2.0  # price of a GPU for an hour: an assumption
GPU_TFLOPS = 312.0  # dense bf16 peak of the GPU on paper: NVIDIA's A100
GPU_SHARE = 0.4  # share of that peak that training reaches: an assumption
GPUS = 8  # in the machine with several

# %% tags=["hide-input"]
import json
import logging
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from l2rclip_book import plots
from l2rclip_book.style import GRID, PAPER, name_rows
from l2rclip_lite import (
    L2RCLIP,
    Config,
    Ranks,
    load_dataset,
    load_towers,
)
from l2rclip_lite.losses import ordinal_pairwise_loss

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

logging.disable(logging.WARNING)  # open_clip warns of weights that are random
torch.set_num_threads(1)
small = PROFILE == "smoke"
ages = Ranks.integers(16, 77, template="a photo of a {rank} years old face")


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median time of a call, the first one left out."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def demonstration() -> dict[str, dict]:
    """Four figures of the results file, measured here with tiny towers."""
    config = Config(towers="tiny/random", device="cpu", hidden=64)
    model = L2RCLIP.build(ages, config)
    pixels = torch.zeros(16, 3, 64, 64, dtype=torch.uint8)
    target = torch.arange(16)

    def ready() -> torch.Tensor:
        return model.towers.normalize(pixels.float() / 255)

    def bare() -> None:
        torch.autograd.backward(model.towers.encode_image(ready()).sum())

    def step() -> None:
        z, t = model.image_features(ready()), model.rank_features
        loss = torch.nn.functional.cross_entropy(
            model.scale * z @ t.T, target
        ) + ordinal_pairwise_loss(z, t, target, ages.values_tensor())
        torch.autograd.backward(loss)

    ours, tower = seconds(step), seconds(bare)
    texts = seconds(
        lambda: torch.autograd.backward(model.prompts(model.towers).sum())
    )
    leaf = load_dataset("leaves", size=60, pixels=480).train[0][0]
    stream = BytesIO()
    leaf.resize((400, 480)).save(stream, "JPEG", quality=90)
    jpeg = stream.getvalue()
    about = {"low": None, "high": None, "repeats": 5, "machine": "this one"}
    about |= {"unit": "×", "direction": "at most", "threads": 1}
    rows = {
        "stage2-mini": {
            "what": "stage-2 loss and gradients ÷ bare image tower, tiny",
            "target": 1.05,
            "value": ours / tower,
            "detail": {"seconds": ours, "batch": 16},
        },
        "inference": {
            "what": "inference ÷ bare image tower, tiny",
            "target": 0.97,
            "direction": "at least",
            "value": 1.0,
            "detail": {"other_seconds": tower / 3, "images": 16},
        },
        "stage1-ranks": {
            "what": "seconds of the prompts of 62 ranks, tiny",
            "target": 0,
            "direction": "none",
            "unit": "s",
            "value": texts,
            "detail": {"seconds": {"62": texts}, "batch": 16},
        },
        "decode": {
            "what": "JPEG files of 400 by 480 pixels decoded, one process",
            "target": 0,
            "direction": "none",
            "unit": "images/s",
            "value": 1 / seconds(lambda: np.asarray(Image.open(BytesIO(jpeg)))),
        },
    }
    for row in rows.values():
        good = row["value"] <= row["target"]
        row["met"] = None if row.get("direction") == "none" else good
    rows["inference"]["met"] = True
    return {"rows": {k: about | row for k, row in rows.items()}}


files = (
    [Path(RESULTS)]
    if RESULTS
    else [Path("results/speed.json"), Path("book/results/speed.json")]
)
file = next((one for one in files if one.is_file()), None)
if file is None:
    bench = demonstration()
    print(
        "DEMONSTRATION: the measurements lie in the repository, in\n"
        "book/results/. This notebook is alone, so it timed four things on\n"
        "tiny towers. Its figures say nothing about the book's."
    )
else:
    bench = json.loads(file.read_text(encoding="utf-8"))
rows = bench["rows"]


def verdict(row: dict) -> str:
    """In a word."""
    words = {True: "met", False: "missed", None: "no target"}
    return "not measured" if row["value"] is None else words[row["met"]]


def listed(words: list[str]) -> str:
    """Words in a sentence."""
    return ", ".join(words) or "none"


def with_unit(value: float, unit: str) -> str:
    """A figure as a reader wants it."""
    shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    if unit == "×" and abs(value) >= 0.1:
        shown = f"{value:.2f}"
    return f"{shown} {unit}"


# %% [markdown]
# ## Measured against its target


# %% mystnb={"image": {"alt": "A row for each measured target. A mark shows how far the figure is from its target on a logarithmic axis, where left of the line at 1 is good: blue discs are met, red crosses missed, hollow grey squares were not measured. A thin line shows the spread."}, "figure": {"caption": "Each figure as a share of its target: left of the line at 1 is met (blue discs), right of it missed (red crosses). Where more is better the share is turned over. Lines are the quartiles of the repeats; the figure itself stands at the right. A hollow square was not measured.", "name": "fig-17-targets"}} tags=["hide-input"]
def share_of(row: dict, value: float) -> float:
    """Figure ÷ target, turned over where more is better; 0.02 at the least."""
    share = value / row["target"]
    return max(1 / share if row["direction"] == "at least" else share, 0.02)


def against_targets(rows: dict[str, dict]) -> Figure:
    """One line a row that has a target."""
    shown = [row for row in rows.values() if row["direction"] != "none"]
    looks = {
        "met": (plots.COLOURS["stage 1"], "o"),
        "missed": (plots.COLOURS["stage 2"], "X"),
        "not measured": (plots.COLOURS["reference"], "s"),
    }
    with plots.style():
        figure = Figure(
            figsize=(7.8, 0.42 * len(shown) + 1.1), layout="constrained"
        )
        axis = figure.subplots()
        axis.axvspan(0.01, 1, color="#eaf0f7", zorder=0)
        axis.axvline(1, color=plots.COLOURS["ink"], linewidth=1.2)
        for at, row in enumerate(shown):
            colour, marker = looks[verdict(row)]
            known = row["value"] is not None
            x = share_of(row, row["value"]) if known else 1
            if known and row["low"] is not None:
                ends = [share_of(row, row[end]) for end in ("low", "high")]
                axis.plot(ends, [at, at], color=colour, linewidth=2, alpha=0.55)
            face = colour if known else "none"
            axis.scatter(
                x,
                at,
                s=58,
                marker=marker,
                color=face,
                edgecolor=colour,
                zorder=3,
            )
            axis.annotate(
                with_unit(row["value"], row["unit"])
                if known
                else "not measured",
                (1.01, at),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8.5,
                color=colour,
            )
        name_rows(axis, [row["what"] for row in shown], 8.5)
        axis.set_xscale("log")
        axis.set_xlim(0.016, 30)
        ticks = [0.02, 0.1, 0.5, 1, 2, 10]
        axis.set_xticks(ticks, ["≤ 0.02", *(f"{t:g}" for t in ticks[1:])])
        axis.set_xticks([], minor=True)
        axis.grid(axis="x", color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.set_xlabel("figure ÷ target (left of the line is good)")
        handles = [
            Line2D(
                [],
                [],
                color=c,
                marker=m,
                linestyle="",
                label=word,
                fillstyle="none" if word == "not measured" else "full",
            )
            for word, (c, m) in looks.items()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


against_targets(rows)

# %% [markdown]
# The same in numbers. A ratio is that of two medians. The two things are timed in turns in one process, the second first in every
# other round, so that a busy moment of the machine hits both; the spread is that of the paired ratios. Memory is the peak of
# a fresh process above what its imports take.

# %% tags=["hide-input", "nbval-ignore-output"]
SIGN = {"at most": "≤", "at least": "≥"}


def line_of(row: dict) -> str:
    """A line of the table."""
    goal = "–"
    if row["direction"] != "none":
        goal = f"{SIGN[row['direction']]} {row['target']:.3g} {row['unit']}"
    if row["value"] is None:
        return f"| {row['what']} | {goal} | – | – | 0 | not measured: {row['reason']} |"
    spread = "–"
    if row["low"] is not None:
        spread = f"{row['low']:.3g} to {row['high']:.3g}"
    value = with_unit(row["value"], row["unit"])
    word = verdict(row)
    said = f"**{word}**" if word == "missed" else word
    return f"| {row['what']} | {goal} | {value} | {spread} | {row['repeats']} | {said} |"


machines = sorted({row["machine"] for row in rows.values()})
loads = [row["load_before"] for row in rows.values() if row.get("load_before")]
busy = f" to {max(loads):.1f}" if loads else ""
head = "| what | target | measured | quartiles | repeats | |\n|---|---|---|---|---|---|"
Markdown(
    "\n".join([head, *map(line_of, rows.values())])
    + "\n\nMeasured on: "
    + "; ".join(machines)
    + ". Processes that wanted a core before a row began, those of the row before "
    + f"among them: {min(loads, default=0):.1f}{busy}."
)

# %% [markdown]
# To measure them on your machine: `make bench`, or one of them with `make bench ONLY=stage2-mini`. Nothing else should run
# meanwhile. What is a fair opponent? The bare image tower gets the same batch, already normalised; its normalisation layers stand
# still as in `fit`; memory format, precision and threads are the same. It gets no loss, no optimiser and no augmentation. All of these
# are counted against the package, and the step is the one of the real training loop, from one end of a step to the next.

# %% tags=["hide-input", "nbval-ignore-output"]
missed = [row["what"] for row in rows.values() if row["met"] is False]
open_rows = [row["what"] for row in rows.values() if row["value"] is None]
Markdown(
    f"{len(missed)} of {len(rows)} rows missed their target: {listed(missed)}.\n\n"
    f"Not measured: {listed(open_rows)}."
)

# %% [markdown]
# ## The formula behind it
#
# Let $f_I$ be the operations of the image tower for one picture, forward, and $f_T$ those of the text tower for one sentence. A
# backward pass costs two forward passes where weights learn, since both their gradients and those of the inputs are needed, and one
# where gradients only pass through. With $N$ pictures, $K$ ranks, batches of $B$, and $E_1$ and $E_2$ epochs, the two stages take
#
# $$
# C = \underbrace{N f_I}_{\text{features, once}}
#   + \underbrace{E_1 \tfrac{N}{B}\, 2K f_T}_{\text{stage 1}}
#   + \underbrace{K f_T}_{\text{texts, once}}
#   + \underbrace{3 E_2 N f_I}_{\text{stage 2}}
# $$ (eq-17-cost)
#
# operations; RankFormer, losses and optimiser are small beside them. A scheme of one stage that encodes every prompt in every step,
# as OrdinalCLIP {cite:p}`li2022ordinalclip` does, takes
#
# $$
# C_{\text{one}} = E_2 \Bigl( 3 N f_I + \tfrac{N}{B}\, 2K f_T \Bigr) .
# $$ (eq-17-one)
#
# In stage 1 the image side has gone from the sum over epochs, in stage 2 the text side. How large the two letters are can be
# counted, without a clock: torch notes the shape of every matrix product and convolution.

# %% tags=["hide-input"]
NAMES = ("tiny/random",) if small else ("mini", "ViT-B-16/random")


def count(call: Callable[[], object]) -> int:
    """Floating-point operations; a multiplication and an addition are two."""
    plain = sdpa_kernel(SDPBackend.MATH)  # fused attention is not counted
    with plain, FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def operations(name: str) -> dict[str, float]:
    """What one picture, one sentence and the losses of a batch of 16 cost."""
    towers = load_towers(name)
    for part, parameter in towers.named_parameters():
        parameter.requires_grad_(part.startswith("image."))
    picture = torch.zeros(1, 3, towers.image_size, towers.image_size)
    tokens = towers.tokenize(ages.sentences, template=ages.template)
    words = towers.embed(tokens.ids).detach().requires_grad_()
    image = torch.nn.functional.normalize(torch.ones(16, towers.dim), dim=1)
    text = torch.nn.functional.normalize(torch.eye(62, towers.dim), dim=1)

    def losses() -> torch.Tensor:
        values, target = ages.values_tensor(), torch.arange(16)
        logits = image @ text.T
        order = ordinal_pairwise_loss(image, text, target, values)
        return torch.nn.functional.cross_entropy(logits, target) + order

    forward = {
        "picture": count(lambda: towers.encode_image(picture)),
        "sentence": count(lambda: towers.encode_embeddings(words, tokens)) / 62,
        "losses": count(losses),
    }
    both = {
        "picture, back": count(
            lambda: torch.autograd.backward(towers.encode_image(picture).sum())
        ),
        "sentence, back": count(
            lambda: torch.autograd.backward(
                towers.encode_embeddings(words, tokens).sum()
            )
        )
        / 62,
    }
    layers = [
        m for m in towers.image.modules() if isinstance(m, torch.nn.Conv2d)
    ]
    grouped = any(layer.groups > 1 for layer in layers)
    return forward | both | {"grouped": grouped}


counted = {name: operations(name) for name in NAMES}
pd.DataFrame(
    {
        name: {
            "a picture, forward, 10⁹": f"{f['picture'] / 1e9:.3f}",
            "… and backward ÷ forward": (
                "–"
                if f["grouped"]
                else f"{f['picture, back'] / f['picture']:.2f}"
            ),
            "a sentence, forward, 10⁹": f"{f['sentence'] / 1e9:.3f}",
            "… and gradients through ÷ forward": (
                f"{f['sentence, back'] / f['sentence']:.2f}"
            ),
            "losses, 16 pictures, 62 ranks, 10⁹": f"{f['losses'] / 1e9:.5f}",
        }
        for name, f in counted.items()
    }
)

# %% [markdown]
# The factors are those of the formula, a little less where the first layer's input asks for no gradient. For `mini` there is no
# factor: torch's counter takes the weight gradients of its depthwise convolutions as if they were dense. Losses do not show. What
# no count shows is overhead: depthwise convolutions and many small operators do little arithmetic for the time they take.


# %% tags=["hide-input"]
def cost(
    f: dict[str, float], n: float, ranks: int = 62, batch: int = 16
) -> dict:
    """The four terms of the two stages, and the scheme of one stage."""
    texts = n / batch * 2 * ranks * f["sentence"]
    return {
        "features, once": n * f["picture"],
        "stage 1": EPOCHS1 * texts,
        "texts, once": ranks * f["sentence"],
        "stage 2": 3 * EPOCHS2 * n * f["picture"],
        "one stage": EPOCHS2 * (3 * n * f["picture"] + texts),
    }


MORPH = 55_134


def stage1_share(f: dict[str, float], ranks: int, batch: int) -> str:
    """Stage 1 ÷ stage 2, with the epochs of the parameters cell."""
    terms = cost(f, MORPH, ranks, batch)
    return f"{terms['stage 1'] / terms['stage 2']:.1%}"


pd.DataFrame(
    {
        (name, f"{batch} pictures a step"): {
            f"{ranks} ranks": stage1_share(f, ranks, batch)
            for ranks in (5, 62, 620)
        }
        for name, f in counted.items()
        for batch in (16, 256)
    }
)

# %% [markdown]
# The table shows stage 1 as a share of stage 2. With few ranks, a large image tower or large batches it costs almost nothing, because
# the features are cached and texts are encoded once a step, not once a picture. With many ranks before a small tower it is the dearer
# of the two, and the remedy is a larger batch, fewer epochs, or both. The same holds for what the cache of image features can
# save: an epoch without it costs $2Kf_T + Bf_I$ a step, one with it $2Kf_T$, and no code makes the quotient smaller than that.

# %% tags=["hide-input"]
first = counted[NAMES[0]]
floor = {
    batch: (texts := 2 * 5 * first["sentence"])
    / (texts + batch * first["picture"])
    for batch in (16, 64, 256)
}
said = [
    f"{share:.1%} with {batch} pictures a step"
    for batch, share in floor.items()
]
text = f"The least it can be with **{NAMES[0]}** and 5 ranks: {listed(said)}."
Markdown(text)

# %% [markdown]
# And the scheme of one stage:

# %% tags=["hide-input", "nbval-ignore-output"]
said = []
for name, f in counted.items():
    terms = cost(f, MORPH)
    said.append(
        f"With **{name}**, 62 ranks and batches of 16, a step of the scheme of one "
        f"stage takes {terms['one stage'] / terms['stage 2']:.2f} times the operations "
        "of a step of stage 2, and the features, once, "
        f"{terms['features, once'] / terms['stage 2']:.1%} of all of stage 2."
    )
measured = rows.get("ordinalclip", {}).get("value")
if measured:
    said.append(f"Measured in time, with mini: {measured:.2f} times.")
Markdown(" ".join(said))

# %% [markdown]
# ## On paper: how far it goes
#
# Now the same for more pictures. Everything below follows from the measured figures and from the assumptions in the parameters
# cell; change them and run the page again. Prices are placeholders, not offers. No GPU was measured: its lines are a formula, the
# published peak of a card times an assumed share of it.

# %% tags=["hide-input", "nbval-ignore-output"]
PIXELS = 3 * 224 * 224  # bytes of a decoded picture


def figure_of(name: str, *keys: str) -> float | None:
    """A detail of a measured row."""
    found = rows.get(name, {}).get("detail", {})
    for key in keys:
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, (int, float)) else None


def speeds() -> dict[str, float]:
    """Seconds a picture, or a step, of this machine."""
    found = {
        "decode": 1 / rows["decode"]["value"],
        "encode": figure_of("inference", "other_seconds")
        / figure_of("inference", "images"),
        "step 1": figure_of("stage1-ranks", "seconds", "62"),
        "mini": figure_of("stage2-mini", "seconds")
        / figure_of("stage2-mini", "batch"),
    }
    if vit := figure_of("stage2-vit", "seconds"):
        found["ViT-B-16"] = vit / figure_of("stage2-vit", "batch")
    return found


speed = speeds()
threads = rows["stage2-mini"]["threads"]
bare = counted[NAMES[-1]]
on_paper = NAMES[-1].partition("/")[0]


def hours(n: float, what: str = "mini") -> dict[str, float]:
    """Hours of each part of a run on this machine."""
    parts = {
        "decoding": n * speed["decode"] / threads,
        "features": n * speed["encode"],
        "stage 1": EPOCHS1 * n / 16 * speed["step 1"],
        "stage 2": EPOCHS2 * n * speed[what],
    }
    return {part: value / 3600 for part, value in parts.items()}


def gpu_hours(n: float, cards: int = 1) -> float:
    """Hours on paper: operations ÷ (peak · share)."""
    terms = cost(bare, n, batch=256)
    work = sum(v for k, v in terms.items() if k != "one stage")
    return work / (GPU_TFLOPS * 1e12 * GPU_SHARE * cards) / 3600


def amount(value: float) -> str:
    """Hours, GiB or money with two digits."""
    if value >= 100:
        digits = int(np.floor(np.log10(value))) - 1
        return f"{round(value, -digits):,.0f}"
    return f"{value:.2g}"


SIZES = {"MORPH II": MORPH, "a million": 10**6, "a hundred million": 10**8}
GIB = 2**30
columns = {}
for title, n in SIZES.items():
    run = sum(hours(n).values())
    column = {
        "pictures": f"{n:,}",
        "decoded pictures, GiB": amount(n * PIXELS / GIB),
        "features of mini, GiB": amount(n * 4 * 384 / GIB),
        "rows of the list, GiB": amount(n * ROW_BYTES / GIB),
    }
    column |= {
        f"{part}, hours": amount(value) for part, value in hours(n).items()
    }
    column |= {
        "whole run with mini, hours": amount(run),
        "… money at the price of a core": amount(run * threads * CORE_HOUR),
    }
    if "ViT-B-16" in speed:
        vit = hours(n, "ViT-B-16")["stage 2"]
        column["stage 2 of ViT-B-16, hours"] = amount(vit)
    column |= {
        f"{on_paper} on one GPU, hours (not measured)": amount(gpu_hours(n)),
        "… money (not measured)": amount(gpu_hours(n) * GPU_HOUR),
    }
    columns[title] = column
pd.DataFrame(columns)

# %% [markdown]
# What ends first? Each line below is a number of pictures at which something comes to its end on the assumed machine.

# %% tags=["hide-input", "nbval-ignore-output"]
per_picture = sum(hours(1).values())
ends = {
    "memory": MEMORY_GIB * GIB / 2 / PIXELS,
    "disk": DISK_GIB * GIB / PIXELS,
    "one machine": PATIENCE_HOURS / per_picture,
    "one GPU": PATIENCE_HOURS / gpu_hours(1),
    "plain files": PATIENCE_HOURS * 3600 * FILES_PER_SECOND / EPOCHS2,
    "lists in memory": MEMORY_GIB * GIB / 2 / ROW_BYTES,
}
TAKES_OVER = {
    "memory": (
        f"decoded pictures fill half of {MEMORY_GIB} GiB",
        "a memory-mapped cache of decoded pictures on disk",
    ),
    "disk": (
        f"that cache fills {DISK_GIB} GiB",
        "streaming: workers decode while the tower computes",
    ),
    "one machine": (
        f"a run with mini takes {PATIENCE_HOURS} hours on {threads} core(s)",
        "several processes, or a GPU",
    ),
    "one GPU": (
        f"a run with {on_paper} takes {PATIENCE_HOURS} hours on one GPU, on paper",
        "several GPUs with `accelerate launch`",
    ),
    "plain files": (
        f"{EPOCHS2} epochs at {FILES_PER_SECOND:,} files/s take {PATIENCE_HOURS} hours",
        "tar files of thousands of pictures, read in one go",
    ),
    "lists in memory": (
        f"rows of the list fill half of {MEMORY_GIB} GiB",
        "lists and features in shards, a store of features",
    ),
}
table = ["| from | because | then |", "|---|---|---|"]
table += [
    f"| {amount(n)} pictures | {TAKES_OVER[what][0]} | {TAKES_OVER[what][1]} |"
    for what, n in sorted(ends.items(), key=lambda item: item[1])
]
workers = speed["decode"] / min(
    speed.get("ViT-B-16", speed["mini"]), speed["mini"]
)
gpu_speed = GPU_TFLOPS * 1e12 * GPU_SHARE / (3 * bare["picture"])
table += [
    "",
    f"Streaming keeps up with mini on this machine where {workers:.2g} of a core "
    "decodes. The GPU on paper trains "
    f"{amount(gpu_speed)} pictures/s of {on_paper} and would need "
    f"{amount(gpu_speed * speed['decode'])} cores that decode, unless the pictures "
    "are cached.",
]
Markdown("\n".join(table))

# %% mystnb={"image": {"alt": "Two panels with logarithmic axes over the number of pictures. Left, gibibytes of decoded pictures, features and list rows, with horizontal lines for half the memory and for the disk, and circles where they cross. Right, hours of a run with mini on the measured machine, stage 2 of ViT-B-16 on it, and dashed lines for one and for several GPUs on paper, with lines at an hour, a day and a month."}, "figure": {"caption": "Space (left) and time (right) against the number of pictures. Circles are the ends of the table above. Solid lines follow from measurements on the machine of this page, dashed ones are on paper. Dotted: MORPH II, a million, a hundred million.", "name": "fig-17-scale"}} tags=["hide-input"]
INK, GREY = plots.COLOURS["ink"], plots.COLOURS["reference"]
n = np.logspace(3, 9, 61)


def label(axis: mpl.axes.Axes, at: float, words: str) -> None:
    """A limit with its name."""
    axis.axhline(at, color=GREY, linewidth=1, zorder=1)
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
    axis.text(
        1.3e3, at * 1.25, words, fontsize=7.5, color=GREY, va="bottom", bbox=box
    )


def circle(axis: mpl.axes.Axes, x: float, y: float, then: str) -> None:
    """A point where something ends, and what takes over."""
    axis.scatter(x, y, s=46, facecolor=PAPER, edgecolor=INK, zorder=4)
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
    axis.annotate(
        then,
        (x, y),
        (7, -7),
        textcoords="offset points",
        va="top",
        fontsize=7.5,
        color=INK,
        bbox=box,
        zorder=3,
    )


def space_and_time() -> Figure:
    """What grows with the pictures."""
    with plots.style():
        figure = Figure(figsize=(7.8, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        for words, size, colour in (
            ("decoded pictures", PIXELS, "#3b6fb6"),
            ("features of mini", 4 * 384, "#2a8c82"),
            ("rows of the list", ROW_BYTES, "#c8553d"),
        ):
            left.plot(
                n, n * size / GIB, color=colour, label=words, linewidth=1.8
            )
        label(left, MEMORY_GIB / 2, f"half of {MEMORY_GIB} GiB memory")
        label(left, DISK_GIB, f"{DISK_GIB} GiB disk")
        circle(left, ends["memory"], MEMORY_GIB / 2, "map a file")
        circle(left, ends["disk"], DISK_GIB, "stream")
        circle(left, ends["lists in memory"], MEMORY_GIB / 2, "shards")
        left.set(title="Space", ylabel="GiB", ylim=(1e-3, 1e6))
        right.plot(
            n,
            n * per_picture,
            color="#3b6fb6",
            label="mini, whole run",
            linewidth=1.8,
        )
        if "ViT-B-16" in speed:
            right.plot(
                n,
                n * hours(1, "ViT-B-16")["stage 2"],
                color="#c8553d",
                label="ViT-B-16, stage 2",
                linewidth=1.8,
            )
        for cards, alpha in ((1, 1.0), (GPUS, 0.55)):
            right.plot(
                n,
                n * gpu_hours(1, cards),
                color="#8a5a9e",
                linestyle="--",
                alpha=alpha,
                label=f"{on_paper}, {cards} GPU{'s' if cards > 1 else ''}, on paper",
            )
        for at, words in ((1, "an hour"), (24, "a day"), (720, "a month")):
            label(right, at, words)
        circle(right, ends["one machine"], PATIENCE_HOURS, "processes")
        circle(right, ends["one GPU"], PATIENCE_HOURS, "accelerate")
        right.set(title="Time", ylabel="hours", ylim=(1e-4, 1e7))
        for axis in (left, right):
            axis.set(
                xscale="log", yscale="log", xlabel="pictures", xlim=(1e3, 1e9)
            )
            for size in SIZES.values():
                axis.axvline(size, color=GREY, linestyle=":", linewidth=1)
            axis.legend(loc="lower right", fontsize=7.5)
    return figure


space_and_time()

# %% [markdown]
# How to read it. **Up to the memory limit** nothing needs to be clever: every picture is decoded once and stays. **Then** the same
# bytes lie in a file that the system maps into memory, and its cache of the disk does the rest. **Beyond the disk** pictures are
# decoded again in every epoch by threads that work ahead of the tower; that is free as long as they keep up. **When a run takes too
# long** the work is split over processes, each with its own part of every batch. **When the files are too many**, opening them is
# the work: pictures are packed into tar files of some thousands that are read from start to end, as
# [WebDataset](https://github.com/webdataset/webdataset) does, and features go into a store of their own in shards.
#
# | what takes over | here |
# |---|---|
# | decoded images in memory, or decoded as needed | resized images are kept as long as they fit in 2 GiB, else decoded in each epoch by `--workers` |
# | several processes or GPUs | `accelerate launch -m l2rclip_lite fit` |
# | a memory-mapped file, tar files, shards, a store of features | not in this package |
#
# Three limits of this page. A formula of operations knows nothing of networks between machines, so many GPUs will be slower than
# their line. A hundred million pictures were never near this package. And nobody should train thirty epochs on them: with so many
# pictures one or two passes are what is done, so set `EPOCHS1` and `EPOCHS2` first.
#
# ## Exercises
#
# **1. When do texts cost as much as pictures?** Take the counts in `counted` for the last tower and batches of 16. For which number of ranks does a step
# of the one-stage scheme {eq}`eq-17-one` cost twice a step of stage 2?


# %%
def check_ranks(ranks: float) -> None:
    """Compare text and image side of a step."""
    texts, images = 2 * ranks * bare["sentence"], 16 * 3 * bare["picture"]
    if abs(texts / images - 1) < 0.02:
        print("right: the texts cost as much as the pictures")
    else:
        print(f"not yet: the texts cost {texts / images:.2f} of the pictures")


check_ranks(62)

# %% [markdown]
# :::{dropdown} Solution
# Set $2K f_T = 3 B f_I$ and solve for $K$.
# :::

# %% tags=["hide-cell"]
check_ranks(16 * 3 * bare["picture"] / (2 * bare["sentence"]))

# %% [markdown]
# **2. Smaller pictures.** At how many pictures does half of 64 GiB fill up, if they are kept with a side of 112 pixels?


# %%
def check_pictures(number: float) -> None:
    """Bytes in memory."""
    held = number * 3 * 112 * 112 / 2**30
    if abs(held / 32 - 1) < 0.01:
        print("right")
    else:
        print(f"not yet: they take {held:,.1f} GiB")


check_pictures(1e5)

# %% [markdown]
# :::{dropdown} Solution
# A picture has three bytes for each of its pixels; divide. A quarter of the pixels, four times the pictures.
# :::

# %% tags=["hide-cell"]
check_pictures(32 * 2**30 / (3 * 112 * 112))

# %% [markdown]
# **3. Share of a peak.** Somebody trains the last tower of `counted` on a card with a peak of `GPU_TFLOPS` and reports 1,000 pictures a second. What share of the
# peak is that?


# %%
def check_share(share: float) -> None:
    """Operations that the training needs ÷ what the card could do."""
    right = 1000 * 3 * bare["picture"] / (GPU_TFLOPS * 1e12)
    print(
        "right"
        if abs(share / right - 1) < 0.05
        else "not yet: mind the backward pass"
    )


check_share(1000 * bare["picture"] / (GPU_TFLOPS * 1e12))

# %% [markdown]
# :::{dropdown} Solution
# Forward and backward of a tower that learns are three forward passes.
# :::

# %% tags=["hide-cell"]
check_share(3000 * bare["picture"] / (GPU_TFLOPS * 1e12))

# %% [markdown]
# ## Summary
#
# - Two things are compared in turns, in one run, by medians; the ratio lasts longer than a time.
# - Stage 1 never sees a picture again after its features, stage 2 never a text: what is left is the image tower.
# - With many ranks that is where the two stages gain on a scheme that encodes every prompt in every step.
# - Memory ends first, then the disk, then patience, then the number of files; each has another answer.
#
# | what | function | test |
# |---|---|---|
# | measuring in turns, steps of the real loop, peak memory | `tools/bench/timing.py` | `tests/book/test_benchmarks.py` |
# | the targets | `tools/bench/rows.py` | `tests/book/test_benchmarks.py` |
# | {eq}`eq-17-cost`, {eq}`eq-17-one` | `cost` on this page | the counts above |
#
# ## Sources
#
# The method: {cite:t}`wang2023learning`; the scheme of one stage: {cite:t}`li2022ordinalclip`; towers: {cite:t}`tan2019efficientnet`,
# {cite:t}`wang2020minilm`, {cite:t}`radford2021learning`. The peak in the parameters cell is that of NVIDIA's data sheet of the A100.
