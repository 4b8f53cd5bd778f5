"""`l2rclip doctor`: what could stop a run, looked at one by one; each finding is one OK or FAIL line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from l2rclip_lite import doctor_checks as checks
from l2rclip_lite import doctor_stack as stack
from l2rclip_lite.errors import InputError

Check = tuple[str, Callable[[], str]]


def doctor(out: str | Path = ".", *, requirements: Sequence[str] | None = None) -> bool:
    """Look at everything and print a line each.

    Args:
        out: The folder that runs shall be written into.
        requirements: What must be installed, as pip spells it; None takes this package's own list.

    Returns:
        Whether every line says OK.
    """
    failed = 0
    for name, check in _checks(Path(out), requirements):
        try:
            word, found = "OK", check()
        except InputError as error:
            word, found = "FAIL", str(error)
        except Exception as error:  # whatever breaks here is the finding, never a traceback
            word, found = (
                "FAIL",
                f"{error} ({type(error).__name__}); reinstall what it names.",
            )
        failed += word == "FAIL"
        print(f"{word:<5} {name:<32} {' '.join(found.split())}", flush=True)
    print(f"{failed} of the checks failed." if failed else "Everything is in order.")
    return not failed


def _checks(out: Path, requirements: Sequence[str] | None) -> Iterator[Check]:
    """All checks in the order in which one depends on another."""
    yield "python", checks.check_python
    try:
        needed = checks.own_requirements() if requirements is None else requirements
        named = [(checks.package_name(requirement), requirement) for requirement in needed]
    except Exception as error:
        yield checks.DISTRIBUTION, partial(_fail, error)
        named = []
    for name, requirement in named:
        yield name, partial(checks.check_package, requirement)
    yield "torch with torchvision", stack.check_pair
    yield "torch for this machine", stack.check_build
    yield "open_clip's interface", stack.check_open_clip
    yield "weights of mini, image tower", checks.check_image_weights
    yield "weights of mini, text tower", checks.check_text_weights
    yield "weights of mini, alignment", checks.check_alignment
    yield "device", checks.check_device
    yield "half precision", stack.check_half_precision
    yield "memory", checks.check_memory
    yield "write access", partial(checks.check_write_access, out)
    yield "forward pass", checks.check_forward_pass
    yield "jupyter-book", stack.check_jupyter_book
    yield "kernel of the notebooks", stack.check_kernel


def _fail(error: Exception) -> str:
    """A check that reports what went wrong before it."""
    raise error
