"""StreamRequest: what "stream this call's audio to a URL" takes, the same through every door of a switch."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import msgspec

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec

__all__ = ["StreamRequest", "check_text", "is_loopback"]

VALUE_BYTES_MAX: Final = 65_535  # of any one parameter, in UTF-8
CUSTOM_PARAMETERS_MAX: Final = 99  # the compatibility API numbers them 1 to 99
# What goes into the start message has to leave room in the 65,536 bytes that receivers of ours take.
CUSTOM_PARAMETERS_BYTES_MAX: Final = 49_152  # of all of them, in JSON
CONTROL_ID_BYTES_MAX: Final = 1024  # in JSON, where a character may take six

Direction = Literal["inbound", "outbound", "both"]
_TRACKS: Final[dict[str, Direction]] = {
    "inbound": "inbound",
    "inbound_track": "inbound",
    "outbound": "outbound",
    "outbound_track": "outbound",
    "both": "both",
    "both_tracks": "both",
}
_METHODS: Final[dict[str, Literal["POST", "GET"]]] = {"POST": "POST", "GET": "GET"}
_DEFAULT_CODEC: Final = CodecSpec("PCMU", 8000)


class StreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request to stream a call's audio, made by `parse`.

    `track` is inbound, outbound or both, in either spelling of the APIs; `codec` is PCMU when nobody said.
    `control_id` names the stream among the live ones of its call and is made up when it was not given. The
    bearer token is no part of the repr.

    >>> params = {"url": "wss://example.com/a", "track": "both_tracks", "codec": "l16@24000h"}
    >>> request = StreamRequest.parse(params)
    >>> request.tracks, str(request.codec)
    (('inbound', 'outbound'), 'L16@24000h@20i')
    >>> StreamRequest.parse({"url": "ws://example.com/a"})
    Traceback (most recent call last):
    ...
    trunkline.errors.FormatError: url: takes a wss:// URL; ws:// is refused, since it sends audio in the clear
    """

    url: str
    control_id: str
    name: str | None = None
    codec: CodecSpec = _DEFAULT_CODEC
    track: Direction = "inbound"
    status_url: str | None = None
    status_url_method: Literal["POST", "GET"] = "POST"
    authorization_bearer_token: str | None = None
    custom_parameters: dict[str, str] = {}

    @classmethod
    def parse(cls, params: Mapping[str, Any], *, insecure_loopback: bool = False) -> "StreamRequest":
        """Check the parameters by their names on the wire; other names are ignored.

        None is as good as absent. `insecure_loopback` lets ws:// through to loopback hosts. A value has
        at most 65,535 bytes of UTF-8, and no CR, LF or NUL; custom parameters are at most 99, and all
        together, as they are sent, 49,152 bytes of JSON, a control id 1,024.

        Raises FormatError, which begins with the name of the parameter and never repeats a token.
        """
        given = {field: params[field] for field in cls.__struct_fields__ if params.get(field) is not None}
        custom = _custom_parameters(given.pop("custom_parameters", {}))
        texts = {field: check_text(field, value) for field, value in given.items()}
        if "url" not in texts:
            raise FormatError("url: is required")
        _check_stream_url(texts["url"], insecure_loopback)
        _check_json_size("control_id", texts.get("control_id", ""), CONTROL_ID_BYTES_MAX)
        if "status_url" in texts:
            _check_url("status_url", texts["status_url"], ("http", "https"), "an http:// or https:// URL")
        return cls(
            url=texts["url"],
            control_id=texts.get("control_id") or str(uuid4()),
            name=texts.get("name") or None,
            codec=_codec(texts["codec"]) if "codec" in texts else _DEFAULT_CODEC,
            track=_choice("track", texts.get("track", "inbound"), _TRACKS),
            status_url=texts.get("status_url"),
            status_url_method=_choice("status_url_method", texts.get("status_url_method", "POST"), _METHODS),
            authorization_bearer_token=_token(texts.get("authorization_bearer_token")),
            custom_parameters=custom,
        )

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks to stream, in the order in which a start message names them."""
        return ("inbound", "outbound") if self.track == "both" else (self.track,)

    def __repr__(self) -> str:
        token = None if self.authorization_bearer_token is None else "..."
        shown = {field: getattr(self, field) for field in self.__struct_fields__}
        shown["authorization_bearer_token"] = token
        return f"StreamRequest({', '.join(f'{field}={value!r}' for field, value in shown.items())})"


def is_loopback(host: str) -> bool:
    """Say whether what is sent to `host` stays on this machine: localhost, 127.0.0.0/8 or ::1.

    >>> is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("localhost.example.com")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_text(field: str, value: object) -> str:
    """Check what every parameter must be; the message never repeats it."""
    if not isinstance(value, str):
        raise FormatError(f"{field}: takes a string, not {type(value).__name__}")
    if len(value) > VALUE_BYTES_MAX:  # before it is encoded
        raise FormatError(f"{field}: {len(value)} characters: takes at most {VALUE_BYTES_MAX} bytes")
    try:
        n_bytes = len(value.encode())
    except UnicodeEncodeError:
        raise FormatError(f"{field}: is not Unicode text") from None
    if n_bytes > VALUE_BYTES_MAX:
        raise FormatError(f"{field}: {n_bytes} bytes: takes at most {VALUE_BYTES_MAX}")
    if any(character in value for character in "\r\n\0"):
        raise FormatError(f"{field}: holds a CR, LF or NUL")
    return value


