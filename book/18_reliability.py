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
# # Reliability: what was done to it, and what it withstood
#
# A training run is killed. Started again, it ends with the same bytes as a run that nobody disturbed. Somebody tries
# this twice, and twice it works. **In how many of a hundred runs may it still fail?** Decide, then look at the
# triangle.
#
# Runs last hours on machines that die. Images come from anywhere, models from strangers, and settings from tired
# people. A package can promise to withstand all that, but a promise is worth only as much as the attempts to break it.
# This appendix makes some.
#
# **You need.** Files, processes and signals; confidence intervals; the checkpoints of the two stages
# ([chapter 8](08_training_runs.ipynb)).
#
# **Time and hardware.** No GPU; while the page is made, a run is killed twice, and six more are trained.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.2.0/l2rclip_lite-0.2.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: one kill; page and full: two
EPOCHS1 = 4  # of stage 1, of the run that is killed
EPOCHS2 = 8  # of stage 2
SEED = 0

# %% tags=["hide-input"]
import hashlib
import inspect
import io
import json
import pickle
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib import pyplot as plt
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save

from l2rclip_book import provoked
from l2rclip_book.plots import COLOURS, style
from l2rclip_book.results import beside_stored, markdown_table, stored_runs
from l2rclip_book.signs import SeenImages, measure, see_images
from l2rclip_book.training_figures import sign_ranges
from l2rclip_lite import L2RCLIP, Config, fit, load_dataset
from l2rclip_lite.__main__ import main
from l2rclip_lite.data import read_image
from l2rclip_lite.errors import InputError
from l2rclip_lite.training_data import TrainingData

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
folder = Path(mkdtemp())
kills = 1 if PROFILE == "smoke" else 2


def bound(cases: int) -> float:
    """Return the upper 95 % bound of the share lost, if none of `cases` was."""
    return 1 - 0.05 ** (1 / cases)


# %% mystnb={"image": {"alt": "A falling line on two logarithmic axes: the number of trials without a loss, from 1 to 10,000, and the largest share of losses that they leave possible, from nearly 1 down to 0.0003. A triangle at the two kills of this page is near the top."}} tags=["hide-input"]
n = np.logspace(0, 4, 60)
with style():
    figure, axis = plt.subplots(figsize=(5.2, 2.9))
    axis.loglog(n, bound(n), color=COLOURS["stage 1"])
    axis.plot(kills, bound(kills), "^", color=COLOURS["ink"], markersize=8)
    axis.set(xlabel="trials, none of them lost")
    axis.set_ylabel("share that may still be lost")
plt.show()

# %% [markdown]
# **Figure 18.1.** If none of n trials was lost, shares of losses above the line are ruled out.
# The triangle is what this page tries. Two trials still allow more than three quarters to be lost; a thousand allow at
# most 0.3 %.
#
# ## What "none was lost" proves
#
# A case counts as lost when a promise did not hold: a result that differs, half a file, a traceback in place of a
# sentence, a file read or written where it must not be, something accepted that should have been refused. Suppose that
# none of $n$ cases was lost. If in truth a share $q$ of such cases went wrong, all $n$ would still go well with
# probability $(1-q)^n$. The largest $q$ that this does not rule out at $5\,\%$ is
#
# $$
# q = 1 - 0.05^{1/n} \approx \frac{3}{n} \tag{18.1}
# $$
#
# which is known as the rule of three ([Hanley and Lippman-Hand, 1983](references.md)). It is `bound` on this page and
# the line in Figure 18.1. It holds for cases like those that were drawn, not for cases that nobody thought of.
#
# `make test` tries some cases of each kind at every change of the package. They are parameter tables and examples drawn
# by Hypothesis, in `tests/faults/`. Feeding random input to real programs is an old idea ([Miller et al.,
# 1990](references.md)).
#
# ## Runs that are killed
#
# SIGKILL gives a process no chance to clean up: it is gone between two instructions. A power cut takes more: also what
# the system had not yet put on the disk. Files are flushed for that case, but a kill cannot test it. The tests kill
# `fit` at each of its writes and at random moments, give the same command again, and compare what it left, byte for
# byte, with what an undisturbed run leaves.
#
# Two small ideas make this possible.
#
# **A file is the old one or the new one.** Nothing is ever written in place. A new file is filled in a hidden folder,
# flushed to disk, and renamed; renaming is one step on every file system that matters here. Kill the process anywhere,
# and the file under the real name is whole. File systems differ in much else ([Pillai et al., 2014](references.md)), so
# the package relies on nothing else.
#
# **An epoch owns its randomness.** The checkpoint after each epoch holds the parameters, Adam's moments, the parameters
# of the epoch to keep, and the history. It needs no state of a random generator, because every draw of an epoch comes
# from a generator with a seed of its own:
#
# $$
# \text{seed of an epoch} = (31\,\text{seed} + \text{stage}) \cdot 100003 + \text{epoch} \tag{18.2}
# $$
#
# An epoch that was cut short is simply run again, and draws what it drew before. The code is `training.Stage.epochs`;
# `tests/faults/test_kill.py` tests that the result is the same bit for bit.
#
# ## Kill one yourself
#
# The next cell starts a process that trains a small model. As soon as a checkpoint of stage 1 appears, the process is
# killed; then it is started again and killed in stage 2.


