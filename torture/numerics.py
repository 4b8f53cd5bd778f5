"""Numbers at the edge of what floating point can hold, labels that say nothing, data that is hardly there.

Every case trains a tiny random tower for a few steps and is judged. Either the run ends with finite figures, or it stops
with a sentence of the package that names what to do; a traceback, a NaN in a result or a warning is a case lost.
"""

from __future__ import annotations

import math
import resource
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from campaign import Scale, Tried
from PIL import Image

from l2rclip_lite import metrics, schemes
from l2rclip_lite.baselines import Bench, run_baseline
from l2rclip_lite.choices import BASELINES, OrdinalLoss
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.schemes import Pictures
from l2rclip_lite.training import fit, judge

TINY = Config(towers="tiny/random", epochs1=1, epochs2=1, batch_size=4, heads=2, hidden=32, threads=1)
EVERY = [[], *[[name] for name in BASELINES]]
MakeData = Callable[[], OrdinalDataset]
LOSSES = [{"ordinal_loss": name} for name in get_args(OrdinalLoss)] + [
    {"scheme": "joint"},
    {"image_side": "adapter"},
    {"contrastive": "plain"},
    {"push_power": 2, "symmetric": True},
    {"context_length": 0},
    {"prototypes": "random", "epochs1": 0},
    {"order": "blind"},
    {"order": "shuffled", "normalise": "global"},
]


def picture(kind: str, number: int) -> Image.Image:
    """Noise, the same noise for all, or nothing at all."""
    if kind == "black":
        return Image.new("RGB", (64, 64))
    noise = np.random.default_rng(0 if kind == "same" else number)
    return Image.fromarray(noise.integers(0, 256, (64, 64, 3), dtype=np.uint8))


def data_set(
    labels: Sequence[Sequence[int]], values: Sequence[float] = (0, 1, 2), kind: str = "noise"
) -> OrdinalDataset:
    """Pictures of a kind under these labels of the three splits."""
    first, parts = 0, []
    for name, targets in zip(("train", "val", "test"), labels, strict=True):
        names = [f"{name}/{row}.png" for row in range(len(targets))]
        first += 1000
        parts.append(Split(names, targets, lambda row, first=first: picture(kind, first + row)))
    ranks = Ranks(tuple(f"grade {k}" for k in range(len(values))), tuple(values), "a {rank} leaf")
    return OrdinalDataset("numerics", *parts, ranks, Card("numerics", *[""] * 5), allow_empty_ranks=True)


class Runs:
    """Runs of one class of fault, counted.

    Args:
        folder: For run directories, each removed when it was judged.
        may_stop: Whether a sentence that says what to do will do, or only finite figures.
    """

    def __init__(self, folder: Path, *, may_stop: bool = False) -> None:
        self.folder, self.may_stop = folder, may_stop
        self.cases, self.stopped, self.lost = 0, 0, list[str]()

    def run(self, what: str, data: MakeData, given: dict[str, Any], baselines: Sequence[str] = ()) -> None:
        """One run of L2RCLIP with these settings, and baselines after it."""

        def work() -> dict[str, dict[str, float]]:
            out = self.folder / "run"
            try:
                found = fit(data(), replace(TINY, **given), out, baselines=baselines, quiet=True).metrics
            finally:
                shutil.rmtree(out, ignore_errors=True)
            return {"test": found["test"], "val": found["val"]} | found["baselines"]

        self.judge(f"{what} {given} {list(baselines)}", work)

    def judge(self, what: str, work: Callable[[], dict[str, dict[str, float]]]) -> None:
        """Lost unless it ends in finite figures, or in a sentence that says what to do where that may be."""
        self.cases += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                rows = work()
            bad = [f"{row}: {name}" for row in rows for name, v in rows[row].items() if not math.isfinite(v)]
            self.lost += [f"{what}: {bad[0]} is no number"] if bad else []
        except (InputError, TrainingError) as error:
            self.stopped += 1
            fix = any(word in str(error) for word in ("; ", " must "))
            if not self.may_stop or "\n" in str(error) or not fix:
                self.lost.append(f"{what}: it stopped: {str(error)[:200]!r}")
        except BaseException as error:
            self.lost.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")

    def told(self, name: str, fault: str, promise: str, **detail: Any) -> Tried:
        """The row of the results file."""
        detail |= {"stopped_with_a_sentence": self.stopped}
        return Tried(name, fault, promise, self.cases, tuple(self.lost), detail)


