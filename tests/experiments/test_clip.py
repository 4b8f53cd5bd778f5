"""`make clip`, in miniature from end to end, and what it says where something is missing."""

from pathlib import Path

import pandas as pd
import plan as planning
import pytest
import run_clip

from l2rclip_book.real_clip import (
    EMPTY,
    clip_figure,
    clip_paragraph,
    read_clip,
    tuned_gains,
)
from l2rclip_book.results import StoredRows
from l2rclip_lite import Config
from l2rclip_lite.errors import InputError

WEIGHTS = run_clip.Weights({}, "ab", False, 32)
OPEN = planning.read_clip()["studies"]["tuned-5e-6"]["data"]


# --- the miniature --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.untyped  # it is long enough
def test_the_miniature_runs_from_end_to_end_and_goes_on_where_it_was_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every study on every set; a unit that was cut is run again, alone, and gives the same."""
    assert run_clip.main(["--short", "--out", str(tmp_path)]) == 0

    first = read_clip(str(tmp_path))
    assert first is not None
    n_arms = {"main": 8, "tuned-1e-4": 7, "tuned-2e-5": 7, "tuned-5e-6": 7}
    assert first.table.groupby(["study", "data"]).size().to_dict() == {
        (study, data): count for study, count in n_arms.items() for data in OPEN
    }
    own = ["seconds", "commit"]  # of each call
    assert first.table[["seed", "towers", "weights_sha256", "device", *own]].notna().all(axis=None)
    assert first.record["missing"] == []
    assert (tmp_path / "clip.png").stat().st_size > 10_000
    assert (tmp_path / "clip.md").read_text(encoding="utf-8") == clip_paragraph(first) + "\n"

    (cut,) = tmp_path.rglob("main/bracol-0.json")
    cut.unlink()
    capsys.readouterr()
    assert run_clip.main(["--short", "--out", str(tmp_path)]) == 0
    trained = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny/random/")
    ]
    assert trained == ["tiny/random/main/bracol-0"]

    repeated = read_clip(str(tmp_path))
    assert repeated is not None
    pd.testing.assert_frame_equal(repeated.table.drop(columns=own), first.table.drop(columns=own))


# --- what may be missing --------------------------------------------------------------------------


def test_it_wants_a_gpu_before_anything_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence, with what to do."""
    if run_clip.choose_device(Config()).type != "cpu":
        pytest.skip("there is a GPU")
    assert run_clip.main(["--out", str(tmp_path / "run")]) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("clip: no GPU is visible here")
    assert sentence.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_other_weights_than_those_of_the_first_rows_are_refused() -> None:
    """By the SHA-256 of their tensors; without one in clip.yaml what comes is taken."""
    weights = run_clip.fetch_weights("tiny/random", {})
    assert not weights.pinned
    assert run_clip.fetch_weights("tiny/random", {"sha256": weights.sha256}).pinned
    with pytest.raises(InputError, match=f"SHA-256 {weights.sha256[:12]}…, not 000000000000…"):
        run_clip.fetch_weights("tiny/random", {"sha256": "0" * 64})


def test_a_set_that_cannot_be_fetched_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on with the others; one that is there is not fetched."""
    plan = planning.read_clip()
    (tmp_path / "hc18" / "images").mkdir(parents=True)

    def download(name: str, folder: Path) -> None:
        if name != "retinamnist":
            raise InputError(f"{name}: no network.")
        folder.mkdir()

    monkeypatch.setattr(run_clip, "download", download)
    left_out = run_clip.fetch_data(plan, tmp_path)
    assert left_out.keys() == {"bracol", "bracol-area", "apples81"}
    assert left_out["bracol"] == "bracol: no network."
    rest = run_clip.of_towers(plan, {"tiny/random": WEIGHTS}, left_out)
    assert {unit["data"] for unit in planning.units(rest, tmp_path)} == {"retinamnist", "hc18"}


# --- the page -------------------------------------------------------------------------------------


# RPS of each arm; of the tuned ones at the rate that validation prefers, and at the other one.
MAIN = {
    "words": 0.8,
    "shuffled words": 1.0,
    "L2RCLIP": 1.1,
    "cross-entropy": 1.0,
    "after stage 1": 0.9,
    "blind order": 0.9,
}
TUNED = {
    "L2RCLIP": (0.5, 0.1),
    "cross-entropy": (1.0, 0.1),
    "rps": (0.5, 9.0),
    "random prototypes": (0.25, 9.0),
}


@pytest.fixture
def clip() -> StoredRows:
    """Rows of one towers on one set: 40 images, whose RPS is that of the arm or near it."""
    rows = [("main", arm, rps, 0.0) for arm, rps in MAIN.items()]
    for arm, (preferred, other) in TUNED.items():
        rows += [("tuned-5e-6", arm, other, 2.0), ("tuned-2e-5", arm, preferred, 1.0)]

    table = pd.DataFrame(rows, columns=["study", "arm", "rps", "val_rps"])
    table = table.assign(towers="a/b", data="bracol", run=0)
    parts = []
    for place in range(40):
        rps = table["rps"] + 0.001 * (place % 5)
        parts.append(table.assign(path=f"{place}.jpg", subject=place, rps=rps))
    images = pd.concat(parts).drop(columns="val_rps")
    weights = {"commits": {"timm/b": "ab" * 20}, "sha256": "12" * 32, "pinned": False}
    left_out = {"hc18": "nothing to download"}
    return StoredRows(
        table, images, {"towers": {"a/b": weights}, "left_out": left_out, "missing": []}
    )


def test_a_tuned_arm_counts_at_the_rate_of_its_best_validation(clip: StoredRows) -> None:
    """Not of its best test: at 0.5 and 1.0 L2RCLIP saves half, at 0.1 nothing."""
    gains = tuned_gains(clip).query("data == 'bracol'").set_index("row")["gain"]
    assert gains.round(0).tolist() == [50, 0, -99]


def test_the_page_says_what_was_measured_and_what_was_not(clip: StoredRows, tmp_path: Path) -> None:
    """Verdicts, the origin of the weights, sets that were left out; without rows how to make them.

    A device has no name there.
    """
    text = clip_paragraph(clip)
    assert "**a/b**: timm/b, commit abababababab; SHA-256 121212121212… as it was there" in text
    assert "| order in the words, a/b | +20.0 [" in text
    assert text.endswith("Without fetal head, 27 ranks: these images could not be had there.")
    assert clip_figure(clip) is not None

    assert read_clip(str(tmp_path)) is None
    assert clip_figure(None) is None
    assert clip_paragraph(None) == EMPTY
