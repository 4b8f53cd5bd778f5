"""Words after a relative: order without a label against SciPy, the best rival, three claims."""

import numpy as np
import pandas as pd
import pytest

from l2rclip_book.gains import MEAN
from l2rclip_book.words import (
    FEW,
    NEW_WORDS,
    SETS,
    WORDS,
    judge_words,
)


def answers(data: str, run: int, **noise: float) -> pd.DataFrame:
    """Return forty images and the expected values of arms, each with its own noise."""
    generator = np.random.default_rng([run, *data.encode()])
    true = np.arange(40.0)
    rows = []
    for arm, spread in noise.items():
        expected = true + spread * generator.standard_normal(40)
        rows.append(pd.DataFrame({"arm": arm, "true": true, "expected": expected}))
    images = pd.concat(rows)
    paths = images["true"].astype(int).astype(str) + ".png"
    return images.assign(
        data=data, run=run, path=paths, subject=paths, study="words-new", condition=""
    )


def few(data: str, **arms: tuple[float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows and two images of one run under both conditions: val_rps and rps of each arm."""
    table = []
    for condition in FEW:
        for arm, (val, test) in arms.items():
            row = {"data": data, "run": 0, "condition": condition, "arm": arm, "val_rps": val}
            table.append(row | {"rps": test, "n": 2, "n_train": 8, "study": "words-few"})
    rows = pd.DataFrame(table)
    images = pd.concat([rows.assign(path=path, subject=path) for path in ("0.png", "1.png")])
    return rows, images.drop(columns="val_rps")


def test_three_claims_share_one_holm() -> None:
    """Each is judged on four sets; one missing set leaves all without a verdict."""
    one, other = NEW_WORDS
    tables = []
    images = []
    for data in SETS:
        arms = {WORDS: (1.0, 1.0), "words": (2.0, 2.0), "new head, relative": (1.0, 1.0)}
        table, of_few = few(data, **arms)
        tables.append(table)
        images += [of_few, answers(data, 0, **{one: 4.0, other: 300.0})]

    claims = judge_words(pd.concat(tables), pd.concat(images), [])
    means = claims[claims["data"] == MEAN].set_index("row")
    assert means["verdict"].tolist() == ["better", "better", "not shown"]
    assert means["holm"].tolist() == pytest.approx(
        [2 * means["p"]["new words"], 3 * means["p"]["few images"], 1]
    )
    waiting = judge_words(pd.concat(tables), pd.concat(images), ["words-few/pears-2"])
    assert waiting["verdict"].unique().tolist() == ["", "incomplete"]
