"""What a status callback says: a request in one of two forms, and its signatures."""

import base64
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

__all__ = ["CallbackRequest", "StatusCallback", "StreamStatus", "build_request"]


class StatusCallback(msgspec.Struct, frozen=True, kw_only=True):
    """Where to say what happens to a stream, and how.

    `form` is "json" for streams of SWML, RELAY and REST calling, "compat" for form fields. The repr keeps
    the URL to its host, since the rest of it may hold a secret.
    """

    url: str
    method: Literal["POST", "GET"] = "POST"
    form: Literal["json", "compat"] = "json"

    @property
    def host(self) -> str:
        """The host as the URL spells it, of at most 64 characters, to be shown; "?" where there is none."""
        try:
            return (urlsplit(self.url).hostname or "?")[:64]
        except ValueError:
            return "?"

    def __repr__(self) -> str:
        return f"StatusCallback({self.method} {self.form} to {self.host!a})"


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened to a stream: it is `streaming`, or has `finished`, in an `error` or without.

    `url` is where the stream goes, `timestamp_s` Unix time, `event_channel` such as "swml:" and a UUID. The
    repr is without the URL, which may hold a secret.
    """

    call_id: str
    node_id: str
    segment_id: str
    project_id: str
    space_id: str
    event_channel: str
    control_id: str
    state: Literal["streaming", "finished"]
    url: str
    timestamp_s: float
    name: str | None = None
    track: Literal["inbound", "outbound", "both"] = "inbound"
    error: str | None = None

    def __repr__(self) -> str:
        return f"StreamStatus({self.control_id[:64]!a} of call {self.call_id[:64]!a}: {self.state})"


class CallbackRequest(NamedTuple):
    """An HTTP request: where to, with which body (None for GET) and headers."""

    url: str
    body: bytes | None
    headers: dict[str, str]


def build_request(
    callback: StatusCallback, url: str, status: StreamStatus, signing_key: str | None
) -> CallbackRequest:
    """Say a status in the callback's form, signed where there is a key.

    `url` is the callback's as it is sent to. By GET the fields are added to its query, those of an event's
    `params` beside the others, and the signature is that of the URL.

    >>> status = StreamStatus(
    ...     call_id="c-1", node_id="n", segment_id="s", project_id="p", space_id="e", event_channel="swml:1",
    ...     control_id="s-1", state="streaming", url="wss://example.com/a", timestamp_s=1.5)
    >>> callback = StatusCallback(url="https://example.com/?a=1", method="GET")
    >>> build_request(callback, callback.url, status, None).url[:70]
    'https://example.com/?a=1&event_type=calling.call.stream&event_channel='
    """
    if callback.form == "compat":
        return _compat_request(callback.method, url, _compat_fields(status), signing_key)
    fields, params = _event_fields(status)
    body = b""
    headers = {}
    if callback.method == "GET":
        url = _with_query(url, {**fields, **params})
    else:
        body = msgspec.json.encode({**fields, "params": params})
        headers["Content-Type"] = "application/json"
    if signing_key is not None:
        headers |= _sign_json(signing_key, url, body)
    return CallbackRequest(url, body or None, headers)


def _compat_request(
    method: str, url: str, fields: dict[str, str], signing_key: str | None
) -> CallbackRequest:
    body = None
    headers = {}
    if method == "GET":
        url, fields = _with_query(url, fields), {}
    else:
        body = urlencode(fields).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if signing_key is not None:
        headers |= _sign_form(signing_key, url, fields)
    return CallbackRequest(url, body, headers)


def _with_query(url: str, fields: Mapping[str, str | float]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"


def _event_fields(status: StreamStatus) -> tuple[dict[str, str | float], dict[str, str]]:
    """The fields of an event, and those of its `params`."""
    fields: dict[str, str | float] = {
        "event_type": "calling.call.stream",
        "event_channel": status.event_channel,
        "timestamp": status.timestamp_s,
        "project_id": status.project_id,
        "space_id": status.space_id,
    }
    params = {
        "call_id": status.call_id,
        "node_id": status.node_id,
        "segment_id": status.segment_id,
        "control_id": status.control_id,
        "state": status.state,
        "url": status.url,
    }
    if status.name is not None:
        params["name"] = status.name
    return fields, params


def _compat_fields(status: StreamStatus) -> dict[str, str]:
    """The form fields of the compatibility API."""
    event = "stream-started" if status.state == "streaming" else "stream-stopped"
    fields = {
        "AccountSid": status.project_id,
        "CallSid": status.call_id,
        "StreamSid": status.control_id,
        "StreamName": status.name or status.control_id,
        "StreamEvent": event if status.error is None else "stream-error",
        "StreamTrack": "both_tracks" if status.track == "both" else f"{status.track}_track",
        "Timestamp": _iso_8601(status.timestamp_s),
    }
    if status.error is not None:
        fields["StreamError"] = status.error
    return fields


def _sign_json(key: str, url: str, body: bytes) -> dict[str, str]:
    """Sign a JSON body: hex HMACs of the URL and the body."""
    signed = url.encode() + body
    return {
        "X-SignalWire-Signature": hmac.digest(key.encode(), signed, "sha1").hex(),
        "X-SignalWire-Sha256-Signature": hmac.digest(key.encode(), signed, "sha256").hex(),
    }


def _sign_form(key: str, url: str, fields: dict[str, str]) -> dict[str, str]:
    """Sign a form: the base64 HMAC-SHA1 of the URL and each field, name and value, by name."""
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.digest(key.encode(), signed.encode(), "sha1")
    return {"X-SignalWire-Signature": base64.b64encode(digest).decode()}


def _iso_8601(timestamp_s: float) -> str:
    text = datetime.fromtimestamp(timestamp_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
