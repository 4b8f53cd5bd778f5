"""`l2rclip predict`: grade images with a finished run."""

import os
import sys
from glob import glob
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from l2rclip_lite.errors import InputError, one_line

if TYPE_CHECKING:
    pass
from l2rclip_lite.commands.common import Images, Method, Run, load_model


def predict(
    run: Run,
    images: Images,
    csv: bool = False,
    method: Method = None,
    device: str = "cpu",
    allow_download: bool = False,
) -> int:
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
        allow_download: Let weights and tokenizer that the run names be downloaded, where this machine lacks them.
    """
    from l2rclip_lite.images import images_in
    from l2rclip_lite.progress import Progress

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
    model = load_model(run, method, device, allow_download=allow_download)
    header, code = True, 0
    values = dict(enumerate(model.ranks.values))
    for path in Progress(paths, "predicting", disable=sys.stdout.isatty(), leave=False):
        try:
            found = model.predict(path).to_frame().round(6)
            found = found.assign(
                **{key: found[key].map(values) for key in ("median", "low", "high")}
            )
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
