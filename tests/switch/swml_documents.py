"""Documents for tests: the documented examples, and a strategy for any valid one."""

from typing import Any

from hypothesis import strategies as st

EXAMPLES = {
    "stream": """
version: 1.0.0
sections:
  main:
    - stream:
        url: wss://example.com/audio-stream
        name: live-transcription
        track: both_tracks
        custom_parameters:
          customer_tier: gold
    - stop_stream: {}
""",
    "stream with every field": """
sections:
  main:
    - stream:
        url: wss://example.com/audio-stream
        control_id: stream_001
        name: my-stream
        track: outbound
        codec: L16@24000h@40i
        status_url: https://example.com/stream-status
        status_url_method: GET
        authorization_bearer_token: my-secret-token
        custom_parameters: {a: b}
    - stop_stream:
        control_id: stream_001
""",
    "connect": """
version: 1.0.0
sections:
  main:
    - answer: {max_duration: 3600}
    - connect:
        to: "stream:wss://example.com/audio"
        codec: PCMU@40i
        realtime: true
        authorization_bearer_token: my-token
        status_url: https://example.com/status
        custom_parameters:
          user_id: "12345"
    - hangup
""",
    "bare verbs": "version: 1.0.0\nsections:\n  main:\n  - answer\n  - stop_stream\n  - hangup\n",
    "sleep": "sections: {main: [{sleep: 5000}, {sleep: {duration: 5000}}, {sleep: -1}, {sleep: '${pause}'}]}",
    "set and variables": """
version: 1.0.0
sections:
  main:
    - set:
        user:
          name: Alice
          address:
            city: Seattle
        employees:
          - name: Alice
            role: Engineer
          - name: Bob
            role: Manager
    - play:
        url: 'https://example.com/${user.name}/%{employees[1].role}.wav'
""",
    "play": """
version: 1.0.0
sections:
  main:
    - play:
        urls: [https://example.com/intro.mp3, "silence:2", "silence: 0.5"]
    - hangup: {reason: busy}
""",
    "JSON": """{
  "version": "1.0.0",
  "sections": {"main": ["answer", {"play": {"url": "silence:1", "auto_answer": false}}, {"hangup": {}}]}
}""",
}

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: "${" not in text and "%{" not in text
)
_line = _text.filter(lambda text: not set(text) & set("\r\n\0"))
_name = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8).filter(
    lambda text: "${" not in text and "%{" not in text
)
_path = st.sampled_from(["${call.from}", "%{vars.a}", "${a[0].b}", "${ x }", "%{params.n}"])
_secure = (
    st.builds("wss://example.com/{}".format, _name.filter(lambda name: "#" not in name))
    | _path.map("wss://{}/media".format)
    | _path
)
_callback = st.sampled_from(["https://example.com/status", "http://h:8080/s?q=1"]) | _path
_codec = st.sampled_from(["PCMU", "pcma", "OPUS@48000h", "L16@24000h@40i", "G722"]) | _path
_scalar = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _text | _path
_value = st.recursive(
    _scalar | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)


def _object(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


_stream_fields = {
    "name": _name | _path,
    "codec": _codec,
    "status_url": _callback,
    "status_url_method": st.sampled_from(["GET", "POST"]),
    "authorization_bearer_token": _name | _path,
    "custom_parameters": st.dictionaries(_line, _line | _path, max_size=3),
}
_tracks = ["inbound_track", "outbound_track", "both_tracks", "inbound", "outbound", "both"]
_sound = st.sampled_from(["silence:2", "silence: 0.25", "https://h/a.wav", "file:///a/b.wav"]) | _path
_auto = {"auto_answer": st.booleans() | _path}
_milliseconds = st.integers(-1, 10**6) | st.just(500.0) | _path

_parameters: dict[str, st.SearchStrategy[Any]] = {
    "answer": _object({}, {"max_duration": st.integers(1, 14_400) | _path}),
    "stream": _object(
        {"url": _secure}, _stream_fields | {"track": st.sampled_from(_tracks), "control_id": _name | _path}
    ),
    "stop_stream": _object({}, {"control_id": _name | _path}),
    "connect": _object(
        {"to": _secure.map("stream:{}".format) | _path}, _stream_fields | {"realtime": st.booleans() | _path}
    ),
    "play": _object({"url": _sound}, _auto)
    | _object({"urls": st.lists(_sound, min_size=1, max_size=3)}, _auto),
    "sleep": _object({"duration": _milliseconds}, {}) | _milliseconds,
    "hangup": _object({}, {"reason": st.sampled_from(["hangup", "busy", "decline"])}),
    "set": st.dictionaries(_text, _value, max_size=3),
}
_verb = st.sampled_from(["answer", "stop_stream", "hangup"]) | st.sampled_from(sorted(_parameters)).flatmap(
    lambda name: st.fixed_dictionaries({name: _parameters[name]})
)
#: Any document that is valid, as plain values.
documents = _object(
    {"sections": st.fixed_dictionaries({"main": st.lists(_verb, min_size=1, max_size=6)})},
    {"version": st.just("1.0.0")},
)
