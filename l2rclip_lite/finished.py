"""What `l2rclip` does with a finished run: baselines, compare, report, predict, evaluate, export.

Whatever needs torch is imported when a command runs, so that help answers at once.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from glob import glob
from importlib.util import find_spec
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from l2rclip_lite.errors import InputError, one_line

if TYPE_CHECKING:
    from l2rclip_lite.data import OrdinalDataset, Split
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.ranks import Ranks

OURS, BASELINES = "L2RCLIP", "baselines"  # a row of a table; a folder of a run

Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Names = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME ...]")]
Images = Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
File = Annotated[Path, tyro.conf.Positional]
Method = str | None
Part = Literal["train", "val", "test"]
Labels = Literal["names", "index", "position"] | None


@dataclass(frozen=True)
class Place:
    """Where the data of a finished run are now.

    A run's own record of them is followed only inside the current folder; whatever lies elsewhere is named again.
    """

    root: str | None = None
    """Folder of the images; needed if it has moved, or does not lie in the current folder."""
    labels: str | None = None
    """csv: the labels file, absolute or relative to the root; needed if it lies elsewhere."""
    lists: str | None = None
    """Folder of the official split lists; needed as the root is."""


@dataclass(frozen=True)
class Reading(Place):
    """How to read the data of a run, and where to compute."""

    cache: str | None = None
    """Keep image features of a frozen tower in this folder, and take them from there."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""


Where = Annotated[Place, tyro.conf.arg(name="")]
How = Annotated[Reading, tyro.conf.arg(name="")]


def baselines(run: Run, names: Names, how: How = Reading()) -> None:
    """Train other methods on the towers, data and budget of a finished run, and compare them with it.

    Try:
      l2rclip baselines runs/mine cross-entropy linear-probe

    On fixed image features, in seconds: ridge, linear-probe, zero-shot, zero-shot-raw. On a tower that is trained:
    cross-entropy, rps, sord, coral, corn, dldl-v2, mean-variance, ordinal-entropy, supcon, rank-n-contrast, coop,
    ordinalclip, ordinalclip-inverse; with -frozen behind the name, as in sord-frozen, on fixed features.

    Each is kept as a model in RUN/baselines/NAME, and not trained again: `predict`, `evaluate` and `export` take it by
    --method NAME.

    Args:
        run: The --out of a finished fit.
        names: Which methods; none trains ridge and linear-probe, in seconds.
        how: Where to find data and device.
    """
    from l2rclip_lite.baselines import check_baselines, train_baseline
    from l2rclip_lite.results import write_predictions
    from l2rclip_lite.runs import RunDirectory
    from l2rclip_lite.training import TrainingData

    trained, names = _model(run, device=how.device), names or ["ridge", "linear-probe"]
    check_baselines(names, trained.config)
    kept = {name: RunDirectory(Path(run, BASELINES, name)) for name in names}
    missing = [name for name in kept if not kept[name].predictions.is_file()]  # it is written last
    if missing:
        found = data_of(run, how)
        model = type(trained).build(found.ranks, trained.config).to(trained.device)
        loaded = TrainingData.load(found, model, cache=how.cache, quiet=False)
    for name in missing:
        print(f"{name}, to be kept in {kept[name].folder}", file=sys.stderr, flush=True)
        with kept[name].writing():
            done = train_baseline(name, model, loaded, run=kept[name], quiet=False)
            done.save_pretrained(kept[name].folder)
            write_predictions(kept[name], done, found.test, done.probabilities(loaded.encode(done, "test")))
            kept[name].clean()
    compare(run)


