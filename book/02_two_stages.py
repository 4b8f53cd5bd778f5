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
# # The whole method once
#
# A leaf is healthy, a little damaged or badly damaged: the labels have an order. L2RCLIP ([Wang et al., 2023](references.md))
# writes each label as a sentence and lets a CLIP compare images with sentences. This chapter trains the whole method
# once, from five sentences to a model that grades a leaf, and then looks at what came out: the curves, the errors, and
# simpler methods beside it. Chapters 3 to 6 take it apart, and at their end you will have written all of it yourself.
#
# **You need.** To read a training loop in PyTorch; CLIP, MAE and RPS from [chapter 1](01_ordinal_classification.ipynb).
#
# **Time and hardware.** No GPU and no download. The last line of this page says how long it took, and on what.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown here; full: more data
SEED = 0  # decides the leaves, the start and every batch
OUT = ""  # keep the run directory here; empty: a temporary folder

# %% tags=["hide-input"]
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from l2rclip_book import plots
from l2rclip_book.results import (
    beside_stored,
    numbered,
    spread_table,
    stored_runs,
)
from l2rclip_book.templates import heat_maps
from l2rclip_book.training_figures import stage_diagram
from l2rclip_lite import L2RCLIP, Config, fit, load_dataset
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.baselines.probes import bare_sentences
from l2rclip_lite.method.losses import rank_weights
from l2rclip_lite.method.stages import freezing_table
from l2rclip_lite.runs.results import judge
from l2rclip_lite.training_data import TrainingData

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
SIZE, PIXELS, EPOCHS1, EPOCHS2 = {
    "smoke": (60, 64, 2, 1),
    "page": (400, 96, 12, 8),
    "full": (4000, 128, 60, 30),
}[PROFILE]
OUT = Path(OUT or tempfile.mkdtemp()) / "leaves"

# %% mystnb={"image": {"alt": "Ten generated leaf photographs in five columns, from undamaged on the left to heavily damaged on the right."}} tags=["hide-input"]
data = load_dataset("leaves", ranks=5, size=SIZE, seed=SEED, pixels=PIXELS)
ranks = data.ranks
plots.contact_sheet(data.train, ranks, rows=2)

# %% [markdown]
# **Figure 2.1.** Training images of the five ranks, lowest on the left. The colour of a frame is the colour of its rank
# on every page of this book.
#
# ## Five sentences
#
# The leaves of Figure 2.1 are generated. Species, light, ground and kind of lesion vary freely; the rank
# depends only on the share of the leaf's own area that is damaged. Each rank becomes a sentence, and these five
# sentences are the only text that the method gets:

# %%
print(*ranks.sentences, sep="\n")
for split in ("train", "val", "test"):
    print(split, len(data.split(split)), "images")

# %% [markdown]
# The method learns from the images of *train*. On those of *val*, the validation images, it chooses which epoch of
# stage 1 to keep, and at the end one [temperature](glossary.md). The images of *test* are only scored, and decide nothing.
#
# ## Two stages, never both at once
#
# In [chapter 1](01_ordinal_classification.ipynb) a CLIP graded leaves by raw sentences, and called most of them
# undamaged. L2RCLIP changes first the sentences, then the images (Figure 2.2).

# %% mystnb={"image": {"alt": "Two diagrams. In stage 1 sentences pass through context and RankFormer, which train, and the frozen text tower to t; images pass once through the frozen image tower to z. In stage 2 sentences pass once through frozen parts to t, and images through the image tower, which trains, to z. Both times t and z meet in the loss."}} tags=["hide-input"]
stage_diagram(Config())

# %% [markdown]
# **Figure 2.2.** What trains (blue, red), what is frozen (grey), and what is computed once and kept (dashed arrows,
# orange). The diagram is drawn from the table below.
#
# **Stage 1 moves the sentences.** Two parts that learn stand between the words and the text tower. *RankFormer* is a
# small transformer over all five sentences; it changes their word embeddings, the vectors that stand for words
# ([chapter 4](04_rankformer.ipynb)). *Context vectors* are made-up words in front of each sentence, the same for all
# ranks. Both towers are frozen, so the image features $z$ are computed once.
#
# **Stage 2 moves the images.** The five text features $t$ are now fixed points (the code calls them prototypes), and
# the image tower learns to put each image near the point of its rank. Grading a new image needs the image tower and the
# five points; the text tower is not needed again.
#
# Which part learns in which stage is written in one table, `method.stages.FREEZING`. The optimiser is built from it:

