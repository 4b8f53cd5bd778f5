"""Work that tests do in two processes which train together; see `children`."""

import copy
import os
import socket
from pathlib import Path

import torch
from children import CONFIG, SET, train
from faults import painted

from l2rclip_lite import training
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.files import write_json
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData

# every term of stage 2, and losses that compare the images of a batch with each other
METHODS = ("stage 2", "coral", "supcon")
PORT_IS_TAKEN = 98  # an exit code that nothing else here gives


def join(rank: int, port: int) -> None:
    """Be one of two processes, as `accelerate launch` starts them; the first one owns the port."""
    if rank == 0:
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os._exit(PORT_IS_TAKEN)

    os.environ.update(
        WORLD_SIZE="2",
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        ACCELERATE_USE_CPU="true",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )


def train_together(out: Path, batch_size: int, rank: int, port: int) -> None:
    """Train one run together with another process."""
    join(rank, port)
    train(out, batch_size=batch_size)


def train_methods(out: Path, batch_size: int, rank: int | None = None, port: int = 0) -> None:
    """Train each of METHODS for three epochs, alone or with another process."""
    if rank is not None:
        join(rank, port)
    torch.set_num_threads(1)

    *splits, ranks = painted()
    parts = [split[:37] for split in splits]  # no multiple of any batch size
    data = OrdinalDataset.from_datasets(parts, ranks)
    # Adam and clipping hide the length of a gradient; beside a decay it shows
    config = Config.from_dict(
        SET
        | {"preset": "paper", "lambda_rps": 1.0, "epochs2": 3, "batch_size": batch_size}
        | {"device": "cpu", "weight_decay": 0.1, "controls": {"clip": False}}
        # two processes encode their part in smaller ones
        | {"micro_batch_size": None if rank is None else 3}
    )
    choose_device(config)

    untrained = L2RCLIP.build(ranks, config)
    loaded = TrainingData.load(data, untrained)

    for method in METHODS:
        model = copy.deepcopy(untrained)
        run = RunDirectory(out / method)
        if method == "stage 2":
            history, _ = training.train_image_side(model, loaded, run=run)
        else:
            model = train_baseline(method, model, loaded, run=run)
            history = []

        if not rank:
            model.save_pretrained(run.folder)
            write_json(run.folder / "history.json", history)


def leave(out: Path, rank: int, port: int) -> None:
    """Train with another process; the second one ends when stage 2 begins."""
    join(rank, port)

    def end_here(*_: object, **__: object) -> None:
        os._exit(9)

    if rank:
        training.train_image_side = end_here
    *splits, ranks = painted()
    try:
        fit(splits, CONFIG, out, ranks=ranks, quiet=True)
    except TrainingError as error:
        out.with_name("said").write_text(str(error), encoding="utf-8")
        os._exit(2)
    os._exit(0)