def compare(run: Run) -> None:
    """Print the test scores of a run and its baselines, and how much each differs from L2RCLIP.

    Try:
      l2rclip compare runs/mine

    All scores come with 95 % bootstrap intervals. The differences are paired: the same resamples of images, or where the
    data say whom they show, of subjects. No image is read.

    Args:
        run: The --out of a finished fit.
    """
    from l2rclip_lite.metrics import with_intervals
    from l2rclip_lite.results import SCORES

    ranks, answers, scores = judged(run)
    title = f"test; unit of MAE: {ranks.unit}"
    print(table({name: with_intervals(each) for name, each in scores.items()}, title))
    best = scores.pop(OURS)
    rows = {name: with_intervals({key: of[key] - best[key] for key in SCORES}) for name, of in scores.items()}
    if rows:
        paired = f"difference from {OURS}, paired by {'subject' if 'subject' in answers[OURS] else 'image'}"
        print(f"\n{table(rows, f'{paired}; an interval without 0 shows one')}")


def report(run: Run, out: Path | None = None, where: Where = Place()) -> None:
    """Write one HTML page about a finished run, with its figures and its worst images in it.

    Try:
      l2rclip report runs/mine
      l2rclip report runs/mine --out mine.html --root /where/the/images/are/now

    It has the scores beside those of the baselines, training curves, confusion, reliability, the worst test images and the
    model card, and asks no other host for anything. Look at the images before you hand it on.

    Args:
        run: The --out of a finished fit.
        out: What to write; RUN/report.html if not given.
        where: Where to find the images.
    """
    if find_spec("seaborn") is None:
        raise InputError('report: seaborn is not installed; run: pip install "l2rclip-lite[plots]"')
    from l2rclip_book.report import write_report

    file = write_report(run, out or Path(run, "report.html"), judged(run), partial(data_of, run, where))
    print(f"{file}: open it in a browser")


def predict(run: Run, images: Images, csv: bool = False, method: Method = None, device: str = "cpu") -> int:
    """Grade images with a finished run: one JSON object per line, or CSV.

    Try:
      l2rclip predict runs/mine photo1.jpg photo2.jpg
      l2rclip predict runs/mine photos/ > answers.jsonl
      l2rclip predict runs/mine "photos/*/front.jpg" --method sord
      find photos -name "*.jpg" | l2rclip predict runs/mine - --csv > answers.csv
      l2rclip predict leaves leaf.jpg
          by the model that ships with the package, of generated leaves

    Each answer has path, rank (the most probable, as an index from 0), its name, probabilities, and four numbers in the
    unit of the ranks: median, low and high (between them lies the true rank nine times out of ten) and expected. Images that
    cannot be read are named on stderr; the others are answered, and the exit code is 2. Training images are answered too
    well: `evaluate` shows what to expect of new ones.

    Args:
        run: The --out of a finished fit, or leaves.
        images: Images, folders that hold some, patterns, or - for a list on stdin.
        csv: Print a table with a header in place of JSON lines.
        method: A baseline of the run, such as sord, in place of L2RCLIP.
        device: Where to compute: cpu, cuda or mps.
    """
    from l2rclip_lite.data.base import images_in
    from l2rclip_lite.runs import Progress

    paths: list[Path] = []
    for word in images:
        if word == "-":
            paths += [Path(line) for line in sys.stdin.read().splitlines() if line]
        else:
            matches = [] if os.path.lexists(word) else sorted(glob(word, recursive=True))
            paths += map(Path, matches or [word])
    paths = [each for path in paths for each in (images_in(path) if path.is_dir() else [path])]
    if not paths:
        raise InputError("predict: no image there; name images, or a folder that holds some.")
    model, header, code = _model(run, method, device), True, 0
    values = dict(enumerate(model.ranks.values))
    for path in Progress(paths, "predicting", disable=sys.stdout.isatty(), leave=False):
        try:
            found = model.predict(path).to_frame().round(6)
            found = found.assign(**{key: found[key].map(values) for key in ("median", "low", "high")})
        except InputError as error:
            code = 2
            print(f"error: {one_line(str(error))}", file=sys.stderr)
            continue
        if csv:
            print(found.to_csv(index=False, header=header), end="")
            header = False
        else:
            answer = found.to_dict("records")[0]
            answer["probabilities"] = [answer.pop(f"p_{k}") for k in range(len(model.ranks))]
            print(dumps(answer), flush=True)
    return code


