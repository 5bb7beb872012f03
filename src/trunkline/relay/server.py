"""ServerConnection: RELAY's server end of one connection, without a socket, a clock or a task."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.relay.commands import (
    Command,
    Connect,
    Dial,
    Ping,
    Receive,
    Stream,
    StreamStop,
    Unknown,
    Unreceive,
    read_command,
)
from trunkline.relay.events import AUTHORIZATION_STATE, Event
from trunkline.relay.jsonrpc import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    OVERLOADED,
    UNAUTHORIZED,
    Id,
    InvalidMessageError,
    Request,
    failure,
    parse,
    request,
    result,
)

__all__ = ["ServerConnection"]

CONTEXTS_MAX: Final = 1000
UNANSWERED_MAX: Final = 1000
UNACKNOWLEDGED_MAX: Final = 10_000

Credentials = Mapping[str, str] | Callable[[str, str], bool]


class ServerConnection:
    """Read what a client sends, and write what it is to be sent.

    `credentials` maps projects to tokens, which are compared in constant time, or is a function of both that
    says whether they are right, and compares so. `key` is a secret of at least 16 bytes that the connections
    of a server share: with it a client that reconnects proves that its `protocol` was given to it.
    `insecure_loopback` lets streams go to ws:// URLs of this machine.

    `receive` gives commands. Those of calls (Answer, End, Dial, Stream, StreamStop) are owed one `reply` or
    `refuse` each; Connect, Ping, Receive, Unreceive and Unknown have been answered already, and so has what
    is no valid command, for which `receive` gives None. After every call, send `messages_to_send()` as text
    messages, in order.

    >>> server = ServerConnection({"p1": "secret"}, key=b"0123456789abcdef")
    >>> server.receive('{"jsonrpc": "2.0", "id": 1, "method": "calling.answer"}', now_s=0.0)
    >>> server.messages_to_send()
    [b'{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"signalwire.connect comes first"}}']
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        key: bytes,
        space_id: str = "",
        insecure_loopback: bool = False,
    ) -> None:
        if len(key) < 16:
            raise LocalProtocolError(f"key of {len(key)} bytes: takes 16 or more")
        self._credentials = credentials
        self._key = key
        self._space_id = space_id
        self._insecure_loopback = insecure_loopback
        self._outgoing: list[bytes] = []
        self._contexts: dict[str, None] = {}  # a set that keeps its order
        self._unanswered: dict[Id, Command] = {}
        self._unacknowledged: dict[Id, tuple[float, Event | None]] = {}
        self._n_requests = 0
        self._event_acks = False
        self.project: str | None = None
        self.protocol = ""

    @property
    def authenticated(self) -> bool:
        """Whether a client has connected with the right credentials."""
        return self.project is not None

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts whose calls the client wants."""
        return tuple(self._contexts)

    @property
    def unanswered(self) -> tuple[Command, ...]:
        """The commands that are owed an answer, the oldest first; at most 1,000, further ones are refused."""
        return tuple(self._unanswered.values())

    @property
    def unacknowledged(self) -> int:
        """Events and pings that the client has not acknowledged; 10,000 stand for any more."""
        return len(self._unacknowledged)

    @property
    def oldest_unacknowledged_s(self) -> float | None:
        """When the oldest of them was sent: a client that lives answers within seconds."""
        return next((sent_s for sent_s, _ in self._unacknowledged.values()), None)

    @property
    def unacknowledged_events(self) -> tuple[Event, ...]:
        """The events of calls that the client has not acknowledged, in order: what may have been lost."""
        sent = [event for _, event in self._unacknowledged.values()]
        return tuple(event for event in sent if event and event.event_type != AUTHORIZATION_STATE)

    def messages_to_send(self) -> list[bytes]:
        """Take the messages that wait to be sent."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def receive(self, message: str | bytes, now_s: float) -> Command | None:
        """Read a message that came at `now_s` (seconds since 1970); see the class.

        It never raises for what a client sends: what is wrong is answered with an error, and changes nothing.
        """
        try:
            parsed = parse(message)
            if not isinstance(parsed, Request):
                if parsed.id is not None:
                    self._unacknowledged.pop(parsed.id, None)
                return None
            if parsed.id is None:  # a notification: nobody could be told what became of it
                return None
            return self._receive(parsed, parsed.id, now_s)
        except InvalidMessageError as error:
            self._outgoing.append(failure(error.id, error.code, str(error)))
            return None

    def reply(self, command: Command, *, message: str = "OK", **fields: Any) -> None:
        """Answer a command with success; `fields` go into the result beside its ids."""
        self._answer(command, "200", message, fields)

    def refuse(self, command: Command, code: int, message: str) -> None:
        """Answer a command with a failure, `code` as in HTTP.

        At 404 and 410 the SDKs raise nothing: they take the call for gone and the action for done.
        """
        if not 300 <= code <= 599:
            raise LocalProtocolError(f"code {code}: a refusal takes 300 to 599")
        self._answer(command, str(code), message, {})

    def send_event(self, event: Event) -> None:
        """Send an event, which the client acknowledges."""
        if not self.authenticated:
            raise LocalProtocolError("no client has connected: events have nowhere to go")
        self._request("signalwire.event", event.body(), event.timestamp if self._event_acks else None, event)

    def ping(self, now_s: float) -> None:
        """Ask whether the client lives; its answer counts as an acknowledgement."""
        self._request("signalwire.ping", {"timestamp": now_s}, now_s)

    def disconnect(self, *, restart: bool = False) -> None:
        """Tell the client that the connection will be closed; with `restart` it may not resume."""
        self._request("signalwire.disconnect", {"restart": restart}, None)

    def _receive(self, parsed: Request, id: Id, now_s: float) -> Command | None:
        if not self.authenticated and parsed.method != "signalwire.connect":
            raise InvalidMessageError(UNAUTHORIZED, "signalwire.connect comes first", id)
        if id in self._unanswered:  # an answer would go to the command that is waiting
            raise InvalidMessageError(
                INVALID_REQUEST, "the id is that of a request that waits for its answer"
            )
        if len(self._unanswered) >= UNANSWERED_MAX:
            raise InvalidMessageError(OVERLOADED, f"{UNANSWERED_MAX} requests wait for an answer", id)
        try:
            command = read_command(parsed, insecure_loopback=self._insecure_loopback)
        except FormatError as error:
            self._outgoing.append(result(id, {"code": "400", "message": str(error)}))
            return None
        match command:
            case Connect():
                return self._connect(command, now_s)
            case Ping():
                self._outgoing.append(result(id, {}))
            case Receive() | Unreceive():
                self._change_contexts(command)
            case Unknown():
                self._outgoing.append(
                    failure(id, METHOD_NOT_FOUND, f"unknown method {command.method[:64]!r}")
                )
            case _:
                self._unanswered[id] = command
        return command

    def _connect(self, command: Connect, now_s: float) -> Connect:
        if self.authenticated:
            raise InvalidMessageError(INVALID_REQUEST, "connected already", command.request_id)
        project, token = command.authentication.project, command.authentication.token
        if not self._authorizes(project, token):
            raise InvalidMessageError(UNAUTHORIZED, "the project or its token is wrong", command.request_id)
        resumed = hmac.compare_digest(
            self._authorization_state(project, command.protocol).encode(),
            command.authorization_state.encode(),
        )
        self.project = project
        self.protocol = command.protocol if resumed else f"signalwire_{secrets.token_hex(16)}"
        self._event_acks = command.event_acks
        self._contexts = dict.fromkeys(command.contexts)
        identity = f"{secrets.token_hex(8)}@trunkline"
        authorization = {"project": project, "expires_at": None, "scopes": ["calling"], "signature": None}
        connected = {"identity": identity, "protocol": self.protocol, "authorization": authorization}
        self._outgoing.append(result(command.request_id, connected))
        state = self._authorization_state(project, self.protocol)
        self.send_event(
            Event(
                event_type=AUTHORIZATION_STATE,
                params={"authorization_state": state},
                timestamp=now_s,
                event_channel=self.protocol,
                project_id=project,
                space_id=self._space_id,
            )
        )
        return Connect(
            request_id=command.request_id,
            authentication=command.authentication,
            agent=command.agent,
            event_acks=command.event_acks,
            contexts=command.contexts,
            protocol=self.protocol,
            resumed=resumed,
        )

    def _authorizes(self, project: str, token: str) -> bool:
        if callable(self._credentials):
            return bool(self._credentials(project, token))
        # An unknown project, and one whose token is empty, cost a comparison that fails.
        expected = self._credentials.get(project) or secrets.token_hex(16)
        return hmac.compare_digest(expected.encode(), token.encode())

    def _authorization_state(self, project: str, protocol: str) -> str:
        told = f"{len(project)}:{project}{protocol}".encode()
        return hmac.new(self._key, told, hashlib.sha256).hexdigest()

    def _change_contexts(self, command: Receive | Unreceive) -> None:
        changed = dict.fromkeys(command.contexts)
        if isinstance(command, Receive):
            contexts = self._contexts | changed
        else:
            contexts = {name: None for name in self._contexts if name not in changed}
        if len(contexts) > CONTEXTS_MAX:
            message = f"{len(contexts)} contexts: takes at most {CONTEXTS_MAX}"
            raise InvalidMessageError(OVERLOADED, message, command.request_id)
        self._contexts = contexts
        self._outgoing.append(result(command.request_id, {"code": "200", "message": "OK"}))

    def _answer(self, command: Command, code: str, message: str, fields: dict[str, Any]) -> None:
        """Write an answer, which is never an empty object: an SDK would take that for a call that is gone."""
        if self._unanswered.get(command.request_id) is not command:
            raise LocalProtocolError(f"{type(command).__name__} {command.request_id!r} is not owed an answer")
        answer = {"code": code, "message": message}
        if not isinstance(command, Dial):
            answer["call_id"] = getattr(command, "call_id", "")
        match command:
            case Stream():
                answer["control_id"] = command.request.control_id
            case StreamStop():
                answer["control_id"] = command.control_id
        message_bytes = result(command.request_id, fields | answer)
        del self._unanswered[command.request_id]
        self._outgoing.append(message_bytes)

    def _request(
        self, method: str, params: dict[str, Any], sent_s: float | None, event: Event | None = None
    ) -> None:
        self._n_requests += 1
        request_id = f"trunkline-{self._n_requests}"
        self._outgoing.append(request(request_id, method, params))
        if sent_s is not None and len(self._unacknowledged) < UNACKNOWLEDGED_MAX:
            self._unacknowledged[request_id] = (sent_s, event)
