"""What the REST doors of a switch share: who may come in, bodies, answers and errors.

A request is refused before anything happens: 401 without the right credentials, then 404 and 405 by its
path and method, 413, 415 and 400 by its body, 422 by the values in it.
"""

import asyncio
import binascii
import hashlib
import hmac
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError, StreamStartError
from trunkline.extras import needs_extra
from trunkline.stream.request import StreamRequest, check_text
from trunkline.switch.call import Call
from trunkline.switch.events import CallbackForm
from trunkline.switch.records import CallRecord
from trunkline.switch.stream import Stream

with needs_extra("server"):
    from aiohttp import web

__all__ = [
    "Handler",
    "RestError",
    "attribute_error",
    "guarded",
    "path_parts",
    "read_body",
    "start_stream",
    "text",
]

BODY_BYTES_MAX: Final = 1 << 20
FIELDS_MAX: Final = 400  # of a form: 99 parameters are 198
READ_TIMEOUT_S: Final = 10.0
_ERRORS_URL: Final = "https://developer.signalwire.com/rest/overview/error-codes/"
_KINDS: Final = {
    400: "parameter_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "method_error",
    408: "timeout_error",
    413: "size_error",
    415: "media_type_error",
    422: "validation_error",
    503: "availability_error",
}

# What a stream's start fails by, and the parameter that is to blame; url where none is named here.
_BLAMED: Final = {
    "codec_error": "codec",
    "invalid_track": "track",
    "Duplicated stream ID": "control_id",
    "Duplicated stream name": "name",
}

#: Answers a request that was let in with a status and a JSON body.
Handler = Callable[[web.Request], Awaitable[tuple[int, Mapping[str, Any]]]]

_log = logging.getLogger(__name__)


class RestError(RemoteProtocolError):
    """Refuse a request with an HTTP `status`; `attribute` is the parameter that is to blame."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        attribute: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.attribute = attribute
        self.headers = headers

    def body(self) -> dict[str, Any]:
        """Give the JSON body of the answer."""
        error = {
            "type": _KINDS[self.status],
            "code": self.code,
            "message": str(self),
            "attribute": self.attribute,
            "url": f"{_ERRORS_URL}#{self.code}",
        }
        # Twilio's client shows what stands beside the errors.
        return {"status": self.status, "message": str(self), "errors": [error]}


def guarded(
    handler: Handler, *, project_id: str, token: str
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make a handler of aiohttp's that lets in who has the project's token (Basic, RFC 7617).

    Each answer closes its connection, and says so: clients that pool connections then never send a request
    into one that is being closed.
    """
    expected = _digest(f"{project_id}:{token}".encode())

    async def answer(request: web.Request) -> web.Response:
        headers = None
        try:
            if not _is_authorized(request, expected):
                challenge = {"WWW-Authenticate": 'Basic realm="trunkline", charset="UTF-8"'}
                raise RestError(
                    401, "unauthorized", "the project or its token is missing or wrong", None, challenge
                )
            status, body = await handler(request)
        except RestError as error:
            status, body, headers = error.status, error.body(), error.headers
            # The path names a call, its query may hold anything.
            _log.info("%s %.200r refused with HTTP %d: %s", request.method, request.path, status, error.code)
        response = web.Response(
            body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
        )
        response.force_close()
        return response

    return answer


def path_parts(request: web.Request) -> list[str]:
    """Split the path at its slashes, without a `.json` at its end; an id may hold a slash as %2F."""
    parts = request.rel_url.raw_path.removesuffix(".json").split("/")
    return [unquote(part) for part in parts[1:]]


async def read_body(request: web.Request) -> dict[str, Any]:
    """Read the fields of a JSON object or of a form; a field that a form repeats is a list.

    A body has at most 1 MiB and comes within 10 s.
    """
    kind = request.content_type
    if kind not in ("application/json", "application/x-www-form-urlencoded"):
        message = f"content type {kind[:64]!r}: takes application/json or application/x-www-form-urlencoded"
        raise RestError(415, "unsupported_media_type", message)
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise RestError(415, "unsupported_media_type", f"charset {request.charset!r:.64}: takes UTF-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RestError(415, "unsupported_media_type", "takes no Content-Encoding")
    data = await _read(request)
    return _json_object(data) if kind == "application/json" else _form(data)


def text(fields: Mapping[str, Any], name: str, *, characters_max: int = 256) -> str:
    """Give a field that is required, a string of one character or more."""
    if fields.get(name) in (None, ""):
        raise RestError(422, "missing_required_parameter", f"{name}: is required", name)
    try:
        value = check_text(name, fields[name])
    except FormatError as error:
        raise attribute_error(error, {}) from error
    if len(value) > characters_max:
        message = f"{name}: {len(value)} characters: takes at most {characters_max}"
        raise RestError(422, "invalid_parameter", message, name)
    return value


def attribute_error(error: FormatError, names: Mapping[str, str]) -> RestError:
    """Blame the parameter that a FormatError begins with; `names` are the door's for those of StreamRequest.

    >>> attribute_error(FormatError("url: is required"), {"url": "Url"}).body()["errors"][0]["message"]
    'Url: is required'
    """
    field, _, problem = str(error).partition(": ")
    attribute = names.get(field, field)
    code = "missing_required_parameter" if problem == "is required" else "invalid_parameter"
    return RestError(422, code, f"{attribute}: {problem}", attribute)


async def start_stream(
    call: Call | CallRecord, request: StreamRequest, callback_form: CallbackForm, names: Mapping[str, str]
) -> Stream:
    """Start a stream, once its endpoint has accepted; RestError 422 with the reason as its code."""
    if isinstance(call, CallRecord) or call.state in ("ending", "ended"):
        raise RestError(422, "call_ended", f"the call is {call.state}: it takes no stream")
    try:
        return await call.start_stream(request, callback_form=callback_form)
    except StreamStartError as error:
        attribute = _BLAMED.get(error.reason, "url")
        attribute = names.get(attribute, attribute)
        code = error.reason.lower().replace(" ", "_")
        raise RestError(422, code, f"{attribute}: {error}", attribute) from error
    except LocalProtocolError as error:  # the call has ended meanwhile
        raise RestError(422, "call_ended", str(error)) from error


def _digest(credentials: bytes) -> bytes:
    return hashlib.sha256(credentials).digest()


def _is_authorized(request: web.Request, expected: bytes) -> bool:
    """Compare in constant time; the digests also hide the length."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        given = b64decode(encoded.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        given = b""
    return hmac.compare_digest(_digest(given), expected) and scheme.lower() == "basic"


async def _read(request: web.Request) -> bytes:
    data = bytearray()
    length = request.content_length or 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            while length <= BODY_BYTES_MAX and (chunk := await request.content.readany()):
                data += chunk
                length = max(length, len(data))
    except TimeoutError:
        message = f"{len(data)} bytes of the body came within {READ_TIMEOUT_S:g} s"
        raise RestError(408, "request_timeout", message) from None
    if length > BODY_BYTES_MAX:
        message = f"a body of {length} bytes or more: takes at most {BODY_BYTES_MAX}"
        raise RestError(413, "body_too_large", message)
    return bytes(data)


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RestError(400, "invalid_body", f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise RestError(400, "invalid_body", "the body is no JSON object")
    return body


def _form(data: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except UnicodeDecodeError:
        raise RestError(400, "invalid_body", "the form is not UTF-8, percent-encoded") from None
    except ValueError:
        raise RestError(
            400, "invalid_body", f"the form has more fields than {FIELDS_MAX}, which it takes"
        ) from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields
