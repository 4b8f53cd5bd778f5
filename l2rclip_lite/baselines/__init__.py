"""Baselines: probes, ordinal and metric-learning objectives, CoOp and OrdinalCLIP."""

from l2rclip_lite.baselines.registry import (
    BASELINES,
    check_baselines,
    run_baseline,
    train_baseline,
)

__all__ = ["BASELINES", "check_baselines", "run_baseline", "train_baseline"]
