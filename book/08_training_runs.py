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
# A result that nobody can reproduce is an anecdote. This page is both a chapter and a program: its parameters choose a
# data set, a fold, the towers and a seed, and one command runs it. For each benchmark of the paper
# ([Wang et al., 2023](references.md)), a file in `experiments/` holds the parameters. Every step also runs on generated
# leaves, as here.
#
# **You need.** The two stages of L2RCLIP ([chapter 2](02_your_own_images.ipynb)), and enough shell to read a command and a loop.
#
# **Time and hardware.** A laptop is enough for this page. A real benchmark needs its images and a GPU; what that costs
# is worked out [below](#what-a-run-costs-elsewhere). The last line of the page says how long it took here.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: seconds; page: as shown; full: for real images
DATASET = "leaves"  # one of those that `l2rclip data` lists
ROOT = ""  # folder of the images; only leaves need none
LISTS = ""  # folder of the official lists; empty: ROOT/datalists
PROTOCOL = ""  # morph, clap2015, aesthetics; empty: the loader's default
CATEGORY = ""  # aesthetics: animals, nature, people or urban
FOLD = None  # which fold; None: the loader's default
FOLDS = []  # all folds of the protocol: the summary says which are missing
FEW_SHOT = None  # keep so many training images per rank
LABEL_SHIFT = ""  # such as 10:0.2, the 10 most frequent ranks keep a fifth
PROTOCOL_SEED = 0  # decides what the two lines above keep
DATA_OPTIONS = {}  # anything else that load_dataset takes
TOWERS = "mini"  # or ViT-B-16/openai, as in the paper
WEIGHTS = ""  # a local file for TOWERS
IMAGE_SIZE = None  # pixels; None: what the profile says
EPOCHS1 = None  # None: what the profile says
EPOCHS2 = None
BATCH_SIZE = None
SETTINGS = {}  # anything else that Config takes
BASELINES = ["linear-probe"]  # cross-entropy, too, doubles the time
SEED = 0  # decides the start and every batch
DEVICE = "auto"  # auto, cpu, cuda or mps
PRECISION = "fp32"  # bf16 on a GPU that has it
PUBLISHED = []  # published results to print beside the run's own
OUT = ""  # folder for run directories; empty: a temporary folder

# %% tags=["nbval-ignore-output", "hide-input"] mystnb={"image": {"alt": "Generated leaves in five columns, one for each rank of damage, from none on the left to very high on the right."}}
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import yaml
from IPython.display import Markdown
from pydantic import ValidationError

from l2rclip_book import plots, provoked, training_runs
from l2rclip_book.results import (
    beside_stored,
    markdown_table,
    numbered,
    spread_table,
    stored_runs,
)
from l2rclip_book.signs import (
    SIGNS,
    SeenImages,
    measure,
    see_images,
)
from l2rclip_book.training_figures import sign_ranges
from l2rclip_lite import L2RCLIP, Config, fit, load_dataset
from l2rclip_lite.baselines import check_baselines, run_baseline
from l2rclip_lite.data.check import leakage
from l2rclip_lite.errors import InputError, sentence
from l2rclip_lite.files import read_json, write_json
from l2rclip_lite.method.stages import freezing_table
from l2rclip_lite.runs.results import Run, judge, median_rank
from l2rclip_lite.training_data import TrainingData

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

folder = Path(OUT or tempfile.mkdtemp()).expanduser()
synthetic = DATASET == "leaves"
try:
    parameters = training_runs.written(globals())
    training_runs.check_parameters(parameters)
    source = (
        training_runs.filled(parameters, training_runs.LOADING) | DATA_OPTIONS
    )
    if FEW_SHOT or LABEL_SHIFT:
        source["protocol_seed"] = PROTOCOL_SEED
    if synthetic and PROFILE != "full":
        source = {"size": 150, "pixels": 96} | source
    if not (synthetic or ROOT):
        raise InputError(f"ROOT is empty; give the folder of {DATASET}.")
    if not synthetic:
        source["root"] = str(Path(ROOT).expanduser().absolute())
    config = Config(seed=SEED, **training_runs.run_settings(parameters))
    methods = [
        name
        for name in BASELINES
        if PROFILE != "smoke" or name == "linear-probe"
    ]
    check_baselines(methods)
    data = load_dataset(DATASET, **source)
except (InputError, ValidationError) as error:
    raise SystemExit(sentence(error)) from None
ranks, name = data.ranks, training_runs.run_name(parameters)
if DATASET in ("leaves", "bracol", "retinamnist", "csv"):
    columns = 3 if max(map(len, ranks.names)) > 12 else 5
    sheet = plots.contact_sheet(data.train, ranks, rows=2, columns=columns)
