"""Whatever a server sends has one documented outcome, and leaves the client's end as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay.messages import event, message, sent
from trunkline.errors import RemoteProtocolError
from trunkline.relay import CallEvents, ClientConnection, Event
from trunkline.relay.jsonrpc import INVALID_PARAMS as PARAMS
from trunkline.relay.jsonrpc import MESSAGE_BYTES_MAX
from trunkline.relay.jsonrpc import METHOD_NOT_FOUND as METHOD

CALL = {"node_id": "n1", "call_id": "c1"}


def connected_client() -> ClientConnection:
    client = ClientConnection()
    connect = client.connect(project="p1", token="token-1")  # noqa: S106
    client.receive(json.dumps({"jsonrpc": "2.0", "id": connect, "result": {"protocol": "proto-1"}}))
    assert client.authenticated
    assert client.messages_to_send()
    return client


# What a server may send to a client that has connected: the code of the answer, None when there is none.
HOSTILE_TO_CLIENTS: list[tuple[str, str | bytes, int | None]] = [
    ("nothing", "", None),
    ("a batch", "[]", None),
    ("2 MiB", " " * 2 * MESSAGE_BYTES_MAX, None),
    ("lists 100,000 deep", "[" * 100_000, None),
    ("no version", '{"id": 1, "result": {}}', None),
    ("an unknown method", message("canary.method"), METHOD),
    ("an event without a type", message("signalwire.event", {"params": {}}), PARAMS),
    ("an event whose parameters are a list", event("x", []), PARAMS),
    ("an event whose time is a text", event("x", {}, timestamp="1"), PARAMS),
    ("a call without an id", event("calling.call.receive", {"node_id": "n"}), PARAMS),
    ("a call_id that is a list", event("calling.call.state", {"call_id": [], "call_state": "ended"}), PARAMS),
    ("a stream without a state", event("calling.call.stream", {"call_id": "c", "control_id": "s"}), PARAMS),
    (
        "a device that is a text",
        event("calling.call.receive", {"call_id": "c", "node_id": "n", "device": "phone"}),
        PARAMS,
    ),
    ("a disconnect with a text", message("signalwire.disconnect", {"restart": "yes"}), PARAMS),
]


@pytest.mark.parametrize(
    ("data", "code"), [case[1:] for case in HOSTILE_TO_CLIENTS], ids=[case[0] for case in HOSTILE_TO_CLIENTS]
)
def test_the_client_refuses_and_stays_as_it_was(data: str | bytes, code: int | None) -> None:
    client = connected_client()
    waiting = client.request("calling.answer", CALL)
    client.messages_to_send()
    before = (client.protocol, client.authorization_state, client.pending)
    with pytest.raises(RemoteProtocolError) as raised:
        client.receive(data)
    assert len(str(raised.value)) < 300
    assert [answer["error"]["code"] for answer in sent(client)] == ([] if code is None else [code])
    assert before == (client.protocol, client.authorization_state, client.pending)
    answered = client.receive(json.dumps({"jsonrpc": "2.0", "id": waiting, "result": {"code": 200}}))
    assert answered is not None
    assert not client.pending


def test_events_that_we_do_not_know_are_acknowledged_and_given() -> None:
    client = connected_client()
    params = {"event_type": "calling.call.play", "params": {"call_id": "c1", "state": "finished"}, "more": 1}
    event = client.receive(message("signalwire.event", params))
    assert event == Event(event_type="calling.call.play", params=params["params"])  # type: ignore[arg-type]
    assert sent(client) == [{"jsonrpc": "2.0", "id": "x", "result": {}}]


def test_a_notified_event_is_given_without_acknowledgement() -> None:
    client = connected_client()
    body = CallEvents(call_id="c1", node_id="n1", project_id="p1").receive(1.0).body()
    event = client.receive(json.dumps({"jsonrpc": "2.0", "method": "signalwire.event", "params": body}))
    assert isinstance(event, Event)
    assert sent(client) == []


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_bytes_of_any_kind(data: bytes | str) -> None:
    client = connected_client()
    with pytest.raises(RemoteProtocolError):
        client.receive(data)
    assert client.messages_to_send() == []
