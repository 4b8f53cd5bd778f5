"""Make `towers/mini_alignment.safetensors`: join the two towers of `mini` by 1,000 names.

python tools/fit_mini_alignment.py       about five seconds, and no image
"""

from __future__ import annotations

import torch
from sklearn.linear_model import Ridge

from l2rclip_book.alignment import NAME_TEMPLATE, prototypes
from l2rclip_lite.files import save_tensors
from l2rclip_lite.towers.mini import ALIGNMENT, MiniTowers

RIDGE = 10.0


def main() -> None:
    r"""Write the map of a ridge regression, $A = T_c^\top (W W^\top + \lambda I)^{-1} W$.

    W has a row of the image classifier for each name, on raw rows; T the unit embeddings of the
    names, $T_c$ without their mean.
    """
    _, classifier, texts = prototypes(MiniTowers.from_installed().eval())
    text_mean = texts.mean(0)
    regression = Ridge(RIDGE, fit_intercept=False, solver="cholesky")
    regression.fit(classifier.double().numpy(), (texts - text_mean).double().numpy())
    projection = torch.from_numpy(regression.coef_).float()
    alignment = {"projection": projection, "text_mean": text_mean}
    metadata = {"template": NAME_TEMPLATE, "ridge": f"{RIDGE:g}"}
    save_tensors(ALIGNMENT, alignment, metadata)


if __name__ == "__main__":
    main()
