"""CallEvents: whatever a switch tries, a client that keeps to RELAY's rules is never left waiting."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import LocalProtocolError
from trunkline.relay import CallEvents, Event
from trunkline.relay.events import typed_event
from trunkline.stream import StreamRequest

URL = "wss://example.com/"
IDS = ("s1", "s2")


def request(control_id: str = "s1", name: str | None = None) -> StreamRequest:
    return StreamRequest.parse({"url": URL, "control_id": control_id, "name": name})


def inbound() -> CallEvents:
    return CallEvents(
        call_id="c1",
        node_id="n1",
        project_id="p1",
        space_id="x1",
        segment_id="g1",
        context="office",
        tag="t1",
        device={"type": "phone", "params": {"from_number": "+15550100", "to_number": "+15550101"}},
    )


def test_every_field_of_every_event() -> None:
    call = inbound()
    device = {"type": "phone", "params": {"from_number": "+15550100", "to_number": "+15550101"}}
    identity = {"call_id": "c1", "node_id": "n1", "segment_id": "g1"}
    parties = {"direction": "inbound", "device": device, "tag": "t1"}
    received = call.receive(1.5)
    envelope = {"timestamp": 1.5, "project_id": "p1", "space_id": "x1"}
    assert received.body() == envelope | {
        "event_type": "calling.call.receive",
        "event_channel": received.event_channel,
        "params": identity | parties | {"project_id": "p1", "context": "office", "call_state": "created"},
    }
    assert received.event_channel.startswith("swml:")
    assert call.answered(2).params == identity | parties | {"call_state": "answered"}
    call.open_stream(request(name="a name"))
    stream = identity | {"control_id": "s1", "url": URL, "name": "a name"}
    assert call.streaming("s1", 3).params == stream | {"state": "streaming"}
    finished = call.finished("s1", 4)
    assert (finished.event_type, finished.params) == ("calling.call.stream", stream | {"state": "finished"})
    call.open_stream(request())
    assert "name" not in call.finished("s1", 4).params
    ended = call.ended("busy", 5)
    assert ended.params == identity | parties | {"call_state": "ended", "end_reason": "busy"}
    assert {event.event_channel for event in (received, finished, ended)} == {received.event_channel}


def test_the_events_of_a_dial() -> None:
    device = {"type": "phone", "params": {"to_number": "+15550101"}}
    call = CallEvents(
        call_id="c1", node_id="n1", project_id="p1", tag="t1", direction="outbound", device=device
    )
    assert call.created(0).params["tag"] == "t1"
    assert call.dial("dialing", 1).dial_state == "dialing"
    with pytest.raises(LocalProtocolError, match="is created: its dial cannot be answered"):
        call.dial("answered", 2)
    call.answered(3)
    assert call.dial("answered", 3).params == {
        "node_id": "n1",
        "tag": "t1",
        "dial_state": "answered",
        "call": {"call_id": "c1", "node_id": "n1", "tag": "t1", "device": device, "dial_winner": True},
    }
    assert call.dial("answered", 3).call_id == "c1"
    assert call.dial("failed", 3).call_id == ""
    with pytest.raises(LocalProtocolError, match="was dialled"):
        call.receive(4)
    with pytest.raises(LocalProtocolError, match="was not dialled"):
        inbound().dial("dialing", 0)


STEPS: dict[str, Callable[[CallEvents], Event | None]] = {
    "receive": lambda call: call.receive(0),
    "created": lambda call: call.created(0),
    "ringing": lambda call: call.ringing(0),
    "answered": lambda call: call.answered(0),
    "ending": lambda call: call.ending("hangup", 0),
    "ended": lambda call: call.ended("hangup", 0),
    **{f"open {name}": (lambda call, name=name: call.open_stream(request(name))) for name in IDS},  # type: ignore[misc]
    **{f"streaming {name}": (lambda call, name=name: call.streaming(name, 0)) for name in IDS},  # type: ignore[misc]
    **{f"finished {name}": (lambda call, name=name: call.finished(name, 0)) for name in IDS},  # type: ignore[misc]
}


def attempt(call: CallEvents, step: str) -> list[Event] | None:
    """The events of a step; None when it was refused."""
    before = (call.state, call.live_streams)
    try:
        event = STEPS[step](call)
    except LocalProtocolError:
        assert (call.state, call.live_streams) == before
        return None
    return [] if event is None else [event]


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=25))
def test_no_order_of_attempts_breaks_the_rules(steps: list[str]) -> None:
    """The rules as a client sees them, read from the events alone."""
    call = inbound()
    opened: list[str] = []
    states = ["created", "ringing", "answered", "ending", "ended"]
    seen: list[Event] = []
    for step in steps:
        events = attempt(call, step)
        if events is None:
            continue
        if step.startswith("open"):
            opened.append(step.removeprefix("open "))
        seen.extend(events)
    told = [event.params["call_state"] for event in seen if event.event_type == "calling.call.state"]
    assert [states.index(state) for state in told] == sorted(states.index(state) for state in told)
    assert told.count("ended") <= 1
    if "ended" in told:
        assert seen[-1].params.get("call_state") == "ended"
    streams = [event for event in seen if event.event_type == "calling.call.stream"]
    assert {event.params["state"] for event in streams} <= {"streaming", "finished"}
    for control_id in IDS:
        of_it = [event.params["state"] for event in streams if event.params["control_id"] == control_id]
        n_finished, n_opened = of_it.count("finished"), opened.count(control_id)
        assert n_opened - n_finished == (control_id in call.live_streams)
        assert of_it.count("streaming") <= n_opened
        assert "streaming streaming" not in " ".join(of_it)
        if "ended" in told:
            assert n_finished == n_opened
    for event in seen:
        assert typed_event(Event(**event.body())) == event
        assert msgspec.json.decode(msgspec.json.encode(event.body()))["params"] == event.params


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=15))
def test_a_call_can_always_be_ended(steps: list[str]) -> None:
    """Nothing that was allowed leads where a hang-up is not."""
    call = inbound()
    for step in steps:
        attempt(call, step)
    for control_id in call.live_streams:
        call.finished(control_id, 0)
    if call.state != "ended":
        assert call.ended("hangup", 0).end_reason == "hangup"
    for step in STEPS:
        assert attempt(call, step) is None


def test_a_control_id_may_be_used_again() -> None:
    call = inbound()
    for _ in range(2):
        call.open_stream(request())
        told = [call.streaming("s1", 0), call.finished("s1", 0)]
        assert [event.state for event in told] == ["streaming", "finished"]


def test_the_messages_name_what_is_in_the_way() -> None:
    call = inbound()
    call.open_stream(request("s1"))
    call.open_stream(request("s2"))
    with pytest.raises(LocalProtocolError, match="call c1 has a live stream s1 already"):
        call.open_stream(request("s1"))
    with pytest.raises(LocalProtocolError, match="call c1 cannot end: streams s1, s2 are not finished"):
        call.ended("hangup", 0)
    with pytest.raises(LocalProtocolError, match="call c1 has no live stream s3"):
        call.finished("s3", 0)
    call.ending("hangup", 0)
    with pytest.raises(LocalProtocolError, match="call c1 is ending: it takes no stream"):
        call.open_stream(request("s3"))
    with pytest.raises(LocalProtocolError, match="call c1 is ending: it cannot be answered after that"):
        call.answered(0)
