"""`l2rclip evaluate`: every metric of a run, on its data or on a new table of labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2rclip_lite.commands.common import (
    WORDS,
    How,
    LabelsAre,
    Method,
    OtherWords,
    Part,
    Reading,
    RunFolder,
)
from l2rclip_lite.commands.finished_run import data_of, in_other_words, load_model, warn_of_words
from l2rclip_lite.commands.terminal import json_line
from l2rclip_lite.errors import InputError, plural

if TYPE_CHECKING:
    from l2rclip_lite.data import Split
    from l2rclip_lite.method.model import L2RCLIP

# scores of the order, which answers in words that training never had may get right
ORDER = ("spearman_expected", "auc")


def evaluate(  # noqa: PLR0913  (an entry point)
    run: RunFolder,
    split: Part = "test",
    json: bool = False,
    method: Method = None,
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
    from l2rclip_lite.runs.results import judge

    trained = load_model(
        run, method, how.device, weights=how.weights, allow_download=how.allow_download
    )
    model = in_other_words(trained, words)
    title, part, caveat = _images_to_score(run, split, labels_are, how, model)
    if calibrate is not None:
        _calibrate(model, run, calibrate, labels_are, how, part)
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
        print(json_line(answer))
        return

    note = f" ({caveat})" if caveat else ""
    print(
        f"{run}, {title}: {plural(len(part), 'image')}, temperature {model.temperature:.2f}, "
        f"95 % intervals{note}"
    )
    print(
        f"mae and rmse in {model.ranks.unit}; "
        "mae_rank, amae, mmae and rps in steps from rank to rank\n"
    )
    _print_scores(scores, () if words == WORDS else ORDER)


def _print_scores(scores: dict[str, float], first: Sequence[str]) -> None:
    """Print a line for each score; those that are named come first."""
    from l2rclip_lite.runs.results import cell

    for name in dict.fromkeys([*first, *scores]):
        if not name.endswith(("_low", "_high")):
            print(f"{name:<24}{cell(scores, name, 3)}")


def _images_to_score(
    run: str, split: Part, labels_are: LabelsAre | None, how: Reading, model: "L2RCLIP"
) -> "tuple[str, Split, str]":
    """Return images with their labels, what to call them, and what is missing of them.

    They are a split of the run's data, or where these cannot be read, a new table of labels.

    Raises:
        InputError: Neither can be read, or the data of the run have another number of ranks.
    """
    try:
        data = data_of(run, how)
    except InputError:
        if not how.labels:
            raise
        part = _rows_of_new_table(run, how.labels, how, labels_are, model)
        if part is None:
            raise
        return f"all rows of {how.labels}", part, ""
    if len(data.ranks) != len(model.ranks):
        problem = f"its data have {len(data.ranks)} ranks, and --ranks names {len(model.ranks)}"
        raise InputError(f"{run}: {problem}; give images with such labels by --root and --labels.")
    return str(split), data.split(split), data.caveat


def _calibrate(
    model: "L2RCLIP",
    run: str,
    labels: str,
    labels_are: LabelsAre | None,
    how: Reading,
    scored: "Split",
) -> None:
    """Fit the temperature on the images of a second table of labels.

    Raises:
        InputError: One of them is to be scored, too, or it is the table of the run.
    """
    from l2rclip_lite.heads.calibration import calibrate as fit

    part = _rows_of_new_table(run, labels, how, labels_are, model)
    if part is None:
        raise InputError(f"{labels}: is the run's own table; name one of other images.")
    contents = {scored.digest(index) for index in range(len(scored))}
    for index, path in enumerate(part.paths):  # one image may have two names
        if part.digest(index) in contents:
            problem = f"the image {path} is to be scored, too"
            raise InputError(f"{labels}: {problem}; leave it out of one of the tables.")
    fit(model, model.encode(part, cache=how.cache), part.targets)


def _rows_of_new_table(
    run: str, labels: str, how: Reading, labels_are: LabelsAre | None, model: "L2RCLIP"
) -> "Split | None":
    """Return every row of a new table of labels, or nothing where it is the run's own table.

    Its columns are called as in the table of the run.
    """
    from l2rclip_lite.data.labels import label_space
    from l2rclip_lite.data.own_images import files_inside, own_table, table_file
    from l2rclip_lite.data.table import as_split, first_row

    source = _recorded_source(run)
    root = Path(how.root or ".")
    if source.get("name") == "csv":
        own_root = Path(source.get("root") or ".")
        own_name = source.get("labels") or "labels.csv"
        own_file = own_root / own_name
        if own_root.is_dir():  # else another folder may have a table of this name
            own_file = table_file(own_root, own_name)
        if own_file.resolve() == table_file(root, labels).resolve():
            return None

    columns = {
        "path": str(source.get("path_column", "path")),
        "label": str(source.get("label_column", "label")),
        "subject": str(source.get("group_column", "group")),
    }
    rows, _, _ = own_table(root, labels, columns)
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
    from l2rclip_lite.runs.run_directory import RunDirectory

    try:
        return dict(RunDirectory(run).read_record().dataset.source or {})
    except (InputError, LookupError, TypeError, ValueError):
        return {}
