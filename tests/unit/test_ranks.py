"""Ranks: names that CLIP's tokenizer likes, values that increase, one sentence a rank."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import REVERSING, Ranks, composed, cyclic_permutation, number_words


def test_the_words_are_those_of_inflect() -> None:
    """Every number to 129, some to 1,100 and some beyond; hyphens and commas would cost a token."""
    engine = pytest.importorskip("inflect", reason="inflect is in the extra `dev`").engine()
    numbers = [*range(-21, 130), *range(130, 1101, 7), 1930, 77_016, 999_999, 10**9 - 1]
    for exponent in range(3, 9):
        for rest in (-1, 0, 1, 11, 100, 512):
            numbers.append(10**exponent + rest)

    for number in numbers:
        words = engine.number_to_words(str(number), andword="")
        assert number_words(number) == words.replace("-", " ").replace(",", ""), number


@pytest.mark.parametrize("number", [10**9, -(10**9)])
def test_a_number_of_ten_digits_has_no_words(number: int) -> None:
    """Whoever has such ranks names them."""
    with pytest.raises(InputError, match="name such ranks yourself"):
        number_words(number)


REFUSED = {
    "at least two ranks are needed, got 1": (("a",), (0,), "{rank}"),
    "2 names but 3 values": (("a", "b"), (0, 1, 2), "{rank}"),
    "a rank name is empty": (("a", "  "), (0, 1), "{rank}"),
    "'a'] appears more than once": (("a", "b", "a"), (0, 1, 2), "{rank}"),
    "2 is followed by 2": (("a", "b", "c"), (0, 2, 2), "{rank}"),
    "3 is followed by 1": (("a", "b"), (3, 1), "{rank}"),
    "the value nan is not finite; give increasing": (("a", "b"), (0, float("nan")), "{rank}"),
    "the value inf is not finite; give increasing": (("a", "b"), (1, float("inf")), "{rank}"),
    "the value -inf is not finite; give increasing": (("a", "b"), (float("-inf"), 0), "{rank}"),
    "the value 1000000001.0 is too large; choose a unit in which none exceeds 1,000,000,000": (
        ("a", "b"),
        (0, 1e9 + 1),
        "{rank}",
    ),
    "holds {rank} 0 times": (("a", "b"), (0, 1), "a photo"),
    "holds {rank} 2 times": (("a", "b"), (0, 1), "{rank} and {rank}"),
    "'\\x1b[2Ja' has a control character": (("\x1b[2Ja", "b"), (0, 1), "{rank}"),
    "10,001 ranks are more than 10,000": (
        tuple(map(str, range(10_001))),
        tuple(range(10_001)),
        "{rank}",
    ),
    "'a\\u202eb' has a control character": (("a\u202eb", "b"), (0, 1), "{rank}"),
    "'\\u2067{rank}' has a control character": (("a", "b"), (0, 1), "\u2067{rank}"),
    "'\u00e9'] appears more than once": (("e\u0301", "\u00e9"), (0, 1), "{rank}"),
    "the sentences have 1,000,014 letters": (("a", "b"), (0, 1), "{rank}" + "x" * 500_000),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_label_space_is_refused_in_one_sentence(message: str) -> None:
    """Each refusal says what is wrong."""
    names, values, template = REFUSED[message]
    with pytest.raises(InputError) as caught:
        Ranks(names, tuple(float(value) for value in values), template=template)

    sentence = str(caught.value)
    assert message in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("template", None, "the template is None; give a text"),
        ("unit", 3, "the unit is 3; give a text"),
        ("unit", "\u202esraey", "has a control character"),
        ("names", None, "the names are None; give one per rank"),
        ("names", {"a", "b"}, "; give one per rank, in a list"),
        ("values", {0: "a", 1: "b"}, "the values are .*; give one per rank, in a list"),
        ("names", ("a", None), "rank 1 has None in its names"),
        ("values", (0, None), "rank 1 has None in its values"),
        ("values", (0, "one"), "the value 'one' is no number"),
        ("values", (False, True), "the value False is no number"),
    ],
)
def test_what_is_no_text_or_number_is_refused(part: str, value: object, message: str) -> None:
    """Also a boolean, which Python takes for 0 or 1."""
    parts = {"names": ("a", "b"), "values": (0, 1), "template": "{rank}", part: value}
    with pytest.raises(InputError, match=message):
        Ranks(**parts)


def test_too_many_whole_numbers_are_refused_before_one_is_named() -> None:
    """A trillion of them as fast as a few."""
    with pytest.raises(InputError, match="1,000,000,000,001 ranks are more than 10,000"):
        Ranks.integers(0, 10**12, template="{rank}")


def test_whole_numbers_that_run_downwards_are_refused() -> None:
    """Not as "at least two ranks are needed, got 0"."""
    with pytest.raises(InputError, match="ranks: 1 to 0 runs downwards; give the lower one first"):
        Ranks.integers(1, 0, template="{rank}")


@pytest.mark.parametrize("size", [-1, 0, 1, 10**7, 2**64])
def test_a_permutation_is_of_as_many_as_there_may_be_ranks(size: int) -> None:
    """Ten million took hours."""
    with pytest.raises(InputError, match=f"is {size}; give a whole number from 2 to 10,000"):
        cyclic_permutation(size)


@pytest.mark.untyped
def test_no_number_has_no_words() -> None:
    """NaN and a fraction raised what Python says of them."""
    for number in (float("nan"), 1.5):
        with pytest.raises(InputError, match=f"{number} is no whole number"):
            number_words(number)


TEXT = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=REVERSING)
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

    assert Ranks.from_dict(json.loads(json.dumps(ranks.to_dict()))) == ranks
    assert ranks.sentences == [before + name + after for name in names]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((0, 1e-30, 2e-30), "the values 0.0 and 1e-30 are too close to be told apart"),
        ((0, 1, 1e30), r"the value 1e\+30 is too large"),
        ((-1e300, 0, 1), r"the value -1e\+300 is too large"),
        # one number in single precision
        ((0, 1e8, 1e8 + 1), "the values 100000000.0 and 100000001.0 are too close"),
    ],
)
def test_values_that_single_precision_mixes_up_are_refused(
    values: tuple[float, ...], sentence: str
) -> None:
    """With the first the ordinal weights would all be 0, with the last a loss would be 0/0."""
    with pytest.raises(InputError, match=sentence):
        Ranks(("low", "middle", "high"), values, template="a {rank} grade")
