"""Messages that are wrong, each with the error that it must raise in a stream that has started.

The stream is Platform("PCMU") with the track inbound, one packet in. `before_start` is for one that has
not started.
"""

import json
from collections.abc import Callable
from typing import Any

from tests.reference.stream import Platform
from trunkline.errors import FormatError, PayloadError, RemoteProtocolError

Case = tuple[str, str | bytes, type[Exception], str]


def edited(text: str, edit: Callable[[dict[str, Any]], object]) -> str:
    message = json.loads(text)
    edit(message)
    return json.dumps(message)


def media(**fields: Any) -> str:
    """A media message with other fields; None leaves one out."""
    body = {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": "/////w=="} | fields
    return json.dumps({"event": "media", "media": {key: body[key] for key in body if body[key] is not None}})


def start(**fields: Any) -> str:
    return edited(Platform().start(), lambda message: message["start"].update(fields))


def start_without(field: str) -> str:
    return edited(Platform().start(), lambda message: message["start"].pop(field))


def format_with(**fields: Any) -> str:
    return start(mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1} | fields)


def numbers() -> list[Case]:
    wrong = {
        "negative": "-1",
        "plus": "+1",
        "empty": "",
        "blank": " 1",
        "underscore": "1_0",
        "exponent": "1e2",
        "fraction": "1.5",
        "Arabic digits": "\u0663",
        "superscript": "\u00b2",
        "2**53 + 1": str(2**53 + 1),
        "5,000 digits": "9" * 5000,
        "words": "x" * 1000,
        "NUL": "1\0",
    }
    return [
        (
            f"timestamp: {name}",
            media(timestamp=text),
            RemoteProtocolError,
            r"timestamp '.{0,64}': takes a whole",
        )
        for name, text in wrong.items()
    ]