else:
    sheet = (
        "People may be seen: a notebook travels, so no image is copied into it."
    )
sheet

# %% [markdown]
# **Figure 8.1.** Training images of each rank. As long as you choose no data set, they are generated leaves: enough to
# see that every step runs, and no more.

# %% tags=["hide-input"]
print(
    f"{name}: {len(data.train)} images to learn from, {len(data.val)} to choose "
    f"on, {len(data.test)} to report"
)
if synthetic:
    print("SYNTHETIC: these leaves were drawn, each from its label.")

# %% [markdown]
# ## One command
#
# The parameters cell holds only plain values, so that [papermill](https://papermill.readthedocs.io) can put others in
# their place. An empty value leaves the decision to the profile, or to the loader of the data set. This command runs
# the page on Adience, with the settings of its parameter file, and keeps the executed copy as the log of the run:
#
# ```bash
# papermill book/08_training_runs.ipynb log.ipynb -f experiments/adience.yaml \
#   -p ROOT /data/adience -p OUT runs -p FOLD 0 -p SEED 0
# ```
#
# `-f` names a parameter file, and `-p` overrides it. With `-p PROFILE smoke` images, epochs and towers are small and the
# linear probe is the only baseline, whatever the file says: use it to try a batch.
#
# For your own images start from `experiments/csv.yaml`: it needs a folder with a file `labels.csv`, your ranks from low
# to high, and a sentence around `"{rank}"`.
#
# ## Before you train: card, counts, leakage
#
# Whose images are these, and what may be done with them? The *card* of a data set says it. Which ranks have images at
# all? Who appears in both training and test? That is *leakage*. [Chapter 16](16_data_sets.ipynb) answers these
# questions for every benchmark.

# %% tags=["nbval-ignore-output", "hide-input"]
card = data.card.to_dict() | {"done here": "; ".join(data.protocol)}
rows = [(key, text) for key, text in card.items() if text]
Markdown(markdown_table(["", ""], rows))

# %% mystnb={"image": {"alt": "Three bar charts, one for each split: the number of images of each of the five ranks."}} tags=["nbval-ignore-output", "hide-input"]
counts = pd.DataFrame(
    {part: data.counts(part) for part in ("train", "val", "test")}, ranks.names
)
with plots.style():
    counts.plot.bar(subplots=True, figsize=(7.6, 4.6), legend=False)

# %% [markdown]
# **Figure 8.2.** Images per rank in the three splits.

# %% tags=["nbval-ignore-output", "hide-input"]
shared = leakage(data).items()
pd.Series({key: "unknown" if n is None else n for key, n in shared})

# %% [markdown]
# ## The run
#
# `Config` gets the parameters above, and any other setting from `SETTINGS`. The table shows what each stage trains.

# %% tags=["hide-input"]
print(freezing_table(L2RCLIP.build(ranks, config, data.image_size)))

# %% [markdown]
# One call of `fit` trains both stages. The name of the run directory says what was varied, so a whole batch can share
# one folder. No run can overwrite another: `fit` refuses a directory that holds a run with other settings or data. It
# trains no baselines. The page trains those in `BASELINES` with the same towers, data and budget, and keeps their
# scores beside the run:


# %%
def baseline_scores(out: Path, config: Config) -> dict[str, dict]:
    """Return the scores of the baselines beside a run; train what is missing."""
    file = out / "baselines.json"
    stored = read_json(file) if file.exists() else {}
    for method in [each for each in methods if each not in stored]:
        answers = run_baseline(method, data, config)
        stored[method] = judge(answers, data.test, data.ranks, intervals=True)
        write_json(file, stored)  # an interrupted batch keeps it
    return stored


# %% [markdown]
# `train` puts both together. A run that is finished is only loaded:


# %%
def train(number: int) -> tuple[Run, dict]:
    """Train with a seed, or resume or load the run in its place."""
    config = Config(seed=number, **training_runs.run_settings(parameters))
    out = folder / f"{name}_seed{number}"
    named_source = {"name": DATASET} | source
    run = fit(data, config, out, source=named_source, quiet=True)
    scores = {
        "L2RCLIP": run.metrics["test"],
        "L2RCLIP, stage 1 only": run.metrics["test_after_stage1"],
        "median rank": run.metrics["median_rank"],
    }
    return run, scores | baseline_scores(out, config)


run, scores = train(SEED)

# %% tags=["hide-input", "nbval-ignore-output"]
print(
    run.out.name, *sorted(path.name for path in run.out.iterdir()), sep="\n  "
)