def evaluate(
    run: Run,
    split: Part = "test",
    json: bool = False,
    method: Method = None,
    labels_are: Labels = None,
    how: How = Reading(),
) -> None:
    """Read a run's data again, or a new table of labels, and compute every metric with its interval.

    Try:
      l2rclip evaluate runs/mine
      l2rclip evaluate runs/mine --split val --json
      l2rclip evaluate runs/mine --root /where/the/images/are/now
      l2rclip evaluate runs/mine --root new_photos --labels new.csv
          every row of a new table, whatever its split

    Args:
        run: The --out of a finished fit.
        split: train, val or test.
        json: Print one JSON object in place of a table.
        method: A baseline of the run, such as sord, in place of L2RCLIP.
        labels_are: What a new table of labels holds, see `l2rclip fit --help`; as in the run if not given.
        how: Where to find data and device.
    """
    from l2rclip_lite.results import cell, judge

    model, title, caveat = _model(run, method, how.device), str(split), ""
    try:
        found: Any = data_of(run, how)
        part, caveat = found.split(split), found.caveat
    except InputError:
        title, part = f"all rows of {how.labels}", how.labels and _labelled(run, how, labels_are, model)
        if not part:
            raise
    p = model.probabilities(model.encode(part, cache=how.cache, quiet=json))
    scores = judge(p, part, model.ranks, intervals=True)
    about = {"run": run, "split": title, "caveat": caveat, "temperature": float(model.temperature)}
    if json:
        print(dumps(about | {"metrics": scores}))
        return
    print(f"{run}, {title}: {len(part)} images, temperature {model.temperature:.2f}, 95 % intervals {caveat}")
    print(f"mae and rmse in {model.ranks.unit}; mae_rank, amae, mmae and rps in steps from rank to rank\n")
    for name in scores:
        if not name.endswith(("_low", "_high")):
            print(f"{name:<24}{cell(scores, name, 3)}")


