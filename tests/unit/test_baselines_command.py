"""`l2rclip baselines` and `compare`: baselines are kept as models, and compared image by image."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from drawn_run import TINY, DrawnRun
from run_files import Outcome, json_lines, read_rows, refused, run
from safetensors.torch import save_file
from tiny_clip import weights


class Compared(NamedTuple):
    """A run with baselines, and what the command printed that trained them."""

    folder: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def compared(drawn_run: DrawnRun, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """A copy of the run of the drawn discs with two baselines."""
    folder = tmp_path_factory.mktemp("baselines") / "run"
    shutil.copytree(drawn_run.out, folder)
    outcome = run("baselines", folder, "ridge", "corn")
    assert outcome.code == 0, outcome.err
    assert "corn, to be kept in" in outcome.err
    return Compared(folder, outcome)


def test_a_kept_baseline_repeats_its_answers(drawn_run: DrawnRun, compared: Compared) -> None:
    """`predict --method` and `evaluate --method` agree with its predictions.csv."""
    rows = read_rows(compared.folder / "baselines" / "corn" / "predictions.csv")
    images = [drawn_run.root / row["path"] for row in rows]
    hits = [row["predicted_rank"] == row["true_rank"] for row in rows]

    answers = json_lines(run("predict", compared.folder, *images, "--method", "corn").out)
    evaluated = json.loads(run("evaluate", compared.folder, "--method", "corn", "--json").out)

    for row, answer in zip(rows, answers, strict=True):
        written = [float(row[f"p_{k}"]) for k in range(3)]
        assert answer["probabilities"] == pytest.approx(written, abs=1e-5)
    assert evaluated["metrics"]["accuracy"] == pytest.approx(sum(hits) / len(rows))


def test_a_kept_baseline_is_not_trained_again(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order they are named, the table is the same; nor for a file of a file manager."""
    checkpoint = compared.folder / "baselines" / "ridge" / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / ".DS_Store").touch()
    monkeypatch.setattr("l2rclip_lite.commands.baselines.train_baseline", None)
    assert run("baselines", compared.folder, "corn", "ridge").out == compared.outcome.out


def test_without_a_name_two_quick_baselines_are_trained(
    drawn_run: DrawnRun, tmp_path: Path
) -> None:
    """In seconds."""
    folder = Path(shutil.copytree(drawn_run.out, tmp_path / "run"))

    assert run("baselines", folder).code == 0
    names = {path.name for path in (folder / "baselines").iterdir()}
    assert names == {"ridge", "linear-probe"}


def test_a_baseline_has_the_towers_of_its_run(tmp_path: Path) -> None:
    """Under the same name there may be another file of weights."""
    tensors = weights(0)
    for name in ("a", "b"):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        tensors["visual.proj"] += 1  # the text tower is the same
    towers = ("--towers", "tiny", "--weights", tmp_path / "a.safetensors", *TINY[2:])
    data = ("--dataset", "leaves", "--size", "60", "--pixels", "64")
    fit = ("fit", *data, *towers, "--quiet", "--out", tmp_path / "run")
    assert run(*fit).code == 0

    ridge = ("baselines", tmp_path / "run", "ridge", "--weights")
    refused(run(*ridge, tmp_path / "b.safetensors"), "its towers began with other weights")
    assert run(*ridge, tmp_path / "a.safetensors").code == 0

    (tmp_path / "run" / "checkpoint").mkdir()  # as of a run that was stopped
    (tmp_path / "b.safetensors").replace(tmp_path / "a.safetensors")
    refused(run(*fit), "began with another file than --weights")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("baselines", "svm"), "'svm' is unknown"),
        (("predict", "a.png", "--method", "sord"), "train it by `l2rclip baselines"),
    ],
)
def test_a_baseline_that_is_not_there_is_refused(
    compared: Compared, words: tuple[str, ...], sentence: str
) -> None:
    """Before anything is trained."""
    name, *rest = words
    refused(run(name, compared.folder, *rest), sentence)