# %% mystnb={"image": {"alt": "Left: validation error over the epochs of stage 1 and stage 2 with the line of the median-rank predictor. Right: training loss of both stages."}} tags=["nbval-ignore-output", "hide-input"]
constant = median_rank(replace(data, test=data.val))["mae"]
page = {"BASELINES": ["linear-probe"], "TOWERS": "mini", "PRECISION": "fp32"}
free = ("PROFILE", "DATASET", "SEED", "OUT", "DEVICE", "PUBLISHED")
changed = [
    parameter
    for parameter, value in parameters.items()
    if parameter not in free and value and value != page.get(parameter)
]
own_settings = synthetic and PROFILE == "page" and not changed
stored = stored_runs("08") if own_settings else pd.DataFrame()
plots.training_curves(
    run.history, ranks, reference=constant, split="validation", stored=stored
)

# %% [markdown]
# **Figure 8.3.** Validation error and training loss of both stages. Thin lines are stored runs. A dot marks the epoch that was kept: of stage 1 the
# one with the lowest validation RPS, of stage 2 the last. With so few validation images the error moves in coarse
# steps.
#
# MAE has the unit of the ranks: years, groups, decades or, here, grades. The interval is a bootstrap over the test images. It
# says what another test set of that size might have shown, and nothing about another seed. Results in `PUBLISHED` appear below the run's own; [their sources](#published-numbers) are listed further down.

# %% tags=["nbval-ignore-output", "hide-input"]
columns = {
    "rps": "RPS",
    "mae": f"MAE ({ranks.unit})",
    "accuracy": "accuracy",
    "qwk": "QWK",
}
if data.test.deviations:
    columns["epsilon_error"] = "ε-error"


def with_doubt(row: dict[str, float], key: str) -> str:
    """Write a score with its 95 % interval, or with its published deviation."""
    if key not in row:
        return "–"
    if f"{key}_low" in row:
        low, high = row[f"{key}_low"], row[f"{key}_high"]
        return f"{row[key]:.2f} [{low:.2f}, {high:.2f}]"
    doubt = f" ± {row[f'{key}_sd']:g}" if f"{key}_sd" in row else ""
    return f"{row[key]:.3g}{doubt}"


quoted = {f"published: {x['method']}": x for x in PUBLISHED}
pd.DataFrame(
    {
        title: [with_doubt(row, key) for row in (scores | quoted).values()]
        for key, title in columns.items()
    },
    index=list(scores | quoted),
)

# %% tags=["remove-cell"]
assert set(methods) <= set(scores)
assert run.metrics["test"]["n"] == len(data.test)
assert 0 <= run.metrics["test"]["mae"] <= max(ranks.values) - min(ranks.values)

# %% [markdown]
# ## Resume
#
# Give the same command again. A finished run is loaded; an interrupted one resumes after its last complete epoch. Both
# end in the numbers of a run that was never stopped, bit for bit, because every random draw of an epoch comes from the
# seed, the stage and the number of the epoch. A baseline that was cut short starts afresh. Here the finished run is
# only loaded; [chapter 18](18_reliability.ipynb) stops one on the way:

# %% tags=["nbval-ignore-output"]
again, _ = train(SEED)
print("the same numbers:", again.metrics == run.metrics)

# %% [markdown]
# A run with a changed setting needs another `OUT`. Device, threads and worker processes do not count as settings.
#
# ## A batch and its summary
#
# One number is not a result. A shell loop makes a batch, and each file in `experiments/` has its own at the top:
#
# ```bash
# for fold in 0 1 2 3 4; do for seed in 0 1 2; do
#   papermill book/08_training_runs.ipynb log-$fold-$seed.ipynb \
#     -f experiments/adience.yaml \
#     -p ROOT /data/adience -p OUT runs -p FOLD $fold -p SEED $seed
# done; done
# ```
#
# Each run of the batch reads the finished ones beside it, so the last log holds the summary. Over *seeds* the standard
# deviation says how much the start matters; over *folds* it also includes the luck of the split. Say which, and how
# many. A linear probe has no random start: its deviation over seeds is 0, and it is no more certain for that.


# %%
def collect(pattern: str) -> pd.DataFrame:
    """Return one row per method of each finished run."""
    rows = []
    for file in sorted(folder.glob(f"{pattern}/metrics.json")):
        by_method = {"L2RCLIP": read_json(file)["test"]}
        rivals = file.with_name("baselines.json")
        if rivals.exists():
            by_method |= read_json(rivals)
        rows += [
            {"run": file.parent.name, "method": method} | row
            for method, row in by_method.items()
        ]
    return pd.DataFrame(rows)


# %% [markdown]
# The page has two seeds:

# %% tags=["nbval-ignore-output"]
if PROFILE != "full":  # a second run, for something to average
    train(SEED + 1)
stem, fold = name.split("_fold")[0], "" if FOLD is None else "_fold*"
runs = collect(f"{stem}{fold}_seed*")
columns = ["rps", "mae", "accuracy"]
runs.groupby("method")[columns].agg(["mean", "std"]).round(3)

