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
    """One run: the words in each slot, and weights over slots, looking and seen ranks."""

    names: Sequence[str]
    words: list[list[str | None]]
    before: Float[Tensor, "slot rank rank"]
    after: Float[Tensor, "slot rank rank"]


def train(chosen: RankSet, seed: int) -> Trained:
    """Train stage 1 on leaves, and keep the attention of its first and its last moment."""
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

    words = []
    spelt = spellings(model.towers, tokens)
    for slot in range(tokens.ids.shape[1]):
        is_word = tokens.words[:, slot].tolist()
        column = [row[slot] for row in spelt]
        words.append([text if real else None for text, real in zip(column, is_word, strict=True)])
    return Trained(data.ranks.names, words, before, after)


def by_word(
    words: Sequence[str | None], weights: Float[Tensor, "rank rank"]
) -> tuple[list[str], list[list[int]]]:
    """Return the different words of a slot, and the weight that each gives to a copy of each."""
    different = list(dict.fromkeys(word for word in words if word is not None))
    first = [words.index(word) for word in different]
    small = weights[first][:, first]
    return different, (small / UNIT).round().long().tolist()


def share_of_copies(words: Sequence[str | None], weights: Float[Tensor, "rank rank"]) -> float:
    """Return how much of the attention of `WORD` goes to copies of itself in a slot."""
    copies = [rank for rank, word in enumerate(words) if word == WORD]
    return round(float(weights[copies[0], copies].sum()), 4)


def copies(trained: Trained, seed: int) -> list[dict[str, Any]]:
    """Return, for each slot where `WORD` meets other words, what it gives to its copies."""
    rows = []
    for slot, words in enumerate(trained.words):
        real = [word for word in words if word is not None]
        if WORD not in real or len(set(real)) == 1:
            continue
        row = {"seed": seed, "slot": slot, "even": round(real.count(WORD) / len(real), 4)}
        row["before"] = share_of_copies(words, trained.before[slot])
        row["after"] = share_of_copies(words, trained.after[slot])
        rows.append(row)
    return rows


def slots(trained: Trained) -> list[dict[str, Any]]:
    """Return the words of each slot that has some, and its two matrices."""
    rows = []
    for slot, words in enumerate(trained.words):
        if not any(words):
            continue
        different, before = by_word(words, trained.before[slot])
        _, after = by_word(words, trained.after[slot])
        places = [None if word is None else different.index(word) for word in words]
        rows.append(
            {"slot": slot, "words": different, "of": places, "before": before, "after": after}
        )
    return rows


def rank_set(key: str, chosen: RankSet) -> dict[str, Any]:
    """Train a rank set with each of its seeds, and return what the page needs."""
    runs = []
    shares = []
    for seed in chosen.seeds:
        trained = train(chosen, seed)
        runs.append(trained)
        shares += copies(trained, seed)

    return {
        "key": key,
        "title": chosen.title,
        "names": list(runs[0].names),
        "copies": shares,
        "slots": slots(runs[0]),
    }


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
