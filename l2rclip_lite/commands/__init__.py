"""The commands of `l2rclip`: what each takes, and which module does its work.

A class is a command, its docstring the help, its fields are the arguments. Nothing here needs
torch, so that help and a misspelt option answer at once.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from l2rclip_lite.config import Config, DataOptions, LabelsAre

RunFolder = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
MethodNames = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME ...]")]
ImagePaths = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
OutFile = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
DataName = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]")]
OfData = tyro.conf.OmitArgPrefixes[DataOptions]


@dataclass(kw_only=True)
class MovedData:
    """Where the data of a finished run are now; each is needed only if it has moved."""

    root: str | None = None
    """Folder of the images, if it has moved."""
    labels: str | None = None
    """csv: the labels file, absolute or relative to the root, if it has moved."""
    lists: str | None = None
    """Folder of the official split lists, if it has moved."""


@dataclass(kw_only=True)
class Weights:
    """What a run may need besides its own files, and only with the user's word."""

    weights: str | None = None
    """The local file of weights that the run began with; a path in a run is not followed."""
    allow_download: bool = False
    """Let weights and tokenizer that the run names be downloaded, where this machine lacks them."""


@dataclass(kw_only=True)
class DataAndDevice(MovedData, Weights):
    """How to read the data of a run, and where to compute."""

    cache: str | None = None
    """Keep image features of a frozen tower in this folder, and take them from there."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""


@dataclass(kw_only=True)
class Question:
    """What is asked: ranks that training never had, and what each mistake costs."""

    ranks: str | None = None
    """Answer by these ranks in place of the run's own: names, lowest first, with commas, or 0:9."""
    template: str | None = None
    """Their sentence, with {rank} where the name goes; that of the run if not given."""
    costs: Path | None = None
    """A CSV file of prices: each row has the name of a true rank, then the price of every answer.
    The names of the ranks also stand in the first row, behind one cell."""


@dataclass(kw_only=True)
class Fit:
    r"""Train on a data set, in two stages, calibrate the probabilities, and write a run directory.

    Try:
      l2rclip fit --dataset leaves --out runs/leaves
          generated leaves, nothing to download, minutes on a laptop
      l2rclip fit --dataset coffee --out runs/coffee
          photographs of coffee leaves, which ship with the package
      l2rclip fit --dataset bracol --root DATA/bracol_severity --fold 1 --out runs/bracol
          all of these coffee leaves
      l2rclip fit --dataset csv --root DIR --labels labels.csv --ranks "fresh,ripe,overripe" \
                  --template "a photo of a {rank} banana" --out runs/mine
          your own images; labels.csv has the columns path,label and, if you like, group and split
      l2rclip fit --dataset csv --root DIR --labels visits.tsv --path-column file \
                  --label-column week --group-column patient --unit weeks --image-side kernel \
                  --out runs/mine
          columns by your own names, nobody in two splits, and a first look in minutes: only a
          head on the features trains
      l2rclip fit --dataset csv --root DIR --out runs/mine
          a sub-folder for each rank, called by a number; names need --ranks in their order
      accelerate launch -m l2rclip_lite fit --dataset leaves --out runs/leaves
          the same on every GPU of this machine
      torchrun --nproc-per-node 2 -m l2rclip_lite fit --dataset leaves --device cpu \
               --out runs/leaves
          the same in two processes on CPUs, where accelerate would start one

    A run that was stopped continues from its last complete epoch: give the same command again.
    """

    dataset: str
    """leaves (generated), coffee (photographs), csv (your own), or another one that `l2rclip data`
    lists."""
    out: str
    """The run directory: new, or of the same run."""
    config: Annotated[Config, tyro.conf.arg(name="")]
    """Model and training."""
    quiet: bool = False
    """Print nothing but the last line."""
    cache: str | None = None
    """Keep image features of the frozen tower in this folder, and take them from there."""
    options: OfData = field(default_factory=DataOptions)
    """The data set."""


