"""What a status callback says, in both forms and by both methods, and who signed it."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.switch.status import StatusCallback, StreamStatus, build_request

KEY = "PSK_canary-key"
URL = "https://example.com/status?tenant=7"


def stream_status(**fields: Any) -> StreamStatus:
    """The status of a stream of call c-1, with what a test says."""
    usual: dict[str, Any] = {
        "call_id": "c-1",
        "node_id": "n-1",
        "segment_id": "g-1",
        "project_id": "p-1",
        "space_id": "e-1",
        "event_channel": "swml:u-1",
        "control_id": "s-1",
        "state": "streaming",
        "url": "wss://example.com/audio?token=canary",
        "timestamp_s": 1764283470.25,
    }
    return StreamStatus(**(usual | fields))


def reference_hmac(key: bytes, message: bytes, kind: str) -> bytes:
    """HMAC by RFC 2104's formula; both hashes have blocks of 64 bytes."""
    if len(key) > 64:
        key = hashlib.new(kind, key).digest()
    key = key + bytes(64 - len(key))
    inner = hashlib.new(kind, bytes(b ^ 0x36 for b in key) + message).digest()
    return hashlib.new(kind, bytes(b ^ 0x5C for b in key) + inner).digest()


def json_signatures(key: str, url: str, body: bytes) -> dict[str, str]:
    message = url.encode() + body
    return {
        "X-SignalWire-Signature": reference_hmac(key.encode(), message, "sha1").hex(),
        "X-SignalWire-Sha256-Signature": reference_hmac(key.encode(), message, "sha256").hex(),
    }


def form_signature(key: str, url: str, fields: dict[str, str]) -> str:
    text = url
    for name, value in sorted(fields.items()):
        text += name
        text += value
    return base64.b64encode(reference_hmac(key.encode(), text.encode(), "sha1")).decode()


EVENT = {
    "event_type": "calling.call.stream",
    "event_channel": "swml:u-1",
    "timestamp": 1764283470.25,
    "project_id": "p-1",
    "space_id": "e-1",
}
PARAMS = {
    "call_id": "c-1",
    "node_id": "n-1",
    "segment_id": "g-1",
    "control_id": "s-1",
    "state": "streaming",
    "url": "wss://example.com/audio?token=canary",
}


def test_json_by_post() -> None:
    request = build_request(StatusCallback(url=URL), URL, stream_status(), KEY)
    assert request.body is not None
    assert json.loads(request.body) == {**EVENT, "params": PARAMS}
    assert request.url == URL
    assert request.headers == {
        "Content-Type": "application/json",
        **json_signatures(KEY, URL, request.body),
    }
    finished = stream_status(state="finished", name="mine", error="codec_error")
    body = build_request(StatusCallback(url=URL), URL, finished, None).body
    assert json.loads(body or b"")["params"] == {**PARAMS, "state": "finished", "name": "mine"}


def test_json_by_get_is_flat() -> None:
    callback = StatusCallback(url=URL, method="GET")
    request = build_request(callback, URL, stream_status(name="ä b&c"), KEY)
    assert request.body is None
    assert request.headers == json_signatures(KEY, request.url, b"")
    assert dict(parse_qsl(urlsplit(request.url).query)) == {
        "tenant": "7",
        **EVENT,
        "timestamp": "1764283470.25",
        **PARAMS,
        "name": "ä b&c",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"StreamName": "s-1", "StreamEvent": "stream-started", "StreamTrack": "inbound_track"}),
        (
            {"state": "finished", "track": "both", "name": "mine"},
            {"StreamName": "mine", "StreamEvent": "stream-stopped", "StreamTrack": "both_tracks"},
        ),
        (
            {"state": "finished", "track": "outbound", "error": "Duplicated stream name"},
            {
                "StreamName": "s-1",
                "StreamEvent": "stream-error",
                "StreamTrack": "outbound_track",
                "StreamError": "Duplicated stream name",
            },
        ),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_compatibility_form(fields: dict[str, str], expected: dict[str, str], method: Any) -> None:
    callback = StatusCallback(url=URL, method=method, form="compat")
    request = build_request(callback, URL, stream_status(**fields), KEY)
    ids = {"AccountSid": "p-1", "CallSid": "c-1", "StreamSid": "s-1", "Timestamp": "2025-11-27T22:44:30.250Z"}
    if method == "POST":
        assert request.url == URL
        assert request.headers.pop("Content-Type") == "application/x-www-form-urlencoded"
        assert dict(parse_qsl((request.body or b"").decode())) == ids | expected
        signature = form_signature(KEY, URL, ids | expected)
    else:
        assert request.body is None
        assert dict(parse_qsl(urlsplit(request.url).query)) == {"tenant": "7", **ids, **expected}
        signature = form_signature(KEY, request.url, {})
    assert request.headers == {"X-SignalWire-Signature": signature}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(name=TEXT, url=TEXT, key=TEXT, track=st.sampled_from(["inbound", "outbound", "both"]))
def test_any_text_arrives_and_is_signed(name: str, url: str, key: str, track: Any) -> None:
    status = stream_status(name=name, url=url, track=track)
    request = build_request(StatusCallback(url=URL), URL, status, key)
    assert json.loads(request.body or b"")["params"] == {**PARAMS, "name": name, "url": url}
    assert request.headers.items() >= json_signatures(key, URL, request.body or b"").items()
    request = build_request(StatusCallback(url=URL, method="GET"), URL, status, key)
    query = dict(parse_qsl(urlsplit(request.url).query))
    assert (query["name"], query["url"]) == (name, url)
    assert request.url.isascii()
    request = build_request(StatusCallback(url=URL, form="compat"), URL, status, key)
    fields = dict(parse_qsl((request.body or b"").decode()))
    assert fields["StreamName"] == name
    assert request.headers["X-SignalWire-Signature"] == form_signature(key, URL, fields)


@pytest.mark.parametrize("method", ["POST", "GET"])
@given(name=TEXT)
def test_a_receiver_of_twilios_accepts_the_form(method: Any, name: str) -> None:
    validator = pytest.importorskip("twilio.request_validator").RequestValidator(KEY)
    callback = StatusCallback(url=URL, method=method, form="compat")
    request = build_request(callback, URL, stream_status(name=name, error="general_error"), KEY)
    fields = dict(parse_qsl((request.body or b"").decode()))
    signature = request.headers["X-SignalWire-Signature"]
    assert validator.validate(request.url, fields, signature)
    assert not validator.validate(request.url, {**fields, "StreamEvent": "stream-started"}, signature)


@pytest.mark.parametrize("form", ["json", "compat"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_without_a_key_nothing_is_signed(form: Any, method: Any) -> None:
    request = build_request(StatusCallback(url=URL, method=method, form=form), URL, stream_status(), None)
    assert not [name for name in request.headers if "Signature" in name]
    bare = build_request(
        StatusCallback(url=URL, method="GET", form=form), "https://a/", stream_status(), None
    )
    assert bare.url.startswith("https://a/?")


def test_what_may_be_secret_is_not_shown() -> None:
    callback = StatusCallback(url="https://example.com/canary?canary")
    assert repr(callback) == "StatusCallback(POST json to 'example.com')"
    assert StatusCallback(url="http://[canary").host == "?"
    assert "canary" not in repr(stream_status()) + repr([callback])
    assert len(repr(stream_status(control_id="x" * 60_000, call_id="ü" * 60_000))) < 600
