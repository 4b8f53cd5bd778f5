"""Settings of every test: one torch thread, no hub, no window, the same examples in each run."""

import kernels

kernels.prepare_environment()

from collections.abc import Iterator
from pathlib import Path

# Some only to be loaded here: inside the package, the type checks' hook would compile them anew.
import accelerate  # noqa: F401
import hypothesis
import jaxtyping
import matplotlib
import open_clip  # noqa: F401
import pytest
import real_data
import scipy.stats  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)
hypothesis.settings.register_profile("project", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def _type_checks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Switch type checks off in tests marked `untyped`: users run the package without them."""
    untyped = not {"untyped", "slow"}.isdisjoint(request.keywords)
    jaxtyping.config.update("jaxtyping_disable", untyped)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def real_folder(name: str) -> Path:
    """Return a folder of real data, or skip the test with the reason."""
    folder = real_data.folder_of(name)
    if folder is None:
        pytest.skip(real_data.missing(name))
    return folder


@pytest.fixture(scope="session")
def official() -> Path:
    """The official split lists."""
    return real_folder("datalists")


@pytest.fixture(scope="session")
def real_bracol() -> Path:
    """The real coffee leaves."""
    return real_folder("bracol_severity")


@pytest.fixture(scope="session")
def real_retinamnist() -> Path:
    """The published RetinaMNIST file's folder."""
    return real_folder("retinamnist")
