"""Make `l2rclip_lite/mini_alignment.safetensors`: join the two towers of `mini` by their 1,000 common names.

Run it from the repository: `python tools/fit_mini_alignment.py`. Takes about five seconds and no image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from l2rclip_lite.mini import (
    ALIGNMENT,
    NAME_TEMPLATE,
    MiniTowers,
    find_image_weights,
    find_text_folder,
    fit_alignment,
    load_backbone,
    load_bert,
    load_tokenizer,
)


def prototypes() -> tuple[Tensor, Tensor]:
    """The 1,000 classifier rows (1280 numbers each) and the unit MiniLM embeddings of the 1,000 names (384)."""
    from open_clip import IMAGENET_CLASSNAMES

    classifier = load_backbone(find_image_weights(), classifier=True).classifier.weight.detach()
    folder = find_text_folder()
    blank = {"projection": torch.zeros(384, 1280), "text_mean": torch.zeros(384)}
    towers = MiniTowers(torch.nn.Identity(), load_bert(folder), load_tokenizer(folder), blank).eval()
    with torch.inference_mode():
        names = [NAME_TEMPLATE.format(name) for name in IMAGENET_CLASSNAMES]
        texts = torch.cat(
            [towers.encode_text(names[start : start + 100]) for start in range(0, len(names), 100)]
        )
    return classifier, texts


def held_out_recall(classifier: Tensor, texts: Tensor, *, seed: int, shuffle: bool = False) -> float:
    """Fit on 800 names, then find each of the 200 others by its text among their classifier rows: recall@1."""
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed))
    seen, unseen = order[:800], order[800:]
    pairs = seen[torch.randperm(800, generator=torch.Generator().manual_seed(seed + 1))] if shuffle else seen
    fitted = fit_alignment(classifier[seen], texts[pairs])
    images = F.normalize(classifier[unseen] @ fitted["projection"].T, dim=-1)
    sentences = F.normalize(texts[unseen] - fitted["text_mean"], dim=-1)
    return float(((sentences @ images.T).argmax(1) == torch.arange(200)).float().mean())


def main() -> None:
    """Report recall on unseen names, then write the map fitted on all of them."""
    classifier, texts = prototypes()
    for shuffle in (False, True):
        recall = [held_out_recall(classifier, texts, seed=seed, shuffle=shuffle) for seed in range(5)]
        what = "shuffled pairs" if shuffle else "true pairs"
        print(f"recall@1 of 200 unseen names, {what}: {sum(recall) / 5:.3f} (chance 0.005), splits {recall}")
    save_file(
        fit_alignment(classifier, texts), ALIGNMENT, metadata={"template": NAME_TEMPLATE, "ridge": "10"}
    )


if __name__ == "__main__":
    main()