# %%
settings = Config(
    preset="recommended",  # the default
    image_size=PIXELS,
    epochs1=EPOCHS1,
    epochs2=EPOCHS2,
    batch_size=16,
    lr2=7e-4,  # left out, two rates are tried, and validation chooses
    seed=SEED,
    threads=1,
)
before = L2RCLIP.build(ranks, settings)
print(freezing_table(before))

# %% [markdown]
# ## The losses, in short
#
# Write $z_i$ for the unit feature of image $i$, whose rank is $y_i$. Write $t_k$ for the unit text feature of rank $k$,
# and $T$ for all $K$ of them as rows. The scale is $s$, and each $\lambda$ is a weight.
#
# Both losses begin with CLIP's question, *which sentence belongs to this image?*, as the cross-entropy
# $\mathrm{CE}(s\,z_i T^\top, y_i)$. Cross-entropy treats all wrong sentences alike, so both losses add terms that use
# the order. [Chapter 5](05_losses.ipynb) derives every term; here is what is minimised.
#
# Stage 1:
#
# $$
# \begin{aligned}
# L_1 ={}& \operatorname*{mean}_i \mathrm{CE}(s\,z_i T^\top, y_i) + L_{\text{t2i}} \\
# &+ \tfrac{\lambda_1}{2} \operatorname*{mean}_i \lVert z_i - t_{y_i}\rVert^2 \\
# &- \lambda_1 \operatorname*{mean}_{i<j}\, \omega_{ij} \lVert z_i - t_{y_j}\rVert \\
# &- \tfrac{\lambda_1}{2} \operatorname*{mean}_{i<j}\, \omega_{ij} \lVert t_{y_i} - t_{y_j}\rVert
# \end{aligned} \tag{2.1}
# $$
#
# Stage 2:
#
# $$
# L_2 = \operatorname*{mean}_i \mathrm{CE}(s\,z_i T^\top, y_i)
# + \lambda_{\text{rps}} \operatorname*{mean}_i \sum_k \big(F_{ik} - \mathbf 1[y_i \le k]\big)^2 \tag{2.2}
# $$
#
# $L_{\text{t2i}}$ asks the opposite question, *which images belong to this sentence?* A sentence has many images, an
# image has one sentence; hence the first line of $L_1$ is called the *asymmetrical contrastive loss*. The second line
# pulls an image and its own sentence together. The lines with a minus sign push images from other sentences, and
# sentences from each other, with a weight that grows with the distance of the ranks:
#
# $$
# \omega_{ij} = (\lvert r_{y_i} - r_{y_j}\rvert - m) / M , \tag{2.3}
# $$
#
# where $r_k$ is the value of rank $k$. Among the pairs that the mean runs over, $m$ is the smallest gap and $M$ the
# largest; in nearly every batch $M$ is the largest gap of the label set. An image of *very low* damage is pushed a
# little from *low* and hard from *very high*. A loss with a minus sign may become negative; that is no error.
#
# Stage 2 has no such push. Its second term is the RPS of ([1.4](01_ordinal_classification.ipynb)), computed from the
# softmax of the same logits: $F_{ik}$ is the probability that image $i$ has rank $k$ or a lower one. Probability on a
# far rank costs more than on a near one. Both weights, $\lambda_1$ and $\lambda_{\text{rps}}$, are 1.
#
# | term | function |
# |---|---|
# | first line of (2.1) | `losses.asymmetrical_contrastive_loss` |
# | the rest of (2.1) | `losses.ordinal_pairwise_loss_stage1` |
# | RPS in (2.2) | `losses.ranked_probability_loss` |
# | (2.3) | `losses.rank_weights` |
#
# <details>
# <summary>The loss of the paper</summary>
#
# The losses above are those of `preset="recommended"`, the default and the recipe of this book. `preset="paper"` takes
# the terms that the authors released, each with the weight 1. Stage 1 is the same. In place of the RPS, stage 2 pulls
# and pushes as stage 1 does:
#
# $$
# \begin{aligned}
# L_2 ={}& \operatorname*{mean}_i \mathrm{CE}(s\,z_i T^\top, y_i)
# + \lambda_{\text{tight}} \operatorname*{mean}_i \lVert z_i-t_{y_i}\rVert^2 \\
# &- \lambda_{\text{push}} \operatorname*{mean}_{i,k}\, \omega_{ik} \lVert z_i-t_k\rVert ,
# \qquad \omega_{ik} = \lvert r_{y_i} - r_k\rvert / M
# \end{aligned} \tag{2.4}
# $$
#
# (`losses.tightness`, `losses.diversity`). What this loss costs on real photographs is measured in [chapter 20](20_controls.ipynb#what-the-sentences-add-to-a-tuned-tower);
# [chapter 5](05_losses.ipynb) shows why the pull makes a model too sure of itself.
#
# </details>
#
# Each stage has its own Adam optimiser, with the peak learning rates `lr1=3.5e-4` and `lr2=7e-4`. The rate rises for a
# tenth of the steps and then falls along a cosine to 0. [Hyperparameters](hyperparameters.md) lists all else that
# decides a run: each setting with its default, and [what the code fixes](hyperparameters.md#what-the-code-fixes).
#
# ## Start, stop, resume
#
# One call runs both stages and writes a *run directory*.

