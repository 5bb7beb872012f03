"""The ends of a stream that own a socket or a timer: a server, a client, and what records calls.

Needs aiohttp (`pip install 'trunkline[server]'`).
"""

from trunkline.net.client import StreamResult, stream
from trunkline.net.recording import CallRecording, CallRecordings
from trunkline.net.replay import replay
from trunkline.net.rtp import RtpCall, RtpServer, serve_rtp
from trunkline.net.server import Call, Server, serve
from trunkline.net.wav_source import WavSource

__all__ = [
    "Call",
    "CallRecording",
    "CallRecordings",
    "RtpCall",
    "RtpServer",
    "Server",
    "StreamResult",
    "WavSource",
    "replay",
    "serve",
    "serve_rtp",
    "stream",
]
