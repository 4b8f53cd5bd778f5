"""l2rclip_lite: ordinal classification by learning to rank with language (L2RCLIP, NeurIPS 2023)."""

import importlib
from typing import Any

from l2rclip_lite.errors import InputError as InputError
from l2rclip_lite.errors import TrainingError as TrainingError

__version__ = "0.2.0"
# Where each public name lives. They are imported when first used: `l2rclip --help` need not wait for torch.
_MODULES = {
    "config": "Config Controls",
    "data": "load_dataset",
    "metrics": "evaluate",
    "towers.load": "load_towers",
}
_MODULES |= {"estimator": "L2RCLIPClassifier", "prediction": "Prediction"}
_MODULES |= {"model": "L2RCLIP", "prompts": "RankPrompts", "rankformer": "RankFormer"}
_MODULES |= {
    "ranks": "Ranks",
    "results": "Run",
    "towers.base": "Tokens Towers",
    "training.fit": "fit",
}
_MODULES["losses"] = "ordinal_pairwise_loss ordinal_pairwise_loss_stage1"
_MODULES["losses"] += " asymmetrical_contrastive_loss ranked_probability_loss"
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = ["InputError", "TrainingError", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'l2rclip_lite' has no attribute {name!r}")
    return getattr(importlib.import_module(f"l2rclip_lite.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What tab completion shows."""
    return sorted([*globals(), *_HOMES])