# %%
words = "fit --dataset leaves --size 60 --pixels 64 --quiet"
words += " --towers tiny/random --heads 2 --hidden 32 --batch-size 8"
words += f" --epochs1 {EPOCHS1} --epochs2 {EPOCHS2} --threads 1"
words += f" --seed {SEED} --out"


def fit_until(out: Path, file: str) -> int:
    """Train in a process, kill it when a file appears; its exit code."""
    command = [*words.split(), str(out)]
    child = get_context("spawn").Process(target=main, args=(command,))
    child.start()
    while not (out / file).is_file() and child.is_alive():
        time.sleep(0.002)
    child.kill()
    child.join()
    return child.exitcode


killed = folder / "killed"
for stage in ["stage1", "stage2"][-kills:]:
    code = fit_until(killed, f"checkpoint/{stage}.safetensors")
    print(f"killed in {stage} by signal {-code}")

# %% tags=["remove-cell"]
assert not (killed / "metrics.json").is_file()  # it was not finished

# %% [markdown]
# The directory now holds an unfinished run: no metrics and no model, but checkpoints, and a lock file whose lock died
# with its process. The same command resumes it. For comparison, a run that nobody disturbed:

# %%
calm = folder / "calm"
for out in (killed, calm):
    with redirect_stdout(io.StringIO()):  # it would tell the folder
        main([*words.split(), str(out)])


def digest(file: Path) -> str:
    """Return the SHA-256; of metrics without the seconds that the run took."""
    content = file.read_bytes()
    if file.name == "metrics.json":
        content = json.dumps(json.loads(content) | {"seconds": 0}).encode()
    return hashlib.sha256(content).hexdigest()


files = "model.safetensors metrics.json history.csv predictions.csv"
for name in files.split():
    same = digest(killed / name) == digest(calm / name)
    print(f"{name:<18}", "the same" if same else "DIFFERENT")

# %% tags=["remove-cell"]
for name in files.split():
    assert digest(killed / name) == digest(calm / name), name
assert {x.name for x in killed.iterdir()} == {x.name for x in calm.iterdir()}

# %% [markdown]
# ## Images from anywhere
#
# An image file is input to a decoder, and decoders have had security holes for thirty years. So the package accepts a
# short list of formats, checks the number of pixels before it decodes anything, and refuses what it cannot read with a
# sentence that names the file. It never puts anything in the place of such an image: a grey square would be a label
# error that nobody sees.