@dataclass(kw_only=True)
class Baselines(DataAndDevice):
    """Train other methods on towers, data and budget of a finished run, and compare them with it.

    Try:
      l2rclip baselines runs/mine cross-entropy linear-probe

    On a frozen tower, in seconds: zero-shot, linear-probe, ridge.
    On a tuned tower: cross-entropy, coral, corn, sord, dldl-v2, mean-variance,
    ordinal-entropy, supcon, rank-n-contrast, coop, ordinalclip, rps; with -frozen behind the name,
    as in sord-frozen, on a frozen one. Under cross-entropy that is linear-probe; ordinal-entropy,
    supcon and rank-n-contrast have no such form.

    Each is kept as a model in RUN/baselines/NAME, and not trained again: `predict`, `evaluate` and
    `export` take it by --method NAME.
    """

    run: RunFolder
    """The --out of a finished fit."""
    names: MethodNames
    """Which methods; none trains ridge and linear-probe, in seconds."""
    start: str | None = None
    """Where the run that this one began with is now, if it has moved."""


@dataclass(kw_only=True)
class Compare:
    """Print the test scores of a run and its baselines, and how much each differs from L2RCLIP.

    Try:
      l2rclip compare runs/mine

    All scores but ECE come with 95 % bootstrap intervals. The differences are paired: the same
    resamples of images, or where the data say whom they show, of subjects. No image is read.
    """

    run: RunFolder
    """The --out of a finished fit."""


@dataclass(kw_only=True)
class Report(MovedData):
    """Write one HTML page about a finished run, with its figures and its worst images in it.

    Try:
      l2rclip report runs/mine
      l2rclip report runs/mine --out mine.html --root /where/the/images/are/now

    It has the scores beside those of the baselines, training curves, confusion, reliability, signs
    of failure, the worst test images and the model card, and asks no other host for anything. Look
    at the images before you hand it on.
    """

    run: RunFolder
    """The --out of a finished fit."""
    out: Path | None = None
    """What to write; RUN/report.html if not given."""