def alone(name: str, data: OrdinalDataset, config: Config) -> dict[str, dict[str, float]]:
    """A baseline without L2RCLIP, which the same settings might have stopped before."""
    model = L2RCLIP.build(data.ranks, config)
    pictures = Pictures.load(data, model, quiet=True)
    features = {split: model.features(pixels).clone() for split, pixels in pictures.pixels.items()}
    bench = Bench(model, pictures.pixels, features, pictures.targets, None, True, pictures.paths)
    return {name: judge(run_baseline(name, bench), data, "test")}


THREE = [0, 1, 2] * 3
SMALL_DATA: dict[str, MakeData] = {
    "training labels all equal": lambda: data_set([[1] * 6, THREE, THREE]),
    "validation labels all equal": lambda: data_set([THREE, [1] * 4, THREE]),
    "test labels all equal": lambda: data_set([THREE, THREE, [1] * 4]),
    "one label everywhere": lambda: data_set([[1] * 6, [1] * 3, [1] * 3]),
    "a rank without a training picture": lambda: data_set([[0, 2] * 4, THREE, THREE]),
    "one picture a split": lambda: data_set([[1], [1], [1]]),
    "one picture a split, three labels": lambda: data_set([[0], [1], [2]]),
    "one picture a rank": lambda: data_set([[0, 1, 2]] * 3),
    "a last batch of one": lambda: data_set([[*THREE[:8], 0], THREE, THREE]),
    "two ranks": lambda: data_set([[0, 1] * 4, [0, 1], [0, 1]], (0, 1)),
    "two ranks, one of them trained": lambda: data_set([[0] * 4, [0, 1], [0, 1]], (0, 1)),
    "black pictures": lambda: data_set([THREE] * 3, kind="black"),
    "one picture under all labels": lambda: data_set([THREE] * 3, kind="same"),
}
HELD: dict[str, Sequence[float]] = {
    "the least gap and the largest value": (-1e9, 0, 1e-6),
    "negative": (-30, -20, -10.5),
    "one far away": (0, 1, 1e9),
}
REFUSED: dict[str, Sequence[float]] = {
    "1e-30 apart": (0, 1e-30, 2e-30),
    "1e30 apart": (0, 1e30, 2e30),
    "above single precision": (0, 1, 1e39),
    "equal in single precision": (0, 1e8, 1e8 + 1),
    "denormal": (0, 1e-310, 2e-310),
    "no number": (0, 1, math.nan),
    "without end": (-math.inf, 0, 1),
}
SETTINGS: list[dict[str, Any]] = [
    *({"lr1": rate, "lr2": rate} for rate in (1e-310, 1e-42, 1e-18, 1e3, 1e18, 1e30, 1e300)),
    *({"epochs1": 0, "lr2": rate} for rate in (1e3, 1e18)),
    *({"lambda1": weight, "lambda2": weight} for weight in (1e-42, 1e-18, 1e18, 1e300)),
    *({"weight_decay": weight} for weight in (1e18, 1e300)),
    {"precision": "bf16"},
    {"precision": "bf16", "lr2": 1e18, "epochs1": 0},
    {"batch_size": 1},
    {"batch_size": 10**9},
]


def small_data(scale: Scale) -> Tried:
    """Labels and pictures that say next to nothing."""
    runs = Runs(scale.folder)
    few = [[], ["linear-probe", "ridge", "supcon-frozen", "corn-frozen"]]
    for what, make in SMALL_DATA.items():
        for baselines in scale.pick(short=few[1:], long=EVERY):
            runs.run(what, make, {}, baselines)
    for what in ("one label everywhere", "one picture a split", "a last batch of one", "black pictures"):
        for given in scale.pick(short=LOSSES[:1] + LOSSES[5:7], long=LOSSES):
            runs.run(what, SMALL_DATA[what], given)
    return runs.told(
        "numbers-small-data",
        "labels all equal, one picture a split or a rank, two ranks, a last batch of one, black and identical pictures; "
        "every loss and every baseline",
        "the run ends in finite figures, without a warning",
    )


def extreme_values(scale: Scale) -> Tried:
    """Rank values that floating point can hardly hold, or not at all."""
    runs = Runs(scale.folder)
    for what, values in HELD.items():
        make = partial(data_set, [THREE] * 3, values)
        for baselines in scale.pick(short=[["ridge"]], long=EVERY):
            runs.run(f"rank values {what}", make, {}, baselines)
        for given in scale.pick(short=[{"ordinal_loss": "mean-variance"}], long=LOSSES):
            runs.run(f"rank values {what}", make, given)
    refused = Runs(scale.folder, may_stop=True)
    for what, values in REFUSED.items():
        refused.judge(f"rank values {what}", partial(_refuse, values))
    runs.cases, runs.stopped = runs.cases + refused.cases, refused.stopped
    runs.lost += refused.lost
    return runs.told(
        "numbers-rank-values",
        "rank values negative, very uneven, 1e-30 or 1e30 apart, denormal, equal in single precision, or no numbers",
        "what single precision can hold ends in finite figures; all else is refused in a sentence before a run begins",
    )


