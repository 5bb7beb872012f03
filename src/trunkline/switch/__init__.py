"""A switch on one's own machine: calls whose audio is made here, and streams of them to WebSocket endpoints.

    Switch -> Call -> Stream: one call's audio, sent in real time to a wss:// URL
    serve_switch: RELAY and the REST APIs, by which their clients control the calls
    Source: where a call's audio comes from, a file, a capture, a generator or an RTP port

Everything belongs to one event loop. What has a socket needs aiohttp: `pip install 'trunkline[server]'`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.switch.actions import StreamAction
    from trunkline.switch.call import Call
    from trunkline.switch.callbacks import CallbackSender
    from trunkline.switch.events import CallChanged, StreamChanged, StreamNotStarted, SwitchEvent
    from trunkline.switch.file_sources import CaptureSource, FileSource
    from trunkline.switch.journal import Journal
    from trunkline.switch.records import CallRecord, StreamRecord
    from trunkline.switch.relay_door import Client, RelayDoor
    from trunkline.switch.rest import rest_routes
    from trunkline.switch.rtp_source import RtpSource
    from trunkline.switch.scripted_call import ScriptedCall, call_scope
    from trunkline.switch.server import SwitchServer, serve_switch
    from trunkline.switch.sounds import Sounds
    from trunkline.switch.sources import PcmSource, SilenceSource, Source, SpeechSource, ToneSource
    from trunkline.switch.stream import Stream
    from trunkline.switch.switch import Switch

__all__ = [
    "Call",
    "CallChanged",
    "CallRecord",
    "CallbackSender",
    "CaptureSource",
    "Client",
    "FileSource",
    "Journal",
    "PcmSource",
    "RelayDoor",
    "RtpSource",
    "ScriptedCall",
    "SilenceSource",
    "Sounds",
    "Source",
    "SpeechSource",
    "Stream",
    "StreamAction",
    "StreamChanged",
    "StreamNotStarted",
    "StreamRecord",
    "Switch",
    "SwitchEvent",
    "SwitchServer",
    "ToneSource",
    "call_scope",
    "rest_routes",
    "serve_switch",
]

# Imported when they are asked for: trunkline.switch.swml needs no aiohttp.
_MODULES = {
    "actions": ("StreamAction",),
    "call": ("Call",),
    "callbacks": ("CallbackSender",),
    "events": ("CallChanged", "StreamChanged", "StreamNotStarted", "SwitchEvent"),
    "file_sources": ("CaptureSource", "FileSource"),
    "journal": ("Journal",),
    "records": ("CallRecord", "StreamRecord"),
    "relay_door": ("RelayDoor", "Client"),
    "rest": ("rest_routes",),
    "rtp_source": ("RtpSource",),
    "scripted_call": ("ScriptedCall", "call_scope"),
    "server": ("SwitchServer", "serve_switch"),
    "sounds": ("Sounds",),
    "sources": ("PcmSource", "SilenceSource", "Source", "SpeechSource", "ToneSource"),
    "stream": ("Stream",),
    "switch": ("Switch",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'trunkline.switch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"trunkline.switch.{_MODULE_OF[name]}"), name)
