"""Numbers within bounds: one sentence for each that is too small, too large, or no number."""

from numbers import Integral  # those of NumPy are such, and `--help` need not wait for NumPy

from l2rclip_lite.errors import InputError

MAX_WORKERS = 64  # processes that decode
MAX_BATCH = 2**31 - 1  # images at once
MAX_SIDE = 1_024  # of a tower's input, pixels
MAX_RESAMPLES = 100_000  # beyond that an interval moves no more
MAX_BINS = 10_000  # of confidence


def whole_number(value: object, name: str, lowest: int, highest: int | None = None) -> int:
    """Return a whole number, and refuse one outside its bounds.

    Args:
        value: The number.
        name: What to call it in an error.
        lowest: The least that is allowed.
        highest: The most that is allowed; None sets no bound.

    Raises:
        InputError: Another kind of number, or one outside the bounds.

    Example:
        >>> whole_number(0, "batch_size", 1, 64)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: batch_size is 0; give a whole number from 1 to 64.
    """
    if not isinstance(value, bool) and isinstance(value, Integral):
        number = int(value)
        if lowest <= number and (highest is None or number <= highest):
            return number

    end = "" if highest is None else f" to {highest:,}"
    raise InputError(f"{name} is {value!r:.80}; give a whole number from {lowest}{end}.")


def check_number(value: float, name: str, lowest: float, highest: float) -> None:
    """Refuse a number outside its bounds, and NaN.

    Example:
        >>> check_number(float("nan"), "conformal", 0, 1)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: conformal is nan; give a number from 0 to 1.
    """
    if not lowest <= value <= highest:
        raise InputError(f"{name} is {value!r:.80}; give a number from {lowest:g} to {highest:g}.")
