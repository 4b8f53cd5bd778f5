"""Disks that are full, that nothing may be written to or that vanish, two runs at one place, Ctrl-C: one sentence each."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from campaign import Scale, Tried
from ctrl_c import interrupted
from lives import Job, Life, Nursery, Told, fit_words
from remains import FILES, damaged, differing

TINY = {"towers": "tiny/random", "epochs1": 2, "epochs2": 2, "batch_size": 16, "heads": 2, "hidden": 32}
TINY |= {"lr1": 3e-3, "lr2": 1e-3, "pictures": "disk"}
WRITES = ("train.bin", "config.json", "", "stage1.safetensors", "stage2.safetensors", "model.safetensors")
WRITES += ("history.csv", "predictions.csv", "metrics.json")  # "": whatever comes first, here cached features
NOBODY = 65534
SENTENCE = re.compile(r"error: [^\n]+\.\n")


def run(scale: Scale) -> Iterator[Tried]:
    """Every class of trouble with the disk, with others, and with Ctrl-C."""
    place = Trouble(Nursery(), scale.folder)
    yield full_at_each_write(place, scale)
    yield full_disks(place, scale)
    yield forbidden(place, scale)
    yield vanishing(place, scale)
    yield two_at_once(place, scale)
    yield from interrupted(place.nursery, place.reference, scale)


class Trouble:
    """Commands that meet trouble, and are given again when it is over.

    Args:
        nursery: Where lives begin.
        folder: For everything that is written.
    """

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self.nursery, self.folder, self.number = nursery, folder, 0
        self.reference = folder / "whole"
        self.lost: list[str] = []
        self.cases = 0
        if code := self.go(self.job(self.reference)).code:
            raise RuntimeError(f"the undisturbed run ended with {code}")

    def new(self) -> Path:
        """A place for a run."""
        self.number += 1
        return self.folder / f"run{self.number}"

    def job(self, out: Path, **trouble: object) -> Job:
        """`l2rclip fit`."""
        said = self.folder / "stderr"
        return Job(fit_words(out, TINY), said=said, **trouble)  # type: ignore[arg-type]

    def go(self, job: Job) -> Life:
        """A life from its beginning to its end."""
        life = self.nursery.start(job)
        life.end()
        return life

    def until(self, life: Life, phase: str) -> Told | None:
        """Wait until a life comes to a phase."""
        return next((told for told in iter(life.next, None) if told.phase == phase), None)

    def refused(self, life: Life, case: str, words: str, file: Path | None = None) -> None:
        """It must have ended with one sentence that has these words."""
        self.cases += 1
        said = (file or self.folder / "stderr").read_text(encoding="utf-8")
        if life.code != 2:
            self.lost.append(f"{case}: it ended with {life.code}, not 2")
        if not SENTENCE.fullmatch(said) or not re.search(words, said):
            self.lost.append(f"{case}: it said {said!r}")

    def goes_on(self, out: Path, case: str) -> None:
        """When the trouble is over, the same command must end in the same bytes."""
        self.lost += [f"{case}: {problem}" for problem in damaged(out)]
        if code := self.go(self.job(out)).code:
            said = (self.folder / "stderr").read_text(encoding="utf-8")
            self.lost.append(f"{case}: the same command ended with {code} afterwards: {said!r}")
        else:
            self.lost += [f"{case}: {problem}" for problem in differing(out, self.reference)]

    def tried(self, name: str, fault: str, promise: str, **detail: object) -> Tried:
        """What came of a class; the next one begins at none."""
        found = Tried(name, fault, promise, self.cases, tuple(self.lost), detail)
        self.cases, self.lost = 0, []
        return found


PROMISE = "one sentence, exit code 2, what was computed is kept, and the same command ends in the same bytes"


def full_at_each_write(place: Trouble, scale: Scale) -> Tried:
    """ENOSPC when a file is flushed; and a limit of the system on the size of a file."""
    draw = random.Random(scale.seed)
    short = draw.sample(WRITES, 1)
    for name in scale.pick(short=tuple(short), long=WRITES):
        out = place.new()
        life = place.go(place.job(out, full=name))
        place.refused(
            life, f"no space for {name or 'features'}", re.escape(name) + r".*No space left on device"
        )
        place.goes_on(out, f"no space for {name or 'features'}")
    for limit in scale.pick(short=(400_000,), long=(1_000, 20_000, 100_000, 400_000)):
        out = place.new()
        life = place.go(place.job(out, limit=limit))
        place.refused(life, f"no file above {limit} bytes", "File too large")
        place.goes_on(out, f"no file above {limit} bytes")
    return place.tried("disk-full-write", "no space at one kind of write", PROMISE)


def full_disks(place: Trouble, scale: Scale) -> Tried:
    """Real disks of many sizes, each too small until it is enlarged."""
    name, fault = "disk-full", "a disk that is too small for the run"
    disk = place.folder / "disk"
    disk.mkdir()
    failed: list[str] = []
    needed = sum(file.stat().st_size for file in place.reference.iterdir()) * 8 // 1024
    steps = scale.pick(short=2, long=24)
    for step in range(steps):
        size = 4 + step * needed // steps
        with mounted(disk, size) as there:
            if not there:
                return place.tried(name, fault, PROMISE, skipped="a file system may not be mounted here")
            life = place.go(place.job(disk / "run"))
            if life.code == 0:
                break
            place.refused(life, f"a disk of {size} KiB", "No space left on device")
            said = (place.folder / "stderr").read_text(encoding="utf-8")
            failed += re.findall(r"([\w.]+): cannot be written", said)
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            place.goes_on(disk / "run", f"a disk of {size} KiB, then of 64 MiB")
    return place.tried(name, fault, PROMISE, failed_at=sorted(set(failed)))


@contextlib.contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[bool]:
    """A disk in memory of that size, if this process may mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0777", "tmpfs", str(folder)]
    try:
        there = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        there = False
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", str(folder)], check=True)


