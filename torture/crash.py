"""SIGKILL at random moments of a run and of an export; the same command goes on, and in the end no bit is another."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import TypeAlias

from campaign import Scale, Tried
from lives import Job, Life, Nursery, Told, fit_words
from remains import damaged, differing, misread

Words: TypeAlias = Callable[[Path], tuple[str, ...]]

TINY = {"towers": "tiny/random", "epochs1": 4, "epochs2": 4, "batch_size": 16, "heads": 2, "hidden": 32}
TINY |= {"lr1": 3e-3, "lr2": 1e-3, "pictures": "disk"}
JOINT = TINY | {"scheme": "joint", "pictures": "stream"}
MINI = {"epochs1": 2, "epochs2": 2, "hidden": 64, "pictures": "memory"}
# In the order in which a run comes to them, so that one run can die in each.
TWO_STAGES = (
    "reading pictures",
    "feature caching",
    "stage 1",
    "checkpoint",
    "stage 1",
    "stage 2",
    "checkpoint",
)
TWO_STAGES += (
    "stage 2",
    "checkpoint",
    "judging",
    "results",
    "results",
    "baselines",
    "metrics",
    "cleaning up",
)
ONE_STAGE = ("reading pictures", "joint", "checkpoint", "joint", "judging", "results", "metrics")
SHORT = (
    "feature caching",
    "stage 1",
    "checkpoint",
    "stage 2",
    "checkpoint",
    "results",
    "baselines",
    "metrics",
)
REPEATED = ("stage 1", "stage 2", "joint", "results")
FEW = ("stage 1", "checkpoint", "stage 2", "results")
HALVES = ("train.bin", "config.json", "", "stage1.safetensors", "stage2.safetensors", "model.safetensors")
HALVES += ("history.csv", "predictions.csv", "metrics.json")  # "": whatever comes first, here cached features


def run(scale: Scale) -> Iterator[Tried]:
    """Every class of deaths."""
    nursery, draw = Nursery(), random.Random(scale.seed)
    baselines = ("--baselines", "ridge,cross-entropy-frozen")
    whole = Deaths(nursery, draw, scale.folder / "fit", lambda out: fit_words(out, TINY, *baselines))
    for _ in range(scale.pick(short=1, long=9)):
        whole.kill_and_go_on(scale.pick(short=SHORT, long=TWO_STAGES))
    joint = Deaths(nursery, draw, scale.folder / "joint", lambda out: fit_words(out, JOINT), scale.long)
    for _ in range(scale.pick(short=0, long=4)):
        joint.kill_and_go_on(ONE_STAGE)
    promise = "no half file, no wrong answer to a reader, and the same command ends in the same bits"
    yield _tried("killed", "SIGKILL at a random moment of `fit`", promise, whole, joint)

    halves = Deaths(nursery, draw, scale.folder / "half", whole.words, whole.reference)
    for _ in range(scale.pick(short=1, long=4)):
        halves.kill_and_go_on((), scale.pick(short=(draw.choice(HALVES[3:6]),), long=HALVES))
    yield _tried("killed-writing", "SIGKILL when half of a file's bytes are written", promise, halves)

    finished = str(whole.reference.place)
    exports = Deaths(
        nursery, draw, scale.folder / "export", lambda out: ("export", finished, str(out / "model.onnx"))
    )
    for _ in range(scale.pick(short=1, long=5)):
        exports.kill_and_go_on(
            ("exporting",) * scale.pick(short=1, long=3), scale.pick(short=(), long=("model.onnx",))
        )
    promise = "no half file, and the same command writes the same bytes"
    yield _tried("killed-export", "SIGKILL at a random moment of `export`", promise, exports)

    if scale.long:
        mini = Deaths(nursery, draw, scale.folder / "mini", lambda out: fit_words(out, MINI))
        for _ in range(3):
            mini.kill_and_go_on(FEW)
        promise = "the same command ends in the same bits"
        yield _tried("killed-mini", "SIGKILL at a random moment of `fit` with the real towers", promise, mini)


def _tried(name: str, fault: str, promise: str, *all_deaths: Deaths) -> Tried:
    """The result of one class, every moment included."""
    moments: dict[str, dict[str, list[float]]] = {}
    for deaths in all_deaths:
        moments |= {deaths.folder.name: deaths.moments} if deaths.moments else {}
    kills = {run: {phase: len(shares) for phase, shares in found.items()} for run, found in moments.items()}
    cases = sum(number for found in kills.values() for number in found.values())
    lost = tuple(sentence for deaths in all_deaths for sentence in deaths.lost)
    runs = sum(deaths.runs for deaths in all_deaths)
    detail = {"kills": kills, "runs": runs, "share_of_the_run_when_killed": moments}
    return Tried(name, fault, promise, cases, lost, detail)


class Reference:
    """A command that nobody disturbs, and when it was in which phase."""

    def __init__(self, nursery: Nursery, words: Words, place: Path) -> None:
        self.place, life = place, nursery.start(Job(words(place)))
        told = life.end()
        if life.code != 0:
            raise RuntimeError(f"the undisturbed command ended with {life.code}")
        self.began, self.ended = told[0].at, told[-1].at
        ends = [*(each.at for each in told[1:]), self.ended]
        self.spans = [(each, end) for each, end in zip(told, ends, strict=True) if end > each.at]

    def length(self, phase: str) -> float:
        """The mean time that it stays in a phase."""
        return mean([end - each.at for each, end in self.spans if each.phase == phase] or [0.05])

    def share(self, told: Told, since: float) -> float:
        """How much of the undisturbed work is done, so many seconds after a phase began."""
        same = [(each, end) for each, end in self.spans if each[:2] == told[:2]]
        start, end = (same[0][0].at, same[0][1]) if same else (self.began, self.began)
        return round((min(start + since, end) - self.began) / (self.ended - self.began), 3)


class Deaths:
    """Lives that are ended early, one directory after the other.

    Args:
        nursery: Where lives begin.
        draw: Decides every moment.
        folder: Where the runs are.
        words: The command, by its place.
        reference: The same command undisturbed; True does it now, False if it is not needed.
    """

    def __init__(
        self,
        nursery: Nursery,
        draw: random.Random,
        folder: Path,
        words: Words,
        reference: Reference | bool = True,
    ) -> None:
        self.nursery, self.draw, self.folder, self.words = nursery, draw, folder, words
        folder.mkdir()
        if reference is True:
            reference = Reference(nursery, words, self._place("whole"))
        self._reference = reference
        self.moments: dict[str, list[float]] = {}  # by phase, or by the file that was half written
        self.lost: list[str] = []
        self.runs = 0

    @property
    def reference(self) -> Reference:
        """The undisturbed command."""
        assert isinstance(self._reference, Reference)
        return self._reference

    def kill_and_go_on(self, phases: Iterable[str], halves: Iterable[str] = ()) -> None:
        """One run: it dies in the middle of each of the files, and in each of the phases; then it may end."""
        self.runs += 1
        place = self._place(f"{self.runs}")
        for half in halves:
            self._die(place, "half written", half)
        for phase in phases:
            self._die(place, phase)
        last = self.nursery.start(Job(self.words(place)))
        last.end()
        problems = [f"the last life ended with {last.code}"] if last.code else self._differing(place)
        self._lose(place, problems)

    def _place(self, name: str) -> Path:
        """Where a run, or the exported file, shall be."""
        place = self.folder / name
        if self.words(place)[0] == "export":
            place.mkdir()
        return place

    def _die(self, place: Path, phase: str, half: str | None = None) -> None:
        """A life that is killed at a random moment of a phase, or after it if it is very short."""
        life = self.nursery.start(Job(self.words(place), half=half))
        wanted, moment = self.draw.randrange(3) if phase in REPEATED else 0, self.draw.random()
        told: list[Told] = []
        while (each := life.next()) is not None:
            told.append(each)
            if each.phase == phase and not (wanted := wanted - 1) >= 0:
                break
        if each is None:  # it came to its end before
            life.end()
            self._lose(place, [f"a life ended by itself, with {life.code}"] if life.code else [])
            return
        if half is None:
            time.sleep(moment * self.reference.length(phase))
        self._record(life, told, half)
        self._lose(place, [f"killed in {phase} {half or ''}: {problem}" for problem in self._remains(place)])

    def _record(self, life: Life, told: list[Told], half: str | None) -> None:
        """Kill it, and write down where it was when it died."""
        at = time.monotonic()
        told += life.kill()
        if life.code == 0:  # it was faster
            return
        real = [each for each in told if each.phase != "half written"]
        share = self.reference.share(real[-1], max(0.0, at - real[-1].at))
        name = real[-1].phase if half is None else half or "features"
        self.moments.setdefault(name, []).append(share)

    def _remains(self, place: Path) -> list[str]:
        """What is wrong with what a killed life left."""
        unreadable = damaged(place)
        return (
            unreadable
            if self.words(place)[0] == "export"
            else unreadable + misread(place, self.reference.place)
        )

    def _differing(self, place: Path) -> list[str]:
        whole = self.reference.place
        if self.words(place)[0] != "export":
            return differing(place, whole)
        same = (place / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
        return [] if same else ["the exported file has other bytes"]

    def _lose(self, place: Path, problems: Iterable[str]) -> None:
        self.lost += [f"{self.folder.name}, run {place.name}: {problem}" for problem in problems]
