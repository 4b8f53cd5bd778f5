"""The command line as a user meets it: exit codes, sentences, answers that agree with the run's own files."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import l2rclip_lite
from l2rclip_lite import cli, training
from l2rclip_lite.choices import FROZEN, PROBES, TRAINED
from l2rclip_lite.config import Config

REPO = Path(l2rclip_lite.__file__).parents[1]
RANKS = ("fresh", "ripe", "overripe")
TINY = ("--towers", "tiny/random", "--epochs1", "1", "--epochs2", "1", "--hidden", "32", "--batch_size", "4")


class Said(NamedTuple):
    """What a command did."""

    code: int | str | None
    out: str
    err: str


def run(*words: str | Path) -> Said:
    """Drive `main` in this process; help leaves by SystemExit."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code: int | str | None = cli.main([str(word) for word in words])
        except SystemExit as done:
            code = done.code
    return Said(code, out.getvalue(), err.getvalue())


def bananas(root: Path, labels: Sequence[str] = RANKS) -> Path:
    """Five noisy 48-pixel pictures a rank and a two-column labels.csv."""
    generator = np.random.default_rng(0)
    root.mkdir()
    rows = ["path,label"]
    for rank, label in enumerate(labels):
        for number in range(5):
            noise = generator.integers(0, 60, size=(48, 48, 3), dtype=np.uint8)
            Image.fromarray(noise + np.uint8(60 * rank)).save(root / f"{rank}_{number}.png")
            rows.append(f"{rank}_{number}.png,{label}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def fit_words(root: Path, out: Path) -> tuple[str | Path, ...]:
    """The command for the bananas, as the help spells it."""
    ranks = ("--ranks", ",".join(RANKS), "--template", "a photo of a {rank} banana")
    return ("fit", "--dataset", "csv", "--root", root, "--labels", "labels.csv", *ranks, *TINY, "--out", out)


class Fitted(NamedTuple):
    """A finished run, its pictures, and what `fit` printed."""

    out: Path
    root: Path
    said: Said


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """One fit for all tests of this file."""
    folder = tmp_path_factory.mktemp("cli")
    root, out = bananas(folder / "bananas"), folder / "run"
    said = run(*fit_words(root, out), "--baselines", "linear-probe")
    assert said.code == 0, said.err
    return Fitted(out, root, said)


def refused(said: Said, sentence: str) -> None:
    """Exit code 2 and one sentence on stderr that holds these words."""
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1  # so no traceback either
    assert sentence in said.err


def test_fit_tells_what_it_read_what_trains_and_how_well_it_did(fitted: Fitted) -> None:
    """15 pictures, 5 a rank: 70/15/15 leaves 3 + 1 + 1 of each. The last line names the run directory."""
    lines = fitted.said.out.splitlines()
    assert "15 images of labels.csv" in lines[0]
    assert "fresh, ripe, overripe" in lines[1]
    assert lines[2].endswith("train 9 (3 3 3), val 3 (1 1 1), test 3 (1 1 1)")
    assert any(line.split() == ["towers.logit_scale", "1", "frozen", "frozen"] for line in lines)
    rows = {line.split("  ")[0] for line in lines[lines.index("") :]}
    assert {"L2RCLIP", "after stage 1", "median-rank", "linear-probe"} <= rows
    assert lines[-1].endswith(f"; the run is in {fitted.out}")


def test_fit_records_what_evaluate_needs(fitted: Fitted) -> None:
    """Options under the names of `load_dataset`, the root absolute; `--batch_size` is an option too."""
    stored = json.loads((fitted.out / "config.json").read_text())
    assert stored["config"]["batch_size"] == 4
    assert stored["dataset"]["source"] == {
        "name": "csv",
        "root": str(fitted.root),
        "labels": "labels.csv",
        "ranks": "fresh,ripe,overripe",
        "template": "a photo of a {rank} banana",
    }


def test_the_same_command_again_prints_the_same_line_and_nothing_else_when_quiet(fitted: Fitted) -> None:
    """A finished run is loaded, not trained."""
    before = (fitted.out / "model.safetensors").stat().st_mtime_ns
    said = run(*fit_words(fitted.root, fitted.out), "--quiet")
    assert said.out.splitlines() == fitted.said.out.splitlines()[-1:]
    assert (said.code, said.err) == (0, "")
    assert (fitted.out / "model.safetensors").stat().st_mtime_ns == before


def test_predict_repeats_predictions_csv(fitted: Fitted) -> None:
    """What `fit` wrote about the test pictures is what `predict` says about the same files."""
    with (fitted.out / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    said = run("predict", fitted.out, *(fitted.root / row["path"] for row in rows))
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert said.code == 0
    assert len(answers) == 3
    for row, answer in zip(rows, answers, strict=True):
        assert answer["path"] == str(fitted.root / row["path"])
        assert answer["rank"] == int(row["predicted"])
        assert answer["name"] == RANKS[answer["rank"]]
        assert answer["expected"] == pytest.approx(float(row["expected"]), abs=1e-5)
        assert answer["probabilities"] == pytest.approx([float(row[f"p_{k}"]) for k in range(3)], abs=1e-5)


def test_a_bad_picture_does_not_cost_the_good_ones(fitted: Fitted, tmp_path: Path) -> None:
    """Good ones first and in order, then a sentence for each bad one, exit code 2."""
    torn, gone = tmp_path / "torn.png", tmp_path / "gone.png"
    torn.write_bytes((fitted.root / "0_0.png").read_bytes()[:200])
    good, other = fitted.root / "0_0.png", fitted.root / "2_1.png"
    said = run("predict", fitted.out, torn, good, gone, other, good)
    assert [json.loads(line)["path"] for line in said.out.splitlines()] == [str(good), str(other), str(good)]
    assert said.code == 2
    first, second = said.err.splitlines()
    assert first.startswith("error: ")
    assert f"{torn} cannot be decoded" in first
    assert f"{gone} does not exist" in second


def test_evaluate_repeats_metrics_json(fitted: Fitted) -> None:
    """The test metrics with their intervals; and the table shows the same figures."""
    stored = json.loads((fitted.out / "metrics.json").read_text())
    said = run("evaluate", fitted.out, "--json")
    assert said.code == 0
    assert json.loads(said.out)["metrics"] == pytest.approx(stored["test"], abs=1e-5, nan_ok=True)
    table = run("evaluate", fitted.out, "--split", "val").out.splitlines()
    mae = stored["val"]["mae"], stored["val"]["mae_low"], stored["val"]["mae_high"]
    assert "mae and rmse in grade; mae_rank, amae" in table[1]
    assert f"{'mae':<24}{mae[0]:.3f} [{mae[1]:.3f}, {mae[2]:.3f}]" in table


def test_evaluate_finds_data_that_moved_and_refuses_data_that_changed(fitted: Fitted, tmp_path: Path) -> None:
    """One label corrected after the fit: its figures would be of another data set."""
    moved = tmp_path / "moved"
    shutil.copytree(fitted.root, moved)
    assert run("evaluate", fitted.out, "--root", moved, "--json").code == 0
    labels = moved / "labels.csv"
    labels.write_text(labels.read_text().replace("0_0.png,fresh", "0_0.png,ripe"))
    refused(run("evaluate", fitted.out, "--root", moved), "other files, labels, splits or ranks")
    refused(run("evaluate", fitted.out, "--root", tmp_path / "nowhere"), "if it has moved, pass --root")


def test_evaluate_needs_to_know_where_the_data_came_from(fitted: Fitted, tmp_path: Path) -> None:
    """A run that Python fitted without `source=`."""
    shutil.copytree(fitted.out, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    stored["dataset"]["source"] = None
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
    refused(run("evaluate", tmp_path / "run"), "does not say where its data came from")


def test_arms_and_unseen_ranks_are_options(tmp_path: Path) -> None:
    """Joint training on five ranks, the middle one held out: one column in the table, no row of stage 1."""
    data = ("--dataset", "leaves", "--size", "60", "--pixels", "64", "--hold-out", "3")
    arm = ("--scheme", "joint", "--contrastive", "plain", "--order", "blind", "--prototypes", "shuffled")
    said = run("fit", *data, *TINY, *arm, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    assert "held out: 1 of 5 ranks (2), one in 3" in said.out
    lines = [line.split() for line in said.out.splitlines()]
    assert ["parameters", "number", "joint"] in lines
    assert not any(line[:2] == ["after", "stage"] for line in lines)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["dataset"]["source"]["hold_out"] == 3
    assert stored["config"]["prototypes"] == "shuffled"
    table = run("evaluate", tmp_path / "run").out
    assert "\nmae_seen  " in table
    assert "\nmae_unseen  " in table


FIT = "fit --dataset leaves --out x"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"{FIT} --epoch1 3", "no option --epoch1, did you mean --epochs1"),
        (f"{FIT} --batch-size ten", "--batch-size does not take 'ten'"),
        (f"{FIT} --size 3.5", "--size does not take '3.5'"),
        (f"{FIT} --fold 2", "the data set 'leaves' has no option 'fold'"),
        (f"{FIT} --ranks a,b", "leaves takes the number of ranks"),
        (f"{FIT} --alpha 2", "alpha=2.0 must lie between 0 and 1"),
        (f"{FIT} --prototypes random", "with random prototypes stage 1 has nothing to train; set epochs1=0"),
        (f"{FIT} --scheme both", "--scheme does not take 'both'"),
        (f"{FIT} --baselines svm", "--baselines: 'svm' is unknown"),
        ("fit --dataset leaves", "missing: --out; see `l2rclip fit --help`"),
        ("fit --dataset leafs --out x", "did you mean leaves?"),
        ("predict runs/none", "missing: PHOTO"),
        ("predict runs/none a.png", "runs/none: no model.safetensors here"),
        ("evaluate runs/none", "runs/none/config.json: cannot be read"),
        ("evaluate runs/none --splt val", "no option --splt, did you mean --split"),
        ("fitt", "invalid choice: 'fitt'"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(line: str, sentence: str) -> None:
    """Exit code 2, nothing on stdout, no traceback."""
    refused(run(*line.split()), sentence)


def test_another_config_and_a_bad_label_are_refused(fitted: Fitted, tmp_path: Path) -> None:
    """The sentence names the setting, or the row: the header is row 1, so picture 5 stands in row 6."""
    refused(run(*fit_words(fitted.root, fitted.out), "--seed", "3", "--quiet"), "another seed")
    root = bananas(tmp_path / "bad", labels=("fresh", "rype", "overripe"))
    refused(run(*fit_words(root, tmp_path / "run")), "labels.csv row 7: the label 'rype' is no rank")
    assert not (tmp_path / "run").exists()


@given(st.from_regex(r"\A--[a-z][a-z-]{0,11}\Z") | st.sampled_from(["--d", "--devic", "--devices"]))
def test_no_misspelt_option_gets_through(option: str) -> None:
    """Abbreviations count as misspelt: a new option must never change what an old command means."""
    if option not in ("--device", "--debug", "--help"):
        refused(run("predict", "run", "photo.png", option), f"there is no option {option}")


def test_debug_adds_the_traceback() -> None:
    """The sentence stays the last line."""
    said = run("evaluate", "runs/none", "--debug")
    assert said.code == 2
    assert said.err.startswith("Traceback")
    assert said.err.splitlines()[-1].startswith("error: runs/none/config.json")


def test_ctrl_c_says_how_to_go_on(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130, as shells have it."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupted)
    said = run(*fit_words(fitted.root, fitted.out), "--quiet")
    assert (said.code, said.out) == (130, "")
    assert said.err == "interrupted: complete epochs are kept, the same command goes on from there.\n"


def test_help_teaches() -> None:
    """Examples in each command; under `fit` every baseline, and every setting of Config with hyphens and its docstring."""
    for command in ("fit", "predict", "evaluate", "calibrate", "doctor"):
        said = run(command, "--help")
        assert said.code == 0
        assert f"examples:\n  l2rclip {command}" in said.out
    text = " ".join(run("fit", "--help").out.split())
    for field in fields(Config):
        assert f" --{field.name.replace('_', '-')} " in text
    assert "Images a step. (type: int, default: 16)" in text
    assert all(name in text for name in (*PROBES, *TRAINED, FROZEN))
    assert run("--version").out == f"l2rclip {l2rclip_lite.__version__}\n"
    assert run().code == 2


def test_help_does_not_wait_for_torch() -> None:
    """Seconds on a slow laptop: only a command that computes, or lists Config, imports torch."""
    call = "try: c.main(['predict', '--help'])\nfinally: print('torch' in sys.modules)"
    command = [sys.executable, "-c", f"import sys, l2rclip_lite.cli as c\n{call}"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(fitted: Fitted) -> None:
    """`l2rclip predict … | head -0`, as a process of its own: nothing on stderr, the exit code of SIGPIPE."""
    words = ["predict", str(fitted.out), str(fitted.root / "0_0.png")]
    command = [sys.executable, "-m", "l2rclip_lite.cli", *words]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")
