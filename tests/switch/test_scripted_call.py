"""SWML documents on a call of the switch, to real endpoints over TLS."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.net.endpoints import Seen, pcm_of, run
from tests.switch.parties import NUMBERS, Told, switch
from trunkline import wav
from trunkline.errors import FormatError
from trunkline.net import Call as EndpointCall
from trunkline.net import serve
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import Start
from trunkline.switch import FileSource, ScriptedCall, Source, SpeechSource, Switch, swml
from trunkline.testing import speech_like

Steps = list[dict[str, Any] | str]


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    certificate, key = self_signed(tmp_path)
    return server_context(certificate, key), client_context(certificate)


async def run_document(made: Switch, steps: Steps, **options: Any) -> tuple[dict[str, Any], Any]:
    call = made.place_call(SpeechSource(), **NUMBERS)
    document = swml.parse(json.dumps({"version": "1.0.0", "sections": {"main": steps}}))
    return dict(await swml.run(document, ScriptedCall(call, **options))), call


def test_a_document_streams_plays_and_hangs_up(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path
) -> None:
    told = Told()
    beep = speech_like(0.2, seed=5)
    wav.write(tmp_path / "beep.wav", beep, 8000)

    async def open_sound(url: str) -> Source:
        return FileSource(url.removeprefix("file://"))

    async def main() -> None:
        seen = Seen()
        async with serve(seen, ssl=tls[0], bearer_token="b") as server, switch(told, ssl=tls[1]) as made:  # noqa: S106
            stream = {
                "url": server.url,
                "name": "n",
                "codec": "L16@8000h",
                "track": "both_tracks",
                "authorization_bearer_token": "b",
                "custom_parameters": {"k": "v"},
                "control_id": "S1",
            }
            failing = {"url": server.url, "control_id": "S2"}  # without the token
            variables, call = await run_document(
                made,
                [
                    "answer",
                    {"stream": stream},
                    {"play": {"urls": [f"file://{tmp_path}/beep.wav", "silence: 0.1"]}},
                    {"stop_stream": {}},
                    {"stream": failing},
                    {"hangup": {"reason": "busy"}},
                ],
                open_sound=open_sound,
            )
            ended = await seen.ended.get()
        assert (call.state, call.end_reason) == ("ended", "busy")
        assert (variables["stream_result"], variables["stop_stream_result"]) == ("failed", "success")
        assert variables["stream_control_id"] == "S1"
        assert ended.start.custom_parameters == {"k": "v"}
        outbound = [event for event in seen.events[call.id] if getattr(event, "track", "") == "outbound"]
        assert beep in pcm_of(outbound)

    run(main())
    assert told.events == [
        *("created", "ringing", "answered"),
        *("S1 streaming", "S1 finished"),
        *("ending", "ended"),
    ]


def test_a_document_connects_to_a_two_way_stream(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    starts: list[Start] = []

    async def hang_up_soon(call: EndpointCall) -> None:
        starts.append(call.start)
        await call.play(speech_like(0.1))
        await call.wait_played()

    async def main() -> None:
        async with serve(hang_up_soon, ssl=tls[0]) as server, switch(ssl=tls[1]) as made:
            steps: Steps = [{"connect": {"to": f"stream:{server.url}", "codec": "PCMA", "realtime": True}}]
            variables, call = await run_document(made, steps)
            assert variables["connect_result"] == "connected"
            (stream,) = call.streams.values()
            assert (stream.bidirectional, stream.error, call.state) == (True, None, "ended")
            variables, _ = await run_document(made, [{"connect": {"to": f"stream:{server.url}elsewhere"}}])
            assert variables["connect_result"] == "failed"
            assert "404" in variables["connect_failed_reason"]

    run(main())
    assert starts[0].media_format.codec == "PCMA"


def test_a_sound_that_nobody_opens_ends_the_document() -> None:
    async def main() -> None:
        async with switch() as made:
            with pytest.raises(FormatError, match="silence"):
                await run_document(made, [{"play": {"url": "https://example.com/a.wav"}}])
            (call,) = made.calls.values()
            assert call.state == "ended"

    run(main())
