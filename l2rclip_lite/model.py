"""L2RCLIP: towers, prompts and ranks together; logits, probabilities, predictions; save and load."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from l2rclip_lite.adapter import FeatureMap
from l2rclip_lite.calibration_file import read_calibration
from l2rclip_lite.config import Config
from l2rclip_lite.data.files import on_white, read_image
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import save_tensors
from l2rclip_lite.images import as_bytes
from l2rclip_lite.model_file import refuse_larger, refuse_misfit, refuse_other_numbers, shapes_in
from l2rclip_lite.pixels import PixelSource, in_batches
from l2rclip_lite.progress import track
from l2rclip_lite.prompts import RandomPrototypes, RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.tensor_file import open_tensors
from l2rclip_lite.towers import Towers, load_towers

MODEL_FILE = "model.safetensors"
DAMAGE = (
    SafetensorError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    OSError,
)


@dataclass(frozen=True)
class Prediction:
    """What the model says about B images.

    Args:
        rank: Index of the most probable rank.
        name: Its name.
        expected: Expectation of the rank values under the probabilities, in the unit of the ranks.
        probabilities: One row an image, adding to 1.
    """

    rank: Int[Tensor, " batch"]
    name: tuple[str, ...]
    expected: Float[Tensor, " batch"]
    probabilities: Float[Tensor, "batch rank"]

    @classmethod
    def of(cls, probabilities: Float[Tensor, "batch rank"], ranks: Ranks) -> Prediction:
        """Read both answers, argmax and expectation, off the probabilities.

        Example:
            >>> ranks = Ranks(("low", "high"), (0, 1), template="a {rank} grade")
            >>> Prediction.of(torch.tensor([[0.25, 0.75]]), ranks).name
            ('high',)
        """
        rank = probabilities.argmax(1)
        return cls(
            rank, tuple(ranks.names[k] for k in rank), probabilities @ ranks.values_tensor(), probabilities
        )


class L2RCLIP(nn.Module):
    """A dual encoder whose text side speaks the ranks.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: How the prompts are built.

    Its `temperature` divides the logits before the softmax. It is 1 unless `load` finds a `calibration.json`, and it is
    no part of what `save` writes.
    """

    rank_features: Tensor

    def __init__(self, towers: Towers, ranks: Ranks, config: Config) -> None:
        super().__init__()
        self.ranks, self.config = ranks, config
        self.temperature = 1.0
        self.towers = towers
        self.adapter = FeatureMap(towers.dim) if config.image_side == "adapter" else nn.Identity()
        self.prompts = _prompts(towers, ranks, config)
        self.register_buffer("rank_features", torch.zeros(len(ranks), towers.dim))
        self.refresh()
        self.eval()

    @classmethod
    def build(cls, ranks: Ranks, config: Config, image_size: int | None = None) -> L2RCLIP:
        """A fresh model from a config; `image_size` is the data set's suggestion."""
        size = config.image_size or image_size
        return cls(
            load_towers(config.towers, weights=config.weights, image_size=size, seed=config.seed),
            ranks,
            config,
        )

    @property
    def scale(self) -> Float[Tensor, ""]:
        """S = exp(logit_scale)."""
        return self.towers.logit_scale.exp()

    @torch.no_grad()
    def refresh(self) -> None:
        """Encode the prompts once and keep the K text features; called whenever the prompts have changed."""
        self.rank_features.copy_(self.prompts())

    def encode_bytes(self, pixels: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """Unit image features of squashed pictures, as bytes; those of the tower, before an adapter.

        With a `micro_batch`, a training step forgets the activations of each part of the batch and computes them again
        on the way back, one part at a time: memory for one part, the gradient of the whole batch.
        """
        most = self.config.micro_batch or len(pixels)
        if len(pixels) <= most or not torch.is_grad_enabled():
            return self._encode(pixels)
        parts = (checkpoint(self._encode, part, use_reentrant=False) for part in torch.split(pixels, most))
        return torch.cat(list(parts))

    def _encode(self, pixels: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        pixels = pixels.to(self.rank_features.device, non_blocking=True)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            return self.towers.encode_image(self.towers.normalize(pixels.float() / 255)).float()

    @torch.inference_mode()
    def features(
        self, pixels: PixelSource, *, batch_size: int = 32, quiet: bool = True
    ) -> Float[Tensor, "batch dim"]:
        """Image features of any number of pictures, in batches, on the CPU.

        Args:
            pixels: Squashed pictures, in memory or decoded when needed.
            batch_size: Pictures at once.
            quiet: Whether to hide the progress bar.
        """
        total = math.ceil(len(pixels) / batch_size)
        batches = track(in_batches(pixels, batch_size), "encoding pictures", quiet=quiet, total=total)
        return torch.cat([self.adapter(self.encode_bytes(batch)).cpu() for batch in batches])

    def logits(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch rank"]:
        """S · z · t against the cached text features, before any temperature."""
        return self.scale * features @ self.rank_features.T.to(features.device)

    @torch.inference_mode()
    def probabilities(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch rank"]:
        """Softmax of the logits over the temperature, on the CPU."""
        logits = self.logits(features.to(self.rank_features.device))
        return F.softmax(logits / self.temperature, dim=1).cpu()

    def predict(
        self, images: Sequence[Image.Image | str | Path], *, batch_size: int = 32, quiet: bool = True
    ) -> Prediction:
        """Ranks of pictures, given as PIL images or as paths.

        Args:
            images: At least one picture.
            batch_size: Pictures at once.
            quiet: Whether to hide the progress bar.

        Returns:
            Rank, name, expectation and probabilities of each.

        Raises:
            InputError: No picture at all, one that is missing or cannot be read, or a model whose answer is no number.
        """
        if not images:
            raise InputError("predict: no picture given; pass at least one.")
        bytes_ = torch.stack([as_bytes(self.towers.squash(_open(image))) for image in images])
        probabilities = self.probabilities(self.features(bytes_, batch_size=batch_size, quiet=quiet))
        if not probabilities.isfinite().all():
            raise InputError("predict: the model's answer is not a finite number; its weights are damaged.")
        return Prediction.of(probabilities, self.ranks)

    def changed_tensors(self) -> dict[str, Tensor]:
        """What training may change: image tower, adapter, prompts, text features. The text tower stays frozen and out."""
        return {
            name: value for name, value in self.state_dict().items() if not name.startswith("towers.text.")
        }

    def save(self, folder: str | Path) -> Path:
        """Write `model.safetensors`: every tensor that training may change, with config and ranks in its metadata."""
        file = Path(folder) / MODEL_FILE
        size = {"image_size": self.towers.image_size}
        state = json.dumps({"config": self.config.to_dict() | size, "ranks": self.ranks.to_dict()})
        save_tensors(file, self.changed_tensors(), {"l2rclip": state})
        return file

    @classmethod
    def _read(cls, file: Path) -> L2RCLIP:
        """What `save` wrote; all that can be checked without memory is checked before anything is built."""
        with open_tensors(file) as stored:
            state = json.loads((stored.metadata() or {})["l2rclip"])
            ranks, config = Ranks.from_dict(state["ranks"]), Config.from_dict(state["config"])
            found = shapes_in(stored)
            refuse_larger(config, ranks, found)
            model = cls.build(ranks, config)
            own = model.changed_tensors()
            refuse_misfit(found, own)
            tensors = {name: stored.get_tensor(name) for name in found}
        refuse_other_numbers(tensors, own)
        model.load_state_dict(tensors, strict=False)  # the text tower is not in the file
        return model

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu", calibrated: bool = True) -> L2RCLIP:
        """The model of a finished run.

        Args:
            folder: A run directory, or any folder with `model.safetensors`.
            device: Where to put it.
            calibrated: Whether to use the temperature of a `calibration.json` beside it, if there is one.

        Raises:
            InputError: No model there, a file that is not one of ours or is damaged, a config that asks for more than
                the file holds, or a calibration of another model.
        """
        file = Path(folder) / MODEL_FILE
        if not file.is_file():
            raise InputError(f"{folder}: no {MODEL_FILE} here; give the --out of a finished `l2rclip fit`.")
        calibration = read_calibration(file) if calibrated else None
        try:
            model = cls._read(file)
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
        except DAMAGE as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{file}: not a model written by this package ({reason}); train the run again."
            ) from error
        if calibration is not None:
            model.temperature = calibration.temperature
        return model.to(device)


def _prompts(towers: Towers, ranks: Ranks, config: Config) -> RankPrompts | RandomPrototypes:
    """What gives the K text features, as the config says."""
    if config.prototypes == "random":
        return RandomPrototypes(len(ranks), towers.dim, centre=config.centre, seed=config.seed)
    return RankPrompts(
        towers,
        ranks,
        context_length=config.context_length,
        rankformer=config.rankformer,
        centre=config.centre,
        seed=config.seed,
        axis=config.axis,
        alpha=config.alpha,
        learn_alpha=config.learn_alpha,
        heads=config.heads,
        hidden=config.hidden,
        depth=config.depth,
        shuffled=config.prototypes == "shuffled",
    )


def _open(image: Image.Image | str | Path) -> Image.Image:
    """A picture as it is, or read from its path."""
    return on_white(image) if isinstance(image, Image.Image) else read_image(Path(image), str(image))
