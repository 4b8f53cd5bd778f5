"""The words that settings may take; a module without torch, so that `l2rclip fit --help` need not wait for it."""

from __future__ import annotations

from typing import Literal

Axis = Literal["token", "rank", "joint"]
Contrastive = Literal["asymmetrical", "plain"]
ImageSide = Literal["tower", "adapter"]
Normalise = Literal["batch", "global"]
Order = Literal["true", "blind", "shuffled"]
Prototypes = Literal["language", "shuffled", "random"]
OrdinalLoss = Literal["pairwise", "ordinal-entropy", "supcon", "rank-n-contrast", "sord", "mean-variance"]
PictureStore = Literal["auto", "memory", "disk", "stream"]
Precision = Literal["fp32", "bf16"]
Scheme = Literal["two-stage", "joint"]
Schedule = Literal["cosine", "step"]
Device = Literal["auto", "cpu", "cuda"]

# What `fit` can train beside L2RCLIP. The first answer without training a network; each of the second fine-tunes the
# image tower, and with "-frozen" behind its name trains on cached image features alone.
PROBES = ("zero-shot", "zero-shot-raw", "linear-probe", "ridge")
TRAINED = (
    "cross-entropy",
    "coral",
    "corn",
    "sord",
    "dldl-v2",
    "mean-variance",
    "ordinal-entropy",
    "supcon",
    "rank-n-contrast",
    "coop",
    "ordinalclip",
    "ordinalclip-inverse",
)
FROZEN = "-frozen"
BASELINES = (*PROBES, *(name + suffix for name in TRAINED for suffix in ("", FROZEN)))
