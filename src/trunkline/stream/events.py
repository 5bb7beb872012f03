"""What a StreamReceiver makes of the messages: typed events, Frames and Discontinuities."""

import msgspec

from trunkline.formats import MediaFormat
from trunkline.frame import Frame
from trunkline.timeline import Discontinuity, Payload

__all__ = [
    "Cleared",
    "Discontinuity",
    "Dtmf",
    "Event",
    "Frame",
    "Mark",
    "Payload",
    "Start",
    "Stop",
    "Unknown",
]


class Start(msgspec.Struct, frozen=True):
    """The stream begins.

    `tracks` are those the peer declared, () when it declared none; `dialect` is the one that it speaks
    or that the receiver was told; `sample_rate` is what the receiver was asked for, None for the format's.
    The ids and parameters are the peer's text: check them before they become a part of a file name or a
    query.
    """

    stream_id: str
    call_id: str
    account_id: str | None
    tracks: tuple[str, ...]
    media_format: MediaFormat
    custom_parameters: dict[str, str]
    dialect: str
    sample_rate: int | None = None


class Dtmf(msgspec.Struct, frozen=True):
    """A key was pressed: one of 0-9, *, #, A-D."""

    digit: str
    duration_ms: int | None
    track: str | None


class Mark(msgspec.Struct, frozen=True):
    """A named point behind the audio before it."""

    name: str


class Cleared(msgspec.Struct, frozen=True):
    """The peer dropped the audio that it had queued."""


class Stop(msgspec.Struct, frozen=True):
    """The stream has ended; nothing follows."""


class Unknown(msgspec.Struct, frozen=True):
    """A message whose event name this version does not know."""

    event: str


Event = Start | Payload | Frame | Discontinuity | Dtmf | Mark | Cleared | Stop | Unknown
