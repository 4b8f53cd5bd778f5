"""`l2rclip predict`: grade images with a finished run."""

import os
import sys
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from l2rclip_lite.commands.common import WORDS, ImagePaths, Method, OtherWords, RunFolder
from l2rclip_lite.commands.finished_run import in_other_words, load_model, warn_of_words
from l2rclip_lite.commands.terminal import json_line
from l2rclip_lite.errors import InputError, one_line, printable

if TYPE_CHECKING:
    import pandas as pd

    from l2rclip_lite.method.model import L2RCLIP

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what begins a formula where a spreadsheet reads CSV


def predict(
    run: RunFolder,
    images: ImagePaths,
    csv: bool = False,
    method: Method = None,
    device: str = "cpu",
    allow_download: bool = False,
    words: OtherWords = WORDS,
) -> int:
    r"""Grade images with a finished run: one JSON object per line, or CSV.

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
    a name of a rank after an apostrophe. What cannot be printed stands there as an escape, such as
    \x1b; in JSON nothing is lost.

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
    from tqdm import tqdm

    paths, problems = _images_of(images)
    for problem in problems:
        _complain(problem)
    if not paths and problems:
        return 2
    if not paths:
        named = f" in {', '.join(images)}" if images else ""
        raise InputError(f"predict: no image{named}; name images, or a folder that holds some.")

    trained = load_model(run, method, device, allow_download=allow_download)
    model = in_other_words(trained, words)
    warn_of_words(model, trained)
    header = True
    code = 2 if problems else 0
    for path in tqdm(paths, "predicting", disable=sys.stdout.isatty() or None, leave=False):
        try:
            answer = _answer(model, path)
        except InputError as error:
            _complain(str(error))
            code = 2
            continue

        if csv:
            print(_csv(answer, header), end="")
            header = False
        else:
            print(_json(answer), flush=True)
    return code


def _images_of(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the images that the words name, and sentences about what is left out."""
    from l2rclip_lite.data.image_lists import scan_folder

    named: list[Path] = []
    for word in words:
        if not word:
            raise InputError('predict: "" names no image; write . for the current folder.')
        if word == "-":
            named += _listed_on_stdin()
        elif os.path.lexists(word):
            named.append(Path(word))
        else:
            matches = sorted(glob(word, recursive=True))
            named += map(Path, matches or [word])

    paths: list[Path] = []
    problems: list[str] = []
    for path in named:
        if not os.path.isdir(path):
            paths.append(path)
            continue

        scan = scan_folder(path)
        paths += scan.images
        for link in scan.links_out:
            fix = "put the file itself there"
            problems.append(f"{link} leads out of its folder and is left out; {fix}.")
        problems += map(str, scan.unreadable)
    return paths, problems


def _listed_on_stdin() -> list[Path]:
    """Return the paths on stdin, whatever bytes they are made of; a line feed alone ends one."""
    if sys.stdin is None:
        raise InputError("predict: standard input is closed; name images, or give a list on it.")
    lines = os.fsdecode(sys.stdin.buffer.read()).split("\n")
    for line in lines:
        if "\0" in line:
            raise InputError(
                f"predict: {line!r:.200} holds a NUL character; write one path a line."
            )

    # A list from Windows ends its lines with \r\n.
    lines = [line if os.path.lexists(line) else line.removesuffix("\r") for line in lines]
    return [Path(line) for line in lines if line]


def _answer(model: "L2RCLIP", path: Path) -> "pd.DataFrame":
    """Return one row: what the model says of an image, in the unit of the ranks."""
    row = model.predict(path).to_frame().round(6)
    for column in ("median", "low", "high"):
        row[column] = [model.ranks.values[rank] for rank in row[column]]
    return row


def _json(row: "pd.DataFrame") -> str:
    """Return the row as JSON, its probabilities as a list."""
    answer = row.to_dict("records")[0]
    shares = [key for key in answer if str(key).startswith("p_")]
    answer["probabilities"] = [answer.pop(key) for key in shares]
    return json_line(answer)


def _csv(row: "pd.DataFrame", header: bool) -> str:
    """Return the row as a line of CSV in which no cell begins a formula."""
    paths = [f"./{path}" if path.startswith(FORMULA) else path for path in row["path"]]
    names = [f"'{name}" if name.startswith(FORMULA) else name for name in row["name"]]
    row = row.assign(path=list(map(printable, paths)), name=list(map(printable, names)))
    return row.to_csv(index=False, header=header)


def _complain(message: str) -> None:
    """Say on stderr what is wrong with one image."""
    print(f"error: {one_line(message)}", file=sys.stderr)
