"""ClientConnection: RELAY's client end of one connection, without a socket, a clock or a task."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.relay.events import AUTHORIZATION_STATE, Event, typed_event
from trunkline.relay.jsonrpc import (
    INVALID_PARAMS,
    MESSAGE_BYTES_MAX,
    METHOD_NOT_FOUND,
    Failure,
    Id,
    InvalidMessageError,
    RelayError,
    Request,
    Result,
    decode_params,
    failure,
    parse,
    request,
    result,
)

__all__ = ["ClientConnection", "Disconnect", "Pinged", "Refusal", "Reply"]

AGENT: Final = "trunkline/1.0"
VERSION: Final = {"major": 2, "minor": 0, "revision": 0}


class Reply(msgspec.Struct, frozen=True):
    """The success of a request."""

    request_id: Id
    method: str
    result: dict[str, Any]


class Refusal(msgspec.Struct, frozen=True):
    """The failure of a request: a JSON-RPC error, or a result whose code is not 2xx."""

    request_id: Id
    method: str
    error: RelayError


class Pinged(msgspec.Struct, frozen=True):
    """The server asked whether we live, and was answered."""


class Disconnect(msgspec.Struct, frozen=True):
    """The server is about to close the connection; with `restart` the session cannot be resumed."""

    restart: bool = False


Happening = Reply | Refusal | Event | Pinged | Disconnect


class ClientConnection:
    """Write requests, and read what the server sends.

    `protocol` and `authorization_state` are those of an earlier connection, to resume it. After every call,
    send `messages_to_send()` as text messages, in order: events and pings are acknowledged there.

    >>> client = ClientConnection()
    >>> client.connect(project="p1", token="secret")
    '1'
    >>> client.receive('{"jsonrpc": "2.0", "id": "1", "error": {"code": -32002, "message": "wrong token"}}')
    Refusal(request_id='1', method='signalwire.connect', error=RelayError(-32002, 'wrong token'))
    """

    def __init__(self, *, protocol: str = "", authorization_state: str = "") -> None:
        self.protocol = protocol
        self.authorization_state = authorization_state
        self._authenticated = False
        self._outgoing: list[bytes] = []
        self._pending: dict[Id, str] = {}
        self._n_requests = 0

    @property
    def authenticated(self) -> bool:
        """Whether the server has taken our credentials."""
        return self._authenticated

    @property
    def pending(self) -> Mapping[Id, str]:
        """The methods of the requests that wait for an answer, by id."""
        return dict(self._pending)

    def messages_to_send(self) -> list[bytes]:
        """Take the messages that wait to be sent."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def connect(
        self, *, project: str = "", token: str = "", jwt_token: str = "", contexts: Iterable[str] = ()
    ) -> str:
        """Authenticate, by project and token or by JWT; returns the id of the request."""
        authentication = {"jwt_token": jwt_token} if jwt_token else {"project": project, "token": token}
        params: dict[str, Any] = {
            "version": VERSION,
            "agent": AGENT,
            "event_acks": True,
            "authentication": authentication,
        }
        optional = {
            "contexts": list(contexts),
            "protocol": self.protocol,
            "authorization_state": self.authorization_state,
        }
        return self._request(
            "signalwire.connect", params | {name: value for name, value in optional.items() if value}
        )

    def request(self, method: str, params: Mapping[str, Any]) -> str:
        """Ask for anything else; returns the id that its Reply or Refusal will carry."""
        if not self._authenticated:
            raise LocalProtocolError(f"{method} before signalwire.connect was answered")
        return self._request(method, params)

    def forget(self, request_id: Id) -> None:
        """Wait no longer for an answer: when it comes, it is dropped."""
        self._pending.pop(request_id, None)

    def receive(self, message: str | bytes) -> Happening | None:
        """Read a message; None for one that asks for nothing to be done.

        RemoteProtocolError when it is not one of RELAY; all is then as it was, except that a request of
        the server's, if it was one, is answered with the error.
        """
        parsed = parse(message)
        if isinstance(parsed, Request):
            try:
                return self._requested(parsed)
            except InvalidMessageError as error:
                if parsed.id is not None:
                    self._outgoing.append(failure(parsed.id, error.code, str(error)))
                raise
        if isinstance(parsed, Failure):
            method = None if parsed.id is None else self._pending.pop(parsed.id, None)
            if parsed.id is None or method is None:
                return None
            return Refusal(parsed.id, method, RelayError(parsed.code, parsed.message))
        return self._answered(parsed)

    def _answered(self, parsed: Result) -> Reply | Refusal | None:
        method = self._pending.pop(parsed.id, None)
        if method is None:
            return None
        try:
            value = decode_params(parsed.result, dict[str, Any])
        except InvalidMessageError as error:
            return Refusal(parsed.id, method, RelayError(-1, f"the result is no object: {error}"))
        if method == "signalwire.connect":
            protocol = value.get("protocol")
            if not isinstance(protocol, str):
                return Refusal(parsed.id, method, RelayError(-1, "the result names no protocol"))
            self.protocol = protocol
            self._authenticated = True
            return Reply(parsed.id, method, value)
        code = str(value.get("code", "200"))
        if len(code) == 3 and code.isascii() and code.isdigit() and code[0] == "2":
            return Reply(parsed.id, method, value)
        number = int(code) if len(code) <= 9 and code.isascii() and code.isdigit() else -1
        return Refusal(parsed.id, method, RelayError(number, str(value.get("message", ""))[:4096]))

    def _requested(self, parsed: Request) -> Event | Pinged | Disconnect | None:
        match parsed.method:
            case "signalwire.event":
                event = decode_params(parsed.params, Event, parsed.id)
                try:
                    event = typed_event(event)
                except FormatError as error:
                    raise InvalidMessageError(INVALID_PARAMS, str(error), parsed.id) from None
                self._acknowledge(parsed.id)
                return self._told(event)
            case "signalwire.ping":
                self._acknowledge(parsed.id)
                return Pinged()
            case "signalwire.disconnect":
                disconnect = decode_params(parsed.params, Disconnect, parsed.id)
                self._acknowledge(parsed.id)
                if disconnect.restart:
                    self.protocol = self.authorization_state = ""
                return disconnect
        raise InvalidMessageError(METHOD_NOT_FOUND, f"unknown method {parsed.method[:64]!r}", parsed.id)

    def _told(self, event: Event) -> Event | None:
        if event.event_type != AUTHORIZATION_STATE:
            return event
        state = event.params.get("authorization_state")
        if isinstance(state, str) and state:
            self.authorization_state = state
        return None

    def _acknowledge(self, id: Id | None) -> None:
        if id is not None:
            self._outgoing.append(result(id, {}))

    def _request(self, method: str, params: Mapping[str, Any]) -> str:
        request_id = str(self._n_requests + 1)
        message = request(request_id, method, params)  # before anything has changed: params may not be JSON's
        if len(message) > MESSAGE_BYTES_MAX:  # the other end would close the connection
            raise LocalProtocolError(f"{method} of {len(message)} bytes: takes at most {MESSAGE_BYTES_MAX}")
        self._n_requests += 1
        self._pending[request_id] = method
        self._outgoing.append(message)
        return request_id
