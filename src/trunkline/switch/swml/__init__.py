"""SWML documents: read and checked, their JSON Schema, and a runner for calls.

text -> parse -> Document -> run on a Call
"""

from trunkline.switch.swml.document import Document, parse
from trunkline.switch.swml.runner import Call, run
from trunkline.switch.swml.schema import schema
from trunkline.switch.swml.variables import Scopes
from trunkline.switch.swml.verbs import (
    Answer,
    Connect,
    Hangup,
    Play,
    Set,
    Silence,
    Sleep,
    StopStream,
    Stream,
    Verb,
)

__all__ = [
    "Answer",
    "Call",
    "Connect",
    "Document",
    "Hangup",
    "Play",
    "Scopes",
    "Set",
    "Silence",
    "Sleep",
    "StopStream",
    "Stream",
    "Verb",
    "parse",
    "run",
    "schema",
]
