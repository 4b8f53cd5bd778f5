"""Settings of every test: one torch thread, no hub, no window, the same examples in each run."""

import kernels

kernels.prepare_environment()

from collections.abc import Iterator

# Some only to be loaded here: inside the package, the type checks' hook would compile them anew.
import accelerate  # noqa: F401
import hypothesis
import jaxtyping
import matplotlib
import open_clip  # noqa: F401
import pytest
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
