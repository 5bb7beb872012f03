"""Media messages that are read in C: what a JSON parser makes of them, or left to one."""

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.reference.stream import Platform
from trunkline._native.media import Scanner, depth, scan
from trunkline.errors import TrunklineError
from trunkline.frame import Frame
from trunkline.stream import Event, StreamReceiver, StreamSender, Unknown
from trunkline.stream.dialects import Media, find_dialect

Texts = st.SearchStrategy[str]
SPACES = [["", "", " ", "\n", "\t \r\n"]] * 15 + [["", "", "", "", "\f", "\0"]]
NUMBERS = [
    "0",
    "7",
    "007",
    "-1",
    "1.0",
    "1e3",
    "9007199254740992",
    "9007199254740993",
    "99999999999999999",
    "true",
    "null",
    '"0"',
    '"20"',
    '"007"',
    '""',
    '"-1"',
    '" 1"',
    '"1e2"',
    '"9007199254740992"',
    '"9007199254740993"',
    '"00000000000000001"',
    '"\\u0031"',
    "{}",
    "[]",
    "",
]
TEXTS = [
    '"inbound"',
    '"outbound"',
    '"in"',
    '""',
    '"inbound\\u0000"',
    '"\\u0069nbound"',
    '"\u00e9"',
    '"a\tb"',
    '"\x7f"',
    "null",
    "5",
    "[1]",
    '{"a":1}',
    '"',
    '"inbound',
]
PAYLOADS = [
    '""',
    '"/////w=="',
    '"AAAA"',
    f'"{base64.b64encode(bytes(range(160))).decode()}"',
    '"AAA"',
    '"AA=A"',
    '"AB=="',
    '"AAAA\\n"',
    '"AAAA\\/"',
    '"AA AA"',
    '"\u00e9AAA"',
    "7",
    "null",
    '"AAAA',
    '"AAAA\\"',
]


@st.composite
def objects(
    draw: st.DrawFn, fields: dict[str, st.SearchStrategy[str]], others: st.SearchStrategy[str]
) -> str:
    """Write an object of these fields as text: in any order, some missing, doubled or somebody else's."""
    names = draw(st.permutations(list(fields)))
    members = [
        (name, draw(fields[name])) for name in names for _ in range(draw(st.sampled_from([1] * 60 + [0, 2])))
    ]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        name = draw(st.sampled_from(["extra", "x", "", "Media", "event ", "e\u00e9", "\\u0065vent"]))
        members.insert(draw(st.integers(0, len(members))), (name, draw(others)))
    spaces = st.sampled_from(draw(st.sampled_from(SPACES)))
    gap = lambda: draw(spaces)  # noqa: E731
    inner = ",".join(f'{gap()}"{name}"{gap()}:{gap()}{value}{gap()}' for name, value in members)
    tail = draw(st.sampled_from([""] * 40 + [",", "x", "}", " \n"]))
    return f"{gap()}{{{inner}}}{tail}"


def values(usual: list[str], odd: list[str]) -> Texts:
    return st.one_of(*[st.sampled_from(usual)] * 15, st.sampled_from(odd))


anything = values(['"x"', "5"], NUMBERS + TEXTS + PAYLOADS)
bodies = objects(
    {
        "track": values(['"inbound"', '"outbound"'], TEXTS),
        "chunk": values(['"1"', '"2"', '"3"', "4"], NUMBERS),
        "timestamp": values(['"0"', '"20"', '"40"', "60"], NUMBERS),
        "payload": values(PAYLOADS[:4], PAYLOADS),
    },
    anything,
)
media_messages = objects(
    {
        "event": values(['"media"'], ['"Media"', '"stop"', '"me\\u0064ia"', "7", "null"]),
        "sequenceNumber": values(['"3"', "4"], NUMBERS),
        "streamSid": values(['"MZ1"'], ['"MZ2"', "null", "7", '"MZ\\u0031"', '""']),
        "media": st.one_of(*[bodies] * 9, anything),
    },
    anything,
)


def started(tracks: list[str]) -> StreamReceiver:
    receiver = StreamReceiver(output="both")
    message = json.loads(Platform().start())
    message["start"]["tracks"] = tracks
    receiver.receive(json.dumps(message))
    return receiver


