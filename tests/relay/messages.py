"""The messages of a peer as text, and those that a connection has written, as objects."""

import json
from typing import Any

from trunkline.relay import ClientConnection, ServerConnection


def message(method: str, params: Any = None, id: Any = "x", **more: Any) -> str:
    fields = {"jsonrpc": "2.0", "id": id, "method": method, "params": {} if params is None else params}
    return json.dumps(fields | more)


def event(event_type: str, params: Any, **more: Any) -> str:
    return message("signalwire.event", {"event_type": event_type, "params": params} | more)


def sent(connection: ServerConnection | ClientConnection) -> list[Any]:
    return [json.loads(data) for data in connection.messages_to_send()]
