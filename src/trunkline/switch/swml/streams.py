"""The streams that `stream` and `connect` ask for: what is right in them is said by StreamRequest alone."""

from typing import Any

import msgspec

from trunkline.errors import FormatError
from trunkline.stream.request import StreamRequest
from trunkline.switch.swml.variables import PLACEHOLDER
from trunkline.switch.swml.verbs import Connect, Stream

__all__ = ["check_stream", "stream_request"]


def stream_request(verb: Stream | Connect, *, insecure_loopback: bool) -> StreamRequest:
    """Make the request for a stream; FormatError, which begins with the name of the field.

    >>> stream_request(Connect("stream:wss://example.com/a"), insecure_loopback=False).url
    'wss://example.com/a'
    """
    return _parse(verb, {}, insecure_loopback)


def check_stream(verb: Stream | Connect, *, insecure_loopback: bool) -> None:
    """Check what holds no variable yet; FormatError as that of `stream_request`."""
    values = msgspec.structs.asdict(verb).items()
    later = {field for field, value in values if isinstance(value, str) and PLACEHOLDER.search(value)}
    others: dict[str, Any] = dict.fromkeys(later)
    if later & {"url", "to"}:
        others["url"] = "wss://example.com/"
    _parse(verb, others, insecure_loopback)


def _parse(verb: Stream | Connect, others: dict[str, Any], insecure_loopback: bool) -> StreamRequest:
    if isinstance(verb, Connect) and "url" not in others and not verb.to.startswith("stream:"):
        raise FormatError("to: takes a stream:wss:// URL, the one destination of this switch")
    params = {"url": verb.url} | msgspec.structs.asdict(verb) | others
    try:
        return StreamRequest.parse(params, insecure_loopback=insecure_loopback)
    except FormatError as error:
        field, _, problem = str(error).partition(": ")
        if field == "url" and isinstance(verb, Connect):
            field = "to"
        raise FormatError(f"{field}: {problem}") from None
