"""Ranks that training never had, in words: the model, and `predict` and `evaluate`."""

from pathlib import Path

import pytest
import torch
from drawn import CSV_RANKS
from drawn_run import BATCH, TINY, DrawnRun
from run_files import json_lines, read_rows, refused, run

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP

PIXELS = torch.linspace(0, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
NAMES = Ranks(("no", "low", "high"), (0, 1, 2), "a leaf with {rank} damage")
WORDS = ("--ranks", "no,low,high", "--template", "a leaf with {rank} damage")
UNSURE = "training never had these words: trust the order of the answers"


def test_other_words_share_the_towers(relative: Path) -> None:
    """Three logits of the same image features; the model itself keeps its five."""
    model = L2RCLIP.from_pretrained(relative)
    other = model.with_ranks(NAMES)

    assert other.towers is model.towers
    expected = model.scale * model.image_features(PIXELS) @ other.rank_features.T
    assert torch.equal(other(PIXELS), expected)
    assert model(PIXELS).shape == (2, 5)
    assert float(other.temperature) == float(other.conformal) == 1


def test_a_head_knows_no_other_words(relative: Path) -> None:
    """Its outputs belong to the ranks that it was trained on."""
    for name in ("leaves", relative / "baselines" / "cross-entropy"):
        with pytest.raises(InputError, match=r"^with_ranks: this model answers by vectors of its"):
            L2RCLIP.from_pretrained(name).with_ranks(NAMES)


def test_predict_answers_in_other_words(drawn_run: DrawnRun) -> None:
    """As the model itself does; a line says what that is worth."""
    photo = drawn_run.root / "images" / "00.png"
    outcome = run("predict", drawn_run.out, photo, *WORDS)
    (answer,) = json_lines(outcome.out)

    model = L2RCLIP.from_pretrained(drawn_run.out).with_ranks(NAMES)
    expected = model.predict(photo).to_frame().round(6)
    assert answer["name"] == expected["name"][0]
    assert answer["expected"] == expected["expected"][0]
    assert UNSURE in outcome.err


def test_evaluate_in_other_words_takes_a_second_table(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """A second table decides the temperature; it may not hold an image that is scored."""
    tested = [row["path"] for row in read_rows(drawn_run.out / "predictions.csv")]
    names = sorted(f"images/{path.name}" for path in drawn_run.root.glob("images/*.png"))
    few = [name for name in names if name not in tested][:9]
    for table, rows in (("few", few), ("scored", tested), ("both", [*few, tested[0]])):
        lines = [f"{name},{('no', 'low', 'high')[k % 3]}" for k, name in enumerate(rows, 1)]
        (tmp_path / f"{table}.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    words = ("evaluate", drawn_run.out, "--root", drawn_run.root, *WORDS)
    scored = ("--labels", tmp_path / "scored.csv")

    outcome = run(*words, *scored, "--calibrate", tmp_path / "few.csv")
    uncalibrated = run(*words, *scored)
    assert "temperature 1.00," in uncalibrated.out
    assert UNSURE in uncalibrated.err
    assert "temperature 1.00," not in outcome.out
    assert UNSURE not in outcome.err

    refused(run(*words, *scored, "--calibrate", tmp_path / "both.csv"), tested[0], "leave it out")
    (tmp_path / "other_word.csv").write_text(f"path,label\nimages/../{tested[0]},no\n")
    other_word = run(*words, *scored, "--calibrate", tmp_path / "other_word.csv")
    refused(other_word, tested[0], "leave it out")
    fewer = ("evaluate", drawn_run.out, "--root", drawn_run.root, "--ranks", "no,high")
    refused(run(*fewer), "its data have 3 ranks; --ranks names others, or in another order")


def test_numbers_that_are_named_are_values(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """Neither other numbers nor another order are other words; the unit stays that of the run."""
    table = (drawn_run.root / "labels.csv").read_text()
    for number, name in enumerate(CSV_RANKS, 1):
        table = table.replace(f",{name}", f",{number}")
    (tmp_path / "numbers.csv").write_text(table)
    out = tmp_path / "run"
    data = ("--root", drawn_run.root, "--labels", tmp_path / "numbers.csv", "--unit", "spots")
    assert run("fit", "--dataset", "csv", *data, *TINY, *BATCH, "--out", out).code == 0

    for ranks in ("0:2", "10,20,30", "three,two,one"):
        refused(run("evaluate", out, "--ranks", ranks), "--ranks names others, or in another order")
    assert "mae and rmse in spots" in run("evaluate", out, "--ranks", "few,some,many").out
