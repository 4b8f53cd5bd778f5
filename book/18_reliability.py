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
# Runs last hours on machines that die. Images come from anywhere, models from strangers, and settings from tired people. A package
# can promise to withstand that, but a promise is worth what was done to break it. This page shows what was done: runs killed at random
# moments, disks filled, files damaged, numbers driven to infinity. You can kill a run yourself on this page.
#
# :::{admonition} What you will learn
# :class: tip
# - why a run that was killed can end in the same bytes as one that was not,
# - what "none lost" proves, as a number, and how it shrinks with the number of trials,
# - what a program must not do with an image or a model that somebody sent,
# - why coverage says little about tests, and what says more.
# :::
#
# | you should know | how much | if not |
# |---|---|---|
# | the two stages and their checkpoints | the idea | {doc}`02_two_stages` |
# | files, processes and signals | the idea | any introduction to operating systems |
# | confidence intervals | the idea | any introduction to statistics |
#
# **Time and hardware.** The long trials, `make faults`, are read from `book/results/faults.json`; a run is killed twice while the page is
# made. No GPU. The last line of this page says how long it took.

# %% tags=["setup", "hide-input", "nbval-ignore-output"]
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ https://github.com/l2rclip-lite/l2rclip-lite/releases/download/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl"
    get_ipython().run_line_magic("pip", f"install -q '{wheel}'")

# %% tags=["parameters"]
PROFILE = "page"  # smoke: one kill; page and full: two
RESULTS = ""  # folder of faults.json; empty: book/results
EPOCHS1 = 4  # of stage 1, of the run that is killed
EPOCHS2 = 8  # of stage 2
SEED = 0

# %% tags=["hide-input"]
import ast
import copy
import hashlib
import inspect
import io
import json
import pickle
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from matplotlib import pyplot as plt
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from l2rclip_book import plots
from l2rclip_lite import L2RCLIP
from l2rclip_lite.cli import main
from l2rclip_lite.data import read_image
from l2rclip_lite.errors import InputError

# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 130, "bbox_inches": "tight"}

torch.set_num_threads(1)
kills = 1 if PROFILE == "smoke" else 2
folders = (
    [Path(RESULTS)] if RESULTS else [Path("results"), Path("book/results")]
)
results = next((x for x in folders if (x / "faults.json").is_file()), None)
tried = {"cases": {}, "kills": []}
if results is None:
    print(
        "There is no book/results/faults.json: the long trials were not run on this\n"
        "version (`make faults` does it), or this notebook is alone. The page shows\n"
        "only what it tries itself."
    )
else:
    text = (results / "faults.json").read_text(encoding="utf-8")
    tried = json.loads(text)


def bound(cases: int) -> float:
    """Upper 95 % bound of the share that is lost, when of so many none was."""
    return 1 - 0.05 ** (1 / cases)


# %% [markdown]
# ## When runs were killed
#
# SIGKILL gives a process no chance to say anything: it is gone between two instructions, as in a power cut. Where the
# trials are at hand, each mark below is such a moment. Then the same command was given again, often to be killed again, until the run was through; and what it left behind was
# compared, byte for byte, with what an undisturbed run leaves.

# %% mystnb={"image": {"alt": "A row of points for each state in which a killed run was left: nothing yet, a checkpoint of stage 1, one of stage 2, the model. Each point is a kill, at the share of the run at which it came; they are spread over the whole run."}, "figure": {"caption": "The moments at which runs were killed, as shares of an undisturbed run, by the last thing that was on disk. A run that resumes is further on at the same share.", "name": "fig-18-kills"}} tags=["hide-input"]
left = {
    "nothing": "nothing kept yet",
    "stage1.safetensors": "an epoch of stage 1",
    "stage2.safetensors": "an epoch of stage 2",
    "model.safetensors": "the model",
    "metrics.json": "everything",
}
if tried["kills"]:
    moments = pd.DataFrame(tried["kills"]).replace({"left": left})
    rows = [name for name in left.values() if name in set(moments["left"])]
    with plots.style():
        figure, axis = plt.subplots(figsize=(7.2, 0.5 + 0.45 * len(rows)))
        sns.stripplot(
            moments, x="share", y="left", order=rows, size=4, alpha=0.7, ax=axis
        )
        axis.set(xlabel="share of the run when it was killed", ylabel="")
    plt.show()

