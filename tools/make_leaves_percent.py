"""Train the relative that ships with the package: `--start leaves-percent`.

    python tools/make_leaves_percent.py     -> l2rclip_lite/leaves-percent.safetensors

The image tower of `mini`, trained to meet the sentences of 62 percents of damage on drawn leaves,
with 8 bits for each of its weights. No prompts are trained: they would be half as large as the
tower again, and whoever begins with it trains their own. It takes some minutes of one core; two
CPUs round differently, so the digest of another machine may differ from the one in the package.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from torch import Tensor

import l2rclip_lite
from l2rclip_lite import L2RCLIP, Config, load_dataset
from l2rclip_lite.files import read_tensors, save_tensors, sha256_of
from l2rclip_lite.runs.model_file import MODEL, SCALE
from l2rclip_lite.runs.results import judge
from l2rclip_lite.training import fit

# not the seed of the book's leaves, whose test images nobody has seen
RANKS = 62
SIZE = 4_200
SEED = 1
CONFIG = Config(
    image_side="tower", image_size=96, epochs1=0, epochs2=10, seed=SEED, device="cpu", threads=1
)
SHIPPED = Path(l2rclip_lite.__file__).with_name("leaves-percent.safetensors")


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


def main() -> None:
    """Train, keep the file that is shipped, and print its test scores, its size and its digest."""
    data = load_dataset("leaves", ranks=RANKS, size=SIZE, pixels=96, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        run = fit(data, CONFIG, Path(folder) / "run")
        run.model.prompts = None  # nobody trained them
        tensors, metadata = read_tensors(run.model.save_pretrained(folder))
        save_tensors(SHIPPED, as_int8(tensors), metadata)

        # by its name, a run of that name in the current folder would be read in its place
        shutil.copy(SHIPPED, Path(folder) / MODEL)
        model = L2RCLIP.from_pretrained(folder)

    probabilities = model.predict(
        [data.test[index][0] for index in range(len(data.test))]
    ).probabilities
    shipped = judge(probabilities, data.test, data.ranks)
    for name, row in (("32 bits", run.metrics["test"]), ("8 bits", shipped)):
        print(f"{name:<8} test RPS {row['rps']:.3f}, MAE {row['mae']:.2f}")
    print(f"{SHIPPED.stat().st_size / 1e6:.1f} MB, SHA-256 {sha256_of(SHIPPED)}")


if __name__ == "__main__":
    main()
