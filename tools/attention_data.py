"""Train RankFormer on names and on percentages, and write who looks at whom in each slot.

    python tools/attention_data.py

`book/results/attention.json` holds the attention of RankFormer along the axis `rank`, before and
after stage 1 of the package with its default settings: for chapter 4. Equal words in a slot look
alike and are looked at alike, so a slot has a small matrix of its different words: row u, column v
is the weight that u gives to one copy of v, in units of 1e-5. Takes two minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import chapters
import torch
from jaxtyping import Float
from torch import Tensor

from l2rclip_book.rankformer_figures import attention_weights, spellings
from l2rclip_lite import L2RCLIP, Config, load_dataset
from l2rclip_lite.files import write_text
from l2rclip_lite.stages import stage1_epochs
from l2rclip_lite.training_data import TrainingData

FILE = chapters.BOOK / "results" / "attention.json"
UNIT = 1e-5  # of a stored weight
PIXELS = 64
Weights = Float[Tensor, "rank rank"]


SETS = {  # title, ranks and images
    "names": ("five names", 5, 400),
    "percents": ("twelve percentages", 12, 600),
}


def rank_set(key: str, title: str, ranks: int, size: int) -> dict[str, Any]:
    """Train stage 1 on drawn leaves, and return what the page needs of each slot with words."""
    data = load_dataset("leaves", ranks=ranks, size=size, seed=0, pixels=PIXELS)
    model = L2RCLIP.build(data.ranks, Config(image_size=PIXELS, threads=1))
    prompts = model.prompts
    assert prompts is not None  # as the default settings have it
    assert prompts.rankformer is not None
    tokens = prompts.tokens
    embeddings = prompts.sentence_embeddings

    weights = {"before": attention_weights(prompts.rankformer, embeddings, tokens)}
    list(stage1_epochs(model, TrainingData.load(data, model)))
    weights["after"] = attention_weights(prompts.rankformer, embeddings, tokens)

    slots = []
    spelt = spellings(model.towers, tokens)
    for slot, is_word in enumerate(tokens.words.T.tolist()):
        if any(is_word):
            words = [row[slot] if real else None for row, real in zip(spelt, is_word, strict=True)]
            of_slot = {when: of_slots[slot] for when, of_slots in weights.items()}
            slots.append({"slot": slot} | by_word(words, of_slot))
    return {"key": key, "title": title, "names": list(data.ranks.names), "slots": slots}


def by_word(words: Sequence[str | None], weights: Mapping[str, Weights]) -> dict[str, Any]:
    """Return the different words of a slot, and the weight that each gives to a copy of each.

    Args:
        words: Of each rank; None where its sentence has none.
        weights: Over looking and seen ranks, before and after training.
    """
    different = list(dict.fromkeys(word for word in words if word is not None))
    first = [words.index(word) for word in different]
    places = [None if word is None else different.index(word) for word in words]
    row: dict[str, Any] = {"words": different, "of": places}
    for when, of_ranks in weights.items():
        row[when] = (of_ranks[first][:, first] / UNIT).round().long().tolist()
    return row


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    content = {
        "commit": chapters.short_commit(),
        "word": "damage",  # in every sentence
        "unit": UNIT,
        "sets": [rank_set(key, *chosen) for key, chosen in SETS.items()],
    }
    write_text(FILE, json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