def forbidden(place: Trouble, scale: Scale) -> Tried:
    """Folders that a user may not write, from the beginning or from a moment on; root gives up its rights for that."""
    user = NOBODY if os.getuid() == 0 else None
    phases = ("stage 1", "stage 2", "judging")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o755)
        life = place.go(place.job(base / "run", user=user) if user else place.job(Path("/run")))
        place.refused(life, "a folder of another user", "run: cannot be written .Permission denied.")
        for phase in scale.pick(short=(random.Random(scale.seed).choice(phases),), long=phases):
            out = base / phase.replace(" ", "") / "run"
            out.parent.mkdir()
            out.parent.chmod(0o777)
            life = place.nursery.start(place.job(out, user=user))
            place.until(life, phase)
            parts = [out, *(path for path in out.rglob("*") if path.is_dir())]
            for part in parts:
                part.chmod(0o555)
            life.end()
            place.refused(life, f"closed in {phase}", "cannot be written .Permission denied.")
            for part in parts:
                part.chmod(0o777)
            place.goes_on(out, f"closed in {phase}, and opened again")
        disk = base / "disk"
        disk.mkdir()
        with mounted(disk, 65536) as there:
            if there:
                _read_only(place, disk)
    return place.tried("read-only", "a directory that may not be written", PROMISE, read_only_disk=there)


def _read_only(place: Trouble, disk: Path) -> None:
    """A disk that was mounted to be read, with an unfinished and a finished run on it."""
    life = place.nursery.start(place.job(disk / "begun"))
    place.until(life, "stage 2")
    life.kill()
    shutil.copytree(place.reference, disk / "done")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for name in ("begun", "new"):
        life = place.go(place.job(disk / name))
        place.refused(life, f"{name} on a disk to be read", "cannot be written .Read-only file system.")
    for words in (
        ("calibrate", str(disk / "done")),
        ("export", str(disk / "done"), str(disk / "model.onnx")),
    ):
        life = place.go(Job(words, said=place.folder / "stderr"))
        place.refused(life, f"{words[0]} on a disk to be read", "cannot be written .Read-only file system.")
    place.cases += 1
    if code := place.go(place.job(disk / "done")).code:
        place.lost.append(f"a finished run on a disk to be read: it ended with {code}, not 0")
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    place.goes_on(disk / "begun", "begun on a disk to be read, that was opened again")


def vanishing(place: Trouble, scale: Scale) -> Tried:
    """The run directory is removed, or moved away, while the run is at work."""
    phases = ("feature caching", "stage 1", "checkpoint", "stage 2", "judging", "results")
    for phase in scale.pick(short=(random.Random(scale.seed).choice(phases),), long=phases):
        for how in ("removed", "moved"):
            out, case = place.new(), f"{how} in {phase}"
            life = place.nursery.start(place.job(out))
            place.until(life, phase if phase != "results" else "judging")
            if how == "moved":
                out.rename(out.with_name(f"{out.name}-moved"))
            else:
                _remove(out)
            life.end()
            place.refused(life, case, "removed or replaced while|No such file|cannot be written")
            if out.exists() and (back := [path.name for path in out.iterdir() if path.name in FILES]):
                place.lost.append(f"{case}: it is there again, with {', '.join(back)}")
            place.goes_on(out if how == "removed" else out.with_name(f"{out.name}-moved"), case)
    return place.tried("directory-gone", "the run directory is removed or moved away", PROMISE)


def _remove(folder: Path) -> None:
    """As `rm -rf` does it until it has won."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def two_at_once(place: Trouble, scale: Scale) -> Tried:
    """A second `fit`, `calibrate`, `export` and `evaluate` where one `fit` is at work."""
    second = place.folder / "second"
    for phase in scale.pick(short=("stage 2",), long=("reading pictures", "stage 1", "stage 2", "judging")):
        out = place.new()
        first = place.nursery.start(place.job(out))
        place.until(first, phase)
        os.kill(first.pid, signal.SIGSTOP)  # so that it cannot end meanwhile
        others = {"fit": fit_words(out, TINY), "calibrate": ("calibrate", str(out))}
        others["export"] = ("export", str(out), str(place.folder / "no.onnx"))
        for name, words in others.items():
            life = place.go(Job(words, said=second))
            why = f"process {first.pid} on .* is writing this run" if name == "fit" else "here|cannot be read"
            place.refused(life, f"{name} while another run is in {phase}", why, second)
        os.kill(first.pid, signal.SIGCONT)
        first.end()
        if first.code:
            place.lost.append(f"disturbed in {phase}: the first run ended with {first.code}")
        else:
            place.lost += [f"disturbed in {phase}: {problem}" for problem in differing(out, place.reference)]
    promise = "one sentence that names the process; the first run is not disturbed"
    return place.tried("two-runs", "a second command on the directory of a run", promise)
