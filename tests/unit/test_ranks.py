"""Ranks: names that CLIP's tokenizer likes, values that increase, one sentence a rank."""

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks, composed, number_words


def test_the_words_are_those_of_inflect() -> None:
    """Every number to 129, some to 1,100 and some beyond; hyphens and commas would cost a token."""
    engine = pytest.importorskip("inflect", reason="inflect is in the extra `dev`").engine()
    numbers = [*range(-21, 130), *range(130, 1101, 41), 1930, 77_016, 999_999, 10**9 - 1]
    for exponent in range(3, 9):
        for rest in (-1, 0, 1, 11, 100, 512):
            numbers.append(10**exponent + rest)

    for number in numbers:
        words = engine.number_to_words(str(number), andword="")
        assert number_words(number) == words.replace("-", " ").replace(",", ""), number


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"names": ("a",), "values": (0,)}, "at least two ranks are needed, got 1"),
        ({"names": ("a", "b", "a")}, "'a'] appears more than once"),
        ({"names": ("e\u0301", "\u00e9")}, "'\u00e9'] appears more than once"),
        ({"names": ("a", "  ")}, "a rank name is empty"),
        ({"names": tuple(map(str, range(10_001)))}, "10,001 ranks are more than 10,000"),
        ({"values": (0, 1, 2)}, "2 names but 3 values"),
        ({"values": (2, 2)}, "2.0 is followed by 2.0"),
        ({"values": (-math.inf, 0)}, "-inf is followed by 0.0"),
        ({"values": (2**30, 2**30 + 1)}, "1073741824.0 is followed by 1073741825.0"),
        ({"template": "a photo"}, "holds {rank} 0 times"),
        ({"unit": "\udcb0C"}, "a name, the template or the unit is not UTF-8"),
    ],
)
def test_what_is_no_label_space_is_refused_in_one_sentence(
    parts: dict[str, object], message: str
) -> None:
    """Each refusal says what is wrong; single precision would mix up values that are too close."""
    with pytest.raises(InputError) as caught:
        Ranks(**{"names": ("a", "b"), "values": (0, 1), "template": "{rank}"} | parts)

    sentence = str(caught.value)
    assert message in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


TEXT = st.characters(exclude_categories=["Cs"])
NAMES = st.text(TEXT, min_size=1).filter(str.strip)


@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique_by=composed),
    start=st.floats(-1e6, 1e6),
    steps=st.lists(st.floats(0.5, 100), min_size=6, max_size=6),
    before=st.text(TEXT),
    after=st.text(TEXT),
)
def test_ranks_survive_json(
    names: list[str], start: float, steps: list[float], before: str, after: str
) -> None:
    """With any names, also with braces and of other scripts, which stand in their sentence."""
    assume("{rank}" not in before + after)
    values = [start]
    for step in steps[: len(names) - 1]:
        values.append(values[-1] + step)

    ranks = Ranks(tuple(names), tuple(values), template=before + "{rank}" + after, unit="µm")

    assert TypeAdapter(Ranks).validate_python(json.loads(json.dumps(ranks.to_dict()))) == ranks
    assert ranks.sentences == [before + name + after for name in names]