# %% tags=["hide-input"]
def jpeg(**options: object) -> bytes:
    """A small image."""
    stream = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(stream, "JPEG", **options)
    return stream.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A tiny PNG that claims to be large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (*parts, (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + check
    return content


def ask(read: Callable, sent: dict[str, bytes], inside: str = "") -> list:
    """Write what a stranger sent, and note what the reader says of each."""
    answers = []
    for name, content in sent.items():
        place = folder / "inbox" / name
        file = place / inside
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        try:
            answer = read(place)
        except InputError as error:
            answer = str(error).replace(f"{place.parent}/", "")
        answers.append((name, answer))
    return answers


turned = Image.Exif()
turned[0x0112] = 6  # the camera was held on its side


# %%
def size_of(file: Path) -> str:
    """Read an image."""
    return "read, {} by {} pixels".format(*read_image(file).size)


images = {
    "page.jpg": b"<!doctype html><title>404</title>",
    "drawing.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n",
    "half.jpg": jpeg()[:300],
    "empty.jpg": b"",
    "bomb.png": png_of(100_000, 100_000),  # and 1 kB long
    "tall.jpg": jpeg(exif=turned),  # 48 by 32, held on its side
}
answers = ask(size_of, images)
Markdown(markdown_table(["file", "answer"], answers))

# %% tags=["remove-cell"]
accepted = [answer for _, answer in answers if answer.startswith("read")]
assert accepted == ["read, 32 by 48 pixels"]  # it was turned

# %% [markdown]
# ## Models from strangers
#
# A pickle can run anything when it is opened; that is how pickles work. So no trained model here is a pickle: tensors
# are safetensors, settings are JSON, and both are read as data. One file that pip installs, the image tower's, is of
# PyTorch's old format. Its SHA-256 is checked first, and then only tensors are taken from it. The linter refuses
# `eval`, `exec`, `pickle` and a shell in the package. A stranger can still lie: about shapes, about numbers, about
# which towers to load. Below, `lie` returns the model of the run above with some tensors or settings changed. **Which
# of the seven will be loaded?**

# %% tags=["hide-input"]
trained = calm / "model.safetensors"
weights = load_file(trained)
first = sorted(x for x in weights if x.startswith("towers.image."))[0]
with safe_open(trained, framework="pt") as stored:
    config = json.loads(stored.metadata()["l2rclip"])


def lie(tensors: dict, **changed: object) -> bytes:
    """A model whose sender says something else."""
    state = config | {"config": config["config"] | changed}
    return save(tensors, metadata={"l2rclip": json.dumps(state)})


# %%
class Bomb:
    """A pickle of this runs a command of its sender's choice."""

    def __reduce__(self) -> tuple:
        """Return the call that unpickling makes."""
        return print, ("the stranger's code ran",)


def load(place: Path) -> str:
    """Load a model."""
    L2RCLIP.from_pretrained(place)
    return "loaded"


nan = torch.full_like(weights[first], torch.nan)
models = {
    "a pickle": pickle.dumps(Bomb()),
    "numbers that are none": lie(weights | {first: nan}),
    "another shape": lie(weights | {first: weights[first][:3].clone()}),
    "towers from a hub": lie(weights, towers="hf-hub:someone/model"),
    "memory without end": lie(weights, hidden=10**9),
    "an unknown setting": lie(weights, run="rm"),
    "other weights": lie(weights | {first: weights[first] + 0.5}),
}
answers = ask(load, models, "model.safetensors")
Markdown(markdown_table(["sent", "answer"], answers))

# %% tags=["remove-cell"]
assert [outcome == "loaded" for _, outcome in answers] == [False] * 6 + [True]

# %% [markdown]
# The fixes are meant for the owner of a run. If somebody else sent the model, ask for an undamaged copy.
#
# The last one was loaded, and nothing could have noticed: the file is whole, the shapes fit, the numbers are finite.
# Only its SHA-256 differs. That helps where somebody has written the right one down, as this package has for the
# weights of `mini`.
#
# ## Would the tests notice?
#
# That tests pass says something only if they could fail. Coverage counts which lines ran, and a test that asserts
# nothing covers as much as one that does. Mutation testing asks more: change the program in small ways (a plus becomes
# a minus, a bound moves by one) and count the *mutants* that some test notices ([DeMillo et al., 1978](references.md)).
# Below, six mutants of a small function meet two tests. Both tests run all of its lines. **Which mutants will the weak
# one notice?**


# %%
def rps(p: list[float], k: int) -> float:
    """Return the ranked probability score of one image of rank k."""
    score, below = 0.0, 0.0
    for rank in range(len(p) - 1):
        below = below + p[rank]
        score = score + (below - (k <= rank)) ** 2
    return score


def weak(f: Callable) -> bool:
    """A sure and right answer scores 0."""
    return f([1.0, 0.0, 0.0], 0) == 0


def sharp(f: Callable) -> bool:
    """By hand: (0.2 - 0)² + (0.5 - 1)²."""
    return weak(f) and abs(f([0.2, 0.3, 0.5], 1) - 0.29) < 1e-9


# %%
MUTANTS = [
    ("below + p", "below - p"),
    ("score + (", "score - ("),
    ("k <= rank", "k < rank"),
    ("** 2", "* 2"),
    ("** 2", "** 3"),
    ("len(p) - 1", "len(p)"),
]


def verdicts(old: str, new: str) -> list[str]:
    """What the two tests say of the function with one change."""
    space = {}
    exec(inspect.getsource(rps).replace(old, new), space)
    tests = (weak(space["rps"]), sharp(space["rps"]))
    return ["misses it" if passed else "notices" for passed in tests]


rows = [(f"`{old}` → `{new}`", *verdicts(old, new)) for old, new in MUTANTS]
Markdown(markdown_table(["mutant", "weak test", "sharp test"], rows))

# %% tags=["remove-cell"]
assert [row[2] for row in rows] == ["notices"] * 5 + ["misses it"]
assert [row[1] for row in rows].count("notices") == 2

# %% [markdown]
# The weak test covers every line and notices two of six. The sharp one notices all but the last, and no test can notice
# that one: the extra term is $(1 - 1)^2$, so the program still does what it should. Such a mutant is called
# *equivalent*. `make mutation` makes mutants of the core of the package, module by module, with `mutmut` and the
# settings in `pyproject.toml`; it takes an hour or more.
#
# ## Failures that leave signs
#
# Scores do not show whether every part works. Four failures are provoked here, on drawn leaves. Figure 18.2 shows
# where to look, from the top: RankFormer adds no order, the pairwise loss breaks the alignment (two signs), the context
# says nothing, images of a rank lie apart. `l2rclip report RUN` shows these signs beside those of healthy runs.

# %%
sizes = {"image_size": 96, "epochs1": 10, "epochs2": 6, "lr2": 7e-4}
if PROFILE == "smoke":
    sizes = {"image_size": 64, "epochs1": 2, "epochs2": 1}
healthy = Config(seed=SEED, threads=1, **sizes)
leaves = load_dataset("leaves", size=150, pixels=96)
untrained = L2RCLIP.build(leaves.ranks, healthy, leaves.image_size)
data = TrainingData.load(leaves, untrained)


def provoke(kind: str) -> dict[str, float | str]:
    """Train a run that fails on purpose; return its signs."""
    settings = provoked.settings(kind, healthy)
    model = L2RCLIP.build(leaves.ranks, settings, leaves.image_size)
    provoked.train_stages(kind, data, model)
    after = None  # what fails in stage 1 is left at that
    if kind == provoked.APART:
        after = data.encode(model, "test")
    seen = SeenImages(data.features["test"], after, data.targets["test"])
    return measure(model, seen)


model = fit(leaves, healthy, folder / "healthy", quiet=True).model
signs_of = {provoked.HEALTHY: measure(model, see_images(model, leaves))}
signs_of |= {kind: provoke(kind) for kind in provoked.PROVOKED}

# %% mystnb={"image": {"alt": "Five rows, one for each sign, each with a blue band and a dot for healthy runs and an orange band and a cross for runs that fail on purpose. In every row the bands lie apart."}} tags=["nbval-ignore-output", "hide-input"]
sign_ranges(signs_of)

# %% [markdown]
# **Figure 18.2.** Signs of failure. Bands: fifteen stored runs that are healthy, and fifteen that failed in each way.
# Dots: the healthy run of this page; crosses: those that were made to fail. A dashed line lies halfway between the
# bands.
#
# The margin is below zero in healthy runs, too. It is taken before stage 2, when the image tower has learned nothing:
# on average an image is then a little nearer to the best of the four wrong sentences than to its own.
#
# With other data the bands lie elsewhere, so a sign is a reason to look, not a verdict.
#
# ## What is not promised
#
# - **Another machine.** Results were equal bit for bit on one CPU. A CPU of another kind rounds sums in another way
#   ([How much is chance?](19_controls.ipynb#how-much-is-chance)), and on a GPU some sums are added in another order
#   each time.
# - **A disk that lies.** If a disk says that data are safe and they are not, a file can be whole and wrong.
# - **Other systems.** All trials ran on Linux. Renaming is atomic on macOS and Windows, too, but nobody killed anything
#   there.
# - **Malice in libraries.** Decoders, torch and the tokenizer are taken as they come. `make install` checks the SHA-256
#   of every file that it installs; the package checks that of the towers' weights each time. What is in them is their
#   authors' work.
# - **Faults that nobody thought of.** The trials count what was tried.
#
# ## Exercises
#
# **1. How many kills?** Predict, then run. You want to be able to say, at the same $5\,\%$, that at most one run in a
# thousand is lost. How many kills must go well? Put your number in.


# %%
def check_kills(number: int) -> str:
    """Enough, and not many more than needed."""
    if bound(number) > 1e-3:
        return f"not yet: {number} kills leave {bound(number):.5f} possible"
    enough = bound(number - 20) > 1e-3
    return "right" if enough else "not yet: fewer are enough"


print(check_kills(1000))  # yours

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# The rule of three: three divided by the share. The exact number is $\ln 0.05 / \ln(1 - q)$.
#
# </details>

# %% tags=["hide-cell"]
print(check_kills(2995))

# %% [markdown]
# **2. The old file or the new one.** Write the first of the two ideas yourself. `fill` is a function that writes a
# file, and may be killed while it does. Whatever happens, `file` must be whole. The check cannot pull the plug, so it
# raises an exception.


# %%
def write_whole(file, fill):
    fill(file)  # yours


# %% tags=["hide-input"]
class CutError(Exception):
    """Raised in the middle of a write."""


def check_write(mine: Callable[[Path, Callable], None]) -> str:
    """A write that ends, one that is cut short, one that ends again."""
    file = folder / "a.txt"
    file.unlink(missing_ok=True)

    def cut_short(path: Path) -> None:
        path.write_text("half of the ne")
        raise CutError

    mine(file, lambda path: path.write_text("old"))
    if not file.is_file() or file.read_text() != "old":
        return "not yet: after a write that ends, the file has its text"
    with suppress(CutError):
        mine(file, cut_short)
    if not file.is_file():
        return "not yet: the old file is gone before the new one is whole"
    if file.read_text() != "old":
        return "not yet: a write that was cut short damaged the old file"
    mine(file, lambda path: path.write_text("new"))
    if file.read_text() != "new":
        return "not yet: the next write must replace the old file"
    return "right"


# %%
print(check_write(write_whole))

# %% [markdown]
# <details>
# <summary>Solution</summary>
#
# Let `fill` write a file beside it, and rename that one when it is complete. `Path.replace` is the step that cannot be
# cut in two. The package first flushes the new file to disk, with `os.fsync`, and tidies up.
#
# </details>


# %% tags=["hide-cell"]
def write_whole_solution(file, fill):
    fresh = file.with_name(f".{file.name}.new")
    fill(fresh)
    fresh.replace(file)


print(check_write(write_whole_solution))

# %% tags=["hide-input", "spread"]
shutil.rmtree(folder)
stored = stored_runs("18") if PROFILE != "smoke" else pd.DataFrame()
numbers = {
    f"{kind}: {sign}": value
    for kind, values in signs_of.items()
    for sign, value in values.items()
    if isinstance(value, float)
}
print(beside_stored(numbers, stored))

# %% [markdown]
# ## Summary
#
# - None lost in $n$ cases rules out, at $5\,\%$, that a share of more than about $3/n$ is lost.
# - A file is the old or the new one, and an epoch owns its randomness: with these two, the run that this page killed
#   twice ended in the same bytes, except for the seconds noted in `metrics.json`.
# - An image is judged before it is decoded, a model is data and never a program, and a refusal names the file and the
#   fix.
# - Coverage says what ran; mutants say what would be noticed. An equivalent mutant is noticed by no test.
#
# ## Sources
#
# Random input against real programs: [Miller et al. (1990)](references.md). Mutants:
# [DeMillo et al. (1978)](references.md). The rule of three: [Hanley and Lippman-Hand (1983)](references.md). What file
# systems promise: [Pillai et al. (2014)](references.md).