RPE = RemoteProtocolError
MALFORMED: list[Case] = [
    *numbers(),
    ("chunk: words", media(chunk="two"), RPE, "chunk 'two'"),
    ("chunk: fraction", media(chunk=1.5), RPE, r"\$\.media\.chunk"),
    ("timestamp: negative number", media(timestamp=-1), RPE, r"\$\.media\.timestamp"),
    ("timestamp: number above 2**53", media(timestamp=2**53 + 1), RPE, r"\$\.media\.timestamp"),
    ("timestamp: true", media(timestamp=True), RPE, r"\$\.media\.timestamp"),
    (
        "timestamp: 5,000 digits unquoted",
        media(timestamp=7).replace("7", "9" * 5000),
        RPE,
        r"\$\.media\.timestamp",
    ),
    ("timestamp: 1e999", media(timestamp=7).replace("7", "1e999"), RPE, r"\$\.media\.timestamp"),
    ("timestamp: object", media(timestamp={}), RPE, r"\$\.media\.timestamp"),
    ("sequenceNumber: words", '{"event":"stop","sequenceNumber":"last"}', RPE, "sequenceNumber 'last'"),
    ("no timestamp", media(timestamp=None), RPE, "media message: .*`timestamp`"),
    ("no track", media(track=None), RPE, "media message: .*`track`"),
    ("no payload", media(payload=None), RPE, "media message: .*`payload`"),
    ("payload: number", media(payload=5), RPE, r"\$\.media\.payload"),
    ("payload: array", media(payload=["AAAA"]), RPE, r"\$\.media\.payload"),
    ("no media", '{"event":"media"}', RPE, "media message: .*`media`"),
    ("media: null", '{"event":"media","media":null}', RPE, r"\$\.media"),
    ("media: array", '{"event":"media","media":[]}', RPE, r"\$\.media"),
    ("track that was not declared", media(track="outbound"), RPE, "'outbound': takes inbound"),
    ("track of 1,000 letters", media(track="x" * 1000), RPE, "x{32}': takes inbound"),
    ("another stream", media().replace("{", '{"streamSid":"MZ2",', 1), RPE, "'MZ2' in stream 'MZ1'"),
    ("base64: stray character", media(payload="AAAA*AAA"), PayloadError, "4"),
    ("base64: no padding", media(payload="AAAAAA"), PayloadError, "6"),
    ("base64: white space", media(payload="AAAA\nAAAA"), PayloadError, "4"),
    ("base64: padding inside", media(payload="AA==AAAA"), PayloadError, "."),
    ("base64: stray bits", media(payload="AB=="), PayloadError, "."),
    ("base64: not ASCII", media(payload="AAA\u00e9"), PayloadError, "."),
    ("base64: URL alphabet", media(payload="AA-_"), PayloadError, "2"),
    ("second start", Platform().start(), RPE, "second start"),
    ("dtmf: two digits", '{"event":"dtmf","dtmf":{"digit":"55"}}', RPE, r"\$\.dtmf\.digit"),
    ("dtmf: a key and a line", '{"event":"dtmf","dtmf":{"digit":"5\\n"}}', RPE, r"\$\.dtmf\.digit"),
    ("dtmf: no key", '{"event":"dtmf","dtmf":{"digit":"E"}}', RPE, r"\$\.dtmf\.digit"),
    ("dtmf: negative duration", '{"event":"dtmf","dtmf":{"digit":"5","duration":-1}}', RPE, "duration"),
    ("dtmf: no body", '{"event":"dtmf"}', RPE, "dtmf message"),
    ("mark: no name", '{"event":"mark","mark":{}}', RPE, "`name`"),
    ("mark: NUL in its name", '{"event":"mark","mark":{"name":"a\\u0000"}}', RPE, r"\$\.mark\.name"),
    ("mark: lone surrogate", '{"event":"mark","mark":{"name":"\\ud800"}}', RPE, "."),
    ("lone surrogate in the text", '{"event":"mark","mark":{"name":"\ud800"}}', RPE, "not UTF-8"),
    ("nothing", "", RPE, "message of 0 bytes"),
    ("NUL", "\0", RPE, "malformed"),
    ("not JSON", "hello", RPE, "malformed"),
    ("cut off", media()[:-1], RPE, "truncated"),
    ("more behind", media() + "x", RPE, "trailing"),
    ("two objects", media() + media(), RPE, "trailing"),
    ("NUL behind", media() + "\0", RPE, "trailing"),
    ("byte order mark", "\ufeff" + media(), RPE, "malformed"),
    ("trailing comma", '{"event":"stop",}', RPE, "trailing comma"),
    ("NaN", '{"event":"stop","x":NaN}', RPE, "malformed"),
    ("control character", '{"event":"stop","x":"\x01"}', RPE, "malformed"),
    ("array", f"[{media()}]", RPE, "array"),
    ("array, deep", "[" * 30000, RPE, "nested 30000 deep, takes at most 64"),
    ("nested 65 deep", '{"event":"new","x":' + "[" * 64 + "]" * 64 + "}", RPE, "nested 65 deep"),
    ("number", "1", RPE, "int"),
    ("null", "null", RPE, "null"),
    ("string", '"media"', RPE, "str"),
    ("nested too deeply", '{"event":"stop","x":' + "[" * 30000 + "]" * 30000 + "}", RPE, "nested 30001 deep"),
    ("nested too deeply, cut off", '{"event":"new","x":' + '{"a":' * 10000, RPE, "nested 10001 deep"),
    ("no event", "{}", RPE, "`event`"),
    ("event: number", '{"event":1}', RPE, r"\$\.event"),
    ("event: null", '{"event":null}', RPE, r"\$\.event"),
    ("event: object", '{"event":{}}', RPE, r"\$\.event"),
    ("event: NUL in its name", '{"event":"stop\\u0000"}', RPE, r"\$\.event"),
    ("not UTF-8", b'{"event":"stop","x":"\xff"}', RPE, "not UTF-8"),
    ("surrogate in UTF-8", b'{"event":"stop","x":"\xed\xa0\x80"}', RPE, "not UTF-8"),
    ("UTF-16", media().encode("utf-16"), RPE, "not UTF-8"),
    ("too large", media(payload="A" * 65536), RPE, r"message of 65\d{3} bytes: takes at most 65536"),
    (
        "too large in UTF-8 only",
        '{"event":"new","x":"' + "\u20ac" * 30000 + '"}',
        RPE,
        "message of 900\\d\\d bytes",
    ),
    ("too large, binary", b" " * 65537, RPE, "message of 65537 bytes"),
]