# %% [markdown]
# Two ideas make this possible, and both are small.
#
# **A file is the old one or the new one.** Nothing is ever written in place. A new file is filled under a hidden name, flushed to disk,
# and renamed; renaming is one step for every file system that matters here. Kill the process anywhere, and under the real name stands
# a whole file. File systems differ in much else {cite:p}`pillai2014all`, so nothing else is relied on.
#
# **An epoch owns its randomness.** A checkpoint after each epoch has parameters, Adam's moments, the best epoch so far and the
# history. It holds no state of a random generator, because every draw of an epoch comes from one that is seeded by where it stands:
#
# ```{math}
# :label: eq-18-seed
# \text{seed of an epoch} = (31\,\text{seed} + \text{stage}) \cdot 100003 + \text{epoch}
# ```
#
# An epoch that was cut short is simply run again, and draws what it drew. That is `training.Stage.epochs`; that the whole comes out bit
# for bit is tested by `tests/faults/test_kill.py`, and by the trials on this page.
#
# ## Kill one yourself
#
# A process is started that trains a small model. As soon as a checkpoint of a stage appears it is killed; then it is started again.


# %%
words = "fit --dataset leaves --size 60 --pixels 64 --towers tiny/random"
words += f" --epochs1 {EPOCHS1} --epochs2 {EPOCHS2} --batch-size 8 --heads 2"
words += f" --hidden 32 --threads 1 --seed {SEED} --quiet --out"
playground = TemporaryDirectory()
folder = Path(playground.name)


def fit_until(out: Path, file: str) -> dict:
    """Train in a process, kill it when a file appears; what is left."""
    command = [*words.split(), str(out)]
    child = get_context("spawn").Process(target=main, args=(command,))
    child.start()
    while not (out / file).is_file() and child.is_alive():
        time.sleep(0.002)
    child.kill()
    child.join()
    with safe_open(out / file, framework="pt") as stored:
        history, *_ = json.loads(stored.metadata()["about"])
    return {"exit code": child.exitcode, "epochs kept": len(history)}


killed = folder / "killed"
stages = [f"checkpoint/stage{stage}.safetensors" for stage in (1, 2)][-kills:]
left = [fit_until(killed, file) for file in stages]
print("killed", len(left), "times, by signal", {-x["exit code"] for x in left})
assert all(1 <= x["epochs kept"] <= max(EPOCHS1, EPOCHS2) for x in left)
assert not (killed / "metrics.json").is_file()  # it was not finished

# %% [markdown]
# What lies in the directory now is an unfinished run: no metrics, no model, but checkpoints, and a lock file whose lock has died with its
# process. The same command goes on. Beside it, a run that nobody disturbed:

# %%
calm = folder / "calm"
for out in (killed, calm):
    with redirect_stdout(io.StringIO()):  # it would tell the folder
        assert main([*words.split(), str(out)]) == 0

files = "model.safetensors", "metrics.json", "history.csv", "predictions.csv"


def digest(file: Path) -> str:
    """SHA-256, its beginning; of metrics without the seconds they took."""
    content = file.read_bytes()
    if file.name == "metrics.json":
        content = json.dumps(json.loads(content) | {"seconds": 0}).encode()
    return hashlib.sha256(content).hexdigest()[:12]


same = {x: digest(killed / x) == digest(calm / x) for x in files}
for name, equal in same.items():
    print(f"{name:<18}", "the same bytes" if equal else "DIFFERENT")
assert all(same.values())
assert {x.name for x in killed.iterdir()} == {x.name for x in calm.iterdir()}

