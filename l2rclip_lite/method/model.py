"""L2RCLIP: towers, prompts and ranks together, as an ordinary PyTorch module."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms import v2

from l2rclip_lite.config import Config
from l2rclip_lite.data.image_lists import image_list, paths_of
from l2rclip_lite.data.images import Images, MapStyle, ResizedImages
from l2rclip_lite.data.pixels import scaled
from l2rclip_lite.errors import InputError
from l2rclip_lite.heads.kernel import LinearHead
from l2rclip_lite.method.prediction import Prediction
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.pretrained import Pretrained
from l2rclip_lite.runs.encoding import FeatureCache, encode_images
from l2rclip_lite.runs.start import begin_with
from l2rclip_lite.towers.base import Pixels, Towers
from l2rclip_lite.towers.load import load_towers


class L2RCLIP(Pretrained):
    """A dual encoder that compares images with sentences about the ranks.

    Training mode encodes the texts in every forward pass as long as prompts or text tower learn;
    otherwise images are compared with `rank_features`, see `TextSide`. A kernel head, once fitted,
    answers in their place. The towers stay in evaluation mode: BatchNorm statistics of a pretrained
    tower do not follow small batches. Which parameters learn is up to `requires_grad`, see
    `freeze`. `build` makes a model of towers by name; `Pretrained` reads and writes it.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: How prompts and image side are built.
        rank_features: K fixed text features, in place of prompts.

    Example:
        >>> from l2rclip_lite.towers.load import load_towers
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
        rank_features: Float[Tensor, "rank dim"] | None = None,
    ) -> None:
        super().__init__(towers, ranks, config or Config(), rank_features)
        self.head: LinearHead | None = None
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("conformal", torch.ones(()))
        super().train(False)

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
        """Build a fresh model.

        Args:
            ranks: The ordered label space.
            config: How to build it; it names the towers.
            image_size: What the data set suggests, where the config says nothing.
            allow_download: Whether weights that this machine lacks may be downloaded.
            commits: Of repositories on the Hugging Face hub, see `load_towers`.

        Raises:
            InputError: Towers that cannot be had, see `load_towers`; or a start that cannot be
                used, see `begin_with`.
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
            begin_with(model, config.start)
        return model

    def with_ranks(self, ranks: Ranks) -> "L2RCLIP":
        """Return a model that answers in other words, without any training.

        Their sentences go through the prompts of this model, and are compared with the images on
        the same towers, which the two models share. The answers are in order as far as the towers
        know the words; how sure they are is not calibrated.

        Args:
            ranks: Other ranks, or the same in another sentence.

        Raises:
            InputError: A model that knows no sentences: a head, or fixed text features, answers.

        Example:
            >>> leaves = Ranks.integers(0, 9, template="a leaf with {rank} spots")
            >>> model = L2RCLIP.build(leaves, Config(towers="tiny/random", heads=2))
            >>> fruit = model.with_ranks(Ranks(("green", "ripe"), (0, 1), "a {rank} banana"))
            >>> fruit(torch.zeros(3, 3, 64, 64)).shape
            torch.Size([3, 2])
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

    @property
    def scale(self) -> Float[Tensor, ""]:
        """The scale s = exp(logit_scale)."""
        return self.towers.logit_scale.exp()

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.rank_features.device

    def train(self, mode: bool = True) -> "L2RCLIP":
        """Switch to training, all but the towers, or to evaluation; update the text features."""
        super().train(mode)
        self.towers.eval()
        if not self._text_learns():
            self._bring_up_to_date()
        return self

    def image_features(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """Return unit image features z_i of what `transform` returns."""
        return self.towers.project(self._backbone(pixels))

    def _backbone(self, pixels: Pixels) -> Float[Tensor, "batch feature"]:
        """Return `Towers.backbone` in the model's own type; autocast is up to the config."""
        precision: AbstractContextManager[object] = nullcontext()
        if self.config.precision == "bf16":
            precision = torch.autocast(pixels.device.type, torch.bfloat16)

        dtype = self.rank_features.dtype
        with precision:
            return self.towers.backbone(pixels.to(dtype)).to(dtype)

    @property
    def reads_backbone(self) -> bool:
        """Whether `logits` reads features before their projection, as a head on a frozen tower."""
        return self.head is not None and self.config.image_side == "kernel"

    def forward(self, pixels: Pixels) -> Float[Tensor, "batch rank"]:
        """Return logits s · z_i · t_k, or those of the kernel head, before any temperature.

        Args:
            pixels: What `transform` returns, on the model's device.
        """
        by_texts = self.head is None and self.prompts is not None
        if by_texts and self._text_learns():
            return self.scale * self.image_features(pixels) @ self.text_features().T
        if self.reads_backbone:
            return self.logits(self._backbone(pixels))
        return self.logits(self.image_features(pixels))

    def logits(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch rank"]:
        """Return logits of what `encode` returns, by the kernel head or else by the texts.

        Raises:
            InputError: Features of another width.
        """
        width = self.rank_features.shape[1] if self.head is None else len(self.head.mean)
        if features.ndim != 2 or features.shape[1] != width:
            shape = list(features.shape)
            raise InputError(
                f"logits: features are {shape}; give rows of {width} numbers, as `encode` does."
            )

        if self.head is not None:
            return self.head(features)
        self._bring_up_to_date()
        return self.scale * features @ self.rank_features.T

    @torch.no_grad()
    def probabilities(
        self, features: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch rank"]:
        """Return the softmax of the logits over the temperature, on the CPU."""
        logits = self.logits(features.to(self.rank_features)).float()
        return F.softmax(logits / self.temperature.float(), dim=1).cpu()

    def transform(self, train: bool = False) -> v2.Compose:
        """Return what turns an image into an input of `forward`, see `Towers.transform`.

        Args:
            train: Whether it augments, too, as the config says: `augment`, `upside_down`,
                `controls.light`.
        """
        return self.towers.transform(
            train and self.config.augment,
            upside_down=bool(self.config.upside_down),
            light=self.config.controls.light,
        )

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
    ) -> Float[Tensor, "batch feature"]:
        """Return image features of any number of images, on the CPU.

        Args:
            images: A folder, one image, a sequence of images, or a map-style dataset of (image,
                rank index). An image is whatever `images.as_rgb` takes.
            backbone: Whether they are those of `Towers.backbone`, which a kernel head reads, or
                unit features beside the texts; None gives those that `logits` takes.
            batch_size: Images at once.
            workers: Processes that decode, up to 64.
            cache: A folder where features of `Towers.backbone` are kept, see `FeatureCache`.
            quiet: Whether to hide the progress bar.

        Raises:
            InputError: No image, one that cannot be read, or a number of images or processes
                outside its bounds.
            TrainingError: Memory that runs out.
        """
        if not isinstance(images, ResizedImages):
            images = ResizedImages(image_list(images), self.towers.image_size)
        if backbone is None:
            backbone = self.reads_backbone

        compute = self._backbone if backbone else self.image_features
        kept = None
        if cache and backbone:
            numerics = f"{self.config.precision} {self.device.type}"
            kept = FeatureCache.of_towers(cache, self.towers, numerics, self.rank_features.dtype)

        return encode_images(
            images,
            lambda pixels: compute(self.towers.normalize(scaled(pixels.to(self.device)))),
            batch_size=batch_size,
            workers=workers,
            quiet=quiet,
            cache=kept,
        )

    def predict(
        self,
        images: Images,
        *,
        batch_size: int = 32,
        workers: int = 0,
        cache: str | Path | None = None,
        quiet: bool = True,
    ) -> Prediction:
        """Predict the ranks of images.

        Args:
            images: A folder, one image, or a sequence of images; each whatever `images.as_rgb`
                takes.
            batch_size: Images at once, see `encode`, as for all below.
            workers: Processes that decode.
            cache: A folder where features of a frozen tower are kept; a tuned one does without.
            quiet: Whether to hide the progress bar.

        Returns:
            Rank, name, median, interval, expectation and probabilities of each.

        Raises:
            InputError: No image at all, one that is missing or cannot be read, or an answer that is
                not finite.
        """
        sequence: MapStyle = image_list(images)
        if not len(sequence):
            raise InputError(
                "predict: no image given; pass at least one, or a folder that holds some."
            )

        features = self.encode(
            sequence,
            batch_size=batch_size,
            workers=workers,
            cache=cache,
            quiet=quiet,
        )
        probabilities = self.probabilities(features)
        # a feature that was too long for single precision is one of zeros
        if not (probabilities.isfinite().all() and features.any(dim=1).all()):
            raise InputError(
                "predict: the model's answer is not a finite number; its weights are damaged."
            )

        return Prediction.of(probabilities, self.ranks, paths_of(sequence), float(self.conformal))
