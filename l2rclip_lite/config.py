"""What a user sets about a run, and the controls of a study; both are kept in the run directory.

A setting that is None has not been set. It stays None, so that `dataclasses.replace` and
`from_dict` carry on only what somebody set. `Config.used` fills in loss weights and epochs of
stage 1; towers and data decide the others.
"""

from dataclasses import asdict, field
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import tyro
from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

SETTINGS = ConfigDict(extra="forbid")

Axis = Literal["token", "rank", "joint"]
ImageSide = Literal["tower", "kernel"]
LabelsAre = Literal["names", "index", "position"]
Epochs = Annotated[int, Field(ge=0, lt=100_000)]
ImageCount = Annotated[int, Field(ge=1, lt=2**31)]
Rate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class LossWeights(NamedTuple):
    """The weights of the losses, each 0 or more; 0 leaves a term out.

    Args:
        lambda1: Ordinal pairwise loss in stage 1.
        lambda_push: Diversity in stage 2.
        lambda_tight: Tightness in stage 2.
        lambda_rps: Ranked probability score in stage 2.
    """

    lambda1: float
    lambda_push: float
    lambda_tight: float
    lambda_rps: float


# `paper` has the terms of the losses that the authors released (github.com/raywang335/L2RCLIP): in
# `loss/ordinal_ce.py` all weights are 1. The rest of their recipe, and how to set it, is a table in
# book/reproduction.md. `recommended` is what validation images of BRACOL and drawn leaves
# preferred.
PRESETS = {
    "recommended": LossWeights(lambda1=1.0, lambda_push=0.0, lambda_tight=0.0, lambda_rps=1.0),
    "paper": LossWeights(lambda1=1.0, lambda_push=1.0, lambda_tight=1.0, lambda_rps=0.0),
}
EPOCHS1 = {"tower": 10, "kernel": 6}  # of stage 1, by what trains in stage 2


@dataclass(frozen=True, config=SETTINGS)
class Controls:
    """What a study changes to see why the method works; users leave it alone.

    Example:
        >>> Controls(order="blind").shuffled
        False
    """

    shuffled: bool = False
    """Whether each rank gets the sentence of another one."""
    kernel: Literal["chosen", "language", "nothing", "text", "numbers"] = "chosen"
    """How the kernel head relates the ranks: validation weighs all ways ('chosen'), or only nothing
    and text ('language'); or it is always the one named."""
    rankformer: bool = True
    """Whether RankFormer refines the word embeddings."""
    learn_alpha: bool = True
    """Whether α is trained."""
    centre: bool = True
    """Whether text features are centred over the ranks: our choice; small text towers need it."""
    contrastive: Literal["asymmetrical", "plain"] = "asymmetrical"
    """Contrastive loss of stage 1: 'asymmetrical', or 'plain' as in CLIP, blind to images that
    share a rank."""
    order: Literal["true", "blind", "shuffled"] = "true"
    """Ordinal weight of both stages: 'true', 'blind' (all 1) or 'shuffled' (negative control)."""
    normalise: Literal["batch", "global"] = "batch"
    """Largest rank gap that divides stage 2's weight: of the 'batch' (as released), which several
    processes share, or of the whole label space ('global')."""
    push_power: Literal[1, 2] = 1
    """Power of the distance in stage 2's push: 1 as released, 2 as derived."""
    symmetric: bool = False
    """Whether stage 1 uses all pairs, which makes its loss independent of the order in the
    batch."""
    light: bool = True
    """Whether augmentation also changes brightness and contrast; False only flips, as released."""
    clip: bool = True
    """Whether the gradient of a tower is shortened to length 1 where it is longer: our choice."""
    select: Literal["auto", "rps", "mae", "last"] = "auto"
    """Which epoch is kept: the one whose validation images have the lowest 'rps' or 'mae', or the
    'last'; 'auto' takes the last of an image tower, and else the lowest RPS."""


