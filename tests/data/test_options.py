"""The options of `load_dataset`, which an editor completes."""

import inspect

from l2rclip_lite.data import LOADERS, Options
from l2rclip_lite.data.protocols import CHANGES, Changes


def test_the_options_are_those_that_some_loader_or_change_takes() -> None:
    """`protocol_seed` is the seed of the changes."""
    taken = {"protocol_seed", *CHANGES}
    for loader in LOADERS.values():
        taken |= inspect.signature(loader).parameters.keys()
    assert set(Options.__annotations__) == taken - {"name"}


def test_the_changes_are_those_that_are_made() -> None:
    """`apply_protocols` goes through them in this order."""
    assert list(Changes.__annotations__) == list(CHANGES)
