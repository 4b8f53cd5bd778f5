r"""The ordered label space: names, values, a unit, and the sentence about a rank.

$$r_1 < r_2 < \dots < r_K,\quad \text{sentence}_k = \text{template with name}_k\text{ in its slot}$$
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from ..errors import InputError, in_one_sentence
from . import Values

SLOT = "{rank}"
MAX_RANKS = 10_000  # beyond that a table of ranks against ranks alone takes gigabytes

_SMALL = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
""".split()  # noqa: SIM905
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_LARGE = [(10 * tens, name) for tens, name in enumerate(_TENS, 2)]
_LARGE += [(100, "hundred"), (1000, "thousand"), (10**6, "million")]


def number_words(number: int) -> str:
    """Return an integer as English words joined by spaces, never by hyphens.

    A hyphen costs CLIP's tokenizer one more token for each two-word number, and L2RCLIP's own table
    has none. Libraries (inflect, num2words) write hyphens, commas and "and", and take a second to
    import or have no wheel.

    Args:
        number: An integer between minus and plus one billion.

    Returns:
        The words, without "and".

    Raises:
        InputError: A larger number.

    Example:
        >>> number_words(21), number_words(105)
        ('twenty one', 'one hundred five')
    """
    if abs(number) >= 10**9:
        raise InputError(f"ranks: {number:g} has no words here; name such ranks yourself.")
    if number < 0:
        return f"minus {number_words(-number)}"
    if number < 20:
        return _SMALL[number]

    size, words = max(entry for entry in _LARGE if number >= entry[0])
    count, rest = divmod(number, size)
    if size >= 100:
        words = f"{number_words(count)} {words}"
    if rest:
        words = f"{words} {number_words(rest)}"
    return words


def cyclic_permutation(size: int) -> Int[Tensor, " rank"]:
    """Return a fixed random permutation π that is one cycle: no rank keeps its place.

    Source: Sattolo 1986.

    Every negative control that shuffles ranks uses this one, so that controls can be compared with
    each other.

    Args:
        size: Number of ranks K.

    Returns:
        π(0) … π(K − 1), by seed 0: the same for the same K, whatever the seed of a run. Two ranks
        can only be swapped, which leaves their gap as it was, so a control says nothing below three
        ranks.

    Example:
        >>> cyclic_permutation(5)
        tensor([2, 3, 1, 4, 0])
    """
    generator = torch.Generator().manual_seed(0)
    order = torch.arange(size)
    for last in range(size - 1, 0, -1):
        other = int(torch.randint(last, (), generator=generator))
        order[[last, other]] = order[[other, last]]
    return order


def of_other_ranks(x: Tensor, dim: int) -> Tensor:
    """Return what rank π(k) has in the place of rank k, see `cyclic_permutation`.

    Example:
        >>> of_other_ranks(torch.tensor([0, 1, 2, 3, 4]), dim=0)
        tensor([2, 3, 1, 4, 0])
    """
    parts = x.unbind(dim)  # by Python's numbers, so that none is sent to a device
    return torch.stack([parts[k] for k in cyclic_permutation(len(parts)).tolist()], dim)


