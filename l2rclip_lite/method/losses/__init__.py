r"""The losses of L2RCLIP: contrastive, ordinal pairwise in its two released forms, and RPS.

Notation: image features $z_i$ (B of them) and text features $t_k$ (K of them) are unit vectors,
$y_i$ is the rank of image i, $r_k$ the value of rank k. For unit vectors
$z\cdot t = 1-\lVert z-t\rVert^2/2$, so cross-entropy pulls an image to its own text and pushes
*all* texts away alike; it is blind to order. The pairwise loss pushes by rank distance. All
distances are computed in fp32, also under autocast.
"""

from l2rclip_lite.method.losses.checks import (
    Batch,
    Labels,
    Loss,
    Scale,
    Targets,
    Texts,
    Values,
    checked_target,
)
from l2rclip_lite.method.losses.contrastive import (
    asymmetrical_contrastive_loss,
    contrastive_loss,
    supervised_contrastive_loss,
)
from l2rclip_lite.method.losses.pairwise import (
    Normalise,
    Order,
    distances,
    diversity,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
    rank_weights,
    tightness,
)
from l2rclip_lite.method.losses.ranked_probability import ranked_probability_loss

__all__ = [
    "Batch",
    "Labels",
    "Loss",
    "Normalise",
    "Order",
    "Scale",
    "Targets",
    "Texts",
    "Values",
    "asymmetrical_contrastive_loss",
    "checked_target",
    "contrastive_loss",
    "distances",
    "diversity",
    "ordinal_pairwise_loss",
    "ordinal_pairwise_loss_stage1",
    "rank_weights",
    "ranked_probability_loss",
    "supervised_contrastive_loss",
    "tightness",
]