def outcome(receive: Any, message: str | bytes) -> object:
    """What comes of a message: the events, or the error."""
    try:
        events: list[Event] = receive(message, None)
    except TrunklineError as error:
        return type(error), str(error)
    return [
        (event.track, event.timestamp_ms, bytes(event)) if isinstance(event, Frame) else event
        for event in events
    ]


@given(
    texts=st.lists(media_messages, min_size=1, max_size=4),
    tracks=st.sampled_from([["inbound"], ["inbound", "outbound"], []]),
    as_bytes=st.booleans(),
)
@example(
    texts=['{"event":"media","media":{"track":"","timestamp":"0","payload":""}}'],
    tracks=[],
    as_bytes=False,
)
def test_it_is_what_the_parser_makes_of_it(texts: list[str], tracks: list[str], as_bytes: bool) -> None:
    fast, slow = started(tracks), started(tracks)
    for text in texts:
        message = text.encode() if as_bytes else text
        assert outcome(fast.receive, message) == outcome(slow._receive, message)
    assert fast.stats == slow.stats
    assert outcome(lambda *_: fast.close(), "") == outcome(lambda *_: slow.close(), "")


@given(media_messages)
def test_what_is_recognised_is_json_with_these_values(text: str) -> None:
    found = scan(text)
    if found is None:
        return
    stream_id, track, timestamp, chunk, payload = found
    if b"\\" in payload or not payload.isascii() or any(byte < 0x20 for byte in payload):
        return  # refused with the base64
    message = json.loads(text)
    body = message["media"]
    assert message["event"] == "media"
    assert (message.get("streamSid"), body["track"], body["payload"].encode()) == (stream_id, track, payload)
    assert int(body["timestamp"]) == timestamp
    assert chunk == (int(body["chunk"]) if "chunk" in body else None)


QUOTED = (
    '{"event":"media","sequenceNumber":"12","streamSid":"MZ1",'
    '"media":{"track":"inbound","chunk":"11","timestamp":"200","payload":"AAAA"},"n":7}'
)
LAYOUTS = [
    QUOTED,
    re.sub(r'"(\d+)"', r"\1 ", QUOTED),
    '{"media":{"payload":"","timestamp":0,"track":""},"event":"media"}',
]


def relatives(text: str) -> Iterator[str]:
    """Change each character, and each number to each of many."""
    for at in range(len(text) + 1):
        for character in '0"{}, :\\x\0\x7fé':
            yield text[:at] + character + text[at:]
            yield text[:at] + character + text[at + 1 :]
        yield text[:at]
        yield text[:at] + text[at + 1 :]
        yield text[at:]
    for number in re.finditer(r'(?<=[:"])\d+', text):
        for other in [*NUMBERS, "5", "4100", "00", "9007199254740991", "9" * 16, "9" * 17, "9" * 400]:
            yield text[: number.start()] + other.strip('"') + text[number.end() :]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_came_before_makes_no_difference(layout: str) -> None:
    assert scan(layout) is not None
    for text in relatives(layout):
        scanner = Scanner()
        assert scanner.scan(layout) == scan(layout)
        assert scanner.scan(text) == scan(text)
        assert scanner.scan(layout) == scan(layout)


def test_messages_of_two_tracks_and_of_great_length_are_recognised_in_turn() -> None:
    scanner = Scanner()
    for number in range(300):
        track = ["inbound", "outbound"][number % 2]
        extra = "x" * (number * 3)  # more than a layout keeps, in the end
        body = f'"track":"{track}","chunk":"{number}","timestamp":"{20 * number}","payload":"AAAA"'
        text = f'{{"event":"media","e":"{extra}","sequenceNumber":{number},"media":{{{body}}}}}'
        assert scanner.scan(text) == (None, track, 20 * number, number, b"AAAA")


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_anything_else_is_left_to_the_parser(message: bytes | str) -> None:
    fast, slow = started(["inbound"]), started(["inbound"])
    assert outcome(fast.receive, message) == outcome(slow._receive, message)


