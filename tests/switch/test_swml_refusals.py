"""Documents that are wrong, each refused with its line, its path and what it takes."""

import json
import re
import textwrap

import pytest
import yaml

from trunkline.errors import FormatError
from trunkline.switch.swml import parse

VERBS = "answer, stream, stop_stream, connect, play, sleep, hangup, set"
STREAM = (
    "url, name, codec, track, status_url, status_url_method, authorization_bearer_token, "
    "custom_parameters, control_id"
)
CONNECT = (
    "to, name, codec, realtime, status_url, status_url_method, authorization_bearer_token, custom_parameters"
)
URL = "takes a wss:// URL"
CLEAR = "takes a wss:// URL; ws:// is refused, since it sends audio in the clear"
SOUND = "takes an http(s):// or file:/// URL or silence:SECONDS (say: and ring: are not supported)"

# What stands below `main:`, so its first line is the document's fourth.
VERB_CASES = {
    "- strem: {url: 'wss://h/'}": (4, "[0].strem", f"unknown verb; main takes {VERBS}"),
    "- answer\n- hang_up": (5, "[1]", f"'hang_up': unknown verb; main takes {VERBS}"),
    "- execute: {dest: other}": (4, "[0].execute", f"unknown verb; main takes {VERBS}"),
    "- transfer: {dest: other}": (4, "[0].transfer", f"unknown verb; main takes {VERBS}"),
    "- stream": (4, "[0]", "stream takes parameters; without are answer, stop_stream, hangup"),
    "- sleep": (4, "[0]", "sleep takes parameters; without are answer, stop_stream, hangup"),
    "- 7": (4, "[0]", f"takes an object of {VERBS}"),
    "- [answer]": (4, "[0]", f"takes an object of {VERBS}"),
    "-": (4, "[0]", f"takes an object of {VERBS}"),
    "- {}": (4, "[0]", "takes one verb, not 0"),
    "- answer: {}\n  hangup: {}": (4, "[0]", "takes one verb, not 2"),
    "- answer:\n- hangup": (4, "[0].answer", "takes an object of max_duration"),
    "- answer: yes": (4, "[0].answer", "takes an object of max_duration"),
    "- answer:\n    max_duration: 0": (
        5,
        "[0].answer.max_duration",
        "takes 1 second or more, an integer or a variable such as ${name}, not 0",
    ),
    "- answer: {max_duration: 1.5}": (
        4,
        "[0].answer.max_duration",
        "takes 1 second or more, an integer or a variable such as ${name}, not 1.5",
    ),
    "- answer:\n    # SIP\n    codecs: PCMU": (
        6,
        "[0].answer.codecs",
        "unknown field; answer takes max_duration",
    ),
    "- answer: {}\n- answer: {}\n- stream:\n    url: wss://h/\n    ur1: wss://h/": (
        8,
        "[2].stream.ur1",
        f"unknown field; stream takes {STREAM}",
    ),
    "- stream:\n    name: one": (4, "[0].stream", "url is missing"),
    "- stream: {}": (4, "[0].stream", "url is missing"),
    "- stream: []": (4, "[0].stream", f"takes an object of {STREAM}"),
    "- stream:\n    url: ws://127.0.0.1:8765/": (5, "[0].stream.url", CLEAR),
    "- stream:\n    url: https://h/": (5, "[0].stream.url", URL),
    "- stream:\n    url: 'wss://'": (5, "[0].stream.url", URL),
    "- stream:\n    url: |\n      wss://h/\n": (5, "[0].stream.url", "holds a CR, LF or NUL"),
    "- stream:\n    url: 'wss://h/#a'": (
        5,
        "[0].stream.url",
        "holds a fragment, which no WebSocket URL has (RFC 6455 3)",
    ),
    "- stream:\n    url: 'wss://h/a b'": (
        5,
        "[0].stream.url",
        f"holds a space or a control character: {URL}",
    ),
    "- stream:\n    url:\n    name: one": (5, "[0].stream.url", f"{URL}, not null"),
    "- stream:\n    url: [wss://h/]": (5, "[0].stream.url", f"{URL}, not a list"),
    "- stream: {url: 'wss://h/', name: ''}": (4, "[0].stream.name", "takes a string that is not empty"),
    "- stream: {url: 'wss://h/', name: 5}": (4, "[0].stream.name", "takes a string that is not empty, not 5"),
    "- stream:\n    url: wss://h/\n    codec: MP3": (
        6,
        "[0].stream.codec",
        "unknown codec 'MP3': known are PCMU, PCMA, L16, OPUS, G722, AMR-WB",
    ),
    "- stream: {url: 'wss://h/', codec: PCMU/8000}": (
        4,
        "[0].stream.codec",
        "codec 'PCMU/8000': the form is NAME[@<rate>h][@<ptime>i], such as L16@24000h@20i",
    ),
    "- stream: {url: 'wss://h/', codec: PCMU@8000h@0i}": (
        4,
        "[0].stream.codec",
        "ptime of 0 ms: takes 1 to 200 ms",
    ),
    "- stream:\n    url: wss://h/\n    track: left": (
        6,
        "[0].stream.track",
        "takes inbound_track or outbound_track or both_tracks or inbound or outbound or both",
    ),
    "- stream: {url: 'wss://h/', status_url: 'ftp://h/'}": (
        4,
        "[0].stream.status_url",
        "takes an http:// or https:// URL",
    ),
    "- stream: {url: 'wss://h/', status_url_method: PUT}": (
        4,
        "[0].stream.status_url_method",
        "takes POST or GET",
    ),
    '- stream:\n    url: wss://h/\n    authorization_bearer_token: "a\\r\\nX-Header: b"': (
        6,
        "[0].stream.authorization_bearer_token",
        "holds a CR, LF or NUL",
    ),
    "- stream:\n    url: wss://h/\n    custom_parameters:\n      user_id: '1'\n      tier: 5": (
        8,
        "[0].stream.custom_parameters.tier",
        "takes a string, not 5",
    ),
    "- stream:\n    url: wss://h/\n    custom_parameters:\n      a b: {c: d}": (
        7,
        "[0].stream.custom_parameters['a b']",
        "takes a string, not an object",
    ),
    "- stream:\n    url: wss://h/\n    custom_parameters:\n      k: |\n        a\n        b\n": (
        7,
        "[0].stream.custom_parameters.k",
        "holds a CR, LF or NUL",
    ),
    "- stream: {url: 'wss://h/', status_url: 'http://user:pass@h/'}": (
        4,
        "[0].stream.status_url",
        "holds a user name or password, which would show in logs",
    ),
    "- stream: {url: 'wss://h/', custom_parameters: [a]}": (
        4,
        "[0].stream.custom_parameters",
        "takes an object, not a list",
    ),
    "- stop_stream: {id: one}": (
        4,
        "[0].stop_stream.id",
        "unknown field; stop_stream takes control_id",
    ),
    "- stop_stream: one": (4, "[0].stop_stream", "takes an object of control_id"),
    "- connect:\n    codec: PCMU": (4, "[0].connect", "to is missing"),
    "- connect:\n    to: '+15550100'": (
        5,
        "[0].connect.to",
        "takes a stream:wss:// URL, the one destination of this switch",
    ),
    "- connect: {to: 'stream:ws://h/'}": (4, "[0].connect.to", CLEAR),
    "- connect: {to: 'wss://h/'}": (
        4,
        "[0].connect.to",
        "takes a stream:wss:// URL, the one destination of this switch",
    ),
    "- connect: {to: 'stream:wss://h/', track: both}": (
        4,
        "[0].connect.track",
        f"unknown field; connect takes {CONNECT}",
    ),
    "- connect: {to: 'stream:wss://h/', realtime: 'true'}": (
        4,
        "[0].connect.realtime",
        "takes true or false or a variable such as ${name}",
    ),
    "- connect:\n    serial: []": (4 + 1, "[0].connect.serial", f"unknown field; connect takes {CONNECT}"),
    "- play: {}": (4, "[0].play", "takes either url or urls"),
    "- play: {url: 'silence:1', urls: ['silence:1']}": (4, "[0].play", "takes either url or urls"),
    "- play: 'silence:1'": (4, "[0].play", "takes an object of url, urls, auto_answer"),
    "- play: {url: 'say: hello'}": (4, "[0].play.url", SOUND),
    "- play: {url: 'silence:'}": (4, "[0].play.url", SOUND),
    "- play: {url: 'silence:-1'}": (4, "[0].play.url", SOUND),
    "- play: {url: 'silence:999999'}": (4, "[0].play.url", SOUND),
    "- play:\n    urls: []": (5, "[0].play.urls", "takes a list of one URL or more"),
    "- play:\n    urls: https://h/a.wav": (
        5,
        "[0].play.urls",
        "takes a list of one URL or more, not a string",
    ),
    "- play:\n    urls:\n    - https://h/a.wav\n    - ring:us": (7, "[0].play.urls[1]", SOUND),
    "- sleep: -2": (
        4,
        "[0].sleep",
        "takes an integer of milliseconds, or -1 for ever or a variable such as ${name}, not -2",
    ),
    "- sleep: '5000'": (
        4,
        "[0].sleep",
        "takes an integer of milliseconds, or -1 for ever or a variable such as ${name}",
    ),
    "- sleep: {}": (4, "[0].sleep", "duration is missing"),
    "- sleep: {seconds: 1}": (4, "[0].sleep.seconds", "unknown field; sleep takes duration"),
    "- hangup: {reason: angry}": (4, "[0].hangup.reason", "takes hangup or busy or decline"),
    "- set: [a]": (4, "[0].set", "takes an object, not a list"),
    "- set:\n    a: 1\n    b:\n    - x\n    - c: ${a + 1}": (
        8,
        "[0].set.b[1].c",
        "'${a + 1}' is an expression; plain paths such as ${call.from} are taken",
    ),
    "- play: {url: 'https://h/%{}'}": (
        4,
        "[0].play.url",
        "'%{}' is an expression; plain paths such as ${call.from} are taken",
    ),
    "- hangup: {reason: '${why}'}": (4, "[0].hangup.reason", "takes hangup or busy or decline"),
}