# %% tags=["nbval-ignore-output"]
run = fit(data, settings, OUT, quiet=True)
print(*sorted(path.name for path in run.out.iterdir()), sep="\n")

# %% [markdown]
# **Start** a run from Python as above, or from a shell:
#
# ```
# l2rclip fit --dataset leaves --out runs/leaves
# ```
#
# **Stop** it whenever you like, with Ctrl-C; a crash or a power cut does no more harm. After each epoch `fit` writes a
# checkpoint to the run directory.
#
# **Resume** it by the same call with the same `--out`. It continues after the last complete epoch and ends with the
# same numbers, bit for bit, because each epoch draws its batches and its augmentation from a generator that is seeded
# by seed, stage and epoch. Other settings or other data in the same directory are refused. A finished run is only
# loaded:

# %%
again = fit(data, settings, OUT, quiet=True)
print("the same metrics:", again.metrics == run.metrics)

# %% tags=["remove-cell"]
assert again.metrics == run.metrics

# %% [markdown]
# ## The curves
#
# `run.history` has one row per epoch, and so has `history.csv`.

# %% mystnb={"image": {"alt": "Left: validation error over the epochs of stage 1 and stage 2, in a bundle of thin lines; all end below the dashed line of the median rank. Right: training loss of both stages."}} tags=["hide-input", "nbval-ignore-output"]
constant = run.metrics["median_rank"]
stored = stored_runs("02") if PROFILE == "page" else pd.DataFrame()
plots.training_curves(
    run.history, ranks, reference=constant["mae"], stored=stored
)

# %% [markdown]
# **Figure 2.3.** Both stages, one after the other; thin lines are stored runs. A dot marks the epoch that was kept: of
# stage 1 the one with the lowest validation RPS, of stage 2 the last. The dashed line is the test error of a model that
# answers every image with the median rank.
#
# **Stored runs.** What a training ends with depends on the seed, and on the processor, whose kernels add the same
# numbers in another order. So this chapter and others keep fifteen runs: five seeds, each with leaves of its own, under three
# kinds of kernels. Figures show them as thin lines, tables as the lowest and the highest value in brackets, and the text says
# what all fifteen show. Such a page ends by saying whether today's run lies in their band: their range, and half of it on
# either side.
#
# In stage 1 only five points move (left panel), and the error falls. In stage 2 a whole network changes, and ends lower. Its
# first epoch is mostly a step back: the sentences were fitted to the features of the untrained tower.
#
# The losses in the right panel have different terms, so do not compare their heights. If the training loss still falls
# while the validation error rises, the model learns its training images by heart: give stage 2 fewer epochs.
#
# Within one run, keep the last epoch of stage 2. By then the learning rate has fallen to 0 and the weights have
# settled. Sixty validation images would choose among the last few epochs mostly by luck;
# [chapter 20](20_controls.ipynb) compares both rules.
#
# ## The result, and what to compare it with
#
# A number without a baseline says nothing. Here are three, on the same towers, data and split:
#
# - *Median rank* ignores the image. As probabilities it has the frequencies of the training ranks, whose RPS is lower
#   than that of the certain answer in [chapter 1](01_ordinal_classification.ipynb).
# - *Zero-shot* compares images with the sentences before any training.
# - *Linear probe* is logistic regression on the features of the frozen image tower, before their projection into the
#   space of the sentences. It uses neither sentences nor order.
#
# All but the first divide their logits by a temperature of their own, so that none has a higher RPS only because it is too
# sure of its answers, or not sure enough. A temperature does not change the most probable rank, and so neither MAE nor accuracy.