# %% tags=["nbval-ignore-output", "hide-input"]
there = runs["run"].str.extract(r"_fold(\d+)_", expand=False).dropna()
missing = sorted(set(FOLDS) - set(there.astype(int))) or "none"
print(f"{runs['run'].nunique()} runs; folds still missing: {missing}")

# %% [markdown]
# Two seeds are hardly enough. On the book's page the next table has, beside the run above, the lowest and the highest of
# fifteen stored runs (five seeds under three kinds of processor kernels, all on the same leaves):

# %% tags=["nbval-ignore-output", "hide-input"]
numbers = {
    f"{method} {key}": row[key]
    for method, row in scores.items()
    for key in ("rps", "mae")
}
shown = {"rps": "RPS", "mae": f"MAE ({ranks.unit})"}
spread_table(numbers, stored, list(scores), shown)

# %% [markdown]
# **The linear probe is ahead in most stored runs.** L2RCLIP beats it in two of the fifteen by RPS, and in two by MAE, so a
# single run could say the opposite. Tuning lowers the RPS of stage 1 in twelve, but rarely enough: with a few dozen images per
# rank, a convex fit to good features is hard to beat.
#
# ## Does every part work?
#
# Good scores do not show that every part of the method works. Four ways to fail were provoked for this book, and each leaves
# signs in the features. `l2rclip report runs/mine` makes one HTML page of a finished run. Beside scores, curves and the worst
# images it shows these signs, next to those of healthy runs and of runs that were made to fail. Here, on leaves, each failure
# is provoked once, with the settings of the page but for what makes it fail. The numbers:

# %% tags=["hide-input"]
lines = [[sign.short, sign.meaning] for sign in SIGNS]
Markdown(markdown_table(["name", "what it is"], lines))


# %%
def provoke(kind: str) -> dict[str, float | str]:
    """Train a run that fails on purpose; return its signs."""
    settings = provoked.settings(kind, config)
    model = L2RCLIP.build(ranks, settings, data.image_size)
    provoked.train_stages(kind, images, model)
    after = None  # what fails in stage 1 is left at that
    if kind == provoked.APART:
        after = images.encode(model, "test")
    seen = SeenImages(images.features["test"], after, images.targets["test"])
    return measure(model, seen)


# %% mystnb={"image": {"alt": "Seven rows, one for each sign, each with a blue band and a dot for healthy runs and an orange band and a cross for runs that fail on purpose. In most rows the bands lie apart."}} tags=["nbval-ignore-output", "hide-input"]
test_images = None if config.start else see_images(run.model, data)
signs_of = {provoked.HEALTHY: measure(run.model, test_images)}
provokes = synthetic and PROFILE != "full"  # minutes on leaves, days on others
if provokes:
    untrained = L2RCLIP.build(ranks, config, data.image_size)
    images = TrainingData.load(data, untrained)
    signs_of |= {kind: provoke(kind) for kind in provoked.PROVOKED}
sign_ranges(signs_of)

# %% [markdown]
# **Figure 8.4.** Signs of failure. Bands, to two decimals: fifteen stored runs that are healthy, and fifteen that failed in each way. Dots: the
# run of this page; crosses: the four that were provoked here. A dashed line lies halfway between bands that are apart.

# %% tags=["remove-cell"]
if len(stored):  # what the text says of all stored runs
    for score in ("rps", "mae"):
        ahead = stored[f"L2RCLIP {score}"] < stored[f"linear-probe {score}"]
        assert ahead.sum() == 2
for column in ("val_mae", "loss"):
    numbers |= numbered(column, [row[column] for row in run.history])
for kind, values in signs_of.items():
    numbers |= {
        f"{kind}: {sign}": value
        for sign, value in values.items()
        if isinstance(value, float)
    }