# %% [markdown]
# ## What was tried, and what was lost
#
# One row a class of fault, where the trials are at hand. A case counts as lost when a promise did not hold: a result that differs, a
# half file, a traceback instead of a sentence, a file read or written where it must not, something accepted that should have been
# refused. The last column says what "none" is worth: if in truth a share $q$ of such cases went wrong, all $n$ would go well with probability $(1-q)^n$.
# The largest $q$ that this does not rule out at $5\,\%$ is
#
# ```{math}
# :label: eq-18-bound
# q = 1 - 0.05^{1/n} \approx \frac{3}{n}
# ```
#
# which is known as the rule of three {cite:p}`hanley1983nothing`. It is `bound` on this page, and it holds for cases like those that
# were drawn, not for those that nobody thought of.


# %% tags=["hide-input"]
lines = [
    "| what was done | cases | lost | so at most lost |",
    "|---|---|---|---|",
]
for fault, cases in tried["cases"].items():
    lines.append(f"| {fault} | {cases:,} | none | {bound(cases):.2g} |")
if tried["cases"]:
    total = sum(tried["cases"].values())
    lines += [
        "",
        f"Together {total:,} cases, none lost, in {tried['seconds'] / 60:.0f} minutes "
        f"of a machine with two cores, with torch {tried['torch']}.",
    ]
    display(Markdown("\n".join(lines)))

# %% [markdown]
# `make faults` repeats all of it and writes this table; a session in which a case is lost writes none. `make test` tries a few cases of
# each class at every change of the package. The cases are parameter tables and examples drawn by Hypothesis, in `tests/faults/`.
#
# ## Images from anywhere
#
# An image is a program for a decoder, and decoders have had holes for thirty years. So the list of formats is short and explicit, the
# number of pixels is read and judged before anything is decoded, and what cannot be read is refused with a sentence that names the file.
# Nothing is ever put in its place: a grey square would be a label error that nobody sees.


# %%
def jpeg(**options: object) -> bytes:
    """A small picture, red at the left and blue at the right."""
    picture = Image.new("RGB", (48, 32), "red")
    picture.paste("blue", (24, 0, 48, 32))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A tiny PNG that claims to be large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)))
    found = b"\x89PNG\r\n\x1a\n"
    for kind, data in (*parts, (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + data))
        found += struct.pack(">I", len(data)) + kind + data + check
    return found


turned = Image.Exif()
turned[0x0112] = 6  # the camera was held on its side
arrived = {
    "page.jpg": b"<!doctype html><title>404</title>",
    "drawing.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n",
    "half.jpg": jpeg()[:300],
    "empty.jpg": b"",
    "bomb.png": png_of(100_000, 100_000),
    "model.jpg": pickle.dumps({"a": 1}),
    "tall.jpg": jpeg(exif=turned),
    "wrong name.png": jpeg(),
}
inbox = folder / "inbox"
inbox.mkdir()
answers = {}
for name, content in arrived.items():
    (inbox / name).write_bytes(content)
    try:
        picture = read_image(inbox / name)
        answers[name] = f"read, {picture.width} by {picture.height} pixels"
    except InputError as error:
        answers[name] = str(error).replace(f"{inbox}/", "")
table = [f"| {name} | {said} |" for name, said in answers.items()]
display(Markdown("\n".join(["| file | answer |", "|---|---|", *table])))
assert [x[:4] for x in answers.values()].count("read") == 2
assert answers["tall.jpg"].startswith("read, 32 by 48")  # it was turned

# %% [markdown]
# ## Models from strangers
#
# A pickle can run anything when it is opened; that is how it works. So no model here is ever one: tensors are safetensors, settings are
# JSON, and both are read as data. A linter reads every module and finds no `eval`, `exec`, pickle or shell. What is left to a stranger is to lie: about shapes, about numbers, about which towers to load.


# %%
def answer(place: Path, name: str, out: Path = inbox) -> str:
    """What the package says of a model in a folder."""
    try:
        L2RCLIP.from_pretrained(place)
    except InputError as error:
        return f"| {name} | {str(error).replace(f'{out}/', '')} |"
    return f"| {name} | loaded |"


class Bomb:
    """A pickle of this runs a command of its sender's choice."""

    def __reduce__(self) -> tuple:
        """What opening it calls."""
        return print, ("the stranger's code ran",)


