"""A run as one ONNX file: raw pixels in, probabilities and expectation out, checked against PyTorch before it is kept.

The text features are fixed once training is over, so the text tower stays behind. The file squashes pictures itself:
whoever runs it, in a browser or a server, needs a decoder and no resampling code.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import linecache
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.fx import graph_module

from l2rclip_lite.data.files import on_white
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import write_atomically
from l2rclip_lite.images import as_bytes
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.onnx_squash import IR_VERSION, OPSET, squash_graph
from l2rclip_lite.ranks import Ranks

KEY = "l2rclip"  # of the metadata in the file
TOLERANCE = 1e-4  # largest difference of a probability from PyTorch's
PIP = 'pip install "l2rclip-lite[onnx]"'


@dataclass(frozen=True)
class Exported:
    """What was written, and how it was checked.

    Args:
        file: The ONNX file.
        megabytes: Its size, in 10⁶ bytes.
        difference: Largest difference of a probability from PyTorch's.
        pictures: How many pictures it was checked on.
    """

    file: Path
    megabytes: float
    difference: float
    pictures: int


class _Answers(nn.Module):
    """From squashed bytes to both answers, in fp32: what torch writes into the file."""

    def __init__(self, model: L2RCLIP) -> None:
        super().__init__()
        self.towers, self.adapter = model.towers, model.adapter
        self.register_buffer("prototypes", model.scale.detach() * model.rank_features.T / model.temperature)
        self.register_buffer("values", model.ranks.values_tensor())

    def forward(
        self, squashed: UInt8[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch rank"], Float[Tensor, " batch"]]:
        """Probabilities, and the expectation of the rank values under them."""
        features = self.adapter(self.towers.encode_image(self.towers.normalize(squashed.float() / 255)))
        probabilities = F.softmax(features @ self.get_buffer("prototypes"), dim=1)
        return probabilities, probabilities @ self.get_buffer("values")


def export_onnx(
    model: L2RCLIP,
    file: str | Path,
    pictures: Iterable[Image.Image],
    *,
    tolerance: float = TOLERANCE,
) -> Exported:
    """Write a model as ONNX, if it answers as PyTorch does.

    Input `pixels`: bytes [batch, 3, height, width], RGB, any size. Outputs `probabilities` [batch, rank], at the model's
    temperature, and `expected` [batch], in the unit of the ranks. `read_metadata` tells what the ranks are.

    Args:
        model: A finished model; one of precision bf16 is written, and compared, in fp32.
        file: Where to write, such as `model.onnx`.
        pictures: What to check it on, at least one; each is compared alone.
        tolerance: The largest difference of a probability that is accepted.

    Returns:
        What was written.

    Raises:
        InputError: onnx or onnxruntime is missing, no picture, or a folder that cannot be written.
        TrainingError: It answers otherwise than PyTorch; no file is left.
    """
    require_onnx()
    exact = copy.copy(model)  # shares all tensors
    exact.config = replace(model.config, precision="fp32")
    data = _graph(exact)
    difference, count = _difference(exact, open_session(data), pictures)
    if not difference <= tolerance:  # so that a NaN is refused, too
        raise TrainingError(
            f"export: the ONNX graph differs from PyTorch by {difference:.1g} in a probability, more than {tolerance:g}; "
            "nothing was written; update onnx, onnxscript and onnxruntime."
        )

    def write(path: Path) -> None:
        path.write_bytes(data)

    write_atomically(Path(file), write)
    return Exported(Path(file), len(data) / 1e6, difference, count)


def require_onnx() -> None:
    """Refuse to begin without the three packages of the extra."""
    for name in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"export: {name} is not installed; run: {PIP}")


def _graph(model: L2RCLIP) -> bytes:
    """The whole file: squashing, towers, metadata."""
    from onnx import checker, compose, helper, inliner

    squash = inliner.inline_local_functions(squash_graph(model.towers.image_size))
    tower = _tower_graph(model)
    tower.ir_version = IR_VERSION
    whole = compose.merge_models(squash, tower, io_map=[("squashed", "squashed")], name=KEY)
    del whole.metadata_props[:], whole.opset_import[:]  # of the functions, and twice that of ONNX
    whole.opset_import.append(helper.make_opsetid("", OPSET))
    helper.set_model_props(whole, {KEY: json.dumps(_metadata(model), ensure_ascii=False)})
    whole.producer_name, whole.producer_version = "l2rclip-lite", version("l2rclip-lite")
    checker.check_model(whole, full_check=True)
    return bytes(whole.SerializeToString())


def _tower_graph(model: L2RCLIP) -> Any:
    """What torch makes of image tower, prototypes and softmax: constants folded, no path of this machine kept."""
    import onnxscript

    size = model.towers.image_size
    example = torch.zeros(
        2, 3, size, size, dtype=torch.uint8
    )  # 2: a batch of 1 would be taken for a constant
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript"), _forgotten():
        warnings.simplefilter("ignore")  # torch warns of its own old calls
        program = torch.onnx.export(
            _Answers(model).to("cpu").eval(),
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["squashed"],
            output_names=["probabilities", "expected"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        assert program is not None
        assert program.exported_program is not None
        for node in program.exported_program.graph.nodes:
            if (mode := getattr(node.meta.get("val"), "fake_mode", None)) is not None:
                mode.shape_env.fake_tensor_cache.clear()  # what it knows of the graph's shapes
        # torch stops folding at a kilobyte; a weight times the scale of a frozen BatchNorm is larger
        onnxscript.optimizer.optimize(program.model, input_size_limit=2**31, output_size_limit=2**31)
    found = program.model_proto
    graph = found.graph
    for part in (
        found,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        part.ClearField("metadata_props")
    return found


def _metadata(model: L2RCLIP) -> dict[str, Any]:
    """What a reader of the file needs besides it."""
    return {
        "ranks": model.ranks.to_dict(),
        "towers": model.config.towers,
        "image_size": model.towers.image_size,
        "temperature": model.temperature,
        "version": version("l2rclip-lite"),
    }


def read_metadata(file: str | Path) -> dict[str, Any]:
    """Ranks, towers, image size, temperature and package version, from the file itself.

    Args:
        file: An ONNX file that `export_onnx` wrote.

    Raises:
        InputError: Another file, or one whose metadata are damaged.
    """
    found = open_session(file).get_modelmeta().custom_metadata_map
    if KEY not in found:
        raise InputError(f"{file}: was not written by `l2rclip export`.")
    try:
        metadata: dict[str, Any] = json.loads(found[KEY])
        _ = Ranks.from_dict(metadata["ranks"]), float(metadata["temperature"])
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(f"{file}: its metadata are damaged; export the run again.") from error
    return metadata


def open_session(model: str | Path | bytes) -> Any:
    """The runtime, on one CPU thread.

    Args:
        model: A file, or what is in it.

    Raises:
        InputError: A file that onnxruntime cannot read.
    """
    require_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # classes of its own, of no common kind
        where = "export" if isinstance(model, bytes) else model
        raise InputError(f"{where}: onnxruntime cannot read it ({' '.join(str(error).split())}).") from error


def answer(session: Any, picture: Image.Image) -> tuple[Float[np.ndarray, " rank"], float]:
    """Probabilities and expectation of one picture of any size.

    Args:
        session: Of a file that `export_onnx` wrote.
        picture: What is transparent in it becomes white.
    """
    probabilities, expected = session.run(None, {"pixels": as_bytes(on_white(picture))[None].numpy()})
    return probabilities[0], float(expected[0])


def _difference(model: L2RCLIP, session: Any, pictures: Iterable[Image.Image]) -> tuple[float, int]:
    """Largest difference of a probability, or of an expectation as a share of the scale; and how many pictures."""
    span, found = float(np.ptp(model.ranks.values)), []
    for picture in pictures:
        theirs = model.predict([picture])
        probabilities, expected = answer(session, picture)
        found.append(np.abs(probabilities - theirs.probabilities[0].numpy()).max())
        found.append(abs(expected - float(theirs.expected[0])) / span)
    if not found:
        raise InputError("export: no picture to check the file on; give at least one.")
    return float(np.max(found)), len(found) // 2


@contextmanager
def _forgotten() -> Iterator[None]:
    """Take from torch the generated source text that it would keep of every traced graph for ever."""
    sources = graph_module._loader.eval_cache
    before = set(sources)
    try:
        yield
    finally:
        for name in set(sources) - before:
            del sources[name]
            linecache.cache.pop(name, None)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Loggers that say nothing below an error."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