# %% tags=["nbval-ignore-output"]
frozen = TrainingData.load(data, before)  # encodes each image once
rows = {"median rank": run.metrics["median_rank"]}
for name in ("zero-shot", "linear-probe"):
    baseline = train_baseline(name, before, frozen)
    answers = baseline.probabilities(frozen.encode(baseline, "test"))
    rows[name] = judge(answers, data.test, data.ranks)
rows["L2RCLIP, stage 1 only"] = run.metrics["test_after_stage1"]
rows["L2RCLIP"] = run.metrics["test"]
scores = {"mae": "MAE", "accuracy": "accuracy", "rps": "RPS"}
numbers = {
    f"{name} {score}": row[score]
    for name, row in rows.items()
    for score in scores
}
spread_table(numbers, stored, list(rows), scores)

# %% tags=["hide-input", "nbval-ignore-output"]
test = run.metrics["test"]
print(
    f"L2RCLIP: MAE {test['mae']:.2f}, 95 % interval "
    f"{test['mae_low']:.2f} to {test['mae_high']:.2f} over {test['n']:.0f} "
    f"test images"
)

# %% tags=["remove-cell"]
for column in ("val_mae", "loss"):
    numbers |= numbered(column, [row[column] for row in run.history])
if len(stored):  # what the text says of every stored run
    of_stage1 = stored["L2RCLIP, stage 1 only rps"]
    assert (of_stage1 > stored["linear-probe rps"]).all()
    for score in ("mae", "rps"):
        tuned = stored[f"L2RCLIP {score}"]
        assert all(
            (tuned < stored[f"{name} {score}"]).all()
            for name in rows
            if name != "L2RCLIP"
        )
    curve = stored[[f"val_mae {epoch}" for epoch in range(1, 21)]].to_numpy()
    assert (curve[:, 11] < curve[:, 0]).all()
    assert (curve[:, 12] > curve[:, 11]).sum() == 14
    assert (curve[:, 19] < curve[:, 11]).all()

# %% [markdown]
# Stage 1 alone has a higher RPS than the probe. It gets an image only after the projection, as 384 numbers in place of 1,280,
# and its five points must come from a text tower. Stage 2 makes the difference, because it trains the image tower itself:
# L2RCLIP has the lowest MAE and the lowest RPS of the table.
#
# That proves nothing about language. The rival to ask for tunes the *same* tower for as many epochs with cross-entropy and no
# sentence at all: [chapter 9](09_does_it_help.ipynb) does so on real photographs, and with random vectors in the place of the
# sentences. For a data set of your own, compare in this order: first the median rank, then the probe, then the tuned tower.
#
# ## What stage 1 did to the sentences
#
# In Figure 2.4 red marks pairs of sentences that are near, blue those that are far.

# %% mystnb={"image": {"alt": "Two five by five heat maps of cosine similarity between the text features of the ranks, before and after stage 1."}} tags=["hide-input", "nbval-ignore-output"]
texts = {
    "raw sentences": bare_sentences(before),
    "after stage 1": run.model.rank_features,
}
cosines = {when: features @ features.T for when, features in texts.items()}
heat_maps(cosines, ranks.names, columns=2, height=3.2, below=True, digits=2)

# %% [markdown]
# **Figure 2.4.** Cosine between the text features of every two ranks, their mean taken off first: as the language model
# gives them, and after stage 1.
#
# Before any training the sentences already lie roughly in order: the far corners are blue. Stage 1 moves each sentence
# towards the images of its rank. Does that bring more order, or only a better place? With five ranks that is hard to
# say. [Chapter 3](03_rank_templates.ipynb) measures the order of untrained sentences, and
# [chapter 4](04_rankformer.ipynb) explains why RankFormer does not keep this order by itself.
#
# ## Where the model is wrong
#
# The errors of an ordinal model should lie beside the diagonal, not in the corners. Which grade is mistaken most often, and
# for which?

# %% mystnb={"image": {"alt": "Two confusion matrices of true against predicted ranks on the test images, for the linear probe and for L2RCLIP; in the second most of the weight is on the diagonal and beside it."}} tags=["hide-input", "nbval-ignore-output"]
predictions = pd.read_csv(run.out / "predictions.csv")
truth, answer = (predictions[name] for name in ("true_rank", "predicted_rank"))
probed = answers.argmax(1)  # of the linear probe
plots.confusion(
    {"linear probe": (truth, probed), "L2RCLIP": (truth, answer)}, ranks
)

