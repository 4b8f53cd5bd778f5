"""A label of one's own table is a name, a value or an index, by rule; else it is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.table import in_words
from l2rclip_lite.errors import InputError

NUMBER_NAMES = ("one", "two", "three")
WORDS = ("bad", "poor", "good")
COMPOSED = "m\u00fcde"  # ü as one character
DECOMPOSED = "mu\u0308de"  # u and a diaeresis


def table_of(labels: tuple[Any, ...], splits: tuple[str, ...] = SPLITS) -> pd.DataFrame:
    """Return a table that has each label once in each split; each row is an image of its own."""
    n_rows = len(labels) * len(splits)
    return pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(n_rows)],
            "label": list(labels) * len(splits),
            "split": np.repeat(splits, len(labels)),
        }
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of twelve empty images."""
    for number in range(12):
        (tmp_path / f"{number}.png").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("labels", "options", "names", "values", "targets"),
    [
        # numbers are values, however they are written
        (("03", "1.0", "+2"), {"ranks": "1:3"}, NUMBER_NAMES, (1, 2, 3), [2, 0, 1]),
        (("0", "1", "2"), {"ranks": "1:3", "labels_are": "index"},
         NUMBER_NAMES, (1, 2, 3), [0, 1, 2]),
        (("10", "9", "-1"), {}, ("minus one", "nine", "ten"), (-1, 9, 10), [2, 1, 0]),
        ((2, 1.5, 2.0), {}, ("1.5", "two"), (1.5, 2), [1, 0, 1]),
        (("2", "0", "1"), {"ranks": np.arange(3)}, ("zero", "one", "two"), (0, 1, 2), [2, 0, 1]),
        # names are matched as they are, and counted only when that is asked for
        (("poor", "bad", "good"), {"ranks": WORDS}, WORDS, (0, 1, 2), [1, 0, 2]),
        (("0", "2", "01"), {"ranks": WORDS, "labels_are": "index"}, WORDS, (0, 1, 2), [0, 2, 1]),
        ((1, 3, 2.0), {"ranks": WORDS, "labels_are": "position"}, WORDS, (0, 1, 2), [0, 2, 1]),
        (("1", "0", "2+"), {"ranks": "0,1,2+"}, ("0", "1", "2+"), (0, 1, 2), [1, 0, 2]),
        # an accent is one letter, however it was typed
        ((COMPOSED, "fit"), {"ranks": f"{DECOMPOSED},fit"}, (DECOMPOSED, "fit"), (0, 1), [0, 1]),
    ],
)  # fmt: skip
def test_a_label_is_the_value_the_name_or_the_index_of_a_rank(
    images: Path,
    labels: tuple[Any, ...],
    options: dict[str, Any],
    names: tuple[str, ...],
    values: tuple[float, ...],
    targets: list[int],
) -> None:
    """The ranks that are passed decide which, or the numbers in the table; the record says so.

    The sentence speaks of a grade where ranks are values, and of an object where these only count.
    """
    data = load_dataset("csv", root=images, labels=table_of(labels), **options)
    assert data.ranks.names == names
    assert data.ranks.values == values
    assert list(data.train.targets) == targets
    assert data.protocol[0].startswith("ranks: the") == (options == {})
    noun = "grade" if list(names) == in_words(values) else "object"
    assert noun in data.ranks.sentences[0]


@pytest.mark.parametrize(
    ("labels", "options", "sentence"),
    [
        ((1, 2, 0), {"ranks": "1,2,3"},
         "row 2 .*the label '0' is no rank; write one of 1, 2, 3, or .*--labels-are names, index"),
        ((1, 2, 3), {"ranks": WORDS}, "row 0 .the first of 9.: .*'1' is no rank; write one of bad"),
        ((0, 3, 1), {"ranks": WORDS, "labels_are": "index"},
         "row 1 .*the label '3' is no rank; write one of 0, 1, 2"),
        (("1", "1.5"), {"ranks": WORDS, "labels_are": "position"}, "row 1 .*the label '1.5' is no"),
        (("ripe", "fresh"), {},
         "row 0 .*'ripe' is no number; .* list all by --ranks, lowest first; .* fresh, ripe"),
        ((1, "low", 2), {}, "row 1 .*the label 'low' is no number; .* the file has 1, 2, low"),
        ((1, None, 2), {}, "row 1 .*the label is blank; fill it in"),
        ((1, "1e400", 2), {}, "2.0 is followed by inf"),
        # ranks and templates that contradict themselves
        ((1, 2, 3), {"ranks": "0:9999999"}, "^ranks: 10,000,000 ranks are more than 10,000; join"),
        ((1, 2, 1e300), {}, r"^ranks: 1e\+300 has no words here; name such ranks"),
    ],
)  # fmt: skip
def test_a_label_that_may_mean_two_things_or_nothing_is_refused(
    images: Path, labels: tuple[Any, ...], options: dict[str, Any], sentence: str
) -> None:
    """The sentence names the row, and what would decide."""
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset("csv", root=images, labels=table_of(labels), **options)
    assert "\n" not in str(caught.value)
