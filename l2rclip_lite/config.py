"""Everything that can be set about a run, in one frozen dataclass that is written into the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral
from typing import Any, get_args, get_type_hints

from l2rclip_lite.choices import (
    Axis,
    Contrastive,
    Device,
    ImageSide,
    Normalise,
    Order,
    OrdinalLoss,
    PictureStore,
    Precision,
    Prototypes,
    Schedule,
    Scheme,
)
from l2rclip_lite.errors import InputError
from l2rclip_lite.typed import fits, in_words, shown

WHERE_IT_RUNS = (
    "device",
    "threads",
    "pictures",
    "workers",
    "cache",
)  # may differ when a run is taken up again
LARGEST = {"image_size": 1024, "hidden": 65_536, "depth": 64}  # what memory can hold
# Bounds of rates and weights: products of two of them stay numbers, in single precision too.
TINIEST, HUGEST = 1e-18, 1e18
BEYOND = 2**63  # what a seed, and any other whole number in torch, must lie below
WORDS = (
    *(Axis, Contrastive, Device, ImageSide, Normalise, Order, OrdinalLoss),
    *(PictureStore, Precision, Prototypes, Schedule, Scheme),
)


@dataclass(frozen=True)
class Config:
    """One run of L2RCLIP. Defaults suit `mini` on a CPU; `method.md`'s open choices are all switches here.

    Raises:
        InputError: A value outside its range, or two values that contradict each other.

    Example:
        >>> Config(epochs2=3).epochs2
        3
    """

    towers: str = "mini"
    """Dual encoder: 'mini' (offline), 'tiny/random' (tests), or an open_clip model such as 'ViT-B-16/openai'."""
    weights: str | None = None
    """A local safetensors file for an open_clip model."""
    image_size: int | None = None
    """Side of the input picture in pixels; None takes what the data set suggests, else the tower's own."""
    prototypes: Prototypes = "language"
    """Text features: 'language'; as controls each rank's sentence given to another ('shuffled') or 'random' vectors."""
    context_length: int = 4
    """Number M of global context vectors (0 leaves them out)."""
    rankformer: bool = True
    """Whether RankFormer refines the word embeddings."""
    axis: Axis = "rank"
    """Along which axis RankFormer attends: 'token', 'rank' or 'joint'."""
    alpha: float = 0.1
    """Strength of RankFormer's residual, in [0, 1]."""
    learn_alpha: bool = True
    """Whether alpha is trained."""
    heads: int = 8
    """RankFormer's attention heads."""
    hidden: int = 2048
    """Inner width of RankFormer's feed-forward network."""
    depth: int = 1
    """RankFormer's blocks."""
    centre: bool = True
    """Whether text features are centred over the ranks; the paper does not mention it, small text towers need it."""
    scheme: Scheme = "two-stage"
    """'two-stage', or 'joint': prompts at lr1 and image tower at lr2 train together for epochs2; epochs1 is not used."""
    image_side: ImageSide = "tower"
    """What stage 2 trains: the image 'tower', or an 'adapter', a linear map on the features of the frozen tower."""
    epochs1: int = 30
    """Epochs of stage 1 (RankFormer and context on cached image features); with 0 the context stays as it was drawn."""
    epochs2: int = 10
    """Epochs of stage 2 (image side on fixed text features); 0 leaves it out."""
    batch_size: int = 16
    """Images a step."""
    lr1: float = 3.5e-4
    """Peak learning rate of stage 1."""
    lr2: float | None = None
    """Peak learning rate of stage 2; None takes what the towers recommend (mini 4e-4, CLIP 5e-6)."""
    projection_lr_factor: float = 1.0
    """The image tower's projection learns this many times faster than its backbone."""
    weight_decay: float = 1e-4
    """Adam's L2 penalty in both stages."""
    warmup: float = 0.1
    """Share of each stage's steps in which the learning rate rises linearly, in [0, 1)."""
    schedule: Schedule = "cosine"
    """After the warm-up: 'cosine' to 0, or 'step' (a tenth after 1/2 and again after 5/6 of the steps)."""
    contrastive: Contrastive = "asymmetrical"
    """Stage 1: 'asymmetrical', or 'plain' as in CLIP, blind to images that share a rank."""
    lambda1: float = 1.0
    """Weight of the ordinal pairwise loss in stage 1; 0 leaves it out."""
    lambda2: float = 1.0
    """Weight of the ordinal pairwise loss in stage 2; 0 leaves it out."""
    ordinal_loss: OrdinalLoss = "pairwise"
    """What lambda2 weighs: the ordinal 'pairwise' loss, or another ordinal or metric-learning loss in its place."""
    normalise: Normalise = "batch"
    """Largest rank gap that divides stage 2's ordinal weight: of the 'batch' (as released) or 'global'."""
    order: Order = "true"
    """Ordinal weight in both stages: 'true', 'blind' (all 1) or 'shuffled' (negative control)."""
    push_power: int = 1
    """Power of the distance in stage 2's push: 1 as released, 2 as derived."""
    symmetric: bool = False
    """Whether stage 1 uses all pairs, which makes its loss independent of the batch order."""
    augment: bool = True
    """Whether stage 2 flips and re-lights its pictures."""
    upside_down: bool | None = None
    """Whether flips also turn a picture on its head; None does so where the data set has no up and down."""
    seed: int = 0
    """Decides every random draw."""
    device: Device = "auto"
    """'auto', 'cpu' or 'cuda'."""
    precision: Precision = "fp32"
    """'bf16' runs the image tower under autocast; losses stay in fp32."""
    threads: int | None = None
    """CPU threads; None leaves torch's own choice."""
    micro_batch: int | None = None
    """Pictures whose activations are held at once while the image tower trains; the gradient stays that of the whole
    batch, for one more forward pass. None holds the whole batch."""
    compile: bool = False
    """Whether to compile the image tower (torch.compile); where that fails, it trains uncompiled and says so."""
    deterministic: bool = False
    """Whether to allow only operations that repeat bit for bit; on a CPU they do so anyway."""
    pictures: PictureStore = "auto"
    """Decoded pictures in 'memory', in a file on 'disk', or decoded anew in every epoch ('stream'); 'auto' takes the
    first of them that fits."""
    workers: int | None = None
    """Threads that decode pictures; None takes one a core, at most 8."""
    cache: str | None = None
    """A folder that keeps image features of the untrained towers for other runs; None keeps them only while this runs."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        self._check_kinds()
        for name in ("epochs1", "epochs2", "context_length", "lambda1", "lambda2", "weight_decay"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "must not be negative")
        for name in ("batch_size", "lr1", "heads", "hidden", "depth", "projection_lr_factor"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "must be greater than 0")
        for name in ("lr2", "threads", "image_size", "micro_batch", "workers"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "must be greater than 0")
        for name, most in LARGEST.items():
            value = getattr(self, name)
            _require(value is None or value <= most, name, value, f"must not be greater than {most:,}")
        for name in ("lr1", "lr2", "lambda1", "lambda2", "weight_decay", "projection_lr_factor"):
            value = getattr(self, name)
            _require(
                not value or TINIEST <= value <= HUGEST, name, value, f"must lie from {TINIEST} to {HUGEST:g}"
            )
        _require(0 <= self.alpha <= 1, "alpha", self.alpha, "must lie between 0 and 1")
        _require(0 <= self.warmup < 1, "warmup", self.warmup, "must lie in [0, 1)")
        _require(self.push_power in (1, 2), "push_power", self.push_power, "must be 1 or 2")
        if self.scheme == "joint" and self.image_side == "adapter":
            raise InputError(
                "config: joint training moves the image tower; set image_side='tower', or scheme='two-stage'."
            )
        if self.epochs1 and self.scheme == "two-stage":
            self._check_stage_1()

    def _check_kinds(self) -> None:
        """Refuse what is of another type than the setting: JSON and YAML may hold anything."""
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if hint in WORDS:
                _require(fits(value, hint), name, value, f"must be one of {', '.join(get_args(hint))}")
            _require(fits(value, hint), name, value, f"must be {in_words(hint)}")
            small = not isinstance(value, Integral) or -BEYOND <= int(value) < BEYOND
            _require(small, name, value, "is too large a number")

    def _check_stage_1(self) -> None:
        """Refuse epochs in which nothing could change."""
        refines = self.rankformer and (self.alpha > 0 or self.learn_alpha)
        if self.prototypes == "random":
            raise InputError("config: with random prototypes stage 1 has nothing to train; set epochs1=0.")
        if not refines and not self.context_length:
            raise InputError(
                "config: without RankFormer (or with alpha fixed at 0) and without context stage 1 has nothing to train; "
                "set epochs1=0."
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Any) -> Config:
        """The inverse of `to_dict`; a name that is not a setting is refused."""
        known = {field.name for field in fields(cls)}
        if not isinstance(state, Mapping):
            raise InputError(f"config: {shown(state)} is no mapping of settings to values.")
        unknown = sorted(str(name) for name in state if name not in known)
        if unknown:
            raise InputError(
                f"config: {shown(unknown[0])} is not a setting; the settings are {', '.join(sorted(known))}."
            )
        return cls(**state)

    def that_decides(self) -> dict[str, Any]:
        """The settings on which results hang: all but where the run takes place."""
        return {name: value for name, value in self.to_dict().items() if name not in WHERE_IT_RUNS}

    def differences(self, other: Config) -> list[str]:
        """The settings in which two runs differ so that their results may differ."""
        mine, theirs = self.that_decides(), other.that_decides()
        return [name for name in mine if mine[name] != theirs[name]]


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    """One sentence a broken rule."""
    if not holds:
        raise InputError(f"config: {name}={shown(value)} {rule}.")
