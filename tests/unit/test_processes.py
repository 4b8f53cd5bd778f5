"""Several processes that train one run, and what needs a process of its own."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import children
import pairs
import pytest
import torch
from safetensors.torch import load_file

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.devices import failures_in_words
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import read_json
from l2rclip_lite.model_file import MODEL
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData


def run_two(target: Callable[..., None], *arguments: object) -> list[int | None]:
    """Return the exit codes of two processes that train together, as accelerate starts them.

    Where another program has taken their port meanwhile, they meet at a second one.
    """
    for _ in range(2):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        pair = [children.start(target, *arguments, rank, port) for rank in range(2)]
        pair[0].join(120)
        if pair[0].exitcode != pairs.PORT_IS_TAKEN:
            break
        pair[1].kill()

    pair[1].join(120)
    return [child.exitcode for child in pair]


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
        first, second = (load_file(out / method / MODEL) for out in (one, two))
        assert first.keys() == second.keys()
        for name, value in first.items():
            # the bias of keys has no gradient but rounding, and Adam makes a step of it
            if not name.endswith("attn.in_proj_bias"):
                assert torch.allclose(value, second[name], rtol=0, atol=1e-6), name

    of_one = [row["loss"] for row in read_json(one / "stage 2" / "history.json")]
    of_two = [row["loss"] for row in read_json(two / "stage 2" / "history.json")]
    assert of_two == pytest.approx(of_one)


@pytest.mark.slow
def test_a_process_that_has_ended_ends_the_others(tmp_path: Path) -> None:
    """In one sentence; the run goes on when both are started again."""
    assert run_two(pairs.leave, tmp_path / "run") == [2, 9]
    sentence = (tmp_path / "said").read_text(encoding="utf-8")
    assert sentence.startswith("another process of this run has ended; start all of them again")
    assert not (tmp_path / "run" / ".l2r-lock").exists()
    assert run_two(pairs.train_together, tmp_path / "run", 16) == [0, 0]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TrainingError("the loss is nan in igloo_01"), "^the loss is nan"),
        (RuntimeError("[gloo/transport] Connection closed by peer"), "^another process of this "),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "fewer --workers"),
        (torch.OutOfMemoryError("CUDA out of memory"), "^stage 2: out of memory with 9; try less"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "^stage 2: out of memory"),
        (MemoryError(), "^stage 2: out of memory"),
        (RuntimeError("shapes do not fit"), "^shapes do not fit$"),
    ],
)
def test_what_runs_out_or_is_lost_is_one_sentence(error: Exception, sentence: str) -> None:
    """One that is there already is kept; it may quote a file with the word of gloo."""
    in_words = failures_in_words("stage 2", "with 9; try less")
    with pytest.raises((TrainingError, RuntimeError), match=sentence), in_words:
        raise error


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
