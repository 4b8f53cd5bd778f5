"""Baselines: probes, ordinal and metric-learning objectives, CoOp and OrdinalCLIP."""

from l2rclip_lite.baselines.registry import (
    ALIASES,
    BASELINES,
    check_baselines,
    one_name,
    run_baseline,
    train_baseline,
)

__all__ = [
    "ALIASES",
    "BASELINES",
    "check_baselines",
    "one_name",
    "run_baseline",
    "train_baseline",
]