def export(run: Run, file: File, method: Method = None, where: Where = Place()) -> None:
    """Write a finished run as one ONNX file, checked against PyTorch before it is kept.

    Try:
      l2rclip export runs/mine model.onnx
          image tower, text features, probabilities and expectation in one file, which needs no Python

    Input of the file: pixels, bytes [batch, 3, height, width], RGB, of any size. Outputs: probabilities [batch, rank],
    at the temperature of the model, and expected [batch]. Its metadata, under the key l2rclip, names the ranks and
    holds the level of the 90 % interval, conformal (`Prediction.of`).

    Args:
        run: The --out of a finished fit.
        file: What to write, such as model.onnx.
        method: A baseline of the run, such as sord, in place of L2RCLIP.
        where: Where to find data.
    """
    if file.suffix != ".onnx":
        raise InputError(f"export: {file} must end in .onnx.")
    from l2rclip_lite.export import export_onnx

    model, found = _model(run, method), data_of(run, where)
    print("writing the graph, and comparing it with PyTorch", file=sys.stderr, flush=True)
    some = found.test[:: max(1, len(found.test) // 64)]
    difference, images = export_onnx(model, file, (some[index][0] for index in range(len(some))))
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB, input pixels, outputs probabilities and expected")
    print(f"largest difference from PyTorch: {difference:.1g} in a probability, on {images} images")


def table(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """One line per method with its scores and their intervals; the last two stand below, as terminals are narrow."""
    import pandas as pd

    from l2rclip_lite.results import SCORES, cell

    cells = {name: {SCORES[key]: cell(row, key, 3) for key in SCORES} for name, row in rows.items()}
    found = pd.DataFrame(cells).T
    return f"{title}\n{found.iloc[:, :3].to_string()}\n\n{found.iloc[:, 3:].to_string()}"


def judged(run: str) -> "tuple[Ranks, dict[str, Any], dict[str, Any]]":
    """The ranks of a run; what L2RCLIP and each baseline answered about the test images; `metrics.resampled` of that."""
    from l2rclip_lite.metrics import resampled
    from l2rclip_lite.results import read_table

    if away := [p for p in Path(run).rglob("*") if not p.resolve().is_relative_to(Path(run).resolve())]:
        raise InputError(f"{away[0]} leads out of {run}; put the file itself there.")
    files = {OURS: Path(run, "predictions.csv")}
    files |= {file.parent.name: file for file in sorted(Path(run, BASELINES).glob("*/predictions.csv"))}
    ranks, scores = _model(run).ranks, {}
    answers = {name: read_table(file, ("path", "true_rank")) for name, file in files.items()}
    ours = answers[OURS]
    subjects = ours["subject"].astype(str).tolist() if "subject" in ours else None
    for name, each in answers.items():
        if not each["path"].equals(ours["path"]):
            raise InputError(f"{run}: {name} answered other images; delete it and train it again.")
        p = each.filter(regex=r"^p_\d+$").to_numpy()
        scores[name] = resampled(p, each["true_rank"].to_numpy(), ranks, groups=subjects)
    return ranks, answers, scores


def _model(run: str, method: str | None = None, device: str = "cpu") -> "L2RCLIP":
    """L2RCLIP of a run, or one of its baselines."""
    from l2rclip_lite.model import L2RCLIP

    folder = Path(run, BASELINES, method) if method else run
    if method and not Path(folder).is_dir():
        raise InputError(f"{folder}: not there; train it by `l2rclip {BASELINES} {run} {method}`.")
    return L2RCLIP.from_pretrained(folder, device=device)


def data_of(run: str, where: Place) -> "OrdinalDataset":
    """The data of a run, read again and compared with what they were."""
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.runs import RunDirectory, fingerprint, read_json

    stored = read_json(RunDirectory(run).config)
    named = {key: place for key in ("root", "labels", "lists") if (place := getattr(where, key))}
    away, trusted = list[str](), [Path.cwd(), Path(where.root or ".").resolve()]
    try:
        about = stored["dataset"]
        source = {**about["source"], **named}
        for key in ("root", "labels", "lists"):
            if key in source and key not in named:
                paths = [Path(start, source[key]).resolve() for start in (".", source.get("root") or ".")]
                if not all(any(path.is_relative_to(each) for each in trusted) for path in paths):
                    away.append(f"--{key} {source[key]}")
        data = None if away else load_dataset(**source)
    except (InputError, LookupError, TypeError) as error:
        hint = "fit it by `l2rclip fit`, or pass --root if it has moved"
        raise InputError(f"{run}: its data cannot be read again; {hint} ({error})") from error
    if data is None:
        said = f"its data lie outside the current folder; if you trust its record, add {' '.join(away)}"
        raise InputError(f"{run}: {said}")
    if fingerprint(data) != about["fingerprint"]:
        raise InputError(f"{run}: data with other files, labels, splits or ranks now; pass the old --root.")
    return data


def _labelled(run: str, how: Reading, labels_are: Labels, model: "L2RCLIP") -> "Split | None":
    """Every row of a new table of labels as one split, its columns called as in the run's; None of the run's own table."""
    from l2rclip_lite.data.tables import as_split, files_inside, label_space, own_table, refuse
    from l2rclip_lite.runs import RunDirectory, read_json

    told, root = dict[str, Any](), Path(how.root or ".")
    with suppress(InputError, LookupError, TypeError, ValueError):  # of a model without a record
        told = dict(read_json(RunDirectory(run).config)["dataset"]["source"])
    ours = {"path": "path", "label": "label", "subject": "group"}
    columns = {key: str(told.get(f"{name}_column", name)) for key, name in ours.items()}
    own = Path(told.get("root") or ".", told.get("labels") or "labels.csv")
    if own.resolve() == Path(root, str(how.labels)).resolve():
        return None
    rows, _ = own_table(root, str(how.labels), columns)
    rows["file"] = files_inside(root, rows)
    refuse(rows, rows["file"] == "", "the image {path} is not under {root}; correct it or --root.", root=root)
    label_space(rows, model.ranks, None, labels_are or told.get("labels_are", "names"))
    return as_split(rows)
