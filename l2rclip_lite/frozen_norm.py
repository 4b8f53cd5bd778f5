"""BatchNorm with frozen statistics, computed on the weights instead of on the pictures.

While fine-tuning, BatchNorm stays in eval mode, so it is a fixed scale and shift a channel. Applied to the convolution's
weight rather than to its output it is the same function with the same parameters and the same gradients, and saves one
pass over every activation, forward and backward.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from timm.layers.padding import pad_same
from torch import Tensor, nn


class FrozenNormConv2d(nn.Module):
    r"""$y = \mathrm{conv}(x;\,w\gamma/\sigma) + \beta - \mu\gamma/\sigma$: a convolution and its BatchNorm in eval mode.

    Args:
        conv: A convolution without bias (timm's TensorFlow-style padding is kept).
        norm: The BatchNorm behind it; its activation is not applied here.
    """

    def __init__(self, conv: nn.Conv2d, norm: BatchNormAct2d) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm
        self.norm.act = nn.Identity()
        self.pad_same = isinstance(conv, Conv2dSame)

    def forward(
        self, x: Float[Tensor, "batch inner height width"]
    ) -> Float[Tensor, "batch outer height2 width2"]:
        """The normalised convolution."""
        conv: Any = self.conv
        norm: Any = self.norm
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = conv.weight * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
        padding = conv.padding
        if self.pad_same:
            x, padding = pad_same(x, conv.kernel_size, conv.stride, conv.dilation), 0
        return F.conv2d(x, weight, bias, conv.stride, padding, conv.dilation, conv.groups)


def freeze_norms(model: nn.Module) -> nn.Module:
    """Join every convolution with the BatchNorm behind it, in place.

    Args:
        model: A timm EfficientNet: in each block the i-th convolution is followed by the i-th BatchNorm.

    Returns:
        The same model, numerically equal in eval mode.
    """
    for module in list(model.modules()):
        convs = [name for name, child in module.named_children() if isinstance(child, nn.Conv2d)]
        norms = [name for name, child in module.named_children() if isinstance(child, BatchNormAct2d)]
        for conv, norm in zip(convs, norms, strict=True):
            layer = getattr(module, norm)
            activation = layer.act
            setattr(module, conv, FrozenNormConv2d(getattr(module, conv), layer))
            setattr(module, norm, activation)
    return model
