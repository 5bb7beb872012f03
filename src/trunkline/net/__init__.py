"""The ends of a stream that own a socket or a timer: servers, clients, and what records calls.

Names are loaded when they are first used, so that a server needs no other server's library. `serve`, `stream`
and `replay` need aiohttp (`pip install 'trunkline[server]'`).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.net.aiohttp_server import serve
    from trunkline.net.asgi import media_stream
    from trunkline.net.audiosocket_server import serve_audiosocket
    from trunkline.net.call import Call
    from trunkline.net.client import StreamResult, stream
    from trunkline.net.exposition import server_metrics
    from trunkline.net.load import Load, LoadReport
    from trunkline.net.picows_server import serve_picows
    from trunkline.net.recording import CallRecording, CallRecordings, RecordingStats
    from trunkline.net.replaying import replay
    from trunkline.net.rtp import RtpCall, RtpServer, serve_rtp
    from trunkline.net.server import Server
    from trunkline.net.server_stats import ServerStats
    from trunkline.net.status_server import serve_status
    from trunkline.net.wav_source import WavSource
    from trunkline.net.websockets_server import serve_websockets

__all__ = [
    "Call",
    "CallRecording",
    "CallRecordings",
    "Load",
    "LoadReport",
    "RecordingStats",
    "RtpCall",
    "RtpServer",
    "Server",
    "ServerStats",
    "StreamResult",
    "WavSource",
    "media_stream",
    "replay",
    "serve",
    "serve_audiosocket",
    "serve_picows",
    "serve_rtp",
    "serve_status",
    "serve_websockets",
    "server_metrics",
    "stream",
]

_HOMES = {
    "Call": "call",
    "CallRecording": "recording",
    "CallRecordings": "recording",
    "Load": "load",
    "LoadReport": "load",
    "RecordingStats": "recording",
    "RtpCall": "rtp",
    "RtpServer": "rtp",
    "Server": "server",
    "ServerStats": "server_stats",
    "StreamResult": "client",
    "WavSource": "wav_source",
    "media_stream": "asgi",
    "replay": "replaying",
    "serve": "aiohttp_server",
    "serve_audiosocket": "audiosocket_server",
    "serve_picows": "picows_server",
    "serve_rtp": "rtp",
    "serve_status": "status_server",
    "serve_websockets": "websockets_server",
    "server_metrics": "exposition",
    "stream": "client",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