DOCUMENT_CASES = {
    "": "document:1: an empty document",
    "# nothing\n": "document:1: an empty document",
    "answer": "document:1: takes an object of version, sections",
    "[]": "document:1: takes an object of version, sections",
    "{}": "document:1: sections is missing",
    "version: 1.0.0": "document:1: sections is missing",
    "version: 2.0.0\nsections: {main: [answer]}": "document:1: version: takes 1.0.0",
    "\nversion: 1\nsections: {main: [answer]}": "document:2: version: takes 1.0.0",
    "version: 1.0.0\nsection: {}": "document:2: section: unknown field; the document takes version, sections",
    "sections: main": "document:1: sections: takes an object of main",
    "version: 1.0.0\nsections: {}": "document:2: sections: main is missing",
    "sections:\n  main: []": "document:2: sections.main: takes a list of one verb or more",
    "sections:\n  main: answer": "document:2: sections.main: takes a list of one verb or more",
    "sections:\n  main:\n  - answer\n  sales:\n  - hangup": (
        "document:4: sections.sales: unknown section; sections takes main"
    ),
    "sections:\n  main:\n  - answer\n  main:\n  - hangup": "document:4: 'main' is there twice",
    '{"sections":\n {"main": ["answer"], "main": []}}': "document:2: 'main' is there twice",
    '{"sections":\n {"main": ["answer"]}': "document:2: expecting ',' or '}'",
    '{"sections":\n {"main": ["answer",\n]}}': "document:3: Expecting value",
    '{"sections": {"main": ["answer"]}}\n\n{}': "document:3: text after the end of the document",
    '{"sections":\n {"main": [NaN]}}': "document:2: NaN is not JSON",
    '{"sections":\n {"main": [1e999]}}': "document:2: a number beyond the range of a double",
    '{"sections":\n {"main": [9007199254740993]}}': "document:2: an integer beyond 9007199254740992",
    '{"sections":\n {main: []}}': "document:2: expecting a name in double quotes",
    '{"sections" {}}': "document:1: expecting ':'",
    '{"version": "1.0\n.0"}': "document:1: Invalid control character at",
    '{"version": "\\ud800"}': "document:1: half of a surrogate pair in a string",
    "sections:\n  main:\n  - answer: &a {max_duration: *a}": (
        "document:3: alias 'a' of what is not there, or holds the alias itself"
    ),
    "sections:\n  main: *b": "document:2: alias 'b' of what is not there, or holds the alias itself",
    "sections: !!python/name:os.system\n": (
        "document:1: tag 'tag:yaml.org,2002:python/name:os.system': tags are not taken"
    ),
    "a: !!str 5": "document:1: tag 'tag:yaml.org,2002:str': tags are not taken",
    "? [a]\n: b": "document:1: a name that is not text",
    "a: 1\n---\nb: 2": "document:2: a second document",
    "sections:\n\tmain: []": "document:2: found character '\\t' that cannot start any token",
    "sections:\n  main: [answer": "document:2: expected ',' or ']', but got '<stream end>'",
    'a: "\\U00110000"': "document:1: chr() arg not in range(0x110000)",
    "a: 1\nb: \x00": "document:1: unacceptable character #x0000: special characters are not allowed",
}


