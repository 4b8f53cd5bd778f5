"""One temperature: by hand, against another optimiser, and in the run directory that it belongs to."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from l2rclip_lite import calibration, cli
from l2rclip_lite.calibration import (
    BOUNDS,
    bootstrap_temperatures,
    calibrate,
    compare_temperature,
    fit_temperature,
    negative_log_likelihood,
    temper,
    undecided,
)
from l2rclip_lite.calibration_file import CALIBRATION_FILE, Calibration, read_calibration, write_calibration
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP, MODEL_FILE
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.training import fit

FOUR = Ranks(("a", "b", "c", "d"), (0, 1, 2, 3), "grade {rank}")
GAP, TRUE = [[0.0, 2.0]] * 4, [1, 1, 1, 0]
seeds = st.integers(0, 2**31)


def drawn(seed: int, images: int = 30, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets that follow them at temperature 2: the fit must lie inside the bounds."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=spread, size=(images, 4))
    target = np.array([rng.choice(4, p=row) for row in temper(logits, 2.0)])
    return logits, target


def test_the_fit_by_hand() -> None:
    """Gap 2, right three times of four: 1 / (1 + e^(−2/T)) = 3/4, so T = 2 / log 3, and NLL = −¾ log ¾ − ¼ log ¼."""
    t = fit_temperature(GAP, TRUE)
    assert t == pytest.approx(2 / np.log(3), abs=1e-4)
    assert temper(GAP, t)[0].tolist() == pytest.approx([0.25, 0.75], abs=1e-4)
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert negative_log_likelihood(GAP, TRUE, t) == pytest.approx(entropy, abs=1e-8)


def test_nll_by_hand() -> None:
    """Rows of equal logits say 1/4 for every rank: log 4 at any temperature. Temperature 2 halves the logits."""
    for t in (0.3, 1.0, 7.0):
        assert negative_log_likelihood([[5.0] * 4], [2], t) == pytest.approx(np.log(4))
    logits, target = drawn(0)
    assert negative_log_likelihood(logits, target, 2.0) == pytest.approx(
        torch.nn.functional.cross_entropy(torch.tensor(logits) / 2, torch.tensor(target)).item()
    )


@given(seeds, st.floats(0.2, 8))
def test_a_temperature_turns_no_answer_and_a_fit_never_costs_likelihood(seed: int, t: float) -> None:
    """Within a row the order stays; probabilities do as well as logits; NLL at the fit is at most NLL at T = 1."""
    logits, target = drawn(seed)
    p = temper(logits, t)
    assert np.array_equal(p.argsort(1), logits.argsort(1))
    assert np.allclose(p.sum(1), 1)
    assert np.allclose(temper(np.log(temper(logits, 1.0)), t), p)
    best = fit_temperature(logits, target)
    assert negative_log_likelihood(logits, target, best) <= negative_log_likelihood(logits, target)


@given(seeds)
def test_the_fit_is_that_of_a_root_finder(seed: int) -> None:
    """The slope of the convex NLL in β = 1/T, Σ_i (Σ_k p_ik l_ik − l_{i,y_i}), has its root at 1/T*."""
    logits, target = drawn(seed)
    own = logits[np.arange(len(target)), target].mean()

    def slope(beta: float) -> float:
        return float((temper(logits, 1 / beta) * logits).sum(1).mean() - own)

    if slope(1 / BOUNDS[1]) < 0 < slope(1 / BOUNDS[0]):
        assert fit_temperature(logits, target) == pytest.approx(
            1 / brentq(slope, 1 / BOUNDS[1], 1 / BOUNDS[0]), rel=1e-4
        )


def test_the_fit_is_that_of_lbfgs() -> None:
    """As published: torch's L-BFGS on T itself, from 1.5."""
    logits, target = (torch.tensor(part) for part in drawn(3, images=200))
    t = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [t], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / t, target)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert fit_temperature(logits, target) == pytest.approx(t.item(), rel=1e-4)


