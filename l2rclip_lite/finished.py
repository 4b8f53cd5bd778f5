"""What `l2rclip` does with a finished run: baselines, predict, evaluate, export.

Whatever needs torch is imported when a command runs, so that help answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from csv import writer
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from l2rclip_lite.errors import InputError, one_line

if TYPE_CHECKING:
    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.model import L2RCLIP

SCORES = ("rps", "mae_median", "accuracy", "qwk")  # of a table that compares methods

Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Names = Annotated[list[str], tyro.conf.Positional]
Images = Annotated[Names, tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
File = Annotated[Path, tyro.conf.Positional]


@dataclass(frozen=True)
class Place:
    """Where a finished run is used: its data may have moved."""

    root: str | None = None
    """Folder of the images, if it has moved."""
    lists: str | None = None
    """Folder of the official split lists, if it has moved."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""


Where = Annotated[Place, tyro.conf.arg(name="")]
HERE = Place()


def baselines(run: Run, names: Names, where: Where = HERE) -> None:
    """Train other methods on the towers, data and budget of a finished run, and print them beside it.

    Try:
      l2rclip baselines runs/mine cross-entropy linear-probe

    Args:
        run: The --out of a finished fit.
        names: One or more; a wrong one lists them all. With -frozen behind it: on fixed image features.
        where: Where to find data and device.
    """
    from l2rclip_lite.baselines import check_baselines, train_baseline
    from l2rclip_lite.results import judge
    from l2rclip_lite.runs import RunDirectory, write_json
    from l2rclip_lite.training import TrainingData

    trained, found = _opened(run, where)
    check_baselines(names, trained.config)
    answers = {"L2RCLIP": trained.probabilities(trained.encode(found.test))}
    model = type(trained).build(found.ranks, trained.config).to(where.device)
    loaded = TrainingData.load(found, model, quiet=False)
    for name in names:
        answers[name] = train_baseline(name, model, loaded, quiet=False)
    rows = {name: judge(each, found, "test", intervals=True) for name, each in answers.items()}
    write_json(RunDirectory(run).folder / "baselines.json", rows)
    print(table(rows, found.ranks.unit))


def predict(run: Run, images: Images, csv: bool = False, device: str = "cpu") -> int:
    """Grade images with a finished run: one JSON object per line, or CSV.

    Try:
      l2rclip predict runs/mine photo1.jpg photo2.jpg
      l2rclip predict runs/mine photos/ > answers.jsonl
      l2rclip predict leaves leaf.jpg
          by the model that ships with the package, of generated leaves

    Each answer has path, rank (index), name, expected (in the unit of the ranks) and probabilities. Images that cannot
    be read are named on stderr; the others are answered, and the exit code is 2.

    Args:
        run: The --out of a finished fit, or leaves.
        images: Images, and folders that hold some.
        csv: Print a table with a header in place of JSON lines.
        device: Where to compute: cpu, cuda or mps.
    """
    from l2rclip_lite.data.base import IMAGE_SUFFIXES, read_image
    from l2rclip_lite.model import L2RCLIP

    model, paths, code = L2RCLIP.from_pretrained(run, device=device), list[Path](), 0
    for path in map(Path, images):
        held = (each for each in sorted(path.rglob("*")) if each.suffix.lower() in IMAGE_SUFFIXES)
        paths += held if path.is_dir() else [path]
    table = writer(sys.stdout)
    if csv:
        table.writerow(["path", "rank", "name", "expected", *(f"p_{k}" for k in range(len(model.ranks)))])
    for path in paths:
        try:
            found = model.predict(read_image(path, "predict"))
        except InputError as error:
            code = 2
            print(f"error: {one_line(str(error))}", file=sys.stderr)
            continue
        numbers = float(found.expected), float(model.temperature), *found.probabilities[0].tolist()
        expected, temperature, *shares = (round(number, 6) for number in numbers)
        answer = {"path": str(path), "rank": int(found.rank), "name": found.name[0], "expected": expected}
        if csv:
            table.writerow([*answer.values(), *shares])
        else:
            print(dumps(answer | {"probabilities": shares, "temperature": temperature}), flush=True)
    return code


