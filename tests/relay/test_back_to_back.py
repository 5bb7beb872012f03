"""Both ends against each other: in whatever order messages travel, every request is answered once."""

import json
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import LocalProtocolError
from trunkline.relay import (
    CallEvents,
    ClientConnection,
    Disconnect,
    Event,
    Pinged,
    Refusal,
    RelayError,
    Reply,
    ServerConnection,
)

CALL = {"node_id": "n1", "call_id": "c1"}
PHONE = {"type": "phone", "params": {"to_number": "1"}}
COMMANDS = [
    ("calling.answer", CALL),
    ("calling.end", CALL | {"reason": "busy"}),
    ("calling.stream", CALL | {"url": "wss://example.com/", "control_id": "s1"}),
    ("calling.stream", CALL | {"url": "http://example.com/"}),
    ("calling.stream.stop", CALL | {"control_id": "s1"}),
    ("calling.dial", {"tag": "t", "devices": [[PHONE]]}),
    ("calling.play", CALL),
    ("calling.answer", {}),
    ("signalwire.ping", {}),
    ("signalwire.receive", {"contexts": ["a"]}),
    ("signalwire.unreceive", {"contexts": ["a"]}),
]


class Wire:
    """The two ends, and the messages between them, which travel when they are told to."""

    def __init__(self) -> None:
        self.server = ServerConnection({"p1": "token-1"}, key=b"0123456789abcdef")
        self.client = ClientConnection()
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.answers: list[Reply | Refusal] = []
        self.told: list[Event | Pinged | Disconnect] = []
        self.call = CallEvents(call_id="c1", node_id="n1", project_id="p1")

    def collect(self) -> None:
        self.up.extend(self.client.messages_to_send())
        self.down.extend(self.server.messages_to_send())

    def carry_up(self) -> None:
        if self.up:
            self.server.receive(self.up.popleft(), 1.0)
        self.collect()

    def carry_down(self) -> None:
        if self.down:
            match self.client.receive(self.down.popleft()):
                case Reply() | Refusal() as answer:
                    self.answers.append(answer)
                case Event() | Pinged() | Disconnect() as told:
                    self.told.append(told)
        self.collect()

    def answer(self, index: int, code: int) -> None:
        waiting = self.server.unanswered
        if waiting and code == 200:
            self.server.reply(waiting[index % len(waiting)])
        elif waiting:
            self.server.refuse(waiting[index % len(waiting)], code, "no")
        self.collect()

    def settle(self) -> None:
        self.collect()
        while self.up or self.down or self.server.unanswered:
            self.carry_up()
            self.carry_down()
            self.answer(0, 200)

    def connect(self, token: str = "token-1") -> None:  # noqa: S107
        self.client.connect(project="p1", token=token, contexts=["office"])
        self.collect()


STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(COMMANDS)),
    st.tuples(st.just("answer"), st.tuples(st.integers(0, 9), st.sampled_from([200, 404, 500]))),
    st.tuples(st.sampled_from(["up", "down", "event", "ping"]), st.none()),
)


@given(st.lists(STEPS, max_size=60))
def test_every_request_is_answered_once(steps: list[tuple[str, object]]) -> None:
    wire = Wire()
    wire.connect()
    wire.settle()
    assert len(wire.answers) == 1
    asked = {"1": "signalwire.connect"}
    n_told = 0
    for step, argument in steps:
        match step, argument:
            case "ask", (str() as method, dict() as params):
                asked[wire.client.request(method, params)] = method
            case "answer", (int() as index, int() as code):
                wire.answer(index, code)
            case "up", _:
                wire.carry_up()
            case "down", _:
                wire.carry_down()
            case "event", _:
                wire.server.send_event(wire.call.receive(2.0))
                n_told += 1
            case "ping", _:
                wire.server.ping(2.0)
                n_told += 1
        wire.collect()
    wire.settle()
    assert Counter(answer.request_id for answer in wire.answers) == Counter(asked.keys())
    assert all(asked[str(answer.request_id)] == answer.method for answer in wire.answers)
    assert (dict(wire.client.pending), wire.server.unanswered, wire.server.unacknowledged) == ({}, (), 0)
    assert len(wire.told) == n_told
    for answer in wire.answers:
        refused_always = answer.method == "calling.play"
        assert not (isinstance(answer, Reply) and refused_always)
        if isinstance(answer, Reply) and answer.method.startswith("calling."):
            assert answer.result["code"] == "200"