# %% [markdown]
# - **RankFormer adds no order.** After one epoch at a small learning rate, the answers are hardly in a better order
#   than without RankFormer. The order of the *sentences* is no sign: with five ranks it falls in healthy runs, too.
# - **The pairwise loss breaks the alignment.** With $\lambda_1=1000$ it outweighs the others: sentences move away from
#   their plain templates, and images lie much nearer to other sentences than to their own; in healthy runs, a little.
# - **The context says nothing about the ranks.** At a hundred times the learning rate the context outweighs the words:
#   another context changes a sentence more than in any healthy run. What it is without a context decides nothing.
# - **Images of one sentence are pushed apart.** Here a loss compares images with images, and treats those of one rank as
#   different.
#
# With other data, towers or numbers of ranks the bands lie elsewhere.
#
# ## Watch it elsewhere
#
# After each epoch `fit` calls the function that you pass as `on_epoch` with the new row of the history: a dictionary of
# `stage`, `epoch`, `loss`, `val_rps` and the other scores. Any dashboard takes a few lines. TensorBoard:
#
# ```python
# from torch.utils.tensorboard import SummaryWriter  # pip install tensorboard
#
# with SummaryWriter("boards/mine") as board:
#     fit(data, config, "runs/mine",
#         on_epoch=lambda row: board.add_scalars(f"stage {row['stage']}", row, row["epoch"]))
# ```
#
# Weights & Biases, which sends what you log to its servers:
#
# ```python
# import wandb  # pip install wandb
#
# with wandb.init(project="ranks", config=config.to_dict()) as board:
#     fit(data, config, "runs/mine",
#         on_epoch=lambda row: board.log({f"stage {row['stage']}/{name}": row[name] for name in row}))
# ```
#
# ## From a shell, and on several GPUs
#
# The command line tool does the same, without figures. There, the run of this page would be:

# %% tags=["hide-input"]
words = {"dataset": DATASET} | source | ({"root": ROOT} if ROOT else {})
if "seed" in words:
    words["data_seed"] = words.pop("seed")
words |= training_runs.run_settings(parameters) | {"seed": SEED}
words["out"] = f"runs/{name}_seed{SEED}"
line = " ".join(training_runs.options(words))
print(f"l2rclip fit {line}\nl2rclip baselines {words['out']}", *methods)

# %% [markdown]
# - **On a GPU**, `DEVICE = "auto"` uses one if there is one, and `cuda` refuses to start without. `PRECISION = "bf16"`
#   runs the image tower under autocast; losses and text features stay in 32 bits. The files of the large benchmarks ask
#   for bf16.
# - **On several GPUs**, let Accelerate start the same command: `accelerate launch -m l2rclip_lite fit …`. Stage 2 then
#   splits the batches among the processes and averages their gradients. `--batch-size` counts per process, so four GPUs
#   with 16 images each take steps of 64 images. A notebook is one process, so start the command first, with the `--out`
#   that the page would use; the page then only reads the finished run.
# - **Not tried here**: no GPU was at hand where this book was written. Several processes were tested on a CPU.

# %% tags=["nbval-ignore-output", "hide-input"]
if torch.cuda.is_available():
    bf16 = "with" if torch.cuda.is_bf16_supported() else "without"
    print(f"a GPU is here: {torch.cuda.get_device_name(0)}, {bf16} bf16")
else:
    print("no GPU is here: auto means the CPU")

# %% [markdown]
# ## What a run costs elsewhere
#
# What follows is arithmetic, not measurement. ViT-B/16 processes an image as 197 tokens of width $d = 768$ in 12
# layers. Each layer has $12 d^2$ weights, used once per token, and two attention products, $2 \cdot 197^2 d$. With the
# patch embedding in front, and two operations for a multiplication with addition, one forward pass of an image costs
#
# $$
# F = 2 \left( 12 \left( 12\, d^2 \cdot 197 + 2 \cdot 197^2\, d \right) + 196\, d^2 \right) \approx 35\ \text{GFLOP}, \tag{8.1}
# $$
#
# and a training step three times that, because the backward pass has two products for each one of the forward pass.
# With $n$, $v$, $m$ images in training, validation and test, $E$ epochs of stage 2 and $c$ methods that tune the tower
# (L2RCLIP, and cross-entropy if asked for), a run costs
#
# $$
# C = F \left( c\,E\,(3n + v) + 2\,(n + v + m) \right). \tag{8.2}
# $$
#
# The last term is a bound for what is encoded without training: the features of the untrained tower, which stage 1 and the
# baselines read, and the answers of the trained ones. The text tower of stage 1 adds a few percent, left out here.


# %%
def cost(n: int, v: int, m: int, epochs: int, methods: int = 2) -> float:
    """Return the operations of a run that tunes ViT-B/16: C above."""
    seen = methods * epochs * (3 * n + v) + 2 * (n + v + m)
    return training_runs.FORWARD * seen


RATES = {"A100, bf16": 50e12, "T4": 4e12, "2 CPU cores": 0.13e12}
PRICE = 2.0  # of an hour on an A100, in your currency

# %% [markdown]
# | assumption | why |
# |---|---|
# | 50 TFLOP/s on an A100 in bf16 | an assumption: a sixth of its peak of 312, for small batches ([chapter 17](17_speed_and_scale.ipynb) assumes more for large ones) |
# | 4 TFLOP/s on a T4, the GPU that Colab lends, in fp32 | half of its peak; it has no bf16 units, so leave `PRECISION` at fp32 |
# | 0.13 TFLOP/s on two CPU cores | measured, with training steps of 8 images in fp32 |
# | 2.0 per hour of an A100 | a placeholder, not an offer |
#
# The counts come from [chapter 16](16_data_sets.ipynb), the epochs from the parameter files. The last column is the
# main memory that all resized images would take.

