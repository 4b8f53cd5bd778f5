"""The shapes of the tensors that go from room to room, by name; jaxtyping checks them in tests.

`batch` counts images, `rank` the K ranks, `dim` the numbers of a feature in the space of images and
texts, `feature` those of a feature before its projection, `width` those of a word embedding, and
`token` the slots of a sentence.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Pixels = Float[Tensor, "batch 3 height width"]  # normalised, see `Towers.normalize`
Backbone = Float[Tensor, "batch feature"]  # see `Towers.backbone`
Features = Float[Tensor, "batch dim"]  # z, a row per image; in the losses of unit length
Logits = Float[Tensor, "batch rank"]
Probabilities = Float[Tensor, "batch rank"]
Targets = Int[Tensor, " batch"]  # rank indices y
Labels = Float[Tensor, " batch"] | Int[Tensor, " batch"]

Ids = Int[Tensor, "rank token"]
Slots = Bool[Tensor, "rank token"]
Embeddings = Float[Tensor, "rank token width"]
Texts = Float[Tensor, "rank dim"]  # t, a row per rank
Values = Float[Tensor, " rank"]  # r, increasing

Scalar = Float[Tensor, ""]
Scale = float | Scalar  # s, above 0
