"""Fixtures for pytest: a `switch`, a `call` on it, and a `media_endpoint` that keeps what it receives.

Load them with `pytest_plugins = ["trunkline.testing.fixtures"]` in the conftest.py at the top, or with
`pytest -p trunkline.testing.fixtures`. A test that takes one of them may be a coroutine function: it runs on
their loop, `call_loop`, without a further plugin. `@pytest.mark.virtual_time` makes that loop's sleeping cost
no time (`trunkline.testing.virtual_time`).

    async def test_my_receiver(call):
        async with serve(my_handler) as server:
            await call.answer()
            await call.stream(server.url, codec="PCMU", track="both")
            await call.wait_for_ended()
"""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final, TypeVar

import pytest

from trunkline.switch import Call, PcmSource, Switch
from trunkline.testing import speech_like
from trunkline.testing.endpoint import MediaEndpoint, serve_endpoint
from trunkline.testing.virtual_time import VirtualTimeLoop

__all__ = ["call", "call_loop", "endpoint_options", "media_endpoint", "switch", "switch_options"]

CALL_S: Final = 2.0
OTHERS_MARKS: Final = ("asyncio", "anyio", "trio")

T = TypeVar("T")


@pytest.fixture
def call_loop(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """The event loop of the fixtures, as an asyncio.Runner: `call_loop.run(coroutine)` from a plain test."""
    for mark in OTHERS_MARKS:
        if request.node.get_closest_marker(mark) is not None:
            pytest.fail(
                f"the fixtures of trunkline.testing have a loop of their own, and `{mark}` runs this test on"
                " another: take the mark away, or make it a plain function that does call_loop.run(...)",
                pytrace=False,
            )
    is_virtual = request.node.get_closest_marker("virtual_time") is not None
    with asyncio.Runner(loop_factory=VirtualTimeLoop if is_virtual else None) as runner:
        yield runner


@pytest.fixture
def switch_options() -> dict[str, Any]:
    """Options of the `switch`, for you to override: `{"ssl": client_context("ca.pem")}`."""
    return {}


@pytest.fixture
def endpoint_options() -> dict[str, Any]:
    """Options of `trunkline.net.serve` for the `media_endpoint`, for you to override."""
    return {}


@pytest.fixture
def switch(call_loop: asyncio.Runner, switch_options: dict[str, Any]) -> Iterator[Switch]:
    """A running switch; streams go to wss://, and to ws:// on this machine."""
    defaults = {"project_id": "test-project", "token": "test-token", "insecure_loopback": True}
    with _entered(call_loop, Switch(**{**defaults, **switch_options})) as made:
        yield made


@pytest.fixture
def call(call_loop: asyncio.Runner, switch: Switch) -> Call:
    """A call that rings: 2 s at 8 kHz of two talkers, then its caller hangs up.

    Inbound is `speech_like(2.0)`, outbound `speech_like(2.0, seed=1)`. `switch.place_call` places others.
    """

    async def place() -> Call:
        return switch.place_call(
            PcmSource(speech_like(CALL_S)),
            outbound=PcmSource(speech_like(CALL_S, seed=1)),
            from_number="+15550100",
            to_number="+15550101",
        )

    return call_loop.run(place())


@pytest.fixture
def media_endpoint(call_loop: asyncio.Runner, endpoint_options: dict[str, Any]) -> Iterator[MediaEndpoint]:
    """A receiver at `media_endpoint.url` that keeps what it gets (`trunkline.testing.endpoint`)."""
    with _entered(call_loop, serve_endpoint(**endpoint_options)) as endpoint:
        yield endpoint


@contextmanager
def _entered(runner: asyncio.Runner, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter on the loop, and leave on it."""
    entered = runner.run(context.__aenter__())
    try:
        yield entered
    finally:
        runner.run(context.__aexit__(None, None, None))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line(
        "markers", "virtual_time: sleeping on the loop of trunkline's fixtures costs no time"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let the mark alone be enough for a coroutine function."""
    if isinstance(item, pytest.Function) and item.get_closest_marker("virtual_time") is not None:
        item.fixturenames.insert(0, "call_loop")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function that takes one of the fixtures on their loop."""
    if "call_loop" not in pyfuncitem.fixturenames or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given: dict[str, Any] = pyfuncitem.funcargs
    arguments = {name: given[name] for name in inspect.signature(pyfuncitem.obj).parameters if name in given}
    runner: asyncio.Runner = given["call_loop"]
    runner.run(pyfuncitem.obj(**arguments))
    return True
