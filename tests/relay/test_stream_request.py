"""StreamRequest: what every door of a switch takes and refuses."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec
from trunkline.stream import Start, StreamReceiver, StreamRequest, StreamSender
from trunkline.stream.request import is_loopback

URL = "wss://example.com/audio"
LONG = 65_535


def test_defaults() -> None:
    request = StreamRequest.parse({"url": URL})
    assert (request.url, request.name, request.codec) == (URL, None, CodecSpec("PCMU", 8000))
    assert (request.track, request.tracks, request.status_url_method) == ("inbound", ("inbound",), "POST")
    assert (request.status_url, request.authorization_bearer_token, request.custom_parameters) == (
        None,
        None,
        {},
    )
    assert request.control_id
    assert request.control_id != StreamRequest.parse({"url": URL}).control_id


TAKEN: list[tuple[dict[str, Any], str, Any]] = [
    ({"track": "inbound"}, "tracks", ("inbound",)),
    ({"track": "inbound_track"}, "tracks", ("inbound",)),
    ({"track": "outbound"}, "tracks", ("outbound",)),
    ({"track": "outbound_track"}, "tracks", ("outbound",)),
    ({"track": "both"}, "tracks", ("inbound", "outbound")),
    ({"track": "both_tracks"}, "tracks", ("inbound", "outbound")),
    ({"track": None}, "track", "inbound"),
    ({"codec": "pcma"}, "codec", CodecSpec("PCMA", 8000)),
    ({"codec": "OPUS@48000h@40i"}, "codec", CodecSpec("OPUS", 48_000, 40)),
    ({"codec": "G722"}, "codec", CodecSpec("G722", 16_000)),
    ({"url": "WSS://Example.com:8443/a?b=c%0d%0a"}, "url", "WSS://Example.com:8443/a?b=c%0d%0a"),
    ({"url": "wss://[2001:db8::1]:443/"}, "url", "wss://[2001:db8::1]:443/"),
    ({"url": "wss://example.com/user@example.com"}, "url", "wss://example.com/user@example.com"),
    ({"status_url": "http://127.0.0.1:8080/s"}, "status_url", "http://127.0.0.1:8080/s"),
    ({"status_url_method": "GET"}, "status_url_method", "GET"),
    ({"name": "a name, é"}, "name", "a name, é"),
    ({"name": ""}, "name", None),
    ({"name": "n" * LONG}, "name", "n" * LONG),
    ({"control_id": "c-1"}, "control_id", "c-1"),
    ({"authorization_bearer_token": "a.b~c+/="}, "authorization_bearer_token", "a.b~c+/="),
    ({"custom_parameters": {"k": "v", "": ""}}, "custom_parameters", {"k": "v", "": ""}),
    (
        {"custom_parameters": {f"k{i}": "v" for i in range(99)}},
        "custom_parameters",
        {f"k{i}": "v" for i in range(99)},
    ),
    ({"custom_parameters": {"k": "é" * 24_572}}, "custom_parameters", {"k": "é" * 24_572}),
    ({"control_id": "c" * 1022}, "control_id", "c" * 1022),
    ({"node_id": 7, "call_id": [], "swml": True}, "url", URL),
]


@pytest.mark.parametrize(("params", "field", "value"), TAKEN, ids=lambda value: repr(value)[:40])
def test_taken(params: dict[str, Any], field: str, value: object) -> None:
    request = StreamRequest.parse({"url": URL} | params)
    assert getattr(request, field) == value
    again = StreamRequest.parse({**msgspec.structs.asdict(request), "codec": str(request.codec)})
    assert again == request


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"url": None}, "url: is required"),
    ({"url": 7}, "url: takes a string, not int"),
    ({"url": ""}, "url: is empty: takes a wss:// URL"),
    ({"url": "example.com"}, "url: takes a wss:// URL"),
    ({"url": "https://example.com/"}, "url: takes a wss:// URL"),
    ({"url": "ws://example.com/"}, "url: takes a wss:// URL; ws:// is refused"),
    ({"url": "WS://127.0.0.1/"}, "url: takes a wss:// URL; ws:// is refused"),
    ({"url": "wss:///audio"}, "url: takes a wss:// URL"),
    ({"url": "wss://:443/audio"}, "url: takes a wss:// URL"),
    ({"url": "wss://example.com:99999/"}, "url: its port is not one of 1 to 65535"),
    ({"url": "wss://example.com:0/"}, "url: its port is not one of 1 to 65535"),
    ({"url": "wss://example.com:x/"}, "url: its port is not one of 1 to 65535"),
    ({"url": "wss://[::1/"}, "url: takes a wss:// URL"),
    ({"url": "wss://exa mple.com/"}, "url: holds a space or a control character"),
    ({"url": "wss://example.com/\t"}, "url: holds a space or a control character"),
    ({"url": " wss://example.com/"}, "url: holds a space or a control character"),
    ({"url": "wss://example.com/\x7f"}, "url: holds a space or a control character"),
    ({"url": "wss://example.com/#x"}, "url: holds a fragment"),
    ({"url": "wss://user:canary@example.com/"}, "url: holds a user name or password"),
    ({"url": "wss://canary@example.com/"}, "url: holds a user name or password"),
    ({"url": "wss://example.com\\@example.org/"}, "url: holds a user name or password"),
    ({"url": "wss://example.com/\r\nX: y"}, "url: holds a CR, LF or NUL"),
    ({"url": "wss://example.com/" + "a" * LONG}, "url: 65553 characters: takes at most 65535"),
    ({"name": "a\r\nb"}, "name: holds a CR, LF or NUL"),
    ({"name": "a\0b"}, "name: holds a CR, LF or NUL"),
    ({"name": ["a"]}, "name: takes a string, not list"),
    ({"name": "é" * 40_000}, "name: 80000 bytes: takes at most 65535"),
    ({"name": "\ud800"}, "name: is not Unicode text"),
    ({"codec": ""}, "codec: codec ''"),
    ({"codec": "MP3"}, "codec: unknown codec 'MP3'"),
    ({"codec": "PCMU@8000"}, "codec: codec 'PCMU@8000'"),
    ({"codec": "OPUS@44100h"}, "codec: OPUS at 44100 Hz"),
    ({"codec": "L16@24000h@40i\n"}, "codec: holds a CR, LF or NUL"),
    ({"codec": 8000}, "codec: takes a string, not int"),
    ({"track": "both_track"}, "track: 'both_track': takes inbound, "),
    ({"track": ""}, "track: ''"),
    ({"track": "BOTH"}, "track: 'BOTH'"),
    ({"track": ["inbound", "outbound"]}, "track: takes a string, not list"),
    ({"status_url": "wss://example.com/"}, "status_url: takes an http:// or https:// URL"),
    ({"status_url": "http://user:canary@example.com/"}, "status_url: holds a user name or password"),
    ({"status_url": "http://example.com/ HTTP/1.1\r\n"}, "status_url: holds a CR, LF or NUL"),
    ({"status_url_method": "DELETE"}, "status_url_method: 'DELETE': takes POST, GET"),
    ({"status_url_method": "get"}, "status_url_method: 'get'"),
    ({"authorization_bearer_token": ""}, "authorization_bearer_token: is empty"),
    ({"authorization_bearer_token": "canary x"}, "authorization_bearer_token: is empty, or has"),
    ({"authorization_bearer_token": "canary-é"}, "authorization_bearer_token: is empty, or has"),
    ({"authorization_bearer_token": "canary\r\nX: y"}, "authorization_bearer_token: holds a CR"),
    ({"authorization_bearer_token": {"canary": 1}}, "authorization_bearer_token: takes a string, not dict"),
    ({"control_id": 1}, "control_id: takes a string, not int"),
    ({"control_id": "a\nb"}, "control_id: holds a CR, LF or NUL"),
    ({"custom_parameters": ["k"]}, "custom_parameters: takes an object of strings, not list"),
    ({"custom_parameters": "k=v"}, "custom_parameters: takes an object of strings, not str"),
    (
        {"custom_parameters": {f"k{i}": "" for i in range(100)}},
        "custom_parameters: 100 of them: takes at most 99",
    ),
    ({"custom_parameters": {"k": 1}}, "custom_parameters['k']: takes a string, not int"),
    ({"custom_parameters": {"k": None}}, "custom_parameters['k']: takes a string, not NoneType"),
    ({"custom_parameters": {"k": "a\nb"}}, "custom_parameters['k']: holds a CR, LF or NUL"),
    ({"custom_parameters": {"k\r\n": "v"}}, "name of one of custom_parameters: holds a CR"),
    ({"custom_parameters": {1: "v"}}, "name of one of custom_parameters: takes a string, not int"),
    ({"control_id": "c" * 1023}, "control_id: 1025 bytes of JSON: takes at most 1024"),
    ({"control_id": "\x01" * 171}, "control_id: 1028 bytes of JSON"),
    (
        {"custom_parameters": {"k": "v" * 49_145}},
        "custom_parameters: 49153 bytes of JSON: takes at most 49152",
    ),
    ({"custom_parameters": {f"k{i}": "v" * LONG for i in range(99)}}, "custom_parameters: 6488"),
    ({"custom_parameters": {"k": "v" * (LONG + 1)}}, "custom_parameters['k']: 65536 characters"),
]


# What takes most of JSON's room: six bytes a character, two, one.
text = st.text(alphabet='\x01"aé\U0001f4a5', max_size=60).flatmap(
    lambda some: st.integers(0, 400).map(lambda times: some * times)
)


@given(control_id=text, custom_parameters=st.dictionaries(text, text, max_size=5))
@example(control_id="\x01" * 170, custom_parameters={"": "\x01" * 8190})  # the longest
def test_what_is_taken_our_receiver_takes(control_id: str, custom_parameters: dict[str, str]) -> None:
    params = {"url": URL, "control_id": control_id, "custom_parameters": custom_parameters}
    try:
        request = StreamRequest.parse(params)
    except FormatError:
        reject()
    sender = StreamSender(
        request.codec,
        tracks=("inbound", "outbound"),
        stream_id=request.control_id,
        call_id=str(uuid4()),
        account_id="\x01" * 1000,
        custom_parameters=request.custom_parameters,
    )
    receiver = StreamReceiver()
    events = [event for message in sender.start() for event in receiver.receive(message)]
    assert isinstance(events[-1], Start)
    assert events[-1].custom_parameters == request.custom_parameters


@pytest.mark.parametrize(("params", "message"), REFUSED, ids=lambda value: repr(value)[:40])
def test_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError) as raised:
        StreamRequest.parse({"url": URL} | params)
    assert str(raised.value).startswith(message)
    assert len(str(raised.value)) < 300
    assert "canary" not in str(raised.value)
    error: BaseException | None = raised.value
    while error is not None:  # nor in what a traceback would show
        assert "canary" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "127.8.9.1", "[::1]:1"])
def test_a_loopback_switch_may_let_ws_through(host: str) -> None:
    url = f"ws://{host}/audio"
    assert StreamRequest.parse({"url": url}, insecure_loopback=True).url == url
    with pytest.raises(FormatError, match="ws:// is refused"):
        StreamRequest.parse({"url": url})


@pytest.mark.parametrize(
    "host", ["example.com", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "[::2]"]
)
def test_and_that_to_loopback_only(host: str) -> None:
    with pytest.raises(FormatError, match="goes to a loopback host only"):
        StreamRequest.parse({"url": f"ws://{host}/audio"}, insecure_loopback=True)
    assert not is_loopback(host.strip("[]"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(StreamRequest.__struct_fields__)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from([URL, "PCMU", "both", "GET"])))
def test_anything_else_is_a_format_error(params: dict[str, Any]) -> None:
    """Whatever comes through, nothing in it can break out of a header or a line."""
    try:
        request = StreamRequest.parse(params)
    except FormatError:
        return
    texts = [value for value in msgspec.structs.asdict(request).values() if isinstance(value, str)]
    texts += [text for pair in request.custom_parameters.items() for text in pair]
    assert not any(character in text for text in texts for character in "\r\n\0")