# %% tags=["hide-input"]
homes = [
    path for path in (Path("results"), Path("book/results")) if path.is_dir()
]
files, table = {}, []
if homes:
    images = pd.read_csv(homes[0] / "data_sets.csv")
    home = homes[0].absolute().parent.parent / "experiments"
    files = {
        file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))
        for file in sorted(home.glob("*.yaml"))
    }
for stem, wanted in files.items():
    if wanted["TOWERS"] == "mini":
        continue
    n, v, m = training_runs.images_of(wanted, images)
    work = cost(n, v, m, wanted["EPOCHS2"])
    row = {"file": stem, "training images": f"{n:,}"}
    row |= {"PFLOP": f"{work / 1e15:.1f}"}
    row |= {at: training_runs.span(work / rate) for at, rate in RATES.items()}
    row["money"] = f"{work / RATES['A100, bf16'] / 3600 * PRICE:.2f}"
    row["memory"] = f"{(n + v + m) * 3 * 224**2 / 1e9:.1f} GB"
    table.append(row)
ALONE = "The parameter files are not beside this notebook: see the book's page."
pd.DataFrame(table).set_index("file") if table else ALONE

# %% [markdown]
# Each row is one run: one fold and one seed, with cross-entropy beside it.
#
# ### When memory runs out
#
# The **main memory** holds every image once, resized to the tower's input, as bytes. If those of a split take more than
# two gigabytes, they are decoded anew in every epoch instead. `SETTINGS = {"workers": 4}` gives that work to four
# processes; the result is the same to the last bit.
#
# The **GPU** holds the tower four times (weights, gradients and two moments of Adam: 16 bytes per parameter), and the
# activations of one batch. We estimate 60 MB per image in bf16 and twice that in fp32, so in all about 5 and 9 GB for
# a batch of 64, without the text tower and what CUDA takes.
#
# | what ran out | what to do | what it changes |
# |---|---|---|
# | GPU | `PRECISION` bf16 | the last digits |
# | GPU | halve `BATCH_SIZE` | the run: more and noisier steps. Say so beside the result |
# | GPU or main memory | a smaller `IMAGE_SIZE` (a multiple of 16 for ViT-B/16) | the run: fewer tokens |
# | time | `SETTINGS: {image_side: kernel}` | the method: the image tower stays frozen, stage 2 takes seconds |
#
# ## Published numbers
#
# The head of a parameter file says where each published number was seen. *Not obtained* means that the number is in the
# paper, but not in a source that we could check.

# %% tags=["hide-input"]
keys = ("accuracy", "mae", "auc", "epsilon_error")
head = ["file", "method", "accuracy", "MAE", "AUC", "ε-error", "source"]
rows = []
for stem, wanted in files.items():
    for row in wanted["PUBLISHED"]:
        cells = [with_doubt(row, key) for key in keys]
        rows.append([stem, row["method"], *cells, row["source"]])
Markdown(markdown_table(head, rows) if files else f"*{ALONE}*")

# %% [markdown]
# Three things keep such a table from being a ranking. The splits differ: setting A of MORPH II is another random draw
# in other papers, and everyone draws HCI and five-fold aesthetics anew. The validation differs: here a tenth of the
# training part chooses the epoch of stage 1 and the temperature, while the released code of the paper validates on its
# training set. And the paper's template, context length and epochs are not known to us, so they are settings here, with
# defaults of our own. [Reproduction](reproduction.md) lists what was run and what was not.
#
# ## Exercises
#
# **1. Your own file.** Write the parameters of a run on your own images, as a file in `experiments/` would hold them:
# the data set `csv` with the ranks *fresh, ripe, overripe*, a sentence for bananas, batches of 8 images, a learning
# rate of one thousandth in stage 1, and baselines `ridge` and `cross-entropy`. The check loads a folder of bananas with
# your options.

# %% tags=["hide-input"]
BANANAS = ("fresh", "ripe", "overripe")
EMPTY = {"PROFILE": "full", "SETTINGS": {}, "DATA_OPTIONS": {}, "BASELINES": []}


def parameters_in(text: str) -> dict:
    """Read a parameter file; refuse what is of another kind than EMPTY's."""
    read = yaml.safe_load(text) or {}
    if not isinstance(read, dict):
        raise InputError("write one parameter a line, such as DATASET: csv")
    for key, empty in EMPTY.items():
        if not isinstance(read.get(key, empty), type(empty)):
            kind = type(empty).__name__
            raise InputError(f"{key} is no {kind}: {read[key]!r}")
    return EMPTY | read


