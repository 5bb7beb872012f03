"""The verbs of a document, typed: each a struct whose annotations are what `parse` and `schema` check.

Texts are checked when the document is read, unless they hold a variable: then when the verb is run. What
a stream takes is said in streams.py; the patterns of its fields are for the schema alone.
"""

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

__all__ = [
    "BARE_VERBS",
    "VERBS",
    "Answer",
    "Connect",
    "Hangup",
    "Play",
    "Set",
    "Silence",
    "Sleep",
    "StopStream",
    "Stream",
    "Variable",
    "Verb",
]

# Patterns are read by Python and by JSON Schema (ECMA-262): the last lookahead is both's end of text, since
# Python's `$` also matches before a last newline. The second half of each lets a variable through.
Name = Annotated[str, Meta(min_length=1, extra={"takes": "a string that is not empty"})]
Variable = Annotated[
    str, Meta(pattern=r"^[$%]\{[^}]*\}(?![\s\S])", extra={"takes": "a variable such as ${name}"})
]
StreamURL = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": r"^wss://[^/\s]\S*(?![\s\S])|[$%]\{[^}]*\}"},
        extra={"takes": "a wss:// URL"},
    ),
]
StreamDestination = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": r"^stream:wss://[^/\s]\S*(?![\s\S])|[$%]\{[^}]*\}"},
        extra={"takes": "a stream:wss:// URL, the one destination of this switch"},
    ),
]
CallbackURL = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": r"^https?://[^/\s]\S*(?![\s\S])|[$%]\{[^}]*\}"},
        extra={"takes": "an http(s):// URL"},
    ),
]
Codec = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": r"^[A-Za-z0-9-]+(@[0-9]{1,9}h)?(@[0-9]{1,9}i)?(?![\s\S])|[$%]\{[^}]*\}"
        },
        extra={"takes": "a codec such as PCMU or L16@24000h@20i"},
    ),
]
BearerToken = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": r"^[!-~]+(?![\s\S])|[$%]\{[^}]*\}"},
        extra={"takes": "a token of visible ASCII characters without spaces"},
    ),
]
Sound = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^/\s]\S*(?![\s\S])|^file:///\S+(?![\s\S])"
        r"|^silence: ?[0-9]{1,5}(\.[0-9]{1,3})?(?![\s\S])|[$%]\{[^}]*\}",
        extra={
            "takes": "an http(s):// or file:/// URL or silence:SECONDS (say: and ring: are not supported)"
        },
    ),
]
Track: TypeAlias = Literal["inbound_track", "outbound_track", "both_tracks", "inbound", "outbound", "both"]
Method: TypeAlias = Literal["POST", "GET"]
Seconds = Annotated[int, Meta(ge=1, le=2**31, extra={"takes": "1 second or more, an integer"})]
Milliseconds = Annotated[
    int, Meta(ge=-1, le=2**53, extra={"takes": "an integer of milliseconds, or -1 for ever"})
]


class _StreamParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        """Leave out the bearer token, which is a secret."""
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = (
            f"{name}={'...' if name == 'authorization_bearer_token' and value else repr(value)}"
            for name, value in values
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answer the call. `max_duration`: seconds from then until it is hung up."""

    max_duration: Seconds | Variable = 14_400


class Stream(_StreamParameters, frozen=True, forbid_unknown_fields=True):
    """Start a one-way stream of the call's audio, which goes on in the background."""

    url: StreamURL
    name: Name | None = None
    codec: Codec | None = None
    track: Track = "inbound_track"
    status_url: CallbackURL | None = None
    status_url_method: Method = "POST"
    authorization_bearer_token: BearerToken | None = None
    custom_parameters: dict[str, str] = {}
    control_id: Name | None = None


class StopStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stop the stream of `control_id`, else the newest."""

    control_id: Name | None = None


class Connect(_StreamParameters, frozen=True, forbid_unknown_fields=True):
    """Connect the call to a two-way stream, and wait for its end.

    `realtime` is handed on as it is documented: packets' delays and bursts are managed, not buffered.
    """

    to: StreamDestination
    name: Name | None = None
    codec: Codec = "PCMU"
    realtime: bool | Variable = False
    status_url: CallbackURL | None = None
    status_url_method: Method = "POST"
    authorization_bearer_token: BearerToken | None = None
    custom_parameters: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The WebSocket URL in `to`."""
        return self.to.removeprefix("stream:")


class Play(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Play sounds, one after another: either `url` or `urls`; the call is answered unless told not to."""

    url: Sound | None = None
    urls: (
        Annotated[tuple[Sound, ...], Meta(min_length=1, extra={"takes": "a list of one URL or more"})] | None
    ) = None
    auto_answer: bool | Variable = True

    @property
    def sources(self) -> tuple[str, ...]:
        """What to play, in order."""
        return self.urls if self.urls is not None else (self.url or "",)


class Sleep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wait `duration` milliseconds; -1: until the call ends."""

    duration: Milliseconds | Variable


class Hangup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """End the call."""

    reason: Literal["hangup", "busy", "decline"] = "hangup"


class Set(msgspec.Struct, frozen=True):
    """Give variables values."""

    variables: dict[str, Any]


class Silence(msgspec.Struct, frozen=True):
    """A sound to play: `seconds` of silence.

    >>> Silence.parse("silence:1.5")
    Silence(seconds=1.5)
    """

    seconds: float

    @classmethod
    def parse(cls, sound: str) -> "Silence | None":
        """Read `silence:SECONDS`; None when the sound is another."""
        match = re.fullmatch(r"silence: ?([0-9.]+)", sound)
        return cls(float(match[1])) if match else None


Verb: TypeAlias = Answer | Stream | StopStream | Connect | Play | Sleep | Hangup | Set

#: Every verb by its name in a document.
VERBS: Final[dict[str, type[Verb]]] = {
    "answer": Answer,
    "stream": Stream,
    "stop_stream": StopStream,
    "connect": Connect,
    "play": Play,
    "sleep": Sleep,
    "hangup": Hangup,
    "set": Set,
}

#: The verbs that may stand without parameters: `- answer`.
BARE_VERBS: Final[dict[str, Verb]] = {"answer": Answer(), "stop_stream": StopStream(), "hangup": Hangup()}
