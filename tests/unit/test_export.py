"""`l2rclip export`: the file answers as PyTorch does on images as they are, and nothing else is ever left behind."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import browser_model
import numpy as np
import onnx
import pytest
import torch
from onnx import parser
from PIL import Image
from skimage import data as photographs

from l2rclip_lite import L2RCLIP, Config, Ranks, cli, export
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.kernel import KernelHead
from l2rclip_lite.training.fit import fit

RANKS = Ranks(
    ("no", "some", "much", "all"),
    (0, 1, 5, 20),
    template="a leaf with {rank} damage",
    unit="per cent",
)
Resize = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Real photographs: wide, square, and tall enough that Pillow takes the height first."""
    wide, square = (
        Image.fromarray(each()) for each in (photographs.chelsea, photographs.astronaut)
    )
    return [wide, square.resize((200, 200)), wide.crop((100, 0, 190, 300)), wide.resize((50, 33))]


@pytest.fixture(scope="module")
def model(small: Config) -> L2RCLIP:
    """A small model with a temperature and a kernel head; in bf16, but exported in fp32."""
    found = L2RCLIP.build(RANKS, replace(small, image_side="kernel", precision="bf16"))
    found.head = KernelHead(64, len(RANKS))
    found.head.weight += torch.randn(65, len(RANKS), generator=torch.Generator().manual_seed(0))
    found.temperature.fill_(2.5)
    return found