class DataOptions(TypedDict, total=False):
    """What the command line gives `load_dataset` besides the name; loaders have the defaults."""

    root: str
    """All but leaves and coffee: folder of the images."""
    lists: str
    """Folder of the official split lists; ROOT/datalists if not given."""
    protocol: str
    """morph, clap2015, aesthetics: which split; `l2rclip data NAME` lists them."""
    fold: int
    """bracol, bracol-area 1 to 5; fruits, portraits, hc18 0 to 4; csv 1 to --folds; others as
    `l2rclip data NAME` says."""
    folds: int
    """csv: draw so many test parts that together hold every image."""
    category: str
    """aesthetics: animals, nature, people or urban."""
    labels: str
    """csv: a .csv, .tsv or .parquet file, its path from the root or from here; else ROOT/labels.csv
    or a folder per rank."""
    ranks: str
    """csv: the names, lowest first, with commas, or 0:9; else the numbers in the file. leaves:
    their number."""
    labels_are: LabelsAre
    """csv: names of ranks, which are values where they are numbers (the default); index from 0;
    position from 1."""
    template: str
    """csv: a sentence with {rank} where the name goes; else "a photo of a {rank} object", of
    numbers "... grade {rank}"."""
    unit: str
    """csv: what the numbers of the ranks count, such as weeks; "grade" if not given."""
    path_column: str
    """csv: the column with the image's path; `path` if not given."""
    label_column: str
    """csv: the column with the label; `label` if not given."""
    group_column: str
    """csv: the column with who or what is shown, kept in one split; `group` if not given and
    there."""
    split_column: str
    """csv: the column with train, val, test; `split` if not given and there."""
    val_share: float
    """csv: how much becomes validation where it is drawn; 0.15 if not given."""
    size: int
    """leaves: number of images."""
    pixels: int
    """leaves: side of the images."""
    seed: Annotated[int, tyro.conf.arg(name="data-seed")]
    """Seed of generated images and of splits that are drawn."""
    allow_missing: bool
    """Go on without the listed images that are not there; the run records them."""
    allow_empty_ranks: bool
    """csv: go on though a rank has no training image; its sentence, or its number, alone stands for
    it."""
    subject_disjoint: bool
    """Split anew so that nobody is in two splits."""
    rebin: int
    """Merge neighbouring ranks into so many."""
    hold_out: int
    """Unseen ranks: 3 takes a third of those between the ends out of training and validation."""
    label_shift: str
    """RANKS:KEEP, such as 10:0.1: the 10 most frequent ranks keep a tenth of their images."""
    long_tail: float
    """Thin the training ranks out to this ratio of most to fewest images."""
    few_shot: int
    """Keep so many training images per rank."""
    protocol_seed: int
    """Seed of what the six options above draw or choose."""


