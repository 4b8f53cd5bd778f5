r"""L2RCLIP as users have it: the module of the method, with files, images and answers around it.

$$p_{ik} = \operatorname{softmax}_k(l_{ik}/T)$$

with the logits l of `method.model.RankModel`, or of a linear head, and a temperature T.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from l2rclip_lite.config import Config
from l2rclip_lite.data.images import (
    Augment,
    ResizedImages,
    describe_encoder,
    encode_images,
    squeezed,
)
from l2rclip_lite.data.reading import Images, MapStyle, image_list, paths_of
from l2rclip_lite.errors import InputError, in_one_sentence
from l2rclip_lite.heads import LinearHead
from l2rclip_lite.heads.calibration import fit_calibration
from l2rclip_lite.method import Backbone, Features, Logits, Pixels, Probabilities, Texts
from l2rclip_lite.method.model import RankModel
from l2rclip_lite.method.prompts import RankPrompts
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Indices
from l2rclip_lite.model_file import (
    MODEL,
    UNUSABLE,
    ModelFile,
    begin,
    find_model_file,
    must_be_stored,
    upload,
)
from l2rclip_lite.prediction import Costs, Prediction
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.base import Towers, scaled


class L2RCLIP(RankModel):
    """A dual encoder that compares images with sentences about the ranks.

    It is a `RankModel` that knows its settings. A linear head, once fitted, answers in the place of
    the texts.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: How prompts and image side are built.
        rank_features: K fixed text features, in place of prompts.

    Example:
        >>> from l2rclip_lite.towers import load_towers
        >>> ranks = Ranks(("low", "high"), (0, 1), template="a leaf with {rank} damage")
        >>> model = L2RCLIP(load_towers("tiny/random"), ranks, Config(heads=2))
        >>> model(torch.zeros(3, 3, 64, 64)).shape
        torch.Size([3, 2])
    """

    temperature: Tensor
    conformal: Tensor

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        config: Config | None = None,
        rank_features: Texts | None = None,
    ) -> None:
        config = config or Config()
        prompts = None
        if rank_features is None:
            prompts = build_prompts(towers, ranks, config)
        super().__init__(towers, ranks, prompts, rank_features)
        self.config = config
        self.head: LinearHead | None = None
        self.register_buffer("temperature", self.rank_features.new_ones(()))
        self.register_buffer("conformal", self.rank_features.new_ones(()))

    def forward(self, pixels: Pixels) -> Logits:
        """Return logits s · z_i · t_k, or the head's, of what `transform` returns."""
        if self.reads_backbone:
            return self.logits(self.backbone(pixels))
        return self.logits(self.image_features(pixels))

    def logits(self, features: Backbone) -> Logits:
        """Return logits of what `encode` returns, by the linear head or else by the texts."""
        if self.head is not None:
            return self.head(features)
        return super().logits(features)

    def backbone(self, pixels: Pixels) -> Backbone:
        """Return image features before their projection; autocast is up to the config."""
        precision: AbstractContextManager[object] = nullcontext()
        if self.config.precision == "bf16":
            precision = torch.autocast(pixels.device.type, torch.bfloat16)
        with precision:
            return super().backbone(pixels)

    @property
    def reads_backbone(self) -> bool:
        """Whether `logits` reads features before their projection, as a head on a frozen tower."""
        return self.head is not None and self.config.image_side == "kernel"

    def transform(self, train: bool = False) -> v2.Compose:
        """Return what turns any image, see `data.reading.as_rgb`, into an input of `forward`.

        To `train` it augments as the config says: `augment`, `upside_down`, `controls.light`; with
        draws from torch's global generator.
        """
        towers = self.towers
        augment = []
        if train and self.config.augment:
            light = self.config.controls.light
            augment = [Augment(bool(self.config.upside_down), light=light)]
        resize = partial(squeezed, side=towers.image_size)
        return v2.Compose([resize, *augment, scaled, v2.Normalize(towers.mean, towers.std)])

    @torch.no_grad()
    def encode(
        self,
        images: Images,
        *,
        backbone: bool | None = None,
        batch_size: int = 32,
        workers: int = 0,
        cache: str | Path | None = None,
        quiet: bool = True,
    ) -> Backbone:
        """Return image features of any number of images, on the CPU.

        Args:
            images: A folder, one image, a sequence of images, or a map-style dataset of (image,
                rank index). An image is whatever `data.reading.as_rgb` takes.
            backbone: Whether they are those of `Towers.backbone`, or unit features beside the
                texts; None gives those that `logits` takes.
            batch_size: Images at once.
            workers: Processes that decode.
            cache: A folder where features of `Towers.backbone` are kept, see `encode_images`.
            quiet: Whether to hide the progress bar.

        Raises:
            InputError: No image, or one that cannot be read.
            TrainingError: Memory that runs out.
        """
        if not isinstance(images, ResizedImages):
            images = ResizedImages(image_list(images), self.towers.image_size)
        if backbone is None:
            backbone = self.reads_backbone

        compute = self.backbone if backbone else self.image_features
        encoder = ""
        if cache and backbone:
            numerics = f"{self.config.precision} {self.device.type}"
            encoder = describe_encoder(self.towers, numerics, self.rank_features.dtype)

        return encode_images(
            images,
            lambda pixels: compute(self.towers.normalize(scaled(pixels.to(self.device)))),
            batch_size=batch_size,
            workers=workers,
            quiet=quiet,
            cache=cache if encoder else None,
            encoder=encoder,
        )

    @torch.no_grad()
    def probabilities(self, features: Backbone) -> Probabilities:
        """Return the softmax of the logits over the temperature, on the CPU."""
        logits = self.logits(features.to(self.rank_features)).float()
        return F.softmax(logits / self.temperature.float(), dim=1).cpu()

    def predict(
        self, images: Images, *, costs: Costs | None = None, batch_size: int = 32, workers: int = 0
    ) -> Prediction:
        """Predict the ranks of images; the other arguments are those of `encode`.

        Args:
            images: See `encode`.
            costs: Answer by this price list, see `prediction.cheapest_ranks`; None answers with the
                most probable rank.
            batch_size: Images at once.
            workers: Processes that decode.

        Raises:
            InputError: As `encode`, an answer that is not finite, or no price list.
        """
        sequence: MapStyle = image_list(images)
        features = self.encode(sequence, batch_size=batch_size, workers=workers)
        p = self.probabilities(features)
        return Prediction.of(p, self.ranks, paths_of(sequence), float(self.conformal), costs)

    def with_ranks(self, ranks: Ranks) -> "L2RCLIP":
        """Return a model that answers in other words, without any training.

        Their sentences go through the prompts of this model, and are compared with the images on
        the same towers, which the two models share. The answers are in order as far as the towers
        know the words; how sure they are is not calibrated.

        Raises:
            InputError: A model that knows no sentences: a head, or fixed text features, answers.
        """
        is_plain = self.config.stage1_epochs() == 0  # the sentences themselves; no prompts are kept
        if self.head is not None or (self.prompts is None and not is_plain):
            raise InputError(
                "with_ranks: this model answers by vectors of its own ranks, which know no other "
                "sentence; take a run of L2RCLIP with --image-side tower --keep trained."
            )
        other = type(self)(self.towers, ranks, self.config).to(self.device)
        if self.prompts is not None and other.prompts is not None:
            other.prompts.load_state_dict(self.prompts.state_dict())
            other.refresh()
        return other

    @classmethod
    def build(
        cls,
        ranks: Ranks,
        config: Config,
        image_size: int | None = None,
        *,
        allow_download: bool = True,
        commits: Mapping[str, str] | None = None,
    ) -> "L2RCLIP":
        """Build a fresh model on what a config names, or else with the image size of the data set.

        Raises:
            InputError: Towers that cannot be had, see `load_towers`; or a start that cannot be
                used, see `begin`.
        """
        towers = load_towers(
            config.towers,
            weights=config.weights,
            image_size=config.image_size or image_size,
            seed=config.seed,
            allow_download=allow_download,
            commits=commits,
        )
        model = cls(towers, ranks, config)
        if config.start is not None:
            begin(model, config)
            model.refresh()
        return model

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str = "cpu",
        revision: str = "main",
        weights: str | Path | None = None,
        allow_download: bool = False,
    ) -> "L2RCLIP":
        """Load a trained model.

        Its file may name `mini`, `tiny/random`, and towers whose weights it holds or that are on
        this machine. Whatever else it names has to be allowed by the caller.

        Args:
            name: A run directory, `"hf-hub:USER/NAME"`, or `"leaves"` or `"leaves-percent"`, which
                ship with the package; a run directory of that name comes first.
            device: Where to put it, such as "cuda:1".
            revision: Of a repository on the hub: a commit, a tag, or a branch.
            weights: A local safetensors file; a path in the file is never followed.
            allow_download: Whether what the file names may be downloaded from the hub.

        Raises:
            InputError: No model, a damaged file, a download without leave, or no such device.
        """
        file = find_model_file(name, revision)
        content = ModelFile.read(file)
        with in_one_sentence(file, *UNUSABLE):
            loaded = content.load_towers(weights, allow_download=allow_download)
            config = content.config
            if weights is not None:
                config = replace(config, weights=str(weights))

            # its texts are in the file: no size in it bounds the memory to encode them
            no_texts = torch.zeros(len(content.ranks), loaded.dim)
            model = cls(loaded, content.ranks, config, no_texts)
            if content.has_prompts:
                model.prompts = build_prompts(loaded, content.ranks, config)
            model.head = content.head()
            content.fill(model)
        with in_one_sentence(f"device={device!r}", "cannot be used", "choose another"):
            return model.to(device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write `model.safetensors`, with config and ranks as metadata.

        It holds what training may have changed, and the whole towers where no name brings them.
        """
        if self.training:  # the kept text features may be older than the prompts
            self.refresh()
        tensors = self.state_dict()
        if self.towers.rebuildable:
            stored = [name for name in tensors if must_be_stored(name, self.config)]
            tensors = {name: tensors[name] for name in stored}

        file = Path(folder) / MODEL
        content = ModelFile(
            config=replace(self.config, image_size=self.towers.image_size),
            ranks=self.ranks,
            tensors=tensors,
            decoder="softmax" if self.head is None else self.head.decoder,
            commits=self.towers.commits,
        )
        content.write(file)
        return file

    def push_to_hub(self, name: str, card: str) -> str:
        """Publish model and card on the hub, after `hf auth login`; return the commit.

        Args:
            name: `USER/NAME`; made where it is not there yet, for whom, the hub decides.
            card: The model card in Markdown: the `README.md` of the run, with its gaps filled in.

        Raises:
            InputError: The hub cannot be reached, or does not take it.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            Path(folder, "README.md").write_text(card, encoding="utf-8")
            return upload(folder, name)


def build_prompts(towers: Towers, ranks: Ranks, config: Config) -> RankPrompts:
    """Return the prompts that a config describes, on the device of the towers.

    Without an epoch of stage 1 they are the plain sentences. Context vectors that nobody trains are
    noise in front of a sentence, and RankFormer would shorten its words by α.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: Settings of context and RankFormer, and the controls.
    """
    controls = config.controls
    learns = config.stage1_epochs() > 0

    prompts = RankPrompts(
        towers,
        ranks,
        context_length=config.context_length if learns else 0,
        rankformer=controls.rankformer and learns,
        centre=controls.centre,
        seed=config.seed,
        shuffled=controls.shuffled,
        axis=config.axis,
        alpha=config.alpha,
        learn_alpha=controls.learn_alpha,
        heads=config.heads,
        hidden=config.hidden,
        depth=config.depth,
    )
    return prompts.to(towers.logit_scale.device)


def calibrate(model: L2RCLIP, features: Features, target: Indices) -> float:
    """Fit `model.temperature` and `model.conformal` on validation images.

    `save_pretrained` keeps both.

    Args:
        model: The model; the temperature it had plays no part.
        features: Image features of the validation images, from `L2RCLIP.encode`.
        target: Their rank indices.

    Returns:
        Their ranked probability score at that temperature.
    """
    with torch.inference_mode():
        logits = model.logits(features.to(model.device)).cpu()
    fitted = fit_calibration(logits.double().numpy(), target)  # on the CPU: MPS has no doubles
    model.temperature.fill_(fitted.temperature)
    model.conformal.fill_(fitted.conformal)
    return fitted.rps
