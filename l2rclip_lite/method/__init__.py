"""The method of the paper, from sentences to logits; read it in this order.

    ranks ─► prompts ─► text tower ─► t_k ┐
             (rankformer)                 ├─► model ─► losses
    images ──────────► image tower ─► z_i ┘

1. `ranks`: the ordered label space, and a sentence for each rank.
2. `rankformer`: attention over the words of all sentences, blended back as a residual.
3. `prompts`: context vectors in front of the refined words; the text tower makes t_k of them.
4. `model`: `RankModel`, towers and prompts together: logits s · z_i · t_k.
5. `losses`: what stage 1 trains prompts by, and stage 2 the image side.
6. `stages`: what trains in which stage, and by which loss; `optimisation` is the
   machinery of both: optimiser, schedule, seeds, the epoch that is kept.

Here stand the shapes of the tensors that go from room to room, by name; jaxtyping checks them in
tests. `batch` counts images, `rank` the K ranks, `dim` the numbers of a feature in the space of
images and texts, `feature` those of a feature before its projection, `width` those of a word
embedding, and `token` the slots of a sentence.

The towers, and the tokens of sentences, are in `towers/`, beside this folder. `method/` and
`towers/` import torch and what the towers are made of; of ours each other and `errors.py`. So these
three can be copied into a project of your own, under any name. What is around them stays behind:
`l2rclip_lite.model.L2RCLIP`, the same module with settings, images, files and heads on features;
cached features and scores (`training_data`), settings of the stages and checkpoints (`stages`).
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
