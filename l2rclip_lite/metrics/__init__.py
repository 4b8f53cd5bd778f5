"""Metrics that know the ordered label space, so a rank absent from the sample cannot change the scale.

Arguments shared by every function (NumPy arrays, torch tensors or plain sequences):

- `y_true`: B rank indices, whole numbers 0 … K−1.
- `y_pred`: B predictions. **Whole numbers are rank indices; floats are values in `ranks.unit`**, such as the
  expected value Σ_k p_k r_k. Where the scale does not start at 0 the two differ: keep indices in integers.
- `probabilities`: B rows of K numbers ≥ 0 that sum to 1 within 0.01 (bf16 noise) and are rescaled to 1.
- `ranks`: the `Ranks` with values r_1 < … < r_K.

A float prediction is read on three scales: its value; its position among the ranks (piecewise linear between
neighbours, cut off at both ends); its nearest rank (the lower one at a tie). Bad input raises `InputError`.

Undefined values: `spearman` and `kendall` are 0/0 when the truth or the predictions are constant, `qwk` when
both are the same constant. They return 0.0, without a warning: such a sample shows no association. `auc` is 0/0
where the truth is constant; it returns chance, 0.5.
"""

from l2rclip_lite.metrics.bootstrap import evaluate as evaluate
from l2rclip_lite.metrics.bootstrap import resampled as resampled
from l2rclip_lite.metrics.bootstrap import with_intervals as with_intervals
from l2rclip_lite.metrics.checks import SLACK as SLACK
from l2rclip_lite.metrics.checks import Indices as Indices
from l2rclip_lite.metrics.checks import Labels as Labels
from l2rclip_lite.metrics.checks import Probabilities as Probabilities
from l2rclip_lite.metrics.checks import Scores as Scores
from l2rclip_lite.metrics.checks import Values as Values
from l2rclip_lite.metrics.checks import check_paired as check_paired
from l2rclip_lite.metrics.checks import forecast as forecast
from l2rclip_lite.metrics.checks import numbers as numbers
from l2rclip_lite.metrics.scores import Often as Often
from l2rclip_lite.metrics.scores import Scored as Scored
from l2rclip_lite.metrics.scores import accuracy as accuracy
from l2rclip_lite.metrics.scores import amae as amae
from l2rclip_lite.metrics.scores import auc as auc
from l2rclip_lite.metrics.scores import cs_at as cs_at
from l2rclip_lite.metrics.scores import ece as ece
from l2rclip_lite.metrics.scores import epsilon_error as epsilon_error
from l2rclip_lite.metrics.scores import kendall as kendall
from l2rclip_lite.metrics.scores import mae as mae
from l2rclip_lite.metrics.scores import mae_rank as mae_rank
from l2rclip_lite.metrics.scores import medians as medians
from l2rclip_lite.metrics.scores import mmae as mmae
from l2rclip_lite.metrics.scores import one_off as one_off
from l2rclip_lite.metrics.scores import qwk as qwk
from l2rclip_lite.metrics.scores import rmse as rmse
from l2rclip_lite.metrics.scores import rps as rps
from l2rclip_lite.metrics.scores import rps_of_images as rps_of_images
from l2rclip_lite.metrics.scores import score as score
from l2rclip_lite.metrics.scores import spearman as spearman
