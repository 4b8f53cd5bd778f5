"""What the files of a run must hold, and how they are read: config, metrics, history, predictions.

A run may come from somebody else, or have been cut off or edited. Whatever is not as `fit` wrote it
is refused with its file, its row and what to do.
"""

import csv
import io
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from l2rclip_lite.errors import InputError, reason, unreadable
from l2rclip_lite.files import read_bytes, read_json
from l2rclip_lite.method.ranks import Ranks

RESTORE = "restore the file, or train again in a new folder"
INDICES = ("true_rank", "predicted_rank", "median_rank", "low_rank", "high_rank")
ROUNDING = 1e-6  # of one number in predictions.csv, which has six decimals

Number = Annotated[float, Field(strict=True)]  # NaN where a score is not defined
Schema = TypeVar("Schema", bound=BaseModel)


class Settings(BaseModel):
    """The config of a run; which fields it has depends on the release."""

    model_config = ConfigDict(extra="allow")

    controls: dict[str, Any]


class DatasetRecord(BaseModel):
    """What a run was trained on."""

    model_config = ConfigDict(extra="allow")

    fingerprint: str = Field(min_length=1)
    source: dict[str, Any] | None = None  # arguments of `load_dataset`
    ranks: dict[str, Any] | None = None  # see `Ranks.to_dict`


class RunRecord(BaseModel):
    """`config.json`: settings and data of a run."""

    model_config = ConfigDict(extra="allow")

    config: Settings
    used: dict[str, Any] = {}  # the settings with what preset and image side made of None
    dataset: DatasetRecord
    model_sha256: str | None = None  # of a finished run; earlier releases did not record it
    start_sha256: str | None = None  # of the model that training began with


class SplitScores(BaseModel):
    """Scores of one split; those that tables show must be there."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number]

    n: Annotated[float, Field(strict=True, ge=1)]
    rps: Number
    mae: Number
    mae_median: Number
    accuracy: Number
    qwk: Number
    ece: Number


class ComparedModels(BaseModel):
    """The models that a run might have kept."""

    kept: str
    rps: dict[str, Number]


class Metrics(BaseModel):
    """`metrics.json`: scores of a run, and the seconds that it took."""

    model_config = ConfigDict(extra="allow")

    val: SplitScores
    test: SplitScores
    test_after_stage1: SplitScores
    median_rank: SplitScores
    seconds: dict[str, Number]
    comparison: ComparedModels | None = None


class Epoch(BaseModel):
    """One row of `history.csv`; a kernel head has no loss."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, float | None]

    stage: int = Field(ge=1, le=2)
    epoch: int = Field(ge=1)
    loss: float | None = None
    val_mae: float
    val_accuracy: float
    val_rps: float


def read_record(file: Path) -> RunRecord:
    """Return settings and data of a run.

    Raises:
        InputError: The file is missing, damaged, or lacks what every run records.
    """
    return _validated(RunRecord, read_json(file), file)


def read_metrics(file: Path) -> dict[str, Any]:
    """Return what `metrics.json` holds, unchanged.

    Raises:
        InputError: The file is missing or damaged, or a score is missing or no number.
    """
    content = read_json(file)
    _validated(Metrics, content, file)
    return dict(content)


def read_history(file: Path) -> list[dict[str, float]]:
    """Return one row per epoch, both stages; NaN where a stage has no such number.

    Raises:
        InputError: The file is missing, cut off or edited.
    """
    columns, rows = read_rows(file)
    for name in ("stage", "epoch"):
        if name not in columns:
            raise InputError(f"{file}: the column {name} is missing; {RESTORE}.")

    history: list[dict[str, float]] = []
    expected = {1: 1, 2: 1}  # the next epoch of each stage
    for number, cells in enumerate(rows, start=2):
        named = dict(zip(columns, cells, strict=True))
        filled = {name: cell or None for name, cell in named.items()}
        epoch = _validated(Epoch, filled, file, row=number)
        if epoch.epoch != expected[epoch.stage] or (epoch.stage == 1 and expected[2] > 1):
            place = f"stage {epoch.stage}, epoch {epoch.epoch}"
            raise InputError(f"{file} row {number}: {place} is out of order; {RESTORE}.")
        expected[epoch.stage] += 1

        values = epoch.model_dump()
        history.append({name: _or_nan(values[name]) for name in columns})
    return history


def read_predictions(file: Path, ranks: Ranks) -> pd.DataFrame:
    """Return the answers of a model: a row per image, in the order of the file.

    Its columns are `path`, `subject` where the data say whom an image shows, the five ranks of
    `INDICES` as whole numbers, `expected`, and the probabilities `p_0` … `p_{K-1}`.

    Args:
        file: A `predictions.csv`.
        ranks: The K ranks of the run.

    Raises:
        InputError: The file is missing or cut off, has other columns, names an image twice, or has
            a row whose numbers cannot be an answer.
    """
    columns, rows = read_rows(file)
    shares = [f"p_{k}" for k in range(len(ranks))]
    subject = ["subject"] if columns[1:2] == ["subject"] else []
    expected_columns = ["path", *subject, *INDICES, "expected", *shares]
    if columns != expected_columns:
        wanted = ", ".join([*expected_columns[: -len(shares)], f"p_0 … {shares[-1]}"])
        raise InputError(f"{file}: its columns are not {wanted}, in this order; {RESTORE}.")
    if not rows:
        raise InputError(f"{file}: has no row; {RESTORE}.")

    table = pd.DataFrame(rows, columns=columns)
    twice = table["path"].duplicated().to_numpy()
    _refuse(file, table["path"], twice, "the image {} is there twice")
    for name in INDICES:
        table[name] = _whole_numbers(file, table[name], last=len(ranks) - 1)
    for name in ("expected", *shares):
        table[name] = _finite_numbers(file, table[name])
    _check_answers(file, table, ranks)
    return table