def test_plain_messages_of_any_layout_are_recognised() -> None:
    body = {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": "AAAA"}
    message = {
        "event": "media",
        "sequenceNumber": "3",
        "streamSid": "MZ1",
        "media": body,
        "other": "x",
        "n": 5,
    }
    for text in (
        json.dumps(message),
        json.dumps(message, indent=2),
        json.dumps(dict(reversed(message.items())) | {"media": dict(reversed(body.items()))}),
    ):
        assert scan(text) == ("MZ1", "inbound", 20, 2, b"AAAA")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"event":' * 100_000,
        '{"event":"media","media":{"track":"inbound","timestamp":"0","payload":"' + "A" * 100_000,
        '{"x":"' + "a" * 100_000 + '"}',
        "{" + ",".join(f'"k{i}":{i}' for i in range(100_000)) + "}",
    ],
    ids=["lists", "objects", "open payload", "long text", "many keys"],
)
def test_large_nonsense_is_passed_over_in_one_pass(text: str) -> None:
    assert scan(text) is None
    with pytest.raises(TrunklineError):
        started(["inbound"]).receive(text)


def refuse(constant: str) -> Any:
    raise ValueError(constant)


def number_of(value: object) -> int:
    """A number of the wire, by its rules."""
    if isinstance(value, str) and 1 <= len(value) <= 16 and set(value) <= set("0123456789"):
        value = int(value)
    if type(value) is not int or not 0 <= value <= 2**53:
        raise ValueError(value)
    return value


def text_or_none(value: object) -> str | None:
    if not isinstance(value, str | None):
        raise ValueError(value)
    return value


def reference(text: str) -> tuple[object, ...] | None:
    """What the standard library's parser makes of a media message; None: it is refused."""
    try:
        message = json.loads(text, parse_constant=refuse)
        body = message["media"]
        payload, track = body["payload"], body["track"]
        if message["event"] != "media" or not isinstance(payload, str) or not isinstance(track, str):
            return None
        if message.get("sequenceNumber") is not None:
            number_of(message["sequenceNumber"])
        chunk = None if body.get("chunk") is None else number_of(body["chunk"])
        return text_or_none(message.get("streamSid")), track, number_of(body["timestamp"]), chunk, payload
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@given(media_messages)
def test_the_parser_takes_what_the_standard_library_takes(text: str) -> None:
    try:
        (said,) = find_dialect("signalwire").reader("endpoint", None).read(text, 65536)
        media = said.content
        assert isinstance(media, Media)
        found = (said.stream_id, media.track, media.timestamp_ms, media.chunk, media.payload)
    except (TrunklineError, AssertionError):  # another event is no media
        assert reference(text) is None
    else:
        assert found == reference(text)


@given(
    st.recursive(
        st.text('x[]{}\\"') | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("a{["), inner),
    )
)
def test_depth_is_that_of_the_values(value: Any) -> None:
    def deep(value: Any) -> int:
        if not isinstance(value, list | dict):
            return 0
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(deep, inner), default=0)

    assert depth(json.dumps(value).encode()) == deep(value)


def test_64_deep_and_a_million_keys_are_taken() -> None:
    receiver = StreamReceiver(max_message_bytes=2**25)
    assert receiver.receive('{"event":"new","x":' + "[" * 63 + "]" * 63 + "}") == [Unknown("new")]
    keys = ",".join(f'"k{k}":{k}' for k in range(10**6))
    assert receiver.receive(f'{{{keys},"event":"new"}}') == [Unknown("new")]
    receiver.receive(Platform().start())
    platform = Platform()
    message = platform.media(bytes(160), 0)
    assert len(receiver.receive(f"{{{keys},{message[1:]}")) == 1


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="takes /proc, which tells what memory a process has"
)
def test_a_million_messages_take_no_memory() -> None:
    sender = StreamSender("PCMU")
    receiver = StreamReceiver()
    for message in sender.start():
        receiver.receive(message)
    pcm = bytes(2 * 1600)

    def pass_on(n: int) -> int:
        for _ in range(n // 10):
            for message in sender.media(pcm):
                receiver.receive(message)
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before_bytes = pass_on(50_000)
    assert pass_on(1_000_000) - before_bytes < 1 << 19
    assert receiver.stats["inbound"].packets == 1_050_000
