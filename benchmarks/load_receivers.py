"""The receivers that `bench_load.py` puts under load: frames of 20 ms at 16 kHz of every call, in a process.

Each counts the packets of a call, and how late each frame is: later than the promptest of the call's first
second, by the carrier's timestamps. What measures is the same code for all of them.
"""

import asyncio
import functools
import math
import os
import sys
import threading
import time
from array import array
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import load_sink
import numpy as np
from peers import optional

RATE = 16_000
FIRST_FRAMES = 50
PACKET_MS = 20.0
N_FIRST = 2  # connected, start
MEDIA_BYTES_MIN = 200  # marks and stop are shorter


class Held(NamedTuple):
    """What a receiver saw: all packets; the frames in the window, their lateness, and the core it took."""

    n_packets: int
    n_lost: int
    n_in_window: int
    late_ms_p99: float
    cpu: float


class Window:
    """The time that is measured: the other process opens and closes it, and then asks what was seen."""

    def __init__(self, pipe: Connection) -> None:
        self.calls: list[CallSeen] = []
        self.is_open = False
        self._pipe = pipe

    def listen(self) -> None:
        """Answer the other process, in a thread of its own."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        cpu = 0.0
        while (said := self._pipe.recv()) != "tell":
            self.is_open = said == "open"
            began, cpu_s = time.perf_counter(), time.process_time()
            if self.is_open:
                self._began, self._cpu_s = began, cpu_s
            else:
                cpu = (cpu_s - self._cpu_s) / (began - self._began)
        offsets = [np.array(call.offsets) - call.least_ms for call in self.calls if call.offsets]
        late = np.concatenate(offsets) if offsets else np.array([])
        n_packets = sum(call.n_packets for call in self.calls)
        n_lost = sum(call.n_lost for call in self.calls)
        p99 = float(np.quantile(late, 0.99)) if late.size else math.inf
        self._pipe.send(Held(n_packets, n_lost, len(late), p99, cpu))


class CallSeen:
    """One call."""

    def __init__(self, window: Window) -> None:
        self.n_packets = self.n_lost = 0
        self._n_first = FIRST_FRAMES
        self.least_ms = float("inf")
        self.offsets = array("d")
        self._window = window
        window.calls.append(self)

    def frame(self, timestamp_ms: float) -> None:
        """Take the time of a frame that has just come."""
        offset_ms = time.monotonic() * 1000 - timestamp_ms
        if self._n_first:
            self._n_first -= 1
            self.least_ms = min(self.least_ms, offset_ms)
        if self._window.is_open:
            self.offsets.append(offset_ms)

    def next_packet(self) -> None:
        """Take the time of a packet that was not looked into."""
        self.frame(PACKET_MS * self.n_packets)
        self.n_packets += 1


async def trunkline_serve(window: Window, on_port: Callable[[int], None], *, name: str = "serve") -> None:
    """One of our servers: order, concealment, a jitter buffer's bookkeeping, Frames."""
    from trunkline import net
    from trunkline.net import Call
    from trunkline.stream import Frame, Mark

    async def handler(call: Call) -> None:
        seen = CallSeen(window)
        async for event in call:
            if type(event) is Frame:
                seen.frame(event.timestamp_ms)
            elif type(event) is Mark:
                call.mark(event.name)
        stats = call.stats["inbound"]
        seen.n_packets, seen.n_lost = stats.packets, stats.lost

    async with getattr(net, name)(handler, sample_rate=RATE, max_pending=1000) as server:
        on_port(server.port)
        await asyncio.Event().wait()


trunkline_picows = functools.partial(trunkline_serve, name="serve_picows")


