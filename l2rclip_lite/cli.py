"""The command `l2rclip`: fit, predict, evaluate, calibrate, export, data, doctor.

What the user can mend is said in one sentence on stderr, with exit code 2. Whatever needs torch is imported
when a command runs, so that help and a misspelt option answer at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from l2rclip_lite import __version__
from l2rclip_lite.config import Config
from l2rclip_lite.data_command import data_parser, run_data
from l2rclip_lite.errors import InputError, TrainingError, one_line, sentence
from l2rclip_lite.export_command import export_parser, run_export
from l2rclip_lite.interrupts import told
from l2rclip_lite.launch import launch, launches
from l2rclip_lite.options import (
    NAMES,
    Parser,
    add_data_options,
    data_options,
    escape_unshowable,
    kebab,
    listed_baselines,
    usage_sentence,
)

if TYPE_CHECKING:
    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.model import L2RCLIP, Prediction
    from l2rclip_lite.training import Run

FIT_EXAMPLES = """examples:
  l2rclip fit --dataset leaves --out runs/leaves
      generated leaves, nothing to download, minutes on a laptop
  l2rclip fit --dataset bracol --root DATA/bracol_severity --fold 1 --out runs/bracol
      real coffee leaves
  l2rclip fit --dataset csv --root DIR --labels labels.csv --ranks "fresh,ripe,overripe" \\
              --template "a photo of a {rank} banana" --out runs/mine
      your own pictures; labels.csv has the columns path,label and, if you like, split
  l2rclip fit --dataset leaves --baselines linear-probe,cross-entropy --out runs/leaves
      the same, beside two baselines with the same towers, data and budget

