r"""L2RCLIP: towers, prompts and ranks together, as an ordinary PyTorch module.

$$l_{ik} = s\; z_i \cdot t_k,\quad p_{ik} = \operatorname{softmax}_k(l_{ik}/T)$$

with unit image features z, unit text features t, the towers' scale s and a temperature T.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from l2rclip_lite.config import Config
from l2rclip_lite.data.images import ResizedImages, scaled
from l2rclip_lite.data.reading import Images, MapStyle, image_list, paths_of
from l2rclip_lite.errors import InputError, in_one_sentence
from l2rclip_lite.heads import LinearHead
from l2rclip_lite.method import Backbone, Features, Logits, Pixels, Probabilities, Scalar, Texts
from l2rclip_lite.method.prediction import Costs, Prediction
from l2rclip_lite.method.prompts import RankPrompts, build_prompts
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.encoding import describe_encoder, encode_images
from l2rclip_lite.runs.model_file import (
    MODEL,
    UNUSABLE,
    ModelFile,
    begin,
    find_model_file,
    must_be_stored,
    upload,
)
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.base import Towers


class L2RCLIP(nn.Module):
    """A dual encoder that compares images with sentences about the ranks.

    In training the texts are encoded anew in every forward pass; in evaluation images are compared
    with `rank_features`, the text features of the last `eval()` or `refresh()`. A linear head, once
    fitted, answers in their place. The towers stay in evaluation mode: BatchNorm statistics of a
    pretrained tower do not follow small batches. Which parameters learn is up to `requires_grad`.

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

    rank_features: Tensor
    temperature: Tensor
    conformal: Tensor

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        config: Config | None = None,
        rank_features: Texts | None = None,
    ) -> None:
        super().__init__()
        self.towers = towers
        self.ranks = ranks
        self.config = config or Config()
        self.head: LinearHead | None = None
        self.prompts: RankPrompts | None = None

        if rank_features is None:
            self.prompts = build_prompts(towers, ranks, self.config).to(towers.logit_scale.device)
            rank_features = towers.logit_scale.new_zeros(len(ranks), towers.dim)
        self.register_buffer("rank_features", rank_features)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("conformal", torch.ones(()))
        self.refresh()
        super().train(False)

    def forward(self, pixels: Pixels) -> Logits:
        """Return logits s · z_i · t_k, or the head's, of what `transform` returns."""
        if self.reads_backbone:
            return self.logits(self._backbone(pixels))
        return self.logits(self.image_features(pixels))

    def logits(self, features: Backbone) -> Logits:
        """Return logits of what `encode` returns, by the linear head or else by the texts."""
        if self.head is not None:
            return self.head(features)
        return self.scale * features @ self.text_features().T

    def image_features(self, pixels: Pixels) -> Features:
        """Return unit image features z_i of what `transform` returns."""
        return self.towers.project(self._backbone(pixels))

    def text_features(self) -> Texts:
        """Return the K unit text features t_k; in training anew, and differentiable."""
        if self.training and self.prompts is not None:
            features: Tensor = self.prompts(self.towers)
            return features
        return self.rank_features

    @torch.no_grad()
    def refresh(self) -> None:
        """Encode the prompts, and keep the K text features, the same under any autocast."""
        if self.prompts is not None:
            with torch.autocast(self.device.type, enabled=False):
                self.rank_features.copy_(self.prompts(self.towers))

    def train(self, mode: bool = True) -> "L2RCLIP":
        """Switch to training, all but the towers, or to evaluation, which encodes the texts."""
        super().train(mode)
        self.towers.eval()
        if not mode:
            self.refresh()
        return self

    @property
    def scale(self) -> Scalar:
        """The scale s = exp(logit_scale)."""
        return self.towers.logit_scale.exp()

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.rank_features.device

    @property
    def reads_backbone(self) -> bool:
        """Whether `logits` reads features before their projection, as a head on a frozen tower."""
        return self.head is not None and self.config.image_side == "kernel"

    def _backbone(self, pixels: Pixels) -> Backbone:
        """Return `Towers.backbone` in the model's own type; autocast is up to the config."""
        precision: AbstractContextManager[object] = nullcontext()
        if self.config.precision == "bf16":
            precision = torch.autocast(pixels.device.type, torch.bfloat16)

        dtype = self.rank_features.dtype
        with precision:
            return self.towers.backbone(pixels.to(dtype)).to(dtype)

    def transform(self, train: bool = False) -> v2.Compose:
        """Return what turns an image into an input of `forward`, see `Towers.transform`.

        To `train` it augments as the config says: `augment`, `upside_down`, `controls.light`.
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

        compute = self._backbone if backbone else self.image_features
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