@dataclass(frozen=True)
class Ranks:
    """K ordered ranks r_1 < … < r_K and the template that turns each into a sentence.

    Args:
        names: K different names, as the sentence spells them.
        values: K strictly increasing numbers, in `unit`.
        template: A sentence with exactly one `{rank}`.
        unit: What one step of `values` means ("years", "decades", "grade").

    Raises:
        InputError: Fewer than two ranks or more than `MAX_RANKS`, repeated or empty names, values
            that do not increase or that single precision cannot tell apart, or a template
            without exactly one `{rank}`.

    Example:
        >>> ranks = Ranks(("no", "low", "high"), (0, 1, 2), template="a leaf with {rank} damage")
        >>> ranks.sentences[1], len(ranks)
        ('a leaf with low damage', 3)
    """

    names: tuple[str, ...]
    values: tuple[float | int, ...]
    template: str
    unit: str = "grade"

    def __post_init__(self) -> None:
        """Check names, values and template."""
        names = tuple(map(str, self.names))
        values = tuple(map(float, self.values))
        check_names(names, self.template)
        problem = "a name, the template or the unit is not UTF-8"  # a file could not hold it
        with in_one_sentence("ranks", problem, "write it anew"):
            " ".join((*names, self.template, self.unit)).encode()
        if len(values) != len(names):
            counts = f"{len(names)} names but {len(values)} values"
            raise InputError(f"ranks: {counts}; give each one value.")
        check_values(values)

        object.__setattr__(self, "names", names)
        object.__setattr__(self, "values", values)

    @classmethod
    def integers(cls, first: int, last: int, *, template: str, unit: str = "years") -> "Ranks":
        """Return every whole number from `first` to `last`, named by its English words.

        Args:
            first: The lowest rank.
            last: The highest rank, included.
            template: A sentence with exactly one `{rank}`.
            unit: The unit of the numbers.

        Returns:
            `last - first + 1` ranks.

        Raises:
            InputError: See `Ranks`.

        Example:
            >>> ages = Ranks.integers(16, 77, template="a photo of a {rank} years old face")
            >>> len(ages), ages.names[0], ages.sentences[-1]
            (62, 'sixteen', 'a photo of a seventy seven years old face')
        """
        check_count(last - first + 1)  # before a billion of them are named
        numbers = tuple(range(first, last + 1))
        names = tuple(number_words(number) for number in numbers)
        return cls(names, numbers, template=template, unit=unit)

    def __len__(self) -> int:
        """Return the number of ranks K."""
        return len(self.names)

    @property
    def sentences(self) -> list[str]:
        """Return one sentence per rank, lowest first."""
        return [self.template.replace(SLOT, name) for name in self.names]

    def values_tensor(self) -> Values:
        """Return the K values, in `unit`."""
        return torch.tensor(self.values, dtype=torch.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready copy of the arguments."""
        return asdict(self)


def check_count(count: int) -> None:
    """Refuse more ranks than a table of ranks against ranks has room for."""
    if count > MAX_RANKS:
        raise InputError(f"ranks: {count:,} ranks are more than {MAX_RANKS:,}; join some of them.")


def composed(text: str) -> str:
    """Return a text in Unicode's composed form (NFC): "é" is one character, however it was typed.

    Example:
        >>> composed("e\u0301") == "\u00e9"
        True
    """
    return unicodedata.normalize("NFC", text)


def check_names(names: Sequence[str], template: str) -> None:
    """Refuse names and a template that make no sentences, one for each rank."""
    if len(names) < 2:
        raise InputError(f"ranks: at least two ranks are needed, got {len(names)}: {list(names)}.")
    check_count(len(names))
    if not all(name.strip() for name in names):
        raise InputError("ranks: a rank name is empty; every rank needs a name.")
    name, count = Counter(map(composed, names)).most_common(1)[0]
    if count > 1:
        raise InputError(f"ranks: the name {[name]} appears more than once; names must differ.")

    slots = template.count(SLOT)
    if slots != 1:
        raise InputError(
            f"ranks: the template {template[:99]!r} holds {SLOT} {slots} times, not once."
        )


def check_values(values: Sequence[float]) -> None:
    """Refuse values that do not increase in single precision, as on a GPU."""
    gaps = torch.tensor(values, dtype=torch.float32).diff()
    is_wrong = ~gaps.isfinite() | (gaps <= 0)
    if is_wrong.any():
        k = int(is_wrong.nonzero()[0])
        pair = f"{values[k]!r} is followed by {values[k + 1]!r}"
        cure = "sort them, or count from the lowest rank"
        raise InputError(f"ranks: values must increase in single precision, but {pair}; {cure}.")


def rank_index(label: Any, name: str) -> int:
    """Return a label as the index of a rank; nothing is rounded or cut.

    Args:
        label: A whole number, of any type, or an array or a tensor that holds just one.
        name: What has this label, for an error.

    Raises:
        InputError: Another label.

    Example:
        >>> rank_index(torch.tensor([1.0]), "leaf.png")
        1
        >>> rank_index(0.5, "leaf.png")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: leaf.png: its label is 0.5, no whole number; give the index
        of its rank, from 0.
    """
    if type(label) is int:  # nearly always
        return label

    with suppress(TypeError, ValueError, OverflowError, RuntimeError):
        number = label.item() if hasattr(label, "item") else label
        if number == int(number):
            return int(number)

    text = " ".join(repr(label).split())[:80]
    raise InputError(
        f"{name}: its label is {text}, no whole number; give the index of its rank, from 0."
    )