A run that was stopped goes on where it stood: give the same command again."""
PREDICT_EXAMPLES = """examples:
  l2rclip predict runs/mine photo1.jpg photo2.jpg
  l2rclip predict runs/mine photos/*.jpg > answers.jsonl

Each line is an object with path, rank (index), name, expected (in the unit of the ranks) and probabilities,
and for a run that was calibrated also the temperature that they were computed with.
Pictures that cannot be read are named on stderr after the others are done; the exit code is then 2."""
EVALUATE_EXAMPLES = """examples:
  l2rclip evaluate runs/mine
  l2rclip evaluate runs/mine --split val --json
  l2rclip evaluate runs/mine --root /where/the/pictures/are/now"""
CALIBRATE_EXAMPLES = """examples:
  l2rclip calibrate runs/mine
      fits one temperature on the validation pictures and writes runs/mine/calibration.json
  l2rclip calibrate runs/mine --root /where/the/pictures/are/now

`l2rclip predict` and `evaluate` use it from then on. No most probable rank changes, only how sure the model is; the
expectation moves with it. Delete calibration.json to go back."""
DOCTOR_EXAMPLES = """examples:
  l2rclip doctor
  l2rclip doctor --out runs
      tries to write where your runs shall go"""
BATCH = 32  # pictures that `predict` decodes before it prints


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The words after `l2rclip`; None takes the process's own.

    Returns:
        Exit code: 0 done, 1 `doctor` found a failure, 2 an error that the user can mend, 130 interrupted (143 by SIGTERM).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    escape_unshowable()
    parsers = _parsers()
    if not words:
        parsers["l2rclip"].print_help(sys.stderr)
        return 2
    try:
        options = parsers["l2rclip"].parse_args(kebab(words))
    except (ArgumentError, ValueError, RecursionError) as error:  # the last two for words such as [[[[[[…
        print(f"error: {one_line(usage_sentence(str(error), parsers, words[0]))}", file=sys.stderr)
        return 2
    command, chosen = options.subcommand, options[options.subcommand]
    commands = {"fit": _fit, "predict": _predict, "evaluate": _evaluate}
    commands |= {"calibrate": _calibrate, "export": run_export, "data": run_data, "doctor": _doctor}
    try:
        apart = command == "fit" and launches(chosen.processes)
        code = launch(words, chosen.processes) if apart else commands[command](chosen)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as `head`, has enough: nothing to say, now or at shutdown
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as error:
        print(told(command), file=sys.stderr)
        return 128 + int((error.args or (signal.SIGINT,))[0])
    except (InputError, TrainingError, OSError) as error:
        if chosen.debug:
            traceback.print_exc()
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 2


def _parsers() -> dict[str, ArgumentParser]:
    """The parser of all under "l2rclip", and that of each command."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    about = "Ordinal classification by learning to rank with language (L2RCLIP)."
    examples = "`l2rclip COMMAND --help` shows examples. Begin with: l2rclip doctor"
    whole = Parser("l2rclip COMMAND ...", about, examples, prog="l2rclip", version=__version__)
    parsers: dict[str, ArgumentParser] = {
        "fit": _fit_parser(),
        "predict": _predict_parser(),
        "evaluate": _evaluate_parser(),
        "calibrate": _calibrate_parser(),
        "export": export_parser(),
        "data": data_parser(),
        "doctor": _doctor_parser(),
    }
    commands = whole.add_subcommands(title="commands", metavar="COMMAND")
    for name, parser in parsers.items():
        parser.add_argument("--debug", action="store_true", help="Show where an error came from.")
        commands.add_subcommand(name, parser, help=parser.description)
    return parsers | {"l2rclip": whole}


def _fit_parser() -> ArgumentParser:
    usage = "l2rclip fit --dataset NAME --out DIR [options]"
    parser = Parser(
        usage,
        "Train on a data set, in two stages, and write a run directory.",
        f"{FIT_EXAMPLES}\n\n{listed_baselines()}",
    )
    named: dict[str, Any] = {"type": str, "required": True}
    parser.add_argument("--dataset", **named, metavar="NAME", help=f"One of {', '.join(NAMES)}.")
    parser.add_argument("--out", **named, metavar="DIR", help="The run directory: new, or of the same run.")
    others = "What to train beside it: names from the list below, with commas."
    parser.add_argument("--baselines", type=str, default="", metavar="NAMES", help=others)
    parser.add_argument("--quiet", action="store_true", help="Print nothing but the last line.")
    together = "Train in so many processes of this machine, on a GPU or some cores each."
    parser.add_argument("--processes", type=int | None, metavar="N", help=together)
    add_data_options(parser)
    parser.add_argument_group("model and training").add_class_arguments(Config, None, as_group=False)
    return parser


def _predict_parser() -> ArgumentParser:
    usage = "l2rclip predict RUN PHOTO [PHOTO ...] [options]"
    parser = Parser(usage, "Grade pictures with a finished run; one JSON object a line.", PREDICT_EXAMPLES)
    parser.add_argument("run", type=str, metavar="RUN", help="The --out of a finished fit.")
    parser.add_argument("photos", type=str, nargs="+", metavar="PHOTO", help="A picture.")
    parser.add_argument("--device", type=Literal["cpu", "cuda"], default="cpu", help="Where to run.")
    return parser


def _evaluate_parser() -> ArgumentParser:
    about = "Read a run's data again and compute every metric with its interval."
    parser = Parser("l2rclip evaluate RUN [options]", about, EVALUATE_EXAMPLES)
    parser.add_argument("run", type=str, metavar="RUN", help="The --out of a finished fit.")
    parser.add_argument("--split", type=str, default="test", help="train, val or test.")
    _add_moved(parser)
    parser.add_argument("--json", action="store_true", help="Print one JSON object instead of a table.")
    return parser


def _calibrate_parser() -> ArgumentParser:
    about = "Make a finished run about as sure as it is right: one temperature, fitted on validation."
    parser = Parser("l2rclip calibrate RUN [options]", about, CALIBRATE_EXAMPLES)
    parser.add_argument("run", type=str, metavar="RUN", help="The --out of a finished fit.")
    _add_moved(parser)
    return parser


def _add_moved(parser: Parser) -> None:
    """Where a run's data is read again, and on what."""
    parser.add_argument("--root", type=str | None, help="Where the data lies now, if it has moved.")
    parser.add_argument("--lists", type=str | None, help="Where the split lists lie now, if they have moved.")
    parser.add_argument("--device", type=Literal["cpu", "cuda"], default="cpu", help="Where to run.")


def _doctor_parser() -> ArgumentParser:
    about = "Check versions, weights, device, memory, write access and a forward pass."
    parser = Parser("l2rclip doctor [--out DIR]", about, DOCTOR_EXAMPLES)
    parser.add_argument("--out", type=str, default=".", metavar="DIR", help="Where runs shall be written.")
    return parser


def _fit(options: Namespace) -> int:
    """`l2rclip fit`."""
    from l2rclip_lite.distributed import first, joined

    with joined(options.device):
        told = _train(options, quiet=options.quiet or not first())
        if first():
            print(told)
    return 0


def _train(options: Namespace, *, quiet: bool) -> str:
    """Train and tell on the way what there is to tell; the last line is returned."""
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.stages import freezing_table
    from l2rclip_lite.training import fit

    baselines = _baselines(options.baselines)
    source = {"name": options.dataset} | data_options(options, options.dataset)
    config = Config(**{field.name: options[field.name] for field in fields(Config)})
    data = load_dataset(**source)
    if not quiet:
        print(_card(data), end="\n\n", flush=True)
        model = L2RCLIP.build(data.ranks, config, data.image_size)
        print(freezing_table(model, config.scheme), end="\n\n", flush=True)
        if standing := _standing(Path(options.out)):
            print(standing, end="\n\n", flush=True)
    run = fit(data, config, options.out, baselines=baselines, source=source, quiet=quiet)
    if not quiet:
        print(_results(run), end="\n\n")
    return _last_line(run, data.caveat)


def _baselines(text: str) -> tuple[str, ...]:
    """The baselines' names, refused here rather than after an hour of training."""
    from l2rclip_lite.baselines import check_baselines

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    check_baselines(names, option="--baselines")
    return names


def _predict(options: Namespace) -> int:
    """`l2rclip predict`."""
    from l2rclip_lite.data.files import read_image

    model = _model(options)
    problems: list[str] = []
    for start in range(0, len(options.photos), BATCH):
        paths, pictures = [], []
        for path in options.photos[start : start + BATCH]:
            try:  # squashed at once: 32 pictures from a camera would need a gigabyte
                pictures.append(model.towers.squash(read_image(path, "predict")))
                paths.append(path)
            except InputError as error:
                problems.append(str(error))
        if pictures:
            _answer(paths, model.predict(pictures, batch_size=BATCH), model.temperature)
    for problem in problems:
        print(f"error: {one_line(problem)}", file=sys.stderr)
    return 2 if problems else 0


def _answer(paths: list[str], found: Prediction, temperature: float) -> None:
    """One JSON object a picture, with as many digits as predictions.csv, and the temperature unless it is 1."""
    for index, path in enumerate(paths):
        row = {"path": path, "rank": int(found.rank[index]), "name": found.name[index]}
        row["expected"] = round(float(found.expected[index]), 6)
        row["probabilities"] = [round(p, 6) for p in found.probabilities[index].tolist()]
        if temperature != 1:
            row["temperature"] = round(temperature, 6)
        print(json.dumps(row), flush=True)


def _evaluate(options: Namespace) -> int:
    """`l2rclip evaluate`."""
    from l2rclip_lite.pixels import Streamed
    from l2rclip_lite.rundir import read_data
    from l2rclip_lite.training import judge

    data = read_data(Path(options.run), root=options.root, lists=options.lists)
    split = data.split(options.split)
    model = _model(options)
    features = model.features(Streamed(split, model.towers), quiet=options.json)
    metrics = judge(model.probabilities(features), data, options.split, intervals=True)
    calibrated = model.temperature != 1
    if options.json:
        found = {"run": options.run, "split": options.split, "metrics": metrics}
        print(json.dumps(found | ({"temperature": model.temperature} if calibrated else {})))
        return 0
    caveat = f" ({data.caveat})" if data.caveat else ""
    caveat += f", at temperature {model.temperature:.2f}" if calibrated else ""
    print(f"{options.run}, {options.split}: {len(split)} pictures{caveat}, 95 % intervals")
    print(f"mae and rmse in {data.ranks.unit}; mae_rank, amae, mmae and rps in steps from rank to rank\n")
    for name in metrics:
        if f"{name}_low" in metrics:
            print(f"{name:<24}{_interval(metrics, name)}")
    return 0


def _calibrate(options: Namespace) -> int:
    """`l2rclip calibrate`."""
    from l2rclip_lite.calibration import calibrate
    from l2rclip_lite.calibration_file import CALIBRATION_FILE
    from l2rclip_lite.rundir import read_data

    val = read_data(Path(options.run), root=options.root, lists=options.lists).val
    found = calibrate(_model(options, calibrated=False), val, options.run)
    print(
        f"temperature {found.temperature:.2f} from {found.pictures} validation pictures "
        f"(95 % interval {found.low:.2f} to {found.high:.2f})\n"
        f"their mean negative log-likelihood: {found.nll_before:.3f} before, {found.nll_after:.3f} after\n"
        f"written to {Path(options.run) / CALIBRATION_FILE}"
    )
    if found.low <= 1 <= found.high:
        print("note: the interval includes 1; so few pictures do not show that a temperature is needed")
    return 0


def _doctor(options: Namespace) -> int:
    """`l2rclip doctor`."""
    from l2rclip_lite.doctor import doctor

    return 0 if doctor(options.out) else 1


def _model(options: Namespace, *, calibrated: bool = True) -> L2RCLIP:
    """The model of a finished run on the device asked for."""
    import torch

    from l2rclip_lite.model import L2RCLIP

    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: no CUDA GPU is visible here; use --device cpu.")
    return L2RCLIP.load(options.run, device=options.device, calibrated=calibrated)


def _card(data: OrdinalDataset) -> str:
    """Source and licence, the ranks, how many pictures each has, and a line for each step of the protocol."""
    card, ranks = data.card, data.ranks
    counts = {split: data.counts(split) for split in ("train", "val", "test")}
    shown = (f"{split} {sum(each)} ({_few([*map(str, each)], ' ')})" for split, each in counts.items())
    return (
        f"data      {card.title}; source: {card.source}; licence: {card.licence}\n"
        f"ranks     {len(ranks)}, lowest first: {_few(ranks.names, ', ')}; as in {ranks.sentences[0]!r}\n"
        f"pictures  {', '.join(shown)}" + "".join(f"\nprotocol  {step}" for step in data.protocol)
    )


def _few(words: Sequence[str], separator: str) -> str:
    """All of a dozen words, the ends of more."""
    return separator.join(words if len(words) <= 12 else [*words[:3], "...", *words[-3:]])


def _results(run: Run) -> str:
    """Test accuracy, MAE and QWK with their intervals, the method above what it must be held against."""
    metrics = run.metrics
    rows = {"L2RCLIP": metrics["test"]}
    if "test_after_stage1" in metrics:  # joint training has no stage 1
        rows["after stage 1"] = metrics["test_after_stage1"]
    rows |= metrics["baselines"]
    names = {"accuracy": "accuracy", "mae": f"MAE ({run.model.ranks.unit})", "qwk": "QWK"}
    width = max(16, *(len(row) + 2 for row in rows))
    lines = [f"{'test':<{width}}" + "".join(f"{title:<24}" for title in names.values()).rstrip()]
    for row, found in rows.items():
        lines.append(f"{row:<{width}}" + "".join(f"{_interval(found, name):<24}" for name in names).rstrip())
    return "\n".join(lines)


def _interval(metrics: dict[str, float], name: str) -> str:
    """A figure, with its 95 % interval where there is one."""
    if f"{name}_low" not in metrics:
        return f"{metrics[name]:.3f}"
    return f"{metrics[name]:.3f} [{metrics[f'{name}_low']:.3f}, {metrics[f'{name}_high']:.3f}]"


def _standing(out: Path) -> str:
    """Whether a run is taken up again."""
    if (out / "metrics.json").is_file():
        return f"{out} is a finished run: it is loaded, and only baselines that it lacks are trained."
    if (out / "checkpoint").is_dir():
        return f"{out} was stopped: it goes on after its last complete epoch."
    return ""


def _last_line(run: Run, caveat: str) -> str:
    """What a script wants to keep."""
    test, unit = run.metrics["test"], run.model.ranks.unit
    figures = f"test accuracy {test['accuracy']:.3f}, MAE {test['mae']:.3f} {unit}, QWK {test['qwk']:.3f}"
    return f"{figures}{f' ({caveat})' if caveat else ''}; the run is in {run.out}"


if __name__ == "__main__":
    sys.exit(main())
