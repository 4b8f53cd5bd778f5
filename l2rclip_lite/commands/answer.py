"""`l2rclip predict` and `l2rclip evaluate`: what a finished run answers, and how well."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from glob import glob
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from l2rclip_lite.commands.options import (
    WORDS,
    How,
    ImagePaths,
    LabelsAre,
    OtherWords,
    Part,
    Reading,
    RunFolder,
)
from l2rclip_lite.errors import InputError, one_line, plural

if TYPE_CHECKING:
    import pandas as pd

FORMULA = r"^(?=[=+\-@\t\r])"  # what begins a formula where a spreadsheet reads CSV
# scores of the order, which answers in words that training never had may get right
ORDER = ("spearman_expected", "auc")


def predict(
    run: RunFolder,
    images: ImagePaths,
    csv: bool = False,
    method: str | None = None,
    device: str = "cpu",
    allow_download: bool = False,
    words: OtherWords = WORDS,
) -> int:
    """Grade images with a finished run: one JSON object per line, or CSV.

    Try:
      l2rclip predict runs/mine photo1.jpg photo2.jpg
      l2rclip predict runs/mine photos/ > answers.jsonl
      l2rclip predict runs/mine "photos/*/front.jpg" --method sord
      find photos -name "*.jpg" | l2rclip predict runs/mine - --csv > answers.csv
      l2rclip predict leaves leaf.jpg
          by the model that ships with the package, of generated leaves
      l2rclip predict leaves-percent photos/ --ranks "no,low,high"
          in words that training never had: trust the order of the answers, not how sure they are

    Each answer has path, rank (the most probable, as an index from 0), its name, probabilities, and
    four numbers in the unit of the ranks: median, low and high (between them lies the true rank
    nine times out of ten) and expected. Images and folders that cannot be read, and links that lead
    out of a folder, are named on stderr; the others are answered, and the exit code is 2. Training
    images are answered too well: `evaluate` shows what to expect of new ones.

    In CSV no cell begins a formula: a path that begins with = + - @ or a tab is written as ./PATH,
    a name of a rank after an apostrophe.

    Args:
        run: The --out of a finished fit, or leaves or leaves-percent, which ship.
        images: Images, folders that hold some, patterns, or - for a list on stdin.
        csv: Print a table with a header in place of JSON lines.
        method: A baseline of the run, such as sord, in place of L2RCLIP.
        device: Where to compute: cpu, cuda or mps.
        allow_download: Let weights and tokenizer that the run names be downloaded, where this
            machine lacks them.
        words: Ranks that training never had.
    """
    from l2rclip_lite.commands.finished_run import in_other_words, load_model, warn_of_words

    paths, problems = _images_of(images)
    for problem in problems:
        _complain(problem)
    if not paths and not problems:
        raise InputError("predict: no image; name images, or a folder that holds some.")

    trained = load_model(run, method, Reading(device=device, allow_download=allow_download))
    model = in_other_words(trained, words)
    warn_of_words(model, trained)
    header = True
    for path in tqdm(paths, "predicting", disable=sys.stdout.isatty() or None, leave=False):
        try:
            answer = model.predict(path).to_frame().round(6)
        except InputError as error:
            _complain(str(error))
            problems.append(str(error))
            continue

        for column in ("median", "low", "high"):
            answer[column] = answer[column].map(lambda rank: model.ranks.values[rank])
        if csv:
            print(_csv(answer, header), end="")
            header = False
        else:
            print(_json(answer), flush=True)
    return 2 if problems else 0


def _images_of(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the images that the words name, and sentences about what is left out."""
    from l2rclip_lite.data.reading import scan_folder

    paths: list[Path] = []
    problems: list[str] = []
    for name in _names_in(words):
        if not os.path.isdir(name):
            paths.append(Path(name))
            continue

        images, errors = scan_folder(name)
        paths += images
        problems += map(str, errors)
    return paths, problems


def _names_in(words: Sequence[str]) -> Iterator[str]:
    """Yield the names of images and folders: as they stand, those of a pattern, those on stdin."""
    for word in words:
        if word == "-":
            # whatever bytes they are made of; `find -print0` ends them with a NUL, Windows with \r
            names = re.split("\r?\n|\0", os.fsdecode(sys.stdin.buffer.read()))
            yield from filter(None, names)
        elif os.path.lexists(word):
            yield word
        else:
            yield from sorted(glob(word, recursive=True)) or [word]


def _json(row: "pd.DataFrame") -> str:
    """Return the row as JSON, its probabilities as a list."""
    answer = row.to_dict("records")[0]
    shares = [key for key in answer if str(key).startswith("p_")]
    answer["probabilities"] = [answer.pop(key) for key in shares]
    return dumps(answer)


def _csv(row: "pd.DataFrame", header: bool) -> str:
    """Return the row as a line of CSV in which no cell begins a formula."""
    row = row.replace({"path": {FORMULA: "./"}, "name": {FORMULA: "'"}}, regex=True)
    return row.to_csv(index=False, header=header)


def _complain(message: str) -> None:
    """Say on stderr what is wrong with one image."""
    print(f"error: {one_line(message)}", file=sys.stderr)


def evaluate(  # noqa: PLR0913  (an entry point)
    run: RunFolder,
    split: Part = "test",
    json: bool = False,
    method: str | None = None,
    labels_are: LabelsAre | None = None,
    calibrate: str | None = None,
    words: OtherWords = WORDS,
    how: How = Reading(),
) -> None:
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

    Args:
        run: The --out of a finished fit.
        split: train, val or test.
        json: Print one JSON object in place of a table.
        method: A baseline of the run, such as sord, in place of L2RCLIP.
        labels_are: What a new table of labels holds, see `l2rclip fit --help`; as in the run if not
            given.
        calibrate: A table of labels; its images decide the temperature in place of the run's
            validation images, and none of them may be scored. Its paths start from --root, or else
            from the current folder.
        words: Ranks that training never had.
        how: Where to find data and device.
    """
    from l2rclip_lite.commands.finished_run import (
        calibrate_on,
        images_to_score,
        in_other_words,
        load_model,
        warn_of_words,
    )
    from l2rclip_lite.runs.results import cell, judge

    trained = load_model(run, method, how)
    model = in_other_words(trained, words)
    title, part, caveat = images_to_score(run, split, labels_are, how, model)
    if calibrate is not None:
        calibrate_on(calibrate, part, model, run, labels_are, how)
    p = model.probabilities(model.encode(part, cache=how.cache, quiet=json))
    scores = judge(p, part, model.ranks, intervals=True)
    warn_of_words(model, trained)

    if json:
        answer = {
            "run": run,
            "split": title,
            "caveat": caveat,
            "temperature": float(model.temperature),
            "metrics": scores,
        }
        print(dumps(answer))
        return

    note = f" ({caveat})" if caveat else ""
    print(
        f"{run}, {title}: {plural(len(part), 'image')}, temperature {model.temperature:.2f}, "
        f"95 % intervals{note}\n"
        f"mae and rmse in {model.ranks.unit}; "
        "mae_rank, amae, mmae and rps in steps from rank to rank\n"
    )
    first = () if words == WORDS else ORDER
    for name in dict.fromkeys([*first, *scores]):
        if not name.endswith(("_low", "_high")):
            print(f"{name:<24}{cell(scores, name, 3)}")
