"""The compatibility door: …/Accounts/{project}/Calls and their Streams, with PascalCase fields."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote

from trunkline.errors import FormatError
from trunkline.extras import needs_extra
from trunkline.stream import StreamRequest
from trunkline.stream.request import check_text
from trunkline.switch.call import Call
from trunkline.switch.records import CallRecord, StreamRecord
from trunkline.switch.rest_dial import Dialler
from trunkline.switch.rest_http import (
    RestError,
    attribute_error,
    path_parts,
    read_body,
    start_stream,
    text,
)
from trunkline.switch.rest_pages import page_of
from trunkline.switch.stream import Stream
from trunkline.switch.switch import Switch

with needs_extra("server"):
    from aiohttp import web

__all__ = ["COMPAT_PREFIXES", "CompatDoor"]

Answer = tuple[int, Mapping[str, Any]]

#: What may stand before /Accounts.
COMPAT_PREFIXES: Final = ("/api/laml/2010-04-01", "/api/laml", "/2010-04-01", "")
# The fields of a stream by the names of StreamRequest.
_NAMES: Final = {
    "url": "Url",
    "name": "Name",
    "codec": "Codec",
    "track": "Track",
    "status_url": "StatusCallback",
    "status_url_method": "StatusCallbackMethod",
    "authorization_bearer_token": "AuthorizationBearerToken",
}
_DIAL_NAMES: Final = {"from": "From", "to": "To", "swml": "Swml", "url": "Url", "method": "Method"}
_PARAMETER: Final = re.compile(r"Parameter([0-9]{1,20})\.(Name|Value)", re.ASCII)
_STREAM_STATUS: Final = {"connecting": "queued", "streaming": "in-progress", "finished": "stopped"}
_STATUS: Final = {
    "created": "queued",
    "ringing": "ringing",
    "answered": "in-progress",
    "ending": "in-progress",
}
_END_STATUS: Final = {
    "busy": "busy",
    "noAnswer": "no-answer",
    "cancel": "canceled",
    "decline": "canceled",
    "error": "failed",
}


class CompatDoor:
    """Answer for one project's calls and streams; its id is the account's."""

    def __init__(self, switch: Switch, dialler: Dialler) -> None:
        self._switch = switch
        self._dialler = dialler

    async def handle(self, request: web.Request) -> Answer:
        """Answer a request below …/Accounts/ that was let in."""
        parts = path_parts(request)
        prefix, account, rest = _split(parts)
        if account != self._switch.project_id:
            raise RestError(404, "not_found", "there is no such account")
        base = f"{prefix}/Accounts/{quote(account, safe='')}"
        methods: dict[str, Callable[[], Awaitable[Answer]]]
        match rest:
            case ["Calls"]:
                methods = {
                    "GET": lambda: self._list(request, base),
                    "POST": lambda: self._dial(request, base),
                }
            case ["Calls", call_id]:
                call = self._call(call_id)
                methods = {
                    "GET": lambda: _answer(200, _call_resource(call, base)),
                    "POST": lambda: self._update(call, request, base),
                }
            case ["Calls", call_id, "Streams"]:
                call = self._call(call_id)
                methods = {"POST": lambda: self._start(call, request, base)}
            case ["Calls", call_id, "Streams", stream_id]:
                call = self._call(call_id)
                stream = _stream_of(call, stream_id)
                methods = {"POST": lambda: _stop(call, stream, request, base)}
            case _:
                raise RestError(404, "not_found", "there are only Calls and their Streams here")
        if request.method not in methods:
            allowed = ", ".join(methods)
            message = f"{request.method[:16]}: takes {allowed}"
            raise RestError(405, "method_not_allowed", message, headers={"Allow": allowed})
        return await methods[request.method]()

    def _call(self, call_id: str) -> Call | CallRecord:
        call = self._switch.known_call(call_id)
        if call is None:
            raise RestError(404, "call_not_found", "there is no such call")
        return call

    async def _list(self, request: web.Request, base: str) -> Answer:
        calls = [_call_resource(call, base) for call in self._switch.known_calls()]
        return 200, page_of(calls[::-1], request.query, f"{base}/Calls.json")

    async def _dial(self, request: web.Request, base: str) -> Answer:
        call = await self._dialler.dial(await read_body(request), _DIAL_NAMES)
        return 201, _call_resource(call, base)

    async def _start(self, call: Call | CallRecord, request: web.Request, base: str) -> Answer:
        fields = await read_body(request)
        params = {name: fields.get(field) for name, field in _NAMES.items()}
        params["custom_parameters"] = _custom_parameters(fields)
        if params["track"] is None:
            params["track"] = "both_tracks"
        try:
            wanted = StreamRequest.parse(params, insecure_loopback=self._switch.insecure_loopback)
        except FormatError as error:
            raise attribute_error(error, _NAMES) from error
        stream = await start_stream(call, wanted, "compat", _NAMES)
        return 201, _stream_resource(call, stream, base)

    async def _update(self, call: Call | CallRecord, request: web.Request, base: str) -> Answer:
        fields = await read_body(request)
        status = fields.get("Status")
        if status is None and (fields.get("Swml") or fields.get("Url")):
            await self._dialler.update(call, fields, _DIAL_NAMES)
            return 200, _call_resource(call, base)
        if text(fields, "Status") not in ("completed", "canceled"):
            message = "Status: takes completed or canceled; or give Swml or Url"
            raise RestError(422, "invalid_parameter", message, "Status")
        if status == "canceled" and call.answered_s is not None:
            message = "Status: a call that was answered is completed, not canceled"
            raise RestError(422, "invalid_parameter", message, "Status")
        await call.hangup("hangup" if status == "completed" else "cancel")
        return 200, _call_resource(call, base)


async def _answer(status: int, body: Mapping[str, Any]) -> Answer:
    return status, body


async def _stop(
    call: Call | CallRecord, stream: Stream | StreamRecord, request: web.Request, base: str
) -> Answer:
    if text(await read_body(request), "Status") != "stopped":
        raise RestError(422, "invalid_parameter", "Status: takes stopped", "Status")
    await stream.stop()
    return 200, _stream_resource(call, stream, base)


def _split(parts: list[str]) -> tuple[str, str, list[str]]:
    """Part a path into the prefix of `Accounts`, the account and what follows."""
    for prefix in COMPAT_PREFIXES:
        above = [*prefix.split("/")[1:], "Accounts"]
        if parts[: len(above)] == above and len(parts) > len(above):
            return prefix, parts[len(above)], parts[len(above) + 1 :]
    raise RestError(404, "not_found", "the path is encoded where it is to be plain")  # Accounts%2F...


def _stream_of(call: Call | CallRecord, stream_id: str) -> Stream | StreamRecord:
    """Find a stream by its sid, else by its name: the live one, else the last of that name."""
    if stream_id in call.streams:
        return call.streams[stream_id]
    named = [stream for stream in call.streams.values() if stream.request.name == stream_id]
    live = [stream for stream in named if stream.state != "finished"]
    if not named:
        raise RestError(404, "stream_not_found", "there is no such stream")
    return (live or named)[-1]


def _custom_parameters(fields: Mapping[str, Any]) -> dict[str, str]:
    """Collect Parameter1.Name and Parameter1.Value to Parameter99."""
    pairs: dict[int, dict[str, Any]] = {}
    for field, value in fields.items():
        match = _PARAMETER.fullmatch(field)
        if match is None:
            continue
        if not 1 <= int(match[1]) <= 99 or match[1].startswith("0"):
            raise RestError(422, "invalid_parameter", f"{field}: takes Parameter1 to Parameter99", field)
        try:
            pairs.setdefault(int(match[1]), {})[match[2]] = check_text(field, value)
        except FormatError as error:
            raise attribute_error(error, {}) from error
    parameters: dict[str, str] = {}
    for number, pair in sorted(pairs.items()):
        name = pair.get("Name")
        if not name or "Value" not in pair:
            missing = f"Parameter{number}.{'Value' if name else 'Name'}"
            raise RestError(422, "missing_required_parameter", f"{missing}: is required", missing)
        if name in parameters:
            field = f"Parameter{number}.Name"
            raise RestError(422, "invalid_parameter", f"{field}: is the name of another parameter too", field)
        parameters[name] = pair["Value"]
    return parameters


def _call_resource(call: Call | CallRecord, base: str) -> dict[str, Any]:
    uri = f"{base}/Calls/{quote(call.id, safe='')}"
    status = _STATUS.get(call.state)
    if status is None:
        completed = "completed" if call.answered_s is not None else "canceled"
        status = _END_STATUS.get(call.end_reason or "", completed)
    lasted = call.ended_s is not None and call.answered_s is not None
    return {
        "sid": call.id,
        "account_sid": call.project_id,
        "from": call.from_number,
        "to": call.to_number,
        "status": status,
        "direction": "inbound" if call.direction == "inbound" else "outbound-api",
        "date_created": _date(call.created_s),
        "date_updated": _date(call.ended_s or call.answered_s or call.created_s),
        "start_time": _date(call.answered_s),
        "end_time": _date(call.ended_s),
        "duration": str(round(call.ended_s - call.answered_s)) if lasted else None,  # type: ignore[operator]
        "uri": f"{uri}.json",
        "subresource_uris": {"streams": f"{uri}/Streams.json"},
    }


def _stream_resource(call: Call | CallRecord, stream: Stream | StreamRecord, base: str) -> dict[str, Any]:
    sid = quote(stream.sid, safe="")
    return {
        "sid": stream.sid,
        "account_sid": call.project_id,
        "call_sid": call.id,
        "name": stream.request.name,
        "status": _STREAM_STATUS[stream.state],
        "date_updated": _date(stream.ended_s or stream.started_s or time.time()),
        "uri": f"{base}/Calls/{quote(call.id, safe='')}/Streams/{sid}.json",
    }


def _date(seconds: float | None) -> str | None:
    """Write a time as RFC 2822 does."""
    return None if seconds is None else format_datetime(datetime.fromtimestamp(seconds, UTC))
