"""Train RankFormer on names and on percentages, and write who looks at whom in each slot.

    python tools/attention_data.py

`book/results/attention.json` holds the attention of RankFormer along the axis `rank`, before and
after stage 1 of the package with its default settings: for chapter 4. Equal words in a slot look
alike and are looked at alike, so a slot has a small matrix of its different words: row u, column v
is the weight that u gives to one copy of v, in units of 1e-5. Takes two minutes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

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
WORD = "damage"  # in every sentence
Weights = Float[Tensor, "rank rank"]


class RankSet(NamedTuple):
    """Leaves in K ranks, a number of images, and seeds; the page shows weights of the first."""

    title: str
    ranks: int
    size: int
    seeds: Sequence[int]


SETS = {
    "names": RankSet("five names", 5, 400, (0, 1, 2)),
    "percents": RankSet("twelve percentages", 12, 600, (0,)),
}


class Trained(NamedTuple):
    """A slot of a run: the word of each rank, and weights over looking and seen ranks."""

    slot: int
    words: list[str | None]
    before: Weights
    after: Weights


def train(chosen: RankSet, seed: int) -> tuple[Sequence[str], list[Trained]]:
    """Train stage 1 on leaves; return the names of ranks, and attention at both ends by slot."""
    data = load_dataset("leaves", ranks=chosen.ranks, size=chosen.size, seed=seed, pixels=PIXELS)
    model = L2RCLIP.build(data.ranks, Config(image_size=PIXELS, seed=seed, threads=1))
    prompts = model.prompts
    assert prompts is not None  # as the default settings have it
    assert prompts.rankformer is not None
    tokens = prompts.tokens
    embeddings = prompts.sentence_embeddings

    before = attention_weights(prompts.rankformer, embeddings, tokens)
    list(stage1_epochs(model, TrainingData.load(data, model)))
    after = attention_weights(prompts.rankformer, embeddings, tokens)

    slots = []
    spelt = spellings(model.towers, tokens)
    for slot in range(tokens.ids.shape[1]):
        is_word = tokens.words[:, slot].tolist()
        column = [row[slot] for row in spelt]
        words = [text if real else None for text, real in zip(column, is_word, strict=True)]
        if any(words):
            slots.append(Trained(slot, words, before[slot], after[slot]))
    return data.ranks.names, slots


def copies(trained: Trained, seed: int) -> dict[str, Any]:
    """Return how much of the attention of `WORD` goes to copies of itself, and an even share."""
    places = [rank for rank, word in enumerate(trained.words) if word == WORD]
    real = [word for word in trained.words if word is not None]
    row = {"seed": seed, "slot": trained.slot, "even": round(len(places) / len(real), 4)}
    for when in ("before", "after"):
        weights = getattr(trained, when)
        row[when] = round(float(weights[places[0], places].sum()), 4)
    return row


def by_word(trained: Trained) -> dict[str, Any]:
    """Return the different words of a slot, and the weight that each gives to a copy of each."""
    words = trained.words
    different = list(dict.fromkeys(word for word in words if word is not None))
    first = [words.index(word) for word in different]
    places = [None if word is None else different.index(word) for word in words]
    row = {"slot": trained.slot, "words": different, "of": places}
    for when in ("before", "after"):
        weights = getattr(trained, when)[first][:, first]
        row[when] = (weights / UNIT).round().long().tolist()
    return row


def rank_set(key: str, chosen: RankSet) -> dict[str, Any]:
    """Train a rank set with each of its seeds, and return what the page needs."""
    shares = []
    content: dict[str, Any] = {"key": key, "title": chosen.title}
    for seed in chosen.seeds:
        names, slots = train(chosen, seed)
        for trained in slots:
            others = {*trained.words} - {None, WORD}
            if WORD in trained.words and others:
                shares.append(copies(trained, seed))
        if seed == chosen.seeds[0]:
            content |= {"names": list(names), "slots": [by_word(trained) for trained in slots]}
    return content | {"copies": shares}


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    content = {
        "commit": chapters.short_commit(),
        "word": WORD,
        "unit": UNIT,
        "sets": [rank_set(key, chosen) for key, chosen in SETS.items()],
    }
    write_text(FILE, json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
