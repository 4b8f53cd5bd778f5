"""The words that settings may take; a module without torch, so that `l2rclip fit --help` need not wait for it."""

from __future__ import annotations

from typing import Literal

Axis = Literal["token", "rank", "joint"]
Contrastive = Literal["asymmetrical", "plain"]
Normalise = Literal["batch", "global"]
Order = Literal["true", "blind", "shuffled"]
Prototypes = Literal["language", "shuffled", "random"]
Precision = Literal["fp32", "bf16"]
Scheme = Literal["two-stage", "joint"]
Schedule = Literal["cosine", "step"]
Device = Literal["auto", "cpu", "cuda"]