def test_pictures_that_decide_nothing_end_at_a_bound() -> None:
    """All right: sharper is better without end. Own logit below the mean one: flatter is. A tie of both is neither."""
    assert fit_temperature([[0.0, 2.0], [3.0, 1.0]], [1, 0]) == BOUNDS[0]
    assert fit_temperature([[0.0, 2.0], [3.0, 1.0]], [0, 1]) == BOUNDS[1]
    assert undecided(BOUNDS[0])
    assert undecided(BOUNDS[1])
    assert not undecided(fit_temperature(GAP, TRUE))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: temper([[0.0, 1.0]], 0.0), "the temperature is 0.0; give a finite number above 0"),
        (lambda: temper([[0.0, 1.0]], float("nan")), "the temperature is nan"),
        (lambda: fit_temperature([[0.0, np.nan]], [0]), "logits is nan in row 0"),
        (lambda: fit_temperature([[0.0, 1.0]], [2]), "targets as whole numbers from 0 to 1"),
        (lambda: fit_temperature([[0.0, 1.0]], [0, 1]), "2 true ranks, 1 predictions"),
        (lambda: compare_temperature(GAP, TRUE, FOUR, 2.0), "2 columns; give one a rank, 4"),
    ],
)
def test_what_cannot_be_used_is_refused(call: object, sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=sentence):
        call()  # type: ignore[operator]


def test_the_bootstrap_narrows_with_pictures() -> None:
    """From one set of 80: 20 pictures spread more than 80; the seed decides the draws."""
    logits, target = drawn(1, images=80)
    few, many = (bootstrap_temperatures(logits, target, pictures=n, resamples=60) for n in (20, 80))
    assert np.ptp(np.log(few)) > np.ptp(np.log(many))
    assert many[0] < fit_temperature(logits, target) < many[-1]
    assert np.array_equal(many, bootstrap_temperatures(logits, target, pictures=80, resamples=60))


def test_scores_before_and_after_by_hand() -> None:
    """Two ranks, T = 2 / log 3, one wrong in four: q = 1/(1+e^−2) before, ¾ after.

    ECE is q − ¾, then 0. RPS is (1−q)² three times and q² once, over four. The expectation misses by 1 − q or q.
    """
    two = Ranks(("a", "b"), (0, 1), "grade {rank}")
    found = compare_temperature(GAP, TRUE, two, 2 / np.log(3), resamples=50)
    q = 1 / (1 + np.exp(-2))
    assert found.loc["ECE", "before"] == pytest.approx(q - 0.75)
    assert found.loc["ECE", "after"] == pytest.approx(0, abs=1e-9)
    assert found.loc["RPS", "before"] == pytest.approx((3 * (1 - q) ** 2 + q**2) / 4)
    assert found.loc["MAE of the expectation", "after"] == pytest.approx((3 * 0.25 + 0.75) / 4)
    assert found.loc["NLL", "change"] == pytest.approx(found.loc["NLL", "after"] - found.loc["NLL", "before"])
    assert (found["change_low"] <= found["change"]).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, leaves: OrdinalDataset, small: Config) -> Path:
    """A finished run that knows its data."""
    folder = tmp_path_factory.mktemp("calibration") / "run"
    source = {"name": "leaves", "size": 60, "pixels": 64}
    fit(leaves, small, folder, source=source, quiet=True)
    return folder