def probabilities_of(answers: pd.DataFrame) -> np.ndarray:
    """Return the probabilities of a table of answers: a row per image, a column per rank.

    Example:
        >>> probabilities_of(pd.DataFrame({"path": ["a"], "p_0": [0.25], "p_1": [0.75]}))
        array([[0.25, 0.75]])
    """
    return answers.filter(regex=r"^p_\d+$").to_numpy()


def read_rows(file: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header of a CSV file of a run, and its rows as text.

    Raises:
        InputError: The file is missing, no UTF-8, or a row has more or fewer cells than the header.
    """
    try:
        text = read_bytes(file).decode("utf-8-sig")
        # "\r" within quotes belongs to a name
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except PermissionError as error:
        raise unreadable(file, error) from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read ({reason(error)}); {RESTORE}.") from error
    if not rows:
        raise InputError(f"{file}: is empty; {RESTORE}.")

    header = rows[0]
    if len(set(header)) < len(header):
        raise InputError(f"{file}: two columns have the same name; {RESTORE}.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            counts = f"{len(row)} cells in place of {len(header)}"
            raise InputError(f"{file} row {number}: {counts}; {RESTORE}.")
    return header, rows[1:]


def _validated(schema: type[Schema], content: object, file: Path, row: int | None = None) -> Schema:
    """Validate `content`; an error names the first problem."""
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = file if row is None else f"{file} row {row}"
        name = ".".join(map(str, first["loc"])) or "the content"
        problem = first["msg"].removeprefix("Input ").lower()
        if first["type"] in ("model_type", "dict_type"):
            problem = "should be a JSON object"
        raise InputError(f"{place}: {name}: {problem}; {RESTORE}.") from error


def _or_nan(value: float | None) -> float:
    """Return NaN for a cell that is empty."""
    return float("nan") if value is None else value


def _refuse(file: Path, column: "pd.Series[Any]", wrong: np.ndarray, problem: str) -> None:
    """Raise for the first wrong row; {} in `problem` stands for its cell."""
    if wrong.any():
        index = int(wrong.argmax())
        cell = column.iloc[index]
        shown = repr(cell) if isinstance(cell, str) else str(cell)
        raise InputError(f"{file} row {index + 2}: {problem.format(shown)}; {RESTORE}.")


def _whole_numbers(file: Path, column: "pd.Series[str]", last: int) -> np.ndarray:
    """Return rank indices from 0 to `last`."""
    valid = {str(index): index for index in range(last + 1)}
    is_valid = column.isin(list(valid)).to_numpy()
    _refuse(file, column, ~is_valid, f"{column.name} is {{}}, not a rank from 0 to {last}")
    return column.map(valid).to_numpy(dtype=np.int64)


def _finite_numbers(file: Path, column: "pd.Series[str]") -> np.ndarray:
    """Return numbers that are finite."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    _refuse(file, column, ~np.isfinite(values), f"{column.name} is {{}}, not a number")
    return values


def _check_answers(file: Path, table: pd.DataFrame, ranks: Ranks) -> None:
    """Refuse rows whose probabilities are none, or do not belong to the answers beside them."""
    p = probabilities_of(table)
    total = p.sum(axis=1)
    slack = ROUNDING * len(ranks)
    is_distribution = (p >= 0).all(axis=1) & (np.abs(total - 1) <= slack)
    sums = pd.Series(total.round(6))
    _refuse(file, sums, ~is_distribution, "its probabilities sum to {}, or one is below 0")

    answered = np.take_along_axis(p, table[["predicted_rank"]].to_numpy(), axis=1)[:, 0]
    is_best = answered >= p.max(axis=1) - 2 * ROUNDING
    _refuse(file, table["predicted_rank"], ~is_best, "predicted_rank {} is not the most probable")

    values = np.asarray(ranks.values)
    difference = np.abs(p @ values - table["expected"].to_numpy())
    is_expectation = difference <= ROUNDING * (1 + np.abs(values).sum())
    _refuse(file, table["expected"], ~is_expectation, "expected {} is not that of its row")

    cumulative = np.pad(p.cumsum(axis=1), ((0, 0), (1, 0)))
    median = table[["median_rank"]].to_numpy()
    below = np.take_along_axis(cumulative, median, axis=1)[:, 0]
    up_to = np.take_along_axis(cumulative, median + 1, axis=1)[:, 0]
    is_median = (below < 0.5 + slack) & (up_to >= 0.5 - slack)
    _refuse(file, table["median_rank"], ~is_median, "median_rank {} is not that of its row")

    ordered = table["low_rank"] <= table["high_rank"]
    _refuse(file, table["low_rank"], ~ordered.to_numpy(), "low_rank {} is above high_rank")
    middle = table["median_rank"]
    holds_median = (table["low_rank"] <= middle) & (middle <= table["high_rank"])
    outside = ~holds_median.to_numpy()
    _refuse(file, middle, outside, "median_rank {} is not between low_rank and high_rank")
