r"""Train the models that ship with the package, minutes on one core.

    python tools/make_leaves.py     -> l2rclip_lite/leaves.safetensors, leaves-percent.safetensors

`L2RCLIP.from_pretrained("leaves")` is a kernel head on the frozen image tower of `mini`, and five
fixed text features: some kilobytes. Its leaves are drawn, so it is a first answer to play with and
no grader of real plants.

`--start leaves-percent` is the image tower of `mini`, trained to meet the sentences of 62 percents
of damage on drawn leaves, with 8 bits for each of its weights. No prompts are trained: they would
be half as large as the tower again, and whoever begins with it trains their own. Two CPUs round
differently, so the digest of another machine may differ from the one in the package.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

import l2rclip_lite
from l2rclip_lite import Config, fit, load_dataset
from l2rclip_lite.files import read_tensors, save_tensors, sha256_of
from l2rclip_lite.model_file import SCALE

# not the seed of the book's leaves, whose test images nobody has seen
SEED = 1
GRADES = Config(
    image_side="kernel", image_size=96, epochs1=20, batch_size=32, device="cpu", threads=1
)
PERCENTS = Config(
    image_side="tower", image_size=96, epochs1=0, epochs2=10, seed=SEED, device="cpu", threads=1
)


def as_int8(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    r"""Return tensors of two axes or more with 8 bits a number, and the step of each row.

    $$q = \operatorname{round}(x / s),\quad s = \max_{\text{row}} |x| / 127$$

    No number moves by more than $s/2$. Other tensors stay as they are.

    Example:
        >>> tensors = as_int8({"weight": torch.tensor([[127.0, -63.6], [0.0, 0.0]])})
        >>> tensors["weight"].tolist(), tensors["weight.scale"].tolist()
        ([[127, -64], [0, 0]], [1.0, 1.0])
    """
    stored = {}
    for name, value in tensors.items():
        if value.ndim < 2:
            stored[name] = value
            continue

        largest = value.abs().flatten(1).amax(dim=1)
        scale = torch.where(largest > 0, largest / 127, 1.0)
        by_row = scale.reshape(-1, *[1] * (value.ndim - 1))
        stored[name] = (value / by_row).round().to(torch.int8)
        stored[name + SCALE] = scale
    return stored


def make(name: str, ranks: int, size: int, config: Config) -> None:
    """Train a model, write the file that is shipped, and print its test scores and its digest."""
    data = load_dataset("leaves", ranks=ranks, size=size, pixels=96, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        run = fit(data, config, Path(folder) / "run")
        run.model.prompts = None  # the text features stay
        tensors, metadata = read_tensors(run.model.save_pretrained(folder))

    if config.image_side == "tower":
        tensors = as_int8(tensors)
    shipped = Path(l2rclip_lite.__file__).with_name(f"{name}.safetensors")
    save_tensors(shipped, tensors, metadata)
    row = run.metrics["test"]
    print(f"{name}: test MAE {row['mae']:.2f}, RPS {row['rps']:.3f}, SHA-256 {sha256_of(shipped)}")


if __name__ == "__main__":
    make("leaves", 5, 1_000, GRADES)
    make("leaves-percent", 62, 4_200, PERCENTS)
