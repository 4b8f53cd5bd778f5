"""`l2rclip evaluate`: every metric of a run, on its data or on a new table of labels."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2rclip_lite.commands.terminal import json_line
from l2rclip_lite.errors import InputError

if TYPE_CHECKING:
    from l2rclip_lite.data import Split
    from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.commands.common import (
    How,
    Labels,
    Method,
    Part,
    Reading,
    Run,
    data_of,
    load_model,
)


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

    model = load_model(
        run, method, how.device, weights=how.weights, allow_download=how.allow_download
    )
    title, caveat = str(split), ""
    try:
        found: Any = data_of(run, how)
        part, caveat = found.split(split), found.caveat
    except InputError:
        title, part = (
            f"all rows of {how.labels}",
            how.labels and _labelled(run, how, labels_are, model),
        )
        if not part:
            raise
    p = model.probabilities(model.encode(part, cache=how.cache, quiet=json))
    scores = judge(p, part, model.ranks, intervals=True)
    about = {"run": run, "split": title, "caveat": caveat, "temperature": float(model.temperature)}
    if json:
        print(json_line(about | {"metrics": scores}))
        return
    print(
        f"{run}, {title}: {len(part)} images, temperature {model.temperature:.2f}, 95 % intervals {caveat}"
    )
    print(
        f"mae and rmse in {model.ranks.unit}; mae_rank, amae, mmae and rps in steps from rank to rank\n"
    )
    for name in scores:
        if not name.endswith(("_low", "_high")):
            print(f"{name:<24}{cell(scores, name, 3)}")


def _labelled(run: str, how: Reading, labels_are: Labels, model: "L2RCLIP") -> "Split | None":
    """Every row of a new table of labels as one split, its columns called as in the run's; None of the run's own table."""
    from l2rclip_lite.data.own_images.labels import label_space
    from l2rclip_lite.data.own_images.reading import own_table
    from l2rclip_lite.data.table import as_split, files_inside, first_row
    from l2rclip_lite.run_directory import RunDirectory

    told, root = dict[str, Any](), Path(how.root or ".")
    with suppress(InputError, LookupError, TypeError, ValueError):  # of a model without a record
        told = dict(RunDirectory(run).read_record().dataset.source or {})
    ours = {"path": "path", "label": "label", "subject": "group"}
    columns = {key: str(told.get(f"{name}_column", name)) for key, name in ours.items()}
    own = Path(told.get("root") or ".", told.get("labels") or "labels.csv")
    if own.resolve() == Path(root, str(how.labels)).resolve():
        return None
    rows, _, _ = own_table(root, str(how.labels), columns)
    rows["file"] = files_inside(root, rows)
    if row := first_row(rows, rows["file"] == ""):
        raise InputError(
            f"{row['where']}: the image {row['path']} is not under {root}; correct it or --root."
        )
    label_space(rows, model.ranks, None, labels_are or told.get("labels_are", "names"))
    return as_split(rows)
