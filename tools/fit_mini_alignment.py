"""Make `towers/mini_alignment.safetensors`: join the two towers of `mini` by 1,000 names.

python tools/fit_mini_alignment.py       about five seconds, and no image
"""

from __future__ import annotations

from l2rclip_book.alignment import NAME_TEMPLATE, fit_alignment, prototypes
from l2rclip_lite.files import save_tensors
from l2rclip_lite.towers.mini import ALIGNMENT, MiniTowers

RIDGE = 10.0


def main() -> None:
    """Write the file."""
    _, classifier, texts = prototypes(MiniTowers.from_installed().eval())
    alignment = fit_alignment(classifier, texts, RIDGE)
    metadata = {"template": NAME_TEMPLATE, "ridge": f"{RIDGE:g}"}
    save_tensors(ALIGNMENT, alignment, metadata)


if __name__ == "__main__":
    main()
