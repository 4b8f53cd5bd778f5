"""`l2rclip export`: the file answers as PyTorch does on pictures as they are, and nothing else is ever left behind."""

import gc
import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import inliner
from PIL import Image
from skimage import data as photographs

from l2rclip_lite import L2RCLIP, Config, Ranks, export
from l2rclip_lite.calibration_file import Calibration, fingerprint_of, write_calibration
from l2rclip_lite.cli import main
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.export import export_onnx, open_session, read_metadata
from l2rclip_lite.export_command import _pictures, export_parser
from l2rclip_lite.images import as_bytes
from l2rclip_lite.onnx_squash import squash_graph
from l2rclip_lite.training import fit

RANKS = Ranks(
    ("no", "some", "much", "all"), (0, 1, 5, 20), template="a leaf with {rank} damage", unit="per cent"
)


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Real photographs: wide, square, and tall enough that Pillow takes the height first."""
    wide, square = (Image.fromarray(each()) for each in (photographs.chelsea, photographs.astronaut))
    return [wide, square.resize((200, 200)), wide.crop((100, 0, 190, 300)), wide.resize((50, 33))]


@pytest.fixture(scope="session")
def model(small: Config) -> L2RCLIP:
    """A small model with a temperature and an adapter that does something."""
    found = L2RCLIP.build(RANKS, replace(small, image_side="adapter"))
    with torch.no_grad():
        turn = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
        found.adapter.get_parameter("weight").add_(turn, alpha=0.2)
    found.temperature = 2.5
    return found


@pytest.fixture(scope="session")
def written(model: L2RCLIP, photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That model as a file."""
    file = tmp_path_factory.mktemp("export") / "model.onnx"
    done = export_onnx(model, file, photos)
    assert done.difference < 1e-5
    assert (done.pictures, done.file) == (4, file)
    assert done.megabytes == file.stat().st_size / 1e6
    return file


def test_nothing_of_a_graph_is_kept_in_the_process(written: Path, model: L2RCLIP) -> None:
    """Torch would keep source text and shapes of each graph for ever, 2 MB an export; a second leaves no more."""

    def kept() -> tuple[int, int]:
        gc.collect()
        shapes = sum(type(each).__name__.startswith("_DispatchCache") for each in gc.get_objects())
        return shapes, len(torch.fx.graph_module._loader.eval_cache)

    before = kept()
    export._tower_graph(model)
    assert kept() == before


def test_the_file_answers_as_the_model_does(written: Path, model: L2RCLIP, photos: list[Image.Image]) -> None:
    """Adapter and temperature included, on photographs of four shapes that nobody squashed."""
    session, theirs = open_session(written), model.predict(photos)
    for index, photo in enumerate(photos):
        probabilities, expected = export.answer(session, photo)
        np.testing.assert_allclose(probabilities, theirs.probabilities[index], atol=1e-5)
        assert expected == pytest.approx(float(theirs.expected[index]), abs=1e-4)


def test_the_batch_is_free(written: Path, photos: list[Image.Image]) -> None:
    """Five pictures of a size at once give what each gives alone."""
    session = open_session(written)
    five = torch.stack(
        [as_bytes(photo.resize((71, 40))) for photo in [*photos, photos[0].rotate(180)]]
    ).numpy()
    together = session.run(None, {"pixels": five})
    assert [each.shape for each in together] == [(5, 4), (5,)]
    for index in range(5):
        alone = session.run(None, {"pixels": five[index : index + 1]})
        np.testing.assert_allclose(alone[0][0], together[0][index], atol=1e-6)


def test_the_file_says_what_its_ranks_are_and_nothing_of_this_machine(written: Path) -> None:
    """Metadata come back as they were; torch's stack traces, which name files and folders, do not."""
    found = read_metadata(written)
    assert Ranks.from_dict(found["ranks"]) == RANKS
    assert (found["image_size"], found["temperature"], found["towers"]) == (64, 2.5, "tiny/random")
    assert b".py" not in written.read_bytes()
    other = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    file = written.with_name("other.onnx")
    onnx.save(
        onnx.helper.make_model(other, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 18)]), file
    )
    with pytest.raises(InputError, match=r"other\.onnx: was not written by `l2rclip export`"):
        read_metadata(file)
    file.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"other\.onnx: onnxruntime cannot read it"):
        read_metadata(file)


@pytest.fixture(scope="session")
def squash() -> Callable[[np.ndarray], np.ndarray]:
    """The resampling part of the graph alone, to 24 pixels."""
    graph = inliner.inline_local_functions(squash_graph(24))
    session = open_session(graph.SerializeToString())
    return lambda pixels: np.asarray(
        session.run(None, {"pixels": pixels.transpose(2, 0, 1)[None]})[0][0].transpose(1, 2, 0)
    )


sizes = st.tuples(st.integers(1, 120), st.integers(1, 120), st.just(3))


