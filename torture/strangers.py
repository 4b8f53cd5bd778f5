"""Models from strangers: headers that lie, metadata that ask for much or for other files, pickles, tampered weights."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import model_files
import numpy as np
from campaign import Scale, Tried
from PIL import Image
from worker import Worker

from l2rclip_lite import cli, mini
from l2rclip_lite.calibration_file import CALIBRATION_FILE, fingerprint_of
from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP, MODEL_FILE
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import load_towers
from l2rclip_lite.training import CHECKPOINT, fit

SECONDS, MIB = 10.0, 1024  # that a model of 5 MB may take before it is refused
PICTURE = Image.new("RGB", (8, 8), "green")
RANKS = Ranks(("low", "middle", "high"), (0, 1, 2), template="a leaf with {rank} damage")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16, epochs1=2, epochs2=0, threads=1)


def run(scale: Scale) -> Iterator[Tried]:
    """Six classes of fault."""
    with Worker("strangers", scale.folder, patience=60) as worker:
        bench = Bench(scale, worker)
        parts = bench.parts
        lies = model_files.headers(parts) | model_files.metadata(parts)
        yield bench.refused(
            "model-files",
            "Models whose header, tensors or metadata lie, or ask for gigabytes.",
            "Refused in one sentence within 1 GiB; `l2rclip predict` ends with code 2 and prints no answer.",
            lies,
        )
        outside = scale.folder / "outside"
        outside.mkdir()
        trace = scale.folder / "a pickle was loaded"
        pickles = model_files.pickles(trace)
        (outside / "evil.pt").write_bytes(pickles["zip"])
        (outside / "evil.safetensors").write_bytes(pickles["pickle"])
        others = pickles | model_files.elsewhere(parts, outside)
        tried = bench.refused(
            "model-pointers",
            "Pickles under a model's name, and configs that name a hub, a URL, a share or another folder.",
            "Refused; no file outside is opened, no connection made, no process started, nothing unpickled.",
            others,
        )
        wrong = [bench.towers(*pointer) for pointer in model_files.pointers(outside)]
        tried = replace(tried, cases=tried.cases + len(wrong), lost=(*tried.lost, *filter(None, wrong)))
        yield tried if not trace.exists() else replace(tried, lost=(*tried.lost, "a pickle was loaded"))
        yield bench.sparse()
        yield bench.damage()
        yield bench.calibrations()
        yield bench.checkpoints()
        yield bench.tampered()


def attempt(request: dict[str, Any]) -> dict[str, Any]:
    """In the worker: load a model and ask it; or train from a checkpoint; or load the bundled weights."""
    try:
        if "tampered" in request:
            return _load_tampered(**request)
        if "checkpoint" in request:
            fit(_data(), CONFIG, request["checkpoint"], quiet=True)
            return {}
        if "towers" in request:
            load_towers(request["towers"], weights=request["weights"])
            return {}
        model = L2RCLIP.load(request["run"])
        found = model.predict([PICTURE])
        wrong = "" if found.probabilities.isfinite().all() else "its answer is no number"
        return {"raised": wrong} if wrong else {}
    except InputError as error:
        answer: dict[str, Any] = {"refused": str(error)}
    if "picture" in request:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(["predict", request["run"], request["picture"]])
        lines = err.getvalue().splitlines()
        if (code, out.getvalue(), len(lines)) != (2, "", 1) or not lines[0].startswith("error: "):
            answer["raised"] = f"predict: code {code}, {out.getvalue()!r}, {err.getvalue()!r}"
    return answer


def broken(answer: dict[str, Any], *, about: str, must: bool) -> str:
    """What is wrong with an answer.

    Args:
        answer: Of the worker.
        about: The file that the sentence must name.
        must: Whether it had to be refused.
    """
    if said := answer.get("died") or answer.get("raised"):
        return str(said)
    if answer["did"] or answer["warned"] or answer["noise"]:
        return f"did {answer['did']}, warned {answer['warned']}, wrote {answer['noise']} bytes to stderr"
    if answer["mib"] > MIB or answer["seconds"] > SECONDS:
        return f"took {answer['seconds']:.1f} s and {answer['mib']:.0f} MiB"
    sentence = answer.get("refused")
    if sentence is None:
        return "was used" if must else ""
    ends = sentence.endswith(".") or mini.PIP in sentence or "reinstall" in sentence  # a command stands last
    good = about in sentence and sentence.isprintable() and ends and len(sentence) < 900
    return "" if good else f"said {sentence!r}"


class Bench:
    """A good model, and a worker that is shown what others made of it.

    Args:
        scale: How much.
        worker: Loads and predicts.
    """

    def __init__(self, scale: Scale, worker: Worker) -> None:
        self.scale, self.worker, self.asked = scale, worker, 0
        self.folder = scale.folder / "stranger"
        self.file = L2RCLIP.build(RANKS, CONFIG).save(self.folder)
        self.good = self.file.read_bytes()
        self.parts = model_files.Parts(self.good)
        self.picture = scale.folder / "picture.png"
        PICTURE.save(self.picture)

    def ask(
        self, data: bytes | None, *, must: bool = True, about: str = MODEL_FILE, command: bool = True
    ) -> str:
        """What goes wrong with a model file; None takes the file that is there."""
        if data is not None:
            self.file.write_bytes(data)
        request = {"run": str(self.folder)} | ({"picture": str(self.picture)} if command else {})
        return broken(self.worker.ask(request), about=about, must=must)

    def refused(self, name: str, fault: str, promise: str, files: dict[str, bytes]) -> Tried:
        """Each of the files must be refused, and the good one between them must not."""
        lost = [f"{case}: {wrong}" for case, data in files.items() if (wrong := self._either(case, data))]
        lost += (
            [f"the good model: {self.worker.ask({'run': str(self.folder)})}"]
            if self._good_is_refused()
            else []
        )
        return Tried(name, fault, promise, len(files) + 1, tuple(lost))

    def _either(self, case: str, data: bytes) -> str:
        # an answer that is no number is found when the model is asked: there the sentence names no file
        return self.ask(data, about="predict: " if case == "answers-that-overflow" else MODEL_FILE)

    def _good_is_refused(self) -> bool:
        self.file.write_bytes(self.good)
        answer = self.worker.ask({"run": str(self.folder)})
        return "refused" in answer or bool(broken(answer, about="", must=False))

    def towers(self, name: str, weights: str | None) -> str:
        """What goes wrong when they are asked for directly, as a notebook would with a config from elsewhere."""
        answer = self.worker.ask({"towers": name, "weights": weights})
        wrong = broken(answer, about="towers: ", must=True)
        return f"load_towers({name!r}, {weights!r}): {wrong}" if wrong else ""

    def sparse(self) -> Tried:
        """Headers and tensors of many gigabytes, on a disk that holds nothing of them; things that are no file."""
        lost = []
        giant = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
        header = b'{"rank_features":' + str(giant).replace("'", '"').encode() + b"}"
        for case, length, size in (
            ("a header of 1 GB", 10**9, 10**9 + 8),
            ("a header of 90 MB", 90_000_000, 90_000_008),
            ("a tensor of 1 TB", len(header), 2**40 + 8 + len(header)),
        ):
            with self.file.open("wb") as stream:
                stream.write(length.to_bytes(8, "little") + (header if length == len(header) else b""))
                stream.truncate(size)
            lost += [f"{case}: {wrong}"] if (wrong := self.ask(None)) else []
        self.file.unlink()
        for case, make in {"a folder": self.file.mkdir, "a pipe": partial(os.mkfifo, self.file)}.items():
            make()
            lost += [f"{case}: {wrong}"] if (wrong := self.ask(None)) else []
            self.file.rmdir() if self.file.is_dir() else self.file.unlink()
        return Tried(
            "model-sizes",
            "A model whose header or tensors have up to a terabyte; a folder or a pipe in its place.",
            "Refused before it is parsed or allocated, within 1 GiB; nothing waits.",
            5,
            tuple(lost),
        )

    def damage(self) -> Tried:
        """Random bits, cuts and values."""
        cases, generator = self.scale.pick(short=40, long=3000), np.random.default_rng(self.scale.seed)
        lost = []
        for case in range(cases):
            wrong = self.ask(model_files.mutated(self.parts, generator), must=False, about="")
            lost += [f"case {case} of seed {self.scale.seed}: {wrong}"] if wrong else []
        self.file.write_bytes(self.good)
        return Tried(
            "model-damage",
            "A model with random bits flipped, its end cut off, or values of its config and ranks replaced.",
            "Used or refused in one sentence, within 1 GiB and 10 s of the processor, never a traceback.",
            cases,
            tuple(lost),
        )

    def calibrations(self) -> Tried:
        """A good model beside a `calibration.json` from elsewhere."""
        place, lost = self.folder / CALIBRATION_FILE, []
        files = model_files.calibrations(fingerprint_of(self.file))
        for case, data in files.items():
            place.write_bytes(data)
            if wrong := self.ask(None, about=CALIBRATION_FILE):
                lost.append(f"{case}: {wrong}")
        place.unlink()
        return Tried(
            "calibration-files",
            "A calibration that is damaged, of another model, or holds no usable temperature.",
            "Refused in one sentence that names the file; the model is not used without it silently.",
            len(files),
            tuple(lost),
        )

    def checkpoints(self) -> Tried:
        """A run that was stopped, with a checkpoint from elsewhere."""
        sound, file = _stopped(self.scale.folder / "stopped")
        parts = model_files.Parts(_as_model(sound))
        files = {
            name: data
            for name, edit in _checkpoint_edits(parts).items()
            if (data := _as_checkpoint(parts.edited(edit)))
        }
        files |= {"cut off": sound[:-50], "nothing": b"", "pickle": model_files.pickles(Path("x"))["pickle"]}
        lost = []
        for case, data in files.items():
            file.write_bytes(data)
            answer = self.worker.ask({"checkpoint": str(file.parent.parent)})
            if wrong := broken(answer, about=file.name, must=True):
                lost.append(f"{case}: {wrong}")
        return Tried(
            "checkpoint-files",
            "A checkpoint with other shapes, numbers, epochs or histories than its run's.",
            "Refused in one sentence that names the file, before a parameter is changed.",
            len(files),
            tuple(lost),
        )

    def tampered(self) -> Tried:
        """Copies of the bundled weights with one bit flipped."""
        folder, lost = self.scale.folder / "weights", []
        folder.mkdir()
        sources = {name: mini.find_text_folder() / name for name in mini.TEXT_FILES}
        sources |= {"image": mini.find_image_weights(), "alignment": mini.ALIGNMENT}
        generator = np.random.default_rng(self.scale.seed)
        for case, source in sources.items():
            copy = folder / source.name
            shutil.copy(source, copy)
            answer = self.worker.ask({"tampered": case, "file": str(copy)})
            lost += [f"{case}, untouched: {wrong}"] if (wrong := broken(answer, about="", must=False)) else []
            with copy.open("r+b") as stream:
                at = int(generator.integers(copy.stat().st_size))
                stream.seek(at)
                byte = stream.read(1)[0]
                stream.seek(at)
                stream.write(bytes([byte ^ 1 << int(generator.integers(8))]))
            answer = self.worker.ask({"tampered": case, "file": str(copy)})
            lost += (
                [f"{case}, byte {at}: {wrong}"]
                if (wrong := broken(answer, about="SHA-256", must=True))
                else []
            )
            copy.unlink()
        return Tried(
            "tampered-weights",
            "One bit of each bundled file flipped: both networks, tokenizer, its config, the alignment.",
            "Refused by its SHA-256 before it is parsed; the untouched copy is taken.",
            2 * len(sources),
            tuple(lost),
        )


def _load_tampered(tampered: str, file: str) -> dict[str, Any]:
    """Bundled towers of which one file is elsewhere; a text tower's folder is filled up with links."""
    place = Path(file)
    if tampered == "image":
        patched = patch.object(mini, "find_image_weights", lambda: place)
    elif tampered == "alignment":
        patched = patch.object(mini, "ALIGNMENT", place)
    else:
        installed = mini.find_text_folder()
        for name in mini.TEXT_FILES:
            if name != tampered and not (place.parent / name).exists():
                (place.parent / name).symlink_to(installed / name)
        patched = patch.object(mini, "find_text_folder", lambda: place.parent)
    try:
        with patched:
            load_towers("mini")
    finally:
        for name in mini.TEXT_FILES:
            if (place.parent / name).is_symlink():
                (place.parent / name).unlink()
    return {}


