"""Several processes that train one run, and what needs a process of its own."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import children
import pairs
import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file

from l2rclip_lite import devices
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import read_json
from l2rclip_lite.runs.model_file import MODEL
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData


def free_port() -> int:
    """Return a port at which processes can meet."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


def run_two(target: Callable[..., None], *arguments: object) -> list[int | None]:
    """Return the exit codes of two processes that train together, as accelerate starts them.

    Where another program has taken their port meanwhile, they meet at a second one.
    """
    for _ in range(2):
        port = free_port()
        pair = [children.start(target, *arguments, rank, port) for rank in range(2)]
        pair[0].join(120)
        if pair[0].exitcode != pairs.PORT_IS_TAKEN:
            break
        pair[1].kill()

    pair[1].join(120)
    return [child.exitcode for child in pair]


def largest_difference(one: Path, two: Path) -> float:
    """Return how far the weights of two models are apart.

    The bias of attention is left out: that of its keys has no gradient but rounding, and Adam makes
    a step of it.
    """
    first = load_file(one / MODEL)
    second = load_file(two / MODEL)
    assert first.keys() == second.keys()

    names = [name for name in first if not name.endswith("attn.in_proj_bias")]
    return max(float((first[name] - second[name]).abs().max()) for name in names)


@pytest.mark.slow
def test_two_processes_get_what_one_gets(tmp_path: Path) -> None:
    """37 images by 16, or by 8 in each of two processes, are the same steps: the last has 5.

    Every term of stage 2, the ordinal weight of a batch, a head beside the tower, and a loss that
    compares two views of all images: the weights differ by rounding. They moved by 4e-5, and a
    second process that trained on other images, or by half the gradient, would differ by 1e-5 or
    more.
    """
    one = tmp_path / "one"
    two = tmp_path / "two"
    assert run_two(pairs.train_methods, two, 8) == [0, 0]
    assert children.ended(pairs.train_methods, one, 16) == 0

    for method in pairs.METHODS:
        assert largest_difference(one / method, two / method) < 1e-6, method

    of_one = [row["loss"] for row in read_json(one / "stage 2" / "history.json")]
    of_two = [row["loss"] for row in read_json(two / "stage 2" / "history.json")]
    assert of_two == pytest.approx(of_one)


@pytest.mark.slow
def test_two_processes_share_the_encoding(tmp_path: Path) -> None:
    """Of 37, 10 and 10 images each encodes 19, 5 and 5; the odd place is filled, and not used."""
    assert run_two(pairs.encode_together, tmp_path / "run") == [0, 0]
    assert children.ended(pairs.encode_together, tmp_path / "run") == 0

    count_of_one, expected = torch.load(tmp_path / "features None")
    assert count_of_one == 37 + 10 + 10
    for rank in range(2):
        count, features = torch.load(tmp_path / f"features {rank}")
        assert count == 19 + 5 + 5
        for split, rows in expected.items():
            assert torch.allclose(features[split], rows, atol=1e-6)


def test_processes_that_would_train_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `torchrun` starts them on a machine without a GPU; each would write the same run."""
    PartialState(cpu=True)
    alone = SimpleNamespace(device=torch.device("cpu"))
    monkeypatch.setattr(devices, "Accelerator", lambda **_: alone)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert choose_device(Config()).type == "cpu"

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="WORLD_SIZE=2 processes were started, but on cpu"):
        choose_device(Config())


def test_a_run_is_resumed_by_as_many_processes_as_began_it(
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps, and so the schedule and the draws of an epoch, are those of their number."""
    config = replace(small, epochs1=0)

    def stop(row: dict[str, float]) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fit(leaves, config, tmp_path, quiet=True, on_epoch=stop)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingData, "pixel_batch_size", lambda self, config: 32)
        sizes = "begun with 16 images a step, and now it would be 32;"
        with pytest.raises(InputError, match=sizes):
            fit(leaves, config, tmp_path, quiet=True)

    assert fit(leaves, config, tmp_path, quiet=True).history[-1]["epoch"] == 2


@pytest.mark.slow
def test_images_that_do_not_fit_into_memory_are_read_anew() -> None:
    """Kept or read in each epoch, by one process or by workers: the same numbers."""
    assert children.ended(children.keep_or_read) == 0
