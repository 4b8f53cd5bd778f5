"""A label of one's own table is a name, a value or an index, by rule; else it is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
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
        (("1", "2", "3"), {"ranks": "1,2,3"}, NUMBER_NAMES, (1, 2, 3), [0, 1, 2]),
        (("03", "1.0", "+2"), {"ranks": "1:3"}, NUMBER_NAMES, (1, 2, 3), [2, 0, 1]),
        ((9, 8, 7), {"ranks": [7, 8.0, "9"]}, ("seven", "eight", "nine"), (7, 8, 9), [2, 1, 0]),
        (("0", "1", "2"), {"ranks": "1:3", "labels_are": "index"},
         NUMBER_NAMES, (1, 2, 3), [0, 1, 2]),
        # names are matched as they are, and counted only when that is asked for
        (("poor", "bad", "good"), {"ranks": WORDS}, WORDS, (0, 1, 2), [1, 0, 2]),
        (("0", "2", "01"), {"ranks": WORDS, "labels_are": "index"}, WORDS, (0, 1, 2), [0, 2, 1]),
        ((1, 3, 2.0), {"ranks": WORDS, "labels_are": "position"}, WORDS, (0, 1, 2), [0, 2, 1]),
        (("1", "0", "2+"), {"ranks": "0,1,2+"}, ("0", "1", "2+"), (0, 1, 2), [1, 0, 2]),
        # an accent is one letter, however it was typed
        ((COMPOSED, "fit"), {"ranks": f"{DECOMPOSED},fit"}, (DECOMPOSED, "fit"), (0, 1), [0, 1]),
        ((DECOMPOSED, "fit"), {"ranks": f"{COMPOSED},fit"}, (COMPOSED, "fit"), (0, 1), [0, 1]),
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
    """The ranks that are passed decide which; nothing is added to the record."""
    data = load_dataset("csv", root=images, labels=table_of(labels), **options)
    assert data.ranks.names == names
    assert data.ranks.values == values
    assert list(data.train.targets) == targets
    assert not data.protocol[0].startswith("ranks: the")


@pytest.mark.parametrize(
    ("labels", "names", "values", "targets"),
    [
        (("10", "9", "-1"), ("minus one", "nine", "ten"), (-1, 9, 10), [2, 1, 0]),
        ((2, 1.5, 2.0), ("1.5", "two"), (1.5, 2), [1, 0, 1]),
    ],
)
def test_numbers_of_the_table_are_the_ranks_if_none_are_passed(
    images: Path,
    labels: tuple[Any, ...],
    names: tuple[str, ...],
    values: tuple[float, ...],
    targets: list[int],
) -> None:
    """In the order of their values; the record says so."""
    data = load_dataset("csv", root=images, labels=table_of(labels))
    assert data.ranks.names == names
    assert data.ranks.values == values
    assert list(data.train.targets) == targets
    assert data.protocol[0].startswith("ranks: the")


@pytest.mark.parametrize(("ranks", "noun"), [("1,2,3", "grade"), (("0", "1", "2+"), "object")])
def test_the_sentence_speaks_of_a_grade_where_ranks_are_values(
    images: Path, ranks: Any, noun: str
) -> None:
    """Ranks by name, whose values only count them, are objects."""
    labels = ("1", "2", "3") if noun == "grade" else ranks
    data = load_dataset("csv", root=images, labels=table_of(labels), ranks=ranks)
    assert noun in data.ranks.sentences[0]


@pytest.mark.parametrize(
    ("labels", "options", "sentence"),
    [
        ((1, 2, 0), {"ranks": "1,2,3"},
         "row 2 .*the label '0' is none of the numbers 1 to 3.*--labels-are names, index"),
        ((1, 2, 3), {"ranks": WORDS},
         r"row 0 .the first of 9.: .*'1' is no name.*index .0 is bad. or position .1 is bad"),
        ((0, 3, 1), {"ranks": WORDS, "labels_are": "index"},
         "row 1 .*the label '3' is none of the numbers 0 to 2"),
        (("1", "1.5"), {"ranks": WORDS, "labels_are": "position"},
         "row 1 .*the label '1.5' is none of the numbers 1 to 3"),
        (("poor", "1"), {"ranks": WORDS},
         "row 1 .*the label '1' is no name, but may count the ranks"),
        (("ripe", "fresh"), {},
         "row 0 .*'ripe' is a word; write all in their order, lowest first: --ranks 'fresh,ripe'"),
        ((1, "low", 2), {}, "row 1 .*the label 'low' is a word; .*: --ranks '1,2,low'"),
        ((1, None, 2), {}, "row 1 .*the label is blank; fill it in"),
        ((1, "NaN", 2), {}, "row 1 .*the label 'NaN' stands for a missing value; fill it in"),
    ],
)  # fmt: skip
def test_a_label_that_may_mean_two_things_or_nothing_is_refused(
    images: Path, labels: tuple[Any, ...], options: dict[str, Any], sentence: str
) -> None:
    """The sentence names the row, and what would decide."""
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset("csv", root=images, labels=table_of(labels), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "options", "sentence"),
    [
        (tuple(range(10)), {"ranks": "1:10"},
         "row 0: the label '0' is none of the numbers 1 to 10"),
        ((0.11, 0.12, 0.13, 0.14, 0.15, 0.16), {},
         "csv: 6 different labels for 6 images are too many; round them, add images, or pass"),
    ],
)  # fmt: skip
def test_a_label_outside_the_ranks_and_labels_that_measure_are_refused(
    images: Path, labels: tuple[Any, ...], options: dict[str, Any], sentence: str
) -> None:
    """Labels that are all different are a measurement, not ranks."""
    table = table_of(labels, splits=("train",))
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset("csv", root=images, labels=table, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ranks": "3,2,1"}, "values must increase, but 3 is followed by 2"),
        ({"labels_are": "index"},
         "--labels-are index or position counts the ranks; give them by --ranks"),
        ({"ranks": "0:"}, "^ranks: '0:' is no range; write two whole numbers, as in 0:9.$"),
        ({"ranks": "0:4", "val_share": float("nan")}, "val_share: Input should be a finite number"),
        ({"ranks": "9:0"}, "^ranks: 9:0 runs downwards; write 0:9.$"),
        ({"ranks": "0:9999999"}, "^ranks: 10,000,000 ranks are more than 10,000; join"),
        ({"ranks": " "}, "^ranks: the text is empty; write all ranks, lowest first"),
        ({"ranks": "a,b,\u00e9,e\u0301"}, "the name .'\u00e9'. appears more than once"),
        ({"template": ""}, "^ranks: the template '' holds {rank} 0 times, not once"),
        ({"ranks": "bad,good", "template": ""}, "the template '' holds {rank} 0 times"),
        # a column is one thing
        ({"group_column": "label"},
         "'label' cannot be both label and group; name another by group_column="),
        ({"group_column": "Path"}, "'Path' cannot be both path and group"),
        ({"label_column": "where"}, "a column called where is not read; rename it"),
    ],
)  # fmt: skip
def test_ranks_templates_and_columns_that_contradict_themselves_are_refused(
    images: Path, options: dict[str, Any], sentence: str
) -> None:
    """One sentence, whatever the labels are."""
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset("csv", root=images, labels=table_of((1, 2, 3)), **options)
    assert "\n" not in str(caught.value)


def test_a_number_without_words_needs_a_name(images: Path) -> None:
    """1e300 is no number that anybody reads out."""
    table = table_of((1, 2, 1e300))
    with pytest.raises(InputError, match=r"^ranks: 1e\+300 has no words here; name such ranks"):
        load_dataset("csv", root=images, labels=table)
