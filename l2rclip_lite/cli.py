"""The command `l2rclip`: fit, baselines, compare, report, predict, evaluate, export, data, doctor.

What the user can mend is said in one sentence on stderr, with exit code 2. Whatever needs torch is imported when a
command runs, so that help and a misspelt option answer at once.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Union

import tyro
from pydantic import ValidationError

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, TrainingError, sentence
from l2rclip_lite.finished import baselines, compare, evaluate, export, predict, report, table

ABOUT = """Ordinal classification by learning to rank with language (L2RCLIP).

`l2rclip COMMAND --help` shows examples; begin with `l2rclip doctor`. With --debug an error shows where it came from."""


@dataclass(frozen=True)
class DataOptions:
    """What `load_dataset` takes besides the name; a loader knows its own defaults."""

    root: str | None = None
    """All but leaves: folder of the images."""
    lists: str | None = None
    """Folder of the official split lists; ROOT/datalists if not given."""
    protocol: str | None = None
    """morph, clap2015, aesthetics: which split; `l2rclip data NAME` lists them."""
    fold: int | None = None
    """bracol, bracol-area 1 to 5; apples81, hc18 0 to 4; csv 1 to --folds; others as `l2rclip data NAME` says."""
    folds: int | None = None
    """csv: draw so many test parts that together hold every image."""
    category: str | None = None
    """aesthetics: animals, nature, people or urban."""
    labels: str | None = None
    """csv: a .csv, .tsv or .parquet file, its path from the root or from here; else ROOT/labels.csv or a folder per rank."""
    ranks: str | None = None
    """csv: the names, lowest first, with commas, or 0:9; else the numbers in the file. leaves: their number."""
    labels_are: Literal["names", "index", "position"] | None = None
    """csv: names of ranks, which are values where they are numbers (the default); index from 0; position from 1."""
    template: str | None = None
    """csv: a sentence with {rank} where the name goes; else "a photo of a {rank} object", of numbers "... grade {rank}"."""
    unit: str | None = None
    """csv: what the numbers of the ranks count, such as weeks; "grade" if not given."""
    path_column: str | None = None
    """csv: the column with the image's path; `path` if not given."""
    label_column: str | None = None
    """csv: the column with the label; `label` if not given."""
    group_column: str | None = None
    """csv: the column with who or what is shown, kept in one split; `group` if not given and there."""
    split_column: str | None = None
    """csv: the column with train, val, test; `split` if not given and there."""
    val_share: float | None = None
    """csv: how much becomes validation where it is drawn; 0.15 if not given."""
    size: int | None = None
    """leaves: number of images."""
    pixels: int | None = None
    """leaves: side of the images."""
    seed: Annotated[int | None, tyro.conf.arg(name="data-seed")] = None
    """Seed of generated images and of splits that are drawn."""
    allow_missing: bool = False
    """Go on without the listed images that are not there; the run records them."""
    allow_empty_ranks: bool = False
    """csv: go on though a rank has no training image; its sentence, or its number, alone stands for it."""
    subject_disjoint: bool = False
    """Split anew so that nobody is in two splits."""
    rebin: int | None = None
    """Merge neighbouring ranks into so many."""
    hold_out: int | None = None
    """Unseen ranks: 3 takes a third of those between the ends out of training and validation."""
    label_shift: str | None = None
    """RANKS:KEEP, such as 10:0.1: the 10 most frequent ranks keep a tenth of their images."""
    long_tail: float | None = None
    """Thin the training ranks out to this ratio of most to fewest images."""
    few_shot: int | None = None
    """Keep so many training images per rank."""
    protocol_seed: int | None = None
    """Seed of what the six options above draw or choose."""


Name = Annotated[str | None, tyro.conf.Positional]
Data = Annotated[DataOptions, tyro.conf.arg(name="")]
DATA = DataOptions()


