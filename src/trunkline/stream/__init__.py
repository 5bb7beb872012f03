"""Both ends of the media stream protocol, without a socket, a clock or a task of their own.

    messages -> StreamReceiver -> events and Frames -> Recorder -> WAV or Opus
    RTP packets -> RtpReceiver -> the same
    PCM -> Playout (when) -> StreamSender (what) -> messages

A message is one WebSocket message, or a piece of a TCP stream; who owns the socket is above this layer. What
a platform's messages look like is its dialect's to know, in `dialects`.
"""

from trunkline.stream.capture import CapturedMessage, CaptureWriter, read_capture
from trunkline.stream.events import (
    Cleared,
    Discontinuity,
    Dtmf,
    Event,
    Frame,
    Mark,
    Payload,
    Start,
    Stop,
    Unknown,
)
from trunkline.stream.opus_recorder import OpusRecorder
from trunkline.stream.playout import Playout
from trunkline.stream.receiver import StreamReceiver
from trunkline.stream.recorder import Recorder
from trunkline.stream.request import StreamRequest
from trunkline.stream.rtp_receiver import RtpReceiver
from trunkline.stream.sender import StreamSender

__all__ = [
    "CaptureWriter",
    "CapturedMessage",
    "Cleared",
    "Discontinuity",
    "Dtmf",
    "Event",
    "Frame",
    "Mark",
    "OpusRecorder",
    "Payload",
    "Playout",
    "Recorder",
    "RtpReceiver",
    "Start",
    "Stop",
    "StreamReceiver",
    "StreamRequest",
    "StreamSender",
    "Unknown",
    "read_capture",
]
