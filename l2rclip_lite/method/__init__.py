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

The towers are in `l2rclip_lite.towers`. The two folders import torch, each other, shapes and
errors; only `model` knows images and files, and the stages know `training_data`.
"""
