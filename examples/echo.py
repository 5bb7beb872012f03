"""Say back to callers what they say, on a two-way stream; a key interrupts it."""

import asyncio
import contextlib

from trunkline.net import Call, serve
from trunkline.stream import Dtmf, Frame


async def handle(call: Call) -> None:
    async for event in call:
        if isinstance(event, Frame):
            await call.play(event)
        elif isinstance(event, Dtmf):
            call.clear()
            print(f"interrupted, {call.played_ms / 1000:.2f} s were heard", flush=True)


async def main() -> None:
    async with serve(handle, "127.0.0.1", 8765) as server:
        print(f"listening on {server.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
