"""The commands that a client of RELAY gives, typed."""

from typing import Annotated, Any, Final

import msgspec

from trunkline.relay.jsonrpc import Id, Request, decode_params
from trunkline.stream.request import StreamRequest

__all__ = [
    "Answer",
    "Command",
    "Connect",
    "Dial",
    "End",
    "Ping",
    "Receive",
    "Stream",
    "StreamStop",
    "Unknown",
    "Unreceive",
    "read_command",
]

Context = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Contexts = Annotated[tuple[Context, ...], msgspec.Meta(max_length=1000)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a client; `request_id` is what its answer is matched by."""

    request_id: Id = ""


class Authentication(msgspec.Struct, frozen=True):
    project: Text = ""
    token: Text = ""
    jwt_token: Text = ""

    def __repr__(self) -> str:
        return f"Authentication(project={self.project!r}, ...)"


class Connect(Command, frozen=True, kw_only=True):
    """Authenticate. `resumed` says that `protocol` is one we gave to the same project before."""

    authentication: Authentication
    agent: Text = ""
    event_acks: bool = False
    contexts: Contexts = ()
    protocol: Text = ""
    authorization_state: Text = ""
    resumed: bool = False

    def __repr__(self) -> str:
        return f"Connect({self.authentication!r}, agent={self.agent!r}, contexts={self.contexts!r}, ...)"


class Ping(Command, frozen=True, kw_only=True):
    """Ask whether the other end lives."""


class Receive(Command, frozen=True, kw_only=True):
    """Ask for the calls of further contexts."""

    contexts: Contexts


class Unreceive(Command, frozen=True, kw_only=True):
    """Ask for no more calls of some contexts."""

    contexts: Contexts


class _CallCommand(Command, frozen=True, kw_only=True):
    call_id: Text
    node_id: Text = ""


class Answer(_CallCommand, frozen=True, kw_only=True):
    """Answer a call."""


class End(_CallCommand, frozen=True, kw_only=True):
    """Hang a call up."""

    reason: Text = "hangup"


class Stream(_CallCommand, frozen=True, kw_only=True):
    """Stream a call's audio to a URL."""

    request: StreamRequest


class StreamStop(_CallCommand, frozen=True, kw_only=True):
    """Stop a stream of a call."""

    control_id: Text


class Device(msgspec.Struct, frozen=True):
    """Whom to dial: `type` is "phone", or another that the switch may refuse."""

    type: Text
    params: dict[str, Any]


class Dial(Command, frozen=True, kw_only=True):
    """Dial: the outer list one after the other, each inner one at once. `max_duration` is in minutes."""

    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    devices: Annotated[
        tuple[Annotated[tuple[Device, ...], msgspec.Meta(min_length=1, max_length=100)], ...],
        msgspec.Meta(min_length=1, max_length=100),
    ]
    max_duration: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None


class Unknown(Command, frozen=True, kw_only=True):
    """A method that this version does not know."""

    method: str


_KINDS: Final[dict[str, type[Command]]] = {
    "signalwire.connect": Connect,
    "signalwire.ping": Ping,
    "signalwire.receive": Receive,
    "signalwire.unreceive": Unreceive,
    "calling.answer": Answer,
    "calling.end": End,
    "calling.dial": Dial,
    "calling.stream.stop": StreamStop,
}


def read_command(request: Request, *, insecure_loopback: bool = False) -> Command:
    """Read a request as a command.

    Raises InvalidMessageError for parameters of the wrong types, FormatError for a stream that
    `StreamRequest.parse` refuses.
    """
    request_id = "" if request.id is None else request.id
    if request.method == "calling.stream":
        target = decode_params(request.params, _CallCommand, request_id)
        params = decode_params(request.params, dict[str, Any], request_id)
        stream = StreamRequest.parse(params, insecure_loopback=insecure_loopback)
        return Stream(request_id=request_id, call_id=target.call_id, node_id=target.node_id, request=stream)
    kind = _KINDS.get(request.method)
    if kind is None:
        return Unknown(request_id=request_id, method=request.method)
    # A parameter called request_id is overwritten.
    return msgspec.structs.replace(decode_params(request.params, kind, request_id), request_id=request_id)