def refusal(text: str | bytes, source: str = "document") -> str:
    with pytest.raises(FormatError) as raised:
        parse(text, source)
    return str(raised.value)


@pytest.mark.parametrize("verbs", VERB_CASES)
def test_a_wrong_verb_is_named_by_line_and_path(verbs: str) -> None:
    line, path, problem = VERB_CASES[verbs]
    text = f"version: 1.0.0\nsections:\n  main:\n{textwrap.indent(verbs, '  ')}\n"
    assert refusal(text, "call.yaml") == f"call.yaml:{line}: sections.main{path}: {problem}"


@pytest.mark.parametrize("verbs", VERB_CASES)
def test_json_says_the_same_with_its_own_line(verbs: str) -> None:
    _, path, problem = VERB_CASES[verbs]
    text = json.dumps({"sections": {"main": yaml.safe_load(verbs)}}, indent=1)
    said = refusal(text, "call.json")
    found = re.fullmatch(rf"call\.json:(\d+): sections\.main{re.escape(path)}: {re.escape(problem)}", said)
    assert found is not None, said
    name = re.search(r"\.(\w+)\Z|\['([\w ]+)'\]\Z", path)
    assert name is None or f'"{name[1] or name[2]}": ' in text.splitlines()[int(found[1]) - 1]