def _refuse(values: Sequence[float]) -> dict[str, dict[str, float]]:
    """What may not come to be."""
    data_set([THREE] * 3, values)
    return {"ranks": {"were made of such values": math.nan}}


def settings(scale: Scale) -> Tried:
    """Learning rates, weights and batch sizes nobody should choose."""
    runs, data = Runs(scale.folder, may_stop=True), data_set([THREE] * 3)
    for given in SETTINGS:
        runs.run("", lambda: data, given)
        for name in scale.pick(short=("supcon", "ordinalclip-frozen"), long=BASELINES):
            runs.judge(f"{name} {given}", lambda: alone(name, data, replace(TINY, **given)))  # noqa: B023
    return runs.told(
        "numbers-settings",
        "learning rates from denormal to 1e300, weights of 1e18, half precision, batches of one and of all; every baseline",
        "the run ends in finite figures, or stops in a sentence that says where and which setting",
    )


def poisoned(scale: Scale) -> Tried:
    """A loss or a gradient that is not finite in one step, and the same run repaired."""
    data, config = data_set([THREE] * 3), replace(TINY, epochs1=2, epochs2=2)
    whole, lost, cases = fit(data, config, scale.folder / "whole", quiet=True), [], 0
    rng = np.random.default_rng(scale.seed)
    kinds = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "gradient": None}
    for kind in scale.pick(short=["nan", "gradient"], long=list(kinds) * 6):
        step, cases = int(rng.integers(1, 7)), cases + 1
        out = scale.folder / "run"
        said = _break(data, config, out, step, kinds[kind])
        epoch, of = (step - 1) // 3 + 1, (step - 1) % 3 + 1
        if not said.startswith(f"stage 2, epoch {epoch}, step {of} of 3: ") or " on train/" not in said:
            lost.append(f"{kind} in step {step}: it said {said!r}")
        again = fit(data, config, out, quiet=True)
        if (again.history, again.metrics) != (whole.history, whole.metrics):
            lost.append(f"{kind} in step {step}: the repaired run ended in other figures")
        shutil.rmtree(out)
    promise = "one sentence names stage, epoch, step and pictures; the same command, repaired, ends as if nothing had been"
    return Tried(
        "numbers-poisoned-step",
        "a NaN or an infinity in the loss or the gradient of one step",
        promise,
        cases,
        tuple(lost),
    )


def _break(data: OrdinalDataset, config: Config, out: Path, step: int, value: float | None) -> str:
    """What a run says in which one step of stage 2 goes wrong."""
    real, calls = schemes.loss_stage2, count(1)

    def loss(*given: Any) -> torch.Tensor:
        found = real(*given)
        if next(calls) != step:
            return found
        return (
            found + (given[1] - given[1].detach()).square().sum().sqrt()
            if value is None
            else found * 0 + value
        )

    schemes.loss_stage2 = loss
    try:
        fit(data, config, out, quiet=True)
    except TrainingError as error:
        return str(error)
    finally:
        schemes.loss_stage2 = real
    return "nothing"