# %% [markdown]
# **Figure 2.5.** Answers on the test images: each row is a true rank, each number the share of it that got an answer.
#
# Before you trust a mean, look at single images, the worst ones first. Often the image is unclear. Sometimes the model
# has learned something that it should not: a dark ground, a species, a wet leaf.

# %% mystnb={"image": {"alt": "The test images with the largest error, each above a bar chart of the probabilities that the model gives the five ranks."}} tags=["hide-input", "nbval-ignore-output"]
probabilities = predictions.filter(regex=r"^p_\d+$").to_numpy()
error = (predictions["expected"] - truth).abs()
worst = error.sort_values(ascending=False).index[:5].tolist()
plots.gallery(data.test, probabilities, ranks, worst)

# %% [markdown]
# **Figure 2.6.** The test images on which the expectation is furthest from the true rank. A triangle marks the true
# rank.
#
# ## Use the model
#
# The run directory is all you need. It holds the image tower, the five text features, and the temperature, which gave
# the lowest RPS on validation images. How sure the model then is, [chapter 10](10_your_own_images.ipynb) checks.

# %% tags=["nbval-ignore-output"]
model = L2RCLIP.from_pretrained(run.out)
image, target = data.test[0]
prediction = model.predict([image])
print("true:", ranks.names[target], "predicted:", *prediction.name)
print("expectation:", round(float(prediction.expected[0]), 2))

# %% [markdown]
# From a shell: `l2rclip predict runs/leaves photo.jpg`.
#
# ## Exercises
#
# **1. The weights of an image.** A label set has the uneven values 0, 1, 2, 5 and 9. Write the five weights
# $\omega_{ik}$ of (2.4) for an image $i$ of rank 1, whose value is 1. Here $M$ is the largest distance in
# the whole label set.

# %% tags=["hide-input"]
VALUES = torch.tensor([0.0, 1.0, 2.0, 5.0, 9.0])


def check_weights(mine: list[float]) -> str:
    """Compare a row of weights with the package's."""
    if torch.tensor(mine).shape != (5,):
        return "not yet: five ranks, five weights in one row"
    right = rank_weights(torch.tensor([1]), VALUES, normalise="global")[0]
    for name, row in {
        "right": right,
        "not yet: a distance is between values, not places": torch.tensor(
            [1, 0, 1, 2, 3]
        )
        / 4,
        "not yet: M is the largest distance of the label set": right * 9 / 8,
    }.items():
        if torch.allclose(torch.tensor(mine).float(), row.float(), atol=1e-3):
            return name
    return "not yet: distances from the value 1, divided by the largest"


# %%
print(check_weights([0.0, 0.0, 0.0, 0.0, 0.0]))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The distances are 1, 0, 1, 4 and 8, and the largest distance of the label set is 9.
#
# ```python
# check_weights([1 / 9, 0.0, 1 / 9, 4 / 9, 8 / 9])
# ```
#
# </details>

# %% tags=["remove-cell"]
# the solution is right, and near misses are not
assert check_weights([1 / 9, 0.0, 1 / 9, 4 / 9, 8 / 9]) == "right"
assert "places" in check_weights([1 / 4, 0.0, 1 / 4, 2 / 4, 3 / 4])

# %% [markdown]
# **2. Do not trust the freezing table; test it.** Write a function that compares two `state_dict`s and returns the
# names of all tensors that training has changed. The check then sees whether the text tower is among them.


# %% tags=["hide-input"]
def check_moved(moved: Callable[..., set[str]]) -> str:
    """Try it on four tensors, then on the run."""
    one = {f"{part}.x": torch.tensor([0.5, 1.5]) for part in "abcd"}
    two = {"b.x": [0.5, 2.0], "c.x": [1.5, 0.5], "d.x": [0.5, 1.5 + 1e-6]}
    names = moved(one, one | {k: torch.tensor(v) for k, v in two.items()})
    if not isinstance(names, set):
        return "not yet: return a set of names"
    if names != set(two):
        return "not yet: b.x changed in one number, c.x in order, d.x by 1e-6"
    names = moved(before.state_dict(), run.model.state_dict())
    if any(name.startswith("towers.text") for name in names):
        return "not yet: the text tower is frozen, compare again"
    parts = sorted({".".join(name.split(".")[:2]) for name in names})
    return "right; changed are " + ", ".join(parts)


