"""What L2RCLIP is compared with: probes, ordinal and metric-learning objectives, CoOp and OrdinalCLIP."""

from l2rclip_lite.baselines.table import BASELINES, alternative_loss
from l2rclip_lite.baselines.training import check_baselines, run_baseline, train_baseline

__all__ = ["BASELINES", "alternative_loss", "check_baselines", "run_baseline", "train_baseline"]
