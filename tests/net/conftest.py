"""Fixtures that run a test with every server."""

import pytest

from tests.net.adapters import ADAPTERS, Serve


@pytest.fixture(params=ADAPTERS)
def serving(request: pytest.FixtureRequest) -> Serve:
    return ADAPTERS[request.param]


@pytest.fixture
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["serving"])