def check_file(text: str) -> None:
    """Judge the text of a parameter file."""
    try:
        mine = parameters_in(text)
        training_runs.check_parameters(mine)
        config = Config(**training_runs.run_settings(mine))
        check_baselines(mine["BASELINES"])
        with tempfile.TemporaryDirectory() as place:
            rows = [f"{n}.jpg,{BANANAS[n % 3]}" for n in range(9)]
            Path(place, "labels.csv").write_text(
                "\n".join(["path,label", *rows])
            )
            for row in rows:
                Path(place, row.split(",")[0]).touch()
            names = load_dataset(
                "csv", root=place, **mine["DATA_OPTIONS"]
            ).ranks
    except (InputError, ValidationError, TypeError, yaml.YAMLError) as error:
        print("not yet:", sentence(error))
        return
    right = {
        "DATASET is not csv": mine.get("DATASET") == "csv",
        "BATCH_SIZE is not 8": config.batch_size == 8,
        "lr1, in SETTINGS, is not one thousandth": config.lr1 == 1e-3,
        "the ranks are others": names.names == BANANAS,
        "no sentence speaks of a banana": "banana" in names.sentences[0],
        "BASELINES lacks one": {"ridge", "cross-entropy"}
        <= set(mine["BASELINES"]),
    }
    wrong = [text for text, good in right.items() if not good]
    print(f"not yet: {wrong[0]}" if wrong else "right")


# %%
check_file("""
DATASET: csv
""")

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Use the page's own parameter where there is one. Anything else that `load_dataset` takes goes into `DATA_OPTIONS`,
# anything else that `Config` takes into `SETTINGS`.
#
# </details>

# %% tags=["hide-cell"]
check_file("""
DATASET: csv
DATA_OPTIONS:
  labels: labels.csv
  ranks: fresh,ripe,overripe
  template: a photo of a {rank} banana
BATCH_SIZE: 8
SETTINGS: {lr1: 0.001}
BASELINES: [ridge, cross-entropy]
""")

# %% [markdown]
# **2. Can you afford it?** Write a function that returns an amount of money: what do `folds` folds with `seeds` seeds
# each cost, if one run needs `work` operations on a card with `rate` operations per second at `price` per hour?


# %% tags=["hide-input"]
def check_money(money: Callable[..., float]) -> None:
    """Judge by one hour, and by a batch of 15 runs."""
    hour = money(3600e12, 1e12, 1.0, folds=1, seeds=1)
    batch = money(10800e12, 2e12, 0.5, folds=5, seeds=3)
    if not isinstance(hour, int | float):
        print("not yet: return a number")
    elif not abs(hour - 1) <= 1e-6:
        print("not yet: 3,600 seconds of work at 1 per hour cost 1")
    elif not abs(batch - 11.25) <= 1e-6:
        print("not yet: 15 runs of an hour and a half, at one half per hour,")
        print("cost 11.25")
    else:
        total = money(cost(10_000, 1_000, 3_000, 60), 50e12, PRICE, 5, 3)
        print(f"right; 15 runs on 10,000 images, 60 epochs each: {total:.0f}")


# %%
def money(
    work: float, rate: float, price: float, folds: int, seeds: int
) -> float:
    """Return what a batch costs."""
    return 0.0  # yours


check_money(money)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Operations over operations per second are seconds; 3,600 of them are an hour.
#
# </details>


# %% tags=["hide-cell"]
def money(
    work: float, rate: float, price: float, folds: int, seeds: int
) -> float:
    """Return what a batch costs."""
    return folds * seeds * work / rate / 3600 * price


check_money(money)

# %% [markdown]
# **3. What differs?** The two runs of this page differ in the seed. Write a function that gets the two `config.json`
# files, as dictionaries, and returns the names of all settings that differ, as a sorted list. Was the split drawn anew,
# too?


# %% tags=["hide-input", "nbval-ignore-output"]
def check_difference(differing: Callable[..., list[str]]) -> None:
    """Judge by the page's runs, and by two made up."""
    one = {"config": {"seed": 0, "lr1": 0.0001, "alpha": 2, "betas": [0.9]}}
    two = {"config": {"seed": 1, "lr1": 0.0002, "alpha": 2, "betas": [0.9]}}
    names = differing(one, two)
    if not isinstance(names, list) or names != sorted(names):
        print("not yet: return a sorted list of names")
        return
    if names != ["lr1", "seed"]:
        print('not yet: compare the values under "config", name by name')
        return
    files = sorted(folder.glob("*_seed*/config.json"))
    one, two = read_json(files[0]), read_json(files[-1])
    print("right; here:", differing(one, two))
    same = one["dataset"]["fingerprint"] == two["dataset"]["fingerprint"]
    print("the same files in the same splits:", same)


