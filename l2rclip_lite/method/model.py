r"""The model: towers, prompts and ranks together, as an ordinary PyTorch module.

$$l_{ik} = s\; z_i \cdot t_k$$

with unit image features z, unit text features t and the towers' scale s.
"""

import torch
from torch import Tensor, nn

from ..towers.base import Towers
from . import Backbone, Features, Logits, Pixels, Scalar, Texts
from .prompts import RankPrompts
from .ranks import Ranks


class RankModel(nn.Module):
    """A dual encoder that compares images with sentences about the ranks.

    In training mode the texts are encoded anew in every forward pass; in evaluation images are
    compared with `rank_features`, the text features of the last `eval()` or `refresh()`. The stages
    need no training mode: they encode the prompts themselves. The towers stay in
    evaluation mode: BatchNorm statistics of a pretrained tower do not follow small batches. Which
    parameters learn is up to `requires_grad`, see `stages.freeze`.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        prompts: What makes the text features; None where they are fixed.
        rank_features: K fixed text features; None where prompts make them.

    Example:
        >>> from l2rclip_lite.towers import load_towers
        >>> towers = load_towers("tiny/random")
        >>> ranks = Ranks(("low", "high"), (0, 1), template="a leaf with {rank} damage")
        >>> model = RankModel(towers, ranks, RankPrompts(towers, ranks, heads=2))
        >>> model(torch.zeros(3, 3, 64, 64)).shape
        torch.Size([3, 2])
    """

    rank_features: Tensor

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        prompts: RankPrompts | None = None,
        rank_features: Texts | None = None,
    ) -> None:
        super().__init__()
        self.towers = towers
        self.ranks = ranks
        self.prompts = prompts

        if rank_features is None:
            rank_features = towers.logit_scale.new_zeros(len(ranks), towers.dim)
        self.register_buffer("rank_features", rank_features)
        self.refresh()
        super().train(False)

    def forward(self, pixels: Pixels) -> Logits:
        """Return the logits of normalised pixels, see `Towers.normalize`."""
        return self.logits(self.image_features(pixels))

    def logits(self, features: Features) -> Logits:
        """Return logits s · z_i · t_k of image features."""
        return self.scale * features @ self.text_features().T

    def image_features(self, pixels: Pixels) -> Features:
        """Return unit image features z_i."""
        return self.towers.project(self.backbone(pixels))

    def backbone(self, pixels: Pixels) -> Backbone:
        """Return image features before their projection, in the model's own type."""
        dtype = self.rank_features.dtype
        return self.towers.backbone(pixels.to(dtype)).to(dtype)

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

    def train(self, mode: bool = True) -> "RankModel":
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
