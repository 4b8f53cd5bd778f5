"""Options of the functions that load or change data: their names, types and ranges."""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Annotated, ParamSpec, TypeVar

from pydantic import ConfigDict, Field, ValidationError, validate_call

from l2rclip_lite.errors import InputError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Seed = Annotated[int, Field(ge=0)]
STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)  # a text is no number


class OptionError(InputError):
    """An option that a function does not take, or not with this value."""


def validated(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorate a function: it refuses arguments that are not what their annotations say.

    Raises:
        OptionError: When called with an argument of another name, type or range.

    Example:
        >>> @validated
        ... def load(seed: Seed = 0) -> int:
        ...     return seed
        >>> load(seed=-1)
        Traceback (most recent call last):
        l2rclip_lite.data.options.OptionError: seed: Input should be greater than or equal to 0,
        not -1.
    """
    checked = validate_call(config=STRICT)(function)

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        check_option_names(kwargs, signature(function).parameters)
        try:
            return checked(*args, **kwargs)
        except ValidationError as error:
            first = error.errors()[0]
            option = first["loc"][0]
            if not isinstance(option, str):  # a positional argument has a number here, no name
                option = error.title  # the function's name
            raise OptionError(f"{option}: {first['msg']}, not {first['input']!r:.200}.") from error

    return call


def check_option_names(options: Iterable[str], names: Iterable[str]) -> None:
    """Refuse an option that is none of these names.

    Raises:
        OptionError: Such an option.

    Example:
        >>> check_option_names(["rank"], ["root", "ranks"])
        Traceback (most recent call last):
        l2rclip_lite.data.options.OptionError: rank: there is no such option; choose one of root,
        ranks.
    """
    names = list(names)
    for option in options:
        if option not in names:
            raise OptionError(
                f"{option}: there is no such option; choose one of {', '.join(names)}."
            )
