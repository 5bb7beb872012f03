"""Through every door: each codec and each track is streamed, and arrives to the bit.

The call has the codec's rate, so nothing is resampled: a packet is what the reference makes of the source.
"""

import asyncio
import importlib
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.switch.parties import NUMBERS
from tests.switch.raw_messages import Endpoint, decoded, packets, receiving
from tests.switch.relay_doors import PROJECT, TOKEN, Clients
from trunkline import opus
from trunkline.formats import CODECS
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.switch import Call, PcmSource, ScriptedCall, Switch, serve_switch
from trunkline.switch.swml import Document, parse, run
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import VirtualTimeLoop

CODEC_NAMES = ("PCMU", "PCMA", "L16", "OPUS")
TRACKS = {"inbound": ["inbound"], "outbound": ["outbound"], "both": ["inbound", "outbound"]}
OTHER_SPELLING = {"inbound": "inbound_track", "outbound": "outbound_track", "both": "both_tracks"}
SEEDS = {"inbound": 0, "outbound": 1}  # of the talkers: nobody is taken for the other
SAID_S = 0.3


@dataclass
class Platform:
    """A switch with its doors at `host`, and an endpoint for its streams, on a loop that does not wait."""

    loop: asyncio.Runner
    switch: Switch
    host: str
    endpoint: Endpoint

    async def post(self, path: str, **body: Any) -> None:
        """Ask a REST door, which agrees."""
        basic = b64encode(f"{PROJECT}:{TOKEN}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(f"http://{self.host}{path}", **body) as response,
        ):
            assert response.status in (200, 201), await response.text()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    tls = server_context(certificate, key)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as loop, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNALWIRE_RELAY_CA_FILE", str(certificate))
        stack = AsyncExitStack()

        async def enter() -> Platform:
            endpoint = await stack.enter_async_context(receiving(tls))
            switch = Switch(project_id=PROJECT, token=TOKEN, ssl=client_context(certificate))
            await stack.enter_async_context(switch)
            server = await stack.enter_async_context(serve_switch(switch, ssl=tls))
            return Platform(loop, switch, server.host, endpoint)

        yield loop.run(enter())
        loop.run(stack.aclose())


# Each has a call that rings streamed, and answered.


async def in_process(p: Platform, call: Call, *, codec: str, track: str) -> None:
    await call.stream(p.endpoint.url, codec=codec, track=track)
    await call.answer()


async def over_relay(library: str, p: Platform, call: Call, *, codec: str, track: str) -> None:
    module = importlib.import_module(library)
    async with Clients(module, p.host).client(call.context) as (_, calls):
        offered = await calls.get()
        assert offered.call_id == call.id
        await offered.stream(p.endpoint.url, codec=codec, track=track)
        await offered.answer()


async def by_document(p: Platform, call: Call, *, codec: str, track: str) -> None:
    stream = {"url": p.endpoint.url, "codec": codec, "track": OTHER_SPELLING[track]}
    variables = await run(document({"stream": stream}, "answer", {"sleep": -1}), ScriptedCall(call))
    assert variables["stream_result"] == "success"


def document(*verbs: Any) -> Document:
    return parse(json.dumps({"version": "1.0.0", "sections": {"main": verbs}}))


async def over_rest(p: Platform, call: Call, *, codec: str, track: str) -> None:
    params = {"url": p.endpoint.url, "codec": codec, "track": track}
    asked = {"command": "calling.stream", "id": call.id, "params": params}
    await p.post("/api/calling/calls", json=asked)
    await call.answer()


async def over_compatibility_rest(p: Platform, call: Call, *, codec: str, track: str) -> None:
    path = f"/api/laml/2010-04-01/Accounts/{PROJECT}/Calls/{call.id}/Streams"
    await p.post(path, data={"Url": p.endpoint.url, "Codec": codec, "Track": OTHER_SPELLING[track]})
    await call.answer()


DOORS: dict[str, Callable[..., Awaitable[None]]] = {
    "in process": in_process,
    "RELAY, our client": partial(over_relay, "trunkline.relay"),
    "RELAY, signalwire-sdk": partial(over_relay, "signalwire.relay"),
    "SWML": by_document,
    "REST": over_rest,
    "compatibility REST": over_compatibility_rest,
}


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("codec", CODEC_NAMES)
@pytest.mark.parametrize("door", DOORS)
def test_what_was_said_arrives(platform: Platform, door: str, codec: str, track: str) -> None:
    if "signalwire" in door:
        pytest.importorskip("signalwire.relay", reason="signalwire-sdk is not installed")
    platform.loop.run(streamed(platform, DOORS[door], codec, track))


async def streamed(p: Platform, door: Callable[..., Awaitable[None]], codec: str, track: str) -> None:
    """Have a call streamed, to its end, and look at what came of it."""
    call = place(p, codec)
    await door(p, call, codec=codec, track=track)
    await call.wait_for_ended()
    [stream] = call.streams.values()
    assert (stream.state, stream.error, stream.dropped, stream.bidirectional) == ("finished", None, 0, False)
    received = await p.endpoint.received(call.id)
    start = received.messages[1]["start"]
    assert (start["streamSid"], start["accountSid"]) == (stream.sid, PROJECT)
    received.check(codec, {name: said(name, codec) for name in TRACKS[track]})


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_connect_streams_the_caller_in_each_codec(platform: Platform, codec: str) -> None:
    """SWML's `connect` takes no track: an endpoint on a two-way stream hears the caller."""

    async def connected() -> None:
        call = place(platform, codec)
        connect = {"to": f"stream:{platform.endpoint.url}", "codec": codec}
        await run(document({"connect": connect}), ScriptedCall(call))
        [stream] = call.streams.values()
        assert (stream.error, stream.bidirectional) == (None, True)
        received = await platform.endpoint.received(call.id)
        received.check(codec, {"inbound": said("inbound", codec)})

    platform.loop.run(connected())


@pytest.mark.parametrize(("codec", "least_db"), [("PCMU", 35), ("PCMA", 35), ("L16", 180), ("OPUS", 9)])
def test_what_arrives_is_what_was_said(codec: str, least_db: float) -> None:
    """The reference's packets, which arrive to the bit, hold their own talker and not the other."""
    rate = CODECS[codec]
    late = opus.Encoder(rate).lookahead if codec == "OPUS" else 0
    heard = {track: decoded(codec, packets(codec, said(track, codec), rate)) for track in SEEDS}
    for track in SEEDS:
        for other in SEEDS:
            snr_db = _snr_db(said(track, codec), heard[other][2 * late :])
            assert (snr_db > least_db) if track == other else (snr_db < 0)


def _snr_db(said: bytes, heard: bytes) -> float:
    x = np.frombuffer(said, np.int16).astype(float)
    noise = np.frombuffer(heard, np.int16)[: len(x)] - x
    return float(10 * np.log10(x @ x / max(1e-9, noise @ noise)))


def place(p: Platform, codec: str) -> Call:
    """Place a call at the codec's rate: two talkers, until the caller has said his."""
    rate = CODECS[codec]
    inbound, outbound = (PcmSource(said(track, codec), rate) for track in TRACKS["both"])
    return p.switch.place_call(inbound, outbound=outbound, sample_rate=rate, **NUMBERS)


@cache
def said(track: str, codec: str) -> bytes:
    return speech_like(SAID_S, CODECS[codec], SEEDS[track])
