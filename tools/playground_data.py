"""Make the data of the page `book/playground.md`.

    python tools/playground_data.py

`book/_static/playground/words.json` holds, for every rank set and template of
`playground_sets.toml`, the cosines between the sentences in the `mini` text tower (upper triangle,
row by row, in units of 1e-6) and their scores by `l2rclip_book.statistics.ordinality`: raw, and
centred as the package uses them. From the cosines alone the page finds the centred ones, the
principal components and the scores of any other order.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from l2rclip_book.statistics import ordinality
from l2rclip_lite import Ranks, load_towers
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.files import write_text
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import cyclic_permutation
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.mini import TEXT_FILES

FILE = Path(__file__).resolve().parents[1] / "book" / "_static" / "playground" / "words.json"
UNIT = 1e-6  # of a stored cosine
SETS = tomllib.loads(Path(__file__).with_name("playground_sets.toml").read_text(encoding="utf-8"))


def scores(features: Float[Tensor, "rank dim"]) -> dict[str, float]:
    """Return the scores of `ordinality`, rounded."""
    return {name: round(value, 6) for name, value in ordinality(features).items()}


def rank_set(towers: Towers, key: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return one rank set of the page: names, a shuffled order, and a part for each template.

    Args:
        towers: `load_towers("mini")`.
        key: Its name in the page's address.
        chosen: Its table in `playground_sets.toml`.
    """
    names = chosen.get("names", [])
    template_of_data = ""
    if "data" in chosen:
        ranks = DATA_SETS[chosen["data"]].ranks
        template_of_data = ranks.template
        digits = [f"{value:.0f}" for value in ranks.values]
        names = digits if chosen.get("digits") else list(ranks.names)

    templates = [*chosen["templates"], "{rank}"]
    wanted = [template.replace("{data}", template_of_data) for template in templates]
    return {
        "key": key,
        "title": chosen["title"],
        "remark": chosen["remark"],
        "names": names,
        "shuffled": cyclic_permutation(len(names)).tolist(),
        "templates": [template_part(towers, names, template) for template in wanted],
    }


def template_part(towers: Towers, names: Sequence[str], template: str) -> dict[str, Any]:
    """Return cosines and scores of the sentences of one template."""
    sentences = Ranks(tuple(names), tuple(range(len(names))), template).sentences
    with torch.inference_mode():
        features = torch.nn.functional.normalize(towers.encode_text(sentences).double(), dim=1)

    row, column = np.triu_indices(len(names), 1)
    cosines = (features @ features.T)[row, column]
    return {
        "template": template,
        "raw": scores(features),
        "centred": scores(centred(features)),
        "cosines": (cosines / UNIT).round().long().tolist(),
    }


def main() -> None:
    """Write the file."""
    towers = load_towers("mini")
    content = {
        "towers": "mini",
        "text_tower_sha256": TEXT_FILES["model.safetensors"],
        "unit": UNIT,
        "sets": [rank_set(towers, key, chosen) for key, chosen in SETS.items()],
    }
    write_text(FILE, json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
