"""Ordinal classification by learning to rank with language: L2RCLIP, NeurIPS 2023."""

import importlib
from typing import TYPE_CHECKING

from l2rclip_lite.errors import InputError, TrainingError

if TYPE_CHECKING:  # for editors and type checkers
    from l2rclip_lite.config import Config, Controls
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.estimator import L2RCLIPClassifier
    from l2rclip_lite.method.losses import (
        asymmetrical_contrastive_loss,
        ordinal_pairwise_loss,
        ordinal_pairwise_loss_stage1,
        ranked_probability_loss,
    )
    from l2rclip_lite.method.prompts import RankPrompts
    from l2rclip_lite.method.rankformer import RankFormer
    from l2rclip_lite.method.ranks import Ranks
    from l2rclip_lite.metrics import evaluate
    from l2rclip_lite.model import L2RCLIP
    from l2rclip_lite.prediction import Prediction
    from l2rclip_lite.runs.results import Run
    from l2rclip_lite.towers import load_towers
    from l2rclip_lite.towers.base import Tokens, Towers
    from l2rclip_lite.training import fit

__version__ = "0.2.0"
__all__ = [
    "L2RCLIP",
    "Config",
    "Controls",
    "InputError",
    "L2RCLIPClassifier",
    "Prediction",
    "RankFormer",
    "RankPrompts",
    "Ranks",
    "Run",
    "Tokens",
    "Towers",
    "TrainingError",
    "asymmetrical_contrastive_loss",
    "evaluate",
    "fit",
    "load_dataset",
    "load_towers",
    "ordinal_pairwise_loss",
    "ordinal_pairwise_loss_stage1",
    "ranked_probability_loss",
]
# The module of each public name. A name is imported when it is first used: `l2rclip --help` need
# not wait for torch.
_MODULES = {
    "L2RCLIP": "model",
    "Config": "config",
    "Controls": "config",
    "L2RCLIPClassifier": "estimator",
    "Prediction": "prediction",
    "RankFormer": "method.rankformer",
    "RankPrompts": "method.prompts",
    "Ranks": "method.ranks",
    "Run": "runs.results",
    "Tokens": "towers.base",
    "Towers": "towers.base",
    "asymmetrical_contrastive_loss": "method.losses",
    "evaluate": "metrics",
    "fit": "training",
    "load_dataset": "data",
    "load_towers": "towers",
    "ordinal_pairwise_loss": "method.losses",
    "ordinal_pairwise_loss_stage1": "method.losses",
    "ranked_probability_loss": "method.losses",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'l2rclip_lite' has no attribute {name!r}")
    return getattr(importlib.import_module(f"l2rclip_lite.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that tab completion shows."""
    return sorted({*globals(), *_MODULES})
