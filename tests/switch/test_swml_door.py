"""Documents on a real switch, with real receivers over TLS, under a clock that does not wait."""

import asyncio
import doctest
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.switch.sound_server import sound_server, wav_of
from trunkline import g711
from trunkline.errors import StreamStartError
from trunkline.net import Call as EndpointCall
from trunkline.net import serve
from trunkline.net.targets import LOOPBACK, Targets
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import Mark
from trunkline.switch import Call, ScriptedCall, Sounds, SpeechSource, Switch, call_scope
from trunkline.switch.swml import Document, Step, parse, run
from trunkline.testing import speech_like
from trunkline.testing.endpoint import MediaEndpoint

pytestmark = pytest.mark.virtual_time

GUIDE = Path(__file__).parents[2] / "docs" / "swml.md"
SOUND = speech_like(0.6, seed=3)
REPLY = g711.ulaw_decode(g711.ulaw_encode(speech_like(0.7, seed=5)))
NUMBERS: dict[str, Any] = {"from_number": "+15550100", "to_number": "+15550101"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return server_context(*certificate)


@pytest.fixture
def switch_options(certificate: tuple[Path, Path]) -> dict[str, Any]:
    return {"ssl": client_context(certificate[0])}


@pytest.fixture
def endpoint_options(server_tls: ssl.SSLContext) -> dict[str, Any]:
    return {"ssl": server_tls}


def document_of_guide(number: int) -> str:
    """Give a document of docs/swml.md."""
    examples = doctest.DocTestParser().get_examples(GUIDE.read_text())
    found = [
        match[1]
        for e in examples
        if (match := re.search(r'"""(\s*(?:version|sections).*?)"""', e.source, re.S))
    ]
    return found[number]


def document(*verbs: str) -> Document:
    return parse("sections:\n  main:\n" + "".join(f"    - {verb}\n" for verb in verbs))


async def talk(call: EndpointCall) -> None:
    """Say something, and hang up when it was heard."""
    await call.play(REPLY)
    call.mark("said")
    async for event in call:
        if isinstance(event, Mark):
            return


async def test_the_first_document_of_the_guide(switch: Switch, media_endpoint: MediaEndpoint) -> None:
    text = document_of_guide(0).replace("wss://example.com/audio-stream", media_endpoint.url)
    call = switch.place_call(SpeechSource(seed=2), outbound=SpeechSource(seed=3), **NUMBERS)
    began_s = asyncio.get_running_loop().time()
    variables = await run(parse(text), ScriptedCall(call))
    assert 5.0 <= asyncio.get_running_loop().time() - began_s < 5.1
    assert (call.state, call.end_reason) == ("ended", "hangup")
    stream = await media_endpoint.received()
    assert variables["stream_result"] == variables["stop_stream_result"] == "success"
    assert variables["stream_control_id"] == stream.start.stream_id
    assert stream.start.call_id == call.id
    assert stream.start.custom_parameters == {"customer_tier": "gold"}
    assert call.streams[stream.start.stream_id].request.name == "live-transcription"
    assert stream.stopped
    for track, seed in (("inbound", 2), ("outbound", 3)):
        heard = stream.pcm(track)
        assert 16_000 * 4.95 < len(heard) <= 16_000 * 5.04
        said = g711.ulaw_decode(g711.ulaw_encode(speech_like(10.0, seed=seed)))
        assert heard.strip(b"\0")[:32_000] in said


async def test_the_document_of_the_guide_that_plays_and_connects(
    switch: Switch,
    switch_options: dict[str, Any],
    media_endpoint: MediaEndpoint,
    server_tls: ssl.SSLContext,
) -> None:
    async with (
        sound_server({"/success.wav": wav_of(SOUND)}, server_tls) as web_url,
        serve(talk, ssl=server_tls) as talker,
    ):
        text = document_of_guide(2).replace("stream:wss://example.com/", f"stream:{talker.url}")
        text = text.replace("wss://example.com/", media_endpoint.url).replace("https://example.com/", web_url)
        assert "example.com" not in text
        call = switch.place_call(SpeechSource(), **NUMBERS)
        listening = await call.stream(media_endpoint.url, codec="L16@8000h", track="outbound")
        sounds = Sounds(targets=Targets(LOOPBACK), ssl=switch_options["ssl"])
        scopes = {"call": call_scope(call)}
        variables = await run(parse(text), ScriptedCall(call, open_sound=sounds.open), scopes=scopes)
    assert variables["connect_result"] == variables["return_value"] == "connected"
    assert "connect_failed_reason" not in variables
    streamed = await media_endpoint.received()  # stopped before the connection
    assert streamed.start.tracks == ("inbound",)
    assert streamed.stopped
    assert variables["stream_control_id"] == streamed.start.stream_id
    listened = await media_endpoint.received()
    assert listened.start.stream_id == listening.control_id
    heard = listened.pcm("outbound")
    at = heard.index(SOUND)
    assert at >= 8_000  # 0.5 s of silence before it
    assert not any(heard[:at])
    assert heard.index(REPLY) >= at + len(SOUND)
    connected = list(call.streams.values())[-2]
    assert (connected.bidirectional, connected.error) == (True, None)
    assert connected.request.track == "inbound"
    assert len(call.streams) == 3


async def test_a_stream_that_fails_is_told_and_the_document_goes_on(switch: Switch, call: Call) -> None:
    steps: list[Step] = []
    text = ("stream: {url: 'wss://127.0.0.1:1/?${key}'}", "stop_stream", "hangup: {reason: busy}")
    variables = await run(
        document(*text), ScriptedCall(call), scopes={"envs": {"key": "k"}}, on_step=steps.append
    )
    assert [(step.index, type(step.error).__name__) for step in steps] == [
        (0, "NoneType"),
        (0, "StreamStartError"),
        (1, "NoneType"),
        (1, "LocalProtocolError"),
        (2, "NoneType"),
    ]
    assert isinstance(steps[1].error, StreamStartError)
    assert steps[1].error.reason == "connection_refused"
    assert variables == {"stream_result": "failed", "stop_stream_result": "failed"}
    assert call.end_reason == "busy"


async def test_what_a_document_knows_of_its_call(
    switch: Switch, call: Call, media_endpoint: MediaEndpoint
) -> None:
    names = ["call_id", "node_id", "segment_id", "from", "to", "direction", "type", "call_state"]
    parameters = ", ".join(f"{name}: '${{call.{name}}}'" for name in names)
    start = f"stream: {{url: '{media_endpoint.url}', custom_parameters: {{{parameters}}}}}"
    await run(document(start, "sleep: 100"), ScriptedCall(call), scopes={"call": call_scope(call)})
    stream = await media_endpoint.received()
    assert stream.start.custom_parameters == {
        "call_id": call.id,
        "node_id": switch.node_id,
        "segment_id": call.segment_id,
        "from": "+15550100",
        "to": "+15550101",
        "direction": "inbound",
        "type": "phone",
        "call_state": "ringing",
    }


async def test_the_caller_who_hangs_up_ends_the_document(
    switch: Switch, call: Call, media_endpoint: MediaEndpoint
) -> None:
    start = f"stream: {{url: '{media_endpoint.url}', codec: 'L16@8000h'}}"
    await run(document(start, "answer", "sleep: -1"), ScriptedCall(call))
    assert speech_like(2.0) in (await media_endpoint.received()).pcm()


async def test_a_call_that_ends_while_a_sound_is_played(switch: Switch, call: Call) -> None:
    steps: list[Step] = []
    text = document("play: {url: 'silence:60'}", "stop_stream")
    await run(text, ScriptedCall(call), on_step=steps.append)
    assert call.state == "ended"
    assert steps == [Step(0, steps[0].verb)]


async def test_a_call_that_ends_while_it_is_connected(
    switch: Switch, call: Call, server_tls: ssl.SSLContext
) -> None:
    gone = asyncio.Event()

    async def listen(endpoint_call: EndpointCall) -> None:
        async for _ in endpoint_call:
            pass
        gone.set()

    async with serve(listen, ssl=server_tls) as server:
        steps: list[Step] = []
        text = document(f"connect: {{to: 'stream:{server.url}'}}", "sleep: 500000")
        await run(text, ScriptedCall(call), on_step=steps.append)
        await gone.wait()
    assert call.state == "ended"
    assert steps == [Step(0, steps[0].verb)]