@dataclass(kw_only=True)
class Predict(Weights, Question):
    """Grade images with a finished run: one JSON object per line, or CSV.

    Try:
      l2rclip predict runs/mine photo1.jpg photo2.jpg
      l2rclip predict runs/mine photos/ > answers.jsonl
      l2rclip predict runs/mine photos/*/front.jpg --method sord --csv > answers.csv
      l2rclip predict leaves leaf.jpg
          by the model that ships with the package, of generated leaves
      l2rclip predict leaves-percent photos/ --ranks "no,low,high"
          in words that training never had: trust the order of the answers, not how sure they are
      l2rclip predict runs/mine photos/ --costs costs.csv
          where to miss "high" costs ten: ,low,high and below it low,0,1 and high,10,0

    Each answer has path, rank (the most probable, or by --costs the one with the least expected
    cost, as an index from 0), its name, probabilities, and four numbers in the unit of the ranks:
    median, low and high (between them lies the true rank nine times out of ten) and expected.
    Images and folders that cannot be read, and links that lead out of a folder, are named on
    stderr; the others are answered, and the exit code is 2. Training images are answered too well:
    `evaluate` shows what to expect of new ones.

    In CSV no cell begins a formula: a path that begins with = + - @ or a tab is written as ./PATH,
    a name of a rank after an apostrophe.
    """

    run: RunFolder
    """The --out of a finished fit, or leaves or leaves-percent, which ship."""
    images: ImagePaths
    """Images, and folders that hold some."""
    csv: bool = False
    """Print a table with a header in place of JSON lines."""
    method: str | None = None
    """A baseline of the run, such as sord, in place of L2RCLIP."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""


@dataclass(kw_only=True)
class Evaluate(DataAndDevice, Question):
    r"""Read a run's data again, or a new table; compute every metric, most with an interval.

    Try:
      l2rclip evaluate runs/mine
      l2rclip evaluate runs/mine --split val --json
      l2rclip evaluate runs/mine --root /where/the/images/are/now
      l2rclip evaluate runs/mine --root new_photos --labels new.csv
          every row of a new table, whatever its split
      l2rclip evaluate runs/apples --root pears --labels test.csv --ranks 1:20 \
                       --template "a photo of {rank} pears on a tree" --calibrate few.csv
          in words that training never had; a second table decides how sure the answers are
      l2rclip evaluate runs/mine --costs costs.csv
          also the mean cost of the cheapest answers, and cost_argmax, that of the most probable
    """

    run: RunFolder
    """The --out of a finished fit."""
    split: Literal["train", "val", "test"] = "test"
    """train, val or test."""
    json: bool = False
    """Print one JSON object in place of a table."""
    method: str | None = None
    """A baseline of the run, such as sord, in place of L2RCLIP."""
    labels_are: LabelsAre | None = None
    """What a new table of labels holds, see `l2rclip fit --help`.
    If not given, it is as in the run; names under --ranks, and of a run with --rebin."""
    calibrate: str | None = None
    """A table of labels; its images decide the temperature in place of the run's validation images,
    and none of them may be scored. Its paths start from --root, or else from the current folder."""


@dataclass(kw_only=True)
class Export(Weights):
    """Write a finished run as one ONNX file, checked against PyTorch before it is kept.

    Try:
      l2rclip export runs/mine model.onnx
          image tower, text features, probabilities and expectation in one file, which needs no
          Python
      l2rclip export leaves leaves.onnx
          the model that ships with the package

    Input of the file: pixels, bytes [batch, 3, height, width], RGB, of any size. Outputs:
    probabilities [batch, rank], at the temperature of the model, and expected [batch]. Its
    metadata, under the key l2rclip, names the ranks and holds the level of the 90 % interval,
    conformal (`Prediction.of`).

    It is kept if no probability differs from PyTorch by more than 0.0001 on photographs that ship
    with the package, resized alike.
    """

    run: RunFolder
    """The --out of a finished fit, or leaves or leaves-percent."""
    file: OutFile
    """What to write, such as model.onnx."""
    method: str | None = None
    """A baseline of the run, such as sord, in place of L2RCLIP."""


@dataclass(kw_only=True)
class Data:
    """Describe a data set: its card, its counts, its leakage; check its images, or download it.

    Try:
      l2rclip data
          all data sets
      l2rclip data morph
          its card: source, licence, terms, known leakage, protocols and folds
      l2rclip data morph --download DIR/datalists
          the official split lists, which are free; the faces are not, ask their owner
      l2rclip data morph --lists DIR/datalists --protocol rs-partial --fold 0
          how many images each rank has
      l2rclip data morph --lists DIR/datalists --protocol rs-partial --leakage
          who is in training and in test, for every fold; needs no image
      l2rclip data csv --root DIR --ranks "fresh,ripe,overripe" --check
          decode every image of your own and list all faults; exit code 2 if `fit` would refuse them
    """

    name: DataName = None
    """One of the data sets."""
    leakage: bool = False
    """Print what training and test share."""
    check: bool = False
    """Decode every image, and print copies across splits, and all that cannot be read."""
    download: str = ""
    """Fetch what is free, images or split lists, into this folder."""
    options: OfData = field(default_factory=DataOptions)
    """Which part of it."""


@dataclass(kw_only=True)
class Doctor:
    """Check device, write access, weights and a forward pass.

    Try:
      l2rclip doctor --out runs
    """

    out: str = "."
    """Where your runs shall be written."""


# Of each command the module that has the function of its name.
COMMANDS: dict[str, tuple[type[object], str]] = {
    "fit": (Fit, "run"),
    "baselines": (Baselines, "baselines"),
    "compare": (Compare, "run"),
    "report": (Report, "run"),
    "predict": (Predict, "answer"),
    "evaluate": (Evaluate, "answer"),
    "export": (Export, "run"),
    "data": (Data, "check"),
    "doctor": (Doctor, "check"),
}