async def picows_alone(window: Window, on_port: Callable[[int], None]) -> None:
    """picows, and nothing done with what it reads: the most that anything on it could hold."""
    import picows

    class Connection(picows.WSListener):
        def __init__(self) -> None:
            self._seen = CallSeen(window)
            self._n_messages = 0

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            self._n_messages += 1
            if self._n_messages <= N_FIRST:
                return
            if frame.payload_size >= MEDIA_BYTES_MIN:
                self._seen.next_packet()
            elif b'"stop"' in frame.get_payload_as_bytes():
                transport.send_close(picows.WSCloseCode.OK)
                transport.disconnect()

    server = await picows.ws_create_server(lambda request: Connection(), "127.0.0.1", 0)
    on_port(server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


async def aiohttp_alone(window: Window, on_port: Callable[[int], None]) -> None:
    """aiohttp, and nothing done with what it reads: the most that anything on it could hold."""
    from aiohttp import WSMsgType, web

    async def stream(request: web.BaseRequest) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        seen = CallSeen(window)
        for _ in range(N_FIRST):
            await response.receive()
        while (message := await response.receive()).type is WSMsgType.TEXT:
            if len(message.data) >= MEDIA_BYTES_MIN:
                seen.next_packet()
            elif '"stop"' in message.data:
                break
        return response

    runner = web.ServerRunner(web.Server(stream))
    await runner.setup()
    server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)
    on_port(server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


async def fastapi_usual(window: Window, on_port: Callable[[int], None]) -> None:
    """FastAPI under uvicorn, json, base64, audioop and a soxr stream: no order, no concealment."""
    import audioop
    import base64
    import json
    import socket

    import fastapi
    import soxr
    import uvicorn

    app = fastapi.FastAPI()

    @app.websocket("/")
    async def stream(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        seen = CallSeen(window)
        resampler = soxr.ResampleStream(8000, RATE, 1, "int16", "HQ")
        async for text in websocket.iter_text():
            message = json.loads(text)
            if message["event"] == "media":
                media = message["media"]
                pcm = audioop.ulaw2lin(base64.b64decode(media["payload"]), 2)
                resampler.resample_chunk(np.frombuffer(pcm, np.int16))
                seen.n_packets += 1
                seen.frame(float(media["timestamp"]))
            elif message["event"] == "mark":
                await websocket.send_text(json.dumps({"event": "mark", "mark": message["mark"]}))
            elif message["event"] == "stop":
                break
        await websocket.close()

    stream.__annotations__["websocket"] = fastapi.WebSocket
    listening = socket.create_server(("127.0.0.1", 0))
    on_port(listening.getsockname()[1])
    config = uvicorn.Config(app, log_level="critical", ws_per_message_deflate=False)
    await uvicorn.Server(config).serve(sockets=[listening])


async def sink(_: Window, on_port: Callable[[int], None]) -> None:
    """Nothing: to see how many calls there can be."""
    load_sink.sink(on_port)


Receiver = Callable[[Window, Callable[[int], None]], Coroutine[Any, Any, None]]

SINK = "what makes the calls, to a sink"
USUAL = "FastAPI, uvicorn, json, base64, audioop, soxr"
#: Each by its name: what receives, and whether it runs on uvloop, which `uvicorn[standard]` brings.
RECEIVERS: dict[str, tuple[Receiver, bool]] = {
    USUAL: (fastapi_usual, False),
    f"{USUAL} on uvloop": (fastapi_usual, True),
    "trunkline.serve": (trunkline_serve, False),
    "trunkline.serve on uvloop": (trunkline_serve, True),
    "trunkline.net.serve_picows": (trunkline_picows, False),
    "trunkline.net.serve_picows on uvloop": (trunkline_picows, True),
    "aiohttp alone on uvloop": (aiohttp_alone, True),
    "picows alone on uvloop": (picows_alone, True),
    SINK: (sink, False),
}


def installed() -> list[str]:
    """Give the receivers that this environment can run."""

    def is_there(receiver: Receiver, on_uvloop: bool) -> bool:
        needs = ["fastapi", "uvicorn", "audioop", "soxr"] if receiver is fastapi_usual else []
        needs += ["picows"] if receiver in (trunkline_picows, picows_alone) else []
        return all(map(optional, [*needs, *(["uvloop"] if on_uvloop else [])]))

    return [name for name, entry in RECEIVERS.items() if is_there(*entry)]


def run(name: str, core: int, pipe: Connection) -> None:
    """Run a receiver on one core: send its port, then answer what is asked."""
    os.sched_setaffinity(0, {core})
    receiver, on_uvloop = RECEIVERS[name]
    window = Window(pipe)

    def on_port(port: int) -> None:
        pipe.send(port)
        window.listen()

    if on_uvloop:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(receiver(window, on_port))
    else:
        asyncio.run(receiver(window, on_port))
    sys.exit(f"{name}: it has ended")
