"""Whatever a peer sends has one documented outcome, and leaves the connection as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import RemoteProtocolError
from trunkline.relay import (
    Answer,
    CallEvents,
    ClientConnection,
    Connect,
    Dial,
    Event,
    ServerConnection,
    Stream,
    Unknown,
)
from trunkline.relay.jsonrpc import MESSAGE_BYTES_MAX, InvalidMessageError, parse

KEY = b"0123456789abcdef"
PARSE, INVALID, METHOD, PARAMS, OVERLOADED, UNAUTHORIZED = -32700, -32600, -32601, -32602, -32000, -32002


def message(method: str, params: Any = None, id: Any = "x", **more: Any) -> str:
    fields = {"jsonrpc": "2.0", "id": id, "method": method, "params": {} if params is None else params}
    return json.dumps(fields | more)


def event(event_type: str, params: Any, **more: Any) -> str:
    return message("signalwire.event", {"event_type": event_type, "params": params} | more)


def sent(connection: ServerConnection | ClientConnection) -> list[Any]:
    return [json.loads(data) for data in connection.messages_to_send()]


def connected(**options: Any) -> ServerConnection:
    server = ServerConnection({"p1": "token-1"}, key=KEY, **options)
    authentication = {"project": "p1", "token": "token-1"}
    assert isinstance(
        server.receive(message("signalwire.connect", {"authentication": authentication}), 0), Connect
    )
    result, state = sent(server)
    assert result["result"]["protocol"] == server.protocol
    assert state["params"]["event_type"] == "signalwire.authorization.state"
    return server


CALL = {"node_id": "n1", "call_id": "c1"}
STREAM = {**CALL, "control_id": "s1", "url": "wss://example.com/"}
PHONE = {"type": "phone", "params": {"to_number": "1"}}

# What was sent, the code and the id of the answer.
HOSTILE: list[tuple[str, str | bytes, int, Any]] = [
    ("nothing", "", PARSE, None),
    ("a word", "canary", PARSE, None),
    ("half an object", '{"jsonrpc": "2.0"', PARSE, None),
    ("two objects", message("signalwire.ping") * 2, PARSE, None),
    ("NaN", '{"jsonrpc": "2.0", "id": NaN, "method": "a"}', PARSE, None),
    ("a trailing comma", '{"jsonrpc": "2.0",}', PARSE, None),
    ("bytes that are not UTF-8", b'{"jsonrpc": "2.0", "id": "x", "method": "a", "y": "\xff"}', PARSE, None),
    ("a lone surrogate", '{"jsonrpc": "2.0", "id": "\ud800", "method": "a"}', PARSE, None),
    ("an escaped lone surrogate", '{"jsonrpc": "2.0", "id": "\\ud800\\u0041", "method": "a"}', PARSE, None),
    ("a byte order mark", b"\xef\xbb\xbf" + message("signalwire.ping").encode(), PARSE, None),
    ("null", "null", INVALID, None),
    ("a number", "7", INVALID, None),
    ("a string", '"signalwire.ping"', INVALID, None),
    ("an empty batch", "[]", INVALID, None),
    ("a batch", f"[{message('signalwire.ping')}]", INVALID, None),
    ("an empty object", "{}", INVALID, None),
    ("no version", '{"id": "x", "method": "signalwire.ping"}', INVALID, "x"),
    ("version 1.0", message("signalwire.ping", jsonrpc="1.0"), INVALID, "x"),
    ("version as a number", message("signalwire.ping", jsonrpc=2.0), INVALID, "x"),
    ("neither method nor answer", '{"jsonrpc": "2.0", "id": "x"}', INVALID, None),
    ("an answer without an id", '{"jsonrpc": "2.0", "result": {}}', INVALID, None),
    ("a method that is a number", message("signalwire.ping").replace('"signalwire.ping"', "7"), INVALID, "x"),
    ("a method of 257 characters", message("m" * 257), INVALID, "x"),
    ("an id that is null", message("signalwire.ping", id=None), INVALID, None),
    ("an id that is a list", message("signalwire.ping", id=["x"]), INVALID, None),
    ("an id that is true", message("signalwire.ping", id=True), INVALID, None),
    ("an id that is a fraction", message("signalwire.ping", id=1.5), INVALID, None),
    ("an id past 2^53", message("signalwire.ping", id=2**53 + 1), INVALID, None),
    ("an id of 400 digits", message("signalwire.ping", id=10**400), INVALID, None),
    ("an id of 257 characters", message("signalwire.ping", id="x" * 257), INVALID, None),
    ("1 MiB and a byte", message("signalwire.ping") + " " * MESSAGE_BYTES_MAX, INVALID, None),
    ("1 MiB of two-byte characters", "é" * (MESSAGE_BYTES_MAX // 2 + 1), INVALID, None),
    (
        "lists 65 deep",
        message("calling.answer", CALL, y=[]).replace("[]", "[" * 64 + "]" * 64),
        INVALID,
        None,
    ),
    ("lists 100,000 deep", "[" * 100_000, INVALID, None),
    ("an unknown method", message("calling.play"), METHOD, "x"),
    ("a method without a name", message(""), METHOD, "x"),
    ("an event from a client", message("signalwire.event"), METHOD, "x"),
    ("parameters in a list", message("calling.answer", ["n1", "c1"]), PARAMS, "x"),
    ("parameters that are null", message("calling.answer").replace("{}", "null"), PARAMS, "x"),
    ("an answer to no call", message("calling.answer", {"node_id": "n1"}), PARAMS, "x"),
    ("a call_id that is a number", message("calling.answer", {"call_id": 1}), PARAMS, "x"),
    ("a call_id of 4,097 characters", message("calling.end", {"call_id": "c" * 4097}), PARAMS, "x"),
    ("a reason that is an object", message("calling.end", CALL | {"reason": {}}), PARAMS, "x"),
    ("a surrogate in the parameters", message("calling.answer", {"call_id": "\ud800"}), PARSE, None),
    ("a stop without a control_id", message("calling.stream.stop", CALL), PARAMS, "x"),
    ("a stream of no call", message("calling.stream", {"url": "wss://example.com/"}), PARAMS, "x"),
    ("a dial without devices", message("calling.dial", {"tag": "t"}), PARAMS, "x"),
    ("a dial of nobody", message("calling.dial", {"tag": "t", "devices": []}), PARAMS, "x"),
    ("a dial of an empty list", message("calling.dial", {"tag": "t", "devices": [[]]}), PARAMS, "x"),
    ("a dial without a tag", message("calling.dial", {"tag": "", "devices": [[PHONE]]}), PARAMS, "x"),
    ("a dial of 101", message("calling.dial", {"tag": "t", "devices": [[PHONE] * 101]}), PARAMS, "x"),
    (
        "a dial for -1 minutes",
        message("calling.dial", {"tag": "t", "devices": [[PHONE]], "max_duration": -1}),
        PARAMS,
        "x",
    ),
    ("a context that is a number", message("signalwire.receive", {"contexts": [1]}), PARAMS, "x"),
    ("no contexts at all", message("signalwire.receive"), PARAMS, "x"),
    (
        "1,001 contexts",
        message("signalwire.receive", {"contexts": [str(i) for i in range(1001)]}),
        PARAMS,
        "x",
    ),
    (
        "a second connect",
        message("signalwire.connect", {"authentication": {"project": "p1", "token": "token-1"}}),
        INVALID,
        "x",
    ),
]


@pytest.mark.parametrize(
    ("data", "code", "id"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE]
)
def test_the_server_answers_and_stays_as_it_was(data: str | bytes, code: int, id: Any) -> None:
    server = connected()
    assert server.receive(message("calling.answer", CALL, id="waiting"), 0) is not None
    before = (server.protocol, server.contexts, server.unanswered, server.unacknowledged)
    assert isinstance(server.receive(data, 0), Unknown | None)
    [answer] = sent(server)
    assert (answer["error"]["code"], answer["id"]) == (code, id)
    assert len(answer["error"]["message"]) < 300
    assert "canary" not in answer["error"]["message"]
    assert before == (server.protocol, server.contexts, server.unanswered, server.unacknowledged)
    [waiting] = server.unanswered
    server.reply(waiting)
    assert sent(server)[0]["id"] == "waiting"


@pytest.mark.parametrize(
    "method", ["signalwire.ping", "calling.answer", "calling.stream", "calling.play", "x"]
)
def test_nothing_but_connect_before_authentication(method: str) -> None:
    server = ServerConnection({"p1": "token-1"}, key=KEY)
    assert server.receive(message(method, STREAM), 0) is None
    [answer] = sent(server)
    assert (answer["error"]["code"], answer["id"]) == (UNAUTHORIZED, "x")
    assert not server.authenticated


@pytest.mark.parametrize(
    "authentication",
    [
        {},
        {"project": "p1"},
        {"token": "token-1"},
        {"project": "p1", "token": "token-2"},
        {"project": "p1", "token": ""},
        {"project": "p1", "token": "token-1 "},
        {"project": "p0", "token": ""},
        {"project": "p2", "token": "token-1"},
        {"project": "é", "token": "é"},
        {"jwt_token": "token-1"},
    ],
    ids=repr,
)
def test_wrong_credentials(authentication: dict[str, str]) -> None:
    server = ServerConnection({"p0": "", "p1": "token-1", "é": "e"}, key=KEY)
    assert server.receive(message("signalwire.connect", {"authentication": authentication}), 0) is None
    [answer] = sent(server)
    assert answer["error"]["code"] == UNAUTHORIZED
    assert not server.authenticated
    assert "token-" not in answer["error"]["message"]


def test_credentials_by_a_function() -> None:
    asked: list[tuple[str, str]] = []

    def authorizes(project: str, token: str) -> bool:
        asked.append((project, token))
        return token == "right"  # noqa: S105

    for token in ("wrong", "right"):
        server = ServerConnection(authorizes, key=KEY)
        params = {"authentication": {"project": "p", "token": token}}
        server.receive(message("signalwire.connect", params), 0)
        assert server.authenticated == (token == "right")  # noqa: S105
    assert asked == [("p", "wrong"), ("p", "right")]


def test_the_connect_of_the_typescript_sdk() -> None:
    """It repeats the project and the token beside the authentication, and names what we do not know."""
    params = {
        "version": {"major": 4, "minor": 0, "revision": 0},
        "agent": "@signalwire/nodejs/realtime-api",
        "event_acks": True,
        "authentication": {"project": "p1", "token": "token-1"},
        "project": "p1",
        "token": "token-1",
        "contexts": ["office"],
        "eventing": ["x"],
    }
    server = ServerConnection({"p1": "token-1"}, key=KEY)
    connect = server.receive(message("signalwire.connect", params, id=1), 0)
    assert isinstance(connect, Connect)
    assert (server.project, server.contexts, connect.agent) == ("p1", ("office",), params["agent"])
    assert "token-1" not in repr(connect)


@pytest.mark.parametrize("what", ["as given", "other state", "other protocol", "other project", "no state"])
def test_a_session_is_resumed_only_by_whom_it_was_given_to(what: str) -> None:
    credentials = {"p1": "token-1", "p2": "token-2"}
    first = ServerConnection(credentials, key=KEY)
    first.receive(message("signalwire.connect", {"authentication": {"project": "p1", "token": "token-1"}}), 0)
    _, told = sent(first)
    state = told["params"]["params"]["authorization_state"]
    project = "p2" if what == "other project" else "p1"
    params = {
        "authentication": {"project": project, "token": credentials[project]},
        "protocol": first.protocol + ("x" if what == "other protocol" else ""),
        "authorization_state": {"other state": "0" * len(state), "no state": ""}.get(what, state),
    }
    second = ServerConnection(credentials, key=KEY)
    connect = second.receive(message("signalwire.connect", params), 0)
    assert isinstance(connect, Connect)
    assert connect.resumed == (what == "as given") == (second.protocol == first.protocol)
    assert connect.protocol == second.protocol


def test_an_id_in_use_is_not_used_again() -> None:
    server = connected()
    first = server.receive(message("calling.answer", CALL, id=1), 0)
    assert server.receive(message("calling.end", CALL, id=1), 0) is None
    assert sent(server)[0] == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": INVALID, "message": "the id is that of a request that waits for its answer"},
    }
    assert server.unanswered == (first,)


def test_commands_without_end_are_refused() -> None:
    server = connected()
    for i in range(1001):
        server.receive(message("calling.answer", CALL, id=i), 0)
    [answer] = sent(server)
    assert (answer["id"], answer["error"]["code"]) == (1000, OVERLOADED)
    assert len(server.unanswered) == 1000


def test_contexts_without_end_are_refused() -> None:
    server = connected()
    server.receive(message("signalwire.receive", {"contexts": [f"a{i}" for i in range(600)]}), 0)
    assert (
        server.receive(message("signalwire.receive", {"contexts": [f"b{i}" for i in range(600)]}), 0) is None
    )
    assert [answer.get("error", {}).get("code") for answer in sent(server)] == [None, OVERLOADED]
    assert len(server.contexts) == 600


def test_notifications_are_not_answered_nor_carried_out() -> None:
    server = connected()
    text = json.dumps({"jsonrpc": "2.0", "method": "signalwire.receive", "params": {"contexts": ["x"]}})
    assert server.receive(text, 0) is None
    assert (sent(server), server.contexts) == ([], ())


def test_a_stream_that_is_refused_names_the_field() -> None:
    server = connected()
    assert server.receive(message("calling.stream", STREAM | {"track": "none"}), 0) is None
    [answer] = sent(server)
    assert answer["result"]["code"] == "400"
    assert answer["result"]["message"].startswith("track: 'none'")
    assert not server.unanswered


def test_insecure_loopback_is_handed_on() -> None:
    text = message("calling.stream", STREAM | {"url": "ws://127.0.0.1:1/"})
    assert connected().receive(text, 0) is None
    assert isinstance(connected(insecure_loopback=True).receive(text, 0), Stream)


def test_a_parameter_cannot_pass_for_the_id() -> None:
    command = connected().receive(message("calling.answer", CALL | {"request_id": "forged"}), 0)
    assert isinstance(command, Answer)
    assert command.request_id == "x"


def test_a_dial_is_typed() -> None:
    dial = connected().receive(message("calling.dial", {"tag": "t", "devices": [[PHONE], [PHONE, PHONE]]}), 0)
    assert isinstance(dial, Dial)
    assert [[device.type for device in devices] for devices in dial.devices] == [["phone"], ["phone"] * 2]


def test_who_never_acknowledges_takes_no_memory() -> None:
    server = ServerConnection({"p1": "token-1"}, key=KEY)
    params = {"authentication": {"project": "p1", "token": "token-1"}, "event_acks": True}
    server.receive(message("signalwire.connect", params), 7.0)
    for i in range(10_005):
        server.ping(8.0 + i)
    assert (server.unacknowledged, server.oldest_unacknowledged_s) == (10_000, 7.0)
    for request in sent(server):
        if "method" in request:
            server.receive(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {}}), 0)
    assert (server.unacknowledged, server.oldest_unacknowledged_s) == (0, None)


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


def connected_client() -> ClientConnection:
    client = ClientConnection()
    connect = client.connect(project="p1", token="token-1")  # noqa: S106
    client.receive(json.dumps({"jsonrpc": "2.0", "id": connect, "result": {"protocol": "proto-1"}}))
    assert client.authenticated
    assert client.messages_to_send()
    return client


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
METHODS = [
    "signalwire.connect",
    "signalwire.receive",
    "calling.answer",
    "calling.stream",
    "calling.dial",
    "x",
]
NAMES = ["authentication", "contexts", "call_id", "node_id", "url", "track", "devices", "tag", "request_id"]
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers(0, 3) | JSON,
        "method": st.sampled_from(METHODS) | JSON,
        "params": st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4) | JSON,
        "result": JSON,
        "error": JSON,
    },
)


@given(st.lists(MESSAGES, max_size=8))
def test_the_server_never_raises(messages: list[Any]) -> None:
    """And every request that can be told as one, by an id that is not in use, is answered or given."""
    server = connected()
    for fields in messages:
        text = json.dumps(fields)
        in_use = {command.request_id for command in server.unanswered}
        command = server.receive(text, 0)
        answers = sent(server)
        try:
            request = parse(text)
        except InvalidMessageError:
            assert (command, len(answers)) == (None, 1)
            continue
        if getattr(request, "method", None) is not None and request.id is not None:
            expected = None if request.id in in_use else request.id
            given_out = command is not None and command in server.unanswered
            assert given_out == (not answers)
            assert all(answer["id"] == expected for answer in answers[:1])


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_bytes_of_any_kind(data: bytes | str) -> None:
    server = connected()
    server.receive(data, 0)
    client = connected_client()
    try:
        client.receive(data)
    except RemoteProtocolError:
        assert client.messages_to_send() == []
