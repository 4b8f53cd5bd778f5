"""Dual encoders by name: the offline default `mini`, and open_clip behind the same interface."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import InputError
from .base import Towers


def load_towers(
    name: str = "mini",
    *,
    weights: str | Path | None = None,
    image_size: int | None = None,
    seed: int = 0,
    allow_download: bool = True,
    commits: Mapping[str, str] | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> Towers:
    """Return a dual encoder by its name.

    Args:
        name: `"mini"` (offline default), `"tiny/random"` (3 M parameters, for tests), `"MODEL/TAG"`
            as open_clip spells them (`"ViT-B-16/openai"`, `"ViT-B-16-SigLIP/webli"`),
            `"MODEL/random"`, or `"MODEL"` together with `weights`. CLIP (ViT, RN, EVA, MobileCLIP,
            PE), CLIPA, SigLIP and CoCa work; models whose text tower comes from the transformers
            library do not. The tokenizers of SigLIP and CLIPA are downloaded once.
        weights: A local safetensors file for an open_clip model. Name its tag all the same where it
            has one ("ViT-B-16/openai"): the tag decides the activation, and the mean of the pixels.
        image_size: Side of the input image, pixels; None takes the tower's own.
        seed: Seeds random weights.
        allow_download: Whether weights and tokenizer may be downloaded from the Hugging Face hub
            where this machine lacks them; only as safetensors and JSON.
        commits: By repository on the hub, the commit to take; of others what this machine has of
            their main branch, else that branch as it is now. The towers keep the commits that they
            came from in `Towers.commits`.
        state: The whole state of open_clip towers, in place of weights: its names and shapes are
            compared, its numbers are for the caller to load.

    Returns:
        The towers, in eval mode.

    Raises:
        NotAllowedError: Weights or a tokenizer would have to be downloaded; an `InputError`.
        InputError: An unknown name, another kind of text tower, or weights or a tokenizer that are
            neither here nor to be had.

    Example:
        >>> load_towers("tiny/random").encode_text(["a photo of a leaf"]).shape
        torch.Size([1, 64])
    """
    if weights is not None and name in ("mini", "tiny/random"):
        raise InputError(f"towers: {name!r} brings its own weights; leave weights out.")
    if name == "mini" and state is None:
        from .mini import MiniTowers

        return MiniTowers.from_installed(image_size=image_size or 224).eval()

    from .open_clip import HubFiles, load_open_clip  # four seconds

    hub = HubFiles(allow_download, commits)
    return load_open_clip(
        name, weights=weights, state=state, image_size=image_size, seed=seed, hub=hub
    )
