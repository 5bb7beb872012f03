"""How late the packets of many calls are, on one core: `python benchmarks/bench_switch.py [CALLS] [SECONDS]`.

Every call streams its inbound track as PCMU to an endpoint of its own, in a second process that reads and
forgets (on another core, where there is one). Lateness is from a packet's deadline until it is handed to the
socket. Beside it, what the machine does to an event loop that only sleeps until such deadlines.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection

from aiohttp import WSMsgType, web

from trunkline.lateness import Lateness
from trunkline.switch import Call, SpeechSource, Switch
from trunkline.switch.clock import Clock

WARM_UP_S = 1.0
TOKEN = "T"  # noqa: S105


def serve_endpoints(pipe: Connection, core: int) -> None:
    """Accept streams, read them, and forget."""
    os.sched_setaffinity(0, {core})

    async def accept(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            assert message.type is WSMsgType.TEXT
        return socket

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", accept)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def idle_loop(seconds: float) -> Lateness:
    """Let one clock tick, and nothing else happen."""
    lateness = Lateness()
    loop = asyncio.get_running_loop()
    clock = Clock(lambda due_s: lateness.add((loop.time() - due_s) * 1000))
    clock.start()
    await asyncio.sleep(seconds)
    clock.stop()
    return lateness


async def stream_calls(n_calls: int, seconds: float, url: str) -> tuple[Lateness, float, int]:
    """Stream so many calls; give their lateness, the part of a core they took, and packets dropped."""
    async with Switch(project_id="p", token=TOKEN, insecure_loopback=True) as switch:

        async def start(number: int) -> Call:
            call = switch.place_call(SpeechSource(seed=number % 8), from_number="", to_number="")
            await call.answer()
            await call.stream(url)
            return call

        calls = await asyncio.gather(*map(start, range(n_calls)))
        streams = [stream for call in calls for stream in call.streams.values()]
        await asyncio.sleep(WARM_UP_S)
        for stream in streams:
            stream.lateness = Lateness()
        began_s, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        load = (time.process_time() - cpu_s) / (time.perf_counter() - began_s)
        lateness = Lateness()
        for stream in streams:
            assert stream.state == "streaming"
            lateness.update(stream.lateness)
        return lateness, load, sum(stream.dropped for stream in streams)


def show(what: str, lateness: Lateness) -> None:
    p50, p99, p999 = map(lateness.quantile_ms, (0.5, 0.99, 0.999))
    print(f"{what:12} {lateness.n:8} {p50:8.2f} {p99:8.2f} {p999:8.2f} {lateness.max_ms:8.2f}")


def main() -> None:
    n_calls, seconds = (int(text) for text in (*sys.argv[1:], *("100", "20")[len(sys.argv) - 1 :]))
    cores = sorted(os.sched_getaffinity(0))
    ours, theirs = multiprocessing.Pipe()
    endpoints = multiprocessing.get_context("spawn").Process(
        target=serve_endpoints, args=(theirs, cores[-1]), daemon=True
    )
    endpoints.start()
    os.sched_setaffinity(0, {cores[0]})
    url = f"ws://127.0.0.1:{ours.recv()}/"  # it is up: from here on this core is ours
    print("late by, ms    packets      p50      p99    p99.9      max")
    show("idle loop", asyncio.run(idle_loop(seconds)))
    lateness, load, dropped = asyncio.run(stream_calls(n_calls, seconds, url))
    show(f"{n_calls} calls", lateness)
    print(f"{load:.0%} of a core, {dropped} packets dropped")
    endpoints.kill()


if __name__ == "__main__":
    main()