@cache
def _data() -> Any:
    return load_dataset("leaves", ranks=3, size=30, seed=0)


def _stopped(folder: Path) -> tuple[bytes, Path]:
    """A run that ended after an epoch, and its checkpoint."""

    class Stopped(Exception):  # noqa: N818 - not an error
        pass

    save = Checkpoint.save

    def stopping(self: Checkpoint, *arguments: Any) -> None:
        save(self, *arguments)
        raise Stopped

    with patch.object(Checkpoint, "save", stopping), contextlib.suppress(Stopped):
        fit(_data(), CONFIG, folder, quiet=True)
    file = folder / CHECKPOINT / "stage1.safetensors"
    return file.read_bytes(), file


def _as_model(checkpoint: bytes) -> bytes:
    """`Parts` looks for the metadata under the name that a model has."""
    return _renamed(checkpoint, b'"snapshot"', b'"l2rclip"')


def _as_checkpoint(model: bytes) -> bytes:
    return _renamed(model, b'"l2rclip"', b'"snapshot"')


def _renamed(file: bytes, old: bytes, new: bytes) -> bytes:
    length = int.from_bytes(file[:8], "little")
    header = file[8 : 8 + length].replace(old, new, 1)
    return len(header).to_bytes(8, "little") + header + file[8 + length :]


def _checkpoint_edits(parts: model_files.Parts) -> dict[str, model_files.Edit]:
    """What a checkpoint of another run, or of nobody, may hold."""
    name = next(key for key in sorted(parts.header) if key.startswith("now/") and "context" in key)
    shape = parts.header[name]["shape"]

    def about(**values: Any) -> model_files.Edit:
        return lambda header, state, data: state.update(values)

    def number(value: float) -> model_files.Edit:
        return lambda header, state, data: model_files.FLOAT.pack_into(data, parts.place(name), value)

    return {
        "shape turned": lambda header, state, data: header[name].update(shape=shape[::-1]),
        "other dtype": lambda header, state, data: header[name].update(dtype="I32"),
        "missing": lambda header, state, data: header.pop(name),
        "not a number": number(float("nan")),
        "many epochs": about(epochs_done=10**9),
        "fewer than none": about(epochs_done=-1),
        "a word of epochs": about(epochs_done="all"),
        "no history": about(history=[]),
        "a word of history": about(history="h"),
        "a row of words": about(history=[{"loss": "small"}]),
        "a row that is none": about(history=[3]),
        "no score": about(best_score=None),
    }
