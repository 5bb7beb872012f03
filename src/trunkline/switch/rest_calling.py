"""The calling door: POST /api/calling/calls with a command, its parameters and the id of a call."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from trunkline.errors import FormatError
from trunkline.extras import needs_extra
from trunkline.stream import StreamRequest
from trunkline.switch.call import Call
from trunkline.switch.records import CallRecord
from trunkline.switch.rest_dial import Dialler
from trunkline.switch.rest_http import (
    RestError,
    attribute_error,
    path_parts,
    read_body,
    start_stream,
    text,
)
from trunkline.switch.switch import Switch

with needs_extra("server"):
    from aiohttp import web

__all__ = ["CallingDoor"]

_DIAL_NAMES: Final = {"from": "from", "to": "to", "swml": "swml", "url": "url", "method": "url_method"}
_END_REASONS: Final = ("hangup", "cancel", "busy", "noAnswer", "decline", "error")
_FORM_KEY: Final = re.compile(r"params\[(\w{1,64})\](?:\[([^\[\]]*)\])?", re.ASCII)


class CallingDoor:
    """Carry out the commands dial, update, calling.end, calling.stream and calling.stream.stop."""

    def __init__(self, switch: Switch, dialler: Dialler) -> None:
        self._switch = switch
        self._dialler = dialler
        self._commands = {
            "calling.end": self._end,
            "calling.stream": self._stream,
            "calling.stream.stop": self._stop_stream,
        }

    async def handle(self, request: web.Request) -> tuple[int, Mapping[str, Any]]:
        """Answer a request below /api/calling/ that was let in."""
        if path_parts(request) != ["api", "calling", "calls"]:
            raise RestError(404, "not_found", "there is only /api/calling/calls here")
        if request.method != "POST":
            raise RestError(
                405, "method_not_allowed", f"{request.method}: takes POST", headers={"Allow": "POST"}
            )
        body = await read_body(request)
        if request.content_type != "application/json":
            body = _nested(body)
        command, params = text(body, "command"), body.get("params")
        if params is None:
            params = {}
        if not isinstance(params, dict):
            raise RestError(422, "invalid_parameter", "params: takes an object", "params")
        if command == "dial":
            return 200, call_leg(await self._dialler.dial(params, _DIAL_NAMES))
        if command == "update":
            return 200, await self._update(self._call(params), params)
        if command not in self._commands:
            message = f"command: {command[:64]!r}: takes dial, update, {', '.join(self._commands)}"
            raise RestError(422, "invalid_parameter", message, "command")
        return 200, await self._commands[command](self._call(body), params)

    def _call(self, fields: Mapping[str, Any]) -> Call | CallRecord:
        call = self._switch.known_call(text(fields, "id"))
        if call is None:
            raise RestError(404, "call_not_found", "id: there is no such call", "id")
        return call

    async def _update(self, call: Call | CallRecord, params: Mapping[str, Any]) -> dict[str, Any]:
        status = params.get("status")
        if status is None and (params.get("swml") or params.get("url")):
            await self._dialler.update(call, params, _DIAL_NAMES)
            return call_leg(call)
        if status not in ("completed", "canceled"):
            message = "status: takes completed or canceled; or give swml or url"
            raise RestError(422, "invalid_parameter", message, "status")
        await call.hangup("hangup" if status == "completed" else "cancel")
        return call_leg(call)

    async def _end(self, call: Call | CallRecord, params: Mapping[str, Any]) -> dict[str, Any]:
        reason = params.get("reason") or "hangup"
        if reason not in _END_REASONS:
            message = f"reason: takes {', '.join(_END_REASONS)}"
            raise RestError(422, "invalid_parameter", message, "reason")
        await call.hangup(reason)
        return call_leg(call)

    async def _stream(self, call: Call | CallRecord, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            request = StreamRequest.parse(params, insecure_loopback=self._switch.insecure_loopback)
        except FormatError as error:
            raise attribute_error(error, {}) from error
        stream = await start_stream(call, request, "json", {})
        return call_leg(call) | {"control_id": stream.control_id}

    async def _stop_stream(self, call: Call | CallRecord, params: Mapping[str, Any]) -> dict[str, Any]:
        control_id = text(params, "control_id", characters_max=65_535) if params.get("control_id") else None
        if control_id is None:
            live = [stream for stream in call.streams.values() if stream.state != "finished"]
            stream = live[-1] if live else None
        else:
            stream = call.streams.get(control_id)
        if stream is None:
            raise RestError(404, "stream_not_found", "control_id: there is no such stream", "control_id")
        await stream.stop()
        return call_leg(call) | {"control_id": stream.control_id}


def call_leg(call: Call | CallRecord) -> dict[str, Any]:
    """Give a call as this door shows it."""
    ended_s = call.ended_s
    started_s = call.answered_s if call.answered_s is not None else ended_s
    return {
        "id": call.id,
        "from": call.from_number,
        "to": call.to_number,
        "direction": call.direction,
        "status": call.state,
        "created_at": datetime.fromtimestamp(call.created_s, UTC).isoformat(timespec="milliseconds"),
        "duration": None if ended_s is None or started_s is None else round(ended_s - started_s),
        "source": "realtime_api",
        "type": "relay_pstn_call",
        "url": None,
    }


def _nested(form: Mapping[str, Any]) -> dict[str, Any]:
    """Make the JSON body that a form stands for: `params[url]`, `params[custom_parameters][name]`.

    >>> _nested({"command": "calling.stream", "params[custom_parameters][x]": "1"})
    {'command': 'calling.stream', 'params': {'custom_parameters': {'x': '1'}}}
    """
    body: dict[str, Any] = {}
    params: dict[str, Any] = {}
    for key, value in form.items():
        match = _FORM_KEY.fullmatch(key)
        if match is None:
            body[key] = value
        elif match[2] is None:
            params.setdefault(match[1], value)
        else:
            members = params.setdefault(match[1], {})
            if isinstance(members, dict):
                members[match[2]] = value
    if params and "params" in body:
        raise RestError(422, "invalid_parameter", "params: is given beside params[...]", "params")
    return {**body, "params": params} if params else body
