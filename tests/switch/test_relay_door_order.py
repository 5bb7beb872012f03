"""Whatever is done, in whatever order, however often the connection is lost: a client is told all of it."""

import json
from contextlib import AsyncExitStack
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.switch.relay_doors import Doors, RawClient, eventually, plain_doors
from trunkline.testing.virtual_time import run_in_virtual_time

STREAMS = ("s1", "s2", "s3")
STATES = ["receive", "ringing", "answered", "ending", "ended"]
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["stream", "stop", "stop by the switch"]), st.sampled_from(STREAMS)),
    st.tuples(st.sampled_from(["answer", "lose", "lose unread", "listen"]), st.just("")),
)


class Returning:
    """A client that may lose its connection, and comes back; it keeps all that it was told, once each."""

    def __init__(self, d: Doors, stack: AsyncExitStack) -> None:
        self._d = d
        self._stack = stack
        self._resuming: dict[str, Any] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self.client: RawClient

    async def connect(self) -> None:
        self.client = await self._stack.enter_async_context(self._d.raw("office", **self._resuming))
        self._resuming |= {"protocol": self.client.connected["protocol"]}

    def take(self) -> list[dict[str, Any]]:
        """Give the events of calls so far: one that is told again is the same to the byte."""
        for event in self.client.events:
            if "authorization_state" in event["params"]:
                self._resuming["authorization_state"] = event["params"]["authorization_state"]
            else:
                self._told.setdefault(json.dumps(event), event)
        return list(self._told.values())

    async def lose(self, *, read: bool) -> None:
        """Lose the connection, with what was on its way, or with acknowledgements that never arrive."""
        while "authorization_state" not in str(self.client.events):
            await self.client.receive()
        if not read:
            await self.client.ask("signalwire.ping")  # now all is there
        self.take()
        self._d.lose_connections()
        await eventually(lambda: not any(client.connected for client in self._d.server.door.clients))
        await self.connect()


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=12))
def test_every_stream_finishes_before_its_call_ends(actions: list[tuple[str, str]]) -> None:
    async def script() -> None:
        async with plain_doors() as d, AsyncExitStack() as stack:
            one = Returning(d, stack)
            await one.connect()
            call = d.place()
            begun: list[str] = []  # streams that were answered with success
            for action, name in actions:
                live = [stream.control_id for stream in call.streams.values() if stream.state == "streaming"]
                match action:
                    case "answer":
                        assert (await one.client.command("calling.answer", call))["code"] == "200"
                    case "stream":
                        answer = await one.client.command(
                            "calling.stream", call, url=d.endpoint.url, control_id=name
                        )
                        assert (answer["code"] == "200") == (name not in live), answer
                        begun += [name] * (name not in live)
                    case "stop":
                        answer = await one.client.command("calling.stream.stop", call, control_id=name)
                        assert answer["code"] == ("200" if name in begun else "404")
                    case "stop by the switch" if name in live:
                        await call.stop_stream(name)
                    case "lose" | "lose unread":
                        await one.lose(read=action == "lose")
                    case "listen":
                        await one.client.ask("signalwire.ping")
            await call.hangup()
            while "ended" not in one.client.kinds():
                await one.client.receive()
            check([_kind_of(event) for event in one.take()], begun, d)

    run_in_virtual_time(script())


def _kind_of(event: dict[str, Any]) -> str:
    params = event["params"]
    if event["event_type"] == "calling.call.receive":
        return "receive"
    return str(params.get("call_state") or f"{params['control_id']} {params['state']}")


def check(kinds: list[str], begun: list[str], d: Doors) -> None:
    """See that nothing is missing, twice, or out of order."""
    states = [kind for kind in kinds if kind in STATES]
    assert states == [state for state in STATES if state in states]
    assert states[:2] + states[-2:] == ["receive", "ringing", "ending", "ended"]
    assert kinds[-2:] == ["ending", "ended"]
    for name in STREAMS:
        of_stream = [kind for kind in kinds if kind.startswith(name)]
        assert of_stream == [f"{name} streaming", f"{name} finished"] * begun.count(name)
    assert d.stream_events() == [(kind[:2], kind[3:]) for kind in kinds if kind[:2] in STREAMS]
