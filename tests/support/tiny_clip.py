"""A random open_clip model of two layers: its sizes, and weights of a seed."""

import json
from pathlib import Path

import open_clip
import torch
from torch import Tensor

import l2rclip_lite

FILE = Path(l2rclip_lite.__file__).parent / "towers" / "tiny.json"
SIZES = json.loads(FILE.read_text("utf-8"))


def weights(seed: int) -> dict[str, Tensor]:
    """Return the tensors of the model; torch's own generator is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return open_clip.CustomTextCLIP(**SIZES).state_dict()
