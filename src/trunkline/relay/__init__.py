"""RELAY: calls controlled by JSON-RPC over a WebSocket.

    messages -> ServerConnection -> commands; replies and the events of CallEvents -> messages
    requests -> ClientConnection -> messages; messages -> replies and events
    RelayClient: a ClientConnection on a socket (needs aiohttp: `pip install 'trunkline[server]'`)

All but RelayClient and what it gives has no socket, no clock and no task.
"""

import importlib
from typing import TYPE_CHECKING, Any

from trunkline.relay.call_events import CallEvents
from trunkline.relay.client_connection import ClientConnection, Disconnect, Pinged, Refusal, Reply
from trunkline.relay.commands import (
    Answer,
    Command,
    Connect,
    Dial,
    End,
    Ping,
    Receive,
    Stream,
    StreamStop,
    Unknown,
    Unreceive,
)
from trunkline.relay.events import CallDialEvent, CallReceiveEvent, CallStateEvent, CallStreamEvent, Event
from trunkline.relay.jsonrpc import RelayError
from trunkline.relay.server import ServerConnection

if TYPE_CHECKING:
    from trunkline.relay.call import Call, StreamAction
    from trunkline.relay.client import RelayClient

__all__ = [
    "Answer",
    "Call",
    "CallDialEvent",
    "CallEvents",
    "CallReceiveEvent",
    "CallStateEvent",
    "CallStreamEvent",
    "ClientConnection",
    "Command",
    "Connect",
    "Dial",
    "Disconnect",
    "End",
    "Event",
    "Ping",
    "Pinged",
    "Receive",
    "Refusal",
    "RelayClient",
    "RelayError",
    "Reply",
    "ServerConnection",
    "Stream",
    "StreamAction",
    "StreamStop",
    "Unknown",
    "Unreceive",
]

_ON_A_SOCKET = {"Call": "call", "StreamAction": "call", "RelayClient": "client"}


def __getattr__(name: str) -> Any:
    if name not in _ON_A_SOCKET:
        raise AttributeError(f"module 'trunkline.relay' has no attribute {name!r}")
    return getattr(importlib.import_module(f"trunkline.relay.{_ON_A_SOCKET[name]}"), name)