# %%
def moved(old: dict, new: dict) -> set[str]:
    """Return the names of the tensors that differ."""
    return set()  # yours


print(check_moved(moved))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# ```python
# def moved(old, new):
#     return {name for name in old if not torch.equal(old[name], new[name])}
# ```
#
# Context, RankFormer and image tower differ. The other names are not in the table, because they are not trained:
# `rank_features` stores the output of stage 1; temperature and conformal level ([chapter 10](10_your_own_images.ipynb)) are
# chosen at the end.
#
# </details>


# %% tags=["remove-cell"]
def solved_moved(old: dict, new: dict) -> set[str]:
    """The solution above."""
    return {name for name in old if not torch.equal(old[name], new[name])}


assert "prompts.context" in check_moved(solved_moved)
assert check_moved(moved).startswith("not yet")

# %% [markdown]
# **3. Choose the epoch.** Write the rule by which stage 1 keeps an epoch: the lowest validation RPS; of equal ones the
# lower validation MAE; of equal ones the earlier epoch. A row of the history has the keys `epoch`, `val_rps` and
# `val_mae`, among others.


# %% tags=["hide-input"]
def check_epoch(best: Callable[[list[dict[str, float]]], float]) -> str:
    """Small histories, two with ties, then the run."""
    cases = {
        "RPS decides before MAE": [(1, 0.4001, 0.3), (2, 0.4, 0.6)],
        "MAE decides between equal RPS": [(1, 0.4, 0.6), (2, 0.4, 0.5)],
        "the earlier of equal epochs": [(2, 0.5, 0.6), (3, 0.4, 0.5)] * 2,
        "the lowest need not be the last": [(4, 0.3, 0.5), (5, 0.4, 0.4)],
        "read on, also after a worse one": [(1, 2, 0), (2, 3, 0), (3, 1, 0)],
    }
    for (hint, rows), right in zip(cases.items(), (2, 2, 3, 4, 3), strict=True):
        keys = ("epoch", "val_rps", "val_mae")
        history = [dict(zip(keys, row, strict=True)) for row in rows]
        if hint.startswith("the earlier"):
            history[-1]["epoch"] = 9
        given = [*history]
        mine = best(given)
        if mine != right:
            return f"not yet: {hint}; epoch {right} is right, yours is {mine}"
        if given != history:
            return "not yet: leave the history in order; use min or sorted"
    stage1 = [row for row in run.history if row["stage"] == 1]
    return f"right; of this run's stage 1, epoch {best(stage1):.0f} was kept"


# %%
def best_epoch(history: list[dict[str, float]]) -> float:
    """Return the number of the epoch that is kept."""
    return history[-1]["epoch"]  # yours


print(check_epoch(best_epoch))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Python compares tuples from left to right, and `min` returns the first of equal rows.
#
# ```python
# def best_epoch(history):
#     row = min(history, key=lambda row: (row["val_rps"], row["val_mae"]))
#     return row["epoch"]
# ```
#
# </details>


# %% tags=["remove-cell"]
def solved_epoch(history: list[dict[str, float]]) -> float:
    """The solution above."""
    row = min(history, key=lambda row: (row["val_rps"], row["val_mae"]))
    return row["epoch"]


assert check_epoch(solved_epoch).startswith("right")
assert "RPS" in check_epoch(
    lambda rows: min(rows, key=lambda r: r["val_mae"])["epoch"]
)
assert "MAE" in check_epoch(
    lambda rows: min(rows, key=lambda r: r["val_rps"])["epoch"]
)

# %% [markdown]
# **4. What does the model look at?** Predict, then run. Change all test images in one way that leaves each rank as it
# is: mirror them, darken them, take their colour away, or something of your own. Before you run it, write down how far
# you expect the expectation of an image to move, on average over the images, in ranks. The check allows an error of 0.1
# ranks.


# %% tags=["hide-input"]
from PIL import Image