@pytest.mark.parametrize("text", DOCUMENT_CASES)
def test_a_wrong_document_is_named_by_line(text: str) -> None:
    assert refusal(text) == DOCUMENT_CASES[text]


def test_bytes_that_are_not_utf_8() -> None:
    assert refusal(b"a:\n\xff") == "document:2: byte 3 is not UTF-8: invalid start byte"


@pytest.mark.parametrize(
    "field", ["authorization_bearer_token: se cret", "status_url: 'ws://user:se cret@h/'"]
)
def test_no_message_repeats_a_secret(field: str) -> None:
    assert "cret" not in refusal(f"sections: {{main: [{{stream: {{url: 'wss://h/', {field}}}}}]}}")


def test_a_switch_may_let_streams_of_documents_go_to_loopback_in_the_clear() -> None:
    def document(host: str) -> str:
        verbs = f"[{{stream: {{url: 'ws://{host}/'}}}}, {{connect: {{to: 'stream:ws://{host}/'}}}}]"
        return f"sections: {{main: {verbs}}}"

    parse(document("127.0.0.1:8765"), insecure_loopback=True)
    assert "sends audio in the clear" in refusal(document("127.0.0.1:8765"))
    with pytest.raises(FormatError, match=r"stream\.url: ws:// goes to a loopback host only"):
        parse(document("example.com"), insecure_loopback=True)