# %%
def differing(one: dict, two: dict) -> list[str]:
    """Return the names of the settings in which two runs differ."""
    return []  # yours


check_difference(differing)

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Only the seed differs. The data set has a seed of its own for what it draws, so that the deviation over seeds does not
# mix two causes. The fingerprint of files and labels shows that the split is the same.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
def differing(one: dict, two: dict) -> list[str]:
    """Return the names of the settings in which two runs differ."""
    a, b = one["config"], two["config"]
    return sorted(key for key in a if a[key] != b[key])


check_difference(differing)

# %% [markdown]
# **4. Seeds or images?** Predict, then run. A score varies for two reasons: another test set and another seed. `spread`
# imagines 4,000 worlds, each with a test set and with seeds of its own, and returns the standard deviation of the score over
# the worlds. Its two numbers are made up: 0.14 is the deviation over seeds, 0.9 that of the error of a single image, from
# which the interval of the MAE follows. Predict the spread for 20 or 2,000 test images and for 1 or 100
# seeds, to two decimals. Then run `spread`, and correct what you got wrong.


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


def check_spread(mine: dict[tuple[int, int], float]) -> None:
    """Judge four predictions by imagining the worlds."""
    if not isinstance(mine, dict) or set(mine) != set(WHY):
        print("not yet: one number each for", *WHY)
        return
    for (images, seeds), why in WHY.items():
        yours, right = mine[images, seeds], spread(images, seeds)
        if not isinstance(yours, int | float):
            print(f"not yet: write a number for {images, seeds}")
            return
        if abs(yours - right) > 0.01 + right / 10:
            size = "small" if yours < right else "large"
            print(f"not yet: {yours} for {images, seeds} is too {size}: {why}")
            return
    print("right:", *(f"{spread(*batch):.2f}" for batch in WHY))


# %%
predicted = {(20, 1): 0.2, (20, 100): 0.02, (2000, 1): 0.02, (2000, 100): 0}
check_spread(predicted)  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Each cause has a variance of its own, which only its own number divides: 0.9² by the images, 0.14² by the seeds. A
# hundred seeds on twenty images leave four fifths of the spread, one seed on two thousand images more than half. See
# which of the two is larger in your runs before you pay for more of the other.
#
# </details>

# %% tags=["hide-cell"]
check_spread(
    {(20, 1): 0.24, (20, 100): 0.2, (2000, 1): 0.14, (2000, 100): 0.02}
)

# %% tags=["hide-input", "spread"]
print(beside_stored(numbers, stored))

# %% [markdown]
# ## Three questions
#
# **One paper has a small deviation over seeds, another a large one over folds. Is the second less stable?**
#
# <details>
# <summary>Answer</summary>
#
# That does not follow. Over folds the deviation also holds the luck of the split, which seeds on one fold never show.
# Compare the two over the same folds and seeds.
#
# </details>
#
# **All signs of a run are healthy, and its score is bad. What do you look at next?**
#
# <details>
# <summary>Answer</summary>
#
# At data and towers. The signs say that each part of the method did its work, not that the work was enough: the labels
# may be noisy, or the towers may not see what the ranks are about.
#
# </details>
#
# **The few-shot file has a fourteenth of the label-shift file's training images. Is it that much cheaper?**
#
# <details>
# <summary>Answer</summary>
#
# No: each epoch also looks at the validation images, and those stay as many. In (8.2) $v$ is added to $3n$,
# so the smaller the training part, the more of the cost is validation.
#
# </details>
#
# ## Summary
#
# - Parameters are plain values in one cell; a file in `experiments/` fills them for each benchmark, and `-p` overrides
#   the file.
# - Look at card, counts and leakage before training. Generated leaves show that every step runs, and nothing else.
# - A run directory is enough to resume a run, compare it and check it. Beside a mean and its deviation, say whether they
#   are over seeds or over folds.
# - Cost is arithmetic: for each method images × epochs × 105 GFLOP, with ViT-B/16. Two cores are enough for `mini`; the
#   benchmarks want a GPU.
# - Signs tell whether the method fails in one of the four ways that were provoked; they are a reason to look, not a verdict.
# - No number of the paper was reproduced here.
#
# ## Sources
#
# The method is that of [Wang et al. (2023)](references.md). Numbers of other methods are quoted from the figure of
# [Yu et al. (2025)](references.md), from [Wang et al. (2023)](references.md), [Paplhám and Franc (2024)](references.md)
# and [Esgario et al. (2020)](references.md); the protocols follow [Shin et al. (2022)](references.md),
# [Wang et al. (2023)](references.md) and, for few images and label shift, [Li et al. (2022)](references.md). Epochs,
# batch and learning rates of the ViT-B/16 files are those of [Li et al. (2023)](references.md).