def fit(
    dataset: str,
    out: str,
    # Never with a default: the fields' own follow the preset.
    config: Annotated[Config, tyro.conf.arg(name="")],
    quiet: bool = False,
    cache: str | None = None,
    options: Data = DATA,
) -> None:
    r"""Train on a data set, in two stages, calibrate the probabilities, and write a run directory.

    Try:
      l2rclip fit --dataset leaves --out runs/leaves
          generated leaves, nothing to download, minutes on a laptop
      l2rclip fit --dataset bracol --root DATA/bracol_severity --fold 1 --out runs/bracol
          real coffee leaves
      l2rclip fit --dataset csv --root DIR --labels labels.csv --ranks "fresh,ripe,overripe" \
                  --template "a photo of a {rank} banana" --out runs/mine
          your own images; labels.csv has the columns path,label and, if you like, group and split
      l2rclip fit --dataset csv --root DIR --labels visits.tsv --path-column file --label-column week \
                  --group-column patient --unit weeks --image-side kernel --out runs/mine
          columns by your own names, nobody in two splits, and a first look in minutes: only a head on the features trains
      l2rclip fit --dataset csv --root DIR --out runs/mine
          a sub-folder for each rank, called by a number; names need --ranks in their order
      accelerate launch -m l2rclip_lite fit --dataset leaves --out runs/leaves
          the same on every GPU of this machine

    A run that was stopped continues from its last complete epoch: give the same command again.

    Args:
        dataset: leaves, csv (your own), bracol, bracol-area, retinamnist, apples81, hc18, morph, clap2015, adience, hci
            or aesthetics.
        out: The run directory: new, or of the same run.
        quiet: Print nothing but the last line.
        cache: Keep image features of the untrained tower in this folder, and take them from there.
        options: The data set.
        config: Model and training.
    """
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.results import ROWS
    from l2rclip_lite.training import fit as train

    given = {"name": dataset} | _given(options)
    loaded = load_dataset(**given)
    if not quiet:
        print(loaded.summary(), end="\n\n", flush=True)
    run = train(loaded, config, out, source=given, cache=cache, quiet=quiet)
    if not quiet:
        rows = {title: run.metrics[key] for key, title in ROWS.items()}
        print(table(rows, f"test; unit of MAE: {loaded.ranks.unit}"), end="\n\n")
        if "numbers" in (told := run.history[-1] if run.history else {}):
            print("validation chose: the head trusts sentences {text:g}, numbers {numbers:g}".format(**told))
        found = f"temperature {float(run.model.temperature):.2f}, 90 % intervals"
        print(f"calibrated on {len(loaded.val)} validation images: {found}")
    scores = "test RPS {rps:.3f}, MAE of the median {mae_median:.3f}, accuracy {accuracy:.3f}"
    test = scores.format(**run.metrics["test"])
    print(f"{test}{f' ({loaded.caveat})' if loaded.caveat else ''}; the run is in {out}")


def data(
    name: Name = None, leakage: bool = False, check: bool = False, download: str = "", options: Data = DATA
) -> int:
    """Describe a data set: its card, its counts, its leakage; check its images, or download it.

    Try:
      l2rclip data
          the twelve data sets
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

    Args:
        name: leaves, csv, bracol, bracol-area, retinamnist, apples81, hc18, morph, clap2015, adience, hci or aesthetics.
        leakage: Print what training and test share.
        check: Decode every image, and print sizes, modes, copies across splits, and all that cannot be read.
        download: Fetch what is free, images or split lists, into this folder.
        options: Which part of it.
    """
    from l2rclip_lite.data import benchmarks, describe, load_dataset
    from l2rclip_lite.data.download import download as fetch

    given = _given(options)
    wishes = {"--leakage": leakage, "--check": check, "--download": download}
    asked = [wish for wish, value in wishes.items() if value]
    if len(asked) > 1 or (name is None and (asked or given)):
        raise InputError(f"data: name a data set, and at most one of {', '.join(wishes)}.")
    if name is None:
        print(benchmarks.cards_table().to_string())
    elif name not in benchmarks.DATA_SETS:
        load_dataset(name)  # lists those there are
    elif download:
        print(f"{name} is in {fetch(name, download)}; `l2rclip data {name}` says more.")
    elif check:
        text, good = describe.check(name, given)
        print(text)
        return 0 if good else 2
    elif leakage:
        print(describe.leakage_table(name, given))
    elif given or name == "leaves":
        print(describe.counts(load_dataset(name, **given)))
    else:
        print(describe.card(name))
    return 0


def doctor(out: str = ".") -> int:
    """Check versions, weights, device, write access and a forward pass.

    Try:
      l2rclip doctor --out runs

    Args:
        out: Where your runs shall be written.
    """
    from l2rclip_lite.doctor import doctor as examine

    return 0 if examine(out) else 1


COMMANDS = (fit, baselines, compare, report, predict, evaluate, export, data, doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The words after `l2rclip`; None takes the process's own.

    Returns:
        Exit code: 0 done, 1 `doctor` found a failure, 2 an error that the user can mend, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug, words = "--debug" in words, [word for word in words if word != "--debug"]
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal lacks is no reason to end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    commands = []
    for command in COMMANDS:  # only the one that was named shows its examples
        about = None if words[:1] == [command.__name__] else str(command.__doc__).partition("\n")[0]
        commands.append(Annotated[Any, tyro.conf.subcommand(constructor=command, description=about)])
    union: Any = Union[tuple(commands)]  # noqa: UP007  # made at run time
    strict = (tyro.conf.DisallowNone,)
    try:
        code = tyro.cli(union, prog="l2rclip", description=ABOUT, args=words, config=strict)
        sys.stdout.flush()
        return int(code or 0)
    except SystemExit as done:  # help, or tyro's word on a misspelt option
        return int(done.code or 0)
    except KeyboardInterrupt:
        print("interrupted; a fit keeps its complete epochs: give the same command again.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has enough: nothing to say, now or at shutdown
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (InputError, TrainingError, OSError, ValidationError) as error:
        if debug:
            traceback.print_exc()
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 2


def _given(options: DataOptions) -> dict[str, Any]:
    """The keyword arguments of `load_dataset` that were given, ready for JSON."""
    return {key: value for key, value in asdict(options).items() if value is not None and value is not False}
