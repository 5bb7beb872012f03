"""The audio hot path of a phone call's media stream.

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline import audioop, convert, errors, g711, relay, resample, stream, switch, wav
    from trunkline.errors import (
        BufferTooSmallError,
        CallEndedError,
        ConcurrentUseError,
        FormatError,
        LibraryMissingError,
        LocalProtocolError,
        PacketError,
        PayloadError,
        ProtocolError,
        RemoteProtocolError,
        TrunklineError,
    )
    from trunkline.formats import CodecSpec, MediaFormat
    from trunkline.frame import Frame
    from trunkline.jitter import JitterBuffer
    from trunkline.net import serve
    from trunkline.resample import Resampler
    from trunkline.stream import Playout, Recorder, RtpReceiver, StreamReceiver, StreamSender
    from trunkline.track import Packetizer, Track
    from trunkline.wav import WavReader, WavWriter

__all__ = [
    "BufferTooSmallError",
    "CallEndedError",
    "CodecSpec",
    "ConcurrentUseError",
    "FormatError",
    "Frame",
    "JitterBuffer",
    "LibraryMissingError",
    "LocalProtocolError",
    "MediaFormat",
    "PacketError",
    "Packetizer",
    "PayloadError",
    "Playout",
    "ProtocolError",
    "Recorder",
    "RemoteProtocolError",
    "Resampler",
    "RtpReceiver",
    "StreamReceiver",
    "StreamSender",
    "Track",
    "TrunklineError",
    "WavReader",
    "WavWriter",
    "audioop",
    "convert",
    "errors",
    "g711",
    "relay",
    "resample",
    "serve",
    "stream",
    "switch",
    "wav",
]

_MODULES = ("audioop", "convert", "errors", "g711", "relay", "resample", "stream", "switch", "wav")
_HOMES = {
    "CodecSpec": "formats",
    "MediaFormat": "formats",
    "Frame": "frame",
    "JitterBuffer": "jitter",
    "Packetizer": "track",
    "Track": "track",
    "Resampler": "resample",
    "serve": "net",
    "Playout": "stream",
    "Recorder": "stream",
    "RtpReceiver": "stream",
    "StreamReceiver": "stream",
    "StreamSender": "stream",
    "WavReader": "wav",
    "WavWriter": "wav",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
    if name in _MODULES:
        return importlib.import_module(f"trunkline.{name}")
    home = importlib.import_module(f"trunkline.{_HOMES.get(name, 'errors')}")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return __all__
