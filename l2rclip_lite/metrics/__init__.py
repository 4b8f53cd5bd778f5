"""Metrics that know the ordered label space: a rank absent from the sample changes no scale.

Arguments shared by every function (NumPy arrays, torch tensors or plain sequences):

- `y_true`: B rank indices, whole numbers 0 … K−1.
- `y_pred`: B predictions. **Whole numbers are rank indices; floats are values in `ranks.unit`**,
  such as the expected value Σ_k p_k r_k. Where the scale does not start at 0 the two differ: keep
  indices in integers.
- `probabilities`: B rows of K numbers ≥ 0 that sum to 1 within 0.01 (bf16 noise) and are rescaled
  to 1.
- `ranks`: the `Ranks` with values r_1 < … < r_K.

A float prediction is read on three scales: its value; its position among the ranks (piecewise
linear between neighbours, cut off at both ends); its nearest rank (the lower one at a tie). Bad
input raises `InputError`.

Undefined values: `spearman` and `kendall` are 0/0 when the truth or the predictions are constant,
`qwk` when both are the same constant. They return 0.0, without a warning: such a sample shows no
association. `auc` is 0/0 where the truth is constant; it returns chance, 0.5.
"""

from l2rclip_lite.method.prediction import medians
from l2rclip_lite.metrics.answers import Indices, Probabilities, checked_probabilities
from l2rclip_lite.metrics.bootstrap import Scores, evaluate, resampled, with_intervals
from l2rclip_lite.metrics.scores import (
    accuracy,
    amae,
    auc,
    cs_at,
    ece,
    epsilon_error,
    kendall,
    mae,
    mae_rank,
    mmae,
    one_off,
    qwk,
    rmse,
    rps,
    rps_of_images,
    spearman,
)

__all__ = [
    "Indices",
    "Probabilities",
    "Scores",
    "accuracy",
    "amae",
    "auc",
    "checked_probabilities",
    "cs_at",
    "ece",
    "epsilon_error",
    "evaluate",
    "kendall",
    "mae",
    "mae_rank",
    "medians",
    "mmae",
    "one_off",
    "qwk",
    "resampled",
    "rmse",
    "rps",
    "rps_of_images",
    "spearman",
    "with_intervals",
]