@dataclass(frozen=True, config=SETTINGS)
class Config:
    """One run of L2RCLIP. The defaults suit `mini` on a CPU.

    Raises:
        pydantic.ValidationError: A value of another type or outside its range, or two that
            contradict each other.

    Example:
        >>> Config(epochs2=3).epochs2
        3
    """

    towers: str = "mini"
    """Dual encoder: 'mini' (offline), 'tiny/random' (tests), or an open_clip model such as
    'ViT-B-16/openai'."""
    weights: str | None = None
    """A local safetensors file for an open_clip model."""
    start: str | None = None
    """An earlier run, a relative of your data, whose image tower, context and RankFormer training
    begins with: its folder, 'hf-hub:USER/NAME', or leaves-percent, which ships. Ranks and sentences
    may be others, and the image size unless the tower is a transformer; None begins with the
    untrained towers."""
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = None
    """Side of the input image in pixels; None takes what the data set suggests, else the tower's
    own (mini 224). Fewer are faster, more see more: training time grows with their square."""
    preset: Literal["recommended", "paper"] = "recommended"
    """Weights of the losses that you do not set: chosen by validation ('recommended'), or the terms
    that the authors released, each with the weight 1 ('paper')."""
    image_side: ImageSide = "tower"
    """What stage 2 trains: the image 'tower', or a convex 'kernel' head on the frozen tower's
    features, in seconds, which reads no other setting of stage 2."""
    keep: Literal["trained", "best"] = "trained"
    """What stays of a tuned tower: what stage 2 has 'trained', or the 'best' on validation images
    of that and of two heads on the frozen tower, which take seconds: the simplest whose RPS is
    within one standard error of the lowest."""
    context_length: Annotated[int, Field(ge=0, le=64)] = 4
    """Number M of global context vectors; 0 leaves them out."""
    axis: Axis = "rank"
    """Along which axis RankFormer attends."""
    alpha: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1
    """Strength α of RankFormer's residual at the start."""
    heads: Annotated[int, Field(ge=1, le=1024)] = 8
    """RankFormer's attention heads."""
    hidden: Annotated[int, Field(ge=1, le=16_384)] = 2048
    """Inner width of RankFormer's feed-forward network."""
    depth: Annotated[int, Field(ge=1, le=8)] = 1
    """RankFormer's blocks."""
    epochs1: Epochs | None = None
    """Epochs of stage 1, which trains RankFormer and context vectors on stored image features.
    None takes 10 for 'tower', 6 for 'kernel'; 0 leaves both out and takes the plain sentences."""
    epochs2: Epochs = 10
    """Epochs of stage 2: the image side, on text features that are computed once."""
    batch_size: ImageCount = 16
    """Images per step of stage 2, for each process: of N processes, a step takes N times as
    many."""
    micro_batch_size: ImageCount | None = None
    """Images of a step of stage 2 that are in memory at once, for each process; None takes all.
    Fewer make a large batch fit: the step stays the same, and takes a third longer."""
    batch_size1: ImageCount | None = None
    """Images per step of stage 1, for all processes together.
    None takes `batch_size` of each process, or a 32nd of all training images where that is more."""
    lr1: Rate = 3.5e-4
    """Peak learning rate of stage 1."""
    lr2: Rate | None = None
    """Peak learning rate of stage 2; None tries what the towers recommend (mini 7e-4 and 2e-4, CLIP
    5e-6), and a quarter of that where all have failed, and keeps the one with the lowest validation
    RPS."""
    weight_decay: Weight = 1e-4
    """Adam's L2 penalty in both stages."""
    warmup: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.1
    """Share of each stage's steps in which the learning rate rises, before it falls along a cosine
    to 0."""
    lambda1: Weight | None = None
    """Weight of the ordinal pairwise loss in stage 1; 0 leaves it out."""
    lambda_push: Weight | None = None
    """Weight of diversity in stage 2, which pushes an image from the texts of other ranks; 0 leaves
    it out."""
    lambda_tight: Weight | None = None
    """Weight of tightness in stage 2, which pulls an image to its own text; 0 leaves it out."""
    lambda_rps: Weight | None = None
    """Weight of the ranked probability score in stage 2; 0 leaves it out."""
    balance: bool = False
    """Whether all ranks weigh alike in training, however rare some are: both stages draw images of
    rarer ranks more often, and heads on a frozen tower are fitted on several copies of them.
    Validation, which chooses epochs and temperature, still weighs all images alike."""
    augment: bool = True
    """Whether stage 2 flips its images and changes their light."""
    upside_down: bool | None = None
    """Whether flips also turn an image upside down; None does so where the data set has no up and
    down."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Decides every random draw."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; 'auto' takes the best that is there."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """'bf16' runs the image tower under autocast; losses stay in fp32."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads; None leaves torch's own choice."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that decode images which do not fit into memory."""
    controls: Controls = field(default_factory=Controls)
    """What a study changes; see `Controls`."""

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        """Refuse settings under which stage 1 could change nothing."""
        controls = self.controls
        refines = controls.rankformer and (self.alpha > 0 or controls.learn_alpha)

        if self.stage1_epochs() and not refines and not self.context_length:
            raise ValueError(
                "without RankFormer and context, stage 1 trains nothing; set epochs1=0"
            )
        return self

    def loss_weights(self) -> LossWeights:
        """Return the weights that training uses: your own, and those of the preset for the others.

        Example:
            >>> weights = Config(preset="paper", lambda_push=0.5).loss_weights()
            >>> weights.lambda_push, weights.lambda_tight
            (0.5, 1.0)
        """
        own = {}
        for name in LossWeights._fields:
            weight = getattr(self, name)
            if weight is not None:
                own[name] = weight

        return PRESETS[self.preset]._replace(**own)

    def stage1_epochs(self) -> int:
        """Return the epochs of stage 1: your own, else those for what stage 2 trains.

        Example:
            >>> Config().stage1_epochs(), Config(image_side="kernel").stage1_epochs()
            (10, 6)
        """
        if self.epochs1 is not None:
            return self.epochs1
        return EPOCHS1[self.image_side]

    def used(self) -> dict[str, Any]:
        """Return all settings with the values that training uses, ready for JSON.

        It is `to_dict` with the weights and the epochs of stage 1 in the place of None.

        Example:
            >>> Config(preset="paper").used()["lambda_push"]
            1.0
        """
        return self.to_dict() | self.loss_weights()._asdict() | {"epochs1": self.stage1_epochs()}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready copy, with None for what is not set; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Any) -> "Config":
        """Return the settings that `to_dict` wrote.

        Raises:
            pydantic.ValidationError: See `Config`; also a name that is not a setting.
        """
        return TypeAdapter(cls).validate_python(state)