source = calm / "model.safetensors"
with safe_open(source, framework="pt") as stored:
    about = stored.metadata()
config = json.loads(about["l2rclip"])
weights = load_file(source)
first = sorted(x for x in weights if x.startswith("towers.image."))[0]


def lie(name: str, tensors: dict, **changed: object) -> str:
    """A model whose sender says something else, and the answer."""
    place = inbox / name
    place.mkdir()
    state = config | {"config": config["config"] | changed}
    meta = {"l2rclip": json.dumps(state)}
    save_file(tensors, place / "model.safetensors", metadata=meta)
    return answer(place, name)


pickled = inbox / "a pickle"
pickled.mkdir()
(pickled / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
nan = weights | {first: torch.full_like(weights[first], torch.nan)}
short = weights | {first: weights[first].flatten()[:3].clone()}
answers = [
    answer(pickled, pickled.name),
    lie("numbers that are none", nan),
    lie("another shape", short),
    lie("towers from a hub", weights, towers="hf-hub:someone/model"),
    lie("memory without end", weights, hidden=10**9),
    lie("an unknown setting", weights, run="rm"),
    lie("nothing wrong", weights),
]
display(Markdown("\n".join(["| sent | answer |", "|---|---|", *answers])))
assert [x.endswith("loaded |") for x in answers] == [False] * 6 + [True]


# %% [markdown]
# ## Would the tests notice?
#
# That tests pass says something only if they would fail. Coverage counts which lines ran, and a test that asserts nothing covers as much as
# one that does. Mutation testing asks more: change the program in small random ways (a plus becomes a minus, a bound moves by one) and
# count the *mutants* that some test notices {cite:p}`demillo1978hints`. Below, every mutant of a small function meets two tests. Both run
# all of its lines.


# %%
def rps(p: list[float], k: int) -> float:
    """Ranked probability score of one image of rank k."""
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


# %% tags=["hide-input"]
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.LtE: ast.Lt, ast.Pow: ast.Mult}


def mutants(source: str) -> list[tuple[str, Callable]]:
    """One operator or number changed at a time."""
    tree, found = ast.parse(source), []
    for place, node in enumerate(ast.walk(tree)):
        other = copy.deepcopy(tree)
        twin = list(ast.walk(other))[place]
        if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            twin.op = SWAPS[type(node.op)]()
        elif isinstance(node, ast.Compare):
            twin.ops = [SWAPS[type(node.ops[0])]()]
        elif isinstance(node, ast.Constant) and not isinstance(node.value, str):
            twin.value = node.value + 1
        else:
            continue
        space = {}
        exec(compile(ast.unparse(other), "mutant", "exec"), space)
        found.append(
            (f"{ast.unparse(node)} → {ast.unparse(twin)}", space["rps"])
        )
    return found


def passes(test: Callable, f: Callable) -> bool:
    """Whether a test stays green; one that breaks off is red."""
    try:
        return test(f)
    except (IndexError, TypeError):
        return False


made = mutants(inspect.getsource(rps))
lines = ["| mutant | weak test | sharp test |", "|---|---|---|"]
for change, mutant in made:
    seen = (
        "misses it" if passes(t, mutant) else "notices" for t in (weak, sharp)
    )
    lines.append(f"| `{change}` | {' | '.join(seen)} |")
display(Markdown("\n".join(lines)))
caught = [sum(not passes(t, m) for _, m in made) for t in (weak, sharp)]
print(f"noticed of {len(made)}: {caught[0]} by the weak, {caught[1]} by both")

# %% [markdown]
# For the package, `mutmut run` does the same with the settings in `pyproject.toml`, module by module, and takes hours; `coverage run -m pytest`
# counts lines and branches.
#
# ## What is not promised
#
# - **A GPU.** Bit for bit was shown on a CPU. On a GPU some sums are added in another order each time.
# - **A disk that lies.** If a disk says that data are safe and they are not, a file can be whole and wrong. A changed weight in
#   `model.safetensors` is a number like any other; exercise 2 shows it.
# - **Other systems.** All of it ran on Linux. Renaming is atomic on macOS and Windows, too, but nobody killed anything there.
# - **Malice in libraries.** Decoders, torch and the tokenizer are taken as they come, with the SHA-256 of every file that pip installs
#   checked; what is in them is their authors'.
# - **Faults that nobody thought of.** The table counts what was tried.
#
# ## Exercises
#
# **1. How many kills?** You want to be able to say, at the same $5\,\%$, that at most one run in a thousand is lost. How many kills must go
# well? Put your number in.


