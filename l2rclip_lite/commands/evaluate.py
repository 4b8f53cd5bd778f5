"""`l2rclip evaluate`: every metric of a run, on its data or on a new table of labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2rclip_lite.commands.common import How, LabelsAre, Method, Part, Reading, RunFolder
from l2rclip_lite.commands.finished_run import data_of, load_model
from l2rclip_lite.commands.terminal import json_line
from l2rclip_lite.errors import InputError, plural

if TYPE_CHECKING:
    from l2rclip_lite.data import Split
    from l2rclip_lite.model import L2RCLIP


def evaluate(
    run: RunFolder,
    split: Part = "test",
    json: bool = False,
    method: Method = None,
    labels_are: LabelsAre | None = None,
    how: How = Reading(),
) -> None:
    """Read a run's data again, or a new table of labels; compute every metric with its interval.

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
        labels_are: What a new table of labels holds, see `l2rclip fit --help`; as in the run if not
            given.
        how: Where to find data and device.
    """
    from l2rclip_lite.results import cell, judge

    model = load_model(
        run, method, how.device, weights=how.weights, allow_download=how.allow_download
    )
    title, part, caveat = _images_to_score(run, split, labels_are, how, model)
    p = model.probabilities(model.encode(part, cache=how.cache, quiet=json))
    scores = judge(p, part, model.ranks, intervals=True)

    temperature = float(model.temperature)
    if json:
        answer = {
            "run": run,
            "split": title,
            "caveat": caveat,
            "temperature": temperature,
            "metrics": scores,
        }
        print(json_line(answer))
        return

    print(
        f"{run}, {title}: {plural(len(part), 'image')}, temperature {temperature:.2f}, "
        f"95 % intervals {caveat}"
    )
    print(
        f"mae and rmse in {model.ranks.unit}; "
        "mae_rank, amae, mmae and rps in steps from rank to rank\n"
    )
    for name in scores:
        if not name.endswith(("_low", "_high")):
            print(f"{name:<24}{cell(scores, name, 3)}")


def _images_to_score(
    run: str, split: Part, labels_are: LabelsAre | None, how: Reading, model: "L2RCLIP"
) -> "tuple[str, Split, str]":
    """Return images with their labels, what to call them, and what is missing of them.

    They are a split of the run's data, or where these cannot be read, a new table of labels.
    """
    try:
        data = data_of(run, how)
    except InputError:
        if not how.labels:
            raise
        part = _rows_of_new_table(run, how, labels_are, model)
        if part is None:
            raise
        return f"all rows of {how.labels}", part, ""
    return str(split), data.split(split), data.caveat


def _rows_of_new_table(
    run: str, how: Reading, labels_are: LabelsAre | None, model: "L2RCLIP"
) -> "Split | None":
    """Return every row of a new table of labels, or nothing where it is the run's own table.

    Its columns are called as in the table of the run.
    """
    from l2rclip_lite.data.own_images.files import files_inside
    from l2rclip_lite.data.own_images.labels import label_space
    from l2rclip_lite.data.own_images.reading import own_table
    from l2rclip_lite.data.table import as_split, first_row

    source = _recorded_source(run)
    root = Path(how.root or ".")
    own_file = Path(source.get("root") or ".", source.get("labels") or "labels.csv")
    if own_file.resolve() == Path(root, str(how.labels)).resolve():
        return None

    columns = {
        "path": str(source.get("path_column", "path")),
        "label": str(source.get("label_column", "label")),
        "subject": str(source.get("group_column", "group")),
    }
    rows, _, _ = own_table(root, str(how.labels), columns)
    rows["file"] = files_inside(root, rows)
    row = first_row(rows, rows["file"] == "")
    if row:
        raise InputError(
            f"{row['where']}: the image {row['path']} is not under {root}; correct it or --root."
        )

    label_space(rows, model.ranks, None, labels_are or source.get("labels_are", "names"))
    return as_split(rows)


def _recorded_source(run: str) -> dict[str, Any]:
    """Return how the data of a run were read; nothing of a model without a record."""
    from l2rclip_lite.run_directory import RunDirectory

    try:
        return dict(RunDirectory(run).read_record().dataset.source or {})
    except (InputError, LookupError, TypeError, ValueError):
        return {}