@pytest.fixture
def calibrated(run: Path, tmp_path: Path) -> Path:
    """A copy of the run with temperature 2 beside its model."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in run.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    own = calibration.fingerprint_of(folder / MODEL_FILE)
    write_calibration(folder, Calibration(2.0, "val", 10, 1.0, 3.0, 1.5, 1.4, own))
    return folder


def test_load_uses_the_temperature_and_fit_does_not(
    calibrated: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """Softmax of half the logits; the same ranks; `calibrated=False` and a finished `fit` give the model as trained."""
    model, plain = L2RCLIP.load(calibrated), L2RCLIP.load(calibrated, calibrated=False)
    pictures = [leaves.test[k][0] for k in range(4)]
    one, other = model.predict(pictures), plain.predict(pictures)
    assert np.allclose(one.probabilities, temper(np.log(other.probabilities.numpy()), 2.0), atol=1e-6)
    assert torch.equal(one.rank, other.rank)
    assert not torch.allclose(one.probabilities, other.probabilities)
    again = fit(leaves, small, calibrated, quiet=True)
    assert again.model.temperature == plain.temperature == 1.0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"temperature": 0}, "the temperature is 0; it must be a finite number above 0"),
        ({"temperature": -1.5}, "the temperature is -1.5"),
        ({"temperature": float("inf")}, "the temperature is inf"),
        ({"temperature": float("nan")}, "the temperature is nan"),
        ({"temperature": True}, "the temperature is True"),
        ({"temperature": "2"}, "the temperature is '2'"),
        ({"model": "0" * 64}, "was fitted for another model.safetensors"),
        ({"extra": 1}, "cannot be used"),
    ],
)
@pytest.mark.untyped
def test_a_calibration_that_does_not_fit_is_refused(
    calibrated: Path, changed: dict[str, object], sentence: str
) -> None:
    """With the file's name, and what to do."""
    file = calibrated / CALIBRATION_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(InputError, match=sentence) as told:
        L2RCLIP.load(calibrated)
    assert str(file) in str(told.value)
    assert "run `l2rclip calibrate` on this run again" in str(told.value)
    assert L2RCLIP.load(calibrated, calibrated=False).temperature == 1.0


def test_a_torn_file_is_refused_and_none_is_none(calibrated: Path) -> None:
    """Half a JSON object; then no file."""
    file = calibrated / CALIBRATION_FILE
    file.write_text(file.read_text()[:40])
    with pytest.raises(InputError, match="cannot be used"):
        read_calibration(calibrated / MODEL_FILE)
    file.unlink()
    assert read_calibration(calibrated / MODEL_FILE) is None


def test_the_command_writes_what_the_functions_find(
    calibrated: Path, leaves: OrdinalDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ignores the old temperature, and predict and evaluate then say which one they use."""
    assert cli.main(["calibrate", str(calibrated)]) == 0
    said = capsys.readouterr().out
    kept = json.loads((calibrated / CALIBRATION_FILE).read_text())
    found = calibrate(L2RCLIP.load(calibrated), leaves.val, calibrated)
    assert kept["temperature"] == pytest.approx(found.temperature, rel=1e-6)
    assert (kept["split"], kept["pictures"]) == ("val", 10)
    assert kept["low"] <= kept["temperature"] <= kept["high"]
    assert kept["nll_after"] <= kept["nll_before"]
    assert said.startswith(f"temperature {kept['temperature']:.2f} from 10 validation pictures")
    picture = calibrated.parent / "leaf.png"
    leaves.test[0][0].save(picture)
    assert cli.main(["predict", str(calibrated), str(picture)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["temperature"] == pytest.approx(kept["temperature"], abs=1e-6)
    assert cli.main(["evaluate", str(calibrated)]) == 0
    assert f"at temperature {kept['temperature']:.2f}" in capsys.readouterr().out


def test_pictures_that_decide_nothing_write_nothing(
    calibrated: Path, leaves: OrdinalDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says why, and the old file stays."""
    before = (calibrated / CALIBRATION_FILE).read_text()
    for t, why in ((BOUNDS[0], "answers all of them rightly"), (BOUNDS[1], "no better than chance")):
        monkeypatch.setattr(calibration, "fit_temperature", lambda *_, t=t: t)
        with pytest.raises(InputError, match=why):
            calibrate(L2RCLIP.load(calibrated), leaves.val, calibrated)
    assert (calibrated / CALIBRATION_FILE).read_text() == before


@pytest.mark.parametrize(("low", "high", "noted"), [(0.05, 7.1, True), (1.2, 7.1, False), (0.4, 0.9, False)])
def test_the_command_says_when_the_interval_includes_one(
    calibrated: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    low: float,
    high: float,
    noted: bool,
) -> None:
    """Then T = 1, the model as trained, is as good a guess."""
    found = Calibration(2.0, "val", 10, low, high, 1.5, 1.4, "ab12")
    monkeypatch.setattr(calibration, "calibrate", lambda *_: found)
    assert cli.main(["calibrate", str(calibrated)]) == 0
    assert ("the interval includes 1" in capsys.readouterr().out) == noted