@given(pixels=arrays(np.uint8, sizes, elements=st.integers(0, 255), fill=st.sampled_from([0, 255])))
def test_it_squashes_byte_for_byte_as_pillow(
    squash: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray
) -> None:
    """Any height and width, up and down, and the hard edges that make a cubic filter overshoot."""
    theirs = Image.fromarray(pixels).resize((24, 24), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(squash(pixels), np.asarray(theirs))


@pytest.mark.parametrize(
    "shape", [(24, 24), (300, 200), (161, 159), (300, 24), (24, 301), (72, 47), (72, 48)]
)
def test_noise_is_squashed_byte_for_byte(
    squash: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int]
) -> None:
    """On either side of the shape at which Pillow changes the order of its passes: 48 rows less, 23 or 24 columns."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = Image.fromarray(noise).resize((24, 24), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(squash(noise), np.asarray(theirs))


def test_a_file_that_answers_otherwise_is_refused(
    written: Path, model: L2RCLIP, photos: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph at temperature 2.5 is not kept for a model at 1; nor is one that nobody checked."""
    file, graph = tmp_path / "new" / "model.onnx", written.read_bytes()
    monkeypatch.setattr(export, "_graph", lambda model: graph)
    with pytest.raises(InputError, match="no picture to check the file on"):
        export_onnx(model, file, [])
    monkeypatch.setattr(model, "temperature", 1.0)
    with pytest.raises(
        TrainingError, match=r"PyTorch by 0\.\d+ in a probability, more than 0\.0001; nothing was written"
    ):
        export_onnx(model, file, photos[:1])
    assert not list(tmp_path.iterdir())
    nan = np.float32("nan")
    monkeypatch.setattr(export, "answer", lambda session, picture: (np.full(len(model.ranks), nan), nan))
    with pytest.raises(TrainingError, match="PyTorch by nan"):
        export_onnx(model, file, photos[:1])


def test_without_the_packages_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is missing, the extra brings it."""
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    with pytest.raises(
        InputError, match=r"onnxscript is not installed; run: pip install \"l2rclip-lite\[onnx\]\"$"
    ):
        export.require_onnx()


def test_the_command(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A calibrated run of precision bf16, which is written in fp32, its 8-bit twin, and what is refused."""
    run, file = tmp_path / "run", tmp_path / "model.onnx"
    source = {"name": "leaves", "size": 60, "pixels": 64}
    fit(leaves, replace(small, epochs1=1, epochs2=1, precision="bf16"), run, source=source, quiet=True)
    found = Calibration(0.5, "val", 10, 0.4, 0.6, 1.5, 1.4, fingerprint_of(run / "model.safetensors"))
    write_calibration(run, found)
    assert main(["export", str(run), str(file), "--int8"]) == 0
    said = capsys.readouterr().out
    assert f"{file}: {file.stat().st_size / 1e6:.1f} MB" in said
    assert f"at temperature 0.50, from {run / 'calibration.json'}" in said
    assert f"in a probability, on {len(leaves.test)} test pictures" in said
    assert read_metadata(file)["temperature"] == 0.5
    twin = tmp_path / "model.int8.onnx"
    assert twin.stat().st_size < file.stat().st_size / 2
    assert read_metadata(twin) == read_metadata(file)
    session, test = open_session(file), leaves.test
    predicted = [int(export.answer(session, test[index][0])[0].argmax()) for index in range(len(test))]
    right = sum(a == b for a, b in zip(predicted, test.targets, strict=True)) / len(test)
    assert re.search(rf"^accuracy +{right:.3f} ", said, re.MULTILINE)

    state = json.loads((run / "config.json").read_text())
    state["dataset"]["source"] = None
    (run / "config.json").write_text(json.dumps(state))
    drawn, what = _pictures(export_parser().parse_args([str(run), str(file)]), 64)
    assert (len(drawn), what) == (16, "drawn leaves")
    assert "note: checked on drawn leaves, since the run's pictures are not here" in capsys.readouterr().out
    assert main(["export", str(run), str(file), "--int8"]) == 2, "without labels nothing can be measured"
    assert main(["export", str(run), str(tmp_path / "model.pt")]) == 2
    assert main(["export", str(tmp_path / "none"), str(file)]) == 2
    assert capsys.readouterr().err.count("error: ") == 3


@pytest.mark.slow
@pytest.mark.untyped  # checking the shape of every symbolic layer takes longer than the export
def test_mini(tmp_path: Path, photos: list[Image.Image], mini: object) -> None:
    """The default towers: no scale of a frozen BatchNorm is left to compute, 8 bits leave a third of the size."""
    from l2rclip_lite.onnx_int8 import quantise

    file = tmp_path / "model.onnx"
    done = export_onnx(L2RCLIP.build(RANKS, Config(heads=2, hidden=32, image_size=96)), file, photos)
    assert done.difference < 1e-4
    nodes = [node.op_type for node in onnx.load(file).graph.node]
    assert nodes.count("Conv") == 49
    assert nodes.count("Mul") < 5
    twin = quantise(file)
    assert twin.stat().st_size < file.stat().st_size / 3
    kept = [node.op_type for node in onnx.load(twin).graph.node]
    assert kept.count("Conv") == 16, "the depthwise ones"
    assert kept.count("ConvInteger") == 33


def test_real_leaves(real_bracol: Path, written: Path, model: L2RCLIP) -> None:
    """Coffee leaves as they lie on the disk."""
    test = load_dataset("bracol", root=str(real_bracol), fold=1).test
    session = open_session(written)
    for index in range(0, len(test), 25):
        theirs = model.predict([test[index][0]]).probabilities[0]
        np.testing.assert_allclose(export.answer(session, test[index][0])[0], theirs, atol=1e-5)