BEFORE_START: list[Case] = [
    ("media", media(), RPE, "media message before start"),
    ("dtmf", '{"event":"dtmf","dtmf":{"digit":"5"}}', RPE, "dtmf message before start"),
    ("mark", '{"event":"mark","mark":{"name":"m"}}', RPE, "mark message before start"),
    ("clear", '{"event":"clear"}', RPE, "clear message before start"),
    ("stop", '{"event":"stop"}', RPE, "stop message before start"),
    ("no body", '{"event":"start"}', RPE, "`start`"),
    ("no streamSid", start_without("streamSid"), RPE, "no streamSid"),
    ("no callSid", start_without("callSid"), RPE, "`callSid`"),
    ("no mediaFormat", start_without("mediaFormat"), RPE, "`mediaFormat`"),
    ("two streamSids", start().replace("{", '{"streamSid":"MZ2",', 1), RPE, "'MZ2' in stream 'MZ1'"),
    ("NUL in an id", start(callSid="a\0b"), RPE, r"\$\.start\.callSid"),
    ("id: number", start(callSid=5), RPE, r"\$\.start\.callSid"),
    ("tracks: text", start(tracks="inbound"), RPE, r"\$\.start\.tracks"),
    ("tracks: unknown", start(tracks=["inbound", "sideways"]), RPE, "takes inbound and outbound"),
    ("tracks: twice", start(tracks=["inbound", "inbound"]), RPE, "each once"),
    ("tracks: 10,000", start(tracks=["x"] * 10000), RPE, "takes inbound and outbound"),
    ("parameter: number", start(customParameters={"k": 5}), RPE, "customParameters"),
    ("parameter: NUL", start(customParameters={"k": "\0"}), RPE, "customParameters"),
    ("parameters: array", start(customParameters=[]), RPE, "customParameters"),
    ("encoding: number", format_with(encoding=5), RPE, "encoding"),
    ("rate: text", format_with(sampleRate="8000"), RPE, "sampleRate"),
    ("rate: fraction", format_with(sampleRate=8000.5), RPE, "sampleRate"),
    ("rate: negative", format_with(sampleRate=-8000), RPE, "sampleRate"),
    ("rate: zero", format_with(sampleRate=0), FormatError, "0 Hz"),
    ("rate: 2**53", format_with(sampleRate=2**53), FormatError, "takes up to 48000 Hz with 2"),
    ("channels: zero", format_with(channels=0), FormatError, "0 channels"),
    ("channels: a million", format_with(channels=10**6), FormatError, "1000000 channels"),
    ("encoding: unknown", format_with(encoding="audio/x-" + "z" * 5000), FormatError, "unknown codec"),
    (
        "encoding: we do not decode it",
        format_with(encoding="audio/G722", sampleRate=16000),
        FormatError,
        "G722",
    ),
    (
        "the same, no tracks",
        start(tracks=None, mediaFormat={"encoding": "AMR-WB", "sampleRate": 16000}),
        FormatError,
        "AMR-WB",
    ),
]

#: Odd, but allowed: what it brings is said by the test.
IGNORED: list[tuple[str, str | bytes, str]] = [
    ("unknown event", '{"event":"heartbeat"}', "Unknown"),
    ("unknown event, numbers that nobody reads", '{"event":"x","a":1e999,"b":' + "9" * 5000 + "}", "Unknown"),
    ("event twice: the last counts", '{"event":"mark","event":"heartbeat"}', "Unknown"),
    ("body of another event", '{"event":"mark","mark":{"name":"m"},"media":7,"start":[]}', "Mark"),
    ("second connected", '{"event":"connected","protocol":"Call"}', ""),
    ("empty payload", media(payload=""), ""),
    ("64 levels", '{"event":"mark","mark":{"name":"m"},"x":' + "[" * 63 + "]" * 63 + "}", "Mark"),
    ("white space around", ' \n\t{ "event" : "mark" , "mark" : { "name" : "m" } } \r\n', "Mark"),
]
