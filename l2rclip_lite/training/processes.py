"""Several processes that train one image tower, and get what one process alone would get.

Each process encodes its part of a batch. The features, which are small, are put together, so that
every process computes the loss of the whole batch: a term that compares images with each other, a
weight that is divided by the largest gap of a batch, and a loss that is not finite are the same in
all of them.
"""

import math

import torch
from accelerate import Accelerator, PartialState
from jaxtyping import Float, Int
from torch import Tensor, nn

from l2rclip_lite.model import L2RCLIP, ImageSide
from l2rclip_lite.towers.base import Pixels


def step_size(batch_size: int) -> int:
    """Return the images of a step of stage 2, of all processes together."""
    return batch_size * PartialState().num_processes


def own_rows(count: int) -> Int[Tensor, " own"]:
    """Return which of the `count` images of a batch this process encodes.

    All processes get equally many, in the order of the batch: what is missing at the end is filled
    by its first images, whose features are not used.

    Example:
        >>> own_rows(3)  # of one process
        tensor([0, 1, 2])
    """
    state = PartialState()
    each = math.ceil(count / state.num_processes)
    first = state.process_index * each
    return torch.arange(first, first + each) % count


class GatheredImageSide:
    """Unit image features of a whole batch, of which each process encodes its part.

    The gradient of every process is that of the whole batch: `all_gather` sums what the processes
    send back, which is the same N times, and their parameters take the mean.

    Args:
        model: Whose image tower trains; call it after `freeze`.
    """

    def __init__(self, model: L2RCLIP) -> None:
        self.encode: nn.Module = ImageSide(model)
        self.several = PartialState().num_processes > 1
        if self.several:
            self.encode = Accelerator().prepare(self.encode)

    def __call__(self, pixels: Pixels, count: int, views: int = 1) -> Float[Tensor, "image dim"]:
        """Return the features of `count` images, in the order of the batch.

        Args:
            pixels: Those of `own_rows(count)`, of each view after the other.
            count: Images of the whole batch.
            views: How often each of them is there.
        """
        features = self.encode(pixels)
        if not self.several:
            return features

        from torch.distributed.nn.functional import all_gather  # not in every build of torch

        by_image = features.unflatten(0, (views, -1)).transpose(0, 1).contiguous()
        whole = torch.cat(all_gather(by_image))[:count]  # type: ignore[no-untyped-call]
        return whole.transpose(0, 1).flatten(0, 1)