# %%
def check_kills(number: int) -> None:
    """Enough, and not many more than needed."""
    enough = bound(number) <= 1e-3
    print("right" if enough and bound(number - 20) > 1e-3 else "not yet")


check_kills(1000)

# %% [markdown]
# :::{dropdown} Solution
# The rule of three: three divided by the share. The exact number is $\ln 0.05 / \ln(1 - q)$.
# :::

# %% tags=["hide-cell"]
check_kills(2995)

# %% [markdown]
# **2. A wrong bit.** Change one number in the model of the run above, save it with the same metadata, and load it. Which of the checks of
# this page notices?

# %%
model_file = calm / "model.safetensors"
with safe_open(model_file, framework="pt") as stored:
    about = stored.metadata()
tensors = load_file(model_file)
name = sorted(x for x in tensors if x.startswith("towers.image."))[0]
tensors[name].view(-1)[0] += 0.5

# %% [markdown]
# :::{dropdown} Solution
# None: the file is whole, the shapes fit, the number is finite. Only its SHA-256 differs, and that helps where somebody has written the
# right one down, as this package has for the weights of `mini`.
# :::

# %% tags=["hide-cell"]
wrong = folder / "wrong"
wrong.mkdir()
save_file(tensors, wrong / "model.safetensors", metadata=about)
L2RCLIP.from_pretrained(wrong)  # no error
print(
    "the same file:", digest(wrong / "model.safetensors") == digest(model_file)
)

# %% [markdown]
# **3. A test that cannot fail.** Of two tests of a function `median(x)`, one asserts that `median([1, 2, 3]) == 2`, the other that
# `median([2, 2, 2]) == 2`. Both cover every line of `sum(x) / len(x)`. Which notices that this is the mean? Find a third that does.


# %%
def mean(x: list[float]) -> float:
    """A wrong median: a mutant of the right one."""
    return sum(x) / len(x)


def notices(example: list[float]) -> bool:
    """Whether a test with this example turns red."""
    return mean(example) != float(np.median(example))


print([notices(x) for x in ([1, 2, 3], [2, 2, 2])])

# %% [markdown]
# :::{dropdown} Solution
# Neither: in both examples the mean is the median. Any example that is not symmetrical tells them apart.
# :::

# %% tags=["hide-cell"]
print(notices([1, 2, 9]))
playground.cleanup()

# %% [markdown]
# ## Summary
#
# - A file is the old or the new one, and an epoch owns its randomness: with these two, a run that was killed ends in the same bytes.
# - None lost in $n$ cases rules out, at $5\,\%$, that more than about $3/n$ are.
# - An image is judged before it is decoded, a model is data and never a program, and what is refused is refused in one sentence with file,
#   row and fix.
# - Coverage says what ran; mutants say what would be noticed.
#
# | what | function | test |
# |---|---|---|
# | {eq}`eq-18-seed` | `l2rclip_lite.training.Stage.epochs` | `tests/faults/test_kill.py` |
# | {eq}`eq-18-bound` | `bound` on this page | exercise 1 |
# | atomic writes | `l2rclip_lite.runs.write_atomically` | `tests/faults/test_kill.py` |
# | reading images | `l2rclip_lite.data.read_image` | `tests/faults/test_images.py` |
# | models from strangers | `l2rclip_lite.L2RCLIP.from_pretrained` | `tests/faults/test_models.py` |
#
# ## Sources
#
# Random input against real programs: {cite:t}`miller1990empirical`. Mutants: {cite:t}`demillo1978hints`. The rule of three:
# {cite:t}`hanley1983nothing`. What file systems promise: {cite:t}`pillai2014all`.
