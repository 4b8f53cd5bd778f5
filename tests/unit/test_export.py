"""`l2rclip export`: the file answers as PyTorch does, and nothing else is ever left behind."""

import copy
import json
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
from run_files import refused, run
from skimage import data as photographs

from l2rclip_lite import L2RCLIP, Config, Ranks, export
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.heads import LinearHead

RANKS = Ranks(
    ("no", "some", "much", "all"),
    (0, 1, 5, 20),
    template="a leaf with {rank} damage",
    unit="per cent",
)


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Real photographs: wide, square, tall and small."""
    wide = Image.fromarray(photographs.chelsea())
    square = Image.fromarray(photographs.astronaut())
    return [wide, square.resize((200, 200)), wide.crop((100, 0, 190, 300)), wide.resize((50, 33))]


@pytest.fixture(scope="module")
def model(small: Config) -> L2RCLIP:
    """A small model with a temperature and a kernel head; in bf16, but exported in fp32."""
    model = L2RCLIP.build(RANKS, replace(small, image_side="kernel", precision="bf16"))
    model.head = LinearHead(64, len(RANKS) - 1, "corn")
    model.head.weight += torch.randn(65, len(RANKS) - 1, generator=torch.Generator().manual_seed(0))
    model.temperature.fill_(2.5)
    return model


@pytest.fixture(scope="module")
def written(
    model: L2RCLIP, photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """That model as a file."""
    file = tmp_path_factory.mktemp("export") / "model.onnx"
    assert export.export_onnx(model, file, photos) <= 1e-4
    return file


@pytest.fixture
def stored_graph(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take that graph, whatever the model: to make one takes seconds."""
    monkeypatch.setattr(export, "_graph", lambda model: written.read_bytes())


def test_the_file_answers_as_pytorch_does(
    written: Path, model: L2RCLIP, photos: list[Image.Image]
) -> None:
    """On images that need no resizing the difference is that of single precision."""
    session = export.open_session(written)
    size = model.towers.image_size
    fitting = [photo.resize((size, size)) for photo in photos]
    prediction = export.in_single_precision(model).predict(fitting)

    # all at once give what each gives
    pixels = np.stack([np.asarray(image).transpose(2, 0, 1) for image in fitting])
    probabilities, expected = session.run(None, {"pixels": pixels})
    np.testing.assert_allclose(probabilities, prediction.probabilities, atol=1e-5)
    np.testing.assert_allclose(expected, prediction.expected, atol=1e-4)
    lying = fitting[1].transpose(Image.Transpose.ROTATE_90)
    lying.getexif()[0x0112] = 6  # the EXIF tag that brings it upright
    alone, _ = export.answer(session, lying)
    np.testing.assert_allclose(alone, probabilities[1], atol=1e-5)


def test_noise_is_resized_as_pillow_does() -> None:
    """Up to 1 in a byte of a hundred."""
    noise = np.random.default_rng(0).integers(0, 256, (72, 48, 3), dtype=np.uint8)
    by_pillow = np.asarray(Image.fromarray(noise).resize((24, 24), Image.Resampling.BICUBIC))
    graph = parser.parse_model(export.RESIZE.format(size=24))
    session = export.open_session(graph.SerializeToString())
    (resized,) = session.run(None, {"pixels": noise.transpose(2, 0, 1)[None]})
    apart = np.abs(resized[0].transpose(1, 2, 0).astype(int) - by_pillow)
    assert apart.max() <= 1
    assert (apart > 0).mean() <= 0.01


def metadata(file: Path) -> Any:
    """Return the metadata of a file."""
    return json.loads(export.open_session(file).get_modelmeta().custom_metadata_map[export.KEY])


def test_the_file_names_its_ranks_and_nothing_of_this_machine(written: Path) -> None:
    """Torch's stack traces, which name files and folders, are left out."""
    assert metadata(written) == {
        "ranks": json.loads(json.dumps(RANKS.to_dict())),
        "temperature": 2.5,
        "towers": "tiny/random",
        "image_size": 64,
        "conformal": 1,  # not calibrated: all ranks
    }
    assert b".py" not in written.read_bytes()


def test_a_model_of_which_no_graph_can_be_made_is_refused(
    model: L2RCLIP, photos: list[Image.Image], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As of the largest towers: the exporter's errors are of many kinds."""
    monkeypatch.setattr(export, "_graph", lambda _: [][0])
    with pytest.raises(InputError, match=r"^export: no graph can be made of this model .*2 GiB"):
        export.export_onnx(model, tmp_path / "model.onnx", photos[:1])


@pytest.mark.usefixtures("stored_graph")
def test_what_differs_is_not_written(
    model: L2RCLIP, photos: list[Image.Image], tmp_path: Path
) -> None:
    """A graph of another temperature; no image to check it on."""
    file = tmp_path / "new" / "model.onnx"
    with pytest.raises(InputError, match="no image given"):
        export.export_onnx(model, file, [])

    other = copy.deepcopy(model)
    other.temperature.fill_(1.0)
    with pytest.raises(TrainingError, match=r"by up to 0\.\d+ in a probability, more than 0\.0001"):
        export.export_onnx(other, file, photos[:1])

    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("stored_graph")
def test_a_file_is_checked_on_photographs_that_ship(model: L2RCLIP, tmp_path: Path) -> None:
    """So a run is exported where its own images are not."""
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.onnx"

    outcome = run("export", tmp_path, file)
    assert outcome.code == 0
    assert outcome.out.endswith("in a probability, on 64 images\n")
    assert file.is_file()


@pytest.mark.slow
@pytest.mark.untyped  # checking the shape of every symbolic layer takes longer than the export
def test_the_default_towers_are_exported_and_their_8_bit_twin(
    photos: list[Image.Image], tmp_path: Path
) -> None:
    """The twin has the same metadata; no scale of a frozen BatchNorm is left to compute."""
    file = tmp_path / "model.onnx"
    export.export_onnx(L2RCLIP.build(RANKS, Config(epochs1=0, image_size=64)), file, photos[:1])
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    assert (kinds.count("Conv"), kinds.count("Mul") < 5) == (49, True)
    twin = browser_model.quantise(file)
    assert metadata(twin) == metadata(file)
    assert twin.stat().st_size < 5e6


def test_a_missing_library_is_named_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user waited twenty seconds for it; here the run is not even there."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(run("export", tmp_path / "nowhere", "model.onnx"), "onnx is not installed")