def evaluate(run: Run, split: str = "test", json: bool = False, where: Where = HERE) -> None:
    """Read a run's data again and compute every metric with its interval.

    Try:
      l2rclip evaluate runs/mine
      l2rclip evaluate runs/mine --split val --json
      l2rclip evaluate runs/mine --root /where/the/images/are/now

    Args:
        run: The --out of a finished fit.
        split: train, val or test.
        json: Print one JSON object in place of a table.
        where: Where to find data and device.
    """
    from l2rclip_lite.model_card import cell
    from l2rclip_lite.results import judge

    model, found = _opened(run, where)
    part, temperature = found.split(split), float(model.temperature)
    metrics = judge(model.probabilities(model.encode(part, quiet=json)), found, split, intervals=True)
    if json:
        print(dumps({"run": run, "split": split, "temperature": temperature, "metrics": metrics}))
        return
    print(f"{run}, {split}: {len(part)} images, temperature {temperature:.2f}, 95 % intervals {found.caveat}")
    print(f"mae and rmse in {found.ranks.unit}; mae_rank, amae, mmae and rps in steps from rank to rank\n")
    for name in metrics:
        if not name.endswith(("_low", "_high")):
            print(f"{name:<24}{cell(metrics, name, 3)}")


def export(run: Run, file: File, int8: bool = False, where: Where = HERE) -> None:
    """Write a finished run as one ONNX file, checked against PyTorch before it is kept.

    Try:
      l2rclip export runs/mine model.onnx
          image tower, text features, probabilities and expectation in one file, which needs no Python
      l2rclip export runs/mine model.onnx --int8
          also model.int8.onnx, about a third of the size; prints what that costs on the run's test images

    Input of the file: pixels, bytes [batch, 3, height, width], RGB, of any size. Outputs: probabilities [batch, rank],
    at the temperature of the model, and expected [batch]. Its metadata, under the key l2rclip, names the ranks.

    Args:
        run: The --out of a finished fit.
        file: What to write, such as model.onnx.
        int8: Also write 8-bit weights, and measure what they cost.
        where: Where to find data.
    """
    if file.suffix != ".onnx":
        raise InputError(f"export: {file} must end in .onnx.")
    from l2rclip_lite import export as onnx
    from l2rclip_lite.results import judge

    model, found = _opened(run, where)
    some = found.test[:: max(1, len(found.test) // 64)]
    done = onnx.export_onnx(model, file, (some[index][0] for index in range(len(some))))
    print(f"{done.file}: {done.megabytes:.1f} MB, input pixels, outputs probabilities and expected")
    print(f"largest difference from PyTorch: {done.difference:.1g} in a probability, on {done.images} images")
    if int8:
        answers = {each.name: onnx.answers(each, found.test) for each in (file, onnx.quantise(file))}
        rows = {name: judge(each, found, "test", intervals=True) for name, each in answers.items()}
        print(f"\n{table(rows, found.ranks.unit)}")


def table(rows: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """One line per method with its test scores and their intervals."""
    import pandas as pd

    from l2rclip_lite.model_card import cell

    cells = {name: {score: cell(row, score, 3) for score in SCORES} for name, row in rows.items()}
    return f"test, in {unit}\n{pd.DataFrame(cells).T.to_string()}"


def _opened(run: str, where: Place) -> tuple[L2RCLIP, OrdinalDataset]:
    """A run's model, and its data read again and compared with what it was."""
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.runs import RunDirectory, fingerprint, read_json

    stored = read_json(RunDirectory(run).config)
    moved = {key: place for key in ("root", "lists") if (place := getattr(where, key))}
    try:
        about = stored["dataset"]
        data = load_dataset(**{**about["source"], **moved})
    except (InputError, LookupError, TypeError) as error:
        hint = "fit it by `l2rclip fit`, or pass --root if it has moved"
        raise InputError(f"{run}: its data cannot be read again; {hint} ({error})") from error
    if fingerprint(data) != about["fingerprint"]:
        raise InputError(f"{run}: data with other files, labels, splits or ranks now; pass the old --root.")
    return L2RCLIP.from_pretrained(run, device=where.device), data