@given(st.lists(st.sampled_from(["up", "down"]), max_size=6), st.booleans())
def test_connecting_in_any_order(steps: list[str], right: bool) -> None:
    wire = Wire()
    with pytest.raises(LocalProtocolError, match=r"before signalwire\.connect was answered"):
        wire.client.request("calling.answer", CALL)
    with pytest.raises(LocalProtocolError, match="no client has connected"):
        wire.server.send_event(wire.call.receive(0))
    wire.connect("token-1" if right else "wrong")
    for step in steps:
        wire.carry_up() if step == "up" else wire.carry_down()
    wire.settle()
    [answer] = wire.answers
    assert isinstance(answer, Reply) == right == wire.client.authenticated == wire.server.authenticated
    if right:
        assert wire.client.protocol == wire.server.protocol
        assert wire.client.authorization_state
        assert (wire.server.contexts, wire.told, wire.server.unacknowledged) == (("office",), [], 0)
    else:
        assert isinstance(answer, Refusal)
        assert (answer.error.code, wire.client.protocol) == (-32002, "")


def test_results_are_never_empty_and_name_what_they_are_about() -> None:
    wire = Wire()
    wire.connect()
    wire.settle()
    results = {}
    for method, params in COMMANDS:
        wire.client.request(method, params)
        wire.settle()
        last = wire.answers[-1]
        results[method] = results.get(method, last.result if isinstance(last, Reply) else last.error)
    ok = {"code": "200", "message": "OK"}
    assert results["calling.answer"] == ok | {"call_id": "c1"}
    assert results["calling.end"] == ok | {"call_id": "c1"}
    assert results["calling.stream"] == ok | {"call_id": "c1", "control_id": "s1"}
    assert results["calling.stream.stop"] == ok | {"call_id": "c1", "control_id": "s1"}
    assert results["calling.dial"] == ok
    assert results["signalwire.receive"] == ok
    refused = results["calling.play"]
    assert isinstance(refused, RelayError)
    assert str(refused) == "RELAY error -32601: unknown method 'calling.play'"


def test_an_answer_is_given_once() -> None:
    wire = Wire()
    wire.connect()
    wire.settle()
    wire.client.request("calling.answer", CALL)
    wire.collect()
    wire.carry_up()
    [command] = wire.server.unanswered
    for code in (200, 204, 299, 600, 0):
        with pytest.raises(LocalProtocolError, match="a refusal takes 300 to 599"):
            wire.server.refuse(command, code, "no")
    wire.server.reply(command)
    for answer in (lambda: wire.server.reply(command), lambda: wire.server.refuse(command, 500, "no")):
        with pytest.raises(LocalProtocolError, match="is not owed an answer"):
            answer()
    assert len(wire.server.messages_to_send()) == 1


@pytest.mark.parametrize("code", [200, "200", "204", 299])
def test_any_2xx_is_a_success(code: object) -> None:
    wire = Wire()
    wire.connect()
    wire.settle()
    request_id = wire.client.request("calling.answer", CALL)
    text = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {"code": code}})
    assert wire.client.receive(text) == Reply(request_id, "calling.answer", {"code": code})


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"result": {"code": "404", "message": "gone"}}, 404),
        ({"result": {"code": 500}}, 500),
        ({"result": {"code": "abc"}}, -1),
        ({"result": {"code": "2000"}}, 2000),
        ({"result": {"code": None}}, -1),
        ({"result": []}, -1),
        ({"result": None}, -1),
        ({"error": {"code": -32601, "message": "no"}}, -32601),
        ({"error": {"code": "-32000"}}, -32000),
        ({"error": {}}, -1),
        ({"error": {"code": "x" * 100}}, -1),
    ],
    ids=repr,
)
def test_anything_else_is_a_refusal(answer: dict[str, object], code: int) -> None:
    wire = Wire()
    wire.connect()
    wire.settle()
    request_id = wire.client.request("calling.answer", CALL)
    refusal = wire.client.receive(json.dumps({"jsonrpc": "2.0", "id": request_id, **answer}))
    assert isinstance(refusal, Refusal)
    assert (refusal.request_id, refusal.method, refusal.error.code) == (request_id, "calling.answer", code)
    assert wire.client.receive(json.dumps({"jsonrpc": "2.0", "id": request_id, **answer})) is None


def test_a_disconnect_with_restart_forgets_the_session() -> None:
    wire = Wire()
    wire.connect()
    wire.settle()
    for restart in (False, True):
        assert wire.client.protocol
        wire.server.disconnect(restart=restart)
        wire.settle()
        assert wire.told[-1] == Disconnect(restart)
    assert (wire.client.protocol, wire.client.authorization_state) == ("", "")


def test_a_request_that_cannot_be_sent_has_not_been_made() -> None:
    wire = Wire()
    wire.connect()
    wire.settle()
    with pytest.raises(TypeError):
        wire.client.request("calling.answer", {"call_id": object()})
    with pytest.raises(LocalProtocolError, match=r"of 1048[0-9]+ bytes: takes at most 1048576"):
        wire.client.request("calling.answer", {"call_id": "x" * (1 << 20)})
    assert (dict(wire.client.pending), wire.client.messages_to_send()) == ({}, [])
