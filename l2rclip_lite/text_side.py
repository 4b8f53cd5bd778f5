"""The text side of a model: prompts, and K text features that follow them."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.config import Config
from l2rclip_lite.prompts import RankPrompts, build_prompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.base import Towers


class TextSide(nn.Module):
    """Text features of the ranks: encoded in every forward pass while they learn, else kept.

    Kept features are encoded anew as soon as something that they were computed from has changed.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: How prompts are built.
        rank_features: K fixed text features, in place of prompts.
    """

    rank_features: Tensor

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        config: Config,
        rank_features: Float[Tensor, "rank dim"] | None = None,
    ) -> None:
        super().__init__()
        self.ranks = ranks
        self.config = config
        self.towers = towers
        self._text_versions: tuple[tuple[int, int], ...] | None = None

        self.prompts: RankPrompts | None = None
        if rank_features is None:
            self.prompts = build_prompts(towers, ranks, config).to(towers.logit_scale.device)
            rank_features = self._encoded(self.prompts)
        self.register_buffer("rank_features", rank_features)
        self._remember_text()

        module: Any = super()  # torch has no types for its hooks
        module.register_state_dict_pre_hook(TextSide._before_state_dict)
        module.register_load_state_dict_post_hook(TextSide._after_load_state_dict)

    @torch.no_grad()
    def refresh(self) -> None:
        """Encode the prompts, and keep the K text features.

        The model does so by itself when its prompts have changed, unless they were written in a way
        that torch does not count: through `.data`, or by a fused optimiser in evaluation mode.
        """
        if self.prompts is not None:
            self.rank_features.copy_(self._encoded(self.prompts))
        self._remember_text()

    @torch.no_grad()
    def _encoded(self, prompts: RankPrompts) -> Float[Tensor, "rank dim"]:
        """Return the K text features of prompts, the same under any autocast."""
        device = self.towers.logit_scale.device.type
        with torch.autocast(device, enabled=False):
            features: Tensor = prompts(self.towers)
        return features

    def text_features(self) -> Float[Tensor, "rank dim"]:
        """Return the K unit text features t_k; differentiable while prompts or text tower learn."""
        if self.prompts is not None and self._text_learns():
            # a fused optimiser may change them, which torch does not count
            self._text_versions = None
            return self.prompts(self.towers)
        self._bring_up_to_date()
        return self.rank_features

    def _text_parameters(self) -> list[nn.Parameter]:
        """Return what `rank_features` are computed from; nothing where they are fixed."""
        if self.prompts is None:
            return []
        text: nn.Module = self.towers.text  # type: ignore[assignment]  # see `Towers`
        return [*self.prompts.parameters(), *text.parameters()]

    def _text_learns(self) -> bool:
        """Return whether text features have to be encoded in every forward pass."""
        if not self.training:
            return False
        return any(parameter.requires_grad for parameter in self._text_parameters())

    def _versions(self) -> tuple[tuple[int, int], ...]:
        """Return the identity of each text parameter, and how often torch has written into it."""
        versions = []
        for parameter in self._text_parameters():
            writes = 0 if parameter.is_inference() else parameter._version
            versions.append((id(parameter), writes))
        return tuple(versions)

    def _remember_text(self) -> None:
        """Note what `rank_features` belong to."""
        self._text_versions = self._versions()

    def _bring_up_to_date(self) -> None:
        """Encode the texts if something that they were computed from has changed since.

        A compiled graph cannot read versions. It sees that texts have been learned since, not that
        somebody has written into them otherwise; `train` and `eval` see that.
        """
        if self.prompts is None:
            return

        if self._text_versions is None:
            is_current = False
        elif torch.compiler.is_compiling():
            is_current = True
        else:
            is_current = self._text_versions == self._versions()
        if not is_current:
            self.refresh()

    def _before_state_dict(self, prefix: str, keep_vars: bool) -> None:
        """Let a state hold the text features of its own prompts; torch calls it."""
        self._bring_up_to_date()

    def _after_load_state_dict(self, incompatible: Any) -> None:
        """Take the text features that came with a state as those of its prompts; torch calls it.

        To encode them anew could round otherwise.
        """
        if not any(name.endswith("rank_features") for name in incompatible.missing_keys):
            self._remember_text()
