"""`l2rclip baselines` and `compare`: baselines are kept as models, and compared image by image."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from drawn_run import DrawnRun
from run_files import Outcome, json_lines, read_rows, refused, run


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
    return Compared(folder, outcome)


def test_a_baseline_says_where_it_is_kept(compared: Compared) -> None:
    """On stderr, before it is trained."""
    assert "corn, to be kept in" in compared.outcome.err


def test_a_kept_baseline_predicts_what_it_answered(drawn_run: DrawnRun, compared: Compared) -> None:
    """`predict --method` repeats its predictions.csv."""
    rows = read_rows(compared.folder / "baselines" / "corn" / "predictions.csv")
    images = [drawn_run.root / row["path"] for row in rows]

    answers = json_lines(run("predict", compared.folder, *images, "--method", "corn").out)

    for row, answer in zip(rows, answers, strict=True):
        written = [float(row[f"p_{k}"]) for k in range(3)]
        assert answer["probabilities"] == pytest.approx(written, abs=1e-5)


def test_a_kept_baseline_is_evaluated(drawn_run: DrawnRun, compared: Compared) -> None:
    """`evaluate --method` gives the share of right answers in its predictions.csv."""
    rows = read_rows(compared.folder / "baselines" / "corn" / "predictions.csv")
    hits = [row["predicted_rank"] == row["true_rank"] for row in rows]

    words = ("--method", "corn", "--json")
    metrics = json.loads(run("evaluate", compared.folder, *words).out)["metrics"]

    assert metrics["accuracy"] == pytest.approx(sum(hits) / len(rows))


def test_a_kept_baseline_is_not_trained_again(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order they are named, the table is the same."""
    monkeypatch.setattr("l2rclip_lite.baselines.train_baseline", None)
    assert run("baselines", compared.folder, "corn", "ridge").out == compared.outcome.out


def test_the_table_has_five_scores_of_each_method(compared: Compared) -> None:
    """Three above two, as terminals are narrow."""
    upper, lower, *_ = compared.outcome.out.split("\n\n")
    _, heads, *rows = upper.splitlines()
    assert heads.split() == ["RPS", "MAE", "(median)", "accuracy"]
    assert [row.split()[0] for row in rows] == ["L2RCLIP", "corn", "ridge"]

    heads, *rows = lower.splitlines()
    assert heads.split() == ["QWK", "ECE"]
    assert [row.split()[0] for row in rows] == ["L2RCLIP", "corn", "ridge"]
    assert max(len(line) for line in compared.outcome.out.splitlines()) <= 100


def test_equal_answers_have_no_difference(compared: Compared, tmp_path: Path) -> None:
    """Those of L2RCLIP under another name: 0 in each draw of the bootstrap, as it is paired."""
    folder = Path(shutil.copytree(compared.folder, tmp_path / "run"))
    shutil.copy(folder / "predictions.csv", folder / "baselines" / "ridge")

    _, _, upper, lower = run("compare", folder).out.split("\n\n")
    no_difference = ["0.000", "[0.000,", "0.000]"]
    assert upper.splitlines()[-1].split() == ["ridge", *3 * no_difference]
    assert lower.splitlines()[-1].split() == ["ridge", *2 * no_difference]


def test_without_a_name_two_quick_baselines_are_trained(
    drawn_run: DrawnRun, tmp_path: Path
) -> None:
    """One has two names: the other one trains nothing, and answers the same."""
    folder = Path(shutil.copytree(drawn_run.out, tmp_path / "run"))

    assert run("baselines", folder).code == 0
    names = {path.name for path in (folder / "baselines").iterdir()}
    assert names == {"ridge", "linear-probe"}

    renamed = run("baselines", folder, "cross-entropy-frozen")
    assert (renamed.code, renamed.out) == (0, run("compare", folder).out)

    words = ("predict", folder, drawn_run.root / "images" / "00.png", "--method")
    answer = run(*words, "linear-probe")
    assert answer.code == 0
    assert run(*words, "cross-entropy-frozen") == answer


def test_an_unknown_baseline_is_refused_before_anything_is_trained(compared: Compared) -> None:
    """By its name."""
    refused(run("baselines", compared.folder, "svm"), "svm")


def test_a_baseline_that_was_not_trained_does_not_predict(compared: Compared) -> None:
    """The sentence names the command that trains it."""
    outcome = run("predict", compared.folder, "a.png", "--method", "sord")
    refused(outcome, "train it by `l2rclip baselines")
