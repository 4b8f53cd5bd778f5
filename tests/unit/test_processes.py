"""Several processes that train one run, and what needs a process of its own."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import children
import pairs
import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import read_json
from l2rclip_lite.runs.model_file import MODEL
from l2rclip_lite.training import stage as stage_module
from l2rclip_lite.training.fit import choose_device, fit
from l2rclip_lite.training.processes import lost_process_in_words


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
def test_two_processes_write_the_run_that_one_would_write(tmp_path: Path) -> None:
    """16 images in each of two are 32 in one: one run directory, and the same weights."""
    assert run_two(pairs.train_together, tmp_path / "two", 16) == [0, 0]
    assert children.ended(children.train, tmp_path / "one", 0, "", None, 32) == 0

    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert {path.name for path in (tmp_path / "two").iterdir()} == names
    assert largest_difference(tmp_path / "one", tmp_path / "two") < 1e-5


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


@pytest.mark.slow
def test_a_process_that_never_comes_is_not_waited_for_long(tmp_path: Path) -> None:
    """Neither by the first one, where all meet, nor by another."""
    alone = [
        children.start(pairs.wait_for_nobody, tmp_path / "run", rank, free_port())
        for rank in range(2)
    ]
    for rank, child in enumerate(alone):
        child.join(60)
        exitcode = child.exitcode
        child.kill()
        assert exitcode == 2
        sentence = (tmp_path / f"said {rank}").read_text(encoding="utf-8")
        assert sentence.startswith("another process of this run has ended; start all of them again")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all_processes(tmp_path: Path) -> None:
    """Only the second one reads the broken image; the first must not wait for it for ever."""
    assert run_two(pairs.poison, tmp_path / "run") == [2, 2]

    first = (tmp_path / "said 0").read_text(encoding="utf-8")
    second = (tmp_path / "said 1").read_text(encoding="utf-8")
    assert first == second
    assert first.startswith("stage 2, epoch 1, step 1: the loss is nan for the images train/0")


@pytest.mark.slow
def test_a_process_that_has_ended_ends_the_others(tmp_path: Path) -> None:
    """In one sentence; the run goes on when both are started again."""
    assert run_two(pairs.leave, tmp_path / "run") == [2, 9]
    sentence = (tmp_path / "said").read_text(encoding="utf-8")
    assert sentence.startswith("another process of this run has ended; start all of them again")
    assert not (tmp_path / "run" / ".l2r-lock").exists()
    assert run_two(pairs.train_together, tmp_path / "run", 16) == [0, 0]


@pytest.mark.slow
def test_a_process_that_ends_in_stage_1_is_missed_after_an_epoch(tmp_path: Path) -> None:
    """There nobody needs the other; without it the first would train all epochs, and then fail."""
    assert run_two(pairs.leave_in_stage_1, tmp_path / "run") == [2, 9]
    assert (tmp_path / "said").read_text(encoding="utf-8") == "0 of 9 epochs"


def test_a_sentence_that_is_there_already_is_kept() -> None:
    """It may quote a file whose name has the word by which gloo is known."""
    with pytest.raises(TrainingError, match="igloo"), lost_process_in_words():
        raise TrainingError("the loss is nan for the images igloo_01.jpg")


def test_processes_that_would_train_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `torchrun` starts them on a machine without a GPU; each would write the same run."""
    PartialState(cpu=True)
    alone = SimpleNamespace(device=torch.device("cpu"))
    monkeypatch.setattr("l2rclip_lite.training.fit.Accelerator", lambda **_: alone)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert choose_device(Config()).type == "cpu"

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="WORLD_SIZE=2 processes were started, but on cpu"):
        choose_device(Config())


def test_a_process_that_waits_in_vain_says_so_and_can_be_ended(tmp_path: Path) -> None:
    """The variables of a launcher that is gone name a first process that never comes."""
    stderr = tmp_path / "stderr"
    child = children.start(pairs.wait_in_vain, stderr, free_port())
    while not (stderr.exists() and stderr.read_text()):
        assert child.is_alive()
        time.sleep(0.1)

    assert stderr.read_text() == "waiting for all 2 processes of this run, 0:05:00 at most\n"
    assert child.pid is not None
    os.kill(child.pid, signal.SIGTERM)
    child.join(20)
    assert child.exitcode == -signal.SIGTERM


@pytest.fixture
def unlaunched() -> Iterator[None]:
    """Let accelerate read the environment anew, and afterwards that of the tests."""
    PartialState._reset_state()
    yield
    PartialState._reset_state()
    PartialState(cpu=True)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"RANK": "7", "WORLD_SIZE": "2"}, "RANK=7 is none of WORLD_SIZE=2 processes"),
        ({"RANK": "0", "WORLD_SIZE": "x"}, "RANK=0 is none of WORLD_SIZE=x processes"),
        ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, "MASTER_ADDR"),
        ({"WORLD_SIZE": "1", "ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed"),
        ({"LOCAL_RANK": "0"}, "expected, but not set"),
        ({"ACCELERATE_TORCH_DEVICE": "x"}, "Expected one of cpu"),
    ],
)
@pytest.mark.usefixtures("unlaunched")
def test_an_environment_that_starts_nothing_is_one_sentence(
    environment: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is left behind by another launcher; nobody waits for processes that cannot be."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match=sentence):
        choose_device(Config(device="cpu"))


@pytest.mark.parametrize("batch_size", [16, 64])
def test_a_run_is_resumed_by_as_many_processes_as_began_it(
    batch_size: int,
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps, and so the schedule and the draws of an epoch, are those of their number.

    Of 64 images a step, one process and two take as many steps, and draw otherwise all the same.
    """
    config = replace(small, batch_size=batch_size)

    def stop_in_stage_2(row: dict[str, float]) -> None:
        if row["stage"] == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fit(leaves, config, tmp_path / "run", quiet=True, on_epoch=stop_in_stage_2)

    with monkeypatch.context() as patch:
        # of two processes
        patch.setattr(stage_module, "global_batch_size", lambda batch_size: 2 * batch_size)
        with pytest.raises(InputError) as error:
            fit(leaves, config, tmp_path / "run", quiet=True)
    sizes = f"begun with {batch_size} images a step, and now it would be {2 * batch_size}, in 1"
    assert sizes in str(error.value)

    assert fit(leaves, config, tmp_path / "run", quiet=True).history[-1]["epoch"] == 2


@pytest.mark.slow
def test_images_that_do_not_fit_into_memory_are_read_anew() -> None:
    """Kept or read in each epoch, by one process or by workers: the same numbers."""
    assert children.ended(children.keep_or_read) == 0
