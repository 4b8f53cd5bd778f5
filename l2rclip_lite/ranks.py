"""The ordered label space: names, values, a unit, and the sentence that turns a rank into language."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.typed import fits, shown

SLOT = "{rank}"
MAX_RANKS = 10_000  # beyond that a model's table of ranks against ranks alone is gigabytes
MAX_LETTERS = 1_000_000  # of all sentences
NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, ends of lines and paragraphs
NEAR, FAR = 1e-6, 1e9  # least gap and largest value: metrics round to 1e-9, and squares have to stay numbers
KINDS = {
    "names": list[str] | tuple[str, ...],
    "values": list[float] | tuple[float, ...],
    "template": str,
    "unit": str,
}


_SMALL = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_SMALL += "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()  # noqa: SIM905
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_LARGE = ((10**6, "million"), (1000, "thousand"), (100, "hundred"))


def number_words(number: int) -> str:
    """An integer as English words joined by spaces, never by hyphens.

    A hyphen costs CLIP's tokenizer one more token for each two-word number, and L2RCLIP's own table has none.

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
    if not fits(number, int):
        raise InputError(
            f"ranks: {shown(number)} is no whole number, so it has no words; give one such as 21."
        )
    if abs(number) >= 10**9:
        raise InputError(
            f"ranks: {shown(number)} has no words here; name such ranks yourself, Ranks(names, values, ...)."
        )
    if number < 0:
        return f"minus {number_words(-number)}"
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        words = _TENS[tens - 2]
    else:
        size, name = next((size, name) for size, name in _LARGE if number >= size)
        many, rest = divmod(number, size)
        words = f"{number_words(many)} {name}"
    return f"{words} {number_words(rest)}" if rest else words


@dataclass(frozen=True)
class Ranks:
    """K ordered ranks r_1 < … < r_K and the template that makes each a sentence.

    Args:
        names: K different names, as they stand in the sentence.
        values: K strictly increasing numbers, in `unit`.
        template: A sentence with exactly one `{rank}`.
        unit: What one step of `values` means ("years", "decades", "grade").

    Raises:
        InputError: Fewer than two ranks or more than `MAX_RANKS`, repeated or empty names, names with control
            characters, values that do not increase or that single precision cannot tell apart, a template without
            exactly one `{rank}`, sentences that are too long.

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
        """Refuse a label space that is not one."""
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        object.__setattr__(self, "values", tuple(_number(value) for value in self.values))
        if len(self.names) < 2:
            raise InputError(
                f"ranks: at least two ranks are needed, got {len(self.names)}: {list(self.names)}."
            )
        if len(self.names) > MAX_RANKS:
            raise InputError(
                f"ranks: {len(self.names):,} ranks are more than {MAX_RANKS:,}; join some of them."
            )
        if len(self.names) != len(self.values):
            raise InputError(
                f"ranks: {len(self.names)} names but {len(self.values)} values; give one value a name."
            )
        if any(not name.strip() for name in self.names):
            raise InputError("ranks: a rank name is empty; every rank needs a name.")
        for text in (*self.names, self.template, self.unit):
            if not fits(text, str):
                raise InputError(f"ranks: {shown(text)} is no text; write the template and the unit as text.")
            if any(unicodedata.category(sign) in NO_TEXT for sign in text):
                raise InputError(f"ranks: {text[:100]!r} has a control character; write it without.")
        repeated = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if repeated:
            raise InputError(f"ranks: the name {repeated[0]!r} stands more than once; names must differ.")
        for left, right in zip(self.values, self.values[1:], strict=False):
            if not (math.isfinite(left) and math.isfinite(right) and left < right):
                raise InputError(f"ranks: values must increase, but {left:g} is followed by {right:g}.")
        self._check_resolution()
        if self.template.count(SLOT) != 1:
            found = self.template.count(SLOT)
            raise InputError(
                f"ranks: the template {self.template[:200]!r} holds {SLOT} {found} times; write it exactly once."
            )
        letters = len(self.names) * len(self.template) + sum(map(len, self.names))
        if letters > MAX_LETTERS:
            raise InputError(
                f"ranks: the sentences have {letters:,} letters, more than {MAX_LETTERS:,}; write shorter ones."
            )

    def _check_resolution(self) -> None:
        """Refuse values that arithmetic in single precision, as a GPU does it, would mix up."""
        if (largest := max(map(abs, self.values))) > FAR:
            raise InputError(
                f"ranks: the value {largest:g} is too large to reckon with; choose a unit in which none is above {FAR:g}."
            )
        single = torch.tensor(self.values, dtype=torch.float32).tolist()
        for k in range(len(self.values) - 1):
            left, right = self.values[k : k + 2]
            if right - left < NEAR or single[k] == single[k + 1]:
                raise InputError(
                    f"ranks: the values {left!r} and {right!r} are too close to be told apart; count from the lowest rank, "
                    f"or choose a unit in which they lie at least {NEAR:g} apart."
                )

    @classmethod
    def integers(cls, first: int, last: int, *, template: str, unit: str = "years") -> Ranks:
        """Every whole number from `first` to `last`, named by its English words.

        Args:
            first: The lowest rank.
            last: The highest rank, included.
            template: A sentence with exactly one `{rank}`.
            unit: The unit of the numbers.

        Returns:
            `last - first + 1` ranks.

        Example:
            >>> ages = Ranks.integers(16, 77, template="a photo of a {rank} years old face")
            >>> len(ages), ages.names[0], ages.sentences[-1]
            (62, 'sixteen', 'a photo of a seventy seven years old face')
        """
        numbers = range(first, last + 1)
        return cls(tuple(number_words(n) for n in numbers), tuple(numbers), template=template, unit=unit)

    def __len__(self) -> int:
        """The number of ranks K."""
        return len(self.names)

    @property
    def sentences(self) -> list[str]:
        """One sentence a rank, lowest first."""
        return [self.template.replace(SLOT, name) for name in self.names]

    def values_tensor(self) -> Float[Tensor, " rank"]:
        """The K values, in `unit`."""
        return torch.tensor(self.values, dtype=torch.float32)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Any) -> Ranks:
        """The inverse of `to_dict`.

        Raises:
            InputError: Something missing, of another type, or no label space.
        """
        for name, hint in KINDS.items():
            if not (isinstance(state, Mapping) and name in state and fits(state[name], hint)):
                found = shown(state.get(name)) if isinstance(state, Mapping) else shown(state)
                raise InputError(
                    f"ranks: {found} cannot be the {name}; write names, values, template and unit."
                )
        return cls(
            tuple(state["names"]), tuple(state["values"]), template=state["template"], unit=state["unit"]
        )


def _number(value: object) -> float:
    """A rank's value as a number."""
    if not (isinstance(value, float) or fits(value, float)):  # NaN and inf are refused for not increasing
        raise InputError(f"ranks: the value {shown(value)} is no finite number; write one.")
    return float(value)  # type: ignore[arg-type]
