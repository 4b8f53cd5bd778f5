"""The method of the paper, from sentences to answers; read it in this order.

    ranks ─► prompts ─► text tower ─► t_k ┐
             (rankformer)                 ├─► model ─► losses, prediction
    images ──────────► image tower ─► z_i ┘

1. `ranks`: the ordered label space, and a sentence for each rank.
2. `rankformer`: attention over the words of all sentences, blended back as a residual.
3. `prompts`: context vectors in front of the refined words; the text tower makes t_k of them.
4. `model`: `L2RCLIP`, logits s · z_i · t_k, and how a model is asked, saved and loaded.
5. `losses`: what stage 1 trains prompts by, and stage 2 the image side.
6. `stages`: what trains in which stage, and by which loss; `optimisation` is the
   machinery of both: optimiser, schedule, seeds, the epoch that is kept.
7. `prediction`: most probable rank, median, expectation and interval of the probabilities.

Here stand the shapes of the tensors that go from room to room, by name; jaxtyping checks them in
tests. `batch` counts images, `rank` the K ranks, `dim` the numbers of a feature in the space of
images and texts, `feature` those of a feature before its projection, `width` those of a word
embedding, and `token` the slots of a sentence.

The towers are in `l2rclip_lite.towers`. The two folders import torch, each other and errors; what
five of their files need beside (settings, images, files, training data) is listed in
`tests/unit/test_rooms.py`.
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
