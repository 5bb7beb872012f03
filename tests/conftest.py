"""Fixtures and settings of every test."""

import os
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from trunkline import opus
from trunkline.errors import LibraryMissingError

pytest_plugins = ["trunkline.testing.fixtures"]

# The same examples on every run; `make soak` takes 500, and TRUNKLINE_EXAMPLES=10000 digs deeper by hand.
settings.register_profile(
    "trunkline",
    derandomize=True,
    deadline=None,
    max_examples=int(os.environ.get("TRUNKLINE_EXAMPLES", "50")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("trunkline")


@pytest.fixture(scope="session")
def g711() -> ModuleType:
    """trunkline.g711 with the kernels of the instruction set that this run is for."""
    from trunkline import g711

    return g711


@pytest.fixture(scope="session")
def libopus() -> opus.LibraryInfo:
    """The libopus in use; without one, what needs it is skipped."""
    try:
        return opus.library()
    except LibraryMissingError as error:
        pytest.skip(str(error))