def check_change(change: Callable[..., Image.Image], forecast: float) -> str:
    """Compare the expectations of changed and unchanged test images."""
    images = [image for image, _ in data.test]
    others = [change(image.copy()) for image in images]
    for image, other in zip(images, others, strict=True):
        if not isinstance(other, Image.Image) or other.mode != "RGB":
            return "not yet: return an image in RGB, not an array and not L"
        if other.size != image.size:
            return f"not yet: keep the size; an image has {image.size} pixels"
    pixels = [other.tobytes() for other in others]
    if pixels == [image.tobytes() for image in images]:
        return "not yet: no image has changed"
    if len(set(pixels)) < len(images):
        return "not yet: two images became one, so their ranks are lost"
    gain = model.predict(others).expected - model.predict(images).expected
    moved, way = float(gain.abs().mean()), "up" if gain.mean() > 0 else "down"
    if not abs(forecast - moved) <= 0.1:
        hint = "what in the image has changed for the model?"
        return f"not yet: {forecast:g} forecast, {moved:.2f} measured; {hint}"
    return f"right: {moved:.2f} ranks, more often {way}"


# %%
def change(image: Image.Image) -> Image.Image:
    """Return the image changed, with the same rank."""
    return image  # yours


forecast = 0.0  # yours
print(check_change(change, forecast))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Mirrored leaves move the answers little, though not by zero: in stage 2 half of the images were mirrored, at random.
#
# ```python
# def change(image):
#     return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
#
#
# forecast = 0.18
# ```
#
# Now try `image.convert("L").convert("RGB")`, which takes the colour away. The damaged share is the same, but the
# answers move further, so the model uses colour. If it should not, let colours vary among the training images: that is
# what *augmentation* is for.
#
# </details>


# %% tags=["remove-cell"]
def mirrored(image: Image.Image) -> Image.Image:
    """The solution above."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def grey(image: Image.Image) -> Image.Image:
    """Without colours."""
    return image.convert("L").convert("RGB")


prediction_of_all = model.predict([image for image, _ in data.test])

for title, change_of in {"mirrored": mirrored, "grey": grey}.items():
    others = [change_of(image) for image, _ in data.test]
    shift = model.predict(others).expected - prediction_of_all.expected
    numbers[f"{title} moves"] = float(shift.abs().mean())
assert "no image" in check_change(change, 0.0)
if len(stored):
    assert ((stored["mirrored moves"] - 0.18).abs() < 0.1).all()
    assert (stored["grey moves"] - 0.18 > 0.1).all()
    assert (stored["grey moves"] > stored["mirrored moves"]).all()

# %% tags=["hide-input", "spread"]
print(beside_stored(numbers, stored))

# %% [markdown]
# ## Three questions
#
# **After stage 1 the text tower could be deleted. Why, and why not before?**
#
# <details>
# <summary>Answer</summary>
#
# In stage 2 the texts are constants, and a prediction compares an image with five stored vectors. In stage 1 the
# gradient must pass through the frozen text tower to reach context and RankFormer. A frozen tower keeps its weights; it
# is still needed.
#
# </details>
#
# **Stage 1 computes each image feature once, and stage 2 does not. What would happen if stage 2 did?**
#
# <details>
# <summary>Answer</summary>
#
# The features would be those of the untrained tower, and no gradient would reach its weights: the loss would have
# nothing left to change. Augmentation would be lost, too, since every epoch would use the same features.
#
# </details>
#
# **The loss of stage 1 may become negative, that of stage 2 never does. Is stage 1 better trained then?**
#
# <details>
# <summary>Answer</summary>
#
# No. In stage 1 distances are subtracted, so that it has no floor at 0; cross-entropy and RPS cannot be negative.
# Losses with different terms say nothing about each other. Compare the errors on validation images.
#
# </details>
#
# ## Summary
#
# - Stage 1 trains RankFormer and context vectors on cached image features: the sentences move to the images.
# - Stage 2 trains the image tower on cached text features: the images move to the sentences, and a far mistake costs
#   more.
# - The freezing table is data, so it can be printed and tested.
# - Validation images choose the epoch of stage 1 and a temperature. Test images are only scored, and baselines stand
#   beside every result.
# - The same call starts, resumes and loads a run.
#
# [Chapter 3](03_rank_templates.ipynb) goes back to the beginning and asks how much order the sentences hold.
#
# ## Sources
#
# The method is that of [Wang et al. (2023)](references.md). The authors' repository holds the losses, which this package
# reproduces to six digits, and the optimisers, which say what each stage trains. The repository also has one data set,
# metrics and split lists, but no model or training loop. Template, number of context vectors, learning rates and axis
# of attention we found in neither paper nor repository; they are settings in `l2rclip_lite.config.Config`, and
# [hyperparameters](hyperparameters.md) says where the defaults come from.
