"""l2rclip_lite: ordinal classification by learning to rank with language (L2RCLIP, NeurIPS 2023)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from l2rclip_lite.errors import InputError, TrainingError

if TYPE_CHECKING:
    from l2rclip_lite.config import Config
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.losses import (
        OrdinalPairwiseLoss,
        asymmetrical_contrastive_loss,
        ordinal_pairwise_loss,
        ordinal_pairwise_loss_stage1,
    )
    from l2rclip_lite.metrics import evaluate
    from l2rclip_lite.model import L2RCLIP, Prediction
    from l2rclip_lite.prompts import RankPrompts
    from l2rclip_lite.rankformer import RankFormer
    from l2rclip_lite.ranks import Ranks
    from l2rclip_lite.towers import Towers, load_towers
    from l2rclip_lite.training import Run, fit

__version__ = "0.1.0"

# Where each public name lives. They are imported when first used: `l2rclip --help` need not wait for torch.
_HOMES = {
    "Config": "config",
    "L2RCLIP": "model",
    "OrdinalPairwiseLoss": "losses",
    "Prediction": "model",
    "RankFormer": "rankformer",
    "RankPrompts": "prompts",
    "Ranks": "ranks",
    "Run": "training",
    "Towers": "towers",
    "asymmetrical_contrastive_loss": "losses",
    "evaluate": "metrics",
    "fit": "training",
    "load_dataset": "data",
    "load_towers": "towers",
    "ordinal_pairwise_loss": "losses",
    "ordinal_pairwise_loss_stage1": "losses",
}

__all__ = [
    "L2RCLIP",
    "Config",
    "InputError",
    "OrdinalPairwiseLoss",
    "Prediction",
    "RankFormer",
    "RankPrompts",
    "Ranks",
    "Run",
    "Towers",
    "TrainingError",
    "asymmetrical_contrastive_loss",
    "evaluate",
    "fit",
    "load_dataset",
    "load_towers",
    "ordinal_pairwise_loss",
    "ordinal_pairwise_loss_stage1",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'l2rclip_lite' has no attribute {name!r}")
    return getattr(importlib.import_module(f"l2rclip_lite.{_HOMES[name]}"), name)