@pytest.fixture(scope="module")
def written(
    model: L2RCLIP, photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """That model as a file."""
    file = tmp_path_factory.mktemp("export") / "model.onnx"
    difference, checked = export.export_onnx(model, file, photos)
    assert difference <= 1e-4
    assert checked == 4
    return file


def test_the_towers_answer_as_pytorch_does(
    written: Path, model: L2RCLIP, photos: list[Image.Image]
) -> None:
    """On images that need no resizing the difference is that of single precision; five at once give what each gives."""
    session, size = export.open_session(written), model.towers.image_size
    fixed = [photo.resize((size, size)) for photo in photos]
    model.config = replace(model.config, precision="fp32")
    theirs = model.predict(fixed)
    for index, photo in enumerate(fixed):
        probabilities, expected = export.answer(session, photo)
        np.testing.assert_allclose(probabilities, theirs.probabilities[index], atol=1e-6)
        assert expected == pytest.approx(float(theirs.expected[index]), abs=1e-4)
    five = np.stack(
        [np.asarray(photo).transpose(2, 0, 1) for photo in [*fixed, fixed[0].rotate(180)]]
    )
    together = session.run(None, {"pixels": five})
    assert [each.shape for each in together] == [(5, 4), (5,)]
    np.testing.assert_allclose(together[0][:4], theirs.probabilities, atol=1e-6)


@pytest.mark.slow
@pytest.mark.untyped
@pytest.mark.parametrize("decoder", ["coral", "corn", "normal"])
def test_the_heads_of_baselines_are_exported(
    decoder: str, small: Config, photos: list[Image.Image], tmp_path: Path
) -> None:
    """What makes probabilities of their outputs is part of the graph."""
    model = L2RCLIP.build(RANKS, replace(small, image_side="kernel"))
    model.head = KernelHead(64, len(RANKS) - (decoder != "normal"), decoder)
    model.head.weight += torch.randn(
        model.head.weight.shape, generator=torch.Generator().manual_seed(0)
    )
    assert export.export_onnx(model, tmp_path / "model.onnx", photos)[0] <= 1e-4


@pytest.fixture(scope="module")
def resize() -> Resize:
    """The resampling part of the graph alone, to 24 pixels."""
    graph = parser.parse_model(export.resize_graph(24))
    session = export.open_session(graph.SerializeToString())
    return lambda pixels: session.run(None, {"pixels": pixels.transpose(2, 0, 1)[None]})[0][
        0
    ].transpose(1, 2, 0)


@pytest.mark.parametrize("shape", [(24, 24), (300, 200), (24, 301), (72, 47), (72, 48), (7, 9)])
def test_noise_is_resized_as_pillow_does(resize: Resize, shape: tuple[int, int]) -> None:
    """On either side of the shape at which Pillow changes the order of its passes; a byte in a hundred may differ by 1."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(noise).resize((24, 24), Image.Resampling.BICUBIC)).astype(
        int
    )
    apart = np.abs(resize(noise).astype(int) - theirs)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


def metadata(file: Path) -> Any:
    """What a file says of itself."""
    return json.loads(export.open_session(file).get_modelmeta().custom_metadata_map[export.KEY])


def test_the_file_says_what_its_ranks_are_and_nothing_of_this_machine(written: Path) -> None:
    """Metadata come back as they were; torch's stack traces, which name files and folders, do not."""
    found = metadata(written)
    assert Ranks.from_dict(found["ranks"]) == RANKS
    assert (found["image_size"], found["temperature"], found["towers"]) == (64, 2.5, "tiny/random")
    assert found["conformal"] == 1  # not calibrated: all ranks
    assert b".py" not in written.read_bytes()


def test_a_file_that_answers_otherwise_is_refused(
    written: Path,
    model: L2RCLIP,
    photos: list[Image.Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A graph at temperature 2.5 is not kept for a model at 1; nor is one that nobody checked, or that answers NaN."""
    file, graph, nan = tmp_path / "new" / "model.onnx", written.read_bytes(), np.float32("nan")
    monkeypatch.setattr(export, "_graph", lambda model: graph)
    with pytest.raises(InputError, match="no image to check the file on"):
        export.export_onnx(model, file, [])
    monkeypatch.setitem(model._buffers, "temperature", torch.ones(()))
    with pytest.raises(
        TrainingError, match=r"by up to 0\.\d+ in a probability, more than 0\.0001; nothing was"
    ):
        export.export_onnx(model, file, photos[:1])
    monkeypatch.setattr(
        export, "answer", lambda session, image: (np.full(len(model.ranks), nan), nan)
    )
    with pytest.raises(TrainingError, match="PyTorch by up to nan"):
        export.export_onnx(model, file, photos[:1])
    assert not list(tmp_path.iterdir())


def test_one_image_that_differs_refuses_the_file(
    written: Path,
    model: L2RCLIP,
    photos: list[Image.Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of 24 that is off by 0.0002, of which the mean would see a hundredth."""
    graph, answer, images = written.read_bytes(), export.answer, list[Image.Image]()

    def answer_wrongly_once(session: Any, image: Image.Image) -> tuple[np.ndarray, float]:
        images.append(image)
        probabilities, expected = answer(session, image)
        return probabilities + (2e-4 if len(images) == 1 else 0), expected

    monkeypatch.setattr(export, "_graph", lambda model: graph)
    monkeypatch.setattr(export, "answer", answer_wrongly_once)
    with pytest.raises(TrainingError, match=r"by up to 0\.0002 in a probability"):
        export.export_onnx(model, tmp_path / "model.onnx", photos * 6)
    assert len(images) == 24
    assert {image.size for image in images} == {(64, 64)}, "nobody has to resize"
    assert not any(tmp_path.iterdir())


def test_what_resizing_adds_is_measured_apart(
    written: Path, model: L2RCLIP, photos: list[Image.Image]
) -> None:
    """On images as they come; of one that has the size of the towers nothing is added."""
    largest, mean = export.resizing_difference(model, written, photos)
    assert 0 < mean <= largest < 1e-2
    fitting = [export.at_size_of_towers(photo, model) for photo in photos]
    assert export.resizing_difference(model, written, fitting)[0] < 1e-5


def test_a_model_without_data_is_exported(
    written: Path,
    model: L2RCLIP,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as the one that ships with the package: drawn leaves stand in, and it says so; a wrong --root does not."""
    graph = written.read_bytes()
    monkeypatch.setattr(export, "_graph", lambda model: graph)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.onnx"
    words = ["export", str(tmp_path), str(file)]
    assert cli.main([*words, "--root", str(tmp_path)]) == 2
    assert not file.exists()
    capsys.readouterr()
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert "checked on drawn leaves" in said.err
    assert "in a probability, on 10 images\nwhere the file resizes them itself: " in said.out
    assert file.is_file()


@pytest.mark.slow
@pytest.mark.untyped  # checking the shape of every symbolic layer takes longer than the export
def test_the_command_and_its_8_bit_twin(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run with the default towers; the twin knows the same ranks.

    No scale of a frozen BatchNorm is left to compute; of 49 convolutions the 16 depthwise ones stay out of 8 bits.
    """
    run, file, twin = (tmp_path / name for name in ("run", "model.onnx", "model.int8.onnx"))
    source = {"name": "leaves", "size": 60, "pixels": 64}
    config = replace(small, towers="mini", image_size=64, epochs1=1, epochs2=0)
    fit(leaves, config, run, source=source, quiet=True)
    assert cli.main(["export", str(run), str(file)]) == 0
    said = capsys.readouterr().out
    assert f"in a probability, on {len(leaves.test)} images" in said
    assert browser_model.quantise(file) == twin
    assert metadata(twin) == metadata(file)
    nodes, kept = ([node.op_type for node in onnx.load(each).graph.node] for each in (file, twin))
    assert (nodes.count("Conv"), nodes.count("Mul") < 5) == (49, True)
    assert (kept.count("Conv"), kept.count("ConvInteger")) == (16, 33)
    assert twin.stat().st_size < 5e6