def label_noise(scale: Scale) -> Tried:
    """Labels of which a part is drawn at random; at 100 % the answers must be no better than chance."""
    runs, rng, found = Runs(scale.folder), np.random.default_rng(scale.seed), {}
    size = scale.pick(short=60, long=300)
    bright = [int(rng.integers(3)) for _ in range(2 * size)]

    def shade(row: int) -> Image.Image:
        noise = np.random.default_rng(row).integers(0, 60, (64, 64, 3))
        return Image.fromarray((noise + 90 * bright[row]).clip(0, 255).astype(np.uint8))

    for share in (0.0, 0.2, 0.5, 1.0):
        labels = [int(rng.integers(3)) if rng.random() < share else label for label in bright]
        whole = Split([f"{row}.png" for row in range(2 * size)], labels, shade)
        base = data_set([THREE] * 3)
        data = replace(
            base, train=whole[:size], val=whole[size : size + size // 2], test=whole[size + size // 2 :]
        )
        out = scale.folder / "noise"
        run = fit(
            data,
            replace(TINY, batch_size=16, epochs1=5, epochs2=scale.pick(short=3, long=6)),
            out,
            quiet=True,
        )
        runs.cases += 1
        qwk, low, high = (run.metrics["test"][name] for name in ("qwk", "qwk_low", "qwk_high"))
        found[f"{share:.0%}"] = round(qwk, 3)
        expected = 1 - share  # the share of labels that the pictures tell, and so the best kappa
        if not low - 0.1 <= expected <= high + 0.1 and not (share < 1 and 0.2 < qwk < expected + 0.2):
            runs.lost.append(f"{share:.0%} random labels: QWK {qwk:.2f} [{low:.2f}, {high:.2f}]")
        shutil.rmtree(out)
    fault = "0, 20, 50 and 100 % of all labels drawn at random"
    return runs.told(
        "numbers-label-noise", fault, "it trains; all random, the answers agree as chance does", qwk=found
    )


def many_ranks(scale: Scale) -> Tried:
    """K = 1,000."""
    ranks, runs = scale.pick(short=200, long=1000), Runs(scale.folder)
    labels = [int(k) for k in np.random.default_rng(scale.seed).integers(0, ranks, 60)]
    data, start = data_set([labels, labels[:20], labels[20:40]], range(ranks)), time.perf_counter()
    for given in scale.pick(short=LOSSES[:1], long=LOSSES):
        runs.run(f"{ranks} ranks", lambda: data, given | {"batch_size": 16})
    seconds = (time.perf_counter() - start) / runs.cases
    for baselines in scale.pick(short=[["corn-frozen", "ridge"]], long=[[name] for name in BASELINES]):
        runs.run(f"{ranks} ranks", lambda: data, {"batch_size": 16}, baselines)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    detail = {"ranks": ranks, "seconds_a_run": round(seconds, 1), "peak_gib_of_the_process": round(peak, 2)}
    fault = f"{ranks:,} ranks, most without a training picture; every loss and every baseline"
    return runs.told(
        "numbers-many-ranks", fault, "the run ends in finite figures, without a warning", **detail
    )


def odd_probabilities(scale: Scale) -> Tried:
    """Metrics of what is no forecast, and of samples that say nothing."""
    rng, lost, cases = np.random.default_rng(scale.seed), list[str](), 0
    three = Ranks(("a", "b", "c"), (0, 1, 2), "grade {rank}")
    for _ in range(scale.pick(short=150, long=4000)):
        cases, size, kind = (
            cases + 1,
            int(rng.integers(0, 6)),
            str(rng.choice(["nan", "inf", "sum", "below", "good", "sure", "equal"])),
        )
        p, y = (
            rng.dirichlet([1, 1, 1], size=size),
            rng.integers(0, 3, size) if rng.random() < 0.5 else np.full(size, rng.integers(3)),
        )
        if kind == "sure":
            p = np.eye(3)[rng.integers(0, 3, size)]
        if kind == "equal":
            p = np.full((size, 3), 1 / 3)
        if size and kind in ("nan", "inf", "sum", "below"):
            p[rng.integers(size), rng.integers(3)] = {
                "nan": math.nan,
                "inf": math.inf,
                "sum": 2.0,
                "below": -0.2,
            }[kind]
        bad = not size or kind in ("nan", "inf", "sum", "below")
        given = torch.tensor(p) if rng.random() < 0.5 else p
        try:
            found = metrics.evaluate(given, y, three, intervals=True, resamples=20, seed=int(rng.integers(9)))
            if bad:
                lost.append(f"{kind}, {size} images: not refused: {p.tolist()}")
            elif wrong := [name for name, value in found.items() if not math.isfinite(value)]:
                lost.append(f"{kind}: {wrong[0]} is {found[wrong[0]]} for {y.tolist()}, {p.tolist()}")
        except InputError as error:
            if not bad or "; " not in str(error):
                lost.append(f"{kind}, {size} images: {error}")
        except Exception as error:
            lost.append(f"{kind}, {size} images: {type(error).__name__}: {error}")
    fault = (
        "probabilities that are NaN, infinite, negative, or do not sum to 1; no, one, few images; constants"
    )
    return Tried(
        "numbers-metrics",
        fault,
        "what is no forecast is refused with its row; all else gives finite figures",
        cases,
        tuple(lost),
    )


def run(scale: Scale) -> Iterator[Tried]:
    """All of them."""
    for campaign in (
        small_data,
        extreme_values,
        settings,
        poisoned,
        label_noise,
        many_ranks,
        odd_probabilities,
    ):
        yield campaign(scale)
