"""JSON-RPC 2.0 over text messages, one object a message, read strictly.

A message is at most 1 MiB of UTF-8 with objects and lists at most 64 deep. Fields that are not named here are
ignored; of a key that comes twice, the last counts. Ids are strings or whole numbers; batches are refused.
"""

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from trunkline._native.media import depth
from trunkline.errors import RemoteProtocolError, TrunklineError

__all__ = [
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "MESSAGE_BYTES_MAX",
    "METHOD_NOT_FOUND",
    "OVERLOADED",
    "PARSE_ERROR",
    "UNAUTHORIZED",
    "Failure",
    "Id",
    "InvalidMessageError",
    "RelayError",
    "Request",
    "Result",
    "decode_params",
    "failure",
    "parse",
    "request",
    "result",
]

# JSON-RPC 2.0, 5.1; the last two are ours, from the range that it leaves to servers.
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
OVERLOADED: Final = -32000
UNAUTHORIZED: Final = -32002

MESSAGE_BYTES_MAX: Final = 1 << 20
DEPTH_MAX: Final = 64
ERROR_CHARS_MAX: Final = 200

Id = Annotated[str, msgspec.Meta(max_length=256)] | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
T = TypeVar("T")


class RelayError(TrunklineError, RuntimeError):
    """What the other end refused, or -1 when no answer came: `code` and `message`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"RELAY error {self.code}: {self.message}"


class InvalidMessageError(RemoteProtocolError):
    """Refuse a message; `code` is JSON-RPC's, `id` the request's where one could be read."""

    def __init__(self, code: int, message: str, id: Id | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = id


class Request(msgspec.Struct, frozen=True):
    """A request, or without an id a notification, which nobody answers."""

    id: Id | None
    method: str
    params: Raw


class Result(msgspec.Struct, frozen=True):
    """The success of a request."""

    id: Id
    result: Raw


class Failure(msgspec.Struct, frozen=True):
    """The failure of a request, or without an id of a message that could not be read."""

    id: Id | None
    code: int
    message: str


class _Error(msgspec.Struct):
    code: int | str = -1
    message: str = ""


class _Message(msgspec.Struct):
    jsonrpc: str
    id: Id | UnsetType | None = UNSET
    method: Annotated[str, msgspec.Meta(max_length=256)] | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: _Error | UnsetType | None = UNSET  # beside a result some write null


class _Identified(msgspec.Struct):
    """What a request has that an answer has not: only its id may be answered to, ids of answers are ours."""

    id: Id
    method: Any


_message = msgspec.json.Decoder(_Message)
_identified = msgspec.json.Decoder(_Identified)
_NO_PARAMS: Final = Raw(b"{}")


def parse(message: str | bytes, max_bytes: int = MESSAGE_BYTES_MAX) -> Request | Result | Failure:
    """Read a message; InvalidMessageError when it is none."""
    data = _utf8(message, max_bytes)
    try:
        parsed = _message.decode(data)
    except msgspec.ValidationError as error:
        raise InvalidMessageError(INVALID_REQUEST, _clipped(error), _id_of(data)) from None
    except msgspec.DecodeError as error:
        raise InvalidMessageError(PARSE_ERROR, f"message of {len(data)} bytes: {_clipped(error)}") from None
    request_id = None if isinstance(parsed.id, UnsetType) else parsed.id
    if parsed.jsonrpc != "2.0":
        raise InvalidMessageError(INVALID_REQUEST, 'jsonrpc: takes "2.0"', _id_of(data))
    if not isinstance(parsed.method, UnsetType):
        if parsed.id is None:
            raise InvalidMessageError(INVALID_REQUEST, "id: takes a string or a whole number, not null")
        return Request(
            request_id, parsed.method, _NO_PARAMS if isinstance(parsed.params, UnsetType) else parsed.params
        )
    if isinstance(parsed.error, _Error):
        return Failure(request_id, _code(parsed.error.code), parsed.error.message)
    if isinstance(parsed.result, UnsetType) or request_id is None:
        raise InvalidMessageError(INVALID_REQUEST, "neither a request nor an answer to one")
    return Result(request_id, parsed.result)


def decode_params(raw: Raw, kind: type[T], id: Id | None = None) -> T:
    """Read the parameters of a request; InvalidMessageError when they are not of their kind."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidMessageError(INVALID_PARAMS, _clipped(error), id) from None


def request(id: Id, method: str, params: Any) -> bytes:
    """Write a request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def result(id: Id, value: Any) -> bytes:
    """Write the success of a request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id, "result": value})


def failure(id: Id | None, code: int, message: str) -> bytes:
    """Write the failure of a request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})


def _utf8(message: str | bytes, max_bytes: int) -> bytes:
    """Give the message as bytes, UTF-8 (msgspec does not look into what it skips) and of bounded depth."""
    if len(message) > max_bytes:
        raise InvalidMessageError(
            INVALID_REQUEST, f"message of {len(message)}: takes at most {max_bytes} bytes"
        )
    try:
        data = message.encode() if isinstance(message, str) else message
        data.decode()
    except UnicodeError:
        raise InvalidMessageError(PARSE_ERROR, "message is not UTF-8") from None
    if len(data) > max_bytes:
        raise InvalidMessageError(INVALID_REQUEST, f"message of {len(data)} bytes: takes at most {max_bytes}")
    if (deep := depth(data)) > DEPTH_MAX:
        raise InvalidMessageError(
            INVALID_REQUEST, f"message of {len(data)} bytes: nested {deep} deep, takes at most {DEPTH_MAX}"
        )
    return data


def _id_of(data: bytes) -> Id | None:
    try:
        return _identified.decode(data).id
    except msgspec.DecodeError:
        return None


def _code(code: int | str) -> int:
    if isinstance(code, int):
        return code
    return int(code) if len(code) <= 9 and code.isascii() and code.removeprefix("-").isdigit() else -1


def _clipped(error: Exception) -> str:
    return str(error)[:ERROR_CHARS_MAX]
