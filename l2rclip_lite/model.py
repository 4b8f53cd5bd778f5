"""L2RCLIP: towers, prompts and ranks together, as an ordinary PyTorch module."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, one_line
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.images import ResizedImages, images_in
from l2rclip_lite.kernel import KernelHead
from l2rclip_lite.memory import out_of_memory_in_words
from l2rclip_lite.prediction import DECODERS, Prediction
from l2rclip_lite.progress import Progress
from l2rclip_lite.prompts import RankPrompts, build_prompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.base import Pixels, Towers
from l2rclip_lite.towers.load import load_towers

MODEL = "model.safetensors"
HUB = "hf-hub:"  # as open_clip and timm spell it; nothing is downloaded without it


class L2RCLIP(nn.Module):
    """A dual encoder whose text side speaks the ranks.

    As long as prompts may learn, training mode compares images with text features encoded in every forward pass; otherwise
    with `rank_features`, the text features as `refresh` left them. A kernel head, once fitted, answers in their place. The
    towers stay in evaluation mode: BatchNorm statistics of a pretrained tower do not follow small batches. Which parameters
    learn is up to `requires_grad`, see `freeze`.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: How prompts and image side are built.
        rank_features: K fixed text features, in place of prompts.

    Example:
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
        rank_features: Float[Tensor, "rank dim"] | None = None,
    ) -> None:
        super().__init__()
        self.ranks, self.config, self.towers = ranks, config or Config(), towers
        self.prompts: RankPrompts | None = None
        if rank_features is None:
            self.prompts = build_prompts(towers, ranks, self.config)
        stored = torch.zeros(len(ranks), towers.dim) if rank_features is None else rank_features
        self.head: KernelHead | None = None
        self.register_buffer("rank_features", stored)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("conformal", torch.ones(()))
        self.refresh()
        super().train(False)

    @classmethod
    def build(cls, ranks: Ranks, config: Config, image_size: int | None = None) -> "L2RCLIP":
        """A fresh model with the towers that the config names; `image_size` is the data set's suggestion."""
        return cls(_towers(config, image_size), ranks, config)

    @property
    def scale(self) -> Float[Tensor, ""]:
        """S = exp(logit_scale)."""
        return self.towers.logit_scale.exp()

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.rank_features.device

    def train(self, mode: bool = True) -> "L2RCLIP":
        """Switch between training and evaluation; towers stay in evaluation mode, text features are brought up to date."""
        if self.training and not mode:
            self.refresh()
        super().train(mode)
        self.towers.eval()
        return self

    @torch.no_grad()
    def refresh(self) -> None:
        """Encode the prompts, and keep the K text features; called whenever the prompts have changed."""
        if self.prompts is not None:
            self.rank_features.copy_(self.prompts(self.towers))

    def text_features(self) -> Float[Tensor, "rank dim"]:
        """The K unit text features t_k, differentiable in training mode."""
        if self.prompts is None or not self._text_learns():
            return self.rank_features
        return self.prompts(self.towers)

    def _text_learns(self) -> bool:
        """Whether the text features may have changed since `refresh`."""
        learned = () if self.prompts is None else self.prompts.parameters()
        return self.training and any(parameter.requires_grad for parameter in learned)

    def image_features(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """Unit image features z_i of what `transform` returns."""
        return self.towers.project(self._backbone(pixels))

    def _backbone(self, pixels: Pixels) -> Float[Tensor, "batch wide"]:
        """What `Towers.backbone` says, in the model's own type; under autocast where the config asks for it."""
        dtype = self.rank_features.dtype
        with torch.autocast(
            pixels.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"
        ):
            return self.towers.backbone(pixels.to(dtype)).to(dtype)

    @property
    def wide(self) -> bool:
        """Whether `logits` reads features before their projection: a head on a frozen tower does."""
        return self.head is not None and self.config.image_side == "kernel"

    def forward(self, pixels: Pixels) -> Float[Tensor, "batch rank"]:
        """Logits s · z_i · t_k, or those of the kernel head, before any temperature.

        Args:
            pixels: What `transform` returns, on the model's device.
        """
        if self._text_learns():
            return self.scale * self.image_features(pixels) @ self.text_features().T
        return self.logits(self._backbone(pixels) if self.wide else self.image_features(pixels))

    def logits(self, features: Float[Tensor, "batch wide"]) -> Float[Tensor, "batch rank"]:
        """Logits of what `encode` returns, by the kernel head or the text features, before any temperature."""
        if self.head is not None:
            return self.head(features)
        return self.scale * features @ self.rank_features.T

    @torch.no_grad()
    def probabilities(self, features: Float[Tensor, "batch wide"]) -> Float[Tensor, "batch rank"]:
        """Softmax of the logits over the temperature, on the CPU."""
        logits = self.logits(features.to(self.rank_features)).float()
        return F.softmax(logits / self.temperature.float(), dim=1).cpu()

    def transform(self, train: bool = False) -> v2.Compose:
        """What turns an image into an input of `forward`; with `train` it also augments, see `Towers.transform`."""
        return self.towers.transform(train)

    @torch.no_grad()
    def encode(
        self,
        images: Any,
        *,
        backbone: bool | None = None,
        batch_size: int = 32,
        workers: int = 0,
        cache: str | Path | None = None,
        quiet: bool = True,
    ) -> Float[Tensor, "batch wide"]:
        """Image features of any number of images, on the CPU.

        Args:
            images: A map-style dataset of (image, rank index), or a sequence of images or paths.
            backbone: Whether they are those of `Towers.backbone`, which a kernel head reads, or unit features beside the
                texts; None gives those that `logits` takes.
            batch_size: Images at once.
            workers: Processes that decode.
            cache: A folder where features of `Towers.backbone` are kept, by the content of images and tower.
            quiet: Whether to hide the progress bar.

        Raises:
            InputError: An image that cannot be read.
        """
        resized = (
            images
            if isinstance(images, ResizedImages)
            else ResizedImages(images, self.towers.image_size)
        )
        loader = DataLoader(resized, batch_size, num_workers=workers)
        wide = self.wide if backbone is None else backbone
        read = self._backbone if wide else self.image_features
        towers = self.towers
        about = f"{self.config.precision} {self.device.type}"
        about += f"{towers.image} {towers.image_size} {towers.mean} {towers.std}"
        weights = towers.image.state_dict().values()
        file = Path(cache, resized.fingerprint(about, weights)) if cache and wide else None
        if file and file.is_file():
            return read_tensors(file)[0]["features"]
        features = []
        at_once = min(batch_size, len(resized))
        # a quarter, as `fit` encodes up to twice its --batch-size at once
        with out_of_memory_in_words("encoding images", at_once, "--batch-size", divisor=4):
            for pixels, _ in Progress(loader, "encoding images", disable=quiet, leave=False):
                inputs = self.towers.normalize(pixels.to(self.device).float().div_(255))
                features.append(read(inputs).cpu())
        found = torch.cat(features)
        if file:
            save_tensors(file, {"features": found}, {})
        return found

    def predict(self, images: Any, **options: Any) -> Prediction:
        """Ranks of images.

        Args:
            images: A path, a folder, an image (see `towers.ResizedImages`), or a sequence of images and paths.
            options: What `encode` takes, such as `batch_size`.

        Returns:
            Rank, name, median, expectation and probabilities of each.

        Raises:
            InputError: No image at all, one that is missing or cannot be read, or an answer that is not finite.
        """
        if isinstance(images, str | Path) and Path(images).is_dir():
            images = images_in(images)
        elif isinstance(images, str | Path | Image.Image) or 1 < getattr(images, "ndim", 4) < 4:
            images = [images]
        if not len(images):
            raise InputError(
                "predict: no image given; pass at least one, or a folder that holds some."
            )
        probabilities = self.probabilities(self.encode(images, **options))
        if not probabilities.isfinite().all():
            raise InputError(
                "predict: the model's answer is not a finite number; its weights are damaged."
            )
        known = all(isinstance(image, str | Path) for image in images)
        return Prediction.of(
            probabilities, self.ranks, [*images] if known else (), float(self.conformal)
        )

    def stored_tensors(self) -> dict[str, Tensor]:
        """What training may have changed; a tower that stayed frozen is loaded anew from its own weights."""
        frozen = "towers.text." if self.config.image_side == "tower" else "towers."
        return {
            name: value for name, value in self.state_dict().items() if not name.startswith(frozen)
        }

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write `model.safetensors` atomically: `stored_tensors`, with config and ranks in its metadata."""
        config = self.config.to_dict() | {"image_size": self.towers.image_size}
        state: dict[str, Any] = {"config": config, "ranks": self.ranks.to_dict()}
        state |= {"decoder": self.head.decoder} if self.head is not None else {}
        save_tensors(Path(folder) / MODEL, self.stored_tensors(), {"l2rclip": json.dumps(state)})
        return Path(folder) / MODEL

    def push_to_hub(self, name: str, card: str, *, private: bool | None = None) -> str:
        """Publish the model and its card on the Hugging Face hub, in one commit; `hf auth login` comes before.

        Args:
            name: `USER/NAME`; made where it is not there yet.
            card: The model card in Markdown: the `README.md` of the run, with its gaps filled in.
            private: Whether nobody else may see a repository that is made; None leaves that to the hub.

        Returns:
            The commit, for `from_pretrained("hf-hub:USER/NAME", revision=...)`.
        """
        from huggingface_hub import create_repo, upload_folder

        # Not by the mixin: it deletes a run's config.json, and loads a pickle where a repository has no safetensors.
        create_repo(name, private=private, exist_ok=True)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            Path(folder, "README.md").write_text(card, encoding="utf-8")
            return str(
                upload_folder(repo_id=name, folder_path=folder, commit_message="Model and card").oid
            )

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str = "cpu", revision: str = "main"
    ) -> "L2RCLIP":
        """A trained model.

        Args:
            name: A run directory, `"hf-hub:USER/NAME"`, or `"leaves"`: of generated leaves, ships with the
                package; a run directory of that name comes first.
            device: Where to put it.
            revision: Of a repository on the hub: a commit, which nobody can change later, a tag, or a branch.

        Raises:
            InputError: No model there, a file that is not one of ours or is damaged, or a device that is not here.
        """
        if str(name).startswith(HUB):
            from huggingface_hub import hf_hub_download

            try:
                file = Path(hf_hub_download(str(name).removeprefix(HUB), MODEL, revision=revision))
            except (OSError, ValueError) as error:
                raise InputError(
                    f"{name}: no {MODEL} ({one_line(str(error))[:300]}); check name."
                ) from error
        else:
            file = Path(name) / MODEL
            if str(name) == "leaves" and not file.is_file():
                file = Path(__file__).with_name(
                    "leaves.safetensors"
                )  # kernel head and text features
        if not file.is_file():
            raise InputError(
                f"{name}: no {MODEL} here; give the --out of a finished fit, or 'leaves'."
            )
        tensors, metadata = read_tensors(file)
        try:
            model = cls._from_state(json.loads(metadata["l2rclip"]), tensors)
            return model.to(device)
        except (
            Exception
        ) as error:  # whatever a stranger's file leads to, the user sees one sentence
            reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
            raise InputError(
                f"{file}: cannot be used ({reason}); mend it or use another device."
            ) from error

    @classmethod
    def _from_state(cls, state: dict[str, Any], tensors: dict[str, Tensor]) -> "L2RCLIP":
        """What `save_pretrained` wrote. The file may come from a stranger: nothing in it is executed, and it must fit."""
        ranks, config = Ranks.from_dict(state["ranks"]), Config.from_dict(state["config"])
        if config.stage1_epochs() == 0:  # prompts that nobody trained: `rank_features` has them
            tensors = {name: x for name, x in tensors.items() if not name.startswith("prompts.")}
        learned = {name: value for name, value in tensors.items() if name.startswith("prompts.")}
        size = sum(value.numel() for value in learned.values())
        if config.controls.rankformer and learned and size < 2 * config.depth * config.hidden:
            raise ValueError("its RankFormer is larger than the file")
        for name, value in tensors.items():
            counter = name.endswith("num_batches_tracked")
            if (value.dtype != torch.float32 and not counter) or not value.isfinite().all():
                raise ValueError(f"{name} must hold finite float32 numbers")
        fixed = None if learned else tensors["rank_features"]
        model = cls(_towers(config), ranks, config, rank_features=fixed)
        if "head.weight" in tensors:
            decoder = state.get("decoder", "softmax")
            if decoder not in DECODERS:
                raise ValueError(f"its decoder {decoder!r} does not exist")
            outputs = len(ranks) - (decoder in ("coral", "corn"))
            model.head = KernelHead(len(tensors["head.weight"]) - 1, outputs, decoder)
        expected = model.stored_tensors()
        if odd := sorted(expected.keys() ^ tensors.keys()):
            raise ValueError(f"{odd[0]} is missing, or not a tensor of this model")
        model.load_state_dict(tensors, strict=False)  # the frozen towers are not in the file
        return model


class ImageSide(nn.Module):
    """`image_features` as a module of its own: what several processes train together."""

    def __init__(self, model: L2RCLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Pixels) -> Float[Tensor, "batch dim"]:
        """Unit image features."""
        return self.model.image_features(pixels)


def _towers(config: Config, image_size: int | None = None) -> Towers:
    """The towers that a config names."""
    size = config.image_size or image_size
    return load_towers(config.towers, weights=config.weights, image_size=size, seed=config.seed)