def _custom_parameters(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise FormatError(f"custom_parameters: takes an object of strings, not {type(value).__name__}")
    if len(value) > CUSTOM_PARAMETERS_MAX:
        raise FormatError(f"custom_parameters: {len(value)} of them: takes at most {CUSTOM_PARAMETERS_MAX}")
    parameters = {
        check_text("name of one of custom_parameters", name): check_text(
            f"custom_parameters[{str(name)[:64]!r}]", item
        )
        for name, item in value.items()
    }
    _check_json_size("custom_parameters", parameters, CUSTOM_PARAMETERS_BYTES_MAX)
    return parameters


def _check_json_size(field: str, value: object, bytes_max: int) -> None:
    n_bytes = len(msgspec.json.encode(value))
    if n_bytes > bytes_max:
        raise FormatError(f"{field}: {n_bytes} bytes of JSON: takes at most {bytes_max}")


def _check_stream_url(url: str, insecure_loopback: bool) -> None:
    schemes = ("wss", "ws") if insecure_loopback else ("wss",)
    takes = "a wss:// URL, or ws:// to a loopback host" if insecure_loopback else "a wss:// URL"
    if url[:5].lower() == "ws://" and not insecure_loopback:
        raise FormatError("url: takes a wss:// URL; ws:// is refused, since it sends audio in the clear")
    parts = _check_url("url", url, schemes, takes)
    if parts.scheme == "ws" and not is_loopback(parts.hostname or ""):
        raise FormatError(f"url: ws:// goes to a loopback host only, not to {(parts.hostname or '')[:64]!r}")
    if "#" in url:
        raise FormatError("url: holds a fragment, which no WebSocket URL has (RFC 6455 3)")


def _check_url(field: str, url: str, schemes: tuple[str, ...], takes: str) -> SplitResult:
    """Split a URL; what is wrong is told without the URL, which may hold a password."""
    if not url:
        raise FormatError(f"{field}: is empty: takes {takes}")
    if any(c <= " " or c == "\x7f" for c in url):
        raise FormatError(f"{field}: holds a space or a control character: takes {takes}")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:  # brackets that cannot be
        raise FormatError(f"{field}: takes {takes}") from None
    if parts.scheme not in schemes or not host:
        raise FormatError(f"{field}: takes {takes}")
    if not _has_port(parts):
        raise FormatError(f"{field}: its port is not one of 1 to 65535")
    if "@" in parts.netloc:
        raise FormatError(f"{field}: holds a user name or password, which would show in logs")
    return parts


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _codec(text: str) -> CodecSpec:
    try:
        return CodecSpec.parse(text)
    except FormatError as error:
        raise FormatError(f"codec: {error}") from None


def _token(token: str | None) -> str | None:
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise FormatError("authorization_bearer_token: is empty, or has characters that no header can carry")
    return token


def _choice(field: str, text: str, choices: "Mapping[str, Any]") -> Any:
    if text not in choices:
        raise FormatError(f"{field}: {text[:32]!r}: takes {', '.join(choices)}")
    return choices[text]
