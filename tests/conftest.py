"""What every test gets: one torch thread, no hub, no window, and examples that are the same in each run."""

import kernels

kernels.prepare_environment()

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jaxtyping
import matplotlib
import pytest
import real_data
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)
hypothesis.settings.register_profile("project", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def _type_checks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests marked `untyped` see what a user sees, who runs the package without type checks."""
    off = "untyped" in request.keywords
    jaxtyping.config.update("jaxtyping_disable", off)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _real(name: str) -> Path:
    """A folder of real data, or a skip with the reason."""
    folder = real_data.folder_of(name)
    return folder if folder else pytest.skip(real_data.missing(name))


@pytest.fixture(scope="session")
def official() -> Path:
    """The official split lists."""
    return _real("datalists")


@pytest.fixture(scope="session")
def real_bracol() -> Path:
    """The real coffee leaves."""
    return _real("bracol_severity")


@pytest.fixture(scope="session")
def real_retinamnist() -> Path:
    """The published RetinaMNIST file's folder."""
    return _real("retinamnist")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
